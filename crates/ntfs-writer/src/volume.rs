//! A volume whose every byte has its place, and the rendering of any part of it.

use std::sync::Arc;

use disk::{At, Content, ExtentMap, Label, PieceContent};

use crate::attribute::{AnyEntries, Attribute, Body, Clusters, RecordWriter, Value, read_source};
use crate::index;
use crate::layout::attribute::{FileNameHead, kind};
use crate::layout::boot::{BootSector, NO_BOOT_CODE, sectors_code, size_code};
use crate::layout::index::BLOCK_LEN;
use crate::layout::record::flags;
use crate::layout::{put, put_utf16};
use crate::model::{DirEntries, FIRST_RECORD, ROOT_RECORD};
use crate::node::{Note, ReadBlob, Source};
use crate::pack::{Spread, next_instance};
use crate::place::{Hole, Placed};
use crate::plan::{MAX_CLUSTERS, MIN_LOG, Part, Planned, What, bitmap_len, log_len};
use crate::system::{self, Places};
use crate::{Error, Result, upcase};

/// The only maker of a volume's extents.
const MAKER: u32 = 0;
/// Extents of zeros shorter than this are not worth telling apart.
const SECTOR: u64 = 512;

/// A complete NTFS volume, as a map of labelled extents and a function that renders those which are neither zero nor
/// taken from a source.
#[derive(Debug)]
pub struct Volume {
    planned: Arc<Planned>,
    map: ExtentMap,
    /// Sorted by start.
    parts: Vec<Part>,
    runs: Vec<u32>,
    places: Places,
    /// `$FILE_NAME` of the system files, and the records before those of the tree.
    heads: Vec<FileNameHead>,
    system: Vec<Vec<u8>>,
    boot: Vec<u8>,
    /// Free clusters before [`Volume::used`], and the cluster after the last in use.
    holes: Vec<Hole>,
    used: u64,
    notes: Vec<Note>,
}

impl Volume {
    pub(crate) fn new(planned: Arc<Planned>, volume_len: u64) -> Result<Self> {
        let options = &planned.model.options;
        let (cluster, sector) = (options.cluster_size, u64::from(options.sector_size.bytes()));
        if !volume_len.is_multiple_of(sector) {
            let reason = format!("found {volume_len} bytes, expected a multiple of {sector}");
            return Err(Error::Option { option: "volume length", reason });
        }
        let total_sectors = (volume_len / sector).saturating_sub(1);
        let clusters = total_sectors / (u64::from(cluster) / sector);
        if clusters > MAX_CLUSTERS {
            let reason = format!("{clusters} clusters of {cluster} bytes, the limit is {MAX_CLUSTERS}");
            return Err(Error::Option { option: "volume length", reason });
        }
        let mut notes = planned.model.notes.clone();
        let (placed, log) = choose(&planned, clusters, volume_len, &mut notes)?;

        let mut runs = planned.runs.clone();
        for (stream, &lcn) in planned.streams.iter().zip(&placed.lcns) {
            runs[stream.slot as usize] = lcn as u32;
        }
        let mut parts = planned.front.clone();
        let mut next = placed.end;
        let mut take = |what, len: u64| {
            let lcn = next;
            parts.push(Part { start: lcn * u64::from(cluster), len, what });
            next += planned.clusters(len);
            Clusters::full(lcn as u32, len, cluster)
        };
        let log = take(What::Log, log);
        let bitmap = take(What::Bitmap, bitmap_len(clusters));
        let mft_bitmap = take(What::MftBitmap, planned.mft_bitmap_len);
        let mft = take(What::Mft, planned.mft_len);
        let used = next;
        let fixed = |lcn, len| Clusters::full(lcn, len, cluster);
        let mirror_len = u64::from(cluster).max(4 * u64::from(options.record_size));
        let places = Places {
            mft,
            mft_bitmap,
            mirror: fixed(planned.mirror_lcn, mirror_len),
            log,
            attr_def: fixed(planned.attr_def_lcn, planned.attr_def.len() as u64),
            bitmap,
            boot: fixed(0, crate::plan::BOOT_LEN),
            up_case: fixed(planned.up_case_lcn, upcase::LEN as u64),
            sds: fixed(planned.sds_lcn, planned.model.store.len()),
            clusters,
        };
        parts.push(Part { start: volume_len - sector, len: sector, what: What::BootCopy });

        let boot = boot_record(&planned, &places, total_sectors);
        let heads = system::heads(&planned.model, &places);
        let record = |number| system::record(&planned.model, &planned.views, &places, &heads, number);
        let system = (0..FIRST_RECORD)
            .map(|number| if number == ROOT_RECORD { Vec::new() } else { record(number) })
            .collect();
        let mut volume = Self {
            map: ExtentMap::new(),
            parts,
            runs,
            places,
            heads,
            system,
            boot,
            holes: placed.holes,
            used,
            notes,
            planned,
        };
        volume.draw_map(&placed.lcns, volume_len);
        Ok(volume)
    }

