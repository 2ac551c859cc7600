//! Other people's readers of virtual disks: libyal (libvhdi, libvmdk, libqcow) and dissect.hypervisor.
//!
//! `crates/testkit/fetch-disk-readers.sh` puts them into a virtual environment of the [cache](crate::cache) (or
//! `DISK_READERS_PYTHON` names a Python that has them).

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha1::{Digest, Sha1};

const SCRIPT: &str = include_str!("disk_reader.py");

/// The readers. libyal reads `vhd`, `vhdx`, `vmdk` and `qcow2`; dissect these and `vdi`.
pub const READERS: [&str; 2] = ["libyal", "dissect"];

/// What a reader finds in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Size of the disk in bytes.
    pub size: u64,
    /// For each range that was asked for the SHA-1 of its bytes in hexadecimal.
    pub sha1: Vec<String>,
}

/// The SHA-1 of `bytes` as [`Found::sha1`] has it.
pub fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn python() -> Option<PathBuf> {
    let given = std::env::var_os("DISK_READERS_PYTHON").map(PathBuf::from);
    let path = given.unwrap_or_else(|| crate::cache().join("disk-readers/bin/python"));
    if path.is_file() {
        return Some(path);
    }
    crate::skip("needs libvhdi, libvmdk, libqcow and dissect (bash crates/testkit/fetch-disk-readers.sh)");
    None
}

/// What `reader`, one of [`READERS`], finds in a disk of `format` ("vhd", "vhdx", "vmdk", "vdi", "qcow2"): its size, and
/// the bytes of `ranges` (of the whole disk, when there are none). The first of `files` is the disk, its parents follow,
/// nearest first. `None`, with a visible `SKIPPED:` line, when it is not installed.
///
/// # Panics
/// When the reader fails.
#[track_caller]
pub fn read(reader: &str, format: &str, files: &[&Path], ranges: &[Range<u64>]) -> Option<Found> {
    match try_read(reader, format, files, ranges)? {
        Ok(found) => Some(found),
        Err(said) => panic!("{reader} does not read {files:?} as {format}:\n{said}"),
    }
}

/// Like [`read`], with what the reader said when it fails.
///
/// # Panics
/// When Python cannot be run.
pub fn try_read(
    reader: &str,
    format: &str,
    files: &[&Path],
    ranges: &[Range<u64>],
) -> Option<Result<Found, String>> {
    let mut asked: Vec<String> =
        ranges.iter().map(|range| format!("{}-{}", range.start, range.end)).collect();
    if asked.is_empty() {
        asked.push("0-".to_owned());
    }
    let mut command = Command::new(python()?);
    command.args(["-c", SCRIPT, reader, format, &asked.join(",")]).args(files);
    let output = command.output().expect("Python starts");
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8(output.stdout).expect("digits");
    let mut lines = text.lines().map(str::to_owned);
    let size = lines.next().and_then(|line| line.parse().ok()).expect("a size");
    Some(Ok(Found { size, sha1: lines.collect() }))
}
