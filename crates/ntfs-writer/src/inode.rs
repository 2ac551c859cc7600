//! The attributes of a file: what it has, what of it is resident, and in which records it lies.

use std::borrow::Cow;

use crate::attribute::{
    AnyEntries, Attribute, Body, Clusters, REPARSE_HEAD_LEN, Root, Value, non_resident_len, resident_len,
};
use crate::index::{self, Kind};
use crate::layout::attribute::{
    EaInformation, FILE_NAME_LEN, FileNameHead, ReparseHead, STANDARD_INFORMATION_LEN, StandardInformation,
    flags, kind,
};
use crate::layout::index::{BLOCK_LEN, collation};
use crate::layout::record::capacity;
use crate::layout::{align8, put, put_u16, put_u32};
use crate::model::{DirEntries, Model};
use crate::node::{Ea, Note, Source, flag};
use crate::plan::MAX_CLUSTERS;
use crate::runs::Run;
use crate::tree::{EncodedEas, Extra, Inode, NONE, resident};
use crate::{Error, Result, names, upcase};

/// The name of a directory's index.
pub(crate) const I30: &[u16] = &[0x24, 0x49, 0x33, 0x30];

/// What a directory's index is.
pub(crate) const NAMES: Kind = Kind { attribute: kind::FILE_NAME, collation: collation::FILE_NAME };

/// A reparse point has at most 16 KiB, its head included ([MS-FSCC] 2.1.2).
const MAX_REPARSE: u64 = 16_384;
/// All extended attributes together, in the form that `$EA_INFORMATION` counts.
const MAX_EA: u64 = 65_535;
/// Streams of one file. NTFS sets no number; the attribute list's limit of 256 KiB does.
const MAX_STREAMS: u64 = 4096;
/// LZNT1 exists for clusters up to this size.
const MAX_COMPRESSED_CLUSTER: u32 = 4096;
/// Clusters in a compression unit, as a power of two.
const COMPRESSION_UNIT: u8 = 4;
/// Sparse files are allocated in multiples of this, on clusters too large for compression units.
const SPARSE_GRANULE: u32 = 65_536;
/// The bitmap of an index stays in the record up to this length: 2048 blocks, some 50,000 names.
const MAX_RESIDENT_BITMAP: usize = 256;

/// How the unnamed stream is stored: attribute flags, compression unit, clusters that are allocated together.
#[derive(Clone, Copy, Debug, Default)]
struct Form {
    flags: u16,
    unit: Option<u8>,
    granule: u64,
}

fn form(attributes: u32, cluster: u32) -> Form {
    if attributes & flag::DIRECTORY != 0 {
        return Form { flags: 0, unit: None, granule: 1 };
    }
    let mut flags = 0;
    if attributes & flag::COMPRESSED != 0 {
        flags |= flags::COMPRESSED;
    }
    if attributes & flag::SPARSE != 0 {
        flags |= flags::SPARSE;
    }
    let (unit, granule) = if flags == 0 {
        (None, 1)
    } else if cluster <= MAX_COMPRESSED_CLUSTER {
        (Some(COMPRESSION_UNIT), 1 << COMPRESSION_UNIT)
    } else {
        (Some(0), (SPARSE_GRANULE / cluster).max(1))
    };
    Form { flags, unit, granule: u64::from(granule) }
}

/// Clusters for `len` bytes, rounded up to `granule` clusters.
fn clusters_for(len: u64, cluster: u32, granule: u64) -> u64 {
    len.div_ceil(u64::from(cluster)).next_multiple_of(granule)
}

impl Model {
    /// Checks each inode and brings it into the form that is written.
    pub(crate) fn prepare_inodes(&mut self) -> Result<()> {
        let mut inodes = std::mem::take(&mut self.files.inodes);
        let outcome = inodes.iter_mut().zip(0..).try_for_each(|(inode, node)| self.prepare(inode, node));
        self.files.inodes = inodes;
        outcome
    }

