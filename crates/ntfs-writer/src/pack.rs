//! Files that need more than one record: which attribute lies where, and the list that says so.
//!
//! The base record keeps `$STANDARD_INFORMATION` and the list, then what readers want first; the rest goes, in order,
//! into extension records. Attributes are counted at their largest (mapping pairs of any cluster), so the number of
//! records, and with it the size of `$MFT`, is known before a cluster is placed.

use crate::attribute::{Attribute, non_resident_len, resident_len};
use crate::layout::attribute::{LIST_ENTRY_LEN, ListEntry, kind};
use crate::layout::record::capacity;
use crate::layout::{align8, put, put_utf16, reference};
use crate::model::{FIRST_RECORD, Model};
use crate::{Error, Result};

/// The longest attribute list that Windows accepts.
const MAX_LIST: usize = 256 * 1024;

/// A file in several records.
#[derive(Debug)]
pub(crate) struct Spread {
    pub(crate) node: u32,
    /// For each attribute of the node, in order: 0 for the base record, or which extension.
    pub(crate) parts: Vec<u16>,
    /// The record of the first extension, and how many follow each other from there.
    pub(crate) first_record: u32,
    pub(crate) extensions: u16,
    /// The length of the list.
    pub(crate) list_len: usize,
    pub(crate) list_is_resident: bool,
}

/// What packing needs to know of an attribute.
struct Item {
    bound: usize,
    rank: u8,
}

fn rank(attribute: &Attribute<'_>) -> u8 {
    match attribute.kind {
        kind::DATA if attribute.name.is_empty() => 0,
        kind::INDEX_ROOT | kind::INDEX_ALLOCATION | kind::BITMAP => 0,
        kind::FILE_NAME => 1,
        _ => 2,
    }
}

impl Model {
    /// Decides for each file what is resident, and for each that does not fit one record where its attributes lie.
    pub(crate) fn pack(&mut self) -> Result<()> {
        let room = capacity(self.options.record_size as usize);
        let mut choices = Vec::new();
        for i in 0..=self.by_record.len() {
            let node = if i == 0 { 0 } else { self.by_record[i - 1] };
            let bound = self.decide_residency(node, &mut choices);
            let measured = || {
                let mut total = 0;
                self.attributes(node, &[], &[], &mut |attribute| total += attribute.bound());
                total
            };
            debug_assert!(bound.is_none_or(|bound| measured() <= bound), "node {node}");
            // Nearly all files fit, and then the decision has told already.
            if bound.is_none() && measured() > room {
                let spread = self.spread(node, room)?;
                self.extension_records += u32::from(spread.extensions);
                self.spreads.push(spread);
            }
        }
        let records = FIRST_RECORD as u64 + self.by_record.len() as u64 + u64::from(self.extension_records);
        if records > 1 << 31 {
            let (what, found, limit) = ("number of file records", records, 1 << 31);
            return Err(Error::Limit { path: "\\".into(), what, found, limit });
        }
        self.spreads.sort_by_key(|spread| spread.node);
        self.spread_by_record = (0..self.spreads.len() as u32).collect();
        self.spread_by_record.sort_by_key(|&number| self.spreads[number as usize].first_record);
        Ok(())
    }

    fn spread(&self, node: u32, room: usize) -> Result<Spread> {
        let mut items = Vec::new();
        let mut list_len = 0;
        self.attributes(node, &[], &[], &mut |attribute| {
            list_len += list_entry_len(attribute.name);
            items.push(Item { bound: attribute.bound(), rank: rank(&attribute) });
        });
        if list_len > MAX_LIST {
            return Err(Error::Limit {
                path: self.files.path(node),
                what: "length of the attribute list in bytes",
                found: list_len as u64,
                limit: MAX_LIST as u64,
            });
        }
        let list_is_resident = resident_len(0, list_len) <= room / 3;
        let list_bound =
            if list_is_resident { resident_len(0, list_len) } else { non_resident_len(0, false) };

        let mut parts = vec![u16::MAX; items.len()];
        let mut left = room - list_bound - items[0].bound;
        parts[0] = 0;
        for wanted in 0..=2 {
            for (item, part) in items.iter().zip(&mut parts).skip(1) {
                if item.rank == wanted && item.bound <= left {
                    left -= item.bound;
                    *part = 0;
                }
            }
        }
        let mut extensions = 0;
        let mut left = 0;
        for (item, part) in items.iter().zip(&mut parts).filter(|(_, part)| **part == u16::MAX) {
            assert!(item.bound <= room, "no attribute is larger than a record");
            if item.bound > left {
                extensions += 1;
                left = room;
            }
            left -= item.bound;
            *part = extensions;
        }
        let first_record = FIRST_RECORD + self.by_record.len() as u32 + self.extension_records;
        Ok(Spread { node, parts, first_record, extensions, list_len, list_is_resident })
    }

    /// The spread of a node, if it has one, and its number.
    pub(crate) fn spread_of(&self, node: u32) -> Option<(usize, &Spread)> {
        let number = self.spreads.binary_search_by_key(&node, |spread| spread.node).ok()?;
        Some((number, &self.spreads[number]))
    }

    /// The spread that an extension record belongs to, if it is one.
    pub(crate) fn spread_of_extension(&self, record: u32) -> Option<(usize, &Spread)> {
        let spread = |number: u32| &self.spreads[number as usize];
        let next = self.spread_by_record.partition_point(|&number| spread(number).first_record <= record);
        let number = self.spread_by_record[next.checked_sub(1)?];
        let found = spread(number);
        (record < found.first_record + u32::from(found.extensions)).then_some((number as usize, found))
    }

    /// The attribute list of a file in several records.
    pub(crate) fn attribute_list(&self, spread: &Spread) -> Vec<u8> {
        let mut list = Vec::with_capacity(spread.list_len);
        let mut next = 0;
        let mut parts = spread.parts.iter();
        self.attributes(spread.node, &[], &[], &mut |attribute| {
            let part = *parts.next().expect("measured with the same attributes");
            let instance = next;
            next = next_instance(instance);
            let record = match part {
                0 => self.reference(spread.node),
                part => reference(u64::from(spread.first_record) + u64::from(part) - 1, 1),
            };
            let (at, len) = (list.len(), list_entry_len(attribute.name));
            list.resize(at + len, 0);
            let entry = ListEntry {
                kind: attribute.kind,
                len: len as u16,
                name_len: attribute.name.len() as u8,
                name_offset: LIST_ENTRY_LEN as u8,
                lowest_vcn: 0,
                record,
                instance,
            };
            put(&mut list, at, &entry);
            put_utf16(&mut list, at + LIST_ENTRY_LEN, attribute.name);
        });
        list
    }
}

/// The instance number after this one, in a file in several records. Numbers only have to be unique in a record, but
/// readers exist that take list entries with one type and number for parts of one value (observed: the `ntfs` crate
/// 0.4.0), so here they are unique in the file. The second is the list's own.
pub(crate) fn next_instance(instance: u16) -> u16 {
    if instance == 0 { 2 } else { instance + 1 }
}

fn list_entry_len(name: &[u16]) -> usize {
    align8(LIST_ENTRY_LEN + 2 * name.len())
}
