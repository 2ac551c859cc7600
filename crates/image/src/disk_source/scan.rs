//! From a volume to a tree.
//!
//! Directories are walked from the root by their indexes; every file is read once, whatever its names. A
//! directory that is met a second time (a loop, or a second name) is left out, as are names that lead to no file and
//! files that contradict themselves, each with a note: the rest of a damaged volume is still worth having.

use std::collections::{HashMap, HashSet, VecDeque};

use disk::FileTime;
use ntfs_writer::parse::{WOF_STREAM, record_of};
use ntfs_writer::read::{self, Budget, DirEntry, File, Volume};

use super::DiskVolume;
use super::blobs::{NtfsBlobs, Stream};
use super::trail::{Step, Trail};
use crate::Result;
use crate::glob::Pattern;
use crate::tree::{
    ATTRIBUTE_DIRECTORY, ATTRIBUTE_REPARSE_POINT, ATTRIBUTE_SPARSE_FILE, Content, DescriptorId,
    ExtendedAttribute, Name, NamedStream, Node, NodeId, ObjectId, Reparse, Times, Tree, as_u32,
};

/// Bits of the attributes that are NTFS's own: indexes of file names and of other things.
const INTERNAL: u32 = 0x3000_0000;
/// In a file with extended attributes NTFS sets this bit, which to programs means something else.
const HAS_EA: u32 = 0x0004_0000;
/// Bytes of metadata read at the most: the indexes of some 14 million names.
const MAX_METADATA: u64 = 2 << 30;
/// Notes kept; the others are counted.
const MAX_NOTES: usize = 1000;
/// The namespace of names that have a short one beside them.
const WIN32: u8 = 1;
/// The namespace of short names.
const DOS: u8 = 2;
/// The namespace of names that are their own short names.
const WIN32_AND_DOS: u8 = 3;

/// What of a volume is read.
#[derive(Clone, Debug)]
pub struct Scope {
    /// `None` for everything.
    wanted: Option<Vec<Wanted>>,
}

/// A path that is wanted.
#[derive(Clone, Debug)]
struct Wanted {
    /// Its components up to the first pattern.
    components: Vec<Vec<u16>>,
    /// Levels to list below these; `None` for all.
    levels: Option<u32>,
}

/// What of a directory is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Below {
    /// It and so many levels below; `None` for all.
    Levels(Option<u32>),
    /// It, and what these paths lead to: the path's number, and which of its components comes next.
    Paths(Vec<(usize, usize)>),
}

impl Scope {
    /// The whole volume.
    pub fn all() -> Self {
        Self { wanted: None }
    }

    /// What the paths name, `*`, `?` and `[a-z]` allowed, and what is listed of it: what a directory holds or, when
    /// `recursive`, all below.
    ///
    /// The directories on the way are read whole, so that a name in them is found however it is spelled.
    pub fn paths<'p>(paths: impl IntoIterator<Item = &'p str>, recursive: bool) -> Self {
        let wanted = |path: &str| {
            let parts: Vec<&str> =
                path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
            let literal = parts.iter().take_while(|part| !Pattern::is_pattern(part)).count();
            let components = parts[..literal].iter().map(|part| part.encode_utf16().collect()).collect();
            let levels = if recursive { None } else { Some((parts.len() - literal) as u32) };
            Wanted { components, levels }
        };
        Self { wanted: Some(paths.into_iter().map(wanted).collect()) }
    }

    pub(crate) fn below_root(&self) -> Below {
        match &self.wanted {
            None => Below::Levels(None),
            Some(wanted) => self.reduce((0..wanted.len()).map(|path| (path, 0)).collect()),
        }
    }

    /// When a path has no more components, what is below counts by levels.
    fn reduce(&self, paths: Vec<(usize, usize)>) -> Below {
        let wanted = self.wanted.as_deref().unwrap_or_default();
        let mut deepest: Option<Option<u32>> = None;
        for &(path, next) in &paths {
            if next == wanted[path].components.len() {
                deepest = Some(match (deepest, wanted[path].levels) {
                    (None, levels) => levels,
                    (Some(Some(before)), Some(levels)) => Some(before.max(levels)),
                    _ => None,
                });
            }
        }
        match deepest {
            // A path that leads on from here needs no less than all its components.
            Some(Some(levels)) => {
                let mut longer = paths.iter().map(|&(path, next)| {
                    let rest = wanted[path].components.len() - next;
                    wanted[path].levels.map(|levels| levels.saturating_add(rest as u32))
                });
                Below::Levels(longer.try_fold(levels, |a, b| Some(a.max(b?))))
            }
            Some(None) => Below::Levels(None),
            None => Below::Paths(paths),
        }
    }

    /// What is wanted of a directory in one of which this is wanted; `None` for nothing.
    pub(crate) fn below(&self, above: &Below, same: impl Fn(&[u16]) -> bool) -> Option<Below> {
        match above {
            Below::Levels(None) => Some(Below::Levels(None)),
            Below::Levels(Some(0)) => None,
            Below::Levels(Some(levels)) => Some(Below::Levels(Some(levels - 1))),
            Below::Paths(paths) => {
                let wanted = self.wanted.as_deref().unwrap_or_default();
                let on = paths.iter().filter(|&&(path, next)| same(&wanted[path].components[next]));
                let on: Vec<_> = on.map(|&(path, next)| (path, next + 1)).collect();
                if on.is_empty() { None } else { Some(self.reduce(on)) }
            }
        }
    }
}

