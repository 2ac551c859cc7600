//! The boot code in an emulated PC: what it starts, and what it says where it cannot.
//!
//! Each machine runs for a fraction of a second. With `BOOT_MATRIX=1` the tests run all of their matrix, otherwise a part
//! that has one of everything.

#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "a test")]

mod bios;
mod bochs;
mod grub;
mod hostile;
mod index_blocks;
mod mbr;
mod ours;
mod refused;
#[cfg(unix)]
mod theirs;
mod volume;
#[cfg(unix)]
mod worn;

use testkit::payload;
use testkit::qemu::{Controller, Machine};

use crate::ours::Volume;

/// As much as fits below SeaBIOS' data area.
const LARGEST: usize = 0x9FC00 - 0x20000;

/// Whether to run everything.
fn whole_matrix() -> bool {
    std::env::var_os("BOOT_MATRIX").is_some_and(|value| value == "1")
}

/// `all`, or what `part` says of it.
fn select<T: Copy>(all: &[T], part: &[usize]) -> Vec<T> {
    if whole_matrix() { all.to_vec() } else { part.iter().map(|&index| all[index]).collect() }
}

/// What the stub reports when all is well.
fn report(start: u64, len: usize) -> String {
    format!(
        "wimforge stub BOOTMGR\nentry 20000000 ok\ndrive 00000080 ok\noem ok\nhidden sectors {start:08X}\n\
         active partition {start:08X} ok\na20 ok\nsize {len:08X}\ncrc ok\npass\n"
    )
}

/// The disk's stub of `len` bytes, on a partition at sector `start`, is reached. `false`, visibly, without QEMU.
#[track_caller]
fn reached(machine: &Machine<'_>, start: u64, len: usize, what: &str) -> bool {
    let Some(ended) = machine.run() else { return false };
    let well = ended.status == Some(payload::CONTENT) && ended.text == report(start, len);
    assert!(well, "{what}: {:?} after {:?}\n{}", ended.status, ended.time, ended.text);
    println!("{what}: {:?}", ended.time);
    true
}

/// The same for a volume of ours on a disk of its own.
#[track_caller]
fn boots(start: u64, volume: Volume, what: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let len = volume.bootmgr.as_ref().unwrap().1.len();
    ours::disk(&path, start, volume);
    reached(&Machine::new(&path), start, len, what)
}

fn stub(len: usize) -> Volume {
    Volume::new(payload::stub(len))
}

#[test]
fn every_controller() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    ours::disk(&path, 2048, stub(400_000));
    for controller in Controller::ALL {
        let machine = Machine { controller, ..Machine::new(&path) };
        if !reached(&machine, 2048, 400_000, &format!("{controller:?}")) {
            return;
        }
    }
}

#[test]
fn every_cluster_and_record_size() {
    let clusters: Vec<u32> = (9..=21).map(|shift| 1 << shift).collect();
    for cluster_size in select(&clusters, &[0, 1, 3, 7, 8, 12]) {
        for record_size in [1024, 4096] {
            let mut volume = stub(200_001);
            volume.options.cluster_size = cluster_size;
            volume.options.record_size = record_size;
            if !boots(4096, volume, &format!("clusters of {cluster_size}, records of {record_size}")) {
                return;
            }
        }
    }
}

#[test]
fn every_size_of_the_root_directory() {
    for others in select(&[0, 5, 50, 500, 5_000, 30_000], &[0, 2, 4]) {
        for cluster_size in select(&[512, 4096, 65_536], &[0, 2]) {
            let mut volume = stub(100_000);
            volume.others = others;
            volume.options.cluster_size = cluster_size;
            if !boots(2048, volume, &format!("{others} other names, clusters of {cluster_size}")) {
                return;
            }
        }
    }
}

#[test]
fn every_size_of_bootmgr() {
    let sizes = [payload::SHORTEST_STUB, 900, 3_000, 4_096, 65_536, 131_071, 300_000, LARGEST - 1, LARGEST];
    for len in select(&sizes, &[0, 2, 5, 8]) {
        for (cluster_size, record_size) in select(&[(512, 1024), (4096, 4096), (65_536, 1024)], &[1, 2]) {
            let mut volume = stub(len);
            volume.options.cluster_size = cluster_size;
            volume.options.record_size = record_size;
            if !boots(2048, volume, &format!("{len} bytes, clusters of {cluster_size}")) {
                return;
            }
        }
    }
}

#[test]
fn a_bootmgr_inside_its_file_record() {
    for record_size in [1024, 4096] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        let mut volume = stub(payload::SHORTEST_STUB);
        volume.options.record_size = record_size;
        ours::disk(&path, 2048, volume);
        let volume = volume::Volume::open(&path, 2048 * ours::SECTOR);
        assert_eq!(volume.runs(volume.find("bootmgr"), volume::DATA), None, "it is resident");
        reached(&Machine::new(&path), 2048, payload::SHORTEST_STUB, "a resident stub");
    }
}

#[test]
fn every_case_of_the_name() {
    for name in ["bootmgr", "BOOTMGR", "BootMgr"] {
        let mut volume = stub(50_000);
        volume.bootmgr = volume.bootmgr.map(|(_, data)| (name, data));
        if !boots(2048, volume, name) {
            return;
        }
    }
}

/// Sector 63 as of old; past 4 GiB; near the last that 32 bits can say, at 2 TiB; and across it.
#[test]
fn every_place_of_the_partition() {
    for start in [63, 0x0080_0000, 0x1234_5678, 0xFFFF_0000, 0xFFFF_F000] {
        if !boots(start, stub(60_000), &format!("a partition at sector {start:#x}")) {
            return;
        }
    }
}

/// The greeting that the README promises, on the screen as well as on COM1.
#[test]
fn the_greeter_greets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    ours::disk(&path, 2048, Volume::new(payload::greeter()));
    let words = "wimforge: BOOTMGR stand-in\n\nYour image reached its boot manager. A real Windows image would start \
        here.\nBIOS drive 0x80, partition at sector 2048, this file has 8192 bytes.\n";
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::CONTENT));
    assert!(ended.text.contains(words), "{}", ended.text);
}
