//! The update sequence of file records and index blocks: a torn write shows as a number that differs.

use super::{Fault, Result, part, u16_at};
use crate::layout::STRIDE;

/// The update sequence array of a block, the sequence number included.
///
/// # Errors
/// When it does not lie in front of the end of the first 512 bytes, or has not one entry for each 512 bytes of the
/// block and one for the number.
pub fn sequence_array<'a>(block: &'a [u8], what: &'static str) -> Result<&'a [u8]> {
    let offset = usize::from(u16_at(block, 4).unwrap_or_default());
    let count = usize::from(u16_at(block, 6).unwrap_or_default());
    let wanted = block.len() / STRIDE + 1;
    if count != wanted || !block.len().is_multiple_of(STRIDE) {
        return Err(Fault::new(what, "length of the update sequence array", 6, count, wanted));
    }
    // The first saved word lies at 510: the array cannot protect itself.
    let last = (STRIDE - 2).saturating_sub(2 * count);
    if offset < 8 || offset > last || !offset.is_multiple_of(2) {
        let expected = format_args!("an even offset in 0x8..={last:#x}");
        return Err(Fault::new(
            what,
            "offset of the update sequence array",
            4,
            format_args!("{offset:#x}"),
            expected,
        ));
    }
    part(block, offset, 2 * count, what, "update sequence array")
}

/// Checks the ends of all 512-byte strides against the sequence number; returns where the array begins.
///
/// # Errors
/// Those of [`sequence_array`], and when a stride ends otherwise.
pub(crate) fn check_ends(block: &[u8], what: &'static str) -> Result<usize> {
    let array = sequence_array(block, what)?;
    let number = [array[0], array[1]];
    let torn = block.chunks_exact(STRIDE).position(|stride| stride[STRIDE - 2..] != number);
    if let Some(stride) = torn {
        let at = (stride + 1) * STRIDE - 2;
        let found = u16::from_le_bytes([block[at], block[at + 1]]);
        let expected = u16::from_le_bytes(number);
        return Err(Fault::new(
            what,
            "update sequence number",
            at,
            format_args!("{found:#x}"),
            format_args!("{expected:#x}"),
        ));
    }
    Ok(usize::from(u16::from_le_bytes([block[4], block[5]])))
}

/// Checks the ends of all 512-byte strides against the sequence number and puts back what they stood for.
///
/// # Errors
/// Those of [`sequence_array`], and when a stride ends otherwise; the block is unchanged then.
pub fn unprotect(block: &mut [u8], what: &'static str) -> Result<()> {
    let offset = check_ends(block, what)? + 2;
    for i in 0..block.len() / STRIDE {
        block.copy_within(offset + 2 * i..offset + 2 * i + 2, (i + 1) * STRIDE - 2);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{protect, put_u16, usa_count};

    fn block(len: usize) -> Vec<u8> {
        let mut block: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        put_u16(&mut block, 4, 0x28);
        put_u16(&mut block, 6, usa_count(len));
        block
    }

    #[test]
    fn undoes_what_protects() {
        for len in [512, 1024, 4096] {
            let mut bytes = block(len);
            let before = bytes.clone();
            protect(&mut bytes, 0x28);
            assert_ne!(bytes, before);
            unprotect(&mut bytes, "block").unwrap();
            let array = 0x28..0x28 + 2 * usize::from(usa_count(len));
            let same = |i: &usize| !array.contains(i) && bytes[*i] != before[*i];
            assert_eq!((0..len).find(same), None);
        }
    }

    #[test]
    fn torn_and_impossible_ones_are_refused() {
        let mut bytes = block(1024);
        protect(&mut bytes, 0x28);
        let mut torn = bytes.clone();
        torn[1023] ^= 1;
        assert_eq!(unprotect(&mut torn, "block").unwrap_err().offset, 1022);
        for (at, value) in [(4, 0), (4, 0x29), (4, 0x1FE), (4, 0xFFFF), (6, 2), (6, 0), (6, 0xFFFF)] {
            let mut bad = bytes.clone();
            put_u16(&mut bad, at, value);
            assert_eq!(unprotect(&mut bad, "block").unwrap_err().offset, at, "{value:#x}");
        }
        assert!(unprotect(&mut [], "block").is_err());
        assert!(unprotect(&mut [0; 700], "block").is_err());
    }
}