    fn prepare(&mut self, inode: &mut Inode, node: u32) -> Result<()> {
        let malformed = |reason: String| Err(Error::Malformed { path: self.files.path(node), reason });
        let limit =
            |what, found, limit| Err(Error::Limit { path: self.files.path(node), what, found, limit });
        if inode.attributes & flag::ENCRYPTED != 0 {
            let path = self.files.path(node);
            return Err(Error::Unsupported { path, feature: "encryption (EFS) is" });
        }
        if inode.is_dir() && !inode.data.is_empty() {
            return malformed("a directory cannot have an unnamed stream".into());
        }
        if let Source::Hole { len } = inode.data {
            if inode.attributes & flag::COMPRESSED != 0 {
                return malformed("a hole cannot be compressed".into());
            }
            match len {
                0 => inode.data = Source::Empty,
                _ => inode.attributes |= flag::SPARSE,
            }
        }
        let longest = MAX_CLUSTERS * u64::from(self.options.cluster_size);
        let named = inode.extra.iter().flat_map(|extra| &extra.named).map(|stream| &stream.source);
        for source in named.chain([&inode.data]) {
            if source.len() > longest {
                return limit("length of a stream in bytes", source.len(), longest);
            }
        }
        let mut has_reparse = false;
        if let Some(extra) = &mut inode.extra {
            let Extra { named, reparse, eas, ea, .. } = &mut **extra;
            if named.len() as u64 > MAX_STREAMS {
                return limit("number of named streams", named.len() as u64, MAX_STREAMS);
            }
            let table = upcase::table();
            if named.iter().any(|stream| matches!(stream.source, Source::Hole { .. })) {
                return malformed("only the unnamed stream can be a hole".into());
            }
            named.sort_by(|a, b| names::compare(table, &a.name, &b.name));
            if let Some(fault) = named.iter().find_map(|stream| names::stream_fault(&stream.name)) {
                return malformed(fault.into());
            }
            if let Some(pair) = named
                .windows(2)
                .find(|pair| names::compare_ignoring_case(table, &pair[0].name, &pair[1].name).is_eq())
            {
                let name = String::from_utf16_lossy(&pair[1].name);
                return malformed(format!("two streams with the name {name:?}"));
            }
            if let Some(reparse) = reparse {
                has_reparse = true;
                let len = reparse.data.len().saturating_add(REPARSE_HEAD_LEN as u64);
                if len > MAX_REPARSE {
                    return limit("length of the reparse point in bytes", len, MAX_REPARSE);
                }
                if !is_microsoft(reparse.tag) && reparse.data.len() < GUID_LEN {
                    let found = reparse.data.len();
                    return malformed(format!(
                        "reparse tag {:#x} needs a GUID of 16 bytes, found {found}",
                        reparse.tag
                    ));
                }
            }
            if !eas.is_empty() {
                *ea = match encode_eas(eas) {
                    Ok(encoded) => Some(encoded),
                    Err(EaFault::Name(reason)) => return malformed(reason.into()),
                    Err(EaFault::Length(found)) => {
                        return limit("length of the extended attributes in bytes", found, MAX_EA);
                    }
                };
                *eas = Vec::new();
            }
        }
        let given = inode.attributes;
        let mut change = |bit: u32, set: bool, reason| {
            let before = inode.attributes;
            inode.attributes = if set { before | bit } else { before & !bit };
            if inode.attributes != before {
                let (path, written) = (self.files.path(node), inode.attributes);
                self.notes.push(Note::AttributesChanged { path, given, written, reason });
            }
        };
        change(flag::REPARSE, has_reparse, "the bit says whether there is a reparse point");
        if self.options.cluster_size > MAX_COMPRESSED_CLUSTER {
            change(flag::COMPRESSED, false, "compression needs clusters of 4096 bytes or less");
        }
        // It stands for the absence of all others, and is not stored.
        inode.attributes &= !flag::NORMAL;
        Ok(())
    }

    /// What a file's names repeat of it: times, sizes, attributes.
    pub(crate) fn duplicated(&self, node: u32) -> FileNameHead {
        let inode = &self.files.inodes[node as usize];
        let (allocated, size) = self.data_sizes(inode);
        let mut attributes = inode.attributes & !flag::DIRECTORY;
        if inode.is_dir() {
            attributes |= flag::HAS_NAME_INDEX;
        }
        let tag = inode.extra.as_ref().map_or(0, |extra| match (&extra.reparse, &extra.ea) {
            (Some(reparse), _) => reparse.tag,
            (None, Some(ea)) => u32::from(ea.packed),
            (None, None) => 0,
        });
        FileNameHead {
            parent: 0,
            created: inode.times.created.0,
            modified: inode.times.modified.0,
            changed: inode.times.changed.0,
            accessed: inode.times.accessed.0,
            allocated,
            size,
            attributes: attributes | has_ea(inode),
            tag,
            name_len: 0,
            namespace: 0,
        }
    }

