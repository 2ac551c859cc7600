//! A disk as it would be with all that is unused made zero.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use ntfs_writer::unused::Patch;

use super::Survey;

/// Shorter ranges read as zero and are not said to be: a map that changes its mind every few hundred bytes makes more work
/// than it saves.
const LEAST: u64 = 4096;

/// A disk whose unused bytes read as zero. Ranges of them of at least 4 KiB are [`RangeKind::Zero`], the rest is what the
/// disk below says.
#[derive(Clone)]
pub struct Trimmed {
    disk: Arc<dyn BlockMap>,
    survey: Survey,
    /// The ranges that are said to be zero.
    holes: Vec<Range<u64>>,
}

impl std::fmt::Debug for Trimmed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trimmed").field("survey", &self.survey).finish_non_exhaustive()
    }
}

impl Trimmed {
    /// `disk` without what the survey of it found.
    pub fn new(disk: Arc<dyn BlockMap>, survey: Survey) -> Self {
        let holes = survey.ranges.iter().filter(|range| range.end - range.start >= LEAST).cloned().collect();
        Self { disk, survey, holes }
    }

    /// Applies to `buf`, which begins at `offset`, the part of a patch that it holds.
    fn patch(&self, (start, patch): &(u64, Patch), buf: &mut [u8], offset: u64) -> io::Result<()> {
        let first = start + patch.offset;
        let changed = |fault| {
            let text =
                format!("the disk has changed since it was looked at: structure at {first:#x}: {fault}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let len = patch.len as usize;
        let end = offset + buf.len() as u64;
        if first >= offset && first + len as u64 <= end {
            let at = (first - offset) as usize;
            return patch.apply(&mut buf[at..at + len]).map_err(changed);
        }
        let mut whole = vec![0; len];
        self.disk.read_exact_at(&mut whole, first)?;
        patch.apply(&mut whole).map_err(changed)?;
        let both = first.max(offset)..(first + len as u64).min(end);
        let (from, to) = ((both.start - first) as usize, (both.end - first) as usize);
        let at = (both.start - offset) as usize;
        buf[at..at + (to - from)].copy_from_slice(&whole[from..to]);
        Ok(())
    }
}

impl ReadAt for Trimmed {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(end) = offset.checked_add(buf.len() as u64) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        // What is between the longer ranges is read, the shorter ones with it.
        let next = self.holes.partition_point(|range| range.end <= offset);
        let mut at = offset;
        for hole in self.holes[next..].iter().take_while(|hole| hole.start < end) {
            if hole.start > at {
                let part = (at - offset) as usize..(hole.start - offset) as usize;
                self.disk.read_exact_at(&mut buf[part], at)?;
            }
            at = hole.end;
        }
        if at < end {
            self.disk.read_exact_at(&mut buf[(at - offset) as usize..], at)?;
        }
        let ranges = &self.survey.ranges;
        let next = ranges.partition_point(|range| range.end <= offset);
        for range in ranges[next..].iter().take_while(|range| range.start < end) {
            let part = range.start.max(offset)..range.end.min(end);
            buf[(part.start - offset) as usize..(part.end - offset) as usize].fill(0);
        }
        let patches = &self.survey.patches;
        let behind = |(start, patch): &(u64, Patch)| start + patch.offset + u64::from(patch.len) <= offset;
        let next = patches.partition_point(behind);
        for patch in patches[next..].iter().take_while(|(start, patch)| start + patch.offset < end) {
            self.patch(patch, buf, offset)?;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.size()
    }
}

impl BlockMap for Trimmed {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let Some(below) = self.disk.range_at(offset)? else { return Ok(None) };
        let next = self.holes.partition_point(|range| range.end <= offset);
        let before = next.checked_sub(1).map_or(0, |last| self.holes[last].end);
        let after = self.holes.get(next);
        if let Some(hole) = after.filter(|hole| hole.start <= offset) {
            let len = hole.end - hole.start;
            return Ok(Some(MappedRange { start: hole.start, len, kind: RangeKind::Zero }));
        }
        let start = below.start.max(before);
        let end = (below.start + below.len).min(after.map_or(u64::MAX, |hole| hole.start));
        Ok(Some(MappedRange { start, len: end - start, kind: below.kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_file::Ranges;

    struct Memory(Vec<u8>, u64);

    impl ReadAt for Memory {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            self.0.read_exact_at(buf, offset)
        }
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }
    }

    /// Stored up to a byte, and zero behind it.
    impl BlockMap for Memory {
        fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
            let len = self.0.len() as u64;
            let range = |start, end, kind| Some(MappedRange { start, len: end - start, kind });
            Ok(match offset {
                offset if offset >= len => None,
                offset if offset < self.1 => range(0, self.1, RangeKind::Data),
                _ => range(self.1, len, RangeKind::Zero),
            })
        }
    }

    #[test]
    fn reads_are_the_same_however_they_are_cut() {
        let mut bytes = vec![0xEE; 40_000];
        bytes[30_000..].fill(0);
        let ranges = vec![10..20, 500..501, 4096..9000, 9100..9200, 12_288..20_480, 29_000..30_500];
        let mut expected = bytes.clone();
        for range in &ranges {
            expected[range.start as usize..range.end as usize].fill(0);
        }
        let survey = Survey { ranges, ..Survey::default() };
        let trimmed = Trimmed::new(Arc::new(Memory(bytes, 30_000)), survey);
        for len in [1usize, 7, 100, 4096, 10_000, 40_000] {
            let mut found = vec![0xDD; 40_000];
            for (i, part) in found.chunks_mut(len).enumerate() {
                trimmed.read_exact_at(part, (i * len) as u64).unwrap();
            }
            assert!(found == expected, "in pieces of {len}");
        }
        assert!(trimmed.read_exact_at(&mut [0; 2], 39_999).is_err());
        let data: Vec<_> = Ranges::of(&trimmed)
            .map(Result::unwrap)
            .filter(|range| range.kind == RangeKind::Data)
            .map(|range| (range.start, range.start + range.len))
            .collect();
        assert_eq!(data, [(0, 4096), (9000, 12_288), (20_480, 30_000)]);
    }
}
