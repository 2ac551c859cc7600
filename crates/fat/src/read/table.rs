//! The allocation table: which cluster follows which.

use disk::At;

use super::{Kind, Volume};
use crate::Result;
use crate::layout::FAT32_MASK;

/// Bytes of a table that are read at once.
const WINDOW: u64 = 16 << 10;

/// The allocation table, a window of it at a time.
#[derive(Debug)]
pub(crate) struct Table<'v> {
    volume: &'v Volume,
    window: Vec<u8>,
    /// Where in the table the window begins.
    start: u64,
}

impl<'v> Table<'v> {
    pub(crate) fn new(volume: &'v Volume) -> Self {
        Self { volume, window: Vec::new(), start: 0 }
    }

    /// The entry of a cluster.
    pub(crate) fn get(&mut self, cluster: u32) -> Result<u32> {
        let number = u64::from(cluster);
        let (offset, len) = match self.volume.kind {
            Kind::Fat12 => (number + number / 2, 2),
            Kind::Fat16 => (number * 2, 2),
            Kind::Fat32 => (number * 4, 4),
        };
        let fat = self.volume.fat;
        if offset < self.start || offset + len > self.start + self.window.len() as u64 {
            // An entry of 12 bits may lie across any boundary; the window begins with the entry's sector.
            let start = offset / 512 * 512;
            // Nothing is held while this one may fail: what is left of the one before belongs elsewhere.
            let mut window = std::mem::take(&mut self.window);
            window.resize(WINDOW.min(fat.len - start) as usize, 0);
            self.volume.read(&mut window, fat.start + start, "FAT")?;
            (self.start, self.window) = (start, window);
        }
        let entry = &self.window[(offset - self.start) as usize..][..len as usize];
        Ok(match self.volume.kind {
            Kind::Fat12 => {
                let pair = u32::from(u16::from_le_bytes([entry[0], entry[1]]));
                if cluster.is_multiple_of(2) { pair & 0xFFF } else { pair >> 4 }
            }
            Kind::Fat16 => u32::from(u16::from_le_bytes([entry[0], entry[1]])),
            Kind::Fat32 => u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) & FAT32_MASK,
        })
    }

    /// The cluster after one, or `None` at the end of its chain.
    pub(crate) fn next(&mut self, cluster: u32) -> Result<Option<u32>> {
        let end = match self.volume.kind {
            Kind::Fat12 => 0xFF8,
            Kind::Fat16 => 0xFFF8,
            Kind::Fat32 => 0x0FFF_FFF8,
        };
        match self.get(cluster)? {
            last if last >= end => Ok(None),
            next => self.volume.checked(next, At::new("FAT entry", self.offset(cluster))).map(Some),
        }
    }

    /// Where the entry of a cluster lies.
    pub(crate) fn offset(&self, cluster: u32) -> u64 {
        let bits: u64 = match self.volume.kind {
            Kind::Fat12 => 12,
            Kind::Fat16 => 16,
            Kind::Fat32 => 32,
        };
        self.volume.fat.start + u64::from(cluster) * bits / 8
    }
}
