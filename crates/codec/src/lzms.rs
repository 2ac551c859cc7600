//! LZMS, fast.
//!
//! The format leaves little freedom: every item costs one to five binary decisions, each of which changes the state of
//! the range decoder and a probability, and up to three symbols of Huffman codes that are rebuilt all the time. So
//! the time is spread evenly, and what is gained is gained in many places:
//!
//! * The two streams are independent, and so are their instructions: decisions come from the front of the data, symbols
//!   from the back, and the processor works on both. Neither depends on the bytes that are copied.
//! * A decision is a branch. As a number it would not be mispredicted, but then the next decision in the same state waits
//!   for the probability that it leads to, and runs of equal decisions, which are common, become slow.
//! * The back of the data is a plain big-endian bit string, if its bytes are taken in reverse order; 8 bytes are loaded at
//!   once, at any byte. One refill per symbol serves the codeword and its extra bits, and does not delay the lookup.
//! * A table entry says how many bits the symbol and its extra bits have, so that they are consumed at once.
//! * Building codes is a matter of its own: see `lzms_code`. So is the filter: see `lzms_x86`.
//!
//! As in the other decoders, faults are only noticed here; the reference decoder says what is wrong.

use core::hint::select_unpredictable;

use crate::failure::Failure;
use crate::lzms_code::{AdaptiveCode, Workspace, entry};
use crate::lzms_format::{
    LENGTH_SLOTS, LENGTHS, LITERALS, MAX_CHUNK, MAX_OFFSET_SLOTS, MIN_RANGE, OFFSETS, POWERS, RANGE_START,
    Slots, context, offset_slots, period, probability,
};
use crate::lzms_x86::Filter;
use crate::{Error, copy, reference};

/// Decodes LZMS chunks as WIM resources hold them, solid ones (ESD files) included.
///
/// The state is scratch memory (about 300 KiB) that is reused from chunk to chunk; nothing of one chunk influences
/// another, and a chunk does not pay for the size of the state.
#[derive(Clone, Debug)]
pub struct Lzms {
    scratch: Box<Scratch>,
    filter: Filter,
}

#[derive(Clone, Debug)]
struct Scratch {
    decisions: Decisions,
    literal: AdaptiveCode<LITERALS, 1024>,
    offset: AdaptiveCode<1024, 2048>,
    length: AdaptiveCode<64, 512>,
    delta_offset: AdaptiveCode<1024, 1024>,
    power: AdaptiveCode<POWERS, 128>,
    workspace: Workspace,
}

impl Default for Lzms {
    fn default() -> Self {
        Self::new()
    }
}

impl Lzms {
    /// A decoder for chunks of up to 1 GiB.
    pub fn new() -> Self {
        Self {
            scratch: Box::new(Scratch {
                decisions: Decisions::INITIAL,
                literal: AdaptiveCode::new(period::LITERAL, &template::LITERALS),
                offset: AdaptiveCode::new(period::OFFSET, &template::OFFSETS),
                length: AdaptiveCode::new(period::LENGTH, &template::LENGTHS),
                delta_offset: AdaptiveCode::new(period::OFFSET, &template::OFFSETS),
                power: AdaptiveCode::new(period::POWER, &template::POWERS),
                workspace: Workspace::new(),
            }),
            filter: Filter::new(),
        }
    }

    /// Decodes the chunk `src` into `dst`, which has exactly the chunk's decompressed size.
    ///
    /// `src` must end where the chunk ends, as LZMS is read from both ends. After an error the content of `dst` is
    /// unspecified.
    ///
    /// # Errors
    /// When `src` is no valid chunk of that size, or `dst` is larger than 1 GiB.
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        self.decode_or_fail(src, dst)
            .or_else(|failure| failure.explain(|| reference::Lzms::new().decode(src, dst)))
    }

    fn decode_or_fail(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Failure> {
        if dst.is_empty() {
            return Ok(());
        }
        if dst.len() > MAX_CHUNK || src.len() < RANGE_START || src.len() % 2 == 1 {
            return Err(Failure);
        }
        self.reset(dst.len());
        items(&mut self.scratch, src, dst)?;
        self.filter.undo(dst);
        Ok(())
    }

    /// Forgets the chunk before.
    fn reset(&mut self, size: usize) {
        let scratch = &mut *self.scratch;
        scratch.decisions = Decisions::INITIAL;
        scratch.literal.reset(LITERALS, &mut scratch.workspace);
        scratch.offset.reset(offset_slots(size), &mut scratch.workspace);
        scratch.length.reset(LENGTH_SLOTS, &mut scratch.workspace);
    }
}

