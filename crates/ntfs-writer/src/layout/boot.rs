use binrw::binrw;

/// The boot sector: sector 0 of the volume, the first bytes of `$Boot`, repeated in the last sector of the partition.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootSector {
    /// 0x00: x86 jump to the code at 0x54.
    pub jump: [u8; 3],
    /// 0x03: `"NTFS    "`.
    pub oem_id: [u8; 8],
    /// 0x0B: bytes per sector.
    pub sector_size: u16,
    /// 0x0D: sectors per cluster, see `sectors_code`.
    pub sectors_per_cluster: u8,
    /// 0x0E: fields of the FAT boot sector, zero.
    pub zero_0e: [u8; 7],
    /// 0x15: media descriptor, 0xF8 for a hard disk.
    pub media: u8,
    /// 0x16: zero.
    pub zero_16: u16,
    /// 0x18: sectors per track.
    pub sectors_per_track: u16,
    /// 0x1A: heads.
    pub heads: u16,
    /// 0x1C: sectors before the partition.
    pub hidden_sectors: u32,
    /// 0x20: zero.
    pub zero_20: u32,
    /// 0x24: 80 00 80 00 (observed: Windows 10; the first byte is the BIOS drive).
    pub drive: [u8; 4],
    /// 0x28: sectors of the volume: one less than the partition has, the last holds the copy of this sector.
    pub total_sectors: u64,
    /// 0x30: first cluster of `$MFT`.
    pub mft_lcn: u64,
    /// 0x38: first cluster of `$MFTMirr`.
    pub mirror_lcn: u64,
    /// 0x40: file record size: clusters if positive, else 2^-n bytes.
    pub record_size: i8,
    /// 0x41: zero.
    pub zero_41: [u8; 3],
    /// 0x44: index block size, coded alike.
    pub index_block_size: i8,
    /// 0x45: zero.
    pub zero_45: [u8; 3],
    /// 0x48: volume serial number.
    pub serial: u64,
    /// 0x50: checksum, 0 and never verified.
    pub checksum: u32,
    /// 0x54: code. Without any of the caller's, it asks the BIOS for the next boot device.
    pub code: [u8; BootSector::CODE_LEN],
    /// 0x1FE: 55 AA.
    pub signature: [u8; 2],
}

impl BootSector {
    /// Where the code begins.
    pub(crate) const CODE: usize = 0x54;
    /// How much of it is in this sector.
    pub(crate) const CODE_LEN: usize = 0x1FE - Self::CODE;
}

/// `int 18h` (no boot device here: try the next), and where a BIOS returns from it, `hlt` for ever.
pub(crate) const NO_BOOT_CODE: [u8; 5] = [0xCD, 0x18, 0xF4, 0xEB, 0xFD];

/// Sectors per cluster: the number up to 128, above it 256 less its logarithm (observed: Windows 10, F4 for 4096).
pub(crate) fn sectors_code(sectors: u32) -> u8 {
    if sectors <= 128 { sectors as u8 } else { (256 - sectors.trailing_zeros()) as u8 }
}

/// A size that is at least a cluster as a count of clusters, a smaller one as its negated logarithm.
pub(crate) fn size_code(size: u32, cluster: u32) -> i8 {
    if size >= cluster { (size / cluster) as i8 } else { -(size.trailing_zeros() as i8) }
}

#[cfg(test)]
mod tests {
    use binrw::BinRead;

    use super::*;

    #[test]
    fn codes_of_sizes() {
        assert_eq!([1, 8, 128].map(sectors_code), [1, 8, 128]);
        assert_eq!([256, 4096].map(sectors_code), [0xF8, 0xF4]);
        // Observed: 1024-byte records at 4 KiB clusters F6, 4096-byte index blocks 01; F4 above; 08 at 512 bytes.
        assert_eq!(size_code(1024, 4096) as u8, 0xF6);
        assert_eq!(size_code(4096, 4096), 1);
        assert_eq!(size_code(4096, 8192) as u8, 0xF4);
        assert_eq!(size_code(4096, 512), 8);
    }

    #[test]
    fn fields_lie_where_they_are_said_to() {
        let bytes: Vec<u8> = (0..512u32).map(|i| (i % 256) as u8).collect();
        let sector = BootSector::read(&mut std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!(sector.total_sectors as u8, 0x28);
        assert_eq!(sector.serial as u8, 0x48);
        assert_eq!(sector.code[0], 0x54);
        assert_eq!(sector.signature, [0xFE, 0xFF]);
        assert_eq!(super::super::size_of_written(&sector), 512);
    }
}
