//! Chunks that are not what they should be.

#[path = "support/mod.rs"]
mod support;

use support::huffman::Shape;
use support::lzx::{self, BitWriter, Block, Offset};
use support::{Pair, Random, same, xpress};
use wimforge_codec::{Code, Error, Lzx, Xpress};

fn lzx_ops(random: &mut Random, count: usize) -> Vec<lzx::Op> {
    let (mut ops, mut at) = (vec![lzx::Op::Literal(0xE8), lzx::Op::Literal(0), lzx::Op::Literal(1)], 3);
    for _ in 0..count {
        if random.below(2) == 0 {
            ops.push(lzx::Op::Literal(random.below(6) as u8));
            at += 1;
        } else {
            let length = [2, 3, 5, 9, 20][random.below(5)];
            ops.push(lzx::Op::Match { length, offset: Offset::Explicit(1 + random.below(at)) });
            at += length;
        }
    }
    ops
}

/// Small chunks that between them contain everything.
fn lzx_chunks() -> Vec<(Vec<u8>, usize)> {
    let random = &mut Random(1);
    let style = lzx::Style { main: Shape::Mixed, other: Shape::Mixed, ..lzx::PLAIN };
    let raw = Block::Uncompressed { bytes: random.bytes(31), repeat: [3, 2, 1] };
    let repeats = (0..3).map(|slot| lzx::Op::Match { length: 11, offset: Offset::Repeat(slot) }).collect();
    [
        vec![Block::Verbatim(lzx_ops(random, 120))],
        vec![Block::Aligned(lzx_ops(random, 120)), raw.clone(), Block::Verbatim(repeats)],
        vec![raw.clone(), Block::Aligned(lzx_ops(random, 20)), raw],
    ]
    .iter()
    .map(|blocks| {
        let (src, expected) = lzx::encode(15, blocks, style, 2);
        (src, expected.len())
    })
    .collect()
}

fn xpress_chunks() -> Vec<(Vec<u8>, usize)> {
    let random = &mut Random(2);
    let (mut ops, mut at) = (vec![xpress::Op::Literal(1)], 1);
    for _ in 0..60 {
        if random.below(2) == 0 {
            ops.push(xpress::Op::Literal(random.below(9) as u8));
            at += 1;
        } else {
            let length = [3, 4, 17, 18, 40, 272, 273, 300][random.below(8)];
            ops.push(xpress::Op::Match { length, offset: 1 + random.below(at) });
            at += length;
        }
    }
    [Shape::Flat, Shape::Deep]
        .map(|shape| {
            let (src, expected) = xpress::encode(&ops, xpress::Style { shape, ..xpress::PLAIN }, 3);
            (src, expected.len())
        })
        .to_vec()
}

fn damage_everywhere(mut pair: Pair, chunks: &[(Vec<u8>, usize)]) {
    let mut refused = 0;
    for (src, size) in chunks {
        let good = pair.decode(src, *size).expect("a valid chunk");
        for length in 0..src.len() {
            if let Ok(bytes) = pair.decode(&src[..length], *size) {
                assert!(length + 4 > src.len(), "only padding and the end mark can be missing");
                same(&Ok(bytes), &Ok(good.clone()));
            }
        }
        let mut damaged = src.clone();
        for at in 0..src.len() {
            for byte in 0..=255 {
                if byte != src[at] {
                    damaged[at] = byte;
                    refused += usize::from(pair.decode(&damaged, *size).is_err());
                }
            }
            damaged[at] = src[at];
        }
        for wrong in [size - 1, size + 1, 2 * size, 1, 0] {
            let _ = pair.decode(src, wrong);
        }
        assert_eq!(pair.decode(src, size + 1).map(|bytes| bytes.len()).ok(), None, "nothing decodes to more");
    }
    assert!(refused > 1000, "damage is mostly noticed: {refused}");
}

#[test]
fn lzx_damage() {
    damage_everywhere(Pair::lzx(1 << 15), &lzx_chunks());
}

#[test]
fn xpress_damage() {
    damage_everywhere(Pair::xpress(), &xpress_chunks());
}

