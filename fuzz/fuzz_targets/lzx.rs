//! The fast LZX decoder against the reference, in buffers of exactly the right size.
//!
//! Arbitrary bytes seldom get past a block's header, so with every other first byte the input drives the test encoder
//! instead: what it writes must decode to what was meant, and, with a byte changed, in both decoders to the same.

#![no_main]

extern crate codec as wimforge_codec;

#[path = "../../crates/codec/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use support::huffman::Shape;
use support::lzx::{Block, Encoder, Offset, Op, Style};
use support::{Pair, Random, same};

fuzz_target!(|data: &[u8]| {
    let Some(([mode, size_low, size_high], data)) = data.split_first_chunk() else { return };
    // Mostly the usual window, which other window sizes differ from in two numbers only.
    let order = if mode & 0x0E == 0x0E { 15 + u32::from(mode >> 4) % 7 } else { 15 };
    let mut pair = Pair::lzx(1 << order);
    let size = usize::from(u16::from_le_bytes([*size_low, *size_high])).min(1 << order);
    if mode & 1 == 0 {
        // An allocation of its own, so that reading past its end is noticed.
        let _ = pair.decode(&Box::<[u8]>::from(data), size);
        return;
    }
    let (src, expected) = written(order, *mode, data);
    same(&pair.decode(&src, expected.len()), &Ok(expected.clone()));
    let mut damaged = src.into_boxed_slice();
    if !damaged.is_empty() {
        let at = size % damaged.len();
        damaged[at] ^= data.last().map_or(1, |byte| byte | 1);
        let _ = pair.decode(&damaged, expected.len());
        let _ = pair.decode(&damaged[..at], expected.len());
    }
});

/// Three bytes make a token.
fn written(order: u32, mode: u8, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let shapes = [Shape::Flat, Shape::Deep, Shape::Mixed];
    let style = Style {
        main: shapes[usize::from(mode >> 4) % 3],
        other: shapes[usize::from(mode >> 6) % 3],
        default_size: true,
        trivial_aligned: mode & 0x10 != 0,
        omit_last_pad: mode & 0x20 != 0,
    };
    let mut encoder = Encoder::new(order, style, u64::from(mode));
    let mut random = Random(u64::from(mode));
    let mut tokens = data.chunks_exact(3).peekable();
    while let Some(head) = tokens.next() {
        let room = (1 << order) - encoder.len();
        if room < 600 {
            break;
        }
        let count = 1 + usize::from(head[1]);
        if head[0] % 4 == 3 {
            let repeat = [head[2], head[1], head[0]].map(|offset| 1 + u32::from(offset));
            encoder.block(&Block::Uncompressed { bytes: random.bytes(count), repeat });
            continue;
        }
        let (mut at, mut repeat, mut ops) = (encoder.len(), encoder.repeat(), Vec::new());
        while ops.len() < count {
            let Some([what, low, high]) = tokens.next().map(|token| [token[0], token[1], token[2]]) else {
                break;
            };
            let length = 2 + usize::from(what >> 2) * (1 + usize::from(high >> 6));
            if at - encoder.len() + length > room {
                break;
            }
            let wanted = 1 + usize::from(u16::from_le_bytes([low, high]));
            let op = match what % 4 {
                slot @ 0..=2 if high == 0 && repeat[usize::from(slot)] <= at => {
                    repeat.swap(0, usize::from(slot));
                    Op::Match { length, offset: Offset::Repeat(usize::from(slot)) }
                }
                0 | 1 if wanted <= at.min((1 << order) - 3) => {
                    repeat = [wanted, repeat[0], repeat[1]];
                    Op::Match { length, offset: Offset::Explicit(wanted) }
                }
                _ => Op::Literal(low),
            };
            at += if matches!(op, Op::Literal(_)) { 1 } else { length };
            ops.push(op);
        }
        if !ops.is_empty() {
            encoder.block(&if head[0] & 4 == 0 { Block::Verbatim(ops) } else { Block::Aligned(ops) });
        }
    }
    encoder.finish()
}
