//! The disk as firmware and boot manager see it: its partitions, and how they are told apart.
//!
//! A table that a BIOS would refuse is read all the same, as far as it can be: what else is wrong with the disk is worth
//! knowing, too, and whether it was ever meant to start can only be told from what its partitions hold.

use std::cell::OnceCell;
use std::sync::Arc;

use bootsector::{Gpt, GptKind, Mbr, PartitionType};
use disk::{Guid, ReadAt, SectorSize, SubRange};

use super::report::{Link, Step};
use super::volume::Volume;
use super::{Firmware, WindowsError};
use crate::disk_file::{FileSystemInfo, file_system};
use crate::{DiskFile, Error, Result};

/// Partitions that are looked at. Windows and firmware stop at 128 of a GUID partition table.
const MAX_PARTITIONS: usize = 128;

/// How a partition is known to the boot manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// By where it begins, and this type byte.
    Mbr(u8),
    /// By its id, and this type.
    Gpt { id: Guid, kind: Guid },
}

/// What tells this disk from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Mbr(u32),
    Gpt(Guid),
    /// There is none.
    None,
}

/// A partition.
pub(super) struct Slot {
    pub(super) number: u32,
    /// First byte on the disk.
    pub(super) start: u64,
    /// Length in bytes.
    pub(super) size: u64,
    pub(super) identity: Identity,
    pub(super) active: bool,
    pub(super) file_system: Option<FileSystemInfo>,
    volume: OnceCell<Result<Volume, String>>,
}

impl Slot {
    /// Whether the table calls it an EFI system partition.
    pub(super) fn is_esp(&self) -> bool {
        match self.identity {
            Identity::Mbr(kind) => PartitionType(kind) == PartitionType::EFI_SYSTEM,
            Identity::Gpt { kind, .. } => kind == GptKind::EFI_SYSTEM,
        }
    }

    /// The name of the file system in it.
    pub(super) fn file_system(&self) -> &'static str {
        self.file_system.as_ref().map_or("no known file system", |found| found.name)
    }

    /// Whether only Windows' keys open it.
    pub(super) fn is_encrypted(&self) -> bool {
        self.file_system() == "BitLocker"
    }

    pub(super) fn is_fat(&self) -> bool {
        self.file_system().starts_with("FAT")
    }
}

/// A disk.
pub(super) struct BootDisk<'d> {
    file: &'d DiskFile,
    pub(super) size: u64,
    /// Bytes in a sector, as its table counts.
    pub(super) sector: SectorSize,
    /// Its first 512 bytes.
    pub(super) first: [u8; 512],
    pub(super) table: Table,
    pub(super) slots: Vec<Slot>,
    /// What is wrong with its table.
    link: Link,
    /// Why it can have no chain.
    pub(super) no_disk: Option<String>,
}

impl<'d> BootDisk<'d> {
    /// Reads the table of a disk.
    ///
    /// # Errors
    /// When the disk cannot be read. What is wrong with it is in [`table_link`](Self::table_link).
    pub(super) fn open(file: &'d DiskFile) -> Result<Self> {
        let read = |source| Error::Read { path: file.path().to_owned(), source };
        let device = file.disk();
        let size = device.size().map_err(read)?;
        let mut first = [0; 512];
        let mut disk = Self {
            file,
            size,
            sector: SectorSize::B512,
            first,
            table: Table::None,
            slots: Vec::new(),
            link: Link::new(Step::PartitionTable),
            no_disk: None,
        };
        if size < 512 {
            disk.no_disk = Some(format!("{size} bytes are too few for a partition table"));
            return Ok(disk);
        }
        device.read_exact_at(&mut first, 0).map_err(read)?;
        disk.first = first;
        if file_system(&first).is_some() {
            disk.no_disk = Some("this is one volume without a partition table".to_owned());
            return Ok(disk);
        }
        let Some(mbr) = disk.lenient() else { return Ok(disk) };
        if mbr.is_protective() {
            disk.read_gpt().map_err(read)?;
        } else {
            disk.read_mbr(&mbr).map_err(read)?;
        }
        Ok(disk)
    }

    /// The master boot record. What a BIOS would not accept is noted and overlooked.
    fn lenient(&mut self) -> Option<Mbr> {
        const REWRITE: &str = "write the partition table again (`diskpart`, `sfdisk`, `testdisk`)";
        let mut sector = self.first;
        if sector[510..] != [0x55, 0xAA] {
            let found = u16::from_le_bytes([sector[510], sector[511]]);
            self.link.broken(
                format!("the first sector ends with {found:#06x}, expected 0xaa55: a BIOS does not start it"),
                WindowsError::NoBootableDevice,
                "write 55 AA at byte 510 of the disk (`bootsect /nt60 ... /mbr`, `bootrec /fixmbr`)",
            );
            sector[510..].copy_from_slice(&[0x55, 0xAA]);
        }
        let mut active = Vec::new();
        for number in 1..=4 {
            let at = 0x1BE + 16 * (number - 1);
            let status = sector[at];
            if status & 0x7F != 0 {
                self.link.broken(
                    format!("entry {number} has status {status:#04x}, expected 0x00 or 0x80"),
                    WindowsError::InvalidPartitionTable,
                    "set the byte to 0x80 for the partition to start from, to 0x00 for the others",
                );
            }
            if status >= 0x80 && sector[at + 4] != 0 {
                active.push(number);
            }
            // The first that is marked is the one that boot code takes.
            sector[at] = if status >= 0x80 && active.len() == 1 { 0x80 } else { 0 };
        }
        if active.len() > 1 {
            let list: Vec<String> = active.iter().map(ToString::to_string).collect();
            self.link.broken(
                format!("partitions {} are active, expected one", list.join(", ")),
                WindowsError::InvalidPartitionTable,
                "leave only the partition with BOOTMGR active (`sfdisk --activate DISK 1`, diskpart's `inactive`)",
            );
        }
        match Mbr::parse(&sector) {
            Ok(mbr) => Some(mbr),
            Err(error) => {
                self.link.broken(error.to_string(), WindowsError::InvalidPartitionTable, REWRITE);
                None
            }
        }
    }

