use std::collections::BTreeMap;

use crate::extent::{Form, Grain, SparseExtent};
use crate::grain::record_len;
use crate::layout::{MARKER_DIRECTORY, MARKER_TABLE, Marker, SECTOR};
use crate::open::{has_redundant_directory, read_directory};
use crate::read::{Body, Vmdk};
use crate::{Error, Result};

/// Something that occupies sectors of the file.
struct Occupied {
    start: u64,
    end: u64,
    what: &'static str,
}

/// What a [`Vmdk::check`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Grains that are stored.
    pub grains: u64,
    /// Grains that are zero by a mark of their own (version 2).
    pub zero_grains: u64,
    /// Bytes that stored grains occupy, heads and padding included, and those of flat extents.
    pub bytes: u64,
}

impl Vmdk {
    /// Checks all tables and the head of every grain, of all extents: that each lies in the file, says what its entry
    /// says, and shares its sectors with nothing else; that second copies of tables are equal to the first; that tables in
    /// a streamed file have their markers; that no two extents are in the same place of a file. Grains are not inflated:
    /// reading the disk does that.
    ///
    /// Memory: 32 bytes per table and per stored grain of an extent, of which there are no more than its file has room for.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault; [`Error::Io`]; inside [`Error::Extent`] where it is about a file that the
    /// descriptor names.
    pub fn check(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        // In one file by its name; a file under two names is the file system's doing.
        let mut places: BTreeMap<&str, Vec<Occupied>> = BTreeMap::new();
        for extent in &self.extents {
            let range = match &extent.body {
                Body::Zero => continue,
                Body::Flat { offset, .. } => {
                    usage.bytes += extent.len;
                    offset / SECTOR..(offset + extent.len) / SECTOR
                }
                Body::Sparse(_) => 0..u64::MAX,
            };
            let place = Occupied { start: range.start, end: range.end, what: "VMDK extent" };
            if let Some(name) = &extent.name {
                places.entry(name).or_default().push(place);
            }
        }
        for (name, mut places) in places {
            check_overlaps(&mut places).map_err(Error::in_extent(name))?;
        }
        for extent in &self.extents {
            if let Some(sparse) = extent.sparse() {
                sparse.check(extent.len, &mut usage).map_err(|error| extent.fault(error))?;
            }
        }
        Ok(usage)
    }
}

impl SparseExtent {
    /// Checks an extent of which `len` bytes of disk are used, and adds to `usage`.
    fn check(&self, len: u64, usage: &mut Usage) -> Result<()> {
        let file_sectors = self.file_len / SECTOR;
        let mut occupied = Vec::new();
        let mut occupy = |start: u64, sectors: u64, what| {
            occupied.push(Occupied { start, end: start + sectors, what });
        };
        let (directory, directory_sectors) = (self.form.grain_directory(), self.form.directory_sectors());
        occupy(0, 1, "VMDK header");
        occupy(directory, directory_sectors, "VMDK grain directory");
        for sector in self.tables() {
            occupy(sector.into(), self.form.table_sectors(), "VMDK grain table");
        }
        let mut redundant = None;
        let mut footer = false;
        if let Form::Hosted { header, streamed } = &self.form {
            if header.descriptor_offset != 0 {
                occupy(header.descriptor_offset, header.descriptor_size, "VMDK descriptor");
            }
            footer = *streamed;
            if footer {
                occupy(file_sectors - 3, 3, "VMDK footer");
            }
            if has_redundant_directory(header) {
                let second =
                    read_directory(&*self.file, &self.form, file_sectors, header.redundant_directory)?;
                occupy(header.redundant_directory, directory_sectors, "VMDK redundant grain directory");
                for sector in second.iter().filter(|sector| **sector != 0) {
                    occupy((*sector).into(), self.form.table_sectors(), "VMDK redundant grain table");
                }
                redundant = Some((second, header.redundant_directory));
            }
        }
        // Before any table is looked at: a table that the directory names a million times would be read as often.
        check_overlaps(&mut occupied)?;

        if let Some((second, at)) = redundant {
            self.check_redundant(&second, at)?;
        }
        if footer {
            self.check_marker(directory, MARKER_DIRECTORY, directory_sectors)?;
            for sector in self.tables() {
                self.check_marker(sector.into(), MARKER_TABLE, self.form.table_sectors())?;
            }
        }
        self.check_grains(len, &mut occupied, usage)?;
        check_overlaps(&mut occupied)
    }

