//! Cabinets and packages that tests make.

#![allow(dead_code, reason = "every test uses its own part")]

pub(crate) mod cabinet;
pub(crate) mod lzx;
pub(crate) mod package;

/// Repeatable numbers, for choices that a test does not want to make.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// Bytes that compress, with calls of x86 code among them.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < len {
            match self.below(4) {
                0 => {
                    bytes.push(0xE8);
                    let target = (self.below(4096) as i32 - 2048).to_le_bytes();
                    bytes.extend(target);
                }
                1 | 2 if bytes.len() > 400 => {
                    let from = self.below(bytes.len() - 300);
                    let run = 3 + self.below(290);
                    bytes.extend_from_within(from..from + run);
                }
                _ => {
                    let run = 1 + self.below(40);
                    bytes.extend((0..run).map(|_| b'a' + self.next() as u8 % 20));
                }
            }
        }
        bytes.truncate(len);
        bytes
    }
}
