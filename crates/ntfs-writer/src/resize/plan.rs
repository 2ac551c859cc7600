//! What has to change.

use std::collections::BTreeMap;
use std::ops::Range;

use disk::ReadAt;

use super::edit::{Protected, Sizes, joined, set_runs};
use super::segments::{Segment, over};
use super::space::Space;
use super::{Content, Error, Resized, Result};
use crate::layout::number::{BAD_CLUSTERS, BITMAP, MFT, MIRROR, ROOT};
use crate::layout::put_u64;
use crate::parse::{self, Run, kind};
use crate::plan::MAX_CLUSTERS;
use crate::read::{Error as ReadError, Place, Stream, Volume};

/// Bytes of `$MFT` that are read at once.
const CHUNK: u64 = 256 << 10;
/// Records that may change, and pieces that may move, of each: a volume that needs more is better made anew.
const MAX_HELD: usize = 4 << 20;
/// Records that Windows looks for before it knows all runs of `$MFT`.
const FIRST_RECORDS: u64 = 16;
/// Fields of the value of a `$FILE_NAME`.
const NAME_ALLOCATED: usize = 0x28;
const NAME_SIZE: usize = 0x30;
/// Bytes in front of the key of an index entry.
const ENTRY_HEAD: usize = 16;

/// Clusters that move.
struct Move {
    from: u64,
    to: u64,
    clusters: u64,
}

pub(super) struct Plan<'v> {
    source: &'v dyn ReadAt,
    volume: &'v Volume,
    len: u64,
    cluster: u64,
    /// Sectors of the volume in the new size.
    sectors: u64,
    space: Space,
    mft: Stream,
    mirror: Stream,
    moves: Vec<Move>,
    /// Records that change, by number.
    records: BTreeMap<u64, Protected>,
    /// Bytes that change, by where they lay on the old volume; none crosses a cluster.
    edits: BTreeMap<u64, Vec<u8>>,
    /// Where `$MFT` and its mirror begin.
    mft_lcn: u64,
    mirror_lcn: u64,
}

fn stream(volume: &Volume, record: u64) -> Result<Stream> {
    let missing = || ReadError::not_found(Place::record(record), "no unnamed stream");
    Ok(volume.file(record)?.raw_stream(volume, &[])?.ok_or_else(missing)?)
}

impl<'v> Plan<'v> {
    pub(super) fn new(source: &'v dyn ReadAt, volume: &'v Volume, len: u64) -> Result<Self> {
        let boot = volume.boot();
        let (sector, cluster) = (u64::from(boot.sector_size), u64::from(boot.cluster_size));
        if !len.is_multiple_of(sector) || len < 2 * sector + cluster {
            let text = format!("a volume with sectors of {sector} bytes cannot have {len} bytes");
            return Err(Error::Impossible(text));
        }
        // The last sector of the partition holds the copy of the first.
        let sectors = len / sector - 1;
        let clusters = sectors / (cluster / sector);
        if clusters > MAX_CLUSTERS {
            let most = (MAX_CLUSTERS * cluster) >> 30;
            let text = format!(
                "with clusters of {cluster} bytes, a volume has at most {most} GiB: it would have to be made anew"
            );
            return Err(Error::Impossible(text));
        }
        let bitmap = stream(volume, BITMAP)?;
        let known = boot.clusters;
        let mut bits = vec![0; known.min(clusters).div_ceil(8) as usize];
        bitmap.read(volume, 0, &mut bits)?;
        Ok(Self {
            source,
            volume,
            len,
            cluster,
            sectors,
            space: Space::new(bits, known, clusters),
            mft: stream(volume, MFT)?,
            mirror: stream(volume, MIRROR)?,
            moves: Vec::new(),
            records: BTreeMap::new(),
            edits: BTreeMap::new(),
            mft_lcn: boot.mft_lcn,
            mirror_lcn: boot.mirror_lcn,
        })
    }

    pub(super) fn run(mut self) -> Result<Resized> {
        if self.space.clusters() < self.volume.boot().clusters {
            self.move_all()?;
        }
        self.bad_clusters()?;
        let bitmap = self.bitmap()?;
        let records = self.records.len() as u64;
        self.write_records()?;
        self.finish(&bitmap, records)
    }

