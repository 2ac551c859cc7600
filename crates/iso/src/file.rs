use std::io;
use std::ops::Range;
use std::sync::Arc;

use disk::ReadAt;

/// Bytes of a file that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First byte, in the file.
    pub offset: u64,
    /// How many, never 0.
    pub len: u64,
    /// First byte in the image; `None` for zeros that are not stored.
    pub place: Option<u64>,
}

/// A file of an image: its extents, read where they lie.
#[derive(Clone)]
pub struct IsoFile {
    disk: Arc<dyn ReadAt>,
    /// Gap-free from 0, in order; what touches is one run.
    runs: Vec<Run>,
    size: u64,
}

impl std::fmt::Debug for IsoFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IsoFile").field("size", &self.size).field("runs", &self.runs).finish_non_exhaustive()
    }
}

impl IsoFile {
    /// A file of these runs, all of which lie in `disk`.
    pub(crate) fn new(disk: Arc<dyn ReadAt>, runs: Vec<Run>) -> Self {
        let size = runs.last().map_or(0, |run| run.offset + run.len);
        Self { disk, runs, size }
    }

    /// Where it lies, in its order and without gaps.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The bytes of the image that it is, if it lies in one piece.
    pub fn contiguous(&self) -> Option<Range<u64>> {
        match self.runs[..] {
            [Run { place: Some(place), len, .. }] => Some(place..place + len),
            _ => None,
        }
    }
}

impl ReadAt for IsoFile {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end"));
        }
        let mut next = self.runs.partition_point(|run| run.offset + run.len <= offset);
        while !buf.is_empty() {
            let run = self.runs[next];
            let skip = offset - run.offset;
            let len = usize::try_from(run.len - skip).unwrap_or(usize::MAX).min(buf.len());
            let (here, rest) = buf.split_at_mut(len);
            match run.place {
                Some(place) => self.disk.read_exact_at(here, place + skip)?,
                None => here.fill(0),
            }
            buf = rest;
            offset += len as u64;
            next += 1;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Runs while they are collected.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    len: u64,
}

impl Runs {
    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many runs.
    pub(crate) fn count(&self) -> usize {
        self.runs.len()
    }

    /// Appends bytes that lie at `place`; `None` when the file would be longer than 2^64 bytes.
    pub(crate) fn push(&mut self, len: u64, place: Option<u64>) -> Option<()> {
        let end = self.len.checked_add(len)?;
        if len == 0 {
            return Some(());
        }
        match self.runs.last_mut() {
            Some(last) if last.place.map(|place| place + last.len) == place => last.len += len,
            _ => self.runs.push(Run { offset: self.len, len, place }),
        }
        self.len = end;
        Some(())
    }

    pub(crate) fn finish(self) -> Vec<Run> {
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_touches_is_one_run_and_reads_cross_runs() {
        let mut runs = Runs::default();
        for (len, place) in [(4, Some(8)), (4, Some(12)), (3, None), (2, None), (0, Some(1)), (2, Some(0))] {
            runs.push(len, place).unwrap();
        }
        assert_eq!((runs.len(), runs.count()), (15, 3));
        assert!(runs.push(u64::MAX, None).is_none());
        let disk: Vec<u8> = (0..16).collect();
        let file = IsoFile::new(Arc::new(disk), runs.finish());
        let mut all = [0xFF; 15];
        file.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(all, [8, 9, 10, 11, 12, 13, 14, 15, 0, 0, 0, 0, 0, 0, 1]);
        for start in 0..15 {
            for end in start..=15 {
                let mut part = vec![0xFF; end - start];
                file.read_exact_at(&mut part, start as u64).unwrap();
                assert_eq!(part, all[start..end]);
            }
        }
        assert!(file.read_exact_at(&mut [0], 15).is_err());
        assert!(file.read_exact_at(&mut [0], u64::MAX).is_err());
        assert_eq!(file.contiguous(), None);
        assert_eq!(
            IsoFile::new(Arc::new(vec![0; 9]), vec![Run { offset: 0, len: 4, place: Some(5) }]).contiguous(),
            Some(5..9)
        );
    }
}
