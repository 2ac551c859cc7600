use std::fmt;
use std::sync::Arc;

use disk::{At, ReadAt};
use sha1::{Digest, Sha1};

use crate::blob::{Blob, BlobId, BlobTable, Metadata};
use crate::cache::ChunkCache;
use crate::header::Header;
use crate::image::{self, Image};
use crate::integrity::IntegrityTable;
use crate::kept::Kept;
use crate::layout::{HEADER_LEN, RawResource, header_flags};
use crate::reader::BlobReader;
use crate::resource::{Resource, ResourceReader, Storage, source};
use crate::solid::Solid;
use crate::warning::{Warning, Warnings};
use crate::xml::{self, Xml};
use crate::{Error, Limits, Result};

/// Where the bytes of a WIM come from.
pub type Source = Arc<dyn ReadAt>;

/// Metadata claiming to be more than this many times as large as the whole file is a bomb (observed: wimlib's bound).
const MAX_METADATA_RATIO: u64 = 512;

/// Budget for decoded chunks of solid resources until [`Wim::set_memory`] says otherwise.
const DEFAULT_MEMORY: u64 = 256 << 20;

/// What the parts of a split set have of their own.
#[derive(Debug)]
struct Part {
    size: u64,
    /// Where the blob table lies.
    table: Resource,
    integrity: Option<Resource>,
}

/// An open WIM file, or an open split set of them: header, blob table and XML are read and checked, images and blobs when
/// they are asked for.
///
/// It is not changed by reading, so threads share it; each takes a [`reader`](Self::reader).
pub struct Wim {
    /// By part number.
    sources: Vec<Source>,
    parts: Vec<Part>,
    limits: Limits,
    header: Header,
    table: BlobTable,
    cache: ChunkCache,
    kept: Kept,
    xml: Xml,
    xml_raw: Vec<u8>,
    warnings: Vec<Warning>,
}

impl fmt::Debug for Wim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wim")
            .field("header", &self.header)
            .field("blobs", &self.table.blobs.len())
            .field("images", &self.table.metadata.len())
            .finish_non_exhaustive()
    }
}

impl Wim {
    /// Opens a WIM file with the default [`Limits`].
    ///
    /// # Errors
    /// [`Error::Malformed`], also when it is not a WIM; [`Error::Unsupported`] for a part of a split set, encrypted and
    /// very old files; [`Error::Limit`]; [`Error::Io`].
    pub fn open(source: Source) -> Result<Self> {
        Self::open_with(source, Limits::default())
    }

