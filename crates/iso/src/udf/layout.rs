//! What has a fixed shape on a UDF volume: ECMA-167, third edition (numbers such as 3/7.2 are part and clause), as OSTA
//! "Universal Disk Format" 1.02 to 2.60 restricts it. Everything is little-endian.

use binrw::BinRead;

/// Where volume structures begin, and how far apart they are (2/8.3).
pub(super) const RECOGNITION_START: u64 = 32_768;
pub(super) const RECOGNITION_STEP: u64 = 2048;

/// Values of [`RawTag::id`] (3/7.2.1, 4/7.2.1).
pub(super) const TAG_PRIMARY: u16 = 1;
pub(super) const TAG_ANCHOR: u16 = 2;
pub(super) const TAG_POINTER: u16 = 3;
pub(super) const TAG_PARTITION: u16 = 5;
pub(super) const TAG_LOGICAL_VOLUME: u16 = 6;
pub(super) const TAG_TERMINATING: u16 = 8;
pub(super) const TAG_FILE_SET: u16 = 256;
pub(super) const TAG_FILE_IDENTIFIER: u16 = 257;
pub(super) const TAG_ALLOCATION_EXTENT: u16 = 258;
pub(super) const TAG_FILE_ENTRY: u16 = 261;
pub(super) const TAG_EXTENDED_FILE_ENTRY: u16 = 266;

/// Length of a descriptor tag, and of the volume structures that this crate reads; a block has at least as much.
pub(super) const TAG_LEN: usize = 16;
pub(super) const DESCRIPTOR_LEN: usize = 512;

/// The head of every descriptor (3/7.2).
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawTag {
    /// 0x00: which descriptor.
    pub(super) id: u16,
    /// 0x02: 2 or 3, after the edition of ECMA-167.
    pub(super) version: u16,
    /// 0x04: sum of the other 15 bytes of the tag.
    pub(super) checksum: u8,
    _reserved: u8,
    /// 0x06: 0, or the same in all descriptors that belong together.
    _serial: u16,
    /// 0x08: CRC-16 of what follows the tag.
    pub(super) crc: u16,
    /// 0x0A: of how much of it.
    pub(super) crc_len: u16,
    /// 0x0C: the sector, or the block of a partition, that the descriptor begins in.
    pub(super) location: u32,
}

/// Sectors of the volume (`extent_ad`, 3/7.1).
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawExtent {
    /// Bytes.
    pub(super) len: u32,
    /// First sector.
    pub(super) location: u32,
}

/// A block of a partition (`lb_addr`, 4/7.1).
#[derive(BinRead, Clone, Copy, Debug, PartialEq, Eq)]
#[br(little)]
pub(super) struct RawAddress {
    /// The block, from 0.
    pub(super) block: u32,
    /// The partition, by its number in the partition maps.
    pub(super) partition: u16,
}

/// Blocks of a partition (`long_ad`, 4/14.14.2).
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawLongAllocation {
    /// Bytes; of what this crate follows, always one block.
    _len: u32,
    /// The first block.
    pub(super) address: RawAddress,
    _use: [u8; 6],
}

/// Anchor volume descriptor pointer (3/10.2), after its tag.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawAnchor {
    /// 0x10: the volume descriptor sequence.
    pub(super) main: RawExtent,
    /// 0x18: its copy.
    pub(super) reserve: RawExtent,
}

/// Volume descriptor pointer (3/10.3), after its tag: where the sequence goes on.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawPointer {
    /// 0x10.
    _sequence: u32,
    /// 0x14: the rest of the sequence.
    pub(super) next: RawExtent,
}

/// Partition descriptor (3/10.5), after its tag.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawPartition {
    /// 0x10: of two descriptors of one partition, that with the higher one counts.
    pub(super) sequence: u32,
    _flags: u16,
    /// 0x16: what partition maps call it.
    pub(super) number: u16,
    _contents: [u8; 32],
    _contents_use: [u8; 128],
    _access: u32,
    /// 0xBC: first sector.
    pub(super) start: u32,
    /// 0xC0: sectors.
    pub(super) len: u32,
}

/// Logical volume descriptor (3/10.6), after its tag and up to its partition maps.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawLogicalVolume {
    /// 0x10: of two, that with the higher one counts.
    pub(super) sequence: u32,
    _charset: [u8; 64],
    /// 0x54: the label, a `dstring`.
    pub(super) label: [u8; 128],
    /// 0xD4: bytes in a block.
    pub(super) block_size: u32,
    /// 0xD8: an entity identifier, flags and name: "*OSTA UDF Compliant".
    _domain: [u8; 24],
    /// 0xF0: version of UDF, in binary-coded decimal.
    pub(super) revision: u16,
    _domain_rest: [u8; 6],
    /// 0xF8: where the file set descriptor is.
    pub(super) file_set: RawLongAllocation,
    /// 0x108: bytes of partition maps.
    pub(super) maps_len: u32,
    /// 0x10C: how many partition maps.
    pub(super) maps: u32,
    _implementation: [u8; 160],
    _integrity: RawExtent,
}

/// Where the partition maps of a logical volume descriptor begin.
pub(super) const MAPS_AT: usize = 440;

