//! `compact`: a disk with two volumes that were lived on, in a copy and in place; judged by ntfs-3g, mtools, qemu-img and
//! the bytes themselves.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::content::Random;
use testkit::reader::Mount;
use testkit::{args, tool};

use super::support::wimforge;

/// What lies where nothing is used.
const MARK: &[u8; 16] = b"<<not-used-mark>";
const MIB: u64 = 1 << 20;
/// Where the partitions are: FAT, and NTFS behind a gap.
const FAT: (u64, u64) = (2 * MIB, 40 * MIB);
const NTFS: (u64, u64) = (50 * MIB, 60 * MIB);
const DISK: u64 = 128 * MIB;

fn marks(bytes: &[u8]) -> usize {
    bytes.windows(8).filter(|bytes| *bytes == &MARK[4..12]).count()
}

/// A file full of the pattern.
fn pattern(path: &Path, len: u64) {
    let mut file = File::create(path).expect("a file");
    let block = MARK.repeat(1 << 16);
    for _ in 0..len / block.len() as u64 {
        file.write_all(&block).expect("room");
    }
}

/// Makes the disk; `None`, visibly, without the tools.
fn disk(scratch: &Path) -> Option<PathBuf> {
    let (sfdisk, mkntfs, mkfs) = (tool("sfdisk")?, tool("mkntfs")?, tool("mkfs.fat")?);
    let (mcopy, mdel) = (tool("mcopy")?, tool("mdel")?);
    let mut random = Random::new(4);
    let (fat, ntfs) = (scratch.join("fat.img"), scratch.join("ntfs.img"));
    pattern(&fat, FAT.1);
    mkfs.run(args!["-F", "32", "-s", "1", &fat]);
    for i in 0..12 {
        let file = scratch.join(format!("file {i}.bin"));
        let content = if i % 2 == 0 { random.bytes(30_000 + i) } else { MARK.repeat(3000) };
        std::fs::write(&file, content).expect("room");
        mcopy.run(args!["-i", &fat, &file, "::/"]);
    }
    for i in (1..12).step_by(2) {
        let name = format!("::/file {i}.bin");
        mdel.run(args!["-i", &fat, &name]);
    }
    pattern(&ntfs, NTFS.1);
    mkntfs.run(args!["-Q", "-F", "-q", "-L", "data", &ntfs]);
    for round in 0..2 {
        let mount = Mount::new(&ntfs, "rw")?;
        for i in 0..300 {
            let path = mount.path().join(format!("a file of the volume, number {i:04}.bin"));
            match (round, i % 3) {
                (0, 0) => std::fs::write(path, MARK.repeat(40 + 20 * i)).expect("written"),
                (0, _) => std::fs::write(path, random.bytes(17 * i)).expect("written"),
                (_, 0) => std::fs::remove_file(path).expect("removed"),
                _ => {}
            }
        }
    }
    let disk = scratch.join("disk.raw");
    pattern(&disk, DISK);
    let table = format!(
        "label: gpt\nstart={}, size={}, type=U\nstart={}, size={}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n",
        FAT.0 / 512,
        FAT.1 / 512,
        NTFS.0 / 512,
        NTFS.1 / 512
    );
    let file = OpenOptions::new().write(true).open(&disk).expect("it was made");
    // What sfdisk does not write of the ends is to be zero: those are kept.
    file.write_all_at(&vec![0; MIB as usize], 0).expect("written");
    file.write_all_at(&vec![0; MIB as usize], DISK - MIB).expect("written");
    let mut child = sfdisk
        .command()
        .args(args!["-q", &disk])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(table.as_bytes()).expect("taken");
    assert!(child.wait().expect("it ends").success());
    for (image, place) in [(&fat, FAT), (&ntfs, NTFS)] {
        file.write_all_at(&std::fs::read(image).expect("it was made"), place.0).expect("written");
    }
    Some(disk)
}

/// The bytes of a volume of the disk, in a file.
fn cut(disk: &Path, (start, len): (u64, u64), to: &Path) {
    let mut bytes = vec![0; len as usize];
    File::open(disk).expect("there").read_exact_at(&mut bytes, start).expect("long enough");
    std::fs::write(to, bytes).expect("room");
}

