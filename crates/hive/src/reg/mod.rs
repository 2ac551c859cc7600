//! `.reg` files: what regedit imports and exports, as a list of changes to keys and values.
//!
//! Three steps that can be had apart. [`RegFile::parse`] turns text into [`Operation`]s and needs no hive. [`apply`]
//! carries them out on one. [`export`] writes keys as text, such that importing it again gives the same keys and values:
//! what a quoted string cannot express is written as bytes.
//!
//! Names and strings are UTF-16 units throughout, as in the registry: unpaired surrogates, NULs and line ends survive.
//!
//! ```
//! use wimforge_hive::paths::Mount;
//! use wimforge_hive::reg::{self, Error, Operation, RegFile};
//! use wimforge_hive::{FileTime, Hive};
//!
//! let file = RegFile::parse(br#"Windows Registry Editor Version 5.00
//! [HKEY_LOCAL_MACHINE\SOFTWARE\Vendor]
//! "Level"=dword:5
//! "Old"=-
//! "#)?;
//! let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(0)).expect("a good name");
//! let mount = Mount::of(hive.root());
//! let mut locate = |operation: &Operation| {
//!     let wrong = |problem| Error::Path { line: operation.line, problem };
//!     mount.key(&operation.key).map(Some).map_err(wrong)
//! };
//! let applied = reg::apply(hive.root_mut(), &file.operations, None, &mut locate)?;
//! assert_eq!((applied.keys_created, applied.values_set), (1, 1));
//! assert_eq!(hive.root().subkey("vendor").and_then(|key| key.value("level")?.as_u32()), Some(5));
//! # Ok::<(), Error>(())
//! ```
//!
//! | read | |
//! |---|---|
//! | `Windows Registry Editor Version 5.00`, `REGEDIT4`, no header at all | yes; other versions are an error |
//! | UTF-16 (either order, with a mark; little-endian without), UTF-8 (with and without), Windows-1252 | yes |
//! | `[key]`, `[-key]`, `"name"=data`, `@=data`, `=-`, `;` comments, also behind values and between continued lines | yes |
//! | strings over several lines; `\\` and `\"` in them | yes; other escapes are an error, where hivexregedit drops the backslash |
//! | `dword:` of 1 to 8 digits, `hex:`, `hex(type):` with any 32-bit type, empty ones, a comma at the end | yes |
//! | `str:` and `str(type):` of Wine and hivexregedit, with `\0`, `\n` and `\r` | yes |
//! | lines that are none of these | an error with line and column; regedit skips them |

mod apply;
mod error;
mod export;
mod parse;
mod text;

use std::fmt;
use std::sync::Arc;

pub use self::apply::{Applied, apply};
pub use self::error::Error;
pub use self::export::{Form, export};
pub use self::text::{Encoding, MAX_LEN};
use crate::{Kind, Name};

/// What the first line of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// `Windows Registry Editor Version 5.00`, since Windows 2000.
    V5,
    /// `REGEDIT4`: Windows 95 to NT 4. Text is in the ANSI code page, that of `hex(2):` and `hex(7):`, too.
    Regedit4,
}

/// A `.reg` file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegFile {
    /// What its first line says; `None` when it has no header, as files of hivexregedit.
    pub version: Option<Version>,
    /// How it is encoded.
    pub encoding: Encoding,
    /// What it asks for, in its order.
    pub operations: Vec<Operation>,
}

/// A change to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key that is changed or whose value is.
    pub key: KeyPath,
    /// What is done to it.
    pub change: Change,
    /// The line of the file that asks for it, from 1; 0 for what comes from no file.
    pub line: u32,
}

/// What is done to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make it, and its parents, unless they are there.
    CreateKey,
    /// Delete it with all below it, if it is there.
    DeleteKey,
    /// Set a value, making the key if it is not there.
    SetValue {
        /// Its name; empty for the default value.
        name: Name,
        /// Its type.
        kind: Kind,
        /// Its data.
        data: Vec<u8>,
    },
    /// Delete a value, if it is there.
    DeleteValue {
        /// Its name; empty for the default value.
        name: Name,
    },
}

/// The path of a key as it was written: with the root of a registry (`HKEY_LOCAL_MACHINE\SYSTEM\Select`) or without.
/// [`paths`](crate::paths) says which hive and key that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPath {
    names: Arc<[Name]>,
    /// Whether a backslash stood in front: then it begins at the root of a hive, whatever the first name is.
    relative: bool,
}

impl KeyPath {
    /// From names, outermost first.
    pub fn new(names: impl Into<Arc<[Name]>>) -> Self {
        Self { names: names.into(), relative: false }
    }

    /// From text with backslashes; empty names are left out.
    pub fn parse(text: &str) -> Self {
        let names: Vec<Name> = text.split('\\').filter(|name| !name.is_empty()).map(Name::new).collect();
        Self { names: names.into(), relative: text.starts_with('\\') }
    }

    /// The names, outermost first; none for the root.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// Whether it was written with a backslash in front, and so begins at the root of a hive even when its first name
    /// is that of a root of the registry.
    pub const fn is_relative(&self) -> bool {
        self.relative
    }

    /// The same with a backslash in front.
    #[must_use]
    pub fn relative(self) -> Self {
        Self { relative: true, ..self }
    }

    /// Whether both are the same list in memory: quick, and true for the operations of one section.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.names, &other.names)
    }
}

/// The names with backslashes between them.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.names.iter().enumerate() {
            if position > 0 || self.relative {
                f.write_str("\\")?;
            }
            fmt::Display::fmt(name, f)?;
        }
        if self.names.is_empty() { f.write_str("\\") } else { Ok(()) }
    }
}

impl Operation {
    /// Make a key.
    pub fn create(key: &KeyPath) -> Self {
        Self { key: key.clone(), change: Change::CreateKey, line: 0 }
    }

    /// Delete a key with all below it.
    pub fn delete(key: &KeyPath) -> Self {
        Self { key: key.clone(), change: Change::DeleteKey, line: 0 }
    }

    /// Set a value of a key; [`data`](crate::data) makes the bytes of the usual types.
    pub fn set(key: &KeyPath, name: &str, kind: Kind, data: impl Into<Vec<u8>>) -> Self {
        let change = Change::SetValue { name: name.into(), kind, data: data.into() };
        Self { key: key.clone(), change, line: 0 }
    }

    /// Delete a value of a key.
    pub fn unset(key: &KeyPath, name: &str) -> Self {
        Self { key: key.clone(), change: Change::DeleteValue { name: name.into() }, line: 0 }
    }
}
