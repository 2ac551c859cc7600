//! Disks in several files: what they are made of, and other people's readers.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ::disk::{PositionedSink, ReadAt};
use common::{GRAIN, allocated, disk, files, noise, open_files, open_path, options, read_all, sparse, walk};
use testkit::vmdk_stream::check_descriptor;
use wimforge_vmdk::{Error, Kind, MAX_SIZE, Options, Vmdk, extent_files, split, split_size};

const KINDS: [Kind; 4] =
    [Kind::MonolithicFlat, Kind::TwoGbMaxExtentSparse, Kind::TwoGbMaxExtentFlat, Kind::Vmfs];

#[test]
fn what_is_written_is_read() {
    for size in [1, 127 * 512, (2 << 20) + 5 * 512, 40 << 20, 129 << 20] {
        let mut disk = disk(129);
        disk.truncate(size.max(512));
        for kind in KINDS {
            let files = files(kind, &disk, &options(&disk));
            assert_eq!(files.len(), 2);
            let vmdk = open_files(&files).unwrap();
            assert_eq!((vmdk.kind(), vmdk.disk_size()), (kind, disk.len() as u64));
            assert!(read_all(&vmdk) == disk, "{kind} {size}");
            let data = walk(&vmdk, &disk);
            let usage = vmdk.check().unwrap();
            let grains = disk.chunks(GRAIN).filter(|grain| grain.iter().any(|byte| *byte != 0)).count();
            if kind == Kind::TwoGbMaxExtentSparse {
                assert_eq!((usage.grains, data.div_ceil(GRAIN as u64)), (grains as u64, grains as u64));
            } else {
                assert_eq!((usage.bytes, data), (disk.len() as u64, disk.len() as u64));
                let flat = files.values().find(|file| file.len() == disk.len()).unwrap();
                assert!(*flat == disk, "a flat extent is the disk");
            }
            let ranges = allocated(&disk, GRAIN);
            let size = split_size(kind, &options(&disk), ranges.into_iter()).unwrap();
            assert_eq!(
                size,
                files
                    .iter()
                    .filter(|(name, _)| !name.is_empty())
                    .map(|(_, file)| file.len() as u64)
                    .sum::<u64>()
            );
            let (_, sectors) = check_descriptor(&files[""], kind.create_type()).unwrap();
            assert_eq!(sectors, disk.len() as u64 / 512);
        }
    }
}

#[test]
fn descriptors() {
    let disk = vec![0; 40 << 20];
    let text = |kind| String::from_utf8(files(kind, &disk, &options(&disk))[""].clone()).unwrap();
    let expected = |kind: &str, extent: &str| {
        format!(
            "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=12345678\nparentCID=ffffffff\n\
             createType=\"{kind}\"\n\n# Extent description\n{extent}\n\n# The Disk Data Base\n#DDB\n\n\
             ddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"5\"\nddb.geometry.heads = \"255\"\n\
             ddb.geometry.sectors = \"63\"\nddb.toolsInstallType = \"4\"\nddb.toolsVersion = \"2147483647\"\n\
             ddb.virtualHWVersion = \"8\"\n"
        )
    };
    for (kind, extent) in [
        (Kind::MonolithicFlat, "RW 81920 FLAT \"disk-flat.vmdk\" 0"),
        (Kind::TwoGbMaxExtentSparse, "RW 81920 SPARSE \"disk-s001.vmdk\""),
        (Kind::TwoGbMaxExtentFlat, "RW 81920 FLAT \"disk-f001.vmdk\" 0"),
        (Kind::Vmfs, "RW 81920 VMFS \"disk-flat.vmdk\""),
    ] {
        assert_eq!(text(kind), expected(kind.create_type(), extent));
    }
}

