//! The store, its entries, and where they lead.

use bcd::{Device, DeviceElement, Element, ElementType as E, FileDevice, LocateBy, Partition};

use super::world::{SIGNATURE, SYSTEM, WINDOWS, World};
use super::{Case, Firmware, Outcome, State, Step, broken, warned};
use crate::chain::WindowsError as Code;

fn device(device: Device) -> Element {
    Element::Device(DeviceElement::new(device))
}

fn mbr(signature: u32, offset: u64) -> Element {
    device(Device::Partition(Partition::Mbr { signature, offset }))
}

fn locate(element: E) -> Element {
    device(Device::Locate { by: LocateBy::Element(element), parent: None })
}

#[test]
fn faults_of_the_configuration() {
    broken(&[
        Case::new("no store", Step::BootStore, Code::NoSuchFile, "no \\Boot\\BCD", |world| {
            world.put_system("\\Boot\\BCD", Vec::new());
        }),
        Case::new("no hive", Step::BootStore, Code::RegistryCorrupt, "regf", |world| {
            world.put_system("\\Boot\\BCD", vec![7; 9000]);
        }),
        Case::new("checksum", Step::BootStore, Code::RegistryCorrupt, "checksum", |world| {
            let mut bytes = world.store.to_bytes().unwrap();
            bytes[0x1FC] ^= 1;
            world.put_system("\\Boot\\BCD", bytes);
        }),
        Case::new("not closed", Step::BootStore, Code::RegistryCorrupt, "not closed", |world| {
            let mut bytes = world.store.to_bytes().unwrap();
            bytes[4] ^= 1;
            // The checksum is the exclusive or of all words before it.
            bytes[0x1FC] ^= 1;
            world.put_system("\\Boot\\BCD", bytes);
        }),
        Case::new("another hive", Step::BootStore, Code::RegistryCorrupt, "Objects", |world| {
            let bytes = world.hive.to_bytes().unwrap();
            world.put_system("\\Boot\\BCD", bytes);
        }),
        Case::new("no {bootmgr}", Step::BootEntry, Code::NameNotFound, "{bootmgr}", |world| {
            world.store.remove(bcd::names::BOOTMGR).unwrap();
        }),
        Case::new("no entries", Step::BootEntry, Code::FileInvalid, "neither", |world| {
            world.manager().elements.remove(&E::DEFAULT);
            world.manager().elements.remove(&E::DISPLAY_ORDER);
        }),
        Case::new("entry gone", Step::BootEntry, Code::FileInvalid, "not in the store", |world| {
            let id = world.setup.loader_id();
            world.store.remove(id).unwrap();
        }),
        Case::new("no path", Step::BootEntry, Code::NameNotFound, "12000002", |world| {
            world.entry().elements.remove(&E::PATH);
        }),
        Case::new("no osdevice", Step::BootEntry, Code::NotFound, "21000001", |world| {
            world.entry().elements.remove(&E::OS_DEVICE);
        }),
        Case::new("refused entry", Step::BootEntry, Code::FileInvalid, "the boot manager refuses", |world| {
            // A flag of two bytes, where one is the rule.
            let id = world.setup.loader_id();
            let mut hive = world.store.to_hive().unwrap();
            let elements = hive.root_mut().create(&format!("Objects\\{{{id}}}\\Elements")).unwrap();
            let element = elements.create("16000049").unwrap();
            element.set("Element", hive::Kind::BINARY, vec![1, 0]).unwrap();
            world.put_system("\\Boot\\BCD", hive.to_bytes().unwrap());
        }),
        Case::new("signature in the store", Step::Devices, Code::NoSuchDevice, "deadbeef", |world| {
            world.entry().set(E::DEVICE, mbr(0xDEAD_BEEF, WINDOWS));
        }),
        Case::new(
            "signature of the disk",
            Step::Devices,
            Code::NoSuchDevice,
            "signature 00000777",
            |world| {
                world.mbr.disk_signature = 0x777;
            },
        ),
        Case::new("offset", Step::Devices, Code::NotFound, "0x3e00000", |world| {
            world.entry().set(E::OS_DEVICE, mbr(SIGNATURE, WINDOWS - (2 << 20)));
        }),
        Case::new("GPT on MBR", Step::Devices, Code::NoSuchDevice, "GPT disk", |world| {
            let id = world.gpt.disk;
            let partition = Partition::Gpt { disk: id, partition: id };
            world.entry().set(E::DEVICE, device(Device::Partition(partition)));
        }),
        Case::new("locate", Step::Devices, Code::NoSuchDevice, "none does", |world| {
            world.entry().set(E::DEVICE, locate(E::PATH));
            world.remove("System32\\winload.exe");
        }),
        Case::new("VHD gone", Step::Devices, Code::NoSuchFile, "\\os.vhd is not on", |world| {
            let parent = Box::new(Device::Partition(Partition::Mbr { signature: SIGNATURE, offset: SYSTEM }));
            let file = Device::File(FileDevice { parent, path: "\\os.vhd".to_owned() });
            let parent = Some(Box::new(Device::VirtualDisk(Box::new(file))));
            world.entry().set(E::DEVICE, device(Device::Locate { by: LocateBy::Element(E::PATH), parent }));
        }),
        Case::new(
            "no loader",
            Step::Loader,
            Code::NoSuchFile,
            "no \\Windows\\system32\\winload.exe",
            |world| {
                world.remove("System32\\winload.exe");
            },
        ),
        Case::new("on the wrong partition", Step::Loader, Code::NoSuchFile, "partition 1", |world| {
            world.entry().set(E::DEVICE, device(Device::Boot));
        }),
        Case::new("loader no program", Step::Loader, Code::InvalidImage, "MZ", |world| {
            world.put("System32\\winload.exe", vec![0; 9000]);
        }),
        Case::new("loader for UEFI", Step::Loader, Code::InvalidImage, "winload.exe", |world| {
            world.put("System32\\winload.efi", testkit::program::Program::x64().to_bytes());
            let path = "\\Windows\\system32\\winload.efi".to_owned();
            world.entry().set(E::PATH, Element::String(path));
        }),
    ]);
}

