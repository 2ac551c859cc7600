//! Directories: every entry has its file and name, and every name has its entry.

use std::cmp::Ordering;

use super::Checker;
use super::index::Shape;
use super::report::{Code, Place};
use super::state::{NameRef, hash};
use super::streams::Held;
use crate::layout::index::collation;
use crate::layout::number;
use crate::names;
use crate::parse::{self, Entry, FileName, Utf16, kind, record_of, sequence_of};

/// The index of a directory.
pub(super) const I30: Shape =
    Shape { name: "$I30", kind: kind::FILE_NAME, collation: collation::FILE_NAME, order: by_name };

fn name_in(key: &[u8]) -> Vec<u16> {
    let len = key.get(64).map_or(0, |&len| 2 * usize::from(len));
    let bytes = key.get(66..).unwrap_or_default();
    Utf16::new(&bytes[..len.min(bytes.len())]).to_units()
}

fn by_name(upcase: &[u16], a: &[u8], b: &[u8]) -> Ordering {
    names::compare(upcase, &name_in(a), &name_in(b))
}

/// The bit that directories set for entries of directories, and that for files with view indexes.
const HAS_NAME_INDEX: u32 = 0x1000_0000;
const HAS_VIEW_INDEX: u32 = 0x2000_0000;

/// A short summary of the name before, to find those that differ in case only.
#[derive(Default)]
struct Before {
    name: Vec<u16>,
    namespace: u8,
}

