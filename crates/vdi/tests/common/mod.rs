//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::sync::{Arc, Mutex};

use disk::{Guid, OrderedSink, PositionedSink};
use testkit::container::{allocated, drive_ordered, drive_positioned};
pub use testkit::container::{compressible_disk as disk, read_all, walk, write_sparse};
use wimforge_vdi::{Kind, Options, dynamic, fixed};

pub const MIB: usize = 1 << 20;

pub fn options(disk: &[u8]) -> Options {
    Options::new(disk.len() as u64, Guid(*b"0123456789abcdef"), Guid(*b"fedcba9876543210"))
}

/// `disk` as a file, written backwards.
pub fn file(disk: &[u8], kind: Kind) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, 512);
    let sink: Box<dyn PositionedSink> = match kind {
        Kind::Fixed => Box::new(fixed::positioned(Arc::clone(&file), &options(disk)).unwrap()),
        _ => {
            Box::new(dynamic::positioned(Arc::clone(&file), &options(disk), ranges.iter().cloned()).unwrap())
        }
    };
    drive_positioned(sink, disk, &ranges, usize::MAX);
    let file = std::mem::take(&mut *file.lock().unwrap());
    let size = match kind {
        Kind::Fixed => fixed::file_size(&options(disk)),
        _ => dynamic::file_size(&options(disk), ranges.iter().cloned()),
    };
    assert_eq!(file.len() as u64, size.unwrap());
    file
}

/// `disk` as a file, written front to back.
pub fn stream(disk: &[u8], kind: Kind) -> Vec<u8> {
    let mut file = Vec::new();
    let ranges = allocated(disk, 4096);
    let sink: Box<dyn OrderedSink + '_> = match kind {
        Kind::Fixed => Box::new(fixed::ordered(&mut file, &options(disk)).unwrap()),
        _ => Box::new(dynamic::ordered(&mut file, &options(disk), ranges.iter().cloned()).unwrap()),
    };
    drive_ordered(sink, disk, &ranges);
    file
}
