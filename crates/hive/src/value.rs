use std::fmt;

use crate::Name;
use crate::error::{Error, Result};
use crate::name::units_of;

/// Code units of the longest name of a value (documented by Microsoft).
pub const MAX_VALUE_NAME: usize = 16_383;

/// Bytes of the largest value: the size field has 31 bits.
pub const MAX_VALUE_SIZE: usize = 0x7FFF_FFFF;

/// The type of a value: any 32-bit number. Device properties use `0xFFFF0012` and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u32);

macro_rules! kinds {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        impl Kind {
            $(#[doc = $meaning] pub const $name: Self = Self($number);)*

            /// Microsoft's name, such as `REG_SZ`, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(concat!("REG_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    NONE = 0, "No type.";
    SZ = 1, "Text, UTF-16LE, with a NUL at its end.";
    EXPAND_SZ = 2, "Text with `%variables%`.";
    BINARY = 3, "Bytes.";
    DWORD = 4, "A 32-bit number, little-endian.";
    DWORD_BIG_ENDIAN = 5, "A 32-bit number, big-endian.";
    LINK = 6, "The target of a symbolic link: UTF-16LE without a NUL.";
    MULTI_SZ = 7, "Texts, each with a NUL at its end, and another NUL.";
    RESOURCE_LIST = 8, "Resources of a device.";
    FULL_RESOURCE_DESCRIPTOR = 9, "Resources of a bus.";
    RESOURCE_REQUIREMENTS_LIST = 10, "Resources that a device could use.";
    QWORD = 11, "A 64-bit number, little-endian.";
}

impl Kind {
    /// [`DWORD_BIG_ENDIAN`](Self::DWORD_BIG_ENDIAN).
    pub const DWORD_BE: Self = Self::DWORD_BIG_ENDIAN;
}

/// `REG_SZ`, or `0xffff0012` for a type without a name.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("{:#x}", self.0)),
        }
    }
}

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub(crate) name: Name,
    pub(crate) kind: Kind,
    pub(crate) data: Vec<u8>,
    /// The record's flags except the one that says how the name is stored. Bit 1 marks a value that a layered key
    /// deletes.
    pub(crate) flags: u16,
}

impl Value {
    /// A value. An empty name makes the default value of a key.
    ///
    /// # Errors
    /// [`Error::Name`] for more than [`MAX_VALUE_NAME`] units, [`Error::Limit`] for more than [`MAX_VALUE_SIZE`] bytes.
    pub fn new(name: impl Into<Name>, kind: Kind, data: impl Into<Vec<u8>>) -> Result<Self> {
        let (name, data) = (name.into(), data.into());
        if name.units().len() > MAX_VALUE_NAME {
            let reason = "is longer than 16383 characters, the longest of a value";
            return Err(Error::Name { name: name.to_string(), reason });
        }
        check_size(&data)?;
        Ok(Self { name, kind, data, flags: 0 })
    }

    /// The name; empty for the default value.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The type.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The data as stored.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The number of a `DWORD` of either byte order; `None` for other types and sizes.
    pub fn as_u32(&self) -> Option<u32> {
        let bytes = self.data.as_slice().try_into().ok()?;
        match self.kind {
            Kind::DWORD => Some(u32::from_le_bytes(bytes)),
            Kind::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// The number of a `QWORD` or `DWORD`; `None` for other types and sizes.
    pub fn as_u64(&self) -> Option<u64> {
        match self.kind {
            Kind::QWORD => self.data.as_slice().try_into().ok().map(u64::from_le_bytes),
            _ => self.as_u32().map(u64::from),
        }
    }

    /// The text of an `SZ`, `EXPAND_SZ` or `LINK` up to its first NUL (or its end: many writers forget the NUL).
    /// `None` for other types, and for what is not UTF-16.
    pub fn as_str(&self) -> Option<String> {
        if !matches!(self.kind, Kind::SZ | Kind::EXPAND_SZ | Kind::LINK) {
            return None;
        }
        let units = text_units(&self.data)?;
        let end = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
        String::from_utf16(&units[..end]).ok()
    }

    /// The texts of a `MULTI_SZ`, up to the first empty one. `None` for other types, and for what is not UTF-16.
    pub fn as_multi(&self) -> Option<Vec<String>> {
        if self.kind != Kind::MULTI_SZ {
            return None;
        }
        let units = text_units(&self.data)?;
        let texts = units.split(|&unit| unit == 0).take_while(|text| !text.is_empty());
        texts.map(|text| String::from_utf16(text).ok()).collect()
    }
}

/// The code units of text; an odd byte behind a NUL is not part of it.
fn text_units(data: &[u8]) -> Option<Box<[u16]>> {
    let even = data.len() & !1;
    let units = units_of(&data[..even])?;
    (even == data.len() || units.last() == Some(&0)).then_some(units)
}

pub(crate) fn check_size(data: &[u8]) -> Result<()> {
    if data.len() > MAX_VALUE_SIZE {
        return Err(Error::limit("size of a value", data.len() as u64, MAX_VALUE_SIZE as u64));
    }
    Ok(())
}
