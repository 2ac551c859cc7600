//! LZX, plainly.

use super::copy_match;
use super::huffman::Code;
use crate::lzx_format::{
    ALIGNED_SYMBOLS, BlockType, DEFAULT_BLOCK_SIZE, E8_FILE_SIZE, E8_MARGIN, LENGTH_SYMBOLS, LITERALS,
    MIN_MATCH, PRETREE_SYMBOLS, Window, slot,
};
use crate::token::{Observer, Recorder, Silent};
use crate::{Error, Token, error};

/// The reference LZX decoder; see [`crate::Lzx`].
#[derive(Clone, Debug)]
pub struct Lzx {
    window: Window,
}

impl Lzx {
    /// A decoder for chunks of up to `chunk_size` bytes: a power of two from 2^15 to 2^21.
    pub fn new(chunk_size: usize) -> Result<Self, Error> {
        Ok(Self { window: Window::new(chunk_size)? })
    }

    /// Decodes one chunk; see [`crate::Lzx::decode`].
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        self.decode_observed(src, dst, &mut Silent)
    }

    /// Decodes one chunk and lists its tokens; see [`crate::Lzx::decode_with_tokens`].
    pub fn decode_with_tokens(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        tokens: &mut Vec<Token>,
    ) -> Result<(), Error> {
        let mut recorder = Recorder::new(tokens);
        self.decode_observed(src, dst, &mut recorder)?;
        recorder.finish(dst.len());
        Ok(())
    }

    fn decode_observed(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), Error> {
        self.window.check(dst)?;
        let mut chunk = Chunk {
            bits: Bits { src, next: 0, word: 0, left: 0 },
            window: self.window,
            repeat: [1; 3],
            main_lengths: vec![0; self.window.main_symbols()],
            length_lengths: [0; LENGTH_SYMBOLS],
            at: 0,
        };
        while chunk.at < dst.len() {
            chunk.block(dst, observer).map_err(|stop| match stop {
                Stop::EndOfInput => Error::Truncated { produced: chunk.at },
                Stop::Invalid(error) => error,
            })?;
        }
        undo_e8(dst);
        Ok(())
    }
}

/// Why decoding stops early.
enum Stop {
    EndOfInput,
    Invalid(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

/// The state of one chunk; nothing outlives it.
struct Chunk<'a> {
    bits: Bits<'a>,
    window: Window,
    /// The three offsets that slots 0 to 2 stand for.
    repeat: [u32; 3],
    /// Lengths are coded as differences from those of the block before.
    main_lengths: Vec<u8>,
    length_lengths: [u8; LENGTH_SYMBOLS],
    /// How much of the output is done.
    at: usize,
}

impl Chunk<'_> {
    fn block(&mut self, dst: &mut [u8], observer: &mut impl Observer) -> Result<(), Stop> {
        let at = self.bits.position();
        let found = self.bits.read(3)? as u8;
        let block_type = BlockType::from_bits(found).ok_or(Error::BlockType { at, found })?;
        let at = self.bits.position();
        let size = if self.bits.read(1)? == 1 {
            DEFAULT_BLOCK_SIZE
        } else {
            self.bits.read(self.window.block_size_bits())? as usize
        };
        let remaining = dst.len() - self.at;
        if size == 0 || size > remaining {
            return Err(Error::BlockSize { at, found: size, remaining }.into());
        }
        let end = self.at + size;
        match block_type {
            BlockType::Verbatim => self.compressed(dst, end, false, observer),
            BlockType::Aligned => self.compressed(dst, end, true, observer),
            BlockType::Uncompressed => self.uncompressed(dst, end),
        }
    }

    fn uncompressed(&mut self, dst: &mut [u8], end: usize) -> Result<(), Stop> {
        self.bits.align();
        for i in 0..3 {
            let at = self.bits.next;
            let found = self.bits.bytes(4)?;
            let found = u32::from_le_bytes([found[0], found[1], found[2], found[3]]);
            if found == 0 || found > self.window.max_offset() {
                return Err(Error::RepeatOffset { at, found }.into());
            }
            self.repeat[i] = found;
        }
        let size = end - self.at;
        dst[self.at..end].copy_from_slice(self.bits.bytes(size)?);
        self.at = end;
        if size % 2 == 1 {
            // The pad byte may be missing at the very end, where nobody reads it.
            self.bits.next = self.bits.src.len().min(self.bits.next + 1);
        }
        Ok(())
    }

