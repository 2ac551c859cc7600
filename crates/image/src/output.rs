//! Files that appear under their name only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use disk::WriteAt;

use crate::recipe::is_block_device;
use crate::{Counters, Error, Result};

/// An output file in the making: written as `<name>.partial`, renamed by [`commit`](Self::commit), and removed when it
/// is dropped before that.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    names: Names,
}

impl PartialFile {
    /// Creates `<target>.partial`. An existing target is refused unless `force`; it stays as it is until the commit.
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        let (file, names) = Names::create(target, force)?;
        Ok(Self { file, names })
    }

    /// A handle to write through.
    pub fn file(&self) -> Result<File> {
        self.file.try_clone().map_err(|source| Error::Write { path: self.names.target.clone(), source })
    }

    /// Makes the contents durable and gives the file its name.
    pub fn commit(self) -> Result<()> {
        self.names.sync(&self.file)?;
        self.names.rename()
    }
}

/// The two names of a file in the making. It is removed with them, unless it got the second.
#[derive(Debug)]
struct Names {
    partial: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl Names {
    fn create(target: &Path, force: bool) -> Result<(File, Self)> {
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
        Ok((file, Self { partial, target: target.to_owned(), committed: false }))
    }

    fn sync(&self, file: &File) -> Result<()> {
        file.sync_all().map_err(|source| Error::Write { path: self.target.clone(), source })
    }

    fn rename(mut self) -> Result<()> {
        let wrap = |source| Error::Write { path: self.target.clone(), source };
        fs::rename(&self.partial, &self.target).map_err(wrap)?;
        self.committed = true;
        sync_directory(&self.target).map_err(wrap)
    }
}

impl Drop for Names {
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

/// A disk in the making that may be several files: the one that was asked for, and extents beside it.
#[derive(Debug)]
pub(crate) struct PartialSet {
    main: PartialFile,
    beside: Mutex<Vec<Names>>,
    force: bool,
}

/// An extent in the making. It is open only while it is written to: a disk of 2 TiB has more extents than a process may have
/// files open.
#[derive(Debug)]
pub(crate) enum DiskPart {
    /// The file that was asked for.
    Main(File),
    /// One beside it.
    Beside(PathBuf),
}

impl WriteAt for DiskPart {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        match self {
            Self::Main(file) => file.write_all_at(buf, offset),
            Self::Beside(path) => OpenOptions::new().write(true).open(path)?.write_all_at(buf, offset),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::Main(file) => file.set_len(len),
            Self::Beside(path) => OpenOptions::new().write(true).open(path)?.set_len(len),
        }
    }
}

impl PartialSet {
    fn create(target: &Path, force: bool) -> Result<Self> {
        Ok(Self { main: PartialFile::create(target, force)?, beside: Mutex::default(), force })
    }

    /// A handle to the file that was asked for.
    pub(crate) fn file(&self) -> Result<File> {
        self.main.file()
    }

    /// Creates a file of the plain name `name` in the same folder.
    pub(crate) fn beside(&self, name: &str) -> Result<DiskPart> {
        let (_, names) = Names::create(&self.main.names.target.with_file_name(name), self.force)?;
        let part = DiskPart::Beside(names.partial.clone());
        self.beside.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(names);
        Ok(part)
    }

    /// All files get their names, the one that was asked for last: a descriptor never names extents that are not there. One
    /// that is replaced goes before its extents do, so that it never names extents of another disk.
    fn commit(self) -> Result<()> {
        let beside = self.beside.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        for names in &beside {
            let open = |source| Error::Write { path: names.target.clone(), source };
            names.sync(&File::open(&names.partial).map_err(open)?)?;
        }
        self.main.names.sync(&self.main.file)?;
        let target = &self.main.names.target;
        if !beside.is_empty() {
            match fs::remove_file(target) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Write { path: target.clone(), source });
                }
                _ => {}
            }
        }
        for names in beside {
            names.rename()?;
        }
        self.main.names.rename()
    }
}

/// Where a disk goes, opened.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A new file, or several.
    File(PartialSet),
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
            crate::recipe::Output::File(path) => PartialSet::create(path, force).map(Self::File),
        }
    }

    /// A handle to the new file, if there is one.
    pub(crate) fn file(&self) -> Result<Option<File>> {
        match self {
            Self::File(set) => set.file().map(Some),
            Self::Device(_) | Self::Stdout => Ok(None),
        }
    }

    /// Makes what was written durable, and gives it its name.
    pub(crate) fn commit(self) -> Result<()> {
        match self {
            Self::File(set) => set.commit(),
            Self::Device(device) => device.sync_all().map_err(Error::writing),
            Self::Stdout => Ok(()),
        }
    }
}

/// How much is rendered between two flushes.
const FLUSH: u64 = 64 << 20;

/// Does the work while another thread sends what it has written to the disk, so that little is left for the end. That
/// thread only waits; the disk is idle otherwise.
pub(crate) fn flush_meanwhile(
    file: Option<File>,
    counters: &Counters,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let Some(file) = file else { return work() };
    let (sender, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let flusher = scope.spawn(move || -> io::Result<()> {
            let mut flushed = 0;
            while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_millis(20)) {
                let rendered = counters.rendered.load(Ordering::Relaxed);
                if rendered >= flushed + FLUSH {
                    flushed = rendered;
                    // The system tells of a failure once: it must not be lost here.
                    file.sync_data()?;
                }
            }
            Ok(())
        });
        // However this ends, the sender goes, and with it the other thread.
        let sender = sender;
        let done = work();
        drop(sender);
        let flushed = flusher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.and(flushed.map_err(Error::writing))
    })
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

    #[test]
    fn a_set_of_files_appears_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.vmdk");
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let set = PartialSet::create(&target, false).unwrap();
        set.beside("disk-flat.vmdk").unwrap();
        assert_eq!(names(), ["disk-flat.vmdk.partial", "disk.vmdk.partial"]);
        drop(set);
        assert!(names().is_empty());

        let set = PartialSet::create(&target, false).unwrap();
        set.beside("disk-flat.vmdk").unwrap();
        set.commit().unwrap();
        assert_eq!(names(), ["disk-flat.vmdk", "disk.vmdk"]);
        fs::remove_file(&target).unwrap();
        // An extent in the way is in the way.
        let set = PartialSet::create(&target, false).unwrap();
        assert!(matches!(set.beside("disk-flat.vmdk"), Err(Error::Exists { .. })));
        drop(set);
        let set = PartialSet::create(&target, true).unwrap();
        set.beside("disk-flat.vmdk").unwrap();
        set.commit().unwrap();
        assert_eq!(names(), ["disk-flat.vmdk", "disk.vmdk"]);
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
