use std::fmt;
use std::io::Cursor;

use binrw::BinRead;
use disk::{At, Guid, ReadAt};

use crate::layout::{
    HEADER_LEN, MAGIC, MAGIC_PIPABLE, RawHeader, RawResource, VERSION_1_13, VERSION_SOLID, header_flags,
    resource_flags,
};
use crate::resource::{Resource, Storage};
use crate::{Error, Result};

/// Chunk size when the header does not say (observed: 7-Zip reads such files so).
const DEFAULT_CHUNK_SIZE: u32 = 1 << 15;
/// More images than any tool writes; wimlib has the same limit.
const MAX_IMAGES: u32 = 65_535;

/// How the chunks of compressed resources are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    None,
    /// XPRESS with Huffman codes, chunks of 2^12 to 2^16 bytes.
    Xpress,
    /// LZX, chunks of 2^15 to 2^21 bytes.
    Lzx,
    /// LZMS, chunks of 2^15 to 2^30 bytes.
    Lzms,
}

impl Codec {
    /// The legal chunk sizes, as powers of two.
    pub(crate) fn chunk_orders(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::None => 0..=31,
            Self::Xpress => 12..=16,
            Self::Lzx => 15..=21,
            Self::Lzms => 15..=30,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Xpress => "XPRESS",
            Self::Lzx => "LZX",
            Self::Lzms => "LZMS",
        })
    }
}

/// The header, checked field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// [`VERSION_1_13`] or [`VERSION_SOLID`].
    pub version: u32,
    /// [`header_flags`].
    pub flags: u32,
    /// How compressed resources are compressed.
    pub codec: Codec,
    /// Chunk size of compressed resources that are not solid, in bytes: legal for the codec; 0 for [`Codec::None`].
    pub chunk_size: u32,
    /// The same in all parts of a split set.
    pub guid: Guid,
    /// Number of this part, from 1 to `parts`.
    pub part: u16,
    /// Number of parts of the split set; 1 for a file on its own.
    pub parts: u16,
    /// Number of images that the header claims; what can be opened is [`Wim::image_count`](crate::Wim::image_count).
    pub image_count: u32,
    /// Index of the bootable image, from 1; 0 for none. May be larger than the number of images.
    pub boot_index: u32,
    /// Whether this is wimlib's "pipable" variant.
    pub pipable: bool,
    /// Where the header lies: at 0, or in pipable files at the end.
    offset: u64,
    pub(crate) blob_table: RawResource,
    pub(crate) xml: RawResource,
    pub(crate) integrity: RawResource,
    pub(crate) boot_metadata: RawResource,
}

impl Header {
    /// Where in the header the blob table's resource header is, for errors about it.
    pub(crate) const BLOB_TABLE_AT: u64 = 0x30;
    /// The same for the XML data.
    pub(crate) const XML_AT: u64 = 0x48;
    /// The same for the copy of the bootable image's metadata entry.
    pub(crate) const BOOT_METADATA_AT: u64 = 0x60;
    /// The same for the integrity table.
    pub(crate) const INTEGRITY_AT: u64 = 0x7C;

