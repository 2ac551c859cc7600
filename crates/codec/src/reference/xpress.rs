//! XPRESS with Huffman coding, plainly.

use super::copy_match;
use super::huffman::Code;
use crate::token::{Observer, Recorder, Silent};
use crate::xpress_format::{LENGTHS_BYTES, LITERALS, LONG_LENGTH, MAX_CHUNK, MIN_MATCH, SYMBOLS};
use crate::{Error, Token, error};

/// The reference XPRESS decoder; see [`crate::Xpress`].
#[derive(Clone, Debug, Default)]
pub struct Xpress(());

impl Xpress {
    /// A decoder for chunks of up to 64 KiB.
    pub fn new() -> Self {
        Self(())
    }

    /// Decodes one chunk; see [`crate::Xpress::decode`].
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), Error> {
        decode(src, dst, &mut Silent)
    }

    /// Decodes one chunk and lists its tokens; see [`crate::Xpress::decode_with_tokens`].
    pub fn decode_with_tokens(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        tokens: &mut Vec<Token>,
    ) -> Result<(), Error> {
        let mut recorder = Recorder::new(tokens);
        decode(src, dst, &mut recorder)?;
        recorder.finish(dst.len());
        Ok(())
    }
}

fn decode(src: &[u8], dst: &mut [u8], observer: &mut impl Observer) -> Result<(), Error> {
    if dst.len() > MAX_CHUNK {
        return Err(Error::OutputSize { size: dst.len(), limit: MAX_CHUNK });
    }
    if dst.is_empty() {
        return Ok(());
    }
    let packed = src.get(..LENGTHS_BYTES).ok_or(Error::Truncated { produced: 0 })?;
    let mut lengths = [0; SYMBOLS];
    for (pair, packed) in lengths.chunks_exact_mut(2).zip(packed) {
        pair[0] = packed & 15;
        pair[1] = packed >> 4;
    }
    let code = Code::new(&lengths)
        .filter(|code| !code.is_empty())
        .ok_or(Error::IncompleteCode { at: LENGTHS_BYTES, code: error::Code::Main })?;

    let mut bits = Bits { src, next: LENGTHS_BYTES, buffer: 0, left: 0, missing: 0 };
    let mut at = 0;
    while at < dst.len() {
        let truncated = |EndOfInput| Error::Truncated { produced: at };
        let symbol = code.decode(|| bits.read(1)).map_err(truncated)?;
        if symbol < LITERALS {
            dst[at] = symbol as u8;
            at += 1;
            continue;
        }
        let (log2, nibble) = ((symbol - LITERALS) as u32 >> 4, (symbol - LITERALS) & 15);
        let mut length = nibble;
        if nibble == LONG_LENGTH {
            bits.fill();
            let byte = usize::from(bits.byte().map_err(truncated)?);
            length += byte;
            if byte == 255 {
                length = usize::from(bits.byte().map_err(truncated)?);
                length |= usize::from(bits.byte().map_err(truncated)?) << 8;
                if length < LONG_LENGTH {
                    return Err(Error::MatchLength { at, length });
                }
            }
        }
        let offset = 1 << log2 | bits.read(log2).map_err(truncated)? as usize;
        at = copy_match(dst, at, dst.len(), length + MIN_MATCH, offset, observer)?;
    }
    Ok(())
}

/// The bit string needs a byte that is not there.
struct EndOfInput;

/// 16-bit little-endian units, the most significant bit of each first, with loose bytes between them.
///
/// The format is defined by its original decoder, which always holds at least 16 bits ahead of what it has consumed:
/// a loose byte lies where *that* decoder would read next. So this one looks ahead in the same way.
struct Bits<'a> {
    src: &'a [u8],
    /// Where the next unit or loose byte lies; may pass the end, as looking ahead is no fault.
    next: usize,
    /// The bits ahead, right-aligned.
    buffer: u32,
    left: u32,
    /// How many of the bits ahead are not in the input at all. Consuming one of these is the fault.
    missing: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.left < 16 {
            let unit = match self.src.get(self.next..).unwrap_or_default() {
                [low, high, ..] => u16::from_le_bytes([*low, *high]),
                _ => {
                    self.missing += 16;
                    0
                }
            };
            self.next += 2;
            self.buffer = self.buffer << 16 | u32::from(unit);
            self.left += 16;
        }
    }

    fn read(&mut self, count: u32) -> Result<u32, EndOfInput> {
        self.fill();
        self.left -= count;
        if self.left < self.missing {
            return Err(EndOfInput);
        }
        Ok(self.buffer >> self.left & ((1 << count) - 1))
    }

    fn byte(&mut self) -> Result<u8, EndOfInput> {
        let byte = *self.src.get(self.next).ok_or(EndOfInput)?;
        self.next += 1;
        Ok(byte)
    }
}