#[test]
fn what_stops_other_entries_only() {
    warned(&[
        ("device of {bootmgr}", Firmware::Bios, Step::Devices, "device of {bootmgr}", |world| {
            world.manager().set(E::DEVICE, mbr(1, SYSTEM));
        }),
        ("listed and gone", Firmware::Bios, Step::BootEntry, "not in the store", |world| {
            let mut list = vec![world.setup.loader_id()];
            list.push(super::world::guid("0a7de1f0-35a6-4f35-8a55-0000000000ff"));
            world.manager().set(E::DISPLAY_ORDER, Element::ObjectList(list));
        }),
        ("memory test gone", Firmware::Bios, Step::Devices, "memtest", |world| {
            world.setup.memory_test = true;
            world.store = bcd::create(&world.setup).unwrap();
        }),
        ("two that fit", Firmware::Bios, Step::Devices, "all hold", |world| {
            world.entry().set(E::OS_DEVICE, mbr(SIGNATURE, WINDOWS));
            world.entry().set(E::DEVICE, locate(E::PATH));
            world.put_system("\\Windows\\system32\\winload.exe", testkit::program::Program::x64().to_bytes());
        }),
    ]);
}

/// Devices that need no ids survive another signature.
#[test]
fn boot_and_locate_lead_there() {
    let mut world = World::new(Firmware::Bios);
    world.mbr.disk_signature = 0x777;
    world.entry().set(E::DEVICE, locate(E::PATH));
    world.entry().set(E::OS_DEVICE, locate(E::SYSTEM_ROOT));
    world.manager().set(E::DEVICE, device(Device::Boot));
    let report = world.disk().check();
    assert_eq!(report.chains[0].verdict.outcome, Outcome::Whole, "{report:#?}");
}

/// The system partition of a Windows on another disk is no broken disk.
#[test]
fn windows_on_another_disk() {
    let mut world = World::new(Firmware::Bios);
    world.windows.clear();
    world.entry().set(E::DEVICE, mbr(1, WINDOWS));
    world.entry().set(E::OS_DEVICE, mbr(1, WINDOWS));
    let report = world.disk().check();
    let chain = &report.chains[0];
    assert_eq!(chain.verdict.outcome, Outcome::Doubtful, "{report:#?}");
    assert_eq!(chain.link(Step::Kernel).unwrap().state, State::NotReached);
}

/// What is behind BitLocker cannot be told, and Windows starts from it all the same.
#[test]
fn an_encrypted_windows_is_not_broken() {
    for device in [None, Some(())] {
        let mut world = World::new(Firmware::Bios);
        if device.is_some() {
            world.entry().set(E::DEVICE, locate(E::PATH));
            world.entry().set(E::OS_DEVICE, locate(E::SYSTEM_ROOT));
        }
        let disk = world.disk();
        disk.poke(WINDOWS + 3, b"-FVE-FS-");
        let report = disk.check();
        let chain = &report.chains[0];
        assert_eq!(chain.verdict.outcome, Outcome::Doubtful, "{report:#?}");
        assert!(chain.link(Step::Loader).unwrap().detail.contains("BitLocker"), "{chain:#?}");
    }
}

#[test]
fn a_dirty_store_with_its_log_is_a_warning() {
    let mut world = World::new(Firmware::Bios);
    let mut bytes = world.store.to_bytes().unwrap();
    // Written up to its header: all pages are those of the new state, and the log has them, too.
    let log = log_of(&bytes);
    bytes[8] = bytes[8].wrapping_sub(1);
    let sum =
        bytes[..508].chunks_exact(4).fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    world.put_system("\\Boot\\BCD", bytes);
    world.put_system("\\Boot\\BCD.LOG", log);
    let report = world.disk().check();
    assert!(!report.is_broken(), "{report:#?}");
    let link = report.chains[0].link(Step::BootStore).unwrap();
    assert!(link.findings[0].text.contains("logs beside it"), "{link:#?}");
}

/// A log of the old format that holds every page of a hive.
fn log_of(hive: &[u8]) -> Vec<u8> {
    let mut log = hive[..512].to_vec();
    log[0x1C] = 1;
    let sum =
        log[..508].chunks_exact(4).fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
    log[508..512].copy_from_slice(&sum.to_le_bytes());
    let bins = &hive[4096..];
    log.extend_from_slice(b"DIRT");
    log.extend(std::iter::repeat_n(0xFF, bins.len() / 512 / 8));
    log.resize(log.len().next_multiple_of(512), 0);
    log.extend_from_slice(bins);
    log
}
