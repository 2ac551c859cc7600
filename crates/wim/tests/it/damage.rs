//! Files that are cut or changed somewhere: an error or a finding of `verify`, never a panic, never silence.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::*;
use testkit::content::Random;
use testkit::wimfile::{Entry, WimFile};
use wimforge_wim::verify::{self, Integrity, Progress, Report};
use wimforge_wim::{Error, Wim};

fn check(wim: &Wim) -> Report {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap();
    if report.damaged.is_empty() {
        assert_eq!(checked.into_inner(), verify::total_bytes(wim));
    }
    report
}

/// The committed sample: LZX, written by wimlib.
fn compressed() -> Vec<u8> {
    std::fs::read(testkit::testdata("nano-small.wim")).unwrap()
}

#[test]
fn the_undamaged_are_intact() {
    for bytes in [sample().to_bytes(), compressed()] {
        let wim = open(&bytes).unwrap();
        let report = check(&wim);
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.blobs as usize, wim.blobs().len());
        assert_eq!(report.bytes, wim.blobs().iter().map(|blob| blob.size).sum::<u64>());
        assert_eq!(report.warnings, []);
        use_all(&bytes).unwrap();
    }
}

#[test]
fn cut_anywhere() {
    let bytes = sample().to_bytes();
    for len in 0..bytes.len() {
        let error = open(&bytes[..len]).expect_err("the last byte belongs to the XML").to_string();
        assert!(error.starts_with("malformed"), "{len}: {error}");
    }
    let bytes = compressed();
    for len in
        (0..208).chain((208..bytes.len()).step_by(97)).chain(range(&bytes, TABLE)).chain(range(&bytes, XML))
    {
        assert!(open(&bytes[..len]).is_err(), "{len}");
    }
    let error = open(&[]).unwrap_err().to_string();
    assert_eq!(error, "malformed WIM header at 0x0: file ends after 0 bytes, the header has 208");
}

/// A file that shrinks after it was opened.
#[test]
fn cut_while_it_is_read() {
    struct Shrinking(Vec<u8>, AtomicU64);
    impl disk::ReadAt for Shrinking {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
            self.0[..self.1.load(Ordering::Relaxed) as usize].read_exact_at(buf, offset)
        }
        fn size(&self) -> std::io::Result<u64> {
            Ok(self.1.load(Ordering::Relaxed))
        }
    }
    let bytes = compressed();
    let source = std::sync::Arc::new(Shrinking(bytes.clone(), AtomicU64::new(bytes.len() as u64)));
    let wim = Wim::open(source.clone()).unwrap();
    source.1.store(bytes.len() as u64 / 2, Ordering::Relaxed);
    let report = check(&wim);
    assert!(!report.damaged.is_empty() && report.damaged.len() < wim.blobs().len());
    assert!(report.damaged.iter().all(|damage| matches!(damage.error, Error::Io { .. })));
    let dentries = report.images[0].dentries.as_ref();
    assert!(matches!(dentries.map_err(Error::root), Err(Error::Io { .. })));
}

/// One byte after the other, in header, blob table and metadata: what comes of it is an error, or everything is read
/// without a panic. The metadata is used with and without regard to its hash.
#[test]
fn one_byte_anywhere() {
    let good = sample().to_bytes();
    let xml = range(&good, XML);
    let mut bytes = good.clone();
    let mut refused = 0;
    for at in (0..good.len()).filter(|at| !xml.contains(at)) {
        for change in [0x01, 0x80, 0xFF] {
            bytes[at] ^= change;
            refused += usize::from(use_all(&bytes).is_err());
            if let Ok(wim) = open(&bytes) {
                check(&wim);
            }
            bytes[at] = good[at];
        }
    }
    assert!(refused > good.len() / 4, "{refused} of {}", 3 * good.len());
}

/// Every byte of the stored blobs and of the metadata matters: `verify` finds each, and names the place.
#[test]
fn every_byte_of_content_is_checked() {
    let good = sample().to_bytes();
    let wim = open(&good).unwrap();
    for blob in wim.blobs() {
        for at in blob.offset..blob.offset + blob.size {
            let mut bytes = good.clone();
            bytes[at as usize] ^= 0x10;
            let report = check(&open(&bytes).unwrap());
            assert_eq!(report.damaged.len(), 1);
            assert_eq!(report.damaged[0].sha1, blob.sha1);
            assert!(matches!(report.damaged[0].error, Error::Hash { .. }));
            assert!(!report.damaged[0].places.is_empty());
        }
    }
    let metadata = range(&good, metadata_entry(&good));
    for at in metadata {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let report = check(&open(&bytes).unwrap());
        let dentries = report.images[0].dentries.as_ref();
        assert!(matches!(dentries.map_err(Error::root), Err(Error::Hash { .. })));
        assert!(!report.is_intact());
    }
}

