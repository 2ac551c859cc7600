use std::fmt;

use disk::At;

use crate::Result;
use crate::blob::BlobId;
use crate::limits::Limits;
use crate::resource::ResourceReader;
use crate::wim::Wim;

/// Reads blobs: the decoder state and buffers of one worker.
///
/// Nothing is hashed: whoever puts a blob together from several reads compares its SHA-1.
pub struct BlobReader<'a> {
    wim: &'a Wim,
    resources: ResourceReader<'a>,
}

impl fmt::Debug for BlobReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("wim", self.wim).finish_non_exhaustive()
    }
}

impl<'a> BlobReader<'a> {
    pub(crate) fn new(wim: &'a Wim) -> Self {
        Self { wim, resources: ResourceReader::new(wim.source()) }
    }

    /// Fills `buf` with the content of a blob from byte `offset` on.
    ///
    /// Chunks that lie in the range as a whole are decoded straight into `buf`; the last chunk of which only a part was
    /// wanted is remembered.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) when the range ends past the blob's end;
    /// [`Error::Malformed`](crate::Error::Malformed) when the chunk table makes no sense or a chunk cannot be decoded;
    /// [`Error::Io`](crate::Error::Io). What `buf` then holds is not specified.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn read_at(&mut self, blob: BlobId, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.resources.read_at(&self.wim.blob(blob).resource(), offset, buf)
    }

    /// The whole content of a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) when it has more; otherwise as [`read_at`](Self::read_at).
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn read_all(&mut self, blob: BlobId, limit: u64) -> Result<Vec<u8>> {
        let blob = self.wim.blob(blob);
        Limits::check(At::new("blob", blob.offset), "size", blob.size, limit)?;
        self.resources.read_all(&blob.resource())
    }
}
