//! From an INF file to what it asks for on one particular Windows.
//!
//! The result is plain data. Nothing is looked at but the INF files: no disk, no registry; what depends on these (which
//! number the package gets, what is there already) is for [`plan`](mod@crate::plan).

mod context;
mod files;
mod install;
mod models;
mod registry;
mod service;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use disk::Guid;

use self::context::Context;
pub use self::files::{FileCopy, FileSource};
pub use self::registry::{Action, Mode, RegistryChange, Root, kind};
pub use self::service::{EventLog, Service, ServiceConfig, start_type};
pub use self::version::{Version, version_line};
use crate::folders::Folders;
use crate::inf::Inf;
use crate::target::Target;
use crate::{Place, Result, Warning};

/// Where the INF files are found that a package includes: the folder `Windows\INF` of the image.
pub trait Inbox {
    /// The bytes of an INF file by name; case does not matter. `None` when there is none.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn inf(&self, name: &str) -> std::io::Result<Option<Vec<u8>>>;
}

/// An image without INF files, for packages that include none.
impl Inbox for () {
    fn inf(&self, _name: &str) -> std::io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// A text that the INF file may keep in `[Strings]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Label {
    /// What people read.
    pub text: String,
    /// The key of `[Strings]`, as the line spells it, when the text is nothing but one token.
    pub key: Option<String>,
}

/// What an INF file asks for on one Windows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CompiledDriver {
    /// The INF file's name.
    pub inf: String,
    /// What its `[Version]` section says.
    pub version: Version,
    /// A line for each of its models, in the order of the file.
    pub devices: Vec<Device>,
    /// The install sections that the devices name, in the order they first do.
    pub configurations: Vec<Configuration>,
    /// What is installed without a device, if it has a `[DefaultInstall]` section.
    pub default_install: Option<Configuration>,
    /// How its setup class is made, if it brings one.
    pub class: Option<Class>,
    /// Every file that the package consists of besides the INF and the catalog, as paths from its folder; sorted.
    pub source_files: Vec<String>,
    /// What was passed over.
    pub warnings: Vec<Warning>,
}

/// A model: a line that says which devices an install section is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// What the device is called.
    pub description: Label,
    /// Who makes it.
    pub manufacturer: Label,
    /// The id that it is for, such as `PCI\VEN_1AF4&DEV_1001`; empty for a line that names none.
    pub hardware_id: String,
    /// Ids of devices that it can also serve.
    pub compatible_ids: Vec<String>,
    /// Its install section: a position in [`CompiledDriver::configurations`].
    pub configuration: usize,
}

/// An install section, with the sections beside it that have its name and an extension.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Configuration {
    /// The section's name with its platform: `viostor.NT`. The driver database knows it by this.
    pub section: String,
    /// Where it stands.
    pub place: Place,
    /// Files to copy.
    pub files: Vec<FileCopy>,
    /// Registry changes; relative ones are for the driver key of the device ("software key").
    pub driver: Vec<RegistryChange>,
    /// Registry changes of `.HW`; relative ones are for the device's own key.
    pub device: Vec<RegistryChange>,
    /// Services that `.Services` makes or changes.
    pub services: Vec<Service>,
    /// The service that drives the device. `Some("")` says that it needs none.
    pub service: Option<String>,
    /// Services that are deleted.
    pub deleted_services: Vec<String>,
    /// What `.Interfaces` adds.
    pub interfaces: Vec<Interface>,
    /// Services above the driver that `.Filters` adds.
    pub upper_filters: Vec<String>,
    /// The same below it.
    pub lower_filters: Vec<String>,
    /// Ids that the section is not for although a model matches.
    pub excluded_ids: Vec<String>,
    /// INF files whose sections it uses, in the order they are named.
    pub included_infs: Vec<String>,
    /// How well it supports its devices: the lower the better; 0xFF unless the INF says so.
    pub feature_score: u8,
    /// Whether it asks for a restart.
    pub reboot: bool,
    /// Which of the sections beside it exist.
    pub has: Beside,
}

/// Which sections exist beside an install section, under its name with these extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beside {
    /// `.HW`
    pub hw: bool,
    /// `.Services`
    pub services: bool,
    /// `.Interfaces`
    pub interfaces: bool,
    /// `.Wdf`
    pub wdf: bool,
}

/// A device interface that is registered with a device.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interface {
    /// Its class.
    pub class: Guid,
    /// Which of several of that class; mostly empty.
    pub reference: String,
    /// Registry changes; relative ones are for the interface's key.
    pub registry: Vec<RegistryChange>,
}

