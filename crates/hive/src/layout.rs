//! The records of a hive, as they lie in the file: little-endian, 8-byte aligned.
//!
//! Sources: Maxim Suhanov's specification of the format (msuhanov/regf), the boot loaders of ReactOS and Quibble for what
//! a loader insists on, and the hives of Windows 7 to 10 among the samples, on which every field was counted.

use binrw::{BinRead, BinWrite, binrw};

use crate::error::{Error, Result};

/// Bytes before the first bin, and the unit of everything that is read or written at once.
pub(crate) const PAGE: usize = 4096;

/// Bytes of the base block that its checksum covers, with the checksum: one sector.
pub(crate) const BASE: usize = 512;

/// Bytes of the largest area of bins: the top bit of a cell's offset marks volatile keys in memory.
pub(crate) const MAX_BINS: u64 = 0x7FFF_E000;

/// No cell.
pub(crate) const NIL: u32 = 0xFFFF_FFFF;

/// Bytes of data in each segment of a big value but the last. A segment's cell is as large as a bin of four pages allows.
pub(crate) const SEGMENT: usize = 16_344;

/// The minor version from which values beyond [`SEGMENT`] bytes are cut into segments.
pub(crate) const MINOR_BIG_DATA: u32 = 4;

/// The minor version from which lists of subkeys hold hashes.
pub(crate) const MINOR_HASH: u32 = 5;

/// The first sector of a hive or log.
#[binrw]
#[brw(little, magic = b"regf")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseBlock {
    /// 0x04: set before the hive is written.
    pub(crate) primary: u32,
    /// 0x08: set after it.
    pub(crate) secondary: u32,
    /// 0x0C: FILETIME.
    pub(crate) written: u64,
    /// 0x14.
    pub(crate) major: u32,
    /// 0x18.
    pub(crate) minor: u32,
    /// 0x1C: one of [`file_type`].
    pub(crate) file_type: u32,
    /// 0x20: 1, direct memory load.
    pub(crate) format: u32,
    /// 0x24: cell of the root key.
    pub(crate) root: u32,
    /// 0x28: bytes of all bins.
    pub(crate) bins_size: u32,
    /// 0x2C: sectors (of 512 bytes) written at once; 1.
    pub(crate) cluster: u32,
    /// 0x30: end of the path, UTF-16.
    pub(crate) file_name: [u8; 64],
    /// 0x70: resource manager.
    pub(crate) resource_manager: [u8; 16],
    /// 0x80: its log.
    pub(crate) log: [u8; 16],
    /// 0x90: bit 0, in a transaction; bit 1, defragmented.
    pub(crate) flags: u32,
    /// 0x94: transaction manager.
    pub(crate) transaction_manager: [u8; 16],
    /// 0xA4: "rmtm" where the GUIDs mean something.
    pub(crate) guid_signature: [u8; 4],
    /// 0xA8: when it was reorganized.
    pub(crate) reorganized: u64,
    /// 0xB0: "OfRg" of the offline library, else nothing known.
    pub(crate) rest: [u8; 0x14C],
    /// 0x1FC: [`checksum`].
    pub(crate) checksum: u32,
}

/// Values of [`BaseBlock::file_type`].
pub(crate) mod file_type {
    pub(crate) const PRIMARY: u32 = 0;
    pub(crate) const LOG: u32 = 1;
    /// Another number of the old log's, in some versions.
    pub(crate) const LOG_ALTERNATE: u32 = 2;
    pub(crate) const LOG_ENTRIES: u32 = 6;
}

impl BaseBlock {
    pub(crate) const fn new(minor: u32, time: disk::FileTime) -> Self {
        Self {
            primary: 1,
            secondary: 1,
            written: time.0,
            major: 1,
            minor,
            file_type: file_type::PRIMARY,
            format: 1,
            root: 0,
            bins_size: 0,
            cluster: 1,
            file_name: [0; 64],
            resource_manager: [0; 16],
            log: [0; 16],
            flags: 0,
            transaction_manager: [0; 16],
            guid_signature: [0; 4],
            reorganized: 0,
            rest: [0; 0x14C],
            checksum: 0,
        }
    }

    /// Reads the structure; [`checksum`] has to be compared apart.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(sector) = bytes.get(..BASE) else {
            return Err(Error::malformed(
                "base block",
                0,
                format!("file of {:#x} bytes, expected at least {BASE:#x}", bytes.len()),
            ));
        };
        if sector[..4] != *b"regf" {
            return Err(Error::malformed(
                "base block",
                0,
                format!("signature \"{}\", expected \"regf\"", sector[..4].escape_ascii()),
            ));
        }
        Ok(read(sector))
    }

    /// The sector, with its checksum made right.
    pub(crate) fn to_sector(&self) -> [u8; BASE] {
        let mut bytes = Vec::with_capacity(BASE);
        append(&mut bytes, self);
        let mut sector: [u8; BASE] = bytes.try_into().expect("the fields make a sector");
        let sum = checksum(&sector);
        sector[BASE - 4..].copy_from_slice(&sum.to_le_bytes());
        sector
    }
}

/// The checksum of a base block: its 127 words before the checksum, combined by exclusive or, where 0 becomes 1 and
/// 0xFFFFFFFF becomes 0xFFFFFFFE.
pub(crate) fn checksum(sector: &[u8; BASE]) -> u32 {
    let (words, _) = sector.as_chunks::<4>();
    match words[..127].iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}

