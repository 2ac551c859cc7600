//! Edits of a tree: what a build changes between the source and the planner.
//!
//! The tree is two flat lists, so an edit never moves anything: new files and names go to the end (which keeps a parent's
//! name before its children's), contents are replaced in place, and what lost its last name is dropped by
//! [`Editor::finish`], once for all edits. Every edit is recorded with its reason; that record is what
//! `verify --against` holds a finished disk against.

use std::collections::{BTreeSet, HashMap};
#[cfg(test)]
use std::sync::Arc;

use disk::{FileTime, hex};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::tree::{
    ATTRIBUTE_COMPRESSED, ATTRIBUTE_ENCRYPTED, ATTRIBUTE_SPARSE_FILE, Content, DescriptorId, Name, Node,
    NodeId, Times, Tree, as_u32,
};
#[cfg(test)]
use crate::tree_index::TreeIndex;
use crate::tree_index::fold;
use crate::{Error, Result};

/// Something that a build changed on purpose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Change {
    /// The partition it is on, from 1.
    pub partition: u32,
    /// The file or directory, from the volume's root, with backslashes.
    pub path: String,
    /// What happened to it.
    pub action: Action,
    /// Why, in a few words.
    pub reason: String,
    /// Length of the new content in bytes; `None` for directories and for what was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-1 of the new content, in hexadecimal; `None` as for the size, and for what holds secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
}

/// What happened to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not in the image.
    Added,
    /// It has another content than in the image.
    Changed,
    /// It is in the image only.
    Removed,
}

/// What an edit needs of the source: the hash that is stated of a blob.
pub(crate) trait Hashes {
    /// The SHA-1 of a blob.
    fn sha1(&self, blob: u32) -> [u8; 20];
}

/// A tree being edited.
pub(crate) struct Editor<'a> {
    tree: &'a mut Tree,
    hashes: &'a dyn Hashes,
    partition: u32,
    /// Numbers of the names in each directory.
    children: Children,
    removed: BTreeSet<u32>,
    changes: Record,
}

/// Names by directory. A directory's are collected when it is first touched: a build touches few.
struct Children {
    source: HashMap<NodeId, Vec<u32>>,
    added: HashMap<NodeId, Vec<u32>>,
    /// How many names the source gave.
    names: usize,
    /// How many files and directories it gave. What comes later has no names of the source below it.
    nodes: usize,
    /// Where each name is, of the directories that something was looked for in.
    index: HashMap<NodeId, Index>,
}

/// The names of a directory, in upper case. Of several that are the same, the first.
#[derive(Default)]
struct Index {
    long: HashMap<Vec<u16>, u32>,
    short: HashMap<Vec<u16>, u32>,
}

impl Index {
    fn add(&mut self, name: &Name, number: u32) {
        self.long.entry(fold(&name.long)).or_insert(number);
        if let Some(short) = &name.short {
            self.short.entry(fold(short)).or_insert(number);
        }
    }
}

impl<'a> Editor<'a> {
    /// Edits `tree`, which becomes partition `partition`.
    pub(crate) fn new(tree: &'a mut Tree, hashes: &'a dyn Hashes, partition: u32) -> Self {
        let (names, nodes) = (tree.names.len(), tree.nodes.len());
        let (source, added, index) = (HashMap::new(), HashMap::new(), HashMap::new());
        let children = Children { source, added, names, nodes, index };
        let (removed, changes) = (BTreeSet::new(), Record::default());
        Self { tree, hashes, partition, children, removed, changes }
    }

    /// The tree as it is now, with names that will go still there.
    pub(crate) fn tree(&self) -> &Tree {
        self.tree
    }

    /// The file or directory of this path, with slashes or backslashes, whatever the case.
    pub(crate) fn find(&mut self, path: &str) -> Option<NodeId> {
        let mut at = NodeId::ROOT;
        for part in parts(path) {
            let name = self.child(at, part)?;
            at = self.tree.names[name as usize].node;
        }
        Some(at)
    }

    /// The names in a directory: their numbers, in the order in which they came.
    pub(crate) fn children(&mut self, directory: NodeId) -> Vec<u32> {
        let tree = &*self.tree;
        let names = if directory.0 as usize >= self.children.nodes { 0 } else { self.children.names };
        let of_source = self.children.source.entry(directory).or_insert_with(|| {
            let of = |&number: &u32| tree.names[number as usize].parent == directory;
            (0..as_u32(names)).filter(of).collect()
        });
        let added = self.children.added.get(&directory).into_iter().flatten();
        let all = of_source.iter().chain(added).copied();
        all.filter(|number| !self.removed.contains(number)).collect()
    }

