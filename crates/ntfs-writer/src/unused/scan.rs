//! The pass over `$MFT`.

use std::ops::Range;

use disk::ReadAt;

use super::index::Blocks;
use super::patch::Form;
use super::{Error, Kept, Options, Patch, Reason, Result, Totals, Unused, clusters, sound};
use crate::layout::number::{MFT, MIRROR};
use crate::parse::{self, Run, kind};
use crate::read::{File, Stream, Volume};

/// Bytes of `$MFT` that are read at once.
const CHUNK: u64 = 256 << 10;
/// Ranges, runs and patches that are held, of each: 1 GiB at the most.
const MAX_HELD: usize = 32 << 20;
/// Bytes of structures in several pieces that are held.
const MAX_BYTES: u64 = 256 << 20;
/// Structures that are split are patched by clusters, which are no smaller than what is written at once.
const SECTOR: u64 = 512;

/// What is put together.
pub(super) struct Scan<'v> {
    source: &'v dyn ReadAt,
    pub(super) volume: &'v Volume,
    ranges: Vec<Range<u64>>,
    patches: Vec<Patch>,
    /// Clusters of all runs of all records.
    claims: Vec<Range<u64>>,
    /// Bytes of patches that are held as such.
    bytes: u64,
    pub(super) totals: Totals,
    pub(super) kept: KeptCounts,
}

/// How much is not touched.
#[derive(Default)]
pub(super) struct KeptCounts {
    pub(super) encrypted: u64,
    pub(super) compressed: u64,
    indexes: u64,
    records: u64,
    mirrored: u64,
    blocks: u64,
    dropped: u64,
}

impl<'v> Scan<'v> {
    pub(super) fn new(source: &'v dyn ReadAt, volume: &'v Volume) -> Self {
        Self {
            source,
            volume,
            ranges: Vec::new(),
            patches: Vec::new(),
            claims: Vec::new(),
            bytes: 0,
            totals: Totals::default(),
            kept: KeptCounts::default(),
        }
    }

    pub(super) fn cluster(&self) -> u64 {
        self.volume.boot().cluster_size.into()
    }

    /// Adds a range of the volume.
    pub(super) fn push(&mut self, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        if self.ranges.len() >= MAX_HELD {
            return Err(too_many("ranges of unused bytes"));
        }
        self.ranges.push(range);
        Ok(())
    }

    /// Looks at all records.
    pub(super) fn records(&mut self) -> Result<()> {
        let volume = self.volume;
        let size = u64::from(volume.boot().record_size);
        let missing = || Error::unsound("$MFT or $MFTMirr has no unnamed stream");
        let mft = volume.file(MFT)?.raw_stream(volume, &[])?.ok_or_else(missing)?;
        let mirror = volume.file(MIRROR)?.raw_stream(volume, &[])?.ok_or_else(missing)?;
        let mirrored = mirror.size() / size;
        let count = mft.size() / size;
        let per_chunk = (CHUNK / size).max(1);
        let mut buf = Vec::new();
        let mut first = 0;
        while first < count {
            let now = per_chunk.min(count - first);
            buf.resize((now * size) as usize, 0);
            mft.read_clusters(volume, first * size, &mut buf)?;
            for (bytes, number) in buf.chunks_exact(size as usize).zip(first..) {
                self.record(number, bytes, &mft, number < mirrored)?;
            }
            first += now;
        }
        Ok(())
    }

    fn record(&mut self, number: u64, bytes: &[u8], mft: &Stream, mirrored: bool) -> Result<()> {
        if parse::is_zero_record(bytes) {
            return Ok(());
        }
        let at = number * bytes.len() as u64;
        let mut plain = bytes.to_vec();
        let record = parse::unprotect(&mut plain, "file record").and_then(|()| parse::record(&plain));
        let record = match record {
            Ok(record) => record,
            // That it is not in use was checked before.
            Err(_) => {
                self.kept.records += 1;
                return Ok(());
            }
        };
        if !record.in_use() {
            if mirrored {
                self.mirrored(&Form::FreeRecord, bytes);
            } else if !self.patch(Form::FreeRecord, mft, at, bytes)? {
                self.kept.records += 1;
            }
            return Ok(());
        }
        self.claim(&record)?;
        if mirrored {
            self.mirrored(&Form::Record, bytes);
        } else if !self.patch(Form::Record, mft, at, bytes)? {
            return Err(Error::unsound(format!("record {number} cannot be patched")));
        }
        if record.header.base == 0 {
            let file = self.volume.file(number)?;
            self.file(number, &file)?;
        }
        Ok(())
    }

    /// A record of which there is a copy stays as it is: the two cannot be written at once, and readers compare them.
    fn mirrored(&mut self, form: &Form, bytes: &[u8]) {
        self.kept.mirrored += u64::from(!matches!(form.changed(bytes), Ok(None)));
    }

