use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use flate2::Decompress;

use crate::entry::{Entry, Mapping, SUBCLUSTERS};
use crate::inflate;
use crate::layout::{ENTRY_COPIED, ENTRY_OFFSET, Header, INCOMPATIBLE_CORRUPT, INCOMPATIBLE_DIRTY, MAGIC};
use crate::open::{self, Compression, Opened, ParentReference, be_words};
use crate::{Error, Result, impossible};

/// L2 tables are read in pieces of this many bytes, or less where clusters are smaller.
const SLICE: u64 = 64 << 10;
/// How many pieces are kept: 4 MiB, which map 32 GiB in clusters of 64 KiB.
const CACHED_SLICES: usize = 64;
/// How many bytes of inflated clusters are kept, for reads smaller than a cluster.
const CACHED_BYTES: u64 = 2 << 20;

/// Whether `file` says it is a qcow2 file (or one of the older format qcow).
///
/// # Errors
/// As reading `file`.
pub fn is_qcow2(file: &dyn ReadAt) -> io::Result<bool> {
    let mut magic = [0; 4];
    if file.size()? < magic.len() as u64 {
        return Ok(false);
    }
    file.read_exact_at(&mut magic, 0)?;
    Ok(magic == MAGIC)
}

/// An open qcow2 file: the disk inside, as something to read from.
pub struct Qcow2 {
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) opened: Opened,
    parent: Option<Arc<dyn BlockMap>>,
    slices: Mutex<Recent<Arc<[u64]>>>,
    clusters: Mutex<Recent<Arc<[u8]>>>,
    /// Inflate's states, as many as there were reads at once.
    inflaters: Mutex<Vec<Decompress>>,
}

impl fmt::Debug for Qcow2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qcow2")
            .field("header", &self.opened.header)
            .field("parent", &self.opened.parent)
            .finish_non_exhaustive()
    }
}

/// A few things by number; the one that was not used for longest goes first.
struct Recent<T> {
    items: Vec<(u64, T)>,
    capacity: usize,
}

impl<T: Clone> Recent<T> {
    fn new(capacity: usize) -> Mutex<Self> {
        Mutex::new(Self { items: Vec::new(), capacity })
    }

    fn get(&mut self, key: u64) -> Option<T> {
        let place = self.items.iter().position(|(k, _)| *k == key)?;
        self.items[..=place].rotate_right(1);
        Some(self.items[0].1.clone())
    }

    fn put(&mut self, key: u64, item: T) {
        self.items.truncate(self.capacity - 1);
        self.items.insert(0, (key, item));
    }
}

/// Nothing that these mutexes guard is left half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A piece of an L2 table, or that there is none.
enum Slice {
    /// The L2 table is not there.
    Absent,
    /// Entries from the one with this number in the whole disk.
    Entries { words: Arc<[u64]>, first: u64, at: u64 },
}

impl Qcow2 {
    /// Opens a qcow2 file of version 2 or 3 and checks its header. L2 tables and clusters are checked when they are read;
    /// all of them, and the reference counts, at once by [`check`](Self::check).
    ///
    /// Memory: the L1 table (at most 32 MiB, twice while opening), pieces of L2 tables and clusters in use (at most
    /// 8 MiB). No other file is ever opened, whatever the header names.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::Unsupported`] for encryption, external data files, version 1 and features unknown
    /// here; [`Error::Limit`]; [`Error::Io`].
    pub fn open(file: impl ReadAt + 'static) -> Result<Self> {
        let file: Arc<dyn ReadAt> = Arc::new(file);
        let opened = open::open(&*file)?;
        let clusters = (CACHED_BYTES / opened.header.cluster_size()).clamp(2, 64) as usize;
        Ok(Self {
            file,
            opened,
            parent: None,
            slices: Recent::new(CACHED_SLICES),
            clusters: Recent::new(clusters),
            inflaters: Mutex::new(Vec::new()),
        })
    }

