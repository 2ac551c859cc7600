//! XPRESS with Huffman coding, fast.
//!
//! Built like the LZX decoder, and simpler, but for one thing: lengths from 18 on are loose bytes between the units of
//! the bit string. They lie where the original decoder, which reads a unit at a time, would have stood, and the units
//! behind them are shifted by one byte. So there are two swapped copies of the data, for units that begin at even and
//! at odd positions, and a loose byte switches from one to the other.

use crate::bits::{Bits, PADDING, Units};
use crate::failure::Failure;
use crate::huffman::Table;
use crate::token::{Observer, Recorder, Silent};
use crate::xpress_format::{LENGTHS_BYTES, LITERALS, LONG_LENGTH, MAX_CHUNK, MIN_MATCH, SYMBOLS};
use crate::{Error, Token, copy, reference};

/// Decodes XPRESS (LZ77 and Huffman) chunks as WIM resources and Compact OS files hold them.
///
/// The state is scratch memory (about 10 KiB, and twice as much as the largest compressed chunk seen) that is reused
/// from chunk to chunk; nothing of one chunk influences another.
#[derive(Clone, Debug)]
pub struct Xpress {
    /// The data as units that begin at even positions, and at odd ones; the latter without the first byte.
    units: [Units; 2],
    table: Box<Table<TABLE_SIZE, SYMBOLS>>,
    /// Whether the processor has BMI1 and BMI2.
    #[cfg(target_arch = "x86_64")]
    modern: bool,
}

impl Default for Xpress {
    fn default() -> Self {
        Self::new()
    }
}

impl Xpress {
    /// A decoder for chunks of up to 64 KiB.
    pub fn new() -> Self {
        Self {
            units: Default::default(),
            table: Box::new(Table::new()),
            #[cfg(target_arch = "x86_64")]
            modern: std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2"),
        }
    }

    /// Does without what not every processor of this kind has. It is slower, and there for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn portable(self) -> Self {
        #[cfg(target_arch = "x86_64")]
        return Self { modern: false, ..self };
        #[cfg(not(target_arch = "x86_64"))]
        self
    }

    /// Decodes the chunk `src` into `dst`, which has exactly the chunk's decompressed size.
    ///
    /// `src` may go on after the chunk's end. After an error the content of `dst` is unspecified.
    ///
    /// # Errors
    /// When `src` is no valid chunk of that size, or `dst` is larger than 64 KiB.
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        self.decode_observed(src, dst, &mut Silent)
            .or_else(|failure| failure.explain(|| reference::Xpress::new().decode(src, dst)))
    }

    /// Decodes a chunk like [`decode`](Self::decode), and replaces `tokens` by the literal runs and matches that it
    /// consists of.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `tokens` is unspecified then.
    pub fn decode_with_tokens(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        tokens: &mut Vec<Token>,
    ) -> Result<(), Error> {
        let mut recorder = Recorder::new(tokens);
        match self.decode_observed(src, dst, &mut recorder) {
            Ok(()) => {
                recorder.finish(dst.len());
                Ok(())
            }
            Err(failure) => failure.explain(|| reference::Xpress::new().decode_with_tokens(src, dst, tokens)),
        }
    }

    fn decode_observed(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        if dst.len() > MAX_CHUNK {
            return Err(Failure);
        }
        if dst.is_empty() {
            return Ok(());
        }
        let packed = src.get(..LENGTHS_BYTES).ok_or(Failure)?;
        let mut lengths = [0; SYMBOLS];
        for (pair, packed) in lengths.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
            *pair = [packed & 15, packed >> 4];
        }
        if !self.table.build(&lengths, &entry::TEMPLATES, entry::LONG)? {
            return Err(Failure);
        }
        let [even, odd] = &mut self.units;
        let input = Input { src, units: [even.load(src), odd.load(&src[1..])] };
        let mut state = State { bits: Bits::at(LENGTHS_BYTES), parity: 0, at: 0 };
        #[cfg(target_arch = "x86_64")]
        let modern = self.modern;
        #[cfg(not(target_arch = "x86_64"))]
        let modern = false;
        if modern {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the processor has these instructions.
            unsafe {
                tokens_modern(&self.table, input, dst, &mut state, observer)?;
            }
        } else {
            tokens(&self.table, input, dst, &mut state, observer)?;
        }
        // Everything so far may have come out of the zeros behind the data.
        if state.bits.consumed() > input.whole(state.parity) * 8 {
            return Err(Failure);
        }
        Ok(())
    }
}

