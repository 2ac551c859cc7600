//! A disk made larger or smaller while it is converted.
//!
//! Nothing is written here. [`Resized::plan`] looks at the partition table and at one NTFS volume, and gives a disk of the
//! new size ([`Resized::disk`]) that is the old one with other tables, some changed records of that volume
//! ([`ntfs_writer::resize`]), and whatever lies behind its partition at the new end. It reads like any other disk, so
//! [`convert`](fn@crate::convert) packs it, what the source does not store stays unstored, and the source is never changed.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # fn example(disk: Arc<dyn disk::BlockMap>) -> Result<(), Box<dyn std::error::Error>> {
//! use wimforge_image::resize::{Options, Resized, Which};
//!
//! // What `convert --size 64GiB` does; the disk goes to `convert` in place of the source.
//! let resized = Resized::plan(disk, 64 << 30, &Options { which: Which::Windows })?;
//! let disk = resized.disk();
//! for change in &resized.changes {
//!     println!("partition {}: bytes {:?}, before {:?}", change.number, change.new, change.old);
//! }
//! resized.notes.iter().for_each(|note| println!("{note}"));
//! # Ok(())
//! # }
//! ```
//!
//! | | |
//! |---|---|
//! | the copy of a GUID partition table | moves to the new end, the header says so |
//! | the partition that grows or shrinks | the last NTFS volume that is no recovery partition, or [the chosen one](Which) |
//! | partitions in front of it | stay as they are |
//! | partitions behind it (Recovery) | move as they are, by whole MiB; the boot sectors of NTFS and FAT say where they lie |
//! | extended partitions behind it, disks in Windows' dynamic form | refused |
//!
//! On an MBR disk boot configuration data names partitions by where they begin, so moving one that BCD names (Recovery)
//! breaks that entry; [`Resized::notes`] says so. On a GPT disk they have ids, which stay.

mod overlay;
mod table;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use disk::{BlockMap, ReadAt, SubRange};
use ntfs_writer::resize::{Content, Segment};

use self::overlay::Overlay;
use self::table::{Entry, Table};

/// Partitions begin and move by whole MiB.
const ALIGNMENT: u64 = 1 << 20;

/// Which partition takes what is added, or gives what is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The last NTFS volume that is no recovery partition.
    #[default]
    Windows,
    /// The partition with this number.
    Number(u32),
    /// None: the end of the disk is free afterwards, or was before.
    Nothing,
}

/// How to resize.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which partition changes.
    pub which: Which,
}

/// Why a disk cannot have the size.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk cannot be read.
    #[error("reading the disk")]
    Io(#[from] io::Error),
    /// The partition table is damaged, or cannot say it.
    #[error("the partition table")]
    Table(#[from] bootsector::Error),
    /// The volume cannot have the size.
    #[error("partition {partition}")]
    Volume {
        /// Its number.
        partition: u32,
        /// Why.
        #[source]
        source: ntfs_writer::resize::Error,
    },
    /// What the disk holds does not fit.
    #[error("the disk needs at least {needed} bytes, {found} are too few")]
    TooSmall {
        /// Bytes that are needed at least. (Where free space is in small pieces it can be more.)
        needed: u64,
        /// Bytes that were wished for.
        found: u64,
    },
    /// It cannot be resized for another reason.
    #[error("{0}")]
    Impossible(String),
}

/// What this module's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What becomes of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u32,
    /// Where it lay, in bytes.
    pub old: Range<u64>,
    /// Where it lies.
    pub new: Range<u64>,
}

/// A disk of another size.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resized {
    disk: Arc<Overlay>,
    /// The partitions that are longer, shorter, or elsewhere.
    pub changes: Vec<Change>,
    /// Bytes of files that lie elsewhere on their volume.
    pub moved: u64,
    /// What whoever uses the disk should know.
    pub notes: Vec<String>,
}

/// A volume without a partition table has this number.
const WHOLE: u32 = 1;

