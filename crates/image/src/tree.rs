//! A Windows image as a tree: what every source becomes, and what every edit changes, before a volume is planned.
//!
//! Names and files are apart, since a file may have many names (hard links). Both are flat lists, in the order in
//! which the source gave them; a parent's name always comes before its children's.

use std::sync::Arc;

use disk::FileTime;

/// Number of a [`Node`] in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);
}

/// Number of a security descriptor in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorId(pub u32);

/// What the next of `count` things of a tree is called: nodes, names, descriptors, blobs.
pub(crate) fn as_u32(count: usize) -> u32 {
    u32::try_from(count)
        .expect("each takes tens of bytes of memory, which ends before there are 2^32 of them")
}

/// `FILE_ATTRIBUTE_DIRECTORY` ([MS-FSCC] 2.6).
pub const ATTRIBUTE_DIRECTORY: u32 = 0x10;

/// `FILE_ATTRIBUTE_SPARSE_FILE`.
pub const ATTRIBUTE_SPARSE_FILE: u32 = 0x200;

/// `FILE_ATTRIBUTE_REPARSE_POINT`.
pub const ATTRIBUTE_REPARSE_POINT: u32 = 0x400;

/// `FILE_ATTRIBUTE_COMPRESSED`: compressed with LZNT1.
pub const ATTRIBUTE_COMPRESSED: u32 = 0x800;

/// `FILE_ATTRIBUTE_ENCRYPTED`: encrypted by EFS.
pub const ATTRIBUTE_ENCRYPTED: u32 = 0x4000;

/// What a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: length 0.
    Empty,
    /// Bytes that an edit made, or that came with the metadata.
    Bytes(Arc<[u8]>),
    /// A blob of the source.
    Blob {
        /// The source's number of it; numbers ascend in the order in which the source is best read.
        blob: u32,
        /// Length in bytes.
        len: u64,
    },
    /// Content that the source should hold and does not. Only in trees that were asked for
    /// [with gaps](crate::WimSource::tree_with_gaps).
    Missing {
        /// Its SHA-1.
        sha1: [u8; 20],
    },
    /// So many zeros, which are not stored: the unnamed stream of a sparse file.
    Hole {
        /// Length in bytes.
        len: u64,
    },
}

impl Content {
    /// Length in bytes; 0 for what is missing.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty | Self::Missing { .. } => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } | Self::Hole { len } => *len,
        }
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The four times of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Creation.
    pub created: FileTime,
    /// Last write of the data.
    pub written: FileTime,
    /// Last access.
    pub accessed: FileTime,
}

/// A named ("alternate") data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedStream {
    /// UTF-16 name, without colons or type.
    pub name: Box<[u16]>,
    /// What it holds.
    pub content: Content,
}

/// A reparse point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reparse {
    /// The tag ([MS-FSCC] 2.1.2.1).
    pub tag: u32,
    /// The reserved field of the reparse buffer, kept.
    pub reserved: u16,
    /// The buffer after its first 8 bytes.
    pub data: Content,
}

/// An object id and, when the source has them, the three birth ids ([MS-FSCC] 2.4.36).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// The id.
    pub id: [u8; 16],
    /// Birth volume, birth object, domain.
    pub birth: Option<[u8; 48]>,
}

/// An extended attribute ([MS-FSCC] 2.4.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// Whether a reader must understand it.
    pub need: bool,
    /// Its name, in the code page of whoever wrote it.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
}

/// A file or directory, whatever its names. What few have is boxed: there may be millions of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Its times.
    pub times: Times,
    /// Its security descriptor.
    pub security: Option<DescriptorId>,
    /// The unnamed stream; directories have none.
    pub data: Option<Content>,
    /// The named streams, in the source's order.
    pub named: Vec<NamedStream>,
    /// The reparse point.
    pub reparse: Option<Box<Reparse>>,
    /// The object id.
    pub object_id: Option<Box<ObjectId>>,
    /// The extended attributes.
    pub extended: Vec<ExtendedAttribute>,
}

impl Node {
    /// Whether it is a directory. A directory may carry a reparse point, and then has no children.
    pub fn is_directory(&self) -> bool {
        self.attributes & ATTRIBUTE_DIRECTORY != 0
    }

    /// A plain directory.
    pub fn directory(times: Times, security: Option<DescriptorId>) -> Self {
        Self {
            attributes: ATTRIBUTE_DIRECTORY,
            times,
            security,
            data: None,
            named: Vec::new(),
            reparse: None,
            object_id: None,
            extended: Vec::new(),
        }
    }
}

/// One name of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The directory that holds it.
    pub parent: NodeId,
    /// What it names.
    pub node: NodeId,
    /// UTF-16; may hold unpaired surrogates.
    pub long: Box<[u16]>,
    /// The 8.3 name that the source gives it, if any.
    pub short: Option<Box<[u16]>>,
}

/// A Windows image. Node 0 is the root and has no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Files and directories; index = [`NodeId`].
    pub nodes: Vec<Node>,
    /// Their names; a parent's before its children's.
    pub names: Vec<Name>,
    /// Self-relative security descriptors ([MS-DTYP] 2.4.6); index = [`DescriptorId`].
    pub descriptors: Vec<Box<[u8]>>,
    /// What was wrong with the source and worked around, one sentence each.
    pub notes: Vec<String>,
}

impl Tree {
    /// A tree that holds only a root directory: an empty volume.
    pub fn empty(times: Times) -> Self {
        Self {
            nodes: vec![Node::directory(times, None)],
            names: Vec::new(),
            descriptors: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Bytes of all unnamed and named streams, each file once.
    pub fn stream_bytes(&self) -> u64 {
        let of = |node: &Node| {
            let data = node.data.as_ref().map_or(0, Content::len);
            node.named.iter().fold(data, |sum, stream| sum.saturating_add(stream.content.len()))
        };
        self.nodes.iter().fold(0, |sum, node| sum.saturating_add(of(node)))
    }

    /// The blobs that hold the data of reparse points.
    pub fn reparse_blobs(&self) -> Vec<u32> {
        let blob = |node: &Node| match node.reparse.as_ref()?.data {
            Content::Blob { blob, .. } => Some(blob),
            Content::Empty | Content::Bytes(_) | Content::Missing { .. } | Content::Hole { .. } => None,
        };
        self.nodes.iter().filter_map(blob).collect()
    }
}
