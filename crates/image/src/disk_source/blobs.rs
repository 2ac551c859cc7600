//! The streams of a volume's files, by number.

use ntfs_writer::read::{StreamReader, Volume};

use super::DiskVolume;
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

/// The streams of the files of a tree.
#[derive(Debug)]
pub struct DiskBlobs<'v> {
    pub(super) volume: &'v DiskVolume,
    pub(super) streams: Vec<Stream>,
    /// Names of streams; the first is empty.
    pub(super) names: Vec<Box<[u16]>>,
}

impl DiskBlobs<'_> {
    fn stream(&self, blob: u32) -> &Stream {
        &self.streams[blob as usize]
    }

    /// A name of the file that holds a blob, for errors.
    fn path_of(&self, blob: u32) -> String {
        let stream = self.stream(blob);
        let mut path = path_of(&self.volume.volume, stream.file);
        let name = &self.names[stream.name as usize];
        if !name.is_empty() {
            path.push(':');
            path.push_str(&String::from_utf16_lossy(name));
        }
        path
    }
}

/// Directories above a file; more are a loop.
const MAX_DEPTH: usize = 1024;

/// A path of a file, from its own names and those of the directories above it.
fn path_of(volume: &Volume, file: u64) -> String {
    let mut parts = Vec::new();
    let mut reference = file;
    for _ in 0..MAX_DEPTH {
        let names = volume.file(reference).and_then(|file| file.names()).unwrap_or_default();
        // Not the short one of a pair.
        let Some(name) = names.iter().find(|name| name.namespace != 2).or(names.first()) else { break };
        if name.parent == reference {
            break;
        }
        parts.push(String::from_utf16_lossy(&name.name));
        reference = name.parent;
    }
    parts.iter().rev().fold(String::new(), |path, part| path + "/" + part)
}

impl BlobStore for DiskBlobs<'_> {
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
        Box::new(DiskBlobReader { blobs: self, open: None })
    }

    fn states_sha1(&self) -> bool {
        false
    }

    fn sha1(&self, _: u32) -> [u8; 20] {
        [0; 20]
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        Error::Blob { path: self.volume.path.clone(), name: self.path_of(blob), source }
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        Error::HashMismatch {
            path: self.volume.path.clone(),
            name: self.path_of(blob),
            expected: "none".to_owned(),
            found: crate::error::hex(&found),
        }
    }
}

/// Reads blobs; the one at hand stays open.
struct DiskBlobReader<'a> {
    blobs: &'a DiskBlobs<'a>,
    open: Option<(u32, StreamReader<'a>)>,
}

impl BlobRead for DiskBlobReader<'_> {
    fn read_at(&mut self, blob: u32, offset: u64, buf: &mut [u8]) -> Result<()> {
        let volume = &self.blobs.volume.volume;
        let stream = self.blobs.stream(blob);
        let wrap = |source: ntfs_writer::read::Error| {
            self.blobs.volume.error(source.with_path(|| self.blobs.path_of(blob)))
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
