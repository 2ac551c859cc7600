//! Directories that tests read from and write to.

use std::path::{Path, PathBuf};

use crate::skip_here;

/// The file or directory `rel` of the repository's `testdata`.
///
/// # Panics
/// When it does not exist.
#[track_caller]
pub fn testdata(rel: impl AsRef<Path>) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(rel);
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// The folder of real data that cannot be in the repository, from `WIMFORGE_SAMPLES`.
///
/// `None`, with a visible `SKIPPED:` line, when the variable is unset: the samples cannot be installed, so
/// `REQUIRE_TOOLS` does not ask for them.
///
/// # Panics
/// When the variable names something that is not a directory.
pub fn samples() -> Option<PathBuf> {
    let Some(path) =
        std::env::var_os("WIMFORGE_SAMPLES").filter(|value| !value.is_empty()).map(PathBuf::from)
    else {
        skip_here("needs real samples (set WIMFORGE_SAMPLES to their folder)");
        return None;
    };
    assert!(path.is_dir(), "WIMFORGE_SAMPLES={} is not a directory", path.display());
    Some(path)
}

/// The folder for large things that are made or downloaded once (the kernel for the `ntfs3` test, the benchmark's
/// images): `WIMFORGE_CACHE`, else `wimforge-oracles` under `XDG_CACHE_HOME` or `~/.cache`. Created when absent.
///
/// # Panics
/// When it cannot be created.
pub fn cache() -> PathBuf {
    let path = if let Some(path) = std::env::var_os("WIMFORGE_CACHE") {
        PathBuf::from(path)
    } else if let Some(path) = std::env::var_os("XDG_CACHE_HOME") {
        Path::new(&path).join("wimforge-oracles")
    } else {
        Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache/wimforge-oracles")
    };
    if let Err(error) = std::fs::create_dir_all(&path) {
        panic!("{}: {error}", path.display());
    }
    path
}
