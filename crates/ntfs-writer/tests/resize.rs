//! Volumes made larger and smaller: what they hold stays, and every checker is content. Judged by our own check, ntfs-3g's
//! tools, sleuthkit and 7-Zip.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "unused/lived.rs"]
#[allow(dead_code)]
mod lived;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use disk::{ReadAt, SectorSize};
use sha1::{Digest as _, Sha1};
use testkit::{args, tool};
use wimforge_ntfs_writer::Options;
use wimforge_ntfs_writer::check::{self, Severity, check};
use wimforge_ntfs_writer::read::{self, Volume};
use wimforge_ntfs_writer::resize::{Content, Error, Resized, resize};
use wimforge_ntfs_writer::unused::Reason;

const MIB: u64 = 1 << 20;

fn source(image: &[u8]) -> Arc<dyn ReadAt> {
    Arc::new(image.to_vec())
}

/// The bytes of the resized volume.
fn rendered(image: &[u8], resized: &Resized) -> Vec<u8> {
    let mut out = vec![0xAA; resized.len as usize];
    let mut at = 0;
    for segment in &resized.segments {
        assert_eq!(segment.start, at, "no gaps");
        assert!(segment.len > 0);
        at = segment.end();
        let part = &mut out[segment.start as usize..at as usize];
        match &segment.content {
            Content::Volume(from) => part.copy_from_slice(&image[*from as usize..][..segment.len as usize]),
            Content::Bytes(bytes) => part.copy_from_slice(bytes),
            Content::Zero => part.fill(0),
        }
    }
    assert_eq!(at, resized.len);
    out
}

/// Number, streams and their hashes of each file, but for those that say how large the volume is.
fn content(image: &[u8]) -> BTreeMap<(u64, Vec<u16>), (u64, Vec<u8>)> {
    let volume = Volume::open(source(image), read::Options { raw: true }).unwrap();
    let mut found = BTreeMap::new();
    for number in 0..volume.record_count() {
        // $MFT and its mirror hold changed records; $Bitmap, $Boot and $BadClus say the size.
        if [0, 1, 6, 7, 8].contains(&number) {
            continue;
        }
        let Ok(file) = volume.file(number) else { continue };
        for name in file.stream_names() {
            let Ok(mut reader) = file.open(&volume, &name) else { continue };
            let mut hash = Sha1::new();
            let mut at = 0;
            let mut buf = vec![0; 1 << 20];
            while at < reader.size().min(64 << 20) {
                let len = (reader.size() - at).min(buf.len() as u64) as usize;
                reader.read_at(at, &mut buf[..len]).unwrap();
                hash.update(&buf[..len]);
                at += len as u64;
            }
            found.insert((number, name.to_vec()), (reader.size(), hash.finalize().to_vec()));
        }
        let names: Vec<u8> =
            file.names().unwrap().iter().flat_map(|name| format!("{name:?}").into_bytes()).collect();
        found.insert((number, "names".encode_utf16().collect()), (0, names));
    }
    assert!(found.len() > 5);
    found
}

/// What the checker says that it did not say before.
fn new_findings(before: &[u8], after: &[u8]) -> Vec<String> {
    let texts = |image: &[u8]| -> Vec<String> {
        let report = check(&image, &check::Options::default()).unwrap();
        let severe = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
        severe.map(|finding| format!("{:?} {}", finding.code, finding.text)).collect()
    };
    let old = texts(before);
    texts(after).into_iter().filter(|text| !old.contains(text)).collect()
}

fn tools_are_content(path: &Path, image: &[u8], seven: &Option<(u64, Vec<u8>)>) {
    std::fs::write(path, image).unwrap();
    assert!(seven_zip(path) == *seven, "7-Zip reads something else");
    if let Some(fix) = tool("ntfsfix") {
        let text = fix.text(args!["-n", path]);
        assert!(text.contains("processed successfully") && !text.contains("FAILED"), "{text}");
    }
    if let Some(resize) = tool("ntfsresize") {
        let text = resize.text(args!["-i", "-f", path]);
        assert!(text.contains("Collecting resizing constraints"), "{text}");
        assert!(!text.contains("ERROR"), "{text}");
    }
    if let Some(info) = tool("ntfsinfo") {
        info.run(args!["-m", path]);
    }
    if let Some(fls) = tool("fls") {
        assert!(fls.text(args!["-r", "-p", "-f", "ntfs", path]).lines().count() > 8);
    }
}

/// All that 7-Zip reads, as a hash. (It cannot read what ntfs-3g makes of sparse files, before as after.)
fn seven_zip(path: &Path) -> Option<(u64, Vec<u8>)> {
    let output = tool("7zz")?.command().args(args!["x", "-so", "-bd", "-x![SYSTEM]", path]).output().unwrap();
    assert!(output.stdout.len() > 1 << 20, "{}", String::from_utf8_lossy(&output.stderr));
    Some((output.stdout.len() as u64, Sha1::digest(&output.stdout).to_vec()))
}

fn holds(before: &[u8], len: u64) -> Vec<u8> {
    let resized = resize(&source(before), len).unwrap_or_else(|error| panic!("{len}: {error}"));
    let after = rendered(before, &resized);
    assert_eq!(new_findings(before, &after), Vec::<String>::new(), "{len}");
    let volume = Volume::open(source(&after), read::Options::default()).unwrap();
    let sector = u64::from(volume.boot().sector_size);
    assert_eq!(volume.boot().total_sectors, len / sector - 1);
    assert_eq!(after[..512], after[(len - sector) as usize..][..512], "the copy of the boot sector");
    let (old, new) = (content(before), content(&after));
    for (key, value) in &old {
        assert!(new.get(key) == Some(value), "record {} {:?}", key.0, String::from_utf16_lossy(&key.1));
    }
    assert_eq!(old.len(), new.len());
    after
}

