//! Our files in other people's readers, other people's in ours, and what is in them byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "how a test fails; ranges are meant"
)]

mod common;

use std::fs::File;
use std::sync::Arc;

use common::{MIB, disk, file, options, read_all, stream, walk};
use disk::{BlockMap, Guid, PositionedSink, ReadAt};
use proptest::prelude::*;
use testkit::args;
use testkit::disk_reader::sha1;
use wimforge_vdi::{BLOCK_SIZE, Identity, Kind, Options, Usage, Vdi, dynamic, fixed, is_vdi};

#[test]
fn golden_bytes() {
    let bytes = disk(13 * MIB);
    for (kind, number, entries) in
        [(Kind::Dynamic, 1, "0 1 2 3 - 4 - - - 5 6 7 8"), (Kind::Fixed, 2, "0 1 2 3 4 5 6 7 8 9 10 11 12")]
    {
        let file = file(&bytes, kind);
        let entries: Vec<u32> = entries.split(' ').map(|entry| entry.parse().unwrap_or(u32::MAX)).collect();
        let stored = entries.iter().filter(|entry| **entry != u32::MAX).count();
        let mut header = b"<<< Oracle VM VirtualBox Disk Image >>>\n".to_vec();
        header.resize(64, 0);
        for word in [0xBEDA_107F, 0x1_0001, 0x190, number, 0] {
            header.extend_from_slice(&u32::to_le_bytes(word));
        }
        header.resize(0x154, 0);
        let size = 13 << 20;
        let words = [0x10_0000, 0x20_0000, 0, 0, 0, 512, 0, size, 0, 0x10_0000, 0, 13, stored as u32];
        words.iter().for_each(|word| header.extend_from_slice(&word.to_le_bytes()));
        header.extend_from_slice(b"0123456789abcdeffedcba9876543210");
        header.resize(0x1D4, 0);
        header.extend_from_slice(&[0, 2]);
        header.resize(MIB, 0);
        assert!(file[..MIB] == header);
        let map: Vec<u32> = file[MIB..MIB + 13 * 4]
            .chunks(4)
            .map(|entry| u32::from_le_bytes(entry.try_into().unwrap()))
            .collect();
        assert_eq!(map, entries);
        assert!(file[MIB + 13 * 4..2 * MIB].iter().all(|byte| *byte == 0));
        assert_eq!(file.len(), (2 + stored) * MIB);
        for (block, entry) in entries.iter().enumerate().filter(|(_, entry)| **entry != u32::MAX) {
            assert!(file[(2 + *entry as usize) * MIB..][..MIB] == bytes[block * MIB..][..MIB]);
        }
    }
}

#[test]
fn what_is_written_is_read() {
    for len in [13 * MIB, 3 * MIB / 2, 17 * MIB + 5 * 512, 512] {
        let bytes = disk(len);
        for kind in [Kind::Dynamic, Kind::Fixed] {
            let file = file(&bytes, kind);
            assert!(file == stream(&bytes, kind), "both ways give the same file");
            assert!(is_vdi(&file).unwrap());
            let vdi = Vdi::open(file).unwrap();
            assert_eq!((vdi.kind(), vdi.disk_size(), vdi.parent()), (kind, len as u64, None));
            let (id, content_id) = (Guid(*b"0123456789abcdef"), Guid(*b"fedcba9876543210"));
            assert_eq!(vdi.identity(), Identity { id, content_id });
            assert!(read_all(&vdi) == bytes);
            let stored = walk(&vdi, &bytes).div_ceil(BLOCK_SIZE);
            assert_eq!(vdi.check().unwrap(), Usage { stored, zero: 0 });
            assert_eq!(stored == len.div_ceil(MIB) as u64, kind == Kind::Fixed || len < 2 * MIB);
            let mut past = [0; 2];
            assert!(vdi.read_exact_at(&mut past, len as u64 - 1).is_err());
            assert!(vdi.read_exact_at(&mut past, u64::MAX).is_err());
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
        for kind in [Kind::Dynamic, Kind::Fixed] {
            let file = file(&disk, kind);
            prop_assert!(file == stream(&disk, kind));
            let vdi = Vdi::open(file).unwrap();
            prop_assert!(read_all(&vdi) == disk);
            vdi.check().unwrap();
        }
    }
}

#[test]
fn accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.vdi"), directory.path().join("disk.raw"));
    for len in [13 * MIB, 129 * MIB, 3 * MIB + 5 * 512] {
        let bytes = disk(len);
        std::fs::write(&raw, &bytes).unwrap();
        for kind in [Kind::Dynamic, Kind::Fixed] {
            std::fs::write(&path, stream(&bytes, kind)).unwrap();
            if let Some(qemu) = testkit::tool("qemu-img") {
                let check = qemu.text(args!["check", "-f", "vdi", &path]);
                assert!(check.contains("No errors were found"), "{check}");
                let info = qemu.text(args!["info", &path]);
                assert!(
                    info.contains("file format: vdi") && info.contains(&format!("({len} bytes)")),
                    "{info}"
                );
                qemu.run(args!["compare", "-f", "vdi", "-F", "raw", &path, &raw]);
            }
            if let Some(seven) = testkit::tool("7zz") {
                let test = seven.text(args!["t", "-tvdi", &path]);
                assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
                let out = seven.run(args!["e", "-tvdi", "-so", &path]).stdout;
                assert!(out == bytes, "7zz extracts something else");
            }
            if let Some(found) = testkit::disk_reader::read("dissect", "vdi", &[&path], &[]) {
                assert_eq!((found.size, found.sha1), (len as u64, vec![sha1(&bytes)]));
            }
        }
    }
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vdi"));
    for len in [512, 33 * MIB, 3 * MIB + 5 * 512] {
        let bytes = disk(len);
        std::fs::write(&raw, &bytes).unwrap();
        for (kind, option) in [(Kind::Dynamic, "static=off"), (Kind::Fixed, "static=on")] {
            qemu.run(args!["convert", "-f", "raw", "-O", "vdi", "-o", option, &raw, &path]);
            let vdi = Vdi::open(File::open(&path).unwrap()).unwrap();
            assert_eq!((vdi.kind(), vdi.disk_size()), (kind, len as u64));
            assert!(read_all(&vdi) == bytes);
            walk(&vdi, &bytes);
            vdi.check().unwrap();
        }
    }
}

