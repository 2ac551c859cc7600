//! Files of an image into a directory of the host.
//!
//! The image is not trusted. Every path is made of names that were checked one by one, directories on the way are real
//! directories and not links, files are created anew and never through a link, and links of the image's own are made
//! last, when nothing is written any more. Only targets inside the destination are linked to.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use serde::Serialize;
use sha1::{Digest, Sha1};

use crate::pipeline::{BlobRead, BlobStore};
use crate::tree::{ATTRIBUTE_ENCRYPTED, Content, Node, NodeId, Reparse};
use crate::tree_index::{NameId, TreeIndex};
use crate::{Error, Result};

/// What was extracted, and what the host could not hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Extracted {
    /// Files written, each hard link once.
    pub files: u64,
    /// Directories made.
    pub directories: u64,
    /// Further names of files, as hard links.
    pub hard_links: u64,
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
}

/// How to extract.
#[derive(Debug)]
pub struct ExtractOptions<'a> {
    /// The directory to extract to; made if missing.
    pub destination: &'a Path,
    /// Replace files that exist.
    pub force: bool,
    /// The threads to read and write on.
    pub pool: &'a rayon::ThreadPool,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
    /// Bytes written so far; poll it.
    pub written: &'a AtomicU64,
}

/// Attributes that say nothing a host file would lack: directory, archive, normal.
const PLAIN_ATTRIBUTES: u32 = 0x10 | 0x20 | 0x80;
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
    links: Vec<(PathBuf, PathBuf)>,
    reparse: Vec<Planned>,
    report: Extracted,
}

/// Extracts `roots` (every directory with all it holds) below the destination, at their own paths.
pub fn extract(
    index: &TreeIndex<'_>,
    blobs: &dyn BlobStore,
    roots: &[(Option<NameId>, NodeId)],
    options: &ExtractOptions<'_>,
) -> Result<Extracted> {
    let mut work = collect(index, roots, options.destination);
    fs::create_dir_all(options.destination).map_err(|e| at(options.destination, e))?;
    for directory in &work.directories {
        make_directory(&directory.path)?;
    }
    work.report.directories = work.directories.len() as u64;
    work.report.files = work.files.len() as u64;

    // In the order of the blobs, so that the source is read front to back.
    let tree = index.tree();
    work.files.sort_by_key(|file| match tree.nodes[file.node.0 as usize].data {
        Some(Content::Blob { blob, .. }) => (1, blob),
        _ => (0, 0),
    });
    let late = work.reparse.iter().filter_map(|point| match tree.nodes[point.node.0 as usize].reparse {
        Some(Reparse { data: Content::Blob { blob, .. }, .. }) => Some(blob),
        _ => None,
    });
    blobs.keep(&late.collect::<Vec<_>>());
    options.pool.install(|| {
        // Not in halves: all threads stay near one place of the source, in the same chunk if it is a solid one.
        work.files.iter().par_bridge().try_for_each_init(
            || (blobs.reader(), Vec::new()),
            |(reader, buffer), file| {
                if options.cancel.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
                write_file(
                    &tree.nodes[file.node.0 as usize],
                    &file.path,
                    blobs,
                    reader.as_mut(),
                    buffer,
                    options,
                )
            },
        )
    })?;
    for (original, link) in &work.links {
        remove_if(options.force, link)?;
        fs::hard_link(original, link).map_err(|e| at(link, e))?;
    }
    work.report.hard_links = work.links.len() as u64;

    let mut reader = blobs.reader();
    for point in &work.reparse {
        let node = &tree.nodes[point.node.0 as usize];
        let depth = index.path(point.name).matches('/').count() - 1;
        match link_target(node, depth, reader.as_mut())? {
            Some(target) => {
                remove_if(options.force, &point.path)?;
                symlink(&target, &point.path).map_err(|e| at(&point.path, e))?;
                work.report.symbolic_links += 1;
            }
            None => work.report.reparse_points.push(index.path(point.name)),
        }
    }
    // Last, since writing into a directory changes its time; the deepest first.
    for directory in work.directories.iter().rev() {
        let opened = File::open(&directory.path).map_err(|e| at(&directory.path, e))?;
        set_times(&opened, &tree.nodes[directory.node.0 as usize]).map_err(|e| at(&directory.path, e))?;
    }
    work.report.bytes = options.written.load(Ordering::Relaxed);
    Ok(work.report)
}

