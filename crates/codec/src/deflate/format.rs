//! What DEFLATE (RFC 1951) and its zlib framing (RFC 1950) prescribe.

/// The shortest match.
pub(super) const MIN_LENGTH: usize = 3;
/// The longest match.
pub(super) const MAX_LENGTH: usize = 258;
/// The farthest match.
pub(super) const MAX_OFFSET: usize = 32768;
/// Symbols for literals, the end of a block and lengths. The last two never occur.
pub(super) const LITERAL_SYMBOLS: usize = 288;
/// Symbols for offsets. The last two never occur.
pub(super) const OFFSET_SYMBOLS: usize = 32;
/// Symbols for the lengths of codewords.
pub(super) const PRECODE_SYMBOLS: usize = 19;
/// The symbol that ends a block.
pub(super) const END_OF_BLOCK: usize = 256;
/// The symbol for the shortest match; the others follow.
pub(super) const FIRST_LENGTH: usize = 257;
/// Longest codeword for literals, lengths and offsets.
pub(super) const MAX_BITS: usize = 15;
/// Longest codeword for lengths of codewords.
pub(super) const MAX_PRECODE_BITS: usize = 7;
/// The order in which the lengths of those codewords are written (3.2.7).
pub(super) const PRECODE_ORDER: [u8; PRECODE_SYMBOLS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Most bytes of a stored block.
pub(super) const MAX_STORED: usize = 65_535;

/// For each length: its slot, whose symbol is [`FIRST_LENGTH`] more.
pub(super) const LENGTH_SLOTS: [u8; MAX_LENGTH + 1] = {
    let mut slots = [0; MAX_LENGTH + 1];
    let mut length = MIN_LENGTH;
    while length < MAX_LENGTH {
        let over = length - MIN_LENGTH;
        slots[length] = if over < 8 {
            over as u8
        } else {
            let log = over.ilog2() as usize;
            (4 * (log - 1) + (over >> (log - 2) & 3)) as u8
        };
        length += 1;
    }
    slots[MAX_LENGTH] = 28;
    slots
};

/// For each length slot: the extra bits behind its symbol.
pub(super) const LENGTH_EXTRA: [u8; 29] = {
    let mut extra = [0; 29];
    let mut slot = 8;
    while slot < 28 {
        extra[slot] = (slot / 4 - 1) as u8;
        slot += 1;
    }
    extra
};

/// The value of the extra bits of a length.
pub(super) const fn length_extra(length: usize) -> u32 {
    if length == MAX_LENGTH {
        return 0;
    }
    let bits = LENGTH_EXTRA[LENGTH_SLOTS[length] as usize];
    (length - MIN_LENGTH) as u32 & ((1 << bits) - 1)
}

/// The symbols of offsets: those up to 256 one by one, from there on by 128.
static OFFSET_SLOTS: [u8; 512] = {
    let mut slots = [0; 512];
    let mut entry = 0;
    while entry < 512 {
        let over = if entry < 256 { entry } else { (entry - 256) << 7 };
        slots[entry] = if over < 2 {
            over as u8
        } else {
            let log = (over as u32).ilog2();
            (2 * log + (over as u32 >> (log - 1) & 1)) as u8
        };
        entry += 1;
    }
    slots
};

/// The symbol of an offset.
#[inline(always)]
pub(super) fn offset_slot(offset: u32) -> usize {
    let over = offset.wrapping_sub(1) as usize;
    let entry = if over < 256 { over } else { 256 + (over >> 7) };
    usize::from(OFFSET_SLOTS[entry % 512])
}

/// The number of extra bits behind the symbol of an offset.
#[inline(always)]
pub(super) fn offset_extra_bits(slot: usize) -> u32 {
    (slot as u32 >> 1).saturating_sub(1)
}

/// zlib's checksum.
///
/// 16 sums side by side, as wide as vectors are; a grain is short enough for them not to overflow.
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u64 = 65_521;
    const LANES: usize = 16;
    // 4,096 groups: the second sums stay below 2^32.
    const AT_ONCE: usize = LANES << 12;
    let (mut a, mut b) = (1_u64, 0_u64);
    for part in bytes.chunks(AT_ONCE) {
        let (groups, rest) = part.as_chunks::<LANES>();
        let (mut sums, mut sums_of_sums) = ([0_u32; LANES], [0_u32; LANES]);
        for group in groups {
            for lane in 0..LANES {
                sums[lane] += u32::from(group[lane]);
                sums_of_sums[lane] += sums[lane];
            }
        }
        b += a * (groups.len() * LANES) as u64;
        for (lane, (sum, sum_of_sums)) in sums.iter().zip(sums_of_sums).enumerate() {
            a += u64::from(*sum);
            b += u64::from(sum_of_sums) * LANES as u64 - u64::from(*sum) * lane as u64;
        }
        for byte in rest {
            a += u64::from(*byte);
            b += a;
        }
        a %= BASE;
        b %= BASE;
    }
    (b << 16 | a) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of RFC 1951, 3.2.5: symbol, extra bits, first length.
    #[test]
    fn lengths() {
        let table = [
            (257, 0, 3),
            (264, 0, 10),
            (265, 1, 11),
            (268, 1, 17),
            (269, 2, 19),
            (272, 2, 31),
            (273, 3, 35),
            (276, 3, 59),
            (277, 4, 67),
            (280, 4, 115),
            (281, 5, 131),
            (284, 5, 227),
            (285, 0, 258),
        ];
        for (symbol, extra, first) in table {
            let slot = usize::from(LENGTH_SLOTS[first]);
            assert_eq!((slot + FIRST_LENGTH, LENGTH_EXTRA[slot]), (symbol, extra));
            assert_eq!(length_extra(first), 0);
        }
        assert_eq!(length_extra(257), 30);
        assert_eq!(LENGTH_SLOTS[257], 27);
    }

    #[test]
    fn offsets() {
        let table = [
            (0, 0, 1),
            (1, 0, 2),
            (2, 0, 3),
            (3, 0, 4),
            (4, 1, 5),
            (5, 1, 7),
            (6, 2, 9),
            (9, 3, 25),
            (16, 7, 257),
            (28, 13, 16385),
            (29, 13, 24577),
        ];
        for (slot, extra, first) in table {
            assert_eq!((offset_slot(first), offset_extra_bits(slot)), (slot, extra));
            assert!(first == 1 || offset_slot(first - 1) == slot - 1);
        }
        assert_eq!(offset_slot(32768), 29);
    }

    #[test]
    fn checksum() {
        let simple = |bytes: &[u8]| {
            let (mut a, mut b) = (1_u32, 0_u32);
            for byte in bytes {
                a = (a + u32::from(*byte)) % 65_521;
                b = (b + a) % 65_521;
            }
            b << 16 | a
        };
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        for len in [0, 1, 15, 16, 17, 5552, 65_535, 65_536, 65_537, 200_000] {
            let worst = vec![255; len];
            assert_eq!(adler32(&worst), simple(&worst), "{len}");
            let mixed: Vec<u8> = (0..len).map(|i| ((i * i) >> 3) as u8).collect();
            assert_eq!(adler32(&mixed), simple(&mixed), "{len}");
        }
    }
}
