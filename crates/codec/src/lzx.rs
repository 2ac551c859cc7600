//! LZX, fast.
//!
//! Nearly all of the time goes into the loop over the symbols of a block, and most of that into waiting: for the table
//! entry that the next bits select, and for branches that went the other way. So
//!
//! * one refill serves a whole token, and the entry of the next token is loaded before the bytes of a match are copied;
//! * a table entry says everything about its symbol, and the bits of a codeword and of the offset behind it are consumed
//!   by one shift;
//! * what is as good as random does not branch: which of the repeat offsets a match uses, if any, and in aligned blocks
//!   whether the aligned code comes into it;
//! * a match whose length needs no second symbol has at most 8 bytes and is one load and one store;
//! * all that is rare shares one test: codewords longer than the table's index, and lengths with a second symbol.
//!
//! The loop runs on raw pointers while a round cannot leave the buffers; the last few tokens of a block go through a
//! safe one. Neither says what is wrong with a chunk: on any fault the reference decoder is asked.

use crate::bits::{Bits, PADDING, Units};
use crate::failure::Failure;
use crate::huffman::Table;
use crate::lzx_format::{
    ALIGNED_SYMBOLS, BlockType, DEFAULT_BLOCK_SIZE, LENGTH_SYMBOLS, LITERALS, MAX_MAIN_SYMBOLS, MIN_MATCH,
    PRETREE_SYMBOLS, Window, slot,
};
use crate::token::{Observer, Recorder, Silent};
use crate::{Error, Token, copy, e8, reference};

/// Decodes LZX chunks as WIM resources and Compact OS files hold them.
///
/// The state is scratch memory (about 30 KiB, and as much again as the largest compressed chunk seen) that is reused
/// from chunk to chunk; nothing of one chunk influences another.
#[derive(Clone, Debug)]
pub struct Lzx {
    window: Window,
    units: Units,
    scratch: Box<Scratch>,
}

impl Lzx {
    /// A decoder for chunks of up to `chunk_size` bytes: a power of two from 2^15 to 2^21.
    ///
    /// The size is part of the format: a chunk compressed for one size cannot be decoded for another, even if it is
    /// shorter than both.
    ///
    /// # Errors
    /// [`Error::ChunkSize`] for any other size.
    pub fn new(chunk_size: usize) -> Result<Self, Error> {
        Ok(Self {
            window: Window::new(chunk_size)?,
            units: Units::default(),
            scratch: Box::new(Scratch {
                main: Table::new(),
                length: Table::new(),
                pretree: Table::new(),
                aligned: [0; 2 * ALIGNED_SIZE],
                main_lengths: [0; MAX_MAIN_SYMBOLS],
                length_lengths: [0; LENGTH_SYMBOLS],
            }),
        })
    }

    /// Decodes the chunk `src` into `dst`, which has exactly the chunk's decompressed size.
    ///
    /// `src` may go on after the chunk's end. After an error the content of `dst` is unspecified.
    ///
    /// # Errors
    /// When `src` is no valid chunk of that size, or `dst` is larger than the chunk size.
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        self.decode_observed(src, dst, &mut Silent)
            .or_else(|failure| failure.explain(|| reference::Lzx::new(self.window.size())?.decode(src, dst)))
    }

    /// Decodes a chunk like [`decode`](Self::decode), and replaces `tokens` by the literal runs and matches that it
    /// consists of.
    ///
    /// The tokens describe the chunk before the last step of decoding, which rewrites the operands of x86 calls: there
    /// the bytes of `dst` can differ from what a match copies.
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
            Err(failure) => failure
                .explain(|| reference::Lzx::new(self.window.size())?.decode_with_tokens(src, dst, tokens)),
        }
    }

    fn decode_observed(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        if self.window.check(dst).is_err() {
            return Err(Failure);
        }
        let scratch = &mut *self.scratch;
        scratch.main_lengths.fill(0);
        scratch.length_lengths.fill(0);
        let units = self.units.load(src);
        let mut state = State { bits: Bits::default(), at: 0, repeat: [1; 3] };
        // Whether there can be any 0xE8 for the filter to find: it would have to be a literal.
        let mut opcodes = false;
        while state.at < dst.len() {
            state.bits.refill(units)?;
            let block_type = BlockType::from_bits(state.bits.take(3) as u8).ok_or(Failure)?;
            let size = if state.bits.take(1) == 1 {
                DEFAULT_BLOCK_SIZE
            } else {
                state.bits.take(self.window.block_size_bits()) as usize
            };
            if size == 0 || size > dst.len() - state.at {
                return Err(Failure);
            }
            let end = state.at + size;
            if block_type == BlockType::Uncompressed {
                state.uncompressed(self.window, src, dst, end)?;
                opcodes = true;
            } else {
                let aligned = scratch.read_codes(
                    &mut state.bits,
                    units,
                    block_type == BlockType::Aligned,
                    self.window.main_symbols(),
                )?;
                opcodes |= scratch.main_lengths[0xE8] != 0;
                let input = Input { units, whole: src.len() & !1 };
                tokens(scratch, input, dst, end, &mut state, aligned, observer)?;
                // All of it may have come out of the zeros behind the data.
                if state.bits.consumed() > input.whole * 8 {
                    return Err(Failure);
                }
            }
        }
        if opcodes {
            e8::undo(dst);
        }
        Ok(())
    }
}

