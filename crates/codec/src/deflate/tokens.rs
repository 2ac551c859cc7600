//! Tokens and where they belong.

use std::ops::Range;

use crate::Token;

/// What is known of how some bytes were compressed before: for parts of them, the tokens they were decoded from.
///
/// A hint for [`Deflater`](crate::Deflater), never trusted: wrong tokens make a result longer, not wrong.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    tokens: Vec<Token>,
    runs: Vec<Run>,
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

    /// The next `len` bytes that are read are those from `skip` on of a chunk that consists of `chunk`; of which nothing
    /// is known if that is empty.
    pub fn chunk(&mut self, chunk: &[Token], skip: usize, len: usize) {
        if !chunk.is_empty() {
            self.tokens.add(self.at, chunk, skip, len);
        }
        self.at += len;
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
        self.tokens.clear();
        self.runs.clear();
    }

    /// Says that the `len` bytes from `at` on are those from `skip` on of a chunk that consists of `chunk`.
    ///
    /// Calls come in ascending order of `at`.
    pub fn add(&mut self, at: usize, chunk: &[Token], skip: usize, len: usize) {
        debug_assert!(self.runs.last().is_none_or(|run| run.bytes.end <= at), "in order");
        let first = self.tokens.len();
        let mut rest = Rest { tokens: chunk, current: Token::default() };
        rest.skip(skip);
        let mut left = len;
        if skip == 0
            && chunk.iter().map(|token| (token.literals + token.length) as usize).sum::<usize>() == len
        {
            self.tokens.extend_from_slice(chunk);
        } else {
            while let Some(token) = rest.next_within(left) {
                left -= (token.literals + token.length) as usize;
                self.tokens.push(token);
            }
        }
        self.runs.push(Run { bytes: at..at + len, tokens: first..self.tokens.len() });
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

    /// The tokens of a run from byte `from` on.
    pub(super) fn of(&self, run: &Run, from: usize) -> Rest<'_> {
        let mut rest = Rest { tokens: &self.tokens[run.tokens.clone()], current: Token::default() };
        rest.skip(from - run.bytes.start);
        rest
    }
}

/// Tokens that are left, the first of them perhaps in part.
#[derive(Clone, Debug)]
pub(super) struct Rest<'a> {
    tokens: &'a [Token],
    current: Token,
}

impl<'a> Rest<'a> {
    /// The tokens that stand for at most `limit` bytes, and those behind them; none of them in part.
    pub(super) fn whole(mut self, limit: usize) -> (&'a [Token], Self) {
        let mut bytes = 0;
        let mut whole = 0;
        if self.current.literals + self.current.length == 0 {
            for token in self.tokens {
                bytes += (token.literals + token.length) as usize;
                if bytes > limit {
                    break;
                }
                whole += 1;
            }
        }
        let (front, back) = self.tokens.split_at(whole);
        self.tokens = back;
        (front, self)
    }

    /// Takes the first `bytes` bytes away.
    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            match self.next_within(bytes) {
                Some(token) => bytes -= (token.literals + token.length) as usize,
                None => return,
            }
        }
    }

    /// The next token, or as much of it as stands for at most `limit` bytes; `None` at the end or when that is 0.
    #[inline(always)]
    pub(super) fn next_within(&mut self, limit: usize) -> Option<Token> {
        if self.current.literals + self.current.length == 0 {
            let (first, rest) = self.tokens.split_first()?;
            self.current = *first;
            self.tokens = rest;
        }
        let whole = self.current;
        let literals = whole.literals.min(limit as u32);
        let length = whole.length.min(limit as u32 - literals);
        if literals + length == 0 {
            return None;
        }
        self.current.literals -= literals;
        self.current.length -= length;
        Some(Token { literals, length, offset: if length > 0 { whole.offset } else { 0 } })
    }
}