/// What the codes' table entries say.
mod template {
    use super::{
        LENGTH_SLOTS, LITERALS as LITERAL_SYMBOLS, MAX_OFFSET_SLOTS, POWERS as POWER_SYMBOLS, Slots, entry,
    };

    const fn plain<const N: usize>() -> [u32; N] {
        let mut templates = [0; N];
        let mut symbol = 0;
        while symbol < N {
            templates[symbol] = entry::template(symbol, 0);
            symbol += 1;
        }
        templates
    }

    const fn slots<const N: usize, const SLOTS: usize>(slots: &Slots<SLOTS>) -> [u32; N] {
        let mut templates = [0; N];
        let mut slot = 0;
        while slot < SLOTS {
            templates[slot] = entry::template(slot, slots.extra_bits[slot]);
            slot += 1;
        }
        templates
    }

    pub(super) const fn bases<const N: usize, const SLOTS: usize>(slots: &Slots<SLOTS>) -> [u32; N] {
        let mut bases = [0; N];
        let mut slot = 0;
        while slot < SLOTS {
            bases[slot] = slots.base[slot];
            slot += 1;
        }
        bases
    }

    pub(super) static LITERALS: [u32; LITERAL_SYMBOLS] = plain();
    pub(super) static POWERS: [u32; POWER_SYMBOLS] = plain();
    pub(super) static LENGTHS: [u32; 64] = slots::<64, LENGTH_SLOTS>(&super::LENGTHS);
    pub(super) static OFFSETS: [u32; 1024] = slots::<1024, MAX_OFFSET_SLOTS>(&super::OFFSETS);
}

/// The slots' bases, with room for any symbol that an entry can hold.
static LENGTH_BASES: [u32; 64] = template::bases(&LENGTHS);
static OFFSET_BASES: [u32; 1024] = template::bases(&OFFSETS);

/// A class of binary decisions.
#[derive(Clone, Copy, Debug)]
struct Decision<const STATES: usize> {
    /// For each state: the last 64 decisions in it.
    histories: [u64; STATES],
    /// For each state: how many of those were zero, but never 0 or 64.
    zeros: [u8; STATES],
    /// The decisions so far, the latest in the lowest bit. As many of these as there are states are the state.
    past: usize,
}

/// The probability for each number of ones.
static ZEROS: [u8; 128] = {
    let mut zeros = [0; 128];
    let mut ones = 0;
    while ones <= 64 {
        let count = 64 - ones as u8;
        zeros[ones] = if count < probability::MIN as u8 {
            probability::MIN as u8
        } else if count > probability::MAX as u8 {
            probability::MAX as u8
        } else {
            count
        };
        ones += 1;
    }
    zeros
};

impl<const STATES: usize> Decision<STATES> {
    const INITIAL: Self = Self {
        histories: [probability::INITIAL_HISTORY; STATES],
        zeros: [probability::INITIAL_HISTORY.count_zeros() as u8; STATES],
        past: 0,
    };

    #[inline(always)]
    fn bound(&self, past: usize, range: u32) -> u32 {
        (range >> probability::BITS) * u32::from(self.zeros[past & (STATES - 1)])
    }

    #[inline(always)]
    fn learn(&mut self, past: usize, decision: bool) {
        let state = past & (STATES - 1);
        let history = self.histories[state] << 1 | u64::from(decision);
        self.histories[state] = history;
        self.zeros[state] = ZEROS[history.count_ones() as usize & 127];
    }
}

#[derive(Clone, Debug)]
struct Decisions {
    is_match: Decision<{ 1 << context::MAIN }>,
    is_delta: Decision<{ 1 << context::MATCH }>,
    lz_source: [Decision<{ 1 << context::SOURCE }>; 3],
    delta_source: [Decision<{ 1 << context::SOURCE }>; 3],
}

