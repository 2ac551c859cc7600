//! What can be wrong with a compressed chunk.

use core::fmt;

/// Which Huffman code of a stream an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// The code that carries the lengths of another code (LZX).
    Pretree,
    /// The code of literals and match headers.
    Main,
    /// The code of long match lengths (LZX).
    Length,
    /// The code of the low three bits of an offset (LZX).
    AlignedOffset,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pretree => "pretree code",
            Self::Main => "main code",
            Self::Length => "length code",
            Self::AlignedOffset => "aligned offset code",
        })
    }
}

/// Why a chunk cannot be decoded.
///
/// `at` is a byte offset: in the compressed data for faults of a header or a code, in the decompressed chunk for
/// faults of a match (the place that the match was to fill).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A decoder was asked for with a chunk size that the format does not have.
    ChunkSize {
        /// The size asked for, in bytes.
        size: usize,
    },
    /// The output buffer is larger than a chunk can be.
    OutputSize {
        /// Length of the buffer, in bytes.
        size: usize,
        /// The largest chunk of this decoder, in bytes.
        limit: usize,
    },
    /// Compressed data of a length that its format does not have.
    InputSize {
        /// Length of the data, in bytes.
        size: usize,
    },
    /// The compressed data ends before the output is complete.
    Truncated {
        /// How many bytes were decoded before the data ran out.
        produced: usize,
    },
    /// A block of a type that LZX does not have.
    BlockType {
        /// Where in the compressed data.
        at: usize,
        /// The three bits found.
        found: u8,
    },
    /// A block that is empty, or larger than what remains of the chunk.
    BlockSize {
        /// Where in the compressed data.
        at: usize,
        /// The size found, in bytes.
        found: usize,
        /// How many bytes of the chunk remain.
        remaining: usize,
    },
    /// A Huffman code with too many codewords, or too few.
    IncompleteCode {
        /// Where in the compressed data its lengths end.
        at: usize,
        /// Which code.
        code: Code,
    },
    /// A run of codeword lengths that leaves the list, or repeats something that is not a length.
    CodeLengths {
        /// Where in the compressed data.
        at: usize,
    },
    /// A match needs a symbol of the length code, which has none.
    EmptyLengthCode {
        /// Where in the compressed data.
        at: usize,
    },
    /// An uncompressed block sets a repeat offset that no chunk can use.
    RepeatOffset {
        /// Where in the compressed data.
        at: usize,
        /// The offset found.
        found: u32,
    },
    /// A match that begins before the chunk.
    MatchOffset {
        /// Where in the decompressed chunk.
        at: usize,
        /// How far back the match reaches.
        offset: usize,
    },
    /// The range coder does not end with what it was closed with (LZMS).
    RangeCode {
        /// What is left over, which should be zero.
        found: u32,
    },
    /// A match that ends after its block or chunk, or whose length is written in a form that is reserved.
    MatchLength {
        /// Where in the decompressed chunk.
        at: usize,
        /// The length found.
        length: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ChunkSize { size } => write!(f, "chunks of {size} bytes do not exist in this format"),
            Self::OutputSize { size, limit } => {
                write!(f, "chunk of {size} bytes is larger than {limit}, the largest here")
            }
            Self::InputSize { size } => {
                write!(f, "compressed data of {size} bytes does not exist in this format")
            }
            Self::Truncated { produced } => {
                write!(f, "compressed data ends after {produced} bytes of the chunk")
            }
            Self::BlockType { at, found } => write!(f, "unknown block type {found} at {at:#x}"),
            Self::BlockSize { at, found, remaining } => {
                write!(f, "block size {found} at {at:#x}, but {remaining} bytes of the chunk remain")
            }
            Self::IncompleteCode { at, code } => {
                write!(f, "the lengths of the {code} that end at {at:#x} do not make a complete code")
            }
            Self::CodeLengths { at } => write!(f, "invalid run of codeword lengths at {at:#x}"),
            Self::EmptyLengthCode { at } => {
                write!(f, "match at {at:#x} needs the length code, which is empty")
            }
            Self::RepeatOffset { at, found } => write!(f, "invalid repeat offset {found:#x} at {at:#x}"),
            Self::MatchOffset { at, offset } => {
                write!(f, "match for chunk offset {at:#x} reaches {offset} bytes back, before the chunk")
            }
            Self::RangeCode { found } => {
                write!(f, "the range coder ends with {found:#x} left over instead of zero")
            }
            Self::MatchLength { at, length } => {
                write!(f, "match for chunk offset {at:#x} has the invalid length {length}")
            }
        }
    }
}

impl core::error::Error for Error {}
