use disk::At;

use crate::{Error, Result};

/// How much memory a file may make the reader use. A field above its limit is [`Error::Limit`], before anything is
/// allocated for it.
///
/// The defaults are several times what the largest known files need (Windows 11: 40 MB of metadata per image) and
/// keep the reader of a hostile file below about 2 GiB. What the limits do not name is bounded by them: a parsed image
/// takes at most about five times its metadata, because every dentry is parsed once at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Decoded metadata of one image, in bytes.
    pub metadata_bytes: u64,
    /// Blob table, in bytes: 50 for each blob.
    pub blob_table_bytes: u64,
    /// A chunk of any resource, decoded, in bytes; chunks that are larger than their resource count as that. ESD files
    /// have 64 MiB in solid resources; the format ends at the default, 1 GiB.
    pub chunk_bytes: u64,
    /// Chunk tables of all solid resources together, in bytes: 4 for each chunk.
    pub chunk_table_bytes: u64,
    /// XML data, in bytes: two for each character.
    pub xml_bytes: u64,
    /// Integrity table, in bytes: 20 for each 10 MiB of the file.
    pub integrity_bytes: u64,
    /// Length of a path in UTF-16 units, separators included. No interface of Windows can name a longer one than the
    /// default, 32,767; it also bounds the depth of directories, to half of it.
    pub path_units: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            metadata_bytes: 256 << 20,
            blob_table_bytes: 512 << 20,
            chunk_bytes: 1 << 30,
            chunk_table_bytes: 16 << 20,
            xml_bytes: 16 << 20,
            integrity_bytes: 64 << 20,
            path_units: 32_767,
        }
    }
}

impl Limits {
    pub(crate) fn check(at: At, what: &'static str, found: u64, limit: u64) -> Result<()> {
        if found > limit { Err(Error::Limit { at, what, found, limit }) } else { Ok(()) }
    }
}