impl Decisions {
    const INITIAL: Self = Self {
        is_match: Decision::INITIAL,
        is_delta: Decision::INITIAL,
        lz_source: [Decision::INITIAL; 3],
        delta_source: [Decision::INITIAL; 3],
    };
}

/// Decodes the chunk, in the best way this processor has.
fn items(scratch: &mut Scratch, src: &[u8], dst: &mut [u8]) -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi1")
        && std::arch::is_x86_feature_detected!("bmi2")
        && std::arch::is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has these instructions.
        return unsafe { items_bmi2(scratch, src, dst) };
    }
    items_here(scratch, src, dst)
}

/// Shifts by a variable count are one instruction with BMI2, three without; counting bits is one with POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2,popcnt")]
fn items_bmi2(scratch: &mut Scratch, src: &[u8], dst: &mut [u8]) -> Result<(), Failure> {
    items_here(scratch, src, dst)
}

/// What the item before was.
const LITERAL: usize = 0;
const LZ: usize = 1;
const DELTA: usize = 2;

#[inline(always)]
fn items_here(scratch: &mut Scratch, src: &[u8], dst: &mut [u8]) -> Result<(), Failure> {
    let Scratch {
        decisions,
        literal,
        offset: offset_code,
        length: length_code,
        delta_offset,
        power,
        workspace,
    } = scratch;

    let (mut front, mut range) = (RANGE_START, u32::MAX);
    let mut code = u32::from(u16::from_le_bytes([src[0], src[1]])) << 16
        | u32::from(u16::from_le_bytes([src[2], src[3]]));
    macro_rules! normalise {
        () => {
            if range < MIN_RANGE {
                let unit: &[u8; 2] = src.get(front..).and_then(|rest| rest.first_chunk()).ok_or(Failure)?;
                range <<= 16;
                code = code << 16 | u32::from(u16::from_le_bytes(*unit));
                front += 2;
            }
        };
    }
    macro_rules! decide {
        ($class:expr) => {{
            normalise!();
            let past = $class.past;
            let bound = $class.bound(past, range);
            let decision = code >= bound;
            if decision {
                range -= bound;
                code -= bound;
            } else {
                range = bound;
            }
            $class.learn(past, decision);
            $class.past = past << 1 | usize::from(decision);
            decision
        }};
    }

    let mut back = Back { src, bits: 0, left: 0, next: src.len(), missing: 0 };
    back.refill()?;
    let mut latest = [1_u32, 2, 3, 4];
    let mut latest_delta = [1_u64, 2, 3, 4];
    // Many chunks have no delta matches.
    let mut delta_codes_are_ready = false;
    let mut last = LITERAL;
    let mut at = 0;
    'items: while at < dst.len() {
        while !decide!(decisions.is_match) {
            let entry = literal.entry(back.bits);
            back.refill()?;
            back.skip(entry);
            dst[at] = entry::symbol(entry) as u8;
            at += 1;
            literal.count(usize::from(entry::symbol(entry) as u8), workspace);
            last = LITERAL;
            if at == dst.len() {
                break 'items;
            }
        }
        if !decide!(decisions.is_delta) {
            let offset;
            if !decide!(decisions.lz_source[0]) {
                let entry = offset_code.entry(back.bits);
                back.refill()?;
                offset = OFFSET_BASES[entry::symbol(entry) & 1023] + entry::extra(entry, back.bits);
                back.skip(entry);
                offset_code.count(entry::symbol(entry), workspace);
                latest = [offset, latest[0], latest[1], latest[2]];
            } else {
                let again = usize::from(last == LZ);
                let mut index = 0;
                if decide!(decisions.lz_source[1]) {
                    index = 1 + usize::from(decide!(decisions.lz_source[2]));
                }
                let index = index + again;
                // In registers, where an index would send them to memory.
                let [first, second, third, fourth] = latest;
                let early = select_unpredictable(index == 0, first, second);
                let late = select_unpredictable(index == 2, third, fourth);
                offset = select_unpredictable(index < 2, early, late);
                latest = [
                    offset,
                    if index >= 1 { latest[0] } else { latest[1] },
                    if index >= 2 { latest[1] } else { latest[2] },
                    if index >= 3 { latest[2] } else { latest[3] },
                ];
            }
            let entry = length_code.entry(back.bits);
            back.refill()?;
            let length = (LENGTH_BASES[entry::symbol(entry) & 63] + entry::extra(entry, back.bits)) as usize;
            back.skip(entry);
            length_code.count(entry::symbol(entry), workspace);
            let (room, offset) = (dst.len() - at, offset as usize);
            if offset > at || length > room {
                return Err(Failure);
            }
            if length + copy::OVERSHOOT <= room {
                // SAFETY: the offset and the length were compared, and are not zero.
                unsafe { copy::any(dst.as_mut_ptr().add(at), offset, length) };
            } else {
                copy::exactly(dst, at, offset, length);
            }
            at += length;
            last = LZ;
            continue;
        }
        if !delta_codes_are_ready {
            delta_offset.reset(offset_slots(dst.len()), workspace);
            power.reset(POWERS, workspace);
            delta_codes_are_ready = true;
        }
        let source;
        if !decide!(decisions.delta_source[0]) {
            let entry = power.entry(back.bits);
            back.refill()?;
            back.skip(entry);
            let shift = entry::symbol(entry) as u64;
            power.count(entry::symbol(entry), workspace);
            let entry = delta_offset.entry(back.bits);
            back.refill()?;
            let offset = OFFSET_BASES[entry::symbol(entry) & 1023] + entry::extra(entry, back.bits);
            back.skip(entry);
            delta_offset.count(entry::symbol(entry), workspace);
            source = shift << 32 | u64::from(offset);
            latest_delta = [source, latest_delta[0], latest_delta[1], latest_delta[2]];
        } else {
            let mut index = usize::from(last == DELTA);
            if decide!(decisions.delta_source[1]) {
                index += 1 + usize::from(decide!(decisions.delta_source[2]));
            }
            latest_delta[..=index & 3].rotate_right(1);
            source = latest_delta[0];
        }
        let entry = length_code.entry(back.bits);
        back.refill()?;
        let length = (LENGTH_BASES[entry::symbol(entry) & 63] + entry::extra(entry, back.bits)) as usize;
        back.skip(entry);
        length_code.count(entry::symbol(entry), workspace);
        copy_delta(dst, at, length, (source >> 32) as u32, source as u32)?;
        at += length;
        last = DELTA;
    }

    if range < MIN_RANGE {
        let unit: &[u8; 2] = src.get(front..).and_then(|rest| rest.first_chunk()).ok_or(Failure)?;
        code = code << 16 | u32::from(u16::from_le_bytes(*unit));
        front += 2;
    }
    if code != 0 || front + back.taken() > src.len() {
        return Err(Failure);
    }
    Ok(())
}

