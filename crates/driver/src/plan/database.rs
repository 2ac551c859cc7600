//! The driver database of Windows 8 and later: `DriverDatabase` in the SYSTEM or the DRIVERS hive.

use std::collections::{BTreeMap, BTreeSet};

use disk::Guid;
use hive::data::{multi_sz, sz};

use security::Descriptor;

use super::{Builder, HiveName};
use crate::compile::{Action, Configuration, Label, Mode, RegistryChange, Root, kind};
use crate::target::Target;

/// Bits that the database adds to the type of a value, to keep what the INF file said of it. Measured: NOCLOBBER
/// and APPEND values of `cdrom.inf`, deletions of `keyboard.inf` and `usbxhci.inf`.
mod type_bits {
    /// Only when it is absent.
    pub(super) const IF_ABSENT: u32 = 0x0002_0000;
    /// Add to what is there.
    pub(super) const APPEND: u32 = 0x0004_0000;
    /// The subkey of this name is deleted.
    pub(super) const DELETE_KEY: u32 = 0x0010_0000;
    /// The value is deleted.
    pub(super) const DELETE_VALUE: u32 = 0x0020_0000;
}

/// Types of property values: `DEVPROP_TYPE` with the upper half set.
mod property_type {
    pub(super) const UINT32: u32 = 0xFFFF_0007;
    pub(super) const STRING: u32 = 0xFFFF_0012;
    pub(super) const SECURITY_DESCRIPTOR: u32 = 0xFFFF_0013;
    pub(super) const STRING_LIST: u32 = 0xFFFF_2012;
    pub(super) const STRING_INDIRECT: u32 = 0xFFFF_0019;
}

/// `DEVPKEY_Device_*`: the properties that old INF files set as values of the device's key.
const DEVICE_PROPERTIES: &str = "{a45c254e-df1c-4efd-8020-67d146a850e0}";

/// `DEVPKEY_Device_Driver*`: the same for the driver's key.
const DRIVER_PROPERTIES: &str = "{a8b865dd-2e3d-4094-ad97-e593a70c75d6}";

/// The properties of a package. Number 9 is the submission that Microsoft signed.
const PACKAGE_PROPERTIES: &str = "{4da162c1-5eb1-4140-a444-5064c9814e76}";

/// The first build that is known to have it: it is in the database of Windows 10 version 1903, not in that of 10240.
const FIRST_WITH_SUBMISSION: u32 = 18_362;

/// Values that become properties: where they stand, what they are called, the property and its type. The numbers are
/// those of `devpkey.h`.
const LIFTED: &[(Part, &str, &str, u32, u32)] = &[
    (Part::Device, "FriendlyName", DEVICE_PROPERTIES, 14, property_type::STRING_INDIRECT),
    (Part::Device, "Security", DEVICE_PROPERTIES, 25, property_type::SECURITY_DESCRIPTOR),
    (Part::Device, "DeviceType", DEVICE_PROPERTIES, 27, property_type::UINT32),
    (Part::Device, "DeviceCharacteristics", DEVICE_PROPERTIES, 29, property_type::UINT32),
    (Part::Device, "UINumberDescFormat", DEVICE_PROPERTIES, 31, property_type::STRING_INDIRECT),
    (Part::Driver, "EnumPropPages32", DRIVER_PROPERTIES, 10, property_type::STRING),
    (Part::Driver, "CoInstallers32", DRIVER_PROPERTIES, 11, property_type::STRING_LIST),
];

/// Which of the keys of a device a change is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Device,
    Driver,
}

/// `StatusFlags` of a package that can be used. What the bits mean is not public; this is what packages have that
/// Windows itself imported and configured.
const STATUS_FLAGS: u32 = 0x12;

/// `CONFIGFLAG_FINISH_INSTALL`: somebody has to do the rest when a user is there. Configurations have it whose INF files
/// have co-installers: `usbcir.inf`, `circlass.inf`, `msports.inf` in real databases, `viorng.inf` of the time in
/// distrobuilder's tables.
const FINISH_INSTALL: u32 = 0x400;

