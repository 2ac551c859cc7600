//! The x86 filter of LZX: call instructions (opcode 0xE8) had their relative targets made absolute.
//!
//! Nearly all of the work is finding the next 0xE8 byte.

use core::hint::select_unpredictable;

use crate::lzx_format::{E8_FILE_SIZE, E8_MARGIN};

/// Undoes the filter on a whole chunk.
pub(crate) fn undo(chunk: &mut [u8]) {
    let Some(end) = chunk.len().checked_sub(E8_MARGIN) else { return };
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has both.
        return unsafe { avx2::undo(chunk, end) };
    }
    portable::undo_from(chunk, 0, end);
}

/// Rewrites the operand of the instruction at `at`.
#[inline(always)]
fn rewrite(chunk: &mut [u8], at: usize) {
    let Some(field) = chunk.get_mut(at + 1..).and_then(|rest| rest.first_chunk_mut()) else { return };
    let target = i32::from_le_bytes(*field);
    let position = at as i32;
    // Without branches, as the bytes behind an 0xE8 that is no call could be anything.
    let relative = target.wrapping_add(select_unpredictable(target >= 0, -position, E8_FILE_SIZE));
    let is_call = (-position..E8_FILE_SIZE).contains(&target);
    *field = select_unpredictable(is_call, relative, target).to_le_bytes();
}

/// Eight bytes at a time in a general register.
mod portable {
    use super::rewrite;

    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;

    pub(super) fn undo_from(chunk: &mut [u8], mut at: usize, end: usize) {
        while at < end {
            // A chunk goes on for ten bytes after `end`.
            let Some(word) = chunk.get(at..).and_then(|rest| rest.first_chunk()) else { return };
            let differences = u64::from_le_bytes(*word) ^ (LOW * 0xE8);
            // The lowest bit set marks the first zero byte, that is, the first 0xE8; higher ones may be wrong.
            let found = differences.wrapping_sub(LOW) & !differences & HIGH;
            if found == 0 {
                at += 8;
                continue;
            }
            at += (found.trailing_zeros() / 8) as usize;
            if at >= end {
                return;
            }
            rewrite(chunk, at);
            at += 5;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
    };

    use super::{portable, rewrite};

    /// 64 bytes at a time. Their instructions are found in one mask; those that lie in the operand of an earlier one
    /// are struck out.
    #[target_feature(enable = "avx2,bmi1")]
    pub(super) fn undo(chunk: &mut [u8], end: usize) {
        let opcode = _mm256_set1_epi8(0xE8_u8 as i8);
        let mut at = 0;
        while at + 64 <= end {
            let (first, second) = (chunk[at..at + 32].as_ptr(), chunk[at + 32..at + 64].as_ptr());
            // SAFETY: both slices have 32 bytes, and the load has no alignment.
            let (first, second) = unsafe {
                (_mm256_loadu_si256(first.cast::<__m256i>()), _mm256_loadu_si256(second.cast::<__m256i>()))
            };
            let (first, second) = (_mm256_cmpeq_epi8(first, opcode), _mm256_cmpeq_epi8(second, opcode));
            let first = u64::from(_mm256_movemask_epi8(first) as u32);
            let second = u64::from(_mm256_movemask_epi8(second) as u32);
            let mut found = second << 32 | first;
            let mut step = 64;
            while found != 0 {
                let i = found.trailing_zeros() as usize;
                rewrite(chunk, at + i);
                step = step.max(i + 5);
                // The opcode and its operand are done with; in two shifts, as together they may be 64.
                found &= u64::MAX << i << 5;
            }
            at += step;
        }
        portable::undo_from(chunk, at, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::undo_e8;

    #[test]
    fn same_as_reference() {
        // Dense and sparse opcodes, operands of every kind, all small lengths.
        let mut random = 1_u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u32
        };
        for round in 0..4000 {
            let length = if round < 400 { round } else { next() as usize % 5000 };
            let rarity = [2, 5, 20, 300][round % 4];
            let mut chunk: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            for at in 0..length {
                if next() % rarity == 0 {
                    chunk[at] = 0xE8;
                    let target = match next() % 8 {
                        0 => 0,
                        1 => -(at as i32),
                        2 => -(at as i32) - 1,
                        3 => E8_FILE_SIZE - 1,
                        4 => E8_FILE_SIZE,
                        5 => -1,
                        _ => (next() % 24_000_000) as i32 - 12_000_000,
                    };
                    if let Some(field) = chunk.get_mut(at + 1..at + 5) {
                        field.copy_from_slice(&target.to_le_bytes());
                    }
                }
            }
            let mut expected = chunk.clone();
            undo_e8(&mut expected);
            let mut portable = chunk.clone();
            if let Some(end) = length.checked_sub(E8_MARGIN) {
                portable::undo_from(&mut portable, 0, end);
            }
            assert_eq!(portable, expected);
            undo(&mut chunk);
            assert_eq!(chunk, expected);
        }
    }
}
