//! Reading resources: ranges of the file that hold content, raw or in chunks.
//!
//! A chunked resource begins with a table of where its chunks begin, and each chunk is decoded alone. So any range can
//! be read by decoding the chunks that it touches, and a worker needs one decoder and two buffers, whatever it reads.
//! System calls are what remains to save: the chunks of a request are read with one, together with the chunk table
//! where the request covers all of a resource, which for most files of an image makes one call per file.

use std::ops::Range;

use disk::{At, ReadAt};

use crate::header::Codec;
use crate::{Error, Result};

/// The most compressed bytes that are read at once.
const MAX_READ: u64 = 4 << 20;
/// How many entries of a large chunk table are read at once: 2 or 4 pages.
const TABLE_WINDOW: u64 = 2048;

/// How a resource is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// As it is.
    Raw,
    /// Cut into chunks, each compressed alone or, where that does not help, as it is.
    Chunked {
        /// How.
        codec: Codec,
        /// Length of every chunk but the last, in bytes.
        chunk_size: u32,
    },
}

/// A resource: checked to lie inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) offset: u64,
    pub(crate) stored_size: u64,
    pub(crate) size: u64,
    pub(crate) storage: Storage,
}

impl Resource {
    fn at(&self) -> At {
        At::new("resource", self.offset)
    }
}

/// The geometry of a chunked resource.
#[derive(Clone, Copy, Debug)]
struct Chunks {
    resource: Resource,
    codec: Codec,
    chunk_size: u64,
    /// Number of chunks, at least 1.
    count: u64,
    /// Length of an entry of the chunk table.
    entry_len: u64,
    /// Length of the chunk table: the first chunk has no entry.
    table_len: u64,
}

impl Chunks {
    fn new(resource: Resource, codec: Codec, chunk_size: u32) -> Result<Self> {
        let chunk_size = u64::from(chunk_size);
        let count = resource.size.div_ceil(chunk_size);
        let entry_len = if resource.size > u64::from(u32::MAX) { 8 } else { 4 };
        // At most 2^64 / 2^12 entries of 8 bytes.
        let table_len = (count - 1) * entry_len;
        if table_len >= resource.stored_size {
            return Err(Error::Malformed {
                at: resource.at(),
                reason: format!(
                    "{:#x} stored bytes cannot hold the chunk table of {table_len:#x} bytes that {:#x} bytes in \
                     chunks of {chunk_size:#x} need",
                    resource.stored_size, resource.size
                ),
            });
        }
        Ok(Self { resource, codec, chunk_size, count, entry_len, table_len })
    }

    /// Content of a chunk.
    fn range(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.chunk_size;
        start..self.resource.size.min(start.saturating_add(self.chunk_size))
    }

    /// Where the first chunk begins in the file; the table's entries count from here.
    fn data(&self) -> u64 {
        self.resource.offset + self.table_len
    }

    fn data_len(&self) -> u64 {
        self.resource.stored_size - self.table_len
    }
}

/// A window into a chunk table.
#[derive(Debug, Default)]
struct TableWindow {
    /// The resource it belongs to. All of it is compared: nothing forbids two that begin at the same byte.
    resource: Option<Resource>,
    /// The chunk that `starts[0]` is of.
    first: u64,
    /// Where chunks begin, counted from [`Chunks::data`]: one more than the number of chunks in the window.
    starts: Vec<u64>,
}

impl TableWindow {
    fn holds(&self, chunks: &Chunks, chunk: u64) -> bool {
        self.resource == Some(chunks.resource)
            && chunk >= self.first
            && chunk - self.first + 1 < self.starts.len() as u64
    }

    /// The stored form of a chunk, counted from [`Chunks::data`].
    fn stored(&self, chunk: u64) -> Range<u64> {
        let index = (chunk - self.first) as usize;
        self.starts[index]..self.starts[index + 1]
    }

