//! What is unused of volumes that `mkfs.fat` and mtools made, filled and deleted from: all of it, and nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use testkit::content::Random;
use testkit::{args, tool};
use wimforge_fat::check::check;
use wimforge_fat::unused::{Error, unused};
use wimforge_fat::{Directory, Kind, Target, Volume};

/// What lies where nothing is used. No file has it, and no byte of it marks the end of anything.
const MARK: &[u8; 16] = b"<<not-used-mark>";

fn marks(image: &[u8]) -> usize {
    image.windows(8).filter(|bytes| *bytes == &MARK[4..12]).count()
}

fn source(image: &[u8]) -> Arc<dyn disk::ReadAt> {
    Arc::new(image.to_vec())
}

/// Makes a volume over the pattern, fills it and deletes much of it; `None`, visibly, without the tools.
fn lived(path: &Path, len: usize, arguments: &[&str]) -> Option<Vec<u8>> {
    let (mkfs, mcopy, mdel, mmd, mdeltree) =
        (tool("mkfs.fat")?, tool("mcopy")?, tool("mdel")?, tool("mmd")?, tool("mdeltree")?);
    std::fs::write(path, MARK.repeat(len / 16)).unwrap();
    mkfs.run(arguments.iter().copied().map(std::ffi::OsStr::new).chain([path.as_os_str()]));
    let scratch = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    let host = |name: &str, data: &[u8]| {
        let file = scratch.path().join(name);
        std::fs::write(&file, data).unwrap();
        file
    };
    for directory in ["::/kept", "::/kept/a directory with a long name", "::/gone"] {
        mmd.run(args!["-i", path, directory]);
    }
    for (i, size) in [0usize, 1, 511, 512, 513, 2048, 4096, 4097, 30_001].into_iter().enumerate() {
        let kept = host(&format!("kept with a long name {i}.bin"), &random.bytes(size));
        let gone = host(&format!("gone with a long name {i}.bin"), &MARK.repeat(size / 16 + 1));
        for directory in ["::/", "::/kept", "::/kept/a directory with a long name", "::/gone"] {
            mcopy.run(args!["-i", path, &gone, directory]);
            mcopy.run(args!["-i", path, &kept, directory]);
        }
    }
    for i in 0..60 {
        let small = host(&format!("one of the small ones {i}.txt"), format!("content {i}").as_bytes());
        mcopy.run(args!["-i", path, &small, "::/kept"]);
    }
    for i in 0..9 {
        for directory in ["", "kept/", "kept/a directory with a long name/"] {
            let name = format!("::/{directory}gone with a long name {i}.bin");
            mdel.run(args!["-i", path, &name]);
        }
    }
    for i in 20..60 {
        let name = format!("::/kept/one of the small ones {i}.txt");
        mdel.run(args!["-i", path, &name]);
    }
    mdeltree.run(args!["-i", path, "::/gone"]);
    let mut image = std::fs::read(path).unwrap();
    poison(&mut image);
    std::fs::write(path, &image).unwrap();
    Some(image)
}

/// Puts the pattern behind the ends of files: mtools writes zeros there.
fn poison(image: &mut [u8]) {
    let volume = Volume::open(source(image)).unwrap();
    let mut places = Vec::new();
    walk(&volume, volume.root(), "", &mut |_, target| {
        if let Target::File(start) = target {
            let (size, cluster) = (u64::from(start.size), u64::from(volume.cluster_size()));
            // The files here are in one piece each: mtools takes the next free cluster. Where that is not so, the check below
            // of the files' content fails.
            if size % cluster != 0 && size < cluster {
                let first = volume.first_byte(start);
                places.push(first + size..first + cluster);
            }
        }
    });
    for place in places {
        for (byte, mark) in
            image[place.start as usize..place.end as usize].iter_mut().zip(MARK.iter().cycle())
        {
            *byte = *mark;
        }
    }
}

fn walk(volume: &Volume, directory: Directory, path: &str, visit: &mut dyn FnMut(&str, Target)) {
    for entry in volume.entries(directory).unwrap() {
        let path = format!("{path}/{}", String::from_utf16_lossy(&entry.name));
        visit(&path, entry.target);
        if let Target::Directory(inside) = entry.target {
            walk(volume, inside, &path, visit);
        }
    }
}