/// A table entry of the main code; the low six bits count what the codeword and the offset's extra bits take together.
///
/// The sign bit marks a literal, so that the commonest test is the cheapest; the literal is in bits 8 to 15.
mod entry {
    use super::{LITERALS, MAX_MAIN_SYMBOLS, slot};

    pub(super) const LITERAL: u32 = 1 << 31;
    /// No symbol: the codeword is longer than the table's index.
    pub(super) const LONG: u32 = 1 << 30;
    /// The length goes on with a symbol of the length code.
    pub(super) const MORE_LENGTH: u32 = 1 << 29;

    /// In aligned blocks: the low three bits of the offset are a symbol of the aligned code. Its value is the size of
    /// a table of that code, of which there are two: this bit of the entry is the choice between them.
    pub(super) const ALIGNED: u32 = 1 << 7;

    /// The offset's extra bits that are just bits.
    #[inline(always)]
    pub(super) fn extra_bits(entry: u32) -> u32 {
        entry >> 8 & 31
    }

    #[inline(always)]
    pub(super) fn header(entry: u32) -> usize {
        (entry >> 16 & 7) as usize
    }

    /// What stands above the extra bits in an offset plus two.
    #[inline(always)]
    pub(super) fn prefix(entry: u32) -> u32 {
        entry >> 19 & 15
    }

    /// By how much [`Repeats`](super::Repeats) are shifted for the repeat offset to use, or [`NO_REPEAT`].
    #[inline(always)]
    pub(super) fn repeat(entry: u32) -> u32 {
        entry >> 23 & 63
    }
    pub(super) const NO_REPEAT: u32 = 63;

    const fn templates(aligned: bool) -> [u32; MAX_MAIN_SYMBOLS] {
        let mut templates = [0; MAX_MAIN_SYMBOLS];
        let mut symbol = 0;
        while symbol < MAX_MAIN_SYMBOLS {
            templates[symbol] = if symbol < LITERALS {
                LITERAL | (symbol as u32) << 8
            } else {
                let (slot, header) = ((symbol - LITERALS) >> 3, (symbol - LITERALS) as u32 & 7);
                let mut flags = if header == 7 { MORE_LENGTH } else { 0 };
                let mut extra = slot::extra_bits(slot);
                if aligned && extra >= 3 {
                    extra -= 3;
                    flags |= ALIGNED;
                }
                let repeat = if slot < 3 { slot as u32 * super::Repeats::BITS } else { NO_REPEAT };
                flags | repeat << 23 | slot::prefix(slot) << 19 | header << 16 | extra << 8 | extra
            };
            symbol += 1;
        }
        templates
    }

    pub(super) static VERBATIM_TEMPLATES: [u32; MAX_MAIN_SYMBOLS] = templates(false);
    pub(super) static ALIGNED_TEMPLATES: [u32; MAX_MAIN_SYMBOLS] = templates(true);
}

/// Entries of the length and pretree codes: the symbol from bit 8 on, the codeword's length below.
const SYMBOL_TEMPLATES: [u32; LENGTH_SYMBOLS] = {
    let mut templates = [0; LENGTH_SYMBOLS];
    let mut symbol = 0;
    while symbol < LENGTH_SYMBOLS {
        templates[symbol] = (symbol as u32) << 8;
        symbol += 1;
    }
    templates
};
/// No symbol of the length or pretree code.
const LONG_SYMBOL: u32 = 1 << 31;

