//! The numbers of LZX as WIM uses it.
//!
//! A chunk is independent of its neighbours: repeat offsets, codeword lengths and the window start afresh. What
//! differs from LZX in cabinets: no translation header, no 24-bit sizes by default, no matches beyond 257 bytes.

use crate::Error;

/// Symbols of the main code that stand for bytes.
pub(crate) const LITERALS: usize = 256;
/// Symbols of the length code.
pub(crate) const LENGTH_SYMBOLS: usize = 249;
/// Symbols of the aligned offset code: the low three bits of an offset.
pub(crate) const ALIGNED_SYMBOLS: usize = 8;
/// Symbols of the pretree code: differences 0 to 16, and three kinds of runs.
pub(crate) const PRETREE_SYMBOLS: usize = 20;
/// The shortest match. The longest is this + 7 + 248 = 257.
pub(crate) const MIN_MATCH: usize = 2;
/// The size of a block whose header does not say one.
pub(crate) const DEFAULT_BLOCK_SIZE: usize = 32768;
/// The main symbols of the largest window.
pub(crate) const MAX_MAIN_SYMBOLS: usize = LITERALS + 8 * 50;

/// The file size that the x86 filter pretends, for every chunk.
pub(crate) const E8_FILE_SIZE: i32 = 12_000_000;
/// The filter leaves the last ten bytes of a chunk alone.
pub(crate) const E8_MARGIN: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockType {
    Verbatim,
    Aligned,
    Uncompressed,
}

impl BlockType {
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Verbatim),
            2 => Some(Self::Aligned),
            3 => Some(Self::Uncompressed),
            _ => None,
        }
    }
}

/// What follows from the chunk size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    order: u32,
}

impl Window {
    pub(crate) fn new(chunk_size: usize) -> Result<Self, Error> {
        if !chunk_size.is_power_of_two() || !(1 << 15..=1 << 21).contains(&chunk_size) {
            return Err(Error::ChunkSize { size: chunk_size });
        }
        Ok(Self { order: chunk_size.trailing_zeros() })
    }

    pub(crate) fn size(self) -> usize {
        1 << self.order
    }

    pub(crate) fn check(self, dst: &[u8]) -> Result<(), Error> {
        if dst.len() > self.size() {
            return Err(Error::OutputSize { size: dst.len(), limit: self.size() });
        }
        Ok(())
    }

    /// Each slot is a range of offsets.
    pub(crate) fn slots(self) -> usize {
        match self.order {
            20 => 42,
            21 => 50,
            order => order as usize * 2,
        }
    }

    pub(crate) fn main_symbols(self) -> usize {
        LITERALS + 8 * self.slots()
    }

    /// The last two offsets of the last slot are lost to the two that a base is lowered by, and one to tradition.
    pub(crate) fn max_offset(self) -> u32 {
        self.size() as u32 - 3
    }

    /// Width of an explicit block size. The most significant bits come first, so more bits are just more bits.
    pub(crate) fn block_size_bits(self) -> u32 {
        if self.order >= 16 { 24 } else { 16 }
    }
}

/// Offset slots from 3 on (0 to 2 are the repeat offsets).
pub(crate) mod slot {
    /// How many bits below the slot's base follow in the stream.
    pub(crate) const fn extra_bits(slot: usize) -> u32 {
        match slot {
            0..=3 => 0,
            4..=35 => (slot / 2 - 1) as u32,
            _ => 17,
        }
    }

    /// The smallest offset of the slot plus two is this, shifted left by the slot's extra bits.
    pub(crate) const fn prefix(slot: usize) -> u32 {
        match slot {
            0..=3 => slot as u32,
            4..=35 => 2 + (slot % 2) as u32,
            _ => slot as u32 - 34,
        }
    }

    /// The smallest offset of the slot.
    pub(crate) const fn base(slot: usize) -> u32 {
        (prefix(slot) << extra_bits(slot)) - 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_tile_the_offsets() {
        assert_eq!(slot::base(3), 1);
        for s in 3..50 {
            assert_eq!(slot::base(s + 1), slot::base(s) + (1 << slot::extra_bits(s)), "slot {s}");
        }
        for (order, slots) in [(15, 30), (16, 32), (17, 34), (18, 36), (19, 38), (20, 42), (21, 50)] {
            let window = Window::new(1 << order).expect("valid");
            assert_eq!(window.slots(), slots);
            assert_eq!(slot::base(slots), window.max_offset() + 1, "order {order}");
        }
    }

    #[test]
    fn chunk_sizes() {
        for size in [0, 1, 1 << 14, (1 << 15) + 1, 3 << 14, 1 << 22, usize::MAX] {
            assert!(matches!(Window::new(size), Err(Error::ChunkSize { .. })), "{size}");
        }
    }
}
