//! `.manifest` files: what a component installs.
//!
//! A manifest says much that installs nothing on an offline image, and some things that only Windows' own installers carry
//! out: performance counters, event providers, network bindings, settings. The former are passed over by name; whatever
//! else is not modelled here is recorded with its path, and a component with any of it is not applied.

mod registry;
mod service;

use std::collections::{BTreeMap, BTreeSet};

pub use self::registry::{RegistryKey, RegistryValue};
pub use self::service::{GroupMember, Service};
use crate::identity::{Identity, identity_of, need_sha256, own_identity};
use crate::xml::{self, Element};
use crate::{Result, expand};

/// What a component installs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// What it is called.
    pub identity: Identity,
    /// Whether it only stands for those that it depends on.
    pub is_deployment: bool,
    /// Components that are installed with it.
    pub dependencies: Vec<Identity>,
    /// Files.
    pub files: Vec<File>,
    /// Folders that are made.
    pub folders: Vec<Folder>,
    /// Keys and values of the registry.
    pub keys: Vec<RegistryKey>,
    /// Services and drivers that are started as such.
    pub services: Vec<Service>,
    /// Services that share a process.
    pub group_members: Vec<GroupMember>,
    /// Security descriptors in SDDL, by name.
    pub descriptors: BTreeMap<String, String>,
    /// Texts, by language and name.
    pub strings: BTreeMap<String, BTreeMap<String, String>>,
    /// What else it asks for: paths of elements, with what is wrong if that is known.
    pub not_understood: BTreeSet<String>,
}

/// A file of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// What it is called in the folder of its component, with backslashes.
    pub source: String,
    /// Where it is used, from the root of the volume; `None` if it stays in the component store.
    pub destination: Option<String>,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// The name of its security descriptor.
    pub descriptor: Option<String>,
}

/// A folder that a component makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Folder {
    /// Where, from the root of the volume.
    pub path: String,
    /// Whether it is hidden, and whether it is a system folder.
    pub attributes: (bool, bool),
    /// The name of its security descriptor.
    pub descriptor: Option<String>,
}

