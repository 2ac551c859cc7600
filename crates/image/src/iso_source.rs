//! An ISO image as a source: the WIMs in it, which are read where they lie, and its own tree.
//!
//! It is to an ISO what [`source`](crate::source) is to a WIM and [`disk_source`](crate::disk_source) to a disk.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codec::Note;
use iso::{Entry, EntryKind, Iso, IsoFile};
use serde::Serialize;
use wim::{Header, Source};

use crate::disk_source::Scope;
use crate::pipeline::{BlobRead, BlobStore};
use crate::source::{WimSource, open_file};
use crate::split_set;
use crate::tree::{Content, Name, Node, NodeId, Times, Tree, as_u32};
use crate::watched::{Trouble, Watched};
use crate::{Error, Result};

/// Where Windows media have their images, in the order in which they are looked for.
const INSTALL: [&str; 3] = ["sources/install.wim", "sources/install.esd", "sources/install.swm"];
/// Where media of Windows Server 2016 have Nano Server.
const NANO: &str = "NanoServer/NanoServer.wim";
/// What names of WIMs end with.
const EXTENSIONS: [&str; 3] = [".wim", ".esd", ".swm"];
/// WIMs that are listed. Media have two or three; those with a split set some twenty.
const MAX_LISTED: usize = 200;
/// Notes kept; the others are counted.
const MAX_NOTES: usize = 1000;
/// `FILE_ATTRIBUTE_HIDDEN`.
const ATTRIBUTE_HIDDEN: u32 = 2;

/// Which WIM inside an ISO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WimChoice {
    /// `sources\install.wim`, else `install.esd`, else the split set of `install.swm`.
    #[default]
    Install,
    /// `NanoServer\NanoServer.wim`.
    Nano,
    /// The one at this path, with `/` or `\`, without regard to case.
    Path(String),
}

/// An ISO image, and the name it was opened by.
#[derive(Debug)]
pub struct IsoSource {
    path: PathBuf,
    iso: Iso,
    trouble: Trouble,
}

/// An ISO image as `info` shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IsoInfo {
    /// Bytes of the image.
    pub size: u64,
    /// The label of the volume.
    pub label: String,
    /// The tree that is read.
    pub tree: String,
    /// Its version or level, where it has one.
    pub version: String,
    /// Why it and no other.
    pub reason: String,
    /// All trees of the image.
    pub trees: Vec<String>,
    /// Files in it.
    pub files: u64,
    /// Directories in it, without the root.
    pub directories: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The WIMs in it, at most 200.
    #[serde(skip)]
    pub wims: Vec<IsoWim>,
    /// What is damaged.
    pub damage: Vec<String>,
}

/// A WIM inside an ISO.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IsoWim {
    /// Its path, with slashes and without one in front.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Which part of a split set it is; 1 of a WIM that is whole, `None` of what is no WIM.
    pub part: Option<u16>,
}

