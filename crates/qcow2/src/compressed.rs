//! Compressed qcow2: for keeping and sending; qemu runs from it, too, and writes changes uncompressed.
//!
//! Each cluster is a DEFLATE stream of its own that looks back no farther than 4 KiB (what qemu's inflater is told to
//! expect), so clusters are compressed in parallel. Streams lie one behind the other, not aligned to anything; a cluster
//! that does not get smaller is stored as it is, at a cluster of its own. Where the next stream begins is known only when
//! the one before has its length, so the tables follow the data: an L2 table as soon as its 512 MiB of disk are done,
//! the others at the end, and the header, which has to name their places at the start of the file, last. That needs a
//! file that can be written at any place; a qcow2 file with compressed clusters cannot be streamed by anyone, its length
//! being unknown where a tar member or the header would have to name it. (Inside something that is compressed itself,
//! [`plain`](crate::plain) is the better choice anyway: the whole window, and no padding.)

use std::fmt;
use std::io;
use std::mem;

use codec::{Deflater, Tokens};
use disk::{OrderedSink, UnitEncoder, WriteAt, is_zero};

use crate::layout::{ENTRY_COMPRESSED, ENTRY_COPIED};
use crate::options::{
    BLOCK_ENTRIES, CLUSTER_BITS, CLUSTER_SIZE, L2_ENTRIES, L2_SPAN, Options, refcount_clusters,
};
use crate::{Error, Level, Result};

/// The bits of an L2 entry that are the offset of a compressed cluster; above them, how many more sectors it touches.
const OFFSET_BITS: u32 = 62 - (CLUSTER_BITS - 8);
/// Written at once.
const BUFFER: usize = 1 << 20;
/// Length of what precedes a cluster in a unit's encoded form: its number on the disk, and its length in bytes, which is
/// [`CLUSTER_SIZE`] when it is not compressed.
const HEAD_LEN: usize = 12;

/// A compressed qcow2 file in `file`, which is empty.
///
/// Units are committed in disk order; clusters of zeros are left out. Memory: 2 bytes for each 64 KiB of the file, 8 for
/// each 512 MiB of the disk, and 1.5 MiB.
///
/// # Errors
/// [`Error::Impossible`]; [`Error::Io`] when the file cannot be written.
pub fn in_file<F: WriteAt>(file: F, options: &Options) -> Result<Compressed<F>> {
    options.check()?;
    // Nothing takes the file for a qcow2 file before its header is there.
    file.set_len(CLUSTER_SIZE).map_err(Error::writing("qcow2 file", 0))?;
    Ok(Compressed {
        l1: vec![0; options.l1_entries() as usize],
        options: options.clone(),
        out: Buffered { file, bytes: Vec::new(), at: CLUSTER_SIZE },
        refcounts: vec![1],
        open: 0..0,
        next: 0,
        l2: vec![0; L2_ENTRIES as usize],
        l2_index: None,
    })
}

/// A compressed qcow2 file that is being written; see [`in_file`].
pub struct Compressed<F> {
    options: Options,
    out: Buffered<F>,
    /// For each cluster of the file how often it is used.
    refcounts: Vec<u16>,
    /// What is free in the cluster that was last given to compressed data.
    open: std::ops::Range<u64>,
    /// The cluster of the disk before which nothing may come any more.
    next: u64,
    l1: Vec<u64>,
    /// The L2 table that is being filled.
    l2: Vec<u64>,
    /// Its place in the L1 table, once it holds anything.
    l2_index: Option<usize>,
}

impl<F> fmt::Debug for Compressed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed")
            .field("options", &self.options)
            .field("clusters", &self.refcounts.len())
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Writes in large pieces what is mostly written front to back.
struct Buffered<F> {
    file: F,
    bytes: Vec<u8>,
    /// Where `bytes` belong.
    at: u64,
}

