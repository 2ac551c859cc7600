//! A finished disk against the image it was built from: every path, name, stream, hash, attribute, time, security
//! descriptor, link and reparse point.
//!
//! What a volume cannot hold as the image has it (two short names that are the same, say) is decided by the planner, so
//! it is asked again here. What the build changed on purpose (hives, boot files) is in its own record, with the hash that
//! each file must have. These two are the only differences that are expected; they are listed as such. All else is a
//! difference, also something that is recorded and not there. The disk's streams are hashed in the order in which they
//! lie, by all threads; the image's need not be read, its hashes are stated.

mod hashing;
mod record;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64};

use disk::hex;
use ntfs_writer as ntfs;
use serde::Serialize;
use sha1::{Digest, Sha1};

use self::hashing::{ToHash, hash, other_hash};
use self::record::{Record, describe, stated};
use crate::disk_source::{DiskBlobs, DiskVolume, Scope};
use crate::edit::{Action, Change};
use crate::error::with_causes;
use crate::link::MAX_REPARSE;
use crate::pipeline::{BlobRead, BlobStore};
use crate::source::{WimBlobs, WimSource};
use crate::tree::{
    ATTRIBUTE_COMPRESSED, ATTRIBUTE_REPARSE_POINT, Content, Name, Node, NodeId, ObjectId, Reparse, Times,
    Tree,
};
use crate::tree_index::fold;
use crate::{Result, volume};

/// How to compare.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions<'a> {
    /// The threads to hash with.
    pub pool: &'a rayon::ThreadPool,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
    /// Bytes hashed so far, for whoever shows it.
    pub hashed: &'a AtomicU64,
    /// Bytes that will be hashed, once it is known.
    pub total: &'a AtomicU64,
    /// What the build changed on purpose, on all partitions.
    pub record: &'a [Change],
}

/// Something that is not as in the image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// The file, with backslashes; streams after a colon.
    pub path: String,
    /// What was found and what was expected.
    pub what: String,
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// Files and directories of the image, each once whatever its number of names.
    pub files: u64,
    /// Their names.
    pub names: u64,
    /// Bytes of the disk's streams that were hashed.
    pub bytes: u64,
    /// What differs, by path; at most [`MAX_LISTED`].
    pub differences: Vec<Difference>,
    /// How many differences there are, listed or not.
    pub different: u64,
    /// What differs because a volume cannot hold it otherwise, or because the image contradicts itself.
    pub expected: Vec<String>,
    /// What was noticed while the disk was read.
    pub notes: Vec<String>,
}

/// Differences that a [`Comparison`] lists.
pub const MAX_LISTED: usize = 1000;

const ATTRIBUTE_NORMAL: u32 = 0x80;
/// LZNT1 needs clusters up to this size.
const MAX_COMPRESSED_CLUSTER: u32 = 4096;

/// Compares a volume with image `index` of a WIM.
///
/// # Errors
/// When either cannot be read as a tree; damage of single files is a difference.
pub fn compare(
    disk: &DiskVolume,
    source: &WimSource,
    index: u32,
    options: CompareOptions<'_>,
) -> Result<Comparison> {
    let tree = source.tree(index)?;
    let planner = planner_notes(&tree, disk.info()?.cluster_size)?;
    compare_trees(disk, source, index, &tree, planner, options)
}

/// Compares a volume that holds nothing of an image but what the build put there, such as the System partition, with
/// the build's record.
///
/// # Errors
/// As for [`compare`].
pub fn compare_with_record(
    disk: &DiskVolume,
    source: &WimSource,
    index: u32,
    options: CompareOptions<'_>,
) -> Result<Comparison> {
    let tree = Tree::empty(Times::default());
    compare_trees(disk, source, index, &tree, Planner::default(), options)
}

