use crate::grain::record_len;
use crate::layout::{MARKER_DIRECTORY, MARKER_TABLE, Marker, SECTOR, TABLE_ENTRIES, TABLE_SECTORS};
use crate::open::{has_redundant_directory, read_directory};
use crate::read::Vmdk;
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
    /// Bytes of the file that stored grains occupy, heads and padding included.
    pub bytes: u64,
}

impl Vmdk {
    /// Checks all tables and the head of every grain: that each lies in the file, says what its entry says, and shares
    /// its sectors with nothing else; that second copies of tables are equal to the first; that tables in a streamed file
    /// have their markers. Grains are not inflated: reading the disk does that.
    ///
    /// Memory: 32 bytes per table and per stored grain, of which there are no more than the file has room for.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault; [`Error::Io`].
    pub fn check(&self) -> Result<Usage> {
        let header = &self.opened.header;
        let file_sectors = self.opened.file_len / SECTOR;
        let mut occupied = Vec::new();
        let mut occupy = |start: u64, sectors: u64, what| {
            occupied.push(Occupied { start, end: start + sectors, what });
        };
        let directory_sectors = (header.tables() * 4).div_ceil(SECTOR);
        occupy(0, 1, "VMDK header");
        occupy(header.descriptor_offset, header.descriptor_size, "VMDK descriptor");
        occupy(header.grain_directory, directory_sectors, "VMDK grain directory");
        for sector in self.tables() {
            occupy(sector.into(), TABLE_SECTORS, "VMDK grain table");
        }
        if self.opened.streamed {
            occupy(file_sectors - 3, 3, "VMDK footer");
        }
        let redundant = if has_redundant_directory(header) {
            let directory = read_directory(&*self.file, header, file_sectors, header.redundant_directory)?;
            occupy(header.redundant_directory, directory_sectors, "VMDK redundant grain directory");
            for sector in directory.iter().filter(|sector| **sector != 0) {
                occupy((*sector).into(), TABLE_SECTORS, "VMDK redundant grain table");
            }
            Some(directory)
        } else {
            None
        };
        // Before any table is looked at: a table that the directory names a million times would be read as often.
        check_overlaps(&mut occupied)?;

        if let Some(redundant) = redundant {
            self.check_redundant(&redundant)?;
        }
        if self.opened.streamed {
            self.check_marker(header.grain_directory, MARKER_DIRECTORY, directory_sectors)?;
            for sector in self.tables() {
                self.check_marker(sector.into(), MARKER_TABLE, TABLE_SECTORS)?;
            }
        }
        let usage = self.check_grains(&mut occupied)?;
        check_overlaps(&mut occupied)?;
        Ok(usage)
    }

    /// The sectors of the grain tables.
    fn tables(&self) -> impl Iterator<Item = u32> {
        self.opened.directory.iter().copied().filter(|sector| *sector != 0)
    }

    fn check_grains(&self, occupied: &mut Vec<Occupied>) -> Result<Usage> {
        let mut usage = Usage::default();
        let last_grain = (self.disk_size() - 1) / self.grain_bytes();
        for (index, sector) in self.opened.directory.iter().enumerate().filter(|(_, sector)| **sector != 0) {
            let table = self.read_table(*sector)?;
            for (place, entry) in table.iter().enumerate().filter(|(_, entry)| **entry != 0) {
                let grain = index as u64 * TABLE_ENTRIES as u64 + place as u64;
                let fault = |reason: String| {
                    let at = u64::from(*sector) * SECTOR + place as u64 * 4;
                    Err(Error::malformed("VMDK grain table entry", at, reason))
                };
                if grain > last_grain {
                    return fault(format!(
                        "names sector {entry:#x} for grain {grain}, the disk's last is {last_grain}"
                    ));
                }
                if self.is_zero_entry(*entry) {
                    usage.zero_grains += 1;
                    continue;
                }
                let bytes = if self.compressed() {
                    record_len(self.compressed_head(grain, *entry)?.1)
                } else {
                    self.plain_at(grain, *entry)?;
                    self.used_bytes(grain)
                };
                usage.grains += 1;
                usage.bytes += bytes;
                if usage.bytes > self.opened.file_len.saturating_add(SECTOR) {
                    return fault(format!(
                        "grain {grain} is one more than the file has room for: some share sectors"
                    ));
                }
                let start = u64::from(*entry);
                occupied.push(Occupied { start, end: start + bytes.div_ceil(SECTOR), what: "VMDK grain" });
            }
        }
        Ok(usage)
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
    fn check_redundant(&self, redundant: &[u32]) -> Result<()> {
        for (index, (first, second)) in self.opened.directory.iter().zip(redundant).enumerate() {
            if (*first == 0) != (*second == 0) {
                let at = self.opened.header.redundant_directory * SECTOR + index as u64 * 4;
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