impl Builder<'_> {
    /// Which hive the database with the packages of this class lies in: as in the image, that of packages of the
    /// same class; the DRIVERS hive for classes that the SYSTEM hive does not know, if there is one.
    fn database_hive(&self) -> HiveName {
        let image = self.request.image;
        let known = self.driver.version.class_guid.is_some_and(|class| image.system_classes.contains(&class));
        // What Windows starts from has to be found before there is another hive than SYSTEM.
        if known || !image.has_drivers_hive || self.driver.is_boot_critical() {
            HiveName::System
        } else {
            HiveName::Drivers
        }
    }

    pub(super) fn database(&mut self, oem_map: &[u8]) {
        const ROOT: &str = "DriverDatabase";
        let hive = self.database_hive();
        self.set(HiveName::System, &[ROOT], "OemInfMap", kind::BINARY, oem_map.to_vec());
        if hive == HiveName::Drivers {
            self.update(hive, &[ROOT], "OemInfMap", kind::BINARY, oem_map.to_vec());
        }
        let time = self.request.time.0.to_le_bytes().to_vec();
        self.update(hive, &[ROOT], "UpdateDate", kind::BINARY, time);
        self.device_ids(hive, ROOT);
        self.inf_file(hive, ROOT);
        self.package(hive, ROOT);
    }

    /// A value that only newer databases have.
    fn update(&mut self, hive: HiveName, key: &[&str], name: &str, kind: u32, data: Vec<u8>) {
        let mode = Mode::IfPresent;
        self.change(hive, key, Action::Set { name: name.to_owned(), kind, data, mode });
    }

    /// `DeviceIds`: which INF files know an id or a class.
    fn device_ids(&mut self, hive: HiveName, root: &str) {
        let driver = self.driver;
        // By lower-case id: the id, and the first three bytes of its value.
        let mut ids: BTreeMap<String, (&str, [u8; 3])> = BTreeMap::new();
        for device in &driver.devices {
            let score = driver.configurations[device.configuration].feature_score;
            let hardware = std::iter::once((device.hardware_id.as_str(), 1, 0));
            let compatible =
                device.compatible_ids.iter().zip(0_u8..=u8::MAX).map(|(id, at)| (id.as_str(), 2, at));
            for (id, sort, ordinal) in hardware.chain(compatible).filter(|(id, _, _)| !id.is_empty()) {
                let entry = ids.entry(id.to_lowercase()).or_insert((id, [0, score, ordinal]));
                entry.1[0] |= sort;
                entry.1[1] = entry.1[1].min(score);
            }
        }
        let published = self.published.clone();
        for (id, [sort, score, ordinal]) in ids.into_values() {
            let key: Vec<&str> = [root, "DeviceIds"].into_iter().chain(id_names(id)).collect();
            self.set(hive, &key, &published, kind::BINARY, vec![sort, score, ordinal, 0]);
        }
        if let Some(class) = driver.version.class_guid {
            self.set(hive, &[root, "DeviceIds", &braced(class)], &published, kind::NONE, Vec::new());
        }
    }

    /// `DriverInfFiles`: which package an INF file is from.
    fn inf_file(&mut self, hive: HiveName, root: &str) {
        let (published, package) = (self.published.clone(), self.request.folders.package.clone());
        let key = [root, "DriverInfFiles", &published];
        self.set(hive, &key, "", kind::MULTI_SZ, multi_sz([&package]));
        self.set(hive, &key, "Active", kind::SZ, sz(&package));
        let sections: Vec<&str> =
            self.driver.configurations.iter().map(|found| found.section.as_str()).collect();
        if !sections.is_empty() {
            self.set(hive, &key, "Configurations", kind::MULTI_SZ, multi_sz(sections));
        }
    }

    /// `DriverPackages`: what the package says, so that Windows can use it before it can read files.
    fn package(&mut self, hive: HiveName, root: &str) {
        let (driver, request) = (self.driver, self.request);
        let package = request.folders.package.clone();
        let base = [root, "DriverPackages", &package];
        let published = self.published.clone();
        self.set(hive, &base, "", kind::SZ, sz(&published));
        let version = version_record(request.target, driver);
        self.set(hive, &base, "Version", kind::BINARY, version.to_vec());
        self.set(hive, &base, "Provider", kind::SZ, sz(&driver.version.provider));
        self.set(hive, &base, "InfName", kind::SZ, sz(&driver.inf));
        self.set(hive, &base, "OemPath", kind::SZ, sz(request.origin));
        if let Some(catalog) = driver.version.catalog.as_ref().filter(|_| request.target.major >= 10) {
            self.set(hive, &base, "Catalog", kind::SZ, sz(catalog));
        }
        if !request.signer.name.is_empty() {
            self.set(hive, &base, "SignerName", kind::SZ, sz(&request.signer.name));
        }
        self.set(hive, &base, "SignerScore", kind::DWORD, dword(request.signer.score));
        self.set(hive, &base, "StatusFlags", kind::DWORD, dword(STATUS_FLAGS));
        self.set(hive, &base, "ImportDate", kind::BINARY, request.time.0.to_le_bytes().to_vec());
        if let Some(extension) = driver.version.extension_id {
            self.set(hive, &base, "ExtensionId", kind::BINARY, extension.0.to_vec());
        }
        if let Some(submission) = request.submission.filter(|_| request.target.build >= FIRST_WITH_SUBMISSION)
        {
            let key = [base[0], base[1], base[2], "Properties", PACKAGE_PROPERTIES, "0009"];
            self.set(hive, &key, "", property_type::STRING, sz(submission));
        }
        for configuration in &driver.configurations {
            let key = [base[0], base[1], base[2], "Configurations", &configuration.section];
            self.configuration_key(hive, &key, configuration);
        }
        self.descriptors(hive, &base);
    }

    fn configuration_key(&mut self, hive: HiveName, base: &[&str], configuration: &Configuration) {
        let below = |name| base.iter().copied().chain([name]).collect::<Vec<&str>>();
        let flags = if has_co_installers(configuration) { FINISH_INSTALL } else { 0 };
        self.set(hive, base, "ConfigFlags", kind::DWORD, dword(flags));
        if self.request.target.major >= 10 {
            self.set(hive, base, "ConfigScope", kind::DWORD, dword(config_scope(configuration)));
        }
        if configuration.reboot {
            self.set(hive, base, "Reboot", kind::DWORD, dword(1));
        }
        if let Some(service) = &configuration.service {
            self.set(hive, base, "Service", kind::SZ, sz(service));
        }
        for (name, texts) in [
            ("ExcludeIds", &configuration.excluded_ids),
            ("IncludedInfs", &configuration.included_infs),
            ("UpperFilters", &configuration.upper_filters),
            ("LowerFilters", &configuration.lower_filters),
        ] {
            if !texts.is_empty() {
                self.set(hive, base, name, kind::MULTI_SZ, multi_sz(texts));
            }
        }
        self.part(hive, base, Part::Device, &configuration.device);
        self.part(hive, base, Part::Driver, &configuration.driver);
        for service in &configuration.services {
            if !service.registry.iter().any(|change| change.root == Root::Relative) {
                continue;
            }
            let key: Vec<&str> = below("Services").into_iter().chain([service.name.as_str()]).collect();
            for change in &service.registry {
                self.recorded(hive, &key, change);
            }
        }
        // Of interfaces, real databases have the class. What is set for one, Windows reads from the INF file.
        for interface in &configuration.interfaces {
            let class = braced(interface.class);
            let key: Vec<&str> = below("Interfaces").into_iter().chain([class.as_str()]).collect();
            self.change(hive, &key, Action::CreateKey);
        }
    }

    /// The changes for one of the device's keys. Some of its values are properties for Windows.
    fn part(&mut self, hive: HiveName, base: &[&str], part: Part, changes: &[RegistryChange]) {
        let name = match part {
            Part::Device => "Device",
            Part::Driver => "Driver",
        };
        let key: Vec<&str> = base.iter().copied().chain([name]).collect();
        for change in changes {
            if !self.lifted(hive, base, part, change) {
                self.recorded(hive, &key, change);
            }
        }
    }

    /// Whether a value went where Windows has it instead of the key that the INF file names.
    fn lifted(&mut self, hive: HiveName, base: &[&str], part: Part, change: &RegistryChange) -> bool {
        let Action::Set { name, kind, data, .. } = &change.action else { return false };
        if change.root != Root::Relative || !change.key.is_empty() {
            return false;
        }
        let filters =
            ["UpperFilters", "LowerFilters"].into_iter().find(|filter| crate::inf::same(filter, name));
        if let Some(filters) = filters.filter(|_| part == Part::Device && *kind == kind::MULTI_SZ) {
            self.set(hive, base, filters, *kind, data.clone());
            return true;
        }
        let found = LIFTED.iter().find(|(of, known, ..)| *of == part && crate::inf::same(known, name));
        let Some(&(_, _, set, number, property)) = found else { return false };
        // A value of another type than the property has stays what it is.
        let fits = match property {
            property_type::UINT32 => *kind == kind::DWORD && data.len() == 4,
            property_type::STRING_LIST => *kind == kind::MULTI_SZ,
            property_type::SECURITY_DESCRIPTOR => matches!(*kind, kind::SZ | kind::BINARY),
            _ => matches!(*kind, kind::SZ | kind::EXPAND_SZ),
        };
        if !fits {
            return false;
        }
        let data = match property {
            property_type::SECURITY_DESCRIPTOR if *kind == kind::SZ => {
                let text = text_of(data);
                match Descriptor::from_sddl(&text).and_then(|it| it.to_bytes()) {
                    Ok(descriptor) => descriptor,
                    Err(reason) => {
                        self.notes.push(format!(
                            "the security of the device, {text:.80}, is left to Windows: {reason}"
                        ));
                        return true;
                    }
                }
            }
            _ => data.clone(),
        };
        let number = format!("{number:04X}");
        let key: Vec<&str> = base.iter().copied().chain(["Properties", set, &number]).collect();
        self.set(hive, &key, "", property, data);
        true
    }

    /// A relative change, in the form in which the database remembers it for later.
    fn recorded(&mut self, hive: HiveName, base: &[&str], change: &RegistryChange) {
        if change.root != Root::Relative {
            return;
        }
        let names = change.key.split('\\').filter(|name| !name.is_empty());
        let mut key: Vec<&str> = base.iter().copied().chain(names).collect();
        let action = match &change.action {
            Action::CreateKey => Action::CreateKey,
            Action::Set { name, kind, data, mode } => {
                let bits = match mode {
                    Mode::Replace => 0,
                    Mode::IfAbsent => type_bits::IF_ABSENT,
                    Mode::Append => type_bits::APPEND,
                    Mode::IfPresent | Mode::AppendPath => return self.note_unrecorded(change),
                };
                Action::Set { name: name.clone(), kind: kind | bits, data: data.clone(), mode: Mode::Replace }
            }
            Action::Unset { name } => marker(name, type_bits::DELETE_VALUE),
            Action::DeleteKey if key.len() > base.len() => {
                let name = key.pop().unwrap_or_default().to_owned();
                marker(&name, type_bits::DELETE_KEY)
            }
            Action::DeleteKey | Action::RemoveText { .. } => return self.note_unrecorded(change),
        };
        self.change(hive, &key, action);
    }

    fn note_unrecorded(&mut self, change: &RegistryChange) {
        let note = format!(
            "a change of HKR\\{} is left to Windows: how the database keeps such is not known",
            change.key
        );
        if !self.notes.contains(&note) && self.notes.len() < 100 {
            self.notes.push(note);
        }
    }

    /// `Descriptors` and `Strings`: what a device of an id is called, and which configuration it gets.
    fn descriptors(&mut self, hive: HiveName, base: &[&str; 3]) {
        let driver = self.driver;
        // Both are there whenever there are configurations, also with nothing in them.
        for name in ["Descriptors", "Strings"] {
            self.change(hive, &[base[0], base[1], base[2], name], Action::CreateKey);
        }
        let mut seen = BTreeSet::new();
        let mut strings = BTreeMap::new();
        for (id, device) in driver.ids() {
            // The first model of an id wins, as it does when Windows ranks equal ones.
            if !seen.insert(id.to_lowercase()) {
                continue;
            }
            let key: Vec<&str> = base.iter().copied().chain(["Descriptors"]).chain(id_names(id)).collect();
            let section = &driver.configurations[device.configuration].section;
            self.set(hive, &key, "Configuration", kind::SZ, sz(section));
            for (name, label) in
                [("Description", &device.description), ("Manufacturer", &device.manufacturer)]
            {
                self.set(hive, &key, name, kind::SZ, sz(&token(label, &mut strings)));
            }
        }
        let key = [base[0], base[1], base[2], "Strings"];
        for (name, text) in strings {
            self.set(hive, &key, &name, kind::SZ, sz(&text));
        }
    }
}

