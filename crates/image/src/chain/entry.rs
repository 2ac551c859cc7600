//! The boot configuration: the store, the entry that is started, where it leads, and the loader there.

use bcd::{Application, ElementType as E, Object, ObjectKind, Store, names};
use disk::Guid;

use super::device::{Lost, Place, Resolver};
use super::disk::{BootDisk, Slot, counted};
use super::hive_file::{self, Fault, Wof, unreadable};
use super::manager::program;
use super::pe::{Machine, Version};
use super::report::{Link, Step};
use super::volume::Volume;
use super::{Firmware, WindowsError as Code};

/// Entries besides the default one that are looked at.
const MAX_ENTRIES: usize = 64;

const REBUILD: &str = "make a new store (`wimforge bcd create`, or on Windows `bcdboot W:\\Windows /s S:`)";
const FIX_DEVICE: &str = "point the entry to the partition (`wimforge bcd set STORE {default} osdevice ...` and `device`, or `bcdboot`)";

/// Where the store lies.
pub(super) const fn store_path(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios => "\\Boot\\BCD",
        Firmware::Uefi => "\\EFI\\Microsoft\\Boot\\BCD",
    }
}

/// The link of the store.
pub(super) fn store(firmware: Firmware, slot: &Slot, volume: &Volume) -> (Link, Option<Store>) {
    let path = store_path(firmware);
    let mut link = Link::ok(Step::BootStore, path);
    let hive = match hive_file::read(&mut link, volume, path) {
        Ok(hive) => hive,
        Err(fault) => {
            let (text, code) = match fault {
                Fault::Missing => (format!("no {path} on partition {}", slot.number), Code::NoSuchFile),
                Fault::Unreadable(why) => (why, Code::NoSuchFile),
                Fault::Damaged(why) => (why, Code::RegistryCorrupt),
            };
            link.broken(text, code, REBUILD);
            return (link, None);
        }
    };
    match Store::from_hive(hive) {
        Ok(store) => {
            link.detail = format!("{path}, {}", counted(store.objects().len(), "object"));
            (link, Some(store))
        }
        Err(error) => {
            link.broken(format!("{path}: {error}"), Code::RegistryCorrupt, REBUILD);
            (link, None)
        }
    }
}

/// The link of the entry that is started when nobody chooses another.
pub(super) fn entry(store: &Store) -> (Link, Option<&Object>) {
    let mut link = Link::new(Step::BootEntry);
    let Some(manager) = store.object(names::BOOTMGR) else {
        link.detail = "no {bootmgr}".to_owned();
        link.broken("the store has no {bootmgr}", Code::NameNotFound, REBUILD);
        return (link, None);
    };
    let order = manager.references(E::DISPLAY_ORDER);
    let Some(id) = store.default_entry().or(order.first().copied()) else {
        link.detail = "none".to_owned();
        link.broken("{bootmgr} names neither a default entry nor any other", Code::FileInvalid, REBUILD);
        return (link, None);
    };
    let Some(object) = store.object(id) else {
        link.detail = format!("{{{id}}}");
        let loaders = store.objects().iter().filter(|object| is_loader(object)).count();
        let advice = match loaders {
            0 => REBUILD.to_owned(),
            count => format!(
                "choose one of the {} that there are (`bcdedit /default {{...}}`)",
                counted(count, "entry").replace("entrys", "entries")
            ),
        };
        link.broken(format!("the default entry {{{id}}} is not in the store"), Code::FileInvalid, advice);
        return (link, None);
    };
    let name = object.string(E::DESCRIPTION).unwrap_or("without a name");
    let timeout = match manager.integer(E::TIMEOUT) {
        Some(0) => ", at once".to_owned(),
        Some(seconds) if order.len() > 1 => format!(", of {} after {seconds} s", order.len()),
        _ => String::new(),
    };
    link.detail = format!("{name:?} {{{id}}}{timeout}");
    for once in manager.references(E::BOOT_SEQUENCE) {
        link.warn(format!("{{{once}}} is started first, this one time (bootsequence)"), "");
    }
    for other in order.iter().filter(|&&other| store.object(other).is_none()) {
        link.warn(
            format!("the menu lists {{{other}}}, which is not in the store"),
            "take it out of the display order",
        );
    }
    for (refused, why) in refused(store) {
        let text = format!("the boot manager refuses {}: {why}", names::object_name(refused));
        match refused == id || refused == names::BOOTMGR {
            true => link.broken(text, Code::FileInvalid, REBUILD),
            false => link.warn(text, "delete the object, or make a new store"),
        }
    }
    if !is_loader(object) {
        link.warn(format!("it is of type {:#010x}, not a loader of Windows", object.kind.0), "");
        return (link, None);
    }
    let path = "the loader's path";
    for (element, what, code) in [
        (E::DEVICE, "the device with the loader", Code::NameNotFound),
        (E::PATH, path, Code::NameNotFound),
        (E::OS_DEVICE, "the device with Windows (osdevice)", Code::NotFound),
        (E::SYSTEM_ROOT, "the directory of Windows (systemroot)", Code::NameNotFound),
    ] {
        if object.get(element).is_none() {
            link.broken(
                format!("it does not say {what} (element {:08x})", element.0),
                code,
                "set it (`wimforge bcd set`), or make a new store (`bcdboot W:\\Windows /s S:`)",
            );
        }
    }
    (link, Some(object))
}

