//! Reading a tree.
//!
//! Errors say where and what, and never what stands there: a password with a plain `&` or `<` in it looks like markup.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Document, Element, MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node};
use crate::{Error, Result};

/// The namespace that the prefix `xml` always means.
const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace that the prefix `xmlns` always means.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The text of a file, and how its bytes are counted.
struct Source<'a> {
    /// What errors call it.
    what: &'a str,
    text: String,
    /// Bytes of the file in front of the text.
    start: usize,
    wide: bool,
}

impl Source<'_> {
    fn malformed(&self, position: usize, reason: impl AsRef<str>) -> Error {
        let before = self.text.get(..position).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let bytes = if self.wide { 2 * before.encode_utf16().count() } else { before.len() };
        let (what, offset) = (self.what.to_owned(), (self.start + bytes) as u64);
        Error::Malformed { what, offset, reason: format!("line {line}: {}", reason.as_ref()) }
    }

    fn limit(&self, what: &str, found: usize, limit: usize) -> Error {
        Error::Limit { what: format!("{what} of {}", self.what), found: found as u64, limit: limit as u64 }
    }
}

impl Document {
    /// Reads a document in UTF-8 or UTF-16. `what` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the place in the file for what is not well-formed, for other encodings and for document
    /// types; [`Error::Limit`] beyond the limits of this module.
    pub(crate) fn parse(what: &str, bytes: &[u8]) -> Result<Self> {
        let source = decode(what, bytes)?;
        let mut reader = Reader::from_str(&source.text);
        reader.config_mut().check_comments = true;
        let (mut before, mut after, mut root) = (Vec::new(), Vec::new(), None);
        let mut open: Vec<Element> = Vec::new();
        // Prefixes and namespaces in scope, innermost last, each with the depth of its element.
        let mut scope: Vec<(usize, String, String)> = Vec::new();
        let mut nodes = 0;
        loop {
            let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let malformed = |reason: &str| source.malformed(position, reason);
            let event = reader.read_event().map_err(|error| {
                let position = usize::try_from(reader.error_position()).unwrap_or(position);
                source.malformed(position, ill_formed(&error))
            })?;
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(source.limit("elements and texts", nodes, MAX_NODES));
            }
            let node = match event {
                Event::Start(tag) => {
                    if root.is_some() {
                        return Err(malformed("a second root element"));
                    }
                    if open.len() == MAX_DEPTH {
                        return Err(source.limit("levels of elements", open.len() + 1, MAX_DEPTH));
                    }
                    open.push(element(&source, position, &tag, open.len() + 1, &mut scope)?);
                    continue;
                }
                Event::Empty(tag) => {
                    if root.is_some() {
                        return Err(malformed("a second root element"));
                    }
                    if open.len() == MAX_DEPTH {
                        return Err(source.limit("levels of elements", open.len() + 1, MAX_DEPTH));
                    }
                    let element = element(&source, position, &tag, open.len() + 1, &mut scope)?;
                    leave(&mut scope, open.len());
                    Node::Element(element)
                }
                Event::End(_) => {
                    let Some(element) = open.pop() else {
                        return Err(malformed("an end tag without a start"));
                    };
                    leave(&mut scope, open.len());
                    Node::Element(element)
                }
                Event::Text(text) => {
                    let text = text.into_inner();
                    check_characters(&source, position, &text)?;
                    if text.contains("]]>") {
                        return Err(malformed("]]> outside of a CDATA section"));
                    }
                    Node::Text(line_feeds(&text))
                }
                Event::GeneralRef(reference) => {
                    let name = reference.into_inner();
                    let character = resolve(&name);
                    let character = character
                        .ok_or_else(|| malformed("an unknown reference; a plain & is written &amp;"))?;
                    Node::Text(character.to_string())
                }
                Event::CData(text) => {
                    let text = text.into_inner();
                    check_characters(&source, position, &text)?;
                    if open.is_empty() {
                        return Err(malformed("a CDATA section outside of the root element"));
                    }
                    Node::CData(line_feeds(&text))
                }
                Event::Comment(text) => {
                    let text = text.into_inner();
                    check_characters(&source, position, &text)?;
                    if text.contains("--") || text.ends_with('-') {
                        return Err(malformed("a comment with -- in it"));
                    }
                    Node::Comment(line_feeds(&text))
                }
                Event::PI(instruction) => {
                    let text = instruction.into_inner();
                    check_characters(&source, position, &text)?;
                    let target = text.split([' ', '\t', '\r', '\n']).next().unwrap_or_default();
                    if !is_name(target) || target.contains(':') || target.eq_ignore_ascii_case("xml") {
                        return Err(malformed("a processing instruction without a proper name"));
                    }
                    Node::Instruction(line_feeds(&text))
                }
                Event::Decl(declaration) => {
                    if position != 0 {
                        return Err(malformed("an XML declaration that is not at the start"));
                    }
                    check_declaration(&source, &declaration)?;
                    continue;
                }
                Event::DocType(_) => {
                    return Err(malformed("a document type; answer files have none, remove it"));
                }
                Event::Eof => {
                    if !open.is_empty() {
                        return Err(source.malformed(source.text.len(), "the file ends inside an element"));
                    }
                    let Some(root) = root else {
                        return Err(source.malformed(source.text.len(), "no root element"));
                    };
                    return Ok(Self { before, root, after });
                }
            };
            match (open.last_mut(), node) {
                (Some(parent), Node::Text(text)) => match parent.children.last_mut() {
                    // Readers split text at references; a tree has it in one piece.
                    Some(Node::Text(before)) => before.push_str(&text),
                    _ => parent.children.push(Node::Text(text)),
                },
                (Some(parent), node) => parent.children.push(node),
                (None, Node::Element(element)) => root = Some(element),
                (None, Node::Text(text)) => {
                    if !text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
                        return Err(malformed("text outside of the root element"));
                    }
                }
                (None, node) if root.is_none() => before.push(node),
                (None, node) => after.push(node),
            }
        }
    }
}

