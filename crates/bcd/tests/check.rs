//! The checker on real stores, on ours, and on ours with one thing broken.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;

use disk::{FileTime, Guid, Seed};
use hive::{Hive, Key, Kind};
use support::samples;
use wimforge_bcd::check::{Code, Severity};
use wimforge_bcd::{
    Debug, DeviceKind, Edition, Ems, Firmware, Generation, Recovery, Setup, check, check_bytes, check_hive,
    create, create_recovery_store, names,
};

fn setup(firmware: Firmware) -> Setup {
    let partition = |number: u64| match firmware {
        Firmware::Bios => DeviceKind::PartitionMbr { signature: 0x1234_5678, offset: number << 20 },
        Firmware::Uefi => {
            let seed = Seed::new(&number.to_le_bytes());
            DeviceKind::PartitionGpt {
                disk: Seed::new(b"disk").guid("disk"),
                partition: seed.guid("partition"),
            }
        }
    };
    let mut setup = Setup::new(firmware, partition(1), partition(2), Seed::new(b"check"), FileTime(0));
    setup.recovery = Some(Recovery::on(partition(3)));
    setup
}

/// All that the checker says of real stores. Nothing here started a machine and has an error: BCD2 and BCDgen were made
/// by hand, and their default entry names no loader; BCDTest holds devices only.
#[test]
fn real_stores() {
    let mut notes: BTreeMap<String, usize> = BTreeMap::new();
    let mut others = BTreeMap::new();
    for (name, bytes) in samples() {
        for finding in check_bytes(&bytes).findings {
            if finding.severity == Severity::Note {
                *notes.entry(format!("{name}: {}: {}", finding.code, finding.text)).or_default() += 1;
            } else {
                *others.entry(format!("{name}: {}: {}", finding.severity, finding.text)).or_default() += 1;
            }
        }
    }
    if samples().is_empty() {
        return;
    }
    let listed = |found: BTreeMap<String, usize>| {
        found.into_iter().map(|(what, count)| format!("{count} x {what}")).collect::<Vec<_>>()
    };
    assert_eq!(
        listed(notes),
        [
            "3 x BCD-media: form: a number in 1 bytes instead of 8",
            "1 x BCD-media: form: a number in 3 bytes instead of 8",
            "7 x BCD-windows10: form: text with two NULs",
            "4 x BCD-windows11: form: text with two NULs",
            // 21000026 of a resume loader: bcdedit has no name for it, either.
            "1 x BCD-windows11: unknown: this element is not known here",
            "1 x BCDTest: unknown: this element is not known here",
            "3 x BCDlaptop: form: text with two NULs",
            "4 x BCDrecovery: form: text with two NULs",
            "1 x BCDvm: form: 1 characters behind the NUL",
            "2 x BCDvm: form: text with two NULs",
        ]
    );
    assert_eq!(
        listed(others),
        [
            "1 x BCD2: error: no path: this entry cannot start",
            "1 x BCDTest: warning: looks for the file in 12000002, which the object does not have",
            "1 x BCDTest: warning: no device: this entry cannot start",
            "2 x BCDTest: warning: no osdevice: this entry cannot start",
            "7 x BCDTest: warning: no path: this entry cannot start",
            "7 x BCDTest: warning: no systemroot: this entry cannot start",
            "1 x BCDTest: warning: no {bootmgr}: nothing starts from this store by itself",
            "2 x BCDTest: warning: the options object {ramdiskoptions} has no ramdisksdidevice",
            "1 x BCDgen: error: no path: this entry cannot start",
        ]
    );
}

#[test]
fn ours_have_nothing_to_say_about() {
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        for generation in [Generation::Windows7, Generation::Windows8, Generation::Windows10] {
            for edition in [Edition::Client, Edition::Server, Edition::Nano] {
                for (resume, memory_test, recovery) in
                    [(true, true, true), (false, false, false), (false, true, true)]
                {
                    for device in [None, Some(DeviceKind::Boot), Some(DeviceKind::Locate)] {
                        let mut setup = setup(firmware);
                        if let Some(device) = device {
                            (setup.system, setup.os) = (device, device);
                            setup.recovery = Some(Recovery::on(device));
                        }
                        if !recovery {
                            setup.recovery = None;
                        }
                        (setup.generation, setup.edition) = (generation, edition);
                        (setup.resume, setup.memory_test) = (resume, memory_test);
                        setup.options.ems = Some(Ems { port: 1, baud: 115_200 });
                        setup.options.debug = Some(Debug::Local);
                        setup.options.test_signing = true;
                        let store = create(&setup).unwrap();
                        let report = check_bytes(&store.to_bytes().unwrap());
                        assert!(report.findings.is_empty(), "{setup:?}: {:#?}", report.findings);
                        assert_eq!(report.objects, store.objects().len());
                        let recovery = check(&create_recovery_store(&setup).unwrap()).unwrap();
                        assert!(recovery.findings.is_empty(), "{:#?}", recovery.findings);
                    }
                }
            }
        }
    }
}

