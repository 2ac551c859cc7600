use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a security descriptor. Offsets count from its first byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The descriptor contradicts itself.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A value does not fit the format.
    #[error("{at}: {what} {found} exceeds {limit}")]
    Limit {
        /// Where it is, or would be stored.
        at: At,
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest that fits.
        limit: u64,
    },
    /// A part of a text that is not SDDL, or SDDL that needs a machine or a domain to have a meaning.
    #[error("{0:?} in a security descriptor is not understood")]
    NotUnderstood(String),
}

impl Error {
    pub(crate) fn malformed(what: &'static str, offset: usize, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset as u64), reason: reason.into() }
    }

    /// The part is cut: texts come from files of others, and errors go to terminals.
    pub(crate) fn not_understood(part: &str) -> Self {
        Self::NotUnderstood(part.chars().take(60).collect())
    }
}
