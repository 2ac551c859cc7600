//! Packages: cabinets and updates of the user, and those of the medium by their names.
//!
//! `servicing` says which way a package takes and what that means; here it is carried out. What Windows itself keeps of a
//! package that is applied (its list of packages, the COMPONENTS hive) is not written: half of it would make Windows
//! believe that it knows a component whose record it lacks, and later updates would fail on that. So Windows does not list
//! such a package, and the report says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::ReadAt;
use firstboot::{StagedKind, StagedPackage};
use hive::paths::{KnownHive, Mount};
use hive::reg::{KeyPath, Operation};
use security::Descriptor;
use servicing::names::{self, PackageFolder};
use servicing::plan::{ApplyPlan, StagePlan, stage_paths};
use servicing::{Assessment, Package, Verdict, Way};

use super::report::PackageReport;
use super::{About, Protection, Session};
use crate::iso_source::IsoSource;
use crate::recipe::Recipe;
use crate::source::open_file;
use crate::tree::Content;
use crate::{Error, Result};

/// Where media of Windows Server 2016 have the packages of Nano Server.
const MEDIA_FOLDER: &str = "NanoServer/Packages";
/// Where an image has the descriptions of its packages.
const INSTALLED: &str = "Windows\\servicing\\Packages";

/// A package that is nothing but drivers.
pub(super) struct DriverPackage {
    /// The package, to read the drivers from.
    pub(super) package: Arc<Package>,
    /// Its drivers.
    pub(super) drivers: Vec<servicing::plan::DriverFolder>,
    /// What errors call it.
    pub(super) path: PathBuf,
}

/// What became of all of them.
#[derive(Default)]
pub(super) struct Done {
    /// What the first boot installs.
    pub(super) staged: Vec<StagedPackage>,
    /// What the driver injector is to take.
    pub(super) drivers: Vec<DriverPackage>,
    pub(super) reports: Vec<PackageReport>,
}

/// Carries out what is asked for.
pub(super) fn apply(session: &mut Session<'_>, recipe: &Recipe, about: &About) -> Result<Done> {
    let customize = &recipe.customize;
    let mut sources = media(recipe, about)?;
    for path in &customize.packages {
        let source: Arc<dyn ReadAt> = Arc::new(open_file(path)?);
        sources.push((path.clone(), source));
    }
    let mut done = Done::default();
    if sources.is_empty() {
        return Ok(done);
    }
    let mut target = servicing::About {
        architecture: about.architecture.unwrap_or_default().to_owned(),
        version: servicing::Version(version(about)),
        edition: about.edition.clone().unwrap_or_default(),
        packages: Vec::new(),
    };
    let listed = match session.hive(KnownHive::Software)? {
        Some(software) => target.add_installed(software),
        None => false,
    };
    if !listed {
        let names = session.list(INSTALLED);
        target.add_files(names.iter().map(|(name, _)| name.as_str()));
    }
    let mut stages = Vec::new();
    for (path, source) in sources {
        let wrong = |source| Error::Package { path: path.clone(), source: Box::new(source) };
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let package = Arc::new(Package::open(Arc::clone(&source), &name).map_err(wrong)?);
        let mut assessment = package.assess(&target).map_err(wrong)?;
        let mut report = PackageReport::of(&path, &package, &assessment);
        if !belongs(&path, &assessment.verdict, &mut report)? {
            done.reports.push(report);
            continue;
        }
        target.add_package(&package);
        let there = match &assessment.way {
            Way::Apply(plan) => plan.destinations().find(|path| session.exists(path)).map(str::to_owned),
            _ => None,
        };
        if let Some(there) = there {
            let reason =
                format!("{there} is in the image already, and Windows has to choose between the two");
            assessment = assessment.stage_instead(&package, reason);
        }
        report.way(&assessment);
        match assessment.way {
            Way::Drivers(plan) => {
                report.details.extend(plan.drivers.iter().map(|driver| driver.inf.clone()));
                done.drivers.push(DriverPackage { package, drivers: plan.drivers, path });
            }
            Way::Apply(plan) => {
                report.files = plan.files.len() as u64;
                carry_out(session, &path, &package, &plan)?;
                if !plan.drivers.is_empty() {
                    done.drivers.push(DriverPackage { package, drivers: plan.drivers, path });
                }
            }
            Way::Stage(plan) => stages.push(Staged { package, path, source, plan }),
            other => {
                return Err(Error::Recipe(format!("{}: {other:?} is not known here", path.display())));
            }
        }
        done.reports.push(report);
    }
    stage(session, &stages, &mut done)?;
    Ok(done)
}

