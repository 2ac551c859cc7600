//! Volumes of a few records, made by hand: what no writer makes.

use std::sync::Arc;

use super::{Error, Options, Result, Volume};
use crate::layout::attribute::{LIST_ENTRY_LEN, ListEntry};
use crate::layout::record::{END, RecordHeader, USA_OFFSET};
use crate::layout::{align8, protect, put, put_u16, put_u32, put_u64, reference, usa_count};
use crate::parse::kind;

/// The largest record there is, 16 clusters: few of them are many bytes.
const RECORD: usize = 64 << 10;
const CLUSTER: usize = 4096;
const CLUSTERS: u64 = 16;
/// The update sequence array in the place of the record's number: such records say none.
const NUMBERLESS: usize = USA_OFFSET - 6;

/// A resident value, attribute 0 of its record.
fn resident(kind: u32, value: &[u8]) -> Vec<u8> {
    const HEAD: usize = 24;
    let mut bytes = vec![0; align8(HEAD + value.len())];
    let len = bytes.len() as u32;
    put_u32(&mut bytes, 0, kind);
    put_u32(&mut bytes, 4, len);
    put_u32(&mut bytes, 16, value.len() as u32);
    put_u16(&mut bytes, 20, HEAD as u16);
    bytes[HEAD..][..value.len()].copy_from_slice(value);
    bytes
}

/// A part of `$MFT`, which has `records`: one of them at each of `lcns`, from record `lowest` on.
fn mft_part(lowest: u64, lcns: &[u64], records: u64) -> Vec<u8> {
    const HEAD: usize = 64;
    let mut pairs = Vec::new();
    let mut last = 0;
    for &lcn in lcns {
        let delta = (lcn as i16 - last).to_le_bytes();
        last = lcn as i16;
        pairs.extend_from_slice(&[0x21, CLUSTERS as u8, delta[0], delta[1]]);
    }
    pairs.push(0);
    let mut bytes = vec![0; align8(HEAD + pairs.len())];
    let len = bytes.len() as u32;
    put_u32(&mut bytes, 0, kind::DATA);
    put_u32(&mut bytes, 4, len);
    bytes[8] = 1;
    put_u64(&mut bytes, 16, lowest * CLUSTERS);
    put_u64(&mut bytes, 24, (lowest + lcns.len() as u64) * CLUSTERS - 1);
    put_u16(&mut bytes, 32, HEAD as u16);
    for at in [40, 48, 56] {
        put_u64(&mut bytes, at, records * RECORD as u64);
    }
    bytes[HEAD..][..pairs.len()].copy_from_slice(&pairs);
    bytes
}

/// A list of attributes: type, first cluster, record.
fn list(entries: impl IntoIterator<Item = (u32, u64, u64)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, lowest_vcn, record) in entries {
        let (at, len) = (bytes.len(), align8(LIST_ENTRY_LEN));
        bytes.resize(at + len, 0);
        let record = reference(record, 1);
        let entry =
            ListEntry { kind, len: len as u16, name_len: 0, name_offset: 0, lowest_vcn, record, instance: 0 };
        put(&mut bytes, at, &entry);
    }
    resident(kind::ATTRIBUTE_LIST, &bytes)
}

fn record(number: u32, base: u64, usa_offset: usize, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; RECORD];
    let first = align8(usa_offset + 2 * usize::from(usa_count(RECORD)));
    let mut at = first;
    for attribute in attributes {
        bytes[at..at + attribute.len()].copy_from_slice(attribute);
        at += attribute.len();
    }
    put_u32(&mut bytes, at, END);
    let header = RecordHeader {
        usa_offset: usa_offset as u16,
        usa_count: usa_count(RECORD),
        sequence: 1,
        attributes_offset: first as u16,
        flags: 1,
        used: at as u32 + 8,
        allocated: RECORD as u32,
        base,
        number,
        ..RecordHeader::default()
    };
    put(&mut bytes, 0, &header);
    protect(&mut bytes, usa_offset);
    bytes
}

/// A volume whose clusters from the 16th on hold these records.
fn volume(records: &[Vec<u8>]) -> Result<Volume> {
    let mut bytes = vec![0; CLUSTERS as usize * CLUSTER];
    records.iter().for_each(|record| bytes.extend_from_slice(record));
    bytes[3..11].copy_from_slice(b"NTFS    ");
    put_u16(&mut bytes, 0x0B, 512);
    bytes[0x0D] = 8;
    let sectors = bytes.len() as u64 / 512;
    put_u64(&mut bytes, 0x28, sectors);
    put_u64(&mut bytes, 0x30, CLUSTERS);
    put_u64(&mut bytes, 0x38, CLUSTERS);
    // 2^16 bytes, and one cluster.
    (bytes[0x40], bytes[0x44]) = (0xF0, 1);
    Volume::open(Arc::new(bytes), Options::default())
}

/// A file whose list names `count` records, all of which are the same clusters.
fn repeated(count: u64) -> Result<()> {
    let lcns: Vec<u64> = std::iter::once(16).chain((0..count).map(|_| 32)).collect();
    let entries = list((1..=count).map(|number| (kind::OBJECT_ID, 0, number)));
    let base = record(0, 0, USA_OFFSET, &[entries, mft_part(0, &lcns, count + 1)]);
    let extension = record(0, reference(0, 1), NUMBERLESS, &[resident(kind::OBJECT_ID, &[7; 16])]);
    volume(&[base, extension])?.file(0).map(drop)
}

#[test]
fn clusters_that_are_many_records_do_not_fill_the_memory() {
    repeated(400).unwrap();
    let error = repeated(600).unwrap_err();
    assert!(matches!(error, Error::Limit { limit: 0x200_0000, .. }), "{error}");
}

#[test]
fn records_of_the_mft_are_found_through_those_before_them() {
    let open = |order: [u64; 2]| {
        let parts = order.map(|number| (kind::DATA, (number + 1) * CLUSTERS, number));
        let base = record(0, 0, USA_OFFSET, &[list(parts), mft_part(0, &[16, 32], 4)]);
        let extension = |number, lcn| {
            record(number, reference(0, 1), USA_OFFSET, &[mft_part(u64::from(number) + 1, &[lcn], 4)])
        };
        let file = record(3, 0, USA_OFFSET, &[resident(kind::OBJECT_ID, &[3; 16])]);
        volume(&[base, extension(1, 48), extension(2, 64), file])
    };
    let found = open([1, 2]).unwrap();
    assert_eq!(found.file(3).unwrap().object_id().unwrap(), Some([3; 16]));
    let error = open([2, 1]).unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
}
