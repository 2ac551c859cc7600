//! DEFLATE for grains: short pieces of data, each a zlib stream of its own, many of which were compressed before.

mod block;
mod format;
mod parse;
mod recode;
mod tokens;

pub use self::parse::Effort;
pub use self::tokens::{Note, Tokens};

use self::block::Writer;
use self::parse::Parser;
use self::recode::Recoder;
use crate::Token;
use crate::encode::window::Window;

/// The most that is compressed at once.
const MAX_LEN: usize = 1 << 16;

/// Makes zlib streams (RFC 1950) of at most 64 KiB of data each.
///
/// The state is scratch memory that is reused from one to the next; a result depends on nothing but the data, the
/// tokens, and the effort.
#[derive(Clone, Debug)]
pub struct Deflater {
    effort: Effort,
    window: Window,
    parser: Parser,
    recoder: Recoder,
    writer: Writer,
    parse: Vec<Token>,
}

impl Deflater {
    /// An encoder that tries as hard as `effort` says.
    pub fn new(effort: Effort) -> Self {
        Self {
            effort,
            window: Window::new(),
            parser: Parser::new(effort),
            recoder: Recoder::new(),
            writer: Writer::new(),
            parse: Vec::new(),
        }
    }

    /// Appends the zlib stream of `data` to `out`: at most 11 bytes more than the data, and 5 more behind 65,535.
    ///
    /// `tokens` may say how the data was compressed before, where `base` is the place of the data in what it speaks of.
    ///
    /// # Panics
    /// When `data` is longer than 64 KiB.
    pub fn zlib(&mut self, data: &[u8], tokens: &Tokens, base: usize, out: &mut Vec<u8>) {
        assert!(data.len() <= MAX_LEN, "{} bytes at once", data.len());
        self.window.load(data);
        let known = tokens.known(base..base + data.len());
        // Where time is short, fewer places are considered for the borders of blocks.
        let segment = if self.effort != Effort::Best && known > data.len() / 2 {
            self.recoder.recode(&self.window, tokens, base, &mut self.parse);
            block::COARSE
        } else {
            self.parser.parse(&self.window, &mut self.parse);
            if self.effort == Effort::Fast { block::COARSE } else { block::FINE }
        };
        self.writer.zlib(data, &self.window, &self.parse, segment, out);
    }
}
