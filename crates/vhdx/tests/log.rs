//! Files whose log has to be replayed: what is read then, and what no honest log says.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use common::{
    LogEntry, Logged, MIB, dynamic, noise, put_headers, put_log, put_log_id, read_all, sign_log_entry,
};
use disk::ReadAt;
use wimforge_vhdx::{Replay, Vhdx};

const ID: [u8; 16] = *b"log with this id";
const TABLE: u64 = 3 << 20;

/// A disk of five blocks and a clean file of it, in which all but block 2 are stored.
fn good() -> (Vec<u8>, Vec<u8>) {
    let mut disk = noise(4, 5 * MIB);
    disk[2 * MIB..3 * MIB].fill(0);
    let file = dynamic(&disk);
    assert_eq!(file.len(), 8 * MIB);
    (disk, file)
}

fn entry(file: &[u8], sequence: u64, tail: u32, writes: Vec<Logged>) -> LogEntry {
    LogEntry { id: ID, sequence, tail, flushed: file.len() as u64, last: file.len() as u64, writes }
}

/// The first sector of the block allocation table, after `change`.
fn table(file: &[u8], change: impl FnOnce(&mut [u64])) -> Logged {
    let mut entries: Vec<u64> = file[3 * MIB..][..4096]
        .chunks(8)
        .map(|entry| u64::from_le_bytes(entry.try_into().unwrap()))
        .collect();
    change(&mut entries);
    Logged::Sector(TABLE, entries.iter().flat_map(|entry| entry.to_le_bytes()).collect())
}

fn replayed(file: Vec<u8>) -> (Vec<u8>, Replay) {
    let vhdx = Vhdx::open(file).unwrap();
    vhdx.check().unwrap();
    (read_all(&vhdx), vhdx.replay().unwrap())
}

#[track_caller]
fn refused(file: Vec<u8>, expected: &str) {
    let found = Vhdx::open(file).map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
    assert!(found.contains(expected), "\n   found: {found}\nexpected: {expected}");
}

/// qemu replays the log as well, and then reads `expected`.
fn qemu_replays(file: &[u8], expected: &[u8]) {
    let Some(qemu) = testkit::tool("qemu-img") else { return };
    let directory = tempfile::tempdir().unwrap();
    let (path, raw) = (directory.path().join("disk.vhdx"), directory.path().join("disk.raw"));
    std::fs::write(&path, file).unwrap();
    std::fs::write(&raw, expected).unwrap();
    qemu.run(testkit::args!["check", "-f", "vhdx", "-r", "all", &path]);
    qemu.run(testkit::args!["compare", "-f", "vhdx", "-F", "raw", &path, &raw]);
}

#[test]
fn one_entry() {
    let (disk, mut file) = good();
    // Block 0 goes, block 2 comes in its place; sectors 1 and 3 of what is now block 2 are written, most of it zero.
    let (first, third) = (noise(5, 4096), noise(6, 4096));
    let writes = vec![
        table(&file, |entries| entries.swap(0, 2)),
        Logged::Zeros(4 << 20, 1 << 20),
        Logged::Sector((4 << 20) + 4096, first.clone()),
        Logged::Sector((4 << 20) + 3 * 4096, vec![9; 4096]),
        Logged::Sector((4 << 20) + 3 * 4096, third.clone()),
    ];
    let entry = entry(&file, 7, 0, writes).to_bytes();
    put_log(&mut file, 0, &entry);
    let (without, clean) = (read_all(&Vhdx::open(file.clone()).unwrap()), file.clone());
    assert!(without == disk, "the header has no log id: nothing is replayed");
    put_log_id(&mut file, ID);

    let mut expected = disk;
    expected[..MIB].fill(0);
    expected[2 * MIB + 4096..][..4096].copy_from_slice(&first);
    expected[2 * MIB + 3 * 4096..][..4096].copy_from_slice(&third);
    let (found, replay) = replayed(file.clone());
    assert!(found == expected);
    assert_eq!(replay, Replay { entries: 1, sectors: 4, zeros: 1 });

    qemu_replays(&file, &expected);
    // A changed byte anywhere in the entry: it is not whole, and there is no other.
    for at in [0, 4, 9, 13, 17, 25, 33, 49, 57, 64, 300, 4096, 9000, entry.len() - 1] {
        let mut file = file.clone();
        file[MIB + at] ^= 4;
        refused(file, "malformed VHDX log at 0x100000: no entry with the header's log id");
    }
    let mut other_id = clean;
    put_log_id(&mut other_id, [1; 16]);
    refused(other_id, "log id 01010101-0101-0101-0101-010101010101 is whole");
}

