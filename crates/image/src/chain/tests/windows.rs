//! What the loader finds in the installed Windows.

use hive::{Kind, data};
use ntfs_writer::parse::WofCodec;
use testkit::program::Program;

use super::world::{Form, World};
use super::{Case, Firmware, Step, broken, warned};
use crate::chain::WindowsError as Code;

#[test]
fn faults_of_the_registry() {
    broken(&[
        Case::new(
            "no hive",
            Step::SystemHive,
            Code::NoSuchFile,
            "no \\Windows\\System32\\config\\SYSTEM",
            |world| {
                world.put("System32\\config\\SYSTEM", Vec::new());
            },
        ),
        Case::new("checksum", Step::SystemHive, Code::RegistryCorrupt, "checksum", |world| {
            let mut bytes = world.hive.to_bytes().unwrap();
            bytes[0x1FC] ^= 0x10;
            world.put("System32\\config\\SYSTEM", bytes);
        }),
        Case::new("version", Step::SystemHive, Code::RegistryCorrupt, "1.6", |world| {
            let hive = hive::Hive::new(6, "ROOT", world.hive.root().security(), hive::FileTime(0)).unwrap();
            world.put("System32\\config\\SYSTEM", hive.to_bytes().unwrap());
        }),
        Case::new("hive in Compact OS", Step::SystemHive, Code::NoSuchFile, "Compact OS", |world| {
            let bytes = world.hive.to_bytes().unwrap();
            world.put("System32\\config\\SYSTEM", bytes);
            world.form("System32\\config\\SYSTEM", Form::Wof(WofCodec::Xpress4k));
        }),
        Case::new("no Select", Step::ControlSet, Code::RegistryCorrupt, "Select", |world| {
            world.hive.root_mut().remove("Select").unwrap();
        }),
        Case::new("no such set", Step::ControlSet, Code::RegistryCorrupt, "ControlSet007", |world| {
            let select = world.hive.root_mut().create("Select").unwrap();
            select.set("Default", Kind::DWORD, data::dword(7)).unwrap();
        }),
        Case::new("no Services", Step::ControlSet, Code::RegistryCorrupt, "no key Services", |world| {
            world.hive.root_mut().create("ControlSet001").unwrap().remove("Services").unwrap();
        }),
        Case::new("no SOFTWARE", Step::Registry, Code::CannotLoadRegistry, "SOFTWARE", |world| {
            world.remove("System32\\config\\SOFTWARE");
        }),
        Case::new("SAM damaged", Step::Registry, Code::CannotLoadRegistry, "SAM: checksum", |world| {
            let (bytes, _) = world.windows.get_mut("\\Windows\\System32\\config\\SAM").unwrap();
            bytes[0x30] ^= 0x55;
        }),
    ]);
}

#[test]
fn faults_of_the_kernel() {
    broken(&[
        Case::new(
            "no kernel",
            Step::Kernel,
            Code::NoSuchFile,
            "no \\Windows\\System32\\ntoskrnl.exe",
            |world| {
                world.remove("System32\\ntoskrnl.exe");
            },
        ),
        Case::new("no HAL", Step::Kernel, Code::NoSuchFile, "hal.dll", |world| {
            world.remove("System32\\hal.dll")
        }),
        Case::new(
            "no library",
            Step::Kernel,
            Code::NoSuchFile,
            "which ntoskrnl.exe is linked with",
            |world| {
                world.remove("System32\\ci.dll");
            },
        ),
        Case::new("no code page", Step::Kernel, Code::NoSuchFile, "code page ACP", |world| {
            world.remove("System32\\c_1252.nls");
        }),
        Case::new("another machine", Step::Kernel, Code::InvalidImage, "for ARM64", |world| {
            world.put("System32\\hal.dll", Program::new(0xAA64).to_bytes());
        }),
        Case::new("kernel in LZX", Step::Kernel, Code::NoSuchFile, "LZX", |world| {
            world.form("System32\\ntoskrnl.exe", Form::Wof(WofCodec::Lzx));
        }),
        Case::new("loader in XPRESS8K", Step::Loader, Code::NoSuchFile, "XPRESS8K", |world| {
            world.form("System32\\winload.exe", Form::Wof(WofCodec::Xpress8k));
        }),
        Case::new("old loader in XPRESS4K", Step::Loader, Code::NoSuchFile, "XPRESS4K", |world| {
            world.put("System32\\winload.exe", Program::x64().version([6, 1, 7601, 0]).to_bytes());
            world.form("System32\\winload.exe", Form::Wof(WofCodec::Xpress4k));
        }),
    ]);
}

