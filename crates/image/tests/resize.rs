//! Disks made larger and smaller: partition tables, volumes, what lies behind them. Judged by sfdisk, sgdisk, ntfs-3g's tools,
//! fsck.fat, 7-Zip and our own check.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{BlockMap, MappedRange, RangeKind, ReadAt, WriteAt};
use testkit::{args, tool};
use wimforge_image::resize::{Error, Options, Resized, Which};

const MIB: u64 = 1 << 20;

/// A raw file as a disk, in blocks of which those of zeros are not stored.
struct Raw(File);

impl ReadAt for Raw {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

impl BlockMap for Raw {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let (start, size) = (offset / MIB * MIB, self.size()?);
        if offset >= size {
            return Ok(None);
        }
        let mut bytes = vec![0; MIB.min(size - start) as usize];
        self.read_exact_at(&mut bytes, start)?;
        let kind = if bytes.iter().all(|byte| *byte == 0) { RangeKind::Zero } else { RangeKind::Data };
        Ok(Some(MappedRange { start, len: bytes.len() as u64, kind }))
    }
}

fn open(path: &Path) -> Arc<dyn BlockMap> {
    Arc::new(Raw(File::open(path).unwrap()))
}

/// Writes what the map says is stored, and nothing else.
fn write(disk: &dyn BlockMap, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(disk.size().unwrap()).unwrap();
    let mut offset = 0;
    while let Some(range) = disk.range_at(offset).unwrap() {
        assert!(range.start <= offset && range.start + range.len > offset);
        let end = range.start + range.len;
        if range.kind == RangeKind::Data {
            let mut at = offset;
            while at < end {
                let mut bytes = vec![0; (end - at).min(4 * MIB) as usize];
                disk.read_exact_at(&mut bytes, at).unwrap();
                file.write_all_at(&bytes, at).unwrap();
                at += bytes.len() as u64;
            }
        }
        offset = end;
    }
    assert_eq!(offset, disk.size().unwrap());
}

/// The disks of these tests: a System partition (FAT or NTFS), Windows, Recovery.
struct Bench {
    directory: tempfile::TempDir,
    disk: PathBuf,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn new(gpt: bool) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let disk = directory.path().join("disk.raw");
        let bench = Self { directory, disk };
        let (sfdisk, mkntfs, ntfscp, mkfat) =
            (tool("sfdisk")?, tool("mkntfs")?, tool("ntfscp")?, tool("mkfs.fat")?);
        File::create(&bench.disk).unwrap().set_len(400 * MIB).unwrap();
        let script = if gpt {
            "label: gpt\nstart=2048, size=81920, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=System\n\
             size=32768, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n\
             size=500000, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name=Windows\n\
             start=673792, size=102400, type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC, attrs=\"RequiredPartition GUID:63\"\n"
        } else {
            "label: dos\nlabel-id: 0x12345678\nstart=2048, size=81920, type=7, bootable\n\
             start=116736, size=500000, type=7\nstart=673792, size=102400, type=27\n"
        };
        let input = bench.path("script");
        std::fs::write(&input, script).unwrap();
        let mut command = sfdisk.command();
        command.arg("-q").arg(&bench.disk).stdin(File::open(&input).unwrap());
        assert!(command.status().unwrap().success());
        let table = testkit::disk::partitions(&bench.disk)?;
        let out = OpenOptions::new().write(true).open(&bench.disk).unwrap();
        for (index, partition) in table.partitions.iter().enumerate() {
            if gpt && index == 1 {
                continue;
            }
            let volume = bench.path("volume");
            File::create(&volume).unwrap().set_len(partition.size * 512).unwrap();
            let start = partition.start.to_string();
            if gpt && index == 0 {
                mkfat.run(args!["-F", "32", "-h", &start, &volume]);
            } else {
                let label = format!("volume {index}");
                mkntfs.run(args![
                    "-Q", "-F", "-q", "-p", &start, "-H", "16", "-S", "63", "-L", &label, &volume
                ]);
                for (file, len) in [("a.txt", 30_000), ("b.bin", 5_000_000), ("c.bin", 700)] {
                    let path = bench.path(file);
                    let seed = index as u64 * 10 + len as u64;
                    std::fs::write(&path, testkit::content::Random::new(seed).bytes(len)).unwrap();
                    ntfscp.run(args!["-f", &volume, &path, file]);
                }
            }
            out.write_all_at(&std::fs::read(&volume).unwrap(), partition.start * 512).unwrap();
        }
        Some(bench)
    }

    /// Makes the disk another size, and looks at all of it.
    fn resize(&self, size: u64, options: &Options) -> (Resized, PathBuf) {
        let resized = Resized::plan(open(&self.disk), size, options)
            .unwrap_or_else(|error| panic!("{size}: {error:?}"));
        let path = self.path(&format!("resized-{size}"));
        write(&*resized.disk(), &path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size);
        self.look(&path);
        (resized, path)
    }

    fn look(&self, path: &Path) {
        let table = testkit::disk::partitions(path).unwrap();
        let before = testkit::disk::partitions(&self.disk).unwrap();
        assert_eq!((table.partitions.len(), &table.id), (before.partitions.len(), &before.id));
        if table.label == "gpt"
            && let Some(sgdisk) = tool("sgdisk")
        {
            let text = sgdisk.text(args!["-v", path]);
            assert!(text.contains("No problems found"), "{text}");
        }
        for number in 1..=table.partitions.len() {
            let partition = |table: &testkit::disk::Table| table.partitions[number - 1].clone();
            assert_eq!(partition(&table).kind, partition(&before).kind);
            let (old, new) = (self.path("old"), self.path("new"));
            testkit::disk::cut(&self.disk, Some(number), &old);
            testkit::disk::cut(path, Some(number), &new);
            if table.label == "gpt" && number <= 2 {
                assert!(std::fs::read(&old).unwrap() == std::fs::read(&new).unwrap(), "{number}");
                continue;
            }
            let start = (partition(&table).start as u32).to_le_bytes();
            let bytes = std::fs::read(&new).unwrap();
            assert_eq!(bytes[0x1C..0x20], start, "sectors in front of it");
            assert_eq!(bytes[bytes.len() - 512..][0x1C..0x20], start);
            if let Some(fix) = tool("ntfsfix") {
                let text = fix.text(args!["-n", &new]);
                assert!(text.contains("processed successfully") && !text.contains("FAILED"), "{text}");
            }
            let report = ntfs_writer::check::check(&bytes, &ntfs_writer::check::Options::default()).unwrap();
            assert!(report.is_clean(), "{number}: {report}");
            if let Some(seven) = tool("7zz") {
                let files = |path: &Path| seven.run(args!["x", "-so", "-bd", "-x![SYSTEM]", path]).stdout;
                assert!(files(&old) == files(&new), "the files of volume {number}");
                assert!(files(&new).len() > 5_000_000);
            }
        }
    }
}

