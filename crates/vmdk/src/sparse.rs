//! monolithicSparse: plain grains behind tables that have a place from the start. What Workstation, Fusion and
//! VirtualBox run from.
//!
//! Two copies of every table, at different places and equal: VirtualBox compares them, and refuses a directory entry
//! that is zero in one copy only, so every table has its place even when no grain is in it. The ranges that hold
//! something are known before the first byte; grains are given out in disk order, and all tables are written up front.

use std::ops::Range;

use disk::{At, PlannedFile, Runs, WriteAt};

use crate::layout::{FLAG_CHECK_BYTES, FLAG_REDUNDANT, Header, SECTOR, TABLE_ENTRIES, TABLE_SECTORS};
use crate::options::{
    DESCRIPTOR_OFFSET, DESCRIPTOR_SECTORS, GRAIN_SECTORS, GRAIN_SIZE, Options, TABLE_SPAN, directory_sectors,
    plain_header, tables,
};
use crate::{Error, Kind, Result, descriptor};

/// The grains of `len` bytes of disk that `allocated` touches.
pub(crate) fn touched_grains(len: u64, allocated: impl Iterator<Item = Range<u64>>) -> Result<Runs> {
    Runs::new(len, GRAIN_SIZE, allocated).map_err(Error::misplaced("VMDK"))
}

/// Where everything lies in one sparse extent.
pub(crate) struct Plan {
    pub(crate) header: Header,
    pub(crate) grains: Runs,
}

impl Plan {
    /// An extent with these grains; `described` when the descriptor is in it.
    pub(crate) fn new(described: bool, grains: Runs) -> Result<Self> {
        let len = grains.disk_size();
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
        let grains = grains.starting_at(header.overhead * SECTOR);
        let end = grains.file().end;
        if end / SECTOR > u64::from(u32::MAX) {
            let at = At::new("VMDK grain table", header.grain_directory * SECTOR);
            return Err(Error::Limit {
                at,
                what: "sectors of the file",
                found: end / SECTOR,
                limit: u32::MAX.into(),
            });
        }
        Ok(Self { header, grains })
    }

    /// Length of the file in bytes.
    pub(crate) fn file_len(&self) -> u64 {
        self.grains.file().end
    }

    /// The grain tables that hold anything, in order: index and bytes.
    fn tables(&self) -> impl Iterator<Item = (u64, Vec<u8>)> {
        self.grains.spans(TABLE_SPAN).map(|index| {
            let mut table = vec![0; TABLE_ENTRIES * 4];
            for run in self.grains.within(index * TABLE_SPAN..(index + 1) * TABLE_SPAN) {
                for (grain, place) in run.blocks(GRAIN_SIZE) {
                    let sector = (place / SECTOR) as u32;
                    table[grain as usize % TABLE_ENTRIES * 4..][..4].copy_from_slice(&sector.to_le_bytes());
                }
            }
            (index, table)
        })
    }

    /// Sets the file's length and writes all tables.
    pub(crate) fn write_tables<F: WriteAt>(&self, file: &F) -> Result<()> {
        // The header comes last: until then nothing takes the file for a VMDK.
        file.set_len(self.file_len()).map_err(Error::writing("VMDK", 0))?;
        self.each_table(|what, bytes, sector| {
            file.write_all_at(bytes, sector * SECTOR).map_err(Error::writing(what, sector * SECTOR))
        })
    }

    /// Hands over every table: what it is, its bytes and its sector.
    pub(crate) fn each_table(
        &self,
        mut write: impl FnMut(&'static str, &[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let len = self.grains.disk_size();
        for directory in [self.header.redundant_directory, self.header.grain_directory] {
            let first = directory + directory_sectors(len);
            let mut bytes: Vec<u8> = (0..tables(len))
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
}

/// Length in bytes of the file that [`monolithic_sparse`] makes from the same arguments.
///
/// # Errors
/// As for [`monolithic_sparse`], without its I/O.
pub fn monolithic_sparse_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(plan(options, allocated)?.file_len())
}

pub(crate) fn plan(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Plan> {
    options.check(Kind::MonolithicSparse)?;
    Plan::new(true, touched_grains(options.size, allocated)?)
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
) -> Result<PlannedFile<F>> {
    let plan = plan(options, allocated)?;
    plan.write_tables(&file)?;
    let at = DESCRIPTOR_OFFSET * SECTOR;
    let text = descriptor::embedded(options, Kind::MonolithicSparse);
    file.write_all_at(&text, at).map_err(Error::writing("VMDK descriptor", at))?;
    let header = (0, plan.header.to_sector().to_vec());
    Ok(PlannedFile::new(file, plan.grains, vec![header]))
}
