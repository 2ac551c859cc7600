//! Volumes that cannot be started: each says why, and stops.

use std::path::Path;

use ntfs_writer::{Reparse, Source};
use testkit::payload;
use testkit::qemu::Machine;

use crate::ours::{self, SECTOR};
use crate::volume::{self, DATA, INDEX_ALLOCATION, INDEX_ROOT, MFT, ROOT};
use crate::{LARGEST, stub};

const START: u64 = 2048;
pub const LAST_WORDS: &str = "Press Ctrl+Alt+Del to restart";

/// What the disk's boot code says before `last_words`, as one line. `None`, visibly, without QEMU.
#[track_caller]
pub fn said(path: &Path, last_words: &str) -> Option<String> {
    let ended = Machine { last_words: &[last_words], screen: true, ..Machine::new(path) }.run()?;
    assert!(ended.said_last_words, "{:?} after {:?}\n{}", ended.status, ended.time, ended.text);
    let text = ended.text.split_once("Booting from Hard Disk").map_or(&*ended.text, |(_, text)| text);
    let text = text.split(last_words).next().unwrap_or_default();
    // The screen breaks long lines.
    Some(text.trim_start_matches('.').replace('\n', ""))
}

/// A volume of ours, spoiled, says `message`. `false`, visibly, without QEMU.
#[track_caller]
fn says(volume: ours::Volume, message: &str, spoil: impl FnOnce(&volume::Volume)) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    ours::disk(&path, START, volume);
    spoil(&volume::Volume::open(&path, START * SECTOR));
    let Some(text) = said(&path, LAST_WORDS) else { return false };
    assert_eq!(text, message);
    true
}

fn nothing(_: &volume::Volume) {}

#[test]
fn bootmgr_that_is_none() {
    let mut absent = stub(1000);
    absent.bootmgr = Some(("bootmgr.old", b"no".to_vec()));
    let missing = "BOOTMGR is missing in the root of this volume";
    if !says(absent, missing, nothing) {
        return;
    }
    let mut large = stub(1000);
    large.bootmgr = None;
    large.others = 3_000;
    says(large, missing, nothing);

    let mut directory = stub(1000);
    directory.bootmgr_node.attributes = 0x10;
    says(directory, "BOOTMGR is not a file", nothing);
    says(ours::Volume::new(Vec::new()), "BOOTMGR is empty", nothing);
    says(stub(LARGEST + 1), "BOOTMGR is too large for the memory below 640 KiB", nothing);
}

#[test]
fn bootmgr_that_is_not_plain() {
    for (flags, word) in [(0x0001_u16, "compressed"), (0x4000, "encrypted"), (0x8000, "sparse")] {
        let message = format!("BOOTMGR is {word}: it has to be a plain file");
        let spoil = |volume: &volume::Volume| {
            let data = volume.attribute(volume.find("bootmgr"), DATA).unwrap();
            volume.write(data + 0x0C, &flags.to_le_bytes());
        };
        if !says(stub(100_000), &message, spoil) {
            return;
        }
    }
    let mut link = stub(1000);
    link.bootmgr_node.attributes = 0x420;
    link.bootmgr_node.reparse =
        Some(Reparse { tag: 0x8000_0017, data: Source::Bytes([1, 0, 0, 0].repeat(4).into()), reserved: 0 });
    says(link, "BOOTMGR is a link, or compressed by Compact OS: it has to be a plain file", nothing);
}

