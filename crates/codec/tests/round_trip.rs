//! What the test encoders write, both decoders read: the same, and what was meant.

#[path = "support/mod.rs"]
mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::huffman::Shape;
use support::lzx::{self, Block, Offset};
use support::{Pair, Random, same, xpress};

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Flat), Just(Shape::Deep), Just(Shape::Mixed)]
}

/// A wish for a token; what it becomes depends on what precedes it.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Literal(u8),
    /// An offset as a share of what is possible, on a logarithmic scale.
    Match(usize, u32),
    Repeat(usize, usize),
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 2..=9_usize, 1 => 10..=40_usize, 1 => 2..=257_usize]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        // Few values, with many 0xE8 and operands that the filter cares for.
        5 => prop_oneof![Just(0xE8), Just(0), Just(0xFF), any::<u8>(), 0..4_u8].prop_map(Wish::Literal),
        3 => (length(), any::<u32>()).prop_map(|(length, share)| Wish::Match(length, share)),
        2 => (length(), 0..3_usize).prop_map(|(length, slot)| Wish::Repeat(length, slot)),
    ]
}

fn scaled(share: u32, limit: usize) -> usize {
    let bits = (share % 22).min(limit.ilog2());
    (1 + (share as usize >> 5) % (2 << bits)).min(limit)
}

#[derive(Clone, Debug)]
enum Part {
    Compressed { aligned: bool, wishes: Vec<Wish> },
    Uncompressed { size: usize, repeat: [u32; 3] },
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (any::<bool>(), vec(wish(), 1..700)).prop_map(|(aligned, wishes)| Part::Compressed { aligned, wishes }),
        2 => (1..600_usize, any::<[u32; 3]>()).prop_map(|(size, repeat)| Part::Uncompressed { size, repeat }),
    ]
}

