//! Opening the source of a build, and turning one of its images into a tree. The one place that knows both a WIM and
//! the tree.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use codec::Note;
use disk::hex;
use wim::{BlobId, Header, Wim};

use crate::disk_file::FileKind;
use crate::iso_source::{IsoSource, WimChoice};
use crate::pipeline::{BlobRead, BlobStore};
use crate::recipe::ImageChoice;
use crate::tree::{
    Content, DescriptorId, ExtendedAttribute, Name, NamedStream, Node, NodeId, ObjectId, Reparse, Times, Tree,
};
use crate::watched::{Trouble, Watched};
use crate::{Error, Result, did_you_mean, split_set};

/// Opens a file, or a device, that can be read at any offset. Of others, opening a pipe would wait for its other end.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let kind = fs::metadata(path).map_err(read)?.file_type();
    #[cfg(unix)]
    let streams = {
        use std::os::unix::fs::FileTypeExt;
        kind.is_fifo() || kind.is_socket()
    };
    #[cfg(not(unix))]
    let streams = false;
    let what = match (kind.is_dir(), streams) {
        (true, _) => "is a directory",
        (_, true) => "is not a regular file, and its parts are needed in any order; save it to one first",
        (false, false) => return File::open(path).map_err(read),
    };
    Err(Error::Unsupported { path: path.to_owned(), what: what.to_owned() })
}

/// A WIM, or a split set of them, and the name it was opened by.
#[derive(Debug)]
pub struct WimSource {
    path: PathBuf,
    /// The files of the host that it is in: those of a split set by part number, otherwise one.
    parts: Vec<PathBuf>,
    /// What its parts are called, by number.
    names: Vec<PathBuf>,
    wim: Wim,
    trouble: Trouble,
}

