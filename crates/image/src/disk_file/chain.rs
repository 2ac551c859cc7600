//! Other files that a disk needs: the parents of a differencing disk, the extents of a VMDK.
//!
//! A disk image is somebody's text, and names files that would be opened with the rights of whoever reads it
//! (CVE-2022-47951, CVE-2024-32498: images that name files of the host). So a parent is opened only where the caller said
//! that parents may be, and an extent only beside its descriptor, as a regular file of its own, never through a link.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::ReadAt;

use crate::Error;

/// The longest chain of parents. Windows makes shorter ones.
pub(super) const MAX_CHAIN: usize = 64;

/// Where the parents of differencing disks may be: files, and folders whose files they may be.
#[derive(Clone, Debug, Default)]
pub struct Parents {
    places: Vec<PathBuf>,
}

impl Parents {
    /// No parents: a differencing disk is refused, with the name of what it wants.
    pub fn none() -> Self {
        Self::default()
    }

    /// Parents may be these files, and the files in these folders (not in folders below).
    pub fn in_places(places: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { places: places.into_iter().collect() }
    }

    /// The files that may be the parent for which a disk has these names, as it stores them: those of one of the names
    /// first, then files that were given themselves, since a parent may have been renamed.
    pub(super) fn candidates(&self, names: &[&str]) -> Vec<PathBuf> {
        let bases: Vec<&str> = names
            .iter()
            .map(|name| name.rsplit(['/', '\\', ':']).next().unwrap_or(name))
            .filter(|base| !base.is_empty() && *base != "." && *base != "..")
            .collect();
        let is_named = |path: &Path| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase());
            name.is_some_and(|name| bases.iter().any(|base| base.to_lowercase() == name))
        };
        let mut named = Vec::new();
        let mut others = Vec::new();
        for place in &self.places {
            if place.is_dir() {
                let entries = fs::read_dir(place).into_iter().flatten().filter_map(|entry| entry.ok());
                let mut files: Vec<PathBuf> =
                    entries.map(|entry| entry.path()).filter(|path| is_named(path)).collect();
                files.sort();
                named.extend(files);
            } else if is_named(place) {
                named.push(place.clone());
            } else {
                others.push(place.clone());
            }
        }
        named.extend(others);
        named
    }
}

/// The error for a disk whose parent was not found where parents may be.
pub(super) fn missing(path: &Path, names: &[&str], tried: &[String]) -> Error {
    let mut names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.dedup();
    let named = if names.is_empty() { "a file that it does not name".to_owned() } else { names.join(" or ") };
    let tried = if tried.is_empty() { String::new() } else { format!(" ({})", tried.join("; ")) };
    let what = format!(
        "holds what differs from another disk, {named}, which is needed as well{tried}; --parent FILE, or --parent and the \
         folder that it is in, says where it is"
    );
    Error::Unsupported { path: path.to_owned(), what }
}

/// Opens a file that a descriptor names, which is a plain name, beside the descriptor.
pub(super) fn open_beside(descriptor: &Path, name: &str) -> io::Result<Arc<dyn ReadAt>> {
    let path = descriptor.with_file_name(name);
    let invalid =
        |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display())));
    let metadata = fs::symlink_metadata(&path)?;
    if metadata.file_type().is_symlink() {
        return invalid("is a link, which a disk's data is not read through");
    }
    if !metadata.is_file() {
        return invalid("is not a regular file");
    }
    Ok(Arc::new(Lazy::new(path, metadata.len())))
}

/// A file that is open only while it is read from: a disk may have a thousand extents, and a process fewer files.
#[derive(Debug)]
struct Lazy {
    path: PathBuf,
    len: u64,
}

impl Lazy {
    fn new(path: PathBuf, len: u64) -> Self {
        Self { path, len }
    }
}

impl ReadAt for Lazy {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        File::open(&self.path)?.read_exact_at(buf, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn stored_at(&self, offset: u64) -> io::Result<Option<disk::MappedRange>> {
        File::open(&self.path)?.stored_at(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found_by_name_where_they_may_be() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["Base.vhd", "other.vhd", "renamed.vhd"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let folder = Parents::in_places([dir.path().to_owned()]);
        let names = ["C:\\disks\\base.vhd", ".\\base.vhd"];
        assert_eq!(folder.candidates(&names), [dir.path().join("Base.vhd")]);
        assert!(folder.candidates(&["..", "."]).is_empty());
        assert!(Parents::none().candidates(&names).is_empty());
        let both = Parents::in_places([dir.path().join("renamed.vhd"), dir.path().join("Base.vhd")]);
        assert_eq!(both.candidates(&names), [dir.path().join("Base.vhd"), dir.path().join("renamed.vhd")]);
    }

    #[cfg(unix)]
    #[test]
    fn extents_are_files_and_no_links() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "abc").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("d-flat.vmdk")).unwrap();
        let descriptor = dir.path().join("d.vmdk");
        assert!(open_beside(&descriptor, "d-flat.vmdk").err().unwrap().to_string().contains("is a link"));
        assert!(open_beside(&descriptor, "none").is_err());
        let file = open_beside(&descriptor, "secret").unwrap();
        let mut bytes = [0; 2];
        file.read_exact_at(&mut bytes, 1).unwrap();
        assert_eq!((&bytes, file.size().unwrap()), (b"bc", 3));
    }
}
