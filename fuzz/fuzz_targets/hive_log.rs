//! Whatever the logs: recovering a hive never panics, its result is a clean hive or an error, and it is not larger than
//! hive and logs together.
//!
//! An input is two logs (the first two bytes say how long the first is). Checksums of base blocks and entries are put
//! right in places, so that what lies behind them is reached.
#![no_main]

use std::sync::LazyLock;

use hive::{FileTime, Hive, Kind, replay};
use libfuzzer_sys::fuzz_target;

const DESCRIPTOR: [u8; 20] = [1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A dirty hive: sequence numbers 8 and 7.
static DIRTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut hive = Hive::new(5, "ROOT", &DESCRIPTOR, FileTime(1)).expect("a hive");
    hive.set_sequence(7);
    let key = hive.root_mut().create("a\\b").expect("a key");
    key.set("value", Kind::BINARY, vec![1; 5000]).expect("a value");
    let mut bytes = hive.to_bytes().expect("bytes");
    bytes[4] = 8;
    repair(&mut bytes);
    bytes
});

fn repair(bytes: &mut [u8]) {
    let Some(sector) = bytes.first_chunk_mut::<512>() else { return };
    let sum = sector[..508]
        .chunks_exact(4)
        .fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().expect("four bytes")));
    let sum = match sum {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    };
    sector[508..].copy_from_slice(&sum.to_le_bytes());
}

/// Marvin32 with the key of the registry.
fn marvin(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0x7A4E_55C5u32, 0x82EF_4D88u32);
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(4), 0);
    padded.extend([0; 4]);
    for word in padded.chunks_exact(4) {
        low = low.wrapping_add(u32::from_le_bytes(word.try_into().expect("four bytes")));
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Makes a log of what may be one: its base block's checksum, and the checksums of entries.
fn mend(log: &mut [u8]) {
    repair(log);
    let mut at = 512;
    while log.get(at..at + 4) == Some(b"HvLE") {
        let Some(size) = log.get(at + 4..at + 8) else { return };
        let size = u32::from_le_bytes(size.try_into().expect("four bytes")) as usize;
        let Some(entry) =
            log.get_mut(at..).and_then(|rest| rest.get_mut(..size)).filter(|entry| entry.len() > 40)
        else {
            return;
        };
        let body = marvin(&entry[40..]);
        entry[24..32].copy_from_slice(&body.to_le_bytes());
        let head = marvin(&entry[..32]);
        entry[32..40].copy_from_slice(&head.to_le_bytes());
        at += size;
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, low, high], rest)) = data.split_first_chunk::<3>() else { return };
    let first = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (first, second) = rest.split_at(first);
    let (mut first, mut second) = (first.to_vec(), second.to_vec());
    if mode & 1 == 0 {
        mend(&mut first);
        mend(&mut second);
    }
    let mut hive = DIRTY.clone();
    if mode & 2 != 0 {
        hive[0x1FC] ^= 1;
    }
    let Ok((bytes, recovery)) = replay(&hive, &[&first, &second]) else { return };
    assert!(recovery.dirty && recovery.base_restored == (mode & 2 != 0));
    assert!(bytes.len() <= hive.len() + first.len() + second.len());
    let _ = recovery.to_string();
    let (again, second) = replay(&bytes, &[]).expect("a clean hive");
    assert!(!second.dirty && again == bytes);
    if let Ok(hive) = Hive::parse(&bytes) {
        let _ = hive.to_bytes();
    }
});
