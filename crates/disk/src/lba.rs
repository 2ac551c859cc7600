/// A logical block address: a sector number, counted from the start of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lba(pub u64);

/// The logical sector size of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SectorSize {
    /// 512 bytes: every BIOS disk, and the "512e" disks that hypervisors present.
    #[default]
    B512,
    /// 4096 bytes ("4Kn").
    B4096,
}

impl SectorSize {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::B512 => 512,
            Self::B4096 => 4096,
        }
    }

    /// The byte offset at which sector `lba` begins, or `None` past 2^64.
    pub fn offset_of(self, lba: Lba) -> Option<u64> {
        lba.0.checked_mul(u64::from(self.bytes()))
    }

    /// The sector that begins at byte `offset`, or `None` when none begins there.
    pub fn lba_at(self, offset: u64) -> Option<Lba> {
        let bytes = u64::from(self.bytes());
        offset.is_multiple_of(bytes).then_some(Lba(offset / bytes))
    }
}
