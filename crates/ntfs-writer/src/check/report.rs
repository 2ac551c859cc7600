//! What a check finds, and how it is told.

use std::collections::BTreeMap;
use std::fmt;

pub use disk::Severity;

disk::check_codes! {
    Unreadable = "unreadable": "A part of the volume cannot be read, or lies past its end.",
    BootSector = "boot-sector": "The boot sector is damaged or impossible.",
    BootBackup = "boot-backup": "The copy of the boot sector differs from it.",
    BootPointers = "boot-pointers": "The boot sector and the file records disagree.",
    VolumeSize = "volume-size": "The boot sector and the volume disagree about the size.",
    Mirror = "mft-mirror": "$MFTMirr differs from the first records of $MFT.",
    SystemFile = "system-file": "A system file is missing or not as it must be.",
    VolumeVersion = "volume-version": "The volume is not of NTFS 3.",
    VolumeFlags = "volume-flags": "The volume is marked dirty, or for an upgrade.",
    AttrDef = "attrdef": "$AttrDef is not the usual table.",
    UpCase = "upcase": "$UpCase is damaged.",
    LogFile = "logfile": "$LogFile is not empty or clean.",
    BadClusters = "bad-clusters": "$BadClus does not describe the volume.",
    Record = "record": "A file record is no file record.",
    Fixup = "fixup": "The update sequence of a record or block does not match.",
    RecordHeader = "record-header": "A field of a record's header is wrong.",
    RecordUsed = "record-used": "A record does not end where it says.",
    RecordFlags = "record-flags": "The flags of a record do not fit its attributes.",
    AttributeHeader = "attribute-header": "The header of an attribute is wrong.",
    AttributeOrder = "attribute-order": "The attributes of a record are not sorted, or one is there twice.",
    AttributeInstance = "attribute-instance": "An attribute's number is not unique or not below the next.",
    AttributeType = "attribute-type": "$AttrDef does not have the type.",
    AttributeResidence = "attribute-residence": "The value may not be resident, or must be.",
    AttributeSize = "attribute-size": "The value is shorter or longer than $AttrDef allows.",
    IndexedFlag = "indexed-flag": "The flag of indexed values is set or clear against the rule.",
    MappingPairs = "mapping-pairs": "The clusters of a value cannot be decoded, or lie outside.",
    RunsUnmerged = "runs-unmerged": "Neighbouring runs are not merged, or longer than they need to be.",
    HighestVcn = "highest-vcn": "The parts of a value do not follow each other, or their ends are wrong.",
    AllocatedSize = "allocated-size": "The allocated size is not that of the runs.",
    DataSize = "data-size": "Initialized, data and allocated sizes are out of order.",
    TotalAllocated = "total-allocated": "The allocated total of a sparse or compressed value is wrong.",
    CompressionUnit = "compression-unit": "The compression unit or the method is impossible.",
    SparseFlags = "sparse-flags": "A hole in a value that is not sparse, or flags that contradict each other.",
    ClusterShared = "cluster-shared": "A cluster belongs to two values.",
    ClusterFree = "cluster-marked-free": "A cluster in use is free in $Bitmap.",
    ClusterUsed = "cluster-marked-used": "A cluster of nobody is in use in $Bitmap.",
    BitmapTail = "bitmap-tail": "Bits behind the last cluster are clear, or $Bitmap has the wrong length.",
    MftBitmap = "mft-bitmap": "$MFT's bitmap and the records disagree.",
    BaseReference = "base-reference": "An extension record and its base do not know each other.",
    AttributeList = "attribute-list": "An attribute list does not list what there is.",
    StandardInformation = "standard-information": "$STANDARD_INFORMATION is missing or wrong.",
    StandardFlags = "standard-flags": "The file attributes do not fit the file.",
    DataMissing = "data-missing": "A file has no unnamed stream.",
    NameMissing = "name-missing": "A file has no name.",
    LinkCount = "link-count": "The number of links is not that of the names.",
    FileName = "file-name": "A name is malformed, or Windows cannot use it.",
    Namespace = "namespace": "The namespace of a name is not legal for it, or its partner is missing.",
    NameCollision = "name-collision": "Two names of a directory are the same when case is ignored.",
    ParentReference = "parent-reference": "A name's parent is not that directory.",
    DirectoryLinks = "directory-links": "A directory has several names.",
    DirectoryLoop = "directory-loop": "A directory does not hang on the root.",
    NameNotIndexed = "name-not-indexed": "The directory does not list the name.",
    IndexRoot = "index-root": "An index root is missing or wrong.",
    IndexBlock = "index-block": "An index block is missing or wrong.",
    IndexEntry = "index-entry": "An entry of an index is malformed.",
    IndexOrder = "index-order": "The entries of an index are not sorted.",
    IndexDepth = "index-depth": "The leaves of an index lie at unequal depths.",
    IndexChildren = "index-children": "The entries and their node disagree about children.",
    IndexVcn = "index-vcn": "A block lies elsewhere than it says, or is reached twice.",
    IndexBitmap = "index-bitmap": "The bitmap of an index does not mark its blocks.",
    IndexTarget = "index-target": "An entry leads to a record that is free or no base.",
    IndexSequence = "index-sequence": "An entry has an old reference to its file.",
    IndexName = "index-name": "An entry has a name that its file does not have.",
    IndexNamespace = "index-namespace": "An entry and its file disagree about the namespace.",
    IndexParent = "index-parent": "An entry names another directory as its parent.",
    IndexDuplicate = "index-duplicate": "A name is listed twice.",
    IndexCopy = "index-copy": "What an entry repeats of its file is out of date.",
    SecurityId = "security-id": "A file has no security descriptor, or an id that $Secure lacks.",
    SecurityDescriptor = "security-descriptor": "A security descriptor is malformed.",
    SdsEntry = "sds-entry": "$SDS does not hold what $SII says.",
    SdsHash = "sds-hash": "The hash of a descriptor is wrong.",
    SdsMirror = "sds-mirror": "The second copy of a descriptor differs.",
    SecurityIndex = "security-index": "$SII and $SDH do not list the same descriptors.",
    ReparsePoint = "reparse-point": "A reparse point is malformed.",
    ReparseIndex = "reparse-index": "$Reparse does not list the reparse points.",
    ObjectIdIndex = "object-id-index": "$ObjId does not list the object ids.",
    QuotaIndex = "quota-index": "The two indexes of $Quota disagree.",
    Ea = "ea": "Extended attributes are malformed, or not those that $EA_INFORMATION counts.",
    Wof = "wof": "A file compressed by WOF cannot be decoded.",
    Slack = "slack": "Unused space is not zero.",
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault.
    pub code: Code,
    /// The file record, for faults of a file.
    pub record: Option<u64>,
    /// Byte offset in the volume of the field or structure.
    pub offset: Option<u64>,
    /// What was found and what was expected.
    pub text: String,
    /// The file's path with backslashes, where it has one.
    pub path: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.code)?;
        if let Some(record) = self.record {
            write!(f, ": record {record}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " {path}")?;
        }
        write!(f, ": {}", self.text)?;
        match self.offset {
            Some(offset) => write!(f, " (volume offset {offset:#x})"),
            None => Ok(()),
        }
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
    /// The findings: errors first, then by code, record and offset.
    pub findings: Vec<Finding>,
    /// Of which kinds there are more, in the same order.
    pub more: Vec<More>,
    /// How many errors there are, listed or not.
    pub errors: u64,
    /// How many warnings.
    pub warnings: u64,
    /// How many notes.
    pub notes: u64,
    /// What was not checked because it is beyond a limit; empty for volumes that nobody made to exhaust a checker.
    pub not_checked: Vec<String>,
    /// Bytes in a cluster; 0 when the boot sector does not say.
    pub cluster_size: u32,
    /// Clusters of the volume.
    pub clusters: u64,
    /// File records in use, extension records excluded.
    pub files: u64,
    /// File records that `$MFT` has room for.
    pub records: u64,
}

