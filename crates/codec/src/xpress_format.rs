//! The numbers of XPRESS with Huffman coding (MS-XCA "LZ77+Huffman"), as WIM and Compact OS use it.

/// The largest chunk; offsets and lengths have 16 bits.
pub(crate) const MAX_CHUNK: usize = 1 << 16;
/// Literals, and 16 offset magnitudes times 16 length nibbles.
pub(crate) const SYMBOLS: usize = 512;
/// A chunk begins with a 4-bit codeword length for each symbol, low nibble first.
pub(crate) const LENGTHS_BYTES: usize = SYMBOLS / 2;
/// Symbols that stand for bytes.
pub(crate) const LITERALS: usize = 256;
/// The length nibble that announces a longer length in a loose byte.
pub(crate) const LONG_LENGTH: usize = 15;
/// Added to every coded length.
pub(crate) const MIN_MATCH: usize = 3;
