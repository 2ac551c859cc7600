//! Our files in other people's readers, other people's in ours, and what is in them byte for byte.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use common::{KIB, MIB, disk, dynamic, file, options, read_all, stream, write_sparse};
use disk::{BlockMap, PositionedSink, RangeKind, ReadAt, SectorSize, Seed};
use proptest::prelude::*;
use wimforge_vhdx::layout::checksum;
use wimforge_vhdx::{Kind, MAX_SIZE, Options, Usage, Vhdx, is_vhdx, positioned};

/// The part of `bytes` up to its last byte that is not zero.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

#[test]
fn golden_bytes() {
    let disk = disk(12 * MIB);
    let options = Options { block_size: 2 << 20, ..options(&disk) };
    let file = file(&disk, &options);
    assert_eq!(trimmed(&file[..64 * KIB]), b"vhdxfilew\0i\0m\0f\0o\0r\0g\0e");
    for (at, sequence) in [(64 * KIB, 0), (128 * KIB, 1)] {
        let sum = checksum(&file[at..at + 4 * KIB]).to_le_bytes();
        let header = [
            &b"head"[..],
            &sum,
            &[sequence, 0, 0, 0, 0, 0, 0, 0],
            &options.file_write_id.0,
            &options.data_write_id.0,
            &[0; 16],                                             // no log
            &[0, 0, 1, 0, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0, 0, 0], // its version, version, 1 MiB at 1 MiB
        ];
        assert_eq!(trimmed(&file[at..at + 64 * KIB]), trimmed(&header.concat()));
    }
    // The region table is Windows' own: its checksum is that of files of Windows 8 and 10.
    for at in [192 * KIB, 256 * KIB] {
        assert_eq!(file[at..at + 4], *b"regi");
        assert_eq!(u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()), 0xC66B_8CAE);
        assert_eq!(checksum(&file[at..at + 64 * KIB]), 0xC66B_8CAE);
    }
    assert!(trimmed(&file[320 * KIB..2 * MIB]).is_empty(), "an empty log");
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
        digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    };
    let table = hex("6d65746164617461 0000 0500 0000000000000000000000000000000000000000
        3767a1ca36fa434db3b633f0aa44e76b 00000100 08000000 04000000 00000000
        2442a52f1bcd7648b2115dbed83bf4b8 08000100 08000000 06000000 00000000
        1dbf41816fa90947ba47f233a8faab5f 10000100 04000000 06000000 00000000
        c748a3cd5d4471449cc9e9885251c556 14000100 04000000 06000000 00000000
        ab12cabee6b22345 93efc309e000c746 18000100 10000000 06000000 00000000");
    assert_eq!(trimmed(&file[2 * MIB..][..64 * KIB]), trimmed(&table));
    let items =
        [&hex("00002000 00000000 0000c00000000000 00020000 00100000")[..], &options.disk_id.0].concat();
    assert_eq!(trimmed(&file[2 * MIB + 64 * KIB..3 * MIB]), trimmed(&items));
    // Blocks 0, 1 and 5 of six.
    let entries = [0x40_0006u64, 0x60_0006, 0, 0, 0, 0x80_0006];
    let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    assert_eq!(trimmed(&file[3 * MIB..4 * MIB]), trimmed(&entries));
    for (index, block) in [0, 1, 5].into_iter().enumerate() {
        assert!(file[(4 + 2 * index) * MIB..][..2 * MIB] == disk[block * 2 * MIB..][..2 * MIB]);
    }
    assert_eq!(file.len(), 10 * MIB);
}

