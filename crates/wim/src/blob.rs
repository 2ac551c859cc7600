//! The blob table: which blobs the file holds and where.
//!
//! Real tables break most rules of the format, so what other readers accept decides (research: wimlib, 7-Zip): entries
//! without hash or content are passed over, the first of two entries with one hash wins, reference counts mean
//! nothing. What could lead a read astray (a resource outside the file) is an error here, once, so that no later code
//! has to ask.

use disk::{At, ReadAt};

use crate::hash_index::HashIndex;
use crate::header::Header;
use crate::layout::{RawResource, blob_entry, resource_flags, sha1_at, u16_at, u32_at, u64_at};
use crate::resource::{Resource, Storage};
use crate::solid::Solid;
use crate::warning::Warnings;
use crate::{Error, Limits, Result};

pub(crate) const ENTRY: &str = "blob table entry";
pub(crate) const NO_HASH: [u8; 20] = [0; 20];

/// Number of a blob: its index in [`Wim::blobs`](crate::Wim::blobs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub u32);

/// Content that is stored once, however many streams have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blob {
    /// SHA-1 of the content; no two blobs have the same.
    pub sha1: [u8; 20],
    /// Length of the content in bytes, never 0.
    pub size: u64,
    /// Length in the file in bytes; 0 when the storage is solid, where blobs have no stored form of their own.
    pub stored_size: u64,
    /// The part of a split set that holds it, from 1; 1 in files that are not split.
    pub part: u16,
    /// First byte in the file; with solid storage, of the solid resource that the blob begins in.
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
            part: self.part,
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
    by_hash: HashIndex,
    /// Image n is the nth: neither position nor XML decides (observed: Microsoft's tools).
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) solid: Solid,
}

/// What the entries of one table are checked against.
struct Context<'a> {
    header: &'a Header,
    file: &'a dyn ReadAt,
    file_size: u64,
    limits: &'a Limits,
}

/// Consecutive entries about solid resources.
struct OpenRun {
    run: u32,
    /// Where its blobs begin in [`BlobTable::blobs`].
    first: usize,
}

impl BlobTable {
    /// Adds the table of one part, whose first byte is (or was, before decompression) at `offset` in the file.
    pub(crate) fn add(
        &mut self,
        table: &[u8],
        offset: u64,
        header: &Header,
        (file, file_size): (&dyn ReadAt, u64),
        limits: &Limits,
        warnings: &mut Warnings,
    ) -> Result<()> {
        let (entries, rest) = table.as_chunks::<{ blob_entry::LEN }>();
        if !rest.is_empty() {
            warnings.push("blob table", offset, || {
                format!("length {} is not a multiple of {}, ignored the rest", table.len(), blob_entry::LEN)
            });
        }
        let context = Context { header, file, file_size, limits };
        let mut run = None;
        for (index, entry) in entries.iter().enumerate() {
            let at = At::new(ENTRY, offset + (index * blob_entry::LEN) as u64);
            if header.is_solid_version() && entry[7] & resource_flags::SOLID != 0 {
                let run = &*run
                    .get_or_insert_with(|| OpenRun { run: self.solid.begin_run(), first: self.blobs.len() });
                self.solid_entry(entry, at, run.run, &context, warnings)?;
            } else {
                self.end_run(run.take())?;
                self.entry(entry, at, &context, warnings)?;
            }
        }
        self.end_run(run)
    }

    fn solid_entry(
        &mut self,
        entry: &[u8; blob_entry::LEN],
        at: At,
        run: u32,
        context: &Context<'_>,
        warnings: &mut Warnings,
    ) -> Result<()> {
        let header = context.header;
        let raw = RawResource {
            stored_size_and_flags: u64_at(entry, 0),
            offset: u64_at(entry, 8),
            size: u64_at(entry, 16),
        };
        let part = u16_at(entry, blob_entry::PART);
        if part != header.part {
            // What follows in the run would lie elsewhere without it.
            let reason = format!("solid resource in part {part}, this is part {}", header.part);
            return Err(Error::Malformed { at, reason });
        }
        if raw.size == blob_entry::SOLID_RESOURCE {
            return self.solid.push(context.file, raw, header, at, context.file_size, context.limits);
        }
        if raw.flags() & resource_flags::METADATA != 0 {
            return Err(Error::Unsupported { at, feature: "metadata in a solid resource".to_owned() });
        }
        let sha1 = sha1_at(entry, blob_entry::SHA1);
        if raw.stored_size() == 0 || sha1 == NO_HASH {
            return Ok(());
        }
        if raw.size != 0 {
            warnings.push(ENTRY, at.offset, || format!("ignored size {:#x} of a solid blob", raw.size));
        }
        self.blobs.push(Blob {
            sha1,
            size: raw.stored_size(),
            stored_size: 0,
            part,
            // Of the entry, until the run's resources are known.
            offset: at.offset,
            refcount: u32_at(entry, blob_entry::REFCOUNT),
            storage: Storage::Solid { run, start: raw.offset },
        });
        Ok(())
    }

