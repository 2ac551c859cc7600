//! Damaged files: an error or a tree, never a panic, and the checker knows of it.

use wimforge_hive::check::{Code, Severity};
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

/// Appends a bin with one cell in use, of this content; where the cell is, from the first bin.
fn append(raw: &mut Raw, content: &[u8]) -> u32 {
    let bin = raw.0.len() - 4096;
    let size = (content.len() + 36).next_multiple_of(4096);
    raw.0.extend(b"hbin");
    raw.0.extend((bin as u32).to_le_bytes());
    raw.0.extend((size as u32).to_le_bytes());
    raw.0.extend([0; 20]);
    raw.0.extend((32 - size as i32).to_le_bytes());
    raw.0.extend(content);
    raw.0.resize(4096 + bin + size, 0);
    raw.put(0x28, (bin + size) as u32);
    raw.sum();
    bin as u32 + 32
}

#[test]
fn a_claim_costs_no_time() {
    // A list of 655,350 subkeys, which are all the same, and whose name has 32,000 characters: a checker that compares each
    // with the one before it is busy for a minute.
    let mut raw = Raw(fixture::bytes(5, false));
    let alpha = raw.key("alpha");
    let mut key = raw.0[alpha..alpha + 76].to_vec();
    key[2] = 0;
    key[0x48..0x4A].copy_from_slice(&64_000u16.to_le_bytes());
    key.extend([0x41, 0x04].repeat(32_000));
    let key = append(&mut raw, &key);
    let mut lists = vec![b'r', b'i', 10, 0];
    for _ in 0..10 {
        let mut leaf = vec![b'l', b'i', 0xFF, 0xFF];
        leaf.extend(key.to_le_bytes().repeat(0xFFFF));
        lists.extend(append(&mut raw, &leaf).to_le_bytes());
    }
    let list = append(&mut raw, &lists);
    let root = raw.root();
    raw.put(root + 0x14, 655_350);
    raw.put(root + 0x1C, list);
    let report = check(&raw.0);
    assert!(report.has(Code::CellShared, Severity::Error) && report.errors > 600_000);
    assert!(Hive::parse(&raw.0).is_err());
}

#[test]
fn a_path_costs_no_memory() {
    // Names of 60,000 characters, 300 of them below each other: paths of megabytes, for each of many findings.
    let mut raw = Raw(fixture::bytes(5, false));
    let alpha = raw.key("alpha");
    let mut below: Option<u32> = None;
    for _ in 0..300 {
        let mut key = raw.0[alpha..alpha + 76].to_vec();
        key[0x48..0x4A].copy_from_slice(&60_000u16.to_le_bytes());
        key.extend([b'n'; 60_000]);
        let mut key = Raw(key);
        key.put(0x14, u32::from(below.is_some()));
        key.put(0x1C, u32::MAX);
        if let Some(below) = below {
            let mut leaf = vec![b'l', b'i', 1, 0];
            leaf.extend(below.to_le_bytes());
            let leaf = append(&mut raw, &leaf);
            key.put(0x1C, leaf);
        }
        below = Some(append(&mut raw, &key.0));
    }
    let list = raw.follow(raw.root() + 0x1C);
    raw.put(list + 4, below.unwrap());
    let report = check(&raw.0);
    assert!(report.has(Code::KeyName, Severity::Error) && report.errors > 300);
    let longest =
        report.findings.iter().filter_map(|found| found.path.as_ref()).map(String::len).max().unwrap();
    assert!((256..1 << 15).contains(&longest), "{longest}");
    assert!(report.to_string().len() < 16 << 20);
}
