//! The block allocation table, checked and held in memory.

use disk::{At, ReadAt};

use crate::layout::{
    FULLY_PRESENT, MIB, NOT_PRESENT, PARTIALLY_PRESENT, UNDEFINED, UNMAPPED, ZERO, parse_table_entry,
};
use crate::open::{MAX_FILE_LEN, Metadata};
use crate::overlay::Overlay;
use crate::{Error, Result};

const WHAT: &str = "VHDX block allocation table entry";
/// Entries that are held or left out together.
const PAGE: usize = 4096;

/// Which MiB of the file something lies in: all that a VHDX stores is in whole MiB. One bit each.
#[derive(Debug)]
pub(crate) struct Occupancy {
    used: Vec<u64>,
}

impl Occupancy {
    /// `file_len` is at most [`MAX_FILE_LEN`], which takes 64 MiB.
    pub(crate) fn new(file_len: u64) -> Self {
        Self { used: vec![0; file_len.div_ceil(MIB).div_ceil(64) as usize] }
    }

    /// Marks `len` bytes at `offset`, both whole MiB; `false` when part of them was marked before or lies outside.
    pub(crate) fn mark(&mut self, offset: u64, len: u64) -> bool {
        (offset / MIB..(offset + len) / MIB).all(|mib| {
            let bit = 1 << (mib % 64);
            let word = self.used.get_mut((mib / 64) as usize);
            word.is_some_and(|word| std::mem::replace(word, *word | bit) & bit == 0)
        })
    }
}

/// How many blocks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) present: u64,
    pub(crate) partial: u64,
    pub(crate) zero: u64,
    pub(crate) bitmaps: u64,
}

/// The state of each block of the disk, and where it lies.
pub(crate) struct Table {
    /// The state in bits 0 to 2 and the MiB in bits 3 to 31; pages of nothing but zeros are left out.
    pages: Vec<Option<Box<[u32; PAGE]>>>,
    /// For each chunk the MiB where its sector bitmap lies, or 0.
    bitmaps: Vec<u32>,
    pub(crate) counts: Counts,
    /// The first entry without a block that has an offset all the same.
    pub(crate) stray_offset: Option<u64>,
}

impl Table {
    /// Reads the table, and checks that what it names lies in the file and shares its place with nothing.
    ///
    /// Memory: half of what the table has other than zeros, and 8 bytes per 4096 blocks.
    pub(crate) fn load(
        file: &Overlay,
        metadata: &Metadata,
        table_at: u64,
        table_len: u64,
        occupancy: &mut Occupancy,
    ) -> Result<Self> {
        let entries = metadata.table_entries();
        if entries * 8 > table_len {
            let reason = format!(
                "{table_len:#x} bytes, a disk of {} bytes needs {entries} entries",
                metadata.disk_size
            );
            return Err(Error::malformed("VHDX block allocation table", table_at, reason));
        }
        let chunks = metadata.blocks().div_ceil(metadata.chunk_ratio());
        let mut table = Self {
            pages: (0..(metadata.blocks() as usize).div_ceil(PAGE)).map(|_| None).collect(),
            bitmaps: vec![0; chunks as usize],
            counts: Counts::default(),
            stray_offset: None,
        };
        // For each chunk the first block that is stored in part.
        let mut partial: Vec<Option<(u64, u64)>> = vec![None; chunks as usize];
        let mut bytes = Vec::new();
        let mut index = 0;
        while index < entries {
            let count = (entries - index).min(MIB / 8);
            bytes.resize(count as usize * 8, 0);
            let at = table_at + index * 8;
            file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHDX block allocation table", at))?;
            for entry in bytes.chunks_exact(8) {
                let entry = u64::from_le_bytes(entry.try_into().expect("eight bytes"));
                if entry != 0 {
                    let at = table_at + index * 8;
                    table.take(file, metadata, index, entry, at, occupancy, &mut partial)?;
                }
                index += 1;
            }
        }
        for (chunk, partial) in partial.into_iter().enumerate() {
            if let Some((block, at)) = partial.filter(|_| table.bitmaps[chunk] == 0) {
                let reason =
                    format!("block {block} partially present, but chunk {chunk} has no sector bitmap");
                return Err(Error::malformed(WHAT, at, reason));
            }
        }
        Ok(table)
    }

