//! Our reader on our own volumes: everything that went in comes out, by every way of asking.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{DIRECTORY, REPARSE, Tree, feature_rich, noise};
use wimforge_ntfs_writer::Options as Write;
use wimforge_ntfs_writer::read::{Budget, Error, File, Options, Volume};

const CLUSTERS: [u32; 8] = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

fn write(cluster_size: u32, record_size: u32) -> Write {
    Write {
        cluster_size,
        record_size,
        label: "Tëst".into(),
        serial: 0xFEDC_BA98_7654_3210,
        created: common::times(1).created,
        ..Write::default()
    }
}

fn open(image: Vec<u8>) -> Volume {
    Volume::open(Arc::new(image), Options::default()).unwrap()
}

fn content(volume: &Volume, file: &File, name: &str) -> Vec<u8> {
    let mut reader = file.open(volume, &common::units(name)).unwrap();
    let mut bytes = vec![0xEE; reader.size() as usize];
    reader.read_at(0, &mut bytes).unwrap();
    // Once more in pieces that fit nothing.
    let mut again = vec![0xEE; bytes.len()];
    for (number, part) in again.chunks_mut(7777).enumerate().collect::<Vec<_>>().into_iter().rev() {
        reader.read_at(7777 * number as u64, part).unwrap();
    }
    assert!(again == bytes, "{name}: read in pieces");
    assert!(matches!(reader.read_at(bytes.len() as u64, &mut [0]), Err(Error::OutOfRange { .. })));
    assert!(matches!(reader.read_at(u64::MAX, &mut [0]), Err(Error::OutOfRange { .. })));
    bytes
}

