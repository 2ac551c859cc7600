use std::ops::Range;

/// Blocks that lie together, on the disk and in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes, never 0; a whole number of blocks, the last of which may pass the disk's end.
    pub len: u64,
    /// First byte in the file.
    pub file: u64,
}

impl Run {
    /// The byte after the last, on the disk.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Its blocks of `size` bytes: the number of each on the disk, and its first byte in the file.
    pub fn blocks(&self, size: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
        let Self { start, len, file } = *self;
        (0..len / size).map(move |block| (start / size + block, file + block * size))
    }
}

/// An allocated range that comes before the one before it, or passes the end of the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "allocated range {:#x}..{:#x} is out of order or past the disk's end {disk:#x}",
    range.start,
    range.end
)]
pub struct Misplaced {
    range: Range<u64>,
    disk: u64,
}

/// Which blocks of a disk a container stores, and where: one behind the other, in the order of the disk.
///
/// The plan of every container that has its tables before its data. Memory: 24 bytes for blocks that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    runs: Vec<Run>,
    /// Length of the disk in bytes.
    disk: u64,
    /// Where in the file the first block lies, and where the last ends.
    file: Range<u64>,
}

impl Runs {
    /// Every block of `block` bytes that `allocated` touches, in a file that begins with them. `allocated` are byte ranges
    /// of a disk of `disk` bytes, ascending and disjoint, such as [`ExtentMap::allocated`](crate::ExtentMap::allocated)
    /// gives them.
    ///
    /// # Errors
    /// For the first range that is not what it should be.
    ///
    /// # Panics
    /// When `block` is 0, or the blocks pass 2^64 bytes: containers check the size of their disk first.
    pub fn new(
        disk: u64,
        block: u64,
        allocated: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self, Misplaced> {
        let mut runs: Vec<Run> = Vec::new();
        let (mut previous, mut stored) = (0, 0);
        for range in allocated {
            if range.start < previous || range.start > range.end || range.end > disk {
                return Err(Misplaced { range, disk });
            }
            previous = range.end;
            if range.is_empty() {
                continue;
            }
            let last = runs.last_mut();
            let stored_to = last.as_ref().map_or(0, |run| run.end());
            let start = (range.start / block * block).max(stored_to);
            let end = range.end.checked_next_multiple_of(block).expect("the disk's size was checked");
            let Some(len) = end.checked_sub(start).filter(|len| *len > 0) else { continue };
            match last {
                Some(last) if stored_to == start => last.len += len,
                _ => runs.push(Run { start, len, file: stored }),
            }
            stored += len;
        }
        Ok(Self { runs, disk, file: 0..stored })
    }

    /// A file that is the disk.
    pub fn whole(disk: u64) -> Self {
        Self { runs: vec![Run { start: 0, len: disk, file: 0 }], disk, file: 0..disk }
    }

    /// The same blocks, the first of which lies at byte `file` of the file.
    ///
    /// # Panics
    /// When the file would pass 2^64 bytes.
    pub fn starting_at(mut self, file: u64) -> Self {
        let stored = self.stored();
        let end = file.checked_add(stored).expect("the disk's size was checked");
        for run in &mut self.runs {
            run.file = run.file - self.file.start + file;
        }
        self.file = file..end;
        self
    }

    /// Length of the disk in bytes.
    pub fn disk_size(&self) -> u64 {
        self.disk
    }

    /// How many bytes of the file are blocks.
    pub fn stored(&self) -> u64 {
        self.file.end - self.file.start
    }

    /// The part of the file that is blocks.
    pub fn file(&self) -> Range<u64> {
        self.file.clone()
    }

    /// All runs, in order, never adjacent on the disk.
    pub fn iter(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().copied()
    }

    /// What of the runs lies in `range` of the disk.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Run> {
        let first = self.runs.partition_point(|run| run.end() <= range.start);
        self.runs[first..].iter().take_while(move |run| run.start < range.end).map(move |run| {
            let start = run.start.max(range.start);
            Run { start, len: run.end().min(range.end) - start, file: run.file + (start - run.start) }
        })
    }

