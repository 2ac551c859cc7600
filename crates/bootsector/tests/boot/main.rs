//! The boot code in an emulated PC: what it starts, and what it says where it cannot.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test")]

mod ours;

use testkit::payload;
use testkit::qemu::{Controller, Machine};

#[test]
fn first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    ours::disk(&path, 2048, ours::Volume::new(payload::stub(400_000)));
    let mut machine = Machine::new(&path);
    machine.patience = std::time::Duration::from_secs(10);
    for controller in Controller::ALL {
        machine.controller = controller;
        let Some(ended) = machine.run() else { return };
        println!("{controller:?} {:?} {:?}\n{}", ended.status, ended.time, ended.text);
    }
}