/// The bytes with which afl found an out-of-bounds write in libwim (2015): in a run of codeword lengths, the symbol to
/// be repeated is itself a run.
#[test]
fn lzx_run_of_runs() {
    let seed = [0x1f, 0x20, 0, 0x42, 0, 0, 0x33, 0x03, 0x45, 0x43, 0x45, 0, 0x20, 0, 0, 0x0e];
    for size in [1, 100, 32768] {
        for order in 15..=21 {
            assert!(Pair::lzx(1 << order).decode(&seed, size).is_err());
            assert!(Pair::lzx(1 << order).decode(&seed[..15], size).is_err());
            assert!(Pair::lzx(1 << order).decode(&seed[1..], size).is_err());
        }
    }
    for inner in 17..20 {
        let mut bits = verbatim_header(300);
        // A pretree of 17, 18, 19 and 0, two bits each.
        for symbol in 0..20 {
            bits.put(if matches!(symbol, 0 | 17..=19) { 2 } else { 0 }, 4);
        }
        bits.put(3, 2); // 19
        bits.put(0, 1);
        bits.put(inner - 16, 2);
        bits.put(0, 32);
        let found = Pair::lzx(1 << 15).decode(&bits.bytes, 300);
        assert!(matches!(found, Err(Error::CodeLengths { .. })), "{found:?}");
    }
}

fn verbatim_header(size: u32) -> BitWriter {
    let mut bits = BitWriter::default();
    bits.put(1, 3);
    bits.put(0, 1);
    bits.put(size, 16);
    bits
}

#[test]
fn lzx_run_past_the_end() {
    let mut bits = verbatim_header(300);
    // A pretree of 18 and 0, one bit each.
    for symbol in 0..20 {
        bits.put(u32::from(matches!(symbol, 0 | 18)), 4);
    }
    for _ in 0..6 {
        bits.put(1, 1);
        bits.put(31, 5);
    }
    bits.put(0, 32);
    let found = Pair::lzx(1 << 15).decode(&bits.bytes, 300);
    assert!(matches!(found, Err(Error::CodeLengths { .. })), "6 runs of 51 are more than 256: {found:?}");
}

#[test]
fn lzx_block_headers() {
    let mut pair = Pair::lzx(1 << 15);
    for found in [0, 4, 5, 6, 7] {
        let mut bits = BitWriter::default();
        bits.put(found, 3);
        bits.put(0, 32);
        let expected = Err(Error::BlockType { at: 0, found: found as u8 });
        same(&pair.decode(&bits.bytes, 10), &expected);
    }
    for (size, room) in [(0, 10), (11, 10), (0xFFFF, 32768)] {
        let bits = verbatim_header(size);
        let found = pair.decode(&bits.bytes, room);
        assert!(matches!(found, Err(Error::BlockSize { .. })), "{size} in {room}: {found:?}");
    }
    // The default size does not fit a short chunk.
    let mut bits = BitWriter::default();
    bits.put(0b0011, 4);
    bits.put(0, 32);
    let found = pair.decode(&bits.bytes, 32767);
    assert!(matches!(found, Err(Error::BlockSize { found: 32768, remaining: 32767, .. })), "{found:?}");
}

#[test]
fn lzx_codes() {
    let mut pair = Pair::lzx(1 << 15);
    // A pretree of nothing.
    let mut bits = verbatim_header(5);
    bits.put(0, 32);
    bits.bytes.extend([0; 100]);
    let found = pair.decode(&bits.bytes, 5);
    assert!(matches!(found, Err(Error::IncompleteCode { code: Code::Pretree, .. })), "{found:?}");
    // Too many and too few codewords.
    for length in [1, 15] {
        let mut bits = verbatim_header(5);
        for _ in 0..20 {
            bits.put(length, 4);
        }
        bits.bytes.extend([0; 100]);
        let found = pair.decode(&bits.bytes, 5);
        assert!(matches!(found, Err(Error::IncompleteCode { code: Code::Pretree, .. })), "{found:?}");
    }
    // An empty main code: the pretree has 0 and 18, and all lengths are zero.
    let mut bits = verbatim_header(5);
    for run in [256, 240, 249] {
        for symbol in 0..20 {
            bits.put(u32::from(matches!(symbol, 0 | 18)), 4);
        }
        for _ in 0..run {
            bits.put(0, 1);
        }
    }
    bits.bytes.extend([0; 100]);
    let found = pair.decode(&bits.bytes, 5);
    assert!(matches!(found, Err(Error::IncompleteCode { code: Code::Main, .. })), "{found:?}");
    // Aligned codes: seven codewords of three bits, nine halves, none.
    for lengths in [[3, 3, 3, 3, 3, 3, 3, 0], [1, 1, 1, 0, 0, 0, 0, 0], [0; 8]] {
        let mut bits = BitWriter::default();
        bits.put(2, 3);
        bits.put(0, 1);
        bits.put(5, 16);
        for length in lengths {
            bits.put(length, 3);
        }
        bits.bytes.extend([0x11; 100]);
        let found = pair.decode(&bits.bytes, 5);
        // The reference reads on to the other codes, or not: refused it is.
        assert!(found.is_err(), "{found:?}");
    }
}

