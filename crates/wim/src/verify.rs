//! Checking everything that a file promises: the SHA-1 of every blob and of every image's metadata, the integrity
//! table, that no stream lacks its blob.
//!
//! Blobs are independent, so workers take them from a queue in the order of the file, one batch at a time, and each
//! decodes and hashes what it took, whole, in buffers of its own. A SHA-1 cannot be computed in parallel, but decoding
//! can: what is so large that it would keep one worker busy when all others are done comes first, decoded by all
//! workers a window ahead of the one that hashes. Solid resources are checked chunk by chunk instead.

mod budget;
mod solid;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use disk::At;
use rayon::prelude::*;
use sha1::{Digest, Sha1};

use self::budget::Budget;
use crate::blob::BlobId;
use crate::image::{DentryId, Image, Inode, StreamRef};
use crate::reader::BlobReader;
use crate::resource::{Storage, source};
use crate::{Error, Result, Warning, Wim};

/// How much is decoded at once, in bytes; more when chunks are larger.
const UNIT: u64 = 1 << 20;
/// Blobs from this size on are decoded by all workers together.
const LARGE: u64 = 32 << 20;
/// How many places of damaged or missing content are named.
const MAX_PLACES: usize = 1000;
/// How many of them for one blob.
const MAX_PLACES_EACH: usize = 8;

/// How a check is watched and stopped from outside.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Grows by the bytes that have been checked, up to [`total_bytes`].
    pub checked: &'a AtomicU64,
    /// Set it, and the check ends soon with [`Error::Cancelled`].
    pub cancel: &'a AtomicBool,
}

impl Progress<'_> {
    fn advance(&self, bytes: u64) -> Result<()> {
        self.checked.fetch_add(bytes, Ordering::Relaxed);
        if self.cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// A stream that has some content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index of the image, from 1.
    pub image: u32,
    /// Path in it, with the stream's name after a colon.
    pub path: String,
}

/// A blob that is not what its hash says, or that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damage {
    /// Which.
    pub blob: BlobId,
    /// Its SHA-1 according to the blob table.
    pub sha1: [u8; 20],
    /// What is wrong with it.
    pub error: Error,
    /// Some of the streams that have this content; none when no image uses it.
    pub places: Vec<Place>,
}

/// Content that streams refer to and that the file does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// Its SHA-1.
    pub sha1: [u8; 20],
    /// Some of the streams that should have it.
    pub places: Vec<Place>,
}

/// What became of an image.
#[derive(Debug)]
#[non_exhaustive]
pub struct ImageReport {
    /// Index of the image, from 1.
    pub index: u32,
    /// How many names it has, the root included; or why its metadata cannot be used.
    pub dentries: Result<u64>,
    /// What was wrong with it and worked around.
    pub warnings: Vec<Warning>,
}

/// A range of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileRange {
    /// The part of a split set, from 1.
    pub part: u16,
    /// Its bytes.
    pub bytes: Range<u64>,
}

/// What became of the integrity table.
#[derive(Debug)]
#[non_exhaustive]
pub enum Integrity {
    /// There is none, as in most files.
    Absent,
    /// There is one, or several in a split set.
    Checked {
        /// How many pieces of the files are covered.
        pieces: u64,
        /// What differs from it.
        damaged: Vec<FileRange>,
        /// What could not be read, and why.
        unread: Vec<(FileRange, io::Error)>,
    },
    /// There is one that makes no sense.
    Unusable(Error),
}

/// The outcome of [`verify`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// How many blobs were checked: all.
    pub blobs: u64,
    /// How many bytes of content these are.
    pub bytes: u64,
    /// Blobs that are damaged, in the order of the file.
    pub damaged: Vec<Damage>,
    /// Missing content, in the order of the hashes; at most 1000.
    pub missing: Vec<Missing>,
    /// The images.
    pub images: Vec<ImageReport>,
    /// The integrity table.
    pub integrity: Integrity,
    /// What was wrong with the file and worked around, or does not matter to us.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// Whether everything is there and is what it should be. Warnings do not count.
    pub fn is_intact(&self) -> bool {
        let integrity = match &self.integrity {
            Integrity::Absent => true,
            Integrity::Checked { damaged, unread, .. } => damaged.is_empty() && unread.is_empty(),
            Integrity::Unusable(_) => false,
        };
        integrity
            && self.damaged.is_empty()
            && self.missing.is_empty()
            && self.images.iter().all(|image| image.dentries.is_ok())
    }
}

