//! ISO 9660 (ECMA-119, which is free to read): the primary tree, with Rock Ridge names where it has them, and the Joliet
//! tree beside it.
//!
//! Nothing in it is checksummed. Numbers are stored in both byte orders; only the little-endian ones are read, as
//! Windows and Linux do, because media exist whose other halves are wrong.

mod descriptor;
mod directory;
mod layout;
mod rock_ridge;
mod time;

pub(crate) use self::descriptor::{Descriptors, Root};

use std::collections::BTreeSet;

use self::rock_ridge::RockRidge;
use crate::Result;
use crate::entry::{Entry, EntryKind, Extents, Place};
use crate::file::Run;
use crate::source::Source;

/// How names are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// As ISO 9660 has them, in bytes.
    Plain,
    /// As Rock Ridge has them, where it has them.
    RockRidge(RockRidge),
    /// As Joliet has them, in UTF-16.
    Joliet,
}

/// One of the trees of an image.
#[derive(Debug)]
pub(crate) struct Volume {
    source: Source,
    root: Root,
    names: Names,
}

impl Volume {
    /// The primary tree, as ISO 9660 has it.
    pub(crate) fn plain(source: &Source, root: Root) -> Self {
        Self { source: source.clone(), root, names: Names::Plain }
    }

    /// The primary tree with Rock Ridge; `None` when there is none.
    pub(crate) fn rock_ridge(source: &Source, root: Root) -> Option<Self> {
        let found = rock_ridge::find(source, &root)?;
        Some(Self { source: source.clone(), root, names: Names::RockRidge(found) })
    }

    /// The Joliet tree.
    pub(crate) fn joliet(source: &Source, root: Root) -> Self {
        Self { source: source.clone(), root, names: Names::Joliet }
    }

    pub(crate) fn root(&self) -> Entry {
        let place = Some(self.root.offset);
        let runs =
            if self.root.len == 0 { Vec::new() } else { vec![Run { offset: 0, len: self.root.len, place }] };
        Entry {
            name: Box::default(),
            kind: EntryKind::Directory,
            size: 0,
            modified: self.root.modified,
            created: None,
            accessed: None,
            hidden: false,
            place: Place::Iso9660(Extents { runs, unsupported: None }),
        }
    }

    /// What the directory in these extents holds.
    pub(crate) fn entries(&self, extents: &Extents) -> Result<Vec<Entry>> {
        let mut entries = directory::read(&self.source, &self.root, self.names, extents)?;
        // Of several versions of a file the first is the newest (ECMA-119, 10.3).
        let mut seen = BTreeSet::new();
        entries.retain(|entry| entry.is_directory() || seen.insert(entry.name.clone()));
        Ok(entries)
    }
}