/// Forgets the declarations of elements that lie deeper than `depth`.
fn leave(scope: &mut Vec<(usize, String, String)>, depth: usize) {
    while scope.last().is_some_and(|(declared, ..)| *declared > depth) {
        scope.pop();
    }
}

fn decode<'a>(what: &'a str, bytes: &[u8]) -> Result<Source<'a>> {
    if bytes.len() > MAX_BYTES {
        let (found, limit) = (bytes.len() as u64, MAX_BYTES as u64);
        return Err(Error::Limit { what: format!("bytes of {what}"), found, limit });
    }
    // XML may lack the mark: a document begins with `<`.
    let (marked, wide) = match bytes {
        [b'<', 0, ..] => (Some([&[0xFF, 0xFE], bytes].concat()), true),
        [0, b'<', ..] => (Some([&[0xFE, 0xFF], bytes].concat()), true),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => (None, true),
        _ => (None, false),
    };
    let start = match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => 2,
        [0xEF, 0xBB, 0xBF, ..] => 3,
        _ => 0,
    };
    let text = crate::secret::decode(what, marked.as_deref().unwrap_or(bytes), MAX_BYTES + 2);
    let text = text.map_err(|error| match error {
        // The mark that was put in front is not in the file.
        Error::Malformed { what, offset, reason } if marked.is_some() => {
            Error::Malformed { what, offset: offset.saturating_sub(2), reason }
        }
        error => error,
    })?;
    Ok(Source { what, text, start, wide })
}

