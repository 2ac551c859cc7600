//! DER, read in place: tags, lengths, and where everything stands in the file.
//!
//! Structures are walked by whoever knows them; nothing here recurses. Lengths have to be definite, as short as they can
//! be, and inside what holds them.

use disk::At;

use crate::{Error, Result};

/// Tags that catalogs have.
pub(super) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const BMP_STRING: u8 = 0x1E;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]`, with elements in it.
    pub(crate) const fn context(number: u8) -> u8 {
        0xA0 | number
    }
}

/// A value with its tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    /// Without tag and length.
    pub(super) body: &'d [u8],
    /// With them.
    pub(super) whole: &'d [u8],
    /// Where the body begins in the file.
    offset: u64,
    /// What it is called in messages.
    what: &'static str,
}

/// The elements in a stretch of the file.
#[derive(Clone, Debug)]
pub(super) struct Reader<'d> {
    rest: &'d [u8],
    offset: u64,
    what: &'static str,
}

impl<'d> Reader<'d> {
    pub(super) const fn new(bytes: &'d [u8], what: &'static str) -> Self {
        Self { rest: bytes, offset: 0, what }
    }

    fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { at: At::new(self.what, self.offset), reason: reason.into() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, whatever it is.
    pub(super) fn any(&mut self) -> Result<Element<'d>> {
        let [tag, first, ..] = *self.rest else {
            return Err(self
                .malformed(format!("ends where an element was expected ({} bytes left)", self.rest.len())));
        };
        if tag & 0x1F == 0x1F {
            return Err(self.malformed(format!("tag {tag:#x} of several bytes")));
        }
        let more = if first < 0x80 { 0 } else { usize::from(first & 0x7F) };
        if first == 0x80 || more > 4 {
            return Err(
                self.malformed(format!("length {first:#x}, expected a definite one of up to four bytes"))
            );
        }
        let header = 2 + more;
        let Some(bytes) = self.rest.get(2..header) else {
            return Err(self.malformed("ends in the length of an element"));
        };
        let long = bytes.iter().fold(0_usize, |len, &byte| len << 8 | usize::from(byte));
        let len = if more == 0 { usize::from(first) } else { long };
        let shortest = match len {
            0..0x80 => 0,
            0x80..0x100 => 1,
            0x100..0x1_0000 => 2,
            0x1_0000..0x100_0000 => 3,
            _ => 4,
        };
        if more != shortest {
            return Err(self.malformed(format!("length {len:#x} in {more} bytes")));
        }
        let Some(body) = self.rest.get(header..).and_then(|rest| rest.get(..len)) else {
            let left = self.rest.len() - header;
            return Err(self.malformed(format!("element of {len:#x} bytes where {left:#x} are left")));
        };
        let whole = &self.rest[..header + len];
        let element = Element { tag, body, whole, offset: self.offset + header as u64, what: self.what };
        self.rest = &self.rest[whole.len()..];
        self.offset += whole.len() as u64;
        Ok(element)
    }

    /// The next element, which has to have this tag.
    pub(super) fn get(&mut self, tag: u8) -> Result<Element<'d>> {
        match self.peek() {
            Some(found) if found == tag => self.any(),
            Some(found) => Err(self.malformed(format!("tag {found:#x}, expected {tag:#x}"))),
            None => Err(self.malformed(format!("ends where tag {tag:#x} was expected"))),
        }
    }

    /// The next element if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'d>>> {
        if self.peek() == Some(tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Elements up to the end.
    pub(super) fn each(mut self) -> impl Iterator<Item = Result<Element<'d>>> {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed || self.is_empty() {
                return None;
            }
            let element = self.any();
            failed = element.is_err();
            Some(element)
        })
    }
}

impl<'d> Element<'d> {
    /// The elements inside, under a name for messages.
    pub(super) fn inside(&self, what: &'static str) -> Reader<'d> {
        Reader { rest: self.body, offset: self.offset, what }
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { at: At::new(self.what, self.offset), reason: reason.into() }
    }

    /// Bytes of a `BIT STRING` that ends with a byte.
    pub(super) fn bits(&self) -> Result<&'d [u8]> {
        match self.body {
            [0, bytes @ ..] if self.tag == tag::BIT_STRING => Ok(bytes),
            _ => Err(self.malformed("a bit string whose bits do not fill bytes")),
        }
    }

    /// Text of any of the string types.
    pub(super) fn text(&self) -> String {
        match self.tag {
            tag::BMP_STRING => utf16(self.body, u16::from_be_bytes),
            _ => String::from_utf8_lossy(self.body).into_owned(),
        }
    }
}

/// Text in UTF-16 up to its NUL.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(&units[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        Reader::new(bytes, "test").any().unwrap_err().to_string()
    }

    #[test]
    fn lengths() {
        let mut long = vec![0x04, 0x81, 0x80];
        long.extend([7; 0x80]);
        let element = Reader::new(&long, "test").any().unwrap();
        assert_eq!((element.body.len(), element.whole.len(), element.offset), (0x80, 0x83, 3));
        assert!(refused(&[0x04, 0x80, 0, 0]).contains("definite"));
        assert!(refused(&[0x04, 0x85, 0, 0, 0, 0, 1]).contains("definite"));
        assert!(refused(&[0x04, 0x81, 0x01, 7]).contains("in 1 bytes"));
        assert!(refused(&[0x04, 0x02, 7]).contains("0x2 bytes where 0x1 are left"));
        assert!(refused(&[0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]).contains("0xffffffff"));
        assert!(refused(&[0x1F, 0x81, 0]).contains("several"));
        assert!(refused(&[0x04]).contains("1 bytes left"));
        assert!(refused(&[0x04, 0x82, 1]).contains("ends in the length"));
    }

    #[test]
    fn each_stops_at_the_first_error() {
        let all: Vec<_> = Reader::new(&[2, 1, 5, 4, 9], "test").each().collect();
        assert!(all.len() == 2 && all[0].is_ok() && all[1].is_err());
    }
}
