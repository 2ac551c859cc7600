//! Where the structures of an existing WIM lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::{BLOB_ENTRY, FLAG_METADATA, HEADER_SIZE, Hash};

/// One resource that the blob table of a WIM lists.
#[derive(Clone, Debug)]
pub struct Resource {
    /// SHA-1 of its content.
    pub hash: Hash,
    /// Where its stored form lies in the file.
    pub range: Range<u64>,
    /// Length of its content.
    pub size: u64,
    /// Whether the stored form is compressed.
    pub compressed: bool,
    /// Whether it is an image's metadata.
    pub metadata: bool,
}

/// Where the structures of a WIM lie. Only for files that are known to be good.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The blob table.
    pub table: Range<u64>,
    /// The XML data.
    pub xml: Range<u64>,
    /// The integrity table, when there is one.
    pub integrity: Option<Range<u64>>,
    /// Chunk size of compressed resources, in bytes.
    pub chunk_size: u32,
    /// What the blob table lists, in its order.
    pub resources: Vec<Resource>,
}

impl Layout {
    /// Reads header and blob table of the file at `path`.
    ///
    /// # Panics
    /// When that fails.
    pub fn of(path: &Path) -> Self {
        let read = || -> io::Result<Self> {
            let mut file = File::open(path)?;
            let mut header = [0; HEADER_SIZE];
            file.read_exact(&mut header)?;
            let table = header_range(&header, 0x30);
            let mut entries = vec![0; usize::try_from(table.end - table.start).map_err(io::Error::other)?];
            file.seek(SeekFrom::Start(table.start))?;
            file.read_exact(&mut entries)?;
            Ok(Self::parse(&header, &entries))
        };
        match read() {
            Ok(layout) => layout,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    fn parse(header: &[u8], entries: &[u8]) -> Self {
        let integrity = header_range(header, 0x7C);
        let resources = entries
            .chunks_exact(BLOB_ENTRY)
            .map(|entry| Resource {
                hash: entry[0x1E..].try_into().expect("20 bytes"),
                range: header_range(entry, 0),
                size: u64_at(entry, 16),
                compressed: entry[7] & 4 != 0,
                metadata: entry[7] & FLAG_METADATA != 0,
            })
            .collect();
        Self {
            table: header_range(header, 0x30),
            xml: header_range(header, 0x48),
            integrity: (integrity.start != 0).then_some(integrity),
            chunk_size: u32::from_le_bytes(header[0x14..0x18].try_into().expect("4 bytes")),
            resources,
        }
    }
}

fn header_range(bytes: &[u8], at: usize) -> Range<u64> {
    let start = u64_at(bytes, at + 8);
    start..start + (u64_at(bytes, at) & 0x00FF_FFFF_FFFF_FFFF)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
