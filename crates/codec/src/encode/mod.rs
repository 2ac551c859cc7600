//! What encoders are made of: a chunk as encoders look at it, matches within it, and codes for what was chosen.
//!
//! No `unsafe` here, and yet hardly a bounds check in the loops: the tables have 2^16 entries or a little more, and
//! are indexed by 16-bit numbers.

pub(crate) mod huffman;
pub(crate) mod logarithm;
pub(crate) mod matches;
pub(crate) mod window;
