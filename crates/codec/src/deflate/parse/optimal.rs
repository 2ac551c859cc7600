//! The cheapest way to write a grain.
//!
//! What a symbol costs depends on the code, and the code on the symbols. So the costs are taken from what the lazy
//! parser chooses. With given costs the best parse is found from the end: the cheapest way to write what begins at a
//! place is a literal or one of its matches, and then the cheapest way from where that ends.
//!
//! Matches are sought on the way, from the end too. Of a long match that way its last bytes are met first, and then it
//! grows with every step to the front, without a search, up to its full length; so few candidates need to be looked at,
//! and nothing has to be remembered but one match. There are two kinds:
//!
//! - Up to six bytes: of each length the nearest, which is the cheapest, from a chain for that length; four candidates
//!   that are looked at without a branch, as what is best for so many equal bytes is known before they are.
//! - From seven bytes on: a chain that has only candidates for these, so that common beginnings do not hide them.
//!
//! What did not help: costs from the parse that results, and a second round (0.2 % for two thirds more time); costs for
//! each quarter or eighth of the grain (0.05 %); more candidates of any kind (0.1 % for a tenth more time, and no more
//! than 0.2 % for any time). Going to the front as others do, and remembering all matches for a second round, took a
//! fifth longer and gave 1 % less. Costs as exact as can be: nothing.

use super::finder::{Chain, Depth, Links, MAX_LENGTH, Match, REACH, table};
use super::lazy;
use crate::Token;
use crate::deflate::format::{
    FIRST_LENGTH, LENGTH_EXTRA, LENGTH_SLOTS, LITERAL_SYMBOLS, MIN_LENGTH, OFFSET_SYMBOLS, offset_extra_bits,
    offset_slot,
};
use crate::encode::logarithm;
use crate::encode::window::Window;

/// The longest match of which only the nearest is known.
const SHORT_LENGTH: usize = 6;
/// How many positions with the same seven bytes are looked at when no match of the position behind grows to this one.
const NEW: u32 = 8;
/// How many when one does.
const GROWN: u32 = 2;
/// How many when that has at least [`LONG`] bytes.
const GROWN_LONG: u32 = 1;
const LONG: usize = 16;
/// No others are sought where a match of this length is known.
const NICE: usize = 64;
/// Where less bytes follow, only the longest match is looked at.
const END: usize = 8;
const LAST: Depth = Depth { positions: 2, nice: END };

/// When the lazy parser finds matches for less than this part of a grain, the grain is noise, and nothing is to be had.
const HOPELESS: usize = 32;

/// The unit of costs is this part of a bit. A grain of the most expensive literals then takes less than 2^23 units.
const BIT: u32 = 8;
/// The most that a symbol is taken to cost.
const MOST: u32 = 13 * BIT;
/// Costs are kept above so many bits, which have room for a length less [`MIN_LENGTH`], so that the smallest number is
/// the cheapest choice, and says which that is.
const LENGTH_BITS: u32 = 8;
const LENGTH_MASK: i32 = (1 << LENGTH_BITS) - 1;

/// More than a symbol costs.
const NEVER: i32 = 1 << 20;
/// More than a grain costs; with a symbol still a number.
const UNKNOWN: i32 = i32::MAX - 2 * NEVER;
const _: () =
    assert!(((MOST << LENGTH_BITS) as i64) << 16 < UNKNOWN as i64 && (MOST << LENGTH_BITS) < NEVER as u32);

/// So many lengths are compared at once.
const LANES: usize = 8;
/// Of a longer match, only its full length and the next ones below are considered, and those up to this one.
const DENSE: usize = 18;

/// Room before the first position, and before the first length.
const PAD: usize = LANES;
const MAX_LEN: usize = 1 << 16;

#[derive(Clone, Debug)]
pub(super) struct Optimal {
    /// No match is farther.
    reach: usize,
    links: Links,
    five: Chain<5>,
    six: Chain<6>,
    seven: Chain<7>,
    counts: Counts,
    costs: Costs,
    /// For each position, what everything from there on costs; behind [`PAD`].
    rest: Box<[i32; PAD + MAX_LEN + LANES]>,
    /// For each position, the best match there: its offset above 9 bits of its length. Zero for a literal.
    choices: Box<[u32; MAX_LEN]>,
}

#[derive(Clone, Debug)]
struct Counts {
    literals: [u32; LITERAL_SYMBOLS],
    offsets: [u32; OFFSET_SYMBOLS],
}

/// All above [`LENGTH_BITS`].
#[derive(Clone, Debug)]
struct Costs {
    literals: [i32; 256],
    /// With the extra bits, and the length itself below; behind [`PAD`].
    lengths: [i32; PAD + MAX_LENGTH + 1],
    /// With the extra bits: for each offset up to 256, and for each 128 of those above.
    offsets: [i32; 512],
}

