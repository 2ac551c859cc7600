//! One image: a tree of names (dentries) over files and directories (inodes), as its metadata describes it.

mod inode;
mod lookup;
mod parse;
mod siblings;
mod streams;
#[cfg(test)]
mod tests;

use crate::Warning;

pub use inode::{
    ExtendedAttribute, ExtendedAttributes, Inode, Links, NamedStream, ObjectId, Reparse, StreamRef,
    TaggedItem,
};
pub(crate) use parse::parse;

/// Number of a dentry: its index in [`Image::dentries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DentryId(pub u32);

/// Number of an inode: its index in [`Image::inodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub u32);

/// `FILE_ATTRIBUTE_*`, as far as they decide how metadata is read.
pub mod attributes {
    /// A directory.
    pub const DIRECTORY: u32 = 0x10;
    /// A reparse point.
    pub const REPARSE_POINT: u32 = 0x400;
    /// Encrypted by EFS.
    pub const ENCRYPTED: u32 = 0x4000;
}

/// A name in a directory, or the nameless root.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dentry {
    /// The name in UTF-16, which need not be valid. Never `.`, `..` or empty (the root's excepted), without zero
    /// units, slashes and backslashes; unique in its directory unit by unit, but not ignoring case.
    pub name: Box<[u16]>,
    /// The 8.3 name; empty when there is none. Not checked.
    pub short_name: Box<[u16]>,
    /// The directory it is in; the root's parent is the root.
    pub parent: DentryId,
    /// What it is the name of.
    pub inode: InodeId,
    first_child: u32,
    child_count: u32,
}

/// An image, parsed and checked: every id that it hands out is valid in it, parents form a tree.
#[derive(Debug)]
pub struct Image {
    dentries: Vec<Dentry>,
    inodes: Vec<Inode>,
    security: Vec<Box<[u8]>>,
    warnings: Vec<Warning>,
    complete: bool,
}

/// What an [`Image`] is made of, for whoever turns it into something else without copying.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImageParts {
    /// By [`DentryId`].
    pub dentries: Vec<Dentry>,
    /// By [`InodeId`].
    pub inodes: Vec<Inode>,
    /// As [`Image::security`].
    pub security: Vec<Box<[u8]>>,
    /// As [`Image::warnings`].
    pub warnings: Vec<Warning>,
}

impl Image {
    /// The root: dentry 0, and inode 0.
    pub fn root(&self) -> DentryId {
        DentryId(0)
    }

    /// All names. A directory comes before what it holds, and its children are neighbours in the order of the metadata.
    pub fn dentries(&self) -> &[Dentry] {
        &self.dentries
    }

    /// A dentry.
    ///
    /// # Panics
    /// When the id is of another image and not in this one.
    pub fn dentry(&self, id: DentryId) -> &Dentry {
        &self.dentries[id.0 as usize]
    }

    /// All files and directories, in the order in which the dentries first name them.
    pub fn inodes(&self) -> &[Inode] {
        &self.inodes
    }

    /// An inode.
    ///
    /// # Panics
    /// When the id is of another image and not in this one.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// What a directory holds, in the order of the metadata; nothing for files.
    ///
    /// # Panics
    /// When the id is of another image and not in this one.
    pub fn children(
        &self,
        id: DentryId,
    ) -> impl DoubleEndedIterator<Item = DentryId> + ExactSizeIterator + use<> {
        let dentry = self.dentry(id);
        (dentry.first_child..dentry.first_child + dentry.child_count).map(DentryId)
    }

    /// The security descriptors, self-relative, not checked; [`Inode::security`] indexes them.
    pub fn security(&self) -> &[Box<[u8]>] {
        &self.security
    }

    /// What was wrong and worked around; offsets are in the decoded metadata. At most about a hundred.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether the file holds the content of every stream: whether none is [`StreamRef::Missing`].
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes it apart.
    pub fn into_parts(self) -> ImageParts {
        let Self { dentries, inodes, security, warnings, complete: _ } = self;
        ImageParts { dentries, inodes, security, warnings }
    }
}
