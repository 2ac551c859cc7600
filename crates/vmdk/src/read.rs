use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{BlockMap, MappedRange, RangeKind, ReadAt};
use flate2::{Decompress, FlushDecompress, Status};

use crate::descriptor::Descriptor;
use crate::grain::HEAD_LEN;
use crate::layout::{FLAG_COMPRESSED, FLAG_ZERO_GRAINS, Header, SECTOR, TABLE_ENTRIES};
use crate::open::{self, Opened, le_words};
use crate::{Error, Result};

/// How many grain tables are kept: 128 KiB, which map 2 GiB in grains of 64 KiB.
const CACHED_TABLES: usize = 64;
/// How many bytes of inflated grains are kept, for reads smaller than a grain.
const CACHED_BYTES: u64 = 2 << 20;

/// The kinds of VMDK that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compressed grains; made to be transported.
    StreamOptimized,
    /// Plain grains; made to be used.
    MonolithicSparse,
}

/// An open VMDK: the disk inside, as something to read from.
pub struct Vmdk {
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) opened: Opened,
    tables: Mutex<Recent<Arc<[u32]>>>,
    grains: Mutex<Recent<Arc<[u8]>>>,
    /// Inflate's states, as many as there were reads at once.
    inflaters: Mutex<Vec<Decompress>>,
}

impl fmt::Debug for Vmdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vmdk")
            .field("header", &self.opened.header)
            .field("descriptor", &self.opened.descriptor)
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

impl Vmdk {
    /// Opens a streamOptimized or monolithicSparse VMDK and checks header, footer, descriptor and grain directory.
    /// Tables and grains are checked when they are read; all of them at once by [`check`](Self::check).
    ///
    /// Memory: the grain directory (at most 4 MiB), tables and grains in use (at most 4 MiB), and what the descriptor
    /// says. No other file is ever opened, whatever the descriptor names.
    ///
    /// # Errors
    /// [`Error::Malformed`]; [`Error::Unsupported`] for disks in several files, snapshots and the formats of ESX;
    /// [`Error::Limit`]; [`Error::Io`].
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self> {
        let opened = open::open(&*file)?;
        let grains = (CACHED_BYTES / (opened.header.grain_size * SECTOR)).max(2) as usize;
        Ok(Self {
            file,
            opened,
            tables: Recent::new(CACHED_TABLES),
            grains: Recent::new(grains),
            inflaters: Mutex::new(Vec::new()),
        })
    }

    /// Compressed or plain.
    pub fn kind(&self) -> Kind {
        if self.compressed() { Kind::StreamOptimized } else { Kind::MonolithicSparse }
    }

    /// Size in bytes of the disk: the header's capacity.
    pub fn disk_size(&self) -> u64 {
        // Cannot overflow: an accepted header has at most 2^20 tables of at most 512 MiB.
        self.opened.header.capacity * SECTOR
    }

    /// The header, or the footer of a file that was streamed.
    pub fn header(&self) -> &Header {
        &self.opened.header
    }

    /// Whether tables and directory follow the grains, as in a file that was written front to back.
    pub fn is_streamed(&self) -> bool {
        self.opened.streamed
    }

