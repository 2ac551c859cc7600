//! Rock Ridge (IEEE P1282, draft 1.12) in the system use areas of directory records (SUSP, IEEE P1281): long names,
//! times, kinds of files, and directories that were moved because ISO 9660 allows only eight levels.

use std::collections::BTreeSet;

use disk::{At, FileTime};

use super::directory::{Record, records};
use super::layout::SECTOR;
use super::{Root, time};
use crate::entry::{EntryKind, Extents};
use crate::file::{Run, Runs};
use crate::limits::ROCK_RIDGE_CONTINUATIONS;
use crate::source::Source;
use crate::{Error, Result};

/// That there is Rock Ridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RockRidge {
    /// Bytes at the start of every system use area that are somebody else's.
    skip: u8,
}

/// Longest name that parts of it may give: what file systems that write Rock Ridge allow.
const MAX_NAME: usize = 1024;

/// What Rock Ridge says of a file.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) name: Option<Vec<u8>>,
    pub(super) kind: Option<EntryKind>,
    pub(super) modified: Option<FileTime>,
    pub(super) created: Option<FileTime>,
    pub(super) accessed: Option<FileTime>,
    /// The block of the directory that this stands for.
    pub(super) moved_to: Option<u32>,
    /// Whether it is a directory that is shown elsewhere.
    pub(super) moved_here: bool,
    pub(super) unsupported: Option<&'static str>,
}

/// Looks for the entry `SP`, which only the first record of the root has. A root that cannot be read has none: whoever lists
/// it gets the error.
pub(super) fn find(source: &Source, root: &Root) -> Option<RockRidge> {
    let extents = of(root.offset, root.len);
    let mut first = true;
    let mut found = None;
    let read = records(source, &extents, |record| {
        if std::mem::take(&mut first)
            && let [b'S', b'P', 7, _, 0xBE, 0xEF, skip, ..] = record.system_use
        {
            found = Some(RockRidge { skip: *skip });
        }
        Ok(())
    });
    read.ok()?;
    // SP alone says that there are system use entries, not whose. Rock Ridge gives every record a PX (4.1.1).
    let rock_ridge = found?;
    let mut has_px = false;
    let read = records(source, &extents, |record| {
        has_px |= extra(source, root, rock_ridge, &record)?.kind.is_some();
        Ok(())
    });
    // What is damaged is still there, and not a reason to show other names.
    (has_px || read.is_err()).then_some(rock_ridge)
}

fn of(offset: u64, len: u64) -> Extents {
    let runs = if len == 0 { Vec::new() } else { vec![Run { offset: 0, len, place: Some(offset) }] };
    Extents { runs, unsupported: None }
}

/// What is said of the file of a record.
pub(super) fn extra(
    source: &Source,
    root: &Root,
    rock_ridge: RockRidge,
    record: &Record<'_>,
) -> Result<Extra> {
    const WHAT: &str = "system use entry";
    let mut extra = Extra::default();
    let mut area = record.system_use.get(usize::from(rock_ridge.skip)..).unwrap_or_default().to_vec();
    let mut continued = BTreeSet::new();
    loop {
        let mut next = None;
        let mut rest = &area[..];
        // Fewer than four bytes are padding.
        while let [a, b, len, _version, ..] = *rest {
            let len = usize::from(len);
            if a == 0 && len == 0 {
                break;
            }
            let Some(data) = rest.get(4..len) else {
                let reason = format!("{len} bytes, it has at least 4 and {} are left", rest.len());
                return Err(Error::malformed(WHAT, record.offset, reason));
            };
            rest = &rest[len..];
            match &[a, b] {
                b"CE" => next = numbers(data).map(|[block, offset, len]| (block, offset, len)),
                b"ST" => break,
                _ => take(&mut extra, [a, b], data, record.offset)?,
            }
        }
        let Some((block, offset, len)) = next else { return Ok(extra) };
        if !continued.insert((block, offset)) {
            return Err(Error::malformed(
                WHAT,
                record.offset,
                "its continuation area is one that came before",
            ));
        }
        let at = At::new(WHAT, record.offset);
        Error::limit(at, "continuation areas", continued.len() as u64, ROCK_RIDGE_CONTINUATIONS as u64)?;
        // A continuation area lies in one sector (SUSP 5.1).
        Error::limit(at, "bytes of a continuation area", len.into(), SECTOR)?;
        let place = u64::from(block) * u64::from(root.block_size) + u64::from(offset);
        area = vec![0; len as usize];
        source.read("continuation area", place, &mut area)?;
    }
}

/// The little-endian halves of three numbers in both byte orders.
fn numbers(data: &[u8]) -> Option<[u32; 3]> {
    Some([number(data, 0)?, number(data, 8)?, number(data, 16)?])
}

fn number(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

fn take(extra: &mut Extra, signature: [u8; 2], data: &[u8], offset: u64) -> Result<()> {
    match (&signature, data) {
        // Bit 0: the name goes on in the next; bits 1 and 2: `.` and `..`.
        (b"NM", [flags, part @ ..]) if flags & 6 == 0 => {
            let name = extra.name.get_or_insert_with(Vec::new);
            name.extend_from_slice(part);
            let at = At::new("Rock Ridge name", offset);
            Error::limit(at, "length in bytes", name.len() as u64, MAX_NAME as u64)?;
        }
        (b"PX", _) => {
            // The file type bits of POSIX.
            extra.kind = number(data, 0).map(|mode| match mode & 0o170_000 {
                0o040_000 => EntryKind::Directory,
                0o120_000 => EntryKind::Symlink,
                0 | 0o100_000 => EntryKind::File,
                _ => EntryKind::Other,
            });
        }
        (b"TF", [flags, times @ ..]) => {
            let len = if flags & 0x80 == 0 { 7 } else { 17 };
            let mut times = times.chunks_exact(len);
            for bit in 0..7 {
                if flags & 1 << bit == 0 {
                    continue;
                }
                let found = times.next().and_then(|raw| match len {
                    7 => time::short(raw.try_into().ok()?),
                    _ => time::long(raw.try_into().ok()?),
                });
                match bit {
                    0 => extra.created = found,
                    1 => extra.modified = found,
                    2 => extra.accessed = found,
                    _ => {}
                }
            }
        }
        (b"CL", _) => extra.moved_to = number(data, 0),
        (b"RE", _) => extra.moved_here = true,
        (b"ZF", _) => extra.unsupported = Some("a file compressed by zisofs"),
        _ => {}
    }
    Ok(())
}

/// Where a directory that was moved lies: its first record says how long it is.
pub(super) fn moved(source: &Source, root: &Root, offset: u64, block: u32) -> Result<Runs> {
    let place = u64::from(block) * u64::from(root.block_size);
    let mut runs = Runs::default();
    records(source, &of(place, SECTOR), |record| {
        if runs.len() == 0 && record.name == [0] {
            // One push cannot overflow.
            let _ = runs.push(record.raw.size.into(), Some(place));
        }
        Ok(())
    })?;
    if runs.len() == 0 {
        let reason = format!("was moved to block {block:#x}, where no directory is");
        return Err(Error::malformed("directory record", offset, reason));
    }
    Ok(runs)
}
