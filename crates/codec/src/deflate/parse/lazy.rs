//! The parser for everyday use: the best match at a position, unless the next one has a better.
//!
//! It takes 14 ns for each position it looks at, nearly all for wrong guesses; of how many candidates there are, little
//! depends. What did not help: a look at the position after the next (5 % slower, nothing); a second chain, of seven
//! bytes (0.6 % smaller, a third slower); at the next position only longer matches (3 % faster, 0.3 % larger).

use super::finder::{Depth, Links, Match, REACH};
use crate::Token;
use crate::encode::window::Window;

/// How hard to search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// At a position.
    here: Depth,
    /// At the next one, for something better.
    next: Depth,
    /// A match of this length is taken without a look at the next position.
    enough: usize,
}

/// Smaller than zlib's level 6, of programs by 2 %, of texts hardly. Half as many positions are 7 % faster, and larger than
/// zlib's on some disks.
pub(super) const THOROUGH: Search =
    Search { here: Depth { positions: 28, nice: 128 }, next: Depth { positions: 8, nice: 128 }, enough: 128 };
/// To learn what the data is like.
pub(super) const CURSORY: Search =
    Search { here: Depth { positions: 2, nice: 32 }, next: Depth { positions: 1, nice: 32 }, enough: 8 };

/// A match of three bytes from farther away is hardly cheaper than its bytes.
const FAR: usize = 1 << 12;
/// And where few values of bytes occur, each of which then takes few bits, from farther than this.
const FAR_IN_TEXT: usize = 1 << 9;
/// So few.
const TEXT: usize = 112;
/// About so many bytes are looked at to find that out.
const SAMPLE: usize = 1 << 12;
/// After so many places without a match, one place in two is searched, after twice as many one in three, and so on:
/// where everything is noise, that is soon found out.
const BARREN: usize = 1 << 8;
const MAX_SKIP: usize = 15;

/// Adds a parse to `tokens`.
#[inline(always)]
pub(super) fn parse(links: &Links, window: &Window, search: Search, tokens: &mut Vec<Token>) {
    let far = if values(window) <= TEXT { FAR_IN_TEXT } else { FAR };
    let (mut at, mut start) = (0, 0);
    // Where matches may begin.
    let end = (window.len() + 1).saturating_sub(REACH);
    while at < end {
        let mut found = links.longest(window, at, 2, far, search.here);
        if found.offset == 0 {
            at += 1 + ((at - start) / BARREN).min(MAX_SKIP);
            continue;
        }
        while found.length < search.enough && at + 1 < end {
            let next = links.longest(window, at + 1, found.length - 1, far, search.next);
            if next.offset == 0 || !better(next, found) {
                break;
            }
            at += 1;
            found = next;
        }
        tokens.push(Token {
            literals: (at - start) as u32,
            length: found.length as u32,
            offset: found.offset as u32,
        });
        at += found.length;
        start = at;
    }
    super::finish(window, start, tokens);
}

/// Whether a match is worth a literal before it, compared with one that needs none.
#[inline(always)]
fn better(next: Match, found: Match) -> bool {
    let bits = |found: Match| i64::from((found.offset as u32 | 1).ilog2());
    4 * (next.length as i64 - found.length as i64) + bits(found) - bits(next) > 2
}

/// About how many values of bytes occur.
fn values(window: &Window) -> usize {
    let mut seen = [false; 256];
    for at in (0..window.len()).step_by((window.len() / SAMPLE).max(1)) {
        seen[usize::from(window.byte(at))] = true;
    }
    seen.iter().filter(|seen| **seen).count()
}