/// How many bytes [`verify`] will check, for a progress bar: contents, and the file itself if it has an integrity table.
pub fn total_bytes(wim: &Wim) -> u64 {
    let contents = wim.blobs().iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    contents.saturating_add(wim.integrity_covers())
}

/// Checks the whole file, with all threads of the rayon pool in which it is called (`pool.install(|| verify(..))`).
///
/// Memory: a few MiB for each thread, besides one image's metadata at a time. Where chunks are larger than that, in solid
/// resources (a chunk and its stored form have about 85 MiB in ESD files) and with LZMS (up to twice 1 GiB), as many are
/// decoded at once as [`Wim::set_memory`] has room for, and one if there is none.
///
/// # Errors
/// [`Error::Cancelled`] only: everything else that goes wrong goes into the report.
pub fn verify(wim: &Wim, progress: &Progress<'_>) -> Result<Report> {
    let integrity = integrity(wim, progress)?;
    let mut damaged = blobs(wim, progress)?;
    damaged.extend(solid::blobs(wim, progress)?);
    damaged.sort_unstable_by_key(|damage| damage.blob);
    let mut walk = Walk {
        references: vec![0; wim.blobs().len()],
        damaged,
        missing: BTreeMap::new(),
        places: MAX_PLACES,
    };
    let mut images = Vec::new();
    for index in 1..=wim.image_count() {
        progress.advance(0)?;
        let mut warnings = Vec::new();
        let dentries = wim.image(index).map(|image| {
            walk.image(index, &image);
            warnings = image.warnings().to_vec();
            image.dentries().len() as u64
        });
        images.push(ImageReport { index, dentries, warnings });
    }
    let mut warnings = wim.warnings().to_vec();
    // Without all images there is nothing to compare the counts with.
    if images.iter().all(|image| image.dentries.is_ok()) {
        warnings.extend(wrong_refcounts(wim, &walk.references));
    }
    Ok(Report {
        blobs: wim.blobs().len() as u64,
        bytes: wim.blobs().iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size)),
        damaged: walk.damaged,
        missing: walk.missing.into_iter().map(|(sha1, places)| Missing { sha1, places }).collect(),
        images,
        integrity,
        warnings,
    })
}

fn wrong_refcounts(wim: &Wim, references: &[u64]) -> Option<Warning> {
    let mut wrong =
        wim.blobs().iter().zip(references).filter(|(blob, count)| u64::from(blob.refcount) != **count);
    let (blob, count) = wrong.next()?;
    let wrong = match wrong.count() {
        0 => "1 blob has a wrong reference count: it".to_owned(),
        more => format!("{} blobs have wrong reference counts: the first", 1 + more),
    };
    let text = format!("{wrong} says {}, and images use it {count} times", blob.refcount);
    Some(Warning { at: At::new("blob", blob.offset), text })
}

/// What became of a piece that the integrity table speaks of.
enum Piece {
    Same,
    Differs,
    Unread(io::Error),
}

fn integrity(wim: &Wim, progress: &Progress<'_>) -> Result<Integrity> {
    let mut pieces = Vec::new();
    for (part, table) in wim.integrity() {
        match table {
            Ok(table) => {
                pieces.extend(table.pieces().map(|(bytes, sha1)| (FileRange { part, bytes }, sha1)));
            }
            Err(error) => return Ok(Integrity::Unusable(error)),
        }
    }
    if !wim.has_integrity() {
        return Ok(Integrity::Absent);
    }
    let check = |buffer: &mut Vec<u8>, (place, expected): &(FileRange, [u8; 20])| {
        let range = &place.bytes;
        let mut sha1 = Sha1::new();
        let mut start = range.start;
        while start < range.end {
            let len = UNIT.min(range.end - start);
            buffer.resize(len as usize, 0);
            match source(wim.sources(), place.part).read_exact_at(buffer, start) {
                // A file that has become shorter is another one.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Piece::Differs),
                Err(error) => return Ok(Piece::Unread(error)),
                Ok(()) => {}
            }
            sha1.update(&buffer);
            start += len;
            progress.advance(len)?;
        }
        let same = <[u8; 20]>::from(sha1.finalize()) == *expected;
        Ok(if same { Piece::Same } else { Piece::Differs })
    };
    let checked: Vec<Piece> = pieces.par_iter().map_init(Vec::new, check).collect::<Result<_>>()?;
    let (mut damaged, mut unread) = (Vec::new(), Vec::new());
    let count = pieces.len() as u64;
    for ((place, _), piece) in pieces.into_iter().zip(checked) {
        match piece {
            Piece::Same => {}
            Piece::Differs => damaged.push(place),
            Piece::Unread(error) => unread.push((place, error)),
        }
    }
    Ok(Integrity::Checked { pieces: count, damaged, unread })
}

