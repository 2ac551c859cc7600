//! From the bytes of a metadata resource to an [`Image`].
//!
//! The metadata is a graph: directories point at lists of entries by offset, and nothing in the format makes it a
//! tree. Two rules make it one. No two directories may have the same list, which excludes cycles and trees that double
//! at every level; and all entries that are read may not take more bytes than the metadata has, which excludes lists
//! that begin inside others. So time and memory are linear in the metadata's size, however the offsets point. The walk
//! is breadth-first over the growing array of dentries: no recursion, and siblings are neighbours.

use std::collections::{HashMap, VecDeque};

use disk::{At, FileTime};

use super::attributes::{DIRECTORY, REPARSE_POINT};
use super::inode::{ExtendedAttributes, Inode, Links, NamedStream, ObjectId, Reparse, StreamRef, TaggedItem};
use super::siblings::Siblings;
use super::streams::{Named, Streams, sort_out};
use super::{Dentry, DentryId, Image, InodeId};
use crate::blob::{BlobTable, NO_HASH};
use crate::layout::{dentry, sha1_at, stream_entry, tagged_item, u16_at, u32_at, u64_at};
use crate::warning::Warnings;
use crate::{BlobId, Error, Limits, Result};

const DENTRY: &str = "dentry in image metadata";
const LIST: &str = "directory in image metadata";
const STREAM: &str = "stream entry in image metadata";
const SECURITY: &str = "security data in image metadata";

/// A record of up to this length marks the end of a directory.
const END_MARKER: u64 = 8;

/// For the blobs of how many inodes is looked at a time. They are still in the nearest cache then.
const BATCH: usize = 64;

/// Parses the decoded metadata of an image.
pub(crate) fn parse(metadata: &[u8], blobs: &BlobTable, limits: &Limits) -> Result<Image> {
    let mut warnings = Warnings::default();
    let (security, root) = security_data(metadata, &mut warnings)?;
    let mut parser = Parser {
        metadata,
        blobs,
        limits,
        budget: metadata.len(),
        security_count: security.len(),
        dentries: Vec::new(),
        inodes: Vec::new(),
        resolved: 0,
        hashes: Vec::new(),
        found: Vec::new(),
        complete: true,
        links: HashMap::new(),
        lists: HashMap::new(),
        queue: VecDeque::new(),
        siblings: Siblings::default(),
        first_list: root,
        warnings,
    };
    parser.root(root)?;
    while let Some(directory) = parser.queue.pop_front() {
        parser.list(&directory)?;
    }
    parser.resolve();
    let Parser { mut dentries, mut inodes, warnings, complete, .. } = parser;
    dentries.shrink_to_fit();
    inodes.shrink_to_fit();
    Ok(Image { dentries, inodes, security, warnings: warnings.into_list(), complete })
}

/// The security descriptors, and where the root dentry begins.
fn security_data(metadata: &[u8], warnings: &mut Warnings) -> Result<(Vec<Box<[u8]>>, usize)> {
    let malformed = |reason: String| Err(Error::malformed(SECURITY, 0, reason));
    if metadata.len() < 8 {
        return malformed(format!("metadata has {} bytes, expected at least 8", metadata.len()));
    }
    // A length of 0 stands for 8 (observed: wimlib and 7-Zip read it so).
    let total = (u32_at(metadata, 0) as usize).max(8);
    let count = u32_at(metadata, 4) as usize;
    if total > metadata.len() {
        return malformed(format!("length is {total:#x}, the metadata has {:#x} bytes", metadata.len()));
    }
    let (sizes, mut rest) =
        match count.checked_mul(8).and_then(|len| metadata[8..total].split_at_checked(len)) {
            Some((sizes, rest)) => (sizes.as_chunks().0, rest),
            None => return malformed(format!("{count} descriptors do not fit its length {total:#x}")),
        };
    let mut descriptors = Vec::with_capacity(count);
    for (index, &size) in sizes.iter().enumerate() {
        let size = u64::from_le_bytes(size);
        let Some((descriptor, behind)) =
            usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size))
        else {
            return malformed(format!("descriptor {index} has {size:#x} bytes, {:#x} are left", rest.len()));
        };
        descriptors.push(descriptor.into());
        rest = behind;
    }
    if rest.len() >= 8 {
        warnings.push(SECURITY, 0, || format!("{} bytes after the last descriptor", rest.len()));
    }
    Ok((descriptors, total.next_multiple_of(8)))
}

