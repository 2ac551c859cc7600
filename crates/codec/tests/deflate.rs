//! Grains come back whole from other people's inflaters, whatever is said about how they were compressed before.

use flate2::{Decompress, FlushDecompress, Status};
use proptest::prelude::*;
use testkit::content::{Random, text};
use wimforge_codec::{Deflater, Effort, Level, Token, Tokens, Xpress, XpressEncoder};

const GRAIN: usize = 64 << 10;
const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Default, Effort::Best];

/// What zlib-rs and miniz_oxide say a stream holds.
fn inflate(stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(GRAIN + 1);
    let mut zlib = Decompress::new(true);
    let status = zlib.decompress_vec(stream, &mut out, FlushDecompress::Finish).unwrap();
    assert_eq!((status, zlib.total_in()), (Status::StreamEnd, stream.len() as u64), "zlib-rs");
    let other = miniz_oxide::inflate::decompress_to_vec_zlib(stream).expect("miniz_oxide");
    assert!(out == other, "zlib-rs and miniz_oxide disagree");
    out
}

fn check(deflater: &mut Deflater, data: &[u8], tokens: &Tokens, base: usize) -> usize {
    let mut stream = vec![0xAA; 3];
    deflater.zlib(data, tokens, base, &mut stream);
    assert_eq!(stream[..3], [0xAA; 3], "what was there stays");
    assert!(inflate(&stream[3..]) == data, "{} bytes come back as others", data.len());
    assert!(stream.len() - 3 <= data.len() + 11 + 5 * data.len().saturating_sub(1) / 65_535);
    stream.len() - 3
}

/// A mixture of what disks hold.
fn mixed(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut data = Vec::new();
    while data.len() < len {
        let part = 1 + random.below(9_000);
        match random.below(5) {
            0 => data.resize(data.len() + part, 0),
            1 => data.extend(std::iter::repeat_with(|| random.next_u64() as u8).take(part)),
            2 => data.extend((0..part).map(|i| (i / 7 % 11) as u8 | (random.below(40) == 0) as u8)),
            _ => data.extend_from_slice(text(random.next_u64(), part).as_ref()),
        }
    }
    data.truncate(len);
    data
}

/// Chunks of what `data` holds as XPRESS has them, with their tokens, and the bytes of each.
fn chunks(data: &[u8], size: usize) -> Vec<(usize, usize, Vec<Token>)> {
    let (mut encoder, mut decoder) = (XpressEncoder::new(Level::Best), Xpress::new());
    let mut chunks = Vec::new();
    for (index, chunk) in data.chunks(size).enumerate() {
        let mut coded = vec![0; chunk.len()];
        let Some(len) = encoder.encode(chunk, &mut coded) else { continue };
        let (mut back, mut tokens) = (vec![0; chunk.len()], Vec::new());
        decoder.decode_with_tokens(&coded[..len], &mut back, &mut tokens).unwrap();
        assert!(back == chunk);
        chunks.push((index * size, chunk.len(), tokens));
    }
    chunks
}

#[test]
fn tokens_of_chunks_in_grains_of_any_phase() {
    let data = mixed(1, 10 * GRAIN);
    for (effort, size) in [(Effort::Default, 32 << 10), (Effort::Fast, 4 << 10), (Effort::Default, 64 << 10)]
    {
        let mut tokens = Tokens::new();
        let chunks = chunks(&data, size);
        assert!(chunks.len() > 8);
        for (at, len, chunk) in &chunks {
            tokens.add(*at, chunk, 0, *len);
        }
        let mut deflater = Deflater::new(effort);
        for phase in [0, 4096, 512, 33, 65_535] {
            let (mut with, mut without) = (0, 0);
            for at in (phase..data.len() - GRAIN).step_by(GRAIN) {
                let grain = &data[at..at + GRAIN];
                with += check(&mut deflater, grain, &tokens, at);
                without += check(&mut deflater, grain, &Tokens::new(), at);
            }
            assert!(with < without + without / 4, "{effort:?} {size}: {with} with tokens, {without} without");
        }
    }
}

#[test]
fn parts_of_chunks() {
    let data = mixed(2, 6 * GRAIN);
    let chunks = chunks(&data, 32 << 10);
    // The middle of each chunk, one after the other, with gaps of which nothing is known.
    let (mut disk, mut tokens) = (Vec::new(), Tokens::new());
    for (index, (at, len, chunk)) in chunks.iter().enumerate() {
        let (skip, part) = (index * 777 % len, 5_000.min(len - index * 777 % len));
        tokens.add(disk.len(), chunk, skip, part);
        disk.extend_from_slice(&data[at + skip..at + skip + part]);
        disk.resize(disk.len() + index % 3 * 100, 0);
    }
    // And all of it again.
    let copy = disk.len();
    tokens.repeat(0..copy, copy);
    disk.extend_from_within(..);
    let mut deflater = Deflater::new(Effort::Default);
    for at in (0..disk.len()).step_by(GRAIN) {
        check(&mut deflater, &disk[at..disk.len().min(at + GRAIN)], &tokens, at);
    }
}

