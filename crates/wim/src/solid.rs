//! Solid resources (version 0xE00): many blobs compressed as one stream, in chunks of up to 64 MiB (ESD files) or more.
//!
//! Consecutive resources of the blob table form a run, and a blob is a range of the concatenated contents of a run. What
//! is decoded is a chunk, never a blob; that a chunk is not decoded for each of its blobs is what [`crate::cache`] is
//! for, and [`crate::kept`] for small blobs that are asked for out of order.

use std::ops::Range;
use std::sync::OnceLock;

use disk::{At, ReadAt};

use crate::header::{Codec, Header};
use crate::layout::{RawResource, SOLID_HEADER_LEN, u32_at, u64_at};
use crate::resource::{Decoders, source};
use crate::{Error, Limits, Result, Source};

const RESOURCE: &str = "solid resource";
/// Length of an entry of the chunk table.
const ENTRY_LEN: u64 = 4;

/// A solid resource: checked to lie inside its file, and to have room for its chunk table.
#[derive(Debug)]
pub(crate) struct SolidResource {
    part: u16,
    offset: u64,
    stored_size: u64,
    /// Length of the content, never 0.
    size: u64,
    codec: Codec,
    chunk_size: u64,
    /// Where its content begins in that of its run.
    start: u64,
    /// Where the chunks begin in the file, and where the last ends; or why the table makes no sense. Read when first
    /// needed: one bad table is a matter of the blobs in its resource.
    starts: OnceLock<Result<Vec<u64>, String>>,
}

impl SolidResource {
    /// Reads the header of the resource that a blob table entry describes.
    fn read(file: &dyn ReadAt, raw: RawResource, header: &Header, at: At, file_size: u64) -> Result<Self> {
        let (offset, stored_size) = (raw.offset, raw.stored_size());
        let malformed = |reason| Err(Error::Malformed { at, reason });
        if offset.checked_add(stored_size).is_none_or(|end| end > file_size) {
            return malformed(format!(
                "solid resource {offset:#x}..{:#x} ends past the end of the file {file_size:#x}",
                u128::from(offset) + u128::from(stored_size)
            ));
        }
        if stored_size < SOLID_HEADER_LEN {
            return malformed(format!(
                "solid resource has {stored_size:#x} bytes, its header alone {SOLID_HEADER_LEN:#x}"
            ));
        }
        let mut bytes = [0; SOLID_HEADER_LEN as usize];
        file.read_exact_at(&mut bytes, offset).map_err(Error::io(RESOURCE, offset))?;
        let (size, chunk_size, codec) = (u64_at(&bytes, 0), u32_at(&bytes, 8), u32_at(&bytes, 12));
        let at = At::new(RESOURCE, offset);
        let malformed = |reason| Err(Error::Malformed { at, reason });
        let codec = match codec {
            0 => Codec::None,
            1 => Codec::Xpress,
            2 => Codec::Lzx,
            3 => Codec::Lzms,
            other => return Err(Error::Unsupported { at, feature: format!("unknown codec {other:#x}") }),
        };
        let orders = codec.chunk_orders();
        if !chunk_size.is_power_of_two() || !orders.contains(&chunk_size.ilog2()) {
            return malformed(format!(
                "chunk size is {chunk_size:#x}, expected a power of two from {:#x} to {:#x} for {codec}",
                1_u64 << orders.start(),
                1_u64 << orders.end()
            ));
        }
        if size == 0 {
            return malformed("it has no content".to_owned());
        }
        let chunk_size = u64::from(chunk_size);
        // Every chunk takes an entry and at least a byte.
        let needed = size.div_ceil(chunk_size).checked_mul(ENTRY_LEN + 1);
        if needed.is_none_or(|needed| needed > stored_size - SOLID_HEADER_LEN) {
            return malformed(format!(
                "{stored_size:#x} stored bytes cannot hold {size:#x} bytes in chunks of {chunk_size:#x}"
            ));
        }
        Ok(Self {
            part: header.part,
            offset,
            stored_size,
            size,
            codec,
            chunk_size,
            start: 0,
            starts: OnceLock::new(),
        })
    }

