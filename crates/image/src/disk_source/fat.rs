//! From a FAT volume to a tree, and its files as blobs.
//!
//! It is to FAT what [`scan`](super::scan) and [`blobs`](super::blobs) are to NTFS, and much less: a file has one name and
//! one stream. A directory that is met a second time is left out, with a note, as is what leads nowhere.

use codec::Note;
use std::collections::HashSet;

use ::fat::{Entry, FileStart, Target, Volume, same_name};

use super::DiskVolume;
use super::scan::Scope;
use super::trail::{Step, Trail};
use crate::pipeline::{BlobRead, BlobStore};
use crate::tree::{ATTRIBUTE_DIRECTORY, Content, Name, Node, NodeId, Times, Tree, as_u32};
use crate::{Error, Result};

/// Entries read of a volume at the most; every one takes 32 bytes there.
const MAX_ENTRIES: usize = 4 << 20;
/// Directories inside each other.
const MAX_DEPTH: usize = 512;
/// Notes kept; the others are counted.
const MAX_NOTES: usize = 1000;

/// The files of a tree, in the order in which they lie on the volume.
#[derive(Debug)]
pub(super) struct FatBlobs<'v> {
    source: &'v DiskVolume,
    volume: &'v Volume,
    files: Vec<(FileStart, Step)>,
    trail: Trail,
}

/// Reads what the scope asks for.
pub(super) fn scan<'v>(
    source: &'v DiskVolume,
    volume: &'v Volume,
    scope: &Scope,
) -> Result<(Tree, FatBlobs<'v>)> {
    // The root has no entry, so it has no times.
    let mut scan = Scan {
        tree: Tree::empty(Times::default()),
        files: Vec::new(),
        trail: Trail::new(),
        notes_left_out: 0,
    };
    let mut seen = HashSet::from([volume.root()]);
    let mut stack = vec![(NodeId::ROOT, volume.root(), Step::ROOT, 0, scope.below_root())];
    let mut count = 0;
    while let Some((parent, directory, step, depth, below)) = stack.pop() {
        let entries = match volume.entries(directory) {
            Ok(entries) => entries,
            Err(error @ ::fat::Error::Io { .. }) => return Err(source.fat_error(error)),
            Err(error) => {
                let path = scan.trail.path(step);
                scan.note(&path, &error.to_string());
                continue;
            }
        };
        let mut inside = Vec::new();
        for entry in entries {
            let own = scan.trail.add(step, &entry.name);
            if let Target::Directory(found) = entry.target {
                if let Err(error) = volume.check_directory(found) {
                    let path = scan.trail.path(own);
                    scan.note(&path, &error.to_string());
                    continue;
                }
                if depth >= MAX_DEPTH || !seen.insert(found) {
                    let path = scan.trail.path(own);
                    scan.note(&path, "a directory inside itself or with a second name, which is left out");
                    continue;
                }
            }
            count += 1;
            if count > MAX_ENTRIES {
                let at = disk::At::new("FAT volume", 0);
                let (found, limit) = (count as u64, MAX_ENTRIES as u64);
                return Err(source.fat_error(::fat::Error::Limit { at, what: "entries", found, limit }));
            }
            let same = |wanted: &[u16]| {
                let short = entry.short.as_ref().map(|short| short.encode_utf16().collect::<Vec<u16>>());
                same_name(&entry.name, wanted) || short.is_some_and(|short| same_name(&short, wanted))
            };
            let target = match entry.target {
                Target::Directory(found) => scope.below(&below, same).map(|below| (found, below)),
                Target::File(_) => None,
            };
            let node = scan.add(parent, entry, own);
            if let Some((found, below)) = target {
                inside.push((node, found, own, depth + 1, below));
            }
        }
        stack.extend(inside.into_iter().rev());
    }
    Ok(scan.finish(source, volume))
}

/// A tree while it grows.
struct Scan {
    tree: Tree,
    files: Vec<(FileStart, Step)>,
    trail: Trail,
    notes_left_out: usize,
}

impl Scan {
    fn note(&mut self, path: &str, reason: &str) {
        if self.tree.notes.len() < MAX_NOTES {
            let path = if path.is_empty() { "/" } else { path };
            self.tree.notes.push(format!("{path}: {reason}"));
        } else {
            self.notes_left_out += 1;
        }
    }

