//! LZX as cabinets have it. Source: [MS-PATCH] 2 and the differences of cabinets that [MS-CAB] notes (block sizes of 24
//! bits, windows of 2^15 to 2^21, no extra lengths).
//!
//! `codec` decodes the LZX of WIM files, which forgets everything after a chunk. Here window, codes and repeat offsets live
//! as long as a folder, blocks end where they like, and only the bits are aligned anew for every 32 KiB. The `lzxd` crate does
//! that, but panics on hostile input and mistranslates calls to offset 0 (docs/DEPENDENCIES.md), so it checks this
//! decoder in tests instead.
//!
//! Packages are decoded once, so this is plain: a table per code, and no cleverness.

/// The literals of the main code.
const LITERALS: usize = 256;
/// The symbols of the code for lengths.
const LENGTHS: usize = 249;
/// Lengths that a main symbol has itself; one less than its length headers.
const SHORT_LENGTHS: usize = 7;
const MIN_MATCH: usize = 2;
/// Longest codeword.
const MAX_BITS: u32 = 16;
/// The last bytes of a chunk, in which no call is translated.
const CALL_MARGIN: usize = 10;
/// Calls are translated in chunks that begin in the first GiB.
const CALL_LIMIT: usize = 1 << 30;

/// Position slots by window, from 2^15 on.
const SLOTS: [usize; 7] = [30, 32, 34, 36, 38, 42, 50];

#[derive(Debug)]
pub(super) struct Lzx {
    window: usize,
    /// Up to two windows and a chunk of what was decoded; calls not translated.
    history: Vec<u8>,
    repeats: [usize; 3],
    main: Vec<u8>,
    lengths: Vec<u8>,
    block: Block,
    /// Whether a byte has to be skipped before the next block: one of odd length was copied.
    odd: bool,
    /// How many bytes there are for calls to lead to; `None` before the first chunk.
    calls: Option<u32>,
    /// Bytes so far.
    decoded: usize,
}

#[derive(Debug)]
struct Block {
    left: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Coded { main: Code, lengths: Code, aligned: Option<Code> },
    Copied,
}

impl Lzx {
    /// A decoder for windows of 2^`power` bytes, `None` for windows that cabinets do not have.
    pub(super) fn new(power: u16) -> Option<Self> {
        let slots = *SLOTS.get(usize::from(power).checked_sub(15)?)?;
        Some(Self {
            window: 1 << power,
            history: Vec::new(),
            repeats: [1; 3],
            main: vec![0; LITERALS + slots * 8],
            lengths: vec![0; LENGTHS],
            block: Block { left: 0, kind: Kind::Copied },
            odd: false,
            calls: None,
            decoded: 0,
        })
    }

