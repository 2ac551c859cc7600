//! Opening existing disks of any container, and saying what lies on them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bootsector::Mbr;
use disk::{BlockMap, FileTime, MappedRange, RangeKind, ReadAt, SectorSize};
use serde::{Serialize, Serializer};

use crate::source::open_file;
use crate::{Error, Result};

/// A disk, whatever file holds it.
pub struct DiskFile {
    path: PathBuf,
    disk: Arc<dyn BlockMap>,
    container: Container,
}

impl std::fmt::Debug for DiskFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskFile").field("path", &self.path).field("container", &self.container).finish()
    }
}

/// What holds a disk.
#[derive(Clone, Debug, Serialize)]
pub struct Container {
    /// The format, as `--format` calls it where it can be written.
    pub format: String,
    /// What the format says of itself beyond the disk's size, as name and value.
    #[serde(serialize_with = "as_map")]
    pub details: Vec<(&'static str, String)>,
}

/// A disk as `info` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct DiskInfo {
    /// What holds it.
    pub container: Container,
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

/// What a file is, by its first and last bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A WIM, of whatever version.
    Wim,
    /// A VHD.
    Vhd,
    /// A VMDK.
    Vmdk,
    /// An ISO image: ISO 9660 or UDF.
    Iso,
    /// Nothing with a signature: a raw disk, perhaps.
    Raw,
}

impl FileKind {
    /// Looks at a file.
    pub fn of(path: &Path) -> Result<(Self, Arc<File>)> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        let file = Arc::new(open_file(path)?);
        let size = file.size().map_err(read)?;
        let mut start = [0; 8];
        let known = size.min(8) as usize;
        file.read_exact_at(&mut start[..known], 0).map_err(read)?;
        let kind = if start == *b"MSWIM\0\0\0" || start == *b"WLPWM\0\0\0" {
            Self::Wim
        } else if vmdk::is_vmdk(file.as_ref()).map_err(read)? {
            Self::Vmdk
        } else if vhd::is_vhd(file.as_ref()).map_err(read)? {
            Self::Vhd
        } else if iso::is_iso(file.as_ref()).map_err(read)? {
            Self::Iso
        } else {
            Self::Raw
        };
        Ok((kind, file))
    }
}

impl DiskFile {
    /// Opens a disk; anything without a signature is taken for a raw disk.
    pub fn open(path: &Path) -> Result<Self> {
        let (kind, file) = FileKind::of(path)?;
        let path = path.to_owned();
        match kind {
            FileKind::Wim => Err(Error::Unsupported {
                path,
                what: "is a WIM, not a disk; `wimforge build` makes one of it".to_owned(),
            }),
            FileKind::Iso => Err(Error::Unsupported {
                path,
                what: "is an ISO image, not a disk; `wimforge build` makes one of the WIM in it".to_owned(),
            }),
            FileKind::Vhd => {
                let vhd = vhd::Vhd::open(file).map_err(|source| Error::Vhd { path: path.clone(), source })?;
                Ok(Self { path, container: vhd_details(&vhd), disk: Arc::new(vhd) })
            }
            FileKind::Vmdk => {
                let vmdk =
                    vmdk::Vmdk::open(file).map_err(|source| Error::Vmdk { path: path.clone(), source })?;
                Ok(Self { path, container: vmdk_details(&vmdk), disk: Arc::new(vmdk) })
            }
            FileKind::Raw => {
                if let Some(what) =
                    unsupported(file.as_ref()).map_err(|source| Error::Read { path: path.clone(), source })?
                {
                    return Err(Error::Unsupported { path, what: what.to_owned() });
                }
                let container = Container { format: "raw".to_owned(), details: Vec::new() };
                Ok(Self { path, container, disk: Arc::new(RawDisk(file)) })
            }
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
            container: self.container.clone(),
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

/// The ranges of a disk, neighbours of one kind merged.
pub(crate) struct Ranges<'a> {
    disk: &'a dyn BlockMap,
    /// The next byte; `None` at the end, and after an error.
    at: Option<u64>,
}

impl<'a> Ranges<'a> {
    pub(crate) fn of(disk: &'a dyn BlockMap) -> Self {
        Self { disk, at: Some(0) }
    }

    /// What the map says from `at` on.
    fn at(&self, at: u64) -> io::Result<Option<MappedRange>> {
        let Some(range) = self.disk.range_at(at)? else { return Ok(None) };
        let end = range.start.saturating_add(range.len);
        if end <= at || range.start > at {
            return Err(io::Error::other(format!("a block map that says nothing of byte {at:#x}")));
        }
        Ok(Some(MappedRange { start: at, len: end - at, kind: range.kind }))
    }
}

impl Iterator for Ranges<'_> {
    type Item = io::Result<MappedRange>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at.take()?;
        let mut merged: Option<MappedRange> = None;
        loop {
            let at = merged.map_or(start, |merged| merged.start + merged.len);
            match (self.at(at), &mut merged) {
                (Err(error), _) => return Some(Err(error)),
                (Ok(None), _) => return merged.map(Ok),
                (Ok(Some(next)), Some(merged)) if next.kind == merged.kind => merged.len += next.len,
                (Ok(Some(_)), Some(merged)) => {
                    self.at = Some(at);
                    return Some(Ok(*merged));
                }
                (Ok(Some(next)), None) => merged = Some(next),
            }
        }
    }
}