    /// The same disk with its backing file, which has what this one has not. qcow2 stores no identity of it, so nothing
    /// tells a wrong one from the right one. It may be shorter than the disk, which is zero from there on, or longer.
    ///
    /// # Errors
    /// [`Error::Impossible`] when the file names none.
    pub fn with_parent(mut self, parent: Arc<dyn BlockMap>) -> Result<Self> {
        if self.opened.parent.is_none() {
            return Err(impossible("it has no backing file, but one is given"));
        }
        self.parent = Some(parent);
        Ok(self)
    }

    /// What the file says of its backing file. Without that ([`with_parent`](Self::with_parent)), clusters that are not
    /// in the file cannot be read.
    pub fn parent(&self) -> Option<&ParentReference> {
        self.opened.parent.as_ref()
    }

    /// Size in bytes of the disk.
    pub fn disk_size(&self) -> u64 {
        self.opened.header.size
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.opened.header
    }

    /// How compressed clusters are compressed, if there are any.
    pub fn compression(&self) -> Compression {
        self.opened.compression
    }

    /// Whether the file was not closed by its writer, so that reference counts may be wrong. Reading does not need them.
    pub fn is_dirty(&self) -> bool {
        self.opened.header.incompatible & INCOMPATIBLE_DIRTY != 0
    }

    /// Whether a program that had the file open for writing found it damaged.
    pub fn is_corrupt(&self) -> bool {
        self.opened.header.incompatible & INCOMPATIBLE_CORRUPT != 0
    }

    /// How many internal snapshots there are. They are never read, but counted by [`check`](Self::check); the disk is what
    /// it is now.
    pub fn snapshot_count(&self) -> u32 {
        self.opened.header.snapshots
    }

    /// Whether the file holds persistent dirty bitmaps. They are ignored.
    pub fn has_bitmaps(&self) -> bool {
        self.opened.has_bitmaps
    }

    pub(crate) fn cluster_size(&self) -> u64 {
        self.opened.header.cluster_size()
    }

    /// The parts of the disk of which entries tell one by one.
    fn granule(&self) -> u64 {
        if self.opened.header.extended_l2() { self.cluster_size() / SUBCLUSTERS } else { self.cluster_size() }
    }

    /// What an L1 entry says: where the L2 table lies.
    pub(crate) fn l2_table(&self, word: u64, at: u64) -> Result<Option<u64>> {
        let fault = |reason: String| Error::malformed("qcow2 L1 entry", at, reason);
        if word & !(ENTRY_COPIED | ENTRY_OFFSET) != 0 {
            let reserved = word & !(ENTRY_COPIED | ENTRY_OFFSET);
            return Err(fault(format!("entry {word:#018x}: reserved bits {reserved:#x} are set")));
        }
        let (offset, len) = (word & ENTRY_OFFSET, self.cluster_size());
        if offset == 0 {
            return if word == 0 {
                Ok(None)
            } else {
                Err(fault(format!("entry {word:#018x} leads nowhere")))
            };
        }
        if !offset.is_multiple_of(len) {
            return Err(fault(format!("entry {word:#018x}: not at a cluster of {len:#x} bytes")));
        }
        if offset.checked_add(len).is_none_or(|end| end > self.opened.file_len) {
            let file_len = self.opened.file_len;
            return Err(fault(format!(
                "L2 table at {offset:#x} (+ {len:#x}), the file ends at {file_len:#x}"
            )));
        }
        Ok(Some(offset))
    }