const MAIN_SIZE: usize = 1 << 11;
const LENGTH_SIZE: usize = 1 << 9;
const PRETREE_SIZE: usize = 1 << 7;
const ALIGNED_SIZE: usize = 1 << 7;

/// The longest run of bytes that one round of the fast loop writes: three literals, and a word for a short match.
const ROUND: usize = 3 + 8;

#[derive(Clone, Debug)]
struct Scratch {
    main: Table<MAIN_SIZE, MAX_MAIN_SYMBOLS>,
    length: Table<LENGTH_SIZE, LENGTH_SYMBOLS>,
    pretree: Table<PRETREE_SIZE, PRETREE_SYMBOLS>,
    /// Two tables: one for matches without aligned bits, which takes none and yields zero, and that of the code. Each
    /// entry is the symbol from bit 4 on and the codeword's length below.
    aligned: [u8; 2 * ALIGNED_SIZE],
    main_lengths: [u8; MAX_MAIN_SYMBOLS],
    length_lengths: [u8; LENGTH_SYMBOLS],
}

impl Scratch {
    /// Reads the codes of a block. Returns whether its aligned code is worth the name.
    fn read_codes(
        &mut self,
        bits: &mut Bits,
        units: &[u8],
        mut aligned: bool,
        main_symbols: usize,
    ) -> Result<bool, Failure> {
        if aligned {
            bits.refill(units)?;
            let mut lengths = [0; ALIGNED_SYMBOLS];
            for length in &mut lengths {
                *length = bits.take(3) as u8;
            }
            // Eight codewords of three bits are the plain bits.
            aligned = lengths != [3; ALIGNED_SYMBOLS];
            if aligned {
                build_aligned(&lengths, &mut self.aligned[ALIGNED_SIZE..])?;
            }
        }
        self.pretree.read_lengths(bits, units, &mut self.main_lengths[..LITERALS])?;
        self.pretree.read_lengths(bits, units, &mut self.main_lengths[LITERALS..main_symbols])?;
        let templates = if aligned { &entry::ALIGNED_TEMPLATES } else { &entry::VERBATIM_TEMPLATES };
        if !self.main.build(&self.main_lengths[..main_symbols], templates, entry::LONG)? {
            return Err(Failure);
        }
        self.pretree.read_lengths(bits, units, &mut self.length_lengths)?;
        self.length.build(&self.length_lengths, &SYMBOL_TEMPLATES, LONG_SYMBOL)?;
        Ok(aligned)
    }
}

/// Fills the table of the aligned code.
fn build_aligned(lengths: &[u8; ALIGNED_SYMBOLS], table: &mut [u8]) -> Result<(), Failure> {
    let mut filled = 0;
    for bits in 1..=7_u8 {
        for (symbol, length) in lengths.iter().enumerate() {
            if *length == bits {
                let run = ALIGNED_SIZE >> bits;
                table.get_mut(filled..filled + run).ok_or(Failure)?.fill((symbol as u8) << 4 | bits);
                filled += run;
            }
        }
    }
    if filled == ALIGNED_SIZE { Ok(()) } else { Err(Failure) }
}

impl Table<PRETREE_SIZE, PRETREE_SYMBOLS> {
    /// Reads one run of codeword lengths, which comes with a code of its own; see the reference for the meaning.
    fn read_lengths(&mut self, bits: &mut Bits, units: &[u8], lengths: &mut [u8]) -> Result<(), Failure> {
        let mut pretree = [0; PRETREE_SYMBOLS];
        for half in pretree.chunks_exact_mut(PRETREE_SYMBOLS / 2) {
            bits.refill(units)?;
            for length in half {
                *length = bits.take(4) as u8;
            }
        }
        if !self.build(&pretree, &SYMBOL_TEMPLATES, LONG_SYMBOL)? {
            return Err(Failure);
        }
        let difference = |old: u8, symbol: usize| {
            let difference = old.wrapping_sub(symbol as u8);
            // Both are at most 16.
            if difference > 16 { difference.wrapping_add(17) } else { difference }
        };
        let mut i = 0;
        while i < lengths.len() {
            bits.refill(units)?;
            let symbol = self.symbol(bits).ok_or(Failure)?;
            let (run, length) = match symbol {
                0..=16 => {
                    lengths[i] = difference(lengths[i], symbol);
                    i += 1;
                    continue;
                }
                17 => (4 + bits.take(4) as usize, 0),
                18 => (20 + bits.take(5) as usize, 0),
                _ => {
                    let run = 4 + bits.take(1) as usize;
                    let symbol = self.symbol(bits).ok_or(Failure)?;
                    if symbol > 16 {
                        return Err(Failure);
                    }
                    (run, difference(lengths[i], symbol))
                }
            };
            lengths.get_mut(i..i + run).ok_or(Failure)?.fill(length);
            i += run;
        }
        Ok(())
    }
}

