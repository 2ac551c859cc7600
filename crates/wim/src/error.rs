use std::io;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a WIM, or a part of one, cannot be read.
///
/// Offsets are absolute in the WIM file, except inside an image's metadata, which is usually compressed: there `at`
/// says "in image metadata" and counts from the start of the decoded metadata.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("reading {at}")]
    Io {
        /// What was being read.
        at: At,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file contradicts itself or the format.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// The file is (as far as seen) in order, but uses something that this crate does not read.
    #[error("unsupported {at}: {feature}")]
    Unsupported {
        /// Where.
        at: At,
        /// What it uses.
        feature: String,
    },
    /// A size or count is beyond what the caller's [`Limits`](crate::Limits) allow.
    #[error("{at}: {what} {found} exceeds the limit of {limit}")]
    Limit {
        /// Where.
        at: At,
        /// Which size or count.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// Data was read and decoded without complaint, but is not what its SHA-1 says.
    #[error("damaged {at}: SHA-1 is {}, expected {}", disk::hex(found), disk::hex(expected))]
    Hash {
        /// Where the stored form begins.
        at: At,
        /// The SHA-1 in the blob table.
        expected: [u8; 20],
        /// The SHA-1 of the data.
        found: [u8; 20],
    },
    /// An image's metadata cannot be used.
    #[error("metadata of image {index}")]
    Image {
        /// Index of the image, from 1.
        index: u32,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// The caller asked for an image that is not there.
    #[error("no image {index}: the file holds {count}")]
    NoSuchImage {
        /// The index asked for, 1-based.
        index: u32,
        /// How many images there are.
        count: u32,
    },
    /// The caller asked for bytes past the end of a blob.
    #[error("{at}: bytes {start:#x}..{end:#x} requested of a blob of {size:#x} bytes")]
    OutOfRange {
        /// Where the stored form begins.
        at: At,
        /// First byte asked for.
        start: u64,
        /// The byte after the last asked for, at most `u64::MAX`.
        end: u64,
        /// Length of the blob in bytes.
        size: u64,
    },
    /// A part of a split set cannot be used.
    #[error("source {part} of the split set")]
    Part {
        /// Which of the sources that [`Wim::open_set`](crate::Wim::open_set) was given, from 0.
        part: usize,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A split set is not complete.
    #[error("part {part} of {parts} of the split set is missing")]
    MissingPart {
        /// The first one that is missing, from 1.
        part: u16,
        /// How many there should be.
        parts: u16,
    },
    /// The caller's [`Progress`](crate::verify::Progress) asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// What it is about, without the [image](Self::Image) or the [part](Self::Part) that it happened in.
    pub fn root(&self) -> &Self {
        match self {
            Self::Image { source, .. } | Self::Part { source, .. } => source.root(),
            other => other,
        }
    }

    pub(crate) fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: &'static str, offset: u64, feature: impl Into<String>) -> Self {
        Self::Unsupported { at: At::new(what, offset), feature: feature.into() }
    }

    /// The same error once more: what cannot be read fails all that depend on it.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Io { at, source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { at: *at, source }
            }
            Self::Malformed { at, reason } => Self::Malformed { at: *at, reason: reason.clone() },
            Self::Unsupported { at, feature } => Self::Unsupported { at: *at, feature: feature.clone() },
            &Self::Limit { at, what, found, limit } => Self::Limit { at, what, found, limit },
            &Self::Hash { at, expected, found } => Self::Hash { at, expected, found },
            Self::Image { index, source } => Self::Image { index: *index, source: Box::new(source.again()) },
            &Self::NoSuchImage { index, count } => Self::NoSuchImage { index, count },
            &Self::OutOfRange { at, start, end, size } => Self::OutOfRange { at, start, end, size },
            Self::Part { part, source } => Self::Part { part: *part, source: Box::new(source.again()) },
            &Self::MissingPart { part, parts } => Self::MissingPart { part, parts },
            Self::Cancelled => Self::Cancelled,
        }
    }

    pub(crate) fn io(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { at: At::new(what, offset), source }
    }
}