    /// Checks that the blobs of a run lie in its resources, and not in one another: what overlaps could make a small
    /// file be decoded and hashed for ever.
    fn end_run(&mut self, run: Option<OpenRun>) -> Result<()> {
        let Some(OpenRun { run, first }) = run else { return Ok(()) };
        let size = self.solid.run_size(run);
        let blobs = &mut self.blobs[first..];
        let start = |blob: &Blob| match blob.storage {
            Storage::Solid { start, .. } => start,
            Storage::Raw | Storage::Chunked { .. } | Storage::Piped { .. } => unreachable!("it is solid"),
        };
        blobs.sort_by_key(start);
        for blob in &*blobs {
            let start = start(blob);
            if start.checked_add(blob.size).is_none_or(|end| end > size) {
                return Err(Error::malformed(
                    ENTRY,
                    blob.offset,
                    format!(
                        "blob {start:#x}..{:#x} ends past the end of its solid resources {size:#x}",
                        u128::from(start) + u128::from(blob.size)
                    ),
                ));
            }
        }
        for pair in blobs.windows(2) {
            let (a, b) = (&pair[0], &pair[1]);
            let same = (start(a), a.size, a.sha1) == (start(b), b.size, b.sha1);
            // The sum was checked above.
            if start(a) + a.size > start(b) && !same {
                return Err(Error::malformed(
                    ENTRY,
                    b.offset,
                    format!(
                        "blob begins at {:#x} of its solid resources, inside the one at {:#x}..{:#x}",
                        start(b),
                        start(a),
                        start(a) + a.size
                    ),
                ));
            }
        }
        for blob in blobs {
            blob.offset = self.solid.file_offset(run, start(blob));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &[u8; blob_entry::LEN],
        at: At,
        context: &Context<'_>,
        warnings: &mut Warnings,
    ) -> Result<()> {
        let &Context { header, file_size, limits, .. } = context;
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
            if header.part != 1 {
                return ignore(format!("metadata in part {part}, only part 1 can have any"));
            }
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
        let Resource { part, offset, stored_size, size, storage } = header.resource(raw, at, file_size)?;
        if let Storage::Chunked { chunk_size, .. } | Storage::Piped { chunk_size, .. } = storage {
            Limits::check(at, "chunk size", size.min(chunk_size.into()), limits.chunk_bytes)?;
        }
        self.blobs.push(Blob { sha1, size, stored_size, part, offset, refcount, storage });
        Ok(())
    }

    /// To be called after all tables were added: drops later entries of a hash, then brings the blobs into the order of
    /// the files. `offset` is the table's, or the first one's.
    pub(crate) fn finish(&mut self, offset: u64, warnings: &mut Warnings) {
        let blobs = &mut self.blobs;
        let mut by_hash = HashIndex::new(blobs);
        let duplicates = by_hash.duplicates(blobs);
        if !duplicates.is_empty() {
            warnings.push("blob table", offset, || {
                format!("ignored {} entries whose hash occurs before", duplicates.len())
            });
            let mut kept = vec![true; blobs.len()];
            duplicates.iter().for_each(|&number| kept[number as usize] = false);
            let mut kept = kept.into_iter();
            blobs.retain(|_| kept.next().expect("one for each"));
            by_hash = HashIndex::new(blobs);
        }
        let place = |blob: &Blob| {
            let within = if let Storage::Solid { start, .. } = blob.storage { start } else { 0 };
            (blob.part, blob.offset, within)
        };
        if !blobs.is_sorted_by_key(place) {
            // What begins at the same byte stays in the order of the table.
            let mut order: Vec<_> = blobs.iter().zip(0u32..).map(|(blob, old)| (place(blob), old)).collect();
            order.sort_unstable();
            let mut numbers = vec![0; blobs.len()];
            for (&(_, old), new) in order.iter().zip(0u32..) {
                numbers[old as usize] = new;
            }
            drop(order);
            by_hash.renumber(&numbers);
            // Each swap brings one blob to its place.
            for at in 0..blobs.len() {
                while numbers[at] as usize != at {
                    let to = numbers[at] as usize;
                    blobs.swap(at, to);
                    numbers.swap(at, to);
                }
            }
        }
        blobs.shrink_to_fit();
        self.by_hash = by_hash;
    }

    /// The blob with a SHA-1.
    pub(crate) fn find(&self, sha1: &[u8; 20]) -> Option<BlobId> {
        self.by_hash.find(&self.blobs, sha1)
    }

    /// The blobs with these SHA-1s, in their order: cheaper for many than [`find`](Self::find) for each.
    pub(crate) fn find_all(&self, hashes: &[[u8; 20]], found: &mut Vec<Option<BlobId>>) {
        self.by_hash.find_all(&self.blobs, hashes, found);
    }
}
