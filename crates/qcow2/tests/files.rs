//! Our files in other people's readers, other people's in ours, and what is in them byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "how a test fails; ranges are meant"
)]

mod common;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use common::{MIB, compressed_file, disk, plain_file, plain_stream, read_all, walk, write_sparse};
use disk::{BlockMap, OrderedSink, PositionedSink, RangeKind, ReadAt};
use proptest::prelude::*;
use testkit::args;
use testkit::disk_reader::{READERS, sha1};
use wimforge_qcow2::{CLUSTER_SIZE, Compression, Level, Options, Qcow2, Usage, compressed, is_qcow2, plain};

fn word(file: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(file[at..at + 8].try_into().unwrap())
}

#[test]
fn golden_bytes() {
    // 1 GiB with three clusters, of which one lies in the second L2 table.
    let options = Options::new(1 << 30);
    let ranges = [0..CLUSTER_SIZE + 1, (600 << 20)..(600 << 20) + 512];
    let mut file = Vec::new();
    let mut sink = plain::ordered(&mut file, &options, ranges.iter().cloned()).unwrap();
    sink.commit(600 << 20, 512, &[7; 512]).unwrap();
    Box::new(sink).finish().unwrap();

    let header = [
        &b"QFI\xFB"[..],
        &[0, 0, 0, 3],
        &[0; 12],       // no backing file
        &[0, 0, 0, 16], // clusters of 64 KiB
        &(1u64 << 30).to_be_bytes(),
        &[0; 4],       // not encrypted
        &[0, 0, 0, 2], // two L1 entries
        &0x3_0000u64.to_be_bytes(),
        &0x1_0000u64.to_be_bytes(),
        &[0, 0, 0, 1], // a cluster of refcount table
        &[0; 12],      // no snapshots
        &[0; 24],      // no features
        &[0, 0, 0, 4, 0, 0, 0, 104],
        &[0; 8], // no extensions
    ];
    assert_eq!(file[..112], header.concat());
    assert_eq!(word(&file, 0x1_0000), 0x2_0000, "the refcount block");
    assert_eq!(
        file[0x2_0000..0x2_0014],
        [0, 1].repeat(9)[..].iter().copied().chain([0, 0]).collect::<Vec<_>>()
    );
    assert_eq!((word(&file, 0x3_0000), word(&file, 0x3_0008)), (1 << 63 | 0x4_0000, 1 << 63 | 0x5_0000));
    assert_eq!((word(&file, 0x4_0000), word(&file, 0x4_0008)), (1 << 63 | 0x6_0000, 1 << 63 | 0x7_0000));
    assert_eq!((word(&file, 0x4_0010), word(&file, 0x5_0000)), (0, 0));
    // 600 MiB - 512 MiB = 88 MiB = cluster 1408.
    assert_eq!(word(&file, 0x5_0000 + 1408 * 8), 1 << 63 | 0x8_0000);
    assert_eq!(file.len(), 0x9_0000);
    assert!(file[0x8_0000..0x8_0200].iter().all(|byte| *byte == 7));
}

#[test]
fn what_is_written_is_read() {
    for len in [13 * MIB, 3 * MIB / 2, 17 * MIB + 5 * 512, 512] {
        let disk = disk(len);
        let stored = common::allocated(&disk, CLUSTER_SIZE as usize);
        let clusters: u64 = stored.iter().map(|range| (range.end - range.start).div_ceil(CLUSTER_SIZE)).sum();
        let plain = plain_file(&disk);
        assert!(plain == plain_stream(&disk), "both ways give the same file");
        let files = [
            (plain, false),
            (compressed_file(&disk, Level::Fast), true),
            (compressed_file(&disk, Level::Default), true),
            (compressed_file(&disk, Level::Best), true),
        ];
        for (file, packed) in files {
            assert!(is_qcow2(&file).unwrap());
            let qcow2 = Qcow2::open(file).unwrap();
            assert_eq!((qcow2.disk_size(), qcow2.header().version), (len as u64, 3));
            assert!(!qcow2.is_dirty() && !qcow2.is_corrupt() && qcow2.parent().is_none());
            assert!(read_all(&qcow2) == disk);
            assert!(walk(&qcow2, &disk) <= clusters * CLUSTER_SIZE);
            let usage = qcow2.check().unwrap();
            assert_eq!((usage.stored + usage.compressed, usage.zero, usage.leaked), (clusters, 0, 0));
            assert_eq!(usage.compressed > 0, packed);
            let mut past = [0; 2];
            assert!(qcow2.read_exact_at(&mut past, len as u64 - 1).is_err());
            assert!(qcow2.read_exact_at(&mut past, u64::MAX).is_err());
        }
    }
}

