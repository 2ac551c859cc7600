//! The master boot record as it lies on the disk (observed: Windows 7 to 10, `sfdisk`; the same in all of them).

use binrw::binrw;

/// Offset of the partition table.
pub const TABLE: usize = 0x1BE;
/// Length of a table entry.
pub const ENTRY_LEN: usize = 16;
/// Bytes of boot code that leave the disk signature alone.
pub const BOOT_CODE_LEN: usize = 440;
/// The last two bytes, 55 AA, as a little-endian number.
pub const BOOT_SIGNATURE: u16 = 0xAA55;
/// Status of the active partition.
pub const ACTIVE: u8 = 0x80;

/// The 512 bytes at LBA 0.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawMbr {
    /// 0x000: what the BIOS runs.
    pub boot_code: [u8; BOOT_CODE_LEN],
    /// 0x1B8: Windows' identity of the disk; 0 makes Windows choose another one, which breaks BCD stores that name it.
    pub disk_signature: u32,
    /// 0x1BC: 0, or 0x5A5A for "copy protected".
    pub reserved: u16,
    /// 0x1BE: the partition table.
    pub entries: [RawEntry; 4],
    /// 0x1FE: 55 AA.
    pub boot_signature: u16,
}

/// An entry of the partition table.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawEntry {
    /// +0: 0x80 active, 0x00 not.
    pub status: u8,
    /// +1: head, sector and cylinder of the first sector.
    pub first_chs: [u8; 3],
    /// +4: type; 0 marks an entry that is not used.
    pub kind: u8,
    /// +5: head, sector and cylinder of the last sector.
    pub last_chs: [u8; 3],
    /// +8: LBA of the first sector.
    pub first_lba: u32,
    /// +12: how many sectors.
    pub sectors: u32,
}
