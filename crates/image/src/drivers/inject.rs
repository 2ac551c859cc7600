//! Putting drivers into an image.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use disk::FileTime;
use driver::catalog::trust::Trusted;
use driver::catalog::{Anchor, Verdict};
use driver::plan::{HiveName, Reflect};
use driver::validate::{Finding, validate};
use driver::{ImageState, Inbox, Package, Plan, Refused, Target};
use hive::Key;
use hive::paths::KnownHive;
use serde::Serialize;

use super::{DriverSource, Examined, examine};
use crate::customize::{Protection, Session};
use crate::tree::Content;
use crate::{Error, Result};

/// Where the INF files of an image are.
const INF_FOLDER: &str = "Windows\\INF";
/// The largest INF file of an image that is read for packages that include it.
const MAX_INBOX_INF: u64 = 32 << 20;

/// A driver package that was put into the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriverReport {
    /// Where it came from: the source, as it was named.
    pub source: String,
    /// Its INF file in there.
    pub inf: String,
    /// The name of its INF file in the image: `oem0.inf`.
    pub published: String,
    /// The name of its folder in the driver store.
    pub package: String,
    /// Its setup class.
    pub class: String,
    /// Who provides it.
    pub provider: String,
    /// Its version.
    pub version: String,
    /// The hardware ids that it is for.
    pub devices: Vec<String>,
    /// What its catalog says.
    pub signature: String,
    /// Whether Windows can start from its devices: its service and its files are there, too. The others are installed when
    /// Windows finds the device.
    pub boot_critical: bool,
    /// Files that were put into the image.
    pub files: usize,
    /// What was noticed.
    pub warnings: Vec<String>,
}

/// Puts the drivers of all sources into the image that are for it, and says what was put there.
///
/// # Errors
/// [`Error::DriverRefused`] for a driver that Windows would not install or load, [`Error::Unsupported`] for a source that has
/// nothing for the image; then nothing was changed. Of packages of Windows such drivers are left out, which is noted.
/// [`Error::Driver`] when a source cannot be read.
pub(crate) fn inject(
    session: &mut Session<'_>,
    sources: &[DriverSource],
    target: &Target,
    allow_unsigned: bool,
) -> Result<Vec<DriverReport>> {
    let wanted = wanted(session, sources, target, allow_unsigned)?;
    let mut state = state(session)?;
    let before = findings(session)?;
    let mut plans = Vec::new();
    for (source, inf, package) in wanted {
        let origin = format!("C:\\{}", package.folders.store());
        match package.plan(target, &state, Reflect::BootCritical, &origin, session.time()) {
            Ok(plan) => {
                state.record(&plan);
                plans.push((source, inf, package, plan));
            }
            Err(refused) if source.is_package() || matches!(refused, Refused::AlreadyThere { .. }) => {
                session.notes.push(format!("{}: {inf} is left out: {refused}", source.path().display()));
            }
            Err(refused) => return Err(refusal(source, &inf, &refused.to_string())),
        }
    }
    let mut reports = Vec::new();
    for (source, inf, package, plan) in plans {
        let warnings = carry_out(session, source, &package, &plan)?;
        reports.push(report(source, inf, &package, plan, warnings));
    }
    let known: Vec<String> = before.iter().map(ToString::to_string).collect();
    for finding in findings(session)?.iter().map(ToString::to_string) {
        if !known.contains(&finding) {
            session.notes.push(format!("the driver database: {finding}"));
        }
    }
    Ok(reports)
}

/// The packages that are to be put into the image: all good.
fn wanted<'s>(
    session: &mut Session<'_>,
    sources: &'s [DriverSource],
    target: &Target,
    allow_unsigned: bool,
) -> Result<Vec<(&'s DriverSource, String, Package)>> {
    let mut wanted = Vec::new();
    for source in sources {
        let mut examined = examine(source, target, &ImageInbox::new(session), &Trusted::microsoft())?.infs;
        let path = source.path();
        if source.is_package() {
            // Of hundreds of drivers some may need what the package does not have. The others are not worse for that.
            examined.retain(|it| {
                let obstacles = it.obstacles(allow_unsigned);
                if !obstacles.is_empty() {
                    let reasons = obstacles.join("; ");
                    session.notes.push(format!("{}: {} is left out: {reasons}", path.display(), it.inf));
                }
                obstacles.is_empty()
            });
        }
        if let Some((inf, obstacles)) = refused(&examined, allow_unsigned) {
            // Only what a signature would mend.
            let would_do = refused(&examined, true).is_none_or(|(other, _)| other != inf);
            let hint = if would_do { " (--allow-unsigned takes it all the same)" } else { "" };
            return Err(refusal(source, &inf, &(obstacles.join("; ") + hint)));
        }
        if !examined.iter().any(|it| it.is_wanted) {
            let reasons: Vec<String> = examined
                .iter()
                .filter_map(|it| it.package.as_ref().err().map(|reason| format!("{}: {reason}", it.inf)))
                .take(5)
                .collect();
            let all = if reasons.is_empty() { "no driver at all".to_owned() } else { reasons.join("; ") };
            let what = format!("has nothing for {target}: {all}");
            if source.is_package() {
                session.notes.push(format!("{}: {what}", path.display()));
                continue;
            }
            return Err(Error::Unsupported { path: path.to_owned(), what });
        }
        for it in examined.drain(..).filter(|it| it.is_wanted) {
            if let Ok(package) = it.package {
                wanted.push((source, it.inf, package));
            }
        }
    }
    Ok(wanted)
}

