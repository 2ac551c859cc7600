//! Windows before 8: the critical device database, and the folders that are searched for INF files.

use hive::data::{multi_sz, sz};

use super::database::braced;
use super::{Builder, HiveName};
use crate::compile::{Action, Mode, kind};

impl Builder<'_> {
    /// Windows 7 finds a package that its setup did not put into the driver store's index only through the folders
    /// that it searches; and the driver of its disk only through `CriticalDeviceDatabase`. Layout measured: 2,548
    /// entries of a real Windows 7 hive.
    pub(super) fn legacy(&mut self) {
        let store = self.request.folders.store();
        let path = store.strip_prefix(r"Windows\").unwrap_or(&store);
        let current_version = ["Microsoft", "Windows", "CurrentVersion"];
        let data = sz(&format!(r"%SystemRoot%\{path}"));
        let action = Action::Set {
            name: "DevicePath".to_owned(),
            kind: kind::EXPAND_SZ,
            data,
            mode: Mode::AppendPath,
        };
        self.change(HiveName::Software, &current_version, action);
        let Some(class) = self.driver.version.class_guid else { return };
        let class = braced(class).to_uppercase();
        let control_set = self.request.image.control_set.clone();
        let package = self.request.folders.package.clone();
        let driver = self.driver;
        for (id, device) in driver.ids() {
            let configuration = &driver.configurations[device.configuration];
            let Some(service) = configuration.service.as_ref().filter(|name| !name.is_empty()) else {
                continue;
            };
            if !configuration.is_boot_critical() {
                continue;
            }
            let id = id.replace('\\', "#");
            let key = [&control_set, "Control", "CriticalDeviceDatabase", &id];
            self.set(HiveName::System, &key, "ClassGUID", kind::SZ, sz(&class));
            self.set(HiveName::System, &key, "Service", kind::SZ, sz(service));
            self.set(HiveName::System, &key, "DriverPackageId", kind::SZ, sz(&package));
            for (name, filters) in [
                ("UpperFilters", &configuration.upper_filters),
                ("LowerFilters", &configuration.lower_filters),
            ] {
                if !filters.is_empty() {
                    self.set(HiveName::System, &key, name, kind::MULTI_SZ, multi_sz(filters));
                }
            }
        }
    }
}
