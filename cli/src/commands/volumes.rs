//! The part of `info` that speaks of partitions and volumes.

use std::io::{self, Write};

use image::{DiskFile, Partitions, PartitionsInfo, VolumeReport};
use picture::{human, printable};

/// The partitions of a disk and their volumes; `None` when it has none that can be told.
pub(crate) fn describe(disk: &DiskFile) -> Option<PartitionsInfo> {
    Partitions::of(disk).ok().map(|partitions| partitions.describe(disk))
}

/// Partitions that the master boot record does not list itself, and the volumes in all of them.
pub(crate) fn text(info: &PartitionsInfo, out: &mut dyn Write) -> io::Result<()> {
    match info.table {
        "gpt" => {
            let id = info.disk_id.as_deref().unwrap_or_default();
            writeln!(out, "partition table: GPT, disk id {id}")?;
        }
        "none" => writeln!(out, "the disk is one volume, without a partition table")?,
        _ => {}
    }
    for partition in &info.partitions {
        if info.table == "gpt" || partition.number > 4 {
            let system = partition.file_system.as_ref().map_or("no known file system", |found| found.name);
            writeln!(
                out,
                "  {}  at {:>9}  size {:>10}  {}  {system}",
                partition.number,
                human(partition.start),
                human(partition.size),
                printable(partition.name.as_deref().unwrap_or(&partition.kind)),
            )?;
        }
    }
    info.partitions.iter().try_for_each(|partition| volume(partition, out))
}

fn volume(partition: &VolumeReport, out: &mut dyn Write) -> io::Result<()> {
    if let Some(problem) = &partition.problem {
        writeln!(out, "volume {}: {}", partition.number, printable(problem))?;
    }
    let Some(volume) = &partition.volume else { return Ok(()) };
    let used = volume.used_clusters * u64::from(volume.cluster_size);
    writeln!(
        out,
        "volume {}: {}{} {:?}, serial {:0width$x}, {} of {} used ({} of {} clusters), {}",
        partition.number,
        volume.file_system,
        volume.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default(),
        volume.label,
        volume.serial,
        human(used),
        human(volume.size),
        volume.used_clusters,
        volume.clusters,
        if volume.dirty { "DIRTY: not closed properly, or waiting for chkdsk" } else { "clean" },
        width = if volume.file_system == "NTFS" { 16 } else { 8 },
    )
}
