//! The stored form of a blob, for whoever keeps it instead of decoding it.
//!
//! A file of Compact OS holds the same bytes as a chunked resource: the chunk table, then the chunks. So a resource can
//! become such a file by copying, and what is left of the work is to check it: that the table leads to chunks which
//! decode, and that what they decode to has the blob's SHA-1. [`StoredHasher`] does that with the bytes as they are
//! copied, so that what was checked is what was written.

use disk::At;
use sha1::{Digest, Sha1};

use crate::blob::BlobId;
use crate::resource::{Chunks, Decoders, TableWindow};
use crate::wim::Wim;
use crate::{Error, Result};

/// Takes the stored form of a blob piece by piece, decodes it, and hashes the content.
pub struct StoredHasher {
    chunks: Chunks,
    /// The chunk table, once it is complete.
    table: Option<TableWindow>,
    decoders: Decoders,
    /// Whether chunks are decoded, or only the table is looked at.
    decode: bool,
    /// What came of the chunk table, or of the chunk at hand.
    pending: Vec<u8>,
    chunk: u64,
    content: Vec<u8>,
    hash: Sha1,
}

impl std::fmt::Debug for StoredHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredHasher").field("chunks", &self.chunks).finish_non_exhaustive()
    }
}

impl StoredHasher {
    /// `None` for a blob that is not stored in chunks of its own, or in a form that differs from other files' (pipable
    /// files). Without `decode` only the chunk table is checked.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the resource is too short for its chunk table.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn new(wim: &Wim, blob: BlobId, decode: bool) -> Result<Option<Self>> {
        let chunks = Chunks::of(wim.blob(blob).resource())?.filter(|chunks| !chunks.piped);
        Ok(chunks.map(|chunks| Self {
            chunks,
            table: None,
            decoders: Decoders::default(),
            decode,
            pending: Vec::new(),
            chunk: 0,
            content: Vec::new(),
            hash: Sha1::new(),
        }))
    }

    /// The next bytes of the stored form.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the chunk table makes no sense or a chunk cannot be decoded.
    pub fn update(&mut self, mut part: &[u8]) -> Result<()> {
        while !part.is_empty() {
            if self.chunk == self.chunks.count {
                let at = At::new("resource", self.chunks.resource.offset);
                return Err(Error::Malformed { at, reason: "bytes after the last chunk".to_owned() });
            }
            let wanted = match &self.table {
                None => self.chunks.table_len as usize,
                Some(table) => {
                    let stored = table.stored(&self.chunks, self.chunk);
                    (stored.end - stored.start) as usize
                }
            };
            // A piece that holds all of it is used where it is.
            if self.pending.is_empty() && part.len() >= wanted {
                let (whole, rest) = part.split_at(wanted);
                self.take(whole)?;
                part = rest;
                continue;
            }
            let (front, rest) = part.split_at(part.len().min(wanted - self.pending.len()));
            self.pending.extend_from_slice(front);
            part = rest;
            if self.pending.len() == wanted {
                let whole = std::mem::take(&mut self.pending);
                self.take(&whole)?;
                self.pending = whole;
                self.pending.clear();
            }
        }
        Ok(())
    }

    /// The chunk table, or the chunk at hand.
    fn take(&mut self, whole: &[u8]) -> Result<()> {
        let Some(table) = &self.table else {
            let mut table = TableWindow::default();
            table.set(&self.chunks, 0, self.chunks.count - 1, whole)?;
            self.table = Some(table);
            return Ok(());
        };
        if self.decode {
            let range = self.chunks.range(self.chunk);
            let offset = self.chunks.resource.offset + table.stored(&self.chunks, self.chunk).start;
            self.content.resize((range.end - range.start) as usize, 0);
            let (codec, chunk_size) = (self.chunks.codec, self.chunks.chunk_size);
            self.decoders.decode(codec, chunk_size, whole, offset, &mut self.content, None)?;
            self.hash.update(&self.content);
        }
        self.chunk += 1;
        Ok(())
    }

    /// SHA-1 of the content; of nothing if it was not decoded.
    ///
    /// # Errors
    /// [`Error::Malformed`] when bytes are missing.
    pub fn finish(self) -> Result<[u8; 20]> {
        if self.chunk < self.chunks.count {
            let at = At::new("resource", self.chunks.resource.offset);
            let reason = format!("it ends in chunk {} of {}", self.chunk, self.chunks.count);
            return Err(Error::Malformed { at, reason });
        }
        Ok(self.hash.finalize().into())
    }
}
