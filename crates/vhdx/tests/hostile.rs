//! Files that were damaged, or made to do damage. Each names the structure at fault; none panics, hangs or makes the
//! reader hold more than its limits. Logs have tests of their own.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::sync::{Arc, Mutex};

use common::{
    ITEMS, KIB, MIB, disk, dynamic, entry, make_differencing, options, put, put_entry, put_headers, put_item,
    put_regions, read_all,
};
use disk::{Guid, OrderedSink, PositionedSink, ReadAt};
use proptest::prelude::*;
use wimforge_vhdx::layout::{FLAG_REQUIRED, FLAG_USER, INCOMPLETE_FILE, PHYSICAL_SECTOR_SIZE, table_entry};
use wimforge_vhdx::{Error, Options, Vhdx, file_size, is_vhdx, ordered, positioned};

/// A file of four blocks of 1 MiB, all stored but the third, at 4, 5 and 6 MiB.
fn good() -> Vec<u8> {
    let mut disk = disk(4 * MIB);
    disk[2 * MIB..3 * MIB].fill(0);
    dynamic(&disk)
}

#[track_caller]
fn check(expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut file = good();
    Vhdx::open(file.clone()).unwrap().check().unwrap();
    change(&mut file);
    let found = Vhdx::open(file).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

/// What `check` says of a file that opens.
#[track_caller]
fn faulty(expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut file = good();
    let before = read_all(&Vhdx::open(file.clone()).unwrap());
    change(&mut file);
    let vhdx = Vhdx::open(file).unwrap();
    assert!(read_all(&vhdx) == before);
    let found = vhdx.check().unwrap_err().to_string();
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

#[test]
fn identifiers() {
    check("malformed VHDX file identifier at 0x0: signature \"whdxfile\", expected \"vhdxfile\"", |file| {
        file[0] = b'w'
    });
    for len in [0, 7, 520, 64 * KIB, 320 * KIB - 1] {
        check("malformed VHDX at 0x0: file of 0x", |file| file.truncate(len));
    }
    check("log at 0x100000 (+ 0x100000), expected whole MiB after the first inside 0x50000 bytes", |file| {
        file.truncate(320 * KIB);
    });
    for len in [2 * MIB, 4 * MIB - 1] {
        check(
            "region 2dc27766-f623-4200-9d64-115e9bfd4a08 at 0x300000 (+ 0x100000), expected whole MiB",
            |file| {
                file.truncate(len);
            },
        );
    }
    check("block 0 at 0x400000 (+ 0x100000) ends past the file's 0x400000 bytes", |file| {
        file.truncate(4 * MIB)
    });
    check(
        "entry at 0x300018: block 3 at 0x600000 (+ 0x100000) ends past the file's 0x6fffff bytes",
        |file| {
            file.truncate(7 * MIB - 1);
        },
    );
    // A creator may be any text, or none.
    for creator in [&[0; 512][..], &[0xFF; 512], b"\0\xD8"] {
        let mut file = good();
        file[8..8 + creator.len()].copy_from_slice(creator);
        Vhdx::open(file).unwrap();
    }
    assert!(!is_vhdx(&b"vhdxfil".to_vec()).unwrap());
    assert!(!is_vhdx(&vec![0; 600]).unwrap());
}

#[test]
fn headers() {
    let sequence = |index: usize, number: u64| {
        move |file: &mut Vec<u8>| put(file, (1 + index) * 64 * KIB + 8, &number.to_le_bytes())
    };
    // Either header alone is enough, and the one with the higher number counts.
    for (break_at, expected) in [(64 * KIB, 1), (128 * KIB, 0)] {
        for at in [0, 4, 100, 4095] {
            let mut file = good();
            file[break_at + at] ^= 1;
            let vhdx = Vhdx::open(file).unwrap();
            assert_eq!(vhdx.header().sequence, expected);
            vhdx.check().unwrap();
        }
    }
    let mut file = good();
    sequence(0, u64::MAX)(&mut file);
    put(&mut file, 64 * KIB + 32, &[7; 16]);
    let vhdx = Vhdx::open(file).unwrap();
    assert_eq!((vhdx.header().sequence, vhdx.data_write_id()), (u64::MAX, Guid([7; 16])));
    // Equal numbers: only of headers that are equal (disk2vhd writes these).
    check("accepted", sequence(1, 0));
    check(
        "malformed VHDX header at 0x20000: another header than the first, with the same sequence number 0",
        |file| {
            sequence(1, 0)(file);
            put(file, 128 * KIB + 32, &[7; 16]);
        },
    );
    check(
        "malformed VHDX header at 0x10000: signature \"iead\", expected \"head\"; the second at 0x20000: checksum 0x",
        |file| {
            file[64 * KIB] ^= 1;
            file[128 * KIB + 100] ^= 1;
        },
    );
    check("unsupported VHDX header at 0x20000: version 2, known is 1", |file| put_headers(file, 66, &[2]));
    check("unsupported VHDX header at 0x20000: version 1 of the log", |file| {
        put_headers(file, 64, &[1]);
        put_headers(file, 48, &[1; 16]);
    });
    check("accepted", |file| put_headers(file, 64, &[1]));
    // The log, even one that is not used.
    let log = |offset: u64, len: u32| {
        move |file: &mut Vec<u8>| {
            put_headers(file, 68, &len.to_le_bytes());
            put_headers(file, 72, &offset.to_le_bytes());
        }
    };
    for (offset, len) in [
        (0, 1 << 20),
        (65536, 1 << 20),
        ((1 << 20) + 4096, 1 << 20),
        (1 << 20, 4096),
        (1 << 20, u32::MAX),
        (1 << 20, 0xFFF0_0000),
        (7 << 20, 1 << 20),
        (u64::MAX, 1 << 20),
        (0xFFFF_FFFF_FFF0_0000, 1 << 20),
    ] {
        check("malformed VHDX header at 0x20000: log at 0x", log(offset, len));
    }
    check("accepted", log(0, 0));
    check("overlaps the log or another region", log(2 << 20, 1 << 20));
    check("overlaps the log or another region", log(3 << 20, 1 << 20));
    check("block 1 at 0x500000 overlaps another block or structure", log(5 << 20, 1 << 20));
}

#[test]
fn region_tables() {
    // Either table alone is enough to read; `check` wants both.
    for (break_at, fault) in [
        (192 * KIB, "malformed VHDX region table at 0x30000: "),
        (256 * KIB, "malformed VHDX region table at 0x40000: "),
    ] {
        for at in [0, 4, 30, 65535] {
            faulty(fault, |file| file[break_at + at] ^= 1);
        }
    }
    faulty("malformed VHDX region table at 0x40000: differs from the first at 0x30000", |file| {
        put(file, 256 * KIB + 16 + 28, &[0]);
    });
    check("malformed VHDX region table at 0x30000: checksum 0xc66b8cae, its bytes have 0x", |file| {
        file[192 * KIB + 100] ^= 1;
        file[256 * KIB + 100] ^= 1;
    });
    check("2048 entries, it has room for 2047", |file| put_regions(file, 8, &2048u32.to_le_bytes()));
    check("4294967295 entries", |file| put_regions(file, 8, &[0xFF; 4]));
    check("malformed VHDX region table at 0x30000: no metadata", |file| put_regions(file, 8, &[1]));
    check("no block allocation table", |file| put_regions(file, 8, &[0]));
    check("two regions 2dc27766-f623-4200-9d64-115e9bfd4a08", |file| {
        let first = file[192 * KIB + 16..][..32].to_vec();
        put_regions(file, 16 + 64, &first);
        put_regions(file, 8, &[3]);
    });
    let third = |id: u8, offset: u64, len: u32, required: u8| {
        move |file: &mut Vec<u8>| {
            put_regions(
                file,
                16 + 64,
                &[&[id; 16][..], &offset.to_le_bytes(), &len.to_le_bytes(), &[required]].concat(),
            );
            put_regions(file, 8, &[3]);
            let end = file.len() + MIB;
            file.resize(end, 0);
        }
    };
    check(
        "unsupported VHDX region table at 0x30000: required region 09090909-",
        third(9, 7 << 20, 1 << 20, 1),
    );
    check("accepted", third(9, 7 << 20, 1 << 20, 0));
    check(
        "region 09090909-0909-0909-0909-090909090909 at 0x200000 (+ 0x200000) overlaps",
        third(9, 2 << 20, 2 << 20, 0),
    );
    check(
        "region 09090909-0909-0909-0909-090909090909 at 0x100000 (+ 0x100000) overlaps",
        third(9, 1 << 20, 1 << 20, 0),
    );
    check("block 1 at 0x500000 overlaps another block or structure", third(9, 5 << 20, 1 << 20, 0));
    for (offset, len) in [
        (0, 1 << 20),
        (7 << 20, 0),
        (7 << 20, 4096),
        ((7 << 20) + 1, 1 << 20),
        (8 << 20, 1 << 20),
        (!0xF_FFFF, 1 << 20),
        (7 << 20, 0xFFF0_0000),
    ] {
        check("region 09090909-0909-0909-0909-090909090909 at 0x", third(9, offset, len, 0));
    }
}

#[test]
fn metadata_tables() {
    let at = "malformed VHDX metadata table at 0x200000: ";
    check(&format!("{at}signature \"netadata\", expected \"metadata\""), |file| file[2 * MIB] = b'n');
    check(&format!("{at}2048 entries, it has room for 2047"), |file| {
        file[2 * MIB + 10..][..2].copy_from_slice(&2048u16.to_le_bytes());
    });
    let count = |count: u8| move |file: &mut Vec<u8>| file[2 * MIB + 10] = count;
    check(&format!("{at}no item caa16737-fa36-4d43-b3b6-33f0aa44e76b (file parameters)"), count(0));
    for (items, missing) in [
        (1, "(logical sector size)"),
        (2, "(logical sector size)"),
        (3, "(physical sector size)"),
        (4, "(disk id)"),
    ] {
        check(missing, count(items));
    }
    check(&format!("{at}two items cda348c7-445d-4471-9cc9-e9885251c556"), |file| {
        put_item(file, 5, PHYSICAL_SECTOR_SIZE, 0, 0, 6);
    });
    let other = Guid([9; 16]);
    let item = |offset: u32, len: u32, flags: u32| {
        move |file: &mut Vec<u8>| put_item(file, 5, other, offset, len, flags)
    };
    check(
        "unsupported VHDX metadata table at 0x200000: required item 09090909-",
        item(0x20000, 4, FLAG_REQUIRED),
    );
    check("required item 09090909-", item(0x20000, 4, FLAG_REQUIRED | FLAG_USER));
    // A user's item may have any id, also one of ours.
    check("accepted", |file| put_item(file, 5, PHYSICAL_SECTOR_SIZE, 0x20000, 99, FLAG_USER));
    check("accepted", item(0x20000, 4, 0));
    check("accepted", item(0, 0, 0));
    check("accepted", item(0x20000, 0xE0000, 0));
    check("length of an item 1048577 exceeds 1048576", item(0x20000, (1 << 20) + 1, 0));
    check("length of an item 4294967295 exceeds 1048576", item(0x20000, u32::MAX, 0));
    for (offset, len) in
        [(0x10100, 0), (0, 4), (0xFFFF, 4), (0xFFFFD, 4), (0x100000, 4), (u32::MAX, 4), (0x20000, 0xE0001)]
    {
        check(&format!("{at}item 09090909-0909-0909-0909-090909090909 at "), item(offset, len, 0));
    }
    check(
        &format!(
            "{at}items beca12ab-b2e6-4523-93ef-c309e000c746 and 09090909-0909-0909-0909-090909090909 overlap"
        ),
        item(0x10020, 4, 0),
    );
    check(&format!("{at}the file is marked as incomplete"), |file| {
        put_item(file, 5, INCOMPLETE_FILE, 0, 0, 0)
    });
    for (index, len, found) in [
        (0, 4, "file parameters of 4 bytes, expected 8"),
        (1, 9, "disk size of 9 bytes"),
        (2, 2, "logical sector size of 2 bytes"),
        (3, 8, "physical sector size of 8 bytes"),
        (4, 20, "disk id of 20 bytes, expected 16"),
    ] {
        check(found, |file| {
            let entry = 2 * MIB + 32 + index * 32;
            // Away from the others.
            file[entry + 16..][..4].copy_from_slice(&0x20000u32.to_le_bytes());
            file[entry + 20] = len;
        });
    }
    faulty("item caa16737-fa36-4d43-b3b6-33f0aa44e76b with flags 0x6, expected 0x4", |file| {
        file[2 * MIB + 32 + 24] = 6
    });
    faulty("item 8141bf1d-a96f-4709-ba47-f233a8faab5f with flags 0x2, expected 0x6", |file| {
        file[2 * MIB + 32 + 64 + 24] = 2;
    });
}

#[test]
fn metadata_items() {
    let number = |at: usize, value: u64, len: usize| {
        move |file: &mut Vec<u8>| file[ITEMS + at..][..len].copy_from_slice(&value.to_le_bytes()[..len])
    };
    for size in [0, 1, 512, 1 << 19, 3 << 20, 512 << 20, 1 << 31, u64::from(u32::MAX)] {
        let reason =
            format!("malformed VHDX metadata item at 0x210000: block size {size}, expected a power of two");
        check(&reason, number(0, size, 4));
    }
    for flags in [4, 0x8000_0000, 7] {
        check(&format!("unknown file parameters {flags:#x}"), number(4, flags, 4));
    }
    check("no item a8d35f2d-b30b-454d-abf7-d3d84834ab0c (parent locator)", number(4, 2, 4));
    for size in [0, 1, 511, 1024, 8192, u64::from(u32::MAX)] {
        check(&format!("logical sector size {size}, expected 512 or 4096"), number(16, size, 4));
        check(&format!("physical sector size {size}, expected 512 or 4096"), number(20, size, 4));
    }
    for size in [0, 1, 513, u64::MAX] {
        let reason = format!("item at 0x210008: disk size {size}, expected a positive multiple of 512");
        check(&reason, number(8, size, 8));
    }
    check("disk size 4194816, expected a positive multiple of 4096", |file| {
        number(8, (4 << 20) + 512, 8)(file);
        number(16, 4096, 4)(file);
    });
    check(
        "VHDX metadata item at 0x210008: disk size 70368744178176 exceeds 70368744177664",
        number(8, (64 << 40) + 512, 8),
    );
    check("disk size 18446744073709551104 exceeds", number(8, u64::MAX - 511, 8));
    // More blocks than the table has room for.
    check(
        "malformed VHDX block allocation table at 0x300000: 0x100000 bytes, a disk of 70368744177664 bytes needs 67125247",
        number(8, 64 << 40, 8),
    );
    let fits = (131_072 - 31) << 20;
    check("accepted", number(8, fits, 8));
    check("needs 131073 entries", number(8, fits + 512, 8));
}

#[test]
fn block_allocation_tables() {
    let entry = |index: usize, state: u8, mib: u64| {
        move |file: &mut Vec<u8>| put_entry(file, index, table_entry(state, mib << 20))
    };
    let at = "malformed VHDX block allocation table entry at 0x300010: ";
    check("accepted", entry(2, 0, 0));
    for state in [1, 2, 3] {
        check("accepted", entry(2, state, 0));
        // Hyper-V refuses these; old versions of qemu wrote them.
        faulty("malformed VHDX block allocation table entry at 0x300010: an offset", entry(2, state, 9));
    }
    faulty("entry at 0x300010: an offset for a block that is not stored", entry(2, 0, 9));
    check(&format!("{at}block 2 in state 4"), entry(2, 4, 7));
    check(&format!("{at}block 2 in state 5"), entry(2, 5, 0));
    check(&format!("{at}block 2 partially present, in a disk without parent"), entry(2, 7, 7));
    check(&format!("{at}block 2 with reserved bits 0x8"), |file| put_entry(file, 2, 8));
    check(&format!("{at}block 2 with reserved bits 0xffff8"), |file| put_entry(file, 2, 0xF_FFFE));
    for mib in [0, 1, 2, 3, 4, 5, 6] {
        check(&format!("{at}block 2 at {:#x} overlaps another block or structure", mib << 20), |file| {
            // Of two entries with one place the later is at fault.
            put_entry(file, 3, 0);
            entry(2, 6, mib)(file);
            if mib == 6 {
                put_entry(file, 2, 0);
                put_entry(file, 1, table_entry(6, 6 << 20));
                put_entry(file, 2, table_entry(6, 6 << 20));
            }
        });
    }
    check(
        &format!("{at}block 2 at 0x700000 (+ 0x100000) ends past the file's 0x700000 bytes"),
        entry(2, 6, 7),
    );
    check(&format!("{at}block 2 at 0x1fffffff00000 (+ 0x100000) ends past"), entry(2, 6, (1 << 29) - 1));
    check(
        "entry at 0x300010: offset of a block 562949953421312 exceeds 562949953421311",
        entry(2, 6, 1 << 29),
    );
    check("offset of a block 18446744073708503040 exceeds", |file| put_entry(file, 2, u64::MAX << 20 | 6));
    // Entries after the last that is needed do not matter.
    check("accepted", entry(4, 4, 1));
    // Between chunks lies the entry of a sector bitmap, which a disk without parent does not need.
    let bitmap = |entry: u64| {
        move |file: &mut Vec<u8>| {
            file[ITEMS + 8..][..8].copy_from_slice(&(5u64 << 30).to_le_bytes());
            put_entry(file, 4096, entry);
            let end = file.len() + MIB;
            file.resize(end, 0);
        }
    };
    check("accepted", bitmap(0));
    check("accepted", bitmap(table_entry(6, 7 << 20)));
    check("entry at 0x308000: sector bitmap 0 at 0x600000 overlaps", bitmap(table_entry(6, 6 << 20)));
    check("sector bitmap 0 at 0x800000 (+ 0x100000) ends past the file's", bitmap(table_entry(6, 8 << 20)));
    for state in [1, 2, 3, 4, 5, 7] {
        check(&format!("sector bitmap 0 in state {state}"), bitmap(table_entry(state, 0)));
    }
}

/// Old versions of qemu end the file where the disk ends, inside the last block.
#[test]
fn a_last_block_that_is_not_whole() {
    let disk = disk(3 * MIB + 12 * 512);
    let file = dynamic(&disk);
    let needed = file.len() - MIB + 12 * 512;
    let vhdx = Vhdx::open(file[..needed].to_vec()).unwrap();
    assert!(read_all(&vhdx) == disk);
    vhdx.check().unwrap();
    let error = Vhdx::open(file[..needed - 1].to_vec()).unwrap_err().to_string();
    assert!(error.contains("block 3 at 0x700000 (+ 0x1800) ends past"), "{error}");
}

#[test]
fn parent_locators() {
    let differencing = |locator: Vec<u8>| move |file: &mut Vec<u8>| make_differencing(file, &locator);
    let id = ("parent_linkage", "{83ed7fa4-6f1b-4df2-9f8a-4f8f1a0f5c6d}");
    let good = common::locator(&[id, ("relative_path", ".\\parent.vhdx")]);
    check("accepted", differencing(good.clone()));
    let at = "VHDX parent locator at 0x211000: ";
    check(
        &format!("unsupported {at}type 01010101-0101-0101-0101-010101010101, known is b04aefb7-"),
        |file| {
            make_differencing(file, &[&[1; 16][..], &good[16..]].concat());
        },
    );
    check(&format!("malformed {at}19 bytes, its head alone has 20"), differencing(good[..19].to_vec()));
    check("20 bytes, too few for 2 entries", differencing(good[..20].to_vec()));
    check("43 bytes, too few for 2 entries", differencing(good[..43].to_vec()));
    check("text at 0x2c (+ 0x1c), expected even and inside 0x2c bytes", differencing(good[..44].to_vec()));
    for (field, bytes) in [
        (20, &[0xFF; 4][..]),
        (24, &[0xFF; 4]),
        (28, &[0xFF; 2]),
        (30, &[0xFF; 2]),
        (28, &[3, 0]),
        (30, &[0xFE, 0xFF]),
    ] {
        let mut locator = good.clone();
        locator[field..field + bytes.len()].copy_from_slice(bytes);
        check(&format!("malformed {at}text at 0x"), differencing(locator));
    }
    check(
        "malformed VHDX parent locator at 0x211000: no parent_linkage",
        differencing(common::locator(&[("relative_path", "x")])),
    );
    check("no parent_linkage", differencing(common::locator(&[])));
    let mut many = good.clone();
    many[18..20].copy_from_slice(&[1, 1]);
    check("number of entries 257 exceeds 256", differencing(many));
    check("parent_linkage: not a GUID", differencing(common::locator(&[("parent_linkage", "{83ed7fa4}")])));
    check("parent_linkage2: not a GUID", differencing(common::locator(&[id, ("parent_linkage2", "")])));
    check("two entries \"parent_linkage\"", differencing(common::locator(&[id, id])));
    // Windows' names are any 16-bit units.
    let mut locator = common::locator(&[id, ("relative_path", "AAAA")]);
    let end = locator.len();
    locator[end - 8..].copy_from_slice(&[0x00, 0xD8, b'x', 0, 0x00, 0xDC, 0, 0]);
    let mut file = self::good();
    make_differencing(&mut file, &locator);
    let vhdx = Vhdx::open(file).unwrap();
    assert_eq!(vhdx.parent().unwrap().relative_path.as_deref(), Some("\u{FFFD}x\u{FFFD}\0"));
}

#[test]
fn impossible_options() {
    let good = options(&disk(MIB));
    let refused = |options: &Options| {
        matches!(ordered(Vec::new(), options, std::iter::empty()), Err(Error::Impossible { .. }))
            && matches!(file_size(options, std::iter::empty()), Err(Error::Impossible { .. }))
    };
    assert!(!refused(&good));
    for size in [0, 511, 513, (64 << 40) + 512, u64::MAX] {
        assert!(refused(&Options { size, ..good.clone() }), "{size}");
    }
    assert!(!refused(&Options { size: 512, ..good.clone() }));
    assert!(refused(&Options { size: 512, sector_size: disk::SectorSize::B4096, ..good.clone() }));
    for block_size in [0, 1, 1 << 19, 3 << 20, 512 << 20, u32::MAX] {
        assert!(refused(&Options { block_size, ..good.clone() }), "{block_size}");
    }
    // The largest disk, all of it stored in the smallest blocks.
    let full = Options { size: 64 << 40, fixed: true, ..good };
    let table = ((64u64 << 20) + (64 << 20) / 4096) * 8;
    assert_eq!(
        file_size(&full, std::iter::empty()).unwrap(),
        (3 << 20) + table.next_multiple_of(1 << 20) + (64 << 40)
    );
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is what is refused")]
fn callers_that_break_the_contract_are_refused() {
    let options = options(&disk(16 * MIB));
    for ranges in [[0..1, 0..1], [5..9, 3..4], [0..1, 9..5], [0..1, 9..(16 << 20) + 1]] {
        assert!(file_size(&options, ranges.clone().into_iter()).is_err(), "{ranges:?}");
    }
    // Ranges that share a block are one block.
    let shared = file_size(&options, [0..1, 5..6, 7..7].into_iter()).unwrap();
    assert_eq!(shared, file_size(&options, std::iter::once(0..1 << 20)).unwrap());

    let file = Arc::new(Mutex::new(Vec::new()));
    let allocated = [0..1, 2 << 20..(3 << 20) + 1];
    let sink = positioned(Arc::clone(&file), &options, allocated.iter().cloned()).unwrap();
    sink.write_at(0, &[1; 1024]).unwrap();
    sink.write_at(1 << 20, &[]).unwrap();
    sink.write_at((3 << 20) - 512, &[1; 1024]).unwrap();
    assert!(sink.write_at((1 << 20) - 512, &[1; 1024]).is_err(), "into a block that was not announced");
    assert!(sink.write_at((2 << 20) - 512, &[1; 1024]).is_err(), "from a block that was not announced");
    assert!(sink.write_at(16 << 20, &[1]).is_err());
    assert!(sink.write_at(u64::MAX, &[1]).is_err());
    // Until it is finished, it is no VHDX.
    assert!(!is_vhdx(&*file.lock().unwrap()).unwrap());
    Box::new(sink).finish().unwrap();
    assert!(is_vhdx(&*file.lock().unwrap()).unwrap());

    let mut sink = ordered(Vec::new(), &options, allocated.into_iter()).unwrap();
    sink.commit(1024, 2, &[1, 2]).unwrap();
    assert!(sink.commit(1025, 1, &[1]).is_err(), "backwards");
    assert!(sink.commit(2048, 2, &[1]).is_err(), "not as long as its range");
    assert!(sink.commit(16 << 20, 1, &[1]).is_err(), "past the end");
    sink.commit(1 << 20, 0, &[]).unwrap();
    assert!(sink.commit(1 << 20, 1, &[1]).is_err(), "into a block that was not announced");
    sink.commit(2 << 20, 1, &[1]).unwrap();
}

/// A small file, made once.
static SMALL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(good);

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// A changed byte anywhere in the structures, with right checksums, never panics; what opens can be read.
    #[test]
    fn changed_bytes(changes in prop::collection::vec((0usize..700, any::<u8>()), 1..4)) {
        let mut file = SMALL.clone();
        for (at, byte) in changes {
            let at = match at {
                0..100 => 64 * KIB + at,
                100..200 => 128 * KIB + at - 100,
                200..300 => 192 * KIB + at - 200,
                300..500 => 2 * MIB + at - 300,
                500..600 => ITEMS + at - 500,
                _ => 3 * MIB + at - 600,
            };
            put(&mut file, at, &[byte]);
        }
        if let Ok(vhdx) = Vhdx::open(file) {
            let mut bytes = vec![0; vhdx.disk_size().min(1 << 20) as usize];
            vhdx.read_exact_at(&mut bytes, 0).unwrap();
            let _ = vhdx.check();
        }
    }
}

#[test]
fn the_good_file_is_what_these_tests_think() {
    let file = good();
    assert_eq!([0, 1, 2, 3].map(|index| entry(&file, index)), [0x40_0006, 0x50_0006, 0, 0x60_0006]);
}