/// Volumes with a life behind them, larger, smaller, and back.
#[test]
fn volumes_that_were_lived_on() {
    for (cluster, len) in [(4096, 96 * MIB), (512, 64 * MIB), (65_536, 128 * MIB)] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("volume.img");
        let Some(()) = lived::volume(&path, len as usize, cluster) else { return };
        let image = std::fs::read(&path).unwrap();
        let seven = seven_zip(&path);
        for new in [len + u64::from(cluster), 400 * MIB, len] {
            let larger = holds(&image, new);
            tools_are_content(&path, &larger, &seven);
            if new == 400 * MIB {
                // And back: what was moved to the new space comes along.
                let back = holds(&larger, len);
                tools_are_content(&path, &back, &seven);
            }
        }
        // mkntfs puts the mirror into the middle.
        let used = Volume::open(source(&image), read::Options::default()).unwrap().usage().unwrap().used;
        let least = used * u64::from(cluster) + 512;
        for new in [len - MIB, (len / 2 - MIB).max(least + MIB), least + 2 * MIB] {
            let smaller = holds(&image, new.next_multiple_of(4096));
            tools_are_content(&path, &smaller, &seven);
        }
        match resize(&source(&image), least - 512 - u64::from(cluster)) {
            Err(Error::TooSmall { needed, .. }) => assert_eq!(needed, least),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sizes_that_cannot_be() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("volume.img");
    let Some(()) = lived::volume(&path, 64 << 20, 512) else { return };
    let mut image = std::fs::read(&path).unwrap();
    for len in [0, 512, 1 << 42, (64 * MIB) + 1] {
        let error = resize(&source(&image), len).unwrap_err();
        assert!(matches!(error, Error::Impossible(_)), "{len}: {error}");
    }
    // The flag of volumes that were not closed.
    let volume = Volume::open(source(&image), read::Options::default()).unwrap();
    let boot = volume.boot();
    let mirror = (boot.mirror_lcn * u64::from(boot.cluster_size)) as usize + 3 * boot.record_size as usize;
    for at in [volume.file(3).unwrap().offset() as usize, mirror] {
        let is_information = |at: &usize| image[*at..at + 4] == [0x70, 0, 0, 0];
        let attribute = (at..at + 1024).find(is_information).unwrap();
        image[attribute + 24 + 10] |= 1;
    }
    match resize(&source(&image), 80 * MIB) {
        Err(Error::Refused { reason, .. }) => assert_eq!(reason, Reason::Dirty),
        other => panic!("{other:?}"),
    }
}

/// Our own volumes, with everything that a file can have: the strictest check has nothing to say of larger ones, and all
/// is as it was planned.
#[test]
fn volumes_of_ours() {
    let tree = common::feature_rich();
    for (cluster_size, record_size, sector_size) in [
        (512, 1024, SectorSize::B512),
        (4096, 1024, SectorSize::B512),
        (4096, 4096, SectorSize::B4096),
        (65_536, 1024, SectorSize::B512),
        (2 << 20, 1024, SectorSize::B512),
    ] {
        let options = Options {
            cluster_size,
            record_size,
            sector_size,
            label: "ours".into(),
            hidden_sectors: 4096,
            ..Options::default()
        };
        let image = tree.image(options, 24 << 20);
        // The `ntfs` crate finds no index blocks in large clusters.
        let same = |image: &[u8]| {
            if cluster_size <= 4096 {
                common::reader::compare(&tree, image);
            }
        };
        let len = image.len() as u64;
        let more = len + 40 * MIB;
        let larger = holds(&image, more);
        same(&larger);
        let report = check(&larger, &check::Options::ours()).unwrap();
        assert!(report.findings.is_empty(), "{cluster_size}: {report}");
        let smaller = holds(&image, len - 12 * MIB);
        same(&smaller);
        let back = holds(&larger, len);
        same(&back);
    }
}

/// Volumes that Windows made. Those that were not closed are refused.
#[test]
fn volumes_of_windows() {
    let (Some(samples), Some(gzip)) = (testkit::samples(), tool("gzip")) else { return };
    let (mut held, mut refused) = (0, Vec::new());
    for name in [
        "file_4k.bin",
        "ntfs-2m.raw",
        "ntfs-lastaccess.raw",
        "ntfs-ptrn.raw",
        "ntfs-ramslack.raw",
        "ntfs-si-vs-fn.raw",
    ] {
        let path = samples.join("ntfs/windows").join(format!("{name}.gz"));
        let image = gzip.run(args!["-dc", &path]).stdout;
        // Disks of one partition, but for the first.
        let start = if image[3..7] == *b"NTFS" {
            0
        } else {
            512 * u32::from_le_bytes(image[0x1C6..0x1CA].try_into().unwrap()) as usize
        };
        let image = image[start..].to_vec();
        let volume = Volume::open(source(&image), read::Options::default()).unwrap();
        let boot = volume.boot();
        let (sector, cluster) = (u64::from(boot.sector_size), u64::from(boot.cluster_size));
        let len = boot.len() + sector;
        match resize(&source(&image), len + 64 * MIB) {
            Err(Error::Refused { reason, text }) => {
                refused.push(format!("{name}: {reason:?} {text}"));
                continue;
            }
            other => drop(other.unwrap()),
        }
        holds(&image, len + 64 * MIB);
        let least = volume.usage().unwrap().used * cluster + sector;
        let new = (least + 8 * MIB).max(len / 2).next_multiple_of(4096);
        if new < len {
            holds(&image, new);
        }
        held += 1;
    }
    assert!(held >= 3, "{held} held: {refused:#?}");
}