    /// Fills the map: parts and streams by ascending start, zeros between them.
    fn draw_map(&mut self, lcns: &[u64], volume_len: u64) {
        let cluster = u64::from(self.planned.model.options.cluster_size);
        let streams = &self.planned.streams;
        let mut order: Vec<u32> = (0..streams.len() as u32).collect();
        order.sort_unstable_by_key(|&stream| lcns[stream as usize]);
        let mut map = ExtentMap::new();
        let mut order = order.into_iter().peekable();
        for part in &self.parts {
            while let Some(number) = order.next_if(|&stream| lcns[stream as usize] * cluster < part.start) {
                let stream = &streams[number as usize];
                map.pad_to(lcns[number as usize] * cluster);
                let content = match &stream.source {
                    // Nothing in clusters, so no stream is one.
                    Source::Empty | Source::Hole { .. } => continue,
                    Source::Bytes(bytes) => Content::bytes(Arc::clone(bytes)),
                    Source::Blob { blob, .. } => Content::Blob { blob: *blob, offset: 0 },
                };
                let kind = if stream.is_named { "named stream" } else { "file data" };
                map.push(stream.source.len(), content, Label::of(kind, stream.node));
            }
            map.pad_to(part.start);
            let label = self.label(part.what);
            for (offset, len) in self.pieces_of(part) {
                map.pad_to(part.start + offset);
                map.push(len, Content::Made { maker: MAKER, offset: part.start + offset }, label);
            }
        }
        map.pad_to(volume_len);
        self.map = map;
    }

    /// The ranges of a part that are not known to be zero.
    fn pieces_of(&self, part: &Part) -> Vec<(u64, u64)> {
        let record = u64::from(self.planned.model.options.record_size);
        let whole = |end: u64| (0, end.min(part.len));
        match part.what {
            What::Boot => vec![whole(self.boot.len() as u64)],
            What::BootCopy => vec![whole(SECTOR)],
            What::Mft => vec![whole(self.planned.mft_used)],
            What::MftBitmap => {
                let bytes = (self.planned.mft_used / record).div_ceil(8);
                vec![whole(bytes.next_multiple_of(SECTOR))]
            }
            What::Bitmap => {
                let used = self.used.div_ceil(8).next_multiple_of(SECTOR);
                // The bits behind the last cluster are set.
                let last = (part.len - 1) / SECTOR * SECTOR;
                if used >= last { vec![(0, part.len)] } else { vec![whole(used), (last, part.len - last)] }
            }
            _ => vec![(0, part.len)],
        }
    }