    fn chunk_count(&self) -> u64 {
        self.size.div_ceil(self.chunk_size)
    }

    /// Content of a chunk, in the resource.
    fn range(&self, chunk: u32) -> Range<u64> {
        let start = u64::from(chunk) * self.chunk_size;
        start..self.size.min(start + self.chunk_size)
    }

    fn starts(&self, parts: &[Source]) -> Result<&[u64]> {
        let starts = match self.starts.get() {
            Some(starts) => starts,
            None => {
                let table = self.offset + SOLID_HEADER_LEN;
                // Its length was compared with the stored size and, with all others, with a limit.
                let mut entries = vec![0; (self.chunk_count() * ENTRY_LEN) as usize];
                source(parts, self.part)
                    .read_exact_at(&mut entries, table)
                    .map_err(Error::io("chunk table", table))?;
                self.starts.get_or_init(|| self.parse_table(&entries))
            }
        };
        starts.as_deref().map_err(|reason| Error::malformed("chunk table", self.offset, reason.as_str()))
    }

    fn parse_table(&self, entries: &[u8]) -> Result<Vec<u64>, String> {
        let end = self.offset + self.stored_size;
        let mut at = self.offset + SOLID_HEADER_LEN + entries.len() as u64;
        let mut starts = Vec::with_capacity(entries.len() / ENTRY_LEN as usize + 1);
        starts.push(at);
        for (&entry, chunk) in entries.as_chunks().0.iter().zip(0..) {
            let stored = u64::from(u32::from_le_bytes(entry));
            let range = self.range(chunk);
            let size = range.end - range.start;
            if stored == 0 || stored > size || stored > end - at {
                return Err(format!(
                    "chunk {chunk} is stored in {stored:#x} bytes, expected 1 to {size:#x}, and {:#x} are left",
                    end - at
                ));
            }
            at += stored;
            starts.push(at);
        }
        Ok(starts)
    }
}

/// A chunk of a solid resource. The order is that of the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkId {
    pub(crate) resource: u32,
    pub(crate) chunk: u32,
}

/// Where a part of a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) chunk: ChunkId,
    /// First byte in the decoded chunk.
    pub(crate) within: usize,
    pub(crate) len: usize,
}

/// All solid resources of a file or set of files.
#[derive(Debug, Default)]
pub(crate) struct Solid {
    resources: Vec<SolidResource>,
    /// The resources of each run.
    runs: Vec<Range<usize>>,
    /// Length of all chunk tables.
    tables_len: u64,
}

impl Solid {
    pub(crate) fn begin_run(&mut self) -> u32 {
        let end = self.resources.len();
        self.runs.push(end..end);
        (self.runs.len() - 1) as u32
    }

    /// Adds a resource to the last run.
    pub(crate) fn push(
        &mut self,
        file: &dyn ReadAt,
        raw: RawResource,
        header: &Header,
        at: At,
        file_size: u64,
        limits: &Limits,
    ) -> Result<()> {
        let mut resource = SolidResource::read(file, raw, header, at, file_size)?;
        let at = At::new(RESOURCE, resource.offset);
        let chunk_size = resource.chunk_size.min(resource.size);
        Limits::check(at, "chunk size", chunk_size, limits.chunk_bytes)?;
        self.tables_len = self.tables_len.saturating_add(resource.chunk_count().saturating_mul(ENTRY_LEN));
        Limits::check(at, "length of all chunk tables", self.tables_len, limits.chunk_table_bytes)?;
        let run = self.runs.last_mut().expect("a run was begun");
        if let Some(before) = run.clone().last() {
            let before = &self.resources[before];
            resource.start = before.start + before.size;
        }
        if resource.start.checked_add(resource.size).is_none() {
            return Err(Error::Malformed { at, reason: "the run has 2^64 bytes or more".to_owned() });
        }
        self.resources.push(resource);
        run.end += 1;
        Ok(())
    }

