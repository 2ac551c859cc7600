use std::fmt;
use std::io;

use codec::Tokens;

/// How a container takes a disk. In both cases whatever is never handed over reads as zero.
#[derive(Debug)]
pub enum Sink<'a> {
    /// Front to back: streams, and formats whose tables follow their data.
    Ordered(Box<dyn OrderedSink + 'a>),
    /// Anywhere at once: formats whose tables were computed from the plan.
    Positioned(Box<dyn PositionedSink + 'a>),
}

impl Sink<'_> {
    /// The byte multiple at which the disk may be cut into units; see the traits.
    pub fn granularity(&self) -> u64 {
        match self {
            Self::Ordered(sink) => sink.granularity(),
            Self::Positioned(sink) => sink.granularity(),
        }
    }
}

/// A container that is written front to back. Workers encode units in any order with encoders of their own; one
/// thread commits them in ascending order.
pub trait OrderedSink: Send + fmt::Debug {
    /// Units begin and end on multiples of this many bytes (the disk's own end excepted).
    fn granularity(&self) -> u64;

    /// An encoder for one worker.
    fn encoder(&self) -> Box<dyn UnitEncoder>;

    /// Whether its encoders have a use for the tokens that the source was decoded from.
    fn wants_tokens(&self) -> bool {
        false
    }

    /// Takes the encoded form of the `len` disk bytes at `offset`. Calls come in ascending, disjoint order; what lies
    /// between them is zero.
    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()>;

    /// Writes what follows the data, and flushes. The file is complete only after this returned `Ok`.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// The parallel half of an [`OrderedSink`].
pub trait UnitEncoder: Send {
    /// Appends to `out` the container's form of `data`, the disk bytes at `offset`. `tokens` says how parts of `data` were
    /// compressed in the source, if the sink asked for it. The result depends on nothing else, so that output does not
    /// depend on which worker took which unit.
    fn encode(&mut self, offset: u64, data: &[u8], tokens: &Tokens, out: &mut Vec<u8>) -> io::Result<()>;
}

/// A container that takes its data in any order, from many threads.
pub trait PositionedSink: Send + Sync + fmt::Debug {
    /// Units begin and end on multiples of this many bytes (the disk's own end excepted).
    fn granularity(&self) -> u64;

    /// Writes `data` at disk byte `offset`. Callers keep concurrent ranges disjoint and inside the ranges that were
    /// announced as allocated when the container was made.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Writes what is left. The file is complete only after this returned `Ok`.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
