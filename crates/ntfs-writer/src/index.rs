//! B-trees, built from entries that are already sorted.
//!
//! Leaves are filled one after the other, and the entry that follows a full leaf goes up as the separator; the
//! separators make the next level the same way, until one block holds a whole level. So every leaf has the same depth,
//! nearly full, and nothing is ever moved. Only the number of the first item of each block is kept: 4 bytes a block.
//!
//! The root attribute of a large index always holds one entry, which points to the top block: Windows' own trees look
//! like that after their first split, and the record's other attributes cannot crowd it out.

use crate::layout::index::{
    BLOCK_ENTRIES, BLOCK_HEAD_LEN, BLOCK_LEN, BLOCK_USA_OFFSET, ENTRY_HAS_CHILD, ENTRY_HEAD_LEN, ENTRY_LAST,
    EntryHead, INDEX_HEADER_LEN, IndexBlockHead, IndexHeader, IndexRootHead, ROOT_HEAD_LEN,
};
use crate::layout::{protect, put, put_u16, put_u64, usa_count};

/// Bytes for entries in a block.
const ROOM: usize = BLOCK_LEN - BLOCK_ENTRIES;

/// How far a leaf is filled: the first names that Windows adds to a directory shall not split a block each.
const LEAF_FILL: usize = ROOM - ROOM / 10;

/// The sorted entries of an index. Lengths and bytes are those of an entry without a child.
pub(crate) trait Entries {
    /// How many.
    fn count(&self) -> u32;
    /// The length of an entry in bytes, a multiple of 8.
    fn len_of(&self, entry: u32) -> usize;
    /// Writes an entry at the beginning of `buf`, which is zeroed.
    fn write(&self, entry: u32, buf: &mut [u8]);
}

/// What an index is, apart from its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Type of the indexed attribute.
    pub(crate) attribute: u32,
    /// Collation rule.
    pub(crate) collation: u32,
}

/// A level of the tree.
#[derive(Debug)]
struct Level {
    /// The number of its first block.
    first_block: u32,
    /// For each block, the first of the level's items that it holds; one more at the end. A block's items end one
    /// before the next block's begin: the item between went up.
    starts: Vec<u32>,
}

impl Level {
    fn blocks(&self) -> u32 {
        self.starts.len() as u32 - 1
    }
}

/// The shape of an index that does not fit its root attribute.
#[derive(Debug)]
pub(crate) struct Tree {
    levels: Vec<Level>,
}

impl Tree {
    /// The tree over `entries`, of which there is at least one.
    pub(crate) fn build(entries: &dyn Entries) -> Self {
        let mut tree = Self { levels: Vec::new() };
        let mut items = entries.count();
        let mut first_block = 0;
        loop {
            let depth = tree.levels.len();
            let (fill, child) = if depth == 0 { (LEAF_FILL, 0) } else { (ROOM, 8) };
            let end = ENTRY_HEAD_LEN + child;
            let mut starts = vec![0];
            let mut used = end;
            let mut in_block = 0;
            let mut item = 0;
            while item < items {
                let len = entries.len_of(tree.entry(depth, item)) + child;
                // A block is never left with less than one item: the last separator of a level stays in its block when
                // nothing follows it, which `fill` and the slack behind it leave room for in leaves, and in inner
                // blocks the separator before it goes up instead.
                if used + len > fill && in_block > 0 {
                    if item + 1 == items {
                        if used + len <= ROOM {
                            in_block += 1;
                            item += 1;
                            continue;
                        }
                        starts.push(item);
                        item += 1;
                        in_block = 1;
                        continue;
                    }
                    starts.push(item + 1);
                    used = end;
                    in_block = 0;
                } else {
                    used += len;
                    in_block += 1;
                }
                item += 1;
            }
            starts.push(items + 1);
            let blocks = starts.len() as u32 - 1;
            tree.levels.push(Level { first_block, starts });
            first_block += blocks;
            if blocks == 1 {
                return tree;
            }
            items = blocks - 1;
        }
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self) -> u32 {
        self.levels.last().map_or(0, |top| top.first_block + top.blocks())
    }

    /// The entry that is item `item` of a level.
    fn entry(&self, depth: usize, mut item: u32) -> u32 {
        for level in self.levels[..depth].iter().rev() {
            item = level.starts[item as usize + 1] - 1;
        }
        item
    }

