//! Hives to look at: files, and those inside images and disks.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use hive::Hive;
use hive::paths::{self, KnownHive, Mount};
use hive::reg::KeyPath;
use image::pipeline::BlobStore;
use image::registry::{self, HiveBytes, MAX_HIVE};
use image::tree::{Content, Tree};
use image::{DiskPlace, Error, Scope, TreeIndex, copy_blob};

use super::super::opened::{Choice, Found, Opened};
use crate::args::{Common, RegSource};
use crate::report::say;

/// A hive that was read.
pub(super) struct Source {
    /// What errors call it.
    pub(super) name: String,
    /// Its path inside an image or a disk.
    pub(super) inside: Option<String>,
    pub(super) hive: Hive,
    pub(super) mount: Mount,
}

/// Whether a file begins as a hive does.
pub(super) fn is_hive(file: &Path) -> Result<bool, Error> {
    let read = |source| Error::Read { path: file.to_owned(), source };
    let mut start = Vec::new();
    if file.is_dir() {
        let what = "is a directory; a hive is a file, such as Windows/System32/config/SYSTEM".to_owned();
        return Err(Error::Unsupported { path: file.to_owned(), what });
    }
    File::open(file).map_err(read)?.take(4).read_to_end(&mut start).map_err(read)?;
    Ok(start == b"regf")
}

impl Source {
    /// Opens the hive in which a key lies.
    pub(super) fn open(source: &RegSource, key: &str, common: &Common) -> anyhow::Result<Self> {
        let place = DiskPlace::parse(&source.file);
        if place.partition.is_none() && is_hive(&source.file)? {
            if source.image.is_some() {
                let what =
                    format!("{} is a hive and has no images; leave --image out", source.file.display());
                return Err(Error::Recipe(what).into());
            }
            let found = registry::hive_bytes(&source.file)?;
            let (hive, recovery) = found.open(Path::new(""))?;
            if recovery.dirty && !common.quiet {
                say(&format!("note: {}: {recovery}", found.path));
            }
            let mount = super::mount(&hive, &source.place);
            return Ok(Self { name: found.path, inside: None, hive, mount });
        }
        let inside = Inside::open(source, &place, key)?;
        let found = inside.read()?;
        let (hive, recovery) = found.open(&inside.file)?;
        if recovery.dirty && !common.quiet {
            say(&format!("note: {}: {recovery}", found.path));
        }
        let mount = match inside.which {
            Some(which) => Mount::known(hive.root(), which),
            None => super::mount(&hive, &source.place),
        };
        let name = format!("{}: {}", source.file.display(), found.path);
        Ok(Self { name, inside: Some(found.path), hive, mount })
    }
}

/// An image or volume with hives in it.
pub(super) struct Inside {
    /// What errors call it.
    pub(super) file: PathBuf,
    opened: Opened,
    /// The hive that a key lies in, unless its path was given.
    which: Option<KnownHive>,
    path: String,
}

impl Inside {
    pub(super) fn open(source: &RegSource, place: &DiskPlace, key: &str) -> Result<Self, Error> {
        let path = place.path.trim_matches(['/', '\\']);
        if !path.is_empty() {
            let opened = Found::open(
                &source.file,
                &[],
                Choice { image: source.image.as_ref(), ..Choice::default() },
                false,
            )?
            .files()?;
            return Ok(Self { file: place.file.clone(), opened, which: None, path: path.replace('\\', "/") });
        }
        let key = KeyPath::parse(key);
        let location = paths::locate(&key).map_err(|problem| {
            let file = source.file.display();
            Error::Recipe(format!(
                "{file} is no hive, so the key has to say in which hive it lies: {problem}"
            ))
        })?;
        Self::of(source, place, location.hive)
    }

    /// For one of the hives that are known.
    pub(super) fn of(source: &RegSource, place: &DiskPlace, which: KnownHive) -> Result<Self, Error> {
        let opened = Found::open(
            &source.file,
            &[""],
            Choice { image: source.image.as_ref(), ..Choice::default() },
            false,
        )?
        .holding(which.files())?;
        Ok(Self { file: place.file.clone(), opened, which: Some(which), path: String::new() })
    }

    /// The hive and its logs.
    pub(super) fn read(&self) -> Result<HiveBytes, Error> {
        match self.which {
            Some(which) => self.find(which),
            None => {
                let path = self.path.clone();
                self.with_files(&[&path], |read| registry::hive_at(&self.file, &path, read))
            }
        }
    }

    /// One of the hives that are known, and its logs.
    pub(super) fn find(&self, which: KnownHive) -> Result<HiveBytes, Error> {
        self.with_files(which.files(), |read| registry::find_hive(&self.file, which, read))
    }

    /// Calls with a reader of the files that lie beside these.
    fn with_files<R>(
        &self,
        paths: &[&str],
        call: impl FnOnce(&mut registry::ReadFile<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let directories =
            paths.iter().map(|path| path.rsplit_once('/').map_or("", |(directory, _)| directory));
        let (tree, blobs) = self.opened.read(&Scope::paths(directories, false))?;
        let index = TreeIndex::new(&tree);
        call(&mut |path| read(&self.file, &tree, &index, blobs.as_ref(), path))
    }
}

/// The content of a small file.
fn read(
    file: &Path,
    tree: &Tree,
    index: &TreeIndex<'_>,
    blobs: &dyn BlobStore,
    path: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let Some((_, node)) = index.find(path) else { return Ok(None) };
    let Some(content) = &tree.nodes[node.0 as usize].data else { return Ok(None) };
    if content.len() > MAX_HIVE {
        let what = format!("{path} has {} bytes, too many for a hive (at most {MAX_HIVE})", content.len());
        return Err(Error::Unsupported { path: file.to_owned(), what });
    }
    match content {
        Content::Empty => Ok(Some(Vec::new())),
        Content::Bytes(bytes) => Ok(Some(bytes.to_vec())),
        Content::Hole { len } => Ok(Some(vec![0; *len as usize])),
        Content::Missing { sha1 } => {
            let sha1 = disk::hex(sha1);
            Err(Error::MissingBlob { path: file.to_owned(), name: path.to_owned(), sha1 })
        }
        Content::Blob { blob, .. } => {
            let mut bytes = Vec::new();
            copy_blob(blobs, blobs.reader().as_mut(), *blob, &mut Vec::new(), &mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            Ok(Some(bytes))
        }
    }
}