fn damage(wim: &Wim, id: BlobId, error: Error) -> Damage {
    Damage { blob: id, sha1: wim.blob(id).sha1, error, places: Vec::new() }
}

/// The blobs with a stored form of their own that are damaged, in any order.
fn blobs(wim: &Wim, progress: &Progress<'_>) -> Result<Vec<Damage>> {
    let mut damaged = Vec::new();
    let (large, small): (Vec<_>, Vec<_>) = (0..wim.blobs().len() as u32)
        .map(BlobId)
        .filter(|&id| !matches!(wim.blob(id).storage, Storage::Solid { .. }))
        .partition(|&id| wim.blob(id).size >= LARGE);
    let readers = Mutex::new(Vec::new());
    for id in large {
        match check_large(wim, id, &readers, progress) {
            Ok(()) => {}
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => damaged.push(damage(wim, id, error)),
        }
    }
    drop(readers);

    let batches: Vec<&[BlobId]> = {
        let mut size = 0;
        small
            .chunk_by(|&a, _| {
                size += wim.blob(a).size;
                let more = size < UNIT;
                if !more {
                    size = 0;
                }
                more
            })
            .collect()
    };
    let next = AtomicUsize::new(0);
    let budget = Budget::new(wim.cache().memory());
    let work = |_: rayon::BroadcastContext<'_>| {
        let mut reader = wim.reader();
        let mut buffer = Vec::new();
        let mut damaged = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            for &id in *batch {
                let cost = decoding_cost(wim, id);
                let result = if cost <= 2 * UNIT {
                    check_small(wim, id, &mut reader, &mut buffer, progress)
                } else {
                    // In buffers that end with the room that was reserved for them.
                    let _room = budget.reserve(cost);
                    check_small(wim, id, &mut wim.reader(), &mut Vec::new(), progress)
                };
                match result {
                    Ok(()) => {}
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    Err(error) => damaged.push(damage(wim, id, error)),
                }
            }
        }
        Ok(damaged)
    };
    for more in rayon::broadcast(work) {
        damaged.extend(more?);
    }
    Ok(damaged)
}

/// In how large pieces a blob is read: whole chunks.
fn unit_of(wim: &Wim, id: BlobId) -> u64 {
    wim.chunk_size_of(id).unwrap_or(1).max(UNIT)
}

/// How many bytes reading a piece of a blob takes: its content, and at most as much for its stored form.
fn decoding_cost(wim: &Wim, id: BlobId) -> u64 {
    2 * unit_of(wim, id).min(wim.blob(id).size)
}

/// How a large blob is decoded by several threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// Pieces that are decoded at once.
    pieces: u64,
    /// Whether the next window is decoded while this one is hashed, which takes a second buffer.
    ahead: bool,
}

impl Window {
    /// As much as fits into `memory`, in pieces; at least one at a time.
    fn of(memory: u64, threads: u64) -> Self {
        // Two pieces for each thread, so that the slowest does not leave the others without work for long. A window
        // takes two buffers, and the stored forms of what is being decoded.
        let needed = |pieces: u64| 2 * pieces + pieces.min(threads);
        let pieces = (1..=2 * threads).rev().find(|&pieces| needed(pieces) <= memory);
        Self { pieces: pieces.unwrap_or(1), ahead: pieces.is_some() }
    }
}

fn compare(wim: &Wim, id: BlobId, sha1: Sha1) -> Result<()> {
    let blob = wim.blob(id);
    let found: [u8; 20] = sha1.finalize().into();
    if found == blob.sha1 {
        return Ok(());
    }
    Err(Error::Hash { at: At::new("blob", blob.offset), expected: blob.sha1, found })
}

fn check_small(
    wim: &Wim,
    id: BlobId,
    reader: &mut BlobReader<'_>,
    buffer: &mut Vec<u8>,
    progress: &Progress<'_>,
) -> Result<()> {
    let size = wim.blob(id).size;
    let mut sha1 = Sha1::new();
    let mut start = 0;
    while start < size {
        let len = unit_of(wim, id).min(size - start);
        if (buffer.len() as u64) < len {
            buffer.resize(len as usize, 0);
        }
        let buffer = &mut buffer[..len as usize];
        reader.read_at(id, start, buffer)?;
        sha1.update(buffer);
        start += len;
        progress.advance(len)?;
    }
    compare(wim, id, sha1)
}

