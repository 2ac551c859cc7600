//! From keys to text, as regedit writes it.
//!
//! Measured on files of regedit: a line of bytes is broken once it has 77 characters, so that none has more than 80 with
//! its backslash; further lines are indented by two blanks and hold 25 bytes; values come in the order in which they are
//! stored, then the subkeys; a key ends with an empty line.
//!
//! Beyond regedit, what is written can always be read back: strings that are not exactly text and one NUL are written as
//! `hex(1):`, and what has no form at all is an error instead of a loss.

use std::io::{self, Write};

use super::{Encoding, Error, KeyPath, Version, parse, text};
use crate::{Key, Kind, Name, Value};

/// The kinds of file that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Version 5.00 as regedit writes it: UTF-16 with a mark and CRLF.
    V5,
    /// Version 5.00 in UTF-8 without a mark, with LF: for people and for version control.
    Text,
    /// REGEDIT4 in Windows-1252, with CRLF. What is not in that code page has no form in it.
    Regedit4,
}

impl Form {
    const fn version(self) -> Version {
        match self {
            Self::V5 | Self::Text => Version::V5,
            Self::Regedit4 => Version::Regedit4,
        }
    }

    const fn encoding(self) -> Encoding {
        match self {
            Self::V5 => Encoding::Utf16,
            Self::Text => Encoding::Utf8,
            Self::Regedit4 => Encoding::Ansi,
        }
    }
}

/// Characters after which a line of bytes is broken.
const FULL: usize = 77;

/// Writes a key and all below it. `path` is what the key is called in the file, such as
/// `HKEY_LOCAL_MACHINE\SYSTEM\Select`; empty for the root of a hive, whose keys then begin with a backslash.
///
/// # Errors
/// The outer one is that of `out`; the inner one [`Error::Inexpressible`] for a name or value that has no form, after
/// part of the file was written.
pub fn export(key: &Key, path: &KeyPath, form: Form, out: &mut dyn Write) -> io::Result<Result<(), Error>> {
    let mut writer = Writer { form, out, line: Vec::new(), problem: None };
    if form == Form::V5 {
        writer.out.write_all(&[0xFF, 0xFE])?;
    }
    writer.line.extend(
        match form.version() {
            Version::V5 => parse::VERSION_5,
            Version::Regedit4 => parse::VERSION_4,
        }
        .encode_utf16(),
    );
    writer.end_line()?;
    writer.end_line()?;
    let mut units: Vec<u16> = path.names().iter().map(Name::units).collect::<Vec<_>>().join(&BACKSLASH);
    // The backslash of a relative path also keeps a name that begins with `-` from being a deletion.
    if path.is_relative() || units.first().is_none_or(|&unit| unit == u16::from(b'-')) {
        units.insert(0, BACKSLASH);
    }
    let mut path = units;
    // Down the tree without recursion: the keys on the way, each with the subkeys that are still to come.
    writer.key(key, &path)?;
    let mut stack = vec![(key.subkeys(), path.len())];
    while let Some((subkeys, len)) = stack.last_mut() {
        if writer.problem.is_some() {
            break;
        }
        path.truncate(*len);
        let Some(subkey) = subkeys.next() else {
            stack.pop();
            continue;
        };
        if path.last() != Some(&BACKSLASH) {
            path.push(BACKSLASH);
        }
        path.extend(subkey.name().units());
        writer.key(subkey, &path)?;
        stack.push((subkey.subkeys(), path.len()));
    }
    Ok(writer.problem.map_or(Ok(()), Err))
}

const BACKSLASH: u16 = b'\\' as u16;
const QUOTE: u16 = b'"' as u16;

