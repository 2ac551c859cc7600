//! The system files: boot sector, `$MFT` and its mirror, `$Volume`, `$AttrDef`, `$LogFile`, `$BadClus`.

use std::ops::RangeInclusive;

use disk::ReadAt;

use super::report::{Code, Collector, Place};
use super::source::{Stream, Value};
use super::streams::Held;
use super::{Checker, MAX_RECORDS, Severity};
use crate::layout::record::flags as record_flags;
use crate::parse::{self, Boot, Fault, flags, kind, u16_at, u32_at, u64_at};

/// Numbers of system records.
pub(super) const MFT: u64 = 0;
pub(super) const MIRROR: u64 = 1;
pub(super) const LOG: u64 = 2;
pub(super) const VOLUME: u64 = 3;
pub(super) const ATTR_DEF: u64 = 4;
pub(super) const ROOT: u64 = 5;
pub(super) const BITMAP: u64 = 6;
pub(super) const BOOT: u64 = 7;
pub(super) const BAD_CLUSTERS: u64 = 8;
pub(super) const SECURE: u64 = 9;
pub(super) const UPCASE: u64 = 10;
pub(super) const EXTEND: u64 = 11;
/// In use, and without a name.
pub(super) const NAMELESS: RangeInclusive<u64> = 12..=15;

const NAMES: [&str; 12] = [
    "$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", ".", "$Bitmap", "$Boot", "$BadClus", "$Secure",
    "$UpCase", "$Extend",
];

/// Records that `$MFTMirr` repeats at least.
const MIRRORED: u64 = 4;
/// The smallest log that Linux' `ntfs3` mounts, and the smallest that Windows makes.
const MIN_LOG: u64 = 50 * 4096;
const MIN_OWN_LOG: u64 = 2 << 20;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;
/// No log is longer (its offsets have 32 bits).
const MAX_LOG: u64 = 4 << 30;

/// An entry of `$AttrDef`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Definition {
    pub(super) kind: u32,
    pub(super) must_be_resident: bool,
    pub(super) min: u64,
    pub(super) max: u64,
}

fn definitions(bytes: &[u8]) -> Vec<Definition> {
    let entry = |entry: &[u8]| Definition {
        kind: u32_at(entry, 128).unwrap_or_default(),
        must_be_resident: u32_at(entry, 140).unwrap_or_default() & 0x40 != 0,
        min: u64_at(entry, 144).unwrap_or_default(),
        max: u64_at(entry, 152).unwrap_or_default(),
    };
    bytes.chunks_exact(160).map(entry).take_while(|definition| definition.kind != 0).collect()
}

const FIELDS: [(usize, usize, &str); 12] = [
    (0x03, 8, "file system signature"),
    (0x0B, 2, "bytes per sector"),
    (0x0D, 1, "sectors per cluster"),
    (0x15, 1, "media descriptor"),
    (0x1C, 4, "hidden sectors"),
    (0x28, 8, "total sectors"),
    (0x30, 8, "cluster of $MFT"),
    (0x38, 8, "cluster of $MFTMirr"),
    (0x40, 1, "file record size"),
    (0x44, 1, "index block size"),
    (0x48, 8, "serial number"),
    (0x1FE, 2, "end signature"),
];

/// The first field in which two boot sectors differ.
fn difference(a: &[u8], b: &[u8]) -> Option<(usize, String)> {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    for (at, len, name) in FIELDS {
        let (x, y) = (&a[at..at + len], &b[at..at + len]);
        if x != y {
            return Some((at, format!("{name}: {:#x}, in the copy {:#x}", number(x), number(y))));
        }
    }
    let at = a.iter().zip(b).position(|(x, y)| x != y)?;
    Some((at, format!("byte {at:#x}: {:#x}, in the copy {:#x}", a[at], b[at])))
}

/// Whether there is a file record where a boot sector says that `$MFT` begins.
fn leads_to_mft(volume: &dyn ReadAt, boot: &Boot) -> bool {
    let mut bytes = vec![0; boot.record_size as usize];
    let at = boot.mft_lcn.saturating_mul(boot.cluster_size.into());
    volume.read_exact_at(&mut bytes, at).is_ok()
        && bytes[..4] == *b"FILE"
        && parse::unprotect(&mut bytes, "file record").is_ok()
        && parse::record(&bytes).is_ok_and(|record| record.header.allocated == boot.record_size)
}

