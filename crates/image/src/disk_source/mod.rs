//! A volume of an existing disk as a tree: partitions, the NTFS or FAT volume in one of them, and its files as blobs.
//!
//! It is to a disk what [`source`](crate::source) is to a WIM, and the one place that knows both volumes and the tree. Everything that works on a tree and a [`BlobStore`](crate::pipeline::BlobStore) works on a disk: listing,
//! extracting, and building another disk from it.
//!
//! A blob is a stream of a file. Its number is its place in the order in which the streams lie on the volume, so whoever
//! reads blobs in order reads the disk front to back. A volume states no hashes, so there is nothing to hold its blobs
//! against.

mod blobs;
mod fat;
mod partitions;
mod place;
mod report;
mod scan;
mod trail;
mod upwards;

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
pub(crate) use self::upwards::path_of;
use crate::recipe::ImageChoice;
use crate::tree::Tree;
use crate::watched::Trouble;
use crate::{DiskFile, Error, Result};

/// How to read a volume.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeOptions {
    /// Show files that Windows compressed (WOF) as they lie on the volume, with their reparse points.
    pub raw: bool,
}

/// A volume of a disk.
#[derive(Debug)]
pub struct DiskVolume {
    path: PathBuf,
    partition: DiskPartition,
    files: Files,
    trouble: Trouble,
}

/// A volume of a kind that is read.
#[derive(Debug)]
enum Files {
    Ntfs(Box<read::Volume>),
    Fat(::fat::Volume),
}

/// A volume as `info` shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// Its label.
    pub label: String,
    /// `NTFS`, `FAT12`, `FAT16` or `FAT32`.
    pub file_system: String,
    /// Volume serial number; 32 bits on FAT.
    pub serial: u64,
    /// NTFS version: 3.1 since Windows XP.
    pub version: Option<String>,
    /// Whether it was not closed properly, or awaits `chkdsk`.
    pub dirty: bool,
    /// Bytes in a cluster.
    pub cluster_size: u32,
    /// Bytes in a file record of NTFS.
    pub record_size: Option<u32>,
    /// Bytes of all clusters.
    pub size: u64,
    /// Clusters in use.
    pub used_clusters: u64,
    /// All clusters.
    pub clusters: u64,
}

/// The file systems that are read, as [`DiskPartition`] calls them.
const READ: [&str; 3] = ["NTFS", "FAT", "FAT32"];

/// The flag of a volume that was not closed properly.
const DIRTY: u16 = 1;

