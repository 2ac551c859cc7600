//! Descriptor tags: what vouches for the structures of UDF.

use super::layout::{RawTag, TAG_LEN};
use crate::source::parse;
use crate::{Error, Result};

/// Checks the tag of a descriptor of kind `what` at byte `offset` of the image, and the CRC of what it covers of `bytes`.
///
/// `location` is what the tag has to say of where it is. It is `None` for file identifiers alone: the directory that
/// they are in was found by a tag with a location, and systems that mount UDF do not look at theirs.
pub(super) fn check(
    what: &'static str,
    offset: u64,
    bytes: &[u8],
    ids: &[u16],
    location: Option<u32>,
) -> Result<RawTag> {
    let malformed = |reason: String| Err(Error::malformed(what, offset, reason));
    let Some(head) = bytes.get(..TAG_LEN) else {
        return malformed(format!("{} bytes left, a descriptor tag has {TAG_LEN}", bytes.len()));
    };
    let tag: RawTag = parse(what, offset, head)?;
    let sum = head
        .iter()
        .enumerate()
        .filter(|&(at, _)| at != 4)
        .fold(0u8, |sum, (_, &byte)| sum.wrapping_add(byte));
    if sum != tag.checksum {
        return malformed(format!("tag checksum is {:#04x}, expected {sum:#04x}", tag.checksum));
    }
    if !ids.contains(&tag.id) {
        let expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
        return malformed(format!("tag identifier is {}, expected {}", tag.id, expected.join(" or ")));
    }
    if !matches!(tag.version, 2 | 3) {
        return malformed(format!("descriptor version is {}, expected 2 or 3", tag.version));
    }
    if let Some(location) = location
        && tag.location != location
    {
        return malformed(format!("tag location is {:#x}, expected {location:#x}", tag.location));
    }
    let Some(covered) = bytes.get(TAG_LEN..TAG_LEN + usize::from(tag.crc_len)) else {
        return malformed(format!("its CRC covers {:#x} bytes of {:#x}", tag.crc_len, bytes.len() - TAG_LEN));
    };
    let crc = crc16(covered);
    if crc != tag.crc {
        return malformed(format!("CRC is {:#06x}, expected {crc:#06x}", tag.crc));
    }
    Ok(tag)
}

/// The remainders of all bytes.
const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-16 of ITU-T V.41: polynomial 0x1021, from 0, highest bit first (ECMA-167, 3/7.2.6).
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| crc << 8 ^ CRC_TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard (3/7.2.6), and the check value of this CRC.
    #[test]
    fn crc_of_the_standard() {
        assert_eq!(crc16(&[0x70, 0x6A, 0x77]), 0x3299);
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn every_byte_of_a_tag_counts() {
        let mut bytes = vec![0; 64];
        bytes[0] = 2;
        bytes[2] = 2;
        bytes[10] = 48;
        bytes[12..16].copy_from_slice(&256u32.to_le_bytes());
        bytes[20] = 7;
        let crc = crc16(&bytes[16..]);
        bytes[8..10].copy_from_slice(&crc.to_le_bytes());
        bytes[4] = bytes[..16].iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte));
        let check = |bytes: &[u8]| check("test", 0, bytes, &[2], Some(256));
        check(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(check(&changed).is_err(), "byte {at}");
        }
        assert!(check(&bytes[..40]).is_err(), "the CRC covers what is not there");
        assert!(check(&bytes[..15]).is_err());
    }
}