/// The root itself counts unless the image's tree is empty.
fn compare_trees(
    disk: &DiskVolume,
    source: &WimSource,
    index: u32,
    tree: &Tree,
    planner: Planner,
    options: CompareOptions<'_>,
) -> Result<Comparison> {
    let cluster_size = disk.info()?.cluster_size;
    let (mut disk_tree, disk_blobs) = disk.tree(&Scope::all())?;
    let record = Record::new(options.record, disk.partition().number, tree);
    let mut comparison = Comparison {
        files: tree.nodes.len() as u64,
        names: tree.names.len() as u64,
        expected: planner.texts,
        notes: std::mem::take(&mut disk_tree.notes),
        ..Comparison::default()
    };
    let image_blobs = source.blobs(index);
    let mut pair = Pair {
        image: Side::new(tree),
        disk: Side::new(&disk_tree),
        image_blobs: &image_blobs,
        disk_blobs: &disk_blobs,
        cluster_size,
        short_dropped: planner.short_dropped,
        id_dropped: planner.id_dropped,
        short_made: 0,
        record,
        found: Vec::new(),
        streams: Vec::new(),
        partner: vec![None; tree.nodes.len()],
        partner_of_disk: HashMap::new(),
    };
    pair.walk()?;
    let Pair { mut found, streams, short_made, record, .. } = pair;
    for (change, met) in record.changes.values() {
        match met {
            true => comparison.expected.push(describe(change)),
            false => found.push(Difference {
                path: change.path.clone(),
                what: format!("is not as the build recorded it ({})", describe(change)),
            }),
        }
    }
    if short_made > 0 {
        comparison
            .expected
            .push(format!("{short_made} names have a short name that the image does not give them"));
    }
    comparison.bytes = hash(&disk_blobs, streams, options, &mut found)?;
    found.sort();
    comparison.different = found.len() as u64;
    found.truncate(MAX_LISTED);
    comparison.differences = found;
    Ok(comparison)
}

/// What the planner has to change.
#[derive(Default)]
struct Planner {
    texts: Vec<String>,
    short_dropped: HashSet<String>,
    id_dropped: HashSet<String>,
}

/// A path as the planner's notes have it, with control characters as escapes.
fn as_noted(path: &str) -> Cow<'_, str> {
    if !path.contains(char::is_control) {
        return path.into();
    }
    let mut noted = String::with_capacity(path.len() + 8);
    for c in path.chars() {
        if c.is_control() { noted.extend(c.escape_default()) } else { noted.push(c) }
    }
    noted.into()
}

fn planner_notes(tree: &Tree, cluster_size: u32) -> Result<Planner> {
    // The partition's place does not matter, but large clusters want it to be on one.
    let options = ntfs::Options { cluster_size, hidden_sectors: 1 << 12, ..ntfs::Options::default() };
    let plan = volume::plan(tree.clone(), options, "Windows")?;
    let mut planner = Planner::default();
    for note in plan.notes() {
        match note {
            ntfs::Note::ShortNameDropped { path, .. } => {
                planner.short_dropped.insert(path.clone());
            }
            ntfs::Note::ObjectIdDropped { path } => {
                planner.id_dropped.insert(path.clone());
            }
            _ => {}
        }
        planner.texts.push(note.to_string());
    }
    Ok(planner)
}

/// One of the two trees.
struct Side<'a> {
    tree: &'a Tree,
    /// The names in each directory, sorted by their units.
    children: HashMap<NodeId, Vec<&'a Name>>,
}

impl<'a> Side<'a> {
    fn new(tree: &'a Tree) -> Self {
        let mut children: HashMap<NodeId, Vec<&Name>> = HashMap::new();
        for name in &tree.names {
            children.entry(name.parent).or_default().push(name);
        }
        for names in children.values_mut() {
            names.sort_by(|a, b| a.long.cmp(&b.long));
        }
        Self { tree, children }
    }

    fn node(&self, id: NodeId) -> &'a Node {
        &self.tree.nodes[id.0 as usize]
    }

    fn names_in(&self, directory: NodeId) -> &[&'a Name] {
        self.children.get(&directory).map_or(&[], Vec::as_slice)
    }
}

struct Pair<'a> {
    image: Side<'a>,
    disk: Side<'a>,
    image_blobs: &'a WimBlobs<'a>,
    disk_blobs: &'a DiskBlobs<'a>,
    cluster_size: u32,
    short_dropped: HashSet<String>,
    id_dropped: HashSet<String>,
    short_made: u64,
    record: Record<'a>,
    found: Vec<Difference>,
    streams: Vec<ToHash>,
    /// The disk's file for each of the image's, and the other way round: links are the same on both sides.
    partner: Vec<Option<NodeId>>,
    partner_of_disk: HashMap<NodeId, NodeId>,
}