#[test]
fn compressed_files_are_smaller() {
    let disk = disk(13 * MIB);
    let [fast, default, best] =
        [Level::Fast, Level::Default, Level::Best].map(|level| compressed_file(&disk, level).len());
    assert!(best <= default && default <= fast && fast < plain_file(&disk).len(), "{fast} {default} {best}");
    // Noise is stored as it is.
    let usage = Qcow2::open(compressed_file(&disk, Level::Default)).unwrap().check().unwrap();
    assert!(usage.stored >= 48, "{usage:?}");
}

#[test]
fn sinks_refuse_what_was_not_announced() {
    let options = Options::new(16 << 20);
    let file = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = plain::positioned(Arc::clone(&file), &options, std::iter::once(0..512)).unwrap();
    sink.write_at(CLUSTER_SIZE - 1, &[1]).unwrap();
    for offset in [CLUSTER_SIZE, CLUSTER_SIZE - 1, u64::MAX] {
        assert!(sink.write_at(offset, &[1; 2]).is_err());
    }
    assert!(!is_qcow2(&*file.lock().unwrap()).unwrap(), "no header before the end");
    for ranges in [vec![0..5, 4..6], vec![0..(16 << 20) + 1], vec![std::ops::Range { start: 6, end: 5 }]] {
        assert!(plain::file_size(&options, ranges.into_iter()).is_err());
    }
    let mut sink = compressed::in_file(Arc::clone(&file), &options).unwrap();
    assert!(sink.commit(0, 17 << 20, &[]).is_err());
    sink.commit(CLUSTER_SIZE, CLUSTER_SIZE, &[]).unwrap();
    assert!(sink.commit(0, CLUSTER_SIZE, &[]).is_err(), "out of order");
    assert!(sink.commit(4 * CLUSTER_SIZE, CLUSTER_SIZE, &[0; 11]).is_err(), "cut off");
    assert!(sink.encoder().encode(512, &[1; 512], &codec::Tokens::new(), &mut Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_disk_comes_back(
        sectors in 1usize..20_000, places in prop::collection::btree_map(0usize..20_000, 1u8.., 0..9),
    ) {
        let mut disk = vec![0; sectors * 512];
        for (sector, byte) in places {
            disk[sector % sectors * 512 + usize::from(byte)] = byte;
        }
        let file = plain_file(&disk);
        prop_assert!(file == plain_stream(&disk));
        for file in [file, compressed_file(&disk, Level::Fast)] {
            let qcow2 = Qcow2::open(file).unwrap();
            prop_assert!(read_all(&qcow2) == disk);
            qcow2.check().unwrap();
        }
    }
}

#[test]
fn accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.qcow2"), directory.path().join("disk.raw"));
    for len in [13 * MIB, 129 * MIB, 3 * MIB + 5 * 512] {
        let disk = disk(len);
        std::fs::write(&raw, &disk).unwrap();
        for file in
            [plain_stream(&disk), compressed_file(&disk, Level::Fast), compressed_file(&disk, Level::Best)]
        {
            std::fs::write(&path, &file).unwrap();
            if let Some(qemu) = testkit::tool("qemu-img") {
                let check = qemu.text(args!["check", "-f", "qcow2", &path]);
                assert!(check.contains("No errors were found"), "{check}");
                let info = qemu.text(args!["info", "-f", "qcow2", &path]);
                assert!(info.contains(&format!("({len} bytes)")) && info.contains("compat: 1.1"), "{info}");
                qemu.run(args!["compare", "-f", "qcow2", "-F", "raw", &path, &raw]);
            }
            if let Some(seven) = testkit::tool("7zz") {
                let test = seven.text(args!["t", "-tqcow", &path]);
                assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
                let out = seven.run(args!["e", "-tqcow", "-so", &path]).stdout;
                assert!(out == disk, "7zz extracts something else");
            }
            // libqcow 20260703 reads compressed clusters wrong, qemu-img's own, too.
            let packed = Qcow2::open(file).unwrap().check().unwrap().compressed > 0;
            for reader in READERS.into_iter().filter(|reader| *reader != "libyal" || !packed) {
                if let Some(found) = testkit::disk_reader::read(reader, "qcow2", &[&path], &[]) {
                    assert_eq!((found.size, found.sha1), (len as u64, vec![sha1(&disk)]), "{reader}");
                }
            }
        }
    }
}

/// 64 TiB and the largest disk, with a cluster at each end.
#[test]
fn large_disks() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.qcow2");
    for size in [127 << 30, 2040 << 30, 64 << 40, wimforge_qcow2::MAX_SIZE] {
        let options = Options::new(size);
        let ranges = [0..512, size - 512..size];
        let sink = plain::positioned(File::create(&path).unwrap(), &options, ranges.iter().cloned()).unwrap();
        sink.write_at(0, &[1; 512]).unwrap();
        sink.write_at(size - 512, &[2; 512]).unwrap();
        Box::new(sink).finish().unwrap();
        let qcow2 = Qcow2::open(File::open(&path).unwrap()).unwrap();
        assert_eq!(qcow2.check().unwrap(), Usage { stored: 2, tables: 2, ..Usage::default() });
        let mut sector = [0; 512];
        qcow2.read_exact_at(&mut sector, size - 512).unwrap();
        assert_eq!(sector, [2; 512]);
        let Some(qemu) = testkit::tool("qemu-img") else { continue };
        let check = qemu.text(args!["check", "-f", "qcow2", &path]);
        assert!(check.contains("No errors were found"), "{check}");
        let map = qemu.text(args!["map", "-f", "qcow2", &path]);
        // It tells holes of the file from data where the file's own system does.
        let last = [CLUSTER_SIZE, 4096].map(|unit| format!("{:#x}", size - unit));
        assert!(last.iter().any(|last| map.contains(last)), "{map}");
        if size > 64 << 40 {
            continue;
        }
        let ranges = [0..CLUSTER_SIZE, size - CLUSTER_SIZE..size];
        for reader in READERS {
            let Some(found) = testkit::disk_reader::read(reader, "qcow2", &[&path], &ranges) else {
                continue;
            };
            let mut ends = [vec![0; CLUSTER_SIZE as usize], vec![0; CLUSTER_SIZE as usize]];
            ends[0][..512].fill(1);
            ends[1][CLUSTER_SIZE as usize - 512..].fill(2);
            assert_eq!(
                (found.size, found.sha1),
                (size, ends.iter().map(|end| sha1(end)).collect()),
                "{reader}"
            );
        }
    }
}