/// What the tokenizer found wrong, without its words: they repeat what stands there.
fn ill_formed(error: &quick_xml::Error) -> &'static str {
    use quick_xml::errors::IllFormedError as Wrong;
    match error {
        quick_xml::Error::IllFormed(Wrong::MismatchedEndTag { .. } | Wrong::UnmatchedEndTag(_)) => {
            "an end tag that does not belong to the element before it"
        }
        quick_xml::Error::IllFormed(Wrong::MissingEndTag(_)) => "the file ends inside an element",
        quick_xml::Error::IllFormed(Wrong::DoubleHyphenInComment) => "a comment with -- in it",
        quick_xml::Error::IllFormed(Wrong::UnclosedReference) => {
            "a reference without its end; a plain & is written &amp;"
        }
        quick_xml::Error::Syntax(_) => "a tag, comment or section that does not end",
        _ => "it is not well-formed XML",
    }
}

fn check_declaration(source: &Source<'_>, declaration: &quick_xml::events::BytesDecl<'_>) -> Result<()> {
    let malformed = |reason: &str| source.malformed(0, reason);
    let version = declaration.version().map_err(|_| malformed("an XML declaration without a version"))?;
    if version != "1.0" {
        return Err(malformed("an XML version other than 1.0"));
    }
    let Some(encoding) = declaration.encoding() else { return Ok(()) };
    let encoding = encoding.map_err(|_| malformed("an XML declaration that cannot be read"))?;
    let known: &[&str] =
        if source.wide { &["utf-16", "utf-16le", "utf-16be"] } else { &["utf-8", "us-ascii"] };
    // All of these agree on ASCII, and so do the bytes.
    if known.iter().any(|known| known.eq_ignore_ascii_case(&encoding))
        || (!source.wide && source.text.is_ascii())
    {
        return Ok(());
    }
    let reason = format!(
        "it says that its encoding is another, and is in {}; save it as UTF-8 and say so",
        if source.wide { "UTF-16" } else { "UTF-8 or something else" }
    );
    Err(malformed(&reason))
}

/// The element of a start tag, with everything checked that can be checked of it alone and of its surroundings.
fn element(
    source: &Source<'_>,
    position: usize,
    tag: &BytesStart<'_>,
    depth: usize,
    scope: &mut Vec<(usize, String, String)>,
) -> Result<Element> {
    let malformed = |reason: &str| source.malformed(position, reason);
    let name = tag.name().into_inner();
    if !is_name(name) {
        return Err(malformed("a tag without a proper name of an element; a plain < is written &lt;"));
    }
    let attributes = attributes(source, position, tag.attributes_raw())?;
    for (attribute, value) in &attributes {
        let prefix = match attribute.split_once(':') {
            None if attribute == "xmlns" => "",
            Some(("xmlns", prefix)) => prefix,
            _ => continue,
        };
        let reserved = prefix == "xmlns" || value == XMLNS || (prefix == "xml") != (value == XML);
        if reserved || (value.is_empty() && !prefix.is_empty()) {
            return Err(malformed("a namespace that cannot be declared so"));
        }
        if scope.len() == MAX_ATTRIBUTES {
            return Err(source.limit("namespaces in scope", scope.len() + 1, MAX_ATTRIBUTES));
        }
        scope.push((depth, prefix.to_owned(), value.clone()));
    }
    let namespace = |name: &str| -> Result<String> {
        let Some((prefix, _)) = name.split_once(':') else { return Ok(String::new()) };
        if prefix == "xml" {
            return Ok(XML.to_owned());
        }
        let found = scope.iter().rev().find(|(_, known, _)| known == prefix);
        let found = found.map(|(_, _, namespace)| namespace.clone());
        found.ok_or_else(|| malformed("the prefix of an element or attribute is not declared"))
    };
    if name.starts_with("xmlns:") {
        return Err(malformed("an element cannot have the prefix xmlns"));
    }
    namespace(name)?;
    let mut seen: Vec<(String, &str)> = Vec::with_capacity(attributes.len());
    for (attribute, _) in &attributes {
        if attribute == "xmlns" || attribute.starts_with("xmlns:") {
            continue;
        }
        let local = attribute.split_once(':').map_or(attribute.as_str(), |(_, local)| local);
        let full = (namespace(attribute)?, local);
        if seen.contains(&full) {
            return Err(malformed("an element with an attribute twice"));
        }
        seen.push(full);
    }
    Ok(Element { name: name.to_owned(), attributes, children: Vec::new() })
}

