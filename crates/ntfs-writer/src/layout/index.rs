use binrw::binrw;

/// The collation rules of `$INDEX_ROOT`.
pub(crate) mod collation {
    /// By upper-cased name.
    pub(crate) const FILE_NAME: u32 = 1;
    /// One little-endian `u32`.
    pub(crate) const U32: u32 = 0x10;
    /// A security identifier.
    pub(crate) const SID: u32 = 0x11;
    /// Two `u32`: security hash, then security id.
    pub(crate) const SECURITY_HASH: u32 = 0x12;
    /// Words of `u32`, in order.
    pub(crate) const U32_WORDS: u32 = 0x13;
}

/// The head of `$INDEX_ROOT`, 16 bytes; an [`IndexHeader`] and the entries follow.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexRootHead {
    /// 0x00: type of the indexed attribute: 0x30 for directories, 0 for view indexes.
    pub(crate) kind: u32,
    /// 0x04: see [`collation`].
    pub(crate) collation: u32,
    /// 0x08: bytes per index block: 4096.
    pub(crate) block_size: u32,
    /// 0x0C: block size in VCN units.
    pub(crate) block_units: u8,
    /// 0x0D: zero.
    pub(crate) zero_0d: [u8; 3],
}

/// The head of a node's entries, 16 bytes. Offsets count from its own beginning.
#[binrw]
#[brw(little)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexHeader {
    /// 0x00: where the first entry begins.
    pub(crate) entries_offset: u32,
    /// 0x04: end of the entries.
    pub(crate) len: u32,
    /// 0x08: end of the room for entries.
    pub(crate) allocated: u32,
    /// 0x0C: 1 when entries have children.
    pub(crate) flags: u8,
    /// 0x0D: zero.
    pub(crate) zero_0d: [u8; 3],
}

/// The head of an index block, 24 bytes; an [`IndexHeader`] and the update sequence array follow.
#[binrw]
#[brw(little, magic = b"INDX")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexBlockHead {
    /// 0x04: where the update sequence array begins: 40.
    pub(crate) usa_offset: u16,
    /// 0x06: its length in units of two bytes.
    pub(crate) usa_count: u16,
    /// 0x08: log sequence number, 0.
    pub(crate) lsn: u64,
    /// 0x10: the block's own place in the index, in VCN units.
    pub(crate) vcn: u64,
}

/// The head of a directory's index entry, 16 bytes: key and child VCN follow.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryHead {
    /// 0x00: the file; in view indexes, offset and length of the data.
    pub(crate) target: u64,
    /// 0x08: length of the entry in bytes, a multiple of 8.
    pub(crate) len: u16,
    /// 0x0A: length of the key in bytes.
    pub(crate) key_len: u16,
    /// 0x0C: 1 has a child, 2 is the last of its node.
    pub(crate) flags: u16,
    /// 0x0E: zero.
    pub(crate) zero_0e: u16,
}

/// Bits of [`EntryHead::flags`].
pub(crate) const ENTRY_HAS_CHILD: u16 = 1;
pub(crate) const ENTRY_LAST: u16 = 2;

/// Lengths of the structures.
pub(crate) const ROOT_HEAD_LEN: usize = 16;
pub(crate) const INDEX_HEADER_LEN: usize = 16;
pub(crate) const BLOCK_HEAD_LEN: usize = 24;
pub(crate) const ENTRY_HEAD_LEN: usize = 16;

/// Bytes of an index block. Windows uses no other size since NTFS 1.2.
pub(crate) const BLOCK_LEN: usize = 4096;
/// Where the update sequence array of a block begins, and where its entries begin.
pub(crate) const BLOCK_USA_OFFSET: usize = 0x28;
pub(crate) const BLOCK_ENTRIES: usize = 0x40;

#[cfg(test)]
mod tests {
    use super::super::size_of_written;
    use super::*;

    #[test]
    fn sizes() {
        let root = IndexRootHead { kind: 0, collation: 0, block_size: 0, block_units: 0, zero_0d: [0; 3] };
        assert_eq!(size_of_written(&root), ROOT_HEAD_LEN);
        let header = IndexHeader { entries_offset: 0, len: 0, allocated: 0, flags: 0, zero_0d: [0; 3] };
        assert_eq!(size_of_written(&header), INDEX_HEADER_LEN);
        assert_eq!(
            size_of_written(&IndexBlockHead { usa_offset: 0, usa_count: 0, lsn: 0, vcn: 0 }),
            BLOCK_HEAD_LEN
        );
        assert_eq!(size_of_written(&EntryHead::default()), ENTRY_HEAD_LEN);
        assert!(BLOCK_USA_OFFSET + 2 * super::super::usa_count(BLOCK_LEN) as usize <= BLOCK_ENTRIES);
    }
}
