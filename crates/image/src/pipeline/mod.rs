//! One parallel pass over the plan of a disk.
//!
//! The disk is cut into units of about a MiB, in disk order. Workers take units in that order and each does everything
//! for its unit (read, decode, hash, render, encode) while the bytes are in its cache; nothing is handed from thread to
//! thread but finished units. A container that wants its data in order gets it from the calling thread, which commits
//! encoded units by ticket; one that does not is written by the workers themselves.
//!
//! * **Order of file data.** Units ascend on the disk, and the planner lays data out in the order of the source, so the
//!   source is read front to back by all workers together.
//! * **Hashing** is sequential within a blob, units are not. A blob inside one unit is hashed there. A longer one has a
//!   hash state that the workers advance in blob order: the holder of the next part encodes or writes its unit first, if
//!   the part before is not done, and then waits for the holder of that, who took it earlier and waits only for still
//!   earlier ones, so there is no cycle.
//! * **Memory.** A unit is claimed only while it lies less than the window ahead of the last one committed, so at most
//!   `window` units exist at once, whatever the speed of the output.
//! * **Determinism.** What a unit contains depends on the plan only, never on who rendered it; commits are in ticket
//!   order. A test compares digests at several thread counts.
//! * **Errors.** The error reported is the one with the lowest ticket among those that happened; a worker that panics
//!   wakes all others before the panic goes on.

mod hash;
mod profile;
mod unit;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use codec::{Note, Tokens};
use disk::{ExtentMap, OrderedSink, PieceContent, PositionedSink, Sink, UnitEncoder};
use sha1::{Digest, Sha1};

use self::hash::BlobHashes;
pub(crate) use self::profile::Stopwatch;
pub use self::profile::{Profile, Stage, ThreadProfile};
use self::unit::{BlobPart, Unit, Units};
use crate::{Error, Result};

/// The blobs of a source, as the pass needs them.
pub trait BlobStore: Sync {
    /// How many blobs there are; they are numbered from 0 in reading order.
    fn blob_count(&self) -> usize;
    /// The blob's length in bytes.
    fn blob_len(&self, blob: u32) -> u64;
    /// The size of the chunks that the blob is compressed in, counted from its start: reading from a multiple of it
    /// decodes nothing twice. `None` when it can be read at any byte.
    fn chunk_size(&self, blob: u32) -> Option<u64>;
    /// A reader for one worker.
    fn reader(&self) -> Box<dyn BlobRead + Send + '_>;
    /// Announces which small blobs will be read late and out of order, so that a source that keeps many blobs in one
    /// compressed piece can put them aside when it comes by. Takes the place of what was announced before.
    fn keep(&self, blobs: &[u32]) {
        let _ = blobs;
    }
    /// Whether the source states what its blobs must hash to. Of one that does not, neither [`sha1`](Self::sha1) nor
    /// [`hasher`](Self::hasher) is asked.
    fn states_sha1(&self) -> bool {
        true
    }
    /// What the blob's SHA-1 must be.
    fn sha1(&self, blob: u32) -> [u8; 20];
    /// What computes it from the blob's bytes, in order. A blob that is the stored form of something else has the SHA-1
    /// of that, and a hasher that decodes.
    fn hasher(&self, blob: u32) -> Result<Box<dyn BlobHasher>> {
        let _ = blob;
        Ok(Box::new(Sha1::new()))
    }
    /// The error for a blob that its hasher cannot make sense of.
    fn damaged(&self, blob: u32, source: wim::Error) -> Error;
    /// The error for a blob whose content has another SHA-1.
    fn mismatch(&self, blob: u32, found: [u8; 20]) -> Error;
}

/// Takes a blob's bytes piece by piece.
pub trait BlobHasher: Send {
    /// The next bytes.
    fn update(&mut self, part: &[u8]) -> wim::Result<()>;
    /// The SHA-1, after the last.
    fn finish(self: Box<Self>) -> wim::Result<[u8; 20]>;
}

impl BlobHasher for Sha1 {
    fn update(&mut self, part: &[u8]) -> wim::Result<()> {
        Digest::update(self, part);
        Ok(())
    }

