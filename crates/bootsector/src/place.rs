use std::ops::Range;

use crate::{Error, Result};

/// Partitions begin and end on multiples of this many bytes, as Windows has placed them since Vista: it suits every
/// physical sector, erase block and container block in use. Only volumes with clusters above it need more.
pub const ALIGNMENT: u64 = 1 << 20;

/// How large a partition is to be. Sizes are rounded up to the alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// At least this many bytes.
    Bytes(u64),
    /// Whatever the others leave; at least the alignment.
    Rest,
}

/// The smallest disk, in bytes, that holds partitions of these sizes, or `None` past 2^64. The first partition begins
/// at `alignment`, the others follow without gaps, and the disk ends with the last.
pub fn smallest_disk(alignment: u64, wanted: &[Size]) -> Option<u64> {
    wanted.iter().try_fold(alignment, |end, size| end.checked_add(rounded(alignment, *size)?))
}

fn rounded(alignment: u64, size: Size) -> Option<u64> {
    match size {
        Size::Bytes(bytes) => bytes.max(1).checked_next_multiple_of(alignment),
        Size::Rest => Some(alignment),
    }
}

/// The byte ranges of `wanted` partitions, in that order, on a disk of `disk_size` bytes, beginning and ending on
/// multiples of `alignment`, normally [`ALIGNMENT`].
///
/// # Errors
/// [`Error::TooSmall`]; [`Error::Impossible`] when more than one partition wants the rest, or sizes pass 2^64.
///
/// # Panics
/// When `alignment` is 0.
pub fn place(disk_size: u64, alignment: u64, wanted: &[Size]) -> Result<Vec<Range<u64>>> {
    if wanted.iter().filter(|size| **size == Size::Rest).count() > 1 {
        return Err(Error::Impossible("more than one partition is to take the rest of the disk".to_owned()));
    }
    let needed = smallest_disk(alignment, wanted)
        .ok_or_else(|| Error::Impossible("partitions larger than 2^64 bytes".to_owned()))?;
    let usable = disk_size / alignment * alignment;
    let spare = usable.checked_sub(needed).ok_or(Error::TooSmall { disk: disk_size, needed })?;
    let mut start = alignment;
    let ranges = wanted.iter().map(|size| {
        let extra = if *size == Size::Rest { spare } else { 0 };
        let len = rounded(alignment, *size).expect("the sum of all was checked") + extra;
        let range = start..start + len;
        start = range.end;
        range
    });
    Ok(ranges.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_rest_is_what_is_left() {
        let ranges =
            place(100 * MIB + 12_345, ALIGNMENT, &[Size::Bytes(3), Size::Rest, Size::Bytes(10 * MIB)])
                .unwrap();
        assert_eq!(ranges, [MIB..2 * MIB, 2 * MIB..90 * MIB, 90 * MIB..100 * MIB]);
    }

    #[test]
    fn too_small_says_how_large_it_must_be() {
        let wanted = [Size::Bytes(350 * MIB), Size::Rest];
        let error = place(351 * MIB, ALIGNMENT, &wanted).unwrap_err();
        assert_eq!(error, Error::TooSmall { disk: 351 * MIB, needed: 352 * MIB });
        assert_eq!(place(352 * MIB, ALIGNMENT, &wanted).unwrap()[1], 351 * MIB..352 * MIB);
        assert!(matches!(place(u64::MAX, ALIGNMENT, &[Size::Rest, Size::Rest]), Err(Error::Impossible(_))));
        assert!(matches!(place(u64::MAX, ALIGNMENT, &[Size::Bytes(u64::MAX)]), Err(Error::Impossible(_))));
    }

    proptest! {
        #[test]
        fn placed_partitions_are_aligned_disjoint_and_large_enough(
            disk in 0u64..1 << 40, sizes in prop::collection::vec(0u64..1 << 38, 0..4), rest in 0usize..5,
            alignment in prop::sample::select(vec![ALIGNMENT, 2 * ALIGNMENT])
        ) {
            let mut wanted: Vec<_> = sizes.into_iter().map(Size::Bytes).collect();
            if rest <= wanted.len() {
                wanted.insert(rest, Size::Rest);
            }
            let Ok(ranges) = place(disk, alignment, &wanted) else {
                prop_assert!(smallest_disk(alignment, &wanted).unwrap() > disk / alignment * alignment);
                return Ok(());
            };
            let mut end = alignment;
            for (range, size) in ranges.iter().zip(&wanted) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end.is_multiple_of(alignment) && range.end > range.start);
                if let Size::Bytes(bytes) = size {
                    prop_assert!(range.end - range.start >= *bytes);
                }
                end = range.end;
            }
            prop_assert!(end <= disk || ranges.is_empty());
        }
    }
}