    #[expect(clippy::too_many_arguments, reason = "the body of a loop")]
    fn take(
        &mut self,
        file: &Overlay,
        metadata: &Metadata,
        index: u64,
        entry: u64,
        at: u64,
        occupancy: &mut Occupancy,
        partial: &mut [Option<(u64, u64)>],
    ) -> Result<()> {
        let ratio = metadata.chunk_ratio();
        let (chunk, in_chunk) = (index / (ratio + 1), index % (ratio + 1));
        let is_bitmap = in_chunk == ratio;
        let block = chunk * ratio + in_chunk;
        if !is_bitmap && block >= metadata.blocks() {
            return Ok(()); // the rest of a differencing disk's last chunk
        }
        let name = || if is_bitmap { format!("sector bitmap {chunk}") } else { format!("block {block}") };
        let fault = |reason: String| Err(Error::malformed(WHAT, at, format!("{} {reason}", name())));
        let (state, reserved, offset) = parse_table_entry(entry);
        if reserved != 0 {
            return fault(format!("with reserved bits {reserved:#x}"));
        }
        let stored = match state {
            FULLY_PRESENT => true,
            PARTIALLY_PRESENT if metadata.has_parent && !is_bitmap => {
                partial[chunk as usize].get_or_insert((block, at));
                true
            }
            PARTIALLY_PRESENT if !is_bitmap => {
                return fault("partially present, in a disk without parent".to_owned());
            }
            NOT_PRESENT => false,
            UNDEFINED | ZERO | UNMAPPED if !is_bitmap => false,
            _ => return fault(format!("in state {state}")),
        };
        if !stored {
            self.counts.zero += u64::from(state == ZERO);
            if offset != 0 {
                self.stray_offset.get_or_insert(at);
            }
            if state != NOT_PRESENT {
                self.set(block, state.into());
            }
            return Ok(());
        }
        if offset >= MAX_FILE_LEN {
            let at = At::new(WHAT, at);
            return Err(Error::Limit {
                at,
                what: "offset of a block",
                found: offset,
                limit: MAX_FILE_LEN - 1,
            });
        }
        let len = if is_bitmap { MIB } else { metadata.block_size.into() };
        // Old versions of qemu end the file where the disk ends, inside the last block.
        let needed = if is_bitmap { MIB } else { len.min(metadata.disk_size - block * len) };
        if offset + needed > file.len() {
            return fault(format!(
                "at {offset:#x} (+ {needed:#x}) ends past the file's {:#x} bytes",
                file.len()
            ));
        }
        if !occupancy.mark(offset, needed.next_multiple_of(MIB)) {
            return fault(format!("at {offset:#x} overlaps another block or structure"));
        }
        let mib = (offset / MIB) as u32;
        if is_bitmap {
            self.counts.bitmaps += 1;
            self.bitmaps[chunk as usize] = mib;
        } else {
            self.counts.present += u64::from(state == FULLY_PRESENT);
            self.counts.partial += u64::from(state == PARTIALLY_PRESENT);
            self.set(block, mib << 3 | u32::from(state));
        }
        Ok(())
    }

    fn set(&mut self, block: u64, entry: u32) {
        let page = &mut self.pages[block as usize / PAGE];
        page.get_or_insert_with(|| Box::new([0; PAGE]))[block as usize % PAGE] = entry;
    }

    /// The state of a block, and where in the file it lies.
    pub(crate) fn get(&self, block: u64) -> (u8, u64) {
        let page = self.pages[block as usize / PAGE].as_ref();
        let entry = page.map_or(0, |page| page[block as usize % PAGE]);
        ((entry & 7) as u8, u64::from(entry >> 3) * MIB)
    }

    /// Where the sector bitmap of a chunk lies.
    pub(crate) fn bitmap(&self, chunk: u64) -> u64 {
        u64::from(self.bitmaps[chunk as usize]) * MIB
    }

    /// The end of the run of blocks that begins at `block`, none past `end`, for which `like` says of their states what it
    /// says of the first's. Looks at no more blocks that are not [`NOT_PRESENT`] than takes no time.
    pub(crate) fn run_end(&self, block: u64, end: u64, like: impl Fn(u8) -> bool) -> u64 {
        let kind = like(self.get(block).0);
        let stop = end.min(block + (1 << 20));
        let mut block = block;
        while block < end {
            let absent_page = self.pages[block as usize / PAGE].is_none();
            if like(self.get(block).0) != kind || !absent_page && block >= stop {
                break;
            }
            block = if absent_page { (block / PAGE as u64 + 1) * PAGE as u64 } else { block + 1 };
        }
        block.min(end)
    }
}
