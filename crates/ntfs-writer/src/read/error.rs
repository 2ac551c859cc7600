use std::{fmt, io};

use crate::parse::{Fault, Utf16, kind};

/// The result of this module's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where on the volume something is wrong, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of the file record.
    pub record: Option<u64>,
    /// A path of the file, where the caller knows one.
    pub path: Option<String>,
    /// The attribute: `$DATA "name"`.
    pub attribute: Option<String>,
    /// Byte offset on the volume.
    pub offset: Option<u64>,
}

impl Place {
    /// A byte offset on the volume.
    pub(crate) fn offset(offset: u64) -> Self {
        Self { offset: Some(offset), ..Self::default() }
    }

    /// A file record.
    pub(crate) fn record(number: u64) -> Self {
        Self { record: Some(number), ..Self::default() }
    }

    /// An attribute of a file.
    pub(crate) fn attribute(number: u64, kind: u32, name: &[u16]) -> Self {
        let name = match name {
            [] => String::new(),
            _ => format!(" {:?}", String::from_utf16_lossy(name)),
        };
        Self { attribute: Some(format!("{}{name}", KindName(kind))), ..Self::record(number) }
    }

    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let result = write!(f, "{separator}{text}");
            separator = ", ";
            result
        };
        if let Some(path) = &self.path {
            part(f, format_args!("{path}"))?;
        }
        if let Some(record) = self.record {
            part(f, format_args!("file record {record:#x}"))?;
        }
        if let Some(attribute) = &self.attribute {
            part(f, format_args!("{attribute}"))?;
        }
        if let Some(offset) = self.offset {
            part(f, format_args!("volume offset {offset:#x}"))?;
        }
        if *self == Self::default() { f.write_str("volume") } else { Ok(()) }
    }
}

/// The name of an attribute's type.
struct KindName(u32);

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind::name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {:#x}", self.0),
        }
    }
}

/// Why a volume, or a part of one, cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk could not be read.
    #[error("reading {place}")]
    Io {
        /// Where.
        place: Box<Place>,
        /// What the system, or the container, said.
        #[source]
        source: io::Error,
    },
    /// The volume contradicts itself or the format.
    #[error("malformed {place}: {reason}")]
    Malformed {
        /// Where.
        place: Box<Place>,
        /// What was found, and what was expected.
        reason: String,
    },
    /// Something that this crate does not read.
    #[error("{place}: {feature}")]
    Unsupported {
        /// Where.
        place: Box<Place>,
        /// What it is.
        feature: String,
    },
    /// A size or count is beyond what is accepted.
    #[error("{place}: {what} {found} exceeds the limit of {limit}")]
    Limit {
        /// Where.
        place: Box<Place>,
        /// Which size or count.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The largest accepted.
        limit: u64,
    },
    /// There is no such thing.
    #[error("{place}: {what}")]
    NotFound {
        /// Where it was looked for.
        place: Box<Place>,
        /// What is missing.
        what: String,
    },
    /// The caller asked for bytes past the end of a stream.
    #[error("{place}: bytes {start:#x}..{end:#x} requested of a stream of {size:#x} bytes")]
    OutOfRange {
        /// Which stream.
        place: Box<Place>,
        /// First byte asked for.
        start: u64,
        /// The byte after the last asked for, at most `u64::MAX`.
        end: u64,
        /// Length of the stream in bytes.
        size: u64,
    },
}

impl Error {
    pub(crate) fn malformed(place: Place, reason: impl Into<String>) -> Self {
        Self::Malformed { place: Box::new(place), reason: reason.into() }
    }

    pub(crate) fn unsupported(place: Place, feature: impl Into<String>) -> Self {
        Self::Unsupported { place: Box::new(place), feature: feature.into() }
    }

    pub(crate) fn limit(place: Place, what: &'static str, found: u64, limit: u64) -> Self {
        Self::Limit { place: Box::new(place), what, found, limit }
    }

    pub(crate) fn not_found(place: Place, what: impl Into<String>) -> Self {
        Self::NotFound { place: Box::new(place), what: what.into() }
    }

    /// A fault of a structure at `place`; the fault's own offset counts from there.
    pub(crate) fn fault(place: Place) -> impl FnOnce(Fault) -> Self {
        move |fault| Self::malformed(place, fault.to_string())
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            Self::Io { place, .. }
            | Self::Malformed { place, .. }
            | Self::Unsupported { place, .. }
            | Self::Limit { place, .. }
            | Self::NotFound { place, .. }
            | Self::OutOfRange { place, .. } => place,
        }
    }

    /// The same error with the path of the file, unless it has one.
    #[must_use]
    pub fn with_path(mut self, path: impl FnOnce() -> String) -> Self {
        let (Self::Io { place, .. }
        | Self::Malformed { place, .. }
        | Self::Unsupported { place, .. }
        | Self::Limit { place, .. }
        | Self::NotFound { place, .. }
        | Self::OutOfRange { place, .. }) = &mut self;
        place.path.get_or_insert_with(path);
        self
    }
}

/// A name in an error: quoted, with nothing that a terminal would obey.
pub(crate) fn quoted(name: &[u16]) -> String {
    let bytes: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    format!("\"{}\"", Utf16::new(&bytes))
}
