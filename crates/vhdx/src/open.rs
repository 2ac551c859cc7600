//! Opening: everything that can be judged without reading the disk.

use std::io;
use std::sync::Arc;

use disk::{At, Guid, ReadAt, SectorSize};

use crate::layout::{
    BAT_REGION, CREATOR_LEN, DISK_ID, DISK_SIZE, FILE_PARAMETERS, HAS_PARENT, HEADER_LEN, HEADER_OFFSETS,
    Header, INCOMPLETE_FILE, LEAVE_ALLOCATED, LOGICAL_SECTOR_SIZE, METADATA_REGION, METADATA_TABLE_LEN, MIB,
    MetadataEntry, PARENT_LOCATOR, PHYSICAL_SECTOR_SIZE, REGION_TABLE_LEN, REGION_TABLE_OFFSETS, RegionEntry,
    SIGNATURE, chunk_ratio, parse_metadata_table, parse_region_table,
};
use crate::layout::{FLAG_REQUIRED, FLAG_USER};
use crate::locator::ParentReference;
use crate::log::{Replay, replay};
use crate::options::{BLOCK_SIZES, MAX_SIZE};
use crate::overlay::{Changes, Overlay};
use crate::table::{Occupancy, Table};
use crate::{Error, Result};

/// The longest file that is read: 512 TiB. The format has no limit short of 2^64.
pub(crate) const MAX_FILE_LEN: u64 = 512 << 40;
/// The longest metadata item that the format allows.
const MAX_ITEM_LEN: u32 = 1 << 20;

/// Whether `file` says it is a VHDX.
///
/// # Errors
/// As reading `file`.
pub fn is_vhdx(file: &dyn ReadAt) -> io::Result<bool> {
    let mut signature = [0; SIGNATURE.len()];
    if file.size()? < signature.len() as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut signature, 0)?;
    Ok(signature == SIGNATURE)
}

/// What the metadata says.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) disk_size: u64,
    pub(crate) block_size: u32,
    pub(crate) leave_allocated: bool,
    pub(crate) has_parent: bool,
    pub(crate) logical_sector: SectorSize,
    pub(crate) physical_sector: SectorSize,
    pub(crate) disk_id: Guid,
    pub(crate) parent: Option<ParentReference>,
}

impl Metadata {
    /// How many blocks the disk has: at most 2^26.
    pub(crate) fn blocks(&self) -> u64 {
        self.disk_size.div_ceil(self.block_size.into())
    }

    pub(crate) fn chunk_ratio(&self) -> u64 {
        chunk_ratio(self.logical_sector.bytes(), self.block_size)
    }

    /// How many entries the block allocation table has to have: up to that of the last block, or of the last sector
    /// bitmap.
    pub(crate) fn table_entries(&self) -> u64 {
        let (blocks, ratio) = (self.blocks(), self.chunk_ratio());
        if self.has_parent { blocks.div_ceil(ratio) * (ratio + 1) } else { blocks + (blocks - 1) / ratio }
    }
}

/// A VHDX after everything but the disk was read.
pub(crate) struct Opened {
    pub(crate) file: Overlay,
    pub(crate) creator: String,
    pub(crate) header: Header,
    pub(crate) replay: Option<Replay>,
    pub(crate) regions: Regions,
    pub(crate) metadata: Metadata,
    pub(crate) table: Table,
}

