//! Attributes: the header, the name, and the value or where it lies.

use super::{Fault, Result, Utf16, part, u16_at, u32_at, u64_at};

/// Type codes of attributes.
pub mod kind {
    /// Times, attributes, security id.
    pub const STANDARD_INFORMATION: u32 = 0x10;
    /// Where the attributes of a file with several records lie.
    pub const ATTRIBUTE_LIST: u32 = 0x20;
    /// A name.
    pub const FILE_NAME: u32 = 0x30;
    /// An object id.
    pub const OBJECT_ID: u32 = 0x40;
    /// A security descriptor of the file's own (files of NTFS 3 have an id into `$Secure`).
    pub const SECURITY_DESCRIPTOR: u32 = 0x50;
    /// The volume's label.
    pub const VOLUME_NAME: u32 = 0x60;
    /// The volume's version and flags.
    pub const VOLUME_INFORMATION: u32 = 0x70;
    /// A stream.
    pub const DATA: u32 = 0x80;
    /// The root of an index.
    pub const INDEX_ROOT: u32 = 0x90;
    /// The other blocks of an index.
    pub const INDEX_ALLOCATION: u32 = 0xA0;
    /// Which of them are in use; in `$MFT`, which records are.
    pub const BITMAP: u32 = 0xB0;
    /// A reparse point.
    pub const REPARSE_POINT: u32 = 0xC0;
    /// Sizes of the extended attributes.
    pub const EA_INFORMATION: u32 = 0xD0;
    /// Extended attributes.
    pub const EA: u32 = 0xE0;
    /// Data of encryption or transactions.
    pub const LOGGED_UTILITY_STREAM: u32 = 0x100;

    /// What `$AttrDef` calls a type.
    pub const fn name(kind: u32) -> Option<&'static str> {
        Some(match kind {
            STANDARD_INFORMATION => "$STANDARD_INFORMATION",
            ATTRIBUTE_LIST => "$ATTRIBUTE_LIST",
            FILE_NAME => "$FILE_NAME",
            OBJECT_ID => "$OBJECT_ID",
            SECURITY_DESCRIPTOR => "$SECURITY_DESCRIPTOR",
            VOLUME_NAME => "$VOLUME_NAME",
            VOLUME_INFORMATION => "$VOLUME_INFORMATION",
            DATA => "$DATA",
            INDEX_ROOT => "$INDEX_ROOT",
            INDEX_ALLOCATION => "$INDEX_ALLOCATION",
            BITMAP => "$BITMAP",
            REPARSE_POINT => "$REPARSE_POINT",
            EA_INFORMATION => "$EA_INFORMATION",
            EA => "$EA",
            LOGGED_UTILITY_STREAM => "$LOGGED_UTILITY_STREAM",
            _ => return None,
        })
    }
}

/// Flags of attributes.
pub mod flags {
    /// The method of compression: 0 for none, 1 for LZNT1.
    pub const COMPRESSION: u16 = 0x00FF;
    /// Encrypted with EFS.
    pub const ENCRYPTED: u16 = 0x4000;
    /// Sparse.
    pub const SPARSE: u16 = 0x8000;
}

/// An attribute of a file record.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Where it begins in the record.
    pub offset: usize,
    /// Its length in bytes.
    pub len: usize,
    /// Its type, see [`kind`].
    pub kind: u32,
    /// Its name, empty for most.
    pub name: Utf16<'a>,
    /// Where the header says that the name begins, counted from the attribute.
    pub name_offset: u16,
    /// See [`flags`].
    pub flags: u16,
    /// Its number in the record.
    pub instance: u16,
    /// Its value.
    pub body: Body<'a>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// In the record.
    Resident {
        /// The value.
        value: &'a [u8],
        /// Where it begins, counted from the attribute.
        value_offset: usize,
        /// The flag of values to which an index refers: 1 for names.
        indexed: u8,
    },
    /// In clusters.
    NonResident(NonResident<'a>),
}

/// A value in clusters, or the part of it that this attribute maps. The sizes are those of the whole value, and hold
/// only in the attribute that maps its beginning.
#[derive(Clone, Copy, Debug)]
pub struct NonResident<'a> {
    /// First cluster of the value that is mapped here.
    pub lowest_vcn: u64,
    /// Last cluster that is mapped here; -1 when there is none.
    pub highest_vcn: i64,
    /// The log2 of the clusters in a compression unit; 0 for plain values.
    pub compression_unit: u8,
    /// Allocated bytes, holes included.
    pub allocated: u64,
    /// Length of the value in bytes.
    pub size: u64,
    /// Bytes that were written; the rest reads as zero.
    pub initialized: u64,
    /// Bytes in clusters, holes excluded, of a compressed or sparse value that begins here.
    pub total: Option<u64>,
    /// The mapping pairs and what follows them, for [`runs`](super::runs).
    pub pairs: &'a [u8],
    /// Where they begin, counted from the attribute.
    pub pairs_offset: usize,
}

