use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use codec::Tokens;
use disk::{OrderedSink, PositionedSink, UnitEncoder, WriteAt};

use crate::layout::MIB;
use crate::plan::{Plan, TABLE_OFFSET};
use crate::{Error, Options, Result};

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// As for these, without their I/O.
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.file_len())
}

/// A VHDX in a file, which is written in any order.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of the block size gives them; every block that they touch is
/// stored. A fixed disk stores all blocks, and ignores them. Until [`finish`](PositionedSink::finish) the file lacks
/// what makes it a VHDX. Memory: 12 bytes per run of blocks that are stored.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other, [`Error::Io`] when the tables cannot be
/// written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<InFile<F>> {
    let plan = Plan::new(options, allocated)?;
    file.set_len(plan.file_len()).map_err(Error::writing("VHDX", 0))?;
    for (offset, bytes) in plan.structures() {
        file.write_all_at(&bytes, offset).map_err(Error::writing("VHDX metadata", offset))?;
    }
    for piece in 0..plan.table_pieces() {
        let Some(bytes) = plan.table_piece(piece) else { continue };
        let offset = TABLE_OFFSET + piece * MIB;
        file.write_all_at(&bytes, offset).map_err(Error::writing("VHDX block allocation table", offset))?;
    }
    Ok(InFile { file, plan })
}

/// A VHDX that is written front to back to something that need not seek: the blocks lie in the order of the disk.
/// Arguments are those of [`positioned`]; parts of stored blocks that are never handed over become zeros.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Stream<W>> {
    let plan = Plan::new(options, allocated)?;
    let mut stream = Stream { writer, plan, written: 0, position: 0 };
    let mut parts = vec![(0, Plan::identifier())];
    parts.extend(stream.plan.headers());
    parts.extend(stream.plan.structures());
    for (offset, bytes) in parts {
        stream.write_structure(offset, &bytes)?;
    }
    for piece in 0..stream.plan.table_pieces() {
        let Some(bytes) = stream.plan.table_piece(piece) else { continue };
        stream.write_structure(TABLE_OFFSET + piece * MIB, &bytes)?;
    }
    Ok(stream)
}

/// A VHDX that is being written to a file; see [`positioned`].
pub struct InFile<F> {
    file: F,
    plan: Plan,
}

impl<F> fmt::Debug for InFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFile").field("options", self.plan.options()).finish_non_exhaustive()
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

const NOT_ANNOUNCED: &str = "write to a block that was not announced as allocated";

impl<F: WriteAt> PositionedSink for InFile<F> {
    fn granularity(&self) -> u64 {
        512
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.plan.options().size) {
            return Err(refused("write past the disk's end"));
        }
        if data.is_empty() {
            return Ok(());
        }
        match self.plan.place(offset) {
            // What lies together on the disk lies together in the file.
            Some((place, left)) if data.len() as u64 <= left => self.file.write_all_at(data, place),
            _ => Err(refused(NOT_ANNOUNCED)),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        for (offset, bytes) in self.plan.headers() {
            self.file.write_all_at(&bytes, offset)?;
        }
        self.file.write_all_at(&Plan::identifier(), 0)
    }
}

/// A VHDX that is being written front to back; see [`ordered`].
pub struct Stream<W> {
    writer: W,
    plan: Plan,
    /// How many bytes of the file are written.
    written: u64,
    /// The byte of the disk before which nothing may come any more.
    position: u64,
}

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("options", self.plan.options())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Stream<W> {
    fn write_structure(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.zeros_up_to(offset)
            .and_then(|()| self.write(bytes))
            .map_err(Error::writing("VHDX structures", offset))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn zeros_up_to(&mut self, offset: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.written < offset {
            let len = (offset - self.written).min(ZEROS.len() as u64);
            self.write(&ZEROS[..len as usize])?;
        }
        Ok(())
    }
}

impl<W: Write + Send> OrderedSink for Stream<W> {
    fn granularity(&self) -> u64 {
        512
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(Verbatim)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.plan.options().size);
        let Some(end) = end.filter(|_| offset >= self.position) else {
            return Err(refused("unit out of order or past the disk's end"));
        };
        if encoded.len() as u64 != len {
            return Err(refused("unit is not as long as its range"));
        }
        self.position = end;
        if len == 0 {
            return Ok(());
        }
        match self.plan.place(offset) {
            Some((place, left)) if len <= left => {
                self.zeros_up_to(place)?;
                self.write(encoded)
            }
            _ => Err(refused(NOT_ANNOUNCED)),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.zeros_up_to(self.plan.file_len())?;
        self.writer.flush()
    }
}

/// The disk's bytes are the file's.
struct Verbatim;

impl UnitEncoder for Verbatim {
    fn encode(&mut self, _: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(data);
        Ok(())
    }
}
