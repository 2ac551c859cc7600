//! Choosing one of the trees of an image.
//!
//! The trees of one image can differ on purpose. Windows media hold all files in UDF; their ISO 9660 tree has one file,
//! README.TXT, that says so. So UDF comes first, as Windows has it; Joliet next, which has the names that Windows shows of
//! a disc without UDF; then Rock Ridge, where only tools of Unix made the image; last the bare names. A tree that is
//! damaged is an error, never a reason to show another: the stub would look like an empty disc. A UDF volume that uses
//! what this crate does not read gives way to the next tree, and [`Iso::reason`] says so.

use std::fmt;
use std::sync::Arc;

use disk::ReadAt;

use crate::entry::{Entry, EntryKind, Place};
use crate::file::IsoFile;
use crate::iso9660::{self, Descriptors};
use crate::limits::DEPTH;
use crate::names::same_name;
use crate::source::Source;
use crate::walk::Walk;
use crate::{Error, Result, udf};

/// A tree of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TreeKind {
    /// Universal Disk Format.
    Udf,
    /// Joliet: names of up to 64 (often up to 103) units of UTF-16.
    Joliet,
    /// ISO 9660 with the names of Rock Ridge.
    RockRidge,
    /// ISO 9660 as it is: names in capitals, often shortened.
    Iso9660,
}

impl fmt::Display for TreeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udf => "UDF",
            Self::Joliet => "Joliet",
            Self::RockRidge => "Rock Ridge",
            Self::Iso9660 => "ISO 9660",
        })
    }
}

/// Whether something begins like an ISO 9660 or UDF image. Nothing is checked beyond the first names.
///
/// # Errors
/// What reading gives.
pub fn is_iso(disk: &dyn ReadAt) -> std::io::Result<bool> {
    let mut identifier = [0; 5];
    if disk.size()? < 0x8006 {
        return Ok(false);
    }
    disk.read_exact_at(&mut identifier, 0x8001)?;
    Ok(matches!(&identifier, b"CD001" | b"BEA01"))
}

/// An image, and the tree of it that is read.
#[derive(Debug)]
pub struct Iso {
    source: Source,
    tree: Tree,
    kind: TreeKind,
    version: String,
    label: String,
    reason: String,
    trees: Vec<TreeKind>,
    root: Entry,
}

#[derive(Debug)]
enum Tree {
    Udf(udf::Volume),
    Iso9660(iso9660::Volume),
}

impl Iso {
    /// Opens the tree that Windows would show: UDF, else Joliet, else Rock Ridge, else ISO 9660.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is no tree, or the best one is damaged; [`Error::Unsupported`] when none uses only
    /// what this crate reads; [`Error::Limit`], [`Error::Io`].
    pub fn open(disk: Arc<dyn ReadAt>) -> Result<Self> {
        let trees = Trees::find(disk)?;
        let Some(&first) = trees.kinds.first() else {
            return Err(Error::malformed("image", 0x8000, "no volume descriptor of ISO 9660 or UDF"));
        };
        match trees.open(first) {
            // Only for UDF there is another.
            Err(Error::Unsupported { at, feature }) if first == TreeKind::Udf && trees.kinds.len() > 1 => {
                let mut iso = trees.open(trees.kinds[1])?;
                iso.reason = format!("the UDF volume uses what is not supported: {feature} ({at})");
                Ok(iso)
            }
            opened => opened,
        }
    }

