use std::fmt;
use std::ops::Deref;

use disk::FileTime;

use super::{DentryId, attributes};
use crate::BlobId;

/// Content of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRef {
    /// No bytes.
    Empty,
    /// The content of a blob.
    Blob {
        /// Which.
        id: BlobId,
        /// Its length in bytes, as [`Blob::size`](crate::Blob::size), at hand: blobs are anywhere in memory.
        size: u64,
    },
    /// Content with this SHA-1, which the file does not hold.
    Missing([u8; 20]),
}

/// A named data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedStream {
    /// The name in UTF-16, not empty; unique in its file unit by unit, but not ignoring case.
    pub name: Box<[u16]>,
    /// The content.
    pub stream: StreamRef,
}

/// A reparse point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reparse {
    /// The tag.
    pub tag: u32,
    /// The reserved field of the reparse buffer.
    pub reserved: u16,
    /// Bit 0 set: the target is as it was. Otherwise, if the header has
    /// [`RP_FIX`](crate::layout::header_flags::RP_FIX), an absolute target is relative to the image's root.
    pub flags: u16,
    /// The reparse buffer without its first 8 bytes (tag, length, reserved).
    pub stream: StreamRef,
}

/// NTFS object id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectId {
    /// The id.
    pub id: [u8; 16],
    /// Birth volume, birth object and domain id, when they are stored.
    pub birth: Option<[u8; 48]>,
}

/// A tagged item that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaggedItem {
    /// What it is.
    pub tag: u32,
    /// Its data, without padding.
    pub data: Box<[u8]>,
}

/// An extended attribute ([MS-FSCC] 2.4.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtendedAttribute<'a> {
    /// Whether who does not understand it must not touch the file (`FILE_NEED_EA`).
    pub need: bool,
    /// Its name, 1 to 255 bytes of no known code page.
    pub name: &'a [u8],
    /// Its value, up to 65,535 bytes.
    pub value: &'a [u8],
}

/// The extended attributes of a file, packed as in the metadata: hostile metadata must not make them grow.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExtendedAttributes(Box<[u8]>);

impl ExtendedAttributes {
    /// Keeps what of `data` is complete: u16 value length, u8 name length, u8 flags, name, zero, value, repeated
    /// without padding. Returns how many bytes that is.
    pub(super) fn parse(data: &[u8]) -> (Self, usize) {
        let mut rest = data;
        while let Some((_, behind)) = Self::split(rest) {
            rest = behind;
        }
        let kept = data.len() - rest.len();
        (Self(data[..kept].into()), kept)
    }

    fn split(data: &[u8]) -> Option<(ExtendedAttribute<'_>, &[u8])> {
        let (&[value_low, value_high, name_len, flags], rest) = data.split_first_chunk()?;
        let (name, rest) =
            rest.split_at_checked(usize::from(name_len)).filter(|(name, _)| !name.is_empty())?;
        let (&0, rest) = rest.split_first()? else { return None };
        let (value, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes([value_low, value_high])))?;
        Some((ExtendedAttribute { need: flags & 0x80 != 0, name, value }, rest))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes, in the order of the metadata.
    pub fn iter(&self) -> impl Iterator<Item = ExtendedAttribute<'_>> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (attribute, behind) = Self::split(rest)?;
            rest = behind;
            Some(attribute)
        })
    }
}

impl fmt::Debug for ExtendedAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The names of an inode: a slice of at least one, without an allocation for the usual case of exactly one.
#[derive(Clone, PartialEq, Eq)]
pub struct Links(LinksRepr);

#[derive(Clone, PartialEq, Eq)]
enum LinksRepr {
    One([DentryId; 1]),
    Many(Vec<DentryId>),
}

impl Links {
    pub(super) fn one(id: DentryId) -> Self {
        Self(LinksRepr::One([id]))
    }

    pub(super) fn push(&mut self, id: DentryId) {
        match &mut self.0 {
            LinksRepr::One([first]) => self.0 = LinksRepr::Many(vec![*first, id]),
            LinksRepr::Many(all) => all.push(id),
        }
    }
}

impl Deref for Links {
    type Target = [DentryId];

    fn deref(&self) -> &[DentryId] {
        match &self.0 {
            LinksRepr::One(one) => one,
            LinksRepr::Many(all) => all,
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inode {
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Index into [`Image::security`](super::Image::security), in range.
    pub security: Option<u32>,
    /// When it was created.
    pub created: FileTime,
    /// When it was last read.
    pub accessed: FileTime,
    /// When it was last written.
    pub written: FileTime,
    /// The unnamed data stream: of every file, of no directory, not of an encrypted file with `efs`.
    pub data: Option<StreamRef>,
    /// The named data streams, in the order of the metadata.
    pub named: Box<[NamedStream]>,
    /// The reparse point, present exactly when the attributes say so.
    pub reparse: Option<Box<Reparse>>,
    /// The raw data of an encrypted file: all its streams, in the form of `ReadEncryptedFileRaw`.
    pub efs: Option<Box<StreamRef>>,
    /// The object id.
    pub object_id: Option<Box<ObjectId>>,
    /// The extended attributes.
    pub eas: ExtendedAttributes,
    /// Other tagged items, byte for byte, in the order of the metadata.
    pub tagged: Box<[TaggedItem]>,
    /// The number that hard links of one file share in the metadata; 0 for none. Do not group by it: real files use one
    /// number for different files. [`links`](Self::links) has the answer.
    pub hard_link_group: u64,
    /// Its names, in the order of the dentries; more than one only for files.
    pub links: Links,
}

impl Inode {
    /// Whether it is a directory. One that is a reparse point, too, has no children.
    pub fn is_directory(&self) -> bool {
        self.attributes & attributes::DIRECTORY != 0
    }

    /// All contents that it refers to.
    pub fn streams(&self) -> impl Iterator<Item = &StreamRef> {
        let reparse = self.reparse.as_ref().map(|reparse| &reparse.stream);
        let named = self.named.iter().map(|named| &named.stream);
        reparse.into_iter().chain(&self.data).chain(self.efs.as_deref()).chain(named)
    }

    /// The same, in the same order, to be changed.
    pub(super) fn streams_mut(&mut self) -> impl Iterator<Item = &mut StreamRef> {
        let reparse = self.reparse.as_mut().map(|reparse| &mut reparse.stream);
        let named = self.named.iter_mut().map(|named| &mut named.stream);
        reparse.into_iter().chain(&mut self.data).chain(self.efs.as_deref_mut()).chain(named)
    }
}
