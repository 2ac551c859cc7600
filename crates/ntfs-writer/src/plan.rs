//! From the decided tree to clusters.
//!
//! Everything whose size does not depend on the volume's comes first and is placed here: `$Boot`, the small system
//! files, the blocks of directories, then file data. What remains grows with the volume (`$LogFile`, `$Bitmap`) or
//! wants to lie behind all file data: `$MFT`, because resident files are only known once their blobs were read, and
//! last of all, because free space behind it lets it grow in one piece.

use std::sync::Arc;

use crate::attribute::{Attribute, Body, REPARSE_HEAD_LEN};
use crate::index;
use crate::layout::attribute::kind;
use crate::layout::index::BLOCK_LEN;
use crate::model::{Model, ROOT_RECORD};
use crate::node::{NodeId, Note, Source};
use crate::place::{Placed, Stream, place};
use crate::system::{self, View};
use crate::tree::NONE;
use crate::volume::Volume;
use crate::{Error, Result, upcase};

/// Clusters of a volume are numbered in 32 bits.
pub(crate) const MAX_CLUSTERS: u64 = u32::MAX as u64;
/// `$Boot`: 16 sectors of 512 bytes.
pub(crate) const BOOT_LEN: u64 = crate::BOOT_CODE_LEN as u64;
/// The smallest `$LogFile` that Windows makes.
pub(crate) const MIN_LOG: u64 = 2 << 20;

/// What is rendered, rather than copied from a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Boot,
    Mirror,
    UpCase,
    AttrDef,
    Sds,
    /// The blocks or the bitmap of a view index, by its number.
    ViewBlocks(u32),
    ViewBitmap(u32),
    /// The blocks or the bitmap of a directory, by its number.
    DirBlocks(u32),
    DirBitmap(u32),
    /// The attribute list of a file in several records, by its number.
    List(u32),
    /// Of a node.
    Reparse(u32),
    Ea(u32),
    Log,
    Bitmap,
    MftBitmap,
    Mft,
    BootCopy,
}

/// A rendered part of the volume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// First byte on the volume.
    pub(crate) start: u64,
    /// Length in bytes; the rest of its last cluster is zero.
    pub(crate) len: u64,
    pub(crate) what: What,
}

/// Everything about a volume that does not depend on its size.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Planned>,
}

#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) model: Model,
    pub(crate) views: Vec<View>,
    pub(crate) attr_def: Vec<u8>,
    /// What lies in front of file data.
    pub(crate) front: Vec<Part>,
    pub(crate) mirror_lcn: u32,
    pub(crate) up_case_lcn: u32,
    pub(crate) attr_def_lcn: u32,
    pub(crate) sds_lcn: u32,
    /// For each list of [`Model::spreads`] that is not resident, its first cluster.
    pub(crate) list_lcns: Vec<u32>,
    /// First clusters of whatever is not resident, each node's together, in the order of its attributes; those of file
    /// data are filled in when it is placed. Where each node's begin, by node.
    pub(crate) runs: Vec<u32>,
    pub(crate) first_run: Vec<u32>,
    /// File data, in the order in which it is laid out, and where it begins.
    pub(crate) streams: Vec<Stream>,
    pub(crate) data_lcn: u64,
    /// Bytes of `$MFT`, of the part of it that is not reserve, and of its bitmap.
    pub(crate) mft_len: u64,
    pub(crate) mft_used: u64,
    pub(crate) mft_bitmap_len: u64,
    /// Where the tightest layout ends.
    compact_end: u64,
    pub(crate) min_size: u64,
}

/// Hands out clusters, one after the other.
struct Cursor {
    next: u64,
    cluster: u32,
    parts: Vec<Part>,
}

impl Cursor {
    /// Room for `len` bytes; returns the first cluster. Past 2^32 clusters, which is refused at the end, anything does.
    fn take(&mut self, what: What, len: u64) -> u32 {
        let lcn = self.next;
        self.parts.push(Part { start: lcn * u64::from(self.cluster), len, what });
        self.next += len.div_ceil(u64::from(self.cluster));
        u32::try_from(lcn).unwrap_or(u32::MAX)
    }
}

