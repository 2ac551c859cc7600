//! Where the samples are.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::PathBuf;

/// The real stores by name, or nothing (said on standard error) without `$WIMFORGE_SAMPLES`.
pub(crate) fn samples() -> Vec<(String, Vec<u8>)> {
    let Some(root) = testkit::samples() else { return Vec::new() };
    let mut samples = Vec::new();
    for entry in fs::read_dir(root.join("bcd")).expect("the samples") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        samples.push((name, fs::read(path).expect("a readable sample")));
    }
    if let Some(xz) = testkit::tool("xz") {
        let output = xz.run([PathBuf::from("-dc"), root.join("hives/BCD.xz")]);
        samples.push(("BCD-windows10".to_owned(), output.stdout));
    }
    samples.sort();
    assert!(samples.len() >= 9, "{}", samples.len());
    samples
}
