//! Any bytes are opened as a WIM, or as the parts of a split set, or refused; what opens is walked, read and verified,
//! within bounds.
//!
//! The metadata's hash would keep the fuzzer out, so images are parsed without it, too. The parts of a set are simply
//! one behind the other: each begins with the signature.
#![no_main]

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use wim::verify::{self, Progress};
use wim::{BlobId, DentryId, Image, Limits, Source, StreamRef, Wim};

const LIMITS: fn() -> Limits = || Limits {
    metadata_bytes: 1 << 20,
    blob_table_bytes: 1 << 20,
    xml_bytes: 1 << 18,
    integrity_bytes: 1 << 20,
    chunk_bytes: 1 << 20,
    chunk_table_bytes: 1 << 16,
    ..Limits::default()
};

/// What is verified as a whole: more than that takes time and teaches nothing new.
const MAX_VERIFIED: u64 = 4 << 20;
/// Memory for decoded chunks: room for some.
const MEMORY: u64 = 1 << 20;

fn walk(wim: &Wim, image: &Image) {
    let mut reader = wim.reader();
    let mut left = 4 << 20;
    let mut buffer = vec![0; 1 << 16];
    for id in (0..image.dentries().len() as u32).map(DentryId) {
        let dentry = image.dentry(id);
        for child in image.children(id) {
            assert!(child > id, "children come after their directory");
            assert_eq!(image.dentry(child).parent, id);
        }
        let inode = image.inode(dentry.inode);
        assert!(inode.links.contains(&id));
        assert!(inode.security.is_none_or(|security| (security as usize) < image.security().len()));
        inode.eas.iter().for_each(|ea| assert!(!ea.name.is_empty()));
        for stream in inode.streams() {
            let StreamRef::Blob { id: blob, .. } = *stream else { continue };
            let size = wim.blob(blob).size;
            // The start, the end, and an odd place between: direct, partial and remembered chunks.
            for start in [0, (size / 3) | 1, size.saturating_sub(1000)] {
                let len = size.saturating_sub(start).min(buffer.len() as u64).min(left) as usize;
                left -= len as u64;
                let _ = reader.read_at(blob, start, &mut buffer[..len]);
            }
        }
    }
    if let Some(last) = (image.dentries().len() as u32).checked_sub(1) {
        let path = image.path(DentryId(last));
        let _ = image.lookup(&path);
    }
}

/// Two threads, so that the parts of a blob in several chunks meet; always the same two.
fn pool() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads"))
}

fn verify(wim: &Wim) {
    // A few bytes of chunk table can stand for very much content.
    if verify::total_bytes(wim) > MAX_VERIFIED {
        return;
    }
    let (checked, cancel) = (AtomicU64::new(0), AtomicBool::new(false));
    let report = pool()
        .install(|| verify::verify(wim, &Progress { checked: &checked, cancel: &cancel }))
        .expect("nobody cancels it");
    assert_eq!(report.blobs, wim.blobs().len() as u64);
    assert!(report.damaged.is_sorted_by_key(|damage| damage.blob));
    // What is intact can be read, and what is damaged cannot be read or has another hash: both readers agree.
    let mut reader = wim.reader();
    for (index, blob) in wim.blobs().iter().enumerate().take(16) {
        let id = BlobId(index as u32);
        let damaged = report.damaged.iter().any(|damage| damage.blob == id);
        let read = reader.read_all(id, MAX_VERIFIED);
        assert!(damaged || read.is_ok_and(|content| content.len() as u64 == blob.size));
    }
}

/// The parts of a set; one source if there is one signature.
fn parts(data: &[u8]) -> Vec<Source> {
    let begins = |at: &usize| data[*at..].starts_with(b"MSWIM\0\0\0");
    let mut starts: Vec<usize> = (1..data.len().max(1)).filter(begins).take(7).collect();
    starts.insert(0, 0);
    starts.push(data.len());
    starts.windows(2).map(|pair| Arc::new(data[pair[0]..pair[1]].to_vec()) as Source).collect()
}

fuzz_target!(|data: &[u8]| {
    let opened = match Wim::open_with(Arc::new(data.to_vec()), LIMITS()) {
        Err(_) => Wim::open_set_with(parts(data), LIMITS()),
        opened => opened,
    };
    let Ok(wim) = opened else { return };
    wim.set_memory(MEMORY);
    // Some small blobs are put aside, if they are solid.
    let some = (0..wim.blobs().len() as u32).step_by(2).map(BlobId);
    wim.keep(&some.collect::<Vec<_>>());
    for index in 1..=wim.image_count().min(4) {
        for image in [wim.image(index), wim.image_ignoring_hash(index)].into_iter().flatten() {
            assert!(image.dentries().len() <= 1 + (1 << 20) / 102);
            walk(&wim, &image);
        }
    }
    verify(&wim);
});
