//! Plain qcow2: what qemu and libvirt run from.
//!
//! The ranges that hold something are known before the first byte, so every table is computed up front and lies in front
//! of the data, as if all of them had been preallocated: header, refcount table, refcount blocks, L1 table, L2 tables,
//! and the data clusters in disk order. That order serves both ways to write: into a file by all workers at once, and
//! front to back into something that cannot seek. Every cluster of such a file is used once, so all reference counts
//! are one.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use codec::Tokens;
use disk::{OrderedSink, PositionedSink, UnitEncoder, WriteAt};

use crate::layout::{ENTRY_COPIED, Header};
use crate::options::{BLOCK_ENTRIES, CLUSTER_SIZE, L2_ENTRIES, L2_SPAN, Options, refcount_clusters};
use crate::{Error, Result};

/// Clusters without a gap, on the disk and in the file.
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
struct Plan {
    header: Header,
    /// Clusters of the refcount table and of its blocks.
    refcounts: (u64, u64),
    /// The first L2 table, in clusters.
    l2: u64,
    /// L1 entries that have an L2 table, in order.
    l2_of: Vec<u32>,
    runs: Vec<Run>,
    /// Where data begins and ends in the file, in bytes.
    data: Range<u64>,
}

impl Plan {
    fn new(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        options.check()?;
        let mut runs: Vec<Run> = Vec::new();
        let mut l2_of: Vec<u32> = Vec::new();
        let (mut previous, mut total) = (0, 0);
        for range in allocated {
            if range.start < previous || range.start > range.end || range.end > options.size {
                return Err(Error::Impossible(format!(
                    "allocated range {:#x}..{:#x} is out of order or past the disk's end {:#x}",
                    range.start, range.end, options.size
                )));
            }
            previous = range.end;
            let run_end = runs.last().map_or(0, |run| run.start + run.len);
            let start = (range.start / CLUSTER_SIZE * CLUSTER_SIZE).max(run_end);
            let len = range.end.next_multiple_of(CLUSTER_SIZE).saturating_sub(start);
            if len == 0 || range.is_empty() {
                continue;
            }
            match runs.last_mut() {
                Some(last) if run_end == start => last.len += len,
                _ => runs.push(Run { start, len, file: total }),
            }
            total += len;
            let first = (start / L2_SPAN).max(l2_of.last().map_or(0, |last| u64::from(*last) + 1));
            l2_of.extend((first..(start + len).div_ceil(L2_SPAN)).map(|index| index as u32));
        }
        let others = 1 + options.l1_clusters() + l2_of.len() as u64 + total / CLUSTER_SIZE;
        let refcounts = refcount_clusters(others);
        let l1 = 1 + refcounts.0 + refcounts.1;
        let l2 = l1 + options.l1_clusters();
        let data = (l2 + l2_of.len() as u64) * CLUSTER_SIZE;
        runs.iter_mut().for_each(|run| run.file += data);
        let header = options.header(l1, 1, refcounts.0);
        Ok(Self { header, refcounts, l2, l2_of, runs, data: data..data + total })
    }

    /// The run that holds all of the `len` disk bytes at `offset`.
    fn run_of(&self, offset: u64, len: u64) -> Option<&Run> {
        let run = &self.runs[self.runs.partition_point(|run| run.start <= offset).checked_sub(1)?];
        (offset.checked_add(len)? <= run.start + run.len).then_some(run)
    }

    /// The first cluster, which makes a qcow2 file of the others.
    fn head(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        // Whatever follows the header is a list of extensions; zeros end it.
        bytes.resize(CLUSTER_SIZE as usize, 0);
        bytes
    }

    /// Hands out everything between the first cluster and the data, front to back, in whole clusters.
    fn tables(&self, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let (table, blocks) = self.refcounts;
        put(&offsets((0..blocks).map(|block| (1 + table + block) * CLUSTER_SIZE)))?;
        let clusters = self.data.end / CLUSTER_SIZE;
        for block in 0..blocks {
            let used = (clusters - block * BLOCK_ENTRIES).min(BLOCK_ENTRIES) as usize;
            let mut bytes = [0, 1].repeat(used);
            bytes.resize(CLUSTER_SIZE as usize, 0);
            put(&bytes)?;
        }
        let mut l1 = vec![0; self.header.l1_entries as usize];
        for (ordinal, index) in self.l2_of.iter().enumerate() {
            l1[*index as usize] = ENTRY_COPIED | ((self.l2 + ordinal as u64) * CLUSTER_SIZE);
        }
        put(&offsets(l1.into_iter()))?;
        let mut runs = self.runs.iter().copied().peekable();
        for index in &self.l2_of {
            let span_end = (u64::from(*index) + 1) * L2_SPAN;
            let mut l2 = vec![0; L2_ENTRIES as usize];
            while let Some(run) = runs.peek_mut().filter(|run| run.start < span_end) {
                let here = run.len.min(span_end - run.start);
                let first = run.start % L2_SPAN / CLUSTER_SIZE;
                for cluster in 0..here / CLUSTER_SIZE {
                    l2[(first + cluster) as usize] = ENTRY_COPIED | (run.file + cluster * CLUSTER_SIZE);
                }
                *run = Run { start: run.start + here, len: run.len - here, file: run.file + here };
                if run.len == 0 {
                    runs.next();
                }
            }
            put(&offsets(l2.into_iter()))?;
        }
        Ok(())
    }
}

/// A table of entries, in whole clusters.
fn offsets(entries: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.flat_map(u64::to_be_bytes).collect();
    bytes.resize(bytes.len().next_multiple_of(CLUSTER_SIZE as usize), 0);
    bytes
}

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// [`Error::Impossible`].
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.data.end)
}

/// A plain qcow2 file, written anywhere at once.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`CLUSTER_SIZE`] gives them; every cluster that they touch is
/// stored. Memory: 24 bytes per range, and 12 for each 512 MiB of disk.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other; [`Error::Io`] when the tables cannot be
/// written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<InFile<F>> {
    let plan = Plan::new(options, allocated)?;
    // The header comes last: until then nothing takes the file for a qcow2 file.
    file.set_len(plan.data.end).map_err(Error::writing("qcow2 file", 0))?;
    let mut at = CLUSTER_SIZE;
    plan.tables(|bytes| {
        file.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
        Ok(())
    })
    .map_err(Error::writing("qcow2 tables", CLUSTER_SIZE))?;
    Ok(InFile { file, plan })
}

/// A plain qcow2 file, written front to back to something that need not seek. The file is the same as that of
/// [`positioned`]; header and tables are written at once.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    mut writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Stream<W>> {
    let plan = Plan::new(options, allocated)?;
    writer.write_all(&plan.head()).map_err(Error::writing("qcow2 header", 0))?;
    plan.tables(|bytes| writer.write_all(bytes)).map_err(Error::writing("qcow2 tables", CLUSTER_SIZE))?;
    let position = plan.data.start;
    Ok(Stream { writer, plan, position })
}

/// A plain qcow2 file that is being written; see [`positioned`].
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
        self.file.write_all_at(&self.plan.head(), 0)
    }
}

/// A plain qcow2 file that is being written front to back; see [`ordered`].
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
