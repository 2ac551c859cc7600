//! The best codes whose codewords are not longer than a limit.
//!
//! Huffman's algorithm with two queues: the symbols in the order of their frequencies, and the joined nodes, which
//! come into being in the order of theirs. Only the depths of the joined nodes are needed: they tell how many symbols
//! there are of each depth, and the rarer a symbol, the deeper it is.
//!
//! A code that is too deep is cut at the limit, and then has too many codewords. For each that is too much, the
//! deepest codeword above the limit becomes two that are one bit longer, one of which makes room for one at the limit.
//! That is not the best code within the limit, but close, and a chunk is hardly ever deep enough: with 15 bits it
//! takes frequencies that grow like Fibonacci's numbers.

/// The longest codeword that any format has.
const MAX_LIMIT: usize = 15;
/// Symbols of lower frequencies are sorted by counting, the others, few as they are, by comparing.
const COUNTED: usize = 256;

/// A codeword: its bits above four bits that say how many they are. Zero for symbols without one.
pub(crate) type Codeword = u32;

/// The number of bits of a codeword.
#[inline(always)]
pub(crate) fn bits(codeword: Codeword) -> u32 {
    codeword & 15
}

/// The bits of a codeword.
#[inline(always)]
pub(crate) fn value(codeword: Codeword) -> u32 {
    codeword >> 4
}

/// Builds codes for alphabets of `N` symbols.
#[derive(Clone, Debug)]
pub(crate) struct Builder<const N: usize> {
    /// Frequency and symbol of those that occur; the symbol is in the low 16 bits.
    sorted: [u64; N],
    counts: [u16; COUNTED],
    /// Frequencies of joined nodes in the order of their making.
    joined: [u32; N],
    /// Which node a joined node is part of; then its depth.
    parents: [u16; N],
}

impl<const N: usize> Builder<N> {
    pub(crate) fn new() -> Self {
        const { assert!(N <= 1 << MAX_LIMIT) };
        Self { sorted: [0; N], counts: [0; COUNTED], joined: [0; N], parents: [0; N] }
    }

    /// Replaces `code` by the canonical code for symbols of these frequencies, with at most `limit` bits.
    ///
    /// The code is complete. At least two symbols have to occur, `limit` has to be from 9 to 15 and leave room for
    /// all, and the frequencies add up to less than 2^32.
    pub(crate) fn build(&mut self, frequencies: &[u32; N], limit: usize, code: &mut [Codeword; N]) {
        let used = self.sort(frequencies);
        assert!(used >= 2 && limit <= MAX_LIMIT && used <= 1 << limit, "a code of this many symbols");
        self.join(used);
        let mut depths = self.depths(used);
        cut(&mut depths, limit);

        // Canonical: shorter codewords first, then in the order of the symbols.
        let mut next = [0; MAX_LIMIT + 1];
        let mut first = 0;
        for bits in 1..=limit {
            first = (first + depths[bits - 1]) << 1;
            next[bits] = first;
        }
        debug_assert_eq!(first + depths[limit], 1 << limit, "the code is complete");
        code.fill(0);
        let mut symbols = self.sorted[..used].iter();
        for bits in (1..=limit).rev() {
            for entry in symbols.by_ref().take(depths[bits] as usize) {
                code[(*entry & 0xFFFF) as usize % N] = bits as u32;
            }
        }
        for codeword in code.iter_mut().filter(|codeword| **codeword != 0) {
            let next = &mut next[*codeword as usize & 15];
            *codeword |= *next << 4;
            *next += 1;
        }
    }

    /// Sorts the symbols that occur, the rarest first, and returns how many they are. The others are behind them.
    fn sort(&mut self, frequencies: &[u32; N]) -> usize {
        self.counts.fill(0);
        for frequency in frequencies {
            self.counts[(*frequency as usize).min(COUNTED - 1)] += 1;
        }
        let used = N - usize::from(self.counts[0]);
        let mut next = 0;
        for count in &mut self.counts[1..] {
            next += std::mem::replace(count, next);
        }
        self.counts[0] = next;
        let frequent = usize::from(self.counts[COUNTED - 1]);
        for (symbol, frequency) in frequencies.iter().enumerate() {
            let place = &mut self.counts[(*frequency as usize).min(COUNTED - 1)];
            self.sorted[usize::from(*place)] = u64::from(*frequency) << 16 | symbol as u64;
            *place += 1;
        }
        self.sorted[frequent..used].sort_unstable();
        used
    }

    /// Joins the two lightest nodes until one is left.
    fn join(&mut self, used: usize) {
        self.joined[..used].fill(u32::MAX);
        let weight = |sorted: &[u64; N], leaf: usize| {
            if leaf < used { (sorted[leaf] >> 16) as u32 } else { u32::MAX }
        };
        let (mut leaf, mut node) = (0, 0);
        for next in 0..used - 1 {
            let mut sum = 0;
            for _ in 0..2 {
                // Both are computed, as nobody can predict which it will be. What is noted for a node that is not
                // taken is overwritten when it is.
                let (light_leaf, light_node) = (weight(&self.sorted, leaf), self.joined[node]);
                self.parents[node] = next as u16;
                let takes_leaf = light_leaf <= light_node;
                sum += if takes_leaf { light_leaf } else { light_node };
                leaf += usize::from(takes_leaf);
                node += usize::from(!takes_leaf);
            }
            self.joined[next] = sum;
        }
    }

