//! A monolithicSparse VMDK written front to back is the one that is written anywhere.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::ops::Range;
use std::sync::{Arc, Mutex};

use disk::{OrderedSink, PositionedSink};
use wimforge_vmdk::{
    Error, GRAIN_SIZE, Options, monolithic_sparse, monolithic_sparse_ordered, monolithic_sparse_size,
};

const SIZE: u64 = 80 << 20;

fn options() -> Options {
    Options::new(SIZE, "disk.vmdk", 7)
}

/// Grains in several tables, the last of the disk among them.
fn ranges() -> Vec<Range<u64>> {
    vec![
        0..GRAIN_SIZE,
        3 * GRAIN_SIZE + 512..6 * GRAIN_SIZE,
        (32 << 20) - 512..(33 << 20) + 5 * 512,
        SIZE - 1024..SIZE,
    ]
}

fn content(range: &Range<u64>) -> Vec<u8> {
    range.clone().map(|at| (at / 512 + at % 251) as u8).collect()
}

#[test]
fn both_ways_give_the_same_file() {
    let file = Arc::new(Mutex::new(Vec::new()));
    let positioned = monolithic_sparse(Arc::clone(&file), &options(), ranges().into_iter()).unwrap();
    let mut bytes = Vec::new();
    let mut ordered =
        Box::new(monolithic_sparse_ordered(&mut bytes, &options(), ranges().into_iter()).unwrap());
    let mut encoder = ordered.encoder();
    for range in ranges() {
        let data = content(&range);
        // Cut where nothing else is.
        for (number, piece) in data.chunks(5 * 512).enumerate() {
            let offset = range.start + number as u64 * 5 * 512;
            positioned.write_at(offset, piece).unwrap();
            let mut encoded = Vec::new();
            encoder.encode(offset, piece, &codec::Tokens::default(), &mut encoded).unwrap();
            ordered.commit(offset, piece.len() as u64, &encoded).unwrap();
        }
    }
    Box::new(positioned).finish().unwrap();
    ordered.finish().unwrap();
    assert_eq!(bytes.len() as u64, monolithic_sparse_size(&options(), ranges().into_iter()).unwrap());
    assert!(*file.lock().unwrap() == bytes);
}

#[test]
fn what_is_out_of_place_is_refused() {
    let mut sink = monolithic_sparse_ordered(Vec::new(), &options(), ranges().into_iter()).unwrap();
    sink.commit(3 * GRAIN_SIZE, 512, &[1; 512]).unwrap();
    for (offset, len) in
        [(0, 512), (3 * GRAIN_SIZE, 512), (10 * GRAIN_SIZE, 512), (SIZE, 512), (4 * GRAIN_SIZE, 511)]
    {
        assert!(sink.commit(offset, len, &[1; 512]).is_err(), "{offset:#x}");
    }
    assert!(sink.commit(u64::MAX, 512, &[1; 512]).is_err());
    let backwards = [GRAIN_SIZE..2 * GRAIN_SIZE, 0..GRAIN_SIZE];
    let result = monolithic_sparse_ordered(Vec::new(), &options(), backwards.into_iter());
    assert!(matches!(result, Err(Error::Impossible { .. })));
}
