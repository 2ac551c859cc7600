//! What of a disk is unused, and making it zero.
//!
//! [`survey`] looks at each volume and at what lies between the partitions, and says which bytes nobody reads
//! ([`ntfs_writer::unused`], [`fat::unused`], `gaps`). Two things can be done with the answer: [`Trimmed`] is the disk as it
//! would be, for [`convert`](crate::convert()) to pack like any other, and [`in_place`] makes a disk so.
//!
//! **A volume is taken as a whole or not at all.** One that is dirty, asleep, encrypted or damaged is refused with the
//! reason, and stays as it is; whether the rest of the disk is worth the work then is the caller's to say
//! ([`Survey::require_all`]). A session of Windows that sleeps has every volume of its disk open: if it sleeps on one, all
//! are refused. What holds no file system that is understood is kept, and so is what the partition table says is another
//! system's: a boot sector of NTFS may have survived under it.
//!
//! **It is proven before a byte is written.** Once all is known, every volume is checked again as it would be; a finding that
//! it does not have now refuses it.

mod gaps;
mod in_place;
mod trimmed;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bootsector::GptKind;
use disk::{BlockMap, Guid, ReadAt, SubRange};
use ntfs_writer::unused::{Kept, Patch};
use serde::Serialize;

pub use self::in_place::{Cleared, in_place};
pub use self::trimmed::Trimmed;
use crate::disk_file::Ranges;
use crate::disk_source::{DiskPartition, PartitionKind, Partitions};
use crate::error::with_causes;
use crate::{DiskFile, Error, Result};

/// Whose content counts as unused although it is a file's.
pub use ntfs_writer::unused::Options as Dropped;

/// What to look at, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct SurveyOptions {
    /// Files of Windows volumes that are emptied.
    pub dropped: Dropped,
    /// Only the volume in this partition; nothing between partitions.
    pub partition: Option<u32>,
}

/// What of a disk is unused. Offsets are bytes from the disk's first.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Bytes that nobody reads: sorted, disjoint, no two adjacent.
    ranges: Vec<Range<u64>>,
    /// Structures with remains in them: sorted, disjoint; each with the first byte of its volume.
    patches: Vec<(u64, Patch)>,
    /// What was found where, in the order of the disk.
    pub places: Vec<Place>,
}

/// What was found in a partition, or between partitions.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The partition's number; `None` between partitions.
    pub partition: Option<u32>,
    /// What is there: a file system, or what lies between partitions.
    pub what: String,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Bytes that nobody reads.
    pub unused: u64,
    /// Those of them that the container stores: what is made zero, as far as it is not.
    pub unused_stored: u64,
    /// What `unused` is, by kind.
    pub parts: Parts,
    /// What stays although it may be unused, and why.
    pub kept: Vec<String>,
}

/// Unused bytes by kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Parts {
    /// Free clusters.
    pub free: u64,
    /// Clusters of files behind their ends.
    pub tails: u64,
    /// Index blocks that were given back.
    pub index_blocks: u64,
    /// Content of files that were asked to be emptied.
    pub emptied: u64,
    /// Structures in use with remains in them, counted.
    pub structures: u64,
}

/// What became of a place.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// What is unused is known.
    Known,
    /// All of it stays as it is.
    Kept {
        /// Why.
        why: String,
    },
    /// It stays as it is, and should not have had to.
    Refused {
        /// In one word: `bitlocker`, `dirty`, `log`, `hibernated`, `unsound` or `limit`.
        reason: &'static str,
        /// In full.
        why: String,
    },
}

impl Place {
    fn new(partition: Option<&DiskPartition>, what: &str, range: Range<u64>, outcome: Outcome) -> Self {
        Self {
            partition: partition.map(|partition| partition.number),
            what: what.to_owned(),
            start: range.start,
            size: range.end - range.start,
            outcome,
            unused: 0,
            unused_stored: 0,
            parts: Parts::default(),
            kept: Vec::new(),
        }
    }

    /// Why it is refused.
    pub fn refusal(&self) -> Option<(&'static str, &str)> {
        match &self.outcome {
            Outcome::Refused { reason, why } => Some((reason, why)),
            _ => None,
        }
    }
}

