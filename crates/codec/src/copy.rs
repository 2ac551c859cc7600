//! Copying matches: whole words, more of them than asked for.

/// For each offset below 8: which bytes of a word are one period of the pattern that such a match repeats, and the
/// factor that repeats it (the periods do not overlap, so the products add without carries).
const PATTERNS: [(u64, u64); 8] = {
    let mut patterns = [(0, 0); 8];
    let mut offset = 1;
    while offset < 8 {
        let mut factor = 0_u64;
        let mut shift = 0;
        while shift < 64 {
            factor |= 1 << shift;
            shift += 8 * offset;
        }
        patterns[offset] = ((1 << (8 * offset)) - 1, factor);
        offset += 1;
    }
    patterns
};

#[inline(always)]
unsafe fn load(from: *const u8) -> u64 {
    // SAFETY: the caller vouches for 8 readable bytes.
    u64::from_le(unsafe { from.cast::<u64>().read_unaligned() })
}

#[inline(always)]
unsafe fn store(to: *mut u8, word: u64) {
    // SAFETY: the caller vouches for 8 writable bytes.
    unsafe { to.cast::<u64>().write_unaligned(word.to_le()) }
}

#[inline(always)]
unsafe fn copy16(from: *const u8, to: *mut u8) {
    // SAFETY: the caller vouches for 16 readable and 16 writable bytes; the value is complete before it is written, so
    // they may overlap. (An integer, as arrays take a detour through the stack.)
    unsafe { to.cast::<u128>().write_unaligned(from.cast::<u128>().read_unaligned()) }
}

/// Copies 8 bytes.
///
/// # Safety
/// As many are readable at `from`, and writable at `to`; they may overlap.
#[inline(always)]
pub(crate) unsafe fn word(from: *const u8, to: *mut u8) {
    // SAFETY: as required of the caller.
    unsafe { store(to, load(from)) };
}

/// Copies 16 bytes.
///
/// # Safety
/// As many are readable at `from`, and writable at `to`; they may overlap.
#[inline(always)]
pub(crate) unsafe fn vector(from: *const u8, to: *mut u8) {
    // SAFETY: as required of the caller.
    unsafe { copy16(from, to) };
}

/// How many bytes [`overlapping`] may write past the end of a match.
pub(crate) const OVERLAPPING_OVERSHOOT: usize = 7;

/// How many bytes [`any`] may write past the end of a match.
pub(crate) const OVERSHOOT: usize = 31;

/// The word that a match with an offset below 8 begins with.
#[inline(always)]
unsafe fn pattern(to: *const u8, offset: usize) -> u64 {
    let (mask, factor) = PATTERNS[offset & 7];
    // SAFETY: the caller vouches for `offset` bytes before `to` and 8 from it on.
    (unsafe { load(to.sub(offset)) } & mask).wrapping_mul(factor)
}

/// Copies a match of up to 8 bytes, always writing 8.
///
/// Few matches overlap themselves, although many reach back less than 8 bytes.
///
/// # Safety
/// `to - offset .. to + 8` lies inside one allocation, initialised; `offset` is not zero.
#[inline(always)]
pub(crate) unsafe fn up_to_8(to: *mut u8, offset: usize, length: usize) {
    // SAFETY: as required of the caller.
    unsafe {
        if length <= offset {
            store(to, load(to.sub(offset)));
        } else {
            store(to, pattern(to, offset));
        }
    }
}

/// Copies a match of any length, writing up to [`OVERSHOOT`] bytes more.
///
/// # Safety
/// `to - offset .. to + length + OVERSHOOT` lies inside one allocation, initialised; `offset` and `length` are not zero.
#[inline(always)]
pub(crate) unsafe fn any(to: *mut u8, offset: usize, length: usize) {
    // SAFETY: as required of the caller. Every write begins before `to + length` and has at most 16 bytes; every read
    // begins at or after `to - offset` and ends where its write begins, or at most 8 bytes later (the pattern's word).
    unsafe {
        let end = to.add(length);
        let mut to = to;
        if offset >= length.min(16) {
            copy16(to.sub(offset), to);
            copy16(to.add(16).sub(offset), to.add(16));
            if length > 32 {
                to = to.add(32);
                loop {
                    copy16(to.sub(offset), to);
                    to = to.add(16);
                    if to >= end {
                        break;
                    }
                }
            }
        } else {
            overlapping_apart(to, offset, length);
        }
    }
}

