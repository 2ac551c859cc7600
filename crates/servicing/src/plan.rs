//! What each way does to an image: files, registry, and what is left for the first start.
//!
//! Paths in an image are from the root of its volume, with backslashes; paths in a cabinet are those of its entries.

use std::collections::{BTreeMap, BTreeSet};

use hive::reg::{Change, KeyPath, Operation};
use hive::{Key, Kind, Name, data};

use crate::assess::Reach;
use crate::cabinet::fold;
use crate::manifest::{GroupMember, RegistryValue};
use crate::package::{Components, Content, Package};

/// The folder of catalogs that belong to the system. Source: every Windows has it.
const CATALOGS: &str = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

/// The key that says which services share a process.
const SVCHOST: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\SvcHost";

/// Where CBS keeps its list of packages.
const CBS_PACKAGES: &str =
    r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";

/// The folder for packages that Windows installs at its first start.
pub const STAGING_FOLDER: &str = r"Windows\Setup\Scripts\wimforge\packages";

/// A package that is nothing but drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverPlan {
    /// Its drivers.
    pub drivers: Vec<DriverFolder>,
    /// Whether Windows would have wanted to be restarted.
    pub restart: bool,
}

/// A driver in a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverFolder {
    /// Its folder in the cabinet.
    pub folder: String,
    /// The path of its INF file in the cabinet.
    pub inf: String,
    /// The paths of all of its files in the cabinet.
    pub files: Vec<String>,
    /// The catalogs in the cabinet that may cover it, the likeliest first.
    pub catalogs: Vec<String>,
}

/// A file that is written to the image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PlannedFile {
    /// Where it is put first: in the component store, or a folder of it.
    pub path: String,
    /// Other names of the same file: hard links.
    pub links: Vec<String>,
    /// Its path in the cabinet.
    pub source: String,
    /// Its security descriptor in SDDL; `None` for the one that its folder gives it.
    pub sddl: Option<String>,
}

/// A folder that is made in the image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PlannedFolder {
    /// Its path.
    pub path: String,
    /// Whether it is hidden.
    pub hidden: bool,
    /// Whether it is a system folder.
    pub system: bool,
    /// Its security descriptor in SDDL; `None` for the one that its parent gives it.
    pub sddl: Option<String>,
}

/// What is written to an image to apply a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyPlan {
    /// Files. If one of their links exists already, Windows would choose by version which of the two is used: then the
    /// package has to be staged ([`Assessment::stage_instead`](crate::Assessment::stage_instead)).
    pub files: Vec<PlannedFile>,
    /// Folders, outer ones first.
    pub folders: Vec<PlannedFolder>,
    /// Keys and values, services included.
    pub registry: Vec<Operation>,
    /// Security descriptors of keys, in SDDL.
    pub key_descriptors: Vec<(KeyPath, String)>,
    /// Security descriptors of services (not of their keys), in SDDL: the value `Security` of the key `Security` of each.
    pub service_descriptors: Vec<(String, String)>,
    /// Services that join others in a process: see [`group_operations`](Self::group_operations).
    pub groups: Vec<GroupMember>,
    /// The packages in the list that `dism /get-packages` shows. **Not checked on a running Windows:** the names of values
    /// and the number of `Owners` are those that people use who edit the list by hand; 0x70 stands for installed. The
    /// COMPONENTS hive, in which Windows keeps what each component is, is not written, so `dism /cleanup-image
    /// /scanhealth` may find fault. A caller can leave these out; then Windows does not know of the package, whose files
    /// and settings are there and work.
    pub registration: Vec<Operation>,
    /// Drivers that come with it.
    pub drivers: Vec<DriverFolder>,
    /// Whether Windows would have wanted to be restarted.
    pub restart: bool,
}

/// A package that Windows installs at its first start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagePlan {
    /// The files that are put into [`STAGING_FOLDER`], in the order in which they are installed.
    pub files: Vec<StagedFile>,
}

/// A file that is staged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagedFile {
    /// Its name. [`stage_paths`] puts it somewhere.
    pub name: String,
    /// Its path in the package; `None` for the package itself.
    pub inner: Option<String>,
    /// Whether it is given to `dism /add-package`; otherwise it only has to lie beside one that is.
    pub is_package: bool,
}

