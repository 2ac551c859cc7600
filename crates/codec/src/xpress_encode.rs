//! XPRESS with Huffman coding, the other way.
//!
//! A chunk becomes a list of items, literals and matches, chosen by one of two parsers ([`Level`]); the items are
//! counted, which gives the code; the code gives the size to the byte, and only if that is worth it, the items are
//! written.
//!
//! What is written follows MS-XCA 2.1 to the letter, because decoders differ in what else they accept: the code is
//! complete and has at least two symbols; the data end with the symbol 256, which Windows and 7-Zip want to see;
//! behind it there is as much as MS-XCA's decoder reads ahead, and all of that is zero; matches are at least 3 bytes
//! long and lie in the chunk.

use crate::encode::huffman::{self, Builder, Codeword};
use crate::encode::matches::{Chains, Effort, Match, REACH};
use crate::encode::window::Window;
use crate::xpress_format::{LENGTHS_BYTES, LITERALS, LONG_LENGTH, MAX_CHUNK, MIN_MATCH, SYMBOLS};
use optimal::Optimal;

mod optimal;

/// How much time an encoder may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// A match is taken unless the next byte begins a better one.
    #[default]
    Fast,
    /// Of all ways to write the chunk, the cheapest is sought. Takes six to nine times as long, and saves 1.5 to 2.5 %.
    Best,
}

/// Encodes chunks for WIM resources and Compact OS files: LZ77 and Huffman coding, as MS-XCA describes it.
///
/// The state is scratch memory (about half a megabyte; 2 MB at the best level) that is reused from chunk to chunk;
/// nothing of one chunk influences another. The result depends on the chunk and the level alone.
///
/// ```
/// use wimforge_codec::{Level, Xpress, XpressEncoder};
///
/// let chunk = b"a chunk ".repeat(512);
/// let mut compressed = [0; 4096];
/// let size = XpressEncoder::new(Level::Fast).encode(&chunk, &mut compressed).expect("it shrinks");
/// assert!(size < 280);
///
/// let mut text = [0; 4096];
/// Xpress::new().decode(&compressed[..size], &mut text)?;
/// assert_eq!(text, chunk[..]);
/// # Ok::<(), wimforge_codec::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct XpressEncoder {
    window: Window,
    chains: Box<Chains>,
    items: Items,
    code: Box<[Codeword; SYMBOLS]>,
    builder: Box<Builder<SYMBOLS>>,
    optimal: Option<Box<Optimal>>,
}

/// The symbol behind the last byte. It is also that of the shortest and nearest match; the decoder knows where it is.
const END_OF_DATA: usize = LITERALS;
const MAX_CODEWORD: usize = 15;

impl XpressEncoder {
    /// An encoder for chunks of up to 64 KiB.
    pub fn new(level: Level) -> Self {
        Self {
            window: Window::new(),
            chains: Box::new(Chains::new()),
            items: Items::new(),
            code: Box::new([0; SYMBOLS]),
            builder: Box::new(Builder::new()),
            optimal: match level {
                Level::Fast => None,
                Level::Best => Some(Box::new(Optimal::new())),
            },
        }
    }

    /// Encodes the chunk at the beginning of `out`, and returns how many bytes it takes there.
    ///
    /// Returns `None` when that would not be less than the chunk's own size, or more than `out` has room for; WIM
    /// resources and Compact OS files then store the chunk as it is. A chunk that is empty or larger than 64 KiB has
    /// no encoding either. `out` is unchanged then.
    pub fn encode(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        let room = out.len().min(chunk.len().checked_sub(1)?);
        if chunk.len() > MAX_CHUNK || room <= LENGTHS_BYTES {
            return None;
        }
        self.window.load(chunk);
        self.chains.reset(chunk.len());
        self.items.clear();
        match &mut self.optimal {
            None => lazy(&self.window, &mut self.chains, &mut self.items),
            Some(optimal) => optimal.parse(&self.window, &mut self.chains, &mut self.items),
        }
        self.items.frequencies[END_OF_DATA] += 1;
        self.builder.build(&self.items.frequencies, MAX_CODEWORD, &mut self.code);

        let size = self.size();
        write(&self.items.list, &self.code, out.get_mut(..size).filter(|_| size <= room)?);
        Some(size)
    }

