//! What is left behind in an image when a package is installed: files, and changes to its hives.
//!
//! Two steps, as Windows has them. *Staging* puts the package into the driver store and registers it: from then on
//! Windows finds it for every device that appears, and configures it then. *Reflecting* does beforehand what a device
//! needs that Windows starts from, since nothing can be found before the disk can be read: its files are copied, its
//! services are made. DISM reflects what is boot-critical, and so does a plan unless it is told more.
//!
//! Where each fact comes from: `crates/driver/README.md`, "What is registered".

mod apply;
mod database;
mod legacy;
mod services;

use std::collections::BTreeMap;

use disk::FileTime;
use sha2::{Digest, Sha256};

use crate::compile::{Action, CompiledDriver, FileCopy, FileSource, Root};
use crate::folders::Folders;
use crate::image_state::ImageState;
use crate::target::Target;

/// The folder for the catalogs of drivers, from the root of the volume.
pub const CATALOG_FOLDER: &str = r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

/// A hive that a change goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HiveName {
    /// `config\SYSTEM`
    System,
    /// `config\DRIVERS`
    Drivers,
    /// `config\SOFTWARE`
    Software,
}

/// A change to a key of a hive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Which hive.
    pub hive: HiveName,
    /// The names of the keys on the path from the hive's root. (Not one text: ids can hold any character.)
    pub key: Vec<String>,
    /// What is done.
    pub action: Action,
}

/// A file to put into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedFile {
    /// Where it comes from: a path from the folder of the INF file, with backslashes.
    pub source: String,
    /// Where it goes: a path from the root of the volume, with backslashes.
    pub destination: String,
}

/// How much is done beforehand of what Windows does when a device appears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reflect {
    /// What Windows needs to start: packages with a service that the boot loader starts.
    #[default]
    BootCritical,
    /// Everything: services are made and files are copied for devices that may never appear.
    All,
    /// Nothing.
    Nothing,
}

/// Who signed a package, as the driver database says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The name in the signer's certificate; empty for an unsigned package.
    pub name: String,
    /// How much Windows trusts it.
    pub score: u32,
}

impl Signer {
    /// Nobody.
    pub const UNSIGNED: u32 = 0x8000_0000;
    /// Microsoft, for a driver of Windows itself.
    pub const INBOX: u32 = 0x0D00_0003;
    /// Microsoft, after a test.
    pub const WHQL: u32 = 0x0D00_0005;
    /// Somebody whom Windows trusts.
    pub const AUTHENTICODE: u32 = 0x0F00_0000;

    /// The signer of a catalog by the name in its certificate. Measured in real databases: Microsoft's publisher of
    /// tested drivers has 0x0D000005, Oracle 0x0F000000.
    pub fn of(name: Option<&str>) -> Self {
        let score = match name {
            None => Self::UNSIGNED,
            Some("Microsoft Windows Hardware Compatibility Publisher") => Self::WHQL,
            Some("Microsoft Windows") => Self::INBOX,
            Some(_) => Self::AUTHENTICODE,
        };
        Self { name: name.unwrap_or_default().to_owned(), score }
    }
}

/// What a plan is made from, besides the compiled package.
#[derive(Clone, Debug)]
pub struct Request<'p> {
    /// The Windows that the package was compiled for.
    pub target: &'p Target,
    /// The folders that it was compiled with.
    pub folders: &'p Folders,
    /// What the image has.
    pub image: &'p ImageState,
    /// How much is done beforehand.
    pub reflect: Reflect,
    /// Who signed it.
    pub signer: Signer,
    /// The number that Microsoft gave to what was sent in for signing: the attribute `Submission ID` of the catalog.
    pub submission: Option<&'p str>,
    /// Where it came from, as text for the database.
    pub origin: &'p str,
    /// When it was imported.
    pub time: FileTime,
}

/// What is to be done to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The name that the INF file gets: `oem3.inf`.
    pub published: String,
    /// The name of the package's folder in the driver store.
    pub package: String,
    /// Whether Windows needs the package to start.
    pub boot_critical: bool,
    /// Files to put into the image. No two go to one place.
    pub files: Vec<PlannedFile>,
    /// Files of other packages that have to be in the image: paths from the root of the volume.
    pub required_files: Vec<String>,
    /// Changes to hives, in the order in which they have to be made.
    pub changes: Vec<KeyChange>,
    /// What the package asks for and the plan leaves to Windows, or leaves out.
    pub notes: Vec<String>,
}

