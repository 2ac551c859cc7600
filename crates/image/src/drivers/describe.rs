//! Driver packages in words: what they are, and what a Windows would make of them.

use std::collections::BTreeSet;

use driver::catalog::Verdict;
use driver::catalog::trust::Trusted;
use driver::find::{Found, find};
use driver::inf::Inf;
use driver::{Architecture, Folders, Package, ProductType, Target, compile};
use serde::Serialize;

use super::{DriverSource, examine};
use crate::customize::About;
use crate::source::WimSource;
use crate::{Error, Result};

/// A build that every decoration fits that asks for a build or later.
const NEWEST: u32 = 99_999;

/// A driver package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriverInfo {
    /// Its INF file in the source.
    pub inf: String,
    /// Its setup class.
    pub class: String,
    /// The class' GUID.
    pub class_guid: Option<String>,
    /// Who provides it.
    pub provider: String,
    /// Its version, four numbers.
    pub version: String,
    /// Its date, as 2019-08-02.
    pub date: Option<String>,
    /// The architectures that it has devices for.
    pub architectures: Vec<&'static str>,
    /// The systems that its models are for, as the INF file has them: `NTamd64.10.0...14393`.
    pub systems: Vec<String>,
    /// The hardware ids of its devices.
    pub hardware_ids: Vec<String>,
    /// The services that it adds.
    pub services: Vec<String>,
    /// Whether Windows may have to start from one of its devices.
    pub boot_critical: bool,
    /// Its files that are there: paths from the folder of the INF file.
    pub files: Vec<String>,
    /// Whether its catalog has a good signature and covers its files.
    pub signed: bool,
    /// What its catalog says.
    pub signature: String,
    /// What is wrong with it; of its files, or why it cannot be read at all.
    pub problems: Vec<String>,
    /// Lines of the INF file that are passed over.
    pub warnings: Vec<String>,
}

impl DriverInfo {
    fn of(inf: &str, package: &Package) -> Self {
        let driver = &package.driver;
        let [a, b, c, d] = driver.version.version;
        let services = driver.configurations.iter().flat_map(|configuration| &configuration.services);
        let sorted = |texts: BTreeSet<String>| texts.into_iter().collect();
        Self {
            inf: inf.to_owned(),
            class: driver.version.class.clone(),
            class_guid: driver.version.class_guid.map(|guid| guid.to_string()),
            provider: driver.version.provider.clone(),
            version: format!("{a}.{b}.{c}.{d}"),
            date: driver.version.date.map(|date| date.to_string().chars().take(10).collect()),
            hardware_ids: sorted(driver.devices.iter().map(|device| device.hardware_id.clone()).collect()),
            services: sorted(services.map(|service| service.name.clone()).collect()),
            boot_critical: driver.is_boot_critical(),
            files: package.files.keys().cloned().collect(),
            signed: matches!(package.verdict, Verdict::Signed(_)),
            signature: package.verdict.to_string(),
            problems: package.problems.clone(),
            warnings: driver.warnings.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

/// All driver packages of a source, whatever they are for.
///
/// # Errors
/// [`Error::Driver`] when the source cannot be read. A package that cannot is one with problems.
pub fn describe(source: &DriverSource) -> Result<Vec<DriverInfo>> {
    let failed = |error| Error::Driver { path: source.path().to_owned(), source: Box::new(error) };
    let any = Target::new(Architecture::Amd64, NEWEST, ProductType::Server);
    let found = find(&source.searched(), &any).map_err(failed)?;
    Ok(found.into_iter().map(|found| described(source, &found)).collect())
}

fn described(source: &DriverSource, found: &Found) -> DriverInfo {
    // What it is for is not known, so every architecture is tried; what else it says is the same for all.
    let mut architectures = Vec::new();
    let mut first = None;
    let mut reason = None;
    for architecture in
        [Architecture::Amd64, Architecture::Arm64, Architecture::X86, Architecture::Arm, Architecture::Ia64]
    {
        for product in [ProductType::Workstation, ProductType::Server] {
            let target = Target::new(architecture, NEWEST, product);
            match compile(&found.inf, &target, &Folders::new(&target, found.inf.name()), &()) {
                Ok(driver) if !driver.devices.is_empty() || driver.default_install.is_some() => {
                    first = first.or(Some(target));
                    architectures.push(architecture.name());
                    break;
                }
                Ok(_) => {}
                Err(error) => reason = reason.or(Some(error.to_string())),
            }
        }
    }
    let systems = systems(&found.inf);
    let unread = |reason: String| DriverInfo {
        inf: found.path.clone(),
        systems: systems.clone(),
        problems: vec![reason],
        ..DriverInfo::default()
    };
    if let driver::find::Fit::Unreadable(reason) = &found.fit
        && first.is_none()
    {
        return unread(reason.clone());
    }
    let Some(target) = first else {
        return unread(reason.unwrap_or_else(|| "it has no devices".to_owned()));
    };
    match Package::load(source.tree(), &found.path, &target, &(), &Trusted::microsoft()) {
        Ok(package) => {
            DriverInfo { architectures, systems: systems.clone(), ..DriverInfo::of(&found.path, &package) }
        }
        Err(error) => unread(error.to_string()),
    }
}

/// The decorations of `[Manufacturer]`.
fn systems(inf: &Inf) -> Vec<String> {
    let Some(section) = inf.section("Manufacturer") else { return Vec::new() };
    let fields = section.lines.iter().flat_map(|line| line.fields.iter().skip(1));
    let all: BTreeSet<String> = fields.filter(|field| !field.is_empty()).cloned().collect();
    all.into_iter().collect()
}

/// What a Windows makes of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DriverFit {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why, when it is not taken.
    pub reasons: Vec<String>,
    /// The package, when it is for this Windows.
    #[serde(flatten)]
    pub driver: DriverInfo,
}

/// What becomes of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A build puts it into the image.
    Taken,
    /// It is not for this Windows, or another one of the source is better.
    PassedOver,
    /// A build would not accept it.
    Refused,
}

/// What a build for `target` would make of the packages of a source.
///
/// # Errors
/// As [`describe`].
pub fn fits(source: &DriverSource, target: &Target, allow_unsigned: bool) -> Result<Vec<DriverFit>> {
    let examined = examine(source, target, &(), &Trusted::microsoft())?;
    let of = |it: super::Examined| {
        let mut reasons = it.obstacles(allow_unsigned);
        let outcome = match (it.is_wanted, reasons.is_empty()) {
            (false, _) => Outcome::PassedOver,
            (true, true) => Outcome::Taken,
            (true, false) => Outcome::Refused,
        };
        let driver = match it.package {
            Ok(package) => DriverInfo {
                architectures: vec![target.architecture.name()],
                ..DriverInfo::of(&it.inf, &package)
            },
            Err(reason) => {
                if reasons.is_empty() {
                    reasons.push(reason);
                }
                DriverInfo { inf: it.inf, ..DriverInfo::default() }
            }
        };
        DriverFit { outcome, reasons, driver }
    };
    Ok(examined.infs.into_iter().map(of).collect())
}

/// The Windows in an image of a WIM, by its description; `None` when that does not say enough.
pub fn target_of(source: &WimSource, image: u32) -> Option<Target> {
    About::of(source.wim().xml().image(image)).target()
}
