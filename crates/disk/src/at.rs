use std::fmt;

/// Where in a file an error lies: the structure, and its absolute byte offset in the file the user named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The structure, in the words of its format ("blob table entry").
    pub what: &'static str,
    /// Absolute byte offset of the structure in the file.
    pub offset: u64,
}

impl At {
    /// `what` at byte `offset`.
    pub const fn new(what: &'static str, offset: u64) -> Self {
        Self { what, offset }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}", self.what, self.offset)
    }
}