const TABLE_SIZE: usize = 1 << 11;

/// A table entry; the low six bits count what the codeword and the offset's extra bits take together.
///
/// The sign bit marks a literal, so that the commonest test is the cheapest; the literal is in bits 8 to 15.
mod entry {
    use super::{LITERALS, LONG_LENGTH, MIN_MATCH, SYMBOLS};

    pub(super) const LITERAL: u32 = 1 << 31;
    /// No symbol: the codeword is longer than the table's index.
    pub(super) const LONG: u32 = 1 << 30;
    /// The length goes on in a loose byte.
    pub(super) const LOOSE_LENGTH: u32 = 1 << 29;

    /// How many bits of the offset follow its first, which is always set.
    #[inline(always)]
    pub(super) fn extra_bits(entry: u32) -> u32 {
        entry >> 8 & 15
    }

    #[inline(always)]
    pub(super) fn length(entry: u32) -> usize {
        (entry >> 16 & 31) as usize
    }

    pub(super) static TEMPLATES: [u32; SYMBOLS] = {
        let mut templates = [0; SYMBOLS];
        let mut symbol = 0;
        while symbol < SYMBOLS {
            templates[symbol] = if symbol < LITERALS {
                LITERAL | (symbol as u32) << 8
            } else {
                let (extra, nibble) = ((symbol - LITERALS) as u32 >> 4, (symbol - LITERALS) & 15);
                let flag = if nibble == LONG_LENGTH { LOOSE_LENGTH } else { 0 };
                flag | ((nibble + MIN_MATCH) as u32) << 16 | extra << 8 | extra
            };
            symbol += 1;
        }
        templates
    };
}

/// The data of a chunk.
#[derive(Clone, Copy)]
struct Input<'a> {
    src: &'a [u8],
    units: [&'a [u8]; 2],
}

impl Input<'_> {
    /// How many bytes of whole units there are, for units that begin at positions of this parity.
    fn whole(&self, parity: usize) -> usize {
        (self.src.len() - parity) & !1
    }
}

/// Where decoding stands.
struct State {
    /// Positions count from the beginning of the units of this parity.
    bits: Bits,
    parity: usize,
    at: usize,
}

impl State {
    /// Reads the loose bytes of a length whose symbol has just been consumed, and moves behind them.
    #[inline]
    fn loose_length(&mut self, input: Input<'_>) -> Result<usize, Failure> {
        // The original decoder holds at least 16 bits, and less than 32.
        let consumed = self.bits.consumed();
        let next = (consumed + 16).div_ceil(16) * 2;
        let held = (next * 8 - consumed) as u32;
        let units = input.units[self.parity];
        let mut ahead = Bits { left: self.bits.left, ..self.bits };
        ahead.refill(units)?;
        let loose = self.parity + next;
        let (bytes, length) = match *input.src.get(loose..).ok_or(Failure)? {
            [255, low, high, ..] => (3, usize::from(u16::from_le_bytes([low, high]))),
            [255, ..] | [] => return Err(Failure),
            [byte, ..] => (1, LONG_LENGTH + usize::from(byte)),
        };
        if length < LONG_LENGTH {
            return Err(Failure);
        }
        self.parity ^= 1;
        // In the other copy, whose positions count from the second byte if it is the odd one.
        self.bits = Bits {
            buffer: ahead.buffer & !(u64::MAX >> held),
            left: held,
            next: loose + bytes - self.parity,
        };
        Ok(length + MIN_MATCH)
    }

