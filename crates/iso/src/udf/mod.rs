//! UDF: ECMA-167 as OSTA restricts it, versions 1.02 (all Windows media) to 2.60, as far as a reader of finished media
//! needs it.
//!
//! Nearly every structure has a tag with a checksum, a CRC and its own address; all are checked, so a flipped bit is an
//! error with a place and not a file that is missing.

mod directory;
mod icb;
mod layout;
mod maps;
mod recognition;
mod sequence;
mod tag;
mod text;

pub(crate) use self::recognition::is_udf;
pub use self::tag::crc16;

use self::icb::Blocks;
use self::layout::{DESCRIPTOR_LEN, RawFileSet, RawLongAllocation, TAG_FILE_SET, TAG_LEN};
use self::maps::Map;
use crate::entry::{Entry, EntryKind, Place};
use crate::source::{Source, parse};
use crate::{Error, Result};

/// The volume of an image.
#[derive(Debug)]
pub(crate) struct Volume {
    source: Source,
    /// Bytes in a block, which is a sector, too.
    block_size: u32,
    maps: Vec<Map>,
    label: String,
    /// In binary-coded decimal.
    revision: u16,
    root: RawLongAllocation,
}

impl Volume {
    /// The volume that the image's anchors lead to.
    pub(crate) fn open(source: &Source) -> Result<Self> {
        let anchors = recognition::anchors(source)?;
        let mut first = None;
        for anchor in anchors {
            for sequence in [anchor.main, anchor.reserve] {
                match Self::of_sequence(source, anchor.sector_size, sequence) {
                    Ok(volume) => return Ok(volume),
                    // The first has the best reason: the others are its copies.
                    Err(error) => first = first.or(Some(error)),
                }
            }
        }
        Err(first.unwrap_or_else(|| {
            Error::malformed(
                "UDF volume",
                layout::RECOGNITION_START,
                "no anchor volume descriptor pointer where one can be (sector 256, the last, or 256 before it)",
            )
        }))
    }

    fn of_sequence(source: &Source, sector_size: u32, extent: layout::RawExtent) -> Result<Self> {
        let found = sequence::read(source, sector_size, extent)?;
        let maps = maps::read(source, sector_size, &found)?;
        let mut volume = Self {
            source: source.clone(),
            block_size: sector_size,
            maps,
            label: text::label(&found.volume.label),
            revision: found.volume.revision,
            root: found.volume.file_set,
        };
        volume.root = volume.file_set(found.volume.file_set)?;
        Ok(volume)
    }

    /// Where the root directory is, from the file set descriptor.
    fn file_set(&self, place: RawLongAllocation) -> Result<RawLongAllocation> {
        const WHAT: &str = "file set descriptor";
        let (offset, bytes) = self.block(WHAT, place.address.partition, place.address.block)?;
        tag::check(WHAT, offset, &bytes, &[TAG_FILE_SET], Some(place.address.block))?;
        let set: RawFileSet = parse(WHAT, offset, &bytes[TAG_LEN..DESCRIPTOR_LEN])?;
        Ok(set.root)
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// As people write it.
    pub(crate) fn revision(&self) -> String {
        format!("{:x}.{:02x}", self.revision >> 8, self.revision & 0xFF)
    }

    /// The root directory.
    pub(crate) fn root(&self) -> Result<Entry> {
        let root = self.entry(Box::default(), self.root, false)?;
        if root.kind != EntryKind::Directory {
            let (offset, _) =
                self.block("file entry", self.root.address.partition, self.root.address.block)?;
            return Err(Error::malformed(
                "root directory",
                offset,
                "its file entry is not that of a directory",
            ));
        }
        Ok(root)
    }

    /// What the file entry at `icb` says.
    fn entry(&self, name: Box<[u16]>, icb: RawLongAllocation, hidden: bool) -> Result<Entry> {
        let entry = self.file_entry(icb.address)?;
        let kind = entry.kind();
        Ok(Entry {
            name,
            kind,
            size: if kind == EntryKind::File { entry.size } else { 0 },
            modified: entry.modified,
            created: entry.created,
            accessed: entry.accessed,
            hidden,
            place: Place::Udf {
                partition: icb.address.partition,
                block: icb.address.block,
                offset: entry.offset,
            },
        })
    }
}