/// A tree while it grows.
struct Scan<'v> {
    source: &'v DiskVolume,
    volume: &'v Volume,
    budget: Budget,
    tree: Tree,
    /// Which node a file became, by reference; `None` for one that is damaged.
    node_of: HashMap<u64, Option<NodeId>>,
    /// References to the files; index = [`NodeId`].
    references: Vec<u64>,
    /// Which directories have their name; index = [`NodeId`].
    placed: Vec<bool>,
    descriptor_of: HashMap<u32, Option<DescriptorId>>,
    own_descriptors: HashMap<Box<[u8]>, DescriptorId>,
    streams: Vec<(u64, Stream)>,
    stream_names: Vec<Box<[u16]>>,
    stream_name_of: HashMap<Box<[u16]>, u32>,
    notes_left_out: usize,
    /// The directories that are looked into.
    trail: Trail,
}

/// What a fault is to a scan.
enum Fault {
    /// The scan cannot go on.
    Fatal(read::Error),
    /// Something is left out.
    Note(read::Error),
}

impl From<read::Error> for Fault {
    fn from(error: read::Error) -> Self {
        match error {
            read::Error::Malformed { .. }
            | read::Error::NotFound { .. }
            | read::Error::Unsupported { .. } => Self::Note(error),
            _ => Self::Fatal(error),
        }
    }
}

/// Reads what the scope asks for.
pub(super) fn scan<'v>(
    source: &'v DiskVolume,
    volume: &'v Volume,
    scope: &Scope,
) -> Result<(Tree, NtfsBlobs<'v>)> {
    let mut scan = Scan {
        source,
        volume,
        budget: Budget::new(volume.available().min(MAX_METADATA)),
        tree: Tree { nodes: Vec::new(), names: Vec::new(), descriptors: Vec::new(), notes: Vec::new() },
        node_of: HashMap::new(),
        references: Vec::new(),
        placed: Vec::new(),
        descriptor_of: HashMap::new(),
        own_descriptors: HashMap::new(),
        streams: Vec::new(),
        stream_names: vec![Box::default()],
        stream_name_of: HashMap::from([(Box::default(), 0)]),
        notes_left_out: 0,
        trail: Trail::new(),
    };
    scan.walk(scope).map_err(|error| source.error(error))?;
    Ok(scan.finish())
}

impl<'v> Scan<'v> {
    fn note(&mut self, path: &str, error: read::Error) {
        if self.tree.notes.len() < MAX_NOTES {
            self.tree.notes.push(error.with_path(|| path.to_owned()).to_string());
        } else {
            self.notes_left_out += 1;
        }
    }

    fn walk(&mut self, scope: &Scope) -> read::Result<()> {
        let root = self.volume.root()?;
        let node = match self.node(&root) {
            Ok(node) => node,
            Err(Fault::Fatal(error) | Fault::Note(error)) => return Err(error.with_path(|| "/".to_owned())),
        };
        self.add(node, root.reference());
        self.placed[0] = true;
        // By reference, so that the records of all directories are not in memory at once.
        let mut stack = vec![(NodeId::ROOT, root.reference(), Step::ROOT, scope.below_root())];
        while let Some((node, reference, step, below)) = stack.pop() {
            let first = self.tree.names.len();
            match self.directory(node, reference, step) {
                Ok(()) => {}
                Err(Fault::Fatal(error)) => return Err(error.with_path(|| self.trail.path(step))),
                Err(Fault::Note(error)) => {
                    let path = self.trail.path(step);
                    self.note(if path.is_empty() { "/" } else { &path }, error);
                }
            }
            let mut inside = Vec::new();
            for name in &self.tree.names[first..] {
                let child = &self.tree.nodes[name.node.0 as usize];
                if !child.is_directory() || child.reparse.is_some() {
                    continue;
                }
                let same = |wanted: &[u16]| {
                    let equal = |name: &[u16]| self.volume.same_name(name, wanted);
                    equal(&name.long) || name.short.as_deref().is_some_and(equal)
                };
                if let Some(below) = scope.below(&below, same) {
                    let reference = self.references[name.node.0 as usize];
                    inside.push((name.node, reference, self.trail.add(step, &name.long), below));
                }
            }
            stack.extend(inside.into_iter().rev());
        }
        Ok(())
    }

