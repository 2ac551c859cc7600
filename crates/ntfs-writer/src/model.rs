//! The tree, decided: everything about files and directories that depends on neither the volume's size nor where
//! clusters lie.
//!
//! Record numbers follow the directories' own order, each directory's children together, so that whoever walks the
//! tree reads `$MFT` forwards.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::index::{Entries, Tree};
use crate::layout::attribute::{FILE_NAME_LEN, FileNameHead};
use crate::layout::index::{ENTRY_HEAD_LEN, EntryHead};
use crate::layout::{align8, put, put_utf16, reference};
use crate::node::Note;
use crate::options::Options;
use crate::pack::Spread;
use crate::secure::{self, Store};
use crate::system::{self, SystemNames};
use crate::tree::{Files, Link, NONE};
use crate::{Error, Result, names, short_names, upcase};

/// The record of the root directory, and its sequence number.
pub(crate) const ROOT_RECORD: u32 = 5;
/// The first record of the tree's files; those below are the system's, or free and left to Windows.
pub(crate) const FIRST_RECORD: u32 = 64;
/// Names that a file may have (observed: Windows 10 refuses the 1025th).
const MAX_NAMES: usize = 1024;
/// In [`Model::entries`]: an entry of the root directory for a system file, by record number.
const SYSTEM_ENTRY: u32 = 1 << 31;
/// In [`Model::entries`] and [`Model::file_names`]: the short name of the link.
const SHORT: u32 = 1;

/// Whether an entry is the short name of a link.
fn is_short(entry: u32) -> bool {
    entry & (SYSTEM_ENTRY | SHORT) == SHORT
}

/// A directory.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) node: u32,
    /// Its entries in [`Model::entries`].
    first: u32,
    pub(crate) count: u32,
    /// What the entries take.
    pub(crate) bytes: usize,
    /// When they do not fit the record.
    pub(crate) tree: Option<Tree>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) options: Options,
    pub(crate) files: Files,
    pub(crate) store: Store,
    pub(crate) dirs: Vec<Dir>,
    /// The entries of all directories, each directory's together and sorted: link and which of its names, or a system
    /// file.
    entries: Vec<u32>,
    /// The names of all nodes, each node's together, in the order of their attributes; ends by node.
    file_names: Vec<u32>,
    file_names_end: Vec<u32>,
    /// The record of each node, and the node of each record from [`FIRST_RECORD`] on.
    pub(crate) record: Vec<u32>,
    pub(crate) by_record: Vec<u32>,
    /// The files that do not fit one record, by node.
    pub(crate) spreads: Vec<Spread>,
    /// The same, by the number of the first extension record.
    pub(crate) spread_by_record: Vec<u32>,
    /// How many records those need besides.
    pub(crate) extension_records: u32,
    pub(crate) notes: Vec<Note>,
}

impl Model {
    pub(crate) fn new(options: Options, files: Files, store: Store) -> Result<Self> {
        let nodes = files.inodes.len();
        let mut model = Self {
            options,
            files,
            store,
            dirs: Vec::new(),
            entries: Vec::new(),
            file_names: Vec::new(),
            file_names_end: Vec::new(),
            record: vec![NONE; nodes],
            by_record: Vec::with_capacity(nodes),
            spreads: Vec::new(),
            spread_by_record: Vec::new(),
            extension_records: 0,
            notes: Vec::new(),
        };
        model.check_links()?;
        model.sort_directories()?;
        model.number()?;
        model.collect_file_names()?;
        model.prepare_inodes()?;
        model.drop_duplicate_object_ids();
        model.give_default_security();
        model.pack()?;
        Ok(model)
    }

    fn malformed<T>(&self, node: u32, reason: impl Into<String>) -> Result<T> {
        Err(Error::Malformed { path: self.files.path(node), reason: reason.into() })
    }