fn has_co_installers(configuration: &Configuration) -> bool {
    configuration.driver.iter().any(|change| match &change.action {
        Action::Set { name, .. } => change.root == Root::Relative && crate::inf::same(name, "CoInstallers32"),
        _ => false,
    })
}

fn marker(name: &str, kind: u32) -> Action {
    Action::Set { name: name.to_owned(), kind, data: Vec::new(), mode: Mode::Replace }
}

/// A label as the database refers to it; what it stands for goes to its strings.
fn token(label: &Label, strings: &mut BTreeMap<String, String>) -> String {
    match &label.key {
        Some(key) => {
            let key = key.to_lowercase();
            strings.insert(key.clone(), label.text.clone());
            format!("%{key}%")
        }
        None => label.text.clone(),
    }
}

/// The names of the keys for an id: `PCI\VEN_1AF4&DEV_1001` is a key in one of a bus.
fn id_names(id: &str) -> impl Iterator<Item = &str> {
    id.split('\\').filter(|name| !name.is_empty())
}

pub(super) fn braced(guid: Guid) -> String {
    format!("{{{guid}}}")
}

pub(super) fn dword(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// The text of a value that [`sz`] made.
fn text_of(data: &[u8]) -> String {
    let units: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}

/// `ConfigScope`: which sections the INF file has for a configuration. Measured over 1,389 configurations of two
/// Windows 10 databases, and by the sections of INF files that are known: 1 always, 2 with `.HW`, 4 with `.Services`,
/// 8 with `.Interfaces`, 0x100 with `.Wdf`.
fn config_scope(configuration: &Configuration) -> u32 {
    let has = configuration.has;
    let bits = [(has.hw, 2), (has.services, 4), (has.interfaces, 8), (has.wdf, 0x100)];
    bits.into_iter().filter(|(set, _)| *set).fold(1, |scope, (_, bit)| scope | bit)
}

/// `Version`: architecture, class, date and version of a package, in 48 bytes.
fn version_record(target: &Target, driver: &crate::CompiledDriver) -> [u8; 48] {
    let mut record = [0; 48];
    // The first byte is 0xFF for the drivers of Windows itself.
    record[1] = 0xFF;
    record[2..4].copy_from_slice(&target.architecture.number().to_le_bytes());
    record[8..24].copy_from_slice(&driver.version.class_guid.unwrap_or_default().0);
    record[24..32].copy_from_slice(&driver.version.date.unwrap_or_default().0.to_le_bytes());
    for (part, bytes) in driver.version.version.iter().rev().zip(record[32..40].chunks_exact_mut(2)) {
        bytes.copy_from_slice(&part.to_le_bytes());
    }
    record
}
