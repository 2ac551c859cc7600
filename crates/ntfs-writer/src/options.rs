use disk::{FileTime, SectorSize};

use crate::parse::MAX_CLUSTER;
use crate::{Error, Result};

/// The geometry that a BIOS reports for the disk: the boot sector repeats it for old loaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Heads, 1..=255 on real disks.
    pub heads: u16,
    /// Sectors per track, 1..=63 on real disks.
    pub sectors_per_track: u16,
}

impl Default for Geometry {
    fn default() -> Self {
        Self { heads: 255, sectors_per_track: 63 }
    }
}

/// Everything about a volume that is not its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes per cluster: a power of two, 512 bytes to 2 MiB, at least one sector. Above 64 KiB it needs Windows 10 1709
    /// or Server 2019, and a partition that begins on a multiple of it.
    pub cluster_size: u32,
    /// Bytes per file record: 1024 or 4096. Disks with 4096-byte sectors need 4096.
    pub record_size: u32,
    /// The logical sector size of the disk.
    pub sector_size: SectorSize,
    /// The sector at which the partition begins on the disk.
    pub hidden_sectors: u32,
    /// The disk's geometry.
    pub geometry: Geometry,
    /// The volume serial number; `dir` shows its low half.
    pub serial: u64,
    /// The volume label, at most 32 UTF-16 units; may be empty.
    pub label: String,
    /// The times of the system files.
    pub created: FileTime,
    /// The volume byte multiple at which file data of 32 KiB and more begins; 0 for the next cluster. A power of two
    /// otherwise; multiples below the cluster size mean the cluster.
    pub alignment: u64,
    /// Zeroed file records to keep free at the end of `$MFT`, so that its first growth does not fragment it.
    pub reserve_records: u32,
    /// Make 8.3 names for files that came without one. Otherwise only those that the caller gives are written.
    pub short_names: bool,
    /// What the BIOS runs: the 8192 bytes of `$Boot`, of which the volume's own fields (0x00 to 0x53) and the signature
    /// (0x1FE) are replaced. Without it, `$Boot` asks the BIOS for the next device.
    pub boot_code: Option<Box<[u8; BOOT_CODE_LEN]>>,
}

/// Length in bytes of an NTFS boot record: 16 sectors of 512 bytes, all of `$Boot`.
pub const BOOT_CODE_LEN: usize = 8192;

impl Default for Options {
    fn default() -> Self {
        Self {
            cluster_size: 4096,
            record_size: 1024,
            sector_size: SectorSize::B512,
            hidden_sectors: 2048,
            geometry: Geometry::default(),
            serial: 0,
            label: String::new(),
            created: FileTime(0),
            alignment: 65_536,
            reserve_records: 256,
            short_names: false,
            boot_code: None,
        }
    }
}

/// `$VOLUME_NAME` may hold more, but Windows' own tools accept no more than this.
const MAX_LABEL_UNITS: usize = 32;

impl Options {
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |option, reason| Err(Error::Option { option, reason });
        let sector = self.sector_size.bytes();
        if !self.cluster_size.is_power_of_two() || !(512..=MAX_CLUSTER).contains(&self.cluster_size) {
            let found = self.cluster_size;
            return refuse(
                "cluster size",
                format!("found {found}, expected a power of two in 512..={MAX_CLUSTER}"),
            );
        }
        if self.cluster_size < sector {
            return refuse("cluster size", format!("{} is less than a sector ({sector})", self.cluster_size));
        }
        // Larger clusters are Windows 10's, which wants them aligned on the disk.
        let start = u64::from(self.hidden_sectors) * u64::from(sector);
        if self.cluster_size > 65_536 && !start.is_multiple_of(u64::from(self.cluster_size)) {
            return refuse(
                "cluster size",
                format!("the partition begins at {start:#x}, no multiple of {}", self.cluster_size),
            );
        }
        if !matches!(self.record_size, 1024 | 4096) {
            return refuse("record size", format!("found {}, expected 1024 or 4096", self.record_size));
        }
        if self.record_size < sector {
            return refuse("record size", format!("{} is less than a sector ({sector})", self.record_size));
        }
        let units = self.label.encode_utf16().count();
        if units > MAX_LABEL_UNITS {
            return refuse("label", format!("{units} UTF-16 units, the limit is {MAX_LABEL_UNITS}"));
        }
        if self.label.contains('\0') {
            return refuse("label", "contains a NUL".into());
        }
        if self.alignment != 0 && !self.alignment.is_power_of_two() || self.alignment > 1 << 30 {
            return refuse(
                "alignment",
                format!("found {}, expected 0 or a power of two up to 1 GiB", self.alignment),
            );
        }
        if self.reserve_records > 1 << 24 {
            return refuse(
                "reserved records",
                format!("found {}, the limit is {}", self.reserve_records, 1 << 24),
            );
        }
        Ok(())
    }
}
