//! Files: the attributes of a record, and of the records that an attribute list adds to it.

use std::collections::{BTreeMap, BTreeSet};

use super::error::quoted;
use super::record::RecordBytes;
use super::stream::Stream;
use super::unit::StreamReader;
use super::volume::Volume;
use super::wof::Wof;
use super::{Budget, Error, Place, Result};
use crate::parse::{self, Attribute, StandardInformation, WOF_STREAM, WofCodec, kind};

/// Bytes of an attribute list: Windows stops at 256 KiB.
const MAX_LIST: u64 = 1 << 20;
/// Bytes of the records of one file: 8192 of 4 KiB are as many as the longest list that Windows accepts can name. (Records
/// of the oldest form do not say their number, so that few clusters can be any number of them.)
const MAX_RECORDS: u64 = 32 << 20;
/// Bytes of a reparse point: 16 KiB ([MS-FSCC] 2.1.2), and its GUID.
const MAX_REPARSE: u64 = 16 * 1024 + 24;
/// Bytes of all extended attributes of a file: 64 KiB.
const MAX_EA: u64 = 64 * 1024;
/// Bytes of a security descriptor: 64 KiB.
pub(super) const MAX_DESCRIPTOR: u64 = 64 * 1024;
/// Extended attributes of a file that must be understood.
const NEED_EA: u8 = 0x80;

/// A file or directory, as its records describe it.
#[derive(Clone, Debug)]
pub struct File {
    /// The base record, then the others.
    records: Vec<RecordBytes>,
    /// All attributes, in the order of the record or list.
    parts: Vec<Part>,
}

/// Where an attribute lies.
#[derive(Clone, Copy, Debug)]
struct Part {
    record: usize,
    offset: usize,
    kind: u32,
}

/// One name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileName {
    /// Reference to the directory.
    pub parent: u64,
    /// The name in UTF-16.
    pub name: Box<[u16]>,
    /// Its namespace: 0 POSIX, 1 Win32, 2 DOS, 3 Win32 and DOS.
    pub namespace: u8,
}

/// A reparse point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reparse {
    /// The tag ([MS-FSCC] 2.1.2.1).
    pub tag: u32,
    /// The reserved field.
    pub reserved: u16,
    /// What follows the first 8 bytes; for a tag that is not Microsoft's, its GUID and the data.
    pub data: Box<[u8]>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedEa {
    /// Whether a reader must understand it.
    pub need: bool,
    /// Its name, in the code page of whoever wrote it.
    pub name: Box<[u8]>,
    /// Its value.
    pub value: Box<[u8]>,
}

/// The value of an attribute list.
pub(super) fn list_value(
    volume: &Volume,
    base: &RecordBytes,
    attribute: &Attribute<'_>,
    budget: &mut Budget,
) -> Result<Vec<u8>> {
    let list = Stream::new(volume, base.number, vec![*attribute])?;
    if !list.is_resident() {
        budget.take(list.size(), || list.place())?;
    }
    list.read_all(volume, MAX_LIST)
}

/// Refuses a file of more records than anyone writes.
pub(super) fn check_count(volume: &Volume, number: u64, records: usize) -> Result<()> {
    let len = (records as u64).saturating_mul(volume.boot().record_size.into());
    if len <= MAX_RECORDS {
        return Ok(());
    }
    Err(Error::limit(
        Place::attribute(number, kind::ATTRIBUTE_LIST, &[]),
        "bytes of records",
        len,
        MAX_RECORDS,
    ))
}

/// Checks that an extension record belongs to the file that lists it.
pub(super) fn check_extent(record: &RecordBytes, reference: u64, base: u64, sequence: u16) -> Result<()> {
    let header = record.record().header;
    let place = || Place::record(record.number).at(record.offset);
    if !record.record().in_use() || header.sequence != parse::sequence_of(reference) {
        let reason = format!(
            "sequence number {:#x}, in use: {}; the attribute list of record {base:#x} expects {:#x} in use",
            header.sequence,
            record.record().in_use(),
            parse::sequence_of(reference)
        );
        return Err(Error::malformed(place(), reason));
    }
    if parse::record_of(header.base) != base || parse::sequence_of(header.base) != sequence {
        let reason = format!(
            "belongs to record {:#x}, sequence {:#x}; record {base:#x}, sequence {sequence:#x} lists it",
            parse::record_of(header.base),
            parse::sequence_of(header.base)
        );
        return Err(Error::malformed(place(), reason));
    }
    Ok(())
}