impl Report {
    /// Whether there is no error. (Something may not have been checked: see [`not_checked`](Self::not_checked).)
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
        for what in &self.not_checked {
            writeln!(f, "not checked: {what}")?;
        }
        let Self { files, errors, warnings, notes, .. } = self;
        write!(f, "{files} files: {errors} errors, {warnings} warnings, {notes} notes")
    }
}

/// Where a finding lies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) record: Option<u64>,
    pub(super) offset: Option<u64>,
}

impl Place {
    /// At a byte of the volume, of no file.
    pub(super) const fn volume(offset: u64) -> Self {
        Self { record: None, offset: Some(offset) }
    }

    /// The record as a whole.
    pub(super) const fn record(record: u64) -> Self {
        Self { record: Some(record), offset: None }
    }

    pub(super) const fn at(record: u64, offset: Option<u64>) -> Self {
        Self { record: Some(record), offset }
    }

    /// `by` bytes further.
    pub(super) fn plus(self, by: usize) -> Self {
        Self { offset: self.offset.map(|offset| offset.saturating_add(by as u64)), ..self }
    }
}

/// Collects findings, a bounded number of each kind.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) kept: Vec<Finding>,
    counts: BTreeMap<(Severity, Code), u64>,
    per_code: u64,
}

impl Collector {
    pub(super) const fn new(per_code: u64) -> Self {
        Self { kept: Vec::new(), counts: BTreeMap::new(), per_code }
    }

    pub(super) fn add(&mut self, severity: Severity, code: Code, place: Place, text: fmt::Arguments<'_>) {
        let count = self.counts.entry((severity, code)).or_default();
        *count += 1;
        if *count <= self.per_code {
            let Place { record, offset } = place;
            self.kept.push(Finding { severity, code, record, offset, text: text.to_string(), path: None });
        }
    }

    pub(super) fn into_report(mut self) -> Report {
        self.kept.sort();
        let count =
            |severity| self.counts.iter().filter(|(key, _)| key.0 == severity).map(|(_, count)| count).sum();
        let more = self
            .counts
            .iter()
            .filter(|&(_, &count)| count > self.per_code)
            .map(|(&(severity, code), &count)| More { severity, code, count: count - self.per_code });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_sorted_and_bounded() {
        let mut collector = Collector::new(2);
        for record in [9, 3, 7] {
            let place = Place::at(record, Some(record * 1024));
            collector.add(Severity::Note, Code::Slack, place, format_args!("found 1"));
        }
        collector.add(Severity::Error, Code::Wof, Place::volume(5), format_args!("found 2"));
        let report = collector.into_report();
        assert_eq!((report.errors, report.warnings, report.notes), (1, 0, 3));
        assert!(!report.is_clean() && report.has(Code::Slack, Severity::Note));
        assert!(!report.has(Code::Slack, Severity::Error) && report.has(Code::Wof, Severity::Note));
        assert_eq!(
            report.to_string(),
            "error: wof: found 2 (volume offset 0x5)\n\
             note: slack: record 3: found 1 (volume offset 0xc00)\n\
             note: slack: record 9: found 1 (volume offset 0x2400)\n\
             note: slack: and 1 more\n\
             0 files: 1 errors, 0 warnings, 3 notes"
        );
    }

    #[test]
    fn codes_are_unique_and_lower_case() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(Code::ALL.iter().all(|code| code.meaning().ends_with('.')));
    }
}
