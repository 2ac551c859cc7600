//! One image: a tree of entries, and the metadata resource that it becomes.

use std::collections::HashMap;

use super::entry::{DIRECTORY, Entry};
use super::{Hash, NO_SECURITY, STREAM_FIXED, align8, put, put_name, small, small32};

/// An entry of an [`Image`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub(super) usize);

/// The entries and security descriptors of one image.
#[derive(Debug)]
pub struct Image {
    pub(super) name: String,
    security: Vec<Vec<u8>>,
    pub(super) entries: Vec<Entry>,
    children: Vec<Vec<EntryId>>,
    /// For a directory that borrows another's list.
    list_of: HashMap<EntryId, EntryId>,
    last_group: u64,
}

impl Image {
    pub(super) fn new(name: &str) -> Self {
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
    pub(super) fn metadata(&self, hashes: &HashMap<(usize, usize), Hash>) -> Vec<u8> {
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