impl WimSource {
    /// Opens a WIM file, or the `sources\install.wim` of an ISO. A part of a split set stands for all of them: the others
    /// are looked for beside it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_choice(path, None)
    }

    /// The same, with a choice of the WIM inside an ISO; for another file that is an error.
    pub fn open_choice(path: &Path, choice: Option<&WimChoice>) -> Result<Self> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(read)?.is_dir() {
            return Err(Error::Unsupported {
                path: path.to_owned(),
                what:
                    "is a directory; building from a directory is not supported, capture it into a WIM first"
                        .to_owned(),
            });
        }
        let (kind, file) = FileKind::of(path)?;
        if kind == FileKind::Iso {
            return IsoSource::of_file(path, file)?.wim(&choice.cloned().unwrap_or_default());
        }
        if choice.is_some() {
            let what =
                format!("{} is no ISO image; --wim and --nano choose a WIM inside one", path.display());
            return Err(Error::Recipe(what));
        }
        if kind != FileKind::Wim {
            let what = match kind {
                FileKind::Raw => "is neither a WIM nor an ISO image",
                _ => "is a disk image; this takes a WIM, or an ISO image that holds one",
            };
            return Err(Error::Unsupported { path: path.to_owned(), what: what.to_owned() });
        }
        let file: wim::Source = file;
        let header = Header::read(&*file).map_err(|source| Error::Wim { path: path.to_owned(), source })?;
        if header.parts == 1 {
            return Self::open_reader(path, file);
        }
        let parts = split_set::find(path, file, &header)?;
        let files = parts.iter().map(|(name, _)| name.clone()).collect();
        Self::of_parts(path.to_owned(), files, parts)
    }

    /// The WIM of these parts, all of them by number, in `files` of the host.
    pub(crate) fn of_parts(
        path: PathBuf,
        files: Vec<PathBuf>,
        parts: Vec<(PathBuf, wim::Source)>,
    ) -> Result<Self> {
        let trouble = Trouble::default();
        let watched = |(name, source)| (name, Arc::new(Watched::new(source, &trouble)) as wim::Source);
        let (names, mut sources): (Vec<PathBuf>, Vec<wim::Source>) = parts.into_iter().map(watched).unzip();
        let opened = if sources.len() == 1 { Wim::open(sources.remove(0)) } else { Wim::open_set(sources) };
        let wim = opened.map_err(|error| match error {
            // They are in order, so this is the part's number, too.
            wim::Error::Part { part, source } => Error::Wim { path: names[part].clone(), source: *source },
            source => Error::Wim { path: path.clone(), source },
        })?;
        Ok(Self { path, parts: files, names, wim, trouble })
    }

    /// Opens a WIM from anything readable; `path` is what errors call it.
    pub fn open_reader(path: &Path, source: Arc<dyn disk::ReadAt>) -> Result<Self> {
        Self::of_parts(path.to_owned(), vec![path.to_owned()], vec![(path.to_owned(), source)])
    }

    /// The files that were opened: those of a split set by part number, otherwise one. Of a WIM inside an ISO it is the
    /// ISO.
    pub fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    /// The file that holds a blob.
    fn file_of(&self, blob: BlobId) -> PathBuf {
        self.names[usize::from(self.wim.blob(blob).part) - 1].clone()
    }

    /// The name it was opened by; of a WIM inside an ISO, `server.iso:sources/install.wim`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first error of the host's when it was read: what was said of it since may follow from that, and not from what is
    /// stored. An error that was made good, by a copy of a structure, is among them.
    pub fn read_error(&self) -> Option<Error> {
        self.trouble.error(&self.path)
    }

    /// The WIM.
    pub fn wim(&self) -> &Wim {
        &self.wim
    }

    fn wrap(&self, source: wim::Error) -> Error {
        // All metadata is in the first part.
        Error::Wim { path: self.names[0].clone(), source }
    }

    /// The index of the chosen image, or of the only one.
    pub fn choose(&self, choice: Option<&ImageChoice>) -> Result<u32> {
        let count = self.wim.image_count();
        let refuse =
            |problem: String| Err(Error::ImageChoice { path: self.path.clone(), problem, list: self.list() });
        match choice {
            _ if count == 0 => {
                Err(Error::NotFound { path: self.path.clone(), what: "holds no image".to_owned() })
            }
            None if count == 1 => Ok(1),
            None => refuse(format!("holds {count} images")),
            Some(ImageChoice::Index(index)) if (1..=count).contains(index) => Ok(*index),
            Some(ImageChoice::Index(index)) => refuse(format!("has no image {index}")),
            Some(ImageChoice::Name(name)) => {
                let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<u32> {
                    (1..=count).filter(|&index| self.image_name(index).is_some_and(wanted)).collect()
                };
                let exact = named(&|found| found == name);
                let found =
                    if exact.is_empty() { named(&|found| found.eq_ignore_ascii_case(name)) } else { exact };
                match found[..] {
                    [index] => Ok(index),
                    [] => {
                        let names = (1..=count).filter_map(|index| self.image_name(index));
                        refuse(format!("has no image named {name:?}{}", did_you_mean(name, names)))
                    }
                    _ => refuse(format!("has {} images named {name:?}", found.len())),
                }
            }
        }
    }

    fn image_name(&self, index: u32) -> Option<&str> {
        self.wim.xml().image(index)?.name.as_deref()
    }

    fn list(&self) -> String {
        (1..=self.wim.image_count())
            .map(|index| {
                // A line feed in a name is not the end of a line of the list.
                let name = self.image_name(index).unwrap_or("(no name)").replace(char::is_control, " ");
                format!("\n  {index}  {name}")
            })
            .collect()
    }

    /// The image as a tree, and what was noticed on the way.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] for the first file whose content the WIM does not hold; [`Error::Wim`].
    pub fn tree(&self, index: u32) -> Result<Tree> {
        self.tree_as(index, false)
    }

    /// The same, with [`Content::Missing`] for what the WIM does not hold: to see, and to save, what there is.
    ///
    /// # Errors
    /// [`Error::Wim`].
    pub fn tree_with_gaps(&self, index: u32) -> Result<Tree> {
        self.tree_as(index, true)
    }

    fn tree_as(&self, index: u32, gaps: bool) -> Result<Tree> {
        let image = self.image(index)?;
        if !gaps
            && !image.is_complete()
            && let Some(gap) = self.first_gap(&image)
        {
            return Err(gap);
        }
        // The image is taken apart as the tree is made of it: with a million files, a second copy of their names and
        // the memory for it would take more time than the rest.
        let wim::ImageParts { dentries, inodes, security, warnings, .. } = image.into_parts();
        let inode_of: Vec<u32> = dentries.iter().map(|dentry| dentry.inode.0).collect();
        let name = |dentry: wim::Dentry| Name {
            parent: NodeId(inode_of[dentry.parent.0 as usize]),
            node: NodeId(dentry.inode.0),
            long: dentry.name,
            short: (!dentry.short_name.is_empty()).then_some(dentry.short_name),
        };
        // The first is the root, which has no name.
        let names = dentries.into_iter().skip(1).map(name).collect();
        let nodes = inodes.into_iter().map(node).collect();
        let warned = self.wim.warnings().iter().chain(&warnings);
        let notes = warned.map(ToString::to_string).collect();
        Ok(Tree { nodes, names, descriptors: security, notes })
    }

    /// The first file whose content is not there. The raw data of encrypted files is nothing that a tree holds.
    fn first_gap(&self, image: &wim::Image) -> Option<Error> {
        let missing = |inode: &wim::Inode| {
            let mut streams = inode.streams().filter(|&stream| Some(stream) != inode.efs.as_deref());
            let sha1 = streams.find_map(|stream| match stream {
                wim::StreamRef::Missing(sha1) => Some(hex(sha1)),
                wim::StreamRef::Empty | wim::StreamRef::Blob { .. } => None,
            })?;
            let name = inode.links.first().map_or_else(String::new, |&link| image.path(link));
            Some(Error::MissingBlob { path: self.path.clone(), name, sha1 })
        };
        image.inodes().iter().find_map(missing)
    }

    /// One image's metadata.
    pub fn image(&self, index: u32) -> Result<wim::Image> {
        self.wim.image(index).map_err(|source| self.wrap(source))
    }

    /// The blobs, for reading image `index`: errors name the files of that image.
    pub fn blobs(&self, index: u32) -> WimBlobs<'_> {
        WimBlobs { source: self, index, names: OnceLock::new() }
    }

    /// What identifies the source for the seed: everything that its metadata and hashes say, none of which needs the
    /// data to be read.
    pub(crate) fn identity(&self, index: u32) -> Vec<u8> {
        let mut identity = self.wim.header().guid.0.to_vec();
        identity.extend_from_slice(&index.to_le_bytes());
        for blob in self.wim.blobs() {
            identity.extend_from_slice(&blob.sha1);
        }
        for image in 1..=self.wim.image_count() {
            identity.extend_from_slice(&self.wim.metadata_sha1(image));
        }
        identity
    }

    /// The first path of the image under which each blob is reached.
    fn names_of_blobs(&self, index: u32) -> HashMap<BlobId, String> {
        let mut names = HashMap::new();
        let Ok(image) = self.wim.image(index) else { return names };
        for inode in image.inodes() {
            let path = || inode.links.first().map_or_else(|| "\\".to_owned(), |&link| image.path(link));
            let mut add = |stream: &wim::StreamRef, name: &dyn Fn() -> String| {
                if let wim::StreamRef::Blob { id: blob, .. } = stream {
                    names.entry(*blob).or_insert_with(name);
                }
            };
            inode.data.iter().for_each(|data| add(data, &path));
            inode.efs.iter().for_each(|efs| add(efs, &path));
            inode
                .reparse
                .iter()
                .for_each(|reparse| add(&reparse.stream, &|| format!("{} (reparse point)", path())));
            for named in &inode.named {
                add(&named.stream, &|| format!("{}:{}", path(), String::from_utf16_lossy(&named.name)));
            }
        }
        names
    }
}

