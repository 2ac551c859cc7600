//! Indexes: roots, blocks, and the entries of a node.

use super::{Fault, FileName, Result, file_name, part, u16_at, u32_at, u64_at};
use crate::layout::index::{
    BLOCK_HEAD_LEN, ENTRY_HAS_CHILD, ENTRY_HEAD_LEN, ENTRY_LAST, INDEX_HEADER_LEN, ROOT_HEAD_LEN,
};

/// The value of an `$INDEX_ROOT`.
#[derive(Clone, Debug)]
pub struct Root<'a> {
    /// Type of the attribute that is indexed: 0x30 for directories, 0 for view indexes.
    pub kind: u32,
    /// How keys are compared.
    pub collation: u32,
    /// Bytes in an index block, as it says.
    pub block_size: u32,
    /// The same in the units of its VCNs, as it says.
    pub block_units: u8,
    /// The node.
    pub node: Node<'a>,
}

/// An index block whose fixups are undone.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// Where it says that it lies in the index, in the units of VCNs.
    pub vcn: u64,
    /// The node.
    pub node: Node<'a>,
}

/// The entries of a root or block.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Where the index header begins in the value or block; its fields count from there.
    pub offset: usize,
    /// Where the first entry begins, counted from the header.
    pub entries_offset: usize,
    /// Where the entries end, counted from the header.
    pub len: usize,
    /// Where the room for entries ends, counted from the header, as it says.
    pub allocated: u32,
    /// Flags: 1 when there are blocks below (in a root, when there are blocks at all).
    pub flags: u8,
    /// From the header on.
    bytes: &'a [u8],
}

/// An entry of a node.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Where it begins in the value or block.
    pub offset: usize,
    /// Its length in bytes.
    pub len: usize,
    /// In a directory the reference to the file.
    pub target: u64,
    /// Its flags, as they are.
    pub flags: u16,
    /// The key; empty in the last entry of a node.
    pub key: &'a [u8],
    /// VCN of the block with the entries before this one.
    pub child: Option<u64>,
    bytes: &'a [u8],
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct FileNameEntry<'a> {
    /// Reference to the file.
    pub target: u64,
    /// The name, and what it repeats of the file.
    pub name: FileName<'a>,
}

/// The root in the value of an `$INDEX_ROOT`.
///
/// # Errors
/// When the value is too short or the entries do not lie in it.
pub fn root(value: &[u8]) -> Result<Root<'_>> {
    const WHAT: &str = "index root";
    part(value, 0, ROOT_HEAD_LEN + INDEX_HEADER_LEN, WHAT, "header")?;
    let word = |at| u32_at(value, at).unwrap_or_default();
    let node = node(value, ROOT_HEAD_LEN, WHAT)?;
    Ok(Root { kind: word(0), collation: word(4), block_size: word(8), block_units: value[12], node })
}

/// The node in an index block.
///
/// # Errors
/// When the signature is not `INDX` or the entries do not lie in the block.
pub fn block(bytes: &[u8]) -> Result<Block<'_>> {
    const WHAT: &str = "index block";
    part(bytes, 0, BLOCK_HEAD_LEN + INDEX_HEADER_LEN, WHAT, "header")?;
    if bytes[..4] != *b"INDX" {
        let found = String::from_utf8_lossy(&bytes[..4]).escape_default().to_string();
        return Err(Fault::new(WHAT, "signature", 0, format_args!("\"{found}\""), "\"INDX\""));
    }
    let node = node(bytes, BLOCK_HEAD_LEN, WHAT)?;
    Ok(Block { vcn: u64_at(bytes, 16).unwrap_or_default(), node })
}

