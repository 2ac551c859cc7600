//! What an image's hives say about drivers, as far as a new package has to fit in with it.

use std::collections::{BTreeMap, BTreeSet};

use disk::Guid;
use hive::paths::control_set;
use hive::{Key, Kind};

use crate::plan::Plan;

/// The largest N of `oemN.inf` that is looked for in a bitmap.
const MAX_OEM: u32 = 65_536;

/// What there is in an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageState {
    /// The name of the control set that the image starts with: `ControlSet001`.
    pub control_set: String,
    /// The numbers N of every `oemN.inf` that is in use.
    pub oem_numbers: BTreeSet<u32>,
    /// Setup classes whose packages are registered in the SYSTEM hive.
    pub system_classes: BTreeSet<Guid>,
    /// Setup classes that are installed.
    pub installed_classes: BTreeSet<Guid>,
    /// The packages that are registered, by the lower-case name of their folder, with the name of their INF file.
    pub packages: BTreeMap<String, String>,
    /// Whether there is a DRIVERS hive, which has a driver database of its own.
    pub has_drivers_hive: bool,
    /// Whether the SYSTEM hive has a driver database.
    pub has_driver_database: bool,
}

impl ImageState {
    /// Reads it from the root keys of the SYSTEM hive and of the DRIVERS hive, if the image has one, and from the
    /// names of the files in its folder `Windows\INF`.
    pub fn read<'n>(
        system: &Key,
        drivers: Option<&Key>,
        inf_files: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let control_set = control_set(system).unwrap_or_else(|| "ControlSet001".to_owned());
        let mut state = Self { has_drivers_hive: drivers.is_some(), ..Self::default() };
        state.oem_numbers.extend(inf_files.into_iter().filter_map(oem_number));
        for (position, root) in [Some(system), drivers].into_iter().flatten().enumerate() {
            let Some(database) = root.subkey("DriverDatabase") else { continue };
            state.read_database(database);
            if position == 0 {
                state.has_driver_database = true;
                state.system_classes = guids(database.subkey("DeviceIds"));
            }
        }
        state.installed_classes = guids(system.open(&format!("{control_set}\\Control\\Class")));
        state.control_set = control_set;
        state
    }

    fn read_database(&mut self, database: &Key) {
        if let Some(map) = database.value("OemInfMap").filter(|value| value.kind() == Kind::BINARY) {
            self.oem_numbers.extend(numbers(map.data()));
        }
        for key in database.subkey("DriverInfFiles").into_iter().flat_map(Key::subkeys) {
            self.oem_numbers.extend(key.name().to_text().as_deref().and_then(oem_number));
        }
        for key in database.subkey("DriverPackages").into_iter().flat_map(Key::subkeys) {
            if let Some(name) = key.name().to_text() {
                let inf = key.value("").and_then(hive::Value::as_str).unwrap_or_default();
                self.packages.insert(name.to_lowercase(), inf);
            }
        }
    }

    /// Takes note of a plan that was carried out, so that the next one fits in with it.
    pub fn record(&mut self, plan: &Plan) {
        self.oem_numbers.extend(oem_number(&plan.published));
        self.packages.insert(plan.package.to_lowercase(), plan.published.clone());
    }

    /// The smallest N of an `oemN.inf` that is free.
    pub fn free_oem_number(&self) -> u32 {
        (0..=u32::MAX).find(|number| !self.oem_numbers.contains(number)).unwrap_or(u32::MAX)
    }

    /// The bitmap of the numbers in use, as the driver database stores it: the most significant bit of the first
    /// byte is `oem0.inf`. Measured: a hive with `oem0` to `oem11` has FF F0.
    pub fn oem_map(&self) -> Vec<u8> {
        let numbers = self.oem_numbers.iter().filter(|&&number| number < MAX_OEM);
        let mut map = vec![0_u8; numbers.clone().max().map_or(0, |&last| last as usize / 8 + 1)];
        for &number in numbers {
            map[number as usize / 8] |= 0x80 >> (number % 8);
        }
        map
    }
}

/// The numbers of a bitmap.
pub(crate) fn numbers(map: &[u8]) -> impl Iterator<Item = u32> {
    let bits = map.iter().flat_map(|byte| (0..8).map(move |bit| byte & (0x80 >> bit) != 0));
    (0..MAX_OEM).zip(bits).filter(|(_, set)| *set).map(|(number, _)| number)
}

/// N of `oemN.inf`, in any case.
pub(crate) fn oem_number(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let digits = name.strip_prefix("oem")?.strip_suffix(".inf")?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn guids(key: Option<&Key>) -> BTreeSet<Guid> {
    let names = key.into_iter().flat_map(Key::subkeys).filter_map(|key| key.name().to_text());
    names.filter(|name| name.starts_with('{')).filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_oem_numbers() {
        let mut state = ImageState { oem_numbers: (0..12).collect(), ..ImageState::default() };
        assert_eq!(state.oem_map(), [0xFF, 0xF0]);
        assert_eq!(state.free_oem_number(), 12);
        state.oem_numbers.remove(&3);
        assert_eq!(state.free_oem_number(), 3);
        assert_eq!(numbers(&state.oem_map()).collect::<BTreeSet<_>>(), state.oem_numbers);
        state.oem_numbers.insert(u32::MAX);
        assert_eq!(state.oem_map().len(), 2);
        assert_eq!(ImageState::default().oem_map(), []);
    }

    #[test]
    fn oem_names() {
        assert_eq!(oem_number("OEM12.inf"), Some(12));
        for name in ["oem.inf", "oem1.pnf", "oem-vioscsi.inf", "oem+1.inf", "oem99999999999.inf"] {
            assert_eq!(oem_number(name), None, "{name}");
        }
    }
}