    fn label(&self, what: What) -> Label {
        let dirs = &self.planned.model.dirs;
        match what {
            What::Boot => Label::new("$Boot"),
            What::Mirror => Label::new("$MFTMirr"),
            What::UpCase => Label::new("$UpCase"),
            What::AttrDef => Label::new("$AttrDef"),
            What::Sds => Label::new("$Secure:$SDS"),
            What::ViewBlocks(view) | What::ViewBitmap(view) => {
                Label::new(self.planned.views[view as usize].label)
            }
            What::DirBlocks(dir) => Label::of("directory index", dirs[dir as usize].node),
            What::DirBitmap(dir) => Label::of("directory bitmap", dirs[dir as usize].node),
            What::List(list) => Label::of("attribute list", self.planned.model.spreads[list as usize].node),
            What::Reparse(node) => Label::of("reparse point", node),
            What::Ea(node) => Label::of("extended attributes", node),
            What::Log => Label::new("$LogFile"),
            What::Bitmap => Label::new("$Bitmap"),
            What::MftBitmap => Label::new("$MFT bitmap"),
            What::Mft => Label::new("$MFT"),
            What::BootCopy => Label::new("copy of the boot sector"),
        }
    }

    /// The volume: what fills each of its bytes.
    pub fn map(&self) -> &ExtentMap {
        &self.map
    }

    /// What was decided for the caller.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Fills `buf` with the bytes of the volume from byte `offset` on. Works for any range; those of
    /// [`Content::Blob`] are better copied by the caller, who knows their order.
    ///
    /// # Errors
    /// [`Error::Io`] when `blobs` fails.
    ///
    /// # Panics
    /// When the range does not lie inside the volume.
    pub fn render(&self, offset: u64, buf: &mut [u8], blobs: &dyn ReadBlob) -> Result<()> {
        for piece in self.map.pieces(offset..offset + buf.len() as u64) {
            let target = &mut buf[(piece.start - offset) as usize..][..piece.len as usize];
            match piece.content {
                PieceContent::Zero => target.fill(0),
                PieceContent::Bytes(bytes) => target.copy_from_slice(bytes),
                PieceContent::Blob { blob, offset } => {
                    let at = At::new(piece.label.kind, piece.start);
                    blobs.read_blob(blob, offset, target).map_err(|source| Error::Io { at, source })?;
                }
                PieceContent::Made { offset, .. } => {
                    let part = self.parts.partition_point(|part| part.start <= offset) - 1;
                    let part = &self.parts[part];
                    self.render_part(part, offset - part.start, target, blobs)?;
                }
            }
        }
        Ok(())
    }

    /// Renders a range of a part; `offset` counts from its beginning.
    fn render_part(&self, part: &Part, offset: u64, buf: &mut [u8], blobs: &dyn ReadBlob) -> Result<()> {
        let planned = &*self.planned;
        let io = |source| Error::Io { at: At::new(self.label(part.what).kind, part.start), source };
        match part.what {
            What::Boot => copy(&self.boot, offset, buf),
            What::BootCopy => copy(&self.boot[..SECTOR as usize], offset, buf),
            What::Mft | What::Mirror => {
                let record_size = planned.model.options.record_size as usize;
                units(record_size, offset, buf, |record, buf| self.render_record(record as u32, buf, blobs))?;
            }
            What::UpCase => {
                units(512, offset, buf, |unit, buf| {
                    put_utf16(buf, 0, &upcase::table()[unit as usize * 256..][..256]);
                    Ok(())
                })?;
            }
            What::AttrDef => copy(&planned.attr_def, offset, buf),
            What::Sds => planned.model.store.render(offset, buf),
            What::ViewBlocks(view) => {
                let view = &planned.views[view as usize];
                let tree = view.tree.as_ref().expect("only trees have blocks");
                self.render_blocks(tree, AnyEntries::View(view), offset, buf)?;
            }
            What::ViewBitmap(view) => {
                let tree = planned.views[view as usize].tree.as_ref();
                index::render_bitmap(tree.map_or(0, index::Tree::blocks), offset, buf);
            }
            What::DirBlocks(dir) => {
                let tree = planned.model.dirs[dir as usize].tree.as_ref().expect("only trees have blocks");
                let entries = DirEntries { model: &planned.model, system: &self.heads, dir };
                self.render_blocks(tree, AnyEntries::Dir(entries), offset, buf)?;
            }
            What::DirBitmap(dir) => index::render_bitmap(planned.dir_blocks(dir), offset, buf),
            What::List(list) => {
                copy(&planned.model.attribute_list(&planned.model.spreads[list as usize]), offset, buf);
            }
            What::Reparse(node) => {
                let (head, source) = planned.reparse_head(node).expect("planned because it has one");
                let split = (head.len() as u64).saturating_sub(offset).min(buf.len() as u64) as usize;
                let (front, back) = buf.split_at_mut(split);
                copy(&head, offset, front);
                let from = (offset + split as u64).saturating_sub(head.len() as u64);
                if !back.is_empty() {
                    read_source(source, from, back, blobs).map_err(io)?;
                }
            }
            What::Ea(node) => {
                let extra = planned.model.files.inodes[node as usize].extra.as_ref();
                let ea = extra.and_then(|extra| extra.ea.as_ref()).expect("planned because it has some");
                copy(&ea.bytes, offset, buf);
            }
            What::Log => buf.fill(0xFF),
            What::Bitmap => self.render_bitmap(offset, buf),
            What::MftBitmap => self.render_mft_bitmap(offset, buf),
        }
        Ok(())
    }