    /// Decodes the next chunk into `dst`, which has exactly its size: 32 KiB except for the last.
    pub(super) fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), String> {
        self.decode_chunk(src, dst).map_err(|why| format!("LZX: {why}"))
    }

    fn decode_chunk(&mut self, src: &[u8], dst: &mut [u8]) -> Result<(), &'static str> {
        let mut bits = Bits::new(src);
        let calls = match self.calls {
            Some(calls) => calls,
            None => {
                let calls = if bits.take(1)? == 1 { bits.take(16)? << 16 | bits.take(16)? } else { 0 };
                *self.calls.insert(calls)
            }
        };
        if self.history.len() > 2 * self.window {
            let old = self.history.len() - self.window;
            self.history.drain(..old);
        }
        let start = self.history.len();
        let end = start + dst.len();
        while self.history.len() < end {
            if self.block.left == 0 {
                self.begin_block(&mut bits)?;
            }
            let room = (end - self.history.len()).min(self.block.left);
            let before = self.history.len();
            if matches!(self.block.kind, Kind::Copied) {
                self.history.extend_from_slice(bits.bytes(room)?);
            } else {
                self.decode_symbols(&mut bits, room)?;
            }
            self.block.left -= self.history.len() - before;
        }
        if self.block.left == 0 && self.odd && bits.skip_last_byte() {
            self.odd = false;
        }
        dst.copy_from_slice(&self.history[start..]);
        if calls > 0 && self.decoded < CALL_LIMIT {
            translate_calls(dst, self.decoded as i32, calls as i32);
        }
        self.decoded += dst.len();
        Ok(())
    }

    fn begin_block(&mut self, bits: &mut Bits<'_>) -> Result<(), &'static str> {
        if std::mem::take(&mut self.odd) {
            bits.bytes(1)?;
        }
        let kind = bits.take(3)?;
        let len = bits.take(16)? << 8 | bits.take(8)?;
        if len == 0 {
            return Err("a block of no bytes");
        }
        let kind = match kind {
            1 | 2 => {
                let mut aligned = [0; 8];
                if kind == 2 {
                    for len in &mut aligned {
                        *len = bits.take(3)? as u8;
                    }
                }
                read_lengths(bits, &mut self.main[..LITERALS])?;
                read_lengths(bits, &mut self.main[LITERALS..])?;
                read_lengths(bits, &mut self.lengths)?;
                let aligned = (kind == 2).then(|| Code::new(&aligned)).transpose()?;
                Kind::Coded { main: Code::new(&self.main)?, lengths: Code::new(&self.lengths)?, aligned }
            }
            3 => {
                bits.align()?;
                for repeat in &mut self.repeats {
                    let bytes = bits.bytes(4)?;
                    *repeat = bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte));
                }
                self.odd = len % 2 == 1;
                Kind::Copied
            }
            _ => return Err("a block of an unknown kind"),
        };
        self.block = Block { left: len as usize, kind };
        Ok(())
    }

    /// Decodes `room` bytes: to the end of the block or of the chunk, over neither of which a match may reach.
    fn decode_symbols(&mut self, bits: &mut Bits<'_>, room: usize) -> Result<(), &'static str> {
        let Kind::Coded { main, lengths, aligned } = &self.block.kind else { return Ok(()) };
        let end = self.history.len() + room;
        while self.history.len() < end {
            let symbol = main.read(bits)?;
            let Some(symbol) = symbol.checked_sub(LITERALS) else {
                self.history.push(symbol as u8);
                continue;
            };
            let mut len = symbol % 8;
            if len == SHORT_LENGTHS {
                len += lengths.read(bits)?;
            }
            len += MIN_MATCH;
            let offset = match symbol / 8 {
                repeat @ 0..3 => {
                    self.repeats.swap(0, repeat);
                    self.repeats[0]
                }
                slot => {
                    let (base, extra) = position(slot);
                    let extra = match aligned {
                        Some(aligned) if extra >= 3 => {
                            (bits.take(extra - 3)? as usize) << 3 | aligned.read(bits)?
                        }
                        _ => bits.take(extra)? as usize,
                    };
                    let offset = base + extra - 2;
                    self.repeats = [offset, self.repeats[0], self.repeats[1]];
                    offset
                }
            };
            if len > end - self.history.len() {
                return Err("a match reaches over the end of its block or chunk");
            }
            if offset == 0 || offset > self.history.len() || offset > self.window {
                return Err("a match begins before the data");
            }
            let from = self.history.len() - offset;
            if offset >= len {
                self.history.extend_from_within(from..from + len);
            } else {
                for at in from..from + len {
                    self.history.push(self.history[at]);
                }
            }
        }
        Ok(())
    }
}

/// The first formatted offset of a position slot, and how many bits follow.
const fn position(slot: usize) -> (usize, u32) {
    if slot < 4 {
        (slot, 0)
    } else if slot < 36 {
        let extra = slot / 2 - 1;
        ((2 + slot % 2) << extra, extra as u32)
    } else {
        ((slot - 34) << 17, 17)
    }
}

/// Makes the targets of x86 calls relative again, which the compressor made absolute.
fn translate_calls(chunk: &mut [u8], start: i32, size: i32) {
    if chunk.len() <= CALL_MARGIN {
        return;
    }
    let end = chunk.len() - CALL_MARGIN;
    let mut at = 0;
    while let Some(skipped) = chunk[at..end].iter().position(|&byte| byte == 0xE8) {
        at += skipped;
        let place = start + at as i32;
        let operand = &mut chunk[at + 1..at + 5];
        let target = i32::from_le_bytes([operand[0], operand[1], operand[2], operand[3]]);
        if target >= -place && target < size {
            let relative = if target >= 0 { target - place } else { target.wrapping_add(size) };
            operand.copy_from_slice(&relative.to_le_bytes());
        }
        at += 5;
        if at >= end {
            break;
        }
    }
}

