//! The cells of a hive: where each begins and ends, and which were visited.
//!
//! Everything in a hive is found by offsets that a damaged or hostile file can make point anywhere: into the middle of a
//! record, into free space, at a key above. So before any offset is followed, all cells are walked once and marked, one
//! bit for each 8 bytes, and an offset counts only where a cell in use begins. A reader *claims* the cells that it visits,
//! and a cell can be claimed once: then loops are impossible, and what is read is never more than the file holds.

use crate::error::{Error, Result};
use crate::layout::{BinHead, MAX_BINS, PAGE, read, u32_at};

/// Bytes that the offsets of cells are multiples of.
pub(crate) const ALIGN: usize = 8;

/// The bins of a hive, all cells known.
#[derive(Debug)]
pub(crate) struct Cells<'a> {
    bins: &'a [u8],
    used: Bits,
    claimed: Bits,
}

/// A bit for each place where a cell can begin.
#[derive(Debug)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(vec![0; bytes.div_ceil(ALIGN * 64)])
    }

    fn get(&self, offset: usize) -> bool {
        let bit = offset / ALIGN;
        self.0.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Sets the bit of an offset within the bytes; says whether it was set before.
    pub(crate) fn set(&mut self, offset: usize) -> bool {
        let bit = offset / ALIGN;
        let word = &mut self.0[bit / 64];
        let before = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        before
    }
}

/// One cell on the walk through the bins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// From the first bin.
    pub(crate) offset: usize,
    /// With its size field.
    pub(crate) size: usize,
    pub(crate) used: bool,
}

impl<'a> Cells<'a> {
    /// Walks the bins: the bytes behind the base block, `bins_size` of them. The first fault ends it.
    pub(crate) fn walk(bins: &'a [u8]) -> Result<Self> {
        let mut fault = None;
        let cells = Self::walk_on(bins, |error| {
            fault.get_or_insert(error);
        });
        fault.map_or(Ok(cells), Err)
    }

    /// The same, but goes on after a fault: with the next bin that is one.
    pub(crate) fn walk_on(bins: &'a [u8], mut fault: impl FnMut(Error)) -> Self {
        let mut cells = Self { bins, used: Bits::new(bins.len()), claimed: Bits::new(bins.len()) };
        each_cell(bins, |cell| match cell {
            Ok(cell) if cell.used => {
                cells.used.set(cell.offset);
            }
            Ok(_) => {}
            Err(error) => fault(error),
        });
        cells
    }

    /// Takes the content of a cell in use, which then can't be taken again. `what` is what the cell should hold, and
    /// `from` the absolute offset of the reference to it.
    pub(crate) fn claim(&mut self, offset: u32, what: &'static str, from: u64) -> Result<&'a [u8]> {
        let Some(content) = self.get(offset) else {
            let size = self.bins.len();
            let reason =
                format!("cell at {offset:#x}, where no cell in use begins ({size:#x} bytes of bins)");
            return Err(Error::malformed(what, from, reason));
        };
        if self.mark(offset) {
            return Err(Error::malformed(
                what,
                absolute(offset),
                format!("used twice, again from {from:#x}"),
            ));
        }
        Ok(content)
    }

    /// The content of a cell in use.
    pub(crate) fn get(&self, offset: u32) -> Option<&'a [u8]> {
        let at = offset as usize;
        if !at.is_multiple_of(ALIGN) || !self.used.get(at) {
            return None;
        }
        let size = u32_at(self.bins, at).expect("the walk found a cell here").cast_signed().unsigned_abs();
        Some(&self.bins[at + 4..at + size as usize])
    }

    /// Claims a cell that [`get`](Self::get) found; says whether it was claimed before.
    pub(crate) fn mark(&mut self, offset: u32) -> bool {
        self.claimed.set(offset as usize)
    }

    /// Whether a cell was claimed.
    pub(crate) fn is_claimed(&self, offset: usize) -> bool {
        self.claimed.get(offset)
    }
}

