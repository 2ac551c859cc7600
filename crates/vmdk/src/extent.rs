//! Reading one sparse extent: a hosted one (`KDMV`), plain or compressed, or one of ESX (`COWD`), which differs in little
//! but the sizes.

use std::sync::Arc;

use disk::ReadAt;
use flate2::{FlushDecompress, Status};

use crate::cache::Caches;
use crate::grain::HEAD_LEN;
use crate::layout::{
    COWD_TABLE_ENTRIES, CowdHeader, FLAG_COMPRESSED, FLAG_ZERO_GRAINS, Header, Marker, SECTOR, TABLE_ENTRIES,
};
use crate::open::le_words;
use crate::{Error, Result};

/// A sparse extent whose fixed structures were checked.
pub(crate) struct SparseExtent {
    pub(crate) file: Arc<dyn ReadAt>,
    pub(crate) file_len: u64,
    pub(crate) form: Form,
    /// For each grain table its sector, or 0.
    pub(crate) directory: Vec<u32>,
    /// Its number among the disk's extents: caches are shared.
    pub(crate) number: u32,
}

pub(crate) enum Form {
    Hosted {
        /// The header, or the footer where that is the one that counts.
        header: Header,
        /// Whether the footer is the one that counts.
        streamed: bool,
    },
    Cowd(CowdHeader),
}

impl Form {
    /// Sectors of disk in it.
    pub(crate) fn capacity(&self) -> u64 {
        match self {
            Self::Hosted { header, .. } => header.capacity,
            Self::Cowd(header) => header.capacity.into(),
        }
    }

    pub(crate) fn grain_sectors(&self) -> u64 {
        match self {
            Self::Hosted { header, .. } => header.grain_size,
            Self::Cowd(header) => header.grain_size.into(),
        }
    }

    pub(crate) fn table_entries(&self) -> u64 {
        match self {
            Self::Hosted { .. } => TABLE_ENTRIES as u64,
            Self::Cowd(_) => COWD_TABLE_ENTRIES as u64,
        }
    }

    /// How many grain tables span the disk.
    pub(crate) fn tables(&self) -> u64 {
        // Cannot overflow: a checked grain has at most 2048 sectors.
        self.capacity().div_ceil(self.grain_sectors() * self.table_entries())
    }

    /// Sectors of a grain table.
    pub(crate) fn table_sectors(&self) -> u64 {
        self.table_entries() * 4 / SECTOR
    }

    pub(crate) fn grain_directory(&self) -> u64 {
        match self {
            Self::Hosted { header, .. } => header.grain_directory,
            Self::Cowd(header) => header.grain_directory.into(),
        }
    }

    pub(crate) fn directory_sectors(&self) -> u64 {
        (self.tables() * 4).div_ceil(SECTOR)
    }

    /// The first sector where a grain may be.
    fn first_grain(&self) -> u64 {
        match self {
            Self::Hosted { header, .. } => header.overhead,
            Self::Cowd(_) => self.grain_directory() + self.directory_sectors(),
        }
    }
}

/// What a grain table says of a grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Not in this file: zeros, or the parent's.
    Absent,
    /// Zeros, whatever the parent has.
    Zero,
    /// At this sector.
    Stored(u32),
}

impl SparseExtent {
    pub(crate) fn compressed(&self) -> bool {
        matches!(&self.form, Form::Hosted { header, .. } if header.flags & FLAG_COMPRESSED != 0)
    }

    pub(crate) fn grain_bytes(&self) -> u64 {
        self.form.grain_sectors() * SECTOR
    }

    /// Bytes of the disk for which it has grains.
    pub(crate) fn capacity(&self) -> u64 {
        // Cannot overflow: an accepted header has at most 2^20 tables of at most 512 MiB.
        self.form.capacity() * SECTOR
    }

