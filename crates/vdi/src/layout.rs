//! The header of a VDI file. All numbers are little-endian.
//!
//! Source: what VirtualBox and qemu-img 7.2 and 10 write and check (research/containers.md §11; observed: qemu-img).

use std::io::Cursor;

use binrw::{BinRead, BinWrite, binrw};
use disk::Guid;

/// What VirtualBox writes at the file's start, for people.
pub const TEXT: &[u8] = b"<<< Oracle VM VirtualBox Disk Image >>>\n";
/// The four bytes that make it a VDI.
pub const SIGNATURE: u32 = 0xBEDA_107F;
/// Major version in the upper half.
pub const VERSION: u32 = 0x0001_0001;
/// Length of the text and of everything up to the end of the header that is described here.
pub const HEADER_LEN: usize = 512;
/// [`Header::header_size`] with the translated geometry, as VirtualBox writes it; without, 0x180 (qemu).
pub const HEADER_SIZE: u32 = 0x190;
/// [`Header::kind`]: blocks that hold something are stored.
pub const KIND_DYNAMIC: u32 = 1;
/// [`Header::kind`]: all blocks are stored.
pub const KIND_FIXED: u32 = 2;
/// [`Header::kind`]: changes that can be thrown away, on top of another file.
pub const KIND_UNDO: u32 = 3;
/// [`Header::kind`]: differences from another file.
pub const KIND_DIFFERENCING: u32 = 4;
/// Block map: not stored, reads as zero (or from the parent).
pub const BLOCK_FREE: u32 = u32::MAX;
/// Block map: not stored, reads as zero whatever the parent has.
pub const BLOCK_ZERO: u32 = u32::MAX - 1;

/// The first 512 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0: who made it, for people.
    pub text: [u8; 64],
    /// 0x40: [`SIGNATURE`].
    pub signature: u32,
    /// 0x44: [`VERSION`].
    pub version: u32,
    /// 0x48: length of the header from here on.
    pub header_size: u32,
    /// 0x4C: see the `KIND_` constants.
    pub kind: u32,
    /// 0x50: bit 0x100 stores zeros in new blocks.
    pub flags: u32,
    /// 0x54: a comment.
    pub comment: [u8; 256],
    /// 0x154: where the block map lies.
    pub map_offset: u32,
    /// 0x158: where the first block lies.
    pub data_offset: u32,
    /// 0x15C: cylinders, heads and sectors per track of the disk as an old BIOS sees it; not used any more.
    pub geometry: [u32; 3],
    /// 0x168: bytes in a sector: 512.
    pub sector_size: u32,
    /// 0x170: size of the disk in bytes.
    #[brw(pad_before = 4)]
    pub disk_size: u64,
    /// 0x178: bytes of the disk in a block.
    pub block_size: u32,
    /// 0x17C: bytes in front of the data of each block: 0.
    pub block_extra: u32,
    /// 0x180: how many blocks the disk has.
    pub blocks: u32,
    /// 0x184: how many of them are stored.
    pub allocated: u32,
    /// 0x188: identity of the disk.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub id: Guid,
    /// 0x198: identity of its content; changes with every snapshot.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub content_id: Guid,
    /// 0x1A8: identity of the parent of a differencing disk.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub parent_id: Guid,
    /// 0x1B8: identity of the content that the parent had then.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub parent_content_id: Guid,
    /// 0x1C8: cylinders, heads and sectors per track as a BIOS translates them; 0: as the machine likes. Headers of
    /// 0x180 bytes have none of this.
    pub translated_geometry: [u32; 3],
    /// 0x1D4: bytes in a sector of those.
    #[brw(pad_after = 40)]
    pub translated_sector_size: u32,
}

impl Header {
    /// The bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 512 bytes");
        bytes
    }

    /// What the bytes say, without any judgement.
    pub fn from_bytes(bytes: &[u8; HEADER_LEN]) -> Self {
        Self::read(&mut Cursor::new(bytes)).expect("every 512 bytes have this shape")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_fields() {
        let mut bytes = [0; HEADER_LEN];
        for (at, value) in
            [(0x40, 1u8), (0x4C, 2), (0x154, 3), (0x158, 4), (0x168, 5), (0x170, 6), (0x184, 7), (0x1B8, 8)]
        {
            bytes[at] = value;
        }
        let header = Header::from_bytes(&bytes);
        assert_eq!((header.signature, header.kind, header.map_offset, header.data_offset), (1, 2, 3, 4));
        assert_eq!((header.sector_size, header.disk_size, header.allocated), (5, 6, 7));
        assert_eq!(header.parent_content_id.0[0], 8);
        assert_eq!(header.to_bytes(), bytes);
    }
}
