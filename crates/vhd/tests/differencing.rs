//! Differencing disks: made of our dynamic files by changing their headers, tables and bitmaps, read by us and by
//! others.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::{MIB, disk, dynamic_file, make_differencing, noise};
use disk::{BlockMap, Guid, MappedRange, RangeKind, ReadAt};
use wimforge_vhd::layout::ABSENT;
use wimforge_vhd::{Error, Kind, Usage, Vhd};

/// What a block of a child is.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    Parents,
    Full,
    Partial,
    /// A block whose bitmap has no bit set: all of it is the parent's.
    Empty,
}

use Block::{Empty, Full, Parents, Partial};

const BLOCK: usize = 512 << 10;
const BLOCKS: [Block; 17] = [
    Full, Partial, Parents, Parents, Full, Partial, Parents, Parents, Parents, Parents, Parents, Parents,
    Parents, Empty, Parents, Partial, Full,
];
/// The last block is not whole.
const SIZE: usize = 16 * BLOCK + 77 * 512;
const PARENT_ID: [u8; 16] = *b"0123456789abcdef";

/// Which sectors of a block that is stored in part are: every third byte of its bitmap, and single bits of others.
fn stored(sector: usize, single: bool) -> bool {
    match sector / 8 % 3 {
        0 => true,
        1 => single && sector % 8 == 5,
        _ => false,
    }
}

/// A child over `parent`, and what it reads as.
fn child(parent: &[u8], single: bool) -> (Vec<u8>, Vec<u8>) {
    let own = noise(77, parent.len());
    // Every block is written; then some are taken away.
    let mut file = dynamic_file(&own, BLOCK as u32);
    let mut expected = parent.to_vec();
    for (index, block) in BLOCKS.into_iter().enumerate() {
        let range = index * BLOCK..((index + 1) * BLOCK).min(own.len());
        let entry = 1536 + index * 4;
        let bitmap = u32::from_be_bytes(file[entry..entry + 4].try_into().unwrap()) as usize * 512;
        match block {
            Parents => file[entry..entry + 4].copy_from_slice(&ABSENT.to_be_bytes()),
            Full => expected[range.clone()].copy_from_slice(&own[range]),
            Empty => file[bitmap..bitmap + BLOCK / 4096].fill(0),
            Partial => {
                file[bitmap..bitmap + BLOCK / 4096].fill(0);
                for at in range.step_by(512) {
                    let sector = at % BLOCK / 512;
                    if stored(sector, single) {
                        file[bitmap + sector / 8] |= 0x80 >> (sector % 8);
                        expected[at..at + 512].copy_from_slice(&own[at..at + 512]);
                    }
                }
            }
        }
    }
    make_differencing(&mut file, PARENT_ID, "Eltern-Ünïcode.vhd", ".\\parent.vhd", "C:\\disks\\parent.vhd");
    // A child has an identity of its own.
    common::put_footers(&mut file, 68, b"child's identity");
    (file, expected)
}

fn parent_disk() -> Vec<u8> {
    let mut disk = disk(SIZE);
    disk[3 * MIB..5 * MIB].copy_from_slice(&noise(9, 2 * MIB));
    disk
}

#[test]
fn parents_are_named_and_given() {
    let parent = parent_disk();
    let parent_vhd: Arc<dyn BlockMap> =
        Arc::new(Vhd::open(Arc::new(dynamic_file(&parent, 2 << 20))).unwrap());
    let (file, expected) = child(&parent, true);
    let open = || Vhd::open(Arc::new(file.clone())).unwrap();
    let vhd = open();
    assert_eq!((vhd.kind(), vhd.disk_size()), (Kind::Differencing, SIZE as u64));
    let reference = vhd.parent().unwrap();
    assert_eq!((reference.unique_id, reference.timestamp), (Guid(PARENT_ID), 0));
    assert_eq!(reference.name, "Eltern-Ünïcode.vhd");
    assert_eq!(reference.relative_path.as_deref(), Some(".\\parent.vhd"));
    assert_eq!(reference.absolute_path.as_deref(), Some("C:\\disks\\parent.vhd"));
    assert_eq!(reference.url, None);
    let usage = vhd.check().unwrap();
    assert_eq!((usage.blocks, usage.present, usage.bytes), (17, 7, 7 * (512 + BLOCK as u64)));
    // What was taken away is left behind in the file.
    assert!(usage.unused > 10 * BLOCK as u64, "{usage:?}");
    assert_eq!(Usage { unused: 0, ..usage }, Usage { blocks: 17, present: 7, bytes: usage.bytes, unused: 0 });

    // Without the parent, what is stored can be read, and nothing else.
    let mut sector = [0; 512];
    for at in [0, BLOCK, BLOCK + 13 * 512, SIZE - 512] {
        vhd.read_exact_at(&mut sector, at as u64).unwrap();
        assert_eq!(sector, expected[at..at + 512], "{at:#x}");
    }
    for at in [BLOCK + 8 * 512, 2 * BLOCK, 13 * BLOCK] {
        let error = vhd.read_exact_at(&mut sector, at as u64).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{at:#x}");
    }
    assert_eq!(
        vhd.range_at(2 * BLOCK as u64).unwrap().unwrap().kind,
        RangeKind::Data,
        "not known to be zero"
    );

    // With it, all.
    let vhd = vhd.with_parent(Arc::clone(&parent_vhd), Guid(PARENT_ID)).unwrap();
    let mut bytes = vec![0; SIZE];
    vhd.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes == expected);
    for len in [1, 511, 512, 4096, 4097] {
        for start in [BLOCK - 3, BLOCK + 7, BLOCK + 8 * 512 - 1, 5 * BLOCK + 13 * 512 + 1, 2 * BLOCK - 1000] {
            let mut bytes = vec![0; len];
            vhd.read_exact_at(&mut bytes, start as u64).unwrap();
            assert_eq!(bytes, expected[start..start + len], "{len} at {start}");
        }
    }
    let (mut offset, mut zeros) = (0, 0);
    while let Some(MappedRange { start, len, kind }) = vhd.range_at(offset).unwrap() {
        assert!(start == offset && len > 0);
        offset += len;
        if kind == RangeKind::Zero {
            zeros += len;
            assert!(expected[start as usize..offset as usize].iter().all(|byte| *byte == 0));
        }
    }
    assert_eq!(offset, SIZE as u64);
    // Of the parent's blocks of 2 MiB, that from 6 MiB to 8 MiB holds nothing; the child has a block and a half in it.
    assert!(zeros >= BLOCK as u64, "{zeros}");

    // Another disk, a resized one, a disk that has no parent.
    let refused = |vhd: Vhd, parent: &Arc<dyn BlockMap>, id: [u8; 16], expected: &str| {
        let error = vhd.with_parent(Arc::clone(parent), Guid(id)).unwrap_err();
        assert!(matches!(error, Error::Impossible { .. }) && error.to_string().contains(expected), "{error}");
    };
    refused(open(), &parent_vhd, [1; 16], "parent with id 01010101-");
    let smaller: Arc<dyn BlockMap> =
        Arc::new(Vhd::open(Arc::new(dynamic_file(&parent[..SIZE - 512], 2 << 20))).unwrap());
    refused(open(), &smaller, PARENT_ID, "one of them was resized");
    let dynamic = Vhd::open(Arc::new(dynamic_file(&parent, 2 << 20))).unwrap();
    refused(dynamic, &parent_vhd, PARENT_ID, "not differencing");
}

