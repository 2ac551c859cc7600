//! Chunks of a WIM, decoded on one core.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

mod support;

use codec::{Lzms, Lzx, Xpress};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ENOUGH: usize = 16 << 20;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);

    let chunks = support::chunks("corpus-lzx.wim", ENOUGH);
    let size: usize = chunks.chunks.iter().map(|(_, size)| size).sum();
    let (mut out, mut tokens) = (vec![0; chunks.chunk_size], Vec::new());
    let mut lzx = Lzx::new(chunks.chunk_size).expect("a chunk size of LZX");
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function("lzx", |bencher| {
        bencher.iter(|| {
            for (chunk, size) in &chunks.chunks {
                lzx.decode(chunk, &mut out[..*size]).expect("wimlib made it");
            }
        });
    });
    group.bench_function("lzx with tokens", |bencher| {
        bencher.iter(|| {
            for (chunk, size) in &chunks.chunks {
                lzx.decode_with_tokens(chunk, &mut out[..*size], &mut tokens).expect("wimlib made it");
            }
        });
    });

    let chunks = support::chunks("corpus-xpress.wim", ENOUGH);
    let size: usize = chunks.chunks.iter().map(|(_, size)| size).sum();
    let mut out = vec![0; chunks.chunk_size];
    let mut xpress = Xpress::new();
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function("xpress", |bencher| {
        bencher.iter(|| {
            for (chunk, size) in &chunks.chunks {
                xpress.decode(chunk, &mut out[..*size]).expect("wimlib made it");
            }
        });
    });
    group.bench_function("xpress with tokens", |bencher| {
        bencher.iter(|| {
            for (chunk, size) in &chunks.chunks {
                xpress.decode_with_tokens(chunk, &mut out[..*size], &mut tokens).expect("wimlib made it");
            }
        });
    });

    // One chunk has 64 MiB: one is enough.
    let chunks = support::chunks("corpus-solid.esd", 1);
    let (chunk, size) = chunks.chunks.first().expect("a chunk");
    let mut out = vec![0; *size];
    let mut lzms = Lzms::new();
    group.throughput(Throughput::Bytes(*size as u64));
    group.bench_function("lzms", |bencher| {
        bencher.iter(|| lzms.decode(chunk, &mut out).expect("wimlib made it"));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