pub(crate) fn open(file: Arc<dyn ReadAt>) -> Result<Opened> {
    let file_len = file.size().map_err(Error::reading("VHDX", 0))?;
    let mut head = [0; SIGNATURE.len() + CREATOR_LEN];
    let structures_end = REGION_TABLE_OFFSETS[1] + REGION_TABLE_LEN as u64;
    if file_len < structures_end {
        let reason =
            format!("file of {file_len:#x} bytes, headers and region tables take {structures_end:#x}");
        return Err(Error::malformed("VHDX", 0, reason));
    }
    if file_len > MAX_FILE_LEN {
        let at = At::new("VHDX", 0);
        return Err(Error::Limit { at, what: "length of the file", found: file_len, limit: MAX_FILE_LEN });
    }
    file.read_exact_at(&mut head, 0).map_err(Error::reading("VHDX file identifier", 0))?;
    let (signature, creator) = head.split_at(SIGNATURE.len());
    if signature != SIGNATURE {
        let reason = format!("signature \"{}\", expected \"vhdxfile\"", signature.escape_ascii());
        return Err(Error::malformed("VHDX file identifier", 0, reason));
    }
    let units: Vec<u16> = creator
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|unit| *unit != 0)
        .collect();

    let (header, header_at) = current_header(&*file)?;
    check_header(&header, header_at, file_len)?;
    let (file, replay) = if header.log_id.is_nil() {
        (Overlay::new(file, file_len, file_len, Changes::default()), None)
    } else {
        let (file, done) = replay(file, file_len, &header)?;
        (file, Some(done))
    };

    let mut occupancy = Occupancy::new(file.len());
    occupancy.mark(0, MIB);
    if header.log_len > 0 && !occupancy.mark(header.log_offset, header.log_len.into()) {
        let reason = format!("log at {:#x} overlaps the header area", header.log_offset);
        return Err(Error::malformed("VHDX header", header_at, reason));
    }
    let regions = Regions::read(&file, &mut occupancy)?;
    let metadata = read_metadata(&file, &regions.metadata)?;
    let (table_at, table_len) = (regions.table.offset, u64::from(regions.table.len));
    let table = Table::load(&file, &metadata, table_at, table_len, &mut occupancy)?;
    Ok(Opened { file, creator: String::from_utf16_lossy(&units), header, replay, regions, metadata, table })
}

fn read_header(file: &dyn ReadAt, at: u64) -> Result<Header> {
    let mut bytes = [0; HEADER_LEN];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHDX header", at))?;
    Header::parse(&bytes, at)
}

/// The header that counts, and where it lies.
fn current_header(file: &dyn ReadAt) -> Result<(Header, u64)> {
    let [first_at, second_at] = HEADER_OFFSETS;
    let (first, second) = (read_header(file, first_at), read_header(file, second_at));
    match (first, second) {
        (Ok(first), Ok(second)) if first.sequence == second.sequence && first != second => {
            let reason =
                format!("another header than the first, with the same sequence number {}", second.sequence);
            Err(Error::malformed("VHDX header", second_at, reason))
        }
        (Ok(first), Ok(second)) if first.sequence < second.sequence => Ok((second, second_at)),
        (Ok(first), _) => Ok((first, first_at)),
        // One that was being written when the power went is no fault: that is why there are two.
        (Err(_), Ok(second)) => Ok((second, second_at)),
        (Err(Error::Malformed { at, reason }), Err(Error::Malformed { reason: other, .. })) => {
            Err(Error::Malformed { at, reason: format!("{reason}; the second at {second_at:#x}: {other}") })
        }
        (Err(error), Err(_)) => Err(error),
    }
}

fn check_header(header: &Header, at: u64, file_len: u64) -> Result<()> {
    let unsupported = |feature: String| Err(Error::Unsupported { at: At::new("VHDX header", at), feature });
    if header.version != 1 {
        return unsupported(format!("version {}, known is 1", header.version));
    }
    if header.log_version != 0 && !header.log_id.is_nil() {
        return unsupported(format!("version {} of the log, known is 0", header.log_version));
    }
    if header.log_len == 0 && header.log_id.is_nil() {
        return Ok(());
    }
    let (offset, len) = (header.log_offset, u64::from(header.log_len));
    let end = offset.checked_add(len).filter(|end| *end <= file_len);
    let whole = offset.is_multiple_of(MIB) && len.is_multiple_of(MIB) && offset >= MIB && len > 0;
    if end.is_none() || !whole {
        let reason = format!(
            "log at {offset:#x} (+ {len:#x}), expected whole MiB after the first inside {file_len:#x} bytes"
        );
        return Err(Error::malformed("VHDX header", at, reason));
    }
    Ok(())
}

/// The two regions that a VHDX must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regions {
    pub(crate) table: RegionEntry,
    pub(crate) metadata: RegionEntry,
}

/// The region table at `at`.
pub(crate) fn read_region_table(file: &Overlay, at: u64) -> Result<Vec<RegionEntry>> {
    let mut bytes = vec![0; REGION_TABLE_LEN];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHDX region table", at))?;
    parse_region_table(&bytes, at)
}

