//! Reading a volume of any kind of FAT.
//!
//! Nothing of the volume is trusted: every cluster number is held against the number of clusters, a directory ends at the
//! 65,536 entries that the format allows and a file at its stated size, so a table that leads in circles costs a bounded
//! number of steps. Tables are read a window at a time; a file of 4 GiB takes no more memory than one of 4 KiB.

mod file;
mod long_name;
mod table;

use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use binrw::BinRead;
use disk::{At, FileTime, ReadAt};

pub use self::file::File;
pub(crate) use self::long_name::LongName;
pub(crate) use self::table::Table;
use crate::layout::{
    ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, ATTRIBUTE_LONG, ENTRY_LEN, FAT16_CLUSTERS, FAT32_CLUSTERS,
    FAT32_MASK, FIRST_CLUSTER, MAX_ENTRIES, RawBoot, RawBoot32, RawEntry, RawLong, RawTail, SIGNATURE,
};
use crate::name;
use crate::time::DosTime;
use crate::{Error, Result};

/// How wide the entries of a volume's tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 12 bits: below 4,085 clusters.
    Fat12,
    /// 16 bits: below 65,525 clusters.
    Fat16,
    /// 28 of 32 bits.
    Fat32,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        })
    }
}

/// A FAT volume.
#[derive(Clone)]
pub struct Volume {
    disk: Arc<dyn ReadAt>,
    pub(crate) kind: Kind,
    pub(crate) media: u8,
    serial: u32,
    boot_label: String,
    dirty: bool,
    hidden_sectors: u32,
    reserved_sectors: u16,
    /// Bytes in a sector.
    sector: u32,
    pub(crate) cluster_size: u32,
    pub(crate) clusters: u32,
    /// The table that counts.
    pub(crate) fat: Region,
    /// How many follow it that are to be the same.
    pub(crate) copies: u64,
    /// Sectors of FSInfo and of the copy of the first sector, on FAT32.
    pub(crate) info_sector: u16,
    pub(crate) backup_sector: u16,
    /// Where FAT12 and FAT16 have the root directory.
    pub(crate) root: Region,
    pub(crate) root_cluster: u32,
    data_start: u64,
    /// Bytes of all sectors.
    pub(crate) len: u64,
}

/// Bytes of the volume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("kind", &self.kind)
            .field("cluster_size", &self.cluster_size)
            .field("clusters", &self.clusters)
            .finish_non_exhaustive()
    }
}

/// A directory, by where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Directory(pub(crate) u32);

/// A file, by where it begins and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStart {
    cluster: u32,
    /// Bytes.
    pub size: u32,
    /// Where its entry lies, for errors.
    entry: u64,
}

impl FileStart {
    pub(crate) fn cluster(self) -> u32 {
        self.cluster
    }
}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(FileStart),
    /// A directory.
    Directory(Directory),
}

/// A file or directory as its directory describes it. The entries of a directory for itself and the one above are not
/// among them, nor is the label.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name in UTF-16: the long one, if it has one that belongs to it.
    pub name: Vec<u16>,
    /// Its short name, when that is another.
    pub short: Option<String>,
    /// Attributes.
    pub attributes: u8,
    /// Time of creation.
    pub created: FileTime,
    /// Time of the last write.
    pub modified: FileTime,
    /// Day of the last access.
    pub accessed: FileTime,
    /// What it leads to.
    pub target: Target,
}

fn malformed<T>(what: &'static str, offset: u64, reason: impl Into<String>) -> Result<T> {
    Err(Error::Malformed { at: At::new(what, offset), reason: reason.into() })
}

