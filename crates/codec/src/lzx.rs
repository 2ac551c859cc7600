//! LZX, fast.
//!
//! Nearly all of the time goes into the loop over the symbols of a block, and most of that into waiting: for the table
//! entry that the next bits select, and for branches that went the other way. So
//!
//! * what is as good as random does not branch: whether a token is a literal or a match, and which of the repeat offsets
//!   a match uses, if any. A literal is a match of one byte, copied out of its own table entry, that uses the first
//!   repeat offset and so leaves the order of these as it is;
//! * from one entry to the next there are two shifts and a load: the entry says how many bits the codeword and the
//!   offset behind it take, and all else is computed while the next entry is on its way;
//! * a match whose length needs no second symbol has at most 8 bytes and is one load and one store;
//! * all that is rare shares one test: codewords longer than the table's index, and lengths with a second symbol. The
//!   code for these stands outside of the inner loop, so that the latter keeps the registers;
//! * aligned symbols do branch: whoever looks one up always, or nothing in its place, waits twice as long for every token.
//!
//! The loop runs on raw pointers while a round cannot leave the buffers; the first and last few tokens of a block go
//! through a safe one. Neither says what is wrong with a chunk: on any fault the reference decoder is asked.

use crate::bits::{Bits, PADDING, Units};
use crate::failure::Failure;
use crate::huffman::Table;
use crate::lzx_entry as entry;
use crate::lzx_format::{
    ALIGNED_SYMBOLS, BlockType, DEFAULT_BLOCK_SIZE, LENGTH_SYMBOLS, LITERALS, MAX_MAIN_SYMBOLS,
    PRETREE_SYMBOLS, Window,
};
#[cfg(target_arch = "x86_64")]
use crate::lzx_repeats::Shuffled;
use crate::lzx_repeats::{Packed, Repeats};
use crate::token::{Observer, Recorder, Silent};
use crate::{Error, Note, Token, copy, e8, reference};

/// Decodes LZX chunks as WIM resources and Compact OS files hold them.
///
/// The state is scratch memory (about 30 KiB, and as much again as the largest compressed chunk seen) that is reused
/// from chunk to chunk; nothing of one chunk influences another.
#[derive(Clone, Debug)]
pub struct Lzx {
    window: Window,
    units: Units,
    scratch: Box<Scratch>,
    /// Whether the processor has BMI1, BMI2 and AVX.
    #[cfg(target_arch = "x86_64")]
    modern: bool,
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
                aligned: [0; ALIGNED_SIZE],
                main_lengths: [0; MAX_MAIN_SYMBOLS],
                length_lengths: [0; LENGTH_SYMBOLS],
            }),
            #[cfg(target_arch = "x86_64")]
            modern: std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2")
                && std::arch::is_x86_feature_detected!("avx"),
        })
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
                failure.explain(|| reference::Lzx::new(self.window.size())?.decode(src, dst))?;
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
                #[cfg(target_arch = "x86_64")]
                let modern = self.modern;
                #[cfg(not(target_arch = "x86_64"))]
                let modern = false;
                if modern {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the processor has these instructions.
                    unsafe {
                        tokens_modern(scratch, input, dst, end, &mut state, aligned, observer)?;
                    }
                } else {
                    tokens::<Packed>(scratch, input, dst, end, &mut state, aligned, observer)?;
                }
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

/// How many bytes a token writes that shares no test with rare ones, at least as many as it stands for.
const WORD: usize = 8;
/// As far as one round of the inner loop writes: two tokens.
const ROUND: usize = 2 * WORD;