/// The attributes of a start tag, from what follows its name.
fn attributes(source: &Source<'_>, position: usize, raw: &str) -> Result<Vec<(String, String)>> {
    let malformed = |reason: &str| source.malformed(position, reason);
    let blank = [' ', '\t', '\r', '\n'];
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut rest = raw;
    loop {
        let next = rest.trim_start_matches(blank);
        if next.is_empty() {
            return Ok(attributes);
        }
        let wrong = || malformed("attributes are not of the form name=\"value\"");
        if next.len() == rest.len() {
            return Err(wrong());
        }
        let (name, value) = next.split_once('=').ok_or_else(wrong)?;
        let name = name.trim_end_matches(blank);
        if !is_name(name) {
            return Err(malformed("an attribute without a proper name"));
        }
        let value = value.trim_start_matches(blank);
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote)).ok_or_else(wrong)?;
        let (value, behind) = value[1..].split_once(quote).ok_or_else(wrong)?;
        if value.contains('<') {
            return Err(malformed("the value of an attribute has a < in it; it is written &lt;"));
        }
        check_characters(source, position, value)?;
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(source.limit("attributes of an element", attributes.len() + 1, MAX_ATTRIBUTES));
        }
        if attributes.iter().any(|(known, _)| known == name) {
            return Err(malformed("an element with an attribute twice"));
        }
        let value = attribute_value(value);
        let value = value.ok_or_else(|| {
            malformed("the value of an attribute has an unknown reference; a plain & is written &amp;")
        })?;
        attributes.push((name.to_owned(), value));
        rest = behind;
    }
}

/// The value that an attribute has for its readers (XML 1.0 §3.3.3): references resolved, white space made spaces.
fn attribute_value(raw: &str) -> Option<String> {
    let mut value = String::with_capacity(raw.len());
    let raw = line_feeds(raw);
    let mut rest = raw.as_str();
    while let Some(at) = rest.find(['&', '\t', '\n']) {
        value.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(reference) = rest.strip_prefix('&') {
            let (name, behind) = reference.split_once(';')?;
            value.push(resolve(name)?);
            rest = behind;
        } else {
            value.push(' ');
            rest = &rest[1..];
        }
    }
    value.push_str(rest);
    Some(value)
}

/// The character of a reference without `&` and `;`: one of the five that need no declaration, or a number.
fn resolve(name: &str) -> Option<char> {
    let digits = |text: &str, radix: u32| {
        let proper = !text.is_empty() && text.chars().all(|digit| digit.is_digit(radix));
        let number = proper.then(|| u32::from_str_radix(text, radix).ok()).flatten()?;
        char::from_u32(number).filter(|&character| is_character(character))
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#')? {
            number if number.starts_with('x') => digits(&number[1..], 16),
            number => digits(number, 10),
        },
    }
}

/// Line ends as XML readers see them (XML 1.0 §2.11).
fn line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn check_characters(source: &Source<'_>, position: usize, text: &str) -> Result<()> {
    match text.char_indices().find(|&(_, character)| !is_character(character)) {
        None => Ok(()),
        Some((at, character)) => {
            let reason = format!("character {:#x} is not allowed in XML", u32::from(character));
            Err(source.malformed(position + at, reason))
        }
    }
}

/// Production 2 of XML 1.0.
const fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// A name with at most one colon, inside (XML 1.0 §2.3, Namespaces in XML §4).
fn is_name(name: &str) -> bool {
    let mut parts = name.splitn(2, ':');
    parts.all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(is_name_start)
            && characters.all(|character| {
                is_name_start(character)
                    || matches!(character, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
            })
    })
}

/// Production 4 of XML 1.0 without the colon.
const fn is_name_start(character: char) -> bool {
    matches!(character,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}
