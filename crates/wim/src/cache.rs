//! Decoded chunks of solid resources, shared by all readers of a file.
//!
//! * **One chunk is decoded by one thread**, whoever else wants it meanwhile. Instead of waiting they decode the chunks
//!   that follow, which readers that go through the file in order will want next: this is how the workers of a pass,
//!   who all read near one place, decode in parallel.
//! * **Memory is bounded.** Decoding reserves the chunk's content and its stored form, a decoded chunk keeps its content
//!   reserved. What does not fit waits, after chunks that nobody reads have been dropped, the least recently used
//!   first. Only when nothing else is there a chunk is decoded that is larger than the whole budget.
//! * **A chunk stays while it is read.** Readers come and go in units of a MiB or less; if two of them are in two chunks
//!   and there is room for one, taking it away in turns would decode both again and again. So a chunk in which a reader
//!   is stays until the reader goes elsewhere, or has not come back for [`IDLE`]: nobody waits for a reader that is
//!   kept and not used. Time decides only about speed here, never about what is read.
//!
//! A chunk that cannot be decoded is remembered: a damaged file must not cost more time than an intact one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::solid::{ChunkId, Solid};
use crate::{Error, Result};

/// After how long a reader that is in a chunk does not keep it in memory any more.
const IDLE: Duration = Duration::from_millis(100);
/// How many chunks further on a place is looked for that needs decoding.
const LOOK_AHEAD: usize = 64;

pub(crate) struct ChunkCache {
    /// Budget in bytes.
    memory: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<ChunkId, Slot>,
    /// Ready chunks, by when they were used.
    by_use: BTreeMap<u64, ChunkId>,
    /// Counts uses.
    uses: u64,
    /// Bytes reserved.
    used: u64,
    failed: BTreeMap<ChunkId, Error>,
    /// Counts decoding.
    decoded: u64,
}

enum Slot {
    /// Some thread is at it.
    Decoding,
    Ready {
        content: Arc<Vec<u8>>,
        /// Key in `by_use`.
        last_use: u64,
        last_time: Instant,
        /// How many readers are in it.
        readers: u32,
    },
}

impl State {
    fn touch(&mut self, id: ChunkId) -> Option<Arc<Vec<u8>>> {
        let Some(Slot::Ready { content, last_use, last_time, .. }) = self.slots.get_mut(&id) else {
            return None;
        };
        self.by_use.remove(last_use);
        self.uses += 1;
        (*last_use, *last_time) = (self.uses, Instant::now());
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(content))
    }

    fn readers(&mut self, id: ChunkId) -> Option<&mut u32> {
        match self.slots.get_mut(&id)? {
            Slot::Ready { readers, .. } => Some(readers),
            Slot::Decoding => None,
        }
    }

    /// Drops chunks until `cost` bytes more fit into `memory`, if `may_drop` allows. Whether they do.
    fn make_room(&mut self, cost: u64, memory: u64, may_drop: impl Fn(ChunkId) -> bool) -> bool {
        while self.used != 0 && self.used.saturating_add(cost) > memory {
            let unused = |id: &ChunkId| match self.slots.get(id) {
                Some(Slot::Ready { readers, last_time, .. }) => {
                    may_drop(*id) && (*readers == 0 || last_time.elapsed() >= IDLE)
                }
                _ => false,
            };
            let Some((&key, &id)) = self.by_use.iter().find(|(_, id)| unused(id)) else { return false };
            self.by_use.remove(&key);
            if let Some(Slot::Ready { content, .. }) = self.slots.remove(&id) {
                self.used -= content.len() as u64;
            }
        }
        true
    }

    /// A chunk after `wanted` that nobody has begun, if there is room for it: chunks before `wanted` make place.
    fn ahead(&mut self, solid: &Solid, wanted: ChunkId, memory: u64) -> Option<ChunkId> {
        let following = std::iter::successors(solid.next(wanted), |&id| solid.next(id));
        let id = following
            .take(LOOK_AHEAD)
            .find(|id| !self.slots.contains_key(id) && !self.failed.contains_key(id))?;
        self.make_room(solid.cost(id), memory, |id| id < wanted).then_some(id)
    }
}

