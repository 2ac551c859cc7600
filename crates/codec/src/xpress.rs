//! XPRESS with Huffman coding, fast.
//!
//! Built like the LZX decoder (literals are matches of one byte out of the table), and simpler, but for one thing: lengths from 18 on are loose bytes between the units of
//! the bit string. They lie where the original decoder, which reads a unit at a time, would have stood, and the units
//! behind them are shifted by one byte. So there are two swapped copies of the data, for units that begin at even and
//! at odd positions, and a loose byte switches from one to the other.

use crate::bits::{Bits, PADDING, Units};
use crate::failure::Failure;
use crate::huffman::Table;
use crate::token::{Observer, Recorder, Silent};
use crate::xpress_format::{LENGTHS_BYTES, LITERALS, LONG_LENGTH, MAX_CHUNK, MIN_MATCH, SYMBOLS};
use crate::{Error, Note, Token, copy, reference};

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

    /// Decodes a chunk like [`decode`](Self::decode), and notes what it consists of.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_noting(&mut self, src: &[u8], dst: &mut [u8], note: &mut Note<'_>) -> Result<(), Error> {
        let noted = note.start();
        let mut recorder = Recorder::adding(note.tokens());
        match self.decode_observed(src, dst, &mut recorder) {
            Ok(()) => {
                recorder.finish(dst.len());
                note.finish(noted, dst.len());
                Ok(())
            }
            Err(failure) => {
                note.forget(noted);
                failure.explain(|| reference::Xpress::new().decode(src, dst))?;
                note.unknown(dst.len());
                Ok(())
            }
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

/// The longest match that is one load and one store.
const VECTOR: usize = 16;

/// A table entry. From the low bits: how many bits the codeword and the offset's extra bits take together (6 bits), LONG,
/// LONG_MATCH, how many extra bits there are (4 bits), LOOSE_LENGTH, LITERAL at bit 15, the literal (8 bits), how many bytes
/// of output it stands for (8 bits).
mod entry {
    use super::{LITERALS, LONG_LENGTH, MIN_MATCH, SYMBOLS, VECTOR};

    /// No symbol: the codeword is longer than the table's index.
    pub(super) const LONG: u32 = 1 << 6;
    /// More bytes than one vector has, or [`LOOSE_LENGTH`].
    pub(super) const LONG_MATCH: u32 = 1 << 7;
    /// The length goes on in a loose byte.
    pub(super) const LOOSE_LENGTH: u32 = 1 << 12;
    pub(super) const LITERAL: u32 = 1 << 15;

    /// Which byte of an entry in memory is the literal.
    pub(super) const LITERAL_BYTE: usize = if cfg!(target_endian = "little") { 2 } else { 1 };

    #[inline(always)]
    pub(super) fn literal(entry: u32) -> u8 {
        (entry >> 16) as u8
    }

    /// How many bits of the offset follow its first, which is always set. For a literal there are none.
    #[inline(always)]
    pub(super) fn extra_bits(entry: u32) -> u32 {
        entry >> 8 & 15
    }

    #[inline(always)]
    pub(super) fn length(entry: u32) -> usize {
        (entry >> 24) as usize
    }

    pub(super) static TEMPLATES: [u32; SYMBOLS] = {
        let mut templates = [0; SYMBOLS];
        let mut symbol = 0;
        while symbol < SYMBOLS {
            templates[symbol] = if symbol < LITERALS {
                1 << 24 | (symbol as u32) << 16 | LITERAL
            } else {
                let (extra, nibble) = ((symbol - LITERALS) as u32 >> 4, (symbol - LITERALS) & 15);
                let length = nibble + MIN_MATCH;
                let loose = if nibble == LONG_LENGTH { LOOSE_LENGTH } else { 0 };
                let long = if length > VECTOR { LONG_MATCH } else { 0 };
                (length as u32) << 24 | loose | extra << 8 | long | extra
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

    /// Decodes one careful token at a time, until `until` is reached.
    #[inline(always)]
    fn careful(
        &mut self,
        table: &Table<TABLE_SIZE, SYMBOLS>,
        input: Input<'_>,
        dst: &mut [u8],
        until: usize,
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        while self.at < until {
            self.bits.refill(input.units[self.parity])?;
            let mut entry = table.root[(self.bits.buffer >> (64 - TABLE_SIZE.ilog2())) as usize];
            if entry == entry::LONG {
                entry = long_entry(table, self.bits.buffer);
            }
            if entry & entry::LITERAL != 0 {
                self.bits.skip(entry & 63);
                dst[self.at] = entry::literal(entry);
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
    // There is nothing to copy at first, so this must be a literal.
    state.careful(table, input, dst, 1, observer)?;
    fast(table, input, dst, state, observer)?;
    state.careful(table, input, dst, dst.len(), observer)
}

/// As far as one round of the inner loop writes: two tokens.
const ROUND: usize = 2 * VECTOR + copy::OVERLAPPING_OVERSHOOT;

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
    if state.bits.next > input.whole(state.parity) || state.at > last_round {
        return Ok(());
    }
    assert!(state.at >= 1);
    let out = dst.as_mut_ptr();
    let mut at = state.at;
    let Bits { buffer: mut bits, mut left, next } = state.bits;
    let mut units = input.units[state.parity].as_ptr();
    // SAFETY: both are inside the units, by the checks above.
    let (mut in_limit, mut from) = unsafe { (units.add(input.whole(state.parity)), units.add(next)) };
    // The next token's, and where it is in the table.
    let (mut entry, mut place): (u32, *const u32);

    macro_rules! refill {
        () => {
            // SAFETY: a round begins with `from` inside the data of `units` and refills at most three times, each at
            // most seven bytes further; with the load's eight that stays inside the padding. (Switching to the other
            // units comes with a position inside the data, before the last refill of a round.)
            unsafe {
                bits |= u64::from_be(from.cast::<u64>().read_unaligned()) >> (left & 63);
                from = from.add(((left ^ 63) >> 3 & 7) as usize);
            }
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
            place = table.place(bits);
            // SAFETY: it is a place in the table. (Volatile, so that the compiler does not put it off: all of the loop
            // waits for this.)
            entry = unsafe { place.read_volatile() };
        };
    }

    refill!();
    lookup!();
    loop {
        // Here, and before each token, at least 56 bits are available, and `entry` belongs to the first of them.
        macro_rules! token {
            () => {
                if entry & (entry::LONG | entry::LONG_MATCH) != 0 {
                    break;
                }
                let (this, this_place) = (entry, place);
                // The bits that end with the offset's extra bits.
                let extra = bits >> (this.wrapping_neg() & 63);
                skip!(this);
                // At most 11 + 15 bits are gone, which leaves enough to look up the next entry first and refill while it
                // is on its way.
                lookup!();
                refill!();
                let first = 1_u32 << entry::extra_bits(this);
                let offset = (first | extra as u32 & (first - 1)) as usize;
                let length = entry::length(this);
                // Never for a literal, whose "offset" is 1.
                if offset > at {
                    return Err(Failure);
                }
                // SAFETY: the offset was compared and is not zero. As many bytes as are written fit from `at` on: a round
                // begins at or before `last_round`, and the first of its two tokens has at most `VECTOR` bytes.
                unsafe {
                    let to = out.add(at);
                    if length > offset {
                        copy::overlapping(to, offset, length);
                    } else {
                        let source = core::hint::select_unpredictable(
                            this & entry::LITERAL != 0,
                            this_place.cast::<u8>().add(entry::LITERAL_BYTE),
                            to.sub(offset),
                        );
                        // SAFETY: behind the place of an entry there is more than a vector of the table.
                        copy::vector(source, to);
                    }
                }
                observer.token(this & entry::LITERAL != 0, at, length, offset);
                at += length;
            };
        }
        loop {
            if from > in_limit || at > last_round {
                state.bits = Bits { buffer: bits, left, next: from as usize - units as usize };
                state.at = at;
                return Ok(());
            }
            token!();
            token!();
        }
        // What is rare. Not more than `VECTOR` bytes stand behind the last comparison, so `at` is inside the chunk.
        if entry & entry::LONG != 0 {
            entry = long_entry(table, bits);
            if entry & entry::LITERAL != 0 {
                skip!(entry);
                // SAFETY: `at` is before the end.
                unsafe { out.add(at).write(entry::literal(entry)) };
                at += 1;
                lookup!();
                refill!();
                continue;
            }
        }
        let extra_bits = entry::extra_bits(entry);
        skip!((entry & 63) - extra_bits);
        let mut length = entry::length(entry);
        if entry & entry::LOOSE_LENGTH != 0 {
            state.bits = Bits { buffer: bits, left, next: from as usize - units as usize };
            length = state.loose_length(input)?;
            Bits { buffer: bits, left, .. } = state.bits;
            units = input.units[state.parity].as_ptr();
            // SAFETY: both are inside the units and their padding, as the loose bytes are inside the data.
            unsafe {
                in_limit = units.add(input.whole(state.parity));
                from = units.add(state.bits.next);
            }
        }
        let extra = bits >> 1 >> (63 - extra_bits);
        skip!(extra_bits);
        refill!();
        lookup!();
        let offset = (1 << extra_bits | extra as u32) as usize;
        if offset > at {
            return Err(Failure);
        }
        let room = dst.len() - at;
        if length + copy::OVERSHOOT <= room {
            // SAFETY: the offset was compared and is not zero; the length was compared.
            unsafe { copy::any(out.add(at), offset, length) };
        } else if length <= room {
            // SAFETY: these are the bytes of `dst`, which nothing else refers to meanwhile.
            copy::exactly(unsafe { core::slice::from_raw_parts_mut(out, at + room) }, at, offset, length);
        } else {
            return Err(Failure);
        }
        observer.token(false, at, length, offset);
        at += length;
    }
}
