//! An LZX encoder that is told what to write: blocks of any type and size, offsets in any form, codes of any shape.

use super::Random;
use super::huffman::{self, Shape};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Offset {
    /// Repeat offset 0, 1 or 2.
    Repeat(usize),
    /// In bytes, written out even if it equals a repeat offset.
    Explicit(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Literal(u8),
    Match { length: usize, offset: Offset },
}

#[derive(Clone, Debug)]
pub(crate) enum Block {
    Verbatim(Vec<Op>),
    Aligned(Vec<Op>),
    Uncompressed { bytes: Vec<u8>, repeat: [u32; 3] },
}

/// How the encoder writes what it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) main: Shape,
    pub(crate) other: Shape,
    /// Write blocks of 32768 bytes without their size.
    pub(crate) default_size: bool,
    /// Give aligned blocks eight codewords of three bits.
    pub(crate) trivial_aligned: bool,
    /// Leave out the pad byte of an uncompressed block at the very end.
    pub(crate) omit_last_pad: bool,
}

pub(crate) const PLAIN: Style = Style {
    main: Shape::Flat,
    other: Shape::Flat,
    default_size: true,
    trivial_aligned: false,
    omit_last_pad: false,
};

/// Writes a chunk, and computes what it stands for.
#[derive(Debug)]
pub(crate) struct Encoder {
    order: u32,
    style: Style,
    random: Random,
    bits: BitWriter,
    repeat: [usize; 3],
    main_lengths: Vec<u8>,
    length_lengths: Vec<u8>,
    /// The chunk before the E8 filter is undone.
    output: Vec<u8>,
}

/// Returns the compressed chunk and its content.
pub(crate) fn encode(order: u32, blocks: &[Block], style: Style, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = Encoder::new(order, style, seed);
    for block in blocks {
        encoder.block(block);
    }
    encoder.finish()
}

impl Encoder {
    pub(crate) fn new(order: u32, style: Style, seed: u64) -> Self {
        Self {
            order,
            style,
            random: Random(seed),
            bits: BitWriter::default(),
            repeat: [1; 3],
            main_lengths: vec![0; 256 + 8 * slots(order)],
            length_lengths: vec![0; 249],
            output: Vec::new(),
        }
    }

    /// How long the chunk is so far.
    pub(crate) fn len(&self) -> usize {
        self.output.len()
    }

