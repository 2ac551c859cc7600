//! A volume of an existing disk as a tree: partitions, the NTFS volume in one of them, and its files as blobs.
//!
//! It is to a disk what [`source`](crate::source) is to a WIM, and the one place that knows both an NTFS volume and the
//! tree. Everything that works on a tree and a [`BlobStore`](crate::pipeline::BlobStore) works on a disk: listing,
//! extracting, and building another disk from it.
//!
//! A blob is a stream of a file. Its number is its place in the order in which the streams lie on the volume, so whoever
//! reads blobs in order reads the disk front to back. A volume states no hashes, so there is nothing to hold its blobs
//! against.

mod blobs;
mod partitions;
mod place;
mod report;
mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::SubRange;
use ntfs_writer::read;
use serde::Serialize;

pub use self::blobs::DiskBlobs;
pub use self::partitions::{DiskPartition, PartitionKind, Partitions, TableKind};
pub use self::place::DiskPlace;
pub use self::report::{PartitionsInfo, VolumeReport};
pub use self::scan::Scope;
use crate::recipe::ImageChoice;
use crate::tree::Tree;
use crate::{DiskFile, Error, Result};

/// How to read a volume.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeOptions {
    /// Show files that Windows compressed (WOF) as they lie on the volume, with their reparse points.
    pub raw: bool,
}

/// An NTFS volume of a disk.
#[derive(Debug)]
pub struct DiskVolume {
    path: PathBuf,
    partition: DiskPartition,
    volume: read::Volume,
}

/// A volume as `info` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct VolumeInfo {
    /// Its label.
    pub label: String,
    /// Volume serial number.
    pub serial: u64,
    /// NTFS version: 3.1 since Windows XP.
    pub version: String,
    /// Whether it was not closed properly, or awaits `chkdsk`.
    pub dirty: bool,
    /// Bytes in a cluster.
    pub cluster_size: u32,
    /// Bytes in a file record.
    pub record_size: u32,
    /// Bytes of all clusters.
    pub size: u64,
    /// Clusters in use.
    pub used_clusters: u64,
    /// All clusters.
    pub clusters: u64,
}

/// The flag of a volume that was not closed properly.
const DIRTY: u16 = 1;

impl DiskVolume {
    /// Opens the volume in a partition.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another file system than NTFS.
    pub fn open(disk: &DiskFile, partition: &DiskPartition, options: VolumeOptions) -> Result<Self> {
        let path = disk.path().to_owned();
        match &partition.file_system {
            Some(found) if found.name == "NTFS" => {}
            found => {
                let what = match found.as_ref().map(|found| found.name) {
                    Some("BitLocker") => {
                        "is encrypted by BitLocker, which this version cannot open; decrypt it with `manage-bde -off` first"
                    }
                    Some("FAT32") => "is FAT32, which this version does not read; only NTFS is read",
                    Some("FAT") => "is FAT, which this version does not read; only NTFS is read",
                    Some("exFAT") => "is exFAT, which this version does not read; only NTFS is read",
                    _ => "holds no file system that this version knows; only NTFS is read",
                };
                return Err(Error::Unsupported {
                    path,
                    what: format!("partition {} {what}", partition.number),
                });
            }
        }
        let read_error = |source| Error::Read { path: path.clone(), source };
        let range =
            SubRange::new(disk.disk().clone(), partition.start, partition.size).map_err(read_error)?;
        let range = range.ok_or_else(|| {
            read_error(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("partition {} ends past the disk's end", partition.number),
            ))
        })?;
        let options = read::Options { raw: options.raw };
        let volume = read::Volume::open(Arc::new(range), options).map_err(|source| Error::Disk {
            path: path.clone(),
            partition: partition.number,
            source,
        })?;
        Ok(Self { path, partition: partition.clone(), volume })
    }

    /// The volume that was chosen by the number of its partition or by its label, or the only NTFS volume there is.
    ///
    /// # Errors
    /// [`Error::ImageChoice`] when there is none such, or more than one.
    pub fn choose(
        disk: &DiskFile,
        partitions: &Partitions,
        choice: Option<&ImageChoice>,
        options: VolumeOptions,
    ) -> Result<Self> {
        let refuse = |problem: String| {
            Err(Error::PartitionChoice { path: disk.path().to_owned(), problem, list: partitions.list(disk) })
        };
        let all = &partitions.partitions;
        match choice {
            Some(ImageChoice::Index(number)) => match all.iter().find(|found| found.number == *number) {
                Some(partition) => Self::open(disk, partition, options),
                None => refuse(format!("has no partition {number}")),
            },
            Some(ImageChoice::Name(name)) => {
                let labelled = |exact: bool| {
                    let fits = |volume: &Self| {
                        let label = volume.label();
                        if exact { label == *name } else { label.eq_ignore_ascii_case(name) }
                    };
                    let volumes = all.iter().filter(|found| found.is_ntfs());
                    volumes.filter_map(|found| Self::open(disk, found, options).ok()).filter(fits).collect()
                };
                let exact: Vec<Self> = labelled(true);
                let mut found = if exact.is_empty() { labelled(false) } else { exact };
                match (found.pop(), found.len()) {
                    (Some(volume), 0) => Ok(volume),
                    (None, _) => refuse(format!("has no NTFS volume labelled {name:?}")),
                    (Some(_), more) => refuse(format!("has {} NTFS volumes labelled {name:?}", more + 1)),
                }
            }
            None => {
                let each: Vec<&DiskPartition> = all.iter().collect();
                let ntfs: Vec<&DiskPartition> = all.iter().filter(|found| found.is_ntfs()).collect();
                match (&ntfs[..], &each[..]) {
                    ([partition], _) | ([], [partition]) => Self::open(disk, partition, options),
                    ([], []) => {
                        let what = "holds no partition and no volume".to_owned();
                        Err(Error::NotFound { path: disk.path().to_owned(), what })
                    }
                    ([], _) => refuse("holds no NTFS volume".to_owned()),
                    (several, _) => refuse(format!("holds {} NTFS volumes", several.len())),
                }
            }
        }
    }

    /// The disk's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partition.
    pub fn partition(&self) -> &DiskPartition {
        &self.partition
    }

    /// The label, empty when there is none, or none that can be read.
    pub fn label(&self) -> String {
        self.volume.label().map_or_else(|_| String::new(), |label| String::from_utf16_lossy(&label))
    }

    /// What the volume says of itself.
    pub fn info(&self) -> Result<VolumeInfo> {
        let label = self.volume.label().map_err(|source| self.error(source))?;
        let information = self.volume.information().map_err(|source| self.error(source))?;
        let usage = self.volume.usage().map_err(|source| self.error(source))?;
        let boot = self.volume.boot();
        Ok(VolumeInfo {
            label: String::from_utf16_lossy(&label),
            serial: boot.serial,
            version: format!("{}.{}", information.major, information.minor),
            dirty: information.flags & DIRTY != 0,
            cluster_size: boot.cluster_size,
            record_size: boot.record_size,
            size: boot.clusters * u64::from(boot.cluster_size),
            used_clusters: usage.used,
            clusters: usage.clusters,
        })
    }

    /// What the scope asks for of the volume as a tree, and the streams of its files. What is damaged is left out and noted in the
    /// tree.
    pub fn tree(&self, scope: &Scope) -> Result<(Tree, DiskBlobs<'_>)> {
        scan::scan(self, scope)
    }

    fn error(&self, source: read::Error) -> Error {
        Error::Disk { path: self.path.clone(), partition: self.partition.number, source }
    }
}
