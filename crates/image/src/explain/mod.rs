//! From a disk to the data that `explain` draws.
//!
//! There is one way, for disks that exist and for plans: a [`DiskFile`] is read by the readers of its file systems. A plan
//! is a disk, too ([`planned`]): whatever is read of it is rendered then, so what is drawn of a plan is what its own
//! structures say, found by the reader that will read the disk. From a plan there is more to know (what its image is,
//! how it compresses its files, what was changed), which is put on top.
//!
//! **Nothing that files hold is read.** Records and tables say where everything lies. Of a plan, contents that lie in file records are taken
//! for zero, since their place in the WIM would have to be decoded for them. Only [`ExplainOptions::sample`] reads, and the
//! boot chain, which is followed as by `check`.
//!
//! **Memory.** Some 60 bytes and the name for each file; the drawing's data is bounded: cells are counted when they are
//! made, and the tree of folders keeps what takes a certain share of the volume.

mod cells;
mod chain;
mod changes;
mod compressed;
mod fat;
mod folders;
mod ntfs;
mod occupied;
mod planned;
mod sample;
mod stored;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use disk::SubRange;
use picture::{Class, Explained, Export, Place, PlaceKind, Volume};

use self::cells::Grid;
use self::compressed::Compressed;
use self::occupied::Occupied;
use self::planned::PlannedDisk;
use self::stored::Stored;
use crate::chain::check_chain;
use crate::disk_source::{DiskPartition, Partitions, TableKind};
use crate::error::with_causes;
use crate::pipeline::Counters;
use crate::{DiskFile, Error, Plan, Result};

/// Pieces that a disk is cut into.
const DISK_CELLS: u64 = 500;
/// Pieces that a volume is cut into.
const VOLUME_CELLS: u64 = 1200;

/// What to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions<'a> {
    /// Compress pieces of the disk, to see how well that does.
    pub sample: bool,
    /// Poll it from anywhere to see how far the work is.
    pub counters: Option<&'a Counters>,
}

/// What there is to say of a disk.
///
/// # Errors
/// When the disk cannot be read. What is damaged on it is noted.
pub fn explain(disk: &DiskFile, options: ExplainOptions<'_>) -> Result<Explained> {
    let info = disk.info()?;
    let mut survey = Survey::of(disk, options, None)?;
    let explained = &mut survey.explained;
    explained.title = name_of(disk.path());
    explained.subtitle.push(format!("disk in {}", info.container.format));
    explained.export.container = info.container.format;
    explained.export.file_size = info.file_size;
    explained.notes.extend(info.container.warnings);
    if !disk.chain().is_empty() {
        let parents: Vec<String> = disk.chain().iter().map(|path| name_of(path)).collect();
        explained.notes.push(format!("read through its parents: {}", parents.join(", ")));
    }
    survey.explained.chains = chain::of(&check_chain(disk)?, &mut survey.explained.notes);
    if options.sample {
        survey.explained.export.sample = sample::of(disk, survey.explained.disk_size, &survey.stored)?;
    }
    Ok(survey.explained)
}

/// What there is to say of a disk that could be built. Nothing is written.
///
/// # Errors
/// When the plan's source cannot be read.
pub fn explain_plan(plan: Plan, options: ExplainOptions<'_>) -> Result<Explained> {
    let plan = Arc::new(plan);
    let layout = PlannedDisk::of(&plan, false);
    let compressed = Compressed::of(&plan);
    let mut survey = Survey::of(&layout, options, Some(&compressed))?;
    let summary = plan.summary();
    let explained = &mut survey.explained;
    explained.planned = true;
    explained.title = plan.title();
    explained.subtitle = changes::about(summary);
    explained.export.container = summary.format.to_string();
    explained.export.containers = stored::containers(plan.map());
    explained.changes = changes::of(summary);
    explained.notes.extend(summary.notes.iter().cloned());
    let contents = PlannedDisk::of(&plan, true);
    explained.chains = chain::of(&check_chain(&contents)?, &mut explained.notes);
    if options.sample {
        explained.export.sample = sample::of(&contents, explained.disk_size, &survey.stored)?;
    }
    Ok(survey.explained)
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A disk being looked at.
struct Survey<'a> {
    disk: &'a DiskFile,
    options: ExplainOptions<'a>,
    compressed: Option<&'a Compressed>,
    stored: Stored,
    strip: Grid,
    explained: Explained,
}

impl<'a> Survey<'a> {
    fn of(
        disk: &'a DiskFile,
        options: ExplainOptions<'a>,
        compressed: Option<&'a Compressed>,
    ) -> Result<Self> {
        let size = disk.size()?;
        let stored = Stored::of(disk)?;
        let export = Export { stored: stored.total(), ..Export::default() };
        let explained = Explained { disk_size: size, export, ..Explained::default() };
        let strip = Grid::new(size, size.div_ceil(DISK_CELLS).next_multiple_of(512));
        let mut survey = Self { disk, options, compressed, stored, strip, explained };
        match Partitions::of(disk) {
            Ok(partitions) => survey.partitions(&partitions, size),
            Err(error @ (Error::DiskTable { .. } | Error::Unsupported { .. })) => {
                survey.explained.notes.push(cause(&error));
                survey.unread(0..size);
                survey.gap(0, size);
            }
            Err(error) => return Err(error),
        }
        survey.explained.cells = survey.strip.finish(|range| survey.stored.within(range));
        Ok(survey)
    }

