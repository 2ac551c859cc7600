//! What has a fixed shape on an ISO 9660 volume (ECMA-119, second edition).

use binrw::BinRead;

/// Bytes of a logical sector (6.1.2).
pub(super) const SECTOR: u64 = 2048;
/// The sector that volume descriptors begin in (6.2.1).
pub(super) const FIRST_DESCRIPTOR: u64 = 16;
/// Bytes of a directory record without its name.
pub(super) const RECORD_LEN: usize = 33;

/// Values of [`RawDescriptor::kind`] (8.1.1).
pub(super) const KIND_PRIMARY: u8 = 1;
pub(super) const KIND_SUPPLEMENTARY: u8 = 2;
pub(super) const KIND_TERMINATOR: u8 = 255;

/// Primary and supplementary volume descriptor (8.4, 8.5), up to the root's directory record.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawDescriptor {
    /// 0x00.
    pub(super) kind: u8,
    /// 0x01: "CD001".
    pub(super) identifier: [u8; 5],
    /// 0x06: 1; 2 in the enhanced descriptor of ISO 9660:1999.
    pub(super) version: u8,
    /// 0x07: bit 0 of a supplementary one: the escape sequences are not registered.
    pub(super) flags: u8,
    _system: [u8; 32],
    /// 0x28: the label, filled up with spaces.
    pub(super) label: [u8; 32],
    _unused: [u8; 8],
    _volume_blocks: [u32; 2],
    /// 0x58: escape sequences: which characters names have.
    pub(super) escapes: [u8; 32],
    _set: [u8; 8],
    /// 0x80: bytes in a logical block.
    pub(super) block_size: u16,
    _block_size_big: u16,
    _path_tables: [u32; 6],
    /// 0x9C: directory record of the root.
    pub(super) root: RawRecord,
}

/// Directory record (9.1), up to its name.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawRecord {
    /// 0x00: bytes of the record.
    _len: u8,
    /// 0x01: blocks before the data that hold an extended attribute record.
    pub(super) attribute_blocks: u8,
    /// 0x02: the first block.
    pub(super) block: u32,
    _block_big: u32,
    /// 0x0A: bytes of the data.
    pub(super) size: u32,
    _size_big: u32,
    /// 0x12: year from 1900, month, day, hour, minute, second, quarters of an hour from UTC.
    pub(super) time: [u8; 7],
    /// 0x19.
    pub(super) flags: u8,
    /// 0x1A: blocks of an interleaved file that belong to it.
    pub(super) unit: u8,
    /// 0x1B: blocks of an interleaved file between these.
    pub(super) gap: u8,
    _volume: [u16; 2],
    /// 0x20: bytes of the name.
    pub(super) name_len: u8,
}

/// Bits of [`RawRecord::flags`] (9.1.6).
pub(super) const HIDDEN: u8 = 1;
pub(super) const DIRECTORY: u8 = 2;
/// A resource fork or the like, beside a file of the same name.
pub(super) const ASSOCIATED: u8 = 4;
/// The next record has more of this file.
pub(super) const MULTI_EXTENT: u8 = 0x80;
