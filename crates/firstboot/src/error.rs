//! What can be wrong with wishes, and with the files they come with. No message holds a secret.

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A wish is not one that Windows can fulfil.
    #[error("{what}: {reason}")]
    Wish {
        /// The wish, by the name of its option or table: `computer-name`, `[[account]] vagrant`.
        what: String,
        /// What was found, and what was expected.
        reason: String,
    },
    /// A file that came with the wishes is not what it should be: the answer file, the domain blob, the existing
    /// `SetupComplete.cmd`.
    #[error("malformed {what} at byte {offset:#x}: {reason}")]
    Malformed {
        /// Which file.
        what: String,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What was found, and what was expected.
        reason: String,
    },
    /// It is too large or too deep.
    #[error("{what}: {found} exceeds {limit}")]
    Limit {
        /// What is counted, and of what.
        what: String,
        /// How much was found.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// The user's answer file and an option want different things.
    #[error("{file}: {setting} says {theirs}, and {option} says {ours}; remove one of them")]
    Conflict {
        /// The answer file, as its owner calls it.
        file: String,
        /// Pass, component and element: `specialize Microsoft-Windows-Shell-Setup/ComputerName`.
        setting: String,
        /// What the file says, or `another value` for secrets.
        theirs: String,
        /// The option that wants something else.
        option: String,
        /// What it wants, or `another value` for secrets.
        ours: String,
    },
    /// The image cannot be asked for this.
    #[error("{what}: {reason}")]
    Unsupported {
        /// The wish, by the name of its option or table.
        what: String,
        /// What the image lacks.
        reason: String,
    },
}

impl Error {
    pub(crate) fn wish(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Wish { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), reason: reason.into() }
    }
}