impl Resized {
    /// The disk in `source` with `size` bytes.
    ///
    /// Reads the tables, and checks the volume that changes, all of its metadata.
    ///
    /// # Errors
    /// [`Error::Table`], [`Error::Volume`] (a volume that is dirty, hibernated, damaged or encrypted by BitLocker, among
    /// others), [`Error::TooSmall`], [`Error::Impossible`], [`Error::Io`].
    pub fn plan(source: Arc<dyn BlockMap>, size: u64, options: &Options) -> Result<Self> {
        let old_size = source.size()?;
        if !size.is_multiple_of(512) || size == 0 {
            return Err(Error::Impossible(format!("{size} bytes are no number of sectors")));
        }
        let Some(table) = Table::read(&*source)? else {
            return Self::whole(source, size, options);
        };
        let entries = table.entries();
        let target = target(&*source, &entries, options)?;
        let limit = table.limit(old_size, size);
        let Some(last_end) = entries.iter().map(|entry| entry.range.end).max() else {
            return Self::of(source, size, &table, &[], None);
        };
        let Some(target) = target else {
            if last_end > limit {
                let needed = table.smallest(last_end);
                return Err(Error::TooSmall { needed, found: size });
            }
            return Self::of(source, size, &table, &[], None);
        };
        // Whole MiB, so that what moves is aligned as it was; towards the start when it must be less.
        let step = ALIGNMENT.max(table.sector());
        let delta =
            (i128::from(limit) - i128::from(last_end)).div_euclid(i128::from(step)) * i128::from(step);
        let delta = if size < old_size { delta.min(0) } else { delta.max(0) };
        if delta == 0 {
            return Self::of(source, size, &table, &[], None);
        }
        let range = &entries[target].range;
        let new_end = i128::from(range.end) + delta;
        let Some(new_end) = u64::try_from(new_end).ok().filter(|end| *end > range.start) else {
            let volume: Arc<dyn ReadAt> = Arc::new(part(&source, range)?);
            let number = entries[target].number;
            let least = ntfs_writer::resize::least(&volume)
                .map_err(|source| Error::Volume { partition: number, source })?;
            let others = last_end - (range.end - range.start);
            let needed = table.smallest(others.saturating_add(least.next_multiple_of(step)));
            return Err(Error::TooSmall { needed, found: size });
        };
        let shifted = |at: u64| (i128::from(at) + delta) as u64;
        let mut changes =
            vec![Change { number: entries[target].number, old: range.clone(), new: range.start..new_end }];
        for entry in entries.iter().filter(|entry| entry.range.start >= range.end) {
            if !entry.movable {
                let text = format!(
                    "partition {} lies behind partition {} and cannot be moved (it is extended)",
                    entry.number, entries[target].number
                );
                return Err(Error::Impossible(text));
            }
            let new = shifted(entry.range.start)..shifted(entry.range.end);
            changes.push(Change { number: entry.number, old: entry.range.clone(), new });
        }
        changes.sort_unstable_by_key(|change| change.new.start);
        let part: Arc<dyn ReadAt> = Arc::new(part(&source, range)?);
        let number = entries[target].number;
        let volume =
            ntfs_writer::resize::resize(&part, new_end - range.start).map_err(|error| match error {
                ntfs_writer::resize::Error::TooSmall { needed, found } => {
                    let more = needed.saturating_sub(found).next_multiple_of(step);
                    Error::TooSmall { needed: size.saturating_add(more), found: size }
                }
                source => Error::Volume { partition: number, source },
            })?;
        Self::of(source, size, &table, &changes, Some((number, volume)))
    }

    /// A disk that is one volume.
    fn whole(source: Arc<dyn BlockMap>, size: u64, options: &Options) -> Result<Self> {
        if options.which == Which::Nothing
            || matches!(options.which, Which::Number(number) if number != WHOLE)
        {
            let text = "the disk has no partition table: it is one volume, partition 1";
            return Err(Error::Impossible(text.to_owned()));
        }
        let part: Arc<dyn ReadAt> = Arc::new(Arc::clone(&source));
        let volume = ntfs_writer::resize::resize(&part, size).map_err(|error| match error {
            ntfs_writer::resize::Error::TooSmall { needed, found } => Error::TooSmall { needed, found },
            source => Error::Volume { partition: WHOLE, source },
        })?;
        let old = source.size()?;
        let changes =
            if old == size { Vec::new() } else { vec![Change { number: WHOLE, old: 0..old, new: 0..size }] };
        let disk = Arc::new(Overlay::new(source, volume.segments, size));
        Ok(Self { disk, changes, moved: volume.moved, notes: Vec::new() })
    }

