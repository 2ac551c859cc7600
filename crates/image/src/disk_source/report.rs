//! What lies in the partitions of a disk, for `info`.

use serde::Serialize;

use super::{DiskPartition, DiskVolume, PartitionKind, Partitions, TableKind, VolumeInfo, VolumeOptions};
use crate::DiskFile;
use crate::disk_file::FileSystemInfo;

/// The partitions of a disk and their volumes.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PartitionsInfo {
    /// What describes them: `mbr`, `gpt`, or `none` for a disk that is one volume.
    pub table: &'static str,
    /// The disk signature, or the id of the disk.
    pub disk_id: Option<String>,
    /// Each of them.
    pub partitions: Vec<VolumeReport>,
}

/// A partition and its volume.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VolumeReport {
    /// From 1.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What it is for.
    pub kind: String,
    /// Its name in a GUID partition table.
    pub name: Option<String>,
    /// Whether a BIOS starts from it.
    pub active: bool,
    /// The file system, as far as its first sector tells.
    pub file_system: Option<FileSystemInfo>,
    /// What a volume says of itself.
    pub volume: Option<VolumeInfo>,
    /// Why it cannot.
    pub problem: Option<String>,
}

impl VolumeReport {
    fn new(disk: &DiskFile, partition: &DiskPartition) -> Self {
        let volume = partition.is_read().then(|| {
            DiskVolume::open(disk, partition, VolumeOptions::default()).and_then(|volume| volume.info())
        });
        let (volume, problem) = match volume {
            None => (None, None),
            Some(Ok(volume)) => (Some(volume), None),
            // The outermost names the disk, which whoever asks knows.
            Some(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                (None, Some(cause.unwrap_or_else(|| error.to_string())))
            }
        };
        Self {
            number: partition.number,
            start: partition.start,
            size: partition.size,
            kind: match &partition.kind {
                PartitionKind::Mbr(kind) => format!("{kind:#04x}"),
                PartitionKind::Gpt(kind, _) => kind.to_string(),
                PartitionKind::Whole => "whole disk".to_owned(),
            },
            name: partition.name.clone(),
            active: partition.active,
            file_system: partition.file_system.clone(),
            volume,
            problem,
        }
    }
}

impl Partitions {
    /// Opens every volume that can be read and asks it.
    pub fn describe(&self, disk: &DiskFile) -> PartitionsInfo {
        let (table, disk_id) = match self.table {
            TableKind::Mbr(signature) => ("mbr", Some(format!("{signature:08x}"))),
            TableKind::Gpt(id) => ("gpt", Some(id.to_string())),
            TableKind::None => ("none", None),
        };
        let partitions = self.partitions.iter().map(|partition| VolumeReport::new(disk, partition)).collect();
        PartitionsInfo { table, disk_id, partitions }
    }
}
