//! Finding out whether there is a UDF volume, and where its description begins.

use super::layout::{
    DESCRIPTOR_LEN, RECOGNITION_START, RECOGNITION_STEP, RawAnchor, RawExtent, TAG_ANCHOR, TAG_LEN,
};
use super::tag;
use crate::limits::DESCRIPTORS;
use crate::source::{Source, parse};
use crate::{Error, Result};

/// Sizes of a sector in the order in which they are tried: optical media, then disks. The image does not say which;
/// only with the right one the anchor is where its tag says it is.
const SECTOR_SIZES: [u32; 4] = [2048, 512, 4096, 1024];

/// Whether the volume recognition sequence (2/9.1) names UDF: NSR02 or NSR03 among its structures.
pub(crate) fn is_udf(source: &Source) -> Result<bool> {
    for number in 0..DESCRIPTORS {
        let offset = RECOGNITION_START + number * RECOGNITION_STEP;
        let mut head = [0; 7];
        if !source.holds(offset, head.len() as u64) {
            break;
        }
        source.read("volume structure descriptor", offset, &mut head)?;
        match &head[1..6] {
            b"NSR02" | b"NSR03" => return Ok(true),
            // Larger sectors leave zeros between the structures.
            b"BEA01" | b"BOOT2" | b"CD001" | b"CDW02" | [0, 0, 0, 0, 0] => {}
            _ => break,
        }
    }
    Ok(false)
}

/// An anchor: where the volume descriptor sequence and its copy are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) sector_size: u32,
    pub(super) main: RawExtent,
    pub(super) reserve: RawExtent,
}

/// All anchors, best first. A finished medium has at least two of those at sector 256, at the last sector, and 256
/// before it (3/8.4.2.1; UDF 2.60, 2.2.3).
pub(super) fn anchors(source: &Source) -> Result<Vec<Anchor>> {
    let mut found = Vec::new();
    for sector_size in SECTOR_SIZES {
        let sectors = source.size / u64::from(sector_size);
        let places = [Some(256), sectors.checked_sub(1), sectors.checked_sub(257)];
        for sector in places.into_iter().flatten() {
            let Ok(location) = u32::try_from(sector) else { continue };
            match anchor(source, sector_size, location) {
                Ok(anchor) => found.push(anchor),
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(_) => {}
            }
        }
    }
    Ok(found)
}

fn anchor(source: &Source, sector_size: u32, location: u32) -> Result<Anchor> {
    const WHAT: &str = "anchor volume descriptor pointer";
    let offset = u64::from(location) * u64::from(sector_size);
    let mut bytes = [0; DESCRIPTOR_LEN];
    source.read(WHAT, offset, &mut bytes)?;
    tag::check(WHAT, offset, &bytes, &[TAG_ANCHOR], Some(location))?;
    let raw: RawAnchor = parse(WHAT, offset, &bytes[TAG_LEN..])?;
    Ok(Anchor { sector_size, main: raw.main, reserve: raw.reserve })
}
