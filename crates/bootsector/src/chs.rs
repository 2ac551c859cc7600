use disk::Lba;

/// A cylinder, head and sector address as a partition entry packs it into three bytes: the head, then six bits of
/// sector (from 1) under the two high bits of the cylinder, then the cylinder's low byte.
///
/// Nothing that runs Windows reads it any more, but tools compare it with the LBA. The geometry is the one every BIOS
/// translates to for disks beyond 504 MiB, and Windows always writes: 255 heads, 63 sectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chs(pub [u8; 3]);

impl Chs {
    /// Heads of the translated geometry.
    pub const HEADS: u16 = 255;
    /// Sectors per track of the translated geometry.
    pub const SECTORS: u16 = 63;
    /// What stands for every sector from cylinder 1024 on, which ten bits cannot name: 1023/254/63.
    pub const BEYOND: Self = Self([0xFE, 0xFF, 0xFF]);

    /// The address of `lba`, or [`BEYOND`](Self::BEYOND).
    pub fn from_lba(lba: Lba) -> Self {
        let (heads, sectors) = (u64::from(Self::HEADS), u64::from(Self::SECTORS));
        let cylinder = lba.0 / (heads * sectors);
        if cylinder > 1023 {
            return Self::BEYOND;
        }
        let head = lba.0 / sectors % heads;
        let sector = lba.0 % sectors + 1;
        Self([head as u8, (cylinder >> 8 << 6) as u8 | sector as u8, cylinder as u8])
    }

    /// From 0.
    pub fn cylinder(self) -> u16 {
        u16::from(self.0[1] & 0xC0) << 2 | u16::from(self.0[2])
    }

    /// From 0.
    pub fn head(self) -> u8 {
        self.0[0]
    }

    /// From 1.
    pub fn sector(self) -> u8 {
        self.0[1] & 0x3F
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_addresses() {
        // Windows' own first partition begins at 1 MiB: 20 21 00 in every disk it ever partitioned.
        assert_eq!(Chs::from_lba(Lba(2048)), Chs([0x20, 0x21, 0x00]));
        assert_eq!(Chs::from_lba(Lba(0)), Chs([0x00, 0x01, 0x00]));
        assert_eq!(Chs::from_lba(Lba(62)), Chs([0x00, 0x3F, 0x00]));
        assert_eq!(Chs::from_lba(Lba(63)), Chs([0x01, 0x01, 0x00]));
        // The last sector that can be named, and the first that cannot.
        assert_eq!(Chs::from_lba(Lba(1024 * 255 * 63 - 1)), Chs([0xFE, 0xFF, 0xFF]));
        assert_eq!(Chs::from_lba(Lba(1023 * 255 * 63)), Chs([0x00, 0xC1, 0xFF]));
        assert_eq!(Chs::from_lba(Lba(1024 * 255 * 63)), Chs::BEYOND);
        assert_eq!(Chs::from_lba(Lba(u64::MAX)), Chs::BEYOND);
    }

    #[test]
    fn fields_come_back() {
        for lba in [0, 1, 62, 63, 2048, 718_848, 16_065 * 777 + 4321, 1024 * 16_065 - 1] {
            let chs = Chs::from_lba(Lba(lba));
            let back =
                (u64::from(chs.cylinder()) * 255 + u64::from(chs.head())) * 63 + u64::from(chs.sector()) - 1;
            assert_eq!(back, lba);
        }
    }
}