impl ChunkCache {
    pub(crate) fn new(memory: u64) -> Self {
        Self { memory: AtomicU64::new(memory), state: Mutex::default(), changed: Condvar::new() }
    }

    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    pub(crate) fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done where a panic could be: what decodes does so without the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of a chunk, for a reader that was in the chunk `current` before.
    pub(crate) fn get(
        &self,
        solid: &Solid,
        wanted: ChunkId,
        current: &mut Option<ChunkId>,
        decode: &mut dyn FnMut(ChunkId) -> Result<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>> {
        let mut state = self.lock();
        if *current != Some(wanted) {
            self.leave_locked(&mut state, current);
        }
        loop {
            if let Some(content) = state.touch(wanted) {
                if current.is_none() {
                    *state.readers(wanted).expect("it is there") += 1;
                    *current = Some(wanted);
                }
                return Ok(content);
            }
            // It is not there any more.
            *current = None;
            if let Some(error) = state.failed.get(&wanted) {
                return Err(error.again());
            }
            if state.slots.contains_key(&wanted) {
                state = match state.ahead(solid, wanted, self.memory()) {
                    // Its failure is the business of whoever wants it.
                    Some(next) => self.decode(state, solid, next, 0, decode).0,
                    None => self.wait(state),
                };
            } else if state.make_room(solid.cost(wanted), self.memory(), |_| true) {
                let result;
                (state, result) = self.decode(state, solid, wanted, 1, decode);
                result?;
                *current = Some(wanted);
            } else {
                state = self.wait(state);
            }
        }
    }

    /// Says that a reader is in no chunk any more.
    pub(crate) fn leave(&self, current: &mut Option<ChunkId>) {
        if current.is_some() {
            self.leave_locked(&mut self.lock(), current);
        }
    }

    fn leave_locked(&self, state: &mut State, current: &mut Option<ChunkId>) {
        let Some(id) = current.take() else { return };
        // If the chunk was dropped and decoded again meanwhile, another reader's claim is given up here; that reader
        // may then have to decode once more.
        if let Some(readers) = state.readers(id) {
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                self.changed.notify_all();
            }
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner).0
    }

    fn decode<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        solid: &Solid,
        id: ChunkId,
        readers: u32,
        decode: &mut dyn FnMut(ChunkId) -> Result<Vec<u8>>,
    ) -> (MutexGuard<'a, State>, Result<()>) {
        let mut claim = Claim { cache: self, id, reserved: solid.cost(id), readers, result: None };
        state.used += claim.reserved;
        state.slots.insert(id, Slot::Decoding);
        drop(state);
        let (content, result) = match decode(id) {
            Ok(content) => (Some(Ok(content)), Ok(())),
            Err(error) => (Some(Err(error.again())), Err(error)),
        };
        claim.result = content;
        drop(claim);
        (self.lock(), result)
    }

    /// How many times a chunk was decoded so far.
    pub(crate) fn decoded(&self) -> u64 {
        self.lock().decoded
    }
}

/// A chunk that is being decoded. Dropped, it is not any more: also when the decoder panics, so that nobody waits for
/// it.
struct Claim<'a> {
    cache: &'a ChunkCache,
    id: ChunkId,
    reserved: u64,
    /// How many readers are in it as soon as it is decoded.
    readers: u32,
    result: Option<Result<Vec<u8>>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        state.used -= self.reserved;
        state.slots.remove(&self.id);
        state.decoded += 1;
        match self.result.take() {
            Some(Ok(content)) => {
                state.used += content.len() as u64;
                state.uses += 1;
                let last_use = state.uses;
                state.by_use.insert(last_use, self.id);
                let content = Arc::new(content);
                let last_time = Instant::now();
                let ready = Slot::Ready { content, last_use, last_time, readers: self.readers };
                state.slots.insert(self.id, ready);
            }
            // What cannot be read now may be readable the next time.
            Some(Err(Error::Io { .. })) | None => {}
            Some(Err(error)) => {
                state.failed.insert(self.id, error);
            }
        }
        drop(state);
        self.cache.changed.notify_all();
    }
}
