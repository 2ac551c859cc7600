//! The cheapest way to write a chunk.
//!
//! What an item costs depends on the code, and the code on the items. So the costs are guessed at first, then taken
//! from the items that these costs lead to, and so on. With given costs the best items are found from the end: the
//! cheapest way to write what begins at a place is a literal or one of its matches, and then the cheapest way from
//! where that ends. XPRESS makes this exact, because nothing else connects an item with those before it.

use super::{Items, LONGER_LENGTH, symbol};
use crate::encode::logarithm::{self, log2};
use crate::encode::matches::{Chains, Effort, Match, REACH};
use crate::encode::window::Window;
use crate::xpress_format::{LITERALS, LONG_LENGTH, MAX_CHUNK, MIN_MATCH, SYMBOLS};

/// A match this long is taken at once, and no others are sought inside of it.
const EFFORT: Effort = Effort { depth: 64, nice: 96 };

/// How often items are chosen, of which the last counts. A third time saves 0.05 %.
const ROUNDS: usize = 2;

/// The unit of costs is this part of a bit.
const BIT: u32 = logarithm::BIT;
/// What a symbol costs that did not occur.
const RARE: u32 = 14 * BIT;

#[derive(Clone, Debug)]
pub(super) struct Optimal {
    /// The matches of all places, in the order of their places and lengths.
    matches: Vec<Match16>,
    /// For each place, where its matches end in that list.
    ends: Vec<u32>,
    costs: Box<[u32; SYMBOLS]>,
    /// For each place, what everything from there on costs.
    from: Vec<u32>,
    /// For each place, the item that is best there, as in [`Items`].
    choices: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Match16 {
    /// Less [`MIN_MATCH`].
    coded: u16,
    offset: u16,
}

impl Optimal {
    pub(super) fn new() -> Self {
        Self {
            matches: Vec::with_capacity(MAX_CHUNK),
            ends: Vec::with_capacity(MAX_CHUNK),
            costs: Box::new([0; SYMBOLS]),
            from: vec![0; MAX_CHUNK + 1],
            choices: vec![0; MAX_CHUNK],
        }
    }

    pub(super) fn parse(&mut self, window: &Window, chains: &mut Chains, items: &mut Items) {
        self.find(window, chains);
        self.guess(window, items);
        for _ in 0..ROUNDS {
            self.learn(items);
            self.choose(window);
            items.clear();
            let mut at = 0;
            while at < window.len() {
                let choice = self.choices[at];
                if choice >> 16 == 0 {
                    items.literal(choice as u8);
                    at += 1;
                } else {
                    let length = (choice & 0xFFFF) as usize + MIN_MATCH;
                    items.matched(Match { length, offset: (choice >> 16) as usize });
                    at += length;
                }
            }
        }
    }

    /// Lists the matches of all places.
    fn find(&mut self, window: &Window, chains: &mut Chains) {
        self.matches.clear();
        self.ends.clear();
        let end = (window.len() + 1).saturating_sub(REACH);
        let mut at = 0;
        while at < end {
            let first = self.matches.len();
            chains.search(window, at, MIN_MATCH - 1, EFFORT, |Match { length, offset }| {
                let found = Match16 { coded: (length - MIN_MATCH) as u16, offset: offset as u16 };
                match self.matches[first..].last_mut() {
                    // Offsets of one magnitude cost the same, so the longer match is as good as both.
                    Some(last) if last.offset.ilog2() == found.offset.ilog2() => *last = found,
                    _ => self.matches.push(found),
                }
            });
            self.ends.push(self.matches.len() as u32);
            at += 1;
            let longest =
                self.matches[first..].last().map_or(0, |found| usize::from(found.coded) + MIN_MATCH);
            if longest >= EFFORT.nice {
                let behind = at - 1 + longest;
                chains.skip(window, at..behind.min(end));
                self.ends.resize(behind, self.matches.len() as u32);
                at = behind;
            }
        }
        self.ends.resize(window.len(), self.matches.len() as u32);
    }

    /// Counts what taking the longest match everywhere would lead to.
    fn guess(&mut self, window: &Window, items: &mut Items) {
        let (mut at, mut first) = (0, 0);
        while at < window.len() {
            let end = self.ends[at] as usize;
            match self.matches[first..end].last() {
                Some(found) if found.coded > 0 || found.offset < 1 << 12 => {
                    let length = usize::from(found.coded) + MIN_MATCH;
                    items.matched(Match { length, offset: usize::from(found.offset) });
                    at += length;
                }
                _ => {
                    items.literal(window.byte(at));
                    at += 1;
                }
            }
            first = self.ends[at - 1] as usize;
        }
    }

    /// Takes the costs from how often the items' symbols occur.
    fn learn(&mut self, items: &Items) {
        let total = log2(items.list.len() as u32 + 1);
        for (symbol, (cost, frequency)) in self.costs.iter_mut().zip(&*items.frequencies).enumerate() {
            let bits = if *frequency == 0 { RARE } else { (total - log2(*frequency)).clamp(BIT / 2, RARE) };
            let extra = symbol.saturating_sub(LITERALS) as u32 / 16 * BIT;
            let loose = if symbol >= LITERALS && symbol % 16 == LONG_LENGTH { 8 * BIT } else { 0 };
            *cost = bits + extra + loose;
        }
    }

    /// Finds the best item for each place.
    fn choose(&mut self, window: &Window) {
        self.from[window.len()] = 0;
        for at in (0..window.len()).rev() {
            let byte = window.byte(at);
            // Cost above choice, so that the smaller number is the cheaper choice, and no branch is needed.
            let option = |cost: u32, choice: u32| u64::from(cost) << 32 | u64::from(choice);
            let mut best = option(self.costs[usize::from(byte)] + self.from[at + 1], u32::from(byte));
            let first = if at == 0 { 0 } else { self.ends[at - 1] as usize };
            let mut next = 0;
            for found in &self.matches[first..self.ends[at] as usize] {
                let coded = usize::from(found.coded);
                let offset = u32::from(found.offset);
                let costs: &[u32; 16] =
                    self.costs[symbol(offset, 0)..].first_chunk().expect("sixteen lengths");
                let ends = &self.from[at + MIN_MATCH..=at + MIN_MATCH + coded];
                for (coded, (cost, from)) in costs[..LONG_LENGTH].iter().zip(ends).enumerate().skip(next) {
                    best = best.min(option(cost + from, offset << 16 | coded as u32));
                }
                // All lengths with one loose byte cost the same, so the longest will do; and those with three.
                if coded >= LONG_LENGTH {
                    let shorter = coded.min(LONGER_LENGTH - 1);
                    let cost = costs[LONG_LENGTH] + ends[shorter];
                    best = best.min(option(cost, offset << 16 | shorter as u32));
                    if coded > shorter {
                        let cost = costs[LONG_LENGTH] + 16 * BIT + ends[coded];
                        best = best.min(option(cost, offset << 16 | coded as u32));
                    }
                }
                next = coded + 1;
            }
            self.from[at] = (best >> 32) as u32;
            self.choices[at] = best as u32;
        }
    }
}