    fn render_blocks(
        &self,
        tree: &index::Tree,
        entries: AnyEntries<'_>,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<()> {
        let unit = index::block_units(self.planned.model.options.cluster_size);
        units(BLOCK_LEN, offset, buf, |block, buf| {
            tree.render(block as u32, unit, entries.as_dyn(), buf);
            Ok(())
        })
    }

    /// Clusters in use: all up to the last, the holes excepted; and the bits of clusters that do not exist.
    fn render_bitmap(&self, offset: u64, buf: &mut [u8]) {
        let first = offset * 8;
        let end = first + buf.len() as u64 * 8;
        buf.fill(0);
        set_bits(buf, first, first..self.used.min(end));
        let hole = self.holes.partition_point(|&(at, len)| at + len <= first);
        for &(at, len) in self.holes[hole..].iter().take_while(|&&(at, _)| at < end) {
            for bit in at.max(first)..(at + len).min(end) {
                buf[((bit - first) / 8) as usize] &= !(1 << (bit % 8));
            }
        }
        set_bits(buf, first, self.places.clusters.max(first)..end);
    }

    fn render_mft_bitmap(&self, offset: u64, buf: &mut [u8]) {
        let first = offset * 8;
        let end = first + buf.len() as u64 * 8;
        buf.fill(0);
        let tree = FIRST_RECORD..self.planned.model.records();
        for range in system::IN_USE.iter().chain([&tree]) {
            set_bits(buf, first, u64::from(range.start).max(first)..u64::from(range.end).min(end));
        }
    }

    /// Renders one file record.
    fn render_record(&self, number: u32, buf: &mut [u8], blobs: &dyn ReadBlob) -> Result<()> {
        let planned = &*self.planned;
        let model = &planned.model;
        if let Some(node) = planned.node_of(number) {
            let spread = model.spread_of(node);
            return self.render_node(number, node, 0, spread, buf, blobs);
        }
        if let Some(record) = self.system.get(number as usize) {
            buf.copy_from_slice(record);
            return Ok(());
        }
        match model.spread_of_extension(number) {
            Some((list, spread)) => {
                let part = (number - spread.first_record + 1) as u16;
                self.render_node(number, spread.node, part, Some((list, spread)), buf, blobs)
            }
            None => {
                buf.fill(0);
                Ok(())
            }
        }
    }

