//! The volumes of a disk, each held against the rules of its file system.

use std::sync::Arc;

use disk::{BlockMap, SubRange};
use ntfs_writer::check::{self, Report};

use crate::disk_source::{DiskPartition, Partitions};
use crate::{DiskFile, Error, Result};

/// What was found in one partition.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VolumeCheck {
    /// The partition.
    pub partition: DiskPartition,
    /// The findings; `None` when it holds no NTFS volume.
    pub report: Option<Report>,
    /// The findings; `None` when it holds no FAT volume.
    pub fat: Option<fat::check::Report>,
}

impl VolumeCheck {
    /// Whether it holds a volume of a kind that is checked.
    pub fn is_checked(&self) -> bool {
        self.report.is_some() || self.fat.is_some()
    }

    /// Whether no error was found.
    pub fn is_clean(&self) -> bool {
        self.report.as_ref().is_none_or(Report::is_clean)
            && self.fat.as_ref().is_none_or(fat::check::Report::is_clean)
    }
}

/// Checks every NTFS and FAT volume of a disk, or that of one partition. `strict` makes errors of what Windows leaves behind
/// and a volume that was just built does not have: unused space that is not zero, a log that is not empty, sizes in a
/// directory that are out of date.
///
/// # Errors
/// When the disk or its partition table cannot be read, or there is no partition of that number. Faults of volumes are
/// in the reports.
pub fn check_disk(disk: &DiskFile, number: Option<u32>, strict: bool) -> Result<Vec<VolumeCheck>> {
    let table = Partitions::of(disk)?;
    let wanted = |partition: &DiskPartition| number.is_none_or(|number| partition.number == number);
    let mut checks = Vec::new();
    for partition in table.partitions.iter().filter(|partition| wanted(partition)).cloned() {
        let ntfs = partition.is_ntfs();
        let report = if ntfs { Some(check_volume(disk, &partition, strict)?) } else { None };
        let fat = if !ntfs && partition.is_read() { Some(check_fat(disk, &partition)?) } else { None };
        checks.push(VolumeCheck { partition, report, fat });
    }
    if checks.is_empty() {
        let path = disk.path().to_owned();
        return Err(match number {
            Some(number) if !table.partitions.is_empty() => {
                let problem = format!("has no partition {number}");
                Error::PartitionChoice { path, problem, list: table.list(disk) }
            }
            _ => Error::NotFound { path, what: "holds no partition and no volume".to_owned() },
        });
    }
    Ok(checks)
}

fn check_volume(disk: &DiskFile, partition: &DiskPartition, strict: bool) -> Result<Report> {
    let range = range(disk, partition)?;
    let options = if strict { check::Options::ours() } else { check::Options::default() };
    check::check(&range, &options).map_err(|source| Error::Volume { volume: "NTFS", source })
}

fn check_fat(disk: &DiskFile, partition: &DiskPartition) -> Result<fat::check::Report> {
    let range = Arc::new(range(disk, partition)?);
    fat::check::check(range).map_err(|source| Error::DiskFat {
        path: disk.path().to_owned(),
        partition: partition.number,
        source,
    })
}

/// The bytes of a partition.
fn range(disk: &DiskFile, partition: &DiskPartition) -> Result<SubRange<Arc<dyn BlockMap>>> {
    let read = |source| Error::Read { path: disk.path().to_owned(), source };
    let range = SubRange::new(disk.disk().clone(), partition.start, partition.size).map_err(read)?;
    let Some(range) = range else {
        let what = format!("partition {} ends past the disk's end", partition.number);
        return Err(read(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what)));
    };
    Ok(range)
}
