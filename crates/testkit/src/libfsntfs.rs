//! libfsntfs, the only reader on Linux that decodes compressed files (WOF) by itself. It comes as a Python package, which
//! `crates/testkit/fetch-libfsntfs.sh` puts into the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tree::Tree;
use crate::wimfile::Hash;

/// Prints SHA-1, a space and the path of every file, and `-` instead of a hash for a directory.
const SCRIPT: &str = r#"
import hashlib, sys
import pyfsntfs
volume = pyfsntfs.volume()
volume.open(sys.argv[1])
stack = [(volume.get_root_directory(), "")]
while stack:
    entry, path = stack.pop()
    for i in range(entry.number_of_sub_file_entries):
        child = entry.get_sub_file_entry(i)
        where = path + "/" + child.name
        if path == "" and child.name.startswith("$"):
            continue
        if child.has_directory_entries_index():
            print("-", where)
            stack.append((child, where))
            continue
        sha1, left = hashlib.sha1(), child.size
        child.seek_offset(0, 0)
        while left:
            piece = child.read_buffer(min(left, 1 << 20))
            if not piece:
                break
            sha1.update(piece)
            left -= len(piece)
        print(sha1.hexdigest(), where)
"#;

/// The Python that has libfsntfs: `LIBFSNTFS_PYTHON`, else the one in the cache.
///
/// `None`, with a visible `SKIPPED:` line, when there is none.
///
/// # Panics
/// When it is missing although `REQUIRE_TOOLS=1`.
pub fn python() -> Option<PathBuf> {
    let given = std::env::var_os("LIBFSNTFS_PYTHON").map(PathBuf::from);
    let path = given.unwrap_or_else(|| crate::cache().join("libfsntfs/bin/python"));
    if path.is_file() {
        return Some(path);
    }
    crate::skip("needs libfsntfs (bash crates/testkit/fetch-libfsntfs.sh)");
    None
}

/// libfsntfs finds every path of `tree` in the volume, and in every file what it should hold. `false` when there is no
/// libfsntfs.
#[track_caller]
pub fn reads(volume: &Path, tree: &Tree) -> bool {
    let Some(python) = python() else { return false };
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(volume)
        .env("PYTHONIOENCODING", "utf-8:surrogatepass")
        .output()
        .expect("Python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "libfsntfs: {errors}");
    let (mut files, mut others) = (BTreeMap::new(), Vec::new());
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (found, path) = line.split_once(' ').expect("a hash and a path");
        match found {
            "-" => others.push(path.to_owned()),
            hex => {
                files.insert(path.to_owned(), parse(hex));
            }
        }
    }
    let faults = tree.seen_as(&files, &others);
    assert!(faults.is_empty(), "libfsntfs: {:#?}", &faults[..faults.len().min(10)]);
    true
}

fn parse(hex: &str) -> Hash {
    let mut hash = Hash::default();
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("hexadecimal digits");
        *byte = u8::from_str_radix(digits, 16).expect("hexadecimal digits");
    }
    hash
}
