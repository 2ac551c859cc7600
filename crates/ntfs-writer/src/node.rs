//! What a caller says about a file. Nothing here knows about clusters or records.

use std::io;
use std::sync::Arc;

use disk::FileTime;

/// A file or directory of the volume, in the order of [`Builder::add_node`](crate::Builder::add_node).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The root directory, there from the beginning.
    pub const ROOT: Self = Self(0);
}

/// A security descriptor of the volume, from [`Builder::add_descriptor`](crate::Builder::add_descriptor).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorId(pub u32);

/// The four times of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Creation.
    pub created: FileTime,
    /// Last write to the content.
    pub modified: FileTime,
    /// Last change of the file record ("MFT changed", "ctime"), which Windows' ordinary interfaces do not show.
    pub changed: FileTime,
    /// Last access.
    pub accessed: FileTime,
}

/// Where the bytes of a stream come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// A stream of length 0.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A blob of the caller's, of a length known beforehand. Ascending numbers are the order in which file data is laid
    /// out on the volume.
    Blob {
        /// The caller's number.
        blob: u32,
        /// Its length in bytes.
        len: u64,
    },
    /// So many zeros, which take no clusters. Only the unnamed stream can be one, and the file is sparse then.
    Hole {
        /// Its length in bytes.
        len: u64,
    },
}

impl Source {
    /// The length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } | Self::Hole { len } => *len,
        }
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Gives the bytes of blobs that are small enough to lie inside file records, when those are rendered. Called from as
/// many threads as render.
pub trait ReadBlob: Sync {
    /// Fills `buf` from byte `offset` of blob `blob`.
    fn read_blob(&self, blob: u32, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// An alternate data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedStream {
    /// Its name, 1..=255 UTF-16 units.
    pub name: Box<[u16]>,
    /// Its content.
    pub source: Source,
}

/// A reparse point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reparse {
    /// The tag.
    pub tag: u32,
    /// What follows the 8-byte header of tag, length and reserved field: for tags that are not Microsoft's, that
    /// includes the GUID. At most 16 KiB - 8.
    pub data: Source,
    /// The header's reserved field, 0 nearly always.
    pub reserved: u16,
}

/// An object id, as the distributed link tracking service gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// The id, unique in the volume.
    pub id: [u8; 16],
    /// Birth volume id, birth object id and domain id; when absent, the birth object id is `id` and the others zero.
    pub birth: Option<[u8; 48]>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ea {
    /// Whether a program that does not understand the attribute must not open the file (`FILE_NEED_EA`).
    pub need: bool,
    /// The name: 1..=254 bytes, no NUL.
    pub name: Box<[u8]>,
    /// The value, at most 65535 bytes.
    pub value: Box<[u8]>,
}

/// A file or directory, without its names: a file may have several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `FILE_ATTRIBUTE_*` bits; 0x10 marks a directory.
    pub attributes: u32,
    /// The times, kept to the tick.
    pub times: Times,
    /// The security descriptor; `None` for a default one.
    pub security: Option<DescriptorId>,
    /// The unnamed stream; `None` for directories, and the same as [`Source::Empty`] for files.
    pub data: Option<Source>,
    /// The named streams, in any order.
    pub named: Vec<NamedStream>,
    /// The reparse point.
    pub reparse: Option<Reparse>,
    /// The object id.
    pub object_id: Option<ObjectId>,
    /// The extended attributes, in the order they are stored.
    pub eas: Vec<Ea>,
}

/// `FILE_ATTRIBUTE_*` bits that this crate gives a meaning to ([MS-FSCC] 2.6).
pub(crate) mod flag {
    pub(crate) const DIRECTORY: u32 = 0x10;
    pub(crate) const NORMAL: u32 = 0x80;
    pub(crate) const SPARSE: u32 = 0x200;
    pub(crate) const REPARSE: u32 = 0x400;
    pub(crate) const COMPRESSED: u32 = 0x800;
    pub(crate) const ENCRYPTED: u32 = 0x4000;
    /// In `$STANDARD_INFORMATION`, set by Windows while a file has extended attributes (observed: Windows 10).
    pub(crate) const HAS_EA: u32 = 0x4_0000;
    /// In `$FILE_NAME` only: the record has an index of names.
    pub(crate) const HAS_NAME_INDEX: u32 = 0x1000_0000;
    /// In `$FILE_NAME`, and in `$STANDARD_INFORMATION` of view-index files: another index.
    pub(crate) const HAS_VIEW_INDEX: u32 = 0x2000_0000;
}

/// One name of a node in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The long name, 1..=255 UTF-16 units.
    pub long: Box<[u16]>,
    /// The 8.3 name, where the source has one.
    pub short: Option<Box<[u16]>>,
}

impl Name {
    /// A long name alone.
    pub fn new(long: &str) -> Self {
        Self { long: long.encode_utf16().collect(), short: None }
    }
}

/// Something that was decided for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Another name of the directory is the same when case is ignored; the short name was left out.
    ShortNameDropped {
        /// The file, as a path with backslashes.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// Attribute bits that contradict the rest of the file were cleared or set.
    AttributesChanged {
        /// The file, as a path with backslashes.
        path: String,
        /// The bits the caller gave.
        given: u32,
        /// The bits that are written.
        written: u32,
        /// Why.
        reason: &'static str,
    },
    /// Two files have this object id; the second lost it.
    ObjectIdDropped {
        /// The file, as a path with backslashes.
        path: String,
    },
    /// So many files came without a security descriptor and got the default one.
    DefaultSecurity {
        /// How many files and directories.
        files: u32,
    },
    /// There was no room to align large files; they begin on the next cluster.
    Unaligned,
    /// There was no room for a `$LogFile` of the usual size.
    SmallLog {
        /// Its length in bytes.
        len: u64,
        /// What Windows would have made.
        usual: u64,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ShortNameDropped { path, reason } => write!(f, "{path}: short name left out: {reason}"),
            Self::AttributesChanged { path, given, written, reason } => {
                write!(f, "{path}: attributes {given:#x} written as {written:#x}: {reason}")
            }
            Self::ObjectIdDropped { path } => {
                write!(f, "{path}: object id left out, another file has the same")
            }
            Self::DefaultSecurity { files: 1 } => {
                f.write_str("one file has no security descriptor and got the default one")
            }
            Self::DefaultSecurity { files } => {
                write!(f, "{files} files have no security descriptor and got the default one")
            }
            Self::Unaligned => f.write_str("the volume is too small to align large files; they are packed"),
            Self::SmallLog { len, usual } => {
                write!(f, "the volume is small: $LogFile has {len} bytes instead of {usual}")
            }
        }
    }
}