    /// The descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.opened.descriptor
    }

    pub(crate) fn compressed(&self) -> bool {
        self.opened.header.flags & FLAG_COMPRESSED != 0
    }

    pub(crate) fn grain_bytes(&self) -> u64 {
        self.opened.header.grain_size * SECTOR
    }

    /// Bytes of the disk that lie in grain `grain`: all of it, but for the last.
    pub(crate) fn used_bytes(&self, grain: u64) -> u64 {
        self.grain_bytes().min(self.disk_size() - grain * self.grain_bytes())
    }

    /// Whether a table entry says that the grain is zero.
    pub(crate) fn is_zero_entry(&self, entry: u32) -> bool {
        entry == 0 || (entry == 1 && self.opened.header.flags & FLAG_ZERO_GRAINS != 0)
    }

    /// Grain table `index`, which the directory has.
    pub(crate) fn read_table(&self, sector: u32) -> Result<Arc<[u32]>> {
        let at = u64::from(sector) * SECTOR;
        let mut bytes = [0; TABLE_ENTRIES * 4];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK grain table", at))?;
        Ok(le_words(&bytes).collect())
    }

    fn table(&self, index: u64) -> Result<Option<Arc<[u32]>>> {
        let sector = self.opened.directory[index as usize];
        if sector == 0 {
            return Ok(None);
        }
        if let Some(table) = lock(&self.tables).get(index) {
            return Ok(Some(table));
        }
        let table = self.read_table(sector)?;
        lock(&self.tables).put(index, Arc::clone(&table));
        Ok(Some(table))
    }

    fn entry(&self, grain: u64) -> Result<u32> {
        let entries = TABLE_ENTRIES as u64;
        Ok(self.table(grain / entries)?.map_or(0, |table| table[(grain % entries) as usize]))
    }

    /// Where the bytes of plain grain `grain` lie in the file.
    pub(crate) fn plain_at(&self, grain: u64, entry: u32) -> Result<u64> {
        let at = u64::from(entry) * SECTOR;
        let end = at + self.used_bytes(grain);
        if u64::from(entry) < self.opened.header.overhead || end > self.opened.file_len {
            return Err(self.grain_fault(
                grain,
                at,
                format!(
                    "does not lie between {:#x} and the file's end {:#x}",
                    self.opened.header.overhead * SECTOR,
                    self.opened.file_len
                ),
            ));
        }
        Ok(at)
    }

    fn grain_fault(&self, grain: u64, at: u64, reason: String) -> Error {
        Error::malformed("VMDK grain", at, format!("grain {grain} {reason}"))
    }

    /// The first sector of compressed grain `grain`, and the length of its data.
    pub(crate) fn compressed_head(&self, grain: u64, entry: u32) -> Result<([u8; SECTOR as usize], u32)> {
        let at = u64::from(entry) * SECTOR;
        let fault = |reason: String| Err(self.grain_fault(grain, at, reason));
        let (overhead, file_len) = (self.opened.header.overhead, self.opened.file_len);
        if u64::from(entry) < overhead || at + SECTOR > file_len {
            let first = overhead * SECTOR;
            return fault(format!("does not lie between {first:#x} and the file's end {file_len:#x}"));
        }
        let mut sector = [0; SECTOR as usize];
        self.file.read_exact_at(&mut sector, at).map_err(Error::reading("VMDK grain", at))?;
        let marker = crate::layout::Marker::from_sector(&sector);
        let lba = grain * self.opened.header.grain_size;
        if marker.value != lba {
            return fault(format!("says LBA {:#x}, its table entry {lba:#x}", marker.value));
        }
        // What VirtualBox has room for: a grain and a sector, head included. Deflate never needs that much.
        let most = self.grain_bytes() + SECTOR - HEAD_LEN as u64;
        let size = u64::from(marker.size);
        if size == 0 || size > most {
            return fault(format!("has {size} compressed bytes, expected 1 to {most}"));
        }
        if at + HEAD_LEN as u64 + size > file_len {
            return fault(format!(
                "has {size} compressed bytes, which end past the file's end {file_len:#x}"
            ));
        }
        Ok((sector, marker.size))
    }

    /// Fills `out`, of a grain's length, with compressed grain `grain`.
    fn inflate(&self, grain: u64, entry: u32, out: &mut [u8]) -> Result<()> {
        let at = u64::from(entry) * SECTOR;
        let (sector, size) = self.compressed_head(grain, entry)?;
        let mut data = vec![0; size as usize];
        let (here, beyond) = data.split_at_mut((size as usize).min(sector.len() - HEAD_LEN));
        here.copy_from_slice(&sector[HEAD_LEN..][..here.len()]);
        self.file.read_exact_at(beyond, at + SECTOR).map_err(Error::reading("VMDK grain", at))?;

        let mut inflater = lock(&self.inflaters).pop().unwrap_or_else(|| Decompress::new(true));
        inflater.reset(true);
        let status = inflater.decompress(&data, out, FlushDecompress::Finish);
        let (total_in, total_out) = (inflater.total_in(), inflater.total_out());
        lock(&self.inflaters).push(inflater);

        let fault = |reason: String| Err(self.grain_fault(grain, at, reason));
        match status {
            Ok(Status::StreamEnd) => {}
            Ok(_) => {
                let whole = out.len();
                return fault(format!(
                    "does not end: {total_in} of its {size} bytes gave {total_out} of {whole}"
                ));
            }
            Err(error) => return fault(format!("does not inflate: {error}")),
        }
        // qemu-img cuts the last grain of a disk at the disk's end (VirtualBox does not read that).
        if total_out < self.used_bytes(grain) {
            return fault(format!("inflates to {total_out} bytes, expected {}", out.len()));
        }
        let short = total_out != out.len() as u64;
        let last = (grain + 1) * self.grain_bytes() >= self.disk_size();
        if short && !last {
            return fault(format!("inflates to {total_out} bytes, expected {}", out.len()));
        }
        Ok(())
    }

    fn cached_grain(&self, grain: u64, entry: u32) -> Result<Arc<[u8]>> {
        if let Some(bytes) = lock(&self.grains).get(grain) {
            return Ok(bytes);
        }
        let mut bytes = vec![0; self.grain_bytes() as usize];
        self.inflate(grain, entry, &mut bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        lock(&self.grains).put(grain, Arc::clone(&bytes));
        Ok(bytes)
    }

    /// Fills `part` from byte `inside` of grain `grain`.
    fn read_grain(&self, grain: u64, inside: u64, part: &mut [u8]) -> Result<()> {
        let entry = self.entry(grain)?;
        if self.is_zero_entry(entry) {
            part.fill(0);
        } else if !self.compressed() {
            let at = self.plain_at(grain, entry)? + inside;
            self.file.read_exact_at(part, at).map_err(Error::reading("VMDK grain", at))?;
        } else if part.len() as u64 == self.grain_bytes() {
            self.inflate(grain, entry, part)?;
        } else {
            let bytes = self.cached_grain(grain, entry)?;
            part.copy_from_slice(&bytes[inside as usize..][..part.len()]);
        }
        Ok(())
    }
}