const WHAT: &str = "attribute header";

/// Longest header fields before name, value or pairs.
const RESIDENT: usize = 24;
const NON_RESIDENT: usize = 64;
const NON_RESIDENT_UNIT: usize = 72;

/// The attribute at byte `at` of the used part of a record.
pub(crate) fn attribute(used: &[u8], at: usize) -> Result<Attribute<'_>> {
    let len = u32_at(used, at + 4).unwrap_or_default() as usize;
    let left = used.len() - at;
    if len < RESIDENT || len > left || !len.is_multiple_of(8) {
        let expected = format_args!("a multiple of 8 in {RESIDENT:#x}..={left:#x}");
        return Err(Fault::new(WHAT, "length", at + 4, format_args!("{len:#x}"), expected));
    }
    parse(&used[at..at + len], at).map_err(|fault| fault.moved(at))
}

fn parse(bytes: &[u8], offset: usize) -> Result<Attribute<'_>> {
    let byte = |at: usize| bytes[at];
    let short = |at| u16_at(bytes, at).unwrap_or_default();
    let flags = short(12);
    let name_len = 2 * usize::from(byte(9));
    let name = match name_len {
        0 => Utf16::default(),
        _ => Utf16::new(part(bytes, short(10).into(), name_len, WHAT, "name")?),
    };
    let body = match byte(8) {
        0 => {
            let (len, at) = (u32_at(bytes, 16).unwrap_or_default() as usize, usize::from(short(20)));
            if at < RESIDENT {
                let expected = format_args!("{RESIDENT:#x} or more");
                return Err(Fault::new(WHAT, "offset of the value", 20, format_args!("{at:#x}"), expected));
            }
            let value = part(bytes, at, len, WHAT, "value")?;
            Body::Resident { value, value_offset: at, indexed: byte(22) }
        }
        1 => Body::NonResident(non_resident(bytes, flags)?),
        other => return Err(Fault::new(WHAT, "non-resident flag", 8, other, "0 or 1")),
    };
    Ok(Attribute {
        offset,
        len: bytes.len(),
        kind: u32_at(bytes, 0).unwrap_or_default(),
        name,
        name_offset: short(10),
        flags,
        instance: short(14),
        body,
    })
}

fn non_resident(bytes: &[u8], flags: u16) -> Result<NonResident<'_>> {
    if bytes.len() < NON_RESIDENT {
        let expected = format_args!("{NON_RESIDENT:#x} or more");
        return Err(Fault::new(WHAT, "length", 4, format_args!("{:#x}", bytes.len()), expected));
    }
    let long = |at| u64_at(bytes, at).unwrap_or_default();
    let pairs_offset = usize::from(u16_at(bytes, 32).unwrap_or_default());
    let lowest_vcn = long(16);
    // Parts of a value after the first carry no sizes, and may end before the field.
    let special = flags & (flags::COMPRESSION | flags::SPARSE) != 0 && lowest_vcn == 0;
    let least = if special { NON_RESIDENT_UNIT } else { NON_RESIDENT };
    if pairs_offset < least || pairs_offset >= bytes.len() {
        let expected = format_args!("{least:#x}..{:#x}", bytes.len());
        return Err(Fault::new(
            WHAT,
            "offset of the mapping pairs",
            32,
            format_args!("{pairs_offset:#x}"),
            expected,
        ));
    }
    let highest_vcn = long(24) as i64;
    if lowest_vcn > i64::MAX as u64 || highest_vcn < -1 || highest_vcn.saturating_add(1) < lowest_vcn as i64 {
        let expected = format_args!("{:#x} or more", lowest_vcn as i64 - 1);
        return Err(Fault::new(WHAT, "highest VCN", 24, format_args!("{highest_vcn:#x}"), expected));
    }
    Ok(NonResident {
        lowest_vcn,
        highest_vcn,
        compression_unit: bytes[34],
        allocated: long(40),
        size: long(48),
        initialized: long(56),
        total: special.then(|| long(64)),
        pairs: &bytes[pairs_offset..],
        pairs_offset,
    })
}

impl<'a> Attribute<'a> {
    /// The value, if it is resident.
    pub const fn resident(&self) -> Option<&'a [u8]> {
        match self.body {
            Body::Resident { value, .. } => Some(value),
            Body::NonResident(_) => None,
        }
    }

    /// Where the value lies, if it is not resident.
    pub const fn non_resident(&self) -> Option<&NonResident<'a>> {
        match &self.body {
            Body::Resident { .. } => None,
            Body::NonResident(body) => Some(body),
        }
    }

    /// The length of the value in bytes.
    pub const fn size(&self) -> u64 {
        match &self.body {
            Body::Resident { value, .. } => value.len() as u64,
            Body::NonResident(body) => body.size,
        }
    }
}
