//! The structures of a VHDX. All numbers are little-endian.
//!
//! Source: Microsoft's [MS-VHDX], and what the products write (observed: Hyper-V 2012, Windows 10, disk2vhd) where
//! noted.

use std::io::Cursor;

use binrw::{BinRead, BinWrite, binrw};
use disk::Guid;

pub use crate::crc32c::checksum;
use crate::{Error, Result};

/// What all large structures are multiples of, and lie on multiples of: 1 MiB.
pub const MIB: u64 = 1 << 20;
/// The first eight bytes of every VHDX.
pub const SIGNATURE: [u8; 8] = *b"vhdxfile";
/// Bytes of UTF-16 text after the signature that name the program that made the file.
pub const CREATOR_LEN: usize = 512;
/// Where the two headers lie. The one with a right checksum and the higher sequence number counts.
pub const HEADER_OFFSETS: [u64; 2] = [64 << 10, 128 << 10];
/// Bytes of a header that its checksum covers.
pub const HEADER_LEN: usize = 4096;
/// Where the two region tables lie, which are equal.
pub const REGION_TABLE_OFFSETS: [u64; 2] = [192 << 10, 256 << 10];
/// Length of a region table.
pub const REGION_TABLE_LEN: usize = 64 << 10;
/// The most entries that a region table or a metadata table has room for.
pub const MAX_ENTRIES: u32 = 2047;
/// Bytes at the start of the metadata region that its table takes up; items follow.
pub const METADATA_TABLE_LEN: usize = 64 << 10;
/// Logical sectors for which a sector bitmap, of 1 MiB, has bits: a chunk.
pub const CHUNK_SECTORS: u64 = MIB * 8;
/// The unit of the log and of what it writes.
pub const LOG_SECTOR: u64 = 4096;
/// Bytes of a log entry before its descriptors.
pub const LOG_HEADER_LEN: usize = 64;
/// Bytes of a descriptor in a log entry.
pub const LOG_DESCRIPTOR_LEN: usize = 32;

const fn guid(text: &str) -> Guid {
    // As `Guid::from_str`, which a constant cannot call: the first three groups are stored backwards.
    const PLACES: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    let text = text.as_bytes();
    let mut bytes = [0; 16];
    let (mut at, mut index) = (0, 0);
    while index < 16 {
        if text[at] == b'-' {
            at += 1;
        }
        bytes[PLACES[index]] = digit(text[at]) << 4 | digit(text[at + 1]);
        at += 2;
        index += 1;
    }
    assert!(at == text.len(), "longer than a GUID");
    Guid(bytes)
}