/// The name of a package's folder in the driver store: INF file, architecture and 16 hexadecimal digits.
///
/// How Windows computes these is not public; all it asks for is that they differ. They are the beginning of the SHA-256
/// of the INF file and the catalog, so that two versions of a package never meet in one folder.
pub fn package_name(inf_name: &str, target: &Target, inf: &[u8], catalog: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((inf.len() as u64).to_le_bytes());
    hasher.update(inf);
    hasher.update(catalog);
    let mut name = format!("{}_{}_", inf_name.to_lowercase(), target.architecture);
    if !target.has_driver_database() {
        name.push_str("neutral_");
    }
    name + &disk::hex(&hasher.finalize()[..8])
}

/// Why there is no plan for a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is registered already: same INF file, same catalog.
    #[error("{package} is in the image already, as {published}")]
    AlreadyThere {
        /// The name of its folder in the driver store.
        package: String,
        /// The name that its INF file has.
        published: String,
    },
    /// Windows would list a package without this, and fail to list any other behind it.
    #[error("{inf} has no {what}")]
    Lacks {
        /// The INF file.
        inf: String,
        /// What it has not.
        what: &'static str,
    },
}

/// A plan for a package.
///
/// # Errors
/// [`Refused`] when the package is in the image already, or when it says too little of itself.
pub fn plan(driver: &CompiledDriver, request: &Request<'_>) -> Result<Plan, Refused> {
    let package = request.folders.package.clone();
    if let Some(published) = request.image.packages.get(&package.to_lowercase()) {
        return Err(Refused::AlreadyThere { package, published: published.clone() });
    }
    let needed = [
        ("Provider in [Version]", !driver.version.provider.is_empty()),
        ("ClassGuid in [Version]", driver.version.class_guid.is_some()),
        ("DriverVer in [Version]", driver.version.date.is_some()),
        ("device", !driver.devices.is_empty()),
    ];
    if let Some((what, _)) = needed.into_iter().find(|(_, there)| !there) {
        return Err(Refused::Lacks { inf: driver.inf.clone(), what });
    }
    let number = request.image.free_oem_number();
    let mut builder = Builder {
        driver,
        request,
        published: format!("oem{number}.inf"),
        changes: Vec::new(),
        files: BTreeMap::new(),
        required: Vec::new(),
        notes: Vec::new(),
    };
    builder.stage();
    if request.target.has_driver_database() {
        let mut image = request.image.clone();
        image.oem_numbers.insert(number);
        builder.database(&image.oem_map());
    } else {
        builder.legacy();
    }
    builder.class();
    let boot_critical = driver.is_boot_critical();
    builder.reflect();
    let Builder { published, changes, files, mut required, notes, .. } = builder;
    required.sort();
    required.dedup();
    Ok(Plan {
        published,
        package,
        boot_critical,
        files: files.into_values().collect(),
        required_files: required,
        changes,
        notes,
    })
}

pub(super) struct Builder<'b> {
    driver: &'b CompiledDriver,
    request: &'b Request<'b>,
    published: String,
    changes: Vec<KeyChange>,
    /// By lower-case destination.
    files: BTreeMap<String, PlannedFile>,
    required: Vec<String>,
    notes: Vec<String>,
}

