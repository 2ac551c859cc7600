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
    fn chunk_orders(self) -> std::ops::RangeInclusive<u32> {
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
    pub(crate) blob_table: RawResource,
    pub(crate) xml: RawResource,
    pub(crate) integrity: RawResource,
}

impl Header {
    /// Where the header says that its blob table resource header is, for errors about it.
    pub(crate) const BLOB_TABLE_AT: u64 = 0x30;
    /// The same for the XML data.
    pub(crate) const XML_AT: u64 = 0x48;
    /// The same for the integrity table.
    pub(crate) const INTEGRITY_AT: u64 = 0x7C;

    /// Reads the header of any WIM of version 1.13 or 14, also of those that [`Wim::open`](crate::Wim::open) refuses
    /// (solid, split, pipable).
    ///
    /// # Errors
    /// [`Error::Malformed`] when the file is not a WIM or a field has a value that no WIM has, [`Error::Unsupported`]
    /// for the versions before 1.13, which only builds of Windows Vista before its release wrote.
    pub fn read(source: &dyn ReadAt) -> Result<Self> {
        let size = source.size().map_err(Error::io("WIM header", 0))?;
        let mut bytes = [0; HEADER_LEN as usize];
        let start = bytes.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        source.read_exact_at(&mut bytes[..start], 0).map_err(Error::io("WIM header", 0))?;
        let malformed = |offset, reason: String| Err(Error::malformed("WIM header", offset, reason));
        if start >= 8 && ![MAGIC, MAGIC_PIPABLE].iter().any(|magic| bytes.starts_with(magic)) {
            return malformed(
                0,
                format!("signature is {}, expected {}", crate::hex(&bytes[..8]), crate::hex(&MAGIC)),
            );
        }
        if start < bytes.len() {
            return malformed(0, format!("file ends after {size} bytes, the header has {HEADER_LEN}"));
        }
        let raw = RawHeader::read(&mut Cursor::new(&bytes))
            .map_err(|error| Error::malformed("WIM header", 0, error.to_string()))?;
        Self::check(raw)
    }

    fn check(raw: RawHeader) -> Result<Self> {
        let malformed = |offset, reason: String| Err(Error::malformed("WIM header", offset, reason));
        match raw.version {
            VERSION_1_13 | VERSION_SOLID => {}
            0x10700..VERSION_1_13 => {
                return Err(Error::unsupported(
                    "WIM header",
                    0x0C,
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
        let codec = Self::codec(raw.flags)?;
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
            blob_table: raw.blob_table,
            xml: raw.xml,
            integrity: raw.integrity,
        })
    }

    /// Several bits may be set; the order is that of the other readers.
    fn codec(flags: u32) -> Result<Codec> {
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
            Err(Error::unsupported("WIM header", 0x10, format!("unknown codec in flags {flags:#x}")))
        }
    }

    /// Whether resources can be solid, so that [`resource_flags::SOLID`] means something.
    pub fn is_solid_version(&self) -> bool {
        self.version == VERSION_SOLID
    }

    /// Refuses what this version of the crate does not read, in words that say what it is.
    pub(crate) fn check_supported(&self) -> Result<()> {
        let refuse = |offset, feature: &str| Err(Error::unsupported("WIM header", offset, feature));
        if self.pipable {
            return refuse(0x00, "pipable WIM (export it with \"wimlib-imagex export --not-pipable\")");
        }
        if self.is_solid_version() {
            return refuse(0x0C, "version 0xe00 with solid resources (.esd)");
        }
        if self.codec == Codec::Lzms {
            return refuse(0x10, "LZMS compression");
        }
        if self.parts > 1 {
            let feature = format!("part {} of a split set of {} files (.swm)", self.part, self.parts);
            return refuse(0x28, &feature);
        }
        Ok(())
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
        let storage = if raw.flags() & resource_flags::COMPRESSED == 0 {
            if stored != size {
                return malformed(format!(
                    "uncompressed resource is stored in {stored:#x} bytes, expected its size {size:#x}"
                ));
            }
            Storage::Raw
        } else {
            if self.codec == Codec::None {
                return malformed("resource is compressed, but the header names no codec".to_owned());
            }
            Storage::Chunked { codec: self.codec, chunk_size: self.chunk_size }
        };
        Ok(Resource { offset: start, stored_size: stored, size, storage })
    }
}
