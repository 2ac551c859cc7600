//! A volume on a disk as its bytes, for looking at what a writer made of it and for spoiling it.

use std::fs::File;
use std::path::Path;

use disk::{ReadAt, WriteAt};

pub const INDEX_ROOT: u32 = 0x90;
pub const INDEX_ALLOCATION: u32 = 0xA0;
pub const ATTRIBUTE_LIST: u32 = 0x20;
pub const FILE_NAME: u32 = 0x30;
pub const DATA: u32 = 0x80;
pub const BITMAP: u32 = 0xB0;
pub const MFT: u64 = 0;
pub const ROOT: u64 = 5;

/// A volume that begins at byte `start` of a file.
pub struct Volume {
    file: File,
    pub start: u64,
    pub cluster: u64,
    pub record_len: u64,
    /// Where the beginning of `$MFT` is. Records of an `$MFT` in pieces are found in its first one.
    mft: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..][..2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..][..4].try_into().unwrap())
}

impl Volume {
    pub fn open(path: &Path, start: u64) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut boot = [0; 512];
        file.read_exact_at(&mut boot, start).unwrap();
        let cluster = match boot[0x0D] {
            shift @ 0x81.. => 512 << (256 - u64::from(shift)),
            sectors => 512 * u64::from(sectors),
        };
        let record_len = match boot[0x40] as i8 {
            clusters @ 1.. => clusters as u64 * cluster,
            shift => 1 << -shift,
        };
        let mft = start + u64::from(u32_at(&boot, 0x30)) * cluster;
        Self { file, start, cluster, record_len, mft }
    }

    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).unwrap();
    }

    /// Changes the byte at `at`.
    pub fn flip(&self, at: u64) {
        let byte = self.read(at, 1)[0];
        self.write(at, &[!byte]);
    }

    /// Where FILE record `number` lies.
    pub fn record(&self, number: u64) -> u64 {
        self.mft + number * self.record_len
    }

    fn record_bytes(&self, number: u64) -> Vec<u8> {
        self.read(self.record(number), self.record_len as usize)
    }

    /// The FILE record with the name `name`.
    pub fn find(&self, name: &str) -> u64 {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let found = (16..100_000).find(|&number| {
            let record = self.record_bytes(number);
            record[..4] == *b"FILE"
                && record[0x16] & 1 == 1
                && attribute(&record, 0x30).is_some_and(|at| {
                    let value = at + usize::from(u16_at(&record, at + 0x14));
                    usize::from(record[value + 0x40]) * 2 == name.len()
                        && record[value + 0x42..].starts_with(&name)
                })
        });
        found.expect("the file is in the first piece of $MFT")
    }

    /// Where attribute `kind` of record `number` lies.
    pub fn attribute(&self, number: u64, kind: u32) -> Option<u64> {
        let record = self.record_bytes(number);
        attribute(&record, kind).map(|at| self.record(number) + at as u64)
    }

    /// The value of resident attribute `kind` of record `number`.
    pub fn value(&self, number: u64, kind: u32) -> Vec<u8> {
        let record = self.record_bytes(number);
        let at = attribute(&record, kind).unwrap();
        assert_eq!(record[at + 8], 0, "the attribute is resident");
        record[at + usize::from(u16_at(&record, at + 0x14))..][..u32_at(&record, at + 0x10) as usize].to_vec()
    }

    /// Sectors of the volume.
    pub fn sectors(&self) -> u64 {
        u64::from_le_bytes(self.read(self.start + 0x28, 8).try_into().unwrap())
    }

    /// Where the first cluster of non-resident attribute `kind` of record `number` lies.
    pub fn first_cluster(&self, number: u64, kind: u32) -> u64 {
        let record = self.record_bytes(number);
        let at = attribute(&record, kind).unwrap();
        assert_eq!(record[at + 8], 1, "the attribute has clusters");
        let run = at + usize::from(u16_at(&record, at + 0x20));
        let (count, distance) = (usize::from(record[run] & 15), usize::from(record[run] >> 4));
        let lcn = record[run + 1 + count..][..distance]
            .iter()
            .rev()
            .fold(0, |lcn, &byte| lcn << 8 | u64::from(byte));
        self.start + lcn * self.cluster
    }

    /// How many runs attribute `kind` has in record `number` itself. `None`: it is resident, or elsewhere.
    pub fn runs(&self, number: u64, kind: u32) -> Option<usize> {
        let record = self.record_bytes(number);
        let at = attribute(&record, kind)?;
        if record[at + 8] == 0 {
            return None;
        }
        let mut run = at + usize::from(u16_at(&record, at + 0x20));
        let mut runs = 0;
        while record[run] != 0 {
            run += 1 + usize::from(record[run] & 15) + usize::from(record[run] >> 4);
            runs += 1;
        }
        Some(runs)
    }
}

fn attribute(record: &[u8], kind: u32) -> Option<usize> {
    let mut at = usize::from(u16_at(record, 0x14));
    while u32_at(record, at) != u32::MAX {
        if u32_at(record, at) == kind {
            return Some(at);
        }
        at += u32_at(record, at + 4) as usize;
    }
    None
}
