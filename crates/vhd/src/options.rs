use disk::{FileTime, Guid};

use crate::layout::{
    DynamicHeader, FOOTER_COOKIE, FOOTER_LEN, Footer, HEADER_COOKIE, NOWHERE, PARENT_NAME_LEN, TYPE_DYNAMIC,
    TYPE_FIXED, VERSION,
};
use crate::{Geometry, Result, impossible};

/// The largest disk that Windows accepts in a VHD: 2040 GiB.
pub const MAX_SIZE: u64 = 2040 << 30;
/// The block size of every dynamic VHD that a product makes unless told otherwise: 2 MiB.
pub const DEFAULT_BLOCK_SIZE: u32 = 2 << 20;

/// Smallest and largest block size that is written. Windows offers 512 KiB and 2 MiB.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 512 << 10..=256 << 20;

/// Who this says made the disk. qemu before 8 takes the size from the geometry, and so loses the end of the disk,
/// unless it knows the creator; Windows is one that it knows.
const CREATOR: [u8; 4] = *b"win ";
/// Windows 10.
const CREATOR_VERSION: u32 = 0x000A_0000;
const CREATOR_OS: [u8; 4] = *b"Wi2k";

/// What a new VHD is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the disk in bytes: a multiple of 512, up to [`MAX_SIZE`]. Azure wants whole MiB.
    pub size: u64,
    /// Identity of the disk.
    pub unique_id: Guid,
    /// When it was made, in seconds since 2000-01-01 UTC; see [`timestamp`].
    pub timestamp: u32,
    /// Bytes of data in a block of a dynamic disk: a power of two from 512 KiB to 256 MiB. Fixed disks ignore it.
    pub block_size: u32,
}

/// 2000-01-01 UTC, where the time of VHDs begins, in seconds since 1970.
const EPOCH: i64 = 946_684_800;

/// `time` in seconds since 2000-01-01 UTC; earlier and later times become the first and last that can be said.
pub fn timestamp(time: FileTime) -> u32 {
    let seconds = (time.to_unix().0 - EPOCH).clamp(0, i64::from(u32::MAX));
    seconds as u32
}

/// The time that a timestamp stands for.
pub fn time_of(timestamp: u32) -> FileTime {
    FileTime::from_unix_seconds(EPOCH + i64::from(timestamp))
}

impl Options {
    /// A disk of `size` bytes with blocks of the usual size, made at the beginning of the format's time.
    pub fn new(size: u64, unique_id: Guid) -> Self {
        Self { size, unique_id, timestamp: 0, block_size: DEFAULT_BLOCK_SIZE }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.size == 0 || !self.size.is_multiple_of(512) {
            return Err(impossible(format!(
                "disk size {} is not a positive multiple of 512 bytes",
                self.size
            )));
        }
        if self.size > MAX_SIZE {
            return Err(impossible(format!(
                "disk size {} exceeds {MAX_SIZE} bytes (2040 GiB); VHDX has no such limit",
                self.size
            )));
        }
        if !self.block_size.is_power_of_two() || !BLOCK_SIZES.contains(&self.block_size) {
            return Err(impossible(format!(
                "block size {} is not a power of two from {} to {}",
                self.block_size,
                BLOCK_SIZES.start(),
                BLOCK_SIZES.end()
            )));
        }
        Ok(())
    }

    pub(crate) fn fixed_footer(&self) -> Footer {
        Footer {
            cookie: FOOTER_COOKIE,
            features: 2,
            version: VERSION,
            data_offset: NOWHERE,
            timestamp: self.timestamp,
            creator_application: CREATOR,
            creator_version: CREATOR_VERSION,
            creator_os: CREATOR_OS,
            original_size: self.size,
            current_size: self.size,
            geometry: Geometry::of(self.size),
            disk_type: TYPE_FIXED,
            checksum: 0,
            unique_id: self.unique_id,
            saved_state: 0,
        }
    }

    pub(crate) fn dynamic_footer(&self) -> Footer {
        Footer { data_offset: FOOTER_LEN as u64, disk_type: TYPE_DYNAMIC, ..self.fixed_footer() }
    }

    /// How many blocks the disk has; [`check`](Self::check)ed options have less than 2^22.
    pub(crate) fn blocks(&self) -> u32 {
        self.size.div_ceil(u64::from(self.block_size)) as u32
    }

    pub(crate) fn header(&self, table_offset: u64) -> DynamicHeader {
        DynamicHeader {
            cookie: HEADER_COOKIE,
            data_offset: NOWHERE,
            table_offset,
            version: VERSION,
            max_table_entries: self.blocks(),
            block_size: self.block_size,
            checksum: 0,
            parent_id: Guid::NIL,
            parent_timestamp: 0,
            parent_name: [0; PARENT_NAME_LEN],
            locators: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(timestamp(FileTime::from_unix_seconds(946_684_801)), 1);
        assert_eq!(timestamp(FileTime(0)), 0);
        assert_eq!(timestamp(FileTime(u64::MAX)), u32::MAX);
    }
}
