use std::io;

use disk::At;

/// Why a volume cannot be planned or rendered. The caller's file name is prepended by the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content of a file, needed to render the structure at `at` (a volume offset), could not be read.
    #[error("reading the content for {at}")]
    Io {
        /// What was being rendered, and its byte offset in the volume.
        at: At,
        /// What the reader of the source said.
        #[source]
        source: io::Error,
    },
    /// An option is outside its range or contradicts another.
    #[error("{option}: {reason}")]
    Option {
        /// The field of [`Options`](crate::Options).
        option: &'static str,
        /// What was found and what is allowed.
        reason: String,
    },
    /// The tree cannot be a tree of NTFS: an illegal or duplicate name, a loop, a directory with two parents.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file, as a path with backslashes.
        path: String,
        /// What was found and what is allowed.
        reason: String,
    },
    /// Something NTFS has and this crate does not write.
    #[error("{path}: {feature} not supported")]
    Unsupported {
        /// The file, as a path with backslashes.
        path: String,
        /// What is not supported.
        feature: &'static str,
    },
    /// More of something than NTFS can hold.
    #[error("{path}: {what} is {found}, the limit is {limit}")]
    Limit {
        /// The file, as a path with backslashes; empty for the volume as a whole.
        path: String,
        /// What is counted, with its unit.
        what: &'static str,
        /// How many were found.
        found: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A security descriptor is not one.
    #[error("malformed security descriptor: {reason}")]
    Descriptor {
        /// What was found and what is allowed.
        reason: String,
    },
    /// The volume is smaller than its content.
    #[error("the volume has {found} bytes and needs at least {needed}")]
    TooSmall {
        /// The smallest length in bytes that would do.
        needed: u64,
        /// The length in bytes that was asked for.
        found: u64,
    },
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