    /// Bytes of the disk that lie in grain `grain`: all of it, but for the last.
    pub(crate) fn used_bytes(&self, grain: u64) -> u64 {
        self.grain_bytes().min(self.capacity() - grain * self.grain_bytes())
    }

    pub(crate) fn judge(&self, entry: u32) -> Grain {
        let zero = matches!(&self.form, Form::Hosted { header, .. } if header.flags & FLAG_ZERO_GRAINS != 0);
        match entry {
            0 => Grain::Absent,
            1 if zero => Grain::Zero,
            sector => Grain::Stored(sector),
        }
    }

    /// The grain table at `sector`.
    pub(crate) fn read_table(&self, sector: u32) -> Result<Arc<[u32]>> {
        let at = u64::from(sector) * SECTOR;
        let mut bytes = vec![0; self.form.table_entries() as usize * 4];
        self.file.read_exact_at(&mut bytes, at).map_err(Error::reading("VMDK grain table", at))?;
        Ok(le_words(&bytes).collect())
    }

    fn table(&self, caches: &Caches, index: u64) -> Result<Option<Arc<[u32]>>> {
        let sector = self.directory[index as usize];
        if sector == 0 {
            return Ok(None);
        }
        caches.table((self.number, index), || self.read_table(sector)).map(Some)
    }

    /// What is known of grain `first`, and how many from there on are alike: absent, zero, or stored (with `in_a_row`
    /// also one after the other in the file). Looks no further than what one table or the directory says.
    fn alike(&self, caches: &Caches, first: u64, in_a_row: bool) -> Result<(Grain, u64)> {
        let entries = self.form.table_entries();
        let index = first / entries;
        let Some(table) = self.table(caches, index)? else {
            let absent = self.directory[index as usize..].iter().take_while(|sector| **sector == 0);
            return Ok((Grain::Absent, (index + absent.count() as u64) * entries - first));
        };
        let here = &table[(first % entries) as usize..];
        let grain = self.judge(here[0]);
        let mut expected = u64::from(here[0]);
        let alike = here.iter().take_while(|entry| match (grain, self.judge(**entry)) {
            (Grain::Stored(_), Grain::Stored(sector)) => {
                let next = !in_a_row || u64::from(sector) == expected;
                expected += self.form.grain_sectors();
                next
            }
            (first, other) => first == other,
        });
        Ok((grain, alike.count() as u64))
    }

    /// What is known of byte `offset`, and the range of the extent that is alike.
    pub(crate) fn range_at(&self, caches: &Caches, offset: u64) -> Result<(Grain, u64, u64)> {
        let first = offset / self.grain_bytes();
        let (grain, count) = self.alike(caches, first, false)?;
        let (start, end) = (first * self.grain_bytes(), (first + count) * self.grain_bytes());
        Ok((grain, start, end.min(self.capacity())))
    }

    /// Reads from byte `offset`, which is inside, into the start of `buf`, and says how much it read. What is absent is
    /// not touched: its length is the second number.
    pub(crate) fn read(&self, caches: &Caches, buf: &mut [u8], offset: u64) -> Result<(usize, usize)> {
        let grain_bytes = self.grain_bytes();
        let (number, inside) = (offset / grain_bytes, offset % grain_bytes);
        let (grain, count) = self.alike(caches, number, !self.compressed())?;
        // Cannot overflow: grains lie inside the extent, but for the end of the last.
        let len = (count * grain_bytes - inside).min(buf.len() as u64) as usize;
        match grain {
            Grain::Absent => Ok((0, len)),
            Grain::Zero => {
                buf[..len].fill(0);
                Ok((len, 0))
            }
            Grain::Stored(sector) if !self.compressed() => {
                let (len, at) = match self.plain_at(number, sector, inside + len as u64) {
                    Ok(at) => (len, at + inside),
                    // One of them is faulty, perhaps not this one.
                    Err(_) => {
                        let len = len.min((grain_bytes - inside) as usize);
                        (len, self.plain_at(number, sector, inside + len as u64)? + inside)
                    }
                };
                self.file.read_exact_at(&mut buf[..len], at).map_err(Error::reading("VMDK grain", at))?;
                Ok((len, 0))
            }
            Grain::Stored(sector) => {
                let len = len.min((grain_bytes - inside) as usize);
                let part = &mut buf[..len];
                if part.len() as u64 == grain_bytes {
                    self.inflate(caches, number, sector, part)?;
                } else {
                    let bytes = caches.grain((self.number, number), || {
                        let mut bytes = vec![0; grain_bytes as usize];
                        self.inflate(caches, number, sector, &mut bytes)?;
                        Ok::<_, Error>(Arc::from(bytes))
                    })?;
                    part.copy_from_slice(&bytes[inside as usize..][..len]);
                }
                Ok((len, 0))
            }
        }
    }