impl Builder<'_> {
    fn change(&mut self, hive: HiveName, key: &[&str], action: Action) {
        let key = key.iter().map(|name| (*name).to_owned()).collect();
        self.changes.push(KeyChange { hive, key, action });
    }

    fn set(&mut self, hive: HiveName, key: &[&str], name: &str, kind: u32, data: Vec<u8>) {
        let mode = crate::compile::Mode::Replace;
        self.change(hive, key, Action::Set { name: name.to_owned(), kind, data, mode });
    }

    fn file(&mut self, source: &str, destination: String) {
        let planned = PlannedFile { source: source.to_owned(), destination };
        self.files.entry(planned.destination.to_lowercase()).or_insert(planned);
    }

    /// The package goes into the driver store, its INF file and its catalog to where Windows looks for them.
    fn stage(&mut self) {
        let driver = self.driver;
        let store = self.request.folders.store();
        let mut package: Vec<&str> = vec![&driver.inf];
        package.extend(driver.version.catalog.as_deref());
        package.extend(driver.source_files.iter().map(String::as_str));
        package.extend(driver.copied_files());
        for path in package {
            self.file(path, format!("{store}\\{path}"));
        }
        self.file(&driver.inf, format!("Windows\\INF\\{}", self.published));
        if let Some(catalog) = &driver.version.catalog {
            let name = self.published.replace(".inf", ".cat");
            self.file(catalog, format!("{CATALOG_FOLDER}\\{name}"));
        }
    }

    /// A setup class that the image does not have.
    fn class(&mut self) {
        let (Some(class), Some(guid)) = (&self.driver.class, self.driver.version.class_guid) else { return };
        if self.request.image.installed_classes.contains(&guid) {
            return;
        }
        let control_set = self.request.image.control_set.clone();
        let guid = format!("{{{guid}}}");
        let base = [control_set.as_str(), "Control", "Class", &guid];
        let name = self.driver.version.class.clone();
        self.set(HiveName::System, &base, "Class", crate::compile::kind::SZ, hive::data::sz(&name));
        for change in &class.registry {
            self.registry(&base, change);
        }
        self.copies(&class.files);
    }

    /// Files that a section copies.
    fn copies(&mut self, copies: &[FileCopy]) {
        for copy in copies {
            match &copy.source {
                FileSource::Package(path) => self.file(path, copy.destination.clone()),
                FileSource::Included { .. } => self.required.push(copy.destination.clone()),
                FileSource::Elsewhere(path) => {
                    self.notes.push(format!(
                        "{} is not copied: {path:.80} is not in the package",
                        copy.destination
                    ));
                }
            }
        }
    }

    /// A change that an INF file asks for. Relative ones begin at a key of the SYSTEM hive.
    fn registry(&mut self, relative: &[&str], change: &crate::compile::RegistryChange) {
        let names = || change.key.split('\\').filter(|name| !name.is_empty());
        let (hive, key): (HiveName, Vec<&str>) = match change.root {
            Root::Relative => (HiveName::System, relative.iter().copied().chain(names()).collect()),
            Root::ClassesRoot if change.view_32 => {
                (HiveName::Software, ["Classes", "Wow6432Node"].into_iter().chain(names()).collect())
            }
            Root::ClassesRoot => (HiveName::Software, ["Classes"].into_iter().chain(names()).collect()),
            Root::LocalMachine => {
                let mut names = names();
                match names.next().map(str::to_ascii_uppercase).as_deref() {
                    Some("SYSTEM") => {
                        let current = self.request.image.control_set.as_str();
                        let resolved =
                            |name| if crate::inf::same(name, "CurrentControlSet") { current } else { name };
                        let mut names = names.peekable();
                        let first = names.next().map(resolved);
                        (HiveName::System, first.into_iter().chain(names).collect())
                    }
                    Some("SOFTWARE") => {
                        let view = change.view_32.then_some("Wow6432Node");
                        (HiveName::Software, view.into_iter().chain(names).collect())
                    }
                    _ => return self.note_unreached(change),
                }
            }
            Root::Users | Root::CurrentUser => return self.note_unreached(change),
        };
        self.change(hive, &key, change.action.clone());
    }

    fn note_unreached(&mut self, change: &crate::compile::RegistryChange) {
        let note = format!(
            "a change of {:?}\\{} is left to Windows: no hive of the machine has it",
            change.root, change.key
        );
        if !self.notes.contains(&note) && self.notes.len() < 100 {
            self.notes.push(note);
        }
    }

    fn reflect(&mut self) {
        let driver = self.driver;
        for configuration in &driver.configurations {
            let wanted = match self.request.reflect {
                Reflect::All => true,
                Reflect::BootCritical => configuration.is_boot_critical(),
                Reflect::Nothing => false,
            };
            if wanted {
                self.configuration(configuration);
            }
        }
        if driver.default_install.is_some() {
            self.notes.push("[DefaultInstall] is not carried out: it is no driver of a device".to_owned());
        }
    }
}
