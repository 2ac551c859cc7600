//! Packages with made-up disks, for other people's readers.

#![allow(dead_code, reason = "each test file uses a part")]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use disk::{Guid, Seed};
use wimforge_appliance::gzip::Level;
use wimforge_appliance::{Architecture, Edition, Firmware, Guest, Kind, Machine, Package, Provider};

/// When every member was changed: 2026-11-22 02:00:00 UTC.
pub(crate) const TIME: u64 = 1_795_312_800;
/// How large the made-up disks claim to be.
pub(crate) const CAPACITY: u64 = 40 << 30;

pub(crate) const KINDS: [Kind; 5] = [
    Kind::Ova,
    Kind::Box(Provider::VirtualBox),
    Kind::Box(Provider::HyperV),
    Kind::Box(Provider::Libvirt),
    Kind::Box(Provider::VMware),
];

pub(crate) fn machine(firmware: Firmware) -> Machine {
    Machine::new("nano-2016", Guest::SERVER_2016, firmware, Seed::new(b"package tests"))
}

/// Machines that differ in what packages say of them.
pub(crate) fn machines() -> Vec<Machine> {
    let guest = |build, edition, architecture| Guest { build, edition, architecture };
    let mut all = vec![machine(Firmware::Bios), machine(Firmware::Efi)];
    for guest in [
        guest(7601, Edition::Server, Architecture::X64),
        guest(9600, Edition::Client, Architecture::X86),
        guest(20_348, Edition::Server, Architecture::X64),
        guest(22_631, Edition::Client, Architecture::X64),
    ] {
        let mut machine = Machine::new("a machine", guest, Firmware::Efi, Seed::new(b"another"));
        machine.secure_boot = true;
        machine.memory = 4096;
        machine.cpus = 4;
        machine.hardware_uuid = Some(Guid([0x42; 16]));
        all.push(machine);
    }
    all
}

/// What stands for a disk: neither empty nor a whole number of blocks.
pub(crate) fn disk_bytes() -> Vec<u8> {
    (0..3_000_017u32)
        .map(|at| if at / 4096 % 2 == 0 { (at.wrapping_mul(2_654_435_761) >> 24) as u8 } else { 7 })
        .collect()
}

/// Writes a package to `path`.
pub(crate) fn write(package: Package, path: &Path, disk: &[u8], threads: usize) {
    let file = File::create(path).unwrap();
    let archive = match (package.kind(), package.kind().disk().is_stream()) {
        (Kind::Ova, _) => package.stored(file),
        (_, true) => package.compressed_behind(file, Level::PADDING, threads),
        (_, false) => package.compressed(BufWriter::new(file), disk.len() as u64, Level::DEFAULT, threads),
    }
    .unwrap();
    let mut writer = archive.writer();
    for piece in disk.chunks(100_003) {
        writer.write_all(piece).unwrap();
    }
    archive.finish().unwrap();
}

/// The members that each kind has, in order.
pub(crate) fn names(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Ova => vec!["nano-2016.ovf", "nano-2016.mf", "nano-2016-disk1.vmdk"],
        Kind::Box(Provider::VirtualBox) => {
            vec!["metadata.json", "Vagrantfile", "box.ovf", "box-disk001.vmdk"]
        }
        Kind::Box(Provider::HyperV) => {
            vec!["metadata.json", "Vagrantfile", "Virtual Machines/box.xml", "Virtual Hard Disks/disk.vhdx"]
        }
        Kind::Box(Provider::Libvirt) => vec!["metadata.json", "Vagrantfile", "box.img"],
        Kind::Box(Provider::VMware) => vec!["metadata.json", "Vagrantfile", "box.vmx", "disk.vmdk"],
        _ => unreachable!("no other kind is tried"),
    }
}

/// One of our files beside the tests.
pub(crate) fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}