impl Checker<'_> {
    pub(super) fn check_directory(&mut self, record: u64, held: &[Held<'_>]) {
        let mut before: Option<Before> = None;
        let has_root = self.walk_index(record, held, I30, &mut |checker, entry, place| {
            let name = match entry.file_name() {
                Ok(found) => found.name,
                Err(fault) => {
                    let text = format_args!("{fault}");
                    return checker.error(Code::IndexEntry, place, text);
                }
            };
            let units = name.name.to_units();
            if let Some(before) = &before {
                let same = names::compare_ignoring_case(&checker.upcase, &before.name, &units).is_eq();
                // Only POSIX names may differ in nothing but case.
                if same && (before.namespace != names::POSIX || name.head.namespace != names::POSIX) {
                    let text = format_args!("{:?} differs from another name in case only", name.name);
                    checker.error(Code::NameCollision, place, text);
                }
            }
            before = Some(Before { name: units, namespace: name.head.namespace });
            checker.check_entry(record, entry, &name, place);
        });
        if !has_root {
            let place = self.record_place(record);
            self.error(Code::IndexRoot, place, format_args!("a directory without an index of names"));
        }
    }

    fn check_entry(&mut self, directory: u64, entry: &Entry<'_>, name: &FileName<'_>, place: Place) {
        let target = record_of(entry.target);
        let shown = name.name;
        let key = place.plus(16);
        if entry.key.len() != 66 + 2 * name.name.len() {
            let text = format_args!(
                "{shown:?}: key of {} bytes, expected {}",
                entry.key.len(),
                66 + 2 * name.name.len()
            );
            self.error(Code::IndexEntry, place.plus(10), text);
        }
        let Some(state) = self.state(target).cloned().filter(super::State::in_use) else {
            let text = format_args!("{shown:?} leads to record {target}, which is free");
            return self.error(Code::IndexTarget, place, text);
        };
        if state.is_damaged() {
            return;
        }
        if state.is_extension() {
            let text = format_args!("{shown:?} leads to record {target}, which is an extension record");
            return self.error(Code::IndexTarget, place, text);
        }
        if state.sequence != sequence_of(entry.target) {
            let text = format_args!(
                "{shown:?} leads to record {target} with sequence number {}, expected {}",
                sequence_of(entry.target),
                state.sequence
            );
            self.error(Code::IndexSequence, place, text);
        }
        let own = self.state(directory).map_or(0, |own| own.sequence);
        let parent = name.head.parent;
        if record_of(parent) != directory || sequence_of(parent) != own {
            let text = format_args!(
                "{shown:?} has the parent {}/{}, expected {directory}/{own}",
                record_of(parent),
                sequence_of(parent)
            );
            self.error(Code::IndexParent, key, text);
        }
        self.match_name(directory, target, name, key);
        self.check_copy(target, &state, name, key);
    }

    /// Finds the entry's name among those of the file.
    fn match_name(&mut self, directory: u64, target: u64, name: &FileName<'_>, place: Place) {
        // More names that are the same in the same directory are wrong, however many.
        const SAME: usize = 8;
        let wanted = (target as u32, hash(name.name.as_bytes()), directory as u32);
        let key = |known: &NameRef| (known.record, known.hash, known.parent);
        let first = self.names.partition_point(|known| key(known) < wanted);
        let count = self.names[first..].iter().take(SAME).take_while(|known| key(known) == wanted).count();
        let here: Vec<usize> = (first..first + count).collect();
        let exact = here.iter().copied().filter(|&i| self.names[i].namespace == name.head.namespace);
        let shown = name.name;
        if let Some(i) = exact.clone().find(|&i| !self.names[i].seen) {
            self.names[i].seen = true;
        } else if exact.clone().next().is_some() {
            let text = format_args!("{shown:?} of record {target} is listed twice");
            self.error(Code::IndexDuplicate, place, text);
        } else if let Some(&i) = here.first() {
            let known = self.names[i];
            self.names[i].seen = true;
            let text = format_args!(
                "{shown:?} in namespace {}, the file has it in {}",
                name.head.namespace, known.namespace
            );
            self.error(Code::IndexNamespace, place.plus(0x41), text);
        } else {
            let text = format_args!("{shown:?}, which is no name that record {target} has in this directory");
            self.error(Code::IndexName, place, text);
        }
    }

    /// Whether a file lies somewhere below `$Extend`.
    pub(super) fn is_below_extend(&self, mut record: u64) -> bool {
        const DEEPEST: usize = 8;
        for _ in 0..DEEPEST {
            match self.state(record) {
                Some(_) if record == number::EXTEND => return true,
                Some(state) if state.names > 0 => record = state.parent.into(),
                _ => return false,
            }
        }
        false
    }

    /// What the entry repeats of the file.
    fn check_copy(&mut self, target: u64, state: &super::State, name: &FileName<'_>, key: Place) {
        let head = &name.head;
        let shown = name.name;
        let mut kinds = 0;
        kinds |= if state.is_directory() { HAS_NAME_INDEX } else { 0 };
        kinds |= if state.has_index() && !state.is_directory() { HAS_VIEW_INDEX } else { 0 };
        // format.com leaves the entries of system files zero, and Windows never updates them.
        if target < 16 || record_of(head.parent) == number::EXTEND {
            return;
        }
        if head.attributes & HAS_NAME_INDEX != kinds & HAS_NAME_INDEX {
            let text =
                format_args!("{shown:?} has attributes {:#x}, its file is {}a directory", head.attributes, {
                    if state.is_directory() { "" } else { "not " }
                });
            self.error(Code::IndexCopy, key.plus(0x38), text);
        } else if head.attributes != state.attributes & !0x10 | kinds {
            let expected = state.attributes & !0x10 | kinds;
            let text =
                format_args!("{shown:?} repeats attributes {:#x}, expected {expected:#x}", head.attributes);
            self.strict(Code::IndexCopy, key.plus(0x38), text);
        }
        let sizes = if state.is_directory() { (0, 0) } else { (state.allocated, state.size) };
        if (head.allocated, head.size) != sizes {
            let text = format_args!(
                "{shown:?} repeats sizes {:#x}, {:#x} (allocated, data), expected {:#x}, {:#x}",
                head.allocated, head.size, sizes.0, sizes.1
            );
            // Windows brings only the name up to date by which a file was opened, and none of the files that it
            // keeps open itself (observed: Windows 10, $TxfLog).
            if state.names > 1 || self.is_below_extend(target) {
                self.strict(Code::IndexCopy, key.plus(0x28), text);
            } else {
                self.error(Code::IndexCopy, key.plus(0x28), text);
            }
        }
        if head.tag != state.tag {
            let text = format_args!(
                "{shown:?} repeats reparse tag or EA size {:#x}, expected {:#x}",
                head.tag, state.tag
            );
            self.strict(Code::IndexCopy, key.plus(0x3C), text);
        }
        let mut times = [0; 32];
        for (bytes, time) in
            times.chunks_exact_mut(8).zip([head.created, head.modified, head.changed, head.accessed])
        {
            bytes.copy_from_slice(&time.to_le_bytes());
        }
        if hash(&times) != state.times {
            self.strict(
                Code::IndexCopy,
                key.plus(8),
                format_args!("{shown:?} repeats other times than its file has"),
            );
        }
    }

    /// Each name's parent is that directory; and each directory hangs on the root.
    pub(super) fn check_names(&mut self) {
        for i in 0..self.names.len() {
            let name = self.names[i];
            let parent = self.states.get(name.parent as usize);
            let reason = match parent {
                None => "does not exist",
                Some(parent) if !parent.in_use() => "is free",
                Some(parent) if parent.is_damaged() => continue,
                Some(parent) if !parent.is_directory() => "is no directory",
                Some(parent) if parent.sequence != name.parent_sequence => "has another sequence number",
                Some(_) => continue,
            };
            let text = format_args!("a name in record {}, which {reason}", name.parent);
            let place = self.record_place(name.record.into());
            self.error(Code::ParentReference, place, text);
        }
        if let Some(root) = self.states.get_mut(number::ROOT as usize) {
            root.set_reached();
        }
        let mut chain = Vec::new();
        for number in 0..self.states.len() {
            let state = &self.states[number];
            if !state.in_use() || !state.is_directory() || state.is_extension() {
                continue;
            }
            chain.clear();
            let mut at = number;
            // A directory that was met before and is not reached is on a loop.
            while let Some(state) = self.states.get_mut(at).filter(|state| {
                state.in_use()
                    && state.is_directory()
                    && !state.is_reached()
                    && !state.is_met()
                    && state.names > 0
            }) {
                state.set_met();
                chain.push(at);
                at = state.parent as usize;
            }
            if self.states.get(at).is_some_and(super::State::is_reached) {
                chain.iter().for_each(|&at| self.states[at].set_reached());
                continue;
            }
            let place = self.record_place(number as u64);
            self.error(Code::DirectoryLoop, place, format_args!("the directory does not hang on the root"));
            // Once is enough for all of them.
            chain.iter().for_each(|&at| self.states[at].set_reached());
        }
    }

    /// Names that no directory listed.
    pub(super) fn check_unlisted_names(&mut self) {
        for i in 0..self.names.len() {
            let name = self.names[i];
            if name.seen || self.state(name.record.into()).is_none_or(super::State::is_damaged) {
                continue;
            }
            let place = self.record_place(name.record.into());
            let text = format_args!(
                "directory {} does not list a name (namespace {}) of the file",
                name.parent, name.namespace
            );
            self.error(Code::NameNotIndexed, place, text);
        }
    }

    /// A DOS name has a Win32 partner in the same directory, and the other way round.
    pub(super) fn check_pairs(&mut self, record: u64, held: &[Held<'_>]) {
        let spaces: Vec<(u64, u8)> = held
            .iter()
            .filter(|held| held.attribute.kind == kind::FILE_NAME)
            .filter_map(|held| parse::file_name(held.attribute.resident()?).ok())
            .map(|name| (name.head.parent, name.head.namespace))
            .collect();
        let parents = |space: u8| {
            let mut parents: Vec<u64> =
                spaces.iter().filter(|name| name.1 == space).map(|name| name.0).collect();
            parents.sort_unstable();
            parents
        };
        let (win32, dos) = (parents(names::WIN32), parents(names::DOS));
        if win32 != dos {
            let place = self.record_place(record);
            let text = format_args!(
                "{} names in namespace 1 (Win32) and {} in 2 (DOS), expected pairs in the same directories",
                win32.len(),
                dos.len()
            );
            self.error(Code::Namespace, place, text);
        }
    }
}