/// The stream that is read from the back: simply the bytes in reverse order, the most significant bit of each first.
///
/// Whoever wants a symbol looks it up in the bits that are there (at least 19), refills, and then consumes it. So
/// the refill, which depends on what was consumed before, does not delay the lookup, nor the lookup the refill.
struct Back<'a> {
    src: &'a [u8],
    /// The bits ahead, left-aligned. Below the first `left` there may be more bits of the stream, never other ones.
    bits: u64,
    /// How many of the bits lie in front of `next`; meaningful modulo 64.
    left: u32,
    /// The end of the bytes that were not counted into the buffer.
    next: usize,
    /// How many bytes before the data were read as zeros.
    missing: usize,
}

impl Back<'_> {
    /// Makes all 64 bits those of the stream. At most 45 may be consumed until the next time: the longest codeword, and
    /// 30 extra bits.
    #[inline(always)]
    fn refill(&mut self) -> Result<(), Failure> {
        if let Some(start) = self.next.checked_sub(8) {
            debug_assert!(self.next <= self.src.len());
            // SAFETY: `next` only ever decreases from the length of `src`.
            let word = unsafe { self.src.as_ptr().add(start).cast::<u64>().read_unaligned() };
            self.bits |= u64::from_le(word) >> (self.left & 63);
            self.next -= ((self.left ^ 63) >> 3 & 7) as usize;
            self.left |= 56;
            Ok(())
        } else {
            let refilled = refill_at_the_beginning(self.src, self.bits, self.left, self.next, self.missing);
            (self.bits, self.left, self.next, self.missing) = refilled.ok_or(Failure)?;
            Ok(())
        }
    }

    /// Consumes what an entry counts.
    #[inline(always)]
    fn skip(&mut self, entry: u32) {
        self.bits <<= entry & 63;
        self.left = self.left.wrapping_sub(entry);
    }

    /// How many bytes the units take that bits were consumed of.
    fn taken(&self) -> usize {
        ((self.src.len() - self.next + self.missing) * 8 - (self.left & 63) as usize).div_ceil(16) * 2
    }
}