/// A directory whose list is still to be read.
struct Pending {
    directory: DentryId,
    /// Where its list begins.
    list: u64,
    /// Length of the directory's path in UTF-16 units, 0 for the root's.
    path_units: u32,
}

/// A dentry record: slices of the metadata, lengths checked.
struct Record<'a> {
    position: usize,
    fixed: &'a [u8],
    name: &'a [u8],
    short_name: &'a [u8],
    tagged: &'a [u8],
    extra: Vec<Named<'a>>,
    /// Where the next record begins.
    next: usize,
}

impl Record<'_> {
    fn attributes(&self) -> u32 {
        u32_at(self.fixed, dentry::ATTRIBUTES)
    }

    fn is(&self, attributes: u32) -> bool {
        self.attributes() & attributes != 0
    }

    fn time(&self, at: usize) -> FileTime {
        FileTime(u64_at(self.fixed, at))
    }
}

struct Parser<'a> {
    metadata: &'a [u8],
    blobs: &'a BlobTable,
    limits: &'a Limits,
    /// How many bytes of records may still be read.
    budget: usize,
    security_count: usize,
    dentries: Vec<Dentry>,
    inodes: Vec<Inode>,
    /// Of how many of them the blobs were looked for; and room for doing so.
    resolved: usize,
    hashes: Vec<[u8; 20]>,
    found: Vec<Option<BlobId>>,
    /// Whether all were found.
    complete: bool,
    /// Files that may get more links, by group and content.
    links: HashMap<(u64, [u8; 20]), InodeId>,
    /// Whose list begins where.
    lists: HashMap<u64, DentryId>,
    queue: VecDeque<Pending>,
    siblings: Siblings<'a>,
    /// No list begins before.
    first_list: usize,
    warnings: Warnings,
}

impl<'a> Parser<'a> {
    fn root(&mut self, position: usize) -> Result<()> {
        let length = match self.metadata.get(position..).unwrap_or_default().first_chunk() {
            Some(&length) => u64::from_le_bytes(length),
            None => 0,
        };
        if length <= END_MARKER {
            self.warnings
                .push(DENTRY, position as u64, || "there is no root, so the image is empty".to_owned());
            let attributes = DIRECTORY;
            let mut fixed = [0; dentry::FIXED_LEN];
            fixed[dentry::ATTRIBUTES..][..4].copy_from_slice(&attributes.to_le_bytes());
            fixed[dentry::SECURITY..][..4].copy_from_slice(&dentry::NO_SECURITY.to_le_bytes());
            let record = Record {
                position,
                fixed: &fixed,
                name: &[],
                short_name: &[],
                tagged: &[],
                extra: Vec::new(),
                next: position,
            };
            return self.add(&record, DentryId(0), 0);
        }
        let record = self.record(position)?;
        if !record.is(DIRECTORY) {
            return Err(Error::malformed(
                DENTRY,
                position as u64,
                format!("root has attributes {:#x}, expected a directory", record.attributes()),
            ));
        }
        self.first_list = record.next;
        let named = !record.name.is_empty() || !record.short_name.is_empty();
        if named {
            self.warnings.push(DENTRY, position as u64, || "the root has a name, ignored it".to_owned());
        }
        let record = Record { name: &[], short_name: &[], ..record };
        self.add(&record, DentryId(0), 0)
    }

    /// Reads the entries of a directory.
    fn list(&mut self, pending: &Pending) -> Result<()> {
        let Pending { directory, list, path_units } = *pending;
        let malformed = |reason: String| Err(Error::malformed(LIST, list, reason));
        let len = self.metadata.len();
        let Some(mut position) = usize::try_from(list).ok().filter(|&list| list < len) else {
            return malformed(format!("entries of {} begin past the end {len:#x}", self.quoted(directory)));
        };
        if position < self.first_list || position % 8 != 0 {
            return malformed(format!(
                "entries of {} begin where none can, expected a multiple of 8 from {:#x} on",
                self.quoted(directory),
                self.first_list
            ));
        }
        // Empty directories may share their end marker.
        if self.length(position)? > END_MARKER
            && let Some(other) = self.lists.insert(list, directory)
        {
            return malformed(self.shared(directory, other));
        }
        let first_child = self.dentries.len();
        self.siblings.clear();
        while self.length(position)? > END_MARKER {
            let record = self.record(position)?;
            position = record.next;
            if let Some(problem) = problem_of_name(record.name) {
                self.left_out(&record, directory, problem);
            } else if !self.siblings.add(record.name) {
                self.left_out(&record, directory, "second entry of that name");
            } else {
                let name_units = (record.name.len() / 2) as u32;
                self.add(&record, directory, path_units.saturating_add(1 + name_units))?;
            }
        }
        let child_count = self.dentries.len() - first_child;
        let parent = &mut self.dentries[directory.0 as usize];
        (parent.first_child, parent.child_count) = (first_child as u32, child_count as u32);
        Ok(())
    }

