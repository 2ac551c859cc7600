use disk::Guid;

use crate::layout::{HEADER_SIZE, Header, KIND_DYNAMIC, KIND_FIXED, SIGNATURE, TEXT, VERSION};
use crate::{Result, impossible};

/// Bytes of the disk in a block: 1 MiB, the only size that qemu reads.
pub const BLOCK_SIZE: u64 = 1 << 20;
/// The largest disk that is written or read: 256 TiB.
pub const MAX_SIZE: u64 = 256 << 40;

/// Block map and data begin on multiples of this, as VirtualBox puts them.
const ALIGNMENT: u64 = 1 << 20;
/// Where the block map lies.
pub(crate) const MAP_OFFSET: u64 = ALIGNMENT;

/// What a new VDI is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the disk in bytes: a multiple of 512, up to [`MAX_SIZE`].
    pub size: u64,
    /// Identity of the disk, by which VirtualBox knows it. Not nil.
    pub id: Guid,
    /// Identity of its content. Not nil.
    pub content_id: Guid,
}

impl Options {
    /// A disk of `size` bytes.
    pub fn new(size: u64, id: Guid, content_id: Guid) -> Self {
        Self { size, id, content_id }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.size == 0 || !self.size.is_multiple_of(512) {
            return Err(impossible(format!(
                "disk size {} is not a positive multiple of 512 bytes",
                self.size
            )));
        }
        if self.size > MAX_SIZE {
            return Err(impossible(format!("disk size {} exceeds {MAX_SIZE} bytes (256 TiB)", self.size)));
        }
        if self.id.is_nil() || self.content_id.is_nil() {
            return Err(impossible("an identity is nil, which VirtualBox does not accept"));
        }
        Ok(())
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.size.div_ceil(BLOCK_SIZE)
    }

    /// Where data begins.
    pub(crate) fn data_offset(&self) -> u64 {
        (MAP_OFFSET + self.blocks() * 4).next_multiple_of(ALIGNMENT)
    }

    /// The header of a file in which `allocated` blocks are stored.
    pub(crate) fn header(&self, fixed: bool, allocated: u64) -> Header {
        let mut text = [0; 64];
        text[..TEXT.len()].copy_from_slice(TEXT);
        Header {
            text,
            signature: SIGNATURE,
            version: VERSION,
            header_size: HEADER_SIZE,
            kind: if fixed { KIND_FIXED } else { KIND_DYNAMIC },
            flags: 0,
            comment: [0; 256],
            map_offset: MAP_OFFSET as u32,
            // A checked size has less than 2^29 blocks.
            data_offset: self.data_offset() as u32,
            geometry: [0; 3],
            sector_size: 512,
            disk_size: self.size,
            block_size: BLOCK_SIZE as u32,
            block_extra: 0,
            blocks: self.blocks() as u32,
            allocated: allocated as u32,
            id: self.id,
            content_id: self.content_id,
            parent_id: Guid::NIL,
            parent_content_id: Guid::NIL,
            translated_geometry: [0; 3],
            translated_sector_size: 512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_readers_would_not_take() {
        let id = Guid([1; 16]);
        let good = Options::new(512, id, id);
        good.check().unwrap();
        Options { size: MAX_SIZE, ..good.clone() }.check().unwrap();
        assert!(u32::try_from(Options { size: MAX_SIZE, ..good.clone() }.data_offset()).is_ok());
        for size in [0, 511, MAX_SIZE + 512, u64::MAX] {
            assert!(Options { size, ..good.clone() }.check().is_err(), "{size}");
        }
        assert!(Options { id: Guid::NIL, ..good.clone() }.check().is_err());
        assert!(Options { content_id: Guid::NIL, ..good }.check().is_err());
    }
}
