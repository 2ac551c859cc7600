//! The disk's bytes as they are.

use std::fmt;
use std::io::{self, Write};

use codec::Tokens;
use disk::{OrderedSink, PositionedSink, UnitEncoder, WriteAt};

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
pub(crate) struct Stream<W> {
    writer: W,
    at: u64,
    size: u64,
}

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("at", &self.at).field("size", &self.size).finish_non_exhaustive()
    }
}

impl<W: Write + Send> Stream<W> {
    pub(crate) fn new(writer: W, size: u64) -> Self {
        Self { writer, at: 0, size }
    }

    fn zeros_up_to(&mut self, offset: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; 1 << 20];
        while self.at < offset {
            let len = (offset - self.at).min(ZEROS.len() as u64);
            self.writer.write_all(&ZEROS[..len as usize])?;
            self.at += len;
        }
        Ok(())
    }
}

impl<W: Write + Send> OrderedSink for Stream<W> {
    fn granularity(&self) -> u64 {
        GRANULARITY
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(Plain)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        self.zeros_up_to(offset)?;
        self.writer.write_all(encoded)?;
        self.at += len;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.zeros_up_to(self.size)?;
        self.writer.flush()
    }
}

struct Plain;

impl UnitEncoder for Plain {
    fn encode(&mut self, _: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(data);
        Ok(())
    }
}
