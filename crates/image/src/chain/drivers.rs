//! The drivers that the loader loads, by the registry: which they are, whether their files are there, and whether any of
//! them can reach the disk.
//!
//! Which services those are follows the loader ([research/boot-registry.md] §3.9): types 1 and 2 that start at 0, unless
//! `StartOverride` says otherwise for this machine. That override is how a Windows that was moved to another machine
//! loses its disk: the services of controllers that it did not need here carry the value 3.

use hive::{Hive, Key};

use super::WindowsError as Code;
use super::disk::counted;
use super::entry::Loader;
use super::modules::{Faulty, Modules};
use super::pe::Version;
use super::report::{Link, Step};

/// Services that are looked at. Windows has some 700.
const MAX_SERVICES: usize = 8192;

/// Kernel and file system drivers.
const DRIVERS: [u32; 2] = [1, 2];
/// The start type of a driver that the loader loads, and that of one that waits for its device.
const BOOT_START: u32 = 0;

/// The value of `ErrorControl` from which a driver that does not load ends the start.
const SEVERE: u32 = 2;

/// What lies between a controller and a volume: without one of these there is no disk.
const STACK: [(&str, &str); 5] = [
    ("pci", "the PCI bus"),
    ("partmgr", "partitions"),
    ("disk", "disks"),
    ("volmgr", "volumes"),
    ("mountmgr", "mount points"),
];

/// Drivers of disk controllers, and where these are found.
const CONTROLLERS: [(&str, &str); 23] = [
    ("storahci", "SATA (AHCI)"),
    ("msahci", "SATA (AHCI)"),
    ("iastorv", "Intel RAID"),
    ("iastorav", "Intel RAID"),
    ("iastoravc", "Intel RAID"),
    ("iastorvd", "Intel VMD"),
    ("amdsata", "AMD SATA"),
    ("atapi", "IDE"),
    ("stornvme", "NVMe"),
    ("storvsc", "Hyper-V SCSI, Azure"),
    ("viostor", "virtio-blk"),
    ("vioscsi", "virtio-scsi"),
    ("pvscsi", "VMware paravirtual SCSI"),
    ("lsi_sas", "LSI SAS (VMware, VirtualBox)"),
    ("lsi_scsi", "LSI SCSI (VMware)"),
    ("symc8xx", "LSI SCSI (VMware)"),
    ("buslogic", "BusLogic SCSI"),
    ("xenvbd", "Xen"),
    ("megasas", "MegaRAID"),
    ("megasas2i", "MegaRAID"),
    ("storufs", "UFS"),
    ("sdstor", "SD and eMMC"),
    ("vhdmp", "virtual disk in a file"),
];

/// Classes of devices on the way to the disk: their filters are loaded before them, or they do not start.
const CLASSES: [(&str, &str); 5] = [
    ("{4d36e967-e325-11ce-bfc1-08002be10318}", "disks"),
    ("{71a27cdd-812a-11d0-bec7-08002be2092f}", "volumes"),
    ("{4d36e97b-e325-11ce-bfc1-08002be10318}", "SCSI controllers"),
    ("{4d36e96a-e325-11ce-bfc1-08002be10318}", "IDE controllers"),
    ("{4d36e97d-e325-11ce-bfc1-08002be10318}", "system devices"),
];

/// A driver of the control set.
#[derive(Clone, Debug)]
struct Driver {
    name: String,
    /// What its key says.
    start: Option<u32>,
    /// What `StartOverride` says for this machine.
    forced: Option<u32>,
    error_control: u32,
    group: String,
    /// From the directory of Windows; `None` for what the loader cannot reach.
    path: Option<String>,
    /// As the registry has it.
    image_path: String,
    /// Whether the file is good.
    loads: bool,
}

impl Driver {
    fn of(key: &Key, machine: Option<&str>) -> Option<Self> {
        let number = |name: &str| key.value(name).and_then(hive::Value::as_u32);
        if !number("Type").is_some_and(|kind| DRIVERS.contains(&kind)) {
            return None;
        }
        let name = key.name().to_string();
        let image_path = key.value("ImagePath").and_then(hive::Value::as_str).unwrap_or_default();
        let path = match image_path.is_empty() {
            true => Some(format!("System32\\drivers\\{name}.sys")),
            false => from_windows(&image_path),
        };
        let forced = key.subkey("StartOverride").and_then(|key| key.value(machine?)?.as_u32());
        Some(Self {
            name,
            start: number("Start"),
            forced,
            error_control: number("ErrorControl").unwrap_or(1),
            group: key.value("Group").and_then(hive::Value::as_str).unwrap_or_default(),
            path,
            image_path,
            loads: false,
        })
    }

