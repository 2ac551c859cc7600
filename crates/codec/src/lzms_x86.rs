//! The x86 filter of LZMS: operands relative to the instruction pointer were made absolute, where the data looks like
//! machine code.
//!
//! Nearly all of the work is finding the next byte that could begin an instruction. Opcodes have two bytes, calls and
//! jumps aside, so a vector of bytes and the vector one further on leave few places to look at.

use core::hint::select_unpredictable;

use crate::lzms_format::x86::{CALL_REACH, MARGIN, REACH, SAME_TARGET};

/// Where each target was used last.
///
/// Chunks are counted through: each begins far behind the end of the one before, so that what that one left behind is out
/// of reach, and a chunk of 128 KiB need not begin with clearing 256 KiB.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    last_use: Box<[u32; 1 << 16]>,
    /// The position of the next chunk's first byte.
    start: u32,
}

/// How far two uses must be apart to have nothing to do with each other.
const APART: u32 = SAME_TARGET as u32 + 1;

impl Filter {
    pub(crate) fn new() -> Self {
        Self { last_use: vec![0; 1 << 16].try_into().expect("the size is right"), start: APART }
    }

    /// Undoes the filter on a whole chunk.
    pub(crate) fn undo(&mut self, chunk: &mut [u8]) {
        // The first byte has no part in it.
        if chunk.len() <= MARGIN + 1 {
            return;
        }
        let size = u32::try_from(chunk.len()).expect("chunks are limited to less");
        // The position of the chunk after this one must fit, too.
        if self.start.checked_add(size).and_then(|end| end.checked_add(APART)).is_none() {
            self.last_use.fill(0);
            self.start = APART;
        }
        let mut pass =
            Pass { last_use: &mut self.last_use, start: self.start, last_sign: -(REACH as i32) - 1, at: 1 };
        pass.run(chunk);
        self.start += size + APART;
    }
}

/// The filter on its way through a chunk.
struct Pass<'a> {
    last_use: &'a mut [u32; 1 << 16],
    start: u32,
    /// The end of the latest instruction that shared its target with another.
    last_sign: i32,
    at: usize,
}

