//! The structure as a whole: every cluster of the file is used as often as its reference count says, by things that may
//! share it.
//!
//! Counting needs a number per cluster of the file, of which a file may claim to have 2^50. So the file is looked at a
//! stretch at a time, each of which takes two walks over all tables: one to count, one to compare the copies of the
//! counts that entries have in a bit of their own. For the files of this world that is one stretch.

use crate::entry::Entry;
use crate::layout::{ENTRY_COPIED, ENTRY_OFFSET, HEADER_LEN_V2};
use crate::open::be_words;
use crate::read::Qcow2;
use crate::snapshot::Snapshot;
use crate::{Error, Result};

/// Clusters in a stretch: 64 MiB of memory.
const STRETCH: u64 = 8 << 20;
/// How many stretches there may be: 32 TiB in clusters of 64 KiB.
const MAX_STRETCHES: u64 = 64;
/// How many L1 entries snapshots may have together.
const MAX_SNAPSHOT_ENTRIES: u64 = 4 << 20;
/// Tables are read in pieces of this many bytes.
const PIECE: u64 = 1 << 20;

/// What a [`Qcow2::check`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Clusters of the disk, as it is now, that are stored as they are.
    pub stored: u64,
    /// Clusters of the disk that are stored compressed.
    pub compressed: u64,
    /// Clusters of the disk that are zero, or partly zero, by a mark of their own, and have no place in the file.
    pub zero: u64,
    /// L2 tables.
    pub tables: u64,
    /// Clusters of the file that are counted as used, and used by nothing that was looked at: left over by a program that
    /// was interrupted, or dirty bitmaps, which are not looked at. They waste room and do no harm.
    pub leaked: u64,
}

/// What uses a cluster of the file. Only the same kind may use it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What there is once: header, L1 tables, refcounts, the table of snapshots.
    Once = 1,
    /// L2 tables, which snapshots share.
    Table = 2,
    /// Clusters of the disk, which snapshots share.
    Stored = 3,
    /// Compressed clusters, which share the clusters of the file with their neighbours.
    Compressed = 4,
}

impl Kind {
    fn bits(self) -> u32 {
        (self as u32) << KIND_SHIFT
    }

    fn name(bits: u32) -> &'static str {
        match bits >> KIND_SHIFT {
            1 => "a structure of the file",
            2 => "an L2 table",
            3 => "a cluster of the disk",
            _ => "compressed clusters",
        }
    }
}

/// Kinds lie above, counts below.
const KIND_SHIFT: u32 = 29;
const COUNT: u32 = (1 << KIND_SHIFT) - 1;

/// A use of bytes of the file.
struct Use {
    kind: Kind,
    start: u64,
    len: u64,
    /// What uses them, and where that is said.
    what: &'static str,
    at: u64,
    /// For entries of the disk as it is now, whether they say that nothing else uses the cluster.
    copied: Option<bool>,
}

/// The part of the file that is being counted.
struct Stretch {
    first: u64,
    uses: Vec<u32>,
    refcounts: Vec<u32>,
}

impl Qcow2 {
    /// Checks all tables: that every entry is well-formed and lies in the file, that clusters are shared only by what may
    /// share them, that no reference count is too low (which would let a writer overwrite what is in use), and that the
    /// entries' copies of them are right. Compressed clusters are not inflated: reading the disk does that.
    ///
    /// Memory: at most 64 MiB for the counts, and as much for tables. Time: two walks over all tables, which for
    /// files longer than 2^23 clusters are repeated.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the first fault; [`Error::Limit`] for files of more than 2^29 clusters, or whose snapshots
    /// have more than 2^22 L1 entries; [`Error::Io`].
    pub fn check(&self) -> Result<Usage> {
        let clusters = self.opened.file_len.div_ceil(self.cluster_size());
        let stretches = clusters.div_ceil(STRETCH);
        if stretches > MAX_STRETCHES {
            let limit = MAX_STRETCHES * STRETCH;
            return Err(Error::limit("qcow2 file", 0, "number of clusters", clusters, limit));
        }
        let (snapshots, snapshots_len) = self.read_snapshots()?;
        let entries: u64 = snapshots.iter().map(|snapshot| u64::from(snapshot.l1_entries)).sum();
        if entries > MAX_SNAPSHOT_ENTRIES {
            let at = self.opened.header.snapshots_offset;
            let what = "number of L1 entries";
            return Err(Error::limit("qcow2 snapshots", at, what, entries, MAX_SNAPSHOT_ENTRIES));
        }
        let blocks = self.refcount_blocks()?;
        let context = Context { file: self, snapshots, snapshots_len, blocks };
        let mut usage = Usage::default();
        for index in 0..stretches {
            let first = index * STRETCH;
            let len = (clusters - first).min(STRETCH) as usize;
            let mut stretch = Stretch { first, uses: vec![0; len], refcounts: vec![0; len] };
            usage = context.count(&mut stretch, usage.leaked)?;
            context.load_refcounts(&mut stretch)?;
            usage.leaked += context.compare(&stretch)?;
            context.compare_copies(&stretch)?;
        }
        Ok(usage)
    }

