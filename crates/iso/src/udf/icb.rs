//! File entries, and from them to the runs of a file.
//!
//! A file of 4.5 GB is five extents, because the length of one has 30 bits; they touch, so it is one run (measured on
//! media of genisoimage). [`runs`] puts them together.

use std::collections::BTreeSet;

use disk::{At, FileTime};

use super::layout::{
    ALLOCATION_EXTENT_LEN, EXTENDED_FILE_ENTRY_LEN, FILE_ENTRY_LEN, RawAddress, RawAllocationExtent,
    RawExtendedFileEntry, RawFileEntry, RawIcb, STRATEGY_DIRECT, TAG_ALLOCATION_EXTENT,
    TAG_EXTENDED_FILE_ENTRY, TAG_FILE_ENTRY, TAG_LEN, TYPE_DIRECTORY, TYPE_FILE, TYPE_REAL_TIME,
    TYPE_SYMLINK,
};
use super::{Volume, tag, text};
use crate::entry::EntryKind;
use crate::file::{Run, Runs};
use crate::limits::{CONTINUATIONS, RUNS};
use crate::source::{Source, parse};
use crate::{Error, Result};

/// Where blocks of partitions lie.
pub(super) trait Blocks {
    fn block_size(&self) -> u32;

    fn source(&self) -> &Source;

    /// Appends where `len` bytes from a block of a partition lie.
    fn locate(&self, what: &'static str, partition: u16, block: u32, len: u64, runs: &mut Runs)
    -> Result<()>;

    /// One block, and where it lies in the image.
    fn block(&self, what: &'static str, partition: u16, block: u32) -> Result<(u64, Vec<u8>)> {
        let mut runs = Runs::default();
        self.locate(what, partition, block, u64::from(self.block_size()), &mut runs)?;
        // The pieces of a metadata partition are whole blocks, or somebody wrote it to confuse.
        let runs = runs.finish();
        let [Run { place: Some(offset), len, .. }] = runs[..] else {
            return Err(Error::malformed(
                what,
                0,
                format!("block {block:#x} of partition {partition} is in pieces"),
            ));
        };
        let mut bytes = vec![0; len as usize];
        self.source().read(what, offset, &mut bytes)?;
        Ok((offset, bytes))
    }
}

impl Blocks for Volume {
    fn block_size(&self) -> u32 {
        self.block_size
    }

    fn source(&self) -> &Source {
        &self.source
    }

    fn locate(
        &self,
        what: &'static str,
        partition: u16,
        block: u32,
        len: u64,
        runs: &mut Runs,
    ) -> Result<()> {
        let Some(map) = self.maps.get(usize::from(partition)) else {
            let reason = format!("is in partition {partition}; the volume has {}", self.maps.len());
            return Err(Error::malformed(what, 0, reason));
        };
        map.locate(what, u64::from(block) * u64::from(self.block_size), len, runs)
    }
}

/// What a file entry or an extended one says.
#[derive(Clone, Debug)]
pub(super) struct FileEntry {
    /// Where it lies in the image.
    pub(super) offset: u64,
    pub(super) file_type: u8,
    pub(super) size: u64,
    pub(super) modified: Option<FileTime>,
    pub(super) created: Option<FileTime>,
    pub(super) accessed: Option<FileTime>,
    kind: AllocationKind,
    /// The allocation descriptors, or the data itself.
    allocation: Vec<u8>,
    /// Where they lie in the image.
    allocation_at: u64,
}

/// What the allocation descriptors of a file look like (4/14.6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllocationKind {
    Short,
    Long,
    Extended,
    /// There are none: the data is in their place.
    Embedded,
}

impl FileEntry {
    pub(super) fn kind(&self) -> EntryKind {
        match self.file_type {
            TYPE_DIRECTORY => EntryKind::Directory,
            // 0 is "not specified", which readers take for a file.
            0 | TYPE_FILE | TYPE_REAL_TIME => EntryKind::File,
            TYPE_SYMLINK => EntryKind::Symlink,
            _ => EntryKind::Other,
        }
    }
}

impl Volume {
    /// The file entry at a block.
    pub(super) fn file_entry(&self, place: RawAddress) -> Result<FileEntry> {
        let (offset, bytes) = Blocks::block(self, "file entry", place.partition, place.block)?;
        parse_file_entry(offset, place.block, &bytes)
    }