fn lzx_style() -> impl Strategy<Value = lzx::Style> {
    (shape(), shape(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(main, other, default_size, trivial_aligned, omit_last_pad)| lzx::Style {
            main,
            other,
            default_size,
            trivial_aligned,
            omit_last_pad,
        },
    )
}

fn build_lzx(order: u32, parts: &[Part], style: lzx::Style, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = lzx::Encoder::new(order, style, seed);
    let mut random = Random(seed);
    for part in parts {
        let room = (1 << order) - encoder.len();
        if room == 0 {
            break;
        }
        match part {
            Part::Uncompressed { size, repeat } => encoder.block(&Block::Uncompressed {
                bytes: random.bytes((*size).min(room)),
                repeat: repeat.map(|offset| 1 + offset % lzx::max_offset(order) as u32),
            }),
            Part::Compressed { aligned, wishes } => {
                let (mut at, mut repeat, mut ops) = (encoder.len(), encoder.repeat(), Vec::new());
                let end = at + room;
                for wish in wishes {
                    if at == end {
                        break;
                    }
                    let (length, offset) = match *wish {
                        Wish::Match(length, share) if at > 0 => {
                            let offset = scaled(share, at.min(lzx::max_offset(order)));
                            repeat = [offset, repeat[0], repeat[1]];
                            (length, Offset::Explicit(offset))
                        }
                        Wish::Repeat(length, slot) if repeat[slot] <= at => {
                            repeat.swap(0, slot);
                            (length, Offset::Repeat(slot))
                        }
                        Wish::Literal(byte) => {
                            ops.push(lzx::Op::Literal(byte));
                            at += 1;
                            continue;
                        }
                        _ => {
                            ops.push(lzx::Op::Literal(0xE8));
                            at += 1;
                            continue;
                        }
                    };
                    if length > end - at {
                        break;
                    }
                    ops.push(lzx::Op::Match { length, offset });
                    at += length;
                }
                if !ops.is_empty() {
                    encoder.block(&if *aligned { Block::Aligned(ops) } else { Block::Verbatim(ops) });
                }
            }
        }
    }
    encoder.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lzx_round_trip(
        order in prop_oneof![4 => Just(15_u32), 1 => 16..=21_u32],
        parts in vec(part(), 1..6),
        style in lzx_style(),
        seed in any::<u64>(),
    ) {
        let (src, expected) = build_lzx(order, &parts, style, seed);
        let mut pair = Pair::lzx(1 << order);
        same(&pair.decode(&src, expected.len()), &Ok(expected.clone()));
        // Whatever follows is not looked at.
        let longer = [&src[..], &[0xE8; 40]].concat();
        same(&pair.decode(&longer, expected.len()), &Ok(expected.clone()));
        for missing in 1..=src.len().min(5) {
            let _ = pair.decode(&src[..src.len() - missing], expected.len());
        }
    }

    #[test]
    fn xpress_round_trip(
        wishes in vec(wish(), 1..3000),
        long in vec((3..70000_usize, any::<u32>()), 0..3),
        shape in shape(),
        end_of_data in any::<bool>(),
        long_lengths in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (mut ops, mut at) = (vec![xpress::Op::Literal(7)], 1);
        let mut long = long.iter();
        for (i, wish) in wishes.iter().enumerate() {
            let (length, share) = match *wish {
                Wish::Literal(byte) => {
                    ops.push(xpress::Op::Literal(byte));
                    at += 1;
                    continue;
                }
                Wish::Match(length, share) => (length, share),
                Wish::Repeat(length, slot) if i % 97 == 0 => *long.next().unwrap_or(&(length, slot as u32)),
                Wish::Repeat(length, slot) => (length, slot as u32),
            };
            let length = length.max(3);
            if length <= 65536 - at {
                ops.push(xpress::Op::Match { length, offset: scaled(share, at) });
                at += length;
            }
            if at + 300 > 65536 {
                break;
            }
        }
        let style = xpress::Style { shape, end_of_data, long_lengths };
        let (src, expected) = xpress::encode(&ops, style, seed);
        let mut pair = Pair::xpress();
        same(&pair.decode(&src, expected.len()), &Ok(expected.clone()));
        let longer = [&src[..], &[0xE8; 41]].concat();
        same(&pair.decode(&longer, expected.len()), &Ok(expected.clone()));
        for missing in 1..=src.len().min(5) {
            let _ = pair.decode(&src[..src.len() - missing], expected.len());
        }
    }
}

/// Both ends of every offset slot of every window, and every length, in both types of blocks.
#[test]
fn lzx_every_slot_and_length() {
    for order in 15..=21 {
        for aligned in [false, true] {
            let mut encoder = lzx::Encoder::new(order, lzx::PLAIN, u64::from(order));
            let bytes = Random(9).bytes((1 << order) - 20000);
            encoder.block(&Block::Uncompressed { bytes, repeat: [1, 2, 3] });
            let mut at = encoder.len();
            let mut ops = Vec::new();
            for slot in 3..lzx::slots(order) {
                let base = lzx::slot_base(slot);
                for offset in [base, base + (1 << lzx::slot_extra_bits(slot)) - 1] {
                    if offset <= at && offset <= lzx::max_offset(order) {
                        for length in [2, 8, 9, 33] {
                            ops.push(lzx::Op::Match { length, offset: Offset::Explicit(offset) });
                            at += length;
                        }
                    }
                }
            }
            let (first, rest) = ((1 << order) - at, at);
            let mut block =
                |ops| encoder.block(&if aligned { Block::Aligned(ops) } else { Block::Verbatim(ops) });
            block(ops);
            assert!(first > 2 * 257, "room for what follows at {rest}");
            // All lengths, each in a block that says nothing else, while there is room.
            let mut ops: Vec<lzx::Op> = Vec::new();
            for length in (2..=257).rev() {
                if at + length <= 1 << order {
                    ops.push(lzx::Op::Match { length, offset: Offset::Repeat(length % 3) });
                    at += length;
                }
            }
            block(ops);
            let (src, expected) = encoder.finish();
            same(&Pair::lzx(1 << order).decode(&src, expected.len()), &Ok(expected));
        }
    }
}

/// A chunk of one block of 32768 bytes, in both forms of its size.
#[test]
fn lzx_default_and_explicit_block_size() {
    for order in [15, 16, 21] {
        let mut sizes = Vec::new();
        for default_size in [true, false] {
            let mut random = Random(3);
            let mut ops: Vec<lzx::Op> = (0..1000).map(|_| lzx::Op::Literal(random.next() as u8)).collect();
            let mut at = ops.len();
            while at < 32768 {
                let length = (32768 - at).min(2 + random.below(256));
                if length == 1 {
                    ops.push(lzx::Op::Literal(0));
                } else {
                    ops.push(lzx::Op::Match { length, offset: Offset::Explicit(1 + random.below(at - 2)) });
                }
                at += length;
            }
            let style = lzx::Style { default_size, ..lzx::PLAIN };
            let (src, expected) = lzx::encode(order, &[Block::Verbatim(ops)], style, 1);
            assert_eq!(expected.len(), 32768);
            sizes.push(src[1] & 0x10 != 0);
            same(&Pair::lzx(1 << order).decode(&src, expected.len()), &Ok(expected));
        }
        assert_eq!(sizes, [true, false], "the flag is the fourth bit");
    }
}

/// Uncompressed blocks after every number of bits, of odd and even sizes.
#[test]
fn lzx_uncompressed_at_every_alignment() {
    for bits in 0..40 {
        for size in 1..5 {
            let mut encoder = lzx::Encoder::new(15, lzx::PLAIN, 5);
            // Two symbols: one bit each.
            encoder.block(&Block::Verbatim((0..bits + 1).map(|i| lzx::Op::Literal(i as u8 % 2)).collect()));
            for _ in 0..2 {
                encoder.block(&Block::Uncompressed { bytes: vec![0xE8; size], repeat: [1, 2, 3] });
            }
            encoder.block(&Block::Verbatim(
                (0..3).map(|slot| lzx::Op::Match { length: 4, offset: Offset::Repeat(slot) }).collect(),
            ));
            let (src, expected) = encoder.finish();
            same(&Pair::lzx(1 << 15).decode(&src, expected.len()), &Ok(expected));
        }
    }
}

/// Every length of an XPRESS match around the escapes, and every offset magnitude.
#[test]
fn xpress_every_length_form_and_magnitude() {
    for long_lengths in [false, true] {
        let mut random = Random(8);
        let mut ops: Vec<xpress::Op> = (0..200).map(|_| xpress::Op::Literal(random.next() as u8)).collect();
        let mut at = ops.len();
        for length in (3..60).chain(260..290).chain([1000, 5000]) {
            for odd in 0..2 {
                // Literals shift the bits, so that loose bytes fall at all places.
                ops.extend((0..odd + length % 7).map(|i| xpress::Op::Literal(i as u8)));
                at += odd + length % 7;
                let offset = 1 << (length % 16).min(at.ilog2() as usize);
                ops.push(xpress::Op::Match { length, offset });
                at += length;
            }
        }
        while at < 40000 {
            ops.push(xpress::Op::Match { length: 200, offset: at - 1 });
            at += 200;
        }
        ops.push(xpress::Op::Match { length: 65536 - at, offset: at });
        let style = xpress::Style { long_lengths, ..xpress::PLAIN };
        let (src, expected) = xpress::encode(&ops, style, 4);
        assert_eq!(expected.len(), 65536);
        same(&Pair::xpress().decode(&src, expected.len()), &Ok(expected));
    }
    // The longest of all.
    let ops = [xpress::Op::Literal(1), xpress::Op::Match { length: 65535, offset: 1 }];
    let (src, expected) = xpress::encode(&ops, xpress::PLAIN, 0);
    same(&Pair::xpress().decode(&src, 65536), &Ok(expected));
}
