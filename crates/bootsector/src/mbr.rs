use std::fmt;
use std::io::Cursor;
use std::ops::Range;

use binrw::{BinRead, BinWrite};
use disk::{At, Lba, SectorSize};

use crate::layout::{ACTIVE, BOOT_CODE_LEN, BOOT_SIGNATURE, ENTRY_LEN, RawEntry, RawMbr, TABLE};
use crate::{Chs, Error, Result};

/// Length in bytes of a boot sector. On a disk with 4 KiB sectors it is the first 512 bytes of sector 0.
pub const SECTOR_LEN: usize = 512;

/// The type byte of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartitionType(pub u8);

impl PartitionType {
    /// Extended, addressed by CHS.
    pub const EXTENDED: Self = Self(0x05);
    /// NTFS (and exFAT, HPFS).
    pub const NTFS: Self = Self(0x07);
    /// FAT32, addressed by LBA.
    pub const FAT32: Self = Self(0x0C);
    /// Extended, addressed by LBA.
    pub const EXTENDED_LBA: Self = Self(0x0F);
    /// A recovery partition: NTFS that Windows gives no drive letter.
    pub const RECOVERY: Self = Self(0x27);
    /// A part of a disk in Windows' dynamic form (LDM), whose own tables say what is where.
    pub const DYNAMIC: Self = Self(0x42);
    /// The whole disk belongs to a GUID partition table.
    pub const GPT_PROTECTIVE: Self = Self(0xEE);
    /// An EFI system partition.
    pub const EFI_SYSTEM: Self = Self(0xEF);

    /// Whether logical partitions lie inside.
    pub fn is_extended(self) -> bool {
        matches!(self, Self::EXTENDED | Self::EXTENDED_LBA)
    }
}

impl fmt::Display for PartitionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::EXTENDED | Self::EXTENDED_LBA => "extended",
            Self::NTFS => "NTFS",
            Self::FAT32 => "FAT32",
            Self::RECOVERY => "recovery",
            Self::GPT_PROTECTIVE => "GPT protective",
            Self::EFI_SYSTEM => "EFI system",
            _ => return write!(f, "0x{:02X}", self.0),
        };
        write!(f, "0x{:02X} {name}", self.0)
    }
}

/// A primary partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// First sector; below 2^32.
    pub start: Lba,
    /// How many sectors; 1 to 2^32 - 1.
    pub sectors: u64,
    /// What it holds.
    pub kind: PartitionType,
    /// Whether the BIOS boots it. At most one partition of a disk is active.
    pub active: bool,
}

impl Partition {
    /// The partition at `bytes` of a disk.
    ///
    /// # Errors
    /// [`Error::Impossible`] when the range is empty or does not lie on sectors.
    pub fn new(bytes: &Range<u64>, sector: SectorSize, kind: PartitionType, active: bool) -> Result<Self> {
        match (sector.lba_at(bytes.start), sector.lba_at(bytes.end)) {
            (Some(start), Some(end)) if start < end => {
                Ok(Self { start, sectors: end.0 - start.0, kind, active })
            }
            _ => Err(Error::Impossible(format!(
                "partition at bytes {:#x}..{:#x} is not a run of {}-byte sectors",
                bytes.start,
                bytes.end,
                sector.bytes()
            ))),
        }
    }

    /// The sector after the last. Cannot overflow for a partition that was parsed.
    pub fn end(&self) -> Lba {
        Lba(self.start.0.saturating_add(self.sectors))
    }

    /// The bytes it occupies, or `None` past 2^64.
    pub fn bytes(&self, sector: SectorSize) -> Option<Range<u64>> {
        Some(sector.offset_of(self.start)?..sector.offset_of(self.end())?)
    }
}

/// A master boot record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    /// What the BIOS runs; zeros when there is none.
    pub boot_code: [u8; BOOT_CODE_LEN],
    /// Windows' identity of the disk. 0 is accepted from others and never written.
    pub disk_signature: u32,
    /// The four entries, in the order they are stored.
    pub partitions: [Option<Partition>; 4],
}

fn entry_at(index: usize) -> At {
    At::new("partition entry", (TABLE + index * ENTRY_LEN) as u64)
}

impl Mbr {
    /// A record without boot code and without partitions.
    pub fn new(disk_signature: u32) -> Self {
        Self { boot_code: [0; BOOT_CODE_LEN], disk_signature, partitions: [None; 4] }
    }

