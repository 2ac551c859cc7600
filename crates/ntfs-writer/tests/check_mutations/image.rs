//! A volume in memory whose fields are found through the parser, changed, and protected again.

use std::ops::Range;

use wimforge_ntfs_writer::parse::{self, Body, Boot, kind};

#[derive(Clone)]
pub struct Image {
    pub bytes: Vec<u8>,
    pub boot: Boot,
    /// Where `$MFT` begins: it is one run.
    mft: usize,
    records: u64,
}

/// Where an attribute lies in its record.
pub struct Found {
    pub attribute: Range<usize>,
    /// The value in the record, or the runs as (byte of the volume, bytes).
    pub value: Place,
}

pub enum Place {
    Resident(Range<usize>),
    Clusters(Vec<(usize, usize)>),
}

pub fn set(bytes: &mut [u8], at: usize, value: u64, len: usize) {
    bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
}

pub fn get(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Puts the sequence number at the ends of all strides again.
fn protect(block: &mut [u8]) {
    let offset = get(block, 4, 2) as usize;
    for stride in 0..block.len() / 512 {
        let end = (stride + 1) * 512 - 2;
        block.copy_within(end..end + 2, offset + 2 + 2 * stride);
        block.copy_within(offset..offset + 2, end);
    }
}

impl Image {
    pub fn new(bytes: Vec<u8>) -> Self {
        let boot = parse::boot(&bytes).unwrap();
        let mft = (boot.mft_lcn * u64::from(boot.cluster_size)) as usize;
        let mut image = Self { bytes, boot, mft, records: 1 };
        image.records = image.len_of(0, kind::DATA, "") / 1024;
        image
    }

    pub fn cluster(&self) -> usize {
        self.boot.cluster_size as usize
    }

    pub fn record_at(&self, record: u64) -> usize {
        self.mft + record as usize * 1024
    }

    /// A record with its fixups undone.
    pub fn record(&self, record: u64) -> Vec<u8> {
        let mut bytes = self.bytes[self.record_at(record)..][..1024].to_vec();
        parse::unprotect(&mut bytes, "record").unwrap();
        bytes
    }

    /// Changes a record, and its copy in the mirror.
    pub fn edit(&mut self, record: u64, change: impl FnOnce(&mut [u8])) {
        let mut bytes = self.record(record);
        change(&mut bytes);
        protect(&mut bytes);
        let at = self.record_at(record);
        self.bytes[at..at + 1024].copy_from_slice(&bytes);
        if record < 4 {
            let mirror = self.boot.mirror_lcn as usize * self.cluster() + record as usize * 1024;
            self.bytes[mirror..mirror + 1024].copy_from_slice(&bytes);
        }
    }

    /// The first attribute of a type and name in a record.
    pub fn find(&self, record: u64, kind: u32, name: &str) -> Found {
        let bytes = self.record(record);
        let parsed = parse::record(&bytes).unwrap();
        let attribute = parsed.attributes().map(Result::unwrap).find(|a| a.kind == kind && a.name == name);
        let a = attribute.unwrap_or_else(|| panic!("record {record} has no {kind:#x} {name:?}"));
        let value = match a.body {
            Body::Resident { value, value_offset, .. } => {
                let start = a.offset + value_offset;
                Place::Resident(start..start + value.len())
            }
            Body::NonResident(body) => Place::Clusters(
                parse::runs(body.pairs, 0, self.boot.clusters)
                    .map(Result::unwrap)
                    .map(|run| {
                        let cluster = self.boot.cluster_size as usize;
                        (run.lcn.map_or(0, |lcn| lcn as usize * cluster), run.clusters as usize * cluster)
                    })
                    .collect(),
            ),
        };
        Found { attribute: a.offset..a.offset + a.len, value }
    }

    /// Changes an attribute, its header included.
    pub fn edit_attribute(&mut self, record: u64, kind: u32, name: &str, change: impl FnOnce(&mut [u8])) {
        let found = self.find(record, kind, name);
        self.edit(record, |bytes| change(&mut bytes[found.attribute]));
    }

    /// Changes a resident value.
    pub fn edit_value(&mut self, record: u64, kind: u32, name: &str, change: impl FnOnce(&mut [u8])) {
        let Place::Resident(range) = self.find(record, kind, name).value else { panic!("not resident") };
        self.edit(record, |bytes| change(&mut bytes[range]));
    }

    /// The byte of the volume where a value in one run begins.
    pub fn place(&self, record: u64, kind: u32, name: &str) -> usize {
        match self.find(record, kind, name).value {
            Place::Clusters(runs) => runs[0].0,
            Place::Resident(range) => self.record_at(record) + range.start,
        }
    }

    pub fn len_of(&self, record: u64, kind: u32, name: &str) -> u64 {
        let found = self.find(record, kind, name);
        match found.value {
            Place::Resident(range) => range.len() as u64,
            Place::Clusters(_) => get(&self.record(record), found.attribute.start + 48, 8),
        }
    }

    /// The record of a file by a name that only it has.
    pub fn file(&self, name: &str) -> u64 {
        let has = |&record: &u64| {
            let at = self.record_at(record);
            if self.bytes[at..at + 4] != *b"FILE" {
                return false;
            }
            let bytes = self.record(record);
            let parsed = parse::record(&bytes).unwrap();
            parsed.in_use()
                && parsed
                    .attributes()
                    .map(Result::unwrap)
                    .filter(|a| a.kind == kind::FILE_NAME)
                    .any(|a| parse::file_name(a.resident().unwrap()).unwrap().name == name)
        };
        let record = (0..self.records).find(has).unwrap_or_else(|| panic!("no file {name:?}"));
        let base = get(&self.record(record), 0x20, 8);
        if base == 0 { record } else { parse::record_of(base) }
    }

    /// Changes an index block.
    pub fn edit_block(&mut self, record: u64, index: &str, block: usize, change: impl FnOnce(&mut [u8])) {
        let at = self.place(record, kind::INDEX_ALLOCATION, index) + block * 4096;
        let mut bytes = self.bytes[at..at + 4096].to_vec();
        parse::unprotect(&mut bytes, "block").unwrap();
        change(&mut bytes);
        protect(&mut bytes);
        self.bytes[at..at + 4096].copy_from_slice(&bytes);
    }

    pub fn block(&self, record: u64, index: &str, block: usize) -> Vec<u8> {
        let at = self.place(record, kind::INDEX_ALLOCATION, index) + block * 4096;
        let mut bytes = self.bytes[at..at + 4096].to_vec();
        parse::unprotect(&mut bytes, "block").unwrap();
        bytes
    }

    /// How many blocks an index has.
    pub fn blocks(&self, record: u64, index: &str) -> usize {
        self.len_of(record, kind::INDEX_ALLOCATION, index) as usize / 4096
    }

    /// A block of an index and where in it lies the entry whose key passes.
    pub fn entry(&self, record: u64, index: &str, key: impl Fn(&[u8]) -> bool) -> (usize, Range<usize>) {
        for number in 0..self.blocks(record, index) {
            let bytes = self.block(record, index, number);
            let block = parse::block(&bytes).unwrap();
            for entry in block.node.entries().map(Result::unwrap) {
                if !entry.is_last() && key(entry.key) {
                    return (number, entry.offset..entry.offset + entry.len);
                }
            }
        }
        panic!("no such entry in {index} of record {record}")
    }

    /// The last leaf of an index with its entries (in a directory the first has DOS names, which some tools hide).
    pub fn leaf(&self, record: u64, index: &str) -> (usize, Vec<Range<usize>>) {
        for number in (0..self.blocks(record, index)).rev() {
            let bytes = self.block(record, index, number);
            let block = parse::block(&bytes).unwrap();
            if block.node.flags == 0 {
                let entries = block.node.entries().map(Result::unwrap);
                return (number, entries.map(|entry| entry.offset..entry.offset + entry.len).collect());
            }
        }
        panic!("no leaf in {index} of record {record}")
    }

    /// Changes the entry of a directory that has a name.
    pub fn edit_entry(&mut self, directory: u64, name: &str, change: impl FnOnce(&mut [u8])) {
        let is = |key: &[u8]| parse::file_name(key).is_ok_and(|found| found.name == name);
        let (block, range) = self.entry(directory, "$I30", is);
        self.edit_block(directory, "$I30", block, |bytes| change(&mut bytes[range]));
    }

    /// Takes an entry out of a leaf.
    pub fn remove_entry(&mut self, record: u64, index: &str, block: usize, entry: Range<usize>) {
        self.edit_block(record, index, block, |bytes| {
            let end = 24 + get(bytes, 28, 4) as usize;
            bytes.copy_within(entry.end..end, entry.start);
            bytes[end - entry.len()..end].fill(0);
            set(bytes, 28, (end - entry.len() - 24) as u64, 4);
        });
    }

    /// Flips a bit of a bitmap in clusters or in the record.
    pub fn flip_bit(&mut self, record: u64, kind: u32, name: &str, bit: usize) {
        match self.find(record, kind, name).value {
            Place::Resident(range) => {
                self.edit(record, |bytes| bytes[range.start + bit / 8] ^= 1 << (bit % 8));
            }
            Place::Clusters(runs) => self.bytes[runs[0].0 + bit / 8] ^= 1 << (bit % 8),
        }
    }

    /// Changes the boot sector and its copy.
    pub fn edit_boot(&mut self, change: impl Fn(&mut [u8])) {
        let copy = self.bytes.len() - 512;
        change(&mut self.bytes[..512]);
        change(&mut self.bytes[copy..]);
    }
}