    /// The entries of the refcount table.
    fn refcount_blocks(&self) -> Result<Vec<u64>> {
        let header = &self.opened.header;
        let cluster_size = header.cluster_size();
        let len = u64::from(header.refcount_clusters) * cluster_size;
        let mut bytes = vec![0; len as usize];
        let at = header.refcount_offset;
        if len > 0 {
            self.file.read_exact_at(&mut bytes, at).map_err(Error::reading("qcow2 refcount table", at))?;
        }
        let blocks: Vec<u64> = be_words(&bytes).collect();
        for (index, block) in blocks.iter().enumerate() {
            let end = block.checked_add(cluster_size);
            if !block.is_multiple_of(cluster_size) || end.is_none_or(|end| end > self.opened.file_len) {
                let reason = format!(
                    "refcount block at {block:#x}, expected at a cluster of {cluster_size:#x} bytes in a file of {:#x}",
                    self.opened.file_len
                );
                return Err(Error::malformed("qcow2 refcount table entry", at + index as u64 * 8, reason));
            }
        }
        Ok(blocks)
    }
}

struct Context<'a> {
    file: &'a Qcow2,
    snapshots: Vec<Snapshot>,
    snapshots_len: u64,
    blocks: Vec<u64>,
}

impl Context<'_> {
    /// Calls `see` for everything that uses bytes of the file.
    fn walk(&self, usage: &mut Usage, see: &mut dyn FnMut(Use) -> Result<()>) -> Result<()> {
        let (file, header) = (self.file, &self.file.opened.header);
        let cluster_size = header.cluster_size();
        let mut once = |what, at: u64, start: u64, len: u64| {
            see(Use { kind: Kind::Once, start, len, what, at, copied: None })
        };
        once("qcow2 header", 0, 0, header.header_len.max(HEADER_LEN_V2).into())?;
        let refcounts = header.refcount_offset;
        once(
            "qcow2 refcount table",
            refcounts,
            refcounts,
            u64::from(header.refcount_clusters) * cluster_size,
        )?;
        for (index, block) in self.blocks.iter().enumerate().filter(|(_, block)| **block != 0) {
            once("qcow2 refcount table entry", refcounts + index as u64 * 8, *block, cluster_size)?;
        }
        let at = header.snapshots_offset;
        once("qcow2 snapshot table", at, at, self.snapshots_len)?;
        once("qcow2 L1 table", header.l1_offset, header.l1_offset, u64::from(header.l1_entries) * 8)?;
        for snapshot in &self.snapshots {
            let (at, len) = (snapshot.l1_offset, u64::from(snapshot.l1_entries) * 8);
            if !at.is_multiple_of(cluster_size)
                || at.checked_add(len).is_none_or(|end| end > file.opened.file_len)
            {
                let reason =
                    format!("L1 table of {len} bytes at {at:#x} of a file of {:#x}", file.opened.file_len);
                return Err(Error::malformed("qcow2 snapshot", header.snapshots_offset, reason));
            }
            once("qcow2 L1 table of a snapshot", at, at, len)?;
        }
        self.walk_tables(header.l1_offset, header.l1_entries, Some(usage), see)?;
        for snapshot in &self.snapshots {
            self.walk_tables(snapshot.l1_offset, snapshot.l1_entries, None, see)?;
        }
        Ok(())
    }

    /// Walks an L1 table; `usage` is given for that of the disk as it is now.
    fn walk_tables(
        &self,
        l1_at: u64,
        l1_entries: u32,
        mut usage: Option<&mut Usage>,
        see: &mut dyn FnMut(Use) -> Result<()>,
    ) -> Result<()> {
        let file = self.file;
        let words = file.words("qcow2 L1 table", l1_at, u64::from(l1_entries) * 8)?;
        let entries = || words.iter().enumerate().map(|(index, word)| (l1_at + index as u64 * 8, *word));
        // Before any is read: one that is named a million times would be read as often.
        let mut order = Vec::new();
        for (at, word) in entries() {
            order.extend(file.l2_table(word, at)?);
        }
        order.sort_unstable();
        if let Some(pair) = order.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("two entries lead to the L2 table at {:#x}", pair[0]);
            return Err(Error::malformed("qcow2 L1 table", l1_at, reason));
        }
        drop(order);
        let cluster_size = file.cluster_size();
        for (at, word) in entries() {
            let Some(table) = file.l2_table(word, at)? else { continue };
            let copied = word & ENTRY_COPIED != 0;
            if let Some(usage) = &mut usage {
                usage.tables += 1;
            }
            let copied = usage.is_some().then_some(copied);
            see(Use {
                kind: Kind::Table,
                start: table,
                len: cluster_size,
                what: "qcow2 L1 entry",
                at,
                copied,
            })?;
            for piece in (0..cluster_size).step_by(PIECE as usize) {
                self.walk_entries(
                    table + piece,
                    (cluster_size - piece).min(PIECE),
                    usage.as_deref_mut(),
                    see,
                )?;
            }
        }
        Ok(())
    }

    fn walk_entries(
        &self,
        at: u64,
        len: u64,
        mut usage: Option<&mut Usage>,
        see: &mut dyn FnMut(Use) -> Result<()>,
    ) -> Result<()> {
        let (file, entry_len) = (self.file, self.file.opened.header.l2_entry_len());
        let words = file.words("qcow2 L2 table", at, len)?;
        for index in 0..len / entry_len {
            let word = words[(index * entry_len / 8) as usize];
            let entry = file.entry(&words, at, index)?;
            let current = usage.is_some();
            let mut count = |which: fn(&mut Usage) -> &mut u64| {
                if let Some(usage) = &mut usage {
                    *which(usage) += 1;
                }
            };
            let at = at + index * entry_len;
            let what = "qcow2 L2 entry";
            match entry {
                Entry::Plain { at: Some(start), .. } => {
                    count(|usage| &mut usage.stored);
                    let copied = current.then_some(word & ENTRY_COPIED != 0);
                    see(Use { kind: Kind::Stored, start, len: file.cluster_size(), what, at, copied })?;
                }
                Entry::Plain { at: None, zero, .. } => {
                    if zero != 0 {
                        count(|usage| &mut usage.zero);
                    }
                }
                Entry::Compressed { at: start, len } => {
                    count(|usage| &mut usage.compressed);
                    see(Use { kind: Kind::Compressed, start, len, what, at, copied: None })?;
                }
            }
        }
        Ok(())
    }

    /// Counts the uses of each cluster of the stretch.
    fn count(&self, stretch: &mut Stretch, leaked: u64) -> Result<Usage> {
        let cluster_size = self.file.cluster_size();
        let shared = !self.snapshots.is_empty();
        let mut usage = Usage { leaked, ..Usage::default() };
        self.walk(&mut usage, &mut |found| {
            let Some(clusters) = stretch.part(found.start, found.len, cluster_size) else { return Ok(()) };
            for index in clusters {
                let uses = stretch.uses[index];
                let may_share = match found.kind {
                    Kind::Once => false,
                    Kind::Table | Kind::Stored => shared,
                    Kind::Compressed => true,
                };
                if uses != 0 && (!may_share || uses & !COUNT != found.kind.bits()) {
                    let place = (stretch.first + index as u64) * cluster_size;
                    let reason = format!("uses the cluster at {place:#x}, which {} uses", Kind::name(uses));
                    return Err(Error::malformed(found.what, found.at, reason));
                }
                stretch.uses[index] = found.kind.bits() | ((uses & COUNT) + 1).min(COUNT);
            }
            Ok(())
        })?;
        Ok(usage)
    }

    /// Reads the reference counts of the stretch's clusters. Those that no block tells of are zero.
    fn load_refcounts(&self, stretch: &mut Stretch) -> Result<()> {
        let (file, header) = (self.file, &self.file.opened.header);
        let bits = 1u64 << header.refcount_order;
        let per_block = header.cluster_size() * 8 / bits;
        let end = stretch.first + stretch.uses.len() as u64;
        for block in stretch.first / per_block..end.div_ceil(per_block) {
            let Some(at) = self.blocks.get(block as usize).copied().filter(|at| *at != 0) else { continue };
            let mut bytes = vec![0; header.cluster_size() as usize];
            file.file.read_exact_at(&mut bytes, at).map_err(Error::reading("qcow2 refcount block", at))?;
            let first = block * per_block;
            for cluster in first.max(stretch.first)..(first + per_block).min(end) {
                let count = refcount(&bytes, (cluster - first) as usize, header.refcount_order);
                stretch.refcounts[(cluster - stretch.first) as usize] =
                    u32::try_from(count).unwrap_or(u32::MAX);
            }
        }
        Ok(())
    }

    /// Compares uses and reference counts, and returns how many clusters are counted that nothing uses.
    fn compare(&self, stretch: &Stretch) -> Result<u64> {
        let mut leaked = 0;
        for (index, (uses, refcount)) in stretch.uses.iter().zip(&stretch.refcounts).enumerate() {
            let count = uses & COUNT;
            if *refcount < count {
                let at = (stretch.first + index as u64) * self.file.cluster_size();
                let reason = format!(
                    "reference count {refcount}, but {} {} it {count} times",
                    Kind::name(*uses),
                    if uses >> KIND_SHIFT == Kind::Compressed as u32 { "use" } else { "uses" },
                );
                return Err(Error::malformed("qcow2 cluster", at, reason));
            }
            leaked += u64::from(count == 0 && *refcount > 0);
        }
        Ok(leaked)
    }

    /// Compares the entries' bits with the reference counts.
    fn compare_copies(&self, stretch: &Stretch) -> Result<()> {
        let cluster_size = self.file.cluster_size();
        self.walk(&mut Usage::default(), &mut |found| {
            let Some(copied) = found.copied else { return Ok(()) };
            for index in stretch.part(found.start, 1, cluster_size).into_iter().flatten() {
                let refcount = stretch.refcounts[index];
                if copied != (refcount == 1) {
                    let state = if copied { "only" } else { "not the only" };
                    let reason = format!(
                        "says that it is {state} user of the cluster at {:#x}, whose reference count is {refcount}",
                        found.start & ENTRY_OFFSET
                    );
                    return Err(Error::malformed(found.what, found.at, reason));
                }
            }
            Ok(())
        })
    }
}

