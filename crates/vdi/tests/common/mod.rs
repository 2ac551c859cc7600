//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use codec::Tokens;
use disk::{BlockMap, Guid, OrderedSink, PositionedSink, RangeKind, ReadAt, WriteAt};
use wimforge_vdi::{Kind, Options, dynamic, fixed};

pub const MIB: usize = 1 << 20;

/// A disk of `len` bytes: a boot sector, noise across clusters, text, a gap, something in the last sector.
pub fn disk(len: usize) -> Vec<u8> {
    let mut disk = vec![0; len];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = disk.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    let noise = |seed, len| testkit::content::Random::new(seed).bytes(len);
    put(0, &noise(1, 512));
    put(2 * MIB - 70_000, &noise(2, 140_000));
    put(3 * MIB, &testkit::content::text(4, MIB));
    put(5 * MIB, &testkit::content::program(5, MIB / 2));
    put(9 * MIB + 5, &noise(3, 3 * MIB));
    put(len - 1, &[0xEE]);
    disk
}

/// The ranges of `disk` that are not zero, in units of `unit`.
pub fn allocated(disk: &[u8], unit: usize) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (index, chunk) in disk.chunks(unit).enumerate() {
        if chunk.iter().any(|byte| *byte != 0) {
            let start = (index * unit) as u64;
            let end = start + chunk.len() as u64;
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
    }
    ranges
}

fn part<'a>(disk: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    &disk[range.start as usize..range.end as usize]
}

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
    for range in ranges.iter().rev() {
        sink.write_at(range.start, part(disk, range)).unwrap();
    }
    sink.finish().unwrap();
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
    let mut sink: Box<dyn OrderedSink + '_> = match kind {
        Kind::Fixed => Box::new(fixed::ordered(&mut file, &options(disk)).unwrap()),
        _ => Box::new(dynamic::ordered(&mut file, &options(disk), ranges.iter().cloned()).unwrap()),
    };
    drive(&mut *sink, disk, &ranges);
    sink.finish().unwrap();
    file
}

/// Commits units, encoded in another order than they are committed.
fn drive(sink: &mut dyn OrderedSink, disk: &[u8], ranges: &[Range<u64>]) {
    let encoded: Vec<_> = ranges
        .iter()
        .rev()
        .map(|range| {
            let mut out = Vec::new();
            sink.encoder().encode(range.start, part(disk, range), &Tokens::new(), &mut out).unwrap();
            out
        })
        .collect();
    for (range, encoded) in ranges.iter().zip(encoded.iter().rev()) {
        sink.commit(range.start, range.end - range.start, encoded).unwrap();
    }
}

/// The whole disk, read in pieces that fit nothing.
pub fn read_all(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0xAA; disk.size().unwrap() as usize];
    for (index, piece) in bytes.chunks_mut(150_001).enumerate() {
        disk.read_exact_at(piece, index as u64 * 150_001).unwrap();
    }
    bytes
}

/// Walks the map: without gaps, and zero where it says so. Returns how many bytes are stored.
pub fn walk(map: &dyn BlockMap, bytes: &[u8]) -> u64 {
    let (mut offset, mut stored) = (0, 0);
    while let Some(range) = map.range_at(offset).unwrap() {
        assert_eq!(range.start, offset);
        let part = &bytes[offset as usize..][..range.len as usize];
        match range.kind {
            RangeKind::Zero => assert!(part.iter().all(|byte| *byte == 0)),
            RangeKind::Data => stored += range.len,
        }
        offset += range.len;
    }
    assert_eq!(offset, bytes.len() as u64);
    stored
}

/// Writes what is stored of a disk to a sparse file.
pub fn write_sparse(map: &dyn BlockMap, path: &Path) {
    let raw = File::create(path).unwrap();
    raw.set_len(map.size().unwrap()).unwrap();
    let mut offset = 0;
    while let Some(range) = map.range_at(offset).unwrap() {
        if range.kind == RangeKind::Data {
            let mut bytes = vec![0; range.len as usize];
            map.read_exact_at(&mut bytes, range.start).unwrap();
            raw.write_all_at(&bytes, range.start).unwrap();
        }
        offset += range.len;
    }
}