/// With zeros for what is before the data, of which nothing may be consumed.
#[cold]
#[inline(never)]
fn refill_at_the_beginning(
    src: &[u8],
    mut bits: u64,
    left: u32,
    mut next: usize,
    mut missing: usize,
) -> Option<(u64, u32, usize, usize)> {
    let mut left = left & 63;
    while left < 56 {
        let byte = match next.checked_sub(1) {
            Some(before) => {
                next = before;
                src[before]
            }
            None => {
                missing += 1;
                0
            }
        };
        bits |= u64::from(byte) << (56 - left);
        left += 8;
    }
    if let Some(before) = next.checked_sub(1) {
        bits |= (u64::from(src[before]) << 56) >> left;
    }
    // With more, some of them must have been consumed.
    (missing <= 8).then_some((bits, left, next, missing))
}

/// Copies a delta match.
fn copy_delta(dst: &mut [u8], at: usize, length: usize, power: u32, offset: u32) -> Result<(), Failure> {
    let (span, offset) = (1_usize << power, u64::from(offset) << power);
    if offset + span as u64 > at as u64 || length > dst.len() - at {
        return Err(Failure);
    }
    let offset = offset as usize;
    let end = at + length;
    // The offset is a multiple of the span, so as many bytes as a span has do not depend on each other.
    let at = match span {
        1 | 2 => at,
        4 => delta_vectors::<4>(dst, at, end, span, offset),
        8 => delta_vectors::<8>(dst, at, end, span, offset),
        _ => delta_vectors::<16>(dst, at, end, span, offset),
    };
    for i in at..end {
        dst[i] = dst[i - offset].wrapping_add(dst[i - span]).wrapping_sub(dst[i - offset - span]);
    }
    Ok(())
}

/// Copies as many bytes as vectors of `N` hold, where `N` is at most the span, and returns where the rest begins.
#[inline(always)]
fn delta_vectors<const N: usize>(
    dst: &mut [u8],
    mut at: usize,
    end: usize,
    span: usize,
    offset: usize,
) -> usize {
    let dst = &mut dst[..end];
    while end - at >= N {
        let load =
            |from: usize| -> [u8; N] { *dst[from..].first_chunk().expect("it lies before the match's end") };
        let (like, before, like_before) = (load(at - offset), load(at - span), load(at - offset - span));
        let sum: [u8; N] =
            core::array::from_fn(|i| like[i].wrapping_add(before[i]).wrapping_sub(like_before[i]));
        dst[at..at + N].copy_from_slice(&sum);
        at += N;
    }
    at
}

#[cfg(test)]
#[path = "../tests/support/lzms_encoder.rs"]
mod lzms_encoder;

#[cfg(test)]
mod tests {
    use super::*;

    /// The loop that processors without certain instructions use, which no other test reaches.
    #[test]
    fn the_portable_loop() {
        let data: Vec<u8> = (0..70_000_u32)
            .map(|i| if i % 5 == 0 { (i / 500) as u8 } else { (i.wrapping_mul(i) >> 9) as u8 })
            .collect();
        let src = lzms_encoder::compress(&data);
        let mut lzms = Lzms::new();
        let mut found = vec![0; data.len()];
        lzms.reset(data.len());
        items_here(&mut lzms.scratch, &src, &mut found).expect("valid");
        lzms.filter.undo(&mut found);
        assert!(found == data);
        lzms.reset(data.len());
        assert!(items_here(&mut lzms.scratch, &src[..src.len() - 2], &mut found).is_err());
    }
}