    /// The sectors of the grain tables.
    fn tables(&self) -> impl Iterator<Item = u32> {
        self.directory.iter().copied().filter(|sector| *sector != 0)
    }

    fn check_grains(&self, len: u64, occupied: &mut Vec<Occupied>, usage: &mut Usage) -> Result<()> {
        let mut bytes_here = 0u64;
        let entries = self.form.table_entries();
        let last_grain = (len - 1) / self.grain_bytes();
        for (index, sector) in self.directory.iter().enumerate().filter(|(_, sector)| **sector != 0) {
            let table = self.read_table(*sector)?;
            for (place, entry) in table.iter().enumerate().filter(|(_, entry)| **entry != 0) {
                let grain = index as u64 * entries + place as u64;
                let fault = |reason: String| {
                    let at = u64::from(*sector) * SECTOR + place as u64 * 4;
                    Err(Error::malformed("VMDK grain table entry", at, reason))
                };
                if grain > last_grain {
                    return fault(format!(
                        "names sector {entry:#x} for grain {grain}, the disk's last is {last_grain}"
                    ));
                }
                if self.judge(*entry) == Grain::Zero {
                    usage.zero_grains += 1;
                    continue;
                }
                let bytes = if self.compressed() {
                    record_len(self.compressed_head(grain, *entry)?.1)
                } else {
                    let used = self.used_bytes(grain);
                    self.plain_at(grain, *entry, used)?;
                    used
                };
                usage.grains += 1;
                usage.bytes += bytes;
                bytes_here += bytes;
                if bytes_here > self.file_len.saturating_add(SECTOR) {
                    return fault(format!(
                        "grain {grain} is one more than the file has room for: some share sectors"
                    ));
                }
                let start = u64::from(*entry);
                occupied.push(Occupied { start, end: start + bytes.div_ceil(SECTOR), what: "VMDK grain" });
            }
        }
        Ok(())
    }

    fn check_marker(&self, sector: u64, kind: u32, sectors: u64) -> Result<()> {
        // Never sector 0, which is the header's: overlaps were looked for before.
        let at = sector.saturating_sub(1) * SECTOR;
        let mut bytes = [0; SECTOR as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK marker", at))?;
        let marker = Marker::from_sector(&bytes);
        if marker != (Marker { value: sectors, size: 0, kind }) {
            let reason = format!(
                "type {} of {} sectors with {} bytes, expected type {kind} of {sectors} sectors with 0",
                marker.kind, marker.value, marker.size
            );
            return Err(Error::malformed("VMDK marker", at, reason));
        }
        Ok(())
    }

    /// Compares the redundant directory and its tables with the others.
    fn check_redundant(&self, redundant: &[u32], directory: u64) -> Result<()> {
        for (index, (first, second)) in self.directory.iter().zip(redundant).enumerate() {
            if (*first == 0) != (*second == 0) {
                let at = directory * SECTOR + index as u64 * 4;
                let reason = format!("table at sector {second:#x}, the other directory says {first:#x}");
                return Err(Error::malformed("VMDK redundant grain directory entry", at, reason));
            }
            if *first != 0 && self.read_table(*first)? != self.read_table(*second)? {
                let reason = format!("differs from its copy at {:#x}", u64::from(*first) * SECTOR);
                return Err(Error::malformed(
                    "VMDK redundant grain table",
                    u64::from(*second) * SECTOR,
                    reason,
                ));
            }
        }
        Ok(())
    }
}

fn check_overlaps(occupied: &mut [Occupied]) -> Result<()> {
    occupied.sort_unstable_by_key(|item| (item.start, item.end));
    for pair in occupied.windows(2) {
        if pair[1].start < pair[0].end {
            let reason = format!("overlaps {} at {:#x}", pair[0].what, pair[0].start * SECTOR);
            return Err(Error::malformed(pair[1].what, pair[1].start * SECTOR, reason));
        }
    }
    Ok(())
}
