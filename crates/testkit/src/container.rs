//! Disks for the tests of containers: one with what matters to them, handed to a sink in the ways that sinks are used,
//! and read back.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use codec::Tokens;
use disk::{BlockMap, OrderedSink, PositionedSink, RangeKind, ReadAt, WriteAt};

use crate::content::{noise, program, text};

const MIB: usize = 1 << 20;
/// Reads of this length fit no block, cluster or grain.
const ODD: usize = 150_001;

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = disk.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// A disk of `len` bytes: a boot sector, data across two blocks, a gap, something in the last sector. Of a disk that is too
/// short for a piece, that piece is left out.
pub fn disk(len: usize) -> Vec<u8> {
    let mut disk = vec![0; len];
    put(&mut disk, 0, &noise(1, 512));
    put(&mut disk, 2 * MIB - 70_000, &noise(2, 140_000));
    put(&mut disk, 9 * MIB + 5, &noise(3, 3 * MIB));
    put(&mut disk, len - 1, &[0xEE]);
    disk
}

/// The same with text and a program, for containers that compress.
pub fn compressible_disk(len: usize) -> Vec<u8> {
    let mut disk = disk(len);
    put(&mut disk, 3 * MIB, &text(4, MIB));
    put(&mut disk, 5 * MIB, &program(5, MIB / 2));
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

/// Hands `ranges` of `disk` to a sink, encoded in another order than they are committed in, and finishes it.
///
/// # Panics
/// When the sink refuses anything.
pub fn drive_ordered(mut sink: Box<dyn OrderedSink + '_>, disk: &[u8], ranges: &[Range<u64>]) {
    let encode = |range: &Range<u64>| {
        let mut out = Vec::new();
        let encoded = sink.encoder().encode(range.start, part(disk, range), &Tokens::new(), &mut out);
        encoded.expect("the sink encodes");
        out
    };
    let encoded: Vec<_> = ranges.iter().rev().map(encode).collect();
    for (range, encoded) in ranges.iter().zip(encoded.iter().rev()) {
        sink.commit(range.start, range.end - range.start, encoded).expect("the sink takes it");
    }
    sink.finish().expect("the sink finishes");
}

/// Hands `ranges` of `disk` to a sink, backwards and in pieces of at most `piece` bytes, and finishes it.
///
/// # Panics
/// When the sink refuses anything.
pub fn drive_positioned(
    sink: Box<dyn PositionedSink + '_>,
    disk: &[u8],
    ranges: &[Range<u64>],
    piece: usize,
) {
    for range in ranges.iter().rev() {
        for (index, data) in part(disk, range).chunks(piece).enumerate() {
            sink.write_at(range.start + (index * piece) as u64, data).expect("the sink takes it");
        }
    }
    sink.finish().expect("the sink finishes");
}

/// The whole disk, read in pieces that fit nothing.
///
/// # Panics
/// When it cannot be read.
pub fn read_all(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0xAA; disk.size().expect("the disk has a size") as usize];
    for (index, piece) in bytes.chunks_mut(ODD).enumerate() {
        disk.read_exact_at(piece, (index * ODD) as u64).expect("the disk is read");
    }
    bytes
}

/// Walks the map of a disk that holds `bytes`: without gaps, and zero where it says so. Returns how many bytes are stored.
///
/// # Panics
/// When the map is wrong.
pub fn walk(map: &dyn BlockMap, bytes: &[u8]) -> u64 {
    let (mut offset, mut stored) = (0, 0);
    while let Some(range) = map.range_at(offset).expect("the map is read") {
        let end = range.start + range.len;
        assert!(
            range.start <= offset && end > offset && end <= bytes.len() as u64,
            "{range:?} at {offset:#x}"
        );
        match range.kind {
            RangeKind::Zero => {
                assert!(bytes[offset as usize..end as usize].iter().all(|byte| *byte == 0), "{range:?}");
            }
            RangeKind::Data => stored += end - offset,
        }
        offset = end;
    }
    assert_eq!(offset, bytes.len() as u64, "the map ends with the disk");
    stored
}

/// Writes what is stored of a disk to a new sparse file. Returns how many bytes that are.
///
/// # Panics
/// When it cannot be read or written.
pub fn write_sparse(map: &dyn BlockMap, path: &Path) -> u64 {
    let raw = File::create(path).expect("a file is made");
    raw.set_len(map.size().expect("the disk has a size")).expect("the file is made that long");
    let (mut offset, mut stored) = (0, 0);
    let mut buffer = vec![0; MIB];
    while let Some(range) = map.range_at(offset).expect("the map is read") {
        let end = range.start + range.len;
        if range.kind == RangeKind::Data {
            stored += end - offset;
            for start in (offset..end).step_by(MIB) {
                let bytes = &mut buffer[..(end - start).min(MIB as u64) as usize];
                map.read_exact_at(bytes, start).expect("the disk is read");
                if !disk::is_zero(bytes) {
                    raw.write_all_at(bytes, start).expect("the file is written");
                }
            }
        }
        offset = end;
    }
    stored
}
