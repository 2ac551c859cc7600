//! Compressing files with XPRESS, before the disk is planned.
//!
//! Where a file lies depends on the lengths of those before it, so all of them are compressed first, into a temporary
//! file that has no name and disappears with the process. Workers take blobs in the order in which the source is best
//! read. Each writes where the longest possible form of its blob would lie; what it does not need stays a hole.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use codec::XpressEncoder;
use disk::WriteAt as _;
use sha1::{Digest, Sha1};
use wim::BlobId;

use crate::blobs::Form;
use crate::build::Run;
use crate::pipeline::{BlobRead, BlobStore as _};
use crate::recipe::{Algorithm, Recipe};
use crate::source::{WimBlobs, WimSource};
use crate::{Error, Result, spool};

/// About how much of a blob is read at once.
const PIECE: usize = 1 << 20;

/// Compresses `blobs`, in this order; those that do not become smaller are left out.
pub(super) fn press(
    source: &WimSource,
    index: u32,
    blobs: Vec<u32>,
    algorithm: Algorithm,
    recipe: &Recipe,
    run: Run<'_>,
) -> Result<BTreeMap<u32, Form>> {
    let file = Arc::new(spool::temporary(&recipe.output)?);
    let threads = run.pool.current_num_threads();
    source.wim().set_memory(run.memory / 2);
    run.counters
        .total
        .store(blobs.iter().map(|&blob| source.wim().blob(BlobId(blob)).size).sum(), Ordering::Relaxed);
    let store = source.blobs(index);
    let (next, end) = (AtomicUsize::new(0), AtomicU64::new(0));
    let done: Mutex<Done> = Mutex::default();
    let work = || {
        let mut worker = Worker {
            store: &store,
            reader: store.reader(),
            file: &file,
            algorithm,
            press: XpressEncoder::new(codec::Level::Fast),
        };
        loop {
            let ticket = next.fetch_add(1, Ordering::Relaxed);
            let Some(&blob) = blobs.get(ticket) else { return };
            let outcome = match run.cancel.load(Ordering::Relaxed) {
                true => Err(Error::Cancelled),
                false => worker.press(blob, &end, run),
            };
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(form) => done.forms.extend(form.map(|form| (blob, form))),
                Err(error) => {
                    // The first in the order of the source, as far as it is known.
                    if done.error.as_ref().is_none_or(|&(first, _)| ticket < first) {
                        done.error = Some((ticket, error));
                    }
                    next.store(blobs.len(), Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    run.pool.in_place_scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| work());
        }
    });
    run.counters.rendered.store(0, Ordering::Relaxed);
    match done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Done { error: Some((_, error)), .. } => Err(error),
        Done { forms, error: None } => Ok(forms),
    }
}

/// What the workers have done, and what went wrong first in the order of the source.
#[derive(Default)]
struct Done {
    forms: BTreeMap<u32, Form>,
    error: Option<(usize, Error)>,
}

struct Worker<'a> {
    store: &'a WimBlobs<'a>,
    reader: Box<dyn BlobRead + Send + 'a>,
    file: &'a Arc<File>,
    algorithm: Algorithm,
    press: XpressEncoder,
}

impl Worker<'_> {
    /// Compresses a blob into the file and checks its SHA-1; `None` when it does not get smaller.
    fn press(&mut self, blob: u32, end: &AtomicU64, run: Run<'_>) -> Result<Option<Form>> {
        let len = self.store.blob_len(blob);
        let chunk_size = self.algorithm.chunk_size() as usize;
        let entry_len: u64 = if len > u64::from(u32::MAX) { 8 } else { 4 };
        let table_len = (len.div_ceil(chunk_size as u64) - 1) * entry_len;
        let start = end.fetch_add(table_len + len, Ordering::Relaxed);

        let mut table = Vec::new();
        let mut hash = Sha1::new();
        let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        let mut out = Vec::new();
        let mut packed = vec![0; chunk_size];
        let (mut at, mut written) = (0, 0u64);
        while at < len {
            let piece = &mut piece[..(len - at).min(PIECE as u64) as usize];
            self.reader.read_at(blob, at, piece)?;
            hash.update(&piece);
            out.clear();
            for chunk in piece.chunks(chunk_size) {
                if at > 0 || !out.is_empty() {
                    let offset = written + out.len() as u64;
                    table.extend_from_slice(&offset.to_le_bytes()[..entry_len as usize]);
                }
                match self.press.encode(chunk, &mut packed[..chunk.len()]) {
                    Some(len) => out.extend_from_slice(&packed[..len]),
                    None => out.extend_from_slice(chunk),
                }
            }
            self.file.write_all_at(&out, start + table_len + written).map_err(Error::temporary)?;
            written += out.len() as u64;
            at += piece.len() as u64;
            run.counters.rendered.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if run.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
        }
        let found: [u8; 20] = hash.finalize().into();
        if found != self.store.sha1(blob) {
            return Err(self.store.mismatch(blob, found));
        }
        let total = table_len + written;
        if total >= len {
            return Ok(None);
        }
        self.file.write_all_at(&table, start).map_err(Error::temporary)?;
        let sha1 = self.sha1_of(start, total)?;
        let (blob, file) = (BlobId(blob), Arc::clone(self.file));
        Ok(Some(Form::Pressed { blob, file, offset: start, len: total, sha1 }))
    }

    /// What the form is to be when it is copied to the disk.
    fn sha1_of(&self, start: u64, len: u64) -> Result<[u8; 20]> {
        use disk::ReadAt as _;
        let mut hash = Sha1::new();
        let mut buf = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        let mut at = 0;
        while at < len {
            let part = &mut buf[..(len - at).min(PIECE as u64) as usize];
            self.file.read_exact_at(part, start + at).map_err(Error::temporary)?;
            hash.update(&part);
            at += part.len() as u64;
        }
        Ok(hash.finalize().into())
    }
}