/// Every file of both volumes.
fn files(disk: &Path, scratch: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let volume = scratch.join("cut.img");
    cut(disk, NTFS, &volume);
    if let Some(mount) = Mount::new(&volume, "ro") {
        for entry in mount.path().read_dir().expect("a directory") {
            let path = entry.expect("an entry").path();
            found.insert(
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                std::fs::read(&path).expect("read"),
            );
        }
    }
    if let Some(ntfsfix) = tool("ntfsfix") {
        ntfsfix.run(args!["-n", &volume]);
    }
    cut(disk, FAT, &volume);
    if let Some(mtype) = tool("mtype") {
        for i in (0..12).step_by(2) {
            let name = format!("::/file {i}.bin");
            found.insert(name.clone(), mtype.run(args!["-i", &volume, &name]).stdout);
        }
    }
    if let Some(fsck) = tool("fsck.fat") {
        fsck.run(args!["-n", &volume]);
    }
    std::fs::remove_file(volume).expect("removed");
    found
}

#[test]
fn a_copy_and_a_disk_in_place_are_the_same_and_hold_the_same_files() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = disk(scratch.path()) else { return };
    let before = files(&disk, scratch.path());
    assert!(before.len() > 200, "{}", before.len());
    let original = std::fs::read(&disk).expect("read");
    assert!(marks(&original) > 4 << 20);

    // A dry run changes nothing, and says what there is.
    let dry = wimforge(args!["compact", &disk, "--dry-run", "--json"]).well();
    assert!(std::fs::read(&disk).expect("read") == original);
    let dry: Value = serde_json::from_slice(&dry.stdout).expect("JSON");
    assert_eq!(dry["schema"], "wimforge.compact/1");
    let places = dry["places"].as_array().expect("a list");
    let of = |number: u64| places.iter().find(|place| place["partition"] == number).expect("a partition");
    assert_eq!((&of(1)["outcome"], &of(2)["outcome"]), (&"known".into(), &"known".into()));
    let unused = of(2)["unused"].as_u64().expect("a number");
    assert!(unused > 40 * MIB && unused < NTFS.1, "{unused}");
    assert!(of(2)["parts"]["structures"].as_u64().expect("a number") > 50);

    // Copies in two containers, and one in place.
    let copies: Vec<PathBuf> = [("small.vmdk", "vmdk"), ("small.qcow2", "qcow2")]
        .map(|(name, format)| {
            let copy = scratch.path().join(name);
            wimforge(args!["compact", &disk, &copy, "--format", format]).well();
            copy
        })
        .to_vec();
    assert!(std::fs::read(&disk).expect("read") == original, "a copy leaves the source");
    let plain = scratch.path().join("plain.vmdk");
    wimforge(args!["convert", &disk, &plain]).well();
    let size = |path: &Path| path.metadata().expect("there").len();
    eprintln!("packed {} MiB, compacted {} MiB", size(&plain) >> 20, size(&copies[0]) >> 20);
    assert!(size(&copies[0]) < size(&plain));
    let blocks = disk.metadata().expect("there").blocks();
    let done = wimforge(args!["compact", &disk, "--in-place"]).well();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("cleared in place"), "{said}");
    assert!(disk.metadata().expect("there").blocks() < blocks / 2, "{said}");

    let after = std::fs::read(&disk).expect("read");
    assert_eq!(marks(&after), 0, "in place");
    assert!(files(&disk, scratch.path()) == before, "the files");
    for copy in &copies {
        wimforge(args!["compare", &disk, copy]).well();
        if let Some(qemu_img) = tool("qemu-img") {
            qemu_img.run(args!["compare", &disk, copy]);
        }
    }
    wimforge(args!["check", &disk]).well();
    // Both ends, and all that is used, are as they were.
    let ends = [0..MIB as usize, (DISK - MIB) as usize..DISK as usize];
    assert!(ends.into_iter().all(|end| after[end.clone()] == original[end]));
    let changed = after.iter().zip(&original).filter(|(new, old)| new != old && **new != 0).count();
    // End marks and lengths of the records that were given back.
    assert!(changed < 300 * 12, "{changed} bytes that are neither as they were nor zero");

    // There is nothing left to do.
    let again = wimforge(args!["compact", &disk, "--in-place", "--json"]).well();
    let again: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    assert_eq!(again["in_place"]["structures"], 0);
    assert!(std::fs::read(&disk).expect("read") == after);
}

