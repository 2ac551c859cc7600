use crate::layout::{HEADER_LEN, Header, MAGIC};
use crate::{Level, Result, impossible};

/// Bytes in a cluster of the files that are written: 64 KiB, what qemu-img makes unless told otherwise.
pub const CLUSTER_SIZE: u64 = 1 << CLUSTER_BITS;
/// The largest disk that is written: 1 PiB. qemu's limits on tables end at 2 PiB.
pub const MAX_SIZE: u64 = 1 << 50;

pub(crate) const CLUSTER_BITS: u32 = 16;
/// Entries of an L2 table.
pub(crate) const L2_ENTRIES: u64 = CLUSTER_SIZE / 8;
/// Bytes of the disk that an L2 table maps: 512 MiB.
pub(crate) const L2_SPAN: u64 = L2_ENTRIES * CLUSTER_SIZE;
/// Reference counts, of two bytes each, in a block.
pub(crate) const BLOCK_ENTRIES: u64 = CLUSTER_SIZE / 2;
/// Entries of a cluster of the refcount table.
const TABLE_ENTRIES: u64 = CLUSTER_SIZE / 8;

/// What a new qcow2 file is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the disk in bytes: a multiple of 512, up to [`MAX_SIZE`].
    pub size: u64,
    /// How hard clusters are compressed. Plain files ignore it.
    pub level: Level,
}

impl Options {
    /// A disk of `size` bytes, with the usual compression if there is any.
    pub fn new(size: u64) -> Self {
        Self { size, level: Level::default() }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.size == 0 || !self.size.is_multiple_of(512) {
            return Err(impossible(format!(
                "disk size {} is not a positive multiple of 512 bytes",
                self.size
            )));
        }
        if self.size > MAX_SIZE {
            return Err(impossible(format!("disk size {} exceeds {MAX_SIZE} bytes (1 PiB)", self.size)));
        }
        Ok(())
    }

    /// Entries of the L1 table.
    pub(crate) fn l1_entries(&self) -> u64 {
        self.size.div_ceil(L2_SPAN)
    }

    /// Clusters of the L1 table.
    pub(crate) fn l1_clusters(&self) -> u64 {
        (self.l1_entries() * 8).div_ceil(CLUSTER_SIZE)
    }

    /// The header of a file whose tables lie at these clusters.
    pub(crate) fn header(&self, l1: u64, refcounts: u64, refcount_clusters: u64) -> Header {
        Header {
            magic: MAGIC,
            version: 3,
            backing_offset: 0,
            backing_len: 0,
            cluster_bits: CLUSTER_BITS,
            size: self.size,
            crypt_method: 0,
            l1_entries: self.l1_entries() as u32,
            l1_offset: l1 * CLUSTER_SIZE,
            refcount_offset: refcounts * CLUSTER_SIZE,
            refcount_clusters: refcount_clusters as u32,
            snapshots: 0,
            snapshots_offset: 0,
            incompatible: 0,
            compatible: 0,
            autoclear: 0,
            refcount_order: 4,
            header_len: HEADER_LEN,
        }
    }
}

/// How many clusters refcount table and blocks take in a file that has `others` clusters besides. The blocks count
/// themselves and the table, too.
pub(crate) fn refcount_clusters(others: u64) -> (u64, u64) {
    let (mut table, mut blocks) = (1, 1);
    loop {
        let blocks_needed = (others + table + blocks).div_ceil(BLOCK_ENTRIES);
        let table_needed = blocks_needed.div_ceil(TABLE_ENTRIES);
        // Both only grow, and by ever less.
        if (table_needed, blocks_needed) == (table, blocks) {
            return (table, blocks);
        }
        (table, blocks) = (table.max(table_needed), blocks.max(blocks_needed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn refuses_what_readers_would_not_take() {
        Options::new(512).check().unwrap();
        for size in [0, 511, MAX_SIZE + 512, u64::MAX] {
            assert!(matches!(Options::new(size).check(), Err(Error::Impossible { .. })), "{size}");
        }
    }

    #[test]
    fn refcounts_count_themselves() {
        assert_eq!(refcount_clusters(1), (1, 1));
        assert_eq!(refcount_clusters(BLOCK_ENTRIES - 2), (1, 1));
        assert_eq!(refcount_clusters(BLOCK_ENTRIES - 1), (1, 2));
        for others in [3 * BLOCK_ENTRIES - 4, 3 * BLOCK_ENTRIES - 3, BLOCK_ENTRIES * TABLE_ENTRIES, 1 << 34] {
            let (table, blocks) = refcount_clusters(others);
            assert!(blocks * BLOCK_ENTRIES >= others + table + blocks, "{others}");
            assert!((blocks - 1) * BLOCK_ENTRIES < others + table + blocks, "{others}");
            assert!(table * TABLE_ENTRIES >= blocks && (table - 1) * TABLE_ENTRIES < blocks, "{others}");
        }
    }
}