    /// Fills the window from the entries of chunks `first..=last`; entry 0 does not exist.
    fn set(&mut self, chunks: &Chunks, first: u64, last: u64, entries: &[u8]) -> Result<()> {
        self.resource = None;
        self.first = first;
        self.starts.clear();
        if first == 0 {
            self.starts.push(0);
        }
        if chunks.entry_len == 8 {
            self.starts.extend(entries.as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry)));
        } else {
            self.starts
                .extend(entries.as_chunks().0.iter().map(|&entry| u64::from(u32::from_le_bytes(entry))));
        }
        // The chunk after the window ends its last; after the last of all it is the end of the data.
        if last == chunks.count - 1 {
            self.starts.push(chunks.data_len());
        }
        for (index, pair) in self.starts.windows(2).enumerate() {
            let chunk = first + index as u64;
            let size = chunks.range(chunk).end - chunks.range(chunk).start;
            let stored = pair[1].checked_sub(pair[0]);
            if !stored.is_some_and(|stored| (1..=size).contains(&stored)) || pair[1] > chunks.data_len() {
                return Err(Error::Malformed {
                    at: At::new("chunk table", chunks.resource.offset),
                    reason: format!(
                        "chunk {chunk} is stored in {:#x}..{:#x} of {:#x}, expected 1 to {size:#x} bytes",
                        pair[0],
                        pair[1],
                        chunks.data_len()
                    ),
                });
            }
        }
        self.resource = Some(chunks.resource);
        Ok(())
    }
}

/// The decoders of a worker, made when first needed.
#[derive(Default)]
struct Decoders {
    lzx: Option<(u64, codec::Lzx)>,
    xpress: Option<codec::Xpress>,
}

impl Decoders {
    /// Decodes one chunk whose stored form begins at `offset` in the file.
    fn decode(&mut self, chunks: &Chunks, stored: &[u8], offset: u64, out: &mut [u8]) -> Result<()> {
        if stored.len() == out.len() {
            out.copy_from_slice(stored);
            return Ok(());
        }
        let at = At::new("chunk", offset);
        let result = match chunks.codec {
            Codec::Lzx => {
                if self.lzx.as_ref().is_none_or(|(size, _)| *size != chunks.chunk_size) {
                    let decoder = codec::Lzx::new(chunks.chunk_size as usize)
                        .map_err(|error| Error::Unsupported { at, feature: error.to_string() })?;
                    self.lzx = Some((chunks.chunk_size, decoder));
                }
                let (_, decoder) = self.lzx.as_mut().expect("made above");
                decoder.decode(stored, out)
            }
            Codec::Xpress => self.xpress.get_or_insert_with(codec::Xpress::new).decode(stored, out),
            Codec::None | Codec::Lzms => {
                return Err(Error::Unsupported { at, feature: format!("{} compression", chunks.codec) });
            }
        };
        result.map_err(|error| Error::Malformed { at, reason: format!("{}: {error}", chunks.codec) })
    }
}

/// Reads resources of one file: the state of one worker.
pub(crate) struct ResourceReader<'a> {
    source: &'a dyn ReadAt,
    decoders: Decoders,
    table: TableWindow,
    /// Chunks as they are stored; grows and never shrinks, so that its bytes are not zeroed each time.
    stored: Vec<u8>,
    /// The last chunk of which only a part was asked for, so that small reads in sequence decode it once.
    scratch: Vec<u8>,
    /// Which chunk of which resource is in `scratch`.
    scratch_is: Option<(Resource, u64)>,
}

/// Chunks whose stored form is in [`ResourceReader::stored`].
struct Batch {
    chunks: Range<u64>,
    /// Where the first begins, counted from [`Chunks::data`].
    base: u64,
    /// Where it begins in the buffer.
    front: usize,
}

