//! The structures of NTFS as they lie on the disk, one file per region.
//!
//! Only what has a fixed size is a struct; arrays of variable entries (mapping pairs, index entries, attribute lists)
//! are assembled by the modules that own their rules. NTFS was never specified in public: the source of each layout is
//! the libfsntfs format documentation, checked against volumes that Windows 10 formatted ("observed").

pub(crate) mod attribute;
pub(crate) mod boot;
pub(crate) mod index;
pub(crate) mod number;
pub(crate) mod record;
pub(crate) mod security;

use std::io::Cursor;

use binrw::BinWrite;
use binrw::meta::WriteEndian;

/// Writes `value` at byte `at` of `buf`.
pub(crate) fn put<T>(buf: &mut [u8], at: usize, value: &T)
where
    T: BinWrite + WriteEndian,
    for<'a> T::Args<'a>: Default,
{
    value.write(&mut Cursor::new(&mut buf[at..])).expect("the caller made room for the structure");
}

/// Writes a little-endian `u16` at byte `at`.
pub(crate) fn put_u16(buf: &mut [u8], at: usize, value: u16) {
    buf[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes a little-endian `u32` at byte `at`.
pub(crate) fn put_u32(buf: &mut [u8], at: usize, value: u32) {
    buf[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a little-endian `u64` at byte `at`.
pub(crate) fn put_u64(buf: &mut [u8], at: usize, value: u64) {
    buf[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Writes UTF-16LE at byte `at`.
pub(crate) fn put_utf16(buf: &mut [u8], at: usize, units: &[u16]) {
    for (bytes, unit) in buf[at..at + 2 * units.len()].chunks_exact_mut(2).zip(units) {
        bytes.copy_from_slice(&unit.to_le_bytes());
    }
}

/// The next multiple of 8: attributes, index entries and list entries all begin on one.
pub(crate) const fn align8(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// How many bytes one update sequence number protects, whatever the sector size (observed: Windows 10, 4Kn).
pub(crate) const STRIDE: usize = 512;

/// The update sequence number of everything we write: any value but 0 does, and readers only compare.
const SEQUENCE_NUMBER: u16 = 1;

/// The length of the update sequence array of a structure of `len` bytes, in units of two bytes.
pub(crate) const fn usa_count(len: usize) -> u16 {
    (len / STRIDE + 1) as u16
}

/// Protects a file record or index block that is new.
pub(crate) fn protect(block: &mut [u8], usa_offset: usize) {
    protect_as(block, usa_offset, SEQUENCE_NUMBER);
}

/// Protects a file record or index block: the last two bytes of every 512 move into the update sequence array at
/// `usa_offset`, and `number` takes their place. A torn write shows as a number that differs.
pub(crate) fn protect_as(block: &mut [u8], usa_offset: usize, number: u16) {
    put_u16(block, usa_offset, number);
    for i in 0..block.len() / STRIDE {
        let (end, saved) = ((i + 1) * STRIDE - 2, usa_offset + 2 + 2 * i);
        block.copy_within(end..end + 2, saved);
        put_u16(block, end, number);
    }
}

/// Reference to a file record: the number, and in the high 16 bits the sequence number of its use.
pub(crate) const fn reference(record: u64, sequence: u16) -> u64 {
    record | (sequence as u64) << 48
}

#[cfg(test)]
pub(crate) fn size_of_written<T>(value: &T) -> usize
where
    T: BinWrite + WriteEndian,
    for<'a> T::Args<'a>: Default,
{
    let mut out = Cursor::new(Vec::new());
    value.write(&mut out).unwrap();
    out.into_inner().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixups_swap_the_ends_of_strides() {
        let mut block: Vec<u8> = (0..1024u32).map(|i| (i % 251) as u8).collect();
        let before = block.clone();
        protect(&mut block, 48);
        assert_eq!(block[48..50], [1, 0]);
        assert_eq!(block[50..52], before[510..512]);
        assert_eq!(block[52..54], before[1022..1024]);
        assert_eq!(block[510..512], [1, 0]);
        assert_eq!(block[1022..1024], [1, 0]);
        assert_eq!(usa_count(1024), 3);
        assert_eq!(usa_count(4096), 9);
    }
}
