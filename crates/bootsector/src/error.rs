use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a boot sector, or with a wish for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sector contradicts itself or the disk.
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
        /// Where it would be stored.
        at: At,
        /// Which value.
        what: &'static str,
        /// The value.
        found: u64,
        /// The largest that fits.
        limit: u64,
    },
    /// The wanted partitions do not fit the disk.
    #[error("disk of {disk} bytes is too small: its partitions need {needed} bytes")]
    TooSmall {
        /// The disk's size in bytes.
        disk: u64,
        /// The smallest size in bytes that would do.
        needed: u64,
    },
    /// The partitions that were asked for contradict each other or the format.
    #[error("impossible partition table: {0}")]
    Impossible(String),
}
