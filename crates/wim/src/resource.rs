//! Reading resources: ranges of the file that hold content, raw or in chunks.
//!
//! A chunked resource begins with a table of where its chunks begin, and each chunk is decoded alone. So any range can
//! be read by decoding the chunks that it touches, and a worker needs one decoder and two buffers, whatever it reads.
//! System calls are what remains to save: the chunks of a request are read with one, together with the chunk table
//! where the request covers all of a resource, which for most files of an image makes one call per file.
//!
//! Solid resources are another matter, see [`solid`](crate::solid).

use std::ops::Range;

use codec::{Note, Tokens};
use disk::{At, ReadAt};

use crate::header::Codec;
use crate::{Error, Result, Source};

/// The most compressed bytes that are read at once.
const MAX_READ: u64 = 4 << 20;
/// How many entries of a large chunk table are read at once: 2 or 4 pages.
const TABLE_WINDOW: u64 = 2048;
/// Length of what precedes every chunk of a pipable file: its stored length, which the chunk table says, too.
const PIPED_HEADER_LEN: u64 = 4;

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
    /// The same in wimlib's pipable files: every chunk is preceded by its stored length, and the table is at the end.
    Piped {
        /// How.
        codec: Codec,
        /// Length of every chunk but the last, in bytes.
        chunk_size: u32,
    },
    /// A part of the content of solid resources, which are compressed in chunks that hold many blobs.
    Solid {
        /// Which run of solid resources; they are numbered in the order of the blob tables.
        run: u32,
        /// First byte in the concatenated contents of the run's resources.
        start: u64,
    },
}

/// A resource: checked to lie inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The part of the set that holds it, from 1.
    pub(crate) part: u16,
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
pub(crate) struct Chunks {
    pub(crate) resource: Resource,
    pub(crate) codec: Codec,
    pub(crate) chunk_size: u64,
    /// Number of chunks, at least 1.
    pub(crate) count: u64,
    /// Length of an entry of the chunk table.
    entry_len: u64,
    /// Length of the chunk table: the first chunk has no entry.
    pub(crate) table_len: u64,
    /// Whether this is a pipable file's.
    pub(crate) piped: bool,
}

impl Chunks {
    /// `None` for a resource that is not in chunks of its own, or that has no content and so no chunk.
    pub(crate) fn of(resource: Resource) -> Result<Option<Self>> {
        match resource.storage {
            _ if resource.size == 0 => Ok(None),
            Storage::Chunked { codec, chunk_size } => Self::new(resource, codec, chunk_size, false).map(Some),
            Storage::Piped { codec, chunk_size } => Self::new(resource, codec, chunk_size, true).map(Some),
            Storage::Raw | Storage::Solid { .. } => Ok(None),
        }
    }

    fn new(resource: Resource, codec: Codec, chunk_size: u32, piped: bool) -> Result<Self> {
        let chunk_size = u64::from(chunk_size);
        let count = resource.size.div_ceil(chunk_size);
        let entry_len = if resource.size > u64::from(u32::MAX) { 8 } else { 4 };
        // At most 2^64 / 2^12 entries of 8 bytes.
        let table_len = (count - 1) * entry_len;
        let headers = if piped { count * PIPED_HEADER_LEN } else { 0 };
        if table_len + headers >= resource.stored_size {
            return Err(Error::Malformed {
                at: resource.at(),
                reason: format!(
                    "{:#x} stored bytes cannot hold the chunk table of {table_len:#x} bytes that {:#x} bytes in \
                     chunks of {chunk_size:#x} need",
                    resource.stored_size, resource.size
                ),
            });
        }
        Ok(Self { resource, codec, chunk_size, count, entry_len, table_len, piped })
    }

    /// Content of a chunk.
    pub(crate) fn range(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.chunk_size;
        start..self.resource.size.min(start.saturating_add(self.chunk_size))
    }

    /// Where the chunk table begins, in the resource.
    fn table(&self) -> u64 {
        if self.piped { self.resource.stored_size - self.table_len } else { 0 }
    }

    /// Length of the stored forms of all chunks.
    fn data_len(&self) -> u64 {
        let headers = if self.piped { self.count * PIPED_HEADER_LEN } else { 0 };
        self.resource.stored_size - self.table_len - headers
    }

    /// The stored form of a chunk, in the resource, from what the chunk table says about it: places among the stored
    /// forms of all chunks.
    fn place(&self, chunk: u64, stored: Range<u64>) -> Range<u64> {
        let before = if self.piped { (chunk + 1) * PIPED_HEADER_LEN } else { self.table_len };
        before + stored.start..before + stored.end
    }
}

/// A window into a chunk table.
#[derive(Debug, Default)]
pub(crate) struct TableWindow {
    /// The resource it belongs to. All of it is compared: nothing forbids two that begin at the same byte.
    resource: Option<Resource>,
    /// The chunk that `starts[0]` is of.
    first: u64,
    /// Where chunks begin among the stored forms of all: one more than the number of chunks in the window.
    starts: Vec<u64>,
}