    /// How many bytes the items take with the code.
    fn size(&self) -> usize {
        let mut bits = 0;
        for (symbol, (frequency, codeword)) in self.items.frequencies.iter().zip(&*self.code).enumerate() {
            let extra = symbol.saturating_sub(LITERALS) as u32 >> 4;
            bits += (huffman::bits(*codeword) + extra) as usize * *frequency as usize;
        }
        // Half of the last unit but one is used at least, the last one only read ahead.
        LENGTHS_BYTES + (bits + 16).div_ceil(16) * 2 + self.items.loose
    }
}

/// What a chunk consists of.
#[derive(Clone, Debug)]
struct Items {
    /// Literals as they are, matches as their offset above 16 bits of their length less [`MIN_MATCH`].
    list: Vec<u32>,
    frequencies: Box<[u32; SYMBOLS]>,
    /// How many bytes lengths take outside of the bit string.
    loose: usize,
}

impl Items {
    fn new() -> Self {
        Self { list: Vec::with_capacity(MAX_CHUNK), frequencies: Box::new([0; SYMBOLS]), loose: 0 }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.frequencies.fill(0);
        self.loose = 0;
    }

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.frequencies[usize::from(byte)] += 1;
        self.list.push(u32::from(byte));
    }

    #[inline(always)]
    fn matched(&mut self, Match { length, offset }: Match) {
        let coded = length - MIN_MATCH;
        self.frequencies[symbol(offset as u32, coded) % SYMBOLS] += 1;
        self.loose += loose_bytes(coded);
        self.list.push((offset as u32) << 16 | coded as u32);
    }
}

/// The symbol of a match; the length is less [`MIN_MATCH`].
#[inline(always)]
fn symbol(offset: u32, coded: usize) -> usize {
    LITERALS + 16 * (offset | 1).ilog2() as usize + coded.min(LONG_LENGTH)
}

/// How many bytes a length (less [`MIN_MATCH`]) takes outside of the bit string.
#[inline(always)]
fn loose_bytes(coded: usize) -> usize {
    match coded {
        0..LONG_LENGTH => 0,
        LONG_LENGTH..LONGER_LENGTH => 1,
        _ => 3,
    }
}

/// The smallest length, less [`MIN_MATCH`], that takes more than one loose byte.
const LONGER_LENGTH: usize = LONG_LENGTH + 255;

/// The search at a place, and that at the next place, for something better. Four times as deep it finds 0.5 % more, and
/// takes a quarter longer.
const FAST: Effort = Effort { depth: 12, nice: 64 };
const NEXT: Effort = Effort { depth: FAST.depth / 2, ..FAST };
/// A match of three bytes from farther away is hardly cheaper than its bytes.
const FAR: usize = 1 << 10;

/// After so many places without a match, one place in two is searched, after twice as many one in three, and so on:
/// where everything is noise, that is soon found out.
const BARREN: usize = 1 << 7;
const MAX_SKIP: usize = 15;

/// Takes the longest match at each place, unless that at the next is better.
fn lazy(window: &Window, chains: &mut Chains, items: &mut Items) {
    let (mut at, mut end_of_last) = (0, 0);
    // Where matches may begin.
    let end = (window.len() + 1).saturating_sub(REACH);
    while at < end {
        let mut found = chains.longest(window, at, MIN_MATCH - 1, FAST);
        if found.length < MIN_MATCH || (found.length == MIN_MATCH && found.offset > FAR) {
            items.literal(window.byte(at));
            at += 1;
            if at - end_of_last >= BARREN {
                let next = end.min(at + ((at - end_of_last) / BARREN).min(MAX_SKIP));
                chains.skip(window, at..next);
                while at < next {
                    items.literal(window.byte(at));
                    at += 1;
                }
            }
            continue;
        }
        let mut known = at + 1;
        while found.length < FAST.nice && at + 1 < end {
            let next = chains.longest(window, at + 1, found.length - 1, NEXT);
            known = at + 2;
            if next.offset == 0 || !better(next, found) {
                break;
            }
            items.literal(window.byte(at));
            at += 1;
            found = next;
        }
        items.matched(found);
        at += found.length;
        end_of_last = at;
        chains.skip(window, known..at.min(end));
    }
    for at in at..window.len() {
        items.literal(window.byte(at));
    }
}