    /// Remembers the clusters of a record's runs, whatever they hold.
    fn claim(&mut self, record: &parse::Record<'_>) -> Result<()> {
        for attribute in record.attributes() {
            let attribute = attribute.map_err(|fault| Error::unsound(fault.to_string()))?;
            let Some(body) = attribute.non_resident() else { continue };
            for run in parse::runs(body.pairs, body.lowest_vcn, self.volume.boot().clusters) {
                let run = run.map_err(|fault| Error::unsound(fault.to_string()))?;
                let Some(lcn) = run.lcn else { continue };
                if self.claims.len() >= MAX_HELD {
                    return Err(too_many("runs of clusters"));
                }
                self.claims.push(lcn..lcn + run.clusters);
            }
        }
        Ok(())
    }

    fn file(&mut self, number: u64, file: &File) -> Result<()> {
        let volume = self.volume;
        for (kind, name) in file.values_in_clusters() {
            let Some(stream) = file.stream(volume, kind, &name)? else { continue };
            self.value(number, kind, &stream)?;
            if kind == kind::INDEX_ALLOCATION {
                self.index(file, &name, &stream)?;
            }
        }
        if let Some(list) = file.list(volume)? {
            let runs = list.runs();
            let end = runs.last().map_or(0, |run| (run.vcn + run.clusters) * self.cluster());
            for piece in pieces(runs, self.cluster(), list.size().min(end)..end).unwrap_or_default() {
                self.totals.tails += piece.end - piece.start;
                self.push(piece)?;
            }
        }
        Ok(())
    }

    fn index(&mut self, file: &File, name: &[u16], stream: &Stream) -> Result<()> {
        let volume = self.volume;
        let Some(blocks) = Blocks::of(volume, file, name, stream)? else {
            self.kept.indexes += 1;
            return Ok(());
        };
        let size = blocks.size;
        for number in 0..blocks.count {
            let at = number * size;
            if blocks.is_used(number) {
                let bytes = blocks.read(volume, number)?;
                if !self.patch(Form::Block, stream, at, &bytes)? {
                    self.kept.blocks += 1;
                }
                continue;
            }
            let places = pieces(stream.runs(), self.cluster(), at..at + size);
            for piece in places.unwrap_or_default() {
                self.totals.blocks += piece.end - piece.start;
                self.push(piece)?;
            }
        }
        Ok(())
    }

    /// Adds a patch for the structure with these bytes at byte `at` of a value, if it changes anything. `false` when the
    /// structure is not one.
    fn patch(&mut self, form: Form, stream: &Stream, at: u64, bytes: &[u8]) -> Result<bool> {
        let new = match form.changed(bytes) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let len = bytes.len() as u64;
        let Some(places) = pieces(stream.runs(), self.cluster(), at..at + len) else { return Ok(false) };
        self.totals.patches += 1;
        if let [place] = &places[..] {
            let patch = Patch { offset: place.start, len: len as u32, form };
            return self.add(patch).map(|()| true);
        }
        let mut done = 0;
        for place in places {
            let end = done + (place.end - place.start) as usize;
            if new[done..end] != bytes[done..end] {
                let piece: Box<[u8]> = new[done..end].into();
                self.bytes += piece.len() as u64;
                if self.bytes > MAX_BYTES {
                    return Err(too_many("structures in several pieces"));
                }
                let patch = Patch { offset: place.start, len: piece.len() as u32, form: Form::Bytes(piece) };
                self.add(patch)?;
            }
            done = end;
        }
        Ok(true)
    }

    fn add(&mut self, patch: Patch) -> Result<()> {
        if self.patches.len() >= MAX_HELD {
            return Err(too_many("structures with remains in them"));
        }
        self.patches.push(patch);
        Ok(())
    }

    /// The content of files that nobody needs.
    pub(super) fn dropped(&mut self, options: &Options) -> Result<()> {
        let names = [
            (options.pagefile, "pagefile.sys"),
            (options.swapfile, "swapfile.sys"),
            (options.hiberfil, "hiberfil.sys"),
        ];
        for (_, name) in names.into_iter().filter(|name| name.0) {
            let Some(file) = sound::find(self.volume, name)? else { continue };
            let Some(stream) = sound::droppable(self.volume, &file)? else {
                self.kept.dropped += 1;
                continue;
            };
            let written = stream.initialized().min(stream.size());
            let before = self.totals.tails;
            self.tail(&stream, 0, written)?;
            self.totals.dropped += self.totals.tails - before;
            self.totals.tails = before;
        }
        Ok(())
    }

