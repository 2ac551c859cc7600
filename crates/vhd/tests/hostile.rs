//! Files that were damaged, or made to do damage. Each names the structure at fault; none panics, hangs or makes the
//! reader hold more than its limits.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::sync::{Arc, Mutex};

use common::{
    COPY, HEADER, MIB, disk, dynamic_file, fixed_stream, footer, make_differencing, options, put, put_footer,
    put_footers, put_locator,
};
use disk::{OrderedSink, PositionedSink, ReadAt};
use proptest::prelude::*;
use wimforge_vhd::{Error, Options, Vhd, dynamic, fixed, is_vhd};

#[track_caller]
fn check(good: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    Vhd::open(Arc::new(good.to_vec())).unwrap();
    let mut file = good.to_vec();
    change(&mut file);
    let found = Vhd::open(Arc::new(file)).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

/// What `check` says of a file that opens.
#[track_caller]
fn faulty(good: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    Vhd::open(Arc::new(good.to_vec())).unwrap().check().unwrap();
    let mut file = good.to_vec();
    change(&mut file);
    let found = Vhd::open(Arc::new(file)).unwrap().check().unwrap_err().to_string();
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

#[test]
fn footers() {
    let good = fixed_stream(&disk(4 * MIB));
    check(&good, "malformed VHD footer at 0x400000: signature \"donectix\", expected \"conectix\"", |file| {
        file[4 * MIB] = b'd';
    });
    check(&good, "malformed VHD footer at 0x400000: checksum 0xffffe", |file| file[4 * MIB + 67] ^= 1);
    check(&good, "checksum", |file| file[4 * MIB + 511] = 1);
    check(&good, "version 0x00020000, expected 0x00010000", |file| put_footer(file, 12, &[0, 2]));
    check(&good, "disk type 5", |file| put_footer(file, 63, &[5]));
    check(&good, "malformed VHD footer at 0x0: signature", |file| put_footer(file, 63, &[4]));
    // The stored sum one too high, one too low.
    for off in [1, u32::MAX] {
        check(&good, "malformed VHD footer at 0x400000: checksum", |file| {
            let sum = u32::from_be_bytes(file[4 * MIB + 64..][..4].try_into().unwrap()).wrapping_add(off);
            file[4 * MIB + 64..][..4].copy_from_slice(&sum.to_be_bytes());
        });
    }
    check(&good, "current size 0, expected", |file| put_footer(file, 48, &[0; 8]));
    check(&good, "current size 4194305", |file| put_footer(file, 55, &[1]));
    check(&good, "current size 18446744073709551104, but 4194304 bytes precede it", |file| {
        put_footer(file, 48, &(u64::MAX - 511).to_be_bytes());
    });
    for len in [0, 1, 511, 512, 1024, good.len() - 1, good.len() - 512] {
        check(&good, "malformed VHD footer", |file| file.truncate(len));
    }
    // A fixed disk that says it is dynamic: no copy of the footer at its start.
    check(&good, "malformed VHD footer at 0x0: signature", |file| put_footer(file, 63, &[3]));
}

#[test]
fn copies_of_the_footer() {
    let good = dynamic_file(&disk(16 * MIB), 2 << 20);
    check(&good, "malformed VHD footer at 0x0: signature", |file| file[0] = 0);
    check(&good, "malformed VHD footer at 0x0: checksum", |file| file[100] = 1);
    check(&good, "malformed copy of the VHD footer at 0x0: describes another disk", |file| {
        put(file, COPY, 63, &[2])
    });
    check(&good, "describes another disk", |file| put(file, COPY, 54, &[2]));
    check(&good, "describes another disk", |file| put(file, COPY, 68, b"x"));
    // A suspended machine is no other disk.
    let mut file = good.clone();
    put(&mut file, COPY, 84, &[1]);
    assert_eq!(Vhd::open(Arc::new(file)).unwrap().footer_copy_equal(), Some(false));
    faulty(&good, "malformed copy of the VHD footer at 0x0: differs from the footer at 0x", |file| {
        put(file, COPY, 84, &[1]);
    });
    check(&good, "malformed VHD footer at", |file| file.truncate(file.len() - 512));
    assert!(is_vhd(&good[..good.len() - 512].to_vec()).unwrap(), "still says what it was");
    assert!(!is_vhd(&b"conec".to_vec()).unwrap());
    assert!(!is_vhd(&vec![0; 600]).unwrap());
}

#[test]
fn dynamic_headers() {
    let good = dynamic_file(&disk(16 * MIB), 2 << 20);
    for offset in [0, 511, u64::MAX, u64::MAX - 1000, good.len() as u64] {
        check(&good, "dynamic header offset", |file| put_footers(file, 16, &offset.to_be_bytes()));
    }
    // Inside the table, where there is no header.
    check(&good, "VHD dynamic header at 0x600: signature", |file| {
        put_footers(file, 16, &1536u64.to_be_bytes())
    });
    check(&good, "VHD dynamic header at 0x200: checksum", |file| file[600] ^= 1);
    for off in [1, u32::MAX] {
        check(&good, "VHD dynamic header at 0x200: checksum", |file| {
            let sum = u32::from_be_bytes(file[512 + 36..][..4].try_into().unwrap()).wrapping_add(off);
            file[512 + 36..][..4].copy_from_slice(&sum.to_be_bytes());
        });
    }
    check(&good, "version 0x00000000", |file| put(file, HEADER, 24, &[0; 4]));
    for (size, reason) in [
        (0u32, "block size 0, expected a power of two from 512"),
        (1, "block size 1, expected"),
        (256, "block size 256, expected"),
        (3 << 20, "block size 3145728, expected"),
        (u32::MAX, "block size 4294967295, expected"),
        (512 << 20, "block size 536870912 exceeds 268435456"),
        (1 << 31, "block size 2147483648 exceeds"),
        (512, "8 table entries, a disk of 16777216 bytes needs 32768"),
    ] {
        check(&good, reason, |file| put(file, HEADER, 32, &size.to_be_bytes()));
    }
    check(&good, "7 table entries, a disk of 16777216 bytes needs 8", |file| {
        put(file, HEADER, 28, &7u32.to_be_bytes())
    });
    // More entries than needed are common; how many is not believed.
    check(&good, "accepted", |file| put(file, HEADER, 28, &[0xFF; 4]));
    // `check` wants the table that the header speaks of to be there.
    faulty(
        &good,
        "malformed VHD dynamic header at 0x200: 4294967295 table entries: 0x600 (+ 0x3fffffffc)",
        |file| {
            put(file, HEADER, 28, &[0xFF; 4]);
        },
    );
    faulty(&good, "2000 table entries, which end at 0x2540 and overlap what lies at 0x1e00", |file| {
        put(file, HEADER, 28, &2000u32.to_be_bytes());
    });
    let mut one_more = good.clone();
    put(&mut one_more, HEADER, 28, &9u32.to_be_bytes());
    Vhd::open(Arc::new(one_more)).unwrap().check().unwrap();
    // A disk of 8 EiB whose table would have 2^42 entries, and one whose table would fit 2^32 - 1.
    check(
        &good,
        "4294967295 table entries, a disk of 9223372036854775808 bytes needs 4398046511104",
        |file| {
            put(file, HEADER, 28, &[0xFF; 4]);
            put_footers(file, 48, &(1u64 << 63).to_be_bytes());
        },
    );
    check(&good, "number of blocks 4294967295 exceeds 8388608", |file| {
        put(file, HEADER, 28, &[0xFF; 4]);
        put_footers(file, 48, &(((1u64 << 32) - 1) << 21).to_be_bytes());
    });
    check(&good, "block allocation table offset", |file| {
        put(file, HEADER, 28, &[0xFF; 4]);
        put_footers(file, 48, &((8u64 << 20) << 21).to_be_bytes());
    });
    for table in [0, 511, u64::MAX, u64::MAX - 8, good.len() as u64 - 520] {
        check(&good, "block allocation table offset", |file| put(file, HEADER, 16, &table.to_be_bytes()));
    }
    check(&good, "block allocation table at 0x200 overlaps the header", |file| {
        put(file, HEADER, 16, &512u64.to_be_bytes());
    });
}

#[test]
fn block_allocation_tables() {
    let good = dynamic_file(&disk(16 * MIB), 2 << 20);
    let entry = |block: usize, sector: u32| {
        move |file: &mut Vec<u8>| file[1536 + block * 4..][..4].copy_from_slice(&sector.to_be_bytes())
    };
    let last = (good.len() / 512) as u32;
    check(
        &good,
        "malformed VHD block allocation table entry at 0x600: block 0 0x0 (+ 0x200200)",
        entry(0, 0),
    );
    check(&good, "block 0 at 0x200 overlaps the header or the table", entry(0, 1));
    check(&good, "block 0 at 0x600 overlaps the header or the table", entry(0, 3));
    check(&good, "table entry at 0x608: block 2 0x", entry(2, last));
    check(&good, "block 2 0x", entry(2, last - 4096));
    check(&good, "block 2 0x1fffffffc00", entry(2, u32::MAX - 1));
    check(&good, "block 2 at 0x1e00 overlaps block 0", entry(2, 15));
    check(&good, "overlaps block", entry(2, 16));
    // No overlap, no matter: between two blocks there is no room for another, but in place of one that is given up.
    check(&good, "accepted", |file| {
        entry(0, u32::MAX)(file);
        entry(2, 15)(file);
    });
}

#[test]
fn parent_locators() {
    let mut good = dynamic_file(&disk(16 * MIB), 2 << 20);
    make_differencing(&mut good, [7; 16], "parent.vhd", ".\\parent.vhd", "C:\\parent.vhd");
    let place = good.len() as u64 - 512 - 1024;
    let locator =
        |len: u32, offset: u64| move |file: &mut Vec<u8>| put_locator(file, 0, b"W2ku", len, offset);
    check(&good, "accepted", locator(28, place));
    check(&good, "accepted", locator(0, u64::MAX));
    let at = "malformed VHD parent locator at 0x440: ";
    for (len, offset) in [
        (28, 0),
        (28, 511),
        (28, u64::MAX),
        (28, u64::MAX - 27),
        (28, place + 1024 - 27),
        (28, 1 << 40),
        (65536, place),
    ] {
        check(
            &good,
            &format!("{at}name {offset:#x} (+ {len:#x}) does not lie between 0x200"),
            locator(len, offset),
        );
    }
    for len in [65537, u32::MAX] {
        let reason = format!("VHD parent locator at 0x440: length {len} exceeds 65536");
        check(&good, &reason, locator(len, place));
    }
    check(&good, &format!("{at}27 bytes of UTF-16"), locator(27, place));
    for offset in [512, 1000, 1536, 1540] {
        check(&good, "overlaps the header or the table", locator(28, offset));
    }
    check(&good, "block 0 at 0x1e00 overlaps the name of the parent", locator(28, 0x1E00));
    check(&good, "overlaps the name of the parent", locator(28, 0x3000));
    // An unknown platform's text may be anything.
    check(&good, "accepted", |file| put_locator(file, 0, b"Wxyz", 27, place));
    // Unpaired surrogates, and text to the very end.
    let mut file = good.clone();
    put(&mut file, HEADER, 64, &[0xD8; 512]);
    file[place as usize..][..6].copy_from_slice(&[0x00, 0xDC, b'x', 0, 0x00, 0xD8]);
    put_locator(&mut file, 0, b"W2ku", 6, place);
    let vhd = Vhd::open(Arc::new(file)).unwrap();
    let parent = vhd.parent().unwrap();
    assert_eq!(parent.name, "\u{FFFD}".repeat(256));
    assert_eq!(parent.absolute_path.as_deref(), Some("\u{FFFD}x\u{FFFD}"));
    // A fixed or dynamic disk has no parent, whatever its header says.
    let mut dynamic = dynamic_file(&disk(16 * MIB), 2 << 20);
    put_locator(&mut dynamic, 0, b"W2ku", u32::MAX, u64::MAX);
    assert_eq!(Vhd::open(Arc::new(dynamic)).unwrap().parent(), None);
}

#[test]
fn sectors_whose_bit_is_clear_are_zero() {
    let disk = disk(16 * MIB);
    let mut file = dynamic_file(&disk, 2 << 20);
    // Block 0's bitmap: sector 0 stays, sector 1 to 7 go; they held zeros. Sectors 4032 on hold noise; 4033 goes.
    file[7680] = 0x80;
    file[7680 + 504] = 0xBF;
    let vhd = Vhd::open(Arc::new(file)).unwrap();
    for _ in 0..2 {
        let mut sectors = vec![0; 4 * 512];
        vhd.read_exact_at(&mut sectors, 4032 * 512 - 100).unwrap();
        let mut expected = disk[4032 * 512 - 100..][..4 * 512].to_vec();
        expected[100 + 512..100 + 1024].fill(0);
        assert!(sectors == expected);
        let mut first = [0; 512];
        vhd.read_exact_at(&mut first, 0).unwrap();
        assert_eq!(first, disk[..512]);
    }
}

#[test]
fn impossible_options() {
    let refused = |options: &Options| {
        matches!(fixed::ordered(Vec::new(), options), Err(Error::Impossible { .. }))
            && matches!(dynamic::file_size(options, std::iter::empty()), Err(Error::Impossible { .. }))
    };
    let good = options(&disk(MIB));
    assert!(!refused(&good));
    for size in [0, 511, 513, (2040 << 30) + 512, u64::MAX] {
        assert!(refused(&Options { size, ..good.clone() }), "{size}");
    }
    for block_size in [0, 1, 256 << 10, 3 << 20, 512 << 20, u32::MAX] {
        assert!(refused(&Options { block_size, ..good.clone() }), "{block_size}");
    }
    // Everything stored in the smallest blocks: more than 2^32 sectors.
    let full = Options { size: 2040 << 30, block_size: 512 << 10, ..good };
    let error = dynamic::file_size(&full, std::iter::once(0..full.size)).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(
        dynamic::file_size(&Options { block_size: 2 << 20, ..full }, std::iter::once(0..2040 << 30)).is_ok()
    );
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is what is refused")]
fn callers_that_break_the_contract_are_refused() {
    let options = options(&disk(16 * MIB));
    for ranges in [[0..1, 0..1], [5..9, 3..4], [0..1, 9..5], [0..1, 9..(16 << 20) + 1]] {
        assert!(dynamic::file_size(&options, ranges.clone().into_iter()).is_err(), "{ranges:?}");
    }
    // Ranges that share a block are one block.
    let shared = dynamic::file_size(&options, [0..1, 5..6, 7..7].into_iter()).unwrap();
    assert_eq!(shared, dynamic::file_size(&options, std::iter::once(0..2 << 20)).unwrap());

    let file = Arc::new(Mutex::new(Vec::new()));
    let sink = dynamic::positioned(Arc::clone(&file), &options, std::iter::once(0..1)).unwrap();
    sink.write_at(0, &[1; 1024]).unwrap();
    sink.write_at(2 << 20, &[]).unwrap();
    assert!(sink.write_at((2 << 20) - 512, &[1; 1024]).is_err(), "into a block that was not announced");
    assert!(sink.write_at(16 << 20, &[1]).is_err());
    assert!(sink.write_at(u64::MAX, &[1]).is_err());
    // Until it is finished, it is no VHD.
    assert!(!is_vhd(&*file.lock().unwrap()).unwrap());
    Box::new(sink).finish().unwrap();
    assert!(is_vhd(&*file.lock().unwrap()).unwrap());

    let mut sink = dynamic::ordered(Vec::new(), &options, [0..1, 4 << 20..5 << 20].into_iter()).unwrap();
    sink.commit(1024, 2, &[1, 2]).unwrap();
    assert!(sink.commit(1025, 1, &[1]).is_err(), "backwards");
    assert!(sink.commit(2048, 2, &[1]).is_err(), "not as long as its range");
    assert!(sink.commit(16 << 20, 1, &[1]).is_err(), "past the end");
    sink.commit(2 << 20, 0, &[]).unwrap();
    assert!(sink.commit(2 << 20, 1, &[1]).is_err(), "into a block that was not announced");
    assert!(sink.commit((6 << 20) - 1, 2, &[1; 2]).is_err(), "the second byte of it");

    let sink = fixed::positioned(Mutex::new(Vec::new()), &options).unwrap();
    assert!(sink.write_at((16 << 20) - 1, &[1; 2]).is_err());
    let mut sink = fixed::ordered(Vec::new(), &options).unwrap();
    sink.commit(1024, 2, &[1, 2]).unwrap();
    assert!(sink.commit(1025, 1, &[1]).is_err(), "backwards");
    assert!(sink.commit(2048, 2, &[1]).is_err(), "not as long as its range");
    assert!(sink.commit(16 << 20, 1, &[1]).is_err(), "past the end");
}

/// A small dynamic file, made once.
static SMALL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| dynamic_file(&disk(MIB), 512 << 10));

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// A changed byte anywhere in the structures, with right checksums, never panics; what opens can be read.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0usize..4096 + 512, any::<u8>()), 1..4)) {
        let mut file = SMALL.clone();
        for (at, byte) in changes {
            let at = if at < 4096 { at } else { file.len() - 512 + (at - 4096) };
            file[at] = byte;
        }
        let end = footer(&file);
        for structure in [COPY, HEADER, end] {
            put(&mut file, structure, 0, &[]);
        }
        if let Ok(vhd) = Vhd::open(Arc::new(file)) {
            let mut bytes = vec![0; vhd.disk_size().min(1 << 20) as usize];
            vhd.read_exact_at(&mut bytes, 0).unwrap();
        }
    }
}