impl Pair<'_> {
    fn differs(&mut self, path: &str, what: impl Into<String>) {
        self.found.push(Difference { path: path.to_owned(), what: what.into() });
    }

    fn walk(&mut self) -> Result<()> {
        let mut image_reader = self.image_blobs.reader();
        let mut disk_reader = self.disk_blobs.reader();
        let mut readers = Readers { image: image_reader.as_mut(), disk: disk_reader.as_mut() };
        if !self.image.tree.names.is_empty() {
            self.nodes(NodeId::ROOT, NodeId::ROOT, "\\", &mut readers);
        }
        let mut stack = vec![(NodeId::ROOT, NodeId::ROOT, String::new())];
        while let Some((image, disk, path)) = stack.pop() {
            let mut wanted = self.image.names_in(image).to_vec().into_iter().peekable();
            let mut there = self.disk.names_in(disk).to_vec().into_iter().peekable();
            loop {
                let order = match (wanted.peek(), there.peek()) {
                    (None, None) => break,
                    (Some(_), None) => std::cmp::Ordering::Less,
                    (None, Some(_)) => std::cmp::Ordering::Greater,
                    (Some(a), Some(b)) => a.long.cmp(&b.long),
                };
                let left = if order.is_le() { wanted.next() } else { None };
                let right = if order.is_ge() { there.next() } else { None };
                let name = left.or(right).expect("one of them is there");
                let path = format!("{path}\\{}", String::from_utf16_lossy(&name.long));
                match (left, right) {
                    (Some(left), Some(right)) => {
                        self.names(left, right, &path, &mut readers);
                        let both = self.image.node(left.node).is_directory()
                            && self.disk.node(right.node).is_directory();
                        if both {
                            stack.push((left.node, right.node, path));
                        }
                    }
                    (Some(_), None) => {
                        if self.record.meet(&path, Action::Removed).is_none() {
                            self.differs(&path, "is not on the disk");
                        }
                    }
                    (_, Some(right)) => self.added(right.node, path),
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }

    /// Something that only the disk has, and all below it: in the record, or a difference.
    fn added(&mut self, disk: NodeId, path: String) {
        let mut open = vec![(disk, path)];
        while let Some((id, path)) = open.pop() {
            let Some(change) = self.record.meet(&path, Action::Added) else {
                self.differs(&path, "is not in the image");
                continue;
            };
            let node = self.disk.node(id);
            if node.is_directory() {
                if change.size.is_some() {
                    self.differs(&path, "is a directory, a file was recorded");
                }
                for name in self.disk.names_in(id) {
                    open.push((name.node, format!("{path}\\{}", String::from_utf16_lossy(&name.long))));
                }
            } else {
                let found = node.data.clone().unwrap_or(Content::Empty);
                self.recorded(change, &found, path);
            }
        }
    }

    /// A content of the disk against what the record says of it.
    fn recorded(&mut self, change: &Change, disk: &Content, path: String) {
        match (change.size, stated(change)) {
            (Some(size), Some(expected)) => self.stated_content(size, expected, disk, path),
            // What holds secrets is recorded without its hash.
            (Some(size), None) if change.sha1.is_none() => {
                if disk.len() != size {
                    self.differs(&path, format!("{} bytes, {size} in the build's record", disk.len()));
                }
            }
            _ => self.differs(&path, "has no size and SHA-1 in the build's record"),
        }
    }

    fn names(&mut self, image: &Name, disk: &Name, path: &str, readers: &mut Readers<'_>) {
        if image.short != disk.short && !self.short_dropped.contains(&*as_noted(path)) {
            // A name that is its own short name may be written as both or as one.
            if image.short.is_none() && disk.short.is_some() {
                // Made by `--short-names`, or by Windows.
                self.short_made += 1;
            }
            let own = |name: &Name| name.short.as_ref().is_none_or(|short| fold(short) == fold(&name.long));
            if image.short.is_some() && !(own(image) && own(disk)) {
                let show = |name: &Option<Box<[u16]>>| {
                    name.as_ref().map_or_else(|| "none".to_owned(), |units| String::from_utf16_lossy(units))
                };
                let what = format!("short name {}, expected {}", show(&disk.short), show(&image.short));
                self.differs(path, what);
            }
        }
        match (self.partner[image.node.0 as usize], self.partner_of_disk.get(&disk.node).copied()) {
            (None, None) => self.nodes(image.node, disk.node, path, readers),
            (Some(partner), Some(back)) if partner == disk.node && back == image.node => {}
            _ => self.differs(path, "is a link to another file than in the image"),
        }
    }

    /// Compares two files, seen for the first time.
    fn nodes(&mut self, image_id: NodeId, disk_id: NodeId, path: &str, readers: &mut Readers<'_>) {
        self.partner[image_id.0 as usize] = Some(disk_id);
        self.partner_of_disk.insert(disk_id, image_id);
        let (image, disk) = (self.image.node(image_id), self.disk.node(disk_id));

        let changed = self.record.changed.get(&image_id).cloned();
        if changed.is_none() {
            self.attributes_and_times(image, disk, path);
        }
        if let Some(wanted) = image.security {
            let wanted = &self.image.tree.descriptors[wanted.0 as usize];
            let there = disk.security.map(|id| &self.disk.tree.descriptors[id.0 as usize]);
            if there != Some(wanted) {
                let show = |descriptor: &[u8]| crate::sddl(descriptor).unwrap_or_else(|| hex(descriptor));
                let found = there.map_or_else(|| "none".to_owned(), |found| show(found));
                self.differs(path, format!("security descriptor {found}, expected {}", show(wanted)));
            }
        }
        if birth_of(image) != birth_of(disk) && !self.id_dropped.contains(&*as_noted(path)) {
            self.differs(path, "another object id");
        }
        if image.extended != disk.extended {
            self.differs(path, "other extended attributes");
        }
        self.reparse(image.reparse.as_deref(), disk.reparse.as_deref(), path, readers);
        let change = changed.map(|key| {
            let (change, met) = self.record.changes.get_mut(&key).expect("it is there by this key");
            *met = true;
            *change
        });
        self.streams_of(image, disk, path, change);
    }

    fn attributes_and_times(&mut self, image: &Node, disk: &Node, path: &str) {
        let mut attributes = image.attributes & !(ATTRIBUTE_NORMAL | ATTRIBUTE_REPARSE_POINT);
        if image.reparse.is_some() {
            attributes |= ATTRIBUTE_REPARSE_POINT;
        }
        if self.cluster_size > MAX_COMPRESSED_CLUSTER {
            attributes &= !ATTRIBUTE_COMPRESSED;
        }
        if disk.attributes & !ATTRIBUTE_NORMAL != attributes {
            self.differs(path, format!("attributes {:#x}, expected {attributes:#x}", disk.attributes));
        }
        for (which, found, expected) in [
            ("created", disk.times.created, image.times.created),
            ("written", disk.times.written, image.times.written),
            ("accessed", disk.times.accessed, image.times.accessed),
        ] {
            if found != expected {
                self.differs(path, format!("{which} {found}, expected {expected}"));
            }
        }
    }

    fn streams_of(&mut self, image: &Node, disk: &Node, path: &str, change: Option<&Change>) {
        let empty = Content::Empty;
        if image.is_directory() != disk.is_directory() {
            self.differs(path, if disk.is_directory() { "is a directory" } else { "is no directory" });
        } else {
            let of = |node: &Node| node.data.clone().unwrap_or(empty.clone());
            match change {
                Some(change) => self.recorded(change, &of(disk), path.to_owned()),
                None => self.content(&of(image), &of(disk), path.to_owned()),
            }
        }
        let by_name = |node: &Node| -> BTreeMap<Box<[u16]>, Content> {
            node.named.iter().map(|stream| (stream.name.clone(), stream.content.clone())).collect()
        };
        let (wanted, mut there) = (by_name(image), by_name(disk));
        for (name, content) in wanted {
            let path = format!("{path}:{}", String::from_utf16_lossy(&name));
            match there.remove(&name) {
                Some(found) => self.content(&content, &found, path),
                None => self.differs(&path, "is not on the disk"),
            }
        }
        for name in there.into_keys() {
            let path = format!("{path}:{}", String::from_utf16_lossy(&name));
            self.differs(&path, "is not in the image");
        }
    }

    /// Compares lengths, and hashes as far as they are known; others are for [`hash`].
    fn content(&mut self, image: &Content, disk: &Content, path: String) {
        let expected = match image {
            Content::Blob { blob, .. } => self.image_blobs.sha1(*blob),
            Content::Bytes(bytes) => Sha1::digest(bytes).into(),
            _ => Sha1::digest([]).into(),
        };
        self.stated_content(image.len(), expected, disk, path);
    }

    fn stated_content(&mut self, len: u64, expected: [u8; 20], disk: &Content, path: String) {
        if disk.len() != len {
            return self.differs(&path, format!("{} bytes, expected {len}", disk.len()));
        }
        match disk {
            _ if len == 0 => {}
            Content::Blob { blob, .. } => self.streams.push(ToHash { blob: *blob, expected, path }),
            Content::Bytes(bytes) => {
                let found: [u8; 20] = Sha1::digest(bytes).into();
                if found != expected {
                    self.found.push(other_hash(path, &found, &expected));
                }
            }
            _ => self.differs(&path, format!("a hole, expected SHA-1 {}", hex(&expected))),
        }
    }

    fn reparse(
        &mut self,
        image: Option<&Reparse>,
        disk: Option<&Reparse>,
        path: &str,
        readers: &mut Readers<'_>,
    ) {
        match (image, disk) {
            (None, None) => {}
            (Some(_), None) => self.differs(path, "has no reparse point"),
            (None, Some(found)) => self.differs(path, format!("has a reparse point (tag {:#x})", found.tag)),
            (Some(wanted), Some(found)) => {
                let bytes = |content: &Content, reader: &mut dyn BlobRead| -> Result<Vec<u8>> {
                    match content {
                        Content::Bytes(bytes) => Ok(bytes.to_vec()),
                        &Content::Blob { blob, len } if len <= MAX_REPARSE => {
                            let mut data = vec![0; len as usize];
                            reader.read_at(blob, 0, &mut data).map(|()| data)
                        }
                        _ => Ok(Vec::new()),
                    }
                };
                let wanted_data = bytes(&wanted.data, readers.image);
                let found_data = bytes(&found.data, readers.disk);
                match (wanted_data, found_data) {
                    (Ok(wanted_data), Ok(found_data)) => {
                        let head = |reparse: &Reparse| (reparse.tag, reparse.reserved, reparse.data.len());
                        if head(wanted) != head(found) || wanted_data != found_data {
                            let (found, wanted) = (found.tag, wanted.tag);
                            self.differs(
                                path,
                                format!("another reparse point (tag {found:#x}, expected {wanted:#x})"),
                            );
                        }
                    }
                    (Err(error), _) | (_, Err(error)) => self.differs(path, with_causes(&error)),
                }
            }
        }
    }
}

/// A reader for small contents of either side.
struct Readers<'a> {
    image: &'a mut (dyn BlobRead + Send + 'a),
    disk: &'a mut (dyn BlobRead + Send + 'a),
}

