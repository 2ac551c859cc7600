//! A check of a store by the rules that boot managers and Windows' own tools apply.
//!
//! It looks at the hive and not at the model, because the model passes over what it does not understand and the boot
//! manager does not: an object with one value of the wrong length does not exist for it. What is an error was
//! calibrated: no store that Windows made and started from has one. Whether the devices exist is not looked at, that
//! needs the disk.

use std::collections::BTreeSet;

use disk::Guid;
use hive::{Hive, Key, Kind};

use crate::element::braced;
use crate::store::{MINOR, object_id};
use crate::{
    Application, Device, Element, ElementClass, ElementType as E, Format, LocateBy, Object, ObjectKind,
    ObjectType, Partition, Result, Store, names,
};

mod report;

pub use report::{Code, Finding, Report, Severity};

/// Checks the bytes of a hive file: the hive by [`hive::check()`] (but for its notes), and the store in it.
pub fn check_bytes(bytes: &[u8]) -> Report {
    let mut report = Report::default();
    for finding in hive::check(bytes).findings {
        let severity = match finding.severity {
            hive::check::Severity::Error => Severity::Error,
            hive::check::Severity::Warning => Severity::Warning,
            hive::check::Severity::Note => continue,
        };
        report.add(severity, Code::Hive, None, None, finding.to_string());
    }
    match Hive::parse(bytes) {
        Ok(hive) => Checker { report: &mut report }.run(&hive),
        Err(error) if report.is_clean() => {
            report.add(Severity::Error, Code::Hive, None, None, error.to_string())
        }
        Err(_) => {}
    }
    report
}

/// Checks a hive that holds a store.
pub fn check_hive(hive: &Hive) -> Report {
    let mut report = Report::default();
    Checker { report: &mut report }.run(hive);
    report
}

/// Checks a store.
///
/// # Errors
/// Those of [`Store::to_hive`].
pub fn check(store: &Store) -> Result<Report> {
    Ok(check_hive(&store.to_hive()?))
}

struct Checker<'a> {
    report: &'a mut Report,
}