impl Regions {
    fn read(file: &Overlay, occupancy: &mut Occupancy) -> Result<Self> {
        let [first, second] = REGION_TABLE_OFFSETS;
        let (at, entries) = match read_region_table(file, first) {
            Ok(entries) => (first, entries),
            Err(error) => match read_region_table(file, second) {
                Ok(entries) => (second, entries),
                Err(_) => return Err(error),
            },
        };
        let malformed = |reason: String| Error::malformed("VHDX region table", at, reason);
        let (mut table, mut metadata) = (None, None);
        let mut ids: Vec<Guid> = entries.iter().map(|entry| entry.id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(malformed(format!("two regions {}", pair[0])));
        }
        for entry in entries {
            let (id, offset, len) = (entry.id, entry.offset, u64::from(entry.len));
            let inside = offset.checked_add(len).is_some_and(|end| end <= file.len());
            if offset < MIB || !(offset | len).is_multiple_of(MIB) || len == 0 || !inside {
                return Err(malformed(format!(
                    "region {id} at {offset:#x} (+ {len:#x}), expected whole MiB after the first inside {:#x} bytes",
                    file.len()
                )));
            }
            if !occupancy.mark(offset, len) {
                return Err(malformed(format!(
                    "region {id} at {offset:#x} (+ {len:#x}) overlaps the log or another region"
                )));
            }
            match id {
                BAT_REGION => table = Some(entry),
                METADATA_REGION => metadata = Some(entry),
                _ if entry.required & 1 == 1 => {
                    let feature = format!("required region {id}");
                    return Err(Error::Unsupported { at: At::new("VHDX region table", at), feature });
                }
                _ => {}
            }
        }
        match (table, metadata) {
            (Some(table), Some(metadata)) => Ok(Self { table, metadata }),
            (None, _) => Err(malformed("no block allocation table".to_owned())),
            (_, None) => Err(malformed("no metadata".to_owned())),
        }
    }
}

/// The entries of the metadata table, each of which has been checked to lie in its region.
pub(crate) fn read_metadata_table(file: &Overlay, region: &RegionEntry) -> Result<Vec<MetadataEntry>> {
    let at = region.offset;
    let malformed = |reason: String| Error::malformed("VHDX metadata table", at, reason);
    let mut bytes = vec![0; METADATA_TABLE_LEN];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHDX metadata table", at))?;
    let entries = parse_metadata_table(&bytes, at)?;
    let mut ids: Vec<_> = entries.iter().map(|entry| (entry.id, entry.flags & FLAG_USER)).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(malformed(format!("two items {}", pair[0].0)));
    }
    let mut places = Vec::new();
    for MetadataEntry { id, offset, len, .. } in &entries {
        if (*offset, *len) == (0, 0) {
            continue; // an item without content
        }
        if *len > MAX_ITEM_LEN {
            let (found, limit) = ((*len).into(), MAX_ITEM_LEN.into());
            return Err(Error::Limit {
                at: At::new("VHDX metadata table", at),
                what: "length of an item",
                found,
                limit,
            });
        }
        // The length was limited, so this cannot overflow.
        let end = u64::from(*offset) + u64::from(*len);
        if *len == 0 || (*offset as usize) < METADATA_TABLE_LEN || end > region.len.into() {
            return Err(malformed(format!(
                "item {id} at {offset:#x} (+ {len:#x}), expected between {METADATA_TABLE_LEN:#x} and the region's end {:#x}",
                region.len
            )));
        }
        places.push((*offset, end, *id));
    }
    places.sort_unstable();
    if let Some(pair) = places.windows(2).find(|pair| u64::from(pair[1].0) < pair[0].1) {
        return Err(malformed(format!("items {} and {} overlap", pair[0].2, pair[1].2)));
    }
    Ok(entries)
}

