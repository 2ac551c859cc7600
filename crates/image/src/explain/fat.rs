//! A FAT volume: tables, directories, and the chains of files.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::fat::{Directory, Result, Target, Volume};
use disk::ReadAt;
use picture::Class;

use super::cells::Grid;
use super::folders::Entry;
use super::occupied::{About, Counted, Occupied};

/// Directories within directories; whoever goes deeper goes in circles.
const MAX_DEPTH: usize = 256;
/// Files and directories that are listed.
const MAX_ENTRIES: u64 = 1 << 22;

/// Reads what takes the volume's clusters.
pub(super) fn volume(range: Arc<dyn ReadAt>, mut occupied: Occupied<'_>) -> Result<(picture::Volume, Grid)> {
    let volume = Volume::open(range)?;
    let areas = volume.areas();
    let cluster = u64::from(volume.cluster_size());
    let size = u64::from(volume.clusters()) * cluster;
    occupied.begin(areas.data + size, 512);
    occupied.claim(areas.reserved, Class::Boot, "boot sectors");
    occupied.claim(areas.tables, Class::Allocation, "allocation tables");
    occupied.claim(areas.root, Class::Directories, "directories");
    let mut scan = Scan {
        volume: &volume,
        occupied,
        counted: Counted::default(),
        seen: BTreeSet::new(),
        next: 1,
        walked: 0,
    };
    scan.tree()?;
    volume.free_ranges(|range| scan.occupied.free(range))?;
    let about = About {
        label: volume.label().unwrap_or_default(),
        file_system: volume.kind().to_string(),
        cluster_size: volume.cluster_size(),
        size: areas.data + size,
        root: 0,
    };
    Ok(scan.occupied.finish(about, scan.counted))
}

struct Scan<'v, 'o> {
    volume: &'v Volume,
    occupied: Occupied<'o>,
    counted: Counted,
    /// Where directories that were met begin.
    seen: BTreeSet<u64>,
    /// The number of the next file. Parents come before what they hold.
    next: u64,
    /// Clusters that were walked over. On a sound volume each is met once.
    walked: u64,
}

impl Scan<'_, '_> {
    fn tree(&mut self) -> Result<()> {
        let mut stack = vec![(self.volume.root(), 0, 0)];
        if let Some(ranges) = self.extents(Target::Directory(self.volume.root())) {
            self.claim(&ranges, Class::Directories, "directories");
        }
        while let Some((directory, parent, depth)) = stack.pop() {
            let entries = match self.volume.entries(directory) {
                Ok(entries) => entries,
                Err(error @ ::fat::Error::Io { .. }) => return Err(error),
                Err(error) => {
                    self.occupied.note(error.to_string());
                    continue;
                }
            };
            for entry in entries {
                if self.next > MAX_ENTRIES {
                    self.occupied.note(format!("more than {MAX_ENTRIES} files: the rest is left out"));
                    return Ok(());
                }
                if self.walked > 4 * u64::from(self.volume.clusters()) {
                    self.occupied.note("files share clusters: the rest is left out".to_owned());
                    return Ok(());
                }
                let id = self.next;
                self.next += 1;
                let ranges = self.extents(entry.target).unwrap_or_default();
                let mut found =
                    Entry { id, parent, first: ranges.first().map(|range| range.start), ..Entry::default() };
                match entry.target {
                    Target::File(start) => {
                        found.size = start.size.into();
                        found.bytes = self.claim(&ranges, Class::Files, "file data");
                        self.counted.files += 1;
                        self.counted.fragmented += u64::from(ranges.len() > 1);
                    }
                    Target::Directory(inner) => {
                        found.directory = true;
                        self.counted.directories += 1;
                        self.directory(inner, &ranges, id, depth, &mut stack);
                    }
                }
                self.occupied.files.push(found, &entry.name);
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        inner: Directory,
        ranges: &[std::ops::Range<u64>],
        id: u64,
        depth: usize,
        stack: &mut Vec<(Directory, u64, usize)>,
    ) {
        let Some(first) = ranges.first() else { return };
        if !self.seen.insert(first.start) || depth >= MAX_DEPTH {
            self.occupied.note("a directory that is in several places".to_owned());
            return;
        }
        self.claim(ranges, Class::Directories, "directories");
        stack.push((inner, id, depth + 1));
    }

    /// Where something lies; `None` when that is damaged, which is noted.
    fn extents(&mut self, target: Target) -> Option<Vec<std::ops::Range<u64>>> {
        let cluster = u64::from(self.volume.cluster_size());
        match self.volume.extents(target) {
            Ok(ranges) => {
                self.walked += ranges.iter().map(|range| (range.end - range.start) / cluster).sum::<u64>();
                Some(ranges)
            }
            Err(error) => {
                self.walked += u64::from(self.volume.clusters());
                self.occupied.note(error.to_string());
                None
            }
        }
    }

    fn claim(&mut self, ranges: &[std::ops::Range<u64>], class: Class, label: &'static str) -> u64 {
        for range in ranges {
            self.occupied.claim(range.clone(), class, label);
        }
        ranges.iter().map(|range| range.end - range.start).sum()
    }
}
