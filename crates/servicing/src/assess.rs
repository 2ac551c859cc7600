//! Which way a package gets into an image, and whether it belongs there.
//!
//! A way is taken as a whole or not at all. To be applied, or to become drivers, all of a package has to be understood, every
//! file of it be there with the hash that its manifest says, and nothing compressed in a way that is not decoded here. What
//! speaks against is collected, not only the first thing, since it is what a user has to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::about::About;
use crate::cabinet::fold;
use crate::identity::{Identity, Version, WINDOWS_TOKEN};
use crate::limits::MAX_PACKAGE_DEPTH;
use crate::mum::{Mum, Parent, Part};
use crate::package::{Component, Components, Content, Package};
use crate::payload::Encoding;
use crate::plan::{ApplyPlan, DriverFolder, DriverPlan, StagePlan};
use crate::{Error, Result};

/// What is to become of a package.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Assessment {
    /// Whether it belongs into the image.
    pub verdict: Verdict,
    /// How it gets there, if it does.
    pub way: Way,
    /// Why not as drivers: empty if it is that way.
    pub not_drivers: Vec<String>,
    /// Why it is not applied: empty if it is.
    pub not_applied: Vec<String>,
}

/// Whether a package belongs into an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Yes, as far as can be told.
    Applicable,
    /// It is there already, in this version or a later one, which is named.
    Installed(Version),
    /// No: it is for another Windows.
    NotApplicable(Vec<String>),
    /// Not unless one of each of these lists is installed.
    Missing(Vec<Vec<Identity>>),
    /// Only Windows can tell: its description is not readable here.
    Unknown,
}

/// How a package gets into an image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Way {
    /// Its drivers, by the driver injector. There is nothing else in it.
    Drivers(DriverPlan),
    /// Files and registry, written to the image.
    Apply(Box<ApplyPlan>),
    /// As a file, installed by Windows itself at its first start.
    Stage(StagePlan),
}

/// `applicable`, or why not.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applicable => f.write_str("applicable"),
            Self::Installed(version) => write!(f, "installed already, in version {version}"),
            Self::NotApplicable(reasons) => write!(f, "not applicable: {}", reasons.join("; ")),
            Self::Missing(lists) => {
                let names = |any_of: &Vec<Identity>| {
                    any_of.iter().map(Identity::to_string).collect::<Vec<_>>().join(" or ")
                };
                write!(f, "needs {}", lists.iter().map(names).collect::<Vec<_>>().join(", and "))
            }
            Self::Unknown => f.write_str("for Windows to tell"),
        }
    }
}

impl Way {
    /// `drivers`, `applied` or `staged`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drivers(_) => "drivers",
            Self::Apply(_) => "applied",
            Self::Stage(_) => "staged",
        }
    }
}

impl Assessment {
    /// The same, staged, because of something that the image turned out to have.
    #[must_use]
    pub fn stage_instead(mut self, package: &Package, reason: String) -> Self {
        match self.way {
            Way::Drivers(_) => self.not_drivers.push(reason),
            Way::Apply(_) => self.not_applied.push(reason),
            Way::Stage(_) => {}
        }
        self.way = Way::Stage(StagePlan::of(package));
        self
    }
}

