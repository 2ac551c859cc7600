//! Who takes which part of a volume.

use std::collections::BTreeMap;
use std::ops::Range;

use picture::{Class, Part, Volume};

use super::VOLUME_CELLS;
use super::cells::Grid;
use super::compressed::Compressed;
use super::folders::{Files, Listed};
use super::stored::Stored;
use crate::disk_source::DiskPartition;

/// What is known of a volume while it is read. Offsets count from its first byte.
pub(super) struct Occupied<'a> {
    partition: &'a DiskPartition,
    stored: &'a Stored,
    compressed: Option<&'a Compressed>,
    grid: Grid,
    parts: BTreeMap<(Class, &'static str), Part>,
    /// Bytes that may still be claimed. On a sound volume nobody claims a cluster twice.
    left: u64,
    pub(super) files: Files,
    pub(super) notes: Vec<String>,
    more_notes: u64,
}

/// Notes of one volume.
const MAX_NOTES: usize = 20;

/// What else a volume says of itself.
pub(super) struct About {
    pub(super) label: String,
    pub(super) file_system: String,
    pub(super) cluster_size: u32,
    /// Bytes of all clusters.
    pub(super) size: u64,
    /// Reference to the root directory.
    pub(super) root: u64,
}

impl<'a> Occupied<'a> {
    pub(super) fn new(
        partition: &'a DiskPartition,
        stored: &'a Stored,
        compressed: Option<&'a Compressed>,
    ) -> Self {
        Self {
            partition,
            stored,
            compressed,
            grid: Grid::new(0, 1),
            parts: BTreeMap::new(),
            left: 0,
            files: Files::default(),
            notes: Vec::new(),
            more_notes: 0,
        }
    }

    /// Says how large the volume is, and which lengths its pieces are multiples of.
    pub(super) fn begin(&mut self, size: u64, granularity: u64) {
        let size = size.min(self.partition.size);
        self.grid = Grid::new(size, size.div_ceil(VOLUME_CELLS).next_multiple_of(granularity.max(1)));
        self.left = size.saturating_mul(2);
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        } else {
            self.more_notes += 1;
        }
    }

    /// Something takes a range.
    pub(super) fn claim(&mut self, range: Range<u64>, class: Class, label: &'static str) {
        let len = range.end.saturating_sub(range.start);
        if len == 0 {
            return;
        }
        let Some(left) = self.left.checked_sub(len) else {
            if self.left > 0 {
                self.notes.push("more clusters are in use than there are: files share some".to_owned());
            }
            self.left = 0;
            return;
        };
        self.left = left;
        self.grid.add(range.clone(), class);
        self.count(range, class, label);
    }

    fn count(&mut self, range: Range<u64>, class: Class, label: &'static str) {
        let base = self.partition.start;
        let stored = self.stored.within(base.saturating_add(range.start)..base.saturating_add(range.end));
        let part = self.parts.entry((class, label)).or_insert_with(|| Part {
            class,
            label: label.to_owned(),
            bytes: 0,
            stored: 0,
            pieces: 0,
            first: None,
        });
        part.bytes += range.end - range.start;
        part.stored += stored;
        part.pieces += 1;
        part.first = Some(part.first.map_or(range.start, |first| first.min(range.start)));
    }

    /// A range is free.
    pub(super) fn free(&mut self, range: Range<u64>) {
        if !range.is_empty() {
            self.grid.add(range.clone(), Class::Free);
            self.count(range, Class::Free, "free");
        }
    }

    /// What is left over is in use by what was not read.
    pub(super) fn finish(mut self, about: About, counters: Counted) -> (Volume, Grid) {
        let mut unknown = 0;
        for cell in 0..self.grid.count() {
            let bytes = self.grid.unclaimed(cell);
            // Of cells, clusters.
            if bytes >= u64::from(about.cluster_size) {
                self.grid.add_to(cell, Class::Unknown, bytes);
                unknown += bytes;
            }
        }
        if unknown > 0 {
            self.parts.insert(
                (Class::Unknown, "in use, by nothing that was read"),
                Part {
                    class: Class::Unknown,
                    label: "in use, by nothing that was read".to_owned(),
                    bytes: unknown,
                    stored: 0,
                    pieces: 0,
                    first: None,
                },
            );
        }
        if self.more_notes > 0 {
            self.notes.push(format!("and {} more", self.more_notes));
        }
        let free: u64 =
            self.parts.values().filter(|part| part.class == Class::Free).map(|part| part.bytes).sum();
        let base = self.partition.start;
        let stored = self.stored;
        let cells = self.grid.finish(|range| stored.within(base + range.start..base + range.end));
        let compressed = self.compressed;
        let measured = |first: u64| compressed.and_then(|known| known.at(base.saturating_add(first)));
        let method = compressed.map(Compressed::method);
        let Listed { tree, largest, extensions, packing } = self.files.finish(about.root, measured, method);
        let order = |part: &Part| Class::ALL.iter().position(|&class| class == part.class);
        let mut parts: Vec<Part> = self.parts.into_values().collect();
        parts.sort_by_key(|part| (order(part), std::cmp::Reverse(part.bytes)));
        let volume = Volume {
            partition: self.partition.number,
            label: about.label,
            file_system: about.file_system,
            cluster_size: about.cluster_size,
            size: about.size,
            used: about.size.saturating_sub(free),
            parts,
            cells,
            files: counters.files,
            resident: counters.resident,
            directories: counters.directories,
            fragmented: counters.fragmented,
            tree,
            largest,
            extensions,
            packing,
            notes: self.notes,
        };
        (volume, self.grid)
    }
}

/// Counts of files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) files: u64,
    pub(super) resident: u64,
    pub(super) directories: u64,
    pub(super) fragmented: u64,
}
