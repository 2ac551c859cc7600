//! The boot sector against golden bytes, hostile bytes, and other people's readers.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use disk::{Lba, SectorSize};
use proptest::prelude::*;
use wimforge_bootsector::{ALIGNMENT, Error, Mbr, Partition, PartitionType, Size, place};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The default layout: System, Windows, Recovery.
fn sample(disk: u64) -> Mbr {
    let wanted = [Size::Bytes(350 * MIB), Size::Rest, Size::Bytes(500 * MIB)];
    let kinds = [PartitionType::NTFS, PartitionType::NTFS, PartitionType::RECOVERY];
    let mut mbr = Mbr::new(0x1234_ABCD);
    for (index, range) in place(disk, ALIGNMENT, &wanted).unwrap().iter().enumerate() {
        let partition = Partition::new(range, SectorSize::B512, kinds[index], index == 0).unwrap();
        mbr.partitions[index] = Some(partition);
    }
    mbr
}

#[test]
fn golden_bytes() {
    let sector = sample(20 * GIB).to_sector().unwrap();
    assert_eq!(sector[..0x1B8], [0; 0x1B8]);
    let tail = [
        0xCD, 0xAB, 0x34, 0x12, 0x00, 0x00, // signature, reserved
        // Active; 0/32/33; NTFS; LBA 718847 = 44/190/18; from 2048, 716800 sectors.
        0x80, 0x20, 0x21, 0x00, 0x07, 0xBE, 0x12, 0x2C, 0x00, 0x08, 0x00, 0x00, 0x00, 0xF0, 0x0A,
        0x00, //
        // LBA 718848 = 44/190/19; ends past cylinder 1023.
        0x00, 0xBE, 0x13, 0x2C, 0x07, 0xFE, 0xFF, 0xFF, 0x00, 0xF8, 0x0A, 0x00, 0x00, 0x68, 0x65,
        0x02, //
        0x00, 0xFE, 0xFF, 0xFF, 0x27, 0xFE, 0xFF, 0xFF, 0x00, 0x60, 0x70, 0x02, 0x00, 0xA0, 0x0F,
        0x00, //
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, //
        0x55, 0xAA,
    ];
    assert_eq!(sector[0x1B8..], tail);
}

fn fault(sector: &[u8; 512]) -> String {
    Mbr::parse(sector).unwrap_err().to_string()
}

#[test]
fn refuses_what_readers_would_not_agree_on() {
    let good = sample(20 * GIB).to_sector().unwrap();
    let with = |changes: &[(usize, u8)]| {
        let mut sector = good;
        changes.iter().for_each(|&(offset, byte)| sector[offset] = byte);
        sector
    };
    assert_eq!(
        fault(&with(&[(0x1FF, 0)])),
        "malformed boot sector signature at 0x1fe: found 0x0055, expected 0xaa55"
    );
    assert_eq!(
        fault(&with(&[(0x1CE, 0x81)])),
        "malformed partition entry at 0x1ce: status 0x81, expected 0x00 or 0x80"
    );
    // A status byte is wrong even in an entry that is not used: it is how text (a FAT or NTFS boot record) is told from
    // a table.
    assert!(fault(&with(&[(0x1EE, 0x20)])).contains("0x1ee"));
    assert!(fault(&with(&[(0x1CE, 0x80)])).contains("active, and so is entry 0"));
    assert!(fault(&with(&[(0x1D7, 0xF7)])).contains("overlap entry 0's 2048..718848"), "starts 256 early");
    assert!(
        fault(&with(&[(0x1DA, 0), (0x1DB, 0), (0x1DC, 0), (0x1DD, 0)])).contains("no sectors"),
        "empty partition"
    );
    assert!(fault(&with(&[(0x1C7, 0)])).contains("begins at sector 0"));
}

#[test]
fn refuses_what_does_not_fit() {
    let mbr = sample(20 * GIB);
    mbr.check_fits(20 * GIB / 512).unwrap();
    let error = mbr.check_fits(20 * GIB / 512 - 1).unwrap_err().to_string();
    assert!(error.starts_with("malformed partition entry at 0x1de: sectors 40919040.."), "{error}");

    let mut mbr = Mbr::new(1);
    let kind = PartitionType::NTFS;
    mbr.partitions[0] = Some(Partition { start: Lba(2048), sectors: 1 << 32, kind, active: false });
    assert!(matches!(mbr.to_sector(), Err(Error::Limit { what: "sector count", .. })));
    mbr.partitions[0] = Some(Partition { start: Lba(u64::MAX), sectors: 1, kind, active: false });
    assert!(matches!(mbr.to_sector(), Err(Error::Malformed { .. })));
    assert!(matches!(Mbr::new(0).to_sector(), Err(Error::Malformed { .. })), "signature 0");
    assert!(Partition::new(&(100..1024), SectorSize::B512, kind, false).is_err());
    assert!(Partition::new(&(512..512), SectorSize::B512, kind, false).is_err());
}