    /// Opens the tree that is asked for.
    ///
    /// # Errors
    /// As [`open`](Self::open); a tree that is not there is [`Error::Malformed`].
    pub fn open_tree(disk: Arc<dyn ReadAt>, kind: TreeKind) -> Result<Self> {
        let trees = Trees::find(disk)?;
        if !trees.kinds.contains(&kind) {
            let names: Vec<String> = trees.kinds.iter().map(ToString::to_string).collect();
            let reason = format!(
                "no {kind} tree, of {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            );
            return Err(Error::malformed("image", 0x8000, reason));
        }
        let mut iso = trees.open(kind)?;
        iso.reason = "it was asked for".to_owned();
        Ok(iso)
    }

    /// Which tree is read.
    pub fn tree_kind(&self) -> TreeKind {
        self.kind
    }

    /// Version or level of what the tree follows, such as `1.02`; empty where there is none.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Why this tree and no other.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// All trees that the image has, best first.
    pub fn trees(&self) -> &[TreeKind] {
        &self.trees
    }

    /// The label of the volume, without padding; may be empty.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The root directory.
    pub fn root(&self) -> &Entry {
        &self.root
    }

    /// Length of the image in bytes.
    pub fn size(&self) -> u64 {
        self.source.size
    }

    /// What a directory holds, in the medium's order. An entry that is no directory holds nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first structure that is damaged, [`Error::Limit`], [`Error::Io`].
    pub fn entries(&self, directory: &Entry) -> Result<Vec<Entry>> {
        if !directory.is_directory() {
            return Ok(Vec::new());
        }
        match (&self.tree, &directory.place) {
            (Tree::Udf(volume), Place::Udf { partition, block, .. }) => volume.entries(*partition, *block),
            (Tree::Iso9660(volume), Place::Iso9660(extents)) => volume.entries(extents),
            _ => Err(Error::malformed("directory", 0, "is of another image")),
        }
    }

    /// The file or directory at a path with `/` or `\`, without regard to case, as Windows compares names; the exact
    /// spelling wins where several differ only in case. The empty path is the root.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn find(&self, path: &str) -> Result<Option<Entry>> {
        let mut found = self.root.clone();
        let components = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".");
        for (depth, component) in components.enumerate() {
            if depth == DEPTH {
                return Ok(None);
            }
            let wanted: Vec<u16> = component.encode_utf16().collect();
            let mut entries = self.entries(&found)?;
            let exact = entries.iter().position(|entry| *entry.name == *wanted);
            let position = exact.or_else(|| entries.iter().position(|entry| same_name(&entry.name, &wanted)));
            match position {
                Some(position) => found = entries.swap_remove(position),
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// A file, to be read where it lies. All of it lies inside the image.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the description of its extents is damaged, or one ends past the end of the image;
    /// [`Error::Unsupported`] when it is interleaved or compressed, or no file; [`Error::Limit`], [`Error::Io`].
    pub fn file(&self, entry: &Entry) -> Result<IsoFile> {
        if entry.kind != EntryKind::File {
            return Err(Error::unsupported("entry", 0, format!("{:?} is no file", entry.name())));
        }
        let runs = match (&self.tree, &entry.place) {
            (Tree::Udf(volume), Place::Udf { partition, block, .. }) => volume.runs(*partition, *block)?,
            (Tree::Iso9660(_), Place::Iso9660(extents)) => {
                if let Some(feature) = extents.unsupported {
                    let at = extents.runs.first().and_then(|run| run.place).unwrap_or(0);
                    return Err(Error::unsupported("file", at, feature));
                }
                for run in &extents.runs {
                    self.source.check("extent", run.place.unwrap_or(0), run.len)?;
                }
                extents.runs.clone()
            }
            _ => return Err(Error::malformed("file", 0, "is of another image")),
        };
        Ok(IsoFile::new(Arc::clone(self.source.disk()), runs))
    }

    /// Everything below a directory, each before what it holds.
    pub fn walk(&self, directory: &Entry) -> Walk<'_> {
        Walk::new(self, directory)
    }
}

/// What trees there are.
struct Trees {
    source: Source,
    descriptors: Descriptors,
    kinds: Vec<TreeKind>,
}

impl Trees {
    fn find(disk: Arc<dyn ReadAt>) -> Result<Self> {
        let source = Source::new(disk)?;
        let mut kinds = Vec::new();
        if udf::is_udf(&source)? {
            kinds.push(TreeKind::Udf);
        }
        let descriptors = match Descriptors::read(&source) {
            Ok(descriptors) => descriptors,
            // Beside UDF nothing depends on them.
            Err(Error::Malformed { .. }) if !kinds.is_empty() => Descriptors::default(),
            Err(error) => return Err(error),
        };
        if descriptors.joliet.is_some() {
            kinds.push(TreeKind::Joliet);
        }
        if let Some(root) = &descriptors.primary {
            if iso9660::Volume::rock_ridge(&source, root.clone()).is_some() {
                kinds.push(TreeKind::RockRidge);
            }
            kinds.push(TreeKind::Iso9660);
        }
        Ok(Self { source, descriptors, kinds })
    }

    fn open(&self, kind: TreeKind) -> Result<Iso> {
        let source = &self.source;
        let absent = || Error::malformed("image", 0x8000, format!("no {kind} tree"));
        let primary = || self.descriptors.primary.clone().ok_or_else(absent);
        let (tree, root, version, label) = match kind {
            TreeKind::Udf => {
                let volume = udf::Volume::open(source)?;
                let (root, version, label) = (volume.root()?, volume.revision(), volume.label().to_owned());
                (Tree::Udf(volume), root, version, label)
            }
            TreeKind::Joliet => {
                let (root, level) = self.descriptors.joliet.clone().ok_or_else(absent)?;
                let label = root.label.clone();
                let volume = iso9660::Volume::joliet(source, root);
                let root = volume.root();
                (Tree::Iso9660(volume), root, format!("level {level}"), label)
            }
            TreeKind::RockRidge | TreeKind::Iso9660 => {
                let root = primary()?;
                let label = root.label.clone();
                let volume = if kind == TreeKind::RockRidge {
                    iso9660::Volume::rock_ridge(source, root).ok_or_else(absent)?
                } else {
                    iso9660::Volume::plain(source, root)
                };
                let root = volume.root();
                (Tree::Iso9660(volume), root, String::new(), label)
            }
        };
        let reason = match kind {
            TreeKind::Udf if self.kinds.len() > 1 => "Windows reads UDF before all else",
            TreeKind::Udf => "the image has no other",
            TreeKind::Joliet => "the image has no UDF volume",
            TreeKind::RockRidge => "the image has neither a UDF volume nor a Joliet tree",
            TreeKind::Iso9660 => "the image has no UDF volume, no Joliet tree and no Rock Ridge names",
        };
        Ok(Iso {
            source: source.clone(),
            tree,
            kind,
            version,
            label,
            reason: reason.to_owned(),
            trees: self.kinds.clone(),
            root,
        })
    }
}
