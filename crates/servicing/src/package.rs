//! What a file that is said to be a package holds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use disk::{At, ReadAt};

use crate::cabinet::{Cabinet, fold};
use crate::identity::{Identity, identity_of};
use crate::limits::MAX_PACKAGE_XML;
use crate::manifest::Manifest;
use crate::mum::Mum;
use crate::payload::Encoding;
use crate::{Error, Result, xml};

/// The name of a cabinet's own description.
const TOP: &str = "update.mum";

/// A package of Windows: a `.cab`, or an `.msu`.
#[derive(Clone)]
pub struct Package {
    name: String,
    content: Content,
}

/// What is in the file.
#[derive(Clone)]
pub(crate) enum Content {
    /// A component package.
    Components(Box<Components>),
    /// Packages, and what belongs to them.
    Collection { cabinet: Box<Cabinet>, identity: Option<Box<Identity>> },
    /// The newer form of `.msu`: a WIM.
    Wim,
}

/// A component package, read but for its payload.
#[derive(Clone)]
pub(crate) struct Components {
    pub(crate) cabinet: Cabinet,
    pub(crate) top: Mum,
    /// The other packages in the cabinet, with the paths of their descriptions.
    pub(crate) packages: Vec<(String, Mum)>,
    /// Components by the name in the component store, in lower case.
    pub(crate) components: BTreeMap<String, Component>,
    /// Descriptions and manifests that cannot be read: path, and why.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// A component, and where it lies in the cabinet.
#[derive(Clone)]
pub(crate) struct Component {
    pub(crate) manifest: Manifest,
    /// The path of its manifest.
    pub(crate) path: String,
    /// The folder of its files.
    pub(crate) folder: String,
}

/// What kind of file a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageKind {
    /// A cabinet with a component package.
    Components,
    /// A cabinet with packages in it: an `.msu`.
    Collection,
    /// A WIM with packages in it: an `.msu` of Windows 11.
    Wim,
}

impl Package {
    /// Reads what a package says of itself. `name` is the name of its file.
    ///
    /// # Errors
    /// Those of its cabinet and its XML, as [`Error::InFile`] for a file in it; [`Error::Unsupported`] for what is no package.
    pub fn open(source: Arc<dyn ReadAt>, name: &str) -> Result<Self> {
        let io = |source| Error::Io { at: At::new("package", 0), source };
        let mut magic = [0; 8];
        let len = source.size().map_err(io)?.min(8) as usize;
        source.read_exact_at(&mut magic[..len], 0).map_err(io)?;
        let content = if magic.starts_with(b"MSWIM\0\0\0") {
            Content::Wim
        } else if Cabinet::is_cabinet(&magic) {
            let cabinet = Cabinet::open(source)?;
            if cabinet.find(TOP).is_some() {
                Content::Components(Box::new(Components::read(cabinet)?))
            } else {
                Self::collection(cabinet)?
            }
        } else if let Some(encoding) = Encoding::of(&magic) {
            return Err(Error::unsupported(
                "package",
                0,
                format!("{encoding}: a package for an update service"),
            ));
        } else {
            let reason = format!("it begins with {magic:02x?}, which is neither a cabinet nor a WIM");
            return Err(Error::malformed("package", 0, reason));
        };
        Ok(Self { name: name.to_owned(), content })
    }

    fn collection(cabinet: Cabinet) -> Result<Content> {
        let ends = |ending: &str| {
            let ending = ending.to_uppercase();
            cabinet.entries().iter().filter(move |entry| fold(entry.path()).ends_with(&ending))
        };
        if ends(".cab").next().is_none() {
            let what = if ends(".inf").next().is_some() {
                "a cabinet of drivers, not a package of Windows: it has INF files and no update.mum"
            } else {
                "a cabinet that is no package of Windows: it has no update.mum"
            };
            return Err(Error::unsupported("package", 0, what));
        }
        // An answer file for offline servicing, which says what the packages are called.
        let mut identity = None;
        for entry in ends(".xml").filter(|entry| entry.size() < 1 << 20).take(4) {
            let bytes = cabinet.read(entry.path())?;
            let Ok(root) = xml::parse(&bytes) else { continue };
            let package = root.child("servicing").and_then(|servicing| servicing.child("package"));
            if let Some(found) = package.and_then(|package| identity_of(package).ok()) {
                identity.get_or_insert(found);
            }
        }
        Ok(Content::Collection { cabinet: Box::new(cabinet), identity: identity.map(Box::new) })
    }

    /// The name of its file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of file it is.
    pub fn kind(&self) -> PackageKind {
        match self.content {
            Content::Components(_) => PackageKind::Components,
            Content::Collection { .. } => PackageKind::Collection,
            Content::Wim => PackageKind::Wim,
        }
    }

