//! What is needed of the source before its turn comes in the pass: hives and stores to edit, boot files for a FAT volume.
//! Read here, checked against its hash, and bounded.

use disk::At;
use sha1::{Digest, Sha1};

use crate::edit::Hashes;
use crate::pipeline::BlobStore as _;
use crate::source::{WimBlobs, WimSource};
use crate::spool::Spool;
use crate::tree::Content;
use crate::{Error, Result};

/// Reads contents whole, of the source and of what was put into the image.
pub(crate) struct Prepass<'a> {
    source: &'a WimSource,
    blobs: WimBlobs<'a>,
    spool: &'a Spool,
}

impl<'a> Prepass<'a> {
    /// For image `index`: errors name its files.
    pub(crate) fn new(source: &'a WimSource, index: u32, spool: &'a Spool) -> Self {
        Self { source, blobs: source.blobs(index), spool }
    }

    /// A content of at most `limit` bytes.
    pub(crate) fn read(&self, content: &Content, limit: u64) -> Result<Vec<u8>> {
        let len = content.len();
        if len > limit {
            let at = At::new("file to be edited", 0);
            let source = wim::Error::Limit { at, what: "size", found: len, limit };
            return Err(match content {
                Content::Blob { blob, .. } if self.spool.sha1(*blob).is_none() => {
                    self.blobs.damaged(*blob, source)
                }
                _ => Error::Wim { path: self.source.path().to_owned(), source },
            });
        }
        match content {
            Content::Empty | Content::Missing { .. } => Ok(Vec::new()),
            Content::Bytes(bytes) => Ok(bytes.to_vec()),
            Content::Hole { .. } => Ok(vec![0; len as usize]),
            Content::Blob { blob, .. } => {
                if let Some(put) = self.spool.read(*blob) {
                    return put;
                }
                let mut bytes = vec![0; len as usize];
                self.blobs.reader().read_at(*blob, 0, &mut bytes)?;
                let found: [u8; 20] = Sha1::digest(&bytes).into();
                if found != self.blobs.sha1(*blob) {
                    return Err(self.blobs.mismatch(*blob, found));
                }
                Ok(bytes)
            }
        }
    }
}

impl Hashes for Prepass<'_> {
    fn sha1(&self, blob: u32) -> [u8; 20] {
        self.spool.sha1(blob).unwrap_or_else(|| self.blobs.sha1(blob))
    }
}