fn node(inode: wim::Inode) -> Node {
    let directory = inode.is_directory();
    Node {
        attributes: inode.attributes,
        times: Times { created: inode.created, written: inode.written, accessed: inode.accessed },
        security: inode.security.map(DescriptorId),
        data: (!directory).then(|| inode.data.map_or(Content::Empty, content)),
        named: inode
            .named
            .into_iter()
            .map(|stream| NamedStream { name: stream.name, content: content(stream.stream) })
            .collect(),
        reparse: inode.reparse.map(|reparse| {
            let data = content(reparse.stream);
            Box::new(Reparse { tag: reparse.tag, reserved: reparse.reserved, data })
        }),
        object_id: inode.object_id.map(|object| Box::new(ObjectId { id: object.id, birth: object.birth })),
        extended: inode
            .eas
            .iter()
            .map(|ea| ExtendedAttribute { need: ea.need, name: ea.name.into(), value: ea.value.into() })
            .collect(),
    }
}

fn content(stream: wim::StreamRef) -> Content {
    match stream {
        wim::StreamRef::Empty => Content::Empty,
        wim::StreamRef::Blob { id, size } => Content::Blob { blob: id.0, len: size },
        wim::StreamRef::Missing(sha1) => Content::Missing { sha1 },
    }
}

/// The blobs of a WIM, for a pass over one of its images.
#[derive(Debug)]
pub struct WimBlobs<'a> {
    source: &'a WimSource,
    /// The image that is read, for the names in errors.
    index: u32,
    /// The first path of every blob. Made when something is damaged: then often much is.
    names: OnceLock<HashMap<BlobId, String>>,
}

impl WimBlobs<'_> {
    /// Something that has the content of a blob, for errors.
    fn name(&self, blob: u32) -> String {
        let names = self.names.get_or_init(|| self.source.names_of_blobs(self.index));
        names.get(&BlobId(blob)).cloned().unwrap_or_else(|| format!("blob {blob}"))
    }

    fn error(&self, blob: u32, source: wim::Error) -> Error {
        Error::Blob { path: self.source.file_of(BlobId(blob)), name: self.name(blob), source }
    }
}

impl BlobStore for WimBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.source.wim.blobs().len()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.source.wim.blob(BlobId(blob)).size
    }

    fn chunk_size(&self, blob: u32) -> Option<u64> {
        self.source.wim.chunk_size_of(BlobId(blob))
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(WimBlobReader { blobs: self, reader: self.source.wim.reader() })
    }

    fn keep(&self, blobs: &[u32]) {
        let blobs: Vec<BlobId> = blobs.iter().copied().map(BlobId).collect();
        self.source.wim.keep(&blobs);
    }

    fn sha1(&self, blob: u32) -> [u8; 20] {
        self.source.wim.blob(BlobId(blob)).sha1
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        self.error(blob, source)
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        Error::HashMismatch {
            path: self.source.file_of(BlobId(blob)),
            name: self.name(blob),
            expected: hex(&self.sha1(blob)),
            found: hex(&found),
        }
    }
}

struct WimBlobReader<'a> {
    blobs: &'a WimBlobs<'a>,
    reader: wim::BlobReader<'a>,
}

impl BlobRead for WimBlobReader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], note: Option<Note<'_>>) -> Result<()> {
        let read = match note {
            None => self.reader.read_at(BlobId(blob), offset, buf),
            Some(note) => self.reader.read_noting(BlobId(blob), offset, buf, note),
        };
        read.map_err(|source| self.blobs.error(blob, source))
    }
}
