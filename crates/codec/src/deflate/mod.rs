//! DEFLATE for grains: short pieces of data, each a zlib stream of its own, many of which were compressed before.

mod block;
mod format;
mod parse;
mod recode;
mod tokens;

pub use self::parse::Effort;
pub use self::tokens::{Note, Tokens};

use self::block::Writer;
use self::format::MAX_OFFSET;
use self::parse::Parser;
use self::recode::Recoder;
use crate::Token;
use crate::encode::window::Window;

/// The most that is compressed at once.
const MAX_LEN: usize = 1 << 16;

/// Makes zlib streams (RFC 1950), or plain DEFLATE (RFC 1951), of at most 64 KiB of data each.
///
/// The state is scratch memory that is reused from one to the next; a result depends on nothing but the data, the
/// tokens, and the effort.
#[derive(Clone, Debug)]
pub struct Deflater {
    effort: Effort,
    /// How far back matches may reach.
    reach: usize,
    window: Window,
    parser: Parser,
    recoder: Recoder,
    writer: Writer,
    parse: Vec<Token>,
}

impl Deflater {
    /// An encoder that tries as hard as `effort` says.
    pub fn new(effort: Effort) -> Self {
        Self::with_reach(effort, MAX_OFFSET)
    }

    /// One for inflaters that look back no farther than 4 KiB, with [`raw`](Self::raw): those of qcow2 files
    /// (observed: qemu 7.2 and 10 ask zlib for windows of 12 bits).
    pub fn within_4_kib(effort: Effort) -> Self {
        Self::with_reach(effort, 4 << 10)
    }

    fn with_reach(effort: Effort, reach: usize) -> Self {
        Self {
            effort,
            reach,
            window: Window::new(),
            parser: Parser::new(effort, reach),
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
    /// When `data` is longer than 64 KiB, or the encoder was made for [`raw`](Self::raw) streams with a short reach.
    pub fn zlib(&mut self, data: &[u8], tokens: &Tokens, base: usize, out: &mut Vec<u8>) {
        assert!(data.len() <= MAX_LEN, "{} bytes at once", data.len());
        assert!(self.reach == MAX_OFFSET, "zlib's header would announce 32 KiB, tokens reach as far");
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

    /// Appends `data` to `out` as DEFLATE blocks without any framing: at most 5 bytes more than the data, and 5 more
    /// behind 65,535.
    ///
    /// # Panics
    /// When `data` is longer than 64 KiB.
    pub fn raw(&mut self, data: &[u8], out: &mut Vec<u8>) {
        assert!(data.len() <= MAX_LEN, "{} bytes at once", data.len());
        self.window.load(data);
        self.parser.parse(&self.window, &mut self.parse);
        let segment = if self.effort == Effort::Fast { block::COARSE } else { block::FINE };
        self.writer.raw(data, &self.window, &self.parse, segment, out);
    }
}