    /// Renders the base record of a node, or one of its extensions.
    fn render_node(
        &self,
        number: u32,
        node: u32,
        part: u16,
        spread: Option<(usize, &Spread)>,
        buf: &mut [u8],
        blobs: &dyn ReadBlob,
    ) -> Result<()> {
        let model = &self.planned.model;
        let mut writer = RecordWriter::new(buf, blobs);
        let mut parts = spread.map(|(_, spread)| spread.parts.iter());
        let mut outcome = Ok(());
        let mut links = 0u16;
        let runs = self.planned.runs_of(&self.runs, node);
        let mut next = 0;
        model.attributes(node, runs, &self.heads, &mut |attribute| {
            links += u16::from(attribute.kind == kind::FILE_NAME);
            let instance = next;
            next = spread.map_or(instance + 1, |_| next_instance(instance));
            let own =
                parts.as_mut().map_or(0, |parts| *parts.next().expect("measured with the same attributes"));
            if own != part || outcome.is_err() {
                return;
            }
            outcome = writer.push_as(instance, &attribute);
            if let (kind::STANDARD_INFORMATION, Some((list, spread)), true) =
                (attribute.kind, spread, outcome.is_ok())
            {
                outcome = writer.push(&self.list(list, spread));
            }
        });
        outcome.map_err(|source| {
            let at = At::new("file record", self.record_offset(number));
            Error::Io { at, source }
        })?;
        let is_dir = model.files.inodes[node as usize].is_dir();
        match part {
            0 => {
                let flags = flags::IN_USE | if is_dir { flags::DIRECTORY } else { 0 };
                writer.finish(number, model.sequence(node), flags, 0, Some(links));
            }
            _ => writer.finish(number, 1, flags::IN_USE, model.reference(node), Some(0)),
        }
        Ok(())
    }

    /// The attribute that holds or maps an attribute list.
    fn list(&self, list: usize, spread: &Spread) -> Attribute<'static> {
        let body = if spread.list_is_resident {
            Body::Resident(Value::Bytes(self.planned.model.attribute_list(spread).into()))
        } else {
            let cluster = self.planned.model.options.cluster_size;
            let lcn = self.planned.list_lcns[list];
            Body::NonResident(Clusters::full(lcn, spread.list_len as u64, cluster))
        };
        Attribute { kind: kind::ATTRIBUTE_LIST, name: &[], flags: 0, body }
    }

    fn record_offset(&self, number: u32) -> u64 {
        let options = &self.planned.model.options;
        let mft = self.places.mft.run.lcn.map_or(0, u64::from) * u64::from(options.cluster_size);
        mft + u64::from(number) * u64::from(options.record_size)
    }
}

/// Places file data with its alignment if that fits, without it if not, and settles the length of the log.
fn choose(planned: &Planned, clusters: u64, volume_len: u64, notes: &mut Vec<Note>) -> Result<(Placed, u64)> {
    let usual = log_len(volume_len);
    let alignment = planned.model.options.alignment;
    let placed = planned.place(alignment);
    if planned.needed(placed.end, clusters, usual) <= clusters {
        return Ok((placed, usual));
    }
    let tight = planned.place(0);
    if planned.needed(tight.end, clusters, MIN_LOG) > clusters {
        return Err(Error::TooSmall { needed: planned.min_size, found: volume_len });
    }
    if tight.lcns != placed.lcns {
        notes.push(Note::Unaligned);
    }
    if planned.needed(tight.end, clusters, usual) <= clusters {
        return Ok((tight, usual));
    }
    // As many clusters as are left, at least those of the smallest log.
    let room = clusters - planned.needed(tight.end, clusters, 0);
    let cluster = u64::from(planned.model.options.cluster_size);
    let len = (room * cluster).min(usual) / 4096 * 4096;
    let len = len.max(MIN_LOG);
    notes.push(Note::SmallLog { len, usual });
    Ok((tight, len))
}