/// [`overlapping`], where it is so rare that its registers are better used by what is around it.
///
/// # Safety
/// As [`overlapping`].
#[cold]
#[inline(never)]
unsafe fn overlapping_apart(to: *mut u8, offset: usize, length: usize) {
    // SAFETY: as required of the caller.
    unsafe { overlapping(to, offset, length) };
}

/// Copies a match with an offset less than 16, writing up to [`OVERLAPPING_OVERSHOOT`] bytes more.
///
/// # Safety
/// `to - offset .. to + length + OVERLAPPING_OVERSHOOT` lies inside one allocation, initialised; `offset` and `length` are
/// not zero.
#[inline(always)]
pub(crate) unsafe fn overlapping(to: *mut u8, offset: usize, length: usize) {
    // SAFETY: as required of the caller. Every write begins before `to + length` and has 8 bytes; every read begins at
    // or after `to - offset` and ends where its write begins, or lies inside the first 8 bytes (the pattern's word).
    unsafe {
        let end = to.add(length);
        let mut to = to;
        if offset >= 8 {
            loop {
                store(to, load(to.sub(offset)));
                to = to.add(8);
                if to >= end {
                    break;
                }
            }
        } else {
            let word = pattern(to, offset);
            // As many whole periods as a word has.
            let step = 8 - 8 % offset;
            loop {
                store(to, word);
                to = to.add(step);
                if to >= end {
                    break;
                }
            }
        }
    }
}

/// Copies a match byte by byte and writes nothing else.
///
/// The source and the destination must lie inside `dst`; this panics otherwise.
pub(crate) fn exactly(dst: &mut [u8], at: usize, offset: usize, length: usize) {
    for i in at..at + length {
        dst[i] = dst[i - offset];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_as_byte_by_byte() {
        const BEFORE: usize = 300;
        for offset in 1..BEFORE {
            for length in 1..=260 {
                let mut expected: Vec<u8> =
                    (0..BEFORE + length + OVERSHOOT).map(|i| (i * 7 + i / 256) as u8).collect();
                let mut wide = expected.clone();
                exactly(&mut expected, BEFORE, offset, length);
                let mut short = wide.clone();
                // SAFETY: the buffer has `offset` bytes before the place, and `length` + 15 (at least 8) from it on.
                unsafe { any(wide.as_mut_ptr().add(BEFORE), offset, length) };
                assert_eq!(
                    wide[..BEFORE + length],
                    expected[..BEFORE + length],
                    "{length} bytes from {offset} back"
                );
                if offset < 16 {
                    let mut close = short.clone();
                    // SAFETY: as above.
                    unsafe { overlapping(close.as_mut_ptr().add(BEFORE), offset, length) };
                    assert_eq!(
                        close[..BEFORE + length],
                        expected[..BEFORE + length],
                        "{length} from {offset}"
                    );
                    let written = length + OVERLAPPING_OVERSHOOT;
                    assert_eq!(close[BEFORE + written..], vec_tail(BEFORE, length)[written - 8..]);
                }
                if length <= 8 {
                    // SAFETY: as above.
                    unsafe { up_to_8(short.as_mut_ptr().add(BEFORE), offset, length) };
                    assert_eq!(
                        short[..BEFORE + length],
                        expected[..BEFORE + length],
                        "{length} from {offset}"
                    );
                    assert_eq!(
                        short[BEFORE + 8..],
                        vec_tail(BEFORE, length),
                        "no more than eight bytes written"
                    );
                }
            }
        }
    }

    fn vec_tail(before: usize, length: usize) -> Vec<u8> {
        (before + 8..before + length + OVERSHOOT).map(|i| (i * 7 + i / 256) as u8).collect()
    }
}