    fn compressed(
        &mut self,
        dst: &mut [u8],
        end: usize,
        aligned: bool,
        observer: &mut impl Observer,
    ) -> Result<(), Stop> {
        let aligned_code = if aligned {
            let mut lengths = [0; ALIGNED_SYMBOLS];
            for length in &mut lengths {
                *length = self.bits.read(3)? as u8;
            }
            Some(self.code(&lengths, error::Code::AlignedOffset, false)?)
        } else {
            None
        };
        let (literals, matches) = self.main_lengths.split_at_mut(LITERALS);
        read_lengths(&mut self.bits, literals)?;
        read_lengths(&mut self.bits, matches)?;
        let main_code = self.code(&self.main_lengths, error::Code::Main, false)?;
        read_lengths(&mut self.bits, &mut self.length_lengths)?;
        let length_code = self.code(&self.length_lengths, error::Code::Length, true)?;

        while self.at < end {
            let symbol = self.bits.symbol(&main_code)?;
            if symbol < LITERALS {
                dst[self.at] = symbol as u8;
                self.at += 1;
                continue;
            }
            let (slot, header) = ((symbol - LITERALS) >> 3, (symbol - LITERALS) & 7);
            let mut length = header + MIN_MATCH;
            if header == 7 {
                if length_code.is_empty() {
                    return Err(Error::EmptyLengthCode { at: self.bits.position() }.into());
                }
                length += self.bits.symbol(&length_code)?;
            }
            let offset = if slot < 3 {
                self.repeat.swap(0, slot);
                self.repeat[0]
            } else {
                let extra_bits = slot::extra_bits(slot);
                let extra = match &aligned_code {
                    Some(code) if extra_bits >= 3 => {
                        let high = self.bits.read(extra_bits - 3)?;
                        (high << 3) | self.bits.symbol(code)? as u32
                    }
                    _ => self.bits.read(extra_bits)?,
                };
                let offset = slot::base(slot) + extra;
                self.repeat = [offset, self.repeat[0], self.repeat[1]];
                offset
            };
            self.at = copy_match(dst, self.at, end, length, offset as usize, observer)?;
        }
        Ok(())
    }

    fn code(&self, lengths: &[u8], code: error::Code, may_be_empty: bool) -> Result<Code, Error> {
        Code::new(lengths)
            .filter(|code| may_be_empty || !code.is_empty())
            .ok_or(Error::IncompleteCode { at: self.bits.position(), code })
    }
}

/// Reads one run of codeword lengths, which comes with a code of its own.
fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), Stop> {
    let mut pretree = [0; PRETREE_SYMBOLS];
    for length in &mut pretree {
        *length = bits.read(4)? as u8;
    }
    let pretree = Code::new(&pretree)
        .filter(|code| !code.is_empty())
        .ok_or(Error::IncompleteCode { at: bits.position(), code: error::Code::Pretree })?;
    // All lengths are differences modulo 17 from the previous block's.
    let difference = |old: u8, symbol: usize| ((usize::from(old) + 17 - symbol) % 17) as u8;

    let mut i = 0;
    while i < lengths.len() {
        let at = bits.position();
        let symbol = bits.symbol(&pretree)?;
        let (run, length) = match symbol {
            0..=16 => (1, difference(lengths[i], symbol)),
            17 => (4 + bits.read(4)? as usize, 0),
            18 => (20 + bits.read(5)? as usize, 0),
            _ => {
                let run = 4 + bits.read(1)? as usize;
                let symbol = bits.symbol(&pretree)?;
                if symbol > 16 {
                    return Err(Error::CodeLengths { at }.into());
                }
                (run, difference(lengths[i], symbol))
            }
        };
        if run > lengths.len() - i {
            return Err(Error::CodeLengths { at }.into());
        }
        lengths[i..i + run].fill(length);
        i += run;
    }
    Ok(())
}

/// Undoes the filter that made the targets of x86 call instructions absolute.
pub(crate) fn undo_e8(chunk: &mut [u8]) {
    let Some(end) = chunk.len().checked_sub(E8_MARGIN) else { return };
    let mut i = 0;
    while i < end {
        if chunk[i] != 0xE8 {
            i += 1;
            continue;
        }
        let at = i as i32;
        let field = &mut chunk[i + 1..i + 5];
        let target = i32::from_le_bytes([field[0], field[1], field[2], field[3]]);
        if (0..E8_FILE_SIZE).contains(&target) {
            field.copy_from_slice(&(target - at).to_le_bytes());
        } else if (-at..0).contains(&target) {
            field.copy_from_slice(&(target + E8_FILE_SIZE).to_le_bytes());
        }
        i += 5;
    }
}

/// 16-bit little-endian units, the most significant bit of each first.
struct Bits<'a> {
    src: &'a [u8],
    /// Where the next unit lies.
    next: usize,
    word: u16,
    /// How many bits of `word` are not consumed yet.
    left: u32,
}

impl<'a> Bits<'a> {
    /// Where the unit with the next bit lies.
    fn position(&self) -> usize {
        if self.left > 0 { self.next - 2 } else { self.next }
    }

    fn bit(&mut self) -> Result<u32, Stop> {
        if self.left == 0 {
            let unit = self.bytes(2)?;
            self.word = u16::from_le_bytes([unit[0], unit[1]]);
            self.left = 16;
        }
        self.left -= 1;
        Ok(u32::from(self.word >> self.left) & 1)
    }

    fn read(&mut self, count: u32) -> Result<u32, Stop> {
        (0..count).try_fold(0, |value, _| Ok(value << 1 | self.bit()?))
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, Stop> {
        code.decode(|| self.bit())
    }

    /// Moves to the next unit; when at a boundary already, skips a whole unit.
    fn align(&mut self) {
        if self.left == 0 {
            self.next = self.src.len().min(self.next + 2);
        }
        self.left = 0;
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let bytes = self.src[self.next..].get(..count).ok_or(Stop::EndOfInput)?;
        self.next += count;
        Ok(bytes)
    }
}
