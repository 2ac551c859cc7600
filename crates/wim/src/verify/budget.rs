//! Memory for what is too large to be had once for each thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that several threads share. Whoever wants more than there is waits; what is more than all of it is given to one
/// who is alone.
pub(super) struct Budget {
    memory: u64,
    used: Mutex<u64>,
    changed: Condvar,
}

impl Budget {
    pub(super) fn new(memory: u64) -> Self {
        Self { memory, used: Mutex::new(0), changed: Condvar::new() }
    }

    /// Waits until there is room. Nobody may hold a room while asking for another.
    pub(super) fn reserve(&self, bytes: u64) -> Room<'_> {
        let mut used = self.lock();
        while *used != 0 && used.saturating_add(bytes) > self.memory {
            used = self.changed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used = used.saturating_add(bytes);
        Room { budget: self, bytes }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the [`Budget`], until it is dropped.
pub(super) struct Room<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // It was added before, and everybody takes away what they added.
        *self.budget.lock() -= self.bytes;
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::Budget;

    /// Never more than there is, except by one alone; and all come through.
    #[test]
    fn rooms_fit() {
        let budget = Budget::new(10);
        let (taken, done) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (budget, taken, done) = (&budget, &taken, &done);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = 1 + (thread * 7 + round) % 14;
                        let _room = budget.reserve(bytes);
                        let now = taken.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(now <= 10.max(bytes), "{now}");
                        std::thread::yield_now();
                        taken.fetch_sub(bytes, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 1600);
    }
}
