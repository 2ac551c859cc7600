//! Where everything lies on a volume, for whoever draws it.

use std::ops::Range;

use crate::layout::FIRST_CLUSTER;
use crate::read::{Kind, Table, Target};
use crate::{Result, Volume};

/// The areas before the clusters, in bytes from the volume's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The reserved sectors, with the boot sector.
    pub reserved: Range<u64>,
    /// The allocation tables.
    pub tables: Range<u64>,
    /// The root directory of FAT12 and FAT16; empty on FAT32, where it lies in clusters.
    pub root: Range<u64>,
    /// Where the clusters begin.
    pub data: u64,
}

impl Volume {
    /// What lies before the clusters.
    pub fn areas(&self) -> Areas {
        let first = self.region(FIRST_CLUSTER).start;
        let root = self.root.start..self.root.start + self.root.len;
        let end = if root.is_empty() { first } else { root.start };
        // The table that counts may be one of several.
        let start = u64::from(self.reserved_sectors()) * u64::from(self.sector_size());
        Areas { reserved: 0..start, tables: start..end, root, data: first }
    }

    /// The bytes that a file or directory takes, in the order of its clusters; ranges that touch are joined. Nothing for the
    /// root directory of FAT12 and FAT16, which has no clusters.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when the chain leaves the volume, or is longer than the volume.
    pub fn extents(&self, target: Target) -> Result<Vec<Range<u64>>> {
        let at = disk::At::new("cluster chain", self.fat.start);
        let mut cluster = match target {
            Target::File(start) if start.size == 0 => return Ok(Vec::new()),
            Target::File(start) => self.checked(start.cluster(), at)?,
            Target::Directory(directory) if directory.0 == 0 && self.kind != Kind::Fat32 => {
                return Ok(Vec::new());
            }
            Target::Directory(directory) => self.checked(directory.0, at)?,
        };
        let mut table = Table::new(self);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for _ in 0..self.clusters {
            let region = self.region(cluster);
            let end = region.start + region.len;
            match ranges.last_mut() {
                Some(last) if last.end == region.start => last.end = end,
                _ => ranges.push(region.start..end),
            }
            match table.next(cluster)? {
                Some(next) => cluster = next,
                None => return Ok(ranges),
            }
        }
        let reason = format!("more clusters than the volume has ({}): it leads in circles", self.clusters);
        Err(crate::Error::Malformed { at, reason })
    }

    /// Calls `found` with each range of free clusters, ascending.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn free_ranges(&self, mut found: impl FnMut(Range<u64>)) -> Result<()> {
        let mut table = Table::new(self);
        let mut open: Option<Range<u64>> = None;
        for cluster in FIRST_CLUSTER..self.clusters + FIRST_CLUSTER {
            let region = self.region(cluster);
            match (table.get(cluster)? == 0, &mut open) {
                (true, Some(range)) => range.end = region.start + region.len,
                (true, None) => open = Some(region.start..region.start + region.len),
                (false, _) => {
                    if let Some(range) = open.take() {
                        found(range);
                    }
                }
            }
        }
        if let Some(range) = open {
            found(range);
        }
        Ok(())
    }
}
