//! What an L2 entry says.

use crate::layout::{ENTRY_COMPRESSED, ENTRY_COPIED, ENTRY_OFFSET, ENTRY_ZERO, Header};

/// Subclusters of a cluster, where L2 entries tell of them.
pub(crate) const SUBCLUSTERS: u64 = 32;

/// What an L2 entry says of its cluster of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A cluster of the file, or none.
    Plain {
        /// Where it lies.
        at: Option<u64>,
        /// For each subcluster (or for the whole cluster, in all 32 bits) whether its bytes are there.
        stored: u32,
        /// For each subcluster whether it reads as zero. Those that are neither lie in the backing file.
        zero: u32,
    },
    /// A stream of at most `len` bytes at `at`.
    Compressed { at: u64, len: u64 },
}

/// What a part of the disk is, a subcluster or a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// Not in this file.
    Absent,
    Zero,
    /// The cluster lies at this byte of the file.
    Stored(u64),
    /// A stream of the whole cluster.
    Compressed {
        at: u64,
        len: u64,
    },
}

impl Mapping {
    /// Whether both are zero, or both absent, or both have bytes in the file.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let kind = |mapping| match mapping {
            Self::Absent => 0,
            Self::Zero => 1,
            Self::Stored(_) | Self::Compressed { .. } => 2,
        };
        kind(self) == kind(other)
    }
}

impl Entry {
    /// The entry, with the second half that extended ones have; or what is wrong with it. `file_len` is the length of
    /// the file in bytes.
    pub(crate) fn parse(word: u64, bitmap: u64, header: &Header, file_len: u64) -> Result<Self, String> {
        if word & ENTRY_COMPRESSED != 0 {
            return Self::compressed(word, bitmap, header, file_len);
        }
        let (extended, cluster_size) = (header.extended_l2(), header.cluster_size());
        let zero_flag = header.version == 3 && !extended;
        let meaning = ENTRY_COPIED | ENTRY_OFFSET | if zero_flag { ENTRY_ZERO } else { 0 };
        if word & !meaning != 0 {
            return Err(format!("entry {word:#018x}: reserved bits {:#x} are set", word & !meaning));
        }
        let offset = word & ENTRY_OFFSET;
        if !offset.is_multiple_of(cluster_size) {
            return Err(format!("entry {word:#018x}: not at a cluster of {cluster_size:#x} bytes"));
        }
        // The last cluster of a file need not be whole.
        if offset >= file_len && offset > 0 {
            return Err(format!("cluster at {offset:#x}, past the file's end {file_len:#x}"));
        }
        let at = (offset > 0).then_some(offset);
        let (stored, zero) = if extended {
            (bitmap as u32, (bitmap >> 32) as u32)
        } else if word & meaning & ENTRY_ZERO != 0 {
            (0, u32::MAX)
        } else if at.is_some() {
            (u32::MAX, 0)
        } else {
            (0, 0)
        };
        if stored & zero != 0 {
            return Err(format!("subclusters {bitmap:#018x}: some are both stored and zero"));
        }
        if at.is_none() && (stored != 0 || word & ENTRY_COPIED != 0) {
            return Err(format!("entry {word:#018x}: says that a cluster is there, but not where"));
        }
        Ok(Self::Plain { at, stored, zero })
    }

    fn compressed(word: u64, bitmap: u64, header: &Header, file_len: u64) -> Result<Self, String> {
        if word & ENTRY_COPIED != 0 {
            return Err(format!("entry {word:#018x}: compressed clusters are never the only user of theirs"));
        }
        if bitmap != 0 {
            return Err(format!("subclusters {bitmap:#018x} of a compressed cluster"));
        }
        let offset_bits = 62 - (header.cluster_bits - 8);
        let at = word & ((1 << offset_bits) - 1);
        if at < header.cluster_size() || at >= file_len {
            return Err(format!(
                "compressed cluster at {at:#x}, expected between the header and the file's end {file_len:#x}"
            ));
        }
        let sectors = ((word & !ENTRY_COMPRESSED) >> offset_bits) + 1;
        // Sectors of the file, of which the stream may begin inside the first and end inside the last.
        let len = (sectors * 512 - at % 512).min(file_len - at);
        Ok(Self::Compressed { at, len })
    }

    /// What it says of subcluster `index`; any will do where there are none.
    pub(crate) fn mapping(self, index: u64) -> Mapping {
        match self {
            Self::Compressed { at, len } => Mapping::Compressed { at, len },
            Self::Plain { at, stored, zero } => match at {
                Some(at) if stored >> index & 1 != 0 => Mapping::Stored(at),
                _ if zero >> index & 1 != 0 => Mapping::Zero,
                _ => Mapping::Absent,
            },
        }
    }
}
