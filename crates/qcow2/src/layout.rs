//! The structures of a qcow2 file, as far as they have a fixed shape. All numbers are big-endian; a cluster is the unit
//! in which the file and the disk are divided.
//!
//! Source: the format's published description (versions 2 and 3), and what is observed of files that qemu-img 7.2 and 10
//! write.

use std::io::Cursor;

use binrw::{BinRead, BinWrite, binrw};

/// First four bytes of the file.
pub const MAGIC: [u8; 4] = *b"QFI\xFB";
/// Length of a version 2 header.
pub const HEADER_LEN_V2: u32 = 72;
/// Length of the part of a version 3 header that every one has.
pub const HEADER_LEN: u32 = 104;
/// Where a longer header has its compression type.
pub const COMPRESSION_TYPE_OFFSET: usize = 104;

/// [`Header::incompatible`]: reference counts may be out of date.
pub const INCOMPATIBLE_DIRTY: u64 = 1 << 0;
/// [`Header::incompatible`]: some structure is known to be damaged.
pub const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
/// [`Header::incompatible`]: data lies in another file.
pub const INCOMPATIBLE_EXTERNAL_DATA: u64 = 1 << 2;
/// [`Header::incompatible`]: the compression type is not zlib.
pub const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
/// [`Header::incompatible`]: L2 entries have 16 bytes and tell of 32 subclusters.
pub const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;

/// L1 and L2 entries: the cluster has a reference count of exactly one.
pub const ENTRY_COPIED: u64 = 1 << 63;
/// L2 entries: the cluster is compressed.
pub const ENTRY_COMPRESSED: u64 = 1 << 62;
/// L2 entries (version 3, not extended): the cluster reads as zero, whether it is allocated or not.
pub const ENTRY_ZERO: u64 = 1;
/// L1 and L2 entries: the bits of the offset.
pub const ENTRY_OFFSET: u64 = 0x00FF_FFFF_FFFF_FE00;

/// Header extension: no more of them.
pub const EXTENSION_END: u32 = 0;
/// Header extension: the format of the backing file, as text.
pub const EXTENSION_BACKING_FORMAT: u32 = 0xE279_2ACA;
/// Header extension: persistent dirty bitmaps.
pub const EXTENSION_BITMAPS: u32 = 0x2385_2875;

/// The first bytes of the file.
#[binrw]
#[brw(big)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0: `QFI` and 0xFB.
    pub magic: [u8; 4],
    /// 4: 2 or 3.
    pub version: u32,
    /// 8: where the name of the backing file lies, or 0.
    pub backing_offset: u64,
    /// 16: its length in bytes.
    pub backing_len: u32,
    /// 20: the binary logarithm of the cluster size.
    pub cluster_bits: u32,
    /// 24: size of the disk in bytes.
    pub size: u64,
    /// 32: 0 plain, 1 AES, 2 LUKS.
    pub crypt_method: u32,
    /// 36: entries of the L1 table.
    pub l1_entries: u32,
    /// 40: where the L1 table lies.
    pub l1_offset: u64,
    /// 48: where the refcount table lies.
    pub refcount_offset: u64,
    /// 56: clusters of the refcount table.
    pub refcount_clusters: u32,
    /// 60: how many internal snapshots there are.
    pub snapshots: u32,
    /// 64: where their table lies.
    pub snapshots_offset: u64,
    /// 72: what a reader has to know; see the `INCOMPATIBLE_` constants. From here on version 3.
    pub incompatible: u64,
    /// 80: what a reader need not know. Bit 0: reference counts are written late.
    pub compatible: u64,
    /// 88: what a writer that does not know it clears. Bit 0: the bitmaps are consistent.
    pub autoclear: u64,
    /// 96: the binary logarithm of the bits of a reference count.
    pub refcount_order: u32,
    /// 100: length of the header in bytes.
    pub header_len: u32,
}

impl Header {
    /// The bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 104 bytes");
        bytes
    }

    /// What the bytes say, without any judgement. In a version 2 header those from 72 on are something else; the fields
    /// get the values that go without saying there.
    pub fn from_bytes(bytes: &[u8; HEADER_LEN as usize]) -> Self {
        let header = Self::read(&mut Cursor::new(bytes)).expect("every 104 bytes have this shape");
        if header.version != 2 {
            return header;
        }
        Self {
            incompatible: 0,
            compatible: 0,
            autoclear: 0,
            refcount_order: 4,
            header_len: HEADER_LEN_V2,
            ..header
        }
    }

    /// Bytes in a cluster.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// Whether L2 entries tell of subclusters.
    pub fn extended_l2(&self) -> bool {
        self.incompatible & INCOMPATIBLE_EXTENDED_L2 != 0
    }

    /// Bytes in an L2 entry.
    pub fn l2_entry_len(&self) -> u64 {
        if self.extended_l2() { 16 } else { 8 }
    }

    /// Entries of an L2 table, which fills a cluster.
    pub fn l2_entries(&self) -> u64 {
        self.cluster_size() / self.l2_entry_len()
    }
}
