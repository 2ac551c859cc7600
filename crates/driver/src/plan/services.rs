//! What a configuration leaves behind besides the database: services, event logs, copied files.

use hive::data::{multi_sz, sz};
use security::Descriptor;

use super::database::dword;
use super::{Builder, HiveName};
use crate::compile::{Action, Configuration, FileSource, Label, Mode, Service, kind, start_type};

/// Types of services that are drivers: kernel, file system, recogniser.
const DRIVER_TYPES: u32 = 0x0B;

impl Builder<'_> {
    /// Carries out an install section as far as that can be done without the device.
    pub(super) fn configuration(&mut self, configuration: &Configuration) {
        self.copies(&configuration.files);
        if self.driver.version.lockdown {
            self.lockdown(configuration);
        }
        for service in &configuration.services {
            self.service(service);
        }
        let changes = configuration.driver.iter().chain(&configuration.device);
        for change in changes.filter(|change| change.root != crate::compile::Root::Relative) {
            self.registry(&[], change);
        }
        for name in &configuration.deleted_services {
            self.notes
                .push(format!("service {name} is not deleted: that is for Windows, when no device uses it"));
        }
    }

    fn service(&mut self, service: &Service) {
        let control_set = self.request.image.control_set.clone();
        let base = [control_set.as_str(), "Services", service.name.as_str()];
        let config = &service.config;
        let numbers = [
            ("Type", config.service_type),
            ("Start", config.start),
            ("ErrorControl", config.error_control),
            ("BootFlags", config.boot_flags.filter(|&flags| flags != 0)),
            ("ServiceSidType", config.sid_type),
            ("DelayedAutostart", config.delayed_start),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                self.set(HiveName::System, &base, name, kind::DWORD, dword(value));
            }
        }
        if let Some(path) = image_path(service) {
            self.set(HiveName::System, &base, "ImagePath", kind::EXPAND_SZ, sz(&path));
        }
        for (name, label) in [("DisplayName", &config.display_name), ("Description", &config.description)] {
            if let Some(label) = label {
                let text = self.indirect(label);
                self.set(HiveName::System, &base, name, kind::SZ, sz(&text));
            }
        }
        // Windows writes the account also when the INF file leaves it out; drivers have none.
        let is_program = config.service_type.is_some_and(|kind| kind & DRIVER_TYPES == 0);
        let account = config.start_name.as_deref().or(is_program.then_some("LocalSystem"));
        for (name, text) in [("Group", config.load_order_group.as_deref()), ("ObjectName", account)] {
            if let Some(text) = text {
                self.set(HiveName::System, &base, name, kind::SZ, sz(text));
            }
        }
        let (groups, services): (Vec<&String>, Vec<&String>) =
            config.dependencies.iter().partition(|name| name.starts_with('+'));
        if !services.is_empty() {
            self.set(HiveName::System, &base, "DependOnService", kind::MULTI_SZ, multi_sz(services));
        }
        if !groups.is_empty() {
            let groups = groups.iter().map(|name| &name[1..]);
            self.set(HiveName::System, &base, "DependOnGroup", kind::MULTI_SZ, multi_sz(groups));
        }
        let owners = Action::Set {
            name: "Owners".to_owned(),
            kind: kind::MULTI_SZ,
            data: multi_sz([&self.published]),
            mode: Mode::Append,
        };
        self.change(HiveName::System, &base, owners);
        if let Some(text) = &config.security {
            match Descriptor::from_sddl(text).and_then(|it| it.to_bytes()) {
                Ok(descriptor) => {
                    let key = [base[0], base[1], base[2], "Security"];
                    self.set(HiveName::System, &key, "Security", kind::BINARY, descriptor);
                }
                Err(reason) => {
                    self.notes.push(format!("the security of service {} is not set: {reason}", service.name))
                }
            }
        }
        for change in &service.registry {
            self.registry(&base, change);
        }
        if let Some(version) = &service.kmdf_version {
            let key = [base[0], base[1], base[2], "Parameters", "Wdf"];
            self.set(HiveName::System, &key, "KmdfLibraryVersion", kind::SZ, sz(version));
        }
        // It says that the service is not started from the disk that Windows was installed on, whatever `Start` says.
        let overridden = [base[0], base[1], base[2], "StartOverride"];
        self.change(HiveName::System, &overridden, Action::DeleteKey);
        if let Some(event_log) = &service.event_log {
            let key = [control_set.as_str(), "Services", "EventLog", &event_log.log, &event_log.source];
            for change in &event_log.registry {
                self.registry(&key, change);
            }
        }
    }

    /// A text that Windows looks up in the INF file, in its user's language: `@oem3.inf,%key%;text`.
    fn indirect(&self, label: &Label) -> String {
        match &label.key {
            Some(key) => format!("@{},%{key}%;{}", self.published, label.text),
            None => label.text.clone(),
        }
    }

    /// The files that Windows protects because `PnpLockdown` asks for it.
    fn lockdown(&mut self, configuration: &Configuration) {
        let store = self.request.folders.store();
        for copy in &configuration.files {
            let FileSource::Package(source) = &copy.source else { continue };
            let Some(path) = copy.destination.strip_prefix(r"Windows\") else { continue };
            // Files that stay in the store are protected with it.
            if copy.destination.starts_with(&store) {
                continue;
            }
            let name = format!("%SystemRoot%/{}", path.replace('\\', "/"));
            let key = ["Microsoft", "Windows", "CurrentVersion", "Setup", "PnpLockdownFiles", &name];
            self.set(HiveName::Software, &key, "Class", kind::DWORD, dword(4));
            let store = store.strip_prefix(r"Windows\").unwrap_or(&store);
            let source = format!(r"%SystemRoot%\{store}\{source}");
            self.set(HiveName::Software, &key, "Source", kind::EXPAND_SZ, sz(&source));
            let owners = Action::Set {
                name: "Owners".to_owned(),
                kind: kind::MULTI_SZ,
                data: multi_sz([&self.published]),
                mode: Mode::Append,
            };
            self.change(HiveName::Software, &key, owners);
        }
    }
}

/// The path of a service's program as the registry has it. The boot loader knows no `\SystemRoot`: what it loads is
/// named from the Windows folder on. Both forms measured in real hives.
fn image_path(service: &Service) -> Option<String> {
    let config = &service.config;
    let path = config.binary.as_deref()?;
    if !config.binary_on_volume {
        return Some(path.to_owned());
    }
    let Some(below) =
        path.get(..8).filter(|start| start.eq_ignore_ascii_case(r"Windows\")).map(|_| &path[8..])
    else {
        return Some(format!(r"%SystemDrive%\{path}"));
    };
    Some(match (config.start, config.service_type) {
        (Some(start_type::BOOT), _) => below.to_owned(),
        (_, Some(kind)) if kind & DRIVER_TYPES != 0 => format!(r"\SystemRoot\{below}"),
        _ => format!(r"%SystemRoot%\{below}"),
    })
}
