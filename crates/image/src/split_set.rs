//! Finding the parts of a split WIM. Their names say nothing (`install.swm`, `install2.swm`, but anybody can rename a
//! file); what makes them a set is the GUID that all their headers have.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wim::{Header, Source};

use crate::{Error, Result};

/// Files that can be parts.
const EXTENSIONS: [&str; 3] = ["swm", "wim", "esd"];
/// How many such files of a directory are looked into.
const MAX_CANDIDATES: usize = 10_000;
/// How many files of other sets are named when a part is missing.
const MAX_NAMED: usize = 3;

/// The parts of the set that the file at `path` belongs to, by part number: all in the directory of `path`.
pub(crate) fn find(path: &Path, file: Source, header: &Header) -> Result<Vec<(PathBuf, Source)>> {
    let others = candidates(path)?.into_iter().map(|candidate| {
        let file = File::open(&candidate).ok().map(|file| Arc::new(file) as Source);
        (candidate, file)
    });
    assemble(path, file, header, others)
}

/// The same, of files that lie beside it, wherever that is. What cannot be opened (`None`) or is no WIM is not a part; if
/// one is missing in the end, that is said.
pub(crate) fn assemble(
    path: &Path,
    file: Source,
    header: &Header,
    others: impl Iterator<Item = (PathBuf, Option<Source>)>,
) -> Result<Vec<(PathBuf, Source)>> {
    let mut parts = BTreeMap::from([(header.part, (path.to_owned(), file))]);
    // Parts of other sets, which may be what somebody took for ours.
    let mut foreign = Vec::new();
    for (candidate, file) in others {
        if parts.len() == usize::from(header.parts) {
            break;
        }
        let Some(file) = file else { continue };
        let Ok(other) = Header::read(&*file) else { continue };
        if (other.guid, other.parts) == (header.guid, header.parts) {
            parts.entry(other.part).or_insert_with(|| (candidate, file));
        } else if other.parts > 1 {
            foreign.push((other.part, candidate));
        }
    }
    let missing: Vec<u16> = (1..=header.parts).filter(|number| !parts.contains_key(number)).collect();
    if missing.is_empty() {
        return Ok(parts.into_values().collect());
    }
    let numbers: Vec<String> = missing.iter().take(10).map(ToString::to_string).collect();
    let mut what = format!(
        "is part {} of a split set of {}; not in its directory: part {}{}",
        header.part,
        header.parts,
        numbers.join(", "),
        if missing.len() > numbers.len() { ", ..." } else { "" }
    );
    let suspects = foreign.iter().filter(|(number, _)| missing.contains(number)).take(MAX_NAMED);
    for (number, file) in suspects {
        let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        what += &format!("; {name} is part {number} of another set");
    }
    Err(Error::NotFound { path: path.to_owned(), what })
}

/// Other files in the directory of `path` that may be parts, in the order of their names.
fn candidates(path: &Path) -> Result<Vec<PathBuf>> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let read = |source| Error::Read { path: directory.to_owned(), source };
    let like = |name: &Path| {
        let extension = name.extension();
        let is = |known: &&str| extension.is_some_and(|found| found.eq_ignore_ascii_case(known));
        EXTENSIONS.iter().any(is) || extension == path.extension()
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = PathBuf::from(entry.file_name());
        // Opening a pipe would wait for its other end.
        let regular = || fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        if like(&name) && Some(name.as_os_str()) != path.file_name() && regular() {
            if found.len() == MAX_CANDIDATES {
                return Err(Error::Unsupported {
                    path: directory.to_owned(),
                    what: format!("more than {MAX_CANDIDATES} files that may be parts of the split set"),
                });
            }
            found.push(directory.join(name));
        }
    }
    found.sort();
    Ok(found)
}
