//! Files of an image into a directory of the host.
//!
//! The image is not trusted. Every path is made of names that `host_name` made legal, no two names become one,
//! directories on the way are real directories and not links, files are created anew and never through a link, and
//! links of the image's own are made last, when nothing is written any more. Only targets inside the destination are
//! linked to, whatever other links lie on the way.

mod host_name;
mod links;

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use disk::hex;
use rayon::prelude::*;
use serde::Serialize;
use sha1::{Digest, Sha1};

use self::host_name::HostNames;
use self::links::{link_target, symlink};
use crate::error::with_causes;
use crate::pipeline::{BlobRead, BlobStore};
use crate::tree::{ATTRIBUTE_ENCRYPTED, Content, Node, NodeId};
use crate::tree_index::{NameId, TreeIndex};
use crate::{Error, Result};

/// What was extracted, and what the host could not hold.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Extracted {
    /// Files written, each hard link once.
    pub files: u64,
    /// Directories made.
    pub directories: u64,
    /// Further names of files, as hard links.
    pub hard_links: u64,
    /// Further names of files, as copies where the file system has no hard links, or no more of them.
    pub copied_links: u64,
    /// Symbolic links made.
    pub symbolic_links: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Named streams that were left out.
    pub named_streams: u64,
    /// 8.3 names that were left out.
    pub short_names: u64,
    /// Files whose security descriptor was left out.
    pub security_descriptors: u64,
    /// Files with attributes that the host does not have (all but directory, normal and archive).
    pub attributes: u64,
    /// Reparse points that did not become links.
    pub reparse_points: Vec<String>,
    /// Encrypted files, left out: only the keys that are not in the image could make sense of them.
    pub encrypted: Vec<String>,
    /// Object ids and extended attributes that were left out.
    pub object_ids_and_eas: u64,
    /// Names that had to be changed to be legal here: what was written, by the image's path.
    pub renamed: Vec<(String, String)>,
    /// Files, links and their further names that could not be extracted because the source does not have their content,
    /// or not as it was: path and reason, by path.
    pub failed: Vec<(String, String)>,
}

/// How to extract.
#[derive(Debug)]
pub struct ExtractOptions<'a> {
    /// The directory to extract to; made if missing.
    pub destination: &'a Path,
    /// Replace files and links that exist; directories stay, with what else is in them.
    pub force: bool,
    /// The threads to read and write on.
    pub pool: &'a rayon::ThreadPool,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
    /// Bytes written so far; poll it.
    pub written: &'a AtomicU64,
}

impl<'a> ExtractOptions<'a> {
    /// Extracts to `destination`, where nothing is replaced.
    pub fn new(
        destination: &'a Path,
        pool: &'a rayon::ThreadPool,
        cancel: &'a AtomicBool,
        written: &'a AtomicU64,
    ) -> Self {
        Self { destination, force: false, pool, cancel, written }
    }
}

/// Attributes that say nothing a host file would lack: directory, archive, normal.
const PLAIN_ATTRIBUTES: u32 = 0x10 | 0x20 | 0x80;
/// `FILE_ATTRIBUTE_REPARSE_POINT`: what becomes of these is counted apart.
const ATTRIBUTE_REPARSE_POINT: u32 = 0x400;
/// Bytes read and written at a time.
const PART: usize = 1 << 20;

struct Planned {
    node: NodeId,
    path: PathBuf,
    name: NameId,
}

#[derive(Default)]
struct Work {
    directories: Vec<Planned>,
    files: Vec<Planned>,
    links: Vec<(PathBuf, Planned)>,
    reparse: Vec<Planned>,
    report: Extracted,
}

