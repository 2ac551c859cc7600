//! Any bytes are a cabinet or are refused; its files stay where they belong, and are the same one by one and all at once.
//!
//! Checksums of blocks would stop nearly every mutation, so an input is tried as it is and with all of them taken out.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use servicing::{Cabinet, Error};

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    bytes
        .get(at..at + len)
        .map_or(0, |bytes| bytes.iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte)))
}

/// The same without checksums, as far as folders and blocks can be followed.
fn unsealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let (mut at, mut folder_reserve, mut data_reserve) = (36, 0, 0);
    if number(data, 30, 2) & 4 != 0 {
        folder_reserve = number(data, 38, 1);
        data_reserve = number(data, 39, 1);
        at = 40 + number(data, 36, 2);
    }
    for _ in 0..number(data, 26, 2).min(16) {
        let mut block = number(data, at, 4);
        for _ in 0..number(data, at + 4, 2).min(64) {
            let Some(checksum) = bytes.get_mut(block..block + 4) else { break };
            checksum.fill(0);
            block += 8 + data_reserve + number(data, block + 4, 2);
        }
        at += 8 + folder_reserve;
    }
    bytes
}

fn read(bytes: Vec<u8>) {
    let len = bytes.len() as u64;
    let Ok(cabinet) = Cabinet::open(Arc::new(bytes)) else { return };
    assert!(cabinet.size() <= len);
    for entry in cabinet.entries() {
        let path = entry.path();
        assert!(
            path.split('/')
                .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains([':', '\\']))
        );
        assert_eq!(cabinet.find(&path.to_ascii_uppercase()).map(|found| found.path()), Some(path));
    }
    let mut files = BTreeMap::new();
    let all = cabinet.extract_all::<Error>(&mut |entry, bytes| {
        assert_eq!(entry.size(), bytes.len() as u64);
        files.insert(entry.path().to_owned(), bytes);
        Ok(())
    });
    for entry in cabinet.entries().iter().take(8) {
        match (cabinet.read(entry.path()), files.get(entry.path())) {
            (Ok(bytes), Some(same)) => assert!(bytes == *same),
            (Err(_), Some(_)) => panic!("{} can be read with others and not alone", entry.path()),
            (Ok(_), None) => assert!(all.is_err()),
            (Err(_), None) => assert!(all.is_err()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    read(data.to_vec());
    read(unsealed(data));
});
