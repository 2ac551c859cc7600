//! The registry: what answer files cannot say, or say too late, or not on every edition.

mod firewall;
mod identity;
mod remote;
mod ssh;
mod time_zone;

use hive::reg::{KeyPath, Operation};
use hive::{Key, Kind, data, paths};

use crate::wishes::Wishes;
use crate::{About, Result};

pub(crate) use ssh::KEYS_PATH;
pub(crate) use time_zone::check as check_time_zone;

/// Changes to the registry, and what goes with them.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) operations: Vec<Operation>,
    /// Lines for `SetupComplete.cmd`, for images without firewall rules.
    pub(crate) firewall_lines: Vec<String>,
    /// The authorised keys of administrators.
    pub(crate) ssh_keys: Option<Vec<u8>>,
    /// Services that a feature of the first boot brings, to be started then.
    pub(crate) services: Vec<&'static str>,
    pub(crate) report: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// What `wishes` change in the registry.
pub(crate) fn registry(
    wishes: &Wishes,
    about: &About,
    system: &Key,
    software: Option<&Key>,
) -> Result<Registry> {
    let mut registry = Registry::default();
    let hives = Hives {
        control_set: paths::control_set(system).and_then(|name| system.subkey(&name)),
        system,
        software,
    };
    identity::identity(wishes, &hives, &mut registry);
    if let Some(zone) = &wishes.time_zone {
        time_zone::time_zone(zone, &hives, &mut registry);
    }
    remote::remote(wishes, about, &hives, &mut registry)?;
    ssh::ssh(wishes, &hives, &mut registry)?;
    firewall::firewall(wishes, about, &hives, &mut registry)?;
    Ok(registry)
}

/// The hives of an image.
struct Hives<'k> {
    system: &'k Key,
    /// What `CurrentControlSet` will be.
    control_set: Option<&'k Key>,
    software: Option<&'k Key>,
}

impl<'k> Hives<'k> {
    /// A key of a service, if the image has the service.
    fn service(&self, name: &str) -> Option<&'k Key> {
        self.control_set?.open("Services")?.subkey(name)
    }
}

impl Registry {
    fn set(&mut self, key: &str, values: &[(&str, Kind, Vec<u8>)]) {
        let key = KeyPath::parse(key);
        self.operations.extend(
            values.iter().map(|(name, kind, data)| Operation::set(&key, name, *kind, data.as_slice())),
        );
    }

    fn set_dwords(&mut self, key: &str, values: &[(&str, u32)]) {
        let values: Vec<_> =
            values.iter().map(|&(name, number)| (name, Kind::DWORD, data::dword(number))).collect();
        self.set(key, &values);
    }
}

/// A key of the control set that Windows starts with.
fn control_set(key: &str) -> String {
    format!("HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\{key}")
}

/// A key of SOFTWARE.
fn software(key: &str) -> String {
    format!("HKEY_LOCAL_MACHINE\\SOFTWARE\\{key}")
}

#[cfg(test)]
mod tests;
