//! A disk that is another one in part.

use std::fmt;
use std::io;
use std::sync::Arc;

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use ntfs_writer::resize::{Content, Segment};

/// Segments over a source: ascending, without gaps, as long as the disk.
pub(super) struct Overlay {
    source: Arc<dyn BlockMap>,
    segments: Vec<Segment>,
    size: u64,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("segments", &self.segments.len()).field("size", &self.size).finish()
    }
}

impl Overlay {
    pub(super) fn new(source: Arc<dyn BlockMap>, segments: Vec<Segment>, size: u64) -> Self {
        debug_assert_eq!(segments.last().map_or(0, Segment::end), size);
        Self { source, segments, size }
    }

    fn at(&self, offset: u64) -> Option<&Segment> {
        let after = self.segments.partition_point(|segment| segment.start <= offset);
        self.segments[..after].last().filter(|segment| offset < segment.end())
    }
}

impl ReadAt for Overlay {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let segment = self.at(offset).expect("segments have no gaps");
            let inside = offset - segment.start;
            let len = (segment.len - inside).min(buf.len() as u64) as usize;
            let (part, rest) = buf.split_at_mut(len);
            match &segment.content {
                Content::Zero => part.fill(0),
                Content::Bytes(bytes) => part.copy_from_slice(&bytes[inside as usize..][..len]),
                Content::Volume(from) => self.source.read_exact_at(part, from + inside)?,
            }
            offset += len as u64;
            buf = rest;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

impl BlockMap for Overlay {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let Some(segment) = self.at(offset) else { return Ok(None) };
        let whole = |kind| MappedRange { start: segment.start, len: segment.len, kind };
        Ok(Some(match segment.content {
            Content::Zero => whole(RangeKind::Zero),
            Content::Bytes(_) => whole(RangeKind::Data),
            Content::Volume(from) => {
                let Some(range) = self.source.range_at(from + offset - segment.start)? else {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the source ends early"));
                };
                let (start, end) = (range.start.max(from), (range.start + range.len).min(from + segment.len));
                MappedRange { start: segment.start + (start - from), len: end - start, kind: range.kind }
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use disk::RawDisk;

    use super::*;

    /// Where 4 GiB of a segment are left, a processor of 32 bits must not take that for nothing.
    #[test]
    fn segments_are_longer_than_memory() {
        let source = Arc::new(RawDisk(vec![1u8; 512]));
        let base = [
            Segment { start: 0, len: 512, content: Content::Volume(0) },
            Segment { start: 512, len: 1 << 33, content: Content::Zero },
        ];
        let overlay = Overlay::new(source, base.to_vec(), 512 + (1 << 33));
        for left in [1u64 << 33, 1 << 32, (1 << 32) + 1, 2] {
            let mut buf = [7; 2];
            overlay.read_exact_at(&mut buf, 512 + (1 << 33) - left).unwrap();
            assert_eq!(buf, [0, 0], "{left:#x}");
        }
        let mut buf = [7; 2];
        overlay.read_exact_at(&mut buf, 511).unwrap();
        assert_eq!(buf, [1, 0]);
    }
}
