//! The files that make a volume a volume: records 0 to 15, and the children of `$Extend`.
//!
//! Their attributes follow what Windows 10 leaves after the first mount of a volume that it formatted, without the
//! transaction and repair files, which it makes itself where they are missing.

use std::borrow::Cow;
use std::io;

use crate::attribute::{AnyEntries, Attribute, Body, Clusters, RecordWriter, Root, Value};
use crate::index::{self, Entries, Kind, Tree};
use crate::inode::{I30, NAMES};
use crate::layout::attribute::{
    FileNameHead, STANDARD_INFORMATION_LEN, STANDARD_INFORMATION_OLD_LEN, StandardInformation,
    VolumeInformation, kind,
};
use crate::layout::index::{BLOCK_LEN, ENTRY_HEAD_LEN, EntryHead, collation};
use crate::layout::record::flags;
use crate::layout::{align8, put, put_u16, put_u32, put_u64, put_utf16, reference};
use crate::model::{Model, ROOT_RECORD, entry_len, write_name_entry};
use crate::node::{ReadBlob, flag};
use crate::runs::Run;
use crate::{names, secure, upcase};

/// ASCII as UTF-16.
macro_rules! utf16 {
    ($text:literal) => {{
        const TEXT: &[u8] = $text.as_bytes();
        const UNITS: [u16; TEXT.len()] = {
            let mut units = [0; TEXT.len()];
            let mut i = 0;
            while i < TEXT.len() {
                units[i] = TEXT[i] as u16;
                i += 1;
            }
            units
        };
        &UNITS
    }};
}

/// Record numbers of the system files.
pub(crate) mod number {
    pub(crate) const MFT: u32 = 0;
    pub(crate) const MFT_MIRR: u32 = 1;
    pub(crate) const LOG_FILE: u32 = 2;
    pub(crate) const VOLUME: u32 = 3;
    pub(crate) const ATTR_DEF: u32 = 4;
    pub(crate) const BITMAP: u32 = 6;
    pub(crate) const BOOT: u32 = 7;
    pub(crate) const BAD_CLUS: u32 = 8;
    pub(crate) const SECURE: u32 = 9;
    pub(crate) const UP_CASE: u32 = 10;
    pub(crate) const EXTEND: u32 = 11;
    pub(crate) const QUOTA: u32 = 24;
    pub(crate) const OBJ_ID: u32 = 25;
    pub(crate) const REPARSE: u32 = 26;
}

/// Records of the system end here; those from 16 to 23 are free.
pub(crate) const RECORDS: u32 = 27;

/// The ranges of records below [`RECORDS`] that are in use.
pub(crate) const IN_USE: [std::ops::Range<u32>; 2] = [0..16, 24..RECORDS];

/// The system files that the root directory lists.
pub(crate) const ROOT_ENTRIES: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Names of the system files.
pub(crate) struct SystemNames;

impl SystemNames {
    /// By record number.
    pub(crate) fn get(number: u32) -> &'static [u16] {
        match number {
            number::MFT => utf16!("$MFT"),
            number::MFT_MIRR => utf16!("$MFTMirr"),
            number::LOG_FILE => utf16!("$LogFile"),
            number::VOLUME => utf16!("$Volume"),
            number::ATTR_DEF => utf16!("$AttrDef"),
            ROOT_RECORD => utf16!("."),
            number::BITMAP => utf16!("$Bitmap"),
            number::BOOT => utf16!("$Boot"),
            number::BAD_CLUS => utf16!("$BadClus"),
            number::SECURE => utf16!("$Secure"),
            number::UP_CASE => utf16!("$UpCase"),
            number::EXTEND => utf16!("$Extend"),
            number::QUOTA => utf16!("$Quota"),
            number::OBJ_ID => utf16!("$ObjId"),
            number::REPARSE => utf16!("$Reparse"),
            _ => &[],
        }
    }
}

/// Records up to 15 begin with their own number as sequence number, 0 excepted; all others with 1.
fn sequence_of(number: u32) -> u16 {
    if (1..16).contains(&number) { number as u16 } else { 1 }
}