#[test]
fn a_ring_with_what_is_left_of_the_round_before() {
    let (disk, file) = good();
    let write = |sequence: u64, tail: usize, byte: u8| {
        let mut writes: Vec<Logged> =
            (0..60).map(|index| Logged::Sector((4 << 20) + index * 4096, vec![byte; 4096])).collect();
        if byte == 1 {
            writes.push(Logged::Sector((7 << 20) + 40960, vec![byte; 4096]));
        }
        entry(&file, sequence, tail as u32, writes).to_bytes()
    };
    let len = write(1, 0, 0).len();
    let expect = |byte: u8| {
        let mut expected = disk.clone();
        expected[..60 * 4096].fill(byte);
        expected[4 * MIB + 40960..][..4096].fill(1);
        expected
    };
    // From the start, and so that the second of three entries goes around the end.
    for (start, older) in [(8192, 192 * 4096), (MIB - len - 8192, 128 * 4096)] {
        let mut file = file.clone();
        // Of the round before: an entry that is half overwritten, and one that is whole.
        put_log(&mut file, 0, &write(50, 0, 0xAA));
        put_log(&mut file, older, &write(51, older, 0xAA));
        let places = [start, start + len + 4096, start + 2 * len + 4096];
        for (index, place) in places.into_iter().enumerate() {
            put_log(&mut file, place, &write(100 + index as u64, start, index as u8 + 1));
        }
        put_log_id(&mut file, ID);
        let (found, replay) = replayed(file.clone());
        assert!(found == expect(3));
        assert_eq!(replay, Replay { entries: 3, sectors: 181, zeros: 0 });
        // No comparison with qemu: 7.2 replays no more than the last entry.
        // The last is torn: the one before is the last.
        file[MIB + (places[2] + 9000) % MIB] ^= 1;
        let (found, replay) = replayed(file.clone());
        assert!(found == expect(2));
        assert_eq!(replay.entries, 2);
        // So is the second.
        file[MIB + (places[1] + 100_000) % MIB] ^= 1;
        assert_eq!(replayed(file.clone()).1.entries, 1);
        // Without the first, there is only what is older: an entry that needs nothing before it.
        file[MIB + start] ^= 1;
        let (found, replay) = replayed(file);
        assert_eq!((found[0], replay.entries), (0xAA, 1));
    }
}

#[test]
fn a_tail_that_leaves_entries_behind() {
    let (_, mut file) = good();
    let mut bytes = Vec::new();
    for (sequence, tail) in [(5, 0), (6, 0), (7, 8192)] {
        let at = (4 << 20) + sequence * 4096;
        bytes.extend(entry(&file, sequence, tail, vec![Logged::Sector(at, vec![7; 4096])]).to_bytes());
    }
    put_log(&mut file, 0, &bytes);
    put_log_id(&mut file, ID);
    let (disk, replay) = replayed(file.clone());
    assert_eq!(replay.entries, 2, "the first was flushed, says the last");
    assert_ne!(disk[5 * 4096..][..4096], [7; 4096]);
    assert_eq!(disk[6 * 4096..8 * 4096], [7; 8192]);
    // A tail where no entry of the sequence begins.
    let mut last = entry(&file, 7, 4096, Vec::new()).to_bytes();
    last[12..16].copy_from_slice(&4096u32.to_le_bytes());
    sign_log_entry(&mut last);
    put_log(&mut file, 16384, &vec![0; 8192]);
    put_log(&mut file, 16384, &last);
    refused(file, "no entry with the header's log id");
}

