//! What reading keeps: one set for all extents of a disk, so that a disk of a thousand files needs no more memory than
//! one of one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::Decompress;

/// How many grain tables are kept: 128 KiB of hosted ones, which map 2 GiB in grains of 64 KiB.
const TABLES: usize = 64;
/// How many bytes of inflated grains are kept, for reads smaller than a grain.
const GRAIN_BYTES: u64 = 2 << 20;

/// A few things by extent and number; the one that was not used for longest goes first.
struct Recent<T> {
    items: Vec<((u32, u64), T)>,
    capacity: usize,
}

impl<T: Clone> Recent<T> {
    fn new(capacity: usize) -> Mutex<Self> {
        Mutex::new(Self { items: Vec::new(), capacity })
    }

    fn get(&mut self, key: (u32, u64)) -> Option<T> {
        let place = self.items.iter().position(|(k, _)| *k == key)?;
        self.items[..=place].rotate_right(1);
        Some(self.items[0].1.clone())
    }

    fn put(&mut self, key: (u32, u64), item: T) {
        self.items.truncate(self.capacity - 1);
        self.items.insert(0, (key, item));
    }
}

/// Nothing that these mutexes guard is left half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Caches {
    tables: Mutex<Recent<Arc<[u32]>>>,
    grains: Mutex<Recent<Arc<[u8]>>>,
    /// Inflate's states, as many as there were reads at once.
    inflaters: Mutex<Vec<Decompress>>,
}

impl Caches {
    /// For extents with grains of up to this many bytes.
    pub(crate) fn new(grain_bytes: u64) -> Self {
        Self {
            tables: Recent::new(TABLES),
            grains: Recent::new((GRAIN_BYTES / grain_bytes.max(1)).clamp(2, 512) as usize),
            inflaters: Mutex::new(Vec::new()),
        }
    }

    /// The table, read with `read` if it is not there. Two threads may read one at once.
    pub(crate) fn table<E>(
        &self,
        key: (u32, u64),
        read: impl FnOnce() -> Result<Arc<[u32]>, E>,
    ) -> Result<Arc<[u32]>, E> {
        keep(&self.tables, key, read)
    }

    /// The grain, inflated with `read` if it is not there.
    pub(crate) fn grain<E>(
        &self,
        key: (u32, u64),
        read: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<[u8]>, E> {
        keep(&self.grains, key, read)
    }

    /// Lends a state to inflate with.
    pub(crate) fn with_inflater<T>(&self, work: impl FnOnce(&mut Decompress) -> T) -> T {
        let mut inflater = lock(&self.inflaters).pop().unwrap_or_else(|| Decompress::new(true));
        inflater.reset(true);
        let result = work(&mut inflater);
        lock(&self.inflaters).push(inflater);
        result
    }
}

fn keep<T: Clone, E>(
    cache: &Mutex<Recent<T>>,
    key: (u32, u64),
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    if let Some(item) = lock(cache).get(key) {
        return Ok(item);
    }
    let item = read()?;
    lock(cache).put(key, item.clone());
    Ok(item)
}