    fn partitions(&mut self, partitions: &Partitions, size: u64) {
        let mut sorted: Vec<&DiskPartition> = partitions.partitions.iter().collect();
        sorted.sort_by_key(|partition| (partition.start, partition.number));
        let sector = u64::from(self.disk.sector_size().bytes());
        // Entries take 16 KiB; the copy at the end has no protective record before its header.
        let (name, head, tail) = match partitions.table {
            TableKind::Mbr(_) => ("master boot record", 512, 0),
            TableKind::Gpt(_) => ("GUID partition table", 2 * sector + (16 << 10), sector + (16 << 10)),
            TableKind::None => ("", 0, 0),
        };
        let end = size.saturating_sub(tail);
        self.table(name, 0..head.min(size));
        let mut at = head;
        for partition in sorted {
            self.gap(at, partition.start.min(end));
            self.partition(partition);
            at = at.max(partition.start.saturating_add(partition.size));
        }
        self.gap(at, end);
        self.table("GUID partition table (copy)", end.max(at)..size);
        self.explained.places.sort_by_key(|place| (place.start, place.number));
    }

    fn table(&mut self, name: &str, range: std::ops::Range<u64>) {
        if !range.is_empty() {
            self.strip.add(range.clone(), Class::Table);
            self.place(PlaceKind::Table, name, range.start, range.end - range.start);
        }
    }

    fn gap(&mut self, start: u64, end: u64) {
        if start < end {
            self.place(PlaceKind::Gap, "unallocated", start, end - start);
        }
    }

    fn place(&mut self, kind: PlaceKind, name: &str, start: u64, size: u64) -> &mut Place {
        let stored = self.stored.within(start..start.saturating_add(size));
        self.explained.places.push(Place {
            kind,
            number: None,
            name: name.to_owned(),
            detail: String::new(),
            start,
            size,
            used: None,
            stored,
            problem: None,
        });
        self.explained.places.last_mut().expect("one was pushed")
    }

    /// What is not understood is in use as far as it is stored.
    fn unread(&mut self, range: std::ops::Range<u64>) {
        for part in self.stored.ranges(range) {
            self.strip.add(part, Class::Unknown);
        }
    }

    fn partition(&mut self, partition: &DiskPartition) {
        let range = partition.start..partition.start.saturating_add(partition.size);
        let system = partition.file_system.as_ref().map(|found| found.name);
        let read = match partition.is_read() {
            true => self.volume(partition).map(Some),
            false => Ok(None),
        };
        let mut detail = partition.kind.to_string();
        detail += &system.map_or_else(String::new, |name| format!(", {name}"));
        if partition.active {
            detail += ", active";
        }
        let mut name = partition.name.clone().unwrap_or_default();
        let (mut used, mut problem) = (None, None);
        match read {
            Ok(Some(volume)) => {
                used = Some(volume.used);
                if !volume.label.is_empty() {
                    name.clone_from(&volume.label);
                }
                self.explained.volumes.push(volume);
            }
            Ok(None) => self.unread(range),
            Err(error) => {
                problem = Some(cause(&error));
                self.unread(range);
            }
        }
        if name.is_empty() {
            name = system.unwrap_or("partition").to_owned();
        }
        let place = self.place(PlaceKind::Partition, &name, partition.start, partition.size);
        (place.number, place.detail, place.used, place.problem) =
            (Some(partition.number), detail, used, problem);
    }

    fn volume(&mut self, partition: &DiskPartition) -> Result<Volume> {
        let path = || self.disk.path().to_owned();
        let reading = |source| Error::Read { path: path(), source };
        let range = SubRange::new(self.disk.disk().clone(), partition.start, partition.size);
        let range = range.map_err(reading)?.ok_or_else(|| Error::Unsupported {
            path: path(),
            what: format!("partition {} ends past the disk's end", partition.number),
        })?;
        let occupied = Occupied::new(partition, &self.stored, self.compressed);
        let range = Arc::new(range);
        let found = if partition.is_ntfs() {
            ntfs::volume(range, occupied, self.options.counters).map_err(|source| Error::Disk {
                path: path(),
                partition: partition.number,
                source,
            })?
        } else {
            fat::volume(range, occupied).map_err(|source| Error::DiskFat {
                path: path(),
                partition: partition.number,
                source,
            })?
        };
        let (volume, grid) = found;
        self.explained.export.stored_free +=
            volume.parts.iter().find(|part| part.class == Class::Free).map_or(0, |part| part.stored);
        self.strip.add_grid(&grid, partition.start);
        Ok(volume)
    }
}

impl ExplainOptions<'_> {
    fn counters(counters: Option<&Counters>, done: u64, total: u64) {
        if let Some(counters) = counters {
            counters.rendered.store(done, Ordering::Relaxed);
            counters.total.store(total, Ordering::Relaxed);
        }
    }
}

/// An error without the name of the file, which the picture has for its title.
fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), with_causes)
}
