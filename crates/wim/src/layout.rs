//! The structures of a WIM file as they lie in it, all little-endian.
//!
//! Sources: Microsoft, "Windows Imaging File Format (WIM)" (2007), corrected where files written by DISM and read by
//! wimlib and 7-Zip show it to be wrong: the dentry's hard-link and reparse fields overlay each other at +0x58.
//! Small fixed structures are `binrw` types; dentries, stream entries and blob table entries, of which there are
//! hundreds of thousands, are read by hand at the offsets given here.

use binrw::binrw;

/// Magic of an ordinary WIM.
pub const MAGIC: [u8; 8] = *b"MSWIM\0\0\0";
/// Magic of a "pipable" WIM, which only wimlib writes and reads.
pub const MAGIC_PIPABLE: [u8; 8] = *b"WLPWM\0\0\0";
/// Length of the header; since version 1.13 also the value of its size field.
pub const HEADER_LEN: u32 = 208;
/// Version 1.13, the ordinary one.
pub const VERSION_1_13: u32 = 0x10D00;
/// Version 14, with solid resources (usually `.esd`).
pub const VERSION_SOLID: u32 = 0xE00;

/// Bits of [`RawHeader::flags`].
pub mod header_flags {
    /// Some resources are compressed; one of the codec bits says how.
    pub const COMPRESSION: u32 = 0x2;
    /// The file is not to be changed.
    pub const READONLY: u32 = 0x4;
    /// The file is a part of a split set.
    pub const SPANNED: u32 = 0x8;
    /// The file holds no metadata.
    pub const RESOURCE_ONLY: u32 = 0x10;
    /// The file holds metadata only.
    pub const METADATA_ONLY: u32 = 0x20;
    /// Somebody began to change the file and did not finish.
    pub const WRITE_IN_PROGRESS: u32 = 0x40;
    /// Absolute targets of links were made relative to the image's root.
    pub const RP_FIX: u32 = 0x80;
    /// Codec XPRESS.
    pub const COMPRESS_XPRESS: u32 = 0x2_0000;
    /// Codec LZX.
    pub const COMPRESS_LZX: u32 = 0x4_0000;
    /// Codec LZMS, only in version [`super::VERSION_SOLID`].
    pub const COMPRESS_LZMS: u32 = 0x8_0000;
    /// Codec XPRESS, by another name (observed: handled so by wimlib and 7-Zip).
    pub const COMPRESS_XPRESS_2: u32 = 0x20_0000;
}

/// Bits of a resource header's flags.
pub mod resource_flags {
    /// The resource is an image's metadata (also set on the blob table and the XML data).
    pub const METADATA: u8 = 0x2;
    /// The resource is stored in chunks that may be compressed.
    pub const COMPRESSED: u8 = 0x4;
    /// The entry is about a solid resource; means nothing in version [`super::VERSION_1_13`].
    pub const SOLID: u8 = 0x10;
}

/// The first 208 bytes of the file.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHeader {
    /// 0x00: [`MAGIC`].
    pub magic: [u8; 8],
    /// 0x08: [`HEADER_LEN`].
    pub header_len: u32,
    /// 0x0C: [`VERSION_1_13`] or [`VERSION_SOLID`].
    pub version: u32,
    /// 0x10: [`header_flags`].
    pub flags: u32,
    /// 0x14: chunk size of compressed resources that are not solid.
    pub chunk_size: u32,
    /// 0x18: the same in all parts of a split set.
    pub guid: [u8; 16],
    /// 0x28: number of this part, from 1.
    pub part: u16,
    /// 0x2A: number of parts.
    pub parts: u16,
    /// 0x2C: number of images.
    pub image_count: u32,
    /// 0x30: the blob table, which the specification calls lookup table.
    pub blob_table: RawResource,
    /// 0x48: the XML data.
    pub xml: RawResource,
    /// 0x60: copy of the bootable image's metadata entry, or zeros.
    pub boot_metadata: RawResource,
    /// 0x78: index of the bootable image, from 1; 0 for none. The next field follows without padding.
    pub boot_index: u32,
    /// 0x7C: the integrity table, or zeros.
    pub integrity: RawResource,
    /// 0x94: zeros.
    pub unused: [u8; 60],
}

/// Where a resource lies.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawResource {
    /// +0x00: stored length in the low 7 bytes, [`resource_flags`] in the high one.
    pub stored_size_and_flags: u64,
    /// +0x08: first byte in the file.
    pub offset: u64,
    /// +0x10: length of the content.
    pub size: u64,
}

impl RawResource {
    /// Stored length in bytes, at most 2^56 - 1.
    pub fn stored_size(&self) -> u64 {
        self.stored_size_and_flags & 0x00FF_FFFF_FFFF_FFFF
    }

    /// [`resource_flags`].
    pub fn flags(&self) -> u8 {
        (self.stored_size_and_flags >> 56) as u8
    }

    /// Whether the field is unused.
    pub fn is_absent(&self) -> bool {
        self.offset == 0 || self.stored_size() == 0
    }
}

/// The first 12 bytes of the integrity table; SHA-1s of 20 bytes follow.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawIntegrity {
    /// +0: length of the whole table in bytes.
    pub table_len: u32,
    /// +4: number of SHA-1s.
    pub entries: u32,
    /// +8: how many bytes of the file each covers, except the last.
    pub chunk_size: u32,
}

/// Length of [`RawIntegrity`].
pub const INTEGRITY_HEADER_LEN: u64 = 12;
/// Length of a SHA-1.
pub const SHA1_LEN: usize = 20;

