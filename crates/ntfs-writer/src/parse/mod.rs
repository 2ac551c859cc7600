//! Reading what lies on an NTFS volume: bounded, and never by trust.
//!
//! These functions turn bytes into structures and do nothing else: they read no disk, keep no state and follow no
//! reference, so each can be tested on a few bytes. The checker and readers of volumes are built on
//! them. They refuse only what cannot be interpreted (a length that leads outside, a cluster that does not exist); what
//! can be read but is not as it should be is for the checker to say. Nothing here panics, loops or allocates by what a
//! field claims: every list is an iterator over bytes that are there.
//!
//! Fixed structures are those of the writer ([`StandardInformation`], [`FileNameHead`], ...), read by the same `binrw`
//! declarations that write them; arrays of variable entries are parsed by hand. Offsets count from the beginning of
//! the bytes that were handed in. The source of the layouts is the libfsntfs format documentation, checked against
//! volumes of Windows 10.

mod attribute;
mod boot;
mod index;
mod list;
mod protect;
mod record;
mod runs;
mod values;
mod wof;

use std::fmt;

pub use attribute::{Attribute, Body, NonResident, flags, kind};
pub use boot::{Boot, MAX_CLUSTER, boot, boot_sector};
pub use index::{Block, Entries, Entry, FileNameEntry, Node, Root, block, root};
pub use list::{List, ListEntry, list};
pub(crate) use protect::check_ends;
pub use protect::{sequence_array, unprotect};
pub use record::{Attributes, Record, is_zero_record, record};
pub use runs::{Run, Runs, runs};
pub use values::{
    Descriptor, Ea, Eas, FileName, Reparse, ace_count, descriptor, ea_information, eas, file_name, reparse,
    sds_header, security_hash, standard_information, volume_information,
};
pub use wof::{WOF_STREAM, WOF_TAG, WofChunks, WofCodec, wof_chunks, wof_codec};

pub use crate::layout::attribute::{
    EaInformation, FileNameHead, ReparseHead, StandardInformation, VolumeInformation,
};
pub use crate::layout::boot::BootSector;
pub use crate::layout::record::RecordHeader;
pub use crate::layout::security::SdsHeader;

/// The result of this module's functions.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why bytes are not the structure that they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The structure, in the words of the format ("attribute header").
    pub what: &'static str,
    /// The field ("length").
    pub field: &'static str,
    /// Where the field begins, in bytes from the beginning of what was handed in.
    pub offset: usize,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub expected: String,
}

impl Fault {
    pub(crate) fn new(
        what: &'static str,
        field: &'static str,
        offset: usize,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self { what, field, offset, found: found.to_string(), expected: expected.to_string() }
    }

    /// The same fault of a part that begins at byte `by` of a whole.
    #[must_use]
    pub fn moved(mut self, by: usize) -> Self {
        self.offset = self.offset.saturating_add(by);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, field, offset, found, expected } = self;
        write!(f, "{what}: {field} at {offset:#x}: found {found}, expected {expected}")
    }
}

impl std::error::Error for Fault {}

/// The bytes `at..at + len`, or a fault that says how many there are.
pub(crate) fn part<'a>(
    bytes: &'a [u8],
    at: usize,
    len: usize,
    what: &'static str,
    field: &'static str,
) -> Result<&'a [u8]> {
    at.checked_add(len).and_then(|end| bytes.get(at..end)).ok_or_else(|| {
        let found = format!("{len:#x} bytes at {at:#x}");
        Fault::new(what, field, at, found, format_args!("all within {:#x}", bytes.len()))
    })
}

macro_rules! integers {
    ($($name:ident: $type:ty),*) => {$(
        #[doc = concat!("The little-endian `", stringify!($type), "` at byte `at`; `None` past the end.")]
        pub fn $name(bytes: &[u8], at: usize) -> Option<$type> {
            let end = at.checked_add(size_of::<$type>())?;
            Some(<$type>::from_le_bytes(bytes.get(at..end)?.try_into().ok()?))
        }
    )*};
}
integers!(u16_at: u16, u32_at: u32, u64_at: u64);

/// The record number in a reference to a file record.
pub const fn record_of(reference: u64) -> u64 {
    reference & 0xFFFF_FFFF_FFFF
}

/// The sequence number in a reference to a file record.
pub const fn sequence_of(reference: u64) -> u16 {
    (reference >> 48) as u16
}

/// A name as it lies on the volume: UTF-16LE, any units, no terminator.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Utf16<'a>(&'a [u8]);

impl<'a> Utf16<'a> {
    /// The name in `bytes`; half a unit at the end is not part of it.
    pub const fn new(bytes: &'a [u8]) -> Self {
        let (whole, _) = bytes.split_at(bytes.len() - bytes.len() % 2);
        Self(whole)
    }

    /// Its bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// How many units it has.
    pub const fn len(self) -> usize {
        self.0.len() / 2
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Its units.
    pub fn units(self) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + Clone + 'a {
        self.0.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
    }

    /// Its units, copied.
    pub fn to_units(self) -> Vec<u16> {
        self.units().collect()
    }
}

impl PartialEq<str> for Utf16<'_> {
    fn eq(&self, other: &str) -> bool {
        self.units().eq(other.encode_utf16())
    }
}

impl PartialEq<&str> for Utf16<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// What is not a character shows as U+FFFD, and control characters escaped, so that it can go on a terminal.
impl fmt::Display for Utf16<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in char::decode_utf16(self.units()) {
            match unit.unwrap_or(char::REPLACEMENT_CHARACTER) {
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Utf16<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_end_where_the_bytes_end() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(u16_at(&bytes, 7), Some(0x0908));
        assert_eq!(u16_at(&bytes, 8), None);
        assert_eq!(u32_at(&bytes, usize::MAX), None);
        assert_eq!(u64_at(&bytes, 1), Some(0x0908_0706_0504_0302));
    }

    #[test]
    fn names_show_safely() {
        let bytes: Vec<u8> =
            [0x61, 0x1B, 0xD800, 0x62].iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let name = Utf16::new(&bytes);
        assert_eq!(name.to_string(), "a\\u{1b}\u{FFFD}b");
        assert_eq!(Utf16::new(&bytes[..3]).len(), 1);
        assert!(Utf16::new(&bytes[..2]) == "a" && Utf16::new(&bytes[..2]) != "ab");
    }

    #[test]
    fn faults_say_found_and_expected() {
        let fault = part(&[0; 16], 8, 16, "attribute header", "value").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "attribute header: value at 0x8: found 0x10 bytes at 0x8, expected all within 0x10"
        );
        assert_eq!(fault.moved(0x38).offset, 0x40);
    }
}