fn node<'a>(whole: &'a [u8], offset: usize, what: &'static str) -> Result<Node<'a>> {
    let bytes = &whole[offset..];
    let word = |at| u32_at(bytes, at).unwrap_or_default();
    let (entries_offset, len) = (word(0) as usize, word(4) as usize);
    if len > bytes.len() || !len.is_multiple_of(8) {
        let expected = format_args!("a multiple of 8 up to {:#x}", bytes.len());
        return Err(Fault::new(
            what,
            "length of the entries",
            offset + 4,
            format_args!("{len:#x}"),
            expected,
        ));
    }
    if entries_offset < INDEX_HEADER_LEN
        || entries_offset.saturating_add(ENTRY_HEAD_LEN) > len
        || !entries_offset.is_multiple_of(8)
    {
        let expected = format_args!("a multiple of 8 from 0x10, an entry below {len:#x}");
        return Err(Fault::new(
            what,
            "offset of the entries",
            offset,
            format_args!("{entries_offset:#x}"),
            expected,
        ));
    }
    Ok(Node { offset, entries_offset, len, allocated: word(8), flags: bytes[12], bytes })
}

impl<'a> Node<'a> {
    /// The entries, the last one (that has no key) included.
    pub const fn entries(&self) -> Entries<'a> {
        Entries { bytes: self.bytes, end: self.len, at: self.entries_offset, base: self.offset, done: false }
    }

    /// The bytes behind the entries.
    pub fn slack(&self) -> &'a [u8] {
        &self.bytes[self.len..]
    }
}

/// The entries of a node; ends after the last entry or the first fault.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    end: usize,
    at: usize,
    base: usize,
    done: bool,
}

const ENTRY: &str = "index entry";

impl<'a> Entries<'a> {
    /// Where the next entry begins, or once all were read, their end; counted from the value or block.
    pub const fn position(&self) -> usize {
        self.base + self.at
    }

    fn parse(&self) -> Result<Entry<'a>> {
        let offset = self.base + self.at;
        let rest = &self.bytes[self.at..self.end];
        let len = usize::from(u16_at(rest, 8).unwrap_or_default());
        if len < ENTRY_HEAD_LEN || len > rest.len() || !len.is_multiple_of(8) {
            let expected = format_args!("a multiple of 8 in 0x10..={:#x}", rest.len());
            return Err(Fault::new(ENTRY, "length", offset + 8, format_args!("{len:#x}"), expected));
        }
        let bytes = &rest[..len];
        let flags = u16_at(bytes, 12).unwrap_or_default();
        let key_len = match flags & ENTRY_LAST {
            0 => usize::from(u16_at(bytes, 10).unwrap_or_default()),
            _ => 0,
        };
        let child_len = if flags & ENTRY_HAS_CHILD != 0 { 8 } else { 0 };
        if ENTRY_HEAD_LEN + key_len + child_len > len {
            let expected = format_args!("at most {:#x}", len - (ENTRY_HEAD_LEN + child_len).min(len));
            return Err(Fault::new(
                ENTRY,
                "length of the key",
                offset + 10,
                format_args!("{key_len:#x}"),
                expected,
            ));
        }
        Ok(Entry {
            offset,
            len,
            target: u64_at(bytes, 0).unwrap_or_default(),
            flags,
            key: &bytes[ENTRY_HEAD_LEN..ENTRY_HEAD_LEN + key_len],
            child: (child_len > 0).then(|| u64_at(bytes, len - 8).unwrap_or_default()),
            bytes,
        })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.at >= self.end {
            self.done = true;
            let fault = Fault::new(
                ENTRY,
                "flags",
                self.base + self.at,
                "the end of the node",
                "an entry marked as last",
            );
            return Some(Err(fault));
        }
        let entry = self.parse();
        match &entry {
            Ok(entry) => {
                self.at += entry.len;
                self.done = entry.is_last();
            }
            Err(_) => self.done = true,
        }
        Some(entry)
    }
}

impl<'a> Entry<'a> {
    /// Whether it ends its node.
    pub const fn is_last(&self) -> bool {
        self.flags & ENTRY_LAST != 0
    }

