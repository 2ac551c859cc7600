//! Files that appear under their name only when they are whole.

mod replaced;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use disk::WriteAt;

use self::replaced::Replaced;
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
        // Not `exists`: a dangling link is in the way, too. And what cannot be looked at may be there.
        match fs::symlink_metadata(target) {
            Ok(_) if !force => return Err(Error::Exists { path: target.to_owned() }),
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Write { path: target.to_owned(), source });
            }
            _ => {}
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
        // What a killed run left behind is removed, not reused: it could be a link to somewhere else. What a run is writing
        // to now is its own: renaming it would give half of it the name.
        match fs::symlink_metadata(&partial) {
            Ok(found) => {
                if found.is_file() && !disk::try_lock(&File::open(&partial).map_err(wrap)?) {
                    let busy = "another process is writing it";
                    return Err(wrap(io::Error::new(io::ErrorKind::ResourceBusy, busy)));
                }
                fs::remove_file(&partial).map_err(wrap)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrap(error)),
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&partial).map_err(wrap)?;
        disk::try_lock(&file);
        Ok((file, Self { partial, target: target.to_owned(), committed: false }))
    }

    fn sync(&self, file: &File) -> Result<()> {
        file.sync_all().map_err(|source| Error::Write { path: self.target.clone(), source })
    }

    /// Gives the file its name, which may not last yet.
    fn place(&mut self) -> Result<()> {
        let wrap = |source| Error::Write { path: self.target.clone(), source };
        fs::rename(&self.partial, &self.target).map_err(wrap)?;
        self.committed = true;
        Ok(())
    }

    /// Gives the file its name for good.
    fn rename(mut self) -> Result<()> {
        self.place()?;
        self.sync_name()
    }

    /// Makes the name durable. When that fails the file stays: it is whole, and nobody knows whether its name is.
    fn sync_name(&self) -> Result<()> {
        disk::sync_directory_of(&self.target).map_err(|source| {
            let what =
                format!("it is there, but may not outlast a loss of power: flushing its folder: {source}");
            Error::Write { path: self.target.clone(), source: io::Error::new(source.kind(), what) }
        })
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

/// Whether two names are those of one file.
#[cfg(unix)]
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

/// Whether two names are those of one file.
#[cfg(not(unix))]
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
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
            Self::Beside(path) => {
                let write = OpenOptions::new().write(true).open(path);
                write.and_then(|file| file.write_all_at(buf, offset)).map_err(|error| beside(path, &error))
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Self::Main(file) => file.set_len(len),
            Self::Beside(path) => {
                let write = OpenOptions::new().write(true).open(path);
                write.and_then(|file| file.set_len(len)).map_err(|error| beside(path, &error))
            }
        }
    }
}

/// The error with the name of the file, since the file that was asked for is another one.
fn beside(path: &Path, error: &io::Error) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

impl PartialSet {
    fn create(target: &Path, force: bool) -> Result<Self> {
        Replaced::recover(target)?;
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
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).push(names);
        Ok(part)
    }

    /// All files get their names, the one that was asked for last: a descriptor never names extents that are not there. A
    /// set that is replaced goes before, its descriptor first, so that it never names extents of another disk.
    fn commit(self) -> Result<()> {
        let mut beside = self.beside.into_inner().unwrap_or_else(PoisonError::into_inner);
        for names in &beside {
            let open = |source| Error::Write { path: names.target.clone(), source };
            names.sync(&File::open(&names.partial).map_err(open)?)?;
        }
        let mut main = self.main.names;
        main.sync(&self.main.file)?;
        if beside.is_empty() {
            return main.rename();
        }
        let mut replaced = Replaced::new(&main.target);
        replaced.take(&main.target)?;
        for names in &beside {
            replaced.take(&names.target)?;
        }
        for names in &mut beside {
            names.place()?;
            replaced.new.push(names.target.clone());
        }
        // What the descriptor names is there before it, also after a loss of power.
        disk::sync_directory_of(&main.target)
            .map_err(|source| Error::Write { path: main.target.clone(), source })?;
        main.place()?;
        // The old disk goes when the new one is there for good: else a loss of power could take both.
        let synced = main.sync_name();
        replaced.forget();
        synced
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

    /// Two runs with the same output: the second is refused, or it would give the first one's half a file the name.
    #[cfg(unix)]
    #[test]
    fn one_run_at_a_time_writes_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("disk.raw");
        let first = PartialFile::create(&target, false).unwrap();
        let second = PartialFile::create(&target, true).unwrap_err();
        assert!(
            matches!(&second, Error::Write { source, .. } if source.kind() == io::ErrorKind::ResourceBusy)
        );
        first.commit().unwrap();
        // What nobody holds is left by a run that was killed.
        fs::write(dir.path().join("disk.raw.partial"), "half").unwrap();
        PartialFile::create(&target, true).unwrap().commit().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
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