    /// Where the bytes of a file or directory lie.
    pub(crate) fn runs(&self, partition: u16, block: u32) -> Result<Vec<Run>> {
        let entry = self.file_entry(RawAddress { block, partition })?;
        runs(self, &entry, partition)
    }
}

/// A file entry in the block that it has for itself.
pub(super) fn parse_file_entry(offset: u64, block: u32, bytes: &[u8]) -> Result<FileEntry> {
    const WHAT: &str = "file entry";
    let tag = tag::check(WHAT, offset, bytes, &[TAG_FILE_ENTRY, TAG_EXTENDED_FILE_ENTRY], Some(block))?;
    let icb: RawIcb = parse(WHAT, offset, &bytes[TAG_LEN..])?;
    if icb.strategy != STRATEGY_DIRECT {
        return Err(Error::unsupported(WHAT, offset, format!("strategy type {}", icb.strategy)));
    }
    let kind = match icb.flags & 7 {
        0 => AllocationKind::Short,
        1 => AllocationKind::Long,
        2 => AllocationKind::Extended,
        3 => AllocationKind::Embedded,
        kind => return Err(Error::malformed(WHAT, offset, format!("allocation descriptors of kind {kind}"))),
    };
    let after_icb = &bytes[TAG_LEN + 20..];
    let (size, times, start, attributes_len, allocation_len) = if tag.id == TAG_FILE_ENTRY {
        let raw: RawFileEntry = parse(WHAT, offset, after_icb)?;
        let times = (raw.modified, None, raw.accessed);
        (raw.size, times, FILE_ENTRY_LEN, raw.attributes_len, raw.allocation_len)
    } else {
        let raw: RawExtendedFileEntry = parse(WHAT, offset, after_icb)?;
        let times = (raw.modified, Some(raw.created), raw.accessed);
        (raw.size, times, EXTENDED_FILE_ENTRY_LEN, raw.attributes_len, raw.allocation_len)
    };
    let from = start as u64 + u64::from(attributes_len);
    // Not by `as`: where addresses have 32 bits, the sum may be more than they can say.
    let allocation = usize::try_from(from)
        .ok()
        .and_then(|from| bytes.get(from..))
        .and_then(|rest| rest.get(..allocation_len as usize));
    let Some(allocation) = allocation else {
        let reason = format!(
            "{attributes_len:#x} bytes of extended attributes and {allocation_len:#x} of allocation descriptors do not \
             fit its block of {:#x}",
            bytes.len()
        );
        return Err(Error::malformed(WHAT, offset, reason));
    };
    Ok(FileEntry {
        offset,
        file_type: icb.file_type,
        size,
        modified: text::time(times.0),
        created: times.1.and_then(text::time),
        accessed: text::time(times.2),
        kind,
        allocation: allocation.to_vec(),
        allocation_at: offset + from,
    })
}