/// Region: the block allocation table.
pub const BAT_REGION: Guid = guid("2dc27766-f623-4200-9d64-115e9bfd4a08");
/// Region: the metadata.
pub const METADATA_REGION: Guid = guid("8b7ca206-4790-4b9a-b8fe-575f050f886e");
/// Metadata: block size, and what kind of VHDX it is.
pub const FILE_PARAMETERS: Guid = guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
/// Metadata: size of the disk in bytes.
pub const DISK_SIZE: Guid = guid("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
/// Metadata: identity of the disk, which a machine sees as SCSI page 83.
pub const DISK_ID: Guid = guid("beca12ab-b2e6-4523-93ef-c309e000c746");
/// Metadata: logical sector size.
pub const LOGICAL_SECTOR_SIZE: Guid = guid("8141bf1d-a96f-4709-ba47-f233a8faab5f");
/// Metadata: physical sector size.
pub const PHYSICAL_SECTOR_SIZE: Guid = guid("cda348c7-445d-4471-9cc9-e9885251c556");
/// Metadata: how to find the parent of a differencing disk.
pub const PARENT_LOCATOR: Guid = guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");
/// Metadata: a mark that whoever makes the file has not finished.
pub const INCOMPLETE_FILE: Guid = guid("71cc85f0-1b69-4e28-9558-c3bf83ae75d3");
/// The type of a parent locator that names a VHDX.
pub const LOCATOR_TYPE_VHDX: Guid = guid("b04aefb7-d19e-4a81-b789-25b8e9445913");

/// [`MetadataEntry::flags`]: the item is the user's, no part of the format.
pub const FLAG_USER: u32 = 1;
/// [`MetadataEntry::flags`]: the item describes the disk, not the file.
pub const FLAG_VIRTUAL_DISK: u32 = 2;
/// [`MetadataEntry::flags`]: who does not know the item cannot use the file.
pub const FLAG_REQUIRED: u32 = 4;
/// [`FILE_PARAMETERS`]: all blocks stay allocated, a fixed disk.
pub const LEAVE_ALLOCATED: u32 = 1;
/// [`FILE_PARAMETERS`]: a differencing disk.
pub const HAS_PARENT: u32 = 2;

/// Entry of the block allocation table: nothing is stored; a differencing disk has the parent's content there.
pub const NOT_PRESENT: u8 = 0;
/// Entry: the content is not defined.
pub const UNDEFINED: u8 = 1;
/// Entry: zeros.
pub const ZERO: u8 = 2;
/// Entry: was discarded.
pub const UNMAPPED: u8 = 3;
/// Entry: the block is stored.
pub const FULLY_PRESENT: u8 = 6;
/// Entry: some sectors are stored, a sector bitmap says which; the rest is the parent's.
pub const PARTIALLY_PRESENT: u8 = 7;

/// An entry of the block allocation table: the state in bits 0 to 2, and the offset in the file, whose lower 20 bits are
/// zero as it counts whole MiB.
pub const fn table_entry(state: u8, offset: u64) -> u64 {
    offset | state as u64
}

/// State, reserved bits and offset in bytes of an entry.
pub const fn parse_table_entry(entry: u64) -> (u8, u64, u64) {
    (entry as u8 & 7, entry & (MIB - 8), entry & !(MIB - 1))
}

/// How many blocks of the disk lie between two entries for sector bitmaps in the block allocation table, for block sizes
/// that are powers of two from 1 to 256 MiB.
pub const fn chunk_ratio(logical_sector_size: u32, block_size: u32) -> u64 {
    CHUNK_SECTORS * logical_sector_size as u64 / block_size as u64
}

/// One of the two headers.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0: `head`.
    pub signature: [u8; 4],
    /// 4: see [`checksum`](fn@checksum).
    pub checksum: u32,
    /// 8: the higher counts.
    pub sequence: u64,
    /// 16: changes whenever the file is opened for writing.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub file_write_id: Guid,
    /// 32: changes when the disk's content is about to change. Differencing disks know their parent by it.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub data_write_id: Guid,
    /// 48: of the entries in the log that count; zero when none do.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub log_id: Guid,
    /// 64: 0.
    pub log_version: u16,
    /// 66: 1.
    pub version: u16,
    /// 68: in bytes, whole MiB.
    pub log_len: u32,
    /// 72: in bytes, whole MiB.
    pub log_offset: u64,
}

/// An entry of a region table.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionEntry {
    /// 0: what it is.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub id: Guid,
    /// 16: in bytes, whole MiB.
    pub offset: u64,
    /// 24: in bytes, whole MiB.
    pub len: u32,
    /// 28: 1 when who does not know it cannot use the file.
    pub required: u32,
}

/// An entry of the metadata table.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataEntry {
    /// 0: what it is.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub id: Guid,
    /// 16: in bytes, from the start of the metadata region.
    pub offset: u32,
    /// 20: in bytes.
    pub len: u32,
    /// 24: see [`FLAG_REQUIRED`] and its neighbours.
    #[brw(pad_after = 4)]
    pub flags: u32,
}

/// The head of a log entry.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// 0: `loge`.
    pub signature: [u8; 4],
    /// 4: see [`checksum`](fn@checksum); over the whole entry.
    pub checksum: u32,
    /// 8: of the whole entry in bytes, a multiple of [`LOG_SECTOR`].
    pub len: u32,
    /// 12: where in the log the oldest entry lies that is still needed when this one is the last.
    pub tail: u32,
    /// 16: one more than that of the entry before; never 0.
    pub sequence: u64,
    /// 24: how many descriptors follow.
    #[brw(pad_after = 4)]
    pub descriptors: u32,
    /// 32: the header's [`log_id`](Header::log_id) at the time.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub log_id: Guid,
    /// 48: as long as this the file was, for certain, when the entry was written.
    pub flushed_file_len: u64,
    /// 56: as long as this the file has to be once the entry is replayed.
    pub last_file_len: u64,
}

/// A descriptor of a log entry.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDescriptor {
    /// 0: `desc` for one that writes a sector, `zero` for one that writes zeros.
    pub signature: [u8; 4],
    /// 4: the last four bytes of the sector, in whose place its copy in the log has something else.
    pub trailing: [u8; 4],
    /// 8: the first eight bytes of the sector; or how many bytes of zeros.
    pub leading: [u8; 8],
    /// 16: where in the file they go.
    pub offset: u64,
    /// 24: that of the entry.
    pub sequence: u64,
}

fn check_sum(what: &'static str, at: u64, bytes: &[u8], signature: [u8; 4]) -> Result<()> {
    let found = &bytes[..4];
    if found != signature {
        let (found, expected) = (found.escape_ascii(), signature.escape_ascii());
        return Err(Error::malformed(what, at, format!("signature \"{found}\", expected \"{expected}\"")));
    }
    let stored = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    let actual = checksum(bytes);
    if stored != actual {
        let reason = format!("checksum {stored:#010x}, its bytes have {actual:#010x}");
        return Err(Error::malformed(what, at, reason));
    }
    Ok(())
}

