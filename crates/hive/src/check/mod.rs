//! A strict check of a hive, whoever wrote it.
//!
//! Windows repairs a hive when it loads it, and it does so by deleting what it does not like; a fault in the root makes
//! the hive unusable. So everything that a loader, the kernel's own check or another reader insists on is checked here.
//! The rules come from the specification of the format, from ReactOS' counterpart of the kernel's check, and from
//! counting: each was true without exception for 110,000 keys of Windows 7 to 10 before it became a rule.
//!
//! The check goes on after a fault wherever it can. Work and memory are bounded by the size of the file; nothing panics.

mod descriptor;
mod report;
mod security;
mod values;

use std::collections::BTreeMap;
use std::fmt;

pub use report::{Code, Finding, More, Report, Severity};

use crate::cells::{self, Bits, Cells, absolute, each_cell};
use crate::error::Error;
use crate::key::{MAX_DEPTH, MAX_KEY_NAME, flags};
use crate::layout::{BASE, BaseBlock, KeyNode, MINOR_HASH, NIL, PAGE, checksum, file_type, read, u32_at};
use crate::name::{hash, hint, units_of};
use crate::parse::{Entries, describe, entries};
use crate::{MINOR_VERSIONS, Name};
use report::Collector;

/// Bytes of the largest cell of a key: beyond, the kernel deletes it.
const MAX_KEY_CELL: usize = 0x45C;

/// Checks a hive. A dirty one is checked as it is: [`replay`](crate::replay) it before.
pub fn check(bytes: &[u8]) -> Report {
    let mut found = Collector::default();
    let Some(base) = base_block(bytes, &mut found) else { return found.into_report() };
    let bins = match cells::bins(bytes, base.bins_size) {
        Ok(bins) => {
            let trailing = bytes.len() - PAGE - bins.len();
            if trailing > 0 {
                let text = format_args!("{trailing:#x} bytes behind the bins");
                found.add(Severity::Note, Code::Trailing, (PAGE + bins.len()) as u64, || None, text);
            }
            bins
        }
        Err(error) => {
            fault(&mut found, Code::BinsSize, &error);
            // What is there of them can be looked at.
            let rest = bytes.get(PAGE..).unwrap_or_default();
            &rest[..rest.len().min(base.bins_size as usize) & !(PAGE - 1)]
        }
    };
    let cells = Cells::walk_on(bins, |error| {
        let bin = matches!(&error, Error::Malformed { at, .. } if at.what == "bin");
        fault(&mut found, if bin { Code::Bin } else { Code::Cell }, &error);
    });
    let mut checker = Checker {
        cells,
        listed: Bits::new(bins.len()),
        minor: base.minor,
        found,
        path: Some(Vec::new()),
        volatile: None,
        security: BTreeMap::new(),
        keys: 0,
        values: 0,
    };
    checker.tree(base.root);
    checker.path = None;
    if let Some((at, count)) = checker.volatile {
        // Loaders clear the number when they load a hive.
        let text =
            format_args!("{count} keys count volatile subkeys, which are not in the file; the first here");
        checker.add(Severity::Note, Code::Volatile, at, text);
    }
    checker.security_ring(base.root);
    let free = checker.unreferenced(bins);
    let Checker { found, keys, values, .. } = checker;
    Report { keys, values, bins_size: bins.len() as u64, free, ..found.into_report() }
}

/// Adds an error of the walk through the bins.
fn fault(found: &mut Collector, code: Code, error: &Error) {
    match error {
        Error::Malformed { at, reason } => {
            found.add(Severity::Error, code, at.offset, || None, format_args!("{reason}"));
        }
        other => found.add(Severity::Error, code, 0, || None, format_args!("{other}")),
    }
}

