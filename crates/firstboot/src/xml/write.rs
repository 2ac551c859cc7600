//! Writing a tree.

use super::{Document, Element, Node};

impl Document {
    /// The document in UTF-8, with a declaration in front and line feeds as line ends.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        for node in &self.before {
            write_node(&mut out, node);
            out.push('\n');
        }
        write_element(&mut out, &self.root);
        out.push('\n');
        for node in &self.after {
            write_node(&mut out, node);
            out.push('\n');
        }
        out.into_bytes()
    }
}

fn write_node(out: &mut String, node: &Node) {
    let (start, content, end) = match node {
        Node::Element(element) => return write_element(out, element),
        Node::Text(text) => return escape(out, text, false),
        Node::CData(text) => ("<![CDATA[", text, "]]>"),
        Node::Comment(text) => ("<!--", text, "-->"),
        Node::Instruction(text) => ("<?", text, "?>"),
    };
    out.push_str(start);
    out.push_str(content);
    out.push_str(end);
}

// The depth of trees is bounded by the parser, and by what is added to them, a handful of levels.
fn write_element(out: &mut String, element: &Element) {
    out.push('<');
    out.push_str(&element.name);
    for (name, value) in &element.attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        escape(out, value, true);
        out.push('"');
    }
    if element.children.is_empty() {
        out.push_str(" />");
        return;
    }
    out.push('>');
    for child in &element.children {
        write_node(out, child);
    }
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
}

/// White space of attributes, and carriage returns anywhere, would be changed by whoever reads them.
fn escape(out: &mut String, text: &str, attribute: bool) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            _ => out.push(character),
        }
    }
}
