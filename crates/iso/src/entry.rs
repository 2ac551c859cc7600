use disk::FileTime;

use crate::file::Run;

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link, of UDF or Rock Ridge. Its target is not read: Windows does not follow it.
    Symlink,
    /// A device, a pipe, a socket, or what only a file system uses itself.
    Other,
}

/// An entry of a directory, with what is known of it without reading the file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name in UTF-16, empty for the root. It is the medium's: it may hold any unit, separators of paths included.
    pub name: Box<[u16]>,
    /// What it is.
    pub kind: EntryKind,
    /// Length of a file in bytes; 0 for all else.
    pub size: u64,
    /// Last change of the data.
    pub modified: Option<FileTime>,
    /// Creation, where it is recorded.
    pub created: Option<FileTime>,
    /// Last access, where it is recorded.
    pub accessed: Option<FileTime>,
    /// Whether it is not to be shown to users.
    pub hidden: bool,
    pub(crate) place: Place,
}

/// Where an entry leads.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// The block of a partition that holds a UDF file entry, and where that lies in the image.
    Udf { partition: u16, block: u32, offset: u64 },
    /// The extents of ISO 9660.
    Iso9660(Extents),
}

/// The extents of an ISO 9660 file, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extents {
    pub(crate) runs: Vec<Run>,
    /// What of it is not to be had: how the file is stored.
    pub(crate) unsupported: Option<&'static str>,
}

impl Entry {
    /// The name; what is not Unicode is replaced.
    pub fn name(&self) -> String {
        String::from_utf16_lossy(&self.name)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == EntryKind::Directory
    }

    /// What is the same in all entries that lead to one directory: where it, or its file entry, lies in the image.
    pub(crate) fn identity(&self) -> Option<u64> {
        match &self.place {
            Place::Udf { offset, .. } => Some(*offset),
            Place::Iso9660(extents) => extents.runs.first().and_then(|run| run.place),
        }
    }
}
