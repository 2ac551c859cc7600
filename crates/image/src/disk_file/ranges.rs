//! Walking a block map.

use std::io;
use std::ops::Range;

use disk::{BlockMap, MappedRange, RangeKind};

/// The ranges of a disk, neighbours of one kind merged.
pub(crate) struct Ranges<'a> {
    disk: &'a dyn BlockMap,
    /// The next byte; `None` at the end, and after an error.
    at: Option<u64>,
}

impl<'a> Ranges<'a> {
    pub(crate) fn of(disk: &'a dyn BlockMap) -> Self {
        Self { disk, at: Some(0) }
    }

    /// The ranges that a disk stores, in order, none adjacent.
    pub(crate) fn stored(disk: &'a dyn BlockMap) -> io::Result<Vec<Range<u64>>> {
        let mut stored = Vec::new();
        for range in Self::of(disk) {
            let range = range?;
            if range.kind == RangeKind::Data {
                stored.push(range.start..range.start + range.len);
            }
        }
        Ok(stored)
    }

    /// What the map says from `at` on.
    fn at(&self, at: u64) -> io::Result<Option<MappedRange>> {
        let Some(range) = self.disk.range_at(at)? else { return Ok(None) };
        let end = range.start.saturating_add(range.len);
        if end <= at || range.start > at {
            return Err(io::Error::other(format!("a block map that says nothing of byte {at:#x}")));
        }
        Ok(Some(MappedRange { start: at, len: end - at, kind: range.kind }))
    }
}

impl Iterator for Ranges<'_> {
    type Item = io::Result<MappedRange>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.take()?;
        let mut merged: Option<MappedRange> = None;
        loop {
            let at = merged.map_or(start, |merged| merged.start + merged.len);
            match (self.at(at), &mut merged) {
                (Err(error), _) => return Some(Err(error)),
                (Ok(None), _) => return merged.map(Ok),
                (Ok(Some(next)), Some(merged)) if next.kind == merged.kind => merged.len += next.len,
                (Ok(Some(_)), Some(merged)) => {
                    self.at = Some(at);
                    return Some(Ok(*merged));
                }
                (Ok(Some(next)), None) => merged = Some(next),
            }
        }
    }
}
