//! Volume descriptors: which trees there are.

use disk::FileTime;

use super::layout::{
    DIRECTORY, FIRST_DESCRIPTOR, KIND_PRIMARY, KIND_SUPPLEMENTARY, KIND_TERMINATOR, RawDescriptor, SECTOR,
};
use super::time;
use crate::limits::DESCRIPTORS;
use crate::names::from_bytes;
use crate::source::{Source, parse};
use crate::{Error, Result};

/// Escape sequences of Joliet, by level: UCS-2 of three sizes ("Joliet Specification", 1995; ECMA-35 registers them).
const JOLIET: [(&[u8; 3], u8); 3] = [(b"%/@", 1), (b"%/C", 2), (b"%/E", 3)];

/// The trees that the volume descriptors name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Descriptors {
    pub(crate) primary: Option<Root>,
    /// With its level.
    pub(crate) joliet: Option<(Root, u8)>,
}

/// The root of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) label: String,
    /// Bytes in a logical block.
    pub(super) block_size: u32,
    /// First byte of the root directory.
    pub(super) offset: u64,
    /// Bytes of it.
    pub(super) len: u64,
    pub(super) modified: Option<FileTime>,
}

impl Descriptors {
    /// Reads them; none when there is no volume of ISO 9660.
    pub(crate) fn read(source: &Source) -> Result<Self> {
        const WHAT: &str = "volume descriptor";
        let mut found = Self::default();
        for number in 0..DESCRIPTORS {
            let offset = (FIRST_DESCRIPTOR + number) * SECTOR;
            if !source.holds(offset, SECTOR) {
                break;
            }
            let mut bytes = [0; SECTOR as usize];
            source.read(WHAT, offset, &mut bytes)?;
            let raw: RawDescriptor = parse(WHAT, offset, &bytes)?;
            // What follows the descriptors of a bridge disc is UDF's.
            if raw.identifier != *b"CD001" || raw.kind == KIND_TERMINATOR {
                break;
            }
            match raw.kind {
                KIND_PRIMARY if found.primary.is_none() && raw.version == 1 => {
                    let label = String::from_utf16_lossy(&from_bytes(&raw.label));
                    found.primary = Some(root(&raw, offset, label)?);
                }
                KIND_SUPPLEMENTARY if found.joliet.is_none() && raw.version == 1 && raw.flags & 1 == 0 => {
                    let level = JOLIET.iter().find(|(escape, _)| raw.escapes.starts_with(*escape));
                    if let Some(&(_, level)) = level {
                        let units: Vec<u16> = raw
                            .label
                            .chunks_exact(2)
                            .map(|unit| u16::from_be_bytes([unit[0], unit[1]]))
                            .collect();
                        found.joliet = Some((root(&raw, offset, String::from_utf16_lossy(&units))?, level));
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn root(raw: &RawDescriptor, offset: u64, label: String) -> Result<Root> {
    const WHAT: &str = "volume descriptor";
    if !matches!(raw.block_size, 512 | 1024 | 2048) {
        let reason = format!("logical blocks of {} bytes, expected 512, 1024 or 2048", raw.block_size);
        return Err(Error::malformed(WHAT, offset, reason));
    }
    if raw.root.flags & DIRECTORY == 0 {
        return Err(Error::malformed(WHAT, offset, "the record of the root directory is that of a file"));
    }
    let block_size = u32::from(raw.block_size);
    Ok(Root {
        label: label.trim_end_matches([' ', '\0']).to_owned(),
        block_size,
        offset: (u64::from(raw.root.block) + u64::from(raw.root.attribute_blocks)) * u64::from(block_size),
        len: raw.root.size.into(),
        modified: time::short(raw.root.time),
    })
}
