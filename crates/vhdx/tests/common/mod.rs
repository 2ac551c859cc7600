//! What the tests of this crate share: disks, and driving sinks.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "tests fail by panicking, and not each uses all"
)]

use std::sync::{Arc, Mutex};

use disk::Seed;
use testkit::container::{allocated, drive_ordered, drive_positioned};
pub use testkit::container::{disk, read_all, write_sparse};
pub use testkit::content::noise;
use wimforge_vhdx::layout::checksum;
use wimforge_vhdx::{Options, file_size, ordered, positioned};

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

pub fn options(disk: &[u8]) -> Options {
    Options { block_size: MIB as u32, ..Options::new(disk.len() as u64, &Seed::new(b"tests")) }
}

/// `disk` as a file, written backwards in units that span blocks.
pub fn file(disk: &[u8], options: &Options) -> Vec<u8> {
    let file = Arc::new(Mutex::new(Vec::new()));
    let ranges = allocated(disk, 4096);
    let sink = positioned(Arc::clone(&file), options, ranges.iter().cloned()).unwrap();
    drive_positioned(Box::new(sink), disk, &ranges, 5 * MIB / 2);
    let file = std::mem::take(&mut *file.lock().unwrap());
    assert_eq!(file.len() as u64, file_size(options, ranges.iter().cloned()).unwrap());
    file
}

/// `disk` as a file with blocks of 1 MiB.
pub fn dynamic(disk: &[u8]) -> Vec<u8> {
    file(disk, &options(disk))
}

/// `disk` as a file, written front to back.
pub fn stream(disk: &[u8], options: &Options) -> Vec<u8> {
    let mut file = Vec::new();
    let ranges = allocated(disk, 4096);
    let sink = ordered(&mut file, options, ranges.iter().cloned()).unwrap();
    drive_ordered(Box::new(sink), disk, &ranges);
    file
}

/// Puts `bytes` at `at`, and right checksums into whichever headers and region tables have their signature.
pub fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
    for (at, len, signature) in [
        (64 * KIB, 4 * KIB, b"head"),
        (128 * KIB, 4 * KIB, b"head"),
        (192 * KIB, 64 * KIB, b"regi"),
        (256 * KIB, 64 * KIB, b"regi"),
    ] {
        let structure = &mut file[at..at + len];
        if structure.starts_with(signature) {
            let sum = checksum(structure);
            structure[4..8].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Puts `bytes` at `at` of both headers.
pub fn put_headers(file: &mut [u8], at: usize, bytes: &[u8]) {
    put(file, 64 * KIB + at, bytes);
    put(file, 128 * KIB + at, bytes);
}

/// Puts `bytes` at `at` of both region tables.
pub fn put_regions(file: &mut [u8], at: usize, bytes: &[u8]) {
    put(file, 192 * KIB + at, bytes);
    put(file, 256 * KIB + at, bytes);
}

/// Puts an entry of the block allocation table.
pub fn put_entry(file: &mut [u8], index: usize, entry: u64) {
    put(file, 3 * MIB + index * 8, &entry.to_le_bytes());
}

/// An entry of the block allocation table.
pub fn entry(file: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(file[3 * MIB + index * 8..][..8].try_into().unwrap())
}

/// What a log entry writes.
pub enum Logged {
    /// A sector of 4096 bytes.
    Sector(u64, Vec<u8>),
    /// A length of zeros.
    Zeros(u64, u64),
}

/// A log entry. `tail` is where in the log the sequence begins.
pub struct LogEntry {
    pub id: [u8; 16],
    pub sequence: u64,
    pub tail: u32,
    pub flushed: u64,
    pub last: u64,
    pub writes: Vec<Logged>,
}

impl LogEntry {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = b"loge".to_vec();
        bytes.resize(12, 0);
        bytes.extend_from_slice(&self.tail.to_le_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&(self.writes.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.flushed.to_le_bytes());
        bytes.extend_from_slice(&self.last.to_le_bytes());
        let mut sectors = Vec::new();
        for write in &self.writes {
            let offset = match write {
                Logged::Sector(offset, data) => {
                    bytes.extend_from_slice(b"desc");
                    bytes.extend_from_slice(&data[4092..]);
                    bytes.extend_from_slice(&data[..8]);
                    sectors.extend_from_slice(b"data");
                    sectors.extend_from_slice(&((self.sequence >> 32) as u32).to_le_bytes());
                    sectors.extend_from_slice(&data[8..4092]);
                    sectors.extend_from_slice(&(self.sequence as u32).to_le_bytes());
                    offset
                }
                Logged::Zeros(offset, len) => {
                    bytes.extend_from_slice(b"zero\0\0\0\0");
                    bytes.extend_from_slice(&len.to_le_bytes());
                    offset
                }
            };
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&self.sequence.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes.append(&mut sectors);
        let len = bytes.len() as u32;
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        sign_log_entry(&mut bytes);
        bytes
    }
}

/// Puts the right checksum into a log entry.
pub fn sign_log_entry(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// Puts `bytes` into the log of 1 MiB at 1 MiB, around its end.
pub fn put_log(file: &mut [u8], at: usize, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        file[MIB + (at + index) % MIB] = *byte;
    }
}

/// Says in both headers that the log with `id` counts.
pub fn put_log_id(file: &mut [u8], id: [u8; 16]) {
    put_headers(file, 48, &id);
}

/// The content of a parent locator.
pub fn locator(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = wimforge_vhdx::layout::LOCATOR_TYPE_VHDX.0.to_vec();
    bytes.extend_from_slice(&[0, 0, pairs.len() as u8, 0]);
    let mut texts = Vec::new();
    let base = 20 + pairs.len() * 12;
    for (key, value) in pairs {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let (key, value) = (utf16(key), utf16(value));
        let at = (base + texts.len()) as u32;
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&(at + key.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        texts.extend(key);
        texts.extend(value);
    }
    bytes.append(&mut texts);
    bytes
}

/// Where the content of the metadata items begins, and where tests put a parent locator.
pub const ITEMS: usize = 2 * MIB + 64 * KIB;
pub const LOCATOR_AT: usize = ITEMS + 4 * KIB;

/// Puts an entry into the metadata table.
pub fn put_item(file: &mut [u8], index: usize, id: disk::Guid, offset: u32, len: u32, flags: u32) {
    let at = 2 * MIB + 32 + index * 32;
    file[at..at + 16].copy_from_slice(&id.0);
    for (index, number) in [offset, len, flags].into_iter().enumerate() {
        file[at + 16 + index * 4..][..4].copy_from_slice(&number.to_le_bytes());
    }
    let count = usize::from(file[2 * MIB + 10]).max(index + 1);
    file[2 * MIB + 10] = count as u8;
}

/// Makes a dynamic file (blocks of 1 MiB, fewer than 4096) into one whose parent is named by `locator`.
pub fn make_differencing(file: &mut [u8], locator: &[u8]) {
    file[ITEMS + 4] = 2;
    file[LOCATOR_AT..LOCATOR_AT + locator.len()].copy_from_slice(locator);
    let offset = (LOCATOR_AT - 2 * MIB) as u32;
    put_item(file, 5, wimforge_vhdx::layout::PARENT_LOCATOR, offset, locator.len() as u32, 4);
}
