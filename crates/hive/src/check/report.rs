//! What a check finds, and how it is told.

use std::collections::BTreeMap;
use std::fmt;

pub use disk::Severity;

/// How many findings of each kind and severity a report lists.
const PER_CODE: u64 = 20;

disk::check_codes! {
    BaseBlock = "base-block": "The base block is damaged or of an unknown version.",
    Checksum = "checksum": "The checksum of the base block is wrong.",
    Dirty = "dirty": "The hive was not written to its end; its logs have to be applied.",
    BinsSize = "bins-size": "The bins are not as large as the base block says.",
    Bin = "bin": "The head of a bin is damaged.",
    Cell = "cell": "The size of a cell is impossible.",
    Reference = "reference": "An offset leads to no cell in use.",
    CellShared = "cell-shared": "A cell is used twice.",
    Unreferenced = "unreferenced": "Cells are in use, but nothing leads to them.",
    LostKey = "lost-key": "A key is there, but nothing leads to it.",
    Key = "key": "The record of a key is damaged.",
    KeyName = "key-name": "The name of a key is impossible.",
    KeyFlags = "key-flags": "The flags of a key do not fit its place.",
    RootFlags = "root-flags": "The root is not marked as the root of a hive.",
    Parent = "parent": "A key names another key as its parent.",
    Depth = "depth": "A path has more than 512 keys.",
    Class = "class": "A class name is not all there.",
    Volatile = "volatile": "Keys count volatile subkeys, which cannot be in a file.",
    Maxima = "maxima": "A key says of its subkeys or values that they are smaller than they are.",
    SubkeyList = "subkey-list": "A list of subkeys is damaged.",
    SubkeyListKind = "subkey-list-kind": "A list of subkeys is of a kind that the hive's version does not have.",
    SubkeyCount = "subkey-count": "A key has more or fewer subkeys than it says.",
    SubkeyOrder = "subkey-order": "Subkeys are not sorted.",
    SubkeyDuplicate = "subkey-duplicate": "Two subkeys have the same name when case is ignored.",
    SubkeyHash = "subkey-hash": "The hash or hint of a subkey's name is wrong.",
    ValueList = "value-list": "A list of values is damaged, or not as long as its key says.",
    Value = "value": "The record of a value is damaged.",
    ValueName = "value-name": "The name of a value is impossible.",
    ValueDuplicate = "value-duplicate": "Two values have the same name when case is ignored.",
    ValueData = "value-data": "The data of a value are not all there.",
    ValueSize = "value-size": "A value is larger than Windows takes.",
    BigData = "big-data": "A large value is not cut into segments as it has to be.",
    Security = "security": "The record of a security descriptor is damaged.",
    SecurityDescriptor = "security-descriptor": "A security descriptor is malformed.",
    SecurityCount = "security-count": "A security descriptor is used more or less often than it says.",
    SecurityRing = "security-ring": "The security descriptors are not all in one ring.",
    Symlink = "symlink": "A symbolic link has no target.",
    Trailing = "trailing": "There are bytes behind the hive.",
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault.
    pub code: Code,
    /// Byte offset in the file of the record or field.
    pub offset: u64,
    /// The key's path below the root with backslashes (the root's own is empty), for faults of a key.
    pub path: Option<String>,
    /// What was found and what was expected.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.code)?;
        match self.path.as_deref() {
            Some("") => f.write_str(": root")?,
            Some(path) => write!(f, ": {path}")?,
            None => {}
        }
        write!(f, ": {} (offset {:#x})", self.text, self.offset)
    }
}

/// More findings of a kind than the report holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct More {
    /// How bad they are.
    pub severity: Severity,
    /// Their kind.
    pub code: Code,
    /// How many are not listed.
    pub count: u64,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// The findings: errors first, then by code and offset; at most 20 of each kind and severity.
    pub findings: Vec<Finding>,
    /// Of which kinds there are more, in the same order.
    pub more: Vec<More>,
    /// How many errors there are, listed or not.
    pub errors: u64,
    /// How many warnings.
    pub warnings: u64,
    /// How many notes.
    pub notes: u64,
    /// Keys that were reached.
    pub keys: u64,
    /// Values of those keys.
    pub values: u64,
    /// Bytes of bins.
    pub bins_size: u64,
    /// Bytes of them in free cells.
    pub free: u64,
}

impl Report {
    /// Whether there is no error.
    pub const fn is_clean(&self) -> bool {
        self.errors == 0
    }

    /// Whether a kind of fault was found, at this severity or a worse one.
    pub fn has(&self, code: Code, severity: Severity) -> bool {
        self.findings.iter().any(|finding| finding.code == code && finding.severity <= severity)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut more = self.more.iter().peekable();
        for (i, finding) in self.findings.iter().enumerate() {
            writeln!(f, "{finding}")?;
            let key = (finding.severity, finding.code);
            let last = self.findings.get(i + 1).is_none_or(|next| (next.severity, next.code) != key);
            if let Some(more) = more.next_if(|more| last && (more.severity, more.code) == key) {
                writeln!(f, "{}: {}: and {} more", more.severity, more.code, more.count)?;
            }
        }
        let Self { keys, values, errors, warnings, notes, .. } = self;
        write!(f, "{keys} keys, {values} values: {errors} errors, {warnings} warnings, {notes} notes")
    }
}

/// Collects findings, a bounded number of each kind.
#[derive(Debug, Default)]
pub(super) struct Collector {
    kept: Vec<Finding>,
    counts: BTreeMap<(Severity, Code), u64>,
}

impl Collector {
    /// Adds a finding; text and path are made only when it is kept.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        code: Code,
        offset: u64,
        path: impl FnOnce() -> Option<String>,
        text: fmt::Arguments<'_>,
    ) {
        let count = self.counts.entry((severity, code)).or_default();
        *count += 1;
        if *count <= PER_CODE {
            self.kept.push(Finding { severity, code, offset, path: path(), text: text.to_string() });
        }
    }

    pub(super) fn into_report(mut self) -> Report {
        self.kept.sort();
        let count =
            |severity| self.counts.iter().filter(|(key, _)| key.0 == severity).map(|(_, count)| count).sum();
        let more = self
            .counts
            .iter()
            .filter(|&(_, &count)| count > PER_CODE)
            .map(|(&(severity, code), &count)| More { severity, code, count: count - PER_CODE });
        Report {
            more: more.collect(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            findings: self.kept,
            ..Report::default()
        }
    }
}
