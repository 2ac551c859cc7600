//! The boot sector: what it says of the volume's geometry.

use std::io::Cursor;

use binrw::BinRead;

use super::{Fault, Result, part};
use crate::layout::boot::BootSector;

/// The largest cluster there is, in bytes (Windows 10 1709 and later; observed: `ntfs-2m`, in the samples).
pub const MAX_CLUSTER: u32 = 2 << 20;

/// A larger record or index block was never written by anyone, and would have to be held in memory.
const MAX_STRUCTURE: u64 = 64 << 10;

/// The geometry of a volume. All sizes are powers of two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Bytes in a sector: 256..=4096.
    pub sector_size: u32,
    /// Bytes in a cluster: 256..=[`MAX_CLUSTER`].
    pub cluster_size: u32,
    /// Sectors of the volume, without the last one of the partition, which holds the copy of the boot sector.
    pub total_sectors: u64,
    /// Clusters of the volume; a last one that is not whole does not count.
    pub clusters: u64,
    /// First cluster of `$MFT`.
    pub mft_lcn: u64,
    /// First cluster of `$MFTMirr`.
    pub mirror_lcn: u64,
    /// Bytes in a file record: 512..=65536.
    pub record_size: u32,
    /// Bytes in an index block of a directory: 512..=65536.
    pub index_block_size: u32,
    /// Volume serial number.
    pub serial: u64,
    /// Sectors before the partition.
    pub hidden_sectors: u32,
}

impl Boot {
    /// Bytes of the volume up to the end of its last sector, without the copy of the boot sector.
    pub const fn len(&self) -> u64 {
        self.total_sectors * self.sector_size as u64
    }

    /// Whether it has no bytes: never, a volume without sectors is refused.
    pub const fn is_empty(&self) -> bool {
        self.total_sectors == 0
    }

    /// Bytes that a VCN of an index stands for: a cluster, or 512 bytes when blocks are smaller than clusters.
    pub const fn index_unit(&self, block_size: u32) -> u32 {
        if self.cluster_size <= block_size { self.cluster_size } else { 512 }
    }
}

const WHAT: &str = "boot sector";

/// The fields of a boot sector, whatever they say.
///
/// # Errors
/// When there are less than 512 bytes.
pub fn boot_sector(bytes: &[u8]) -> Result<BootSector> {
    let bytes = part(bytes, 0, 512, WHAT, "sector")?;
    BootSector::read(&mut Cursor::new(bytes))
        .map_err(|error| Fault::new(WHAT, "sector", 0, error, "a boot sector"))
}

