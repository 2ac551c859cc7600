//! LZMS, plainly.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::copy_match;
use super::huffman::Code;
use crate::Error;
use crate::lzms_format::{
    LENGTH_SLOTS, LENGTHS, LITERALS, MAX_CHUNK, MIN_RANGE, OFFSETS, POWERS, RANGE_START, SOURCES, Slots,
    context, offset_slots, period, probability, x86,
};
use crate::token::Silent;

/// The reference LZMS decoder; see [`crate::Lzms`].
#[derive(Clone, Debug, Default)]
pub struct Lzms(());

impl Lzms {
    /// A decoder for chunks of up to 1 GiB.
    pub fn new() -> Self {
        Self(())
    }

    /// Decodes one chunk; see [`crate::Lzms::decode`].
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        if dst.len() > MAX_CHUNK {
            return Err(Error::OutputSize { size: dst.len(), limit: MAX_CHUNK });
        }
        if dst.is_empty() {
            return Ok(());
        }
        if src.len() < RANGE_START || src.len() % 2 == 1 {
            return Err(Error::InputSize { size: src.len() });
        }
        let units: Vec<u16> =
            src.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
        let mut chunk = Chunk {
            range: Range::new(&units),
            bits: Bits { units: &units, taken: 0 },
            at: 0,
            literal_code: AdaptiveCode::new(LITERALS, period::LITERAL),
            length_code: AdaptiveCode::new(LENGTH_SLOTS, period::LENGTH),
            offset_code: AdaptiveCode::new(offset_slots(dst.len()), period::OFFSET),
            delta_offset_code: AdaptiveCode::new(offset_slots(dst.len()), period::OFFSET),
            power_code: AdaptiveCode::new(POWERS, period::POWER),
        };
        chunk.items(dst)?;
        chunk.finish()?;
        undo_x86(dst);
        Ok(())
    }
}

/// One of the two streams needs a unit that is not there.
struct EndOfInput;

/// The state of one chunk; nothing outlives it.
struct Chunk<'a> {
    range: Range<'a>,
    bits: Bits<'a>,
    /// How much of the output is done.
    at: usize,
    literal_code: AdaptiveCode,
    length_code: AdaptiveCode,
    offset_code: AdaptiveCode,
    delta_offset_code: AdaptiveCode,
    power_code: AdaptiveCode,
}

#[derive(Clone, Copy, PartialEq)]
enum Item {
    Literal,
    Lz,
    Delta,
}

impl Chunk<'_> {
    fn items(&mut self, dst: &mut [u8]) -> Result<(), Error> {
        let mut is_match = Decision::new(context::MAIN);
        let mut is_delta = Decision::new(context::MATCH);
        let mut lz_sources = Sources::new([1, 2, 3, 4]);
        let mut delta_sources = Sources::new([1, 2, 3, 4].map(|offset| Delta { power: 0, offset }));
        let mut last = Item::Literal;
        while self.at < dst.len() {
            let at = self.at;
            let truncated = |EndOfInput| Error::Truncated { produced: at };
            last = if !self.range.decide(&mut is_match).map_err(truncated)? {
                dst[at] = self.bits.symbol(&mut self.literal_code).map_err(truncated)? as u8;
                self.at += 1;
                Item::Literal
            } else if !self.range.decide(&mut is_delta).map_err(truncated)? {
                let repeats = lz_sources.repeats(&mut self.range, last == Item::Lz).map_err(truncated)?;
                let offset = match repeats {
                    Some(offset) => offset,
                    None => {
                        let offset = self.bits.number(&mut self.offset_code, &OFFSETS).map_err(truncated)?;
                        lz_sources.insert(offset)
                    }
                };
                let length = self.bits.number(&mut self.length_code, &LENGTHS).map_err(truncated)?;
                self.at = copy_match(dst, at, dst.len(), length as usize, offset as usize, &mut Silent)?;
                Item::Lz
            } else {
                let repeats =
                    delta_sources.repeats(&mut self.range, last == Item::Delta).map_err(truncated)?;
                let source = match repeats {
                    Some(source) => source,
                    None => {
                        let power = self.bits.symbol(&mut self.power_code).map_err(truncated)? as u32;
                        let offset =
                            self.bits.number(&mut self.delta_offset_code, &OFFSETS).map_err(truncated)?;
                        delta_sources.insert(Delta { power, offset })
                    }
                };
                let length = self.bits.number(&mut self.length_code, &LENGTHS).map_err(truncated)?;
                self.at = copy_delta(dst, at, length as usize, source)?;
                Item::Delta
            };
        }
        Ok(())
    }

    /// The range coder must have been closed in order, and the streams must not have run into each other.
    fn finish(&mut self) -> Result<(), Error> {
        let truncated = Error::Truncated { produced: self.at };
        let code = self.range.finish().map_err(|EndOfInput| truncated)?;
        if self.range.next + self.bits.taken.div_ceil(16) > self.bits.units.len() {
            return Err(truncated);
        }
        if code == 0 { Ok(()) } else { Err(Error::RangeCode { found: code }) }
    }
}

