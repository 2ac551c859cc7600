//! The SHA-1 of every blob, advanced in blob order by whoever holds its next part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use disk::{Content, ExtentMap};

use super::profile::{Stage, Stopwatch};
use super::{BlobHasher, BlobStore, lock};
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

#[derive(Default)]
struct State {
    next: u64,
    /// There from the first part on.
    hasher: Option<Box<dyn BlobHasher>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("next", &self.next).finish_non_exhaustive()
    }
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
        if !store.states_sha1() {
            self.mark_checked(blob);
            return Ok(());
        }
        let mut hasher = store.hasher(blob)?;
        let found = hasher.update(bytes).and_then(|()| hasher.finish());
        self.compare(store, blob, found.map_err(|source| store.damaged(blob, source))?)
    }

    /// Whether nobody needs to wait before hashing the part of a blob that begins at `offset`.
    pub(super) fn is_next(&self, store: &dyn BlobStore, blob: u32, offset: u64) -> bool {
        if offset == 0 || !store.states_sha1() {
            return true;
        }
        let open = lock(&self.open).get(&blob).map(Arc::clone);
        open.is_some_and(|open| open.state.try_lock().is_ok_and(|state| state.next == offset))
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
        stopwatch: &mut Stopwatch<'_>,
    ) -> Result<bool> {
        let len = store.blob_len(blob);
        if !store.states_sha1() {
            self.mark_checked(blob);
            return Ok(true);
        }
        if part.len() as u64 == len {
            let checked = self.check_whole(store, blob, part).map(|()| true);
            stopwatch.lap(Stage::Hash);
            return checked;
        }
        let open = Arc::clone(lock(&self.open).entry(blob).or_default());
        let mut state = lock(&open.state);
        while state.next != offset {
            if failed() {
                return Ok(false);
            }
            state = open.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        stopwatch.lap(Stage::WaitToHash);
        let State { next, hasher } = &mut *state;
        let hasher = match hasher {
            Some(hasher) => hasher,
            None => hasher.insert(store.hasher(blob)?),
        };
        hasher.update(part).map_err(|source| store.damaged(blob, source))?;
        *next += part.len() as u64;
        stopwatch.lap(Stage::Hash);
        if state.next < len {
            open.changed.notify_all();
            return Ok(true);
        }
        let hasher = state.hasher.take().expect("it took the last part");
        drop(state);
        lock(&self.open).remove(&blob);
        let found = hasher.finish().map_err(|source| store.damaged(blob, source))?;
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
        self.mark_checked(blob);
        Ok(())
    }

    fn mark_checked(&self, blob: u32) {
        self.checked[blob as usize].store(true, Ordering::Relaxed);
    }
}
