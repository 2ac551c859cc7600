//! From a SHA-1 to the number of its blob.
//!
//! Every file of an image asks once, so with a million of them this decides how long a tree takes to read. Binary
//! search over all hashes would miss the cache at nearly every step. Hashes are spread evenly, so their first bits say
//! where to look: one step into a table that is small enough to stay in the cache, one to the few entries that have
//! these bits, one to the blob. Whoever makes hashes that begin alike gets the binary search back, never worse.
//!
//! The two steps that miss the cache wait for each other, those of different hashes do not: looking up many at a time,
//! all first steps and then all second ones, lets the processor wait for several at once.

use std::ops::Range;

use crate::blob::{Blob, BlobId};

/// Blobs by hash.
#[derive(Debug, Default)]
pub(crate) struct HashIndex {
    /// Start of the hash and number of the blob, in the order of the hashes; with one hash, in their own.
    entries: Vec<(u32, u32)>,
    /// For each value of a hash's first bits, where its entries begin; one more at the end.
    buckets: Vec<u32>,
    /// How many bits of the start do not count for the bucket.
    shift: u32,
}

/// Entries in a bucket, about: half a cache line.
const BUCKET: usize = 4;

impl HashIndex {
    pub(crate) fn new(blobs: &[Blob]) -> Self {
        let bits = (blobs.len() / BUCKET).checked_ilog2().unwrap_or(0);
        let shift = u32::BITS - bits;
        let starts: Vec<u32> = blobs.iter().map(|blob| start(&blob.sha1)).collect();
        // A counting sort by bucket, then each bucket on its own.
        let mut buckets = vec![0u32; (1 << bits) + 1];
        for &start in &starts {
            buckets[bucket(start, shift) + 1] += 1;
        }
        for i in 1..buckets.len() {
            buckets[i] += buckets[i - 1];
        }
        let mut next = buckets.clone();
        let mut entries = vec![(0, 0); starts.len()];
        for (start, number) in starts.into_iter().zip(0u32..) {
            let slot = &mut next[bucket(start, shift)];
            entries[*slot as usize] = (start, number);
            *slot += 1;
        }
        for pair in buckets.windows(2) {
            entries[pair[0] as usize..pair[1] as usize].sort_unstable_by(|&(a_start, a), &(b_start, b)| {
                let by_hash = || blobs[a as usize].sha1.cmp(&blobs[b as usize].sha1);
                a_start.cmp(&b_start).then_with(by_hash).then(a.cmp(&b))
            });
        }
        Self { entries, buckets, shift }
    }

    /// Which blobs have the hash of one before them, as numbers.
    pub(crate) fn duplicates(&self, blobs: &[Blob]) -> Vec<u32> {
        let same = |a: u32, b: u32| blobs[a as usize].sha1 == blobs[b as usize].sha1;
        let pairs = self.entries.windows(2);
        pairs
            .filter(|pair| pair[0].0 == pair[1].0 && same(pair[0].1, pair[1].1))
            .map(|pair| pair[1].1)
            .collect()
    }

    /// Says what number each blob has from now on. No two blobs may have the same hash.
    pub(crate) fn renumber(&mut self, numbers: &[u32]) {
        for (_, number) in &mut self.entries {
            *number = numbers[*number as usize];
        }
    }

    /// The blob with this hash; `blobs` are those that it was made from.
    pub(crate) fn find(&self, blobs: &[Blob], sha1: &[u8; 20]) -> Option<BlobId> {
        let entries = self.entries.get(self.range(sha1))?;
        let wanted = start(sha1);
        let found = entries.binary_search_by(|&(start, number)| {
            start.cmp(&wanted).then_with(|| blobs[number as usize].sha1.cmp(sha1))
        });
        Some(BlobId(entries[found.ok()?].1))
    }