/// Objects that do not exist for the boot manager, because something in them is not as it must be.
fn refused(store: &Store) -> Vec<(Guid, String)> {
    let Ok(report) = bcd::check(store) else { return Vec::new() };
    let errors = report.findings.into_iter().filter(|finding| {
        let of_form = matches!(
            finding.code,
            bcd::check::Code::Object | bcd::check::Code::Element | bcd::check::Code::Value
        );
        finding.severity == bcd::check::Severity::Error && of_form
    });
    errors.filter_map(|finding| Some((finding.object?, finding.text))).collect()
}

fn is_loader(object: &Object) -> bool {
    matches!(object.kind.kind(), ObjectKind::Application(Application::Loader))
}

/// Where the default entry leads.
pub(super) struct Target<'s> {
    /// The partition with the loader, and its path.
    pub(super) loader: Option<(&'s Slot, String)>,
    /// The partition with Windows, and its directory.
    pub(super) windows: Option<(&'s Slot, String)>,
    /// Why one of them is not looked at, when nothing is broken.
    pub(super) beyond: Option<String>,
}

/// The link of the partitions that the entry names.
pub(super) fn devices<'s>(
    disk: &'s BootDisk<'s>,
    system: &'s Slot,
    store: &'s Store,
    object: &'s Object,
    windows: &[&'s Slot],
) -> (Link, Target<'s>) {
    let mut link = Link::new(Step::Devices);
    let resolver = Resolver { disk, system, store };
    let mut target = Target { loader: None, windows: None, beyond: None };
    let mut words = Vec::new();
    for (element, what, code) in
        [(E::DEVICE, "device", Code::NoSuchDevice), (E::OS_DEVICE, "osdevice", Code::NotFound)]
    {
        let Some(device) = object.device(element) else {
            if object.get(element).is_some() {
                link.broken(
                    format!("{what} is no device element that can be read"),
                    Code::NoSuchDevice,
                    FIX_DEVICE,
                );
            }
            continue;
        };
        let path = |element| object.string(element).unwrap_or_default().to_owned();
        let mut lead = |slot| match element {
            E::DEVICE => target.loader = Some((slot, path(E::PATH))),
            _ => target.windows = Some((slot, path(E::SYSTEM_ROOT))),
        };
        match resolver.element(object, device) {
            Ok(place) => {
                words.push(format!("{what} is {}", place.describe()));
                several(&mut link, &resolver, object, &device.device, what);
                match place {
                    Place::Slot(slot) => lead(slot),
                    other => {
                        // What cannot be looked at is not said to be in order.
                        let why = format!("lies in {}, which is not looked into", other.describe());
                        target.beyond.get_or_insert(why);
                    }
                }
            }
            // Windows on one disk and its boot manager on another is not unusual.
            Err(Lost { text, elsewhere: true, .. }) if windows.is_empty() => {
                words.push(format!("{what} is on another disk"));
                link.warn(
                    format!("{what}: {text}, and there is no Windows on this one"),
                    "check that disk, too",
                );
                target.beyond.get_or_insert_with(|| "lies on another disk".to_owned());
            }
            Err(lost) => {
                words.push(format!("{what} is not there"));
                let code = if lost.file { Code::NoSuchFile } else { code };
                let advice = match lost.remedy {
                    Some(remedy) => format!("{remedy}, or {FIX_DEVICE}"),
                    None => FIX_DEVICE.to_owned(),
                };
                link.broken(format!("{what}: {}", lost.text), code, advice);
                // What is wrong further on is worth knowing, too: of that which is meant, or the only Windows there is.
                let only = if let [only] = windows { Some(*only) } else { None };
                if let Some(slot) = lost.meant.or(only) {
                    lead(slot);
                }
            }
        }
    }
    others(&mut link, &resolver, object.id);
    link.detail = words.join(", ");
    (link, target)
}

/// A device that is searched for takes the first that fits: two Windows on one disk are a trap.
fn several(link: &mut Link, resolver: &Resolver<'_>, object: &Object, device: &bcd::Device, what: &str) {
    let bcd::Device::Locate { by, parent: None } = device else { return };
    let path = match by {
        bcd::LocateBy::Path(path) => Some(path.as_str()),
        bcd::LocateBy::Element(element) => object.string(*element),
    };
    let Some(path) = path else { return };
    let holding: Vec<String> = resolver.holding(path).map(|slot| slot.number.to_string()).collect();
    if holding.len() > 1 {
        link.warn(
            format!(
                "{what} is searched for, and partitions {} all hold {path}: the first is taken",
                holding.join(", ")
            ),
            "name the partition instead (`wimforge bcd set STORE {default} device partition=...`)",
        );
    }
}

/// What else the store can start: none of it stops the default entry.
fn others(link: &mut Link, resolver: &Resolver<'_>, default: Guid) {
    let Some(manager) = resolver.store.object(names::BOOTMGR) else { return };
    let mut ids = vec![names::BOOTMGR];
    let recovery = resolver.store.object(default).map(|object| object.references(E::RECOVERY_SEQUENCE));
    ids.extend(recovery.unwrap_or_default());
    ids.extend(manager.references(E::DISPLAY_ORDER).iter().filter(|&&id| id != default));
    ids.extend(manager.references(E::TOOLS_DISPLAY_ORDER));
    ids.dedup();
    let mut strangers = Vec::new();
    for id in ids.into_iter().take(MAX_ENTRIES) {
        let Some(object) = resolver.store.object(id) else {
            if id != default
                && resolver
                    .store
                    .object(default)
                    .is_some_and(|object| object.references(E::RECOVERY_SEQUENCE).contains(&id))
            {
                link.warn(format!("the recovery entry {{{id}}} is not in the store"), "");
            }
            continue;
        };
        let name = if id == names::BOOTMGR {
            "{bootmgr}"
        } else {
            object.string(E::DESCRIPTION).unwrap_or("another entry")
        };
        for (element, what) in [(E::DEVICE, "device"), (E::OS_DEVICE, "osdevice")] {
            let Some(device) = object.device(element) else { continue };
            match resolver.element(object, device) {
                // Said once, for all of them.
                Err(Lost { elsewhere: true, .. }) => strangers.push(format!("{what} of {name}")),
                Err(lost) => link.warn(format!("{name}: {what}: {}", lost.text), ""),
                Ok(Place::Slot(slot)) if element == E::DEVICE && id != names::BOOTMGR => {
                    let Some(path) = object.string(E::PATH) else { continue };
                    if resolver.disk.volume(slot).is_ok_and(|volume| !volume.has(path)) {
                        link.warn(format!("{name}: no {path} on partition {}", slot.number), "");
                    }
                }
                Ok(_) => {}
            }
        }
    }
    if !strangers.is_empty() {
        link.warn(
            format!("another disk is named by {}", strangers.join(", ")),
            "point them to this disk, too",
        );
    }
}

/// What the loader says of itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Loader {
    pub(super) machine: Option<Machine>,
    pub(super) version: Option<Version>,
}

