use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a cabinet or a package, or a part of one, cannot be read. Offsets are absolute in the file that is named, or in the
/// one that was opened when none is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading {at}")]
    Io {
        /// Where.
        at: At,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file contradicts the format or itself.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The file uses a part of the format that is not implemented.
    #[error("unsupported {at}: {feature}")]
    Unsupported {
        /// Where.
        at: At,
        /// Which.
        feature: String,
    },
    /// A size or a count passes what is accepted: see [`limits`](crate::limits).
    #[error("{at}: {what} {found} exceeds the limit of {limit}")]
    Limit {
        /// Where.
        at: At,
        /// Which.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// Something is wrong with a file that lies inside of the one that was opened.
    #[error("{path}")]
    InFile {
        /// Its path there.
        path: String,
        /// What.
        #[source]
        source: Box<Self>,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: &'static str, offset: u64, feature: impl Into<String>) -> Self {
        Self::Unsupported { at: At::new(what, offset), feature: feature.into() }
    }

    /// Nothing when `found` is within `limit`.
    pub(crate) fn limit(at: At, what: &'static str, found: u64, limit: u64) -> Result<()> {
        if found > limit { Err(Self::Limit { at, what, found, limit }) } else { Ok(()) }
    }

    pub(crate) fn in_file(self, path: &str) -> Self {
        Self::InFile { path: path.to_owned(), source: Box::new(self) }
    }
}
