//! What the loader takes from the installed Windows: the SYSTEM hive, its control set, the kernel with all it is linked
//! with, and the registry files that the kernel loads once it runs.

use bcd::{ElementType, Object};
use hive::{Hive, Key};

use super::WindowsError as Code;
use super::entry::Loader;
use super::hive_file::{self, Fault};
use super::modules::{Modules, Trouble};
use super::pe::Version;
use super::report::{Link, Step};
use super::volume::Volume;

/// Names of kernel and HAL, where an entry has others than the usual ones.
const KERNEL: ElementType = ElementType(0x2200_0011);
const HAL: ElementType = ElementType(0x2200_0012);

/// The link of the SYSTEM hive.
pub(super) fn hive(volume: &Volume, root: &str) -> (Link, Option<Hive>) {
    const RESTORE: &str = "restore it from \\Windows\\System32\\config\\RegBack, a backup, or the image";
    let path = format!("{root}\\System32\\config\\SYSTEM");
    let mut link = Link::ok(Step::SystemHive, path.clone());
    match hive_file::read(&mut link, volume, &path) {
        Ok(hive) => {
            link.detail = format!("{path}, version 1.{}", hive.minor());
            (link, Some(hive))
        }
        Err(fault) => {
            let (text, code) = match fault {
                Fault::Missing => (format!("no {path}"), Code::NoSuchFile),
                Fault::Unreadable(why) => (why, Code::NoSuchFile),
                Fault::Damaged(why) => (why, Code::RegistryCorrupt),
            };
            link.broken(text, code, RESTORE);
            (link, None)
        }
    }
}

/// The link of the control set, and its key.
pub(super) fn control_set(hive: &Hive) -> (Link, Option<&Key>) {
    const SELECT: &str = "set Select\\Default to a control set that exists (`wimforge reg set`)";
    let mut link = Link::new(Step::ControlSet);
    let number = |name: &str| hive.root().subkey("Select").and_then(|select| select.value(name)?.as_u32());
    let sets: Vec<String> = hive
        .root()
        .subkeys()
        .map(|key| key.name().to_string())
        .filter(|name| name.len() == 13 && name.to_ascii_lowercase().starts_with("controlset0"))
        .collect();
    let (chosen, from) = match (number("Default"), number("Current")) {
        (Some(number), _) => (number, "Default"),
        (None, Some(number)) => {
            link.warn("Select has no value Default; Current is taken", SELECT);
            (number, "Current")
        }
        (None, None) => {
            link.detail = "none is chosen".to_owned();
            let there = if sets.is_empty() { "none".to_owned() } else { sets.join(", ") };
            link.broken(
                format!("there is no key Select that says which control set is used (there are: {there})"),
                Code::RegistryCorrupt,
                SELECT,
            );
            return (link, None);
        }
    };
    let name = format!("ControlSet{chosen:03}");
    link.detail = format!("{name}, by Select\\{from}");
    let Some(set) = hive.root().subkey(&name) else {
        let there = if sets.is_empty() { "none".to_owned() } else { sets.join(", ") };
        link.broken(
            format!("Select\\{from} chooses {name}, which is not there (there are: {there})"),
            Code::RegistryCorrupt,
            SELECT,
        );
        return (link, None);
    };
    for key in ["Control", "Services"] {
        if set.subkey(key).is_none() {
            link.broken(format!("{name} has no key {key}"), Code::RegistryCorrupt, "restore the hive");
        }
    }
    if set.open("Control\\ServiceGroupOrder").is_none_or(|key| key.value("List").is_none()) {
        link.warn(
            format!("{name}\\Control\\ServiceGroupOrder has no List: drivers load in no order"),
            "restore the hive",
        );
    }
    if number("Failed").is_some_and(|failed| failed == chosen) {
        link.warn(format!("{name} is the one that the last start failed with (Select\\Failed)"), "");
    }
    (link, Some(set))
}

/// The link of the kernel.
pub(super) fn kernel(
    modules: &mut Modules<'_>,
    entry: Option<&Object>,
    loader: Loader,
    set: Option<&Key>,
) -> Link {
    const RESTORE: &str = "copy it from the image that Windows was installed from";
    let mut link = Link::new(Step::Kernel);
    let named =
        |element, usual: &str| entry.and_then(|entry| entry.string(element)).unwrap_or(usual).to_owned();
    let (kernel, hal) = (named(KERNEL, "ntoskrnl.exe"), named(HAL, "hal.dll"));
    let mut files = vec![kernel.clone(), hal];
    if loader.version.is_none_or(|version| version >= Version::WINDOWS_7) {
        files.push("apisetschema.dll".to_owned());
    }
    for name in &files {
        for trouble in modules.all_of(name) {
            link.broken(trouble.text, code(trouble.kind), RESTORE);
        }
    }
    // Tables of characters, which the loader hands to the kernel.
    let page = set.and_then(|set| set.open("Control\\Nls\\CodePage"));
    for which in ["ACP", "OEMCP"] {
        let text = |name: &str| page.and_then(|page| page.value(name)?.as_str());
        let Some(file) = text(which).and_then(|number| text(&number)).filter(|file| !file.is_empty()) else {
            continue;
        };
        if let Some(trouble) = modules.plain(&format!("System32\\{file}")) {
            link.broken(format!("{} (the code page {which})", trouble.text), code(trouble.kind), RESTORE);
        }
    }
    let version = modules.version(&kernel).map_or_else(String::new, |version| format!(" {version}"));
    let machine = modules.machine(&kernel).map_or_else(String::new, |machine| format!(" for {machine}"));
    link.detail = format!("{kernel}{version}{machine}, {} modules", modules.loaded());
    if let (Some(own), Some(loader)) = (modules.machine(&kernel), loader.machine)
        && own != loader
    {
        link.broken(format!("{kernel} is for {own}, the loader for {loader}"), Code::InvalidImage, RESTORE);
    }
    link
}

/// What a user sees when a file that the loader needs is no good.
pub(super) const fn code(trouble: Trouble) -> Code {
    match trouble {
        Trouble::Missing | Trouble::Unreadable => Code::NoSuchFile,
        Trouble::Invalid => Code::InvalidImage,
    }
}

/// The link of the other registry files.
pub(super) fn registry(volume: &Volume, root: &str) -> Link {
    let mut link = Link::new(Step::Registry);
    let names = ["SOFTWARE", "SECURITY", "SAM", "DEFAULT"];
    for name in names {
        let path = format!("{root}\\System32\\config\\{name}");
        let text = match hive_file::glance(volume, &path) {
            Ok(()) => continue,
            Err(Fault::Missing) => format!("no {path}"),
            Err(Fault::Unreadable(why) | Fault::Damaged(why)) => why,
        };
        link.broken(
            text,
            Code::CannotLoadRegistry,
            "restore it from \\Windows\\System32\\config\\RegBack, a backup, or the image",
        );
    }
    link.detail = names.join(", ");
    link
}
