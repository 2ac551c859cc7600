//! Decoding a folder of a cabinet: all of its files as one piece of data, in blocks of up to 32 KiB, front to back.

use std::io::Cursor;

use binrw::BinRead;
use disk::{At, ReadAt};

use super::layout::{BLOCK_SIZE, DATA_LEN, DataHeader, MAX_STORED_BLOCK, checksum};
use super::lzx::Lzx;
use super::mszip::MsZip;
use crate::{Error, Result};

/// How a folder is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    Stored,
    /// MSZIP.
    MsZip,
    /// Quantum, which is not decoded.
    Quantum,
    /// LZX with a window of 2^15 to 2^21 bytes.
    Lzx {
        /// The exponent of the window's size.
        window: u16,
    },
}

impl Compression {
    pub(super) fn of(bits: u16) -> Option<Self> {
        match bits & 0xF {
            0 => Some(Self::Stored),
            1 => Some(Self::MsZip),
            2 => Some(Self::Quantum),
            3 => {
                Some(Self::Lzx { window: bits >> 8 & 0x1F }).filter(|_| Lzx::new(bits >> 8 & 0x1F).is_some())
            }
            _ => None,
        }
    }
}

/// A folder, as the cabinet's tables say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    pub(super) compression: Compression,
    pub(super) data_offset: u64,
    pub(super) blocks: u16,
    /// Where the blocks of the next folder begin, or the cabinet ends.
    pub(super) end: u64,
}

#[derive(Debug)]
enum Decoder {
    Stored,
    MsZip(MsZip),
    Lzx(Box<Lzx>),
}

/// A folder that is being decoded.
pub(super) struct FolderReader<'a> {
    source: &'a dyn ReadAt,
    /// Where the folder's blocks must have ended.
    end: u64,
    next: u64,
    blocks_left: u16,
    /// Bytes of the reserved area of each block.
    reserve: u8,
    decoder: Decoder,
    stored: Vec<u8>,
    decoded: Vec<u8>,
}

impl<'a> FolderReader<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, folder: &Folder, reserve: u8) -> Result<Self> {
        let decoder = match folder.compression {
            Compression::Stored => Decoder::Stored,
            Compression::MsZip => Decoder::MsZip(MsZip::new()),
            Compression::Lzx { window } => {
                Decoder::Lzx(Box::new(Lzx::new(window).expect("checked when the cabinet was opened")))
            }
            Compression::Quantum => {
                return Err(Error::unsupported("cabinet folder", folder.data_offset, "Quantum compression"));
            }
        };
        Ok(Self {
            source,
            end: folder.end,
            next: folder.data_offset,
            blocks_left: folder.blocks,
            reserve,
            decoder,
            stored: Vec::new(),
            decoded: Vec::new(),
        })
    }

    /// The next block, decoded; `None` after the last.
    pub(super) fn next_block(&mut self) -> Result<Option<&[u8]>> {
        let Some(left) = self.blocks_left.checked_sub(1) else { return Ok(None) };
        self.blocks_left = left;
        let offset = self.next;
        let malformed = |reason: String| Error::malformed("cabinet data block", offset, reason);
        let head_len = DATA_LEN + u64::from(self.reserve);
        let mut head = [0; DATA_LEN as usize + 255];
        let head = &mut head[..head_len as usize];
        if offset + head_len > self.end {
            return Err(malformed(format!("it reaches over its folder's end at {:#x}", self.end)));
        }
        let io = |source| Error::Io { at: At::new("cabinet data block", offset), source };
        self.source.read_exact_at(head, offset).map_err(io)?;
        let block = DataHeader::read(&mut Cursor::new(&head)).expect("it is long enough");
        let (stored, decoded) = (usize::from(block.stored), usize::from(block.decoded));
        if decoded == 0 {
            let feature = "a file that goes on in the next cabinet of a set";
            return Err(Error::unsupported("cabinet data block", offset, feature));
        }
        // Only the last block is shorter: so files' places can be found in the blocks of any compression.
        if decoded > BLOCK_SIZE
            || (decoded < BLOCK_SIZE && left > 0 && !matches!(self.decoder, Decoder::Stored))
        {
            let expected = if left > 0 { "0x8000, as in all but the last" } else { "at most 0x8000" };
            return Err(malformed(format!("it decodes to {decoded:#x} bytes, expected {expected}")));
        }
        if stored > MAX_STORED_BLOCK || offset + head_len + stored as u64 > self.end {
            return Err(malformed(format!(
                "it has {stored:#x} bytes, expected at most {MAX_STORED_BLOCK:#x}, ending before {:#x}",
                self.end
            )));
        }
        self.stored.resize(stored, 0);
        self.source.read_exact_at(&mut self.stored, offset + head_len).map_err(io)?;
        if block.checksum != 0 {
            let found = checksum(&self.stored) ^ checksum(&head[4..DATA_LEN as usize]);
            // The specification counts the reserved area; not every writer does, and libmspack wants it left out.
            let with_reserve = checksum(&self.stored) ^ checksum(&head[4..]);
            if ![found, with_reserve].contains(&block.checksum) {
                return Err(malformed(format!(
                    "its checksum is {found:#010x}, expected {:#010x}",
                    block.checksum
                )));
            }
        }
        self.decoded.resize(decoded, 0);
        match &mut self.decoder {
            Decoder::Stored if stored == decoded => self.decoded.copy_from_slice(&self.stored),
            Decoder::Stored => {
                return Err(malformed(format!(
                    "it is not compressed, and {stored:#x} bytes become {decoded:#x}"
                )));
            }
            Decoder::MsZip(mszip) => mszip.decode(&self.stored, &mut self.decoded).map_err(malformed)?,
            Decoder::Lzx(lzx) => lzx.decode(&self.stored, &mut self.decoded).map_err(malformed)?,
        }
        self.next = offset + head_len + stored as u64;
        Ok(Some(&self.decoded))
    }
}
