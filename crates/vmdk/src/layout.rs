//! The structures of sparse extents, as far as they have a fixed shape. All numbers are little-endian; offsets
//! and sizes are in sectors of 512 bytes.
//!
//! Source: VMware's "Virtual Disk Format 5.0" technical note, corrected by what the products write (observed: VMware
//! disklib samples) where noted.

use std::io::Cursor;

use binrw::{BinRead, BinWrite, binrw};

/// A sector, in bytes.
pub const SECTOR: u64 = 512;
/// First four bytes of the header.
pub const MAGIC: [u8; 4] = *b"KDMV";
/// The header's bytes 73 to 76, which a transfer in text mode would change.
pub const CHECK_BYTES: [u8; 4] = *b"\n \r\n";
/// [`Header::flags`]: the check bytes are there.
pub const FLAG_CHECK_BYTES: u32 = 1;
/// [`Header::flags`]: there are two grain directories.
pub const FLAG_REDUNDANT: u32 = 2;
/// [`Header::flags`]: grain table entry 1 is a grain of zeros (version 2).
pub const FLAG_ZERO_GRAINS: u32 = 4;
/// [`Header::flags`]: grains are compressed.
pub const FLAG_COMPRESSED: u32 = 0x1_0000;
/// [`Header::flags`]: grains and tables are preceded by markers.
pub const FLAG_MARKERS: u32 = 0x2_0000;
/// [`Header::grain_directory`] of a file that was streamed: the true one is in the footer.
pub const DIRECTORY_AT_END: u64 = u64::MAX;
/// Entries of a grain table.
pub const TABLE_ENTRIES: usize = 512;
/// Sectors of a grain table.
pub const TABLE_SECTORS: u64 = (TABLE_ENTRIES * 4) as u64 / SECTOR;
/// [`Header::compression`]: deflate, in zlib's wrapping (RFC 1950; the technical note says RFC 1951, no product does it).
pub const COMPRESSION_DEFLATE: u16 = 1;

/// Type of the marker in front of a grain table.
pub const MARKER_TABLE: u32 = 1;
/// Type of the marker in front of the grain directory.
pub const MARKER_DIRECTORY: u32 = 2;
/// Type of the marker in front of the footer.
pub const MARKER_FOOTER: u32 = 3;

/// The first sector of a sparse extent; the footer has the same shape.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0: `KDMV`.
    pub magic: [u8; 4],
    /// 4: 1 when grains are plain, 3 when compressed (observed; the technical note knows no 3). 2 adds grains of zeros.
    pub version: u32,
    /// 8: see the `FLAG_` constants.
    pub flags: u32,
    /// 12: size of the disk.
    pub capacity: u64,
    /// 20: size of a grain.
    pub grain_size: u64,
    /// 28: where the descriptor lies, or 0.
    pub descriptor_offset: u64,
    /// 36: its size.
    pub descriptor_size: u64,
    /// 44: entries in a grain table: 512.
    pub table_entries: u32,
    /// 48: where the redundant grain directory lies, or 0.
    pub redundant_directory: u64,
    /// 56: where the grain directory lies, or [`DIRECTORY_AT_END`].
    pub grain_directory: u64,
    /// 64: where the first grain, or its marker, lies.
    pub overhead: u64,
    /// 72: 1 while the disk is in use.
    pub unclean_shutdown: u8,
    /// 73: [`CHECK_BYTES`].
    pub check_bytes: [u8; 4],
    /// 77: 0 or [`COMPRESSION_DEFLATE`].
    #[brw(pad_after = 433)]
    pub compression: u16,
}

impl Header {
    /// The sector.
    pub fn to_sector(&self) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 512 bytes");
        bytes
    }

    /// Reads a sector, without judging it.
    pub fn from_sector(bytes: &[u8; SECTOR as usize]) -> Self {
        Self::read(&mut Cursor::new(bytes)).expect("every 512 bytes have this shape")
    }
}

/// First four bytes of an ESX copy-on-write extent.
pub const COWD_MAGIC: [u8; 4] = *b"COWD";
/// Entries of a grain table of such an extent.
pub const COWD_TABLE_ENTRIES: usize = 4096;

/// The first sector of an ESX copy-on-write extent, as far as reading needs it; the header goes on for three more.
/// Source: the technical note, "ESX Server Sparse Extents".
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CowdHeader {
    /// 0: `COWD`.
    pub magic: [u8; 4],
    /// 4: 1.
    pub version: u32,
    /// 8: 3.
    pub flags: u32,
    /// 12: size of the disk.
    pub capacity: u32,
    /// 16: size of a grain; 1 in practice.
    pub grain_size: u32,
    /// 20: where the grain directory lies; 4 in practice.
    pub grain_directory: u32,
    /// 24: its entries.
    pub directory_entries: u32,
    /// 28: the next sector that is free.
    #[brw(pad_after = 480)]
    pub free_sector: u32,
}

impl CowdHeader {
    /// The sector.
    pub fn to_sector(&self) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 512 bytes");
        bytes
    }

    /// Reads a sector, without judging it.
    pub fn from_sector(bytes: &[u8; SECTOR as usize]) -> Self {
        Self::read(&mut Cursor::new(bytes)).expect("every 512 bytes have this shape")
    }
}

/// The sector in front of a table, directory or footer in a file with markers. With `size` other than 0 it is the head
/// of a compressed grain instead: `value` is its LBA, and the data follows at byte 12.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// 0: how many sectors follow, or the LBA of a grain.
    pub value: u64,
    /// 8: 0, or how many bytes of compressed data follow.
    pub size: u32,
    /// 12: what follows: see the `MARKER_` constants; 0 ends the file.
    pub kind: u32,
}

impl Marker {
    /// The sector.
    pub fn to_sector(&self) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 16 bytes");
        bytes
    }

    /// Reads a sector, without judging it.
    pub fn from_sector(bytes: &[u8; SECTOR as usize]) -> Self {
        Self::read(&mut Cursor::new(bytes)).expect("every 16 bytes have this shape")
    }
}
