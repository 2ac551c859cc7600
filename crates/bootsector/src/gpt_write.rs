//! GUID partition tables, written.
//!
//! The `gpt` crate lays out headers and entries and computes their checksums. It wants a disk to write to, of which it
//! touches both ends alone; it is given those, and what no reader could make sense of is refused before.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use disk::{Guid, SectorSize};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use uuid::Uuid;

use crate::gpt_read::{Gpt, GptPartition};
use crate::{Error, Result};

/// Entries of a table, as Windows and everybody else makes it.
const ENTRIES: u64 = 128;
/// Bytes of an entry.
const ENTRY: u64 = 128;
/// UTF-16 units of a name at most.
const NAME: usize = 36;

/// The bytes of a table: what is at the disk's start, and what is at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GptBytes {
    /// From byte 0: the protective master boot record, the header, the entries.
    pub start: Vec<u8>,
    /// The copy: the entries, then the header, in the last bytes of the disk.
    pub end: Vec<u8>,
    /// Where `end` begins on the disk.
    pub end_offset: u64,
}

impl Gpt {
    /// A table without partitions.
    pub fn new(disk: Guid, sector: SectorSize) -> Self {
        Self { disk, sector, partitions: Vec::new(), primary_fault: None }
    }

    /// The sectors that partitions can have on a disk of `size` bytes; empty when it is too small for a table.
    pub fn usable(sector: SectorSize, size: u64) -> std::ops::Range<u64> {
        let bytes = u64::from(sector.bytes());
        let table = (ENTRIES * ENTRY).div_ceil(bytes);
        2 + table..(size / bytes).saturating_sub(1 + table)
    }

    /// The table for a disk of `size` bytes.
    ///
    /// # Errors
    /// [`Error::Impossible`] when partitions overlap, are empty, or do not lie between the table and its copy; when their
    /// numbers are not 1, 2, 3, …; when an id is nil or used twice, or a name longer than 36 UTF-16 units.
    pub fn to_bytes(&self, size: u64) -> Result<GptBytes> {
        self.check(size)?;
        let bytes = u64::from(self.sector.bytes());
        let usable = Self::usable(self.sector, size);
        let mut ends = Ends {
            start: vec![0; (usable.start * bytes) as usize],
            end: vec![0; ((size / bytes - usable.end) * bytes) as usize],
            end_offset: usable.end * bytes,
            at: 0,
        };
        let failed = |what: String| Error::Impossible(format!("the table cannot be written: {what}"));
        let protected = u32::try_from(size / bytes - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(protected)
            .overwrite_lba0(&mut ends)
            .map_err(|error| failed(error.to_string()))?;
        let sector = match self.sector {
            SectorSize::B512 => LogicalBlockSize::Lb512,
            SectorSize::B4096 => LogicalBlockSize::Lb4096,
        };
        let mut table = gpt::GptConfig::new()
            .writable(true)
            .logical_block_size(sector)
            .create_from_device(ends, Some(uuid(self.disk)))
            .map_err(|error| failed(error.to_string()))?;
        let entry = |partition: &GptPartition| gpt::partition::Partition {
            part_type_guid: uuid(partition.kind).into(),
            part_guid: uuid(partition.id),
            first_lba: partition.start.0,
            last_lba: partition.start.0 + (partition.sectors - 1),
            flags: partition.attributes,
            name: partition.name.clone(),
        };
        let entries: BTreeMap<u32, _> =
            self.partitions.iter().map(|partition| (partition.number, entry(partition))).collect();
        table.update_partitions(entries).map_err(|error| failed(error.to_string()))?;
        let Ends { start, end, end_offset, .. } = table.write().map_err(|error| failed(error.to_string()))?;
        Ok(GptBytes { start, end, end_offset })
    }

    fn check(&self, size: u64) -> Result<()> {
        let impossible = |reason: String| Err(Error::Impossible(reason));
        let usable = Self::usable(self.sector, size);
        if usable.is_empty() {
            return impossible(format!("a disk of {size} bytes has no room for a GUID partition table"));
        }
        if self.partitions.len() as u64 > ENTRIES {
            return impossible(format!("{} partitions, the table has {ENTRIES}", self.partitions.len()));
        }
        for (index, partition) in (1..).zip(&self.partitions) {
            let number = partition.number;
            if number != index {
                return impossible(format!("partition {number} where partition {index} was expected"));
            }
            let end = partition.start.0.checked_add(partition.sectors);
            if partition.sectors == 0
                || partition.start.0 < usable.start
                || end.is_none_or(|end| end > usable.end)
            {
                return impossible(format!(
                    "partition {number} has {} sectors from {}, expected some within {}..{}",
                    partition.sectors, partition.start.0, usable.start, usable.end
                ));
            }
            if partition.kind.is_nil() || partition.id.is_nil() {
                return impossible(format!("partition {number} has no type or no id"));
            }
            let units = partition.name.encode_utf16().count();
            if units > NAME {
                return impossible(format!(
                    "partition {number} has a name of {units} units, at most {NAME} fit"
                ));
            }
            for other in &self.partitions[..index as usize - 1] {
                if partition.start.0 < other.start.0 + other.sectors && Some(other.start.0) < end {
                    return impossible(format!("partition {number} overlaps partition {}", other.number));
                }
                if partition.id == other.id {
                    return impossible(format!(
                        "partition {number} has the id of partition {}",
                        other.number
                    ));
                }
            }
        }
        Ok(())
    }
}

fn uuid(guid: Guid) -> Uuid {
    Uuid::from_bytes_le(guid.0)
}

/// A disk of which only both ends are there.
#[derive(Debug)]
struct Ends {
    start: Vec<u8>,
    end: Vec<u8>,
    end_offset: u64,
    at: u64,
}

impl Ends {
    fn len(&self) -> u64 {
        self.end_offset + self.end.len() as u64
    }

    /// What is there of `len` bytes from where it stands, and moves on.
    fn take(&mut self, len: usize) -> io::Result<&mut [u8]> {
        let at = self.at;
        let (part, offset) = match at.checked_sub(self.end_offset) {
            Some(offset) => (&mut self.end, offset),
            None => (&mut self.start, at),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(part.len());
        let len = len.min(part.len() - offset);
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("no table at byte {at:#x}")));
        }
        self.at += len as u64;
        Ok(&mut part[offset..offset + len])
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let there = self.take(buf.len())?;
        buf[..there.len()].copy_from_slice(there);
        Ok(there.len())
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let there = self.take(buf.len())?;
        there.copy_from_slice(&buf[..there.len()]);
        Ok(there.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.at = to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the disk"))?;
        Ok(self.at)
    }
}
