//! From bytes to a tree.
//!
//! Nothing that a file holds is dropped in silence: what cannot be kept in a [`Hive`] is an error. What is made right
//! without a word is what the tree does not have: counts, longest names, links to parents, hashes, the order of lists,
//! the ring of security descriptors, cells that nothing refers to. [`check`](crate::check) reports all of them.
//!
//! The keys are walked with a stack of our own, so the depth of a tree costs no stack, and is limited.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::FileTime;

use crate::cells::{self, Cells, absolute};
use crate::error::{Error, Result};
use crate::key::{Extra, Key, MAX_DEPTH, flags};
use crate::layout::{
    BASE, BaseBlock, BigData, INLINE, KeyNode, LATIN1_VALUE, MINOR_BIG_DATA, SEGMENT, SecurityNode,
    ValueNode, checksum, file_type, read, u16_at, u32_at,
};
use crate::name::units_of;
use crate::{Hive, Kind, MINOR_VERSIONS, Name, Value};

impl Hive {
    /// Reads a hive.
    ///
    /// Memory is bounded by the size of the file, whatever its fields say.
    ///
    /// # Errors
    /// [`Error::Dirty`] when the hive was not written to its end: [`recover`](Self::recover) needs its logs.
    /// [`Error::Malformed`] and [`Error::Unsupported`] with the offset of what cannot be kept; [`Error::Limit`] for a
    /// tree of more than [`MAX_DEPTH`] levels.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let base = BaseBlock::parse(bytes)?;
        verify_base(&base, bytes)?;
        if base.primary != base.secondary {
            return Err(Error::Dirty {
                primary: base.primary,
                secondary: base.secondary,
                reason: "its logs are needed".into(),
            });
        }
        Self::parse_bins(base, bytes)
    }

    /// The same, with a base block that the caller has compared and a file that may be dirty.
    pub(crate) fn parse_bins(base: BaseBlock, bytes: &[u8]) -> Result<Self> {
        let cells = Cells::walk(cells::bins(bytes, base.bins_size)?)?;
        let mut root = Reader { cells, minor: base.minor, security: BTreeMap::new() }.tree(base.root)?;
        // It is the root, whether its flags say so or not.
        root.flags |= flags::ROOT;
        let mut hive = Self { base, root };
        // What follows from the tree is not part of it.
        hive.base.secondary = hive.base.primary;
        (hive.base.root, hive.base.bins_size, hive.base.checksum) = (0, 0, 0);
        Ok(hive)
    }
}

/// What a loader insists on, but for the sequence numbers.
pub(crate) fn verify_base(base: &BaseBlock, bytes: &[u8]) -> Result<()> {
    let sector = bytes.first_chunk::<BASE>().expect("a base block was read from it");
    let fault = |offset, reason: String| Err(Error::malformed("base block", offset, reason));
    let sum = checksum(sector);
    if base.checksum != sum {
        return fault(0x1FC, format!("checksum {:#010x}, expected {sum:#010x}", base.checksum));
    }
    if base.file_type != file_type::PRIMARY {
        return fault(0x1C, format!("type {}, expected 0 of a hive (a log has 1, 2 or 6)", base.file_type));
    }
    if base.format != 1 {
        return fault(0x20, format!("format {}, expected 1", base.format));
    }
    if base.major != 1 || !MINOR_VERSIONS.contains(&base.minor) {
        let feature = format!("version {}.{}, expected 1.3 to 1.6", base.major, base.minor);
        return Err(Error::unsupported("base block", 0x14, feature));
    }
    Ok(())
}

/// A key whose subkeys are being read.
struct Open {
    key: Key,
    /// Absolute offset, for messages.
    at: u64,
    /// Cells of the subkeys yet to be read, the next one last.
    rest: Vec<u32>,
}

struct Reader<'a> {
    cells: Cells<'a>,
    minor: u32,
    /// Descriptors by their cells.
    security: BTreeMap<u32, Arc<[u8]>>,
}

