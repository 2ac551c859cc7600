//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::sync::{Arc, Mutex};

pub use testkit::container::{allocated, compressible_disk as disk, read_all, walk, write_sparse};
use testkit::container::{drive_ordered, drive_positioned};
use wimforge_qcow2::{CLUSTER_SIZE, Level, Options, compressed, plain};

pub const MIB: usize = 1 << 20;

/// `disk` as a plain file, written backwards.
pub fn plain_file(disk: &[u8]) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let options = Options::new(disk.len() as u64);
    let ranges = allocated(disk, 512);
    let sink = plain::positioned(Arc::clone(&file), &options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges, usize::MAX);
    let file = std::mem::take(&mut *file.lock().unwrap());
    assert_eq!(file.len() as u64, plain::file_size(&options, ranges.iter().cloned()).unwrap());
    file
}

/// `disk` as a plain file, written front to back.
pub fn plain_stream(disk: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let ranges = allocated(disk, 4096);
    let options = Options::new(disk.len() as u64);
    let sink = plain::ordered(&mut file, &options, ranges.iter().cloned()).unwrap();
    drive_ordered(Box::new(sink), disk, &ranges);
    file
}

/// `disk` as a compressed file.
pub fn compressed_file(disk: &[u8], level: Level) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let options = Options { level, ..Options::new(disk.len() as u64) };
    let sink = compressed::in_file(Arc::clone(&file), &options).unwrap();
    drive_ordered(Box::new(sink), disk, &allocated(disk, CLUSTER_SIZE as usize));
    std::mem::take(&mut *file.lock().unwrap())
}