    /// Allocated bytes and length of the unnamed stream.
    fn data_sizes(&self, inode: &Inode) -> (u64, u64) {
        let len = inode.data.len();
        if inode.resident & resident::DATA != 0 || len == 0 {
            return (align8(len as usize) as u64, len);
        }
        if let Source::Hole { .. } = inode.data {
            return (0, len);
        }
        let cluster = self.options.cluster_size;
        let Form { granule, .. } = form(inode.attributes, cluster);
        (clusters_for(len, cluster, granule) * u64::from(cluster), len)
    }

    /// Hands out the attributes of a node in their order, `$ATTRIBUTE_LIST` excepted. `runs` are the first clusters of
    /// those that are not resident, in the same order; empty while that is not known.
    pub(crate) fn attributes<'a>(
        &'a self,
        node: u32,
        runs: &[u32],
        system: &'a [FileNameHead],
        visit: &mut dyn FnMut(Attribute<'a>),
    ) {
        let inode = &self.files.inodes[node as usize];
        let cluster = self.options.cluster_size;
        let mut runs = runs.iter();
        let at = |lcn, len: u64, form: Form| {
            let run = Run { lcn, clusters: clusters_for(len, cluster, form.granule) };
            Body::NonResident(Clusters { run, cluster, size: len, initialized: len, unit: form.unit })
        };
        let mut in_clusters =
            |len: u64, form: Form| at(Some(runs.next().copied().unwrap_or(u32::MAX)), len, form);
        let plain = |kind, name, body| Attribute { kind, name, flags: 0, body };
        let value = Body::Resident;

        let standard = StandardInformation {
            created: inode.times.created.0,
            modified: inode.times.modified.0,
            changed: inode.times.changed.0,
            accessed: inode.times.accessed.0,
            attributes: inode.attributes & !flag::DIRECTORY | has_ea(inode),
            security: inode.security,
            ..StandardInformation::default()
        };
        visit(plain(kind::STANDARD_INFORMATION, &[], value(Value::Standard(standard))));
        if node == 0 {
            let (head, name) = self.root_name();
            visit(plain(kind::FILE_NAME, &[], value(Value::Name(head, name))));
        }
        for &name in self.names_of(node) {
            let (head, name) = self.file_name(name);
            visit(plain(kind::FILE_NAME, &[], value(Value::Name(head, name))));
        }
        let extra = inode.extra.as_deref();
        if let Some(object_id) = extra.and_then(|extra| extra.object_id.as_ref()) {
            visit(plain(kind::OBJECT_ID, &[], value(Value::Bytes(Cow::Borrowed(&object_id.id)))));
        }
        if !inode.is_dir() {
            let form = form(inode.attributes, cluster);
            let (flags, body) = if inode.resident & resident::DATA != 0 {
                // An empty file has no units to be sparse in.
                (form.flags & flags::COMPRESSED, value(Value::Source(&inode.data)))
            } else if let Source::Hole { len } = inode.data {
                (form.flags, at(None, len, form))
            } else {
                (form.flags, in_clusters(inode.data.len(), form))
            };
            visit(Attribute { kind: kind::DATA, name: &[], flags, body });
        }
        let unnamed_form = Form { granule: 1, ..Form::default() };
        for stream in extra.map_or(&[][..], |extra| &extra.named) {
            let body = if stream.resident {
                value(Value::Source(&stream.source))
            } else {
                in_clusters(stream.source.len(), unnamed_form)
            };
            visit(plain(kind::DATA, &stream.name, body));
        }
        if inode.dir != NONE {
            let dir = &self.dirs[inode.dir as usize];
            let entries = AnyEntries::Dir(DirEntries { model: self, system, dir: inode.dir });
            let tree = dir.tree.as_ref();
            let inline = tree.is_none().then_some(dir.bytes);
            let root = Root { kind: NAMES, cluster, entries, inline, tree };
            visit(plain(kind::INDEX_ROOT, I30, value(Value::Root(root))));
            if let Some(tree) = tree {
                let len = u64::from(tree.blocks()) * BLOCK_LEN as u64;
                visit(plain(kind::INDEX_ALLOCATION, I30, in_clusters(len, unnamed_form)));
                let body = if inode.resident & resident::BITMAP != 0 {
                    value(Value::Bitmap(tree.blocks()))
                } else {
                    in_clusters(index::bitmap_len(tree.blocks()) as u64, unnamed_form)
                };
                visit(plain(kind::BITMAP, I30, body));
            }
        }
        let Some(extra) = extra else { return };
        if let Some(reparse) = &extra.reparse {
            let body = if inode.resident & resident::REPARSE != 0 {
                value(Value::Reparse(reparse_head(reparse), &reparse.data))
            } else {
                in_clusters(REPARSE_HEAD_LEN as u64 + reparse.data.len(), unnamed_form)
            };
            visit(plain(kind::REPARSE_POINT, &[], body));
        }
        if let Some(ea) = &extra.ea {
            let mut information = vec![0; 8];
            let head = EaInformation { packed: ea.packed, need: ea.need, unpacked: ea.bytes.len() as u32 };
            put(&mut information, 0, &head);
            visit(plain(kind::EA_INFORMATION, &[], value(Value::Bytes(Cow::Owned(information)))));
            let body = if inode.resident & resident::EA != 0 {
                value(Value::Bytes(Cow::Borrowed(&ea.bytes)))
            } else {
                in_clusters(ea.bytes.len() as u64, unnamed_form)
            };
            visit(plain(kind::EA, &[], body));
        }
    }

