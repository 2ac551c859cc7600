//! The parsers: which bytes of a grain become literals, and which are copied from where.
//!
//! A grain is small enough to be looked at as a whole. First a pass without branches notes for each position the last
//! one before it that begins alike (a [`Chain`](finder::Chain), and a variant of it in [`fast`]); then a parser looks
//! around in what was noted. Nothing has to be put into tables while it goes, and it may go in any order.
//!
//! From there on, time is lost where the processor guesses wrong, about 5 ns at each place where a match begins or not,
//! is longer or not; hardly by looking at more candidates. So the fast parser and the best one compare a fixed number
//! of candidates without asking, and the lazy one, which asks, looks at few positions.
//!
//! Everything is the same on every machine: costs are whole numbers.

use crate::Token;
use crate::encode::window::Window;

mod fast;
mod finder;
mod lazy;
mod optimal;

/// How hard to look for a short encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// Takes the longer of the last two matches, or that of the next position if it is longer. About as small as zlib's
    /// level 3.
    Fast,
    /// Looks at several matches at a position, and at those of the next ones before taking one. Of programs 2 % smaller
    /// than zlib's level 6.
    #[default]
    Default,
    /// Seeks the cheapest of all ways to write the data: 4 to 5 % smaller than zlib's level 6, in three to five times
    /// the time of [`Effort::Default`].
    Best,
}

/// Parses grains. All of it is scratch: nothing of one grain reaches the next.
#[derive(Clone, Debug)]
pub(crate) struct Parser(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Fast(Box<fast::Fast>),
    Default(Box<finder::Links>),
    Best(Box<optimal::Optimal>),
}

impl Parser {
    /// Matches are no farther than `reach`, which is at most what the format allows.
    pub(crate) fn new(effort: Effort, reach: usize) -> Self {
        let kind = match effort {
            Effort::Fast => Kind::Fast(Box::new(fast::Fast::new(reach))),
            Effort::Default => Kind::Default(Box::new(finder::Links::new(reach))),
            Effort::Best => Kind::Best(Box::new(optimal::Optimal::new(reach))),
        };
        Self(kind)
    }

    /// Replaces `tokens` by a parse of what `window` holds.
    pub(crate) fn parse(&mut self, window: &Window, tokens: &mut Vec<Token>) {
        tokens.clear();
        match &mut self.0 {
            Kind::Fast(fast) => fast.parse(window, tokens),
            Kind::Default(links) => {
                links.load(window);
                lazy::parse(links, window, lazy::THOROUGH, tokens);
            }
            Kind::Best(optimal) => optimal.parse(window, tokens),
        }
    }
}

/// Adds the literals from `start` on to a parse.
fn finish(window: &Window, start: usize, tokens: &mut Vec<Token>) {
    if start < window.len() {
        tokens.push(Token { literals: (window.len() - start) as u32, length: 0, offset: 0 });
    }
}

#[cfg(test)]
mod tests;
