//! Files put together from their records.

use super::Checker;
use super::source::{Stream, Value};
use crate::parse::{self, Attribute, Body, kind};

/// The records of a file: the base first.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) records: Vec<(u64, Vec<u8>)>,
    /// The value of the attribute list.
    pub(super) list: Option<(Vec<u8>, Option<u64>)>,
    /// A list that cannot be read.
    pub(super) list_fault: Option<String>,
}

/// An attribute, and the record it lies in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) holder: u64,
    pub(super) attribute: Attribute<'a>,
}

impl<'a> Held<'a> {
    /// What the parts of one value have in common.
    pub(super) fn value_key(&self) -> (u32, &'a [u8]) {
        (self.attribute.kind, self.attribute.name.as_bytes())
    }
}

/// Windows writes no attribute list longer than this.
pub(super) const MAX_LIST: u64 = 256 << 10;

impl Parts {
    /// All attributes, record by record, up to the first fault of each.
    pub(super) fn attributes(&self) -> Vec<Held<'_>> {
        let mut out = Vec::new();
        for (holder, bytes) in &self.records {
            let Ok(record) = parse::record(bytes) else { continue };
            let attributes = record.attributes().map_while(parse::Result::ok);
            out.extend(attributes.map(|attribute| Held { holder: *holder, attribute }));
        }
        out
    }
}

impl Checker<'_> {
    /// The records of the file with the base record `base`: those of its list that say that they belong to it.
    pub(super) fn parts(&self, base: u64) -> Option<Parts> {
        let bytes = self.read_record(base)?;
        let mut parts = Parts { records: Vec::new(), list: None, list_fault: None };
        let record = parse::record(&bytes).ok()?;
        let reference = parse::record_of(base) | u64::from(record.header.sequence) << 48;
        let list = record.attributes().map_while(parse::Result::ok).find(|a| a.kind == kind::ATTRIBUTE_LIST);
        if let Some(list) = list {
            let held = [Held { holder: base, attribute: list }];
            let value = self.value(&held, kind::ATTRIBUTE_LIST, "");
            let value = value.filter(|value| self.may_read(value.size().min(MAX_LIST)));
            match value.as_ref().map(|value| value.read_all(self.volume, MAX_LIST)) {
                Some(Ok(Some(bytes))) => parts.list = Some((bytes, value.and_then(|value| value.place(0)))),
                Some(Ok(None)) => parts.list_fault = Some(format!("longer than {MAX_LIST} bytes")),
                Some(Err(error)) => parts.list_fault = Some(error.to_string()),
                None => parts.list_fault = Some("without runs, or too many of them".into()),
            }
        }
        parts.records.push((base, bytes));
        let Some((list, _)) = &parts.list else { return Some(parts) };
        let mut numbers: Vec<u64> = parse::list(list)
            .map_while(parse::Result::ok)
            .map(|entry| parse::record_of(entry.record))
            .filter(|&number| number != base)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            // Once all records were looked at, only those that claim to belong to the file are read again.
            let foreign = |state: &super::State| !state.is_extension() || u64::from(state.base) != base;
            if self.state(number).is_some_and(foreign) {
                continue;
            }
            let Some(bytes) = self.read_record(number) else { continue };
            if parse::record(&bytes).is_ok_and(|record| record.header.base == reference) {
                parts.records.push((number, bytes));
            }
        }
        Some(parts)
    }

    /// The value of an attribute, put together from its parts as far as they follow each other.
    pub(super) fn value(&self, held: &[Held<'_>], kind: u32, name: &str) -> Option<Value> {
        let mut parts: Vec<_> =
            held.iter().filter(|held| held.attribute.kind == kind && held.attribute.name == name).collect();
        if let [one] = parts[..]
            && let Body::Resident { value, value_offset, .. } = one.attribute.body
        {
            let place = self.record_place(one.holder).plus(one.attribute.offset + value_offset);
            return Some(Value::Resident(value.to_vec(), place.offset));
        }
        parts.retain(|held| held.attribute.non_resident().is_some());
        parts.sort_by_key(|held| held.attribute.non_resident().map(|body| body.lowest_vcn));
        let first = parts.first()?.attribute.non_resident()?;
        if first.lowest_vcn != 0 {
            return None;
        }
        let mut stream = Stream {
            runs: Vec::new(),
            size: first.size,
            initialized: first.initialized,
            cluster: self.cluster(),
        };
        for body in parts.iter().filter_map(|held| held.attribute.non_resident()) {
            if body.lowest_vcn != stream.clusters() {
                break;
            }
            stream.runs.extend(
                parse::runs(body.pairs, body.lowest_vcn, self.boot.clusters).map_while(parse::Result::ok),
            );
        }
        Some(Value::Clusters(stream))
    }

    /// The value of an attribute of a file.
    pub(super) fn value_of(&self, record: u64, kind: u32, name: &str) -> Option<Value> {
        let parts = self.parts(record)?;
        self.value(&parts.attributes(), kind, name)
    }
}
