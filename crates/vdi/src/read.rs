use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{BlockMap, Guid, MappedRange, RangeKind, ReadAt};

use crate::layout::{
    BLOCK_FREE, BLOCK_ZERO, HEADER_LEN, Header, KIND_DIFFERENCING, KIND_DYNAMIC, KIND_FIXED, KIND_UNDO,
    SIGNATURE,
};
use crate::options::MAX_SIZE;
use crate::{Error, Result, impossible};

/// Block sizes that are read. VirtualBox and qemu make 1 MiB.
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 4 << 10..=64 << 20;
/// The most blocks of a disk: [`MAX_SIZE`] in blocks of 1 MiB.
const MAX_BLOCKS: u32 = (MAX_SIZE >> 20) as u32;
/// [`Header::header_size`] without and with the translated geometry.
const HEADER_SIZES: std::ops::RangeInclusive<u32> = 0x180..=(HEADER_LEN as u32 - 0x48);
/// The block map is read in pieces of this many entries.
pub(crate) const PIECE: u64 = 16 << 10;
/// How many pieces are kept: 4 MiB, which map 1 TiB in blocks of 1 MiB.
const CACHED_PIECES: usize = 64;

/// The kinds of VDI that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Blocks that hold something are stored.
    Dynamic,
    /// All blocks are stored.
    Fixed,
    /// Blocks that differ from another disk are stored.
    Differencing,
}

/// By what VirtualBox knows a disk, and a state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The disk.
    pub id: Guid,
    /// Its content.
    pub content_id: Guid,
}

/// Whether `file` says it is a VDI.
///
/// # Errors
/// As reading `file`.
pub fn is_vdi(file: &dyn ReadAt) -> io::Result<bool> {
    let mut signature = [0; 4];
    if file.size()? < HEADER_LEN as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut signature, 0x40)?;
    Ok(u32::from_le_bytes(signature) == SIGNATURE)
}

/// An open VDI: the disk inside, as something to read from.
pub struct Vdi {
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) file_len: u64,
    pub(crate) header: Header,
    kind: Kind,
    parent: Option<Arc<dyn BlockMap>>,
    /// Pieces of the block map by number; the one that was not used for longest goes first.
    pieces: Mutex<Vec<(u64, Arc<[u32]>)>>,
}

impl fmt::Debug for Vdi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vdi").field("kind", &self.kind).field("header", &self.header).finish_non_exhaustive()
    }
}

/// What a block of the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Free,
    Zero,
    /// Its first byte in the file.
    Stored(u64),
}