    /// How many symbols there are of each depth; all deeper than the largest limit count there.
    fn depths(&mut self, used: usize) -> [u32; MAX_LIMIT + 1] {
        let root = used - 2;
        let mut inner = [0; MAX_LIMIT + 1];
        let mut leaves = [0; MAX_LIMIT + 1];
        self.parents[root] = 0;
        inner[0] = 1;
        for node in (0..root).rev() {
            let depth = self.parents[usize::from(self.parents[node])] + 1;
            self.parents[node] = depth;
            inner[usize::from(depth).min(MAX_LIMIT)] += 1;
        }
        let mut counted = 0;
        for depth in 1..MAX_LIMIT {
            leaves[depth] = inner[depth - 1] * 2 - inner[depth];
            counted += leaves[depth];
        }
        leaves[MAX_LIMIT] = used as u32 - counted;
        leaves
    }
}

/// Makes a code complete whose codewords, so many of each length, may be too many.
fn cut(depths: &mut [u32; MAX_LIMIT + 1], limit: usize) {
    depths[limit] += depths[limit + 1..].iter().sum::<u32>();
    depths[limit + 1..].fill(0);
    let space: u32 = (1..=limit).map(|bits| depths[bits] << (limit - bits)).sum();
    for _ in 1 << limit..space {
        let bits =
            (1..limit).rfind(|bits| depths[*bits] > 0).expect("codewords at the limit alone would fit");
        depths[bits] -= 1;
        depths[bits + 1] += 2;
        depths[limit] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths<const N: usize>(frequencies: &[u32; N], limit: usize) -> Vec<u32> {
        let mut code = [0; N];
        Builder::new().build(frequencies, limit, &mut code);
        let space: u32 =
            code.iter().filter(|word| bits(**word) > 0).map(|word| 1 << (limit as u32 - bits(*word))).sum();
        assert_eq!(space, 1 << limit, "complete");
        for (frequency, word) in frequencies.iter().zip(&code) {
            assert_eq!(*frequency > 0, bits(*word) > 0);
            assert!(bits(*word) as usize <= limit);
        }
        // No codeword begins another.
        for (i, a) in code.iter().enumerate().filter(|(_, word)| **word != 0) {
            for (_, b) in code.iter().enumerate().filter(|(j, word)| **word != 0 && *j != i) {
                let common = bits(*a).min(bits(*b));
                assert_ne!(value(*a) >> (bits(*a) - common), value(*b) >> (bits(*b) - common));
            }
        }
        code.iter().map(|word| bits(*word)).collect()
    }

    /// The cost of the best code, from Huffman's algorithm as everybody knows it.
    fn best_cost(frequencies: &[u32]) -> u32 {
        let mut nodes: Vec<u32> = frequencies.iter().copied().filter(|frequency| *frequency > 0).collect();
        let mut cost = 0;
        while nodes.len() > 1 {
            nodes.sort_unstable_by(|a, b| b.cmp(a));
            let sum = nodes.pop().unwrap() + nodes.pop().unwrap();
            nodes.push(sum);
            cost += sum;
        }
        cost
    }

    fn cost(frequencies: &[u32], lengths: &[u32]) -> u32 {
        frequencies.iter().zip(lengths).map(|(frequency, length)| frequency * length).sum()
    }

    #[test]
    fn two_symbols() {
        let mut frequencies = [0; 512];
        frequencies[3] = 70000;
        frequencies[256] = 1;
        let lengths = lengths(&frequencies, 15);
        assert_eq!((lengths[3], lengths[256]), (1, 1));
    }

    #[test]
    fn as_good_as_any() {
        let mut seed = 1_u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
            seed >> 16
        };
        for round in 0..300 {
            let mut frequencies = [0_u32; 512];
            for frequency in &mut frequencies[..2 + round] {
                // Some zero, some many, most few; too few in all for more than 15 bits.
                *frequency = random() % (1 << (random() % 8));
            }
            frequencies[500] = 1;
            frequencies[501] = 1;
            assert_eq!(cost(&frequencies, &lengths(&frequencies, 15)), best_cost(&frequencies));
        }
    }

    #[test]
    fn all_symbols_alike() {
        assert!(lengths(&[7; 512], 15).iter().all(|length| *length == 9));
        assert!(lengths(&[7; 512], 9).iter().all(|length| *length == 9));
    }

    /// Fibonacci's numbers make the deepest code there is.
    #[test]
    fn too_deep() {
        for count in 3..=23 {
            let mut frequencies = [0; 512];
            let (mut a, mut b) = (1, 1);
            for frequency in &mut frequencies[..count] {
                *frequency = a;
                (a, b) = (b, a + b);
            }
            assert!(count < 23 || frequencies.iter().sum::<u32>() > 1 << 15);
            for limit in [9, 12, 15] {
                let lengths = lengths(&frequencies, limit);
                let (found, best) = (cost(&frequencies, &lengths), best_cost(&frequencies));
                if count <= limit + 1 {
                    assert_eq!(found, best);
                } else {
                    assert!(found > best && found < best + best / 20, "{found} {best} {count} {limit}");
                }
            }
        }
    }

    /// The limit is so tight that all have to be of equal length.
    #[test]
    fn no_choice() {
        let mut frequencies = [1; 512];
        for (symbol, frequency) in frequencies.iter_mut().enumerate() {
            *frequency += 1 << (symbol / 32);
        }
        assert!(lengths(&frequencies, 9).iter().all(|length| *length == 9));
    }
}
