//! Where the samples are.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::PathBuf;

use hive::reg::RegFile;
use hive::{FileTime, Hive};
use wimforge_bcd::{Store, StoreRole};

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
    let exported = fs::read(root.join("regfiles/windows-bcd.reg")).expect("a readable sample");
    samples.push(("BCD-windows11".to_owned(), import(&exported)));
    samples.sort();
    assert!(samples.len() >= 10, "{}", samples.len());
    samples
}

/// A store that there is as a .reg file only: its keys and values in a new hive.
fn import(exported: &[u8]) -> Vec<u8> {
    let file = RegFile::parse(exported).expect("a .reg file");
    let security = Store::new(StoreRole::Plain, FileTime(0)).and_then(|store| store.to_hive());
    let security = security.expect("a store").root().security().to_vec();
    let mut hive = Hive::new(3, "NewStoreRoot", &security, FileTime(0)).expect("a hive");
    hive::reg::apply(hive.root_mut(), &file.operations, None, &mut |operation| {
        Ok(Some(operation.key.clone()))
    })
    .expect("what it says can be done");
    hive.to_bytes().expect("a hive")
}
