//! A file as it will be once its log is replayed. The file itself is never written.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use disk::{MappedRange, RangeKind, ReadAt};

use crate::layout::LOG_SECTOR;

/// What a part of the file is replaced with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Zero,
    /// One sector: its copy in the log, whose first eight and last four bytes are elsewhere.
    Sector {
        at: u64,
        leading: [u8; 8],
        trailing: [u8; 4],
    },
}

#[derive(Clone, Copy, Debug)]
struct Change {
    end: u64,
    source: Source,
}

/// Changes in the order in which they were logged; the later win. All begin and end on multiples of [`LOG_SECTOR`], and
/// those that are not zeros are one sector long.
#[derive(Debug, Default)]
pub(crate) struct Changes(BTreeMap<u64, Change>);

impl Changes {
    pub(crate) fn insert(&mut self, start: u64, end: u64, source: Source) {
        debug_assert!(start.is_multiple_of(LOG_SECTOR) && end.is_multiple_of(LOG_SECTOR), "whole sectors");
        if start == end {
            return;
        }
        // What is cut in two by the new one can only be zeros.
        if let Some((_, before)) = self.0.range_mut(..start).next_back()
            && before.end > start
        {
            let rest = *before;
            before.end = start;
            if rest.end > end {
                self.0.insert(end, rest);
            }
        }
        while let Some((&first, &covered)) = self.0.range(start..end).next() {
            self.0.remove(&first);
            if covered.end > end {
                self.0.insert(end, covered);
            }
        }
        self.0.insert(start, Change { end, source });
    }
}

pub(crate) struct Overlay {
    file: Arc<dyn ReadAt>,
    /// The real length of the file.
    file_len: u64,
    /// The length that it has once the log is replayed; what is added is zero.
    len: u64,
    /// Start and change, ascending and disjoint.
    changes: Vec<(u64, Change)>,
}

impl Overlay {
    pub(crate) fn new(file: Arc<dyn ReadAt>, file_len: u64, len: u64, changes: Changes) -> Self {
        Self { file, file_len, len, changes: changes.0.into_iter().collect() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What lies below all changes.
    fn read_file(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let stored = self.file_len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (stored, added) = buf.split_at_mut(stored);
        added.fill(0);
        if stored.is_empty() { Ok(()) } else { self.file.read_exact_at(stored, offset) }
    }

    fn read_change(&self, source: Source, buf: &mut [u8], inside: u64) -> io::Result<()> {
        match source {
            Source::Zero => buf.fill(0),
            Source::Sector { at, leading, trailing } => {
                let mut sector = [0; LOG_SECTOR as usize];
                self.file.read_exact_at(&mut sector, at)?;
                sector[..8].copy_from_slice(&leading);
                sector[LOG_SECTOR as usize - 4..].copy_from_slice(&trailing);
                buf.copy_from_slice(&sector[inside as usize..][..buf.len()]);
            }
        }
        Ok(())
    }
}

impl ReadAt for Overlay {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the end of the VHDX"));
        }
        let mut next = self.changes.partition_point(|(_, change)| change.end <= offset);
        while !buf.is_empty() {
            let (len, change) = match self.changes.get(next) {
                Some((start, change)) if *start <= offset => (change.end - offset, Some((*start, change))),
                Some((start, _)) => (start - offset, None),
                None => (u64::MAX, None),
            };
            let (part, rest) = buf.split_at_mut(len.min(buf.len() as u64) as usize);
            match change {
                Some((start, change)) => {
                    self.read_change(change.source, part, offset - start)?;
                    next += 1;
                }
                None => self.read_file(part, offset)?,
            }
            offset += part.len() as u64;
            buf = rest;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        if self.changes.is_empty() && self.len == self.file_len {
            return self.file.stored_at(offset);
        }
        let all = MappedRange { start: 0, len: self.len, kind: RangeKind::Data };
        Ok((offset < self.len).then_some(all))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: usize = LOG_SECTOR as usize;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Against writing the same into memory.
        #[test]
        fn later_changes_win(changes in prop::collection::vec((0usize..24, 0usize..9, any::<bool>()), 0..20)) {
            // A "log" of 32 sectors behind a file of 24, which ends after the 20th.
            let mut file = vec![0xAB; 20 * S];
            let mut expected = file.clone();
            expected.resize(24 * S, 0);
            let mut log = Vec::new();
            let mut made = Changes::default();
            for (index, (start, len, zero)) in changes.into_iter().enumerate() {
                let end = if zero { (start + len).min(24) } else { start + 1 };
                let source = if zero {
                    expected[start * S..end * S].fill(0);
                    Source::Zero
                } else {
                    let sector: Vec<u8> = (0..S).map(|at| (at * 7 + index) as u8).collect();
                    expected[start * S..end * S].copy_from_slice(&sector);
                    let at = (20 * S + log.len()) as u64;
                    log.extend_from_slice(b"data0123");
                    log.extend_from_slice(&sector[8..S - 4]);
                    log.extend_from_slice(b"tail");
                    Source::Sector { at, leading: *sector.first_chunk().unwrap(), trailing: *sector.last_chunk().unwrap() }
                };
                made.insert((start * S) as u64, (end * S) as u64, source);
            }
            file.extend_from_slice(&log);
            let overlay = Overlay::new(Arc::new(file), 20 * S as u64, 24 * S as u64, made);
            for (offset, len) in [(0, 24 * S), (1, 24 * S - 2), (3 * S - 5, 10), (5 * S + 7, 9 * S)] {
                let mut read = vec![1; len];
                overlay.read_exact_at(&mut read, offset as u64).unwrap();
                prop_assert!(read == expected[offset..offset + len]);
            }
            prop_assert!(overlay.read_exact_at(&mut [0; 2], 24 * S as u64 - 1).is_err());
        }
    }
}
