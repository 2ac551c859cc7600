//! Where two disks differ, whatever holds them.
//!
//! What neither stores is equal without a look. The rest is compared in parallel, and the first difference is the first on
//! the disk, whichever thread met one first. It is then named by what lies there: people know files, not offsets.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk::{BlockMap, ReadAt, SubRange};
use ntfs_writer::read;
use rayon::prelude::*;
use serde::Serialize;

use crate::disk_file::Ranges;
use crate::disk_source::path_of;
use crate::{DiskFile, DiskPartition, Error, Partitions, Result, Run};

/// How two disks compare.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DiskComparison {
    /// Sizes of the disks in bytes.
    pub sizes: [u64; 2],
    /// Bytes that were looked at; the rest is stored in neither.
    pub compared: u64,
    /// The first byte that differs. Where one disk has ended, the other has to be zero.
    pub first: Option<FirstDifference>,
}

impl DiskComparison {
    /// Whether the contents are equal; the sizes may differ by zeros at the end.
    pub fn is_equal(&self) -> bool {
        self.first.is_none()
    }
}

/// The first byte in which two disks differ.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FirstDifference {
    /// Where on the disk.
    pub offset: u64,
    /// The byte on each.
    pub bytes: [u8; 2],
    /// The partition of the first disk that it lies in.
    pub partition: Option<u32>,
    /// Where in the partition.
    pub partition_offset: Option<u64>,
    /// What of the partition's volume lies there on the first disk: the path of a file, or a structure of the file
    /// system.
    pub file: Option<String>,
}

/// Length of `$Boot`, where every NTFS volume begins.
const BOOT_LEN: u64 = 8192;
/// How much a thread compares at once.
const PIECE: u64 = 1 << 20;

/// Compares two disks. `run.counters` counts the bytes compared.
///
/// # Errors
/// [`Error::Read`] for whichever cannot be read, [`Error::Cancelled`].
pub fn compare_disks(a: &DiskFile, b: &DiskFile, run: Run<'_>) -> Result<DiskComparison> {
    let sizes = [a.size()?, b.size()?];
    let mut stored = Vec::new();
    for disk in [a, b] {
        let read = |source| Error::Read { path: disk.path().to_owned(), source };
        stored.extend(Ranges::stored(disk.disk().as_ref()).map_err(read)?);
    }
    let pieces = pieces(stored);
    let compared = pieces.iter().map(|piece| piece.end - piece.start).sum();
    run.counters.total.store(compared, Ordering::Relaxed);
    let found = run.pool.install(|| {
        pieces.into_par_iter().find_map_first(|piece| {
            if run.cancel.load(Ordering::Relaxed) {
                return Some(Err(Error::Cancelled));
            }
            let found = compare_piece(a, b, sizes, piece.clone()).transpose();
            run.counters.rendered.fetch_add(piece.end - piece.start, Ordering::Relaxed);
            found
        })
    });
    let first = found.transpose()?.map(|(offset, bytes)| named(a, offset, bytes));
    Ok(DiskComparison { sizes, compared, first })
}

/// The union of ranges, in pieces.
fn pieces(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in ranges {
        at = at.max(range.start);
        while at < range.end {
            let end = range.end.min((at / PIECE + 1) * PIECE);
            pieces.push(at..end);
            at = end;
        }
    }
    pieces
}

/// The first difference in a piece; what lies past a disk's end counts as zero.
fn compare_piece(
    a: &DiskFile,
    b: &DiskFile,
    sizes: [u64; 2],
    piece: Range<u64>,
) -> Result<Option<(u64, [u8; 2])>> {
    let mut buffers = [Vec::new(), Vec::new()];
    for ((disk, size), buffer) in [a, b].into_iter().zip(sizes).zip(&mut buffers) {
        buffer.resize((piece.end - piece.start) as usize, 0);
        let there = size.clamp(piece.start, piece.end) - piece.start;
        if there == 0 {
            continue;
        }
        let read = disk.disk().read_exact_at(&mut buffer[..there as usize], piece.start);
        read.map_err(|source| Error::Read { path: disk.path().to_owned(), source })?;
    }
    let [a, b] = &buffers;
    if a == b {
        return Ok(None);
    }
    let first = a.iter().zip(b).position(|(a, b)| a != b);
    Ok(first.map(|at| (piece.start + at as u64, [a[at], b[at]])))
}

/// Says what lies where the disks differ. A disk that nothing can be said of still differs.
fn named(disk: &DiskFile, offset: u64, bytes: [u8; 2]) -> FirstDifference {
    let partitions = Partitions::of(disk).map_or_else(|_| Vec::new(), |found| found.partitions);
    let inside =
        |partition: &&DiskPartition| offset >= partition.start && offset - partition.start < partition.size;
    let partition = partitions.iter().find(inside);
    let within = partition.map(|partition| offset - partition.start);
    FirstDifference {
        offset,
        bytes,
        partition: partition.map(|partition| partition.number),
        partition_offset: within,
        file: partition.zip(within).and_then(|(partition, within)| owner(disk, partition, within)),
    }
}

/// What lies at a byte of an NTFS volume.
fn owner(disk: &DiskFile, partition: &DiskPartition, offset: u64) -> Option<String> {
    if !partition.is_ntfs() {
        return None;
    }
    if offset < BOOT_LEN {
        return Some("$Boot".to_owned());
    }
    let range: SubRange<Arc<dyn BlockMap>> =
        SubRange::new(disk.disk().clone(), partition.start, partition.size).ok()??;
    let volume = read::Volume::open(Arc::new(range), read::Options::default()).ok()?;
    let boot = volume.boot();
    let (cluster, record_size) = (u64::from(boot.cluster_size), u64::from(boot.record_size));
    for number in 0..volume.record_count() {
        // What is not in use, or damaged, owns nothing that could be named.
        let Ok(file) = volume.file(number) else { continue };
        for name in file.stream_names() {
            let Ok(Some(stream)) = file.raw_stream(&volume, &name) else { continue };
            for run in stream.runs() {
                let Some(start) = run.lcn.and_then(|lcn| lcn.checked_mul(cluster)) else { continue };
                if offset < start || offset - start >= run.clusters.saturating_mul(cluster) {
                    continue;
                }
                // Records of small files hold the files.
                let at = (run.vcn * cluster).saturating_add(offset - start);
                if number == 0 && name.is_empty() && at / record_size != 0 {
                    let record = at / record_size;
                    return Some(format!("the record of {}", path(&volume, record)));
                }
                let mut path = path(&volume, number);
                if !name.is_empty() {
                    path = format!("{path}:{}", String::from_utf16_lossy(&name));
                }
                return Some(path);
            }
        }
    }
    match volume.usage() {
        // No stream has it: a directory's index, an attribute list, or nothing at all.
        Ok(_) => Some("no file's data (metadata, or free space)".to_owned()),
        Err(_) => None,
    }
}

/// The path of a file; the root's is a separator.
fn path(volume: &read::Volume, number: u64) -> String {
    match path_of(volume, number, "\\") {
        root if root.is_empty() => "\\".to_owned(),
        path => path.strip_prefix('\\').map(str::to_owned).unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_both_are_looked_at_once() {
        let joined = pieces(vec![0..10, 5..20, 3 * PIECE - 1..3 * PIECE + 1, 0..4]);
        assert_eq!(joined, [0..10, 10..20, 3 * PIECE - 1..3 * PIECE, 3 * PIECE..3 * PIECE + 1]);
    }
}
