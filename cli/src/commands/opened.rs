//! What `ls`, `cat` and `extract` read: an image of a WIM, an ISO, or a volume of a disk.

use std::path::Path;

use image::pipeline::BlobStore;
use image::tree::Tree;
use image::{
    DiskFile, DiskPlace, DiskVolume, Error, FileKind, ImageChoice, IsoSource, Parents, Partitions, Scope,
    TreeIndex, VolumeOptions, WimChoice, WimSource,
};

use crate::report::say;

/// A source of files, and the paths in it that were asked for.
pub(crate) struct Opened {
    source: Source,
    pub(crate) paths: Vec<String>,
}

#[expect(clippy::large_enum_variant, reason = "a command has one")]
enum Source {
    Wim { source: WimSource, image: u32 },
    Iso(IsoSource),
    Disk(Box<DiskVolume>),
}

/// What options choose of a file.
#[derive(Default)]
pub(crate) struct Choice<'a> {
    /// An image of a WIM, or a partition of a disk.
    pub(crate) image: Option<&'a ImageChoice>,
    /// A WIM inside an ISO.
    pub(crate) wim: Option<WimChoice>,
    /// Where parents of a differencing disk may be.
    pub(crate) parents: Parents,
}

/// What a name on the command line leads to.
#[expect(clippy::large_enum_variant, reason = "a command has one")]
pub(crate) enum Found {
    Files(Opened),
    /// A disk with several volumes, of which none was chosen.
    Several(DiskFile, Partitions),
}

impl Found {
    /// Opens `file`, which may end with a partition (or an image) and a path (`disk.vhd:2/Windows`), to read `paths` in it. On a disk
    /// with several partitions a path may begin with the number of one. Of an ISO it is the ISO's own tree, unless a WIM
    /// inside, or an image of one, is chosen.
    pub(crate) fn open(
        file: &Path,
        paths: &[&str],
        Choice { image: choice, wim: in_iso, parents }: Choice<'_>,
        raw: bool,
    ) -> Result<Self, Error> {
        let place = DiskPlace::parse(file);
        // Directories, and what is not there, get the words of whoever opens WIMs.
        let kind = if place.file.is_dir() { FileKind::Wim } else { kind(&place.file)? };
        let asks_for_wim = choice.is_some() || place.partition.is_some();
        let wim = kind == FileKind::Wim || kind == FileKind::Iso && asks_for_wim || in_iso.is_some();
        let number = place.partition.map(ImageChoice::Index);
        if number.is_some() && choice.is_some() {
            let both = format!("{} and --image both choose; leave one out", file.display());
            return Err(Error::Recipe(both));
        }
        let choice = choice.or(number.as_ref());
        let inner = |path: &str| match (&*place.path, path) {
            ("", path) => path.to_owned(),
            (inner, "" | "/") => inner.to_owned(),
            (inner, path) => format!("{}/{path}", inner.trim_end_matches(['/', '\\'])),
        };
        if wim {
            let source = WimSource::open_choice(&place.file, in_iso.as_ref())?;
            let image = source.choose(choice)?;
            let paths = paths.iter().map(|path| inner(path)).collect();
            return Ok(Self::Files(Opened { source: Source::Wim { source, image }, paths }));
        }
        if kind == FileKind::Iso {
            let source = Source::Iso(IsoSource::open(&place.file)?);
            let paths = paths.iter().map(|&path| path.to_owned()).collect();
            return Ok(Self::Files(Opened { source, paths }));
        }
        let disk = DiskFile::open_with(&place.file, &parents)?;
        let partitions = Partitions::of(&disk)?;
        let mut number: Option<ImageChoice> = None;
        let mut inside = Vec::new();
        for path in paths {
            let (own, rest) = if choice.is_some() { (None, *path) } else { partitions.split(path) };
            let own = own.map(ImageChoice::Index);
            if !inside.is_empty() && own != number {
                let several = format!("{}: the paths lie in different partitions", place.file.display());
                return Err(Error::Recipe(several));
            }
            number = own;
            inside.push(inner(rest));
        }
        let choice = choice.or(number.as_ref());
        let nothing = inside.iter().all(|path| path.is_empty() || path == "/");
        let volumes = partitions.partitions.iter().filter(|partition| partition.is_ntfs()).count();
        if choice.is_none() && nothing && volumes != 1 && partitions.partitions.len() > 1 {
            return Ok(Self::Several(disk, partitions));
        }
        let volume = DiskVolume::choose(&disk, &partitions, choice, VolumeOptions { raw })?;
        Ok(Self::Files(Opened { source: Source::Disk(Box::new(volume)), paths: inside }))
    }