impl Package {
    /// Decides what is to become of the package, which for all but staging reads all of it.
    ///
    /// # Errors
    /// Those of reading its cabinet. That a package cannot be applied is none.
    pub fn assess(&self, about: &About) -> Result<Assessment> {
        let verdict = self.verdict(about);
        let components = match self.content() {
            Content::Components(components) => components,
            Content::Collection { .. } => {
                let why = "it is an update that brings packages of its own, which replace what is installed";
                return Ok(self.staged(verdict, why));
            }
            Content::Wim => return Ok(self.staged(verdict, "it is an update in a WIM")),
        };
        let reach = Reach::of(components, about);
        let mut not_drivers = reach.faults.clone();
        if reach.drivers.is_empty() {
            not_drivers.push("it has no drivers".to_owned());
        }
        let effects: Vec<&&Component> =
            reach.components.values().filter(|component| !component.manifest.is_empty()).collect();
        if let Some(component) = effects.first() {
            let others = effects.len() - 1;
            not_drivers
                .push(format!("it has {} and {others} other components", component.manifest.identity.name));
        }
        let mut not_applied = reach.faults.clone();
        for component in reach.components.values() {
            let name = &component.manifest.identity.name;
            not_applied
                .extend(component.manifest.not_understood.iter().map(|what| format!("{name}: {what}")));
            not_drivers
                .extend(component.manifest.not_understood.iter().map(|what| format!("{name}: {what}")));
        }
        if is_update(&components.top) {
            not_applied.push(format!(
                "it is an update ({}), which replaces what is installed where that is older",
                components.top.release_type
            ));
        }
        if effects.is_empty() {
            not_applied.push("it has no components that install anything".to_owned());
        }
        let wants_drivers = not_drivers.is_empty();
        let wants_apply = !wants_drivers && not_applied.is_empty();
        let mut way = Way::Stage(StagePlan::of(self));
        if wants_drivers || wants_apply {
            let payload = Payload::read(components, &reach)?;
            let drivers = driver_folders(components, &reach, &payload);
            let reasons = if wants_drivers { &mut not_drivers } else { &mut not_applied };
            match drivers {
                Err(why) => reasons.extend(why),
                Ok(drivers) if wants_drivers => {
                    let restart = components.top.updates.iter().any(|update| update.restart);
                    way = Way::Drivers(DriverPlan { drivers, restart });
                }
                Ok(drivers) => {
                    reasons.extend(payload.faults(&reach));
                    if reasons.is_empty() {
                        match ApplyPlan::new(components, &reach, drivers) {
                            Ok(plan) => way = Way::Apply(Box::new(plan)),
                            Err(why) => reasons.extend(why),
                        }
                    }
                }
            }
        }
        if matches!(way, Way::Drivers(_)) {
            not_applied = vec!["it has drivers and nothing else".to_owned()];
        }
        Ok(Assessment { verdict, way, not_drivers, not_applied })
    }

    fn staged(&self, verdict: Verdict, why: &str) -> Assessment {
        let why = vec![why.to_owned()];
        Assessment {
            verdict,
            way: Way::Stage(StagePlan::of(self)),
            not_drivers: why.clone(),
            not_applied: why,
        }
    }

    fn verdict(&self, about: &About) -> Verdict {
        let Some(identity) = self.identity() else { return Verdict::Unknown };
        let mut reasons = Vec::new();
        let architecture = identity.architecture.as_str();
        if !["*", "neutral", ""].contains(&architecture)
            && !about.architecture.is_empty()
            && !architecture.eq_ignore_ascii_case(&about.architecture)
        {
            reasons.push(format!("it is for {architecture}, the image is {}", about.architecture));
        }
        let Some(mum) = self.mum() else {
            return if reasons.is_empty() { Verdict::Unknown } else { Verdict::NotApplicable(reasons) };
        };
        let version = identity.version_numbers();
        if let Some(version) = version
            && !is_update(mum)
            && identity.token == WINDOWS_TOKEN
            && !about.has_parts_of(version)
        {
            // What is part of Windows has the version of the Windows that it is part of.
            let [major, minor, build, _] = about.version.0;
            reasons.push(format!("it is part of Windows {version}, the image is {major}.{minor}.{build}"));
        }
        if !reasons.is_empty() {
            return Verdict::NotApplicable(reasons);
        }
        let installed = about.versions_of(identity).filter_map(Identity::version_numbers).max();
        if let Some(installed) = installed.filter(|installed| Some(*installed) >= version) {
            return Verdict::Installed(installed);
        }
        let fits = |parent: &Parent, wanted: &Identity| {
            let edition =
                wanted.name.strip_prefix("Microsoft-Windows-").and_then(|rest| rest.strip_suffix("Edition"));
            edition.is_some_and(|edition| edition.eq_ignore_ascii_case(&about.edition))
                || about.versions_of(wanted).any(|found| {
                    match (found.version_numbers(), wanted.version_numbers()) {
                        (Some(found), Some(wanted)) => parent.accepts(found, wanted),
                        _ => true,
                    }
                })
        };
        let mut wanted =
            mum.parents.iter().flat_map(|parent| parent.any_of.iter().map(move |one| (parent, one)));
        let is_part = about.packages.is_empty()
            || wanted.clone().next().is_none()
            || wanted.any(|(parent, identity)| fits(parent, identity));
        if is_part {
            return Verdict::Applicable;
        }
        Verdict::Missing(vec![mum.parents.iter().flat_map(|parent| parent.any_of.iter().cloned()).collect()])
    }
}

