use std::io;

use crate::{At, Misplaced};

/// What went wrong with a container: the error of every crate that writes or reads one.
///
/// The containers fail in the same few ways, and callers treat them alike, so they share one type; the place says which
/// structure of which format it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
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
    /// What is wrong with another file that the container names and is made of.
    #[error("extent \"{}\"", name.escape_debug())]
    Extent {
        /// Its name.
        name: String,
        /// What.
        #[source]
        source: Box<ContainerError>,
    },
    /// No container can be made from these options, or from this disk and this parent.
    #[error("impossible {what}: {reason}")]
    Impossible {
        /// The container, as in "VHD".
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl ContainerError {
    /// The fault itself, in whichever file it is.
    pub fn root(&self) -> &Self {
        match self {
            Self::Extent { source, .. } => source.root(),
            fault => fault,
        }
    }

    /// [`Malformed`](Self::Malformed) structure `what` at byte `offset`.
    pub fn malformed(what: &'static str, offset: u64, reason: impl Into<String>) -> Self {
        Self::Malformed { at: At::new(what, offset), reason: reason.into() }
    }

    /// [`Unsupported`](Self::Unsupported) structure `what` at byte `offset`.
    pub fn unsupported(what: &'static str, offset: u64, feature: impl Into<String>) -> Self {
        Self::Unsupported { at: At::new(what, offset), feature: feature.into() }
    }

    /// [`Limit`](Self::Limit): `found` is more than `limit` in structure `what` at byte `offset`.
    pub fn limit(what: &'static str, offset: u64, which: &'static str, found: u64, limit: u64) -> Self {
        Self::Limit { at: At::new(what, offset), what: which, found, limit }
    }

    /// What is wrong with the [other file](Self::Extent) `name`.
    pub fn in_extent(name: &str) -> impl Fn(Self) -> Self {
        move |source| Self::Extent { name: name.to_owned(), source: Box::new(source) }
    }

    /// [`Impossible`](Self::Impossible) container `what`.
    pub fn impossible(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Impossible { what, reason: reason.into() }
    }

    /// [`Impossible`](Self::Impossible) container `what`, for `allocated` ranges that no disk has.
    pub fn misplaced(what: &'static str) -> impl FnOnce(Misplaced) -> Self {
        move |misplaced| Self::impossible(what, misplaced.to_string())
    }

    /// [`Io`](Self::Io) while structure `what` at byte `offset` is read.
    pub fn reading(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "reading", at: At::new(what, offset), source }
    }

    /// [`Io`](Self::Io) while structure `what` at byte `offset` is written.
    pub fn writing(what: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: "writing", at: At::new(what, offset), source }
    }
}

/// As [`ReadAt`](crate::ReadAt) has to tell it.
impl From<ContainerError> for io::Error {
    fn from(error: ContainerError) -> Self {
        let kind = match error.root() {
            ContainerError::Io { source, .. } => source.kind(),
            ContainerError::Unsupported { .. } => io::ErrorKind::Unsupported,
            ContainerError::Impossible { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_fault_is_found_in_whichever_file_it_is() {
        let fault = ContainerError::malformed("VMDK header", 0x200, "capacity 0, expected some");
        let inside = ContainerError::Extent { name: "a\n.vmdk".to_owned(), source: Box::new(fault) };
        assert!(matches!(inside.root(), ContainerError::Malformed { .. }));
        assert_eq!(inside.to_string(), "extent \"a\\n.vmdk\"");
        let said = inside.source().expect("a cause").to_string();
        assert_eq!(said, "malformed VMDK header at 0x200: capacity 0, expected some");
        assert_eq!(io::Error::from(inside).kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_kind_of_a_failure_survives() {
        let full = ContainerError::writing("VHD", 0)(io::ErrorKind::StorageFull.into());
        assert_eq!(full.to_string(), "writing VHD at 0x0");
        assert_eq!(io::Error::from(full).kind(), io::ErrorKind::StorageFull);
        let odd = ContainerError::impossible("VDI", "an identity is nil");
        assert_eq!(odd.to_string(), "impossible VDI: an identity is nil");
        assert_eq!(io::Error::from(odd).kind(), io::ErrorKind::InvalidInput);
    }
}