    fn child(&mut self, directory: NodeId, wanted: &str) -> Option<u32> {
        if !self.children.index.contains_key(&directory) {
            let mut index = Index::default();
            for number in self.children(directory) {
                index.add(&self.tree.names[number as usize], number);
            }
            self.children.index.insert(directory, index);
        }
        let index = &self.children.index[&directory];
        let wanted = fold(&wanted.encode_utf16().collect::<Vec<u16>>());
        index.long.get(&wanted).or_else(|| index.short.get(&wanted)).copied()
    }

    /// Puts a new name where it is looked for.
    fn name(&mut self, name: Name) {
        let (parent, number) = (name.parent, as_u32(self.tree.names.len()));
        if let Some(index) = self.children.index.get_mut(&parent) {
            index.add(&name, number);
        }
        self.children.added.entry(parent).or_default().push(number);
        self.tree.names.push(name);
    }

    /// Takes a name away.
    fn unname(&mut self, number: u32) {
        self.removed.insert(number);
        // Another name may be the same in upper case: the directory is looked through again.
        self.children.index.remove(&self.tree.names[number as usize].parent);
    }

    /// The number of a security descriptor, which is added if the tree does not have it.
    pub(crate) fn descriptor(&mut self, bytes: &[u8]) -> DescriptorId {
        let known = &mut self.tree.descriptors;
        let number = known.iter().position(|known| **known == *bytes).unwrap_or_else(|| {
            known.push(bytes.into());
            known.len() - 1
        });
        DescriptorId(as_u32(number))
    }

    /// The directory of this path, made with its parents where it is missing: with the attributes, times and security
    /// descriptor of `like`.
    pub(crate) fn directory(&mut self, path: &str, like: &Style, reason: &str) -> Result<NodeId> {
        let mut at = NodeId::ROOT;
        let mut so_far = String::new();
        for part in parts(path) {
            so_far = format!("{so_far}\\{part}");
            at = match self.child(at, part) {
                Some(name) => self.tree.names[name as usize].node,
                None => {
                    let mut node = Node::directory(like.times, like.security);
                    node.attributes |= like.attributes;
                    self.record(&so_far, Action::Added, reason);
                    self.add(at, part, node)
                }
            };
            if !self.tree.nodes[at.0 as usize].is_directory() {
                return Err(Error::Recipe(format!("{so_far} is a file in the image, a directory is needed")));
            }
            self.no_link(at, &so_far)?;
        }
        Ok(at)
    }

    /// Writes a file: the one that is there gets the content, attributes and times, a new one also the descriptor. Parents
    /// must exist.
    pub(crate) fn file(&mut self, path: &str, content: Content, style: &Style, reason: &str) -> Result<()> {
        let (parent, name) = path.rsplit_once(['\\', '/']).unwrap_or(("", path));
        let parent = self
            .find(parent)
            .ok_or_else(|| Error::Recipe(format!("{path}: its directory is not in the image")))?;
        let path = normal(path);
        if !self.tree.nodes[parent.0 as usize].is_directory() {
            return Err(Error::Recipe(format!("{path}: what should hold it is a file in the image")));
        }
        self.no_link(parent, &path)?;
        let change = self.change(&path, &content);
        match self.child(parent, name) {
            Some(number) => {
                let node = &mut self.tree.nodes[self.tree.names[number as usize].node.0 as usize];
                if node.is_directory() || node.reparse.is_some() {
                    return Err(Error::Recipe(format!(
                        "{path} is no plain file in the image, cannot replace it"
                    )));
                }
                node.data = Some(content);
                node.attributes = plain(node.attributes) | style.attributes;
                node.times = style.times;
                self.changes.push(Change { action: Action::Changed, reason: reason.to_owned(), ..change });
            }
            None => {
                let mut node = Node::directory(style.times, style.security);
                node.attributes = style.attributes;
                node.data = Some(content);
                self.add(parent, name, node);
                self.changes.push(Change { reason: reason.to_owned(), ..change });
            }
        }
        Ok(())
    }

    /// Gives a file another content; its attributes, times, names and descriptor stay.
    pub(crate) fn replace(&mut self, path: &str, content: Content, reason: &str) -> Result<()> {
        let node = self.find(path).ok_or_else(|| Error::Recipe(format!("{path} is not in the image")))?;
        let path = normal(path);
        let change = self.change(&path, &content);
        let node = &mut self.tree.nodes[node.0 as usize];
        if node.is_directory() || node.reparse.is_some() {
            return Err(Error::Recipe(format!("{path} is no plain file in the image, cannot replace it")));
        }
        node.data = Some(content);
        node.attributes = plain(node.attributes);
        self.changes.push(Change { action: Action::Changed, reason: reason.to_owned(), ..change });
        Ok(())
    }