/// Whether a package is there to replace something.
fn is_update(mum: &Mum) -> bool {
    const NEW_THINGS: &[&str] =
        &["feature pack", "language pack", "ondemand pack", "foundation", "product", "local pack", "driver"];
    !NEW_THINGS.contains(&mum.release_type.to_ascii_lowercase().as_str())
}

/// All that a package leads to.
pub(crate) struct Reach<'c> {
    /// Its own packages, with the paths of their descriptions; the first is the package itself.
    pub(crate) packages: Vec<(&'c str, &'c Mum)>,
    /// Its drivers, by their components' names in the component store.
    drivers: BTreeMap<String, Driver<'c>>,
    /// Its other components, by their name in the component store.
    pub(crate) components: BTreeMap<String, &'c Component>,
    /// What is missing, or not understood.
    pub(crate) faults: Vec<String>,
}

/// A driver of a package.
struct Driver<'c> {
    /// The name of its INF file.
    inf: &'c str,
    /// The folder of its files.
    folder: String,
    /// Its component, if that can be read. What it says follows from the INF file, which is what is installed, so it is
    /// only asked for hashes.
    component: Option<&'c Component>,
}

impl<'c> Reach<'c> {
    fn of(cabinet: &'c Components, about: &About) -> Self {
        let mut reach = Self {
            packages: Vec::new(),
            drivers: BTreeMap::new(),
            components: BTreeMap::new(),
            faults: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        reach.package("update.mum", &cabinet.top, cabinet, about, &mut seen, 0);
        reach.faults.sort();
        reach.faults.dedup();
        reach
    }

    fn package(
        &mut self,
        path: &'c str,
        mum: &'c Mum,
        cabinet: &'c Components,
        about: &About,
        seen: &mut BTreeSet<&'c str>,
        depth: usize,
    ) {
        if !seen.insert(path) {
            return;
        }
        if depth > MAX_PACKAGE_DEPTH {
            self.faults.push(format!("packages inside of each other are deeper than {MAX_PACKAGE_DEPTH}"));
            return;
        }
        self.packages.push((path, mum));
        let name = &mum.identity.name;
        self.faults.extend(mum.not_understood.iter().map(|what| format!("{name}: {what}")));
        for part in mum.parts() {
            match part {
                Part::Driver { inf, identity } => self.driver(inf, identity, cabinet),
                Part::Component(identity) => self.component(identity, cabinet),
                Part::Package { identity, contained } => match cabinet.package(identity) {
                    Some((path, mum)) => self.package(path, mum, cabinet, about, seen, depth + 1),
                    None if !contained && about.versions_of(identity).next().is_some() => {}
                    None => {
                        let excuse = cabinet.excuse(&identity.package_id());
                        self.faults.push(format!("the package {identity} {excuse}"));
                    }
                },
            }
        }
    }

    fn driver(&mut self, inf: &'c str, identity: &Identity, cabinet: &'c Components) {
        let keyform = identity.keyform();
        let component = cabinet.component(identity);
        let folder = component.map_or_else(|| keyform.clone(), |component| component.folder.clone());
        self.drivers.insert(keyform, Driver { inf, folder, component });
    }

    /// A component and those that it depends on.
    fn component(&mut self, identity: &'c Identity, cabinet: &'c Components) {
        let mut waiting = vec![identity];
        while let Some(identity) = waiting.pop() {
            if identity.is_driver() {
                // The description of its package names the INF file; here the component does.
                let inf = identity.name.get("dual_".len()..).unwrap_or_default();
                self.driver(inf, identity, cabinet);
                continue;
            }
            let keyform = identity.keyform();
            let Some(component) = cabinet.component(identity) else {
                let excuse = cabinet.excuse(&keyform);
                self.faults.push(format!("the component {identity} {excuse}"));
                continue;
            };
            if self.components.insert(keyform, component).is_none() {
                waiting.extend(&component.manifest.dependencies);
            }
        }
    }
}

/// The files of a package: what each is, but not its bytes.
struct Payload {
    /// By folded path: hash, and how it is stored.
    files: BTreeMap<String, ([u8; 32], Option<Encoding>)>,
}

impl Payload {
    fn read(cabinet: &Components, reach: &Reach<'_>) -> Result<Self> {
        let components = reach.components.values().map(|component| &component.folder);
        let drivers = reach.drivers.values().map(|driver| &driver.folder);
        let folders: BTreeSet<String> = components.chain(drivers).map(|folder| fold(folder)).collect();
        let wanted = |path: &str| {
            let path = fold(path);
            path.split_once('/').is_some_and(|(folder, _)| folders.contains(folder))
        };
        let mut files = BTreeMap::new();
        let (mut hash, mut first) = (Sha256::new(), Vec::new());
        cabinet.cabinet.stream::<Error>(&mut |entry| wanted(entry.path()), &mut |entry, piece| {
            match piece {
                Some(piece) => {
                    // The magic may lie across two pieces.
                    first.extend(piece.iter().take(8_usize.saturating_sub(first.len())));
                    hash.update(piece);
                }
                None => {
                    let encoding = Encoding::of(&std::mem::take(&mut first));
                    files.insert(fold(entry.path()), (hash.finalize_reset().into(), encoding));
                }
            }
            Ok(())
        })?;
        Ok(Self { files })
    }

