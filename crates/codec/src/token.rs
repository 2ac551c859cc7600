//! The decoded stream before it becomes bytes: literal runs and matches.

/// Some literal bytes, then one match.
///
/// The literals themselves are not repeated here: they are in the decoded chunk, at the positions that the running
/// sum of `literals + length` gives. For LZX the tokens describe the chunk *before* the E8 filter, which rewrites
/// some of those bytes afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// How many literal bytes come first. The bytes of LZX's uncompressed blocks count as literals.
    pub literals: u32,
    /// Length of the match that follows, in bytes; zero in a last token that has only literals.
    pub length: u32,
    /// Distance from the match to its source, in bytes; zero when there is no match.
    pub offset: u32,
}

/// Receives tokens as they are decoded. The empty implementation costs nothing.
pub(crate) trait Observer {
    /// A match of `length` bytes fills the output from `at`, out of the bytes `offset` before it; or it is a literal.
    /// Literals need not be reported.
    fn token(&mut self, literal: bool, at: usize, length: usize, offset: usize);
}

/// Nobody listens.
pub(crate) struct Silent;

impl Observer for Silent {
    #[inline(always)]
    fn token(&mut self, _literal: bool, _at: usize, _length: usize, _offset: usize) {}
}

/// Takes tokens as they come.
pub(crate) trait Collect {
    /// The next ones.
    fn collect(&mut self, tokens: &[Token]);
}

impl Collect for Vec<Token> {
    fn collect(&mut self, tokens: &[Token]) {
        self.extend_from_slice(tokens);
    }
}

/// Collects tokens: what lies between two matches was literal.
pub(crate) struct Recorder<'a, C> {
    tokens: &'a mut C,
    end_of_last: u32,
    /// The latest matches, still with their positions in place of their literals. There is always room for one more, so
    /// that a literal can be written like a match and forgotten, without a branch.
    batch: [Token; BATCH],
    filled: usize,
}

const BATCH: usize = 64;

impl<'a> Recorder<'a, Vec<Token>> {
    /// One that replaces `tokens`.
    pub(crate) fn new(tokens: &'a mut Vec<Token>) -> Self {
        tokens.clear();
        Self::adding(tokens)
    }
}

impl<'a, C: Collect> Recorder<'a, C> {
    /// One that adds to what is there.
    pub(crate) fn adding(tokens: &'a mut C) -> Self {
        Self { tokens, end_of_last: 0, batch: [Token::default(); BATCH], filled: 0 }
    }

    /// Adds the literals after the last match of a chunk of `size` bytes.
    pub(crate) fn finish(mut self, size: usize) {
        self.flush();
        if size as u32 > self.end_of_last {
            let rest = Token { literals: size as u32 - self.end_of_last, length: 0, offset: 0 };
            self.tokens.collect(&[rest]);
        }
    }

    #[inline(never)]
    fn flush(&mut self) {
        for token in &mut self.batch[..self.filled] {
            let at = token.literals;
            token.literals = at - self.end_of_last;
            self.end_of_last = at + token.length;
        }
        self.tokens.collect(&self.batch[..self.filled]);
        self.filled = 0;
    }
}

impl<C: Collect> Observer for Recorder<'_, C> {
    #[inline(always)]
    fn token(&mut self, literal: bool, at: usize, length: usize, offset: usize) {
        // Chunks are at most 2 MiB, so everything fits.
        self.batch[self.filled % BATCH] =
            Token { literals: at as u32, length: length as u32, offset: offset as u32 };
        self.filled += usize::from(!literal);
        if self.filled == BATCH {
            self.flush();
        }
    }
}