/// A block whose main code is `symbols` (a power of two of them), and whose length code is empty.
fn block_with(symbols: &[usize], size: u32) -> BitWriter {
    let mut bits = verbatim_header(size);
    let length = symbols.len().ilog2();
    for range in [0..256, 256..496, 1000..1249] {
        // A pretree of 0 (no change from zero) and of the length wanted, one bit each.
        let change = 17 - length as usize;
        for symbol in 0..20 {
            bits.put(u32::from(symbol == 0 || symbol == change), 4);
        }
        for symbol in range {
            bits.put(u32::from(symbols.contains(&symbol)), 1);
        }
    }
    bits
}

#[test]
fn lzx_matches() {
    let mut pair = Pair::lzx(1 << 15);
    // The match has slot 3 (offset 1) and length 2.
    let literal_and_match = [b'x'.into(), 256 + 3 * 8];
    let mut bits = block_with(&literal_and_match, 3);
    bits.put(0b01, 2);
    same(&pair.decode(&bits.bytes, 3), &Ok(b"xxx".to_vec()));
    // Before the beginning.
    let mut bits = block_with(&literal_and_match, 3);
    bits.put(0b10, 2);
    same(&pair.decode(&bits.bytes, 3), &Err(Error::MatchOffset { at: 0, offset: 1 }));
    // Past the end of the block, though not of the chunk.
    let mut bits = block_with(&literal_and_match, 2);
    bits.put(0b01, 2);
    bits.put(0, 32);
    same(&pair.decode(&bits.bytes, 100), &Err(Error::MatchLength { at: 1, length: 2 }));
    // A length of the length code, which is empty.
    let mut bits = block_with(&[b'x'.into(), 256 + 3 * 8 + 7], 300);
    bits.put(0b01, 2);
    bits.put(0, 32);
    let found = pair.decode(&bits.bytes, 300);
    assert!(matches!(found, Err(Error::EmptyLengthCode { .. })), "{found:?}");
    // The same where the fast loop does not reach.
    let found = pair.decode(&bits.bytes[..bits.bytes.len() - 2], 300);
    assert!(matches!(found, Err(Error::EmptyLengthCode { .. })), "{found:?}");
}

#[test]
fn lzx_uncompressed_blocks() {
    let mut pair = Pair::lzx(1 << 15);
    let block = |repeat: [u32; 3], bytes: &[u8]| {
        let mut bits = BitWriter::default();
        bits.put(3, 3);
        bits.put(0, 1);
        bits.put(4, 16);
        bits.bytes.extend(repeat.iter().flat_map(|offset| offset.to_le_bytes()));
        bits.bytes.extend(bytes);
        bits.bytes
    };
    same(&pair.decode(&block([1, 1, 1], b"data"), 4), &Ok(b"data".to_vec()));
    same(&pair.decode(&block([32765; 3], b"data"), 4), &Ok(b"data".to_vec()));
    for slot in 0..3 {
        for found in [0, 32766, u32::MAX] {
            let mut repeat = [1; 3];
            repeat[slot] = found;
            let at = 4 + 4 * slot;
            same(&pair.decode(&block(repeat, b"data"), 4), &Err(Error::RepeatOffset { at, found }));
        }
    }
    let whole = block([1, 1, 1], b"data");
    for length in 0..whole.len() {
        same(&pair.decode(&whole[..length], 4), &Err(Error::Truncated { produced: 0 }));
    }
}

/// Calls at the edges of what the filter rewrites; the chunk is stored, so that the input is the filter's.
#[test]
fn lzx_e8_edges() {
    let filtered = |data: &[u8]| {
        let block = Block::Uncompressed { bytes: data.to_vec(), repeat: [1; 3] };
        let (src, expected) = lzx::encode(15, &[block], lzx::PLAIN, 0);
        let found = Pair::lzx(1 << 15).decode(&src, data.len());
        same(&found, &Ok(expected));
        found.expect("valid")
    };
    let call = |size: usize, at: usize, target: i32| {
        let mut data = vec![0x90; size];
        data[at] = 0xE8;
        data[at + 1..at + 5].copy_from_slice(&target.to_le_bytes());
        data
    };
    let target = |data: &[u8], at: usize| i32::from_le_bytes(data[at + 1..at + 5].try_into().expect("four"));
    // Ten bytes are too few, and the last ten of a chunk are left alone.
    assert_eq!(filtered(&call(10, 0, 100)), call(10, 0, 100));
    assert_eq!(filtered(&call(110, 100, 5)), call(110, 100, 5));
    assert_eq!(target(&filtered(&call(11, 0, 100)), 0), 100);
    assert_eq!(target(&filtered(&call(111, 100, 5)), 100), -95);
    // The bounds of targets at position 1000.
    for (found, expected) in [
        (0, -1000),
        (-1, 11_999_999),
        (-1000, 11_999_000),
        (-1001, -1001),
        (11_999_999, 11_998_999),
        (12_000_000, 12_000_000),
        (i32::MAX, i32::MAX),
        (i32::MIN, i32::MIN),
    ] {
        assert_eq!(target(&filtered(&call(2000, 1000, found)), 1000), expected, "{found}");
    }
    // An opcode inside an operand is not one.
    let mut data = vec![0xE8; 40];
    data[5..10].copy_from_slice(&[0xE8, 1, 0, 0, 0]);
    let found = filtered(&data);
    assert_eq!(target(&found, 0), i32::from_le_bytes([0xE8; 4]));
    assert_eq!(target(&found, 5), 1 - 5);
}