fn compare(tree: &Tree, volume: &Volume) {
    let mut budget = Budget::new(volume.boot().len());
    let births = volume.object_births(&mut budget).unwrap();
    let mut found = BTreeMap::new();
    let mut stack = vec![(String::new(), volume.root().unwrap())];
    while let Some((path, directory)) = stack.pop() {
        let mut entries = Vec::new();
        volume.entries_within(&directory, &mut entries, &mut budget).unwrap();
        for pair in entries.windows(2) {
            assert!(volume.compare_names(&pair[0].name, &pair[1].name).is_lt(), "{path}: order");
        }
        let mut shorts: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for entry in &entries {
            let name = String::from_utf16(&entry.name).unwrap();
            assert_eq!(
                volume.lookup(&directory, &entry.name).unwrap().as_ref(),
                Some(entry),
                "{path}/{name}"
            );
            if entry.namespace == 2 {
                shorts.entry(entry.target).or_default().push(name);
            }
        }
        for entry in entries {
            if entry.namespace == 2 || Volume::is_system(entry.target & 0xFFFF_FFFF_FFFF) {
                continue;
            }
            let file = volume.file_within(entry.target, &mut budget).unwrap();
            let path = format!("{path}/{}", String::from_utf16(&entry.name).unwrap());
            let names = file.names().unwrap();
            let own = |name: &&wimforge_ntfs_writer::read::FileName| {
                name.parent == directory.reference() && name.name == entry.name
            };
            assert_eq!(names.iter().find(own).unwrap().namespace, entry.namespace, "{path}");
            let short = match entry.namespace {
                3 => Some(String::from_utf16(&entry.name).unwrap()),
                1 => shorts.get(&entry.target).map(|shorts| shorts[0].clone()),
                _ => None,
            };
            if file.is_directory() {
                stack.push((path.clone(), file.clone()));
            }
            assert!(found.insert(path, (file, short)).is_none());
        }
    }
    let mut records = BTreeMap::new();
    for (path, link) in tree.paths() {
        let wanted = &tree.files[link.node];
        let (file, short) = found.remove(&path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(short, link.short, "{path}");
        assert_eq!(*records.entry(link.node).or_insert(file.number()), file.number(), "{path}");
        assert_eq!(file.is_directory(), wanted.attributes & DIRECTORY != 0, "{path}");
        let information = file.standard_information().unwrap();
        let times = [information.created, information.modified, information.changed, information.accessed];
        let t = &wanted.times;
        assert_eq!(times, [t.created.0, t.modified.0, t.changed.0, t.accessed.0], "{path}");
        if let Some(number) = wanted.security {
            let descriptor = volume.descriptor(information.security).unwrap();
            assert_eq!(*descriptor, tree.descriptors[number][..], "{path}");
        }
        let mut streams: Vec<String> =
            file.stream_names().iter().map(|name| String::from_utf16(name).unwrap()).collect();
        if !file.is_directory() {
            assert_eq!(streams.remove(0), "", "{path}");
            assert!(content(volume, &file, "") == wanted.data, "{path}");
        }
        let mut named = wanted.named.clone();
        named.sort();
        streams.sort();
        assert!(named.iter().map(|(name, _)| name).eq(&streams), "{path}");
        for (name, data) in &named {
            assert!(content(volume, &file, name) == *data, "{path}:{name}");
        }
        let point = file.reparse(volume).unwrap().map(|point| (point.tag, point.data.into_vec()));
        assert_eq!(point, wanted.reparse, "{path}");
        assert_eq!(information.attributes & REPARSE != 0, wanted.reparse.is_some(), "{path}");
        assert_eq!(file.object_id().unwrap(), wanted.object_id, "{path}");
        if let Some(id) = wanted.object_id {
            assert!(births.contains_key(&id), "{path}");
        }
        let eas = file.extended_attributes(volume, &mut budget).unwrap();
        let eas: Vec<_> = eas
            .iter()
            .map(|ea| (String::from_utf8_lossy(&ea.name).into_owned(), ea.value.to_vec()))
            .collect();
        assert_eq!(eas, wanted.eas, "{path}");
    }
    assert!(found.is_empty(), "{:?}", found.keys());
}

#[test]
fn every_cluster_and_record_size() {
    let tree = feature_rich();
    for cluster in CLUSTERS {
        for record in [1024, 4096] {
            eprintln!("clusters of {cluster}, records of {record}");
            let image = tree.image(write(cluster, record), 8 << 20);
            let volume = open(image);
            compare(&tree, &volume);
            assert_eq!(String::from_utf16(&volume.label().unwrap()).unwrap(), "Tëst");
            assert_eq!(volume.boot().serial, 0xFEDC_BA98_7654_3210);
            let information = volume.information().unwrap();
            assert_eq!((information.major, information.minor, information.flags), (3, 1, 0));
            let usage = volume.usage().unwrap();
            assert!(usage.used < usage.clusters && usage.clusters == volume.boot().clusters);
        }
    }
}

#[test]
fn paths_and_spellings() {
    let volume = open(feature_rich().image(write(4096, 1024), 8 << 20));
    let number = |path: &str| volume.find(path).map(|file| file.number());
    let long = number("/Program Files/A rather long name.dat").unwrap();
    for other in [
        "PROGRA~1\\arathe~1.DAT",
        "program files (x86)/another name of it.dat",
        "/windows/THIRD",
        "\\Windows\\third",
    ] {
        assert_eq!(number(other).unwrap(), long, "{other}");
    }
    let data = |path: &str| content(&volume, &volume.find(path).unwrap(), "");
    assert_eq!((data("cases/Case"), data("cases/case")), (b"1".to_vec(), b"2".to_vec()));
    // Neither spelling is there; any of the two will do.
    assert!(data("cases/CASE") <= b"2".to_vec());
    assert_eq!(data("cases/ÉTÉ"), b"3");
    assert!(matches!(volume.find("/Windows/nothing"), Err(Error::NotFound { .. })));
    assert!(matches!(volume.find("/Windows/win.ini/x"), Err(Error::NotFound { .. })));
    assert_eq!(number("").unwrap(), 5);
}

#[test]
fn a_directory_of_thirty_thousand_names() {
    let mut tree = Tree::default();
    let flat = tree.dir(0, "flat");
    for i in 0..30_000 {
        tree.file(flat, &format!("one of the many files, number {i:05}.txt"), noise(i, (i % 7) as usize));
    }
    for cluster in [512, 4096, 65_536] {
        compare(&tree, &open(tree.image(write(cluster, 1024), 1 << 20)));
    }
}

/// References are good for one use of a record.
#[test]
fn references_are_checked() {
    let volume = open(feature_rich().image(write(4096, 1024), 8 << 20));
    let file = volume.find("Windows/win.ini").unwrap();
    assert_eq!(volume.file(file.reference()).unwrap().number(), file.number());
    assert_eq!(volume.file(file.number()).unwrap().number(), file.number());
    let stale = volume.file(file.number() | 77 << 48).unwrap_err();
    assert!(stale.to_string().contains("0x4d"), "{stale}");
    let beyond = volume.file(volume.record_count()).unwrap_err();
    assert!(matches!(beyond, Error::NotFound { .. }), "{beyond}");
    assert!(volume.file(0xFFFF_FFFF_FFFF).is_err());
}

/// The first record of `$MFT` is lost: its mirror does.
#[test]
fn the_mirror_serves() {
    let tree = feature_rich();
    let mut image = tree.image(write(4096, 1024), 8 << 20);
    let at = u64::from_le_bytes(image[0x30..0x38].try_into().unwrap()) as usize * 4096;
    image[at..at + 4].copy_from_slice(b"BAAD");
    compare(&tree, &open(image.clone()));
    let mirror = u64::from_le_bytes(image[0x38..0x40].try_into().unwrap()) as usize * 4096;
    image[mirror..mirror + 4].copy_from_slice(b"BAAD");
    let error = Volume::open(Arc::new(image), Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "malformed file record 0x0, volume offset {at:#x}: file record: signature at 0x0: found \"BAAD\", \
             expected \"FILE\""
        )
    );
}

/// What is no NTFS volume is said to be none.
#[test]
fn other_volumes_are_refused() {
    let refuse = |image: Vec<u8>| Volume::open(Arc::new(image), Options::default()).unwrap_err().to_string();
    assert!(refuse(vec![0; 512]).contains("expected \"NTFS    \""));
    assert!(refuse(vec![0; 100]).starts_with("reading volume offset 0x0"));
    let mut locked = vec![0; 512];
    locked[3..11].copy_from_slice(b"-FVE-FS-");
    assert!(refuse(locked).contains("BitLocker"));
}