/// The geometry that the first 512 bytes of the volume give.
///
/// # Errors
/// When they are no NTFS boot sector, when a size is impossible, or when `$MFT` or `$MFTMirr` begin outside. What is
/// merely unusual (media byte, zero fields, signature) passes.
pub fn boot(bytes: &[u8]) -> Result<Boot> {
    let fields = boot_sector(bytes)?;
    let fault = |field, offset, found: &dyn std::fmt::Display, expected: &dyn std::fmt::Display| {
        Err(Fault::new(WHAT, field, offset, found, expected))
    };
    if fields.oem_id != *b"NTFS    " {
        let found = format!("{:?}", String::from_utf8_lossy(&fields.oem_id));
        return fault("file system signature", 3, &found, &"\"NTFS    \"");
    }
    let sector_size = u32::from(fields.sector_size);
    if !sector_size.is_power_of_two() || !(256..=4096).contains(&sector_size) {
        return fault("bytes per sector", 0x0B, &sector_size, &"a power of two in 256..=4096");
    }
    let code = fields.sectors_per_cluster;
    let sectors = match code {
        1..=128 if code.is_power_of_two() => Some(u32::from(code)),
        // The complement of a logarithm: 0xF4 is 2^12 sectors (observed: Windows 10, 2 MiB clusters).
        240..=255 => 1u32.checked_shl(256 - u32::from(code)),
        _ => None,
    };
    let cluster_size = sectors.and_then(|n| n.checked_mul(sector_size)).filter(|&size| size <= MAX_CLUSTER);
    let Some(cluster_size) = cluster_size else {
        let expected = format!("a power of two up to 128, or 256 - log2, for clusters up to {MAX_CLUSTER}");
        return fault("sectors per cluster", 0x0D, &format_args!("{code:#x}"), &expected);
    };
    let total_sectors = fields.total_sectors;
    let clusters = total_sectors / u64::from(cluster_size / sector_size);
    if clusters == 0 || total_sectors > i64::MAX as u64 / u64::from(sector_size) {
        return fault("total sectors", 0x28, &total_sectors, &"at least a cluster, and below 2^63 bytes");
    }
    let size = |code: i8| match code {
        1.. => (code as u64).checked_mul(u64::from(cluster_size)),
        _ => 1u64.checked_shl(u32::from(code.unsigned_abs())),
    };
    let structure = |code: i8, field, offset| match size(code) {
        Some(bytes) if bytes.is_power_of_two() && (512..=MAX_STRUCTURE).contains(&bytes) => Ok(bytes as u32),
        _ => {
            let expected =
                format!("clusters, or -log2 of bytes, for a power of two in 512..={MAX_STRUCTURE}");
            Err(Fault::new(WHAT, field, offset, code, expected))
        }
    };
    let record_size = structure(fields.record_size, "file record size", 0x40)?;
    let index_block_size = structure(fields.index_block_size, "index block size", 0x44)?;
    for (lcn, field, offset) in
        [(fields.mft_lcn, "cluster of $MFT", 0x30), (fields.mirror_lcn, "cluster of $MFTMirr", 0x38)]
    {
        if lcn == 0 || lcn >= clusters {
            return fault(
                field,
                offset,
                &format_args!("{lcn:#x}"),
                &format_args!("one of 0x1..{clusters:#x}"),
            );
        }
    }
    Ok(Boot {
        sector_size,
        cluster_size,
        total_sectors,
        clusters,
        mft_lcn: fields.mft_lcn,
        mirror_lcn: fields.mirror_lcn,
        record_size,
        index_block_size,
        serial: fields.serial,
        hidden_sectors: fields.hidden_sectors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector() -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[3..11].copy_from_slice(b"NTFS    ");
        bytes[0x0C] = 2;
        bytes[0x0D] = 8;
        bytes[0x28..0x2A].copy_from_slice(&[0xFF, 0x7F]);
        bytes[0x30] = 4;
        bytes[0x38] = 2;
        bytes[0x40] = 0xF6;
        bytes[0x44] = 1;
        bytes
    }

    #[test]
    fn geometry() {
        let found = boot(&sector()).unwrap();
        assert_eq!((found.sector_size, found.cluster_size), (512, 4096));
        assert_eq!((found.record_size, found.index_block_size), (1024, 4096));
        assert_eq!((found.clusters, found.len()), (4095, 0x7FFF * 512));
        assert_eq!((found.index_unit(4096), found.index_unit(1024)), (4096, 512));
        let mut large = sector();
        (large[0x0D], large[0x2A], large[0x44]) = (0xF4, 1, 0xF4);
        let found = boot(&large).unwrap();
        assert_eq!((found.cluster_size, found.index_block_size, found.clusters), (2 << 20, 4096, 23));
        let mut tiny = sector();
        (tiny[0x0B], tiny[0x0C], tiny[0x0D], tiny[0x44]) = (0, 1, 1, 16);
        let found = boot(&tiny).unwrap();
        assert_eq!((found.cluster_size, found.index_block_size), (256, 4096));
    }

    #[test]
    fn every_field_is_checked() {
        for (at, value) in [
            (3, 0),
            (0x0B, 1),
            (0x0C, 0x20),
            (0x0D, 0),
            (0x0D, 3),
            (0x0D, 0x81),
            (0x0D, 0xF0),
            (0x2F, 0x80),
            (0x30, 0),
            (0x31, 0x10),
            (0x38, 0),
            (0x3F, 1),
            (0x40, 0),
            (0x40, 0x80),
            (0x40, 3),
            (0x40, 0xF8),
            (0x44, 0x7F),
        ] {
            let mut bad = sector();
            bad[at] = value;
            let fault = boot(&bad).expect_err(&format!("{at:#x}: {value:#x}"));
            assert!((fault.offset..fault.offset + 8).contains(&at), "{fault}");
        }
        assert!(boot(&sector()[..511]).is_err());
    }
}