/// Everything that 7-Zip reads: path to content.
fn everything(path: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let seven_zip = tool("7zz")?;
    let scratch = tempfile::tempdir().unwrap();
    let out = format!("-o{}", scratch.path().display());
    seven_zip.run(args!["x", "-bd", &out, path]);
    let mut found = BTreeMap::new();
    let mut pending = vec![scratch.path().to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(scratch.path()).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                found.insert(name, Vec::new());
                pending.push(path);
            } else {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    Some(found)
}

#[test]
fn all_that_is_unused_and_nothing_else() {
    let cases: [(Kind, usize, &[&str]); 4] = [
        (Kind::Fat12, 4 << 20, &["-F", "12", "-s", "4"]),
        (Kind::Fat16, 40 << 20, &["-F", "16", "-s", "4", "-r", "512"]),
        (Kind::Fat32, 48 << 20, &["-F", "32", "-s", "1"]),
        (Kind::Fat32, 300 << 20, &["-F", "32", "-s", "8"]),
    ];
    for (kind, len, arguments) in cases {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("volume.img");
        let Some(mut image) = lived(&path, len, arguments) else { return };
        let before = everything(&path);
        assert!(before.as_ref().is_none_or(|found| found.len() > 40));
        assert!(marks(&image) > len / 20);

        let found = unused(&source(&image)).unwrap();
        assert_eq!(Volume::open(source(&image)).unwrap().kind(), kind);
        let total: u64 = found.ranges.iter().map(|range| range.end - range.start).sum();
        assert_eq!(total, found.free + found.tails);
        for range in &found.ranges {
            image[range.start as usize..range.end as usize].fill(0);
        }
        // What lies in reserved sectors and behind the volume stays.
        let tables = usize::from(u16::from_le_bytes([image[14], image[15]])) * 512;
        let volume = &image[tables..image.len() - found.behind as usize];
        assert_eq!(marks(volume), 0, "{kind}");
        std::fs::write(&path, &image).unwrap();
        assert_eq!(everything(&path), before);
        let report = check(source(&image)).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        if let Some(fsck) = tool("fsck.fat") {
            fsck.run(args!["-n", &path]);
        }
        if let Some(blkls) = tool("blkls") {
            for option in ["-A", "-s"] {
                let output = blkls.run(args!["-f", "fat", option, &path]).stdout;
                // Its free blocks begin with what is left of the directories' slack.
                assert!(output.iter().all(|&byte| byte == 0), "{kind} {option}");
            }
        }
        assert_eq!(unused(&source(&image)).unwrap().ranges, found.ranges);
        // It is still a volume to write to.
        if let (Some(mcopy), Some(fsck)) = (tool("mcopy"), tool("fsck.fat")) {
            let more = scratch.path().join("more.bin");
            std::fs::write(&more, vec![0x5A; 100_000]).unwrap();
            mcopy.run(args!["-i", &path, &more, "::/kept"]);
            fsck.run(args!["-n", &path]);
        }
    }
}

#[test]
fn what_is_not_sound_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("volume.img");
    let Some(image) = lived(&path, 40 << 20, &["-F", "16", "-s", "4", "-r", "512"]) else { return };
    let fat = usize::from(u16::from_le_bytes([image[14], image[15]])) * 512;
    let len = usize::from(u16::from_le_bytes([image[22], image[23]])) * 512;
    let both = |change: &dyn Fn(&mut [u8])| {
        let mut image = image.clone();
        for copy in 0..2 {
            change(&mut image[fat + copy * len..][..len]);
        }
        unused(&source(&image))
    };
    assert!(both(&|_| {}).is_ok());
    let dirty = both(&|table| table[3] &= 0x7F);
    assert!(matches!(dirty, Err(Error::Dirty(_))), "{dirty:?}");
    let hurt = both(&|table| table[3] &= 0xBF);
    assert!(matches!(hurt, Err(Error::Dirty(_))), "{hurt:?}");
    // The chain of a directory or file that is free in the table, that is another's, and that leads outside.
    let used = image[fat..].chunks_exact(2).skip(3).position(|entry| entry == [0xFF, 0xFF]).unwrap() + 3;
    for value in [0u16, 2, 0xFFF0] {
        let bad = both(&|table| table[used * 2..used * 2 + 2].copy_from_slice(&value.to_le_bytes()));
        assert!(matches!(bad, Err(Error::Unsound(_))), "{value:#x}: {bad:?}");
    }
    for keep in [512, fat + 100, 1 << 20] {
        assert!(unused(&source(&image[..keep])).is_err());
    }
}
