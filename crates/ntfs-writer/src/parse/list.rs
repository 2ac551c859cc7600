//! Attribute lists: in which records the attributes of a file lie.

use super::{Fault, Result, Utf16, u16_at, u32_at, u64_at};
use crate::layout::attribute::LIST_ENTRY_LEN;

/// An entry of an attribute list.
#[derive(Clone, Copy, Debug)]
pub struct ListEntry<'a> {
    /// Where it begins in the list.
    pub offset: usize,
    /// Type of the attribute.
    pub kind: u32,
    /// Its name.
    pub name: Utf16<'a>,
    /// First cluster that it maps.
    pub lowest_vcn: u64,
    /// Reference to the record that holds it.
    pub record: u64,
    /// Its number in that record.
    pub instance: u16,
}

/// The entries of a list; ends after the first fault.
#[derive(Clone, Debug)]
pub struct List<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The entries of the attribute list that is `value`.
pub const fn list(value: &[u8]) -> List<'_> {
    List { bytes: value, at: 0 }
}

const WHAT: &str = "attribute list";

fn entry(bytes: &[u8], at: usize) -> Result<(ListEntry<'_>, usize)> {
    let rest = &bytes[at..];
    let len = usize::from(u16_at(rest, 4).unwrap_or_default());
    if len < LIST_ENTRY_LEN || len > rest.len() || !len.is_multiple_of(8) {
        let expected = format_args!("a multiple of 8 in 0x20..={:#x}", rest.len());
        return Err(Fault::new(WHAT, "length of an entry", at + 4, format_args!("{len:#x}"), expected));
    }
    let own = &rest[..len];
    let (name_len, name_offset) = (2 * usize::from(own[6]), usize::from(own[7]));
    let name = match name_len {
        0 => &[][..],
        _ => own
            .get(name_offset..name_offset + name_len)
            .filter(|_| name_offset >= LIST_ENTRY_LEN)
            .ok_or_else(|| {
                let found = format_args!("{name_len:#x} bytes at {name_offset:#x}");
                Fault::new(WHAT, "name of an entry", at + 6, found, format_args!("all within 0x1a..{len:#x}"))
            })?,
    };
    let long = |at| u64_at(own, at).unwrap_or_default();
    let entry = ListEntry {
        offset: at,
        kind: u32_at(own, 0).unwrap_or_default(),
        name: Utf16::new(name),
        lowest_vcn: long(8),
        record: long(16),
        instance: u16_at(own, 24).unwrap_or_default(),
    };
    Ok((entry, len))
}

impl<'a> Iterator for List<'a> {
    type Item = Result<ListEntry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let outcome = entry(self.bytes, self.at);
        self.at = match &outcome {
            Ok((_, len)) => self.at + len,
            Err(_) => self.bytes.len(),
        };
        Some(outcome.map(|(entry, _)| entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..8].copy_from_slice(&[0x10, 0, 0, 0, 32, 0, 0, 26]);
        bytes[16] = 40;
        bytes[24] = 3;
        bytes[32..40].copy_from_slice(&[0x80, 0, 0, 0, 32, 0, 1, 26]);
        bytes[40] = 9;
        bytes[58] = b'x';
        bytes
    }

    #[test]
    fn entries() {
        let bytes = bytes();
        let found: Vec<_> = list(&bytes).collect::<Result<_>>().unwrap();
        assert_eq!((found[0].kind, found[0].record, found[0].instance), (0x10, 40, 3));
        assert_eq!((found[1].kind, found[1].lowest_vcn, found[1].offset), (0x80, 9, 32));
        assert!(found[0].name.is_empty() && found[1].name == "x");
    }

    #[test]
    fn impossible_ones_are_refused_and_end() {
        for (at, value) in [(4, 0), (4, 24), (4, 33), (36, 40), (39, 31), (38, 4), (39, 0)] {
            let mut bad = bytes();
            bad[at] = value;
            let found: Vec<_> = list(&bad).collect();
            assert!(found.last().unwrap().is_err(), "{at}: {value}");
            assert!(found.len() <= 2);
        }
        assert_eq!(list(&bytes()[..60]).filter(Result::is_err).count(), 1);
    }
}