impl Stretch {
    /// The clusters of the stretch in which `len` bytes at `start` lie, by their place in it.
    fn part(&self, start: u64, len: u64, cluster_size: u64) -> Option<std::ops::Range<usize>> {
        let end = start.checked_add(len)?.div_ceil(cluster_size).min(self.first + self.uses.len() as u64);
        let first = (start / cluster_size).max(self.first);
        (len > 0 && first < end).then(|| (first - self.first) as usize..(end - self.first) as usize)
    }
}

/// Number `index` of a block of counts of 2^`order` bits. Those smaller than a byte begin at its low bits.
fn refcount(block: &[u8], index: usize, order: u32) -> u64 {
    if order < 3 {
        let bits = 1usize << order;
        let per_byte = 8 / bits;
        let shift = index % per_byte * bits;
        return u64::from(block[index / per_byte] >> shift) & ((1 << bits) - 1);
    }
    let len = 1 << (order - 3);
    block[index * len..][..len].iter().fold(0, |count, byte| count << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::refcount;

    #[test]
    fn counts_of_any_width() {
        let block = [0b1101_0010, 0x34, 0, 0, 0, 0, 0, 7];
        assert_eq!((0..8).map(|i| refcount(&block, i, 0)).collect::<Vec<_>>(), [0, 1, 0, 0, 1, 0, 1, 1]);
        assert_eq!((0..4).map(|i| refcount(&block, i, 1)).collect::<Vec<_>>(), [2, 0, 1, 3]);
        assert_eq!((refcount(&block, 0, 2), refcount(&block, 1, 2)), (2, 13));
        assert_eq!(refcount(&block, 1, 3), 0x34);
        assert_eq!(refcount(&block, 0, 4), 0xD234);
        assert_eq!(refcount(&block, 1, 5), 7);
        assert_eq!(refcount(&block, 0, 6), 0xD234_0000_0000_0007);
    }
}
