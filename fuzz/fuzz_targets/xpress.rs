//! The fast XPRESS decoder against the reference, in buffers of exactly the right size.
//!
//! Arbitrary bytes are seldom a complete code, so with every other first byte the input drives the test encoder
//! instead: what it writes must decode to what was meant, and, with a byte changed, in both decoders to the same.

#![no_main]

extern crate codec as wimforge_codec;

#[path = "../../crates/codec/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use support::huffman::Shape;
use support::xpress::{Op, Style, encode};
use support::{Pair, same};

fuzz_target!(|data: &[u8]| {
    let Some(([mode, size_low, size_high], data)) = data.split_first_chunk() else { return };
    let mut pair = Pair::xpress();
    let size = 1 + usize::from(u16::from_le_bytes([*size_low, *size_high]));
    if mode & 1 == 0 {
        // An allocation of its own, so that reading past its end is noticed.
        let _ = pair.decode(&Box::<[u8]>::from(data), size);
        return;
    }
    let style = Style {
        shape: [Shape::Flat, Shape::Deep, Shape::Mixed][usize::from(mode >> 4) % 3],
        end_of_data: mode & 2 != 0,
        long_lengths: mode & 4 != 0,
    };
    let (src, expected) = encode(&ops(data), style, u64::from(*mode));
    same(&pair.decode(&src, expected.len()), &Ok(expected.clone()));
    let mut damaged = src.into_boxed_slice();
    // Behind the codeword lengths, most of whose changes make no complete code.
    let at = 256 + size % (damaged.len() - 256).max(1);
    if let Some(byte) = damaged.get_mut(at) {
        *byte ^= data.last().map_or(1, |byte| byte | 1);
        let _ = pair.decode(&damaged, expected.len());
        let _ = pair.decode(&damaged[..at], expected.len());
    }
});

/// Three bytes make a token.
fn ops(data: &[u8]) -> Vec<Op> {
    let (mut ops, mut at) = (vec![Op::Literal(0)], 1);
    for token in data.chunks_exact(3) {
        let [what, low, high] = [token[0], token[1], token[2]];
        let length = 3 + usize::from(what >> 1) * [1, 1, 3, 9][usize::from(high >> 6)];
        let offset = 1 + usize::from(u16::from_le_bytes([low, high]) & 0x3FFF);
        if at + length > 65536 {
            break;
        }
        if what % 2 == 0 && offset <= at {
            ops.push(Op::Match { length, offset });
            at += length;
        } else {
            ops.push(Op::Literal(low));
            at += 1;
        }
    }
    ops
}
