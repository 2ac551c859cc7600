//! Numbers of the LZMS format that both decoders share.
//!
//! Microsoft has never described the format. These facts are what wimlib's and 7-Zip's authors found out, and what
//! their programs and ours agree on.

/// The largest chunk: lengths of 2^30 bytes are the largest that the codes can express in one match.
pub(crate) const MAX_CHUNK: usize = 1 << 30;

/// LZMS data is a string of 16-bit little-endian units that is read from both ends: binary decisions, range coded, from
/// the front; everything else, Huffman coded or plain, from the back. The range decoder starts with this many bytes.
pub(crate) const RANGE_START: usize = 4;

/// Binary decisions: how many of the decisions of a class that came before select the probability.
pub(crate) mod context {
    /// Literal, or a match of either kind?
    pub(crate) const MAIN: u32 = 4;
    /// LZ match, or delta match?
    pub(crate) const MATCH: u32 = 5;
    /// All others: explicit source, or a repeated one; the latest, or an earlier one; the second, or the third.
    pub(crate) const SOURCE: u32 = 6;
}

/// A probability is a count of zeros among the last 64 decisions, but never 0 or 64.
pub(crate) mod probability {
    pub(crate) const BITS: u32 = 6;
    pub(crate) const MIN: u32 = 1;
    pub(crate) const MAX: u32 = 63;
    /// What the last 64 decisions are taken to have been at the beginning.
    pub(crate) const INITIAL_HISTORY: u64 = 0x5555_5555;
}

/// When the range falls below this, a unit is shifted in.
pub(crate) const MIN_RANGE: u32 = 1 << 16;

/// How many sources of each kind of match are remembered; the fourth can be reached only right after a match of the
/// same kind.
pub(crate) const SOURCES: usize = 4;

pub(crate) const LITERALS: usize = 256;
pub(crate) const LENGTH_SLOTS: usize = 54;
pub(crate) const POWERS: usize = 8;
pub(crate) const MAX_OFFSET_SLOTS: usize = 799;

/// How many symbols are decoded with a code before it is adapted to them.
pub(crate) mod period {
    pub(crate) const LITERAL: u32 = 1024;
    pub(crate) const OFFSET: u32 = 1024;
    pub(crate) const LENGTH: u32 = 512;
    pub(crate) const POWER: u32 = 512;
}

/// The longest codeword that the frequencies can lead to, in bits: they are halved too often for a longer one.
pub(crate) const MAX_CODEWORD: usize = 15;

/// A number is coded as the slot that it lies in, and its place in the slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<const N: usize> {
    pub(crate) base: [u32; N],
    /// How many bits the place in the slot has.
    pub(crate) extra_bits: [u8; N],
}

impl<const N: usize> Slots<N> {
    /// From the number of slots for each number of extra bits.
    const fn new(widths: &[usize; 31]) -> Self {
        let mut slots = Self { base: [0; N], extra_bits: [0; N] };
        let (mut slot, mut base, mut extra_bits) = (0, 1, 0);
        while extra_bits < widths.len() {
            let mut i = 0;
            while i < widths[extra_bits] {
                slots.base[slot] = base;
                slots.extra_bits[slot] = extra_bits as u8;
                base += 1 << extra_bits;
                slot += 1;
                i += 1;
            }
            extra_bits += 1;
        }
        assert!(slot == N);
        slots
    }
}

pub(crate) static LENGTHS: Slots<LENGTH_SLOTS> = Slots::new(&[
    26, 4, 6, 4, 5, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
]);

pub(crate) static OFFSETS: Slots<MAX_OFFSET_SLOTS> = Slots::new(&[
    8, 0, 9, 7, 10, 15, 15, 20, 20, 30, 33, 40, 42, 45, 60, 73, 80, 85, 95, 105, 6, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1,
]);

/// How many slots the offsets of a chunk of this size are coded with: as many as are needed to reach back from its last
/// byte to its first, but never less than two, which would make no code.
pub(crate) fn offset_slots(chunk: usize) -> usize {
    OFFSETS.base.partition_point(|base| (*base as usize) < chunk).max(2)
}

/// The x86 filter: operands of some instructions were made absolute where the data looks like machine code.
pub(crate) mod x86 {
    /// No instruction begins in the last bytes of a chunk.
    pub(crate) const MARGIN: usize = 16;
    /// Two instructions with the same target this far apart are a sign of machine code.
    pub(crate) const SAME_TARGET: i64 = 65_535;
    /// How far behind a sign instructions are translated ...
    pub(crate) const REACH: i64 = 1023;
    /// ... and calls, whose opcode is the likeliest to be something else.
    pub(crate) const CALL_REACH: i64 = 511;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_join() {
        assert_eq!(OFFSETS.base[..9], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((OFFSETS.base[798], OFFSETS.extra_bits[798]), (0x065b_e4a5, 30));
        assert_eq!((LENGTHS.base[26], LENGTHS.extra_bits[26]), (0x1b, 1));
        assert_eq!((LENGTHS.base[53], LENGTHS.extra_bits[53]), (0x108ab, 30));
        for chunk in [1, 2, 3, 4, 9, 10, 13, 14, 1 << 17, 1 << 26, 1 << 30] {
            let slots = offset_slots(chunk);
            let last = |slot: usize| u64::from(OFFSETS.base[slot]) + (1 << OFFSETS.extra_bits[slot]) - 1;
            assert!(last(slots - 1) + 1 >= chunk as u64, "{chunk}");
            assert!(slots == 2 || last(slots - 2) + 1 < chunk as u64, "{chunk}");
        }
        assert_eq!(offset_slots(MAX_CHUNK), MAX_OFFSET_SLOTS);
    }
}
