//! Values: lists, records, data.

use std::collections::BTreeSet;

use super::{Checker, Code, Severity};
use crate::cells::absolute;
use crate::emit::MAX_CELL;
use crate::key::flags;
use crate::layout::{
    BigData, INLINE, KeyNode, LATIN1_VALUE, MINOR_BIG_DATA, NIL, SEGMENT, ValueNode, read, u32_at,
};
use crate::name::units_of;
use crate::parse::describe;
use crate::value::MAX_VALUE_NAME;
use crate::{Kind, Name};
use disk::upcase::upcase;

/// Values of a key up to which each is compared with each.
const FEW: usize = 16;

impl Checker<'_> {
    pub(super) fn key_values(&mut self, node: &KeyNode, at: u64) {
        if node.flags & flags::PREDEFINED != 0 {
            return;
        }
        let mut links = false;
        if node.values == 0 {
            if node.value_list != NIL {
                let text = format_args!("no values, but a list of them at {:#x}", node.value_list);
                self.error(Code::ValueList, at, text);
            }
        } else if let Some(list) = self.claim(node.value_list, "list of values", at) {
            let count = node.values as usize;
            let listed = list.get(..count.saturating_mul(4)).unwrap_or_else(|| {
                let text = format_args!("{count} values in a cell of {:#x} bytes", list.len());
                self.error(Code::ValueList, at, text);
                list
            });
            let (mut names, mut max_name, mut max_data) = (Vec::new(), 0, 0);
            for cell in listed.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)) {
                let Some((name, value)) = self.value(cell, absolute(node.value_list)) else { continue };
                max_name = max_name.max(2 * name.units().len());
                max_data = max_data.max(value.size & !INLINE);
                links |= Kind(value.kind) == Kind::LINK && name.is("SymbolicLinkValue");
                names.push(name);
            }
            self.duplicates(&names, at);
            if max_name > node.max_value_name as usize {
                let text =
                    format_args!("longest name of a value {:#x}, found {max_name:#x}", node.max_value_name);
                self.add(Severity::Warning, Code::Maxima, at, text);
            }
            if max_data > node.max_value_data {
                let text = format_args!("largest value {:#x}, found {max_data:#x}", node.max_value_data);
                self.add(Severity::Warning, Code::Maxima, at, text);
            }
        }
        if node.flags & flags::SYMLINK != 0 && !links {
            let text = format_args!("no value SymbolicLinkValue of type REG_LINK");
            self.add(Severity::Warning, Code::Symlink, at, text);
        }
    }

    fn duplicates(&mut self, names: &[Name], at: u64) {
        let twice = if names.len() <= FEW {
            names
                .iter()
                .enumerate()
                .find(|(i, name)| names[..*i].iter().any(|other| other.eq_ignore_case(name)))
        } else {
            let mut seen = BTreeSet::new();
            let folded = |name: &Name| name.units().iter().map(|&unit| upcase(unit)).collect::<Vec<_>>();
            names.iter().enumerate().find(|(_, name)| !seen.insert(folded(name)))
        };
        if let Some((_, name)) = twice {
            self.error(Code::ValueDuplicate, at, format_args!("two values {name:?}"));
        }
    }

    fn value(&mut self, cell: u32, from: u64) -> Option<(Name, ValueNode)> {
        let bytes = self.claim(cell, "value", from)?;
        let at = absolute(cell);
        if bytes.len() < ValueNode::LEN || bytes[..2] != *b"vk" {
            self.error(Code::Value, at, format_args!("{}", describe(bytes, "vk", ValueNode::LEN)));
            return None;
        }
        self.values += 1;
        let node: ValueNode = read(bytes);
        let len = usize::from(node.name_len);
        let stored = bytes[ValueNode::LEN..].get(..len);
        let name = match stored {
            Some(stored) if node.flags & LATIN1_VALUE != 0 => Some(Name::from_latin1(stored)),
            Some(stored) => units_of(stored).map(Name::from_units),
            None => None,
        };
        let Some(name) = name else {
            let text = format_args!("name of {len:#x} bytes in a cell of {:#x}", bytes.len());
            self.error(Code::ValueName, at, text);
            return None;
        };
        if name.units().len() > MAX_VALUE_NAME {
            let text =
                format_args!("name of {} characters, expected at most {MAX_VALUE_NAME}", name.units().len());
            self.error(Code::ValueName, at, text);
        }
        self.data(&node, at);
        Some((name, node))
    }

    fn data(&mut self, node: &ValueNode, at: u64) {
        if node.size & INLINE != 0 {
            let size = node.size & !INLINE;
            if size > 4 {
                self.error(Code::ValueData, at, format_args!("{size:#x} bytes of data in the record"));
            }
            return;
        }
        if node.size == 0 {
            if node.data != NIL {
                self.error(
                    Code::ValueData,
                    at,
                    format_args!("no data, but a cell for them at {:#x}", node.data),
                );
            }
            return;
        }
        let size = node.size as usize;
        let Some(bytes) = self.claim(node.data, "data of a value", at) else { return };
        if self.minor < MINOR_BIG_DATA || size <= SEGMENT {
            if bytes.len() < size {
                let text = format_args!("{size:#x} bytes in a cell of {:#x}", bytes.len());
                self.error(Code::ValueData, at, text);
            }
            if bytes.len() + 4 > MAX_CELL {
                let text =
                    format_args!("cell of {:#x} bytes, expected at most {MAX_CELL:#x}", bytes.len() + 4);
                self.add(Severity::Warning, Code::ValueSize, at, text);
            }
            return;
        }
        self.big_data(bytes, size, absolute(node.data));
    }

    fn big_data(&mut self, bytes: &[u8], size: usize, at: u64) {
        if bytes.len() < BigData::LEN || bytes[..2] != *b"db" || bytes.len() >= size {
            let text = format_args!("{size:#x} bytes in one cell of {:#x}, expected segments", bytes.len());
            return self.error(Code::BigData, at, text);
        }
        let head: BigData = read(bytes);
        let count = size.div_ceil(SEGMENT);
        if usize::from(head.segments) != count {
            let text = format_args!("{} segments, expected {count} for {size:#x} bytes", head.segments);
            self.error(Code::BigData, at, text);
        }
        let Some(list) = self.claim(head.list, "list of segments", at) else { return };
        let Some(list) = list.get(..4 * count) else {
            let text = format_args!("{count} segments, listed in a cell of {:#x} bytes", list.len());
            return self.error(Code::BigData, at, text);
        };
        let mut left = size;
        for segment in list.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)) {
            let len = left.min(SEGMENT);
            left -= len;
            if let Some(bytes) = self.claim(segment, "segment of a value", at)
                && bytes.len() < len
            {
                let text = format_args!("segment of {:#x} bytes, expected {len:#x}", bytes.len());
                self.error(Code::BigData, absolute(segment), text);
            }
        }
    }
}