/// What a volume gives.
struct Found {
    ranges: Vec<Range<u64>>,
    patches: Vec<Patch>,
    parts: Parts,
    kept: Vec<String>,
    /// Errors and warnings of a check.
    faults: (u64, u64),
}

/// Why a volume gives nothing.
struct Refusal(&'static str, String);

const HIBERNATED: &str = ntfs_writer::unused::Reason::Hibernated.as_str();
const UNSOUND: &str = ntfs_writer::unused::Reason::Unsound.as_str();

/// Finds what of a disk is unused. Which volumes are refused is in the [places](Survey::places).
///
/// # Errors
/// [`Error::DiskTable`] when there is neither a partition table nor a volume; [`Error::Unsupported`] when partitions overlap,
/// or there is no such partition; [`Error::Read`].
pub fn survey(disk: &DiskFile, options: &SurveyOptions) -> Result<Survey> {
    let read = |source| Error::Read { path: disk.path().to_owned(), source };
    let refuse = |what: String| Error::Unsupported { path: disk.path().to_owned(), what };
    let partitions = Partitions::of(disk)?;
    if let Some((a, b)) = gaps::overlap(&partitions.partitions) {
        return Err(refuse(format!("has partitions {a} and {b} in the same place")));
    }
    let wanted =
        |partition: &DiskPartition| options.partition.is_none_or(|number| partition.number == number);
    if !partitions.partitions.iter().any(wanted) {
        return Err(refuse(match options.partition {
            Some(number) => format!("has no partition {number}"),
            None => "holds no partition and no volume".to_owned(),
        }));
    }
    let mut volumes = Vec::new();
    let mut places = Vec::new();
    for partition in &partitions.partitions {
        let range = partition.start..partition.start + partition.size;
        let what = partition.file_system.as_ref().map_or("no known file system", |found| found.name);
        let keep = match wanted(partition) {
            true => kept_whole(partition),
            false => Some("it was not asked for".to_owned()),
        };
        let outcome = match keep {
            Some(_) if !wanted(partition) && sleeps(disk, partition) => Outcome::Refused {
                reason: HIBERNATED,
                why: "a session of Windows sleeps on it, and has all volumes of the disk open".to_owned(),
            },
            Some(why) => Outcome::Kept { why },
            None => match volume(disk, partition, options) {
                Ok(found) => {
                    volumes.push((places.len(), partition, found));
                    Outcome::Known
                }
                Err(Refusal(reason, why)) => Outcome::Refused { reason, why },
            },
        };
        places.push(Place::new(Some(partition), what, range, outcome));
    }
    // A device that fails says nothing of the volume.
    if places.iter().any(|place| place.refusal().is_some())
        && let Some(error) = disk.read_error()
    {
        return Err(error);
    }
    let asleep = places.iter().find(|place| place.refusal().is_some_and(|refusal| refusal.0 == HIBERNATED));
    if let Some(number) = asleep.and_then(|place| place.partition) {
        for (index, ..) in volumes.drain(..) {
            let why =
                format!("a session of Windows sleeps on partition {number}, and has this volume open, too");
            places[index].outcome = Outcome::Refused { reason: HIBERNATED, why };
        }
    }
    let mut survey = Survey { places, ..Survey::default() };
    for (index, partition, found) in &volumes {
        survey.add(*index, partition, found);
    }
    if options.partition.is_none() {
        for gap in gaps::gaps(disk.disk(), &partitions).map_err(read)? {
            survey.add_gap(gap);
        }
    }
    survey.sort();
    let disproved = survey.disproved(disk, &volumes)?;
    if let Some((number, why)) = disproved {
        if let Some(error) = disk.read_error() {
            return Err(error);
        }
        // What was found contradicts what is there: nothing of this disk is to be trusted.
        return Err(refuse(format!("partition {number} cannot be compacted: afterwards, {why}")));
    }
    survey.count_stored(disk.disk().as_ref()).map_err(read)?;
    survey.places.sort_by_key(|place| place.start);
    Ok(survey)
}

/// Why a partition stays as it is without being looked into.
fn kept_whole(partition: &DiskPartition) -> Option<String> {
    if let Some(why) = gaps::foreign(&partition.kind) {
        return Some(why);
    }
    match partition.file_system.as_ref().map(|found| found.name) {
        Some("NTFS" | "FAT" | "FAT32" | "BitLocker") => None,
        Some(other) => Some(format!("{other} is not understood")),
        None => Some("it holds no file system that is understood".to_owned()),
    }
}

fn source_of(disk: Arc<dyn BlockMap>, partition: &DiskPartition) -> std::io::Result<Arc<dyn ReadAt>> {
    let range = SubRange::new(disk, partition.start, partition.size)?;
    let range = range.ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the partition ends past the disk's end")
    })?;
    Ok(Arc::new(range))
}

