//! Parts of UDF that no program at hand writes, made from images of genisoimage; and images that nobody should write.

mod common;

use std::sync::Arc;

use common::udf::{Patched, SECTOR, extended, long, put, short, u16_at, u32_at};
use common::*;
use disk::ReadAt as _;
use testkit::content::Random;
use wimforge_iso::{Error, Iso, TreeKind};

/// What the image holds: the sizes tell the file entries apart.
const A: u64 = 6001;
const B: u64 = 4097;

fn tree() -> Listing {
    let mut tree = Listing::new();
    tree.insert("a.bin".to_owned(), Some(Random::new(1).bytes(A as usize)));
    tree.insert("sub".to_owned(), None);
    tree.insert("sub/b.bin".to_owned(), Some(Random::new(2).bytes(B as usize)));
    tree.insert("sub/deeper".to_owned(), None);
    tree.insert("sub/deeper/c.txt".to_owned(), Some(b"c".to_vec()));
    tree
}

/// `None`, visibly, without genisoimage.
fn image() -> Option<Patched> {
    let scratch = scratch(&tree());
    genisoimage(&["-udf", "-J", "-R", "-V", "LABEL"], &scratch)?;
    Some(Patched::new(std::fs::read(&scratch.image).expect("the image")))
}

fn open_bytes(image: &[u8]) -> Result<Iso, Error> {
    Iso::open(Arc::new(image.to_vec()))
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, words: &str) {
    match result {
        Ok(_) => panic!("not refused; expected {words:?}"),
        Err(error) => assert!(error.to_string().contains(words), "{error}, expected {words:?}"),
    }
}

fn read_a(iso: &Iso) -> Result<Vec<u8>, Error> {
    let entry = iso.find("a.bin")?.expect("it is there");
    Ok(content(&iso.file(&entry)?))
}

#[test]
fn every_kind_of_allocation_descriptor() {
    let Some(sound) = image() else { return };
    let data = tree()["a.bin"].clone().unwrap();
    let entry = sound.entry_of(A);
    let first = sound.block(sound.data(entry));
    let check = |patched: &Patched, expected: &[u8], runs: usize, what: &str| {
        let iso = open_bytes(&patched.image).unwrap();
        assert!(read_a(&iso).unwrap() == expected, "{what}");
        let file = iso.file(&iso.find("a.bin").unwrap().unwrap()).unwrap();
        assert_eq!(file.runs().len(), runs, "{what}");
        let mut part = vec![0; 3000];
        file.read_exact_at(&mut part, 1000).unwrap();
        assert!(part == expected[1000..4000], "{what}");
    };
    check(&sound, &data, 1, "as it is");
    let last = (A - 4096) as u32;
    for (kind, descriptors) in [
        (0, [short(2048, first), short(2048, first + 1), short(last, first + 2)].concat()),
        (
            1,
            [long(2048, first, 0), long(2048, first + 1, 0), long(last, first + 2, 0), long(0, 0, 0)]
                .concat(),
        ),
        (
            2,
            [extended(2048, first, 0), extended(4096 - 2048, first + 1, 0), extended(last, first + 2, 0)]
                .concat(),
        ),
        // What is kept behind the end is no part of the file.
        (
            0,
            [short(4096, first), short(last, first + 2), short(0x4000_0000 | 2048, 1), short(2048, 0)]
                .concat(),
        ),
    ] {
        let mut patched = sound.clone();
        patched.allocate(entry, kind, &descriptors);
        check(&patched, &data, 1, "extents that touch are one");
    }
    // Moved to the end of the image.
    let mut patched = sound.clone();
    let moved = patched.append(&data[2048..4096]);
    patched.allocate(entry, 0, &[short(2048, first), short(2048, moved), short(last, first + 2)].concat());
    check(&patched, &data, 3, "in pieces");
    // Not stored: kinds 1 and 2.
    let mut sparse = data.clone();
    sparse[..4096].fill(0);
    let mut patched = sound.clone();
    let zeros = [short(0x4000_0000 | 2048, 7), short(0x8000_0000 | 2048, 0), short(last, first + 2)].concat();
    patched.allocate(entry, 0, &zeros);
    check(&patched, &sparse, 2, "sparse");
    // Continued twice.
    let mut patched = sound.clone();
    let chunk = |descriptors: Vec<u8>| {
        [&[0; 4][..], &(descriptors.len() as u32).to_le_bytes(), &descriptors].concat()
    };
    let third = patched.append_descriptor(258, &chunk(short(last, first + 2)));
    let second = patched
        .append_descriptor(258, &chunk([short(2048, first + 1), short(0xC000_0000 | 2048, third)].concat()));
    patched.allocate(entry, 0, &[short(2048, first), short(0xC000_0000 | 2048, second)].concat());
    check(&patched, &data, 1, "continued");
    // In the file entry itself.
    let mut patched = sound.clone();
    patched.allocate(entry, 3, b"embedded");
    patched.set(entry, 56, &8u64.to_le_bytes());
    let iso = open_bytes(&patched.image).unwrap();
    assert_eq!(read_a(&iso).unwrap(), b"embedded");
    // 7-Zip agrees about these two.
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("x.iso");
    std::fs::write(&place, &patched.image).unwrap();
    if let Some(theirs) = read_7zip(&place, &folder.path().join("out")) {
        assert_eq!(theirs["a.bin"].as_deref(), Some(&b"embedded"[..]));
        assert_same(&theirs, &read_ours(&iso));
    }
}

