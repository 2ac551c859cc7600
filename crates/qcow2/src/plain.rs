//! Plain qcow2: what qemu and libvirt run from.
//!
//! The ranges that hold something are known before the first byte, so every table is computed up front and lies in front
//! of the data, as if all of them had been preallocated: header, refcount table, refcount blocks, L1 table, L2 tables,
//! and the data clusters in disk order. That order serves both ways to write: into a file by all workers at once, and
//! front to back into something that cannot seek. Every cluster of such a file is used once, so all reference counts
//! are one.

use std::io::{self, Write};
use std::ops::Range;

use disk::{FrontToBack, PlannedFile, PlannedStream, Runs, WriteAt};

use crate::layout::{ENTRY_COPIED, Header};
use crate::options::{BLOCK_ENTRIES, CLUSTER_SIZE, L2_ENTRIES, L2_SPAN, Options, refcount_clusters};
use crate::{Error, Result};

/// Where everything lies.
struct Plan {
    header: Header,
    /// Clusters of the refcount table and of its blocks.
    refcounts: (u64, u64),
    /// The first L2 table, in clusters.
    l2: u64,
    /// L1 entries that have an L2 table, in order.
    l2_of: Vec<u32>,
    clusters: Runs,
}

impl Plan {
    fn new(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<Self> {
        options.check()?;
        let clusters =
            Runs::new(options.size, CLUSTER_SIZE, allocated).map_err(Error::misplaced("qcow2 file"))?;
        let l2_of: Vec<u32> = clusters.spans(L2_SPAN).map(|index| index as u32).collect();
        let others = 1 + options.l1_clusters() + l2_of.len() as u64 + clusters.stored() / CLUSTER_SIZE;
        let refcounts = refcount_clusters(others);
        let l1 = 1 + refcounts.0 + refcounts.1;
        let l2 = l1 + options.l1_clusters();
        let data = (l2 + l2_of.len() as u64) * CLUSTER_SIZE;
        let header = options.header(l1, 1, refcounts.0);
        Ok(Self { header, refcounts, l2, l2_of, clusters: clusters.starting_at(data) })
    }

    fn file_len(&self) -> u64 {
        self.clusters.file().end
    }

    /// The first cluster, which makes a qcow2 file of the others.
    fn head(&self) -> Vec<u8> {
        let mut bytes = self.header.to_bytes().to_vec();
        // Whatever follows the header is a list of extensions; zeros end it.
        bytes.resize(CLUSTER_SIZE as usize, 0);
        bytes
    }

    /// Hands out everything between the first cluster and the data, front to back, in whole clusters.
    fn tables(&self, mut put: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let (table, blocks) = self.refcounts;
        put(&offsets((0..blocks).map(|block| (1 + table + block) * CLUSTER_SIZE)))?;
        let clusters = self.file_len() / CLUSTER_SIZE;
        for block in 0..blocks {
            let used = (clusters - block * BLOCK_ENTRIES).min(BLOCK_ENTRIES) as usize;
            let mut bytes = [0, 1].repeat(used);
            bytes.resize(CLUSTER_SIZE as usize, 0);
            put(&bytes)?;
        }
        let mut l1 = vec![0; self.header.l1_entries as usize];
        for (ordinal, index) in self.l2_of.iter().enumerate() {
            l1[*index as usize] = ENTRY_COPIED | ((self.l2 + ordinal as u64) * CLUSTER_SIZE);
        }
        put(&offsets(l1.into_iter()))?;
        for index in &self.l2_of {
            let start = u64::from(*index) * L2_SPAN;
            let mut l2 = vec![0; L2_ENTRIES as usize];
            for run in self.clusters.within(start..start + L2_SPAN) {
                for (cluster, place) in run.blocks(CLUSTER_SIZE) {
                    l2[(cluster % L2_ENTRIES) as usize] = ENTRY_COPIED | place;
                }
            }
            put(&offsets(l2.into_iter()))?;
        }
        Ok(())
    }
}

/// A table of entries, in whole clusters.
fn offsets(entries: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.flat_map(u64::to_be_bytes).collect();
    bytes.resize(bytes.len().next_multiple_of(CLUSTER_SIZE as usize), 0);
    bytes
}

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// [`Error::Impossible`].
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.file_len())
}

/// A plain qcow2 file, written anywhere at once.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of [`CLUSTER_SIZE`] gives them; every cluster that they touch is
/// stored. Memory: 24 bytes per range, and 12 for each 512 MiB of disk.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other; [`Error::Io`] when the tables cannot be
/// written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedFile<F>> {
    let plan = Plan::new(options, allocated)?;
    // The header comes last: until then nothing takes the file for a qcow2 file.
    file.set_len(plan.file_len()).map_err(Error::writing("qcow2 file", 0))?;
    let mut at = CLUSTER_SIZE;
    plan.tables(|bytes| {
        file.write_all_at(bytes, at)?;
        at += bytes.len() as u64;
        Ok(())
    })
    .map_err(Error::writing("qcow2 tables", CLUSTER_SIZE))?;
    let head = (0, plan.head());
    Ok(PlannedFile::new(file, plan.clusters, vec![head]))
}

/// A plain qcow2 file, written front to back to something that need not seek. The file is the same as that of
/// [`positioned`]; header and tables are written at once.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedStream<W>> {
    let plan = Plan::new(options, allocated)?;
    let mut out = FrontToBack::new(writer);
    out.append(&plan.head()).map_err(Error::writing("qcow2 header", 0))?;
    plan.tables(|bytes| out.append(bytes)).map_err(Error::writing("qcow2 tables", CLUSTER_SIZE))?;
    Ok(PlannedStream::new(out, plan.clusters))
}
