//! Partition maps (3/10.7; UDF 2.60, 2.2.8 to 2.2.10): where the blocks of a partition lie.
//!
//! Read-only media have maps of type 1, a range of sectors. UDF 2.50 adds the metadata partition, which is a file in
//! such a range. Virtual and sparable partitions are for media that are written in increments or wear out; no Windows
//! medium has them, and they are refused by name.

use std::collections::BTreeMap;

use super::icb::{self, Blocks};
use super::layout::{RawPartition, TYPE_METADATA, TYPE_METADATA_MIRROR};
use super::sequence::Sequence;
use crate::file::{Run, Runs};
use crate::limits::PARTITION_MAPS;
use crate::source::Source;
use crate::{Error, Result};

/// Where the blocks of a partition lie.
#[derive(Clone, Debug)]
pub(super) enum Map {
    /// In one piece.
    Physical(Physical),
    /// In the extents of the metadata file.
    Metadata(Vec<Run>),
}

/// A range of the image. Its end may lie past the end of the image: what ends there is refused when it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Physical {
    /// First byte.
    start: u64,
    /// Bytes.
    len: u64,
}

impl Map {
    /// Appends where `len` bytes from byte `from` of the partition lie.
    pub(super) fn locate(&self, what: &'static str, from: u64, len: u64, runs: &mut Runs) -> Result<()> {
        let outside = |at: u64, size: u64| {
            let reason =
                format!("bytes {from:#x} to {:#x} of a partition of {size:#x}", from.saturating_add(len));
            Err(Error::malformed(what, at, reason))
        };
        match self {
            Self::Physical(range) => {
                if from.checked_add(len).is_none_or(|end| end > range.len) {
                    return outside(range.start, range.len);
                }
                push(what, len, range.start + from, runs)
            }
            Self::Metadata(file) => {
                let size = file.last().map_or(0, |run| run.offset + run.len);
                if from.checked_add(len).is_none_or(|end| end > size) {
                    return outside(file.first().and_then(|run| run.place).unwrap_or(0), size);
                }
                let (mut from, mut len) = (from, len);
                let first = file.partition_point(|run| run.offset + run.len <= from);
                for run in &file[first..] {
                    if len == 0 {
                        break;
                    }
                    let skip = from - run.offset;
                    let here = len.min(run.len - skip);
                    let Some(place) = run.place else {
                        return Err(Error::malformed(
                            what,
                            0,
                            "is in a part of the metadata file that is not stored",
                        ));
                    };
                    push(what, here, place + skip, runs)?;
                    from += here;
                    len -= here;
                }
                Ok(())
            }
        }
    }
}

fn push(what: &'static str, len: u64, place: u64, runs: &mut Runs) -> Result<()> {
    runs.push(len, Some(place)).ok_or_else(|| Error::malformed(what, place, "has more than 2^64 bytes"))
}

/// The maps of a logical volume, in their order: references to partitions are numbers of maps.
pub(super) fn read(source: &Source, sector_size: u32, sequence: &Sequence) -> Result<Vec<Map>> {
    const WHAT: &str = "partition map";
    let mut maps = Vec::new();
    let count = sequence.volume.maps;
    let at = disk::At::new("logical volume descriptor", sequence.maps_at);
    Error::limit(at, "number of partition maps", count.into(), PARTITION_MAPS.into())?;
    let mut rest = &sequence.maps[..];
    let mut offset = sequence.maps_at;
    for _ in 0..count {
        let len = rest.get(1).map_or(0, |&len| usize::from(len));
        let Some(map) = rest.get(..len).filter(|map| map.len() >= 2) else {
            return Err(Error::malformed(WHAT, offset, format!("{len} of {} bytes", rest.len())));
        };
        let found = match (map[0], map.len()) {
            (1, 6) => Map::Physical(physical(&sequence.partitions, sector_size, number(map, 4), offset)?),
            (2, 64) => typed(source, sector_size, sequence, map, offset)?,
            (kind, len) => {
                let reason =
                    format!("type {kind} with {len} bytes, expected type 1 with 6 or type 2 with 64");
                return Err(Error::malformed(WHAT, offset, reason));
            }
        };
        maps.push(found);
        rest = &rest[len..];
        offset += len as u64;
    }
    if maps.is_empty() {
        return Err(Error::malformed(WHAT, offset, "the logical volume has no partition map"));
    }
    Ok(maps)
}

fn number(map: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([map[at], map[at + 1]])
}

fn physical(
    partitions: &BTreeMap<u16, RawPartition>,
    sector_size: u32,
    number: u16,
    offset: u64,
) -> Result<Physical> {
    let Some(partition) = partitions.get(&number) else {
        let reason = format!("names partition {number}, which no partition descriptor describes");
        return Err(Error::malformed("partition map", offset, reason));
    };
    let sector_size = u64::from(sector_size);
    Ok(Physical {
        start: u64::from(partition.start) * sector_size,
        len: u64::from(partition.len) * sector_size,
    })
}

/// A map of type 2 says by a name what it is.
fn typed(source: &Source, sector_size: u32, sequence: &Sequence, map: &[u8], offset: u64) -> Result<Map> {
    const WHAT: &str = "partition map";
    let name = map[5..28].split(|&byte| byte == 0).next().unwrap_or_default();
    if name != b"*UDF Metadata Partition" {
        return Err(Error::unsupported(WHAT, offset, format!("type {:?}", String::from_utf8_lossy(name))));
    }
    let range = physical(&sequence.partitions, sector_size, number(map, 38), offset)?;
    let word = |at: usize| u32::from_le_bytes([map[at], map[at + 1], map[at + 2], map[at + 3]]);
    let blocks = RangeBlocks { source, sector_size, range };
    // The file, else its mirror (UDF 2.50, 2.2.10).
    let file = |block: u32, kind: u8| -> Result<Vec<Run>> {
        let (at, bytes) = blocks.block("metadata file", 0, block)?;
        let entry = icb::parse_file_entry(at, block, &bytes)?;
        if entry.file_type != kind {
            let reason = format!("file type is {}, expected {kind}", entry.file_type);
            return Err(Error::malformed("metadata file", at, reason));
        }
        icb::runs(&blocks, &entry, 0)
    };
    let runs = file(word(40), TYPE_METADATA)
        .or_else(|first| file(word(44), TYPE_METADATA_MIRROR).map_err(|_| first))?;
    Ok(Map::Metadata(runs))
}

/// The blocks that hold the metadata file: those of one range, whatever number the partition has.
struct RangeBlocks<'a> {
    source: &'a Source,
    sector_size: u32,
    range: Physical,
}

impl Blocks for RangeBlocks<'_> {
    fn block_size(&self) -> u32 {
        self.sector_size
    }

    fn source(&self) -> &Source {
        self.source
    }

    fn locate(&self, what: &'static str, _: u16, block: u32, len: u64, runs: &mut Runs) -> Result<()> {
        let from = u64::from(block) * u64::from(self.sector_size);
        Map::Physical(self.range).locate(what, from, len, runs)
    }
}