    fn left_out(&mut self, record: &Record<'_>, directory: DentryId, problem: &str) {
        let directory = self.quoted(directory);
        self.warnings.push(DENTRY, record.position as u64, || {
            format!("left out {} in {directory}: {problem}", quoted(record.name))
        });
    }

    fn shared(&self, directory: DentryId, other: DentryId) -> String {
        let mut above = directory;
        while above != other && above != DentryId(0) {
            above = self.dentries[above.0 as usize].parent;
        }
        let (directory, name) = (self.quoted(directory), self.quoted(other));
        if above == other {
            format!("{directory} contains itself: its entries are those of {name}, which it is in")
        } else {
            format!("the entries of {directory} are also those of {name}")
        }
    }

    fn quoted(&self, id: DentryId) -> String {
        let name = &self.dentries[id.0 as usize].name;
        if name.is_empty() { "the root".to_owned() } else { format!("{:?}", String::from_utf16_lossy(name)) }
    }

    /// Length field of the record at `position`.
    fn length(&self, position: usize) -> Result<u64> {
        match self.metadata.get(position..).unwrap_or_default().first_chunk() {
            Some(&length) => Ok(u64::from_le_bytes(length)),
            None => Err(Error::malformed(
                DENTRY,
                position as u64,
                format!("metadata ends at {:#x}, inside a directory", self.metadata.len()),
            )),
        }
    }

