//! Writing WIM files by hand, legal or not.
//!
//! [`WimFile`] writes version 0x10D00 archives without compression, entry by entry as it is told. wimlib makes good
//! WIMs but only good ones, and it has no command line for tagged items, so the hostile fixtures (a directory that
//! contains itself, a tree that doubles at every level, `..` as a name, a hash that the blob table does not have)
//! and those with object ids and extended attributes come from here. For everything else a WIM from here is only
//! the *source*: wimlib applies it to a volume, or exports it with compression, and what the tests read was then
//! written by wimlib.
//!
//! [`Layout`] says where the structures of any WIM lie, so that tests can cut or damage each of them.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha1::{Digest, Sha1};

/// SHA-1 of a blob, the name under which a WIM stores it.
pub type Hash = [u8; 20];

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

const NO_SECURITY: u32 = u32::MAX;
const HEADER_SIZE: usize = 208;
const DENTRY_FIXED: usize = 102;
const STREAM_FIXED: usize = 38;
const BLOB_ENTRY: usize = 50;
const FLAG_METADATA: u8 = 2;

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
pub struct Maker(Arc<dyn Fn() -> Vec<u8> + Send + Sync>);

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

    /// With the security descriptor that [`Image::security`] numbered `id`.
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
    fn stored_streams(&self) -> Vec<(&[u16], &Content)> {
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
    fn single(streams: &[(&[u16], &Content)]) -> bool {
        streams.len() <= 1 && streams.iter().all(|(name, _)| name.is_empty())
    }

    fn dentry_length(&self) -> usize {
        let name = |name: &[u16]| if name.is_empty() { 0 } else { name.len() * 2 + 2 };
        let names = align8(DENTRY_FIXED + name(&self.name) + name(&self.short_name));
        names + self.tagged.iter().map(|(_, data)| 8 + align8(data.len())).sum::<usize>()
    }

    fn record_length(&self) -> usize {
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

/// An entry of an [`Image`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(usize);

/// The entries and security descriptors of one image.
#[derive(Debug)]
pub struct Image {
    name: String,
    security: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    children: Vec<Vec<EntryId>>,
    /// For a directory that borrows another's list.
    list_of: HashMap<EntryId, EntryId>,
    last_group: u64,
}

impl Image {
    fn new(name: &str) -> Self {
        let mut root = Entry::directory("");
        root.attributes = DIRECTORY;
        Self {
            name: name.to_owned(),
            security: Vec::new(),
            entries: vec![root],
            children: vec![Vec::new()],
            list_of: HashMap::new(),
            last_group: 0x1000,
        }
    }

    /// The nameless directory at the top.
    pub fn root(&self) -> EntryId {
        EntryId(0)
    }

    /// An entry, to be changed.
    pub fn entry(&mut self, id: EntryId) -> &mut Entry {
        &mut self.entries[id.0]
    }

    /// Stores a self-relative security descriptor and returns its number.
    pub fn security(&mut self, descriptor: &[u8]) -> u32 {
        self.security.push(descriptor.to_vec());
        u32::try_from(self.security.len() - 1).expect("a handful of descriptors")
    }

    /// Puts `entry` into `directory`, after those already there.
    pub fn add(&mut self, directory: EntryId, entry: Entry) -> EntryId {
        let id = EntryId(self.entries.len());
        self.entries.push(entry);
        self.children.push(Vec::new());
        self.children[directory.0].push(id);
        id
    }

    /// Gives `file` one more name in `directory`. Attributes, times and streams are those that it has now.
    pub fn link(&mut self, file: EntryId, directory: EntryId, name: &str) -> EntryId {
        if self.entries[file.0].link_group == 0 {
            self.last_group += 1;
            self.entries[file.0].link_group = self.last_group;
        }
        let mut entry = self.entries[file.0].clone();
        entry.name = name.encode_utf16().collect();
        entry.short_name.clear();
        self.add(directory, entry)
    }

    /// Lets `directory` point at the entries of `other`: of its parent, for a cycle; of its neighbour, for a tree
    /// that explodes.
    pub fn share_entries(&mut self, directory: EntryId, other: EntryId) {
        self.list_of.insert(directory, other);
    }

    /// Gives descriptor `id` to every entry that has none.
    pub fn secure_the_rest(&mut self, id: u32) {
        for entry in &mut self.entries {
            entry.security.get_or_insert(id);
        }
    }

    /// Gives every entry that has none a plain descriptor, so that readers need not make one up.
    pub fn secure_with_default(&mut self) {
        use crate::descriptor::{FULL, descriptor, sid};
        let everyone = Some(&[(0, 3, FULL, sid::EVERYONE)][..]);
        let id = self.security(&descriptor(sid::SYSTEM, sid::SYSTEM, None, everyone));
        self.secure_the_rest(id);
    }

    /// How many entries there are, the root included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is only the root.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 1
    }

    fn has_list(&self, id: EntryId) -> bool {
        self.entries[id.0].attributes & DIRECTORY != 0 && self.entries[id.0].reparse.is_none()
    }

    /// The metadata resource.
    fn metadata(&self, hashes: &HashMap<(usize, usize), Hash>) -> Vec<u8> {
        let mut out = Vec::new();
        let descriptors: usize = self.security.iter().map(Vec::len).sum();
        let total = align8(8 + 8 * self.security.len() + descriptors);
        put(&mut out, &small32(total).to_le_bytes());
        put(&mut out, &small32(self.security.len()).to_le_bytes());
        for descriptor in &self.security {
            put(&mut out, &(descriptor.len() as u64).to_le_bytes());
        }
        for descriptor in &self.security {
            put(&mut out, descriptor);
        }
        out.resize(total, 0);

        // Where each directory's list begins: after the root and its terminator, in the order of the entries.
        let mut next = total + self.entries[0].record_length() + 8;
        let mut lists = HashMap::new();
        for (index, children) in self.children.iter().enumerate() {
            let id = EntryId(index);
            if !self.has_list(id) || self.list_of.contains_key(&id) {
                continue;
            }
            lists.insert(id, next as u64);
            next += 8 + children.iter().map(|child| self.entries[child.0].record_length()).sum::<usize>();
        }

        let dentry = |out: &mut Vec<u8>, id: EntryId| {
            let list = self.list_of.get(&id).copied().unwrap_or(id);
            let offset = if self.has_list(id) { lists.get(&list).copied().unwrap_or(0) } else { 0 };
            write_dentry(out, &self.entries[id.0], offset, |stream| {
                hashes.get(&(id.0, stream)).copied().unwrap_or_default()
            });
        };
        dentry(&mut out, EntryId(0));
        out.extend([0; 8]);
        for (index, children) in self.children.iter().enumerate() {
            let id = EntryId(index);
            if !lists.contains_key(&id) {
                continue;
            }
            debug_assert_eq!(lists[&id], out.len() as u64);
            for child in children {
                dentry(&mut out, *child);
            }
            out.extend([0; 8]);
        }
        out
    }
}

fn write_dentry(out: &mut Vec<u8>, entry: &Entry, list: u64, hash: impl Fn(usize) -> Hash) {
    let start = out.len();
    let streams = entry.stored_streams();
    let single = Entry::single(&streams);
    put(out, &(entry.dentry_length() as u64).to_le_bytes());
    put(out, &entry.attributes.to_le_bytes());
    put(out, &entry.security.unwrap_or(NO_SECURITY).to_le_bytes());
    put(out, &list.to_le_bytes());
    put(out, &[0; 16]);
    for time in entry.times {
        put(out, &time.to_le_bytes());
    }
    put(out, &if single && !streams.is_empty() { hash(0) } else { Hash::default() });
    put(out, &[0; 4]);
    match &entry.reparse {
        Some(reparse) => {
            put(out, &reparse.tag.to_le_bytes());
            put(out, &[0; 4]);
        }
        None => put(out, &entry.link_group.to_le_bytes()),
    }
    put(out, &if single { 0 } else { small(streams.len()) }.to_le_bytes());
    put(out, &small(entry.short_name.len() * 2).to_le_bytes());
    put(out, &small(entry.name.len() * 2).to_le_bytes());
    put_name(out, &entry.name);
    put_name(out, &entry.short_name);
    out.resize(start + align8(out.len() - start), 0);
    for (tag, data) in &entry.tagged {
        put(out, &tag.to_le_bytes());
        put(out, &small32(data.len()).to_le_bytes());
        put(out, data);
        out.resize(start + align8(out.len() - start), 0);
    }
    if single {
        return;
    }
    for (index, (name, _)) in streams.iter().enumerate() {
        let start = out.len();
        let length = align8(STREAM_FIXED + if name.is_empty() { 0 } else { name.len() * 2 + 2 });
        put(out, &(length as u64).to_le_bytes());
        put(out, &[0; 8]);
        put(out, &hash(index));
        put(out, &small(name.len() * 2).to_le_bytes());
        put_name(out, name);
        out.resize(start + length, 0);
    }
}

/// A WIM file in the making.
#[derive(Debug, Default)]
pub struct WimFile {
    images: Vec<Image>,
}

struct Blob {
    content: Content,
    hash: Hash,
    size: u64,
    references: u32,
}

impl WimFile {
    /// Without images yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image that has only a root.
    pub fn image(&mut self, name: &str) -> &mut Image {
        self.images.push(Image::new(name));
        self.images.last_mut().expect("just pushed")
    }

    /// The whole file in memory.
    ///
    /// # Panics
    /// When a [`Content::HostFile`] cannot be read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        self.write(&mut out).expect("the files it is made of can be read");
        out.into_inner()
    }

    /// Writes the file to `path`.
    ///
    /// # Panics
    /// When that fails.
    pub fn save(&self, path: &Path) {
        let save = || {
            let mut out = BufWriter::new(File::create(path)?);
            self.write(&mut out)?;
            out.flush()
        };
        if let Err(error) = save() {
            panic!("writing {}: {error}", path.display());
        }
    }

    /// Writes the file: header, blobs in the order of their first use, metadata, blob table, XML.
    ///
    /// # Errors
    /// When writing, or reading a [`Content::HostFile`], fails.
    pub fn write(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut blobs: Vec<Blob> = Vec::new();
        let mut by_hash: HashMap<Hash, usize> = HashMap::new();
        let mut image_hashes = Vec::new();
        for image in &self.images {
            let mut hashes = HashMap::new();
            for (index, entry) in image.entries.iter().enumerate() {
                for (stream, (_, content)) in entry.stored_streams().into_iter().enumerate() {
                    let (hash, size) = match content {
                        Content::Empty => continue,
                        Content::Absent(hash) => {
                            hashes.insert((index, stream), *hash);
                            continue;
                        }
                        Content::Bytes(bytes) => (Sha1::digest(bytes).into(), bytes.len() as u64),
                        Content::HostFile(path) => hash_file(path)?,
                        Content::Made(maker) => {
                            let bytes = (maker.0)();
                            (Sha1::digest(&bytes).into(), bytes.len() as u64)
                        }
                    };
                    if size == 0 {
                        continue;
                    }
                    hashes.insert((index, stream), hash);
                    let blob = *by_hash.entry(hash).or_insert_with(|| {
                        blobs.push(Blob { content: content.clone(), hash, size, references: 0 });
                        blobs.len() - 1
                    });
                    blobs[blob].references += 1;
                }
            }
            image_hashes.push(hashes);
        }

        let mut table = Vec::new();
        let mut record = |offset: u64, size: u64, flags: u8, references: u32, hash: Hash| {
            put(&mut table, &resource(offset, size, flags));
            put(&mut table, &1_u16.to_le_bytes());
            put(&mut table, &references.to_le_bytes());
            put(&mut table, &hash);
        };
        out.write_all(&[0; HEADER_SIZE])?;
        let mut position = HEADER_SIZE as u64;
        for blob in &blobs {
            record(position, blob.size, 0, blob.references, blob.hash);
            match &blob.content {
                Content::Bytes(bytes) => out.write_all(bytes)?,
                Content::HostFile(path) => {
                    let copied = io::copy(&mut File::open(path)?, out)?;
                    if copied != blob.size {
                        return Err(io::Error::other(format!("{} changes while it is read", path.display())));
                    }
                }
                Content::Made(maker) => {
                    let bytes = (maker.0)();
                    if bytes.len() as u64 != blob.size {
                        return Err(io::Error::other("a maker makes something else each time"));
                    }
                    out.write_all(&bytes)?;
                }
                Content::Empty | Content::Absent(_) => {}
            }
            position += blob.size;
        }
        for (image, hashes) in self.images.iter().zip(&image_hashes) {
            let metadata = image.metadata(hashes);
            out.write_all(&metadata)?;
            record(position, metadata.len() as u64, FLAG_METADATA, 1, Sha1::digest(&metadata).into());
            position += metadata.len() as u64;
        }
        let table_at = position;
        out.write_all(&table)?;
        let xml = self.xml(table_at + table.len() as u64);
        out.write_all(&xml)?;

        let mut header = Vec::with_capacity(HEADER_SIZE);
        put(&mut header, b"MSWIM\0\0\0");
        put(&mut header, &small32(HEADER_SIZE).to_le_bytes());
        put(&mut header, &0x10D00_u32.to_le_bytes());
        put(&mut header, &[0; 8]); // flags: not compressed; chunk size
        put(&mut header, &Sha1::digest(&table)[..16]); // the GUID, from what the file holds
        put(&mut header, &1_u16.to_le_bytes());
        put(&mut header, &1_u16.to_le_bytes());
        put(&mut header, &small32(self.images.len()).to_le_bytes());
        put(&mut header, &resource(table_at, table.len() as u64, FLAG_METADATA));
        put(&mut header, &resource(table_at + table.len() as u64, xml.len() as u64, FLAG_METADATA));
        header.resize(HEADER_SIZE, 0);
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&header)?;
        out.seek(SeekFrom::End(0))?;
        Ok(())
    }

    fn xml(&self, total: u64) -> Vec<u8> {
        let mut text = format!("\u{feff}<WIM><TOTALBYTES>{total}</TOTALBYTES>");
        for (index, image) in self.images.iter().enumerate() {
            let directories =
                image.entries.iter().filter(|entry| entry.attributes & DIRECTORY != 0).count() - 1;
            let files = image.entries.len() - 1 - directories;
            let time = |tag: &str| {
                let (high, low) = (DEFAULT_TIME >> 32, DEFAULT_TIME & 0xFFFF_FFFF);
                format!("<{tag}><HIGHPART>0x{high:08X}</HIGHPART><LOWPART>0x{low:08X}</LOWPART></{tag}>")
            };
            text += &format!(
                "<IMAGE INDEX=\"{}\"><DIRCOUNT>{directories}</DIRCOUNT><FILECOUNT>{files}</FILECOUNT>\
                 <TOTALBYTES>0</TOTALBYTES><HARDLINKBYTES>0</HARDLINKBYTES>{}{}<NAME>{}</NAME></IMAGE>",
                index + 1,
                time("CREATIONTIME"),
                time("LASTMODIFICATIONTIME"),
                image.name
            );
        }
        text += "</WIM>";
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }
}