/// One thing broken in a good store.
struct Fault {
    name: &'static str,
    firmware: Firmware,
    breaks: fn(&mut Hive, &Setup),
    severity: Severity,
    code: Code,
}

/// The key of an object.
fn object(hive: &mut Hive, id: Guid) -> &mut Key {
    hive.root_mut().open_mut(&format!("Objects\\{{{id}}}")).unwrap()
}

/// The key of an element.
fn element(hive: &mut Hive, id: Guid, element: u32) -> &mut Key {
    object(hive, id).create(&format!("Elements\\{element:08x}")).unwrap()
}

fn set(hive: &mut Hive, id: Guid, number: u32, kind: Kind, data: &[u8]) {
    element(hive, id, number).set("Element", kind, data).unwrap();
}

/// Changes some bytes of an element.
fn patch(hive: &mut Hive, id: Guid, number: u32, offset: usize, bytes: &[u8]) {
    let element = element(hive, id, number);
    let mut data = element.value("Element").unwrap().data().to_vec();
    data[offset..offset + bytes.len()].copy_from_slice(bytes);
    element.set("Element", Kind::BINARY, data).unwrap();
}

fn remove(hive: &mut Hive, id: Guid, element: u32) {
    let elements = object(hive, id).subkey_mut("Elements").unwrap();
    assert!(elements.remove(&format!("{element:08x}")).is_some());
}

const NOWHERE: &str = "{00000000-1111-2222-3333-444444444444}";

