//! Single changes to a volume of ours, each of which the checker must name; and what other tools say of them.

// What cannot be unwrapped fails the test.
#![allow(clippy::unwrap_used, missing_debug_implementations, missing_docs, unreachable_pub)]

mod common;
#[path = "check_mutations/image.rs"]
mod image;
#[path = "check_mutations/kernel.rs"]
mod kernel;
#[path = "check_mutations/table.rs"]
mod table;
#[path = "check_mutations/tools.rs"]
mod tools;

use image::Image;
use table::MUTATIONS;
use wimforge_ntfs_writer::check::{Options as CheckOptions, Report, Severity, check};
use wimforge_ntfs_writer::{Options, parse};

/// One of everything, and room to spare.
fn base() -> Image {
    let mut tree = common::feature_rich();
    // Readers on Linux that ignore case would see one file there.
    tree.links.retain(|link| link.long != "case");
    let orphan =
        (0..tree.files.len()).find(|&node| node > 0 && tree.links.iter().all(|link| link.node != node));
    if let Some(orphan) = orphan {
        tree.files.remove(orphan);
        for link in &mut tree.links {
            link.node -= usize::from(link.node > orphan);
            link.parent -= usize::from(link.parent > orphan);
        }
    }
    compact(&mut tree);
    let options = Options { label: "mutations".into(), serial: 0x0123_4567_89AB_CDEF, ..Options::default() };
    Image::new(tree.image(options, 4 << 20))
}

/// Adds a file that WOF compresses: three chunks, stored as they are, and the table of where the first two end.
fn compact(tree: &mut common::Tree) {
    const SIZE: u64 = 10_000;
    let mut stream: Vec<u8> = [4096u32, 8192].into_iter().flat_map(u32::to_le_bytes).collect();
    stream.extend_from_slice(&common::noise(99, SIZE as usize));
    let file = tree.file(0, "compact.exe", Vec::new());
    tree.files[file].hole = SIZE;
    tree.files[file].attributes |= common::SPARSE | common::REPARSE;
    tree.files[file].named = vec![(parse::WOF_STREAM.into(), stream)];
    let data = [1u32, 2, 1, 0].into_iter().flat_map(u32::to_le_bytes).collect();
    tree.files[file].reparse = Some((parse::WOF_TAG, data));
}

fn check_ours(image: &Image) -> Report {
    check(&image.bytes, &CheckOptions::ours()).unwrap()
}

#[test]
fn every_mutation_is_named() {
    let base = base();
    let report = check_ours(&base);
    assert!(report.findings.is_empty(), "the volume as it was made: {report}");
    let mut faults = String::new();
    for mutation in MUTATIONS {
        let mut image = base.clone();
        (mutation.apply)(&mut image);
        assert!(image.bytes != base.bytes, "{} changes nothing", mutation.what);
        let report = check_ours(&image);
        if !report.has(mutation.code, Severity::Warning) {
            faults += &format!("{}: expected {}, found\n{report}\n", mutation.what, mutation.code);
        }
        // In a volume of unknown origin, too, at least as a note.
        let strange = check(&image.bytes, &CheckOptions::default()).unwrap();
        let own_only =
            ["slack: behind a file's end", "slack: a free cluster", "$LogFile: byte behind the first pages"];
        if !strange.has(mutation.code, Severity::Note) && !own_only.contains(&mutation.what) {
            faults += &format!(
                "{}: of unknown origin: expected {}, found\n{strange}\n",
                mutation.what, mutation.code
            );
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(MUTATIONS.len() >= 60, "{}", MUTATIONS.len());
}

/// Each change is small: what is tested is the sight of one fault, not of a ruin.
#[test]
fn mutations_are_single() {
    let base = base();
    for mutation in MUTATIONS {
        let mut image = base.clone();
        (mutation.apply)(&mut image);
        let changed = image.bytes.iter().zip(&base.bytes).filter(|(a, b)| a != b).count();
        assert!((1..=3000).contains(&changed), "{}: {changed} bytes", mutation.what);
    }
}

/// Writes `docs/ntfs-checkers.md` from what all tools say, where `WIMFORGE_CHECKERS_TABLE` names the file to write.
#[test]
fn table_of_tools() {
    let Some(path) = std::env::var_os("WIMFORGE_CHECKERS_TABLE") else {
        return testkit::skip_here("writes docs/ntfs-checkers.md only when WIMFORGE_CHECKERS_TABLE names it");
    };
    let text = tools::table(&base(), MUTATIONS);
    std::fs::write(path, text).unwrap();
}