impl<const ROOT_SIZE: usize, const SYMBOLS: usize> Table<ROOT_SIZE, SYMBOLS> {
    /// Decodes a symbol of a code with [`SYMBOL_TEMPLATES`]; 16 bits must be available. `None` if there are no codewords.
    #[inline(always)]
    fn symbol(&self, bits: &mut Bits) -> Option<usize> {
        let entry = self.root[(bits.buffer >> (64 - Self::ROOT)) as usize];
        if entry == LONG_SYMBOL {
            let (symbol, length) = self.long(bits.buffer)?;
            bits.skip(length);
            return Some(symbol);
        }
        bits.skip(entry & 63);
        Some((entry >> 8) as usize)
    }
}

/// The data of a chunk as units.
#[derive(Clone, Copy)]
struct Input<'a> {
    /// With padding.
    units: &'a [u8],
    /// How many bytes the units have without it.
    whole: usize,
}

/// Where decoding stands.
struct State {
    bits: Bits,
    at: usize,
    /// Never zero.
    repeat: [u32; 3],
}

impl State {
    fn uncompressed(
        &mut self,
        window: Window,
        src: &[u8],
        dst: &mut [u8],
        end: usize,
    ) -> Result<(), Failure> {
        // To the next unit, and a whole unit if already at one.
        let mut next = (self.bits.consumed() / 16 + 1) * 2;
        for offset in &mut self.repeat {
            let bytes = src.get(next..).and_then(|rest| rest.first_chunk()).ok_or(Failure)?;
            *offset = u32::from_le_bytes(*bytes);
            if *offset == 0 || *offset > window.max_offset() {
                return Err(Failure);
            }
            next += 4;
        }
        let size = end - self.at;
        dst[self.at..end].copy_from_slice(src.get(next..next + size).ok_or(Failure)?);
        self.at = end;
        next += size;
        // The pad byte may be missing at the very end, where nobody reads it.
        self.bits = Bits::at(src.len().min(next + size % 2));
        Ok(())
    }