/// Whether a session of Windows sleeps on a volume that is not looked at otherwise. What cannot be read is for others to say.
fn sleeps(disk: &DiskFile, partition: &DiskPartition) -> bool {
    let source = || source_of(disk.disk().clone(), partition);
    partition.is_ntfs() && source().is_ok_and(|source| ntfs_writer::unused::sleeps(&source).unwrap_or(false))
}

fn volume(disk: &DiskFile, partition: &DiskPartition, options: &SurveyOptions) -> Result<Found, Refusal> {
    use ntfs_writer::unused::Error as NtfsError;
    let unsound = |error: &dyn std::error::Error| Refusal(UNSOUND, with_causes(error));
    let source = source_of(disk.disk().clone(), partition).map_err(|error| unsound(&error))?;
    match partition.file_system.as_ref().map(|found| found.name) {
        Some("BitLocker") => {
            let why =
                "it is encrypted by BitLocker: what is free cannot be seen; decrypt it first".to_owned();
            Err(Refusal(ntfs_writer::unused::Reason::BitLocker.as_str(), why))
        }
        Some("NTFS") => {
            let found =
                ntfs_writer::unused::unused(&source, &options.dropped).map_err(|error| match error {
                    NtfsError::Refused { reason, text } => Refusal(reason.as_str(), text),
                    other => unsound(&other),
                })?;
            let report = ntfs_writer::check::check(source.as_ref(), &ntfs_writer::check::Options::default())
                .map_err(|error| unsound(&error))?;
            let totals = found.totals;
            let kept = |kept: &Kept| format!("{} {}: {}", kept.count, kept.what, kept.why);
            Ok(Found {
                parts: Parts {
                    free: totals.free,
                    tails: totals.tails,
                    index_blocks: totals.blocks,
                    emptied: totals.dropped,
                    structures: totals.patches,
                },
                kept: found.kept.iter().map(kept).collect(),
                ranges: found.ranges,
                patches: found.patches,
                faults: (report.errors, report.warnings),
            })
        }
        _ => {
            let found = fat::unused::unused(&source).map_err(|error| match error {
                fat::unused::Error::Dirty(text) => Refusal(ntfs_writer::unused::Reason::Dirty.as_str(), text),
                fat::unused::Error::Limit => {
                    Refusal(ntfs_writer::unused::Reason::Limit.as_str(), error.to_string())
                }
                other => unsound(&other),
            })?;
            let report = fat::check::check(source).map_err(|error| unsound(&error))?;
            let behind = (found.behind > 0)
                .then(|| format!("{} bytes behind the volume: they are not the file system's", found.behind));
            Ok(Found {
                parts: Parts { free: found.free, tails: found.tails, ..Parts::default() },
                kept: behind.into_iter().collect(),
                ranges: found.ranges,
                patches: Vec::new(),
                faults: (report.errors, report.warnings),
            })
        }
    }
}

impl Survey {
    /// Bytes that nobody reads, from the disk's first.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// That no volume is refused.
    ///
    /// # Errors
    /// [`Error::Unsound`] when one is damaged, else [`Error::Unsupported`], with the reasons; `path` is the disk's name.
    pub fn require_all(&self, path: &Path) -> Result<()> {
        let refused = |place: &Place| {
            let (_, why) = place.refusal()?;
            Some(format!("partition {} cannot be compacted: {why}", place.partition.unwrap_or_default()))
        };
        let refused: Vec<String> = self.places.iter().filter_map(refused).collect();
        match refused.is_empty() {
            true => Ok(()),
            false => {
                let (path, what) = (path.to_owned(), refused.join("; "));
                let mut refusals = self.places.iter().filter_map(Place::refusal);
                match refusals.any(|(reason, _)| reason == UNSOUND) {
                    true => Err(Error::Unsound { path, what }),
                    false => Err(Error::Unsupported { path, what }),
                }
            }
        }
    }