    /// Words of a table that lies at `at`, a whole number of them.
    pub(crate) fn words(&self, what: &'static str, at: u64, len: u64) -> Result<Arc<[u64]>> {
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::reading(what, at))?;
        Ok(be_words(&bytes).collect())
    }

    /// The piece of an L2 table that tells of disk byte `offset`.
    fn slice(&self, offset: u64) -> Result<Slice> {
        let header = &self.opened.header;
        let cluster = offset / header.cluster_size();
        let index = cluster / header.l2_entries();
        let l1_at = header.l1_offset + index * 8;
        let Some(table) = self.l2_table(self.opened.l1[index as usize], l1_at)? else {
            return Ok(Slice::Absent);
        };
        let len = SLICE.min(header.cluster_size());
        let per_slice = len / header.l2_entry_len();
        let first = cluster / per_slice * per_slice;
        let at = table + first % header.l2_entries() * header.l2_entry_len();
        if let Some(words) = lock(&self.slices).get(at) {
            return Ok(Slice::Entries { words, first, at });
        }
        let words = self.words("qcow2 L2 table", at, len)?;
        lock(&self.slices).put(at, Arc::clone(&words));
        Ok(Slice::Entries { words, first, at })
    }

    /// Entry `index` of what was read of an L2 table from `at` on.
    pub(crate) fn entry(&self, words: &[u64], at: u64, index: u64) -> Result<Entry> {
        let header = &self.opened.header;
        let place = index * header.l2_entry_len();
        let word = words[place as usize / 8];
        let bitmap = if header.extended_l2() { words[place as usize / 8 + 1] } else { 0 };
        Entry::parse(word, bitmap, header, self.opened.file_len)
            .map_err(|reason| Error::malformed("qcow2 L2 entry", at + place, reason))
    }

    /// What granule `number` is, from the slice that tells of it.
    fn mapping(&self, slice: &Slice, number: u64) -> Result<Mapping> {
        match slice {
            Slice::Absent => Ok(Mapping::Absent),
            Slice::Entries { words, first, at } => {
                let parts = self.cluster_size() / self.granule();
                let entry = self.entry(words, *at, number / parts - first)?;
                Ok(entry.mapping(number % parts))
            }
        }
    }

    fn inflate(&self, offset: u64, at: u64, len: u64, out: &mut [u8]) -> Result<()> {
        let mut data = vec![0; len as usize];
        self.file.read_exact_at(&mut data, at).map_err(Error::reading("qcow2 compressed cluster", at))?;
        let result = match self.opened.compression {
            Compression::Deflate => {
                let mut inflater = lock(&self.inflaters).pop().unwrap_or_else(|| Decompress::new(false));
                let result = inflate::deflate(&mut inflater, &data, out);
                lock(&self.inflaters).push(inflater);
                result
            }
            Compression::Zstd => inflate::zstd(&data, out),
        };
        let fault = |reason| Err(Error::malformed("qcow2 compressed cluster", at, reason));
        match result {
            Err(reason) => fault(format!("does not inflate: {reason}")),
            // Only the part that lies on the disk matters.
            Ok(done) if (done as u64) < (out.len() as u64).min(self.disk_size() - offset) => {
                fault(format!("inflates to {done} bytes, expected {}", out.len()))
            }
            Ok(_) => Ok(()),
        }
    }

    /// Fills `part` from byte `inside` of the compressed cluster of the disk at `offset`.
    fn read_compressed(
        &self,
        offset: u64,
        (at, len): (u64, u64),
        inside: u64,
        part: &mut [u8],
    ) -> Result<()> {
        if part.len() as u64 == self.cluster_size() {
            return self.inflate(offset, at, len, part);
        }
        let cached = lock(&self.clusters).get(offset);
        let bytes = match cached {
            Some(bytes) => bytes,
            None => {
                let mut bytes = vec![0; self.cluster_size() as usize];
                self.inflate(offset, at, len, &mut bytes)?;
                let bytes: Arc<[u8]> = bytes.into();
                lock(&self.clusters).put(offset, Arc::clone(&bytes));
                bytes
            }
        };
        part.copy_from_slice(&bytes[inside as usize..][..part.len()]);
        Ok(())
    }

    /// Fills `part` from byte `at` of the file, and with zeros behind its end: the last cluster need not be whole.
    fn read_stored(&self, at: u64, part: &mut [u8]) -> Result<()> {
        let there = self.opened.file_len.saturating_sub(at).min(part.len() as u64) as usize;
        let (bytes, rest) = part.split_at_mut(there);
        rest.fill(0);
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.read_exact_at(bytes, at).map_err(Error::reading("qcow2 cluster", at))
    }

    fn no_parent(&self, offset: u64) -> Error {
        let name = self.opened.parent.as_ref().map_or("", |parent| parent.name.as_str());
        let what = format!(
            "disk byte {offset:#x} lies in the backing file \"{}\", which was not given",
            name.escape_debug()
        );
        Error::unsupported("qcow2 header", self.opened.header.backing_offset, what)
    }

    /// Fills `part` from the backing file.
    fn read_parent(&self, offset: u64, part: &mut [u8]) -> io::Result<()> {
        let Some(parent) = &self.parent else {
            if self.opened.parent.is_some() {
                return Err(self.no_parent(offset).into());
            }
            part.fill(0);
            return Ok(());
        };
        let there = parent.size()?.saturating_sub(offset).min(part.len() as u64) as usize;
        let (bytes, rest) = part.split_at_mut(there);
        rest.fill(0);
        if bytes.is_empty() { Ok(()) } else { parent.read_exact_at(bytes, offset) }
    }

    /// What the backing file knows of `start..end`, from `offset` on.
    fn parent_range(&self, offset: u64, start: u64, end: u64) -> io::Result<MappedRange> {
        let absent = MappedRange { start, len: end - start, kind: RangeKind::Zero };
        let Some(parent) = &self.parent else {
            return if self.opened.parent.is_some() {
                Err(self.no_parent(offset).into())
            } else {
                Ok(absent)
            };
        };
        let Some(range) = parent.range_at(offset)? else {
            let start = start.max(parent.size()?.min(offset));
            return Ok(MappedRange { start, len: end - start, ..absent });
        };
        let start = range.start.max(start);
        let end = range.start.saturating_add(range.len).min(end);
        Ok(MappedRange { start, len: end - start, kind: range.kind })
    }
}