impl Reader<'_> {
    fn tree(mut self, root: u32) -> Result<Key> {
        let mut open = vec![self.key(root, 0x24)?];
        loop {
            let depth = open.len();
            let last = open.last_mut().expect("the root leaves the loop");
            if let Some(next) = last.rest.pop() {
                let from = last.at;
                if depth >= MAX_DEPTH {
                    return Err(Error::Limit {
                        at: disk::At::new("key", absolute(next)),
                        what: "depth of a key",
                        found: depth as u64 + 1,
                        limit: MAX_DEPTH as u64,
                    });
                }
                let key = self.key(next, from)?;
                open.push(key);
                continue;
            }
            let Open { mut key, at, .. } = open.pop().expect("it is there");
            sort(&mut key, at)?;
            match open.last_mut() {
                Some(parent) => parent.key.subkeys.push(key),
                None => return Ok(key),
            }
        }
    }

    /// A key without its subkeys.
    fn key(&mut self, cell: u32, from: u64) -> Result<Open> {
        let bytes = self.cells.claim(cell, "key", from)?;
        let at = absolute(cell);
        let fault = |reason: String| Error::malformed("key", at, reason);
        if bytes.len() < KeyNode::LEN || bytes[..2] != *b"nk" {
            return Err(fault(describe(bytes, "nk", KeyNode::LEN)));
        }
        let node: KeyNode = read(bytes);
        let stored = bytes[KeyNode::LEN..].get(..node.name_len.into()).ok_or_else(|| {
            fault(format!("name of {:#x} bytes in a cell of {:#x}", node.name_len, bytes.len()))
        })?;
        let name = if node.flags & flags::LATIN1_NAME != 0 {
            Name::from_latin1(stored)
        } else {
            Name::from_units(
                units_of(stored).ok_or_else(|| fault(format!("name of {} bytes in UTF-16", stored.len())))?,
            )
        };
        if name.is_empty() {
            return Err(fault("empty name".into()));
        }
        let class = match node.class_len {
            0 => None,
            len => {
                let cell = self.cells.claim(node.class, "class name", at)?;
                let stored = cell.get(..len.into()).ok_or_else(|| {
                    fault(format!("class name of {len:#x} bytes in a cell of {:#x}", cell.len()))
                })?;
                Some(units_of(stored).ok_or_else(|| fault(format!("class name of {len} bytes in UTF-16")))?)
            }
        };
        let security = self.security(node.security, at)?;
        let mut rest = match node.subkeys {
            0 => Vec::new(),
            _ => self.subkey_list(node.list, at)?,
        };
        if rest.len() != node.subkeys as usize {
            return Err(fault(format!("{} subkeys announced, {} listed", node.subkeys, rest.len())));
        }
        rest.reverse();
        let predefined = node.flags & flags::PREDEFINED != 0;
        let values = match node.values {
            0 => Vec::new(),
            _ if predefined => Vec::new(),
            count => self.values(node.value_list, count, at)?,
        };
        let key = Key {
            name,
            written: FileTime(node.written),
            flags: node.flags & !flags::LATIN1_NAME,
            extra: Extra {
                access: node.access,
                bits: node.bits,
                handle: if predefined { node.values } else { 0 },
            },
            class,
            security,
            subkeys: Vec::with_capacity(rest.len().min(64)),
            values,
        };
        Ok(Open { key, at, rest })
    }

    fn security(&mut self, cell: u32, from: u64) -> Result<Arc<[u8]>> {
        if let Some(known) = self.security.get(&cell) {
            return Ok(Arc::clone(known));
        }
        let bytes = self.cells.claim(cell, "security descriptor", from)?;
        let fault = |reason| Error::malformed("security descriptor", absolute(cell), reason);
        if bytes.len() < SecurityNode::LEN || bytes[..2] != *b"sk" {
            return Err(fault(describe(bytes, "sk", SecurityNode::LEN)));
        }
        let node: SecurityNode = read(bytes);
        let descriptor = bytes[SecurityNode::LEN..]
            .get(..node.size as usize)
            .ok_or_else(|| fault(format!("{:#x} bytes in a cell of {:#x}", node.size, bytes.len())))?;
        let descriptor: Arc<[u8]> = descriptor.into();
        self.security.insert(cell, Arc::clone(&descriptor));
        Ok(descriptor)
    }

    /// The cells of all subkeys, in the order they are listed.
    fn subkey_list(&mut self, cell: u32, from: u64) -> Result<Vec<u32>> {
        let bytes = self.cells.claim(cell, "list of subkeys", from)?;
        let at = absolute(cell);
        let mut keys = Vec::new();
        match entries(bytes, at)? {
            Entries::Keys(step, list) => keys.extend(list.chunks_exact(step).filter_map(|e| u32_at(e, 0))),
            Entries::Lists(lists) => {
                for leaf in lists.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)) {
                    let bytes = self.cells.claim(leaf, "list of subkeys", at)?;
                    match entries(bytes, absolute(leaf))? {
                        Entries::Keys(step, list) => {
                            keys.extend(list.chunks_exact(step).filter_map(|e| u32_at(e, 0)));
                        }
                        Entries::Lists(_) => {
                            let reason = "a list of lists in a list of lists";
                            return Err(Error::malformed("list of subkeys", absolute(leaf), reason));
                        }
                    }
                }
            }
        }
        Ok(keys)
    }

    fn values(&mut self, cell: u32, count: u32, from: u64) -> Result<Vec<Value>> {
        let bytes = self.cells.claim(cell, "list of values", from)?;
        let Some(list) = (count as usize).checked_mul(4).and_then(|len| bytes.get(..len)) else {
            let reason = format!("{count} values in a cell of {:#x} bytes", bytes.len());
            return Err(Error::malformed("list of values", absolute(cell), reason));
        };
        list.chunks_exact(4)
            .filter_map(|entry| u32_at(entry, 0))
            .map(|value| self.value(value, absolute(cell)))
            .collect()
    }

    fn value(&mut self, cell: u32, from: u64) -> Result<Value> {
        let bytes = self.cells.claim(cell, "value", from)?;
        let at = absolute(cell);
        let fault = |reason: String| Error::malformed("value", at, reason);
        if bytes.len() < ValueNode::LEN || bytes[..2] != *b"vk" {
            return Err(fault(describe(bytes, "vk", ValueNode::LEN)));
        }
        let node: ValueNode = read(bytes);
        let stored = bytes[ValueNode::LEN..].get(..node.name_len.into()).ok_or_else(|| {
            fault(format!("name of {:#x} bytes in a cell of {:#x}", node.name_len, bytes.len()))
        })?;
        let name = if node.flags & LATIN1_VALUE != 0 {
            Name::from_latin1(stored)
        } else {
            Name::from_units(
                units_of(stored).ok_or_else(|| fault(format!("name of {} bytes in UTF-16", stored.len())))?,
            )
        };
        let data = if node.size & INLINE != 0 {
            let size = (node.size & !INLINE) as usize;
            let inline = node.data.to_le_bytes();
            inline
                .get(..size)
                .ok_or_else(|| fault(format!("{size:#x} bytes of data in the record")))?
                .to_vec()
        } else if node.size == 0 {
            Vec::new()
        } else {
            self.data(node.data, node.size as usize, at)?
        };
        Ok(Value { name, kind: Kind(node.kind), data, flags: node.flags & !LATIN1_VALUE })
    }

    fn data(&mut self, cell: u32, size: usize, from: u64) -> Result<Vec<u8>> {
        let bytes = self.cells.claim(cell, "data of a value", from)?;
        // A value in one piece is read wherever it is found whole: hivex writes none in segments.
        if let Some(data) = bytes.get(..size) {
            return Ok(data.to_vec());
        }
        let at = absolute(cell);
        let fault = |reason| Error::malformed("data of a value", at, reason);
        if self.minor < MINOR_BIG_DATA
            || size <= SEGMENT
            || bytes.len() < BigData::LEN
            || bytes[..2] != *b"db"
        {
            return Err(fault(format!("{size:#x} bytes in a cell of {:#x}", bytes.len())));
        }
        let head: BigData = read(bytes);
        let expected = size.div_ceil(SEGMENT);
        if usize::from(head.segments) != expected {
            return Err(fault(format!(
                "{} segments, expected {expected} for {size:#x} bytes",
                head.segments
            )));
        }
        let list = self.cells.claim(head.list, "list of segments", at)?;
        let Some(list) = list.get(..4 * expected) else {
            return Err(fault(format!("{expected} segments, listed in a cell of {:#x} bytes", list.len())));
        };
        // Not as much as `size` says, before so much was seen.
        let mut data = Vec::new();
        for segment in list.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)) {
            let bytes = self.cells.claim(segment, "segment of a value", at)?;
            let len = (size - data.len()).min(SEGMENT);
            let Some(piece) = bytes.get(..len) else {
                let reason = format!("{:#x} bytes, expected {len:#x}", bytes.len());
                return Err(Error::malformed("segment of a value", absolute(segment), reason));
            };
            data.extend_from_slice(piece);
        }
        Ok(data)
    }
}