    fn too_small(&self) -> Result<Error> {
        let used = self.volume.usage()?.used;
        let needed = used * self.cluster + u64::from(self.volume.boot().sector_size);
        if needed > self.len {
            return Ok(Error::TooSmall { needed, found: self.len });
        }
        let text = format!(
            "what lies behind byte {:#x} does not fit the free space in front of it as it is in pieces; the volume uses {needed} bytes",
            self.space.clusters() * self.cluster
        );
        Ok(Error::Impossible(text))
    }

    /// A record that is to change, and its bytes so far.
    fn record(&mut self, number: u64) -> Result<&mut Protected> {
        if !self.records.contains_key(&number) {
            if self.records.len() >= MAX_HELD {
                return Err(Error::Impossible("too many files would have to be moved".to_owned()));
            }
            let size = u64::from(self.volume.boot().record_size);
            let mut bytes = vec![0; size as usize];
            self.mft.read_clusters(self.volume, number * size, &mut bytes)?;
            self.records.insert(number, Protected::new(bytes, "file record")?);
        }
        Ok(self.records.get_mut(&number).expect("it was put there"))
    }

    /// Moves whatever lies behind the new end.
    fn move_all(&mut self) -> Result<()> {
        let size = u64::from(self.volume.boot().record_size);
        let count = self.mft.size() / size;
        let per_chunk = (CHUNK / size).max(1);
        let mut buf = Vec::new();
        let mut first = 0;
        while first < count {
            let now = per_chunk.min(count - first);
            buf.resize((now * size) as usize, 0);
            self.mft.read_clusters(self.volume, first * size, &mut buf)?;
            let chunk = std::mem::take(&mut buf);
            for (bytes, number) in chunk.chunks_exact(size as usize).zip(first..) {
                self.move_record(number, bytes)?;
            }
            buf = chunk;
            first += now;
        }
        Ok(())
    }

    fn move_record(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        if bytes.get(..4) != Some(b"FILE") {
            return Ok(());
        }
        let end = self.space.clusters();
        let plain = Protected::new(bytes.to_vec(), "file record")?;
        let record = parse::record(&plain.bytes)?;
        if !record.in_use() {
            return Ok(());
        }
        let mut found = Vec::new();
        for attribute in record.attributes() {
            let attribute = attribute?;
            let Some(body) = attribute.non_resident() else { continue };
            // Clusters that are bad stay where they are, and those behind the end are forgotten.
            if number == BAD_CLUSTERS && attribute.kind == kind::DATA && attribute.name == "$Bad" {
                continue;
            }
            let runs = parse::runs(body.pairs, body.lowest_vcn, self.volume.boot().clusters);
            let runs: Vec<Run> = runs.collect::<parse::Result<_>>()?;
            if runs.iter().any(|run| run.lcn.is_some_and(|lcn| lcn + run.clusters > end)) {
                found.push((attribute.offset, attribute.kind, body.lowest_vcn, runs));
            }
        }
        // From the last: those before it stay where they are in the record.
        for (offset, kind, lowest, runs) in found.into_iter().rev() {
            let new = self.moved(&runs, lowest)?;
            let fits = set_runs(&mut self.record(number)?.bytes, offset, &new, None)?;
            let new = if fits { new } else { self.in_one_piece(number, offset, &runs, &new, lowest)? };
            if kind == kind::DATA && number <= MIRROR {
                self.pointers(number, &new)?;
            }
        }
        Ok(())
    }

    /// The runs with all that lies behind the end in free clusters before it.
    fn moved(&mut self, runs: &[Run], lowest: u64) -> Result<Vec<Run>> {
        let end = self.space.clusters();
        let mut new = Vec::new();
        for run in runs {
            let Some(lcn) = run.lcn.filter(|lcn| lcn + run.clusters > end) else {
                new.push((run.lcn, run.clusters));
                continue;
            };
            let stays = end.saturating_sub(lcn);
            new.push((Some(lcn), stays));
            let Some(pieces) = self.space.take_pieces(run.clusters - stays) else {
                return Err(self.too_small()?);
            };
            let mut from = lcn + stays;
            for piece in pieces {
                let clusters = piece.end - piece.start;
                self.add_move(from, piece.start, clusters)?;
                new.push((Some(piece.start), clusters));
                from += clusters;
            }
        }
        Ok(joined(new, lowest))
    }

    fn add_move(&mut self, from: u64, to: u64, clusters: u64) -> Result<()> {
        if self.moves.len() >= MAX_HELD {
            return Err(Error::Impossible("too many pieces of files would have to be moved".to_owned()));
        }
        self.moves.push(Move { from, to, clusters });
        Ok(())
    }

