//! The file that holds a key between builds.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::key::MOST_PEM;
use crate::{Error, Key, Result};

/// Writes a key to a new file that only its owner can read (mode 0600; on Windows whatever the folder says).
///
/// # Errors
/// [`Error::Io`], also when there is a file of this name: a key is never written over.
pub fn write_key(path: &Path, key: &Key) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(io)?;
    file.write_all(key.to_pem().as_bytes()).and_then(|()| file.sync_all()).map_err(io)
}

/// Reads the key in a file.
///
/// # Errors
/// [`Error::Io`], and those of [`Key::from_pem`].
pub fn read_key(path: &Path) -> Result<Key> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // Of the final size: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_PEM + 2));
    file.take(MOST_PEM as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| io(io::Error::new(io::ErrorKind::InvalidData, format!("no text: {error}"))))?;
    Key::from_pem(text)
}

/// Whether others than its owner may read the file (or write it); always false where files have no modes.
///
/// # Errors
/// [`Error::Io`].
pub fn readable_by_others(path: &Path) -> Result<bool> {
    let metadata = path.metadata().map_err(|source| Error::Io { path: path.to_owned(), source })?;
    #[cfg(unix)]
    let exposed = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0;
    #[cfg(not(unix))]
    let exposed = {
        let _ = metadata;
        false
    };
    Ok(exposed)
}