/// What a list of subkeys lists.
pub(crate) enum Entries<'a> {
    /// Keys: bytes of an entry, and the entries. An entry begins with the key's cell.
    Keys(usize, &'a [u8]),
    /// Other lists, four bytes each.
    Lists(&'a [u8]),
}

/// Takes a list of subkeys apart.
pub(crate) fn entries(bytes: &[u8], at: u64) -> Result<Entries<'_>> {
    let fault = |reason| Error::malformed("list of subkeys", at, reason);
    let (Some(signature), Some(count)) = (bytes.first_chunk::<2>(), u16_at(bytes, 2)) else {
        return Err(fault(format!("cell of {:#x} bytes", bytes.len())));
    };
    let step = match signature {
        b"li" | b"ri" => 4,
        b"lf" | b"lh" => 8,
        other => {
            let reason = format!("signature \"{}\", expected li, lf, lh or ri", other.escape_ascii());
            return Err(fault(reason));
        }
    };
    let Some(list) = bytes[4..].get(..step * usize::from(count)) else {
        return Err(fault(format!("{count} entries of {step} bytes in a cell of {:#x}", bytes.len())));
    };
    Ok(if signature == b"ri" { Entries::Lists(list) } else { Entries::Keys(step, list) })
}

/// Puts subkeys into order, if they are not.
fn sort(key: &mut Key, at: u64) -> Result<()> {
    let ordered = |keys: &[Key]| keys.is_sorted_by(|a, b| a.name.cmp_ignore_case(&b.name).is_lt());
    if ordered(&key.subkeys) {
        return Ok(());
    }
    key.subkeys.sort_by(|a, b| a.name.cmp_ignore_case(&b.name));
    match key.subkeys.windows(2).find(|pair| pair[0].name.eq_ignore_case(&pair[1].name)) {
        Some(pair) => Err(Error::malformed("key", at, format!("two subkeys {:?}", pair[0].name))),
        None => Ok(()),
    }
}

/// Why a cell does not hold a record.
pub(crate) fn describe(bytes: &[u8], signature: &str, len: usize) -> String {
    match bytes.get(..2) {
        Some(found) if found == signature.as_bytes() => {
            format!("{:#x} bytes, expected at least {len:#x}", bytes.len())
        }
        found => {
            format!("signature \"{}\", expected {signature:?}", found.unwrap_or_default().escape_ascii())
        }
    }
}
