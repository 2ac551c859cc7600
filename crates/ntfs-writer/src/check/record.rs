//! The first pass: each file record by itself.

use std::cmp::Ordering;

use super::report::{Code, Place};
use super::state::{Claim, NameRef, hash};
use super::{Checker, MAX_CLAIMS, Severity};
use crate::layout::STRIDE;
use crate::layout::attribute::RESIDENT_LEN;
use crate::layout::number;
use crate::layout::record::END_LEN;
use crate::names;
use crate::parse::{self, Attribute, Body, NonResident, Record, flags, kind};

/// Bytes that are read at once.
const CHUNK: u64 = 256 << 10;

/// How an attribute is called in findings.
pub(super) fn kind_name(kind: u32) -> &'static str {
    kind::name(kind).unwrap_or("unknown attribute")
}

impl Checker<'_> {
    pub(super) fn scan_records(&mut self) {
        self.states = vec![super::State::default(); self.records as usize];
        let len = self.boot.record_size as usize;
        let per_chunk = (CHUNK / len as u64).max(1);
        let mut buf = Vec::new();
        let mut first = 0;
        while first < self.records {
            let count = per_chunk.min(self.records - first);
            buf.resize(count as usize * len, 0);
            let whole = self.mft.read_raw(self.volume, first * len as u64, &mut buf).is_ok();
            for (bytes, number) in buf.chunks_exact_mut(len).zip(first..) {
                // A chunk that cannot be read as a whole is read record by record, to say which is lost.
                if !whole && let Err(error) = self.mft.read_raw(self.volume, number * len as u64, bytes) {
                    let place = self.record_place(number);
                    self.unreadable(place, "file record", &error);
                    self.states[number as usize].set_damaged();
                    continue;
                }
                self.scan_record(number, bytes);
            }
            first += count;
        }
        self.names.sort_unstable();
    }

    pub(super) fn mft_bit(&self, record: u64) -> bool {
        // Where there is no bitmap, all that looks used counts as used.
        self.mft_bits.as_ref().is_none_or(|bits| {
            bits.get((record / 8) as usize).is_some_and(|byte| byte >> (record % 8) & 1 == 1)
        })
    }

    fn scan_record(&mut self, number: u64, bytes: &mut [u8]) {
        if parse::is_zero_record(bytes) {
            return;
        }
        let place = self.record_place(number);
        // What is wrong with a record that nobody uses harms nobody.
        let severity = if self.mft_bit(number) { Severity::Error } else { Severity::Note };
        if let Some(first) = self.first.as_ref().filter(|_| number == number::MFT) {
            bytes.copy_from_slice(first);
        }
        let outcome = match bytes.first_chunk::<4>() {
            Some(b"FILE") if number == number::MFT && self.first.is_some() => Ok(()),
            Some(b"FILE") => parse::unprotect(bytes, "file record").map_err(|fault| (Code::Fixup, fault)),
            _ => Ok(()),
        };
        let outcome = outcome.and_then(|()| parse::record(bytes).map_err(|fault| (Code::Record, fault)));
        let record = match outcome {
            Ok(record) => record,
            Err((code, fault)) => {
                let code = if fault.field == "bytes used" { Code::RecordUsed } else { code };
                self.found.add(severity, code, place.plus(fault.offset), format_args!("{fault}"));
                let state = &mut self.states[number as usize];
                state.set_damaged();
                if severity == Severity::Error {
                    state.set_in_use();
                }
                return;
            }
        };
        let state = &mut self.states[number as usize];
        state.sequence = record.header.sequence;
        if !record.in_use() {
            if self.ours && record.attributes().next().is_some() {
                self.error(Code::Record, place, format_args!("a free record with attributes"));
            }
            return;
        }
        state.set_in_use();
        state.flags = record.header.flags;
        state.links = record.header.links;
        if record.header.base != 0 {
            state.set_extension();
            state.base = u32::try_from(parse::record_of(record.header.base)).unwrap_or(u32::MAX);
            state.base_sequence = parse::sequence_of(record.header.base);
        }
        self.scan_header(number, place, &record);
        self.scan_attributes(number, place, &record);
    }

    fn scan_header(&mut self, number: u64, place: Place, record: &Record<'_>) {
        let header = &record.header;
        let size = record.bytes().len();
        let mut wrong = |field, offset, found: u64, expected: &dyn std::fmt::Display| {
            let text = format_args!("file record: {field}: found {found:#x}, expected {expected}");
            self.error(Code::RecordHeader, place.plus(offset), text);
        };
        if header.allocated as usize != size {
            wrong("bytes allocated", 0x1C, header.allocated.into(), &format_args!("{size:#x}"));
        }
        let array_end = usize::from(header.usa_offset) + 2 * (size / STRIDE + 1);
        if usize::from(header.attributes_offset) < array_end {
            let expected = format_args!("{array_end:#x} or more");
            wrong("offset of the attributes", 0x14, header.attributes_offset.into(), &expected);
        }
        // Before NTFS 3.1 the array lay where the number is now.
        if header.usa_offset >= 0x30 && u64::from(header.number) != number & 0xFFFF_FFFF {
            wrong("its own number", 0x2C, header.number.into(), &format_args!("{number:#x}"));
        }
        if header.sequence == 0 {
            wrong("sequence number", 0x10, 0, &"not 0");
        }
        if header.flags & !0x0F != 0 {
            wrong("flags", 0x16, header.flags.into(), &"no other than 1, 2, 4, 8");
        }
        if header.base != 0 && header.links != 0 && self.ours {
            let text = format_args!("file record: links of an extension: found {}, expected 0", header.links);
            self.error(Code::LinkCount, place.plus(0x12), text);
        }
    }

    fn scan_attributes(&mut self, number: u64, place: Place, record: &Record<'_>) {
        let mut attributes = record.attributes();
        let mut before: Option<Attribute<'_>> = None;
        let mut instances = Vec::with_capacity(8);
        for outcome in attributes.by_ref() {
            let attribute = match outcome {
                Ok(attribute) => attribute,
                Err(fault) => {
                    self.fault(Code::AttributeHeader, place, &fault);
                    self.states[number as usize].set_damaged();
                    return;
                }
            };
            let at = place.plus(attribute.offset);
            if let Some(before) = &before {
                self.scan_order(at, before, &attribute);
            }
            if attribute.instance >= record.header.next_instance {
                let (found, next) = (attribute.instance, record.header.next_instance);
                let text =
                    format_args!("instance {found} of {}, expected below {next}", kind_name(attribute.kind));
                self.error(Code::AttributeInstance, at.plus(14), text);
            }
            instances.push(attribute.instance);
            self.scan_attribute(number, at, &attribute);
            before = Some(attribute);
        }
        instances.sort_unstable();
        if let Some(pair) = instances.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format_args!("two attributes with instance {}, expected unique numbers", pair[0]);
            self.error(Code::AttributeInstance, place, text);
        }
        let (used, end) = (record.header.used as usize, attributes.position() + END_LEN);
        if used != end {
            let text = format_args!("file record: bytes used: found {used:#x}, expected {end:#x}");
            self.error(Code::RecordUsed, place.plus(0x18), text);
        }
        if record.bytes()[end - 4..].iter().any(|&byte| byte != 0) {
            let text = format_args!("bytes behind the end marker of the record are not zero");
            self.strict(Code::Slack, place.plus(end - 4), text);
        }
    }

    fn scan_order(&mut self, at: Place, before: &Attribute<'_>, attribute: &Attribute<'_>) {
        let order = before.kind.cmp(&attribute.kind).then_with(|| {
            let (a, b) = (before.name.to_units(), attribute.name.to_units());
            names::compare(&self.upcase, &a, &b)
        });
        let name = kind_name(attribute.kind);
        let vcn = |attribute: &Attribute<'_>| attribute.non_resident().map(|body| body.lowest_vcn);
        match order {
            Ordering::Less => {}
            Ordering::Greater => {
                let text = format_args!(
                    "{name} {:?} comes after {} {:?}",
                    attribute.name,
                    kind_name(before.kind),
                    before.name
                );
                self.error(Code::AttributeOrder, at, text);
            }
            // Several names, and several parts of a value.
            Ordering::Equal if attribute.kind == kind::FILE_NAME || vcn(before) < vcn(attribute) => {}
            Ordering::Equal => {
                self.error(Code::AttributeOrder, at, format_args!("{name} {:?} twice", attribute.name));
            }
        }
    }

    fn scan_attribute(&mut self, number: u64, at: Place, attribute: &Attribute<'_>) {
        let name = kind_name(attribute.kind);
        let definition = self.attr_def.iter().find(|definition| definition.kind == attribute.kind).copied();
        let Some(definition) = definition else {
            let text = format_args!("type {:#x}, which $AttrDef does not define", attribute.kind);
            self.error(Code::AttributeType, at, text);
            return;
        };
        let size = attribute.size();
        let is_part = attribute.non_resident().is_some_and(|body| body.lowest_vcn > 0);
        // A volume without a label has an empty one, and nothing minds (observed: Windows 10).
        let no_label = attribute.kind == kind::VOLUME_NAME && size == 0;
        if !is_part && !no_label && (size < definition.min || size > definition.max) {
            let expected = format_args!("{:#x}..={:#x}", definition.min, definition.max);
            self.error(
                Code::AttributeSize,
                at,
                format_args!("{name} of {size:#x} bytes, expected {expected}"),
            );
        }
        let known = flags::COMPRESSION | flags::ENCRYPTED | flags::SPARSE;
        if attribute.flags & !known != 0 {
            let text =
                format_args!("{name}: flags {:#x}, expected no other than {known:#x}", attribute.flags);
            self.error(Code::AttributeHeader, at.plus(12), text);
        }
        if !attribute.name.is_empty() && usize::from(attribute.name_offset) < RESIDENT_LEN {
            let text =
                format_args!("{name}: name at {:#x}, expected behind the header", attribute.name_offset);
            self.error(Code::AttributeHeader, at.plus(10), text);
        }
        match &attribute.body {
            Body::Resident { value, value_offset, indexed } => {
                if attribute.kind == kind::INDEX_ALLOCATION {
                    let text = format_args!("{name} is resident, expected clusters");
                    self.error(Code::AttributeResidence, at.plus(8), text);
                }
                let wanted = u8::from(attribute.kind == kind::FILE_NAME);
                if *indexed != wanted {
                    let text = format_args!("{name}: indexed flag {indexed}, expected {wanted}");
                    self.error(Code::IndexedFlag, at.plus(22), text);
                }
                if !value_offset.is_multiple_of(8) {
                    let text = format_args!("{name}: value at {value_offset:#x}, expected a multiple of 8");
                    self.error(Code::AttributeHeader, at.plus(20), text);
                }
                let end = value_offset + value.len();
                let name_end = usize::from(attribute.name_offset) + attribute.name.as_bytes().len();
                if !attribute.name.is_empty() && (name_end > *value_offset || attribute.len < end) {
                    let text = format_args!(
                        "{name}: name ends at {name_end:#x}, expected before the value at {value_offset:#x}"
                    );
                    self.error(Code::AttributeHeader, at.plus(10), text);
                }
                if attribute.len >= end + 8 {
                    self.strict(
                        Code::AttributeHeader,
                        at.plus(4),
                        format_args!("{name}: length {:#x} for a value that ends at {end:#x}", attribute.len),
                    );
                }
                self.scan_value(number, at.plus(*value_offset), attribute, value);
            }
            Body::NonResident(body) => {
                if definition.must_be_resident {
                    let text = format_args!("{name} lies in clusters, expected resident");
                    self.error(Code::AttributeResidence, at.plus(8), text);
                }
                self.scan_runs(number, at, attribute, body);
            }
        }
        if attribute.kind == kind::DATA && attribute.name.is_empty() && !is_part {
            let base = self.base_of(number);
            if let Some(state) = self.states.get_mut(base) {
                (state.size, state.allocated) = match &attribute.body {
                    Body::Resident { value, .. } => (size, (value.len() as u64).next_multiple_of(8)),
                    // What directories repeat is what the file really takes.
                    Body::NonResident(body) => (size, body.total.unwrap_or(body.allocated)),
                };
            }
        }
    }

    /// The index of the state of the file that a record belongs to.
    fn base_of(&self, number: u64) -> usize {
        match &self.states[number as usize] {
            state if state.is_extension() => state.base as usize,
            _ => number as usize,
        }
    }

    /// A resident value whose form needs nothing but itself.
    fn scan_value(&mut self, number: u64, at: Place, attribute: &Attribute<'_>, value: &[u8]) {
        let base = self.base_of(number);
        match attribute.kind {
            kind::STANDARD_INFORMATION => {
                let standard = match parse::standard_information(value) {
                    Ok(standard) => standard,
                    Err(fault) => return self.fault(Code::StandardInformation, at, &fault),
                };
                if self.states[number as usize].is_extension() {
                    let text =
                        format_args!("$STANDARD_INFORMATION in an extension record, expected in the base");
                    self.error(Code::StandardInformation, at, text);
                }
                let state = &mut self.states[number as usize];
                state.set_standard();
                state.attributes = standard.attributes;
                state.security = standard.security;
                state.times = hash(&value[..32]);
            }
            kind::ATTRIBUTE_LIST => self.states[number as usize].set_list(),
            kind::SECURITY_DESCRIPTOR => {
                if let Some(state) = self.states.get_mut(base) {
                    state.set_descriptor();
                }
                if let Err(fault) = parse::descriptor(value) {
                    self.fault(Code::SecurityDescriptor, at, &fault);
                }
            }
            kind::INDEX_ROOT => {
                if let Some(state) = self.states.get_mut(base) {
                    state.set_index();
                }
            }
            kind::FILE_NAME => self.scan_name(number, at, value),
            _ => {}
        }
    }

    fn scan_name(&mut self, number: u64, at: Place, value: &[u8]) {
        let name = match parse::file_name(value) {
            Ok(name) => name,
            Err(fault) => return self.fault(Code::FileName, at, &fault),
        };
        let base = self.base_of(number);
        let units = name.name.to_units();
        let head = &name.head;
        let parent = u32::try_from(parse::record_of(head.parent)).unwrap_or(u32::MAX);
        if number != number::ROOT {
            if let Some(fault) = names::fault(&units) {
                self.error(Code::FileName, at, format_args!("{:?}: {fault}", name.name));
            }
            let reason = match head.namespace {
                names::POSIX => None,
                names::WIN32 => (!names::is_win32(&units)).then_some("Win32 does not allow the name"),
                names::DOS | names::WIN32_AND_DOS => {
                    (!names::is_short(&units)).then_some("it is no 8.3 name")
                }
                _ => Some("expected 0 to 3"),
            };
            if let Some(reason) = reason {
                let text = format_args!("{:?} in namespace {}: {reason}", name.name, head.namespace);
                self.error(Code::Namespace, at.plus(0x41), text);
            }
        }
        if let Some(state) = self.states.get_mut(base) {
            state.names = state.names.saturating_add(1);
            if head.namespace != names::DOS {
                state.long_names = state.long_names.saturating_add(1);
                state.parent = parent;
            }
        }
        if self.names.len() >= MAX_CLAIMS {
            return self.cut(format!("more than {MAX_CLAIMS} names"));
        }
        self.names.push(NameRef {
            record: base as u32,
            hash: hash(name.name.as_bytes()),
            parent,
            namespace: head.namespace,
            seen: false,
            parent_sequence: parse::sequence_of(head.parent),
        });
    }

    fn scan_runs(&mut self, number: u64, at: Place, attribute: &Attribute<'_>, body: &NonResident<'_>) {
        let name = kind_name(attribute.kind);
        if attribute.kind == kind::ATTRIBUTE_LIST {
            self.states[number as usize].set_list();
        }
        if attribute.kind == kind::SECURITY_DESCRIPTOR {
            let base = self.base_of(number);
            if let Some(state) = self.states.get_mut(base) {
                state.set_descriptor();
            }
        }
        if !body.pairs_offset.is_multiple_of(8) {
            let text =
                format_args!("{name}: mapping pairs at {:#x}, expected a multiple of 8", body.pairs_offset);
            self.error(Code::AttributeHeader, at.plus(32), text);
        }
        let mut runs = parse::runs(body.pairs, body.lowest_vcn, self.boot.clusters);
        let mut before: Option<parse::Run> = None;
        for outcome in runs.by_ref() {
            let run = match outcome {
                Ok(run) => run,
                Err(fault) => {
                    self.fault(Code::MappingPairs, at.plus(body.pairs_offset), &fault);
                    return;
                }
            };
            let follows = before.is_some_and(|before| match (before.lcn, run.lcn) {
                (Some(a), Some(b)) => a + before.clusters == b,
                (None, None) => true,
                _ => false,
            });
            if follows {
                let text =
                    format_args!("{name}: the run at VCN {:#x} could be part of the one before", run.vcn);
                self.strict(Code::RunsUnmerged, at.plus(body.pairs_offset), text);
            }
            if let Some(lcn) = run.lcn {
                if self.claims.len() >= MAX_CLAIMS {
                    self.cut(format!("more than {MAX_CLAIMS} runs of clusters"));
                } else {
                    let record = number as u32;
                    self.claims.push(Claim { lcn, clusters: run.clusters, record, kind: attribute.kind });
                }
            }
            before = Some(run);
        }
        let end = runs.next_vcn() as i64 - 1;
        // An empty value may say 0 instead of -1 (observed: Windows, $Repair).
        let empty = before.is_none() && body.highest_vcn <= 0;
        if body.highest_vcn != end && !empty {
            let text =
                format_args!("{name}: highest VCN {:#x}, expected {end:#x} by its runs", body.highest_vcn);
            self.error(Code::HighestVcn, at.plus(24), text);
        }
        let rest = &body.pairs[runs.position()..];
        if rest.iter().any(|&byte| byte != 0) {
            self.strict(
                Code::Slack,
                at.plus(body.pairs_offset),
                format_args!("{name}: bytes behind the mapping pairs"),
            );
        }
        if rest.len() >= 8 {
            self.strict(
                Code::AttributeHeader,
                at.plus(4),
                format_args!("{name}: longer than its mapping pairs need"),
            );
        }
    }

    /// The bits of `$MFT`'s bitmap against the records.
    pub(super) fn check_mft_bitmap(&mut self) {
        let Some(len) = self.mft_bits.as_ref().map(|bits| bits.len() as u64) else { return };
        for number in 0..self.records {
            let used = self.states[number as usize].in_use();
            let bit = self.mft_bit(number);
            let state = &self.states[number as usize];
            // The records without a name are in use by decree, even where nothing is written in them.
            if bit != used && !(state.is_damaged() && bit) {
                let (found, expected) = if bit { ("in use", "free") } else { ("free", "in use") };
                let text = format_args!("{found} in the bitmap of $MFT, the record itself is {expected}");
                let place = self.record_place(number);
                self.error(Code::MftBitmap, place, text);
            }
        }
        let beyond = (self.records..len * 8).filter(|&bit| self.mft_bit(bit)).count();
        if beyond > 0 {
            let text = format_args!("{beyond} bits set for records that do not exist");
            self.error(Code::MftBitmap, Place::record(0), text);
        }
        if len < self.records.div_ceil(8) {
            let (bytes, records) = (len, self.records);
            let text = format_args!("{bytes} bytes of bitmap for {records} records");
            self.error(Code::MftBitmap, Place::record(0), text);
        }
    }

    /// Extension records have a base that exists; a base has the links that it counts.
    pub(super) fn check_bases(&mut self) {
        for number in 0..self.records {
            let state = self.states[number as usize].clone();
            if !state.in_use() || state.is_damaged() {
                continue;
            }
            let place = self.record_place(number);
            if state.is_extension() {
                let base = self.state(state.base.into());
                let reason = match base {
                    None => "which does not exist",
                    Some(base) if !base.in_use() => "which is free",
                    Some(base) if base.is_extension() => "which is an extension record itself",
                    Some(base) if base.sequence != state.base_sequence => "by an old sequence number",
                    Some(base) if !base.has_list() => "which has no attribute list",
                    Some(_) => continue,
                };
                let text = format_args!("the base is record {}, {reason}", state.base);
                self.error(Code::BaseReference, place.plus(0x20), text);
                continue;
            }
            if state.links != state.names {
                let text =
                    format_args!("link count {}, expected {}: the number of names", state.links, state.names);
                self.error(Code::LinkCount, place.plus(0x12), text);
            }
            if !state.has_standard() {
                self.error(Code::StandardInformation, place, format_args!("no $STANDARD_INFORMATION"));
            }
            if state.names == 0 && !number::NAMELESS.contains(&number) {
                self.error(Code::NameMissing, place, format_args!("no $FILE_NAME"));
            }
            if state.is_directory() && state.long_names > 1 {
                let text = format_args!("a directory with {} names, expected 1", state.long_names);
                self.error(Code::DirectoryLinks, place, text);
            }
        }
    }
}
