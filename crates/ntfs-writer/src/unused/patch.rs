//! What is left over inside structures that are in use.
//!
//! File records and index blocks end every 512 bytes with the update sequence number, and keep what belongs there in an
//! array at their beginning. Zeroing the end of one so means its bytes but for those ends, and the words of the array that
//! stand for them. The number stays: see the [module](super).

use crate::layout::record::{END, END_LEN};
use crate::layout::{STRIDE, put_u32};
use crate::parse::{self, Fault, Result};

/// A structure in use with remains in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where it begins on the volume, in bytes.
    pub offset: u64,
    /// Its length in bytes: 512 to 65,536.
    pub len: u32,
    pub(super) form: Form,
}

/// What a patch does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Zeroes a record in use behind what it uses.
    Record,
    /// Makes a record that was given back one that was never used.
    FreeRecord,
    /// Zeroes an index block behind its entries.
    Block,
    /// A part of a structure whose clusters do not follow each other, as it is to be.
    Bytes(Box<[u8]>),
}

impl Patch {
    /// Zeroes the remains in `bytes`, which are all of the structure as it lies on the volume. Doing it again changes nothing.
    ///
    /// # Errors
    /// When the structure is not there, or torn; `bytes` are unchanged then.
    pub fn apply(&self, bytes: &mut [u8]) -> Result<()> {
        self.form.apply(bytes)
    }
}

impl Form {
    pub(super) fn apply(&self, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Record => {
                let used = record(bytes)?.header.used as usize;
                zero_from(bytes, used, "file record")
            }
            Self::FreeRecord => free_record(bytes),
            Self::Block => {
                let mut plain = bytes.to_vec();
                parse::unprotect(&mut plain, "index block")?;
                let node = parse::block(&plain)?.node;
                let end = node.offset + node.len;
                zero_from(bytes, end, "index block")
            }
            Self::Bytes(new) => {
                if new.len() != bytes.len() {
                    let expected = new.len();
                    return Err(Fault::new("structure", "length", 0, bytes.len(), expected));
                }
                bytes.copy_from_slice(new);
                Ok(())
            }
        }
    }

    /// The bytes after [`apply`](Self::apply), when they are others.
    pub(super) fn changed(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut new = bytes.to_vec();
        self.apply(&mut new)?;
        Ok((new != bytes).then_some(new))
    }
}

/// The header of a record whose fixups are there.
fn record(bytes: &[u8]) -> Result<parse::Record<'_>> {
    parse::check_ends(bytes, "file record")?;
    // The header lies in front of the first word that was moved away.
    parse::record(bytes)
}

/// Zeroes what a protected structure holds from byte `from` on.
fn zero_from(bytes: &mut [u8], from: usize, what: &'static str) -> Result<()> {
    let array = parse::check_ends(bytes, what)?;
    let array_end = array + 2 * (bytes.len() / STRIDE + 1);
    if from < array_end || from > bytes.len() {
        let expected = format_args!("{array_end:#x}..={:#x}", bytes.len());
        return Err(Fault::new(what, "end of what is used", 0, format_args!("{from:#x}"), expected));
    }
    for (i, stride) in bytes.chunks_exact_mut(STRIDE).enumerate() {
        let start = from.saturating_sub(i * STRIDE);
        if start < STRIDE - 2 {
            stride[start..STRIDE - 2].fill(0);
        }
    }
    for i in 0..bytes.len() / STRIDE {
        let end = (i + 1) * STRIDE;
        let saved = array + 2 + 2 * i;
        if from < end {
            // One byte of the word may be used and the other not.
            let first = from.saturating_sub(end - 2).min(2);
            bytes[saved + first..saved + 2].fill(0);
        }
    }
    Ok(())
}

