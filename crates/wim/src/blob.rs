//! The blob table: which blobs the file holds and where.
//!
//! Real tables break most rules of the format, so what other readers accept decides (research: wimlib, 7-Zip): entries
//! without hash or content are passed over, the first of two entries with one hash wins, reference counts mean
//! nothing. What could lead a read astray (a resource outside the file) is an error here, once, so that no later code
//! has to ask.

use disk::At;

use crate::header::Header;
use crate::layout::{RawResource, blob_entry, resource_flags, sha1_at, u16_at, u32_at, u64_at};
use crate::resource::{Resource, Storage};
use crate::warning::Warnings;
use crate::{Error, Result};

pub(crate) const ENTRY: &str = "blob table entry";
pub(crate) const NO_HASH: [u8; 20] = [0; 20];

/// Number of a blob: its index in [`Wim::blobs`](crate::Wim::blobs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub u32);

/// Content that is stored once, however many streams have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-1 of the content; no two blobs have the same.
    pub sha1: [u8; 20],
    /// Length of the content in bytes, never 0.
    pub size: u64,
    /// Length in the file in bytes.
    pub stored_size: u64,
    /// First byte in the file.
    pub offset: u64,
    /// How often images refer to it, as the file claims. Real files claim anything.
    pub refcount: u32,
    /// How it is stored.
    pub storage: Storage,
}

impl Blob {
    /// Whether it is stored in chunks that may be compressed.
    pub fn is_compressed(&self) -> bool {
        self.storage != Storage::Raw
    }

    pub(crate) fn resource(&self) -> Resource {
        Resource {
            offset: self.offset,
            stored_size: self.stored_size,
            size: self.size,
            storage: self.storage,
        }
    }
}

/// An image's metadata resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metadata {
    pub(crate) sha1: [u8; 20],
    pub(crate) resource: Resource,
}

/// What the blob table says.
#[derive(Debug, Default)]
pub(crate) struct BlobTable {
    /// In the order in which they lie in the file.
    pub(crate) blobs: Vec<Blob>,
    /// Start of the hash and index into `blobs`, in the order of the hashes: the starts decide nearly every comparison
    /// without a cache miss.
    by_hash: Vec<(u32, u32)>,
    /// Image n is the nth: neither position nor XML decides (observed: Microsoft's tools).
    pub(crate) metadata: Vec<Metadata>,
}

impl BlobTable {
    /// Parses a table whose first byte is (or was, before decompression) at `offset` in the file.
    pub(crate) fn parse(
        table: &[u8],
        offset: u64,
        header: &Header,
        file_size: u64,
        warnings: &mut Warnings,
    ) -> Result<Self> {
        let (entries, rest) = table.as_chunks::<{ blob_entry::LEN }>();
        if !rest.is_empty() {
            warnings.push("blob table", offset, || {
                format!("length {} is not a multiple of {}, ignored the rest", table.len(), blob_entry::LEN)
            });
        }
        let mut this = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let at = At::new(ENTRY, offset + (index * blob_entry::LEN) as u64);
            this.entry(entry, at, header, file_size, warnings)?;
        }
        this.sort(offset, warnings);
        Ok(this)
    }

    fn entry(
        &mut self,
        entry: &[u8; blob_entry::LEN],
        at: At,
        header: &Header,
        file_size: u64,
        warnings: &mut Warnings,
    ) -> Result<()> {
        let raw = RawResource {
            stored_size_and_flags: u64_at(entry, 0),
            offset: u64_at(entry, 8),
            size: u64_at(entry, 16),
        };
        let part = u16_at(entry, blob_entry::PART);
        let refcount = u32_at(entry, blob_entry::REFCOUNT);
        let sha1 = sha1_at(entry, blob_entry::SHA1);
        let mut ignore = |why: String| {
            warnings.push(ENTRY, at.offset, || format!("ignored: {why}"));
            Ok(())
        };
        if raw.size == 0 || sha1 == NO_HASH {
            // Frequent in real files and without consequence: not worth a warning.
            return Ok(());
        }
        if part != header.part {
            return ignore(format!("it is in part {part}, this is part {}", header.part));
        }
        if raw.flags() & resource_flags::METADATA != 0 {
            return match refcount {
                0 => ignore("metadata that no image uses".to_owned()),
                1 => {
                    let resource = header.resource(raw, at, file_size)?;
                    self.metadata.push(Metadata { sha1, resource });
                    Ok(())
                }
                _ => Err(Error::Malformed {
                    at,
                    reason: format!("metadata is used {refcount} times, expected 1"),
                }),
            };
        }
        let Resource { offset, stored_size, size, storage } = header.resource(raw, at, file_size)?;
        self.blobs.push(Blob { sha1, size, stored_size, offset, refcount, storage });
        Ok(())
    }

    /// Drops later entries of a hash, then brings the blobs into the order of the file.
    fn sort(&mut self, offset: u64, warnings: &mut Warnings) {
        let blobs = &mut self.blobs;
        let count = blobs.len();
        let mut order = hash_order(blobs);
        order.dedup_by(|(_, later), (_, first)| blobs[*later as usize].sha1 == blobs[*first as usize].sha1);
        if order.len() < count {
            warnings.push("blob table", offset, || {
                format!("ignored {} entries whose hash occurs before", count - order.len())
            });
            let mut kept = vec![false; count];
            order.iter().for_each(|&(_, index)| kept[index as usize] = true);
            let mut kept = kept.into_iter();
            blobs.retain(|_| kept.next().expect("one for each"));
        }
        // Stable: what begins at the same byte stays in the order of the table.
        blobs.sort_by_key(|blob| blob.offset);
        blobs.shrink_to_fit();
        self.by_hash = hash_order(blobs);
    }

    pub(crate) fn find(&self, sha1: &[u8; 20]) -> Option<BlobId> {
        let found = self.by_hash.binary_search_by(|&(start, index)| {
            start.cmp(&hash_start(sha1)).then_with(|| self.blobs[index as usize].sha1.cmp(sha1))
        });
        Some(BlobId(self.by_hash[found.ok()?].1))
    }
}

fn hash_start(sha1: &[u8; 20]) -> u32 {
    u32::from_be_bytes(*sha1.first_chunk().expect("20 bytes"))
}

/// The blobs in the order of their hashes, those with one hash in their own order.
fn hash_order(blobs: &[Blob]) -> Vec<(u32, u32)> {
    let mut order: Vec<_> =
        blobs.iter().zip(0..).map(|(blob, index)| (hash_start(&blob.sha1), index)).collect();
    order.sort_unstable_by(|&(a_start, a), &(b_start, b)| {
        let by_hash = || blobs[a as usize].sha1.cmp(&blobs[b as usize].sha1);
        a_start.cmp(&b_start).then_with(by_hash).then(a.cmp(&b))
    });
    order
}