/// Whether a match is worth a literal before it, compared with one that needs none.
#[inline(always)]
fn better(next: Match, found: Match) -> bool {
    let bits = |found: Match| i64::from((found.offset as u32 | 1).ilog2());
    4 * (next.length as i64 - found.length as i64) + bits(found) - bits(next) > 2
}

/// Writes a chunk whose size is known.
fn write(items: &[u32], code: &[Codeword; SYMBOLS], out: &mut [u8]) {
    for (packed, pair) in out.iter_mut().zip(code.as_chunks::<2>().0) {
        *packed = (huffman::bits(pair[0]) | huffman::bits(pair[1]) << 4) as u8;
    }
    let mut units = Units::new(out);
    for item in items {
        let offset = item >> 16;
        if offset == 0 {
            let codeword = code[*item as usize % LITERALS];
            units.put(huffman::value(codeword), huffman::bits(codeword));
            continue;
        }
        let coded = (item & 0xFFFF) as usize;
        let codeword = code[symbol(offset, coded) % SYMBOLS];
        let extra = offset.ilog2();
        let (value, bits) = (huffman::value(codeword), huffman::bits(codeword));
        if coded < LONG_LENGTH {
            units.put(value << extra | offset ^ 1 << extra, bits + extra);
            continue;
        }
        units.put(value, bits);
        if coded < LONGER_LENGTH {
            units.loose(&[(coded - LONG_LENGTH) as u8]);
        } else {
            let [low, high] = (coded as u16).to_le_bytes();
            units.loose(&[255, low, high]);
        }
        units.put(offset ^ 1 << extra, extra);
    }
    let codeword = code[END_OF_DATA];
    units.put(huffman::value(codeword), huffman::bits(codeword));
    units.finish();
}

/// Writes a string of bits as 16-bit little-endian units, and loose bytes between them.
///
/// MS-XCA's decoder always has at least 16 bits in its hands, and reads a unit as soon as it has less. A loose byte lies
/// behind what it holds when it wants that byte. So there are always two places for units yet to come, which need not
/// adjoin: the next one, to which less than 16 bits are missing, and the one after it.
struct Units<'a> {
    out: &'a mut [u8],
    places: [usize; 2],
    end: usize,
    /// The last `pending` bits, at most 32, are not written yet.
    bits: u64,
    pending: u32,
}

impl<'a> Units<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        let start = LENGTHS_BYTES;
        Self { out, places: [start, start + 2], end: start + 4, bits: 0, pending: 0 }
    }

    /// Adds so many bits, at most 30.
    #[inline(always)]
    fn put(&mut self, value: u32, count: u32) {
        self.bits = self.bits << count | u64::from(value);
        self.pending += count;
        if self.pending > 32 {
            self.pending -= 32;
            let two = (self.bits >> self.pending) as u32;
            self.place(self.places[0], (two >> 16) as u16);
            self.place(self.places[1], two as u16);
            self.places = [self.end, self.end + 2];
            self.end += 4;
        }
    }

    #[inline(always)]
    fn place(&mut self, place: usize, unit: u16) {
        self.out[place..place + 2].copy_from_slice(&unit.to_le_bytes());
    }

    /// Adds loose bytes.
    #[inline(always)]
    fn loose(&mut self, bytes: &[u8]) {
        self.settle();
        self.out[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Writes the unit that the decoder has consumed, if it has read another because of that.
    #[inline(always)]
    fn settle(&mut self) {
        if self.pending > 16 {
            self.pending -= 16;
            self.place(self.places[0], (self.bits >> self.pending) as u16);
            self.places = [self.places[1], self.end];
            self.end += 2;
        }
    }

    /// Fills both places.
    fn finish(mut self) {
        self.settle();
        self.place(self.places[0], (self.bits << (16 - self.pending)) as u16);
        self.place(self.places[1], 0);
        debug_assert_eq!(self.end, self.out.len(), "the size was known");
    }
}
