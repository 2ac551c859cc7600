//! The three repeat offsets of LZX, the latest first, kept in one register and changed without a branch: which of them a
//! match uses, if any, is as good as random.

use crate::lzx_entry::{NO_REPEAT, REPEAT_BITS, Slot};

pub(crate) trait Repeats: Copy {
    /// None of the offsets has more than 21 bits.
    fn new(offsets: [u32; 3]) -> Self;

    fn offsets(self) -> [u32; 3];

    /// The offset that a token uses, which becomes the first: the one that its slot says, which changes places with the
    /// first; or, if its slot is none of the repeats, `new`, which pushes the others down.
    ///
    /// With the slot of literals nothing changes, and this is the first repeat offset.
    fn resolve(&mut self, slot: &Slot, new: u32) -> usize;
}

/// 21 bits each.
#[derive(Clone, Copy)]
pub(crate) struct Packed(u64);

const MASK: u64 = (1 << REPEAT_BITS) - 1;

impl Repeats for Packed {
    #[inline(always)]
    fn new([first, second, third]: [u32; 3]) -> Self {
        Self(u64::from(first) | u64::from(second) << REPEAT_BITS | u64::from(third) << (2 * REPEAT_BITS))
    }

    #[inline(always)]
    fn offsets(self) -> [u32; 3] {
        [0, 1, 2].map(|slot| (self.0 >> (slot * REPEAT_BITS) & MASK) as u32)
    }

    #[inline(always)]
    fn resolve(&mut self, slot: &Slot, new: u32) -> usize {
        let difference = (self.0 ^ self.0 >> slot.shift) & MASK;
        let swapped = self.0 ^ (difference | difference << slot.shift);
        // The last one falls out at the top, but for one bit that nobody looks at.
        let pushed = self.0 << REPEAT_BITS | u64::from(new);
        self.0 = core::hint::select_unpredictable(slot.shift == NO_REPEAT, pushed, swapped);
        (self.0 & MASK) as usize
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use shuffled::Shuffled;

/// A third of the instructions, and of the waiting.
#[cfg(target_arch = "x86_64")]
mod shuffled {
    use core::arch::x86_64::{
        __m128, _mm_castps_si128, _mm_castsi128_ps, _mm_cvtsi32_si128, _mm_cvtsi128_si32, _mm_load_si128,
        _mm_move_ss, _mm_permutevar_ps,
    };

    use super::{Repeats, Slot};

    /// A copy of the first (or whatever), then the three.
    ///
    /// For processors with AVX only.
    #[derive(Clone, Copy)]
    pub(crate) struct Shuffled(__m128);

    impl Repeats for Shuffled {
        #[inline(always)]
        fn new([first, second, third]: [u32; 3]) -> Self {
            // SAFETY: both are 16 bytes for which any value is valid.
            Self(unsafe { core::mem::transmute::<[u32; 4], __m128>([first, first, second, third]) })
        }

        #[inline(always)]
        fn offsets(self) -> [u32; 3] {
            // SAFETY: both are 16 bytes for which any value is valid.
            let [_, rest @ ..] = unsafe { core::mem::transmute::<__m128, [u32; 4]>(self.0) };
            rest
        }

        #[inline(always)]
        fn resolve(&mut self, slot: &Slot, new: u32) -> usize {
            // SAFETY: whoever uses this type has seen that the processor has AVX. The lanes are 16 bytes, and aligned
            // because the slot is, and they lie 16 bytes behind its beginning.
            unsafe {
                let new = _mm_castsi128_ps(_mm_cvtsi32_si128(new as i32));
                let lanes = _mm_load_si128((&raw const slot.lanes).cast());
                self.0 = _mm_permutevar_ps(_mm_move_ss(self.0, new), lanes);
                _mm_cvtsi128_si32(_mm_castps_si128(self.0)) as u32 as usize
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lzx_entry;

    fn follows_the_definition<R: Repeats>() {
        let mut repeats = R::new([7, 8, 9]);
        let mut plain = [7, 8, 9];
        let mut random = 1_u32;
        for i in 0..10_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (slot, new) = ((random >> 16) % 6, if i % 100 == 0 { (1 << 21) - 3 } else { random >> 12 });
            match slot {
                0..=2 => plain.swap(0, slot as usize),
                _ => plain = [new, plain[0], plain[1]],
            }
            let offset = repeats.resolve(lzx_entry::slot::<false>(slot << 8), new);
            assert_eq!((offset, repeats.offsets()), (plain[0] as usize, plain), "slot {slot}");
        }
        assert_eq!(repeats.resolve(lzx_entry::slot::<true>(lzx_entry::LITERAL), 1), plain[0] as usize);
        assert_eq!(repeats.offsets(), plain);
    }

    #[test]
    fn both_follow_the_definition() {
        follows_the_definition::<Packed>();
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx") {
            follows_the_definition::<Shuffled>();
        }
    }
}