/// Calls `visit` with each cell in order, and each fault.
pub(crate) fn each_cell(bins: &[u8], mut visit: impl FnMut(Result<Cell>)) {
    let mut bin = 0;
    while bin < bins.len() {
        let end = match bin_size(bins, bin) {
            Ok(size) => bin + size,
            Err(error) => {
                visit(Err(error));
                // The next page that begins a bin, by its own words.
                bin += PAGE;
                while bin < bins.len() && bin_size(bins, bin).is_err() {
                    bin += PAGE;
                }
                continue;
            }
        };
        let mut at = bin + BinHead::LEN;
        while at < end {
            match cell(bins, at, end) {
                Ok(cell) => {
                    at += cell.size;
                    visit(Ok(cell));
                }
                Err(error) => {
                    visit(Err(error));
                    break;
                }
            }
        }
        bin = end;
    }
}

/// The offset of a cell from the beginning of the file.
pub(crate) const fn absolute(offset: u32) -> u64 {
    offset as u64 + PAGE as u64
}

/// The bytes of bins that a base block announces.
pub(crate) fn bins(file: &[u8], size: u32) -> Result<&[u8]> {
    let fault = |reason| Err(Error::malformed("base block", 0x28, reason));
    if size == 0 || !(size as usize).is_multiple_of(PAGE) {
        return fault(format!("{size:#x} bytes of bins, expected a multiple of {PAGE:#x} above 0"));
    }
    if u64::from(size) > MAX_BINS {
        return fault(format!("{size:#x} bytes of bins, expected at most {MAX_BINS:#x}"));
    }
    match file.get(PAGE..).and_then(|bins| bins.get(..size as usize)) {
        Some(bins) => Ok(bins),
        None => {
            fault(format!("{size:#x} bytes of bins behind {PAGE:#x}, the file has {:#x} bytes", file.len()))
        }
    }
}

/// The size of the bin at an offset, its head compared.
fn bin_size(bins: &[u8], at: usize) -> Result<usize> {
    let fault = |reason| Err(Error::malformed("bin", (at + PAGE) as u64, reason));
    let Some(head) = bins.get(at..at + BinHead::LEN) else {
        return fault(format!("{:#x} bytes left, expected a head of {:#x}", bins.len() - at, BinHead::LEN));
    };
    if head[..4] != *b"hbin" {
        return fault(format!("signature \"{}\", expected \"hbin\"", head[..4].escape_ascii()));
    }
    let head: BinHead = read(head);
    if head.offset as usize != at {
        return fault(format!("says it lies at {:#x}, expected {at:#x}", head.offset));
    }
    let size = head.size as usize;
    if size == 0 || !size.is_multiple_of(PAGE) {
        return fault(format!("size {size:#x}, expected a multiple of {PAGE:#x} above 0"));
    }
    if size > bins.len() - at {
        return fault(format!("size {size:#x}, but only {:#x} bytes of bins are left", bins.len() - at));
    }
    Ok(size)
}

/// The cell at an offset of a bin that ends at `end`.
fn cell(bins: &[u8], at: usize, end: usize) -> Result<Cell> {
    let fault = |reason| Err(Error::malformed("cell", (at + PAGE) as u64, reason));
    let Some(raw) = u32_at(&bins[..end], at) else {
        return fault(format!("{:#x} bytes left in the bin, expected a cell", end - at));
    };
    let size = raw.cast_signed().unsigned_abs() as usize;
    if size < ALIGN || !size.is_multiple_of(ALIGN) {
        return fault(format!("size {size:#x}, expected a multiple of 8 above 0"));
    }
    if size > end - at {
        return fault(format!("size {size:#x}, but only {:#x} bytes are left in the bin", end - at));
    }
    Ok(Cell { offset: at, size, used: raw.cast_signed() < 0 })
}
