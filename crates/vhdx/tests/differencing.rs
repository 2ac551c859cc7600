//! Differencing disks: made of our dynamic files by changing their metadata and tables, read by us and by others.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::{
    LOCATOR_AT, MIB, disk, dynamic, locator, make_differencing, noise, options, put_entry, read_all,
};
use disk::{BlockMap, Guid, MappedRange, RangeKind, ReadAt, SectorSize};
use wimforge_vhdx::layout::table_entry;
use wimforge_vhdx::{Error, Kind, Options, Usage, Vhdx};

/// What a block of a child is.
#[derive(Clone, Copy, PartialEq)]
enum Block {
    Parents,
    Zero,
    Unmapped,
    Full,
    /// Sectors whose number is divisible by 3, but for whole bytes of the bitmap: eight sectors together.
    Partial,
}

use Block::{Full, Parents, Partial, Unmapped, Zero};

const BLOCKS: [Block; 9] = [Full, Partial, Parents, Parents, Zero, Partial, Unmapped, Parents, Full];
const SIZE: usize = 9 * MIB;

fn stored(sector: usize) -> bool {
    match sector / 8 % 3 {
        0 => true,
        1 => sector % 8 == 5,
        _ => false,
    }
}

/// A child of nine blocks over the disk with `parent_id`, in blocks of 1 MiB, and what it reads as over `parent`.
fn child(parent: &[u8], locator: &[u8], sector_size: SectorSize) -> (Vec<u8>, Vec<u8>) {
    let own = noise(77, SIZE);
    let sector = sector_size.bytes() as usize;
    // Every block is written, so that block n lies at 4 + n MiB; then some are taken away.
    let options = Options { sector_size, ..options(&own) };
    let mut file = common::file(&own, &options);
    make_differencing(&mut file, locator);
    let mut bitmap = vec![0; MIB];
    let mut expected = parent.to_vec();
    expected.resize(SIZE, 0);
    for (index, block) in BLOCKS.into_iter().enumerate() {
        let range = index * MIB..(index + 1) * MIB;
        let state = match block {
            Parents => 0,
            Zero => 2,
            Unmapped => 3,
            Full => 6,
            Partial => 7,
        };
        let offset = if state >= 6 { (4 + index as u64) << 20 } else { 0 };
        put_entry(&mut file, index, table_entry(state, offset));
        match block {
            Parents => {}
            Zero | Unmapped => expected[range].fill(0),
            Full => expected[range.clone()].copy_from_slice(&own[range]),
            Partial => {
                for at in range.step_by(sector) {
                    let number = at / sector;
                    if stored(number) {
                        bitmap[number / 8] |= 1 << (number % 8);
                        expected[at..at + sector].copy_from_slice(&own[at..at + sector]);
                    }
                }
            }
        }
    }
    // The sector bitmap lies after the blocks; its entry after those of a chunk.
    let chunk = 8 * sector;
    let end = file.len() as u64;
    put_entry(&mut file, chunk, table_entry(6, end));
    file.extend_from_slice(&bitmap);
    (file, expected)
}

fn locator_of(parent: &Vhdx) -> Vec<u8> {
    locator(&[
        ("parent_linkage", &format!("{{{}}}", parent.data_write_id())),
        ("parent_linkage2", "{00000000-0000-0000-0000-000000000000}"),
        ("relative_path", ".\\parent.vhdx"),
        ("absolute_win32_path", "\\\\?\\C:\\disks\\parent.vhdx"),
        ("volume_path", "\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\disks\\parent.vhdx"),
    ])
}

fn parent_disk() -> Vec<u8> {
    let mut disk = disk(SIZE);
    disk[5 * MIB..6 * MIB].copy_from_slice(&noise(9, MIB));
    disk[7 * MIB..].fill(0);
    disk
}

