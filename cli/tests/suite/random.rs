//! Disks of trees by chance, held against their WIMs by everybody. A few of them on every run; more with
//!
//! ```sh
//! WIMFORGE_RANDOM=1000 WIMFORGE_RANDOM_NTFS3=100 cargo test --release -p wimforge --test suite random -- --nocapture
//! ```
//!
//! `WIMFORGE_RANDOM_FIRST` is the first seed, 1 unless it is given. The tree of a seed never changes.

use std::path::Path;

use testkit::tree::Tree;
use testkit::{args, disk, kernel, libfsntfs, reader};

use crate::support::{scratch, wimforge};

const CLUSTERS: [&str; 6] = ["4096", "512", "2048", "4096", "16384", "65536"];

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Builds the disk of a seed and has it looked at; `mounted` also by a kernel, before and after it writes.
#[track_caller]
fn proof(seed: u64, mounted: bool) {
    let scratch = scratch();
    let (wim, raw) = (scratch.path().join("random.wim"), scratch.path().join("disk.raw"));
    testkit::random::tree(seed).save(&wim);
    let cluster = CLUSTERS[(seed % 6) as usize];
    let size = ["192MiB", "320MiB"][(seed % 2) as usize];
    let plain = args![
        "build",
        &wim,
        "-o",
        &raw,
        "--quiet",
        "--layout",
        "mbr1",
        "--size",
        size,
        "--cluster-size",
        cluster
    ];
    wimforge(plain).well();
    ours(&wim, &raw);

    let (volume, again) = (scratch.path().join("volume.img"), scratch.path().join("again.wim"));
    if disk::cut(&raw, None, &volume).is_none() || disk::capture(&volume, &again).is_none() {
        return;
    }
    std::fs::remove_file(&raw).expect("was just made");
    let meant = Tree::of_wim(&wim, 1).expect("wimlib is there, it captured");
    meant.compare(&Tree::of_wim(&again, 1).expect("wimlib is there, it captured")).assert_none();
    reader::ntfsprogs(&volume);
    reader::ntfs_3g(&volume, &meant);
    // What sleuthkit and 7-Zip make of larger clusters is in `proof`.
    if matches!(cluster, "512" | "2048" | "4096") {
        let deleted = reader::sleuthkit(&volume, &meant).unwrap_or(0);
        assert_eq!(deleted, 0, "deleted names");
        reader::seven_zip(&volume);
    }
    if mounted {
        let (tried, _) = meant.largest_directory();
        if let Some(report) = kernel::ntfs3(&volume, &tried) {
            let faults = report.faults(&meant);
            assert!(faults.is_empty(), "ntfs3: {faults:#?}");
            left_by_ntfs3(&report.written());
        }
        // ntfs-3g writes to the volume itself; our checker has to be content with what it leaves.
        if reader::ntfs_3g_writes(&volume, &tried) {
            wimforge(args!["check", &volume]).well();
        }
    }

    let compact = args![
        "build",
        &wim,
        "-o",
        &raw,
        "--quiet",
        "--layout",
        "mbr1",
        "--size",
        size,
        "--compact-os=xpress8k",
        "--assume-wof"
    ];
    wimforge(compact).well();
    ours(&wim, &raw);
    disk::cut(&raw, None, &volume);
    // See the fixture for what else has such names.
    if !seed.is_multiple_of(3) {
        libfsntfs::reads(&volume, &meant);
    }
}

/// What `ntfs3` leaves is sound but for one thing: it deletes files with reparse points, and leaves their entries in
/// `$Reparse` (observed: the records are free, nothing else refers to them).
#[track_caller]
fn left_by_ntfs3(volume: &Path) {
    let ended = wimforge(args!["check", volume]);
    assert!(matches!(ended.code, Some(0 | 3)), "{}", ended.stderr);
    let text = String::from_utf8_lossy(&ended.stdout);
    let errors = text.lines().map(str::trim).filter(|line| line.starts_with("error: "));
    let others: Vec<&str> = errors.filter(|line| !line.starts_with("error: reparse-index: ")).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[track_caller]
fn ours(wim: &Path, raw: &Path) {
    wimforge(args!["verify", raw, "--against", wim]).well();
    wimforge(args!["check", raw, "--strict"]).well();
}

#[test]
fn trees_by_chance() {
    let (count, mounted) = (number("WIMFORGE_RANDOM", 10), number("WIMFORGE_RANDOM_NTFS3", 1));
    let first = number("WIMFORGE_RANDOM_FIRST", 1);
    for seed in first..first + count {
        eprintln!("random tree {seed}");
        proof(seed, seed - first < mounted);
    }
}