/// qemu-img finds the disk that we read in `path` equal to the one that it reads.
fn qemu_agrees(qemu: &testkit::Tool, directory: &Path, path: &Path, disk: &dyn BlockMap) {
    let raw = directory.join("ours.raw");
    write_sparse(disk, &raw);
    qemu.run(args!["compare", "-f", "qcow2", "-F", "raw", path, &raw]);
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.qcow2"));
    let bytes = disk(33 * MIB);
    std::fs::write(&raw, &bytes).unwrap();
    for (options, compress) in [
        ("compat=1.1", false),
        ("compat=1.1", true),
        ("compat=0.10", false),
        ("compat=0.10", true),
        ("cluster_size=512", false),
        ("cluster_size=512", true),
        ("cluster_size=4096,refcount_bits=1", false),
        ("cluster_size=2M,refcount_bits=64", true),
        ("cluster_size=2M", false),
        ("compression_type=zstd", true),
        ("compression_type=zstd,cluster_size=2M", true),
        ("extended_l2=on", false),
        ("extended_l2=on,cluster_size=16K", true),
        ("lazy_refcounts=on", false),
        ("preallocation=metadata", false),
        ("refcount_bits=8", true),
    ] {
        let mut args = vec!["convert", "-f", "raw", "-O", "qcow2", "-o", options];
        args.extend(compress.then_some("-c"));
        qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
        let qcow2 = Qcow2::open(File::open(&path).unwrap()).unwrap();
        assert_eq!(qcow2.disk_size(), 33 << 20, "{options}");
        let zstd = options.contains("zstd");
        assert_eq!(qcow2.compression(), if zstd { Compression::Zstd } else { Compression::Deflate });
        assert!(read_all(&qcow2) == bytes, "{options} {compress}");
        let stored = walk(&qcow2, &bytes);
        assert!(stored < 24 << 20 || options.contains("prealloc"), "{options}: {stored}");
        let usage = qcow2.check().unwrap();
        assert_eq!((usage.leaked, usage.compressed > 0), (0, compress), "{options} {usage:?}");
    }
}

