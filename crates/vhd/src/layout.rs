//! The structures of a VHD. All numbers are big-endian.
//!
//! Source: Microsoft's "Virtual Hard Disk Image Format Specification" 1.0, corrected by what the products write
//! (observed: Virtual PC 2007, Hyper-V 2012 R2, Windows 10, disk2vhd) where noted.

use std::io::Cursor;

use binrw::{BinRead, BinWrite, binrw};
use disk::Guid;

use crate::{Error, Geometry, Result};

/// First eight bytes of a footer.
pub const FOOTER_COOKIE: [u8; 8] = *b"conectix";
/// First eight bytes of a dynamic header.
pub const HEADER_COOKIE: [u8; 8] = *b"cxsparse";
/// Length of a footer.
pub const FOOTER_LEN: usize = 512;
/// Length of a dynamic header.
pub const HEADER_LEN: usize = 1024;
/// The version of footer and header.
pub const VERSION: u32 = 0x0001_0000;
/// An offset that leads nowhere. The specification says 32 bits of ones for the header's; Microsoft's tools write and
/// expect 64.
pub const NOWHERE: u64 = u64::MAX;
/// A block that is not stored, in the block allocation table.
pub const ABSENT: u32 = u32::MAX;
/// [`Footer::disk_type`] of a fixed disk.
pub const TYPE_FIXED: u32 = 2;
/// [`Footer::disk_type`] of a dynamic disk.
pub const TYPE_DYNAMIC: u32 = 3;
/// [`Footer::disk_type`] of a differencing disk.
pub const TYPE_DIFFERENCING: u32 = 4;

/// Units of UTF-16 in [`DynamicHeader::parent_name`].
pub const PARENT_NAME_LEN: usize = 256;
/// How many locators a dynamic header has room for.
pub const LOCATORS: usize = 8;
/// [`LocatorEntry::platform`]: a path of Windows from the folder of the file, UTF-16 little-endian.
pub const LOCATOR_RELATIVE: [u8; 4] = *b"W2ru";
/// [`LocatorEntry::platform`]: a path of Windows from a drive, UTF-16 little-endian.
pub const LOCATOR_ABSOLUTE: [u8; 4] = *b"W2ku";
/// [`LocatorEntry::platform`]: a file URL, UTF-8.
pub const LOCATOR_URL: [u8; 4] = *b"MacX";

const FOOTER_CHECKSUM: usize = 64;
const HEADER_CHECKSUM: usize = 36;

/// The last 512 bytes of every VHD, repeated at offset 0 of all but fixed ones.
#[binrw]
#[brw(big)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// 0: `conectix`.
    pub cookie: [u8; 8],
    /// 8: bit 1 is always set, bit 0 marks a temporary disk.
    pub features: u32,
    /// 12: [`VERSION`].
    pub version: u32,
    /// 16: where the dynamic header lies; [`NOWHERE`] in a fixed disk.
    pub data_offset: u64,
    /// 24: seconds since 2000-01-01 UTC.
    pub timestamp: u32,
    /// 28: `win ` by Windows, `vpc ` by Virtual PC.
    pub creator_application: [u8; 4],
    /// 32: its version, major in the upper half.
    pub creator_version: u32,
    /// 36: `Wi2k` or `Mac `.
    pub creator_os: [u8; 4],
    /// 40: size in bytes when the disk was made.
    pub original_size: u64,
    /// 48: size in bytes now.
    pub current_size: u64,
    /// 56: cylinders, heads, sectors per track.
    pub geometry: Geometry,
    /// 60: what kind of VHD.
    pub disk_type: u32,
    /// 64: see [`checksum`](fn@checksum).
    pub checksum: u32,
    /// 68: identity of the disk, by which differencing disks name their parent.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub unique_id: Guid,
    /// 84: 1 when the machine that used it was suspended.
    #[brw(pad_after = 427)]
    pub saved_state: u8,
}