/// Reads codeword lengths, each as its difference to the one that it had before.
fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), &'static str> {
    let mut pretree = [0; 20];
    for len in &mut pretree {
        *len = bits.take(4)? as u8;
    }
    let pretree = Code::new(&pretree)?;
    let difference = |old: u8, symbol: usize| (17 + old - symbol as u8) % 17;
    let mut at = 0;
    while at < lengths.len() {
        let (run, len) = match pretree.read(bits)? {
            symbol @ 0..=16 => (1, difference(lengths[at], symbol)),
            17 => (4 + bits.take(4)?, 0),
            18 => (20 + bits.take(5)?, 0),
            _ => {
                let run = 4 + bits.take(1)?;
                match pretree.read(bits)? {
                    symbol @ 0..=16 => (run, difference(lengths[at], symbol)),
                    _ => return Err("a run of codeword lengths of a run"),
                }
            }
        };
        let run = lengths.get_mut(at..at + run as usize).ok_or("a run of codeword lengths is too long")?;
        run.fill(len);
        at += run.len();
    }
    Ok(())
}

/// A canonical code, as a table of all bit strings of its longest codeword.
#[derive(Debug)]
struct Code {
    /// Symbol in the upper bits, length in the lower five.
    table: Vec<u16>,
    bits: u32,
}

impl Code {
    /// From codeword lengths: a complete code, or one of no codewords at all.
    fn new(lengths: &[u8]) -> Result<Self, &'static str> {
        let bits = u32::from(lengths.iter().copied().max().unwrap_or(0));
        debug_assert!(bits <= MAX_BITS);
        let mut table = Vec::with_capacity(1 << bits);
        for len in 1..=bits {
            let count = 1_usize << (bits - len);
            for symbol in (0..lengths.len()).filter(|&symbol| u32::from(lengths[symbol]) == len) {
                if table.len() + count > 1 << bits {
                    return Err("a code with more codewords than there can be");
                }
                table.resize(table.len() + count, (symbol as u16) << 5 | len as u16);
            }
        }
        if bits > 0 && table.len() < 1 << bits {
            return Err("a code that leaves bit strings unused");
        }
        Ok(Self { table, bits })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, &'static str> {
        let entry = *self.table.get(bits.peek(self.bits) as usize).ok_or("a symbol of an empty code")?;
        bits.skip(u32::from(entry & 31))?;
        Ok(usize::from(entry >> 5))
    }
}

/// Bits of 16-bit little-endian numbers, the highest first.
struct Bits<'a> {
    src: &'a [u8],
    next: usize,
    /// The bits ahead, right-aligned.
    ahead: u64,
    left: u32,
    /// How many of them are behind the end.
    missing: u32,
}

impl<'a> Bits<'a> {
    const fn new(src: &'a [u8]) -> Self {
        Self { src, next: 0, ahead: 0, left: 0, missing: 0 }
    }

    /// The next up to 16 bits; zeros behind the end.
    fn peek(&mut self, count: u32) -> u32 {
        while self.left < count {
            let unit = match self.src.get(self.next..self.next + 2) {
                Some(unit) => {
                    self.next += 2;
                    u16::from_le_bytes([unit[0], unit[1]])
                }
                None => {
                    self.missing += 16;
                    0
                }
            };
            self.ahead = self.ahead << 16 | u64::from(unit);
            self.left += 16;
        }
        (self.ahead >> (self.left - count)) as u32 & ((1 << count) - 1)
    }

    fn skip(&mut self, count: u32) -> Result<(), &'static str> {
        self.left -= count;
        if self.left < self.missing { Err("the chunk ends too early") } else { Ok(()) }
    }

    fn take(&mut self, count: u32) -> Result<u32, &'static str> {
        let bits = self.peek(count);
        self.skip(count)?;
        Ok(bits)
    }

    /// Skips 1 to 16 bits, up to where bytes begin.
    fn align(&mut self) -> Result<(), &'static str> {
        self.take(1)?;
        self.next -= (self.left - self.missing) as usize / 16 * 2;
        (self.left, self.missing) = (0, 0);
        Ok(())
    }

    /// Bytes, where no bits are ahead.
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let bytes =
            self.src.get(self.next..).and_then(|rest| rest.get(..count)).ok_or("the chunk ends too early")?;
        self.next += count;
        Ok(bytes)
    }

    /// Skips the byte before the end, if that is all there is.
    fn skip_last_byte(&mut self) -> bool {
        let is_last = self.left == 0 && self.next + 1 == self.src.len();
        self.next += usize::from(is_last);
        is_last
    }
}