/// What of `$Boot` is not zero: the boot sector, or all of it when there is code.
fn boot_record(planned: &Planned, places: &Places, total_sectors: u64) -> Vec<u8> {
    let options = &planned.model.options;
    let sector = options.sector_size.bytes();
    let lcn = |clusters: &Clusters| clusters.run.lcn.map_or(0, u64::from);
    let mut out = match &options.boot_code {
        Some(code) => code.to_vec(),
        None => vec![0; SECTOR as usize],
    };
    let mut code = [0; BootSector::CODE_LEN];
    match &options.boot_code {
        Some(record) => code.copy_from_slice(&record[BootSector::CODE..][..BootSector::CODE_LEN]),
        None => code[..NO_BOOT_CODE.len()].copy_from_slice(&NO_BOOT_CODE),
    }
    let boot = BootSector {
        jump: [0xEB, 0x52, 0x90],
        oem_id: *b"NTFS    ",
        sector_size: sector as u16,
        sectors_per_cluster: sectors_code(options.cluster_size / sector),
        zero_0e: [0; 7],
        media: 0xF8,
        zero_16: 0,
        sectors_per_track: options.geometry.sectors_per_track,
        heads: options.geometry.heads,
        hidden_sectors: options.hidden_sectors,
        zero_20: 0,
        drive: [0x80, 0, 0x80, 0],
        total_sectors,
        mft_lcn: lcn(&places.mft),
        mirror_lcn: lcn(&places.mirror),
        record_size: size_code(options.record_size, options.cluster_size),
        zero_41: [0; 3],
        index_block_size: size_code(BLOCK_LEN as u32, options.cluster_size),
        zero_45: [0; 3],
        serial: options.serial,
        checksum: 0,
        code,
        signature: [0x55, 0xAA],
    };
    put(&mut out, 0, &boot);
    out
}

/// Copies `bytes` from `offset` on, and zeros where they end.
fn copy(bytes: &[u8], offset: u64, buf: &mut [u8]) {
    let rest = bytes.get(offset as usize..).unwrap_or_default();
    let len = rest.len().min(buf.len());
    buf[..len].copy_from_slice(&rest[..len]);
    buf[len..].fill(0);
}

/// Sets a range of bits in a piece of a bitmap that begins with bit `first`.
fn set_bits(buf: &mut [u8], first: u64, range: std::ops::Range<u64>) {
    if range.is_empty() {
        return;
    }
    let (start, end) = ((range.start - first) as usize, (range.end - first) as usize);
    let (head, tail) = (start.div_ceil(8).min(end.div_ceil(8)), end / 8);
    if head < tail {
        buf[head..tail].fill(0xFF);
    }
    for bit in (start..end.min(head * 8)).chain((tail * 8).max(start)..end) {
        buf[bit / 8] |= 1 << (bit % 8);
    }
}

/// Renders a range that begins at byte `offset` of a sequence of units of `len` bytes: whole units in place, those that
/// the range cuts through a buffer.
fn units(
    len: usize,
    offset: u64,
    buf: &mut [u8],
    mut render: impl FnMut(u64, &mut [u8]) -> Result<()>,
) -> Result<()> {
    const MAX: usize = 4096;
    let mut scratch = [0; MAX];
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        let (unit, skip) = (at / len as u64, (at % len as u64) as usize);
        let count = (len - skip).min(buf.len() - done);
        let target = &mut buf[done..done + count];
        if count == len {
            render(unit, target)?;
        } else {
            render(unit, &mut scratch[..len])?;
            target.copy_from_slice(&scratch[skip..skip + count]);
        }
        done += count;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits() {
        for start in 0..40u64 {
            for end in start..40 {
                let mut buf = [0; 5];
                set_bits(&mut buf, 0, start..end);
                for bit in 0..40 {
                    let set = buf[(bit / 8) as usize] >> (bit % 8) & 1 == 1;
                    assert_eq!(set, (start..end).contains(&bit), "{start}..{end}: {bit}");
                }
            }
        }
    }

    #[test]
    fn units_are_cut_anywhere() {
        let render = |unit: u64, buf: &mut [u8]| {
            for (i, byte) in buf.iter_mut().enumerate() {
                *byte = (unit * 10 + i as u64) as u8;
            }
            Ok(())
        };
        for from in 0..30 {
            for len in 0..30usize {
                let mut buf = vec![0xEE; len];
                units(10, from, &mut buf, render).unwrap();
                assert!(buf.iter().zip(from..).all(|(&byte, at)| u64::from(byte) == at));
            }
        }
    }
}