impl StagePlan {
    pub(crate) fn of(package: &Package) -> Self {
        let whole = |name: &str| StagedFile { name: file_name(name), inner: None, is_package: true };
        let Content::Collection { cabinet, .. } = package.content() else {
            return Self { files: vec![whole(package.name())] };
        };
        // `dism /online` takes no `.msu` before Windows 11, and Nano Server has no `wusa`: the cabinets in it are staged. One
        // of the files is there for Windows Update, to find out whether the update applies.
        let ends = |path: &str, ending: &str| fold(path).ends_with(ending);
        let scans = |path: &str| ends(path, "WSUSSCAN.CAB");
        let mut files: Vec<StagedFile> = cabinet
            .entries()
            .iter()
            .map(crate::cabinet::Entry::path)
            .filter(|path| (ends(path, ".CAB") && !scans(path)) || ends(path, ".PSF"))
            .map(|path| StagedFile {
                name: file_name(path),
                inner: Some(path.to_owned()),
                is_package: ends(path, ".CAB"),
            })
            .collect();
        // Files of different folders may have one name.
        let mut names = BTreeSet::new();
        for file in &mut files {
            let name = file.name.clone();
            for number in 1.. {
                if names.insert(fold(&file.name)) {
                    break;
                }
                file.name = format!("{number}-{name}");
            }
        }
        // The servicing stack first: what comes after may need it.
        files
            .sort_by_key(|file| (!file.is_package, !fold(&file.name).starts_with("SSU-"), file.name.clone()));
        Self { files }
    }
}

/// Where staged files go: each with its path in the image. Files of one package share its number, from 1 in the order of
/// `plans`, and keep their names otherwise, since some belong together.
pub fn stage_paths(plans: &[StagePlan]) -> Vec<(String, &StagedFile)> {
    let numbered = plans.iter().enumerate().flat_map(|(number, plan)| {
        let path = move |file: &StagedFile| format!("{STAGING_FOLDER}\\{:02}-{}", number + 1, file.name);
        plan.files.iter().map(move |file| (path(file), file))
    });
    numbered.collect()
}

/// The last part of a path, of nothing but characters that a command line takes as they are.
fn file_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-~".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    // Names longer than this do not fit into a path of 260 characters everywhere.
    let cut = name.len().saturating_sub(120);
    name[cut..].to_owned()
}

impl ApplyPlan {
    /// The plan, or what contradicts itself.
    pub(crate) fn new(
        cabinet: &Components,
        reach: &Reach<'_>,
        drivers: Vec<DriverFolder>,
    ) -> Result<Self, Vec<String>> {
        let mut plan = Self { drivers, ..Self::default() };
        plan.restart = reach.packages.iter().any(|(_, mum)| mum.updates.iter().any(|update| update.restart));
        let mut faults = Vec::new();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        // Where each file of a component is in the list, by its folded path.
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut claim = |path: &str, by: &str| match taken.insert(fold(path), by.to_owned()) {
            Some(other) => Err(format!("{path} is installed by {other} and by {by}")),
            None => Ok(()),
        };
        for (keyform, component) in &reach.components {
            let manifest = &component.manifest;
            let by = &manifest.identity.name;
            let sddl = |name: Option<&String>| manifest.sddl(name).map(str::to_owned);
            plan.files.push(PlannedFile {
                path: format!("Windows\\WinSxS\\Manifests\\{keyform}.manifest"),
                links: Vec::new(),
                source: component.path.clone(),
                sddl: None,
            });
            for file in &manifest.files {
                let path = format!("Windows\\WinSxS\\{keyform}\\{}", file.source);
                let entry = cabinet.cabinet.find(&format!("{}/{}", component.folder, file.source));
                let Some(entry) = entry else {
                    faults.push(format!("{path} is not in the cabinet"));
                    continue;
                };
                faults.extend(file.destination.iter().filter_map(|link| claim(link, by).err()));
                // One file of the component may be used in several places.
                if let Some(&first) = known.get(&fold(&path)) {
                    plan.files[first].links.extend(file.destination.clone());
                    continue;
                }
                known.insert(fold(&path), plan.files.len());
                let links = file.destination.clone().into_iter().collect();
                let sddl = sddl(file.descriptor.as_ref());
                plan.files.push(PlannedFile { path, links, source: entry.path().to_owned(), sddl });
            }
            for folder in &manifest.folders {
                let (hidden, system) = folder.attributes;
                let sddl = sddl(folder.descriptor.as_ref());
                plan.folders.push(PlannedFolder { path: folder.path.clone(), hidden, system, sddl });
            }
            for key in &manifest.keys {
                let path = KeyPath::parse(&key.path);
                plan.set(&path, &key.values);
                if let Some(sddl) = sddl(key.descriptor.as_ref()) {
                    plan.key_descriptors.push((path, sddl));
                }
            }
            for service in &manifest.services {
                let path =
                    format!("HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\{}", service.name);
                plan.set(&KeyPath::parse(&path), &service.values);
                if let Some(sddl) = sddl(service.descriptor.as_ref()) {
                    plan.service_descriptors.push((service.name.clone(), sddl));
                }
            }
            plan.groups.extend(manifest.group_members.iter().cloned());
        }
        plan.folders.sort();
        plan.folders.dedup();
        plan.groups.sort();
        plan.groups.dedup();
        for (path, mum) in &reach.packages {
            plan.package(cabinet, path, &mum.identity.package_id());
        }
        if faults.is_empty() { Ok(plan) } else { Err(faults) }
    }

