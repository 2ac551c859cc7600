use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a VMDK.
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
    /// What is wrong with a file that the descriptor names.
    #[error("extent \"{}\"", name.escape_debug())]
    Extent {
        /// Its name.
        name: String,
        /// What.
        #[source]
        source: Box<Error>,
    },
    /// No VMDK can be made from these options.
    #[error("impossible VMDK: {0}")]
    Impossible(String),
}

impl Error {
    /// The fault itself, in whichever file it is.
    pub fn root(&self) -> &Self {
        match self {
            Self::Extent { source, .. } => source.root(),
            fault => fault,
        }
    }

    pub(crate) fn in_extent(name: &str) -> impl Fn(Self) -> Self {
        move |source| Self::Extent { name: name.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    pub(crate) fn reading(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "reading", at: At::new(what, offset), source }
    }

    pub(crate) fn writing(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "writing", at: At::new(what, offset), source }
    }
}
