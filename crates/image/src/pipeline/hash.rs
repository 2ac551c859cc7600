//! The SHA-1 of every blob, advanced in blob order by whoever holds its next part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use disk::{Content, ExtentMap};
use sha1::{Digest, Sha1};

use super::{BlobStore, lock};
use crate::Result;

/// The hash states of all blobs.
#[derive(Debug)]
pub(super) struct BlobHashes {
    checked: Vec<AtomicBool>,
    /// Blobs whose parts lie in several units and are not all hashed yet: few at any time.
    open: Mutex<BTreeMap<u32, Arc<OpenBlob>>>,
}

#[derive(Debug, Default)]
struct OpenBlob {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    hash: Sha1,
}

impl BlobHashes {
    pub(super) fn new(blobs: usize) -> Self {
        Self {
            checked: std::iter::repeat_with(|| AtomicBool::new(false)).take(blobs).collect(),
            open: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn is_checked(&self, blob: u32) -> bool {
        self.checked[blob as usize].load(Ordering::Relaxed)
    }

    /// Checks a blob that is there as a whole.
    pub(super) fn check_whole(&self, store: &dyn BlobStore, blob: u32, bytes: &[u8]) -> Result<()> {
        self.compare(store, blob, Sha1::digest(bytes).into())
    }

    /// Hashes the part of a blob that begins at `offset`, after waiting for the parts before it. `Ok(false)` when
    /// `failed` said meanwhile that they will not come.
    pub(super) fn advance(
        &self,
        store: &dyn BlobStore,
        blob: u32,
        offset: u64,
        part: &[u8],
        failed: impl Fn() -> bool,
    ) -> Result<bool> {
        let len = store.blob_len(blob);
        if part.len() as u64 == len {
            return self.check_whole(store, blob, part).map(|()| true);
        }
        let open = Arc::clone(lock(&self.open).entry(blob).or_default());
        let mut state = lock(&open.state);
        while state.next != offset {
            if failed() {
                return Ok(false);
            }
            state = open.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hash.update(part);
        state.next += part.len() as u64;
        if state.next < len {
            open.changed.notify_all();
            return Ok(true);
        }
        let found = std::mem::take(&mut state.hash).finalize().into();
        drop(state);
        lock(&self.open).remove(&blob);
        self.compare(store, blob, found).map(|()| true)
    }

    /// Wakes those who wait for a part that will not come. The states' locks are taken so that nobody can be between
    /// asking whether the pass failed and going to sleep.
    pub(super) fn wake_all(&self) {
        for open in lock(&self.open).values() {
            drop(lock(&open.state));
            open.changed.notify_all();
        }
    }

    /// Every blob that the disk holds was checked: what the pass promises to its caller.
    pub(super) fn assert_checked(&self, map: &ExtentMap) {
        for extent in map.extents() {
            if let Content::Blob { blob, .. } = extent.content {
                assert!(self.is_checked(blob), "blob {blob} was written but not checked");
            }
        }
    }

    fn compare(&self, store: &dyn BlobStore, blob: u32, found: [u8; 20]) -> Result<()> {
        if found != store.sha1(blob) {
            return Err(store.mismatch(blob, found));
        }
        self.checked[blob as usize].store(true, Ordering::Relaxed);
        Ok(())
    }
}