    /// What it is called, as far as that can be told without Windows.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.content {
            Content::Components(components) => Some(&components.top.identity),
            Content::Collection { identity, .. } => identity.as_deref(),
            Content::Wim => None,
        }
    }

    /// Its description.
    pub fn mum(&self) -> Option<&Mum> {
        match &self.content {
            Content::Components(components) => Some(&components.top),
            _ => None,
        }
    }

    /// What it and the packages in it are called.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        let inner = match &self.content {
            Content::Components(components) => components.packages.as_slice(),
            _ => &[],
        };
        self.identity().into_iter().chain(inner.iter().map(|(_, mum)| &mum.identity))
    }

    /// The cabinet that it is, to read what a plan names.
    pub fn cabinet(&self) -> Option<&Cabinet> {
        match &self.content {
            Content::Components(components) => Some(&components.cabinet),
            Content::Collection { cabinet, .. } => Some(cabinet),
            Content::Wim => None,
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package")
            .field("name", &self.name)
            .field("identity", &self.identity())
            .finish_non_exhaustive()
    }
}

impl Components {
    fn read(cabinet: Cabinet) -> Result<Self> {
        let is = |path: &str, ending: &str| {
            path.len() > ending.len() && fold(path).ends_with(&ending.to_uppercase())
        };
        let is_xml = |path: &str| !path.contains('/') && (is(path, ".mum") || is(path, ".manifest"));
        let xml = cabinet.entries().iter().filter(|entry| is_xml(entry.path()));
        let total = xml.map(|entry| entry.size()).sum();
        Error::limit(At::new("package", 0), "the size of its XML", total, MAX_PACKAGE_XML)?;
        let mut top = None;
        let (mut packages, mut components, mut unreadable) = (Vec::new(), BTreeMap::new(), Vec::new());
        cabinet.extract::<Error>(&mut |entry| is_xml(entry.path()), &mut |entry, bytes| {
            let path = entry.path();
            let read = if let Some(encoding) = Encoding::of(&bytes) {
                Err(Error::unsupported("XML", 0, encoding.to_string()))
            } else if is(path, ".mum") {
                Mum::parse(&bytes).map(|mum| {
                    if fold(path) == fold(TOP) {
                        top = Some(mum);
                    } else {
                        packages.push((path.to_owned(), mum));
                    }
                })
            } else {
                Manifest::parse(&bytes).and_then(|manifest| {
                    let folder = path[..path.len() - ".manifest".len()].to_owned();
                    let key = manifest.identity.keyform().to_ascii_lowercase();
                    let component = Component { manifest, path: path.to_owned(), folder };
                    match components.insert(key, component) {
                        None => Ok(()),
                        Some(other) => {
                            let reason = format!("it is the same component as {}", other.path);
                            Err(Error::malformed("XML", 0, reason))
                        }
                    }
                })
            };
            match read {
                Err(error) if fold(path) == fold(TOP) => return Err(error.in_file(path)),
                // Windows may know more: the package can still be staged.
                Err(error) => unreadable.push((path.to_owned(), error.to_string())),
                Ok(()) => {}
            }
            Ok(())
        })?;
        let top = top.expect("it is one of the files, and was read");
        packages.sort_by(|a: &(String, Mum), b| a.0.cmp(&b.0));
        unreadable.sort();
        Ok(Self { cabinet, top, packages, components, unreadable })
    }

    /// Why something of this name, which was not found, may be there nevertheless.
    pub(crate) fn excuse(&self, name: &str) -> String {
        let named = self
            .unreadable
            .iter()
            .find(|(path, _)| path.rsplit_once('.').is_some_and(|(stem, _)| stem.eq_ignore_ascii_case(name)));
        match (named, &self.unreadable[..]) {
            (Some((path, why)), _) => format!("cannot be read: {path}: {why}"),
            (None, []) => "is not in the cabinet".to_owned(),
            (None, [(path, why), others @ ..]) => {
                format!(
                    "is not in the cabinet, or one of {} that cannot be read: {path}: {why}",
                    others.len() + 1
                )
            }
        }
    }

    /// The package in the cabinet that another means.
    pub(crate) fn package(&self, identity: &Identity) -> Option<&(String, Mum)> {
        let same = |other: &Identity| {
            other.is_same_package(identity)
                && (identity.version == "*" || other.version_numbers() == identity.version_numbers())
        };
        self.packages.iter().find(|(_, mum)| same(&mum.identity))
    }

    /// The path of the catalog that goes with a description.
    pub(crate) fn catalog_of(&self, mum: &str) -> Option<String> {
        let stem = mum.get(..mum.len().checked_sub(".mum".len())?)?;
        self.cabinet.find(&format!("{stem}.cat")).map(|entry| entry.path().to_owned())
    }

    pub(crate) fn component(&self, identity: &Identity) -> Option<&Component> {
        self.components.get(&identity.keyform().to_ascii_lowercase())
    }
}
