//! Files of a volume, as boot programs look at them: found by path without regard to case, and read whole.

use std::sync::Arc;

use disk::ReadAt;
use ntfs_writer::parse::{StandardInformation, WOF_TAG, WofCodec, flags};
use ntfs_writer::read::{self as ntfs, Error as NtfsError};

use crate::error::with_causes;

/// Attributes of a file (`FILE_ATTRIBUTE_...`).
const ENCRYPTED: u32 = 0x4000;

/// A volume that boot programs can read.
#[derive(Debug)]
pub(super) enum Volume {
    Ntfs(Box<ntfs::Volume>),
    Fat(fat::Volume),
}

/// A file or directory.
#[derive(Debug)]
pub(super) struct Found {
    handle: Handle,
    /// Bytes of its unnamed stream, decompressed.
    pub(super) size: u64,
    pub(super) directory: bool,
    pub(super) storage: Storage,
}

#[derive(Debug)]
enum Handle {
    Ntfs(Box<ntfs::File>),
    Fat(fat::Target),
}

/// How the unnamed stream of a file lies on its volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Storage {
    /// LZNT1, or another method in the flags of the attribute.
    pub(super) compressed: bool,
    /// EFS.
    pub(super) encrypted: bool,
    /// Holes are allowed.
    pub(super) sparse: bool,
    /// Compressed behind the file system's back.
    pub(super) wof: Option<WofCodec>,
    /// Another reparse point.
    pub(super) reparse: Option<u32>,
    /// Pieces it lies in; 0 when it lies in its file record.
    pub(super) pieces: usize,
    /// The byte after its last on the volume.
    pub(super) end: u64,
}

impl Volume {
    /// Opens the volume that `range` is, which says that it holds `file_system`.
    pub(super) fn open(range: Arc<dyn ReadAt>, file_system: &str) -> Result<Self, String> {
        match file_system {
            "NTFS" => ntfs::Volume::open(range, ntfs::Options::default())
                .map(|volume| Self::Ntfs(Box::new(volume)))
                .map_err(|error| with_causes(&error)),
            "FAT" | "FAT32" => fat::Volume::open(range).map(Self::Fat).map_err(|error| with_causes(&error)),
            "BitLocker" => Err("encrypted by BitLocker".to_owned()),
            other => Err(format!("{other}, which boot programs cannot read files from")),
        }
    }

    /// The file at a path of components between backslashes; `None` when there is none.
    ///
    /// # Errors
    /// What is damaged on the way, in words.
    pub(super) fn find(&self, path: &str) -> Result<Option<Found>, String> {
        match self {
            Self::Ntfs(volume) => match volume.find(path) {
                Ok(file) => found(volume, file).map(Some).map_err(|error| with_causes(&error)),
                Err(NtfsError::NotFound { .. }) => Ok(None),
                Err(error) => Err(with_causes(&error)),
            },
            Self::Fat(volume) => find_fat(volume, path).map_err(|error| with_causes(&error)),
        }
    }

    /// Whether there is a file at a path. What cannot be told is not there.
    pub(super) fn has(&self, path: &str) -> bool {
        matches!(self.find(path), Ok(Some(found)) if !found.directory)
    }

    /// Up to `limit` bytes from byte `offset` of a file.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub(super) fn read(&self, file: &Found, offset: u64, limit: u64) -> Result<Vec<u8>, String> {
        let len = file.size.saturating_sub(offset).min(limit);
        // Callers have limits of a few MiB; see the constants there.
        let mut bytes = vec![0; usize::try_from(len).map_err(|error| error.to_string())?];
        match (self, &file.handle) {
            (Self::Ntfs(volume), Handle::Ntfs(handle)) => {
                let reader = handle.open(volume, &[]);
                reader
                    .and_then(|mut reader| reader.read_at(offset, &mut bytes))
                    .map_err(|error| with_causes(&error))?;
            }
            (Self::Fat(volume), Handle::Fat(fat::Target::File(start))) => {
                let reader = volume.file(*start);
                reader
                    .and_then(|mut reader| reader.read_at(offset, &mut bytes))
                    .map_err(|error| with_causes(&error))?;
            }
            _ => return Err("is a directory".to_owned()),
        }
        Ok(bytes)
    }

    /// All of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(super) fn read_all(&self, file: &Found, limit: u64) -> Result<Vec<u8>, String> {
        if file.size > limit {
            return Err(format!("{} bytes, more than the {limit} that are read of such a file", file.size));
        }
        self.read(file, 0, limit)
    }
}

fn found(volume: &ntfs::Volume, file: ntfs::File) -> Result<Found, NtfsError> {
    let directory = file.is_directory();
    let mut storage = Storage::default();
    let mut size = 0;
    if let Ok(StandardInformation { attributes, .. }) = file.standard_information() {
        storage.encrypted = attributes & ENCRYPTED != 0;
    }
    // What a link leads to is not looked at by boot programs; they do not follow it.
    match file.wof(volume) {
        Ok(Some(codec)) => storage.wof = Some(codec),
        Ok(None) => storage.reparse = file.reparse(volume)?.map(|reparse| reparse.tag),
        // Of a file provider that is not understood.
        Err(NtfsError::Malformed { .. }) => storage.reparse = Some(WOF_TAG),
        Err(error) => return Err(error),
    }
    if let (false, Some(stream)) = (directory, file.raw_stream(volume, &[])?) {
        size = stream.size();
        // The boot record of Windows looks at the low byte only.
        storage.compressed = stream.flags() & flags::COMPRESSION != 0;
        storage.encrypted |= stream.is_encrypted();
        storage.sparse = stream.flags() & flags::SPARSE != 0;
        let cluster = u64::from(volume.boot().cluster_size);
        let placed = stream.runs().iter().filter_map(|run| Some((run.lcn?, run.clusters)));
        // Runs lie on the volume, whose bytes are below 2^63.
        storage.end = placed.clone().map(|(lcn, clusters)| (lcn + clusters) * cluster).max().unwrap_or(0);
        storage.pieces = placed.count();
    }
    Ok(Found { handle: Handle::Ntfs(Box::new(file)), size, directory, storage })
}

fn find_fat(volume: &fat::Volume, path: &str) -> Result<Option<Found>, fat::Error> {
    let mut target = fat::Target::Directory(volume.root());
    for part in path.split('\\').filter(|part| !part.is_empty()) {
        let fat::Target::Directory(directory) = target else { return Ok(None) };
        let entries = volume.entries(directory)?;
        let fits = |entry: &&fat::Entry| {
            let name = String::from_utf16_lossy(&entry.name);
            let short = entry.short.as_deref().is_some_and(|short| short.eq_ignore_ascii_case(part));
            short || name.to_lowercase() == part.to_lowercase()
        };
        match entries.iter().find(fits) {
            Some(entry) => target = entry.target,
            None => return Ok(None),
        }
    }
    let (size, directory) = match target {
        fat::Target::File(start) => (u64::from(start.size), false),
        fat::Target::Directory(_) => (0, true),
    };
    Ok(Some(Found { handle: Handle::Fat(target), size, directory, storage: Storage::default() }))
}