#[test]
fn a_file_that_was_about_to_grow() {
    let (mut disk, mut file) = good();
    let mut grows = entry(
        &file,
        1,
        0,
        vec![table(&file, |entries| entries[2] = 9 << 20 | 6), Logged::Sector(9 << 20, vec![5; 4096])],
    );
    grows.last = 10 << 20;
    put_log(&mut file, 4096, &LogEntry { tail: 4096, ..grows }.to_bytes());
    put_log_id(&mut file, ID);
    disk[2 * MIB..][..4096].fill(5);
    let vhdx = Vhdx::open(file.clone()).unwrap();
    assert!(read_all(&vhdx) == disk);
    assert!(vhdx.read_exact_at(&mut [0], 5 << 20).is_err());

    let entry = |flushed, last| {
        let mut file = file.clone();
        let entry = LogEntry { id: ID, sequence: 9, tail: 65536, flushed, last, writes: Vec::new() };
        put_log(&mut file, 65536, &entry.to_bytes());
        file
    };
    Vhdx::open(entry(8 << 20, 0)).unwrap();
    refused(
        entry((8 << 20) + 1, 8 << 20),
        "malformed VHDX log entry at 0x110000: the file had 0x800001 bytes when it was written, now 0x800000",
    );
    Vhdx::open(entry(8 << 20, 512 << 40)).unwrap();
    refused(
        entry(0, (512 << 40) + 1),
        "VHDX log entry at 0x110000: length of the file 562949953421313 exceeds",
    );
    refused(entry(0, u64::MAX), "length of the file");
}

#[test]
fn entries_that_lie() {
    let (_, file) = good();
    let with = |change: &dyn Fn(&mut Vec<u8>), writes: Vec<Logged>| {
        let mut file = file.clone();
        let mut bytes = entry(&file, 7, 0, writes).to_bytes();
        change(&mut bytes);
        sign_log_entry(&mut bytes);
        put_log(&mut file, 0, &bytes);
        put_log_id(&mut file, ID);
        file
    };
    let sector = |at: u64| vec![Logged::Sector(at, vec![1; 4096])];
    let nothing = |_: &mut Vec<u8>| {};
    Vhdx::open(with(&nothing, sector(4 << 20))).unwrap();
    // Entries that are none: zero and far numbers, lengths, tails, more descriptors than there is room for.
    let number = |at: usize, value: u32| {
        move |bytes: &mut Vec<u8>| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes())
    };
    for change in [
        number(8, 0),
        number(8, 4095),
        number(8, 8193),
        number(8, 2 << 20),
        number(8, u32::MAX),
        number(8, 0xFFFF_F000),
        number(12, 4096),
        number(12, 1),
        number(12, 1 << 20),
        number(12, u32::MAX),
        number(16, 0),
        number(24, 300),
        number(24, u32::MAX),
        number(32, 0),
    ] {
        refused(with(&change, sector(4 << 20)), "no entry with the header's log id");
    }
    // Entries that are whole, and say what cannot be.
    let zeros = |at: u64, len: u64| vec![Logged::Zeros(at, len)];
    for (writes, reason) in [
        (sector(0), "descriptor 0 writes to 0x0, into the headers or the log"),
        (sector(64 << 10), "writes to 0x10000, into the headers"),
        (sector((192 << 10) - 4096), "into the headers"),
        (sector(1 << 20), "writes to 0x100000, into the headers or the log"),
        (sector((2 << 20) - 4096), "into the headers or the log"),
        (zeros(192 << 10, 8 << 20), "expected whole sectors inside 0x800000 bytes"),
        (zeros((1 << 20) - 4096, 8192), "into the headers or the log"),
        (zeros(192 << 10, 7 << 20), "into the headers or the log"),
        (sector((4 << 20) + 1), "descriptor 0 for 0x400001 (+ 0x1000), expected whole sectors"),
        (
            sector(8 << 20),
            "descriptor 0 for 0x800000 (+ 0x1000), expected whole sectors inside 0x800000 bytes",
        ),
        (sector(u64::MAX - 4095), "expected whole sectors"),
        (zeros(4 << 20, 100), "(+ 0x64), expected whole sectors"),
        (zeros(4 << 20, u64::MAX - 4095), "expected whole sectors"),
    ] {
        refused(with(&nothing, writes), reason);
    }
    refused(
        with(&|bytes| bytes[64] = b'x', sector(4 << 20)),
        "descriptor 0 with signature \"xesc\", expected",
    );
    refused(
        with(&|bytes| bytes[88] = 9, sector(4 << 20)),
        "malformed VHDX log entry at 0x100000: descriptor 0 with sequence number 9, expected 7",
    );
    refused(
        with(&|bytes| bytes[4096] = b'x', sector(4 << 20)),
        "malformed VHDX log data sector at 0x101000: signature \"xata\" and number 7, expected \"data\" and 7",
    );
    for at in [4100, 8188] {
        refused(with(&|bytes| bytes[at] ^= 1, sector(4 << 20)), "malformed VHDX log data sector at 0x101000");
    }
    // A sector that its descriptor has no data for, data without a descriptor.
    let shorter = |bytes: &mut Vec<u8>| {
        bytes.truncate(4096);
        bytes[8..12].copy_from_slice(&4096u32.to_le_bytes());
    };
    refused(with(&shorter, sector(4 << 20)), "data of descriptor 0 past its end");
    let longer = |bytes: &mut Vec<u8>| {
        bytes.resize(12288, 0);
        bytes[8..12].copy_from_slice(&12288u32.to_le_bytes());
    };
    refused(with(&longer, sector(4 << 20)), "12288 bytes, its descriptors take 8192");
}