fn hash_file(path: &Path) -> io::Result<(Hash, u64)> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut sha = Sha1::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok((sha.finalize().into(), size));
        }
        sha.update(&buffer[..read]);
        size += read as u64;
    }
}

/// A resource header without compression: 7 bytes of size, flags, offset, size.
fn resource(offset: u64, size: u64, flags: u8) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&(size | u64::from(flags) << 56).to_le_bytes());
    bytes[8..16].copy_from_slice(&offset.to_le_bytes());
    bytes[16..].copy_from_slice(&size.to_le_bytes());
    bytes
}

fn align8(size: usize) -> usize {
    size.next_multiple_of(8)
}

fn small(value: usize) -> u16 {
    u16::try_from(value).expect("fits its field of 16 bits")
}

fn small32(value: usize) -> u32 {
    u32::try_from(value).expect("fits its field of 32 bits")
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn put_name(out: &mut Vec<u8>, name: &[u16]) {
    if !name.is_empty() {
        out.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        out.extend([0, 0]);
    }
}

/// One resource that the blob table of a WIM lists.
#[derive(Clone, Debug)]
pub struct Resource {
    /// SHA-1 of its content.
    pub hash: Hash,
    /// Where its stored form lies in the file.
    pub range: Range<u64>,
    /// Length of its content.
    pub size: u64,
    /// Whether the stored form is compressed.
    pub compressed: bool,
    /// Whether it is an image's metadata.
    pub metadata: bool,
}

/// Where the structures of a WIM lie. Only for files that are known to be good.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The blob table.
    pub table: Range<u64>,
    /// The XML data.
    pub xml: Range<u64>,
    /// The integrity table, when there is one.
    pub integrity: Option<Range<u64>>,
    /// Chunk size of compressed resources, in bytes.
    pub chunk_size: u32,
    /// What the blob table lists, in its order.
    pub resources: Vec<Resource>,
}