/// File set descriptor (4/14.1), after its tag.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawFileSet {
    _time: [u8; 12],
    _levels: [u16; 2],
    _charsets: [u32; 2],
    _numbers: [u32; 2],
    _label_charset: [u8; 64],
    _label: [u8; 128],
    _charset: [u8; 64],
    _files: [u8; 96],
    /// 0x190: where the file entry of the root directory is.
    pub(super) root: RawLongAllocation,
}

/// ICB tag (4/14.6): the second part of every file entry.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawIcb {
    _prior: u32,
    /// 0x14: 4: the file entry is all there is.
    pub(super) strategy: u16,
    _parameter: u16,
    _entries: u16,
    _reserved: u8,
    /// 0x1B: what kind of file.
    pub(super) file_type: u8,
    _parent: RawAddress,
    /// 0x22: kind of allocation descriptors in bits 0 to 2.
    pub(super) flags: u16,
}

/// Values of [`RawIcb::file_type`] (4/14.6.6; UDF 2.50, 2.2.13).
pub(super) const TYPE_DIRECTORY: u8 = 4;
pub(super) const TYPE_FILE: u8 = 5;
pub(super) const TYPE_SYMLINK: u8 = 12;
pub(super) const TYPE_REAL_TIME: u8 = 249;
pub(super) const TYPE_METADATA: u8 = 250;
pub(super) const TYPE_METADATA_MIRROR: u8 = 251;

/// The strategy that all read-only media use (UDF 2.60, 2.3.5.1).
pub(super) const STRATEGY_DIRECT: u16 = 4;

/// A point in time (1/7.3).
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawTime {
    /// Kind in bits 12 to 15; in the others minutes from UTC, signed.
    pub(super) zone: u16,
    pub(super) year: i16,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) centiseconds: u8,
    /// Hundreds of microseconds.
    pub(super) hundreds: u8,
    pub(super) microseconds: u8,
}

/// File entry (4/14.9), after its tag and ICB tag.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawFileEntry {
    _owner: [u32; 3],
    _links: u16,
    _record: [u8; 6],
    /// 0x38: bytes of the file.
    pub(super) size: u64,
    _blocks: u64,
    /// 0x48.
    pub(super) accessed: RawTime,
    /// 0x54.
    pub(super) modified: RawTime,
    _attributes_changed: RawTime,
    _checkpoint: u32,
    _attributes: RawLongAllocation,
    _implementation: [u8; 32],
    _unique: u64,
    /// 0xA8: bytes of extended attributes.
    pub(super) attributes_len: u32,
    /// 0xAC: bytes of allocation descriptors, which follow them.
    pub(super) allocation_len: u32,
}

/// Where extended attributes of a file entry begin.
pub(super) const FILE_ENTRY_LEN: usize = 176;

/// Extended file entry (4/14.17), after its tag and ICB tag.
#[derive(BinRead, Clone, Debug)]
#[br(little)]
pub(super) struct RawExtendedFileEntry {
    _owner: [u32; 3],
    _links: u16,
    _record: [u8; 6],
    /// 0x38: bytes of the file.
    pub(super) size: u64,
    _object_size: u64,
    _blocks: u64,
    /// 0x50.
    pub(super) accessed: RawTime,
    /// 0x5C.
    pub(super) modified: RawTime,
    /// 0x68.
    pub(super) created: RawTime,
    _attributes_changed: RawTime,
    _checkpoint: u32,
    _reserved: u32,
    _attributes: RawLongAllocation,
    _streams: RawLongAllocation,
    _implementation: [u8; 32],
    _unique: u64,
    /// 0xD0: bytes of extended attributes.
    pub(super) attributes_len: u32,
    /// 0xD4: bytes of allocation descriptors, which follow them.
    pub(super) allocation_len: u32,
}

/// Where extended attributes of an extended file entry begin.
pub(super) const EXTENDED_FILE_ENTRY_LEN: usize = 216;

/// Allocation extent descriptor (4/14.5), after its tag; allocation descriptors follow it.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawAllocationExtent {
    _previous: u32,
    /// 0x14: bytes of allocation descriptors.
    pub(super) allocation_len: u32,
}

/// Where the allocation descriptors of an allocation extent descriptor begin.
pub(super) const ALLOCATION_EXTENT_LEN: usize = 24;

/// File identifier descriptor (4/14.4), after its tag and up to its variable fields.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(super) struct RawFileIdentifier {
    _version: u16,
    /// 0x12.
    pub(super) characteristics: u8,
    /// 0x13: bytes of the name.
    pub(super) name_len: u8,
    /// 0x14: where the file entry is.
    pub(super) icb: RawLongAllocation,
    /// 0x24: bytes for the implementation's use, before the name.
    pub(super) use_len: u16,
}

/// Where the variable fields of a file identifier descriptor begin; its length is a multiple of 4.
pub(super) const FILE_IDENTIFIER_LEN: usize = 38;

/// Bits of [`RawFileIdentifier::characteristics`] (4/14.4.3).
pub(super) const HIDDEN: u8 = 1;
pub(super) const DELETED: u8 = 4;
pub(super) const PARENT: u8 = 8;
