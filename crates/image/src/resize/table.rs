//! The partition table of a disk that changes its size.

use std::ops::Range;

use bootsector::{Gpt, GptKind, Mbr, Partition, PartitionType};
use disk::{BlockMap, Lba, SectorSize};
use ntfs_writer::resize::Segment;

use super::{ALIGNMENT, Change, Error, Result};

/// In the first sector of NTFS and FAT volumes: the sectors in front of it, four bytes.
const HIDDEN_SECTORS: usize = 0x1C;
/// FAT32: the sector with the copy of the first, two bytes.
const FAT_COPY: usize = 0x32;
/// What boot code of a master boot record and the disk signature take.
const CODE: usize = 446;

pub(super) enum Table {
    Mbr { mbr: Box<Mbr>, logical: Vec<Partition> },
    Gpt(Box<Gpt>),
}

/// A partition, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) range: Range<u64>,
    pub(super) recovery: bool,
    pub(super) extended: bool,
    pub(super) logical: bool,
    pub(super) movable: bool,
}

impl Table {
    /// The table; `None` for a disk that is one volume.
    pub(super) fn read(disk: &dyn BlockMap) -> Result<Option<Self>> {
        let mut sector = [0; 512];
        if disk.size()? < 512 {
            return Err(Error::Impossible("the disk is shorter than a sector".to_owned()));
        }
        disk.read_exact_at(&mut sector, 0)?;
        if [*b"NTFS    ", *b"-FVE-FS-"].iter().any(|name| sector[3..11] == *name) {
            return Ok(None);
        }
        let dynamic = || Error::Impossible("the disk is in Windows' dynamic form (LDM)".to_owned());
        let mbr = Mbr::parse(&sector)?;
        if mbr.is_protective() {
            let gpt = Gpt::read(disk)??;
            let kinds = [GptKind::DYNAMIC_METADATA, GptKind::DYNAMIC_DATA];
            if gpt.partitions.iter().any(|partition| kinds.contains(&partition.kind)) {
                return Err(dynamic());
            }
            return Ok(Some(Self::Gpt(Box::new(gpt))));
        }
        mbr.check_fits(disk.size()? / 512)?;
        if mbr.partitions.iter().flatten().any(|partition| partition.kind == PartitionType::DYNAMIC) {
            return Err(dynamic());
        }
        let logical = mbr.logical(disk, SectorSize::B512)??;
        Ok(Some(Self::Mbr { mbr: Box::new(mbr), logical }))
    }

    /// Bytes in a sector.
    pub(super) fn sector(&self) -> u64 {
        match self {
            Self::Mbr { .. } => 512,
            Self::Gpt(gpt) => gpt.sector.bytes().into(),
        }
    }

    /// Whether boot configuration data names partitions by where they begin.
    pub(super) fn names_by_place(&self) -> bool {
        matches!(self, Self::Mbr { .. })
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        match self {
            Self::Gpt(gpt) => gpt
                .partitions
                .iter()
                .map(|partition| Entry {
                    number: partition.number,
                    range: partition.start.0 * self.sector()
                        ..(partition.start.0 + partition.sectors) * self.sector(),
                    recovery: partition.kind == GptKind::RECOVERY,
                    extended: false,
                    logical: false,
                    movable: true,
                })
                .collect(),
            Self::Mbr { mbr, logical } => {
                let primary = mbr.partitions.iter().enumerate();
                let primary =
                    primary.filter_map(|(slot, partition)| Some((slot as u32 + 1, (*partition)?, false)));
                let logical = (5..).zip(logical).map(|(number, partition)| (number, *partition, true));
                primary
                    .chain(logical)
                    .map(|(number, partition, logical)| Entry {
                        number,
                        range: partition.start.0 * 512..partition.end().0 * 512,
                        recovery: partition.kind == PartitionType::RECOVERY,
                        extended: partition.kind.is_extended(),
                        logical,
                        movable: !logical && !partition.kind.is_extended(),
                    })
                    .collect()
            }
        }
    }

