//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use disk::{OrderedSink, PositionedSink};
use wimforge_vmdk::{GRAIN_SIZE, Options, monolithic_sparse, stream_optimized};

pub const GRAIN: usize = GRAIN_SIZE as usize;

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

/// A disk of `mib` MiB with everything that matters: text, noise, single bytes, long gaps, a gap of more than a grain
/// table's span when it is large enough, and something in its last sector.
pub fn disk(mib: usize) -> Vec<u8> {
    let mut disk = vec![0; mib << 20];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = disk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let text: Vec<u8> = (0..40_000u32).flat_map(|i| format!("{i} grains, ").into_bytes()).collect();
    put(0, &noise(1, 512));
    put(100_000, &text);
    put((1 << 20) - 1, b"x");
    put(2 << 20, &noise(2, 300_000));
    put((32 << 20) - 70_000, &noise(3, 140_000));
    put((98 << 20) + 5, &text);
    let last = disk.len() - 1;
    disk[last] = 0xEE;
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

/// Hands `disk` to `sink` in units of `unit` bytes, leaving out the units that are zero.
pub fn drive_ordered(mut sink: Box<dyn OrderedSink + '_>, disk: &[u8], unit: usize) {
    let mut encoder = sink.encoder();
    let mut encoded = Vec::new();
    for (index, data) in disk.chunks(unit).enumerate() {
        if data.iter().all(|byte| *byte == 0) {
            continue;
        }
        encoded.clear();
        encoder.encode((index * unit) as u64, data, &codec::Tokens::new(), &mut encoded).unwrap();
        sink.commit((index * unit) as u64, data.len() as u64, &encoded).unwrap();
    }
    sink.finish().unwrap();
}

/// Hands the ranges of `disk` to `sink`, backwards.
pub fn drive_positioned(sink: Box<dyn PositionedSink + '_>, disk: &[u8], ranges: &[Range<u64>]) {
    for range in ranges.iter().rev() {
        let start = range.start as usize;
        for (index, data) in disk[start..range.end as usize].chunks(700 * 512).enumerate() {
            sink.write_at((start + index * 700 * 512) as u64, data).unwrap();
        }
    }
    sink.finish().unwrap();
}

/// `disk` as a streamOptimized file.
pub fn stream(disk: &[u8], options: &Options) -> Vec<u8> {
    let mut file = Vec::new();
    drive_ordered(Box::new(stream_optimized(&mut file, options).unwrap()), disk, 8 * GRAIN);
    file
}

/// `disk` as a monolithicSparse file.
pub fn sparse(disk: &[u8], options: &Options) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, GRAIN);
    let sink = monolithic_sparse(Arc::clone(&file), options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges);
    std::mem::take(&mut *file.lock().unwrap())
}

pub fn options(disk: &[u8]) -> Options {
    Options::new(disk.len() as u64, "disk.vmdk", 0x1234_5678)
}
