//! From a parse to bits: blocks, their codes, the zlib framing.
//!
//! A grain has at most 64 KiB, so everything about it is known before its first bit is written: where its statistics
//! change, how many bits each way of writing a block takes, and whether storing it is shorter.
//!
//! **Blocks.** The parse is counted in segments. Neighbours become one block as long as the code for both takes less
//! than two codes and the headers they need, as estimated from the entropy; what is left are the blocks. Block borders
//! lie between tokens.

use crate::Token;
use crate::encode::huffman::{self, Builder, Codeword};
use crate::encode::window::Window;

use super::format::{
    END_OF_BLOCK, FIRST_LENGTH, LENGTH_EXTRA, LENGTH_SLOTS, LITERAL_SYMBOLS, MAX_BITS, MAX_LENGTH,
    MAX_PRECODE_BITS, MAX_STORED, MIN_LENGTH, OFFSET_SYMBOLS, PRECODE_ORDER, PRECODE_SYMBOLS, adler32,
    length_extra, offset_extra_bits, offset_slot,
};

/// Tokens in a segment, so few that a change of what the data is like falls near a border.
pub(super) const FINE: usize = 384;
/// The same where time is short: 5 % faster, 0.1 % larger.
pub(super) const COARSE: usize = 768;
/// Room for counting, a power of two; from [`NOWHERE`] on it does not count.
const COUNTED: usize = 512;
const NOWHERE: usize = 400;
/// What a block costs besides its symbols, in bits: see [`Counts::cost`].
const BLOCK_BITS: f32 = 3.0 + 14.0 + 60.0;
/// What a symbol costs in the header of a block that uses it.
const SYMBOL_BITS: f32 = 2.6;

/// Writes streams. All of it is scratch; nothing of one grain reaches the next.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    literals: Builder<LITERAL_SYMBOLS>,
    offsets: Builder<OFFSET_SYMBOLS>,
    precode: Builder<PRECODE_SYMBOLS>,
    segments: Vec<Segment>,
    codes: Box<Codes>,
}

/// Some tokens that follow each other, and the bytes they stand for.
#[derive(Clone, Debug)]
struct Segment {
    tokens: std::ops::Range<usize>,
    bytes: std::ops::Range<usize>,
    counts: Box<Counts>,
    cost: f32,
}

/// How often symbols occur.
#[derive(Clone, Debug)]
struct Counts {
    literals: [u32; LITERAL_SYMBOLS],
    offsets: [u32; OFFSET_SYMBOLS],
}

/// Codewords ready to be written: the bits in the order they go out from bit 8 on, how many they are below.
#[derive(Clone, Debug)]
struct Codes {
    literals: [u32; LITERAL_SYMBOLS],
    /// For each length its codeword with the extra bits behind it.
    lengths: [u32; MAX_LENGTH + 1],
    offsets: [u32; OFFSET_SYMBOLS],
}

/// `x · log2(x)` for small integers.
static ENTROPY: std::sync::LazyLock<Box<[f32]>> =
    std::sync::LazyLock::new(|| (0..TABLED).map(|x| entropy(x as f32)).collect());
const TABLED: usize = 1 << 13;

fn entropy(x: f32) -> f32 {
    if x < 1.0 { 0.0 } else { x * x.log2() }
}

impl Counts {
    const NONE: Self = Self { literals: [0; LITERAL_SYMBOLS], offsets: [0; OFFSET_SYMBOLS] };

    fn add(&mut self, other: &Self) {
        self.literals.iter_mut().zip(&other.literals).for_each(|(sum, count)| *sum += count);
        self.offsets.iter_mut().zip(&other.offsets).for_each(|(sum, count)| *sum += count);
    }