    /// Where the `len` bytes of plain grain `grain`, and of those that follow it, lie in the file.
    pub(crate) fn plain_at(&self, grain: u64, entry: u32, len: u64) -> Result<u64> {
        let at = u64::from(entry) * SECTOR;
        let first = self.form.first_grain();
        if u64::from(entry) < first || at.checked_add(len).is_none_or(|end| end > self.file_len) {
            let (first, end) = (first * SECTOR, self.file_len);
            let reason = format!("does not lie between {first:#x} and the file's end {end:#x}");
            return Err(self.grain_fault(grain, at, reason));
        }
        Ok(at)
    }

    fn grain_fault(&self, grain: u64, at: u64, reason: String) -> Error {
        Error::malformed("VMDK grain", at, format!("grain {grain} {reason}"))
    }

    /// The first sector of compressed grain `grain`, and the length of its data.
    pub(crate) fn compressed_head(&self, grain: u64, entry: u32) -> Result<([u8; SECTOR as usize], u32)> {
        let at = self.plain_at(grain, entry, SECTOR)?;
        let fault = |reason: String| Err(self.grain_fault(grain, at, reason));
        let mut sector = [0; SECTOR as usize];
        self.file.read_exact_at(&mut sector, at).map_err(Error::reading("VMDK grain", at))?;
        let marker = Marker::from_sector(&sector);
        let lba = grain * self.form.grain_sectors();
        if marker.value != lba {
            return fault(format!("says LBA {:#x}, its table entry {lba:#x}", marker.value));
        }
        // What VirtualBox has room for: a grain and a sector, head included. Deflate never needs that much.
        let most = self.grain_bytes() + SECTOR - HEAD_LEN as u64;
        let size = u64::from(marker.size);
        if size == 0 || size > most {
            return fault(format!("has {size} compressed bytes, expected 1 to {most}"));
        }
        if at + HEAD_LEN as u64 + size > self.file_len {
            let end = self.file_len;
            return fault(format!("has {size} compressed bytes, which end past the file's end {end:#x}"));
        }
        Ok((sector, marker.size))
    }

    /// Fills `out`, of a grain's length, with compressed grain `grain`.
    fn inflate(&self, caches: &Caches, grain: u64, entry: u32, out: &mut [u8]) -> Result<()> {
        let at = u64::from(entry) * SECTOR;
        let (sector, size) = self.compressed_head(grain, entry)?;
        let mut data = vec![0; size as usize];
        let (here, beyond) = data.split_at_mut((size as usize).min(sector.len() - HEAD_LEN));
        here.copy_from_slice(&sector[HEAD_LEN..][..here.len()]);
        self.file.read_exact_at(beyond, at + SECTOR).map_err(Error::reading("VMDK grain", at))?;

        let (status, total_in, total_out) = caches.with_inflater(|inflater| {
            let status = inflater.decompress(&data, out, FlushDecompress::Finish);
            (status, inflater.total_in(), inflater.total_out())
        });
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
        out[total_out as usize..].fill(0);
        Ok(())
    }
}
