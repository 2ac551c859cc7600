//! Whether a volume is sound, by the rules that `chkdsk` and `fsck.fat` enforce.
//!
//! Every directory is walked once, every chain followed once and every cluster given an owner once; a bit for each
//! cluster is all that is kept, so a table that leads in circles ends where it meets itself.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use binrw::BinRead;
use disk::ReadAt;
pub use disk::Severity;

use crate::layout::{ATTRIBUTE_DIRECTORY, ATTRIBUTE_LABEL, FIRST_CLUSTER, RawEntry, RawInfo};
use crate::name;
use crate::read::{Kind, LongName, Region, Table};
use crate::{Directory, Error, Result, Volume};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault; the names are stable.
    pub code: &'static str,
    /// The file or directory, where it is one's fault.
    pub path: Option<String>,
    /// Byte offset in the volume.
    pub offset: u64,
    /// What was found and what was expected.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.code)?;
        if let Some(path) = &self.path {
            write!(f, ": {path}")?;
        }
        write!(f, ": {} (volume offset {:#x})", self.text, self.offset)
    }
}

/// Findings that are listed; the others are counted.
const LISTED: usize = 1000;
/// Directories inside each other that are looked into.
const MAX_DEPTH: usize = 512;

/// The outcome of a check.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What was found, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub more: u64,
    /// Errors, listed or not.
    pub errors: u64,
    /// Warnings, listed or not.
    pub warnings: u64,
    /// Files and directories.
    pub files: u64,
    /// Clusters of the volume.
    pub clusters: u32,
    /// Bytes in a cluster.
    pub cluster_size: u32,
}

impl Report {
    /// Whether there are no errors.
    pub fn is_clean(&self) -> bool {
        self.errors == 0
    }

    fn add(&mut self, severity: Severity, code: &'static str, path: Option<&str>, offset: u64, text: String) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Note => {}
        }
        if self.findings.len() < LISTED {
            self.findings.push(Finding { severity, code, path: path.map(str::to_owned), offset, text });
        } else {
            self.more += 1;
        }
    }
}

