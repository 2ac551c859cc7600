use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use disk::{At, BlockMap, MappedRange, RangeKind, ReadAt};

use crate::dynamic::bitmap_len;
use crate::layout::{
    ABSENT, DynamicHeader, FOOTER_COOKIE, FOOTER_LEN, Footer, HEADER_LEN, TYPE_DIFFERENCING, TYPE_DYNAMIC,
    TYPE_FIXED,
};
use crate::{Error, Result};

/// The most entries of a block allocation table that are held: 2040 GiB in blocks of 256 KiB, 32 MiB of memory.
const MAX_BLOCKS: u64 = 8 << 20;
/// The largest block that is accepted.
const MAX_BLOCK_SIZE: u32 = 256 << 20;

/// The kinds of VHD that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything is stored.
    Fixed,
    /// Blocks that hold something are stored.
    Dynamic,
}

/// Whether `file` says it is a VHD: the signature of a footer at its end, or of a footer's copy at its start.
///
/// # Errors
/// As reading `file`.
pub fn is_vhd(file: &dyn ReadAt) -> io::Result<bool> {
    let size = file.size()?;
    let mut cookie = [0; 8];
    for offset in [size.checked_sub(FOOTER_LEN as u64), Some(0)].into_iter().flatten() {
        if size >= offset.saturating_add(8) {
            file.read_exact_at(&mut cookie, offset)?;
            if cookie == FOOTER_COOKIE {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// An open VHD: the disk inside, as something to read from.
pub struct Vhd {
    file: Arc<dyn ReadAt>,
    footer: Footer,
    body: Body,
}

enum Body {
    Fixed,
    Dynamic(Blocks),
}

struct Blocks {
    header: DynamicHeader,
    /// For each block of the disk its first sector in the file (that of the bitmap), or [`ABSENT`].
    table: Vec<u32>,
    /// For each block whether its bitmap was read and is full: looking again at every read would double the reads.
    bitmap_full: Vec<AtomicBool>,
    footer_copy_equal: bool,
}

impl fmt::Debug for Vhd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhd")
            .field("footer", &self.footer)
            .field("header", &self.header())
            .finish_non_exhaustive()
    }
}

impl Vhd {
    /// Opens a fixed or dynamic VHD and checks its structure.
    ///
    /// # Errors
    /// [`Error::Malformed`] when footers, header and table contradict the format, each other or the file's length;
    /// [`Error::Unsupported`] for differencing disks; [`Error::Limit`]; [`Error::Io`].
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self> {
        let file_len = file.size().map_err(Error::reading("VHD", 0))?;
        let Some(footer_at) = file_len.checked_sub(FOOTER_LEN as u64) else {
            let reason = format!("file of {file_len} bytes, a footer alone has {FOOTER_LEN}");
            return Err(Error::malformed("VHD footer", 0, reason));
        };
        let (footer, footer_bytes) = read_footer(&*file, footer_at)?;
        if footer.current_size == 0 || !footer.current_size.is_multiple_of(512) {
            let reason = format!("current size {}, expected a positive multiple of 512", footer.current_size);
            return Err(Error::malformed("VHD footer", footer_at, reason));
        }
        let body = match footer.disk_type {
            TYPE_FIXED => {
                if footer.current_size != footer_at {
                    let reason =
                        format!("current size {}, but {footer_at} bytes precede it", footer.current_size);
                    return Err(Error::malformed("VHD footer", footer_at, reason));
                }
                Body::Fixed
            }
            TYPE_DYNAMIC => Body::Dynamic(Blocks::open(&*file, &footer, &footer_bytes, footer_at)?),
            TYPE_DIFFERENCING => {
                let feature = "differencing disk (merge it with its parent first)".to_owned();
                return Err(Error::Unsupported { at: At::new("VHD footer", footer_at), feature });
            }
            other => {
                let reason =
                    format!("disk type {other}, expected 2 (fixed), 3 (dynamic) or 4 (differencing)");
                return Err(Error::malformed("VHD footer", footer_at, reason));
            }
        };
        Ok(Self { file, footer, body })
    }

    /// Fixed or dynamic.
    pub fn kind(&self) -> Kind {
        match self.body {
            Body::Fixed => Kind::Fixed,
            Body::Dynamic(_) => Kind::Dynamic,
        }
    }

    /// Size in bytes of the disk: the footer's current size. The footer's geometry may describe less, and readers that
    /// go by it see less: compare with [`Geometry::size`](crate::Geometry::size).
    pub fn disk_size(&self) -> u64 {
        self.footer.current_size
    }

    /// The footer: creator, identity, time, geometry.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The header of a dynamic disk: block size, table.
    pub fn header(&self) -> Option<&DynamicHeader> {
        match &self.body {
            Body::Fixed => None,
            Body::Dynamic(blocks) => Some(&blocks.header),
        }
    }

    /// How many blocks a dynamic disk stores.
    pub fn allocated_blocks(&self) -> Option<u32> {
        match &self.body {
            Body::Fixed => None,
            Body::Dynamic(blocks) => {
                Some(blocks.table.iter().filter(|entry| **entry != ABSENT).count() as u32)
            }
        }
    }

    /// Whether the copy of the footer at the start of a dynamic disk is equal to it byte for byte. Small differences are
    /// accepted; a copy that describes another disk is not.
    pub fn footer_copy_equal(&self) -> Option<bool> {
        match &self.body {
            Body::Fixed => None,
            Body::Dynamic(blocks) => Some(blocks.footer_copy_equal),
        }
    }
}

fn read_footer(file: &dyn ReadAt, at: u64) -> Result<(Footer, [u8; FOOTER_LEN])> {
    let mut bytes = [0; FOOTER_LEN];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHD footer", at))?;
    Ok((Footer::parse(&bytes, at)?, bytes))
}

impl Blocks {
    fn open(
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
            table,
            footer_copy_equal: copy_bytes == *footer_bytes,
        };
        blocks.check_overlaps(&[(header_at, header_end), (table_at, table_end)], footer_at)?;
        Ok(blocks)
    }

    /// No two blocks share bytes of the file, nor does a block with another structure.
    fn check_overlaps(&self, structures: &[(u64, u64)], footer_at: u64) -> Result<()> {
        let len = u64::from(bitmap_len(self.header.block_size)) + u64::from(self.header.block_size);
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
            if structures.iter().any(|(a, b)| start < *b && *a < end) {
                return fault(block, format!("block {block} at {start:#x} overlaps the header or the table"));
            }
            if let Some((other, other_end)) = previous.replace((block, end))
                && start < other_end
            {
                return fault(block, format!("block {block} at {start:#x} overlaps block {other}"));
            }
        }
        Ok(())
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

    /// Fills `buf` from byte `inside` of a block that is stored.
    fn read_block(&self, file: &dyn ReadAt, block: usize, inside: u64, buf: &mut [u8]) -> io::Result<()> {
        let data = u64::from(self.table[block]) * 512 + u64::from(bitmap_len(self.header.block_size));
        file.read_exact_at(buf, data + inside)?;
        let Some(bitmap) = self.partial_bitmap(file, block)? else { return Ok(()) };
        // A sector whose bit is clear was never written, whatever lies there.
        let end = inside + buf.len() as u64;
        for sector in inside / 512..end.div_ceil(512) {
            if bitmap[sector as usize / 8] & 0x80 >> (sector % 8) == 0 {
                let from = (sector * 512).max(inside) - inside;
                let to = (sector * 512 + 512).min(end) - inside;
                buf[from as usize..to as usize].fill(0);
            }
        }
        Ok(())
    }
}

/// The end of `len` bytes at `start`, when they lie between `first` and `last`; else why not.
fn inside(start: u64, len: u64, first: u64, last: u64) -> Result<u64, String> {
    match start.checked_add(len) {
        Some(end) if start >= first && end <= last => Ok(end),
        _ => Err(format!(
            "{start:#x} (+ {len:#x}) does not lie between {first:#x} and the footer at {last:#x}"
        )),
    }
}

impl ReadAt for Vhd {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let blocks = match &self.body {
            Body::Fixed => return self.file.read_exact_at(buf, offset),
            Body::Dynamic(blocks) => blocks,
        };
        let block_size = u64::from(blocks.header.block_size);
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let inside = offset % block_size;
            let len = buf.len().min((block_size - inside) as usize);
            let (part, rest) = buf.split_at_mut(len);
            let block = (offset / block_size) as usize;
            if blocks.table[block] == ABSENT {
                part.fill(0);
            } else {
                blocks.read_block(&*self.file, block, inside, part)?;
            }
            offset += len as u64;
            buf = rest;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk_size())
    }
}

impl BlockMap for Vhd {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let size = self.disk_size();
        if offset >= size {
            return Ok(None);
        }
        let Body::Dynamic(blocks) = &self.body else {
            return Ok(Some(MappedRange { start: 0, len: size, kind: RangeKind::Data }));
        };
        let block_size = u64::from(blocks.header.block_size);
        let first = (offset / block_size) as usize;
        let absent = blocks.table[first] == ABSENT;
        let same = blocks.table[first..].iter().take_while(|entry| (**entry == ABSENT) == absent).count();
        let start = first as u64 * block_size;
        let len = (same as u64 * block_size).min(size - start);
        Ok(Some(MappedRange { start, len, kind: if absent { RangeKind::Zero } else { RangeKind::Data } }))
    }
}
