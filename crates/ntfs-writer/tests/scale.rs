//! Volumes too large to hold: rendered where the checker and the reader look, and nowhere else.

#![allow(clippy::unwrap_used)]

mod common;

use std::io;
use std::sync::Arc;

use common::{Blobs, Tree, noise};
use disk::ReadAt;
use wimforge_ntfs_writer::{Options, Volume, check, read};

/// A volume that is rendered as it is read.
struct Lazy {
    volume: Volume,
    blobs: Blobs,
}

impl ReadAt for Lazy {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.volume.map().len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.volume.render(offset, buf, &self.blobs).map_err(io::Error::other)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.volume.map().len())
    }
}

fn lazy(tree: &Tree, options: Options, len: u64) -> Lazy {
    let (plan, blobs) = tree.plan(options).unwrap();
    let volume = plan.lay_out(len.max(plan.min_size())).unwrap();
    Lazy { volume, blobs }
}

#[track_caller]
fn clean(volume: &Lazy) {
    let report = check::check(volume, &check::Options::ours()).unwrap();
    assert!(report.is_clean() && report.warnings == 0 && report.notes == 0, "{report}");
}

#[test]
fn a_directory_of_two_hundred_thousand_names() {
    const NAMES: u64 = 200_000;
    let mut tree = Tree::default();
    let flat = tree.dir(0, "flat");
    for i in 0..NAMES {
        tree.file(flat, &format!("file number {:06}.txt", i * 7919 % NAMES), noise(i, (i % 3) as usize));
    }
    let volume = lazy(&tree, Options::default(), 0);
    clean(&volume);
    let reader = read::Volume::open(Arc::new(volume), read::Options::default()).unwrap();
    let directory = reader.find("flat").unwrap();
    assert_eq!(reader.entries(&directory).unwrap().len() as u64, NAMES);
    for i in [0, 1, 99_999, NAMES - 1] {
        let name: Vec<u16> = format!("FILE NUMBER {i:06}.TXT").encode_utf16().collect();
        assert!(reader.lookup(&directory, &name).unwrap().is_some(), "{i}");
    }
}

#[test]
fn sixteen_tebibytes() {
    const LEN: u64 = 16 << 40;
    let mut tree = common::feature_rich();
    let folder = tree.dir(0, "on a large volume");
    tree.file(folder, "a file.bin", noise(1, 1 << 20));
    for cluster_size in [16_384, 65_536, 2 << 20] {
        let options = Options { cluster_size, hidden_sectors: 4096, ..Options::default() };
        let volume = lazy(&tree, options, LEN);
        let report = check::check(&volume, &check::Options::default()).unwrap();
        assert!(report.is_clean() && report.warnings == 0, "{report}");
        assert_eq!(report.clusters, (LEN - 512) / u64::from(cluster_size));
        let reader = read::Volume::open(Arc::new(volume), read::Options::default()).unwrap();
        let file = reader.find("on a large volume/a file.bin").unwrap();
        let mut bytes = vec![0; 1 << 20];
        file.open(&reader, &[]).unwrap().read_at(0, &mut bytes).unwrap();
        assert!(bytes == noise(1, 1 << 20));
        let usage = reader.usage().unwrap();
        assert!(usage.used < usage.clusters / 1000, "{} clusters used", usage.used);
    }
    // One cluster of 4 KiB more than NTFS can number; one less than that is the largest volume.
    let (plan, _) = tree.plan(Options::default()).unwrap();
    assert!(plan.lay_out(LEN + 4096).is_err());
    assert!(plan.lay_out(LEN - 4096 + 512).is_ok());
}
