//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use disk::{Guid, OrderedSink, PositionedSink};
use wimforge_vhd::{Options, dynamic, fixed};

pub const MIB: usize = 1 << 20;

/// Reproducible noise.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// A disk of `len` bytes: a boot sector, data across two blocks, a gap, something in the last sector.
pub fn disk(len: usize) -> Vec<u8> {
    let mut disk = vec![0; len];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = disk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &noise(1, 512));
    put(2 * MIB - 70_000, &noise(2, 140_000));
    put(9 * MIB + 5, &noise(3, 3 * MIB));
    put(len - 1, &[0xEE]);
    disk
}

/// The ranges of `disk` that are not zero, in blocks of `block`.
pub fn allocated(disk: &[u8], block: usize) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (index, chunk) in disk.chunks(block).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            let start = (index * block) as u64;
            let end = start + chunk.len() as u64;
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
    }
    ranges
}

pub fn options(disk: &[u8]) -> Options {
    Options { timestamp: 0x2F00_0000, ..Options::new(disk.len() as u64, Guid(*b"0123456789abcdef")) }
}

/// `disk` as a fixed file, written front to back.
pub fn fixed_stream(disk: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sink = fixed::ordered(&mut file, &options(disk)).unwrap();
    let mut encoder = sink.encoder();
    for range in allocated(disk, 64 << 10) {
        let mut encoded = Vec::new();
        encoder
            .encode(
                range.start,
                &disk[range.start as usize..range.end as usize],
                &codec::Tokens::new(),
                &mut encoded,
            )
            .unwrap();
        sink.commit(range.start, range.end - range.start, &encoded).unwrap();
    }
    Box::new(sink).finish().unwrap();
    file
}

/// `disk` as a fixed file, written backwards.
pub fn fixed_file(disk: &[u8]) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let sink = fixed::positioned(Arc::clone(&file), &options(disk)).unwrap();
    drive_positioned(Box::new(sink), disk, &allocated(disk, 512));
    std::mem::take(&mut *file.lock().unwrap())
}

/// `disk` as a dynamic file, written backwards in units that span blocks.
pub fn dynamic_file(disk: &[u8], block_size: u32) -> Vec<u8> {
    let options = Options { block_size, ..options(disk) };
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, 4096);
    let sink = dynamic::positioned(Arc::clone(&file), &options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges);
    let file = std::mem::take(&mut *file.lock().unwrap());
    assert_eq!(file.len() as u64, dynamic::file_size(&options, ranges.iter().cloned()).unwrap());
    file
}

fn drive_positioned(sink: Box<dyn PositionedSink + '_>, disk: &[u8], ranges: &[Range<u64>]) {
    for range in ranges.iter().rev() {
        let start = range.start as usize;
        for (index, data) in disk[start..range.end as usize].chunks(5 * MIB / 2).enumerate() {
            sink.write_at((start + index * 5 * MIB / 2) as u64, data).unwrap();
        }
    }
    sink.finish().unwrap();
}
