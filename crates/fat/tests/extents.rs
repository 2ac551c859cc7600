//! Where files lie on volumes that `mkfs.fat` and mtools made: where `mshowfat` says, and what lies there is what was put in.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use testkit::content::Random;
use testkit::{args, tool};
use wimforge_fat::{Directory, Error, Kind, Target, Volume};

const MIB: usize = 1 << 20;

/// Contents by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// A volume whose free clusters lie apart, with a file that takes them; and what is in its files. `None`, visibly, without
/// the tools.
fn scattered(path: &Path, len: usize, arguments: &[&str]) -> Option<(Vec<u8>, Files)> {
    let (mkfs, mcopy, mdel, mmd) = (tool("mkfs.fat")?, tool("mcopy")?, tool("mdel")?, tool("mmd")?);
    std::fs::write(path, vec![0; len]).unwrap();
    mkfs.run(arguments.iter().copied().map(std::ffi::OsStr::new).chain([path.as_os_str()]));
    let cluster = open(std::fs::read(path).unwrap()).cluster_size() as usize;
    let scratch = tempfile::tempdir().unwrap();
    let mut random = Random::new(11);
    let mut kept = BTreeMap::new();
    let mut put = |name: String, bytes: Vec<u8>| {
        let file = scratch.path().join(name.rsplit('/').next().unwrap());
        std::fs::write(&file, &bytes).unwrap();
        mcopy.run(args!["-i", path, &file, &format!("::{name}")]);
        kept.insert(name, bytes);
    };
    mmd.run(args!["-i", path, "::/a folder"]);
    for number in 0..8 {
        put(format!("/small{number}.bin"), random.bytes(2 * cluster - 7));
    }
    put("/empty.txt".to_owned(), Vec::new());
    for number in [1, 3, 6] {
        mdel.run(args!["-i", path, &format!("::/small{number}.bin")]);
    }
    // mtools looks for room from the first free cluster on, or, on FAT32, from a hint that `mkfs.fat` has set.
    put("/a folder/large with a long name.bin".to_owned(), random.bytes(11 * cluster + 1));
    put("/a folder/whole.bin".to_owned(), random.bytes(3 * cluster));
    for number in [1, 3, 6] {
        kept.remove(&format!("/small{number}.bin"));
    }
    Some((std::fs::read(path).unwrap(), kept))
}

fn open(image: Vec<u8>) -> Volume {
    Volume::open(Arc::new(image)).unwrap()
}

/// Everything below a directory, by path.
fn walk(volume: &Volume, directory: Directory, path: &str, found: &mut BTreeMap<String, Target>) {
    for entry in volume.entries(directory).unwrap() {
        let path = format!("{path}/{}", String::from_utf16(&entry.name).unwrap());
        if let Target::Directory(below) = entry.target {
            walk(volume, below, &path, found);
        }
        found.insert(path, entry.target);
    }
}