impl Volume {
    /// Opens the volume that a disk, or a part of one, is.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the first sector is not that of a FAT volume, or describes one that does not fit.
    pub fn open(disk: Arc<dyn ReadAt>) -> Result<Self> {
        const WHAT: &str = "FAT boot sector";
        let at = At::new(WHAT, 0);
        let io = |source| Error::Io { at, source };
        let len = disk.size().map_err(io)?;
        let mut sector = [0; 512];
        if len < 512 {
            return malformed(WHAT, 0, format!("the volume has {len} bytes, expected at least 512"));
        }
        disk.read_exact_at(&mut sector, 0).map_err(io)?;
        if sector[SIGNATURE..] != [0x55, 0xAA] {
            let found = u16::from_le_bytes([sector[SIGNATURE], sector[SIGNATURE + 1]]);
            return malformed(WHAT, SIGNATURE as u64, format!("signature {found:#06x}, expected 0xaa55"));
        }
        let mut cursor = Cursor::new(&sector[..]);
        let raw = RawBoot::read(&mut cursor).expect("a sector is longer than this");
        let bytes = u32::from(raw.bytes_per_sector);
        if !bytes.is_power_of_two() || !(512..=4096).contains(&bytes) {
            return malformed(
                WHAT,
                0x0B,
                format!("sectors of {bytes} bytes, expected 512, 1024, 2048 or 4096"),
            );
        }
        let per_cluster = u32::from(raw.sectors_per_cluster);
        if !per_cluster.is_power_of_two() {
            return malformed(
                WHAT,
                0x0D,
                format!("clusters of {per_cluster} sectors, expected a power of two"),
            );
        }
        if raw.reserved_sectors == 0 || raw.fats == 0 {
            let (reserved, fats) = (raw.reserved_sectors, raw.fats);
            return malformed(
                WHAT,
                0x0E,
                format!("{reserved} reserved sectors and {fats} tables, expected some"),
            );
        }
        let wide = raw.fat_sectors_16 == 0;
        let (mut info_sector, mut backup_sector) = (0, 0);
        let (fat_sectors, root_cluster, flags, tail) = if wide {
            let raw32 = RawBoot32::read(&mut cursor).expect("a sector is longer than this");
            if raw32.version != 0 {
                let reason = format!("version {:#06x}, expected 0", raw32.version);
                return Err(Error::Unsupported { at: At::new(WHAT, 0x2A), reason });
            }
            (info_sector, backup_sector) = (raw32.info_sector, raw32.backup_sector);
            (raw32.fat_sectors, raw32.root_cluster, raw32.flags, raw32.tail)
        } else {
            let tail = RawTail::read(&mut cursor).expect("a sector is longer than this");
            (u32::from(raw.fat_sectors_16), 0, 0, tail)
        };

        // Sums of 32-bit products: they fit 64 bits.
        let sector = u64::from(bytes);
        let sectors = match raw.sectors_16 {
            0 => u64::from(raw.sectors_32),
            sectors => u64::from(sectors),
        };
        if sectors * sector > len {
            return malformed(WHAT, 0x20, format!("{sectors} sectors, the partition has {}", len / sector));
        }
        let root_sectors = (u64::from(raw.root_entries) * ENTRY_LEN as u64).div_ceil(sector);
        let root_start = u64::from(raw.reserved_sectors) + u64::from(raw.fats) * u64::from(fat_sectors);
        let data = root_start + root_sectors;
        let Some(clusters) = sectors.checked_sub(data).map(|left| left / u64::from(per_cluster)) else {
            return malformed(
                WHAT,
                0x20,
                format!("{sectors} sectors, expected more than the {data} before data"),
            );
        };
        let clusters = clusters as u32;
        let kind = match clusters {
            // What 0x16 says decides about the shape of the sector, so the count may not contradict it.
            _ if wide && clusters >= FAT32_CLUSTERS => Kind::Fat32,
            FAT32_CLUSTERS.. => {
                return malformed(
                    WHAT,
                    0x16,
                    format!("{clusters} clusters in a FAT16 volume, expected fewer"),
                );
            }
            // mkfs.fat makes such volumes when told to. Linux and Windows know FAT32 by the shape of its sector, too.
            1.. if wide => Kind::Fat32,
            FAT16_CLUSTERS.. => Kind::Fat16,
            1.. => Kind::Fat12,
            0 => return malformed(WHAT, 0x20, "no clusters, expected some"),
        };
        if kind == Kind::Fat32 && clusters >= FAT32_MASK - 0x10 {
            return malformed(WHAT, 0x20, format!("{clusters:#x} clusters, FAT32 has fewer than 0xfffffef"));
        }
        let bits: u64 = match kind {
            Kind::Fat12 => 12,
            Kind::Fat16 => 16,
            Kind::Fat32 => 32,
        };
        let needed = (u64::from(clusters + FIRST_CLUSTER) * bits).div_ceil(8);
        let fat_len = u64::from(fat_sectors) * sector;
        if fat_len < needed {
            return malformed(
                WHAT,
                0x16,
                format!("tables of {fat_len:#x} bytes, expected at least {needed:#x}"),
            );
        }
        // With bit 7 set, only one of the tables counts.
        let active = if flags & 0x80 != 0 { u64::from(flags & 0x0F) } else { 0 };
        if active >= u64::from(raw.fats) {
            return malformed(
                WHAT,
                0x28,
                format!("table {active} is the active one, there are {}", raw.fats),
            );
        }
        let known = tail.signature == 0x29;
        let volume = Self {
            disk,
            kind,
            media: raw.media,
            serial: if known { tail.serial } else { 0 },
            boot_label: if known { name::label(&tail.label) } else { String::new() },
            dirty: tail.state & 1 != 0,
            hidden_sectors: raw.hidden_sectors,
            reserved_sectors: raw.reserved_sectors,
            sector: bytes,
            cluster_size: per_cluster * bytes,
            clusters,
            fat: Region { start: u64::from(raw.reserved_sectors) * sector + active * fat_len, len: fat_len },
            copies: if flags & 0x80 != 0 { 0 } else { u64::from(raw.fats) - 1 },
            info_sector,
            backup_sector,
            root: Region { start: root_start * sector, len: u64::from(raw.root_entries) * ENTRY_LEN as u64 },
            root_cluster,
            data_start: data * sector,
            len: sectors * sector,
        };
        if kind == Kind::Fat32 {
            volume.checked(root_cluster, At::new(WHAT, 0x2C))?;
        }
        Ok(volume)
    }

