//! XML as a tree that can be edited and written again without losing anything a reader of XML sees.
//!
//! Answer files are small and hand-written, so they are held whole: elements, attributes in their order, text, CDATA
//! sections, comments and processing instructions, white space included. What is not kept is how it was spelt: which
//! quotes, which character references, whether an empty element was `<a/>` or `<a></a>`, and the encoding; UTF-8 is
//! written.
//!
//! quick-xml finds the tokens. It lets through much that is not well-formed (names, characters, spacing of attributes)
//! or has no namespace, which Windows' own reader and every other refuses later, on the machine that is being set up; so
//! all of that is checked here. Document types are refused: answer files have none, and all attacks on XML readers begin
//! with one.

mod parse;
mod write;

/// Bytes of the largest document that is read.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Levels of elements; those of answer files have less than a dozen.
pub(crate) const MAX_DEPTH: usize = 64;
/// Elements, texts, comments and processing instructions of a document.
pub(crate) const MAX_NODES: usize = 200_000;
/// Attributes of an element, and namespaces in scope.
pub(crate) const MAX_ATTRIBUTES: usize = 128;

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    /// Comments and processing instructions before the root.
    pub(crate) before: Vec<Node>,
    pub(crate) root: Element,
    /// The same behind it.
    pub(crate) after: Vec<Node>,
}

/// What an element can contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Element(Element),
    /// Text with its references resolved.
    Text(String),
    CData(String),
    Comment(String),
    /// A processing instruction without `<?` and `?>`.
    Instruction(String),
}

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// As written, with its prefix.
    pub(crate) name: String,
    /// Names as written, values with their references resolved; namespace declarations among them.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Node>,
}

impl Element {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The name without its prefix.
    pub(crate) fn local_name(&self) -> &str {
        self.name.split_once(':').map_or(self.name.as_str(), |(_, local)| local)
    }

    /// The prefix of the name; empty without one.
    pub(crate) fn prefix(&self) -> &str {
        self.name.split_once(':').map_or("", |(prefix, _)| prefix)
    }

    /// An attribute by its name as written.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The first child element with this local name.
    pub(crate) fn child(&self, local_name: &str) -> Option<&Self> {
        self.elements().find(|element| element.local_name() == local_name)
    }

    /// All text directly inside, CDATA included.
    pub(crate) fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|child| match child {
            Node::Text(text) | Node::CData(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The text of a child element, without white space around it.
    pub(crate) fn child_text(&self, local_name: &str) -> Option<String> {
        self.child(local_name).map(|child| child.text().trim().to_owned())
    }

    /// Puts an element behind the last one, on a line of its own when the others have theirs. `indent` is the line end and
    /// white space in front of this element. Returns the new element and what is in front of it.
    pub(crate) fn push_element(&mut self, child: Self, indent: &str) -> (&mut Self, String) {
        let last = self.children.iter().rposition(|node| matches!(node, Node::Element(_)));
        let (mut at, front) = match last {
            Some(last) => (last + 1, self.white_space_before(last).map(str::to_owned)),
            None => {
                // White space alone makes way; anything else, such as a comment, stays in front.
                if let Some(Node::Text(text)) = self.children.last_mut() {
                    text.truncate(text.trim_end().len());
                    if text.is_empty() {
                        self.children.pop();
                    }
                }
                self.children.push(Node::Text(indent.to_owned()));
                (self.children.len() - 1, Some(format!("{indent}  ")))
            }
        };
        if let Some(front) = &front {
            self.children.insert(at, Node::Text(front.clone()));
            at += 1;
        }
        self.children.insert(at, Node::Element(child));
        match &mut self.children[at] {
            Node::Element(element) => (element, front.unwrap_or_else(|| indent.to_owned())),
            _ => unreachable!("the element was inserted here"),
        }
    }

    /// A child element by its number among the elements, and the line end and white space in front of it; `indent` when
    /// there is none.
    pub(crate) fn element_mut(&mut self, number: usize, indent: &str) -> Option<(&mut Self, String)> {
        let elements = self.children.iter().enumerate().filter(|(_, node)| matches!(node, Node::Element(_)));
        let (at, _) = elements.take(number + 1).nth(number)?;
        let front = self.white_space_before(at).unwrap_or(indent).to_owned();
        match &mut self.children[at] {
            Node::Element(element) => Some((element, front)),
            _ => None,
        }
    }

    /// The last line end in front of a child, and the white space behind that, if there is nothing else.
    fn white_space_before(&self, at: usize) -> Option<&str> {
        let Node::Text(text) = self.children.get(at.checked_sub(1)?)? else { return None };
        text.rfind('\n').map(|line| &text[line..]).filter(|text| text.trim().is_empty())
    }
}

#[cfg(test)]
mod tests;