/// Whether a package is to be installed; an error when it cannot be.
fn belongs(path: &Path, verdict: &Verdict, report: &mut PackageReport) -> Result<bool> {
    let refused = |what: String| Err(Error::Unsupported { path: path.to_owned(), what });
    match verdict {
        Verdict::Applicable => Ok(true),
        Verdict::Installed(version) => {
            report.way = "installed already";
            report.why = vec![format!("the image has version {version}")];
            Ok(false)
        }
        Verdict::NotApplicable(reasons) => {
            refused(format!("does not belong into this image: {}", reasons.join("; ")))
        }
        Verdict::Missing(lists) => {
            let one_of = |list: &Vec<servicing::Identity>| {
                let ids: Vec<String> = list.iter().map(servicing::Identity::package_id).collect();
                ids.join(" or ")
            };
            let missing: Vec<String> = lists.iter().map(one_of).collect();
            refused(format!("needs {}, which the image does not have", missing.join(", and ")))
        }
        _ => Ok(true),
    }
}

fn version(about: &About) -> [u16; 4] {
    let Some(target) = about.target() else { return [0; 4] };
    let part = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    [part(target.major), part(target.minor), part(target.build), part(about.revision.unwrap_or(0))]
}

/// The packages of the medium that are asked for by name.
fn media(recipe: &Recipe, about: &About) -> Result<Vec<(PathBuf, Arc<dyn ReadAt>)>> {
    let wanted: Vec<&str> = recipe.customize.media_packages.iter().map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let conflicts = names::conflicts(&wanted, about.edition.as_deref().unwrap_or_default());
    if !conflicts.is_empty() {
        return Err(Error::Recipe(conflicts.join("; ")));
    }
    let medium = Medium::of(&recipe.source)?;
    let folder = medium.path();
    let wrong = |source| Error::Package { path: folder.clone(), source: Box::new(source) };
    let chosen = names::resolve(&medium, &wanted, None).map_err(wrong)?;
    let mut sources = Vec::new();
    for package in chosen {
        for cabinet in [Some(package.cabinet), package.language_cabinet].into_iter().flatten() {
            sources.push((folder.join(&cabinet), medium.open(&cabinet)?));
        }
    }
    Ok(sources)
}

/// The folder of packages that belongs to a source.
enum Medium {
    Iso(Box<IsoSource>),
    Folder(PathBuf),
}

impl Medium {
    fn of(source: &Path) -> Result<Self> {
        let file = open_file(source)?;
        if iso::is_iso(&file).map_err(|error| Error::Read { path: source.to_owned(), source: error })? {
            return Ok(Self::Iso(Box::new(IsoSource::open(source)?)));
        }
        let folder = source.parent().unwrap_or(Path::new("")).join("Packages");
        if !folder.is_dir() {
            return Err(Error::Unsupported {
                path: source.to_owned(),
                what: format!(
                    "has no packages beside it: there is no folder {}; build from the ISO, or copy its {MEDIA_FOLDER} there",
                    folder.display()
                ),
            });
        }
        Ok(Self::Folder(folder))
    }

    /// What errors call it.
    fn path(&self) -> PathBuf {
        match self {
            Self::Iso(iso) => PathBuf::from(format!("{}:{MEDIA_FOLDER}", iso.path().display())),
            Self::Folder(folder) => folder.clone(),
        }
    }

