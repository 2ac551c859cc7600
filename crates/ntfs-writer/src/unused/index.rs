//! Index blocks: which of them an index has given back.

use super::Result;
use crate::parse::{self, Node};
use crate::read::{File, Stream, Volume};

/// Levels of an index; one that is deeper has more leaves than a volume has clusters.
const MAX_DEPTH: usize = 24;
/// Bytes of an index root: no record is as large.
const MAX_ROOT: u64 = 64 << 10;
/// Bytes of the bitmap of an index: blocks of 2 TiB.
const MAX_BITMAP: usize = 64 << 20;

/// The blocks of an index.
pub(super) struct Blocks<'s> {
    pub(super) stream: &'s Stream,
    pub(super) size: u64,
    /// How many there are.
    pub(super) count: u64,
    /// Which are in use, a bit each.
    bits: Vec<u8>,
}

impl<'s> Blocks<'s> {
    /// The blocks of the index `name`; `None` when those that its bitmap marks are not those that its root leads to.
    pub(super) fn of(volume: &Volume, file: &File, name: &[u16], stream: &'s Stream) -> Result<Option<Self>> {
        let size = u64::from(volume.boot().index_block_size);
        let mapped: u64 = stream.runs().iter().filter(|run| run.lcn.is_some()).map(|run| run.clusters).sum();
        let count = stream.size() / size;
        // Nobody has more blocks than clusters for them: memory is bounded by what is there.
        if count > mapped.saturating_mul(volume.boot().cluster_size.into()) / size {
            return Ok(None);
        }
        let Some(root) = file.stream(volume, parse::kind::INDEX_ROOT, name)? else { return Ok(None) };
        let Some(bitmap) = file.stream(volume, parse::kind::BITMAP, name)? else { return Ok(None) };
        // As many as memory can be asked for.
        let needed = usize::try_from(count.div_ceil(8)).ok().filter(|needed| *needed <= MAX_BITMAP);
        let Some(needed) = needed.filter(|needed| bitmap.size() >= *needed as u64) else { return Ok(None) };
        // It may be longer than it needs to be; what is behind does not count.
        let mut bits = vec![0; needed];
        bitmap.read(volume, 0, &mut bits)?;
        let root = root.read_all(volume, MAX_ROOT)?;
        let mut blocks = Self { stream, size, count, bits };
        let mut reached = vec![0; needed];
        let Ok(node) = parse::root(&root).map(|root| root.node) else { return Ok(None) };
        let sound = blocks.reach(volume, &node, 0, &mut reached)?;
        let last = count % 8;
        if let (Some(byte), 1..) = (blocks.bits.last_mut(), last) {
            *byte &= (1 << last) - 1;
        }
        Ok((sound && reached == blocks.bits).then_some(blocks))
    }

    /// Marks the blocks below a node; whether all could be read, and none twice.
    fn reach(&self, volume: &Volume, node: &Node<'_>, depth: usize, reached: &mut [u8]) -> Result<bool> {
        let unit = u64::from(volume.boot().index_unit(volume.boot().index_block_size));
        for entry in node.entries() {
            let Ok(entry) = entry else { return Ok(false) };
            let Some(vcn) = entry.child else { continue };
            let start = vcn.checked_mul(unit).filter(|start| start.is_multiple_of(self.size));
            let number = start.map(|start| start / self.size).filter(|&number| number < self.count);
            let Some(number) = number.filter(|_| depth < MAX_DEPTH) else { return Ok(false) };
            let (byte, bit) = (&mut reached[(number / 8) as usize], 1 << (number % 8));
            if *byte & bit != 0 {
                return Ok(false);
            }
            *byte |= bit;
            let mut bytes = self.read(volume, number)?;
            let block = parse::unprotect(&mut bytes, "index block").and_then(|()| parse::block(&bytes));
            let Ok(block) = block else { return Ok(false) };
            if !self.reach(volume, &block.node, depth + 1, reached)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn is_used(&self, number: u64) -> bool {
        self.bits[(number / 8) as usize] >> (number % 8) & 1 == 1
    }

    /// A block as it lies on the volume.
    pub(super) fn read(&self, volume: &Volume, number: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size as usize];
        self.stream.read_clusters(volume, number * self.size, &mut bytes)?;
        Ok(bytes)
    }
}
