//! `.mum` files: what a package is, for whom, and what its updates consist of.

use std::collections::BTreeSet;

use crate::Result;
use crate::identity::{Identity, Version, identity_of, own_identity};
use crate::xml::{self, Element};

/// The attributes of a parent that say how its version is compared: one for each number. Source: descriptions of updates
/// and language packs of Windows 7 to 11.
const COMPARISONS: [&str; 4] = ["distributionCompare", "serviceCompare", "buildCompare", "revisionCompare"];

/// Elements of a package that install nothing: what settings show of it, its size, and the servicing stack that DISM needs
/// for it.
const INERT: &[&str] = &["customInformation", "installerAssembly", "localizedStrings", "packageExtended"];

/// A package's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mum {
    /// What it is called.
    pub identity: Identity,
    /// `Feature Pack`, `Language Pack`, `Update`, `Security Update`, `OnDemand Pack`, `Foundation`, …
    pub release_type: String,
    /// Its short name: `KB123456`.
    pub identifier: Option<String>,
    /// What it is a part of: one of all these packages has to be there. (Optional features name those of client and server
    /// editions, which no image has both.)
    pub parents: Vec<Parent>,
    /// What it consists of.
    pub updates: Vec<Update>,
    /// Elements and attributes that mean something to Windows, and that nobody here knows what.
    pub not_understood: BTreeSet<String>,
}

/// Packages any of which a package may be a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parent {
    /// Any of these will do.
    pub any_of: Vec<Identity>,
    /// Which of the four numbers of its version have to be the same (`distributionCompare`, `serviceCompare`,
    /// `buildCompare`, `revisionCompare` of `EQ`). Otherwise a later version will do.
    pub same: [bool; 4],
}

impl Parent {
    /// Whether a package of this version will do for one that is wanted in that version.
    pub(crate) fn accepts(&self, found: Version, wanted: Version) -> bool {
        let same = self.same.iter().zip(found.0.iter().zip(wanted.0)).all(|(same, (a, b))| !same || *a == b);
        same && found >= wanted
    }
}

/// A part of a package that is installed as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update {
    /// Its name, for a feature what `dism /enable-feature` calls it.
    pub name: String,
    /// Whether Windows wants to be restarted.
    pub restart: bool,
    /// What is in it.
    pub parts: Vec<Part>,
}

/// What an update is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A component.
    Component(Identity),
    /// A driver.
    Driver {
        /// Its INF file.
        inf: String,
        /// The component that holds it.
        identity: Identity,
    },
    /// Another package.
    Package {
        /// Which.
        identity: Identity,
        /// Whether it is part of this one; otherwise it has to be there, or comes along in the same cabinet.
        contained: bool,
    },
}

impl Mum {
    /// Reads one.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for what is no XML or no package, and the limits of XML.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let root = xml::parse(bytes)?;
        if root.name != "assembly" {
            return Err(root.malformed(format!("the document is a <{}>, not an <assembly>", root.name)));
        }
        let mut mum = Self { identity: own_identity(&root)?, ..Self::default() };
        let packages: Vec<&Element> = root.all("package").collect();
        let [package] = packages[..] else {
            return Err(root.malformed(format!("it describes {} packages, not one", packages.len())));
        };
        mum.note_others(&root, "assembly", &["assemblyIdentity", "package"]);
        // Whether it can be removed again, and whether it wants a restart, concerns Windows.
        let known =
            ["identifier", "releaseType", "restart", "permanence", "targetPartition", "binaryPartition"];
        mum.note_attributes(package, "package", &known);
        // Phones and their like have several volumes.
        if package.get("targetPartition").is_some_and(|partition| !partition.eq_ignore_ascii_case("mainos")) {
            mum.not_understood.insert("package/@targetPartition".to_owned());
        }
        if package.get("binaryPartition").is_some_and(|is_binary| is_binary != "false") {
            mum.not_understood.insert("package/@binaryPartition".to_owned());
        }
        mum.release_type = package.get("releaseType").unwrap_or_default().to_owned();
        mum.identifier = package.get("identifier").map(str::to_owned);
        mum.note_others(package, "package", &[&["parent", "update"], INERT].concat());
        for parent in package.all("parent") {
            mum.note_attributes(
                parent,
                "parent",
                &[&COMPARISONS[..], &["disposition", "integrate"]].concat(),
            );
            mum.note_others(parent, "parent", &["assemblyIdentity"]);
            if let Some(disposition) =
                parent.get("disposition").filter(|disposition| *disposition != "detect")
            {
                mum.not_understood.insert(format!("package/parent/@disposition {disposition:.40}"));
                continue;
            }
            mum.parents.push(Parent {
                any_of: parent.all("assemblyIdentity").map(Identity::read).collect::<Result<_>>()?,
                same: COMPARISONS.map(|comparison| parent.get(comparison) == Some("EQ")),
            });
        }
        for update in package.all("update") {
            let update = mum.update(update)?;
            mum.updates.push(update);
        }
        Ok(mum)
    }

    fn update(&mut self, update: &Element) -> Result<Update> {
        self.note_attributes(update, "update", &["name", "restart", "displayName", "description"]);
        self.note_others(update, "update", &["component", "driver", "package"]);
        let mut read = Update {
            name: update.get("name").unwrap_or_default().to_owned(),
            restart: update.get("restart") == Some("required"),
            parts: Vec::new(),
        };
        for part in &update.children {
            let part = match part.name.as_str() {
                "component" => {
                    self.note_attributes(part, "component", &[]);
                    self.note_others(part, "component", &["assemblyIdentity"]);
                    Part::Component(identity_of(part)?)
                }
                "driver" => {
                    self.note_attributes(part, "driver", &["inf", "ranking"]);
                    self.note_others(part, "driver", &["assemblyIdentity"]);
                    Part::Driver { inf: part.need("inf")?.to_owned(), identity: identity_of(part)? }
                }
                "package" => {
                    self.note_attributes(part, "update/package", &["contained", "integrate"]);
                    self.note_others(part, "update/package", &["assemblyIdentity"]);
                    Part::Package {
                        identity: identity_of(part)?,
                        contained: part.get("contained") == Some("true"),
                    }
                }
                _ => continue,
            };
            read.parts.push(part);
        }
        Ok(read)
    }

    fn note_others(&mut self, element: &Element, path: &str, known: &[&str]) {
        for child in element.children.iter().filter(|child| !known.contains(&child.name.as_str())) {
            self.not_understood.insert(format!("{path}/{}", child.name));
        }
    }

    fn note_attributes(&mut self, element: &Element, path: &str, known: &[&str]) {
        for (name, _) in element.attributes.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            self.not_understood.insert(format!("{path}/@{name}"));
        }
    }

    /// All parts of all updates.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.updates.iter().flat_map(|update| &update.parts)
    }
}
