//! What of a volume is unused, so that it can be zero.
//!
//! A FAT volume says what is free in one place, its table, and everything else follows from the chains: [`unused`] takes
//! the free clusters, what follows the end of a file in its last cluster, entries of directories that were deleted (all
//! but the byte that says so), and what follows the end of a directory. All of these are bytes that no reader looks at, so
//! they can be zero in any order, and work that was interrupted leaves a sound volume.
//!
//! A volume with an error is refused ([`check`](crate::check)): where a chain meets a free cluster, or two chains meet, the
//! table does not say what is free. So is one that was not closed. What belongs to nobody but is not free stays (lost
//! clusters, bad clusters), and so do the reserved sectors (boot code lies there), the tables, and what the partition has
//! behind the volume.

use std::ops::Range;
use std::sync::Arc;

use disk::ReadAt;

use crate::check::{Severity, check};
use crate::layout::{ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, ENTRY_LEN, FIRST_CLUSTER, RawEntry};
use crate::read::{Kind, Region, Table};
use crate::{Directory, Volume};

/// Ranges that are held: 512 MiB.
const MAX_RANGES: usize = 32 << 20;
/// The first byte of an entry that was deleted.
const DELETED: u8 = 0xE5;

/// What of a volume is unused. Offsets are bytes from the volume's first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Unused {
    /// Bytes in a cluster.
    pub cluster_size: u32,
    /// Bytes that no reader ever looks at: sorted, disjoint, none empty, no two of them adjacent.
    pub ranges: Vec<Range<u64>>,
    /// Bytes of free clusters, and of what is left behind the last cluster.
    pub free: u64,
    /// Bytes behind the ends of files and directories, and in entries that were deleted.
    pub tails: u64,
    /// Bytes of the partition behind the volume, which stay.
    pub behind: u64,
}

/// Why nothing is said of a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It was not closed, or had an error when it was last used.
    #[error("{0}")]
    Dirty(String),
    /// Its structures contradict each other.
    #[error("{0}")]
    Unsound(String),
    /// There are more ranges than are held in memory.
    #[error("more than {MAX_RANGES} ranges of unused bytes")]
    Limit,
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] crate::Error),
}

/// What this module's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Finds what is unused on the volume that a disk, or a part of one, is.
///
/// # Errors
/// [`Error::Dirty`] and [`Error::Unsound`] for a volume of which it cannot be told without doubt, [`Error::Read`] for one
/// that is not FAT, or cannot be read.
pub fn unused(disk: &Arc<dyn ReadAt>) -> Result<Unused> {
    let volume = Volume::open(disk.clone())?;
    let report = check(disk.clone())?;
    if let Some(found) = report.findings.iter().find(|found| found.severity == Severity::Error) {
        return Err(Error::Unsound(found.to_string()));
    }
    if report.errors > 0 {
        return Err(Error::Unsound(format!("{} errors", report.errors)));
    }
    if let Some(found) = report.findings.iter().find(|found| found.code == "volume-flags") {
        return Err(Error::Dirty(found.to_string()));
    }
    let size = disk.size().map_err(|source| crate::Error::Io { at: disk::At::new("volume", 0), source })?;
    let mut scan =
        Scan { volume: &volume, table: Table::new(&volume), ranges: Vec::new(), free: 0, tails: 0 };
    scan.free()?;
    scan.tree()?;
    let ranges = merged(scan.ranges)?;
    if ranges.last().is_some_and(|range| range.end > size) {
        return Err(Error::Unsound("the volume is cut off".to_owned()));
    }
    Ok(Unused {
        cluster_size: volume.cluster_size,
        ranges,
        free: scan.free,
        tails: scan.tails,
        behind: size.saturating_sub(volume.len),
    })
}

struct Scan<'v> {
    volume: &'v Volume,
    table: Table<'v>,
    ranges: Vec<Range<u64>>,
    free: u64,
    tails: u64,
}