impl Plan {
    pub(crate) fn new(model: Model) -> Result<Self> {
        let cluster = model.options.cluster_size;
        let record_size = u64::from(model.options.record_size);
        let mut views = system::views(&model);
        let attr_def = system::attr_def();

        let mut cursor = Cursor { next: 0, cluster, parts: Vec::new() };
        cursor.take(What::Boot, BOOT_LEN);
        let mirror_lcn = cursor.take(What::Mirror, mirror_len(&model));
        let up_case_lcn = cursor.take(What::UpCase, upcase::LEN as u64);
        let attr_def_lcn = cursor.take(What::AttrDef, attr_def.len() as u64);
        let sds_lcn = cursor.take(What::Sds, model.store.len());
        for (view, number) in views.iter_mut().zip(0..) {
            let Some(tree) = &view.tree else { continue };
            view.blocks_lcn =
                cursor.take(What::ViewBlocks(number), u64::from(tree.blocks()) * BLOCK_LEN as u64);
            if let Some(len) = view.bitmap_in_clusters() {
                view.bitmap_lcn = cursor.take(What::ViewBitmap(number), len as u64);
            }
        }
        let list_lcns = model
            .spreads
            .iter()
            .zip(0..)
            .map(|(spread, number)| match spread.list_is_resident {
                true => NONE,
                false => cursor.take(What::List(number), spread.list_len as u64),
            })
            .collect();
        let mut runs = Vec::new();
        let mut first_run = vec![0; model.files.inodes.len()];
        let mut streams = Vec::new();
        for i in 0..=model.by_record.len() {
            let node = if i == 0 { 0 } else { model.by_record[i - 1] };
            first_run[node as usize] = runs.len() as u32;
            if model.is_plain_and_resident(node) {
                continue;
            }
            place_node(&model, node, &mut cursor, &mut runs, &mut streams)?;
        }
        // Bytes of our own first: they are there before anything is read.
        streams.sort_by_key(|stream| match stream.source {
            Source::Blob { blob, .. } => (true, blob),
            _ => (false, 0),
        });

        let granule = u64::from(cluster).max(64 * record_size);
        let mft_used = u64::from(model.records()) * record_size;
        let mft_len =
            (mft_used + u64::from(model.options.reserve_records) * record_size).next_multiple_of(granule);
        let mft_bitmap_len = (mft_len / record_size).div_ceil(64) * 8;
        let mut planned = Planned {
            model,
            views,
            attr_def,
            data_lcn: cursor.next,
            front: cursor.parts,
            mirror_lcn,
            up_case_lcn,
            attr_def_lcn,
            sds_lcn,
            list_lcns,
            runs,
            first_run,
            streams,
            mft_len,
            mft_used,
            mft_bitmap_len,
            compact_end: 0,
            min_size: 0,
        };
        planned.compact_end = planned.place(0).end;
        planned.min_size = planned.smallest()?;
        Ok(Self { inner: Arc::new(planned) })
    }

    /// The length in bytes of the smallest volume (the partition, its last sector included) that
    /// [`lay_out`](Self::lay_out) accepts.
    pub fn min_size(&self) -> u64 {
        self.inner.min_size
    }

    /// Bytes of clusters that the content takes, with its records and directories, whatever the volume's size.
    pub fn content_size(&self) -> u64 {
        let tail = self.inner.fixed_tail();
        (self.inner.compact_end + tail) * u64::from(self.inner.model.options.cluster_size)
    }

    /// What was decided for the caller up to here.
    pub fn notes(&self) -> &[Note] {
        &self.inner.model.notes
    }

    /// The number of the file record that a node gets.
    ///
    /// # Panics
    /// When the node is not of this plan.
    pub fn record_number(&self, node: NodeId) -> u32 {
        self.inner.model.record[node.0 as usize]
    }

    /// Places everything on a volume of `volume_len` bytes: the length of the partition, a multiple of the sector size.
    ///
    /// # Errors
    /// [`Error::TooSmall`], saying how large it must be; [`Error::Option`] when the length is no multiple of a sector
    /// or makes more clusters than NTFS can number.
    pub fn lay_out(&self, volume_len: u64) -> Result<Volume> {
        Volume::new(Arc::clone(&self.inner), volume_len)
    }
}

/// Bytes of `$MFT` that `$MFTMirr` repeats: four records, or as many as fill a cluster.
fn mirror_len(model: &Model) -> u64 {
    u64::from((4 * model.options.record_size).max(model.options.cluster_size))
}

/// Finds clusters for what a node has outside its record; file data only queues for them.
fn place_node(
    model: &Model,
    node: u32,
    cursor: &mut Cursor,
    runs: &mut Vec<u32>,
    streams: &mut Vec<Stream>,
) -> Result<()> {
    let inode = &model.files.inodes[node as usize];
    let mut named = inode.extra.iter().flat_map(|extra| &extra.named).filter(|stream| !stream.resident);
    let mut too_large = None;
    let mut visit = |attribute: Attribute<'_>| {
        let Body::NonResident(clusters) = attribute.body else { return };
        if clusters.run.lcn.is_none() {
            return;
        }
        let slot = runs.len() as u32;
        let lcn = match attribute.kind {
            kind::DATA => {
                let is_named = !attribute.name.is_empty();
                let source = match is_named {
                    false => inode.data.clone(),
                    true => named.next().expect("as many as attributes").source.clone(),
                };
                let Ok(count) = u32::try_from(clusters.run.clusters) else {
                    too_large = Some(clusters.run.clusters);
                    return;
                };
                streams.push(Stream { slot, node, source, is_named, clusters: count });
                NONE
            }
            kind::INDEX_ALLOCATION => cursor.take(What::DirBlocks(inode.dir), clusters.size),
            kind::BITMAP => cursor.take(What::DirBitmap(inode.dir), clusters.size),
            kind::REPARSE_POINT => cursor.take(What::Reparse(node), clusters.size),
            _ => cursor.take(What::Ea(node), clusters.size),
        };
        runs.push(lcn);
    };
    model.attributes(node, &[], &[], &mut visit);
    match too_large {
        Some(found) => {
            let (what, limit) = ("clusters of a stream", MAX_CLUSTERS);
            Err(Error::Limit { path: model.files.path(node), what, found, limit })
        }
        None => Ok(()),
    }
}

