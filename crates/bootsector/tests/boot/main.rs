//! The boot code in an emulated PC: what it starts, and what it says where it cannot.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "a test")]

mod ours;
mod theirs;
mod volume;

use testkit::payload;
use testkit::qemu::{Controller, Machine};

#[test]
fn first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    for cluster in [512, 4096, 65536] {
        let t = std::time::Instant::now();
        let wear = theirs::Wear { cluster, size: if cluster==512 {16<<20} else {48 << 20}, names: 4000, fragmented: true, seed: 1 };
        let Some(shape) = theirs::disk(&path, wear, &payload::stub(400_000)) else { return };
        println!("{:?} {wear:?} {shape:?}", t.elapsed());
        let mut machine = Machine::new(&path);
        machine.patience = std::time::Duration::from_secs(20);
        machine.screen=true;
        machine.last_words = &["to restart"];
        let Some(ended) = machine.run() else { return };
        println!("{:?} {:?}\n{}", ended.status, ended.time, ended.text);
    }
}
