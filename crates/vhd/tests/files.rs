//! Our files in other people's readers, other people's in ours, and what is in them byte for byte.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::{MIB, disk, dynamic_file, fixed_file, fixed_stream};
use disk::{BlockMap, Guid, PositionedSink, RangeKind, ReadAt, WriteAt};
use proptest::prelude::*;
use wimforge_vhd::layout::{ABSENT, checksum};
use wimforge_vhd::{Kind, MAX_SIZE, Options, Vhd, dynamic, is_vhd};

/// The whole disk, read in pieces that fit nothing.
fn read_all(vhd: &Vhd) -> Vec<u8> {
    let mut bytes = vec![0xAA; vhd.disk_size() as usize];
    for (index, piece) in bytes.chunks_mut(150_001).enumerate() {
        vhd.read_exact_at(piece, index as u64 * 150_001).unwrap();
    }
    bytes
}

/// The part of `bytes` up to its last byte that is not zero.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

#[test]
fn golden_bytes() {
    let disk = disk(12 * MIB);
    let footer = |data_offset: [u8; 8], kind: u8| {
        let head = [
            &b"conectix"[..],
            &[0, 0, 0, 2, 0, 1, 0, 0], // features, version
            &data_offset,
            &[0x2F, 0, 0, 0],
            b"win \0\x0A\0\0Wi2k",
            &[0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0], // 12 MiB
            &[1, 0x69, 4, 17],                                       // 361/4/17
            &[0, 0, 0, kind],
            &[0; 4], // checksum
            b"0123456789abcdef",
        ];
        let mut bytes = head.concat();
        bytes.resize(512, 0);
        let sum = checksum(&bytes, 64);
        bytes[64..68].copy_from_slice(&sum.to_be_bytes());
        bytes
    };
    let fixed = fixed_stream(&disk);
    assert!(fixed[..12 * MIB] == disk);
    assert_eq!(fixed[12 * MIB..], footer([0xFF; 8], 2));
    assert!(fixed_file(&disk) == fixed);

    let file = dynamic_file(&disk, 2 << 20);
    let footer = footer([0, 0, 0, 0, 0, 0, 2, 0], 3);
    assert_eq!(file[..512], footer);
    assert_eq!(file[file.len() - 512..], footer);
    let header = [
        &b"cxsparse"[..],
        &[0xFF; 8],
        &[0, 0, 0, 0, 0, 0, 6, 0],                // table at 1536
        &[0, 1, 0, 0, 0, 0, 0, 6, 0, 0x20, 0, 0], // version, 6 entries, blocks of 2 MiB
        &[0xFF, 0xFF, 0xF4, 0x71],                // checksum: the bytes' sum is 0xB8E
    ];
    assert_eq!(trimmed(&file[512..1536]), header.concat());
    // Blocks 0, 1 and 5. The first bitmap's sector is 15, so that the data lies at 8192; the next 2 MiB + 4096 on.
    let table: Vec<u32> =
        file[1536..4096].chunks(4).map(|entry| u32::from_be_bytes(entry.try_into().unwrap())).collect();
    assert_eq!(table[..6], [15, 15 + 4104, ABSENT, ABSENT, ABSENT, 15 + 2 * 4104]);
    assert!(table[6..].iter().all(|entry| *entry == ABSENT));
    assert!(trimmed(&file[4096..7680]).is_empty());
    for (index, block) in [0, 1, 5].into_iter().enumerate() {
        let at = 7680 + index * 4104 * 512;
        assert_eq!(file[at..at + 512], [0xFF; 512], "all sectors are there");
        assert!(file[at + 512..][..2 * MIB] == disk[block * 2 * MIB..][..2 * MIB]);
    }
    assert_eq!(file.len(), 8192 + 2 * 4104 * 512 + 2 * MIB + 4096);
}

