//! What people have drivers in. What it is, is decided by its first bytes; names say nothing.
//!
//! All kinds are read in place, nothing is unpacked to the host. No path leads out of them: archives with such paths are
//! refused, and in a folder links are followed to files below it only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use disk::ReadAt;
use driver::find::{Entry, FileTree};
use iso::Iso;
use serde::Serialize;
use servicing::plan::DriverFolder;
use servicing::{Cabinet, Package};

use super::archive::Paths;
use crate::source::open_file;
use crate::{Error, Result};

/// The largest file of a driver package. The largest that is known, a graphics driver's, has some 150 MiB.
const MAX_FILE: u64 = 1 << 30;
/// Cabinets up to this size are decoded once and kept: their files lie behind each other in one stream.
const KEPT_CABINET: u64 = 256 << 20;

/// What drivers are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceKind {
    /// A folder, and all below it.
    Folder,
    /// One INF file, with the files around it.
    Inf,
    /// A cabinet.
    Cabinet,
    /// A ZIP archive.
    Zip,
    /// An ISO image.
    Iso,
}

/// Something with drivers in it.
pub struct DriverSource {
    path: PathBuf,
    kind: SourceKind,
    tree: Box<dyn FileTree>,
    /// Of an INF file, its name.
    only: Option<String>,
    /// Catalogs of INF files that name none, by their paths.
    catalogs: BTreeMap<String, Vec<String>>,
}

impl std::fmt::Debug for DriverSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverSource")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl DriverSource {
    /// Opens a folder, an INF file, a cabinet, a ZIP archive or an ISO image.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Unsupported`] for anything else, [`Error::Iso`] and [`Error::DriverFile`] for what is
    /// damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |source| Error::Read { path: path.to_owned(), source };
        let of = |kind, tree| {
            Ok(Self { path: path.to_owned(), kind, tree, only: None, catalogs: BTreeMap::new() })
        };
        if fs::metadata(path).map_err(wrong)?.is_dir() {
            return of(SourceKind::Folder, Box::new(Folder::open(path).map_err(wrong)?));
        }
        let file = open_file(path)?;
        let mut head = Vec::new();
        (&file).take(16).read_to_end(&mut head).map_err(wrong)?;
        let damaged = |source| Error::DriverFile { path: path.to_owned(), source };
        if Cabinet::is_cabinet(&head) {
            let tree = CabinetTree::open(Arc::new(file)).map_err(damaged)?;
            return of(SourceKind::Cabinet, Box::new(tree));
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return of(SourceKind::Zip, Box::new(ZipTree::open(file).map_err(damaged)?));
        }
        let file: Arc<dyn ReadAt> = Arc::new(file);
        if iso::is_iso(&*file).map_err(wrong)? {
            let iso = Iso::open(file).map_err(|source| Error::Iso { path: path.to_owned(), source })?;
            return of(SourceKind::Iso, Box::new(IsoTree(iso)));
        }
        let other = match &head[..] {
            [b'M', b'Z', ..] => "is a program; unpack it first, many take /extract or can be opened by 7-Zip",
            [0xD0, 0xCF, 0x11, 0xE0, ..] => {
                "is a Windows Installer package; unpack it first, with msiexec /a or 7-Zip"
            }
            [b'7', b'z', 0xBC, 0xAF, ..] => "is a 7-Zip archive; unpack it first",
            [b'M', b'S', b'W', b'I', b'M', ..] => "is a Windows image, not a driver package",
            _ => return Self::inf(path),
        };
        Err(Error::Unsupported { path: path.to_owned(), what: other.to_owned() })
    }

    /// An INF file: its folder is the tree, and nothing but it is looked for there.
    fn inf(path: &Path) -> Result<Self> {
        let what = "is no folder with drivers, INF file, cabinet, ZIP archive or ISO image";
        let unsupported = || Error::Unsupported { path: path.to_owned(), what: what.to_owned() };
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unsupported)?;
        let wrong = |source| Error::Read { path: path.to_owned(), source };
        let bytes = limited(File::open(path).map_err(wrong)?, 32 << 20).map_err(wrong)?;
        let is_inf = driver::Inf::parse(name, &bytes).is_ok_and(|inf| inf.section("Version").is_some());
        if !is_inf && !name.to_ascii_lowercase().ends_with(".inf") {
            return Err(unsupported());
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let tree = Box::new(Folder::open(folder).map_err(wrong)?);
        let (only, catalogs) = (Some(name.to_owned()), BTreeMap::new());
        Ok(Self { path: path.to_owned(), kind: SourceKind::Inf, tree, only, catalogs })
    }

    /// Drivers of a package of Windows, which lies in the cabinet at `path`.
    ///
    /// # Errors
    /// [`Error::DriverFile`] when it is none, or has files with impossible paths.
    pub(crate) fn package(path: &Path, package: Arc<Package>, drivers: &[DriverFolder]) -> Result<Self> {
        let damaged = |source| Error::DriverFile { path: path.to_owned(), source };
        let wanted = drivers.iter().flat_map(|driver| driver.files.iter().chain(&driver.catalogs));
        let wanted: BTreeSet<&str> = wanted.map(String::as_str).collect();
        let tree =
            CabinetTree::new(Holder::Package(package), |path| wanted.contains(path)).map_err(damaged)?;
        let slashes = |path: &String| path.replace('\\', "/");
        let catalogs = drivers
            .iter()
            .map(|driver| (slashes(&driver.inf), driver.catalogs.iter().map(slashes).collect()))
            .collect();
        let kind = SourceKind::Cabinet;
        Ok(Self { path: path.to_owned(), kind, tree: Box::new(tree), only: None, catalogs })
    }

    /// What it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Its files.
    pub fn tree(&self) -> &dyn FileTree {
        &*self.tree
    }

    /// The catalogs that may cover an INF file which names none.
    pub(super) fn catalogs(&self, inf: &str) -> &[String] {
        self.catalogs.get(inf).map_or(&[], Vec::as_slice)
    }

    /// Whether it is a package of Windows, whose drivers nobody chose one by one.
    pub(super) fn is_package(&self) -> bool {
        !self.catalogs.is_empty()
    }

    /// Its files as [`driver::find::find`] is to see them.
    pub(super) fn searched(&self) -> Searched<'_> {
        Searched(self)
    }
}

