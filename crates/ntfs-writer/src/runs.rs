//! Mapping pairs: where the clusters of a value lie.

/// The longest that the mapping pairs of one run can be, with their end, rounded up to 8: a header byte, up to five
/// bytes each for a length and a cluster below 2^32, and the end byte.
pub(crate) const MAX_LEN: usize = 16;

/// A contiguous range of clusters, or a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// First cluster on the volume; `None` for a hole.
    pub(crate) lcn: Option<u32>,
    /// How many clusters; 0 only in an empty value.
    pub(crate) clusters: u64,
}

/// Bytes that hold `value` as a signed number: readers disagree whether lengths are signed, so all keep a sign bit.
fn signed_len(value: u64) -> usize {
    let bits = 64 - value.leading_zeros() as usize + 1;
    bits.div_ceil(8)
}

impl Run {
    /// Encodes the run and the end byte into `out`; returns how many bytes.
    pub(crate) fn encode(self, out: &mut [u8; MAX_LEN]) -> usize {
        if self.clusters == 0 {
            out[0] = 0;
            return 1;
        }
        let len = signed_len(self.clusters);
        let lcn_len = self.lcn.map_or(0, |lcn| signed_len(u64::from(lcn)));
        out[0] = (lcn_len << 4 | len) as u8;
        out[1..=len].copy_from_slice(&self.clusters.to_le_bytes()[..len]);
        if let Some(lcn) = self.lcn {
            out[1 + len..1 + len + lcn_len].copy_from_slice(&u64::from(lcn).to_le_bytes()[..lcn_len]);
        }
        out[1 + len + lcn_len] = 0;
        2 + len + lcn_len
    }

    /// The length of the encoding.
    pub(crate) fn encoded_len(self) -> usize {
        self.encode(&mut [0; MAX_LEN])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(lcn: Option<u32>, clusters: u64) -> Vec<u8> {
        let mut out = [0xEE; MAX_LEN];
        let len = Run { lcn, clusters }.encode(&mut out);
        out[..len].to_vec()
    }

    #[test]
    fn vectors() {
        assert_eq!(encoded(Some(2), 2), [0x11, 2, 2, 0]);
        // 0x80 as one byte would be negative.
        assert_eq!(encoded(Some(0x80), 0x80), [0x22, 0x80, 0, 0x80, 0, 0]);
        assert_eq!(encoded(Some(0x7F), 0x7F), [0x11, 0x7F, 0x7F, 0]);
        assert_eq!(encoded(None, 0x1234), [0x02, 0x34, 0x12, 0]);
        assert_eq!(encoded(Some(5), 0), [0]);
        // The boot file: cluster 0 is a place like any other.
        assert_eq!(encoded(Some(0), 2), [0x11, 2, 0, 0]);
        assert_eq!(encoded(Some(u32::MAX), u64::from(u32::MAX)).len(), 12);
    }
}