    /// Adds the names in a directory, and the files that they name.
    fn directory(&mut self, parent: NodeId, reference: u64, step: Step) -> Result<(), Fault> {
        let directory = self.volume.file_within(reference, &mut self.budget)?;
        let mut entries = Vec::new();
        let walked = self.volume.entries_within(&directory, &mut entries, &mut self.budget);
        entries.retain(|entry| !Volume::is_system(record_of(entry.target)));

        let mut shorts: HashMap<u64, VecDeque<&DirEntry>> = HashMap::new();
        let mut has_long = HashSet::new();
        for entry in &entries {
            if entry.namespace == DOS {
                shorts.entry(entry.target).or_default().push_back(entry);
            } else {
                has_long.insert(entry.target);
            }
        }
        // Records in the order in which they lie there.
        let mut order: Vec<&DirEntry> = entries.iter().collect();
        order.sort_by_key(|entry| record_of(entry.target));
        for entry in order {
            if !self.node_of.contains_key(&entry.target) {
                self.file(entry, step)?;
            }
        }
        for entry in &entries {
            let Some(node) = self.node_of.get(&entry.target).copied().flatten() else { continue };
            let short = match entry.namespace {
                // Part of a pair; alone it is a name like any other.
                DOS if has_long.contains(&entry.target) => continue,
                WIN32_AND_DOS => Some(entry.name.clone()),
                WIN32 => shorts
                    .get_mut(&entry.target)
                    .and_then(VecDeque::pop_front)
                    .map(|short| short.name.clone()),
                _ => None,
            };
            if self.tree.nodes[node.0 as usize].is_directory()
                && std::mem::replace(&mut self.placed[node.0 as usize], true)
            {
                let place = read::Place { record: Some(record_of(entry.target)), ..read::Place::default() };
                let path = self.trail.below(step, &entry.name);
                let reason = "a second name of a directory, which is left out".to_owned();
                self.note(&path, read::Error::Malformed { place: Box::new(place), reason });
                continue;
            }
            self.tree.names.push(Name { parent, node, long: entry.name.clone(), short });
        }
        walked.map_err(Fault::from)
    }

    fn add(&mut self, node: Node, reference: u64) -> NodeId {
        let id = NodeId(as_u32(self.tree.nodes.len()));
        self.tree.nodes.push(node);
        self.references.push(reference);
        self.placed.push(false);
        self.node_of.insert(reference, Some(id));
        id
    }

    /// Makes a node of the file that an entry names, or notes why not.
    fn file(&mut self, entry: &DirEntry, step: Step) -> Result<(), Fault> {
        let file = self.volume.file_within(entry.target, &mut self.budget).map_err(Fault::from);
        // A reference without a sequence number may lead to a file that is known by its full one.
        let known = |scan: &Self, file: &File| scan.node_of.get(&file.reference()).copied().flatten();
        let node = file.and_then(|file| match known(self, &file) {
            Some(node) => Ok(node),
            None => self.node(&file).map(|node| self.add(node, file.reference())),
        });
        let node = match node {
            Ok(node) => Some(node),
            Err(Fault::Fatal(error)) => {
                return Err(Fault::Fatal(error.with_path(|| self.trail.below(step, &entry.name))));
            }
            Err(Fault::Note(error)) => {
                self.note(&self.trail.below(step, &entry.name), error);
                None
            }
        };
        self.node_of.insert(entry.target, node);
        Ok(())
    }

    fn node(&mut self, file: &File) -> Result<Node, Fault> {
        let information = file.standard_information()?;
        let directory = file.is_directory();
        let wof = file.wof(self.volume)?.is_some();
        let reparse = file.reparse(self.volume)?;
        let extended = file.extended_attributes(self.volume, &mut self.budget)?;
        let mut attributes =
            information.attributes & !(INTERNAL | ATTRIBUTE_DIRECTORY | ATTRIBUTE_REPARSE_POINT);
        if directory {
            attributes |= ATTRIBUTE_DIRECTORY;
        }
        if reparse.is_some() {
            attributes |= ATTRIBUTE_REPARSE_POINT;
        }
        if wof {
            attributes &= !ATTRIBUTE_SPARSE_FILE;
        }
        if !extended.is_empty() {
            attributes &= !HAS_EA;
        }
        let mut data = if directory { None } else { Some(Content::Empty) };
        let mut named = Vec::new();
        for name in file.stream_names() {
            if wof && name.iter().copied().eq(WOF_STREAM.encode_utf16()) {
                continue;
            }
            if !name.is_empty() {
                let content = self.content(file, &name)?;
                named.push(NamedStream { name, content });
            } else if let Some(data) = &mut data {
                *data = self.content(file, &name)?;
            }
        }
        Ok(Node {
            attributes,
            times: Times {
                created: FileTime(information.created),
                written: FileTime(information.modified),
                accessed: FileTime(information.accessed),
            },
            security: self.security(file, information.security)?,
            data,
            named,
            reparse: reparse.map(|reparse| {
                let data = match reparse.data.len() {
                    0 => Content::Empty,
                    _ => Content::Bytes(reparse.data.into()),
                };
                Box::new(Reparse { tag: reparse.tag, reserved: reparse.reserved, data })
            }),
            object_id: file.object_id()?.map(|id| Box::new(ObjectId { id, birth: None })),
            extended: extended
                .into_iter()
                .map(|ea| ExtendedAttribute { need: ea.need, name: ea.name, value: ea.value })
                .collect(),
        })
    }

