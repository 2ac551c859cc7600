//! Damaged volumes: errors, not panics, and an end in bounded time.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, LazyLock};

use disk::{ExtentMap, FileTime, PieceContent, ReadAt, SectorSize};
use proptest::prelude::*;
use wimforge_fat::check::{Severity, check};
use wimforge_fat::{Data, Error, Node, Options, Plan, Target, Volume};

/// A volume as a map, with bytes of it changed and its end cut off.
struct Patched {
    map: Arc<ExtentMap>,
    changes: Vec<(u64, u8)>,
    len: u64,
}

impl ReadAt for Patched {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|&end| end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.fill(0);
        for piece in self.map.pieces(offset..end) {
            if let PieceContent::Bytes(bytes) = piece.content {
                buf[(piece.start - offset) as usize..][..bytes.len()].copy_from_slice(bytes);
            }
        }
        for &(at, byte) in &self.changes {
            if (offset..end).contains(&at) {
                buf[(at - offset) as usize] = byte;
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

static SAMPLE: LazyLock<Arc<ExtentMap>> = LazyLock::new(|| Arc::new(make_sample()));

fn sample() -> Arc<ExtentMap> {
    Arc::clone(&SAMPLE)
}

fn make_sample() -> ExtentMap {
    let time = FileTime::from_unix_seconds(1_480_000_000);
    let options = Options {
        sector: SectorSize::B512,
        hidden_sectors: 2048,
        serial: 1,
        label: "LABEL".to_owned(),
        time,
    };
    let node = |path: &str, len: usize| Node {
        path: path.to_owned(),
        attributes: 0x20,
        created: time,
        modified: time,
        data: Some(Data::Bytes(vec![7; len].into())),
    };
    let mut nodes = vec![node("/EFI/Boot/bootx64.efi", 5_000), node("/EFI/Microsoft/Boot/BCD", 2_000)];
    nodes.extend(
        (0..40).map(|number| node(&format!("/a/b/c/a long name with number {number}.bin"), number * 37)),
    );
    Plan::new(options, nodes).unwrap().lay_out(34 << 20).unwrap()
}

fn patched(changes: &[(u64, &[u8])], len: u64) -> Patched {
    let bytes = |&(at, bytes): &(u64, &[u8])| (at..).zip(bytes.to_vec());
    Patched { map: sample(), changes: changes.iter().flat_map(bytes).collect(), len }
}

/// Looks at everything; how many entries and errors there were.
fn walk(disk: Patched) -> Result<(usize, Vec<Error>), Error> {
    let volume = Volume::open(Arc::new(disk))?;
    let (mut entries, mut errors) = (0, Vec::new());
    let mut seen = HashSet::from([volume.root()]);
    let mut stack = vec![volume.root()];
    let _ = volume.label();
    let _ = volume.free_clusters();
    while let Some(directory) = stack.pop() {
        let found = match volume.check_directory(directory).and_then(|()| volume.entries(directory)) {
            Ok(found) => found,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for entry in found {
            entries += 1;
            match entry.target {
                Target::Directory(below) if seen.insert(below) => stack.push(below),
                Target::Directory(_) => {}
                Target::File(start) => {
                    volume.first_byte(start);
                    let read = volume.file(start).and_then(|mut file| {
                        let mut bytes = vec![0; file.size().min(1 << 20) as usize];
                        let last = file.size() - bytes.len() as u64;
                        file.read_at(last, &mut bytes)?;
                        file.read_at(0, &mut bytes)
                    });
                    errors.extend(read.err());
                }
            }
        }
    }
    Ok((entries, errors))
}

const LEN: u64 = 34 << 20;

#[test]
fn the_sample_is_sound() {
    let (entries, errors) = walk(patched(&[], LEN)).unwrap();
    assert_eq!((entries, errors.len()), (49, 0), "{errors:?}");
}

/// What each field of the first sector may not say.
#[test]
fn first_sectors() {
    for (what, at, bytes, says) in [
        ("signature", 0x1FE, &[0u8, 0][..], "signature 0x0000"),
        ("sector size", 0x0B, &[0, 1], "sectors of 256 bytes"),
        ("odd sector size", 0x0B, &[0xFF, 3], "sectors of 1023 bytes"),
        ("no sector size", 0x0B, &[0, 0], "sectors of 0 bytes"),
        ("large sectors", 0x0B, &[0, 0x20], "sectors of 8192 bytes"),
        ("cluster size", 0x0D, &[0], "clusters of 0 sectors"),
        ("odd cluster size", 0x0D, &[3], "clusters of 3 sectors"),
        ("no reserved sectors", 0x0E, &[0, 0], "0 reserved sectors"),
        ("no tables", 0x10, &[0], "0 tables"),
        ("too long", 0x20, &[0xFF, 0xFF, 0xFF, 0xFF], "4294967295 sectors, the partition has"),
        ("too short", 0x20, &[9, 0, 0, 0], "expected more than the"),
        ("no length", 0x20, &[0, 0, 0, 0], "expected more than the"),
        ("large tables", 0x24, &[0xFF, 0xFF, 0xFF, 0xFF], "expected more than the"),
        ("small tables", 0x24, &[1, 0, 0, 0], "expected at least"),
        ("version", 0x2A, &[1, 0], "version 0x0001"),
        ("active table", 0x28, &[0x83, 0], "table 3 is the active one, there are 2"),
        ("root", 0x2C, &[0, 0, 0, 0], "cluster 0x0, expected"),
        ("root past the end", 0x2C, &[0, 0, 0, 0x0F], "cluster 0xf000000, expected"),
        ("FAT16 of that length", 0x16, &[0, 2], "clusters in a FAT16 volume"),
    ] {
        let error = walk(patched(&[(at, bytes)], LEN)).expect_err(what).to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
    for len in [0, 511, 512, 1 << 20, LEN - 1] {
        assert!(walk(patched(&[], len)).is_err(), "{len}");
    }
}

/// Where a structure of the sample lies.
fn find(kind: &str, number: usize) -> u64 {
    let map = sample();
    map.extents().iter().filter(|extent| extent.label.kind == kind).nth(number).unwrap().start
}

#[test]
fn tables_that_lead_astray() {
    let fat = find("FAT", 0);
    // The first file begins behind the directories: root, /EFI, /EFI/Boot, …
    let first_file = (find("file data", 0) - find("FAT directory", 0)) / 512 + 2;
    let link = |from: u64, to: u32| (fat + from * 4, to.to_le_bytes());
    for (what, (at, to), says) in [
        ("outside the volume", link(first_file, 0x00FF_FFF0), "cluster 0xfffff0, expected"),
        ("free", link(first_file, 0), "cluster 0x0, expected"),
        ("bad", link(first_file, 0x0FFF_FFF7), "cluster 0xffffff7, expected"),
        ("an early end", link(first_file, 0x0FFF_FFFF), "1 clusters, expected more for 5000 bytes"),
    ] {
        let (_, errors) = walk(patched(&[(at, &to)], LEN)).unwrap();
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
        assert!(errors[0].to_string().contains(says), "{what}: {}", errors[0]);
    }
    // A file that goes in circles has an end all the same.
    let (at, to) = link(first_file, first_file as u32);
    assert_eq!(walk(patched(&[(at, &to)], LEN)).unwrap().1.len(), 0);
    // A directory that goes in circles has more entries than any.
    let directory = (find("FAT directory", 7) - find("FAT directory", 0)) / 512 + 2;
    let (at, to) = link(directory, directory as u32);
    let (_, errors) = walk(patched(&[(at, &to)], LEN)).unwrap();
    assert!(errors.iter().any(|error| matches!(error, Error::Limit { .. })), "{errors:?}");
}

#[test]
fn entries_that_lead_astray() {
    let root = find("FAT directory", 0);
    // The label, then /EFI.
    let entry = root + 32;
    for (what, at, bytes) in [
        ("a directory outside the volume", entry + 20, &[0xFF, 0x0F][..]),
        ("a directory at cluster 0", entry + 26, &[0, 0]),
        ("a directory at cluster 1", entry + 26, &[1, 0]),
    ] {
        let (_, errors) = walk(patched(&[(at, bytes)], LEN)).unwrap();
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
    }
    // Who does not ask before gets the same answer.
    for cluster in [0, 1, 0x0FFF_0005_u32] {
        let (low, high) = ((cluster as u16).to_le_bytes(), ((cluster >> 16) as u16).to_le_bytes());
        let changed = patched(&[(entry + 26, &low), (entry + 20, &high)], LEN);
        let volume = Volume::open(Arc::new(changed)).unwrap();
        let below = volume.entries(volume.root()).unwrap().into_iter().find_map(|entry| match entry.target {
            Target::Directory(below) => Some(below),
            Target::File(_) => None,
        });
        let error = volume.entries(below.unwrap()).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "cluster {cluster:#x}: {error}");
    }
    // /EFI is the root itself: nothing is looked at twice.
    let (entries, errors) = walk(patched(&[(entry + 26, &[2, 0])], LEN)).unwrap();
    assert_eq!((entries, errors.len()), (44, 0));
    // /EFI as a file of 4 GiB.
    let (_, errors) = walk(patched(&[(entry + 11, &[0x20]), (entry + 28, &[0xFF; 4])], LEN)).unwrap();
    assert!(errors[0].to_string().contains("a file of 4294967295 bytes on a volume of"), "{errors:?}");
}

/// Every rule, broken once.
#[test]
fn the_checker_names_the_fault() {
    use Severity::{Error as Bad, Warning};
    let (fat, second) = (find("FAT", 0), find("FAT", 1));
    let (root, boot_dir, deepest) =
        (find("FAT directory", 0), find("FAT directory", 2), find("FAT directory", 7));
    let first_file = (find("file data", 0) - root) / 512 + 2;
    let link = |cluster: u64| fat + cluster * 4;
    // Behind the label: /EFI. In /EFI/Boot: two entries, a piece, the file. In the deepest: two, three pieces, a file of
    // no bytes, three pieces, a file of 37.
    let (efi, loader, empty, small) = (root + 32, boot_dir + 96, deepest + 160, deepest + 288);
    let end = [0xFF, 0xFF, 0xFF, 0x0F];
    let cases: &[(&str, u64, &[u8], Severity)] = &[
        ("boot-sector", 0x0B, &[1, 1], Bad),
        ("boot-backup", 6 * 512 + 3, b"X", Warning),
        ("fsinfo", 512, b"X", Warning),
        ("fsinfo", 512 + 0x1E8, &[1, 2, 3, 0], Warning),
        ("fsinfo", 512 + 0x1E4, b"X", Warning),
        ("fsinfo", 0x30, &[0xFF, 0xFF], Warning),
        ("fat-id", fat, &[0xF0], Warning),
        ("volume-flags", fat + 7, &[0x07], Warning),
        ("volume-flags", fat + 7, &[0x0B], Warning),
        ("volume-flags", 0x41, &[1], Warning),
        ("fat-copies", second + 40, &[1], Bad),
        ("dot-entries", boot_dir, b"X", Bad),
        ("dot-entries", boot_dir + 26, &[9], Bad),
        ("dot-entries", boot_dir + 32 + 26, &[9], Bad),
        ("dot-entries", boot_dir + 32, b"X", Bad),
        ("directory", efi + 28, &[1], Warning),
        ("label", efi + 11, &[0x08], Warning),
        ("short-name", loader, b"b", Warning),
        ("short-name", loader + 3, b"?", Warning),
        ("name-collision", small, b"ALONGN~1BIN", Bad),
        ("long-name", deepest + 64 + 13, &[1], Warning),
        ("chain-length", empty + 28, &[1], Bad),
        ("chain-length", small + 28, &[0xFF, 0xFF], Bad),
        ("chain-length", small + 28, &[0], Bad),
        ("chain-length", link(first_file), &end, Bad),
        ("chain", link(first_file), &[0; 4], Bad),
        ("chain", loader + 26, &[1, 0], Bad),
        ("cluster-shared", loader + 26, &[2, 0], Bad),
        ("cluster-shared", link(first_file + 1), &[2, 0, 0, 0], Bad),
        ("lost-clusters", link(0x5000), &end, Warning),
        ("lost-clusters", small + 26, &[0, 0], Warning),
    ];
    for (code, at, bytes, severity) in cases {
        let report = check(Arc::new(patched(&[(*at, bytes)], LEN))).unwrap();
        let found = report.findings.iter().find(|finding| finding.code == *code);
        assert!(
            found.is_some_and(|found| found.severity == *severity),
            "{code} at {at:#x}: {:?}",
            report.findings
        );
    }
    let clean = check(Arc::new(patched(&[], LEN))).unwrap();
    assert_eq!((clean.findings.len(), clean.files), (0, 49), "{:?}", clean.findings);
}

/// A disk that fails once, when this byte is read for the first time.
struct Flaky(Patched, std::sync::Mutex<Option<u64>>);

impl ReadAt for Flaky {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut next = self.1.lock().unwrap();
        if next.take_if(|at| (offset..offset + buf.len() as u64).contains(at)).is_some() {
            return Err(io::Error::other("not this time"));
        }
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

/// The piece of the table that was not read is read again, and not taken for the one before.
#[test]
fn a_table_that_fails_once_is_read_again() {
    let time = FileTime::from_unix_seconds(1_480_000_000);
    let options =
        Options { sector: SectorSize::B512, hidden_sectors: 2048, serial: 1, label: String::new(), time };
    // Each cluster of 512 bytes has another content.
    let data: Vec<u8> = (0..3u32 << 20).map(|at| (at / 512 % 251) as u8).collect();
    let node = Node {
        path: "/large".to_owned(),
        attributes: 0x20,
        created: time,
        modified: time,
        data: Some(Data::Bytes(data.clone().into())),
    };
    let map = Plan::new(options, vec![node]).unwrap().lay_out(34 << 20).unwrap();
    let whole = || Patched { map: Arc::new(map.clone()), changes: Vec::new(), len: LEN };
    let sound = Volume::open(Arc::new(whole())).unwrap();
    assert_eq!(sound.cluster_size(), 512);
    // The second of the pieces that are read at once.
    let second = u64::from(sound.reserved_sectors()) * 512 + (16 << 10);
    let volume = Volume::open(Arc::new(Flaky(whole(), Some(second).into()))).unwrap();
    let Target::File(start) = volume.entries(volume.root()).unwrap()[0].target else { panic!("a file") };
    let mut file = volume.file(start).unwrap();
    let mut read = |at: usize| {
        let mut bytes = [0; 512];
        file.read_at(at as u64, &mut bytes).map(|()| assert_eq!(bytes[..], data[at..at + 512], "at {at:#x}"))
    };
    read(1 << 20).unwrap();
    assert!(matches!(read(5 << 19), Err(Error::Io { .. })));
    read(5 << 19).unwrap();
    read(1 << 20).unwrap();
}

/// A file whose long name is taken takes its short one nevertheless, on every run.
#[test]
fn collisions_do_not_depend_on_chance() {
    // Two entries, then three pieces and an entry a file. The digit of the second file's name, and the third's short name.
    let files = find("FAT directory", 7) + 64;
    let (digit, short) = (files + 128 + 32 + 28, files + 2 * 128 + 96);
    for _ in 0..20 {
        let report = check(Arc::new(patched(&[(digit, b"0"), (short, b"ALONGN~2BIN")], LEN))).unwrap();
        let collisions = report.findings.iter().filter(|finding| finding.code == "name-collision").count();
        assert_eq!(collisions, 2, "{:?}", report.findings);
    }
}

/// Long names that are not whole, or not those of the entry behind them, give way to short ones.
#[test]
fn long_names_that_do_not_fit() {
    let directory = find("FAT directory", 7);
    let names = |changes: &[(u64, &[u8])]| {
        let volume = Volume::open(Arc::new(patched(changes, LEN))).unwrap();
        let mut directory = volume.root();
        for _ in 0..3 {
            let entries = volume.entries(directory).unwrap();
            let entry = entries.iter().find(|entry| entry.name.len() == 1).unwrap();
            let Target::Directory(below) = entry.target else { panic!("{entry:?}") };
            directory = below;
        }
        let entries = volume.entries(directory).unwrap();
        String::from_utf16(&entries[0].name).unwrap()
    };
    assert_eq!(names(&[]), "a long name with number 0.bin");
    // Two entries for the directory itself and the one above, three pieces, the entry.
    let piece = |number: u64| directory + 64 + number * 32;
    for (at, byte) in [
        (piece(0), 0x44),
        (piece(0), 0x03),
        (piece(0), 0x5F),
        (piece(1), 0x03),
        (piece(1) + 13, 0),
        (piece(2), 0xE5),
        (piece(2), 0x02),
        (piece(3), b'X'),
    ] {
        let found = names(&[(at, &[byte])]);
        assert!(found.contains('~') && found.len() <= 12, "{at:#x} {byte:#x}: {found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_damage(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in 0u64..20) {
        // Where there is something to damage.
        let map = sample();
        let kinds: Vec<_> = map.extents().iter().filter(|extent| !matches!(extent.content, disk::Content::Zero)
            && extent.label.kind != "file data").collect();
        let total: u64 = kinds.iter().map(|extent| extent.len).sum();
        let place = |index: &prop::sample::Index| {
            let mut at = index.index(total as usize) as u64;
            for extent in &kinds {
                if at < extent.len {
                    return extent.start + at;
                }
                at -= extent.len;
            }
            0
        };
        let changes: Vec<(u64, u8)> = changes.iter().map(|(index, byte)| (place(index), *byte)).collect();
        let len = if cut == 0 { LEN / 2 } else { LEN };
        let damaged = || Patched { map: sample(), changes: Clone::clone(&changes), len };
        let _ = check(Arc::new(damaged()));
        let _ = walk(damaged());
    }
}
