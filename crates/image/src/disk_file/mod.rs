//! Opening existing disks of any container, and saying what lies on them.

mod chain;
mod held;
mod kind;
mod ranges;
mod stamp;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsector::Mbr;
use disk::{BlockMap, MappedRange, RangeKind, SectorSize};
use serde::{Serialize, Serializer};

pub use self::chain::Parents;
pub use self::held::ContainerCheck;
use self::held::{Held, Opened};
pub use self::kind::FileKind;
pub(crate) use self::ranges::Ranges;
pub use self::stamp::Stamp;
use crate::watched::{Trouble, Watched};
use crate::{Error, Result};

/// A disk, whatever file or files hold it.
pub struct DiskFile {
    path: PathBuf,
    disk: Arc<dyn BlockMap>,
    held: Held,
    chain: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    trouble: Trouble,
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let container = self.held.container();
        f.debug_struct("DiskFile").field("path", &self.path).field("container", &container).finish()
    }
}

/// What holds a disk.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Container {
    /// The format, as `--format` calls it where it can be written.
    pub format: String,
    /// What the format says of itself beyond the disk's size, as name and value.
    #[serde(serialize_with = "as_map")]
    pub details: Vec<(&'static str, String)>,
    /// What other programs will stumble over.
    pub warnings: Vec<String>,
}

impl Container {
    fn new(format: &str, details: Vec<(&'static str, String)>, warnings: Vec<String>) -> Self {
        Self { format: format.to_owned(), details, warnings }
    }
}

/// A disk as `info` shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DiskInfo {
    /// What holds it.
    pub container: Container,
    /// The files of its parents, the nearest first.
    pub chain: Vec<String>,
    /// Bytes that the file takes on the host, without its holes, where that can be told.
    pub file_size: Option<u64>,
    /// Size of the disk in bytes.
    pub disk_size: u64,
    /// Bytes that the container stores; the rest is known to be zero.
    pub stored: u64,
    /// The partition table, when there is one that can be read.
    pub partition_table: Option<TableInfo>,
    /// Why there is none.
    pub partition_problem: Option<String>,
}

/// A partition table as `info` shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TableInfo {
    /// The disk signature.
    pub disk_signature: u32,
    /// Whether the sector holds code to start from.
    pub boot_code: bool,
    /// Whether it only protects a GPT.
    pub protective: bool,
    /// The partitions.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition as `info` shows it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// From 1, as in the table.
    pub number: usize,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Type byte.
    pub kind: u8,
    /// Whether it is marked active.
    pub active: bool,
    /// The file system, as far as its first sector tells.
    pub file_system: Option<FileSystemInfo>,
}

/// A file system as its first sector describes it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FileSystemInfo {
    /// Its name.
    pub name: &'static str,
    /// Bytes in a cluster.
    pub cluster_size: Option<u32>,
    /// Volume serial number.
    pub serial: Option<u64>,
    /// Whether its first sector holds code to start from.
    pub boot_code: bool,
}