    /// Takes a file's name away, and the file with its last name. Nothing happens when it is not there.
    pub(crate) fn remove(&mut self, path: &str, reason: &str) {
        let (parent, name) = path.rsplit_once(['\\', '/']).unwrap_or(("", path));
        let Some(number) = self.find(parent).and_then(|parent| self.child(parent, name)) else { return };
        if !self.tree.nodes[self.tree.names[number as usize].node.0 as usize].is_directory() {
            self.unname(number);
            self.record(&normal(path), Action::Removed, reason);
        }
    }

    /// Gives a file another descriptor. Nothing happens when it is not there.
    pub(crate) fn protect(&mut self, path: &str, security: Option<DescriptorId>) {
        if let Some(node) = self.find(path) {
            self.tree.nodes[node.0 as usize].security = security;
        }
    }

    /// Gives a file or directory more attributes. Nothing happens when it is not there.
    pub(crate) fn mark(&mut self, path: &str, attributes: u32) {
        if let Some(node) = self.find(path) {
            self.tree.nodes[node.0 as usize].attributes |= attributes;
        }
    }

    /// Gives a file another name, whose parent must exist. A file of that name loses it.
    pub(crate) fn link(&mut self, path: &str, new: &str, reason: &str) -> Result<()> {
        let node = self.find(path).ok_or_else(|| Error::Recipe(format!("{path} is not in the image")))?;
        let (parent, name) = new.rsplit_once(['\\', '/']).unwrap_or(("", new));
        let parent = self
            .find(parent)
            .ok_or_else(|| Error::Recipe(format!("{new}: its directory is not in the image")))?;
        self.no_link(parent, new)?;
        let found = &self.tree.nodes[node.0 as usize];
        let Some(content) = found.data.clone().filter(|_| !found.is_directory()) else {
            return Err(Error::Recipe(format!("{path} is no plain file, it cannot have another name")));
        };
        let action = match self.child(parent, name) {
            Some(there) if self.tree.names[there as usize].node == node => return Ok(()),
            Some(there) => {
                if self.tree.nodes[self.tree.names[there as usize].node.0 as usize].is_directory() {
                    return Err(Error::Recipe(format!("{new} is a directory in the image")));
                }
                self.unname(there);
                Action::Changed
            }
            None => Action::Added,
        };
        let change = self.change(&normal(new), &content);
        let long = name.encode_utf16().collect();
        self.name(Name { parent, node, long, short: None });
        self.changes.push(Change { action, reason: reason.to_owned(), ..change });
        Ok(())
    }

    /// Windows goes where a junction leads and sees nothing of what lies below it.
    fn no_link(&self, directory: NodeId, path: &str) -> Result<()> {
        match self.tree.nodes[directory.0 as usize].reparse {
            None => Ok(()),
            Some(_) => Err(Error::Recipe(format!(
                "{path}: the directory is a link in the image, which leads elsewhere; name the one that it leads to"
            ))),
        }
    }

    fn add(&mut self, parent: NodeId, name: &str, node: Node) -> NodeId {
        let id = NodeId(as_u32(self.tree.nodes.len()));
        self.tree.nodes.push(node);
        let long = name.encode_utf16().collect();
        self.name(Name { parent, node: id, long, short: None });
        id
    }

    fn change(&self, path: &str, content: &Content) -> Change {
        let sha1: [u8; 20] = match content {
            Content::Blob { blob, .. } => self.hashes.sha1(*blob),
            Content::Bytes(bytes) => Sha1::digest(bytes).into(),
            Content::Empty | Content::Missing { .. } | Content::Hole { .. } => Sha1::digest([]).into(),
        };
        Change {
            partition: self.partition,
            path: path.to_owned(),
            action: Action::Added,
            reason: String::new(),
            size: Some(content.len()),
            sha1: Some(hex(&sha1)),
        }
    }

    /// Records what has no content.
    fn record(&mut self, path: &str, action: Action, reason: &str) {
        let (partition, path, reason) = (self.partition, path.to_owned(), reason.to_owned());
        self.changes.push(Change { partition, path, action, reason, size: None, sha1: None });
    }