/// Large disks, with a block at each end. The map of the largest would have a GiB.
#[test]
fn large_disks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.vdi");
    for size in [127 << 30, 2040 << 30, 16 << 40] {
        let options = Options::new(size, Guid([1; 16]), Guid([2; 16]));
        let ranges = [0..512, size - 512..size];
        let sink =
            dynamic::positioned(File::create(&path).unwrap(), &options, ranges.iter().cloned()).unwrap();
        sink.write_at(0, &[1; 512]).unwrap();
        sink.write_at(size - 512, &[2; 512]).unwrap();
        Box::new(sink).finish().unwrap();
        let vdi = Vdi::open(File::open(&path).unwrap()).unwrap();
        let mut sector = [0; 512];
        vdi.read_exact_at(&mut sector, size - 512).unwrap();
        assert_eq!(sector, [2; 512]);
        assert_eq!(vdi.check().unwrap(), Usage { stored: 2, zero: 0 });
        if let Some(qemu) = testkit::tool("qemu-img") {
            let check = qemu.text(args!["check", "-f", "vdi", &path]);
            assert!(check.contains("No errors were found"), "{check}");
        }
        let ranges = [0..BLOCK_SIZE, size - BLOCK_SIZE..size];
        if let Some(found) = testkit::disk_reader::read("dissect", "vdi", &[&path], &ranges) {
            let mut ends = [vec![0; MIB], vec![0; MIB]];
            ends[0][..512].fill(1);
            ends[1][MIB - 512..].fill(2);
            assert_eq!((found.size, found.sha1), (size, ends.iter().map(|end| sha1(end)).collect()));
        }
    }
}

/// Differencing disks as VirtualBox would make them: type 4, the parent's identities.
#[test]
fn differences() {
    let (old, mut new) = (disk(13 * MIB), vec![0; 13 * MIB]);
    new[5 * MIB..6 * MIB].fill(9);
    let mut difference = file(&new, Kind::Dynamic);
    difference[0x4C] = 4;
    let parent = Vdi::open(file(&old, Kind::Dynamic)).unwrap();
    difference[0x1A8..0x1B8].copy_from_slice(&parent.identity().id.0);
    difference[0x1B8..0x1C8].copy_from_slice(&parent.identity().content_id.0);
    // A block that became zero.
    difference[MIB + 9 * 4..MIB + 10 * 4].copy_from_slice(&(u32::MAX - 1).to_le_bytes());

    let alone = Vdi::open(difference.clone()).unwrap();
    assert_eq!((alone.kind(), alone.parent()), (Kind::Differencing, Some(parent.identity())));
    assert_eq!(alone.check().unwrap(), Usage { stored: 1, zero: 1 });
    let error = alone.read_exact_at(&mut [0; 1], 0).unwrap_err();
    assert!(error.to_string().contains("was not given"), "{error}");
    assert!(alone.range_at(0).is_err());
    let identity = parent.identity();
    let parent: Arc<dyn BlockMap> = Arc::new(parent);
    let other = Identity { content_id: Guid([3; 16]), ..identity };
    let error = alone.with_parent(Arc::clone(&parent), other).unwrap_err().to_string();
    assert!(error.contains("the parent's content is 03030303-"), "{error}");

    let both = Vdi::open(difference).unwrap().with_parent(Arc::clone(&parent), identity).unwrap();
    let mut expected = old;
    expected[5 * MIB..6 * MIB].fill(9);
    expected[9 * MIB..10 * MIB].fill(0);
    assert!(read_all(&both) == expected);
    walk(&both, &expected);
    let whole = Vdi::open(file(&[1; 512], Kind::Fixed)).unwrap();
    assert!(whole.with_parent(parent, identity).is_err());
}

#[test]
fn sinks_refuse_what_was_not_announced() {
    let bytes = vec![0; 4 * MIB + 512];
    let file = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink =
        dynamic::positioned(Arc::clone(&file), &options(&bytes), [0..1, 4 << 20..(4 << 20) + 1].into_iter())
            .unwrap();
    sink.write_at(BLOCK_SIZE - 1, &[1]).unwrap();
    for offset in [BLOCK_SIZE, BLOCK_SIZE - 1, (4 << 20) + 511, u64::MAX] {
        assert!(sink.write_at(offset, &[1; 2]).is_err(), "{offset:#x}");
    }
    assert!(!is_vdi(&*file.lock().unwrap()).unwrap(), "no header before the end");
    for ranges in [vec![0..5, 4..6], vec![0..(5 << 20)], vec![std::ops::Range { start: 6, end: 5 }]] {
        assert!(dynamic::file_size(&options(&bytes), ranges.into_iter()).is_err());
    }
    assert!(fixed::file_size(&Options { size: 0, ..options(&bytes) }).is_err());
}
