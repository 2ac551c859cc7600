//! An XPRESS encoder that is told what to write.

use super::Random;
use super::huffman::{self, Shape};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Literal(u8),
    Match { length: usize, offset: usize },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) shape: Shape,
    /// Write symbol 256 after the data, as compressors do.
    pub(crate) end_of_data: bool,
    /// Write lengths from 18 on with 16 bits even where 8 would do.
    pub(crate) long_lengths: bool,
}

pub(crate) const PLAIN: Style = Style { shape: Shape::Flat, end_of_data: true, long_lengths: false };

/// Returns the compressed chunk and its content.
pub(crate) fn encode(ops: &[Op], style: Style, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut used: Vec<usize> = ops.iter().map(symbol).collect();
    if style.end_of_data {
        used.push(256);
    }
    let lengths = huffman::lengths(&used, 512, 15, style.shape, &mut Random(seed));
    let code = huffman::codewords(&lengths);

    let mut writer =
        Writer { bytes: lengths.chunks(2).map(|pair| pair[0] | pair[1] << 4).collect(), ..Writer::default() };
    let mut output: Vec<u8> = Vec::new();
    for op in ops {
        writer.symbol(code[symbol(op)]);
        match *op {
            Op::Literal(byte) => output.push(byte),
            Op::Match { length, offset } => {
                if length - 3 >= 15 {
                    writer.look_ahead();
                    let rest = length - 3 - 15;
                    if rest >= 255 || style.long_lengths {
                        writer.bytes.push(255);
                        writer.bytes.extend(((length - 3) as u16).to_le_bytes());
                    } else {
                        writer.bytes.push(rest as u8);
                    }
                }
                writer.put(offset as u32 & !(1 << offset.ilog2()), offset.ilog2());
                for _ in 0..length {
                    output.push(output[output.len() - offset]);
                }
            }
        }
    }
    if style.end_of_data {
        writer.symbol(code[256]);
    }
    (writer.bytes, output)
}

fn symbol(op: &Op) -> usize {
    match *op {
        Op::Literal(byte) => usize::from(byte),
        Op::Match { length, offset } => {
            assert!((3..=65538).contains(&length) && (1..=65535).contains(&offset));
            256 + 16 * offset.ilog2() as usize + (length - 3).min(15)
        }
    }
}

#[derive(Debug, Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Where the units lie.
    units: Vec<usize>,
    bits: usize,
}

impl Writer {
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.reserve((self.bits + 1).div_ceil(16));
            let (unit, place) = (self.units[self.bits / 16], self.bits % 16);
            self.bytes[unit + usize::from(place < 8)] |= ((value >> bit & 1) as u8) << (7 - place % 8);
            self.bits += 1;
        }
    }

    fn symbol(&mut self, (value, length): (u32, u8)) {
        assert!(length > 0, "no codeword");
        self.put(value, u32::from(length));
    }

    /// The decoder has at least 16 bits ahead in its hands when it takes a loose byte.
    fn look_ahead(&mut self) {
        self.reserve((self.bits + 16).div_ceil(16));
    }

    fn reserve(&mut self, units: usize) {
        while self.units.len() < units {
            self.units.push(self.bytes.len());
            self.bytes.extend([0, 0]);
        }
    }
}
