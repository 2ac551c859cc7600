//! From a tree to bytes.
//!
//! The result depends on the tree and the header alone: the same tree makes the same bytes. Cells are placed in the order
//! in which a loader walks: a key's values, then the records of its subkeys next to each other, then what is below them.
//! A cell cannot span bins, so what a large one leaves free at the end of a bin is given to the next that fits; the file
//! has no free space but that.

use std::collections::HashMap;

use crate::cells::ALIGN;
use crate::error::{Error, Result};
use crate::key::{Key, MAX_DEPTH, MAX_KEY_NAME, flags};
use crate::layout::{
    BigData, BinHead, INLINE, KeyNode, LATIN1_VALUE, MAX_BINS, MINOR_BIG_DATA, MINOR_HASH, NIL, PAGE,
    SEGMENT, SecurityNode, ValueNode, append,
};
use crate::name::{hash, hint};
use crate::value::{MAX_VALUE_NAME, check_size};
use crate::{Hive, Value};

/// Entries of the longest list of subkeys that Windows makes: with its head it fills a page. More need a list of lists.
pub(crate) const MAX_LEAF: usize = 507;

/// Bytes of the largest cell; Windows takes a larger one for damage.
pub(crate) const MAX_CELL: usize = 1 << 20;

/// How many bins with room left are remembered.
const MAX_GAPS: usize = 16;

impl Hive {
    /// Writes the hive: compact, in its own minor version, with equal sequence numbers, as a whole number of pages.
    ///
    /// The same hive always makes the same bytes. Subkeys are listed as the version has it (`lf` below 1.5, `lh` from
    /// there on, `ri` for more than 507), values of more than 16344 bytes are cut into segments from 1.4 on, equal
    /// security descriptors are stored once.
    ///
    /// # Errors
    /// [`Error::Limit`] for names, paths, values and hives that are longer than Windows allows (values of more than
    /// 1 MiB in version 1.3 included), [`Error::Name`] when the order of subkeys was broken by replacing one through a
    /// mutable reference, [`Error::Unsupported`] for values below a predefined handle.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bins = Bins::new(self.base.written);
        let root = bins.reserve(KeyNode::LEN + self.root.name.stored_len())?;
        let mut emitter = Emitter { bins, minor: self.base.minor, security: Security::default() };
        let mut stack = vec![Task { key: &self.root, cell: root, parent: NIL, depth: 1 }];
        while let Some(task) = stack.pop() {
            emitter.key(&task, &mut stack)?;
        }
        let Emitter { mut bins, security, .. } = emitter;
        security.close(&mut bins);
        let mut base = self.base.clone();
        (base.root, base.bins_size, base.secondary) = (root, bins.len(), base.primary);
        let mut bytes = bins.bytes;
        bytes[..crate::layout::BASE].copy_from_slice(&base.to_sector());
        Ok(bytes)
    }
}

/// A key to be written into its cell.
struct Task<'a> {
    key: &'a Key,
    cell: u32,
    parent: u32,
    depth: usize,
}

struct Emitter<'a> {
    bins: Bins,
    minor: u32,
    security: Security<'a>,
}