    /// Renders block `block` into `buf`, which is one block long.
    pub(crate) fn render(&self, block: u32, unit: u64, entries: &dyn Entries, buf: &mut [u8]) {
        let depth = self.levels.partition_point(|level| level.first_block <= block) - 1;
        let level = &self.levels[depth];
        let node = block - level.first_block;
        let (first, end) = (level.starts[node as usize], level.starts[node as usize + 1] - 1);
        let child_block = depth.checked_sub(1).map(|below| self.levels[below].first_block);
        buf.fill(0);
        let mut at = BLOCK_ENTRIES;
        for item in first..end {
            let entry = self.entry(depth, item);
            let mut len = entries.len_of(entry);
            entries.write(entry, &mut buf[at..at + len]);
            if let Some(child) = child_block {
                len += 8;
                put_u16(buf, at + 8, len as u16);
                put_u16(buf, at + 12, ENTRY_HAS_CHILD);
                put_u64(buf, at + len - 8, u64::from(child + item) * unit);
            }
            at += len;
        }
        at += write_end(&mut buf[at..], child_block.map(|child| u64::from(child + end) * unit));
        let head = IndexBlockHead {
            usa_offset: BLOCK_USA_OFFSET as u16,
            usa_count: usa_count(BLOCK_LEN),
            lsn: 0,
            vcn: u64::from(block) * unit,
        };
        put(buf, 0, &head);
        let header = IndexHeader {
            entries_offset: (BLOCK_ENTRIES - BLOCK_HEAD_LEN) as u32,
            len: (at - BLOCK_HEAD_LEN) as u32,
            allocated: (BLOCK_LEN - BLOCK_HEAD_LEN) as u32,
            flags: u8::from(child_block.is_some()),
            zero_0d: [0; 3],
        };
        put(buf, BLOCK_HEAD_LEN, &header);
        protect(buf, BLOCK_USA_OFFSET);
    }
}

/// Writes the entry that ends a node; returns its length.
fn write_end(buf: &mut [u8], child: Option<u64>) -> usize {
    let len = ENTRY_HEAD_LEN + if child.is_some() { 8 } else { 0 };
    let flags = ENTRY_LAST | if child.is_some() { ENTRY_HAS_CHILD } else { 0 };
    put(buf, 0, &EntryHead { target: 0, len: len as u16, key_len: 0, flags, zero_0e: 0 });
    if let Some(child) = child {
        put_u64(buf, ENTRY_HEAD_LEN, child);
    }
    len
}

/// What one VCN of an index means in bytes: a cluster, or a sector of 512 bytes where clusters are larger than blocks.
pub(crate) fn vcn_bytes(cluster: u32) -> u32 {
    if cluster as usize <= BLOCK_LEN { cluster } else { 512 }
}

/// VCNs from one block to the next.
pub(crate) fn block_units(cluster: u32) -> u64 {
    BLOCK_LEN as u64 / u64::from(vcn_bytes(cluster))
}

/// The length of a root attribute's value that holds `entries` bytes of entries, or of one that points to a tree.
pub(crate) fn root_len(entries: Option<usize>) -> usize {
    ROOT_HEAD_LEN + INDEX_HEADER_LEN + ENTRY_HEAD_LEN + entries.unwrap_or(8)
}

/// Writes the value of a root attribute: the entries themselves, or where the tree's top block is.
pub(crate) fn write_root(
    buf: &mut [u8],
    kind: Kind,
    cluster: u32,
    entries: &dyn Entries,
    tree: Option<&Tree>,
) {
    let head = IndexRootHead {
        kind: kind.attribute,
        collation: kind.collation,
        block_size: BLOCK_LEN as u32,
        block_units: block_units(cluster) as u8,
        zero_0d: [0; 3],
    };
    put(buf, 0, &head);
    let mut at = ROOT_HEAD_LEN + INDEX_HEADER_LEN;
    let top = tree.map(|tree| u64::from(tree.blocks() - 1) * block_units(cluster));
    if top.is_none() {
        for entry in 0..entries.count() {
            let len = entries.len_of(entry);
            entries.write(entry, &mut buf[at..at + len]);
            at += len;
        }
    }
    at += write_end(&mut buf[at..], top);
    let header = IndexHeader {
        entries_offset: INDEX_HEADER_LEN as u32,
        len: (at - ROOT_HEAD_LEN) as u32,
        allocated: (at - ROOT_HEAD_LEN) as u32,
        flags: u8::from(top.is_some()),
        zero_0d: [0; 3],
    };
    put(buf, ROOT_HEAD_LEN, &header);
}

/// The length of the bitmap that says which blocks are in use.
pub(crate) fn bitmap_len(blocks: u32) -> usize {
    (blocks as usize).div_ceil(64) * 8
}

