//! Recovering a hive from its logs.
//!
//! Windows writes changes to a log before it writes them to the hive, and from Windows 8.1 on leaves them there for up to
//! an hour. A hive that was copied from a running machine, or that lost power, is therefore *dirty*: its two sequence
//! numbers differ, or its base block was torn. There are two formats of logs.
//!
//! * The old one holds one state: a bitmap of the sectors that changed, and the sectors.
//! * The new one holds entries, each with a sequence number, pages, and two keyed checksums. `.LOG1` and `.LOG2` are used
//!   in turns, so entries that belong together may lie in both.
//!
//! A log is applied in memory, and only as far as it proves to be whole. Rules and layouts are those of Maxim Suhanov's
//! specification; where Windows' versions differ from each other, the boot loader's rule is taken.

use std::borrow::Cow;
use std::fmt;

use binrw::binrw;

use crate::Hive;
use crate::error::{Error, Result};
use crate::layout::{BASE, BaseBlock, MAX_BINS, PAGE, checksum, file_type, read, u32_at};
use crate::marvin::marvin32;
use crate::parse::verify_base;

/// Unit of logs.
const SECTOR: usize = 512;

/// The head of an entry in a log of the new format.
#[binrw]
#[brw(little, magic = b"HvLE")]
#[derive(Clone, Debug)]
struct EntryHead {
    /// 0x04: a multiple of [`SECTOR`].
    size: u32,
    /// 0x08: bit 0 of the base block's flags.
    flags: u32,
    /// 0x0C.
    sequence: u32,
    /// 0x10: bytes of bins, once it is applied.
    bins_size: u32,
    /// 0x14: how many pages follow.
    pages: u32,
    /// 0x18: of all behind this head.
    hash: u64,
    /// 0x20: of the 32 bytes before it.
    head_hash: u64,
}

impl EntryHead {
    const LEN: usize = 40;
}

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// One bitmap of changed sectors: until Windows 8.
    Bitmap,
    /// Entries with checksums: from Windows 8.1 on.
    Entries,
}

/// What was done with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogUse {
    /// Which of the logs that were given, from 0.
    pub index: usize,
    /// Its format, where it has one.
    pub format: Option<LogFormat>,
    /// Sequence numbers of the first and last entry that was applied; of a bitmap, that of its base block twice.
    pub applied: Option<(u32, u32)>,
    /// Bytes that were written into the hive.
    pub bytes: u64,
    /// Why nothing, or nothing more, was applied.
    pub stopped: Option<String>,
}

/// What [`Hive::recover`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// The hive was dirty. If it was not, its logs are old and were not looked at.
    pub dirty: bool,
    /// The base block was damaged, and comes from a log.
    pub base_restored: bool,
    /// The logs in the order they were used. Empty logs are left out.
    pub logs: Vec<LogUse>,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.dirty {
            return f.write_str("clean");
        }
        f.write_str("dirty")?;
        if self.base_restored {
            f.write_str("; base block restored")?;
        }
        for log in &self.logs {
            write!(f, "; log {}", log.index + 1)?;
            match log.applied {
                Some((first, last)) if first == last => write!(f, ": applied {first}")?,
                Some((first, last)) => write!(f, ": applied {first} to {last}")?,
                None => f.write_str(": not applied")?,
            }
            write!(f, ", {} bytes", log.bytes)?;
            if let Some(reason) = &log.stopped {
                write!(f, " ({reason})")?;
            }
        }
        Ok(())
    }
}

impl Hive {
    /// Reads a hive, with the changes that its logs hold when it is dirty. `logs` are the contents of `.LOG1` and
    /// `.LOG2` (or of the only `.LOG` of older systems), in that order; logs that do not belong to the hive are passed
    /// over, and the logs of a clean hive are not looked at.
    ///
    /// # Errors
    /// [`Error::Dirty`] when the hive is dirty and no log can be applied; else as [`parse`](Self::parse), for the
    /// recovered hive.
    pub fn recover(bytes: &[u8], logs: &[&[u8]]) -> Result<(Self, Recovery)> {
        let (bytes, recovery) = replay(bytes, logs)?;
        Ok((Self::parse(&bytes)?, recovery))
    }

    /// Reads a hive as it lies in its file, dirty or not. What was in its logs is missing, and half of it may be there.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), except for [`Error::Dirty`].
    pub fn parse_without_logs(bytes: &[u8]) -> Result<Self> {
        let base = BaseBlock::parse(bytes)?;
        verify_base(&base, bytes)?;
        Self::parse_bins(base, bytes)
    }
}

