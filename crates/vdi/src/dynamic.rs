//! Dynamic VDIs: only blocks that hold something are stored.
//!
//! The ranges that hold something are known before the first byte, so the block map is computed up front and blocks lie
//! in disk order: the file can be written by all workers at once, or front to back into something that cannot seek.
//! Header, map and data each begin at a MiB, as in VirtualBox's own files, so blocks are aligned to whatever the disk
//! below likes.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use codec::Tokens;
use disk::{OrderedSink, PositionedSink, UnitEncoder, WriteAt};

use crate::layout::{BLOCK_FREE, Header};
use crate::options::{BLOCK_SIZE, MAP_OFFSET, Options};
use crate::{Error, Result};

/// The map is made and written in pieces of this many entries.
const PIECE: u64 = 256 << 10;

/// Blocks without a gap, on the disk and in the file.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// First byte on the disk.
    start: u64,
    /// Length in bytes.
    len: u64,
    /// First byte in the file.
    file: u64,
}

/// Where everything lies.
pub(crate) struct Plan {
    header: Header,
    runs: Vec<Run>,
    /// Where data begins and ends in the file, in bytes.
    data: Range<u64>,
}

impl Plan {
    pub(crate) fn new(
        options: &Options,
        fixed: bool,
        allocated: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self> {
        options.check()?;
        let mut runs: Vec<Run> = Vec::new();
        let data = options.data_offset();
        let (mut previous, mut end) = (0, data);
        for range in allocated {
            if range.start < previous || range.start > range.end || range.end > options.size {
                return Err(Error::Impossible(format!(
                    "allocated range {:#x}..{:#x} is out of order or past the disk's end {:#x}",
                    range.start, range.end, options.size
                )));
            }
            previous = range.end;
            let run_end = runs.last().map_or(0, |run| run.start + run.len);
            let start = (range.start / BLOCK_SIZE * BLOCK_SIZE).max(run_end);
            let len = range.end.next_multiple_of(BLOCK_SIZE).saturating_sub(start);
            if len == 0 || range.is_empty() {
                continue;
            }
            match runs.last_mut() {
                Some(last) if run_end == start => last.len += len,
                _ => runs.push(Run { start, len, file: end }),
            }
            end += len;
        }
        let header = options.header(fixed, (end - data) / BLOCK_SIZE);
        Ok(Self { header, runs, data: data..end })
    }

    pub(crate) fn end(&self) -> u64 {
        self.data.end
    }

    /// The run that holds all of the `len` disk bytes at `offset`, which are on the disk.
    fn run_of(&self, offset: u64, len: u64) -> Option<&Run> {
        let run = &self.runs[self.runs.partition_point(|run| run.start <= offset).checked_sub(1)?];
        let end = offset.checked_add(len)?;
        (end <= run.start + run.len && end <= self.header.disk_size).then_some(run)
    }

    /// Everything in front of the map.
    fn head(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        bytes.resize(MAP_OFFSET as usize, 0);
        bytes
    }

    /// Hands out everything between the header and the data, front to back.
    fn map(&self, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let data = self.data.start;
        let mut runs = self.runs.iter().copied().peekable();
        let blocks = u64::from(self.header.blocks);
        for first in (0..blocks).step_by(PIECE as usize) {
            let count = (blocks - first).min(PIECE);
            let span_end = (first + count) * BLOCK_SIZE;
            let mut entries = vec![BLOCK_FREE; count as usize];
            while let Some(run) = runs.peek_mut().filter(|run| run.start < span_end) {
                let here = run.len.min(span_end - run.start);
                let place = run.start / BLOCK_SIZE - first;
                for block in 0..here / BLOCK_SIZE {
                    entries[(place + block) as usize] = ((run.file - data) / BLOCK_SIZE + block) as u32;
                }
                *run = Run { start: run.start + here, len: run.len - here, file: run.file + here };
                if run.len == 0 {
                    runs.next();
                }
            }
            let bytes: Vec<u8> = entries.into_iter().flat_map(u32::to_le_bytes).collect();
            put(&bytes)?;
        }
        // Less than a MiB.
        put(&vec![0; (data - MAP_OFFSET - blocks * 4) as usize])
    }

    pub(crate) fn positioned<F: WriteAt>(self, file: F) -> Result<InFile<F>> {
        // The header comes last: until then nothing takes the file for a VDI.
        file.set_len(self.data.end).map_err(Error::writing("VDI", 0))?;
        let mut at = MAP_OFFSET;
        self.map(|bytes| {
            file.write_all_at(bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        })
        .map_err(Error::writing("VDI block map", MAP_OFFSET))?;
        Ok(InFile { file, plan: self })
    }

    pub(crate) fn ordered<W: Write + Send>(self, mut writer: W) -> Result<Stream<W>> {
        writer.write_all(&self.head()).map_err(Error::writing("VDI header", 0))?;
        self.map(|bytes| writer.write_all(bytes)).map_err(Error::writing("VDI block map", MAP_OFFSET))?;
        let position = self.data.start;
        Ok(Stream { writer, plan: self, position })
    }
}

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// [`Error::Impossible`].
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, false, allocated)?.data.end)
}

/// A dynamic VDI, written anywhere at once.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`BLOCK_SIZE`] gives them; every block that they touch is
/// stored. Memory: 24 bytes per range.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other; [`Error::Io`] when the map cannot be written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<InFile<F>> {
    Plan::new(options, false, allocated)?.positioned(file)
}

/// A dynamic VDI, written front to back to something that need not seek. The file is the same as that of
/// [`positioned`]; header and map are written at once.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Stream<W>> {
    Plan::new(options, false, allocated)?.ordered(writer)
}

/// A VDI that is being written; see [`positioned`].
pub struct InFile<F> {
    file: F,
    plan: Plan,
}

impl<F> fmt::Debug for InFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFile")
            .field("header", &self.plan.header)
            .field("data", &self.plan.data)
            .finish_non_exhaustive()
    }
}

fn not_announced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "write to a range that was not announced as allocated")
}

impl<F: WriteAt> PositionedSink for InFile<F> {
    fn granularity(&self) -> u64 {
        512
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let run = self.plan.run_of(offset, data.len() as u64).ok_or_else(not_announced)?;
        self.file.write_all_at(data, run.file + (offset - run.start))
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.write_all_at(&self.plan.header.to_bytes(), 0)
    }
}

/// A VDI that is being written front to back; see [`ordered`].
pub struct Stream<W> {
    writer: W,
    plan: Plan,
    /// Where the next byte lands in the file.
    position: u64,
}

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("header", &self.plan.header)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Stream<W> {
    fn zeros_up_to(&mut self, position: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.position < position {
            let len = (position - self.position).min(ZEROS.len() as u64);
            self.writer.write_all(&ZEROS[..len as usize])?;
            self.position += len;
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
        if len == 0 {
            return Ok(());
        }
        let run = *self.plan.run_of(offset, len).ok_or_else(not_announced)?;
        let at = run.file + (offset - run.start);
        if at < self.position || encoded.len() as u64 != len {
            let why = "unit out of order, or not as long as its range";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        self.zeros_up_to(at)?;
        self.writer.write_all(encoded)?;
        self.position = at + len;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.zeros_up_to(self.plan.data.end)?;
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
