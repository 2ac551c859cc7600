//! Disks of others, and damaged ones: never a panic, never long, and never called broken for what they are not.

use std::path::{Path, PathBuf};

use super::world::{SYSTEM, WINDOWS, World};
use super::{Firmware, Step};
use crate::DiskFile;
use crate::chain::check_chain;

/// The sample volumes and disks hold no Windows: whatever they are, they are no broken disks.
#[test]
fn samples_have_no_chain() {
    let Some(samples) = testkit::samples() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for from in ["disks", "ntfs", "ntfs/windows"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(samples.join(from)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let Some(disk) = unpacked(file, folder.path()) else { continue };
            let Ok(disk) = DiskFile::open(&disk) else { continue };
            let report = check_chain(&disk).unwrap();
            assert!(report.chains.is_empty(), "{}: {report:#?}", file.display());
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked} disks");
}

/// Registries of real installations, over files that are all there: nothing in them is a fault. Their drivers are many,
/// with overrides, filters, and every form of path.
#[test]
fn registries_of_real_windows_are_whole() {
    let (Some(samples), Some(xz)) = (testkit::samples(), testkit::tool("xz")) else { return };
    let read = |name: &str| {
        let file = samples.join("hives").join(format!("{name}.xz"));
        xz.run(testkit::args!["-dc", &file]).stdout
    };
    for (name, version, drivers) in [
        ("SYSTEM", [6, 1, 7601, 0], 30),
        ("SYSTEM_2", [6, 3, 9600, 0], 30),
        ("SYSTEM_B", [10, 0, 15063, 0], 30),
        ("SYSTEM_WIN_10_1709", [10, 0, 18362, 0], 30),
    ] {
        let mut world = World::new(Firmware::Bios);
        let bytes = read(name);
        let logs: Vec<Vec<u8>> = match name {
            "SYSTEM_B" => vec![read("SYSTEM_B.LOG1"), read("SYSTEM_B.LOG2")],
            _ => Vec::new(),
        };
        let borrowed: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let (hive, bytes) = match hive::Hive::recover(&bytes, &borrowed) {
            Ok((hive, _)) => (hive, bytes),
            // Saved from a running machine, without its logs: as it would be after its next start.
            Err(_) => {
                let hive = hive::Hive::parse_without_logs(&bytes).unwrap();
                let closed = hive.to_bytes().unwrap();
                (hive, closed)
            }
        };
        let program = testkit::program::Program::x64().version(version);
        world.put("System32\\winload.exe", program.to_bytes());
        let set = hive.root().subkey("ControlSet001").unwrap();
        for service in set.subkey("Services").unwrap().subkeys() {
            let path = service.value("ImagePath").and_then(hive::Value::as_str).unwrap_or_default();
            let path = match path.is_empty() {
                true => format!("System32\\drivers\\{}.sys", service.name()),
                false => super::super::drivers::from_windows(&path).unwrap_or_default(),
            };
            if path.to_lowercase().ends_with(".sys") {
                let taken = world
                    .windows
                    .keys()
                    .any(|known| known.eq_ignore_ascii_case(&format!("\\Windows\\{path}")));
                if !taken {
                    world.put(&path, program.to_bytes());
                }
            }
        }
        let pages = set.open("Control\\Nls\\CodePage").unwrap();
        for which in ["ACP", "OEMCP"] {
            let number = pages.value(which).unwrap().as_str().unwrap();
            let file = pages.value(&number).unwrap().as_str().unwrap();
            if !world.windows.keys().any(|known| known.to_lowercase().ends_with(&file.to_lowercase())) {
                world.put(&format!("System32\\{file}"), vec![1; 100]);
            }
        }
        world.put("System32\\config\\SYSTEM", bytes);
        for (number, log) in logs.into_iter().enumerate() {
            world.put(&format!("System32\\config\\SYSTEM.LOG{}", number + 1), log);
        }
        let report = world.disk().check();
        let chain = &report.chains[0];
        for link in chain.links.iter().filter(|link| link.step != Step::SystemHive) {
            assert_eq!(link.state, super::State::Ok, "{name}: {link:#?}");
        }
        assert_ne!(chain.link(Step::SystemHive).unwrap().state, super::State::Broken, "{name}: {chain:#?}");
        let link = chain.link(Step::BootDrivers).unwrap();
        let count: usize = link.detail.split(' ').next().unwrap().parse().unwrap();
        eprintln!("{name}: {}; {}", link.detail, chain.link(Step::DiskDrivers).unwrap().detail);
        assert!(count >= drivers, "{name}: {}", link.detail);
    }
}

/// Stores of real machines lead to those machines' disks: whatever is said of that, it is said of the devices.
#[test]
fn stores_of_real_machines_are_read() {
    let Some(samples) = testkit::samples() else { return };
    for name in [
        "BCDvm",
        "BCDrecovery",
        "BCDlaptop",
        "BCDfresh",
        "BCDgen",
        "BCD2",
        "BCDTest",
        "BCD.bkup",
        "BCD-media",
    ] {
        let mut world = World::new(Firmware::Bios);
        world.put_system("\\Boot\\BCD", std::fs::read(samples.join("bcd").join(name)).unwrap());
        let report = world.disk().check();
        let chain = &report.chains[0];
        let store = chain.link(Step::BootStore).unwrap();
        assert_ne!(store.state, super::State::Broken, "{name}: {store:#?}");
        let step = chain.verdict.step;
        eprintln!("{name}: {}", chain.verdict.text);
        assert!(matches!(step, None | Some(Step::BootEntry | Step::Devices)), "{name}: {chain:#?}");
    }
}

/// What a sample is when it is not compressed.
fn unpacked(file: &Path, folder: &Path) -> Option<PathBuf> {
    let tool = match file.extension()?.to_str()? {
        "gz" => "gzip",
        "bz2" => "bzip2",
        "xz" | "tgz" => return None,
        _ => return Some(file.to_owned()),
    };
    let name = file.file_stem()?.to_str()?;
    if name.ends_with(".vhdx") || name.ends_with(".mft") {
        return None;
    }
    let out = folder.join(name);
    std::fs::write(&out, testkit::tool(tool)?.run(testkit::args!["-dc", file]).stdout).unwrap();
    Some(out)
}

/// A byte changed in any structure that the check reads must not make it panic.
#[test]
fn damage_is_no_panic() {
    let mut state = 1u64;
    let mut random = move |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    for firmware in [Firmware::Bios, Firmware::Uefi] {
        let disk = World::new(firmware).disk();
        let mft = disk.record(WINDOWS, "$MFT");
        let hive = disk.find(WINDOWS, b"regf");
        let store = disk.find(SYSTEM, b"regf");
        for (start, len) in
            [(0, 1536), (SYSTEM, 1024), (WINDOWS, 512), (mft, 80 << 10), (hive, 8 << 10), (store, 12 << 10)]
        {
            for _ in 0..25 {
                let at = start + random(len);
                let before = disk.peek(at, 4);
                let value = [0, 0xFF, 0x7F, random(256) as u8][random(4) as usize];
                disk.poke(at, &vec![value; 1 + random(4) as usize]);
                disk.check();
                disk.poke(at, &before);
            }
        }
        let report = disk.check();
        assert!(!report.is_broken(), "what was changed was put back: {report:#?}");
    }
}

/// A store of any size and a hive of nothing but drivers stay within their limits.
#[test]
fn many_drivers_are_bounded() {
    let mut world = World::new(Firmware::Bios);
    for number in 0..9000u32 {
        for (name, value) in [("Type", 1), ("Start", 0), ("ErrorControl", 1)] {
            world.service(&format!("zz{number:05}"), name, value);
        }
    }
    let report = world.disk().check();
    let link = report.chains[0].link(Step::BootDrivers).unwrap();
    assert!(link.findings.len() <= 101, "{}", link.findings.len());
    assert!(
        link.findings.iter().any(|finding| finding.text.contains("more than 8192")),
        "{:?}",
        link.findings.first()
    );
}

#[test]
fn files_that_are_no_disks() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty", vec![]),
        ("short", vec![1; 100]),
        ("zeros", vec![0; 4096]),
        ("sector", [vec![0; 510], vec![0x55, 0xAA]].concat()),
        ("noise", (0..20_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let report = check_chain(&DiskFile::open(&path).unwrap()).unwrap();
        assert!(report.chains.is_empty() && report.notes.len() == 1, "{name}: {report:#?}");
    }
}