/// Checks the base block; `None` when there is none.
fn base_block(bytes: &[u8], found: &mut Collector) -> Option<BaseBlock> {
    let mut add = |severity, code, offset, text: fmt::Arguments<'_>| {
        found.add(severity, code, offset, || None, text);
    };
    let base = match BaseBlock::parse(bytes) {
        Ok(base) => base,
        Err(error) => {
            add(Severity::Error, Code::BaseBlock, 0, format_args!("{error}"));
            return None;
        }
    };
    let sum = checksum(bytes.first_chunk::<BASE>()?);
    if base.checksum != sum {
        let text = format_args!("{:#010x}, expected {sum:#010x}", base.checksum);
        add(Severity::Error, Code::Checksum, 0x1FC, text);
    }
    if base.file_type != file_type::PRIMARY {
        let text = format_args!("type {}, expected 0", base.file_type);
        add(Severity::Error, Code::BaseBlock, 0x1C, text);
    }
    if base.format != 1 {
        add(Severity::Error, Code::BaseBlock, 0x20, format_args!("format {}, expected 1", base.format));
    }
    if base.major != 1 || !MINOR_VERSIONS.contains(&base.minor) {
        let text = format_args!("version {}.{}, expected 1.3 to 1.6", base.major, base.minor);
        add(Severity::Error, Code::BaseBlock, 0x14, text);
    }
    if base.cluster != 1 {
        // Windows XP wrote 8 on disks with sectors of 4 KiB.
        let text = format_args!("clustering factor {}, expected 1", base.cluster);
        add(Severity::Warning, Code::BaseBlock, 0x2C, text);
    }
    if base.primary != base.secondary {
        let text =
            format_args!("sequence numbers {} and {}, expected equal ones", base.primary, base.secondary);
        add(Severity::Warning, Code::Dirty, 4, text);
    }
    Some(base)
}

pub(super) struct Checker<'a> {
    cells: Cells<'a>,
    /// Cells that were in a list of subkeys.
    listed: Bits,
    minor: u32,
    found: Collector,
    /// Names of the keys from below the root to the current one, during the walk through them.
    path: Option<Vec<Name>>,
    /// The first key that counts volatile subkeys, and how many do.
    volatile: Option<(u64, u64)>,
    /// How often each descriptor's cell is used.
    security: BTreeMap<u32, u32>,
    keys: u64,
    values: u64,
}

/// A key whose subkeys are being checked.
struct Open {
    cell: u32,
    /// Cells of the subkeys yet to be checked, the next one last.
    rest: Vec<(u32, Name)>,
}

/// What a parent says of a key.
struct Child {
    name: Name,
    class_len: u16,
}

impl<'a> Checker<'a> {
    fn add(&mut self, severity: Severity, code: Code, offset: u64, text: fmt::Arguments<'_>) {
        let path = &self.path;
        self.found.add(severity, code, offset, || path.as_deref().map(path_text), text);
    }

    fn error(&mut self, code: Code, offset: u64, text: fmt::Arguments<'_>) {
        self.add(Severity::Error, code, offset, text);
    }

