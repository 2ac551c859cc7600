//! From the ISO to a server that is ready: what a recipe asks for is read back by other people's tools.
//!
//! `world` makes the medium, around a SYSTEM hive of a real machine; `seen` reads disks; `recipe` has everything asked
//! for at once, `drivers` and `packages` what they say, `leaks` looks for passwords where none may be.

mod answer;
mod drivers;
mod leaks;
mod packages;
mod recipe;
mod secrets;
mod seen;
mod world;

use std::ffi::OsStr;
use std::path::Path;

use testkit::args;
use testkit::disk::Format;

use crate::support::{Ended, build, wimforge};
use seen::Seen;
use world::{Desk, medium};

/// Builds from the medium's Nano Server.
#[track_caller]
fn nano(iso: &Path, out: &Path, options: &[&OsStr]) -> Ended {
    let all = args!["build", iso, "--nano", "-o", out, "--force", "--layout", "mbr1", "--size", "300MiB"];
    wimforge([&all[..], options].concat())
}

/// Without anything to customise, the registry of the disk is that of the image, bit by bit.
#[test]
fn nothing_asked_for_nothing_changed() {
    let (Some(medium), desk) = (medium(), Desk::new()) else { return };
    let disk = desk.path("disk.vhd");
    nano(&medium.iso, &disk, &[]).well();
    let Some(seen) = Seen::of(&disk, Format::Vpc) else { return };
    for (name, bytes) in &medium.hives {
        let found = seen.read(&format!("Windows\\System32\\config\\{name}"));
        assert!(found == *bytes, "{name} is another");
    }
    // The checker of this test sees a change.
    let edit = desk.put("edit.reg", "REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\Setup]\n\"x\"=dword:1\n");
    nano(&medium.iso, &disk, &args!["--reg", &edit]).well();
    let seen = Seen::of(&disk, Format::Vpc).expect("as before");
    assert!(seen.read("Windows\\System32\\config\\SYSTEM") != medium.hives[0].1);
    assert!(seen.read("Windows\\System32\\config\\SOFTWARE") == medium.hives[1].1);
    assert_eq!(seen.key("SYSTEM", "Setup").dword("x"), 1);

    wimforge(args!["check", &disk]).well();
    // And from the WIM itself it is the same disk.
    let other = desk.path("other.vhd");
    let edit = edit.to_str().expect("UTF-8");
    build(&medium.wim, &other, &["--reg", edit, "--layout", "mbr1", "--size", "300MiB"]).well();
    assert!(std::fs::read(&disk).expect("a disk") == std::fs::read(&other).expect("a disk"));
}
