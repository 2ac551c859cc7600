//! Files that were damaged, or made to do damage. Each names the structure at fault; none panics, hangs or makes the
//! reader hold more than its limits.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::sync::Arc;

use common::{GRAIN, disk, noise, options, sparse, stream};
use disk::ReadAt;
use proptest::prelude::*;
use wimforge_vmdk::{Error, Vmdk, is_vmdk};

/// What goes wrong with `file`: on opening, on checking, or on reading all of it.
fn fault(file: Vec<u8>) -> Option<String> {
    let vmdk = match Vmdk::open(Arc::new(file)) {
        Ok(vmdk) => vmdk,
        Err(error) => return Some(format!("open: {error}")),
    };
    let check = vmdk.check().err().map(|error| format!("check: {error}"));
    let mut buf = vec![0; GRAIN];
    let size = vmdk.disk_size().min(256 << 20);
    let read = (0..size / GRAIN as u64).find_map(|grain| {
        let error = vmdk.read_exact_at(&mut buf, grain * GRAIN as u64).err()?;
        Some(format!("read: {error}"))
    });
    check.or(read)
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Where the footer, and its directory, of a streamed file lie.
fn footer(file: &[u8]) -> (usize, usize) {
    let footer = file.len() - 1024;
    let directory = u64::from_le_bytes(file[footer + 56..footer + 64].try_into().unwrap()) as usize * 512;
    (footer, directory)
}

fn first_table(file: &[u8]) -> usize {
    let (_, directory) = footer(file);
    u32::from_le_bytes(file[directory..directory + 4].try_into().unwrap()) as usize * 512
}

#[track_caller]
fn check(good: &[u8], expected: &str, change: impl FnOnce(&mut Vec<u8>)) {
    assert_eq!(fault(good.to_vec()), None);
    let mut file = good.to_vec();
    change(&mut file);
    let found = fault(file).unwrap_or_else(|| panic!("accepted; expected {expected}"));
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

#[test]
fn headers() {
    let disk = disk(40);
    let good = stream(&disk, &options(&disk));
    let set = |at: usize, bytes: &'static [u8]| {
        move |file: &mut Vec<u8>| {
            let footer = file.len() - 1024;
            put(file, at, bytes);
            put(file, footer + at, bytes);
        }
    };
    let huge = &[0xFF; 8];
    check(&good, "malformed VMDK header at 0x0: signature \"KDMW\", expected \"KDMV\"", set(3, b"W"));
    check(&good, "unsupported VMDK header at 0x0: version 4", set(4, &[4]));
    check(&good, "line ends \"\\n \\n\\n\"", set(75, b"\n"));
    check(&good, "capacity 0", set(12, &[0; 8]));
    // 2^64 - 1 sectors: the number of tables stops it before anything is allocated.
    check(&good, "number of grain tables 281474976710656 exceeds 1048576", set(12, huge));
    for (grain, reason) in [
        (&[0u8; 8], "grain of 0 sectors, expected a power of two from 8"),
        (&[1, 0, 0, 0, 0, 0, 0, 0], "grain of 1 sectors"),
        (&[0x81, 0, 0, 0, 0, 0, 0, 0], "grain of 129 sectors"),
        (&[0, 0x10, 0, 0, 0, 0, 0, 0], "sectors of a grain 4096 exceeds 2048"),
        (&[0, 0, 0, 0, 0, 0, 0, 0x80], "exceeds 2048"),
    ] {
        check(&good, reason, set(20, grain));
    }
    for entries in [&[0u8; 4], &[1, 2, 0, 0], &[0xFF; 4]] {
        check(&good, "entries in a grain table, expected 512", set(44, entries));
    }
    check(&good, "grains begin at sector 0x0", set(64, &[0; 8]));
    check(&good, "grains begin at sector 0xffffffffffffffff", set(64, huge));
    check(&good, "flags 0x30001 with compression 2", set(77, &[2]));
    check(&good, "flags 0x20001 with compression 1", set(10, &[2]));
    check(&good, "compressed grains without markers", set(10, &[1]));
    check(&good, "part of a disk in several files", set(28, &[0; 8]));
    check(&good, "VMDK descriptor at 0xffffffffffffffff", set(28, huge));
    check(&good, "malformed VMDK descriptor at 0x200", set(36, huge));
    for len in [0, 1, 3, 100, 511, 512, 1024, 65_536, good.len() - 512, good.len() - 1] {
        check(&good, "", |file| file.truncate(len));
    }
    check(&good, "VMDK footer marker at", |file| file.truncate(file.len() - 512));
    check(&good, "expected whole sectors", |file| file.truncate(file.len() - 1));
}

#[test]
fn limits_of_a_descriptor() {
    let disk = disk(40);
    let good = stream(&disk, &options(&disk));
    check(&good, "length 20971520 exceeds 1048576", |file| {
        // 20 MiB of descriptor, all there.
        let footer = file.split_off(file.len() - 1536);
        file.resize(64 << 20, 0);
        file.extend(footer);
        let footer = file.len() - 1024;
        put(file, 36, &40_960u64.to_le_bytes());
        put(file, footer + 36, &40_960u64.to_le_bytes());
    });
    let text = |old: &'static str, new: &'static str| {
        move |file: &mut Vec<u8>| {
            let descriptor = String::from_utf8(file[512..2048].to_vec()).unwrap();
            assert!(descriptor.contains(old));
            let mut changed = descriptor.trim_end_matches('\0').replacen(old, new, 1).into_bytes();
            changed.resize(1536, 0);
            put(file, 512, &changed);
        }
    };
    check(&good, "no createType", text("createType", "create"));
    check(
        &good,
        "createType monolithicSparse, the header says streamOptimized",
        text("streamOptimized", "monolithicSparse"),
    );
    check(&good, "createType vmfsSparse", text("streamOptimized", "vmfsSparse"));
    check(
        &good,
        "parent of a snapshot, the disk with CID 0badcafe, which was not given",
        text("parentCID=ffffffff", "parentCID=0badcafe"),
    );
    check(&good, "extent of type FLAT", text("SPARSE", "FLAT"));
    check(&good, "0 extents", text("RW ", "#RW "));
    check(&good, "2 extents", text("RW ", "RW 5 FLAT \"/etc/passwd\" 0\nRW "));
    check(&good, "extent of 819200 sectors, the header says 81920", text("RW 81920", "RW 819200"));
    check(&good, "line 9: extent \"RW x SPARSE", text("RW 81920", "RW x"));
}

#[test]
fn footers_directories_and_tables() {
    let disk = disk(40);
    let good = stream(&disk, &options(&disk));
    let (footer_at, directory) = footer(&good);
    let table = first_table(&good);
    check(&good, "VMDK footer at", |file| file[footer_at + 12] ^= 1);
    check(&good, "has no grain directory either", |file| put(file, footer_at + 56, &[0xFF; 8]));
    check(&good, "end-of-stream marker", |file| *file.last_mut().unwrap() = 1);
    for directory in [0, 1 << 40, u64::MAX - 1] {
        check(&good, "malformed VMDK grain directory at", |file| {
            put(file, footer_at + 56, &directory.to_le_bytes())
        });
    }
    check(&good, "VMDK grain directory entry", |file| put(file, directory + 4, &[0xFF; 4]));
    check(&good, "VMDK descriptor at 0x200: overlaps VMDK grain table", |file| {
        put(file, directory + 4, &[1, 0, 0, 0])
    });
    check(&good, "check: malformed VMDK marker", |file| file[table - 512 + 12] = 2);
    check(&good, "check: malformed VMDK marker", |file| file[directory - 512] = 9);
    check(&good, "VMDK grain table at", |file| file.copy_within(directory..directory + 4, directory + 4));
    // A grain in the header, in the directory, past the end.
    check(&good, "malformed VMDK grain at 0x200: grain 0 does not lie between 0x10000", |file| {
        put(file, table, &[1, 0, 0, 0])
    });
    check(&good, "grain 0 does not lie between", |file| put(file, table, &[0xFF; 4]));
    let in_directory = (directory / 512) as u32;
    check(&good, "grain 0 ", |file| put(file, table, &in_directory.to_le_bytes()));
    // Grain 1 is where the table says that grain 0 is.
    check(&good, "grain 0 says LBA 0x80, its table entry 0x0", |file| {
        file.copy_within(table + 4..table + 8, table)
    });
    check(&good, "the disk's last is 639", |file| {
        let second =
            u32::from_le_bytes(file[directory + 4..directory + 8].try_into().unwrap()) as usize * 512;
        put(file, second + 511 * 4, &[0x80, 0, 0, 0]);
    });
}

#[test]
fn grains() {
    let disk = disk(40);
    let good = stream(&disk, &options(&disk));
    let grain = 65_536;
    let size = u32::from_le_bytes(good[grain + 8..grain + 12].try_into().unwrap());
    check(&good, "grain 0 says LBA 0x1, its table entry 0x0", |file| file[grain] = 1);
    check(&good, "has 0 compressed bytes, expected 1 to 66036", |file| put(file, grain + 8, &[0; 4]));
    check(&good, "has 4294967295 compressed bytes", |file| put(file, grain + 8, &[0xFF; 4]));
    check(&good, "has 66037 compressed bytes", |file| put(file, grain + 8, &66_037u32.to_le_bytes()));
    check(&good, "grain 0 does not end: 1 of its 1 bytes gave 0 of 65536", |file| {
        put(file, grain + 8, &[1, 0, 0, 0])
    });
    check(&good, "does not end", |file| put(file, grain + 8, &(size - 1).to_le_bytes()));
    check(&good, "does not inflate", |file| file[grain + 12] ^= 0x10);
    check(&good, "does not inflate", |file| file[grain + 12 + size as usize - 1] ^= 1);

    // A zlib stream of another length in the place of the first grain's.
    let with_stream = |len: usize| {
        use std::io::Write;
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        zlib.write_all(&vec![7; len]).unwrap();
        let data = zlib.finish().unwrap();
        move |file: &mut Vec<u8>| {
            put(file, grain + 8, &(data.len() as u32).to_le_bytes());
            put(file, grain + 12, &data);
        }
    };
    check(&good, "gave 65536 of 65536", with_stream(GRAIN + 1));
    check(&good, "gave 65536 of 65536", with_stream(100_000));
    check(&good, "grain 0 inflates to 65535 bytes, expected 65536", with_stream(GRAIN - 1));
    check(&good, "grain 0 inflates to 0 bytes", with_stream(0));
}

#[test]
fn sparse_files() {
    let disk = disk(40);
    let good = sparse(&disk, &options(&disk));
    // Layout of a 40 MiB disk: directory at 21, tables at 22 and 26, the other directory at 30.
    let (redundant, directory) = (21 * 512, 30 * 512);
    assert_eq!(good[48..64], [21, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0]);
    check(&good, "directory at the end of a file without markers", |file| put(file, 56, &[0xFF; 8]));
    check(
        &good,
        "redundant grain directory entry at 0x2a00: table at sector 0x0, the other directory says 0x1f",
        |file| put(file, redundant, &[0; 4]),
    );
    check(&good, "redundant grain table at 0x2c00: differs from its copy at 0x3e00", |file| {
        file[22 * 512] ^= 1
    });
    check(&good, "overlaps", |file| put(file, 48, &[30, 0]));
    check(&good, "grain table at 0x3400: overlaps VMDK redundant grain table at 0x3400", |file| {
        file.copy_within(directory + 4..directory + 8, directory);
        file.copy_within(redundant + 4..redundant + 8, redundant);
    });
    // Two grains in one place: plain grains have no head that could tell.
    check(&good, "VMDK grain at 0x20000: overlaps VMDK grain at 0x20000", |file| {
        file.copy_within(31 * 512 + 4..31 * 512 + 8, 31 * 512);
        file.copy_within(22 * 512 + 4..22 * 512 + 8, 22 * 512);
    });
    check(&good, "grain 639 does not lie between 0x10000 and the file's end 0x15ffff", |file| {
        file.truncate(file.len() - 1);
    });
    check(&good, "grain 0 does not lie between 0x10000", |file| {
        put(file, 31 * 512, &[1, 0, 0, 0]);
        put(file, 22 * 512, &[1, 0, 0, 0]);
    });
}

#[test]
fn version_2_has_grains_of_zeros() {
    let disk = disk(40);
    let mut file = sparse(&disk, &options(&disk));
    file[4] = 2;
    file[8] |= 4;
    put(&mut file, 31 * 512, &[1, 0, 0, 0]);
    put(&mut file, 22 * 512, &[1, 0, 0, 0]);
    let vmdk = Vmdk::open(Arc::new(file)).unwrap();
    assert_eq!(vmdk.check().unwrap().zero_grains, 1);
    let mut sector = [1; 512];
    vmdk.read_exact_at(&mut sector, 0).unwrap();
    assert_eq!(sector, [0; 512]);
}

#[test]
fn other_formats_are_named() {
    let error = |bytes: &[u8]| Vmdk::open(Arc::new(bytes.to_vec())).unwrap_err();
    assert!(matches!(error(b"COWD...."), Error::Malformed { .. }));
    assert!(matches!(error(&0xCAFE_BABEu64.to_le_bytes()), Error::Unsupported { .. }));
    // CVE-2022-47951: a descriptor that names a file of the host. It is named, never opened.
    let flat = b"# Disk DescriptorFile\ncreateType=\"monolithicFlat\"\nRW 1000000000000000000 FLAT \"/etc/passwd\" 0\n";
    assert!(is_vmdk(&flat[..].to_vec()).unwrap());
    assert_eq!(
        error(flat).to_string(),
        "unsupported VMDK descriptor at 0x0: monolithicFlat disk whose data is in other files (/etc/passwd)"
    );
    assert!(
        error(b"#disk descriptor file\nRW")
            .to_string()
            .starts_with("malformed VMDK descriptor at 0x0: line 2")
    );
    assert!(!is_vmdk(&b"conectix".to_vec()).unwrap());
    assert!(!is_vmdk(&Vec::new()).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// One changed bit anywhere never panics: neither opening, nor reading, nor the check.
    #[test]
    fn flipped_bits(seed in any::<u64>(), bit in any::<prop::sample::Index>(), streamed in any::<bool>()) {
        let mut disk = noise(seed, 3 * GRAIN);
        disk.resize(16 * GRAIN, 0);
        let mut file =
            if streamed { stream(&disk, &options(&disk)) } else { sparse(&disk, &options(&disk)) };
        let bit = bit.index(file.len() * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        fault(file);
    }
}