    /// Claims a cell; reports when that is impossible.
    fn claim(&mut self, cell: u32, what: &str, from: u64) -> Option<&'a [u8]> {
        let Some(bytes) = self.cells.get(cell) else {
            self.error(Code::Reference, from, format_args!("no cell in use at {cell:#x} for the {what}"));
            return None;
        };
        if self.cells.mark(cell) {
            self.error(
                Code::CellShared,
                absolute(cell),
                format_args!("used again as {what}, from {from:#x}"),
            );
            return None;
        }
        Some(bytes)
    }

    fn enter(&mut self, name: Name) {
        self.path.get_or_insert_default().push(name);
    }

    fn leave(&mut self) {
        self.path.get_or_insert_default().pop();
    }

    fn tree(&mut self, root: u32) {
        let mut open: Vec<Open> = self.key(root, None, 0x24).into_iter().collect();
        while let Some(last) = open.last_mut() {
            let Some((next, name)) = last.rest.pop() else {
                open.pop();
                self.leave();
                continue;
            };
            let parent = last.cell;
            self.enter(name);
            if open.len() >= MAX_DEPTH {
                self.error(
                    Code::Depth,
                    absolute(next),
                    format_args!("more than {MAX_DEPTH} keys on the path"),
                );
                self.leave();
                continue;
            }
            match self.key(next, Some(parent), absolute(parent)) {
                Some(key) => open.push(key),
                None => {
                    self.leave();
                }
            }
        }
    }

    /// Checks a key but its subkeys.
    fn key(&mut self, cell: u32, parent: Option<u32>, from: u64) -> Option<Open> {
        let bytes = self.claim(cell, "key", from)?;
        let at = absolute(cell);
        if bytes.len() < KeyNode::LEN || bytes[..2] != *b"nk" {
            self.error(Code::Key, at, format_args!("{}", describe(bytes, "nk", KeyNode::LEN)));
            return None;
        }
        self.keys += 1;
        let node: KeyNode = read(bytes);
        self.key_head(&node, bytes, parent, at);
        if node.class_len > 0
            && let Some(class) = self.claim(node.class, "class name", at)
        {
            let len = usize::from(node.class_len);
            if class.len() < len || len % 2 == 1 {
                let text = format_args!("class name of {len:#x} bytes in a cell of {:#x}", class.len());
                self.error(Code::Class, at, text);
            }
        }
        self.use_security(node.security, at);
        self.key_values(&node, at);
        let mut rest = self.subkeys(&node, at);
        rest.reverse();
        Some(Open { cell, rest })
    }

    fn key_head(&mut self, node: &KeyNode, bytes: &[u8], parent: Option<u32>, at: u64) {
        if bytes.len() + 4 > MAX_KEY_CELL {
            let text =
                format_args!("cell of {:#x} bytes, expected at most {MAX_KEY_CELL:#x}", bytes.len() + 4);
            self.error(Code::Key, at, text);
        }
        match name_of(node, bytes) {
            Err(text) => self.error(Code::KeyName, at, format_args!("{text}")),
            Ok(name) => {
                let units = name.units();
                if units.is_empty() || units.len() > MAX_KEY_NAME {
                    let text =
                        format_args!("name of {} characters, expected 1 to {MAX_KEY_NAME}", units.len());
                    self.error(Code::KeyName, at, text);
                }
                if parent.is_some() && units.contains(&u16::from(b'\\')) {
                    self.add(Severity::Warning, Code::KeyName, at, format_args!("backslash in the name"));
                }
            }
        }
        match parent {
            None if node.flags & flags::ROOT == 0 => {
                // Windows sets them. Microsoft's offline library does not.
                let text = format_args!("flags {:#06x}, expected 0x4 or 0x8 among them", node.flags);
                self.add(Severity::Warning, Code::RootFlags, at, text);
            }
            None => {}
            Some(parent) => {
                if node.parent != parent {
                    let text = format_args!("parent at {:#x}, expected {parent:#x}", node.parent);
                    self.error(Code::Parent, at, text);
                }
                if node.flags & flags::HIVE_ENTRY != 0 {
                    let text = format_args!("flags {:#06x} of a hive's root", node.flags);
                    self.add(Severity::Warning, Code::KeyFlags, at, text);
                }
            }
        }
        if node.flags & flags::VOLATILE != 0 {
            self.error(Code::KeyFlags, at, format_args!("flags {:#06x} of a volatile key", node.flags));
        }
        if node.volatile_subkeys != 0 {
            self.volatile.get_or_insert((at, 0)).1 += 1;
        }
    }

    /// Checks the lists of subkeys; returns the cells of the subkeys, with their names where they can be read.
    fn subkeys(&mut self, node: &KeyNode, at: u64) -> Vec<(u32, Name)> {
        if node.subkeys == 0 {
            if node.list != NIL {
                let text = format_args!("no subkeys, but a list of them at {:#x}", node.list);
                self.error(Code::SubkeyCount, at, text);
            }
            return Vec::new();
        }
        let mut keys = Vec::new();
        self.list(node.list, at, true, &mut keys);
        if keys.len() != node.subkeys as usize {
            let text = format_args!("{} subkeys announced, {} listed", node.subkeys, keys.len());
            self.error(Code::SubkeyCount, at, text);
        }
        let mut children: Vec<(u32, Name)> = Vec::with_capacity(keys.len());
        let mut previous: Option<usize> = None;
        let (mut max_name, mut max_class) = (0, 0);
        for entry in &keys {
            // A key that is none, or listed elsewhere already, is reported when its turn comes. Looking at each only once
            // keeps the work within the size of the file.
            let Some(bytes) = self.cells.get(entry.cell) else {
                children.push((entry.cell, Name::default()));
                continue;
            };
            let Some(child) = (if self.listed.set(entry.cell as usize) { None } else { peek(bytes) }) else {
                children.push((entry.cell, Name::default()));
                continue;
            };
            entry.check(&child.name, self, at);
            max_name = max_name.max(2 * child.name.units().len());
            max_class = max_class.max(child.class_len);
            children.push((entry.cell, child.name));
            if let Some(previous) = previous.replace(children.len() - 1) {
                let (previous, name) = (&children[previous].1, &children[children.len() - 1].1);
                match previous.cmp_ignore_case(name) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => {
                        self.error(Code::SubkeyDuplicate, at, format_args!("{previous:?} and {name:?}"));
                    }
                    std::cmp::Ordering::Greater => {
                        self.error(Code::SubkeyOrder, at, format_args!("{name:?} comes after {previous:?}"));
                    }
                }
            }
        }
        if max_name > usize::from(node.max_name) {
            let text = format_args!("longest name of a subkey {:#x}, found {max_name:#x}", node.max_name);
            self.add(Severity::Warning, Code::Maxima, at, text);
        }
        if u32::from(max_class) > node.max_class {
            let text =
                format_args!("longest class name of a subkey {:#x}, found {max_class:#x}", node.max_class);
            self.add(Severity::Warning, Code::Maxima, at, text);
        }
        children
    }

    /// Adds the entries of a list, or of the lists in it.
    fn list(&mut self, cell: u32, from: u64, outermost: bool, keys: &mut Vec<Listed>) {
        let Some(bytes) = self.claim(cell, "list of subkeys", from) else { return };
        let at = absolute(cell);
        let (step, list) = match entries(bytes, at) {
            Ok(Entries::Keys(step, list)) => (step, list),
            Ok(Entries::Lists(lists)) => {
                if !outermost {
                    return self.error(
                        Code::SubkeyList,
                        at,
                        format_args!("a list of lists in a list of lists"),
                    );
                }
                for leaf in lists.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)) {
                    self.list(leaf, at, false, keys);
                }
                return;
            }
            Err(error) => {
                let reason = match error {
                    Error::Malformed { reason, .. } => reason,
                    other => other.to_string(),
                };
                return self.error(Code::SubkeyList, at, format_args!("{reason}"));
            }
        };
        if list.is_empty() {
            self.error(Code::SubkeyList, at, format_args!("an empty list"));
        }
        let hashed = bytes[..2] == *b"lh";
        if hashed && self.minor < MINOR_HASH {
            // What hivex writes into hives of every version.
            let minor = self.minor;
            let text = format_args!("list with hashes in version 1.{minor}, expected from 1.{MINOR_HASH} on");
            self.add(Severity::Warning, Code::SubkeyListKind, at, text);
        }
        keys.extend(list.chunks_exact(step).filter_map(|entry| {
            Some(Listed {
                cell: u32_at(entry, 0)?,
                sign: match entry.get(4..)?.first_chunk::<4>() {
                    None => Sign::None,
                    Some(bytes) if hashed => Sign::Hash(u32::from_le_bytes(*bytes)),
                    Some(bytes) => Sign::Hint(*bytes),
                },
            })
        }));
    }

    /// Reports cells in use that nothing led to; returns the free bytes.
    fn unreferenced(&mut self, bins: &[u8]) -> u64 {
        let (mut free, mut count, mut size, mut first) = (0, 0u64, 0u64, None);
        each_cell(bins, |cell| {
            let Ok(cell) = cell else { return };
            if !cell.used {
                free += cell.size as u64;
            } else if !self.cells.is_claimed(cell.offset) {
                count += 1;
                size += cell.size as u64;
                let at = (cell.offset + PAGE) as u64;
                first.get_or_insert(at);
                if let Some(child) = peek(&bins[cell.offset + 4..cell.offset + cell.size]) {
                    let text = format_args!("nothing leads to the key {:?}", child.name);
                    self.found.add(Severity::Error, Code::LostKey, at, || None, text);
                }
            }
        });
        if let Some(at) = first {
            let text = format_args!("{count} cells of {size:#x} bytes together, the first here");
            self.found.add(Severity::Warning, Code::Unreferenced, at, || None, text);
        }
        free
    }
}

