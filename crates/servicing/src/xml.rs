//! The XML of packages, as a small tree.
//!
//! A package is understood only if every element of it is, so whoever reads it has to see all of them: that is easier on a
//! tree than on events. It is bounded in size, depth, elements and attributes before anything is made of it; a document
//! type declaration (and with it every entity but the five of XML itself) is refused.

use disk::At;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::limits::{MAX_XML_ATTRIBUTES, MAX_XML_DEPTH, MAX_XML_ELEMENTS, MAX_XML_SIZE};
use crate::{Error, Result};

/// What errors say is malformed.
const WHAT: &str = "XML";

/// An element. Names are without their prefixes: no two namespaces of packages share a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Self>,
    /// The text right in it, without white space around it.
    pub(crate) text: String,
    /// Where its tag ends in the document as UTF-8.
    pub(crate) offset: u64,
}

impl Element {
    /// The value of an attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of an attribute that has to be there.
    pub(crate) fn need(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| self.malformed(format!("<{}> has no {name}", self.name)))
    }

    pub(crate) fn malformed(&self, reason: String) -> Error {
        Error::malformed(WHAT, self.offset, reason)
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of a name.
    pub(crate) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// The document's element.
pub(crate) fn parse(bytes: &[u8]) -> Result<Element> {
    Error::limit(At::new(WHAT, 0), "its size", bytes.len() as u64, MAX_XML_SIZE)?;
    let text = decode(bytes)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    // Elements that have begun, outermost first.
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut count = 0;
    loop {
        let event = reader.read_event();
        let offset = reader.buffer_position();
        let malformed = |reason: String| Error::malformed(WHAT, offset, reason);
        let event =
            event.map_err(|error| Error::malformed(WHAT, reader.error_position(), error.to_string()))?;
        match event {
            Event::Start(tag) | Event::Empty(tag) if root.is_some() && open.is_empty() => {
                return Err(malformed(format!("<{}> behind the end", tag.name().as_ref())));
            }
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                count += 1;
                Error::limit(At::new(WHAT, offset), "the number of its elements", count, MAX_XML_ELEMENTS)?;
                Error::limit(At::new(WHAT, offset), "its depth", open.len() as u64, MAX_XML_DEPTH)?;
                let element = begin(tag, offset)?;
                if matches!(event, Event::Start(_)) {
                    open.push(element);
                } else {
                    close(element, &mut open, &mut root);
                }
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(|| malformed("an end without a begin".to_owned()))?;
                close(element, &mut open, &mut root);
            }
            Event::Text(text) => append(&mut open, &text.into_inner()),
            Event::CData(text) => append(&mut open, &text.into_inner()),
            Event::GeneralRef(reference) => append(&mut open, &resolve(&reference).map_err(malformed)?),
            Event::DocType(_) => {
                return Err(Error::unsupported(WHAT, offset, "a document type declaration"));
            }
            Event::Eof if open.is_empty() => {
                return root.ok_or_else(|| malformed("there is no element in it".to_owned()));
            }
            Event::Eof => return Err(malformed(format!("<{}> does not end", open[open.len() - 1].name))),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

fn begin(tag: &BytesStart<'_>, offset: u64) -> Result<Element> {
    let malformed = |reason: String| Error::malformed(WHAT, offset, reason);
    let name = tag.local_name().as_ref().to_owned();
    let mut element = Element { name, offset, ..Element::default() };
    for (count, attribute) in (1..).zip(tag.attributes()) {
        let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
        Error::limit(
            At::new(WHAT, offset),
            "the number of an element's attributes",
            count,
            MAX_XML_ATTRIBUTES,
        )?;
        let key = attribute.key.as_ref();
        if key == "xmlns" || key.starts_with("xmlns:") {
            continue;
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| malformed(error.to_string()))?.into_owned();
        element.attributes.push((attribute.key.local_name().as_ref().to_owned(), value));
    }
    Ok(element)
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// The character of `&amp;` and the like.
fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = reference.borrow().into_inner();
    let text = quick_xml::escape::resolve_predefined_entity(&name);
    text.map(str::to_owned).ok_or_else(|| format!("&{name}; is none of XML's own entities"))
}

fn close(mut element: Element, open: &mut [Element], root: &mut Option<Element>) {
    element.text = element.text.trim().to_owned();
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

/// The document as text: UTF-8, or UTF-16 when a mark says so.
fn decode(bytes: &[u8]) -> Result<String> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect::<Result<String, _>>();
        text.ok()
            .filter(|_| odd.is_empty())
            .ok_or_else(|| Error::malformed(WHAT, 0, "it is not UTF-16, as its mark says"))
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            let text = str::from_utf8(rest);
            let at = |error: std::str::Utf8Error| error.valid_up_to() as u64;
            text.map(str::to_owned).map_err(|error| Error::malformed(WHAT, at(error), "it is not UTF-8"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree() {
        let root = parse(b"\xEF\xBB\xBF<?xml version=\"1.0\"?><!-- c --><a:b xmlns:a='u' x='1 &amp; 2'><c/> t&lt;<![CDATA[<]]>&#65; </a:b>")
            .unwrap();
        assert_eq!((root.name.as_str(), root.get("x"), root.text.as_str()), ("b", Some("1 & 2"), "t<<A"));
        assert_eq!(root.children.len(), 1);
        let wide: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("<ä/>".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(parse(&wide).unwrap().name, "ä");
    }

    #[test]
    fn what_is_refused() {
        let deep = "<a>".repeat(1000);
        let wide = format!("<a{}/>", (0..200).map(|n| format!(" a{n}='1'")).collect::<String>());
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a b='1' b='2'/>",
            "<a b='&x;'/>",
            "<a>&x;</a>",
            "<a>&#0;</a>",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            deep.as_str(),
            wide.as_str(),
        ] {
            parse(text.as_bytes()).expect_err(text);
        }
        parse(b"<a>\xFF</a>").unwrap_err();
        parse(b"\xFF\xFE<").unwrap_err();
    }
}
