use std::fmt;
use std::io;
use std::sync::Arc;

use disk::{BlockMap, Guid, MappedRange, RangeKind, ReadAt, SectorSize};

use crate::layout::{CHUNK_SECTORS, FULLY_PRESENT, Header, NOT_PRESENT, PARTIALLY_PRESENT};
use crate::locator::ParentReference;
use crate::log::Replay;
use crate::open::{Opened, open};
use crate::{Result, impossible};

/// The kinds of VHDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything is stored.
    Fixed,
    /// Blocks that hold something are stored.
    Dynamic,
    /// What differs from another disk is stored.
    Differencing,
}

/// An open VHDX: the disk inside, as something to read from.
///
/// When the file has a log to be replayed, it is read as if that had been done; the file itself is never written.
pub struct Vhdx {
    pub(crate) opened: Opened,
    parent: Option<Arc<dyn BlockMap>>,
}

impl fmt::Debug for Vhdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhdx")
            .field("header", &self.opened.header)
            .field("metadata", &self.opened.metadata)
            .field("replay", &self.opened.replay)
            .finish_non_exhaustive()
    }
}

impl Vhdx {
    /// Opens a VHDX and checks its structure. A differencing one needs its parent to be read: see
    /// [`with_parent`](Self::with_parent).
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) when headers, log, regions, metadata and table contradict the format, each other or the file's
    /// length; [`Error::Unsupported`](crate::Error::Unsupported) for versions and required structures that are not known; [`Error::Limit`](crate::Error::Limit);
    /// [`Error::Io`](crate::Error::Io).
    pub fn open(file: impl ReadAt + 'static) -> Result<Self> {
        Ok(Self { opened: open(Arc::new(file))?, parent: None })
    }

    /// Gives a differencing disk its parent, whose [data write id](Self::data_write_id) is `data_write_id`. Where a
    /// parent is smaller, zeros follow it.
    ///
    /// # Errors
    /// [`Error::Impossible`](crate::Error::Impossible) when the disk has no parent, or another one.
    pub fn with_parent(mut self, parent: Arc<dyn BlockMap>, data_write_id: Guid) -> Result<Self> {
        let Some(reference) = self.parent() else {
            return Err(impossible("a parent for a disk that is not differencing"));
        };
        if !reference.accepts(data_write_id) {
            return Err(impossible(format!(
                "parent with data write id {data_write_id}, the disk was made on {}: the parent was replaced, or written to \
                 since",
                reference.data_write_id
            )));
        }
        self.parent = Some(parent);
        Ok(self)
    }

    /// Fixed, dynamic or differencing.
    pub fn kind(&self) -> Kind {
        match &self.opened.metadata {
            metadata if metadata.has_parent => Kind::Differencing,
            metadata if metadata.leave_allocated => Kind::Fixed,
            _ => Kind::Dynamic,
        }
    }

    /// How a differencing disk names its parent.
    pub fn parent(&self) -> Option<&ParentReference> {
        self.opened.metadata.parent.as_ref()
    }

    /// Size in bytes of the disk.
    pub fn disk_size(&self) -> u64 {
        self.opened.metadata.disk_size
    }

    /// Bytes in a block.
    pub fn block_size(&self) -> u32 {
        self.opened.metadata.block_size
    }

    /// Logical sector size.
    pub fn logical_sector_size(&self) -> SectorSize {
        self.opened.metadata.logical_sector
    }

    /// Physical sector size.
    pub fn physical_sector_size(&self) -> SectorSize {
        self.opened.metadata.physical_sector
    }

    /// Identity of the disk, which a machine sees as SCSI page 83.
    pub fn disk_id(&self) -> Guid {
        self.opened.metadata.disk_id
    }

    /// Identity of the content: what a differencing disk on top of this one knows it by.
    pub fn data_write_id(&self) -> Guid {
        self.opened.header.data_write_id
    }

    /// The header that counts.
    pub fn header(&self) -> &Header {
        &self.opened.header
    }

    /// The program that made the file, in its own words.
    pub fn creator(&self) -> &str {
        &self.opened.creator
    }

    /// What was replayed of a log when the file was opened; `None` when the file was closed properly.
    pub fn replay(&self) -> Option<Replay> {
        self.opened.replay
    }

    /// How many blocks are stored, in full or in part.
    pub fn allocated_blocks(&self) -> u64 {
        self.opened.table.counts.present + self.opened.table.counts.partial
    }

    /// The parent's bytes, and zeros after its end.
    fn read_parent(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.opened.metadata.has_parent {
            buf.fill(0);
            return Ok(());
        }
        let Some(parent) = &self.parent else {
            let why = "this part of the differencing VHDX is its parent's, which was not given";
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        };
        let stored = parent.size()?.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (stored, after) = buf.split_at_mut(stored);
        after.fill(0);
        if stored.is_empty() { Ok(()) } else { parent.read_exact_at(stored, offset) }
    }

    /// Fills `buf` from byte `inside` of a block of which some sectors are stored, at `place` in the file.
    fn read_partial(&self, block: u64, inside: u64, place: u64, buf: &mut [u8]) -> io::Result<()> {
        let sector_size = u64::from(self.logical_sector_size().bytes());
        let start = block * u64::from(self.block_size()) + inside;
        let end = start + buf.len() as u64;
        // A block lies in one chunk.
        let chunk = block / self.opened.metadata.chunk_ratio();
        let first = start / sector_size % CHUNK_SECTORS;
        let last = (end - 1) / sector_size % CHUNK_SECTORS;
        let mut bits = vec![0; (last / 8 - first / 8 + 1) as usize];
        self.opened.file.read_exact_at(&mut bits, self.opened.table.bitmap(chunk) + first / 8)?;
        let stored = |sector: u64| {
            let bit = sector % CHUNK_SECTORS - first / 8 * 8;
            bits[(bit / 8) as usize] >> (bit % 8) & 1 == 1
        };
        let mut at = start;
        while at < end {
            let here = stored(at / sector_size);
            let mut run_end = at;
            while run_end < end && stored(run_end / sector_size) == here {
                run_end = (run_end / sector_size + 1) * sector_size;
            }
            let run_end = run_end.min(end);
            let part = &mut buf[(at - start) as usize..(run_end - start) as usize];
            if here {
                self.opened.file.read_exact_at(part, place + inside + (at - start))?;
            } else {
                self.read_parent(part, at)?;
            }
            at = run_end;
        }
        Ok(())
    }
}

