//! Files that were damaged, or made to do damage. Each names the structure at fault; none panics, hangs or makes the
//! reader hold more than its limits.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::sync::LazyLock;

use common::{MIB, disk, file};
use disk::ReadAt;
use proptest::prelude::*;
use wimforge_vdi::{Kind, Vdi, is_vdi};

/// What opening, checking and reading the changed file says first.
fn said(file: Vec<u8>) -> String {
    let vdi = match Vdi::open(file) {
        Ok(vdi) => vdi,
        Err(error) => return error.to_string(),
    };
    if let Err(error) = vdi.check() {
        return format!("check: {error}");
    }
    let mut bytes = vec![0; vdi.disk_size().min(20 << 20) as usize];
    vdi.read_exact_at(&mut bytes, 0).map_or_else(|error| format!("read: {error}"), |()| "accepted".to_owned())
}

#[track_caller]
fn check(good: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    assert_eq!(said(good.to_vec()), "accepted");
    let mut file = good.to_vec();
    change(&mut file);
    let found = said(file);
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

fn put(file: &mut [u8], at: usize, word: u32) {
    file[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

#[test]
fn headers() {
    let good = file(&disk(13 * MIB), Kind::Dynamic);
    for len in [0, 1, 511] {
        check(&good, "malformed VDI header at 0x0: file of", |file| file.truncate(len));
    }
    check(&good, "signature 0xbeda107e, expected 0xbeda107f", |file| file[0x40] = 0x7E);
    check(&good, "unsupported VDI header at 0x0: version 0.2", |file| put(file, 0x44, 2));
    check(&good, "version 2.0", |file| put(file, 0x44, 0x2_0000));
    for size in [0, 0x17F, 0x1B9, u32::MAX] {
        check(&good, "header size", |file| put(file, 0x48, size));
    }
    check(&good, "undo disk", |file| put(file, 0x4C, 3));
    check(&good, "type 5, expected 1 to 4", |file| put(file, 0x4C, 5));
    check(&good, "sector size 4096", |file| put(file, 0x168, 4096));
    check(&good, "512 bytes of additional data", |file| put(file, 0x17C, 512));
    for size in [0, 1, 2048, 0x10_0001] {
        check(&good, "block size", |file| put(file, 0x178, size));
    }
    check(&good, "block size 134217728 exceeds 67108864", |file| put(file, 0x178, 128 << 20));
    check(&good, "12 blocks, a disk of 13631488 bytes needs 13", |file| put(file, 0x180, 12));
    check(&good, "number of blocks 4294967295 exceeds 268435456", |file| put(file, 0x180, u32::MAX));
    check(&good, "(+ 0x40000000), expected at a sector", |file| put(file, 0x180, 1 << 28));
    check(&good, "disk size 0, expected", |file| put(file, 0x170, 0));
    check(&good, "disk size 13631489, expected", |file| file[0x170] = 1);
    check(&good, "13 blocks, a disk of 18446744073709551104 bytes needs", |file| {
        put(file, 0x170, u32::MAX - 511);
        put(file, 0x174, u32::MAX);
    });
    check(&good, "14 of 13 blocks are stored", |file| put(file, 0x184, 14));
    for map in [0, 0x1FF, 0x201, u32::MAX, u32::MAX - 511] {
        check(&good, "VDI header at 0x0: block map at", |file| put(file, 0x154, map));
    }
    for data in [0, 0x10_0000, 0x10_0033, 0x20_0001] {
        check(&good, "VDI header at 0x0: data at", |file| put(file, 0x158, data));
    }
    check(&good, "leaves the file", |file| put(file, 0x158, u32::MAX - 511));
    check(&good, "block map at 0x100000", |file| file.truncate(MIB + 51));
    assert!(!is_vdi(&vec![0; 600]).unwrap());
}

#[test]
fn maps() {
    let good = file(&disk(13 * MIB), Kind::Dynamic);
    let entry = |block: usize| MIB + block * 4;
    check(
        &good,
        "check: malformed VDI block map entry at 0x100004: block 1 at 0x200000 is another one's, too",
        |file| {
            put(file, entry(1), 0);
        },
    );
    check(
        &good,
        "block map entry at 0x100010: block 4 is stored as number 9, of 9 that are stored",
        |file| {
            put(file, entry(4), 9);
        },
    );
    check(&good, "block 4 is stored as number 4294967293", |file| put(file, entry(4), u32::MAX - 2));
    check(&good, "VDI header at 0x184: 9 blocks are said to be stored, the map has 8", |file| {
        put(file, entry(12), u32::MAX);
    });
    check(&good, "10 blocks are said to be stored, the map has 9", |file| put(file, 0x184, 10));
    check(&good, "block 12 at 0xa00000 (+ 0x100000) leaves the file", |file| {
        file.pop();
    });
    // What is said of a block is said when it is read, too.
    let mut file = good.clone();
    put(&mut file, entry(4), 100);
    let error = Vdi::open(file).unwrap().read_exact_at(&mut [0; 2], 5 * MIB as u64 - 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("block map entry at 0x100010"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_damage_is_survived(
        places in prop::collection::vec((0usize..0x200, any::<u8>()), 1..6),
        entries in prop::collection::vec((0usize..4, any::<u32>()), 0..3), cut in 0usize..0x40_0000,
    ) {
        static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| file(&disk(2 * MIB), Kind::Dynamic));
        let mut file = GOOD.clone();
        for (at, byte) in places {
            file[at] = byte;
        }
        for (block, entry) in entries {
            put(&mut file, MIB + block * 4, entry);
        }
        file.truncate(cut.max(0x200));
        said(file);
    }
}