    /// The length of the key as the entry has it: the last entry should have 0.
    pub fn key_len(&self) -> u16 {
        u16_at(self.bytes, 10).unwrap_or_default()
    }

    /// The entry as one of a directory.
    ///
    /// # Errors
    /// When the key is no file name.
    pub fn file_name(&self) -> Result<FileNameEntry<'a>> {
        let name = file_name(self.key).map_err(|fault| fault.moved(self.offset + ENTRY_HEAD_LEN))?;
        Ok(FileNameEntry { target: self.target, name })
    }

    /// The data of an entry of a view index.
    ///
    /// # Errors
    /// When the data does not lie in the entry, behind the key.
    pub fn view_data(&self) -> Result<&'a [u8]> {
        let (at, len) =
            (u16_at(self.bytes, 0).unwrap_or_default(), u16_at(self.bytes, 2).unwrap_or_default());
        let end = self.len - if self.child.is_some() { 8 } else { 0 };
        let (at, len) = (usize::from(at), usize::from(len));
        if len == 0 {
            return Ok(&[]);
        }
        if at < ENTRY_HEAD_LEN + self.key.len() || at + len > end {
            let found = format_args!("{len:#x} bytes at {at:#x}");
            let expected = format_args!("all within {:#x}..{end:#x}", ENTRY_HEAD_LEN + self.key.len());
            return Err(Fault::new(ENTRY, "data", self.offset, found, expected));
        }
        Ok(&self.bytes[at..at + len])
    }

    /// All bytes of the entry.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with one view entry (key of 4 bytes, data of 8) and the end, both with children.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![0; 32 + 40 + 24];
        bytes[4] = 0x10;
        bytes[9] = 0x10;
        bytes[12] = 1;
        bytes[16] = 16;
        bytes[20] = 16 + 40 + 24;
        bytes[24] = 16 + 40 + 24;
        bytes[28] = 1;
        let entry = &mut bytes[32..72];
        (entry[0], entry[2], entry[8], entry[10], entry[12]) = (20, 8, 40, 4, 1);
        entry[16..20].copy_from_slice(b"key!");
        entry[20..28].copy_from_slice(b"and data");
        entry[32] = 7;
        let end = &mut bytes[72..];
        (end[8], end[12], end[16]) = (24, 3, 9);
        bytes
    }

    #[test]
    fn root_and_entries() {
        let bytes = bytes();
        let root = root(&bytes).unwrap();
        assert_eq!((root.kind, root.collation, root.block_size, root.block_units), (0, 0x10, 0x1000, 1));
        let entries: Vec<_> = root.node.entries().collect::<Result<_>>().unwrap();
        assert_eq!((entries[0].key, entries[0].child, entries[0].offset), (&b"key!"[..], Some(7), 32));
        assert_eq!(entries[0].view_data().unwrap(), b"and data");
        assert!(entries[1].is_last() && entries[1].child == Some(9) && entries.len() == 2);
        assert!(root.node.slack().is_empty());
    }

    #[test]
    fn nothing_leads_outside() {
        for (at, value) in [
            (16, 8),
            (16, 17),
            (16, 80),
            (20, 81),
            (20, 88),
            (20, 24),
            (40, 8),
            (40, 41),
            (40, 128),
            (42, 20),
            (80, 32),
            (84, 1),
        ] {
            let mut bad = bytes();
            bad[at] = value;
            let outcome = root(&bad).and_then(|root| root.node.entries().collect::<Result<Vec<_>>>());
            assert!(outcome.is_err(), "{at}: {value}");
        }
        let mut bad = bytes();
        bad[32] = 19;
        assert!(root(&bad).unwrap().node.entries().next().unwrap().unwrap().view_data().is_err());
        for len in 0..bytes().len() {
            assert!(root(&bytes()[..len]).is_err());
            assert!(block(&bytes()[..len]).is_err());
        }
    }
}
