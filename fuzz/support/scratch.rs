//! A file for what is opened by its path: one a target, written anew for each input, in memory where the system has such a place.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

static FOLDER: LazyLock<Mutex<TempDir>> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    Mutex::new(folder.expect("a place for files"))
});

/// The folder, kept from other threads as long as this is.
pub struct Scratch(MutexGuard<'static, TempDir>);

impl Scratch {
    pub fn new() -> Self {
        Self(FOLDER.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A file that holds these bytes. It is written over, not made anew: libFuzzer runs thousands a second.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = File::create(&path).expect("a file");
        file.write_all(bytes).expect("room for a file");
        path
    }
}