/// What follows the copy of the footer in a dynamic or differencing disk.
#[binrw]
#[brw(big)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicHeader {
    /// 0: `cxsparse`.
    pub cookie: [u8; 8],
    /// 8: [`NOWHERE`].
    pub data_offset: u64,
    /// 16: where the block allocation table lies.
    pub table_offset: u64,
    /// 24: [`VERSION`].
    pub version: u32,
    /// 28: how many entries the table has. More than the size needs is common; Azure wants exactly as many.
    pub max_table_entries: u32,
    /// 32: bytes of data in a block.
    pub block_size: u32,
    /// 36: see [`checksum`](fn@checksum).
    pub checksum: u32,
    /// 40: identity of the parent of a differencing disk; what follows is about it as well.
    #[br(map = Guid)]
    #[bw(map = |guid| guid.0)]
    pub parent_id: Guid,
    /// 56: when its file was last changed, in seconds since 2000-01-01 UTC. Windows 10 writes 0.
    #[brw(pad_after = 4)]
    pub parent_timestamp: u32,
    /// 64: the name of its file, UTF-16 big-endian, zeros after it.
    pub parent_name: [u16; PARENT_NAME_LEN],
    /// 576: where to find it, for each platform.
    #[brw(pad_after = 256)]
    pub locators: [LocatorEntry; LOCATORS],
}

/// One of the places in a dynamic header that say where the name of the parent lies, in the way of a platform.
#[binrw]
#[brw(big)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocatorEntry {
    /// 0: whose name it is; zero for none. See [`LOCATOR_RELATIVE`] and its neighbours.
    pub platform: [u8; 4],
    /// 4: how much room it has. The specification says in sectors, Windows writes bytes (observed: Windows 10).
    pub space: u32,
    /// 8: length in bytes.
    #[brw(pad_after = 4)]
    pub len: u32,
    /// 16: offset in the file.
    pub offset: u64,
}

/// One's complement of the sum of the bytes, with the checksum's own four bytes (at `field`) left out.
pub fn checksum(bytes: &[u8], field: usize) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    !(sum(&bytes[..field]) + sum(&bytes[field + 4..]))
}

fn check(
    what: &'static str,
    at: u64,
    bytes: &[u8],
    (cookie, expected_cookie): ([u8; 8], [u8; 8]),
    (stored_sum, field): (u32, usize),
    version: u32,
) -> Result<()> {
    if cookie != expected_cookie {
        let (found, expected) = (cookie.escape_ascii(), expected_cookie.escape_ascii());
        return Err(Error::malformed(what, at, format!("signature \"{found}\", expected \"{expected}\"")));
    }
    let actual_sum = checksum(bytes, field);
    if stored_sum != actual_sum {
        let reason = format!("checksum {stored_sum:#010x}, its bytes sum to {actual_sum:#010x}");
        return Err(Error::malformed(what, at, reason));
    }
    if version >> 16 != VERSION >> 16 {
        return Err(Error::malformed(what, at, format!("version {version:#010x}, expected {VERSION:#010x}")));
    }
    Ok(())
}

impl Footer {
    /// The bytes, with the checksum that belongs to them.
    pub fn to_bytes(&self) -> [u8; FOOTER_LEN] {
        let mut bytes = [0; FOOTER_LEN];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 512 bytes");
        let sum = checksum(&bytes, FOOTER_CHECKSUM);
        bytes[FOOTER_CHECKSUM..][..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads the bytes found at offset `at`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when signature, checksum or version are not those of a footer.
    pub fn parse(bytes: &[u8; FOOTER_LEN], at: u64) -> Result<Self> {
        let footer = Self::read(&mut Cursor::new(bytes)).expect("every 512 bytes have this shape");
        let sum = (footer.checksum, FOOTER_CHECKSUM);
        check("VHD footer", at, bytes, (footer.cookie, FOOTER_COOKIE), sum, footer.version)?;
        Ok(footer)
    }
}

impl DynamicHeader {
    /// The bytes, with the checksum that belongs to them.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        self.write(&mut Cursor::new(bytes.as_mut_slice())).expect("the shape is 1024 bytes");
        let sum = checksum(&bytes, HEADER_CHECKSUM);
        bytes[HEADER_CHECKSUM..][..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Reads the bytes found at offset `at`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when signature, checksum or version are not those of a dynamic header.
    pub fn parse(bytes: &[u8; HEADER_LEN], at: u64) -> Result<Self> {
        let header = Self::read(&mut Cursor::new(bytes)).expect("every 1024 bytes have this shape");
        let sum = (header.checksum, HEADER_CHECKSUM);
        check("VHD dynamic header", at, bytes, (header.cookie, HEADER_COOKIE), sum, header.version)?;
        Ok(header)
    }
}