    /// Decides what of a node is resident: in order of importance, whatever leaves room for the rest in the record; for
    /// a node that needs several records, what is small. Grows the tree of a directory that is not.
    ///
    /// Returns what all attributes take at most, when that fits the record. `choices` is room to work in.
    pub(crate) fn decide_residency(&mut self, node: u32, choices: &mut Vec<Choice>) -> Option<usize> {
        let room = capacity(self.options.record_size as usize);
        let cluster = self.options.cluster_size;
        let inode = &self.files.inodes[node as usize];
        let mut fixed = resident_len(0, STANDARD_INFORMATION_LEN);
        if node == 0 {
            fixed += resident_len(0, FILE_NAME_LEN + 2);
        }
        for &name in self.names_of(node) {
            fixed += resident_len(0, FILE_NAME_LEN + 2 * self.file_name_units(name));
        }

        // What a sparse stream holds is never resident.
        const NEVER: usize = usize::MAX / 2;
        let small = |name_units: usize, len: u64| {
            if len > 0xFFFF { NEVER } else { resident_len(name_units, len as usize) }
        };
        choices.clear();
        let mut choice = |small, large| choices.push(Choice { small, large, resident: false });
        if inode.dir != NONE {
            let dir = &self.dirs[inode.dir as usize];
            let large = resident_len(I30.len(), index::root_len(None))
                + non_resident_len(I30.len(), false)
                + resident_len(I30.len(), MAX_RESIDENT_BITMAP.min(index::bitmap_len(max_blocks(dir.bytes))));
            choice(small(I30.len(), index::root_len(Some(dir.bytes)) as u64), large);
        } else {
            let Form { unit, flags, .. } = form(inode.attributes, cluster);
            let len = inode.data.len();
            let sparse = flags & flags::SPARSE != 0 && len > 0;
            choice(if sparse { NEVER } else { small(0, len) }, non_resident_len(0, unit.is_some()));
        }
        if let Some(extra) = &inode.extra {
            if extra.object_id.is_some() {
                fixed += resident_len(0, 16);
            }
            if let Some(reparse) = &extra.reparse {
                let len = REPARSE_HEAD_LEN as u64 + reparse.data.len();
                choice(small(0, len), non_resident_len(0, false));
            }
            if let Some(ea) = &extra.ea {
                fixed += resident_len(0, 8);
                choice(small(0, ea.bytes.len() as u64), non_resident_len(0, false));
            }
            for stream in &extra.named {
                let units = stream.name.len();
                choice(small(units, stream.source.len()), non_resident_len(units, false));
            }
        }
        let least = choices.iter().map(|choice| choice.small.min(choice.large));
        let mut total = fixed + least.sum::<usize>();
        let fits = total <= room;
        for &mut Choice { small, large, ref mut resident } in &mut *choices {
            *resident = if small <= large {
                true
            } else if fits {
                let stays = small <= room && total - large + small <= room;
                if stays {
                    total = total - large + small;
                }
                stays
            } else {
                small <= room / 2
            };
        }

        let mut decided = choices.iter();
        let mut next = || decided.next().expect("one for each choice").resident;
        let inode = &mut self.files.inodes[node as usize];
        let dir = inode.dir;
        let first = next();
        if dir == NONE {
            inode.resident |= if first { resident::DATA } else { 0 };
        } else {
            inode.resident |= if first { resident::INDEX } else { 0 };
        }
        if let Some(extra) = &mut inode.extra {
            if extra.reparse.is_some() && next() {
                inode.resident |= resident::REPARSE;
            }
            if extra.ea.is_some() && next() {
                inode.resident |= resident::EA;
            }
            for stream in &mut extra.named {
                stream.resident = next();
            }
        }
        if dir != NONE && !first {
            self.grow_tree(dir);
            let blocks = self.dirs[dir as usize].tree.as_ref().map_or(0, index::Tree::blocks);
            if index::bitmap_len(blocks) <= MAX_RESIDENT_BITMAP {
                self.files.inodes[node as usize].resident |= resident::BITMAP;
            }
        }
        fits.then_some(total)
    }

