//! Hashing what lies on the disk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use disk::hex;
use sha1::{Digest, Sha1};

use super::{CompareOptions, Difference};
use crate::disk_source::DiskBlobs;
use crate::error::with_causes;
use crate::pipeline::{BlobRead, BlobStore};
use crate::{Error, Result};

/// About how much of a stream is read at once.
const PIECE: usize = 1 << 20;

/// A stream of the disk whose hash is to be compared.
pub(super) struct ToHash {
    pub(super) blob: u32,
    pub(super) expected: [u8; 20],
    pub(super) path: String,
}

/// A content that is another than the one expected.
pub(super) fn other_hash(path: String, found: &[u8; 20], expected: &[u8; 20]) -> Difference {
    Difference { path, what: format!("SHA-1 {}, expected {}", hex(found), hex(expected)) }
}

/// Hashes streams of the disk, in the order in which they lie; returns how many bytes.
pub(super) fn hash(
    blobs: &DiskBlobs<'_>,
    mut streams: Vec<ToHash>,
    options: CompareOptions<'_>,
    found: &mut Vec<Difference>,
) -> Result<u64> {
    streams.sort_by_key(|stream| stream.blob);
    let total = streams.iter().map(|stream| blobs.blob_len(stream.blob)).sum();
    options.total.store(total, Ordering::Relaxed);
    let next = AtomicUsize::new(0);
    let differences: Mutex<Vec<Difference>> = Mutex::default();
    let work = || {
        let mut reader = blobs.reader();
        let mut buffer = Vec::new();
        while let Some(stream) = streams.get(next.fetch_add(1, Ordering::Relaxed)) {
            if options.cancel.load(Ordering::Relaxed) {
                return;
            }
            let difference = match sha1_of(blobs, reader.as_mut(), stream.blob, &mut buffer, options) {
                Ok(found) if found == stream.expected => continue,
                Ok(found) => other_hash(stream.path.clone(), &found, &stream.expected),
                Err(error) => Difference { path: stream.path.clone(), what: with_causes(&error) },
            };
            differences.lock().unwrap_or_else(PoisonError::into_inner).push(difference);
        }
    };
    options.pool.in_place_scope(|scope| {
        for _ in 0..options.pool.current_num_threads() {
            scope.spawn(|_| work());
        }
    });
    if options.cancel.load(Ordering::Relaxed) {
        return Err(Error::Cancelled);
    }
    found.append(&mut differences.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(total)
}

fn sha1_of(
    blobs: &DiskBlobs<'_>,
    reader: &mut dyn BlobRead,
    blob: u32,
    buffer: &mut Vec<u8>,
    options: CompareOptions<'_>,
) -> Result<[u8; 20]> {
    let len = blobs.blob_len(blob);
    let mut hash = Sha1::new();
    let mut at = 0;
    while at < len && !options.cancel.load(Ordering::Relaxed) {
        let part = (len - at).min(PIECE as u64) as usize;
        buffer.resize(part, 0);
        reader.read_at(blob, at, buffer)?;
        hash.update(&buffer);
        options.hashed.fetch_add(part as u64, Ordering::Relaxed);
        at += part as u64;
    }
    Ok(hash.finalize().into())
}