    fn finish(self: Box<Self>) -> wim::Result<[u8; 20]> {
        Ok(self.finalize().into())
    }
}

/// One worker's access to the blobs.
pub trait BlobRead {
    /// Fills `buf` from byte `offset` of the blob, and notes what it was compressed to, if anybody wants to know and it
    /// is known.
    fn read(&mut self, blob: u32, offset: u64, buf: &mut [u8], note: Option<Note<'_>>) -> Result<()>;

    /// Fills `buf` from byte `offset` of the blob.
    fn read_at(&mut self, blob: u32, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.read(blob, offset, buf, None)
    }
}

/// Renders what planners made: the volumes of a disk.
pub trait Maker: Sync {
    /// Fills `buf` from byte `offset` of maker number `maker`, reading what it needs of the blobs.
    fn render(&self, maker: u32, offset: u64, buf: &mut [u8], blobs: &CheckedBlobs<'_>) -> Result<()>;
}

/// How far a pass has come. Written by the workers, polled by whoever shows it; all values only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Disk bytes rendered.
    pub rendered: AtomicU64,
    /// Disk bytes that the pass will render, once it is planned.
    pub total: AtomicU64,
    /// Bytes of source blobs hashed.
    pub hashed: AtomicU64,
}

/// What a pass needs to know besides the disk.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Units that may exist at once: claimed, being rendered, or waiting for their turn.
    pub window: usize,
    /// About how many bytes a unit has.
    pub unit: u64,
}

impl Settings {
    /// About how many bytes a unit has, if nobody says otherwise. Units of half of that lose a few per cent to hand-over and
    /// to chunks cut in two, larger ones only cost memory.
    pub const UNIT: u64 = 1 << 20;

    /// For a pass by `threads` threads in `memory` bytes. Half of the memory is for units in flight, the rest for what each
    /// worker holds besides: its decoder, the compressed bytes it reads, the unit's encoded form.
    pub fn within(memory: u64, threads: usize) -> Self {
        let window = (memory / 2 / (2 * Self::UNIT)).min(4 * threads as u64).max(1);
        Self { window: window as usize, unit: Self::UNIT }
    }

    /// Bytes that units in flight may take, with their encoded forms.
    pub fn in_flight(&self) -> u64 {
        2 * self.unit * self.window as u64
    }
}

/// The blob reader of one worker while it renders: every blob it reads whole is checked against its SHA-1.
pub struct CheckedBlobs<'a> {
    store: &'a dyn BlobStore,
    reader: Mutex<Box<dyn BlobRead + Send + 'a>>,
    hashes: &'a BlobHashes,
    counters: &'a Counters,
}

/// Blobs up to this size are read whole when a renderer asks for a part, so that they can be checked. Renderers read
/// resident data and reparse points, which are far smaller.
const CHECKED_WHOLE: u64 = 1 << 20;

impl std::fmt::Debug for CheckedBlobs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedBlobs").finish_non_exhaustive()
    }
}

impl<'a> CheckedBlobs<'a> {
    fn new(store: &'a dyn BlobStore, hashes: &'a BlobHashes, counters: &'a Counters) -> Self {
        Self { store, reader: Mutex::new(store.reader()), hashes, counters }
    }

    /// Fills `buf` from byte `offset` of the blob.
    pub fn read_at(&self, blob: u32, offset: u64, buf: &mut [u8]) -> Result<()> {
        let len = self.store.blob_len(blob);
        if offset == 0 && buf.len() as u64 == len {
            lock(&self.reader).read_at(blob, 0, buf)?;
            return self.check(blob, buf);
        }
        if len > CHECKED_WHOLE {
            return lock(&self.reader).read_at(blob, offset, buf);
        }
        let mut whole = vec![0; len as usize];
        lock(&self.reader).read_at(blob, 0, &mut whole)?;
        self.check(blob, &whole)?;
        let part = usize::try_from(offset)
            .ok()
            .and_then(|from| whole.get(from..from.checked_add(buf.len())?))
            .expect("a renderer asks for bytes inside the blob");
        buf.copy_from_slice(part);
        Ok(())
    }