    /// Drops what was removed, and says what was changed, in path order.
    pub(crate) fn finish(self) -> Vec<Change> {
        let Self { tree, removed, changes, .. } = self;
        if !removed.is_empty() {
            let mut number = 0;
            tree.names.retain(|_| {
                number += 1;
                !removed.contains(&(number - 1))
            });
            drop_nameless(tree);
        }
        changes.finish()
    }
}

/// What was changed, each path once.
#[derive(Debug, Default)]
pub(crate) struct Record {
    changes: Vec<Change>,
    /// Where in `changes` a file is: by partition and path, in upper case.
    known: HashMap<(u32, Vec<u16>), usize>,
}

impl Record {
    fn key(change: &Change) -> (u32, Vec<u16>) {
        let path: Vec<u16> = change.path.encode_utf16().collect();
        (change.partition, fold(&path))
    }

    /// Adds a change. A file that was changed before is recorded with what it has in the end, and as added if it was.
    pub(crate) fn push(&mut self, change: Change) {
        let key = Self::key(&change);
        let Some(&before) = self.known.get(&key) else {
            self.known.insert(key, self.changes.len());
            self.changes.push(change);
            return;
        };
        let before = &mut self.changes[before];
        let action = match (before.action, change.action) {
            (Action::Added, Action::Changed) => Action::Added,
            (_, action) => action,
        };
        let reason = match before.reason == change.reason {
            true => change.reason,
            false => format!("{}; {}", before.reason, change.reason),
        };
        *before = Change { action, reason, path: std::mem::take(&mut before.path), ..change };
    }

    /// Adds what was changed later.
    pub(crate) fn extend(&mut self, later: Vec<Change>) {
        later.into_iter().for_each(|change| self.push(change));
    }

    /// Takes over size and hash of what was written again for the same reason as before.
    pub(crate) fn refresh(&mut self, again: Vec<Change>) {
        for change in again {
            if let Some(&before) = self.known.get(&Self::key(&change)) {
                let before = &mut self.changes[before];
                (before.size, before.sha1) = (change.size, change.sha1);
            }
        }
    }

    /// All changes, in the order of partitions and paths.
    pub(crate) fn finish(self) -> Vec<Change> {
        let mut changes = self.changes;
        changes.sort();
        changes
    }
}

impl From<Vec<Change>> for Record {
    fn from(changes: Vec<Change>) -> Self {
        let mut record = Self::default();
        record.extend(changes);
        record
    }
}

/// Drops files that no name is left of, and renumbers the others.
fn drop_nameless(tree: &mut Tree) {
    let mut named = vec![false; tree.nodes.len()];
    named[NodeId::ROOT.0 as usize] = true;
    tree.names.iter().for_each(|name| named[name.node.0 as usize] = true);
    let mut next = 0;
    let renumbered: Vec<u32> = named
        .iter()
        .map(|&named| {
            let number = next;
            next += u32::from(named);
            number
        })
        .collect();
    let mut number = 0;
    tree.nodes.retain(|_| {
        number += 1;
        named[number - 1]
    });
    for name in &mut tree.names {
        name.node = NodeId(renumbered[name.node.0 as usize]);
        name.parent = NodeId(renumbered[name.parent.0 as usize]);
    }
}

/// How a file or directory that an edit makes looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// `FILE_ATTRIBUTE_*`, without that of directories.
    pub(crate) attributes: u32,
    /// Its times.
    pub(crate) times: Times,
    /// Its security descriptor; without one, the volume's default.
    pub(crate) security: Option<DescriptorId>,
}

impl Style {
    /// All times the same.
    pub(crate) fn new(attributes: u32, time: FileTime, security: Option<DescriptorId>) -> Self {
        Self { attributes, times: Times { created: time, written: time, accessed: time }, security }
    }
}

/// Without the attributes that describe how the old content was stored.
fn plain(attributes: u32) -> u32 {
    attributes & !(ATTRIBUTE_COMPRESSED | ATTRIBUTE_ENCRYPTED | ATTRIBUTE_SPARSE_FILE)
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split(['\\', '/']).filter(|part| !part.is_empty())
}

