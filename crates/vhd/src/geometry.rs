use std::fmt;

use binrw::binrw;

/// Cylinders, heads and sectors per track, as the footer has them.
///
/// They describe *at most* the size: the product is rounded down, and ends at 127.5 GiB. Readers that compute the
/// size from them (Virtual PC, and qemu for some creators) lose the end of the disk; this crate never does.
#[binrw]
#[brw(big)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// At most 65535.
    pub cylinders: u16,
    /// At most 16.
    pub heads: u8,
    /// At most 255.
    pub sectors: u8,
}

impl Geometry {
    /// The geometry that belongs to a disk of `size` bytes, by the algorithm of the specification's appendix: as few
    /// sectors per track as keep the cylinders of a translated disk below 1024.
    pub fn of(size: u64) -> Self {
        let total = (size / 512).min(65_535 * 16 * 255) as u32;
        let (sectors, heads, tracks);
        if total >= 65_535 * 16 * 63 {
            (sectors, heads, tracks) = (255, 16, total / 255);
        } else {
            let few = (17, (total / 17).div_ceil(1024).max(4));
            let fits = |(sectors, heads): (u32, u32)| heads <= 16 && total / sectors < heads * 1024;
            (sectors, heads) = [few, (31, 16)].into_iter().find(|pair| fits(*pair)).unwrap_or((63, 16));
            tracks = total / sectors;
        }
        Self { cylinders: (tracks / heads) as u16, heads: heads as u8, sectors: sectors as u8 }
    }

    /// How many bytes it describes.
    pub fn size(self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors) * 512
    }
}

/// `C/H/S`.
impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cylinders, self.heads, self.sectors)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_geometries() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        for (size, text) in [
            (4 * MIB, "120/4/17"),       // written by Windows 10
            (127 * GIB, "65278/16/255"), // written by Hyper-V 2012 R2
            (64 * MIB, "963/8/17"),
            (GIB, "2080/16/63"),
            (20 * GIB, "41610/16/63"),
            (40 * GIB, "20560/16/255"),
            (60 * GIB, "30840/16/255"),
            (2040 * GIB, "65535/16/255"),
            (512, "0/4/17"),
        ] {
            assert_eq!(Geometry::of(size).to_string(), text, "{size}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_the_size(size in 0u64..1 << 42) {
            prop_assert!(Geometry::of(size).size() <= size);
        }
    }
}
