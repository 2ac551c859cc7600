use std::fmt;

use disk::At;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A line of an INF file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// The section as the file spells it; empty before the first one.
    pub section: String,
    /// The line, from 1; of a continued line its first. 0 for the file as a whole.
    pub line: u32,
}

/// `netkvm.inf:12 [Version]`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.section.is_empty() { Ok(()) } else { write!(f, " [{}]", self.section) }
    }
}

/// Why a driver package cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the package cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which, as the file tree names it.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// An INF file is not what Windows would accept.
    #[error("{place}: {reason}")]
    Inf {
        /// Where.
        place: Place,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A catalog or a program contradicts its format.
    #[error("malformed {at}: {reason}")]
    Malformed {
        /// Where.
        at: At,
        /// What was found, and what was expected.
        reason: String,
    },
    /// Something that is meant to be in these formats and is not handled.
    #[error("unsupported {at}: {reason}")]
    Unsupported {
        /// Where.
        at: At,
        /// What it is.
        reason: String,
    },
    /// The package has nothing for the image.
    #[error("{inf} has no devices for {target}; it has: {found}")]
    NotForTarget {
        /// The INF file.
        inf: String,
        /// The image.
        target: String,
        /// What it is for.
        found: String,
    },
    /// More of something than any real package has.
    #[error("{what}: {found} exceeds {limit}")]
    Limit {
        /// Of what, and where.
        what: String,
        /// How much there is.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
}

/// Something in a package that is passed over, or that Windows would do and this crate does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Warning {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