/// The head of a bin.
#[binrw]
#[brw(little, magic = b"hbin")]
#[derive(Clone, Debug)]
pub(crate) struct BinHead {
    /// From the first bin.
    pub(crate) offset: u32,
    /// A multiple of [`PAGE`].
    pub(crate) size: u32,
    pub(crate) reserved: u64,
    /// FILETIME, in the first bin.
    pub(crate) written: u64,
    pub(crate) spare: u32,
}

impl BinHead {
    pub(crate) const LEN: usize = 32;
}

/// A key (`nk`), without its name.
#[binrw]
#[brw(little, magic = b"nk")]
#[derive(Clone, Debug)]
pub(crate) struct KeyNode {
    /// 0x02: [`flags`](crate::flags).
    pub(crate) flags: u16,
    /// 0x04: FILETIME.
    pub(crate) written: u64,
    /// 0x0C: access bits, layer semantics.
    pub(crate) access: u32,
    /// 0x10: cell of the parent.
    pub(crate) parent: u32,
    /// 0x14.
    pub(crate) subkeys: u32,
    /// 0x18: meaningless in a file.
    pub(crate) volatile_subkeys: u32,
    /// 0x1C: cell of the list of subkeys.
    pub(crate) list: u32,
    /// 0x20: meaningless in a file.
    pub(crate) volatile_list: u32,
    /// 0x24: number of values, or the predefined handle.
    pub(crate) values: u32,
    /// 0x28: cell of the list of values.
    pub(crate) value_list: u32,
    /// 0x2C: cell of the security descriptor.
    pub(crate) security: u32,
    /// 0x30: cell of the class name.
    pub(crate) class: u32,
    /// 0x34: bytes of the longest name of a subkey, as UTF-16.
    pub(crate) max_name: u16,
    /// 0x36: user and virtualization flags, debug byte.
    pub(crate) bits: [u8; 2],
    /// 0x38: bytes of the longest class name of a subkey.
    pub(crate) max_class: u32,
    /// 0x3C: bytes of the longest name of a value, as UTF-16.
    pub(crate) max_value_name: u32,
    /// 0x40: bytes of the largest value.
    pub(crate) max_value_data: u32,
    /// 0x44: used in memory.
    pub(crate) work: u32,
    /// 0x48: bytes of the name as stored.
    pub(crate) name_len: u16,
    /// 0x4A: bytes of the class name.
    pub(crate) class_len: u16,
}

impl KeyNode {
    /// Bytes before the name.
    pub(crate) const LEN: usize = 76;
}

/// A value (`vk`), without its name.
#[binrw]
#[brw(little, magic = b"vk")]
#[derive(Clone, Debug)]
pub(crate) struct ValueNode {
    /// 0x02: bytes of the name as stored.
    pub(crate) name_len: u16,
    /// 0x04: bytes of data; [`INLINE`] says that they are in the next field.
    pub(crate) size: u32,
    /// 0x08: cell of the data, or the data.
    pub(crate) data: u32,
    /// 0x0C.
    pub(crate) kind: u32,
    /// 0x10: [`LATIN1_VALUE`], and others.
    pub(crate) flags: u16,
    pub(crate) spare: u16,
}

impl ValueNode {
    /// Bytes before the name.
    pub(crate) const LEN: usize = 20;
}

/// Bit of [`ValueNode::size`].
pub(crate) const INLINE: u32 = 0x8000_0000;

/// Bit of [`ValueNode::flags`]: the name is stored as Latin-1.
pub(crate) const LATIN1_VALUE: u16 = 1;

/// A security descriptor (`sk`), without it.
#[binrw]
#[brw(little, magic = b"sk")]
#[derive(Clone, Debug)]
pub(crate) struct SecurityNode {
    pub(crate) reserved: u16,
    /// 0x04: the next and the previous one of the ring.
    pub(crate) next: u32,
    pub(crate) previous: u32,
    /// 0x0C: how many keys use it.
    pub(crate) count: u32,
    /// 0x10: bytes of the descriptor.
    pub(crate) size: u32,
}

impl SecurityNode {
    /// Bytes before the descriptor.
    pub(crate) const LEN: usize = 20;
}

/// The head of a big value (`db`).
#[binrw]
#[brw(little, magic = b"db")]
#[derive(Clone, Debug)]
pub(crate) struct BigData {
    pub(crate) segments: u16,
    /// Cell of the list of segments.
    pub(crate) list: u32,
}

impl BigData {
    pub(crate) const LEN: usize = 8;
}

/// Reads a record whose length and magic the caller has looked at.
pub(crate) fn read<T>(bytes: &[u8]) -> T
where
    T: BinRead + binrw::meta::ReadEndian,
    for<'a> T::Args<'a>: Default,
{
    T::read(&mut std::io::Cursor::new(bytes)).expect("the caller compared length and magic")
}

/// Appends a record.
pub(crate) fn append<T>(out: &mut Vec<u8>, record: &T)
where
    T: BinWrite + binrw::meta::WriteEndian,
    for<'a> T::Args<'a>: Default,
{
    let mut cursor = std::io::Cursor::new(out);
    cursor.set_position(cursor.get_ref().len() as u64);
    record.write(&mut cursor).expect("memory takes what is written");
}

/// The little-endian number at an offset, if it is there.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|four| u32::from_le_bytes(*four))
}

/// The same with 16 bits.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|two| u16::from_le_bytes(*two))
}
