//! The upper-case table by which Windows compares, sorts and hashes names, of files and of registry keys alike.
//!
//! Each UTF-16 code unit is mapped by itself. It is neither Unicode's nor any language's idea of upper case (it lacks
//! U+00B5 → U+039C, for instance), and a name is not found if the table differs from what sorted its siblings. So it is a
//! table of facts: the 973 code units whose partner is another, as 134 arithmetic runs. The result is what Windows 10
//! writes to its volumes as `$UpCase`, bit by bit.

use std::sync::LazyLock;

/// (first unit, how many, step, what to add).
#[rustfmt::skip]
const RUNS: [(u16, u16, u16, i32); 134] = [
    (0x0061, 26, 1, -32), (0x00E0, 23, 1, -32), (0x00F8, 7, 1, -32), (0x00FF, 1, 1, 121),
    (0x0101, 24, 2, -1), (0x0133, 3, 2, -1), (0x013A, 8, 2, -1), (0x014B, 23, 2, -1), (0x017A, 3, 2, -1),
    (0x0180, 1, 1, 195), (0x0183, 2, 2, -1), (0x0188, 1, 1, -1), (0x018C, 1, 1, -1), (0x0192, 1, 1, -1),
    (0x0195, 1, 1, 97), (0x0199, 1, 1, -1), (0x019A, 1, 1, 163), (0x019E, 1, 1, 130), (0x01A1, 3, 2, -1),
    (0x01A8, 1, 1, -1), (0x01AD, 1, 1, -1), (0x01B0, 1, 1, -1), (0x01B4, 2, 2, -1), (0x01B9, 1, 1, -1),
    (0x01BD, 1, 1, -1), (0x01BF, 1, 1, 56), (0x01C6, 1, 1, -2), (0x01C9, 1, 1, -2), (0x01CC, 1, 1, -2),
    (0x01CE, 8, 2, -1), (0x01DD, 1, 1, -79), (0x01DF, 9, 2, -1), (0x01F3, 1, 1, -2), (0x01F5, 1, 1, -1),
    (0x01F9, 20, 2, -1), (0x0223, 9, 2, -1), (0x023C, 1, 1, -1), (0x0242, 1, 1, -1), (0x0247, 5, 2, -1),
    (0x0250, 1, 1, 10783), (0x0251, 1, 1, 10780), (0x0253, 1, 1, -210), (0x0254, 1, 1, -206),
    (0x0256, 2, 1, -205), (0x0259, 1, 1, -202), (0x025B, 1, 1, -203), (0x0260, 1, 1, -205),
    (0x0263, 1, 1, -207), (0x0268, 1, 1, -209), (0x0269, 1, 1, -211), (0x026B, 1, 1, 10743),
    (0x026F, 1, 1, -211), (0x0271, 1, 1, 10749), (0x0272, 1, 1, -213), (0x0275, 1, 1, -214),
    (0x027D, 1, 1, 10727), (0x0280, 1, 1, -218), (0x0283, 1, 1, -218), (0x0288, 1, 1, -218),
    (0x0289, 1, 1, -69), (0x028A, 2, 1, -217), (0x028C, 1, 1, -71), (0x0292, 1, 1, -219),
    (0x0371, 2, 2, -1), (0x0377, 1, 1, -1), (0x037B, 3, 1, 130), (0x03AC, 1, 1, -38), (0x03AD, 3, 1, -37),
    (0x03B1, 17, 1, -32), (0x03C3, 9, 1, -32), (0x03CC, 1, 1, -64), (0x03CD, 2, 1, -63), (0x03D7, 1, 1, -8),
    (0x03D9, 12, 2, -1), (0x03F2, 1, 1, 7), (0x03F8, 1, 1, -1), (0x03FB, 1, 1, -1), (0x0430, 32, 1, -32),
    (0x0450, 16, 1, -80), (0x0461, 17, 2, -1), (0x048B, 27, 2, -1), (0x04C2, 7, 2, -1), (0x04CF, 1, 1, -15),
    (0x04D1, 42, 2, -1), (0x0561, 38, 1, -48), (0x1D79, 1, 1, -30204), (0x1D7D, 1, 1, 3814),
    (0x1E01, 75, 2, -1), (0x1EA1, 48, 2, -1), (0x1F00, 8, 1, 8), (0x1F10, 6, 1, 8), (0x1F20, 8, 1, 8),
    (0x1F30, 8, 1, 8), (0x1F40, 6, 1, 8), (0x1F51, 4, 2, 8), (0x1F60, 8, 1, 8), (0x1F70, 2, 1, 74),
    (0x1F72, 4, 1, 86), (0x1F76, 2, 1, 100), (0x1F78, 2, 1, 128), (0x1F7A, 2, 1, 112), (0x1F7C, 2, 1, 126),
    (0x1F80, 8, 1, 8), (0x1F90, 8, 1, 8), (0x1FA0, 8, 1, 8), (0x1FB0, 2, 1, 8), (0x1FB3, 1, 1, 9),
    (0x1FC3, 1, 1, 9), (0x1FD0, 2, 1, 8), (0x1FE0, 2, 1, 8), (0x1FE5, 1, 1, 7), (0x1FF3, 1, 1, 9),
    (0x214E, 1, 1, -28), (0x2170, 16, 1, -16), (0x2184, 1, 1, -1), (0x24D0, 26, 1, -26),
    (0x2C30, 47, 1, -48), (0x2C61, 1, 1, -1), (0x2C65, 1, 1, -10795), (0x2C66, 1, 1, -10792),
    (0x2C68, 3, 2, -1), (0x2C73, 1, 1, -1), (0x2C76, 1, 1, -1), (0x2C81, 50, 2, -1), (0x2D00, 38, 1, -7264),
    (0xA641, 16, 2, -1), (0xA663, 6, 2, -1), (0xA681, 12, 2, -1), (0xA723, 7, 2, -1), (0xA733, 31, 2, -1),
    (0xA77A, 2, 2, -1), (0xA77F, 5, 2, -1), (0xA78C, 1, 1, -1), (0xFF41, 26, 1, -32),
];

