//! Taking a tree in, compactly: a million files must not need a gigabyte before the first byte is placed.

use std::fmt::Write as _;

use crate::model::Model;
use crate::node::{Name, Node, NodeId, ObjectId, Reparse, Source, Times, flag};
use crate::options::Options;
use crate::plan::Plan;
use crate::secure::Store;
use crate::{DescriptorId, Ea, Error, NamedStream, Result, names};

/// Nodes and links are numbered in 32 bits, with two bits to spare for what an index entry says of its name.
const MAX_NODES: usize = 1 << 28;
const MAX_LINKS: usize = 1 << 30;

/// No directory.
pub(crate) const NONE: u32 = u32::MAX;

/// A file or directory.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) times: Times,
    /// `FILE_ATTRIBUTE_*`: as given until planned, then as written; the directory bit included.
    pub(crate) attributes: u32,
    /// Key of its security descriptor; 0 while it has none.
    pub(crate) security: u32,
    pub(crate) data: Source,
    /// Number among the directories, or [`NONE`].
    pub(crate) dir: u32,
    /// What of it lies in its record: see [`resident`].
    pub(crate) resident: u8,
    pub(crate) extra: Option<Box<Extra>>,
}

/// Bits of [`Inode::resident`].
pub(crate) mod resident {
    pub(crate) const DATA: u8 = 1;
    pub(crate) const INDEX: u8 = 2;
    pub(crate) const BITMAP: u8 = 4;
    pub(crate) const REPARSE: u8 = 8;
    pub(crate) const EA: u8 = 16;
}

/// What few files have.
#[derive(Debug)]
pub(crate) struct Extra {
    pub(crate) named: Vec<Stream>,
    pub(crate) reparse: Option<Reparse>,
    pub(crate) object_id: Option<ObjectId>,
    /// As given, until they are encoded.
    pub(crate) eas: Vec<Ea>,
    pub(crate) ea: Option<EncodedEas>,
}

/// A named stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) name: Box<[u16]>,
    pub(crate) source: Source,
    pub(crate) resident: bool,
}

/// Extended attributes as they are stored.
#[derive(Debug)]
pub(crate) struct EncodedEas {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) packed: u16,
    pub(crate) need: u16,
}

impl Inode {
    pub(crate) fn is_dir(&self) -> bool {
        self.attributes & flag::DIRECTORY != 0
    }

    fn new(node: Node, security: u32) -> Self {
        let Node { attributes, times, security: _, data, named, reparse, object_id, eas } = node;
        let plain = named.is_empty() && reparse.is_none() && object_id.is_none() && eas.is_empty();
        let extra = (!plain).then(|| {
            let named = named.into_iter();
            let named =
                named.map(|NamedStream { name, source }| Stream { name, source, resident: false }).collect();
            Box::new(Extra { named, reparse, object_id, eas, ea: None })
        });
        Self { times, attributes, security, data: data.unwrap_or_default(), dir: NONE, resident: 0, extra }
    }
}

/// A name of a node in a directory; the names themselves lie in one arena, the short one after the long one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) parent: u32,
    pub(crate) node: u32,
    name: u32,
    long_len: u8,
    short_len: u8,
    /// Of the long name; POSIX until the directory is sorted.
    pub(crate) namespace: u8,
}

/// Nodes, links and names.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) inodes: Vec<Inode>,
    pub(crate) links: Vec<Link>,
    names: Vec<u16>,
    /// For each node one of its links, or [`NONE`]; empty until planning begins.
    pub(crate) first_link: Vec<u32>,
}

impl Files {
    pub(crate) fn long(&self, link: u32) -> &[u16] {
        let link = &self.links[link as usize];
        &self.names[link.name as usize..][..usize::from(link.long_len)]
    }

    pub(crate) fn short(&self, link: u32) -> Option<&[u16]> {
        let link = &self.links[link as usize];
        let short = &self.names[link.name as usize + usize::from(link.long_len)..];
        (link.short_len > 0).then(|| &short[..usize::from(link.short_len)])
    }