impl ReadAt for Qcow2 {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let (cluster_size, granule) = (self.cluster_size(), self.granule());
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let slice = self.slice(offset)?;
            let number = offset / granule;
            let mapping = self.mapping(&slice, number)?;
            // Granules that are read together: those of a compressed cluster, or one.
            let unit = if matches!(mapping, Mapping::Compressed { .. }) { cluster_size } else { granule };
            let inside = offset % unit;
            let len = buf.len().min((unit - inside) as usize);
            let (part, rest) = buf.split_at_mut(len);
            match mapping {
                Mapping::Absent => self.read_parent(offset, part)?,
                Mapping::Zero => part.fill(0),
                Mapping::Stored(at) => self.read_stored(at + offset % cluster_size, part)?,
                Mapping::Compressed { at, len } => {
                    self.read_compressed(offset - inside, (at, len), inside, part)?;
                }
            }
            offset += len as u64;
            buf = rest;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk_size())
    }
}

impl BlockMap for Qcow2 {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let size = self.disk_size();
        if offset >= size {
            return Ok(None);
        }
        let (header, granule) = (&self.opened.header, self.granule());
        let slice = self.slice(offset)?;
        let number = offset / granule;
        let mapping = self.mapping(&slice, number)?;
        let start = number * granule;
        let end = match &slice {
            Slice::Absent => {
                let span = header.cluster_size() * header.l2_entries();
                let index = offset / span;
                let absent = self.opened.l1[index as usize..].iter().take_while(|word| **word == 0).count();
                (index + absent as u64).saturating_mul(span)
            }
            Slice::Entries { words, first, .. } => {
                let parts = header.cluster_size() / granule;
                let last = (first + words.len() as u64 * 8 / header.l2_entry_len()) * parts;
                let last = last.min(size.div_ceil(granule));
                let mut end = number + 1;
                // What is wrong with a later entry is told when that is asked for.
                while end < last && self.mapping(&slice, end).is_ok_and(|other| other.is_like(mapping)) {
                    end += 1;
                }
                end * granule
            }
        };
        let end = end.min(size);
        let whole = |kind| MappedRange { start, len: end - start, kind };
        Ok(Some(match mapping {
            Mapping::Absent => self.parent_range(offset, start, end)?,
            Mapping::Zero => whole(RangeKind::Zero),
            Mapping::Stored(_) | Mapping::Compressed { .. } => whole(RangeKind::Data),
        }))
    }
}