impl Planned {
    /// Places file data.
    pub(crate) fn place(&self, alignment: u64) -> Placed {
        place(&self.streams, self.data_lcn, self.model.options.cluster_size, alignment)
    }

    pub(crate) fn clusters(&self, len: u64) -> u64 {
        len.div_ceil(u64::from(self.model.options.cluster_size))
    }

    /// Clusters behind file data that every volume needs: `$MFT` and its bitmap.
    pub(crate) fn fixed_tail(&self) -> u64 {
        self.clusters(self.mft_len) + self.clusters(self.mft_bitmap_len)
    }

    /// Clusters that content ending at `end` needs on a volume of `clusters`, with a log of `log` bytes.
    pub(crate) fn needed(&self, end: u64, clusters: u64, log: u64) -> u64 {
        end + self.fixed_tail() + self.clusters(bitmap_len(clusters)) + self.clusters(log)
    }

    /// The smallest volume: `needed` grows by at most one cluster with each cluster of the volume, so the first fixed
    /// point from below is it, and every larger volume will do as well.
    fn smallest(&self) -> Result<u64> {
        let options = &self.model.options;
        let mut clusters = 0;
        loop {
            let needed = self.needed(self.compact_end, clusters, MIN_LOG);
            if needed > MAX_CLUSTERS {
                let (path, what) = (String::new(), "clusters of the volume");
                return Err(Error::Limit { path, what, found: needed, limit: MAX_CLUSTERS });
            }
            if needed <= clusters {
                break;
            }
            clusters = needed;
        }
        // One more sector, outside the clusters, for the copy of the boot sector.
        Ok(clusters * u64::from(options.cluster_size) + u64::from(options.sector_size.bytes()))
    }

    /// The runs of a node.
    pub(crate) fn runs_of<'a>(&self, runs: &'a [u32], node: u32) -> &'a [u32] {
        &runs[self.first_run[node as usize] as usize..]
    }

    /// The node of a record, if it is a base record of the tree.
    pub(crate) fn node_of(&self, record: u32) -> Option<u32> {
        if record == ROOT_RECORD {
            return Some(0);
        }
        let number = record.checked_sub(crate::model::FIRST_RECORD)?;
        self.model.by_record.get(number as usize).copied()
    }

    /// The bytes that precede the data of a reparse point.
    pub(crate) fn reparse_head(&self, node: u32) -> Option<([u8; REPARSE_HEAD_LEN], &Source)> {
        let reparse = self.model.files.inodes[node as usize].extra.as_ref()?.reparse.as_ref()?;
        let mut head = [0; REPARSE_HEAD_LEN];
        crate::layout::put(&mut head, 0, &crate::inode::reparse_head(reparse));
        Some((head, &reparse.data))
    }

    /// The number of blocks of a directory.
    pub(crate) fn dir_blocks(&self, dir: u32) -> u32 {
        self.model.dirs[dir as usize].tree.as_ref().map_or(0, index::Tree::blocks)
    }
}

/// Bytes of `$Bitmap` for a volume of `clusters`.
pub(crate) fn bitmap_len(clusters: u64) -> u64 {
    clusters.div_ceil(64) * 8
}

/// The length of `$LogFile` on a volume of `volume_len` bytes: between sizes that Windows 10 chose, a straight line.
pub(crate) fn log_len(volume_len: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    const PAGE: u64 = 4096;
    const OBSERVED: [(u64, u64); 5] = [
        (200 * MIB, 2 * MIB),
        (253 * MIB, 2_654_208),
        (1020 * MIB, 5_013_504),
        (13_005 * MIB, 20_676_608),
        (65_536 * MIB, 64 * MIB),
    ];
    let at = OBSERVED.partition_point(|&(volume, _)| volume <= volume_len);
    let len = match (at.checked_sub(1).map(|before| OBSERVED[before]), OBSERVED.get(at)) {
        (Some((_, len)), None) => len,
        (None, _) => OBSERVED[0].1,
        (Some((volume_0, log_0)), Some((volume_1, log_1))) => {
            log_0 + (volume_len - volume_0) * (log_1 - log_0) / (volume_1 - volume_0)
        }
    };
    len.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_as_long_as_those_of_windows() {
        assert_eq!(log_len(3 << 20), 2 << 20);
        assert_eq!(log_len(253 << 20), 2_654_208);
        assert_eq!(log_len(1020 << 20), 5_013_504);
        assert_eq!(log_len(64 << 30), 64 << 20);
        assert_eq!(log_len(u64::MAX), 64 << 20);
        let grows = (0..4000u64).map(|i| log_len(i * 20_000_000));
        assert!(grows.is_sorted());
    }

    #[test]
    fn bitmaps_are_whole_words() {
        assert_eq!(bitmap_len(1), 8);
        assert_eq!(bitmap_len(64), 8);
        assert_eq!(bitmap_len(65), 16);
    }
}
