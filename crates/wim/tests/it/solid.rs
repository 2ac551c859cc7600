//! Solid resources: made by hand, damaged, hostile, and read by several threads with little memory.

use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::common::*;
use sha1::{Digest, Sha1};
use testkit::content::Random;
use testkit::wimfile::{Entry, WimFile};
use wimforge_wim::verify::{self, Progress, Report};
use wimforge_wim::{BlobId, Error, Limits, Storage, Wim};

const SOLID_SIZE: u64 = 1 << 32;

fn check(wim: &Wim) -> Report {
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }).unwrap();
    assert_eq!(checked.into_inner(), verify::total_bytes(wim));
    report
}

/// The same WIM with all file contents in solid resources, each of `resource_size` bytes at most and with chunks of
/// `chunk_size`, in one run. Entries are in the order that `shuffle` makes of them.
fn solid(
    wim: &WimFile,
    resource_size: usize,
    chunk_size: usize,
    mut shuffle: impl FnMut(&mut Vec<[u8; 50]>),
) -> Vec<u8> {
    let mut bytes = wim.to_bytes();
    let old = open(&bytes).unwrap();
    let mut run = Vec::new();
    let mut entries = Vec::new();
    let mut reader = old.reader();
    for (blob, id) in old.blobs().iter().zip((0..).map(BlobId)) {
        let content = reader.read_all(id, u64::MAX).unwrap();
        let mut entry = solid_blob(run.len() as u64, &content);
        put(&mut entry, 0x1A, &blob.refcount.to_le_bytes());
        entries.push(entry);
        run.extend(content);
    }
    let metadata: [u8; ENTRY_LEN] = bytes[metadata_entry(&bytes)..][..ENTRY_LEN].try_into().unwrap();
    for part in run.chunks(resource_size) {
        let stored = solid_resource(part, chunk_size);
        entries.push(solid_entry(bytes.len(), stored.len()));
        bytes.extend(stored);
    }
    shuffle(&mut entries);
    entries.push(metadata);
    put(&mut bytes, 0x0C, &0xE00_u32.to_le_bytes());
    replace(&mut bytes, TABLE, entries.as_flattened());
    bytes
}

#[test]
fn blobs_lie_in_any_number_of_chunks_and_resources() {
    let sample = sample();
    let plain = open(&sample.to_bytes()).unwrap();
    for (resource_size, chunk_size) in [(1000, 1024), (1000, 4), (7, 4), (7, 8), (1, 1), (5, 2)] {
        for memory in [0, 20, u64::MAX] {
            let bytes = solid(&sample, resource_size, chunk_size, |entries| {
                entries[..3].reverse();
                entries.rotate_left(2);
            });
            let wim = open(&bytes).unwrap();
            wim.set_memory(memory);
            assert_eq!(wim.blobs().len(), plain.blobs().len());
            let mut reader = wim.reader();
            for (blob, id) in wim.blobs().iter().zip((0..).map(BlobId)) {
                let expected = plain.reader().read_all(plain.find_blob(&blob.sha1).unwrap(), 100).unwrap();
                assert_eq!(reader.read_all(id, 100).unwrap(), expected);
                assert_eq!(wim.chunk_size_of(id), None);
                assert!(matches!(blob.storage, Storage::Solid { run: 0, .. }));
                for start in 0..expected.len() {
                    let mut buf = vec![0; expected.len() - start];
                    reader.read_at(id, start as u64, &mut buf).unwrap();
                    assert_eq!(buf, expected[start..]);
                }
                let error = reader.read_at(id, blob.size, &mut [0]).unwrap_err();
                assert!(matches!(error, Error::OutOfRange { .. }));
                reader.read_at(id, blob.size, &mut []).unwrap();
            }
            for threads in [1, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let report = pool.install(|| check(&wim));
                assert!(report.is_intact(), "{report:?}");
                assert_eq!(report.warnings, []);
            }
        }
    }
}

/// Runs end at entries that are not solid; the offsets of each count from its own first resource.
#[test]
fn several_runs() {
    let (first, second) = (b"of the first run".as_slice(), b"and of the second".as_slice());
    let mut bytes = sample().to_bytes();
    let table = bytes[range(&bytes, TABLE)].to_vec();
    let mut entries = Vec::new();
    for content in [first, second] {
        let stored = solid_resource(content, 8);
        entries.extend([solid_entry(bytes.len(), stored.len()), solid_blob(0, content)].concat());
        bytes.extend(stored);
        entries.extend(&table[..ENTRY_LEN]);
    }
    entries.extend(&table[ENTRY_LEN..]);
    put(&mut bytes, 0x0C, &0xE00_u32.to_le_bytes());
    replace(&mut bytes, TABLE, &entries);
    let wim = open(&bytes).unwrap();
    for content in [first, second] {
        let id = wim.find_blob(&Sha1::digest(content).into()).unwrap();
        assert_eq!(wim.reader().read_all(id, 100).unwrap(), content);
    }
    assert!(check(&wim).is_intact());
    // The flag means nothing in the other version: these are then entries without content.
    put(&mut bytes, 0x0C, &0x1_0D00_u32.to_le_bytes());
    let wim = open(&bytes).unwrap();
    assert_eq!(wim.find_blob(&Sha1::digest(first).into()), None);
}

