//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use disk::Guid;
pub use testkit::container::disk;
use testkit::container::{allocated, drive_ordered, drive_positioned};
pub use testkit::content::noise;
use wimforge_vhd::{Options, dynamic, fixed};

pub const MIB: usize = 1 << 20;

pub fn options(disk: &[u8]) -> Options {
    Options { timestamp: 0x2F00_0000, ..Options::new(disk.len() as u64, Guid(*b"0123456789abcdef")) }
}

/// `disk` as a fixed file, written front to back.
pub fn fixed_stream(disk: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let sink = fixed::ordered(&mut file, &options(disk)).unwrap();
    drive_ordered(Box::new(sink), disk, &allocated(disk, 64 << 10));
    file
}

/// `disk` as a fixed file, written backwards.
pub fn fixed_file(disk: &[u8]) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let sink = fixed::positioned(Arc::clone(&file), &options(disk)).unwrap();
    drive_positioned(Box::new(sink), disk, &allocated(disk, 512), 5 * MIB / 2);
    std::mem::take(&mut *file.lock().unwrap())
}

/// `disk` as a dynamic file, written backwards in units that span blocks.
pub fn dynamic_file(disk: &[u8], block_size: u32) -> Vec<u8> {
    let options = Options { block_size, ..options(disk) };
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, 4096);
    let sink = dynamic::positioned(Arc::clone(&file), &options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges, 5 * MIB / 2);
    let file = std::mem::take(&mut *file.lock().unwrap());
    assert_eq!(file.len() as u64, dynamic::file_size(&options, ranges.iter().cloned()).unwrap());
    assert!(dynamic_stream(disk, &options, &ranges) == file, "written front to back, or in any order");
    file
}

/// `disk` as a dynamic file, written front to back.
fn dynamic_stream(disk: &[u8], options: &Options, ranges: &[Range<u64>]) -> Vec<u8> {
    let mut file = Vec::new();
    let sink = dynamic::ordered(&mut file, options, ranges.iter().cloned()).unwrap();
    drive_ordered(Box::new(sink), disk, ranges);
    file
}

/// Changes `bytes` of a structure (place, length, place of the checksum) and makes its checksum right again.
pub fn put(file: &mut [u8], structure: (usize, usize, usize), field: usize, bytes: &[u8]) {
    let (at, len, sum_at) = structure;
    let structure = &mut file[at..at + len];
    structure[field..field + bytes.len()].copy_from_slice(bytes);
    let sum = wimforge_vhd::layout::checksum(structure, sum_at);
    structure[sum_at..sum_at + 4].copy_from_slice(&sum.to_be_bytes());
}

/// The copy of the footer, and the header of a dynamic file.
pub const COPY: (usize, usize, usize) = (0, 512, 64);
pub const HEADER: (usize, usize, usize) = (512, 1024, 36);

/// The footer at the end.
pub fn footer(file: &[u8]) -> (usize, usize, usize) {
    (file.len() - 512, 512, 64)
}

/// Changes the footer at the end.
pub fn put_footer(file: &mut [u8], field: usize, bytes: &[u8]) {
    let structure = footer(file);
    put(file, structure, field, bytes);
}

/// Changes the footer and its copy.
pub fn put_footers(file: &mut [u8], field: usize, bytes: &[u8]) {
    put_footer(file, field, bytes);
    put(file, COPY, field, bytes);
}

/// Puts a locator of a parent into the header: platform, length, offset.
pub fn put_locator(file: &mut [u8], index: usize, platform: &[u8; 4], len: u32, offset: u64) {
    let entry = [&platform[..], &512u32.to_be_bytes(), &len.to_be_bytes(), &[0; 4], &offset.to_be_bytes()];
    put(file, HEADER, 576 + index * 24, &entry.concat());
}

/// Makes a dynamic file into a differencing one whose parent has `id`. The paths are put before the footer.
pub fn make_differencing(file: &mut Vec<u8>, id: [u8; 16], name: &str, relative: &str, absolute: &str) {
    put_footers(file, 60, &4u32.to_be_bytes());
    put(file, HEADER, 40, &id);
    let big_endian: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    put(file, HEADER, 64, &big_endian);
    let footer_bytes = file.split_off(file.len() - 512);
    for (index, (platform, path)) in [(b"W2ku", absolute), (b"W2ru", relative)].into_iter().enumerate() {
        let bytes: Vec<u8> = path.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let at = file.len() as u64;
        put_locator(file, index, platform, bytes.len() as u32, at);
        file.extend_from_slice(&bytes);
        file.resize(file.len().next_multiple_of(512), 0);
    }
    file.extend_from_slice(&footer_bytes);
}
