//! The streams of a volume's files, by number.

use codec::Note;
use ntfs_writer::read::{StreamReader, Volume};

use super::DiskVolume;
use super::fat::FatBlobs;
use super::upwards::path_of;
use crate::pipeline::{BlobRead, BlobStore};
use crate::{Error, Result};

/// Where a blob lies.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Reference to the file.
    pub(super) file: u64,
    /// Its place among the names of streams.
    pub(super) name: u32,
    pub(super) len: u64,
    /// Bytes that are decoded at once, 0 for a stream that is not compressed.
    pub(super) chunk: u32,
}

/// What the files of a tree hold.
#[derive(Debug)]
pub struct DiskBlobs<'v>(Blobs<'v>);

#[derive(Debug)]
enum Blobs<'v> {
    Ntfs(NtfsBlobs<'v>),
    Fat(FatBlobs<'v>),
}

impl<'v> From<NtfsBlobs<'v>> for DiskBlobs<'v> {
    fn from(blobs: NtfsBlobs<'v>) -> Self {
        Self(Blobs::Ntfs(blobs))
    }
}

impl<'v> From<FatBlobs<'v>> for DiskBlobs<'v> {
    fn from(blobs: FatBlobs<'v>) -> Self {
        Self(Blobs::Fat(blobs))
    }
}

impl DiskBlobs<'_> {
    fn store(&self) -> &dyn BlobStore {
        match &self.0 {
            Blobs::Ntfs(blobs) => blobs,
            Blobs::Fat(blobs) => blobs,
        }
    }
}

impl BlobStore for DiskBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.store().blob_count()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.store().blob_len(blob)
    }

    fn chunk_size(&self, blob: u32) -> Option<u64> {
        self.store().chunk_size(blob)
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        self.store().reader()
    }

    fn states_sha1(&self) -> bool {
        self.store().states_sha1()
    }

    fn sha1(&self, blob: u32) -> [u8; 20] {
        self.store().sha1(blob)
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        self.store().damaged(blob, source)
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        self.store().mismatch(blob, found)
    }
}

/// The streams of the files of an NTFS volume.
#[derive(Debug)]
pub(super) struct NtfsBlobs<'v> {
    pub(super) source: &'v DiskVolume,
    pub(super) volume: &'v Volume,
    pub(super) streams: Vec<Stream>,
    /// Names of streams; the first is empty.
    pub(super) names: Vec<Box<[u16]>>,
}

impl NtfsBlobs<'_> {
    fn stream(&self, blob: u32) -> &Stream {
        &self.streams[blob as usize]
    }

    /// A name of the file that holds a blob, for errors.
    fn path_of(&self, blob: u32) -> String {
        let stream = self.stream(blob);
        let mut path = path_of(self.volume, stream.file, "/");
        let name = &self.names[stream.name as usize];
        if !name.is_empty() {
            path.push(':');
            path.push_str(&String::from_utf16_lossy(name));
        }
        path
    }
}

impl BlobStore for NtfsBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.streams.len()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.stream(blob).len
    }

    fn chunk_size(&self, blob: u32) -> Option<u64> {
        Some(u64::from(self.stream(blob).chunk)).filter(|&chunk| chunk > 0)
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(NtfsBlobReader { blobs: self, open: None })
    }

    fn states_sha1(&self) -> bool {
        false
    }

    fn sha1(&self, _: u32) -> [u8; 20] {
        [0; 20]
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        Error::Blob { path: self.source.path.clone(), name: self.path_of(blob), source }
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        Error::HashMismatch {
            path: self.source.path.clone(),
            name: self.path_of(blob),
            expected: "none".to_owned(),
            found: disk::hex(&found),
        }
    }
}

/// Reads blobs; the one at hand stays open.
struct NtfsBlobReader<'a> {
    blobs: &'a NtfsBlobs<'a>,
    open: Option<(u32, StreamReader<'a>)>,
}

impl BlobRead for NtfsBlobReader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], _: Option<Note<'_>>) -> Result<()> {
        let volume = self.blobs.volume;
        let stream = self.blobs.stream(blob);
        let wrap = |source: ntfs_writer::read::Error| {
            self.blobs.source.error(source.with_path(|| self.blobs.path_of(blob)))
        };
        let reader = match &mut self.open {
            Some((open, reader)) if *open == blob => reader,
            slot => {
                let name = &self.blobs.names[stream.name as usize];
                let file = volume.file(stream.file).map_err(wrap)?;
                let reader = file.open(volume, name).map_err(wrap)?;
                &mut slot.insert((blob, reader)).1
            }
        };
        reader.read_at(offset, buf).map_err(wrap)
    }
}