#[test]
fn what_is_written_is_read() {
    for len in [12 * MIB, 3 * MIB / 2, 17 * MIB + 5 * 512, 512] {
        let disk = disk(len);
        for (file, kind) in [
            (fixed_stream(&disk), Kind::Fixed),
            (dynamic_file(&disk, 512 << 10), Kind::Dynamic),
            (dynamic_file(&disk, 2 << 20), Kind::Dynamic),
        ] {
            assert!(is_vhd(&file).unwrap());
            let vhd = Vhd::open(Arc::new(file)).unwrap();
            assert_eq!((vhd.kind(), vhd.disk_size()), (kind, len as u64));
            assert_eq!(vhd.footer().unique_id, Guid(*b"0123456789abcdef"));
            assert_eq!(vhd.footer_copy_equal(), (kind == Kind::Dynamic).then_some(true));
            assert!(read_all(&vhd) == disk);
            let (mut offset, mut stored) = (0, 0);
            while let Some(range) = vhd.range_at(offset).unwrap() {
                assert_eq!(range.start, offset);
                let bytes = &disk[offset as usize..][..range.len as usize];
                match range.kind {
                    RangeKind::Zero => assert!(bytes.iter().all(|byte| *byte == 0)),
                    RangeKind::Data => stored += range.len,
                }
                offset += range.len;
            }
            assert_eq!(offset, len as u64);
            let usage = vhd.check().unwrap();
            assert_eq!(usage.present, u64::from(vhd.allocated_blocks().unwrap_or(0)));
            assert!(usage.unused < 8192 + 4096 * usage.present, "{usage:?}");
            if let Some(blocks) = vhd.allocated_blocks() {
                let block_size = vhd.header().unwrap().block_size;
                assert_eq!(u64::from(blocks), stored.div_ceil(block_size.into()));
            }
            let mut past = [0; 2];
            assert!(vhd.read_exact_at(&mut past, len as u64 - 1).is_err());
            assert!(vhd.read_exact_at(&mut past, u64::MAX).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_disk_comes_back(
        sectors in 1usize..20_000, places in prop::collection::btree_map(0usize..20_000, 1u8.., 0..9),
    ) {
        let mut disk = vec![0; sectors * 512];
        for (sector, byte) in places {
            disk[sector % sectors * 512 + usize::from(byte)] = byte;
        }
        prop_assert!(read_all(&Vhd::open(Arc::new(dynamic_file(&disk, 512 << 10))).unwrap()) == disk);
        prop_assert!(read_all(&Vhd::open(Arc::new(fixed_stream(&disk))).unwrap()) == disk);
        prop_assert!(fixed_file(&disk) == fixed_stream(&disk));
    }
}

#[test]
fn accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.vhd"), directory.path().join("disk.raw"));
    // 129 MiB: the size at which qemu 7.2 loses 40 KiB of a disk whose creator it does not know.
    for len in [12 * MIB, 129 * MIB, 3 * MIB + 5 * 512] {
        let disk = disk(len);
        std::fs::write(&raw, &disk).unwrap();
        for file in [fixed_stream(&disk), dynamic_file(&disk, 512 << 10), dynamic_file(&disk, 2 << 20)] {
            std::fs::write(&path, &file).unwrap();
            let (path, raw) = (path.to_str().unwrap(), raw.to_str().unwrap());
            if let Some(qemu) = testkit::tool("qemu-img") {
                let info = qemu.text(["info", "-f", "vpc", path]);
                assert!(info.contains(&format!("({len} bytes)")), "{info}");
                qemu.run(["compare", "-f", "vpc", "-F", "raw", path, raw]);
            }
            for reader in testkit::disk_reader::READERS {
                let files = [Path::new(path)];
                let Some(found) = testkit::disk_reader::read(reader, "vhd", &files, &[]) else { continue };
                assert_eq!(
                    (found.size, found.sha1),
                    (len as u64, vec![testkit::disk_reader::sha1(&disk)]),
                    "{reader}"
                );
            }
            if let Some(seven) = testkit::tool("7zz") {
                let test = seven.text(["t", "-tvhd", path]);
                assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
                assert!(seven.run(["e", "-tvhd", "-so", path]).stdout == disk, "7zz extracts something else");
            }
        }
    }
}

/// Empty disks, disks of one block, disks too large to be compared whole: of these the ranges that matter.
#[test]
fn small_and_large_disks_are_accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vhd");
    let mib = 1u64 << 20;
    for (size, places) in [
        (16 * mib, &[][..]),
        (16 * mib, &[5 * mib]),
        (127 << 30, &[0, 63 << 30, (127 << 30) - mib]),
        (MAX_SIZE, &[0, 1 << 40, MAX_SIZE - mib]),
    ] {
        let options = Options::new(size, Guid(*b"0123456789abcdef"));
        let ranges: Vec<_> = places.iter().map(|start| *start..*start + mib).collect();
        let sink =
            dynamic::positioned(File::create(&path).unwrap(), &options, ranges.iter().cloned()).unwrap();
        let data: Vec<Vec<u8>> = (0..places.len() as u64).map(|index| common::noise(index, MIB)).collect();
        for (start, data) in places.iter().zip(&data) {
            sink.write_at(*start, data).unwrap();
        }
        Box::new(sink).finish().unwrap();
        let vhd = Vhd::open(Arc::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(vhd.check().unwrap().present, places.len() as u64);
        // Around what is stored there is nothing.
        let mut asked = ranges.clone();
        asked.extend([2 * mib..3 * mib, size - 3 * mib..size - 2 * mib]);
        let mut sums: Vec<String> = data.iter().map(|data| testkit::disk_reader::sha1(data)).collect();
        sums.resize(asked.len(), testkit::disk_reader::sha1(&vec![0; MIB]));
        for reader in testkit::disk_reader::READERS {
            let Some(found) = testkit::disk_reader::read(reader, "vhd", &[&path], &asked) else { continue };
            assert_eq!((found.size, &found.sha1), (size, &sums), "{reader}");
        }
        if let Some(qemu) = testkit::tool("qemu-img") {
            let info = qemu.text(["info", "-f", "vpc", path.to_str().unwrap()]);
            assert!(info.contains(&format!("({size} bytes)")), "{info}");
        }
    }
}

/// Holes of a fixed disk's file are zeros of the disk.
#[test]
fn holes_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vhd");
    let options = Options::new(64 << 20, Guid(*b"0123456789abcdef"));
    let sink = wimforge_vhd::fixed::positioned(File::create(&path).unwrap(), &options).unwrap();
    sink.write_at(3 << 20, &vec![1; 3 << 20]).unwrap();
    Box::new(sink).finish().unwrap();
    let file = File::open(&path).unwrap();
    if file.stored_at(20 << 20).unwrap().unwrap().kind == RangeKind::Data {
        return testkit::skip_here("the file system of the temporary folder does not say where holes are");
    }
    let vhd = Vhd::open(Arc::new(file)).unwrap();
    let (mut offset, mut stored) = (0, 0);
    while let Some(range) = vhd.range_at(offset).unwrap() {
        assert!(range.start == offset && range.len > 0);
        offset += range.len;
        stored += if range.kind == RangeKind::Data { range.len } else { 0 };
    }
    // The footer behind the disk does not count, nor the units that file systems store in.
    assert_eq!(offset, 64 << 20);
    assert!((3 << 20..4 << 20).contains(&stored), "{stored:#x}");
    assert_eq!(vhd.range_at(4 << 20).unwrap().unwrap().kind, RangeKind::Data);
}

/// qemu-img finds the disk that we read in `path` equal to the one that it reads.
fn qemu_agrees(qemu: &testkit::Tool, directory: &Path, path: &Path, vhd: &Vhd) {
    let raw_path = directory.join("ours.raw");
    let raw = File::create(&raw_path).unwrap();
    raw.set_len(vhd.disk_size()).unwrap();
    let mut offset = 0;
    while let Some(range) = vhd.range_at(offset).unwrap() {
        assert_eq!(range.start, offset);
        offset += range.len;
        if range.kind == RangeKind::Data {
            let mut bytes = vec![0; range.len as usize];
            vhd.read_exact_at(&mut bytes, range.start).unwrap();
            raw.write_all_at(&bytes, range.start).unwrap();
        }
    }
    let args = ["compare", "-f", "vpc", "-F", "raw"];
    qemu.run(args.iter().map(AsRef::as_ref).chain([path.as_os_str(), raw_path.as_os_str()]));
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vhd"));
    std::fs::write(&raw, disk(33 * MIB)).unwrap();
    for (subformat, kind) in [("fixed", Kind::Fixed), ("dynamic", Kind::Dynamic)] {
        for force in ["on", "off"] {
            let options = format!("subformat={subformat},force_size={force}");
            let args = ["convert", "-f", "raw", "-O", "vpc", "-o", &options];
            qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
            let vhd = Vhd::open(Arc::new(File::open(&path).unwrap())).unwrap();
            assert_eq!(vhd.kind(), kind);
            // Without `force_size` it rounds the size up to what its geometry can say.
            assert!(vhd.disk_size() >= 33 << 20);
            assert!(force == "off" || vhd.disk_size() == 33 << 20);
            qemu_agrees(&qemu, directory.path(), &path, &vhd);
        }
    }
}

fn unpacked(sample: &Path, directory: &Path) -> Option<PathBuf> {
    if sample.extension()? != "bz2" {
        return Some(sample.to_owned());
    }
    let tool = testkit::tool("bzip2")?;
    let path = directory.join(sample.file_stem()?);
    std::fs::write(&path, tool.run(["-dc".as_ref(), sample.as_os_str()]).stdout).unwrap();
    Some(path)
}

#[test]
fn reads_what_products_write() {
    let Some(samples) = testkit::samples() else { return };
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    for (name, creator, size, blocks) in [
        ("hyperv2012r2-dynamic.vhd.bz2", b"win ", 127 << 30, 0),
        ("virtualpc-dynamic.vhd.bz2", b"vpc ", 127 << 30, 0),
        ("d2v-zerofilled.vhd.bz2", b"d2v\0", 263_454_720, 126),
        ("sleuthkit-image.vhd", b"qemu", 104_448, 1),
    ] {
        let Some(path) = unpacked(&samples.join("disks").join(name), directory.path()) else { return };
        let vhd = Vhd::open(Arc::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((vhd.footer().creator_application, vhd.disk_size()), (*creator, size), "{name}");
        assert_eq!((vhd.kind(), vhd.allocated_blocks()), (Kind::Dynamic, Some(blocks)), "{name}");
        assert_eq!(vhd.footer_copy_equal(), Some(true), "{name}");
        vhd.check().unwrap();
        qemu_agrees(&qemu, directory.path(), &path, &vhd);
    }
}

/// Our empty disk of 127 GiB is Hyper-V's, byte for byte, but for the creator's version.
#[test]
fn writes_what_hyper_v_writes() {
    let Some(samples) = testkit::samples() else { return };
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = unpacked(&samples.join("disks/hyperv2012r2-dynamic.vhd.bz2"), directory.path()) else {
        return;
    };
    let theirs = std::fs::read(path).unwrap();
    let footer = Vhd::open(Arc::new(theirs.clone())).unwrap().footer().clone();
    let options = Options { timestamp: footer.timestamp, ..Options::new(127 << 30, footer.unique_id) };
    let file = Arc::new(Mutex::new(Vec::new()));
    Box::new(dynamic::positioned(Arc::clone(&file), &options, std::iter::empty()).unwrap()).finish().unwrap();
    let mut ours = std::mem::take(&mut *file.lock().unwrap());
    for at in [0, ours.len() - 512] {
        ours[at + 32..at + 36].copy_from_slice(&footer.creator_version.to_be_bytes());
        ours[at + 64..at + 68].copy_from_slice(&footer.checksum.to_be_bytes());
    }
    assert!(theirs == ours);
}

/// The largest disk, with a block at each end.
#[test]
fn largest_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.vhd");
    let options = Options::new(MAX_SIZE, Guid([1; 16]));
    let ranges = [0..512, MAX_SIZE - 512..MAX_SIZE];
    let sink = dynamic::positioned(File::create(&path).unwrap(), &options, ranges.iter().cloned()).unwrap();
    sink.write_at(0, &[1; 512]).unwrap();
    sink.write_at(MAX_SIZE - 512, &[2; 512]).unwrap();
    Box::new(sink).finish().unwrap();

    let vhd = Vhd::open(Arc::new(File::open(&path).unwrap())).unwrap();
    assert_eq!((vhd.disk_size(), vhd.allocated_blocks()), (MAX_SIZE, Some(2)));
    let mut sector = [0; 512];
    vhd.read_exact_at(&mut sector, MAX_SIZE - 512).unwrap();
    assert_eq!(sector, [2; 512]);
    if let Some(qemu) = testkit::tool("qemu-img") {
        let info = qemu.text(["info", "-f", "vpc", path.to_str().unwrap()]);
        assert!(info.contains(&format!("({MAX_SIZE} bytes)")), "{info}");
        qemu_agrees(&qemu, directory.path(), &path, &vhd);
    }
}
