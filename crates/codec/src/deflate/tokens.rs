//! Tokens and where they belong.

use std::ops::Range;

use super::format::{MAX_LENGTH, MAX_OFFSET};
use crate::Token;
use crate::token::Collect;

/// What is known of how some bytes were compressed before: for parts of them, the tokens they were decoded from.
///
/// A hint for [`Deflater`](crate::Deflater), never trusted: wrong tokens make a result longer, not wrong.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    tokens: Packed,
    runs: Vec<Run>,
}

/// Tokens in 32 bits each, as they lie in memory between the threads' two looks at them: a third of what [`Token`] takes,
/// which is the difference between a unit's tokens in the second-level cache and in the third.
///
/// From the top: 8 bits of literals, 9 of length, 15 of offset less one. Where the length is zero, the bits of the offset
/// count 256 literals each. What DEFLATE cannot have is cut (lengths) or becomes literals (offsets, lengths of one).
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed(Vec<u32>);

const LENGTH_BITS: u32 = 9;
const OFFSET_BITS: u32 = 15;
const MAX_LITERALS: u32 = 0xFF;

impl Packed {
    #[inline(always)]
    fn push(&mut self, token: Token) {
        let Token { literals, length, offset } = token;
        let fits = literals <= MAX_LITERALS && length <= MAX_LENGTH as u32 && length > 0;
        if fits && offset.wrapping_sub(1) < MAX_OFFSET as u32 {
            self.0.push(literals << (LENGTH_BITS + OFFSET_BITS) | length << OFFSET_BITS | (offset - 1));
        } else {
            self.push_odd(token);
        }
    }

    #[cold]
    fn push_odd(&mut self, token: Token) {
        let Token { mut literals, mut length, offset } = token;
        if length > 0 && offset.wrapping_sub(1) >= MAX_OFFSET as u32 {
            literals = literals.saturating_add(length);
            length = 0;
        }
        while literals > 0 && (length == 0 || literals > MAX_LITERALS) {
            let part = literals.min((1 << (OFFSET_BITS + 8)) - 1);
            self.0.push((part & MAX_LITERALS) << (LENGTH_BITS + OFFSET_BITS) | part >> 8);
            literals -= part;
        }
        while length > 0 {
            let part = length.min(MAX_LENGTH as u32);
            self.0.push(literals << (LENGTH_BITS + OFFSET_BITS) | part << OFFSET_BITS | (offset - 1));
            literals = 0;
            length -= part;
        }
    }
}

impl Collect for Packed {
    fn collect(&mut self, tokens: &[Token]) {
        self.0.reserve(tokens.len());
        tokens.iter().for_each(|token| self.push(*token));
    }
}

#[inline(always)]
fn unpacked(packed: u32) -> Token {
    let literals = packed >> (LENGTH_BITS + OFFSET_BITS);
    let length = packed >> OFFSET_BITS & ((1 << LENGTH_BITS) - 1);
    let low = packed & ((1 << OFFSET_BITS) - 1);
    if length == 0 {
        Token { literals: literals | low << 8, length: 0, offset: 0 }
    } else {
        Token { literals, length, offset: low + 1 }
    }
}

/// Where to note the tokens of bytes that are read.
#[derive(Debug)]
pub struct Note<'t> {
    tokens: &'t mut Tokens,
    at: usize,
}

impl<'t> Note<'t> {
    /// Notes in `tokens`, with byte `at` of what it speaks of as the place of the first byte that is read.
    pub fn new(tokens: &'t mut Tokens, at: usize) -> Self {
        Self { tokens, at }
    }

    /// Of the next `len` bytes that are read nothing is known.
    pub fn unknown(&mut self, len: usize) {
        self.at += len;
    }

    /// The next `len` bytes that are read are those from `from` on of what `other` speaks of.
    pub fn part(&mut self, other: &Tokens, from: usize, len: usize) {
        for run in other.runs(from..from + len) {
            let (start, end) = (run.bytes.start.max(from), run.bytes.end.min(from + len));
            let at = self.at + start - from;
            self.tokens.add_part(at, other.of(run), start - run.bytes.start, end - start);
        }
        self.at += len;
    }

    /// Where the tokens of the next chunk begin.
    pub(crate) fn start(&self) -> usize {
        self.tokens.tokens.0.len()
    }

    /// Where to put them.
    pub(crate) fn tokens(&mut self) -> &mut Packed {
        &mut self.tokens.tokens
    }

    /// They are all there, and stand for `len` bytes.
    pub(crate) fn finish(&mut self, start: usize, len: usize) {
        self.tokens.end_run(self.at, len, start);
        self.at += len;
    }

    /// They are of no use.
    pub(crate) fn forget(&mut self, start: usize) {
        self.tokens.tokens.0.truncate(start);
    }
}

/// Tokens that stand for the bytes of `bytes`, no more and no less.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) bytes: Range<usize>,
    tokens: Range<usize>,
}

