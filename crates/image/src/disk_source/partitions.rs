//! Which partitions a disk has, whatever table says so.

use std::fmt;
use std::io;

use bootsector::{Gpt, Mbr};
use disk::{Guid, ReadAt, SectorSize};

use super::place::numbered;
use super::{DiskVolume, VolumeOptions};
use crate::disk_file::{FileSystemInfo, file_system};
use crate::{DiskFile, Error, Result};

/// What describes the partitions of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// A master boot record, with its disk signature.
    Mbr(u32),
    /// A GUID partition table, with its disk id.
    Gpt(Guid),
    /// Nothing: the whole disk is one volume, which counts as partition 1.
    None,
}

/// What a partition is for, as its table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionKind {
    /// A type byte.
    Mbr(u8),
    /// A type, and what it means where that is known.
    Gpt(Guid, Option<&'static str>),
    /// The whole disk.
    Whole,
}

impl fmt::Display for PartitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mbr(kind) => write!(f, "type {kind:#04x}"),
            Self::Gpt(_, Some(name)) => f.write_str(name),
            Self::Gpt(kind, None) => write!(f, "type {kind}"),
            Self::Whole => f.write_str("whole disk"),
        }
    }
}

/// A partition of a disk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiskPartition {
    /// From 1, as in the table; logical partitions of a master boot record from 5.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: PartitionKind,
    /// Whether a BIOS starts from it.
    pub active: bool,
    /// Its name in a GUID partition table.
    pub name: Option<String>,
    /// The file system, as far as its first sector tells.
    pub file_system: Option<FileSystemInfo>,
}

impl DiskPartition {
    /// Whether it says that it holds an NTFS volume.
    pub fn is_ntfs(&self) -> bool {
        self.file_system.as_ref().is_some_and(|found| found.name == "NTFS")
    }

    /// Whether it says that it holds a volume whose files can be read: NTFS or FAT.
    pub fn is_read(&self) -> bool {
        self.file_system.as_ref().is_some_and(|found| super::READ.contains(&found.name))
    }
}

/// The partitions of a disk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Partitions {
    /// What describes them.
    pub table: TableKind,
    /// In the order of their numbers. An extended partition is not among them.
    pub partitions: Vec<DiskPartition>,
}

impl Partitions {
    /// Reads the partition table of a disk. A disk that begins with a file system has none and is one volume.
    ///
    /// # Errors
    /// [`Error::PartitionTable`] when the table is damaged, or there is neither.
    pub fn of(disk: &DiskFile) -> Result<Self> {
        let read = |source| Error::Read { path: disk.path().to_owned(), source };
        let device = disk.disk();
        let size = device.size().map_err(read)?;
        let mut sector = [0; 512];
        if size < 512 {
            let what = format!("has {size} bytes, too few for a partition table or a volume");
            return Err(Error::Unsupported { path: disk.path().to_owned(), what });
        }
        device.read_exact_at(&mut sector, 0).map_err(read)?;
        if let Some(file_system) = file_system(&sector) {
            let whole = DiskPartition {
                number: 1,
                start: 0,
                size,
                kind: PartitionKind::Whole,
                active: false,
                name: None,
                file_system: Some(file_system),
            };
            return Ok(Self { table: TableKind::None, partitions: vec![whole] });
        }
        let wrap = |source| Error::DiskTable { path: disk.path().to_owned(), source };
        let mbr = Mbr::parse(&sector).map_err(wrap)?;
        if mbr.is_protective() {
            let gpt = Gpt::read(device).map_err(read)?.map_err(wrap)?;
            return Self::of_gpt(device, &gpt).map_err(read);
        }
        mbr.check_fits(size / 512).map_err(wrap)?;
        let logical = mbr.logical(device, SectorSize::B512).map_err(read)?.map_err(wrap)?;
        let primary = mbr.partitions.iter().enumerate().filter_map(|(slot, partition)| {
            let partition = (*partition)?;
            (!partition.kind.is_extended()).then_some((slot as u32 + 1, partition))
        });
        let mut partitions = Vec::new();
        for (number, partition) in primary.chain((5..).zip(logical)) {
            // Below 2^32 sectors each.
            let Some(bytes) = partition.bytes(SectorSize::B512) else { continue };
            partitions.push(DiskPartition {
                number,
                start: bytes.start,
                size: bytes.end - bytes.start,
                kind: PartitionKind::Mbr(partition.kind.0),
                active: partition.active,
                name: None,
                file_system: file_system_at(device, bytes.start, bytes.end).map_err(read)?,
            });
        }
        Ok(Self { table: TableKind::Mbr(mbr.disk_signature), partitions })
    }

    fn of_gpt(device: &dyn ReadAt, gpt: &Gpt) -> io::Result<Self> {
        let sector = u64::from(gpt.sector.bytes());
        let mut partitions = Vec::new();
        for partition in &gpt.partitions {
            // They were found to lie on the disk.
            let (start, size) = (partition.start.0 * sector, partition.sectors * sector);
            partitions.push(DiskPartition {
                number: partition.number,
                start,
                size,
                kind: PartitionKind::Gpt(partition.kind, partition.kind_name()),
                active: false,
                name: Some(partition.name.clone()).filter(|name| !name.is_empty()),
                file_system: file_system_at(device, start, start + size)?,
            });
        }
        Ok(Self { table: TableKind::Gpt(gpt.disk), partitions })
    }

    /// Takes the number of a partition off the beginning of a path, where there is more than one to choose from.
    pub fn split<'p>(&self, path: &'p str) -> (Option<u32>, &'p str) {
        match numbered(path) {
            Some((number, rest)) if self.partitions.len() > 1 => (Some(number), rest),
            _ => (None, path),
        }
    }

    /// All of them with what they hold, one a line, each line preceded by a line feed.
    pub(crate) fn list(&self, disk: &DiskFile) -> String {
        let line = |partition: &DiskPartition| {
            let system = partition.file_system.as_ref().map_or("no known file system", |found| found.name);
            let volume = DiskVolume::open(disk, partition, VolumeOptions::default());
            let label = volume.map(|volume| volume.label()).unwrap_or_default();
            let label = if label.is_empty() { String::new() } else { format!(" {label:?}") };
            format!("\n  {}  {system}{label}", partition.number)
        };
        self.partitions.iter().map(line).collect()
    }
}

fn file_system_at(device: &dyn ReadAt, start: u64, end: u64) -> io::Result<Option<FileSystemInfo>> {
    if end - start < 512 {
        return Ok(None);
    }
    let mut sector = [0; 512];
    device.read_exact_at(&mut sector, start)?;
    Ok(file_system(&sector))
}