struct Writer<'a> {
    form: Form,
    out: &'a mut dyn Write,
    /// The line so far.
    line: Vec<u16>,
    problem: Option<Error>,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.line.extend(text.encode_utf16());
    }

    fn end_line(&mut self) -> io::Result<()> {
        let bytes: Vec<u8> = match self.form {
            Form::V5 => self.line.iter().copied().chain([0x0D, 0x0A]).flat_map(u16::to_le_bytes).collect(),
            Form::Text => {
                // Every unit was seen to be expressible before it came here.
                let mut text = String::from_utf16_lossy(&self.line);
                text.push('\n');
                text.into_bytes()
            }
            Form::Regedit4 => {
                let ansi = self.line.iter().map(|&unit| text::to_ansi(unit).unwrap_or(b'?'));
                ansi.chain(*b"\r\n").collect()
            }
        };
        self.line.clear();
        self.out.write_all(&bytes)
    }

    /// Whether the file's encoding has these units.
    fn has(&self, units: &[u16]) -> bool {
        match self.form.encoding() {
            Encoding::Utf16 => true,
            Encoding::Utf8 => text::is_utf16(units),
            Encoding::Ansi => units.iter().all(|&unit| text::to_ansi(unit).is_some()),
        }
    }

    fn refuse(&mut self, path: &[u16], what: String) {
        let key = String::from_utf16_lossy(path);
        self.problem.get_or_insert(Error::Inexpressible { key, what });
    }

    fn key(&mut self, key: &Key, path: &[u16]) -> io::Result<()> {
        if path.iter().any(|&unit| unit == 0x0D || unit == 0x0A) {
            self.refuse(path, "the key's name has a line end, which no .reg file can express".to_owned());
            return Ok(());
        }
        if !self.has(path) {
            let advice = self.advice();
            self.refuse(path, format!("the key's name {advice}"));
            return Ok(());
        }
        self.push("[");
        self.line.extend(path);
        self.push("]");
        self.end_line()?;
        for value in key.values() {
            self.value(value, path)?;
        }
        self.end_line()
    }

    const fn advice(&self) -> &'static str {
        match self.form {
            Form::V5 => "cannot be expressed",
            Form::Text => "is not Unicode, which UTF-8 cannot express; regedit's own form, in UTF-16, can",
            Form::Regedit4 => "is not in Windows-1252, the code page of REGEDIT4; version 5.00 has it",
        }
    }

    fn value(&mut self, value: &Value, path: &[u16]) -> io::Result<()> {
        let name = value.name();
        if name.is_empty() {
            self.push("@");
        } else if self.has(name.units()) {
            self.quoted(name.units());
        } else {
            let advice = self.advice();
            self.refuse(path, format!("the name of the value {name:?} {advice}"));
            return Ok(());
        }
        self.push("=");
        match self.data(value) {
            Ok(()) => self.end_line(),
            Err(End::Broken(error)) => Err(error),
            Err(End::Inexpressible) => {
                let what = format!(
                    "the text of the value {name:?} is not in Windows-1252, the code page of REGEDIT4; version 5.00 \
                     has it"
                );
                self.refuse(path, what);
                Ok(())
            }
        }
    }

    fn quoted(&mut self, units: &[u16]) {
        self.line.push(QUOTE);
        for &unit in units {
            if unit == QUOTE || unit == BACKSLASH {
                self.line.push(BACKSLASH);
            }
            self.line.push(unit);
        }
        self.line.push(QUOTE);
    }

    fn data(&mut self, value: &Value) -> Result<(), End> {
        let (kind, data) = (value.kind(), value.data());
        match kind {
            Kind::SZ => {
                if let Some(text) = plain_text(data).filter(|text| self.has(text)) {
                    self.quoted(&text);
                    return Ok(());
                }
            }
            Kind::DWORD => {
                if let Ok(bytes) = data.try_into() {
                    self.push(&format!("dword:{:08x}", u32::from_le_bytes(bytes)));
                    return Ok(());
                }
            }
            Kind::BINARY => {
                self.push("hex:");
                return Ok(self.bytes(data)?);
            }
            _ => {}
        }
        self.push(&format!("hex({:x}):", kind.0));
        // The two types that are bytes of the code page in REGEDIT4.
        if self.form == Form::Regedit4 && matches!(kind, Kind::EXPAND_SZ | Kind::MULTI_SZ) {
            let (units, odd) = data.as_chunks();
            let ansi: Option<Vec<u8>> =
                units.iter().map(|&unit| text::to_ansi(u16::from_le_bytes(unit))).collect();
            return match ansi {
                Some(ansi) if odd.is_empty() => Ok(self.bytes(&ansi)?),
                _ => Err(End::Inexpressible),
            };
        }
        Ok(self.bytes(data)?)
    }

    fn bytes(&mut self, data: &[u8]) -> io::Result<()> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (position, &byte) in data.iter().enumerate() {
            if position > 0 {
                self.line.push(b','.into());
                if self.line.len() >= FULL {
                    self.push("\\");
                    self.end_line()?;
                    self.push("  ");
                }
            }
            let digits = [byte >> 4, byte & 15].map(|digit| u16::from(DIGITS[usize::from(digit)]));
            self.line.extend(digits);
        }
        Ok(())
    }
}

/// Why the data of a value was not written.
enum End {
    Broken(io::Error),
    Inexpressible,
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// The text of data that is nothing but text and one NUL at its end.
fn plain_text(data: &[u8]) -> Option<Vec<u16>> {
    let (units, odd) = data.as_chunks();
    let mut units: Vec<u16> = units.iter().map(|&unit| u16::from_le_bytes(unit)).collect();
    (odd.is_empty() && units.pop() == Some(0) && !units.contains(&0)).then_some(units)
}
