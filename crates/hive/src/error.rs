use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a hive, or a part of one, cannot be read, changed or written.
///
/// Offsets are absolute in the file: a cell's offset, which counts from the first bin, plus 4096.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{action} {path}")]
    Io {
        /// What was being done: "reading", "renaming".
        action: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The hive or its log contradicts itself or the format.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The hive is (as far as seen) in order, but uses something that this crate does not read.
    #[error("unsupported {at}: {feature}")]
    Unsupported {
        /// Where.
        at: At,
        /// What it uses.
        feature: String,
    },
    /// Something is larger than the format, or Windows, allows.
    #[error("{at}: {what} {found} exceeds the limit of {limit}")]
    Limit {
        /// Where it is, or would be stored.
        at: At,
        /// Which size or count.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// The hive was not written to its end: its last changes are in its `.LOG1` and `.LOG2`.
    #[error("hive is dirty (sequence numbers {primary} and {secondary}): {reason}")]
    Dirty {
        /// The sequence number that is set before writing.
        primary: u32,
        /// The one that is set after it.
        secondary: u32,
        /// What is missing to recover it.
        reason: String,
    },
    /// A name that no key or value can have.
    #[error("name {name:?} {reason}")]
    Name {
        /// The name, with what is no Unicode replaced.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Saving would lose something of what the file holds.
    #[error("saving {path} would lose data: {reason}")]
    WouldLose {
        /// The file.
        path: String,
        /// What would be lost.
        reason: String,
    },
}

impl Error {
    pub(crate) fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: &'static str, offset: u64, feature: impl Into<String>) -> Self {
        Self::Unsupported { at: At::new(what, offset), feature: feature.into() }
    }

    pub(crate) const fn limit(what: &'static str, found: u64, limit: u64) -> Self {
        Self::Limit { at: At::new("hive", 0), what, found, limit }
    }
}
