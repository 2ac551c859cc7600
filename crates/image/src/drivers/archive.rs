//! Files by their paths inside an archive, with folders made from the paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use driver::find::Entry;

/// Files that are looked at.
const MAX_ENTRIES: usize = 200_000;
/// Bytes that paths and folders may take together. A path of 4 KiB can have two thousand folders, each a path itself.
const MAX_HELD: usize = 128 << 20;
/// About what an entry takes besides its text.
const ENTRY: usize = 64;
/// The longest path, in bytes.
const MAX_PATH: usize = 4096;

/// The paths of an archive's files, with slashes, each with its number in the archive.
#[derive(Debug, Default)]
pub(super) struct Paths {
    files: BTreeMap<String, usize>,
    /// Folders by path, the top as the empty one.
    folders: BTreeMap<String, BTreeSet<(String, bool)>>,
    /// About how many bytes all of it takes.
    held: usize,
}

impl Paths {
    /// Takes a file in. One that is there twice is there once, as unpackers have it: the last one wins.
    ///
    /// # Errors
    /// For a path that leads out of the archive, and one file or folder too many.
    pub(super) fn add(&mut self, path: &str, number: usize) -> io::Result<()> {
        let path = inside(path)?;
        if self.files.insert(path.clone(), number).is_some() {
            return Ok(());
        }
        if self.files.len() > MAX_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_ENTRIES} files")));
        }
        self.held += path.len() + ENTRY;
        let mut rest = path.as_str();
        let mut is_folder = false;
        loop {
            if self.held > MAX_HELD {
                return Err(io::Error::other(format!("paths and folders of more than {MAX_HELD} bytes")));
            }
            let (folder, name) = rest.rsplit_once('/').unwrap_or(("", rest));
            let is_new =
                self.folders.entry(folder.to_owned()).or_default().insert((name.to_owned(), is_folder));
            if is_new {
                self.held += rest.len() + ENTRY;
            }
            if folder.is_empty() || !is_new {
                return Ok(());
            }
            (rest, is_folder) = (folder, true);
        }
    }

    /// The file's number.
    pub(super) fn number(&self, path: &str) -> io::Result<usize> {
        self.files.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn list(&self, folder: &str) -> Vec<Entry> {
        let entries = self.folders.get(folder).into_iter().flatten();
        entries.map(|(name, is_folder)| Entry { name: name.clone(), is_folder: *is_folder }).collect()
    }
}

/// A path with slashes that stays inside.
fn inside(path: &str) -> io::Result<String> {
    let normal = path.replace('\\', "/");
    let mut parts = normal.split('/');
    let is_bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains([':', '\0']);
    if path.len() > MAX_PATH || parts.any(is_bad) {
        let shown: String = path.chars().take(80).collect();
        return Err(io::Error::other(format!("{shown:?} is no path inside an archive")));
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_from_paths() {
        let mut paths = Paths::default();
        for (number, path) in ["a.inf", "amd64\\x.sys", "amd64/sub/y.sys", "a.inf"].into_iter().enumerate() {
            paths.add(path, number).unwrap();
        }
        let entry = |name: &str, is_folder| Entry { name: name.to_owned(), is_folder };
        assert_eq!(paths.list(""), [entry("a.inf", false), entry("amd64", true)]);
        assert_eq!(paths.list("amd64"), [entry("sub", true), entry("x.sys", false)]);
        assert_eq!(paths.list("amd64/sub"), [entry("y.sys", false)]);
        assert_eq!(paths.list("sub"), []);
        assert_eq!(paths.number("amd64/x.sys").unwrap(), 1);
        assert_eq!(paths.number("a.inf").unwrap(), 3);
        assert!(paths.number("amd64").is_err());
    }

    /// Each of these paths has two thousand folders that no other has: 4 KiB in the archive, 4 MiB here.
    #[test]
    fn folders_are_bounded() {
        let mut paths = Paths::default();
        let below = "a/".repeat(2000);
        let refused = (0..1000).find(|number| paths.add(&format!("{number}/{below}f"), *number).is_err());
        assert!(refused.is_some_and(|number| number < 64), "{refused:?}");
        // As many as anybody has.
        let mut paths = Paths::default();
        for number in 0..MAX_ENTRIES {
            paths.add(&format!("drivers/{}/amd64/vendor-{number}.sys", number % 500), number).unwrap();
        }
        assert!(paths.add("one more", 0).is_err());
    }

    #[test]
    fn no_path_leads_out() {
        for path in
            ["", "/etc/passwd", "../x", "a/../x", "a//b", "C:\\x", "a:b", "a\0", "./a", "a/", "\\\\h\\s"]
        {
            assert!(Paths::default().add(path, 0).is_err(), "{path}");
        }
        assert!(Paths::default().add(&"a/".repeat(3000), 0).is_err());
    }
}
