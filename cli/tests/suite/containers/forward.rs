//! Raw disks in each format.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{args, skip_here};

use super::oracle::everybody_reads;
use super::source::Source;
use super::{FORMATS, Format};
use crate::support::{names, scratch, wimforge};

/// A directory with the raw disk in it: on a file system that has files so large.
fn with_raw(source: &Source) -> Option<(TempDir, PathBuf)> {
    let memory = Path::new("/dev/shm");
    let place = |directory: TempDir| {
        let raw = directory.path().join("source.raw");
        source.write(&raw).ok().map(|()| (directory, raw))
    };
    let found = place(scratch()).or_else(|| place(tempfile::tempdir_in(memory).ok()?));
    if found.is_none() {
        skip_here(&format!("needs a file system with files of {}", source.name));
    }
    found
}

fn convert(format: &str) {
    let format = Format::named(format);
    for source in Source::all().iter().filter(|source| source.size <= format.most) {
        let Some((directory, raw)) = with_raw(source) else { continue };
        let out = directory.path().join(format!("disk.{}", format.extension));
        wimforge(args!["convert", &raw, &out, "--format", format.name, "--level", "fast"]).well();
        everybody_reads(format, &out, source, &raw);
        let left = names(directory.path());
        assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
    }
}

macro_rules! formats {
    ($($test:ident = $name:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            convert($name);
        })*

        #[test]
        fn each_format_has_a_test() {
            assert_eq!([$($name),*], FORMATS.map(|format| format.name));
        }
    };
}

formats! {
    raw = "raw",
    vhd = "vhd",
    vhd_fixed = "vhd-fixed",
    vhdx = "vhdx",
    vhdx_fixed = "vhdx-fixed",
    vmdk = "vmdk",
    vmdk_sparse = "vmdk-sparse",
    vmdk_flat = "vmdk-flat",
    vmdk_split = "vmdk-split",
    vdi = "vdi",
    vdi_fixed = "vdi-fixed",
    qcow2 = "qcow2",
    qcow2_compressed = "qcow2-compressed",
}

/// What is past a format's limit is refused in words, and nothing is left.
#[test]
fn disks_that_a_format_cannot_hold() {
    let largest = Source::all().last().expect("some");
    let Some((directory, raw)) = with_raw(largest) else { return };
    for name in ["vhd", "vhd-fixed", "vmdk", "vmdk-sparse", "vmdk-split", "vmdk-flat"] {
        let out = directory.path().join("disk.out");
        wimforge(args!["convert", &raw, &out, "--format", name]).badly(&[2, 4]).says(&["exceeds"]);
        assert_eq!(names(directory.path()), ["source.raw"], "{name}");
    }
}
