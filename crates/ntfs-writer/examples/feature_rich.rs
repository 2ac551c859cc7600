//! Writes a volume that has one of everything, for trying readers on it:
//! `cargo run -p wimforge-ntfs-writer --example feature_rich -- OUT [CLUSTER [RECORD [MIB]]]`.

#![expect(clippy::print_stderr, reason = "notes are for whoever runs it")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;

use wimforge_ntfs_writer::Options;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let number = |i: usize, default| args.get(i).map_or(default, |arg| arg.parse().expect("a number"));
    let options = Options {
        cluster_size: number(1, 4096),
        record_size: number(2, 1024),
        label: "FEATURES".into(),
        serial: 0x1234_5678_9ABC_DEF0,
        created: common::times(0).created,
        ..Options::default()
    };
    let (plan, blobs) = common::feature_rich().plan(options).expect("a tree that can be planned");
    let len = plan.min_size().max(u64::from(number(3, 64)) << 20).next_multiple_of(4096);
    let volume = plan.lay_out(len).expect("a volume that is large enough");
    for note in volume.notes() {
        eprintln!("{note:?}");
    }
    common::write(&volume, &blobs, Path::new(args.first().expect("OUT")));
}
