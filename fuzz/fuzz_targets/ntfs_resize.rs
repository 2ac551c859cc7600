//! Any volume gets another size or is refused. One that gets it has no new faults, and what it holds is what it held.
#![no_main]

#[path = "../support/ntfs.rs"]
mod ntfs;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use disk::ReadAt;
use libfuzzer_sys::fuzz_target;
use ntfs::{BASE, Patched, content};
use ntfs_writer::check::{Options, Severity, check};
use ntfs_writer::read::{self, Volume};
use ntfs_writer::resize::{Content, Resized, least, resize};

/// The volume as it is to become.
struct After {
    before: Arc<dyn ReadAt>,
    resized: Resized,
}

impl ReadAt for After {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.resized.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let segments = &self.resized.segments;
        let first = segments.partition_point(|segment| segment.end() <= offset);
        for segment in segments[first..].iter().take_while(|segment| segment.start < end) {
            let (from, to) = (segment.start.max(offset), segment.end().min(end));
            let part = &mut buf[(from - offset) as usize..(to - offset) as usize];
            let skip = from - segment.start;
            match &segment.content {
                Content::Volume(at) => self.before.read_exact_at(part, at + skip)?,
                Content::Bytes(bytes) => part.copy_from_slice(&bytes[skip as usize..][..part.len()]),
                Content::Zero => part.fill(0),
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.resized.len)
    }
}

fn faults(volume: &dyn ReadAt) -> BTreeSet<String> {
    let report = check(volume, &Options::default()).expect("a size");
    let severe = report.findings.iter().filter(|finding| finding.severity != Severity::Note);
    severe.map(|finding| format!("{:?} {}", finding.code, finding.text)).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, low, high], patches)) = data.split_first_chunk::<3>() else { return };
    let before: Arc<dyn ReadAt> = Arc::new(Patched::new(patches));
    let smallest = least(&before);
    let by = u64::from(u16::from_le_bytes([low, high])) << (mode >> 4);
    let len = match (mode & 3, &smallest) {
        (0, _) => BASE.len() as u64 + by * 512,
        (1, _) => (BASE.len() as u64).saturating_sub(by * 512),
        (2, Ok(smallest)) => smallest + by / 16,
        (_, Ok(smallest)) => *smallest,
        _ => by,
    };
    let Ok(resized) = resize(&before, len) else { return };
    assert!(smallest.is_ok_and(|smallest| smallest <= len), "less than the least");
    assert!(resized.len <= len);
    let mut at = 0;
    for segment in &resized.segments {
        assert!(segment.start == at && segment.len > 0);
        if let Content::Volume(from) = segment.content {
            assert!(from + segment.len <= BASE.len() as u64);
        }
        at = segment.end();
    }
    assert_eq!(at, resized.len);
    let after = Arc::new(After { before: Arc::clone(&before), resized });
    let old = faults(&before);
    let new: Vec<_> = faults(&after).into_iter().filter(|fault| !old.contains(fault)).collect();
    assert!(new.is_empty(), "{new:?}");
    let open = |source| Volume::open(source, read::Options { raw: true }).expect("it was resized");
    assert!(content(&open(before)) == content(&open(after)), "something else is in it");
});