fn free_record(bytes: &mut [u8]) -> Result<()> {
    let header = record(bytes)?.header;
    let first = usize::from(header.attributes_offset);
    // All that is not zero then lies in the first sector, which is written or not.
    if header.flags & crate::layout::record::flags::IN_USE != 0 || first + END_LEN > STRIDE - 2 {
        let found = format_args!("flags {:#x}, attributes at {first:#x}", header.flags);
        return Err(Fault::new("file record", "header", 0x14, found, "a free record with a short header"));
    }
    zero_from(bytes, first, "file record")?;
    put_u32(bytes, first, END);
    put_u32(bytes, 0x18, (first + END_LEN) as u32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{protect, put_u16, usa_count};

    /// A record of 1024 bytes with `used` bytes, everything behind them 0xEE.
    fn record_bytes(used: u32, flags: u16) -> Vec<u8> {
        let mut bytes = vec![0xEE; 1024];
        let header = parse::RecordHeader {
            usa_offset: 48,
            usa_count: usa_count(1024),
            sequence: 9,
            attributes_offset: 56,
            flags,
            used,
            allocated: 1024,
            number: 7,
            ..parse::RecordHeader::default()
        };
        crate::layout::put(&mut bytes, 0, &header);
        protect(&mut bytes, 48);
        bytes
    }

    fn plain(bytes: &[u8]) -> Vec<u8> {
        let mut plain = bytes.to_vec();
        parse::unprotect(&mut plain, "record").unwrap();
        // The array is not content.
        plain[48..54].fill(0);
        plain
    }

    #[test]
    fn records_keep_what_they_use_and_the_number() {
        for used in (64..=1024).step_by(8).chain([509, 510, 511, 1022, 1023]) {
            let before = record_bytes(used, 1);
            let new = Form::Record.changed(&before).unwrap().unwrap_or_else(|| before.clone());
            let (a, b) = (plain(&before), plain(&new));
            let used = used as usize;
            assert_eq!(a[..used], b[..used], "{used}");
            assert!(b[used..].iter().all(|&byte| byte == 0), "{used}");
            assert_eq!(new[48..50], before[48..50], "the number stays");
            assert_eq!(Form::Record.changed(&new).unwrap(), None, "twice is once");
        }
    }

    /// Each mix of old and new sectors is a record with the same content.
    #[test]
    fn a_record_that_was_written_in_part_is_sound() {
        for used in [200, 508, 512, 600] {
            let old = record_bytes(used, 1);
            let new = Form::Record.changed(&old).unwrap().unwrap();
            for mix in [[&old[..512], &new[512..]].concat(), [&new[..512], &old[512..]].concat()] {
                assert_eq!(plain(&mix)[..used as usize], plain(&old)[..used as usize]);
                assert_eq!(Form::Record.changed(&mix).unwrap().unwrap_or(mix), new);
            }
        }
    }

    #[test]
    fn free_records_become_empty() {
        let old = record_bytes(800, 0);
        let new = Form::FreeRecord.changed(&old).unwrap().unwrap();
        let plain = plain(&new);
        let empty = parse::record(&plain).unwrap();
        assert_eq!((empty.header.sequence, empty.header.number, empty.header.used), (9, 7, 64));
        assert_eq!(empty.attributes().count(), 0);
        assert!(plain[60..].iter().all(|&byte| byte == 0));
        assert_eq!(Form::FreeRecord.changed(&new).unwrap(), None);
        assert!(Form::FreeRecord.changed(&record_bytes(800, 1)).is_err(), "one in use is not emptied");
    }

    #[test]
    fn blocks_keep_their_entries() {
        let mut block = vec![0xEE; 4096];
        block[..4].copy_from_slice(b"INDX");
        put_u16(&mut block, 4, 0x28);
        put_u16(&mut block, 6, usa_count(4096));
        block[24..40].fill(0);
        put_u32(&mut block, 24, 0x28);
        put_u32(&mut block, 28, 0x28 + 1000);
        put_u32(&mut block, 32, 4096 - 24);
        protect(&mut block, 0x28);
        let new = Form::Block.changed(&block).unwrap().unwrap();
        let undo = |bytes: &[u8]| {
            let mut plain = bytes.to_vec();
            parse::unprotect(&mut plain, "block").unwrap();
            plain
        };
        let (a, b) = (undo(&block), undo(&new));
        let end = 24 + 0x28 + 1000;
        assert_eq!(a[0x40..end], b[0x40..end]);
        assert!(b[end..].iter().all(|&byte| byte == 0));
        assert_eq!(Form::Block.changed(&new).unwrap(), None);
    }

    #[test]
    fn what_is_torn_or_impossible_stays() {
        let good = record_bytes(200, 1);
        for (at, value) in [(511, 7), (4, 0), (6, 9), (0x18, 50), (0x19, 5), (0, b'B')] {
            let mut bad = good.clone();
            bad[at] = value;
            let before = bad.clone();
            let patch = Patch { offset: 0, len: 1024, form: Form::Record };
            assert!(patch.apply(&mut bad).is_err(), "{at:#x}");
            assert_eq!(bad, before);
        }
        let patch = Patch { offset: 0, len: 4, form: Form::Bytes(Box::new([1, 2, 3, 4])) };
        assert!(patch.apply(&mut [0; 3]).is_err());
    }
}