static TABLE: LazyLock<Box<[u16]>> = LazyLock::new(|| {
    let mut table: Box<[u16]> = (0..=u16::MAX).collect();
    for (first, count, step, add) in RUNS {
        for i in 0..count {
            let unit = first + i * step;
            table[usize::from(unit)] = (i32::from(unit) + add) as u16;
        }
    }
    table
});

/// The table: one unit for each of the 65,536.
#[inline]
pub fn table() -> &'static [u16] {
    &TABLE
}

/// The upper-case partner of a code unit, or itself.
#[inline]
pub fn upcase(unit: u16) -> u16 {
    match unit {
        0..0x61 => unit,
        0x61..=0x7A => unit - 0x20,
        0x7B..0xE0 => unit,
        _ => TABLE[usize::from(unit)],
    }
}

/// CRC-64 of the table in bytes, as `$UpCase:$Info` holds it: ECMA-182, reflected, preset and final inversion.
pub const CRC64: u64 = 0xDADC_7E77_6B1B_690C;

#[cfg(test)]
mod tests {
    use super::*;

    fn crc64(units: &[u16]) -> u64 {
        let bytes = units.iter().flat_map(|unit| unit.to_le_bytes());
        !bytes.fold(!0u64, |crc, byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0x9A6C_9329_AC4B_C9B5 } else { crc >> 1 }
            })
        })
    }

    #[test]
    fn is_the_table_of_windows() {
        // The CRC is what Windows 10 stores next to its own table, so it vouches for every unit.
        assert_eq!(crc64(table()), CRC64);
        assert_eq!(
            table().iter().enumerate().filter(|&(unit, &upper)| usize::from(upper) != unit).count(),
            973
        );
        assert!((0..=u16::MAX).all(|unit| upcase(unit) == table()[usize::from(unit)]), "short cuts");
        assert_eq!(table()[0xB5], 0xB5);
        assert_eq!(table()[usize::from(b'z')], u16::from(b'Z'));
        assert_eq!(table()[0xE4], 0xC4);
    }
}
