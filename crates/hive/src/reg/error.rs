use crate::paths;

/// What is wrong with a `.reg` file, or why one cannot be written. Whoever opened the file puts its name in front.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not in the grammar of `.reg` files.
    #[error("line {line}, column {column}: found {found}, expected {expected}")]
    Malformed {
        /// From 1.
        line: u32,
        /// From 1, in characters.
        column: u32,
        /// What is there.
        found: String,
        /// What could be there.
        expected: &'static str,
    },
    /// A name is longer than Windows allows, or a path deeper.
    #[error("line {line}, column {column}: {what} {found} exceeds {limit}")]
    TooLong {
        /// From 1.
        line: u32,
        /// From 1, in characters.
        column: u32,
        /// What has a length.
        what: &'static str,
        /// The length.
        found: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// The file is of a kind that is not read.
    #[error("{0}")]
    Unsupported(String),
    /// The bytes are no text.
    #[error("{0}")]
    Encoding(String),
    /// The file exceeds a limit of this reader.
    #[error("has {found} {what}, more than {limit}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// How many.
        found: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A name or a value has no form in the kind of file that is written.
    #[error("[{key}]: {what}")]
    Inexpressible {
        /// The key that it is or belongs to.
        key: String,
        /// What it is, and what to do.
        what: String,
    },
    /// An operation's key lies nowhere, or not where it is looked for.
    #[error("{}{problem}", At(*line))]
    Path {
        /// The line that asks for it; 0 when it comes from no file.
        line: u32,
        /// Why. It is part of the text, and so no source.
        problem: paths::Error,
    },
    /// An operation cannot be carried out on this hive.
    #[error("{}[{key}]: {reason}", At(*line))]
    Refused {
        /// The line that asks for it; 0 when it comes from no file.
        line: u32,
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
}

/// `line 3: `, or nothing.
struct At(u32);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "line {}: ", self.0) }
    }
}
