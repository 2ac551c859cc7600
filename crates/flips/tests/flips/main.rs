//! Every byte of a file of every format is changed, one at a time, and the file is read as users read it. Never a panic, never
//! unbounded work; and never other data without a word, except where the format protects nothing, which [`fixture::Field`]s
//! say byte for byte.
//!
//! A run of `cargo test` changes one bit of each byte, and leaves out most of long zeros; `cargo xtask flips` all eight bits
//! of every byte, and all at once, of more files. `docs/robustness.md` says what came of it.

#![allow(clippy::print_stdout, reason = "a table for those who ask for it with --nocapture")]

mod campaign;
mod disks;
mod file;
mod fixture;
mod hives;
mod isos;
mod table;
mod wims;

use campaign::Pace;
use fixture::Fixture;
use table::Table;

/// Whether this is the campaign.
fn whole() -> bool {
    std::env::var_os("WIMFORGE_FLIPS").is_some_and(|what| what == "all")
}

fn pace() -> Pace {
    if whole() { Pace::WHOLE } else { Pace::TEST }
}

fn flip(fixtures: &[Fixture], pace: Pace) {
    let mut table = Table::default();
    for fixture in fixtures {
        table.add(&fixture.name, campaign::run(fixture, pace));
    }
    println!("{table}");
    let document = include_str!("../../../../docs/robustness.md");
    assert_eq!(table.missing_from(document), [""; 0], "not in docs/robustness.md");
    if whole() && pace.others == 1 {
        // Otherwise the fields are drawn too wide, or something guards them after all.
        assert_eq!(table.never_different(), [], "said to be guarded by nobody");
    }
}

#[test]
fn wims() {
    flip(&wims::small(), pace());
}

#[test]
fn the_small_windows_image() {
    let pace = Pace { others: if whole() { 1 } else { 97 }, ..Pace::TEST };
    flip(&[wims::nano()], pace);
}

#[test]
fn hives() {
    flip(&hives::all(), pace());
}

#[test]
fn vhds() {
    flip(&disks::vhd::fixtures(), pace());
}

#[test]
fn vhdxs() {
    flip(&disks::vhdx::fixtures(), pace());
}

#[test]
fn vmdks() {
    flip(&disks::vmdk::fixtures(), pace());
}

#[test]
fn vdis() {
    flip(&disks::vdi::fixtures(), pace());
}

#[test]
fn qcow2s() {
    flip(&disks::qcow2::fixtures(), pace());
}

#[test]
fn isos() {
    flip(&isos::all(), pace());
}
