//! Internal snapshots: states of the disk that the file keeps beside its present one. They are listed and counted, never
//! read.

use crate::{Error, Qcow2, Result};

/// The longest table that is read.
const MAX_TABLE: u64 = 64 << 20;
/// Length of the part of an entry that every one has.
const FIXED: u64 = 40;
/// The most additional data of an entry that makes sense; more is skipped by nobody.
const MAX_EXTRA: u32 = 1 << 10;

/// A state of the disk that the file keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What programs call it, mostly a number. Bytes that are not UTF-8 are replaced, here and in the name.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub seconds: u32,
    /// Bytes of the machine's memory that were saved with it.
    pub vm_state_len: u32,
    /// Where its L1 table lies.
    pub l1_offset: u64,
    /// How many entries that has.
    pub l1_entries: u32,
}

impl Qcow2 {
    /// The internal snapshots.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the table leaves the file, [`Error::Limit`] when it is longer than 64 MiB, [`Error::Io`].
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        Ok(self.read_snapshots()?.0)
    }

    /// The snapshots, and the length of their table in bytes.
    pub(crate) fn read_snapshots(&self) -> Result<(Vec<Snapshot>, u64)> {
        const WHAT: &str = "qcow2 snapshot";
        let header = &self.opened.header;
        let mut snapshots = Vec::new();
        let start = header.snapshots_offset;
        let mut at = start;
        for _ in 0..header.snapshots {
            let read = |at: u64, len: u64| {
                if at.checked_add(len).is_none_or(|end| end > self.opened.file_len) {
                    let reason = format!("{len} bytes leave the file of {:#x}", self.opened.file_len);
                    return Err(Error::malformed(WHAT, at, reason));
                }
                let mut bytes = vec![0; len as usize];
                self.file.read_exact_at(&mut bytes, at).map_err(Error::reading(WHAT, at))?;
                Ok(bytes)
            };
            let fixed = read(at, FIXED)?;
            let short = |from: usize| u16::from_be_bytes([fixed[from], fixed[from + 1]]);
            let word =
                |from: usize| u32::from_be_bytes(fixed[from..from + 4].try_into().expect("four bytes"));
            let l1_offset = u64::from_be_bytes(fixed[..8].try_into().expect("eight bytes"));
            let (id_len, name_len, extra) = (u64::from(short(12)), u64::from(short(14)), word(36));
            if extra > MAX_EXTRA {
                return Err(Error::limit(
                    WHAT,
                    at,
                    "length of additional data",
                    extra.into(),
                    MAX_EXTRA.into(),
                ));
            }
            let id = read(at + FIXED + u64::from(extra), id_len)?;
            let name = read(at + FIXED + u64::from(extra) + id_len, name_len)?;
            snapshots.push(Snapshot {
                id: String::from_utf8_lossy(&id).into_owned(),
                name: String::from_utf8_lossy(&name).into_owned(),
                seconds: word(16),
                vm_state_len: word(32),
                l1_offset,
                l1_entries: word(8),
            });
            at += (FIXED + u64::from(extra) + id_len + name_len).next_multiple_of(8);
            if at - start > MAX_TABLE {
                return Err(Error::limit("qcow2 snapshot table", start, "length", at - start, MAX_TABLE));
            }
        }
        Ok((snapshots, at - start))
    }
}