    fn open(&self, cabinet: &str) -> Result<Arc<dyn ReadAt>> {
        match self {
            Self::Folder(folder) => Ok(Arc::new(open_file(&folder.join(cabinet))?)),
            Self::Iso(iso) => {
                let path = format!("{MEDIA_FOLDER}/{cabinet}");
                let wrong = |source| Error::Iso { path: iso.path().to_owned(), source };
                let entry = iso.iso().find(&path).map_err(wrong)?.ok_or_else(|| Error::NotFound {
                    path: iso.path().to_owned(),
                    what: format!("no {path}"),
                })?;
                Ok(Arc::new(iso.iso().file(&entry).map_err(wrong)?))
            }
        }
    }
}

impl PackageFolder for Medium {
    fn list(&self, folder: &str) -> io::Result<Vec<(String, bool)>> {
        match self {
            Self::Folder(top) => fs::read_dir(top.join(folder))?
                .map(|entry| {
                    let entry = entry?;
                    let is_folder = fs::metadata(entry.path())?.is_dir();
                    Ok((entry.file_name().to_string_lossy().into_owned(), is_folder))
                })
                .collect(),
            Self::Iso(iso) => {
                let path = if folder.is_empty() {
                    MEDIA_FOLDER.to_owned()
                } else {
                    format!("{MEDIA_FOLDER}/{folder}")
                };
                let iso = iso.iso();
                let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the medium has no {path}"));
                let directory = iso.find(&path).map_err(io::Error::other)?.ok_or_else(missing)?;
                let entries = iso.entries(&directory).map_err(io::Error::other)?;
                Ok(entries
                    .iter()
                    .map(|entry| (String::from_utf16_lossy(&entry.name), entry.is_directory()))
                    .collect())
            }
        }
    }
}

/// Puts what a package has into the image.
fn carry_out(session: &mut Session<'_>, path: &Path, package: &Package, plan: &ApplyPlan) -> Result<()> {
    let reason = format!("package {}", package.name());
    let protection = |sddl: &Option<String>| match sddl {
        None => Ok(Protection::Inherit),
        Some(sddl) => descriptor(path, sddl).map(Protection::Descriptor),
    };
    for folder in &plan.folders {
        session.directory(&folder.path, &protection(&folder.sddl)?, &reason)?;
        session.mark(&folder.path, folder.hidden, folder.system);
    }
    let sources = plan.files.iter().map(|file| file.source.as_str()).collect();
    let contents = contents(session, path, package, &sources)?;
    for file in &plan.files {
        let content = contents.get(&file.source).cloned().expect("every file that is wanted is given");
        session.put(&file.path, content, &protection(&file.sddl)?, &reason)?;
        for link in &file.links {
            session.link(&file.path, link, &reason)?;
        }
    }
    session.registry(&reason, &plan.registry)?;
    if !plan.groups.is_empty() {
        let operations = match session.hive(KnownHive::Software)? {
            Some(software) => plan.group_operations(software),
            None => Vec::new(),
        };
        session.registry(&reason, &operations)?;
    }
    for (service, sddl) in &plan.service_descriptors {
        let key = KeyPath::parse(&format!(
            "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\{service}\\Security"
        ));
        let operation = Operation::set(&key, "Security", hive::Kind::BINARY, descriptor(path, sddl)?);
        session.registry(&reason, &[operation])?;
    }
    for (key, sddl) in &plan.key_descriptors {
        let security = descriptor(path, sddl)?;
        let location = hive::paths::locate(key).map_err(|problem| Error::Recipe(problem.to_string()))?;
        let (root, _) = session.hive_mut(location.hive, &reason)?;
        let inside = Mount::known(root, location.hive).key(key);
        let inside = inside.map_err(|problem| Error::Recipe(problem.to_string()))?;
        let found = inside.names().iter().try_fold(root, |key, name| key.subkey_named_mut(name));
        if let Some(key) = found {
            key.set_security(security);
        }
    }
    Ok(())
}

fn descriptor(path: &Path, sddl: &str) -> Result<Vec<u8>> {
    let made = Descriptor::from_sddl(sddl).and_then(|descriptor| descriptor.to_bytes());
    made.map_err(|error| Error::Unsupported {
        path: path.to_owned(),
        what: format!("has a security descriptor that cannot be read, {sddl:?}: {error}"),
    })
}

