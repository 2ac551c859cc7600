use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a qcow2 file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read or written.
    #[error("{doing} {at}")]
    Io {
        /// "reading" or "writing".
        doing: &'static str,
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
    /// A value passes what is accepted, or what the format can say.
    #[error("{at}: {what} {found} exceeds {limit}")]
    Limit {
        /// Where.
        at: At,
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// No qcow2 file can be made from these options.
    #[error("impossible qcow2 file: {0}")]
    Impossible(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: &'static str, offset: u64, feature: impl Into<String>) -> Self {
        Self::Unsupported { at: At::new(what, offset), feature: feature.into() }
    }

    pub(crate) fn limit(
        what: &'static str,
        offset: u64,
        which: &'static str,
        found: u64,
        limit: u64,
    ) -> Self {
        Self::Limit { at: At::new(what, offset), what: which, found, limit }
    }

    pub(crate) fn reading(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "reading", at: At::new(what, offset), source }
    }

    pub(crate) fn writing(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "writing", at: At::new(what, offset), source }
    }
}

/// An error of this crate, as [`ReadAt`](disk::ReadAt) has to tell it.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { source, .. } => source.kind(),
            Error::Unsupported { .. } => io::ErrorKind::Unsupported,
            Error::Impossible(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
