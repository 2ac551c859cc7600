//! Dynamic VHDs: only blocks that hold something are stored.
//!
//! The ranges that hold something are known before the first byte, so the block allocation table and every offset are
//! computed up front, blocks lie in disk order, and the file's length is known. Each block is a bitmap of its sectors
//! and their data. The bitmap lies directly before a multiple of 4096, so that the data is aligned to the sectors of
//! the disk that holds the file (observed: Windows 10, disk2vhd; Virtual PC and qemu do not align). All bits are set:
//! Windows and VirtualBox read a sector whose bit is clear as zero, qemu ignores them.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use disk::{At, FrontToBack, OrderedSink, PositionedSink, Runs, UnitEncoder, Verbatim, WriteAt};

use crate::layout::{ABSENT, FOOTER_LEN, HEADER_LEN};
use crate::{Error, Options, Result};

/// Where the block allocation table lies: after the copy of the footer and the header.
const TABLE_OFFSET: u64 = (FOOTER_LEN + HEADER_LEN) as u64;
/// Data lies on multiples of this; table and footer end on them.
const ALIGNMENT: u64 = 4096;

/// Length in bytes of the bitmap in front of a block's data: a bit per sector, in whole sectors.
pub(crate) fn bitmap_len(block_size: u32) -> u32 {
    (block_size / 512).div_ceil(8).next_multiple_of(512)
}

/// Where everything lies.
struct Plan {
    /// For each block its first sector in the file (that of the bitmap), or [`ABSENT`].
    table: Vec<u32>,
    /// Where the table's padding ends.
    table_end: u64,
    /// Where the footer lies.
    footer: u64,
}

impl Plan {
    fn new(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        options.check()?;
        let block_size = u64::from(options.block_size);
        let bitmap = u64::from(bitmap_len(options.block_size));
        let mut table = vec![ABSENT; options.blocks() as usize];
        let table_end = (TABLE_OFFSET + table.len() as u64 * 4).next_multiple_of(ALIGNMENT);
        let mut end = table_end;
        let blocks = Runs::new(options.size, block_size, allocated).map_err(Error::misplaced("VHD"))?;
        for (block, _) in blocks.iter().flat_map(|run| run.blocks(block_size)) {
            let data = (end + bitmap).next_multiple_of(ALIGNMENT);
            let sector = (data - bitmap) / 512;
            let known = u32::try_from(sector).ok().filter(|sector| *sector != ABSENT);
            table[block as usize] = known.ok_or(Error::Limit {
                at: At::new("VHD block allocation table", TABLE_OFFSET + block * 4),
                what: "sector of a block",
                found: sector,
                limit: u64::from(ABSENT - 1),
            })?;
            end = data + block_size;
        }
        let footer = (end + FOOTER_LEN as u64).next_multiple_of(ALIGNMENT) - FOOTER_LEN as u64;
        Ok(Self { table, table_end, footer })
    }

    /// The table as it lies in the file, with what pads it.
    fn table_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.table.iter().flat_map(|sector| sector.to_be_bytes()).collect();
        bytes.resize((self.table_end - TABLE_OFFSET) as usize, 0xFF);
        bytes
    }
}

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// As for these, without their I/O.
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.footer + FOOTER_LEN as u64)
}

/// A dynamic VHD in a file.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of the block size gives them; every block that they touch is
/// stored. Memory: 4 bytes per block.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other, [`Error::Limit`] when the file would pass 2 TiB,
/// [`Error::Io`] when the tables cannot be written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<InFile<F>> {
    let plan = Plan::new(options, allocated)?;
    // The footers come last: until then nothing takes the file for a VHD.
    file.set_len(plan.footer + FOOTER_LEN as u64).map_err(Error::writing("VHD", 0))?;
    let header = options.header(TABLE_OFFSET).to_bytes();
    file.write_all_at(&header, FOOTER_LEN as u64)
        .map_err(Error::writing("VHD dynamic header", FOOTER_LEN as u64))?;
    file.write_all_at(&plan.table_bytes(), TABLE_OFFSET)
        .map_err(Error::writing("VHD block allocation table", TABLE_OFFSET))?;
    let bitmap = vec![0xFF; bitmap_len(options.block_size) as usize];
    for sector in plan.table.iter().filter(|sector| **sector != ABSENT) {
        let offset = u64::from(*sector) * 512;
        file.write_all_at(&bitmap, offset).map_err(Error::writing("VHD sector bitmap", offset))?;
    }
    Ok(InFile { file, options: options.clone(), plan })
}

