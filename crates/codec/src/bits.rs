//! The bit string of a chunk, 64 bits at a time.
//!
//! LZX and XPRESS are strings of 16-bit little-endian units, the most significant bit first. [`Units`] swaps the bytes
//! of every unit beforehand, so that what remains is a plain big-endian bit string: a refill is one unaligned load
//! and may happen at any byte, which leaves at least 56 bits in the buffer, enough for any token of LZX (49 bits) and
//! for several of most. Zeros behind the data let refills run past the end unchecked; whoever finishes a chunk compares
//! [`Bits::consumed`] with the length of the data.

/// A copy of the compressed data with the bytes of every unit swapped, and zeros behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    bytes: Vec<u8>,
}

/// How many zero bytes follow the data.
///
/// A fast loop may go around while its position is not past the data, and advances by less than three refills (seven
/// bytes each) and one load (eight bytes) per round.
pub(crate) const PADDING: usize = 64;

impl Units {
    /// Takes over `data`, whose last byte has no part in any unit if its length is odd.
    ///
    /// Returns the bytes, [`PADDING`] included.
    pub(crate) fn load(&mut self, data: &[u8]) -> &[u8] {
        let whole = data.len() & !1;
        let padded = whole + PADDING;
        if self.bytes.len() < padded {
            self.bytes.resize(padded, 0);
        }
        let (units, padding) = self.bytes[..padded].split_at_mut(whole);
        // Compilers turn this loop into vector shifts.
        for (to, from) in units.as_chunks_mut().0.iter_mut().zip(data.as_chunks().0) {
            *to = u16::from_ne_bytes(*from).swap_bytes().to_ne_bytes();
        }
        padding.fill(0);
        &self.bytes[..padded]
    }
}

/// A position in a bit string, with the bits that follow it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bits {
    /// The bits ahead, left-aligned. Below the first `left` there may be more bits of the string, never other ones.
    pub(crate) buffer: u64,
    /// How many bits of the buffer count; meaningful modulo 64.
    pub(crate) left: u32,
    /// The byte that the next refill begins with.
    pub(crate) next: usize,
}

/// The bits behind the zero padding were asked for.
#[derive(Debug)]
pub(crate) struct PastTheEnd;

impl Bits {
    /// At a byte position.
    pub(crate) fn at(next: usize) -> Self {
        Self { buffer: 0, left: 0, next }
    }

    /// The position in bits.
    pub(crate) fn consumed(&self) -> usize {
        self.next * 8 - (self.left & 63) as usize
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub(crate) fn refill(&mut self, units: &[u8]) -> Result<(), PastTheEnd> {
        let bytes = units.get(self.next..).and_then(|rest| rest.first_chunk()).ok_or(PastTheEnd)?;
        self.left &= 63;
        self.buffer |= u64::from_be_bytes(*bytes) >> self.left;
        self.next += ((63 - self.left) / 8) as usize;
        self.left |= 56;
        Ok(())
    }

    /// The first `count` bits, at most 32; they must be available.
    #[inline(always)]
    pub(crate) fn peek(&self, count: u32) -> u32 {
        // Two shifts, because `count` may be zero.
        (self.buffer >> 32 >> (32 - count)) as u32
    }

    #[inline(always)]
    pub(crate) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.left = self.left.wrapping_sub(count);
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count);
        value
    }
}