impl TableWindow {
    fn holds(&self, chunks: &Chunks, chunk: u64) -> bool {
        self.resource == Some(chunks.resource)
            && chunk >= self.first
            && chunk - self.first + 1 < self.starts.len() as u64
    }

    /// The stored form of a chunk, in the resource.
    pub(crate) fn stored(&self, chunks: &Chunks, chunk: u64) -> Range<u64> {
        let index = (chunk - self.first) as usize;
        chunks.place(chunk, self.starts[index]..self.starts[index + 1])
    }

    /// Fills the window from the entries of chunks `first..=last`; entry 0 does not exist.
    pub(crate) fn set(&mut self, chunks: &Chunks, first: u64, last: u64, entries: &[u8]) -> Result<()> {
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
pub(crate) struct Decoders {
    lzx: Option<(u64, codec::Lzx)>,
    xpress: Option<codec::Xpress>,
    lzms: Option<codec::Lzms>,
}

impl Decoders {
    /// Decodes a chunk, of a resource with chunks of `chunk_size` bytes, whose stored form begins at `offset` in the
    /// file. Notes the tokens that the chunk consists of, unless it is stored as it is or the codec's are of no use to
    /// anybody.
    pub(crate) fn decode(
        &mut self,
        codec: Codec,
        chunk_size: u64,
        stored: &[u8],
        offset: u64,
        out: &mut [u8],
        note: Option<&mut Note<'_>>,
    ) -> Result<()> {
        if stored.len() == out.len() {
            out.copy_from_slice(stored);
            if let Some(note) = note {
                note.unknown(out.len());
            }
            return Ok(());
        }
        let at = At::new("chunk", offset);
        let result = match codec {
            Codec::Lzx => {
                if self.lzx.as_ref().is_none_or(|(size, _)| *size != chunk_size) {
                    let decoder = codec::Lzx::new(chunk_size as usize)
                        .map_err(|error| Error::Unsupported { at, feature: error.to_string() })?;
                    self.lzx = Some((chunk_size, decoder));
                }
                let (_, decoder) = self.lzx.as_mut().expect("made above");
                match note {
                    Some(note) => decoder.decode_noting(stored, out, note),
                    None => decoder.decode(stored, out),
                }
            }
            Codec::Xpress => {
                let decoder = self.xpress.get_or_insert_with(codec::Xpress::new);
                match note {
                    Some(note) => decoder.decode_noting(stored, out, note),
                    None => decoder.decode(stored, out),
                }
            }
            Codec::Lzms => {
                if let Some(note) = note {
                    note.unknown(out.len());
                }
                self.lzms.get_or_insert_with(codec::Lzms::new).decode(stored, out)
            }
            Codec::None => {
                let (found, expected) = (stored.len(), out.len());
                let reason =
                    format!("it is stored in {found:#x} bytes, expected {expected:#x} without compression");
                return Err(Error::Malformed { at, reason });
            }
        };
        result.map_err(|error| Error::Malformed { at, reason: format!("{codec}: {error}") })
    }
}

/// A part of the set, from 1.
pub(crate) fn source(parts: &[Source], part: u16) -> &dyn ReadAt {
    &*parts[usize::from(part) - 1]
}

/// Reads resources of a set of parts: the state of one worker.
pub(crate) struct ResourceReader<'a> {
    /// By part number.
    parts: &'a [Source],
    pub(crate) decoders: Decoders,
    table: TableWindow,
    /// Chunks as they are stored; grows and never shrinks, so that its bytes are not zeroed each time.
    stored: Vec<u8>,
    /// The last chunk of which only a part was asked for, so that small reads in sequence decode it once.
    scratch: Vec<u8>,
    /// The tokens of that chunk, if `scratch_noted`.
    scratch_tokens: Tokens,
    /// Whether whoever had it decoded wanted to know them.
    scratch_noted: bool,
    /// Which chunk of which resource is in `scratch`.
    scratch_is: Option<(Resource, u64)>,
}

/// Chunks whose stored form is in [`ResourceReader::stored`].
struct Batch {
    chunks: Range<u64>,
    /// Where in the resource the buffer begins.
    base: u64,
}

impl<'a> ResourceReader<'a> {
    pub(crate) fn new(parts: &'a [Source]) -> Self {
        Self {
            parts,
            decoders: Decoders::default(),
            table: TableWindow::default(),
            stored: Vec::new(),
            scratch: Vec::new(),
            scratch_tokens: Tokens::new(),
            scratch_noted: false,
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
        // Before allocating: the stored size must be able to hold this many chunks.
        Chunks::of(*resource)?;
        let mut content = vec![0; size];
        self.read_at(resource, 0, &mut content, None)?;
        Ok(content)
    }

    /// Fills `buf` with the stored form from byte `offset` on.
    pub(crate) fn read_stored(&self, resource: &Resource, offset: u64, buf: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > resource.stored_size {
            let size = resource.stored_size;
            return Err(Error::OutOfRange { at: resource.at(), start: offset, end, size });
        }
        source(self.parts, resource.part)
            .read_exact_at(buf, resource.offset + offset)
            .map_err(Error::io("resource", resource.offset))
    }

    /// Fills `buf` with the content from byte `offset` on.
    pub(crate) fn read_at(
        &mut self,
        resource: &Resource,
        offset: u64,
        buf: &mut [u8],
        note: Option<Note<'_>>,
    ) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        if end > resource.size {
            return Err(Error::OutOfRange { at: resource.at(), start: offset, end, size: resource.size });
        }
        if buf.is_empty() {
            return Ok(());
        }
        match Chunks::of(*resource)? {
            Some(chunks) => self.read_chunks(&chunks, offset, buf, note),
            None => source(self.parts, resource.part)
                .read_exact_at(buf, resource.offset + offset)
                .map_err(Error::io("resource", resource.offset)),
        }
    }

