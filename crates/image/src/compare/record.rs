//! What a build changed on purpose: the differences that have to be there.

use std::collections::{BTreeMap, HashMap};

use crate::edit::{Action, Change};
use crate::tree::{NodeId, Tree};
use crate::tree_index::{TreeIndex, fold};

/// What the build changed on one partition.
pub(super) struct Record<'a> {
    /// By path in upper case; and whether the disk has it so, as far as can be said without hashing.
    pub(super) changes: BTreeMap<Vec<u16>, (&'a Change, bool)>,
    /// Files of the image that have another content on the disk, whatever the name they are met by.
    pub(super) changed: HashMap<NodeId, Vec<u16>>,
}

impl<'a> Record<'a> {
    pub(super) fn new(changes: &'a [Change], partition: u32, tree: &Tree) -> Self {
        let here = changes.iter().filter(|change| change.partition == partition);
        let changes: BTreeMap<_, _> = here.map(|change| (folded(&change.path), (change, false))).collect();
        let index = TreeIndex::new(tree);
        let changed = changes
            .iter()
            .filter(|(_, (change, _))| change.action == Action::Changed)
            .filter_map(|(key, (change, _))| Some((index.find(&change.path)?.1, key.clone())))
            .collect();
        Self { changes, changed }
    }

    /// The change of this kind at a path, which now counts as met.
    pub(super) fn meet(&mut self, path: &str, action: Action) -> Option<&'a Change> {
        let (change, met) = self.changes.get_mut(&folded(path))?;
        (change.action == action).then(|| {
            *met = true;
            *change
        })
    }
}

fn folded(path: &str) -> Vec<u16> {
    fold(&path.encode_utf16().collect::<Vec<u16>>())
}

pub(super) fn describe(change: &Change) -> String {
    let action = match change.action {
        Action::Added => "added",
        Action::Changed => "changed",
        Action::Removed => "removed",
    };
    format!("{}: {action}: {}", change.path, change.reason)
}

/// The SHA-1 that a change states, if it states one.
pub(super) fn stated(change: &Change) -> Option<[u8; 20]> {
    let text = change.sha1.as_deref().filter(|text| text.len() == 40 && text.is_ascii())?;
    let mut hash = [0; 20];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