fn read_metadata(file: &Overlay, region: &RegionEntry) -> Result<Metadata> {
    const KNOWN: [Guid; 6] =
        [FILE_PARAMETERS, DISK_SIZE, DISK_ID, LOGICAL_SECTOR_SIZE, PHYSICAL_SECTOR_SIZE, PARENT_LOCATOR];
    let at = region.offset;
    let malformed = |reason: String| Error::malformed("VHDX metadata table", at, reason);
    let entries = read_metadata_table(file, region)?;
    let system = || entries.iter().filter(|entry| entry.flags & FLAG_USER == 0);
    if system().any(|entry| entry.id == INCOMPLETE_FILE) {
        return Err(malformed(
            "the file is marked as incomplete: whoever made it has not finished".to_owned(),
        ));
    }
    let required = |entry: &&MetadataEntry| entry.flags & FLAG_REQUIRED != 0;
    let unknown = |entry: &&MetadataEntry| entry.flags & FLAG_USER != 0 || !KNOWN.contains(&entry.id);
    if let Some(entry) = entries.iter().filter(required).find(unknown) {
        let feature = format!("required item {}", entry.id);
        return Err(Error::Unsupported { at: At::new("VHDX metadata table", at), feature });
    }
    // The content of an item, and where it lies.
    let item = |what: &'static str, id: Guid, expected: Option<u32>| {
        let entry = system().find(|entry| entry.id == id);
        let entry = entry.ok_or_else(|| malformed(format!("no item {id} ({what})")))?;
        let item_at = at + u64::from(entry.offset);
        if let Some(expected) = expected.filter(|expected| *expected != entry.len) {
            let reason = format!("{what} of {} bytes, expected {expected}", entry.len);
            return Err(Error::malformed("VHDX metadata item", item_at, reason));
        }
        let mut bytes = vec![0; entry.len as usize];
        file.read_exact_at(&mut bytes, item_at).map_err(Error::reading("VHDX metadata item", item_at))?;
        Ok((bytes, item_at))
    };
    let number = |bytes: &[u8]| {
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(number)
    };
    let wrong = |at: u64, reason: String| Error::malformed("VHDX metadata item", at, reason);

    let (parameters, parameters_at) = item("file parameters", FILE_PARAMETERS, Some(8))?;
    let (block_size, flags) = (number(&parameters[..4]) as u32, number(&parameters[4..]) as u32);
    if !block_size.is_power_of_two() || !BLOCK_SIZES.contains(&block_size) {
        let reason = format!("block size {block_size}, expected a power of two from 1 to 256 MiB");
        return Err(wrong(parameters_at, reason));
    }
    if flags & !(LEAVE_ALLOCATED | HAS_PARENT) != 0 {
        return Err(wrong(parameters_at, format!("unknown file parameters {flags:#x}")));
    }
    let sector = |what, id| {
        let (bytes, at) = item(what, id, Some(4))?;
        match number(&bytes) {
            512 => Ok(SectorSize::B512),
            4096 => Ok(SectorSize::B4096),
            other => Err(wrong(at, format!("{what} {other}, expected 512 or 4096"))),
        }
    };
    let logical_sector = sector("logical sector size", LOGICAL_SECTOR_SIZE)?;
    let physical_sector = sector("physical sector size", PHYSICAL_SECTOR_SIZE)?;
    let (disk_size, size_at) = item("disk size", DISK_SIZE, Some(8))?;
    let disk_size = number(&disk_size);
    if disk_size == 0 || !disk_size.is_multiple_of(logical_sector.bytes().into()) {
        let sector = logical_sector.bytes();
        let reason = format!("disk size {disk_size}, expected a positive multiple of {sector}");
        return Err(wrong(size_at, reason));
    }
    if disk_size > MAX_SIZE {
        let at = At::new("VHDX metadata item", size_at);
        return Err(Error::Limit { at, what: "disk size", found: disk_size, limit: MAX_SIZE });
    }
    let (disk_id, _) = item("disk id", DISK_ID, Some(16))?;
    let has_parent = flags & HAS_PARENT != 0;
    let parent = if has_parent {
        let (bytes, at) = item("parent locator", PARENT_LOCATOR, None)?;
        Some(ParentReference::parse(&bytes, at)?)
    } else {
        None
    };
    Ok(Metadata {
        disk_size,
        block_size,
        leave_allocated: flags & LEAVE_ALLOCATED != 0,
        has_parent,
        logical_sector,
        physical_sector,
        disk_id: Guid(disk_id.try_into().expect("sixteen bytes")),
        parent,
    })
}