    fn read_chunks(
        &mut self,
        chunks: &Chunks,
        mut offset: u64,
        mut buf: &mut [u8],
        mut note: Option<Note<'_>>,
    ) -> Result<()> {
        while !buf.is_empty() {
            let chunk = offset / chunks.chunk_size;
            // Who wants tokens gets them whatever was read before: the output must not depend on that.
            let tells = note.is_none() || self.scratch_noted;
            if tells && self.scratch_is == Some((chunks.resource, chunk)) {
                let within = (offset - chunks.range(chunk).start) as usize;
                let (front, back) = buf.split_at_mut(buf.len().min(self.scratch.len() - within));
                front.copy_from_slice(&self.scratch[within..within + front.len()]);
                if let Some(note) = &mut note {
                    note.part(&self.scratch_tokens, within, front.len());
                }
                offset += front.len() as u64;
                buf = back;
                continue;
            }
            let last = (offset + buf.len() as u64 - 1) / chunks.chunk_size;
            let batch = self.load(chunks, chunk, last)?;
            for chunk in batch.chunks.clone() {
                let done = self.decode(chunks, &batch, chunk, offset, buf, &mut note)?;
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
            self.fill(resource, 0..resource.stored_size)?;
            let table = chunks.table() as usize;
            let table = table..table + chunks.table_len as usize;
            self.table.set(chunks, first, last, &self.stored[table])?;
            return Ok(Batch { chunks: first..last + 1, base: 0 });
        }
        if !self.table.holds(chunks, first) {
            self.load_table(chunks, first)?;
        }
        let start = self.table.stored(chunks, first).start;
        let mut end = first + 1;
        while end <= last
            && self.table.holds(chunks, end)
            && self.table.stored(chunks, end).end - start <= MAX_READ
        {
            end += 1;
        }
        self.fill(resource, start..self.table.stored(chunks, end - 1).end)?;
        Ok(Batch { chunks: first..end, base: start })
    }

    /// Reads the part of the chunk table that begins with chunk `first`.
    fn load_table(&mut self, chunks: &Chunks, first: u64) -> Result<()> {
        let last = (first + TABLE_WINDOW).min(chunks.count - 1);
        // Entry n lies at (n - 1) * entry_len; entry 0 does not exist.
        let entry = first.max(1);
        let start = chunks.table() + (entry - 1) * chunks.entry_len;
        let len = (last + 1 - entry) * chunks.entry_len;
        self.fill(&chunks.resource, start..start + len)?;
        self.table.set(chunks, first, last, &self.stored[..len as usize])
    }

    /// Reads a range of the stored form of a resource to the start of `stored`: at most [`MAX_READ`] bytes, a table
    /// window, or one chunk, see the callers.
    fn fill(&mut self, resource: &Resource, range: Range<u64>) -> Result<()> {
        let len = (range.end - range.start) as usize;
        if self.stored.len() < len {
            self.stored.resize(len, 0);
        }
        let offset = resource.offset + range.start;
        source(self.parts, resource.part)
            .read_exact_at(&mut self.stored[..len], offset)
            .map_err(Error::io("resource", offset))
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
        note: &mut Option<Note<'_>>,
    ) -> Result<usize> {
        let content = chunks.range(chunk);
        let stored = self.table.stored(chunks, chunk);
        let file_offset = chunks.resource.offset + stored.start;
        let within = |at: u64| (at - batch.base) as usize;
        let stored = &self.stored[within(stored.start)..within(stored.end)];
        let (codec, chunk_size) = (chunks.codec, chunks.chunk_size);
        let size = (content.end - content.start) as usize;
        if offset == content.start && buf.len() >= size {
            self.decoders.decode(codec, chunk_size, stored, file_offset, &mut buf[..size], note.as_mut())?;
            return Ok(size);
        }
        self.scratch_is = None;
        self.scratch.resize(size, 0);
        self.scratch_tokens.clear();
        self.scratch_noted = note.is_some();
        let mut tokens = note.is_some().then(|| Note::new(&mut self.scratch_tokens, 0));
        self.decoders.decode(codec, chunk_size, stored, file_offset, &mut self.scratch, tokens.as_mut())?;
        self.scratch_is = Some((chunks.resource, chunk));
        let within = (offset - content.start) as usize;
        let len = buf.len().min(size - within);
        buf[..len].copy_from_slice(&self.scratch[within..within + len]);
        if let Some(note) = note {
            note.part(&self.scratch_tokens, within, len);
        }
        Ok(len)
    }
}
