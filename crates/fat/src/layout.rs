//! What has a fixed shape on a FAT volume (Microsoft, "FAT: General Overview of On-Disk Format", 1.03; UEFI 2.10,
//! chapter 13.3, refers to it).

use binrw::binrw;

/// The sector with which a volume begins, as far as all kinds of FAT have it in common.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBoot {
    /// 0x00: a jump over these fields. Windows and firmware take a sector without one for none.
    pub jump: [u8; 3],
    /// 0x03: who made the volume.
    pub oem: [u8; 8],
    /// 0x0B: bytes in a sector.
    pub bytes_per_sector: u16,
    /// 0x0D: sectors in a cluster, a power of two.
    pub sectors_per_cluster: u8,
    /// 0x0E: sectors before the first allocation table.
    pub reserved_sectors: u16,
    /// 0x10: allocation tables.
    pub fats: u8,
    /// 0x11: entries of the root directory; 0 on FAT32.
    pub root_entries: u16,
    /// 0x13: sectors of the volume, or 0.
    pub sectors_16: u16,
    /// 0x15: 0xF8 on everything but floppy disks.
    pub media: u8,
    /// 0x16: sectors of an allocation table; 0 on FAT32.
    pub fat_sectors_16: u16,
    /// 0x18: for CHS addresses.
    pub sectors_per_track: u16,
    /// 0x1A: for CHS addresses.
    pub heads: u16,
    /// 0x1C: sectors of the disk before the volume.
    pub hidden_sectors: u32,
    /// 0x20: sectors of the volume, when they are not at 0x13.
    pub sectors_32: u32,
}

/// What follows [`RawBoot`] on FAT32.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBoot32 {
    /// 0x24: sectors of an allocation table.
    pub fat_sectors: u32,
    /// 0x28: bit 7 says that only the table named in bits 0 to 3 is kept up to date.
    pub flags: u16,
    /// 0x2A: version, 0.
    pub version: u16,
    /// 0x2C: first cluster of the root directory.
    pub root_cluster: u32,
    /// 0x30: sector of [`RawInfo`].
    pub info_sector: u16,
    /// 0x32: sector of the copy of the boot sector.
    pub backup_sector: u16,
    /// 0x34: 0.
    pub reserved: [u8; 12],
    /// The fields that FAT12 and FAT16 have at 0x24.
    pub tail: RawTail,
}

/// The end of the fields: at 0x24 on FAT12 and FAT16, at 0x40 on FAT32.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTail {
    /// +0: the BIOS' number of the drive.
    pub drive: u8,
    /// +1: bit 0 says that the volume was not closed properly.
    pub state: u8,
    /// +2: 0x29 when the next three fields are there.
    pub signature: u8,
    /// +3: volume serial number.
    pub serial: u32,
    /// +7: label, also in the root directory.
    pub label: [u8; 11],
    /// +18: "FAT32   " and the like. Nobody may decide by it.
    pub system: [u8; 8],
}

/// Where [`RawTail`] ends on FAT32, and boot code may begin.
pub const BOOT_CODE: usize = 0x5A;
/// Where 55 AA stand, whatever the size of a sector.
pub const SIGNATURE: usize = 0x1FE;

/// The FSInfo sector of FAT32: how much is free, and where to look for it.
#[binrw]
#[brw(little, magic = b"RRaA")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawInfo {
    /// 0x1E4: "rrAa".
    #[brw(pad_before = 480)]
    pub signature: [u8; 4],
    /// 0x1E8: free clusters, or 0xFFFFFFFF.
    pub free: u32,
    /// 0x1EC: where to look for one first, or 0xFFFFFFFF.
    pub next: u32,
    /// 0x1FC: 55 AA at their usual place.
    #[brw(pad_before = 12)]
    pub end: u32,
}

/// Bytes of an entry of a directory.
pub const ENTRY_LEN: usize = 32;
/// Entries of a directory at most, by the specification: 2 MiB.
pub const MAX_ENTRIES: usize = 1 << 16;

/// An entry of a directory: a file, or the volume's label.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawEntry {
    /// +0: base and extension, padded with spaces. A first byte of 0 ends the directory, 0xE5 is no file.
    pub name: [u8; 11],
    /// +11: attributes.
    pub attributes: u8,
    /// +12: bit 3 says that the base is to be shown in lower case, bit 4 the extension (Windows NT).
    pub case: u8,
    /// +13: hundredths of a second to add to the time of creation, 0 to 199.
    pub created_hundredths: u8,
    /// +14: time of creation.
    pub created_time: u16,
    /// +16: day of creation.
    pub created_date: u16,
    /// +18: day of the last access.
    pub accessed_date: u16,
    /// +20: upper half of the first cluster; 0 on FAT12 and FAT16.
    pub cluster_high: u16,
    /// +22: time of the last write.
    pub modified_time: u16,
    /// +24: day of the last write.
    pub modified_date: u16,
    /// +26: lower half of the first cluster; 0 for an empty file.
    pub cluster_low: u16,
    /// +28: bytes; 0 for a directory.
    pub size: u32,
}

/// A piece of a long name. The pieces precede the entry that they name, the last one first.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLong {
    /// +0: the piece's number from 1; bit 6 marks the last.
    pub order: u8,
    /// +1: the first units.
    pub first: [u16; 5],
    /// +11: [`ATTRIBUTE_LONG`].
    pub attributes: u8,
    /// +12: 0.
    pub kind: u8,
    /// +13: checksum of the short name.
    pub checksum: u8,
    /// +14: more units.
    pub second: [u16; 6],
    /// +26: 0.
    pub cluster: u16,
    /// +28: the last units.
    pub third: [u16; 2],
}

/// UTF-16 units in a [`RawLong`].
pub const LONG_UNITS: usize = 13;
/// UTF-16 units of a long name at most.
pub const MAX_NAME: usize = 255;
/// The bit of [`RawLong::order`] that marks the last piece of a name.
pub const LAST_LONG: u8 = 0x40;

/// The file may not be written.
pub const ATTRIBUTE_READ_ONLY: u8 = 0x01;
/// The file is not shown.
pub const ATTRIBUTE_HIDDEN: u8 = 0x02;
/// The file belongs to the operating system.
pub const ATTRIBUTE_SYSTEM: u8 = 0x04;
/// The entry is the volume's label.
pub const ATTRIBUTE_LABEL: u8 = 0x08;
/// The entry is a directory.
pub const ATTRIBUTE_DIRECTORY: u8 = 0x10;
/// The file has changed since the last backup.
pub const ATTRIBUTE_ARCHIVE: u8 = 0x20;
/// All of the bits that a piece of a long name has set.
pub const ATTRIBUTE_LONG: u8 = 0x0F;

/// FAT16 begins at so many clusters.
pub const FAT16_CLUSTERS: u32 = 4085;
/// FAT32 begins at so many clusters.
pub const FAT32_CLUSTERS: u32 = 65_525;
/// The number of the first cluster.
pub const FIRST_CLUSTER: u32 = 2;
/// The bits of an entry of a FAT32 allocation table that mean something.
pub const FAT32_MASK: u32 = 0x0FFF_FFFF;
