//! Our files in other people's readers.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod common;

use std::path::Path;

use common::{disk, options, sparse, stream};
use wimforge_vmdk::{Adapter, Level, Options};

/// Every reader at hand takes `file` for exactly `disk`.
fn accepted(directory: &Path, name: &str, file: &[u8], disk: &[u8]) {
    let (path, raw) = (directory.join(name), directory.join("disk.raw"));
    std::fs::write(&path, file).unwrap();
    std::fs::write(&raw, disk).unwrap();
    let (path, raw) = (path.to_str().unwrap(), raw.to_str().unwrap());
    if let Some(qemu) = testkit::tool("qemu-img") {
        let info = qemu.text(["info", "-f", "vmdk", path]);
        assert!(info.contains(&format!("({} bytes)", disk.len())), "{info}");
        let check = qemu.text(["check", "-f", "vmdk", path]);
        assert!(check.contains("No errors were found"), "{check}");
        qemu.run(["compare", "-f", "vmdk", "-F", "raw", path, raw]);
    }
    if let Some(seven) = testkit::tool("7zz") {
        let test = seven.text(["t", "-tvmdk", path]);
        assert!(test.contains("Everything is Ok") && !test.contains("Warning"), "{test}");
        let extracted = seven.run(["e", "-tvmdk", "-so", path]).stdout;
        assert!(extracted == disk, "7zz extracts something else");
    }
}

#[test]
fn stream_optimized_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        for level in [Level::Fast, Level::Default, Level::Best] {
            let options = Options { level, adapter: Adapter::Ide, ..options(&disk) };
            accepted(directory.path(), "stream.vmdk", &stream(&disk, &options), &disk);
        }
    }
    let empty = vec![0; 3 << 20];
    accepted(directory.path(), "empty.vmdk", &stream(&empty, &options(&empty)), &empty);
}

#[test]
fn monolithic_sparse_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    for mib in [1, 32, 129] {
        let disk = disk(mib);
        accepted(directory.path(), "sparse.vmdk", &sparse(&disk, &options(&disk)), &disk);
    }
    let empty = vec![0; 3 << 20];
    accepted(directory.path(), "empty.vmdk", &sparse(&empty, &options(&empty)), &empty);
}