/// Renders that bitmap from byte `offset`: the first `blocks` bits.
pub(crate) fn render_bitmap(blocks: u32, offset: u64, buf: &mut [u8]) {
    for (byte, at) in buf.iter_mut().zip(offset..) {
        let set = u64::from(blocks).saturating_sub(at * 8).min(8) as u32;
        *byte = (0xFFu32 >> (8 - set)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Entries of given lengths, whose target is their own number.
    #[derive(Debug)]
    struct Lens(Vec<u16>);

    impl Entries for Lens {
        fn count(&self) -> u32 {
            self.0.len() as u32
        }
        fn len_of(&self, entry: u32) -> usize {
            usize::from(self.0[entry as usize])
        }
        fn write(&self, entry: u32, buf: &mut [u8]) {
            put(
                buf,
                0,
                &EntryHead { target: u64::from(entry), len: buf.len() as u16, ..EntryHead::default() },
            );
        }
    }

    fn u16_at(block: &[u8], at: usize) -> u16 {
        u16::from_le_bytes([block[at], block[at + 1]])
    }

    fn u64_at(block: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(block[at..at + 8].try_into().unwrap())
    }

    /// Collects the entries below a block in order; returns the depth.
    fn walk(tree: &Tree, entries: &Lens, block: u32, out: &mut Vec<u64>) -> usize {
        let mut buf = vec![0xEE; BLOCK_LEN];
        tree.render(block, 1, entries, &mut buf);
        for i in 0..8 {
            // Undo the fixups.
            let saved = u16_at(&buf, BLOCK_USA_OFFSET + 2 + 2 * i);
            put_u16(&mut buf, (i + 1) * 512 - 2, saved);
        }
        assert_eq!(u64_at(&buf, 16), u64::from(block));
        let end = BLOCK_HEAD_LEN + u16_at(&buf, BLOCK_HEAD_LEN + 4) as usize;
        let mut at = BLOCK_ENTRIES;
        let mut depths = Vec::new();
        let mut items = 0;
        loop {
            let (len, flags) = (usize::from(u16_at(&buf, at + 8)), u16_at(&buf, at + 12));
            assert_eq!(flags & ENTRY_HAS_CHILD != 0, buf[BLOCK_HEAD_LEN + 12] == 1);
            if flags & ENTRY_HAS_CHILD != 0 {
                depths.push(walk(tree, entries, u64_at(&buf, at + len - 8) as u32, out) + 1);
            }
            if flags & ENTRY_LAST == 0 {
                items += 1;
                out.push(u64_at(&buf, at));
            }
            at += len;
            if flags & ENTRY_LAST != 0 {
                break;
            }
        }
        assert_eq!(at, end);
        assert!(at <= BLOCK_LEN);
        assert!(items > 0, "no node is empty");
        assert!(
            buf[at..]
                .chunks(2)
                .enumerate()
                .all(|(i, pair)| pair == [0, 0] || (at + 2 * i + 2).is_multiple_of(512))
        );
        depths.dedup();
        assert!(depths.len() <= 1, "all leaves have one depth");
        depths.first().copied().unwrap_or(1)
    }

    fn check(lens: Vec<u16>) -> usize {
        let entries = Lens(lens);
        let tree = Tree::build(&entries);
        let mut out = Vec::new();
        let depth = walk(&tree, &entries, tree.blocks() - 1, &mut out);
        assert_eq!(out, (0..u64::from(entries.count())).collect::<Vec<_>>());
        depth
    }

    #[test]
    fn depths() {
        assert_eq!(check(vec![88; 1]), 1);
        assert_eq!(check(vec![136; 26]), 1);
        assert_eq!(check(vec![136; 100]), 2);
        assert_eq!(check(vec![592; 1000]), 4);
        assert!(check(vec![136; 30_000]) <= 4);
    }

    #[test]
    fn every_count_around_the_edges() {
        for len in [32u16, 88, 136, 592] {
            for count in 1..400 {
                check(vec![len; count]);
            }
        }
    }

    proptest! {
        #[test]
        fn any_lengths(lens in prop::collection::vec((11u16..=74).prop_map(|n| n * 8), 1..2000)) {
            check(lens);
        }
    }

    #[test]
    fn bitmaps() {
        let mut bits = [0xEE; 16];
        render_bitmap(75, 0, &mut bits);
        assert_eq!(bits, [255, 255, 255, 255, 255, 255, 255, 255, 255, 7, 0, 0, 0, 0, 0, 0]);
        render_bitmap(75, 8, &mut bits[..2]);
        assert_eq!(bits[..2], [255, 7]);
        assert_eq!(bitmap_len(75), 16);
    }
}
