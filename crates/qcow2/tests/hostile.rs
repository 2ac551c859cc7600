//! Files that were damaged, or made to do damage. Each names the structure at fault; none panics, hangs or makes the
//! reader hold more than its limits.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use common::{MIB, compressed_file, disk, plain_file};
use disk::ReadAt;
use proptest::prelude::*;
use wimforge_qcow2::{Level, Qcow2, is_qcow2};

/// What opening, checking and reading the changed file says first.
fn said(file: Vec<u8>) -> String {
    let qcow2 = match Qcow2::open(file) {
        Ok(qcow2) => qcow2,
        Err(error) => return error.to_string(),
    };
    if let Err(error) = qcow2.check() {
        return format!("check: {error}");
    }
    let mut bytes = vec![0; qcow2.disk_size().min(20 << 20) as usize];
    qcow2
        .read_exact_at(&mut bytes, 0)
        .map_or_else(|error| format!("read: {error}"), |()| "accepted".to_owned())
}

#[track_caller]
fn check(good: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    assert_eq!(said(good.to_vec()), "accepted");
    let mut file = good.to_vec();
    change(&mut file);
    let found = said(file);
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_word(file: &mut [u8], at: usize, word: u64) {
    put(file, at, &word.to_be_bytes());
}

const COPIED: u64 = 1 << 63;
/// Where the tables of a small plain file lie.
const REFCOUNTS: usize = 0x1_0000;
const BLOCK: usize = 0x2_0000;
const L1: usize = 0x3_0000;
const L2: usize = 0x4_0000;
const DATA: usize = 0x5_0000;

#[test]
fn headers() {
    let good = plain_file(&disk(16 * MIB));
    for len in [0, 1, 103] {
        check(&good, "malformed qcow2 header at 0x0: file of", |file| file.truncate(len));
    }
    check(&good, "signature \"qFI\\xfb\", expected", |file| file[0] = b'q');
    check(&good, "unsupported qcow2 header at 0x0: version 1", |file| file[7] = 1);
    check(&good, "version 4", |file| file[7] = 4);
    for bits in [0, 8, 22, 63, 255] {
        check(&good, "cluster bits, expected 9 to 21", |file| file[23] = bits);
    }
    check(&good, "encryption (AES)", |file| file[35] = 1);
    check(&good, "encryption (LUKS)", |file| file[35] = 2);
    check(&good, "encryption method 3", |file| file[35] = 3);
    check(&good, "external data file", |file| file[79] |= 4);
    check(&good, "compression type 0, but the feature bit", |file| file[79] |= 8);
    check(&good, "incompatible feature bit 5", |file| file[79] |= 0x20);
    check(&good, "incompatible feature bit 63", |file| file[72] |= 0x80);
    check(&good, "refcount order 7", |file| file[99] = 7);
    check(&good, "header length 96", |file| file[103] = 96);
    check(&good, "header length 105", |file| file[103] = 105);
    check(&good, "header of 65544 bytes in a cluster of 65536", |file| {
        put(file, 100, &0x1_0008u32.to_be_bytes())
    });
    check(&good, "compression type 2", |file| {
        put(file, 100, &[0, 0, 0, 112, 2]);
    });
    check(&good, "disk size 0x8000000001000000, expected less than 2^63", |file| file[24] = 0x80);
    check(&good, "1 L1 entries, a disk of 1152921504623624192 bytes needs", |file| file[24] = 0x10);
    check(&good, "0 L1 entries", |file| put(file, 36, &[0; 4]));
    check(&good, "number of L1 entries 4194305 exceeds", |file| put(file, 36, &0x40_0001u32.to_be_bytes()));
    check(&good, "L1 table of 8388608 bytes at 0x30000", |file| put(file, 36, &0x10_0000u32.to_be_bytes()));
    for offset in [0, 1, 0x3_0001, 0x3_0200, u64::MAX, u64::MAX - 0xFFFF, good.len() as u64] {
        check(&good, "malformed qcow2 header at 0x0: L1 table of 8 bytes", |file| put_word(file, 40, offset));
        check(&good, "malformed qcow2 header at 0x0: refcount table of", |file| put_word(file, 48, offset));
    }
    check(&good, "length of the refcount table 8454144 exceeds", |file| file[59] = 129);
    check(&good, "number of snapshots 16777216 exceeds", |file| file[60] = 1);
    check(&good, "snapshot table of 256 bytes at 0x0", |file| file[62] = 1);
    assert!(!is_qcow2(&b"QFI".to_vec()).unwrap());
}

#[test]
fn backing_names_and_extensions() {
    let good = plain_file(&disk(16 * MIB));
    let name = |file: &mut Vec<u8>, at: u64, len: u32| {
        put_word(file, 8, at);
        put(file, 16, &len.to_be_bytes());
    };
    for (at, len) in [(0x70, 0xFFFF), (8, 8), (u64::MAX, 8), (0xFFFF, 8), (0x1_0000, 8)] {
        check(&good, "malformed qcow2 header at 0x0: name of the backing file", |file| name(file, at, len));
    }
    // A name that leads out is a name; nothing is opened.
    check(&good, "backing file \"/etc/passwd\\n\", which was not given", |file| {
        name(file, 0x200, 12);
        put(file, 0x200, b"/etc/passwd\n");
    });
    check(&good, "accepted", |file| name(file, 0x200, 0));
    for len in [0xFFFF_FFFFu32, 0x1_0000, 0xFF90 + 1] {
        check(&good, "malformed qcow2 header extension at 0x68: type 0x12345678", |file| {
            put(file, 104, &0x1234_5678u32.to_be_bytes());
            put(file, 108, &len.to_be_bytes());
        });
    }
    check(&good, "accepted", |file| {
        put(file, 104, &0x1234_5678u32.to_be_bytes());
        put(file, 108, &0xFF90u32.to_be_bytes());
    });
    // Nothing but extensions without content: as many as there is room for.
    check(&good, "accepted", |file| {
        (104..0x1_0000).step_by(8).for_each(|at| put(file, at, &[1, 0, 0, 0, 0, 0, 0, 0]))
    });
}

#[test]
fn tables() {
    let good = plain_file(&disk(16 * MIB));
    let l1 = "check: malformed qcow2 L1 entry at 0x30000";
    check(&good, l1, |file| put_word(file, L1, COPIED | 0x4_0001));
    check(&good, l1, |file| put_word(file, L1, COPIED | 0x4_0200));
    check(&good, l1, |file| put_word(file, L1, COPIED | 0x0400_0000_0004_0000));
    check(&good, l1, |file| put_word(file, L1, COPIED));
    let len = good.len() as u64;
    check(&good, l1, |file| put_word(file, L1, COPIED | len));
    check(&good, l1, |file| put_word(file, L1, COPIED | 0x00FF_FFFF_FFFF_0000));
    // An L2 table that is the L1 table, the header, data, itself.
    check(
        &good,
        "qcow2 L1 entry at 0x30000: uses the cluster at 0x30000, which a structure of the file uses",
        |file| {
            put_word(file, L1, COPIED | L1 as u64);
        },
    );
    check(&good, "L2 entry", |file| put_word(file, L1, COPIED | DATA as u64));
    check(&good, "qcow2 L2 entry at 0x40000: uses the cluster at 0x40000, which an L2 table uses", |file| {
        put_word(file, L2, COPIED | L2 as u64);
    });

    let l2 = "check: malformed qcow2 L2 entry at 0x40000: ";
    check(&good, &format!("{l2}entry 0x8000000000050002: reserved bits 0x2"), |file| {
        put_word(file, L2, COPIED | DATA as u64 | 2);
    });
    check(&good, &format!("{l2}entry 0x8000000000050200: not at a cluster"), |file| {
        put_word(file, L2, COPIED | DATA as u64 | 0x200);
    });
    check(&good, &format!("{l2}cluster at 0xffffffffff0000, past the file's end"), |file| {
        put_word(file, L2, COPIED | 0x00FF_FFFF_FFFF_0000);
    });
    check(&good, &format!("{l2}entry 0x8000000000000000: says that a cluster is there"), |file| {
        put_word(file, L2, COPIED);
    });
    check(&good, "uses the cluster at 0x50000, which a cluster of the disk uses", |file| {
        put_word(file, L2 + 8, COPIED | DATA as u64);
    });
    check(&good, "reserved bits 0x1", |file| {
        // Version 2 has no zero clusters.
        file[7] = 2;
        put_word(file, L2, 1);
    });

    check(
        &good,
        "qcow2 cluster at 0x50000: reference count 0, but a cluster of the disk uses it 1 times",
        |file| {
            put(file, BLOCK + 10, &[0, 0]);
        },
    );
    check(
        &good,
        "entry at 0x40000: says that it is only user of the cluster at 0x50000, whose reference count is 2",
        |file| {
            put(file, BLOCK + 10, &[0, 2]);
        },
    );
    check(&good, "says that it is not the only user", |file| put_word(file, L2, DATA as u64));
    check(&good, "qcow2 cluster at 0x0: reference count 0", |file| put_word(file, REFCOUNTS, 0));
    for entry in [1, 0x200, len, u64::MAX] {
        check(&good, "malformed qcow2 refcount table entry at 0x10000", |file| {
            put_word(file, REFCOUNTS, entry)
        });
    }
    check(&good, "refcount table entry at 0x10008: uses the cluster at 0x20000", |file| {
        put_word(file, REFCOUNTS + 8, BLOCK as u64);
    });
    // What nothing uses does no harm.
    let mut file = good.clone();
    put_word(&mut file, L2, 0);
    assert_eq!(Qcow2::open(file).unwrap().check().unwrap().leaked, 1);
}

#[test]
fn compressed_clusters() {
    // Three clusters of text; the entries lie in the L2 table behind the data.
    let text = testkit::content::text(1, 3 << 16);
    let good = compressed_file(&text, Level::Default);
    let l1 = Qcow2::open(good.clone()).unwrap().header().l1_offset as usize;
    let l2 = (u64::from_be_bytes(good[l1..l1 + 8].try_into().unwrap()) & !COPIED) as usize;
    let entry = u64::from_be_bytes(good[l2..l2 + 8].try_into().unwrap());
    assert_eq!((entry >> 62, entry & 0x3F_FFFF_FFFF_FFFF), (1, 0x1_0000));
    let len = good.len() as u64;
    check(&good, "compressed clusters are never the only user", |file| put_word(file, l2, entry | COPIED));
    for offset in [0, 0xFFFF, len, 0x3F_FFFF_FFFF_FFFF] {
        let changed = entry & !0x3F_FFFF_FFFF_FFFF | offset;
        check(&good, "L2 entry at 0x", |file| put_word(file, l2, changed));
    }
    // As long as it can be; what follows the stream does not matter.
    check(&good, "accepted", |file| {
        put_word(file, l2, entry | 0x03C0_0000_0000_0000);
    });
    check(&good, "read: malformed qcow2 compressed cluster at 0x10000: inflates to", |file| {
        put_word(file, l2, entry & !0x3FC0_0000_0000_0000);
    });
    check(&good, "read: malformed qcow2 compressed cluster at 0x10000: ", |file| {
        put(file, 0x1_0000, &[0xFF; 8])
    });
    check(&good, "uses the cluster", |file| put_word(file, l2, 1 << 62 | l2 as u64));
    check(&good, "reference count 2, but compressed clusters use it 3 times", |file| {
        let block = file.len() - 0x2_0000;
        put(file, block + 2, &[0, 2]);
    });
}

#[test]
fn snapshots() {
    let good = plain_file(&disk(16 * MIB));
    let with = |change: fn(&mut Vec<u8>)| {
        let mut file = good.clone();
        let at = file.len();
        file.resize(at + 0x2_0000, 0);
        put(&mut file, 60, &[0, 0, 0, 1]);
        put_word(&mut file, 64, at as u64);
        put_word(&mut file, at, at as u64 + 0x1_0000);
        put(&mut file, at + 8, &[0, 0, 0, 1]);
        let clusters = file.len() / 0x1_0000;
        put(&mut file, BLOCK + 2 * clusters - 4, &[0, 1, 0, 1]);
        change(&mut file);
        said(file)
    };
    let table = good.len();
    assert_eq!(with(|_| {}), "accepted");
    // The L1 table of the snapshot is that of the disk.
    let found = with(|file| {
        let at = file.len() - 0x2_0000;
        put_word(file, at, L1 as u64);
    });
    assert!(found.contains("uses the cluster at 0x30000"), "{found}");
    let found = with(|file| {
        let at = file.len() - 0x2_0000;
        put(file, at + 8, &[0xFF; 4]);
    });
    assert!(found.contains("exceeds 4194304"), "{found}");
    let found = with(|file| {
        let at = file.len() - 0x2_0000;
        put(file, at + 12, &[0xFF; 4]);
    });
    assert!(
        found.contains(&format!("malformed qcow2 snapshot at {:#x}: 65535 bytes leave", table + 40 + 65_535)),
        "{found}"
    );
    let found = with(|file| {
        let at = file.len() - 0x2_0000;
        put(file, at + 36, &[0xFF; 4]);
    });
    assert!(found.contains("length of additional data"), "{found}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_damage_is_survived(
        packed: bool, places in prop::collection::vec((0usize..0x7_0000, any::<u8>()), 1..6), cut in 0usize..0x9_0000,
    ) {
        let mut disk = vec![0; 1 << 20];
        disk[..3 << 16].copy_from_slice(&testkit::content::text(1, 3 << 16));
        let mut file = if packed { compressed_file(&disk, Level::Fast) } else { plain_file(&disk) };
        for (at, byte) in places {
            // Half of them where it matters.
            let at = if at % 2 == 0 { at & 0x7_003F } else { at };
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        file.truncate(cut.max(file.len() / 2));
        said(file);
    }
}