impl Pass<'_> {
    fn run(&mut self, chunk: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("bmi1") {
            // SAFETY: the processor has both.
            unsafe { self.run_avx2(chunk) };
        }
        self.run_portable(chunk);
    }

    /// Looks at the bytes at `at`, which is not in the margin, and goes on behind them.
    #[inline(always)]
    fn step(&mut self, chunk: &mut [u8]) {
        let at = self.at;
        let bytes = chunk[at..].first_chunk_mut::<MARGIN>().expect("the margin has as many bytes");
        let call = bytes[0] == 0xE8;
        let opcode = match (bytes[0], bytes[1]) {
            (0xE8, _) => 1,
            // Jumps are left alone, but nothing in their operands is an instruction.
            (0xE9, _) => {
                self.at = at + 5;
                return;
            }
            (0x48 | 0x4C, 0x8D) if bytes[2] & 0x07 == 5 => 3,
            (0x48, 0x8B) if bytes[2] & 0xF7 == 5 => 3,
            (0xF0, 0x83) if bytes[2] == 5 => 3,
            (0xFF, 0x15) => 2,
            _ => {
                self.at = at + 1;
                return;
            }
        };
        let field: &mut [u8; 4] = (&mut bytes[opcode..opcode + 4]).try_into().expect("four bytes");
        let mut operand = u32::from_le_bytes(*field);
        let reach = if call { CALL_REACH } else { REACH } as i32;
        if at as i32 - self.last_sign <= reach {
            operand = operand.wrapping_sub(at as u32);
            *field = operand.to_le_bytes();
        }
        let operand_end = at + opcode + 3;
        let position = self.start + operand_end as u32;
        let last_use = &mut self.last_use[usize::from((at as u16).wrapping_add(operand as u16))];
        // Not a branch, which would be as good as random where it matters.
        let same_target = position - *last_use <= SAME_TARGET as u32;
        self.last_sign = select_unpredictable(same_target, operand_end as i32, self.last_sign);
        *last_use = position;
        self.at = at + opcode + 4;
    }

    fn run_portable(&mut self, chunk: &mut [u8]) {
        const CANDIDATE: [bool; 256] = {
            let mut candidate = [false; 256];
            let mut i = 0;
            let first = [0x48, 0x4C, 0xE8, 0xE9, 0xF0, 0xFF];
            while i < first.len() {
                candidate[first[i]] = true;
                i += 1;
            }
            candidate
        };
        let end = chunk.len() - MARGIN;
        while self.at < end {
            match chunk[self.at..end].iter().position(|byte| CANDIDATE[usize::from(*byte)]) {
                Some(distance) => self.at += distance,
                None => return,
            }
            self.step(chunk);
        }
    }

    /// 32 bytes at a time. The bytes that a step changes are behind all that begins in front of them, and are skipped, so
    /// that a block's mask stays valid.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1")]
    fn run_avx2(&mut self, chunk: &mut [u8]) {
        use std::arch::x86_64::{
            __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
            _mm256_or_si256, _mm256_set1_epi8,
        };
        let end = chunk.len() - MARGIN;
        let byte = |byte: u8| _mm256_set1_epi8(byte as i8);
        while self.at + 32 <= end {
            let block = self.at;
            let load = |from: &[u8]| {
                let from: &[u8; 32] = from.first_chunk().expect("the margin has more bytes");
                // SAFETY: the array has 32 bytes, and the load has no alignment.
                unsafe { _mm256_loadu_si256(from.as_ptr().cast::<__m256i>()) }
            };
            let (first, second, third) =
                (load(&chunk[block..]), load(&chunk[block + 1..]), load(&chunk[block + 2..]));
            let is = |bytes, value| _mm256_cmpeq_epi8(bytes, byte(value));
            // Calls and jumps differ in one bit, and so do the prefixes of LEA and MOV. Both have a third byte to look at.
            let call_or_jump = is(_mm256_or_si256(first, byte(1)), 0xE9);
            let wide = is(_mm256_or_si256(first, byte(4)), 0x4C);
            let lea_or_mov = _mm256_and_si256(
                _mm256_or_si256(is(second, 0x8D), is(second, 0x8B)),
                is(_mm256_and_si256(third, byte(7)), 5),
            );
            let lock_add = _mm256_and_si256(is(first, 0xF0), is(second, 0x83));
            let indirect_call = _mm256_and_si256(is(first, 0xFF), is(second, 0x15));
            let found = _mm256_or_si256(
                _mm256_or_si256(call_or_jump, _mm256_and_si256(wide, lea_or_mov)),
                _mm256_or_si256(lock_add, indirect_call),
            );
            let mut found = _mm256_movemask_epi8(found) as u32;
            while found != 0 {
                let i = found.trailing_zeros();
                self.at = block + i as usize;
                self.step(chunk);
                // Nothing that was passed begins an instruction.
                let passed = (self.at - block) as u32;
                found = if passed < 32 { found & u32::MAX << passed } else { 0 };
            }
            self.at = self.at.max(block + 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::undo_x86;

    #[test]
    fn same_as_reference() {
        let mut random = 1_u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u32
        };
        let opcodes: [&[u8]; 10] = [
            &[0xE8],
            &[0xE9],
            &[0x48, 0x8B, 0x05],
            &[0x48, 0x8B, 0x0D],
            &[0x48, 0x8D, 0x15],
            &[0x4C, 0x8D, 0x35],
            &[0x4C, 0x8B, 0x05],
            &[0x48, 0x89, 0x05],
            &[0xF0, 0x83, 0x05],
            &[0xFF, 0x15],
        ];
        // One filter for all chunks: what one leaves behind must not matter to the next.
        let mut filter = Filter::new();
        for round in 0..3000 {
            // Now and then the positions overflow.
            if round % 100 == 99 {
                filter.start = u32::MAX - 200_000;
            }
            let length = if round < 300 { round } else { next() as usize % [3000, 3000, 200_000][round % 3] };
            let rarity = [3, 12, 80][round % 3];
            let targets = [4, 40, 4000][round / 3 % 3];
            let mut chunk: Vec<u8> = (0..length).map(|_| next() as u8).collect();
            for at in 0..length {
                if next() % rarity == 0 {
                    let opcode = opcodes[next() as usize % opcodes.len()];
                    let target = next() % targets;
                    let operand = if next() % 2 == 0 { target } else { target.wrapping_sub(at as u32) };
                    for (to, from) in chunk[at..].iter_mut().zip(opcode.iter().chain(&operand.to_le_bytes()))
                    {
                        *to = *from;
                    }
                }
            }
            let mut expected = chunk.clone();
            undo_x86(&mut expected);
            let mut portable = chunk.clone();
            if length > MARGIN + 1 {
                let mut last_use = Box::new([0; 1 << 16]);
                Pass { last_use: &mut last_use, start: APART, last_sign: -1024, at: 1 }
                    .run_portable(&mut portable);
            }
            assert!(portable == expected, "portable, round {round}");
            filter.undo(&mut chunk);
            assert!(chunk == expected, "round {round}");
        }
    }
}
