use std::fmt;
use std::io;
use std::sync::Arc;

use disk::{BlockMap, Guid, MappedRange, RangeKind, ReadAt};

use crate::blocks::Blocks;
use crate::layout::{
    ABSENT, DynamicHeader, FOOTER_COOKIE, FOOTER_LEN, Footer, TYPE_DIFFERENCING, TYPE_DYNAMIC, TYPE_FIXED,
};
use crate::parent::ParentReference;
use crate::{Error, Result, impossible};

/// The kinds of VHD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything is stored.
    Fixed,
    /// Blocks that hold something are stored.
    Dynamic,
    /// What differs from another disk is stored.
    Differencing,
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
    pub(crate) file: Arc<dyn ReadAt>,
    footer: Footer,
    pub(crate) footer_at: u64,
    /// `None` in a fixed disk.
    blocks: Option<Box<Blocks>>,
    parent: Option<Arc<dyn BlockMap>>,
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
    /// Opens a VHD and checks its structure. A differencing one needs its parent to be read: see
    /// [`with_parent`](Self::with_parent).
    ///
    /// # Errors
    /// [`Error::Malformed`] when footers, header and table contradict the format, each other or the file's length;
    /// [`Error::Limit`]; [`Error::Io`].
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
        let blocks = match footer.disk_type {
            TYPE_FIXED => {
                if footer.current_size != footer_at {
                    let reason =
                        format!("current size {}, but {footer_at} bytes precede it", footer.current_size);
                    return Err(Error::malformed("VHD footer", footer_at, reason));
                }
                None
            }
            TYPE_DYNAMIC | TYPE_DIFFERENCING => {
                Some(Box::new(Blocks::open(&*file, &footer, &footer_bytes, footer_at)?))
            }
            other => {
                let reason =
                    format!("disk type {other}, expected 2 (fixed), 3 (dynamic) or 4 (differencing)");
                return Err(Error::malformed("VHD footer", footer_at, reason));
            }
        };
        Ok(Self { file, footer, footer_at, blocks, parent: None })
    }

    /// Gives a differencing disk its parent, whose footer has `unique_id`.
    ///
    /// # Errors
    /// [`Error::Impossible`] when the disk has no parent, or another one, or one of another size (all parents are as large
    /// as their children: a parent that was resized no longer fits); [`Error::Io`].
    pub fn with_parent(mut self, parent: Arc<dyn BlockMap>, unique_id: Guid) -> Result<Self> {
        let Some(reference) = self.parent() else {
            return Err(impossible("a parent for a disk that is not differencing"));
        };
        if reference.unique_id != unique_id {
            let expected = reference.unique_id;
            let reason = format!("parent with id {unique_id}, the disk was made on {expected}");
            return Err(impossible(reason));
        }
        let size = parent.size().map_err(Error::reading("parent of a VHD", 0))?;
        if size != self.disk_size() {
            let expected = self.disk_size();
            let reason = format!("parent of {size} bytes for a disk of {expected}: one of them was resized");
            return Err(impossible(reason));
        }
        self.parent = Some(parent);
        Ok(self)
    }

    /// Fixed, dynamic or differencing.
    pub fn kind(&self) -> Kind {
        match self.blocks() {
            None => Kind::Fixed,
            Some(Blocks { parent: None, .. }) => Kind::Dynamic,
            Some(_) => Kind::Differencing,
        }
    }

    /// How a differencing disk names its parent.
    pub fn parent(&self) -> Option<&ParentReference> {
        self.blocks().and_then(|blocks| blocks.parent.as_ref())
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

    pub(crate) fn blocks(&self) -> Option<&Blocks> {
        self.blocks.as_deref()
    }

    /// The header of a disk that is not fixed: block size, table, parent.
    pub fn header(&self) -> Option<&DynamicHeader> {
        self.blocks().map(|blocks| &blocks.header)
    }

    /// How many blocks a disk that is not fixed stores, in full or in part.
    pub fn allocated_blocks(&self) -> Option<u32> {
        self.blocks().map(|blocks| blocks.table.iter().filter(|entry| **entry != ABSENT).count() as u32)
    }

    /// Whether the copy of the footer at the start of a disk that is not fixed is equal to it byte for byte. Small
    /// differences are accepted; a copy that describes another disk is not.
    pub fn footer_copy_equal(&self) -> Option<bool> {
        self.blocks().map(|blocks| blocks.footer_copy_equal)
    }

    /// What a part of the disk that is not stored reads as.
    fn read_below(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.parent {
            _ if self.kind() != Kind::Differencing => {
                buf.fill(0);
                Ok(())
            }
            Some(parent) => parent.read_exact_at(buf, offset),
            None => {
                let why = "this part of the differencing VHD is its parent's, which was not given";
                Err(io::Error::new(io::ErrorKind::NotFound, why))
            }
        }
    }
}

pub(crate) fn read_footer(file: &dyn ReadAt, at: u64) -> Result<(Footer, [u8; FOOTER_LEN])> {
    let mut bytes = [0; FOOTER_LEN];
    file.read_exact_at(&mut bytes, at).map_err(Error::reading("VHD footer", at))?;
    Ok((Footer::parse(&bytes, at)?, bytes))
}

impl ReadAt for Vhd {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let Some(blocks) = self.blocks() else { return self.file.read_exact_at(buf, offset) };
        let block_size = u64::from(blocks.header.block_size);
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let inside = offset % block_size;
            let len = (buf.len() as u64).min(block_size - inside) as usize;
            let (part, rest) = buf.split_at_mut(len);
            let block = (offset / block_size) as usize;
            if blocks.table[block] == ABSENT {
                self.read_below(part, offset)?;
            } else {
                let below = |buf: &mut [u8], offset| self.read_below(buf, offset);
                blocks.read_block(&*self.file, block, inside, part, below)?;
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
        let whole = MappedRange { start: 0, len: size, kind: RangeKind::Data };
        let Some(blocks) = self.blocks() else {
            // What lies behind the disk is the footer.
            let stored = self.file.stored_at(offset)?.unwrap_or(whole);
            return Ok(Some(cut(stored, 0, size)));
        };
        let block_size = u64::from(blocks.header.block_size);
        let first = (offset / block_size) as usize;
        let absent = blocks.table[first] == ABSENT;
        let same = blocks.table[first..].iter().take_while(|entry| (**entry == ABSENT) == absent).count();
        let start = first as u64 * block_size;
        let end = (start + same as u64 * block_size).min(size);
        let kind = match (absent, self.kind(), &self.parent) {
            (true, Kind::Differencing, Some(parent)) => {
                let theirs = parent.range_at(offset)?.unwrap_or(whole);
                return Ok(Some(cut(theirs, start, end)));
            }
            // Without its parent nothing is known of it; reading says so.
            (true, Kind::Differencing, None) | (false, ..) => RangeKind::Data,
            (true, ..) => RangeKind::Zero,
        };
        Ok(Some(MappedRange { start, len: end - start, kind }))
    }
}

/// The part of `range` between `start` and `end`, of which it has some.
fn cut(range: MappedRange, start: u64, end: u64) -> MappedRange {
    let (from, to) = (range.start.max(start), range.start.saturating_add(range.len).min(end));
    MappedRange { start: from, len: to - from, kind: range.kind }
}
