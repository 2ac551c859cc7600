//! Names in a directory, and what they stand for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{DENTRY_FIXED, Hash, STREAM_FIXED, align8, small};

/// `FILE_ATTRIBUTE_READONLY`
pub const READONLY: u32 = 0x1;
/// `FILE_ATTRIBUTE_HIDDEN`
pub const HIDDEN: u32 = 0x2;
/// `FILE_ATTRIBUTE_SYSTEM`
pub const SYSTEM: u32 = 0x4;
/// `FILE_ATTRIBUTE_DIRECTORY`
pub const DIRECTORY: u32 = 0x10;
/// `FILE_ATTRIBUTE_ARCHIVE`
pub const ARCHIVE: u32 = 0x20;
/// `FILE_ATTRIBUTE_NORMAL`
pub const NORMAL: u32 = 0x80;
/// `FILE_ATTRIBUTE_REPARSE_POINT`
pub const REPARSE_POINT: u32 = 0x400;
/// `FILE_ATTRIBUTE_NOT_CONTENT_INDEXED`
pub const NOT_CONTENT_INDEXED: u32 = 0x2000;

/// Reparse tag of a symbolic link.
pub const TAG_SYMLINK: u32 = 0xA000_000C;
/// Reparse tag of a junction.
pub const TAG_MOUNT_POINT: u32 = 0xA000_0003;

/// Tagged item with an object id: 16 bytes, or 64 with the three birth ids.
pub const ITEM_OBJECT_ID: u32 = 0x1;
/// Tagged item with extended attributes; see [`extended_attributes`].
pub const ITEM_EXTENDED_ATTRIBUTES: u32 = 0x2;

/// What a stream holds.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// Nothing: a hash of zeros and no blob.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// The bytes of a file of this machine, read when the WIM is written.
    HostFile(PathBuf),
    /// What a function makes, when the WIM is written and each time the same: for images that do not fit memory.
    Made(Maker),
    /// A hash that is not in the blob table.
    Absent(Hash),
}

/// Makes the bytes of a [`Content::Made`].
#[derive(Clone)]
pub struct Maker(pub(super) Arc<dyn Fn() -> Vec<u8> + Send + Sync>);

impl Maker {
    /// Of what `make` returns; it has to be the same at every call.
    pub fn new(make: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maker").finish_non_exhaustive()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Bytes(bytes.into()) }
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

/// The reparse point of an entry.
#[derive(Clone, Debug)]
pub struct Reparse {
    /// The tag, for example [`TAG_SYMLINK`].
    pub tag: u32,
    /// The reparse buffer without its first 8 bytes (tag, length, reserved).
    pub data: Content,
}

/// One name in a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name, in UTF-16 units.
    pub name: Vec<u16>,
    /// The 8.3 name; empty when there is none.
    pub short_name: Vec<u16>,
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Index into the image's security descriptors.
    pub security: Option<u32>,
    /// When it was created, accessed and written: 100 ns since 1601.
    pub times: [u64; 3],
    /// The unnamed stream.
    pub data: Content,
    /// The named streams.
    pub streams: Vec<(Vec<u16>, Content)>,
    /// The reparse point.
    pub reparse: Option<Reparse>,
    /// Hard-link group; 0 for none.
    pub link_group: u64,
    /// Tagged items: tag and data.
    pub tagged: Vec<(u32, Vec<u8>)>,
}

/// The time of entries that are given no other: 2016-07-16 13:18:57.1234567 UTC.
pub const DEFAULT_TIME: u64 = filetime(1_468_675_137, 1_234_567);

/// The file time of `seconds` since 1970, which may be negative, and `ticks` of 100 ns.
pub const fn filetime(seconds: i64, ticks: u32) -> u64 {
    (seconds + 11_644_473_600).cast_unsigned() * 10_000_000 + ticks as u64
}

impl Entry {
    /// A directory.
    pub fn directory(name: &str) -> Self {
        Self { attributes: DIRECTORY, ..Self::file(name, Content::Empty) }
    }

    /// A file with the attribute ARCHIVE.
    pub fn file(name: &str, data: impl Into<Content>) -> Self {
        Self {
            name: name.encode_utf16().collect(),
            short_name: Vec::new(),
            attributes: ARCHIVE,
            security: None,
            times: [DEFAULT_TIME; 3],
            data: data.into(),
            streams: Vec::new(),
            reparse: None,
            link_group: 0,
            tagged: Vec::new(),
        }
    }

