//! ISO 9660, Joliet and Rock Ridge: files of several extents, and images that nobody should write.

mod common;

use std::sync::Arc;

use common::*;
use disk::ReadAt as _;
use testkit::content::Random;
use testkit::{args, tool};
use wimforge_iso::{EntryKind, Error, Iso, TreeKind};

const SECTOR: usize = 2048;
const SIZE: usize = 6001;

fn tree() -> Listing {
    let mut tree = Listing::new();
    tree.insert("A.BIN".to_owned(), Some(Random::new(1).bytes(SIZE)));
    tree.insert("SUB".to_owned(), None);
    tree.insert("SUB/B.BIN".to_owned(), Some(Random::new(2).bytes(4097)));
    tree.insert("SUB/DEEPER".to_owned(), None);
    tree.insert("SUB/DEEPER/C.TXT".to_owned(), Some(b"c".to_vec()));
    tree
}

fn image(options: &[&str]) -> Option<Vec<u8>> {
    let scratch = scratch(&tree());
    genisoimage(options, &scratch)?;
    Some(std::fs::read(&scratch.image).expect("the image"))
}

fn open_bytes(image: &[u8]) -> Result<Iso, Error> {
    Iso::open(Arc::new(image.to_vec()))
}

/// Where the record of a name is in the image.
fn record(image: &[u8], name: &[u8]) -> usize {
    let needle = [&[name.len() as u8][..], name].concat();
    let found = (0x8800..image.len()).find(|&at| image[at..].starts_with(&needle));
    found.expect("a record of this name") - 32
}

#[track_caller]
fn refused(image: &[u8], words: &str) {
    let walk = || -> Result<(), Error> {
        let iso = open_bytes(image)?;
        for step in iso.walk(iso.root()) {
            let step = step?;
            if step.entry.kind == EntryKind::File {
                iso.file(&step.entry)?;
            }
        }
        Ok(())
    };
    match walk() {
        Ok(()) => panic!("not refused; expected {words:?}"),
        Err(error) => assert!(error.to_string().contains(words), "{error}, expected {words:?}"),
    }
}