impl ReadAt for Vhdx {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let block_size = u64::from(self.block_size());
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let (block, inside) = (offset / block_size, offset % block_size);
            let len = (buf.len() as u64).min(block_size - inside) as usize;
            let (part, rest) = buf.split_at_mut(len);
            match self.opened.table.get(block) {
                (FULLY_PRESENT, place) => self.opened.file.read_exact_at(part, place + inside)?,
                (PARTIALLY_PRESENT, place) => self.read_partial(block, inside, place, part)?,
                (NOT_PRESENT, _) => self.read_parent(part, offset)?,
                // Zero, or what may be anything.
                _ => part.fill(0),
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

/// What is to be done for a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Data,
    Zero,
    Parent,
}

impl Vhdx {
    fn class(&self, state: u8) -> Class {
        match state {
            FULLY_PRESENT | PARTIALLY_PRESENT => Class::Data,
            NOT_PRESENT if self.opened.metadata.has_parent => Class::Parent,
            _ => Class::Zero,
        }
    }
}

impl Vhdx {
    /// The range of the disk from `offset` on, inside blocks that are stored up to `end`, that is a hole of the file, or
    /// none.
    fn stored_range(&self, offset: u64, end: u64) -> io::Result<MappedRange> {
        let block_size = u64::from(self.block_size());
        let first = offset / block_size;
        let whole =
            MappedRange { start: first * block_size, len: end - first * block_size, kind: RangeKind::Data };
        let (FULLY_PRESENT, place) = self.opened.table.get(first) else { return Ok(whole) };
        let at = place + offset % block_size;
        let stored = self.opened.file.stored_at(at)?;
        let file_len = self.opened.file.len();
        let Some(MappedRange { start, len, kind }) = stored.filter(|stored| stored.len < file_len) else {
            return Ok(whole);
        };
        // Up to where the blocks lie in the file as they do on the disk.
        let stored_end = start.saturating_add(len);
        let (mut block, mut place_end) = (first + 1, place + block_size);
        while place_end < stored_end && block * block_size < end {
            if self.opened.table.get(block) != (FULLY_PRESENT, place_end) {
                break;
            }
            (block, place_end) = (block + 1, place_end + block_size);
        }
        let to = (offset + (stored_end.min(place_end) - at)).min(end);
        Ok(MappedRange { start: offset, len: to - offset, kind })
    }
}

impl BlockMap for Vhdx {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let size = self.disk_size();
        if offset >= size {
            return Ok(None);
        }
        let block_size = u64::from(self.block_size());
        let first = offset / block_size;
        let class = self.class(self.opened.table.get(first).0);
        let last = self
            .opened
            .table
            .run_end(first, self.opened.metadata.blocks(), |state| self.class(state) == class);
        let (start, end) = (first * block_size, (last * block_size).min(size));
        let range = |start, end, kind| Ok(Some(MappedRange { start, len: end - start, kind }));
        let parent = match (class, &self.parent) {
            (Class::Zero, _) => return range(start, end, RangeKind::Zero),
            (Class::Data, _) => return self.stored_range(offset, end).map(Some),
            // Without its parent nothing is known of it; reading says so.
            (Class::Parent, None) => return range(start, end, RangeKind::Data),
            (Class::Parent, Some(parent)) => parent,
        };
        match parent.range_at(offset)? {
            Some(theirs) => {
                range(start.max(theirs.start), end.min(theirs.start.saturating_add(theirs.len)), theirs.kind)
            }
            None => range(start.max(parent.size()?), end, RangeKind::Zero),
        }
    }
}