    /// Puts the disk together.
    fn of(
        source: Arc<dyn BlockMap>,
        size: u64,
        table: &Table,
        changes: &[Change],
        volume: Option<(u32, ntfs_writer::resize::Resized)>,
    ) -> Result<Self> {
        // What lies where, as far as it stays: up to the first change, or to the end of the last partition.
        let kept = match changes.first() {
            Some(change) => change.new.start,
            None => table.entries().iter().map(|entry| entry.range.end).max().unwrap_or(ALIGNMENT).min(size),
        };
        let kept = kept.min(source.size()?);
        let base = [
            Segment { start: 0, len: kept, content: Content::Volume(0) },
            Segment { start: kept, len: size - kept, content: Content::Zero },
        ];
        let base: Vec<Segment> = base.into_iter().filter(|segment| segment.len > 0).collect();
        let mut parts = Vec::new();
        let mut notes = Vec::new();
        let mut moved = 0;
        for change in changes {
            match &volume {
                Some((number, volume)) if *number == change.number => {
                    moved = volume.moved;
                    parts.extend(volume.segments.iter().cloned().map(|mut segment| {
                        segment.start += change.new.start;
                        if let Content::Volume(from) = &mut segment.content {
                            *from += change.old.start;
                        }
                        segment
                    }));
                }
                _ => {
                    let len = change.new.end - change.new.start;
                    let old = Content::Volume(change.old.start);
                    parts.push(Segment { start: change.new.start, len, content: old });
                    if table.names_by_place() {
                        notes.push(format!(
                            "partition {} now begins at byte {:#x}: boot configuration data that names it by {:#x} does not find it",
                            change.number, change.new.start, change.old.start
                        ));
                    }
                }
            }
        }
        let segments = ntfs_writer::resize::over(&base, &parts);
        let mut patches = table.patches(&*source, size, changes)?;
        for change in changes.iter().filter(|change| change.new.start != change.old.start) {
            patches.extend(table::hidden_sectors(&*source, change, table.sector())?);
        }
        patches.sort_unstable_by_key(|segment| segment.start);
        let segments = ntfs_writer::resize::over(&segments, &patches);
        let disk = Arc::new(Overlay::new(source, segments, size));
        Ok(Self { disk, changes: changes.to_vec(), moved, notes })
    }

    /// The disk.
    pub fn disk(&self) -> Arc<dyn BlockMap> {
        Arc::clone(&self.disk) as Arc<dyn BlockMap>
    }
}

fn part(source: &Arc<dyn BlockMap>, range: &Range<u64>) -> Result<SubRange<Arc<dyn BlockMap>>> {
    let part = SubRange::new(Arc::clone(source), range.start, range.end - range.start)?;
    part.ok_or_else(|| {
        let text = format!("a partition at bytes {:#x}..{:#x} leaves the disk", range.start, range.end);
        Error::Impossible(text)
    })
}

/// The partition that is to change.
fn target(disk: &dyn BlockMap, entries: &[Entry], options: &Options) -> Result<Option<usize>> {
    let position = match options.which {
        Which::Nothing => return Ok(None),
        Which::Number(number) => {
            let found = entries.iter().position(|entry| entry.number == number && !entry.extended);
            Some(found.ok_or_else(|| Error::Impossible(format!("the disk has no partition {number}")))?)
        }
        Which::Windows => {
            let mut best: Option<usize> = None;
            for (index, entry) in entries.iter().enumerate() {
                let later = best.is_none_or(|best| entries[best].range.start < entry.range.start);
                if later && !entry.recovery && !entry.extended && !entry.logical && holds_ntfs(disk, entry)? {
                    best = Some(index);
                }
            }
            let text = "the disk has no NTFS volume that could change its size; name the partition, or none";
            Some(best.ok_or_else(|| Error::Impossible(text.to_owned()))?)
        }
    };
    if let Some(entry) = position.map(|index| &entries[index]) {
        if entry.logical {
            let text = format!("partition {} is a logical one, whose tables are not changed", entry.number);
            return Err(Error::Impossible(text));
        }
        // What BitLocker encrypts is refused by the volume, with its reason.
        if !holds_ntfs(disk, entry)? && !begins_with(disk, entry, *b"-FVE-FS-")? {
            let text = format!("partition {} does not hold NTFS, whose size alone is changed", entry.number);
            return Err(Error::Impossible(text));
        }
    }
    Ok(position)
}

fn holds_ntfs(disk: &dyn BlockMap, entry: &Entry) -> io::Result<bool> {
    Ok(begins_with(disk, entry, *b"NTFS    ")?
        || (begins_with(disk, entry, *b"-FVE-FS-")? && !entry.recovery))
}

fn begins_with(disk: &dyn BlockMap, entry: &Entry, name: [u8; 8]) -> io::Result<bool> {
    let mut found = [0; 8];
    if entry.range.end.saturating_sub(entry.range.start) < 512 || entry.range.end > disk.size()? {
        return Ok(false);
    }
    disk.read_exact_at(&mut found, entry.range.start + 3)?;
    Ok(found == name)
}
