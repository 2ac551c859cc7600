//! Replaying the log: what a program that stopped too early still wanted to write to the file's structures.
//!
//! The log is a ring of entries. Those that count are a sequence whose numbers ascend by one, which carry the header's
//! log id and a right checksum; the last of them says with which they begin (its tail). Of several such sequences the
//! one with the highest number counts: what is left of earlier rounds lies in between. The last entry may be torn; then
//! the one before it is the last.

use std::sync::Arc;

use disk::{At, ReadAt};

use crate::crc32c::Crc32c;
use crate::layout::{
    Header, LOG_DESCRIPTOR_LEN, LOG_HEADER_LEN, LOG_SECTOR, LogDescriptor, LogHeader, REGION_TABLE_OFFSETS,
    parse,
};
use crate::open::MAX_FILE_LEN;
use crate::overlay::{Changes, Overlay, Source};
use crate::{Error, Result};

/// The longest log that is replayed: 256 MiB. Windows makes logs of 1 MiB.
const MAX_LOG_LEN: u64 = 256 << 20;
/// How many descriptors may be replayed: those of a log of 64 MiB that is full of the shortest, 24 MiB of memory.
const MAX_DESCRIPTORS: u64 = 1 << 18;
/// How often, on average, each byte of the log may lie in something that looks like an entry. In an honest log entries
/// do not overlap but for what is left of the round before.
const MAX_ROUNDS: u64 = 4;

/// What was replayed when the file was opened; the file itself keeps it to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Log entries.
    pub entries: u64,
    /// Sectors of 4096 bytes that they write.
    pub sectors: u64,
    /// Ranges that they fill with zeros.
    pub zeros: u64,
}

struct Log<'a> {
    file: &'a dyn ReadAt,
    start: u64,
    /// At most [`MAX_LOG_LEN`].
    len: u64,
    header: &'a Header,
    /// How many more bytes may be summed up.
    budget: u64,
}

/// The file as it is once its log is replayed. The header's log lies inside the file.
pub(crate) fn replay(file: Arc<dyn ReadAt>, file_len: u64, header: &Header) -> Result<(Overlay, Replay)> {
    let len = u64::from(header.log_len);
    if len > MAX_LOG_LEN {
        let at = At::new("VHDX log", header.log_offset);
        return Err(Error::Limit { at, what: "length", found: len, limit: MAX_LOG_LEN });
    }
    let mut log = Log { file: &*file, start: header.log_offset, len, header, budget: len * MAX_ROUNDS };
    let sequence = log.active_sequence()?;
    let (changes, new_len, replay) = log.apply(&sequence, file_len)?;
    Ok((Overlay::new(file, file_len, new_len, changes), replay))
}

