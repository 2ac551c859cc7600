//! The cheapest way to write a grain.
//!
//! What a symbol costs depends on the code, and the code on the symbols. So the costs are guessed at first, then taken
//! from the parse that these costs lead to, and so on. With given costs the best parse is found from the end: the
//! cheapest way to write what begins at a place is a literal or one of its matches, and then the cheapest way from
//! where that ends.

use super::finder::{Depth, Links, MAX_LENGTH, MAX_OFFSET, Match, REACH, table};
use crate::Token;
use crate::deflate::format::{
    FIRST_LENGTH, LENGTH_EXTRA, LENGTH_SLOTS, LITERAL_SYMBOLS, MIN_LENGTH, OFFSET_SYMBOLS, offset_extra_bits,
    offset_slot,
};
use crate::encode::logarithm;
use crate::encode::window::Window;

/// A match this long is taken at once, and no others are sought inside of it.
const EFFORT: Depth = Depth { positions: 16, nice: 128 };

/// How often a parse is chosen, of which the last counts.
const ROUNDS: usize = 1;

/// The unit of costs is this part of a bit. A grain of the most expensive literals then takes less than 2^23 units, and
/// a length fits below that.
const BIT: u32 = 8;
/// The most that a symbol is taken to cost.
const MOST: u32 = 13 * BIT;
/// Costs are kept above so many bits, which have room for a length: the smaller number is the cheaper choice.
const LENGTH_BITS: u32 = 9;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;
const _: () =
    assert!(MAX_LENGTH < 1 << LENGTH_BITS && ((MOST as u64) << 16 | 1 << 16) < 1 << (32 - LENGTH_BITS));

const MAX_LEN: usize = 1 << 16;

#[derive(Clone, Debug)]
pub(super) struct Optimal {
    links: Links,
    /// The matches of all positions, in the order of positions and lengths: the length above 16 bits of the offset
    /// less one.
    matches: Vec<u32>,
    /// For each position, where its matches end in that list.
    ends: Vec<u32>,
    counts: Counts,
    costs: Costs,
    /// For each position, what everything from there on costs.
    from: Box<[u32; MAX_LEN + 1]>,
    /// For each position, the best match above 9 bits of its length; zero for a literal.
    choices: Box<[u32; MAX_LEN]>,
}

#[derive(Clone, Debug)]
struct Counts {
    literals: [u32; LITERAL_SYMBOLS],
    offsets: [u32; OFFSET_SYMBOLS],
}

/// In units of [`BIT`], but for lengths, which are ready for adding.
#[derive(Clone, Debug)]
struct Costs {
    literals: [u32; 256],
    /// Above [`LENGTH_BITS`]; the length is below.
    lengths: [u32; MAX_LENGTH + 1],
    /// For each slot, with its extra bits.
    offsets: [u32; OFFSET_SYMBOLS],
}

impl Counts {
    const NONE: Self = Self { literals: [0; LITERAL_SYMBOLS], offsets: [0; OFFSET_SYMBOLS] };

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.literals[usize::from(byte)] += 1;
    }

    #[inline(always)]
    fn matched(&mut self, length: usize, offset: u32) {
        self.literals[FIRST_LENGTH + usize::from(LENGTH_SLOTS[length])] += 1;
        self.offsets[offset_slot(offset)] += 1;
    }
}

impl Costs {
    const NONE: Self =
        Self { literals: [0; 256], lengths: [0; MAX_LENGTH + 1], offsets: [0; OFFSET_SYMBOLS] };

    /// Takes the costs from how often symbols occur.
    fn learn(&mut self, counts: &Counts) {
        let total = |counts: &[u32]| log2(counts.iter().sum::<u32>() + 1);
        let cost = |total: u32, count: u32| {
            // One that does not occur would occur less than once.
            let bits = if count == 0 { total + BIT } else { total - log2(count) };
            bits.clamp(BIT, MOST)
        };
        let all = total(&counts.literals);
        for (symbol, literal) in self.literals.iter_mut().enumerate() {
            *literal = cost(all, counts.literals[symbol]);
        }
        for (length, entry) in self.lengths.iter_mut().enumerate().skip(MIN_LENGTH) {
            let slot = usize::from(LENGTH_SLOTS[length]);
            let symbol = cost(all, counts.literals[FIRST_LENGTH + slot]);
            *entry = (symbol + u32::from(LENGTH_EXTRA[slot]) * BIT) << LENGTH_BITS | length as u32;
        }
        let all = total(&counts.offsets);
        for (slot, offset) in self.offsets.iter_mut().enumerate() {
            *offset = cost(all, counts.offsets[slot]) + offset_extra_bits(slot) * BIT;
        }
    }
}

