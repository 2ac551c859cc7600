//! Where everything lies in a new file.
//!
//! The layout is that of the files that Windows makes (observed: Hyper-V 2012 to Windows 10): log at 1 MiB, metadata at
//! 2 MiB, block allocation table at 3 MiB, then the blocks in the order of the disk, so that the file can be written
//! front to back as well. The region table then is Windows' own, byte for byte, for every disk whose table fits 1 MiB.

use std::ops::Range;

use disk::{Guid, Runs};

use crate::layout::{
    BAT_REGION, CREATOR_LEN, DISK_ID, DISK_SIZE, FILE_PARAMETERS, FLAG_REQUIRED, FLAG_VIRTUAL_DISK,
    FULLY_PRESENT, HEADER_OFFSETS, Header, LEAVE_ALLOCATED, LOGICAL_SECTOR_SIZE, METADATA_REGION,
    METADATA_TABLE_LEN, MIB, MetadataEntry, PHYSICAL_SECTOR_SIZE, REGION_TABLE_OFFSETS, RegionEntry,
    SIGNATURE, chunk_ratio, metadata_table, region_table, table_entry,
};
use crate::options::Options;
use crate::{Error, Result};

/// The program that made the file, for people.
const CREATOR: &str = "wimforge";
/// Windows writes it for disks on disks of either kind.
const PHYSICAL_SECTOR: u32 = 4096;

const LOG_OFFSET: u64 = MIB;
const METADATA_OFFSET: u64 = 2 * MIB;
pub(crate) const TABLE_OFFSET: u64 = 3 * MIB;
/// How many entries of the block allocation table are made at a time: 1 MiB.
const PIECE_ENTRIES: u64 = MIB / 8;

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Plan {
    options: Options,
    blocks: Runs,
    table_len: u64,
}

impl Plan {
    /// Memory: 24 bytes per run of stored blocks.
    pub(crate) fn new(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        options.check()?;
        let block_size = u64::from(options.block_size);
        let blocks = options.blocks();
        let ratio = chunk_ratio(options.sector_size.bytes(), options.block_size);
        let entries = u64::from(blocks) + (u64::from(blocks) - 1) / ratio;
        let table_len = (entries * 8).next_multiple_of(MIB);
        let stored = if options.fixed {
            Runs::new(options.size, block_size, std::iter::once(0..options.size))
        } else {
            Runs::new(options.size, block_size, allocated)
        };
        let stored = stored.map_err(Error::misplaced("VHDX"))?;
        Ok(Self { options: options.clone(), blocks: stored.starting_at(TABLE_OFFSET + table_len), table_len })
    }

    /// The blocks that are stored.
    pub(crate) fn into_blocks(self) -> Runs {
        self.blocks
    }

    /// The last block is stored in full, even where the disk ends inside it: qemu wants it.
    pub(crate) fn file_len(&self) -> u64 {
        self.blocks.file().end
    }

    /// The first 64 KiB: what makes the file a VHDX.
    pub(crate) fn identifier() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend(CREATOR.encode_utf16().flat_map(u16::to_le_bytes));
        bytes.resize(SIGNATURE.len() + CREATOR_LEN, 0);
        bytes
    }

    fn header(&self, sequence: u64) -> Header {
        Header {
            signature: *b"head",
            checksum: 0,
            sequence,
            file_write_id: self.options.file_write_id,
            data_write_id: self.options.data_write_id,
            log_id: Guid::NIL,
            log_version: 0,
            version: 1,
            log_len: MIB as u32,
            log_offset: LOG_OFFSET,
        }
    }

    /// The two headers and where they lie.
    pub(crate) fn headers(&self) -> [(u64, Vec<u8>); 2] {
        // Windows leaves the second as the newer one; equal sequence numbers are refused by qemu.
        [0, 1].map(|index| (HEADER_OFFSETS[index], self.header(index as u64).to_bytes()))
    }

    /// Everything between the headers and the block allocation table, and where it lies.
    pub(crate) fn structures(&self) -> Vec<(u64, Vec<u8>)> {
        let regions = region_table(&[
            RegionEntry { id: BAT_REGION, offset: TABLE_OFFSET, len: self.table_len as u32, required: 1 },
            RegionEntry { id: METADATA_REGION, offset: METADATA_OFFSET, len: MIB as u32, required: 1 },
        ]);
        let (table, items) = self.metadata();
        let [first, second] = REGION_TABLE_OFFSETS;
        let items_at = METADATA_OFFSET + METADATA_TABLE_LEN as u64;
        vec![(first, regions.clone()), (second, regions), (METADATA_OFFSET, table), (items_at, items)]
    }

    /// The metadata table and the items after it.
    fn metadata(&self) -> (Vec<u8>, Vec<u8>) {
        let options = &self.options;
        let mut parameters = options.block_size.to_le_bytes().to_vec();
        parameters.extend_from_slice(&if options.fixed { LEAVE_ALLOCATED } else { 0 }.to_le_bytes());
        let disk = FLAG_REQUIRED | FLAG_VIRTUAL_DISK;
        let mut items = Vec::new();
        let entries = [
            (FILE_PARAMETERS, FLAG_REQUIRED, parameters),
            (DISK_SIZE, disk, options.size.to_le_bytes().to_vec()),
            (LOGICAL_SECTOR_SIZE, disk, options.sector_size.bytes().to_le_bytes().to_vec()),
            (PHYSICAL_SECTOR_SIZE, disk, PHYSICAL_SECTOR.to_le_bytes().to_vec()),
            (DISK_ID, disk, options.disk_id.0.to_vec()),
        ]
        .map(|(id, flags, item)| {
            let offset = (METADATA_TABLE_LEN + items.len()) as u32;
            items.extend_from_slice(&item);
            MetadataEntry { id, offset, len: item.len() as u32, flags }
        });
        (metadata_table(&entries), items)
    }

    /// How many pieces of 1 MiB the block allocation table has.
    pub(crate) fn table_pieces(&self) -> u64 {
        self.table_len / MIB
    }

    /// A piece of the block allocation table; `None` when it is all zero.
    pub(crate) fn table_piece(&self, piece: u64) -> Option<Vec<u8>> {
        let ratio = chunk_ratio(self.options.sector_size.bytes(), self.options.block_size);
        // The first block whose entry lies at `entry` or after it. The last entry of each chunk is a sector bitmap's.
        let block_at = |entry: u64| entry / (ratio + 1) * ratio + (entry % (ratio + 1)).min(ratio);
        let first_entry = piece * PIECE_ENTRIES;
        let blocks = block_at(first_entry)..block_at(first_entry + PIECE_ENTRIES);
        let block_size = u64::from(self.options.block_size);
        let mut bytes = Vec::new();
        for run in self.blocks.within(blocks.start * block_size..blocks.end * block_size) {
            bytes.resize(MIB as usize, 0);
            for (block, place) in run.blocks(block_size) {
                let at = (block + block / ratio - first_entry) as usize * 8;
                bytes[at..at + 8].copy_from_slice(&table_entry(FULLY_PRESENT, place).to_le_bytes());
            }
        }
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}
