//! The blobs of a build: those of the source, then those that the build made: what was put into the image, and the
//! compressed forms of what was there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use codec::Note;
use disk::ReadAt as _;
use wim::{BlobId, StoredHasher};

use crate::pipeline::{BlobHasher, BlobRead, BlobStore};
use crate::source::{WimBlobs, WimSource};
use crate::{Error, Result};

/// A blob that the source does not have.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// The compressed form of a blob, as it lies in the source.
    Copied { blob: BlobId, len: u64 },
    /// The compressed form of a blob, compressed by us, in a temporary file.
    Pressed { blob: BlobId, file: Arc<File>, offset: u64, len: u64, sha1: [u8; 20] },
    /// Something that was put into the image, in a temporary file.
    Added { file: Arc<File>, offset: u64, len: u64, sha1: [u8; 20] },
}

impl Form {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Copied { len, .. } | Self::Pressed { len, .. } | Self::Added { len, .. } => *len,
        }
    }

    pub(crate) fn is_copied(&self) -> bool {
        matches!(self, Self::Copied { .. })
    }

    /// What it is the compressed form of.
    fn blob(&self) -> Option<u32> {
        match self {
            Self::Copied { blob, .. } | Self::Pressed { blob, .. } => Some(blob.0),
            Self::Added { .. } => None,
        }
    }
}

/// See the module. Forms are numbered from the number of the source's blobs on.
#[derive(Debug)]
pub(crate) struct BuildBlobs<'a> {
    blobs: WimBlobs<'a>,
    source: &'a WimSource,
    forms: &'a [Form],
    /// Whether copied forms are decoded to check their content.
    verify: bool,
}

impl<'a> BuildBlobs<'a> {
    pub(crate) fn new(source: &'a WimSource, index: u32, forms: &'a [Form], verify: bool) -> Self {
        Self { blobs: source.blobs(index), source, forms, verify }
    }

    /// The form, if the number is one's.
    fn form(&self, blob: u32) -> Option<&'a Form> {
        self.forms.get((blob as usize).checked_sub(self.blobs.blob_count())?)
    }
}

impl BlobStore for BuildBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.blobs.blob_count() + self.forms.len()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.form(blob).map_or_else(|| self.blobs.blob_len(blob), Form::len)
    }

    fn chunk_size(&self, blob: u32) -> Option<u64> {
        if self.form(blob).is_some() { None } else { self.blobs.chunk_size(blob) }
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(Reader { store: self, blobs: self.blobs.reader(), stored: self.source.wim().reader() })
    }

    fn keep(&self, blobs: &[u32]) {
        let own: Vec<u32> = blobs.iter().copied().filter(|&blob| self.form(blob).is_none()).collect();
        self.blobs.keep(&own);
    }

    fn sha1(&self, blob: u32) -> [u8; 20] {
        match self.form(blob) {
            None => self.blobs.sha1(blob),
            Some(Form::Copied { blob, .. }) => self.blobs.sha1(blob.0),
            Some(Form::Pressed { sha1, .. } | Form::Added { sha1, .. }) => *sha1,
        }
    }

    fn hasher(&self, blob: u32) -> Result<Box<dyn BlobHasher>> {
        let Some(Form::Copied { blob, .. }) = self.form(blob) else { return self.blobs.hasher(blob) };
        let hasher = StoredHasher::new(self.source.wim(), *blob, self.verify)
            .map_err(|source| self.blobs.damaged(blob.0, source))?
            .expect("only chunked resources are copied");
        let sha1 = (!self.verify).then(|| self.blobs.sha1(blob.0));
        Ok(Box::new(Copied { hasher, sha1 }))
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        match self.form(blob).map(Form::blob) {
            None => self.blobs.damaged(blob, source),
            Some(Some(blob)) => self.blobs.damaged(blob, source),
            Some(None) => Error::temporary(io::Error::other(source)),
        }
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        match self.form(blob).map(Form::blob) {
            None => self.blobs.mismatch(blob, found),
            Some(Some(blob)) => self.blobs.mismatch(blob, found),
            Some(None) => Error::temporary(io::Error::other("does not give back what was written to it")),
        }
    }
}

/// Checks a copied form.
struct Copied {
    hasher: StoredHasher,
    /// What it must be, when that is not to be found out.
    sha1: Option<[u8; 20]>,
}

impl BlobHasher for Copied {
    fn update(&mut self, part: &[u8]) -> wim::Result<()> {
        self.hasher.update(part)
    }

    fn finish(self: Box<Self>) -> wim::Result<[u8; 20]> {
        let found = self.hasher.finish()?;
        Ok(self.sha1.unwrap_or(found))
    }
}

struct Reader<'a> {
    store: &'a BuildBlobs<'a>,
    blobs: Box<dyn BlobRead + Send + 'a>,
    stored: wim::BlobReader<'a>,
}

impl BlobRead for Reader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], note: Option<Note<'_>>) -> Result<()> {
        match self.store.form(blob) {
            None => self.blobs.read(blob, offset, buf, note),
            Some(Form::Copied { blob, .. }) => self
                .stored
                .read_stored(*blob, offset, buf)
                .map_err(|source| self.store.blobs.damaged(blob.0, source)),
            Some(Form::Pressed { file, offset: start, .. } | Form::Added { file, offset: start, .. }) => {
                file.read_exact_at(buf, start + offset).map_err(Error::temporary)
            }
        }
    }
}
