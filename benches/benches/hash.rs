//! SHA-1 of a blob, a chunk at a time, as the pass takes it.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha1::{Digest as _, Sha1};
use testkit::content::Random;

fn hash(criterion: &mut Criterion) {
    let blob = Random::new(1).bytes(16 << 20);
    let mut group = criterion.benchmark_group("hash");
    group.throughput(Throughput::Bytes(blob.len() as u64));
    for chunk in [4 << 10, 32 << 10, 256 << 10] {
        group.bench_function(format!("sha1 by {} KiB", chunk >> 10), |bencher| {
            bencher.iter(|| {
                let mut sha1 = Sha1::new();
                for chunk in blob.chunks(chunk) {
                    sha1.update(chunk);
                }
                sha1.finalize()
            });
        });
    }
    // What a small file costs.
    let small = &blob[..600];
    group.throughput(Throughput::Elements(1));
    group.bench_function("sha1 of 600 bytes", |bencher| bencher.iter(|| Sha1::digest(small)));
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
