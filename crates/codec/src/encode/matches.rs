//! Finding matches: chains of the positions whose first bytes have the same hash, latest first.
//!
//! Two tables are kept. One has chains of positions with equal four bytes, in which longer matches are sought; one
//! has only the latest position with the same three bytes, because a match of three bytes pays for itself only when
//! it is near.

use super::window::Window;

/// No position: four bytes never begin here, as a chunk has at most 2^16.
const NONE: u16 = u16::MAX;

/// The largest tables; smaller chunks use a part, which is quicker to clear and to keep in the cache.
const MAX_BITS_4: u32 = 15;
const MAX_BITS_3: u32 = 14;
const SIZE_4: usize = 1 << MAX_BITS_4;
const SIZE_3: usize = 1 << MAX_BITS_3;

/// At least so many bytes have to follow where a match is sought, or a position is remembered.
pub(crate) const REACH: usize = 4;

/// A match: where it copies from, relative to where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) length: usize,
    pub(crate) offset: usize,
}

/// How hard to search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How many earlier positions to look at.
    pub(crate) depth: u32,
    /// A match of this length ends the search.
    pub(crate) nice: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Chains {
    latest_4: Box<[u16; SIZE_4]>,
    latest_3: Box<[u16; SIZE_3]>,
    /// For each position, the one before it with the same hash of four bytes.
    previous: Box<[u16; 1 << 16]>,
    mask_4: u32,
    mask_3: u32,
}

fn table<const N: usize>() -> Box<[u16; N]> {
    vec![NONE; N].into_boxed_slice().try_into().expect("the size is right")
}

impl Chains {
    pub(crate) fn new() -> Self {
        Self { latest_4: table(), latest_3: table(), previous: table(), mask_4: 0, mask_3: 0 }
    }

    /// Forgets the last chunk, for one of `size` bytes.
    pub(crate) fn reset(&mut self, size: usize) {
        let bits = size.max(2).ilog2();
        let (bits_4, bits_3) = (bits.clamp(8, MAX_BITS_4), (bits - 1).clamp(8, MAX_BITS_3));
        (self.mask_4, self.mask_3) = ((1 << bits_4) - 1, (1 << bits_3) - 1);
        self.latest_4[..1 << bits_4].fill(NONE);
        self.latest_3[..1 << bits_3].fill(NONE);
    }

    /// Remembers the position and returns the latest ones before it with the same hash of three and of four bytes.
    #[inline(always)]
    fn enter(&mut self, word: u32, at: usize) -> (u16, u16) {
        let hash_4 = word.wrapping_mul(0x9E37_79B1) >> (32 - MAX_BITS_4) & self.mask_4;
        let hash_3 = (word << 8).wrapping_mul(0x9E37_79B1) >> (32 - MAX_BITS_3) & self.mask_3;
        let slot_3 = &mut self.latest_3[hash_3 as usize & (SIZE_3 - 1)];
        let latest_3 = std::mem::replace(slot_3, at as u16);
        let slot_4 = &mut self.latest_4[hash_4 as usize & (SIZE_4 - 1)];
        let latest_4 = std::mem::replace(slot_4, at as u16);
        debug_assert!(latest_4 == NONE || usize::from(latest_4) < at, "remembered twice");
        self.previous[at & 0xFFFF] = latest_4;
        (latest_3, latest_4)
    }

    /// Remembers positions without a search. At least [`REACH`] bytes follow each.
    #[inline(always)]
    pub(crate) fn skip(&mut self, window: &Window, positions: std::ops::Range<usize>) {
        for at in positions {
            self.enter(window.word(at), at);
        }
    }

    /// The first of the longest matches for `at` that are longer than `least` (2 or more), and remembers the position.
    ///
    /// At least [`REACH`] bytes follow it. Without a match the length is `least`.
    #[inline(always)]
    pub(crate) fn longest(&mut self, window: &Window, at: usize, least: usize, effort: Effort) -> Match {
        let mut best = Match { length: least, offset: 0 };
        self.search(window, at, least, effort, |found| best = found);
        best
    }

    /// Remembers the position, and reports matches for it, each longer than the one before and than `least` (2 or
    /// more), and not nearer.
    ///
    /// At least [`REACH`] bytes follow it.
    #[inline(always)]
    pub(crate) fn search(
        &mut self,
        window: &Window,
        at: usize,
        least: usize,
        effort: Effort,
        mut report: impl FnMut(Match),
    ) {
        let word = window.word(at);
        let (latest_3, mut candidate) = self.enter(word, at);
        let limit = window.len() - at;
        let mut best = least;
        if best < 3 && latest_3 != NONE && (window.word(usize::from(latest_3)) ^ word) << 8 == 0 {
            best = 3;
            report(Match { length: 3, offset: at - usize::from(latest_3) });
        }
        if best >= limit {
            return;
        }
        let mut depth = effort.depth;
        // A longer match must agree in the byte behind the best one so far, which most candidates do not: the four
        // bytes that end there are looked at before the first four.
        let mut back = best.saturating_sub(3);
        let mut tail = window.word(at + back);
        while candidate != NONE && depth > 0 {
            depth -= 1;
            let from = usize::from(candidate);
            if window.word(from + back) == tail && window.word(from) == word {
                let length = window.common(from, at, 4, limit);
                if length > best {
                    best = length;
                    report(Match { length, offset: at - from });
                    if length >= effort.nice || length == limit {
                        return;
                    }
                    back = best - 3;
                    tail = window.word(at + back);
                }
            }
            candidate = self.previous[from];
        }
    }
}