impl<F: WriteAt> Buffered<F> {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if at != self.at + self.bytes.len() as u64 || self.bytes.len() >= BUFFER {
            self.flush()?;
            self.at = at;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.file.write_all_at(&self.bytes, self.at)?;
            self.at += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl<F: WriteAt> Compressed<F> {
    /// The end of what is used of the file, in bytes.
    fn end(&self) -> u64 {
        self.refcounts.len() as u64 * CLUSTER_SIZE
    }

    /// Writes what fills whole clusters to new ones at the end, and returns where that is.
    fn append(&mut self, clusters: &[u8]) -> io::Result<u64> {
        debug_assert!((clusters.len() as u64).is_multiple_of(CLUSTER_SIZE));
        let at = self.end();
        self.out.put(clusters, at)?;
        self.refcounts.resize(self.refcounts.len() + clusters.len() / CLUSTER_SIZE as usize, 1);
        Ok(at)
    }

    /// Finds room for `len` bytes of compressed data, less than a cluster.
    fn allocate(&mut self, len: u64) -> u64 {
        if self.open.end - self.open.start < len {
            let end = self.end();
            if self.open.is_empty() || self.open.end != end {
                // What was left there is lost: data that crosses clusters needs neighbours.
                self.open = end..end;
            }
            self.refcounts.push(0);
            self.open.end += CLUSTER_SIZE;
        }
        let at = self.open.start;
        self.open.start += len;
        for cluster in at / CLUSTER_SIZE..=(at + len - 1) / CLUSTER_SIZE {
            // A stream of 64 KiB has some 70 bytes at least, so there are less than a thousand in a cluster.
            self.refcounts[cluster as usize] += 1;
        }
        at
    }

    /// Stores a cluster of the disk, and returns its L2 entry.
    fn store(&mut self, data: &[u8]) -> io::Result<u64> {
        let len = data.len() as u64;
        if len == CLUSTER_SIZE {
            return Ok(ENTRY_COPIED | self.append(data)?);
        }
        let at = self.allocate(len);
        self.out.put(data, at)?;
        let sectors = (at + len - 1) / 512 - at / 512;
        Ok(ENTRY_COMPRESSED | sectors << OFFSET_BITS | at)
    }

    /// Writes the L2 table that was being filled.
    fn flush_l2(&mut self) -> io::Result<()> {
        let Some(index) = self.l2_index.take() else { return Ok(()) };
        let bytes: Vec<u8> = self.l2.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        self.l1[index] = ENTRY_COPIED | self.append(&bytes)?;
        self.l2.fill(0);
        Ok(())
    }
}

impl<F: WriteAt> OrderedSink for Compressed<F> {
    fn granularity(&self) -> u64 {
        CLUSTER_SIZE
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(ClusterEncoder::new(self.options.level))
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.options.size);
        let Some(end) = end else { return Err(invalid("unit past the disk's end")) };
        if offset < self.next * CLUSTER_SIZE || !offset.is_multiple_of(CLUSTER_SIZE) {
            return Err(invalid("unit out of order"));
        }
        self.next = offset / CLUSTER_SIZE;
        let mut rest = encoded;
        while let Some((head, after)) = rest.split_first_chunk::<HEAD_LEN>() {
            let cluster = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
            let size = u32::from_le_bytes(head[8..].try_into().expect("four bytes"));
            let data = after.get(..size as usize);
            let (Some(data), true) = (data, cluster >= self.next && cluster < end.div_ceil(CLUSTER_SIZE))
            else {
                return Err(invalid("unit holds a cluster that is not its own"));
            };
            if data.is_empty() || size as u64 > CLUSTER_SIZE {
                return Err(invalid("unit holds a cluster of impossible length"));
            }
            let index = (cluster / L2_ENTRIES) as usize;
            if self.l2_index != Some(index) {
                self.flush_l2()?;
                self.l2_index = Some(index);
            }
            self.l2[(cluster % L2_ENTRIES) as usize] = self.store(data)?;
            self.next = cluster + 1;
            rest = &after[size as usize..];
        }
        if !rest.is_empty() {
            return Err(invalid("unit ends inside a cluster"));
        }
        self.next = end.div_ceil(CLUSTER_SIZE);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush_l2()?;
        let table = |entries: Vec<u64>| {
            let mut bytes: Vec<u8> = entries.into_iter().flat_map(u64::to_be_bytes).collect();
            bytes.resize(bytes.len().next_multiple_of(CLUSTER_SIZE as usize), 0);
            bytes
        };
        let l1 = mem::take(&mut self.l1);
        let l1 = self.append(&table(l1))? / CLUSTER_SIZE;
        // The table comes last: 7-Zip takes what it does not know, such as blocks, for something behind the file's end.
        let (table_clusters, blocks) = refcount_clusters(self.refcounts.len() as u64);
        let mut counts = mem::take(&mut self.refcounts);
        let first_block = counts.len() as u64;
        counts.resize(counts.len() + (blocks + table_clusters) as usize, 1);
        for (index, block) in counts.chunks(BLOCK_ENTRIES as usize).enumerate() {
            let mut bytes: Vec<u8> = block.iter().flat_map(|count| count.to_be_bytes()).collect();
            bytes.resize(CLUSTER_SIZE as usize, 0);
            self.out.put(&bytes, (first_block + index as u64) * CLUSTER_SIZE)?;
        }
        let entries = (0..blocks).map(|block| (first_block + block) * CLUSTER_SIZE).collect();
        let refcounts = first_block + blocks;
        self.out.put(&table(entries), refcounts * CLUSTER_SIZE)?;
        self.out.flush()?;
        let header = self.options.header(l1, refcounts, table_clusters);
        self.out.file.write_all_at(&header.to_bytes(), 0)
    }
}

/// Compresses clusters. One per worker, as it has scratch memory of some hundred KiB.
struct ClusterEncoder {
    deflater: Deflater,
}

impl ClusterEncoder {
    fn new(level: Level) -> Self {
        Self { deflater: Deflater::within_4_kib(level) }
    }
}

impl UnitEncoder for ClusterEncoder {
    fn encode(&mut self, offset: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        if !offset.is_multiple_of(CLUSTER_SIZE) {
            return Err(invalid("unit does not begin at a cluster"));
        }
        let mut padded;
        for (index, mut cluster) in data.chunks(CLUSTER_SIZE as usize).enumerate() {
            if is_zero(cluster) {
                continue;
            }
            if cluster.len() < CLUSTER_SIZE as usize {
                // The end of the disk.
                padded = cluster.to_vec();
                padded.resize(CLUSTER_SIZE as usize, 0);
                cluster = &padded;
            }
            out.extend_from_slice(&(offset / CLUSTER_SIZE + index as u64).to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            let start = out.len();
            self.deflater.raw(cluster, out);
            if out.len() - start >= CLUSTER_SIZE as usize {
                out.truncate(start);
                out.extend_from_slice(cluster);
            }
            let size = (out.len() - start) as u32;
            out[start - 4..start].copy_from_slice(&size.to_le_bytes());
        }
        Ok(())
    }
}

// The span of a table is what the L2 entries of the cluster size map.
const _: () = assert!(L2_SPAN == L2_ENTRIES * CLUSTER_SIZE);