impl Checker<'_> {
    fn run(mut self, hive: &Hive) {
        use Severity::{Error, Note, Warning};
        if hive.minor() != MINOR {
            let text = format!("hive version 1.{}, stores have 1.{MINOR}", hive.minor());
            self.report.add(Note, Code::Store, None, None, text);
        }
        match hive.root().subkey("Description") {
            None => self.report.add(Warning, Code::Store, None, None, "no key Description".to_owned()),
            Some(description) if description.value("KeyName").is_none() => {
                self.report.add(Warning, Code::Store, None, None, "Description has no KeyName".to_owned());
            }
            Some(_) => {}
        }
        let Some(objects) = hive.root().subkey("Objects") else {
            let text = "the hive has no key Objects: it is not a store".to_owned();
            self.report.add(Error, Code::Store, None, None, text);
            return;
        };
        for object in objects.subkeys() {
            self.object_key(object);
        }
        let Ok(store) = Store::from_hive(hive.clone()) else { return };
        self.report.objects = store.objects().len();
        for object in store.objects() {
            self.object(&store, object);
        }
        self.manager(&store);
    }

    /// An object as keys and values.
    fn object_key(&mut self, key: &Key) {
        use Severity::{Error, Note, Warning};
        let Some(id) = object_id(key) else {
            let text = format!("key {:?} is not a GUID in braces", key.name().to_string());
            return self.report.add(Warning, Code::Object, None, None, text);
        };
        let mut add = |severity, code, text: String| self.report.add(severity, code, Some(id), None, text);
        if key.name().to_string() != braced(id) {
            add(Note, Code::Object, "its key is not in lower case".to_owned());
        }
        match key.subkey("Description").map(|description| description.value("Type")) {
            None => add(Error, Code::Object, "no key Description: nobody knows what it is".to_owned()),
            Some(None) => add(Error, Code::Object, "Description has no Type".to_owned()),
            Some(Some(value)) if value.kind() != Kind::DWORD || value.data().len() != 4 => {
                let text =
                    format!("Type is {} bytes of registry type {}", value.data().len(), value.kind().0);
                add(Error, Code::Object, text + ", expected a REG_DWORD");
            }
            Some(Some(_)) => {}
        }
        let Some(elements) = key.subkey("Elements") else {
            add(Error, Code::Object, "no key Elements".to_owned());
            return;
        };
        for element in elements.subkeys() {
            self.element_key(id, element);
        }
    }

    /// An element as key and value: the rules that make a boot manager refuse the whole object, and habits.
    fn element_key(&mut self, id: Guid, key: &Key) {
        use Severity::{Error, Note, Warning};
        let name = key.name().to_string();
        let Some(kind) = E::from_key_name(&name) else {
            let text = format!("element key {name:?} is not eight hexadecimal digits");
            return self.report.add(Warning, Code::Element, Some(id), None, text);
        };
        let mut add =
            |severity, code, text: String| self.report.add(severity, code, Some(id), Some(kind), text);
        let Some(value) = key.value("Element") else {
            return add(Error, Code::Element, "no value Element".to_owned());
        };
        if key.values().len() > 1 || key.subkeys().len() > 0 {
            add(Note, Code::Element, "its key holds more than the value Element".to_owned());
        }
        match Element::strict(kind, value.kind(), value.data()) {
            Err(crate::Error::Malformed { at, reason }) => {
                let severity = match (kind.format(), kind.class()) {
                    (Format::Unknown(_), _) | (_, ElementClass::Unknown(_)) => Warning,
                    _ => Error,
                };
                let at = if at.what == "element" { String::new() } else { format!("{at}: ") };
                add(severity, Code::Value, format!("{at}{reason}"));
            }
            Err(error) => add(Error, Code::Value, error.to_string()),
            Ok(element) => {
                if let Some(text) = unusual(&element, value.data()) {
                    add(Note, Code::Form, text);
                }
            }
        }
    }

    /// An object as what it means.
    fn object(&mut self, store: &Store, object: &Object) {
        use Severity::{Note, Warning};
        if let Some(expected) = names::type_of_named(object.id).filter(|expected| *expected != object.kind) {
            let text = format!("type {}, expected {expected} for this object", object.kind);
            self.add(Warning, Code::Object, object, None, text);
        }
        if [names::DEFAULT, names::CURRENT].contains(&object.id) {
            let text = "this GUID stands for another object and is never one itself".to_owned();
            self.add(Warning, Code::Object, object, None, text);
        }
        if object.kind.kind() == ObjectKind::Unknown {
            let text = format!("type {} is not known", object.kind);
            self.add(Warning, Code::Object, object, None, text);
        }
        for (kind, element) in &object.elements {
            if names::element(object.kind, *kind).is_none() {
                self.add(
                    Note,
                    Code::Unknown,
                    object,
                    Some(*kind),
                    "this element is not known here".to_owned(),
                );
            }
            match element {
                Element::Device(value) => {
                    self.device(object, *kind, &value.device, &|element| {
                        store.effective(object.id, element).is_some()
                    });
                    if let Some(options) = value.options {
                        self.options(store, object, *kind, options);
                    }
                }
                Element::Integer(number) => {
                    let values = names::element(object.kind, *kind).map_or(&[][..], |info| info.values);
                    if !values.is_empty() && *number >= values.len() as u64 {
                        let text = format!("{number} is none of {}", values.join(", "));
                        self.add(Warning, Code::Value, object, Some(*kind), text);
                    }
                }
                Element::String(text) if PATHS.contains(kind) => self.path(object, *kind, text),
                Element::Object(_) | Element::ObjectList(_) => self.references(store, object, *kind, element),
                _ => {}
            }
        }
        self.circle(store, object);
        self.entry(store, object);
    }

    fn references(&mut self, store: &Store, object: &Object, kind: E, element: &Element) {
        use Severity::{Error, Note, Warning};
        let manager = object.kind.application() == Some(Application::BootManager);
        let mut seen = BTreeSet::new();
        for id in element.references() {
            if !seen.insert(id) {
                let name = names::object_name(*id);
                self.add(Note, Code::Reference, object, Some(kind), format!("{name} is listed twice"));
                continue;
            }
            match store.exactly(*id) {
                None => {
                    // The boot manager passes over most of what does not exist.
                    let severity = match kind {
                        E::DEFAULT if manager => Error,
                        E::TOOLS_DISPLAY_ORDER if manager => Note,
                        _ => Warning,
                    };
                    self.add(
                        severity,
                        Code::Reference,
                        object,
                        Some(kind),
                        format!("{} does not exist", names::object_name(*id)),
                    );
                }
                Some(found) => {
                    let fits = match kind {
                        E::INHERIT => matches!(found.kind.kind(), ObjectKind::Inherit(_)),
                        E::DEFAULT if manager => matches!(found.kind.kind(), ObjectKind::Application(_)),
                        E::RESUME_OBJECT | E::BOOTMGR_RESUME_OBJECT => found.kind == ObjectType::RESUME,
                        _ => true,
                    };
                    if !fits {
                        let name = names::object_name(*id);
                        let text = format!("{name} is of type {} ({})", found.kind, found.kind.title());
                        self.add(Warning, Code::Reference, object, Some(kind), text);
                    }
                }
            }
        }
    }

    fn device(&mut self, object: &Object, kind: E, device: &Device, has: &dyn Fn(E) -> bool) {
        use Severity::{Note, Warning};
        let mut found = Vec::new();
        match device {
            Device::Boot => {}
            Device::Partition(Partition::Mbr { signature, offset }) => {
                if *signature == 0 {
                    found.push((Warning, "disk signature 0, which no disk of Windows has".to_owned()));
                }
                if *offset == 0 || offset % 512 != 0 {
                    found.push((Warning, format!("no partition begins at byte {offset:#x}")));
                }
            }
            Device::Partition(Partition::Gpt { disk, partition }) => {
                if disk.is_nil() || partition.is_nil() {
                    found.push((Warning, "a GUID of zeros, which no disk and no partition has".to_owned()));
                }
            }
            Device::Locate { by, parent } => {
                match by {
                    // Of the boot manager nobody looks for a file: it is running.
                    LocateBy::Element(element) if !has(*element) && object.id != names::BOOTMGR => {
                        let text = format!("looks for the file in {element}, which the object does not have");
                        found.push((Warning, text));
                    }
                    LocateBy::Element(_) => {}
                    LocateBy::Path(path) => self.path(object, kind, path),
                }
                if let Some(parent) = parent {
                    self.device(object, kind, parent, has);
                }
            }
            Device::File(file) | Device::Ramdisk(file) => {
                self.path(object, kind, &file.path);
                self.device(object, kind, &file.parent, has);
            }
            Device::VirtualDisk(parent) => self.device(object, kind, parent, has),
            Device::Other(bytes) => {
                let kind = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                found.push((Note, format!("a device of type {kind} that is not understood")));
            }
        }
        for (severity, text) in found {
            self.add(severity, Code::Device, object, Some(kind), text);
        }
    }

    /// The object with further options of a device.
    fn options(&mut self, store: &Store, object: &Object, kind: E, options: Guid) {
        let name = names::object_name(options);
        let Some(options) = store.exactly(options) else {
            let text = format!("the options object {name} of the device does not exist");
            return self.add(blame(store, object), Code::Reference, object, Some(kind), text);
        };
        if options.kind.kind() != ObjectKind::Device {
            let text =
                format!("the options object {name} is of type {} ({})", options.kind, options.kind.title());
            return self.add(Severity::Warning, Code::Reference, object, Some(kind), text);
        }
        // A WIM on a RAM disk needs the SDI file that is its shell.
        for needed in [E::SDI_DEVICE, E::SDI_PATH].iter().filter(|needed| options.get(**needed).is_none()) {
            let text =
                format!("the options object {name} has no {}", names::element_name(options.kind, *needed));
            self.add(Severity::Warning, Code::Device, object, Some(kind), text);
        }
    }

    fn path(&mut self, object: &Object, kind: E, path: &str) {
        if !path.starts_with('\\') || path.contains('/') {
            let text = format!("{path:?} does not begin with a backslash, or has slashes");
            self.add(Severity::Warning, Code::Path, object, Some(kind), text);
        }
    }

    /// Objects that inherit from themselves, through others or not.
    fn circle(&mut self, store: &Store, object: &Object) {
        if store.walk_lineage(object.id).1 {
            let text = "inherits from itself".to_owned();
            self.add(Severity::Warning, Code::Inherit, object, Some(E::INHERIT), text);
        }
    }

    /// What has to be there for an entry to start.
    fn entry(&mut self, store: &Store, object: &Object) {
        let needed: &[E] = match object.kind {
            ObjectType::LOADER => &[E::DEVICE, E::PATH, E::OS_DEVICE, E::SYSTEM_ROOT],
            ObjectType::RESUME => &[E::DEVICE, E::PATH, E::OS_DEVICE, E::SYSTEM_ROOT],
            ObjectType::MEMORY_TESTER => &[E::DEVICE, E::PATH],
            _ => return,
        };
        for kind in needed.iter().filter(|kind| store.effective(object.id, **kind).is_none()) {
            let name = names::element_name(object.kind, *kind);
            let text = format!("no {name}: this entry cannot start");
            self.add(blame(store, object), Code::Entry, object, None, text);
        }
        let uefi = |object: &Object| {
            let path = object.string(E::PATH)?.to_ascii_lowercase();
            path.ends_with(".efi").then_some(true).or_else(|| path.ends_with(".exe").then_some(false))
        };
        let manager = store.object(names::BOOTMGR).and_then(uefi);
        if manager == Some(true) && uefi(object) == Some(false) {
            let text = "the boot manager is for UEFI, this program for BIOS".to_owned();
            self.add(Severity::Warning, Code::Entry, object, Some(E::PATH), text);
        }
    }

    fn manager(&mut self, store: &Store) {
        use Severity::{Note, Warning};
        let Some(manager) = store.object(names::BOOTMGR) else {
            let text = "no {bootmgr}: nothing starts from this store by itself".to_owned();
            return self.report.add(Warning, Code::Manager, None, None, text);
        };
        if manager.get(E::DEFAULT).is_none() && manager.get(E::DISPLAY_ORDER).is_some() {
            self.add(Note, Code::Manager, manager, None, "no default entry".to_owned());
        }
        let entries = manager.references(E::DISPLAY_ORDER);
        if manager.get(E::DEFAULT).is_some() && entries.is_empty() {
            let text = "no displayorder: the menu is empty".to_owned();
            self.add(Warning, Code::Manager, manager, None, text);
        }
        if let Some(default) = store.default_entry().filter(|id| !entries.is_empty() && !entries.contains(id))
        {
            let text = format!("the default entry {} is not in the menu", names::object_name(default));
            self.add(Note, Code::Manager, manager, Some(E::DISPLAY_ORDER), text);
        }
    }

    fn add(&mut self, severity: Severity, code: Code, object: &Object, element: Option<E>, text: String) {
        self.report.add(severity, code, Some(object.id), element, text);
    }
}

