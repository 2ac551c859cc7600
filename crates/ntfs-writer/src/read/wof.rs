//! Files that Windows compresses behind NTFS's back: the chunks of `WofCompressedData`.

use codec::{Lzx, Xpress};

use super::stream::Stream;
use super::volume::Volume;
use super::{Error, Result};
use crate::parse::{WofChunks, WofCodec, u32_at, u64_at, wof_chunks};

/// Decodes the chunks of one file.
pub(super) struct Wof {
    chunks: WofChunks,
    codec: WofCodec,
    size: u64,
    decoder: Decoder,
    /// A piece of the table, and where it begins: chunks are mostly read in order.
    table: Vec<u8>,
    table_start: u64,
}

enum Decoder {
    Lzx(Box<Lzx>),
    Xpress(Box<Xpress>),
}

impl std::fmt::Debug for Wof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wof").field("codec", &self.codec).field("size", &self.size).finish_non_exhaustive()
    }
}

/// Bytes of the table that are read at once.
const TABLE_PIECE: u64 = 4 << 10;

impl Wof {
    /// A decoder for a file of `size` bytes whose compressed form is `stream`.
    pub(super) fn new(codec: WofCodec, size: u64, stream: &Stream) -> Result<Self> {
        let chunks = wof_chunks(codec, size, stream.size()).map_err(Error::fault(stream.place()))?;
        let decoder = match codec {
            WofCodec::Lzx => {
                Decoder::Lzx(Box::new(Lzx::new(codec.chunk() as usize).expect("LZX has chunks of 32 KiB")))
            }
            _ => Decoder::Xpress(Box::new(Xpress::new())),
        };
        Ok(Self { chunks, codec, size, decoder, table: Vec::new(), table_start: 0 })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn chunk_size(&self) -> u64 {
        self.codec.chunk().into()
    }

    /// Where chunk `index` ends, counted from the end of the table.
    fn end(&mut self, volume: &Volume, stream: &Stream, index: u64) -> Result<u64> {
        let Some(entry) = self.chunks.entry(index) else {
            return Ok(stream.size() - self.chunks.table_len());
        };
        let held = self.table_start..self.table_start + self.table.len() as u64;
        if entry.start < held.start || entry.end > held.end {
            let len = (self.chunks.table_len() - entry.start).min(TABLE_PIECE);
            // Nothing is held while this one may fail: what is left of the one before belongs elsewhere.
            let mut table = std::mem::take(&mut self.table);
            table.resize(len as usize, 0);
            stream.read(volume, entry.start, &mut table)?;
            (self.table, self.table_start) = (table, entry.start);
        }
        let at = (entry.start - self.table_start) as usize;
        let end = match entry.end - entry.start {
            8 => u64_at(&self.table, at),
            _ => u32_at(&self.table, at).map(u64::from),
        };
        Ok(end.expect("the piece of the table holds the entry"))
    }

    /// Decodes chunk `index` into `plain`.
    pub(super) fn decode(
        &mut self,
        volume: &Volume,
        stream: &Stream,
        index: u64,
        packed: &mut Vec<u8>,
        plain: &mut Vec<u8>,
    ) -> Result<()> {
        let start = match index {
            0 => 0,
            _ => self.end(volume, stream, index - 1)?,
        };
        let end = self.end(volume, stream, index)?;
        // Both below 64 KiB.
        let (len, chunks) = (self.chunks.plain_len(index), stream.size() - self.chunks.table_len());
        if end <= start || end - start > len || end > chunks {
            let reason = format!(
                "chunk {index} lies at {start:#x}..{end:#x}, expected 1 to {len} bytes within {chunks:#x}"
            );
            return Err(Error::malformed(stream.place(), reason));
        }
        packed.resize((end - start) as usize, 0);
        stream.read(volume, self.chunks.table_len() + start, packed)?;
        plain.clear();
        if packed.len() as u64 == len {
            plain.extend_from_slice(packed);
            return Ok(());
        }
        plain.resize(len as usize, 0);
        match &mut self.decoder {
            Decoder::Lzx(lzx) => lzx.decode(packed, plain),
            Decoder::Xpress(xpress) => xpress.decode(packed, plain),
        }
        .map_err(|error| {
            let offset = self.chunks.table_len() + start;
            let place = stream.place().at(stream.place_on_volume(volume, offset).unwrap_or_default());
            Error::malformed(place, format!("chunk {index}: {error}"))
        })
    }
}