impl<'a> Emitter<'a> {
    /// Writes a key with its values and its list of subkeys, and puts the subkeys on the stack.
    fn key(&mut self, task: &Task<'a>, stack: &mut Vec<Task<'a>>) -> Result<()> {
        let &Task { key, cell, parent, depth } = task;
        if depth > MAX_DEPTH {
            return Err(Error::limit("depth of a key", depth as u64, MAX_DEPTH as u64));
        }
        let units = key.name.units();
        if units.is_empty() {
            return Err(Error::Name { name: String::new(), reason: "is empty" });
        }
        if units.len() > MAX_KEY_NAME {
            return Err(Error::limit("length of a key's name", units.len() as u64, MAX_KEY_NAME as u64));
        }
        if key.flags & flags::PREDEFINED != 0 && !key.values.is_empty() {
            let feature = format!("values of the key {:?}, for which a predefined handle stands", key.name);
            return Err(Error::unsupported("key", 0, feature));
        }
        let security = self.security.of(&key.security, &mut self.bins)?;
        let class = match &key.class {
            Some(class) => {
                self.bins.add(&class.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>())?
            }
            None => NIL,
        };
        let class_len = key.class.as_ref().map_or(0, |class| 2 * class.len());
        let value_list = self.values(&key.values)?;
        let children = key
            .subkeys
            .iter()
            .map(|child| self.bins.reserve(KeyNode::LEN + child.name.stored_len()))
            .collect::<Result<Vec<u32>>>()?;
        let list = self.subkey_list(&key.subkeys, &children)?;
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
        let latin1 = if key.name.is_latin1() { flags::LATIN1_NAME } else { 0 };
        let root = if depth == 1 { flags::ROOT } else { 0 };
        let mut record = Vec::with_capacity(KeyNode::LEN + key.name.stored_len());
        append(
            &mut record,
            &KeyNode {
                flags: key.flags | latin1 | root,
                written: key.written.0,
                access: key.extra.access,
                parent,
                subkeys: children.len() as u32,
                volatile_subkeys: 0,
                list,
                volatile_list: NIL,
                values: if key.flags & flags::PREDEFINED != 0 {
                    key.extra.handle
                } else {
                    key.values.len() as u32
                },
                value_list,
                security,
                class,
                max_name: longest(&mut key.subkeys.iter().map(|child| 2 * child.name.units().len()))
                    .min(0xFFFF) as u16,
                bits: key.extra.bits,
                max_class: longest(
                    &mut key
                        .subkeys
                        .iter()
                        .map(|child| 2 * child.class.as_ref().map_or(0, |class| class.len())),
                ) as u32,
                max_value_name: longest(&mut key.values.iter().map(|value| 2 * value.name.units().len()))
                    as u32,
                max_value_data: longest(&mut key.values.iter().map(|value| value.data.len())) as u32,
                work: 0,
                name_len: key.name.stored_len() as u16,
                class_len: u16::try_from(class_len).map_err(|_| {
                    Error::limit("size of a class name", class_len as u64, crate::MAX_CLASS_SIZE as u64)
                })?,
            },
        );
        record.resize(KeyNode::LEN + key.name.stored_len(), 0);
        key.name.store(&mut record[KeyNode::LEN..]);
        self.bins.fill(cell, &record);
        let below = key.subkeys.iter().zip(children).rev();
        stack.extend(below.map(|(key, child)| Task { key, cell: child, parent: cell, depth: depth + 1 }));
        Ok(())
    }

    fn values(&mut self, values: &[Value]) -> Result<u32> {
        if values.is_empty() {
            return Ok(NIL);
        }
        let list = self.bins.reserve(4 * values.len())?;
        let mut cells = Vec::with_capacity(4 * values.len());
        for value in values {
            cells.extend(self.value(value)?.to_le_bytes());
        }
        self.bins.fill(list, &cells);
        Ok(list)
    }

    fn value(&mut self, value: &Value) -> Result<u32> {
        let units = value.name.units().len();
        if units > MAX_VALUE_NAME {
            return Err(Error::limit("length of a value's name", units as u64, MAX_VALUE_NAME as u64));
        }
        check_size(&value.data)?;
        let (len, stored) = (value.data.len() as u32, value.name.stored_len());
        let cell = self.bins.reserve(ValueNode::LEN + stored)?;
        let (size, data) = if value.data.len() <= 4 {
            let mut inline = [0; 4];
            inline[..value.data.len()].copy_from_slice(&value.data);
            (len | INLINE, u32::from_le_bytes(inline))
        } else if self.minor >= MINOR_BIG_DATA && value.data.len() > SEGMENT {
            (len, self.big_data(&value.data)?)
        } else {
            (len, self.bins.add(&value.data)?)
        };
        // Windows sets the flag for each name that is Latin-1, but never for the empty one.
        let latin1 = if units > 0 && value.name.is_latin1() { LATIN1_VALUE } else { 0 };
        let mut record = Vec::with_capacity(ValueNode::LEN + stored);
        append(
            &mut record,
            &ValueNode {
                name_len: stored as u16,
                size,
                data,
                kind: value.kind.0,
                flags: value.flags | latin1,
                spare: 0,
            },
        );
        record.resize(ValueNode::LEN + stored, 0);
        value.name.store(&mut record[ValueNode::LEN..]);
        self.bins.fill(cell, &record);
        Ok(cell)
    }

