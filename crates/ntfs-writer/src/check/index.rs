//! Walking an index in the order of its keys: structure, order, depth, and the bitmap of its blocks.

use std::cmp::Ordering;

use super::Checker;
use super::report::{Code, Place};
use super::source::Value;
use super::streams::Held;
use crate::layout::index::{
    BLOCK_HEAD_LEN, BLOCK_USA_OFFSET, ENTRY_HAS_CHILD, ENTRY_LAST, INDEX_HEADER_LEN, ROOT_HEAD_LEN,
};
use crate::layout::usa_count;
use crate::parse::{self, Entry, Node, kind, record_of};

/// How the keys of an index are compared.
pub(super) type Order = fn(upcase: &[u16], a: &[u8], b: &[u8]) -> Ordering;

/// What an index must be.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Type of the attribute that is indexed.
    pub(super) kind: u32,
    pub(super) collation: u32,
    pub(super) order: Order,
}

/// What is done with an entry that has a key.
pub(super) type Visit<'v, 'a> = &'v mut dyn FnMut(&mut Checker<'a>, &Entry<'_>, Place);

/// A balanced tree of this depth has more leaves than a volume has clusters.
const MAX_DEPTH: usize = 24;
/// Blocks of an index of 2 TiB, for which there are 64 MiB of bits.
const MAX_BLOCKS: u64 = 1 << 29;

struct Walk<'w> {
    shape: Shape,
    record: u64,
    allocation: Option<&'w Value>,
    block_size: u32,
    unit: u64,
    /// Which blocks were reached, a bit each.
    reached: Vec<u64>,
    blocks: u64,
    before: Option<Vec<u8>>,
    leaf_depth: Option<usize>,
    uneven: bool,
}