fn at(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// Walks what was asked for and decides what becomes of every name.
fn collect(index: &TreeIndex<'_>, roots: &[(Option<NameId>, NodeId)], destination: &Path) -> Work {
    let tree = index.tree();
    let mut work = Work::default();
    let mut first_path: Vec<Option<PathBuf>> = vec![None; tree.nodes.len()];
    let mut walked = vec![false; tree.nodes.len()];
    // Names and the host directories they go to; directories are made before what they hold.
    let mut stack: Vec<(NameId, PathBuf)> = Vec::new();
    for &(name, node) in roots.iter().rev() {
        match name {
            None => {
                stack.extend(index.children(node).iter().rev().map(|&child| (child, destination.to_owned())))
            }
            Some(name) => {
                let parents = ancestors(index, name);
                let mut directory = destination.to_owned();
                for parent in parents {
                    let node = tree.names[parent.0 as usize].node;
                    directory.push(host_name(index, parent, &mut work.report));
                    if first_path[node.0 as usize].is_none() {
                        first_path[node.0 as usize] = Some(directory.clone());
                        work.directories.push(Planned { node, path: directory.clone(), name: parent });
                    }
                }
                stack.push((name, directory));
            }
        }
    }
    while let Some((name, directory)) = stack.pop() {
        let id = tree.names[name.0 as usize].node;
        let node = &tree.nodes[id.0 as usize];
        let path = directory.join(host_name(index, name, &mut work.report));
        work.report.short_names += u64::from(tree.names[name.0 as usize].short.is_some());
        let first = &mut first_path[id.0 as usize];
        let holds_names = node.is_directory() && node.reparse.is_none();
        if holds_names && !std::mem::replace(&mut walked[id.0 as usize], true) {
            stack.extend(index.children(id).iter().rev().map(|&child| (child, path.clone())));
        }
        if let Some(original) = first {
            // Reached before, by another root or by another name.
            if !holds_names && *original != path {
                work.links.push((original.clone(), path));
            }
            continue;
        }
        *first = Some(path.clone());
        work.report.named_streams += node.named.len() as u64;
        work.report.security_descriptors += u64::from(node.security.is_some());
        work.report.attributes += u64::from(node.attributes & !PLAIN_ATTRIBUTES & !0x400 != 0);
        work.report.object_ids_and_eas += u64::from(node.object_id.is_some()) + node.extended.len() as u64;
        let planned = Planned { node: id, path: path.clone(), name };
        if node.attributes & ATTRIBUTE_ENCRYPTED != 0 && !node.is_directory() {
            work.report.encrypted.push(index.path(name));
        } else if node.reparse.is_some() {
            work.reparse.push(planned);
        } else if node.is_directory() {
            work.directories.push(planned);
        } else {
            work.files.push(planned);
        }
    }
    work
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

/// A name that is one legal path component here.
fn host_name(index: &TreeIndex<'_>, name: NameId, report: &mut Extracted) -> String {
    let units = &index.tree().names[name.0 as usize].long;
    let text = String::from_utf16_lossy(units);
    let legal = |c: char| !(c == '\0' || c == '/' || std::path::is_separator(c));
    let mut changed: String = text.chars().map(|c| if legal(c) { c } else { '_' }).collect();
    if matches!(changed.as_str(), "" | "." | "..") {
        changed = format!("_{changed}");
    }
    if char::decode_utf16(units.iter().copied()).any(|unit| unit.is_err()) || changed != text {
        report.renamed.push((index.path(name), changed.clone()));
    }
    changed
}

/// Makes a directory where there is none; what is there must be a directory and not a link to one.
fn make_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(|e| at(path, e))?;
            if metadata.is_dir() { Ok(()) } else { Err(at(path, error)) }
        }
        Err(error) => Err(at(path, error)),
    }
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
    // `create_new` also refuses to follow a link that somebody put there.
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
            _ => at(path, e),
        })?;
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
    let mut write = |bytes: &[u8]| {
        if options.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        file.write_all(bytes).map_err(|e| at(path, e))?;
        options.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    };
    match content {
        None | Some(Content::Empty) => Ok(()),
        Some(Content::Bytes(bytes)) => write(bytes),
        Some(&Content::Blob { blob, .. }) => copy_blob(blobs, reader, blob, buffer, &mut write),
    }
}

/// Hands a blob to `write` part by part, and fails after the last when its SHA-1 is not what it must be.
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
        hash.update(&buffer);
        write(buffer)?;
        offset += part as u64;
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
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) =>
        {
            Ok(())
        }
        other => other,
    }
}

const TAG_SYMLINK: u32 = 0xA000_000C;
const TAG_MOUNT_POINT: u32 = 0xA000_0003;
/// The largest reparse buffer there is ([MS-FSCC] 2.1.2).
const MAX_REPARSE: u64 = 16 * 1024;