#[test]
fn faults_of_drivers() {
    broken(&[
        Case::new("critical driver gone", Step::BootDrivers, Code::NotFound, "critical.sys", |world| {
            world.remove("System32\\drivers\\critical.sys");
        }),
        Case::new(
            "driver of no program",
            Step::BootDrivers,
            Code::NotFound,
            "critical.sys is no program",
            |world| {
                world.put("System32\\drivers\\critical.sys", vec![3; 5000]);
            },
        ),
        Case::new("driver in Compact OS", Step::BootDrivers, Code::NotFound, "XPRESS16K", |world| {
            world.form("System32\\drivers\\critical.sys", Form::Wof(WofCodec::Xpress16k));
        }),
        Case::new("driver a link", Step::BootDrivers, Code::NotFound, "reparse point", |world| {
            world.form("System32\\drivers\\critical.sys", Form::Link);
        }),
        Case::new(
            "library of a driver",
            Step::BootDrivers,
            Code::NotFound,
            "which storahci.sys is linked with",
            |world| {
                world.remove("System32\\drivers\\storport.sys");
            },
        ),
        Case::new("disk's own driver", Step::BootDrivers, Code::NotFound, "disk.sys", |world| {
            world.remove("System32\\drivers\\disk.sys");
        }),
        Case::new("NTFS", Step::BootDrivers, Code::InaccessibleBootDevice, "ntfs.sys", |world| {
            world.remove("System32\\drivers\\ntfs.sys");
        }),
        Case::new(
            "disabled",
            Step::DiskDrivers,
            Code::InaccessibleBootDevice,
            "storahci (it starts at 4)",
            |world| {
                world.service("storahci", "Start", 4);
            },
        ),
        Case::new(
            "overridden",
            Step::DiskDrivers,
            Code::InaccessibleBootDevice,
            "StartOverride sets its start to 3",
            |world| {
                world.service("storahci\\StartOverride", "0", 3);
            },
        ),
        Case::new(
            "another machine's id",
            Step::DiskDrivers,
            Code::InaccessibleBootDevice,
            "StartOverride",
            |world| {
                let config = world.hive.root_mut().create("HardwareConfig").unwrap();
                config.set("LastId", Kind::DWORD, data::dword(2)).unwrap();
                world.service("storahci\\StartOverride", "2", 3);
            },
        ),
        Case::new(
            "partmgr overridden",
            Step::DiskDrivers,
            Code::InaccessibleBootDevice,
            "partmgr",
            |world| {
                world.service("partmgr\\StartOverride", "0", 3);
            },
        ),
        Case::new("no volmgr", Step::DiskDrivers, Code::InaccessibleBootDevice, "volmgr", |world| {
            world.key("Services").remove("volmgr").unwrap();
        }),
        Case::new(
            "filter gone",
            Step::DiskDrivers,
            Code::InaccessibleBootDevice,
            "oldav, which is no driver",
            |world| {
                let class = world.key("Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}");
                class.set("UpperFilters", Kind::MULTI_SZ, data::multi_sz(["oldav", "partmgr"])).unwrap();
            },
        ),
    ]);
}

#[test]
fn what_windows_goes_on_without() {
    warned(&[
        ("normal driver gone", Firmware::Bios, Step::BootDrivers, "goes on without it", |world| {
            world.remove("System32\\drivers\\normal.sys");
        }),
        ("path of a drive", Firmware::Bios, Step::BootDrivers, "means nothing to the loader", |world| {
            let key = world.key("Services\\normal");
            key.set("ImagePath", Kind::EXPAND_SZ, data::sz("\\??\\C:\\av\\normal.sys")).unwrap();
        }),
        ("no Default", Firmware::Bios, Step::ControlSet, "no value Default", |world| {
            world.hive.root_mut().create("Select").unwrap().unset("Default").unwrap();
        }),
        ("no order", Firmware::Uefi, Step::ControlSet, "ServiceGroupOrder", |world| {
            world.key("Control").remove("ServiceGroupOrder").unwrap();
        }),
    ]);
}

/// What an override forces can also be a start; Compact OS in its weakest form is readable; overrides for another
/// machine do not count.
#[test]
fn what_is_fine() {
    let mut world = World::new(Firmware::Uefi);
    world.service("storahci", "Start", 3);
    world.service("storahci\\StartOverride", "0", 0);
    world.service("partmgr\\StartOverride", "5", 3);
    world.form("System32\\ntoskrnl.exe", Form::Wof(WofCodec::Xpress4k));
    world.form("System32\\winload.efi", Form::Wof(WofCodec::Xpress4k));
    let report = world.disk().check();
    assert_eq!(report.chains[0].verdict.outcome, super::Outcome::Whole, "{report:#?}");
}

/// Windows 7 does not know overrides, and has no API sets below it.
#[test]
fn overrides_are_for_windows_8_and_later() {
    let mut world = World::new(Firmware::Bios);
    world.service("storahci\\StartOverride", "0", 3);
    world.put("System32\\winload.exe", Program::x64().version([6, 1, 7601, 0]).to_bytes());
    let report = world.disk().check();
    assert_eq!(report.chains[0].verdict.outcome, super::Outcome::Whole, "{report:#?}");
}

/// A hive that breaks a rule is read all the same, with a warning.
#[test]
fn a_hive_that_breaks_a_rule() {
    let mut world = World::new(Firmware::Bios);
    let mut bytes = world.hive.to_bytes().unwrap();
    // The number of users of the root's security descriptor is wrong.
    let word = |at: usize| 4096 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let descriptor = word(word(0x24) + 4 + 0x2C);
    bytes[descriptor + 4 + 0x0C] ^= 0x40;
    world.put("System32\\config\\SYSTEM", bytes);
    let report = world.disk().check();
    let link = report.chains[0].link(Step::SystemHive).unwrap();
    assert!(!report.is_broken() && link.state == super::State::Warning, "{report:#?}");
    assert!(link.findings[0].text.contains("times, but says"), "{link:#?}");
}
