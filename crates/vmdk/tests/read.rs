//! Other people's files, and ours, in our reader.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use common::{GRAIN, disk, noise, open_path, options, qemu_agrees, read_all, sparse, stream, walk};
use disk::ReadAt;
use wimforge_vmdk::{Kind, Vmdk, is_vmdk};

#[test]
fn what_is_written_is_read() {
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        for (file, kind) in [
            (stream(&disk, &options(&disk)), Kind::StreamOptimized),
            (sparse(&disk, &options(&disk)), Kind::MonolithicSparse),
        ] {
            assert!(is_vmdk(&file).unwrap());
            let vmdk = Vmdk::open(Arc::new(file)).unwrap();
            assert_eq!((vmdk.kind(), vmdk.descriptor().cid), (kind, 0x1234_5678));
            assert_eq!(vmdk.is_streamed(), kind == Kind::StreamOptimized);
            assert!(read_all(&vmdk) == disk);
            let data = walk(&vmdk, &disk);
            let usage = vmdk.check().unwrap();
            let expected = disk.chunks(GRAIN).filter(|grain| grain.iter().any(|byte| *byte != 0)).count();
            assert_eq!((data / GRAIN as u64, usage.grains), (expected as u64, expected as u64));
            let mut past = [0; 2];
            assert!(vmdk.read_exact_at(&mut past, disk.len() as u64 - 1).is_err());
            assert!(vmdk.read_exact_at(&mut past, u64::MAX).is_err());
        }
    }
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vmdk"));
    // 2 MiB and 5 sectors: the last grain is cut.
    for disk in [disk(129), noise(9, (2 << 20) + 5 * 512), vec![0; 1 << 20]] {
        std::fs::write(&raw, &disk).unwrap();
        for kind in [
            Kind::StreamOptimized,
            Kind::MonolithicSparse,
            Kind::MonolithicFlat,
            Kind::TwoGbMaxExtentSparse,
            Kind::TwoGbMaxExtentFlat,
        ] {
            let subformat = kind.create_type();
            let options = format!("subformat={subformat}");
            let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", &options];
            qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
            let vmdk = open_path(&path).unwrap();
            assert_eq!(vmdk.kind(), kind);
            vmdk.check().unwrap();
            assert!(read_all(&vmdk) == disk, "{subformat} {}", disk.len());
            assert_eq!(vmdk.extent_names().count(), usize::from(!kind.is_monolithic_file()));
            walk(&vmdk, &disk);
        }
    }
    for subformat in ["monolithicFlat", "twoGbMaxExtentSparse"] {
        let args =
            ["create", "-f", "vmdk", "-o", &format!("subformat={subformat}"), path.to_str().unwrap(), "10M"];
        qemu.run(args);
        let error = Vmdk::open(Arc::new(File::open(&path).unwrap())).unwrap_err().to_string();
        let expected = format!(
            "unsupported VMDK descriptor at 0x0: {subformat} disk whose data is in other files (disk-"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
    let error =
        Vmdk::open(Arc::new(File::open(directory.path().join("disk-s001.vmdk")).unwrap())).unwrap_err();
    assert!(error.to_string().contains("part of a disk in several files"), "{error}");
}

/// The samples are compressed; `gzip` and `bzip2` are everywhere that qemu-img is.
fn unpacked(sample: &Path, directory: &Path) -> Option<std::path::PathBuf> {
    let tool = testkit::tool(if sample.extension()? == "gz" { "gzip" } else { "bzip2" })?;
    let path = directory.join(sample.file_stem()?);
    std::fs::write(&path, tool.run(["-dc".as_ref(), sample.as_os_str()]).stdout).unwrap();
    Some(path)
}

#[test]
fn reads_what_vmware_writes() {
    let Some(samples) = testkit::samples() else { return };
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    for (name, kind, streamed, grains) in [
        ("iotest-version3.vmdk.bz2", Kind::StreamOptimized, true, 151),
        ("vmware-streamOptimized.vmdk.gz", Kind::StreamOptimized, false, 52),
        ("vmware-streamOptimizedWithMarkers.vmdk.gz", Kind::StreamOptimized, false, 16),
        ("vmware-monolithicSparse.vmdk.gz", Kind::MonolithicSparse, false, 52),
    ] {
        let Some(path) = unpacked(&samples.join("disks").join(name), directory.path()) else { return };
        let vmdk = Vmdk::open(Arc::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((vmdk.kind(), vmdk.is_streamed()), (kind, streamed), "{name}");
        assert_eq!(vmdk.check().unwrap().grains, grains, "{name}");
        qemu_agrees(&qemu, &path, &vmdk);
    }
}

/// Disks of several files of qemu's, with data across their seams.
#[test]
fn reads_what_qemu_splits() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let Some(qemu_io) = testkit::tool("qemu-io") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vmdk");
    for kind in [Kind::TwoGbMaxExtentSparse, Kind::TwoGbMaxExtentFlat] {
        let options = format!("subformat={kind}");
        qemu.run(testkit::args!["create", "-f", "vmdk", "-o", &options, &path, "5G"]);
        let seam = (2u64 << 30) - 70_000;
        for (pattern, at) in [(7, 0), (8, seam / 512 * 512), (9, (5 << 30) - 512)] {
            let write = format!("write -P {pattern} {at} {}", if pattern == 8 { 140_288 } else { 512 });
            qemu_io.run(testkit::args!["-f", "vmdk", "-c", &write, &path]);
        }
        let vmdk = open_path(&path).unwrap();
        assert_eq!((vmdk.kind(), vmdk.disk_size(), vmdk.extent_names().count()), (kind, 5 << 30, 3));
        vmdk.check().unwrap();
        let mut bytes = vec![0; 140_288 + 1024];
        vmdk.read_exact_at(&mut bytes, seam / 512 * 512 - 512).unwrap();
        let (before, rest) = bytes.split_at(512);
        let (inside, after) = rest.split_at(140_288);
        assert!(before.iter().chain(after).all(|byte| *byte == 0) && inside.iter().all(|byte| *byte == 8));
        qemu_agrees(&qemu, &path, &vmdk);
        for file in std::fs::read_dir(directory.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

/// A snapshot of a snapshot, of each kind whose snapshots qemu makes.
#[test]
fn reads_snapshots_with_their_parents() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let Some(qemu_io) = testkit::tool("qemu-io") else { return };
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let (base, child, grandchild) = (place("base.vmdk"), place("child.vmdk"), place("grandchild.vmdk"));
    let disk = disk(40);
    std::fs::write(&base, sparse(&disk, &options(&disk))).unwrap();
    let snapshot = |parent: &Path, path: &Path, writes: &[&str]| {
        qemu.run(testkit::args![
            "create",
            "-f",
            "vmdk",
            "-F",
            "vmdk",
            "-o",
            "zeroed_grain=on",
            "-b",
            parent,
            path
        ]);
        for write in writes {
            qemu_io.run(testkit::args!["-f", "vmdk", "-c", write, path]);
        }
    };
    snapshot(&base, &child, &["write -P 1 1M 64k", "write -z 2M 128k", "write -P 2 39M 512"]);
    snapshot(&child, &grandchild, &["write -P 3 1088k 100k"]);

    let open = |path: &Path| Vmdk::open(Arc::new(File::open(path).unwrap())).unwrap();
    let (base, lone) = (Arc::new(open(&base)), open(&child));
    let parent = lone.parent().unwrap();
    assert_eq!((parent.cid, base.parent()), (0x1234_5678, None));
    assert!(parent.hint.unwrap().ends_with("base.vmdk"));
    assert!(lone.check().unwrap().zero_grains > 0);
    // What is in the snapshot can be read without its parent; what is not cannot, and the map says so too.
    let mut bytes = [0; 512];
    lone.read_exact_at(&mut bytes, 1 << 20).unwrap();
    assert_eq!(bytes, [1; 512]);
    let error = lone.read_exact_at(&mut bytes, 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    assert!(error.to_string().contains("disk with CID 12345678, which was not given"), "{error}");
    assert!(disk::BlockMap::range_at(&lone, 0).is_err());

    let error = open(&child).with_parent(Arc::clone(&base) as _, 1).unwrap_err().to_string();
    assert!(error.contains("content id 00000001, the snapshot was made of 12345678"), "{error}");
    let small = Arc::new(Vmdk::open(Arc::new(stream(&disk[..1 << 20], &options(&disk[..1 << 20])))).unwrap());
    let error = open(&child).with_parent(small, 0x1234_5678).unwrap_err().to_string();
    assert!(error.contains("the parent has 1048576 bytes, the snapshot has 41943040"), "{error}");
    let whole = Vmdk::open(Arc::new(stream(&disk, &options(&disk)))).unwrap();
    assert!(whole.with_parent(Arc::clone(&base) as _, u32::MAX).is_err());

    let child_disk = Arc::new(open(&child).with_parent(base, 0x1234_5678).unwrap());
    let mut expected = disk;
    expected[1 << 20..(1 << 20) + (64 << 10)].fill(1);
    expected[2 << 20..(2 << 20) + (128 << 10)].fill(0);
    expected[39 << 20..(39 << 20) + 512].fill(2);
    assert!(read_all(&child_disk) == expected);
    walk(&*child_disk, &expected);
    qemu_agrees(&qemu, &child, &child_disk);

    let (cid, parent) = (child_disk.descriptor().cid, open(&grandchild).parent().unwrap().cid);
    assert_eq!(cid, parent);
    let grandchild_disk = open(&grandchild).with_parent(child_disk, cid).unwrap();
    expected[1088 << 10..1188 << 10].fill(3);
    assert!(read_all(&grandchild_disk) == expected);
    walk(&grandchild_disk, &expected);
    qemu_agrees(&qemu, &grandchild, &grandchild_disk);
}

/// An ESX extent as the technical note draws it, since no program at hand writes one: read as qemu and libvmdk read it.
#[test]
fn reads_extents_of_esx() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.vmdk");
    let (file, disk) = common::cowd(5000);
    std::fs::write(directory.path().join("old-delta.vmdk"), file).unwrap();
    std::fs::write(&path, common::cowd_descriptor(5000)).unwrap();
    let vmdk = open_path(&path).unwrap();
    assert_eq!((vmdk.kind(), vmdk.disk_size()), (Kind::VmfsSparse, 5000 * 512));
    assert_eq!(vmdk.header(), None);
    assert_eq!(vmdk.check().unwrap().grains, 2000);
    assert!(read_all(&vmdk) == disk);
    assert_eq!(walk(&vmdk, &disk), 2000 * 512);
    if let Some(qemu) = testkit::tool("qemu-img") {
        qemu_agrees(&qemu, &path, &vmdk);
    }
    for reader in testkit::disk_reader::READERS {
        if let Some(found) = testkit::disk_reader::read(reader, "vmdk", &[&path], &[]) {
            assert_eq!(found.sha1, [testkit::disk_reader::sha1(&disk)], "{reader}");
        }
    }
}
