//! The NTFS boot record: finds `\BOOTMGR` on its volume, loads it and starts it.
//!
//! It reads NTFS as it is, not a list of blocks, because Windows' servicing rewrites BOOTMGR where it likes. Only what
//! finding one file in the root directory needs is here; order of keys is not: like other boot code, it looks at every
//! index block that is in use instead of descending a tree.
//!
//! No length, offset or count of the volume is believed. A record or block that points outside of itself, of the stream
//! it belongs to, or of the volume ends in a message, and every loop is bounded by the size of a buffer: FILE records
//! 4 KiB, index blocks 64 KiB, attribute lists 63 KiB, 65,536 index blocks, 5,461 pieces of `$MFT`, 2,048 of any other
//! stream.
//!
//! # Conventions
//!
//! DS = SS = 0 throughout; ES is scratch, and so is every register that a routine does not say it keeps. Sectors are
//! counted from the volume's first. What cannot be goes to `'fail` or `'damaged`, with the message behind the call; they
//! do not come back.
//!
//! # Hand-off
//!
//! BOOTMGR lies at linear 0x20000 and is entered at 2000:0000 with DL = drive, DH = 0, DS = ES = SS = 0, SP = 7C00, A20
//! on, and this record's first sector, with the volume's fields, at 0:7C00.

mod directory;
mod disk;
mod first_sector;
mod records;
mod start;
mod streams;

use std::collections::BTreeMap;

use testkit::asm;
use testkit::asm::*;
use wimforge_bootsector::NTFS_BOOT_RECORD_LEN;

/// Where the BIOS, or a master boot record, puts the first sector.
const LOADED: u16 = 0x7C00;
/// Where the second sector begins; its data comes first.
const SECOND: u16 = LOADED + 512;
/// Where its code begins.
const MAIN: u16 = SECOND + 16;

/// Memory from 0:0600 on; below is the BIOS's. The stack grows down from 7C00 towards 2000.
mod at {
    pub const DRIVE: u32 = 0x600;
    /// log2 of sectors per cluster, 0..=12.
    pub const SHIFT: u32 = 0x601;
    /// Status of the last disk access.
    pub const STATUS: u32 = 0x602;
    pub const TRIES: u32 = 0x603;
    /// Most sectors to read at once (word).
    pub const BATCH: u32 = 0x604;
    /// Sectors in a FILE record (dword).
    pub const RECORD_SECTORS: u32 = 0x608;
    /// Where memory for BOOTMGR ends (linear, dword).
    pub const TOP: u32 = 0x60C;
    /// The packet of an EDD read.
    pub const PACKET: u32 = 0x610;

    /// The run being decoded (qwords).
    pub const RUN_CLUSTERS: u32 = 0x620;
    pub const RUN_DELTA: u32 = 0x628;
    pub const RUN_LCN: u32 = 0x630;

    /// The attribute that is looked for: type (dword), length of its name (byte: 0, or 4 for $I30), first VCN (qword).
    pub const WANT_TYPE: u32 = 0x640;
    pub const WANT_NAME: u32 = 0x644;
    pub const WANT_VCN: u32 = 0x648;
    /// The record that has the attribute or its list (dword), and the table for its runs (word).
    pub const BASE: u32 = 0x650;
    pub const TABLE: u32 = 0x654;
    /// Bytes of the attribute list (word).
    pub const LIST_LEN: u32 = 0x656;
    /// Whether any piece was found (byte).
    pub const FOUND: u32 = 0x658;

    /// The attribute that was found: size and initialized size (qwords), flags of all its pieces (word), whether it is
    /// resident (byte) and then where its value is (word).
    pub const SIZE: u32 = 0x660;
    pub const INITIALIZED: u32 = 0x668;
    pub const FLAGS: u32 = 0x670;
    pub const RESIDENT: u32 = 0x672;
    pub const VALUE: u32 = 0x674;

    /// The FILE record read last (dword), for messages.
    pub const RECORD_NUMBER: u32 = 0x678;

