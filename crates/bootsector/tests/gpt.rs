//! GUID partition tables of ours against golden bytes and other people's readers.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use disk::{Guid, Lba, SectorSize, Seed, WriteAt};
use testkit::tool;
use wimforge_bootsector::{Gpt, GptKind, GptPartition, Mbr};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 4 << 30;

fn sample(sector: SectorSize) -> Gpt {
    let seed = Seed::new(b"gpt");
    let mut gpt = Gpt::new(seed.guid("disk"), sector);
    let mut start = MIB;
    for (number, name, kind, mib, attributes) in [
        (1, "EFI system partition", GptKind::EFI_SYSTEM, 260, GptPartition::NO_DRIVE_LETTER),
        (2, "Microsoft reserved partition", GptKind::MICROSOFT_RESERVED, 16, GptPartition::NO_DRIVE_LETTER),
        (3, "Basic data partition", GptKind::BASIC_DATA, 3000, 0),
        (
            4,
            "größe \u{1F600}",
            GptKind::RECOVERY,
            500,
            GptPartition::NO_DRIVE_LETTER | GptPartition::REQUIRED,
        ),
    ] {
        gpt.partitions.push(GptPartition {
            number,
            kind,
            id: seed.guid(&number.to_string()),
            start: Lba(start / u64::from(sector.bytes())),
            sectors: mib * MIB / u64::from(sector.bytes()),
            attributes,
            name: name.to_owned(),
        });
        start += mib * MIB;
    }
    gpt
}

/// A disk with nothing but the table, in a file.
fn disk(gpt: &Gpt, folder: &tempfile::TempDir) -> std::path::PathBuf {
    let bytes = gpt.to_bytes(SIZE).unwrap();
    assert_eq!(bytes.end_offset + bytes.end.len() as u64, SIZE);
    let path = folder.path().join("disk.img");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    file.write_all_at(&bytes.start, 0).unwrap();
    file.write_all_at(&bytes.end, bytes.end_offset).unwrap();
    path
}

#[test]
fn comes_back_from_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    for sector in [SectorSize::B512, SectorSize::B4096] {
        let gpt = sample(sector);
        assert_eq!(gpt.to_bytes(SIZE), sample(sector).to_bytes(SIZE));
        let path = disk(&gpt, &folder);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(Gpt::read(&file).unwrap().unwrap(), gpt);
        let theirs = gpt::GptConfig::new()
            .logical_block_size(match sector {
                SectorSize::B512 => gpt::disk::LogicalBlockSize::Lb512,
                SectorSize::B4096 => gpt::disk::LogicalBlockSize::Lb4096,
            })
            .only_valid_headers(true)
            .open(&path)
            .unwrap();
        assert_eq!(theirs.partitions().len(), 4);
        file.write_all_at(&[0; 8], u64::from(sector.bytes())).unwrap();
        let copy = Gpt::read(&file).unwrap().unwrap();
        assert!(copy.primary_fault.is_some());
        assert_eq!(copy.partitions, gpt.partitions);
    }
}

#[test]
fn golden_bytes() {
    let bytes = sample(SectorSize::B512).to_bytes(SIZE).unwrap();
    // Protected from sector 1 on; 0/0/2 to what CHS cannot say; 8,388,607 sectors.
    let entry = [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0x7F, 0];
    assert_eq!(bytes.start[0x1BE..0x1CE], entry);
    assert_eq!(bytes.start[..0x1BE], [0; 0x1BE]);
    let sector: &[u8; 512] = bytes.start[..512].try_into().unwrap();
    assert!(Mbr::parse(sector).unwrap().is_protective());
    let header = &bytes.start[512..1024];
    assert_eq!(header[..16], *b"EFI PART\0\0\x01\0\x5C\0\0\0");
    let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
    // Itself, the copy, the first and the last usable sector, the entries.
    assert_eq!([24, 32, 40, 48, 72].map(number), [1, 8_388_607, 34, 8_388_574, 2]);
    assert_eq!(number(80), 128 << 32 | 128);
    assert_eq!(header[92..], [0; 420]);
    let entry = &bytes.start[1024..1152];
    assert_eq!(entry[..16], GptKind::EFI_SYSTEM.0);
    assert_eq!(
        entry[32..56],
        [[0, 8, 0, 0, 0, 0, 0, 0], [0xFF, 0x27, 8, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0x80]].concat()
    );
    assert_eq!(entry[56..62], *b"E\0F\0I\0");
    // A disk past 2 TiB is protected as far as 32 bits reach.
    let large = Gpt::new(Guid([1; 16]), SectorSize::B512).to_bytes(3 << 40).unwrap();
    assert_eq!(large.start[0x1CA..0x1CE], [0xFF; 4]);
}

