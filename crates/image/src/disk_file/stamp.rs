//! Whether a file is still what it was: nothing in a disk image says what its bytes have to be, so a disk that is read while
//! somebody writes it would be neither the old nor the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Error, Result};

/// A file as it was: its length and when it was written to last. A device has neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    state: Option<(u64, Option<SystemTime>)>,
}

impl Stamp {
    /// The file as it is.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn of(path: &Path) -> Result<Self> {
        let metadata =
            std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let state = metadata.is_file().then(|| (metadata.len(), metadata.modified().ok()));
        Ok(Self { path: path.to_owned(), state })
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// [`Error::Read`] when the file was changed or replaced, or is not there any more.
    pub fn check(&self) -> Result<()> {
        if Self::of(&self.path)? == *self {
            return Ok(());
        }
        let what =
            "it was changed while it was read; what was made of it is neither the old nor the new disk";
        Err(Error::Read { path: self.path.clone(), source: io::Error::other(what) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, "old").unwrap();
        let stamp = Stamp::of(&path).unwrap();
        stamp.check().unwrap();
        // Of the same length, at another time: set, since clocks of file systems are coarse.
        std::fs::write(&path, "new").unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(stamp.check().unwrap_err().to_string().contains("disk"));
        let stamp = Stamp::of(&path).unwrap();
        file.set_len(2).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(stamp.check().is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(stamp.check().is_err());
    }
}