impl Log<'_> {
    /// Reads around the end of the ring.
    fn read(&self, buf: &mut [u8], at: u64) -> Result<()> {
        let at = at % self.len;
        let (first, second) = buf.split_at_mut((self.len - at).min(buf.len() as u64) as usize);
        for (part, at) in [(first, at), (second, 0)] {
            if !part.is_empty() {
                let offset = self.start + at;
                self.file.read_exact_at(part, offset).map_err(Error::reading("VHDX log", offset))?;
            }
        }
        Ok(())
    }

    /// Where the entries that count lie, the oldest first.
    fn active_sequence(&mut self) -> Result<Vec<u64>> {
        let mut best: Option<(u64, Vec<u64>)> = None;
        let mut start = 0;
        while start < self.len {
            let mut entries = Vec::new();
            let mut last: Option<LogHeader> = None;
            let mut covered = 0;
            while covered < self.len {
                let at = (start + covered) % self.len;
                let Some(entry) = self.entry(at, last.as_ref(), self.len - covered)? else { break };
                covered += u64::from(entry.len);
                entries.push(at);
                last = Some(entry);
            }
            let Some(last) = last else {
                start += LOG_SECTOR;
                continue;
            };
            start += covered;
            let first = entries.iter().position(|at| *at == u64::from(last.tail));
            if let Some(first) = first
                && best.as_ref().is_none_or(|(sequence, _)| last.sequence > *sequence)
            {
                best = Some((last.sequence, entries.split_off(first)));
            }
        }
        // A header is given a log id only when the log has an entry with it.
        best.map(|(_, entries)| entries).ok_or_else(|| {
            let reason = format!("no entry with the header's log id {} is whole", self.header.log_id);
            Error::malformed("VHDX log", self.start, reason)
        })
    }

    /// The entry at `at` of the ring, if one that follows `before` and has no more than `room` bytes begins there.
    fn entry(&mut self, at: u64, before: Option<&LogHeader>, room: u64) -> Result<Option<LogHeader>> {
        let mut bytes = [0; LOG_HEADER_LEN];
        self.read(&mut bytes, at)?;
        let entry: LogHeader = parse(&bytes);
        let len = u64::from(entry.len);
        let whole_sectors = |number: u32| u64::from(number).is_multiple_of(LOG_SECTOR);
        let fits = entry.signature == *b"loge"
            && entry.log_id == self.header.log_id
            && entry.sequence != 0
            && before.is_none_or(|before| before.sequence.checked_add(1) == Some(entry.sequence))
            && whole_sectors(entry.len)
            && (LOG_SECTOR..=room).contains(&len)
            && whole_sectors(entry.tail)
            && u64::from(entry.tail) < self.len
            && descriptors_len(&entry) <= len;
        if !fits {
            return Ok(None);
        }
        self.budget = self.budget.checked_sub(len).ok_or(Error::Limit {
            at: At::new("VHDX log", self.start),
            what: "bytes of what looks like entries",
            found: self.len * MAX_ROUNDS - self.budget + len,
            limit: self.len * MAX_ROUNDS,
        })?;
        // The sum counts itself as zero.
        bytes[4..8].fill(0);
        let mut sum = Crc32c::new().update(&bytes);
        let mut piece = vec![0; len.min(256 << 10) as usize];
        let mut done = LOG_HEADER_LEN as u64;
        while done < len {
            let piece = &mut piece[..(len - done).min(256 << 10) as usize];
            self.read(piece, at + done)?;
            sum = sum.update(piece);
            done += piece.len() as u64;
        }
        Ok((sum.value() == entry.checksum).then_some(entry))
    }

    /// What the entries write, and how long the file then is.
    fn apply(&self, entries: &[u64], file_len: u64) -> Result<(Changes, u64, Replay)> {
        let mut changes = Changes::default();
        let mut replay = Replay::default();
        let mut new_len = file_len;
        // The last entry knows how long the file was, and has to be, in the end.
        if let Some(last) = entries.last() {
            let mut bytes = [0; LOG_HEADER_LEN];
            self.read(&mut bytes, *last)?;
            let entry: LogHeader = parse(&bytes);
            let at = At::new("VHDX log entry", self.start + last);
            if entry.flushed_file_len > file_len {
                let flushed = entry.flushed_file_len;
                let reason =
                    format!("the file had {flushed:#x} bytes when it was written, now {file_len:#x}");
                return Err(Error::Malformed { at, reason });
            }
            if entry.last_file_len > MAX_FILE_LEN {
                let found = entry.last_file_len;
                return Err(Error::Limit { at, what: "length of the file", found, limit: MAX_FILE_LEN });
            }
            new_len = new_len.max(entry.last_file_len);
        }
        for at in entries {
            self.apply_entry(*at, new_len, &mut changes, &mut replay)?;
        }
        Ok((changes, new_len, replay))
    }

    fn apply_entry(&self, at: u64, new_len: u64, changes: &mut Changes, replay: &mut Replay) -> Result<()> {
        let mut bytes = [0; LOG_HEADER_LEN];
        self.read(&mut bytes, at)?;
        let entry: LogHeader = parse(&bytes);
        let fault = |reason: String| Err(Error::malformed("VHDX log entry", self.start + at, reason));
        let found = replay.sectors + replay.zeros + u64::from(entry.descriptors);
        if found > MAX_DESCRIPTORS {
            let at = At::new("VHDX log entry", self.start + at);
            return Err(Error::Limit { at, what: "number of descriptors", found, limit: MAX_DESCRIPTORS });
        }
        let mut descriptors = vec![0; entry.descriptors as usize * LOG_DESCRIPTOR_LEN];
        self.read(&mut descriptors, at + LOG_HEADER_LEN as u64)?;
        let data_at = descriptors_len(&entry).next_multiple_of(LOG_SECTOR);
        let mut sectors = 0;
        for (index, bytes) in descriptors.chunks_exact(LOG_DESCRIPTOR_LEN).enumerate() {
            let descriptor: LogDescriptor = parse(bytes);
            if descriptor.sequence != entry.sequence {
                let (found, expected) = (descriptor.sequence, entry.sequence);
                return fault(format!(
                    "descriptor {index} with sequence number {found}, expected {expected}"
                ));
            }
            let (len, source) = match &descriptor.signature {
                b"desc" => {
                    let in_entry = data_at + sectors * LOG_SECTOR;
                    if in_entry >= entry.len.into() {
                        return fault(format!("data of descriptor {index} past its end"));
                    }
                    sectors += 1;
                    let sector = self.check_data(at + in_entry, entry.sequence)?;
                    let (leading, trailing) = (descriptor.leading, descriptor.trailing);
                    (LOG_SECTOR, Source::Sector { at: sector, leading, trailing })
                }
                b"zero" => (u64::from_le_bytes(descriptor.leading), Source::Zero),
                other => {
                    let found = other.escape_ascii();
                    return fault(format!(
                        "descriptor {index} with signature \"{found}\", expected \"desc\" or \"zero\""
                    ));
                }
            };
            let start = descriptor.offset;
            let end = start.checked_add(len).filter(|end| *end <= new_len);
            let Some(end) = end.filter(|_| (start | len).is_multiple_of(LOG_SECTOR)) else {
                return fault(format!(
                    "descriptor {index} for {start:#x} (+ {len:#x}), expected whole sectors inside {new_len:#x} bytes"
                ));
            };
            // Headers are written, not logged; and who replays the log does not expect it to change.
            if start < REGION_TABLE_OFFSETS[0] || start < self.start + self.len && self.start < end {
                return fault(format!(
                    "descriptor {index} writes to {start:#x}, into the headers or the log"
                ));
            }
            changes.insert(start, end, source);
            match source {
                Source::Sector { .. } => replay.sectors += 1,
                Source::Zero => replay.zeros += 1,
            }
        }
        let expected = data_at + sectors * LOG_SECTOR;
        if expected != entry.len.into() {
            return fault(format!("{} bytes, its descriptors take {expected}", entry.len));
        }
        replay.entries += 1;
        Ok(())
    }

    /// Where in the file the data sector at `at` of the ring lies, which belongs to the entry with number `sequence`.
    fn check_data(&self, at: u64, sequence: u64) -> Result<u64> {
        let offset = self.start + at % self.len;
        let mut sector = [0; LOG_SECTOR as usize];
        self.read(&mut sector, at)?;
        let four = |at: usize| u32::from_le_bytes(sector[at..at + 4].try_into().expect("four bytes"));
        let found = u64::from(four(4)) << 32 | u64::from(four(LOG_SECTOR as usize - 4));
        if &sector[..4] != b"data" || found != sequence {
            let signature = sector[..4].escape_ascii();
            let reason =
                format!("signature \"{signature}\" and number {found}, expected \"data\" and {sequence}");
            return Err(Error::malformed("VHDX log data sector", offset, reason));
        }
        Ok(offset)
    }
}

/// Bytes of an entry up to the end of its descriptors.
fn descriptors_len(entry: &LogHeader) -> u64 {
    LOG_HEADER_LEN as u64 + u64::from(entry.descriptors) * LOG_DESCRIPTOR_LEN as u64
}
