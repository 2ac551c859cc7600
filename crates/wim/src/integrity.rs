//! The integrity table: SHA-1s of the file itself, from the end of the header to the end of the blob table, in pieces.

use std::io::Cursor;
use std::ops::Range;

use binrw::BinRead;

use crate::layout::{HEADER_LEN, INTEGRITY_HEADER_LEN, RawIntegrity, SHA1_LEN};
use crate::{Error, Result};

/// The table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IntegrityTable {
    chunk_size: u64,
    covered: Range<u64>,
    hashes: Vec<[u8; SHA1_LEN]>,
}

impl IntegrityTable {
    /// Parses a table that lies at `offset`. `end` is the byte after what it covers.
    pub(crate) fn parse(table: &[u8], offset: u64, end: u64) -> Result<Self> {
        let malformed = |reason: String| Err(Error::malformed("integrity table", offset, reason));
        let Ok(header) = RawIntegrity::read(&mut Cursor::new(table)) else {
            return malformed(format!(
                "it has {} bytes, expected at least {INTEGRITY_HEADER_LEN}",
                table.len()
            ));
        };
        let covered = u64::from(HEADER_LEN)..end.max(u64::from(HEADER_LEN));
        if header.chunk_size == 0 {
            return malformed("chunk size is 0".to_owned());
        }
        let chunk_size = u64::from(header.chunk_size);
        let expected = (covered.end - covered.start).div_ceil(chunk_size);
        if u64::from(header.entries) != expected {
            return malformed(format!(
                "it has {} entries, expected {expected} of {chunk_size:#x} bytes for {:#x}..{:#x}",
                header.entries, covered.start, covered.end
            ));
        }
        let needed = INTEGRITY_HEADER_LEN + u64::from(header.entries) * SHA1_LEN as u64;
        if u64::from(header.table_len) != needed || (table.len() as u64) < needed {
            return malformed(format!(
                "{} entries need {needed:#x} bytes, the table claims {:#x} and has {:#x}",
                header.entries,
                header.table_len,
                table.len()
            ));
        }
        let hashes = table[INTEGRITY_HEADER_LEN as usize..needed as usize].as_chunks().0.to_vec();
        Ok(Self { chunk_size, covered, hashes })
    }

    /// The pieces of the file, and the SHA-1 that each should have.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (Range<u64>, [u8; SHA1_LEN])> {
        self.hashes.iter().zip(0..).map(|(&hash, index)| {
            let start = self.covered.start + index * self.chunk_size;
            (start..self.covered.end.min(start + self.chunk_size), hash)
        })
    }
}
