use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The package could not be written.
    #[error("{doing} {at}")]
    Io {
        /// "writing" or "reading".
        doing: &'static str,
        /// Where.
        at: At,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A value passes what the format can say, or what consumers accept.
    #[error("{what} {found} exceeds {limit}")]
    Limit {
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest that is accepted.
        limit: u64,
    },
    /// No package can be made from this.
    #[error("impossible package: {0}")]
    Impossible(String),
}

impl Error {
    pub(crate) fn writing(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "writing", at: At::new(what, offset), source }
    }

    pub(crate) fn impossible(reason: impl Into<String>) -> Self {
        Self::Impossible(reason.into())
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            // The place is said by the error; the kind is what callers look at (a full disk).
            Error::Io { ref source, .. } => Self::new(source.kind(), error),
            _ => Self::new(io::ErrorKind::InvalidInput, error),
        }
    }
}