/// An extended file entry, as UDF 2.00 and later have it.
#[test]
fn extended_file_entries() {
    let Some(mut patched) = image() else { return };
    let entry = patched.entry_of(A);
    let old = patched.image[entry..entry + SECTOR].to_vec();
    let attributes = u32_at(&old, 168) as usize;
    let mut new = vec![0; SECTOR];
    put(&mut new, 0, &old[..64]);
    put(&mut new, 0, &266u16.to_le_bytes());
    put(&mut new, 80, &old[72..96]);
    // Created on the first of February 2003.
    put(&mut new, 104, &[0, 0x10, 0xD3, 0x07, 2, 1, 12, 0, 0, 0, 0, 0]);
    put(&mut new, 116, &old[96..108]);
    put(&mut new, 208, &old[168..176 + attributes + 8]);
    put(&mut new, 10, &((216 - 16 + attributes + 8) as u16).to_le_bytes());
    put(&mut patched.image, entry, &new);
    patched.seal(entry);
    let iso = open_bytes(&patched.image).unwrap();
    assert_same(&read_ours(&iso), &tree());
    let found = iso.find("A.BIN").unwrap().unwrap();
    assert_eq!(found.created.unwrap().to_string(), "2003-02-01T12:00:00.0000000Z");
}

/// The metadata partition of UDF 2.50: here it is the whole partition once more, by way of a file.
#[test]
fn metadata_partition() {
    let Some(mut patched) = image() else { return };
    let file_set = patched.sectors_with(256)[0];
    let block = patched.block(file_set);
    let sectors = ((patched.image.len() - patched.partition) / SECTOR) as u32;
    let template = patched.entry_of(A);
    let mut body = patched.image[template + 16..template + 176].to_vec();
    body[11] = 250;
    let len = u64::from(sectors) * SECTOR as u64;
    put(&mut body, 56 - 16, &len.to_le_bytes());
    body[34 - 16] &= !7;
    put(&mut body, 168 - 16, &0u32.to_le_bytes());
    put(&mut body, 172 - 16, &8u32.to_le_bytes());
    body.extend(short(sectors * SECTOR as u32, 0));
    let file = patched.append_descriptor(261, &body);
    let mut map = [0; 64];
    map[..2].copy_from_slice(&[2, 64]);
    map[5..28].copy_from_slice(b"*UDF Metadata Partition");
    put(&mut map, 36, &1u16.to_le_bytes());
    put(&mut map, 40, &file.to_le_bytes());
    put(&mut map, 44, &file.to_le_bytes());
    let with_map = |patched: &mut Patched, map: &[u8; 64]| {
        for volume in patched.sectors_with(6) {
            patched.set(volume, 264, &70u32.to_le_bytes());
            patched.set(volume, 268, &2u32.to_le_bytes());
            patched.set(volume, 446, map);
            // Where the file set descriptor is: the same block of partition 1.
            patched.set(volume, 256, &1u16.to_le_bytes());
            patched.set(volume, 10, &(446u16 + 64 - 16).to_le_bytes());
        }
    };
    with_map(&mut patched, &map);
    patched.set(file_set, 408, &1u16.to_le_bytes());
    let iso = open_bytes(&patched.image).unwrap();
    assert_same(&read_ours(&iso), &tree());
    let _ = block;

    // Another kind of partition is refused by name, and the next tree is shown.
    let mut other = patched.clone();
    let mut virtual_map = map;
    virtual_map[5..28].copy_from_slice(b"*UDF Virtual Partition\0");
    with_map(&mut other, &virtual_map);
    let iso = open_bytes(&other.image).unwrap();
    assert_eq!(iso.tree_kind(), TreeKind::Joliet);
    assert!(iso.reason().contains("*UDF Virtual Partition"), "{}", iso.reason());
    refused(Iso::open_tree(Arc::new(other.image), TreeKind::Udf), "Virtual");
    // A metadata file that holds itself together with nothing.
    let mut other = patched.clone();
    let at = other.partition + file as usize * SECTOR;
    other.set(at, 27, &[5]);
    refused(open_bytes(&other.image), "file type is 5, expected 250");
}