#[test]
fn odd_sizes_of_qemu() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.qcow2"));
    for len in [512, 65_536 + 512, 3 * MIB + 5 * 512] {
        let bytes = disk(len);
        std::fs::write(&raw, &bytes).unwrap();
        for flags in [&["-c"][..], &[]] {
            let args = ["convert", "-f", "raw", "-O", "qcow2"].iter().chain(flags);
            qemu.run(args.map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
            let qcow2 = Qcow2::open(File::open(&path).unwrap()).unwrap();
            assert!(read_all(&qcow2) == bytes, "{len}");
            qcow2.check().unwrap();
        }
    }
    qemu.run(args!["create", "-f", "qcow2", &path, "0"]);
    let empty = Qcow2::open(File::open(&path).unwrap()).unwrap();
    assert_eq!((empty.disk_size(), empty.range_at(0).unwrap()), (0, None));
    empty.check().unwrap();
}

/// A chain of three, a shorter one below, zero clusters above what is below.
#[test]
fn backing_files() {
    let Some((qemu, io)) = testkit::tool("qemu-img").zip(testkit::tool("qemu-io")) else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for options in ["cluster_size=64K", "cluster_size=64K,extended_l2=on", "cluster_size=512"] {
        std::fs::write(at("base.raw"), disk(13 * MIB)).unwrap();
        qemu.run(args![
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            options,
            "-b",
            "base.raw",
            "-F",
            "raw",
            &at("middle"),
            "20M"
        ]);
        let middle = at("middle");
        io.run(args![
            "-f",
            "qcow2",
            "-c",
            "write -P 5 1M 70K",
            "-c",
            "write -z 3M 100K",
            "-c",
            "write -P 6 19M 4K",
            &middle
        ]);
        let output = qemu
            .command()
            .current_dir(directory.path())
            .args(["create", "-q", "-f", "qcow2", "-o", options])
            .args(["-b", "middle", "-F", "qcow2", "top", "20M"])
            .output()
            .unwrap();
        assert!(output.status.success());
        io.run(args!["-f", "qcow2", "-c", "write -P 9 10M 3K", "-c", "write -z 9M 1M", &at("top")]);

        let open = |name: &str| Qcow2::open(File::open(at(name)).unwrap()).unwrap();
        let alone = open("top");
        let parent = alone.parent().unwrap();
        assert_eq!((parent.name.as_str(), parent.format.as_deref()), ("middle", Some("qcow2")));
        let error = alone.read_exact_at(&mut [0; 512], 0).unwrap_err();
        assert!(error.to_string().contains("backing file \"middle\", which was not given"), "{error}");
        assert!(alone.range_at(0).is_err());
        let mut stored = [0; 512];
        alone.read_exact_at(&mut stored, 10 << 20).unwrap();
        assert_eq!(stored, [9; 512]);
        alone.check().unwrap();

        let base: Arc<dyn BlockMap> = Arc::new(Raw(std::fs::read(at("base.raw")).unwrap()));
        let middle = open("middle").with_parent(base).unwrap();
        let chain = open("top").with_parent(Arc::new(middle)).unwrap();
        walk(&chain, &read_all(&chain));
        qemu_agrees(&qemu, directory.path(), &at("top"), &chain);
        assert!(Qcow2::open(plain_file(&[1; 512])).unwrap().with_parent(Arc::new(chain)).is_err());
    }
}