/// Extracts `roots` (every directory with all it holds) below the destination, at their own paths.
///
/// # Errors
/// [`Error::Exists`] for what is there already, [`Error::Write`] for what the host refuses, [`Error::Cancelled`]. What
/// was written before stays; no file is left with half of its content, or with content that is not what the source's
/// hash says. A file whose content cannot be had is no error: it is among [`Extracted::failed`], and all others are
/// written.
pub fn extract(
    index: &TreeIndex<'_>,
    blobs: &dyn BlobStore,
    roots: &[(Option<NameId>, NodeId)],
    options: &ExtractOptions<'_>,
) -> Result<Extracted> {
    fs::create_dir_all(options.destination).map_err(|e| at(options.destination, e))?;
    let ignores_case = ignores_case(options.destination).map_err(|e| at(options.destination, e))?;
    let mut work = Collector::new(index, HostNames::new(index, ignores_case), options).collect(roots)?;
    for directory in &work.directories {
        go_on(options)?;
        make_directory(&directory.path)?;
    }
    work.report.directories = work.directories.len() as u64;

    // In the order of the blobs, so that the source is read front to back.
    let tree = index.tree();
    work.files.sort_by_key(|file| match tree.nodes[file.node.0 as usize].data {
        Some(Content::Blob { blob, .. }) => (1, blob),
        _ => (0, 0),
    });
    let late = work.reparse.iter().filter_map(|point| {
        match tree.nodes[point.node.0 as usize].reparse.as_ref()?.data {
            Content::Blob { blob, .. } => Some(blob),
            _ => None,
        }
    });
    blobs.keep(&late.collect::<Vec<_>>());
    let failed = Mutex::new(Vec::new());
    options.pool.install(|| {
        // Not in halves: all threads stay near one place of the source, in the same chunk if it is a solid one.
        work.files.iter().par_bridge().try_for_each_init(
            || (blobs.reader(), Vec::new()),
            |(reader, buffer), file| {
                go_on(options)?;
                let node = &tree.nodes[file.node.0 as usize];
                match write_file(node, &file.path, blobs, reader.as_mut(), buffer, options) {
                    Err(error) if is_of_content(&error) => {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push((file, one_line(&error)));
                        Ok(())
                    }
                    result => result,
                }
            },
        )
    })?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    work.report.files = (work.files.len() - failed.len()) as u64;
    let mut not_there = BTreeMap::new();
    for (file, problem) in failed {
        work.report.failed.push((index.path(file.name), problem.clone()));
        not_there.insert(file.path.as_path(), problem);
    }
    for (original, link) in &work.links {
        go_on(options)?;
        if let Some(problem) = not_there.get(original.as_path()) {
            work.report.failed.push((index.path(link.name), problem.clone()));
            continue;
        }
        remove_if(options.force, &link.path)?;
        if hard_link(original, &link.path, &tree.nodes[link.node.0 as usize])? {
            work.report.hard_links += 1;
        } else {
            work.report.copied_links += 1;
        }
    }

    let mut reader = blobs.reader();
    for point in &work.reparse {
        go_on(options)?;
        let node = &tree.nodes[point.node.0 as usize];
        // Counted on the host: how often `..` leads up from here before it leaves the destination.
        let inside = point.path.strip_prefix(options.destination).expect("all paths begin so");
        let depth = inside.components().count() - 1;
        let target = match link_target(node, depth, blobs, reader.as_mut()) {
            Err(error) if is_of_content(&error) => {
                work.report.failed.push((index.path(point.name), one_line(&error)));
                continue;
            }
            target => target?,
        };
        match target {
            Some(target) => {
                remove_if(options.force, &point.path)?;
                symlink(&target, &point.path).map_err(|e| creating(&point.path, e))?;
                work.report.symbolic_links += 1;
            }
            None => work.report.reparse_points.push(index.path(point.name)),
        }
    }
    // Last, since writing into a directory changes its time; the deepest first.
    for directory in work.directories.iter().rev() {
        let opened = open_directory(&directory.path).map_err(|e| at(&directory.path, e))?;
        set_times(&opened, &tree.nodes[directory.node.0 as usize]).map_err(|e| at(&directory.path, e))?;
    }
    work.report.bytes = options.written.load(Ordering::Relaxed);
    work.report.failed.sort();
    Ok(work.report)
}

/// Whether an error is about one content of the source, so that others may be fine.
fn is_of_content(error: &Error) -> bool {
    use Error::{Blob, Disk, DiskFat, HashMismatch, Iso, MissingBlob};
    matches!(
        error,
        Blob { .. } | HashMismatch { .. } | MissingBlob { .. } | Disk { .. } | DiskFat { .. } | Iso { .. }
    )
}