    /// About how many bits a block takes in which symbols occur so often, without the extra bits, which are the same
    /// in whatever block a token is.
    fn cost(&self) -> f32 {
        let table = &**ENTROPY;
        let of = |counts: &[u32]| {
            let (mut total, mut sum, mut used) = (0, 0.0, 0);
            for &count in counts {
                total += count;
                used += u32::from(count > 0);
                sum += table.get(count as usize).copied().unwrap_or_else(|| entropy(count as f32));
            }
            entropy(total as f32) - sum + SYMBOL_BITS * used as f32
        };
        of(&self.literals) + of(&self.offsets) + BLOCK_BITS
    }
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            literals: Builder::new(),
            offsets: Builder::new(),
            precode: Builder::new(),
            segments: Vec::new(),
            codes: Box::new(Codes {
                literals: [0; LITERAL_SYMBOLS],
                lengths: [0; MAX_LENGTH + 1],
                offsets: [0; OFFSET_SYMBOLS],
            }),
        }
    }

    /// Appends the zlib stream of `data`, which `window` holds and `tokens` are a parse of. Blocks end at multiples of
    /// `segment` tokens.
    pub(super) fn zlib(
        &mut self,
        data: &[u8],
        window: &Window,
        tokens: &[Token],
        segment: usize,
        out: &mut Vec<u8>,
    ) {
        // Window of 32 KiB; the level is that of zlib's default, which nobody looks at.
        out.extend_from_slice(&[0x78, 0x9C]);
        self.raw(data, window, tokens, segment, out);
        out.extend_from_slice(&adler32(data).to_be_bytes());
    }

    /// The same without zlib's framing.
    pub(super) fn raw(
        &mut self,
        data: &[u8],
        window: &Window,
        tokens: &[Token],
        segment: usize,
        out: &mut Vec<u8>,
    ) {
        debug_assert_eq!(
            tokens.iter().map(|token| (token.literals + token.length) as usize).sum::<usize>(),
            data.len()
        );
        let start = out.len();
        self.count(window, tokens, segment);
        self.merge();
        let mut bits = Bits::default();
        let segments = std::mem::take(&mut self.segments);
        for (index, segment) in segments.iter().enumerate() {
            let last = index + 1 == segments.len();
            self.block(data, window, &tokens[segment.tokens.clone()], segment, last, &mut bits, out);
        }
        self.segments = segments;
        bits.fill_byte(out);
        if out.len() - start > stored_len(data.len()) {
            out.truncate(start);
            let mut bits = Bits::default();
            stored(data, true, &mut bits, out);
        }
    }

    /// Cuts the parse into segments and counts their symbols.
    #[inline(never)]
    fn count(&mut self, window: &Window, tokens: &[Token], segment: usize) {
        let mut used = 0;
        let mut at = 0;
        let mut first = 0;
        for part in tokens.chunks(segment) {
            if used == self.segments.len() {
                self.segments.push(Segment {
                    tokens: 0..0,
                    bytes: 0..0,
                    counts: Box::new(Counts::NONE),
                    cost: 0.0,
                });
            }
            let segment = &mut self.segments[used];
            let (mut literals, mut offsets) = ([0; COUNTED], [0; OFFSET_SYMBOLS]);
            let start = at;
            for token in part {
                let mut left = token.literals as usize;
                let mut from = at;
                while left > 3 {
                    literals[usize::from(window.byte(from))] += 1;
                    from += 1;
                    left -= 1;
                }
                // As when they are written; those that are not there are counted where nobody looks.
                let word = window.word(from) as usize;
                let which =
                    |index: usize, byte: usize| if left > index { byte & 0xFF } else { NOWHERE + index };
                literals[which(0, word)] += 1;
                literals[which(1, word >> 8)] += 1;
                literals[which(2, word >> 16)] += 1;
                at += (token.literals + token.length) as usize;
                if token.length > 0 {
                    let slot = usize::from(LENGTH_SLOTS[token.length as usize % (MAX_LENGTH + 1)]);
                    literals[(FIRST_LENGTH + slot) % COUNTED] += 1;
                    offsets[offset_slot(token.offset) % OFFSET_SYMBOLS] += 1;
                }
            }
            literals[END_OF_BLOCK] = 1;
            let counts = &mut *segment.counts;
            counts.literals.copy_from_slice(&literals[..LITERAL_SYMBOLS]);
            counts.offsets = offsets;
            segment.tokens = first..first + part.len();
            segment.bytes = start..at;
            segment.cost = counts.cost();
            first += part.len();
            used += 1;
        }
        self.segments.truncate(used);
        if self.segments.is_empty() {
            let mut counts = Box::new(Counts::NONE);
            counts.literals[END_OF_BLOCK] = 1;
            self.segments.push(Segment { tokens: 0..0, bytes: 0..0, counts, cost: 0.0 });
        }
    }

    /// Merges neighbours, those first that gain most.
    fn merge(&mut self) {
        let joined = |a: &Segment, b: &Segment| {
            let mut counts = a.counts.clone();
            counts.add(&b.counts);
            counts.literals[END_OF_BLOCK] = 1;
            let cost = counts.cost();
            (a.cost + b.cost - cost, counts, cost)
        };
        let segments = &mut self.segments;
        let mut gains: Vec<_> = segments.windows(2).map(|pair| joined(&pair[0], &pair[1])).collect();
        while let Some(best) = (0..gains.len()).max_by(|a, b| gains[*a].0.total_cmp(&gains[*b].0)) {
            if gains[best].0 <= 0.0 {
                break;
            }
            let (_, counts, cost) = gains.remove(best);
            let absorbed = segments.remove(best + 1);
            let segment = &mut segments[best];
            segment.tokens.end = absorbed.tokens.end;
            segment.bytes.end = absorbed.bytes.end;
            segment.counts = counts;
            segment.cost = cost;
            if best > 0 {
                gains[best - 1] = joined(&segments[best - 1], &segments[best]);
            }
            if best < gains.len() {
                gains[best] = joined(&segments[best], &segments[best + 1]);
            }
        }
    }

    /// Writes one block in the form that is shortest.
    #[expect(clippy::too_many_arguments, reason = "one caller")]
    fn block(
        &mut self,
        data: &[u8],
        window: &Window,
        tokens: &[Token],
        segment: &Segment,
        last: bool,
        bits: &mut Bits,
        out: &mut Vec<u8>,
    ) {
        let bytes = segment.bytes.clone();
        let mut counts = (*segment.counts).clone();
        let (mut literals, mut offsets) = ([0; LITERAL_SYMBOLS], [0; OFFSET_SYMBOLS]);
        // A code needs two symbols to be complete, which not all inflaters ask for, but some.
        pad(&mut counts.literals);
        pad(&mut counts.offsets);
        self.literals.build(&counts.literals, MAX_BITS, &mut literals);
        self.offsets.build(&counts.offsets, MAX_BITS, &mut offsets);
        let header = Header::new(&literals, &offsets, &mut self.precode);

        let extra = extra_bits(&counts);
        let body = |literals: &[Codeword], offsets: &[Codeword]| {
            let of = |counts: &[u32], code: &[Codeword]| -> u32 {
                counts.iter().zip(code).map(|(count, word)| count * huffman::bits(*word)).sum()
            };
            of(&counts.literals, literals) + of(&counts.offsets, offsets) + extra
        };
        let dynamic = 3 + header.bits + body(&literals, &offsets);
        let (fixed_literals, fixed_offsets) = (fixed_literals(), fixed_offsets());
        let fixed = 3 + body(&fixed_literals, &fixed_offsets);
        let stored_bits = 8 * (stored_len(bytes.len()) as u32) + 16;
        if stored_bits < dynamic.min(fixed) {
            stored(&data[bytes], last, bits, out);
            return;
        }
        if fixed < dynamic {
            bits.put(u32::from(last) | 1 << 1, 3);
            (literals, offsets) = (fixed_literals, fixed_offsets);
        } else {
            bits.put(u32::from(last) | 2 << 1, 3);
            header.write(bits, out);
        }
        self.codes.set(&literals, &offsets);
        let size = dynamic.min(fixed) as usize / 8;
        self.codes.write(window, tokens, bytes.start, size, bits, out);
    }
}