    /// The same for many hashes.
    pub(crate) fn find_all(&self, blobs: &[Blob], hashes: &[[u8; 20]], found: &mut Vec<Option<BlobId>>) {
        // The first entry that begins as the hash does is nearly always the one.
        let first = |sha1: &[u8; 20]| {
            let entries = self.entries.get(self.range(sha1))?;
            let wanted = start(sha1);
            let first = entries.partition_point(|&(start, _)| start < wanted);
            entries.get(first).filter(|entry| entry.0 == wanted).map(|entry| BlobId(entry.1))
        };
        found.clear();
        found.extend(hashes.iter().map(first));
        for (sha1, found) in hashes.iter().zip(found) {
            if found.is_some_and(|found| blobs[found.0 as usize].sha1 != *sha1) {
                *found = self.find(blobs, sha1);
            }
        }
    }

    /// Where the entries are that may be those of a hash.
    fn range(&self, sha1: &[u8; 20]) -> Range<usize> {
        let bucket = bucket(start(sha1), self.shift);
        let at = |bucket: usize| self.buckets.get(bucket).map_or(0, |&begin| begin as usize);
        at(bucket)..at(bucket + 1)
    }
}

fn start(sha1: &[u8; 20]) -> u32 {
    u32::from_be_bytes(*sha1.first_chunk().expect("20 bytes"))
}

fn bucket(start: u32, shift: u32) -> usize {
    start.checked_shr(shift).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Storage;

    fn blob(sha1: [u8; 20]) -> Blob {
        Blob { sha1, size: 1, stored_size: 1, part: 1, offset: 0, refcount: 1, storage: Storage::Raw }
    }

    /// Hashes that are spread, hashes that begin alike, and both ends.
    fn hashes(count: u32) -> Vec<[u8; 20]> {
        let mut hashes = vec![[0; 20], [0xFF; 20]];
        for i in 0..count {
            let mut hash = [7; 20];
            hash[16..].copy_from_slice(&i.to_be_bytes());
            hashes.push(hash);
            hash[..4].copy_from_slice(&i.wrapping_mul(0x9E37_79B9).to_be_bytes());
            hashes.push(hash);
        }
        hashes
    }

    #[test]
    fn finds_every_hash_and_no_other() {
        for count in [0, 1, 2, 7, 500] {
            let hashes = hashes(count);
            let blobs: Vec<Blob> = hashes.iter().copied().map(blob).collect();
            let index = HashIndex::new(&blobs);
            assert!(index.duplicates(&blobs).is_empty());
            let mut asked = Vec::new();
            let mut expected = Vec::new();
            for (hash, number) in hashes.iter().zip(0..) {
                let mut other = *hash;
                other[10] ^= 1;
                asked.extend([*hash, other]);
                expected.extend([Some(BlobId(number)), None]);
            }
            assert!(asked.iter().map(|hash| index.find(&blobs, hash)).eq(expected.iter().copied()));
            let mut found = vec![None];
            index.find_all(&blobs, &asked, &mut found);
            assert_eq!(found, expected);
        }
        assert_eq!(HashIndex::new(&[]).find(&[], &[1; 20]), None);
        assert_eq!(HashIndex::default().find(&[], &[1; 20]), None);
    }

    #[test]
    fn duplicates_are_all_but_the_first() {
        let mut blobs: Vec<Blob> = hashes(20).into_iter().map(blob).collect();
        let count = blobs.len() as u32;
        blobs.push(blobs[3].clone());
        blobs.push(blobs[30].clone());
        blobs.push(blobs[3].clone());
        let index = HashIndex::new(&blobs);
        let mut found = index.duplicates(&blobs);
        found.sort_unstable();
        assert_eq!(found, [count, count + 1, count + 2]);
    }

    #[test]
    fn new_numbers_are_found() {
        let mut blobs: Vec<Blob> = hashes(50).into_iter().map(blob).collect();
        let mut index = HashIndex::new(&blobs);
        let last = blobs.len() as u32 - 1;
        blobs.reverse();
        index.renumber(&(0..=last).rev().collect::<Vec<_>>());
        for (blob, number) in blobs.iter().zip(0..) {
            assert_eq!(index.find(&blobs, &blob.sha1), Some(BlobId(number)));
        }
    }
}
