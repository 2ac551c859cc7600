//! Volumes spoiled at random: whatever they say, the boot code ends in a message or starts something.
//!
//! What it starts may be any clusters of the volume, so a machine that does not come to an end is looked at: it must not
//! be our code that it runs.

use testkit::payload;
use testkit::qemu::Machine;

use crate::ours::{self, SECTOR};
use crate::volume::{INDEX_ALLOCATION, MFT, ROOT, Volume};
use crate::{stub, whole_matrix};

/// Memory that our code occupies, as linear addresses.
const OURS: std::ops::Range<u64> = 0x7C00..0x9C00;

#[test]
fn a_spoiled_volume_is_no_trap() {
    let directory = tempfile::tempdir().unwrap();
    let clean = directory.path().join("clean");
    let mut volume = stub(100_000);
    volume.others = 200;
    ours::disk(&clean, 2048, volume);
    let path = directory.path().join("disk");
    let mut random = Random(20_240_601);
    let mut ends = [0; 3];
    for round in 0..if whole_matrix() { 2_000 } else { 30 } {
        std::fs::copy(&clean, &path).unwrap();
        let volume = Volume::open(&path, 2048 * SECTOR);
        let record = volume.record_len;
        let places = [
            (volume.start + 0x0B, 0x3A),
            (volume.record(MFT), record),
            (volume.record(ROOT), record),
            (volume.record(volume.find("bootmgr")), record),
            (volume.first_cluster(ROOT, INDEX_ALLOCATION), 4096),
        ];
        let (start, len) = places[random.below(places.len() as u64) as usize];
        // Fields are at the front of everything, and so are most changes.
        let len = if random.below(2) == 0 { len.min(0x180) } else { len };
        let mut what = Vec::new();
        for _ in 0..=random.below(4) {
            let at = random.below(len);
            let value = [0, 1, 0x7F, 0x80, 0xFF, random.below(256)][random.below(6) as usize] as u8;
            what.push((start - volume.start + at, value));
            volume.write(start + at, &[value]);
        }
        let patience = std::time::Duration::from_secs(5);
        let machine =
            Machine { last_words: &["Ctrl+Alt+Del"], screen: true, patience, ..Machine::new(&path) };
        let Some(ended) = machine.run() else { return };
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
    println!("{} were started, {} refused, {} started something else", ends[0], ends[1], ends[2]);
    assert!(ends[0] > 0 && ends[1] > 0);
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