    /// When the way to several pieces does not fit the record: the way to one does.
    fn in_one_piece(
        &mut self,
        number: u64,
        offset: usize,
        old: &[Run],
        tried: &[Run],
        lowest: u64,
    ) -> Result<Vec<Run>> {
        let full = || {
            let text = format!(
                "file record {number} has no room for the way to one more piece of its file, and there is no free range for all \
                 of it"
            );
            Error::Impossible(text)
        };
        if old.iter().any(|run| run.lcn.is_none()) {
            return Err(full());
        }
        let clusters = old.iter().map(|run| run.clusters).sum();
        let to = self.space.take(clusters).ok_or_else(full)?;
        // What was moved for nothing.
        let given: Vec<Range<u64>> =
            tried.iter().filter_map(|run| run.lcn.map(|lcn| lcn..lcn + run.clusters)).collect();
        self.moves.retain(|moved| !given.iter().any(|range| range.contains(&moved.to)));
        given.into_iter().for_each(|range| self.space.give(range));
        let mut at = to;
        for run in old {
            self.add_move(run.lcn.expect("no holes"), at, run.clusters)?;
            at += run.clusters;
        }
        let new = joined([(Some(to), clusters)], lowest);
        if set_runs(&mut self.record(number)?.bytes, offset, &new, None)? { Ok(new) } else { Err(full()) }
    }

    /// Where the boot sector has to lead.
    fn pointers(&mut self, number: u64, runs: &[Run]) -> Result<()> {
        let Some(first) = runs.first().filter(|run| run.vcn == 0) else { return Ok(()) };
        let size = u64::from(self.volume.boot().record_size);
        let lcn = first.lcn.unwrap_or_default();
        let needed = if number == MFT { FIRST_RECORDS * size } else { self.mirror.size() };
        if first.clusters * self.cluster < needed {
            let text = format!(
                "no free range has room for the beginning of {}",
                ["$MFT", "$MFTMirr"][number as usize]
            );
            return Err(Error::Impossible(text));
        }
        if number == MFT {
            self.mft_lcn = lcn
        } else {
            self.mirror_lcn = lcn
        }
        Ok(())
    }

    /// An attribute of a system file that has its first record for itself: where it begins there, its runs and sizes.
    fn system_attribute(&mut self, number: u64, name: &str) -> Result<(usize, Vec<Run>, Sizes)> {
        let clusters = self.volume.boot().clusters.max(self.space.clusters());
        let record = self.record(number)?;
        let mut found = None;
        for attribute in parse::record(&record.bytes)?.attributes() {
            let attribute = attribute?;
            if attribute.kind == kind::ATTRIBUTE_LIST {
                found = None;
                break;
            }
            if attribute.kind == kind::DATA && attribute.name == name {
                found = attribute.non_resident().map(|body| {
                    let sizes =
                        Sizes { allocated: body.allocated, size: body.size, initialized: body.initialized };
                    (attribute.offset, parse::runs(body.pairs, 0, clusters).collect(), sizes)
                });
            }
        }
        let Some((offset, runs, sizes)) = found else {
            let text = format!("system file {number} is in so many pieces that it has several records");
            return Err(Error::Impossible(text));
        };
        let runs: parse::Result<Vec<Run>> = runs;
        Ok((offset, runs?, sizes))
    }

    /// `$Bad` is a hole as long as the volume, but for the bad clusters.
    fn bad_clusters(&mut self) -> Result<()> {
        let clusters = self.space.clusters();
        let (offset, runs, sizes) = self.system_attribute(BAD_CLUSTERS, "$Bad")?;
        let kept = runs.iter().map(|run| (run.lcn, run.clusters.min(clusters.saturating_sub(run.vcn))));
        let have: u64 = runs.last().map_or(0, |run| run.vcn + run.clusters);
        let rest = (None, clusters.saturating_sub(have));
        let new = joined(kept.chain([rest]), 0);
        let size = clusters * self.cluster;
        // Windows writes the size here, mkntfs 0.
        let initialized = if sizes.initialized == 0 { 0 } else { size };
        let sizes = Sizes { allocated: size, size, initialized };
        if set_runs(&mut self.record(BAD_CLUSTERS)?.bytes, offset, &new, Some(sizes))? {
            return Ok(());
        }
        Err(Error::Impossible("the list of bad clusters does not fit its record".to_owned()))
    }

