//! A strict check of an NTFS volume, whoever wrote it.
//!
//! Windows must accept the volumes of this crate, and no Windows runs where they are made. So everything that is known
//! of what Windows' own checker, the drivers of Linux and other checkers look at is checked here, and what only Windows
//! looks at as well: order and depth of every index, the security store in both directions with its mirror and
//! hashes, reparse points and object ids against their indexes, namespaces, duplicated fields, the upper-case table.
//! `docs/ntfs-checkers.md` shows faults that no other tool reports.
//!
//! What is an error was calibrated and not decided: volumes that Windows formatted, used or repaired have no errors.
//! What they have that a strict reading would not allow (duplicated times and sizes that are out of date, remains in
//! unused space) is a note at most. For volumes of this crate's writer, which has no such excuse, [`Options::ours`]
//! makes errors of those notes.
//!
//! The check passes over `$MFT` twice. The first pass looks at each record alone and keeps a few dozen bytes of it,
//! each name as a hash, and all runs; the second puts files together from their records and walks the indexes. So
//! memory is some 150 bytes a file, and nothing is read by a reference that was not checked. All work is bounded by the
//! size of the volume, not by what fields claim; where a limit cuts the check short, [`Report::not_checked`] says so.
//! Nothing panics.

mod boot;
mod directory;
mod file;
mod index;
mod mft;
mod record;
mod report;
mod secure;
mod source;
mod space;
mod state;
mod streams;
mod system;
mod upcase;
mod view;

use std::cell::Cell;
use std::fmt;

use disk::{At, ReadAt};

pub use report::{Code, Finding, More, Report, Severity};

use crate::layout::number;
use crate::parse::{self, Boot, Fault};
use crate::{Error, Result};
use report::{Collector, Place};
use source::{Stream, Value};
use state::{Claim, NameRef, State};

/// What to check, and how strictly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The volume was made by this crate and not changed since: unused space is zero, runs are merged, the log is
    /// empty, nothing is out of date. What contradicts that is an error instead of a note.
    pub ours: bool,
    /// How many findings of each kind and severity the report lists.
    pub per_code: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { ours: false, per_code: 20 }
    }
}

impl Options {
    /// For volumes of this crate's writer.
    pub fn ours() -> Self {
        Self { ours: true, ..Self::default() }
    }
}

/// Checks the volume that `volume` holds from its first byte to its last, the copy of the boot sector included.
///
/// # Errors
/// Only when the length of the volume cannot be found out; whatever is wrong inside, unreadable parts included, is in
/// the report.
pub fn check(volume: &dyn ReadAt, options: &Options) -> Result<Report> {
    let size = volume.size().map_err(|source| Error::Io { at: At::new("the volume", 0), source })?;
    let mut found = Collector::new(options.per_code);
    let Some(boot) = boot::boot(volume, size, &mut found) else {
        return Ok(found.into_report());
    };
    let mut checker = Checker {
        volume,
        size,
        ours: options.ours,
        boot,
        found,
        mft: Stream::default(),
        records: 0,
        first: None,
        mft_bits: None,
        states: Vec::new(),
        names: Vec::new(),
        claims: Vec::new(),
        upcase: crate::upcase::table().to_vec(),
        attr_def: Vec::new(),
        points: Vec::new(),
        objects: Vec::new(),
        views: Vec::new(),
        security_ids: None,
        blocks_left: 0,
        bytes_left: Cell::new(0),
        not_checked: Vec::new(),
    };
    checker.run();
    Ok(checker.into_report())
}

/// Runs of clusters that are remembered: more would take more than 1 GiB.
const MAX_CLAIMS: usize = 32 << 20;
/// File records that are looked at: their states would take more than 1 GiB.
const MAX_RECORDS: u64 = 12 << 20;
/// Bytes that are read of a value that is taken as a whole.
const MAX_VALUE: u64 = 1 << 20;

struct Checker<'a> {
    volume: &'a dyn ReadAt,
    size: u64,
    ours: bool,
    boot: Boot,
    found: Collector,
    /// The value of `$MFT`.
    mft: Stream,
    /// How many records it has.
    records: u64,
    /// The record of `$MFT` itself from the mirror, where the first one is of no use.
    first: Option<Vec<u8>>,
    /// `$MFT`'s bitmap.
    mft_bits: Option<Vec<u8>>,
    states: Vec<State>,
    names: Vec<NameRef>,
    claims: Vec<Claim>,
    upcase: Vec<u16>,
    attr_def: Vec<system::Definition>,
    /// Reparse points as the keys of `$R`: tag, reference.
    points: Vec<(u32, u64)>,
    /// Object ids and the files that have them.
    objects: Vec<([u8; 16], u64)>,
    /// Records with view indexes other than those of `$Secure`.
    views: Vec<u64>,
    /// The ids in `$Secure`, sorted; `None` when they could not be read.
    security_ids: Option<Vec<u32>>,
    /// Index blocks that may still be read.
    blocks_left: u64,
    /// Bytes that may still be read of values that are taken as a whole: the same clusters may be mapped again and
    /// again, and must not be read again and again.
    bytes_left: Cell<u64>,
    not_checked: Vec<String>,
}

