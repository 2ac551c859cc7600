//! The blocks of a dynamic or differencing disk: the table that says where each lies, and the bitmaps of their sectors.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::{At, ReadAt};

use crate::dynamic::bitmap_len;
use crate::layout::{ABSENT, DynamicHeader, FOOTER_LEN, Footer, HEADER_LEN, TYPE_DIFFERENCING};
use crate::parent::ParentReference;
use crate::read::read_footer;
use crate::{Error, Result};

/// The most entries of a block allocation table that are held: 2040 GiB in blocks of 256 KiB, 32 MiB of memory.
const MAX_BLOCKS: u64 = 8 << 20;
/// The largest block that is accepted.
const MAX_BLOCK_SIZE: u32 = 256 << 20;

pub(crate) struct Blocks {
    pub(crate) header: DynamicHeader,
    pub(crate) parent: Option<ParentReference>,
    /// For each block of the disk its first sector in the file (that of the bitmap), or [`ABSENT`].
    pub(crate) table: Vec<u32>,
    /// For each block whether its bitmap was read and is full: looking again at every read would double the reads.
    bitmap_full: Vec<AtomicBool>,
    pub(crate) footer_copy_equal: bool,
    /// Start and end of everything but blocks and footers.
    pub(crate) structures: Vec<(u64, u64)>,
}

