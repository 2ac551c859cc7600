//! A volume of many files: planning it, laying it out, rendering all that is not content.
#![allow(missing_docs, reason = "criterion's macros make the functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use disk::Content;
use ntfs_writer::{Builder, Name, Node, NodeId, Options, Plan, ReadBlob, Source};

const FILES: u32 = 50_000;
const DIRECTORY: u32 = 0x10;

/// Every blob is full of its number.
struct Blobs;

impl ReadBlob for Blobs {
    fn read_blob(&self, blob: u32, _: u64, buf: &mut [u8]) -> std::io::Result<()> {
        buf.fill(blob as u8);
        Ok(())
    }
}

fn name(text: String) -> Name {
    Name { long: text.encode_utf16().collect(), short: None }
}

/// Directories of 200 files; every third is small enough to lie in its record.
fn plan() -> Plan {
    let mut builder = Builder::new(Options::default()).expect("usual options");
    let mut directory = NodeId::ROOT;
    for index in 0..FILES {
        if index % 200 == 0 {
            directory = builder.add_node(Node { attributes: DIRECTORY, ..Node::default() }).expect("few");
            builder.link(NodeId::ROOT, name(format!("folder {index:06}")), directory).expect("a new name");
        }
        let len = if index % 3 == 0 { 200 } else { 2_000 + u64::from(index * 7_919 % 90_000) };
        let data = Some(Source::Blob { blob: index, len });
        let file = builder.add_node(Node { data, ..Node::default() }).expect("few");
        builder.link(directory, name(format!("File number {index:06}.dat")), file).expect("a new name");
    }
    builder.plan().expect("a plan")
}

fn ntfs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ntfs");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(FILES)));
    group.bench_function("plan 50,000 files", |bencher| bencher.iter(plan));
    let planned = plan();
    let size = planned.min_size().next_multiple_of(1 << 20) + (64 << 20);
    group.bench_function("lay out 50,000 files", |bencher| {
        bencher.iter(|| planned.lay_out(size).expect("enough room"));
    });

    let volume = planned.lay_out(size).expect("enough room");
    let made: Vec<(u64, u64)> = volume
        .map()
        .extents()
        .iter()
        .filter(|extent| matches!(extent.content, Content::Made { .. }))
        .map(|extent| (extent.start, extent.len))
        .collect();
    let bytes = made.iter().map(|(_, len)| len).sum();
    let mut unit = vec![0; 1 << 20];
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("render what is not content", |bencher| {
        bencher.iter(|| {
            for &(start, len) in &made {
                let mut at = start;
                while at < start + len {
                    let part = unit.len().min((start + len - at) as usize);
                    volume.render(at, &mut unit[..part], &Blobs).expect("all of it is on the volume");
                    at += part as u64;
                }
            }
            black_box(unit[0])
        });
    });
    group.finish();
}

criterion_group!(benches, ntfs);
criterion_main!(benches);