/// The tree of an INF file has no other INF files.
pub(super) struct Searched<'s>(&'s DriverSource);

impl FileTree for Searched<'_> {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        match &self.0.only {
            None => self.0.tree.list(folder),
            Some(name) => Ok(vec![Entry { name: name.clone(), is_folder: false }]),
        }
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        self.0.tree.read(file)
    }
}

/// All of a file, unless that is more than `limit` bytes.
fn limited(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("more than {limit} bytes, which no file of a driver has")));
    }
    Ok(bytes)
}

/// A folder of the host.
struct Folder {
    /// Without links.
    root: PathBuf,
}

impl Folder {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { root: fs::canonicalize(path)? })
    }
}

impl FileTree for Folder {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root.join(folder))? {
            let entry = entry?;
            // Windows could not name such a file.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            let is_file = kind.is_file()
                || kind.is_symlink()
                    && fs::canonicalize(entry.path())
                        .is_ok_and(|target| target.starts_with(&self.root) && target.is_file());
            if is_file || kind.is_dir() {
                entries.push(Entry { name, is_folder: !is_file });
            }
        }
        Ok(entries)
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        limited(File::open(self.root.join(file))?, MAX_FILE)
    }
}

/// Who has a cabinet.
enum Holder {
    Own(Cabinet),
    Package(Arc<Package>),
}

struct CabinetTree {
    holder: Holder,
    paths: Paths,
    /// The bytes of all of its files.
    total: u64,
    /// All of its files, if they are small.
    kept: OnceLock<Result<BTreeMap<String, Vec<u8>>, String>>,
}