#[test]
fn what_is_written_is_read() {
    for len in [12 * MIB, 3 * MIB / 2, 17 * MIB + 5 * 4096, 4096] {
        let disk = disk(len);
        let small = options(&disk);
        for options in [
            small.clone(),
            Options { block_size: 4 << 20, ..small.clone() },
            Options { fixed: true, ..small.clone() },
            Options { sector_size: SectorSize::B4096, ..small.clone() },
            Options { sector_size: SectorSize::B4096, fixed: true, block_size: 32 << 20, ..small },
        ] {
            let file = file(&disk, &options);
            assert!(stream(&disk, &options) == file, "written front to back, or in any order");
            assert!(is_vhdx(&file).unwrap());
            let file_len = file.len() as u64;
            let vhdx = Vhdx::open(file).unwrap();
            assert_eq!(vhdx.kind(), if options.fixed { Kind::Fixed } else { Kind::Dynamic });
            assert_eq!((vhdx.disk_size(), vhdx.block_size()), (len as u64, options.block_size));
            assert_eq!(vhdx.logical_sector_size(), options.sector_size);
            assert_eq!(vhdx.physical_sector_size(), SectorSize::B4096);
            assert_eq!((vhdx.disk_id(), vhdx.data_write_id()), (options.disk_id, options.data_write_id));
            assert_eq!((vhdx.creator(), vhdx.replay(), vhdx.parent()), ("wimforge", None, None));
            assert_eq!(vhdx.header().sequence, 1);
            assert!(read_all(&vhdx) == disk);
            let (mut offset, mut stored) = (0, 0);
            while let Some(range) = vhdx.range_at(offset).unwrap() {
                assert_eq!(range.start, offset);
                let bytes = &disk[offset as usize..][..range.len as usize];
                match range.kind {
                    RangeKind::Zero => assert!(bytes.iter().all(|byte| *byte == 0)),
                    RangeKind::Data => stored += range.len,
                }
                offset += range.len;
            }
            assert_eq!(offset, len as u64);
            let present = stored.div_ceil(options.block_size.into());
            let bytes = present * u64::from(options.block_size);
            let blocks = (len as u64).div_ceil(options.block_size.into());
            assert_eq!(vhdx.check().unwrap(), Usage { blocks, present, bytes, ..Usage::default() });
            assert_eq!(vhdx.allocated_blocks(), present);
            assert_eq!(file_len, (4 << 20) + bytes);
            let mut past = [0; 2];
            assert!(vhdx.read_exact_at(&mut past, len as u64 - 1).is_err());
            assert!(vhdx.read_exact_at(&mut past, u64::MAX).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_disk_comes_back(
        sectors in 1usize..20_000, places in prop::collection::btree_map(0usize..20_000, 1u8.., 0..9), fixed: bool,
    ) {
        let mut disk = vec![0; sectors * 512];
        for (sector, byte) in places {
            disk[sector % sectors * 512 + usize::from(byte)] = byte;
        }
        let options = Options { fixed, ..options(&disk) };
        let file = file(&disk, &options);
        prop_assert!(stream(&disk, &options) == file);
        prop_assert!(read_all(&Vhdx::open(file).unwrap()) == disk);
    }
}

/// Every other reader finds `disk` in `path`, where `raw` holds it.
fn accepted(path: &Path, raw: &Path, disk: &[u8], sector_size: SectorSize) {
    let len = disk.len() as u64;
    // qemu reads sectors of 512 bytes alone.
    if let Some(qemu) = testkit::tool("qemu-img").filter(|_| sector_size == SectorSize::B512) {
        let path = path.to_str().unwrap();
        let info = qemu.text(["info", path]);
        assert!(info.contains("file format: vhdx") && info.contains(&format!("({len} bytes)")), "{info}");
        let check = qemu.text(["check", "-f", "vhdx", path]);
        assert!(check.contains("No errors were found"), "{check}");
        qemu.run(["compare", "-f", "vhdx", "-F", "raw", path, raw.to_str().unwrap()]);
    }
    for reader in testkit::disk_reader::READERS {
        let Some(found) = testkit::disk_reader::read(reader, "vhdx", &[path], &[]) else { continue };
        assert_eq!(found.size, len, "{reader}");
        assert_eq!(found.sha1, [testkit::disk_reader::sha1(disk)], "{reader}");
    }
    // 7-Zip 26.02 refuses disks with an odd number of sectors: it looks at one bit of the size where it means those below.
    if let Some(seven) =
        testkit::tool("7zz").filter(|_| (len / u64::from(sector_size.bytes())).is_multiple_of(2))
    {
        let test = seven.text(["t", "-tvhdx", path.to_str().unwrap()]);
        assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
        let out = seven.run(["e", "-tvhdx", "-so", path.to_str().unwrap()]).stdout;
        assert!(out == disk, "7zz extracts something else");
    }
}

#[test]
fn accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.vhdx"), directory.path().join("disk.raw"));
    let empty = vec![0; 16 * MIB];
    let mut one_block = empty.clone();
    one_block[5 * MIB + 7] = 1;
    for disk in [empty, one_block, disk(12 * MIB), disk(129 * MIB), disk(3 * MIB + 5 * 512)] {
        std::fs::write(&raw, &disk).unwrap();
        let small = options(&disk);
        for options in [
            Options { block_size: 2 << 20, ..small.clone() },
            Options { fixed: true, ..small.clone() },
            Options { block_size: 32 << 20, ..small.clone() },
            Options { sector_size: SectorSize::B4096, ..small },
        ] {
            if !disk.len().is_multiple_of(options.sector_size.bytes() as usize) {
                continue;
            }
            // Two of a large one are enough.
            if disk.len() > 100 * MIB && (options.fixed || options.block_size > 2 << 20) {
                continue;
            }
            std::fs::write(&path, file(&disk, &options)).unwrap();
            accepted(&path, &raw, &disk, options.sector_size);
        }
    }
}

/// A file that does not say where its holes are: what is stored is what the container says.
struct Plain(File);

impl ReadAt for Plain {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

fn open(path: &Path) -> Vhdx {
    Vhdx::open(Plain(File::open(path).unwrap())).unwrap()
}

/// Disks too large to be held: sparse files, of which the others compare all, or the ranges that matter.
#[test]
fn large_disks_are_accepted_by_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vhdx");
    for (size, block_size) in [
        (127 << 30, 2 << 20),
        (2040 << 30, 2 << 20),
        ((2 << 40) + (1 << 20), 1 << 20),
        (MAX_SIZE, 32 << 20),
        (MAX_SIZE, 2 << 20),
    ] {
        // First and last megabyte, around the first chunk's end, and the middle.
        let places = [0, (4 << 30) - (1 << 20), 4 << 30, size / 2, size - (1 << 20)];
        let ranges = places.map(|start| start..start + (1 << 20));
        let options = Options { block_size, ..Options::new(size, &Seed::new(b"large")) };
        let sink = positioned(File::create(&path).unwrap(), &options, ranges.iter().cloned()).unwrap();
        let data: Vec<Vec<u8>> = (0..5).map(|index| common::noise(index, MIB)).collect();
        for (start, data) in places.iter().zip(&data) {
            sink.write_at(*start, data).unwrap();
        }
        Box::new(sink).finish().unwrap();
        let vhdx = open(&path);
        vhdx.check().unwrap();
        let mut stored = 0;
        let mut offset = 0;
        while let Some(range) = vhdx.range_at(offset).unwrap() {
            offset = range.start + range.len;
            stored += if range.kind == RangeKind::Data { range.len } else { 0 };
        }
        assert_eq!(offset, size);
        assert_eq!(stored, vhdx.allocated_blocks() * u64::from(block_size));
        for (start, data) in places.iter().zip(&data) {
            let mut read = vec![0; MIB];
            vhdx.read_exact_at(&mut read, *start).unwrap();
            assert!(read == *data, "{start:#x}");
        }
        if let Some(qemu) = testkit::tool("qemu-img") {
            let path = path.to_str().unwrap();
            let info = qemu.text(["info", path]);
            assert!(info.contains(&format!("({size} bytes)")), "{info}");
            assert!(qemu.text(["check", path]).contains("No errors were found"));
        }
        let sums: Vec<String> = data.iter().map(|data| testkit::disk_reader::sha1(data)).collect();
        for reader in testkit::disk_reader::READERS {
            let Some(found) = testkit::disk_reader::read(reader, "vhdx", &[&path], &ranges) else { continue };
            assert_eq!((found.size, &found.sha1), (size, &sums), "{reader}");
        }
    }
}

/// Holes of the file are zeros of the disk, also where all blocks are stored.
#[test]
fn holes_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.vhdx");
    let options = Options { fixed: true, ..Options::new(64 << 20, &Seed::new(b"holes")) };
    let sink = positioned(File::create(&path).unwrap(), &options, std::iter::empty()).unwrap();
    sink.write_at(3 << 20, &[1; 3 << 20]).unwrap();
    sink.write_at((40 << 20) - 512, &[1; 1024]).unwrap();
    Box::new(sink).finish().unwrap();
    let file = File::open(&path).unwrap();
    if file.stored_at(20 << 20).unwrap().unwrap().kind == RangeKind::Data {
        return testkit::skip_here("the file system of the temporary folder does not say where holes are");
    }
    let vhdx = Vhdx::open(file).unwrap();
    let (mut offset, mut stored) = (0, 0);
    let mut ranges = Vec::new();
    while let Some(range) = vhdx.range_at(offset).unwrap() {
        assert!(range.start == offset && range.len > 0);
        offset += range.len;
        stored += if range.kind == RangeKind::Data { range.len } else { 0 };
        ranges.push((range.start, range.kind));
    }
    assert_eq!(offset, 64 << 20);
    // File systems store in units of their own.
    assert!((3 << 20..5 << 20).contains(&stored), "{ranges:?}");
    assert_eq!(vhdx.range_at(4 << 20).unwrap().unwrap().kind, RangeKind::Data);
    assert_eq!(vhdx.range_at(40 << 20).unwrap().unwrap().kind, RangeKind::Data);
    assert_eq!(vhdx.range_at(50 << 20).unwrap().unwrap().kind, RangeKind::Zero);
}

/// A changed byte of a block is seen by all that compare it: the comparisons above can fail.
#[test]
fn comparing_finds_a_changed_byte() {
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.vhdx"), directory.path().join("disk.raw"));
    let disk = disk(12 * MIB);
    std::fs::write(&raw, &disk).unwrap();
    let mut file = dynamic(&disk);
    *file.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &file).unwrap();
    assert!(read_all(&Vhdx::open(file).unwrap()) != disk);
    if let Some(qemu) = testkit::tool("qemu-img") {
        let mut compare = qemu.command();
        let output =
            compare.args(["compare", "-F", "raw", "-f", "vhdx"]).args([&path, &raw]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
    }
    for reader in testkit::disk_reader::READERS {
        let Some(found) = testkit::disk_reader::read(reader, "vhdx", &[&path], &[]) else { continue };
        assert_ne!(found.sha1, [testkit::disk_reader::sha1(&disk)]);
    }
}

/// Ranges of a disk, what is stored and a little of what is not, and the SHA-1 of each.
fn sums(vhdx: &Vhdx) -> (Vec<Range<u64>>, Vec<String>) {
    let (mut ranges, mut sums) = (Vec::new(), Vec::new());
    let mut offset = 0;
    while let Some(range) = vhdx.range_at(offset).unwrap() {
        offset = range.start + range.len;
        let len = if range.kind == RangeKind::Data { range.len } else { range.len.min(1 << 20) };
        let mut bytes = vec![0; len as usize];
        vhdx.read_exact_at(&mut bytes, range.start).unwrap();
        sums.push(testkit::disk_reader::sha1(&bytes));
        ranges.push(range.start..range.start + len);
    }
    (ranges, sums)
}

#[test]
fn reads_what_qemu_writes() {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (raw, path) = (directory.path().join("disk.raw"), directory.path().join("disk.vhdx"));
    let disk = disk(33 * MIB);
    std::fs::write(&raw, &disk).unwrap();
    for (subformat, kind) in [("fixed", Kind::Fixed), ("dynamic", Kind::Dynamic)] {
        for block in ["1M", "16M"] {
            for zero in ["on", "off"] {
                let options = format!("subformat={subformat},block_size={block},block_state_zero={zero}");
                let args = ["convert", "-f", "raw", "-O", "vhdx", "-o", &options];
                qemu.run(args.iter().map(AsRef::as_ref).chain([raw.as_os_str(), path.as_os_str()]));
                let vhdx = open(&path);
                // qemu has no fixed disks: it allocates all blocks, without saying so.
                assert!(vhdx.kind() == kind || vhdx.kind() == Kind::Dynamic);
                assert!(vhdx.creator().starts_with("QEMU"), "{}", vhdx.creator());
                assert!(read_all(&vhdx) == disk);
                vhdx.check().unwrap();
            }
        }
    }
}

fn unpacked(sample: &Path, directory: &Path) -> Option<PathBuf> {
    let tool = match sample.extension()?.to_str()? {
        "bz2" => testkit::tool("bzip2")?,
        "gz" => testkit::tool("gzip")?,
        _ => return Some(sample.to_owned()),
    };
    let path = directory.join(sample.file_stem()?);
    let mut dd = testkit::tool("dd")?.command();
    let mut child =
        tool.command().arg("-dc").arg(sample).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // Sparse, for hundreds of megabytes of zeros.
    dd.args(["conv=sparse", "bs=64k", "iflag=fullblock", "status=none"]);
    let copied = dd.arg(format!("of={}", path.display())).stdin(child.stdout.take().unwrap()).status();
    assert!(copied.unwrap().success() && child.wait().unwrap().success());
    Some(path)
}

#[test]
fn reads_what_products_write() {
    let Some(samples) = testkit::samples() else { return };
    let directory = tempfile::tempdir().unwrap();
    for (name, creator, size, block_size, present, zero, sequence, replay) in [
        ("swap.vhdx.gz", "Microsoft Windows 10.0.14393.0", 10 << 30, 32 << 20, 1, 1, 11, None),
        ("btrfs.vhdx.gz", "Microsoft Windows 10.0.15063.0", 1 << 30, 32 << 20, 2, 1, 19, None),
        (
            "iotest-dynamic-1G.vhdx.bz2",
            "Microsoft Windows 6.2.9200.16384",
            1 << 30,
            32 << 20,
            3,
            29,
            15,
            None,
        ),
        ("test-disk2vhd.vhdx.bz2", "d2v", 256 << 20, 2 << 20, 128, 0, 1, None),
        (
            "vhdx-log-replay.vhdx.gz",
            "Microsoft Windows 10.0.15063.0",
            1 << 30,
            32 << 20,
            1,
            3,
            9,
            Some((2, 2)),
        ),
        (
            "iotest-dirtylog-10G-4M.vhdx.bz2",
            "QEMU v1.6.50",
            10 << 30,
            1 << 20,
            18,
            0,
            932_638_741,
            Some((1, 1)),
        ),
    ] {
        let Some(path) = unpacked(&samples.join("disks").join(name), directory.path()) else { return };
        let vhdx = open(&path);
        assert_eq!((vhdx.kind(), vhdx.creator(), vhdx.disk_size()), (Kind::Dynamic, creator, size), "{name}");
        assert_eq!((vhdx.block_size(), vhdx.header().sequence), (block_size, sequence), "{name}");
        let usage = vhdx.check().unwrap();
        assert_eq!((usage.present, usage.zero), (present, zero), "{name}");
        assert_eq!(vhdx.replay().map(|replay| (replay.entries, replay.sectors)), replay, "{name}");
        if creator.starts_with("Microsoft") {
            // What `golden_bytes` pins.
            let mut sum = [0; 4];
            File::open(&path).unwrap().read_exact_at(&mut sum, 192 << 10 | 4).unwrap();
            assert_eq!(u32::from_le_bytes(sum), 0xC66B_8CAE, "{name}");
        }
        let found = sums(&vhdx);
        if replay.is_some() {
            // The others read such a file only after qemu replayed the log, which writes to the file. We do not.
            let Some(qemu) = testkit::tool("qemu-img") else { continue };
            let dirty = open(&path);
            assert_eq!(dirty.replay(), vhdx.replay(), "{name}");
            qemu.run(testkit::args!["check", "-f", "vhdx", "-r", "all", &path]);
        }
        let clean = open(&path);
        assert_eq!(clean.replay(), None, "{name}");
        assert!(sums(&clean) == found, "{name}");
        for reader in testkit::disk_reader::READERS {
            let Some(theirs) = testkit::disk_reader::read(reader, "vhdx", &[&path], &found.0) else {
                continue;
            };
            assert_eq!((theirs.size, &theirs.sha1), (size, &found.1), "{reader} {name}");
        }
        // qemu compares every byte, which takes a minute for 10 GiB.
        if let Some(qemu) = testkit::tool("qemu-img").filter(|_| size <= 1 << 30) {
            let raw = directory.path().join("ours.raw");
            write_sparse(&clean, &raw);
            qemu.run(testkit::args!["compare", "-f", "vhdx", "-F", "raw", &path, &raw]);
        }
        std::fs::remove_file(path).unwrap();
    }
}
