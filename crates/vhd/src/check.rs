use crate::read::Vhd;
use crate::{Error, Result};

/// What a [`Vhd::check`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks of the disk; 0 in a fixed one.
    pub blocks: u64,
    /// Blocks that are stored, in full or in part.
    pub present: u64,
    /// Bytes of the file that the disk occupies, bitmaps included.
    pub bytes: u64,
    /// Bytes of the file that belong to nothing: room between structures, and blocks that were given up.
    pub unused: u64,
}

impl Vhd {
    /// Checks what opening lets pass because the disk can be read all the same: that the copy of the footer is equal to
    /// it byte for byte, and that the block allocation table is as long in the file as its header says. What opening
    /// checks already (checksums, the place of everything, that nothing shares bytes of the file) is not checked again.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault.
    pub fn check(&self) -> Result<Usage> {
        let Some(blocks) = self.blocks() else {
            return Ok(Usage { bytes: self.disk_size(), ..Usage::default() });
        };
        if !blocks.footer_copy_equal {
            let reason = format!("differs from the footer at {:#x}", self.footer_at);
            return Err(Error::malformed("copy of the VHD footer", 0, reason));
        }
        let header_at = self.footer().data_offset;
        let malformed = |reason: String| Err(Error::malformed("VHD dynamic header", header_at, reason));
        let (entries, table_at) = (u64::from(blocks.header.max_table_entries), blocks.header.table_offset);
        // Opening looked at no more entries than the disk needs.
        let table_end = match crate::blocks::inside(table_at, entries * 4, 0, self.footer_at) {
            Ok(end) => end,
            Err(reason) => return malformed(format!("{entries} table entries: {reason}")),
        };
        let stored = blocks.stored_len();
        let starts = blocks.table.iter().filter(|entry| **entry != crate::layout::ABSENT);
        let starts = starts.map(|entry| u64::from(*entry) * 512);
        let mut others = blocks.structures.iter().filter(|(start, _)| *start != table_at).copied();
        let overlap = others.find(|(start, end)| *start < table_end && table_at < *end);
        let overlap = overlap.map(|(start, _)| start);
        let block = || starts.clone().find(|start| *start < table_end && table_at < start + stored);
        if let Some(other) = overlap.or_else(block) {
            return malformed(format!(
                "{entries} table entries, which end at {table_end:#x} and overlap what lies at {other:#x}"
            ));
        }
        let present = starts.clone().count() as u64;
        let structures: u64 = blocks.structures.iter().map(|(start, end)| end - start).sum();
        let bytes = present * stored;
        // Names of a parent may share bytes.
        let unused = self.footer_at.saturating_sub(512 + structures + bytes);
        Ok(Usage { blocks: blocks.table.len() as u64, present, bytes, unused })
    }
}
