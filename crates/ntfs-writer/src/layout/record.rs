use binrw::binrw;

/// The head of a file record, 48 bytes; the update sequence array follows it, then the attributes.
#[binrw]
#[brw(little, magic = b"FILE")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// 0x04: where the update sequence array begins: 48.
    pub usa_offset: u16,
    /// 0x06: its length in units of two bytes, the sequence number included.
    pub usa_count: u16,
    /// 0x08: log sequence number; 0, the log being empty.
    pub lsn: u64,
    /// 0x10: how often the record was taken into use.
    pub sequence: u16,
    /// 0x12: number of `$FILE_NAME` attributes, 0 in extension records.
    pub links: u16,
    /// 0x14: where the first attribute begins.
    pub attributes_offset: u16,
    /// 0x16: see `flags`.
    pub flags: u16,
    /// 0x18: bytes used: the offset of the end marker, and 8.
    pub used: u32,
    /// 0x1C: bytes allocated: the record size.
    pub allocated: u32,
    /// 0x20: the base record, in extension records.
    pub base: u64,
    /// 0x28: the next attribute instance number.
    pub next_instance: u16,
    /// 0x2A: zero.
    pub zero_2a: u16,
    /// 0x2C: the record's own number.
    pub number: u32,
}

/// Where the update sequence array begins.
pub(crate) const USA_OFFSET: usize = 48;

/// What ends the attributes.
pub(crate) const END: u32 = 0xFFFF_FFFF;

/// Bytes that the end marker takes: the marker, and four bytes that Windows counts as used.
pub(crate) const END_LEN: usize = 8;

/// Bits of [`RecordHeader::flags`].
pub(crate) mod flags {
    /// In use.
    pub(crate) const IN_USE: u16 = 1;
    /// Has an index of file names.
    pub(crate) const DIRECTORY: u16 = 2;
    /// A child of `$Extend` (observed: Windows 10, `$Quota`, `$ObjId`, `$Reparse`).
    pub(crate) const EXTEND: u16 = 4;
    /// Has another index.
    pub(crate) const VIEW_INDEX: u16 = 8;
}

/// Where attributes begin in a record of `record_size` bytes: 56 in 1024, 72 in 4096 (observed: Windows 10).
pub(crate) const fn attributes_offset(record_size: usize) -> usize {
    super::align8(USA_OFFSET + 2 * super::usa_count(record_size) as usize)
}

/// Bytes for attributes in a record of `record_size` bytes.
pub(crate) const fn capacity(record_size: usize) -> usize {
    record_size - attributes_offset(record_size) - END_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(super::super::size_of_written(&RecordHeader::default()), USA_OFFSET);
        assert_eq!(attributes_offset(1024), 56);
        assert_eq!(attributes_offset(4096), 72);
    }
}
