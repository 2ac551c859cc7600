//! monolithicSparse: plain grains behind tables that have a place from the start. What Workstation, Fusion and
//! VirtualBox run from.
//!
//! Two copies of every table, at different places and equal: VirtualBox compares them, and refuses a directory entry
//! that is zero in one copy only, so every table has its place even when no grain is in it. The ranges that hold
//! something are known before the first byte; grains are given out in disk order, and all tables are written up front.

use std::fmt;
use std::io;
use std::ops::Range;

use disk::{At, PositionedSink, WriteAt};

use crate::layout::{FLAG_CHECK_BYTES, FLAG_REDUNDANT, Header, SECTOR, TABLE_ENTRIES, TABLE_SECTORS};
use crate::options::{DESCRIPTOR_OFFSET, DESCRIPTOR_SECTORS, GRAIN_SECTORS, GRAIN_SIZE, Options, TABLE_SPAN};
use crate::{Error, Result, descriptor};

/// Grains without a gap, on the disk and in the file.
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
    runs: Vec<Run>,
    /// Length of the file in bytes.
    end: u64,
}

impl Plan {
    fn new(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        options.check()?;
        let tables = options.directory_sectors() + options.tables() * TABLE_SECTORS;
        let redundant_directory = DESCRIPTOR_OFFSET + DESCRIPTOR_SECTORS;
        let header = Header {
            flags: FLAG_CHECK_BYTES | FLAG_REDUNDANT,
            redundant_directory,
            grain_directory: redundant_directory + tables,
            overhead: (redundant_directory + 2 * tables).next_multiple_of(GRAIN_SECTORS),
            ..options.header()
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut end = header.overhead * SECTOR;
        let mut previous = 0;
        for range in allocated {
            if range.start < previous || range.start > range.end || range.end > options.size {
                return Err(Error::Impossible(format!(
                    "allocated range {:#x}..{:#x} is out of order or past the disk's end {:#x}",
                    range.start, range.end, options.size
                )));
            }
            previous = range.end;
            let run_end = runs.last().map_or(0, |run| run.start + run.len);
            let start = (range.start / GRAIN_SIZE * GRAIN_SIZE).max(run_end);
            let len = range.end.next_multiple_of(GRAIN_SIZE).saturating_sub(start);
            if len == 0 || range.is_empty() {
                continue;
            }
            match runs.last_mut() {
                Some(last) if run_end == start => last.len += len,
                _ => runs.push(Run { start, len, file: end }),
            }
            end += len;
        }
        if end / SECTOR > u64::from(u32::MAX) {
            let at = At::new("VMDK grain table", header.grain_directory * SECTOR);
            return Err(Error::Limit {
                at,
                what: "sectors of the file",
                found: end / SECTOR,
                limit: u32::MAX.into(),
            });
        }
        Ok(Self { header, runs, end })
    }

    /// The run that holds disk byte `offset`.
    fn run_at(&self, offset: u64) -> Option<&Run> {
        let run = &self.runs[self.runs.partition_point(|run| run.start <= offset).checked_sub(1)?];
        (offset < run.start + run.len).then_some(run)
    }

    /// The grain tables that hold anything, in order: index and bytes.
    fn tables(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        let mut runs = self.runs.iter().copied().peekable();
        std::iter::from_fn(move || {
            let index = runs.peek()?.start / TABLE_SPAN;
            let span_end = (index + 1) * TABLE_SPAN;
            let mut table = vec![0; TABLE_ENTRIES * 4];
            while let Some(run) = runs.peek_mut().filter(|run| run.start < span_end) {
                let here = run.len.min(span_end - run.start);
                let first = run.start % TABLE_SPAN / GRAIN_SIZE;
                for grain in 0..here / GRAIN_SIZE {
                    let sector = (run.file / SECTOR + grain * GRAIN_SECTORS) as u32;
                    table[(first + grain) as usize * 4..][..4].copy_from_slice(&sector.to_le_bytes());
                }
                *run = Run { start: run.start + here, len: run.len - here, file: run.file + here };
                if run.len == 0 {
                    runs.next();
                }
            }
            Some((index, table))
        })
    }
}

/// Length in bytes of the file that [`monolithic_sparse`] makes from the same arguments.
///
/// # Errors
/// As for [`monolithic_sparse`], without its I/O.
pub fn monolithic_sparse_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.end)
}

/// A monolithicSparse VMDK in a file.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`GRAIN_SIZE`] gives them; every grain that they touch is
/// stored. Memory: 24 bytes per range.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other, [`Error::Limit`] when the file would pass 2 TiB,
/// [`Error::Io`] when the tables cannot be written.
pub fn monolithic_sparse<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<MonolithicSparse<F>> {
    let plan = Plan::new(options, allocated)?;
    // The header comes last: until then nothing takes the file for a VMDK.
    file.set_len(plan.end).map_err(Error::writing("VMDK", 0))?;
    let write = |what, bytes: &[u8], sector: u64| {
        file.write_all_at(bytes, sector * SECTOR).map_err(Error::writing(what, sector * SECTOR))
    };
    write("VMDK descriptor", &descriptor::embedded(options, "monolithicSparse"), DESCRIPTOR_OFFSET)?;
    for directory in [plan.header.redundant_directory, plan.header.grain_directory] {
        let tables = directory + options.directory_sectors();
        let mut bytes: Vec<u8> = (0..options.tables())
            .flat_map(|index| ((tables + index * TABLE_SECTORS) as u32).to_le_bytes())
            .collect();
        bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
        write("VMDK grain directory", &bytes, directory)?;
        for (index, table) in plan.tables() {
            write("VMDK grain table", &table, tables + index * TABLE_SECTORS)?;
        }
    }
    Ok(MonolithicSparse { file, plan })
}

/// A monolithicSparse VMDK that is being written; see [`monolithic_sparse`].
pub struct MonolithicSparse<F> {
    file: F,
    plan: Plan,
}

impl<F> fmt::Debug for MonolithicSparse<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonolithicSparse")
            .field("header", &self.plan.header)
            .field("end", &self.plan.end)
            .finish_non_exhaustive()
    }
}

impl<F: WriteAt> PositionedSink for MonolithicSparse<F> {
    fn granularity(&self) -> u64 {
        512
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let run = self.plan.run_at(offset);
        let end = offset.checked_add(data.len() as u64);
        match (run, end) {
            (Some(run), Some(end)) if end <= run.start + run.len => {
                self.file.write_all_at(data, run.file + (offset - run.start))
            }
            _ if data.is_empty() => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "write to a range that was not announced as allocated",
            )),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.write_all_at(&self.plan.header.to_sector(), 0)
    }
}
