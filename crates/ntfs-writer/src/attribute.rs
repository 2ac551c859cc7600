//! An attribute of a file record: measured and written by the same code, so that layout and bytes cannot disagree.

use std::borrow::Cow;
use std::io;

use crate::index::{self, Entries, Kind, Tree};
use crate::layout::attribute::{
    AttributeHeader, FILE_NAME_LEN, FileNameHead, NON_RESIDENT_LEN, NON_RESIDENT_UNIT_LEN, NonResidentHeader,
    RESIDENT_LEN, ReparseHead, ResidentHeader, STANDARD_INFORMATION_LEN, StandardInformation, kind,
};
use crate::layout::record::{END, END_LEN, RecordHeader, USA_OFFSET, attributes_offset};
use crate::layout::{align8, protect, put, put_u32, put_u64, put_utf16, usa_count};
use crate::model::DirEntries;
use crate::node::{ReadBlob, Source};
use crate::runs::{self, Run};
use crate::system::View;

/// Length of the head of a reparse point.
pub(crate) const REPARSE_HEAD_LEN: usize = 8;

/// An attribute.
#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u32,
    pub(crate) name: &'a [u16],
    pub(crate) flags: u16,
    pub(crate) body: Body<'a>,
}

/// Where the value is.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    Resident(Value<'a>),
    NonResident(Clusters),
}

/// The value of a resident attribute.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    Source(&'a Source),
    Reparse(ReparseHead, &'a Source),
    Standard(StandardInformation),
    Name(FileNameHead, &'a [u16]),
    Root(Root<'a>),
    /// The bitmap of an index: how many blocks are in use.
    Bitmap(u32),
}

/// The root of an index.
#[derive(Debug)]
pub(crate) struct Root<'a> {
    pub(crate) kind: Kind,
    pub(crate) cluster: u32,
    pub(crate) entries: AnyEntries<'a>,
    /// Bytes of the entries, when they are all in the root.
    pub(crate) inline: Option<usize>,
    pub(crate) tree: Option<&'a Tree>,
}

/// The entries of whichever index.
#[derive(Debug)]
pub(crate) enum AnyEntries<'a> {
    Dir(DirEntries<'a>),
    View(&'a View),
}

impl AnyEntries<'_> {
    pub(crate) fn as_dyn(&self) -> &dyn Entries {
        match self {
            Self::Dir(entries) => entries,
            Self::View(view) => *view,
        }
    }
}

/// The value of a non-resident attribute: always one run, of clusters or a hole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clusters {
    pub(crate) run: Run,
    /// Bytes per cluster.
    pub(crate) cluster: u32,
    pub(crate) size: u64,
    pub(crate) initialized: u64,
    /// For compressed and sparse values: log2 of the clusters in a compression unit.
    pub(crate) unit: Option<u8>,
}

impl Clusters {
    fn header_len(&self) -> usize {
        if self.unit.is_some() { NON_RESIDENT_UNIT_LEN } else { NON_RESIDENT_LEN }
    }
}

impl Value<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Source(source) => source.len() as usize,
            Self::Reparse(_, source) => REPARSE_HEAD_LEN + source.len() as usize,
            Self::Standard(_) => STANDARD_INFORMATION_LEN,
            Self::Name(_, name) => FILE_NAME_LEN + 2 * name.len(),
            Self::Root(root) => index::root_len(root.inline),
            Self::Bitmap(blocks) => index::bitmap_len(*blocks),
        }
    }

    fn write(&self, buf: &mut [u8], blobs: &dyn ReadBlob) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => buf[..bytes.len()].copy_from_slice(bytes),
            Self::Source(source) => read_source(source, 0, &mut buf[..source.len() as usize], blobs)?,
            Self::Reparse(head, source) => {
                put(buf, 0, head);
                read_source(source, 0, &mut buf[REPARSE_HEAD_LEN..][..source.len() as usize], blobs)?;
            }
            Self::Standard(standard) => put(buf, 0, standard),
            Self::Name(head, name) => {
                put(buf, 0, head);
                put_utf16(buf, FILE_NAME_LEN, name);
            }
            Self::Root(Root { kind, cluster, entries, tree, .. }) => {
                index::write_root(buf, *kind, *cluster, entries.as_dyn(), *tree);
            }
            Self::Bitmap(blocks) => {
                index::render_bitmap(*blocks, 0, &mut buf[..index::bitmap_len(*blocks)]);
            }
        }
        Ok(())
    }
}

/// Reads `buf` from byte `offset` of a source.
pub(crate) fn read_source(
    source: &Source,
    offset: u64,
    buf: &mut [u8],
    blobs: &dyn ReadBlob,
) -> io::Result<()> {
    match source {
        Source::Empty => Ok(()),
        Source::Bytes(bytes) => {
            buf.copy_from_slice(&bytes[offset as usize..][..buf.len()]);
            Ok(())
        }
        Source::Blob { .. } if buf.is_empty() => Ok(()),
        Source::Blob { blob, .. } => blobs.read_blob(*blob, offset, buf),
        Source::Hole { .. } => {
            buf.fill(0);
            Ok(())
        }
    }
}

/// The length of a resident attribute.
pub(crate) const fn resident_len(name_units: usize, value_len: usize) -> usize {
    align8(align8(RESIDENT_LEN + 2 * name_units) + value_len)
}

