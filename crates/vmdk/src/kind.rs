use std::fmt;

/// The kinds of VMDK: what the descriptor calls `createType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Compressed grains in one file; made to be transported.
    StreamOptimized,
    /// Plain grains in one file; made to be used.
    MonolithicSparse,
    /// The raw disk in one file, described by another.
    MonolithicFlat,
    /// Plain grains in files of 2 GiB of disk each, described by another.
    TwoGbMaxExtentSparse,
    /// The raw disk in files of 2 GiB each, described by another.
    TwoGbMaxExtentFlat,
    /// The raw disk in one file on a datastore of ESXi, described by another. Such files may have holes.
    Vmfs,
    /// Plain grains of a sector in one file on a datastore of ESX, described by another: snapshots of old. Only read.
    VmfsSparse,
    /// Extents of any sort, described by a file of its own. Only read.
    Custom,
}

impl Kind {
    /// The kind that a descriptor names; `None` for one that is not known, or whose data is not in files.
    pub fn from_create_type(name: &str) -> Option<Self> {
        // The technical note writes some with a digit; products do not.
        Some(match name {
            "streamOptimized" => Self::StreamOptimized,
            "monolithicSparse" => Self::MonolithicSparse,
            "monolithicFlat" => Self::MonolithicFlat,
            "twoGbMaxExtentSparse" | "2GbMaxExtentSparse" => Self::TwoGbMaxExtentSparse,
            "twoGbMaxExtentFlat" | "2GbMaxExtentFlat" => Self::TwoGbMaxExtentFlat,
            "vmfs" => Self::Vmfs,
            "vmfsSparse" => Self::VmfsSparse,
            "custom" => Self::Custom,
            _ => return None,
        })
    }

    /// What a descriptor calls it.
    pub fn create_type(self) -> &'static str {
        match self {
            Self::StreamOptimized => "streamOptimized",
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
            Self::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
            Self::Vmfs => "vmfs",
            Self::VmfsSparse => "vmfsSparse",
            Self::Custom => "custom",
        }
    }

    /// Whether descriptor and data are one file.
    pub fn is_monolithic_file(self) -> bool {
        matches!(self, Self::StreamOptimized | Self::MonolithicSparse)
    }

    /// Whether an external descriptor of this kind may have extents of this type.
    pub(crate) fn takes_extent(self, extent: &str) -> bool {
        match self {
            Self::StreamOptimized | Self::MonolithicSparse => extent == "SPARSE",
            Self::MonolithicFlat => extent == "FLAT",
            Self::TwoGbMaxExtentSparse => matches!(extent, "SPARSE" | "ZERO"),
            Self::TwoGbMaxExtentFlat => matches!(extent, "FLAT" | "ZERO"),
            Self::Vmfs => matches!(extent, "VMFS" | "FLAT" | "ZERO"),
            Self::VmfsSparse => matches!(extent, "VMFSSPARSE" | "ZERO"),
            Self::Custom => matches!(extent, "SPARSE" | "FLAT" | "ZERO" | "VMFS" | "VMFSSPARSE"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.create_type())
    }
}