impl Costs {
    fn new() -> Self {
        let mut lengths = [0; PAD + MAX_LENGTH + 1];
        lengths[PAD + 1..PAD + MIN_LENGTH].fill(NEVER);
        Self { literals: [0; 256], lengths, offsets: [0; 512] }
    }

    /// Takes the costs from how often symbols occur.
    fn learn(&mut self, counts: &Counts) {
        let total = |counts: &[u32]| log2(counts.iter().sum::<u32>() + 1);
        let cost = |total: u32, count: u32| {
            // One that does not occur would occur less than once.
            let bits = if count == 0 { total + BIT } else { total.saturating_sub(log2(count)) };
            bits.clamp(BIT, MOST)
        };
        let all = total(&counts.literals);
        for (literal, count) in self.literals.iter_mut().zip(&counts.literals) {
            *literal = (cost(all, *count) << LENGTH_BITS) as i32;
        }
        for (length, slot) in LENGTH_SLOTS.iter().enumerate().skip(MIN_LENGTH) {
            let slot = usize::from(*slot);
            let symbol = cost(all, counts.literals[FIRST_LENGTH + slot]);
            let bits = symbol + u32::from(LENGTH_EXTRA[slot]) * BIT;
            self.lengths[PAD + length] = (bits << LENGTH_BITS) as i32 | (length - MIN_LENGTH) as i32;
        }
        let all = total(&counts.offsets);
        for (index, entry) in self.offsets.iter_mut().enumerate() {
            let offset = if index < 256 { index } else { (index - 256) << 7 } as u32 + 1;
            let slot = offset_slot(offset);
            *entry =
                ((cost(all, counts.offsets[slot]) + offset_extra_bits(slot) * BIT) << LENGTH_BITS) as i32;
        }
    }

    #[inline(always)]
    fn offset(&self, offset: usize) -> i32 {
        let over = offset.wrapping_sub(1);
        self.offsets[if over < 256 { over } else { 256 + (over >> 7) } % 512]
    }
}

/// The binary logarithm in units of [`BIT`].
fn log2(number: u32) -> u32 {
    const { assert!(logarithm::BIT == 2 * BIT) };
    logarithm::log2(number).div_ceil(2)
}

/// The best choice so far for a position.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// What it and everything behind it costs, above its length.
    cost: i32,
    /// Zero for a literal.
    offset: usize,
}

impl Choice {
    #[inline(always)]
    fn consider(&mut self, cost: i32, offset: usize) {
        let better = cost < self.cost;
        self.cost = if better { cost } else { self.cost };
        self.offset = if better { offset } else { self.offset };
    }

    /// As in [`Optimal::choices`].
    #[inline(always)]
    fn packed(self) -> u32 {
        let length = (self.cost & LENGTH_MASK) as usize + MIN_LENGTH;
        if self.offset == 0 { 0 } else { (self.offset << 9 | length) as u32 }
    }
}

impl Optimal {
    pub(super) fn new(reach: usize) -> Self {
        Self {
            reach,
            links: Links::new(reach),
            five: Chain::new(reach),
            six: Chain::new(reach),
            seven: Chain::new(reach),
            counts: Counts { literals: [0; LITERAL_SYMBOLS], offsets: [0; OFFSET_SYMBOLS] },
            costs: Costs::new(),
            rest: table(0),
            choices: table(0),
        }
    }

    /// Adds a parse to `tokens`, which is empty.
    pub(super) fn parse(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        self.links.load(window);
        lazy::parse(&self.links, window, lazy::CURSORY, tokens);
        let matched = tokens.iter().map(|token| token.length as usize).sum::<usize>();
        if matched < window.len() / HOPELESS {
            return;
        }
        self.five.load(window);
        self.six.load(window);
        self.seven.load(window);
        self.count(window, tokens);
        self.costs.learn(&self.counts);
        self.choose(window);
        tokens.clear();
        self.follow(window, tokens);
    }

    fn count(&mut self, window: &Window, tokens: &[Token]) {
        self.counts.literals.fill(0);
        self.counts.offsets.fill(0);
        let mut at = 0;
        for token in tokens {
            for byte in at..at + token.literals as usize {
                self.counts.literals[usize::from(window.byte(byte))] += 1;
            }
            at += (token.literals + token.length) as usize;
            if token.length > 0 {
                let slot = usize::from(LENGTH_SLOTS[token.length as usize]);
                self.counts.literals[FIRST_LENGTH + slot] += 1;
                self.counts.offsets[offset_slot(token.offset)] += 1;
            }
        }
    }