#[test]
fn places_have_names() {
    let mut bytes = sample().to_bytes();
    let wim = open(&bytes).unwrap();
    for blob in wim.blobs() {
        bytes[blob.offset as usize] ^= 1;
    }
    let report = check(&open(&bytes).unwrap());
    let mut places: Vec<String> =
        report.damaged.iter().flat_map(|damage| &damage.places).map(|place| place.path.clone()).collect();
    places.sort();
    assert_eq!(places, ["\\directory\\symlink", "\\file.txt", "\\file.txt:stream"]);
    assert!(report.damaged.iter().all(|damage| damage.places.iter().all(|place| place.image == 1)));
}

/// Bytes of compressed data and chunk tables, at random: nearly all are found (a few bits of a chunk mean nothing).
#[test]
fn bytes_of_compressed_content() {
    let good = compressed();
    let wim = open(&good).unwrap();
    let mut random = Random::new(5);
    let (mut found, mut tried) = (0, 0);
    for blob in wim.blobs().iter().filter(|blob| blob.stored_size < blob.size).cycle().take(400) {
        let at = blob.offset + random.below(blob.stored_size as usize) as u64;
        let mut bytes = good.clone();
        bytes[at as usize] ^= 1 << random.below(8);
        let wim = open(&bytes).unwrap();
        let id = wim.find_blob(&blob.sha1).unwrap();
        let intact = wim.reader().read_all(id, 1 << 24).is_ok_and(|data| {
            use sha1::Digest;
            sha1::Sha1::digest(data).as_slice() == blob.sha1
        });
        tried += 1;
        found += u32::from(!intact);
    }
    assert!(found > tried * 9 / 10, "{found} of {tried}");
}

#[test]
fn integrity_finds_every_byte_it_covers() {
    let mut good = sample().to_bytes();
    let table = integrity(&good, 64);
    replace(&mut good, INTEGRITY, &table);
    let end = range(&good, TABLE).end;
    for at in 208..end {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        // In the blob table a change may make the file unusable before that.
        let Ok(wim) = open(&bytes) else { continue };
        match check(&wim).integrity {
            Integrity::Checked { damaged, .. } => {
                let start = 208 + (at as u64 - 208) / 64 * 64;
                assert_eq!(damaged.len(), 1);
                assert_eq!(
                    (damaged[0].part, damaged[0].bytes.clone()),
                    (1, start..(end as u64).min(start + 64))
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn wrong_reference_counts_are_a_warning() {
    let mut bytes = sample().to_bytes();
    let at = entries(&bytes)[0] + 0x1A;
    bytes[at] += 1;
    let report = check(&open(&bytes).unwrap());
    assert!(report.is_intact());
    assert!(
        report.warnings[0]
            .text
            .contains("1 blob has a wrong reference count: it says 3, and images use it 2 times")
    );
}

#[test]
fn missing_content_is_a_fault() {
    let wim = testkit::hostile::missing_blob();
    let report = check(&open(&wim.to_bytes()).unwrap());
    assert!(!report.is_intact());
    assert_eq!(report.missing.len(), 1);
    assert_eq!(report.missing[0].sha1, [0xAB; 20]);
    assert_eq!(report.missing[0].places[0].path, "\\folder\\missing.bin");
}

/// Blobs beyond 32 MiB are decoded by all workers together: the same verdicts, in pools of any size.
#[test]
fn large_blobs() {
    let mut wim = WimFile::new();
    let image = wim.image("large");
    let root = image.root();
    image.add(root, Entry::file("large", Random::new(1).bytes((32 << 20) + 12_345)));
    image.add(root, Entry::file("small", "small"));
    let mut bytes = wim.to_bytes();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| check(&open(&bytes).unwrap())).is_intact());
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let report = pool.install(|| check(&open(&bytes).unwrap()));
        bytes[middle] ^= 1;
        assert_eq!(report.damaged.len(), 1);
        assert_eq!(report.damaged[0].places[0].path, "\\large");
    }
}

#[test]
fn it_can_be_cancelled() {
    let wim = open(&sample().to_bytes()).unwrap();
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(true));
    let result = verify::verify(&wim, &Progress { checked: &checked, cancel: &cancel });
    assert!(matches!(result, Err(Error::Cancelled)));
}