    fn big_data(&mut self, data: &[u8]) -> Result<u32> {
        let count = data.len().div_ceil(SEGMENT);
        let Ok(segments) = u16::try_from(count) else {
            let limit = SEGMENT as u64 * u64::from(u16::MAX);
            return Err(Error::limit("size of a value", data.len() as u64, limit));
        };
        let head = self.bins.reserve(BigData::LEN)?;
        let list = self.bins.reserve(4 * count)?;
        let mut cells = Vec::with_capacity(4 * count);
        for piece in data.chunks(SEGMENT) {
            // A whole segment leaves 4 bytes of its cell free, and Windows gives the last one a cell of the same size.
            // hivex counts on those 4 bytes: without them it cuts the value short.
            let segment = self.bins.reserve(piece.len() + 4)?;
            self.bins.fill(segment, piece);
            cells.extend(segment.to_le_bytes());
        }
        self.bins.fill(list, &cells);
        let mut record = Vec::with_capacity(BigData::LEN);
        append(&mut record, &BigData { segments, list });
        self.bins.fill(head, &record);
        Ok(head)
    }

    fn subkey_list(&mut self, keys: &[Key], cells: &[u32]) -> Result<u32> {
        if let Some(pair) = keys.windows(2).find(|pair| !pair[0].name.cmp_ignore_case(&pair[1].name).is_lt())
        {
            let reason = "is out of order or there twice among the subkeys of its key";
            return Err(Error::Name { name: pair[1].name.to_string(), reason });
        }
        if keys.is_empty() {
            return Ok(NIL);
        }
        if keys.len() <= MAX_LEAF {
            return self.leaf(keys, cells);
        }
        let count = keys.len().div_ceil(MAX_LEAF);
        let Ok(lists) = u16::try_from(count) else {
            let limit = u64::from(u16::MAX) * MAX_LEAF as u64;
            return Err(Error::limit("number of subkeys", keys.len() as u64, limit));
        };
        let head = self.bins.reserve(4 + 4 * count)?;
        let mut record = list_head(b"ri", lists);
        for (keys, cells) in keys.chunks(MAX_LEAF).zip(cells.chunks(MAX_LEAF)) {
            record.extend(self.leaf(keys, cells)?.to_le_bytes());
        }
        self.bins.fill(head, &record);
        Ok(head)
    }

    fn leaf(&mut self, keys: &[Key], cells: &[u32]) -> Result<u32> {
        let hashed = self.minor >= MINOR_HASH;
        let mut record = list_head(if hashed { b"lh" } else { b"lf" }, keys.len() as u16);
        for (key, cell) in keys.iter().zip(cells) {
            let units = key.name.units();
            record.extend(cell.to_le_bytes());
            record.extend(if hashed { hash(units).to_le_bytes() } else { hint(units) });
        }
        self.bins.add(&record)
    }
}

fn list_head(signature: &[u8; 2], count: u16) -> Vec<u8> {
    let mut record = signature.to_vec();
    record.extend(count.to_le_bytes());
    record
}

/// The security descriptors that were written, in the order of their first use: the root's leads.
#[derive(Default)]
struct Security<'a> {
    entries: Vec<Descriptor<'a>>,
    /// By content.
    known: HashMap<&'a [u8], usize>,
    /// By address: keys that came from one file share descriptors, and a look at the pointer is enough.
    shared: HashMap<(*const u8, usize), usize>,
}

struct Descriptor<'a> {
    bytes: &'a [u8],
    cell: u32,
    count: u32,
}

impl<'a> Security<'a> {
    fn of(&mut self, bytes: &'a [u8], bins: &mut Bins) -> Result<u32> {
        let address = (bytes.as_ptr(), bytes.len());
        let at = match self.shared.get(&address).or_else(|| self.known.get(bytes)) {
            Some(&at) => at,
            None => {
                let cell = bins.reserve(SecurityNode::LEN + bytes.len())?;
                self.entries.push(Descriptor { bytes, cell, count: 0 });
                self.known.insert(bytes, self.entries.len() - 1);
                self.entries.len() - 1
            }
        };
        self.shared.insert(address, at);
        self.entries[at].count += 1;
        Ok(self.entries[at].cell)
    }

