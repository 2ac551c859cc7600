//! From the tokens of another format to a parse for DEFLATE.

use super::format::{MAX_LENGTH, MAX_OFFSET, MIN_LENGTH};
use super::tokens::Tokens;
use crate::Token;
use crate::encode::window::Window;

/// No position: four bytes never begin here.
const NONE: u16 = u16::MAX;
const HASH_BITS: u32 = 14;

#[derive(Clone, Debug)]
pub(super) struct Recoder {
    latest: Box<[u16; 1 << HASH_BITS]>,
    previous: Box<[u16; 1 << 16]>,
    starts: Vec<u16>,
    knobs: [usize; 8],
}

impl Recoder {
    pub(super) fn new() -> Self {
        let mut knobs = [4, 4, 1, 0, 0, 0, 0, 0];
        for (i, v) in std::env::var("KNOBS").unwrap_or_default().split(',').enumerate() {
            if let Ok(v) = v.parse() { knobs[i] = v; }
        }
        Self { latest: vec![NONE; 1 << HASH_BITS].into_boxed_slice().try_into().expect("the size is right"),
         previous: vec![NONE; 1 << 16].into_boxed_slice().try_into().expect("the size is right"), starts: Vec::new(), knobs }
    }

    /// Replaces `parse` by one of what `window` holds, which are the bytes from `base` on that `tokens` is about.
    pub(super) fn recode(&mut self, window: &Window, tokens: &Tokens, base: usize, parse: &mut Vec<Token>) {
        self.latest.fill(NONE);
        parse.clear();
        let mut output = Output { parse, window, latest: &mut self.latest, previous: &mut self.previous, at: 0, pending: 0, starts: &mut self.starts, immediate: true, knobs: self.knobs };
        let end = base + window.len();
        for run in tokens.runs(base..end) {
            let start = run.bytes.start.max(base);
            output.unknown(start - base);
            output.immediate = start > run.bytes.start;
            let mut left = run.bytes.end.min(end) - start;
            let mut at = start - base;
            let mut rest = tokens.of(run, start);
            while let Some(token) = rest.next_within(left) {
                let literals_end = at + token.literals as usize;
                let token_end = literals_end + token.length as usize;
                left -= token_end - at;
                output.literals(literals_end, token_end);
                output.copy(token_end, token.offset as usize);
                at = token_end;
            }
            output.enter_all();
            output.immediate = true;
        }
        output.unknown(window.len());
        output.finish();
    }
}

struct Output<'a> {
    parse: &'a mut Vec<Token>,
    window: &'a Window,
    latest: &'a mut [u16; 1 << HASH_BITS],
    previous: &'a mut [u16; 1 << 16],
    at: usize,
    pending: u32,
    starts: &'a mut Vec<u16>,
    immediate: bool,
    knobs: [usize; 8],
}

impl Output<'_> {
    #[inline(always)]
    fn enter(&mut self, at: usize) {
        let word = self.window.word(at);
        let hash = word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
        let slot = &mut self.latest[hash as usize & ((1 << HASH_BITS) - 1)];
        self.previous[at & 0xFFFF] = std::mem::replace(slot, at as u16);
    }

    fn enter_all(&mut self) {
        let starts = std::mem::take(self.starts);
        for at in &starts { self.enter(usize::from(*at)); }
        *self.starts = starts;
        self.starts.clear();
    }

    #[inline(always)]
    fn search(&mut self, at: usize, least: usize, depth: usize) -> (usize, usize) {
        let word = self.window.word(at);
        let hash = word.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
        let mut found = usize::from(self.latest[hash as usize & ((1 << HASH_BITS) - 1)]);
        let (mut best, mut from) = (least, 0);
        let limit = MAX_LENGTH.min(self.window.len() - at);
        for _ in 0..depth {
            if at.wrapping_sub(found) > MAX_OFFSET { break; }
            if self.window.word(found) == word {
                let length = self.window.common(found, at, 4, limit);
                if length > best { best = length; from = found; }
            }
            found = usize::from(self.previous[found & 0xFFFF]);
        }
        if self.immediate { self.enter(at); } else { self.starts.push(at as u16); }
        (best, from)
    }

    fn has_four(&self, at: usize) -> bool {
        at + 4 <= self.window.len()
    }

    #[inline(always)]
    fn push(&mut self, mut length: usize, offset: usize) {
        if self.knobs[3] > 0 {
        for p in self.at + 1..self.at + length { if self.has_four(p) { if self.immediate { self.enter(p); } else { self.starts.push(p as u16); } } }
        }
        self.at += length;
        if self.pending == 0
            && let Some(last) = self.parse.last_mut()
            && last.offset as usize == offset
        {
            let more = length.min(MAX_LENGTH - last.length as usize);
            last.length += more as u32;
            length -= more;
        }
        while length > 0 {
            let mut part = length.min(MAX_LENGTH);
            if length - part > 0 && length - part < MIN_LENGTH {
                part = length - MIN_LENGTH;
            }
            if part < MIN_LENGTH {
                self.pending += part as u32;
            } else {
                self.parse.push(Token { literals: self.pending, length: part as u32, offset: offset as u32 });
                self.pending = 0;
            }
            length -= part;
        }
    }

    fn unknown(&mut self, end: usize) {
        if self.at < end {
            self.literals(end, end);
        }
    }

    #[inline(always)]
    fn literals(&mut self, end: usize, next: usize) {
        while self.at < end {
            let at = self.at;
            if self.has_four(at) {
                let (length, from) = self.search(at, 3, self.knobs[0]);
                if length >= 4 && (end - at >= self.knobs[4] + 4 || at + length >= next + self.knobs[5]) {
                    self.push(length, at - from);
                    continue;
                }
            }
            self.pending += 1;
            self.at += 1;
        }
    }

    #[inline(always)]
    fn copy(&mut self, end: usize, offset: usize) {
        if offset > self.at {
            self.literals(end.min(offset), end);
        }
        if self.at >= end {
            return;
        }
        if offset > MAX_OFFSET {
            return self.literals(end, end);
        }
        let at = self.at;
        if self.has_four(at) {
            let least = (end - at + self.knobs[2]).max(3);
            let (length, from) = self.search(at, least, self.knobs[1]);
            if length > least {
                return self.push(length, at - from);
            }
        }
        while self.at < end {
            let at = self.at;
            let length = self.window.common(at - offset, at, 0, end - at);
            if length < MIN_LENGTH {
                let literals = (length + 1).min(end - at);
                self.pending += literals as u32;
                self.at += literals;
            } else {
                self.push(length, offset);
            }
        }
    }

    fn finish(self) {
        if self.pending > 0 {
            self.parse.push(Token { literals: self.pending, length: 0, offset: 0 });
        }
    }
}