impl Optimal {
    pub(super) fn new() -> Self {
        Self {
            links: Links::new(),
            matches: Vec::new(),
            ends: Vec::with_capacity(MAX_LEN),
            counts: Counts::NONE,
            costs: Costs::NONE,
            from: table(0),
            choices: table(0),
        }
    }

    pub(super) fn parse(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        self.links.load(window);
        self.find(window);
        self.guess(window);
        for _ in 0..ROUNDS {
            self.costs.learn(&self.counts);
            self.choose(window);
            self.follow(window, tokens);
        }
    }

    /// Lists the matches of all positions.
    fn find(&mut self, window: &Window) {
        self.matches.clear();
        self.ends.clear();
        // Where matches may begin.
        let end = (window.len() + 1).saturating_sub(REACH);
        while self.ends.len() < end {
            let at = self.ends.len();
            let mut longest = 0;
            self.links.search(window, at, MIN_LENGTH - 1, MAX_OFFSET, EFFORT, |Match { length, offset }| {
                self.matches.push((length as u32) << 16 | (offset - 1) as u32);
                longest = length;
            });
            let behind = if longest >= EFFORT.nice { at + longest } else { at + 1 };
            self.ends.resize(behind, self.matches.len() as u32);
        }
        self.ends.resize(window.len(), self.matches.len() as u32);
    }

    /// Counts what taking the longest match everywhere would lead to.
    fn guess(&mut self, window: &Window) {
        self.counts = Counts::NONE;
        let (mut at, mut first) = (0, 0);
        while at < window.len() {
            let end = self.ends[at] as usize;
            if let Some(found) = self.matches[first..end].last() {
                let length = (found >> 16) as usize;
                self.counts.matched(length, (found & 0xFFFF) + 1);
                at += length;
            } else {
                self.counts.literal(window.byte(at));
                at += 1;
            }
            first = self.ends[at - 1] as usize;
        }
    }

    /// Finds the best choice for each position.
    fn choose(&mut self, window: &Window) {
        let mut last = self.matches.len();
        self.from[window.len()] = 0;
        for at in (0..window.len()).rev() {
            let first = if at == 0 { 0 } else { self.ends[at - 1] as usize };
            let literal = self.costs.literals[usize::from(window.byte(at))] << LENGTH_BITS;
            let mut best = self.from[at + 1] + literal;
            let mut best_offset = 0;
            // From the longest to the shortest: a shorter one may as well be the beginning of a longer one, if that has
            // the cheaper offset.
            let (mut cheapest, mut offset) = (u32::MAX, 0);
            let matches = &self.matches[first..last];
            for (index, found) in matches.iter().enumerate().rev() {
                let cost = self.costs.offsets[offset_slot((found & 0xFFFF) + 1)];
                if cost <= cheapest {
                    (cheapest, offset) = (cost, (found & 0xFFFF) + 1);
                }
                let longest = (found >> 16) as usize;
                let shortest = if index == 0 { MIN_LENGTH } else { (matches[index - 1] >> 16) as usize + 1 };
                let costs = self.costs.lengths[shortest..=longest].iter();
                let ends = &self.from[at + shortest..=at + longest];
                let cost = costs.zip(ends).fold(u32::MAX, |best, (cost, from)| best.min(cost + from));
                let cost = cost + (cheapest << LENGTH_BITS);
                if cost < best {
                    (best, best_offset) = (cost, offset);
                }
            }
            self.from[at] = best & !LENGTH_MASK;
            self.choices[at] = best_offset << LENGTH_BITS | best & LENGTH_MASK;
            last = first;
        }
    }

    /// Follows the choices from the beginning, and counts them.
    fn follow(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        tokens.clear();
        self.counts = Counts::NONE;
        let (mut at, mut start) = (0, 0);
        while at < window.len() {
            let choice = self.choices[at];
            if choice == 0 {
                self.counts.literal(window.byte(at));
                at += 1;
                continue;
            }
            let (length, offset) = (choice & LENGTH_MASK, choice >> LENGTH_BITS);
            self.counts.matched(length as usize, offset);
            tokens.push(Token { literals: (at - start) as u32, length, offset });
            at += length as usize;
            start = at;
        }
        super::finish(window, start, tokens);
    }
}

/// The binary logarithm in units of [`BIT`].
fn log2(number: u32) -> u32 {
    const { assert!(logarithm::BIT == 2 * BIT) };
    logarithm::log2(number).div_ceil(2)
}
