use disk::{Guid, SectorSize, Seed};

use crate::layout::MIB;
use crate::{Result, impossible};

/// The largest disk that the format allows: 64 TiB.
pub const MAX_SIZE: u64 = 64 << 40;

/// The block size that is written unless told otherwise: 2 MiB, as in every dynamic VHD.
///
/// Windows' own is 32 MiB, for the sake of speed when a machine writes to a new disk: fewer blocks to allocate. Here
/// disks are written once, by someone who knows what will be in them, and then copied: a block that holds one byte
/// costs its whole size, so small blocks make small files. What they cost is the table: 4 KiB per GiB of disk.
pub const DEFAULT_BLOCK_SIZE: u32 = 2 << 20;

/// Smallest and largest block size that the format allows.
pub(crate) const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 1 << 20..=256 << 20;

/// What a new VHDX is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the disk in bytes: a multiple of the logical sector size, up to [`MAX_SIZE`].
    pub size: u64,
    /// Whether all blocks are stored (a fixed disk), not only those that hold something (a dynamic one).
    pub fixed: bool,
    /// Logical sector size. The physical sector size is always 4096, as Windows writes it: these are "512e" and "4Kn"
    /// disks.
    pub sector_size: SectorSize,
    /// Bytes in a block: a power of two from 1 to 256 MiB.
    pub block_size: u32,
    /// Identity of the disk, which a machine sees as SCSI page 83.
    pub disk_id: Guid,
    /// Identity of the state of the file.
    pub file_write_id: Guid,
    /// Identity of the content, by which differencing disks know their parent.
    pub data_write_id: Guid,
}

impl Options {
    /// A dynamic disk of `size` bytes in sectors of 512 and blocks of the usual size, with identities of `seed`.
    pub fn new(size: u64, seed: &Seed) -> Self {
        Self {
            size,
            fixed: false,
            sector_size: SectorSize::B512,
            block_size: DEFAULT_BLOCK_SIZE,
            disk_id: seed.guid("vhdx disk"),
            file_write_id: seed.guid("vhdx file write"),
            data_write_id: seed.guid("vhdx data write"),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let sector = self.sector_size.bytes();
        if self.size == 0 || !self.size.is_multiple_of(sector.into()) {
            return Err(impossible(format!(
                "disk size {} is not a positive multiple of {sector} bytes",
                self.size
            )));
        }
        if self.size > MAX_SIZE {
            return Err(impossible(format!("disk size {} exceeds {MAX_SIZE} bytes (64 TiB)", self.size)));
        }
        if !self.block_size.is_power_of_two() || !BLOCK_SIZES.contains(&self.block_size) {
            return Err(impossible(format!(
                "block size {} is not a power of two from {MIB} to {}",
                self.block_size,
                BLOCK_SIZES.end()
            )));
        }
        Ok(())
    }

    /// How many blocks the disk has: at most 2^26.
    pub(crate) fn blocks(&self) -> u32 {
        self.size.div_ceil(u64::from(self.block_size)) as u32
    }
}