    fn record(&mut self, position: usize) -> Result<Record<'a>> {
        let malformed = |reason: String| Err(Error::malformed(DENTRY, position as u64, reason));
        let metadata = self.metadata;
        let length = self.length(position)?;
        if length < dentry::FIXED_LEN as u64 {
            return malformed(format!("length is {length}, expected 0 or at least {}", dentry::FIXED_LEN));
        }
        let left = &metadata[position..];
        let Some(record) = usize::try_from(length).ok().and_then(|length| left.get(..length)) else {
            return malformed(format!("length is {length:#x}, but {:#x} bytes are left", left.len()));
        };
        if record.len() % 8 != 0 {
            self.warnings.push(DENTRY, position as u64, || {
                format!("length {length:#x} is not a multiple of 8, rounded up")
            });
        }
        let name_len = usize::from(u16_at(record, dentry::NAME_LEN));
        let short_name_len = usize::from(u16_at(record, dentry::SHORT_NAME_LEN));
        if name_len % 2 != 0 || short_name_len % 2 != 0 {
            return malformed(format!(
                "names have {name_len} and {short_name_len} bytes, expected even numbers"
            ));
        }
        let terminated = |len: usize| if len == 0 { 0 } else { len + 2 };
        let short_name_at = dentry::NAME + terminated(name_len);
        let names_end = short_name_at + terminated(short_name_len);
        if names_end > record.len() {
            return malformed(format!("length is {length}, but the names end at {names_end}"));
        }
        let mut next = (position + record.len()).next_multiple_of(8).min(metadata.len());
        let mut extra = Vec::new();
        for _ in 0..u16_at(record, dentry::STREAMS) {
            let (entry, end) = stream(metadata, next)?;
            extra.push(entry);
            next = end;
        }
        match self.budget.checked_sub(next - position) {
            Some(left) => self.budget = left,
            None => {
                return malformed(format!(
                    "directories overlap: their entries take more than the {:#x} bytes of the metadata",
                    metadata.len()
                ));
            }
        }
        Ok(Record {
            position,
            fixed: &record[..dentry::FIXED_LEN],
            name: &record[dentry::NAME..][..name_len],
            short_name: &record[short_name_at..][..short_name_len],
            tagged: record.get(names_end.next_multiple_of(8)..).unwrap_or_default(),
            extra,
            next,
        })
    }

    /// Adds a dentry to `parent`, its inode unless it is a link to one that is there, and its list to the queue.
    fn add(&mut self, record: &Record<'_>, parent: DentryId, path_units: u32) -> Result<()> {
        let at = At::new(DENTRY, record.position as u64);
        Limits::check(at, "path length", u64::from(path_units), u64::from(self.limits.path_units))?;
        let Ok(id) = u32::try_from(self.dentries.len()) else {
            return Err(Error::Limit {
                at,
                what: "number of dentries",
                found: self.dentries.len() as u64,
                limit: u64::from(u32::MAX),
            });
        };
        let id = DentryId(id);
        let inode = self.inode(record, id);
        self.dentries.push(Dentry {
            name: units(record.name),
            short_name: units(record.short_name),
            parent,
            inode,
            first_child: 0,
            child_count: 0,
        });
        let list = u64_at(record.fixed, dentry::SUBDIR);
        // A directory that is a reparse point has no children of its own.
        if record.is(DIRECTORY) && !record.is(REPARSE_POINT) && list != 0 {
            self.queue.push_back(Pending { directory: id, list, path_units });
        }
        Ok(())
    }

    /// The inode of a dentry: a new one, or the one that it is one more link to.
    ///
    /// Links are what shares the group number *and* the content. The number alone does not do: images of Windows 7 use
    /// one for different files. Where links differ in anything else the first decides, as it does for DISM.
    fn inode(&mut self, record: &Record<'_>, dentry_id: DentryId) -> InodeId {
        let streams = sort_out(record.attributes(), sha1_at(record.fixed, dentry::SHA1), &record.extra);
        let group = match record.is(REPARSE_POINT) {
            true => 0,
            false => u64_at(record.fixed, dentry::LINK_GROUP),
        };
        // There are no more inodes than dentries, so their number fits, too.
        let id = InodeId(self.inodes.len() as u32);
        if group != 0 && !record.is(DIRECTORY) {
            let content = streams.data.or(streams.efs).unwrap_or(NO_HASH);
            let known = *self.links.entry((group, content)).or_insert(id);
            if known != id {
                self.inodes[known.0 as usize].links.push(dentry_id);
                return known;
            }
        }
        let inode = self.new_inode(record, streams, group, dentry_id);
        self.inodes.push(inode);
        if self.inodes.len() - self.resolved >= BATCH {
            self.resolve();
        }
        id
    }

    /// Looks for the blobs of the last inodes.
    fn resolve(&mut self) {
        let inodes = &mut self.inodes[self.resolved..];
        self.hashes.clear();
        self.hashes.extend(inodes.iter().flat_map(Inode::streams).filter_map(|stream| match stream {
            StreamRef::Missing(sha1) => Some(*sha1),
            StreamRef::Empty | StreamRef::Blob { .. } => None,
        }));
        self.blobs.find_all(&self.hashes, &mut self.found);
        let mut found = self.found.iter();
        for stream in inodes.iter_mut().flat_map(Inode::streams_mut) {
            if let StreamRef::Missing(_) = stream {
                match *found.next().expect("one for each") {
                    Some(id) => *stream = StreamRef::Blob { id, size: self.blobs.blobs[id.0 as usize].size },
                    None => self.complete = false,
                }
            }
        }
        self.resolved = self.inodes.len();
    }

    fn new_inode(&mut self, record: &Record<'_>, streams: Streams<'_>, group: u64, link: DentryId) -> Inode {
        let at = record.position as u64;
        if streams.ignored > 0 {
            self.warnings.push(DENTRY, at, || {
                format!(
                    "{} has {} streams without a meaning, ignored them",
                    quoted(record.name),
                    streams.ignored
                )
            });
        }
        let security = match u32_at(record.fixed, dentry::SECURITY) {
            dentry::NO_SECURITY => None,
            id if (id as usize) < self.security_count => Some(id),
            id => {
                self.warnings.push(DENTRY, at, || {
                    format!(
                        "{} has security descriptor {id} of {}, taken for none",
                        quoted(record.name),
                        self.security_count
                    )
                });
                None
            }
        };
        // Until all of a batch are looked for.
        let stream = |sha1| if sha1 == NO_HASH { StreamRef::Empty } else { StreamRef::Missing(sha1) };
        let mut inode = Inode {
            attributes: record.attributes(),
            security,
            created: record.time(dentry::CREATED),
            accessed: record.time(dentry::ACCESSED),
            written: record.time(dentry::WRITTEN),
            data: streams.data.map(stream),
            named: streams
                .named
                .iter()
                .map(|&(name, sha1)| NamedStream { name: units(name), stream: stream(sha1) })
                .collect(),
            reparse: streams.reparse.map(|sha1| {
                Box::new(Reparse {
                    tag: u32_at(record.fixed, dentry::REPARSE_TAG),
                    reserved: u16_at(record.fixed, dentry::REPARSE_RESERVED),
                    flags: u16_at(record.fixed, dentry::REPARSE_FLAGS),
                    stream: stream(sha1),
                })
            }),
            efs: streams.efs.map(|sha1| Box::new(stream(sha1))),
            object_id: None,
            eas: ExtendedAttributes::default(),
            tagged: Box::default(),
            hard_link_group: group,
            links: Links::one(link),
        };
        self.tagged_items(record, &mut inode);
        inode
    }

    fn tagged_items(&mut self, record: &Record<'_>, inode: &mut Inode) {
        let at = record.position as u64;
        let mut unknown = Vec::new();
        let mut rest = record.tagged;
        while let Some((header, behind)) = rest.split_at_checked(tagged_item::HEADER_LEN) {
            let (tag, length) = (u32_at(header, 0), u32_at(header, 4));
            let Some(data) = behind.get(..length as usize) else {
                self.warnings.push(DENTRY, at, || {
                    format!("tagged item {tag:#x} has {length:#x} bytes of {:#x}, ignored it", behind.len())
                });
                break;
            };
            rest = behind.get(data.len().next_multiple_of(8)..).unwrap_or_default();
            match (tag, data) {
                // Padding that longer records leave.
                (0, []) => {}
                (tagged_item::OBJECT_ID, [..]) if data.len() >= 16 && inode.object_id.is_none() => {
                    let id = *data.first_chunk().expect("at least 16 bytes");
                    let birth = data[16..].first_chunk().copied();
                    inode.object_id = Some(Box::new(ObjectId { id, birth }));
                }
                (tagged_item::EXTENDED_ATTRIBUTES, [..]) if inode.eas.is_empty() => {
                    let (eas, kept) = ExtendedAttributes::parse(data);
                    inode.eas = eas;
                    if data[kept..].iter().any(|&byte| byte != 0) {
                        self.warnings.push(DENTRY, at, || {
                            format!("extended attributes end at {kept:#x} of {length:#x}, ignored the rest")
                        });
                    }
                }
                _ => unknown.push(TaggedItem { tag, data: data.into() }),
            }
        }
        inode.tagged = unknown.into_boxed_slice();
    }
}

