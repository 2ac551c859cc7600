//! Files of packages that are not what they will be: compressed ones, and differences to others.
//!
//! Windows compresses what lies in `WinSxS`, and packages may hold the same forms. Source of the magics: hfiref0x/SXSEXP. None
//! is decoded: all but `DCS` are differences to a file that has to be known (for manifests one that is cut out of
//! `wcp.dll`), and no `DCS` file was at hand to be sure of its layout.

use std::fmt;

/// How a file is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Encoding {
    /// `DCM`: the difference to the base manifest that `wcp.dll` holds.
    ManifestDelta,
    /// `DCS`: blocks of LZMS.
    Blocks,
    /// `DCD`: the difference to an older file.
    Delta,
    /// `DCN`: a difference to nothing.
    NullDelta,
    /// `DCH`: a header alone.
    HeaderOnly,
    /// `DCX`.
    Unknown,
    /// `PA30` and `PA31`: a difference as updates have it.
    Patch,
}

impl Encoding {
    /// How a file is stored that begins with these bytes; `None` when it is as it is.
    pub fn of(first_bytes: &[u8]) -> Option<Self> {
        match first_bytes.first_chunk::<4>()? {
            b"DCM\x01" => Some(Self::ManifestDelta),
            b"DCS\x01" => Some(Self::Blocks),
            b"DCD\x01" => Some(Self::Delta),
            b"DCN\x01" => Some(Self::NullDelta),
            b"DCH\x01" => Some(Self::HeaderOnly),
            b"DCX\x01" => Some(Self::Unknown),
            b"PA30" | b"PA31" => Some(Self::Patch),
            _ => None,
        }
    }
}

/// `a difference to the base manifest of its build (DCM)`.
impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ManifestDelta => "a difference to the base manifest of its build (DCM)",
            Self::Blocks => "compressed in blocks (DCS)",
            Self::Delta => "a difference to an older file (DCD)",
            Self::NullDelta => "compressed as a difference to nothing (DCN)",
            Self::HeaderOnly => "a header without content (DCH)",
            Self::Unknown => "compressed in an unknown way (DCX)",
            Self::Patch => "a patch (PA30)",
        })
    }
}