    /// Whether a file, as decided, has nothing outside its record, told without a look at each attribute. Of those that
    /// have more than a name and a stream nothing is said.
    pub(crate) fn is_plain_and_resident(&self, node: u32) -> bool {
        let inode = &self.files.inodes[node as usize];
        inode.dir == NONE && inode.extra.is_none() && inode.resident & resident::DATA != 0
    }
}

/// Something that may be resident.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// What it takes in the record when it is.
    small: usize,
    /// What it takes when it is not: every other choice must leave room for that.
    large: usize,
    /// Whether it is.
    resident: bool,
}

/// More blocks than a directory with `bytes` of entries can need: blocks are at least half full.
fn max_blocks(bytes: usize) -> u32 {
    (bytes / (BLOCK_LEN / 2) + 2).min(u32::MAX as usize) as u32
}

fn has_ea(inode: &Inode) -> u32 {
    let has = inode.extra.as_ref().is_some_and(|extra| extra.ea.is_some());
    if has { flag::HAS_EA } else { 0 }
}

/// Tags with the highest bit are Microsoft's; the data of all others begins with a GUID.
fn is_microsoft(tag: u32) -> bool {
    tag & 0x8000_0000 != 0
}

const GUID_LEN: u64 = 16;

/// The head of a reparse point. Its length counts what follows it, without the GUID where there is one.
pub(crate) fn reparse_head(reparse: &crate::Reparse) -> ReparseHead {
    let guid = if is_microsoft(reparse.tag) { 0 } else { GUID_LEN };
    ReparseHead { tag: reparse.tag, len: (reparse.data.len() - guid) as u16, reserved: reparse.reserved }
}

enum EaFault {
    Name(&'static str),
    Length(u64),
}

/// Encodes extended attributes: offset of the next, flags, lengths, name and NUL, value; each on a multiple of 4.
fn encode_eas(eas: &[Ea]) -> std::result::Result<EncodedEas, EaFault> {
    const NEED: u8 = 0x80;
    const HEAD: usize = 8;
    let mut bytes = Vec::new();
    let (mut packed, mut need) = (0u64, 0u16);
    for (i, ea) in eas.iter().enumerate() {
        if ea.name.is_empty() || ea.name.len() > 254 {
            return Err(EaFault::Name("the name of an extended attribute has no bytes or more than 254"));
        }
        if ea.name.contains(&0) {
            return Err(EaFault::Name("NUL in the name of an extended attribute"));
        }
        if eas[..i].iter().any(|other| other.name.eq_ignore_ascii_case(&ea.name)) {
            return Err(EaFault::Name("two extended attributes with one name"));
        }
        packed += 5 + ea.name.len() as u64 + ea.value.len() as u64;
        if packed > MAX_EA {
            return Err(EaFault::Length(packed));
        }
        need += u16::from(ea.need);
        let at = bytes.len();
        let len = (HEAD + ea.name.len() + 1 + ea.value.len()).next_multiple_of(4);
        bytes.resize(at + len, 0);
        put_u32(&mut bytes, at, len as u32);
        bytes[at + 4] = if ea.need { NEED } else { 0 };
        bytes[at + 5] = ea.name.len() as u8;
        put_u16(&mut bytes, at + 6, ea.value.len() as u16);
        bytes[at + HEAD..][..ea.name.len()].copy_from_slice(&ea.name);
        bytes[at + HEAD + ea.name.len() + 1..][..ea.value.len()].copy_from_slice(&ea.value);
    }
    Ok(EncodedEas { bytes: bytes.into(), packed: packed as u16, need })
}