fn normal(path: &str) -> String {
    parts(path).fold(String::new(), |path, part| path + "\\" + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;
    impl Hashes for Named {
        fn sha1(&self, blob: u32) -> [u8; 20] {
            [blob as u8; 20]
        }
    }

    const NONE: Style = Style {
        attributes: 0x20,
        times: Times { created: FileTime(1), written: FileTime(2), accessed: FileTime(3) },
        security: None,
    };

    fn blob(number: u32) -> Content {
        Content::Blob { blob: number, len: 10 }
    }

    /// `/a/x` and `/b/x` are the same file, `/a/y` another.
    fn tree() -> Tree {
        let mut tree = Tree::empty(Times::default());
        let mut editor = Editor::new(&mut tree, &Named, 1);
        editor.directory("a", &NONE, "").unwrap();
        editor.directory("b", &NONE, "").unwrap();
        editor.file("a/x", blob(1), &NONE, "").unwrap();
        editor.file("a/y", blob(2), &NONE, "").unwrap();
        let (b, x) = (editor.find("B").unwrap(), editor.find("A\\X").unwrap());
        editor.finish();
        tree.names.push(Name { parent: b, node: x, long: [120].into(), short: None });
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let index = TreeIndex::new(tree);
        (0..tree.names.len() as u32).map(|name| index.path(crate::NameId(name))).collect()
    }

    #[test]
    fn what_is_removed_is_gone_when_its_last_name_is() {
        let mut tree = tree();
        let mut editor = Editor::new(&mut tree, &Named, 1);
        editor.remove("a/X", "test");
        editor.remove("a/nothing", "test");
        editor.remove("a", "directories stay");
        assert_eq!(editor.find("a/x"), None);
        assert!(editor.find("b/x").is_some());
        let changes = editor.finish();
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].path.as_str(), changes[0].action), ("\\a\\X", Action::Removed));
        assert_eq!(
            (tree.nodes.len(), paths(&tree)),
            (5, ["/a", "/b", "/a/y", "/b/x"].map(str::to_owned).into())
        );

        let mut editor = Editor::new(&mut tree, &Named, 1);
        editor.remove("b/x", "test");
        editor.finish();
        assert_eq!((tree.nodes.len(), paths(&tree)), (4, ["/a", "/b", "/a/y"].map(str::to_owned).into()));
        let y = tree.names[2].node;
        assert_eq!(tree.nodes[y.0 as usize].data, Some(blob(2)));
    }

    #[test]
    fn nothing_is_put_below_a_junction() {
        let mut tree = tree();
        let b = Editor::new(&mut tree, &Named, 1).find("b").unwrap();
        let data = Content::Bytes(Arc::from(*b"elsewhere"));
        tree.nodes[b.0 as usize].reparse =
            Some(Box::new(crate::tree::Reparse { tag: 0xA000_0003, reserved: 0, data }));
        let mut editor = Editor::new(&mut tree, &Named, 1);
        for error in [
            editor.directory("b/below", &NONE, "").map(drop),
            editor.file("b/new", blob(1), &NONE, ""),
            editor.link("a/y", "b/y", ""),
        ] {
            assert!(error.unwrap_err().to_string().contains("is a link in the image"));
        }
        assert!(editor.finish().is_empty());
    }

    #[test]
    fn a_file_is_made_or_replaced_and_recorded_once() {
        let mut tree = tree();
        let mut editor = Editor::new(&mut tree, &Named, 3);
        editor.directory("New\\Deep", &NONE, "one").unwrap();
        editor.file("New/Deep/File", blob(7), &NONE, "one").unwrap();
        editor.replace("NEW/DEEP/FILE", blob(8), "two").unwrap();
        editor.replace("a/x", Content::Bytes(Arc::from(*b"abc")), "three").unwrap();
        assert!(editor.replace("a", blob(1), "").is_err());
        assert!(editor.file("a/x/y", blob(1), &NONE, "").is_err());
        assert!(editor.file("none/y", blob(1), &NONE, "").is_err());
        assert!(editor.directory("a/x", &NONE, "").is_err());
        let changes = editor.finish();
        let short: Vec<(&str, Action, &str)> =
            changes.iter().map(|change| (&*change.path, change.action, &*change.reason)).collect();
        assert_eq!(
            short,
            [
                ("\\New", Action::Added, "one"),
                ("\\New\\Deep", Action::Added, "one"),
                ("\\New\\Deep\\File", Action::Added, "one; two"),
                ("\\a\\x", Action::Changed, "three"),
            ]
        );
        // RFC 3174's own example.
        let abc = changes.iter().find(|change| change.path == "\\a\\x").unwrap();
        assert_eq!(abc.sha1.as_deref(), Some("a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!((abc.size, abc.partition), (Some(3), 3));
        // Both names of it.
        let index = TreeIndex::new(&tree);
        let of = |path: &str| index.find(path).unwrap().1;
        assert_eq!(of("a/x"), of("b/x"));
    }
}