    /// Adds what is free, and holds all of it against itself.
    pub(super) fn finish(mut self) -> Result<Unused> {
        let (volume, cluster) = (self.volume, self.cluster());
        let mut claims = std::mem::take(&mut self.claims);
        claims.sort_unstable_by_key(|claim| claim.start);
        clusters::free(volume, &claims, |free| {
            self.totals.free += (free.end - free.start) * cluster;
            self.push(free.start * cluster..free.end * cluster)
        })?;
        drop(claims);
        let boot = volume.boot();
        let rest = boot.clusters * cluster..boot.len();
        self.totals.free += rest.end - rest.start;
        self.push(rest)?;
        let ranges = merged(self.ranges)?;
        let mut patches = self.patches;
        patches.sort_unstable_by_key(|patch| patch.offset);
        let mut behind = 0;
        for patch in &patches {
            let bytes = patch.offset..patch.offset + u64::from(patch.len);
            let next = ranges.partition_point(|range| range.end <= bytes.start);
            if bytes.start < behind || ranges.get(next).is_some_and(|range| range.start < bytes.end) {
                let text = format!("the structure at {:#x} lies in what is unused", bytes.start);
                return Err(Error::unsound(text));
            }
            behind = bytes.end;
        }
        let size =
            self.source.size().map_err(|source| crate::read::Error::Io { place: Box::default(), source })?;
        if ranges.last().is_some_and(|range| range.end > size) {
            return Err(Error::unsound("the volume is cut off"));
        }
        let kept = self.kept.list(size.saturating_sub(boot.len() + u64::from(boot.sector_size)));
        Ok(Unused { cluster_size: boot.cluster_size, ranges, patches, totals: self.totals, kept })
    }
}

impl KeptCounts {
    fn list(&self, behind: u64) -> Vec<Kept> {
        let all = [
            ("encrypted streams", self.encrypted, "what follows their end is part of the last cipher block"),
            ("compressed units", self.compressed, "where they end cannot be told"),
            ("indexes", self.indexes, "their bitmap and their blocks do not agree"),
            ("index blocks", self.blocks, "they are not whole"),
            ("free file records", self.records, "they are no records"),
            ("mirrored file records", self.mirrored, "they and their copies cannot be written at once"),
            ("files to be emptied", self.dropped, "they are compressed, encrypted, or have another name"),
            ("bytes behind the volume", behind, "they are not the file system's"),
        ];
        let kept = all.into_iter().filter(|kept| kept.1 > 0);
        kept.map(|(what, count, why)| Kept { what, count, why }).collect()
    }
}

fn too_many(what: &str) -> Error {
    let text = format!("more than {MAX_HELD} {what}, or more than {MAX_BYTES} bytes of them");
    Error::Refused { reason: Reason::Limit, text }
}

/// Where on the volume bytes of a value lie, neighbours joined; `None` when some of them lie in no cluster, or are split
/// in the middle of a sector.
fn pieces(runs: &[Run], cluster: u64, bytes: Range<u64>) -> Option<Vec<Range<u64>>> {
    let mut places: Vec<Range<u64>> = Vec::new();
    let first = runs.partition_point(|run| (run.vcn + run.clusters).saturating_mul(cluster) <= bytes.start);
    let mut at = bytes.start;
    for run in &runs[first..] {
        if at >= bytes.end {
            break;
        }
        let (start, end) = (run.vcn * cluster, (run.vcn + run.clusters) * cluster);
        let (from, to) = (at.max(start), bytes.end.min(end));
        let place = run.lcn? * cluster + (from - start);
        match places.last_mut() {
            Some(last) if last.end == place => last.end += to - from,
            _ => places.push(place..place + (to - from)),
        }
        at = to;
    }
    let whole = places.len() < 2 || cluster >= SECTOR;
    (at == bytes.end && whole).then_some(places)
}

/// Sorted and joined; an error when two overlap.
fn merged(mut ranges: Vec<Range<u64>>) -> Result<Vec<Range<u64>>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut kept = 0;
    for i in 0..ranges.len() {
        let range = ranges[i].clone();
        if kept > 0 && range.start < ranges[kept - 1].end {
            return Err(Error::unsound(format!("byte {:#x} is unused twice", range.start)));
        }
        if kept > 0 && range.start == ranges[kept - 1].end {
            ranges[kept - 1].end = range.end;
        } else {
            ranges[kept] = range;
            kept += 1;
        }
    }
    ranges.truncate(kept);
    ranges.shrink_to_fit();
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_the_runs() {
        let run = |vcn, lcn, clusters| Run { vcn, lcn, clusters };
        let runs = [run(0, Some(10), 2), run(2, Some(12), 1), run(3, Some(5), 1), run(4, None, 1)];
        assert_eq!(pieces(&runs, 512, 0..2048).unwrap(), [5120..6656, 2560..3072], "neighbours are joined");
        assert_eq!(pieces(&runs, 512, 1024..2048).unwrap(), [6144..6656, 2560..3072]);
        assert_eq!(pieces(&runs, 512, 1500..1600).unwrap(), [6620..6656, 2560..2624]);
        assert_eq!(pieces(&runs, 512, 2000..2100), None, "a hole");
        assert_eq!(pieces(&runs, 512, 2560..2600), None, "behind the end");
        assert_eq!(pieces(&runs, 256, 512..1024), None, "sectors in halves");
        assert_eq!(pieces(&runs, 512, 7..7).unwrap(), []);
    }

    #[test]
    fn ranges_are_joined_and_never_overlap() {
        assert_eq!(merged(vec![5..7, 0..2, 2..3]).unwrap(), [0..3, 5..7]);
        assert!(merged(vec![0..3, 2..4]).is_err());
        assert!(merged(vec![]).unwrap().is_empty());
    }
}