/// What installs nothing: read by Setup when it migrates an older Windows.
const INERT: &[&str] = &["migration"];

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for what is no XML or no component, and the limits of XML.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let root = xml::parse(bytes)?;
        if root.name != "assembly" {
            return Err(root.malformed(format!("the document is a <{}>, not an <assembly>", root.name)));
        }
        let mut manifest = Self { identity: own_identity(&root)?, ..Self::default() };
        let architecture = manifest.identity.architecture.to_ascii_lowercase();
        let mut notes = Notes::default();
        for child in &root.children {
            let notes = &mut notes.below(&child.name);
            match child.name.as_str() {
                "assemblyIdentity" => {}
                "deployment" => {
                    manifest.is_deployment = true;
                    notes.only(child, &[], &[]);
                }
                "dependency" => manifest.dependency(child, notes)?,
                "file" => manifest.file(child, &architecture, notes)?,
                "directories" => manifest.folders(child, &architecture, notes)?,
                "registryKeys" => registry::read(child, &architecture, &mut manifest.keys, notes)?,
                "memberships" => service::read(child, &architecture, &mut manifest, notes)?,
                "trustInfo" => manifest.descriptors(child, notes)?,
                "localization" => manifest.strings(child, notes)?,
                name if INERT.contains(&name) => {}
                _ => notes.add(""),
            }
        }
        manifest.check_descriptors(&mut notes);
        manifest.not_understood = notes.found;
        Ok(manifest)
    }

    fn dependency(&mut self, dependency: &Element, notes: &mut Notes) -> Result<()> {
        notes.only(dependency, &["discoverable", "resourceType"], &["dependentAssembly"]);
        for dependent in dependency.all("dependentAssembly") {
            let notes = &mut notes.below(&dependent.name);
            notes.only(dependent, &["dependencyType"], &["assemblyIdentity"]);
            let identity = identity_of(dependent)?;
            let of_languages = dependency.get("resourceType") == Some("Resources");
            match dependent.get("dependencyType") {
                // Texts of whichever languages are installed: the packages of these bring them.
                None | Some("prerequisite") if of_languages => {}
                Some("install") if of_languages && identity.language == "*" => {}
                Some("install") => self.dependencies.push(identity),
                kind => notes.add(&format!("@dependencyType {}", kind.unwrap_or("that is not given"))),
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &Element, architecture: &str, notes: &mut Notes) -> Result<()> {
        let name = expand::name(file.need("name")?).map_err(|why| file.malformed(why))?;
        notes.only(
            file,
            &["name", "destinationPath", "sourceName", "importPath", "sourcePath"],
            &["securityDescriptor", "hash", "signatureInfo"],
        );
        let source = file.get("sourceName").filter(|source| !source.is_empty()).unwrap_or(&name);
        let source = expand::name(source).map_err(|why| file.malformed(why))?;
        if file.get("sourcePath").is_some_and(|path| path != ".\\") {
            notes.add("@sourcePath");
        }
        let destination = match file.get("destinationPath") {
            None => None,
            Some(folder) => match expand::path(folder, architecture) {
                Ok(folder) => Some(format!("{folder}\\{name}")),
                Err(why) => {
                    notes.add(&format!("@destinationPath: {why}"));
                    None
                }
            },
        };
        let Some(hash) = file.child("hash") else {
            notes.add(": a file without a hash");
            return Ok(());
        };
        let algorithm =
            |name| hash.child(name).and_then(|element| element.get("Algorithm")).unwrap_or_default();
        let transforms: Vec<&Element> = hash.all("Transforms").flat_map(|list| &list.children).collect();
        let identity = |transform: &&Element| {
            transform.get("Algorithm").is_some_and(|name| name.ends_with("HashTransforms.Identity"))
        };
        if !algorithm("DigestMethod").ends_with("#sha256") || !transforms.iter().all(identity) {
            notes.add("/hash: not the SHA-256 of the file as it is");
            return Ok(());
        }
        let digest =
            hash.child("DigestValue").ok_or_else(|| hash.malformed("a hash without its value".to_owned()))?;
        let sha256 = need_sha256(digest)?;
        self.files.push(File { source, destination, sha256, descriptor: descriptor_of(file)? });
        Ok(())
    }

    fn folders(&mut self, folders: &Element, architecture: &str, notes: &mut Notes) -> Result<()> {
        notes.only(folders, &[], &["directory"]);
        for folder in folders.all("directory") {
            let notes = &mut notes.below("directory");
            notes.only(
                folder,
                &["destinationPath", "owner", "attributes"],
                &["securityDescriptor", "systemProtection"],
            );
            let attributes = match folder.get("attributes").unwrap_or_default() {
                "" => (false, false),
                "hidden" => (true, false),
                "system" => (false, true),
                _ => {
                    notes.add("@attributes");
                    continue;
                }
            };
            match expand::path(folder.need("destinationPath")?, architecture) {
                Ok(path) => {
                    self.folders.push(Folder { path, attributes, descriptor: descriptor_of(folder)? })
                }
                Err(why) => notes.add(&format!("@destinationPath: {why}")),
            }
        }
        Ok(())
    }

    fn descriptors(&mut self, trust: &Element, notes: &mut Notes) -> Result<()> {
        let mut element = trust;
        let mut path = Vec::new();
        for name in ["security", "accessControl", "securityDescriptorDefinitions"] {
            let notes = &mut notes.at(&path);
            notes.only(element, &[], &[name]);
            path.push(name);
            let mut inner = element.all(name);
            let Some(first) = inner.next() else { return Ok(()) };
            if inner.next().is_some() {
                notes.add(&format!("/{name}: more than one"));
            }
            element = first;
        }
        let notes = &mut notes.at(&path);
        notes.only(element, &[], &["securityDescriptorDefinition"]);
        for definition in element.all("securityDescriptorDefinition") {
            let notes = &mut notes.below("securityDescriptorDefinition");
            notes.only(definition, &["name", "sddl", "operationHint", "description"], &[]);
            if definition.get("operationHint").is_some_and(|hint| hint != "replace") {
                notes.add("@operationHint");
            }
            let (name, sddl) = (definition.need("name")?.to_owned(), definition.need("sddl")?.to_owned());
            if self.descriptors.insert(name, sddl).is_some() {
                notes.add(": two of one name");
            }
        }
        Ok(())
    }

    fn strings(&mut self, localization: &Element, notes: &mut Notes) -> Result<()> {
        notes.only(localization, &[], &["resources"]);
        for resources in localization.all("resources") {
            let notes = &mut notes.below("resources");
            notes.only(resources, &["culture"], &["stringTable"]);
            let culture = resources.get("culture").unwrap_or("neutral").to_owned();
            let strings = self.strings.entry(culture).or_default();
            for table in resources.all("stringTable") {
                for string in table.all("string") {
                    strings.insert(
                        string.need("id")?.to_owned(),
                        string.get("value").unwrap_or_default().to_owned(),
                    );
                }
            }
        }
        Ok(())
    }

    /// Every name of a descriptor has to be defined.
    fn check_descriptors(&self, notes: &mut Notes) {
        let files = self.files.iter().map(|file| &file.descriptor);
        let folders = self.folders.iter().map(|folder| &folder.descriptor);
        let keys = self.keys.iter().map(|key| &key.descriptor);
        let services = self.services.iter().map(|service| &service.descriptor);
        for name in files.chain(folders).chain(keys).chain(services).flatten() {
            if !self.descriptors.contains_key(name) {
                notes.add(&format!("securityDescriptor: {name} is not defined"));
            }
        }
    }

    /// The descriptor of a name, in SDDL.
    pub fn sddl(&self, name: Option<&String>) -> Option<&str> {
        self.descriptors.get(name?).map(String::as_str)
    }

    /// Whether it installs nothing itself.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.folders.is_empty()
            && self.keys.is_empty()
            && self.services.is_empty()
            && self.group_members.is_empty()
    }
}