#[test]
fn knows_a_protective_mbr() {
    let mut mbr = Mbr::new(1);
    let kind = PartitionType::GPT_PROTECTIVE;
    mbr.partitions[0] = Some(Partition { start: Lba(1), sectors: u32::MAX.into(), kind, active: false });
    let back = Mbr::parse(&mbr.to_sector().unwrap()).unwrap();
    assert!(back.is_protective());
    back.check_fits(100).unwrap();
    assert!(!sample(20 * GIB).is_protective());
    assert_eq!(sample(20 * GIB).active().unwrap().start, Lba(2048));
}

proptest! {
    #[test]
    fn any_sector_that_parses_comes_back(
        mut sector in prop::array::uniform32(any::<u8>()).prop_map(|table| {
            let mut sector = [0u8; 512];
            sector[0x1BE..0x1DE].copy_from_slice(&table);
            sector
        }),
        status in prop::array::uniform2(prop::sample::select(vec![0u8, 0x80, 1])),
    ) {
        sector[0x1B8] = 1;
        sector[0x1BE] = status[0];
        sector[0x1CE] = status[1];
        sector[0x1FE..].copy_from_slice(&[0x55, 0xAA]);
        if let Ok(mbr) = Mbr::parse(&sector) {
            prop_assert_eq!(Mbr::parse(&mbr.to_sector().unwrap()), Ok(mbr));
        }
    }
}

#[test]
fn mbrman_agrees() {
    for disk in [GIB, 7 * GIB, 20 * GIB, 2040 * GIB] {
        let ours = sample(disk);
        let sector = ours.to_sector().unwrap();
        let theirs = mbrman::MBR::read_from(&mut std::io::Cursor::new(sector), 512).unwrap();
        assert_eq!(theirs.header.disk_signature, ours.disk_signature.to_le_bytes());
        for (index, partition) in ours.partitions.iter().enumerate() {
            let entry = theirs.get(index + 1).unwrap();
            let Some(partition) = partition else {
                assert!(entry.is_unused());
                continue;
            };
            assert_eq!(u64::from(entry.starting_lba), partition.start.0);
            assert_eq!(u64::from(entry.sectors), partition.sectors);
            assert_eq!(entry.sys, partition.kind.0);
            assert_eq!(entry.is_active(), partition.active);
            // Their CHS arithmetic, and its inverse, agree with ours wherever ten bits of cylinder suffice.
            let last = entry.starting_lba + entry.sectors - 1;
            for (chs, lba) in [(entry.first_chs, entry.starting_lba), (entry.last_chs, last)] {
                if lba < 1024 * 255 * 63 {
                    assert_eq!(mbrman::CHS::from_lba_exact(lba, 1024, 255, 63).unwrap(), chs);
                    assert_eq!(chs.to_lba(255, 63), lba);
                } else {
                    assert_eq!((chs.cylinder, chs.head, chs.sector), (1023, 254, 63));
                }
            }
        }
    }
}

#[test]
fn sfdisk_agrees() {
    let Some(sfdisk) = testkit::tool("sfdisk") else { return };
    let directory = tempfile::tempdir().unwrap();
    for disk in [GIB, 7 * GIB, 20 * GIB, 2040 * GIB] {
        let mbr = sample(disk);
        let path = directory.path().join("disk.img");
        std::fs::write(&path, mbr.to_sector().unwrap()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(disk).unwrap();

        let path_text = path.to_str().unwrap();
        let verdict = sfdisk.text(["--verify", path_text]);
        assert!(verdict.contains("No errors detected"), "{verdict}");
        let json = sfdisk.text(["--json", path_text]);
        assert!(json.contains(r#""label": "dos""#) && json.contains(r#""id": "0x1234abcd""#), "{json}");
        for partition in mbr.partitions.iter().flatten() {
            let expected = format!(
                r#""start": {},"size": {},"type": "{:x}""#,
                partition.start.0, partition.sectors, partition.kind.0
            );
            let squeezed: String = json.split_whitespace().collect();
            assert!(squeezed.contains(&expected.replace(": ", ":")), "{expected} not in {json}");
        }
        assert_eq!(json.matches(r#""bootable": true"#).count(), 1);
    }
}

#[test]
fn reads_what_sfdisk_writes() {
    use std::io::{Read, Write};
    let Some(sfdisk) = testkit::tool("sfdisk") else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(GIB).unwrap();
    let mut child = sfdisk
        .command()
        .arg(file.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let script =
        "label: dos\nlabel-id: 0xCAFEF00D\nsize=100MiB,type=7,bootable\nsize=200MiB,type=27\ntype=f\n";
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());

    let mut sector = [0; 512];
    file.reopen().unwrap().read_exact(&mut sector).unwrap();
    let mbr = Mbr::parse(&sector).unwrap();
    mbr.check_fits(GIB / 512).unwrap();
    assert_eq!(mbr.disk_signature, 0xCAFE_F00D);
    let [Some(a), Some(b), Some(c), None] = mbr.partitions else { panic!("{mbr:?}") };
    assert_eq!(a, Partition { start: Lba(2048), sectors: 204_800, kind: PartitionType::NTFS, active: true });
    assert_eq!((b.kind, b.sectors), (PartitionType::RECOVERY, 409_600));
    assert!(c.kind.is_extended());
    // Its CHS fields are ours, byte for byte.
    assert_eq!(mbr.to_sector().unwrap(), sector);
}
