use binrw::binrw;

pub(crate) use crate::parse::kind;

/// Bits of [`AttributeHeader::flags`].
pub(crate) mod flags {
    /// Compressed with LZNT1.
    pub(crate) const COMPRESSED: u16 = 0x0001;
    /// Sparse.
    pub(crate) const SPARSE: u16 = 0x8000;
}

/// What every attribute begins with, 16 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeHeader {
    /// 0x00: type code, see [`kind`].
    pub(crate) kind: u32,
    /// 0x04: length of the attribute in bytes, a multiple of 8.
    pub(crate) len: u32,
    /// 0x08: 1 when the value lies in clusters.
    pub(crate) non_resident: u8,
    /// 0x09: length of the name in UTF-16 units.
    pub(crate) name_len: u8,
    /// 0x0A: offset of the name.
    pub(crate) name_offset: u16,
    /// 0x0C: see [`flags`].
    pub(crate) flags: u16,
    /// 0x0E: a number that is unique in the record.
    pub(crate) instance: u16,
}

/// What follows the header when the value is resident, 8 bytes; name and value follow.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResidentHeader {
    /// 0x10: length of the value in bytes.
    pub(crate) value_len: u32,
    /// 0x14: offset of the value, a multiple of 8.
    pub(crate) value_offset: u16,
    /// 0x16: 1 when an index refers to the value: for `$FILE_NAME` only.
    pub(crate) indexed: u8,
    /// 0x17: zero.
    pub(crate) zero_17: u8,
}

/// What follows the header when the value is not resident, 48 bytes; for compressed and sparse values a `u64` of really
/// allocated bytes follows, then name and mapping pairs.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NonResidentHeader {
    /// 0x10: first cluster of the value that this attribute maps.
    pub(crate) lowest_vcn: u64,
    /// 0x18: last cluster of the value that this attribute maps; -1 when there is none.
    pub(crate) highest_vcn: i64,
    /// 0x20: offset of the mapping pairs.
    pub(crate) pairs_offset: u16,
    /// 0x22: log2 of the clusters in a compression unit.
    pub(crate) compression_unit: u8,
    /// 0x23: zero.
    pub(crate) zero_23: [u8; 5],
    /// 0x28: allocated bytes.
    pub(crate) allocated: u64,
    /// 0x30: length of the value in bytes.
    pub(crate) size: u64,
    /// 0x38: bytes that were written; what is beyond reads as zero.
    pub(crate) initialized: u64,
}

/// Bytes before the name, for the three kinds of header.
pub(crate) const RESIDENT_LEN: usize = 24;
pub(crate) const NON_RESIDENT_LEN: usize = 64;
pub(crate) const NON_RESIDENT_UNIT_LEN: usize = 72;

/// The value of `$STANDARD_INFORMATION`, 72 bytes (48 in the version before NTFS 3.0, which a few system files keep).
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandardInformation {
    /// 0x00: FILETIME.
    pub created: u64,
    /// 0x08: FILETIME.
    pub modified: u64,
    /// 0x10: FILETIME of the last change of the record.
    pub changed: u64,
    /// 0x18: FILETIME.
    pub accessed: u64,
    /// 0x20: `FILE_ATTRIBUTE_*`, without the directory bit.
    pub attributes: u32,
    /// 0x24: maximum number of versions, 0.
    pub max_versions: u32,
    /// 0x28: version number, 0.
    pub version: u32,
    /// 0x2C: class id, 0.
    pub class: u32,
    /// 0x30: owner id for quotas, 0: quotas are not tracked.
    pub owner: u32,
    /// 0x34: key of the descriptor in `$Secure`.
    pub security: u32,
    /// 0x38: bytes charged to the owner, 0.
    pub quota: u64,
    /// 0x40: last update sequence number of the change journal, 0.
    pub usn: u64,
}

/// Length of [`StandardInformation`], and of its version before NTFS 3.0.
pub(crate) const STANDARD_INFORMATION_LEN: usize = 72;
pub(crate) const STANDARD_INFORMATION_OLD_LEN: usize = 48;