/// Sets the little-endian half of a number.
fn set(image: &mut [u8], at: usize, value: u32) {
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Two records of one name are one file, and what touches is one run.
#[test]
fn several_extents() {
    let Some(mut image) = image(&["-iso-level", "3"]) else { return };
    let at = record(&image, b"A.BIN;1");
    let len = usize::from(image[at]);
    let original = image[at..at + len].to_vec();
    let block = u32::from_le_bytes(original[2..6].try_into().unwrap());
    // The rest of the sector moves back to make room for a second record.
    let end = (at / SECTOR + 1) * SECTOR;
    image.copy_within(at..end - len, at + len);
    set(&mut image, at + 10, 4096);
    image[at + 25] |= 0x80;
    set(&mut image, at + len + 2, block + 2);
    set(&mut image, at + len + 10, (SIZE - 4096) as u32);
    let iso = open_bytes(&image).unwrap();
    assert_same(&read_ours(&iso), &tree());
    let file = iso.file(&iso.find("a.bin").unwrap().unwrap()).unwrap();
    assert_eq!(file.runs().len(), 1);
    // In another order they are two.
    set(&mut image, at + 2, block + 1);
    let iso = open_bytes(&image).unwrap();
    let file = iso.file(&iso.find("a.bin").unwrap().unwrap()).unwrap();
    assert_eq!((file.runs().len(), file.size().unwrap()), (2, SIZE as u64));
    // More is said to follow, and another file does.
    image[at + len + 25] |= 0x80;
    refused(&image, "more of \"A.BIN;1\" is to follow");
}

#[test]
fn hostile_records() {
    let Some(sound) = image(&["-iso-level", "3"]) else { return };
    let at = record(&sound, b"A.BIN;1");
    let refuse = |offset: usize, bytes: &[u8], words: &str| {
        let mut image = sound.clone();
        image[at + offset..at + offset + bytes.len()].copy_from_slice(bytes);
        refused(&image, words);
    };
    refuse(2, &u32::MAX.to_le_bytes(), "past the end of the image");
    refuse(10, &u32::MAX.to_le_bytes(), "past the end of the image");
    refuse(0, &[20], "it has at least 0x21");
    refuse(32, &[200], "a name of 0xc8 bytes");
    refuse(32, &[0], "has no name");
    refuse(26, &[3, 4], "an interleaved file");
    let sub = record(&sound, b"SUB");
    let root = 0x8000 + 156;
    let root_block = sound[root + 2..root + 6].to_vec();
    // A directory in itself.
    let mut image = sound.clone();
    image[sub + 2..sub + 6].copy_from_slice(&root_block);
    refused(&image, "is inside itself");
    let iso = open_bytes(&image).unwrap();
    assert!(iso.walk(iso.root()).count() < 10);
    assert_eq!(iso.find(&("sub/".repeat(40) + "a.bin")).unwrap().unwrap().size, SIZE as u64);
    // Directories that are too large, or not there.
    let mut image = sound.clone();
    set(&mut image, sub + 10, u32::MAX);
    refused(&image, "exceeds the limit of 16777216");
    let mut image = sound.clone();
    set(&mut image, root + 2, 0x00FF_FFFF);
    refused(&image, "past the end of the image");
    let mut image = sound.clone();
    image[0x8000 + 128] = 1;
    refused(&image, "logical blocks of 2049 bytes");
    let mut image = sound;
    image[root + 25] = 0;
    refused(&image, "is that of a file");
}

#[test]
fn hostile_rock_ridge() {
    let Some(sound) = image(&["-R"]) else { return };
    assert_eq!(open_bytes(&sound).unwrap().tree_kind(), TreeKind::RockRidge);
    // The first record of the root has a continuation area; it becomes its own.
    let area = (0x8800..sound.len()).find(|&at| sound[at..].starts_with(b"CE\x1c\x01")).expect("an area");
    let mut image = sound.clone();
    let (block, offset) = ((area / SECTOR) as u32, (area % SECTOR) as u32);
    set(&mut image, area + 4, block);
    set(&mut image, area + 12, offset);
    set(&mut image, area + 20, 28);
    // That record is of the root itself, and nothing in it is needed; but it is no reason to show other names.
    let check = |image: &[u8]| {
        let iso = open_bytes(image).unwrap();
        assert_eq!(iso.trees(), [TreeKind::RockRidge, TreeKind::Iso9660]);
        assert_same(&read_ours(&iso), &tree());
        let plain = Iso::open_tree(Arc::new(image.to_vec()), TreeKind::Iso9660).unwrap();
        assert_eq!(read_ours(&plain).len(), tree().len());
    };
    check(&image);
    set(&mut image, area + 20, u32::MAX);
    check(&image);
    // In the record of a file it is an error.
    let attributes = record(&sound, b"A.BIN;1");
    let px = (attributes..).find(|&at| sound[at..].starts_with(b"PX")).expect("an entry");
    let mut image = sound.clone();
    image[px..px + 2].copy_from_slice(b"CE");
    set(&mut image, px + 4, (px / SECTOR) as u32);
    set(&mut image, px + 12, (px % SECTOR) as u32);
    let len = image[px + 2].into();
    set(&mut image, px + 20, len);
    refused(&image, "is one that came before");
    set(&mut image, px + 20, 1 << 20);
    refused(&image, "bytes of a continuation area 1048576 exceeds");
    // Names with lengths that do not fit.
    let name = (0x8800..sound.len()).rfind(|&at| sound[at..].starts_with(b"NM")).expect("a name");
    for len in [0, 3, 255] {
        let mut image = sound.clone();
        image[name + 2] = len;
        refused(&image, "it has at least 4");
    }
}

/// Directories that share their bytes, and hold each other: what they seem to hold is far more than the image.
#[test]
fn more_entries_than_anybody_has() {
    let Some(mut image) = image(&["-iso-level", "3"]) else { return };
    let start = image.len() / SECTOR;
    let sub = record(&image, b"SUB");
    let mut directory = image[sub..sub + 34].to_vec();
    directory[0] = 34;
    directory[32..34].copy_from_slice(&[1, b'D']);
    set(&mut directory, 10, 16 << 20);
    let mut sector = Vec::new();
    for number in 0..60 {
        set(&mut directory, 2, (start + number % 4) as u32);
        sector.extend(&directory);
    }
    sector.resize(SECTOR, 0);
    image.extend(sector.repeat((16 << 20) / SECTOR + 4));
    set(&mut image, sub + 2, start as u32);
    set(&mut image, sub + 10, 16 << 20);
    let iso = open_bytes(&image).unwrap();
    let mut last = None;
    let mut steps = 0;
    for step in iso.walk(iso.root()) {
        steps += 1;
        last = step.err();
    }
    let last = last.expect("it ends with an error").to_string();
    assert!(last.contains("number of files") && last.contains("exceeds the limit of 1048576"), "{last}");
    assert!(steps < 20, "the third of them is one too many: {steps}");
}

#[test]
fn every_byte_flipped() {
    for options in [&["-J"][..], &["-R"], &["-iso-level", "3"]] {
        let Some(sound) = image(options) else { return };
        for at in (0x8000..sound.len()).filter(|&at| sound[at] != 0 || at % 61 == 0) {
            let mut image = sound.clone();
            image[at] ^= 1 << (at % 8);
            let Ok(iso) = open_bytes(&image) else { continue };
            let mut steps = 0;
            for step in iso.walk(iso.root()).flatten() {
                steps += 1;
                if let Ok(file) = iso.file(&step.entry) {
                    let len = file.size().unwrap();
                    assert!(len <= 8 << 30);
                    let part = len.min(100);
                    file.read_exact_at(&mut vec![0; part as usize], len - part).unwrap();
                }
            }
            assert!(steps < 10_000);
        }
    }
}

/// A link to a file is left alone, a device is no file; both are seen.
#[cfg(unix)]
#[test]
fn links_of_rock_ridge() {
    let Some(xorriso) = tool("xorriso") else { return };
    let scratch = scratch(&tree());
    std::os::unix::fs::symlink("A.BIN", scratch.tree.join("link")).unwrap();
    xorriso.run(args!["-as", "mkisofs", "-quiet", "-R", "-o", &scratch.image, &scratch.tree]);
    let iso = open(&scratch.image);
    let link = iso.find("link").unwrap().unwrap();
    assert_eq!((link.kind, link.size), (EntryKind::Symlink, 0));
    assert!(matches!(iso.file(&link), Err(Error::Unsupported { .. })));
}
