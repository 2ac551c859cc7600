//! Directories: records one after the other, none of which crosses the end of a sector.

use disk::At;

use super::layout::{ASSOCIATED, DIRECTORY, HIDDEN, MULTI_EXTENT, RECORD_LEN, RawRecord, SECTOR};
use super::rock_ridge::{self, Extra};
use super::{Names, Root, time};
use crate::entry::{Entry, EntryKind, Extents, Place};
use crate::file::Runs;
use crate::limits::{DIRECTORY_BYTES, RUNS};
use crate::names::from_bytes;
use crate::source::{Source, parse};
use crate::{Error, Result};

/// A record, and what follows its fixed part.
pub(super) struct Record<'a> {
    /// Where it lies in the image.
    pub(super) offset: u64,
    pub(super) raw: RawRecord,
    pub(super) name: &'a [u8],
    /// The system use area, where Rock Ridge is.
    pub(super) system_use: &'a [u8],
}

/// Calls `visit` with every record of a directory, those of itself and its parent included.
pub(super) fn records(
    source: &Source,
    extents: &Extents,
    mut visit: impl FnMut(Record<'_>) -> Result<()>,
) -> Result<()> {
    const WHAT: &str = "directory record";
    for run in &extents.runs {
        let start = run.place.unwrap_or(0);
        Error::limit(At::new("directory", start), "size in bytes", run.offset + run.len, DIRECTORY_BYTES)?;
        source.check("directory", start, run.len)?;
        let mut bytes = vec![0; run.len as usize];
        source.read("directory", start, &mut bytes)?;
        for (number, sector) in bytes.chunks(SECTOR as usize).enumerate() {
            let mut at = 0;
            while let Some(&len) = sector.get(at).filter(|&&len| len != 0) {
                let offset = start + number as u64 * SECTOR + at as u64;
                let malformed = |reason: String| Err(Error::malformed(WHAT, offset, reason));
                let Some(record) = sector.get(at..at + usize::from(len)) else {
                    return malformed(format!("{len:#x} bytes, {:#x} left in its sector", sector.len() - at));
                };
                if record.len() < RECORD_LEN {
                    return malformed(format!("{len:#x} bytes, it has at least {RECORD_LEN:#x}"));
                }
                let raw: RawRecord = parse(WHAT, offset, record)?;
                let name_end = RECORD_LEN + usize::from(raw.name_len);
                let Some(name) = record.get(RECORD_LEN..name_end) else {
                    return malformed(format!("a name of {:#x} bytes in a record of {len:#x}", raw.name_len));
                };
                // A name of even length is padded.
                let system_use = record.get(name_end + usize::from(raw.name_len.is_multiple_of(2))..);
                visit(Record { offset, raw, name, system_use: system_use.unwrap_or_default() })?;
                at += usize::from(len);
            }
        }
    }
    Ok(())
}

/// A file of which more extents are to follow.
struct Open {
    name: Vec<u8>,
    runs: Runs,
}

pub(super) fn read(source: &Source, root: &Root, names: Names, extents: &Extents) -> Result<Vec<Entry>> {
    const WHAT: &str = "directory record";
    let mut entries = Vec::new();
    let mut open: Option<Open> = None;
    records(source, extents, |record| {
        let Record { offset, raw, .. } = record;
        // The directory itself, and the one above it.
        if matches!(record.name, [0 | 1]) && raw.flags & DIRECTORY != 0 || raw.flags & ASSOCIATED != 0 {
            return Ok(());
        }
        let mut part = match open.take() {
            Some(part) if part.name == record.name => part,
            Some(part) => {
                let reason = format!(
                    "more of {:?} is to follow, not {:?}",
                    String::from_utf8_lossy(&part.name),
                    String::from_utf8_lossy(record.name)
                );
                return Err(Error::malformed(WHAT, offset, reason));
            }
            None => Open { name: record.name.to_vec(), runs: Runs::default() },
        };
        let block_size = u64::from(root.block_size);
        let place = (u64::from(raw.block) + u64::from(raw.attribute_blocks)) * block_size;
        if part.runs.push(raw.size.into(), Some(place)).is_none() {
            return Err(Error::malformed(WHAT, offset, "the file has more than 2^64 bytes"));
        }
        Error::limit(At::new(WHAT, offset), "extents of a file", part.runs.count() as u64, RUNS as u64)?;
        if raw.flags & MULTI_EXTENT != 0 && raw.flags & DIRECTORY == 0 {
            open = Some(part);
            return Ok(());
        }
        let extra = match names {
            Names::RockRidge(rock_ridge) => rock_ridge::extra(source, root, rock_ridge, &record)?,
            Names::Plain | Names::Joliet => Extra::default(),
        };
        if !extra.moved_here {
            entries.push(entry(source, root, names, &record, part.runs, extra)?);
        }
        Ok(())
    })?;
    match open {
        None => Ok(entries),
        Some(part) => {
            let at = extents.runs.last().and_then(|run| run.place).unwrap_or(0);
            let reason = format!(
                "more of {:?} is to follow, and the directory ends",
                String::from_utf8_lossy(&part.name)
            );
            Err(Error::malformed("directory", at, reason))
        }
    }
}

fn entry(
    source: &Source,
    root: &Root,
    names: Names,
    record: &Record<'_>,
    mut runs: Runs,
    extra: Extra,
) -> Result<Entry> {
    let raw = &record.raw;
    let mut kind = if raw.flags & DIRECTORY != 0 { EntryKind::Directory } else { EntryKind::File };
    if kind == EntryKind::File {
        kind = extra.kind.unwrap_or(kind);
    }
    if let Some(block) = extra.moved_to {
        // The directory was too deep for ISO 9660, and something else has its name here.
        runs = rock_ridge::moved(source, root, record.offset, block)?;
        kind = EntryKind::Directory;
    }
    let name = match extra.name {
        Some(name) => from_bytes(&name),
        None => match names {
            Names::Joliet => {
                if !record.name.len().is_multiple_of(2) {
                    let reason = format!("a Joliet name of {} bytes", record.name.len());
                    return Err(Error::malformed("directory record", record.offset, reason));
                }
                without_version(
                    record.name.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect(),
                )
            }
            Names::Plain | Names::RockRidge(_) => plain_name(from_bytes(record.name), kind),
        },
    };
    if name.is_empty() {
        return Err(Error::malformed("directory record", record.offset, "has no name"));
    }
    let interleaved = (raw.unit != 0 || raw.gap != 0).then_some("an interleaved file");
    let size = if kind == EntryKind::File { runs.len() } else { 0 };
    Ok(Entry {
        name,
        kind,
        size,
        modified: extra.modified.or_else(|| time::short(raw.time)),
        created: extra.created,
        accessed: extra.accessed,
        hidden: raw.flags & HIDDEN != 0,
        place: Place::Iso9660(Extents {
            runs: runs.finish(),
            unsupported: extra.unsupported.or(interleaved),
        }),
    })
}

/// A name without the version that the standard appends (`;1`).
fn without_version(mut name: Vec<u16>) -> Box<[u16]> {
    let semicolon = name.iter().rposition(|&unit| unit == u16::from(b';'));
    if let Some(at) = semicolon {
        let digits = &name[at + 1..];
        let is_digit = |unit: &u16| (u16::from(b'0')..=u16::from(b'9')).contains(unit);
        if at > 0 && !digits.is_empty() && digits.iter().all(is_digit) {
            name.truncate(at);
        }
    }
    name.into()
}

/// A name of a file has a dot even if it has no extension (7.5.1); Windows does not show that dot.
fn plain_name(name: Box<[u16]>, kind: EntryKind) -> Box<[u16]> {
    let mut name = without_version(name.into_vec()).into_vec();
    if kind != EntryKind::Directory && name.len() > 1 && name.last() == Some(&u16::from(b'.')) {
        name.pop();
    }
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_the_standard_adds() {
        let plain = |name: &str| {
            String::from_utf16(&plain_name(from_bytes(name.as_bytes()), EntryKind::File)).unwrap()
        };
        assert_eq!(plain("README.TXT;1"), "README.TXT");
        assert_eq!(plain("README.;1"), "README");
        assert_eq!(plain("A;B;12"), "A;B");
        assert_eq!(plain("A;"), "A;");
        assert_eq!(plain(";1"), ";1");
        assert_eq!(plain("."), ".");
        let latin: String = String::from_utf16(&from_bytes(b"caf\xE9")).unwrap();
        assert_eq!(latin, "caf\u{e9}");
    }
}
