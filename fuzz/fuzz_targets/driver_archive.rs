//! Any file is an archive of drivers (ZIP, cabinet, ISO image, INF file) or is refused; what lies in it is found, described and held against
//! a target, and stays where it belongs.
#![no_main]

#[path = "../support/scratch.rs"]
mod scratch;

use image::drivers::{Architecture, DriverSource, ProductType, Target, describe, fits};
use libfuzzer_sys::fuzz_target;
use scratch::Scratch;

fn walk(source: &DriverSource, folder: &str, depth: usize, left: &mut usize) {
    let Ok(entries) = source.tree().list(folder) else { return };
    for entry in entries {
        if *left == 0 || depth > 20 {
            return;
        }
        *left -= 1;
        let name = &entry.name;
        assert!(!name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\']), "{name:?}");
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.is_folder {
            walk(source, &path, depth + 1, left);
        } else {
            let _ = source.tree().read(&path);
        }
    }
}

/// Makes what a ZIP archive says of the bytes of its members right, so that they are reached.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let mut sums: Vec<(usize, [u8; 4])> = Vec::new();
    for at in 0..bytes.len().saturating_sub(30) {
        if bytes[at..].starts_with(b"PK\x03\x04") && bytes[at + 8..at + 10] == [0, 0] {
            let number = |at: usize, len: usize| {
                bytes[at..at + len].iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte))
            };
            let start = at + 30 + number(at + 26, 2) + number(at + 28, 2);
            if let Some(member) = start.checked_add(number(at + 18, 4)).and_then(|end| bytes.get(start..end))
            {
                sums.push((at, crc32fast::hash(member).to_le_bytes()));
            }
        }
    }
    for &(at, sum) in &sums {
        bytes[at + 14..at + 18].copy_from_slice(&sum);
    }
    for at in 0..bytes.len().saturating_sub(46) {
        if bytes[at..].starts_with(b"PK\x01\x02") {
            let header = u32::from_le_bytes(bytes[at + 42..at + 46].try_into().expect("four bytes")) as usize;
            if let Some((_, sum)) = sums.iter().find(|sum| sum.0 == header) {
                bytes[at + 16..at + 20].copy_from_slice(sum);
            }
        }
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let bytes = if mode & 1 == 0 { data.to_vec() } else { sealed(data) };
    let scratch = Scratch::new();
    let path = scratch.file("drivers.zip", &bytes);
    let Ok(source) = DriverSource::open(&path) else { return };
    walk(&source, "", 0, &mut 300);
    let _ = describe(&source);
    let target = Target::new(Architecture::Amd64, 14393, ProductType::Server);
    let _ = fits(&source, &target, mode & 2 != 0);
});