/// The source of a delta match: `offset << power` bytes back there is a sequence whose differences, each between bytes
/// that are `1 << power` apart, are the same.
#[derive(Clone, Copy)]
struct Delta {
    power: u32,
    offset: u32,
}

fn copy_delta(dst: &mut [u8], at: usize, length: usize, source: Delta) -> Result<usize, Error> {
    let span = 1_usize << source.power;
    let reach = (u64::from(source.offset) << source.power) + span as u64;
    if reach > at as u64 {
        return Err(Error::MatchOffset { at, offset: usize::try_from(reach).unwrap_or(usize::MAX) });
    }
    if length > dst.len() - at {
        return Err(Error::MatchLength { at, length });
    }
    let offset = reach as usize - span;
    for i in at..at + length {
        dst[i] = dst[i - offset].wrapping_add(dst[i - span]).wrapping_sub(dst[i - offset - span]);
    }
    Ok(at + length)
}

/// The sources of the latest matches of one kind, and how it is decided which of them is used again.
struct Sources<T> {
    latest: [T; SOURCES],
    is_repeat: Decision,
    is_not_first: Decision,
    is_not_second: Decision,
}

impl<T: Copy> Sources<T> {
    fn new(latest: [T; SOURCES]) -> Self {
        let [is_repeat, is_not_first, is_not_second] = [(); 3].map(|()| Decision::new(context::SOURCE));
        Self { latest, is_repeat, is_not_first, is_not_second }
    }

    /// The source of the next match, if it is one of the latest; it becomes the very latest.
    ///
    /// A match of the same kind directly before does not count as long as that is so: with the same source the two
    /// would be one match.
    fn repeats(&mut self, range: &mut Range<'_>, directly_before: bool) -> Result<Option<T>, EndOfInput> {
        if !range.decide(&mut self.is_repeat)? {
            return Ok(None);
        }
        let mut index = 0;
        if range.decide(&mut self.is_not_first)? {
            index = 1 + usize::from(range.decide(&mut self.is_not_second)?);
        }
        self.latest[..=index + usize::from(directly_before)].rotate_right(1);
        Ok(Some(self.latest[0]))
    }

    fn insert(&mut self, source: T) -> T {
        self.latest.rotate_right(1);
        self.latest[0] = source;
        source
    }
}

/// A class of binary decisions.
struct Decision {
    /// The decisions so far, the latest in the lowest bit.
    past: usize,
    probabilities: Vec<Probability>,
}

/// The last 64 decisions that were made with one probability.
#[derive(Clone)]
struct Probability {
    history: u64,
}

impl Decision {
    fn new(context_bits: u32) -> Self {
        let initial = Probability { history: probability::INITIAL_HISTORY };
        Self { past: 0, probabilities: vec![initial; 1 << context_bits] }
    }
}

/// The stream that is read from the front.
struct Range<'a> {
    units: &'a [u16],
    next: usize,
    range: u32,
    code: u32,
}

impl<'a> Range<'a> {
    fn new(units: &'a [u16]) -> Self {
        let code = u32::from(units[0]) << 16 | u32::from(units[1]);
        Self { units, next: 2, range: u32::MAX, code }
    }

    fn normalise(&mut self) -> Result<(), EndOfInput> {
        if self.range < MIN_RANGE {
            self.range <<= 16;
            self.code = self.code << 16 | u32::from(*self.units.get(self.next).ok_or(EndOfInput)?);
            self.next += 1;
        }
        Ok(())
    }

    fn decide(&mut self, class: &mut Decision) -> Result<bool, EndOfInput> {
        self.normalise()?;
        let states = class.probabilities.len();
        let probability = &mut class.probabilities[class.past % states];
        let zeros = probability.history.count_zeros().clamp(probability::MIN, probability::MAX);
        let bound = (self.range >> probability::BITS) * zeros;
        let decision = self.code >= bound;
        if decision {
            self.range -= bound;
            self.code -= bound;
        } else {
            self.range = bound;
        }
        probability.history = probability.history << 1 | u64::from(decision);
        class.past = (class.past << 1 | usize::from(decision)) % states;
        Ok(decision)
    }

    /// What is left over in the end.
    fn finish(&mut self) -> Result<u32, EndOfInput> {
        self.normalise()?;
        Ok(self.code)
    }
}