    /// Gives a link a short name. Both lie at the end of the arena then.
    pub(crate) fn set_short(&mut self, link: u32, short: &[u16]) {
        let long = self.long(link).to_vec();
        let at = self.names.len();
        if at + long.len() + short.len() > u32::MAX as usize {
            // A volume of that many names does without one more.
            return;
        }
        self.names.extend_from_slice(&long);
        self.names.extend_from_slice(short);
        let link = &mut self.links[link as usize];
        link.name = at as u32;
        link.short_len = short.len() as u8;
    }

    pub(crate) fn drop_short(&mut self, link: u32) {
        self.links[link as usize].short_len = 0;
    }

    /// A path for people; it ends somewhere even where the tree is a loop.
    pub(crate) fn path(&self, node: u32) -> String {
        match self.link_of(node) {
            Some(link) => self.link_path(link),
            None if node == 0 => "\\".into(),
            None => format!("(nameless file {node})"),
        }
    }

    fn link_of(&self, node: u32) -> Option<u32> {
        match self.first_link.get(node as usize) {
            Some(&link) => (link != NONE).then_some(link),
            // While the tree is being built, only an error asks.
            None => self.links.iter().position(|link| link.node == node).map(|link| link as u32),
        }
    }

    pub(crate) fn link_path(&self, link: u32) -> String {
        // The longest path of Windows. What is longer is a loop, or nobody could have made it.
        const LONGEST: usize = 32_767;
        let mut parts = vec![self.long(link)];
        let mut len = parts[0].len();
        let mut node = self.links[link as usize].parent;
        while node != 0 && len < LONGEST {
            let Some(link) = self.link_of(node) else { break };
            parts.push(self.long(link));
            len += 1 + self.long(link).len();
            node = self.links[link as usize].parent;
        }
        join_path(parts.iter().rev().copied())
    }
}

/// Joins components with backslashes, for people: what is no text shows as U+FFFD, control characters escaped.
fn join_path<'a>(parts: impl Iterator<Item = &'a [u16]>) -> String {
    let mut out = String::new();
    for part in parts {
        out.push('\\');
        for unit in char::decode_utf16(part.iter().copied()) {
            match unit.unwrap_or(char::REPLACEMENT_CHARACTER) {
                c if c.is_control() => {
                    let _ = write!(out, "{}", c.escape_default());
                }
                c => out.push(c),
            }
        }
    }
    out
}

/// Collects a tree: descriptors, nodes, and links that give the nodes their names. The order of the calls does not
/// matter, except that it decides between short names that exclude each other.
#[derive(Debug)]
pub struct Builder {
    options: Options,
    files: Files,
    store: Store,
}

impl Builder {
    /// A volume with an empty root directory.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is outside its range.
    pub fn new(options: Options) -> Result<Self> {
        const HIDDEN_AND_SYSTEM: u32 = 0x06;
        options.check()?;
        let created = options.created;
        let times = Times { created, modified: created, changed: created, accessed: created };
        let root = Node { attributes: flag::DIRECTORY | HIDDEN_AND_SYSTEM, times, ..Node::default() };
        let root = Inode::new(root, 0);
        Ok(Self {
            options,
            files: Files { inodes: vec![root], links: Vec::new(), names: Vec::new(), first_link: Vec::new() },
            store: Store::new(),
        })
    }

    /// Makes room for so many nodes, names, and UTF-16 units of names, which saves time when they are many.
    pub fn reserve(&mut self, nodes: usize, names: usize, units: usize) {
        self.files.inodes.reserve_exact(nodes.min(MAX_NODES));
        self.files.links.reserve_exact(names.min(MAX_LINKS));
        self.files.names.reserve_exact(units.min(u32::MAX as usize));
    }

    /// Adds a self-relative security descriptor. Equal ones are stored once.
    ///
    /// # Errors
    /// [`Error::Descriptor`] when it is not one.
    pub fn add_descriptor(&mut self, descriptor: &[u8]) -> Result<DescriptorId> {
        self.store.add(descriptor).map(DescriptorId)
    }

