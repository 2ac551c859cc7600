//! The fast parser.
//!
//! What costs time in a parser is guessing wrong whether there is a match. So a first pass, without branches, compares
//! each position with the last one that has the same hash, eight bytes at once, and notes how far they agree. The
//! second pass jumps from match to match in these notes; that the next position has a longer match is seen, and used,
//! without a branch too. Only where a match is taken, the position before that one is looked at.
//!
//! What did not help, next to 160 µs for a grain without that last look, or 185 with it: two candidates in the first
//! pass (270 µs, and 0.5 % smaller than with the look); one of three bytes there (270 µs, 0.5 %); a second step to the
//! next position (10 µs more, nothing); taking turns in blocks that stay in the cache, so that the first pass can leave
//! out what a match covers (a tenth slower); and the usual way, one pass with a table, which is as fast without the
//! step to the next position, and so 1.5 % larger.

use super::finder::{MAX_LENGTH, REACH, hash, table};
use crate::Token;
use crate::encode::window::Window;

/// In the table, where no position was put yet. From 32,768 on it is a candidate like others, compared like others;
/// before that, it would lie ahead, and is too far away modulo 2^16.
const NOWHERE: u16 = 32_767;

/// How many bytes are compared in the first pass.
const AT_ONCE: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Fast {
    /// No match is farther.
    reach: usize,
    latest: Box<[u16; 1 << 16]>,
    /// For each position, the last one before it with the same hash.
    from: Box<[u16; 1 << 16]>,
    /// For each position, how many bits agree with those there: up to 64.
    equal: Box<[u8; (1 << 16) + AT_ONCE]>,
}

/// The bits of a number of equal bits that say that at least 4 bytes are, for eight positions.
const FOUR_BYTES: u64 = 0x6060_6060_6060_6060;

impl Fast {
    pub(super) fn new(reach: usize) -> Self {
        Self { reach, latest: table(NOWHERE), from: table(0), equal: table(0) }
    }

    pub(super) fn parse(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        self.compare(window);
        self.walk(window, tokens);
    }

    fn compare(&mut self, window: &Window) {
        self.latest.fill(NOWHERE);
        let (len, reach) = (window.len(), self.reach);
        for (at, (link, equal)) in self.from[..len].iter_mut().zip(&mut self.equal[..len]).enumerate() {
            let bytes = window.long(at);
            let slot = &mut self.latest[usize::from(hash(bytes, 4))];
            let from = std::mem::replace(slot, at as u16);
            let bits = (bytes ^ window.long(usize::from(from))).trailing_zeros() as u8;
            let near = usize::from((at as u16).wrapping_sub(from).wrapping_sub(1)) < reach;
            *link = from;
            *equal = if near { bits } else { 0 };
        }
        // What is behind the grain does not count.
        for (left, equal) in self.equal[..len].iter_mut().rev().take(AT_ONCE).enumerate() {
            *equal = (*equal).min(left as u8 * 8 + 8);
        }
    }

    fn walk(&self, window: &Window, tokens: &mut Vec<Token>) {
        let (mut at, mut start) = (0, 0);
        // Where matches may begin.
        let end = (window.len() + 1).saturating_sub(REACH);
        while at < end {
            let notes = self.equal[at & 0xFFFF..].first_chunk().expect("there is padding");
            let matches = u64::from_le_bytes(*notes) & FOUR_BYTES;
            if matches == 0 {
                at += AT_ONCE;
                continue;
            }
            at += matches.trailing_zeros() as usize / 8;
            if at >= end {
                break;
            }
            let bytes = |at: usize| usize::from(self.equal[at] / 8);
            at += usize::from(bytes((at & 0xFFFF) + 1) > bytes(at & 0xFFFF));
            let (length, from) = self.better_of_two(window, at);
            tokens.push(Token {
                literals: (at - start) as u32,
                length: length as u32,
                offset: (at - from) as u32,
            });
            at += length;
            start = at;
        }
        super::finish(window, start, tokens);
    }
    /// The longer of the matches with the last position that has the same hash and with the one before that.
    #[inline(always)]
    fn better_of_two(&self, window: &Window, at: usize) -> (usize, usize) {
        let limit = (window.len() - at).min(MAX_LENGTH);
        let (from, length) = (usize::from(self.from[at & 0xFFFF]), usize::from(self.equal[at & 0xFFFF]) / 8);
        let other = usize::from(self.from[from]);
        let bits = (window.long(at) ^ window.long(other)).trailing_zeros();
        let near = at.wrapping_sub(other).wrapping_sub(1) < self.reach;
        let other_length = if near { limit.min(bits as usize / 8) } else { 0 };
        if length == AT_ONCE && other_length == AT_ONCE {
            let length = window.common(from, at, AT_ONCE, limit);
            let other_length = window.common(other, at, AT_ONCE, limit);
            return if other_length > length { (other_length, other) } else { (length, from) };
        }
        let (length, from) = if other_length > length { (other_length, other) } else { (length, from) };
        (if length == AT_ONCE { window.common(from, at, AT_ONCE, limit) } else { length }, from)
    }
}