impl Loader {
    /// What it knows of Compact OS. One that does not say its version is taken to be of today.
    pub(super) fn wof(self) -> Wof {
        match self.version {
            Some(version) if version < Version::WINDOWS_10 => Wof::None,
            _ => Wof::Xpress4k,
        }
    }
}

/// The link of the loader.
pub(super) fn loader(
    firmware: Firmware,
    disk: &BootDisk<'_>,
    slot: &Slot,
    path: &str,
    manager: Option<Machine>,
) -> (Link, Loader) {
    const RESTORE: &str = "copy it from the image that Windows was installed from (\\Windows\\System32)";
    let mut link = Link::ok(Step::Loader, path);
    let mut loader = Loader::default();
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let (own, others) = match firmware {
        Firmware::Bios => ("exe", "efi"),
        Firmware::Uefi => ("efi", "exe"),
    };
    if extension.as_deref() == Some(others) {
        link.broken(
            format!("{path} is the loader for the other kind of firmware; {firmware} needs winload.{own}"),
            Code::InvalidImage,
            format!("set the entry's path to \\Windows\\system32\\winload.{own}"),
        );
    }
    let volume = match disk.volume(slot) {
        Ok(volume) => volume,
        Err(why) => {
            link.broken(
                format!("partition {}: {why}", slot.number),
                Code::NoSuchDevice,
                "the boot manager cannot read this volume: repair or decrypt it",
            );
            return (link, loader);
        }
    };
    let file = match volume.find(path) {
        Ok(Some(file)) if !file.directory => file,
        Ok(_) => {
            link.broken(format!("no {path} on partition {}", slot.number), Code::NoSuchFile, RESTORE);
            return (link, loader);
        }
        Err(why) => {
            link.broken(
                format!("{path} on partition {}: {why}", slot.number),
                Code::NoSuchFile,
                "repair the volume (`chkdsk /f`)",
            );
            return (link, loader);
        }
    };
    match program(volume, &file) {
        Ok(found) => {
            loader = Loader { machine: Some(found.machine), version: found.version };
            let version = found.version.map_or_else(String::new, |version| format!(" {version}"));
            link.detail = format!("{path}{version} for {} on partition {}", found.machine, slot.number);
            if let Some(manager) = manager.filter(|&manager| manager != found.machine) {
                link.broken(
                    format!("it is for {}, the boot manager for {manager}", found.machine),
                    Code::InvalidImage,
                    "use the boot manager and the loader of the same image",
                );
            }
        }
        Err(why) => link.broken(format!("{path} {why}"), Code::InvalidImage, RESTORE),
    }
    if let Some(why) = unreadable(&file.storage, loader.wof()) {
        link.broken(
            format!("{path} {why}"),
            Code::NoSuchFile,
            "decompress it (`compact /u /exe`), or build with --compact-os, which spares it",
        );
    }
    (link, loader)
}