#[test]
fn parents_are_named_and_given() {
    let parent = parent_disk();
    let parent_file = dynamic(&parent);
    let parent_vhdx = Vhdx::open(parent_file).unwrap();
    let (file, expected) = child(&parent, &locator_of(&parent_vhdx), SectorSize::B512);
    let open = || Vhdx::open(file.clone()).unwrap();
    let vhdx = open();
    assert_eq!(vhdx.kind(), Kind::Differencing);
    let reference = vhdx.parent().unwrap().clone();
    assert_eq!((reference.data_write_id, reference.data_write_id_2), (parent_vhdx.data_write_id(), None));
    assert_eq!(reference.relative_path.as_deref(), Some(".\\parent.vhdx"));
    assert_eq!(reference.absolute_path.as_deref(), Some("\\\\?\\C:\\disks\\parent.vhdx"));
    assert!(reference.volume_path.unwrap().starts_with("\\\\?\\Volume{26a21bda"));
    let usage = Usage { blocks: 9, present: 2, partial: 2, zero: 1, bitmaps: 1, bytes: 5 << 20 };
    assert_eq!(vhdx.check().unwrap(), usage);
    assert_eq!(vhdx.allocated_blocks(), 4);

    // Without the parent, what is stored can be read, and nothing else.
    let mut sector = [0; 512];
    vhdx.read_exact_at(&mut sector, 0).unwrap();
    assert_eq!(sector, expected[..512]);
    vhdx.read_exact_at(&mut sector, 4 << 20).unwrap();
    assert_eq!(sector, [0; 512]);
    let partly = MIB + 16 * 512;
    assert!(stored(partly / 512) && !stored(MIB / 512));
    vhdx.read_exact_at(&mut sector, partly as u64).unwrap();
    assert_eq!(sector, expected[partly..partly + 512]);
    for at in [1 << 20, 2 << 20] {
        let error = vhdx.read_exact_at(&mut sector, at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
    assert_eq!(vhdx.range_at(2 << 20).unwrap().unwrap().kind, RangeKind::Data, "not known to be zero");

    // With it, all.
    let id = parent_vhdx.data_write_id();
    let parent_vhdx: Arc<dyn BlockMap> = Arc::new(parent_vhdx);
    let vhdx = vhdx.with_parent(Arc::clone(&parent_vhdx), id).unwrap();
    assert!(read_all(&vhdx) == expected);
    for len in [1, 511, 512, 4096, 4097] {
        for start in [MIB - 3, MIB + 7, MIB + 8 * 512 - 1, 5 * MIB + 13 * 512 + 1, 2 * MIB - 1000] {
            let mut bytes = vec![0; len];
            vhdx.read_exact_at(&mut bytes, start as u64).unwrap();
            assert_eq!(bytes, expected[start..start + len], "{len} at {start}");
        }
    }
    let mut ranges = Vec::new();
    let mut offset = 0;
    while let Some(MappedRange { start, len, kind }) = vhdx.range_at(offset).unwrap() {
        assert_eq!(start, offset);
        assert!(len > 0);
        offset += len;
        if kind == RangeKind::Zero {
            assert!(expected[start as usize..offset as usize].iter().all(|byte| *byte == 0));
            ranges.push(start / MIB as u64..offset / MIB as u64);
        }
    }
    assert_eq!(ranges, [3..4, 4..5, 6..7, 7..8]);

    // Another disk, or the same one after it was written to.
    let error = open().with_parent(Arc::clone(&parent_vhdx), Guid([1; 16])).unwrap_err();
    assert!(
        matches!(error, Error::Impossible { .. }) && error.to_string().contains("the parent was replaced"),
        "{error}"
    );
    let error = Vhdx::open(dynamic(&parent)).unwrap().with_parent(parent_vhdx, id).unwrap_err();
    assert!(error.to_string().contains("not differencing"), "{error}");
}

/// A second linkage serves as well as the first; a nil one is none.
#[test]
fn two_linkages() {
    let parent = parent_disk();
    let text = |byte: u8| format!("{{{}}}", Guid([byte; 16]));
    let (file, _) = child(
        &parent,
        &locator(&[("parent_linkage", &text(1)), ("parent_linkage2", &text(2))]),
        SectorSize::B512,
    );
    let reference = Vhdx::open(file).unwrap().parent().unwrap().clone();
    let accepted = [0, 1, 2, 3].map(|byte| reference.accepts(Guid([byte; 16])));
    assert_eq!(accepted, [false, true, true, false]);
}

/// A parent may be smaller, or a child of another.
#[test]
fn chains() {
    let grandparent = &parent_disk()[..3 * MIB + 5 * 512];
    let grandparent_vhdx = Vhdx::open(dynamic(grandparent)).unwrap();
    let (file, expected) = child(grandparent, &locator_of(&grandparent_vhdx), SectorSize::B512);
    let id = grandparent_vhdx.data_write_id();
    let middle = Vhdx::open(file).unwrap().with_parent(Arc::new(grandparent_vhdx), id).unwrap();
    assert!(read_all(&middle) == expected);
    let (file, expected) = child(&expected, &locator_of(&middle), SectorSize::B512);
    let id = middle.data_write_id();
    let top = Vhdx::open(file).unwrap().with_parent(Arc::new(middle), id).unwrap();
    assert!(read_all(&top) == expected);
    let (mut offset, mut bytes) = (0, vec![0; 9 * MIB]);
    while let Some(range) = top.range_at(offset).unwrap() {
        assert!(range.start <= offset && range.start + range.len > offset);
        let end = range.start + range.len;
        if range.kind == RangeKind::Data {
            top.read_exact_at(&mut bytes[offset as usize..end as usize], offset).unwrap();
        }
        offset = end;
    }
    assert!(bytes == expected, "zero where the map says so");
}

/// libvhdi and dissect read the same from our parent and the child. Both know sectors of 4096 bytes.
#[test]
fn others_read_the_same() {
    for sector_size in [SectorSize::B512, SectorSize::B4096] {
        let directory = tempfile::tempdir().unwrap();
        let (path, parent_path) = (directory.path().join("child.vhdx"), directory.path().join("parent.vhdx"));
        let parent = parent_disk();
        let parent_file = common::file(&parent, &Options { sector_size, ..options(&parent) });
        let parent_vhdx = Vhdx::open(parent_file.clone()).unwrap();
        let (file, expected) = child(&parent, &locator_of(&parent_vhdx), sector_size);
        std::fs::write(&parent_path, &parent_file).unwrap();
        std::fs::write(&path, &file).unwrap();
        let id = parent_vhdx.data_write_id();
        let vhdx = Vhdx::open(file).unwrap().with_parent(Arc::new(parent_vhdx), id).unwrap();
        assert!(read_all(&vhdx) == expected);
        let files: [&Path; 2] = [&path, &parent_path];
        for reader in testkit::disk_reader::READERS {
            let Some(found) = testkit::disk_reader::read(reader, "vhdx", &files, &[]) else { continue };
            assert_eq!(found.size, SIZE as u64, "{reader}");
            assert_eq!(found.sha1, [testkit::disk_reader::sha1(&expected)], "{reader} {sector_size:?}");
        }
    }
}

#[test]
fn broken_children() {
    let parent = parent_disk();
    let parent_vhdx = Vhdx::open(dynamic(&parent)).unwrap();
    let (good, _) = child(&parent, &locator_of(&parent_vhdx), SectorSize::B512);
    let refused = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut file = good.clone();
        change(&mut file);
        let found = Vhdx::open(file).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
    };
    refused(&|_| {}, "accepted");
    refused(
        &|file| put_entry(file, 4096, 0),
        "malformed VHDX block allocation table entry at 0x300008: block 1 partially present, but chunk 0 has no sector bitmap",
    );
    refused(&|file| put_entry(file, 4096, table_entry(7, 13 << 20)), "sector bitmap 0 in state 7");
    refused(&|file| put_entry(file, 4096, table_entry(6, 12 << 20)), "sector bitmap 0 at 0xc00000 overlaps");
    refused(
        &|file| put_entry(file, 4096, table_entry(6, 14 << 20)),
        "sector bitmap 0 at 0xe00000 (+ 0x100000) ends past",
    );
    refused(&|file| file.truncate(13 * MIB), "sector bitmap 0 at 0xd00000 (+ 0x100000) ends past");
    // Entries of blocks after the disk's end, before the sector bitmap's: whatever they say.
    refused(&|file| put_entry(file, 9, 5), "accepted");
    // A child needs entries up to its last chunk's sector bitmap: 32 whole chunks are one entry too many for 1 MiB.
    let larger = |size: u64| {
        move |file: &mut Vec<u8>| file[common::ITEMS + 8..][..8].copy_from_slice(&size.to_le_bytes())
    };
    refused(&larger((31 * 4096) << 20), "accepted");
    refused(&larger(((31 * 4096) << 20) + 512), "needs 131104 entries");
    refused(&|file| file[LOCATOR_AT] ^= 1, "unsupported VHDX parent locator at 0x211000: type");
}
