//! A hive in a file, with its logs beside it: opening, and saving in place.
//!
//! Saving replaces the file by renaming, so that whoever opens it finds the old hive or the new one, at every moment and
//! after every loss of power. The order of steps keeps the logs harmless throughout:
//!
//! 1. The new hive is written to a file in the same directory (its name with `.partial`), with the mode of the old one,
//!    and reaches the disk (`fsync`). Nothing has happened yet; what a killed process left under that name goes first.
//! 2. It is renamed over the old one, and the directory reaches the disk. The new hive is clean, its sequence numbers are
//!    higher than those in the logs, and the logs of a clean hive are ignored.
//! 3. The logs are cut to nothing. If that does not happen any more, they are only waste.
//!
//! Cutting the logs first would lose what only they hold, should the rename never come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::check::{Code, Report, Severity, check};
use crate::error::{Error, Result};
use crate::log::replay;
use crate::{Hive, Recovery};

/// Bytes of the largest file that is read: twice as many as a hive can have.
const MAX_FILE: u64 = 1 << 32;

/// What a caller may allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Open a dirty hive whose logs are missing or do not apply as it lies in its file. What the logs held is lost, and
    /// of the last write some may be there and some not.
    pub missing_logs: bool,
    /// Save although the check found something that is in the file and not in the tree: keys that nothing leads to, or
    /// lists of a key that says it has none.
    pub lost_data: bool,
}

/// A hive that was read from a file and can be saved into it.
#[derive(Debug)]
pub struct HiveFile {
    path: PathBuf,
    logs: Vec<PathBuf>,
    recovery: Recovery,
    report: Report,
    allow: Allow,
    hive: Hive,
    /// The file as it was read, to notice that somebody else wrote it.
    seen: Seen,
}

/// What tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    len: u64,
    modified: Option<std::time::SystemTime>,
}

impl Seen {
    fn of(path: &Path) -> Result<Self> {
        let data = fs::metadata(path).map_err(io_error("reading", path))?;
        Ok(Self { len: data.len(), modified: data.modified().ok() })
    }
}

impl HiveFile {
    /// Opens a hive with its logs: the files beside it whose names have `.LOG1` and `.LOG2` (or `.LOG`) at their end, in
    /// whatever case. When the hive is dirty, they are applied, in memory.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Dirty`] when the hive is dirty and its logs are missing or do not apply, unless
    /// [`Allow::missing_logs`]; else as [`Hive::parse`].
    pub fn open(path: impl AsRef<Path>, allow: Allow) -> Result<Self> {
        // A symbolic link stays one: what it leads to is replaced.
        let path = path.as_ref();
        let path = path.canonicalize().map_err(io_error("opening", path))?;
        let seen = Seen::of(&path)?;
        let bytes = read(&path)?;
        let logs = logs_of(&path)?;
        let contents = logs.iter().map(|log| read(log)).collect::<Result<Vec<Vec<u8>>>>()?;
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let (hive, recovery, report) = match replay(&bytes, &contents) {
            Ok((bytes, recovery)) => (Hive::parse(&bytes)?, recovery, check(&bytes)),
            Err(Error::Dirty { .. }) if allow.missing_logs => {
                let recovery = Recovery { dirty: true, ..Recovery::default() };
                (Hive::parse_without_logs(&bytes)?, recovery, check(&bytes))
            }
            Err(error) => return Err(error),
        };
        Ok(Self { path, logs, recovery, report, allow, hive, seen })
    }

    /// The hive.
    pub const fn hive(&self) -> &Hive {
        &self.hive
    }

    /// The hive, to change it.
    pub const fn hive_mut(&mut self) -> &mut Hive {
        &mut self.hive
    }

    /// What the logs had.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// What a check found in the file when it was opened, its logs applied.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the hive in place of the file, with both sequence numbers raised by one, and empties its logs.
    ///
    /// The file is replaced by renaming, with the mode of the old one, and its owner if we may give files away. At no
    /// moment is there half a hive.
    ///
    /// # Errors
    /// [`Error::WouldLose`] when the check had found data that are not in the tree (unless [`Allow::lost_data`]), or the
    /// file was changed since it was opened; as [`Hive::to_bytes`]; [`Error::Io`]. Then the file is as it was, except
    /// when the error is about a log: then the new hive is in place, and the log that remains is without effect.
    pub fn save(&mut self) -> Result<()> {
        if let Some(reason) = self.lost().filter(|_| !self.allow.lost_data) {
            return Err(Error::WouldLose { path: self.path.display().to_string(), reason });
        }
        if Seen::of(&self.path)? != self.seen {
            let reason = "it was changed since it was opened".into();
            return Err(Error::WouldLose { path: self.path.display().to_string(), reason });
        }
        let before = self.hive.sequence();
        self.hive.set_sequence(before.wrapping_add(1));
        let written = self.hive.to_bytes().and_then(|bytes| replace(&self.path, &bytes));
        if let Err(error) = written {
            self.hive.set_sequence(before);
            return Err(error);
        }
        self.seen = Seen::of(&self.path)?;
        self.recovery = Recovery::default();
        for log in &self.logs {
            truncate(log).map_err(io_error("emptying", log))?;
        }
        Ok(())
    }