    /// Opens a WIM file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(source: Source, limits: Limits) -> Result<Self> {
        let header = Header::read(&*source)?;
        if header.parts > 1 {
            let feature = format!("part {} of a split set of {}, on its own", header.part, header.parts);
            return Err(Error::Unsupported { at: header.at("WIM header", 0x28), feature });
        }
        Self::open_parts(vec![source], vec![header], limits, |_, error| error)
    }

    /// Opens a split set, all of its parts, in any order, with the default [`Limits`].
    ///
    /// # Errors
    /// [`Error::Part`] says which of the sources is at fault; it may contain what [`open`](Self::open) returns, or
    /// [`Error::Malformed`] for a part of another set. [`Error::MissingPart`] for a set that is not complete.
    ///
    /// # Panics
    /// When there is no source.
    pub fn open_set(sources: Vec<Source>) -> Result<Self> {
        Self::open_set_with(sources, Limits::default())
    }

    /// Opens a split set.
    ///
    /// # Errors
    /// As [`open_set`](Self::open_set).
    ///
    /// # Panics
    /// When there is no source.
    pub fn open_set_with(sources: Vec<Source>, limits: Limits) -> Result<Self> {
        assert!(!sources.is_empty(), "a set has at least one part");
        let wrap = |part, error| Error::Part { part, source: Box::new(error) };
        let mut members: Vec<(usize, Header, Source)> = Vec::with_capacity(sources.len());
        for (index, source) in sources.into_iter().enumerate() {
            let header = Header::read(&*source).map_err(|error| wrap(index, error))?;
            if let Some((_, first, _)) = members.first()
                && (first.guid, first.parts) != (header.guid, header.parts)
            {
                let reason = format!(
                    "it is of set {} with {} parts, expected set {} with {} parts",
                    header.guid, header.parts, first.guid, first.parts
                );
                let at = header.at("WIM header", 0x18);
                return Err(wrap(index, Error::Malformed { at, reason }));
            }
            members.push((index, header, source));
        }
        members.sort_by_key(|(_, header, _)| header.part);
        let once_more = |index: usize, header: &Header| {
            let reason = format!("it is part {} once more", header.part);
            let at = header.at("WIM header", 0x28);
            Err(wrap(index, Error::Malformed { at, reason }))
        };
        let total = members[0].1.parts;
        for number in 1..=total {
            match members.get(usize::from(number) - 1) {
                Some((_, header, _)) if header.part == number => {}
                // Sorted, so a number that is too small was there before.
                Some((index, header, _)) if header.part < number => return once_more(*index, header),
                _ => return Err(Error::MissingPart { part: number, parts: total }),
            }
        }
        if let Some((index, header, _)) = members.get(usize::from(total)) {
            return once_more(*index, header);
        }
        let order: Vec<usize> = members.iter().map(|(index, ..)| *index).collect();
        let (headers, sources) = members.into_iter().map(|(_, header, source)| (header, source)).unzip();
        Self::open_parts(sources, headers, limits, |part, error| wrap(order[part], error))
    }

    /// Opens the parts of a set, in order; `wrap` says of which an error is.
    fn open_parts(
        sources: Vec<Source>,
        headers: Vec<Header>,
        limits: Limits,
        wrap: impl Fn(usize, Error) -> Error,
    ) -> Result<Self> {
        let mut warnings = Warnings::default();
        let mut table = BlobTable::default();
        let mut parts = Vec::with_capacity(headers.len());
        for (index, header) in headers.iter().enumerate() {
            let part = Self::open_part(&sources, header, &limits, &mut table, &mut warnings)
                .map_err(|error| wrap(index, error))?;
            parts.push(part);
        }
        table.finish(parts[0].table.offset, &mut warnings);

        let header = headers.into_iter().next().expect("at least one part");
        let xml_at = header.at("XML data", Header::XML_AT);
        let read_xml = || {
            let resource = header.resource(header.xml, xml_at, parts[0].size)?;
            Limits::check(At::new("XML data", resource.offset), "size", resource.size, limits.xml_bytes)?;
            Ok((resource, ResourceReader::new(&sources).read_all(&resource)?))
        };
        let (xml_resource, xml_raw) = read_xml().map_err(|error| wrap(0, error))?;
        let claimed = header.image_count;
        let found = table.metadata.len();
        if found != claimed as usize {
            warnings.push("WIM header", header.at("", 0x2C).offset, || {
                format!("image count is {claimed}, the blob table has the metadata of {found}")
            });
            table.metadata.truncate(claimed as usize);
        }
        let image_count = table.metadata.len() as u32;
        if header.boot_index > image_count {
            warnings.push("WIM header", header.at("", 0x78).offset, || {
                format!("bootable image {} of {image_count}, taken for none", header.boot_index)
            });
        }
        Self::compare_boot_metadata(&header, &table, &mut warnings);
        if header.flags & header_flags::WRITE_IN_PROGRESS != 0 {
            warnings.push("WIM header", header.at("", 0x10).offset, || {
                "a change of the file began and was not finished".to_owned()
            });
        }
        let xml = xml::parse(&xml_raw, xml_resource.offset, image_count, &mut warnings);
        if xml.encrypted {
            return Err(wrap(0, Error::unsupported("XML data", xml_resource.offset, "encrypted file (ESD)")));
        }
        Ok(Self {
            sources,
            parts,
            limits,
            header,
            table,
            cache: ChunkCache::new(DEFAULT_MEMORY),
            kept: Kept::default(),
            xml,
            xml_raw,
            warnings: warnings.into_list(),
        })
    }

    /// The header repeats where the bootable image's metadata is, for boot loaders that do not read the blob table. We
    /// always use the table; who uses the copy sees something else if they differ.
    fn compare_boot_metadata(header: &Header, table: &BlobTable, warnings: &mut Warnings) {
        let copy = header.boot_metadata;
        let place =
            |offset: u64, stored: u64, size: u64| format!("{offset:#x}, {stored:#x} bytes for {size:#x}");
        let index = header.boot_index.checked_sub(1).map(|index| index as usize);
        let text = match index.and_then(|index| table.metadata.get(index)) {
            // No tool that writes a bootable image leaves the copy out, and no loader could use it.
            Some(_) if copy.is_absent() => {
                "the place of the bootable image's metadata is missing; some boot loaders need it".to_owned()
            }
            Some(Metadata { resource, .. }) => {
                let entry = (resource.offset, resource.stored_size, resource.size);
                if (copy.offset, copy.stored_size(), copy.size) == entry {
                    return;
                }
                format!(
                    "the bootable image's metadata is at {}, by its entry in the blob table at {}; ignored the former",
                    place(copy.offset, copy.stored_size(), copy.size),
                    place(entry.0, entry.1, entry.2)
                )
            }
            None if header.boot_index == 0 && !copy.is_absent() => format!(
                "no image is bootable, and the bootable image's metadata is at {}",
                place(copy.offset, copy.stored_size(), copy.size)
            ),
            None => return,
        };
        warnings.push("WIM header", header.at("", Header::BOOT_METADATA_AT).offset, || text);
    }

    /// Reads what a part has of its own, and adds its blobs to `table`.
    fn open_part(
        sources: &[Source],
        header: &Header,
        limits: &Limits,
        table: &mut BlobTable,
        warnings: &mut Warnings,
    ) -> Result<Part> {
        let file = source(sources, header.part);
        let size = file.size().map_err(Error::io("WIM", 0))?;
        let at = header.at("blob table", Header::BLOB_TABLE_AT);
        let resource = header.resource(header.blob_table, at, size)?;
        let at = At::new("blob table", resource.offset);
        Limits::check(at, "size", resource.size, limits.blob_table_bytes)?;
        let bytes = ResourceReader::new(sources).read_all(&resource)?;
        table.add(&bytes, resource.offset, header, (file, size), limits, warnings)?;
        let integrity = match header.integrity {
            raw if raw.is_absent() => {
                // Nothing that writes files leaves half of it: there was a table.
                if raw != RawResource::default() {
                    warnings.push("WIM header", header.at("", Header::INTEGRITY_AT).offset, || {
                        format!(
                            "the integrity table is at {:#x}, {:#x} bytes for {:#x}; taken for absent",
                            raw.offset,
                            raw.stored_size(),
                            raw.size
                        )
                    });
                }
                None
            }
            raw => {
                let at = header.at("integrity table", Header::INTEGRITY_AT);
                Some(header.resource(raw, at, size)?)
            }
        };
        Ok(Part { size, table: resource, integrity })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The XML data as far as it is understood.
    pub fn xml(&self) -> &Xml {
        &self.xml
    }

    /// The XML data as it is stored: UTF-16 with a byte order mark, normally.
    pub fn xml_raw(&self) -> &[u8] {
        &self.xml_raw
    }

    /// How many images there are, at most what the header says.
    pub fn image_count(&self) -> u32 {
        self.table.metadata.len() as u32
    }

    /// Index of the bootable image, from 1; `None` when there is none.
    pub fn boot_index(&self) -> Option<u32> {
        Some(self.header.boot_index).filter(|index| (1..=self.image_count()).contains(index))
    }

    /// Length of the file in bytes, or of all parts together.
    pub fn file_size(&self) -> u64 {
        self.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size))
    }

    /// How much memory decoded chunks of solid resources may take together, in bytes; 256 MiB until this is called.
    ///
    /// They are shared by all readers, and decoded by as many of them at once as there is room for chunks (64 MiB each
    /// in ESD files) and their stored forms (about a third of that). A chunk can always be decoded while nothing else
    /// is held, even if it is larger than the budget.
    pub fn set_memory(&self, bytes: u64) {
        self.cache.set_memory(bytes);
    }

    /// How many times a chunk of a solid resource was decoded for a reader so far.
    pub fn decoded_chunks(&self) -> u64 {
        self.cache.decoded()
    }

    /// Announces which small blobs will be read late and out of order: those in solid resources are then copied when
    /// their chunks are decoded. For a pass that reads contents in the order of the file and small files at last, this
    /// makes the difference between decoding every chunk once and decoding one for every small file.
    ///
    /// Takes the place of what was announced before. Blobs of more than 64 KiB are not kept; the others take their size
    /// and about 150 bytes each, besides the budget of [`set_memory`](Self::set_memory).
    ///
    /// # Panics
    /// When an id is not of this file.
    pub fn keep(&self, blobs: &[BlobId]) {
        self.kept.set(&self.table.solid, blobs.iter().map(|&id| (id, self.blob(id))));
    }

    /// What file contents the file holds, in the order in which they lie in it: reading them in this order reads it
    /// once from front to back. Metadata is not among them.
    pub fn blobs(&self) -> &[Blob] {
        &self.table.blobs
    }

    /// A blob.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn blob(&self, id: BlobId) -> &Blob {
        &self.table.blobs[id.0 as usize]
    }

    /// The blob with a SHA-1.
    pub fn find_blob(&self, sha1: &[u8; 20]) -> Option<BlobId> {
        self.table.find(sha1)
    }

    /// In pieces of how many bytes a blob is decoded; `None` when it is stored raw, or solid, where pieces hold other
    /// blobs, too, and are kept for them. Reads that begin and end at multiples of this decode nothing twice.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn chunk_size_of(&self, id: BlobId) -> Option<u64> {
        match self.blob(id).storage {
            Storage::Raw | Storage::Solid { .. } => None,
            Storage::Chunked { chunk_size, .. } | Storage::Piped { chunk_size, .. } => {
                Some(u64::from(chunk_size))
            }
        }
    }

    /// SHA-1 of an image's metadata, as the blob table says: names an image's tree without reading it.
    ///
    /// # Panics
    /// When there is no image `index`.
    pub fn metadata_sha1(&self, index: u32) -> [u8; 20] {
        self.table.metadata[index as usize - 1].sha1
    }

    pub(crate) fn metadata(&self, index: u32) -> Result<&Metadata> {
        let metadata = index.checked_sub(1).and_then(|index| self.table.metadata.get(index as usize));
        metadata.ok_or(Error::NoSuchImage { index, count: self.image_count() })
    }

    /// Reads an image's metadata, checks its SHA-1 and parses it; `index` is 1-based.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`]; [`Error::Image`] with [`Error::Hash`] when the metadata is damaged, with
    /// [`Error::Malformed`] and [`Error::Limit`] when it makes no sense, or with [`Error::Io`].
    pub fn image(&self, index: u32) -> Result<Image> {
        self.parse_image(index, true)
    }

    fn parse_image(&self, index: u32, check_hash: bool) -> Result<Image> {
        let &Metadata { sha1: expected, resource } = self.metadata(index)?;
        let parse = || {
            let bytes = self.metadata_bytes(&resource)?;
            if check_hash {
                let found: [u8; 20] = Sha1::digest(&bytes).into();
                if found != expected {
                    let at = At::new("image metadata", resource.offset);
                    return Err(Error::Hash { at, expected, found });
                }
            }
            self.parse(&bytes)
        };
        parse().map_err(|source| Error::Image { index, source: Box::new(source) })
    }

    /// As [`image`](Self::image), without checking the SHA-1: to see what can be saved of a damaged file, and to fuzz
    /// what would hide behind the hash.
    ///
    /// # Errors
    /// As [`image`](Self::image), without [`Error::Hash`].
    pub fn image_ignoring_hash(&self, index: u32) -> Result<Image> {
        self.parse_image(index, false)
    }

    /// Parses metadata as if it were an image's of this file.
    pub(crate) fn parse(&self, metadata: &[u8]) -> Result<Image> {
        image::parse(metadata, &self.table, &self.limits)
    }

    pub(crate) fn metadata_bytes(&self, resource: &Resource) -> Result<Vec<u8>> {
        let at = At::new("image metadata", resource.offset);
        Limits::check(at, "size", resource.size, self.limits.metadata_bytes)?;
        if resource.size / MAX_METADATA_RATIO > self.file_size() {
            return Err(Error::Malformed {
                at,
                reason: format!(
                    "{:#x} bytes cannot come out of a file of {:#x}",
                    resource.size,
                    self.file_size()
                ),
            });
        }
        ResourceReader::new(&self.sources).read_all(resource)
    }

    /// A reader of blobs, with the decoder state and buffers of one worker.
    pub fn reader(&self) -> BlobReader<'_> {
        BlobReader::new(self)
    }

    /// What was wrong with the file and worked around. At most about a hundred.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn solid(&self) -> &Solid {
        &self.table.solid
    }

    pub(crate) fn cache(&self) -> &ChunkCache {
        &self.cache
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether there is an integrity table; every part of a split set may have one.
    pub fn has_integrity(&self) -> bool {
        self.parts.iter().any(|part| part.integrity.is_some())
    }

    /// How many bytes of the files the integrity tables cover; 0 when there are none.
    pub(crate) fn integrity_covers(&self) -> u64 {
        let covered = |part: &Part| {
            let end = part.table.offset + part.table.stored_size;
            if part.integrity.is_some() { end.saturating_sub(u64::from(HEADER_LEN)) } else { 0 }
        };
        self.parts.iter().fold(0, |sum: u64, part| sum.saturating_add(covered(part)))
    }

    /// Reads the integrity tables, with the numbers of the parts whose they are.
    pub(crate) fn integrity(&self) -> impl Iterator<Item = (u16, Result<IntegrityTable>)> {
        let parts = self.parts.iter().zip(1..);
        parts.filter_map(|(part, number)| Some((number, self.integrity_of(part, part.integrity?))))
    }

    fn integrity_of(&self, part: &Part, resource: Resource) -> Result<IntegrityTable> {
        let at = At::new("integrity table", resource.offset);
        Limits::check(at, "size", resource.size, self.limits.integrity_bytes)?;
        let bytes = ResourceReader::new(&self.sources).read_all(&resource)?;
        let end = part.table.offset + part.table.stored_size;
        IntegrityTable::parse(&bytes, resource.offset, end)
    }
}