#[test]
fn directories_that_lead_in_circles() {
    let Some(sound) = image() else { return };
    let root = sound.data(sound.sectors_with(261)[0]);
    let identifiers = sound.identifiers(root);
    let (sub, _) = *identifiers.iter().find(|(_, name)| name == b"\x08sub").expect("the root's data");
    // The subdirectory is the root.
    let mut patched = sound.clone();
    let root_block = u32_at(&sound.image, sound.sectors_with(256)[0] + 404);
    patched.set(sub, 24, &root_block.to_le_bytes());
    let iso = open_bytes(&patched.image).unwrap();
    let steps: Vec<_> = iso.walk(iso.root()).collect();
    assert_eq!(steps.iter().filter(|step| step.is_err()).count(), 1);
    assert!(steps.len() < 10, "{}", steps.len());
    // Whoever asks for it gets as deep as they ask.
    let deep = "sub/".repeat(40) + "a.bin";
    assert_eq!(iso.find(&deep).unwrap().unwrap().size, A);
    assert!(iso.find(&"sub/".repeat(100_000)).unwrap().is_none(), "not deeper than the limit");
}

#[test]
fn hostile_file_entries() {
    let Some(sound) = image() else { return };
    let entry = sound.entry_of(A);
    let first = sound.block(sound.data(entry));
    let sectors = ((sound.image.len() - sound.partition) / SECTOR) as u32;
    let refuse = |change: &dyn Fn(&mut Patched), words: &str| {
        let mut patched = sound.clone();
        change(&mut patched);
        refused(open_bytes(&patched.image).and_then(|iso| read_a(&iso)), words);
    };
    for size in [1 << 63, u64::MAX, 1 << 40, 8193] {
        refuse(
            &|p| {
                p.allocate(entry, 0, &short(6144, first));
                p.set(entry, 56, &u64::to_le_bytes(size));
            },
            "allocation descriptors have 0x1800 bytes of",
        );
    }
    refuse(&|p| p.allocate(entry, 0, &short(A as u32, sectors + 100)), "of a partition of");
    refuse(&|p| p.allocate(entry, 0, &short(A as u32, u32::MAX)), "of a partition of");
    refuse(&|p| p.allocate(entry, 1, &long(A as u32, first, 9)), "partition 9; the volume has 1");
    refuse(&|p| p.allocate(entry, 0, &[short(100, first), short(5901, first)].concat()), "not whole blocks");
    refuse(&|p| p.allocate(entry, 1, &short(A as u32, first)), "8 bytes left, it has 16");
    refuse(&|p| p.allocate(entry, 4, &short(A as u32, first)), "allocation descriptors of kind 4");
    refuse(&|p| p.allocate(entry, 3, &[0; 100]), "is said to be in 0x64");
    refuse(&|p| p.allocate(entry, 0, &short(0xC000_0000 | 2048, first)), "allocation extent descriptor");
    // A continuation that is its own.
    refuse(
        &|p| {
            let own = p.block(p.image.len().next_multiple_of(SECTOR));
            let again = short(0xC000_0000 | 2048, own);
            let body = [&[0; 4][..], &8u32.to_le_bytes(), &again].concat();
            assert_eq!(p.append_descriptor(258, &body), own);
            p.allocate(entry, 0, &again);
        },
        "is one that came before",
    );
    refuse(&|p| p.set(entry, 168, &u32::MAX.to_le_bytes()), "do not fit");
    refuse(&|p| p.set(entry, 172, &u32::MAX.to_le_bytes()), "do not fit");
    refuse(&|p| p.set(entry, 20, &4096u16.to_le_bytes()), "strategy type 4096");
    refuse(&|p| p.set(entry, 0, &262u16.to_le_bytes()), "tag identifier is 262, expected 261 or 266");
    refuse(&|p| p.set(entry, 2, &4u16.to_le_bytes()), "descriptor version is 4");
    refuse(&|p| p.set(entry, 12, &77u32.to_le_bytes()), "tag location is 0x4d");
    refuse(&|p| p.image[entry + 4] ^= 1, "tag checksum");
    refuse(&|p| p.image[entry + 60] ^= 1, "CRC is");
    // The CRC covers more than there is.
    refuse(
        &|p| {
            put(&mut p.image, entry + 10, &u16::MAX.to_le_bytes());
            p.image[entry + 4] = 0;
            p.image[entry + 4] =
                p.image[entry..entry + 16].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        },
        "its CRC covers 0xffff bytes",
    );
}

