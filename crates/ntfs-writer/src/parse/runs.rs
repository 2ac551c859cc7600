//! Mapping pairs: where the clusters of a value lie.

use super::{Fault, Result};

/// A contiguous range of clusters of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them, counted from the beginning of the value.
    pub vcn: u64,
    /// Where it lies on the volume; `None` for a hole.
    pub lcn: Option<u64>,
    /// How many there are, at least 1.
    pub clusters: u64,
}

/// The runs of mapping pairs, decoded one at a time; ends after the first fault.
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    pairs: &'a [u8],
    at: usize,
    vcn: u64,
    lcn: i64,
    volume: u64,
    done: bool,
}

/// The runs in `pairs`, of which the first begins at cluster `vcn` of the value, on a volume of `clusters` clusters.
pub const fn runs(pairs: &[u8], vcn: u64, clusters: u64) -> Runs<'_> {
    Runs { pairs, at: 0, vcn, lcn: 0, volume: clusters, done: false }
}

const WHAT: &str = "mapping pairs";

/// No value has more clusters: 2 PiB of the smallest, and with the largest, bytes still fit 63 bits.
const MAX_VCN: u64 = 1 << 42;

impl Runs<'_> {
    /// How many bytes have been read, the end byte included once it was met.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The cluster of the value after the last run: where the next attribute that maps it goes on.
    pub const fn next_vcn(&self) -> u64 {
        self.vcn
    }

    fn decode(&mut self) -> Result<Option<Run>> {
        let at = self.at;
        let fault = |field, at, found: String, expected: String| Fault::new(WHAT, field, at, found, expected);
        let Some(&head) = self.pairs.get(at) else {
            return Err(fault("end", at, "the end of the attribute".into(), "a zero byte before it".into()));
        };
        if head == 0 {
            self.at += 1;
            return Ok(None);
        }
        let (len_len, lcn_len) = (usize::from(head & 15), usize::from(head >> 4));
        if !(1..=8).contains(&len_len) || lcn_len > 8 {
            return Err(fault(
                "header",
                at,
                format!("{head:#04x}"),
                "1 to 8 bytes of length, 0 to 8 of cluster".into(),
            ));
        }
        let end = at + 1 + len_len + lcn_len;
        let Some(numbers) = self.pairs.get(at + 1..end) else {
            let expected = format!("{} left", self.pairs.len() - at);
            return Err(fault("header", at, format!("{} bytes", end - at), expected));
        };
        let clusters = signed(&numbers[..len_len]);
        let next = u64::try_from(clusters).ok().filter(|&n| n > 0).and_then(|n| self.vcn.checked_add(n));
        let Some(next) = next.filter(|&next| next <= MAX_VCN) else {
            return Err(fault("length of a run", at + 1, clusters.to_string(), "1 or more clusters".into()));
        };
        let clusters = next - self.vcn;
        let mut lcn = None;
        if lcn_len > 0 {
            let delta = signed(&numbers[len_len..]);
            let first = self.lcn.checked_add(delta);
            let inside = first
                .and_then(|lcn| u64::try_from(lcn).ok())
                .filter(|&lcn| lcn.checked_add(clusters).is_some_and(|end| end <= self.volume));
            let Some(inside) = inside else {
                let found = format!("{clusters:#x} clusters at {}", first.unwrap_or(i64::MAX));
                let expected = format!("all within the volume's {:#x}", self.volume);
                return Err(fault("cluster of a run", at + 1 + len_len, found, expected));
            };
            self.lcn = inside as i64;
            lcn = Some(inside);
        }
        let run = Run { vcn: self.vcn, lcn, clusters };
        (self.at, self.vcn) = (end, next);
        Ok(Some(run))
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.decode().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A little-endian two's complement number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { -1 } else { 0 };
    bytes.iter().rev().fold(sign, |sum, &byte| sum << 8 | i64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pairs: &[u8]) -> Result<Vec<Run>> {
        runs(pairs, 0, 0x1000).collect()
    }

    #[test]
    fn vectors() {
        assert_eq!(all(&[0]).unwrap(), []);
        let decoded = all(&[0x11, 2, 0x40, 0x01, 5, 0x11, 3, 0xC1, 0x22, 0x80, 0, 0xFF, 0x0F, 0]);
        // The last would end past the volume.
        assert_eq!(decoded.unwrap_err().field, "cluster of a run");
        let decoded = all(&[0x11, 2, 0x40, 0x01, 5, 0x11, 3, 0xC1, 0x22, 0x80, 0, 0x7F, 0x0F, 0]).unwrap();
        assert_eq!(
            decoded,
            [
                Run { vcn: 0, lcn: Some(0x40), clusters: 2 },
                Run { vcn: 2, lcn: None, clusters: 5 },
                Run { vcn: 7, lcn: Some(1), clusters: 3 },
                Run { vcn: 10, lcn: Some(0xF80), clusters: 0x80 },
            ]
        );
    }

    #[test]
    fn reads_what_the_writer_writes() {
        for (lcn, clusters) in [(Some(0), 1), (Some(0x7F), 0x80), (Some(0xFFFF_FFFE), 1), (None, 1 << 40)] {
            let mut out = [0; crate::runs::MAX_LEN];
            let len = crate::runs::Run { lcn, clusters }.encode(&mut out);
            let mut decoder = runs(&out, 3, 1 << 32);
            let run = decoder.next().unwrap().unwrap();
            assert_eq!(run, Run { vcn: 3, lcn: lcn.map(u64::from), clusters });
            assert_eq!(decoder.next(), None);
            assert_eq!((decoder.position(), decoder.next_vcn()), (len, 3 + clusters));
        }
    }

    #[test]
    fn impossible_ones_are_refused_and_end() {
        for pairs in [
            &[][..],
            &[0x11],
            &[0x11, 1],
            &[0x10, 1, 0],
            &[0x91, 1, 0],
            &[0x19, 1, 0],
            &[0x11, 0, 1, 0],
            &[0x11, 0x80, 1, 0],
            &[0x11, 1, 0x80, 0],
            &[0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0],
            &[0x81, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0],
            &[0x11, 1, 1],
        ] {
            let mut decoder = runs(pairs, 0, 0x1000);
            let last = decoder.by_ref().last();
            assert!(last.is_some_and(|last| last.is_err()), "{pairs:x?}");
            assert!(decoder.next().is_none());
        }
    }
}
