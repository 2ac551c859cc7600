//! The second pass: files as a whole.

use super::record::kind_name;
use super::report::{Code, Place};
use super::source::Value;
use super::streams::{Held, Parts};
use super::{Checker, directory};
use crate::layout::number;
use crate::names;
use crate::node::flag;
use crate::parse::{self, Body, Reparse, WofCodec, flags, kind};

/// Clusters in a compression unit, as a power of two: Windows writes no other.
const UNIT: u8 = 4;
/// LZNT1 exists for clusters up to this size.
const MAX_COMPRESSED_CLUSTER: u32 = 4096;
/// What a sparse file is allocated in, with clusters that have no compression units.
const SPARSE_GRANULE: u64 = 65_536;
/// Bytes that are read at once of a chunk table.
const TABLE_CHUNK: u64 = 1 << 20;

impl Checker<'_> {
    pub(super) fn check_files(&mut self) {
        for number in 0..self.records {
            let state = &self.states[number as usize];
            if !state.in_use() || state.is_extension() || state.is_damaged() {
                continue;
            }
            let Some(parts) = self.parts(number) else { continue };
            self.check_file(number, &parts);
        }
        // Only now is known what each file is, which is what entries are compared with.
        for number in 0..self.records {
            let state = &self.states[number as usize];
            if state.in_use() && !state.is_extension() && !state.is_damaged() && state.is_directory() {
                let Some(parts) = self.parts(number) else { continue };
                self.check_directory(number, &parts.attributes());
            }
        }
        for number in 0..self.records {
            let state = &self.states[number as usize];
            let orphan = state.in_use() && state.is_extension() && !state.is_listed() && !state.is_damaged();
            // An extension whose base is impossible was reported with that.
            let base = self.state(state.base.into());
            if orphan
                && base.is_some_and(|base| {
                    base.in_use() && base.has_list() && base.sequence == state.base_sequence
                })
            {
                let text = format_args!("record {} does not list this extension record", state.base);
                let place = self.record_place(number);
                self.found.add(super::Severity::Error, Code::BaseReference, place, text);
            }
        }
    }

    fn check_file(&mut self, number: u64, parts: &Parts) {
        let held = parts.attributes();
        if let Some(fault) = &parts.list_fault {
            let place = self.record_place(number);
            self.error(Code::AttributeList, place, format_args!("attribute list: {fault}"));
        }
        if let Some((list, place)) = &parts.list {
            self.check_list(number, list, Place::at(number, *place), &held);
        }
        let mut sorted: Vec<&Held<'_>> = held.iter().collect();
        sorted.sort_by_key(|held| {
            (held.value_key(), held.attribute.non_resident().map(|body| body.lowest_vcn))
        });
        for parts in sorted.chunk_by(|a, b| a.value_key() == b.value_key()) {
            if parts.iter().any(|held| held.attribute.non_resident().is_some()) {
                self.check_clusters_of_value(number, parts);
            }
        }
        self.check_flags(number, &held);
        self.check_pairs(number, &held);
        self.check_extras(number, &held);
        let is_view = |held: &Held<'_>| {
            held.attribute.kind == kind::INDEX_ROOT && held.attribute.name != directory::I30.name
        };
        if number != number::SECURE && held.iter().any(is_view) {
            self.views.push(number);
        }
    }

    /// The list names every attribute but itself, in order, and nothing else.
    fn check_list(&mut self, number: u64, list: &[u8], place: Place, held: &[Held<'_>]) {
        let mut entries = Vec::new();
        let mut before: Option<(u32, Vec<u16>, u64)> = None;
        for entry in parse::list(list) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(fault) => {
                    self.fault(Code::AttributeList, place, &fault);
                    break;
                }
            };
            let at = place.plus(entry.offset);
            let holder = parse::record_of(entry.record);
            let state = self.state(holder);
            if state.is_some_and(|state| state.sequence != parse::sequence_of(entry.record)) {
                let (found, expected) =
                    (parse::sequence_of(entry.record), state.map_or(0, |state| state.sequence));
                let text = format_args!("record {holder} with sequence number {found}, expected {expected}");
                self.error(Code::AttributeList, at.plus(16), text);
            }
            let key = (entry.kind, entry.name.to_units(), entry.lowest_vcn);
            let unsorted = before.as_ref().is_some_and(|before| {
                let order = before.0.cmp(&key.0);
                let order = order.then_with(|| names::compare(&self.upcase, &before.1, &key.1));
                order.then(before.2.cmp(&key.2)).is_gt()
            });
            if unsorted {
                let text = format_args!("{} {:?} is not in order", kind_name(entry.kind), entry.name);
                self.error(Code::AttributeList, at, text);
            }
            before = Some(key);
            entries.push((entry.kind, holder, entry.instance, entry.lowest_vcn, entry.offset));
            if let Some(state) = usize::try_from(holder).ok().and_then(|holder| self.states.get_mut(holder))
                && u64::from(state.base) == number
            {
                state.set_listed();
            }
        }
        entries.sort_unstable();
        let mut real: Vec<_> = held
            .iter()
            .map(|held| {
                let a = &held.attribute;
                (a.kind, held.holder, a.instance, a.non_resident().map_or(0, |body| body.lowest_vcn))
            })
            .filter(|attribute| attribute.0 != kind::ATTRIBUTE_LIST)
            .collect();
        real.sort_unstable();
        let key = |entry: &(u32, u64, u16, u64, usize)| (entry.0, entry.1, entry.2, entry.3);
        for entry in &entries {
            if real.binary_search(&key(entry)).is_err() && entry.0 != kind::ATTRIBUTE_LIST {
                let text = format_args!(
                    "the list has {} as instance {} of record {} from VCN {:#x}, which is not there",
                    kind_name(entry.0),
                    entry.2,
                    entry.1,
                    entry.3
                );
                self.error(Code::AttributeList, place.plus(entry.4), text);
            }
        }
        for attribute in &real {
            if entries.binary_search_by(|entry| key(entry).cmp(attribute)).is_err() {
                let text = format_args!(
                    "the list lacks {}, instance {} of record {}",
                    kind_name(attribute.0),
                    attribute.2,
                    attribute.1
                );
                self.error(Code::AttributeList, place, text);
            }
        }
    }

    /// A value in clusters: its parts follow each other, and its sizes fit its runs.
    fn check_clusters_of_value(&mut self, number: u64, parts: &[&Held<'_>]) {
        let Some(kind) = parts.first().map(|held| held.attribute.kind) else { return };
        let what = kind_name(kind);
        let mut next = 0;
        let mut runs = Vec::new();
        for part in parts {
            let at = self.record_place(part.holder).plus(part.attribute.offset);
            let Some(body) = part.attribute.non_resident() else {
                self.error(Code::AttributeOrder, at, format_args!("{what} both resident and in clusters"));
                return;
            };
            if body.lowest_vcn != next {
                let text =
                    format_args!("{what}: a part begins at VCN {:#x}, expected {next:#x}", body.lowest_vcn);
                return self.error(Code::HighestVcn, at.plus(16), text);
            }
            for run in parse::runs(body.pairs, body.lowest_vcn, self.boot.clusters) {
                // What cannot be decoded was reported in the first pass.
                let Ok(run) = run else { return };
                next = run.vcn + run.clusters;
                runs.push(run);
            }
        }
        let Some(first) = parts.first() else { return };
        let Some(body) = first.attribute.non_resident().copied() else { return };
        let attribute = first.attribute;
        let at = self.record_place(first.holder).plus(attribute.offset);
        let cluster = self.cluster();
        let bytes = next.saturating_mul(cluster);
        if body.allocated != bytes {
            let text =
                format_args!("{what}: allocated size {:#x}, expected {bytes:#x} by its runs", body.allocated);
            self.error(Code::AllocatedSize, at.plus(40), text);
        }
        if body.initialized > body.size || body.size > body.allocated {
            let text = format_args!(
                "{what}: initialized {:#x}, size {:#x}, allocated {:#x}, expected none larger than the next",
                body.initialized, body.size, body.allocated
            );
            self.error(Code::DataSize, at.plus(48), text);
        }
        let special = attribute.flags & (flags::COMPRESSION | flags::SPARSE) != 0;
        let bad_clusters = number == number::BAD_CLUSTERS;
        let holes = runs.iter().any(|run| run.lcn.is_none());
        if holes && !special && !bad_clusters {
            let text = format_args!("{what} has holes and is neither sparse nor compressed");
            self.error(Code::SparseFlags, at.plus(12), text);
        }
        if special && kind != kind::DATA {
            self.error(
                Code::SparseFlags,
                at.plus(12),
                format_args!("{what} is sparse or compressed, expected $DATA only"),
            );
        }
        if let Some(total) = body.total {
            let mapped: u64 = runs.iter().filter(|run| run.lcn.is_some()).map(|run| run.clusters).sum();
            let mapped = mapped.saturating_mul(cluster);
            if total != mapped {
                let text =
                    format_args!("{what}: total allocated {total:#x}, expected {mapped:#x} by its runs");
                self.error(Code::TotalAllocated, at.plus(64), text);
            }
            self.check_unit(at, &attribute, &body, what);
        } else if body.compression_unit != 0 && self.ours {
            let text = format_args!("{what}: compression unit {}, expected 0", body.compression_unit);
            self.error(Code::CompressionUnit, at.plus(34), text);
        }
        if !special && !bad_clusters && body.size.div_ceil(cluster) < next {
            let text = format_args!("{what}: {next:#x} clusters for {:#x} bytes", body.size);
            self.strict_preallocation(at, text);
        }
        self.check_tail(number, what, &runs, &body);
    }

    /// More clusters than the value needs: what a program reserved for a file that it is still writing.
    fn strict_preallocation(&mut self, at: Place, text: std::fmt::Arguments<'_>) {
        self.strict(Code::AllocatedSize, at.plus(40), text);
    }

    fn check_unit(
        &mut self,
        at: Place,
        attribute: &parse::Attribute<'_>,
        body: &parse::NonResident<'_>,
        what: &str,
    ) {
        let method = attribute.flags & flags::COMPRESSION;
        let large = self.boot.cluster_size > MAX_COMPRESSED_CLUSTER;
        if method > 1 || method == 1 && (large || attribute.flags & flags::ENCRYPTED != 0) {
            let cluster = self.boot.cluster_size;
            let text = format_args!("{what}: flags {:#x} at clusters of {cluster} bytes", attribute.flags);
            self.error(Code::CompressionUnit, at.plus(12), text);
        }
        let legal = if method == 1 {
            body.compression_unit == UNIT
        } else {
            matches!(body.compression_unit, 0 | UNIT)
        };
        if !legal {
            let text = format_args!("{what}: compression unit {}, expected {UNIT}", body.compression_unit);
            return self.error(Code::CompressionUnit, at.plus(34), text);
        }
        let granule = match body.compression_unit {
            0 => SPARSE_GRANULE.max(self.cluster()),
            unit => self.cluster() << unit,
        };
        if !body.allocated.is_multiple_of(granule) {
            let text = format_args!(
                "{what}: allocated size {:#x}, expected a multiple of {granule:#x}",
                body.allocated
            );
            self.warning(Code::AllocatedSize, at.plus(40), text);
        }
    }

    fn check_flags(&mut self, number: u64, held: &[Held<'_>]) {
        let state = self.states[number as usize].clone();
        let place = self.record_place(number);
        let has = |kind: u32, name: &str| {
            held.iter().any(|held| held.attribute.kind == kind && held.attribute.name == name)
        };
        let names_index = has(kind::INDEX_ROOT, directory::I30.name);
        if names_index && !state.is_directory() {
            let text = format_args!("an index of names, but flags {:#x}", state.flags);
            self.error(Code::RecordFlags, place.plus(0x16), text);
        }
        let data = held
            .iter()
            .find(|held| held.attribute.kind == kind::DATA && held.attribute.name.is_empty())
            .map(|held| held.attribute);
        if data.is_some() && state.is_directory() {
            self.error(
                Code::RecordFlags,
                place.plus(0x16),
                format_args!("a directory with an unnamed stream"),
            );
        }
        let any_index = held.iter().any(|held| held.attribute.kind == kind::INDEX_ROOT);
        // $UsnJrnl has only named streams.
        if data.is_none() && !state.is_directory() && !any_index && !self.is_below_extend(number) {
            self.error(Code::DataMissing, place, format_args!("no unnamed $DATA"));
        }
        if !held.iter().any(|held| held.attribute.kind == kind::INDEX_ROOT) {
            for orphan in [kind::INDEX_ALLOCATION, kind::BITMAP] {
                if held.iter().any(|held| held.attribute.kind == orphan) && number != 0 {
                    let text = format_args!("{} without an index root", kind_name(orphan));
                    self.error(Code::IndexRoot, place, text);
                }
            }
        }
        let Some(standard) = held.iter().find(|held| held.attribute.kind == kind::STANDARD_INFORMATION)
        else {
            return;
        };
        let at = self.record_place(standard.holder).plus(standard.attribute.offset + 24 + 0x20);
        let reparse = has(kind::REPARSE_POINT, "");
        if (state.attributes & flag::REPARSE != 0) != reparse {
            let text = format_args!(
                "attributes {:#x}, and there is {} reparse point",
                state.attributes,
                if reparse { "a" } else { "no" }
            );
            self.error(Code::StandardFlags, at, text);
        }
        if let Some(data) = data
            && data.non_resident().is_some_and(|body| body.lowest_vcn == 0)
        {
            for (bit, mask, word) in [
                (flag::COMPRESSED, flags::COMPRESSION, "compressed"),
                (flag::SPARSE, flags::SPARSE, "sparse"),
                (flag::ENCRYPTED, flags::ENCRYPTED, "encrypted"),
            ] {
                if (data.flags & mask != 0) && state.attributes & bit == 0 {
                    let text =
                        format_args!("attributes {:#x}, but the unnamed stream is {word}", state.attributes);
                    self.error(Code::StandardFlags, at, text);
                }
                if data.flags & mask == 0 && state.attributes & bit != 0 && number >= 24 {
                    let text = format_args!(
                        "attributes {:#x}, but the unnamed stream is not {word}",
                        state.attributes
                    );
                    self.strict(Code::StandardFlags, at, text);
                }
            }
        }
    }

    /// Reparse points, object ids, extended attributes, descriptors.
    fn check_extras(&mut self, number: u64, held: &[Held<'_>]) {
        let reference = number | u64::from(self.states[number as usize].sequence) << 48;
        let mut tag = 0;
        let place_of = |checker: &Self, held: &Held<'_>| {
            let inside = match held.attribute.body {
                Body::Resident { value_offset, .. } => value_offset,
                Body::NonResident(_) => 0,
            };
            checker.record_place(held.holder).plus(held.attribute.offset + inside)
        };
        let mut has_point = false;
        for one in held {
            let at = place_of(self, one);
            match one.attribute.kind {
                // A second one was reported as such.
                kind::REPARSE_POINT if has_point => {}
                kind::REPARSE_POINT => {
                    has_point = true;
                    let Some(value) = self.value(held, kind::REPARSE_POINT, "") else { continue };
                    let Some(bytes) = self.whole(&value, at, "$REPARSE_POINT") else { continue };
                    match parse::reparse(&bytes) {
                        Ok(point) => {
                            tag = point.head.tag;
                            self.points.push((tag, reference));
                            self.check_wof(number, held, &point, at);
                        }
                        Err(fault) => self.fault(Code::ReparsePoint, at, &fault),
                    }
                }
                kind::OBJECT_ID => match one.attribute.resident().and_then(|value| value.first_chunk()) {
                    Some(id) => self.objects.push((*id, reference)),
                    None => {
                        let text =
                            format_args!("an object id of {} bytes, expected 16", one.attribute.size());
                        self.error(Code::AttributeSize, at, text);
                    }
                },
                _ => {}
            }
        }
        let ea_value = self.value(held, kind::EA, "");
        let information = held.iter().find(|held| held.attribute.kind == kind::EA_INFORMATION);
        let place = self.record_place(number);
        match (ea_value, information) {
            (None, None) => {}
            (Some(value), Some(information)) => {
                let at = place_of(self, information);
                let counted = self.check_eas(&value, place);
                let stored =
                    information.attribute.resident().and_then(|value| parse::ea_information(value).ok());
                if let (Some(counted), Some(stored)) = (counted, stored) {
                    let stored =
                        (u64::from(stored.packed), u64::from(stored.need), u64::from(stored.unpacked));
                    if stored != counted {
                        let text = format_args!(
                            "$EA_INFORMATION has {stored:?} (packed, needed, unpacked), expected {counted:?}"
                        );
                        self.error(Code::Ea, at, text);
                    }
                    if tag == 0 {
                        tag = stored.0 as u32;
                    }
                }
            }
            (value, _) => {
                let (there, missing) =
                    if value.is_some() { ("$EA", "$EA_INFORMATION") } else { ("$EA_INFORMATION", "$EA") };
                self.error(Code::Ea, place, format_args!("{there} without {missing}"));
            }
        }
        self.states[number as usize].tag = tag;
    }

    /// Counts packed size, needed ones and size; `None` after a finding.
    fn check_eas(&mut self, value: &Value, place: Place) -> Option<(u64, u64, u64)> {
        let bytes = self.whole(value, place, "$EA")?;
        let (mut packed, mut need) = (0, 0);
        for ea in parse::eas(&bytes) {
            match ea {
                Ok(ea) => {
                    packed += 5 + ea.name.len() as u64 + ea.value.len() as u64;
                    need += u64::from(ea.flags >> 7);
                    if ea.name.is_empty() {
                        self.error(Code::Ea, place, format_args!("an extended attribute without a name"));
                    }
                }
                Err(fault) => {
                    let at = Place { offset: value.place(0), ..place };
                    self.fault(Code::Ea, at, &fault);
                    return None;
                }
            }
        }
        Some((packed, need, bytes.len() as u64))
    }

    /// A file that WOF compresses: the stream without clusters, and the table of the compressed one.
    fn check_wof(&mut self, number: u64, held: &[Held<'_>], point: &Reparse<'_>, at: Place) {
        let codec = match parse::wof_codec(point) {
            Ok(Some(codec)) => codec,
            Ok(None) => return,
            Err(fault) => return self.fault(Code::Wof, at, &fault),
        };
        let size = self.states[number as usize].size;
        let Some(value) = self.value(held, kind::DATA, parse::WOF_STREAM) else {
            let text = format_args!("no stream {:?}", parse::WOF_STREAM);
            return self.error(Code::Wof, at, text);
        };
        if let Some(Value::Clusters(data)) = self.value(held, kind::DATA, "")
            && data.mapped_clusters() != 0
        {
            let text =
                format_args!("the unnamed stream has {} clusters, expected none", data.mapped_clusters());
            self.error(Code::Wof, at, text);
        }
        self.check_chunks(codec, size, &value, at);
    }

    fn check_chunks(&mut self, codec: WofCodec, size: u64, value: &Value, at: Place) {
        let chunks = match parse::wof_chunks(codec, size, value.size()) {
            Ok(chunks) => chunks,
            Err(fault) => return self.fault(Code::Wof, at, &fault),
        };
        if chunks.table_len() > TABLE_CHUNK * 64 || chunks.table_len() > self.size {
            return self.cut(format!("WOF chunk tables of {} bytes", chunks.table_len()));
        }
        if !self.may_read(chunks.table_len()) {
            return self.cut("WOF chunk tables that together are longer than the volume".into());
        }
        let mut table = vec![0; chunks.table_len() as usize];
        if let Err(error) = value.read(self.volume, 0, &mut table) {
            return self.unreadable(at, "WOF chunk table", &error);
        }
        if let Some(Err(fault)) = chunks.places(&table).find(|place| place.is_err()) {
            let place = Place { offset: value.place(0), ..at };
            self.fault(Code::Wof, place, &fault);
        }
    }
}