impl Volume {
    /// The file that a reference names: record number in the low 48 bits, sequence number above. The sequence number 0 is that of
    /// any use of the record.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a record that is not in use, or in another use than the reference says.
    pub fn file(&self, reference: u64) -> Result<File> {
        self.file_within(reference, &mut Budget::new(u64::MAX))
    }

    /// As [`file`](Self::file), for whoever reads many.
    pub fn file_within(&self, reference: u64, budget: &mut Budget) -> Result<File> {
        let number = parse::record_of(reference);
        let base = self.record_bytes(number)?;
        let header = base.record().header;
        let place = || Place::record(number).at(base.offset);
        if !base.record().in_use() {
            return Err(Error::not_found(place(), "not in use"));
        }
        let wanted = parse::sequence_of(reference);
        if wanted != 0 && wanted != header.sequence {
            let what = format!(
                "its sequence number is {:#x}, the reference to it has {wanted:#x}: that file is gone",
                header.sequence
            );
            return Err(Error::not_found(place(), what));
        }
        if header.base != 0 {
            let what = format!("belongs to record {:#x}, and is no file", parse::record_of(header.base));
            return Err(Error::not_found(place(), what));
        }
        let mut parts = Vec::new();
        let mut list = None;
        for attribute in base.attributes() {
            let attribute = attribute?;
            if attribute.kind == kind::ATTRIBUTE_LIST {
                list = Some(list_value(self, &base, &attribute, budget)?);
            } else {
                parts.push(Part { record: 0, offset: attribute.offset, kind: attribute.kind });
            }
        }
        let mut file = File { records: vec![base], parts };
        if let Some(list) = list {
            file.follow(self, &list)?;
        }
        Ok(file)
    }
}

impl File {
    /// Takes the attributes that the list names, wherever they are.
    fn follow(&mut self, volume: &Volume, list: &[u8]) -> Result<()> {
        let (base, sequence) = (self.number(), self.sequence());
        let place = || Place::attribute(base, kind::ATTRIBUTE_LIST, &[]);
        let mut positions = BTreeMap::from([(base, 0)]);
        // Where the attributes of each record begin, by type and number. (Numbers should be unique and sometimes are not.)
        let mut known: Vec<BTreeMap<(u32, u16), Vec<usize>>> = vec![self.records[0].by_instance()?];
        let mut parts = Vec::new();
        for entry in parse::list(list) {
            let entry = entry.map_err(Error::fault(place()))?;
            if entry.kind == kind::ATTRIBUTE_LIST {
                continue;
            }
            let number = parse::record_of(entry.record);
            let position = match positions.get(&number) {
                Some(&position) => position,
                None => {
                    let record = volume.record_bytes(number).map_err(|error| match error {
                        // A file that is half there is no file that is not there.
                        Error::NotFound { what, .. } => {
                            let what = format!("lists the extension record {number:#x}: {what}");
                            Error::malformed(place(), what)
                        }
                        other => other,
                    })?;
                    check_extent(&record, entry.record, base, sequence)?;
                    check_count(volume, base, self.records.len() + 1)?;
                    known.push(record.by_instance()?);
                    self.records.push(record);
                    positions.insert(number, self.records.len() - 1);
                    self.records.len() - 1
                }
            };
            let same = known[position].get(&(entry.kind, entry.instance)).map_or(&[][..], Vec::as_slice);
            let fits = |&&offset: &&usize| {
                let attribute = self.records[position].attribute_at(offset);
                let lowest = attribute.non_resident().map_or(0, |body| body.lowest_vcn);
                attribute.name == entry.name && lowest == entry.lowest_vcn
            };
            let found = same.iter().find(fits);
            let found = found.map(|&offset| Part { record: position, offset, kind: entry.kind });
            let Some(part) = found else {
                let reason = format!(
                    "entry at {:#x}: no attribute {:#x} {} number {} that maps from {:#x} in record {number:#x}",
                    entry.offset, entry.kind, entry.name, entry.instance, entry.lowest_vcn
                );
                return Err(Error::malformed(place(), reason));
            };
            parts.push(part);
        }
        self.parts = parts;
        Ok(())
    }

    /// The number of its record.
    pub fn number(&self) -> u64 {
        self.records[0].number
    }

    /// The sequence number of its record.
    pub fn sequence(&self) -> u16 {
        self.records[0].record().header.sequence
    }

    /// The reference to it.
    pub fn reference(&self) -> u64 {
        self.number() | u64::from(self.sequence()) << 48
    }