/// How bad it is that an object cannot start: of the default entry it is what the user will meet.
fn blame(store: &Store, object: &Object) -> Severity {
    if store.default_entry() == Some(object.id) { Severity::Error } else { Severity::Warning }
}

/// Elements whose text is a path.
const PATHS: &[E] = &[E::PATH, E::SYSTEM_ROOT, E::SDI_PATH];

/// What is allowed, but not the form in which Windows writes it today.
fn unusual(element: &Element, data: &[u8]) -> Option<String> {
    match element {
        Element::Integer(_) if data.len() != 8 => {
            Some(format!("a number in {} bytes instead of 8", data.len()))
        }
        Element::Boolean(_) if data.first().is_some_and(|byte| *byte > 1) => {
            Some(format!("a boolean of {:#04x}", data[0]))
        }
        Element::String(_) | Element::Object(_) => {
            let nul = data.chunks_exact(2).position(|unit| unit == [0, 0]);
            match nul.map(|at| data.len() / 2 - at - 1) {
                None => Some("text without NUL".to_owned()),
                Some(0) => None,
                Some(1) if data.ends_with(&[0, 0]) => Some("text with two NULs".to_owned()),
                Some(more) => Some(format!("{more} characters behind the NUL")),
            }
        }
        Element::ObjectList(objects) => {
            let end = objects.iter().map(|id| braced(*id).len() + 1).sum::<usize>() + 1;
            let expected = 2 * end.max(1);
            (data.len() != expected).then(|| format!("a list of {} bytes instead of {expected}", data.len()))
        }
        _ => None,
    }
}