/// Checks a volume.
///
/// # Errors
/// [`Error::Io`] when it cannot be read. What is wrong with it is in the report.
pub fn check(disk: Arc<dyn ReadAt>) -> Result<Report> {
    let mut report = Report::default();
    let volume = match Volume::open(disk) {
        Ok(volume) => volume,
        Err(Error::Malformed { at, reason } | Error::Unsupported { at, reason }) => {
            report.add(Severity::Error, "boot-sector", None, at.offset, reason);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    (report.clusters, report.cluster_size) = (volume.clusters, volume.cluster_size);
    let words = (volume.clusters as usize + FIRST_CLUSTER as usize).div_ceil(64);
    let mut checker = Checker {
        volume: &volume,
        table: Table::new(&volume),
        owned: vec![0; words],
        trail: vec![(0, String::new())],
        report,
    };
    checker.tables()?;
    checker.tree()?;
    let free = checker.lost()?;
    if volume.kind == Kind::Fat32 {
        checker.reserved(free)?;
    }
    Ok(checker.report)
}

struct Checker<'v> {
    volume: &'v Volume,
    table: Table<'v>,
    /// A bit for each cluster that a file or directory has.
    owned: Vec<u64>,
    /// The directories that are looked into, the root first: the number of the one above, and the name. Whole paths would
    /// take memory by depth times breadth.
    trail: Vec<(u32, String)>,
    report: Report,
}

/// An entry and the long name before it.
struct Listed {
    at: u64,
    raw: RawEntry,
    long: Option<Vec<u16>>,
    /// Whether pieces of another name came before it.
    stray: bool,
}

/// A directory to be looked into.
struct Open {
    directory: Directory,
    /// What its second entry has to lead to.
    above: u32,
    /// Its number in [`Checker::trail`].
    place: u32,
    depth: usize,
}

impl Checker<'_> {
    /// The first two entries of the table, and its copies.
    fn tables(&mut self) -> Result<()> {
        let (fat, media) = (self.volume.fat, self.volume.media);
        let (first, second) = (self.table.get(0)?, self.table.get(1)?);
        if first as u8 != media {
            let text = format!("media {:#04x}, the boot sector has {media:#04x}", first as u8);
            self.report.add(Severity::Warning, "fat-id", None, fat.start, text);
        }
        let (clean, sound) = match self.volume.kind {
            Kind::Fat12 => (true, true),
            Kind::Fat16 => (second & 0x8000 != 0, second & 0x4000 != 0),
            Kind::Fat32 => (second & 0x0800_0000 != 0, second & 0x0400_0000 != 0),
        };
        if !clean || self.volume.is_dirty() {
            let text = "the volume was not closed properly".to_owned();
            self.report.add(Severity::Warning, "volume-flags", None, self.table.offset(1), text);
        }
        if !sound {
            let text = "an error was met when the volume was last used".to_owned();
            self.report.add(Severity::Warning, "volume-flags", None, self.table.offset(1), text);
        }
        const BLOCK: u64 = 64 << 10;
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for copy in 1..=self.volume.copies {
            let mut at = 0;
            while at < fat.len {
                let len = BLOCK.min(fat.len - at) as usize;
                one.resize(len, 0);
                other.resize(len, 0);
                self.volume.read(&mut one, fat.start + at, "FAT")?;
                let start = fat.start + copy * fat.len + at;
                self.volume.read(&mut other, start, "FAT")?;
                if let Some(differs) = one.iter().zip(&other).position(|(a, b)| a != b) {
                    let text = format!(
                        "copy {copy} has {:#04x} where the table has {:#04x}",
                        other[differs], one[differs]
                    );
                    self.report.add(Severity::Error, "fat-copies", None, start + differs as u64, text);
                    break;
                }
                at += len as u64;
            }
        }
        Ok(())
    }

    fn tree(&mut self) -> Result<()> {
        let root = self.volume.root();
        let mut stack = vec![Open { directory: root, above: 0, place: 0, depth: 0 }];
        if root.0 != 0 {
            self.chain(root.0, "\\", self.volume.fat.start)?;
        }
        while let Some(open) = stack.pop() {
            let inside = self.directory(&open)?;
            stack.extend(inside.into_iter().rev());
        }
        Ok(())
    }

    /// Looks at a directory whose clusters have been claimed; returns those inside.
    fn directory(&mut self, open: &Open) -> Result<Vec<Open>> {
        let own_path = self.path(open.place);
        let shown = if own_path.is_empty() { "\\" } else { &own_path };
        let (listed, loose) = match self.list(open.directory) {
            Ok(found) => found,
            Err(error @ Error::Io { .. }) => return Err(error),
            // What a chain has was said when it was followed.
            Err(Error::Limit { at, .. }) => {
                let text = "more entries than a directory can have".to_owned();
                self.report.add(Severity::Error, "directory", Some(shown), at.offset, text);
                return Ok(Vec::new());
            }
            Err(_) => return Ok(Vec::new()),
        };
        let mut entries = listed.as_slice();
        if open.depth > 0 {
            entries = self.dots(open, &own_path, entries);
        }
        if loose {
            let at = listed.last().map_or(0, |last| last.at);
            let text = "pieces of a long name without an entry".to_owned();
            self.report.add(Severity::Warning, "long-name", Some(shown), at, text);
        }
        let mut inside = Vec::new();
        let mut names = BTreeSet::new();
        let mut labels = 0;
        for Listed { at, raw, long, stray } in entries {
            if raw.attributes & ATTRIBUTE_LABEL != 0 {
                labels += 1;
                if labels > 1 || open.depth > 0 {
                    let text = "a label that is not the volume's only one".to_owned();
                    self.report.add(Severity::Warning, "label", Some(shown), *at, text);
                }
                continue;
            }
            self.report.files += 1;
            let short = name::shown(&raw.name, 0);
            let own = long.as_deref().map_or_else(|| short.clone(), String::from_utf16_lossy);
            let path = format!("{own_path}\\{own}");
            let mut warn = |code, text: String| {
                self.report.add(Severity::Warning, code, Some(&path), *at, text);
            };
            if *stray {
                warn("long-name", "pieces of a long name that is not this file's".to_owned());
            }
            if let Some(bad) = bad_short(&raw.name) {
                warn("short-name", format!("byte {bad:#04x} in the short name"));
            }
            let both = [Some(name::folded(&short)), long.as_ref().map(|_| name::folded(&own))];
            // All are taken whichever is known: what is found must not depend on their order.
            let mut twice = false;
            for name in both.into_iter().flatten().collect::<BTreeSet<_>>() {
                twice |= !names.insert(name);
            }
            if twice {
                self.report.add(
                    Severity::Error,
                    "name-collision",
                    Some(&path),
                    *at,
                    "a second file of that name".to_owned(),
                );
            }
            if let Some(directory) = self.file(*at, raw, &path)?
                && open.depth < MAX_DEPTH
            {
                let above = if open.depth == 0 { 0 } else { open.directory.0 };
                let place = self.trail.len() as u32;
                self.trail.push((open.place, own));
                inside.push(Open { directory, above, place, depth: open.depth + 1 });
            }
        }
        Ok(inside)
    }

    /// The path of a directory, a backslash before each name; the root's is empty.
    fn path(&self, mut place: u32) -> String {
        let mut names = Vec::new();
        while place != 0 {
            let (above, name) = &self.trail[place as usize];
            names.push(name.as_str());
            place = *above;
        }
        names.iter().rev().fold(String::new(), |path, name| path + "\\" + name)
    }

    /// The entries of a directory, and whether pieces of a name come after the last.
    fn list(&self, directory: Directory) -> Result<(Vec<Listed>, bool)> {
        let mut listed = Vec::new();
        let long = RefCell::new((LongName::default(), false));
        self.volume.walk(
            directory,
            |at, raw| {
                let (name, pieces) = &mut *long.borrow_mut();
                let name = name.take(&raw);
                let stray = std::mem::take(pieces) && name.is_none();
                listed.push(Listed { at, raw, long: name, stray });
            },
            |piece| {
                let (name, pieces) = &mut *long.borrow_mut();
                *pieces = piece.is_some();
                name.add(piece);
            },
        )?;
        Ok((listed, long.into_inner().1))
    }

    /// A directory begins with itself and the one above.
    fn dots<'l>(&mut self, open: &Open, path: &str, listed: &'l [Listed]) -> &'l [Listed] {
        let mut rest = listed;
        for (name, cluster) in [(b".          ", open.directory.0), (b"..         ", open.above)] {
            let found = rest.first();
            let fits = found.is_some_and(|found| {
                found.raw.name == *name && found.raw.attributes & ATTRIBUTE_DIRECTORY != 0
            });
            let shown = String::from_utf8_lossy(name);
            let shown = shown.trim_end();
            let at = found.map_or(0, |found| found.at);
            if !fits {
                let text = format!("no entry {shown:?} where it belongs");
                self.report.add(Severity::Error, "dot-entries", Some(path), at, text);
                continue;
            }
            rest = &rest[1..];
            let leads = found.map_or(0, |found| self.cluster(&found.raw));
            if leads != cluster {
                let text = format!("{shown:?} leads to cluster {leads:#x}, expected {cluster:#x}");
                self.report.add(Severity::Error, "dot-entries", Some(path), at, text);
            }
        }
        rest
    }

    fn cluster(&self, raw: &RawEntry) -> u32 {
        let high = if self.volume.kind == Kind::Fat32 { raw.cluster_high } else { 0 };
        u32::from(high) << 16 | u32::from(raw.cluster_low)
    }

    /// Follows the clusters of a file or directory; returns the latter when it can be looked into.
    fn file(&mut self, at: u64, raw: &RawEntry, path: &str) -> Result<Option<Directory>> {
        let directory = raw.attributes & ATTRIBUTE_DIRECTORY != 0;
        let cluster = self.cluster(raw);
        let count = match (cluster, directory) {
            (0, false) => 0,
            _ => match self.chain(cluster, path, at)? {
                Some(count) => count,
                None => return Ok(None),
            },
        };
        if directory {
            if raw.size != 0 {
                let text = format!("a directory of {} bytes, expected 0", raw.size);
                self.report.add(Severity::Warning, "directory", Some(path), at, text);
            }
            return Ok(Some(Directory(cluster)));
        }
        let needed = u64::from(raw.size).div_ceil(u64::from(self.volume.cluster_size));
        if count != needed {
            let text = format!("{count} clusters for {} bytes, expected {needed}", raw.size);
            self.report.add(Severity::Error, "chain-length", Some(path), at, text);
        }
        Ok(None)
    }

    /// Claims the clusters of a chain and counts them; `None` when it is broken.
    fn chain(&mut self, first: u32, path: &str, entry: u64) -> Result<Option<u64>> {
        if let Err(error) = self.volume.checked(first, disk::At::new("cluster", entry)) {
            self.broken(path, error)?;
            return Ok(None);
        }
        let (mut cluster, mut count) = (first, 0);
        loop {
            let (word, bit) = (cluster as usize / 64, 1u64 << (cluster % 64));
            if self.owned[word] & bit != 0 {
                let text = format!("cluster {cluster:#x} belongs to something else, or came before");
                let offset = self.table.offset(cluster);
                self.report.add(Severity::Error, "cluster-shared", Some(path), offset, text);
                return Ok(None);
            }
            self.owned[word] |= bit;
            count += 1;
            match self.table.next(cluster) {
                Ok(Some(next)) => cluster = next,
                Ok(None) => return Ok(Some(count)),
                Err(error) => {
                    self.broken(path, error)?;
                    return Ok(None);
                }
            }
        }
    }

    fn broken(&mut self, path: &str, error: Error) -> Result<()> {
        let Error::Malformed { at, reason } = error else { return Err(error) };
        self.report.add(Severity::Error, "chain", Some(path), at.offset, reason);
        Ok(())
    }

    /// Clusters in use that nobody has; returns how many are free.
    fn lost(&mut self) -> Result<u32> {
        let bad = match self.volume.kind {
            Kind::Fat12 => 0xFF7,
            Kind::Fat16 => 0xFFF7,
            Kind::Fat32 => 0x0FFF_FFF7,
        };
        let (mut free, mut lost, mut first) = (0, 0u64, 0);
        for cluster in FIRST_CLUSTER..self.volume.clusters + FIRST_CLUSTER {
            let owned = self.owned[cluster as usize / 64] & 1 << (cluster % 64) != 0;
            match self.table.get(cluster)? {
                0 => free += 1,
                value if value == bad || owned => {}
                _ => {
                    first = if lost == 0 { cluster } else { first };
                    lost += 1;
                }
            }
        }
        if lost > 0 {
            let text = format!("{lost} clusters in use that no file has, the first is {first:#x}");
            self.report.add(Severity::Warning, "lost-clusters", None, self.table.offset(first), text);
        }
        Ok(free)
    }

    /// FSInfo and the copy of the first sector.
    fn reserved(&mut self, free: u32) -> Result<()> {
        let (volume, sector) = (self.volume, u64::from(self.volume.sector_size()));
        let first = volume.fat.start;
        let place = |number: u16| -> Option<Region> {
            let start = u64::from(number) * sector;
            (!matches!(number, 0 | u16::MAX) && start + 512 <= first).then_some(Region { start, len: 512 })
        };
        let mut bytes = [0; 512];
        match place(volume.info_sector) {
            None => {
                let text = format!("sector {}, expected one before the tables", volume.info_sector);
                self.report.add(Severity::Warning, "fsinfo", None, 0x30, text);
            }
            Some(Region { start, .. }) => {
                volume.read(&mut bytes, start, "FSInfo")?;
                let info = RawInfo::read(&mut Cursor::new(&bytes[..]));
                let problem = match info {
                    Ok(info) if info.signature != *b"rrAa" || info.end != 0xAA55_0000 => {
                        Some("no FSInfo sector".to_owned())
                    }
                    Ok(info) if info.free != u32::MAX && info.free != free => {
                        Some(format!("{} free clusters, expected {free}", info.free))
                    }
                    Ok(_) => None,
                    Err(_) => Some("no FSInfo sector".to_owned()),
                };
                if let Some(text) = problem {
                    self.report.add(Severity::Warning, "fsinfo", None, start, text);
                }
            }
        }
        if let Some(Region { start, .. }) = place(volume.backup_sector) {
            let mut own = [0; 512];
            volume.read(&mut own, 0, "boot sector")?;
            volume.read(&mut bytes, start, "boot sector")?;
            // What says whether the volume is in use is kept in the first alone.
            const STATE: usize = 0x41;
            (own[STATE], bytes[STATE]) = (0, 0);
            if let Some(differs) = own.iter().zip(&bytes).position(|(a, b)| a != b) {
                let text = format!("{:#04x} where the boot sector has {:#04x}", bytes[differs], own[differs]);
                self.report.add(Severity::Warning, "boot-backup", None, start + differs as u64, text);
            }
        }
        Ok(())
    }
}

/// A byte that a short name may not have.
fn bad_short(short: &[u8; 11]) -> Option<u8> {
    let bad = |(index, &byte): (usize, &u8)| match byte {
        0x05 => index > 0,
        b' ' => index == 0,
        byte => byte < b' ' || byte.is_ascii_lowercase() || b"\"*+,./:;<=>?[\\]|\x7F".contains(&byte),
    };
    short.iter().enumerate().find(|&found| bad(found)).map(|(_, &byte)| byte)
}
