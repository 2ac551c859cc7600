//! Checking what solid resources hold: chunk by chunk, each decoded once.
//!
//! Workers take chunks in order, decode each into a buffer of their own and hash what lies in it. A blob that lies in
//! several chunks has a hash state that goes from one worker to the next: whoever holds the next part waits for the
//! part before, which was taken earlier. The part at a chunk's end is hashed first, so that the wait is short, and the
//! part at its start last.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha1::{Digest, Sha1};

use super::{Damage, Progress, compare, damage};
use crate::blob::BlobId;
use crate::resource::{Decoders, Storage};
use crate::solid::{ChunkId, Piece};
use crate::{Error, Result, Wim};

/// How often somebody who waits looks whether everything was stopped.
const PATIENCE: Duration = Duration::from_millis(100);

/// A part of a blob, in one chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    piece: Piece,
    blob: BlobId,
    /// Where in the blob it begins.
    at: u64,
}

/// The state of a blob in several chunks.
struct Open {
    /// Where in the blob the next part begins.
    next: u64,
    /// The hash, or why there is none.
    hash: Result<Sha1>,
}

struct Check<'a> {
    wim: &'a Wim,
    progress: &'a Progress<'a>,
    open: Mutex<BTreeMap<BlobId, Open>>,
    changed: Condvar,
    /// Somebody has given up, and parts may be missing for ever.
    stopped: AtomicBool,
}

/// The blobs that are damaged, in any order.
pub(super) fn blobs(wim: &Wim, progress: &Progress<'_>) -> Result<Vec<Damage>> {
    let mut parts = Vec::new();
    for (blob, id) in wim.blobs().iter().zip((0..).map(BlobId)) {
        let Storage::Solid { run, start } = blob.storage else { continue };
        let mut at = 0;
        while at < blob.size {
            let piece = wim.solid().piece(run, start + at, blob.size - at);
            parts.push(Part { piece, blob: id, at });
            at += piece.len as u64;
        }
    }
    parts.sort_unstable();
    let chunks: Vec<&[Part]> = parts.chunk_by(|a, b| a.piece.chunk == b.piece.chunk).collect();
    let cost = |chunk: &&[Part]| {
        let id = chunk[0].piece.chunk;
        // A table that cannot be read is reported by whoever decodes the chunk.
        let _ = wim.solid().prepare(id, wim.sources());
        wim.solid().cost(id)
    };
    let most = chunks.iter().map(cost).max().unwrap_or(0).max(1);
    let workers = (wim.cache().memory() / most).max(1);

    let check = Check {
        wim,
        progress,
        open: Mutex::default(),
        changed: Condvar::new(),
        stopped: AtomicBool::new(false),
    };
    let next = AtomicUsize::new(0);
    let work = |context: rayon::BroadcastContext<'_>| {
        let mut damaged = Vec::new();
        if context.index() as u64 >= workers {
            return Ok(damaged);
        }
        let stop = Stop(&check);
        let mut worker = Worker::default();
        while let Some(parts) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let content = worker.decode(wim, parts[0].piece.chunk);
            check.chunk(parts, content, &mut damaged)?;
        }
        std::mem::forget(stop);
        Ok(damaged)
    };
    let mut damaged = Vec::new();
    for more in rayon::broadcast(work) {
        damaged.extend(more?);
    }
    Ok(damaged)
}

/// Decoder and buffers, which grow and never shrink.
#[derive(Default)]
struct Worker {
    decoders: Decoders,
    stored: Vec<u8>,
    content: Vec<u8>,
}

impl Worker {
    fn decode(&mut self, wim: &Wim, id: ChunkId) -> Result<&[u8]> {
        let len = wim.solid().chunk_len(id);
        if self.content.len() < len {
            self.content.resize(len, 0);
        }
        let content = &mut self.content[..len];
        wim.solid().decode(id, wim.sources(), &mut self.decoders, &mut self.stored, content)?;
        Ok(content)
    }
}

impl Check<'_> {
    /// Hashes all parts in a chunk.
    fn chunk(&self, parts: &[Part], content: Result<&[u8]>, damaged: &mut Vec<Damage>) -> Result<()> {
        let (begun, rest) = match parts.split_last() {
            Some((last, rest)) if last.at == 0 => (Some(last), rest),
            _ => (None, parts),
        };
        let (continued, rest) = match rest.split_first() {
            Some((first, rest)) if first.at > 0 => (Some(first), rest),
            _ => (None, rest),
        };
        for part in begun.into_iter().chain(rest).chain(continued) {
            let Piece { within, len, .. } = part.piece;
            let bytes = content.as_ref().map(|content| &content[within..within + len]);
            if let Some(result) = self.part(part, bytes)? {
                damaged.extend(result.err().map(|error| damage(self.wim, part.blob, error)));
            }
            self.progress.advance(len as u64)?;
        }
        Ok(())
    }

    /// Hashes a part, after those before it. The verdict, when it is the last.
    fn part(&self, part: &Part, bytes: Result<&[u8], &Error>) -> Result<Option<Result<()>>> {
        let size = self.wim.blob(part.blob).size;
        let end = part.at + part.piece.len as u64;
        let mut hash = if part.at == 0 { Ok(Sha1::new()) } else { self.take(part)? };
        match (&mut hash, bytes) {
            (Ok(hash), Ok(bytes)) => hash.update(bytes),
            (Ok(_), Err(error)) => hash = Err(error.again()),
            (Err(_), _) => {}
        }
        if end == size {
            return Ok(Some(hash.and_then(|hash| compare(self.wim, part.blob, hash))));
        }
        self.lock().insert(part.blob, Open { next: end, hash });
        self.changed.notify_all();
        Ok(None)
    }

    /// Waits for the state of a blob before a part.
    fn take(&self, part: &Part) -> Result<Result<Sha1>> {
        let mut open = self.lock();
        loop {
            if open.get(&part.blob).is_some_and(|open| open.next == part.at) {
                return Ok(open.remove(&part.blob).expect("it is there").hash);
            }
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            open = self.changed.wait_timeout(open, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BlobId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that a worker ended before its time.
struct Stop<'a, 'b>(&'a Check<'b>);

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
        self.0.changed.notify_all();
    }
}