/// Files of a package, each kept for the image, by their paths in it. Its folders are decoded once.
pub(super) fn contents(
    session: &Session<'_>,
    path: &Path,
    package: &Package,
    wanted: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Content>> {
    let cabinet = package.cabinet().expect("what has files inside is a cabinet");
    // A cabinet's names are found in any case, and given as they stand there.
    let mut asked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in wanted {
        let missing = || Error::NotFound { path: path.to_owned(), what: format!("no {name}") };
        let entry = cabinet.find(name).ok_or_else(missing)?;
        asked.entry(entry.path()).or_default().push(name);
    }
    let mut contents = BTreeMap::new();
    let mut growing = None;
    let kept = cabinet.stream(&mut |entry| asked.contains_key(entry.path()), &mut |entry, piece| {
        let content = growing.get_or_insert_with(|| session.begin());
        match piece {
            Some(piece) => content.add(piece).map_err(Failed::Image)?,
            None => {
                let content = growing.take().expect("it was begun above").end().map_err(Failed::Image)?;
                for name in &asked[entry.path()] {
                    contents.insert((*name).to_owned(), content.clone());
                }
            }
        }
        Ok(())
    });
    kept.map_err(|failed| match failed {
        Failed::Image(error) => error,
        Failed::Package(source) => Error::Package { path: path.to_owned(), source: Box::new(source) },
    })?;
    Ok(contents)
}

/// Who is at fault when a package is taken apart.
enum Failed {
    Image(Error),
    Package(servicing::Error),
}

impl From<servicing::Error> for Failed {
    fn from(error: servicing::Error) -> Self {
        Self::Package(error)
    }
}

/// A package that the first boot installs.
struct Staged {
    package: Arc<Package>,
    path: PathBuf,
    source: Arc<dyn ReadAt>,
    plan: StagePlan,
}

/// Puts packages where the first boot finds them.
fn stage(session: &mut Session<'_>, stages: &[Staged], done: &mut Done) -> Result<()> {
    let plans: Vec<StagePlan> = stages.iter().map(|stage| stage.plan.clone()).collect();
    let owners = stages.iter().flat_map(|stage| stage.plan.files.iter().map(move |_| stage));
    for ((path, file), stage) in stage_paths(&plans).into_iter().zip(owners) {
        let Staged { package, path: from, source, .. } = stage;
        let content = match &file.inner {
            None => session.keep(from, &mut Reader { source: source.as_ref(), at: 0 })?,
            Some(inner) => {
                let inner = inner.as_str();
                let mut found = contents(session, from, package, &BTreeSet::from([inner]))?;
                found.remove(inner).expect("every file that is wanted is given")
            }
        };
        session.put(&path, content, &Protection::Inherit, &format!("package {}", package.name()))?;
        if file.is_package {
            let msu = path.to_ascii_lowercase().ends_with(".msu");
            let kind = if msu { StagedKind::Msu } else { StagedKind::Cab };
            done.staged.push(StagedPackage { name: file.name.clone(), path, kind });
        }
    }
    Ok(())
}

/// Front to back through what can be read anywhere.
struct Reader<'a> {
    source: &'a dyn ReadAt,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.source.size()?.saturating_sub(self.at);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.source.read_exact_at(&mut buf[..len], self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl PackageReport {
    fn of(path: &Path, package: &Package, assessment: &Assessment) -> Self {
        let mut report = Self {
            path: path.display().to_string(),
            identity: package.identity().map(servicing::Identity::package_id),
            way: "",
            why: Vec::new(),
            details: Vec::new(),
            files: 0,
        };
        report.way(assessment);
        report
    }

    fn way(&mut self, assessment: &Assessment) {
        (self.way, self.why) = match assessment.way {
            Way::Drivers(_) => ("drivers", Vec::new()),
            Way::Apply(_) => ("applied", Vec::new()),
            _ => ("installed at the first boot", assessment.not_applied.clone()),
        };
    }
}
