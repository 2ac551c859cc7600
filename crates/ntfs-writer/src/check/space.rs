//! Clusters: each belongs to one value or to nobody, as `$Bitmap` says; and what is unused is zero.

use std::ops::Range;

use super::Checker;
use super::record::kind_name;
use super::report::{Code, Place};
use super::source::Value;
use crate::layout::number;
use crate::parse::{NonResident, Run, kind};

/// Bytes of `$Bitmap` that are compared at once.
const CHUNK: u64 = 64 << 10;
/// Bytes that are read at once when free space is looked at, and all that is looked at.
const ZERO_CHUNK: u64 = 1 << 20;
const MAX_FREE: u64 = 64 << 30;
/// Bytes behind the end of a value that are looked at.
const MAX_TAIL: u64 = 4 << 20;

impl Checker<'_> {
    pub(super) fn check_clusters(&mut self) {
        let mut claims = std::mem::take(&mut self.claims);
        claims.sort_unstable();
        let cluster = self.cluster();
        let mut end = 0;
        let mut owner = None;
        for claim in &claims {
            if let Some(other) = owner.filter(|_| claim.lcn < end) {
                let super::Claim { record, kind, .. } = other;
                let text = format_args!(
                    "{} has clusters from {:#x} on that belong to record {record} ({}), too",
                    kind_name(claim.kind),
                    claim.lcn,
                    kind_name(kind)
                );
                self.error(
                    Code::ClusterShared,
                    Place::at(claim.record.into(), Some(claim.lcn * cluster)),
                    text,
                );
            }
            if claim.lcn + claim.clusters >= end {
                end = claim.lcn + claim.clusters;
                owner = Some(*claim);
            }
        }
        let Some(value) = self.value_of(number::BITMAP, kind::DATA, "") else { return };
        let clusters = self.boot.clusters;
        let needed = clusters.div_ceil(64) * 8;
        let place = Place::at(number::BITMAP, value.place(0));
        if value.size() < clusters.div_ceil(8) {
            let text = format_args!("$Bitmap has {} bytes, expected {needed}", value.size());
            self.error(Code::BitmapTail, place, text);
        } else if value.size() != needed {
            self.strict(
                Code::BitmapTail,
                place,
                format_args!("$Bitmap has {} bytes, expected {needed}", value.size()),
            );
        }
        // Not more than the clusters need: a length that is a lie must not cost time.
        let len = value.size().min(needed + CHUNK);
        let mut next = 0;
        let mut wrong = Wrong::default();
        let mut at = 0;
        while at < len {
            let mut bits = vec![0; CHUNK.min(len - at) as usize];
            if let Err(error) = value.read(self.volume, at, &mut bits) {
                return self.unreadable(place, "$Bitmap", &error);
            }
            let range = at * 8..at * 8 + bits.len() as u64 * 8;
            let mut expected = vec![0; bits.len()];
            while let Some(claim) = claims.get(next).filter(|claim| claim.lcn < range.end) {
                let claimed = claim.lcn..claim.lcn + claim.clusters;
                set(&mut expected, &range, &claimed);
                if claimed.end > range.end {
                    break;
                }
                next += 1;
            }
            set(&mut expected, &range, &(clusters..range.end));
            for (i, (&bit, &want)) in bits.iter().zip(&expected).enumerate().filter(|(_, (a, b))| a != b) {
                for shift in (0..8).filter(|shift| (bit ^ want) >> shift & 1 == 1) {
                    let number = range.start + i as u64 * 8 + shift;
                    self.wrong_bit(&mut wrong, &value, number, bit >> shift & 1 == 1);
                }
            }
            at += bits.len() as u64;
        }
        self.wrong_bit(&mut wrong, &value, u64::MAX, false);
        if self.ours {
            self.check_free(&claims);
        }
    }

    /// Neighbouring bits that are wrong are one finding.
    fn wrong_bit(&mut self, wrong: &mut Wrong, value: &Value, number: u64, used: bool) {
        let clusters = self.boot.clusters;
        let tail = number >= clusters;
        let goes_on =
            wrong.range.end == number && wrong.used == used && !wrong.range.is_empty() && wrong.tail == tail;
        if goes_on {
            wrong.range.end += 1;
            return;
        }
        let Range { start, end } = wrong.range;
        if start < end {
            let place = Place::at(number::BITMAP, value.place(start / 8));
            let last = end - 1;
            match (wrong.tail, wrong.used) {
                (true, _) => {
                    let text = format_args!(
                        "bits {start:#x} to {last:#x} are clear, expected set: there are {clusters:#x} clusters"
                    );
                    self.error(Code::BitmapTail, place, text);
                }
                (false, true) => {
                    let text = format_args!(
                        "clusters {start:#x} to {last:#x} are marked as used and belong to nobody"
                    );
                    self.error(Code::ClusterUsed, place, text);
                }
                (false, false) => {
                    let text = format_args!("clusters {start:#x} to {last:#x} are marked as free and in use");
                    self.error(Code::ClusterFree, place, text);
                }
            }
        }
        *wrong = Wrong { range: number..number.saturating_add(1), used, tail };
    }

    /// Free clusters are zero.
    fn check_free(&mut self, claims: &[super::Claim]) {
        let cluster = self.cluster();
        let mut buf = vec![0; ZERO_CHUNK as usize];
        let mut looked = 0;
        let mut start = 0;
        let end = super::Claim { lcn: self.boot.clusters, clusters: 0, record: 0, kind: 0 };
        for claim in claims.iter().chain([&end]) {
            let mut at = start * cluster;
            let stop = claim.lcn.max(start) * cluster;
            while at < stop {
                let len = ZERO_CHUNK.min(stop - at);
                looked += len;
                if looked > MAX_FREE {
                    return self.cut(format!("whether free clusters beyond {MAX_FREE} bytes are zero"));
                }
                let buf = &mut buf[..len as usize];
                if let Err(error) = self.volume.read_exact_at(buf, at) {
                    return self.unreadable(Place::volume(at), "free clusters", &error);
                }
                if let Some(byte) = buf.iter().position(|&byte| byte != 0) {
                    let text = format_args!("free space is {:#x}, expected 0", buf[byte]);
                    self.error(Code::Slack, Place::volume(at + byte as u64), text);
                }
                at += len;
            }
            start = start.max(claim.lcn + claim.clusters);
        }
    }

    /// What lies in the clusters of a value behind its end is zero.
    pub(super) fn check_tail(&mut self, number: u64, what: &str, runs: &[Run], body: &NonResident<'_>) {
        let cluster = self.cluster();
        let Some(last) = runs.last().filter(|_| self.ours && number != number::LOG) else { return };
        let end = (last.vcn + last.clusters).saturating_mul(cluster);
        if last.lcn.is_none() || body.size >= end {
            return;
        }
        let start = body.size.max(end.saturating_sub(MAX_TAIL));
        if !self.may_read(end - start) {
            return self.cut("the ends of values that together are longer than the volume".into());
        }
        let stream = super::Stream { runs: runs.to_vec(), size: end, initialized: end, cluster };
        let mut bytes = vec![0; (end - start) as usize];
        let place = Place::at(number, stream.place(start));
        if let Err(error) = stream.read_raw(self.volume, start, &mut bytes) {
            return self.unreadable(place, what, &error);
        }
        if let Some(byte) = bytes.iter().position(|&byte| byte != 0) {
            let text = format_args!(
                "{what}: byte {:#x} behind the end is {:#x}, expected 0",
                start + byte as u64,
                bytes[byte]
            );
            self.error(Code::Slack, place.plus(byte), text);
        }
    }
}