/// A log may change the region tables: what it makes of them is judged like any other.
#[test]
fn logs_that_change_region_tables() {
    let (disk, file) = good();
    let with = |writes: Vec<Logged>| {
        let mut file = file.clone();
        let entry = entry(&file, 7, 0, writes).to_bytes();
        put_log(&mut file, 0, &entry);
        put_log_id(&mut file, ID);
        file
    };
    let first = 192 << 10;
    // The first is broken: the second serves, and `check` says so.
    let vhdx = Vhdx::open(with(vec![Logged::Sector(first, vec![1; 4096])])).unwrap();
    assert!(read_all(&vhdx) == disk);
    assert!(
        vhdx.check().unwrap_err().to_string().contains("malformed VHDX region table at 0x30000: signature")
    );
    refused(
        with(vec![Logged::Zeros(first, 128 << 10)]),
        "malformed VHDX region table at 0x30000: signature \"\\x00\\x00\\x00\\x00\", expected \"regi\"",
    );
    refused(with(vec![Logged::Zeros(2 << 20, 4096)]), "malformed VHDX metadata table at 0x200000: signature");
}

#[test]
fn logs_are_limited() {
    let (_, mut file) = good();
    put_log_id(&mut file, ID);
    // Every sector looks like an entry that fills the log: to sum up all of them would take minutes for large logs.
    for sector in 0..256 {
        let mut fake = entry(&file, 7, 0, Vec::new()).to_bytes();
        fake[8..12].copy_from_slice(&(1u32 << 20).to_le_bytes());
        put_log(&mut file, sector * 4096, &fake);
    }
    refused(file.clone(), "VHDX log at 0x100000: bytes of what looks like entries 5242880 exceeds 4194304");

    // More descriptors than are held: a log of 16 MiB in a longer file.
    let mut long = file;
    long.resize(40 * MIB, 0);
    put_headers(&mut long, 68, &(16u32 << 20).to_le_bytes());
    put_headers(&mut long, 72, &(16u64 << 20).to_le_bytes());
    let writes = (0..(1 << 18) + 1).map(|_| Logged::Zeros(4 << 20, 4096)).collect();
    let bytes = entry(&long, 7, 0, writes).to_bytes();
    long[16 * MIB..16 * MIB + bytes.len()].copy_from_slice(&bytes);
    refused(long, "VHDX log entry at 0x1000000: number of descriptors 262145 exceeds 262144");

    // A log longer than any that is replayed: only its length is looked at.
    struct Long(Vec<u8>);
    impl ReadAt for Long {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            assert!(offset < 320 << 10, "read at {offset:#x}");
            self.0.read_exact_at(buf, offset)
        }
        fn size(&self) -> std::io::Result<u64> {
            Ok(1 << 40)
        }
    }
    let (_, mut file) = good();
    file.truncate(MIB);
    put_log_id(&mut file, ID);
    for (len, reason) in [
        (257u32 << 20, "VHDX log at 0x100000: length 269484032 exceeds 268435456"),
        (0xFFF0_0000, "length 4293918720 exceeds 268435456"),
        (u32::MAX, "malformed VHDX header at 0x20000: log at 0x100000 (+ 0xffffffff), expected whole MiB"),
        (0, "log at 0x100000 (+ 0x0), expected whole MiB"),
    ] {
        put_headers(&mut file, 68, &len.to_le_bytes());
        let found = Vhdx::open(Long(file.clone())).unwrap_err().to_string();
        assert!(found.contains(reason), "{found}");
    }
}