/// What lies about itself: every message names the FILE record that led there.
#[test]
fn damaged_volumes() {
    type Spoil = fn(&volume::Volume);
    fn bootmgr(volume: &volume::Volume) -> u64 {
        volume.record(volume.find("bootmgr"))
    }
    fn data(volume: &volume::Volume) -> u64 {
        volume.attribute(volume.find("bootmgr"), DATA).unwrap()
    }
    fn first_block(volume: &volume::Volume) -> u64 {
        volume.first_cluster(ROOT, INDEX_ALLOCATION)
    }
    let cases: [(&str, Spoil); 17] = [
        ("a file record or index block was not written to its end", |v| v.flip(bootmgr(v) + 510)),
        ("a file record or index block was not written to its end", |v| v.flip(first_block(v) + 1022)),
        ("a file record or index block is none", |v| v.write(bootmgr(v), b"BAAD")),
        ("a file record or index block is none", |v| v.write(first_block(v), b"BAAD")),
        ("a file record or index block is none", |v| v.write(v.record(MFT), b"\0\0\0\0")),
        ("bad update sequence", |v| v.write(bootmgr(v) + 6, &[0xFF, 0xFF])),
        ("bad update sequence", |v| v.write(bootmgr(v) + 4, &[0xFE, 0x01])),
        ("a file record in use is marked as free", |v| v.write(bootmgr(v) + 0x16, &[0])),
        ("bad attribute", |v| v.write(bootmgr(v) + 0x18, &[0xFF; 4])),
        ("bad attribute", |v| v.write(data(v) + 4, &[0; 4])),
        ("bad attribute", |v| v.write(data(v) + 4, &[0xF8, 0xFF, 0xFF, 0xFF])),
        ("bad run list", |v| v.write(data(v) + 0x40, &[0xFF])),
        ("a run points outside of the volume", |v| v.write(data(v) + 0x40, &[0x42, 100, 0, 0, 0, 0, 0x40])),
        ("a run points outside of the volume", |v| v.write(data(v) + 0x40, &[0x12, 100, 0, 0x80])),
        ("a stream is shorter than its size", |v| v.write(data(v) + 0x40, &[0])),
        ("bad index entry", |v| v.write(first_block(v) + 0x18, &[0xFF; 4])),
        ("bad index of the root directory", |v| v.write(v.attribute(ROOT, INDEX_ROOT).unwrap() + 0x28, &[3])),
    ];
    for (message, spoil) in cases {
        let mut volume = stub(400_000);
        volume.others = 300;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        ours::disk(&path, START, volume);
        let volume = volume::Volume::open(&path, START * SECTOR);
        spoil(&volume);
        let Some(text) = said(&path, LAST_WORDS) else { return };
        assert!(
            text.starts_with(&format!("This volume is damaged: {message} (file record 000000")),
            "{message}: {text}"
        );
    }
}

#[test]
fn volumes_that_this_code_does_not_know() {
    let message = "The boot sector of this volume is damaged, or its sectors, clusters or file records have a size that \
        this boot code does not know";
    for (at, value) in [(0x0C, 16), (0x0D, 0), (0x0D, 3), (0x0D, 0x90), (0x40, 0), (0x40, 100), (0x40, 0xEC)]
    {
        let poke = |volume: &volume::Volume| volume.write(volume.start + at, &[value]);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        ours::disk(&path, START, stub(1000));
        poke(&volume::Volume::open(&path, START * SECTOR));
        let Some(text) = said(&path, LAST_WORDS) else { return };
        assert_eq!(text, message, "{at:#x}: {value:#x}");
    }
    says(stub(1000), "This boot record is incomplete", |volume| volume.write(volume.start + 8000, &[0; 192]));
}

/// The sector and the BIOS' status are said, as numbers.
#[test]
fn disks_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let mut volume = stub(400_000);
    volume.others = 0;
    ours::disk(&path, START, volume);
    let volume = volume::Volume::open(&path, START * SECTOR);
    // The disk ends in the middle of the file.
    let end = volume.first_cluster(volume.find("bootmgr"), DATA) + 100 * SECTOR;
    // $MFT is behind it: a copy of all of it to before, since the disk has to end here.
    let mft = volume.record(MFT);
    assert!(mft > end);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(end).unwrap();
    let Some(text) = said(&path, LAST_WORDS) else { return };
    let sector = (mft - volume.start) / SECTOR;
    assert!(
        text.starts_with("Disk error ") && text.ends_with(&format!(" at sector {sector:016X}")),
        "{text}"
    );
}

#[test]
fn the_stub_notices_a_changed_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    ours::disk(&path, START, stub(400_000));
    let volume = volume::Volume::open(&path, START * SECTOR);
    volume.flip(volume.first_cluster(volume.find("bootmgr"), DATA) + 399_000);
    let Some(ended) = Machine::new(&path).run() else { return };
    assert_eq!(ended.status, Some(payload::DISCONTENT), "{}", ended.text);
    assert!(ended.text.ends_with("crc BAD\nfail\n"), "{}", ended.text);
}