/// A list of names and values as one object, in its order.
fn as_map<S: Serializer>(details: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(details.iter().map(|(name, value)| (name, value)))
}

/// What a file is that is no raw disk either, and what to do with it. A raw disk has code, zeros or a file system at its
/// start, none of which looks like these.
fn unsupported(file: &dyn ReadAt) -> io::Result<Option<&'static str>> {
    const KNOWN: [(u64, &[u8], &str); 6] = [
        (
            0,
            b"vhdxfile",
            "is a VHDX, which this version does not read; `qemu-img convert -O vpc` makes a VHD of it",
        ),
        (
            0,
            b"QFI\xFB",
            "is a qcow2 disk, which this version does not read; `qemu-img convert -O raw` makes a raw one of it",
        ),
        (
            0x40,
            b"\x7F\x10\xDA\xBE",
            "is a VDI, which this version does not read; `qemu-img convert -O raw` makes a raw disk of it",
        ),
        (0, b"MSCF", "is a cabinet, which this version does not read"),
        (0, b"\x1F\x8B\x08", "is compressed by gzip; decompress it first"),
        (0, b"PK\x03\x04", "is a ZIP archive; extract it first"),
    ];
    let size = file.size()?;
    for (offset, magic, what) in KNOWN {
        let mut found = [0; 8];
        let found = &mut found[..magic.len()];
        if size >= offset + magic.len() as u64 {
            file.read_exact_at(found, offset)?;
            if found == magic {
                return Ok(Some(what));
            }
        }
    }
    Ok(None)
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

fn vhd_details(vhd: &vhd::Vhd) -> Container {
    let footer = vhd.footer();
    let format = match vhd.kind() {
        vhd::Kind::Fixed => "vhd-fixed",
        _ => "vhd",
    };
    let created = FileTime::from_unix_seconds(i64::from(footer.timestamp) + 946_684_800);
    let mut details = vec![
        (
            "creator",
            String::from_utf8_lossy(&footer.creator_application).trim_end_matches(['\0', ' ']).to_owned(),
        ),
        ("created", created.to_string()),
        ("geometry", footer.geometry.to_string()),
        ("id", footer.unique_id.to_string()),
    ];
    if let Some(header) = vhd.header() {
        details.push(("block size", header.block_size.to_string()));
    }
    if let Some(blocks) = vhd.allocated_blocks() {
        details.push(("allocated blocks", blocks.to_string()));
    }
    if vhd.footer_copy_equal() == Some(false) {
        details.push(("warning", "the footer and its copy at the start differ".to_owned()));
    }
    Container { format: format.to_owned(), details }
}

fn vmdk_details(vmdk: &vmdk::Vmdk) -> Container {
    let format = match vmdk.kind() {
        vmdk::Kind::StreamOptimized => "vmdk",
        vmdk::Kind::MonolithicSparse => "vmdk-sparse",
        vmdk::Kind::MonolithicFlat | vmdk::Kind::Vmfs => "vmdk-flat",
        vmdk::Kind::TwoGbMaxExtentSparse => "vmdk-split",
        other => other.create_type(),
    };
    let descriptor = vmdk.descriptor();
    let mut details = vec![
        ("create type", descriptor.create_type.clone()),
        ("content id", format!("{:08x}", descriptor.cid)),
    ];
    details.extend(descriptor.get("adapterType").map(|adapter| ("adapter type", adapter.to_owned())));
    Container { format: format.to_owned(), details }
}

/// A raw disk. What the file system knows to be a hole is not stored.
struct RawDisk(Arc<File>);

impl ReadAt for RawDisk {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

impl BlockMap for RawDisk {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        self.0.stored_at(offset)
    }
}
