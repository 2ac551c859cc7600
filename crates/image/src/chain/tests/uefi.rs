//! From the GUID partition table to bootmgfw.efi.

use testkit::program::Program;

use super::{Case, Firmware, Step, broken, warned};
use crate::chain::WindowsError as Code;

const MANAGER: &str = "\\EFI\\Microsoft\\Boot\\bootmgfw.efi";
const FALLBACK: &str = "\\EFI\\Boot\\bootx64.efi";

#[test]
fn faults_before_the_boot_manager_runs() {
    broken(&[
        Case::new("no loaders", Step::BootManager, Code::NoBootableDevice, "has neither", |world| {
            world.remove_system(MANAGER);
            world.remove_system(FALLBACK);
        })
        .uefi(),
        Case::new("not a program", Step::BootManager, Code::NoBootableDevice, "MZ", |world| {
            world.put_system(FALLBACK, vec![1; 5000]);
        })
        .uefi(),
        Case::new("no EFI application", Step::BootManager, Code::NoBootableDevice, "subsystem 1", |world| {
            world.put_system(MANAGER, Program::x64().to_bytes());
        })
        .uefi(),
        Case::new("another machine", Step::BootManager, Code::NoBootableDevice, "is for ARM64", |world| {
            world.put_system(FALLBACK, Program::new(0xAA64).efi().to_bytes());
        })
        .uefi(),
        Case::new("no store", Step::BootStore, Code::NoSuchFile, "no \\EFI\\Microsoft\\Boot\\BCD", |world| {
            world.put_system("\\EFI\\Microsoft\\Boot\\BCD", Vec::new());
        })
        .uefi(),
        Case::new("partition's id", Step::Devices, Code::NoSuchDevice, "none of that id", |world| {
            world.gpt.partitions[1].id = super::world::guid("0a7de1f0-35a6-4f35-8a55-0000000000ff");
        })
        .uefi(),
        Case::new("disk's id", Step::Devices, Code::NoSuchDevice, "this disk is", |world| {
            world.gpt.disk = super::world::guid("0a7de1f0-35a6-4f35-8a55-0000000000ff");
        })
        .uefi(),
        Case::new("loader for BIOS", Step::Loader, Code::InvalidImage, "needs winload.efi", |world| {
            world.put("System32\\winload.exe", Program::x64().to_bytes());
            let path = "\\Windows\\system32\\winload.exe".to_owned();
            world.entry().set(bcd::ElementType::PATH, bcd::Element::String(path));
        })
        .uefi(),
        Case::new("loader for another machine", Step::Loader, Code::InvalidImage, "it is for x86", |world| {
            world.put("System32\\winload.efi", Program::new(0x14C).to_bytes());
        })
        .uefi(),
    ]);
}

#[test]
fn an_esp_that_is_no_fat_is_not_started() {
    // The table calls the partition with Windows the ESP.
    let mut world = super::World::new(Firmware::Uefi);
    world.gpt.partitions[0].kind = bootsector::GptKind::BASIC_DATA;
    world.gpt.partitions[1].kind = bootsector::GptKind::EFI_SYSTEM;
    world.system.clear();
    world.put_system("\\EFI\\Microsoft\\Boot\\BCD", Vec::new());
    let report = world.disk().check();
    let verdict = &report.chain(Firmware::Uefi).unwrap().verdict;
    assert_eq!((verdict.step, verdict.code), (Some(Step::SystemPartition), Some(Code::NoBootableDevice)));
}

#[test]
fn a_damaged_table_at_the_start_is_a_warning() {
    let disk = super::World::new(Firmware::Uefi).disk();
    disk.poke(512, &[0; 512]);
    let report = disk.check();
    assert!(!report.is_broken(), "{report:#?}");
    let link = report.chain(Firmware::Uefi).unwrap().link(Step::PartitionTable).unwrap();
    assert!(link.findings[0].text.contains("copy at the end"), "{link:#?}");
}

#[test]
fn what_may_start_all_the_same() {
    warned(&[
        ("no fallback", Firmware::Uefi, Step::BootManager, "only where the firmware", |world| {
            world.remove_system(FALLBACK);
        }),
        ("another fallback", Firmware::Uefi, Step::BootManager, "another program", |world| {
            world.put_system(FALLBACK, Program::x64().efi().to_bytes());
        }),
        ("no type", Firmware::Uefi, Step::SystemPartition, "no EFI system partition", |world| {
            world.gpt.partitions[0].kind = bootsector::GptKind::BASIC_DATA;
        }),
    ]);
}