impl IsoSource {
    /// Opens an ISO image.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Iso`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::of_file(path, Arc::new(open_file(path)?))
    }

    pub(crate) fn of_file(path: &Path, file: Arc<File>) -> Result<Self> {
        let trouble = Trouble::default();
        let file = Arc::new(Watched::new(file, &trouble));
        let iso = Iso::open(file).map_err(|source| Error::Iso { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), iso, trouble })
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first error of the host's when it was read: what was said of it since may follow from that, and not from what is
    /// stored. An error that was made good, by a copy of a structure, is among them.
    pub fn read_error(&self) -> Option<Error> {
        self.trouble.error(&self.path)
    }

    /// The image.
    pub fn iso(&self) -> &Iso {
        &self.iso
    }

    /// What a file inside is called in errors: `server.iso:sources/install.wim`.
    fn name_of(&self, inside: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(":");
        name.push(inside.trim_start_matches('/'));
        name.into()
    }

    fn error(&self, source: iso::Error) -> Error {
        Error::Iso { path: self.path.clone(), source }
    }

    fn error_in(&self, inside: &str, source: iso::Error) -> Error {
        Error::Iso { path: self.name_of(inside), source }
    }

    /// The entry at a path, and the path as the medium spells it.
    fn find(&self, path: &str) -> Result<Option<(Entry, String)>> {
        // Component by component, for the spelling.
        let mut spelled = String::new();
        let mut entry = self.iso.root().clone();
        for part in path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
            let inside = format!("{spelled}/{part}");
            match self.iso.find(&inside).map_err(|source| self.error_in(&inside, source))? {
                Some(found) => entry = found,
                None => return Ok(None),
            }
            spelled = format!("{spelled}/{}", entry.name());
        }
        Ok(Some((entry, spelled.trim_start_matches('/').to_owned())))
    }

    fn file(&self, entry: &Entry, inside: &str) -> Result<IsoFile> {
        self.iso.file(entry).map_err(|source| self.error_in(inside, source))
    }

    /// Opens a WIM inside, in its place: nothing is copied. A part of a split set stands for all of them.
    ///
    /// # Errors
    /// [`Error::NotFound`], which lists the WIMs that there are; [`Error::Iso`], [`Error::Wim`].
    pub fn wim(&self, choice: &WimChoice) -> Result<WimSource> {
        let places: Vec<&str> = match choice {
            WimChoice::Install => INSTALL.to_vec(),
            WimChoice::Nano => vec![NANO],
            WimChoice::Path(path) => vec![path],
        };
        for &place in &places {
            if let Some((entry, inside)) = self.find(place)? {
                return self.open_wim(&entry, &inside);
            }
        }
        let wims = self.info().wims;
        let there = match &wims[..] {
            [] => "there is no WIM in it".to_owned(),
            wims => {
                let wims: Vec<&str> = wims.iter().take(10).map(|wim| &*wim.path).collect();
                format!("choose a WIM with --wim: {}", wims.join(", "))
            }
        };
        let what = format!("has no {}; {there}", places.join(" or "));
        Err(Error::NotFound { path: self.path.clone(), what })
    }

    fn open_wim(&self, entry: &Entry, inside: &str) -> Result<WimSource> {
        let name = self.name_of(inside);
        if entry.is_directory() {
            return Err(Error::NotFound { path: name, what: "is a directory, not a WIM".to_owned() });
        }
        let host = vec![self.path.clone()];
        let file: Source = Arc::new(self.file(entry, inside)?);
        let header = Header::read(&*file).map_err(|source| Error::Wim { path: name.clone(), source })?;
        if header.parts == 1 {
            return WimSource::of_parts(name.clone(), host, vec![(name, file)]);
        }
        let directory = inside.rsplit_once('/').map_or("", |(directory, _)| directory);
        let Some((directory_entry, _)) = self.find(directory)? else {
            return Err(Error::NotFound { path: name, what: "lies in no directory".to_owned() });
        };
        let beside = self.iso.entries(&directory_entry).map_err(|source| self.error_in(directory, source))?;
        let others = beside.iter().filter(|other| is_wim(other) && other.name != entry.name).map(|other| {
            let inside = format!("{directory}/{}", other.name());
            // What cannot be opened is not a part; if one is missing in the end, that is said.
            let file = self.iso.file(other).ok().map(|file| Arc::new(file) as Source);
            (self.name_of(&inside), file)
        });
        let parts = split_set::assemble(&name, file, &header, others)?;
        WimSource::of_parts(name, host, parts)
    }

    /// Which part of a split set a file says that it is.
    fn part_of(&self, entry: &Entry) -> Option<u16> {
        let file = self.iso.file(entry).ok()?;
        Header::read(&file).ok().map(|header| header.part)
    }

    /// What is in it. What is damaged is in the answer, too.
    pub fn info(&self) -> IsoInfo {
        let iso = &self.iso;
        let mut info = IsoInfo {
            size: iso.size(),
            label: iso.label().to_owned(),
            tree: iso.tree_kind().to_string(),
            version: iso.version().to_owned(),
            reason: iso.reason().to_owned(),
            trees: iso.trees().iter().map(ToString::to_string).collect(),
            files: 0,
            directories: 0,
            bytes: 0,
            wims: Vec::new(),
            damage: Vec::new(),
        };
        let mut path: Vec<String> = Vec::new();
        for step in iso.walk(iso.root()) {
            let step = match step {
                Ok(step) => step,
                Err(error) => {
                    if info.damage.len() < MAX_NOTES {
                        info.damage.push(format!("/{}: {error}", path.join("/")));
                    }
                    continue;
                }
            };
            path.truncate(step.depth);
            path.push(step.entry.name());
            match step.entry.kind {
                EntryKind::Directory => info.directories += 1,
                _ => info.files += 1,
            }
            info.bytes = info.bytes.saturating_add(step.entry.size);
            if is_wim(&step.entry) && info.wims.len() < MAX_LISTED {
                let part = self.part_of(&step.entry);
                info.wims.push(IsoWim { path: path.join("/"), size: step.entry.size, part });
            }
        }
        info
    }

    /// The tree of the ISO itself, as far as the scope asks for, and what its files hold. Symbolic links are left out with
    /// a note, as is what is damaged.
    ///
    /// # Errors
    /// [`Error::Iso`] when the image cannot be read.
    pub fn tree(&self, scope: &Scope) -> Result<(Tree, IsoBlobs<'_>)> {
        let root = self.iso.root();
        let mut tree = Tree::empty(times(root));
        let mut files: Vec<(Entry, Box<str>)> = Vec::new();
        let mut notes_left_out = 0;
        let mut note = |tree: &mut Tree, path: &str, reason: &str| {
            if tree.notes.len() < MAX_NOTES {
                tree.notes.push(format!("{}: {reason}", if path.is_empty() { "/" } else { path }));
            } else {
                notes_left_out += 1;
            }
        };
        let mut open = vec![(NodeId::ROOT, String::new(), scope.below_root())];
        let mut walk = self.iso.walk(root);
        while let Some(step) = walk.next() {
            let step = match step {
                Ok(step) => step,
                Err(error @ iso::Error::Io { .. }) => return Err(self.error(error)),
                Err(error) => {
                    note(&mut tree, open.last().map_or("", |(_, path, _)| path), &error.to_string());
                    continue;
                }
            };
            open.truncate(step.depth + 1);
            let (parent, above, below) = &open[step.depth];
            let (parent, path) = (*parent, format!("{above}/{}", step.entry.name()));
            let entry = step.entry;
            let mut node = Node::directory(times(&entry), None);
            if entry.hidden {
                node.attributes |= ATTRIBUTE_HIDDEN;
            }
            match entry.kind {
                EntryKind::Directory => {}
                EntryKind::File => {
                    node.attributes &= ATTRIBUTE_HIDDEN;
                    let blob = as_u32(files.len());
                    let content = Content::Blob { blob, len: entry.size };
                    node.data = Some(if entry.size == 0 { Content::Empty } else { content });
                }
                EntryKind::Symlink | EntryKind::Other => {
                    note(&mut tree, &path, "is neither a file nor a directory, and left out");
                    continue;
                }
            }
            let id = NodeId(as_u32(tree.nodes.len()));
            tree.names.push(Name { parent, node: id, long: entry.name.clone(), short: None });
            if entry.is_directory() {
                match scope.below(below, |wanted| iso::same_name(&entry.name, wanted)) {
                    Some(below) => open.push((id, path, below)),
                    None => walk.skip_directory(),
                }
            } else if entry.size > 0 {
                files.push((entry, path.into()));
            }
            tree.nodes.push(node);
        }
        if notes_left_out > 0 {
            tree.notes.push(format!("and {notes_left_out} more of such faults"));
        }
        Ok((tree, IsoBlobs { source: self, files }))
    }
}