/// Bits of `$Bitmap` that are wrong in the same way.
#[derive(Default)]
struct Wrong {
    range: Range<u64>,
    used: bool,
    tail: bool,
}

/// Sets the bits of `bits` in a piece of the bitmap that stands for `range`.
fn set(piece: &mut [u8], range: &Range<u64>, bits: &Range<u64>) {
    let start = bits.start.max(range.start).min(range.end) - range.start;
    let end = bits.end.min(range.end).max(range.start) - range.start;
    let mut bit = start;
    while bit < end {
        if bit.is_multiple_of(8) && end - bit >= 8 {
            let whole = (end - bit) / 8;
            piece[(bit / 8) as usize..][..whole as usize].fill(0xFF);
            bit += whole * 8;
        } else {
            piece[(bit / 8) as usize] |= 1 << (bit % 8);
            bit += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_set_in_their_piece_only() {
        for (bits, expected) in [
            (0..16, [0, 0]),
            (15..17, [1, 0]),
            (17..31, [0xFE, 0x7F]),
            (0..100, [0xFF, 0xFF]),
            (24..32, [0, 0xFF]),
            (40..50, [0, 0]),
        ] {
            let mut piece = [0; 2];
            set(&mut piece, &(16..32), &bits);
            assert_eq!(piece, expected, "{bits:?}");
        }
    }
}
