use std::io;

use crate::ReadAt;

/// What is known of a range of a disk without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeKind {
    /// Reads as zero and is not stored.
    Zero,
    /// Stored; may still hold zeros.
    Data,
}

/// A range of a disk, as its container maps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedRange {
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// Stored or not.
    pub kind: RangeKind,
}

/// A disk that knows which of its ranges are stored: what `convert`, `compact` and `map` walk.
pub trait BlockMap: ReadAt {
    /// The range that holds byte `offset` and extends as far as the container cheaply knows its kind to; `None` at or
    /// past the end of the disk. The range may begin before `offset`.
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>>;
}

/// A disk without a container: the bytes as they are. What the source knows to be a hole is not stored.
#[derive(Clone, Debug)]
pub struct RawDisk<R>(pub R);

impl<R: ReadAt> ReadAt for RawDisk<R> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        self.0.stored_at(offset)
    }
}

impl<R: ReadAt> BlockMap for RawDisk<R> {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        self.0.stored_at(offset)
    }
}