    /// Finds the best choice for each position.
    fn choose(&mut self, window: &Window) {
        let (len, reach, costs, rest) = (window.len(), self.reach, &self.costs, &mut *self.rest);
        let end = (len + 1).saturating_sub(END);
        // A few lengths are looked up that are too short, and lead to places before.
        rest.fill(UNKNOWN);
        rest[PAD + len] = 0;
        for at in (end..len).rev() {
            let literal = rest[PAD + at + 1] + costs.literals[usize::from(window.byte(at))];
            let mut best = Choice { cost: literal | LENGTH_MASK, offset: 0 };
            if at + REACH <= len {
                let Match { length, offset } = self.links.longest(window, at, MIN_LENGTH - 1, reach, LAST);
                for length in (MIN_LENGTH..=length).filter(|_| offset > 0) {
                    let cost = rest[PAD + at + length] + costs.lengths[PAD + length];
                    best.consider(cost + costs.offset(offset), offset);
                }
            }
            rest[PAD + at] = best.cost & !LENGTH_MASK;
            self.choices[at] = best.packed();
        }
        // The longest match known at the position behind.
        let mut grown = Match::default();
        for at in (0..end).rev() {
            let long = window.long(at);
            let ends: &[i32; SHORT_LENGTH + 1] = rest[PAD + at..].first_chunk().expect("there is padding");
            let literal = ends[1] + costs.literals[long as usize % 256];
            let mut best = Choice { cost: literal | LENGTH_MASK, offset: 0 };

            // For each number of equal bytes up to eight, what is best.
            let one = |length: usize| costs.lengths[PAD + length] + ends[length];
            let three = one(3);
            let four = three.min(one(4));
            let five = four.min(one(5));
            let six = five.min(one(6));
            let no = UNKNOWN;
            let short = [no, no, no, three, four, five, six, six, six, no, no, no, no, no, no, no];
            let mut look = |from: usize| {
                let offset = at.wrapping_sub(from);
                let equal = (long ^ window.long(from)).trailing_zeros() as usize / 8;
                let near = offset.wrapping_sub(1) < reach;
                best.consider(short[if near { equal } else { 0 } % 16] + costs.offset(offset), offset);
            };
            look(self.links.three.before(at));
            look(self.links.four.before(at));
            look(self.five.before(at));
            look(self.six.before(at));

            if grown.offset > 0 && grown.offset <= at && window.byte(at) == window.byte(at - grown.offset) {
                grown.length = (grown.length + 1).min(MAX_LENGTH);
            } else {
                grown = Match { length: SHORT_LENGTH, offset: 0 };
            }
            let mut longest = Match { length: SHORT_LENGTH, offset: 0 };
            if grown.length < NICE {
                let positions = match grown.length {
                    SHORT_LENGTH => NEW,
                    ..LONG => GROWN,
                    _ => GROWN_LONG,
                };
                let depth = Depth { positions, nice: NICE };
                self.seven.search(window, at, SHORT_LENGTH, depth, |found| {
                    let cost = cheapest(rest, &costs.lengths, at, longest.length + 1, found.length);
                    best.consider(cost + costs.offset(found.offset), found.offset);
                    longest = found;
                });
            }
            if grown.length > longest.length {
                let cost = cheapest(rest, &costs.lengths, at, longest.length + 1, grown.length);
                best.consider(cost + costs.offset(grown.offset), grown.offset);
                longest = grown;
            }
            grown = longest;

            rest[PAD + at] = best.cost & !LENGTH_MASK;
            self.choices[at] = best.packed();
        }
    }

    /// Follows the choices from the beginning.
    fn follow(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        let (mut at, mut start) = (0, 0);
        while at < window.len() {
            let choice = self.choices[at];
            if choice == 0 {
                at += 1;
                continue;
            }
            let (length, offset) = (choice % 512, choice >> 9);
            tokens.push(Token { literals: (at - start) as u32, length, offset });
            at += length as usize;
            start = at;
        }
        super::finish(window, start, tokens);
    }
}

/// What the cheapest length for a match costs, without its offset, and what is behind it: any from `shortest` to
/// `longest`, and perhaps a shorter one.
#[inline(always)]
fn cheapest(
    rest: &[i32; PAD + MAX_LEN + LANES],
    lengths: &[i32; PAD + MAX_LENGTH + 1],
    at: usize,
    shortest: usize,
    mut longest: usize,
) -> i32 {
    let mut lanes = [i32::MAX; LANES];
    loop {
        // The lengths that end with the longest.
        let first = PAD + longest + 1 - LANES;
        let costs: &[i32; LANES] = lengths[first..].first_chunk().expect("there is padding");
        let ends: &[i32; LANES] = rest[at + first..].first_chunk().expect("there is padding");
        for lane in 0..LANES {
            lanes[lane] = lanes[lane].min(costs[lane] + ends[lane]);
        }
        if longest < shortest + LANES {
            break;
        }
        longest = (longest - LANES).min(DENSE);
    }
    lanes.into_iter().fold(i32::MAX, i32::min)
}