/// The stream entry at `position`, and where the next begins.
fn stream(metadata: &[u8], position: usize) -> Result<(Named<'_>, usize)> {
    let malformed = |reason: String| Err(Error::malformed(STREAM, position as u64, reason));
    let left = metadata.get(position..).unwrap_or_default();
    let Some(&length) = left.first_chunk() else {
        return malformed(format!("metadata ends at {:#x}", metadata.len()));
    };
    let length = u64::from_le_bytes(length);
    if length < stream_entry::FIXED_LEN as u64 {
        return malformed(format!("length is {length}, expected at least {}", stream_entry::FIXED_LEN));
    }
    let Some(record) = usize::try_from(length).ok().and_then(|length| left.get(..length)) else {
        return malformed(format!("length is {length:#x}, but {:#x} bytes are left", left.len()));
    };
    let name_len = usize::from(u16_at(record, stream_entry::NAME_LEN));
    let Some(name) = record[stream_entry::NAME..].get(..name_len).filter(|_| name_len % 2 == 0) else {
        return malformed(format!(
            "name has {name_len} bytes, expected an even number in a record of {length}"
        ));
    };
    let next = (position + record.len()).next_multiple_of(8).min(metadata.len());
    Ok(((name, sha1_at(record, stream_entry::SHA1)), next))
}

fn units(bytes: &[u8]) -> Box<[u16]> {
    bytes.as_chunks().0.iter().map(|&unit| u16::from_le_bytes(unit)).collect()
}

fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf16_lossy(&units(name)))
}

/// Why a name cannot be one in a directory.
///
/// `.` and `..` would lead out of the image, and so would a separator in a name for whoever joins paths as text. No
/// file system of Windows can store any of them.
fn problem_of_name(name: &[u8]) -> Option<&'static str> {
    let mut units = name.as_chunks().0.iter().map(|&unit| u16::from_le_bytes(unit));
    match name {
        [] => Some("empty name"),
        b".\0" | b".\0.\0" => Some("name of a directory above"),
        _ if units.any(|unit| [0, b'/', b'\\'].map(u16::from).contains(&unit)) => {
            Some("name with a separator or zero character")
        }
        _ => None,
    }
}