    /// Every file has a name, every directory exactly one.
    fn check_links(&mut self) -> Result<()> {
        let mut first = vec![NONE; self.files.inodes.len()];
        let mut second = NONE;
        for (Link { node, .. }, number) in self.files.links.iter().zip(0..) {
            match &mut first[*node as usize] {
                slot if *slot == NONE => *slot = number,
                _ if self.files.inodes[*node as usize].is_dir() && second == NONE => second = number,
                _ => {}
            }
        }
        self.files.first_link = first;
        if second != NONE {
            let reason = "a directory cannot have a second name".into();
            return Err(Error::Malformed { path: self.files.link_path(second), reason });
        }
        match (1..self.files.inodes.len()).find(|&node| self.files.first_link[node] == NONE) {
            Some(node) => self.malformed(node as u32, "it has no name"),
            None => Ok(()),
        }
    }

    /// Sorts each directory, decides which short names stay, and each name's namespace.
    fn sort_directories(&mut self) -> Result<()> {
        for (inode, node) in self.files.inodes.iter_mut().zip(0..) {
            if inode.is_dir() {
                inode.dir = self.dirs.len() as u32;
                self.dirs.push(Dir { node, first: 0, count: 0, bytes: 0, tree: None });
            }
        }
        // Links by directory, in the order they were made.
        let mut ends = vec![0u32; self.dirs.len() + 1];
        for link in &self.files.links {
            ends[self.files.inodes[link.parent as usize].dir as usize + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        let mut by_dir = vec![0u32; self.files.links.len()];
        let mut next = ends.clone();
        for (link, number) in self.files.links.iter().zip(0..) {
            let slot = &mut next[self.files.inodes[link.parent as usize].dir as usize];
            by_dir[*slot as usize] = number;
            *slot += 1;
        }
        let mut scratch = Vec::new();
        for dir in 0..self.dirs.len() {
            let links = &by_dir[ends[dir] as usize..ends[dir + 1] as usize];
            self.sort_directory(dir, links, &mut scratch)?;
        }
        Ok(())
    }

    /// The name of an entry.
    fn entry_name(&self, entry: u32) -> &[u16] {
        if entry & SYSTEM_ENTRY != 0 {
            return SystemNames::get(entry & !SYSTEM_ENTRY);
        }
        let link = entry >> 1;
        match entry & SHORT {
            0 => self.files.long(link),
            _ => self.files.short(link).expect("entries are made of short names that exist"),
        }
    }

    fn sort_directory(&mut self, dir: usize, links: &[u32], all: &mut Vec<u32>) -> Result<()> {
        all.clear();
        for &link in links {
            self.check_short(link);
        }
        if self.options.short_names {
            self.generate_shorts(links);
        }
        all.extend(links.iter().map(|&link| link << 1));
        let shorts = links.iter().filter(|&&link| self.files.short(link).is_some());
        all.extend(shorts.map(|&link| link << 1 | SHORT));
        if self.dirs[dir].node == 0 {
            all.extend(system::ROOT_ENTRIES.map(|number| SYSTEM_ENTRY | number));
        }
        // Names that differ in case only come together: system and long names first, then short names by age. Sources
        // have most directories in order already; this sort finds such rows, of which there are two then, and merges
        // them.
        all.sort_by(|&a, &b| {
            self.compare_ignoring_case(a, b).then_with(|| match (is_short(a), is_short(b)) {
                (false, false) => self.entry_name(a).cmp(self.entry_name(b)),
                (a_is_short, b_is_short) => (a_is_short, a).cmp(&(b_is_short, b)),
            })
        });
        self.resolve_clashes(all)?;
        all.retain(|&entry| !is_short(entry) || self.files.short(entry >> 1).is_some());
        for &link in links {
            if self.files.short(link).is_some() {
                self.files.links[link as usize].namespace = names::WIN32;
            }
        }
        let bytes = all.iter().map(|&entry| entry_len(self.entry_name(entry))).sum();
        let dir = &mut self.dirs[dir];
        dir.first = self.entries.len() as u32;
        dir.count = all.len() as u32;
        dir.bytes = bytes;
        self.entries.extend_from_slice(all);
        Ok(())
    }

    fn compare_ignoring_case(&self, a: u32, b: u32) -> Ordering {
        names::compare_ignoring_case(upcase::table(), self.entry_name(a), self.entry_name(b))
    }

    fn equal_ignoring_case(&self, a: u32, b: u32) -> bool {
        names::equal_ignoring_case(upcase::table(), self.entry_name(a), self.entry_name(b))
    }

    /// Looks at the names of a sorted directory that are the same when case is ignored: the same long name twice is an
    /// error, short names give way.
    fn resolve_clashes(&mut self, sorted: &[u32]) -> Result<()> {
        let mut case_only = Vec::new();
        let mut taken = Vec::new();
        for group in sorted.chunk_by(|&a, &b| self.equal_ignoring_case(a, b)) {
            let (longs, shorts) = group.split_at(group.partition_point(|&entry| !is_short(entry)));
            for pair in longs.windows(2) {
                self.check_pair(pair[0], pair[1])?;
            }
            if longs.len() > 1 {
                case_only.extend(longs.iter().map(|&entry| entry >> 1));
            }
            let kept = usize::from(longs.is_empty());
            taken.extend(shorts.iter().skip(kept).map(|&entry| entry >> 1));
        }
        for link in taken {
            self.note_short(link, "another file of the directory has that name");
            self.files.drop_short(link);
        }
        for link in case_only {
            // What differs in case only cannot be a Win32 name, so it cannot have a DOS partner either.
            self.files.links[link as usize].namespace = names::POSIX;
            if self.files.short(link).is_some() {
                self.note_short(link, "another long name differs in case only");
                self.files.drop_short(link);
            }
        }
        Ok(())
    }

    /// Two neighbours among the long names that are the same when case is ignored.
    fn check_pair(&self, a: u32, b: u32) -> Result<()> {
        let (link, reason) = match (a & SYSTEM_ENTRY != 0, b & SYSTEM_ENTRY != 0) {
            (true, _) => (b >> 1, "the name of a system file"),
            (_, true) => (a >> 1, "the name of a system file"),
            _ if self.entry_name(a) == self.entry_name(b) => (b >> 1, "the same name twice"),
            _ => return Ok(()),
        };
        Err(Error::Malformed { path: self.files.link_path(link), reason: reason.into() })
    }

    /// Drops a short name that cannot be one.
    fn check_short(&mut self, link: u32) {
        let Some(short) = self.files.short(link) else { return };
        let long = self.files.long(link);
        if names::is_short(long) && names::compare_ignoring_case(upcase::table(), short, long).is_eq() {
            // One entry serves as both.
            self.files.links[link as usize].namespace = names::WIN32_AND_DOS;
            self.files.drop_short(link);
        } else if !names::is_short(short) {
            self.note_short(link, "it is no 8.3 name");
            self.files.drop_short(link);
        } else if !names::is_win32(long) {
            self.note_short(link, "the long name is not a Win32 name");
            self.files.drop_short(link);
        }
    }

    /// Gives short names to what came without, in the order of the links.
    fn generate_shorts(&mut self, links: &[u32]) {
        let table = upcase::table();
        let fold =
            |name: &[u16]| -> Box<[u16]> { name.iter().map(|&unit| table[usize::from(unit)]).collect() };
        let files = &self.files;
        let names = links.iter().flat_map(|&link| [Some(files.long(link)), files.short(link)]);
        let mut taken: HashSet<Box<[u16]>> = names.flatten().map(fold).collect();
        for &link in links {
            let found = &self.files.links[link as usize];
            if found.namespace == names::WIN32_AND_DOS || self.files.short(link).is_some() {
                continue;
            }
            let long = self.files.long(link);
            if names::is_short(long) {
                self.files.links[link as usize].namespace = names::WIN32_AND_DOS;
            } else if short_names::is_needed(long)
                && let Some(short) = short_names::generate(long, |name| taken.contains(name))
            {
                self.files.set_short(link, &short);
                taken.insert(short);
            }
        }
    }

    fn note_short(&mut self, link: u32, reason: &'static str) {
        let path = self.files.link_path(link);
        self.notes.push(Note::ShortNameDropped { path, reason });
    }

    /// Numbers the records, and finds directories that do not hang on the root.
    fn number(&mut self) -> Result<()> {
        self.record[0] = ROOT_RECORD;
        let mut stack = vec![0u32];
        while let Some(dir) = stack.pop() {
            let Dir { first, count, .. } = self.dirs[dir as usize];
            let pushed = stack.len();
            for &entry in &self.entries[first as usize..][..count as usize] {
                if entry & (SYSTEM_ENTRY | SHORT) != 0 {
                    continue;
                }
                let node = self.files.links[(entry >> 1) as usize].node;
                let record = &mut self.record[node as usize];
                if *record == NONE {
                    *record = FIRST_RECORD + self.by_record.len() as u32;
                    self.by_record.push(node);
                    let inode = &self.files.inodes[node as usize];
                    if inode.is_dir() {
                        stack.push(inode.dir);
                    }
                }
            }
            stack[pushed..].reverse();
        }
        match self.record.iter().position(|&record| record == NONE) {
            Some(node) => {
                self.malformed(node as u32, "it does not hang on the root: its directories are a loop")
            }
            None => Ok(()),
        }
    }

    /// Lists the names of each node, in the order in which their attributes come: that of their bytes.
    fn collect_file_names(&mut self) -> Result<()> {
        let nodes = self.files.inodes.len();
        let mut counts = vec![0u32; nodes + 1];
        for (link, number) in self.files.links.iter().zip(0..) {
            counts[link.node as usize + 1] += 1 + u32::from(self.files.short(number).is_some());
        }
        for i in 1..=nodes {
            counts[i] += counts[i - 1];
        }
        let total = counts[nodes] as usize;
        self.file_names = vec![0; total];
        let mut next = counts.clone();
        for (link, number) in self.files.links.iter().zip(0u32..) {
            let slot = &mut next[link.node as usize];
            self.file_names[*slot as usize] = number << 1;
            *slot += 1;
            if self.files.short(number).is_some() {
                self.file_names[*slot as usize] = number << 1 | SHORT;
                *slot += 1;
            }
        }
        drop(next);
        let mut list = std::mem::take(&mut self.file_names);
        for node in 0..nodes {
            let range = &mut list[counts[node] as usize..counts[node + 1] as usize];
            let longs = range.iter().filter(|&&name| name & SHORT == 0).count();
            if longs > MAX_NAMES {
                return Err(Error::Limit {
                    path: self.files.path(node as u32),
                    what: "number of names",
                    found: longs as u64,
                    limit: MAX_NAMES as u64,
                });
            }
            // The times and sizes between parent and name are the same in all of them.
            range.sort_unstable_by(|&a, &b| {
                let key = |name: u32| {
                    let parent = self.files.links[(name >> 1) as usize].parent;
                    let units = self.entry_name(name);
                    (self.reference(parent).to_le_bytes(), units.len(), self.namespace(name))
                };
                key(a).cmp(&key(b)).then_with(|| {
                    let bytes = |name| self.entry_name(name).iter().map(|unit| unit.swap_bytes());
                    bytes(a).cmp(bytes(b))
                })
            });
        }
        self.file_names = list;
        counts.remove(0);
        self.file_names_end = counts;
        Ok(())
    }

    /// An object id leads to one file.
    fn drop_duplicate_object_ids(&mut self) {
        let mut seen = HashSet::new();
        for node in 0..self.files.inodes.len() {
            let Some(extra) = &mut self.files.inodes[node].extra else { continue };
            if extra.object_id.is_some_and(|object_id| !seen.insert(object_id.id)) {
                extra.object_id = None;
                let path = self.files.path(node as u32);
                self.notes.push(Note::ObjectIdDropped { path });
            }
        }
    }

    fn give_default_security(&mut self) {
        let without = self.files.inodes.iter().filter(|inode| inode.security == 0).count() as u32;
        if without == 0 {
            return;
        }
        let id = self.store.insert(&secure::default_descriptor());
        for inode in self.files.inodes.iter_mut().filter(|inode| inode.security == 0) {
            inode.security = id;
        }
        self.notes.push(Note::DefaultSecurity { files: without });
    }

    /// The names of a node, for [`Model::file_name`].
    pub(crate) fn names_of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        let first = if node == 0 { 0 } else { self.file_names_end[node - 1] };
        &self.file_names[first as usize..self.file_names_end[node] as usize]
    }

    fn namespace(&self, name: u32) -> u8 {
        if name & SHORT != 0 { names::DOS } else { self.files.links[(name >> 1) as usize].namespace }
    }

    /// The `$FILE_NAME` of a name.
    pub(crate) fn file_name(&self, name: u32) -> (FileNameHead, &[u16]) {
        let Link { parent, node, .. } = self.files.links[(name >> 1) as usize];
        let units = self.entry_name(name);
        let head = FileNameHead {
            parent: self.reference(parent),
            name_len: units.len() as u8,
            namespace: self.namespace(name),
            ..self.duplicated(node)
        };
        (head, units)
    }

    /// How long a name of [`Model::names_of`] is.
    pub(crate) fn file_name_units(&self, name: u32) -> usize {
        self.entry_name(name).len()
    }

    /// The `$FILE_NAME` of the root directory, which has itself for a parent.
    pub(crate) fn root_name(&self) -> (FileNameHead, &'static [u16]) {
        let units = SystemNames::get(ROOT_RECORD);
        let head = FileNameHead {
            parent: self.reference(0),
            name_len: units.len() as u8,
            namespace: names::WIN32_AND_DOS,
            ..self.duplicated(0)
        };
        (head, units)
    }

    /// The reference to a node's record.
    pub(crate) fn reference(&self, node: u32) -> u64 {
        reference(u64::from(self.record[node as usize]), self.sequence(node))
    }

    /// The sequence number of a node's record.
    pub(crate) fn sequence(&self, node: u32) -> u16 {
        if node == 0 { ROOT_RECORD as u16 } else { 1 }
    }

    /// How many records of `$MFT` are in use or below one in use.
    pub(crate) fn records(&self) -> u32 {
        FIRST_RECORD + self.by_record.len() as u32 + self.extension_records
    }

    /// Builds the trees of directories that do not fit their records.
    pub(crate) fn grow_tree(&mut self, dir: u32) {
        let tree = Tree::build(&DirEntries { model: self, system: &[], dir });
        self.dirs[dir as usize].tree = Some(tree);
    }
}

/// The length of a directory's entry.
pub(crate) fn entry_len(name: &[u16]) -> usize {
    align8(ENTRY_HEAD_LEN + FILE_NAME_LEN + 2 * name.len())
}

/// The entries of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirEntries<'a> {
    pub(crate) model: &'a Model,
    /// What the root needs besides: the `$FILE_NAME` of each system file, by record.
    pub(crate) system: &'a [FileNameHead],
    pub(crate) dir: u32,
}

