//! The parser for everyday use: the best match at a position, unless the next one has a better.

use super::finder::{Depth, Links, Match, REACH};
use crate::Token;
use crate::encode::window::Window;

const HERE: Depth = Depth { positions: 8, nice: 64 };
const NEXT: Depth = Depth { positions: HERE.positions / 2, ..HERE };
/// A match of three bytes from farther away is hardly cheaper than its bytes.
const FAR: usize = 1 << 12;
/// After so many places without a match, one place in two is searched, after twice as many one in three, and so on:
/// where everything is noise, that is soon found out.
const BARREN: usize = 1 << 8;
const MAX_SKIP: usize = 15;

/// Adds a parse to `tokens`.
pub(super) fn parse(links: &Links, window: &Window, tokens: &mut Vec<Token>) {
    let (mut at, mut start) = (0, 0);
    // Where matches may begin.
    let end = (window.len() + 1).saturating_sub(REACH);
    while at < end {
        let mut found = links.longest(window, at, 2, FAR, HERE);
        if found.offset == 0 {
            at += 1 + ((at - start) / BARREN).min(MAX_SKIP);
            continue;
        }
        while found.length < HERE.nice && at + 1 < end {
            let next = links.longest(window, at + 1, found.length - 1, FAR, NEXT);
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
