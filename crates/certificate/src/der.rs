//! DER: elements are made from the inside out, and read in place.
//!
//! What is made here may hold a private key, so every buffer is wiped when it is dropped.

use disk::At;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Bytes of a DER element, wiped when dropped.
pub(crate) type Der = Zeroizing<Vec<u8>>;

pub(crate) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTF8_STRING: u8 = 0x0C;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const BMP_STRING: u8 = 0x1E;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;

    /// `[number]` with elements in it.
    pub(crate) const fn constructed(number: u8) -> u8 {
        0xA0 | number
    }

    /// `[number]` with bytes in it.
    pub(crate) const fn primitive(number: u8) -> u8 {
        0x80 | number
    }
}

/// An element of these parts.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Der {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    // The final size, so that nothing is left behind by a buffer that grows.
    let mut out = Zeroizing::new(Vec::with_capacity(len + 10));
    out.push(tag);
    if let Some(short) = u8::try_from(len).ok().filter(|len| *len < 0x80) {
        out.push(short);
    } else {
        let bytes = (len as u64).to_be_bytes();
        let bytes = &bytes[(len as u64).leading_zeros() as usize / 8..];
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Der {
    element(tag::SEQUENCE, parts)
}

pub(crate) fn set(parts: &[&[u8]]) -> Der {
    element(tag::SET, parts)
}

pub(crate) fn oid(body: &[u8]) -> Der {
    element(tag::OID, &[body])
}

pub(crate) fn null() -> Der {
    element(tag::NULL, &[])
}

pub(crate) fn octets(bytes: &[u8]) -> Der {
    element(tag::OCTET_STRING, &[bytes])
}

/// Whole bytes as a bit string.
pub(crate) fn bits(bytes: &[u8]) -> Der {
    element(tag::BIT_STRING, &[&[0], bytes])
}

/// A number that is not negative, from its bytes, the highest first.
pub(crate) fn unsigned(bytes: &[u8]) -> Der {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[zeros..];
    let pad: &[u8] = if bytes.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    element(tag::INTEGER, &[pad, bytes])
}

/// Text in UTF-16BE, as PKCS#12 has it.
pub(crate) fn bmp(text: &str) -> Der {
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    element(tag::BMP_STRING, &[&bytes])
}

/// The elements in a stretch of a file.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'d> {
    rest: &'d [u8],
    offset: u64,
    what: &'static str,
}

impl<'d> Reader<'d> {
    pub(crate) const fn new(bytes: &'d [u8], what: &'static str) -> Self {
        Self { rest: bytes, offset: 0, what }
    }

    pub(crate) fn at(&self) -> At {
        At::new(self.what, self.offset)
    }

    fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { at: self.at(), reason: reason.into() }
    }

    /// The body of the next element, which has to have this tag; `what` is what it is called in messages.
    pub(crate) fn next(&mut self, wanted: u8, what: &'static str) -> Result<Self> {
        self.what = what;
        let [tag, first, ref after @ ..] = *self.rest else {
            return Err(self.malformed("ends where an element was expected"));
        };
        if tag != wanted {
            return Err(self.malformed(format!("tag {tag:#04x}, expected {wanted:#04x}")));
        }
        let more = if first < 0x80 { 0 } else { usize::from(first & 0x7F) };
        if first == 0x80 || more > 4 || more > after.len() {
            return Err(self.malformed(format!("length {first:#04x} is none of at most four bytes")));
        }
        let len = match more {
            0 => usize::from(first),
            _ => after[..more].iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        let shortest = more == 0 || (len >= 0x80 && after[0] != 0);
        let rest = &after[more..];
        if len > rest.len() || !shortest {
            let left = rest.len();
            return Err(self.malformed(format!("length {len:#x} in {} bytes, {left:#x} left", more + 1)));
        }
        let head = 2 + more as u64;
        let body = Self { rest: &rest[..len], offset: self.offset + head, what };
        self.rest = &rest[len..];
        self.offset += head + len as u64;
        Ok(body)
    }

    pub(crate) const fn bytes(&self) -> &'d [u8] {
        self.rest
    }

    /// Nothing follows.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.malformed(format!("{:#x} bytes follow the last element", self.rest.len())))
    }

    /// A number that is not negative: its bytes, the highest first, at least one, without zeros before
    /// them.
    pub(crate) fn unsigned(&mut self, what: &'static str) -> Result<&'d [u8]> {
        let body = self.next(tag::INTEGER, what)?;
        match *body.rest {
            [] => Err(body.malformed("a number of no bytes")),
            [0, second, ..] if second < 0x80 => Err(body.malformed("a number that begins with zeros")),
            [0, ref rest @ ..] if !rest.is_empty() => Ok(rest),
            [first, ..] if first >= 0x80 => Err(body.malformed("a negative number")),
            _ => Ok(body.rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (len, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            let body = vec![7; len];
            let made = octets(&body);
            assert_eq!(made[..], [head, &body].concat());
            let mut reader = Reader::new(&made, "test");
            assert_eq!(reader.next(tag::OCTET_STRING, "body").expect("whole").bytes(), body);
            reader.end().expect("nothing more");
        }
    }

    #[test]
    fn numbers() {
        for (bytes, made) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[1], &[2, 1, 1]),
            (&[0, 0x80], &[2, 2, 0, 0x80]),
            (&[0x7F, 0xFF], &[2, 2, 0x7F, 0xFF]),
        ] {
            assert_eq!(unsigned(bytes)[..], *made);
            let read = Reader::new(made, "test").unsigned("number").expect("a number");
            assert!(read.ends_with(bytes) || bytes.ends_with(read) || read == [0]);
        }
    }

    #[test]
    fn what_is_not_der() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 0x80],
            &[4, 0x85, 0, 0, 0, 0, 1, 0],
            &[4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[5, 0],
        ] {
            assert!(Reader::new(bytes, "test").next(tag::OCTET_STRING, "body").is_err(), "{bytes:?}");
        }
        for bytes in [&[2, 0][..], &[2, 1, 0x80], &[2, 2, 0, 1]] {
            assert!(Reader::new(bytes, "test").unsigned("number").is_err(), "{bytes:?}");
        }
    }
}