    /// The scan of the root directory: sectors in a block, block number, how many there may be, sectors of them all.
    pub const BLOCK_SECTORS: u32 = 0x680;
    pub const BLOCK: u32 = 0x684;
    pub const BLOCKS: u32 = 0x688;
    pub const ALL_SECTORS: u32 = 0x68C;

    /// Tables of runs: see [`super::table`].
    pub const MFT_TABLE: u32 = 0x6A0;
    pub const FILE_TABLE: u32 = 0x6B0;

    /// The FILE record read last: 4 KiB.
    pub const RECORD: u32 = 0x1000;
}

/// A table of runs: where its entries are (segment), how many fit, how many there are (words), sectors of them all (dword).
/// An entry is the first sector (qword, all ones for a hole) and how many (dword).
mod table {
    pub const SEGMENT: u32 = 0;
    pub const LIMIT: u32 = 2;
    pub const COUNT: u32 = 4;
    pub const SECTORS: u32 = 8;
    pub const ENTRY: u32 = 12;
}

/// Buffers by segment, and how much fits. The last three lie where BOOTMGR goes when they have served.
mod buffer {
    pub const RECORD: u32 = 0x0100;
    pub const FILE_RUNS: (u32, u32) = (0x0A00, 0x6000 / super::table::ENTRY);
    pub const MFT_RUNS: (u32, u32) = (0x1000, 0x1_0000 / super::table::ENTRY);
    pub const BLOCK: u32 = 0x2000;
    pub const LIST: u32 = 0x3000;
    pub const LIST_LEN: u32 = 0xFC00;
    pub const BITMAP: u32 = 0x4000;
    pub const BITMAP_LEN: u32 = 0x2000;
    /// Where the last of them ends: as much memory there has to be.
    pub const END: u32 = 0x4_2000;

    pub const BOOTMGR: u32 = 0x2000;
}

/// Fields of the boot sector.
mod bpb {
    const START: u32 = super::LOADED as u32;
    pub const SECTOR_SIZE: u32 = START + 0x0B;
    pub const SECTORS_PER_CLUSTER: u32 = START + 0x0D;
    pub const HIDDEN: u32 = START + 0x1C;
    pub const DRIVE: u32 = START + 0x24;
    pub const SECTORS: u32 = START + 0x28;
    pub const MFT: u32 = START + 0x30;
    pub const RECORD_SIZE: u32 = START + 0x40;
}

/// Types of attributes.
mod kind {
    pub const ATTRIBUTE_LIST: u32 = 0x20;
    pub const FILE_NAME: u32 = 0x30;
    pub const DATA: u32 = 0x80;
    pub const INDEX_ROOT: u32 = 0x90;
    pub const INDEX_ALLOCATION: u32 = 0xA0;
    pub const BITMAP: u32 = 0xB0;
    pub const REPARSE_POINT: u32 = 0xC0;
}

/// The name of a directory's index, "$I30", as the two halves of its UTF-16.
const I30: [u32; 2] = [0x0049_0024, 0x0030_0033];

/// The last four bytes of the record: that they were loaded shows that sectors are what they are taken for.
const END_MARK: u32 = 0x4B4F_4D57;

/// The 8192 bytes, those of the volume's fields zero.
pub fn assemble() -> Vec<u8> {
    let first = first_sector::assemble();
    let mut a = Asm::new(first.labels);
    start::assemble(&mut a);
    directory::assemble(&mut a);
    records::assemble(&mut a);
    streams::assemble(&mut a);
    disk::assemble(&mut a);
    let code = a.finish(MAIN).bytes;

    let mut record = first.bytes;
    record.extend(b"BOOTMGR\0wimforge");
    assert_eq!(record.len(), usize::from(MAIN - LOADED));
    record.extend(code);
    println!("the NTFS boot record has {} bytes of code and data", record.len());
    assert!(record.len() <= NTFS_BOOT_RECORD_LEN - 4, "{} bytes", record.len());
    record.resize(NTFS_BOOT_RECORD_LEN - 4, 0);
    record.extend(END_MARK.to_le_bytes());
    record
}

/// The name that is looked for, in upper case.
const NAME: u32 = SECOND as u32;
const NAME_LEN: u32 = 7;