impl Block {
    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Vdi {
    /// Opens a dynamic, fixed or differencing VDI and checks its header. The block map is checked where it is used; all of
    /// it at once by [`check`](Self::check).
    ///
    /// Memory: 4 MiB for pieces of the map in use. No other file is ever opened.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the header contradicts the format, itself or the file's length; [`Error::Unsupported`] for
    /// undo disks, old versions and blocks with additional data; [`Error::Limit`]; [`Error::Io`].
    pub fn open(file: impl ReadAt + 'static) -> Result<Self> {
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let file_len = file.size().map_err(Error::reading("VDI", 0))?;
        if file_len < HEADER_LEN as u64 {
            let reason = format!("file of {file_len} bytes, a header alone has {HEADER_LEN}");
            return Err(Error::malformed("VDI header", 0, reason));
        }
        let mut bytes = [0; HEADER_LEN];
        file.read_exact_at(&mut bytes, 0).map_err(Error::reading("VDI header", 0))?;
        let header = Header::from_bytes(&bytes);
        let kind = check_header(&header, file_len)?;
        Ok(Self { file, file_len, header, kind, parent: None, pieces: Mutex::new(Vec::new()) })
    }

    /// The same disk with the one that it differs from.
    ///
    /// # Errors
    /// [`Error::Impossible`] when this is no differencing disk, or `identity` is not that of the parent as it was when the
    /// differences began.
    pub fn with_parent(mut self, parent: Arc<dyn BlockMap>, identity: Identity) -> Result<Self> {
        let Some(expected) = self.parent() else {
            return Err(impossible("it is no differencing disk, but a parent is given"));
        };
        for (what, found, expected) in
            [("disk", identity.id, expected.id), ("content", identity.content_id, expected.content_id)]
        {
            if found != expected {
                let reason = format!("the parent's {what} is {found}, expected {expected}");
                return Err(impossible(reason));
            }
        }
        self.parent = Some(parent);
        Ok(self)
    }

    /// Dynamic, fixed or differencing.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Size in bytes of the disk.
    pub fn disk_size(&self) -> u64 {
        self.header.disk_size
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// By what this disk is known.
    pub fn identity(&self) -> Identity {
        Identity { id: self.header.id, content_id: self.header.content_id }
    }

    /// What a differencing disk differs from. VirtualBox finds it in its registry of disks: no name is stored.
    pub fn parent(&self) -> Option<Identity> {
        let (id, content_id) = (self.header.parent_id, self.header.parent_content_id);
        (self.kind == Kind::Differencing).then_some(Identity { id, content_id })
    }

    /// Piece `number` of the block map.
    pub(crate) fn read_piece(&self, number: u64) -> Result<Arc<[u32]>> {
        let first = number * PIECE;
        let count = PIECE.min(u64::from(self.header.blocks) - first);
        let at = u64::from(self.header.map_offset) + first * 4;
        let mut bytes = vec![0; count as usize * 4];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::reading("VDI block map", at))?;
        let word = |word: &[u8]| u32::from_le_bytes(word.try_into().expect("four bytes"));
        Ok(bytes.chunks_exact(4).map(word).collect())
    }

    fn piece(&self, number: u64) -> Result<Arc<[u32]>> {
        {
            let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = pieces.iter().position(|(key, _)| *key == number) {
                pieces[..=place].rotate_right(1);
                return Ok(Arc::clone(&pieces[0].1));
            }
        }
        let piece = self.read_piece(number)?;
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.truncate(CACHED_PIECES - 1);
        pieces.insert(0, (number, Arc::clone(&piece)));
        Ok(piece)
    }

    /// What the entry of block `number` says.
    pub(crate) fn block(&self, number: u64, entry: u32) -> Result<Block> {
        let header = &self.header;
        match entry {
            BLOCK_FREE => return Ok(Block::Free),
            BLOCK_ZERO => return Ok(Block::Zero),
            _ => {}
        }
        let fault = |reason: String| {
            Err(Error::malformed("VDI block map entry", u64::from(header.map_offset) + number * 4, reason))
        };
        if entry >= header.allocated {
            return fault(format!(
                "block {number} is stored as number {entry}, of {} that are stored",
                header.allocated
            ));
        }
        let block_size = u64::from(header.block_size);
        let at = u64::from(header.data_offset) + u64::from(entry) * block_size;
        // Of the disk's last block only what belongs to the disk has to be there.
        let used = block_size.min(header.disk_size.saturating_sub(number * block_size));
        if at + used > self.file_len {
            let file_len = self.file_len;
            return fault(format!(
                "block {number} at {at:#x} (+ {used:#x}) leaves the file of {file_len:#x} bytes"
            ));
        }
        Ok(Block::Stored(at))
    }

    fn no_parent(&self) -> io::Error {
        let feature = format!("differencing disk whose parent {} was not given", self.header.parent_id);
        Error::unsupported("VDI header", 0, feature).into()
    }

    /// Fills `part` from the parent, or with zeros when there is none.
    fn read_parent(&self, offset: u64, part: &mut [u8]) -> io::Result<()> {
        let Some(parent) = &self.parent else {
            if self.kind == Kind::Differencing {
                return Err(self.no_parent());
            }
            part.fill(0);
            return Ok(());
        };
        let there = parent.size()?.saturating_sub(offset).min(part.len() as u64) as usize;
        let (bytes, rest) = part.split_at_mut(there);
        rest.fill(0);
        if bytes.is_empty() { Ok(()) } else { parent.read_exact_at(bytes, offset) }
    }

    /// What the parent knows of `start..end`, from `offset` on.
    fn parent_range(&self, offset: u64, start: u64, end: u64) -> io::Result<MappedRange> {
        let absent = MappedRange { start, len: end - start, kind: RangeKind::Zero };
        let Some(parent) = &self.parent else {
            return if self.kind == Kind::Differencing { Err(self.no_parent()) } else { Ok(absent) };
        };
        let Some(range) = parent.range_at(offset)? else {
            let start = start.max(parent.size()?.min(offset));
            return Ok(MappedRange { start, len: end - start, ..absent });
        };
        let start = range.start.max(start);
        let end = range.start.saturating_add(range.len).min(end);
        Ok(MappedRange { start, len: end - start, kind: range.kind })
    }
}

fn check_header(header: &Header, file_len: u64) -> Result<Kind> {
    let malformed = |reason: String| Err(Error::malformed("VDI header", 0, reason));
    let unsupported = |feature: String| Err(Error::unsupported("VDI header", 0, feature));
    let limit =
        |what, found: u32, limit: u32| Err(Error::limit("VDI header", 0, what, found.into(), limit.into()));
    if header.signature != SIGNATURE {
        return malformed(format!("signature {:#010x}, expected {SIGNATURE:#010x}", header.signature));
    }
    if header.version >> 16 != 1 {
        return unsupported(format!("version {}.{}", header.version >> 16, header.version & 0xFFFF));
    }
    if !HEADER_SIZES.contains(&header.header_size) {
        return malformed(format!(
            "header size {:#x}, expected {:#x} to {:#x}",
            header.header_size,
            HEADER_SIZES.start(),
            HEADER_SIZES.end()
        ));
    }
    let kind = match header.kind {
        KIND_DYNAMIC => Kind::Dynamic,
        KIND_FIXED => Kind::Fixed,
        KIND_DIFFERENCING => Kind::Differencing,
        KIND_UNDO => return unsupported("undo disk".to_owned()),
        other => return malformed(format!("type {other}, expected 1 to 4")),
    };
    if header.sector_size != 512 {
        return malformed(format!("sector size {}, expected 512", header.sector_size));
    }
    if header.block_extra != 0 {
        return unsupported(format!("{} bytes of additional data in each block", header.block_extra));
    }
    let block_size = header.block_size;
    if !block_size.is_power_of_two() || block_size < *BLOCK_SIZES.start() {
        return malformed(format!("block size {block_size}, expected a power of two from 4096"));
    }
    if block_size > *BLOCK_SIZES.end() {
        return limit("block size", block_size, *BLOCK_SIZES.end());
    }
    if header.blocks > MAX_BLOCKS {
        return limit("number of blocks", header.blocks, MAX_BLOCKS);
    }
    let needed = header.disk_size.div_ceil(block_size.into());
    if header.disk_size == 0 || !header.disk_size.is_multiple_of(512) {
        return malformed(format!("disk size {}, expected a positive multiple of 512", header.disk_size));
    }
    if needed > header.blocks.into() {
        let (blocks, size) = (header.blocks, header.disk_size);
        return malformed(format!("{blocks} blocks, a disk of {size} bytes needs {needed}"));
    }
    if header.allocated > header.blocks {
        return malformed(format!("{} of {} blocks are stored", header.allocated, header.blocks));
    }
    let (map, data) = (u64::from(header.map_offset), u64::from(header.data_offset));
    let map_end = map + u64::from(header.blocks) * 4;
    if map < HEADER_LEN as u64 || !map.is_multiple_of(512) || map_end > file_len {
        return malformed(format!(
            "block map at {map:#x} (+ {:#x}), expected at a sector behind the header in a file of {file_len:#x} bytes",
            map_end - map
        ));
    }
    if data < map_end || !data.is_multiple_of(512) {
        return malformed(format!(
            "data at {data:#x}, expected at a sector behind the block map, which ends at {map_end:#x}"
        ));
    }
    Ok(kind)
}

impl ReadAt for Vdi {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let block_size = u64::from(self.header.block_size);
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let (number, inside) = (offset / block_size, offset % block_size);
            let len = buf.len().min((block_size - inside) as usize);
            let (part, rest) = buf.split_at_mut(len);
            let entry = self.piece(number / PIECE)?[(number % PIECE) as usize];
            match self.block(number, entry)? {
                Block::Free => self.read_parent(offset, part)?,
                Block::Zero => part.fill(0),
                Block::Stored(at) => {
                    let at = at + inside;
                    self.file.read_exact_at(part, at).map_err(Error::reading("VDI block", at))?;
                }
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

impl BlockMap for Vdi {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let size = self.disk_size();
        if offset >= size {
            return Ok(None);
        }
        let block_size = u64::from(self.header.block_size);
        let number = offset / block_size;
        let piece = self.piece(number / PIECE)?;
        let first = number / PIECE * PIECE;
        let here = &piece[(number - first) as usize..];
        let block = self.block(number, here[0])?;
        // What is wrong with a later entry is told when that is asked for.
        let like = |(next, entry): (u64, &u32)| {
            self.block(number + next, *entry).is_ok_and(|other| other.is_like(block))
        };
        let same = (0..).zip(here).skip(1).take_while(|next| like(*next)).count() as u64 + 1;
        let (start, end) = (number * block_size, ((number + same) * block_size).min(size));
        Ok(Some(match block {
            Block::Free => self.parent_range(offset, start, end)?,
            Block::Zero => MappedRange { start, len: end - start, kind: RangeKind::Zero },
            Block::Stored(_) => MappedRange { start, len: end - start, kind: RangeKind::Data },
        }))
    }
}