    fn check(&self, blob: u32, whole: &[u8]) -> Result<()> {
        if self.hashes.is_checked(blob) {
            return Ok(());
        }
        self.counters.hashed.fetch_add(whole.len() as u64, Ordering::Relaxed);
        self.hashes.check_whole(self.store, blob, whole)
    }
}

/// A mutex of ours is poisoned only when a worker panicked, and then the panic is already on its way to the caller.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Where the pass stands: what the workers and the committer agree on.
#[derive(Debug, Default)]
struct Progress {
    /// Tickets below this one are committed (or, for a positioned sink, written).
    committed: u64,
    /// Finished units that wait for their turn.
    ready: BTreeMap<u64, Done>,
    /// Positioned sinks: tickets finished out of order.
    finished_ahead: std::collections::BTreeSet<u64>,
    /// Set when there are no more units: how many there were.
    units: Option<u64>,
    /// The error with the lowest ticket so far.
    error: Option<(u64, Error)>,
    /// A worker panicked.
    panicked: bool,
}

impl Progress {
    fn failed(&self) -> bool {
        self.error.is_some() || self.panicked
    }
}

#[derive(Debug)]
struct Done {
    offset: u64,
    len: u64,
    encoded: Vec<u8>,
}

struct Pass<'a> {
    map: &'a ExtentMap,
    store: &'a dyn BlobStore,
    maker: &'a dyn Maker,
    cancel: &'a AtomicBool,
    counters: &'a Counters,
    profile: Option<&'a Profile>,
    hashes: BlobHashes,
    units: Mutex<Units<'a>>,
    window: u64,
    progress: Mutex<Progress>,
    changed: Condvar,
    /// Buffers that came back, for the next unit: no allocation in the steady state.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Renders the whole disk into `sink` with the threads of `pool`.
///
/// Must not be called from inside `pool`: the calling thread commits, and a pool of one would wait for itself.
#[expect(clippy::too_many_arguments, reason = "one caller; a struct would only repeat the names")]
pub fn run(
    map: &ExtentMap,
    store: &dyn BlobStore,
    maker: &dyn Maker,
    mut sink: Sink<'_>,
    pool: &rayon::ThreadPool,
    settings: Settings,
    cancel: &AtomicBool,
    counters: &Counters,
    profile: Option<&Profile>,
) -> Result<()> {
    let granularity = sink.granularity();
    let total: u64 = map.allocated(granularity).map(|range| range.end - range.start).sum();
    counters.total.store(total, Ordering::Relaxed);
    let threads = pool.current_num_threads();
    let pass = Pass {
        map,
        store,
        maker,
        cancel,
        counters,
        profile,
        hashes: BlobHashes::new(store.blob_count()),
        units: Mutex::new(Units::new(map, store, granularity, settings.unit)),
        // Fewer units than threads would leave threads without work.
        window: settings.window.max(threads + 1) as u64,
        progress: Mutex::new(Progress::default()),
        changed: Condvar::new(),
        spare: Mutex::new(Vec::new()),
    };
    match &mut sink {
        Sink::Ordered(sink) => pool.in_place_scope(|scope| {
            for _ in 0..threads {
                let (pass, encoder) = (&pass, sink.encoder());
                let tokens = sink.wants_tokens().then(Tokens::new);
                scope.spawn(move |_| pass.work(Target::Encode { encoder, tokens }));
            }
            pass.commit_all(sink.as_mut());
        }),
        Sink::Positioned(sink) => pool.in_place_scope(|scope| {
            for _ in 0..threads {
                let (pass, sink) = (&pass, &**sink);
                scope.spawn(move |_| pass.work(Target::Write(sink)));
            }
        }),
    }
    let progress = pass.progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, error)) = progress.error {
        return Err(error);
    }
    pass.hashes.assert_checked(map);
    let mut stopwatch = Stopwatch::start(profile, "main");
    let finished = match sink {
        Sink::Ordered(sink) => sink.finish(),
        Sink::Positioned(sink) => sink.finish(),
    };
    stopwatch.lap(Stage::Write);
    finished.map_err(Error::writing)
}

/// What a worker does with a rendered unit.
enum Target<'a> {
    Encode {
        encoder: Box<dyn UnitEncoder>,
        /// How the bytes of the unit at hand were compressed, if the encoder wants to know.
        tokens: Option<Tokens>,
    },
    Write(&'a dyn PositionedSink),
}

