//! Other people's files, and ours, in our reader.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use common::{GRAIN, disk, noise, options, sparse, stream};
use disk::{BlockMap, RangeKind, ReadAt, WriteAt};
use wimforge_vmdk::{Kind, Vmdk, is_vmdk};

/// The whole disk, read in pieces that fit nothing.
fn read_all(vmdk: &Vmdk) -> Vec<u8> {
    let mut bytes = vec![0xAA; vmdk.disk_size() as usize];
    for (index, piece) in bytes.chunks_mut(150_001).enumerate() {
        vmdk.read_exact_at(piece, index as u64 * 150_001).unwrap();
    }
    bytes
}

/// Everything that the map calls zero is; ranges follow each other up to the disk's end. Returns the bytes of data.
fn check_map(vmdk: &Vmdk, disk: &[u8]) -> u64 {
    let (mut offset, mut data) = (0, 0);
    while let Some(range) = vmdk.range_at(offset).unwrap() {
        assert_eq!(range.start, offset);
        assert!(range.len > 0);
        let bytes = &disk[range.start as usize..(range.start + range.len) as usize];
        match range.kind {
            RangeKind::Zero => assert!(bytes.iter().all(|byte| *byte == 0)),
            RangeKind::Data => data += range.len,
        }
        offset += range.len;
    }
    assert_eq!(offset, disk.len() as u64);
    data
}

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
            let data = check_map(&vmdk, &disk);
            let usage = vmdk.check().unwrap();
            let expected = disk.chunks(GRAIN).filter(|grain| grain.iter().any(|byte| *byte != 0)).count();
            assert_eq!((data / GRAIN as u64, usage.grains), (expected as u64, expected as u64));
            let mut past = [0; 2];
            assert!(vmdk.read_exact_at(&mut past, disk.len() as u64 - 1).is_err());
            assert!(vmdk.read_exact_at(&mut past, u64::MAX).is_err());
        }
    }
}

/// qemu-img finds the disk that we read in `path` equal to the one that it reads.
fn qemu_agrees(qemu: &testkit::Tool, directory: &Path, path: &Path, vmdk: &Vmdk) {
    let raw_path = directory.join("ours.raw");
    let raw = File::create(&raw_path).unwrap();
    raw.set_len(vmdk.disk_size()).unwrap();
    let mut offset = 0;
    while let Some(range) = vmdk.range_at(offset).unwrap() {
        assert_eq!(range.start, offset);
        offset += range.len;
        if range.kind == RangeKind::Data {
            let mut bytes = vec![0; range.len as usize];
            vmdk.read_exact_at(&mut bytes, range.start).unwrap();
            raw.write_all_at(&bytes, range.start).unwrap();
        }
    }
    let args = ["compare", "-f", "vmdk", "-F", "raw"];
    qemu.run(args.iter().map(AsRef::as_ref).chain([path.as_os_str(), raw_path.as_os_str()]));
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vmdk"));
    // 2 MiB and 5 sectors: the last grain is cut.
    for disk in [disk(129), noise(9, (2 << 20) + 5 * 512), vec![0; 1 << 20]] {
        std::fs::write(&raw, &disk).unwrap();
        for (subformat, kind) in
            [("streamOptimized", Kind::StreamOptimized), ("monolithicSparse", Kind::MonolithicSparse)]
        {
            let options = format!("subformat={subformat}");
            let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", &options];
            qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
            let vmdk = Vmdk::open(Arc::new(File::open(&path).unwrap())).unwrap();
            assert_eq!(vmdk.kind(), kind);
            vmdk.check().unwrap();
            assert!(read_all(&vmdk) == disk, "{subformat} {}", disk.len());
            check_map(&vmdk, &disk);
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
        qemu_agrees(&qemu, directory.path(), &path, &vmdk);
    }
}