#[test]
fn nothing_leaks_from_grain_to_grain() {
    let data = mixed(3, 4 * GRAIN);
    for effort in EFFORTS {
        let mut used = Deflater::new(effort);
        for grain in data.chunks(GRAIN) {
            let (mut first, mut again) = (Vec::new(), Vec::new());
            used.zlib(grain, &Tokens::new(), 0, &mut first);
            Deflater::new(effort).zlib(grain, &Tokens::new(), 0, &mut again);
            assert!(first == again, "{effort:?}");
        }
    }
}

#[test]
fn shapes() {
    let noise = mixed(4, 1 << 20).into_iter().filter(|byte| *byte > 127).collect::<Vec<u8>>();
    for effort in EFFORTS {
        let mut deflater = Deflater::new(effort);
        for len in [0, 1, 2, 3, 4, 5, 257, 258, 259, 260, 516, 517, 4096, 65_534, 65_535, 65_536] {
            let small = check(&mut deflater, &vec![0; len], &Tokens::new(), 0);
            assert!(small <= 12 + len / 200, "{len} zeros in {small} bytes");
            check(&mut deflater, &noise[..len.min(noise.len())], &Tokens::new(), 0);
            let period: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            check(&mut deflater, &period, &Tokens::new(), 0);
        }
        // Codes so deep that they have to be cut: byte n occurs as often as Fibonacci says.
        let (mut a, mut b) = (1, 1);
        let mut deep = Vec::new();
        for byte in 0..22_u8 {
            deep.extend(std::iter::repeat_n(byte * 11, a));
            (a, b) = (b, a + b);
        }
        let mut random = Random::new(5);
        for at in (1..deep.len()).rev() {
            deep.swap(at, random.below(at + 1));
        }
        check(&mut deflater, &deep[..GRAIN.min(deep.len())], &Tokens::new(), 0);
    }
}

/// Raw streams for inflaters with little memory: no farther back than 4 KiB, and never much longer than the data.
#[test]
fn raw_within_4_kib() {
    for effort in EFFORTS {
        let mut deflater = Deflater::within_4_kib(effort);
        for (seed, len) in [(1, GRAIN), (2, GRAIN), (3, 30_000), (4, 4_097), (5, 1), (6, 0)] {
            for data in [mixed(seed, len), vec![0; len], Random::new(seed).bytes(len)] {
                let mut stream = vec![0xAA; 3];
                deflater.raw(&data, &mut stream);
                assert_eq!(stream[..3], [0xAA; 3], "what was there stays");
                let stream = &stream[3..];
                assert!(stream.len() <= len + 5 + 5 * len.saturating_sub(1) / 65_535);
                let mut out = Vec::with_capacity(len + 1);
                let mut zlib = Decompress::new_with_window_bits(false, 12);
                // A piece at a time, so that it has no more of what was before than its window.
                let mut done = 0;
                let status = loop {
                    let before = out.len();
                    let mut piece = [0; 100];
                    let status = zlib.decompress(&stream[done..], &mut piece, FlushDecompress::None).unwrap();
                    out.extend_from_slice(&piece[..zlib.total_out() as usize - before]);
                    done = zlib.total_in() as usize;
                    if status == Status::StreamEnd {
                        break status;
                    }
                };
                assert_eq!((status, done), (Status::StreamEnd, stream.len()), "zlib-rs");
                assert!(out == data, "{effort:?} {seed} {len}");
            }
        }
    }
}

fn any_token() -> impl Strategy<Value = Token> {
    let edge = |top: u32| {
        prop_oneof![0..top, Just(0), Just(1), Just(2), Just(3), Just(258), Just(259), Just(32_768)]
    };
    (edge(40), edge(700), prop_oneof![edge(70_000), 32_760_u32..32_780, 0_u32..8])
        .prop_map(|(literals, length, offset)| Token { literals, length, offset })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Tokens that are not of the data at all make no difference to what comes back.
    #[test]
    fn lies(
        seed in any::<u64>(),
        len in 1_usize..GRAIN,
        runs in prop::collection::vec((0_usize..30_000, prop::collection::vec(any_token(), 1..400), 0_usize..900), 1..6),
        base in 0_usize..50_000,
    ) {
        let data = mixed(seed, len);
        let mut tokens = Tokens::new();
        let mut at = 0;
        for (gap, chunk, skip) in runs {
            let whole: usize = chunk.iter().map(|token| (token.literals + token.length) as usize).sum();
            let skip = skip.min(whole);
            at += gap;
            tokens.add(at, &chunk, skip, whole - skip);
            at += whole - skip;
        }
        check(&mut Deflater::new(Effort::Default), &data, &tokens, base);
    }
}