    /// Where its record lies on the volume.
    pub fn offset(&self) -> u64 {
        self.records[0].offset
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.records[0].record().is_directory()
    }

    fn place(&self) -> Place {
        Place::record(self.number()).at(self.offset())
    }

    fn at(&self, part: Part) -> Attribute<'_> {
        self.records[part.record].attribute_at(part.offset)
    }

    fn of_kind(&self, kind: u32) -> impl Iterator<Item = Attribute<'_>> {
        self.parts.iter().filter(move |part| part.kind == kind).map(|&part| self.at(part))
    }

    /// Type and name of each value that lies in clusters.
    pub fn values_in_clusters(&self) -> BTreeSet<(u32, Box<[u16]>)> {
        let attributes = self.parts.iter().map(|&part| self.at(part));
        let in_clusters = attributes.filter(|attribute| attribute.non_resident().is_some());
        in_clusters.map(|attribute| (attribute.kind, attribute.name.to_units().into())).collect()
    }

    /// The value of an attribute, wherever it lies; `None` when the file has none of this type and name.
    ///
    /// # Errors
    /// [`Error::Malformed`] when its pieces do not fit together.
    pub fn stream(&self, volume: &Volume, kind: u32, name: &[u16]) -> Result<Option<Stream>> {
        let named = |attribute: &Attribute<'_>| attribute.name.units().eq(name.iter().copied());
        let pieces: Vec<_> = self.of_kind(kind).filter(named).collect();
        if pieces.is_empty() { Ok(None) } else { Stream::new(volume, self.number(), pieces).map(Some) }
    }

    /// The list by which the attributes of its other records were found. It is no part of what it lists; most files have
    /// none.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn list(&self, volume: &Volume) -> Result<Option<Stream>> {
        for attribute in self.records[0].attributes() {
            let attribute = attribute?;
            if attribute.kind == kind::ATTRIBUTE_LIST {
                return Stream::new(volume, self.number(), vec![attribute]).map(Some);
            }
        }
        Ok(None)
    }

    /// The resident value of the first attribute of a type.
    fn resident(&self, kind: u32) -> Result<Option<&[u8]>> {
        let Some(attribute) = self.of_kind(kind).next() else { return Ok(None) };
        match attribute.resident() {
            Some(value) => Ok(Some(value)),
            None => {
                let place = Place::attribute(self.number(), kind, &[]).at(self.offset());
                Err(Error::malformed(place, "not resident, expected to be"))
            }
        }
    }

    fn fault(&self, kind: u32) -> impl FnOnce(parse::Fault) -> Error {
        Error::fault(Place::attribute(self.number(), kind, &[]).at(self.offset()))
    }

    /// Times, attributes and security id.
    ///
    /// # Errors
    /// [`Error::Malformed`] also when it has none.
    pub fn standard_information(&self) -> Result<StandardInformation> {
        let value = self
            .resident(kind::STANDARD_INFORMATION)?
            .ok_or_else(|| Error::malformed(self.place(), "no $STANDARD_INFORMATION"))?;
        parse::standard_information(value).map_err(self.fault(kind::STANDARD_INFORMATION))
    }

    /// Its names, short names included.
    pub fn names(&self) -> Result<Vec<FileName>> {
        let name = |attribute: Attribute<'_>| {
            let value = attribute.resident().ok_or_else(|| {
                Error::malformed(self.place(), "a $FILE_NAME is not resident, expected to be")
            })?;
            let name = parse::file_name(value).map_err(self.fault(kind::FILE_NAME))?;
            Ok(FileName {
                parent: name.head.parent,
                name: name.name.to_units().into(),
                namespace: name.head.namespace,
            })
        };
        self.of_kind(kind::FILE_NAME).map(name).collect()
    }

    /// Its streams: the names of those of type `$DATA`, in the volume's order; the unnamed one is empty.
    pub fn stream_names(&self) -> Vec<Box<[u16]>> {
        let mut names: Vec<Box<[u16]>> = Vec::new();
        for attribute in self.of_kind(kind::DATA) {
            // Parts of one stream follow each other.
            if !names.last().is_some_and(|last| attribute.name.units().eq(last.iter().copied())) {
                names.push(attribute.name.to_units().into());
            }
        }
        names
    }

    /// The stream of a name, as it lies on the volume; the unnamed one is empty.
    pub fn raw_stream(&self, volume: &Volume, name: &[u16]) -> Result<Option<Stream>> {
        self.stream(volume, kind::DATA, name)
    }

    /// A reader of the stream of a name. The unnamed stream of a file that Windows compressed is decompressed, unless the volume
    /// was opened for [raw](super::Options::raw) reading.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn open<'v>(&self, volume: &'v Volume, name: &[u16]) -> Result<StreamReader<'v>> {
        let missing = || {
            let place = Place::attribute(self.number(), kind::DATA, name).at(self.offset());
            Error::not_found(place, "no such stream")
        };
        let stream = self.raw_stream(volume, name)?.ok_or_else(missing)?;
        let codec = if name.is_empty() { self.wof(volume)? } else { None };
        let Some(codec) = codec else { return Ok(StreamReader::new(volume, stream, None)) };
        let packed: Vec<u16> = WOF_STREAM.encode_utf16().collect();
        let packed = self.raw_stream(volume, &packed)?.ok_or_else(|| {
            let reason =
                format!("has the reparse point of a compressed file and no stream {}", quoted(&packed));
            Error::malformed(self.place(), reason)
        })?;
        let wof = Wof::new(codec, stream.size(), &packed)?;
        Ok(StreamReader::new(volume, packed, Some(wof)))
    }

    /// How Windows compressed the file behind the file system's back; `None` for most files, and when the volume was
    /// opened for [raw](super::Options::raw) reading.
    pub fn wof(&self, volume: &Volume) -> Result<Option<WofCodec>> {
        if volume.options().raw {
            return Ok(None);
        }
        let Some(value) = self.reparse_value(volume)? else { return Ok(None) };
        let point = parse::reparse(&value).map_err(self.fault(kind::REPARSE_POINT))?;
        parse::wof_codec(&point).map_err(self.fault(kind::REPARSE_POINT))
    }

    fn reparse_value(&self, volume: &Volume) -> Result<Option<Vec<u8>>> {
        let stream = self.stream(volume, kind::REPARSE_POINT, &[])?;
        stream.map(|stream| stream.read_all(volume, MAX_REPARSE)).transpose()
    }

    /// Its reparse point. That of a file that Windows compressed is not shown, unless the volume was opened for
    /// [raw](super::Options::raw) reading.
    pub fn reparse(&self, volume: &Volume) -> Result<Option<Reparse>> {
        let Some(value) = self.reparse_value(volume)? else { return Ok(None) };
        let point = parse::reparse(&value).map_err(self.fault(kind::REPARSE_POINT))?;
        let wof = parse::wof_codec(&point).map_err(self.fault(kind::REPARSE_POINT))?;
        if wof.is_some() && !volume.options().raw {
            return Ok(None);
        }
        Ok(Some(Reparse { tag: point.head.tag, reserved: point.head.reserved, data: value[8..].into() }))
    }

    /// Its extended attributes.
    pub fn extended_attributes(&self, volume: &Volume, budget: &mut Budget) -> Result<Vec<NamedEa>> {
        let Some(stream) = self.stream(volume, kind::EA, &[])? else { return Ok(Vec::new()) };
        if !stream.is_resident() {
            budget.take(stream.size(), || stream.place())?;
        }
        let value = stream.read_all(volume, MAX_EA)?;
        let ea = |ea: parse::Result<parse::Ea<'_>>| {
            let ea = ea.map_err(self.fault(kind::EA))?;
            Ok(NamedEa { need: ea.flags & NEED_EA != 0, name: ea.name.into(), value: ea.value.into() })
        };
        parse::eas(&value).map(ea).collect()
    }

    /// Its object id. (Where it was born is in the volume's index: [`Volume::object_births`].)
    pub fn object_id(&self) -> Result<Option<[u8; 16]>> {
        let Some(value) = self.resident(kind::OBJECT_ID)? else { return Ok(None) };
        match value.first_chunk::<16>() {
            Some(id) => Ok(Some(*id)),
            None => {
                let reason = format!("{} bytes, expected 16 or more", value.len());
                Err(Error::malformed(Place::attribute(self.number(), kind::OBJECT_ID, &[]), reason))
            }
        }
    }

    /// The security descriptor of its own, which files of NTFS 3 have in `$Secure` instead.
    pub fn own_descriptor(&self, volume: &Volume, budget: &mut Budget) -> Result<Option<Box<[u8]>>> {
        let Some(stream) = self.stream(volume, kind::SECURITY_DESCRIPTOR, &[])? else { return Ok(None) };
        if !stream.is_resident() {
            budget.take(stream.size(), || stream.place())?;
        }
        stream.read_all(volume, MAX_DESCRIPTOR).map(|bytes| Some(bytes.into()))
    }
}