impl Checker<'_> {
    fn run(&mut self) {
        self.bytes_left.set(self.size.saturating_mul(4).saturating_add(256 << 20));
        if !self.find_mft() {
            return;
        }
        self.load_tables();
        // No volume has more index blocks than fit it; twice that allows for blocks that are reached again.
        self.blocks_left = 2 * (self.size / 512) + 64;
        self.scan_records();
        self.check_mft_bitmap();
        self.check_bases();
        self.check_names();
        self.check_secure();
        self.check_files();
        self.check_unlisted_names();
        self.check_views();
        self.check_system();
        self.check_clusters();
    }

    fn into_report(mut self) -> Report {
        let mut kept = std::mem::take(&mut self.found.kept);
        for finding in &mut kept {
            finding.path = finding.record.and_then(|record| self.path(record));
        }
        self.found.kept = kept;
        let mut report = self.found.into_report();
        report.not_checked = self.not_checked;
        report.cluster_size = self.boot.cluster_size;
        report.clusters = self.boot.clusters;
        report.records = self.records;
        report.files =
            self.states.iter().filter(|state| state.in_use() && !state.is_extension()).count() as u64;
        report
    }

    fn error(&mut self, code: Code, place: Place, text: fmt::Arguments<'_>) {
        self.found.add(Severity::Error, code, place, text);
    }

    fn warning(&mut self, code: Code, place: Place, text: fmt::Arguments<'_>) {
        self.found.add(Severity::Warning, code, place, text);
    }

    /// What volumes of Windows have, and ours must not.
    fn strict(&mut self, code: Code, place: Place, text: fmt::Arguments<'_>) {
        let severity = if self.ours { Severity::Error } else { Severity::Note };
        self.found.add(severity, code, place, text);
    }

    /// A fault of a structure that begins at `place`.
    fn fault(&mut self, code: Code, place: Place, fault: &Fault) {
        self.error(code, place.plus(fault.offset), format_args!("{fault}"));
    }

    fn unreadable(&mut self, place: Place, what: &str, error: &std::io::Error) {
        self.error(Code::Unreadable, place, format_args!("{what}: {error}"));
    }

    fn cut(&mut self, what: String) {
        if !self.not_checked.contains(&what) && self.not_checked.len() < 100 {
            self.not_checked.push(what);
        }
    }

    fn cluster(&self) -> u64 {
        u64::from(self.boot.cluster_size)
    }

    fn state(&self, record: u64) -> Option<&State> {
        self.states.get(usize::try_from(record).ok()?)
    }

    /// Where a record lies on the volume.
    fn record_place(&self, record: u64) -> Place {
        let offset = record.checked_mul(u64::from(self.boot.record_size)).and_then(|at| self.mft.place(at));
        Place::at(record, offset)
    }

    /// A record with its fixups undone; `None` when it cannot be read or is damaged.
    fn read_record(&self, number: u64) -> Option<Vec<u8>> {
        if number >= self.records {
            return None;
        }
        if let Some(first) = self.first.as_ref().filter(|_| number == number::MFT) {
            return Some(first.clone());
        }
        let mut bytes = vec![0; self.boot.record_size as usize];
        self.mft.read_raw(self.volume, number * u64::from(self.boot.record_size), &mut bytes).ok()?;
        if bytes[..4] != *b"FILE" {
            return None;
        }
        parse::unprotect(&mut bytes, "file record").ok()?;
        Some(bytes)
    }

    /// The first name of a record that is not only DOS', with its parent.
    fn name_of(&self, number: u64) -> Option<(u64, String)> {
        let bytes = self.read_record(number)?;
        let record = parse::record(&bytes).ok()?;
        let names =
            record.attributes().map_while(parse::Result::ok).filter(|a| a.kind == parse::kind::FILE_NAME);
        let names = names.filter_map(|a| parse::file_name(a.resident()?).ok());
        let best = names.min_by_key(|name| name.head.namespace == crate::names::DOS)?;
        Some((parse::record_of(best.head.parent), best.name.to_string()))
    }

    /// The path of a file, as far as its first name and those of its directories lead.
    fn path(&self, record: u64) -> Option<String> {
        const DEEPEST: usize = 128;
        let mut number = match self.state(record)? {
            state if state.is_extension() => u64::from(state.base),
            _ => record,
        };
        let mut parts = Vec::new();
        while number != number::ROOT && parts.len() < DEEPEST {
            let Some((parent, name)) = self.name_of(number) else {
                if parts.is_empty() {
                    return None;
                }
                parts.push("?".into());
                break;
            };
            parts.push(name);
            if parent == number {
                break;
            }
            number = parent;
        }
        if parts.len() == DEEPEST && number != number::ROOT {
            // It goes on, or is a circle.
            parts.push("...".into());
        }
        parts.reverse();
        Some(format!("\\{}", parts.join("\\")))
    }

    /// Whether `bytes` more may be read of values that are taken as a whole.
    fn may_read(&self, bytes: u64) -> bool {
        let left = self.bytes_left.get().checked_sub(bytes);
        self.bytes_left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// A value as a whole; a finding when it cannot be read or is longer than anyone writes it.
    fn whole(&mut self, value: &Value, place: Place, what: &str) -> Option<Vec<u8>> {
        if !self.may_read(value.size().min(MAX_VALUE)) {
            self.cut("values that together are longer than the volume".into());
            return None;
        }
        match value.read_all(self.volume, MAX_VALUE) {
            Ok(Some(bytes)) => Some(bytes),
            Ok(None) => {
                self.cut(format!("{what} of {} bytes (the limit is {MAX_VALUE})", value.size()));
                None
            }
            Err(error) => {
                self.unreadable(place, what, &error);
                None
            }
        }
    }
}