/// The reference to a system file.
pub(crate) fn reference_of(number: u32) -> u64 {
    reference(u64::from(number), sequence_of(number))
}

/// An index other than a directory's, with its entries as bytes.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) owner: u32,
    pub(crate) name: &'static [u16],
    kind: Kind,
    bytes: Vec<u8>,
    /// Where each entry begins, and the last ends. All of them may take more than 4 GiB: 88 bytes for each object id.
    starts: Vec<usize>,
    pub(crate) tree: Option<Tree>,
    /// What the label of its clusters says.
    pub(crate) label: &'static str,
    /// First clusters of the blocks, and of the bitmap when that is not resident.
    pub(crate) blocks_lcn: u32,
    pub(crate) bitmap_lcn: u32,
}

/// The bitmap of a view index stays in the record up to this length.
const MAX_RESIDENT_BITMAP: usize = 64;

impl View {
    fn new(owner: u32, name: &'static [u16], collation: u32, label: &'static str) -> Self {
        Self {
            owner,
            name,
            kind: Kind { attribute: 0, collation },
            bytes: Vec::new(),
            starts: vec![0],
            tree: None,
            label,
            blocks_lcn: u32::MAX,
            bitmap_lcn: u32::MAX,
        }
    }

    /// Appends an entry; `tail` follows the data without being part of it.
    fn push(&mut self, key: &[u8], data: &[u8], tail: &[u8]) {
        let data_at = ENTRY_HEAD_LEN + key.len();
        let len = align8(data_at + data.len() + tail.len());
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        let target = data_at as u64 | (data.len() as u64) << 16;
        let head = EntryHead { target, len: len as u16, key_len: key.len() as u16, flags: 0, zero_0e: 0 };
        put(&mut self.bytes, at, &head);
        for (part, offset) in [(key, ENTRY_HEAD_LEN), (data, data_at), (tail, data_at + data.len())] {
            self.bytes[at + offset..][..part.len()].copy_from_slice(part);
        }
        self.starts.push(self.bytes.len());
    }

    fn push_name(&mut self, number: u32, head: &FileNameHead) {
        let name = SystemNames::get(number);
        let at = self.bytes.len();
        self.bytes.resize(at + entry_len(name), 0);
        write_name_entry(&mut self.bytes[at..], reference_of(number), head, name);
        self.starts.push(self.bytes.len());
    }

    /// Makes it a tree when the entries take more than `room` bytes.
    fn finish(mut self, room: usize) -> Self {
        if self.bytes.len() > room {
            self.tree = Some(Tree::build(&self));
        }
        self
    }

    /// The length of the bitmap when it is not resident.
    pub(crate) fn bitmap_in_clusters(&self) -> Option<usize> {
        let len = index::bitmap_len(self.tree.as_ref()?.blocks());
        (len > MAX_RESIDENT_BITMAP).then_some(len)
    }

    fn root(&self, cluster: u32) -> Attribute<'_> {
        let inline = self.tree.is_none().then_some(self.bytes.len());
        let entries = AnyEntries::View(self);
        let root = Root { kind: self.kind, cluster, entries, inline, tree: self.tree.as_ref() };
        attribute(kind::INDEX_ROOT, self.name, Body::Resident(Value::Root(root)))
    }

    fn allocation(&self, cluster: u32) -> Option<Attribute<'_>> {
        let len = u64::from(self.tree.as_ref()?.blocks()) * BLOCK_LEN as u64;
        let clusters = Clusters::full(self.blocks_lcn, len, cluster);
        Some(attribute(kind::INDEX_ALLOCATION, self.name, Body::NonResident(clusters)))
    }

    fn bitmap(&self, cluster: u32) -> Option<Attribute<'_>> {
        let blocks = self.tree.as_ref()?.blocks();
        let body = match self.bitmap_in_clusters() {
            Some(len) => Body::NonResident(Clusters::full(self.bitmap_lcn, len as u64, cluster)),
            None => Body::Resident(Value::Bitmap(blocks)),
        };
        Some(attribute(kind::BITMAP, self.name, body))
    }
}