/// The name of the descriptor that an element asks for.
fn descriptor_of(element: &Element) -> Result<Option<String>> {
    element
        .child("securityDescriptor")
        .map(|descriptor| descriptor.need("name").map(str::to_owned))
        .transpose()
}

/// What is not understood, and where one is.
#[derive(Debug, Default)]
struct Notes {
    path: String,
    found: BTreeSet<String>,
}

/// [`Notes`] of an inner element, which go to the outer ones when it ends.
struct Below<'n> {
    notes: Notes,
    outer: &'n mut BTreeSet<String>,
}

impl std::ops::Deref for Below<'_> {
    type Target = Notes;
    fn deref(&self) -> &Notes {
        &self.notes
    }
}

impl std::ops::DerefMut for Below<'_> {
    fn deref_mut(&mut self) -> &mut Notes {
        &mut self.notes
    }
}

impl Drop for Below<'_> {
    fn drop(&mut self) {
        self.outer.append(&mut self.notes.found);
    }
}

impl Notes {
    fn below(&mut self, name: &str) -> Below<'_> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Below { notes: Self { path, found: BTreeSet::new() }, outer: &mut self.found }
    }

    fn at(&mut self, names: &[&str]) -> Below<'_> {
        let path =
            [self.path.as_str()].into_iter().chain(names.iter().copied()).collect::<Vec<_>>().join("/");
        Below { notes: Self { path, found: BTreeSet::new() }, outer: &mut self.found }
    }

    /// Something that belongs right behind the path.
    fn add(&mut self, what: &str) {
        let slash = if what.starts_with('@') { "/" } else { "" };
        self.found.insert(format!("{}{slash}{what}", self.path));
    }

    /// Notes attributes and children other than those.
    fn only(&mut self, element: &Element, attributes: &[&str], children: &[&str]) {
        for (name, _) in element.attributes.iter().filter(|(name, _)| !attributes.contains(&name.as_str())) {
            self.add(&format!("@{name}"));
        }
        for child in element.children.iter().filter(|child| !children.contains(&child.name.as_str())) {
            self.add(&format!("/{}", child.name));
        }
        if !element.text.is_empty() && children.is_empty() && attributes.is_empty() {
            self.add(": text in it");
        }
    }
}