#[test]
fn refuses_what_readers_would_not_agree_on() {
    let refused = |change: fn(&mut Gpt), says: &str| {
        let mut gpt = sample(SectorSize::B512);
        change(&mut gpt);
        let error = gpt.to_bytes(SIZE).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(|gpt| gpt.partitions[1].start = Lba(2048), "partition 2 overlaps partition 1");
    refused(|gpt| gpt.partitions[0].start = Lba(33), "expected some within 34..8388575");
    refused(|gpt| gpt.partitions[3].sectors = SIZE / 512, "expected some within");
    refused(|gpt| gpt.partitions[3].sectors = u64::MAX, "expected some within");
    refused(|gpt| gpt.partitions[3].sectors = 0, "expected some within");
    refused(|gpt| gpt.partitions[2].number = 5, "partition 5 where partition 3");
    refused(|gpt| gpt.partitions[2].id = Guid::NIL, "no type or no id");
    refused(|gpt| gpt.partitions[2].id = gpt.partitions[0].id, "the id of partition 1");
    refused(|gpt| gpt.partitions[2].name = "x".repeat(37), "37 units");
    refused(
        |gpt| {
            let again = gpt.partitions[0].clone();
            gpt.partitions = (1..=129).map(|number| GptPartition { number, ..again.clone() }).collect();
        },
        "129 partitions",
    );
    for size in [0, 512, 67 * 512] {
        assert!(Gpt::new(Guid([1; 16]), SectorSize::B512).to_bytes(size).is_err(), "{size}");
    }
    assert!(Gpt::new(Guid([1; 16]), SectorSize::B512).to_bytes(68 * 512).is_ok());
}

#[test]
fn other_people_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let gpt = sample(SectorSize::B512);
    let path = disk(&gpt, &folder);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    if let Some(sfdisk) = tool("sfdisk") {
        let said = sfdisk.text(["--verify".as_ref(), path.as_os_str()]);
        assert!(said.contains("No errors detected"), "{said}");
        let dump = sfdisk.text(["-d".as_ref(), path.as_os_str()]);
        assert!(dump.contains(&format!("label-id: {}", gpt.disk.to_string().to_uppercase())), "{dump}");
        for partition in &gpt.partitions {
            let line =
                dump.lines().find(|line| line.contains(&format!("disk.img{} :", partition.number))).unwrap();
            let line = line.replace(' ', "");
            for part in [
                format!("start={},", partition.start.0),
                format!("size={},", partition.sectors),
                format!("type={},", partition.kind.to_string().to_uppercase()),
                format!("uuid={}", partition.id.to_string().to_uppercase()),
            ] {
                assert!(line.contains(&part), "{part}: {line}");
            }
        }
        assert!(dump.contains("name=\"EFI system partition\", attrs=\"GUID:63\""), "{dump}");
        assert!(dump.contains("attrs=\"RequiredPartition GUID:63\""), "{dump}");
    }
    if let Some(sgdisk) = tool("sgdisk") {
        let said = sgdisk.text(["-v".as_ref(), path.as_os_str()]);
        assert!(said.contains("No problems found"), "{said}");
        // The checker itself: the copy is not what the table at the start is.
        file.write_all_at(&[1], SIZE - 512 - 5000).unwrap();
        let output = sgdisk.command().arg("-v").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("CRC") && !said.contains("No problems found"), "{said}");
        file.write_all_at(&[0], SIZE - 512 - 5000).unwrap();
    }
    if let Some(zip) = tool("7zz") {
        let listed = zip.text(["l".as_ref(), "-slt".as_ref(), path.as_os_str()]);
        assert!(listed.contains("Type = GPT"), "{listed}");
        assert!(listed.contains("Basic data partition"), "{listed}");
    }
}