impl Entries for View {
    fn count(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    fn len_of(&self, entry: u32) -> usize {
        self.starts[entry as usize + 1] - self.starts[entry as usize]
    }

    fn write(&self, entry: u32, buf: &mut [u8]) {
        let range = self.starts[entry as usize]..self.starts[entry as usize + 1];
        buf.copy_from_slice(&self.bytes[range]);
    }
}

/// The key by which 0x13 sorts: the little-endian words.
fn words<const N: usize>(key: &[u8; N]) -> impl Ord + use<N> {
    let words = key.chunks_exact(4);
    words
        .map(|word| word.iter().rev().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte)))
        .collect::<Vec<_>>()
}

/// The view indexes of the volume, in the order of their owners.
pub(crate) fn views(model: &Model) -> Vec<View> {
    // What record 9 has room for besides its other attributes, for each of two indexes; and a record of one index.
    const ROOM_OF_TWO: usize = 240;
    const ROOM_OF_ONE: usize = 512;

    let headers = model.store.entries();
    let mut by_hash = View::new(number::SECURE, utf16!("$SDH"), collation::SECURITY_HASH, "$Secure:$SDH");
    let mut by_id = View::new(number::SECURE, utf16!("$SII"), collation::U32, "$Secure:$SII");
    let mut data = [0; crate::layout::security::SDS_HEADER_LEN];
    for header in headers {
        put(&mut data, 0, header);
        by_id.push(&header.id.to_le_bytes(), &data, &[]);
    }
    let mut sorted: Vec<_> = headers.iter().collect();
    sorted.sort_by_key(|header| (header.hash, header.id));
    for header in sorted {
        put(&mut data, 0, header);
        // Windows fills the last four bytes with this.
        by_hash.push(&data[..8], &data, b"I\0I\0");
    }

    let mut quota_owners = View::new(number::QUOTA, utf16!("$O"), collation::SID, "$Quota:$O");
    const ADMINISTRATORS_OWNER: u32 = 0x100;
    quota_owners.push(secure::ADMINISTRATORS, &ADMINISTRATORS_OWNER.to_le_bytes(), &[]);
    let mut quotas = View::new(number::QUOTA, utf16!("$Q"), collation::U32, "$Quota:$Q");
    for (owner, sid) in [(1u32, &[][..]), (ADMINISTRATORS_OWNER, secure::ADMINISTRATORS)] {
        quotas.push(&owner.to_le_bytes(), &quota(model, sid), &[]);
    }

    let mut ids = Vec::new();
    let mut points = Vec::new();
    for (inode, node) in model.files.inodes.iter().zip(0..) {
        let Some(extra) = &inode.extra else { continue };
        if let Some(object_id) = extra.object_id {
            ids.push((object_id, model.reference(node)));
        }
        if let Some(reparse) = &extra.reparse {
            let mut key = [0; 12];
            put_u32(&mut key, 0, reparse.tag);
            put_u64(&mut key, 4, model.reference(node));
            points.push(key);
        }
    }
    let mut objects = View::new(number::OBJ_ID, utf16!("$O"), collation::U32_WORDS, "$ObjId:$O");
    ids.sort_by_cached_key(|(object_id, _)| words(&object_id.id));
    for (object_id, target) in ids {
        let mut data = [0; 56];
        put_u64(&mut data, 0, target);
        match &object_id.birth {
            Some(birth) => data[8..].copy_from_slice(birth),
            None => data[24..40].copy_from_slice(&object_id.id),
        }
        objects.push(&object_id.id, &data, &[]);
    }
    let mut reparse = View::new(number::REPARSE, utf16!("$R"), collation::U32_WORDS, "$Reparse:$R");
    points.sort_by_cached_key(words);
    for key in points {
        reparse.push(&key, &[], &[]);
    }
    vec![
        by_hash.finish(ROOM_OF_TWO),
        by_id.finish(ROOM_OF_TWO),
        quota_owners.finish(ROOM_OF_TWO),
        quotas.finish(ROOM_OF_TWO),
        objects.finish(ROOM_OF_ONE),
        reparse.finish(ROOM_OF_ONE),
    ]
}