    /// Where the last partition of a disk of `size` bytes may end. An MBR disk keeps its last MiB free when it had that.
    pub(super) fn limit(&self, old_size: u64, size: u64) -> u64 {
        match self {
            Self::Gpt(gpt) => Gpt::usable(gpt.sector, size).end * self.sector(),
            Self::Mbr { .. } => {
                let last = self.entries().iter().map(|entry| entry.range.end).max().unwrap_or_default();
                size.saturating_sub(old_size.saturating_sub(last).min(ALIGNMENT))
            }
        }
    }

    /// The smallest disk whose last partition ends at byte `end`.
    pub(super) fn smallest(&self, end: u64) -> u64 {
        match self {
            Self::Mbr { .. } => end,
            // The copy, in whole MiB.
            Self::Gpt(_) => end.next_multiple_of(ALIGNMENT) + ALIGNMENT,
        }
    }

    /// The table's own bytes on a disk of `size` bytes.
    pub(super) fn patches(&self, disk: &dyn BlockMap, size: u64, changes: &[Change]) -> Result<Vec<Segment>> {
        let new =
            |number: u32| changes.iter().find(|change| change.number == number).map(|change| &change.new);
        match self {
            Self::Mbr { mbr, .. } => {
                let mut mbr = mbr.as_ref().clone();
                for (number, partition) in (1..).zip(&mut mbr.partitions) {
                    if let (Some(partition), Some(range)) = (partition, new(number)) {
                        *partition =
                            Partition::new(range, SectorSize::B512, partition.kind, partition.active)?;
                    }
                }
                if changes.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![Segment::bytes(0, mbr.to_sector()?.to_vec())])
            }
            Self::Gpt(gpt) => {
                let mut gpt = gpt.as_ref().clone();
                let sector = self.sector();
                for partition in &mut gpt.partitions {
                    if let Some(range) = new(partition.number) {
                        partition.start = Lba(range.start / sector);
                        partition.sectors = (range.end - range.start) / sector;
                    }
                }
                let mut bytes = gpt.to_bytes(size)?;
                // Code that a BIOS starts, and what calls itself the disk's signature.
                disk.read_exact_at(&mut bytes.start[..CODE], 0)?;
                let end = Segment::bytes(bytes.end_offset, bytes.end);
                Ok(vec![Segment::bytes(0, bytes.start), end])
            }
        }
    }
}

/// The boot sectors of a volume that moved, and say where it lies.
pub(super) fn hidden_sectors(disk: &dyn BlockMap, change: &Change, sector: u64) -> Result<Vec<Segment>> {
    let len = change.old.end - change.old.start;
    if len < 2 * sector {
        return Ok(Vec::new());
    }
    let mut first = vec![0; 512];
    disk.read_exact_at(&mut first, change.old.start)?;
    let (ntfs, fat) =
        (first[3..11] == *b"NTFS    ", first[0x52..0x57] == *b"FAT32" || first[0x36..0x39] == *b"FAT");
    let mut places = vec![0];
    if ntfs {
        places.push(len - sector);
    } else if fat {
        let copy = u64::from(u16::from_le_bytes([first[FAT_COPY], first[FAT_COPY + 1]]));
        if first[0x52..0x57] == *b"FAT32" && copy > 0 && (copy + 1) * sector <= len {
            places.push(copy * sector);
        }
    } else {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    let number = |at: u64| u32::try_from(at / sector).unwrap_or(u32::MAX).to_le_bytes();
    for place in places {
        let mut bytes = vec![0; 512];
        disk.read_exact_at(&mut bytes, change.old.start + place)?;
        // Who says something else, or is no copy at all, is left alone.
        let field = HIDDEN_SECTORS..HIDDEN_SECTORS + 4;
        if bytes[field.clone()] == number(change.old.start) && bytes[..11] == first[..11] {
            bytes[field].copy_from_slice(&number(change.new.start));
            out.push(Segment::bytes(change.new.start + place, bytes));
        }
    }
    Ok(out)
}