/// The largest disk's descriptor is still short enough for VirtualBox, and the extents add up.
#[test]
fn the_largest_disks() {
    for (kind, count) in
        [(Kind::TwoGbMaxExtentSparse, 1025), (Kind::TwoGbMaxExtentFlat, 1025), (Kind::Vmfs, 1)]
    {
        let options = Options::new(MAX_SIZE, "large.vmdk", 7);
        assert_eq!(extent_files(kind, &options).unwrap().len(), count);
        /// A file that is nowhere, and is as long as it was made.
        #[derive(Clone, Default)]
        struct Nowhere(Arc<Mutex<(u64, Vec<u8>)>>);
        impl disk::WriteAt for Nowhere {
            fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
                let mut file = self.0.lock().unwrap();
                if offset == 0 {
                    file.1 = buf.to_vec();
                }
                Ok(())
            }
            fn set_len(&self, len: u64) -> io::Result<()> {
                self.0.lock().unwrap().0 = len;
                Ok(())
            }
        }
        let descriptor = Nowhere::default();
        let sink =
            split(kind, descriptor.clone(), |_| Ok(Nowhere::default()), &options, [].into_iter()).unwrap();
        sink.write_at(0, &[]).unwrap();
        Box::new(sink).finish().unwrap();
        let (len, text) = descriptor.0.lock().unwrap().clone();
        assert_eq!(len, text.len() as u64);
        let (_, sectors) = check_descriptor(&text, kind.create_type()).unwrap();
        assert_eq!(sectors, MAX_SIZE / 512);
    }
}

/// A sparse extent is a monolithicSparse file without the descriptor: tables from sector 1.
#[test]
fn sparse_extents() {
    let disk = disk(40);
    let files = files(Kind::TwoGbMaxExtentSparse, &disk, &options(&disk));
    let (whole, extent) = (sparse(&disk, &options(&disk)), &files["disk-s001.vmdk"]);
    assert_eq!(extent[..28], whole[..28]);
    // Descriptor, redundant directory, directory, first grain.
    let places =
        |file: &[u8]| [28, 36, 48, 56, 64].map(|at| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()));
    assert_eq!(places(extent), [0, 0, 1, 10, 128]);
    assert_eq!(places(&whole), [1, 20, 21, 30, 128]);
    assert!(extent[128 * 512..] == whole[128 * 512..]);
    let part = Vmdk::open(Arc::new(extent.clone())).unwrap_err().to_string();
    assert!(part.contains("part of a disk in several files"), "{part}");
}

/// Every reader at hand takes the files for exactly `disk`.
#[test]
fn other_readers_agree() {
    for disk in [disk(129), noise(9, (2 << 20) + 5 * 512), vec![0; 3 << 20]] {
        for kind in KINDS {
            let directory = tempfile::tempdir().unwrap();
            for (name, bytes) in files(kind, &disk, &options(&disk)) {
                let name = if name.is_empty() { "disk.vmdk" } else { &name };
                std::fs::write(directory.path().join(name), bytes).unwrap();
            }
            let (path, raw) = (directory.path().join("disk.vmdk"), directory.path().join("disk.raw"));
            std::fs::write(&raw, &disk).unwrap();
            // Going by the headers of sparse extents, these show the last grain whole.
            let mut rounded = disk.clone();
            if kind == Kind::TwoGbMaxExtentSparse {
                rounded.resize(disk.len().next_multiple_of(GRAIN), 0);
            }
            if let Some(qemu) = testkit::tool("qemu-img") {
                let info = qemu.text(testkit::args!["info", "-f", "vmdk", &path]);
                assert!(info.contains(&format!("({} bytes)", rounded.len())), "{info}");
                qemu.run(testkit::args!["compare", "-f", "vmdk", "-F", "raw", &path, &raw]);
                if kind == Kind::TwoGbMaxExtentSparse {
                    let check = qemu.text(testkit::args!["check", "-f", "vmdk", &path]);
                    assert!(check.contains("No errors were found"), "{check}");
                }
            }
            for reader in testkit::disk_reader::READERS {
                let Some(found) = testkit::disk_reader::read(reader, "vmdk", &[&path], &[]) else { continue };
                let bytes = if found.size == disk.len() as u64 { &disk } else { &rounded };
                assert_eq!(found.sha1, [testkit::disk_reader::sha1(bytes)], "{kind} {reader}");
            }
        }
    }
}