/// The most that a non-resident attribute takes, wherever its clusters are.
pub(crate) const fn non_resident_len(name_units: usize, has_unit: bool) -> usize {
    let header = if has_unit { NON_RESIDENT_UNIT_LEN } else { NON_RESIDENT_LEN };
    align8(header + 2 * name_units) + runs::MAX_LEN
}

impl Attribute<'_> {
    /// The most it takes, wherever its clusters are.
    pub(crate) fn bound(&self) -> usize {
        match &self.body {
            Body::Resident(_) => self.len(),
            Body::NonResident(clusters) => non_resident_len(self.name.len(), clusters.unit.is_some()),
        }
    }

    /// What it takes.
    fn len(&self) -> usize {
        match &self.body {
            Body::Resident(value) => resident_len(self.name.len(), value.len()),
            Body::NonResident(clusters) => align8(self.pairs_offset(clusters) + clusters.run.encoded_len()),
        }
    }

    fn pairs_offset(&self, clusters: &Clusters) -> usize {
        align8(clusters.header_len() + 2 * self.name.len())
    }

    /// Writes it at the beginning of `buf`, which is zeroed; returns its length.
    fn write(&self, instance: u16, buf: &mut [u8], blobs: &dyn ReadBlob) -> io::Result<usize> {
        let len = self.len();
        let (non_resident, name_offset) = match &self.body {
            Body::Resident(_) => (0, RESIDENT_LEN),
            Body::NonResident(clusters) => (1, clusters.header_len()),
        };
        let header = AttributeHeader {
            kind: self.kind,
            len: len as u32,
            non_resident,
            name_len: self.name.len() as u8,
            name_offset: name_offset as u16,
            flags: self.flags,
            instance,
        };
        put(buf, 0, &header);
        put_utf16(buf, name_offset, self.name);
        match &self.body {
            Body::Resident(value) => {
                let value_offset = align8(name_offset + 2 * self.name.len());
                let header = ResidentHeader {
                    value_len: value.len() as u32,
                    value_offset: value_offset as u16,
                    indexed: u8::from(self.kind == kind::FILE_NAME),
                    zero_17: 0,
                };
                put(buf, 16, &header);
                value.write(&mut buf[value_offset..len], blobs)?;
            }
            Body::NonResident(clusters) => {
                let allocated = clusters.run.clusters * u64::from(clusters.cluster);
                let pairs_offset = self.pairs_offset(clusters);
                let header = NonResidentHeader {
                    lowest_vcn: 0,
                    highest_vcn: clusters.run.clusters as i64 - 1,
                    pairs_offset: pairs_offset as u16,
                    compression_unit: clusters.unit.unwrap_or(0),
                    zero_23: [0; 5],
                    allocated,
                    size: clusters.size,
                    initialized: clusters.initialized,
                };
                put(buf, 16, &header);
                if clusters.unit.is_some() {
                    let really = if clusters.run.lcn.is_some() { allocated } else { 0 };
                    put_u64(buf, NON_RESIDENT_LEN, really);
                }
                let mut pairs = [0; runs::MAX_LEN];
                let pairs_len = clusters.run.encode(&mut pairs);
                buf[pairs_offset..pairs_offset + pairs_len].copy_from_slice(&pairs[..pairs_len]);
            }
        }
        Ok(len)
    }
}

/// Writes one file record.
pub(crate) struct RecordWriter<'b> {
    buf: &'b mut [u8],
    at: usize,
    instance: u16,
    links: u16,
    blobs: &'b dyn ReadBlob,
}

impl<'b> RecordWriter<'b> {
    /// Begins a record that fills `buf`.
    pub(crate) fn new(buf: &'b mut [u8], blobs: &'b dyn ReadBlob) -> Self {
        buf.fill(0);
        let at = attributes_offset(buf.len());
        Self { buf, at, instance: 0, links: 0, blobs }
    }

    /// Adds an attribute. They come in the order of the record.
    pub(crate) fn push(&mut self, attribute: &Attribute<'_>) -> io::Result<()> {
        self.push_as(self.instance, attribute)
    }

    /// Adds an attribute with a given instance number, which is larger than those before.
    pub(crate) fn push_as(&mut self, instance: u16, attribute: &Attribute<'_>) -> io::Result<()> {
        self.at += attribute.write(instance, &mut self.buf[self.at..], self.blobs)?;
        self.instance = instance + 1;
        self.links += u16::from(attribute.kind == kind::FILE_NAME);
        Ok(())
    }

    /// Ends the record. `links` is the number of names when they are not all in this record.
    pub(crate) fn finish(self, number: u32, sequence: u16, flags: u16, base: u64, links: Option<u16>) {
        put_u32(self.buf, self.at, END);
        let header = RecordHeader {
            usa_offset: USA_OFFSET as u16,
            usa_count: usa_count(self.buf.len()),
            lsn: 0,
            sequence,
            links: links.unwrap_or(self.links),
            attributes_offset: attributes_offset(self.buf.len()) as u16,
            flags,
            used: (self.at + END_LEN) as u32,
            allocated: self.buf.len() as u32,
            base,
            next_instance: self.instance,
            zero_2a: 0,
            number,
        };
        put(self.buf, 0, &header);
        protect(self.buf, USA_OFFSET);
    }
}