/// An object id with its births; those that the planner makes up where the image has none count as none.
fn birth_of(node: &Node) -> Option<([u8; 16], Option<[u8; 48]>)> {
    let ObjectId { id, birth } = *node.object_id.as_deref()?;
    let made_up = |birth: &[u8; 48]| {
        birth[..16].iter().all(|&byte| byte == 0)
            && birth[16..32] == id
            && birth[32..].iter().all(|&byte| byte == 0)
    };
    Some((id, birth.filter(|birth| !made_up(birth))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_notes() {
        let mut builder = ntfs::Builder::new(ntfs::Options::default()).unwrap();
        let folder = ntfs::Node { attributes: 0x10, ..ntfs::Node::default() };
        let mut parent = ntfs::NodeId::ROOT;
        let mut path = String::new();
        // More directories than the writer once looked at, and a name that no terminal should see.
        for _ in 0..700 {
            let node = builder.add_node(folder.clone()).unwrap();
            builder.link(parent, ntfs::Name::new("d"), node).unwrap();
            parent = node;
            path.push_str("\\d");
        }
        let file = builder.add_node(ntfs::Node::default()).unwrap();
        let short = Some("AB".encode_utf16().collect());
        builder.link(parent, ntfs::Name { short, ..ntfs::Name::new("a\u{1}b") }, file).unwrap();
        path.push_str("\\a\u{1}b");
        let plan = builder.plan().unwrap();
        let dropped = plan.notes().iter().find_map(|note| match note {
            ntfs::Note::ShortNameDropped { path, .. } => Some(path.as_str()),
            _ => None,
        });
        assert_eq!(dropped, Some(&*as_noted(&path)));
        assert_eq!(as_noted("\\plain"), "\\plain");
    }
}
