//! Where file data lies: in the order of the blobs, each stream in one run.
//!
//! Streams of 32 KiB or more begin on the alignment; what that leaves empty is filled with the small streams that
//! follow, first fit, but only while the hole is near: whoever writes the volume front to back reads its source in this
//! order, and must not have to reach far ahead. Streams of one blob lie next to each other, so that it is decoded once.

use std::collections::VecDeque;

use crate::node::Source;

/// Streams from this length on are aligned.
const LARGE: u64 = 32 * 1024;
/// A hole is filled while no more than this many bytes of the volume lie behind it.
const WINDOW: u64 = 8 << 20;
/// Holes that are watched at a time.
const MAX_HOLES: usize = 64;

/// A stream in clusters, in the order in which they are laid out.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Where its first cluster goes among the runs of all files.
    pub(crate) slot: u32,
    pub(crate) node: u32,
    pub(crate) source: Source,
    pub(crate) is_named: bool,
    /// Clusters it takes.
    pub(crate) clusters: u32,
}

/// A hole between streams.
pub(crate) type Hole = (u64, u64);

/// The outcome.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// First cluster of each stream.
    pub(crate) lcns: Vec<u64>,
    /// Clusters that stay free, ascending.
    pub(crate) holes: Vec<Hole>,
    /// The cluster after the last.
    pub(crate) end: u64,
}

/// Places `streams` from cluster `start` on. `alignment` is in bytes; up to a cluster it has no effect.
pub(crate) fn place(streams: &[Stream], start: u64, cluster: u32, alignment: u64) -> Placed {
    let alignment = (alignment / u64::from(cluster)).max(1);
    let window = WINDOW / u64::from(cluster);
    let mut placed = Placed { lcns: Vec::with_capacity(streams.len()), ..Placed::default() };
    let mut holes: VecDeque<Hole> = VecDeque::new();
    let mut end = start;
    for group in streams.chunk_by(same_blob) {
        let together: u64 = group.iter().map(|stream| u64::from(stream.clusters)).sum();
        // Named streams are not what anybody re-codes chunk by chunk, so the gaps would buy nothing.
        let large = group[0].source.len() >= LARGE && alignment > 1 && !group[0].is_named;
        if !large {
            while holes.front().is_some_and(|&(at, _)| end - at > window) {
                placed.holes.extend(holes.pop_front());
            }
            let hole = holes.iter_mut().find(|hole| hole.1 >= together);
            let at = match hole {
                Some((at, len)) => {
                    let found = *at;
                    *at += together;
                    *len -= together;
                    found
                }
                None => {
                    end += together;
                    end - together
                }
            };
            holes.retain(|hole| hole.1 > 0);
            let mut next = at;
            for stream in group {
                placed.lcns.push(next);
                next += u64::from(stream.clusters);
            }
            continue;
        }
        for stream in group {
            let at = end.next_multiple_of(alignment);
            if at > end {
                if holes.len() == MAX_HOLES {
                    placed.holes.extend(holes.pop_front());
                }
                holes.push_back((end, at - end));
            }
            placed.lcns.push(at);
            end = at + u64::from(stream.clusters);
        }
    }
    placed.holes.extend(holes);
    placed.holes.sort_unstable();
    placed.end = end;
    placed
}

fn same_blob(a: &Stream, b: &Stream) -> bool {
    matches!(
        (&a.source, &b.source),
        (Source::Blob { blob: a, .. }, Source::Blob { blob: b, .. }) if a == b
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(blob: u32, len: u64) -> Stream {
        let clusters = len.div_ceil(4096) as u32;
        Stream { slot: 0, node: 0, source: Source::Blob { blob, len }, is_named: false, clusters }
    }

    #[test]
    fn small_streams_fill_the_gaps_that_alignment_leaves() {
        let streams = [
            stream(0, 4096),
            stream(1, 100_000), // 25 clusters
            stream(2, 4096 * 14),
            stream(3, 4096 * 2),
            stream(4, 4096 * 5),
        ];
        let placed = place(&streams, 0, 4096, 65_536);
        assert_eq!(placed.lcns, [0, 16, 48, 1, 3]);
        assert_eq!(placed.holes, [(8, 8), (41, 7)]);
        assert_eq!(placed.end, 62);
        let tight = place(&streams, 0, 4096, 0);
        assert_eq!(tight.lcns, [0, 1, 26, 40, 42]);
        assert_eq!(tight.holes, []);
    }

    #[test]
    fn streams_of_one_blob_stay_together() {
        let streams = [stream(0, 40_000), stream(1, 40_000), stream(2, 20_000), stream(2, 20_000)];
        let placed = place(&streams, 0, 4096, 65_536);
        assert_eq!(placed.lcns, [0, 16, 26, 31]);
    }

    proptest! {
        #[test]
        fn every_cluster_once(lens in prop::collection::vec((0u32..40, 1u64..200_000), 1..60), start in 0u64..50) {
            // A blob has one length.
            let lens: std::collections::BTreeMap<_, _> = lens.into_iter().collect();
            let lens = lens.into_iter().flat_map(|(blob, len)| vec![(blob, len); 1 + blob as usize % 3]);
            let lens: Vec<_> = lens.collect();
            let streams: Vec<_> = lens.iter().map(|&(blob, len)| stream(blob, len)).collect();
            let placed = place(&streams, start, 4096, 65_536);
            let mut ranges: Vec<_> =
                placed.lcns.iter().zip(&streams).map(|(&lcn, s)| (lcn, u64::from(s.clusters))).collect();
            ranges.extend(&placed.holes);
            ranges.sort_unstable();
            let mut at = start;
            for (lcn, len) in ranges {
                prop_assert_eq!(lcn, at);
                at += len;
            }
            prop_assert_eq!(at, placed.end);
            for (&lcn, stream) in placed.lcns.iter().zip(&streams) {
                prop_assert!(stream.source.len() < LARGE || lcn % 16 == 0);
            }
        }
    }
}
