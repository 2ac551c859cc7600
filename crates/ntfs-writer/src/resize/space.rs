//! Clusters: which are in use, and where there is room.

use std::collections::BTreeSet;
use std::ops::Range;

/// A bit for each cluster, in the size that the volume is to have, and the free ranges by their length.
pub(super) struct Space {
    bits: Vec<u8>,
    clusters: u64,
    /// Length and start of each free range.
    free: BTreeSet<(u64, u64)>,
}

impl Space {
    /// Takes the bits of the old volume, of which the first `known` count; clusters behind them are free. The length is that
    /// of `$Bitmap` on a volume of `clusters` clusters, and bits behind the last are set, as they lie there.
    pub(super) fn new(mut bits: Vec<u8>, known: u64, clusters: u64) -> Self {
        bits.resize((clusters.div_ceil(64) * 8) as usize, 0);
        let mut space = Self { bits, clusters, free: BTreeSet::new() };
        let end = space.bits.len() as u64 * 8;
        (known.min(end)..end.min(known.next_multiple_of(8))).for_each(|bit| space.put(bit, false));
        let from = known.div_ceil(8);
        if let Some(rest) = usize::try_from(from).ok().and_then(|from| space.bits.get_mut(from..)) {
            rest.fill(0);
        }
        (clusters..end).for_each(|bit| space.put(bit, true));
        space.free = space.ranges().map(|range| (range.end - range.start, range.start)).collect();
        space
    }

    fn put(&mut self, cluster: u64, used: bool) {
        let (byte, bit) = (&mut self.bits[(cluster / 8) as usize], 1 << (cluster % 8));
        *byte = if used { *byte | bit } else { *byte & !bit };
    }

    fn is_used(&self, cluster: u64) -> bool {
        self.bits[(cluster / 8) as usize] >> (cluster % 8) & 1 == 1
    }

    /// The free ranges, ascending.
    fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let next = |mut at: u64, used: bool| {
                let whole = if used { 0 } else { 0xFF };
                while at < self.clusters && self.is_used(at) != used {
                    let skip = at.is_multiple_of(8) && self.bits[(at / 8) as usize] == whole;
                    at += if skip { 8 } else { 1 };
                }
                at.min(self.clusters)
            };
            let start = next(at, false);
            at = next(start, true);
            (start < at).then_some(start..at)
        })
    }

    /// The bytes of `$Bitmap`.
    pub(super) fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// Clusters that there are.
    pub(super) fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Takes neighbours, from the smallest range that has as many; `None` when none has.
    pub(super) fn take(&mut self, clusters: u64) -> Option<u64> {
        let (len, start) = *self.free.range((clusters, 0)..).next()?;
        self.take_from((len, start), clusters);
        Some(start)
    }

    /// Takes clusters in pieces, as few as possible; `None` when there are not as many.
    pub(super) fn take_pieces(&mut self, mut clusters: u64) -> Option<Vec<Range<u64>>> {
        let mut pieces = Vec::new();
        while clusters > 0 {
            if let Some(start) = self.take(clusters) {
                pieces.push(start..start + clusters);
                break;
            }
            let (len, start) = *self.free.last()?;
            self.take_from((len, start), len);
            pieces.push(start..start + len);
            clusters -= len;
        }
        Some(pieces)
    }

    /// Takes `clusters` from `start` on, when they are free.
    pub(super) fn take_at(&mut self, start: u64, clusters: u64) -> bool {
        let range = self.free.iter().find(|(len, at)| *at == start && *len >= clusters).copied();
        range.inspect(|range| self.take_from(*range, clusters)).is_some()
    }

    fn take_from(&mut self, (len, start): (u64, u64), clusters: u64) {
        self.free.remove(&(len, start));
        if len > clusters {
            self.free.insert((len - clusters, start + clusters));
        }
        (start..start + clusters).for_each(|cluster| self.put(cluster, true));
    }

    /// Gives clusters back. They are not taken again.
    pub(super) fn give(&mut self, clusters: Range<u64>) {
        (clusters.start..clusters.end.min(self.clusters)).for_each(|cluster| self.put(cluster, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_behind_the_end_is_set_and_what_is_new_is_free() {
        let space = Space::new(vec![0x0F, 0xFF], 12, 100);
        assert_eq!(space.bits().len(), 16);
        assert_eq!(space.bits()[..4], [0x0F, 0x0F, 0, 0]);
        assert_eq!(space.bits()[12..], [0xF0, 0xFF, 0xFF, 0xFF]);
        assert_eq!(space.ranges().collect::<Vec<_>>(), [4..8, 12..100]);
        let small = Space::new(vec![0x0F, 0xFF], 12, 6);
        assert_eq!(small.bits(), [0xCF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(small.free, BTreeSet::from([(2, 4)]));
        // Of a volume of which a processor of 32 bits cannot count the bytes of the bitmap.
        let huge = Space::new(vec![0x0F, 0xFF], (1 << 35) + 8, 16);
        assert_eq!(huge.bits()[..2], [0x0F, 0xFF]);
    }

    #[test]
    fn the_smallest_range_that_does() {
        let mut space = Space::new(vec![0b1110_0111, 0xF0, 0xFF], 24, 24);
        assert_eq!(space.take(2), Some(3));
        assert_eq!(space.take(3), Some(8));
        assert_eq!(space.take(2), None);
        assert_eq!(space.take_pieces(2), None);
        let mut space = Space::new(vec![0b1110_0111, 0xF0, 0xFF], 24, 24);
        assert!(space.take_at(8, 1) && !space.take_at(8, 1));
        assert_eq!(space.take_pieces(4), Some(vec![9..12, 3..4]));
        space.give(9..10);
        assert_eq!(space.bits()[1], 0xFD);
    }
}