    /// A stream as a blob, numbered as it comes.
    fn content(&mut self, file: &File, name: &[u16]) -> Result<Content, Fault> {
        let reader = file.open(self.volume, name)?;
        let len = reader.size();
        if len == 0 {
            return Ok(Content::Empty);
        }
        let number = match self.stream_name_of.get(name) {
            Some(&number) => number,
            None => {
                let number = as_u32(self.stream_names.len());
                self.stream_names.push(name.into());
                self.stream_name_of.insert(name.into(), number);
                number
            }
        };
        let place = reader.stream().first_byte(self.volume).unwrap_or_else(|| file.offset());
        let chunk = reader.chunk_size().map_or(0, |chunk| chunk as u32);
        self.streams.push((place, Stream { file: file.reference(), name: number, len, chunk }));
        Ok(Content::Blob { blob: as_u32(self.streams.len()) - 1, len })
    }

    fn security(&mut self, file: &File, id: u32) -> Result<Option<DescriptorId>, Fault> {
        if id == 0 {
            let Some(own) = file.own_descriptor(self.volume, &mut self.budget)? else { return Ok(None) };
            return Ok(Some(self.descriptor(own)));
        }
        if let Some(&known) = self.descriptor_of.get(&id) {
            return Ok(known);
        }
        let found = match self.volume.descriptor(id).map_err(Fault::from) {
            Ok(bytes) => Some(self.descriptor(bytes)),
            Err(Fault::Note(error)) => {
                self.note("$Secure", error);
                None
            }
            Err(fatal) => return Err(fatal),
        };
        self.descriptor_of.insert(id, found);
        Ok(found)
    }

    fn descriptor(&mut self, bytes: Box<[u8]>) -> DescriptorId {
        if let Some(&known) = self.own_descriptors.get(&bytes) {
            return known;
        }
        let id = DescriptorId(as_u32(self.tree.descriptors.len()));
        self.tree.descriptors.push(bytes.clone());
        self.own_descriptors.insert(bytes, id);
        id
    }

    /// Puts blobs into the order of the disk, and adds what only an index of the volume knows.
    fn finish(mut self) -> (Tree, NtfsBlobs<'v>) {
        let mut order: Vec<u32> = (0..as_u32(self.streams.len())).collect();
        order.sort_by_key(|&blob| (self.streams[blob as usize].0, blob));
        let mut number = vec![0; order.len()];
        for (new, &old) in (0..).zip(&order) {
            number[old as usize] = new;
        }
        for node in &mut self.tree.nodes {
            let contents = node.named.iter_mut().map(|stream| &mut stream.content).chain(node.data.as_mut());
            for content in contents {
                if let Content::Blob { blob, .. } = content {
                    *blob = number[*blob as usize];
                }
            }
        }
        let mut streams: Vec<Option<Stream>> =
            self.streams.into_iter().map(|(_, stream)| Some(stream)).collect();
        let streams =
            order.iter().map(|&old| streams[old as usize].take().expect("each is taken once")).collect();
        if self.tree.nodes.iter().any(|node| node.object_id.is_some()) {
            match self.volume.object_births(&mut self.budget) {
                Ok(births) => {
                    let objects = self.tree.nodes.iter_mut().filter_map(|node| node.object_id.as_mut());
                    for object in objects {
                        // Zeros say that it was never copied from elsewhere, as does nothing.
                        object.birth = births.get(&object.id).copied().filter(|birth| *birth != [0; 48]);
                    }
                }
                Err(error) => self.tree.notes.push(error.to_string()),
            }
        }
        if self.notes_left_out > 0 {
            self.tree.notes.push(format!("and {} more of such faults", self.notes_left_out));
        }
        let blobs = NtfsBlobs { source: self.source, volume: self.volume, streams, names: self.stream_names };
        (self.tree, blobs)
    }
}
