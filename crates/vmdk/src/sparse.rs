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
use crate::options::{
    DESCRIPTOR_OFFSET, DESCRIPTOR_SECTORS, GRAIN_SECTORS, GRAIN_SIZE, Options, TABLE_SPAN, directory_sectors,
    plain_header, tables,
};
use crate::{Error, Kind, Result, descriptor};

/// Grains without a gap, on the disk and in the file.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// First byte of the extent's part of the disk.
    start: u64,
    /// Length in bytes.
    len: u64,
    /// First byte in the file.
    file: u64,
}

/// The grains of a disk that `allocated` touches, as ranges of bytes.
pub(crate) fn touched_grains(
    size: u64,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Vec<Range<u64>>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut previous = 0;
    for range in allocated {
        if range.start < previous || range.start > range.end || range.end > size {
            return Err(Error::Impossible(format!(
                "allocated range {:#x}..{:#x} is out of order or past the disk's end {size:#x}",
                range.start, range.end
            )));
        }
        previous = range.end;
        let start = range.start / GRAIN_SIZE * GRAIN_SIZE;
        let end = range.end.next_multiple_of(GRAIN_SIZE);
        match runs.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end >= start => last.end = end.max(last.end),
            _ => runs.push(start..end),
        }
    }
    Ok(runs)
}

/// Where everything lies in one sparse extent.
pub(crate) struct Plan {
    pub(crate) header: Header,
    /// Bytes of disk in it.
    pub(crate) len: u64,
    runs: Vec<Run>,
    /// Length of the file in bytes.
    pub(crate) end: u64,
}

impl Plan {
    /// An extent of `len` bytes of disk, with these grains; `described` when the descriptor is in it.
    pub(crate) fn new(len: u64, described: bool, grains: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        let size_of_tables = directory_sectors(len) + tables(len) * TABLE_SECTORS;
        let (descriptor_offset, descriptor_size) =
            if described { (DESCRIPTOR_OFFSET, DESCRIPTOR_SECTORS) } else { (0, 0) };
        let redundant_directory = 1 + descriptor_size;
        let header = Header {
            flags: FLAG_CHECK_BYTES | FLAG_REDUNDANT,
            descriptor_offset,
            descriptor_size,
            redundant_directory,
            grain_directory: redundant_directory + size_of_tables,
            overhead: (redundant_directory + 2 * size_of_tables).next_multiple_of(GRAIN_SECTORS),
            ..plain_header(len)
        };
        let mut end = header.overhead * SECTOR;
        let mut runs = Vec::new();
        for grains in grains {
            let run = Run { start: grains.start, len: grains.end - grains.start, file: end };
            end += run.len;
            runs.push(run);
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
        Ok(Self { header, len, runs, end })
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

    /// Sets the file's length and writes all tables.
    pub(crate) fn write_tables<F: WriteAt>(&self, file: &F) -> Result<()> {
        // The header comes last: until then nothing takes the file for a VMDK.
        file.set_len(self.end).map_err(Error::writing("VMDK", 0))?;
        self.each_table(|what, bytes, sector| {
            file.write_all_at(bytes, sector * SECTOR).map_err(Error::writing(what, sector * SECTOR))
        })
    }

    /// Hands over every table: what it is, its bytes and its sector.
    pub(crate) fn each_table(
        &self,
        mut write: impl FnMut(&'static str, &[u8], u64) -> Result<()>,
    ) -> Result<()> {
        for directory in [self.header.redundant_directory, self.header.grain_directory] {
            let first = directory + directory_sectors(self.len);
            let mut bytes: Vec<u8> = (0..tables(self.len))
                .flat_map(|index| ((first + index * TABLE_SECTORS) as u32).to_le_bytes())
                .collect();
            bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
            write("VMDK grain directory", &bytes, directory)?;
            for (index, table) in self.tables() {
                write("VMDK grain table", &table, first + index * TABLE_SECTORS)?;
            }
        }
        Ok(())
    }

    /// Where disk byte `offset` lies in the file, and how many bytes lie together from there.
    pub(crate) fn place(&self, offset: u64) -> Option<(u64, u64)> {
        let run = self.run_at(offset)?;
        let inside = offset - run.start;
        Some((run.file + inside, run.len - inside))
    }

    /// Writes `data` at byte `offset` of the extent's part of the disk.
    pub(crate) fn write_at<F: WriteAt>(&self, file: &F, offset: u64, data: &[u8]) -> io::Result<()> {
        let run = self.run_at(offset);
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= self.len);
        match (run, end) {
            (Some(run), Some(end)) if end <= run.start + run.len => {
                file.write_all_at(data, run.file + (offset - run.start))
            }
            _ if data.is_empty() => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "write to a range that was not announced as allocated",
            )),
        }
    }
}

/// Length in bytes of the file that [`monolithic_sparse`] makes from the same arguments.
///
/// # Errors
/// As for [`monolithic_sparse`], without its I/O.
pub fn monolithic_sparse_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(plan(options, allocated)?.end)
}

pub(crate) fn plan(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Plan> {
    options.check(Kind::MonolithicSparse)?;
    Plan::new(options.size, true, touched_grains(options.size, allocated)?.into_iter())
}

/// A monolithicSparse VMDK in a file.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`GRAIN_SIZE`] gives them; every grain that they touch is
/// stored. Memory: 40 bytes per range.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other, [`Error::Limit`] when the file would pass 2 TiB,
/// [`Error::Io`] when the tables cannot be written.
pub fn monolithic_sparse<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<MonolithicSparse<F>> {
    let plan = plan(options, allocated)?;
    plan.write_tables(&file)?;
    let at = DESCRIPTOR_OFFSET * SECTOR;
    let text = descriptor::embedded(options, Kind::MonolithicSparse);
    file.write_all_at(&text, at).map_err(Error::writing("VMDK descriptor", at))?;
    Ok(MonolithicSparse { file, plan })
}

/// A monolithicSparse VMDK that is being written; see [`monolithic_sparse`].
pub struct MonolithicSparse<F> {
    file: F,
    plan: Plan,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("header", &self.header).field("end", &self.end).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for MonolithicSparse<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MonolithicSparse").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<F: WriteAt> PositionedSink for MonolithicSparse<F> {
    fn granularity(&self) -> u64 {
        SECTOR
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.plan.write_at(&self.file, offset, data)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.write_all_at(&self.plan.header.to_sector(), 0)
    }
}
