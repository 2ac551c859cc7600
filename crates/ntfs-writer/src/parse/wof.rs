//! Files that Windows compresses behind NTFS's back (WOF, "Compact OS").
//!
//! The file has a reparse point that names the codec, a sparse unnamed stream without clusters that gives the length,
//! and the stream [`WOF_STREAM`]: a table of where the chunks end, then the chunks. Source: wimlib's `wof.h` and the
//! ntfs-3g system compression plugin for the layout, checked by libfsntfs, which decodes what is built by it.

use std::ops::Range;

use super::{Fault, Reparse, Result, u32_at, u64_at};

/// The stream with the compressed form.
pub const WOF_STREAM: &str = "WofCompressedData";

/// The reparse tag (`IO_REPARSE_TAG_WOF`).
pub const WOF_TAG: u32 = 0x8000_0017;

/// How the chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WofCodec {
    /// XPRESS, chunks of 4 KiB.
    Xpress4k,
    /// LZX, chunks of 32 KiB.
    Lzx,
    /// XPRESS, chunks of 8 KiB.
    Xpress8k,
    /// XPRESS, chunks of 16 KiB.
    Xpress16k,
}

impl WofCodec {
    /// Bytes in a chunk before compression.
    pub const fn chunk(self) -> u32 {
        match self {
            Self::Xpress4k => 4 << 10,
            Self::Lzx => 32 << 10,
            Self::Xpress8k => 8 << 10,
            Self::Xpress16k => 16 << 10,
        }
    }
}

const WHAT: &str = "WOF reparse point";

/// The codec that a reparse point of the file provider names; `None` for a point with another tag or provider (a file
/// backed by a WIM has provider 1).
///
/// # Errors
/// When the data is not that of the file provider, version 1, or names an unknown codec.
pub fn wof_codec(point: &Reparse<'_>) -> Result<Option<WofCodec>> {
    if point.head.tag != WOF_TAG {
        return Ok(None);
    }
    let word = |at| u32_at(point.data, at);
    if word(4) == Some(1) {
        return Ok(None);
    }
    for (at, field, expected) in
        [(0, "version", 1), (4, "provider", 2), (8, "version of the file provider", 1)]
    {
        if word(at) != Some(expected) {
            return Err(Fault::new(WHAT, field, 8 + at, format_args!("{:?}", word(at)), expected));
        }
    }
    match word(12) {
        Some(0) => Ok(Some(WofCodec::Xpress4k)),
        Some(1) => Ok(Some(WofCodec::Lzx)),
        Some(2) => Ok(Some(WofCodec::Xpress8k)),
        Some(3) => Ok(Some(WofCodec::Xpress16k)),
        other => Err(Fault::new(WHAT, "codec", 20, format_args!("{other:?}"), "0 to 3")),
    }
}

/// Where the chunks of a compressed file lie in its stream.
#[derive(Clone, Copy, Debug)]
pub struct WofChunks {
    count: u64,
    entry: u64,
    chunk: u64,
    size: u64,
    stream: u64,
}

/// The chunks of a file of `size` bytes, in a stream of `stream` bytes.
///
/// # Errors
/// When the stream is too short for the table.
pub fn wof_chunks(codec: WofCodec, size: u64, stream: u64) -> Result<WofChunks> {
    let chunk = u64::from(codec.chunk());
    let entry = if size > u64::from(u32::MAX) { 8 } else { 4 };
    let chunks = WofChunks { count: size.div_ceil(chunk), entry, chunk, size, stream };
    if chunks.table_len() > stream {
        let found = format_args!("{stream:#x} bytes");
        let expected = format_args!("a table of {:#x} bytes", chunks.table_len());
        return Err(Fault::new("WOF chunk table", "length", 0, found, expected));
    }
    Ok(chunks)
}

impl WofChunks {
    /// How many chunks there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of the table at the beginning of the stream.
    pub const fn table_len(&self) -> u64 {
        self.count.saturating_sub(1).saturating_mul(self.entry)
    }

