//! What of a disk its container stores, and what other containers would.

use std::ops::Range;

use disk::{ExtentMap, RangeKind};
use picture::Container;

use crate::{DiskFile, Result};

/// The stored ranges of a disk.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Sorted, disjoint.
    ranges: Vec<Range<u64>>,
    /// Bytes of all ranges before each.
    before: Vec<u64>,
    total: u64,
}

impl Stored {
    pub(super) fn of(disk: &DiskFile) -> Result<Self> {
        let mut stored = Self { ranges: Vec::new(), before: Vec::new(), total: 0 };
        for range in disk.ranges() {
            let range = range?;
            if range.kind == RangeKind::Data {
                stored.ranges.push(range.start..range.start + range.len);
                stored.before.push(stored.total);
                stored.total += range.len;
            }
        }
        Ok(stored)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How much of a range is stored.
    pub(super) fn within(&self, range: Range<u64>) -> u64 {
        self.before_byte(range.end).saturating_sub(self.before_byte(range.start))
    }

    fn before_byte(&self, at: u64) -> u64 {
        let next = self.ranges.partition_point(|range| range.start < at);
        let Some(last) = next.checked_sub(1) else { return 0 };
        let range = &self.ranges[last];
        self.before[last] + (at.min(range.end) - range.start)
    }

    /// The stored parts of a range.
    pub(super) fn ranges(&self, within: Range<u64>) -> Vec<Range<u64>> {
        let first = self.ranges.partition_point(|range| range.end <= within.start);
        let ranges = self.ranges[first..].iter().take_while(|range| range.start < within.end);
        ranges.map(|range| range.start.max(within.start)..range.end.min(within.end)).collect()
    }

    /// Where the stored byte number `index` lies.
    pub(super) fn nth(&self, index: u64) -> Option<u64> {
        let next = self.before.partition_point(|&before| before <= index);
        let last = next.checked_sub(1)?;
        let range = &self.ranges[last];
        let at = range.start + (index - self.before[last]);
        (at < range.end).then_some(at)
    }
}

/// What containers store of a planned disk, by their blocks. (What their tables take besides is below a thousandth.)
pub(super) fn containers(map: &ExtentMap) -> Vec<Container> {
    const KINDS: [(&str, u64); 4] = [
        ("raw, as a sparse file", 4 << 10),
        ("qcow2, vmdk-sparse", 64 << 10),
        ("vdi", 1 << 20),
        ("vhd, vhdx", 2 << 20),
    ];
    let of = |block| map.allocated(block).map(|range| range.end - range.start).sum();
    let kind = |name: &str, bytes| Container { name: name.to_owned(), bytes };
    let found = KINDS.iter().map(|&(name, block)| kind(name, of(block)));
    found.chain([kind("raw, vhd-fixed, vhdx-fixed, vmdk-flat", map.len())]).collect()
}
