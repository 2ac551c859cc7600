//! Complete codes of any shape.

use super::Random;

/// What a code looks like, within its limit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// All codewords about equally long.
    Flat,
    /// As many long codewords as possible.
    Deep,
    Mixed,
}

/// Codeword lengths for an alphabet of `size`, complete, of at most `limit` bits, with codewords for all of `used`.
///
/// A code for a single symbol gets a second one. An empty `used` yields an empty code.
pub(crate) fn lengths(used: &[usize], size: usize, limit: u8, shape: Shape, random: &mut Random) -> Vec<u8> {
    let mut symbols = used.to_vec();
    symbols.sort_unstable();
    symbols.dedup();
    let mut lengths = vec![0; size];
    if symbols.is_empty() {
        return lengths;
    }
    if symbols.len() == 1 {
        symbols.push(if symbols[0] == 0 { 1 } else { 0 });
    }
    // Split leaves until there are enough.
    let mut leaves = vec![0_u8];
    while leaves.len() < symbols.len() {
        let splittable = (0..leaves.len()).filter(|leaf| leaves[*leaf] < limit);
        let leaf = match shape {
            Shape::Flat => splittable.min_by_key(|leaf| leaves[*leaf]),
            Shape::Deep => splittable.max_by_key(|leaf| leaves[*leaf]),
            Shape::Mixed => {
                let candidates: Vec<_> = splittable.collect();
                candidates.get(random.below(candidates.len().max(1))).copied()
            }
        };
        let leaf = leaf.expect("the limit leaves room for all symbols");
        leaves[leaf] += 1;
        leaves.push(leaves[leaf]);
    }
    for i in (1..leaves.len()).rev() {
        leaves.swap(i, random.below(i + 1));
    }
    for (symbol, length) in symbols.iter().zip(leaves) {
        lengths[*symbol] = length;
    }
    lengths
}

/// The canonical codewords: value and length of each symbol.
pub(crate) fn codewords(lengths: &[u8]) -> Vec<(u32, u8)> {
    let mut codewords = vec![(0, 0); lengths.len()];
    let mut next = 0;
    for bits in 1..=16 {
        next <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, length)| **length == bits) {
            codewords[symbol] = (next, bits);
            next += 1;
        }
    }
    codewords
}
