//! The system files: the mirror of `$MFT`, `$Volume`, `$AttrDef`, `$LogFile`, `$BadClus`, and where each lies.

use super::report::{Code, Place};
use super::source::{Stream, Value};
use super::{Checker, Severity};
use crate::layout::number::{
    ATTR_DEF, BAD_CLUSTERS, BITMAP, BOOT, EXTEND, LOG, MFT, MIRROR, NAMELESS, ROOT, SECURE, VOLUME,
};
use crate::layout::record::flags as record_flags;
use crate::parse::{self, flags, kind, u16_at, u32_at, u64_at};

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

impl Checker<'_> {
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