    fn is_boot(&self) -> bool {
        self.forced.or(self.start) == Some(BOOT_START)
    }

    /// Where the controller is found that it drives, if it drives one.
    fn controller(&self) -> Option<&'static str> {
        let known = CONTROLLERS.iter().find(|(name, _)| self.name.eq_ignore_ascii_case(name));
        let group = self.group.eq_ignore_ascii_case("SCSI miniport");
        known.map(|(_, place)| *place).or(group.then_some("another controller"))
    }

    fn is_of_the_stack(&self) -> bool {
        STACK.iter().any(|(name, _)| self.name.eq_ignore_ascii_case(name))
    }

    /// Why the loader does not take it, though it is there.
    fn why_not(&self) -> String {
        match (self.start, self.forced) {
            (_, Some(forced)) => format!("StartOverride sets its start to {forced}"),
            (Some(start), None) => format!("it starts at {start}"),
            (None, None) => "its key has no value Start".to_owned(),
        }
    }
}

/// An `ImagePath` as a path from the directory of Windows; `None` when it leads elsewhere.
pub(super) fn from_windows(path: &str) -> Option<String> {
    let path = path.trim().trim_matches('"').replace('/', "\\");
    let without = |prefix: &str| {
        let head = path.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| path[prefix.len()..].to_owned())
    };
    let inside = ["\\SystemRoot\\", "%SystemRoot%\\", "%windir%\\", "\\Windows\\"]
        .iter()
        .find_map(|prefix| without(prefix));
    match inside {
        Some(path) => Some(path),
        // Of a drive letter nothing is known before Windows runs.
        None if path.starts_with('\\') || path.contains(':') || path.starts_with('%') => None,
        None => Some(path),
    }
}

/// The links of the drivers and of the disk drivers.
pub(super) fn links(modules: &mut Modules<'_>, hive: &Hive, set: &Key, loader: Loader) -> (Link, Link) {
    let mut link = Link::new(Step::BootDrivers);
    // Before Windows 8 there were no overrides.
    let overrides = loader.version.is_none_or(|version| version >= Version::WINDOWS_8);
    let config = hive.root().open("HardwareConfig");
    let machine = config.and_then(|key| key.value("LastId")?.as_u32()).unwrap_or_default().to_string();
    let machine = overrides.then_some(&*machine);
    let services = set.subkey("Services");
    let mut drivers: Vec<Driver> = services
        .into_iter()
        .flat_map(|services| services.subkeys().take(MAX_SERVICES))
        .filter_map(|key| Driver::of(key, machine))
        .collect();
    if services.is_some_and(|services| services.subkeys().len() > MAX_SERVICES) {
        link.warn(format!("more than {MAX_SERVICES} services: the others were not looked at"), "");
    }
    let mut boot = 0;
    for driver in drivers.iter_mut().filter(|driver| driver.is_boot()) {
        boot += 1;
        let faults = match &driver.path {
            Some(path) => modules.all_at(path),
            None => {
                link.warn(
                    format!(
                        "{}: its ImagePath {:?} means nothing to the loader",
                        driver.name, driver.image_path
                    ),
                    "drivers that start at 0 lie below \\Windows: use System32\\drivers\\...",
                );
                continue;
            }
        };
        driver.loads = faults.is_empty();
        for fault in faults {
            report(&mut link, driver, fault);
        }
    }
    // It is loaded whatever its start type.
    for fault in modules.all_at("System32\\drivers\\ntfs.sys") {
        link.broken(format!("the file system: {}", fault.text), Code::InaccessibleBootDevice, RESTORE);
    }
    link.detail = format!("{} start at 0, {} files", counted(boot, "driver"), modules.loaded());
    let disk = disk_link(set, &drivers);
    (link, disk)
}

const RESTORE: &str = "copy it from the image that Windows was installed from";

fn report(link: &mut Link, driver: &Driver, fault: Faulty) {
    let text = format!("{}: {}", driver.name, fault.text);
    let severe = driver.error_control >= SEVERE || driver.is_of_the_stack();
    if severe {
        let control = match driver.error_control {
            0 => "ignored",
            1 => "normal",
            2 => "severe",
            _ => "critical",
        };
        link.broken(
            format!("{text} (ErrorControl {control})"),
            Code::NotFound,
            format!("copy the file, or disable the driver (Services\\{}: Start = 4)", driver.name),
        );
    } else {
        link.warn(
            format!("{text}; Windows goes on without it"),
            "copy the file, or disable the driver (Start = 4)",
        );
    }
}