    /// Reads the header of any WIM of version 1.13 or 14, also of a part of a split set, which
    /// [`Wim::open`](crate::Wim::open) refuses. Of pipable files this is the second header, at the end: the first one
    /// was written before there was anything to say.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the file is not a WIM or a field has a value that no WIM has, [`Error::Unsupported`]
    /// for the versions before 1.13, which only builds of Windows Vista before its release wrote.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let size = source.size().map_err(Error::io("WIM header", 0))?;
        let header = Self::read_at(source, 0, size)?;
        if !header.pipable {
            return Ok(header);
        }
        // A header was read at the start, so the file is not shorter than one.
        let last = Self::read_at(source, size - u64::from(HEADER_LEN), size)?;
        if (last.pipable, last.guid) != (header.pipable, header.guid) {
            let reason = "it is not the header at the start of this pipable file over again";
            return Err(Error::malformed("WIM header", last.offset, reason));
        }
        Ok(last)
    }

    fn read_at(source: &dyn ReadAt, offset: u64, size: u64) -> Result<Self> {
        let mut bytes = [0; HEADER_LEN as usize];
        let start = bytes.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        source.read_exact_at(&mut bytes[..start], offset).map_err(Error::io("WIM header", offset))?;
        let malformed = |reason: String| Err(Error::malformed("WIM header", offset, reason));
        if start >= 8 && ![MAGIC, MAGIC_PIPABLE].iter().any(|magic| bytes.starts_with(magic)) {
            return malformed(format!(
                "signature is {}, expected {}",
                disk::hex(&bytes[..8]),
                disk::hex(&MAGIC)
            ));
        }
        if start < bytes.len() {
            return malformed(format!("file ends after {size} bytes, the header has {HEADER_LEN}"));
        }
        let raw = RawHeader::read(&mut Cursor::new(&bytes))
            .map_err(|error| Error::malformed("WIM header", offset, error.to_string()))?;
        Self::check(raw, offset)
    }

    fn check(raw: RawHeader, start: u64) -> Result<Self> {
        let malformed =
            |field: u64, reason: String| Err(Error::malformed("WIM header", start + field, reason));
        match raw.version {
            VERSION_1_13 | VERSION_SOLID => {}
            0x10700..VERSION_1_13 => {
                return Err(Error::unsupported(
                    "WIM header",
                    start + 0x0C,
                    format!("version {:#x}, from before the release of Windows Vista", raw.version),
                ));
            }
            other => {
                return malformed(
                    0x0C,
                    format!("version is {other:#x}, expected {VERSION_1_13:#x} or {VERSION_SOLID:#x}"),
                );
            }
        }
        if raw.header_len != HEADER_LEN {
            return malformed(0x08, format!("header size is {}, expected {HEADER_LEN}", raw.header_len));
        }
        if raw.part == 0 || raw.part > raw.parts {
            return malformed(0x28, format!("part number is {} of {}", raw.part, raw.parts));
        }
        if raw.image_count > MAX_IMAGES {
            return malformed(
                0x2C,
                format!("image count is {}, expected at most {MAX_IMAGES}", raw.image_count),
            );
        }
        let codec = Self::codec(raw.flags, start)?;
        let chunk_size = match (codec, raw.chunk_size) {
            (Codec::None, _) => 0,
            (_, 0) => DEFAULT_CHUNK_SIZE,
            (_, size) => size,
        };
        let orders = codec.chunk_orders();
        if codec != Codec::None && !(chunk_size.is_power_of_two() && orders.contains(&chunk_size.ilog2())) {
            return malformed(
                0x14,
                format!(
                    "chunk size is {chunk_size:#x}, expected a power of two from {:#x} to {:#x} for {codec}",
                    1_u64 << orders.start(),
                    1_u64 << orders.end()
                ),
            );
        }
        Ok(Self {
            version: raw.version,
            flags: raw.flags,
            codec,
            chunk_size,
            guid: Guid(raw.guid),
            part: raw.part,
            parts: raw.parts,
            image_count: raw.image_count,
            boot_index: raw.boot_index,
            pipable: raw.magic == MAGIC_PIPABLE,
            offset: start,
            blob_table: raw.blob_table,
            xml: raw.xml,
            integrity: raw.integrity,
            boot_metadata: raw.boot_metadata,
        })
    }

    /// Several bits may be set; the order is that of the other readers.
    fn codec(flags: u32, start: u64) -> Result<Codec> {
        use header_flags::{COMPRESS_LZMS, COMPRESS_LZX, COMPRESS_XPRESS, COMPRESS_XPRESS_2, COMPRESSION};
        if flags & COMPRESSION == 0 {
            Ok(Codec::None)
        } else if flags & COMPRESS_LZX != 0 {
            Ok(Codec::Lzx)
        } else if flags & (COMPRESS_XPRESS | COMPRESS_XPRESS_2) != 0 {
            Ok(Codec::Xpress)
        } else if flags & COMPRESS_LZMS != 0 {
            Ok(Codec::Lzms)
        } else {
            Err(Error::unsupported("WIM header", start + 0x10, format!("unknown codec in flags {flags:#x}")))
        }
    }

    /// Whether resources can be solid, so that [`resource_flags::SOLID`] means something.
    pub fn is_solid_version(&self) -> bool {
        self.version == VERSION_SOLID
    }

    /// Where a field of the header lies in the file.
    pub(crate) fn at(&self, what: &'static str, field: u64) -> At {
        At::new(what, self.offset + field)
    }

    /// A resource that a resource header describes, after checking that it can exist in a file of `file_size` bytes.
    /// `at` is where the resource header is.
    pub(crate) fn resource(&self, raw: RawResource, at: At, file_size: u64) -> Result<Resource> {
        let malformed = |reason| Err(Error::Malformed { at, reason });
        let (start, stored, size) = (raw.offset, raw.stored_size(), raw.size);
        if start.checked_add(stored).is_none_or(|end| end > file_size) {
            return malformed(format!(
                "resource {start:#x}..{:#x} ends past the end of the file {file_size:#x}",
                u128::from(start) + u128::from(stored)
            ));
        }
        let (codec, chunk_size) = (self.codec, self.chunk_size);
        let storage = if raw.flags() & resource_flags::COMPRESSED == 0 {
            if stored != size {
                return malformed(format!(
                    "uncompressed resource is stored in {stored:#x} bytes, expected its size {size:#x}"
                ));
            }
            Storage::Raw
        } else {
            if codec == Codec::None {
                return malformed("resource is compressed, but the header names no codec".to_owned());
            }
            if self.pipable {
                Storage::Piped { codec, chunk_size }
            } else {
                Storage::Chunked { codec, chunk_size }
            }
        };
        Ok(Resource { part: self.part, offset: start, stored_size: stored, size, storage })
    }
}