    fn add(&mut self, index: usize, partition: &DiskPartition, found: &Found) {
        let start = partition.start;
        let moved = found.ranges.iter().map(|range| range.start + start..range.end + start);
        self.ranges.extend(moved);
        self.patches.extend(found.patches.iter().map(|patch| (start, patch.clone())));
        let place = &mut self.places[index];
        place.unused = found.ranges.iter().map(|range| range.end - range.start).sum();
        place.parts = found.parts;
        place.kept.clone_from(&found.kept);
    }

    fn add_gap(&mut self, gap: gaps::Gap) {
        let unused = gap.range.end - gap.range.start;
        let outcome = match gap.keep {
            Some(why) => Outcome::Kept { why: why.to_owned() },
            None => Outcome::Known,
        };
        let known = matches!(outcome, Outcome::Known);
        let mut place = Place::new(None, "no partition", gap.range.clone(), outcome);
        if known {
            (place.unused, place.parts.free) = (unused, unused);
            self.ranges.push(gap.range);
        }
        self.places.push(place);
    }

    fn sort(&mut self) {
        self.ranges.sort_unstable_by_key(|range| range.start);
        self.ranges.dedup_by(|next, last| {
            let adjacent = last.end == next.start;
            if adjacent {
                last.end = next.end;
            }
            adjacent
        });
        self.patches.sort_unstable_by_key(|(start, patch)| start + patch.offset);
    }

    /// Checks each volume as it would be; the first that has a fault that it does not have now.
    fn disproved(
        &self,
        disk: &DiskFile,
        volumes: &[(usize, &DiskPartition, Found)],
    ) -> Result<Option<(u32, String)>> {
        let read = |source| Error::Read { path: disk.path().to_owned(), source };
        let trimmed: Arc<dyn BlockMap> = Arc::new(Trimmed::new(disk.disk().clone(), self.clone()));
        for (_, partition, found) in volumes {
            let source = source_of(trimmed.clone(), partition).map_err(read)?;
            let (faults, first) = if partition.is_ntfs() {
                let report =
                    ntfs_writer::check::check(source.as_ref(), &ntfs_writer::check::Options::default())
                        .map_err(|source| Error::Volume { volume: "NTFS", source })?;
                ((report.errors, report.warnings), report.findings.first().map(ToString::to_string))
            } else {
                let report = fat::check::check(source).map_err(|source| Error::DiskFat {
                    path: disk.path().to_owned(),
                    partition: partition.number,
                    source,
                })?;
                ((report.errors, report.warnings), report.findings.first().map(ToString::to_string))
            };
            if faults != found.faults {
                return Ok(Some((partition.number, first.unwrap_or_default())));
            }
        }
        Ok(None)
    }

    /// How much of what is unused the container stores.
    fn count_stored(&mut self, disk: &dyn BlockMap) -> std::io::Result<()> {
        let stored = self.stored(disk)?;
        for place in &mut self.places {
            let end = place.start + place.size;
            let first = stored.partition_point(|range| range.end <= place.start);
            let inside = stored[first..].iter().take_while(|range| range.start < end);
            place.unused_stored = inside.map(|range| range.end.min(end) - range.start.max(place.start)).sum();
        }
        Ok(())
    }

    /// The unused ranges, as far as the container stores them.
    fn stored(&self, disk: &dyn BlockMap) -> std::io::Result<Vec<Range<u64>>> {
        let mut stored = Vec::new();
        let mut next = 0;
        for found in Ranges::stored(disk)? {
            while let Some(range) = self.ranges.get(next).filter(|range| range.start < found.end) {
                let part = range.start.max(found.start)..range.end.min(found.end);
                if !part.is_empty() {
                    stored.push(part);
                }
                if range.end > found.end {
                    break;
                }
                next += 1;
            }
        }
        Ok(stored)
    }
}