    fn add(&mut self, parent: NodeId, entry: Entry, step: Step) -> NodeId {
        let times = Times { created: entry.created, written: entry.modified, accessed: entry.accessed };
        let mut node = Node::directory(times, None);
        node.attributes = u32::from(entry.attributes);
        match entry.target {
            Target::Directory(_) => node.attributes |= ATTRIBUTE_DIRECTORY,
            Target::File(start) if start.size == 0 => node.data = Some(Content::Empty),
            Target::File(start) => {
                let (blob, len) = (as_u32(self.files.len()), u64::from(start.size));
                node.data = Some(Content::Blob { blob, len });
                self.files.push((start, step));
            }
        }
        let id = NodeId(as_u32(self.tree.nodes.len()));
        self.tree.nodes.push(node);
        let short = entry.short.map(|short| short.encode_utf16().collect());
        self.tree.names.push(Name { parent, node: id, long: entry.name.into(), short });
        id
    }

    /// Puts blobs into the order of the disk.
    fn finish<'v>(mut self, source: &'v DiskVolume, volume: &'v Volume) -> (Tree, FatBlobs<'v>) {
        let mut order: Vec<u32> = (0..as_u32(self.files.len())).collect();
        order.sort_by_key(|&blob| (volume.first_byte(self.files[blob as usize].0), blob));
        let mut number = vec![0; order.len()];
        for (new, &old) in (0..).zip(&order) {
            number[old as usize] = new;
        }
        for node in &mut self.tree.nodes {
            if let Some(Content::Blob { blob, .. }) = &mut node.data {
                *blob = number[*blob as usize];
            }
        }
        let files = order.into_iter().map(|old| self.files[old as usize]).collect();
        if self.notes_left_out > 0 {
            self.tree.notes.push(format!("and {} more of such faults", self.notes_left_out));
        }
        (self.tree, FatBlobs { source, volume, files, trail: self.trail })
    }
}

impl FatBlobs<'_> {
    fn path(&self, blob: u32) -> String {
        self.trail.path(self.files[blob as usize].1)
    }
}

impl BlobStore for FatBlobs<'_> {
    fn blob_count(&self) -> usize {
        self.files.len()
    }

    fn blob_len(&self, blob: u32) -> u64 {
        self.files[blob as usize].0.size.into()
    }

    fn chunk_size(&self, _: u32) -> Option<u64> {
        None
    }

    fn reader(&self) -> Box<dyn BlobRead + Send + '_> {
        Box::new(FatBlobReader { blobs: self, open: None })
    }

    fn states_sha1(&self) -> bool {
        false
    }

    fn sha1(&self, _: u32) -> [u8; 20] {
        [0; 20]
    }

    fn damaged(&self, blob: u32, source: wim::Error) -> Error {
        let name = self.path(blob);
        Error::Blob { path: self.source.path.clone(), name, source }
    }

    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error {
        Error::HashMismatch {
            path: self.source.path.clone(),
            name: self.path(blob),
            expected: "none".to_owned(),
            found: disk::hex(&found),
        }
    }
}

/// Reads blobs; the one at hand stays open.
struct FatBlobReader<'a> {
    blobs: &'a FatBlobs<'a>,
    open: Option<(u32, ::fat::File<'a>)>,
}

impl BlobRead for FatBlobReader<'_> {
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], _: Option<Note<'_>>) -> Result<()> {
        let (start, _) = &self.blobs.files[blob as usize];
        let wrap = |error| self.blobs.source.fat_error(named(&self.blobs.path(blob), error));
        let file = match &mut self.open {
            Some((open, file)) if *open == blob => file,
            slot => {
                let file = self.blobs.volume.file(*start).map_err(wrap)?;
                &mut slot.insert((blob, file)).1
            }
        };
        file.read_at(offset, buf).map_err(wrap)
    }
}

/// What is wrong, with the name of the file it is wrong with.
fn named(path: &str, error: ::fat::Error) -> ::fat::Error {
    match error {
        ::fat::Error::Malformed { at, reason } => {
            ::fat::Error::Malformed { at, reason: format!("{reason} ({path})") }
        }
        other => other,
    }
}