/// Where the bytes of a file lie. Short allocation descriptors mean the partition that the file entry is in.
pub(super) fn runs(blocks: &impl Blocks, entry: &FileEntry, partition: u16) -> Result<Vec<Run>> {
    const WHAT: &str = "allocation descriptor";
    let mut runs = Runs::default();
    if entry.kind == AllocationKind::Embedded {
        if entry.size > entry.allocation.len() as u64 {
            let reason =
                format!("a file of {:#x} bytes is said to be in {:#x}", entry.size, entry.allocation.len());
            return Err(Error::malformed("file entry", entry.offset, reason));
        }
        return match runs.push(entry.size, Some(entry.allocation_at)) {
            Some(()) => Ok(runs.finish()),
            None => Err(Error::malformed("file entry", entry.offset, "has more than 2^64 bytes")),
        };
    }
    let mut descriptors = entry.allocation.clone();
    let mut at = entry.allocation_at;
    let mut continued = BTreeSet::new();
    'parts: loop {
        let mut next = None;
        for raw in descriptors.chunks(entry.kind.len()) {
            let Some(extent) = entry.kind.parse(raw, partition) else {
                let reason = format!("{} bytes left, it has {}", raw.len(), entry.kind.len());
                return Err(Error::malformed(WHAT, at, reason));
            };
            let left = entry.size - runs.len();
            match (extent.kind, extent.len) {
                // A length of 0 ends the descriptors, wherever it stands (4/12).
                (_, 0) => break 'parts,
                (3, len) => {
                    next = Some((extent.address, len));
                    break;
                }
                // Space that is kept for the file to grow into, past its end.
                (_, _) if left == 0 => {}
                (kind, len) => {
                    if len < left && !len.is_multiple_of(blocks.block_size().into()) {
                        let reason =
                            format!("an extent of {len:#x} bytes, not whole blocks, and the file goes on");
                        return Err(Error::malformed(WHAT, at, reason));
                    }
                    let len = len.min(left);
                    if kind == 0 {
                        let before = runs.len();
                        blocks
                            .locate("extent", extent.address.partition, extent.address.block, len, &mut runs)
                            .map_err(|error| at_descriptor(error, at))?;
                        debug_assert_eq!(runs.len(), before + len, "located whole");
                    } else if runs.push(len, None).is_none() {
                        return Err(Error::malformed(WHAT, at, "the file has more than 2^64 bytes"));
                    }
                    Error::limit(At::new(WHAT, at), "runs of a file", runs.count() as u64, RUNS as u64)?;
                }
            }
            at += raw.len() as u64;
        }
        let Some((address, len)) = next else { break };
        if !continued.insert((address.partition, address.block)) {
            let reason = format!("its continuation at block {:#x} is one that came before", address.block);
            return Err(Error::malformed(WHAT, at, reason));
        }
        Error::limit(At::new(WHAT, at), "continuations", continued.len() as u64, CONTINUATIONS as u64)?;
        (at, descriptors) = continuation(blocks, address, len)?;
    }
    if runs.len() < entry.size {
        let reason = format!("its allocation descriptors have {:#x} bytes of {:#x}", runs.len(), entry.size);
        return Err(Error::malformed("file entry", entry.offset, reason));
    }
    let runs = runs.finish();
    for run in &runs {
        if let Some(place) = run.place {
            blocks.source().check("extent", place, run.len)?;
        }
    }
    Ok(runs)
}

/// Errors of what has no place say where it is named.
fn at_descriptor(error: Error, at: u64) -> Error {
    match error {
        Error::Malformed { reason, .. } => Error::malformed("allocation descriptor", at, reason),
        other => other,
    }
}

/// The allocation descriptors that an allocation extent descriptor holds, and where they lie.
fn continuation(blocks: &impl Blocks, address: RawAddress, len: u64) -> Result<(u64, Vec<u8>)> {
    const WHAT: &str = "allocation extent descriptor";
    let (offset, bytes) = blocks.block(WHAT, address.partition, address.block)?;
    tag::check(WHAT, offset, &bytes, &[TAG_ALLOCATION_EXTENT], Some(address.block))?;
    let raw: RawAllocationExtent = parse(WHAT, offset, &bytes[TAG_LEN..])?;
    let end = ALLOCATION_EXTENT_LEN as u64 + u64::from(raw.allocation_len);
    let room = len.min(bytes.len() as u64);
    if end > room {
        let reason =
            format!("{:#x} bytes of allocation descriptors in an extent of {len:#x}", raw.allocation_len);
        return Err(Error::malformed(WHAT, offset, reason));
    }
    let descriptors = bytes[ALLOCATION_EXTENT_LEN..end as usize].to_vec();
    Ok((offset + ALLOCATION_EXTENT_LEN as u64, descriptors))
}

/// One allocation descriptor.
struct Extent {
    /// 0 stored, 1 and 2 not stored, 3 where the descriptors go on (4/14.14.1.1).
    kind: u8,
    /// Bytes.
    len: u64,
    address: RawAddress,
}

impl AllocationKind {
    /// Bytes of a descriptor (4/14.14).
    const fn len(self) -> usize {
        match self {
            Self::Short => 8,
            Self::Long => 16,
            Self::Extended => 20,
            Self::Embedded => 1,
        }
    }

    fn parse(self, raw: &[u8], partition: u16) -> Option<Extent> {
        let word = |at: usize| Some(u32::from_le_bytes(raw.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(raw.get(at..at + 2)?.try_into().ok()?));
        let address = match self {
            Self::Short => RawAddress { block: word(4)?, partition },
            Self::Long => RawAddress { block: word(4)?, partition: half(8)? },
            // Between length and address: bytes recorded, and bytes of information.
            Self::Extended => RawAddress { block: word(12)?, partition: half(16)? },
            Self::Embedded => return None,
        };
        if raw.len() != self.len() {
            return None;
        }
        let len = word(0)?;
        Some(Extent { kind: (len >> 30) as u8, len: u64::from(len & 0x3FFF_FFFF), address })
    }
}