/// The link of the drivers between the firmware's disk and Windows'.
fn disk_link(set: &Key, drivers: &[Driver]) -> Link {
    let mut link = Link::new(Step::DiskDrivers);
    let named = |name: &str| drivers.iter().find(|driver| driver.name.eq_ignore_ascii_case(name));
    for (name, what) in STACK {
        let why = match named(name) {
            None => "the registry has no such driver".to_owned(),
            Some(driver) if !driver.is_boot() => driver.why_not(),
            Some(_) => continue,
        };
        link.broken(
            format!("{name} ({what}) is not loaded: {why}"),
            Code::InaccessibleBootDevice,
            format!("set Services\\{name}: Start = 0, and delete its StartOverride"),
        );
    }
    let controllers = || drivers.iter().filter(|driver| driver.controller().is_some());
    let mut places: Vec<String> = Vec::new();
    for driver in controllers().filter(|driver| driver.is_boot() && driver.loads) {
        let place = driver.controller().unwrap_or_default();
        places.push(format!("{} ({place})", driver.name));
    }
    if places.is_empty() {
        let vetoed: Vec<String> = controllers()
            .filter(|driver| !driver.is_boot())
            .map(|driver| format!("{} ({})", driver.name, driver.why_not()))
            .collect();
        let text = match vetoed.is_empty() {
            true => "no driver of a disk controller is loaded".to_owned(),
            false => format!("no driver of a disk controller is loaded: {}", shortened(&vetoed)),
        };
        link.broken(
            text,
            Code::InaccessibleBootDevice,
            "enable the driver of the machine's controller: Start = 0, and delete its StartOverride (storahci, stornvme, \
             storvsc, viostor, ...)",
        );
        link.detail = "none".to_owned();
    } else {
        link.detail = format!("for {}", shortened(&places));
        // On another machine these would be missed.
        let vetoed = controllers().filter(|driver| driver.forced.is_some() && !driver.is_boot());
        let vetoed: Vec<String> = vetoed.map(|driver| driver.name.clone()).collect();
        if !vetoed.is_empty() {
            let held = format!("; held back by StartOverride: {}", shortened(&vetoed));
            link.detail.push_str(&held);
        }
    }
    for (class, what) in CLASSES {
        let Some(key) = set.open(&format!("Control\\Class\\{class}")) else { continue };
        for which in ["UpperFilters", "LowerFilters"] {
            let filters = key.value(which).and_then(hive::Value::as_multi).unwrap_or_default();
            for filter in filters.iter().filter(|filter| !filter.is_empty()) {
                let why = match named(filter) {
                    None => "which is no driver of the registry".to_owned(),
                    Some(driver) if driver.is_boot() && !driver.loads => {
                        "whose file is missing or cannot be read".to_owned()
                    }
                    Some(driver) if !driver.is_boot() && driver.forced.or(driver.start) == Some(4) => {
                        "which is disabled".to_owned()
                    }
                    Some(_) => continue,
                };
                link.broken(
                    format!("the {which} of {what} name {filter}, {why}: these devices do not start"),
                    Code::InaccessibleBootDevice,
                    format!("take {filter} out of Control\\Class\\{class}: {which}"),
                );
            }
        }
    }
    link
}

/// A list that fits a line.
fn shortened(list: &[String]) -> String {
    const SHOWN: usize = 6;
    match list.len().saturating_sub(SHOWN) {
        0 => list.join(", "),
        more => format!("{}, and {more} more", list[..SHOWN].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_paths() {
        for (path, expected) in [
            ("System32\\drivers\\disk.sys", Some("System32\\drivers\\disk.sys")),
            ("\\SystemRoot\\System32\\drivers\\a.sys", Some("System32\\drivers\\a.sys")),
            ("%systemroot%\\system32\\a.sys", Some("system32\\a.sys")),
            ("\\Windows\\system32/a.sys", Some("system32\\a.sys")),
            ("\"system32\\a.sys\"", Some("system32\\a.sys")),
            ("\\??\\C:\\Windows\\a.sys", None),
            ("C:\\a.sys", None),
            ("%Other%\\a.sys", None),
            ("é", Some("é")),
        ] {
            assert_eq!(from_windows(path).as_deref(), expected, "{path}");
        }
    }
}
