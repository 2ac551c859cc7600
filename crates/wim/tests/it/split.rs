//! Split sets: in any order, incomplete, mixed up, damaged.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::common::*;
use sha1::{Digest, Sha1};
use testkit::{args, tool};
use wimforge_wim::verify::{self, Integrity, Progress, Report};
use wimforge_wim::{BlobId, Error, Result, Source, Wim};

fn check(wim: &Wim) -> Report {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap()
}

fn open_set(parts: &[Vec<u8>]) -> Result<Wim> {
    Wim::open_set(parts.iter().map(|part| Arc::new(part.clone()) as Source).collect())
}

/// The parts of the committed sample, as wimlib splits it.
fn split(guid: Option<u8>) -> Option<Vec<Vec<u8>>> {
    let wimlib = tool("wimlib-imagex")?;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.wim");
    wimlib.run(args!["export", "--quiet", &testkit::testdata("nano-small.wim"), "1", &source, "--check"]);
    wimlib.run(args!["split", "--quiet", "--check", &source, &dir.path().join("x.swm"), "0.1"]);
    let part = |number: u32| {
        let name = if number == 1 { "x.swm".to_owned() } else { format!("x{number}.swm") };
        let mut bytes = std::fs::read(dir.path().join(Path::new(&name))).ok()?;
        if let Some(guid) = guid {
            bytes[0x18] = guid;
        }
        Some(bytes)
    };
    Some((1..).map_while(part).collect())
}

#[test]
fn sets_in_any_order() {
    let Some(mut parts) = split(None) else { return };
    assert!(parts.len() >= 3);
    let whole = open(&std::fs::read(testkit::testdata("nano-small.wim")).unwrap()).unwrap();
    for _ in 0..parts.len() {
        parts.rotate_left(1);
        let wim = open_set(&parts).unwrap();
        assert_eq!(wim.warnings(), []);
        assert_eq!(wim.header().part, 1);
        assert_eq!(wim.file_size(), parts.iter().map(|part| part.len() as u64).sum::<u64>());
        assert_eq!(wim.blobs().len(), whole.blobs().len());
        assert!(wim.blobs().is_sorted_by_key(|blob| (blob.part, blob.offset)));
        let mut reader = wim.reader();
        for (blob, id) in wim.blobs().iter().zip((0..).map(BlobId)) {
            assert_eq!(Sha1::digest(reader.read_all(id, u64::MAX).unwrap())[..], blob.sha1);
        }
        let report = check(&wim);
        assert!(report.is_intact(), "{report:?}");
        assert!(
            matches!(report.integrity, Integrity::Checked { pieces, .. } if pieces >= parts.len() as u64)
        );
    }
}

#[test]
fn sets_that_are_none() {
    let Some(parts) = split(None) else { return };
    let error = open(&parts[1]).unwrap_err().to_string();
    assert!(error.contains("part 2 of a split set of"), "{error}");
    let total = parts.len();
    for missing in 0..total {
        let mut some = parts.clone();
        some.remove(missing);
        let error = open_set(&some).unwrap_err();
        assert!(
            matches!(error, Error::MissingPart { part, parts } if (usize::from(part), usize::from(parts)) == (missing + 1, total)),
            "{error}"
        );
    }
    let foreign = split(Some(!parts[0][0x18])).unwrap();
    for (set, at, expected) in [
        ([&parts[..], &parts[1..2]].concat(), total, "it is part 2 once more"),
        ([&parts[..1], &parts[..]].concat(), 1, "it is part 1 once more"),
        ([&parts[..], &parts[total - 1..]].concat(), total, "once more"),
        ([&parts[..1], &foreign[1..]].concat(), 1, "expected set"),
        ([&parts[..], &[vec![7; 300]]].concat(), total, "signature is"),
        (
            [&parts[..1], &[parts[1][..1000].to_vec()], &parts[2..]].concat(),
            1,
            "ends past the end of the file",
        ),
    ] {
        let error = open_set(&set).unwrap_err();
        let Error::Part { part, source } = error else { panic!("{error}") };
        assert!(
            part == at && source.to_string().contains(expected),
            "{part}: {source}, expected {at}: {expected}"
        );
    }
}

#[test]
fn damage_is_found_in_its_part() {
    let Some(parts) = split(None) else { return };
    let wim = open_set(&parts).unwrap();
    for part in 1..=parts.len() as u16 {
        let blob = wim.blobs().iter().find(|blob| blob.part == part).unwrap();
        let mut damaged = parts.clone();
        damaged[usize::from(part) - 1][blob.offset as usize] ^= 0xFF;
        let report = check(&open_set(&damaged).unwrap());
        assert_eq!(report.damaged.len(), 1);
        assert_eq!(report.damaged[0].sha1, blob.sha1);
        let Integrity::Checked { damaged, .. } = report.integrity else { panic!() };
        assert_eq!(damaged.len(), 1);
        assert!(damaged[0].part == part && damaged[0].bytes.contains(&blob.offset));
    }
}

/// One byte after the other in all parts, headers and tables included: nothing panics.
#[test]
fn one_byte_anywhere() {
    let Some(parts) = split(None) else { return };
    for part in 0..parts.len() {
        let mut set = parts.clone();
        let table = range(&set[part], TABLE);
        for at in (0..208).chain(table) {
            set[part][at] ^= 0x11;
            if let Ok(wim) = open_set(&set) {
                let mut reader = wim.reader();
                for id in (0..wim.blobs().len() as u32).step_by(10).map(BlobId) {
                    let _ = reader.read_all(id, 1 << 20);
                }
            }
            set[part][at] ^= 0x11;
        }
    }
}
