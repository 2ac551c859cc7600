//! What lies between partitions, and who lives there all the same.
//!
//! A table says which sectors belong to partitions, and nobody may use the others; but some do:
//!
//! * the first MiB of a disk: a boot loader behind the master boot record (GRUB), the GUID partition table. It stays.
//! * the last MiB: the table's copy, and on disks that do not say so, the metadata of RAID controllers. It stays.
//! * a GUID partition table says itself which sectors are there for partitions; only those count, and where it says that
//!   its copy lies stays, too (a disk that grew has it in the middle).
//! * the boot records of logical partitions, each a sector.
//! * a dynamic disk: its database is in the last MiB, or in a partition of its own, and what is between partitions is
//!   for it to say. All of it stays.
//!
//! What then remains belonged to partitions that are no more, or to nobody ever.

use std::io;
use std::ops::Range;

use bootsector::{Gpt, Mbr, PartitionType};
use disk::{ReadAt, SectorSize};

use super::{DiskPartition, GptKind, Guid, PartitionKind, Partitions};
use crate::disk_source::TableKind;

/// What is kept at both ends.
const END: u64 = 1 << 20;
/// Partitions of a dynamic disk, by their type byte.
const DYNAMIC: u8 = PartitionType::DYNAMIC.0;
/// Partitions of dynamic disks and storage spaces.
const MANAGED: [Guid; 3] = [GptKind::DYNAMIC_DATA, GptKind::DYNAMIC_METADATA, GptKind::STORAGE_SPACES];

/// Bytes that are no partition's.
pub(super) struct Gap {
    pub(super) range: Range<u64>,
    /// Why they stay.
    pub(super) keep: Option<&'static str>,
}

/// Two partitions that share bytes.
pub(super) fn overlap(partitions: &[DiskPartition]) -> Option<(u32, u32)> {
    let mut sorted: Vec<&DiskPartition> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.start);
    let mut pairs = sorted.windows(2);
    let pair = pairs.find(|pair| pair[0].start + pair[0].size > pair[1].start)?;
    Some((pair[0].number, pair[1].number))
}

/// Why a partition of this kind is not Windows', whatever its first sector looks like.
pub(super) fn foreign(kind: &PartitionKind) -> Option<String> {
    match kind {
        PartitionKind::Whole => None,
        PartitionKind::Mbr(DYNAMIC) => Some("it is part of a dynamic disk".to_owned()),
        // FAT, NTFS, both hidden, recovery, EFI system.
        PartitionKind::Mbr(
            0x01 | 0x04 | 0x06 | 0x07 | 0x0B | 0x0C | 0x0E | 0x11 | 0x14 | 0x16 | 0x17 | 0x1B | 0x1C | 0x1E
            | 0x27 | 0xEF,
        ) => None,
        PartitionKind::Gpt(guid, _) if MANAGED.contains(guid) => {
            Some("it is part of a dynamic disk or of a storage space".to_owned())
        }
        PartitionKind::Gpt(GptKind::EFI_SYSTEM | GptKind::BASIC_DATA | GptKind::RECOVERY, _) => None,
        other => Some(format!("its type ({other}) is not that of a Windows or FAT volume")),
    }
}

/// What is no partition's, in the order of the disk.
pub(super) fn gaps(disk: &dyn ReadAt, partitions: &Partitions) -> io::Result<Vec<Gap>> {
    let size = disk.size()?;
    let mut gaps = Vec::new();
    // Partitions, and inside them what has none.
    let mut taken: Vec<Range<u64>> = partitions
        .partitions
        .iter()
        .map(|partition| partition.start..partition.start + partition.size)
        .collect();
    let mut usable = END..size.saturating_sub(END);
    let managed = |partition: &DiskPartition| match partition.kind {
        PartitionKind::Mbr(DYNAMIC) => true,
        PartitionKind::Gpt(guid, _) => MANAGED.contains(&guid),
        _ => false,
    };
    let mut keep = partitions
        .partitions
        .iter()
        .any(managed)
        .then_some("it is for the dynamic disk or storage space to say what is there");
    match partitions.table {
        TableKind::None => return Ok(gaps),
        TableKind::Mbr(_) => {
            let mut sector = [0; 512];
            disk.read_exact_at(&mut sector, 0)?;
            let sector_size = SectorSize::B512;
            let records = match Mbr::parse(&sector) {
                Ok(mbr) => mbr.boot_records(disk, sector_size)?,
                Err(error) => Err(error),
            };
            match records {
                Ok(records) => taken.extend(records.iter().map(|record| {
                    let at = record.0 * u64::from(sector_size.bytes());
                    at..at + u64::from(sector_size.bytes())
                })),
                Err(_) => keep = keep.or(Some("the partition table cannot be read")),
            }
        }
        TableKind::Gpt(_) => match Gpt::read(disk)? {
            Ok(gpt) if gpt.primary_fault.is_none() => {
                let says = table(disk, gpt.sector, 1, size)?;
                usable.start = usable.start.max(says.usable.start);
                usable.end = usable.end.min(says.usable.end);
                taken.extend(says.places);
            }
            _ => keep = keep.or(Some("the partition table at the start of the disk is damaged")),
        },
    }
    taken.sort_by_key(|range| range.start);
    let mut at = 0;
    for next in taken.into_iter().chain(std::iter::once(size..size)) {
        if next.start > at {
            let whole = at..next.start;
            let inside = whole.start.clamp(usable.start.min(whole.end), whole.end)
                ..whole.end.clamp(whole.start, usable.end.max(whole.start));
            let inside = if inside.start < inside.end { inside } else { whole.end..whole.end };
            let ends = "boot loaders, partition tables and their copies live at the ends of disks";
            for (range, keep) in [
                (whole.start..inside.start, keep.or(Some(ends))),
                (inside.clone(), keep),
                (inside.end..whole.end, keep.or(Some(ends))),
            ] {
                if !range.is_empty() {
                    gaps.push(Gap { range, keep });
                }
            }
        }
        at = at.max(next.end);
    }
    Ok(gaps)
}