    /// What is in the file and not in the tree.
    fn lost(&self) -> Option<String> {
        let codes = [Code::LostKey, Code::SubkeyCount, Code::ValueList, Code::ValueData];
        let found = self
            .report
            .findings
            .iter()
            .find(|found| found.severity == Severity::Error && codes.contains(&found.code));
        found.map(ToString::to_string)
    }
}

/// Reads a file whole, but none that is larger than a hive can be with as much again behind it.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(io_error("opening", path))?;
    let len = file.metadata().map_err(io_error("reading", path))?.len();
    if len > MAX_FILE {
        return Err(Error::limit("size of the file", len, MAX_FILE));
    }
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io_error("reading", path))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::limit("size of the file", bytes.len() as u64, MAX_FILE));
    }
    Ok(bytes)
}

/// Writes a hive into a new file, or in place of one, in the way of [`HiveFile::save`]; there are no logs.
///
/// # Errors
/// As [`Hive::to_bytes`]; [`Error::Io`].
pub fn write(path: impl AsRef<Path>, hive: &Hive) -> Result<()> {
    replace(path.as_ref(), &hive.to_bytes()?)
}

/// The logs that lie beside a hive, `.LOG1` before `.LOG2`. A `.LOG` counts where both are missing or empty: systems that
/// use one log leave the other two empty, and those that use two leave a `.LOG` without meaning.
fn logs_of(hive: &Path) -> Result<Vec<PathBuf>> {
    let (Some(name), Some(directory)) = (hive.file_name(), hive.parent()) else { return Ok(Vec::new()) };
    let mut found: [Option<PathBuf>; 3] = [None, None, None];
    let wanted = [".log1", ".log2", ".log"].map(|suffix| {
        let mut wanted = name.to_ascii_lowercase();
        wanted.push(suffix);
        wanted
    });
    for entry in fs::read_dir(directory).map_err(io_error("listing", directory))? {
        let entry = entry.map_err(io_error("listing", directory))?;
        let at = wanted.iter().position(|wanted| *wanted == entry.file_name().to_ascii_lowercase());
        if let Some(slot) = at.map(|at| &mut found[at]) {
            if let Some(other) = slot {
                let reason =
                    format!("{} and {} differ in case only", other.display(), entry.path().display());
                return Err(Error::WouldLose { path: hive.display().to_string(), reason });
            }
            *slot = Some(entry.path());
        }
    }
    let [first, second, only] = found;
    let mut logs: Vec<PathBuf> = first.into_iter().chain(second).collect();
    let empty = |log: &PathBuf| Ok(fs::metadata(log).map_err(io_error("reading", log))?.len() == 0);
    if logs.iter().map(empty).collect::<Result<Vec<bool>>>()?.iter().all(|&empty| empty) {
        logs.extend(only);
    }
    Ok(logs)
}

/// Puts a new file in place of another, or of none.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let (mut file, temporary) = create_beside(path)?;
    let outcome = (|| {
        match fs::metadata(path) {
            Ok(old) => {
                keep_owner(&file, &old);
                file.set_permissions(old.permissions())
                    .map_err(io_error("setting the mode of", &temporary))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("reading", path)(error)),
        }
        file.write_all(bytes).map_err(io_error("writing", &temporary))?;
        file.sync_all().map_err(io_error("writing", &temporary))?;
        fs::rename(&temporary, path).map_err(io_error("renaming to", path))
    })();
    if outcome.is_err() {
        // The first error is the one to tell of.
        let _ = fs::remove_file(&temporary);
        return outcome;
    }
    // Only now is the new name sure to survive.
    disk::sync_directory_of(path).map_err(io_error(
        "the new hive is in place, but may not outlast a loss of power: flushing the folder of",
        path,
    ))
}

/// Gives a file the owner of another. Only an administrator may give files away; a user's hive stays the user's when one
/// edits it, and in other cases the owner is the same anyway, or cannot be kept.
#[cfg(unix)]
fn keep_owner(file: &File, old: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let _ = fchown(file, Some(old.uid()), Some(old.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) {}

/// The file that is going to be another, while this process writes it.
fn create_beside(path: &Path) -> Result<(File, PathBuf)> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let temporary = path.with_file_name(name);
    let creating = || io_error("creating", &temporary);
    // What is there is either being written by somebody, or left by one who was killed. A link is not followed.
    match fs::symlink_metadata(&temporary) {
        Ok(found) => {
            if found.is_file() && !disk::try_lock(&File::open(&temporary).map_err(creating())?) {
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it");
                return Err(creating()(busy));
            }
            fs::remove_file(&temporary).map_err(creating())?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(creating()(error)),
    }
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(creating())?;
    disk::try_lock(&file);
    Ok((file, temporary))
}

fn truncate(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(0)?;
    file.sync_all()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io { action, path, source }
}