/// The file as it would be had it been written to its end: with the changes that its logs hold, and a clean base block.
/// A clean hive is returned as it is.
///
/// # Errors
/// [`Error::Dirty`] when the hive is dirty and no log can be applied, [`Error::Malformed`] when it is no hive at all.
pub fn replay<'a>(bytes: &'a [u8], logs: &[&[u8]]) -> Result<(Cow<'a, [u8]>, Recovery)> {
    let found = BaseBlock::parse(bytes)?;
    let sum = bytes.first_chunk().map(checksum);
    let base = (Some(found.checksum) == sum).then_some(&found);
    if base.is_some_and(|base| base.primary == base.secondary) {
        return Ok((Cow::Borrowed(bytes), Recovery::default()));
    }
    if let Some(base) = base {
        verify_base(base, bytes)?;
    }
    let mut recovery = Recovery { dirty: true, base_restored: base.is_none(), logs: Vec::new() };
    let (mut bitmaps, mut entries) = (Vec::new(), Vec::new());
    for (index, &log) in logs.iter().enumerate().filter(|(_, log)| !log.is_empty()) {
        let mut usage = LogUse { index, format: None, applied: None, bytes: 0, stopped: None };
        match log_base(log) {
            Ok((LogFormat::Bitmap, base)) => bitmaps.push(Log { index, bytes: log, base }),
            Ok((LogFormat::Entries, base)) => entries.push(Log { index, bytes: log, base }),
            Err(error) => {
                usage.stopped = Some(error.to_string());
                recovery.logs.push(usage);
            }
        }
    }
    let mut target = Target {
        bytes: bytes.to_vec(),
        most: logs.iter().map(|log| log.len()).sum::<usize>().saturating_add(bytes.len()),
    };
    let applied = if entries.is_empty() {
        replay_bitmap(base, &bitmaps, &mut target, &mut recovery)
    } else {
        for log in &bitmaps {
            recovery.unused(log, LogFormat::Bitmap, "of the old format, next to one of the new");
        }
        replay_entries(base, entries, &mut target, &mut recovery)
    };
    let Some(mut base) = applied else {
        let reason = match &*recovery.logs {
            [] if base.is_some() => "its logs are missing or empty".to_owned(),
            [] => "its base block is damaged, and its logs are missing or empty".to_owned(),
            _ => format!("its logs do not apply ({recovery})"),
        };
        return Err(Error::Dirty { primary: found.primary, secondary: found.secondary, reason });
    };
    base.secondary = base.primary;
    base.file_type = file_type::PRIMARY;
    target.bytes.resize(base.bins_size as usize + PAGE, 0);
    target.bytes[..BASE].copy_from_slice(&base.to_sector());
    Ok((Cow::Owned(target.bytes), recovery))
}

/// A log with a good base block.
struct Log<'a> {
    index: usize,
    bytes: &'a [u8],
    base: BaseBlock,
}

/// The base block of a log, if it is one.
fn log_base(log: &[u8]) -> Result<(LogFormat, BaseBlock)> {
    let base = BaseBlock::parse(log)?;
    let fault = |offset, reason| Err(Error::malformed("base block of the log", offset, reason));
    let sum = log.first_chunk().map(checksum);
    if Some(base.checksum) != sum {
        return fault(
            0x1FC,
            format!("checksum {:#010x}, expected {:#010x}", base.checksum, sum.unwrap_or(0)),
        );
    }
    let format = match base.file_type {
        file_type::LOG | file_type::LOG_ALTERNATE => LogFormat::Bitmap,
        file_type::LOG_ENTRIES => LogFormat::Entries,
        other => return fault(0x1C, format!("type {other}, expected 1, 2 or 6 of a log")),
    };
    if base.primary != base.secondary {
        return fault(
            4,
            format!("sequence numbers {} and {}, expected equal ones", base.primary, base.secondary),
        );
    }
    Ok((format, base))
}

/// The hive while logs are applied to it.
struct Target {
    bytes: Vec<u8>,
    /// What the hive and its logs hold together: no log makes it larger.
    most: usize,
}

