//! From the tokens of another format to a parse for DEFLATE.
//!
//! An LZX chunk is the work of an encoder that took its time: matches found, and chosen by what they cost. Most of them
//! are as good in DEFLATE, so there is nothing to search for, which is where a compressor's time goes. What does not fit
//! is mended:
//!
//! * LZX rewrites the operands of x86 calls, and its tokens are of what was before. So every match is compared with the
//!   bytes as they are, and split where it does not hold. Nothing depends on tokens being right.
//! * Grains are cut without regard to chunks. A match that reaches back behind the edge is gone; what it stood for is
//!   searched for in the grain.
//! * Chunks know nothing of each other, and grains hold parts of several. For each literal the last place with the same
//!   four bytes where a token began is looked at: few enough places to be quick, and enough to find most of what repeats.
//! * Matches of two bytes become literals, neighbours at the same distance one match.

use super::format::{MAX_LENGTH, MAX_OFFSET, MIN_LENGTH};
use super::tokens::{Tokens, cut};
use crate::Token;
use crate::encode::window::Window;

/// No position: it is behind all others, so too far away for a match.
const NONE: u16 = u16::MAX;
const HASH_BITS: u32 = 14;
const HASH_SIZE: usize = 1 << HASH_BITS;
/// A match that is not near costs about as much as so many literals.
const WORTH: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Recoder {
    /// For each hash of four bytes, where the last token began that begins with such.
    latest: Box<[u16; HASH_SIZE]>,
}

impl Recoder {
    pub(super) fn new() -> Self {
        Self { latest: vec![NONE; HASH_SIZE].into_boxed_slice().try_into().expect("the size is right") }
    }

    /// Replaces `parse` by one of what `window` holds, which are the bytes from `base` on that `tokens` is about.
    #[inline(never)]
    pub(super) fn recode(&mut self, window: &Window, tokens: &Tokens, base: usize, parse: &mut Vec<Token>) {
        self.latest.fill(NONE);
        parse.clear();
        parse.reserve(window.len() / MIN_LENGTH + 1);
        let mut mender = Mender { window, latest: &mut self.latest, parse, anchor: 0 };
        let end = base + window.len();
        // Up to where there is a parse.
        let mut done = 0;
        for run in tokens.runs(base..end) {
            let start = run.bytes.start.max(base);
            done = mender.literals(done, start - base, start - base);
            let (mut at, run_end) = (run.bytes.start, run.bytes.end.min(end));
            for token in tokens.of(run) {
                let size = (token.literals + token.length) as usize;
                if at >= start && at + size <= run_end {
                    done = mender.token(token, at - base, done);
                } else if at + size > start {
                    // At an edge of the grain.
                    let (from, to) = (at.max(start), (at + size).min(run_end));
                    done = mender.token(cut(token, from - at, to - at), from - base, done);
                }
                at += size;
                if at >= run_end {
                    break;
                }
            }
        }
        mender.literals(done, window.len(), window.len());
        mender.finish();
    }
}

struct Mender<'a> {
    window: &'a Window,
    latest: &'a mut [u16; HASH_SIZE],
    parse: &'a mut Vec<Token>,
    /// The end of the last match.
    anchor: usize,
}

