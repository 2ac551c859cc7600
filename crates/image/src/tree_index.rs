//! Finding things in a tree by path.

use std::ops::Range;

use disk::upcase::upcase;

use crate::glob::Pattern;
use crate::tree::{NodeId, Tree, as_u32};

/// Number of a [`Name`](crate::tree::Name) in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// Which names each directory holds, and which names each node has.
#[derive(Clone, Debug)]
pub struct TreeIndex<'a> {
    tree: &'a Tree,
    /// Names grouped by the directory that holds them, in the source's order.
    by_parent: Groups,
    /// Names grouped by what they name.
    by_node: Groups,
}

/// Name numbers grouped by node: those of node n are `members[starts[n]..starts[n + 1]]`.
#[derive(Clone, Debug)]
struct Groups {
    starts: Vec<u32>,
    members: Vec<NameId>,
}

impl Groups {
    fn new(nodes: usize, node_of: impl Fn(usize) -> NodeId, names: usize) -> Self {
        let mut starts = vec![0u32; nodes + 1];
        for name in 0..names {
            starts[node_of(name).0 as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut members = vec![NameId(0); names];
        for name in 0..names {
            let slot = &mut next[node_of(name).0 as usize];
            members[*slot as usize] = NameId(as_u32(name));
            *slot += 1;
        }
        Self { starts, members }
    }

    fn of(&self, node: NodeId) -> &[NameId] {
        let node = node.0 as usize;
        let range: Range<usize> = self.starts[node] as usize..self.starts[node + 1] as usize;
        &self.members[range]
    }
}

impl<'a> TreeIndex<'a> {
    /// Indexes a tree.
    pub fn new(tree: &'a Tree) -> Self {
        let (nodes, names) = (tree.nodes.len(), tree.names.len());
        Self {
            tree,
            by_parent: Groups::new(nodes, |name| tree.names[name].parent, names),
            by_node: Groups::new(nodes, |name| tree.names[name].node, names),
        }
    }

    /// The tree.
    pub fn tree(&self) -> &'a Tree {
        self.tree
    }

    /// The names in a directory, in the source's order.
    pub fn children(&self, directory: NodeId) -> &[NameId] {
        self.by_parent.of(directory)
    }

    /// The names of a node; none for the root.
    pub fn names_of(&self, node: NodeId) -> &[NameId] {
        self.by_node.of(node)
    }

    /// A name as text, with unpaired surrogates replaced.
    pub fn text(&self, name: NameId) -> String {
        String::from_utf16_lossy(&self.tree.names[name.0 as usize].long)
    }

    /// The path of a name from the root, with slashes: `/Windows/notepad.exe`.
    pub fn path(&self, name: NameId) -> String {
        let mut parts = vec![self.text(name)];
        let mut parent = self.tree.names[name.0 as usize].parent;
        // Directories have one name each and parents come first, so this ends at the root.
        while let Some(&up) = self.names_of(parent).first() {
            parts.push(self.text(up));
            parent = self.tree.names[up.0 as usize].parent;
        }
        parts.reverse();
        format!("/{}", parts.join("/"))
    }

    /// What a path names: `None` as the name for the root. Slashes and backslashes separate, case is ignored unless two
    /// names differ in nothing else, and 8.3 names are found too.
    pub fn find(&self, path: &str) -> Option<(Option<NameId>, NodeId)> {
        let mut found = (None, NodeId::ROOT);
        for part in path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
            let part: Vec<u16> = part.encode_utf16().collect();
            let name = self.child(found.1, &part)?;
            found = (Some(name), self.tree.names[name.0 as usize].node);
        }
        Some(found)
    }

    /// Everything that a path with patterns (`*`, `?`, `[a-z]`) names; a path without any is [`find`](Self::find).
    pub fn find_all(&self, path: &str) -> Vec<(Option<NameId>, NodeId)> {
        if !Pattern::is_pattern(path) {
            return self.find(path).into_iter().collect();
        }
        let mut found = vec![(None, NodeId::ROOT)];
        for part in path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
            let units: Vec<u16> = part.encode_utf16().collect();
            let pattern = Pattern::is_pattern(part).then(|| Pattern::new(part));
            let of_directory = |&(_, directory): &(Option<NameId>, NodeId)| -> Vec<NameId> {
                match &pattern {
                    Some(pattern) => {
                        let children = self.children(directory).iter().copied();
                        children.filter(|&child| pattern.matches(&self.text(child))).collect()
                    }
                    None => self.child(directory, &units).into_iter().collect(),
                }
            };
            let names = found.iter().flat_map(of_directory);
            found = names.map(|name| (Some(name), self.tree.names[name.0 as usize].node)).collect();
        }
        found
    }

    fn child(&self, directory: NodeId, wanted: &[u16]) -> Option<NameId> {
        let names = |id: &NameId| &self.tree.names[id.0 as usize];
        let children = self.children(directory);
        let folded = fold(wanted);
        let exact = children.iter().find(|id| *names(id).long == *wanted);
        let ignoring_case = || children.iter().find(|id| fold(&names(id).long) == folded);
        let short = || {
            children.iter().find(|id| names(id).short.as_deref().is_some_and(|short| fold(short) == folded))
        };
        exact.or_else(ignoring_case).or_else(short).copied()
    }
}

/// Upper case, as Windows compares names.
pub(crate) fn fold(name: &[u16]) -> Vec<u16> {
    name.iter().map(|&unit| upcase(unit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Name, Node, Times};

    fn tree() -> Tree {
        let mut tree = Tree::empty(Times::default());
        let mut add = |parent: u32, long: &str, short: Option<&str>| {
            tree.nodes.push(Node::directory(Times::default(), None));
            let node = NodeId(tree.nodes.len() as u32 - 1);
            let utf16 = |text: &str| text.encode_utf16().collect();
            let short = short.map(utf16);
            tree.names.push(Name { parent: NodeId(parent), node, long: utf16(long), short });
        };
        add(0, "Program Files", Some("PROGRA~1"));
        add(1, "Über", None);
        add(1, "same", None);
        add(1, "SAME", None);
        tree
    }

    #[test]
    fn finds_by_any_spelling() {
        let tree = tree();
        let index = TreeIndex::new(&tree);
        let node = |path: &str| index.find(path).map(|(_, node)| node.0);
        assert_eq!(node("/"), Some(0));
        assert_eq!(node(""), Some(0));
        assert_eq!(node("program files\\über"), Some(2));
        assert_eq!(node("/progra~1/ÜBER/"), Some(2));
        assert_eq!(node("Program Files/same"), Some(3));
        assert_eq!(node("Program Files/SAME"), Some(4));
        assert_eq!(node("Program Files/nothing"), None);
        assert_eq!(index.path(NameId(1)), "/Program Files/Über");
        assert_eq!(index.children(NodeId(1)).len(), 3);
        let all = |path: &str| index.find_all(path).iter().map(|(_, node)| node.0).collect::<Vec<_>>();
        assert_eq!(all("*"), [1]);
        assert_eq!(all("pro*/s?m[e]"), [3, 4]);
        assert_eq!(all("*/*/*"), [0_u32; 0]);
        assert_eq!(all("Program Files/SAME"), [4]);
        assert_eq!(all("progra~1/*/"), [2, 3, 4]);
        assert_eq!(all("p*/SAME"), [4]);
    }
}