/// Whether something is called like a WIM.
fn is_wim(entry: &Entry) -> bool {
    let name = entry.name().to_ascii_lowercase();
    entry.kind == EntryKind::File && EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

fn times(entry: &Entry) -> Times {
    let written = entry.modified.unwrap_or_default();
    Times { created: entry.created.unwrap_or(written), written, accessed: entry.accessed.unwrap_or(written) }
}

/// The files of an ISO's tree, in its order.
#[derive(Debug)]
pub struct IsoBlobs<'i> {
    source: &'i IsoSource,
    files: Vec<(Entry, Box<str>)>,
}

impl IsoBlobs<'_> {
    fn name(&self, blob: u32) -> String {
        self.files[blob as usize].1.to_string()
    }
}

impl BlobStore for IsoBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.files.len()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.files[blob as usize].0.size
    }

    fn chunk_size(&self, _: u32) -> Option<u64> {
        None
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(IsoBlobReader { blobs: self, open: None })
    }

    fn states_sha1(&self) -> bool {
        false
    }

    fn sha1(&self, _: u32) -> [u8; 20] {
        [0; 20]
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        Error::Blob { path: self.source.path.clone(), name: self.name(blob), source }
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        Error::HashMismatch {
            path: self.source.path.clone(),
            name: self.name(blob),
            expected: "none".to_owned(),
            found: disk::hex(&found),
        }
    }
}

/// Reads blobs; the one at hand stays open.
struct IsoBlobReader<'a> {
    blobs: &'a IsoBlobs<'a>,
    open: Option<(u32, IsoFile)>,
}

impl BlobRead for IsoBlobReader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], _: Option<Note<'_>>) -> Result<()> {
        let source = self.blobs.source;
        let (entry, path) = &self.blobs.files[blob as usize];
        let file = match &mut self.open {
            Some((open, file)) if *open == blob => file,
            slot => &mut slot.insert((blob, source.file(entry, path)?)).1,
        };
        disk::ReadAt::read_exact_at(file, buf, offset)
            .map_err(|error| Error::Read { path: source.name_of(path), source: error })
    }
}
