//! What the fast decoders know of a fault: that there is one.

use crate::Error;
use crate::bits::PastTheEnd;
use crate::huffman::Incomplete;

/// The chunk is not valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure;

impl Failure {
    /// What the reference decoder says, which may cost what it will: this chunk is lost.
    #[cold]
    pub(crate) fn explain(self, reference: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let result = reference();
        debug_assert!(result.is_err(), "the fast decoder refuses a chunk that the reference accepts");
        result
    }
}

impl From<PastTheEnd> for Failure {
    fn from(_: PastTheEnd) -> Self {
        Self
    }
}

impl From<Incomplete> for Failure {
    fn from(_: Incomplete) -> Self {
        Self
    }
}