/// A disk of three files, with data across the seams, written to a file system that has holes.
#[test]
fn data_across_seams() {
    let size = (5u64 << 30) + 512;
    let seam = 4_192_256 * 512;
    let (a, b, c) = (noise(1, 3 * GRAIN), noise(2, 512), noise(3, 2 * GRAIN));
    let pieces = [(0, &b), (seam - GRAIN as u64, &a), (2 * seam - 512, &c), (size - 512, &b)];
    for kind in KINDS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.vmdk");
        let options = Options::new(size, "disk.vmdk", 7);
        let make = |extent: &wimforge_vmdk::ExtentFile| File::create_new(directory.path().join(&extent.name));
        let ranges = pieces.map(|(at, bytes)| at..at + bytes.len() as u64);
        let sink = split(kind, File::create(&path).unwrap(), make, &options, ranges.into_iter()).unwrap();
        for (at, bytes) in pieces {
            sink.write_at(at, bytes).unwrap();
        }
        assert!(sink.write_at(size, &[0; 512]).is_err());
        assert!(sink.write_at(u64::MAX - 511, &[0; 512]).is_err());
        assert_eq!(
            sink.write_at(1 << 30, &[1; 512]).is_err(),
            kind == Kind::TwoGbMaxExtentSparse,
            "not announced"
        );
        if kind != Kind::TwoGbMaxExtentSparse {
            sink.write_at(1 << 30, &[0; 512]).unwrap();
        }
        assert_eq!(path.metadata().unwrap().len(), 0, "the descriptor comes last");
        Box::new(sink).finish().unwrap();

        let vmdk = open_path(&path).unwrap();
        assert_eq!(vmdk.disk_size(), size);
        vmdk.check().unwrap();
        for (at, bytes) in pieces {
            let mut found = vec![0; bytes.len()];
            vmdk.read_exact_at(&mut found, at).unwrap();
            assert!(found == **bytes, "{kind} {at:#x}");
        }
        if let Some(qemu) = testkit::tool("qemu-img") {
            common::qemu_agrees(&qemu, &path, &vmdk);
        }
        read_pieces(&path, kind, &pieces);
    }
}

fn read_pieces(path: &Path, kind: Kind, pieces: &[(u64, &Vec<u8>)]) {
    let ranges: Vec<_> = pieces.iter().map(|(at, bytes)| *at..*at + bytes.len() as u64).collect();
    let expected: Vec<_> = pieces.iter().map(|(_, bytes)| testkit::disk_reader::sha1(bytes)).collect();
    for reader in testkit::disk_reader::READERS {
        if let Some(found) = testkit::disk_reader::read(reader, "vmdk", &[path], &ranges) {
            assert_eq!(found.sha1, expected, "{kind} {reader}");
        }
    }
}

#[test]
fn what_cannot_be_made() {
    let options = Options::new(1 << 20, "disk.vmdk", 1);
    let memory = || Mutex::new(Vec::new());
    let fault = |kind, options: &Options, range: std::ops::Range<u64>| {
        split(kind, memory(), |_| Ok(memory()), options, [range].into_iter()).unwrap_err()
    };
    for kind in [Kind::MonolithicSparse, Kind::StreamOptimized, Kind::VmfsSparse, Kind::Custom] {
        assert!(matches!(fault(kind, &options, 0..512), Error::Impossible { .. }), "{kind}");
    }
    let past = fault(Kind::TwoGbMaxExtentSparse, &options, 0..(1 << 20) + 1);
    assert!(matches!(past, Error::Impossible { .. }));
    let odd = Options { size: 1000, ..options.clone() };
    assert!(matches!(fault(Kind::MonolithicFlat, &odd, 0..512), Error::Impossible { .. }));
    let refuse = |_: &wimforge_vmdk::ExtentFile| Err(io::ErrorKind::PermissionDenied.into());
    let error = split(Kind::MonolithicFlat, memory(), refuse, &options, [].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), "extent \"disk-flat.vmdk\"");
    assert!(matches!(error.root(), Error::Io { .. }));
}
