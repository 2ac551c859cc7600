use std::fmt;

use codec::Note;
use disk::At;

use crate::blob::BlobId;
use crate::limits::Limits;
use crate::resource::{ResourceReader, Storage};
use crate::solid::ChunkId;
use crate::wim::Wim;
use crate::{Error, Result};

/// Reads blobs: the decoder state and buffers of one worker.
///
/// Nothing is hashed: whoever puts a blob together from several reads compares its SHA-1.
pub struct BlobReader<'a> {
    wim: &'a Wim,
    resources: ResourceReader<'a>,
    /// The chunk of a solid resource that was read last.
    chunk: Option<ChunkId>,
}

impl fmt::Debug for BlobReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("wim", self.wim).finish_non_exhaustive()
    }
}

impl<'a> BlobReader<'a> {
    pub(crate) fn new(wim: &'a Wim) -> Self {
        Self { wim, resources: ResourceReader::new(wim.sources()), chunk: None }
    }

    /// Fills `buf` with the content of a blob from byte `offset` on.
    ///
    /// Chunks that lie in the range as a whole are decoded straight into `buf`; the last chunk of which only a part was
    /// wanted is remembered. Chunks of solid resources are shared with all other readers, see
    /// [`Wim::set_memory`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when the range ends past the blob's end;
    /// [`Error::Malformed`](crate::Error::Malformed) when the chunk table makes no sense or a chunk cannot be decoded;
    /// [`Error::Io`](crate::Error::Io). What `buf` then holds is not specified.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn read_at(&mut self, blob: BlobId, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.read(blob, offset, buf, None)
    }

    /// Like [`read_at`](Self::read_at), and notes what the content was compressed to, as far as that helps to compress
    /// it again.
    ///
    /// # Errors
    /// As [`read_at`](Self::read_at).
    ///
    /// # Panics
    /// As [`read_at`](Self::read_at).
    pub fn read_noting(&mut self, blob: BlobId, offset: u64, buf: &mut [u8], note: Note<'_>) -> Result<()> {
        self.read(blob, offset, buf, Some(note))
    }

    fn read(&mut self, blob: BlobId, offset: u64, buf: &mut [u8], note: Option<Note<'_>>) -> Result<()> {
        let found = self.wim.blob(blob);
        let Storage::Solid { run, start } = found.storage else {
            return self.resources.read_at(&found.resource(), offset, buf, note);
        };
        let end = offset.saturating_add(buf.len() as u64);
        if end > found.size {
            let at = At::new("blob", found.offset);
            return Err(Error::OutOfRange { at, start: offset, end, size: found.size });
        }
        if self.wim.kept().read(blob, offset, buf) {
            Ok(())
        } else {
            self.read_solid(run, start + offset, buf)
        }
    }

    /// Fills `buf` with the stored form of a blob from byte `offset` on, as it lies in the file.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when the range ends past [`Blob::stored_size`](crate::Blob), which
    /// is 0 for blobs in solid resources; [`Error::Io`](crate::Error::Io).
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn read_stored(&self, blob: BlobId, offset: u64, buf: &mut [u8]) -> Result<()> {
        let found = self.wim.blob(blob);
        if let Storage::Solid { .. } = found.storage {
            let (at, end) = (At::new("blob", found.offset), offset.saturating_add(buf.len() as u64));
            return Err(Error::OutOfRange { at, start: offset, end, size: 0 });
        }
        self.resources.read_stored(&found.resource(), offset, buf)
    }

    fn read_solid(&mut self, run: u32, mut at: u64, mut buf: &mut [u8]) -> Result<()> {
        let Self { wim, resources, chunk } = self;
        let (solid, parts) = (wim.solid(), wim.sources());
        let mut decode = |id: ChunkId| {
            let mut content = vec![0; solid.chunk_len(id)];
            // Not kept for the next chunk: it is as large as this one, and nobody would count it.
            let mut stored = Vec::new();
            solid.decode(id, parts, &mut resources.decoders, &mut stored, &mut content)?;
            wim.kept().decoded(id, &content);
            Ok(content)
        };
        while !buf.is_empty() {
            let piece = solid.piece(run, at, buf.len() as u64);
            solid.prepare(piece.chunk, parts)?;
            let content = wim.cache().get(solid, piece.chunk, chunk, &mut decode)?;
            let (front, rest) = buf.split_at_mut(piece.len);
            front.copy_from_slice(&content[piece.within..piece.within + piece.len]);
            at += piece.len as u64;
            buf = rest;
        }
        Ok(())
    }

    /// The whole content of a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) when it has more; otherwise as [`read_at`](Self::read_at).
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn read_all(&mut self, blob: BlobId, limit: u64) -> Result<Vec<u8>> {
        let found = self.wim.blob(blob);
        let at = At::new("blob", found.offset);
        Limits::check(at, "size", found.size, limit)?;
        let Storage::Solid { .. } = found.storage else { return self.resources.read_all(&found.resource()) };
        let size = found.size;
        let size = usize::try_from(size).map_err(|_| Error::Limit {
            at,
            what: "size",
            found: size,
            limit: usize::MAX as u64,
        })?;
        // The run has that much, and its chunk tables were compared with the file.
        let mut content = vec![0; size];
        self.read_at(blob, 0, &mut content)?;
        Ok(content)
    }
}

impl Drop for BlobReader<'_> {
    fn drop(&mut self) {
        self.wim.cache().leave(&mut self.chunk);
    }
}