/// 7-Zip and libvhdi read the same from our parent and the child, and from a child of the child.
#[test]
fn others_read_the_same() {
    // libvhdi 20260901 takes the sectors after the last set bit of a byte of the bitmap for stored: none for it where a byte
    // has both. 7-Zip agrees with us.
    for single in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["grandchild.vhd", "child.vhd", "parent.vhd"].map(|name| directory.path().join(name));
        let parent = parent_disk();
        let parent_file = dynamic_file(&parent, 2 << 20);
        let (file, expected) = child(&parent, single);
        let (mut grandchild, last) = child(&expected, single);
        common::put(&mut grandchild, common::HEADER, 40, b"child's identity");
        common::put_footers(&mut grandchild, 68, b"grandchild's own");
        // The name of its parent is as long as the other's: one letter goes, another comes.
        let name: Vec<u8> = ".\\child.vhd\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let place = grandchild.len() - 1024;
        grandchild[place..place + name.len()].copy_from_slice(&name);
        for (path, file) in paths.iter().zip([&grandchild, &file, &parent_file]) {
            std::fs::write(path, file).unwrap();
        }
        let vhd = Vhd::open(Arc::new(file)).unwrap();
        let parent = Arc::new(Vhd::open(Arc::new(parent_file)).unwrap());
        let vhd = vhd.with_parent(parent, Guid(PARENT_ID)).unwrap();
        let id = vhd.footer().unique_id;
        let grandchild = Vhd::open(Arc::new(grandchild)).unwrap();
        assert_eq!(grandchild.parent().unwrap().relative_path.as_deref(), Some(".\\child.vhd"));
        let top = grandchild.with_parent(Arc::new(vhd), id).unwrap();
        let mut bytes = vec![0; SIZE];
        top.read_exact_at(&mut bytes, 0).unwrap();
        assert!(bytes == last);

        if let Some(seven) = testkit::tool("7zz") {
            for (path, expected) in [(&paths[1], &expected), (&paths[0], &last)] {
                let out = seven.run(testkit::args!["e", "-tvhd", "-so", path]).stdout;
                assert!(out == *expected, "7zz extracts something else from {}", path.display());
            }
        }
        let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
        for (files, expected) in [(&paths[1..], &expected), (&paths[..], &last)] {
            if single {
                continue;
            }
            let Some(found) = testkit::disk_reader::read("libyal", "vhd", files, &[]) else { continue };
            assert_eq!((found.size, found.sha1), (SIZE as u64, vec![testkit::disk_reader::sha1(expected)]));
        }
    }
}

/// Tools of Apple and Xen name the parent by a URL.
#[test]
fn urls() {
    let (mut file, _) = child(&parent_disk(), true);
    let at = file.len() as u64 - 1536;
    file[at as usize..][..19].copy_from_slice(b"file://./parent.vhd");
    common::put_locator(&mut file, 0, b"MacX", 19, at);
    let vhd = Vhd::open(Arc::new(file)).unwrap();
    let reference = vhd.parent().unwrap();
    assert_eq!(reference.url.as_deref(), Some("file://./parent.vhd"));
    assert_eq!(
        (reference.relative_path.as_deref(), &reference.absolute_path),
        (Some(".\\parent.vhd"), &None)
    );
}