/// Why a content cannot be had. The names that it has are said elsewhere.
fn one_line(error: &Error) -> String {
    match error {
        Error::Blob { source, .. } => with_causes(source),
        Error::Disk { source, .. } => with_causes(source),
        Error::DiskFat { source, .. } => with_causes(source),
        Error::Iso { source, .. } => with_causes(source),
        Error::HashMismatch { expected, found, .. } => {
            format!("content does not match its SHA-1 (expected {expected}, found {found})")
        }
        Error::MissingBlob { sha1, .. } => format!("its content (SHA-1 {sha1}) is not in the WIM"),
        other => other.to_string(),
    }
}

fn missing(sha1: &[u8; 20]) -> Error {
    Error::MissingBlob { path: PathBuf::new(), name: String::new(), sha1: hex(sha1) }
}

fn go_on(options: &ExtractOptions<'_>) -> Result<()> {
    if options.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}

fn at(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// The error of something that must not have been there.
fn creating(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => at(path, source),
    }
}

/// Whether names that differ only in case are one name in `directory`. No system call says so; a file does.
fn ignores_case(directory: &Path) -> io::Result<bool> {
    let probe = directory.join(".wimforge-probe");
    let created = match OpenOptions::new().write(true).create_new(true).open(&probe) {
        Ok(_) => true,
        // Somebody else's; it serves, too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let same = match fs::symlink_metadata(directory.join(".WIMFORGE-PROBE")) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    if created {
        fs::remove_file(probe)?;
    }
    same
}

/// Walks what was asked for and decides what becomes of every name.
struct Collector<'a> {
    index: &'a TreeIndex<'a>,
    names: HostNames<'a>,
    options: &'a ExtractOptions<'a>,
    /// Where the content of a node goes first; its other names become links to that.
    first_path: Vec<Option<PathBuf>>,
    /// Names whose directories are to be made.
    made: Vec<bool>,
    /// Names that are dealt with.
    seen: Vec<bool>,
    work: Work,
}

impl<'a> Collector<'a> {
    fn new(index: &'a TreeIndex<'a>, names: HostNames<'a>, options: &'a ExtractOptions<'a>) -> Self {
        let tree = index.tree();
        Self {
            index,
            names,
            options,
            first_path: vec![None; tree.nodes.len()],
            made: vec![false; tree.names.len()],
            seen: vec![false; tree.names.len()],
            work: Work::default(),
        }
    }

    fn collect(mut self, roots: &[(Option<NameId>, NodeId)]) -> Result<Work> {
        let index = self.index;
        let tree = index.tree();
        // Names and the host directories they go to; directories are made before what they hold.
        let mut stack: Vec<(NameId, Rc<Path>)> = Vec::new();
        for &(name, node) in roots.iter().rev() {
            let mut directory = self.options.destination.to_owned();
            match name {
                None => {
                    let directory: Rc<Path> = directory.into();
                    stack.extend(index.children(node).iter().rev().map(|&child| (child, directory.clone())));
                }
                Some(name) => {
                    for parent in ancestors(index, name) {
                        directory = self.names.path(parent, &directory);
                        self.directory(parent, &directory);
                    }
                    stack.push((name, directory.into()));
                }
            }
        }
        while let Some((name, directory)) = stack.pop() {
            go_on(self.options)?;
            if std::mem::replace(&mut self.seen[name.0 as usize], true) {
                continue;
            }
            let id = tree.names[name.0 as usize].node;
            let node = &tree.nodes[id.0 as usize];
            let path = self.names.path(name, &directory);
            if node.is_directory() && node.reparse.is_none() {
                self.directory(name, &path);
                let path: Rc<Path> = path.into();
                stack.extend(index.children(id).iter().rev().map(|&child| (child, path.clone())));
                continue;
            }
            self.work.report.short_names += u64::from(tree.names[name.0 as usize].short.is_some());
            let planned = Planned { node: id, path, name };
            if let Some(original) = &self.first_path[id.0 as usize] {
                self.work.links.push((original.clone(), planned));
            } else if node.attributes & ATTRIBUTE_ENCRYPTED != 0 && !node.is_directory() {
                self.work.report.encrypted.push(index.path(name));
            } else {
                self.count(node);
                if node.reparse.is_some() {
                    self.work.reparse.push(planned);
                } else {
                    self.first_path[id.0 as usize] = Some(planned.path.clone());
                    self.work.files.push(planned);
                }
            }
        }
        self.work.report.renamed = self.names.into_renamed(&self.seen, &self.made);
        Ok(self.work)
    }