    /// Length of the contents of a run.
    pub(crate) fn run_size(&self, run: u32) -> u64 {
        let last = self.runs[run as usize].clone().last();
        last.map_or(0, |last| self.resources[last].start + self.resources[last].size)
    }

    /// The resource of a run that holds a byte.
    fn resource_at(&self, run: u32, at: u64) -> usize {
        let run = self.runs[run as usize].clone();
        run.start + self.resources[run].partition_point(|resource| resource.start <= at) - 1
    }

    /// Where the resource that holds a byte of a run begins in the file.
    pub(crate) fn file_offset(&self, run: u32, at: u64) -> u64 {
        self.resources[self.resource_at(run, at)].offset
    }

    /// The first piece of the `len` bytes of a run that begin at `at`. Not outside the run: that was checked once.
    pub(crate) fn piece(&self, run: u32, at: u64, len: u64) -> Piece {
        let index = self.resource_at(run, at);
        let resource = &self.resources[index];
        let within = at - resource.start;
        // Limits bound the number of chunks, and their size.
        let chunk = (within / resource.chunk_size) as u32;
        let range = resource.range(chunk);
        Piece {
            chunk: ChunkId { resource: index as u32, chunk },
            within: (within - range.start) as usize,
            len: len.min(range.end - within) as usize,
        }
    }

    /// Length of a chunk's content.
    pub(crate) fn chunk_len(&self, id: ChunkId) -> usize {
        let range = self.resources[id.resource as usize].range(id.chunk);
        (range.end - range.start) as usize
    }

    /// How many bytes of memory decoding a chunk takes: its content and its stored form.
    pub(crate) fn cost(&self, id: ChunkId) -> u64 {
        let len = self.chunk_len(id) as u64;
        let stored = match self.resources[id.resource as usize].starts.get() {
            Some(Ok(starts)) => starts[id.chunk as usize + 1] - starts[id.chunk as usize],
            // It will not be decoded.
            Some(Err(_)) => 0,
            None => len,
        };
        len + stored
    }

    /// The chunk after another.
    pub(crate) fn next(&self, id: ChunkId) -> Option<ChunkId> {
        let resource = &self.resources[id.resource as usize];
        if u64::from(id.chunk) + 1 < resource.chunk_count() {
            return Some(ChunkId { chunk: id.chunk + 1, ..id });
        }
        let next = id.resource + 1;
        ((next as usize) < self.resources.len()).then_some(ChunkId { resource: next, chunk: 0 })
    }

    /// Reads the chunk table that a chunk is in, if that was not done before.
    pub(crate) fn prepare(&self, id: ChunkId, parts: &[Source]) -> Result<()> {
        self.resources[id.resource as usize].starts(parts).map(drop)
    }

    /// Decodes a chunk into `out`, which has its length. `stored` is a buffer for its stored form.
    pub(crate) fn decode(
        &self,
        id: ChunkId,
        parts: &[Source],
        decoders: &mut Decoders,
        stored: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<()> {
        let resource = &self.resources[id.resource as usize];
        let starts = resource.starts(parts)?;
        let (start, end) = (starts[id.chunk as usize], starts[id.chunk as usize + 1]);
        let file = source(parts, resource.part);
        let (codec, chunk_size) = (resource.codec, resource.chunk_size);
        // Stored as it is: nothing to decode, nothing to copy.
        if end - start == out.len() as u64 {
            return file.read_exact_at(out, start).map_err(Error::io("chunk", start));
        }
        stored.resize((end - start) as usize, 0);
        file.read_exact_at(stored, start).map_err(Error::io("chunk", start))?;
        decoders.decode(codec, chunk_size, stored, start, out, None)
    }
}
