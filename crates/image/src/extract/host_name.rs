//! Names of an image as names on the host.
//!
//! A name is kept when the host can have it. What it cannot have (too long in its encoding, characters, devices of
//! Windows, unpaired surrogates, a second spelling where case is ignored) becomes another name that nothing else in the
//! directory has: two files never become one. That is decided for a whole directory, so a file gets the same name
//! however it was asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::tree::NodeId;
use crate::tree_index::{NameId, TreeIndex};

/// The longest name that common file systems take: bytes on Unix, UTF-16 units on Windows.
const MAX_LEN: usize = 255;

/// The host's names, worked out directory by directory when first asked for.
pub(super) struct HostNames<'a> {
    index: &'a TreeIndex<'a>,
    ignores_case: bool,
    known: HashSet<NodeId>,
    changed: BTreeMap<NameId, String>,
}

impl<'a> HostNames<'a> {
    pub(super) fn new(index: &'a TreeIndex<'a>, ignores_case: bool) -> Self {
        Self { index, ignores_case, known: HashSet::new(), changed: BTreeMap::new() }
    }

    /// Where `name` goes, below the host's `directory`.
    pub(super) fn path(&mut self, name: NameId, directory: &Path) -> PathBuf {
        let parent = self.index.tree().names[name.0 as usize].parent;
        if self.known.insert(parent) {
            self.work_out(parent);
        }
        match self.changed.get(&name) {
            Some(changed) => directory.join(changed),
            None => directory.join(self.index.text(name)),
        }
    }

    /// The names among those given that had to be changed: their paths in the image, and what was written.
    pub(super) fn into_renamed(self, seen: &[bool], made: &[bool]) -> Vec<(String, String)> {
        let used = |name: &NameId| seen[name.0 as usize] || made[name.0 as usize];
        let used = self.changed.into_iter().filter(|(name, _)| used(name));
        used.map(|(name, changed)| (self.index.path(name), changed)).collect()
    }

    fn work_out(&mut self, directory: NodeId) {
        let ignores_case = self.ignores_case;
        let key = |name: &str| if ignores_case { name.to_uppercase() } else { name.to_owned() };
        let mut taken = HashSet::new();
        // Names that stay come first: nothing that is changed takes one from them.
        let mut others = Vec::new();
        for &name in self.index.children(directory) {
            let units = &self.index.tree().names[name.0 as usize].long;
            let legal = legal(units, cfg!(windows));
            let same = legal.encode_utf16().eq(units.iter().copied());
            if !same || !taken.insert(key(&legal)) {
                others.push((name, legal));
            }
        }
        let mut counts: HashMap<String, u32> = HashMap::new();
        for (name, legal) in others {
            let count = counts.entry(key(&legal)).or_insert(0);
            let free = loop {
                *count += 1;
                let suffix = if *count == 1 { String::new() } else { format!("~{count}") };
                let candidate = shortened(&legal, MAX_LEN - suffix.len(), cfg!(windows)).to_owned() + &suffix;
                if taken.insert(key(&candidate)) {
                    break candidate;
                }
            };
            self.changed.insert(name, free);
        }
    }
}

/// A name that is one legal path component.
fn legal(units: &[u16], windows: bool) -> String {
    let text = String::from_utf16_lossy(units);
    let legal = |c: char| match c {
        '\0' | '/' => false,
        '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '\u{1}'..='\u{1F}' => !windows,
        _ => true,
    };
    let mut name: String = text.chars().map(|c| if legal(c) { c } else { '_' }).collect();
    if matches!(name.as_str(), "" | "." | "..") || windows && is_device(&name) {
        name.insert(0, '_');
    }
    // Win32 drops these without a word.
    if windows && name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    let len = shortened(&name, MAX_LEN, windows).len();
    name.truncate(len);
    name
}

