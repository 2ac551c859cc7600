//! Any bytes are opened as a WIM or refused; what opens is walked and read, within bounds.
//!
//! The metadata's hash would keep the fuzzer out, so images are parsed without it, too.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use wim::{BlobId, DentryId, Image, Limits, StreamRef, Wim};

const LIMITS: fn() -> Limits = || Limits {
    metadata_bytes: 1 << 20,
    blob_table_bytes: 1 << 20,
    xml_bytes: 1 << 18,
    integrity_bytes: 1 << 20,
    solid_chunk_bytes: 1 << 20,
    chunk_table_bytes: 1 << 16,
    ..Limits::default()
};

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
            let StreamRef::Blob(blob) = *stream else { continue };
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

fuzz_target!(|data: &[u8]| {
    let Ok(wim) = Wim::open_with(Arc::new(data.to_vec()), LIMITS()) else { return };
    // Solid chunks: room for some, and some small blobs put aside.
    wim.set_memory(1 << 20);
    let some = (0..wim.blobs().len() as u32).step_by(2).map(BlobId);
    wim.keep(&some.collect::<Vec<_>>());
    for index in 1..=wim.image_count().min(4) {
        for image in [wim.image(index), wim.image_ignoring_hash(index)].into_iter().flatten() {
            assert!(image.dentries().len() <= 1 + (1 << 20) / 102);
            walk(&wim, &image);
        }
    }
});
