//! Containers: grains of a VMDK made by one worker, and committed; the blocks of a VHD written to memory.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

mod support;

use std::io;
use std::sync::Mutex;

use codec::Tokens;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use disk::{Guid, OrderedSink as _, PositionedSink as _, WriteAt};

const UNIT: usize = 1 << 20;
const SIZE: usize = 16 << 20;

/// A file in memory.
struct Memory(Mutex<Vec<u8>>);

impl WriteAt for Memory {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        self.0.lock().expect("nobody panics")[start..start + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().expect("nobody panics").resize(len as usize, 0);
        Ok(())
    }
}

fn container(criterion: &mut Criterion) {
    let mut content = support::content(SIZE);
    content.truncate(content.len() / UNIT * UNIT);
    let size = content.len() as u64;
    let mut group = criterion.benchmark_group("container");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(size));

    for (name, level) in
        [("fast", vmdk::Level::Fast), ("default", vmdk::Level::Default), ("best", vmdk::Level::Best)]
    {
        let options = vmdk::Options { level, ..vmdk::Options::new(size, "disk.vmdk", 1) };
        let sink = vmdk::stream_optimized(io::sink(), &options).expect("possible options");
        let mut encoder = sink.encoder();
        let mut out = Vec::new();
        group.bench_function(format!("vmdk grains, {name}"), |bencher| {
            bencher.iter(|| {
                for (unit, offset) in content.chunks(UNIT).zip((0..).step_by(UNIT)) {
                    out.clear();
                    encoder.encode(offset, unit, &Tokens::new(), &mut out).expect("whole grains");
                }
            });
        });
    }

    let options = vmdk::Options { level: vmdk::Level::Fast, ..vmdk::Options::new(size, "disk.vmdk", 1) };
    let new = || {
        let file = Vec::with_capacity(content.len());
        Box::new(vmdk::stream_optimized(file, &options).expect("possible options"))
    };
    let mut encoder = new().encoder();
    let units: Vec<(u64, Vec<u8>)> = content
        .chunks(UNIT)
        .zip((0..).step_by(UNIT))
        .map(|(unit, offset)| {
            let mut encoded = Vec::new();
            encoder.encode(offset, unit, &Tokens::new(), &mut encoded).expect("whole grains");
            (offset, encoded)
        })
        .collect();
    group.bench_function("vmdk commit", |bencher| {
        bencher.iter_batched(
            new,
            |mut sink| {
                for (offset, encoded) in &units {
                    sink.commit(*offset, UNIT as u64, encoded).expect("in order");
                }
                sink.finish().expect("complete");
            },
            BatchSize::PerIteration,
        );
    });

    let options = vhd::Options::new(size, Guid::default());
    group.bench_function("vhd", |bencher| {
        bencher.iter_batched(
            || Memory(Mutex::new(Vec::with_capacity(content.len() + (1 << 20)))),
            |memory| {
                let sink =
                    vhd::dynamic::positioned(memory, &options, std::iter::once(0..size)).expect("possible");
                for (unit, offset) in content.chunks(UNIT).zip((0..).step_by(UNIT)) {
                    sink.write_at(offset, unit).expect("announced");
                }
                Box::new(sink).finish().expect("complete");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, container);
criterion_main!(benches);