/// Tables that lie: one change each, and what it is called.
#[test]
fn tables_that_are_refused() {
    let content = [7; 100];
    let sha1 = Sha1::digest(content).into();
    let whole = || solid_resource(&content, 64);
    let header = |at: usize, value: &[u8]| {
        let mut stored = whole();
        put(&mut stored, at, value);
        stored
    };
    let blob = |start, len, size, flags, part| entry(resource(start, len, size, flags), part, 1, sha1);
    let fine = || vec![solid_blob(0, &content)];
    for (stored, entries, expected) in [
        (
            whole(),
            vec![blob(0, 101, 0, SOLID, 1)],
            "blob 0x0..0x65 ends past the end of its solid resources 0x64",
        ),
        (whole(), vec![blob(u64::MAX, 2, 0, SOLID, 1)], "ends past the end of its solid resources"),
        (
            whole(),
            vec![blob(0, 50, 0, SOLID, 1), blob(49, 2, 0, SOLID, 1)],
            "blob begins at 0x31 of its solid",
        ),
        (whole(), vec![blob(0, 50, 0, SOLID | 2, 1)], "metadata in a solid resource"),
        (whole(), vec![blob(0, 50, 0, SOLID, 2)], "solid resource in part 2, this is part 1"),
        (header(0, &0_u64.to_le_bytes()), fine(), "it has no content"),
        (
            header(0, &u64::MAX.to_le_bytes()),
            fine(),
            "cannot hold 0xffffffffffffffff bytes in chunks of 0x40",
        ),
        (header(0, &10_000_u64.to_le_bytes()), fine(), "cannot hold 0x2710 bytes in chunks of 0x40"),
        (header(8, &0_u32.to_le_bytes()), fine(), "chunk size is 0x0, expected a power of two"),
        (header(8, &48_u32.to_le_bytes()), fine(), "chunk size is 0x30"),
        (header(12, &4_u32.to_le_bytes()), fine(), "unknown codec 0x4"),
        (header(12, &3_u32.to_le_bytes()), fine(), "from 0x8000 to 0x40000000 for LZMS"),
        (vec![0; 15], fine(), "solid resource has 0xf bytes, its header alone 0x10"),
    ] {
        let mut bytes = sample().to_bytes();
        put(&mut bytes, 0x0C, &0xE00_u32.to_le_bytes());
        let more = [&[solid_entry(bytes.len(), stored.len())], &entries[..]].concat();
        bytes.extend(stored);
        add_entries(&mut bytes, &more);
        let error = open(&bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
    // A blob, and nothing that it could lie in; a resource outside the file.
    for (entry, expected) in [
        (blob(0, 1, 0, SOLID, 1), "ends past the end of its solid resources 0x0"),
        (solid_entry(1 << 40, 100), "ends past the end of the file"),
        (entry(resource(u64::MAX, 100, SOLID_SIZE, SOLID), 1, 1, sha1), "ends past the end of the file"),
    ] {
        let mut bytes = sample().to_bytes();
        put(&mut bytes, 0x0C, &0xE00_u32.to_le_bytes());
        add_entries(&mut bytes, &[entry]);
        let error = open(&bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    }
}

/// The first chunk table's entries, one by one: the blobs in that resource are damaged, all others can be read.
#[test]
fn chunk_tables_that_are_wrong() {
    let good = solid(&sample(), 12, 4, |_| ());
    let wim = open(&good).unwrap();
    let (resource, inside) = {
        let first = wim.blobs()[0].offset;
        (first as usize, wim.blobs().iter().filter(|blob| blob.offset == first).count())
    };
    assert!(inside < wim.blobs().len());
    for chunk in 0..3 {
        for wrong in [0, 5, u32::MAX] {
            let mut bytes = good.clone();
            put(&mut bytes, resource + 16 + 4 * chunk, &wrong.to_le_bytes());
            let report = check(&open(&bytes).unwrap());
            assert_eq!(report.damaged.len(), inside);
            for damage in &report.damaged {
                let error = damage.error.to_string();
                assert!(
                    error.starts_with("malformed chunk table at") && error.contains("is stored in"),
                    "{error}"
                );
            }
        }
    }
}

/// Every byte of the solid resources, one after the other.
#[test]
fn every_byte_is_checked() {
    let good = solid(&sample(), 13, 4, |_| ());
    let wim = open(&good).unwrap();
    let first = wim.blobs().iter().map(|blob| blob.offset).min().unwrap() as usize;
    for at in first..range(&good, TABLE).start {
        let mut bytes = good.clone();
        bytes[at] ^= 0x41;
        let Ok(wim) = open(&bytes) else { continue };
        let report = check(&wim);
        assert!(!report.damaged.is_empty(), "{at:#x}");
        assert!(report.damaged.iter().all(|damage| !damage.places.is_empty()));
        let _ = use_all(&bytes);
    }
    for len in 0..good.len() {
        assert!(open(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn limits() {
    let bytes = solid(&sample(), 1000, 16, |_| ());
    let open = |limits| Wim::open_with(std::sync::Arc::new(bytes.clone()), limits);
    for (limits, what) in [
        (Limits { chunk_bytes: 15, ..Limits::default() }, "chunk size 16 exceeds the limit of 15"),
        (Limits { chunk_table_bytes: 7, ..Limits::default() }, "length of all chunk tables"),
    ] {
        let error = open(limits).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    open(Limits { chunk_bytes: 16, ..Limits::default() }).unwrap();
}

/// A hundred thousand resources with a blob in each, in time that is not the square of it.
#[test]
fn many_resources() {
    let mut bytes = sample().to_bytes();
    put(&mut bytes, 0x0C, &0xE00_u32.to_le_bytes());
    let (mut resources, mut blobs) = (Vec::new(), Vec::new());
    for n in 0..100_000_u64 {
        let content = n.to_le_bytes();
        let stored = solid_resource(&content, 8);
        resources.push(solid_entry(bytes.len(), stored.len()));
        bytes.extend(stored);
        blobs.push(solid_blob(8 * n, &content));
    }
    // Blobs first, resources last, then the images' entries.
    blobs.extend(resources);
    add_entries(&mut bytes, &blobs);
    let wim = open(&bytes).unwrap();
    assert!(wim.blobs().len() >= 100_000);
    let report = check(&wim);
    assert!(report.damaged.is_empty());
}

/// Several threads read blobs in order, which is what a pass does: with room for all chunks or for none, what they read
/// is right; kept blobs are read afterwards in any order.
#[test]
fn readers_share_chunks() {
    let mut file = WimFile::new();
    let image = file.image("shared");
    let root = image.root();
    let mut random = Random::new(3);
    for n in 0..300 {
        let len = 1 + random.below(if n % 3 == 0 { 30 } else { 3000 });
        let content = random.bytes(len);
        image.add(root, Entry::file(&format!("{n}"), content));
    }
    let bytes = solid(&file, 100_000, 4096, |_| ());
    for memory in [0, 3 * 8192, 10 * 8192, u64::MAX] {
        let wim = open(&bytes).unwrap();
        wim.set_memory(memory);
        let small: Vec<BlobId> =
            (0..wim.blobs().len() as u32).map(BlobId).filter(|&id| wim.blob(id).size <= 30).collect();
        wim.keep(&small);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let right = |id: BlobId, bytes: &[u8]| assert_eq!(Sha1::digest(bytes)[..], wim.blob(id).sha1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut reader = wim.reader();
                    loop {
                        let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if index >= wim.blobs().len() {
                            break;
                        }
                        let id = BlobId(index as u32);
                        right(id, &reader.read_all(id, u64::MAX).unwrap());
                    }
                });
            }
        });
        let decoded = wim.decoded_chunks();
        let length: u64 = wim.blobs().iter().map(|blob| blob.size).sum();
        let chunks = length / 100_000 * 25 + (length % 100_000).div_ceil(4096);
        assert!(decoded >= chunks);
        if memory == u64::MAX {
            assert_eq!(decoded, chunks);
        }
        let mut reader = wim.reader();
        for &id in small.iter().rev() {
            right(id, &reader.read_all(id, 100).unwrap());
            let mut last = [0];
            reader.read_at(id, wim.blob(id).size - 1, &mut last).unwrap();
        }
        assert_eq!(wim.decoded_chunks(), decoded);
    }
}

/// A reader that is in a chunk and not used keeps nobody from reading elsewhere.
#[test]
fn idle_readers_are_no_obstacle() {
    let wim = open(&solid(&sample(), 1000, 4, |_| ())).unwrap();
    wim.set_memory(1);
    let mut readers: Vec<_> = wim.blobs().iter().map(|_| wim.reader()).collect();
    for _ in 0..2 {
        for (reader, id) in readers.iter_mut().zip((0..).map(BlobId)) {
            let mut byte = [0];
            reader.read_at(id, 0, &mut byte).unwrap();
        }
    }
}