    /// A directory is to be made, itself or for what is in it.
    fn directory(&mut self, name: NameId, path: &Path) {
        if std::mem::replace(&mut self.made[name.0 as usize], true) {
            return;
        }
        let tree = self.index.tree();
        let node = tree.names[name.0 as usize].node;
        self.work.report.short_names += u64::from(tree.names[name.0 as usize].short.is_some());
        self.count(&tree.nodes[node.0 as usize]);
        self.work.directories.push(Planned { node, path: path.to_owned(), name });
    }

    /// Counts what a host file cannot have.
    fn count(&mut self, node: &Node) {
        let report = &mut self.work.report;
        report.named_streams += node.named.len() as u64;
        report.security_descriptors += u64::from(node.security.is_some());
        report.attributes += u64::from(node.attributes & !PLAIN_ATTRIBUTES & !ATTRIBUTE_REPARSE_POINT != 0);
        report.object_ids_and_eas += u64::from(node.object_id.is_some()) + node.extended.len() as u64;
    }
}

/// The names of the directories above a name, the topmost first.
fn ancestors(index: &TreeIndex<'_>, name: NameId) -> Vec<NameId> {
    let names = &index.tree().names;
    let mut found = Vec::new();
    let mut parent = names[name.0 as usize].parent;
    while let Some(&up) = index.names_of(parent).first() {
        found.push(up);
        parent = names[up.0 as usize].parent;
    }
    found.reverse();
    found
}

/// Makes a directory where there is none; what is there must be a directory and not a link to one.
fn make_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(|e| at(path, e))?;
            if metadata.is_dir() {
                return Ok(());
            }
            let found = if metadata.is_symlink() { "a link" } else { "a file" };
            let reason =
                format!("{found} is where a directory has to be; remove it, or extract to another place");
            Err(at(path, io::Error::new(io::ErrorKind::NotADirectory, reason)))
        }
        result => result.map_err(|e| at(path, e)),
    }
}

/// Opens a directory so that its times can be set.
#[cfg(not(windows))]
fn open_directory(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(windows)]
fn open_directory(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    /// The right to change times and attributes.
    const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
    /// Without it a directory cannot be opened.
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    OpenOptions::new().access_mode(FILE_WRITE_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}

/// Gives a file one more name; `false` when that had to be a copy.
fn hard_link(original: &Path, link: &Path, node: &Node) -> Result<bool> {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    match fs::hard_link(original, link) {
        Ok(()) => Ok(true),
        // What Linux says of FAT, what others say, and what any says of the last link that fits.
        Err(error)
            if matches!(error.kind(), PermissionDenied | Unsupported | TooManyLinks | CrossesDevices) =>
        {
            let mut from = File::open(original).map_err(|e| at(original, e))?;
            let mut to = create(link)?;
            let copied = io::copy(&mut from, &mut to).and_then(|_| set_times(&to, node));
            if copied.is_err() {
                let _ = fs::remove_file(link);
            }
            copied.map_err(|e| at(link, e)).map(|()| false)
        }
        Err(error) => Err(creating(link, error)),
    }
}

/// Creates a file. Also refuses to follow a link that somebody put there.
fn create(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| creating(path, e))
}

fn remove_if(force: bool, path: &Path) -> Result<()> {
    if force {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path, error)),
            _ => {}
        }
    }
    Ok(())
}