/// What a header of a GUID partition table says of places.
struct Says {
    usable: Range<u64>,
    /// Headers and tables, both.
    places: Vec<Range<u64>>,
}

/// Reads a header that was found sound (UEFI 2.10, table 5.5), and the other one where it says it lies.
fn table(disk: &dyn ReadAt, sector: SectorSize, lba: u64, size: u64) -> io::Result<Says> {
    let bytes = u64::from(sector.bytes());
    let mut places = Vec::new();
    let mut usable = 0..0;
    let mut next = Some(lba);
    for first in [true, false] {
        let Some(at) =
            next.and_then(|lba| lba.checked_mul(bytes)).filter(|at| at.saturating_add(bytes) <= size)
        else {
            break;
        };
        let mut header = [0; 92];
        disk.read_exact_at(&mut header, at)?;
        let long = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
        let word =
            |at: usize| u64::from(u32::from_le_bytes(header[at..at + 4].try_into().unwrap_or_default()));
        if header[..8] != *b"EFI PART" {
            break;
        }
        places.push(at..at + bytes);
        let start = long(72).saturating_mul(bytes).min(size);
        let len = word(80).saturating_mul(word(84)).next_multiple_of(bytes);
        places.push(start..start.saturating_add(len).min(size));
        if first {
            usable = long(40).saturating_mul(bytes).min(size)
                ..long(48).saturating_add(1).saturating_mul(bytes).min(size);
            next = Some(long(32));
        }
    }
    Ok(Says { usable, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn partition(number: u32, start: u64, size: u64, kind: PartitionKind) -> DiskPartition {
        DiskPartition { number, start, size, kind, active: false, name: None, file_system: None }
    }

    fn shown(gaps: &[Gap]) -> Vec<(u64, u64, bool)> {
        gaps.iter().map(|gap| (gap.range.start, gap.range.end, gap.keep.is_some())).collect()
    }

    fn entry(disk: &mut [u8], lba: usize, index: usize, kind: u8, start: u32, sectors: u32) {
        let record = &mut disk[lba * 512..(lba + 1) * 512];
        let entry = &mut record[0x1BE + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        record[510..].copy_from_slice(&[0x55, 0xAA]);
    }

    #[test]
    fn both_ends_and_boot_records_stay() {
        let mut disk = vec![0; 20 << 20];
        let mib = |n: usize| (n * 2048) as u32;
        entry(&mut disk, 0, 0, 7, mib(2), mib(2));
        entry(&mut disk, 0, 1, 0x0F, mib(6), mib(10));
        entry(&mut disk, 6 * 2048, 0, 7, mib(1), mib(1));
        entry(&mut disk, 6 * 2048, 1, 5, mib(4), mib(3));
        entry(&mut disk, 10 * 2048, 0, 7, mib(1), mib(2));
        let kind = || PartitionKind::Mbr(7);
        let mut partitions = Partitions {
            table: TableKind::Mbr(1),
            partitions: vec![
                partition(1, 2 * MIB, 2 * MIB, kind()),
                partition(5, 7 * MIB, MIB, kind()),
                partition(6, 11 * MIB, 2 * MIB, kind()),
            ],
        };
        let found = gaps(&disk, &partitions).unwrap();
        let expected = [
            (0, MIB, true),
            (MIB, 2 * MIB, false),
            (4 * MIB, 6 * MIB, false),
            (6 * MIB + 512, 7 * MIB, false),
            (8 * MIB, 10 * MIB, false),
            (10 * MIB + 512, 11 * MIB, false),
            (13 * MIB, 19 * MIB, false),
            (19 * MIB, 20 * MIB, true),
        ];
        assert_eq!(shown(&found), expected);
        partitions.partitions[0].kind = PartitionKind::Mbr(DYNAMIC);
        assert!(gaps(&disk, &partitions).unwrap().iter().all(|gap| gap.keep.is_some()));
        assert!(foreign(&partitions.partitions[0].kind).is_some());
    }

    /// A record counts its partition from itself, and the next record from the extended partition: of two numbers that look
    /// as if they overlapped neither is wrong, and what leads on stays.
    #[test]
    fn boot_records_stay_whatever_else_is_in_them() {
        let mut disk = vec![0; 20 << 20];
        let mib = |n: usize| (n * 2048) as u32;
        entry(&mut disk, 0, 0, 0x0F, mib(6), mib(10));
        entry(&mut disk, 6 * 2048, 0, 7, mib(5), mib(3));
        entry(&mut disk, 6 * 2048, 1, 5, mib(4), mib(6));
        entry(&mut disk, 10 * 2048, 0, 7, mib(4), mib(1));
        // A status that no primary partition has.
        disk[6 * MIB as usize + 0x1BE] = 1;
        let partitions = Partitions {
            table: TableKind::Mbr(1),
            partitions: vec![
                partition(5, 11 * MIB, 3 * MIB, PartitionKind::Mbr(7)),
                partition(6, 14 * MIB, MIB, PartitionKind::Mbr(7)),
            ],
        };
        let expected = [
            (0, MIB, true),
            (MIB, 6 * MIB, false),
            (6 * MIB + 512, 10 * MIB, false),
            (10 * MIB + 512, 11 * MIB, false),
            (15 * MIB, 19 * MIB, false),
            (19 * MIB, 20 * MIB, true),
        ];
        assert_eq!(shown(&gaps(&disk, &partitions).unwrap()), expected);
        // A chain that cannot be followed: nobody knows what else lies there.
        disk[10 * MIB as usize + 511] = 0;
        assert!(gaps(&disk, &partitions).unwrap().iter().all(|gap| gap.keep.is_some()));
    }

    #[test]
    fn a_partition_from_the_first_sectors_on_leaves_no_gap_before_it() {
        let mut disk = vec![0; 4 << 20];
        entry(&mut disk, 0, 0, 7, 63, 4096);
        let partitions = Partitions {
            table: TableKind::Mbr(1),
            partitions: vec![partition(1, 63 * 512, 4096 * 512, PartitionKind::Mbr(7))],
        };
        let end = (63 + 4096) * 512;
        assert_eq!(
            shown(&gaps(&disk, &partitions).unwrap()),
            [(0, 63 * 512, true), (end, 3 * MIB, false), (3 * MIB, 4 * MIB, true)]
        );
    }

    #[test]
    fn partitions_that_share_bytes() {
        let kind = || PartitionKind::Mbr(7);
        let mut both = [partition(1, 100, 50, kind()), partition(2, 20, 80, kind())];
        assert_eq!(overlap(&both), None);
        both[1].size = 81;
        assert_eq!(overlap(&both), Some((2, 1)));
    }

    #[test]
    fn managed_partitions_are_known_by_their_bytes() {
        // As they lie in a table (Microsoft, `CREATE_PARTITION_PARAMETERS`).
        let bytes = [
            Guid(*b"\xA0\x60\x9B\xAF\x31\x14\x62\x4F\xBC\x68\x33\x11\x71\x4A\x69\xAD"),
            Guid(*b"\xAA\xC8\x08\x58\x8F\x7E\xE0\x42\x85\xD2\xE1\xE9\x04\x34\xCF\xB3"),
            Guid(*b"\x8F\xAF\x5C\xE7\x80\xF6\xEE\x4C\xAF\xA3\xB0\x01\xE5\x6E\xFC\x2D"),
        ];
        assert_eq!(MANAGED, bytes);
    }

    #[test]
    fn other_systems_partitions_are_foreign() {
        for kind in
            [PartitionKind::Mbr(0x83), PartitionKind::Mbr(0x8E), PartitionKind::Gpt(GptKind::LINUX, None)]
        {
            assert!(foreign(&kind).is_some(), "{kind}");
        }
        for kind in
            [PartitionKind::Whole, PartitionKind::Mbr(7), PartitionKind::Gpt(GptKind::EFI_SYSTEM, None)]
        {
            assert!(foreign(&kind).is_none(), "{kind}");
        }
    }
}