    /// What makes a package known.
    fn package(&mut self, cabinet: &Components, mum: &str, id: &str) {
        let folder = r"Windows\servicing\Packages";
        let mut write = |path: String, links: Vec<String>, source: String| {
            self.files.push(PlannedFile { path, links, source, sddl: None });
        };
        write(format!("{folder}\\{id}.mum"), Vec::new(), mum.to_owned());
        if let Some(catalog) = cabinet.catalog_of(mum) {
            write(format!("{folder}\\{id}.cat"), vec![format!("{CATALOGS}\\{id}.cat")], catalog);
        }
        let key = KeyPath::parse(&format!("{CBS_PACKAGES}\\{id}"));
        let file = format!("{id}.mum");
        for (name, kind, data) in [
            ("CurrentState", Kind::DWORD, data::dword(0x70)),
            ("InstallName", Kind::SZ, data::sz(&file)),
            ("InstallClient", Kind::SZ, data::sz("wimforge")),
            ("Visibility", Kind::DWORD, data::dword(1)),
            ("SelfUpdate", Kind::DWORD, data::dword(0)),
        ] {
            let change = Change::SetValue { name: Name::new(name), kind, data };
            self.registration.push(Operation { key: key.clone(), change, line: 0 });
        }
        let owners = KeyPath::parse(&format!("{CBS_PACKAGES}\\{id}\\Owners"));
        let change = Change::SetValue { name: Name::new(id), kind: Kind::DWORD, data: data::dword(0x20070) };
        self.registration.push(Operation { key: owners, change, line: 0 });
    }

    fn set(&mut self, key: &KeyPath, values: &[RegistryValue]) {
        self.registry.push(Operation { key: key.clone(), change: Change::CreateKey, line: 0 });
        for value in values {
            let change =
                Change::SetValue { name: Name::new(&value.name), kind: value.kind, data: value.data.clone() };
            self.registry.push(Operation { key: key.clone(), change, line: 0 });
        }
    }

    /// What makes services join others in a process, given the root of the image's SOFTWARE hive: each list is its old
    /// one and the new names.
    pub fn group_operations(&self, software: &Key) -> Vec<Operation> {
        let (_, inner) = SVCHOST.split_once("SOFTWARE\\").expect("it is below SOFTWARE");
        let key = software.open(inner);
        let groups: BTreeSet<&str> = self.groups.iter().map(|member| member.group.as_str()).collect();
        let mut operations = Vec::new();
        for group in groups {
            let old =
                key.and_then(|key| key.value(group)).and_then(|value| value.as_multi()).unwrap_or_default();
            let mut services = old;
            for member in self.groups.iter().filter(|member| member.group == group) {
                if services.iter().any(|service| service.eq_ignore_ascii_case(&member.service)) {
                    continue;
                }
                let at = if member.first { 0 } else { services.len() };
                services.insert(at, member.service.clone());
            }
            let change = Change::SetValue {
                name: Name::new(group),
                kind: Kind::MULTI_SZ,
                data: data::multi_sz(services),
            };
            operations.push(Operation { key: KeyPath::parse(SVCHOST), change, line: 0 });
        }
        operations
    }

    /// The paths in the image that must not exist yet.
    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.files
            .iter()
            .flat_map(|file| [file.path.as_str()].into_iter().chain(file.links.iter().map(String::as_str)))
    }
}
