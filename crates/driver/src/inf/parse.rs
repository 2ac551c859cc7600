//! From text to sections.

use std::collections::BTreeMap;

use super::{Line, Section, fold};
use crate::{Error, Place, Result};

/// A field while it is read: blanks around it go, those in quotes stay.
#[derive(Default)]
struct Field {
    text: String,
    /// Up to here nothing is trimmed: the end of the last quoted part.
    quoted: usize,
}

impl Field {
    fn push(&mut self, c: char) {
        if !(c.is_whitespace() && self.text.is_empty()) {
            self.text.push(c);
        }
    }

    fn push_quoted(&mut self, c: char) {
        self.text.push(c);
        self.quoted = self.text.len();
    }

    fn finish(&mut self) -> String {
        let Self { mut text, quoted } = std::mem::take(self);
        let end = quoted + text[quoted..].trim_end().len();
        text.truncate(end);
        text
    }
}

/// A line while it is read, over several lines of the file when it is continued.
#[derive(Default)]
struct Reader {
    number: u32,
    key: Option<String>,
    fields: Vec<String>,
    field: Field,
}

impl Reader {
    /// Reads a line of the file; says whether the next one belongs to it.
    fn read(&mut self, line: &str) -> bool {
        let mut quoted = false;
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if !quoted => quoted = true,
                '"' if chars.next_if(|&(_, next)| next == '"').is_some() => self.field.push_quoted('"'),
                '"' => quoted = false,
                _ if quoted => self.field.push_quoted(c),
                ';' => break,
                ',' => self.fields.push(self.field.finish()),
                '=' if self.key.is_none() && self.fields.is_empty() => self.key = Some(self.field.finish()),
                '\\' if is_blank(&line[at + 1..]) => return true,
                _ => self.field.push(c),
            }
        }
        false
    }

    /// The line; `None` when there is nothing in it.
    fn finish(&mut self) -> Option<Line> {
        let last = self.field.finish();
        let Self { number, key, mut fields, .. } = std::mem::take(self);
        fields.push(last);
        let empty = key.is_none() && matches!(&fields[..], [only] if only.is_empty());
        (!empty).then_some(Line { number, key, fields })
    }
}

/// Whether nothing but blanks and a comment follows.
fn is_blank(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with(';')
}

/// The name in a header; `None` when its bracket is missing.
fn header(line: &str) -> Option<String> {
    let mut name = Field::default();
    let mut quoted = false;
    for c in line.chars().skip(1) {
        match c {
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(name.finish()),
            _ if quoted => name.push_quoted(c),
            _ => name.push(c),
        }
    }
    None
}

/// The lines of the file: `\r\n`, `\n` and `\r` end one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let len = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + len..]);
        Some(&text[..end])
    })
}

pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut current: Option<usize> = None;
    let mut reader = Reader::default();
    let mut continued = false;
    // Control-Z ended files once, and Windows still takes it for the end.
    let text = text.split('\u{1A}').next().unwrap_or_default();
    // Some files are padded with NULs. In the middle of one they would cut off texts in the registry.
    let text = text.trim_end_matches('\0');
    if let Some(at) = text.find('\0') {
        let line = lines(&text[..at]).count() as u32;
        let place = Place { file: file.to_owned(), section: String::new(), line };
        return Err(Error::Inf { place, reason: "a NUL in the text".to_owned() });
    }
    for (number, line) in (1_u32..).zip(lines(text)) {
        let start = line.trim_start();
        let wrong = |section: Option<usize>, sections: &[Section], reason: &str| {
            let section = section.map_or_else(String::new, |at| sections[at].name.clone());
            let place = Place { file: file.to_owned(), section, line: number };
            Error::Inf { place, reason: reason.to_owned() }
        };
        if !continued && start.starts_with('[') {
            let name = header(start)
                .ok_or_else(|| wrong(current, &sections, "a section header has no closing bracket"))?;
            let at = *index.entry(fold(&name)).or_insert(sections.len());
            if at == sections.len() {
                sections.push(Section { name, line: number, lines: Vec::new(), keys: BTreeMap::new() });
            }
            current = Some(at);
            continue;
        }
        if !continued {
            reader.number = number;
        }
        continued = reader.read(line);
        if continued {
            continue;
        }
        if let Some(line) = reader.finish() {
            let Some(at) = current else {
                return Err(wrong(None, &sections, "text before the first section"));
            };
            sections[at].push(line);
        }
    }
    if let (Some(line), Some(at)) = (reader.finish(), current) {
        sections[at].push(line);
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Line {
        let sections = parse("x.inf", &format!("[s]\n{text}")).unwrap();
        assert_eq!(sections[0].lines.len(), 1, "{text}");
        sections[0].lines[0].clone()
    }

    fn fields(text: &str) -> Vec<String> {
        only(text).fields
    }

    #[test]
    fn quotes_commas_and_blanks() {
        assert_eq!(fields(r#" a , "b, c" ,, "d ""e""" "#), ["a", "b, c", "", "d \"e\""]);
        assert_eq!(fields(r#"x,"  ","a" ; "b""#), ["x", "  ", "a"]);
        assert_eq!(fields("x,\"never closed; with a comma, too"), ["x", "never closed; with a comma, too"]);
        assert_eq!(fields(r#"pre"q u"post,"#), ["preq upost", ""]);
    }

    #[test]
    fn a_key_comes_before_the_first_comma() {
        let line = only("HKR,,Name,,a=b");
        assert_eq!((line.key, line.fields.len()), (None, 5));
        let line = only("%a% = sec, x=y");
        assert_eq!(
            (line.key.as_deref(), &line.fields[..]),
            (Some("%a%"), &["sec".to_owned(), "x=y".to_owned()][..])
        );
        assert_eq!(only("\"k = 1\" = 2").key.as_deref(), Some("k = 1"));
        assert_eq!(only("= 2").key.as_deref(), Some(""));
    }

    #[test]
    fn continued_lines() {
        assert_eq!(fields("a, \\\n b, \\ ; why\r\n c"), ["a", "b", "c"]);
        assert_eq!(fields("a\\b, c"), ["a\\b", "c"]);
        // In quotes a backslash is one, and the quote ends with the line.
        assert_eq!(fields("\"a\\"), ["a\\"]);
        assert_eq!(fields("a, \\"), ["a", ""]);
        // A header does not begin in the middle of a line.
        assert_eq!(fields("a, \\\n[b]"), ["a", "[b]"]);
    }

    #[test]
    fn sections_merge_and_lines_are_counted() {
        let sections = parse("x.inf", "; c\n[One]\na\r\n[two]\rb\n[ONE]\nc,\\\nd\ne").unwrap();
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].name.as_str(), sections[0].line), ("One", 2));
        let numbers: Vec<_> = sections[0].lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [3, 7, 9]);
    }

    #[test]
    fn refuses_what_windows_refuses() {
        let refused = |text: &str| parse("x.inf", text).unwrap_err().to_string();
        assert_eq!(refused("a = b\n[s]"), "x.inf:1: text before the first section");
        assert_eq!(refused("[s]\n\n[t"), "x.inf:3 [s]: a section header has no closing bracket");
        assert_eq!(refused("[s]\na\0b\n"), "x.inf:2: a NUL in the text");
        assert_eq!(parse("x.inf", "[s]\na\n\0\0").unwrap()[0].lines.len(), 1);
        assert!(parse("x.inf", "").unwrap().is_empty());
        assert_eq!(parse("x.inf", "[\"a]b\"] x").unwrap()[0].name, "a]b");
    }
}
