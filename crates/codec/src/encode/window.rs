//! A chunk of up to 64 KiB, copied to where every 16-bit position can be read eight bytes at a time.

/// What may be read at the last position and behind it.
const PADDING: usize = 8;
const SIZE: usize = (1 << 16) + PADDING;

/// The bytes of a chunk.
///
/// Positions are taken modulo 2^16, which saves the checks; behind the chunk there are zeros or bytes of former
/// chunks, so a result that depends on them must not be used.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    bytes: Box<[u8; SIZE]>,
    len: usize,
}

impl Window {
    pub(crate) fn new() -> Self {
        let bytes = vec![0; SIZE].into_boxed_slice().try_into().expect("the size is right");
        Self { bytes, len: 0 }
    }

    /// Takes a chunk of at most 64 KiB.
    pub(crate) fn load(&mut self, chunk: &[u8]) {
        self.bytes[..chunk.len()].copy_from_slice(chunk);
        self.len = chunk.len();
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bytes[at & 0xFFFF]
    }

    /// Four bytes, the first in the low bits.
    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> u32 {
        let at = at & 0xFFFF;
        let bytes: &[u8; 4] = self.bytes[at..].first_chunk().expect("there is padding");
        u32::from_le_bytes(*bytes)
    }

    #[inline(always)]
    pub(crate) fn long(&self, at: usize) -> u64 {
        let at = at & 0xFFFF;
        let bytes: &[u8; 8] = self.bytes[at..].first_chunk().expect("there is padding");
        u64::from_le_bytes(*bytes)
    }

    /// How many bytes from `a` and `b` on are equal, at most `limit`, given that `known` are.
    #[inline(always)]
    pub(crate) fn common(&self, a: usize, b: usize, known: usize, limit: usize) -> usize {
        let mut length = known;
        while length < limit {
            let difference = self.long(a + length) ^ self.long(b + length);
            if difference != 0 {
                return limit.min(length + difference.trailing_zeros() as usize / 8);
            }
            length += 8;
        }
        limit
    }
}