#[derive(Clone, Debug)]
struct Scratch {
    main: Table<MAIN_SIZE, MAX_MAIN_SYMBOLS>,
    length: Table<LENGTH_SIZE, LENGTH_SYMBOLS>,
    pretree: Table<PRETREE_SIZE, PRETREE_SYMBOLS>,
    /// Each entry is the symbol from bit 4 on and the codeword's length below.
    aligned: [u8; ALIGNED_SIZE],
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
                build_aligned(&lengths, &mut self.aligned)?;
            }
        }
        self.pretree.read_lengths(bits, units, &mut self.main_lengths[..LITERALS])?;
        self.pretree.read_lengths(bits, units, &mut self.main_lengths[LITERALS..main_symbols])?;
        let templates = if aligned { entry::templates::<true>() } else { entry::templates::<false>() };
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

    /// Decodes tokens of the block that goes up to `end`, one careful token at a time, until `until` is reached.
    #[inline(always)]
    fn careful<const ALIGNED: bool>(
        &mut self,
        scratch: &Scratch,
        units: &[u8],
        dst: &mut [u8],
        until: usize,
        end: usize,
        observer: &mut impl Observer,
    ) -> Result<(), Failure> {
        while self.at < until {
            self.bits.refill(units)?;
            let mut entry = scratch.main.root[(self.bits.buffer >> (64 - MAIN_SIZE.ilog2())) as usize];
            if entry == entry::LONG {
                entry = long_entry::<ALIGNED>(scratch, self.bits.buffer);
            }
            if entry & entry::LITERAL != 0 {
                self.bits.skip(entry & 63);
                dst[self.at] = entry::literal(entry);
                self.at += 1;
                continue;
            }
            let slot = entry::slot::<ALIGNED>(entry);
            self.bits.skip((entry & 63) - slot.extra_bits);
            let mut length = entry::length(entry);
            if entry & entry::MORE_LENGTH != 0 {
                length += scratch.length.symbol(&mut self.bits).ok_or(Failure)?;
            }
            let mut new = self.bits.take(slot.extra_bits);
            if ALIGNED && entry & entry::ALIGNED != 0 {
                let symbol = scratch.aligned[(self.bits.buffer >> (64 - ALIGNED_SIZE.ilog2())) as usize];
                self.bits.skip(u32::from(symbol & 15));
                new = new << 3 | u32::from(symbol >> 4);
            }
            let mut repeats = Packed::new(self.repeat);
            let offset = repeats.resolve(slot, slot.base + new);
            self.repeat = repeats.offsets();
            if offset > self.at || length > end - self.at {
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
fn long_entry<const ALIGNED: bool>(scratch: &Scratch, bits: u64) -> u32 {
    let (symbol, length) = scratch.main.long(bits).expect("an empty main code was refused");
    entry::templates::<ALIGNED>()[symbol] + length
}

/// Shifts by a variable count are one instruction with BMI2, three without; and AVX shuffles the repeat offsets.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2,avx")]
fn tokens_modern(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    aligned: bool,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    tokens::<Shuffled>(scratch, input, dst, end, state, aligned, observer)
}

/// Decodes the block up to `end`.
#[inline(always)]
fn tokens<R: Repeats>(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    aligned: bool,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    if aligned {
        block::<true, R>(scratch, input, dst, end, state, observer)
    } else {
        block::<false, R>(scratch, input, dst, end, state, observer)
    }
}

#[inline(always)]
fn block<const ALIGNED: bool, R: Repeats>(
    scratch: &Scratch,
    input: Input<'_>,
    dst: &mut [u8],
    end: usize,
    state: &mut State,
    observer: &mut impl Observer,
) -> Result<(), Failure> {
    // Behind this the repeat offsets are inside the output, and stay there.
    while state.at < end && state.repeat.iter().any(|offset| *offset as usize > state.at) {
        state.careful::<ALIGNED>(scratch, input.units, dst, state.at + 1, end, observer)?;
    }
    fast::<ALIGNED, R>(scratch, input, dst, end, state, observer)?;
    state.careful::<ALIGNED>(scratch, input.units, dst, end, end, observer)
}

/// Decodes tokens up to a place near `end`, or near the end of the data.
#[inline(always)]
fn fast<const ALIGNED: bool, R: Repeats>(
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
    assert!(state.repeat.iter().all(|offset| *offset as usize <= state.at));
    let out = dst.as_mut_ptr();
    // SAFETY: both are inside the slice, by the checks above.
    let (in_limit, mut from) =
        unsafe { (input.units.as_ptr().add(input.whole), input.units.as_ptr().add(state.bits.next)) };
    let mut at = state.at;
    let Bits { buffer: mut bits, mut left, .. } = state.bits;
    let mut repeats = R::new(state.repeat);
    // The next token's, and where it is in the table.
    let (mut entry, mut place): (u32, *const u32);

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
            place = scratch.main.place(bits);
            // SAFETY: it is a place in the table. (Volatile, so that the compiler does not put it off: all of the loop
            // waits for this.)
            entry = unsafe { place.read_volatile() };
        };
    }
    // What an aligned symbol adds to the extra bits of an offset.
    macro_rules! aligned_symbol {
        ($entry:ident, $extra:ident) => {
            if ALIGNED && $entry & entry::ALIGNED != 0 {
                let index = (bits >> (64 - ALIGNED_SIZE.ilog2())) as usize;
                // SAFETY: the index has as many bits as the table's size.
                let symbol = unsafe { *scratch.aligned.get_unchecked(index) };
                skip!(u32::from(symbol & 15));
                $extra = $extra << 3 | u32::from(symbol >> 4);
            }
        };
    }

    refill!();
    lookup!();
    loop {
        // Here, and before each token, at least 56 bits are available, and `entry` belongs to the first of them.
        macro_rules! token {
            () => {
                if entry & (entry::LONG | entry::MORE_LENGTH) != 0 {
                    break;
                }
                let (this, this_place) = (entry, place);
                let slot = entry::slot::<ALIGNED>(this);
                // The bits that end with the offset's extra bits.
                let mut extra = (bits >> (this.wrapping_neg() & 63)) as u32 & slot.mask;
                skip!(this);
                aligned_symbol!(this, extra);
                // At most 11 + 14 + 7 bits are gone, which leaves enough to look up the next entry first and refill
                // while it is on its way.
                lookup!();
                refill!();
                let offset = repeats.resolve(slot, slot.base.wrapping_add(extra));
                let length = entry::length(this);
                // Never for a literal, as repeat offsets are not beyond the output.
                if offset > at {
                    return Err(Failure);
                }
                // SAFETY: the offset was compared and is not zero (repeat offsets never are, and slots that are none
                // begin at 1). `WORD` bytes fit from `at` on: a round begins at or before `last_round`, and the first
                // of its two tokens has at most `WORD` bytes.
                unsafe {
                    let to = out.add(at);
                    if length > offset {
                        copy::up_to_8(to, offset, length);
                    } else {
                        let source = core::hint::select_unpredictable(
                            this & entry::LITERAL != 0,
                            this_place.cast::<u8>().add(entry::LITERAL_BYTE),
                            to.sub(offset),
                        );
                        // SAFETY: behind the place of an entry there is more than a word of the table.
                        copy::word(source, to);
                    }
                }
                observer.token(this & entry::LITERAL != 0, at, length, offset);
                at += length;
            };
        }
        loop {
            if from > in_limit || at > last_round {
                state.bits = Bits { buffer: bits, left, next: from as usize - input.units.as_ptr() as usize };
                state.at = at;
                state.repeat = repeats.offsets();
                return Ok(());
            }
            token!();
            token!();
        }
        // What is rare. Not more than `WORD` bytes were written since the last comparison, so `at` is inside the block.
        if entry & entry::LONG != 0 {
            entry = long_entry::<ALIGNED>(scratch, bits);
            if entry & entry::LITERAL != 0 {
                skip!(entry);
                // SAFETY: `at` is before `end`.
                unsafe { out.add(at).write(entry::literal(entry)) };
                at += 1;
                lookup!();
                refill!();
                continue;
            }
        }
        let this = entry;
        let slot = entry::slot::<ALIGNED>(this);
        skip!((this & 63) - slot.extra_bits);
        let mut length = entry::length(this);
        if this & entry::MORE_LENGTH != 0 {
            let mut ahead = Bits { buffer: bits, left, next: 0 };
            length += scratch.length.symbol(&mut ahead).ok_or(Failure)?;
            Bits { buffer: bits, left, .. } = ahead;
        }
        let mut extra = (bits >> 1 >> (63 - slot.extra_bits)) as u32;
        skip!(slot.extra_bits);
        aligned_symbol!(this, extra);
        // At most 16 + 16 + 14 + 7 bits are gone, which is all but three.
        refill!();
        lookup!();
        let offset = repeats.resolve(slot, slot.base.wrapping_add(extra));
        if offset > at {
            return Err(Failure);
        }
        let room = end - at;
        if length + copy::OVERSHOOT <= room {
            // SAFETY: the offset was compared and is not zero, as above; and the length was compared.
            unsafe { copy::any(out.add(at), offset, length) };
        } else if length <= room {
            // SAFETY: these are the bytes of `dst`, which nothing else refers to meanwhile.
            copy::exactly(unsafe { core::slice::from_raw_parts_mut(out, end) }, at, offset, length);
        } else {
            return Err(Failure);
        }
        observer.token(false, at, length, offset);
        at += length;
    }
}