fn pad(counts: &mut [u32]) {
    let missing = 2_usize.saturating_sub(counts.iter().filter(|count| **count > 0).count());
    counts.iter_mut().filter(|count| **count == 0).take(missing).for_each(|count| *count = 1);
}

fn extra_bits(counts: &Counts) -> u32 {
    let lengths: u32 = counts.literals[FIRST_LENGTH..]
        .iter()
        .zip(LENGTH_EXTRA)
        .map(|(count, bits)| count * u32::from(bits))
        .sum();
    let offsets: u32 =
        counts.offsets.iter().enumerate().map(|(slot, count)| count * offset_extra_bits(slot)).sum();
    lengths + offsets
}

/// Bytes that `len` bytes take in stored blocks.
fn stored_len(len: usize) -> usize {
    len + 5 * len.div_ceil(MAX_STORED).max(1)
}

fn stored(data: &[u8], last: bool, bits: &mut Bits, out: &mut Vec<u8>) {
    let mut rest = data;
    loop {
        let (block, after) = rest.split_at(rest.len().min(MAX_STORED));
        rest = after;
        bits.put(u32::from(last && rest.is_empty()), 3);
        bits.fill_byte(out);
        let len = block.len() as u16;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
        if rest.is_empty() {
            return;
        }
    }
}

/// The codes of 3.2.6, of which only the number of bits matters here: canonical codes follow from it.
fn fixed_literals() -> [Codeword; LITERAL_SYMBOLS] {
    let mut code = [0; LITERAL_SYMBOLS];
    for (symbol, word) in code.iter_mut().enumerate() {
        let symbol = symbol as u32;
        *word = match symbol {
            0..=143 => (0x30 + symbol) << 4 | 8,
            144..=255 => (0x190 + symbol - 144) << 4 | 9,
            256..=279 => (symbol - 256) << 4 | 7,
            _ => (0xC0 + symbol - 280) << 4 | 8,
        };
    }
    code
}