/// The longest start of a name that has no more than `max` bytes, or UTF-16 units on Windows.
fn shortened(name: &str, max: usize, windows: bool) -> &str {
    let len_of = |c: char| if windows { c.len_utf16() } else { c.len_utf8() };
    let mut len = 0;
    let end = name.char_indices().find(|&(_, c)| {
        len += len_of(c);
        len > max
    });
    &name[..end.map_or(name.len(), |(at, _)| at)]
}

/// Whether Win32 opens a device under that name, whatever the extension and the directory.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let numbered = ["COM", "LPT"].iter().find_map(|device| stem.strip_prefix(device));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || numbered.is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Name, Node, Times, Tree};

    fn flat(names: &[&[u16]]) -> Tree {
        let mut tree = Tree::empty(Times::default());
        for long in names {
            tree.nodes.push(Node::directory(Times::default(), None));
            let node = NodeId(tree.nodes.len() as u32 - 1);
            tree.names.push(Name { parent: NodeId::ROOT, node, long: (*long).into(), short: None });
        }
        tree
    }

    fn on_host(names: &[&[u16]], ignores_case: bool) -> Vec<String> {
        let tree = flat(names);
        let index = TreeIndex::new(&tree);
        let mut host = HostNames::new(&index, ignores_case);
        // Asked for from the last to the first: the order makes no difference.
        let mut found: Vec<String> = (0..names.len() as u32)
            .rev()
            .map(|name| host.path(NameId(name), Path::new("")).to_str().unwrap().to_owned())
            .collect();
        found.reverse();
        found
    }

    fn utf16(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn no_two_names_become_one() {
        let names: Vec<Vec<u16>> =
            ["a/b", "a_b", "a\0b", "a_b~2", "..", "_..", "."].map(utf16).into_iter().collect();
        let names: Vec<&[u16]> = names.iter().map(Vec::as_slice).collect();
        assert_eq!(on_host(&names, false), ["a_b~3", "a_b", "a_b~4", "a_b~2", "_..~2", "_..", "_."]);
        assert_eq!(
            on_host(&[&[0xD800], &[0xD801], &[0xFFFD]], false),
            ["\u{FFFD}~2", "\u{FFFD}~3", "\u{FFFD}"]
        );
    }

    #[test]
    fn spellings_where_case_is_ignored() {
        let names = ["Same", "same", "über", "ÜBER", "SAME~2"].map(utf16);
        let names: Vec<&[u16]> = names.iter().map(Vec::as_slice).collect();
        assert_eq!(on_host(&names, false), ["Same", "same", "über", "ÜBER", "SAME~2"]);
        assert_eq!(on_host(&names, true), ["Same", "same~3", "über", "ÜBER~2", "SAME~2"]);
    }

    #[test]
    fn names_that_are_too_long_stay_apart() {
        let names = [utf16(&("ű".repeat(200) + "1")), utf16(&("ű".repeat(200) + "2"))];
        let found = on_host(&[&names[0], &names[1]], false);
        assert_ne!(found[0], found[1]);
        assert!(found.iter().all(|name| (250..=255).contains(&name.len())), "{found:?}");
        assert_eq!(shortened(&"𝄞".repeat(200), 255, true).encode_utf16().count(), 254);
    }

    #[test]
    fn what_windows_cannot_have() {
        for (name, written) in [
            ("plain.txt", "plain.txt"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("aux .txt", "_aux .txt"),
            ("com1", "_com1"),
            ("COM²", "_COM²"),
            ("com10", "com10"),
            ("lpt", "lpt"),
            ("console", "console"),
            ("trailing.", "trailing_"),
            ("trailing ", "trailing_"),
            ("...", ".._"),
            ("C:", "C_"),
            ("file:stream", "file_stream"),
            ("a\\b\u{7}", "a_b_"),
            ("..", "_._"),
        ] {
            assert_eq!(legal(&utf16(name), true), written, "{name:?}");
            if ![".", ".."].contains(&name) {
                assert_eq!(legal(&utf16(name), false), name);
            }
        }
        assert_eq!(legal(&utf16(".."), false), "_..");
        assert_eq!(legal(&[], false), "_");
    }
}