/// Puts a structure's checksum into its bytes 4 to 8.
pub(crate) fn sign(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

impl Header {
    /// The bytes, with the checksum that belongs to them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 80 bytes");
        sign(&mut bytes);
        bytes
    }

    /// Reads the bytes found at offset `at`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when signature or checksum are not those of a header.
    pub fn parse(bytes: &[u8; HEADER_LEN], at: u64) -> Result<Self> {
        check_sum("VHDX header", at, bytes, *b"head")?;
        Ok(Self::read(&mut Cursor::new(bytes)).expect("every 80 bytes have this shape"))
    }
}

/// A region table with the checksum that belongs to it.
///
/// # Panics
/// When there are more than [`MAX_ENTRIES`].
pub fn region_table(entries: &[RegionEntry]) -> Vec<u8> {
    assert!(entries.len() <= MAX_ENTRIES as usize, "a table has room for {MAX_ENTRIES} entries");
    let mut bytes = b"regi\0\0\0\0".to_vec();
    bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for entry in entries {
        append(&mut bytes, entry);
    }
    bytes.resize(REGION_TABLE_LEN, 0);
    sign(&mut bytes);
    bytes
}

/// The entries of the region table found at offset `at`.
///
/// # Errors
/// [`Error::Malformed`] when signature, checksum or number of entries are not those of a region table.
pub fn parse_region_table(bytes: &[u8], at: u64) -> Result<Vec<RegionEntry>> {
    check_sum("VHDX region table", at, bytes, *b"regi")?;
    let count = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
    if count > MAX_ENTRIES {
        let reason = format!("{count} entries, it has room for {MAX_ENTRIES}");
        return Err(Error::malformed("VHDX region table", at, reason));
    }
    Ok(entries(&bytes[16..], count))
}

/// A metadata table.
///
/// # Panics
/// When there are more than [`MAX_ENTRIES`].
pub fn metadata_table(entries: &[MetadataEntry]) -> Vec<u8> {
    assert!(entries.len() <= MAX_ENTRIES as usize, "a table has room for {MAX_ENTRIES} entries");
    let mut bytes = b"metadata\0\0".to_vec();
    bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    bytes.resize(32, 0);
    for entry in entries {
        append(&mut bytes, entry);
    }
    bytes.resize(METADATA_TABLE_LEN, 0);
    bytes
}

/// The entries of the metadata table found at offset `at`.
///
/// # Errors
/// [`Error::Malformed`] when signature or number of entries are not those of a metadata table.
pub fn parse_metadata_table(bytes: &[u8], at: u64) -> Result<Vec<MetadataEntry>> {
    let what = "VHDX metadata table";
    if &bytes[..8] != b"metadata" {
        let found = bytes[..8].escape_ascii();
        return Err(Error::malformed(what, at, format!("signature \"{found}\", expected \"metadata\"")));
    }
    let count = u32::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    if count > MAX_ENTRIES {
        let reason = format!("{count} entries, it has room for {MAX_ENTRIES}");
        return Err(Error::malformed(what, at, reason));
    }
    Ok(entries(&bytes[32..], count))
}

fn append<T>(bytes: &mut Vec<u8>, entry: &T)
where
    T: BinWrite + binrw::meta::WriteEndian,
    for<'a> T::Args<'a>: Default,
{
    let mut shape = Cursor::new(Vec::with_capacity(32));
    entry.write(&mut shape).expect("writing to memory");
    bytes.append(&mut shape.into_inner());
}

fn entries<T>(bytes: &[u8], count: u32) -> Vec<T>
where
    T: BinRead + binrw::meta::ReadEndian,
    for<'a> T::Args<'a>: Default,
{
    bytes.chunks_exact(32).take(count as usize).map(parse).collect()
}

/// A structure from its bytes, of which there are enough.
pub(crate) fn parse<T>(bytes: &[u8]) -> T
where
    T: BinRead + binrw::meta::ReadEndian,
    for<'a> T::Args<'a>: Default,
{
    T::read(&mut Cursor::new(bytes)).expect("the structures have no byte that could be wrong")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_as_printed() {
        assert_eq!(BAT_REGION.to_string(), "2dc27766-f623-4200-9d64-115e9bfd4a08");
        assert_eq!(LOCATOR_TYPE_VHDX.to_string(), "b04aefb7-d19e-4a81-b789-25b8e9445913");
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk_ratio(512, 1 << 20), 4096);
        assert_eq!(chunk_ratio(512, 32 << 20), 128);
        assert_eq!(chunk_ratio(4096, 256 << 20), 128);
    }
}