    /// Says what the root directory is like. Without this call it is hidden and system, as Windows' own, and its
    /// times are [`Options::created`].
    ///
    /// # Errors
    /// [`Error::Malformed`] when the node is no directory or has an unnamed stream.
    pub fn set_root(&mut self, node: Node) -> Result<()> {
        let refuse = |reason: &str| Err(Error::Malformed { path: "\\".into(), reason: reason.into() });
        if node.attributes & flag::DIRECTORY == 0 {
            return refuse("the root has no directory attribute (0x10)");
        }
        self.files.inodes[0] = self.inode(node)?;
        Ok(())
    }

    /// Adds a file or directory, which needs a [`link`](Self::link) before the plan is made.
    ///
    /// # Errors
    /// [`Error::Limit`] past 2^28 nodes; [`Error::Descriptor`] when [`Node::security`] is not of this builder.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId> {
        let found = self.files.inodes.len();
        if found >= MAX_NODES {
            let (found, limit) = (found as u64 + 1, MAX_NODES as u64);
            return Err(Error::Limit { path: "\\".into(), what: "number of files", found, limit });
        }
        let inode = self.inode(node)?;
        self.files.inodes.push(inode);
        Ok(NodeId(found as u32))
    }

    fn inode(&self, node: Node) -> Result<Inode> {
        let security = match node.security {
            None => 0,
            Some(DescriptorId(key)) if self.store.has(key) => key,
            Some(DescriptorId(key)) => {
                return Err(Error::Descriptor { reason: format!("number {key} was never added") });
            }
        };
        Ok(Inode::new(node, security))
    }

    /// Gives `node` a name in the directory `parent`. Files may have several names, directories have one.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the name is illegal, the parent is no directory, or either is not of this builder.
    pub fn link(&mut self, parent: NodeId, name: Name, node: NodeId) -> Result<()> {
        let files = &mut self.files;
        let path = |files: &Files| {
            let parent =
                if (parent.0 as usize) < files.inodes.len() { files.path(parent.0) } else { "?".into() };
            let name = join_path(std::iter::once(&*name.long));
            format!("{}{name}", parent.trim_end_matches('\\'))
        };
        let refuse = |files: &Files, reason: String| Err(Error::Malformed { path: path(files), reason });
        if let Some(fault) = names::fault(&name.long) {
            return refuse(files, fault.into());
        }
        for NodeId(number) in [parent, node] {
            if number as usize >= files.inodes.len() {
                return refuse(files, format!("node {number} was never added"));
            }
        }
        if node == NodeId::ROOT {
            return refuse(files, "the root cannot have another name".into());
        }
        if !files.inodes[parent.0 as usize].is_dir() {
            return refuse(files, "its parent is not a directory".into());
        }
        let short = name.short.as_deref().unwrap_or_default();
        if short.len() > names::MAX_UNITS {
            return refuse(files, format!("its short name has {} UTF-16 units", short.len()));
        }
        let at = files.names.len();
        if files.links.len() >= MAX_LINKS || at + name.long.len() + short.len() > u32::MAX as usize {
            let (what, found) = ("number of names", files.links.len() as u64 + 1);
            return Err(Error::Limit { path: path(files), what, found, limit: MAX_LINKS as u64 });
        }
        files.names.extend_from_slice(&name.long);
        files.names.extend_from_slice(short);
        files.links.push(Link {
            parent: parent.0,
            node: node.0,
            name: at as u32,
            long_len: name.long.len() as u8,
            short_len: short.len() as u8,
            namespace: names::POSIX,
        });
        Ok(())
    }

    /// Decides everything that does not depend on how large the volume is: order and namespaces of names, record
    /// numbers, what is resident, attribute lists, directory trees.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the links make no tree, or a directory has a name twice; [`Error::Limit`] and
    /// [`Error::Unsupported`] for what NTFS or this crate cannot hold.
    pub fn plan(self) -> Result<Plan> {
        Plan::new(Model::new(self.options, self.files, self.store)?)
    }
}
