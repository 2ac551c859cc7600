//! Security descriptors: each stored once, counted, and all in one ring.

use super::{Checker, Code, Severity, descriptor};
use crate::cells::absolute;
use crate::layout::{KeyNode, SecurityNode, read, u32_at};
use crate::parse::describe;

impl Checker<'_> {
    /// Counts the use of a descriptor by a key; looks at it the first time.
    pub(super) fn use_security(&mut self, cell: u32, from: u64) {
        let count = self.security.entry(cell).or_default();
        *count += 1;
        if *count == 1 && self.claim(cell, "security descriptor", from).is_some() {
            self.descriptor(cell);
        }
    }

    /// Checks a descriptor but its place in the ring.
    fn descriptor(&mut self, cell: u32) -> Option<SecurityNode> {
        let (bytes, at) = (self.cells.get(cell)?, absolute(cell));
        let Some(node) = record(bytes) else {
            self.error(Code::Security, at, format_args!("{}", describe(bytes, "sk", SecurityNode::LEN)));
            return None;
        };
        let Some(descriptor) = bytes[SecurityNode::LEN..].get(..node.size as usize) else {
            let text = format_args!("descriptor of {:#x} bytes in a cell of {:#x}", node.size, bytes.len());
            self.error(Code::Security, at, text);
            return Some(node);
        };
        if let Some(text) = descriptor::fault(descriptor) {
            self.error(Code::SecurityDescriptor, at, format_args!("{text}"));
        }
        Some(node)
    }

    /// Follows the ring from the root's descriptor, once the keys are known.
    pub(super) fn security_ring(&mut self, root: u32) {
        let used = std::mem::take(&mut self.security);
        let start = self
            .cells
            .get(root)
            .filter(|bytes| bytes.len() >= KeyNode::LEN)
            .and_then(|bytes| u32_at(bytes, 0x2C));
        let Some(start) = start.filter(|&start| self.cells.get(start).and_then(record).is_some()) else {
            return;
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut cell = start;
        loop {
            let at = absolute(cell);
            seen.insert(cell);
            let Some(node) = self.cells.get(cell).and_then(record) else { break };
            let uses = used.get(&cell).copied().unwrap_or(0);
            if !used.contains_key(&cell) {
                // Not looked at yet, because no key uses it.
                if self.cells.mark(cell) {
                    self.error(Code::CellShared, at, format_args!("used again as security descriptor"));
                    break;
                }
                self.descriptor(cell);
                let text = format_args!("used by no key");
                self.found.add(Severity::Note, Code::SecurityCount, at, || None, text);
            }
            if node.count != uses {
                let text = format_args!("used {uses} times, but says {}", node.count);
                self.error(Code::SecurityCount, at, text);
            }
            let next = node.next;
            let Some(after) = self.cells.get(next).and_then(record) else {
                self.error(
                    Code::SecurityRing,
                    at,
                    format_args!("no security descriptor at {next:#x}, the next one"),
                );
                break;
            };
            if after.previous != cell {
                let text = format_args!("the one before it is {:#x}, expected {cell:#x}", after.previous);
                self.error(Code::SecurityRing, absolute(next), text);
            }
            if next == start {
                break;
            }
            if seen.contains(&next) {
                let text =
                    format_args!("the ring comes back to {next:#x}, and not to its beginning at {start:#x}");
                self.error(Code::SecurityRing, at, text);
                break;
            }
            cell = next;
        }
        for &cell in used.keys().filter(|cell| !seen.contains(cell)) {
            if self.cells.get(cell).and_then(record).is_some() {
                self.error(Code::SecurityRing, absolute(cell), format_args!("not in the ring"));
            }
        }
    }
}

/// The record in a cell, if it is one.
fn record(bytes: &[u8]) -> Option<SecurityNode> {
    (bytes.len() >= SecurityNode::LEN && bytes[..2] == *b"sk").then(|| read(bytes))
}
