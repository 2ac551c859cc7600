//! How a FAT32 volume of a given length is divided.

use disk::SectorSize;

use crate::layout::{FAT32_CLUSTERS, FAT32_MASK};

/// Clusters above [`FAT32_CLUSTERS`] that readers who count wrongly may be off by (the specification's advice).
const MARGIN: u64 = 16;
/// Sectors before the tables at least: boot sector, FSInfo, the copies of both at 6 and 7, and what others reserve.
const RESERVED: u64 = 32;
/// The data area begins on a multiple of this, so that clusters lie on the blocks of the disk below.
const ALIGNMENT: u64 = 4096;
/// Allocation tables.
pub(crate) const FATS: u64 = 2;

/// How a volume is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) sector: u64,
    pub(crate) sectors: u64,
    /// Bytes in a cluster.
    pub(crate) cluster: u64,
    /// Sectors before the tables.
    pub(crate) reserved: u64,
    /// Sectors of each table.
    pub(crate) fat_sectors: u64,
    pub(crate) clusters: u64,
}

impl Geometry {
    /// The division of a volume of `len` bytes, or `None` when that is too little or too much for FAT32.
    ///
    /// Clusters are as large as Windows makes them for the length, or smaller where there would be too few of them.
    pub(crate) fn new(len: u64, sector: SectorSize) -> Option<Self> {
        let bytes = u64::from(sector.bytes());
        let usual: u64 = match len >> 30 {
            0..8 => 4 << 10,
            8..16 => 8 << 10,
            16..32 => 16 << 10,
            _ => 32 << 10,
        };
        let sizes = std::iter::successors(Some(usual), |size| Some(size / 2));
        let mut divided =
            sizes.take_while(|&size| size >= bytes).filter_map(|size| Self::with(len, bytes, size));
        divided.find(|geometry| geometry.clusters >= u64::from(FAT32_CLUSTERS) + MARGIN)
    }

    fn with(len: u64, sector: u64, cluster: u64) -> Option<Self> {
        let sectors = len / sector;
        if sectors > u64::from(u32::MAX) {
            return None;
        }
        let reserved_at_least = RESERVED.max(ALIGNMENT / sector);
        // Tables for all clusters that there would be without tables are a little too long, never too short.
        let most = sectors.checked_sub(reserved_at_least)? * sector / cluster;
        let fat_sectors = ((most + 2) * 4).div_ceil(sector);
        let before_data = (reserved_at_least + FATS * fat_sectors) * sector;
        let reserved = reserved_at_least + (before_data.next_multiple_of(ALIGNMENT) - before_data) / sector;
        let data = sectors.checked_sub(reserved + FATS * fat_sectors)?;
        let clusters = data * sector / cluster;
        // The last numbers mark bad clusters and ends.
        (clusters < u64::from(FAT32_MASK) - 0x10).then_some(Self {
            sector,
            sectors,
            cluster,
            reserved,
            fat_sectors,
            clusters,
        })
    }

    /// The byte at which the data area begins.
    pub(crate) fn data_start(&self) -> u64 {
        (self.reserved + FATS * self.fat_sectors) * self.sector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn usual_sizes() {
        let cluster = |mib: u64, sector| Geometry::new(mib * MIB, sector).map(|geometry| geometry.cluster);
        assert_eq!(cluster(260, SectorSize::B512), Some(4096));
        assert_eq!(cluster(260, SectorSize::B4096), Some(4096));
        assert_eq!(cluster(100, SectorSize::B512), Some(1024));
        assert_eq!(cluster(33, SectorSize::B512), Some(512));
        assert_eq!(cluster(32, SectorSize::B512), None);
        assert_eq!(cluster(256, SectorSize::B4096), None);
        assert_eq!(cluster(20 << 10, SectorSize::B512), Some(16 << 10));
        assert_eq!(cluster(3 << 20, SectorSize::B512), None);
    }

    #[test]
    fn every_size_is_covered_by_its_tables() {
        for mib in (33..2000).chain([8 << 10, 16 << 10, 100 << 10]) {
            let geometry = Geometry::new(mib * MIB, SectorSize::B512).unwrap();
            assert!(geometry.fat_sectors * 512 / 4 >= geometry.clusters + 2, "{geometry:?}");
            assert!(geometry.data_start().is_multiple_of(4096));
            assert!(geometry.reserved <= 64);
            assert!(geometry.data_start() + geometry.clusters * geometry.cluster <= mib * MIB);
        }
    }
}