fn fixed_offsets() -> [Codeword; OFFSET_SYMBOLS] {
    std::array::from_fn(|symbol| (symbol as u32) << 4 | 5)
}

/// The header of a block with codes of its own (3.2.7).
struct Header {
    /// Symbols of the precode with their extra bits, from bit 8 on.
    symbols: [u16; LITERAL_SYMBOLS + OFFSET_SYMBOLS],
    used: usize,
    literals: usize,
    offsets: usize,
    precode: [Codeword; PRECODE_SYMBOLS],
    precodes: usize,
    bits: u32,
}

impl Header {
    fn new(
        literals: &[Codeword; LITERAL_SYMBOLS],
        offsets: &[Codeword; OFFSET_SYMBOLS],
        builder: &mut Builder<PRECODE_SYMBOLS>,
    ) -> Self {
        let count = |code: &[Codeword], least: usize| {
            code.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1).max(least)
        };
        let (literal_count, offset_count) = (count(literals, FIRST_LENGTH), count(offsets, 1));
        let mut lengths = [0_u8; LITERAL_SYMBOLS + OFFSET_SYMBOLS];
        let all = literals[..literal_count].iter().chain(&offsets[..offset_count]);
        lengths.iter_mut().zip(all).for_each(|(length, word)| *length = huffman::bits(*word) as u8);

        let mut header = Self {
            symbols: [0; LITERAL_SYMBOLS + OFFSET_SYMBOLS],
            used: 0,
            literals: literal_count,
            offsets: offset_count,
            precode: [0; PRECODE_SYMBOLS],
            precodes: 0,
            bits: 0,
        };
        let mut frequencies = [0; PRECODE_SYMBOLS];
        let mut extra_bits = 0;
        let mut symbol = |symbol: u16, extra: usize| {
            header.symbols[header.used] = symbol | (extra as u16) << 8;
            header.used += 1;
            frequencies[usize::from(symbol)] += 1;
            extra_bits += precode_extra(symbol);
        };
        let mut rest = &lengths[..literal_count + offset_count];
        while let Some(&length) = rest.first() {
            let mut run = rest.iter().take_while(|next| **next == length).count();
            rest = &rest[run..];
            if length != 0 {
                symbol(length.into(), 0);
                run -= 1;
            }
            while run >= 3 {
                let (kind, part) = match (length, run) {
                    (0, 11..) => (18, run.min(138)),
                    (0, _) => (17, run.min(10)),
                    // Never a rest of one or two behind the longest repeat.
                    (_, 7 | 8) => (16, run - 3),
                    _ => (16, run.min(6)),
                };
                symbol(kind, part - if kind == 18 { 11 } else { 3 });
                run -= part;
            }
            for _ in 0..run {
                symbol(length.into(), 0);
            }
        }
        pad(&mut frequencies);
        builder.build(&frequencies, MAX_PRECODE_BITS, &mut header.precode);
        let last = PRECODE_ORDER.iter().rposition(|symbol| header.precode[usize::from(*symbol)] != 0);
        header.precodes = last.map_or(0, |last| last + 1).max(4);
        let words: u32 =
            frequencies.iter().zip(&header.precode).map(|(count, word)| count * huffman::bits(*word)).sum();
        header.bits = 14 + 3 * header.precodes as u32 + words + extra_bits;
        header
    }

    fn write(&self, bits: &mut Bits, out: &mut Vec<u8>) {
        bits.put((self.literals - 257) as u32, 5);
        bits.put((self.offsets - 1) as u32, 5);
        bits.put((self.precodes - 4) as u32, 4);
        bits.flush(out);
        for symbol in &PRECODE_ORDER[..self.precodes] {
            bits.put(huffman::bits(self.precode[usize::from(*symbol)]), 3);
            bits.flush(out);
        }
        for symbol in &self.symbols[..self.used] {
            let (symbol, extra) = (symbol & 0xFF, u32::from(symbol >> 8));
            let word = reversed(self.precode[usize::from(symbol)]);
            bits.put(word >> 8, word & 0xFF);
            bits.put(extra, precode_extra(symbol));
            bits.flush(out);
        }
    }
}

fn precode_extra(symbol: u16) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

/// A codeword in the order its bits are written, from bit 8 on, and their number.
#[inline(always)]
fn reversed(word: Codeword) -> u32 {
    let bits = huffman::bits(word);
    if bits == 0 { 0 } else { huffman::value(word).reverse_bits() >> (32 - bits) << 8 | bits }
}

