use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a volume, or with a wish for one. Offsets count from the volume's first byte.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk cannot be read.
    #[error("{at}")]
    Io {
        /// What was read.
        at: At,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The volume contradicts itself.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The volume is not one that this crate reads.
    #[error("unsupported {at}: {reason}")]
    Unsupported {
        /// Where.
        at: At,
        /// What was found.
        reason: String,
    },
    /// Something is larger than the format or this crate allows.
    #[error("{at}: {what} {found} exceeds {limit}")]
    Limit {
        /// Where.
        at: At,
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// A file cannot be stored as asked.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The volume is too small for its files, or for being FAT32 at all.
    #[error("a FAT32 volume of {len} bytes is too small: it needs {needed} bytes")]
    TooSmall {
        /// The volume's length in bytes.
        len: u64,
        /// The smallest length in bytes that would do.
        needed: u64,
    },
}
