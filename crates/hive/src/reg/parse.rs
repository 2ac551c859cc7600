//! From text to operations.
//!
//! Windows skips lines that it does not understand and says that all went well. Here every character must belong to
//! something, and the first one that does not is named by line and column: a build that silently lost a setting is worth
//! less than one that stops. Where Windows is known to accept more than it writes (blanks around `=`, `dword:` with few
//! digits, comments behind values and between continued lines, a comma at the end), so does this parser.
//!
//! One pass over the units, no recursion, no look-ahead but within a line; memory is a small multiple of the file.

use super::text::{self, Encoding};
use super::{Change, Error, KeyPath, Operation, RegFile, Version};
use crate::{Kind, Name};

/// The longest name of a key, in UTF-16 units ("Registry element size limits", Microsoft).
pub(super) const MAX_KEY_NAME: usize = 255;
/// The longest name of a value, in UTF-16 units (the same).
pub(super) const MAX_VALUE_NAME: usize = 16_383;
/// The most levels of keys (the same).
pub(super) const MAX_DEPTH: usize = 512;

pub(super) const VERSION_5: &str = "Windows Registry Editor Version 5.00";
pub(super) const VERSION_4: &str = "REGEDIT4";

const CR: u16 = b'\r' as u16;
const LF: u16 = b'\n' as u16;
const QUOTE: u16 = b'"' as u16;
const BACKSLASH: u16 = b'\\' as u16;
const OPEN: u16 = b'[' as u16;
const CLOSE: u16 = b']' as u16;
const SEMICOLON: u16 = b';' as u16;
const AT: u16 = b'@' as u16;
const EQUALS: u16 = b'=' as u16;
const MINUS: u16 = b'-' as u16;
const COMMA: u16 = b',' as u16;
const COLON: u16 = b':' as u16;
const PARENTHESIS: u16 = b'(' as u16;

impl RegFile {
    /// Reads a `.reg` file: version 5.00 or REGEDIT4, in UTF-16, UTF-8 or Windows-1252. A file without a header, as
    /// other tools write them, counts as version 5.00.
    ///
    /// # Errors
    /// The first thing that is not in the grammar, with its line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (units, encoding) = text::decode(bytes)?;
        let mut parser = Parser { units: &units, at: 0, line: 1, counted: 0, version: None, encoding };
        parser.header()?;
        let operations = parser.operations()?;
        Ok(Self { version: parser.version, encoding, operations })
    }
}

struct Parser<'a> {
    units: &'a [u16],
    at: usize,
    /// The line in which unit number `counted` lies.
    line: u32,
    counted: usize,
    version: Option<Version>,
    encoding: Encoding,
}

fn is_blank(unit: u16) -> bool {
    unit == b' '.into() || unit == b'\t'.into()
}

fn is_end(unit: u16) -> bool {
    unit == CR || unit == LF
}

