use crate::layout::{
    CHECK_BYTES, COMPRESSION_DEFLATE, FLAG_CHECK_BYTES, Header, MAGIC, SECTOR, TABLE_ENTRIES,
};
use crate::{Kind, Level, Result, impossible};

/// Bytes in a grain of the files that are written: 64 KiB, the only size that every product takes.
pub const GRAIN_SIZE: u64 = 64 << 10;
/// The largest disk that is written with grains: 2 TiB, where 32-bit sector numbers end.
pub const MAX_SIZE: u64 = 2 << 40;
/// The largest disk that is written as it is: 62 TiB, the most that vSphere has.
pub const MAX_FLAT_SIZE: u64 = 62 << 40;
/// Bytes of disk in a file of a disk that is split: what VMware's products put there, a whole number of grains.
pub(crate) const TWO_GB_EXTENT: u64 = 4_192_256 * SECTOR;

/// Sectors in a grain.
pub(crate) const GRAIN_SECTORS: u64 = GRAIN_SIZE / SECTOR;
/// Bytes of the disk that a grain table spans.
pub(crate) const TABLE_SPAN: u64 = GRAIN_SIZE * TABLE_ENTRIES as u64;
/// Where the descriptor lies: qemu looks nowhere else.
pub(crate) const DESCRIPTOR_OFFSET: u64 = 1;
/// Sectors for the descriptor (observed: VMware).
pub(crate) const DESCRIPTOR_SECTORS: u64 = 20;

/// The disk controller that the descriptor names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Adapter {
    /// IDE. VMware refuses such a disk on another controller.
    Ide,
    /// LSI Logic: right for SCSI, SATA and NVMe controllers.
    #[default]
    LsiLogic,
}

impl Adapter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ide => "ide",
            Self::LsiLogic => "lsilogic",
        }
    }

    /// Cylinders, heads and sectors per track of a disk of `size` bytes.
    pub(crate) fn geometry(self, size: u64) -> (u64, u64, u64) {
        let (heads, sectors, most) = match self {
            Self::Ide => (16, 63, 16_383),
            Self::LsiLogic => (255, 63, 65_535),
        };
        ((size / SECTOR / (heads * sectors)).clamp(1, most), heads, sectors)
    }
}

/// What a new VMDK is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Size of the disk in bytes: a multiple of 512, up to [`MAX_SIZE`] ([`MAX_FLAT_SIZE`] for flat kinds).
    ///
    /// Readers disagree about a last grain that is not whole: VirtualBox does not read one that is stored short, as
    /// qemu-img stores it. Here it is stored whole, and the header's capacity, which has to be a multiple of the grain, is
    /// rounded up; the descriptor has the size as it is (observed: VirtualBox does the same). qemu goes by the header, and
    /// shows the few sectors of zeros at the end. A whole number of MiB avoids the question.
    pub size: u64,
    /// Content id: anything random-looking. The two highest values are reserved, and stored as the one below.
    pub cid: u32,
    /// The file's own name, which the descriptor repeats. Without directories.
    pub name: String,
    /// The controller that the descriptor names.
    pub adapter: Adapter,
    /// How hard grains are compressed.
    pub level: Level,
    /// Take over how the source was compressed, where that is known, instead of compressing anew: twice as fast, and 1 to 2 %
    /// larger. [`Level::Best`] never does.
    pub take_tokens: bool,
}

impl Options {
    /// A disk of `size` bytes in a file of this name, with the usual controller and compression.
    pub fn new(size: u64, name: impl Into<String>, cid: u32) -> Self {
        Self {
            size,
            cid,
            name: name.into(),
            adapter: Adapter::default(),
            level: Level::default(),
            take_tokens: true,
        }
    }

