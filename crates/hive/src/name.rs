use std::cmp::Ordering;
use std::fmt;

use disk::upcase::upcase;

/// A name of a key or value: UTF-16 code units, which may hold unpaired surrogates and NULs.
///
/// Two names that differ in case only are different `Name`s; [`eq_ignore_case`](Self::eq_ignore_case) and
/// [`cmp_ignore_case`](Self::cmp_ignore_case) are the registry's idea of equality and order.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Name(Box<[u16]>);

impl Name {
    /// From text.
    pub fn new(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }

    /// From UTF-16 code units.
    pub fn from_units(units: impl Into<Box<[u16]>>) -> Self {
        Self(units.into())
    }

    /// From Latin-1, one byte a character: how hives store names that allow it.
    pub(crate) fn from_latin1(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|&byte| u16::from(byte)).collect())
    }

    /// The UTF-16 code units.
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// Whether there are no units: so is the name of a key's default value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name as text; `None` when it has an unpaired surrogate.
    pub fn to_text(&self) -> Option<String> {
        String::from_utf16(&self.0).ok()
    }

    /// Whether the registry takes the names for the same.
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }

    /// Whether the registry takes the name for `text`.
    pub fn is(&self, text: &str) -> bool {
        compare(self.0.iter().copied(), text.encode_utf16()).is_eq()
    }

    /// The order of the keys of a hive: by upper-cased code units, so surrogates come before U+E000.
    pub fn cmp_ignore_case(&self, other: &Self) -> Ordering {
        compare(self.0.iter().copied(), other.0.iter().copied())
    }

    /// Whether it can be stored with one byte a character.
    pub(crate) fn is_latin1(&self) -> bool {
        self.0.iter().all(|&unit| unit <= 0xFF)
    }

    /// Bytes that it takes in a record.
    pub(crate) fn stored_len(&self) -> usize {
        if self.is_latin1() { self.0.len() } else { 2 * self.0.len() }
    }

    /// Appends the stored form.
    pub(crate) fn store(&self, out: &mut [u8]) {
        if self.is_latin1() {
            for (byte, &unit) in out.iter_mut().zip(&self.0) {
                *byte = unit as u8;
            }
        } else {
            for (bytes, unit) in out.chunks_exact_mut(2).zip(&self.0) {
                bytes.copy_from_slice(&unit.to_le_bytes());
            }
        }
    }
}

/// Whether names are the same for the registry. Names of siblings tend to differ at their ends, so that is where it begins.
pub(crate) fn equal(a: &[u16], b: &[u16]) -> bool {
    let same = |(a, b): (&u16, &u16)| a == b || upcase(*a) == upcase(*b);
    a.len() == b.len() && a.iter().rev().zip(b.iter().rev()).all(same)
}

/// Compares names as the registry does.
pub(crate) fn compare(a: impl Iterator<Item = u16>, b: impl Iterator<Item = u16>) -> Ordering {
    a.map(upcase).cmp(b.map(upcase))
}

/// The hash of a name in an `lh` list.
pub(crate) fn hash(units: &[u16]) -> u32 {
    units.iter().fold(0, |hash: u32, &unit| hash.wrapping_mul(37).wrapping_add(u32::from(upcase(unit))))
}

/// The hint of a name in an `lf` list: its first four characters, zeros behind a shorter one. Only Latin-1 fits; zeros
/// make the reader look at the key itself.
pub(crate) fn hint(units: &[u16]) -> [u8; 4] {
    let mut hint = [0; 4];
    for (byte, &unit) in hint.iter_mut().zip(units) {
        let Ok(unit) = u8::try_from(unit) else { return [0; 4] };
        *byte = unit;
    }
    hint
}

/// Little-endian code units; `None` when the length is odd.
pub(crate) fn units_of(bytes: &[u8]) -> Option<Box<[u16]>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect())
}

/// What is no Unicode appears as U+FFFD.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf16_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf16_lossy(&self.0), f)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
