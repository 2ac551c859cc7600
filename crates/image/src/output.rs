//! Files that appear under their name only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::recipe::is_block_device;
use crate::{Error, Result};

/// An output file in the making: written as `<name>.partial`, renamed by [`commit`](Self::commit), and removed when it
/// is dropped before that.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PartialFile {
    /// Creates `<target>.partial`. An existing target is refused unless `force`; it stays as it is until the commit.
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        // Not `exists`: a dangling link is in the way, too.
        if !force && fs::symlink_metadata(target).is_ok() {
            return Err(Error::Exists { path: target.to_owned() });
        }
        if target.is_dir() {
            return Err(Error::Write { path: target.to_owned(), source: io::ErrorKind::IsADirectory.into() });
        }
        let name =
            target.file_name().ok_or_else(|| Error::Recipe(format!("{} names no file", target.display())))?;
        let mut partial_name = name.to_owned();
        partial_name.push(".partial");
        let partial = target.with_file_name(partial_name);
        let wrap = |source| Error::Write { path: partial.clone(), source };
        // What a killed run left behind is removed, not reused: it could be a link to somewhere else.
        match fs::remove_file(&partial) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrap(error)),
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&partial).map_err(wrap)?;
        Ok(Self { file, partial, target: target.to_owned(), committed: false })
    }

    /// A handle to write through.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|source| Error::Write { path: self.target.clone(), source })
    }

    /// Makes the contents durable and gives the file its name.
    pub fn commit(mut self) -> Result<()> {
        let wrap = |source| Error::Write { path: self.target.clone(), source };
        self.file.sync_all().map_err(wrap)?;
        fs::rename(&self.partial, &self.target).map_err(wrap)?;
        self.committed = true;
        sync_directory(&self.target).map_err(wrap)
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing can be done about a failure here; the error that led to it is already on its way.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Makes a rename durable; directories cannot be opened for that on Windows.
fn sync_directory(file: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let parent = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Opens a block device for overwriting.
pub(crate) fn open_device(path: &Path, force: bool) -> Result<File> {
    if !force {
        return Err(Error::BlockDevice { path: path.to_owned() });
    }
    OpenOptions::new().write(true).open(path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Refuses to write over what is being read, by whatever name.
pub(crate) fn refuse_source(source: &Path, output: &crate::recipe::Output) -> Result<()> {
    match output {
        crate::recipe::Output::File(path) if same_file(source, path) => {
            Err(Error::Recipe(format!("{} is the source; write to another file", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// Where a disk goes, opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A new file.
    File(PartialFile),
    /// A device that is overwritten in place.
    Device(File),
    /// Standard output.
    Stdout,
}

impl Opened {
    pub(crate) fn open(output: &crate::recipe::Output, force: bool) -> Result<Self> {
        match output {
            crate::recipe::Output::Stdout => Ok(Self::Stdout),
            crate::recipe::Output::File(path) if is_block_device(path) => {
                open_device(path, force).map(Self::Device)
            }
            crate::recipe::Output::File(path) => PartialFile::create(path, force).map(Self::File),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_appears_before_the_commit_and_nothing_stays_without_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        drop(PartialFile::create(&target, false).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        let output = PartialFile::create(&target, false).unwrap();
        assert!(!target.exists());
        output.commit().unwrap();
        assert!(target.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(matches!(PartialFile::create(&target, false), Err(Error::Exists { .. })));
        PartialFile::create(&target, true).unwrap().commit().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_stale_partial_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        fs::write(&precious, "x").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("disk.raw.partial")).unwrap();
        PartialFile::create(&dir.path().join("disk.raw"), false).unwrap().commit().unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"x");
    }
}
