//! The encoders of the codecs' own tests, which write what no compressor does.

#![allow(dead_code, unreachable_pub, reason = "the codecs' tests use more of it")]

#[path = "../../../codec/tests/support/huffman.rs"]
pub(crate) mod huffman;
#[path = "../../../codec/tests/support/lzms_encoder.rs"]
pub(crate) mod lzms;
#[path = "../../../codec/tests/support/lzx.rs"]
pub(crate) mod lzx;
#[path = "../../../codec/tests/support/xpress.rs"]
pub(crate) mod xpress;

/// What the encoders take for their choices.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}