/// Where a symbolic link or junction of the image leads, as a relative host path, when that lies inside the image.
/// `depth` is how many directories lie between the root and the link.
fn link_target(node: &Node, depth: usize, reader: &mut dyn BlobRead) -> Result<Option<PathBuf>> {
    let Some(reparse) = &node.reparse else { return Ok(None) };
    if !matches!(reparse.tag, TAG_SYMLINK | TAG_MOUNT_POINT) || reparse.data.len() > MAX_REPARSE {
        return Ok(None);
    }
    let data = match &reparse.data {
        Content::Empty => return Ok(None),
        Content::Bytes(bytes) => bytes.to_vec(),
        &Content::Blob { blob, len } => {
            let mut data = vec![0; len as usize];
            reader.read_at(blob, 0, &mut data)?;
            data
        }
    };
    Ok(parse_target(reparse.tag, &data, depth))
}

/// The target that a symbolic link or junction states, and whether it is relative to where the link is. `data` is the
/// reparse buffer after its first 8 bytes.
pub fn reparse_target(tag: u32, data: &[u8]) -> Option<(String, bool)> {
    // [MS-FSCC] 2.1.2.4 and 2.1.2.5: four 16-bit fields (offset and length of the substitute name, of the print name),
    // for symbolic links 32-bit flags (1 = relative), then the names.
    let field = |at: usize| Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?) as usize);
    let (relative, names) = match tag {
        TAG_SYMLINK => (data.get(8)? & 1 != 0, 12),
        TAG_MOUNT_POINT => (false, 8),
        _ => return None,
    };
    let bytes = data.get(names..)?.get(field(0)?..)?.get(..field(2)?)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    Some((String::from_utf16(&units).ok()?, relative))
}

/// Where the target lies on the host, seen from the link.
fn parse_target(tag: u32, data: &[u8], depth: usize) -> Option<PathBuf> {
    let (text, relative) = reparse_target(tag, data)?;
    if relative {
        return inside(text.split('\\'), depth);
    }
    // `\??\C:\Windows\x`: whatever the drive, the image's own root is meant.
    let text = text.strip_prefix(r"\??\").unwrap_or(&text);
    let (drive, rest) = text.split_at_checked(2)?;
    if !drive.ends_with(':') || !drive.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let up = std::iter::repeat_n("..", depth);
    inside(up.chain(rest.split('\\')), depth)
}

/// The path, unless it leaves the root on its way.
fn inside<'a>(parts: impl Iterator<Item = &'a str>, depth: usize) -> Option<PathBuf> {
    let mut at = depth;
    let mut path = PathBuf::new();
    for part in parts.filter(|part| !part.is_empty() && *part != ".") {
        if part.contains(['/', '\0']) {
            return None;
        }
        at = if part == ".." { at.checked_sub(1)? } else { at + 1 };
        path.push(part);
    }
    (!path.as_os_str().is_empty()).then_some(path)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reparse(tag: u32, relative: bool, target: &str) -> Vec<u8> {
        let name: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut data =
            [0u16, name.len() as u16, 0, 0].iter().flat_map(|field| field.to_le_bytes()).collect::<Vec<u8>>();
        if tag == TAG_SYMLINK {
            data.extend(u32::from(relative).to_le_bytes());
        }
        data.extend(name);
        data
    }

    #[test]
    fn links_lead_only_to_places_inside() {
        let relative = |target, depth| {
            parse_target(TAG_SYMLINK, &reparse(TAG_SYMLINK, true, target), depth)
                .map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(relative(r"..\b", 1).as_deref(), Some("../b"));
        assert_eq!(relative(r"..\b", 0), None);
        assert_eq!(relative(r"a\..\..\b", 0), None);
        assert_eq!(relative("/etc/passwd", 0), None);
        assert_eq!(relative("", 0), None);
        let absolute = |target, depth| {
            parse_target(TAG_MOUNT_POINT, &reparse(TAG_MOUNT_POINT, false, target), depth)
                .map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(absolute(r"\??\C:\Users", 2).as_deref(), Some("../../Users"));
        assert_eq!(absolute(r"\??\Volume{x}\", 0), None);
        assert_eq!(absolute(r"\\server\share", 0), None);
    }

    #[test]
    fn damaged_reparse_data_is_no_link() {
        let whole = reparse(TAG_SYMLINK, true, "target");
        for len in 0..whole.len() {
            assert_eq!(parse_target(TAG_SYMLINK, &whole[..len], 3), None, "{len}");
        }
    }
}