#[test]
fn a_volume_that_is_not_at_rest_is_refused_or_left_as_it_is() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = disk(scratch.path()) else { return };
    // What ntfs-3g does not do any more: the flag of a volume that was not closed, in the table of FAT.
    let file = OpenOptions::new().read(true).write(true).open(&disk).expect("there");
    let mut sector = [0; 512];
    file.read_exact_at(&mut sector, FAT.0).expect("there");
    let table = FAT.0 + u64::from(u16::from_le_bytes([sector[14], sector[15]])) * 512;
    let len = u64::from(u32::from_le_bytes([sector[36], sector[37], sector[38], sector[39]])) * 512;
    for copy in 0..2 {
        file.write_all_at(&[0xF7], table + copy * len + 7).expect("written");
    }
    let original = std::fs::read(&disk).expect("read");
    let out = scratch.path().join("out.vmdk");
    for arguments in [args!["compact", &disk, &out].to_vec(), args!["compact", &disk, "--in-place"].to_vec()]
    {
        wimforge(arguments).badly(&[4]).says(&["partition 1 cannot be compacted", "not closed properly"]);
        assert!(!out.exists());
        assert!(std::fs::read(&disk).expect("read") == original);
    }
    let dry = wimforge(args!["compact", &disk, "--dry-run"]).badly(&[4]);
    assert!(String::from_utf8_lossy(&dry.stdout).contains("REFUSED"));

    wimforge(args!["compact", &disk, "--in-place", "--skip-unsound"]).well();
    let after = std::fs::read(&disk).expect("read");
    let volume = FAT.0 as usize..(FAT.0 + FAT.1) as usize;
    assert!(after[volume.clone()] == original[volume], "the volume that was refused");
    assert_eq!(marks(&after[NTFS.0 as usize..]), 0);

    // A session that sleeps on one volume has the other open, too.
    for copy in 0..2 {
        file.write_all_at(&[0xFF], table + copy * len + 7).expect("written");
    }
    let ntfs = scratch.path().join("ntfs.img");
    cut(&disk, NTFS, &ntfs);
    let Some(mount) = Mount::new(&ntfs, "rw") else { return };
    std::fs::write(mount.path().join("hiberfil.sys"), [b"hibr".as_slice(), &MARK.repeat(4000)].concat())
        .expect("written");
    drop(mount);
    file.write_all_at(&std::fs::read(&ntfs).expect("read"), NTFS.0).expect("written");
    wimforge(args!["compact", &disk, &out]).badly(&[4]).says(&["partition 1", "partition 2", "sleeps"]);
    let other = format!("{}:1", disk.display());
    let refused = wimforge(args!["compact", &other, "--in-place"]).badly(&[4]);
    refused.says(&["partition 1 cannot be compacted", "sleeps on partition 2"]);
    wimforge(args!["compact", &disk, "--in-place", "--drop-hiberfil"]).well();
    assert_eq!(marks(&std::fs::read(&disk).expect("read")), 0);
}

#[test]
fn what_cannot_be_done_in_place_and_wrong_usage() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = disk(scratch.path()) else { return };
    let dynamic = scratch.path().join("dynamic.vhd");
    wimforge(args!["convert", &disk, &dynamic]).well();
    wimforge(args!["compact", &dynamic, "--in-place"]).badly(&[4]).says(&["in place"]);
    let fixed = scratch.path().join("fixed.vhd");
    wimforge(args!["convert", &disk, &fixed, "--format", "vhd-fixed"]).well();
    wimforge(args!["compact", &fixed, "--in-place"]).well();
    assert_eq!(marks(&std::fs::read(&fixed).expect("read")), 0);
    wimforge(args!["check", &fixed]).well();
    // One partition alone.
    let place = format!("{}:2", disk.display());
    wimforge(args!["compact", &place, "--in-place"]).well();
    let bytes = std::fs::read(&disk).expect("read");
    assert_eq!(marks(&bytes[NTFS.0 as usize..(NTFS.0 + NTFS.1) as usize]), 0);
    assert!(marks(&bytes[..NTFS.0 as usize]) > 1 << 20);
    let place = format!("{}:9", disk.display());
    wimforge(args!["compact", &place, "--in-place"]).badly(&[4]).says(&["no partition 9"]);
    wimforge(args!["compact", &disk]).badly(&[2]);
    let out = scratch.path().join("out.raw");
    wimforge(args!["compact", &disk, &out, "--in-place"]).badly(&[2]);
}
