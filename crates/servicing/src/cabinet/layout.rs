//! The structures of a cabinet. Source of all: [MS-CAB] 2; numbers are little-endian.

use binrw::BinRead;

/// What a cabinet begins with.
pub(crate) const SIGNATURE: [u8; 4] = *b"MSCF";

/// Bit 0 of the flags: a cabinet before this one has the begin of its first file.
pub(crate) const FLAG_PREVIOUS: u16 = 1;
/// Bit 1: a cabinet after this one has the end of its last file.
pub(crate) const FLAG_NEXT: u16 = 2;
/// Bit 2: there are reserved areas.
pub(crate) const FLAG_RESERVE: u16 = 4;

/// The length of [`Header`] in bytes.
pub(crate) const HEADER_LEN: u64 = 36;
/// The length of [`FolderEntry`] in bytes, without its reserved area.
pub(crate) const FOLDER_LEN: u64 = 8;
/// The length of [`FileEntry`] in bytes, without its name.
pub(crate) const FILE_LEN: u64 = 16;
/// The length of [`DataHeader`] in bytes, without its reserved area.
pub(crate) const DATA_LEN: u64 = 8;

/// The most that a block of data decodes to.
pub(crate) const BLOCK_SIZE: usize = 0x8000;
/// The most that a block takes: incompressible data grow by at most 6144 bytes.
pub(crate) const MAX_STORED_BLOCK: usize = BLOCK_SIZE + 6144;

/// The first of the folder numbers (0xFFFD to 0xFFFF) of files that are only partly in this cabinet.
pub(crate) const FOLDER_CONTINUED: u16 = 0xFFFD;

/// Attribute: the name is UTF-8.
pub(crate) const ATTRIBUTE_UTF8: u16 = 0x80;

/// CFHEADER.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(crate) struct Header {
    pub(crate) signature: [u8; 4],
    pub(crate) _reserved1: u32,
    /// The cabinet's size. What follows it (a signature, usually) is not part of it.
    pub(crate) size: u32,
    pub(crate) _reserved2: u32,
    /// Where the first [`FileEntry`] lies.
    pub(crate) files_offset: u32,
    pub(crate) _reserved3: u32,
    pub(crate) minor: u8,
    pub(crate) major: u8,
    pub(crate) folders: u16,
    pub(crate) files: u16,
    pub(crate) flags: u16,
    pub(crate) _set: u16,
    pub(crate) index: u16,
}

/// The sizes of the reserved areas, behind the header when there are any.
#[derive(BinRead, Clone, Copy, Debug, Default)]
#[br(little)]
pub(crate) struct Reserve {
    pub(crate) header: u16,
    pub(crate) folder: u8,
    pub(crate) data: u8,
}

/// CFFOLDER.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(crate) struct FolderEntry {
    /// Where its first block lies.
    pub(crate) data_offset: u32,
    pub(crate) blocks: u16,
    /// Bits 0 to 3: the kind; 8 to 12: the window of LZX, as a power of two.
    pub(crate) compression: u16,
}

/// CFFILE.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(crate) struct FileEntry {
    pub(crate) size: u32,
    /// Where it begins in the decoded folder.
    pub(crate) offset: u32,
    pub(crate) folder: u16,
    /// Day in bits 0 to 4, month in 5 to 8, years since 1980 above.
    pub(crate) date: u16,
    /// Half seconds in bits 0 to 4, minutes in 5 to 10, hours above.
    pub(crate) time: u16,
    pub(crate) attributes: u16,
}

/// CFDATA.
#[derive(BinRead, Clone, Copy, Debug)]
#[br(little)]
pub(crate) struct DataHeader {
    /// 0 when there is none.
    pub(crate) checksum: u32,
    pub(crate) stored: u16,
    /// 0 when the block goes on in the next cabinet.
    pub(crate) decoded: u16,
}

const _: () = assert!(size_of::<DataHeader>() == DATA_LEN as usize);

/// The checksum of some bytes: their 32-bit numbers, exclusive-ored; the bytes left over at the end in big-endian order.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
    sum ^ rest.iter().fold(0, |rest, &byte| rest << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of [MS-CAB] 3: the sum of one block.
    #[test]
    fn the_checksum_of_the_specification() {
        let data =
            b"#include <stdio.h>\r\n\r\nvoid main(void)\r\n{\r\n    printf(\"Hello, world!\\n\");\r\n}\r\n\
            #include <stdio.h>\r\n\r\nvoid main(void)\r\n{\r\n    printf(\"Welcome!\\n\");\r\n}\r\n\r\n";
        assert_eq!(data.len(), 0x97);
        assert_eq!(checksum(data) ^ checksum(&[0x97, 0, 0x97, 0]), 0x30A6_5ABD);
        assert_eq!(checksum(&[1, 2, 3]), 0x01_0203);
    }
}
