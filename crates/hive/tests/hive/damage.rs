//! Damaged files: an error or a tree, never a panic, and the checker knows of it.

use wimforge_hive::{Error, Hive, check, replay};

use crate::fixture;
use crate::raw::Raw;

/// Reads and checks; whatever can be read can be written and is the same again.
fn judge(bytes: &[u8]) {
    let report = check(bytes);
    match Hive::parse(bytes) {
        Ok(hive) => match hive.to_bytes() {
            Ok(written) => assert!(Hive::parse(&written).unwrap() == hive),
            Err(error) => {
                assert!(matches!(error, Error::Limit { .. } | Error::Unsupported { .. }), "{error}")
            }
        },
        Err(Error::Dirty { .. }) => {}
        Err(error) => assert!(!report.is_clean(), "{error}"),
    }
    let _ = replay(bytes, &[bytes, bytes]);
}

#[test]
fn every_byte_flipped() {
    for minor in [3, 5] {
        let raw = Raw(fixture::bytes(minor, false));
        for at in 0..raw.0.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut damaged = raw.clone();
                damaged.0[at] ^= flip;
                if at < 508 {
                    judge(&damaged.0);
                    damaged.sum();
                }
                judge(&damaged.0);
            }
        }
    }
}

#[test]
fn every_word_replaced() {
    let raw = Raw(fixture::bytes(5, false));
    for at in (0..raw.0.len() - 3).step_by(4).filter(|&at| raw.u32(at) != 0) {
        for word in [0, 1, 0x20, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0008, 0xFFFF_FFF8, u32::MAX] {
            let mut damaged = raw.clone();
            damaged.put(at, word);
            if at < 508 {
                damaged.sum();
            }
            judge(&damaged.0);
        }
    }
}

#[test]
fn every_length() {
    let bytes = fixture::bytes(5, false);
    for len in 0..bytes.len() {
        assert!(!check(&bytes[..len]).is_clean());
        Hive::parse(&bytes[..len]).unwrap_err();
        let _ = replay(&bytes[..len], &[&bytes]);
    }
}

#[test]
fn a_claim_costs_no_memory() {
    // A value of 2 GiB, in a hive of 8 KiB.
    let mut raw = Raw(fixture::bytes(5, true));
    let value = raw.value(raw.key("alpha"), 6);
    raw.put(value + 4, 0x7FFF_FFFF);
    let error = Hive::parse(&raw.0).unwrap_err();
    assert!(error.to_string().contains("3 segments, expected 131393 for 0x7fffffff bytes"), "{error}");
    // Bins of 2 GiB.
    let mut raw = Raw(fixture::bytes(5, false));
    raw.put(0x28, 0x7FFF_E000);
    raw.sum();
    let error = Hive::parse(&raw.0).unwrap_err();
    assert!(error.to_string().contains("the file has 0x2000 bytes"), "{error}");
}