/// A setup class that an INF file defines.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// Where it is defined.
    pub place: Place,
    /// Registry changes; relative ones are for the key of the class.
    pub registry: Vec<RegistryChange>,
    /// Files of its installer.
    pub files: Vec<FileCopy>,
}

impl CompiledDriver {
    /// All ids, each with its device: hardware ids and compatible ids.
    pub fn ids(&self) -> impl Iterator<Item = (&str, &Device)> {
        self.devices.iter().flat_map(|device| {
            let all = std::iter::once(&device.hardware_id).chain(&device.compatible_ids);
            all.filter(|id| !id.is_empty()).map(move |id| (id.as_str(), device))
        })
    }

    /// The files that its lists copy from the package, as paths from its folder. Without one of them Windows does not
    /// install it.
    pub fn copied_files(&self) -> BTreeSet<&str> {
        let configurations = self.configurations.iter().chain(&self.default_install);
        let lists = configurations.map(|configuration| &configuration.files);
        let all = lists.chain(self.class.iter().map(|class| &class.files)).flatten();
        let paths = all.filter_map(|copy| match &copy.source {
            FileSource::Package(path) => Some(path.as_str()),
            FileSource::Included { .. } | FileSource::Elsewhere(_) => None,
        });
        paths.collect()
    }

    /// Whether Windows could not start from a disk behind one of its devices unless the driver is there before: one
    /// of its services is started by the boot loader.
    pub fn is_boot_critical(&self) -> bool {
        self.configurations.iter().any(Configuration::is_boot_critical)
    }
}

impl Configuration {
    /// Whether one of its services is started by the boot loader.
    pub fn is_boot_critical(&self) -> bool {
        self.services.iter().any(|service| service.config.start == Some(start_type::BOOT))
    }
}

/// Compiles an INF file for a Windows.
///
/// `folders` says what paths and the driver store are called there; `inbox` has the INF files that it may include.
/// A section that it includes and that is not there, and directives that nobody understands, are
/// [warnings](CompiledDriver::warnings).
///
/// # Errors
/// [`Error::Inf`](crate::Error::Inf) for what Windows would not install either;
/// [`Error::NotForTarget`](crate::Error::NotForTarget) when it has no models and no default installation for this
/// Windows; [`Error::Limit`](crate::Error::Limit) when it is made to exhaust its reader.
pub fn compile(inf: &Inf, target: &Target, folders: &Folders, inbox: &dyn Inbox) -> Result<CompiledDriver> {
    let mut context = Context::new(inf, target, folders, inbox);
    let version = version::read(&mut context)?;
    let (models, found) = models::read(&mut context)?;
    let mut devices = Vec::new();
    let mut configurations: Vec<Configuration> = Vec::new();
    // By the section's name as the models write it, lower-case; `None` when there is none.
    let mut known: BTreeMap<String, Option<usize>> = BTreeMap::new();
    // By the section's own name.
    let mut sections: BTreeMap<String, usize> = BTreeMap::new();
    for model in models {
        let name = crate::inf::fold(&model.section);
        let configuration = match known.get(&name) {
            Some(found) => *found,
            None => {
                let compiled = install::configuration(&mut context, &model.section)?;
                if compiled.is_none() {
                    let what =
                        format!("there is no install section {}; the device is passed over", model.section);
                    context.warn(model.place.clone(), what);
                }
                // Two names can lead to one section: `Install` and `Install.NT`.
                let position = compiled.map(|configuration| {
                    let section = crate::inf::fold(&configuration.section);
                    *sections.entry(section).or_insert_with(|| {
                        configurations.push(configuration);
                        configurations.len() - 1
                    })
                });
                known.insert(name, position);
                position
            }
        };
        let Some(configuration) = configuration else { continue };
        devices.push(Device {
            description: model.description,
            manufacturer: model.manufacturer,
            hardware_id: model.hardware_id,
            compatible_ids: model.compatible_ids,
            configuration,
        });
    }
    let default_install = install::configuration(&mut context, "DefaultInstall")?;
    if devices.is_empty() && default_install.is_none() && !found.is_empty() {
        return Err(crate::Error::NotForTarget {
            inf: inf.name().to_owned(),
            target: target.to_string(),
            found: found.join(", "),
        });
    }
    let class = install::class(&mut context)?;
    let source_files = files::source_files(&mut context)?;
    let warnings = context.into_warnings();
    let inf = inf.name().to_owned();
    Ok(CompiledDriver {
        inf,
        version,
        devices,
        configurations,
        default_install,
        class,
        source_files,
        warnings,
    })
}