/// Length of the header of a solid resource: u64 length of the content, u32 chunk size, u32 codec (0 none, 1 XPRESS,
/// 2 LZX, 3 LZMS). Follow u32 stored lengths, one for each chunk, and the chunks (observed: wimlib, 7-Zip).
pub const SOLID_HEADER_LEN: u64 = 16;

/// Entry of the blob table.
///
/// In version `VERSION_SOLID`, entries with [`resource_flags::SOLID`] are about solid resources
/// (observed: wimlib, 7-Zip). Neighbours form a run. Those with [`SOLID_RESOURCE`](blob_entry::SOLID_RESOURCE) for a
/// size say where the run's resources lie; all others are blobs, whose stored size is their length and whose offset
/// counts in the concatenated contents of the run's resources.
pub mod blob_entry {
    /// The size in the entry of a solid resource.
    pub const SOLID_RESOURCE: u64 = 1 << 32;
    /// Length of an entry; it begins with a [`super::RawResource`].
    pub const LEN: usize = 50;
    /// u16: the part of a split set that holds the resource.
    pub const PART: usize = 0x18;
    /// u32: how many times images refer to the blob. Not reliable.
    pub const REFCOUNT: usize = 0x1A;
    /// 20 bytes: SHA-1 of the content.
    pub const SHA1: usize = 0x1E;
}

/// Directory entry in an image's metadata. Records are aligned to 8 bytes.
pub mod dentry {
    /// u64: length of names and tagged items included, of extra stream entries not; up to 8 marks the directory's end.
    pub const LENGTH: usize = 0x00;
    /// u32: `FILE_ATTRIBUTE_*`.
    pub const ATTRIBUTES: usize = 0x08;
    /// u32: number of the security descriptor, or [`NO_SECURITY`].
    pub const SECURITY: usize = 0x0C;
    /// u64: where the directory's list begins in the metadata; 0 for files.
    pub const SUBDIR: usize = 0x10;
    /// u64: FILETIME of creation.
    pub const CREATED: usize = 0x28;
    /// u64: FILETIME of the last access.
    pub const ACCESSED: usize = 0x30;
    /// u64: FILETIME of the last write.
    pub const WRITTEN: usize = 0x38;
    /// 20 bytes: SHA-1 of the main stream, or zeros.
    pub const SHA1: usize = 0x40;
    /// u64: hard-link group, unless it is a reparse point.
    pub const LINK_GROUP: usize = 0x58;
    /// u32: reparse tag of a reparse point.
    pub const REPARSE_TAG: usize = 0x58;
    /// u16: reserved field of the reparse buffer.
    pub const REPARSE_RESERVED: usize = 0x5C;
    /// u16: bit 0: the target was not made relative to the image's root.
    pub const REPARSE_FLAGS: usize = 0x5E;
    /// u16: number of extra stream entries that follow the record.
    pub const STREAMS: usize = 0x60;
    /// u16: length of the short name in bytes.
    pub const SHORT_NAME_LEN: usize = 0x62;
    /// u16: length of the name in bytes.
    pub const NAME_LEN: usize = 0x64;
    /// The name, then the short name, each with a terminating unit unless empty; padding; tagged items.
    pub const NAME: usize = 0x66;
    /// Length of what every entry has.
    pub const FIXED_LEN: usize = 0x66;
    /// [`SECURITY`] of an entry without a descriptor.
    pub const NO_SECURITY: u32 = u32::MAX;
}

/// Extra stream entry after a dentry. Records are aligned to 8 bytes.
pub mod stream_entry {
    /// u64: length of the record.
    pub const LENGTH: usize = 0x00;
    /// 20 bytes: SHA-1 of the stream, or zeros.
    pub const SHA1: usize = 0x10;
    /// u16: length of the name in bytes.
    pub const NAME_LEN: usize = 0x24;
    /// The name, with a terminating unit unless empty.
    pub const NAME: usize = 0x26;
    /// Length of what every entry has.
    pub const FIXED_LEN: usize = 0x26;
}

/// Tagged item after the names of a dentry: u32 tag, u32 length, data, padding to 8 bytes.
pub mod tagged_item {
    /// Length of tag and length.
    pub const HEADER_LEN: usize = 8;
    /// Object id: 16 bytes, or 64 with the three birth ids (observed: wimlib; as `$OBJECT_ID` of NTFS).
    pub const OBJECT_ID: u32 = 0x1;
    /// Extended attributes (observed: `DISM /EA`, since Windows 10 1607).
    pub const EXTENDED_ATTRIBUTES: u32 = 0x2;
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the record's length"))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the record's length"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the caller checked the record's length"))
}

pub(crate) fn sha1_at(bytes: &[u8], at: usize) -> [u8; SHA1_LEN] {
    *bytes[at..].first_chunk().expect("the caller checked the record's length")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use binrw::{BinRead, BinWrite};

    use super::*;

    #[test]
    fn the_header_is_packed() {
        let mut bytes: Vec<u8> = (0..208).map(|n| n as u8).collect();
        let header = RawHeader::read(&mut Cursor::new(&bytes)).unwrap();
        assert_eq!(header.boot_index, 0x7B7A_7978);
        // A u32 of padding here, as in go-winio, would read everything after it four bytes off.
        assert_eq!(header.integrity.offset, 0x8B8A_8988_8786_8584);
        assert_eq!(header.integrity.stored_size(), 0x0082_8180_7F7E_7D7C);
        assert_eq!(header.integrity.flags(), 0x83);
        let mut written = Cursor::new(Vec::new());
        header.write(&mut written).unwrap();
        assert_eq!(written.get_ref().len(), HEADER_LEN as usize);
        bytes.truncate(208);
        assert_eq!(written.into_inner(), bytes);
    }
}
