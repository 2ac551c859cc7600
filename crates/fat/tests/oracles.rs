//! Volumes of ours, held against other people's programs.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{ExtentMap, FileTime, PieceContent, SectorSize};
use testkit::tool;
use wimforge_fat::check::check;
use wimforge_fat::{Data, Directory, Kind, Node, Options, Plan, Target, Volume};

const MIB: u64 = 1 << 20;

fn time(seconds: i64) -> FileTime {
    FileTime::from_unix_seconds(1_480_000_000 + seconds)
}

fn options(sector: SectorSize) -> Options {
    Options { sector, hidden_sectors: 2048, serial: 0xCAFE_F00D, label: "System".to_owned(), time: time(0) }
}

fn content(path: &str, len: usize) -> Arc<[u8]> {
    let seed = path.bytes().fold(1u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    (0..len as u32).map(|at| (at.wrapping_mul(seed | 1) >> 11) as u8).collect()
}

/// What a system partition holds, and names of every shape.
fn files() -> Vec<(String, u8, usize)> {
    let mut files: Vec<(String, u8, usize)> = [
        (r"\EFI\Boot\bootx64.efi", 0x20, 1_100_000),
        (r"\EFI\Microsoft\Boot\bootmgfw.efi", 0x20, 1_100_000),
        (r"\EFI\Microsoft\Boot\BCD", 0x26, 32_768),
        (r"\EFI\Microsoft\Boot\BCD.LOG", 0x27, 0),
        (r"\EFI\Microsoft\Boot\en-US\bootmgfw.efi.mui", 0x20, 4096),
        (r"\EFI\Microsoft\Boot\en-US\bootmgr.efi.mui", 0x20, 4097),
        (r"\EFI\Microsoft\Boot\qps-ploc\memtest.efi.mui", 0x20, 1),
        (r"\EFI\Microsoft\Boot\Fonts\segmono_boot.ttf", 0x20, 44_760),
        (r"\EFI\Microsoft\Boot\Fonts\segoe_slboot.ttf", 0x20, 86_076),
        ("/names/thirteen.long", 0x20, 3),
        ("/names/exactly 26 characters long", 0x20, 3),
        ("/names/a + b, [c]; d = e.f", 0x20, 3),
        ("/names/UPPER.TXT", 0x20, 3),
        ("/names/Mixed.Txt", 0x20, 3),
        ("/names/.profile", 0x20, 3),
        ("/names/two..dots.x", 0x20, 3),
        ("/names/größe.txt", 0x20, 3),
        ("/names/日本語の名前.efi", 0x20, 3),
        ("/names/\u{1F600}.png", 0x20, 3),
    ]
    .map(|(path, attributes, len)| (path.to_owned(), attributes, len))
    .into();
    // More than a cluster of entries, with short names that run out of places for their numbers.
    files.extend((0..300).map(|number| (format!("/many/bootmgr.efi.{number:03}.mui"), 0x20, number)));
    files.push((format!("/names/{}", "x".repeat(255)), 0x20, 5));
    files
}

fn plan(sector: SectorSize) -> Plan {
    let node = |(index, (path, attributes, len)): (usize, (String, u8, usize))| Node {
        attributes,
        created: time(index as i64),
        modified: time(2 * index as i64 + 86_400),
        data: Some(Data::Bytes(content(&path, len))),
        path,
    };
    let mut nodes: Vec<Node> = files().into_iter().enumerate().map(node).collect();
    nodes.push(Node {
        path: "/Hidden Folder".to_owned(),
        attributes: 0x06,
        created: time(1),
        modified: time(2),
        data: None,
    });
    Plan::new(options(sector), nodes).unwrap()
}

fn write(map: &ExtentMap, path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut zeros = 0;
    for piece in map.pieces(0..map.len()) {
        match piece.content {
            PieceContent::Zero => zeros += piece.len,
            PieceContent::Bytes(bytes) => {
                std::io::Seek::seek_relative(&mut file, std::mem::take(&mut zeros) as i64).unwrap();
                file.write_all(bytes).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    file.set_len(map.len()).unwrap();
}

/// A volume in a file.
fn volume(folder: &Path, len: u64, sector: SectorSize) -> PathBuf {
    let path = folder.join(format!("{len}-{}.img", sector.bytes()));
    write(&plan(sector).lay_out(len).unwrap(), &path);
    path
}

fn open(path: &Path) -> Volume {
    Volume::open(Arc::new(std::fs::File::open(path).unwrap())).unwrap()
}

/// Every file below a directory: path, attributes, times, content.
fn walk(
    volume: &Volume,
    directory: Directory,
    path: &str,
    found: &mut BTreeMap<String, (u8, FileTime, FileTime, Vec<u8>)>,
) {
    for entry in volume.entries(directory).unwrap() {
        let path = format!("{path}/{}", String::from_utf16(&entry.name).unwrap());
        let bytes = match entry.target {
            Target::Directory(below) => {
                walk(volume, below, &path, found);
                Vec::new()
            }
            Target::File(start) => {
                let mut bytes = vec![0; start.size as usize];
                volume.file(start).unwrap().read_at(0, &mut bytes).unwrap();
                bytes
            }
        };
        assert!(found.insert(path, (entry.attributes, entry.created, entry.modified, bytes)).is_none());
    }
}

#[test]
fn comes_back_through_our_reader() {
    let folder = tempfile::tempdir().unwrap();
    for (len, sector) in [
        (34 * MIB, SectorSize::B512),
        (100 * MIB, SectorSize::B512),
        (260 * MIB, SectorSize::B512),
        (260 * MIB, SectorSize::B4096),
    ] {
        let path = volume(folder.path(), len, sector);
        let checked = check(Arc::new(std::fs::File::open(&path).unwrap())).unwrap();
        assert!(checked.findings.is_empty(), "{:?}", checked.findings);
        assert_eq!(checked.files as usize, files().len() + 10);
        let volume = open(&path);
        assert_eq!(
            (volume.kind(), volume.serial(), volume.hidden_sectors()),
            (Kind::Fat32, 0xCAFE_F00D, 2048)
        );
        assert_eq!(volume.label().unwrap(), "SYSTEM");
        let mut found = BTreeMap::new();
        walk(&volume, volume.root(), "", &mut found);
        for (index, (path, attributes, len)) in files().into_iter().enumerate() {
            let (seen, created, modified, bytes) = found.remove(&path.replace('\\', "/")).unwrap();
            assert_eq!(
                (seen, created, modified),
                (attributes, time(index as i64), time(2 * index as i64 + 86_400))
            );
            assert!(bytes[..] == content(&path, len)[..], "{path}");
        }
        let (attributes, created, ..) = found.remove("/Hidden Folder").unwrap();
        assert_eq!((attributes, created), (0x16, time(1)));
        let directories: Vec<_> = found.keys().map(String::as_str).collect();
        let made = [
            "/EFI",
            "/EFI/Boot",
            "/EFI/Microsoft",
            "/EFI/Microsoft/Boot",
            "/EFI/Microsoft/Boot/Fonts",
            "/EFI/Microsoft/Boot/en-US",
            "/EFI/Microsoft/Boot/qps-ploc",
            "/many",
            "/names",
        ];
        assert_eq!(directories, made);
    }
}

#[test]
fn the_same_bytes_every_time() {
    let (one, two) = (plan(SectorSize::B512), plan(SectorSize::B512));
    assert_eq!(one.lay_out(260 * MIB).unwrap(), two.lay_out(260 * MIB).unwrap());
}

#[test]
fn fatfs_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = volume(folder.path(), 100 * MIB, SectorSize::B512);
    let system = fatfs::FileSystem::new(
        std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap(),
        fatfs::FsOptions::new(),
    )
    .unwrap();
    assert_eq!((system.volume_id(), system.volume_label()), (0xCAFE_F00D, "SYSTEM".to_owned()));
    for (path, _, len) in files() {
        let mut bytes = Vec::new();
        let mut file = system.root_dir().open_file(&path.replace('\\', "/")).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes[..] == content(&path, len)[..], "{path}");
    }
    assert!(
        system
            .root_dir()
            .open_dir("hidden folder")
            .unwrap()
            .iter()
            .all(|entry| { [".", ".."].contains(&entry.unwrap().file_name().as_str()) })
    );
}

#[test]
fn fsck_finds_nothing_and_something_after_a_flip() {
    let Some(fsck) = tool("fsck.fat") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (len, sector) in
        [(34 * MIB, SectorSize::B512), (260 * MIB, SectorSize::B512), (260 * MIB, SectorSize::B4096)]
    {
        let path = volume(folder.path(), len, sector);
        let said = fsck.text([std::ffi::OsStr::new("-n"), "-v".as_ref(), path.as_os_str()]);
        let complaints =
            ["FSCK", "Auto", "differ", "wrong", "Wrong", "Dirty", "mismatch", "Expected", "Bad", "uninit"];
        assert!(!complaints.iter().any(|word| said.contains(word)), "{said}");

        // The checker itself: a second table that differs, and a free count that is off.
        let plan = plan(sector).lay_out(len).unwrap();
        let second = plan.extents().iter().filter(|extent| extent.label.kind == "FAT").nth(1).unwrap().start;
        let info = plan.extents().iter().find(|extent| extent.label.kind == "FSInfo").unwrap().start;
        for at in [second + 40, info + 0x1E8] {
            let flip = |path: &Path| {
                let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
                let mut byte = [0];
                disk::ReadAt::read_exact_at(&file, &mut byte, at).unwrap();
                disk::WriteAt::write_all_at(&file, &[byte[0] ^ 1], at).unwrap();
            };
            flip(&path);
            let output = fsck.command().arg("-n").arg(&path).output().unwrap();
            let now = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(now.contains("differ") || now.contains("Free cluster summary wrong"), "{at:#x}: {now}");
            flip(&path);
        }
    }
}

#[test]
fn mtools_and_7_zip_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = volume(folder.path(), 260 * MIB, SectorSize::B512);
    if let Some(mcopy) = tool("mcopy") {
        let out = folder.path().join("mtools");
        std::fs::create_dir(&out).unwrap();
        let output = mcopy.command().args(["-s", "-i"]).arg(&path).arg("::/").arg(&out).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        compare(&out, true);
    }
    if let Some(zip) = tool("7zz") {
        let out = folder.path().join("7z");
        zip.run([
            std::ffi::OsString::from("x"),
            "-y".into(),
            format!("-o{}", out.display()).into(),
            path.clone().into(),
        ]);
        compare(&out, false);
        let listed = zip.text([std::ffi::OsStr::new("l"), "-slt".as_ref(), path.as_os_str()]);
        assert!(listed.contains("File System = FAT32") && listed.contains("Label = SYSTEM"), "{listed}");
        let bcd =
            listed.split("\n\n").find(|entry| entry.contains("Path = EFI/Microsoft/Boot/BCD\n")).unwrap();
        assert!(bcd.contains("Attributes = HSA") && bcd.contains("Size = 32768"), "{bcd}");
    }
}

/// Compares what a program extracted with what was meant. mtools has no characters beyond its locale's.
fn compare(folder: &Path, ascii: bool) {
    for (path, _, len) in files() {
        if ascii && !path.is_ascii() {
            continue;
        }
        let found = std::fs::read(folder.join(path.replace('\\', "/").trim_start_matches('/'))).unwrap();
        assert!(found[..] == content(&path, len)[..], "{path}");
    }
}

/// Volumes of every kind that other people's programs made, read by ours.
#[test]
fn volumes_of_mkfs_and_mtools() {
    let (Some(mkfs), Some(mcopy), Some(mmd)) = (tool("mkfs.fat"), tool("mcopy"), tool("mmd")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.bin");
    for (name, mib, args, kind) in [
        ("12", 8, &["-F", "12"][..], Kind::Fat12),
        ("12s", 8, &["-F", "12", "-s", "1", "-S", "4096"], Kind::Fat12),
        ("16", 32, &["-F", "16"], Kind::Fat16),
        ("16f", 32, &["-F", "16", "-f", "1", "-r", "32"], Kind::Fat16),
        ("32", 64, &["-F", "32", "-s", "1"], Kind::Fat32),
        ("32s", 300, &["-F", "32", "-S", "4096", "-s", "1"], Kind::Fat32),
    ] {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().set_len(mib * MIB).unwrap();
        let output =
            mkfs.command().args(args).args(["-n", "LABEL", "-i", "12345678"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        mmd.command().arg("-i").arg(&path).arg("::/a folder").output().unwrap();
        let mut expected = BTreeMap::new();
        // Deleted files leave holes, in which the next ones end up in pieces.
        for number in 0..40usize {
            let to = format!("::/a folder/file number {number}.bin");
            std::fs::write(&source, content(&to, number * 7919)).unwrap();
            let output = mcopy.command().arg("-i").arg(&path).arg(&source).arg(&to).output().unwrap();
            assert!(output.status.success(), "{name} {number}: {output:?}");
            expected.insert(to[2..].to_owned(), number * 7919);
            if number % 3 == 2 {
                let gone = format!("::/a folder/file number {}.bin", number - 1);
                let output =
                    tool("mdel").unwrap().command().arg("-i").arg(&path).arg(&gone).output().unwrap();
                assert!(output.status.success(), "{name}: {output:?}");
                expected.remove(&gone[2..]);
            }
        }
        let checked = check(Arc::new(std::fs::File::open(&path).unwrap())).unwrap();
        assert!(checked.findings.is_empty(), "{name}: {:?}", checked.findings);
        let volume = open(&path);
        assert_eq!((volume.kind(), volume.serial()), (kind, 0x1234_5678), "{name}");
        assert_eq!(volume.label().unwrap(), "LABEL");
        let mut found = BTreeMap::new();
        walk(&volume, volume.root(), "", &mut found);
        assert_eq!(found.remove("/a folder").unwrap().0, 0x10);
        assert_eq!(found.len(), expected.len());
        for (path, len) in expected {
            assert!(found[&path].3[..] == content(&format!("::{path}"), len)[..], "{name}: {path}");
        }
        let used = volume.clusters() - volume.free_clusters().unwrap();
        assert!(used > 0 && used < volume.clusters());
    }
}

/// Why `fatfs` does not write system partitions: what fsck.fat says of its directories, and our checker.
#[test]
fn directories_of_fatfs_are_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fatfs.img");
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(34 * MIB).unwrap();
    let options = fatfs::FormatVolumeOptions::new().fat_type(fatfs::FatType::Fat32).bytes_per_cluster(512);
    fatfs::format_volume(&file, options).unwrap();
    let system = fatfs::FileSystem::new(&file, fatfs::FsOptions::new()).unwrap();
    system.root_dir().create_dir("EFI").unwrap().create_file("file").unwrap().write_all(b"x").unwrap();
    system.unmount().unwrap();
    let found = check(Arc::new(file)).unwrap();
    assert!(found.findings.iter().any(|finding| finding.code == "dot-entries"), "{:?}", found.findings);
    if let Some(fsck) = tool("fsck.fat") {
        let output = fsck.command().arg("-n").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("Expected a valid '.' entry in this slot"), "{said}");
    }
}