    /// Gives `$Bitmap` its length. Returns where it lies.
    fn bitmap(&mut self) -> Result<Vec<Run>> {
        let size = self.space.bits().len() as u64;
        let needed = size.div_ceil(self.cluster);
        // What has been moved has been written into the record.
        let (offset, runs, _) = self.system_attribute(BITMAP, "")?;
        let have: u64 = runs.iter().map(|run| run.clusters).sum();
        let new = if have >= needed {
            let mut left = needed;
            let mut kept = Vec::new();
            for run in &runs {
                let keep = run.clusters.min(left);
                left -= keep;
                kept.push((run.lcn, keep));
                if let Some(lcn) = run.lcn {
                    self.space.give(lcn + keep..lcn + run.clusters);
                }
            }
            joined(kept, 0)
        } else {
            let more = needed - have;
            let behind = runs.last().and_then(|run| Some(run.lcn? + run.clusters));
            let pieces = match behind.filter(|at| self.space.take_at(*at, more)) {
                Some(at) => std::iter::once(at..at + more).collect(),
                None => match self.space.take_pieces(more) {
                    Some(pieces) => pieces,
                    None => return Err(self.too_small()?),
                },
            };
            let old = runs.iter().map(|run| (run.lcn, run.clusters));
            joined(old.chain(pieces.into_iter().map(|piece| (Some(piece.start), piece.end - piece.start))), 0)
        };
        let allocated = needed * self.cluster;
        let sizes = Sizes { allocated, size, initialized: size };
        let record = self.record(BITMAP)?;
        if !set_runs(&mut record.bytes, offset, &new, Some(sizes))? {
            return Err(Error::Impossible("$Bitmap is in too many pieces for its record".to_owned()));
        }
        self.bitmap_names(allocated, size)?;
        Ok(new)
    }

    /// The sizes of `$Bitmap` are repeated in its name, and in the root directory's entry for it.
    fn bitmap_names(&mut self, allocated: u64, size: u64) -> Result<()> {
        let put = |bytes: &mut [u8], at: usize| {
            put_u64(bytes, at + NAME_ALLOCATED, allocated);
            put_u64(bytes, at + NAME_SIZE, size);
        };
        let record = self.record(BITMAP)?;
        let mut places = Vec::new();
        for attribute in parse::record(&record.bytes)?.attributes() {
            let attribute = attribute?;
            if let (kind::FILE_NAME, parse::Body::Resident { value_offset, value, .. }) =
                (attribute.kind, &attribute.body)
                && value.len() >= NAME_SIZE + 8
            {
                places.push(attribute.offset + value_offset);
            }
        }
        places.into_iter().for_each(|at| put(&mut record.bytes, at));

        let changed_before = self.records.contains_key(&ROOT);
        let record = self.record(ROOT)?;
        let mut place = None;
        for attribute in parse::record(&record.bytes)?.attributes() {
            let attribute = attribute?;
            if let (kind::INDEX_ROOT, parse::Body::Resident { value_offset, value, .. }) =
                (attribute.kind, &attribute.body)
                && attribute.name == "$I30"
            {
                let found = entry_of(&parse::root(value)?.node, BITMAP)?;
                place = found.map(|at| attribute.offset + value_offset + at);
            }
        }
        if let Some(at) = place {
            put(&mut record.bytes, at + ENTRY_HEAD);
            return Ok(());
        }
        if !changed_before {
            self.records.remove(&ROOT);
        }
        let root = self.volume.root()?;
        let name: Vec<u16> = "$I30".encode_utf16().collect();
        let Some(blocks) = root.stream(self.volume, kind::INDEX_ALLOCATION, &name)? else { return Ok(()) };
        let block_size = u64::from(self.volume.boot().index_block_size);
        for number in 0..blocks.size() / block_size {
            let mut bytes = vec![0; block_size as usize];
            blocks.read_clusters(self.volume, number * block_size, &mut bytes)?;
            // Blocks that were given back may hold anything, the entry included: it is changed in all of them.
            let Ok(mut block) = Protected::new(bytes, "index block") else { continue };
            let Ok(parsed) = parse::block(&block.bytes) else { continue };
            let Ok(Some(at)) = entry_of(&parsed.node, BITMAP) else { continue };
            put(&mut block.bytes, at + ENTRY_HEAD);
            self.edit(&blocks, number * block_size, &block.protected())?;
        }
        Ok(())
    }

