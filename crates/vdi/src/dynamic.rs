//! Dynamic VDIs: only blocks that hold something are stored.
//!
//! The ranges that hold something are known before the first byte, so the block map is computed up front and blocks lie
//! in disk order: the file can be written by all workers at once, or front to back into something that cannot seek.
//! Header, map and data each begin at a MiB, as in VirtualBox's own files, so blocks are aligned to whatever the disk
//! below likes.

use std::io::{self, Write};
use std::ops::Range;

use disk::{FrontToBack, PlannedFile, PlannedStream, Runs, WriteAt};

use crate::layout::{BLOCK_FREE, Header};
use crate::options::{BLOCK_SIZE, MAP_OFFSET, Options};
use crate::{Error, Result};

/// The map is made and written in pieces of this many entries.
const PIECE: u64 = 256 << 10;

/// Where everything lies.
pub(crate) struct Plan {
    header: Header,
    blocks: Runs,
}

impl Plan {
    pub(crate) fn new(
        options: &Options,
        fixed: bool,
        allocated: impl Iterator<Item = Range<u64>>,
    ) -> Result<Self> {
        options.check()?;
        let blocks = Runs::new(options.size, BLOCK_SIZE, allocated).map_err(Error::misplaced("VDI"))?;
        let header = options.header(fixed, blocks.stored() / BLOCK_SIZE);
        Ok(Self { header, blocks: blocks.starting_at(options.data_offset()) })
    }

    pub(crate) fn file_len(&self) -> u64 {
        self.blocks.file().end
    }

    /// Everything in front of the map.
    fn head(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        bytes.resize(MAP_OFFSET as usize, 0);
        bytes
    }

    /// Hands out everything between the header and the data, front to back.
    fn map(&self, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let data = self.blocks.file().start;
        let blocks = u64::from(self.header.blocks);
        for first in (0..blocks).step_by(PIECE as usize) {
            let count = (blocks - first).min(PIECE);
            let mut entries = vec![BLOCK_FREE; count as usize];
            for run in self.blocks.within(first * BLOCK_SIZE..(first + count) * BLOCK_SIZE) {
                for (block, place) in run.blocks(BLOCK_SIZE) {
                    entries[(block - first) as usize] = ((place - data) / BLOCK_SIZE) as u32;
                }
            }
            let bytes: Vec<u8> = entries.into_iter().flat_map(u32::to_le_bytes).collect();
            put(&bytes)?;
        }
        // Less than a MiB.
        put(&vec![0; (data - MAP_OFFSET - blocks * 4) as usize])
    }

    pub(crate) fn positioned<F: WriteAt>(self, file: F) -> Result<PlannedFile<F>> {
        // The header comes last: until then nothing takes the file for a VDI.
        file.set_len(self.file_len()).map_err(Error::writing("VDI", 0))?;
        let mut at = MAP_OFFSET;
        self.map(|bytes| {
            file.write_all_at(bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        })
        .map_err(Error::writing("VDI block map", MAP_OFFSET))?;
        let header = (0, self.header.to_bytes().to_vec());
        Ok(PlannedFile::new(file, self.blocks, vec![header]))
    }

    pub(crate) fn ordered<W: Write + Send>(self, writer: W) -> Result<PlannedStream<W>> {
        let mut out = FrontToBack::new(writer);
        out.append(&self.head()).map_err(Error::writing("VDI header", 0))?;
        self.map(|bytes| out.append(bytes)).map_err(Error::writing("VDI block map", MAP_OFFSET))?;
        Ok(PlannedStream::new(out, self.blocks))
    }
}

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// [`Error::Impossible`].
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, false, allocated)?.file_len())
}

/// A dynamic VDI, written anywhere at once.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`BLOCK_SIZE`] gives them; every block that they touch is
/// stored. Memory: 24 bytes per range.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other; [`Error::Io`] when the map cannot be written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedFile<F>> {
    Plan::new(options, false, allocated)?.positioned(file)
}

/// A dynamic VDI, written front to back to something that need not seek. The file is the same as that of
/// [`positioned`]; header and map are written at once.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedStream<W>> {
    Plan::new(options, false, allocated)?.ordered(writer)
}