fn refused(examined: &[Examined], allow_unsigned: bool) -> Option<(String, Vec<String>)> {
    examined.iter().find_map(|it| {
        let obstacles = it.obstacles(allow_unsigned);
        (!obstacles.is_empty()).then(|| (it.inf.clone(), obstacles))
    })
}

fn refusal(source: &DriverSource, inf: &str, reason: &str) -> Error {
    Error::DriverRefused { path: source.path().to_owned(), inf: inf.to_owned(), reason: reason.to_owned() }
}

fn state(session: &mut Session<'_>) -> Result<ImageState> {
    let infs: Vec<String> = session.list(INF_FOLDER).into_iter().map(|(name, _)| name).collect();
    let drivers = session.hive(KnownHive::Drivers)?.cloned();
    let Some(system) = session.hive(KnownHive::System)? else {
        let problem = "the image has no SYSTEM hive, so no driver can be registered in it";
        return Err(Error::Recipe(problem.to_owned()));
    };
    Ok(ImageState::read(system, drivers.as_ref(), infs.iter().map(String::as_str)))
}

/// What is wrong with the driver databases of the image.
fn findings(session: &mut Session<'_>) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for hive in [KnownHive::System, KnownHive::Drivers] {
        let database = session.hive(hive)?.and_then(|root: &Key| root.subkey("DriverDatabase"));
        found.extend(database.map(validate).unwrap_or_default());
    }
    Ok(found)
}

/// Puts the files and changes the hives.
fn carry_out(
    session: &mut Session<'_>,
    source: &DriverSource,
    package: &Package,
    plan: &Plan,
) -> Result<Vec<String>> {
    let reason = format!("driver {}", plan.published);
    let mut warnings = Vec::new();
    let mut kept: BTreeMap<&str, Content> = BTreeMap::new();
    for file in &plan.files {
        let Some(path) = package.files.get(&file.source) else { continue };
        let content = match kept.get(path.as_str()) {
            Some(content) => content.clone(),
            None => {
                let bytes = source.tree().read(path).map_err(|error| Error::Driver {
                    path: source.path().to_owned(),
                    source: Box::new(driver::Error::Io { path: path.clone(), source: error }),
                })?;
                let content = session.keep_bytes(&bytes)?;
                kept.insert(path, content.clone());
                content
            }
        };
        if session.exists(&file.destination) {
            warnings.push(format!("{} was there and is replaced", file.destination));
        }
        session.put(&file.destination, content, &Protection::Inherit, &reason)?;
    }
    for required in &plan.required_files {
        if !session.exists(required) {
            warnings.push(format!("it needs {required}, which the image does not have"));
        }
    }
    let time: FileTime = session.time();
    for (name, which) in [
        (HiveName::System, KnownHive::System),
        (HiveName::Drivers, KnownHive::Drivers),
        (HiveName::Software, KnownHive::Software),
    ] {
        let count = plan.changes_to(name).count();
        if count == 0 {
            continue;
        }
        let (root, applied) = session.hive_mut(which, &reason)?;
        let made = plan.apply(name, root, time);
        *applied += made.map_err(|source| Error::Hive { path: which.files()[0].into(), source })?;
    }
    Ok(warnings)
}

fn report(
    source: &DriverSource,
    inf: String,
    package: &Package,
    plan: Plan,
    mut warnings: Vec<String>,
) -> DriverReport {
    let driver = &package.driver;
    match &package.verdict {
        Verdict::Signed(by) if matches!(by.anchor, Anchor::Known(_)) => {}
        verdict => warnings.push(verdict.to_string()),
    }
    warnings.extend(package.catalog_problems.iter().cloned());
    warnings.extend(driver.warnings.iter().map(ToString::to_string));
    warnings.extend(plan.notes);
    let mut devices: Vec<String> = driver.devices.iter().map(|device| device.hardware_id.clone()).collect();
    devices.sort();
    devices.dedup();
    let [a, b, c, d] = driver.version.version;
    DriverReport {
        source: source.path().display().to_string(),
        inf,
        published: plan.published,
        package: plan.package,
        class: driver.version.class.clone(),
        provider: driver.version.provider.clone(),
        version: format!("{a}.{b}.{c}.{d}"),
        devices,
        signature: package.verdict.to_string(),
        boot_critical: plan.boot_critical,
        files: plan.files.len(),
        warnings,
    }
}

/// The INF files of the image, for packages that include them.
struct ImageInbox<'s, 'a>(RefCell<&'s mut Session<'a>>);

impl<'s, 'a> ImageInbox<'s, 'a> {
    fn new(session: &'s mut Session<'a>) -> Self {
        Self(RefCell::new(session))
    }
}

impl Inbox for ImageInbox<'_, '_> {
    fn inf(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        // Names come from INF files; none is a path.
        if name.contains(['\\', '/', ':']) {
            return Ok(None);
        }
        let path = format!("{INF_FOLDER}\\{name}");
        self.0.borrow_mut().read(&path, MAX_INBOX_INF).map_err(io::Error::other)
    }
}