impl Layout {
    /// Reads header and blob table of the file at `path`.
    ///
    /// # Panics
    /// When that fails.
    pub fn of(path: &Path) -> Self {
        let read = || -> io::Result<Self> {
            let mut file = File::open(path)?;
            let mut header = [0; HEADER_SIZE];
            file.read_exact(&mut header)?;
            let table = header_range(&header, 0x30);
            let mut entries = vec![0; usize::try_from(table.end - table.start).map_err(io::Error::other)?];
            file.seek(SeekFrom::Start(table.start))?;
            file.read_exact(&mut entries)?;
            Ok(Self::parse(&header, &entries))
        };
        match read() {
            Ok(layout) => layout,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    fn parse(header: &[u8], entries: &[u8]) -> Self {
        let integrity = header_range(header, 0x7C);
        let resources = entries
            .chunks_exact(BLOB_ENTRY)
            .map(|entry| Resource {
                hash: entry[0x1E..].try_into().expect("20 bytes"),
                range: header_range(entry, 0),
                size: u64_at(entry, 16),
                compressed: entry[7] & 4 != 0,
                metadata: entry[7] & FLAG_METADATA != 0,
            })
            .collect();
        Self {
            table: header_range(header, 0x30),
            xml: header_range(header, 0x48),
            integrity: (integrity.start != 0).then_some(integrity),
            chunk_size: u32::from_le_bytes(header[0x14..0x18].try_into().expect("4 bytes")),
            resources,
        }
    }
}

fn header_range(bytes: &[u8], at: usize) -> Range<u64> {
    let start = u64_at(bytes, at + 8);
    start..start + (u64_at(bytes, at) & 0x00FF_FFFF_FFFF_FFFF)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args, tool};

    fn sample() -> WimFile {
        let mut wim = WimFile::new();
        let image = wim.image("one");
        let id = image.security(&crate::descriptor::descriptor("S-1-5-18", "S-1-5-18", None, Some(&[])));
        let root = image.root();
        let dir = image.add(root, Entry::directory("Dir").secured(id).stream("on-a-directory", "x"));
        let file =
            image.add(dir, Entry::file("long name.txt", "hello").short("LONGNA~1.TXT").stream("s", "stream"));
        image.link(file, root, "second");
        image.add(root, Entry::reparse_point("link", TAG_SYMLINK, symlink_data("Dir\\x")));
        image.add(root, Entry::file("empty", ""));
        wim
    }

    #[test]
    fn wimlib_reads_what_is_written() {
        let Some(wimlib) = tool("wimlib-imagex") else { return };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.wim");
        sample().save(&path);
        wimlib.run(args!["verify", &path]);
        let text = wimlib.text(args!["dir", &path]);
        assert_eq!(text, "/\n/Dir\n/Dir/long name.txt\n/empty\n/link\n/second\n");
        let dest = dir.path().join("out");
        wimlib.run(args!["apply", &path, &dest]);
        assert_eq!(std::fs::read(dest.join("second")).expect("the link"), b"hello");
        let target = std::fs::read_link(dest.join("link")).expect("the symbolic link");
        assert_eq!(target, Path::new("Dir/x"));
    }

    #[test]
    fn layout_finds_every_structure() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.wim");
        sample().save(&path);
        let bytes = std::fs::read(&path).expect("the file");
        assert_eq!(bytes, sample().to_bytes());
        let layout = Layout::of(&path);
        assert_eq!(layout.xml.end, bytes.len() as u64);
        assert_eq!(layout.resources.len(), 5, "x, hello, stream, reparse data, metadata");
        for resource in &layout.resources {
            let range =
                usize::try_from(resource.range.start).unwrap()..usize::try_from(resource.range.end).unwrap();
            assert_eq!(Hash::from(Sha1::digest(&bytes[range])), resource.hash);
        }
    }
}
