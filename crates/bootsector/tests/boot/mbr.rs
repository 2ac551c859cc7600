//! The master boot record's own refusals.

use disk::WriteAt;
use testkit::qemu::Machine;

use crate::ours;
use crate::refused::said;
use crate::stub;

const TABLE: u64 = 0x1BE;

/// Our disk, changed at `at`.
pub fn disk(directory: &tempfile::TempDir, at: u64, bytes: &[u8]) -> std::path::PathBuf {
    let path = directory.path().join("disk");
    ours::disk(&path, 2048, stub(400_000));
    std::fs::File::options().write(true).open(&path).unwrap().write_all_at(bytes, at).unwrap();
    path
}

#[test]
fn tables_without_one_active_partition() {
    let directory = tempfile::tempdir().unwrap();
    // The partition is the second; the first becomes active, too, or has a status that is none.
    for status in [0x80, 0x81, 0x01] {
        let path = disk(&directory, TABLE, &[status]);
        if said(&path, "Invalid partition table").is_none() {
            return;
        }
    }
    // Nothing active: the BIOS is asked for the next device, and has none.
    let path = disk(&directory, TABLE + 16, &[0]);
    let machine = Machine { last_words: &["No bootable device"], screen: true, ..Machine::new(&path) };
    let Some(ended) = machine.run() else { return };
    assert!(ended.said_last_words && ended.text.contains("No active partition"), "{}", ended.text);
}

#[test]
fn partitions_that_are_not_bootable() {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(&directory, 2048 * 512 + 0x1FE, &[0]);
    if said(&path, "The active partition has no boot sector").is_none() {
        return;
    }
    let path = disk(&directory, TABLE + 16 + 8, &[0xFF; 4]);
    said(&path, "Disk error reading the active partition");
}