impl CabinetTree {
    fn open(file: Arc<dyn ReadAt>) -> io::Result<Self> {
        let cabinet = Cabinet::open(file).map_err(io::Error::other)?;
        Self::new(Holder::Own(cabinet), |_| true)
    }

    fn new(holder: Holder, mut wanted: impl FnMut(&str) -> bool) -> io::Result<Self> {
        let mut tree = Self { holder, paths: Paths::default(), total: 0, kept: OnceLock::new() };
        let (mut paths, mut total) = (Paths::default(), 0);
        for (number, entry) in tree.cabinet()?.entries().iter().enumerate() {
            if wanted(entry.path()) {
                paths.add(entry.path(), number)?;
                total += entry.size();
            }
        }
        (tree.paths, tree.total) = (paths, total);
        Ok(tree)
    }

    fn cabinet(&self) -> io::Result<&Cabinet> {
        match &self.holder {
            Holder::Own(cabinet) => Ok(cabinet),
            Holder::Package(package) => {
                package.cabinet().ok_or_else(|| io::Error::other("the package is no single cabinet"))
            }
        }
    }

    fn all(&self, cabinet: &Cabinet) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let mut files = BTreeMap::new();
        let done: Result<(), servicing::Error> = cabinet.extract(
            &mut |entry| self.paths.number(&entry.path().replace('\\', "/")).is_ok(),
            &mut |entry, bytes| {
                files.insert(entry.path().to_owned(), bytes);
                Ok(())
            },
        );
        done.map(|()| files).map_err(|error| error.to_string())
    }
}

impl FileTree for CabinetTree {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        Ok(self.paths.list(folder))
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let cabinet = self.cabinet()?;
        let path = cabinet.entries()[self.paths.number(file)?].path();
        if self.total > KEPT_CABINET {
            return cabinet.read(path).map_err(io::Error::other);
        }
        match self.kept.get_or_init(|| self.all(cabinet)) {
            Ok(files) => files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into()),
            Err(reason) => Err(io::Error::other(reason.clone())),
        }
    }
}

struct ZipTree {
    /// Reading moves its position.
    archive: Mutex<zip::ZipArchive<io::BufReader<File>>>,
    paths: Paths,
}

impl ZipTree {
    fn open(file: File) -> io::Result<Self> {
        let mut archive = zip::ZipArchive::new(io::BufReader::new(file)).map_err(io::Error::other)?;
        let mut paths = Paths::default();
        for number in 0..archive.len() {
            let file = archive.by_index_raw(number).map_err(io::Error::other)?;
            if file.is_file() {
                paths.add(&file.name().map_err(io::Error::other)?, number)?;
            }
        }
        Ok(Self { archive: Mutex::new(archive), paths })
    }
}

impl FileTree for ZipTree {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        Ok(self.paths.list(folder))
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let number = self.paths.number(file)?;
        // It holds nothing that a panic could have left half done.
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let file = archive.by_index(number).map_err(io::Error::other)?;
        limited(file, MAX_FILE)
    }
}

struct IsoTree(Iso);

impl IsoTree {
    fn entry(&self, path: &str) -> io::Result<iso::Entry> {
        let found = self.0.find(path).map_err(io::Error::other)?;
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FileTree for IsoTree {
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let entries = self.0.entries(&self.entry(folder)?).map_err(io::Error::other)?;
        let of = |entry: &iso::Entry| Entry { name: entry.name(), is_folder: entry.is_directory() };
        // A name with a slash in it would be another path.
        Ok(entries.iter().map(of).filter(|entry| !entry.name.contains(['/', '\\'])).collect())
    }

    fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let file = self.0.file(&self.entry(file)?).map_err(io::Error::other)?;
        let size = file.size()?;
        if size > MAX_FILE {
            return Err(io::Error::other(format!("{size} bytes, which no file of a driver has")));
        }
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}