    /// Writes them all, as one ring.
    fn close(&self, bins: &mut Bins) {
        let count = self.entries.len();
        for (at, entry) in self.entries.iter().enumerate() {
            let mut record = Vec::with_capacity(SecurityNode::LEN + entry.bytes.len());
            append(
                &mut record,
                &SecurityNode {
                    reserved: 0,
                    next: self.entries[(at + 1) % count].cell,
                    previous: self.entries[(at + count - 1) % count].cell,
                    count: entry.count,
                    size: entry.bytes.len() as u32,
                },
            );
            record.extend_from_slice(entry.bytes);
            bins.fill(entry.cell, &record);
        }
    }
}

/// The file as far as it was written: a page for the base block, then bins, whose free space is a free cell each.
struct Bins {
    bytes: Vec<u8>,
    written: u64,
    gaps: Vec<Gap>,
}

/// Free space in a bin: its absolute offset and size.
#[derive(Clone, Copy)]
struct Gap {
    at: usize,
    size: usize,
}

impl Bins {
    fn new(written: u64) -> Self {
        Self { bytes: vec![0; PAGE], written, gaps: Vec::new() }
    }

    /// Bytes of bins.
    fn len(&self) -> u32 {
        (self.bytes.len() - PAGE) as u32
    }

    /// A cell of zeros for so many bytes: where it is, from the first bin.
    fn reserve(&mut self, len: usize) -> Result<u32> {
        let size = (len + 4).next_multiple_of(ALIGN);
        if size > MAX_CELL {
            return Err(Error::limit("size of a cell", size as u64, MAX_CELL as u64));
        }
        let fitting = (0..self.gaps.len()).filter(|&gap| self.gaps[gap].size >= size);
        let at = match fitting.min_by_key(|&gap| self.gaps[gap].size) {
            Some(gap) => gap,
            None => self.grow(size)?,
        };
        let Gap { at: cell, size: room } = self.gaps[at];
        self.put(cell, (size as u32).wrapping_neg());
        if room > size {
            self.gaps[at] = Gap { at: cell + size, size: room - size };
            self.put(cell + size, (room - size) as u32);
        } else {
            self.gaps.swap_remove(at);
        }
        Ok((cell - PAGE) as u32)
    }

    /// A cell with this content.
    fn add(&mut self, content: &[u8]) -> Result<u32> {
        let cell = self.reserve(content.len())?;
        self.fill(cell, content);
        Ok(cell)
    }

    /// Writes into a cell that was reserved for as many bytes.
    fn fill(&mut self, cell: u32, content: &[u8]) {
        let at = cell as usize + PAGE + 4;
        self.bytes[at..at + content.len()].copy_from_slice(content);
    }

    fn put(&mut self, at: usize, word: u32) {
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    /// Another bin, for a cell of this size: the index of its gap.
    fn grow(&mut self, cell: usize) -> Result<usize> {
        let (at, size) = (self.bytes.len(), (cell + BinHead::LEN).next_multiple_of(PAGE));
        let total = (at - PAGE + size) as u64;
        if total > MAX_BINS {
            return Err(Error::limit("size of the hive's bins", total, MAX_BINS));
        }
        let offset = (at - PAGE) as u32;
        let written = if offset == 0 { self.written } else { 0 };
        append(&mut self.bytes, &BinHead { offset, size: size as u32, reserved: 0, written, spare: 0 });
        self.bytes.resize(at + size, 0);
        if self.gaps.len() == MAX_GAPS {
            let smallest = (0..MAX_GAPS).min_by_key(|&gap| self.gaps[gap].size).expect("there are some");
            self.gaps.swap_remove(smallest);
        }
        self.gaps.push(Gap { at: at + BinHead::LEN, size: size - BinHead::LEN });
        Ok(self.gaps.len() - 1)
    }
}