fn sizes(resized: &Resized) -> Vec<(u32, i64, i64)> {
    let delta = |new: u64, old: u64| new as i64 - old as i64;
    resized
        .changes
        .iter()
        .map(|change| {
            let (old, new) = (&change.old, &change.new);
            (change.number, delta(new.start, old.start), delta(new.end - new.start, old.end - old.start))
        })
        .collect()
}

#[test]
fn gpt_disks() {
    let Some(bench) = Bench::new(true) else { return };
    // Recovery ends at 379 MiB; the copy of the table needs the last 33 sectors.
    let (resized, path) = bench.resize(1000 * MIB, &Options::default());
    let more = 620 * MIB as i64;
    assert_eq!(sizes(&resized), [(3, 0, more), (4, more, 0)]);
    assert!(resized.notes.is_empty());
    // Nothing of what is new is stored.
    let mut stored = 0;
    let disk = resized.disk();
    let mut offset = 0;
    while let Some(range) = disk.range_at(offset).unwrap() {
        offset = range.start + range.len;
        stored += if range.kind == RangeKind::Data { range.len } else { 0 };
    }
    assert!(stored < 60 * MIB, "{stored}");

    // And back again.
    let back = Resized::plan(open(&path), 400 * MIB, &Options::default()).unwrap();
    let path = bench.path("back");
    write(&*back.disk(), &path);
    bench.look(&path);

    let (resized, _) = bench.resize(300 * MIB, &Options::default());
    assert_eq!(sizes(&resized), [(3, 0, -80 * MIB as i64), (4, -80 * MIB as i64, 0)]);
    let (resized, _) = bench.resize(500 * MIB + 512, &Options { which: Which::Nothing });
    assert_eq!(sizes(&resized), []);
    let (resized, _) = bench.resize(390 * MIB, &Options { which: Which::Nothing });
    assert_eq!(sizes(&resized), []);
    let (resized, _) = bench.resize(500 * MIB, &Options { which: Which::Number(4) });
    assert_eq!(sizes(&resized), [(4, 0, 120 * MIB as i64)]);

    let refused = |size, which, expected: &str| {
        let error = Resized::plan(open(&bench.disk), size, &Options { which }).unwrap_err();
        let text = format!("{error}: {error:?}");
        assert!(text.contains(expected), "{text}");
    };
    refused(378 * MIB, Which::Nothing, "the disk needs at least");
    refused(500 * MIB, Which::Number(1), "does not hold NTFS");
    refused(500 * MIB, Which::Number(9), "no partition 9");
    refused(100 * MIB + 1, Which::Windows, "no number of sectors");
    match Resized::plan(open(&bench.disk), 110 * MIB, &Options::default()) {
        Err(Error::TooSmall { needed, found }) => {
            assert_eq!(found, 110 * MIB);
            // mkntfs puts the mirror of $MFT into the middle.
            let (resized, _) = bench.resize(needed + 4 * MIB, &Options::default());
            assert!(resized.moved > 0);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn mbr_disks() {
    let Some(bench) = Bench::new(false) else { return };
    let (resized, _) = bench.resize(900 * MIB, &Options::default());
    let more = 500 * MIB as i64 + 20 * MIB as i64;
    assert_eq!(sizes(&resized), [(2, 0, more), (3, more, 0)]);
    assert_eq!(resized.notes.len(), 1);
    assert!(resized.notes[0].contains("partition 3 now begins at byte"), "{:?}", resized.notes);
    let (resized, _) = bench.resize(250 * MIB, &Options::default());
    assert_eq!(sizes(&resized), [(2, 0, -130 * MIB as i64), (3, -130 * MIB as i64, 0)]);
    let error = Resized::plan(open(&bench.disk), 3 << 40, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::Table(_) | Error::Volume { .. }), "{error:?}");
}

/// A volume without a partition table.
#[test]
fn whole_disks() {
    let Some(bench) = Bench::new(false) else { return };
    let volume = bench.path("whole");
    if testkit::disk::cut(&bench.disk, Some(2), &volume).is_none() {
        return;
    }
    for size in [300 * MIB, 200 * MIB] {
        let resized = Resized::plan(open(&volume), size, &Options::default()).unwrap();
        let path = bench.path("whole-resized");
        write(&*resized.disk(), &path);
        let bytes = std::fs::read(&path).unwrap();
        let report = ntfs_writer::check::check(&bytes, &ntfs_writer::check::Options::default()).unwrap();
        assert!(report.is_clean(), "{report}");
        if let Some(fix) = tool("ntfsfix") {
            fix.run(args!["-n", &path]);
        }
    }
}