impl Blocks {
    pub(crate) fn open(
        file: &dyn ReadAt,
        footer: &Footer,
        footer_bytes: &[u8; FOOTER_LEN],
        footer_at: u64,
    ) -> Result<Self> {
        let (copy, copy_bytes) = read_footer(file, 0)?;
        let essence =
            |footer: &Footer| (footer.disk_type, footer.current_size, footer.data_offset, footer.unique_id);
        if essence(&copy) != essence(footer) {
            let reason = "describes another disk than the footer at the file's end";
            return Err(Error::malformed("copy of the VHD footer", 0, reason));
        }

        let header_at = footer.data_offset;
        let header_end =
            inside(header_at, HEADER_LEN as u64, FOOTER_LEN as u64, footer_at).map_err(|reason| {
                Error::malformed("VHD footer", footer_at, format!("dynamic header offset {reason}"))
            })?;
        let mut bytes = [0; HEADER_LEN];
        file.read_exact_at(&mut bytes, header_at).map_err(Error::reading("VHD dynamic header", header_at))?;
        let header = DynamicHeader::parse(&bytes, header_at)?;
        let malformed = |reason: String| Error::malformed("VHD dynamic header", header_at, reason);

        let block_size = header.block_size;
        if !block_size.is_power_of_two() || block_size < 512 {
            return Err(malformed(format!("block size {block_size}, expected a power of two from 512")));
        }
        let limit = |what, found, limit| Error::Limit {
            at: At::new("VHD dynamic header", header_at),
            what,
            found,
            limit,
        };
        if block_size > MAX_BLOCK_SIZE {
            return Err(limit("block size", block_size.into(), MAX_BLOCK_SIZE.into()));
        }
        let blocks = footer.current_size.div_ceil(block_size.into());
        if blocks > u64::from(header.max_table_entries) {
            return Err(malformed(format!(
                "{} table entries, a disk of {} bytes needs {blocks}",
                header.max_table_entries, footer.current_size
            )));
        }
        if blocks > MAX_BLOCKS {
            return Err(limit("number of blocks", blocks, MAX_BLOCKS));
        }
        let table_at = header.table_offset;
        // Only the entries that the disk needs must be there. Old versions of qemu wrote one more.
        let table_end = inside(table_at, blocks * 4, FOOTER_LEN as u64, footer_at)
            .map_err(|reason| malformed(format!("block allocation table offset {reason}")))?;
        if table_at < header_end && header_at < table_end {
            return Err(malformed(format!("block allocation table at {table_at:#x} overlaps the header")));
        }
        let mut structures = vec![(header_at, header_end), (table_at, table_end)];
        let parent = if footer.disk_type == TYPE_DIFFERENCING {
            let (parent, places) = ParentReference::read(file, &header, header_at, footer_at)?;
            for (start, end) in places {
                if structures[..2].iter().any(|(a, b)| start < *b && *a < end) {
                    return Err(malformed(format!(
                        "name of the parent at {start:#x} overlaps the header or the table"
                    )));
                }
                structures.push((start, end));
            }
            Some(parent)
        } else {
            None
        };

        let mut bytes = vec![0; blocks as usize * 4];
        file.read_exact_at(&mut bytes, table_at)
            .map_err(Error::reading("VHD block allocation table", table_at))?;
        let table: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|entry| u32::from_be_bytes(entry.try_into().expect("four bytes")))
            .collect();
        drop(bytes);
        let blocks = Self {
            bitmap_full: table.iter().map(|_| AtomicBool::new(false)).collect(),
            header,
            parent,
            table,
            footer_copy_equal: copy_bytes == *footer_bytes,
            structures,
        };
        blocks.check_overlaps(footer_at)?;
        Ok(blocks)
    }

    /// How many bytes of the file a block takes, its bitmap included.
    pub(crate) fn stored_len(&self) -> u64 {
        u64::from(bitmap_len(self.header.block_size)) + u64::from(self.header.block_size)
    }

    /// No two blocks share bytes of the file, nor does a block with another structure.
    fn check_overlaps(&self, footer_at: u64) -> Result<()> {
        let len = self.stored_len();
        let entry_at = |block: u32| self.header.table_offset + u64::from(block) * 4;
        let fault = |block: u32, reason: String| {
            Err(Error::malformed("VHD block allocation table entry", entry_at(block), reason))
        };
        let mut order: Vec<u32> =
            (0..self.table.len() as u32).filter(|block| self.table[*block as usize] != ABSENT).collect();
        order.sort_unstable_by_key(|block| self.table[*block as usize]);
        let mut previous = None;
        for block in order {
            let start = u64::from(self.table[block as usize]) * 512;
            let end = match inside(start, len, FOOTER_LEN as u64, footer_at) {
                Ok(end) => end,
                Err(reason) => return fault(block, format!("block {block} {reason}")),
            };
            if let Some(index) = self.structures.iter().position(|(a, b)| start < *b && *a < end) {
                let what = if index < 2 { "the header or the table" } else { "the name of the parent" };
                return fault(block, format!("block {block} at {start:#x} overlaps {what}"));
            }
            if let Some((other, other_end)) = previous.replace((block, end))
                && start < other_end
            {
                return fault(block, format!("block {block} at {start:#x} overlaps block {other}"));
            }
        }
        Ok(())
    }

    /// Where in the file the data of a block that is stored begins.
    pub(crate) fn data_at(&self, block: usize) -> u64 {
        u64::from(self.table[block]) * 512 + u64::from(bitmap_len(self.header.block_size))
    }

    /// The bitmap of a block that is stored, unless all its sectors are.
    fn partial_bitmap(&self, file: &dyn ReadAt, block: usize) -> io::Result<Option<Vec<u8>>> {
        if self.bitmap_full[block].load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut bitmap = vec![0; (self.header.block_size / 512).div_ceil(8) as usize];
        file.read_exact_at(&mut bitmap, u64::from(self.table[block]) * 512)?;
        let full = bitmap.iter().all(|byte| *byte == 0xFF);
        self.bitmap_full[block].store(full, Ordering::Relaxed);
        Ok(if full { None } else { Some(bitmap) })
    }

    /// Fills `buf` from byte `inside` of a block that is stored. Sectors whose bit is clear were never written, whatever
    /// lies there: `below` fills them, from a byte of the disk.
    pub(crate) fn read_block(
        &self,
        file: &dyn ReadAt,
        block: usize,
        inside: u64,
        buf: &mut [u8],
        below: impl Fn(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let data = self.data_at(block);
        let Some(bitmap) = self.partial_bitmap(file, block)? else {
            return file.read_exact_at(buf, data + inside);
        };
        let stored = |at: u64| bitmap[(at / 512 / 8) as usize] & 0x80 >> (at / 512 % 8) != 0;
        let block_start = block as u64 * u64::from(self.header.block_size);
        let end = inside + buf.len() as u64;
        let mut at = inside;
        while at < end {
            let here = stored(at);
            let mut run_end = (at / 512 + 1) * 512;
            while run_end < end && stored(run_end) == here {
                run_end += 512;
            }
            let run_end = run_end.min(end);
            let part = &mut buf[(at - inside) as usize..(run_end - inside) as usize];
            if here {
                file.read_exact_at(part, data + at)?;
            } else {
                below(part, block_start + at)?;
            }
            at = run_end;
        }
        Ok(())
    }
}

/// The end of `len` bytes at `start`, when they lie between `first` and `last`; else why not.
pub(crate) fn inside(start: u64, len: u64, first: u64, last: u64) -> Result<u64, String> {
    match start.checked_add(len) {
        Some(end) if start >= first && end <= last => Ok(end),
        _ => Err(format!(
            "{start:#x} (+ {len:#x}) does not lie between {first:#x} and the footer at {last:#x}"
        )),
    }
}