#[rustfmt::skip]
const FAULTS: &[Fault] = {
    use Firmware::{Bios, Uefi};
    use Severity::{Error, Note, Warning};
    const fn fault(name: &'static str, firmware: Firmware, severity: Severity, code: Code, breaks: fn(&mut Hive, &Setup)) -> Fault {
        Fault { name, firmware, breaks, severity, code }
    }
    &[
        fault("no Objects", Bios, Error, Code::Store, |hive, _| { hive.root_mut().remove("Objects"); }),
        fault("no Description", Bios, Warning, Code::Store, |hive, _| { hive.root_mut().remove("Description"); }),
        fault("no KeyName", Bios, Warning, Code::Store, |hive, _| { hive.root_mut().subkey_mut("Description").unwrap().unset("KeyName"); }),
        fault("an object that is no GUID", Bios, Warning, Code::Object, |hive, _| { hive.root_mut().create("Objects\\bootmgr").unwrap(); }),
        fault("an object without description", Bios, Error, Code::Object, |hive, setup| { object(hive, setup.loader_id()).remove("Description"); }),
        fault("an object without type", Bios, Error, Code::Object, |hive, setup| { object(hive, setup.loader_id()).subkey_mut("Description").unwrap().unset("Type"); }),
        fault("a type that is text", Bios, Error, Code::Object, |hive, setup| { object(hive, setup.loader_id()).subkey_mut("Description").unwrap().set("Type", Kind::SZ, [0; 4]).unwrap(); }),
        fault("a type that is short", Bios, Error, Code::Object, |hive, setup| { object(hive, setup.loader_id()).subkey_mut("Description").unwrap().set("Type", Kind::DWORD, [3, 0]).unwrap(); }),
        fault("another type than the GUID has", Bios, Warning, Code::Object, |hive, _| { object(hive, names::MEMDIAG).subkey_mut("Description").unwrap().set("Type", Kind::DWORD, 0x1020_0003_u32.to_le_bytes()).unwrap(); }),
        fault("a type that nobody knows", Bios, Warning, Code::Object, |hive, setup| { object(hive, setup.resume_id()).subkey_mut("Description").unwrap().set("Type", Kind::DWORD, 0x7020_0003_u32.to_le_bytes()).unwrap(); }),
        fault("an object without elements", Bios, Error, Code::Object, |hive, _| { object(hive, names::BAD_MEMORY).remove("Elements"); }),
        fault("an element key that is no number", Bios, Warning, Code::Element, |hive, setup| { object(hive, setup.loader_id()).create("Elements\\timeout").unwrap(); }),
        fault("an element without value", Bios, Error, Code::Element, |hive, setup| { element(hive, setup.loader_id(), 0x2500_0020).unset("Element"); }),
        fault("a boolean of four bytes", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1600_0009, Kind::BINARY, &[1, 0, 0, 0])),
        fault("a boolean as a number of the registry", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1600_0009, Kind::DWORD, &[1, 0, 0, 0])),
        fault("a number of nine bytes", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2500_0004, Kind::BINARY, &[0; 9])),
        fault("a number of no bytes", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2500_0004, Kind::BINARY, &[])),
        fault("a number as QWORD", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2500_0004, Kind::QWORD, &[0; 8])),
        fault("a list of numbers that is cut", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1700_0077, Kind::BINARY, &[0; 12])),
        fault("an empty list of numbers", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1700_0077, Kind::BINARY, &[])),
        fault("text of an odd length", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1200_0002, Kind::SZ, b"\\\0a\0b")),
        fault("empty text", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1200_0002, Kind::SZ, b"")),
        fault("text as binary", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1200_0002, Kind::BINARY, b"\\\0\0\0")),
        fault("a default that is no GUID", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2300_0003, Kind::SZ, &hive::data::sz("{default}"))),
        fault("a list of objects as text", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2400_0001, Kind::SZ, &hive::data::sz(NOWHERE))),
        fault("a list with a name in it", Bios, Error, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2400_0001, Kind::MULTI_SZ, &hive::data::multi_sz(["{memdiag}"]))),
        fault("an element of no format", Bios, Warning, Code::Value, |hive, _| set(hive, names::BOOTMGR, 0x2F00_0001, Kind::BINARY, &[1])),
        fault("nx that is out of range", Bios, Warning, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x2500_0020, Kind::BINARY, &[9, 0, 0, 0, 0, 0, 0, 0])),
        fault("a device that is cut", Bios, Error, Code::Value, |hive, setup| set(hive, setup.loader_id(), 0x1100_0001, Kind::BINARY, &[0; 40])),
        fault("a device with a wrong size", Bios, Error, Code::Value, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x18, &[0x40])),
        fault("a device in a device that is too large", Bios, Error, Code::Value, |hive, setup| patch(hive, setup.recovery_id(), 0x1100_0001, 0x4C, &[0xFF, 0xFF])),
        fault("a device of another type", Bios, Note, Code::Device, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x10, &[2])),
        fault("disk signature 0", Bios, Warning, Code::Device, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x38, &[0; 4])),
        fault("a partition at 0", Bios, Warning, Code::Device, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x20, &[0; 8])),
        fault("a partition inside a sector", Bios, Warning, Code::Device, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x20, &[1])),
        fault("a partition without GUID", Uefi, Warning, Code::Device, |hive, setup| patch(hive, setup.loader_id(), 0x1100_0001, 0x20, &[0; 16])),
        fault("a default that does not exist", Bios, Error, Code::Reference, |hive, _| set(hive, names::BOOTMGR, 0x2300_0003, Kind::SZ, &hive::data::sz(NOWHERE))),
        fault("a menu entry that does not exist", Bios, Warning, Code::Reference, |hive, _| set(hive, names::BOOTMGR, 0x2400_0001, Kind::MULTI_SZ, &hive::data::multi_sz([NOWHERE]))),
        fault("no memory test where one is listed", Bios, Note, Code::Reference, |hive, _| { hive.root_mut().subkey_mut("Objects").unwrap().remove(&format!("{{{}}}", names::MEMDIAG)); }),
        fault("an inherited object that does not exist", Bios, Warning, Code::Reference, |hive, _| { hive.root_mut().subkey_mut("Objects").unwrap().remove(&format!("{{{}}}", names::GLOBAL_SETTINGS)); }),
        fault("a recovery system that does not exist", Bios, Warning, Code::Reference, |hive, setup| { hive.root_mut().subkey_mut("Objects").unwrap().remove(&format!("{{{}}}", setup.recovery_id())); }),
        fault("RAM disk options that do not exist", Bios, Warning, Code::Reference, |hive, setup| { hive.root_mut().subkey_mut("Objects").unwrap().remove(&format!("{{{}}}", setup.recovery_options_id())); }),
        fault("RAM disk options without SDI", Bios, Warning, Code::Device, |hive, setup| remove(hive, setup.recovery_options_id(), 0x3200_0004)),
        fault("a menu entry twice", Bios, Note, Code::Reference, |hive, setup| { let id = format!("{{{}}}", setup.loader_id()); set(hive, names::BOOTMGR, 0x2400_0001, Kind::MULTI_SZ, &hive::data::multi_sz([&id, &id])); }),
        fault("a resume object that is a loader", Bios, Warning, Code::Reference, |hive, setup| { let id = format!("{{{}}}", setup.loader_id()); set(hive, names::BOOTMGR, 0x2300_0006, Kind::SZ, &hive::data::sz(&id)); }),
        fault("what inherits itself", Bios, Warning, Code::Inherit, |hive, _| set(hive, names::BAD_MEMORY, 0x1400_0006, Kind::MULTI_SZ, &hive::data::multi_sz([&format!("{{{}}}", names::GLOBAL_SETTINGS)]))),
        fault("a loader without device", Bios, Error, Code::Entry, |hive, setup| remove(hive, setup.loader_id(), 0x1100_0001)),
        fault("a loader without path", Bios, Error, Code::Entry, |hive, setup| remove(hive, setup.loader_id(), 0x1200_0002)),
        fault("a loader without osdevice", Bios, Error, Code::Entry, |hive, setup| remove(hive, setup.loader_id(), 0x2100_0001)),
        fault("a loader without systemroot", Bios, Error, Code::Entry, |hive, setup| remove(hive, setup.loader_id(), 0x2200_0002)),
        fault("a resume loader without path", Bios, Warning, Code::Entry, |hive, setup| remove(hive, setup.resume_id(), 0x1200_0002)),
        fault("a BIOS loader on a UEFI disk", Uefi, Warning, Code::Entry, |hive, setup| set(hive, setup.loader_id(), 0x1200_0002, Kind::SZ, &hive::data::sz("\\Windows\\system32\\winload.exe"))),
        fault("no boot manager", Bios, Warning, Code::Manager, |hive, _| { hive.root_mut().subkey_mut("Objects").unwrap().remove(&format!("{{{}}}", names::BOOTMGR)); }),
        fault("no menu", Bios, Warning, Code::Manager, |hive, _| remove(hive, names::BOOTMGR, 0x2400_0001)),
        fault("no default", Bios, Note, Code::Manager, |hive, _| remove(hive, names::BOOTMGR, 0x2300_0003)),
        fault("a default outside of the menu", Bios, Note, Code::Manager, |hive, _| set(hive, names::BOOTMGR, 0x2400_0001, Kind::MULTI_SZ, &hive::data::multi_sz([&format!("{{{}}}", names::MEMDIAG)]))),
        fault("a path with slashes", Bios, Warning, Code::Path, |hive, setup| set(hive, setup.loader_id(), 0x1200_0002, Kind::SZ, &hive::data::sz("/Windows/system32/winload.exe"))),
        fault("a path without backslash", Bios, Warning, Code::Path, |hive, setup| set(hive, setup.loader_id(), 0x2200_0002, Kind::SZ, &hive::data::sz("Windows"))),
        fault("text without NUL", Bios, Note, Code::Form, |hive, setup| set(hive, setup.loader_id(), 0x1200_0004, Kind::SZ, b"W\0")),
        fault("an unknown element", Bios, Note, Code::Unknown, |hive, setup| set(hive, setup.loader_id(), 0x2500_FFFF, Kind::BINARY, &[0; 8])),
    ]
};

#[test]
fn each_fault_is_found() {
    assert!(FAULTS.len() >= 25);
    for fault in FAULTS {
        let setup = setup(fault.firmware);
        let mut hive = create(&setup).unwrap().to_hive().unwrap();
        assert!(check_hive(&hive).findings.is_empty());
        (fault.breaks)(&mut hive, &setup);
        let report = check_hive(&hive);
        let named = |found: &&wimforge_bcd::check::Finding| {
            (found.severity, found.code) == (fault.severity, fault.code)
        };
        assert!(report.findings.iter().any(|found| named(&found)), "{}: {:#?}", fault.name, report.findings);
        assert_eq!(report.is_clean(), fault.severity != Severity::Error, "{}: {report:#?}", fault.name);
    }
}

#[test]
fn a_hive_that_cannot_be_read() {
    let mut bytes = create(&setup(Firmware::Bios)).unwrap().to_bytes().unwrap();
    bytes[0] ^= 1;
    let report = check_bytes(&bytes);
    assert_eq!((report.errors, report.findings[0].code), (1, Code::Hive));
}
