//! Files that stay compressed on the disk.

use super::named::named;

/// How files are kept compressed ("Compact OS").
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Compact {
    /// How they are compressed; `None` takes what the source has, or XPRESS with chunks of 8 KiB where Windows has no
    /// such thing.
    pub algorithm: Option<Algorithm>,
    /// Take for granted that Windows will find the driver that reads such files, though the image lacks it.
    pub assume_driver: bool,
    /// Decode what is copied in compressed form, to compare its SHA-1. Without, only its chunk tables are checked.
    pub verify_source: bool,
}

/// A codec of Compact OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Algorithm {
    /// LZX in chunks of 32 KiB: the smallest. Only ever copied from a source that has it.
    Lzx,
    /// XPRESS in chunks of 4 KiB: the fastest to read.
    Xpress4k,
    /// XPRESS in chunks of 8 KiB.
    Xpress8k,
    /// XPRESS in chunks of 16 KiB.
    Xpress16k,
}

impl Algorithm {
    /// The number that a reparse point gives it (`FILE_PROVIDER_COMPRESSION_*`).
    pub fn number(self) -> u32 {
        match self {
            Self::Xpress4k => 0,
            Self::Lzx => 1,
            Self::Xpress8k => 2,
            Self::Xpress16k => 3,
        }
    }

    /// Bytes that are compressed together.
    pub fn chunk_size(self) -> u32 {
        match self {
            Self::Xpress4k => 4 << 10,
            Self::Xpress8k => 8 << 10,
            Self::Xpress16k => 16 << 10,
            Self::Lzx => 32 << 10,
        }
    }
}

named! { Algorithm, "algorithm":
    Lzx => "lzx",
    Xpress4k => "xpress4k",
    Xpress8k => "xpress8k",
    Xpress16k => "xpress16k",
}