/// A quota that limits nothing: version, flags, bytes used, time, threshold, limit, time exceeded, owner.
fn quota(model: &Model, sid: &[u8]) -> Vec<u8> {
    const DEFAULT_LIMITS: u32 = 1;
    let mut out = vec![0; 48];
    put_u32(&mut out, 0, 2);
    put_u32(&mut out, 4, DEFAULT_LIMITS);
    put_u64(&mut out, 16, model.options.created.0);
    put_u64(&mut out, 24, u64::MAX);
    put_u64(&mut out, 32, u64::MAX);
    out.extend_from_slice(sid);
    out
}

/// Where the system files lie.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) mft: Clusters,
    pub(crate) mft_bitmap: Clusters,
    pub(crate) mirror: Clusters,
    pub(crate) log: Clusters,
    pub(crate) attr_def: Clusters,
    pub(crate) bitmap: Clusters,
    pub(crate) boot: Clusters,
    pub(crate) up_case: Clusters,
    pub(crate) sds: Clusters,
    /// Clusters of the volume.
    pub(crate) clusters: u64,
}

impl Clusters {
    /// `len` bytes from cluster `lcn` on, all written.
    pub(crate) fn full(lcn: u32, len: u64, cluster: u32) -> Self {
        let run = Run { lcn: Some(lcn), clusters: len.div_ceil(u64::from(cluster)) };
        Self { run, cluster, size: len, initialized: len, unit: None }
    }

    fn allocated(&self) -> u64 {
        self.run.clusters * u64::from(self.cluster)
    }
}

const HIDDEN_AND_SYSTEM: u32 = 0x06;

/// The `$FILE_NAME` of every system file, by record; those of records without a name are empty.
pub(crate) fn heads(model: &Model, places: &Places) -> Vec<FileNameHead> {
    let created = model.options.created.0;
    (0..RECORDS)
        .map(|number| {
            if number == ROOT_RECORD {
                return model.root_name().0;
            }
            let units = SystemNames::get(number);
            if units.is_empty() {
                return FileNameHead::default();
            }
            let data = match number {
                number::MFT => Some(&places.mft),
                number::MFT_MIRR => Some(&places.mirror),
                number::LOG_FILE => Some(&places.log),
                number::ATTR_DEF => Some(&places.attr_def),
                number::BITMAP => Some(&places.bitmap),
                number::BOOT => Some(&places.boot),
                number::UP_CASE => Some(&places.up_case),
                _ => None,
            };
            let attributes = match number {
                number::EXTEND => HIDDEN_AND_SYSTEM | flag::HAS_NAME_INDEX,
                number::SECURE | number::QUOTA | number::OBJ_ID | number::REPARSE => {
                    HIDDEN_AND_SYSTEM | flag::HAS_VIEW_INDEX
                }
                _ => HIDDEN_AND_SYSTEM,
            };
            FileNameHead {
                parent: reference_of(if number < number::QUOTA { ROOT_RECORD } else { number::EXTEND }),
                created,
                modified: created,
                changed: created,
                accessed: created,
                allocated: data.map_or(0, Clusters::allocated),
                size: data.map_or(0, |data| data.size),
                attributes,
                tag: 0,
                name_len: units.len() as u8,
                namespace: names::WIN32_AND_DOS,
            }
        })
        .collect()
}

fn attribute<'a>(kind: u32, name: &'a [u16], body: Body<'a>) -> Attribute<'a> {
    Attribute { kind, name, flags: 0, body }
}

fn bytes<'a>(bytes: impl Into<Cow<'a, [u8]>>) -> Body<'a> {
    Body::Resident(Value::Bytes(bytes.into()))
}

/// Resident data of system files is made here, never read.
struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read_blob(&self, blob: u32, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other(format!("a system file cannot hold blob {blob}")))
    }
}