#[test]
fn xpress_cases() {
    let mut pair = Pair::xpress();
    for length in 0..256 {
        same(&pair.decode(&vec![0; length], 9), &Err(Error::Truncated { produced: 0 }));
    }
    let incomplete = Err(Error::IncompleteCode { at: 256, code: Code::Main });
    for fill in [0, 0x11, 0xFF] {
        same(&pair.decode(&[fill; 400], 9), &incomplete);
    }
    // A literal 0 and a match: the lengths of symbols 0 and `symbol`, one bit each.
    let chunk = |symbol: usize, units: &[u16], loose: &[u8]| {
        let mut chunk = vec![0; 256];
        chunk[0] = 1;
        chunk[symbol / 2] |= if symbol.is_multiple_of(2) { 1 } else { 0x10 };
        chunk.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        chunk.extend(loose);
        chunk
    };
    // Offset 1, length 3: the bits 0 and 1.
    let short = 256;
    same(&pair.decode(&chunk(short, &[0x4000], &[]), 4), &Ok(vec![0; 4]));
    same(&pair.decode(&chunk(short, &[], &[]), 4), &Err(Error::Truncated { produced: 0 }));
    same(&pair.decode(&chunk(short, &[], &[0]), 4), &Err(Error::Truncated { produced: 0 }));
    same(&pair.decode(&chunk(short, &[0x8000], &[]), 4), &Err(Error::MatchOffset { at: 0, offset: 1 }));
    same(&pair.decode(&chunk(short, &[0x4000], &[]), 3), &Err(Error::MatchLength { at: 1, length: 3 }));
    // Offset 1, and a length in loose bytes: they lie behind the second unit, which need not be there for its bits.
    let long = 256 + 15;
    same(&pair.decode(&chunk(long, &[0x4000, 0], &[0]), 19), &Ok(vec![0; 19]));
    same(&pair.decode(&chunk(long, &[0x4000, 0], &[254]), 273), &Ok(vec![0; 273]));
    same(&pair.decode(&chunk(long, &[0x4000, 0], &[255, 15, 0]), 19), &Ok(vec![0; 19]));
    same(&pair.decode(&chunk(long, &[0x4000, 0], &[255, 0, 1]), 260), &Ok(vec![0; 260]));
    same(
        &pair.decode(&chunk(long, &[0x4000, 0], &[255, 14, 0]), 18),
        &Err(Error::MatchLength { at: 1, length: 14 }),
    );
    for missing in [
        &chunk(long, &[0x4000], &[])[..],
        &chunk(long, &[0x4000, 0], &[]),
        &chunk(long, &[0x4000, 0], &[255]),
        &chunk(long, &[0x4000, 0], &[255, 15]),
    ] {
        same(&pair.decode(missing, 19), &Err(Error::Truncated { produced: 1 }));
    }
    // Nothing of nothing.
    same(&pair.decode(&[], 0), &Ok(Vec::new()));
}

#[test]
fn sizes() {
    assert_eq!(Lzx::new(1 << 14).err(), Some(Error::ChunkSize { size: 1 << 14 }));
    assert_eq!(Lzx::new(40000).err(), Some(Error::ChunkSize { size: 40000 }));
    let found = Pair::lzx(1 << 15).decode(&[], 32769);
    same(&found, &Err(Error::OutputSize { size: 32769, limit: 32768 }));
    let found = Xpress::new().decode(&[], &mut vec![0; 65537]);
    assert_eq!(found, Err(Error::OutputSize { size: 65537, limit: 65536 }));
    same(&Pair::lzx(1 << 15).decode(&[], 0), &Ok(Vec::new()));
}