/// The geometry of the volume: by the boot sector, or by its copy where that leads to `$MFT` and the sector does not.
pub(super) fn boot(volume: &dyn ReadAt, size: u64, found: &mut Collector) -> Option<Boot> {
    const SECTOR: usize = 512;
    let mut first = [0; SECTOR];
    let start = Place::volume(0);
    if let Err(error) = volume.read_exact_at(&mut first, 0) {
        found.add(Severity::Error, Code::BootSector, start, format_args!("boot sector: {error}"));
        return None;
    }
    let own = parse::boot(&first);
    let mut fault = |fault: &Fault| {
        found.add(Severity::Error, Code::BootSector, start.plus(fault.offset), format_args!("{fault}"));
    };
    if let Err(own) = &own {
        fault(own);
    }
    if first[0x1FE..] != [0x55, 0xAA] {
        let found = format_args!("{:#x}", u16::from_le_bytes([first[0x1FE], first[0x1FF]]));
        fault(&Fault::new("boot sector", "end signature", 0x1FE, found, "0xaa55"));
    }
    let zero = [(0x0E, 7, "reserved fields"), (0x16, 2, "sectors per FAT"), (0x20, 4, "short sector count")];
    for (at, len, name) in zero {
        if first[at..at + len].iter().any(|&byte| byte != 0) {
            let text = format_args!("boot sector: {name}: found {:x?}, expected zeros", &first[at..at + len]);
            found.add(Severity::Warning, Code::BootSector, start.plus(at), text);
        }
    }
    // The sector behind the last of the volume; where the size is wrong, the last there is.
    let by_size = own.as_ref().ok().map(Boot::len);
    let places =
        [by_size, size.checked_sub(512), size.checked_sub(4096), by_size.map(|len| len / 2 / 512 * 512)];
    let mut copy = None;
    for at in places.into_iter().flatten().filter(|&at| at > 0) {
        let mut bytes = [0; SECTOR];
        if volume.read_exact_at(&mut bytes, at).is_ok() && (bytes == first || bytes[3..11] == *b"NTFS    ") {
            copy = Some((at, bytes));
            break;
        }
    }
    match &copy {
        None => {
            let text = format_args!("no copy of the boot sector at the end of the volume");
            found.add(Severity::Error, Code::BootBackup, Place { record: None, offset: by_size }, text);
        }
        Some((at, bytes)) => {
            if let Some((offset, text)) = difference(&first, bytes) {
                let text = format_args!("boot sector and copy at {at:#x} differ: {text}");
                found.add(Severity::Error, Code::BootBackup, start.plus(offset), text);
            }
            if by_size.is_some_and(|wanted| wanted != *at) {
                let text = format_args!(
                    "the copy of the boot sector is at {at:#x}, expected {:#x}",
                    by_size.unwrap_or(0)
                );
                found.add(Severity::Error, Code::BootBackup, Place::volume(*at), text);
            }
        }
    }
    let other = copy.and_then(|(_, bytes)| parse::boot(&bytes).ok());
    let mut boot = match (own, other) {
        (Ok(own), Some(other)) if !leads_to_mft(volume, &own) && leads_to_mft(volume, &other) => {
            let text = format_args!(
                "there is no $MFT where the boot sector has it; where its copy has it, there is"
            );
            found.add(Severity::Error, Code::BootSector, start, text);
            other
        }
        (Ok(own), _) => own,
        (Err(_), Some(other)) => other,
        (Err(_), None) => return None,
    };
    let needed = boot.len().saturating_add(boot.sector_size.into());
    if size < needed {
        let text = format_args!(
            "{size} bytes, expected {needed}: the volume's sectors and one for the copy of the first"
        );
        found.add(Severity::Error, Code::VolumeSize, start.plus(0x28), text);
        // What is not there cannot be checked.
        boot.clusters = boot.clusters.min(size / u64::from(boot.cluster_size));
    } else if size - needed >= u64::from(boot.cluster_size).max(4096) {
        let text = format_args!("{size} bytes, the volume ends at {needed}");
        found.add(Severity::Note, Code::VolumeSize, start.plus(0x28), text);
    }
    Some(boot)
}

/// Reads the record of `$MFT` at a byte of the volume.
fn load(volume: &dyn ReadAt, at: u64, bytes: &mut [u8]) -> parse::Result<()> {
    volume
        .read_exact_at(bytes, at)
        .map_err(|error| Fault::new("file record", "record", 0, error, "that it can be read"))?;
    parse::unprotect(bytes, "file record")?;
    parse::record(bytes).map(|_| ())
}