    /// Reads a boot sector.
    ///
    /// The CHS addresses are not compared with the LBAs: every geometry that was ever in use is found in them.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is not a boot sector, or when its partitions overlap, are empty, or more than one of
    /// them is active. (Whether they lie on the disk: [`check_fits`](Self::check_fits).)
    pub fn parse(sector: &[u8; SECTOR_LEN]) -> Result<Self> {
        let raw = RawMbr::read(&mut Cursor::new(sector)).expect("every 512 bytes have this shape");
        if raw.boot_signature != BOOT_SIGNATURE {
            return Err(Error::Malformed {
                at: At::new("boot sector signature", 0x1FE),
                reason: format!("found {:#06x}, expected {BOOT_SIGNATURE:#06x}", raw.boot_signature),
            });
        }
        let mut partitions = [None; 4];
        for (index, entry) in raw.entries.iter().enumerate() {
            if entry.status & !ACTIVE != 0 {
                let reason = format!("status {:#04x}, expected 0x00 or 0x80", entry.status);
                return Err(Error::Malformed { at: entry_at(index), reason });
            }
            if entry.kind == 0 {
                continue;
            }
            partitions[index] = Some(Partition {
                start: Lba(u64::from(entry.first_lba)),
                sectors: u64::from(entry.sectors),
                kind: PartitionType(entry.kind),
                active: entry.status == ACTIVE,
            });
        }
        let mbr = Self { boot_code: raw.boot_code, disk_signature: raw.disk_signature, partitions };
        mbr.check()?;
        Ok(mbr)
    }

    /// The sector.
    ///
    /// # Errors
    /// [`Error::Malformed`] as for [`parse`](Self::parse), and for the disk signature 0; [`Error::Limit`] for a partition that
    /// begins or is longer than 32 bits can say.
    pub fn to_sector(&self) -> Result<[u8; SECTOR_LEN]> {
        if self.disk_signature == 0 {
            return Err(Error::Malformed {
                at: At::new("disk signature", 0x1B8),
                reason: "found 0, which Windows replaces; expected any other value".to_owned(),
            });
        }
        self.check()?;
        let mut entries = [RawEntry::default(); 4];
        for (index, partition) in self.partitions.iter().enumerate() {
            let Some(partition) = partition else { continue };
            let fit = |what, found: u64| {
                let limit = u64::from(u32::MAX);
                u32::try_from(found).map_err(|_| Error::Limit { at: entry_at(index), what, found, limit })
            };
            entries[index] = RawEntry {
                status: if partition.active { ACTIVE } else { 0 },
                first_chs: Chs::from_lba(partition.start).0,
                kind: partition.kind.0,
                last_chs: Chs::from_lba(Lba(partition.end().0 - 1)).0,
                first_lba: fit("first sector", partition.start.0)?,
                sectors: fit("sector count", partition.sectors)?,
            };
        }
        let raw = RawMbr {
            boot_code: self.boot_code,
            disk_signature: self.disk_signature,
            reserved: 0,
            entries,
            boot_signature: BOOT_SIGNATURE,
        };
        let mut sector = [0; SECTOR_LEN];
        raw.write(&mut Cursor::new(sector.as_mut_slice())).expect("the shape is 512 bytes");
        Ok(sector)
    }

    /// Whether this only guards a GUID partition table, which is then what describes the disk.
    pub fn is_protective(&self) -> bool {
        self.partitions.iter().flatten().any(|p| p.kind == PartitionType::GPT_PROTECTIVE)
    }

    /// The partition that the BIOS boots.
    pub fn active(&self) -> Option<&Partition> {
        self.partitions.iter().flatten().find(|p| p.active)
    }

    /// Checks that every partition lies on a disk of `disk_sectors` sectors. The entry that protects a GUID partition
    /// table is not looked at: it may say 2^32 - 1 sectors on any disk.
    ///
    /// # Errors
    /// [`Error::Malformed`], for the first that does not.
    pub fn check_fits(&self, disk_sectors: u64) -> Result<()> {
        for (index, partition) in self.partitions.iter().enumerate() {
            let Some(partition) = partition else { continue };
            if partition.kind != PartitionType::GPT_PROTECTIVE && partition.end().0 > disk_sectors {
                let reason = format!(
                    "sectors {}..{} end past the disk's {disk_sectors}",
                    partition.start.0,
                    partition.end().0
                );
                return Err(Error::Malformed { at: entry_at(index), reason });
            }
        }
        Ok(())
    }

    /// What must hold for a table that every reader understands alike.
    fn check(&self) -> Result<()> {
        let used = || self.partitions.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?)));
        for (index, partition) in used() {
            let fault = |reason: String| Err(Error::Malformed { at: entry_at(index), reason });
            if partition.kind.0 == 0 {
                return fault("type 0x00 marks an unused entry, found a partition".to_owned());
            }
            if partition.sectors == 0 {
                return fault(format!("no sectors, type {}", partition.kind));
            }
            if partition.start.0 == 0 {
                return fault("begins at sector 0, where the partition table is".to_owned());
            }
            if partition.start.0.checked_add(partition.sectors).is_none() {
                return fault(format!("{} sectors from {} pass 2^64", partition.sectors, partition.start.0));
            }
            for (other_index, other) in used().take_while(|(other, _)| *other < index) {
                if partition.start < other.end() && other.start < partition.end() {
                    return fault(format!(
                        "sectors {}..{} overlap entry {other_index}'s {}..{}",
                        partition.start.0,
                        partition.end().0,
                        other.start.0,
                        other.end().0
                    ));
                }
                if partition.active && other.active {
                    return fault(format!("active, and so is entry {other_index}"));
                }
            }
        }
        Ok(())
    }
}
