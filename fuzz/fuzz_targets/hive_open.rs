//! Whatever the file: reading, checking and writing hives never panic. What is read can be written, or is refused for its
//! size; what is written is the same tree when it is read, makes the same bytes, and the checker finds no error in it.
//!
//! An input is a hive, or patches for one that is good. Checksum and equal sequence numbers are put right, so that what
//! lies behind that first hurdle is reached.
#![no_main]

use std::sync::LazyLock;

use hive::check::check;
use hive::{Error, FileTime, Hive, Kind};
use libfuzzer_sys::fuzz_target;

const DESCRIPTOR: [u8; 20] = [1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn base(minor: u32, large: bool) -> Vec<u8> {
    let mut hive = Hive::new(minor, "ROOT", &DESCRIPTOR, FileTime(1)).expect("a hive");
    let root = hive.root_mut();
    for i in 0..if large { 520 } else { 3 } {
        root.create(&format!("many\\key {i}")).expect("a key");
    }
    let key = root.create("a\\b\\\u{263A}").expect("a key");
    key.set_class(Some(&[65, 66])).expect("a class");
    let mut other = DESCRIPTOR.to_vec();
    other.extend([0; 8]);
    key.set_security(other);
    key.set("", Kind::SZ, hive::data::sz("text")).expect("a value");
    key.set("four", Kind::DWORD, hive::data::dword(7)).expect("a value");
    key.set("none", Kind(0xFFFF_0012), []).expect("a value");
    key.set("gr\u{F6}\u{DF}er", Kind::BINARY, vec![1; if large { 40_000 } else { 400 }]).expect("a value");
    key.set("\u{263A}", Kind::BINARY, vec![2; 50]).expect("a value");
    let bytes = hive.to_bytes().expect("bytes");
    assert!(check(&bytes).findings.is_empty());
    bytes
}

static BASES: LazyLock<[Vec<u8>; 4]> =
    LazyLock::new(|| [base(3, false), base(5, false), base(3, true), base(5, true)]);

/// Makes the base block one that is accepted.
fn repair(bytes: &mut [u8]) {
    let Some(sector) = bytes.first_chunk_mut::<512>() else { return };
    sector.copy_within(4..8, 8);
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

fn judge(bytes: &[u8]) {
    let report = check(bytes);
    assert!(report.findings.is_sorted());
    let _ = report.to_string();
    let hive = match Hive::parse(bytes) {
        Ok(hive) => hive,
        Err(error) => {
            assert!(!report.is_clean() || matches!(error, Error::Dirty { .. }), "{error}, and {report}");
            return;
        }
    };
    let written = match hive.to_bytes() {
        Ok(written) => written,
        Err(error) => {
            assert!(matches!(error, Error::Limit { .. } | Error::Unsupported { .. }), "{error}");
            return;
        }
    };
    let again = Hive::parse(&written).expect("what was written");
    assert!(again == hive, "the same tree");
    assert!(again.to_bytes().expect("the same") == written, "the same bytes");
    if report.is_clean() {
        let report = check(&written);
        assert!(report.is_clean(), "{report}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, mut rest)) = data.split_first() else { return };
    if mode & 2 != 0 {
        let mut bytes = rest.to_vec();
        if mode & 4 == 0 {
            repair(&mut bytes);
        }
        return judge(&bytes);
    }
    let mut bytes = BASES[usize::from(mode & 1 | mode >> 2 & 2)].clone();
    // A patch: where, how many bytes, and the bytes.
    while let Some((head, tail)) = rest.split_first_chunk::<3>() {
        let offset = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize % bytes.len();
        let Some((&len, tail)) = tail.split_first() else { break };
        let len = usize::from(len % 17).min(tail.len()).min(bytes.len() - offset);
        bytes[offset..offset + len].copy_from_slice(&tail[..len]);
        rest = &tail[len..];
    }
    repair(&mut bytes);
    judge(&bytes);
});