/// Whether a record has an unnamed attribute in clusters, from its first cluster on.
fn has_clusters(bytes: &[u8], kind: u32) -> bool {
    parse::record(bytes).is_ok_and(|record| {
        record.attributes().map_while(parse::Result::ok).any(|a| {
            a.kind == kind && a.name.is_empty() && a.non_resident().is_some_and(|body| body.lowest_vcn == 0)
        })
    })
}

impl Checker<'_> {
    /// Finds `$MFT`'s runs and bitmap.
    pub(super) fn find_mft(&mut self) -> bool {
        let size = u64::from(self.boot.record_size);
        let cluster = self.cluster();
        let at = self.boot.mft_lcn * cluster;
        let mut bytes = vec![0; size as usize];
        let own = load(self.volume, at, &mut bytes);
        let place = Place::at(MFT, Some(at));
        if let Err(fault) = &own {
            let code = if fault.field.contains("update sequence") { Code::Fixup } else { Code::Record };
            self.error(code, place.plus(fault.offset), format_args!("the record of $MFT: {fault}"));
        }
        let missing = [(kind::DATA, "unnamed stream"), (kind::BITMAP, "bitmap")].map(|(kind, name)| {
            let missing = own.is_ok() && !has_clusters(&bytes, kind);
            if missing {
                self.error(Code::SystemFile, place, format_args!("$MFT has no {name} in clusters"));
            }
            missing
        });
        if own.is_err() || missing.contains(&true) {
            let mut copy = vec![0; size as usize];
            let second = load(self.volume, self.boot.mirror_lcn * cluster, &mut copy);
            if second.is_ok() && has_clusters(&copy, kind::DATA) {
                bytes.clone_from(&copy);
                self.first = Some(copy);
            } else if own.is_err() || missing[0] {
                return false;
            }
        }
        let Ok(record) = parse::record(&bytes) else { return false };
        let attributes: Vec<_> = record.attributes().map_while(parse::Result::ok).collect();
        self.mft.cluster = cluster;
        let body = attributes
            .iter()
            .filter(|a| a.kind == kind::DATA && a.name.is_empty())
            .find_map(|a| a.non_resident().filter(|body| body.lowest_vcn == 0));
        let Some(body) = body else { return false };
        self.mft.runs = parse::runs(body.pairs, 0, self.boot.clusters).map_while(parse::Result::ok).collect();
        (self.mft.size, self.mft.initialized) = (body.size, body.initialized);
        self.count_records();
        let held: Vec<Held<'_>> =
            attributes.iter().map(|&attribute| Held { holder: MFT, attribute }).collect();
        if let Some(Value::Clusters(list)) = self.value(&held, kind::ATTRIBUTE_LIST, "") {
            let list = Value::Clusters(list);
            self.extend_mft(&list);
        } else if let Some(list) = self.value(&held, kind::ATTRIBUTE_LIST, "") {
            self.extend_mft(&list);
        }
        if self.records == 0 {
            self.error(Code::SystemFile, Place::at(MFT, Some(at)), format_args!("$MFT has no records"));
            return false;
        }
        if self.mft.runs.first().and_then(|run| run.lcn) != Some(self.boot.mft_lcn) {
            let lcn = self.boot.mft_lcn;
            let text = format_args!("$MFT does not begin at cluster {lcn:#x}, where the boot sector has it");
            self.error(Code::BootPointers, Place::at(MFT, Some(at)), text);
        }
        if let Some(value) = self.value_of(MFT, kind::BITMAP, "") {
            let place = Place::at(MFT, value.place(0));
            // As much as there are records, and what the file has besides.
            let len = value.size().min(self.records.div_ceil(8) + (64 << 10));
            let mut bits = vec![0; len as usize];
            match value.read(self.volume, 0, &mut bits) {
                Ok(()) => self.mft_bits = Some(bits),
                Err(error) => self.unreadable(place, "bitmap of $MFT", &error),
            }
        }
        true
    }

    fn count_records(&mut self) {
        let size = u64::from(self.boot.record_size);
        let mapped = self.mft.clusters().saturating_mul(self.cluster());
        self.records = self.mft.size.min(mapped) / size;
        let limit = MAX_RECORDS.min(self.size / size);
        if self.records > limit {
            self.cut(format!("file records beyond {limit}"));
            self.records = limit;
        }
    }

    /// Adds the runs of `$MFT` that lie in extension records, each found through those before it.
    fn extend_mft(&mut self, list: &Value) {
        let Ok(Some(list)) = list.read_all(self.volume, super::streams::MAX_LIST) else { return };
        let mut parts: Vec<_> = parse::list(&list)
            .map_while(parse::Result::ok)
            .filter(|entry| entry.kind == kind::DATA && entry.name.is_empty() && entry.lowest_vcn > 0)
            .map(|entry| (entry.lowest_vcn, parse::record_of(entry.record)))
            .collect();
        parts.sort_unstable();
        for (vcn, number) in parts {
            if vcn != self.mft.clusters() {
                return;
            }
            let Some(bytes) = self.read_record(number) else { return };
            let Ok(record) = parse::record(&bytes) else { return };
            let body = record
                .attributes()
                .map_while(parse::Result::ok)
                .filter(|a| a.kind == kind::DATA && a.name.is_empty())
                .find(|a| a.non_resident().is_some_and(|body| body.lowest_vcn == vcn));
            let Some(body) = body.as_ref().and_then(parse::Attribute::non_resident) else { return };
            let runs = parse::runs(body.pairs, vcn, self.boot.clusters).map_while(parse::Result::ok);
            self.mft.runs.extend(runs);
            self.count_records();
        }
    }

    /// What records are judged by: `$AttrDef` and `$UpCase`.
    pub(super) fn load_tables(&mut self) {
        let standard = crate::system::attr_def();
        self.attr_def = definitions(&standard);
        let place = self.record_place(ATTR_DEF);
        match self.value_of(ATTR_DEF, kind::DATA, "") {
            None => self.error(Code::AttrDef, place, format_args!("no unnamed stream")),
            Some(value) => {
                let place = Place { offset: value.place(0), ..place };
                if let Some(bytes) = self.whole(&value, place, "$AttrDef") {
                    self.check_attr_def(&bytes, &standard, place);
                }
            }
        }
        self.load_upcase();
    }

    fn check_attr_def(&mut self, bytes: &[u8], standard: &[u8], place: Place) {
        let found = definitions(bytes);
        let sorted = found.windows(2).all(|pair| pair[0].kind < pair[1].kind);
        if found.first().is_none_or(|first| first.kind != kind::STANDARD_INFORMATION) || !sorted {
            self.error(
                Code::AttrDef,
                place,
                format_args!("the types are not sorted, or do not begin with 0x10"),
            );
            return;
        }
        let len = standard.len().min(bytes.len());
        let differs = bytes[..len].iter().zip(standard).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let text = format_args!(
                "differs from the usual table at byte {at:#x}: {:#x}, {:#x}",
                bytes[at], standard[at]
            );
            self.warning(Code::AttrDef, place.plus(at), text);
        } else if bytes.len() < standard.len() - 160 {
            self.warning(
                Code::AttrDef,
                place,
                format_args!("{} bytes, expected {}", bytes.len(), standard.len()),
            );
        }
        self.attr_def = found;
    }

    pub(super) fn check_system(&mut self) {
        for (number, name) in (0..).zip(NAMES) {
            self.check_system_file(number, name);
        }
        for number in NAMELESS {
            if self.state(number).is_none_or(|state| !state.in_use()) {
                let place = self.record_place(number);
                self.warning(Code::SystemFile, place, format_args!("a reserved record that is free"));
            }
        }
        self.check_mirror();
        self.check_volume();
        self.check_log();
        self.check_places();
    }

    fn check_system_file(&mut self, number: u64, name: &str) {
        let place = self.record_place(number);
        let Some(state) = self.state(number).cloned().filter(super::State::in_use) else {
            return self.error(Code::SystemFile, place, format_args!("{name} is missing"));
        };
        if state.is_damaged() {
            return;
        }
        match self.name_of(number) {
            Some((parent, found)) if found != name || parent != ROOT => {
                let text =
                    format_args!("the name is {found:?} in directory {parent}, expected {name:?} in {ROOT}");
                self.error(Code::SystemFile, place, text);
            }
            _ => {}
        }
        let wanted = match number {
            ROOT | EXTEND => record_flags::DIRECTORY,
            SECURE => record_flags::VIEW_INDEX,
            _ => 0,
        };
        if state.flags & !record_flags::IN_USE & !record_flags::EXTEND != wanted {
            let text =
                format_args!("flags {:#x}, expected {:#x}", state.flags, wanted | record_flags::IN_USE);
            self.error(Code::RecordFlags, place.plus(0x16), text);
        }
    }

    /// `$MFTMirr` is equal to the first records of `$MFT`.
    fn check_mirror(&mut self) {
        let size = self.boot.record_size as usize;
        let at = self.boot.mirror_lcn * self.cluster();
        for number in 0..MIRRORED {
            let offset = at + number * size as u64;
            let place = Place::at(MIRROR, Some(offset));
            let (mut one, mut two) = (vec![0; size], vec![0; size]);
            let read = self.mft.read_raw(self.volume, number * size as u64, &mut one);
            if let Err(error) = read.and_then(|()| self.volume.read_exact_at(&mut two, offset)) {
                self.unreadable(place, "$MFTMirr", &error);
                continue;
            }
            if one == two {
                continue;
            }
            // The update sequence may have gone on in one of them only.
            for bytes in [&mut one, &mut two] {
                if parse::unprotect(bytes, "file record").is_ok() {
                    let start = usize::from(u16_at(bytes, 4).unwrap_or_default());
                    let len = 2 * usize::from(u16_at(bytes, 6).unwrap_or_default());
                    if let Some(array) = bytes.get_mut(start..start + len) {
                        array.fill(0);
                    }
                }
            }
            if let Some(byte) = one.iter().zip(&two).position(|(a, b)| a != b) {
                let text = format_args!(
                    "record {number} differs from $MFT at byte {byte:#x}: {:#x}, expected {:#x}",
                    two[byte], one[byte]
                );
                self.error(Code::Mirror, place.plus(byte), text);
            }
        }
    }

    fn check_volume(&mut self) {
        let place = self.record_place(VOLUME);
        let Some(value) = self.value_of(VOLUME, kind::VOLUME_INFORMATION, "") else {
            return self.error(Code::SystemFile, place, format_args!("$Volume has no $VOLUME_INFORMATION"));
        };
        let place = Place { offset: value.place(0), ..place };
        let Some(bytes) = self.whole(&value, place, "$VOLUME_INFORMATION") else { return };
        let information = match parse::volume_information(&bytes) {
            Ok(information) => information,
            Err(fault) => return self.fault(Code::SystemFile, place, &fault),
        };
        let (major, minor) = (information.major, information.minor);
        if major != 3 || minor > 1 {
            self.error(
                Code::VolumeVersion,
                place.plus(8),
                format_args!("NTFS {major}.{minor}, expected 3.0 or 3.1"),
            );
        }
        // 0x0080 turns short names off (Windows 10 data volumes), 0x8000 says that chkdsk was here.
        const HARMLESS: u16 = 0x8080;
        let doubtful = information.flags & !HARMLESS;
        if doubtful != 0 || self.ours && information.flags != 0 {
            let text = format_args!(
                "flags {:#x}, expected 0: 1 is dirty, 2 resize log, 4 upgrade, 8 mounted on NT 4, 0x10 delete journal",
                information.flags
            );
            let severity = if self.ours { Severity::Error } else { Severity::Warning };
            self.found.add(severity, Code::VolumeFlags, place.plus(10), text);
        }
    }

    fn check_log(&mut self) {
        let place = self.record_place(LOG);
        let value = match self.value_of(LOG, kind::DATA, "") {
            Some(Value::Clusters(stream)) => stream,
            _ => return self.error(Code::LogFile, place, format_args!("no unnamed stream in clusters")),
        };
        let place = Place { offset: value.place(0), ..place };
        let least = if self.ours { MIN_OWN_LOG } else { MIN_LOG };
        if value.size < least || value.size >= MAX_LOG {
            let text = format_args!("{} bytes, expected {least} or more", value.size);
            return self.error(Code::LogFile, place, text);
        }
        if let Some(state) = self.state(LOG)
            && state.has_list()
        {
            self.error(Code::LogFile, place, format_args!("$LogFile has an attribute list"));
        }
        let mut pages = vec![0; 8192];
        if let Err(error) = value.read_raw(self.volume, 0, &mut pages) {
            return self.unreadable(place, "$LogFile", &error);
        }
        if pages.iter().all(|&byte| byte == 0xFF) {
            return self.check_empty_log(&value, place);
        }
        if self.ours {
            return self.error(
                Code::LogFile,
                place,
                format_args!("the log is in use, expected 0xff throughout"),
            );
        }
        match newest_restart(&pages) {
            None => self.warning(Code::LogFile, place, format_args!("neither empty nor with a restart page")),
            Some(Restart { clean: true, .. }) => {}
            Some(Restart { major, .. }) => {
                let text = format_args!("not closed (version {major}): Windows replays it at the next mount");
                self.warning(Code::LogFile, place, text);
            }
        }
    }

    fn check_empty_log(&mut self, value: &Stream, place: Place) {
        if !self.ours {
            return;
        }
        let mut buf = vec![0; CHUNK];
        let mut at = 0;
        while at < value.size {
            let len = (value.size - at).min(CHUNK as u64) as usize;
            if let Err(error) = value.read_raw(self.volume, at, &mut buf[..len]) {
                return self.unreadable(place, "$LogFile", &error);
            }
            if let Some(byte) = buf[..len].iter().position(|&byte| byte != 0xFF) {
                let offset = at + byte as u64;
                let place = Place { offset: value.place(offset), ..place };
                let text = format_args!("byte {offset:#x} is {:#x}, expected 0xff", buf[byte]);
                return self.error(Code::LogFile, place, text);
            }
            at += len as u64;
        }
    }

    /// Where system files must lie, and how long they must be.
    fn check_places(&mut self) {
        let cluster = self.cluster();
        let first = |value: &Option<Value>| match value {
            Some(Value::Clusters(stream)) => stream.runs.first().and_then(|run| run.lcn),
            _ => None,
        };
        for (record, name, wanted) in [(MIRROR, "$MFTMirr", self.boot.mirror_lcn), (BOOT, "$Boot", 0)] {
            let value = self.value_of(record, kind::DATA, "");
            let found = first(&value);
            let place = self.record_place(record);
            if found != Some(wanted) {
                let text = format_args!(
                    "{name} begins at cluster {}, expected {wanted:#x}",
                    found.map_or("none".into(), |lcn| format!("{lcn:#x}"))
                );
                self.error(Code::BootPointers, place, text);
            }
            let least = if record == BOOT { 512 } else { MIRRORED * u64::from(self.boot.record_size) };
            if value.as_ref().is_some_and(|value| value.size() < least) {
                self.error(Code::SystemFile, place, format_args!("{name} is shorter than {least} bytes"));
            }
        }
        let place = self.record_place(BAD_CLUSTERS);
        let clusters = self.boot.clusters;
        let wanted = clusters * cluster;
        match self.value_of(BAD_CLUSTERS, kind::DATA, "$Bad") {
            Some(Value::Clusters(stream)) => {
                if stream.clusters() != clusters || stream.size != wanted {
                    let text = format_args!(
                        "$Bad maps {:#x} clusters and {:#x} bytes, expected {clusters:#x} and {wanted:#x}",
                        stream.clusters(),
                        stream.size
                    );
                    self.error(Code::BadClusters, place, text);
                }
                if stream.mapped_clusters() > 0 {
                    let text = format_args!("{} clusters are marked as bad", stream.mapped_clusters());
                    self.strict(Code::BadClusters, place, text);
                }
            }
            _ => self.error(Code::BadClusters, place, format_args!("no stream $Bad in clusters")),
        }
        let place = self.record_place(BITMAP);
        if !matches!(self.value_of(BITMAP, kind::DATA, ""), Some(Value::Clusters(_))) {
            self.error(
                Code::AttributeResidence,
                place,
                format_args!("$Bitmap is resident, expected clusters"),
            );
        }
        for record in [MFT, MIRROR, LOG, BITMAP, BOOT] {
            let Some(parts) = self.parts(record) else { continue };
            let special = parts.attributes().iter().any(|held| {
                let special = flags::COMPRESSION | flags::SPARSE | flags::ENCRYPTED;
                held.attribute.kind == kind::DATA && held.attribute.flags & special != 0
            });
            if special {
                let place = self.record_place(record);
                self.error(
                    Code::SystemFile,
                    place,
                    format_args!("a system file that is compressed, sparse or encrypted"),
                );
            }
        }
    }
}

struct Restart {
    lsn: u64,
    clean: bool,
    major: u16,
}

/// The newest of the two restart pages at the beginning of a log.
fn newest_restart(pages: &[u8]) -> Option<Restart> {
    pages
        .chunks_exact(4096)
        .filter_map(|page| {
            if !matches!(page.first_chunk()?, b"RSTR" | b"CHKD") {
                return None;
            }
            let area = page.get(usize::from(u16_at(page, 0x18)?)..)?;
            let closed = u16_at(area, 0x0C)? == 0xFFFF || u16_at(area, 0x0E)? & 2 != 0;
            Some(Restart { lsn: u64_at(area, 0)?, clean: closed, major: u16_at(page, 0x1C)? })
        })
        .max_by_key(|restart| restart.lsn)
}