impl Scan<'_> {
    fn push(&mut self, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let held = self.ranges.len();
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if held >= MAX_RANGES => return Err(Error::Limit),
            _ => self.ranges.push(range),
        }
        Ok(())
    }

    fn tail(&mut self, range: Range<u64>) -> Result<()> {
        self.tails += range.end - range.start;
        self.push(range)
    }

    fn free(&mut self) -> Result<()> {
        let volume = self.volume;
        let mut end = 0;
        for cluster in FIRST_CLUSTER..volume.clusters + FIRST_CLUSTER {
            let Region { start, len } = volume.region(cluster);
            end = start + len;
            if self.table.get(cluster)? == 0 {
                self.free += len;
                self.push(start..end)?;
            }
        }
        let rest = volume.len.saturating_sub(end);
        self.free += rest;
        self.push(end..end + rest)
    }

    fn tree(&mut self) -> Result<()> {
        // A directory is met once: that no cluster has two owners was checked.
        let mut pending = vec![self.volume.root()];
        while let Some(directory) = pending.pop() {
            self.directory(directory, &mut pending)?;
        }
        Ok(())
    }

    fn directory(&mut self, directory: Directory, pending: &mut Vec<Directory>) -> Result<()> {
        let volume = self.volume;
        let mut block = vec![0; volume.cluster_size as usize];
        let mut cluster = directory.0;
        let mut region = if cluster == 0 { volume.root } else { volume.region(cluster) };
        let mut ended = false;
        loop {
            let end = region.start + region.len;
            let mut start = region.start;
            while start < end {
                let len = (end - start).min(block.len() as u64) as usize;
                volume.read(&mut block[..len], start, "directory")?;
                for (at, entry) in (start..).step_by(ENTRY_LEN).zip(block[..len].chunks_exact(ENTRY_LEN)) {
                    ended |= entry[0] == 0;
                    if ended {
                        self.tail(at..at + ENTRY_LEN as u64)?;
                    } else if entry[0] == DELETED {
                        self.tail(at + 1..at + ENTRY_LEN as u64)?;
                    } else if entry[11] & ATTRIBUTE_LABEL == 0 && entry[0] != b'.' {
                        self.entry(entry, pending)?;
                    }
                }
                start += len as u64;
            }
            match directory.0 {
                0 => return Ok(()),
                _ => match self.table.next(cluster)? {
                    Some(next) => (cluster, region) = (next, volume.region(next)),
                    None => return Ok(()),
                },
            }
        }
    }

    fn entry(&mut self, bytes: &[u8], pending: &mut Vec<Directory>) -> Result<()> {
        use binrw::BinRead as _;
        let raw = RawEntry::read(&mut std::io::Cursor::new(bytes)).expect("32 bytes have this shape");
        let volume = self.volume;
        let high = if volume.kind == Kind::Fat32 { raw.cluster_high } else { 0 };
        let mut cluster = u32::from(high) << 16 | u32::from(raw.cluster_low);
        if raw.attributes & ATTRIBUTE_DIRECTORY != 0 {
            volume.checked(cluster, disk::At::new("directory", 0))?;
            pending.push(Directory(cluster));
            return Ok(());
        }
        let (size, len) = (u64::from(raw.size), u64::from(volume.cluster_size));
        let over = size % len;
        if over == 0 {
            return Ok(());
        }
        // The chain has just the clusters that the size needs.
        for _ in 0..size / len {
            let Some(next) = self.table.next(cluster)? else { return Ok(()) };
            cluster = next;
        }
        let cluster = volume.checked(cluster, disk::At::new("directory entry", 0))?;
        let Region { start, len } = volume.region(cluster);
        self.tail(start + over..start + len)
    }
}

/// Sorted and joined; an error when two overlap.
fn merged(mut ranges: Vec<Range<u64>>) -> Result<Vec<Range<u64>>> {
    ranges.sort_unstable_by_key(|range| range.start);
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
        return Err(Error::Unsound(format!("byte {:#x} is unused twice", pair[1].start)));
    }
    ranges.dedup_by(|next, last| {
        let adjacent = last.end == next.start;
        if adjacent {
            last.end = next.end;
        }
        adjacent
    });
    Ok(ranges)
}
