//! Small blobs of solid resources that will be asked for late and in another order: copied out of their chunks
//! whenever those are decoded, so that no chunk is decoded again for their sake.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::blob::{Blob, BlobId};
use crate::resource::Storage;
use crate::solid::{ChunkId, Piece, Solid};

/// Larger ones are not kept.
const MAX_SIZE: u64 = 1 << 16;

/// A part of a blob that is to be kept, ordered by where it lies.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    piece: Piece,
    blob: BlobId,
    /// Where in the blob it begins; only the first piece begins at 0.
    at: usize,
    /// Length of the blob.
    size: usize,
}

struct Copy {
    bytes: Box<[u8]>,
    /// Whether the first and the last piece are there, which may be the same.
    first: bool,
    last: bool,
}

#[derive(Default)]
pub(crate) struct Kept {
    active: AtomicBool,
    wanted: RwLock<Arc<[Wanted]>>,
    copies: Mutex<BTreeMap<BlobId, Copy>>,
}

impl Kept {
    /// Forgets what was kept, and keeps these from now on.
    pub(crate) fn set<'a>(&self, solid: &Solid, blobs: impl Iterator<Item = (BlobId, &'a Blob)>) {
        let mut wanted = Vec::new();
        for (id, blob) in blobs {
            let Storage::Solid { run, start } = blob.storage else { continue };
            if blob.size > MAX_SIZE {
                continue;
            }
            let first = solid.piece(run, start, blob.size);
            let size = blob.size as usize;
            let rest = blob.size - first.len as u64;
            let last = (rest > 0).then(|| solid.piece(run, start + first.len as u64, rest));
            // In three chunks or more there is no room for small blobs; that would be a hostile file.
            if last.as_ref().is_some_and(|last| (last.len as u64) < rest) {
                continue;
            }
            let at = first.len;
            wanted.push(Wanted { piece: first, blob: id, at: 0, size });
            wanted.extend(last.map(|piece| Wanted { piece, blob: id, at, size }));
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.active.store(!wanted.is_empty(), Ordering::Relaxed);
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = wanted.into();
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A chunk was decoded.
    pub(crate) fn decoded(&self, id: ChunkId, content: &[u8]) {
        if !self.active.load(Ordering::Relaxed) {
            return;
        }
        let wanted = Arc::clone(&self.wanted.read().unwrap_or_else(PoisonError::into_inner));
        let from = wanted.partition_point(|wanted| wanted.piece.chunk < id);
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        for wanted in wanted[from..].iter().take_while(|wanted| wanted.piece.chunk == id) {
            let copy = copies.entry(wanted.blob).or_insert_with(|| Copy {
                bytes: vec![0; wanted.size].into(),
                first: false,
                last: false,
            });
            let Piece { within, len, .. } = wanted.piece;
            copy.bytes[wanted.at..wanted.at + len].copy_from_slice(&content[within..within + len]);
            copy.first |= wanted.at == 0;
            copy.last |= wanted.at + len == wanted.size;
        }
    }

    /// Fills `buf` from byte `offset` of a blob, which is not past its end, if the blob was kept.
    pub(crate) fn read(&self, id: BlobId, offset: u64, buf: &mut [u8]) -> bool {
        if !self.active.load(Ordering::Relaxed) {
            return false;
        }
        let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(copy) = copies.get(&id).filter(|copy| copy.first && copy.last) else { return false };
        buf.copy_from_slice(&copy.bytes[offset as usize..][..buf.len()]);
        true
    }
}