/// What `mshowfat` says of a file, in bytes: `::/name <2-4> <7>`.
fn shown(mshowfat: &testkit::Tool, image: &Path, path: &str, volume: &Volume) -> Vec<Range<u64>> {
    let output = mshowfat.command().args(args!["-i", image, &format!("::{path}")]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (data, cluster) = (volume.areas().data, u64::from(volume.cluster_size()));
    let at = |number: &str| data + (number.parse::<u64>().unwrap() - 2) * cluster;
    let piece = |piece: &str| {
        let piece = piece.split('>').next().unwrap();
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        at(first)..at(last) + cluster
    };
    text.split('<').skip(1).map(piece).collect()
}

#[test]
fn extents_are_those_that_mtools_shows() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fat.img");
    let Some(mshowfat) = tool("mshowfat") else { return };
    for (kind, len, arguments) in [
        (Kind::Fat12, 4 * MIB, &["-F", "12", "-s", "4"][..]),
        (Kind::Fat16, 16 * MIB, &["-F", "16", "-s", "4"]),
        (Kind::Fat32, 36 * MIB, &["-F", "32", "-s", "1"]),
    ] {
        let Some((image, kept)) = scattered(&path, len, arguments) else { return };
        let volume = open(image.clone());
        assert_eq!(volume.kind(), kind);
        let mut found = BTreeMap::new();
        walk(&volume, volume.root(), "", &mut found);
        let mut claimed = Vec::new();
        let mut pieces = 0;
        for (name, &target) in &found {
            let extents = volume.extents(target).unwrap();
            assert_eq!(extents, shown(&mshowfat, &path, name, &volume), "{kind:?} {name}");
            if let Some(bytes) = kept.get(name) {
                let read: Vec<u8> =
                    extents.iter().flat_map(|r| &image[r.start as usize..r.end as usize]).copied().collect();
                assert!(read.starts_with(bytes), "{kind:?} {name}");
                assert_eq!(
                    read.len(),
                    bytes.len().next_multiple_of(volume.cluster_size() as usize),
                    "{name}"
                );
            }
            pieces = pieces.max(extents.len());
            claimed.extend(extents);
        }
        assert!(kept.keys().all(|name| found.contains_key(name)), "{kind:?}: {:?}", found.keys());
        assert!(kind == Kind::Fat32 || pieces > 2, "{kind:?}: nothing lies in pieces");

        // With the root, all clusters are either free or somebody's, and nobody shares one.
        let root = volume.extents(Target::Directory(volume.root())).unwrap();
        assert_eq!(root.is_empty(), kind != Kind::Fat32);
        claimed.extend(root);
        let mut free = 0;
        volume
            .free_ranges(|range| {
                free += range.end - range.start;
                claimed.push(range);
            })
            .unwrap();
        let cluster = u64::from(volume.cluster_size());
        assert_eq!(free, u64::from(volume.free_clusters().unwrap()) * cluster);
        claimed.sort_by_key(|range| range.start);
        let mut at = volume.areas().data;
        for range in claimed {
            assert_eq!(range.start, at, "{kind:?}");
            at = range.end;
        }
        assert_eq!(at, volume.areas().data + u64::from(volume.clusters()) * cluster);
    }
}

#[test]
fn areas_are_where_the_boot_sector_says() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fat.img");
    for arguments in [&["-F", "12"][..], &["-F", "16", "-s", "4"], &["-F", "32", "-s", "1"]] {
        let Some((image, _)) = scattered(&path, 36 * MIB, arguments) else { return };
        let field = |at: usize| u64::from(u16::from_le_bytes([image[at], image[at + 1]]));
        let (sector, reserved, root) = (field(11), field(14), field(17) * 32);
        let sectors = if field(22) > 0 { field(22) } else { field(36) | field(38) << 16 };
        let (start, tables) = (reserved * sector, u64::from(image[16]) * sectors * sector);
        let areas = open(image.clone()).areas();
        assert_eq!(areas.reserved, 0..start);
        assert_eq!(areas.tables, start..start + tables);
        assert_eq!(areas.root.end - areas.root.start, root);
        assert_eq!(areas.data, start + tables + root);
    }
}

#[test]
fn a_chain_in_circles_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("fat.img");
    let Some((mut image, _)) = scattered(&path, 16 * MIB, &["-F", "16", "-s", "4"]) else { return };
    let volume = open(image.clone());
    let mut found = BTreeMap::new();
    walk(&volume, volume.root(), "", &mut found);
    let large = found["/a folder/large with a long name.bin"];
    let extents = volume.extents(large).unwrap();
    let number = |at: u64| (at - volume.areas().data) / u64::from(volume.cluster_size()) + 2;
    let (first, last) = (number(extents[0].start), number(extents.last().unwrap().end) - 1);
    let at = (volume.areas().tables.start + 2 * last) as usize;
    assert!(u16::from_le_bytes([image[at], image[at + 1]]) >= 0xFFF8, "the end of the chain");
    image[at..at + 2].copy_from_slice(&(first as u16).to_le_bytes());
    let error = open(image.clone()).extents(large).unwrap_err();
    assert!(matches!(&error, Error::Malformed { reason, .. } if reason.contains("circles")), "{error}");
    // One that leaves the volume.
    image[at..at + 2].copy_from_slice(&0xFFF0u16.to_le_bytes());
    let error = open(image).extents(large).unwrap_err();
    assert!(matches!(&error, Error::Malformed { .. }), "{error}");
}
