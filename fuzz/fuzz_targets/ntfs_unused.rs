//! Of any volume it is known what is unused, or it is refused. Made zero, it has no new faults, and what can be read of it is what
//! could be.
#![no_main]

#[path = "../support/ntfs.rs"]
mod ntfs;

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::ReadAt;
use libfuzzer_sys::fuzz_target;
use ntfs::{BASE, Patched, content};
use ntfs_writer::check::{self, Severity, check};
use ntfs_writer::read::{self, Volume};
use ntfs_writer::unused::{Options, unused};

fn faults(volume: &dyn ReadAt) -> BTreeSet<String> {
    let report = check(volume, &check::Options::default()).expect("a size");
    let severe = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
    severe.map(|finding| format!("{:?} {}", finding.code, finding.text)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, patches)) = data.split_first() else { return };
    let before: Arc<dyn ReadAt> = Arc::new(Patched::new(patches));
    let options = Options { pagefile: mode & 1 != 0, swapfile: mode & 2 != 0, hiberfil: mode & 4 != 0 };
    let Ok(found) = unused(&before, &options) else { return };
    let mut after = vec![0; BASE.len()];
    before.read_exact_at(&mut after, 0).expect("memory can be read");
    let mut end = None;
    for range in &found.ranges {
        assert!(range.start < range.end && range.end <= BASE.len() as u64);
        assert!(end.is_none_or(|end| end < range.start), "not sorted, or adjacent");
        end = Some(range.end);
        after[range.start as usize..range.end as usize].fill(0);
    }
    for patch in &found.patches {
        let at = patch.offset as usize;
        patch.apply(&mut after[at..at + patch.len as usize]).expect("it was applied once, when it was found");
    }
    let (old, after) = (faults(&before), Arc::new(after));
    let new: Vec<_> = faults(&after).into_iter().filter(|fault| !old.contains(fault)).collect();
    assert!(new.is_empty(), "{new:?}");
    for raw in [true, false] {
        let open = |source| Volume::open(source, read::Options { raw }).expect("it was looked through");
        let after: Arc<dyn ReadAt> = Arc::clone(&after) as Arc<dyn ReadAt>;
        assert!(content(&open(Arc::clone(&before))) == content(&open(after)), "something else is in it");
    }
});