/// An entry of a list of subkeys.
struct Listed {
    cell: u32,
    sign: Sign,
}

/// What a list says of a name.
enum Sign {
    None,
    Hint([u8; 4]),
    Hash(u32),
}

impl Listed {
    fn check(&self, name: &Name, checker: &mut Checker<'_>, at: u64) {
        match self.sign {
            Sign::None => {}
            Sign::Hash(found) => {
                let expected = hash(name.units());
                if found != expected {
                    let text = format_args!("hash of {name:?} is {found:#010x}, expected {expected:#010x}");
                    checker.error(Code::SubkeyHash, at, text);
                }
            }
            // Beginning with zero, it says nothing.
            Sign::Hint([0, ..]) => {}
            Sign::Hint(found) => {
                let expected = hint(name.units());
                if expected[0] != 0 && found != expected {
                    let (found, expected) = (found.escape_ascii(), expected.escape_ascii());
                    let text = format_args!("hint of {name:?} is \"{found}\", expected \"{expected}\"");
                    checker.error(Code::SubkeyHash, at, text);
                }
            }
        }
    }
}

/// The name of a key, if its cell holds it.
fn name_of(node: &KeyNode, bytes: &[u8]) -> Result<Name, String> {
    let (len, size) = (usize::from(node.name_len), bytes.len());
    let stored = bytes
        .get(KeyNode::LEN..)
        .and_then(|rest| rest.get(..len))
        .ok_or_else(|| format!("name of {len:#x} bytes in a cell of {size:#x}"))?;
    if node.flags & flags::LATIN1_NAME != 0 {
        return Ok(Name::from_latin1(stored));
    }
    Ok(Name::from_units(units_of(stored).ok_or_else(|| format!("name of {len} bytes in UTF-16"))?))
}

/// What a parent needs to know of a subkey, if it is one.
fn peek(bytes: &[u8]) -> Option<Child> {
    if bytes.len() < KeyNode::LEN || bytes[..2] != *b"nk" {
        return None;
    }
    let node: KeyNode = read(bytes);
    Some(Child { name: name_of(&node, bytes).ok()?, class_len: node.class_len })
}

/// The path of these names. A hive made to exhaust a checker has names and paths that nobody could read; they are cut.
fn path_text(names: &[Name]) -> String {
    const LONGEST: usize = 16 << 10;
    let mut text = String::new();
    // A key whose name cannot be read is reported as its parent's.
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !text.is_empty() {
            text.push('\\');
        }
        text.extend(name.to_string().chars().take(MAX_KEY_NAME));
        if text.len() > LONGEST {
            text.push('…');
            break;
        }
    }
    text
}
