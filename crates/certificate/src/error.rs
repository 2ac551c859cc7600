use std::path::PathBuf;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no key or no certificate. No message holds a part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key's file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system has no randomness to give.
    #[error("no randomness from the system: {0}")]
    Randomness(String),
    /// A key file contradicts its format, or its numbers each other.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where, in the DER that the PEM text holds.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A key of a kind that is not handled.
    #[error("unsupported {at}: {reason}")]
    Unsupported {
        /// Where, in the DER that the PEM text holds.
        at: At,
        /// What was found, and what is handled.
        reason: String,
    },
    /// Something is too large, or there is too much of it.
    #[error("{what} {found} exceeds {limit}")]
    Limit {
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest that is taken.
        limit: u64,
    },
    /// What was asked for cannot be in a certificate.
    #[error("no certificate for {0}")]
    Request(String),
}
