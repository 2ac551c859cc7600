//! The decoders again, written for clarity alone: one bit at a time, no tables, no `unsafe`.
//!
//! They define what a valid chunk is. The fast decoders must accept the same chunks and produce the same bytes;
//! tests and fuzzing compare them, and when a fast decoder refuses a chunk it asks these for the reason, so that the
//! hot loops carry no diagnostics.

pub(crate) mod huffman;
mod lzms;
mod lzx;
mod xpress;

pub use lzms::Lzms;
#[cfg(test)]
pub(crate) use lzms::{codeword_lengths, undo_x86};
pub use lzx::Lzx;
#[cfg(test)]
pub(crate) use lzx::undo_e8;
pub use xpress::Xpress;

use crate::Error;
use crate::token::Observer;

/// Copies a match byte by byte; the source may overlap what is being written.
fn copy_match(
    dst: &mut [u8],
    at: usize,
    end: usize,
    length: usize,
    offset: usize,
    observer: &mut impl Observer,
) -> Result<usize, Error> {
    if offset > at {
        return Err(Error::MatchOffset { at, offset });
    }
    if length > end - at {
        return Err(Error::MatchLength { at, length });
    }
    for i in at..at + length {
        dst[i] = dst[i - offset];
    }
    observer.token(false, at, length, offset);
    Ok(at + length)
}