    /// Which bytes of the table give the end of chunk `index`; `None` for the last, which ends with the stream.
    pub const fn entry(&self, index: u64) -> Option<Range<u64>> {
        if index + 1 >= self.count { None } else { Some(index * self.entry..(index + 1) * self.entry) }
    }

    /// Bytes of chunk `index` before compression; a chunk that takes as many in the stream is stored as it is.
    pub const fn plain_len(&self, index: u64) -> u64 {
        let rest = self.size.saturating_sub(index * self.chunk);
        if rest < self.chunk { rest } else { self.chunk }
    }

    /// Checks the table and gives the place of each chunk in the stream.
    ///
    /// # Errors
    /// At the first chunk that has no bytes, more than it stands for, or that lies outside.
    pub fn places<'a>(&'a self, table: &'a [u8]) -> impl Iterator<Item = Result<Range<u64>>> + 'a {
        let mut start = 0u64;
        let mut failed = false;
        let room = self.stream - self.table_len();
        (0..self.count).map_while(move |index| {
            if failed {
                return None;
            }
            let end = match self.entry(index).map(|range| usize::try_from(range.start)) {
                None => Some(room),
                Some(Ok(at)) if self.entry == 8 => u64_at(table, at),
                Some(Ok(at)) => u32_at(table, at).map(u64::from),
                // Behind any table that there can be.
                Some(Err(_)) => None,
            };
            let most = start.saturating_add(self.plain_len(index)).min(room);
            let at = usize::try_from(index * self.entry).unwrap_or(usize::MAX);
            Some(match end {
                Some(end) if end > start && end <= most => {
                    let place = self.table_len() + start..self.table_len() + end;
                    start = end;
                    Ok(place)
                }
                _ => {
                    failed = true;
                    let found = end.map_or("nothing".into(), |end| format!("{end:#x}"));
                    let expected = format_args!("in {:#x}..={most:#x}", start + 1);
                    Err(Fault::new("WOF chunk table", "end of a chunk", at, found, expected))
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::reparse;
    use super::*;

    #[test]
    fn codecs() {
        let mut value = vec![0x17, 0, 0, 0x80, 16, 0, 0, 0];
        for word in [1u32, 2, 1, 1] {
            value.extend_from_slice(&word.to_le_bytes());
        }
        assert_eq!(wof_codec(&reparse(&value).unwrap()), Ok(Some(WofCodec::Lzx)));
        value[12] = 1;
        assert_eq!(wof_codec(&reparse(&value).unwrap()), Ok(None));
        value[12] = 2;
        for at in [8, 16, 20] {
            let mut bad = value.clone();
            bad[at] = 4;
            assert_eq!(wof_codec(&reparse(&bad).unwrap()).unwrap_err().offset, at);
        }
    }

    #[test]
    fn tables() {
        let chunks = wof_chunks(WofCodec::Xpress4k, 10_000, 5000).unwrap();
        assert_eq!((chunks.count(), chunks.table_len(), chunks.plain_len(2)), (3, 8, 1808));
        let table = |a: u32, b: u32| [a.to_le_bytes(), b.to_le_bytes()].concat();
        let places: Vec<_> = chunks.places(&table(100, 4196)).collect::<Result<_>>().unwrap();
        assert_eq!(places, [8..108, 108..4204, 4204..5000]);
        for (a, b, good) in
            [(0, 10, 0), (4097, 4200, 0), (100, 100, 1), (100, 4197, 1), (100, 4992, 1), (100, 200, 2)]
        {
            let found: Vec<_> = chunks.places(&table(a, b)).collect();
            assert_eq!(found.iter().filter(|place| place.is_ok()).count(), good, "{a} {b}");
            assert!(found.last().unwrap().is_err());
        }
        assert!(wof_chunks(WofCodec::Xpress4k, 10_000, 7).is_err());
        assert_eq!(wof_chunks(WofCodec::Lzx, 1, 1).unwrap().table_len(), 0);
        assert!(wof_chunks(WofCodec::Lzx, u64::MAX, 1).is_err());
    }
}