    /// The files; of a disk with several volumes one has to be chosen.
    pub(crate) fn files(self) -> Result<Opened, Error> {
        match self {
            Self::Files(opened) => Ok(opened),
            Self::Several(disk, partitions) => {
                let volume = DiskVolume::choose(&disk, &partitions, None, VolumeOptions::default())?;
                Ok(Opened { source: Source::Disk(Box::new(volume)), paths: Vec::new() })
            }
        }
    }
}

impl Found {
    /// The files of the image or volume that was chosen; of a disk with several volumes, of the first that has one of
    /// these paths.
    pub(crate) fn holding(self, paths: &[&str]) -> Result<Opened, Error> {
        let Self::Several(disk, partitions) = &self else { return self.files() };
        let directories =
            paths.iter().map(|path| path.rsplit_once('/').map_or("", |(directory, _)| directory));
        let scope = Scope::paths(directories, false);
        for partition in partitions.partitions.iter().filter(|partition| partition.is_ntfs()) {
            let Ok(volume) = DiskVolume::open(disk, partition, VolumeOptions::default()) else { continue };
            let found = volume.tree(&scope).is_ok_and(|(tree, _)| {
                let index = TreeIndex::new(&tree);
                paths.iter().any(|path| index.find(path).is_some())
            });
            if found {
                return Ok(Opened { source: Source::Disk(Box::new(volume)), paths: Vec::new() });
            }
        }
        self.files()
    }
}

/// What a file is. What is none of it and does not begin like a disk either is refused here.
pub(super) fn kind(file: &Path) -> Result<FileKind, Error> {
    let (kind, reader) = FileKind::of(file)?;
    if kind == FileKind::Raw {
        let mut sector = [0; 512];
        let known = disk::ReadAt::read_exact_at(&reader, &mut sector, 0).is_ok();
        // The signature of a master boot record and of a volume's first sector.
        if !known || sector[510..] != [0x55, 0xAA] {
            // What a qcow2 is, is said when it is opened.
            DiskFile::open(file)?;
            let what = "is neither a WIM, an ISO nor a disk image that this version knows (raw, VHD, VHDX, VMDK, VDI, qcow2)";
            return Err(Error::Unsupported { path: file.to_owned(), what: what.to_owned() });
        }
    }
    Ok(kind)
}

impl Opened {
    /// The file that was opened.
    pub(crate) fn file(&self) -> &Path {
        match &self.source {
            Source::Wim { source, .. } => source.path(),
            Source::Iso(source) => source.path(),
            Source::Disk(volume) => volume.path(),
        }
    }

    /// Whether it is an image of a WIM.
    pub(crate) fn is_wim(&self) -> bool {
        matches!(self.source, Source::Wim { .. })
    }

    /// What it is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self.source {
            Source::Wim { .. } => "image",
            Source::Iso(_) => "ISO",
            Source::Disk(_) => "volume",
        }
    }

    /// The first error of the host's when it was read.
    pub(crate) fn read_error(&self) -> Option<Error> {
        match &self.source {
            Source::Wim { source, .. } => source.read_error(),
            Source::Iso(source) => source.read_error(),
            Source::Disk(volume) => volume.read_error(),
        }
    }

    /// The command that checks it.
    pub(crate) fn checker(&self) -> Option<&'static str> {
        match self.source {
            Source::Wim { .. } => Some("verify"),
            Source::Iso(_) => None,
            Source::Disk(_) => Some("check"),
        }
    }

    /// Bytes that may be kept of what was decoded.
    pub(crate) fn set_memory(&self, bytes: u64) {
        match &self.source {
            Source::Wim { source, .. } => source.wim().set_memory(bytes),
            Source::Iso(_) | Source::Disk(_) => {}
        }
    }

    /// The tree, at least as far as the scope asks for, and what its files hold.
    pub(crate) fn read(&self, scope: &Scope) -> Result<(Tree, Box<dyn BlobStore + '_>), Error> {
        match &self.source {
            Source::Wim { source, image } => {
                Ok((source.tree_with_gaps(*image)?, Box::new(source.blobs(*image))))
            }
            Source::Iso(source) => {
                let (tree, blobs) = source.tree(scope)?;
                Ok((tree, Box::new(blobs)))
            }
            Source::Disk(volume) => {
                let (tree, blobs) = volume.tree(scope)?;
                Ok((tree, Box::new(blobs)))
            }
        }
    }

    /// Says what of a volume or an ISO could not be read, and whether there was any.
    pub(crate) fn say_damage(&self, tree: &Tree) -> bool {
        if self.is_wim() {
            return false;
        }
        let word = if self.read_error().is_some() { "incomplete" } else { "damaged" };
        for note in &tree.notes {
            say(&format!("{word}: {note}"));
        }
        !tree.notes.is_empty()
    }
}
