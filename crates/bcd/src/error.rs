use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a store, or with a wish for one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The hive that holds the store cannot be read or written.
    #[error(transparent)]
    Hive(#[from] hive::Error),
    /// Bytes that the format does not allow. The offset counts from the beginning of the element's data.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The hive is sound, but it is not a store.
    #[error("not a BCD store: {0}")]
    NotAStore(String),
    /// A structure is nested or sized beyond what this crate follows.
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
    /// Text that does not say what its element can hold.
    #[error("{text:?} is not {expected}")]
    Text {
        /// What was given.
        text: String,
        /// What would do.
        expected: String,
    },
    /// There is no such object or element.
    #[error("{0}")]
    NotFound(String),
    /// Wishes that contradict each other or the format.
    #[error("impossible boot configuration: {0}")]
    Impossible(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, offset: usize, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset as u64), reason: reason.into() }
    }

    pub(crate) fn text(text: &str, expected: impl Into<String>) -> Self {
        Self::Text { text: text.to_owned(), expected: expected.into() }
    }
}