    pub(crate) fn check(&self, kind: Kind) -> Result<()> {
        if self.size == 0 || !self.size.is_multiple_of(SECTOR) {
            return Err(impossible(format!(
                "disk size {} is not a positive multiple of {SECTOR} bytes",
                self.size
            )));
        }
        let most = match kind {
            Kind::MonolithicFlat | Kind::Vmfs => MAX_FLAT_SIZE,
            _ => MAX_SIZE,
        };
        if self.size > most {
            return Err(impossible(format!(
                "disk size {} exceeds {most} bytes ({} TiB)",
                self.size,
                most >> 40
            )));
        }
        let plain = !self.name.is_empty()
            && self.name.len() <= 255
            && !self.name.contains(|c: char| c.is_control() || "\"/\\".contains(c));
        if !plain {
            return Err(impossible(format!("{:?} cannot be the file name in a descriptor", self.name)));
        }
        Ok(())
    }

    /// [`plain_header`] of a file with compressed grains.
    pub(crate) fn compressed_header(&self) -> Header {
        use crate::layout::{DIRECTORY_AT_END, FLAG_COMPRESSED, FLAG_MARKERS};
        Header {
            // ESXi refuses version 1 with compressed grains as too old.
            version: 3,
            flags: FLAG_CHECK_BYTES | FLAG_COMPRESSED | FLAG_MARKERS,
            grain_directory: DIRECTORY_AT_END,
            compression: COMPRESSION_DEFLATE,
            descriptor_offset: DESCRIPTOR_OFFSET,
            descriptor_size: DESCRIPTOR_SECTORS,
            ..plain_header(self.size)
        }
    }
}

/// How many grain tables span `bytes` of disk.
pub(crate) fn tables(bytes: u64) -> u64 {
    bytes.div_ceil(TABLE_SPAN)
}

/// How many sectors the grain directory has for them.
pub(crate) fn directory_sectors(bytes: u64) -> u64 {
    (tables(bytes) * 4).div_ceil(SECTOR)
}

/// What the headers of all extents of `bytes` that are written have in common.
pub(crate) fn plain_header(bytes: u64) -> Header {
    Header {
        magic: MAGIC,
        version: 1,
        flags: FLAG_CHECK_BYTES,
        capacity: bytes.div_ceil(GRAIN_SIZE) * GRAIN_SECTORS,
        grain_size: GRAIN_SECTORS,
        descriptor_offset: 0,
        descriptor_size: 0,
        table_entries: TABLE_ENTRIES as u32,
        redundant_directory: 0,
        grain_directory: 0,
        overhead: 0,
        unclean_shutdown: 0,
        check_bytes: CHECK_BYTES,
        compression: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_readers_would_not_take() {
        let good = Options::new(1 << 30, "disk.vmdk", 1);
        let check = |options: Options, kind| options.check(kind).is_ok();
        for size in [0, 511, GRAIN_SIZE + 1, u64::MAX] {
            assert!(!check(Options { size, ..good.clone() }, Kind::MonolithicSparse), "{size}");
        }
        for (kind, most) in [
            (Kind::StreamOptimized, MAX_SIZE),
            (Kind::MonolithicSparse, MAX_SIZE),
            (Kind::TwoGbMaxExtentSparse, MAX_SIZE),
            (Kind::TwoGbMaxExtentFlat, MAX_SIZE),
            (Kind::MonolithicFlat, MAX_FLAT_SIZE),
            (Kind::Vmfs, MAX_FLAT_SIZE),
        ] {
            for (size, good_size) in
                [(512, true), (GRAIN_SIZE + 512, true), (most, true), (most + 512, false)]
            {
                assert_eq!(check(Options { size, ..good.clone() }, kind), good_size, "{kind} {size}");
            }
        }
        for name in ["", "a\"b", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
            let options = Options { name: name.to_owned(), ..good.clone() };
            assert!(!check(options, Kind::StreamOptimized), "{name}");
        }
    }

    #[test]
    fn geometries() {
        assert_eq!(Adapter::LsiLogic.geometry(16 << 30), (2088, 255, 63)); // as VMware's own sample has it
        assert_eq!(Adapter::Ide.geometry(16 << 30), (16_383, 16, 63));
        assert_eq!(Adapter::Ide.geometry(1 << 30), (2080, 16, 63));
        assert_eq!(Adapter::LsiLogic.geometry(GRAIN_SIZE), (1, 255, 63));
    }
}