    /// Which kind of FAT it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Volume serial number, 0 when it has none.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Whether it was not closed properly.
    pub fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Sectors of the disk before it, as it says.
    pub fn hidden_sectors(&self) -> u32 {
        self.hidden_sectors
    }

    /// Sectors before the first allocation table.
    pub fn reserved_sectors(&self) -> u16 {
        self.reserved_sectors
    }

    /// Bytes in a sector.
    pub fn sector_size(&self) -> u32 {
        self.sector
    }

    /// Bytes in a cluster.
    pub fn cluster_size(&self) -> u32 {
        self.cluster_size
    }

    /// Clusters.
    pub fn clusters(&self) -> u32 {
        self.clusters
    }

    /// Clusters that are not in use, counted in the table.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn free_clusters(&self) -> Result<u32> {
        let mut table = Table::new(self);
        let mut free = 0;
        for cluster in FIRST_CLUSTER..self.clusters + FIRST_CLUSTER {
            free += u32::from(table.get(cluster)? == 0);
        }
        Ok(free)
    }

    /// The label: that in the root directory, or else that in the first sector. Empty when there is none.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn label(&self) -> Result<String> {
        let mut found = None;
        self.walk(
            self.root(),
            |_, raw| {
                let label =
                    raw.attributes & ATTRIBUTE_LABEL != 0 && raw.attributes & ATTRIBUTE_DIRECTORY == 0;
                if label && found.is_none() {
                    found = Some(name::label(&raw.name));
                }
            },
            |_| {},
        )?;
        Ok(found.unwrap_or_else(|| match self.boot_label.as_str() {
            "NO NAME" => String::new(),
            label => label.to_owned(),
        }))
    }

    /// The root directory.
    pub fn root(&self) -> Directory {
        Directory(self.root_cluster)
    }

    /// What a directory holds, in the order in which it is stored.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the directory leads outside the volume or to free clusters, [`Error::Limit`] when it has
    /// no end.
    pub fn entries(&self, directory: Directory) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let long = std::cell::RefCell::new(LongName::default());
        self.walk(
            directory,
            |at, raw| {
                let long = long.borrow_mut().take(&raw);
                if raw.attributes & ATTRIBUTE_LABEL == 0 && !raw.name.starts_with(b".") {
                    entries.push(self.entry(at, &raw, long));
                }
            },
            |piece| long.borrow_mut().add(piece),
        )?;
        Ok(entries)
    }

    /// Shows the entries of a directory that are in use, and between them the pieces of long names.
    pub(crate) fn walk(
        &self,
        directory: Directory,
        mut entry: impl FnMut(u64, RawEntry),
        mut piece: impl FnMut(Option<RawLong>),
    ) -> Result<()> {
        self.check_directory(directory)?;
        let mut count = 0;
        let mut block = vec![0; self.cluster_size as usize];
        let mut table = Table::new(self);
        let mut next = if directory.0 == 0 { Some(self.root) } else { Some(self.region(directory.0)) };
        let mut cluster = directory.0;
        while let Some(region) = next {
            let mut start = region.start;
            while start < region.start + region.len {
                let len = (region.start + region.len - start).min(block.len() as u64) as usize;
                self.read(&mut block[..len], start, "directory")?;
                for (at, bytes) in (start..).step_by(ENTRY_LEN).zip(block[..len].chunks_exact(ENTRY_LEN)) {
                    if bytes[0] == 0 {
                        return Ok(());
                    }
                    count += 1;
                    if count > MAX_ENTRIES {
                        let (found, limit) = (count as u64, MAX_ENTRIES as u64);
                        return Err(Error::Limit {
                            at: At::new("directory", at),
                            what: "entries of a directory",
                            found,
                            limit,
                        });
                    }
                    if bytes[0] == 0xE5 {
                        piece(None);
                    } else if bytes[11] & 0x3F == ATTRIBUTE_LONG {
                        piece(Some(
                            RawLong::read(&mut Cursor::new(bytes)).expect("32 bytes have this shape"),
                        ));
                    } else {
                        entry(at, RawEntry::read(&mut Cursor::new(bytes)).expect("32 bytes have this shape"));
                    }
                }
                start += len as u64;
            }
            next = match directory.0 {
                0 => None,
                _ => match table.next(cluster)? {
                    Some(following) => {
                        cluster = following;
                        Some(self.region(following))
                    }
                    None => None,
                },
            };
        }
        Ok(())
    }

    fn entry(&self, at: u64, raw: &RawEntry, long: Option<Vec<u16>>) -> Entry {
        let high = if self.kind == Kind::Fat32 { raw.cluster_high } else { 0 };
        let cluster = u32::from(high) << 16 | u32::from(raw.cluster_low);
        let time = |date, time, hundredths| DosTime { date, time, hundredths }.to_file_time();
        let short = name::shown(&raw.name, raw.case);
        let name = long.unwrap_or_else(|| short.encode_utf16().collect());
        let short = Some(short).filter(|short| !short.encode_utf16().eq(name.iter().copied()));
        Entry {
            name,
            short,
            attributes: raw.attributes,
            created: time(raw.created_date, raw.created_time, raw.created_hundredths),
            modified: time(raw.modified_date, raw.modified_time, 0),
            accessed: time(raw.accessed_date, 0, 0),
            target: if raw.attributes & ATTRIBUTE_DIRECTORY != 0 {
                Target::Directory(Directory(cluster))
            } else {
                Target::File(FileStart { cluster, size: raw.size, entry: at })
            },
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is larger than the volume or begins outside of it.
    pub fn file(&self, start: FileStart) -> Result<File<'_>> {
        let at = At::new("directory entry", start.entry);
        let needed = u64::from(start.size).div_ceil(u64::from(self.cluster_size));
        if needed > u64::from(self.clusters) {
            let reason = format!("a file of {} bytes on a volume of {} clusters", start.size, self.clusters);
            return Err(Error::Malformed { at, reason });
        }
        if start.size > 0 {
            self.checked(start.cluster, at)?;
        }
        Ok(File::new(self, start))
    }

    /// Whether a directory begins inside the volume; those that do not cannot be listed.
    ///
    /// # Errors
    /// [`Error::Malformed`] when not.
    pub fn check_directory(&self, directory: Directory) -> Result<()> {
        match directory == self.root() {
            true => Ok(()),
            false => self.checked(directory.0, At::new("directory", self.data_start)).map(|_| ()),
        }
    }

    /// The first byte of a file, or that of its entry when it is empty or begins nowhere.
    pub fn first_byte(&self, start: FileStart) -> u64 {
        match self.checked(start.cluster, At::new("file", 0)) {
            Ok(cluster) if start.size > 0 => self.region(cluster).start,
            _ => start.entry,
        }
    }

    pub(crate) fn checked(&self, cluster: u32, at: At) -> Result<u32> {
        if (FIRST_CLUSTER..self.clusters + FIRST_CLUSTER).contains(&cluster) {
            return Ok(cluster);
        }
        let last = self.clusters + FIRST_CLUSTER - 1;
        Err(Error::Malformed { at, reason: format!("cluster {cluster:#x}, expected 0x2..={last:#x}") })
    }

    /// The bytes of a cluster that was checked.
    pub(crate) fn region(&self, cluster: u32) -> Region {
        let len = u64::from(self.cluster_size);
        Region { start: self.data_start + u64::from(cluster - FIRST_CLUSTER) * len, len }
    }

    pub(crate) fn read(&self, buf: &mut [u8], offset: u64, what: &'static str) -> Result<()> {
        self.disk.read_exact_at(buf, offset).map_err(|source| Error::Io { at: At::new(what, offset), source })
    }
}