    /// Decodes the block up to `end`, one careful token at a time.
    #[inline(always)]
    fn careful<const ALIGNED: bool>(
        &mut self,
        scratch: &Scratch,
        units: &[u8],
        dst: &mut [u8],
        end: usize,
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        while self.at < end {
            self.bits.refill(units)?;
            let mut entry = scratch.main.root[(self.bits.buffer >> (64 - MAIN_SIZE.ilog2())) as usize];
            if entry == entry::LONG {
                entry = long_entry::<ALIGNED>(scratch, self.bits.buffer);
            }
            if entry & entry::LITERAL != 0 {
                self.bits.skip(entry & 63);
                dst[self.at] = (entry >> 8) as u8;
                self.at += 1;
                continue;
            }
            let extra_bits = entry::extra_bits(entry);
            self.bits.skip((entry & 63) - extra_bits);
            let mut length = entry::header(entry) + MIN_MATCH;
            if entry & entry::MORE_LENGTH != 0 {
                length += scratch.length.symbol(&mut self.bits).ok_or(Failure)?;
            }
            let mut prefixed = entry::prefix(entry) << extra_bits | self.bits.take(extra_bits);
            if ALIGNED && entry & entry::ALIGNED != 0 {
                let symbol = scratch.aligned[ALIGNED_SIZE | (self.bits.buffer >> 57) as usize];
                self.bits.skip(u32::from(symbol & 15));
                prefixed = prefixed << 3 | u32::from(symbol >> 4);
            }
            let mut repeats = Repeats::pack(self.repeat);
            let offset = repeats.resolve(entry::repeat(entry), prefixed.wrapping_sub(2));
            self.repeat = repeats.unpack();
            if offset > self.at || length > end - self.at {
                return Err(Failure);
            }
            copy::exactly(dst, self.at, offset, length);
            observer.matched(self.at, length, offset);
            self.at += length;
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn long_entry<const ALIGNED: bool>(scratch: &Scratch, bits: u64) -> u32 {
    let (symbol, length) = scratch.main.long(bits).expect("an empty main code was refused");
    (if ALIGNED { entry::ALIGNED_TEMPLATES[symbol] } else { entry::VERBATIM_TEMPLATES[symbol] }) + length
}

/// Decodes the block up to `end`, in the best way this processor has.
fn tokens(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    aligned: bool,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("bmi2") {
        // SAFETY: the processor has these instructions.
        return unsafe { tokens_bmi2(scratch, input, dst, end, state, aligned, observer) };
    }
    tokens_here(scratch, input, dst, end, state, aligned, observer)
}

/// Shifts by a variable count are one instruction with BMI2, three without.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2")]
fn tokens_bmi2(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    aligned: bool,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    tokens_here(scratch, input, dst, end, state, aligned, observer)
}

#[inline(always)]
fn tokens_here(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    aligned: bool,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    if aligned {
        fast::<true>(scratch, input, dst, end, state, observer)?;
        state.careful::<true>(scratch, input.units, dst, end, observer)
    } else {
        fast::<false>(scratch, input, dst, end, state, observer)?;
        state.careful::<false>(scratch, input.units, dst, end, observer)
    }
}

/// Decodes tokens up to a place near `end`, or near the end of the data.
#[inline(always)]
fn fast<const ALIGNED: bool>(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    assert!(end <= dst.len() && input.whole + PADDING <= input.units.len());
    let Some(last_round) = end.checked_sub(ROUND) else { return Ok(()) };
    if state.bits.next > input.whole || state.at > last_round {
        return Ok(());
    }
    let out_start = dst.as_mut_ptr();
    // SAFETY: all of these are inside the slices, by the checks above.
    let (in_limit, out_limit, out_end, mut from, mut to) = unsafe {
        (
            input.units.as_ptr().add(input.whole),
            out_start.add(last_round),
            out_start.add(end),
            input.units.as_ptr().add(state.bits.next),
            out_start.add(state.at),
        )
    };
    let Bits { buffer: mut bits, mut left, .. } = state.bits;
    let mut repeats = Repeats::pack(state.repeat);

    macro_rules! refill {
        () => {
            // SAFETY: a round begins with `from` inside the data and refills at most three times, each at most seven
            // bytes further; with the load's eight that stays inside the padding.
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
            // SAFETY: the index has as many bits as the table's size.
            unsafe { *scratch.main.root.get_unchecked((bits >> (64 - MAIN_SIZE.ilog2())) as usize) }
        };
    }
    macro_rules! literal {
        ($entry:expr) => {
            skip!($entry);
            // SAFETY: a round begins at or before `out_limit` and writes at most `ROUND` bytes, short matches
            // included; those are inside the buffer.
            unsafe {
                *to = ($entry >> 8) as u8;
                to = to.add(1);
            }
        };
    }
    // The rest of an offset: extra bits, aligned bits.
    macro_rules! prefixed {
        ($entry:ident, $extra:ident, $extra_bits:ident) => {{
            let mut prefixed =
                entry::prefix($entry) << $extra_bits | ($extra as u32 & ((1 << $extra_bits) - 1));
            if ALIGNED {
                let choice = $entry & entry::ALIGNED;
                let index = choice as usize | (bits >> 57) as usize;
                // SAFETY: the index has seven bits and an eighth, as many as the tables together.
                let symbol = unsafe { *scratch.aligned.get_unchecked(index) };
                skip!(u32::from(symbol & 15));
                prefixed = prefixed << (choice >> 7 | choice >> 6) | u32::from(symbol >> 4);
            }
            prefixed
        }};
    }
    macro_rules! offset {
        ($entry:ident, $prefixed:ident) => {{
            let offset = repeats.resolve(entry::repeat($entry), $prefixed.wrapping_sub(2));
            if offset > to as usize - out_start as usize {
                return Err(Failure);
            }
            offset
        }};
    }

    refill!();
    let mut entry = lookup!();
    // Here at least 56 bits are available, and `entry` belongs to the first of them. A codeword in the table has at
    // most 11 bits, so there are always enough to look up the next entry first and refill afterwards, while the entry
    // is on its way.
    while from <= in_limit && to <= out_limit {
        if entry & entry::LITERAL != 0 {
            literal!(entry);
            entry = lookup!();
            if entry & entry::LITERAL != 0 {
                literal!(entry);
                entry = lookup!();
                if entry & entry::LITERAL != 0 {
                    literal!(entry);
                    entry = lookup!();
                    refill!();
                    continue;
                }
                refill!();
            }
        }
        // At least 45 bits are available.
        if entry & (entry::LONG | entry::MORE_LENGTH) == 0 {
            let length = entry::header(entry) + MIN_MATCH;
            let extra_bits = entry::extra_bits(entry);
            // The bits that end with the offset's extra bits.
            let extra = bits >> (entry.wrapping_neg() & 63);
            skip!(entry);
            let prefixed = prefixed!(entry, extra, extra_bits);
            // At most 11 + 14 + 7 bits are gone, which leaves 13.
            let next_entry = lookup!();
            refill!();
            let offset = offset!(entry, prefixed);
            // SAFETY: the offset was compared and is not zero (repeat offsets never are, and slots that are none
            // begin at 1); eight bytes fit, see `literal`.
            unsafe {
                copy::up_to_8(to, offset, length);
                observer.matched(to as usize - out_start as usize, length, offset);
                to = to.add(length);
            }
            entry = next_entry;
            continue;
        }
        refill!();
        if entry & entry::LONG != 0 {
            entry = long_entry::<ALIGNED>(scratch, bits);
            if entry & entry::LITERAL != 0 {
                literal!(entry);
                entry = lookup!();
                refill!();
                continue;
            }
        }
        let mut length = entry::header(entry) + MIN_MATCH;
        let extra_bits = entry::extra_bits(entry);
        skip!((entry & 63) - extra_bits);
        if entry & entry::MORE_LENGTH != 0 {
            let mut ahead = Bits { buffer: bits, left, next: 0 };
            length += scratch.length.symbol(&mut ahead).ok_or(Failure)?;
            Bits { buffer: bits, left, .. } = ahead;
        }
        let extra = bits >> 1 >> (63 - extra_bits);
        skip!(extra_bits);
        let prefixed = prefixed!(entry, extra, extra_bits);
        refill!();
        let next_entry = lookup!();
        let offset = offset!(entry, prefixed);
        let room = out_end as usize - to as usize;
        let at = to as usize - out_start as usize;
        if length + copy::OVERSHOOT <= room {
            // SAFETY: as above, and the length was compared.
            unsafe { copy::any(to, offset, length) };
        } else if length <= room {
            // SAFETY: these are the bytes of `dst`, which nothing else refers to meanwhile.
            copy::exactly(unsafe { core::slice::from_raw_parts_mut(out_start, end) }, at, offset, length);
        } else {
            return Err(Failure);
        }
        observer.matched(at, length, offset);
        // SAFETY: the length was compared.
        to = unsafe { to.add(length) };
        entry = next_entry;
    }
    state.bits = Bits { buffer: bits, left, next: from as usize - input.units.as_ptr() as usize };
    state.at = to as usize - out_start as usize;
    state.repeat = repeats.unpack();
    Ok(())
}

/// The three repeat offsets in one register, 21 bits each.
#[derive(Clone, Copy)]
struct Repeats(u64);

impl Repeats {
    const BITS: u32 = 21;
    const MASK: u64 = (1 << Self::BITS) - 1;

    #[inline(always)]
    fn pack([first, second, third]: [u32; 3]) -> Self {
        Self(u64::from(first) | u64::from(second) << Self::BITS | u64::from(third) << (2 * Self::BITS))
    }

    #[inline(always)]
    fn unpack(self) -> [u32; 3] {
        [0, 1, 2].map(|slot| (self.0 >> (slot * Self::BITS) & Self::MASK) as u32)
    }

    /// The offset that a match uses, which becomes the first repeat offset: the one at `shift`, which changes places
    /// with the first; or, if `shift` is [`NO_REPEAT`](entry::NO_REPEAT), `new`, which pushes the others down.
    #[inline(always)]
    fn resolve(&mut self, shift: u32, new: u32) -> usize {
        let difference = (self.0 ^ self.0 >> shift) & Self::MASK;
        let swapped = self.0 ^ (difference | difference << shift);
        // The last one falls out at the top, but for one bit that nobody looks at.
        let pushed = self.0 << Self::BITS | u64::from(new);
        self.0 = core::hint::select_unpredictable(shift == entry::NO_REPEAT, pushed, swapped);
        (self.0 & Self::MASK) as usize
    }
}