impl DiskVolume {
    /// Opens the volume in a partition.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another file system than NTFS and FAT.
    pub fn open(disk: &DiskFile, partition: &DiskPartition, options: VolumeOptions) -> Result<Self> {
        let path = disk.path().to_owned();
        match &partition.file_system {
            Some(found) if READ.contains(&found.name) => {}
            found => {
                let what = match found.as_ref().map(|found| found.name) {
                    Some("BitLocker") => {
                        "is encrypted by BitLocker, which this version cannot open; decrypt it with `manage-bde -off` first"
                    }
                    Some("exFAT") => "is exFAT, which this version does not read; NTFS and FAT are read",
                    _ => "holds no file system that this version knows; NTFS and FAT are read",
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
        let (range, number) = (Arc::new(range), partition.number);
        let files = if partition.is_ntfs() {
            let volume = read::Volume::open(range, read::Options { raw: options.raw });
            volume.map(|volume| Files::Ntfs(Box::new(volume))).map_err(|source| Error::Disk {
                path: path.clone(),
                partition: number,
                source,
            })?
        } else {
            ::fat::Volume::open(range).map(Files::Fat).map_err(|source| Error::DiskFat {
                path: path.clone(),
                partition: number,
                source,
            })?
        };
        Ok(Self { path, partition: partition.clone(), files, trouble: disk.trouble() })
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
                    let volumes = all.iter().filter(|found| found.is_read());
                    volumes.filter_map(|found| Self::open(disk, found, options).ok()).filter(fits).collect()
                };
                let exact: Vec<Self> = labelled(true);
                let mut found = if exact.is_empty() { labelled(false) } else { exact };
                match (found.pop(), found.len()) {
                    (Some(volume), 0) => Ok(volume),
                    (None, _) => {
                        let volumes = all.iter().filter(|found| found.is_read());
                        let volumes = volumes.filter_map(|found| Self::open(disk, found, options).ok());
                        let labels: Vec<String> = volumes.map(|volume| volume.label()).collect();
                        let meant = crate::did_you_mean(name, labels.iter().map(String::as_str));
                        refuse(format!("has no volume labelled {name:?}{meant}"))
                    }
                    (Some(_), more) => refuse(format!("has {} volumes labelled {name:?}", more + 1)),
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

    /// The first error of the host's when the disk was read: what was said of the volume since may follow from that, and not from what is
    /// stored. An error that was made good, by a copy of a structure, is among them.
    pub fn read_error(&self) -> Option<Error> {
        self.trouble.error(&self.path)
    }

    /// The partition.
    pub fn partition(&self) -> &DiskPartition {
        &self.partition
    }

    /// The label, empty when there is none, or none that can be read.
    pub fn label(&self) -> String {
        match &self.files {
            Files::Ntfs(volume) => {
                volume.label().map_or_else(|_| String::new(), |label| String::from_utf16_lossy(&label))
            }
            Files::Fat(volume) => volume.label().unwrap_or_default(),
        }
    }

    /// What the volume says of itself.
    pub fn info(&self) -> Result<VolumeInfo> {
        let volume = match &self.files {
            Files::Ntfs(volume) => volume,
            Files::Fat(volume) => return self.fat_info(volume).map_err(|source| self.fat_error(source)),
        };
        let label = volume.label().map_err(|source| self.error(source))?;
        let information = volume.information().map_err(|source| self.error(source))?;
        let usage = volume.usage().map_err(|source| self.error(source))?;
        let boot = volume.boot();
        Ok(VolumeInfo {
            file_system: "NTFS".to_owned(),
            label: String::from_utf16_lossy(&label),
            serial: boot.serial,
            version: Some(format!("{}.{}", information.major, information.minor)),
            dirty: information.flags & DIRTY != 0,
            cluster_size: boot.cluster_size,
            record_size: Some(boot.record_size),
            size: boot.clusters * u64::from(boot.cluster_size),
            used_clusters: usage.used,
            clusters: usage.clusters,
        })
    }

    /// What the scope asks for of the volume as a tree, and the streams of its files. What is damaged is left out and noted in the
    /// tree.
    pub fn tree(&self, scope: &Scope) -> Result<(Tree, DiskBlobs<'_>)> {
        match &self.files {
            Files::Ntfs(volume) => scan::scan(self, volume, scope).map(|(tree, blobs)| (tree, blobs.into())),
            Files::Fat(volume) => fat::scan(self, volume, scope).map(|(tree, blobs)| (tree, blobs.into())),
        }
    }

    fn fat_info(&self, volume: &::fat::Volume) -> ::fat::Result<VolumeInfo> {
        let clusters = u64::from(volume.clusters());
        Ok(VolumeInfo {
            label: volume.label()?,
            file_system: volume.kind().to_string(),
            serial: volume.serial().into(),
            version: None,
            dirty: volume.is_dirty(),
            cluster_size: volume.cluster_size(),
            record_size: None,
            size: clusters * u64::from(volume.cluster_size()),
            used_clusters: clusters - u64::from(volume.free_clusters()?),
            clusters,
        })
    }

    fn fat_error(&self, source: ::fat::Error) -> Error {
        Error::DiskFat { path: self.path.clone(), partition: self.partition.number, source }
    }

    fn error(&self, source: read::Error) -> Error {
        Error::Disk { path: self.path.clone(), partition: self.partition.number, source }
    }
}
