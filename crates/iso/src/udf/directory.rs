//! Directories: file identifier descriptors one after the other.

use disk::At;

use super::layout::{
    DELETED, FILE_IDENTIFIER_LEN, HIDDEN, PARENT, RawFileIdentifier, TAG_FILE_IDENTIFIER, TAG_LEN,
};
use super::{Volume, tag, text};
use crate::entry::Entry;
use crate::limits::DIRECTORY_BYTES;
use crate::source::parse;
use crate::{Error, Result};

impl Volume {
    /// What the directory whose file entry is at a block holds.
    pub(crate) fn entries(&self, partition: u16, block: u32) -> Result<Vec<Entry>> {
        const WHAT: &str = "file identifier";
        let runs = self.runs(partition, block)?;
        let size = runs.last().map_or(0, |run| run.offset + run.len);
        let start = runs.first().and_then(|run| run.place).unwrap_or(0);
        Error::limit(At::new("directory", start), "size in bytes", size, DIRECTORY_BYTES)?;
        let mut bytes = vec![0; size as usize];
        for run in &runs {
            let Some(place) = run.place else {
                return Err(Error::malformed("directory", start, "a part of it is not stored"));
            };
            let from = run.offset as usize;
            self.source.read("directory", place, &mut bytes[from..from + run.len as usize])?;
        }
        // Where a byte of the directory lies in the image.
        let place = |at: usize| {
            let run = runs[runs.partition_point(|run| run.offset + run.len <= at as u64)];
            run.place.unwrap_or(0) + (at as u64 - run.offset)
        };
        let mut entries = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let offset = place(at);
            let rest = &bytes[at..];
            let malformed = |reason: String| Err(Error::malformed(WHAT, offset, reason));
            if rest.len() < FILE_IDENTIFIER_LEN {
                return malformed(format!(
                    "{} bytes left, it has at least {FILE_IDENTIFIER_LEN}",
                    rest.len()
                ));
            }
            let raw: RawFileIdentifier = parse(WHAT, offset, &rest[TAG_LEN..])?;
            let name_at = FILE_IDENTIFIER_LEN + usize::from(raw.use_len);
            let end = name_at + usize::from(raw.name_len);
            let len = end.next_multiple_of(4);
            if len > rest.len() {
                return malformed(format!("{len:#x} bytes long, {:#x} left", rest.len()));
            }
            tag::check(WHAT, offset, &rest[..len], &[TAG_FILE_IDENTIFIER], None)?;
            at += len;
            if raw.characteristics & (DELETED | PARENT) != 0 {
                continue;
            }
            let raw_name = &rest[name_at..end];
            let Some(name) = text::name(raw_name).filter(|name| !name.is_empty()) else {
                return malformed(format!("its name {raw_name:02x?} is not OSTA compressed Unicode"));
            };
            entries.push(self.entry(name, raw.icb, raw.characteristics & HIDDEN != 0)?);
        }
        Ok(entries)
    }
}
