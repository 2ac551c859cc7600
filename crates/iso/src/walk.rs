use std::collections::HashSet;

use disk::At;

use crate::entry::Entry;
use crate::limits::{DEPTH, ENTRIES};
use crate::{Error, Iso, Result};

/// Everything below a directory: what [`Iso::walk`] gives. An entry comes before what it holds.
///
/// An error speaks of what the directory that was yielded last holds (at first, of that where the walk began); the walk
/// goes on behind it, or ends when there are too many [entries](ENTRIES). A directory that was met before, because
/// it is inside itself or has two names, is an error and not entered again.
#[derive(Debug)]
pub struct Walk<'i> {
    iso: &'i Iso,
    /// Directories that are open, and what of them is still to come, last first.
    open: Vec<Vec<Entry>>,
    /// The directory that was yielded last, until it is entered.
    pending: Option<Entry>,
    seen: HashSet<u64>,
    /// Entries of all directories that were opened: what is still to come takes memory, too.
    found: u64,
}

/// A step of a [`Walk`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// 0 for what the directory holds in which the walk began.
    pub depth: usize,
    /// What was met.
    pub entry: Entry,
}

impl<'i> Walk<'i> {
    pub(crate) fn new(iso: &'i Iso, directory: &Entry) -> Self {
        Self { iso, open: Vec::new(), pending: Some(directory.clone()), seen: HashSet::new(), found: 0 }
    }

    /// Does not enter the directory that was yielded last.
    pub fn skip_directory(&mut self) {
        self.pending = None;
    }

    fn enter(&mut self, directory: &Entry) -> Result<()> {
        // An empty directory of ISO 9660 has no place, and nothing to go round in.
        let place = directory.identity();
        let at = At::new("directory", place.unwrap_or(0));
        if place.is_some_and(|place| !self.seen.insert(place)) {
            return Err(Error::malformed(at.what, at.offset, "is inside itself, or has a second name"));
        }
        Error::limit(at, "directories inside each other", self.open.len() as u64, DEPTH as u64)?;
        let mut entries = self.iso.entries(directory)?;
        self.found += entries.len() as u64;
        if let Err(error) = Error::limit(at, "number of files", self.found, ENTRIES) {
            self.open.clear();
            return Err(error);
        }
        entries.reverse();
        self.open.push(entries);
        Ok(())
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(directory) = self.pending.take()
            && let Err(error) = self.enter(&directory)
        {
            return Some(Err(error));
        }
        let entry = loop {
            match self.open.last_mut()?.pop() {
                Some(entry) => break entry,
                None => drop(self.open.pop()),
            }
        };
        if entry.is_directory() {
            self.pending = Some(entry.clone());
        }
        Some(Ok(Step { depth: self.open.len() - 1, entry }))
    }
}
