//! The volume descriptor sequence (3/8.4.2): what describes partitions and the logical volume.

use std::collections::BTreeMap;

use super::layout::{
    DESCRIPTOR_LEN, MAPS_AT, RawExtent, RawLogicalVolume, RawPartition, RawPointer, TAG_LEN,
    TAG_LOGICAL_VOLUME, TAG_PARTITION, TAG_POINTER, TAG_PRIMARY, TAG_TERMINATING,
};
use super::tag;
use crate::limits::DESCRIPTORS;
use crate::source::{Source, parse};
use crate::{Error, Result};

/// What a sequence holds, of descriptors of the same thing the newest.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// By number.
    pub(super) partitions: BTreeMap<u16, RawPartition>,
    pub(super) volume: RawLogicalVolume,
    /// The partition maps, as they are.
    pub(super) maps: Vec<u8>,
    /// Where they lie.
    pub(super) maps_at: u64,
}

/// Identifiers of descriptors that may be in a sequence: also those of the implementation (4) and of free space (7).
const IDS: [u16; 7] = [TAG_PRIMARY, TAG_POINTER, 4, TAG_PARTITION, TAG_LOGICAL_VOLUME, 7, TAG_TERMINATING];

pub(super) fn read(source: &Source, sector_size: u32, extent: RawExtent) -> Result<Sequence> {
    const WHAT: &str = "volume descriptor";
    let sector_len = u64::from(sector_size);
    let mut partitions: BTreeMap<u16, RawPartition> = BTreeMap::new();
    let mut volume: Option<(RawLogicalVolume, Vec<u8>, u64)> = None;
    let mut sector = u64::from(extent.location);
    let mut left = u64::from(extent.len) / sector_len;
    let start = sector * sector_len;
    for _ in 0..DESCRIPTORS {
        if left == 0 {
            break;
        }
        let offset = sector * sector_len;
        let mut bytes = vec![0; sector_size as usize];
        source.read(WHAT, offset, &mut bytes)?;
        if bytes[..TAG_LEN] == [0; TAG_LEN] {
            // A sequence may end with a sector that was never written (3/8.4.2).
            break;
        }
        let location = u32::try_from(sector).ok();
        let Some(location) = location else {
            return Err(Error::malformed(WHAT, offset, "is in a sector past 2^32"));
        };
        let tag = tag::check(WHAT, offset, &bytes, &IDS, Some(location))?;
        left -= 1;
        sector += 1;
        match tag.id {
            TAG_PARTITION => {
                let found: RawPartition = parse("partition descriptor", offset, &bytes[TAG_LEN..])?;
                match partitions.get(&found.number) {
                    Some(known) if known.sequence >= found.sequence => {}
                    _ => drop(partitions.insert(found.number, found)),
                }
            }
            TAG_LOGICAL_VOLUME => {
                let found: RawLogicalVolume = parse("logical volume descriptor", offset, &bytes[TAG_LEN..])?;
                if volume.as_ref().is_none_or(|(known, ..)| known.sequence < found.sequence) {
                    let maps = maps(source, offset, &bytes, &found)?;
                    volume = Some((found, maps, offset + MAPS_AT as u64));
                }
            }
            TAG_POINTER => {
                let pointer: RawPointer = parse("volume descriptor pointer", offset, &bytes[TAG_LEN..])?;
                sector = u64::from(pointer.next.location);
                left = u64::from(pointer.next.len) / sector_len;
            }
            TAG_TERMINATING => break,
            _ => {}
        }
    }
    let Some((volume, maps, maps_at)) = volume else {
        return Err(Error::malformed(
            "volume descriptor sequence",
            start,
            "no logical volume descriptor in it",
        ));
    };
    if volume.block_size != sector_size {
        let feature = format!("blocks of {} bytes on sectors of {sector_size}", volume.block_size);
        return Err(Error::unsupported("logical volume descriptor", maps_at - MAPS_AT as u64, feature));
    }
    Ok(Sequence { partitions, volume, maps, maps_at })
}

/// The partition maps behind a logical volume descriptor. They can be longer than its sector; then the CRC does not
/// vouch for them, and no medium that this crate reads has so many.
fn maps(source: &Source, offset: u64, bytes: &[u8], volume: &RawLogicalVolume) -> Result<Vec<u8>> {
    const WHAT: &str = "logical volume descriptor";
    debug_assert!(bytes.len() >= DESCRIPTOR_LEN, "a sector");
    source.check(WHAT, offset, MAPS_AT as u64 + u64::from(volume.maps_len))?;
    match bytes[MAPS_AT..].get(..volume.maps_len as usize) {
        Some(maps) => Ok(maps.to_vec()),
        None => {
            let feature = format!("{:#x} bytes of partition maps, more than its sector has", volume.maps_len);
            Err(Error::unsupported(WHAT, offset, feature))
        }
    }
}
