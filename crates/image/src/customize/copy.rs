//! `--copy`: files and folders of the host, put into the image.
//!
//! Symbolic links are followed when they are named and refused inside folders: what lies behind them is not what somebody
//! looking at the folder sees. Times are those of the build, so that a fresh clone of a repository gives the same disk.

use std::fs::{self, File};
use std::path::Path;

use super::{Protection, Session};
use crate::recipe::CopyChoice;
use crate::{Error, Result};

/// Files and folders that one `--copy` may bring.
const MAX_ENTRIES: usize = 1 << 20;
/// Folders deep.
const MAX_DEPTH: usize = 64;

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Copies one.
pub(super) fn apply(session: &mut Session<'_>, choice: &CopyChoice) -> Result<Copied> {
    let mut copy = Copy { session, copied: Copied::default(), entries: 0 };
    let metadata = fs::metadata(&choice.from).map_err(|source| wrong(&choice.from, source))?;
    if metadata.is_dir() {
        copy.folder(&choice.from, choice.to.trim_end_matches(['\\', '/']), 0)?;
    } else {
        // `file=folder\` goes into the folder under its own name, as a user of `cp` expects.
        let into = choice.to.is_empty() || choice.to.ends_with(['\\', '/']);
        let name = choice.from.file_name().unwrap_or_default().to_string_lossy();
        let to = if into { format!("{}{name}", choice.to) } else { choice.to.clone() };
        copy.file(&choice.from, &to)?;
    }
    Ok(copy.copied)
}

struct Copy<'s, 'a> {
    session: &'s mut Session<'a>,
    copied: Copied,
    entries: usize,
}

impl Copy<'_, '_> {
    fn folder(&mut self, from: &Path, to: &str, depth: usize) -> Result<()> {
        let refused = |what: String| Err(Error::Unsupported { path: from.to_owned(), what });
        if depth == MAX_DEPTH {
            return refused(format!("is more than {MAX_DEPTH} folders deep"));
        }
        self.session.directory(to, &Protection::Inherit, &reason(from))?;
        let mut entries = Vec::new();
        for entry in fs::read_dir(from).map_err(|source| wrong(from, source))? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return refused(format!("has more than {MAX_ENTRIES} files and folders"));
            }
            entries.push(entry.map_err(|source| wrong(from, source))?);
        }
        // The host's order is not the same on every host.
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                let what = "has a name that is not UTF-8, which Windows could not show".to_owned();
                return Err(Error::Unsupported { path, what });
            };
            let to = if to.is_empty() { name } else { format!("{to}\\{name}") };
            let kind = entry.file_type().map_err(|source| wrong(&path, source))?;
            if kind.is_dir() {
                self.folder(&path, &to, depth + 1)?;
            } else if kind.is_file() {
                self.file(&path, &to)?;
            } else {
                let what = "is no file and no folder; links inside folders are not followed".to_owned();
                return Err(Error::Unsupported { path, what });
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &str) -> Result<()> {
        if !fs::metadata(from).map_err(|source| wrong(from, source))?.is_file() {
            let what = "is no regular file".to_owned();
            return Err(Error::Unsupported { path: from.to_owned(), what });
        }
        let mut file = File::open(from).map_err(|source| wrong(from, source))?;
        let content = self.session.keep(from, &mut file)?;
        self.copied.files += 1;
        self.copied.bytes += content.len();
        self.session.put(to, content, &Protection::Inherit, &reason(from))
    }
}

fn reason(from: &Path) -> String {
    format!("copied from {}", from.display())
}

fn wrong(path: &Path, source: std::io::Error) -> Error {
    Error::Read { path: path.to_owned(), source }
}