impl Codes {
    fn set(&mut self, literals: &[Codeword; LITERAL_SYMBOLS], offsets: &[Codeword; OFFSET_SYMBOLS]) {
        for (word, code) in self.literals.iter_mut().zip(literals) {
            *word = reversed(*code);
        }
        for (word, code) in self.offsets.iter_mut().zip(offsets) {
            *word = reversed(*code);
        }
        for (length, (entry, slot)) in self.lengths.iter_mut().zip(LENGTH_SLOTS).enumerate().skip(MIN_LENGTH)
        {
            let slot = usize::from(slot);
            let word = self.literals[FIRST_LENGTH + slot];
            let extra = length_extra(length) << (word & 0xFF);
            *entry = word + u32::from(LENGTH_EXTRA[slot]) + (extra << 8);
        }
    }

    /// Writes the tokens of a block of about `size` bytes, the first at byte `at` of the window, and the end.
    #[inline(never)]
    fn write(
        &self,
        window: &Window,
        tokens: &[Token],
        mut at: usize,
        size: usize,
        bits: &mut Bits,
        out: &mut Vec<u8>,
    ) {
        // Words are written whole, so there is room for some more than what counts.
        let start = out.len();
        out.resize(start + size + 32, 0);
        let mut to = Cursor { bytes: &mut out[start..], at: 0 };
        let mut local = *bits;
        for token in tokens {
            let mut left = token.literals as usize;
            while left > 3 {
                // Three of at most 15 bits, behind at most 7.
                let word = window.word(at);
                local.add(self.literals[word as usize & 0xFF]);
                local.add(self.literals[word as usize >> 8 & 0xFF]);
                local.add(self.literals[word as usize >> 16 & 0xFF]);
                local.store(&mut to);
                at += 3;
                left -= 3;
            }
            // How many are left is as good as random, so all three are written, those that are not there as no bits. What
            // belongs together is put together first: the bits before it are on their way meanwhile.
            let word = window.word(at);
            let there = |which: usize| 0_u32.wrapping_sub(u32::from(left > which));
            let mut some = Bits::default();
            some.add(self.literals[word as usize & 0xFF] & there(0));
            some.add(self.literals[word as usize >> 8 & 0xFF] & there(1));
            some.add(self.literals[word as usize >> 16 & 0xFF] & there(2));
            local.append(some);
            local.store(&mut to);
            at += left;
            if token.length > 0 {
                let slot = offset_slot(token.offset) % OFFSET_SYMBOLS;
                let extra = offset_extra_bits(slot);
                let mut some = Bits::default();
                some.add(self.lengths[token.length as usize % (MAX_LENGTH + 1)]);
                some.add(self.offsets[slot]);
                some.put((token.offset - 1) & ((1 << extra) - 1), extra);
                local.append(some);
                local.store(&mut to);
                at += token.length as usize;
            }
        }
        local.add(self.literals[END_OF_BLOCK]);
        local.store(&mut to);
        let len = to.at;
        out.truncate(start + len);
        *bits = local;
    }
}

struct Cursor<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

/// Bits that are not whole bytes yet.
#[derive(Clone, Copy, Default)]
struct Bits {
    buffer: u64,
    count: u32,
}

impl Bits {
    #[inline(always)]
    fn put(&mut self, value: u32, count: u32) {
        self.buffer |= u64::from(value) << self.count;
        self.count += count;
    }

    /// Adds a codeword of [`Codes`].
    #[inline(always)]
    fn add(&mut self, word: u32) {
        self.put(word >> 8, word & 0xFF);
    }

    /// Adds bits that belong together.
    #[inline(always)]
    fn append(&mut self, some: Bits) {
        self.buffer |= some.buffer << self.count;
        self.count += some.count;
    }

    /// Moves whole bytes on.
    #[inline(always)]
    fn store(&mut self, to: &mut Cursor<'_>) {
        if let Some(place) = to.bytes.get_mut(to.at..).and_then(|rest| rest.first_chunk_mut()) {
            *place = self.buffer.to_le_bytes();
        } else {
            debug_assert!(false, "no room in the output");
        }
        to.at += (self.count / 8) as usize;
        self.buffer >>= self.count & !7;
        self.count &= 7;
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let whole = (self.count / 8) as usize;
        out.extend_from_slice(&self.buffer.to_le_bytes()[..whole]);
        self.buffer >>= 8 * whole;
        self.count &= 7;
    }

    fn fill_byte(&mut self, out: &mut Vec<u8>) {
        self.count = self.count.next_multiple_of(8);
        self.flush(out);
    }
}