    /// The numbers of the spans of `span` bytes of the disk that hold anything of the runs, ascending: those that need a
    /// table, where a table maps a span.
    pub fn spans(&self, span: u64) -> impl Iterator<Item = u64> {
        let mut next = 0;
        self.runs.iter().flat_map(move |run| {
            let first = (run.start / span).max(next);
            next = run.end().div_ceil(span);
            first..next
        })
    }

    /// Where in the file the `len` bytes at byte `offset` of the disk lie; `None` when not all of them are stored or on the
    /// disk. What is together on the disk is together in the file.
    pub fn place(&self, offset: u64, len: u64) -> Option<u64> {
        let run = &self.runs[self.runs.partition_point(|run| run.start <= offset).checked_sub(1)?];
        let end = offset.checked_add(len)?;
        (end <= run.end() && end <= self.disk).then(|| run.file + (offset - run.start))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: u64 = 16;

    fn runs(disk: u64, allocated: &[Range<u64>]) -> Result<Runs, Misplaced> {
        Runs::new(disk, BLOCK, allocated.iter().cloned())
    }

    #[test]
    fn blocks_are_stored_once_and_neighbours_merge() {
        let runs = runs(100, &[3..5, 5..5, 6..17, 40..40, 50..51, 99..100]).unwrap().starting_at(1000);
        let expected = [(0, 32, 1000), (48, 16, 1032), (96, 16, 1048)];
        assert_eq!(runs.iter().map(|run| (run.start, run.len, run.file)).collect::<Vec<_>>(), expected);
        assert_eq!((runs.stored(), runs.file(), runs.disk_size()), (64, 1000..1064, 100));
        assert_eq!(runs.iter().next().unwrap().blocks(BLOCK).collect::<Vec<_>>(), [(0, 1000), (1, 1016)]);
        assert_eq!(runs.spans(32).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(runs.spans(64).collect::<Vec<_>>(), [0, 1]);
        let cut: Vec<_> = runs.within(20..50).map(|run| (run.start, run.len, run.file)).collect();
        assert_eq!(cut, [(20, 12, 1020), (48, 2, 1032)]);
    }

    #[test]
    fn places_are_all_there_or_none() {
        let runs = runs(100, &[16..32, 64..100]).unwrap().starting_at(8);
        assert_eq!(runs.place(20, 12), Some(12));
        assert_eq!(runs.place(20, 13), None);
        assert_eq!(runs.place(15, 1), None);
        assert_eq!(runs.place(64, 36), Some(24));
        assert_eq!(runs.place(99, 2), None, "past the disk's end, inside the last block");
        assert_eq!(runs.place(64, u64::MAX), None);
        assert_eq!(Runs::whole(100).place(7, 93), Some(7));
    }

    #[test]
    #[allow(
        clippy::reversed_empty_ranges,
        clippy::single_range_in_vec_init,
        reason = "that is what is tested"
    )]
    fn ranges_ascend_and_lie_on_the_disk() {
        for wrong in [&[0..101][..], &[10..20, 19..30], &[30..20], &[40..40, 30..40]] {
            assert!(runs(100, wrong).is_err(), "{wrong:?}");
        }
        let error = runs(100, &[0..101]).unwrap_err().to_string();
        assert_eq!(error, "allocated range 0x0..0x65 is out of order or past the disk's end 0x64");
    }

    proptest! {
        #[test]
        fn every_byte_of_a_touched_block_has_a_place_of_its_own(
            cuts in proptest::collection::btree_set(0u64..500, 0..20),
        ) {
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let allocated: Vec<Range<u64>> = cuts.chunks_exact(2).map(|cut| cut[0]..cut[1]).collect();
            let runs = runs(500, &allocated).unwrap().starting_at(77);
            let mut next = 77;
            for block in 0..500u64.div_ceil(BLOCK) {
                let bytes = block * BLOCK..(block + 1) * BLOCK;
                let touched = allocated.iter().any(|range| range.start < bytes.end && range.end > bytes.start);
                prop_assert_eq!(runs.place(bytes.start, 1), touched.then_some(next));
                next += if touched { BLOCK } else { 0 };
            }
            prop_assert_eq!(runs.file(), 77..next);
        }
    }
}