impl<'a> Checker<'a> {
    /// Walks an index; says whether it has a root at all.
    pub(super) fn walk_index(
        &mut self,
        record: u64,
        held: &[Held<'_>],
        shape: Shape,
        visit: Visit<'_, 'a>,
    ) -> bool {
        let name = shape.name;
        let root_held =
            held.iter().find(|held| held.attribute.kind == kind::INDEX_ROOT && held.attribute.name == name);
        let Some(root_held) = root_held else { return false };
        let Some(value) = root_held.attribute.resident() else { return true };
        let crate::parse::Body::Resident { value_offset, .. } = root_held.attribute.body else { return true };
        let place = self.record_place(root_held.holder).plus(root_held.attribute.offset + value_offset);
        let place = Place { record: Some(record), ..place };
        let root = match parse::root(value) {
            Ok(root) => root,
            Err(fault) => {
                self.fault(Code::IndexRoot, place, &fault);
                return true;
            }
        };
        let allocation = self.value(held, kind::INDEX_ALLOCATION, name);
        let bitmap = self.value(held, kind::BITMAP, name);
        let block_size = self.boot.index_block_size;
        let unit = u64::from(self.boot.index_unit(block_size));
        let units = u64::from(block_size) / unit;
        for (what, at, found, expected) in [
            ("type of the attribute", 0, u64::from(root.kind), u64::from(shape.kind)),
            ("collation rule", 4, root.collation.into(), shape.collation.into()),
            ("bytes in a block", 8, root.block_size.into(), block_size.into()),
            ("block size in VCN units", 12, root.block_units.into(), units & 0xFF),
        ] {
            if found != expected {
                let text =
                    format_args!("index root {name}: {what}: found {found:#x}, expected {expected:#x}");
                self.error(Code::IndexRoot, place.plus(at), text);
            }
        }
        let room = value.len() - ROOT_HEAD_LEN;
        if root.node.entries_offset != INDEX_HEADER_LEN
            || (root.node.allocated as usize) < root.node.len
            || root.node.allocated as usize > room
        {
            let text = format_args!(
                "index root {name}: entries at {:#x}..{:#x}, room up to {:#x}, expected 0x10 and up to {room:#x}",
                root.node.entries_offset, root.node.len, root.node.allocated
            );
            self.error(Code::IndexRoot, place.plus(ROOT_HEAD_LEN), text);
        }
        // An index that has shrunk again keeps the attribute, without blocks (observed: Windows 10, $Deleted).
        let empty = allocation.as_ref().is_some_and(|allocation| allocation.size() == 0);
        if (root.node.flags & 1 != 0) != allocation.is_some() && !(empty && root.node.flags & 1 == 0) {
            let text = format_args!(
                "index root {name}: flags {:#x}, {} blocks",
                root.node.flags,
                if allocation.is_some() { "but there are" } else { "but there are no" }
            );
            self.error(Code::IndexRoot, place.plus(ROOT_HEAD_LEN + 12), text);
        }
        let size = allocation.as_ref().map_or(0, Value::size);
        let blocks = size / u64::from(block_size);
        if let Some(Value::Resident(..)) = allocation {
            return true;
        }
        let possible = (self.size / 512).min(MAX_BLOCKS);
        if blocks > possible || !self.may_read(blocks) {
            self.cut(format!("index {name} of record {record}, of {blocks} blocks"));
            return true;
        }
        let mut walk = Walk {
            shape,
            record,
            allocation: allocation.as_ref(),
            block_size,
            unit,
            reached: vec![0; blocks.div_ceil(64) as usize],
            blocks,
            before: None,
            leaf_depth: None,
            uneven: false,
        };
        self.walk_node(&mut walk, &root.node, place, 0, visit);
        if allocation.is_some() || bitmap.is_some() {
            self.check_index_bitmap(&walk, place, allocation.is_some(), bitmap.as_ref());
        }
        true
    }

    /// `place` is where the value or block begins that the node lies in.
    fn walk_node(
        &mut self,
        walk: &mut Walk<'_>,
        node: &Node<'_>,
        place: Place,
        depth: usize,
        visit: Visit<'_, 'a>,
    ) {
        let name = walk.shape.name;
        let mut keys = 0;
        let mut has_child = None;
        let mut entries = node.entries();
        for entry in entries.by_ref() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(fault) => return self.fault(Code::IndexEntry, place, &fault),
            };
            let at = place.plus(entry.offset);
            if entry.flags & !(ENTRY_HAS_CHILD | ENTRY_LAST) != 0 || entry.is_last() && entry.key_len() != 0 {
                let text = format_args!(
                    "index entry of {name}: flags {:#x}, key of {} bytes, expected flags 1 and 2, no key in the last",
                    entry.flags,
                    entry.key_len()
                );
                self.error(Code::IndexEntry, at.plus(10), text);
            }
            // A small root is a leaf; in a large one, and in blocks, the flag says that there are nodes below.
            if entry.child.is_some() != (node.flags & 1 != 0) && has_child.is_none() {
                let text = format_args!(
                    "index node of {name}: flags {:#x}, but an entry has {} child",
                    node.flags,
                    if entry.child.is_some() { "a" } else { "no" }
                );
                self.error(Code::IndexChildren, at.plus(12), text);
                has_child = Some(());
            }
            if let Some(vcn) = entry.child {
                self.walk_child(walk, vcn, at, depth, visit);
            }
            if !entry.is_last() {
                keys += 1;
                let unsorted = walk.before.as_ref().is_some_and(|before| {
                    (walk.shape.order)(&self.upcase, before, entry.key) != Ordering::Less
                });
                if unsorted {
                    let text =
                        format_args!("index {name}: {} comes after {}", shown(walk.shape.kind, entry.key), {
                            shown(walk.shape.kind, walk.before.as_deref().unwrap_or_default())
                        });
                    self.error(Code::IndexOrder, at, text);
                }
                let before = walk.before.get_or_insert_default();
                before.clear();
                before.extend_from_slice(entry.key);
                visit(self, &entry, at);
            }
        }
        if entries.position() != node.offset + node.len {
            let (found, end) = (node.offset + node.len, entries.position());
            let text =
                format_args!("index node of {name}: entries end at {end:#x}, the header says {found:#x}");
            self.error(Code::IndexEntry, place.plus(node.offset + 4), text);
        }
        let is_leaf = node.flags & 1 == 0;
        if is_leaf && *walk.leaf_depth.get_or_insert(depth) != depth && !walk.uneven {
            walk.uneven = true;
            let first = walk.leaf_depth.unwrap_or_default();
            let text = format_args!("index {name}: a leaf {depth} levels below the root, others {first}");
            self.error(Code::IndexDepth, place, text);
        }
        if keys == 0 && depth > 0 {
            let text = format_args!("index block of {name} without a key");
            if is_leaf {
                self.strict(Code::IndexBlock, place, text);
            } else {
                self.warning(Code::IndexBlock, place, text);
            }
        }
        if node.slack().iter().any(|&byte| byte != 0) {
            self.strict(
                Code::Slack,
                place,
                format_args!("bytes behind the entries of a node of {name} are not zero"),
            );
        }
    }

    fn walk_child(&mut self, walk: &mut Walk<'_>, vcn: u64, at: Place, depth: usize, visit: Visit<'_, 'a>) {
        let name = walk.shape.name;
        let size = u64::from(walk.block_size);
        let start = vcn.checked_mul(walk.unit).filter(|start| start.is_multiple_of(size));
        let number = start.map(|start| start / size).filter(|&number| number < walk.blocks);
        let (Some(start), Some(number), Some(allocation)) = (start, number, walk.allocation) else {
            let text = format_args!(
                "index {name}: an entry leads to the block at VCN {vcn:#x}, expected one of {} blocks",
                walk.blocks
            );
            return self.error(Code::IndexVcn, at, text);
        };
        let place = Place::at(walk.record, allocation.place(start));
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if walk.reached[word] & bit != 0 || depth >= MAX_DEPTH {
            let text = format_args!("index {name}: the block at VCN {vcn:#x} is reached twice");
            return self.error(Code::IndexVcn, at, text);
        }
        walk.reached[word] |= bit;
        let Some(left) = self.blocks_left.checked_sub(1) else {
            return self.cut("indexes with more blocks than fit the volume".into());
        };
        self.blocks_left = left;
        let mut bytes = vec![0; walk.block_size as usize];
        if let Err(error) = allocation.read(self.volume, start, &mut bytes) {
            return self.unreadable(place, "index block", &error);
        }
        if bytes[..4] == *b"INDX"
            && let Err(fault) = parse::unprotect(&mut bytes, "index block")
        {
            return self.fault(Code::Fixup, place, &fault);
        }
        let block = match parse::block(&bytes) {
            Ok(block) => block,
            Err(fault) => return self.fault(Code::IndexBlock, place, &fault),
        };
        if block.vcn != vcn {
            let text =
                format_args!("index block of {name}: its own VCN is {:#x}, expected {vcn:#x}", block.vcn);
            self.error(Code::IndexVcn, place.plus(16), text);
        }
        let least = BLOCK_USA_OFFSET - BLOCK_HEAD_LEN + 2 * usize::from(usa_count(bytes.len()));
        let room = bytes.len() - BLOCK_HEAD_LEN;
        if block.node.allocated as usize != room || block.node.entries_offset < least {
            let text = format_args!(
                "index block of {name}: entries from {:#x}, room up to {:#x}, expected {least:#x} or more, {room:#x}",
                block.node.entries_offset, block.node.allocated
            );
            self.error(Code::IndexBlock, place.plus(BLOCK_HEAD_LEN), text);
        }
        self.walk_node(walk, &block.node, place, depth + 1, visit);
    }

    fn check_index_bitmap(
        &mut self,
        walk: &Walk<'_>,
        place: Place,
        has_blocks: bool,
        bitmap: Option<&Value>,
    ) {
        let name = walk.shape.name;
        let Some(bitmap) = bitmap else {
            return self.error(
                Code::IndexBitmap,
                place,
                format_args!("index {name} has blocks and no bitmap"),
            );
        };
        if !has_blocks {
            return self.error(
                Code::IndexBitmap,
                place,
                format_args!("index {name} has a bitmap and no blocks"),
            );
        }
        let size = bitmap.size();
        let needed = walk.blocks.div_ceil(64) * 8;
        if size < needed || !size.is_multiple_of(8) || self.ours && size != needed {
            let text = format_args!("bitmap of {name}: {size} bytes, expected {needed}");
            self.error(Code::IndexBitmap, Place { offset: bitmap.place(0), ..place }, text);
        }
        let mut bytes = vec![0; needed as usize];
        if let Err(error) = bitmap.read(self.volume, 0, &mut bytes) {
            return self.unreadable(place, "index bitmap", &error);
        }
        let words = bytes.chunks_exact(8).map(|word| parse::u64_at(word, 0).unwrap_or_default());
        let wrong = words.zip(&walk.reached).map(|(stored, reached)| stored ^ reached);
        let bits = wrong.enumerate().filter(|(_, word)| *word != 0).flat_map(|(i, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| i as u64 * 64 + bit)
        });
        for number in bits {
            let set = bytes[(number / 8) as usize] >> (number % 8) & 1 == 1;
            let state = |used| if used { "in use" } else { "free" };
            let text =
                format_args!("bitmap of {name}: block {number} is {}, expected {}", state(set), state(!set));
            let offset = bitmap.place(number / 8);
            self.error(Code::IndexBitmap, Place { offset, ..place }, text);
        }
    }
}

/// A key, for people.
fn shown(kind: u32, key: &[u8]) -> String {
    match parse::file_name(key) {
        Ok(name) if kind == kind::FILE_NAME => {
            format!("{:?} (parent {})", name.name, record_of(name.head.parent))
        }
        _ => disk::hex(&key[..key.len().min(32)]),
    }
}