fn hex_digit(unit: u16) -> Option<u32> {
    char::from_u32(unit.into())?.to_digit(16)
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u16> {
        self.units.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|unit| !is_end(unit)) {
            self.at += 1;
        }
    }

    /// The rest of the line, unread.
    fn rest(&self) -> &'a [u16] {
        let rest = &self.units[self.at..];
        &rest[..rest.iter().position(|&unit| is_end(unit)).unwrap_or(rest.len())]
    }

    /// Goes over blanks, line ends and comments.
    fn skip_empty(&mut self) {
        loop {
            match self.peek() {
                Some(SEMICOLON) => self.skip_line(),
                Some(unit) if is_blank(unit) || is_end(unit) => self.at += 1,
                _ => return,
            }
        }
    }

    /// Line and column of a place, from 1.
    fn position(&self, at: usize) -> (u32, u32) {
        let before = &self.units[..at];
        let start = before.iter().rposition(|&unit| is_end(unit)).map_or(0, |end| end + 1);
        // A pair of surrogates is one character.
        let column =
            before[start..].iter().filter(|unit| !matches!(unit, 0xDC00..=0xDFFF)).count() as u32 + 1;
        (line_ends(before, self.units.get(at).copied()) + 1, column)
    }

    /// The line of the place that was reached. Asked for ascending places, all calls together cost one pass.
    fn line(&mut self) -> u32 {
        self.line += line_ends(&self.units[self.counted..self.at], self.peek());
        self.counted = self.at;
        self.line
    }

    fn error(&self, at: usize, expected: &'static str) -> Error {
        let (line, column) = self.position(at);
        Error::Malformed { line, column, found: found(&self.units[at..]), expected }
    }

    fn too_long(&self, at: usize, what: &'static str, found: usize, limit: usize) -> Error {
        let (line, column) = self.position(at);
        Error::TooLong { line, column, what, found: found as u64, limit: limit as u64 }
    }

    fn header(&mut self) -> Result<(), Error> {
        self.skip_empty();
        let start = self.at;
        let line = String::from_utf16_lossy(self.rest());
        let line = line.trim_end();
        self.version = if line == VERSION_5 {
            Some(Version::V5)
        } else if line == VERSION_4 {
            Some(Version::Regedit4)
        } else if line.starts_with("REGEDIT") || line.starts_with("Windows Registry Editor") {
            let known = format!("{VERSION_5:?} and {VERSION_4:?}");
            let line: String = line.chars().take(60).collect();
            return Err(Error::Unsupported(format!("begins with {line:?}; the versions known are {known}")));
        } else if line.starts_with('[') || line.is_empty() {
            return Ok(());
        } else {
            return Err(self.error(
                start,
                "\"Windows Registry Editor Version 5.00\", \"REGEDIT4\" or a key in brackets",
            ));
        };
        self.skip_line();
        Ok(())
    }

    fn operations(&mut self) -> Result<Vec<Operation>, Error> {
        let mut operations = Vec::new();
        // The key of the section, or that it is one that deletes.
        let mut section: Option<Option<KeyPath>> = None;
        loop {
            self.skip_empty();
            let line = self.line();
            let start = self.at;
            let (key, change) = match (self.peek(), &section) {
                (None, _) => return Ok(operations),
                (Some(OPEN), _) => {
                    let (key, delete) = self.section()?;
                    section = Some((!delete).then(|| key.clone()));
                    (key, if delete { Change::DeleteKey } else { Change::CreateKey })
                }
                (Some(QUOTE | AT), Some(Some(key))) => (key.clone(), self.value()?),
                (Some(QUOTE | AT), Some(None)) => {
                    return Err(self.error(start, "a key in brackets, since the one before is deleted"));
                }
                (Some(QUOTE | AT), None) => {
                    return Err(self.error(start, "a key in brackets before any value"));
                }
                (Some(_), _) => {
                    return Err(self.error(
                        start,
                        "a key in brackets, a value (`\"name\"=` or `@=`) or a comment (`;`)",
                    ));
                }
            };
            self.end_of_line()?;
            operations.push(Operation { key, change, line });
        }
    }

    /// Blanks, perhaps a comment, and no more.
    fn end_of_line(&mut self) -> Result<(), Error> {
        self.skip_blanks();
        match self.peek() {
            Some(SEMICOLON) => self.skip_line(),
            Some(unit) if !is_end(unit) => return Err(self.error(self.at, "the end of the line")),
            _ => {}
        }
        Ok(())
    }

    /// `[key]` or `[-key]`. As in Windows the last bracket of the line closes, since names of keys hold some.
    fn section(&mut self) -> Result<(KeyPath, bool), Error> {
        let rest = self.rest();
        let Some(close) = rest.iter().rposition(|&unit| unit == CLOSE) else {
            return Err(self.error(self.at + rest.len(), "`]` after the name of the key"));
        };
        let inside = &rest[1..close];
        let delete = inside.first() == Some(&MINUS);
        let start = self.at + 1 + usize::from(delete);
        let path = self.key_path(start, &inside[usize::from(delete)..])?;
        self.at += close + 1;
        Ok((path, delete))
    }

    fn key_path(&self, start: usize, units: &[u16]) -> Result<KeyPath, Error> {
        if units.is_empty() {
            return Err(self.error(start, "the name of a key"));
        }
        // One in front stands for the root of a hive, one behind for nothing.
        let lead = usize::from(units[0] == BACKSLASH);
        let units = &units[lead..];
        let units = units.strip_suffix(&[BACKSLASH]).unwrap_or(units);
        let mut at = start + lead;
        let mut names = Vec::new();
        for name in units.split(|&unit| unit == BACKSLASH).filter(|_| !units.is_empty()) {
            if name.is_empty() {
                return Err(self.error(at, "the name of a key between two backslashes"));
            }
            if name.len() > MAX_KEY_NAME {
                return Err(self.too_long(at, "length of a key's name", name.len(), MAX_KEY_NAME));
            }
            names.push(Name::from_units(name));
            at += name.len() + 1;
        }
        if names.len() > MAX_DEPTH {
            return Err(self.too_long(start, "depth of a key", names.len(), MAX_DEPTH));
        }
        Ok(KeyPath { names: names.into(), relative: lead > 0 })
    }

    /// `"name"=data`, `@=data`, or with `-` for the data.
    fn value(&mut self) -> Result<Change, Error> {
        let start = self.at;
        let name = if self.peek() == Some(AT) {
            self.at += 1;
            Vec::new()
        } else {
            self.quoted(false)?
        };
        if name.len() > MAX_VALUE_NAME {
            return Err(self.too_long(start, "length of a value's name", name.len(), MAX_VALUE_NAME));
        }
        self.skip_blanks();
        if self.peek() != Some(EQUALS) {
            return Err(self.error(self.at, "`=` after the name of a value"));
        }
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(MINUS) {
            self.at += 1;
            return Ok(Change::DeleteValue { name: Name::from_units(name) });
        }
        let (kind, data) = self.data()?;
        Ok(Change::SetValue { name: Name::from_units(name), kind, data })
    }

    fn data(&mut self) -> Result<(Kind, Vec<u8>), Error> {
        const EXPECTED: &str =
            "a string in quotes, `dword:`, `hex:`, `hex(type):`, `str:`, `str(type):` or `-`";
        let start = self.at;
        if self.peek() == Some(QUOTE) {
            return Ok((Kind::SZ, string(self.quoted(false)?)));
        }
        let word = self.rest();
        let end = word.iter().position(|&unit| unit == COLON || unit == PARENTHESIS).unwrap_or(0);
        let word = String::from_utf16_lossy(&word[..end.min(8)]).to_ascii_lowercase();
        self.at += end;
        let kind = match (word.as_str(), self.peek()) {
            ("dword" | "hex" | "str", Some(COLON)) => None,
            ("hex" | "str", Some(PARENTHESIS)) => Some(self.kind()?),
            _ => return Err(self.error(start, EXPECTED)),
        };
        if self.peek() != Some(COLON) {
            return Err(self.error(self.at, "`:` before the data"));
        }
        self.at += 1;
        self.skip_blanks();
        match word.as_str() {
            "dword" => {
                self.number("1 to 8 hexadecimal digits").map(|n| (Kind::DWORD, n.to_le_bytes().to_vec()))
            }
            "hex" => {
                let kind = kind.unwrap_or(Kind::BINARY);
                let bytes = self.bytes()?;
                // In REGEDIT4 these two are text in the code page, all others are as they are.
                let narrow = self.version == Some(Version::Regedit4) && self.encoding == Encoding::Ansi;
                let wide = matches!(kind, Kind::EXPAND_SZ | Kind::MULTI_SZ) && narrow;
                Ok((kind, if wide { widen(&bytes) } else { bytes }))
            }
            _ if self.peek() == Some(QUOTE) => Ok((kind.unwrap_or(Kind::SZ), string(self.quoted(true)?))),
            _ => Err(self.error(self.at, "a string in quotes")),
        }
    }

    /// `(type)`: a number of up to 32 bits, in hexadecimal.
    fn kind(&mut self) -> Result<Kind, Error> {
        self.at += 1;
        let kind = self.number("the number of a type: 1 to 8 hexadecimal digits")?;
        if self.peek() != Some(b')'.into()) {
            return Err(self.error(self.at, "`)` after the number of a type"));
        }
        self.at += 1;
        Ok(Kind(kind))
    }

    /// 1 to 8 hexadecimal digits.
    fn number(&mut self, expected: &'static str) -> Result<u32, Error> {
        let start = self.at;
        let mut number: u32 = 0;
        while let Some(digit) = self.peek().and_then(hex_digit) {
            self.at += 1;
            if self.at - start > 8 {
                return Err(self.error(start, expected));
            }
            number = number << 4 | digit;
        }
        if self.at == start { Err(self.error(start, expected)) } else { Ok(number) }
    }

    /// Bytes in hexadecimal with commas between, over as many lines as end with a backslash.
    fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        // Whether the data may end here: not after a backslash.
        let mut may_end = true;
        loop {
            self.skip_blanks();
            let start = self.at;
            match self.peek() {
                Some(BACKSLASH) => {
                    self.at += 1;
                    self.continuation()?;
                    may_end = false;
                }
                Some(unit) if hex_digit(unit).is_some() => {
                    let mut byte = 0;
                    while let Some(digit) = self.peek().and_then(hex_digit) {
                        self.at += 1;
                        byte = byte << 4 | digit;
                        if self.at - start > 2 {
                            return Err(self.error(start, "a byte: 1 or 2 hexadecimal digits"));
                        }
                    }
                    bytes.push(byte as u8);
                    may_end = true;
                    self.skip_blanks();
                    match self.peek() {
                        Some(COMMA) => self.at += 1,
                        None | Some(SEMICOLON | CR | LF) => return Ok(bytes),
                        Some(_) => return Err(self.error(self.at, "`,` or the end of the line after a byte")),
                    }
                }
                None | Some(SEMICOLON | CR | LF) if may_end => return Ok(bytes),
                _ if may_end => return Err(self.error(start, "a byte: 1 or 2 hexadecimal digits")),
                _ => return Err(self.error(start, "more bytes after a line that ends with `\\`")),
            }
        }
    }

    /// What follows the backslash at the end of a line, up to the next line with something on it.
    fn continuation(&mut self) -> Result<(), Error> {
        self.skip_blanks();
        match self.peek() {
            Some(CR | LF | SEMICOLON) => {
                self.skip_empty();
                Ok(())
            }
            None => Err(self.error(self.at, "more bytes after a line that ends with `\\`")),
            Some(_) => Err(self.error(self.at, "the end of the line after `\\`")),
        }
    }

    /// A string in quotes, which may run over several lines. `wine`: the escapes of Wine's own files, too.
    fn quoted(&mut self, wine: bool) -> Result<Vec<u16>, Error> {
        let start = self.at;
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let rest = &self.units[self.at..];
            let plain = rest.iter().position(|&unit| unit == QUOTE || unit == BACKSLASH);
            let Some(plain) = plain else {
                return Err(self.error(start, "a string that ends with `\"`"));
            };
            text.extend_from_slice(&rest[..plain]);
            self.at += plain;
            if self.peek() == Some(QUOTE) {
                self.at += 1;
                return Ok(text);
            }
            let escaped = self.units.get(self.at + 1).copied();
            text.push(match escaped {
                Some(unit @ (QUOTE | BACKSLASH)) => unit,
                Some(unit) if wine && unit == b'0'.into() => 0,
                Some(unit) if wine && unit == b'n'.into() => LF,
                Some(unit) if wine && unit == b'r'.into() => CR,
                _ => return Err(self.error(self.at, "`\\\\` for a backslash or `\\\"` for a quote")),
            });
            self.at += 2;
        }
    }
}

/// How many lines end in `units`, before the unit `next`. CR, LF and both together end one.
fn line_ends(units: &[u16], next: Option<u16>) -> u32 {
    let follows = units.iter().skip(1).copied().map(Some).chain([next]);
    units.iter().zip(follows).filter(|&(&unit, next)| unit == LF || unit == CR && next != Some(LF)).count()
        as u32
}

/// Text as the data of a string value: UTF-16 and a zero.
fn string(text: Vec<u16>) -> Vec<u8> {
    text.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn widen(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&byte| text::from_ansi(byte).to_le_bytes()).collect()
}

/// What is there, for an error: a word of it.
fn found(units: &[u16]) -> String {
    match units.first() {
        None => "the end of the file".to_owned(),
        Some(&unit) if is_end(unit) => "the end of the line".to_owned(),
        Some(_) => {
            let end = units.iter().position(|&unit| is_end(unit)).unwrap_or(units.len()).min(24);
            let word = String::from_utf16_lossy(&units[..end]);
            let dots = if units.get(end).is_some_and(|&unit| !is_end(unit)) { "..." } else { "" };
            format!("{:?}", format!("{}{dots}", word.trim_end()))
        }
    }
}
