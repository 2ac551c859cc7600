//! From the partition table to BOOTMGR.

use super::world::{Disk, SYSTEM, World, bootmgr};
use super::{Case, Firmware, Step, broken, warned};
use crate::chain::WindowsError as Code;

/// Makes the unnamed stream of a file record a compressed one that is stored as it is: the attribute's flag, and the
/// field that such attributes have in front of their runs.
fn mark_compressed(disk: &Disk, record: u64) {
    let mut bytes = disk.peek(record, 1024);
    let mut at = usize::from(bytes[0x14]);
    while bytes[at] != 0x80 {
        at += usize::from(bytes[at + 4]);
    }
    let size: [u8; 8] = bytes[at + 0x28..at + 0x30].try_into().unwrap();
    bytes[at + 0x0C] = 1;
    // The last attribute: what follows it is the end mark.
    bytes.copy_within(at + 0x40..0x1F0, at + 0x48);
    bytes[at + 0x40..at + 0x48].copy_from_slice(&size);
    (bytes[at + 4], bytes[at + 0x20], bytes[0x18]) = (bytes[at + 4] + 8, 0x48, bytes[0x18] + 8);
    disk.poke(record, &bytes);
}

#[test]
fn faults_before_bootmgr_runs() {
    broken(&[
        Case::damage("no signature", Step::PartitionTable, Code::NoBootableDevice, "0xaa55", |disk| {
            disk.poke(510, &[0, 0]);
        }),
        Case::damage(
            "two active",
            Step::PartitionTable,
            Code::InvalidPartitionTable,
            "1, 2 are active",
            |disk| {
                disk.poke(0x1CE, &[0x80]);
            },
        ),
        Case::damage(
            "bad status",
            Step::PartitionTable,
            Code::InvalidPartitionTable,
            "status 0x12",
            |disk| {
                disk.poke(0x1CE, &[0x12]);
            },
        ),
        Case::new("no code", Step::BootCode, Code::NoBootableDevice, "no code", |world| {
            world.mbr.boot_code = [0; 440]
        }),
        Case::new("inactive", Step::SystemPartition, Code::NoBootableDevice, "is active", |world| {
            world.mbr.partitions[0].as_mut().unwrap().active = false;
        }),
        Case::new("no boot record", Step::BootRecord, Code::MissingSystem, "no code", |world| {
            world.record = None
        }),
        Case::damage("no record's signature", Step::BootRecord, Code::MissingSystem, "55 AA", |disk| {
            disk.poke(SYSTEM + 510, &[0, 0]);
        }),
        Case::new("hidden sectors", Step::BootRecord, Code::DiskRead, "63 sectors lie before", |world| {
            world.hidden = 63
        }),
        Case::damage("sector size", Step::BootRecord, Code::DiskRead, "sectors of 4096 bytes", |disk| {
            disk.poke(SYSTEM + 11, &[0, 0x10]);
        }),
        Case::damage("volume too long", Step::BootRecord, Code::DiskRead, "the partition has", |disk| {
            disk.poke(SYSTEM + 0x2A, &[0xFF]);
        }),
        Case::damage("NTLDR", Step::BootRecord, Code::BootmgrMissing, "NTLDR", |disk| {
            disk.poke(SYSTEM + 0x200, &[5, 0, b'N', 0, b'T', 0, b'L', 0, b'D', 0, b'R', 0]);
        }),
        Case::damage("$MFT", Step::FileSystem, Code::DiskRead, "its mirror", |disk| {
            let lcn = u32::from_le_bytes(disk.peek(SYSTEM + 0x30, 4).try_into().unwrap());
            disk.poke(SYSTEM + u64::from(lcn) * 4096, b"BAAD");
        }),
        Case::new("no BOOTMGR", Step::BootManager, Code::BootmgrMissing, "no BOOTMGR", |world| {
            world.remove_system("\\bootmgr");
        }),
        Case::damage(
            "BOOTMGR compressed",
            Step::BootManager,
            Code::BootmgrCompressed,
            "compressed",
            |disk| {
                mark_compressed(disk, disk.record(SYSTEM, "bootmgr"));
            },
        ),
        Case::new("BOOTMGR in Compact OS", Step::BootManager, Code::DiskRead, "Compact OS", |world| {
            let form = super::world::Form::Wof(ntfs_writer::parse::WofCodec::Xpress4k);
            world.system.get_mut("\\bootmgr").unwrap().1 = form;
        })
        .silent(),
        Case::new("BOOTMGR a link", Step::BootManager, Code::DiskRead, "reparse point", |world| {
            world.system.get_mut("\\bootmgr").unwrap().1 = super::world::Form::Link;
        })
        .silent(),
        Case::new("BOOTMGR too large", Step::BootManager, Code::DiskRead, "523264", |world| {
            world.put_system("\\bootmgr", bootmgr(523_265));
        })
        .silent(),
    ]);
}

#[test]
fn what_may_start_all_the_same() {
    warned(&[
        ("unknown code", Firmware::Bios, Step::BootCode, "not one that is known", |world| {
            world.mbr.boot_code[7] ^= 0xFF;
        }),
        ("another BOOTMGR", Firmware::Bios, Step::BootManager, "does not look like", |world| {
            world.put_system("\\bootmgr", vec![0xEB; 4000]);
        }),
        ("GRUB", Firmware::Bios, Step::BootCode, "GRUB", |world| {
            world.mbr.boot_code[100..105].copy_from_slice(b"GRUB ");
        }),
        ("type", Firmware::Bios, Step::BootRecord, "type 0x0c", |world| {
            world.mbr.partitions[0].as_mut().unwrap().kind = bootsector::PartitionType::FAT32;
        }),
    ]);
}

/// The largest BOOTMGR that fits is fine.
#[test]
fn the_limit_of_bootmgr() {
    let mut world = World::new(Firmware::Bios);
    world.put_system("\\bootmgr", bootmgr(523_264));
    assert!(!world.disk().check().is_broken());
}

/// Everything after the first fault is still looked at.
#[test]
fn all_faults_are_found_at_once() {
    let mut world = World::new(Firmware::Bios);
    world.mbr.partitions[0].as_mut().unwrap().active = false;
    world.remove("System32\\winload.exe");
    world.remove("System32\\drivers\\storport.sys");
    let report = world.disk().check();
    let chain = report.chain(Firmware::Bios).unwrap();
    let broken: Vec<Step> =
        chain.links.iter().filter(|link| link.state == super::State::Broken).map(|link| link.step).collect();
    assert_eq!(broken, [Step::SystemPartition, Step::Loader, Step::BootDrivers, Step::DiskDrivers]);
}