/// Renders a record below the tree's own; never that of the root. Those that are free are formatted as such: on clusters
/// larger than four records `$MFTMirr` repeats them, and ntfs-3g complains of zeros there.
pub(crate) fn record(
    model: &Model,
    views: &[View],
    places: &Places,
    heads: &[FileNameHead],
    number: u32,
) -> Vec<u8> {
    let mut buf = vec![0; model.options.record_size as usize];
    let mut writer = RecordWriter::new(&mut buf, &NoBlobs);
    let mut flags = 0;
    if IN_USE.iter().any(|range| range.contains(&number)) {
        let extend = extend_index(heads);
        for attribute in attributes(model, views, &extend, places, heads, number) {
            writer.push(&attribute).expect("nothing is read");
        }
        flags = flags::IN_USE
            | match number {
                number::EXTEND => flags::DIRECTORY,
                number::SECURE => flags::VIEW_INDEX,
                number::QUOTA | number::OBJ_ID | number::REPARSE => flags::EXTEND | flags::VIEW_INDEX,
                _ => 0,
            };
    }
    writer.finish(number, sequence_of(number), flags, 0, None);
    buf
}

/// The directory `$Extend`.
fn extend_index(heads: &[FileNameHead]) -> View {
    let mut index = View::new(number::EXTEND, I30, collation::FILE_NAME, "$Extend");
    index.kind = NAMES;
    for number in [number::OBJ_ID, number::QUOTA, number::REPARSE] {
        index.push_name(number, &heads[number as usize]);
    }
    index
}

fn attributes<'a>(
    model: &'a Model,
    views: &'a [View],
    extend: &'a View,
    places: &'a Places,
    heads: &'a [FileNameHead],
    number: u32,
) -> Vec<Attribute<'a>> {
    let cluster = model.options.cluster_size;
    let created = model.options.created.0;
    let in_clusters = |clusters: &Clusters| Body::NonResident(*clusters);
    let data = |body| attribute(kind::DATA, &[], body);
    let empty = || bytes(&[][..]);

    // A few files keep the short form of Windows NT 4, with the descriptor in an attribute of its own; in the long form
    // its key would have to be 0, which means none.
    let has_descriptor = matches!(number, number::BOOT | 12..16);
    let is_view = matches!(number, number::SECURE | number::QUOTA | number::OBJ_ID | number::REPARSE);
    let standard = StandardInformation {
        created,
        modified: created,
        changed: created,
        accessed: created,
        attributes: HIDDEN_AND_SYSTEM | if is_view { flag::HAS_VIEW_INDEX } else { 0 },
        security: match number {
            _ if has_descriptor => 0,
            number::VOLUME | number::SECURE | number::EXTEND.. => model.store.read_write,
            _ => model.store.read,
        },
        ..StandardInformation::default()
    };
    let mut value = vec![0; STANDARD_INFORMATION_LEN];
    put(&mut value, 0, &standard);
    if has_descriptor {
        value.truncate(STANDARD_INFORMATION_OLD_LEN);
    }
    let mut out = vec![attribute(kind::STANDARD_INFORMATION, &[], bytes(value))];
    let name = SystemNames::get(number);
    if !name.is_empty() {
        let value = Value::Name(heads[number as usize], name);
        out.push(attribute(kind::FILE_NAME, &[], Body::Resident(value)));
    }
    if has_descriptor {
        let descriptor =
            if number == number::BOOT { secure::system_read() } else { secure::system_read_write() };
        out.push(attribute(kind::SECURITY_DESCRIPTOR, &[], bytes(descriptor)));
    }
    match number {
        number::MFT => {
            out.push(data(in_clusters(&places.mft)));
            out.push(attribute(kind::BITMAP, &[], in_clusters(&places.mft_bitmap)));
        }
        number::MFT_MIRR => out.push(data(in_clusters(&places.mirror))),
        number::LOG_FILE => out.push(data(in_clusters(&places.log))),
        number::VOLUME => {
            let label: Vec<u16> = model.options.label.encode_utf16().collect();
            let mut value = vec![0; 2 * label.len()];
            put_utf16(&mut value, 0, &label);
            out.push(attribute(kind::VOLUME_NAME, &[], bytes(value)));
            let mut value = vec![0; 12];
            put(&mut value, 0, &VolumeInformation { zero_00: 0, major: 3, minor: 1, flags: 0 });
            out.push(attribute(kind::VOLUME_INFORMATION, &[], bytes(value)));
            out.push(data(empty()));
        }
        number::ATTR_DEF => out.push(data(in_clusters(&places.attr_def))),
        number::BITMAP => out.push(data(in_clusters(&places.bitmap))),
        number::BOOT => out.push(data(in_clusters(&places.boot))),
        number::BAD_CLUS => {
            out.push(data(empty()));
            // One hole as large as the volume, not flagged sparse.
            let bad = Clusters {
                run: Run { lcn: None, clusters: places.clusters },
                cluster,
                size: places.clusters * u64::from(cluster),
                initialized: 0,
                unit: None,
            };
            out.push(attribute(kind::DATA, utf16!("$Bad"), Body::NonResident(bad)));
        }
        number::SECURE => out.push(attribute(kind::DATA, utf16!("$SDS"), in_clusters(&places.sds))),
        number::UP_CASE => {
            out.push(data(in_clusters(&places.up_case)));
            out.push(attribute(kind::DATA, utf16!("$Info"), bytes(up_case_info())));
        }
        number::EXTEND => out.push(extend.root(cluster)),
        12..16 => out.push(data(empty())),
        _ => {}
    }
    let own = || views.iter().filter(|view| view.owner == number);
    out.extend(own().map(|view| view.root(cluster)));
    out.extend(own().filter_map(|view| view.allocation(cluster)));
    out.extend(own().filter_map(|view| view.bitmap(cluster)));
    out
}