/// A dynamic VHD that is written front to back to something that need not seek: the footer is known before the first
/// byte, and the blocks lie in the order of the disk. Arguments are those of [`positioned`]; parts of stored blocks that are
/// never handed over become zeros. Memory: 4 bytes per block.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Stream<W>> {
    let plan = Plan::new(options, allocated)?;
    let mut out = FrontToBack::new(writer);
    let footer = options.dynamic_footer().to_bytes();
    for bytes in [&footer[..], &options.header(TABLE_OFFSET).to_bytes(), &plan.table_bytes()] {
        out.append(bytes).map_err(Error::writing("VHD structures", 0))?;
    }
    Ok(Stream { out, options: options.clone(), plan, block: 0, position: 0 })
}

/// A dynamic VHD that is being written front to back; see [`ordered`].
pub struct Stream<W> {
    out: FrontToBack<W>,
    options: Options,
    plan: Plan,
    /// The block whose bitmap comes next, unless it is not stored.
    block: usize,
    /// The byte of the disk before which nothing may come any more.
    position: u64,
}

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("options", &self.options)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<W: Write> Stream<W> {
    /// Writes what lies before the data of block `end`: the bitmaps of the blocks from the last on, and zeros for what was
    /// not handed over of these.
    fn begin_blocks(&mut self, end: usize) -> io::Result<()> {
        while self.block < end {
            let sector = self.plan.table[self.block];
            self.block += 1;
            if sector != ABSENT {
                let bitmap = vec![0xFF; bitmap_len(self.options.block_size) as usize];
                self.out.write_at(&bitmap, u64::from(sector) * 512)?;
            }
        }
        Ok(())
    }
}

impl<W: Write + Send> OrderedSink for Stream<W> {
    fn granularity(&self) -> u64 {
        512
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(Verbatim)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let end = offset.checked_add(len).filter(|end| *end <= self.options.size);
        let Some(end) = end.filter(|_| offset >= self.position) else {
            return refused("unit out of order or past the disk's end");
        };
        if encoded.len() as u64 != len {
            return refused("unit is not as long as its range");
        }
        self.position = end;
        let block_size = u64::from(self.options.block_size);
        let (mut offset, mut data) = (offset, encoded);
        while !data.is_empty() {
            let (block, inside) = ((offset / block_size) as usize, offset % block_size);
            let (part, rest) = data.split_at(data.len().min((block_size - inside) as usize));
            let sector = self.plan.table[block];
            if sector == ABSENT {
                return refused("write to a block that was not announced as allocated");
            }
            self.begin_blocks(block + 1)?;
            let place = u64::from(sector) * 512 + u64::from(bitmap_len(self.options.block_size)) + inside;
            self.out.write_at(part, place)?;
            offset += part.len() as u64;
            data = rest;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.begin_blocks(self.plan.table.len())?;
        self.out.write_at(&self.options.dynamic_footer().to_bytes(), self.plan.footer)?;
        self.out.flush()
    }
}

/// A dynamic VHD that is being written; see [`positioned`].
pub struct InFile<F> {
    file: F,
    options: Options,
    plan: Plan,
}

impl<F> fmt::Debug for InFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFile")
            .field("options", &self.options)
            .field("footer", &self.plan.footer)
            .finish_non_exhaustive()
    }
}

impl<F: WriteAt> PositionedSink for InFile<F> {
    fn granularity(&self) -> u64 {
        512
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.options.size) {
            return refused("write past the disk's end");
        }
        let block_size = u64::from(self.options.block_size);
        let (mut offset, mut data) = (offset, data);
        while !data.is_empty() {
            let inside = offset % block_size;
            let (part, rest) = data.split_at(data.len().min((block_size - inside) as usize));
            let sector = self.plan.table[(offset / block_size) as usize];
            if sector == ABSENT {
                return refused("write to a block that was not announced as allocated");
            }
            let start = u64::from(sector) * 512 + u64::from(bitmap_len(self.options.block_size));
            self.file.write_all_at(part, start + inside)?;
            offset += part.len() as u64;
            data = rest;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let footer = self.options.dynamic_footer().to_bytes();
        self.file.write_all_at(&footer, 0)?;
        self.file.write_all_at(&footer, self.plan.footer)
    }
}