    /// Bytes that are to lie at byte `at` of a value.
    fn edit(&mut self, stream: &Stream, at: u64, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let from = at + done as u64;
            let len = ((self.cluster - from % self.cluster) as usize).min(bytes.len() - done);
            let Some(place) = stream.place_on_volume(self.volume, from) else {
                return Err(Error::Impossible("a structure of the volume lies in a hole".to_owned()));
            };
            self.edits.insert(place, bytes[done..done + len].to_vec());
            done += len;
        }
        Ok(())
    }

    /// Records that changed, in `$MFT` and its mirror.
    fn write_records(&mut self) -> Result<()> {
        let size = u64::from(self.volume.boot().record_size);
        let (mft, mirror) = (self.mft.clone(), self.mirror.clone());
        for (number, record) in std::mem::take(&mut self.records) {
            let bytes = record.protected();
            self.edit(&mft, number * size, &bytes)?;
            if (number + 1) * size <= mirror.size() {
                self.edit(&mirror, number * size, &bytes)?;
            }
        }
        Ok(())
    }

    /// Where a byte of the old volume lies on the new one. The moves are sorted.
    fn place(&self, at: u64) -> u64 {
        let cluster = at / self.cluster;
        let after = self.moves.partition_point(|moved| moved.from <= cluster);
        match self.moves[..after].last() {
            Some(moved) if cluster < moved.from + moved.clusters => {
                (moved.to + cluster - moved.from) * self.cluster + at % self.cluster
            }
            _ => at,
        }
    }

    fn finish(mut self, bitmap: &[Run], records: u64) -> Result<Resized> {
        let boot = self.volume.boot();
        let sector = u64::from(boot.sector_size);
        let old_end = boot.clusters.min(self.space.clusters()) * self.cluster;
        // Nothing behind the last cluster is the volume's, but for the copy of the boot sector.
        let base = [
            Segment { start: 0, len: old_end, content: Content::Volume(0) },
            Segment { start: old_end, len: self.len - old_end, content: Content::Zero },
        ];
        let moved_clusters: u64 = self.moves.iter().map(|moved| moved.clusters).sum();
        self.moves.sort_unstable_by_key(|moved| moved.to);
        let moved: Vec<Segment> = self
            .moves
            .iter()
            .map(|moved| Segment {
                start: moved.to * self.cluster,
                len: moved.clusters * self.cluster,
                content: Content::Volume(moved.from * self.cluster),
            })
            .collect();
        let segments = over(&base, &moved);

        self.moves.sort_unstable_by_key(|moved| moved.from);
        let mut bytes: Vec<Segment> =
            self.edits.iter().map(|(at, bytes)| Segment::bytes(self.place(*at), bytes.clone())).collect();
        let bits = self.space.bits();
        for run in bitmap {
            let Some(lcn) = run.lcn else { continue };
            for cluster in 0..run.clusters {
                let from = ((run.vcn + cluster) * self.cluster) as usize;
                let mut part = bits[from..bits.len().min(from + self.cluster as usize)].to_vec();
                part.resize(self.cluster as usize, 0);
                bytes.push(Segment::bytes((lcn + cluster) * self.cluster, part));
            }
        }
        let mut first = vec![0; sector as usize];
        self.source
            .read_exact_at(&mut first, 0)
            .map_err(|source| ReadError::Io { place: Box::new(Place::offset(0)), source })?;
        put_u64(&mut first, 0x28, self.sectors);
        put_u64(&mut first, 0x30, self.mft_lcn);
        put_u64(&mut first, 0x38, self.mirror_lcn);
        bytes.push(Segment::bytes(0, first.clone()));
        bytes.push(Segment::bytes(self.len - sector, first));
        bytes.sort_unstable_by_key(|segment| segment.start);
        let segments = over(&segments, &bytes);
        Ok(Resized { len: self.len, segments, moved: moved_clusters * self.cluster, records })
    }
}

/// Where the entry for a record's file begins in a root or block.
fn entry_of(node: &parse::Node<'_>, number: u64) -> Result<Option<usize>> {
    for entry in node.entries() {
        let entry = entry?;
        if parse::record_of(entry.target) == number && entry.key.len() >= NAME_SIZE + 8 {
            return Ok(Some(entry.offset));
        }
    }
    Ok(None)
}