    fn read_mbr(&mut self, mbr: &Mbr) -> std::io::Result<()> {
        let signature = mbr.disk_signature;
        self.table = Table::Mbr(signature);
        let primary =
            (1u32..).zip(mbr.partitions).filter_map(|(number, partition)| Some((number, partition?)));
        let mut found: Vec<_> = primary.filter(|(_, partition)| !partition.kind.is_extended()).collect();
        match mbr.logical(self.file.disk(), SectorSize::B512)? {
            Ok(logical) => found.extend((5..).zip(logical)),
            Err(error) => {
                self.link.warn(format!("logical partitions: {error}"), "Windows does not start from these");
            }
        }
        if signature == 0 && !found.is_empty() {
            self.link.warn(
                "the disk signature is 0: Windows writes another at first sight, and what names the disk by it no longer \
                 finds it",
                "set one (4 bytes at 0x1b8), and name it in the boot store",
            );
        }
        for (number, partition) in found.into_iter().take(MAX_PARTITIONS) {
            if let Some(bytes) = partition.bytes(SectorSize::B512) {
                let identity = Identity::Mbr(partition.kind.0);
                self.add(number, bytes.start, bytes.end - bytes.start, identity, partition.active)?;
            }
        }
        let count = self.slots.len();
        self.link.detail = format!("MBR, disk signature {signature:08x}, {}", counted(count, "partition"));
        Ok(())
    }

    fn read_gpt(&mut self) -> std::io::Result<()> {
        let gpt = match Gpt::read(self.file.disk())? {
            Ok(gpt) => gpt,
            Err(error) => {
                self.link.broken(
                    error.to_string(),
                    WindowsError::NoBootableDevice,
                    "neither the table at the start nor its copy at the end is sound; `gdisk` or `testdisk` may rebuild it",
                );
                return Ok(());
            }
        };
        if let Some(fault) = &gpt.primary_fault {
            self.link.warn(
                format!("only the copy at the end of the disk is sound: {fault}"),
                "write the table at the start again (`sgdisk --verify`, then `gdisk`, recovery menu); some firmware looks \
                 nowhere else",
            );
        }
        (self.table, self.sector) = (Table::Gpt(gpt.disk), gpt.sector);
        let sector = u64::from(gpt.sector.bytes());
        for partition in gpt.partitions.iter().take(MAX_PARTITIONS) {
            let identity = Identity::Gpt { id: partition.id, kind: partition.kind };
            // They were found to lie on the disk.
            let (start, size) = (partition.start.0 * sector, partition.sectors * sector);
            self.add(partition.number, start, size, identity, false)?;
        }
        let count = self.slots.len();
        self.link.detail = format!("GPT, disk id {}, {}", gpt.disk, counted(count, "partition"));
        Ok(())
    }

    fn add(
        &mut self,
        number: u32,
        start: u64,
        size: u64,
        identity: Identity,
        active: bool,
    ) -> std::io::Result<()> {
        let mut sector = [0; 512];
        if start.checked_add(size).is_none_or(|end| end > self.size) {
            self.link.warn(
                format!(
                    "partition {number} ends at {:#x}, the disk at {:#x}",
                    start.saturating_add(size),
                    self.size
                ),
                "the disk was cut off, or the table is another disk's",
            );
        } else if size >= 512 {
            self.file.disk().read_exact_at(&mut sector, start)?;
        }
        let file_system = file_system(&sector);
        let volume = OnceCell::new();
        self.slots.push(Slot { number, start, size, identity, active, file_system, volume });
        Ok(())
    }

    /// What is wrong with its table, for a start by `firmware`: the signature and who is active matter to a BIOS only.
    pub(super) fn table_link(&self, firmware: Firmware) -> Link {
        let mut link = self.link.clone();
        if firmware == Firmware::Uefi && matches!(self.table, Table::Mbr(_)) {
            for finding in &mut link.findings {
                finding.state = super::State::Warning;
                finding.code = None;
            }
            link.state = link.state.min(super::State::Warning);
        }
        link
    }

    /// Whether anything is wrong with the table.
    pub(super) fn has_table_fault(&self) -> bool {
        self.link.is_broken()
    }

    /// The bytes of a partition.
    pub(super) fn range(&self, slot: &Slot) -> Result<Arc<dyn ReadAt>, String> {
        match SubRange::new(self.file.disk().clone(), slot.start, slot.size) {
            Ok(Some(range)) => Ok(Arc::new(range)),
            Ok(None) => Err(format!("partition {} ends past the disk's end", slot.number)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The volume in a partition.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(super) fn volume<'s>(&self, slot: &'s Slot) -> Result<&'s Volume, &'s str> {
        let volume = slot.volume.get_or_init(|| Volume::open(self.range(slot)?, slot.file_system()));
        volume.as_ref().map_err(String::as_str)
    }
}

/// `1 partition`, `2 partitions`.
pub(super) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A size, as large as it goes without a fraction.
pub(super) fn sized(bytes: u64) -> String {
    match bytes {
        0 => "0 B".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => format!("{bytes} B"),
    }
}