impl Pass<'_> {
    /// Takes units until there are none, or something failed.
    fn work(&self, mut target: Target<'_>) {
        let guard = PanicGuard(self);
        let blobs = CheckedBlobs::new(self.store, &self.hashes, self.counters);
        let mut stopwatch = Stopwatch::start(self.profile, "worker");
        loop {
            let claimed = self.claim();
            stopwatch.lap(Stage::WaitForUnit);
            let Some(unit) = claimed else { break };
            let ticket = unit.ticket;
            if let Err(error) = self.process(unit, &blobs, &mut target, &mut stopwatch) {
                self.fail(ticket, error);
                break;
            }
        }
        std::mem::forget(guard);
    }

    fn process(
        &self,
        unit: Unit,
        blobs: &CheckedBlobs<'_>,
        target: &mut Target<'_>,
        stopwatch: &mut Stopwatch<'_>,
    ) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let mut data = lock(&self.spare).pop().unwrap_or_default();
        data.resize(unit.len as usize, 0);
        let tokens = match target {
            Target::Encode { tokens, .. } => tokens.as_mut(),
            Target::Write(_) => None,
        };
        self.render(&unit, &mut data, blobs, tokens, stopwatch)?;
        // Only the first part can belong to a blob that others have a part of before this one. If these are not done, there
        // is something better to do than to wait.
        let ready =
            unit.to_hash.first().is_none_or(|part| self.hashes.is_next(self.store, part.blob, part.offset));
        let (now, late) = unit.to_hash.split_at(if ready { unit.to_hash.len() } else { 0 });
        self.hash(&unit, &data, now, stopwatch)?;
        let encoded = match target {
            Target::Write(sink) => {
                sink.write_at(unit.offset, &data).map_err(Error::writing)?;
                stopwatch.lap(Stage::Write);
                None
            }
            Target::Encode { encoder, tokens } => {
                let mut out = lock(&self.spare).pop().unwrap_or_default();
                out.clear();
                let none = Tokens::new();
                encoder
                    .encode(unit.offset, &data, tokens.as_ref().unwrap_or(&none), &mut out)
                    .map_err(Error::writing)?;
                stopwatch.lap(Stage::Encode);
                Some(out)
            }
        };
        self.hash(&unit, &data, late, stopwatch)?;
        lock(&self.spare).push(data);
        self.counters.rendered.fetch_add(unit.len, Ordering::Relaxed);
        let mut progress = lock(&self.progress);
        match encoded {
            Some(encoded) => {
                progress.ready.insert(unit.ticket, Done { offset: unit.offset, len: unit.len, encoded });
            }
            None => progress.written(unit.ticket),
        }
        drop(progress);
        self.changed.notify_all();
        Ok(())
    }

    /// Fills a unit's buffer.
    fn render(
        &self,
        unit: &Unit,
        data: &mut [u8],
        blobs: &CheckedBlobs<'_>,
        mut tokens: Option<&mut Tokens>,
        stopwatch: &mut Stopwatch<'_>,
    ) -> Result<()> {
        if let Some(tokens) = &mut tokens {
            tokens.clear();
        }
        // The blob piece before, for blobs stored several times: their copies lie side by side, and the second is
        // copied instead of decoded.
        let mut previous: Option<(u32, u64, std::ops::Range<usize>)> = None;
        for piece in self.map.pieces(unit.offset..unit.offset + unit.len) {
            let from = (piece.start - unit.offset) as usize;
            let range = from..from + piece.len as usize;
            let mut stage = Stage::Render;
            match piece.content {
                PieceContent::Zero => data[range].fill(0),
                PieceContent::Bytes(bytes) => data[range].copy_from_slice(bytes),
                PieceContent::Made { maker, offset } => {
                    self.maker.render(maker, offset, &mut data[range], blobs)?
                }
                PieceContent::Blob { blob, offset } => {
                    stage = Stage::Decode;
                    match &previous {
                        Some((before, start, bytes))
                            if *before == blob && *start == offset && bytes.len() == range.len() =>
                        {
                            data.copy_within(bytes.clone(), range.start);
                            if let Some(tokens) = &mut tokens {
                                tokens.repeat(bytes.clone(), range.start);
                            }
                        }
                        _ => {
                            let mut reader = lock(&blobs.reader);
                            let (at, buf) = (range.start, &mut data[range.clone()]);
                            let note = tokens.as_deref_mut().map(|tokens| Note::new(tokens, at));
                            reader.read(blob, offset, buf, note)?;
                        }
                    }
                    previous = Some((blob, offset, range));
                }
            }
            stopwatch.lap(stage);
        }
        Ok(())
    }

    /// Hashes parts of blobs that lie in a unit.
    fn hash(
        &self,
        unit: &Unit,
        data: &[u8],
        parts: &[BlobPart],
        stopwatch: &mut Stopwatch<'_>,
    ) -> Result<()> {
        for part in parts {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let from = (part.start - unit.offset) as usize;
            let bytes = &data[from..from + part.len as usize];
            self.counters.hashed.fetch_add(part.len, Ordering::Relaxed);
            let failed = || lock(&self.progress).failed();
            let stopwatch = &mut *stopwatch;
            if !self.hashes.advance(self.store, part.blob, part.offset, bytes, failed, stopwatch)? {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// The next unit, once it lies within the window; `None` when there are no more or the pass has failed.
    fn claim(&self) -> Option<Unit> {
        // Holding `units` while waiting keeps tickets in claiming order; whoever else wants a unit has to wait for this
        // one anyway.
        let mut units = lock(&self.units);
        let ticket = units.next_ticket();
        let mut progress = lock(&self.progress);
        while !progress.failed() && ticket >= progress.committed + self.window {
            progress = self.changed.wait(progress).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        if progress.failed() {
            return None;
        }
        drop(progress);
        let unit = units.next();
        if unit.is_none() {
            lock(&self.progress).units = Some(ticket);
            self.changed.notify_all();
        }
        unit
    }

    /// Hands finished units to the container in ticket order, until the last or a failure.
    fn commit_all(&self, sink: &mut dyn OrderedSink) {
        let guard = PanicGuard(self);
        let mut stopwatch = Stopwatch::start(self.profile, "main");
        loop {
            let mut progress = lock(&self.progress);
            let done = loop {
                let ticket = progress.committed;
                if progress.failed() || progress.units == Some(ticket) {
                    std::mem::forget(guard);
                    return;
                }
                match progress.ready.remove(&ticket) {
                    Some(done) => break done,
                    None => {
                        progress =
                            self.changed.wait(progress).unwrap_or_else(std::sync::PoisonError::into_inner);
                    }
                }
            };
            let ticket = progress.committed;
            drop(progress);
            stopwatch.lap(Stage::WaitToWrite);
            if let Err(error) = sink.commit(done.offset, done.len, &done.encoded) {
                self.fail(ticket, Error::writing(error));
            }
            stopwatch.lap(Stage::Write);
            lock(&self.spare).push(done.encoded);
            lock(&self.progress).committed += 1;
            self.changed.notify_all();
        }
    }

    fn fail(&self, ticket: u64, error: Error) {
        let mut progress = lock(&self.progress);
        // A unit that gave up because another failed says `Cancelled`; it must not hide the reason.
        let replaces = match &progress.error {
            None => true,
            Some((_, Error::Cancelled)) => true,
            Some((first, _)) => ticket < *first && !matches!(error, Error::Cancelled),
        };
        if replaces {
            progress.error = Some((ticket, error));
        }
        drop(progress);
        self.hashes.wake_all();
        self.changed.notify_all();
    }
}

impl Progress {
    /// A positioned unit was written: the committed mark moves over all tickets that are done without a gap.
    fn written(&mut self, ticket: u64) {
        self.finished_ahead.insert(ticket);
        while self.finished_ahead.remove(&self.committed) {
            self.committed += 1;
        }
    }
}

/// Wakes everybody when a thread of the pass panics, so that the panic reaches the caller instead of a deadlock.
struct PanicGuard<'a, 'p>(&'a Pass<'p>);

impl Drop for PanicGuard<'_, '_> {
    fn drop(&mut self) {
        lock(&self.0.progress).panicked = true;
        self.0.hashes.wake_all();
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