/// An error of this crate, as [`ReadAt`] has to tell it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { source, .. } => source.kind(),
            Error::Unsupported { .. } => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl ReadAt for Vmdk {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.disk_size()) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read past the disk's end"));
        }
        let grain_bytes = self.grain_bytes();
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let inside = offset % grain_bytes;
            let len = buf.len().min((grain_bytes - inside) as usize);
            let (part, rest) = buf.split_at_mut(len);
            self.read_grain(offset / grain_bytes, inside, part)?;
            offset += len as u64;
            buf = rest;
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk_size())
    }
}

impl BlockMap for Vmdk {
    fn range_at(&self, offset: u64) -> io::Result<Option<MappedRange>> {
        let size = self.disk_size();
        if offset >= size {
            return Ok(None);
        }
        let (grain_bytes, entries) = (self.grain_bytes(), TABLE_ENTRIES as u64);
        let first = offset / grain_bytes;
        let index = first / entries;
        let (end, kind) = match self.table(index)? {
            None => {
                let absent =
                    self.opened.directory[index as usize..].iter().take_while(|sector| **sector == 0);
                ((index + absent.count() as u64) * entries, RangeKind::Zero)
            }
            Some(table) => {
                let here = &table[(first % entries) as usize..];
                let zero = self.is_zero_entry(here[0]);
                let same = here.iter().take_while(|entry| self.is_zero_entry(**entry) == zero).count();
                (first + same as u64, if zero { RangeKind::Zero } else { RangeKind::Data })
            }
        };
        let start = first * grain_bytes;
        Ok(Some(MappedRange { start, len: (end * grain_bytes).min(size) - start, kind }))
    }
}