impl Target {
    /// Makes room for so many bytes of bins; says why that is impossible.
    fn resize(&mut self, bins_size: u32) -> Result<(), String> {
        if bins_size == 0 || !(bins_size as usize).is_multiple_of(PAGE) || u64::from(bins_size) > MAX_BINS {
            return Err(format!(
                "{bins_size:#x} bytes of bins, expected {PAGE:#x} to {MAX_BINS:#x} in steps of {PAGE:#x}"
            ));
        }
        let size = bins_size as usize + PAGE;
        if size > self.most {
            return Err(format!(
                "{bins_size:#x} bytes of bins, but hive and logs have {:#x} together",
                self.most
            ));
        }
        if size > self.bytes.len() {
            self.bytes.resize(size, 0);
        }
        Ok(())
    }
}

impl Recovery {
    fn unused(&mut self, log: &Log<'_>, format: LogFormat, reason: impl Into<String>) {
        let (format, stopped) = (Some(format), Some(reason.into()));
        self.logs.push(LogUse { index: log.index, format, applied: None, bytes: 0, stopped });
    }
}

/// Applies the best of the logs of the old format; the base block that follows from it.
fn replay_bitmap(
    base: Option<&BaseBlock>,
    logs: &[Log<'_>],
    target: &mut Target,
    recovery: &mut Recovery,
) -> Option<BaseBlock> {
    // The log belongs to the hive when both were written at the same time. The first bin repeats that time.
    let written = match base {
        Some(base) => base.written,
        None => target.bytes.get(PAGE + 0x14..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?,
    };
    // One that is newer holds all changes since the last success, and serves if there is nothing better.
    let newer = || logs.iter().filter(|log| log.base.written > written).max_by_key(|log| log.base.written);
    let best = logs.iter().find(|log| log.base.written == written).or_else(newer);
    let mut restored = None;
    for log in logs {
        if best.is_none_or(|best| best.index != log.index) {
            recovery.unused(log, LogFormat::Bitmap, "written at another time than the hive");
            continue;
        }
        match apply_bitmap(log, target) {
            Ok(bytes) => {
                let sequence = log.base.primary;
                recovery.logs.push(LogUse {
                    index: log.index,
                    format: Some(LogFormat::Bitmap),
                    applied: Some((sequence, sequence)),
                    bytes,
                    stopped: None,
                });
                let mut base = base.unwrap_or(&log.base).clone();
                base.bins_size = log.base.bins_size;
                base.root = log.base.root;
                base.primary = base.primary.max(sequence);
                restored = Some(base);
            }
            Err(reason) => recovery.unused(log, LogFormat::Bitmap, reason),
        }
    }
    restored
}

/// Applies a log of the old format, all of it or nothing. Says how many bytes that were.
fn apply_bitmap(log: &Log<'_>, target: &mut Target) -> Result<u64, String> {
    let sectors = log.base.bins_size as usize / SECTOR;
    let vector = log.bytes.get(SECTOR..).unwrap_or_default();
    if vector.get(..4) != Some(b"DIRT") {
        return Err("no bitmap of changes behind the base block".into());
    }
    let map_len = sectors.div_ceil(8);
    let Some(map) = vector.get(4..4 + map_len) else {
        return Err(format!("ends within its bitmap of {map_len:#x} bytes"));
    };
    let changed: Vec<usize> =
        (0..sectors).filter(|sector| map[sector / 8] >> (sector % 8) & 1 == 1).collect();
    let start = (4 + map_len).next_multiple_of(SECTOR);
    let Some(pages) = vector.get(start..).and_then(|pages| pages.get(..changed.len() * SECTOR)) else {
        return Err(format!("ends within its {} changed sectors", changed.len()));
    };
    target.resize(log.base.bins_size)?;
    for (sector, page) in changed.iter().zip(pages.chunks_exact(SECTOR)) {
        let at = PAGE + sector * SECTOR;
        target.bytes[at..at + SECTOR].copy_from_slice(page);
    }
    Ok(pages.len() as u64)
}

/// Applies logs of the new format one after the other; the base block that follows from them.
fn replay_entries(
    base: Option<&BaseBlock>,
    mut logs: Vec<Log<'_>>,
    target: &mut Target,
    recovery: &mut Recovery,
) -> Option<BaseBlock> {
    logs.sort_by_key(|log| log.base.primary);
    match base {
        Some(base) => logs.retain(|log| {
            let current = log.base.primary >= base.secondary;
            if !current {
                let reason =
                    format!("begins with {}, and the hive has {} already", log.base.primary, base.secondary);
                recovery.unused(log, LogFormat::Entries, reason);
            }
            current
        }),
        // Without the hive's own number nobody knows where to begin, and the last log alone is sure to belong to it.
        None => {
            let last = logs.pop()?;
            for log in &logs {
                recovery.unused(
                    log,
                    LogFormat::Entries,
                    "the hive's base block is damaged, and the other log is newer",
                );
            }
            logs = vec![last];
        }
    }
    let mut result = base.or(logs.first().map(|log| &log.base)).cloned()?;
    let mut expected = logs.first()?.base.primary;
    let mut any = false;
    for log in &logs {
        let first = expected;
        let mut usage = LogUse {
            index: log.index,
            format: Some(LogFormat::Entries),
            applied: None,
            bytes: 0,
            stopped: None,
        };
        let mut at = SECTOR;
        if log.base.primary != expected {
            usage.stopped = Some(format!("begins with {}, expected {expected}", log.base.primary));
        } else {
            loop {
                match Entry::parse(&log.bytes[at..], expected) {
                    Ok(None) => break,
                    Ok(Some(entry)) => {
                        if let Err(reason) = target.resize(entry.head.bins_size) {
                            usage.stopped = Some(format!("at {at:#x}: {reason}"));
                            break;
                        }
                        usage.bytes += entry.apply(target);
                        usage.applied = Some((first, expected));
                        result.bins_size = entry.head.bins_size;
                        result.flags = result.flags & !1 | entry.head.flags & 1;
                        result.primary = result.primary.max(expected);
                        any = true;
                        at += entry.head.size as usize;
                        expected = expected.wrapping_add(1);
                    }
                    Err(reason) => {
                        usage.stopped = Some(format!("at {at:#x}: {reason}"));
                        break;
                    }
                }
            }
        }
        recovery.logs.push(usage);
    }
    any.then_some(result)
}

/// An entry that is whole.
struct Entry<'a> {
    head: EntryHead,
    references: &'a [u8],
    pages: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry that begins with these bytes. `None` where the entries end: at the end of the log, or at an entry of
    /// another sequence, which was left from earlier. `Err` says why it is not whole.
    fn parse(bytes: &'a [u8], expected: u32) -> Result<Option<Self>, String> {
        if bytes.get(..4) != Some(b"HvLE") || bytes.len() < EntryHead::LEN {
            return Ok(None);
        }
        let head: EntryHead = read(bytes);
        if head.sequence != expected {
            return Ok(None);
        }
        let size = head.size as usize;
        if !size.is_multiple_of(SECTOR) || size < SECTOR {
            return Err(format!("entry of {size:#x} bytes, expected a multiple of {SECTOR:#x}"));
        }
        let Some(entry) = bytes.get(..size) else {
            return Err(format!("entry of {size:#x} bytes, {:#x} are left", bytes.len()));
        };
        if marvin32(&entry[..32]) != head.head_hash {
            return Err("checksum of the entry's head is wrong".into());
        }
        let body = &entry[EntryHead::LEN..];
        if marvin32(body) != head.hash {
            return Err("checksum of the entry is wrong".into());
        }
        let Some((references, pages)) = body.split_at_checked((head.pages as usize).saturating_mul(8)) else {
            return Err(format!("{} pages in an entry of {size:#x} bytes", head.pages));
        };
        let mut left = pages.len() as u64;
        for reference in references.chunks_exact(8) {
            let (offset, len) = (word(reference, 0), word(reference, 4));
            if offset.saturating_add(len) > u64::from(head.bins_size) {
                return Err(format!(
                    "page at {offset:#x} of {len:#x} bytes in {:#x} bytes of bins",
                    head.bins_size
                ));
            }
            left = left
                .checked_sub(len)
                .ok_or_else(|| format!("page at {offset:#x} of {len:#x} bytes is not all in the entry"))?;
        }
        Ok(Some(Self { head, references, pages }))
    }

    /// Writes the pages into the hive, which has room for them.
    fn apply(&self, target: &mut Target) -> u64 {
        let mut at = 0;
        for reference in self.references.chunks_exact(8) {
            let (offset, len) = (word(reference, 0) as usize + PAGE, word(reference, 4) as usize);
            target.bytes[offset..offset + len].copy_from_slice(&self.pages[at..at + len]);
            at += len;
        }
        at as u64
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at).map_or(0, u64::from)
}
