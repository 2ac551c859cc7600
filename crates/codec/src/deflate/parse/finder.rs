//! Finding matches: chains of the positions whose first bytes have the same hash.
//!
//! A chain is made for the whole grain at once, before the first match is sought. That takes no branches, and no more
//! time than to put in the positions that a parser passes by; and a search depends on nothing but its position, so it
//! may go in any order.

use crate::encode::window::Window;

pub(super) use crate::deflate::format::MAX_LENGTH;

/// No position: no match begins or ends here. Taken for one, it is too far from any other, modulo 2^64.
const NONE: u16 = u16::MAX;

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

/// A table on the heap.
pub(super) fn table<T: Copy + std::fmt::Debug, const N: usize>(value: T) -> Box<[T; N]> {
    vec![value; N].into_boxed_slice().try_into().expect("the size is right")
}

/// A hash of the first `bytes` of eight bytes.
///
/// It has as many values as there are positions: with half of them, so many positions would be there for nothing that
/// searches took a tenth longer, and found less.
#[inline(always)]
pub(super) fn hash(long: u64, bytes: u32) -> u16 {
    ((long << (64 - 8 * bytes)).wrapping_mul(0x9E37_79B1_85EB_CA87) >> 48) as u16
}

/// For each position the last one before it with the same hash of so many `BYTES`.
#[derive(Clone, Debug)]
pub(super) struct Chain<const BYTES: u32> {
    /// No match is farther.
    reach: usize,
    latest: Box<[u16; 1 << 16]>,
    previous: Box<[u16; 1 << 16]>,
}

impl<const BYTES: u32> Chain<BYTES> {
    pub(super) fn new(reach: usize) -> Self {
        Self { reach, latest: table(NONE), previous: table(NONE) }
    }

    /// Forgets the last grain, for another one.
    pub(super) fn load(&mut self, window: &Window) {
        self.latest.fill(NONE);
        for (at, previous) in self.previous[..window.len()].iter_mut().enumerate() {
            let slot = &mut self.latest[usize::from(hash(window.long(at), BYTES))];
            *previous = std::mem::replace(slot, at as u16);
        }
        self.previous[usize::from(NONE)] = NONE;
    }

    /// The position before `at`; perhaps not one, and then too far away from any.
    #[inline(always)]
    pub(super) fn before(&self, at: usize) -> usize {
        usize::from(self.previous[at & 0xFFFF])
    }

    /// Reports matches for `at`, each longer than the one before and than `least` (3 or more), and farther than the one
    /// before.
    ///
    /// At least [`REACH`] bytes follow it.
    #[inline(always)]
    pub(super) fn search(
        &self,
        window: &Window,
        at: usize,
        least: usize,
        depth: Depth,
        mut report: impl FnMut(Match),
    ) {
        let word = window.word(at);
        let limit = (window.len() - at).min(MAX_LENGTH);
        let mut best = least;
        if best >= limit {
            return;
        }
        // A longer match must agree in the byte behind the best one so far, which most candidates do not: the four
        // bytes that end there are looked at before the first four.
        let mut back = best - 3;
        let mut tail = window.word(at + back);
        let mut from = at;
        for _ in 0..depth.positions {
            from = self.before(from);
            let offset = at.wrapping_sub(from);
            if offset > self.reach {
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
        }
    }
}

/// What a search for any match needs.
#[derive(Clone, Debug)]
pub(super) struct Links {
    pub(super) three: Chain<3>,
    pub(super) four: Chain<4>,
}

impl Links {
    pub(super) fn new(reach: usize) -> Self {
        Self { three: Chain::new(reach), four: Chain::new(reach) }
    }

    /// Forgets the last grain, for another one.
    pub(super) fn load(&mut self, window: &Window) {
        self.three.load(window);
        self.four.load(window);
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
        self.four.search(window, at, least.max(3), depth, |found| best = found);
        if best.length < 3 {
            let from = self.three.before(at);
            let offset = at.wrapping_sub(from);
            if offset <= far.min(self.three.reach) && (window.word(from) ^ window.word(at)) << 8 == 0 {
                best = Match { length: 3, offset };
            }
        }
        best
    }
}
