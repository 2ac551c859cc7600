//! Finding matches: chains of the positions with the same hash.
//!
//! The chains are made for the whole grain at once, before the first match is sought. That takes no branches and no
//! more time than to put in what a parser skips, and a search depends on nothing but the position.

use crate::encode::window::Window;

pub(super) use crate::deflate::format::{MAX_LENGTH, MAX_OFFSET};

/// No position: four bytes never begin here. Taken as one, it is too far from any other, modulo 2^64.
const NONE: u16 = u16::MAX;

const BITS_4: u32 = 15;
const BITS_3: u32 = 14;

/// At least so many bytes have to follow where a match is sought.
pub(super) const REACH: usize = 4;

/// A match: where it copies from, relative to where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) offset: usize,
}

/// How hard to search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    /// How many earlier positions to look at.
    pub(super) positions: u32,
    /// A match of this length ends the search.
    pub(super) nice: usize,
}

/// For each position the ones before it with the same first bytes, or the same hash of them.
#[derive(Clone, Debug)]
pub(super) struct Links {
    latest_4: Box<[u16; 1 << BITS_4]>,
    latest_3: Box<[u16; 1 << BITS_3]>,
    /// For each position the last one before it with the same hash of four bytes.
    previous_4: Box<[u16; 1 << 16]>,
    /// And of three.
    previous_3: Box<[u16; 1 << 16]>,
}

/// A table on the heap.
pub(super) fn table<T: Copy + std::fmt::Debug, const N: usize>(value: T) -> Box<[T; N]> {
    vec![value; N].into_boxed_slice().try_into().expect("the size is right")
}

/// A hash of four bytes.
#[inline(always)]
pub(super) fn hash_4<const BITS: u32>(word: u32) -> usize {
    (word.wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// A hash of the first three of four bytes.
#[inline(always)]
fn hash_3<const BITS: u32>(word: u32) -> usize {
    hash_4::<BITS>(word << 8)
}

impl Links {
    pub(super) fn new() -> Self {
        Self {
            latest_4: table(NONE),
            latest_3: table(NONE),
            previous_4: table(NONE),
            previous_3: table(NONE),
        }
    }

    /// Forgets the last grain, for another one.
    pub(super) fn load(&mut self, window: &Window) {
        self.latest_4.fill(NONE);
        self.latest_3.fill(NONE);
        let len = window.len();
        let links = self.previous_4[..len].iter_mut().zip(&mut self.previous_3[..len]);
        for (at, (previous_4, previous_3)) in links.enumerate() {
            let word = window.word(at);
            let (slot_4, slot_3) = (hash_4::<BITS_4>(word), hash_3::<BITS_3>(word));
            *previous_4 = std::mem::replace(&mut self.latest_4[slot_4 % (1 << BITS_4)], at as u16);
            *previous_3 = std::mem::replace(&mut self.latest_3[slot_3 % (1 << BITS_3)], at as u16);
        }
    }

    /// The nearest of the longest matches for `at` that are longer than `least` (2 or more); one of three bytes is not
    /// farther than `far`.
    ///
    /// At least [`REACH`] bytes follow it. Without a match the offset is 0.
    #[inline(always)]
    pub(super) fn longest(
        &self,
        window: &Window,
        at: usize,
        least: usize,
        far: usize,
        depth: Depth,
    ) -> Match {
        let mut best = Match { length: least, offset: 0 };
        self.search(window, at, least, far, depth, |found| best = found);
        best
    }

    /// Reports matches for `at`, each longer than the one before and than `least` (2 or more), and, but for the
    /// first, farther; one of three bytes is not farther than `far`.
    ///
    /// At least [`REACH`] bytes follow it.
    #[inline(always)]
    pub(super) fn search(
        &self,
        window: &Window,
        at: usize,
        least: usize,
        far: usize,
        depth: Depth,
        mut report: impl FnMut(Match),
    ) {
        let word = window.word(at);
        let limit = (window.len() - at).min(MAX_LENGTH);
        let mut best = least;
        if best < 3 {
            let from = usize::from(self.previous_3[at & 0xFFFF]);
            let offset = at.wrapping_sub(from);
            if offset <= far && (window.word(from) ^ word) << 8 == 0 {
                best = 3;
                report(Match { length: 3, offset });
            }
        }
        if best >= limit {
            return;
        }
        let mut from = usize::from(self.previous_4[at & 0xFFFF]);
        let mut positions = depth.positions;
        // A longer match must agree in the byte behind the best one so far, which most candidates do not: the four
        // bytes that end there are looked at before the first four.
        let mut back = best.saturating_sub(3);
        let mut tail = window.word(at + back);
        loop {
            let offset = at.wrapping_sub(from);
            if offset > MAX_OFFSET {
                return;
            }
            if window.word(from + back) == tail && window.word(from) == word {
                let length = window.common(from, at, 4, limit);
                if length > best {
                    best = length;
                    report(Match { length, offset });
                    if length >= depth.nice || length == limit {
                        return;
                    }
                    back = best - 3;
                    tail = window.word(at + back);
                }
            }
            positions -= 1;
            if positions == 0 {
                return;
            }
            from = usize::from(self.previous_4[from]);
        }
    }
}