    /// Decodes the rest of the chunk, one careful token at a time.
    #[inline(always)]
    fn careful(
        &mut self,
        table: &Table<TABLE_SIZE, SYMBOLS>,
        input: Input<'_>,
        dst: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        while self.at < dst.len() {
            self.bits.refill(input.units[self.parity])?;
            let mut entry = table.root[(self.bits.buffer >> (64 - TABLE_SIZE.ilog2())) as usize];
            if entry == entry::LONG {
                entry = long_entry(table, self.bits.buffer);
            }
            if entry & entry::LITERAL != 0 {
                self.bits.skip(entry & 63);
                dst[self.at] = (entry >> 8) as u8;
                self.at += 1;
                continue;
            }
            let extra_bits = entry::extra_bits(entry);
            self.bits.skip((entry & 63) - extra_bits);
            let mut length = entry::length(entry);
            if entry & entry::LOOSE_LENGTH != 0 {
                length = self.loose_length(input)?;
            }
            let offset = (1 << extra_bits | self.bits.take(extra_bits)) as usize;
            if offset > self.at || length > dst.len() - self.at {
                return Err(Failure);
            }
            copy::exactly(dst, self.at, offset, length);
            observer.token(false, self.at, length, offset);
            self.at += length;
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn long_entry(table: &Table<TABLE_SIZE, SYMBOLS>, bits: u64) -> u32 {
    let (symbol, length) = table.long(bits).expect("an empty code was refused");
    entry::TEMPLATES[symbol] + length
}

/// Shifts by a variable count are one instruction with BMI2, three without.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2")]
fn tokens_modern(
    table: &Table<TABLE_SIZE, SYMBOLS>,
    input: Input<'_>,
    dst: &mut [u8],
    state: &mut State,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    tokens(table, input, dst, state, observer)
}

/// Decodes the chunk.
#[inline(always)]
fn tokens(
    table: &Table<TABLE_SIZE, SYMBOLS>,
    input: Input<'_>,
    dst: &mut [u8],
    state: &mut State,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    fast(table, input, dst, state, observer)?;
    state.careful(table, input, dst, observer)
}

/// The longest run of bytes that one round of the fast loop writes, matches with loose lengths aside: two literals and
/// a copied match.
const ROUND: usize = 2 + LONG_LENGTH - 1 + MIN_MATCH + copy::OVERSHOOT;

/// Decodes tokens up to a place near the end of the chunk or of the data.
#[inline(always)]
fn fast(
    table: &Table<TABLE_SIZE, SYMBOLS>,
    input: Input<'_>,
    dst: &mut [u8],
    state: &mut State,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    for parity in [0, 1] {
        assert!(input.whole(parity) + PADDING <= input.units[parity].len());
    }
    let Some(last_round) = dst.len().checked_sub(ROUND) else { return Ok(()) };
    let out_start = dst.as_mut_ptr();
    // SAFETY: inside the slice, by the checks above.
    let (out_limit, out_end, mut to) =
        unsafe { (out_start.add(last_round), out_start.add(dst.len()), out_start.add(state.at)) };
    let Bits { buffer: mut bits, mut left, mut next } = state.bits;
    let mut units = input.units[state.parity].as_ptr();
    let mut whole = input.whole(state.parity);

    macro_rules! refill {
        () => {
            // SAFETY: a round begins with `next` inside the data of `units` and refills at most three times, each at
            // most seven bytes further; with the load's eight that stays inside the padding. (Switching to the other
            // units comes with a position inside the data, before the last refill of a round.)
            let word = unsafe { units.add(next).cast::<u64>().read_unaligned() };
            bits |= u64::from_be(word) >> (left & 63);
            next += ((left ^ 63) >> 3 & 7) as usize;
            left |= 56;
        };
    }
    // Consumes as many bits as the low six bits of the operand say.
    macro_rules! skip {
        ($count:expr) => {
            let count: u32 = $count;
            bits <<= count & 63;
            left = left.wrapping_sub(count);
        };
    }
    macro_rules! lookup {
        () => {
            // SAFETY: the index has as many bits as the table's size.
            unsafe { *table.root.get_unchecked((bits >> (64 - TABLE_SIZE.ilog2())) as usize) }
        };
    }
    macro_rules! literal {
        ($entry:expr) => {
            skip!($entry);
            // SAFETY: a round begins at or before `out_limit` and writes at most `ROUND` bytes, which are inside the
            // buffer.
            unsafe {
                *to = ($entry >> 8) as u8;
                to = to.add(1);
            }
        };
    }

    if next > whole || to > out_limit {
        return Ok(());
    }
    refill!();
    let mut entry = lookup!();
    // Here at least 56 bits are available, and `entry` belongs to the first of them. A codeword in the table has at
    // most 11 bits, so there are always enough to look up the next entry first and refill afterwards, while the entry
    // is on its way.
    while next <= whole && to <= out_limit {
        if entry & entry::LITERAL != 0 {
            literal!(entry);
            entry = lookup!();
            if entry & entry::LITERAL != 0 {
                literal!(entry);
                entry = lookup!();
                refill!();
                if entry & entry::LITERAL != 0 {
                    continue;
                }
            }
        }
        // At least 45 bits are available.
        if entry & (entry::LONG | entry::LOOSE_LENGTH) == 0 {
            let length = entry::length(entry);
            let extra_bits = entry::extra_bits(entry);
            // The bits that end with the offset's extra bits.
            let extra = bits >> (entry.wrapping_neg() & 63);
            skip!(entry);
            // At most 11 + 15 bits are gone, which leaves 19.
            let next_entry = lookup!();
            refill!();
            let offset = (1 << extra_bits | (extra as u32 & ((1 << extra_bits) - 1))) as usize;
            let at = to as usize - out_start as usize;
            if offset > at {
                return Err(Failure);
            }
            // SAFETY: the offset was compared and is not zero; the match fits, see `literal`.
            unsafe {
                copy::mostly_up_to_16(to, offset, length);
                to = to.add(length);
            }
            observer.token(false, at, length, offset);
            entry = next_entry;
            continue;
        }
        refill!();
        if entry & entry::LONG != 0 {
            entry = long_entry(table, bits);
            if entry & entry::LITERAL != 0 {
                literal!(entry);
                entry = lookup!();
                refill!();
                continue;
            }
        }
        let extra_bits = entry::extra_bits(entry);
        skip!((entry & 63) - extra_bits);
        let mut length = entry::length(entry);
        let at = to as usize - out_start as usize;
        if entry & entry::LOOSE_LENGTH != 0 {
            state.bits = Bits { buffer: bits, left, next };
            length = state.loose_length(input)?;
            Bits { buffer: bits, left, next } = state.bits;
            units = input.units[state.parity].as_ptr();
            whole = input.whole(state.parity);
        }
        let extra = bits >> 1 >> (63 - extra_bits);
        skip!(extra_bits);
        refill!();
        entry = lookup!();
        let offset = (1 << extra_bits | extra as u32) as usize;
        let room = out_end as usize - to as usize;
        if offset > at {
            return Err(Failure);
        }
        if length + copy::OVERSHOOT <= room {
            // SAFETY: as above, and the length was compared.
            unsafe { copy::any(to, offset, length) };
        } else if length <= room {
            // SAFETY: these are the bytes of `dst`, which nothing else refers to meanwhile.
            let dst = unsafe { core::slice::from_raw_parts_mut(out_start, at + room) };
            copy::exactly(dst, at, offset, length);
        } else {
            return Err(Failure);
        }
        observer.token(false, at, length, offset);
        // SAFETY: the length was compared.
        to = unsafe { to.add(length) };
    }
    state.bits = Bits { buffer: bits, left, next };
    state.at = to as usize - out_start as usize;
    Ok(())
}
