//! File records: the header, and the attributes one after the other.

use std::io::Cursor;

use binrw::BinRead;

use super::attribute::{Attribute, attribute};
use super::{Fault, Result, u32_at};
use crate::layout::record::{END, END_LEN, RecordHeader, USA_OFFSET, flags};

/// A file record whose fixups are undone (see [`unprotect`](super::unprotect)).
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The header.
    pub header: RecordHeader,
    bytes: &'a [u8],
}

const WHAT: &str = "file record";

/// Whether a record was never used: Windows leaves those all zero.
pub fn is_zero_record(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The record in `bytes`, which are all of it.
///
/// # Errors
/// When the signature is not `FILE`, or the attributes do not lie between the header and the end.
pub fn record(bytes: &[u8]) -> Result<Record<'_>> {
    if bytes.get(..4) != Some(b"FILE") {
        let found = String::from_utf8_lossy(bytes.get(..4).unwrap_or(bytes)).escape_default().to_string();
        return Err(Fault::new(WHAT, "signature", 0, format_args!("\"{found}\""), "\"FILE\""));
    }
    let header = RecordHeader::read(&mut Cursor::new(bytes))
        .map_err(|error| Fault::new(WHAT, "header", 0, error, "48 bytes"))?;
    let used = header.used as usize;
    if used > bytes.len() || used < USA_OFFSET + END_LEN {
        let expected = format_args!("{:#x}..={:#x}", USA_OFFSET + END_LEN, bytes.len());
        return Err(Fault::new(WHAT, "bytes used", 0x18, format_args!("{used:#x}"), expected));
    }
    let first = usize::from(header.attributes_offset);
    if first < USA_OFFSET - 6 || first + END_LEN > used || !first.is_multiple_of(8) {
        let expected = format_args!("a multiple of 8 in 0x30..={:#x}", used - END_LEN);
        return Err(Fault::new(WHAT, "offset of the attributes", 0x14, format_args!("{first:#x}"), expected));
    }
    Ok(Record { header, bytes })
}

impl<'a> Record<'a> {
    /// All bytes of the record.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it is in use.
    pub const fn in_use(&self) -> bool {
        self.header.flags & flags::IN_USE != 0
    }

    /// Whether it is a directory: has an index of file names.
    pub const fn is_directory(&self) -> bool {
        self.header.flags & flags::DIRECTORY != 0
    }

    /// Its attributes, in the order in which they lie there.
    pub const fn attributes(&self) -> Attributes<'a> {
        let at = self.header.attributes_offset as usize;
        Attributes { bytes: self.bytes, used: self.header.used as usize, at, done: false }
    }

    /// The attribute that begins at byte `at`, where one was met before; `None` at the end marker.
    pub fn attribute_at(&self, at: usize) -> Result<Option<Attribute<'a>>> {
        Attributes { bytes: self.bytes, used: self.header.used as usize, at, done: false }.parse()
    }
}

/// The attributes of a record; ends after the first fault.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    used: usize,
    at: usize,
    done: bool,
}

impl<'a> Attributes<'a> {
    /// Where the next attribute begins, or once all were read, the end marker.
    pub const fn position(&self) -> usize {
        self.at
    }

    fn parse(&mut self) -> Result<Option<Attribute<'a>>> {
        let used = &self.bytes[..self.used];
        match u32_at(used, self.at) {
            Some(END) => return Ok(None),
            Some(_) => {}
            None => {
                let found = format_args!("the end of what is used, {:#x}", self.used);
                return Err(Fault::new(
                    WHAT,
                    "end of the attributes",
                    self.at,
                    found,
                    "the marker 0xffffffff",
                ));
            }
        }
        let attribute = attribute(used, self.at)?;
        self.at += attribute.len;
        Ok(Some(attribute))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.parse().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Body;
    use super::super::kind;
    use super::*;
    use crate::layout::put;

    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        let header = RecordHeader {
            usa_offset: 48,
            usa_count: 3,
            attributes_offset: 56,
            flags: 3,
            used: 56 + 32 + 80 + 8,
            allocated: 1024,
            number: 7,
            ..RecordHeader::default()
        };
        put(&mut bytes, 0, &header);
        // An object id of 5 bytes, and a named stream with a run.
        bytes[56..56 + 32].copy_from_slice(&[
            0x40, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 5, 0, 0, 0, 24, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0,
            0,
        ]);
        let stream = &mut bytes[88..88 + 80];
        stream[..16].copy_from_slice(&[0x80, 0, 0, 0, 80, 0, 0, 0, 1, 2, 64, 0, 0, 0, 2, 0]);
        stream[24] = 3;
        stream[32] = 68;
        stream[0x29] = 0x40;
        stream[0x30] = 9;
        stream[0x38] = 9;
        stream[64..68].copy_from_slice(b"a\0b\0");
        stream[68..72].copy_from_slice(&[0x11, 4, 9, 0]);
        bytes[168..172].copy_from_slice(&[0xFF; 4]);
        bytes
    }

    #[test]
    fn header_and_attributes() {
        let bytes = bytes();
        let record = record(&bytes).unwrap();
        assert!(record.in_use() && record.is_directory());
        assert_eq!(record.header.number, 7);
        let mut attributes = record.attributes();
        let first = attributes.next().unwrap().unwrap();
        assert_eq!((first.kind, first.instance, first.offset), (kind::OBJECT_ID, 1, 56));
        assert_eq!(first.resident(), Some(&[1, 2, 3, 4, 5][..]));
        let second = attributes.next().unwrap().unwrap();
        assert!(second.name == "ab" && second.kind == kind::DATA);
        let Body::NonResident(body) = second.body else { panic!("resident") };
        assert_eq!((body.lowest_vcn, body.highest_vcn, body.allocated, body.size), (0, 3, 0x4000, 9));
        assert_eq!(
            (body.pairs, body.pairs_offset, body.total),
            (&[0x11, 4, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 68, None)
        );
        assert!(attributes.next().is_none());
        assert_eq!(attributes.position(), 168);
    }

    #[test]
    fn nothing_leads_outside() {
        for (at, value) in [
            (0, b'B'),
            (0x14, 0),
            (0x14, 0x39),
            (0x15, 4),
            (0x18, 8),
            (0x19, 8),
            (56 + 4, 0),
            (56 + 4, 31),
            (56 + 5, 4),
            (56 + 8, 2),
            (56 + 9, 200),
            (56 + 16, 9),
            (56 + 19, 0x80),
            (56 + 20, 33),
            (88 + 4, 40),
            (88 + 10, 79),
            (88 + 32, 81),
            (88 + 32, 80),
            (88 + 33, 1),
            (168, 0),
        ] {
            let mut bad = bytes();
            bad[at] = value;
            let outcome = record(&bad).and_then(|record| record.attributes().collect::<Result<Vec<_>>>());
            assert!(outcome.is_err(), "{at:#x}: {value:#x}");
        }
        for len in 0..200 {
            let outcome = record(&bytes()[..len]).map(|record| record.attributes().count());
            assert!(outcome.is_err() || len >= 176, "{len}");
        }
    }
}