impl<'a> ResourceReader<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt) -> Self {
        Self {
            source,
            decoders: Decoders::default(),
            table: TableWindow::default(),
            stored: Vec::new(),
            scratch: Vec::new(),
            scratch_is: None,
        }
    }

    /// The whole content. The caller has compared its size with a limit.
    pub(crate) fn read_all(&mut self, resource: &Resource) -> Result<Vec<u8>> {
        let size = usize::try_from(resource.size).map_err(|_| Error::Limit {
            at: resource.at(),
            what: "size",
            found: resource.size,
            limit: usize::MAX as u64,
        })?;
        if let Storage::Chunked { codec, chunk_size } = resource.storage {
            // Before allocating: the stored size must be able to hold this many chunks.
            Chunks::new(*resource, codec, chunk_size)?;
        }
        let mut content = vec![0; size];
        self.read_at(resource, 0, &mut content)?;
        Ok(content)
    }

    /// Fills `buf` with the content from byte `offset` on.
    pub(crate) fn read_at(&mut self, resource: &Resource, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > resource.size {
            return Err(Error::OutOfRange { at: resource.at(), start: offset, end, size: resource.size });
        }
        if buf.is_empty() {
            return Ok(());
        }
        match resource.storage {
            Storage::Raw => self
                .source
                .read_exact_at(buf, resource.offset + offset)
                .map_err(Error::io("resource", resource.offset)),
            Storage::Chunked { codec, chunk_size } => {
                let chunks = Chunks::new(*resource, codec, chunk_size)?;
                self.read_chunks(&chunks, offset, buf)
            }
        }
    }

    fn read_chunks(&mut self, chunks: &Chunks, mut offset: u64, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            let chunk = offset / chunks.chunk_size;
            if self.scratch_is == Some((chunks.resource, chunk)) {
                let within = (offset - chunks.range(chunk).start) as usize;
                let (front, back) = buf.split_at_mut(buf.len().min(self.scratch.len() - within));
                front.copy_from_slice(&self.scratch[within..within + front.len()]);
                offset += front.len() as u64;
                buf = back;
                continue;
            }
            let last = (offset + buf.len() as u64 - 1) / chunks.chunk_size;
            let batch = self.load(chunks, chunk, last)?;
            for chunk in batch.chunks.clone() {
                let done = self.decode(chunks, &batch, chunk, offset, buf)?;
                offset += done as u64;
                buf = &mut buf[done..];
            }
        }
        Ok(())
    }

    /// Reads the stored form of as many of the chunks `first..=last` as [`MAX_READ`] and the table window allow, at
    /// least one.
    fn load(&mut self, chunks: &Chunks, first: u64, last: u64) -> Result<Batch> {
        let resource = &chunks.resource;
        let all = first == 0 && last == chunks.count - 1;
        if all && resource.stored_size <= MAX_READ && chunks.count <= TABLE_WINDOW {
            self.fill(resource.offset, resource.stored_size)?;
            let table_len = chunks.table_len as usize;
            self.table.set(chunks, first, last, &self.stored[..table_len])?;
            return Ok(Batch { chunks: first..last + 1, base: 0, front: table_len });
        }
        if !self.table.holds(chunks, first) {
            self.load_table(chunks, first)?;
        }
        let base = self.table.stored(first).start;
        let mut end = first + 1;
        while end <= last && self.table.holds(chunks, end) && self.table.stored(end).end - base <= MAX_READ {
            end += 1;
        }
        self.fill(chunks.data() + base, self.table.stored(end - 1).end - base)?;
        Ok(Batch { chunks: first..end, base, front: 0 })
    }

    /// Reads the part of the chunk table that begins with chunk `first`.
    fn load_table(&mut self, chunks: &Chunks, first: u64) -> Result<()> {
        let last = (first + TABLE_WINDOW).min(chunks.count - 1);
        // Entry n lies at (n - 1) * entry_len; entry 0 does not exist.
        let start = first.max(1);
        let len = (last + 1 - start) * chunks.entry_len;
        self.fill(chunks.resource.offset + (start - 1) * chunks.entry_len, len)?;
        self.table.set(chunks, first, last, &self.stored[..len as usize])
    }

    /// Fills the first `len` bytes of `stored`: at most [`MAX_READ`], a table window, or one chunk, see the callers.
    fn fill(&mut self, offset: u64, len: u64) -> Result<()> {
        let len = len as usize;
        if self.stored.len() < len {
            self.stored.resize(len, 0);
        }
        self.source.read_exact_at(&mut self.stored[..len], offset).map_err(Error::io("resource", offset))
    }

    /// Decodes a chunk that has been loaded, into `buf` if all of it is wanted. Returns how much of `buf`, whose start
    /// is `offset` in the resource, that fills.
    fn decode(
        &mut self,
        chunks: &Chunks,
        batch: &Batch,
        chunk: u64,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<usize> {
        let content = chunks.range(chunk);
        let stored = self.table.stored(chunk);
        let file_offset = chunks.data() + stored.start;
        let within = |at: u64| batch.front + (at - batch.base) as usize;
        let stored = &self.stored[within(stored.start)..within(stored.end)];
        let size = (content.end - content.start) as usize;
        if offset == content.start && buf.len() >= size {
            self.decoders.decode(chunks, stored, file_offset, &mut buf[..size])?;
            return Ok(size);
        }
        self.scratch_is = None;
        self.scratch.resize(size, 0);
        self.decoders.decode(chunks, stored, file_offset, &mut self.scratch)?;
        self.scratch_is = Some((chunks.resource, chunk));
        let within = (offset - content.start) as usize;
        let len = buf.len().min(size - within);
        buf[..len].copy_from_slice(&self.scratch[within..within + len]);
        Ok(len)
    }
}