    /// A reparse point; `data` is its buffer without the first 8 bytes.
    pub fn reparse_point(name: &str, tag: u32, data: impl Into<Content>) -> Self {
        Self {
            attributes: ARCHIVE | REPARSE_POINT,
            reparse: Some(Reparse { tag, data: data.into() }),
            ..Self::file(name, Content::Empty)
        }
    }

    /// With these attributes instead.
    #[must_use]
    pub fn attributes(mut self, attributes: u32) -> Self {
        self.attributes = attributes;
        self
    }

    /// With this 8.3 name.
    #[must_use]
    pub fn short(mut self, name: &str) -> Self {
        self.short_name = name.encode_utf16().collect();
        self
    }

    /// With the security descriptor that [`Image::security`](super::Image::security) numbered `id`.
    #[must_use]
    pub fn secured(mut self, id: u32) -> Self {
        self.security = Some(id);
        self
    }

    /// Created, accessed, written at these file times.
    #[must_use]
    pub fn times(mut self, created: u64, accessed: u64, written: u64) -> Self {
        self.times = [created, accessed, written];
        self
    }

    /// With one more named stream.
    #[must_use]
    pub fn stream(mut self, name: &str, data: impl Into<Content>) -> Self {
        self.streams.push((name.encode_utf16().collect(), data.into()));
        self
    }

    /// With one more tagged item.
    #[must_use]
    pub fn tagged(mut self, tag: u32, data: impl Into<Vec<u8>>) -> Self {
        self.tagged.push((tag, data.into()));
        self
    }

    /// The streams in the order in which they are stored: reparse data, unnamed data, named ones.
    pub(super) fn stored_streams(&self) -> Vec<(&[u16], &Content)> {
        let mut streams: Vec<(&[u16], &Content)> = Vec::new();
        if let Some(reparse) = &self.reparse {
            streams.push((&[], &reparse.data));
        }
        let directory = self.attributes & DIRECTORY != 0;
        if !directory && (self.reparse.is_none() || !matches!(self.data, Content::Empty)) {
            streams.push((&[], &self.data));
        }
        streams.extend(self.streams.iter().map(|(name, data)| (name.as_slice(), data)));
        streams
    }

    /// Whether everything fits into the dentry's own hash field.
    pub(super) fn single(streams: &[(&[u16], &Content)]) -> bool {
        streams.len() <= 1 && streams.iter().all(|(name, _)| name.is_empty())
    }

    pub(super) fn dentry_length(&self) -> usize {
        let name = |name: &[u16]| if name.is_empty() { 0 } else { name.len() * 2 + 2 };
        let names = align8(DENTRY_FIXED + name(&self.name) + name(&self.short_name));
        names + self.tagged.iter().map(|(_, data)| 8 + align8(data.len())).sum::<usize>()
    }

    pub(super) fn record_length(&self) -> usize {
        let streams = self.stored_streams();
        let extra = if Self::single(&streams) {
            0
        } else {
            streams
                .iter()
                .map(|(name, _)| align8(STREAM_FIXED + if name.is_empty() { 0 } else { name.len() * 2 + 2 }))
                .sum()
        };
        self.dentry_length() + extra
    }
}

/// The buffer, less its first 8 bytes, of a symbolic link to `target` (relative unless it begins with `\??\`).
pub fn symlink_data(target: &str) -> Vec<u8> {
    let printed = target.strip_prefix("\\??\\").unwrap_or(target);
    let relative = u32::from(printed.len() == target.len());
    reparse_names(target, printed, Some(relative))
}

/// The buffer, less its first 8 bytes, of a junction to the absolute `target` (`C:\Users`).
pub fn junction_data(target: &str) -> Vec<u8> {
    reparse_names(&format!("\\??\\{target}"), target, None)
}

fn reparse_names(substitute: &str, printed: &str, flags: Option<u32>) -> Vec<u8> {
    let mut names = Vec::new();
    let mut fields = Vec::new();
    for name in [substitute, printed] {
        let start = names.len();
        names.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
        for field in [start, names.len() - start] {
            fields.extend(small(field).to_le_bytes());
        }
        names.extend([0, 0]);
    }
    if let Some(flags) = flags {
        fields.extend(flags.to_le_bytes());
    }
    fields.extend(names);
    fields
}

/// The data of an [`ITEM_EXTENDED_ATTRIBUTES`]: name, flags (0x80: needed to understand the file) and value of each.
pub fn extended_attributes(list: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, flags, value) in list {
        data.extend(small(value.len()).to_le_bytes());
        data.push(u8::try_from(name.len()).expect("names of extended attributes are short"));
        data.push(*flags);
        data.extend(name.as_bytes());
        data.push(0);
        data.extend(*value);
    }
    data
}
