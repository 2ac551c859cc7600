//! Canonical Huffman codes, decoded bit by bit.

/// The longest codeword of any code here, in bits.
const MAX_BITS: usize = 16;

/// A complete code, or one without any codeword.
#[derive(Debug)]
pub(crate) struct Code {
    /// How many codewords have each length.
    counts: [u16; MAX_BITS + 1],
    /// The symbols in the order of their codewords.
    symbols: Vec<u16>,
}

impl Code {
    /// The code whose codeword for symbol `i` has `lengths[i]` bits, zero meaning that the symbol does not occur.
    ///
    /// `None` when the lengths are neither exactly complete nor all zero.
    pub(crate) fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0; MAX_BITS + 1];
        let mut symbols = Vec::new();
        // The Kraft sum in units of the longest codeword.
        let mut filled = 0_u32;
        for (bits, count) in counts.iter_mut().enumerate().skip(1) {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, length)| usize::from(**length) == bits)
            {
                *count += 1;
                filled += 1 << (MAX_BITS - bits);
                symbols.push(symbol as u16);
            }
        }
        (filled == 1 << MAX_BITS || filled == 0).then_some(Self { counts, symbols })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Decodes a symbol from the bits that `bit` delivers.
    pub(crate) fn decode<E>(&self, mut bit: impl FnMut() -> Result<u32, E>) -> Result<usize, E> {
        debug_assert!(!self.is_empty());
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for count in &self.counts[1..] {
            code |= bit()?;
            let count = u32::from(*count);
            if code - first < count {
                return Ok(usize::from(self.symbols[(index + code - first) as usize]));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        unreachable!("a complete code gives every sequence of 16 bits a symbol")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_order() {
        // Lengths 2,1,3,3: the codewords are 10, 0, 110, 111.
        let code = Code::new(&[2, 1, 3, 3]).expect("complete");
        let decode = |bits: &[u32]| {
            let mut bits = bits.iter();
            code.decode(|| bits.next().copied().ok_or(())).map(|symbol| (symbol, bits.len()))
        };
        assert_eq!(decode(&[1, 0]), Ok((0, 0)));
        assert_eq!(decode(&[0, 1]), Ok((1, 1)));
        assert_eq!(decode(&[1, 1, 0]), Ok((2, 0)));
        assert_eq!(decode(&[1, 1, 1]), Ok((3, 0)));
        assert_eq!(decode(&[1, 1]), Err(()));
    }

    #[test]
    fn only_complete_or_empty() {
        assert!(Code::new(&[0; 20]).is_some_and(|code| code.is_empty()));
        assert!(Code::new(&[1]).is_none());
        assert!(Code::new(&[1, 1, 1]).is_none());
        assert!(Code::new(&[1, 2]).is_none());
        assert!(Code::new(&[1, 2, 2]).is_some());
        let mut deepest: Vec<u8> = (1..=16).collect();
        assert!(Code::new(&deepest).is_none());
        deepest.push(16);
        assert!(Code::new(&deepest).is_some());
    }
}