impl DirEntries<'_> {
    fn entry(&self, entry: u32) -> u32 {
        let dir = &self.model.dirs[self.dir as usize];
        self.model.entries[(dir.first + entry) as usize]
    }
}

impl Entries for DirEntries<'_> {
    fn count(&self) -> u32 {
        self.model.dirs[self.dir as usize].count
    }

    fn len_of(&self, entry: u32) -> usize {
        entry_len(self.model.entry_name(self.entry(entry)))
    }

    fn write(&self, entry: u32, buf: &mut [u8]) {
        let entry = self.entry(entry);
        let (target, (head, name)) = if entry & SYSTEM_ENTRY != 0 {
            let number = entry & !SYSTEM_ENTRY;
            let head = self.system[number as usize];
            (system::reference_of(number), (head, SystemNames::get(number)))
        } else {
            let node = self.model.files.links[(entry >> 1) as usize].node;
            (self.model.reference(node), self.model.file_name(entry))
        };
        write_name_entry(buf, target, &head, name);
    }
}

/// Writes a directory's entry, without a child, into `buf`, which has its length and is zeroed.
pub(crate) fn write_name_entry(buf: &mut [u8], target: u64, head: &FileNameHead, name: &[u16]) {
    let key_len = (FILE_NAME_LEN + 2 * name.len()) as u16;
    put(buf, 0, &EntryHead { target, len: buf.len() as u16, key_len, flags: 0, zero_0e: 0 });
    put(buf, ENTRY_HEAD_LEN, head);
    put_utf16(buf, ENTRY_HEAD_LEN + FILE_NAME_LEN, name);
}