impl Tokens {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, for other bytes.
    pub fn clear(&mut self) {
        self.tokens.0.clear();
        self.runs.clear();
    }

    /// Says that the `len` bytes from `at` on are those from `skip` on of a chunk that consists of `chunk`.
    ///
    /// Calls come in ascending order of `at`.
    pub fn add(&mut self, at: usize, chunk: &[Token], skip: usize, len: usize) {
        self.add_part(at, chunk.iter().copied(), skip, len);
    }

    fn add_part(&mut self, at: usize, chunk: impl Iterator<Item = Token>, skip: usize, len: usize) {
        let start = self.tokens.0.len();
        let mut before = 0;
        for token in chunk {
            let size = token.literals as usize + token.length as usize;
            if before >= skip + len {
                break;
            }
            if before + size > skip {
                let cut = cut(token, skip.saturating_sub(before), (skip + len - before).min(size));
                self.tokens.push(cut);
            }
            before += size;
        }
        self.end_run(at, len, start);
    }

    fn end_run(&mut self, at: usize, len: usize, start: usize) {
        debug_assert!(self.runs.last().is_none_or(|run| run.bytes.end <= at), "in order");
        self.runs.push(Run { bytes: at..at + len, tokens: start..self.tokens.0.len() });
    }

    /// Says that the bytes from `to` on are a copy of those in `from`.
    ///
    /// `to` is not before the end of what was said already.
    pub fn repeat(&mut self, from: Range<usize>, to: usize) {
        debug_assert!(self.runs.last().is_none_or(|run| run.bytes.end <= to), "in order");
        let first = self.runs.partition_point(|run| run.bytes.start < from.start);
        for index in first..self.runs.len() {
            let run = self.runs[index].clone();
            if run.bytes.end > from.end {
                break;
            }
            let start = run.bytes.start - from.start + to;
            self.runs.push(Run { bytes: start..start + run.bytes.len(), tokens: run.tokens });
        }
    }

    /// The runs that lie in `range`, at least in part.
    pub(super) fn runs(&self, range: Range<usize>) -> &[Run] {
        let first = self.runs.partition_point(|run| run.bytes.end <= range.start);
        let count = self.runs[first..].iter().take_while(|run| run.bytes.start < range.end).count();
        &self.runs[first..first + count]
    }

    /// How many bytes of `range` are known.
    pub(super) fn known(&self, range: Range<usize>) -> usize {
        let inside = |run: &Run| run.bytes.end.min(range.end) - run.bytes.start.max(range.start);
        self.runs(range.clone()).iter().map(inside).sum()
    }

    /// The tokens of a run.
    pub(super) fn of(&self, run: &Run) -> impl Iterator<Item = Token> {
        self.tokens.0[run.tokens.clone()].iter().map(|packed| unpacked(*packed))
    }
}

/// The bytes `from..to` of a token.
pub(super) fn cut(token: Token, from: usize, to: usize) -> Token {
    let literals = token.literals as usize;
    Token {
        literals: (literals.min(to) - literals.min(from)) as u32,
        length: (to.max(literals) - from.max(literals)) as u32,
        offset: token.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(literals: u32, length: u32, offset: u32) -> Token {
        Token { literals, length, offset }
    }

    fn packed(tokens: &[Token]) -> Vec<Token> {
        let mut packed = Packed::default();
        packed.collect(tokens);
        packed.0.into_iter().map(unpacked).collect()
    }

    #[test]
    fn what_deflate_can_have_stays_as_it_is() {
        let tokens =
            [token(0, 3, 1), token(255, 258, 32_768), token(7, 2, 5), token(1, 1, 1), token(9, 0, 0)];
        assert_eq!(packed(&tokens), tokens);
    }

    #[test]
    fn what_it_cannot_have_is_cut_or_literal() {
        assert_eq!(packed(&[token(256, 3, 9)]), [token(256, 0, 0), token(0, 3, 9)]);
        assert_eq!(packed(&[token(1, 600, 9)]), [token(1, 258, 9), token(0, 258, 9), token(0, 84, 9)]);
        assert_eq!(packed(&[token(4, 50, 32_769)]), [token(54, 0, 0)]);
        assert_eq!(packed(&[token(4, 50, 0)]), [token(54, 0, 0)]);
        assert_eq!(packed(&[token(1 << 21, 0, 0)]), [token(1 << 21, 0, 0)]);
        let most = (1 << 23) - 1;
        assert_eq!(packed(&[token(1 << 23, 2, 3)]), [token(most, 0, 0), token(1, 2, 3)]);
        assert_eq!(packed(&[token(0, 0, 0)]), []);
    }

    #[test]
    fn cutting() {
        let whole = token(5, 4, 7);
        assert_eq!(cut(whole, 0, 9), whole);
        assert_eq!(cut(whole, 2, 4), token(2, 0, 7));
        assert_eq!(cut(whole, 4, 7), token(1, 2, 7));
        assert_eq!(cut(whole, 6, 9), token(0, 3, 7));
    }
}