    pub(crate) fn repeat(&self) -> [usize; 3] {
        self.repeat
    }

    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        self.bits.align_if_needed();
        if self.style.omit_last_pad && self.bits.padded {
            self.bits.bytes.pop();
        }
        undo_e8(&mut self.output);
        (self.bits.bytes, self.output)
    }

    pub(crate) fn block(&mut self, block: &Block) {
        match block {
            Block::Verbatim(ops) => self.compressed(ops, false),
            Block::Aligned(ops) => self.compressed(ops, true),
            Block::Uncompressed { bytes, repeat } => {
                self.header(3, bytes.len());
                self.bits.align();
                self.bits.bytes.extend(repeat.iter().flat_map(|offset| offset.to_le_bytes()));
                self.bits.bytes.extend(bytes);
                self.bits.padded = bytes.len() % 2 == 1;
                if self.bits.padded {
                    self.bits.bytes.push(0x77);
                }
                self.repeat = repeat.map(|offset| offset as usize);
                self.output.extend(bytes);
            }
        }
    }

    fn header(&mut self, block_type: u32, size: usize) {
        self.bits.put(block_type, 3);
        if size == 32768 && self.style.default_size {
            self.bits.put(1, 1);
        } else {
            self.bits.put(0, 1);
            self.bits.put(size as u32, if self.order >= 16 { 24 } else { 16 });
        }
    }

    fn compressed(&mut self, ops: &[Op], aligned: bool) {
        // Symbols first, as the codes depend on them.
        let before = self.output.len();
        let mut items = Vec::new();
        for op in ops {
            match *op {
                Op::Literal(byte) => {
                    self.output.push(byte);
                    items.push(Item { main: usize::from(byte), ..Item::default() });
                }
                Op::Match { length, offset } => {
                    assert!((2..=257).contains(&length));
                    let (slot, extra, offset) = match offset {
                        Offset::Repeat(slot) => {
                            self.repeat.swap(0, slot);
                            (slot, 0, self.repeat[0])
                        }
                        Offset::Explicit(offset) => {
                            self.repeat = [offset, self.repeat[0], self.repeat[1]];
                            let slot = slot_of(offset);
                            (slot, offset - slot_base(slot), offset)
                        }
                    };
                    for _ in 0..length {
                        self.output.push(self.output[self.output.len() - offset]);
                    }
                    let header = (length - 2).min(7);
                    items.push(Item {
                        main: 256 + 8 * slot + header,
                        more_length: (header == 7).then(|| length - 9),
                        extra: extra as u32,
                        extra_bits: if slot < 3 { 0 } else { slot_extra_bits(slot) },
                    });
                }
            }
        }
        self.header(if aligned { 2 } else { 1 }, self.output.len() - before);

        let aligned_lengths = if self.style.trivial_aligned {
            vec![3; 8]
        } else {
            let mut used: Vec<usize> = items
                .iter()
                .filter(|item| item.extra_bits >= 3)
                .map(|item| item.extra as usize & 7)
                .collect();
            used.extend([0, 5]);
            huffman::lengths(&used, 8, 7, self.style.other, &mut self.random)
        };
        if aligned {
            for length in &aligned_lengths {
                self.bits.put(u32::from(*length), 3);
            }
        }
        let aligned_code = huffman::codewords(&aligned_lengths);

        let used: Vec<usize> = items.iter().map(|item| item.main).collect();
        let main = huffman::lengths(&used, self.main_lengths.len(), 16, self.style.main, &mut self.random);
        let used: Vec<usize> = items.iter().filter_map(|item| item.more_length).collect();
        let length = huffman::lengths(&used, 249, 16, self.style.other, &mut self.random);
        let old = std::mem::replace(&mut self.main_lengths, main);
        let main = self.main_lengths.clone();
        self.lengths(&old[..256], &main[..256]);
        self.lengths(&old[256..], &main[256..]);
        let old = std::mem::replace(&mut self.length_lengths, length);
        let length = self.length_lengths.clone();
        self.lengths(&old, &length);

        let (main_code, length_code) = (huffman::codewords(&main), huffman::codewords(&length));
        for item in items {
            self.bits.symbol(&main_code, item.main);
            if let Some(more) = item.more_length {
                self.bits.symbol(&length_code, more);
            }
            if aligned && item.extra_bits >= 3 {
                self.bits.put(item.extra >> 3, item.extra_bits - 3);
                self.bits.symbol(&aligned_code, item.extra as usize & 7);
            } else {
                self.bits.put(item.extra, item.extra_bits);
            }
        }
    }

    /// Writes codeword lengths as differences, with all kinds of runs where they apply and chance agrees.
    fn lengths(&mut self, old: &[u8], new: &[u8]) {
        let difference = |i: usize| (usize::from(old[i]) + 17 - usize::from(new[i])) % 17;
        // Pretree symbol, value of the run's extra bits and how many they are, symbol after that.
        let mut items: Vec<(usize, u32, u32, Option<usize>)> = Vec::new();
        let mut i = 0;
        while i < new.len() {
            let run = new[i..].iter().take_while(|length| **length == new[i]).count();
            let want_run = self.random.below(8) != 0;
            if new[i] == 0 && run >= 20 && want_run {
                let run = run.min(51);
                items.push((18, run as u32 - 20, 5, None));
                i += run;
            } else if new[i] == 0 && run >= 4 && want_run {
                let run = run.min(19);
                items.push((17, run as u32 - 4, 4, None));
                i += run;
            } else if run >= 4 && want_run {
                let run = run.min(5);
                items.push((19, run as u32 - 4, 1, Some(difference(i))));
                i += run;
            } else {
                items.push((difference(i), 0, 0, None));
                i += 1;
            }
        }
        let used: Vec<usize> = items.iter().flat_map(|item| [Some(item.0), item.3]).flatten().collect();
        let pretree = huffman::lengths(&used, 20, 15, self.style.other, &mut self.random);
        for length in &pretree {
            self.bits.put(u32::from(*length), 4);
        }
        let code = huffman::codewords(&pretree);
        for (symbol, extra, extra_bits, then) in items {
            self.bits.symbol(&code, symbol);
            self.bits.put(extra, extra_bits);
            if let Some(symbol) = then {
                self.bits.symbol(&code, symbol);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Item {
    main: usize,
    more_length: Option<usize>,
    extra: u32,
    extra_bits: u32,
}

pub(crate) fn slots(order: u32) -> usize {
    [30, 32, 34, 36, 38, 42, 50][order as usize - 15]
}

/// The largest offset of a window.
pub(crate) fn max_offset(order: u32) -> usize {
    (1 << order) - 3
}

pub(crate) fn slot_extra_bits(slot: usize) -> u32 {
    const BITS: [u32; 52] = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14,
        14, 15, 15, 16, 16, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17,
    ];
    BITS[slot]
}

pub(crate) fn slot_base(slot: usize) -> usize {
    1 + (3..slot).map(|slot| 1 << slot_extra_bits(slot)).sum::<usize>()
}

pub(crate) fn slot_of(offset: usize) -> usize {
    (3..=50).rfind(|slot| slot_base(*slot) <= offset).expect("an offset is at least 1")
}

/// The filter's inverse, written a third time, from the other end: where each call of the result was.
fn undo_e8(data: &mut [u8]) {
    let mut at = 0;
    while at + 10 < data.len() {
        let step = if data[at] == 0xE8 {
            let bytes: [u8; 4] = data[at + 1..at + 5].try_into().expect("four bytes");
            let absolute = i64::from(i32::from_le_bytes(bytes));
            let position = at as i64;
            let relative = match absolute {
                0..12_000_000 => Some(absolute - position),
                _ if absolute < 0 && absolute >= -position => Some(absolute + 12_000_000),
                _ => None,
            };
            if let Some(relative) = relative {
                data[at + 1..at + 5].copy_from_slice(&(relative as i32).to_le_bytes());
            }
            5
        } else {
            1
        };
        at += step;
    }
}

/// 16-bit little-endian units, most significant bit first.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    pub(crate) bytes: Vec<u8>,
    /// How many bits of the last unit are taken; 16 and 0 are the same.
    taken: u32,
    /// The last thing written was a pad byte.
    padded: bool,
}

impl BitWriter {
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        self.padded = false;
        for bit in (0..count).rev() {
            if self.taken.is_multiple_of(16) {
                self.bytes.extend([0, 0]);
                self.taken = 0;
            }
            let unit = self.bytes.len() - 2;
            let byte = unit + usize::from(self.taken < 8);
            self.bytes[byte] |= ((value >> bit & 1) as u8) << (7 - self.taken % 8);
            self.taken += 1;
        }
    }

    pub(crate) fn symbol(&mut self, code: &[(u32, u8)], symbol: usize) {
        let (value, length) = code[symbol];
        assert!(length > 0, "symbol {symbol} has no codeword");
        self.put(value, u32::from(length));
    }

    /// As an uncompressed block wants it: at a boundary already, a whole unit is skipped.
    fn align(&mut self) {
        if self.taken.is_multiple_of(16) {
            self.bytes.extend([0, 0]);
        }
        self.taken = 0;
    }

    fn align_if_needed(&mut self) {
        self.taken = 0;
    }
}