/// The stream that is read from the back, the most significant bit of each unit first.
struct Bits<'a> {
    units: &'a [u16],
    taken: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<u32, EndOfInput> {
        let behind = self.units.len().checked_sub(self.taken / 16).ok_or(EndOfInput)?;
        let unit = self.units[behind.checked_sub(1).ok_or(EndOfInput)?];
        let bit = unit >> (15 - self.taken % 16) & 1;
        self.taken += 1;
        Ok(u32::from(bit))
    }

    fn symbol(&mut self, code: &mut AdaptiveCode) -> Result<usize, EndOfInput> {
        let symbol = code.code.decode(|| self.bit())?;
        code.count(symbol);
        Ok(symbol)
    }

    fn number<const N: usize>(
        &mut self,
        code: &mut AdaptiveCode,
        slots: &Slots<N>,
    ) -> Result<u32, EndOfInput> {
        let slot = self.symbol(code)?;
        let mut place = 0;
        for _ in 0..slots.extra_bits[slot] {
            place = place << 1 | self.bit()?;
        }
        Ok(slots.base[slot] + place)
    }
}

/// A Huffman code that follows the frequencies of the symbols decoded with it.
struct AdaptiveCode {
    code: Code,
    frequencies: Vec<u32>,
    period: u32,
    until_rebuild: u32,
}

impl AdaptiveCode {
    fn new(symbols: usize, period: u32) -> Self {
        let frequencies = vec![1; symbols];
        Self { code: huffman_code(&frequencies), frequencies, period, until_rebuild: period }
    }

    fn count(&mut self, symbol: usize) {
        self.frequencies[symbol] += 1;
        self.until_rebuild -= 1;
        if self.until_rebuild == 0 {
            self.until_rebuild = self.period;
            self.code = huffman_code(&self.frequencies);
            for frequency in &mut self.frequencies {
                *frequency = *frequency / 2 + 1;
            }
        }
    }
}

fn huffman_code(frequencies: &[u32]) -> Code {
    Code::new(&codeword_lengths(frequencies)).expect("a Huffman code is complete")
}

/// The lengths of Huffman's algorithm, which joins the two nodes of least weight until there is only one. Among equals
/// leaves come first, and then what is older, or the lower symbol.
pub(crate) fn codeword_lengths(frequencies: &[u32]) -> Vec<u8> {
    let leaves = frequencies.len();
    // A node's number tells leaves and age; the lowest is popped first.
    let mut queue: BinaryHeap<_> =
        frequencies.iter().enumerate().map(|(node, weight)| Reverse((*weight, node))).collect();
    let mut parents = vec![0; 2 * leaves - 1];
    let mut nodes = leaves;
    while let (Some(Reverse((one, left))), Some(Reverse((other, right)))) = (queue.pop(), queue.pop()) {
        (parents[left], parents[right]) = (nodes, nodes);
        queue.push(Reverse((one + other, nodes)));
        nodes += 1;
    }
    let mut depths = vec![0; nodes];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    depths.truncate(leaves);
    depths
}

/// What the filter takes an instruction for.
enum Instruction {
    /// So many bytes before a 32-bit operand that is translated up to so many bytes behind a sign of machine code.
    Translated { opcode: usize, reach: i64 },
    /// Its operand is left alone, but nothing in it is an instruction.
    Jump,
}

fn instruction(bytes: &[u8]) -> Option<Instruction> {
    let (opcode, reach) = match *bytes {
        [0xE9, ..] => return Some(Instruction::Jump),
        [0xE8, ..] => (1, x86::CALL_REACH),
        // Relative to the instruction pointer, if the mask were 0xC7.
        [0x48 | 0x4C, 0x8D, mode, ..] if mode & 0x07 == 5 => (3, x86::REACH),
        [0x48, 0x8B, mode, ..] if mode & 0xF7 == 5 => (3, x86::REACH),
        [0xF0, 0x83, 0x05, ..] => (3, x86::REACH),
        [0xFF, 0x15, ..] => (2, x86::REACH),
        _ => return None,
    };
    Some(Instruction::Translated { opcode, reach })
}

/// Makes the operands of x86 instructions relative again.
pub(crate) fn undo_x86(chunk: &mut [u8]) {
    let Some(end) = chunk.len().checked_sub(x86::MARGIN) else { return };
    let mut last_sign = -x86::REACH - 1;
    let mut last_use = vec![-x86::SAME_TARGET - 1; 1 << 16];
    // The first byte has no part in it.
    let mut at = 1;
    while at < end {
        at += match instruction(&chunk[at..]) {
            None => 1,
            Some(Instruction::Jump) => 5,
            Some(Instruction::Translated { opcode, reach }) => {
                let field = chunk[at + opcode..].first_chunk_mut().expect("the margin has more bytes");
                if at as i64 - last_sign <= reach {
                    *field = u32::from_le_bytes(*field).wrapping_sub(at as u32).to_le_bytes();
                }
                let target = (at as u16).wrapping_add(u16::from_le_bytes([field[0], field[1]]));
                let operand_end = (at + opcode + 3) as i64;
                let last_use = &mut last_use[usize::from(target)];
                if operand_end - *last_use <= x86::SAME_TARGET {
                    last_sign = operand_end;
                }
                *last_use = operand_end;
                opcode + 4
            }
        };
    }
}
