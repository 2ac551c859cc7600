//! DEFLATE for data that is compressed already but for zeros in between: sector padding. A search for anything else would
//! take nearly all of the time and find nothing.
//!
//! Runs of zeros become a block of the fixed code, one literal and matches of distance 1; all else is stored. A run costs about
//! ten bytes, so shorter ones stay what they are. Formats: RFC 1951, 3.2.4 to 3.2.6.

/// The shortest run of zeros that is not stored.
const RUN: usize = 32;
/// The most bytes that a stored block holds.
const STORED: usize = 0xFFFF;
/// The longest match.
const LONGEST: usize = 258;
/// The shortest lengths that symbols from 257 on stand for, and how many bits tell the rest.
const LENGTHS: [(u16, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

struct Bits {
    out: Vec<u8>,
    /// Bits that do not fill a byte yet, the first the lowest.
    held: u64,
    count: u32,
}

impl Bits {
    /// Numbers go in from their lowest bit on.
    fn number(&mut self, value: u64, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.out.push(self.held as u8);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Huffman codes go in from their highest bit on.
    fn code(&mut self, code: u64, bits: u32) {
        self.number(code.reverse_bits() >> (64 - bits), bits);
    }

    /// A symbol of the fixed code.
    fn symbol(&mut self, symbol: u16) {
        match symbol {
            0..=143 => self.code(0x30 + u64::from(symbol), 8),
            144..=255 => self.code(0x190 + u64::from(symbol - 144), 9),
            256..=279 => self.code(u64::from(symbol - 256), 7),
            _ => self.code(0xC0 + u64::from(symbol - 280), 8),
        }
    }

    /// A stored block, after which the stream is at a byte.
    fn stored(&mut self, data: &[u8], last: bool) {
        self.number(last.into(), 3);
        if self.count > 0 {
            self.number(0, 8 - self.count);
        }
        // At most `STORED` bytes.
        let len = data.len() as u16;
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(&(!len).to_le_bytes());
        self.out.extend_from_slice(data);
    }

    fn zeros(&mut self, len: usize) {
        // Not the last block, fixed code.
        self.number(0b010, 3);
        self.symbol(0);
        let mut left = len - 1;
        while left > 0 {
            let length = match left {
                1 | 2 => {
                    self.symbol(0);
                    left -= 1;
                    continue;
                }
                _ => left.min(LONGEST),
            };
            let slot = LENGTHS.partition_point(|(base, _)| usize::from(*base) <= length) - 1;
            let (base, extra) = LENGTHS[slot];
            self.symbol(257 + slot as u16);
            self.number((length - usize::from(base)) as u64, extra);
            // Distance 1.
            self.code(0, 5);
            left -= length;
        }
        self.symbol(256);
    }
}

/// `data` as blocks that end at a byte; `last` when no others follow.
pub(crate) fn compress(data: &[u8], last: bool) -> Vec<u8> {
    let mut bits = Bits { out: Vec::with_capacity(data.len() + 64), held: 0, count: 0 };
    let (mut at, mut start) = (0, 0);
    while at < data.len() {
        // A byte in the middle of any run: most are not zero, and the whole step goes.
        let probe = (at + RUN - 1).min(data.len() - 1);
        if data[probe] != 0 {
            at = probe + 1;
            continue;
        }
        let begin = data[at..probe].iter().rposition(|byte| *byte != 0).map_or(at, |found| at + found + 1);
        let end = data[probe..].iter().position(|byte| *byte != 0).map_or(data.len(), |found| probe + found);
        if end - begin >= RUN {
            data[start..begin].chunks(STORED).for_each(|part| bits.stored(part, false));
            bits.zeros(end - begin);
            start = end;
        }
        at = end;
    }
    data[start..].chunks(STORED).for_each(|part| bits.stored(part, false));
    if last || bits.count > 0 {
        bits.stored(&[], last);
    }
    bits.out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn everything_comes_back() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for round in 0..400 {
            let mut data = Vec::new();
            for _ in 0..next() % 12 {
                let (noise, zeros) = (next() % 1500, next() % if round % 9 == 0 { 200_000 } else { 600 });
                data.extend((0..noise).map(|_| next() as u8));
                data.resize(data.len() + zeros as usize, 0);
            }
            // In two pieces, as threads make them.
            let (a, b) = data.split_at(data.len() / 3);
            let stream = [compress(a, false), compress(b, true)].concat();
            let mut found = Vec::new();
            flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut found).unwrap();
            assert!(found == data, "{round}");
        }
        assert!(compress(&[], false).is_empty());
        assert_eq!(compress(&[], true), [1, 0, 0, 0xFF, 0xFF]);
    }

    #[test]
    fn padding_goes_and_little_comes() {
        let mut data: Vec<u8> = (1..=20_000u32).map(|at| (at % 255 + 1) as u8).collect();
        data.resize(20_480, 0);
        let len = compress(&data, false).len();
        assert!((20_000..20_020).contains(&len), "{len}");
        // Every length.
        for len in 0..1200 {
            let data = vec![0; len];
            let mut found = Vec::new();
            flate2::read::DeflateDecoder::new(&compress(&data, true)[..]).read_to_end(&mut found).unwrap();
            assert_eq!(found, data);
        }
    }
}
