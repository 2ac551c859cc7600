//! The disk's bytes as they are.

use std::fmt;
use std::io::{self, Write};

use disk::{FrontToBack, PlannedStream, PositionedSink, Runs, WriteAt};

/// Units of a raw disk begin on multiples of this: the page size, so that no page of the output is written twice.
const GRANULARITY: u64 = 4096;

/// A sparse file: what is not written is a hole.
pub(crate) struct Sparse<F>(F);

impl<F> fmt::Debug for Sparse<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse").finish_non_exhaustive()
    }
}

impl<F: WriteAt> Sparse<F> {
    /// An empty disk of `size` bytes in an empty file.
    pub(crate) fn new(file: F, size: u64) -> io::Result<Self> {
        file.set_len(size)?;
        Ok(Self(file))
    }
}

impl<F: WriteAt> PositionedSink for Sparse<F> {
    fn granularity(&self) -> u64 {
        GRANULARITY
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// A stream or a device: zeros are written.
pub(crate) fn stream<W: Write>(writer: W, size: u64) -> PlannedStream<W> {
    PlannedStream::new(FrontToBack::new(writer), Runs::whole(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::OrderedSink;

    /// A stream cannot go back: a unit that comes too late is refused, and not put behind the one that came too early.
    #[test]
    fn units_out_of_order_are_refused() {
        let mut written = Vec::new();
        let mut stream = stream(&mut written, 16 << 10);
        stream.commit(8 << 10, 4096, &[1; 4096]).unwrap();
        for late in [4096, 8 << 10] {
            let error = stream.commit(late, 4096, &[2; 4096]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{late}");
        }
        stream.commit(12 << 10, 4096, &[3; 4096]).unwrap();
        Box::new(stream).finish().unwrap();
        assert_eq!(written, [[0; 4096], [0; 4096], [1; 4096], [3; 4096]].concat());
    }
}
