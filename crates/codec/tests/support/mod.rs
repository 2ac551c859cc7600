//! Encoders that can write everything the formats allow, whether or not it makes sense; and what goes with them.

#![allow(dead_code, reason = "every test uses its own part")]

pub(crate) mod huffman;
pub(crate) mod lzx;
pub(crate) mod wim_chunks;
pub(crate) mod xpress;

use wimforge_codec::{Error, Lzx, Token, Xpress, reference};

/// Repeatable numbers, for choices that a test does not want to make.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A decoder under test: fast, with and without what only some processors have; and plain.
#[derive(Debug)]
pub(crate) enum Pair {
    Lzx([Box<Lzx>; 2], reference::Lzx),
    Xpress([Box<Xpress>; 2], reference::Xpress),
}

const GUARD: usize = 64;

impl Pair {
    pub(crate) fn lzx(chunk_size: usize) -> Self {
        let sizes = "a chunk size of the format";
        let fast = Lzx::new(chunk_size).expect(sizes);
        let portable = fast.clone().portable();
        Self::Lzx([fast, portable].map(Box::new), reference::Lzx::new(chunk_size).expect(sizes))
    }

    pub(crate) fn xpress() -> Self {
        Self::Xpress([Xpress::new(), Xpress::new().portable()].map(Box::new), reference::Xpress::new())
    }

    /// Decodes in all five ways, which must agree, and must not write outside their buffers.
    #[track_caller]
    pub(crate) fn decode(&mut self, src: &[u8], size: usize) -> Result<Vec<u8>, Error> {
        let (mut fast_tokens, mut plain_tokens) = (Vec::new(), Vec::new());
        let (fast, portable, with_tokens, plain, plain_with_tokens) = match self {
            Self::Lzx([fast, portable], plain) => (
                guarded(size, |dst| fast.decode(src, dst)),
                guarded(size, |dst| portable.decode(src, dst)),
                guarded(size, |dst| fast.decode_with_tokens(src, dst, &mut fast_tokens)),
                guarded(size, |dst| plain.decode(src, dst)),
                guarded(size, |dst| plain.decode_with_tokens(src, dst, &mut plain_tokens)),
            ),
            Self::Xpress([fast, portable], plain) => (
                guarded(size, |dst| fast.decode(src, dst)),
                guarded(size, |dst| portable.decode(src, dst)),
                guarded(size, |dst| fast.decode_with_tokens(src, dst, &mut fast_tokens)),
                guarded(size, |dst| plain.decode(src, dst)),
                guarded(size, |dst| plain.decode_with_tokens(src, dst, &mut plain_tokens)),
            ),
        };
        same(&fast, &plain);
        same(&portable, &plain);
        same(&with_tokens, &plain);
        same(&plain_with_tokens, &plain);
        if plain.is_ok() {
            assert_eq!(fast_tokens, plain_tokens);
            let covered: u64 =
                plain_tokens.iter().map(|Token { literals, length, .. }| u64::from(literals + length)).sum();
            assert_eq!(covered, size as u64, "the tokens cover the chunk");
        }
        plain
    }
}

/// Like `assert_eq!`, without printing a whole chunk.
#[track_caller]
pub(crate) fn same(found: &Result<Vec<u8>, Error>, expected: &Result<Vec<u8>, Error>) {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            let at = found.iter().zip(expected).position(|(a, b)| a != b);
            assert!(at.is_none() && found.len() == expected.len(), "different bytes from {at:?} on");
        }
        _ => assert_eq!(found.as_ref().map(Vec::len), expected.as_ref().map(Vec::len)),
    }
}

#[track_caller]
fn guarded(size: usize, decode: impl FnOnce(&mut [u8]) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0xA5; size + 2 * GUARD];
    let result = decode(&mut buffer[GUARD..GUARD + size]);
    assert!(buffer[..GUARD].iter().all(|byte| *byte == 0xA5), "written before the buffer");
    assert!(buffer[GUARD + size..].iter().all(|byte| *byte == 0xA5), "written behind the buffer");
    result.map(|()| buffer[GUARD..GUARD + size].to_vec())
}
