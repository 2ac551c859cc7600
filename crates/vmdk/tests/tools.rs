//! Our files in other people's readers.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::path::Path;

use std::fs::File;
use std::sync::Arc;

use common::{GRAIN, disk, noise, options, sparse, stream};
use disk::{OrderedSink, PositionedSink, ReadAt};
use wimforge_vmdk::{Adapter, Level, MAX_SIZE, Options, Vmdk, monolithic_sparse, stream_optimized};

/// Every reader at hand takes `file` for exactly `disk`.
fn accepted(directory: &Path, name: &str, file: &[u8], disk: &[u8]) {
    let (path, raw) = (directory.join(name), directory.join("disk.raw"));
    std::fs::write(&path, file).unwrap();
    std::fs::write(&raw, disk).unwrap();
    // Readers that go by the header show the last grain whole.
    let mut rounded = disk.to_vec();
    rounded.resize(disk.len().next_multiple_of(GRAIN), 0);
    for reader in testkit::disk_reader::READERS {
        if let Some(found) = testkit::disk_reader::read(reader, "vmdk", &[&path], &[]) {
            let bytes = if found.size == disk.len() as u64 { disk } else { &rounded };
            assert_eq!(found.sha1, [testkit::disk_reader::sha1(bytes)], "{name} {reader}");
        }
    }
    let (path, raw) = (path.to_str().unwrap(), raw.to_str().unwrap());
    if let Some(qemu) = testkit::tool("qemu-img") {
        let info = qemu.text(["info", "-f", "vmdk", path]);
        assert!(info.contains(&format!("({} bytes)", rounded.len())), "{info}");
        let check = qemu.text(["check", "-f", "vmdk", path]);
        assert!(check.contains("No errors were found"), "{check}");
        qemu.run(["compare", "-f", "vmdk", "-F", "raw", path, raw]);
    }
    if let Some(seven) = testkit::tool("7zz") {
        let test = seven.text(["t", "-tvmdk", path]);
        assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
        let extracted = seven.run(["e", "-tvmdk", "-so", path]).stdout;
        assert!(extracted == disk || extracted == rounded, "7zz extracts something else");
    }
}

#[test]
fn stream_optimized_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        for level in [Level::Fast, Level::Default, Level::Best] {
            let options = Options { level, adapter: Adapter::Ide, ..options(&disk) };
            accepted(directory.path(), "stream.vmdk", &stream(&disk, &options), &disk);
        }
    }
    let empty = vec![0; 3 << 20];
    accepted(directory.path(), "empty.vmdk", &stream(&empty, &options(&empty)), &empty);
}

/// A disk that ends inside a grain, which holds something or not.
#[test]
fn odd_sizes_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    for last in [0, 1] {
        let mut disk = disk(2);
        disk.resize((2 << 20) + 5 * 512, last);
        accepted(directory.path(), "stream.vmdk", &stream(&disk, &options(&disk)), &disk);
        accepted(directory.path(), "sparse.vmdk", &sparse(&disk, &options(&disk)), &disk);
    }
}

#[test]
fn monolithic_sparse_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        accepted(directory.path(), "sparse.vmdk", &sparse(&disk, &options(&disk)), &disk);
    }
    let empty = vec![0; 3 << 20];
    accepted(directory.path(), "empty.vmdk", &sparse(&empty, &options(&empty)), &empty);
}

/// The largest disk, with a grain at each end.
#[test]
fn largest_disks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.vmdk");
    let options = Options::new(MAX_SIZE, "large.vmdk", 7);
    let (first, last) = (noise(1, GRAIN), noise(2, GRAIN));
    let units = [(0, &first), (MAX_SIZE - GRAIN as u64, &last)];
    let check = || {
        let vmdk = Vmdk::open(Arc::new(File::open(&path).unwrap())).unwrap();
        assert_eq!((vmdk.disk_size(), vmdk.check().unwrap().grains), (MAX_SIZE, 2));
        for (offset, unit) in units {
            let mut bytes = vec![0; GRAIN];
            vmdk.read_exact_at(&mut bytes, offset).unwrap();
            assert!(bytes == *unit);
        }
        if let Some(qemu) = testkit::tool("qemu-img") {
            let info = qemu.text(["info", "-f", "vmdk", path.to_str().unwrap()]);
            assert!(info.contains("2 TiB (2199023255552 bytes)"), "{info}");
            let check = qemu.text(["check", "-f", "vmdk", path.to_str().unwrap()]);
            assert!(check.contains("No errors were found"), "{check}");
        }
    };

    let mut sink = stream_optimized(File::create(&path).unwrap(), &options).unwrap();
    for (offset, unit) in units {
        let mut encoded = Vec::new();
        sink.encoder().encode(offset, unit, &codec::Tokens::new(), &mut encoded).unwrap();
        sink.commit(offset, GRAIN as u64, &encoded).unwrap();
    }
    Box::new(sink).finish().unwrap();
    check();

    let ranges = units.map(|(offset, unit)| offset..offset + unit.len() as u64);
    let sink = monolithic_sparse(File::create(&path).unwrap(), &options, ranges.into_iter()).unwrap();
    for (offset, unit) in units {
        sink.write_at(offset, unit).unwrap();
    }
    Box::new(sink).finish().unwrap();
    check();
}
