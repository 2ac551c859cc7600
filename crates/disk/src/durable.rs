//! What makes a file that replaces another last: its directory on the disk, and nobody else who writes the same.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in a file's directory durable, as after a rename.
///
/// A directory that may not be read cannot be opened for that, and file systems exist that cannot flush one: then the
/// system decides when the names last. On Windows directories cannot be opened.
///
/// # Errors
/// What the system says, such as a device that fails.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let synced = match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        opened => opened.and_then(|directory| directory.sync_all()),
    };
    match synced {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Takes the file for this process until it is closed; `false` when another has it. Where files cannot be locked, nobody
/// has them.
#[cfg(unix)]
pub fn try_lock(file: &File) -> bool {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    !matches!(flock(file, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK))
}

/// Takes the file for this process until it is closed; `false` when another has it. Where files cannot be locked, nobody
/// has them.
#[cfg(not(unix))]
pub fn try_lock(_: &File) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_flushed_or_said_to_fail() {
        let directory = tempfile::tempdir().unwrap();
        sync_directory_of(&directory.path().join("file")).unwrap();
        sync_directory_of(Path::new("file")).unwrap();
        let missing = sync_directory_of(&directory.path().join("missing/file"));
        assert_eq!(missing.is_err(), cfg!(unix));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_one_processs_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let first = File::create(&path).unwrap();
        // A lock belongs to the opened file: opening it again is as good as another process.
        let second = File::open(&path).unwrap();
        assert!(try_lock(&first) && !try_lock(&second));
        drop(first);
        assert!(try_lock(&second));
    }
}
