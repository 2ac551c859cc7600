use std::fmt;
use std::sync::Arc;

use disk::{At, ReadAt};
use sha1::{Digest, Sha1};

use crate::blob::{Blob, BlobId, BlobTable, Metadata};
use crate::header::Header;
use crate::image::{self, Image};
use crate::integrity::IntegrityTable;
use crate::layout::{HEADER_LEN, RawResource, header_flags};
use crate::reader::BlobReader;
use crate::resource::{Resource, ResourceReader, Storage};
use crate::warning::{Warning, Warnings};
use crate::xml::{self, Xml};
use crate::{Error, Limits, Result};

/// Where the bytes of a WIM come from.
pub type Source = Arc<dyn ReadAt>;

/// Metadata claiming to be more than this many times as large as the whole file is a bomb (observed: wimlib's bound).
const MAX_METADATA_RATIO: u64 = 512;

/// An open WIM file: header, blob table and XML are read and checked, images and blobs when they are asked for.
///
/// It is not changed by reading, so threads share it; each takes a [`reader`](Self::reader).
pub struct Wim {
    source: Source,
    size: u64,
    limits: Limits,
    header: Header,
    table: BlobTable,
    /// Where the blob table lies.
    table_resource: Resource,
    xml: Xml,
    xml_raw: Vec<u8>,
    integrity: Option<Resource>,
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
    /// [`Error::Malformed`], also when it is not a WIM; [`Error::Unsupported`] for solid, split, pipable, encrypted and
    /// very old files; [`Error::Limit`]; [`Error::Io`].
    pub fn open(source: Source) -> Result<Self> {
        Self::open_with(source, Limits::default())
    }

    /// Opens a WIM file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(source: Source, limits: Limits) -> Result<Self> {
        let size = source.size().map_err(Error::io("WIM", 0))?;
        let header = Header::read(&*source)?;
        header.check_supported()?;
        let mut warnings = Warnings::default();
        let mut reader = ResourceReader::new(&*source);
        let mut read = |raw: RawResource, what, field, limit| {
            let resource = header.resource(raw, At::new(what, field), size)?;
            Limits::check(At::new(what, resource.offset), "size", resource.size, limit)?;
            Ok((resource, reader.read_all(&resource)?))
        };
        let (table_resource, bytes) =
            read(header.blob_table, "blob table", Header::BLOB_TABLE_AT, limits.blob_table_bytes)?;
        let mut table = BlobTable::parse(&bytes, table_resource.offset, &header, size, &mut warnings)?;
        drop(bytes);
        let (xml_resource, xml_raw) = read(header.xml, "XML data", Header::XML_AT, limits.xml_bytes)?;
        let integrity = match header.integrity {
            raw if raw.is_absent() => None,
            raw => Some(header.resource(raw, At::new("integrity table", Header::INTEGRITY_AT), size)?),
        };

        let claimed = header.image_count;
        let found = table.metadata.len();
        if found != claimed as usize {
            warnings.push("WIM header", 0x2C, || {
                format!("image count is {claimed}, the blob table has the metadata of {found}")
            });
            table.metadata.truncate(claimed as usize);
        }
        let image_count = table.metadata.len() as u32;
        if header.boot_index > image_count {
            warnings.push("WIM header", 0x78, || {
                format!("bootable image {} of {image_count}, taken for none", header.boot_index)
            });
        }
        if header.flags & header_flags::WRITE_IN_PROGRESS != 0 {
            warnings
                .push("WIM header", 0x10, || "a change of the file began and was not finished".to_owned());
        }
        let xml = xml::parse(&xml_raw, xml_resource.offset, image_count, &mut warnings);
        if xml.encrypted {
            return Err(Error::unsupported("XML data", xml_resource.offset, "encrypted file (ESD)"));
        }
        Ok(Self {
            source,
            size,
            limits,
            header,
            table,
            table_resource,
            xml,
            xml_raw,
            integrity,
            warnings: warnings.into_list(),
        })
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

    /// Length of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.size
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

    /// In pieces of how many bytes a blob is decoded; `None` when it is stored raw. Reads that begin and end at
    /// multiples of this decode nothing twice.
    ///
    /// # Panics
    /// When the id is not of this file.
    pub fn chunk_size_of(&self, id: BlobId) -> Option<u64> {
        match self.blob(id).storage {
            Storage::Raw => None,
            Storage::Chunked { chunk_size, .. } => Some(u64::from(chunk_size)),
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
    /// [`Error::NoSuchImage`]; [`Error::Hash`] when the metadata is damaged; [`Error::Malformed`] and [`Error::Limit`]
    /// when it makes no sense; [`Error::Io`].
    pub fn image(&self, index: u32) -> Result<Image> {
        let &Metadata { sha1: expected, resource } = self.metadata(index)?;
        let bytes = self.metadata_bytes(&resource)?;
        let found: [u8; 20] = Sha1::digest(&bytes).into();
        if found != expected {
            return Err(Error::Hash { at: At::new("image metadata", resource.offset), expected, found });
        }
        self.parse(&bytes)
    }

    /// As [`image`](Self::image), without checking the SHA-1: to see what can be saved of a damaged file, and to fuzz
    /// what would hide behind the hash.
    ///
    /// # Errors
    /// As [`image`](Self::image), without [`Error::Hash`].
    pub fn image_ignoring_hash(&self, index: u32) -> Result<Image> {
        self.parse(&self.metadata_bytes(&self.metadata(index)?.resource)?)
    }

    /// Parses metadata as if it were an image's of this file.
    pub(crate) fn parse(&self, metadata: &[u8]) -> Result<Image> {
        image::parse(metadata, &self.table, &self.limits)
    }

    pub(crate) fn metadata_bytes(&self, resource: &Resource) -> Result<Vec<u8>> {
        let at = At::new("image metadata", resource.offset);
        Limits::check(at, "size", resource.size, self.limits.metadata_bytes)?;
        if resource.size / MAX_METADATA_RATIO > self.size {
            return Err(Error::Malformed {
                at,
                reason: format!("{:#x} bytes cannot come out of a file of {:#x}", resource.size, self.size),
            });
        }
        ResourceReader::new(&*self.source).read_all(resource)
    }

    /// A reader of blobs, with the decoder state and buffers of one worker.
    pub fn reader(&self) -> BlobReader<'_> {
        BlobReader::new(self)
    }

    /// What was wrong with the file and worked around. At most about a hundred.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn source(&self) -> &dyn ReadAt {
        &*self.source
    }

    /// Whether there is an integrity table.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// How many bytes of the file the integrity table covers; 0 when there is none.
    pub(crate) fn integrity_covers(&self) -> u64 {
        let end = self.table_resource.offset + self.table_resource.stored_size;
        if self.integrity.is_some() { end.saturating_sub(u64::from(HEADER_LEN)) } else { 0 }
    }

    /// Reads the integrity table, if there is one.
    pub(crate) fn integrity(&self) -> Result<Option<IntegrityTable>> {
        let Some(resource) = self.integrity else { return Ok(None) };
        let at = At::new("integrity table", resource.offset);
        Limits::check(at, "size", resource.size, self.limits.integrity_bytes)?;
        let bytes = ResourceReader::new(&*self.source).read_all(&resource)?;
        let end = self.table_resource.offset + self.table_resource.stored_size;
        IntegrityTable::parse(&bytes, resource.offset, end).map(Some)
    }
}