impl Mender<'_> {
    /// Remembers the position, and returns the last one with the same four bytes, if it is near enough.
    #[inline(always)]
    fn enter(&mut self, at: usize) -> Option<usize> {
        let word = self.window.word(at);
        let hash = word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
        let slot = &mut self.latest[hash as usize % HASH_SIZE];
        let found = usize::from(std::mem::replace(slot, at as u16));
        (self.window.word(found) == word && at.wrapping_sub(found) <= MAX_OFFSET).then_some(found)
    }

    /// A token that stands for the bytes from `at` on, of which those up to `done` are parsed already. Returns up to where
    /// they are now.
    #[inline(always)]
    fn token(&mut self, token: Token, at: usize, done: usize) -> usize {
        let length = token.length as usize;
        let end = at + token.literals as usize + length;
        let match_start = if length < MIN_LENGTH { end } else { end - length };
        let mut at = at.max(done);
        while at < match_start {
            if let Some(from) = self.enter(at) {
                let found = self.found(at, from, match_start, end);
                if found > 0 {
                    at += found;
                    continue;
                }
            }
            at += 1;
        }
        if at >= end {
            return at;
        }
        let (offset, length) = (token.offset as usize, end - at);
        // No offset at all is too far, too.
        if offset.wrapping_sub(1) >= at.min(MAX_OFFSET) {
            return self.lost(at, end, offset);
        }
        self.enter(at);
        if length < MIN_LENGTH || self.window.common(at - offset, at, 0, length) < length {
            return self.changed(at, end, offset);
        }
        self.push(at, length, offset);
        end
    }

    /// Takes a match that was found among literals up to `literals_end` before a match up to `end`, if it is worth it.
    /// Returns its length, or 0.
    #[inline(never)]
    fn found(&mut self, at: usize, from: usize, literals_end: usize, end: usize) -> usize {
        let limit = MAX_LENGTH.min(self.window.len() - at);
        let length = self.window.common(from, at, 0, limit);
        if length < 4 || (literals_end - at < WORTH && at + length < end) {
            return 0;
        }
        self.push(at, length, at - from);
        length
    }

    /// Bytes up to `end` of which nothing is known, before a match up to `next`.
    #[inline(never)]
    fn literals(&mut self, mut at: usize, end: usize, next: usize) -> usize {
        while at < end {
            let found = self.enter(at).map_or(0, |from| self.found(at, from, end, next));
            at += found.max(1);
        }
        at
    }

    /// A match that copies from too far away, or from before the grain.
    #[inline(never)]
    fn lost(&mut self, at: usize, end: usize, offset: usize) -> usize {
        if offset == 0 || offset > MAX_OFFSET {
            return self.literals(at, end, end);
        }
        let at = self.literals(at, end.min(offset), end);
        if at < end { self.changed(at, end, offset) } else { at }
    }

    /// A match that does not hold everywhere.
    #[inline(never)]
    fn changed(&mut self, mut at: usize, end: usize, offset: usize) -> usize {
        while at < end {
            let length = self.window.common(at - offset, at, 0, end - at);
            if length < MIN_LENGTH {
                at += (length + 1).min(end - at);
            } else {
                self.push(at, length, offset);
                at += length;
            }
        }
        end
    }

    /// A match, of three bytes or more.
    #[inline(always)]
    fn push(&mut self, at: usize, length: usize, offset: usize) {
        let literals = at - self.anchor;
        self.anchor = at + length;
        let extends = literals == 0 && self.parse.last().is_some_and(|last| last.offset as usize == offset);
        if extends || length > MAX_LENGTH {
            return self.push_long(literals, length, offset, extends);
        }
        self.parse.push(Token { literals: literals as u32, length: length as u32, offset: offset as u32 });
    }

    #[inline(never)]
    fn push_long(&mut self, mut literals: usize, mut length: usize, offset: usize, extends: bool) {
        if extends && let Some(last) = self.parse.pop() {
            literals = last.literals as usize;
            length += last.length as usize;
        }
        while length > 0 {
            let mut part = length.min(MAX_LENGTH);
            // What is left is not too short.
            if length > part && length - part < MIN_LENGTH {
                part = length - MIN_LENGTH;
            }
            self.parse.push(Token { literals: literals as u32, length: part as u32, offset: offset as u32 });
            literals = 0;
            length -= part;
        }
    }

    fn finish(self) {
        let literals = self.window.len() - self.anchor;
        if literals > 0 {
            self.parse.push(Token { literals: literals as u32, length: 0, offset: 0 });
        }
    }
}
