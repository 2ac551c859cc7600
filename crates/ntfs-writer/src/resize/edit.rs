//! Changing file records and index blocks.

use crate::layout::attribute::NON_RESIDENT_LEN;
use crate::layout::{align8, protect_as, put_u32, put_u64};
use crate::parse::{self, Fault, Run};

/// A record or block whose fixups are undone.
#[derive(Clone, Debug)]
pub(super) struct Protected {
    pub(super) bytes: Vec<u8>,
    /// Where the update sequence array begins, and its number.
    array: usize,
    number: u16,
}

impl Protected {
    /// Takes what lies on the volume.
    pub(super) fn new(mut bytes: Vec<u8>, what: &'static str) -> Result<Self, Fault> {
        let array = parse::check_ends(&bytes, what)?;
        parse::unprotect(&mut bytes, what)?;
        let number = u16::from_le_bytes([bytes[array], bytes[array + 1]]);
        Ok(Self { bytes, array, number })
    }

    /// What is to lie there, under the next number.
    pub(super) fn protected(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        // 0 is not used.
        let number = self.number.checked_add(1).unwrap_or(1);
        protect_as(&mut bytes, self.array, number);
        bytes
    }
}

/// Mapping pairs of runs, with the end.
pub(super) fn pairs(runs: &[Run]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0;
    for run in runs {
        let len = signed(run.clusters as i64);
        let delta = run.lcn.map(|lcn| {
            let delta = lcn as i64 - last;
            last = lcn as i64;
            signed(delta)
        });
        let delta = delta.as_deref().unwrap_or_default();
        out.push((delta.len() << 4 | len.len()) as u8);
        out.extend_from_slice(&len);
        out.extend_from_slice(delta);
    }
    out.push(0);
    out
}

/// The fewest bytes that say a signed number.
fn signed(value: i64) -> Vec<u8> {
    let bytes = value.to_le_bytes();
    let len = (1..8).find(|len| value >> (8 * len - 1) == 0 || value >> (8 * len - 1) == -1).unwrap_or(8);
    bytes[..len].to_vec()
}

/// Neighbours that follow each other on the volume, or are both holes, become one run; `vcn`s are counted anew.
pub(super) fn joined(runs: impl IntoIterator<Item = (Option<u64>, u64)>, first: u64) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut vcn = first;
    for (lcn, clusters) in runs.into_iter().filter(|(_, clusters)| *clusters > 0) {
        match out.last_mut() {
            Some(last) if last.lcn.map(|lcn| lcn + last.clusters) == lcn => last.clusters += clusters,
            _ => out.push(Run { vcn, lcn, clusters }),
        }
        vcn += clusters;
    }
    out
}

/// Lengths of a value in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) allocated: u64,
    pub(super) size: u64,
    pub(super) initialized: u64,
}

/// Gives the attribute at byte `at` of a record other runs, and other sizes. Whether that fits the record; if not, nothing
/// is changed.
pub(super) fn set_runs(
    record: &mut Vec<u8>,
    at: usize,
    runs: &[Run],
    sizes: Option<Sizes>,
) -> Result<bool, Fault> {
    let parsed = parse::record(record)?;
    let (used, next) = (parsed.header.used as usize, parsed.attribute_at(at)?);
    let missing = || Fault::new("file record", "attribute", at, "none", "one in clusters");
    let attribute = next.ok_or_else(missing)?;
    let body = attribute.non_resident().ok_or_else(missing)?;
    let (old_len, pairs_at, lowest) = (attribute.len, body.pairs_offset, body.lowest_vcn);
    let pairs = pairs(runs);
    let len = align8(pairs_at + pairs.len());
    let new_used = used - old_len + len;
    if new_used > record.len() {
        return Ok(false);
    }
    debug_assert!(pairs_at >= NON_RESIDENT_LEN);
    let mut attribute = record[at..at + pairs_at].to_vec();
    attribute.extend_from_slice(&pairs);
    attribute.resize(len, 0);
    put_u32(&mut attribute, 4, len as u32);
    let clusters: u64 = runs.iter().map(|run| run.clusters).sum();
    put_u64(&mut attribute, 24, (lowest + clusters).wrapping_sub(1));
    if let Some(sizes) = sizes {
        put_u64(&mut attribute, 40, sizes.allocated);
        put_u64(&mut attribute, 48, sizes.size);
        put_u64(&mut attribute, 56, sizes.initialized);
    }
    let whole = record.len();
    let rest = record[at + old_len..used].to_vec();
    record.truncate(at);
    record.extend_from_slice(&attribute);
    record.extend_from_slice(&rest);
    record.resize(whole, 0);
    put_u32(record, 0x18, new_used as u32);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back() {
        let runs = [
            Run { vcn: 0, lcn: Some(0x7F), clusters: 0x80 },
            Run { vcn: 0x80, lcn: None, clusters: 1 },
            Run { vcn: 0x81, lcn: Some(0), clusters: 0x7F },
            Run { vcn: 0x100, lcn: Some(0xFFFF_0000), clusters: 0xFFFF },
            Run { vcn: 0x100FF, lcn: Some(3), clusters: 1 },
        ];
        let bytes = pairs(&runs);
        let back: Vec<Run> = parse::runs(&bytes, 0, 1 << 33).map(Result::unwrap).collect();
        assert_eq!(back, runs);
        assert_eq!(bytes[..5], [0x12, 0x80, 0, 0x7F, 0x01]);
        assert_eq!(pairs(&[]), [0]);
    }

    #[test]
    fn numbers_take_the_fewest_bytes() {
        for (value, len) in [(0, 1), (127, 1), (128, 2), (-128, 1), (-129, 2), (i64::MAX, 8), (i64::MIN, 8)] {
            assert_eq!(signed(value).len(), len, "{value}");
        }
    }

    #[test]
    fn neighbours_join() {
        let joined = joined([(Some(5), 2), (Some(7), 1), (None, 3), (None, 0), (None, 1), (Some(8), 1)], 10);
        let run = |vcn, lcn, clusters| Run { vcn, lcn, clusters };
        assert_eq!(joined, [run(10, Some(5), 3), run(13, None, 4), run(17, Some(8), 1)]);
    }

    #[test]
    fn protected_again_under_the_next_number() {
        let mut bytes: Vec<u8> = (0..1024).map(|i| (i % 250) as u8).collect();
        bytes[4..8].copy_from_slice(&[48, 0, 3, 0]);
        bytes[48..50].copy_from_slice(&[0xFF, 0xFF]);
        bytes[510..512].fill(0xFF);
        bytes[1022..1024].fill(0xFF);
        let block = Protected::new(bytes, "block").unwrap();
        let again = Protected::new(block.protected(), "block").unwrap();
        assert_eq!(again.number, 1);
        assert_eq!((&again.bytes[..48], &again.bytes[54..]), (&block.bytes[..48], &block.bytes[54..]));
    }
}
