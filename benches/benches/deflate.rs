//! Grains of a VMDK, made on one core: from the tokens of the WIM's chunks, and from the bytes alone.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

mod support;

use codec::{Deflater, Effort, Token, Tokens, Xpress};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ENOUGH: usize = 8 << 20;
const GRAIN: usize = 64 << 10;

/// Grains of two chunks each, and how they were compressed.
fn grains(
    name: &str,
    mut decode: impl FnMut(&[u8], &mut [u8], &mut Vec<Token>),
) -> (Vec<(Vec<u8>, Tokens)>, u64) {
    let chunks = support::chunks(name, ENOUGH);
    let (mut grains, mut total, mut noted) = (Vec::new(), 0, Vec::new());
    for pair in chunks.chunks.chunks_exact(GRAIN / chunks.chunk_size) {
        let (mut bytes, mut tokens) = (Vec::new(), Tokens::new());
        for (chunk, size) in pair {
            let start = bytes.len();
            bytes.resize(start + size, 0);
            decode(chunk, &mut bytes[start..], &mut noted);
            tokens.add(start, &noted, 0, *size);
        }
        total += bytes.len() as u64;
        grains.push((bytes, tokens));
    }
    (grains, total)
}

#[expect(clippy::print_stderr, reason = "sizes belong to speeds")]
fn deflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deflate");
    group.sample_size(10);
    let mut lzx = codec::Lzx::new(32 << 10).expect("a chunk size of LZX");
    let mut xpress = Xpress::new();
    let from_lzx = grains("corpus-lzx.wim", |chunk, out, tokens| {
        lzx.decode_with_tokens(chunk, out, tokens).expect("wimlib made it");
    });
    let from_xpress = grains("corpus-xpress.wim", |chunk, out, tokens| {
        xpress.decode_with_tokens(chunk, out, tokens).expect("wimlib made it");
    });
    let nothing = Tokens::new();
    for (name, effort) in [("fast", Effort::Fast), ("default", Effort::Default), ("best", Effort::Best)] {
        let mut deflater = Deflater::new(effort);
        let mut out = Vec::new();
        for (source, (grains, total), recode) in [
            ("lzx tokens", &from_lzx, true),
            ("xpress tokens", &from_xpress, true),
            ("bytes", &from_lzx, false),
        ] {
            group.throughput(Throughput::Bytes(*total));
            let mut all = || {
                out.clear();
                for (bytes, tokens) in grains {
                    deflater.zlib(bytes, if recode { tokens } else { &nothing }, 0, &mut out);
                }
                out.len()
            };
            eprintln!("deflate/{name} from {source}: {:.4} of the size", all() as f64 / *total as f64);
            group.bench_function(format!("{name} from {source}"), |bencher| bencher.iter(&mut all));
        }
    }
    group.finish();
}

criterion_group!(benches, deflate);
criterion_main!(benches);