    /// Why files of components are not what their manifests say.
    fn faults(&self, reach: &Reach<'_>) -> Vec<String> {
        let components = reach.components.values();
        let files = components
            .flat_map(|component| component.manifest.files.iter().map(move |file| (component, file)));
        let faults = files.filter_map(|(component, file)| {
            let path = format!("{}/{}", component.folder, file.source.replace('\\', "/"));
            match self.files.get(&fold(&path)) {
                None => Some(format!("{path} is not in the cabinet")),
                Some((_, Some(encoding))) => Some(format!("{path} is {encoding}")),
                Some((hash, None)) if *hash != file.sha256 => {
                    Some(format!("the SHA-256 of {path} is not the one in its manifest"))
                }
                Some(_) => None,
            }
        });
        faults.collect()
    }
}

/// The folders of the drivers, or why they are not usable.
fn driver_folders(
    cabinet: &Components,
    reach: &Reach<'_>,
    payload: &Payload,
) -> Result<Vec<DriverFolder>, Vec<String>> {
    let mut faults = Vec::new();
    let mut folders = Vec::new();
    for Driver { inf, folder, component } in reach.drivers.values() {
        let prefix = format!("{}/", fold(folder));
        let inf_path = format!("{folder}/{inf}");
        let mut files = Vec::new();
        for entry in cabinet.cabinet.entries().iter().filter(|entry| fold(entry.path()).starts_with(&prefix))
        {
            if let Some((_, Some(encoding))) = payload.files.get(&fold(entry.path())) {
                faults.push(format!("{} is {encoding}", entry.path()));
            }
            files.push(entry.path().to_owned());
        }
        for file in component.iter().flat_map(|component| &component.manifest.files) {
            let path = format!("{folder}/{}", file.source.replace('\\', "/"));
            match payload.files.get(&fold(&path)) {
                None => faults.push(format!("{path} is not in the cabinet")),
                Some((hash, None)) if *hash != file.sha256 => {
                    faults.push(format!("the SHA-256 of {path} is not the one in its manifest"));
                }
                Some(_) => {}
            }
        }
        let Some(inf) = cabinet.cabinet.find(&inf_path) else {
            faults.push(format!("{inf_path} is not in the cabinet"));
            continue;
        };
        // Drivers that come with Windows have no catalog of their own: that of a package covers them.
        let own = files.iter().filter(|path| fold(path).ends_with(".CAT")).cloned();
        let others = reach.packages.iter().filter_map(|(path, _)| cabinet.catalog_of(path));
        let catalogs = own.chain(others).collect();
        folders.push(DriverFolder { folder: folder.clone(), inf: inf.path().to_owned(), files, catalogs });
    }
    if faults.is_empty() { Ok(folders) } else { Err(faults) }
}