impl DiskFile {
    /// Opens a disk; anything without a signature is taken for a raw disk. A differencing disk is refused.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Unsupported`], [`Error::Container`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &Parents::none())
    }

    /// Opens a disk, a differencing one with its parents.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`Error::Unsupported`] when a parent is not where parents may be, or is another than the
    /// disk was made on.
    pub fn open_with(path: &Path, parents: &Parents) -> Result<Self> {
        // Before anything of it is read.
        let mut stamps = vec![Stamp::of(path)?];
        let Opened { held, chain, beside } = Opened::open(path, parents)?;
        stamps.extend(chain.iter().chain(&beside).map(|path| Stamp::of(path)).collect::<Result<Vec<_>>>()?);
        let trouble = Trouble::default();
        let disk = Arc::new(Watched::new(held.disk(), &trouble));
        Ok(Self { path: path.to_owned(), disk, held, chain, stamps, trouble })
    }

    /// A disk that is no file yet.
    pub(crate) fn planned(path: PathBuf, disk: Arc<dyn BlockMap>) -> Self {
        Self {
            path,
            disk: Arc::clone(&disk),
            held: Held::Planned(disk),
            chain: Vec::new(),
            stamps: Vec::new(),
            trouble: Trouble::default(),
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The disk's bytes.
    pub fn disk(&self) -> &Arc<dyn BlockMap> {
        &self.disk
    }

    /// Size of the disk in bytes.
    pub fn size(&self) -> Result<u64> {
        self.disk.size().map_err(|source| Error::Read { path: self.path.clone(), source })
    }

    /// The size of its sectors, as far as the container says; 512 otherwise.
    pub fn sector_size(&self) -> SectorSize {
        self.held.sector_size()
    }

    /// The files of its parents, the nearest first.
    pub fn chain(&self) -> &[PathBuf] {
        &self.chain
    }

    /// Its files as they were when it was opened.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// The first error of the host's when it was read: what was said of it since may follow from that, and not from what is
    /// stored. An error that was made good, by a copy of a structure, is among them.
    pub fn read_error(&self) -> Option<Error> {
        self.trouble.error(&self.path)
    }

    /// For who reads a part of it.
    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Checks the structure of the container: tables, what they name, and what shares bytes. `None` for a raw disk. What is
    /// on the disk is [`check_disk`](crate::check_disk)'s.
    ///
    /// # Errors
    /// The first fault, as [`Error::Container`].
    pub fn check(&self) -> Result<Option<ContainerCheck>> {
        self.held.check(&self.path)
    }

    /// What is stored and what is known to be zero, from the first byte to the last; neighbours are of different kinds.
    pub fn ranges(&self) -> impl Iterator<Item = Result<MappedRange>> + '_ {
        Ranges::of(self.disk.as_ref())
            .map(|range| range.map_err(|source| Error::Read { path: self.path.clone(), source }))
    }

    /// What lies on it.
    pub fn info(&self) -> Result<DiskInfo> {
        let read = |source| Error::Read { path: self.path.clone(), source };
        let disk_size = self.size()?;
        let mut stored = 0;
        for range in self.ranges() {
            let range = range?;
            stored += if range.kind == RangeKind::Data { range.len } else { 0 };
        }
        let (partition_table, partition_problem) = match self.table(disk_size).map_err(read)? {
            Ok(table) => (Some(table), None),
            Err(problem) => (None, Some(problem)),
        };
        Ok(DiskInfo {
            container: self.held.container(),
            chain: self.chain.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
            file_size: allocated(&self.path),
            disk_size,
            stored,
            partition_table,
            partition_problem,
        })
    }

    fn table(&self, disk_size: u64) -> io::Result<Result<TableInfo, String>> {
        if disk_size < 512 {
            return Ok(Err(format!("the disk has {disk_size} bytes, a partition table needs 512")));
        }
        let mut sector = [0; 512];
        self.disk.read_exact_at(&mut sector, 0)?;
        let mbr = match Mbr::parse(&sector).and_then(|mbr| mbr.check_fits(disk_size / 512).map(|()| mbr)) {
            Ok(mbr) => mbr,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut partitions = Vec::new();
        for (position, partition) in mbr.partitions.iter().enumerate() {
            let Some(partition) = partition else { continue };
            let Some(bytes) = partition.bytes(SectorSize::B512) else { continue };
            // What protects a GPT may begin anywhere.
            let mut first = [0; 512];
            if bytes.start.checked_add(512).is_some_and(|end| end <= disk_size) {
                self.disk.read_exact_at(&mut first, bytes.start)?;
            }
            partitions.push(PartitionInfo {
                number: position + 1,
                start: bytes.start,
                size: bytes.end - bytes.start,
                kind: partition.kind.0,
                active: partition.active,
                file_system: file_system(&first),
            });
        }
        Ok(Ok(TableInfo {
            disk_signature: mbr.disk_signature,
            boot_code: mbr.boot_code.iter().any(|&byte| byte != 0),
            protective: mbr.is_protective(),
            partitions,
        }))
    }
}

/// What a file takes on the host.
fn allocated(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.is_file().then(|| metadata.blocks() * 512)
    }
    #[cfg(not(unix))]
    metadata.is_file().then(|| metadata.len())
}

/// A list of names and values as one object, in its order.
fn as_map<S: Serializer, T: Serialize>(
    details: &[(&'static str, T)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(details.iter().map(|(name, value)| (name, value)))
}

/// What a volume's first sector says. Only what tells file systems apart and what `info` shows is looked at; whether a
/// volume is sound is for a checker.
pub(crate) fn file_system(sector: &[u8; 512]) -> Option<FileSystemInfo> {
    if sector[510..] != [0x55, 0xAA] {
        return None;
    }
    // A boot sector without code jumps to an endless loop, a halt, or nothing at all; real code fills the area.
    let boot_code = |from: usize| sector[from..510].iter().filter(|&&byte| byte != 0).count() > 64;
    if sector[3..11] == *b"NTFS    " {
        let sector_size = u32::from(u16::from_le_bytes([sector[11], sector[12]]));
        let per_cluster = match sector[13] {
            count @ 0..=0x80 => u32::from(count),
            // From 0x81 on it is a negative power of two ([research/ntfs.md] §1.1: F4 = 4096 sectors).
            log => 1u32.checked_shl(256 - u32::from(log)).unwrap_or(0),
        };
        let mut serial = [0; 8];
        serial.copy_from_slice(&sector[0x48..0x50]);
        return Some(FileSystemInfo {
            name: "NTFS",
            cluster_size: sector_size.checked_mul(per_cluster),
            serial: Some(u64::from_le_bytes(serial)),
            boot_code: boot_code(0x54),
        });
    }
    let name = if sector[3..11] == *b"EXFAT   " {
        "exFAT"
    } else if sector[0x52..0x5A] == *b"FAT32   " {
        "FAT32"
    } else if sector[0x36..0x39] == *b"FAT" {
        "FAT"
    } else if sector[3..11] == *b"-FVE-FS-" {
        "BitLocker"
    } else {
        return None;
    };
    Some(FileSystemInfo { name, cluster_size: None, serial: None, boot_code: boot_code(0x5A) })
}
