//! Cutting the disk into units.

use std::iter::Peekable;
use std::ops::Range;

use disk::{Allocated, ExtentMap, PieceContent};

use super::BlobStore;

/// A range of the disk that one worker renders.
#[derive(Debug)]
pub(super) struct Unit {
    /// Units are numbered from 0 in disk order.
    pub(super) ticket: u64,
    /// First byte on the disk.
    pub(super) offset: u64,
    /// Length in bytes.
    pub(super) len: u64,
    /// The blob parts in this unit that no unit before has: what this unit's worker hashes.
    pub(super) to_hash: Vec<BlobPart>,
}

/// A part of a blob, where it lies on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlobPart {
    pub(super) blob: u32,
    /// Where in the blob it begins.
    pub(super) offset: u64,
    /// First byte on the disk.
    pub(super) start: u64,
    pub(super) len: u64,
}

/// The units of a disk, in order.
pub(super) struct Units<'a> {
    map: &'a ExtentMap,
    store: &'a dyn BlobStore,
    allocated: Peekable<Allocated<'a>>,
    granularity: u64,
    target: u64,
    ticket: u64,
    /// Per blob, up to where its parts were handed out for hashing. Copies of a blob come again and are not.
    hashed: Vec<u64>,
    /// What is left of the allocated range at hand.
    rest: Range<u64>,
}

impl<'a> Units<'a> {
    pub(super) fn new(map: &'a ExtentMap, store: &'a dyn BlobStore, granularity: u64, target: u64) -> Self {
        Self {
            map,
            store,
            allocated: map.allocated(granularity).peekable(),
            granularity,
            target: target.max(granularity),
            ticket: 0,
            hashed: vec![0; store.blob_count()],
            rest: 0..0,
        }
    }

    /// The ticket that the next unit will have.
    pub(super) fn next_ticket(&self) -> u64 {
        self.ticket
    }

    /// Where to cut the range that starts at `start`: about `target` bytes on, on the granularity, and if possible where
    /// no compressed chunk is cut in two, since both its units would decode it.
    fn cut(&self, rest: &Range<u64>) -> u64 {
        let wanted = (rest.start + self.target) / self.granularity * self.granularity;
        if wanted >= rest.end {
            return rest.end;
        }
        // Up to twice the target: chunks are at most 2 MiB, and a range without a good place is cut anywhere.
        let step = self.granularity.max(4096);
        let last = rest.end.min(wanted + self.target.max(2 << 20));
        let mut at = wanted;
        while at < last {
            if self.decodes_nothing_twice(at) {
                return at;
            }
            at += step;
        }
        wanted
    }

    fn decodes_nothing_twice(&self, at: u64) -> bool {
        match self.map.pieces(at..at + 1).next().map(|piece| piece.content) {
            Some(PieceContent::Blob { blob, offset }) => {
                self.store.chunk_size(blob).is_none_or(|chunk| offset.is_multiple_of(chunk))
            }
            _ => true,
        }
    }
}

impl Iterator for Units<'_> {
    type Item = Unit;

    fn next(&mut self) -> Option<Unit> {
        if self.rest.is_empty() {
            self.rest = self.allocated.next()?;
        }
        let end = self.cut(&self.rest);
        let range = self.rest.start..end;
        self.rest.start = end;
        let mut to_hash = Vec::new();
        for piece in self.map.pieces(range.clone()) {
            if let PieceContent::Blob { blob, offset } = piece.content {
                let hashed = &mut self.hashed[blob as usize];
                if *hashed == offset {
                    *hashed += piece.len;
                    to_hash.push(BlobPart { blob, offset, start: piece.start, len: piece.len });
                }
            }
        }
        let unit = Unit { ticket: self.ticket, offset: range.start, len: range.end - range.start, to_hash };
        self.ticket += 1;
        Some(unit)
    }
}