fn write_file(
    node: &Node,
    path: &Path,
    blobs: &dyn BlobStore,
    reader: &mut dyn BlobRead,
    buffer: &mut Vec<u8>,
    options: &ExtractOptions<'_>,
) -> Result<()> {
    remove_if(options.force, path)?;
    let mut file = create(path)?;
    let result = write_content(node.data.as_ref(), &mut file, path, blobs, reader, buffer, options)
        .and_then(|()| set_times(&file, node).map_err(|e| at(path, e)));
    if result.is_err() {
        // Half a file, or one with the wrong content, must not stay.
        let _ = fs::remove_file(path);
    }
    result
}

fn write_content(
    content: Option<&Content>,
    file: &mut File,
    path: &Path,
    blobs: &dyn BlobStore,
    reader: &mut dyn BlobRead,
    buffer: &mut Vec<u8>,
    options: &ExtractOptions<'_>,
) -> Result<()> {
    if let Some(&Content::Hole { len }) = content {
        return file.set_len(len).map_err(|e| at(path, e));
    }
    let mut write = |bytes: &[u8]| {
        go_on(options)?;
        file.write_all(bytes).map_err(|e| at(path, e))?;
        options.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    };
    match content {
        None | Some(Content::Empty | Content::Hole { .. }) => Ok(()),
        Some(Content::Missing { sha1 }) => Err(missing(sha1)),
        Some(Content::Bytes(bytes)) => write(bytes),
        Some(&Content::Blob { blob, .. }) => copy_blob(blobs, reader, blob, buffer, &mut write),
    }
}

/// Hands a blob to `write` part by part, and fails after the last when its SHA-1 is not what it must be. (A disk states none.)
pub fn copy_blob(
    blobs: &dyn BlobStore,
    reader: &mut dyn BlobRead,
    blob: u32,
    buffer: &mut Vec<u8>,
    write: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let len = blobs.blob_len(blob);
    let mut hash = Sha1::new();
    let mut offset = 0;
    while offset < len {
        let part = (len - offset).min(PART as u64) as usize;
        buffer.resize(part, 0);
        reader.read_at(blob, offset, buffer)?;
        if blobs.states_sha1() {
            hash.update(&buffer);
        }
        write(buffer)?;
        offset += part as u64;
    }
    if !blobs.states_sha1() {
        return Ok(());
    }
    let found: [u8; 20] = hash.finalize().into();
    if found != blobs.sha1(blob) {
        return Err(blobs.mismatch(blob, found));
    }
    Ok(())
}

fn set_times(file: &File, node: &Node) -> io::Result<()> {
    let system = |time: disk::FileTime| {
        let (seconds, nanoseconds) = time.to_unix();
        let epoch = SystemTime::UNIX_EPOCH;
        let whole = if seconds < 0 {
            epoch.checked_sub(Duration::from_secs(seconds.unsigned_abs()))
        } else {
            epoch.checked_add(Duration::from_secs(seconds.unsigned_abs()))
        };
        whole?.checked_add(Duration::from_nanos(nanoseconds.into()))
    };
    let mut times = FileTimes::new();
    if let Some(time) = system(node.times.written) {
        times = times.set_modified(time);
    }
    if let Some(time) = system(node.times.accessed) {
        times = times.set_accessed(time);
    }
    match file.set_times(times) {
        // A time that the host's file system cannot express is not worth losing the file for.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_that_cannot_be_had_fail_their_file_alone() {
        let at = disk::At::new("FAT", 0x4000);
        let fat = ::fat::Error::Malformed { at, reason: "a chain ends before its file (/a.txt)".to_owned() };
        let error = Error::DiskFat { path: PathBuf::from("disk.img"), partition: 1, source: fat };
        assert!(is_of_content(&error));
        assert_eq!(one_line(&error), "malformed FAT at 0x4000: a chain ends before its file (/a.txt)");
        let full = at_path(io::ErrorKind::StorageFull);
        assert!(!is_of_content(&full), "what the host refuses ends it");
    }

    fn at_path(kind: io::ErrorKind) -> Error {
        at(Path::new("out/a.txt"), kind.into())
    }
}
