//! A disk in several files takes the place of another one.
//!
//! One file is replaced by renaming, in one step. Several are not: so the old ones move to a folder first (`disk.vmdk` to
//! `disk.vmdk.replaced/disk.vmdk`), the descriptor before its extents, and the new ones take their names, the descriptor
//! last. At no moment does a descriptor name extents of another disk, and at every moment one of the two disks is whole.
//!
//! When a step fails, the steps before it are undone. When the process is killed in between, the old disk is whole in the
//! folder, and the next run that writes to the same name puts it back before anything else. The order tells it what was
//! going on: while there is no descriptor under the target's name, the folder holds the disk; once there is one, the folder
//! holds what nobody needs.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The files that are being replaced, and those that replace them. Dropped, it puts all back.
#[derive(Debug)]
pub(super) struct Replaced {
    target: PathBuf,
    folder: PathBuf,
    /// Whether there is anything in the folder.
    taken: bool,
    /// New files under their names.
    pub(super) new: Vec<PathBuf>,
    done: bool,
}

fn folder_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".replaced");
    name.into()
}

impl Replaced {
    /// Nothing was replaced yet.
    pub(super) fn new(target: &Path) -> Self {
        let (target, folder) = (target.to_owned(), folder_of(target));
        Self { target, folder, taken: false, new: Vec::new(), done: false }
    }

    /// Puts back what a killed run took away, or removes what it had replaced.
    pub(super) fn recover(target: &Path) -> Result<()> {
        let folder = folder_of(target);
        if !folder.is_dir() {
            return Ok(());
        }
        let left = |source| Error::Write { path: folder.clone(), source };
        if fs::symlink_metadata(target).is_err() {
            put_back(target, &folder).map_err(left)?;
        }
        remove(&folder).map_err(left)
    }

    /// Takes a file away, if it is there.
    pub(super) fn take(&mut self, file: &Path) -> Result<()> {
        let wrap = |source| Error::Write { path: file.to_owned(), source };
        if fs::symlink_metadata(file).is_err() {
            return Ok(());
        }
        if !self.taken {
            fs::create_dir(&self.folder).map_err(wrap)?;
            self.taken = true;
        }
        fs::rename(file, self.folder.join(file.file_name().unwrap_or_default())).map_err(wrap)
    }

    /// The new disk is in place. What cannot be removed of the old one is, by the next run.
    pub(super) fn forget(mut self) {
        self.done = true;
        if self.taken {
            let _ = remove(&self.folder);
        }
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // Nothing can be done about a failure here; the error that led to it is already on its way. What is in the folder
        // then is put back by the next run.
        for new in self.new.iter().rev() {
            let _ = fs::remove_file(new);
        }
        if self.taken {
            let _ = put_back(&self.target, &self.folder).and_then(|()| fs::remove_dir(&self.folder));
        }
    }
}

/// Moves all files back, the descriptor last.
fn put_back(target: &Path, folder: &Path) -> io::Result<()> {
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort_by_key(|name| (Some(name.as_os_str()) == target.file_name(), name.clone()));
    names.iter().try_for_each(|name| fs::rename(folder.join(name), target.with_file_name(name)))
}

/// Removes the folder and the files in it; what else somebody put there stays, and is an error.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let text = fs::read_to_string(entry.path()).unwrap_or_else(|_| "folder".into());
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        files.sort();
        files
    }

    fn old() -> (tempfile::TempDir, PathBuf, [PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (target, extents) = (path("d.vmdk"), [path("d-s001.vmdk"), path("d-s002.vmdk")]);
        for file in [&target, &extents[0], &extents[1]] {
            fs::write(file, "old").unwrap();
        }
        (dir, target, extents)
    }

    /// After every number of steps: undone when it fails, recovered when it is killed.
    #[test]
    fn at_every_step_the_old_disk_comes_back() {
        for killed in [false, true] {
            for steps in 0..=5 {
                let (dir, target, extents) = old();
                let before = read(dir.path());
                let mut replaced = Replaced::new(&target);
                for step in 0..steps {
                    match step {
                        0 => replaced.take(&target).unwrap(),
                        1 | 2 => replaced.take(&extents[step - 1]).unwrap(),
                        _ => {
                            fs::write(&extents[step - 3], "new").unwrap();
                            replaced.new.push(extents[step - 3].clone());
                        }
                    }
                    assert!(!target.exists());
                }
                if killed {
                    std::mem::forget(replaced);
                    Replaced::recover(&target).unwrap();
                } else {
                    drop(replaced);
                }
                assert_eq!(read(dir.path()), before, "{steps} steps, killed: {killed}");
            }
        }
    }

    #[test]
    fn the_new_disk_stays() {
        for killed in [false, true] {
            let (dir, target, extents) = old();
            let mut replaced = Replaced::new(&target);
            for file in [&target, &extents[0], &extents[1]] {
                replaced.take(file).unwrap();
            }
            for file in [&extents[0], &extents[1], &target] {
                fs::write(file, "new").unwrap();
            }
            if killed {
                std::mem::forget(replaced);
                Replaced::recover(&target).unwrap();
            } else {
                replaced.forget();
            }
            let found = read(dir.path());
            assert_eq!(found.len(), 3, "{found:?}");
            assert!(found.iter().all(|(_, text)| text == "new"), "{found:?}");
        }
    }
}
