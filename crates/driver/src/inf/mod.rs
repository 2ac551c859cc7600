//! INF files as text: sections of lines, and the strings that stand for others in them.
//!
//! Reading and understanding are apart. What is here knows quotes, comments, continued lines and `%tokens%`, and keeps
//! the line number of everything; what a section means is for [`compile`](mod@crate::compile).
//!
//! `SetupAPI` reads lines in this way, and so do we, where one could expect something else:
//!
//! * a line has a key if an equals sign comes before the first comma; later ones are text;
//! * a quote can begin anywhere in a field, and ends with the line at the latest;
//! * a backslash at the end of a line continues it, unless it stands in quotes;
//! * sections of one name are one section, wherever they stand, and no name has a case;
//! * tokens are replaced in quotes, too, and once: what stands for a token is not looked at again.

mod decode;
mod parse;
mod strings;

use std::collections::BTreeMap;

pub use self::decode::Encoding;
pub use self::strings::Expanded;
use crate::{Error, Place, Result};

/// Bytes of the largest INF file that is read. The largest in Windows, of display drivers, have about 4 MB.
pub const MAX_INF_SIZE: usize = 32 << 20;

/// Bytes of the longest field after tokens were replaced. `SetupAPI` stops at 4,096 characters.
pub const MAX_FIELD: usize = 64 << 10;

/// An INF file.
#[derive(Clone, Debug)]
pub struct Inf {
    name: String,
    encoding: Encoding,
    sections: Vec<Section>,
    /// By lower-case name.
    index: BTreeMap<String, usize>,
    /// By lower-case key; one table for each language and one for none.
    strings: BTreeMap<Option<u16>, BTreeMap<String, String>>,
}

/// A section: all lines under one name.
#[derive(Clone, Debug)]
pub struct Section {
    /// As it is spelt where it comes first.
    pub name: String,
    /// The line of that header.
    pub line: u32,
    /// The lines, in the order of the file.
    pub lines: Vec<Line>,
    /// The first line of each key, by lower-case key.
    keys: BTreeMap<String, usize>,
}

/// A line with text in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; of a continued line that of its first.
    pub number: u32,
    /// What stands before the equals sign. Tokens are not replaced.
    pub key: Option<String>,
    /// What stands between the commas after it. Quotes are gone, tokens are not replaced.
    pub fields: Vec<String>,
}

impl Inf {
    /// Reads an INF file. `name` is for messages, and what an included file is known by.
    ///
    /// # Errors
    /// [`Error::Limit`] for more than [`MAX_INF_SIZE`]; [`Error::Inf`] for a section header without its bracket, and
    /// for text before the first section, which Windows does not accept either.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_INF_SIZE {
            let (found, limit) = (bytes.len() as u64, MAX_INF_SIZE as u64);
            return Err(Error::Limit { what: format!("size of {name} in bytes"), found, limit });
        }
        let (text, encoding) = decode::decode(bytes);
        let sections = parse::parse(name, &text)?;
        let index = sections.iter().enumerate().map(|(at, section)| (fold(&section.name), at)).collect();
        let strings = strings::tables(&sections);
        Ok(Self { name: name.to_owned(), encoding, sections, index, strings })
    }

    /// The name it was read under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its text is stored.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// All sections, in the order they first come in.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// A section by name; case does not matter.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.index.get(&fold(name)).map(|&at| &self.sections[at])
    }

    /// The first line of a key in a section; case does not matter.
    pub fn line(&self, section: &str, key: &str) -> Option<&Line> {
        self.section(section)?.line(key)
    }

    /// Where a line stands.
    pub fn place(&self, section: &Section, line: &Line) -> Place {
        Place { file: self.name.clone(), section: section.name.clone(), line: line.number }
    }
}

impl Section {
    /// The first line of a key; case does not matter.
    pub fn line(&self, key: &str) -> Option<&Line> {
        self.keys.get(&fold(key)).map(|&at| &self.lines[at])
    }

    fn push(&mut self, line: Line) {
        if let Some(key) = &line.key {
            self.keys.entry(fold(key)).or_insert(self.lines.len());
        }
        self.lines.push(line);
    }
}

impl Line {
    /// A field, from 0; empty when there are not so many.
    pub fn field(&self, position: usize) -> &str {
        self.fields.get(position).map_or("", String::as_str)
    }
}

/// A name in the form in which names are compared.
pub(crate) fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// Whether two names are the same.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && fold(a) == fold(b))
}

/// The number that a field holds: decimal, or hexadecimal after `0x`; negative ones wrap, as `SetupAPI` stores them.
pub(crate) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((digits, 10), |hex| (hex, 16));
    // A second sign would be accepted by the conversion.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(digits, radix).ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}
