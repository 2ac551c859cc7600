//! The disks of the matrix: raw, sparse, reproducible.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;

pub(super) use testkit::content::noise;

use super::{GIB, TIB};

const MIB: u64 = 1 << 20;

/// A disk that is zero but for some pieces.
pub(super) struct Source {
    pub name: &'static str,
    /// In bytes.
    pub size: u64,
    /// Offset and bytes, ascending and apart.
    pieces: Vec<(u64, Vec<u8>)>,
}

/// Text that compresses.
fn text(len: usize) -> Vec<u8> {
    (0u32..).flat_map(|line| format!("{line} blocks in a row, ").into_bytes()).take(len).collect()
}

impl Source {
    /// All of them.
    pub(super) fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Source>> = LazyLock::new(Source::make);
        &ALL
    }

    /// 129 MiB with everything.
    pub(super) fn mixed() -> &'static Self {
        Self::all().iter().find(|source| source.name == "mixed").expect("one of them")
    }

    fn make() -> Vec<Self> {
        vec![
            Self { name: "empty", size: 3 * MIB, pieces: Vec::new() },
            // Begins and ends inside blocks of every size; one sector more than whole grains and clusters.
            Self {
                name: "odd",
                size: 5 * MIB + 5 * 512,
                pieces: vec![(512, noise(1, 100_000)), (5 * MIB - 700, noise(2, 700 + 5 * 512))],
            },
            Self { name: "block", size: 48 * MIB, pieces: vec![(34 * MIB, noise(3, 2 << 20))] },
            Self::make_mixed(),
            Self::sparse("127GiB", 127 * GIB),
            Self::sparse("2040GiB", 2040 * GIB),
            Self::sparse("64TiB", 64 * TIB),
        ]
    }

    /// 129 MiB with everything: text, noise, lone bytes, short and long gaps, something in the first and the last sector.
    fn make_mixed() -> Self {
        let mut pieces = vec![(0, noise(4, 512)), (100_000, text(600_000)), (2 * MIB - 1, vec![0x78])];
        pieces.push((3 * MIB, noise(5, 300_000)));
        // Blocks that share a cluster, a grain, and a block of 2 MiB with nothing.
        pieces.extend((0..40).map(|index| (8 * MIB + index * 150_000, noise(index + 6, 1000))));
        pieces.push((32 * MIB - 70_000, noise(50, 140_000)));
        pieces.push((40 * MIB, text(9_000_000)));
        pieces.push((64 * MIB, noise(51, 20 << 20)));
        pieces.push((98 * MIB + 5, text(500_000)));
        pieces.push((129 * MIB - 1, vec![0xEE]));
        Self { name: "mixed", size: 129 * MIB, pieces }
    }

    /// A large disk with a little at its ends, at places where numbers grow a bit, and in between.
    fn sparse(name: &'static str, size: u64) -> Self {
        let mut places = vec![0, size / 3 / 4096 * 4096 + 512, size - 90_112];
        // The ends of 2 GiB, of 4 GiB, of 32-bit sector numbers; the seam of VMware's extents.
        places.extend([2 * GIB, 4 * GIB, 2 * TIB, 4_192_256 * 512].map(|end| end - 66_048));
        places.retain(|place| *place < size);
        places.sort_unstable();
        let pieces = places.into_iter().zip(60..).map(|(place, seed)| (place, noise(seed, 90_112)));
        Self { name, size, pieces: pieces.collect() }
    }

    /// Whether all of it may be read.
    pub(super) fn is_small(&self) -> bool {
        self.size < GIB
    }

    /// The bytes of a range.
    pub(super) fn bytes(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for (at, piece) in &self.pieces {
            let end = at + piece.len() as u64;
            let (start, end) = (range.start.max(*at), range.end.min(end));
            if start < end {
                let to = (start - range.start) as usize..(end - range.start) as usize;
                bytes[to].copy_from_slice(&piece[(start - at) as usize..(end - at) as usize]);
            }
        }
        bytes
    }

    /// The ranges that are compared: all of a small disk; of a large one every piece with what is around it, and some of
    /// what is nowhere near. They begin on multiples of 64 KiB.
    pub(super) fn probes(&self) -> Vec<Range<u64>> {
        if self.is_small() {
            return std::iter::once(0..self.size).collect();
        }
        let around = |at: u64, len: u64| {
            let start = at.saturating_sub(128 << 10) & !0xFFFF;
            start..(at + len + (128 << 10)).next_multiple_of(64 << 10).min(self.size)
        };
        let mut probes: Vec<_> =
            self.pieces.iter().map(|(at, piece)| around(*at, piece.len() as u64)).collect();
        probes.extend((1..8).map(|part| around(self.size / 8 * part, 0)));
        probes
    }

    /// Writes it to a new file with holes. An error is the file system's, which may not have files so large.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let file = File::create_new(path)?;
        file.set_len(self.size)?;
        for (at, piece) in &self.pieces {
            file.write_all_at(piece, *at)?;
        }
        Ok(())
    }
}
