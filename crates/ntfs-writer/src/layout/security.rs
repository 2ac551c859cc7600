use binrw::binrw;

/// What precedes a descriptor in `$Secure:$SDS`, and what the two indexes of `$Secure` hold as data: 20 bytes.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SdsHeader {
    /// 0x00: hash of the descriptor.
    pub hash: u32,
    /// 0x04: its key.
    pub id: u32,
    /// 0x08: offset of this header in `$SDS`, the same in the mirror.
    pub offset: u64,
    /// 0x10: length of header and descriptor.
    pub len: u32,
}

/// Length of [`SdsHeader`].
pub(crate) const SDS_HEADER_LEN: usize = 20;

#[cfg(test)]
mod tests {
    #[test]
    fn size() {
        assert_eq!(super::super::size_of_written(&super::SdsHeader::default()), super::SDS_HEADER_LEN);
    }
}