#[test]
fn hostile_file_identifiers() {
    let Some(sound) = image() else { return };
    let root = sound.data(sound.sectors_with(261)[0]);
    let (a, _) =
        *sound.identifiers(root).iter().find(|(_, name)| name == b"\x08a.bin").expect("the root's data");
    let refuse = |at: usize, bytes: &[u8], words: &str| {
        let mut patched = sound.clone();
        put(&mut patched.image, a + at, bytes);
        // What the CRC covers may not be there any more.
        if u16_at(&patched.image, a + 10) < 100 {
            patched.seal(a);
        }
        refused(open_bytes(&patched.image).and_then(|iso| iso.entries(iso.root())), words);
    };
    refuse(36, &u16::MAX.to_le_bytes(), "bytes long");
    refuse(19, &[255], "bytes long");
    for id in [0, 1, 254, 255, 16] {
        refuse(38, &[id], "is not OSTA compressed Unicode");
    }
    refuse(24, &u32::MAX.to_le_bytes(), "of a partition of");
    refuse(28, &7u16.to_le_bytes(), "partition 7; the volume has 1");
    refuse(0, &258u16.to_le_bytes(), "tag identifier is 258");
    // Deleted and hidden ones.
    let mut patched = sound.clone();
    patched.set(a, 18, &[4]);
    assert!(open_bytes(&patched.image).unwrap().find("a.bin").unwrap().is_none());
    patched.set(a, 18, &[1]);
    assert!(open_bytes(&patched.image).unwrap().find("a.bin").unwrap().unwrap().hidden);
}

/// One flipped byte in any structure of UDF is an error, or nothing that anybody sees; it never shows another tree.
#[test]
fn every_byte_flipped() {
    let Some(sound) = image() else { return };
    let listing = tree();
    let used: Vec<usize> = (0..sound.image.len() / SECTOR)
        .filter(|sector| sound.image[sector * SECTOR..][..SECTOR].iter().any(|&byte| byte != 0))
        .collect();
    let data = |at: usize| {
        [A, B].iter().any(|&size| {
            let start = sound.data(sound.entry_of(size));
            (start..start + size as usize).contains(&at)
        }) || sound.image[at / SECTOR * SECTOR..][..3] == *b"c\0\0"
    };
    let (mut noticed, mut flips) = (0, 0);
    for sector in used {
        // Zeros behind what a sector holds are flipped now and then.
        let bytes = &sound.image[sector * SECTOR..][..SECTOR];
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap_or(0) + 1;
        for at in (0..end).chain((end..SECTOR).step_by(97)).map(|at| sector * SECTOR + at) {
            if data(at) {
                continue;
            }
            let mut image = sound.image.clone();
            image[at] ^= 1 << (at % 8);
            flips += 1;
            let Ok(iso) = open_bytes(&image) else {
                noticed += 1;
                continue;
            };
            let mut steps = 0;
            let mut failed = false;
            for step in iso.walk(iso.root()) {
                steps += 1;
                assert!(steps < 10_000);
                let Ok(step) = step else {
                    failed = true;
                    continue;
                };
                failed |= step.entry.kind == wimforge_iso::EntryKind::File && iso.file(&step.entry).is_err();
            }
            noticed += usize::from(failed);
            // The volume recognition sequence has no checksums; without NSR02 there is no UDF.
            if !failed && iso.tree_kind() == TreeKind::Udf {
                assert_same(&read_ours(&iso), &listing);
            } else if !failed {
                assert!((16 * SECTOR..32 * SECTOR).contains(&at), "another tree by a flip at {at:#x}");
            }
        }
    }
    assert!(flips > 5_000 && noticed > 1_000, "{noticed} of {flips} noticed");
}

#[test]
fn cut_anywhere() {
    let Some(sound) = image() else { return };
    let mut whole = 0;
    for len in (0..=sound.image.len()).step_by(SECTOR / 2) {
        let Ok(iso) = open_bytes(&sound.image[..len]) else { continue };
        let read = iso
            .walk(iso.root())
            .all(|step| step.is_ok_and(|step| step.entry.is_directory() || iso.file(&step.entry).is_ok()));
        whole += usize::from(read);
    }
    assert!(whole > 0, "at least the whole image, and without the padding at its end");
}