/// A raw disk.
struct Raw(Vec<u8>);

impl ReadAt for Raw {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}

impl BlockMap for Raw {
    fn range_at(&self, offset: u64) -> std::io::Result<Option<disk::MappedRange>> {
        let len = self.0.len() as u64;
        Ok((offset < len).then_some(disk::MappedRange { start: 0, len, kind: RangeKind::Data }))
    }
}

/// Snapshots share clusters with the disk; their counts are above one.
#[test]
fn snapshots() {
    let Some((qemu, io)) = testkit::tool("qemu-img").zip(testkit::tool("qemu-io")) else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qcow2");
    for compat in ["compat=1.1", "compat=0.10"] {
        std::fs::write(&path, compressed_file(&disk(13 * MIB), Level::Fast)).unwrap();
        if compat == "compat=0.10" {
            qemu.run(args!["amend", "-f", "qcow2", "-o", compat, &path]);
        }
        qemu.run(args!["snapshot", "-c", "first", &path]);
        io.run(args!["-f", "qcow2", "-c", "write -P 5 3M 1M", &path]);
        qemu.run(args!["snapshot", "-c", "second", &path]);
        io.run(args!["-f", "qcow2", "-c", "write -P 6 0 70K", &path]);
        let qcow2 = Qcow2::open(File::open(&path).unwrap()).unwrap();
        let names: Vec<_> =
            qcow2.snapshots().unwrap().into_iter().map(|found| (found.id, found.name)).collect();
        let expected = [("1", "first"), ("2", "second")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        assert_eq!((qcow2.snapshot_count(), names.as_slice()), (2, &expected[..]));
        assert_eq!(qcow2.check().unwrap().leaked, 0);
        qemu_agrees(&qemu, directory.path(), &path, &qcow2);
    }
}

/// Files of qemu that were left dirty still read, and say so.
#[test]
fn bitmaps_and_features_are_reported() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.qcow2");
    qemu.run(args!["create", "-q", "-f", "qcow2", &path, "100M"]);
    qemu.run(args!["bitmap", "--add", &path, "b0"]);
    let qcow2 = Qcow2::open(File::open(&path).unwrap()).unwrap();
    assert!(qcow2.has_bitmaps());
    qcow2.check().unwrap();

    let refused = |options: &[&str], expected: &str| {
        let args = ["create", "-q", "-f", "qcow2"].iter().chain(options);
        qemu.run(args.map(AsRef::as_ref).chain([path.as_os_str(), "10M".as_ref()]));
        let error = Qcow2::open(File::open(&path).unwrap()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let data = format!("data_file={}", directory.path().join("data").display());
    refused(&["-o", &data], "unsupported qcow2 header at 0x0: external data file");
    let secret = ["--object", "secret,id=s,data=x", "-o", "encrypt.format=aes,encrypt.key-secret=s"];
    refused(&secret, "encryption (AES)");
}
