//! Writing XML: elements one in the other, indented, everything escaped.

use std::fmt::Write as _;

use quick_xml::escape::escape;

/// An XML document in the making.
pub(crate) struct Xml {
    text: String,
    depth: usize,
}

/// Attributes: names and values.
pub(crate) type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Xml {
    pub(crate) fn new(encoding: &str) -> Self {
        Self { text: format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n"), depth: 0 }
    }

    fn tag(&mut self, name: &str, attributes: Attributes<'_>) {
        let _ = write!(self.text, "{:1$}<{name}", "", 2 * self.depth);
        for (key, value) in attributes {
            let _ = write!(self.text, " {key}=\"{}\"", escape(*value));
        }
    }

    /// An element with elements in it.
    pub(crate) fn element(&mut self, name: &str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        let _ = writeln!(self.text, "{:1$}</{name}>", "", 2 * self.depth);
    }

    /// An element with nothing in it.
    pub(crate) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        self.tag(name, attributes);
        self.text.push_str("/>\n");
    }

    /// An element with text in it.
    pub(crate) fn leaf(&mut self, name: &str, attributes: Attributes<'_>, text: &str) {
        self.tag(name, attributes);
        let _ = writeln!(self.text, ">{}</{name}>", escape(text));
    }

    pub(crate) fn finish(self) -> String {
        debug_assert_eq!(self.depth, 0, "every element is closed by the function that opened it");
        self.text
    }
}