fn check_large<'a>(
    wim: &'a Wim,
    id: BlobId,
    readers: &Mutex<Vec<BlobReader<'a>>>,
    progress: &Progress<'_>,
) -> Result<()> {
    let size = wim.blob(id).size;
    let unit = unit_of(wim, id);
    let plan = Window::of(wim.cache().memory() / unit.min(size), rayon::current_num_threads() as u64);
    let window = unit.saturating_mul(plan.pieces);
    let decode = |start: u64, buffer: &mut Vec<u8>| -> Result<()> {
        buffer.resize(window.min(size - start) as usize, 0);
        buffer.par_chunks_mut(unit as usize).enumerate().try_for_each(|(index, part)| {
            let take = readers.lock().ok().and_then(|mut readers| readers.pop());
            let mut reader = take.unwrap_or_else(|| wim.reader());
            let result = reader.read_at(id, start + index as u64 * unit, part);
            if let Ok(mut readers) = readers.lock() {
                readers.push(reader);
            }
            result
        })
    };
    let mut sha1 = Sha1::new();
    let (mut current, mut ahead) = (Vec::new(), Vec::new());
    decode(0, &mut current)?;
    let mut start = 0;
    while start < size {
        let next = start + current.len() as u64;
        if !plan.ahead {
            sha1.update(&current);
            progress.advance(current.len() as u64)?;
            if next < size {
                decode(next, &mut current)?;
            }
            start = next;
            continue;
        }
        let (decoded, ()) = rayon::join(
            || if next < size { decode(next, &mut ahead) } else { Ok(()) },
            || sha1.update(&current),
        );
        progress.advance(current.len() as u64)?;
        decoded?;
        start = next;
        std::mem::swap(&mut current, &mut ahead);
    }
    compare(wim, id, sha1)
}

/// What is gathered from one image after the other.
struct Walk {
    /// How often each blob is used.
    references: Vec<u64>,
    /// Sorted by blob.
    damaged: Vec<Damage>,
    missing: BTreeMap<[u8; 20], Vec<Place>>,
    /// How many places may still be named.
    places: usize,
}

impl Walk {
    fn image(&mut self, index: u32, image: &Image) {
        for inode in image.inodes() {
            for stream in inode.streams() {
                let place = || place(index, image, inode, stream);
                match stream {
                    StreamRef::Empty => {}
                    StreamRef::Blob { id, .. } => {
                        self.references[id.0 as usize] += inode.links.len() as u64;
                        if let Ok(found) = self.damaged.binary_search_by_key(id, |damage| damage.blob) {
                            note(&mut self.damaged[found].places, &mut self.places, place);
                        }
                    }
                    StreamRef::Missing(sha1) => {
                        if self.missing.len() < MAX_PLACES || self.missing.contains_key(sha1) {
                            note(self.missing.entry(*sha1).or_default(), &mut self.places, place);
                        }
                    }
                }
            }
        }
    }
}

fn note(places: &mut Vec<Place>, left: &mut usize, place: impl FnOnce() -> Place) {
    if *left > 0 && places.len() < MAX_PLACES_EACH {
        places.push(place());
        *left -= 1;
    }
}

fn place(index: u32, image: &Image, inode: &Inode, stream: &StreamRef) -> Place {
    let mut path = image.path(inode.links.first().copied().unwrap_or(DentryId(0)));
    if let Some(named) = inode.named.iter().find(|named| std::ptr::eq(&named.stream, stream)) {
        path.push(':');
        path += &String::from_utf16_lossy(&named.name);
    }
    Place { image: index, path }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn windows_fit_their_memory() {
        for threads in 1..=16 {
            for memory in 0..100 {
                let Window { pieces, ahead } = Window::of(memory, threads);
                let buffers = if ahead { 2 } else { 1 };
                let needed = buffers * pieces + pieces.min(threads);
                assert!(needed <= memory.max(2), "{threads} threads, room for {memory}: {needed}");
                assert!((1..=2 * threads).contains(&pieces));
                assert_eq!(ahead, memory >= 3);
            }
        }
        assert_eq!(Window::of(256, 2), Window { pieces: 4, ahead: true });
        assert_eq!(Window::of(4, 2), Window { pieces: 1, ahead: true });
    }
}
