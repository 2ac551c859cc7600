//! Volumes spoiled at random: whatever they say, the boot code ends in a message or starts something.
//!
//! What it starts may be any clusters of the volume, so a machine that does not come to an end is looked at: it must not
//! be our code that it runs.

use std::path::Path;
use std::time::Duration;

use testkit::payload;
use testkit::qemu::Machine;

use crate::ours::{self, SECTOR};
use crate::volume::{INDEX_ALLOCATION, MFT, ROOT, Volume};
use crate::{stub, whole_matrix};

/// Memory that our code occupies, as linear addresses.
const OURS: std::ops::Range<u64> = 0x7C00..0x9C00;

/// A disk to spoil, and its places: where they begin, and how long they are.
struct Disk {
    path: std::path::PathBuf,
    places: Vec<(u64, u64)>,
}

impl Disk {
    fn ours(directory: &Path) -> Self {
        let path = directory.join("ours");
        let mut volume = stub(100_000);
        volume.others = 200;
        ours::disk(&path, 2048, volume);
        let volume = Volume::open(&path, 2048 * SECTOR);
        let places = vec![
            (volume.start + 0x0B, 0x3A),
            (volume.record(MFT), volume.record_len),
            (volume.record(ROOT), volume.record_len),
            (volume.record(volume.find("bootmgr")), volume.record_len),
            (volume.first_cluster(ROOT, INDEX_ALLOCATION), 4096),
        ];
        Self { path, places }
    }

    /// One with attribute lists everywhere. `None`, visibly, when a tool is missing.
    #[cfg(unix)]
    fn worn(directory: &Path) -> Option<Self> {
        use crate::theirs::{Wear, disk};
        use crate::volume::ATTRIBUTE_LIST;
        let path = directory.join("worn");
        let wear = Wear { cluster: 512, size: 16 << 20, names: 4_000, fragmented: true, seed: 1 };
        let shape = disk(&path, wear, &payload::stub(400_000))?;
        let volume = Volume::open(&path, 2048 * SECTOR);
        let mut places = Vec::new();
        for record in [MFT, ROOT, shape.bootmgr] {
            places.push((volume.record(record), volume.record_len));
            if let Some(at) = volume.attribute(record, ATTRIBUTE_LIST) {
                let is_resident = volume.read(at + 8, 1) == [0];
                let list = if is_resident { at } else { volume.first_cluster(record, ATTRIBUTE_LIST) };
                places.push((list, 512));
            }
        }
        assert!(places.len() > 3);
        Some(Self { path, places })
    }
}

/// Spoils `disk` so often, and says how often it was started, refused, and something else was started.
fn spoil(disk: &Disk, seed: u64, rounds: u64) -> Option<[u64; 3]> {
    let path = disk.path.with_extension("spoiled");
    let mut random = Random(seed);
    let mut ends = [0; 3];
    for round in 0..rounds {
        std::fs::copy(&disk.path, &path).unwrap();
        let volume = Volume::open(&path, 2048 * SECTOR);
        let (start, len) = disk.places[random.below(disk.places.len() as u64) as usize];
        // Fields are at the front of everything, and so are most changes.
        let len = if random.below(2) == 0 { len.min(0x180) } else { len };
        let mut what = Vec::new();
        for _ in 0..=random.below(4) {
            let at = random.below(len);
            let value = [0, 1, 0x7F, 0x80, 0xFF, random.below(256)][random.below(6) as usize] as u8;
            what.push((start - volume.start + at, value));
            volume.write(start + at, &[value]);
        }
        let patience = Duration::from_secs(10);
        let machine =
            Machine { last_words: &["Ctrl+Alt+Del"], screen: true, patience, ..Machine::new(&path) };
        let ended = machine.run()?;
        let end = match ended.status {
            Some(payload::CONTENT) => 0,
            _ if ended.said_last_words => 1,
            // Anything at all was started, whatever became of it.
            Some(_) => 2,
            None => {
                let at = ended.instruction.unwrap();
                assert!(!OURS.contains(&at), "round {round}, {what:x?}: at {at:#x}\n{}", ended.text);
                2
            }
        };
        ends[end] += 1;
    }
    Some(ends)
}

#[test]
fn a_spoiled_volume_is_no_trap() {
    let directory = tempfile::tempdir().unwrap();
    let rounds = if whole_matrix() { 1_000 } else { 8 };
    #[cfg_attr(not(unix), expect(unused_mut, reason = "ntfs-3g runs on Unix alone"))]
    let mut disks = vec![Disk::ours(directory.path())];
    #[cfg(unix)]
    disks.extend(Disk::worn(directory.path()));
    for (disk, seed) in disks.iter().zip(20_240_601..) {
        let Some([started, refused, other]) = spoil(disk, seed, rounds) else { return };
        println!("{started} were started, {refused} refused, {other} started something else");
        assert!(started > 0 && refused > 0);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