/// The value of `$FILE_NAME` without the name itself, 66 bytes; also the key of a directory's index entries.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileNameHead {
    /// 0x00: the directory.
    pub parent: u64,
    /// 0x08: FILETIME.
    pub created: u64,
    /// 0x10: FILETIME.
    pub modified: u64,
    /// 0x18: FILETIME.
    pub changed: u64,
    /// 0x20: FILETIME.
    pub accessed: u64,
    /// 0x28: allocated bytes of the unnamed stream.
    pub allocated: u64,
    /// 0x30: length of the unnamed stream.
    pub size: u64,
    /// 0x38: `FILE_ATTRIBUTE_*`, and the bits for indexes.
    pub attributes: u32,
    /// 0x3C: reparse tag, or packed size of the extended attributes.
    pub tag: u32,
    /// 0x40: length of the name in UTF-16 units.
    pub name_len: u8,
    /// 0x41: namespace: 0 POSIX, 1 Win32, 2 DOS, 3 Win32 and DOS.
    pub namespace: u8,
}

/// Length of [`FileNameHead`].
pub(crate) const FILE_NAME_LEN: usize = 66;

/// An entry of an attribute list without the name, 26 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListEntry {
    /// 0x00: type of the attribute.
    pub(crate) kind: u32,
    /// 0x04: length of the entry in bytes, a multiple of 8.
    pub(crate) len: u16,
    /// 0x06: length of the name in UTF-16 units.
    pub(crate) name_len: u8,
    /// 0x07: offset of the name: 26.
    pub(crate) name_offset: u8,
    /// 0x08: first cluster that the attribute maps: 0, we never split a value.
    pub(crate) lowest_vcn: u64,
    /// 0x10: the record that holds it.
    pub(crate) record: u64,
    /// 0x18: its instance number there.
    pub(crate) instance: u16,
}

/// Length of [`ListEntry`].
pub(crate) const LIST_ENTRY_LEN: usize = 26;

/// The head of `$REPARSE_POINT`, 8 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReparseHead {
    /// 0x00: the tag.
    pub tag: u32,
    /// 0x04: bytes that follow this head (less the GUID for tags that are not Microsoft's).
    pub len: u16,
    /// 0x06: reserved.
    pub reserved: u16,
}

/// The value of `$EA_INFORMATION`, 8 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EaInformation {
    /// 0x00: size of all attributes in the form of OS/2: each 5 bytes, name and value.
    pub packed: u16,
    /// 0x02: how many have the need flag.
    pub need: u16,
    /// 0x04: size of `$EA`.
    pub unpacked: u32,
}

/// The value of `$VOLUME_INFORMATION`, 12 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeInformation {
    /// 0x00: zero.
    pub zero_00: u64,
    /// 0x08: 3.
    pub major: u8,
    /// 0x09: 1.
    pub minor: u8,
    /// 0x0A: 0: clean, short names on.
    pub flags: u16,
}

#[cfg(test)]
mod tests {
    use super::super::size_of_written;
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_of_written(&StandardInformation::default()), STANDARD_INFORMATION_LEN);
        assert_eq!(size_of_written(&FileNameHead::default()), FILE_NAME_LEN);
        let header = AttributeHeader {
            kind: 0,
            len: 0,
            non_resident: 0,
            name_len: 0,
            name_offset: 0,
            flags: 0,
            instance: 0,
        };
        let resident = ResidentHeader { value_len: 0, value_offset: 0, indexed: 0, zero_17: 0 };
        let non_resident = NonResidentHeader {
            lowest_vcn: 0,
            highest_vcn: 0,
            pairs_offset: 0,
            compression_unit: 0,
            zero_23: [0; 5],
            allocated: 0,
            size: 0,
            initialized: 0,
        };
        assert_eq!(size_of_written(&header) + size_of_written(&resident), RESIDENT_LEN);
        assert_eq!(size_of_written(&header) + size_of_written(&non_resident), NON_RESIDENT_LEN);
        let entry =
            ListEntry { kind: 0, len: 0, name_len: 0, name_offset: 0, lowest_vcn: 0, record: 0, instance: 0 };
        assert_eq!(size_of_written(&entry), LIST_ENTRY_LEN);
    }
}
