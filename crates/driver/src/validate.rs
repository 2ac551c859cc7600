//! What holds in every driver database that Windows wrote, as a check.
//!
//! Each rule was found in, and holds for, all 619 packages of three real SYSTEM hives (Windows 8.1, 10, 10 version 1903);
//! `tests/hives.rs` checks that, and that breaking a rule is found. Where real packages differ there is no rule.

use std::collections::{BTreeMap, BTreeSet};

use disk::Guid;
use hive::{Key, Kind, Value};

use crate::image_state::{numbers, oem_number};
use crate::target::Architecture;

/// Findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// Ticks of a day: dates are midnights.
const DAY: u64 = 864_000_000_000;

/// Something that no driver database of Windows has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The key, from `DriverDatabase` on.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

/// Checks the key `DriverDatabase` of a hive. Nothing is returned for a good one.
pub fn validate(database: &Key) -> Vec<Finding> {
    let mut validator = Validator { database, findings: Vec::new(), has_scopes: false };
    validator.root();
    validator.packages();
    validator.inf_files();
    validator.device_ids();
    validator.findings
}

struct Validator<'d> {
    database: &'d Key,
    findings: Vec<Finding>,
    /// Whether configurations have a scope: since Windows 10.
    has_scopes: bool,
}

impl<'d> Validator<'d> {
    fn wrong(&mut self, key: impl Into<String>, what: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { key: key.into(), what: what.into() });
        }
    }

    fn expect(&mut self, holds: bool, key: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong(key, what());
        }
    }

    /// A value of a type; it is a finding when it is missing or of another one.
    fn value(&mut self, key: &'d Key, path: &str, name: &str, kind: Kind) -> Option<&'d Value> {
        let shown = if name.is_empty() { "(default)" } else { name };
        match key.value(name) {
            Some(value) if value.kind() == kind => Some(value),
            Some(value) => {
                self.wrong(path, format!("{shown} is a {}, expected {kind}", value.kind()));
                None
            }
            None => {
                self.wrong(path, format!("has no {shown}"));
                None
            }
        }
    }

    fn text(&mut self, key: &'d Key, path: &str, name: &str) -> Option<String> {
        let text = self.value(key, path, name, Kind::SZ)?.as_str();
        if text.is_none() {
            self.wrong(path, format!("{name} is not text"));
        }
        text
    }

    fn root(&mut self) {
        let version =
            self.value(self.database, "DriverDatabase", "Version", Kind::DWORD).and_then(Value::as_u32);
        self.has_scopes = version.is_some_and(|version| version >= 0x0A00_0000);
        self.value(self.database, "DriverDatabase", "Architecture", Kind::DWORD);
        for name in ["DeviceIds", "DriverInfFiles", "DriverPackages"] {
            self.expect(self.database.subkey(name).is_some(), "DriverDatabase", || format!("has no {name}"));
        }
        let map = self.database.value("OemInfMap").map(Value::data).unwrap_or_default();
        let known: BTreeSet<u32> = numbers(map).collect();
        let files = self.database.subkey("DriverInfFiles");
        for name in files.into_iter().flat_map(Key::subkeys).filter_map(|key| key.name().to_text()) {
            if let Some(number) = oem_number(&name) {
                self.expect(known.contains(&number), "DriverDatabase", || format!("OemInfMap has no {name}"));
            }
        }
    }

    fn packages(&mut self) {
        for package in self.database.subkey("DriverPackages").into_iter().flat_map(Key::subkeys) {
            self.package(package);
        }
    }

    fn package(&mut self, package: &'d Key) {
        let name = package.name().to_text().unwrap_or_default();
        let path = format!("DriverPackages\\{name}");
        let Some((inf, architecture)) = split_name(&name) else {
            return self.wrong(path, "is not named as INF file, architecture and 16 hexadecimal digits");
        };
        let Some(published) = self.text(package, &path, "") else { return };
        let is_oem = oem_number(&published).is_some();
        let listed = self.inf_file(&published).and_then(|key| key.value("")?.as_multi()).unwrap_or_default();
        self.expect(listed.iter().any(|known| crate::inf::same(known, &name)), &path, || {
            format!("DriverInfFiles\\{published} does not name it")
        });
        let provider = self.text(package, &path, "Provider");
        self.expect(provider.is_none_or(|text| !text.is_empty()), &path, || "Provider is empty".to_owned());
        self.value(package, &path, "SignerScore", Kind::DWORD);
        if package.value("StatusFlags").is_some() {
            self.value(package, &path, "StatusFlags", Kind::DWORD);
        }
        if is_oem {
            self.value(package, &path, "OemPath", Kind::SZ);
            let original = self.text(package, &path, "InfName").unwrap_or_default();
            self.expect(crate::inf::same(&original, inf), &path, || {
                format!("InfName is {original}, expected {inf}")
            });
            let signed =
                package.value("SignerScore").and_then(Value::as_u32).is_some_and(|score| score < 0x8000_0000);
            self.expect(!signed || package.value("SignerName").is_some(), &path, || {
                "has no SignerName".to_owned()
            });
        } else {
            self.expect(crate::inf::same(&published, inf), &path, || format!("is published as {published}"));
        }
        self.version(package, &path, &published, architecture, is_oem);
        let parts = ["Configurations", "Descriptors", "Strings"].map(|part| package.subkey(part));
        match parts {
            [None, None, None] => {}
            [Some(configurations), Some(descriptors), Some(strings)] => {
                self.configurations(configurations, &path);
                let mut id = Vec::new();
                self.descriptors(
                    descriptors,
                    &mut id,
                    &Descriptors { path: &path, published, configurations, strings },
                );
            }
            _ => self.wrong(path, "has some of Configurations, Descriptors and Strings"),
        }
    }

    fn version(
        &mut self,
        package: &'d Key,
        path: &str,
        published: &str,
        architecture: Architecture,
        is_oem: bool,
    ) {
        let Some(version) = self.value(package, path, "Version", Kind::BINARY) else { return };
        let Ok(bytes): Result<&[u8; 48], _> = version.data().try_into() else {
            return self.wrong(path, format!("Version has {} bytes, expected 48", version.data().len()));
        };
        let origin = if is_oem { 0 } else { 0xFF };
        self.expect(bytes[..2] == [origin, 0xFF], path, || {
            format!("Version begins with {:02x?}", &bytes[..2])
        });
        let number = u16::from_le_bytes([bytes[2], bytes[3]]);
        self.expect(number == architecture.number(), path, || {
            format!("Version is for architecture {number}")
        });
        self.expect(bytes[4..8] == [0; 4], path, || {
            format!("Version has {:02x?} at 4, expected zeros", &bytes[4..8])
        });
        let class = Guid(bytes[8..24].try_into().expect("16 bytes"));
        let date = u64::from_le_bytes(bytes[24..32].try_into().expect("8 bytes"));
        self.expect(date % DAY == 0, path, || format!("the date {date:#x} in Version is no midnight"));
        let entry =
            self.database.open(&format!("DeviceIds\\{{{class}}}")).and_then(|key| key.value(published));
        let empty = entry.is_some_and(|value| value.kind() == Kind::NONE && value.data().is_empty());
        self.expect(empty, path, || format!("its class {{{class}}} does not know {published}"));
    }

    fn configurations(&mut self, configurations: &'d Key, path: &str) {
        for configuration in configurations.subkeys() {
            let path = format!("{path}\\Configurations\\{}", configuration.name());
            self.value(configuration, &path, "ConfigFlags", Kind::DWORD);
            let scope = if self.has_scopes {
                self.value(configuration, &path, "ConfigScope", Kind::DWORD).and_then(Value::as_u32)
            } else {
                None
            };
            if let Some(scope) = scope {
                self.expect(scope & 1 != 0, &path, || format!("ConfigScope is {scope:#x}"));
                let interfaces = configuration.subkey("Interfaces").is_some();
                self.expect(!interfaces || scope & 8 != 0, &path, || {
                    format!("has Interfaces, and its ConfigScope {scope:#x} has no 8")
                });
                let services = configuration.subkey("Services").is_some();
                self.expect(!services || scope & 4 != 0, &path, || {
                    format!("has Services, and its ConfigScope {scope:#x} has no 4")
                });
            }
            for name in ["IncludedInfs", "UpperFilters", "LowerFilters", "ExcludeIds"] {
                if configuration.value(name).is_some() {
                    self.value(configuration, &path, name, Kind::MULTI_SZ);
                }
            }
            self.recorded_types(configuration, &path, false, 0);
        }
    }

    /// The types of values that are kept for later: a type of the registry with bits for when and how; properties have
    /// others.
    fn recorded_types(&mut self, key: &'d Key, path: &str, in_properties: bool, depth: usize) {
        for value in key.values() {
            let kind = value.kind().0;
            let known = match kind >> 16 {
                0 | 2 | 4 => kind & 0xFFFF <= 11,
                0x10 | 0x20 => kind & 0xFFFF == 0 && value.data().is_empty(),
                0xFFFF => in_properties,
                _ => false,
            };
            self.expect(known, path, || format!("{} has the type {:#x}", value.name(), kind));
        }
        for subkey in key.subkeys() {
            let properties = in_properties || (depth == 0 && subkey.name().is("Properties"));
            self.recorded_types(subkey, &format!("{path}\\{}", subkey.name()), properties, depth + 1);
        }
    }

    fn descriptors(&mut self, key: &'d Key, id: &mut Vec<String>, context: &Descriptors<'d, '_>) {
        if key.values().len() > 0 {
            let path = format!("{}\\Descriptors\\{}", context.path, id.join("\\"));
            if let Some(section) = self.text(key, &path, "Configuration") {
                self.expect(context.configurations.subkey(&section).is_some(), &path, || {
                    format!("its configuration {section} does not exist")
                });
            }
            for name in ["Description", "Manufacturer"] {
                let Some(text) = self.text(key, &path, name) else { continue };
                let token =
                    text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')).unwrap_or_default();
                // A token that nothing stood for keeps its capital letters; others are looked up.
                let looked_up = !token.is_empty() && !token.contains('%') && token.to_lowercase() == token;
                self.expect(!looked_up || context.strings.value(token).is_some(), &path, || {
                    format!("{name} is {text}, which is not in Strings")
                });
            }
            let entry =
                id.iter().try_fold(self.database.subkey("DeviceIds"), |key, name| Some(key?.subkey(name)));
            let entry = entry.flatten().and_then(|key| key.value(&context.published));
            self.expect(entry.is_some(), &path, || {
                format!("the id in DeviceIds does not know {}", context.published)
            });
        }
        for subkey in key.subkeys() {
            id.push(subkey.name().to_string());
            self.descriptors(subkey, id, context);
            id.pop();
        }
    }

    fn inf_file(&self, name: &str) -> Option<&'d Key> {
        self.database.subkey("DriverInfFiles")?.subkey(name)
    }

    fn inf_files(&mut self) {
        for file in self.database.subkey("DriverInfFiles").into_iter().flat_map(Key::subkeys) {
            let path = format!("DriverInfFiles\\{}", file.name());
            let packages =
                self.value(file, &path, "", Kind::MULTI_SZ).and_then(Value::as_multi).unwrap_or_default();
            for package in &packages {
                let exists = self.package_key(package).is_some();
                self.expect(exists, &path, || format!("there is no package {package}"));
            }
            let Some(active) = self.text(file, &path, "Active") else { continue };
            self.expect(packages.iter().any(|known| crate::inf::same(known, &active)), &path, || {
                format!("Active is {active}, which is none of its packages")
            });
            let sections = file.value("Configurations").and_then(Value::as_multi).unwrap_or_default();
            let configurations = self.package_key(&active).and_then(|key| key.subkey("Configurations"));
            let there: BTreeSet<String> = configurations
                .into_iter()
                .flat_map(Key::subkeys)
                .map(|key| key.name().to_string().to_lowercase())
                .collect();
            let named: BTreeSet<String> = sections.iter().map(|name| name.to_lowercase()).collect();
            self.expect(there.is_subset(&named), &path, || {
                format!("Configurations lacks {:?}", there.difference(&named).collect::<Vec<_>>())
            });
        }
    }

    fn package_key(&self, name: &str) -> Option<&'d Key> {
        self.database.subkey("DriverPackages")?.subkey(name)
    }

    fn device_ids(&mut self) {
        let files: BTreeMap<String, ()> = self
            .database
            .subkey("DriverInfFiles")
            .into_iter()
            .flat_map(Key::subkeys)
            .map(|key| (key.name().to_string().to_lowercase(), ()))
            .collect();
        for id in self.database.subkey("DeviceIds").into_iter().flat_map(Key::subkeys) {
            let is_class =
                id.name().to_text().is_some_and(|name| name.parse::<Guid>().is_ok() && name.starts_with('{'));
            self.device_id(id, format!("DeviceIds\\{}", id.name()), is_class, &files);
        }
    }

    fn device_id(&mut self, key: &'d Key, path: String, is_class: bool, files: &BTreeMap<String, ()>) {
        for value in key.values() {
            let name = value.name().to_string();
            self.expect(files.contains_key(&name.to_lowercase()), &path, || {
                format!("there is no INF file {name}")
            });
            // A class can also be the bus of ids.
            let fits = match value.kind() {
                Kind::NONE => is_class && value.data().is_empty(),
                Kind::BINARY => matches!(value.data(), [1..=3, _, _, 0]),
                _ => false,
            };
            self.expect(fits, &path, || format!("{name} is {} {:02x?}", value.kind(), value.data()));
        }
        for subkey in key.subkeys() {
            self.device_id(subkey, format!("{path}\\{}", subkey.name()), false, files);
        }
    }
}

struct Descriptors<'d, 'p> {
    path: &'p str,
    published: String,
    configurations: &'d Key,
    strings: &'d Key,
}

/// The INF file and the architecture in the name of a package.
fn split_name(name: &str) -> Option<(&str, Architecture)> {
    let (rest, hash) = name.rsplit_once('_')?;
    let (inf, architecture) = rest.rsplit_once('_')?;
    let digits = hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
    let named = digits && inf.to_ascii_lowercase().ends_with(".inf");
    Some((inf, Architecture::named(architecture)?)).filter(|_| named)
}