/// `$UpCase:$Info`: its own length, the checksum of the table; then the version of Windows that made it: none.
fn up_case_info() -> Vec<u8> {
    const LEN: usize = 32;
    let mut out = vec![0; LEN];
    put_u32(&mut out, 0, LEN as u32);
    put_u64(&mut out, 8, upcase::CRC64);
    out
}

/// `$AttrDef`: what attributes there are.
pub(crate) fn attr_def() -> Vec<u8> {
    const ENTRY: usize = 160;
    const INDEXED: u32 = 0x02;
    const RESIDENT: u32 = 0x40;
    const ANY: u32 = 0x80;
    const NO_LIMIT: u64 = u64::MAX;
    #[rustfmt::skip]
    const ATTRIBUTES: [(&str, u32, u32, u64, u64); 15] = [
        ("$STANDARD_INFORMATION",  0x10,  RESIDENT,           0x30, 0x48),
        ("$ATTRIBUTE_LIST",        0x20,  ANY,                0,    NO_LIMIT),
        ("$FILE_NAME",             0x30,  RESIDENT | INDEXED, 0x44, 0x242),
        ("$OBJECT_ID",             0x40,  RESIDENT,           0,    0x100),
        ("$SECURITY_DESCRIPTOR",   0x50,  ANY,                0,    NO_LIMIT),
        ("$VOLUME_NAME",           0x60,  RESIDENT,           2,    0x100),
        ("$VOLUME_INFORMATION",    0x70,  RESIDENT,           0xC,  0xC),
        ("$DATA",                  0x80,  0,                  0,    NO_LIMIT),
        ("$INDEX_ROOT",            0x90,  RESIDENT,           0,    NO_LIMIT),
        ("$INDEX_ALLOCATION",      0xA0,  ANY,                0,    NO_LIMIT),
        ("$BITMAP",                0xB0,  ANY,                0,    NO_LIMIT),
        ("$REPARSE_POINT",         0xC0,  ANY,                0,    0x4000),
        ("$EA_INFORMATION",        0xD0,  RESIDENT,           8,    8),
        ("$EA",                    0xE0,  0,                  0,    0x1_0000),
        ("$LOGGED_UTILITY_STREAM", 0x100, ANY,                0,    0x1_0000),
    ];
    let mut out = vec![0; (ATTRIBUTES.len() + 1) * ENTRY];
    for (entry, (name, kind, flags, min, max)) in out.chunks_exact_mut(ENTRY).zip(ATTRIBUTES) {
        for (unit, i) in name.encode_utf16().zip(0..) {
            put_u16(entry, 2 * i, unit);
        }
        put_u32(entry, 0x80, kind);
        put_u32(entry, 0x8C, flags);
        put_u64(entry, 0x90, min);
        put_u64(entry, 0x98, max);
    }
    out
}
