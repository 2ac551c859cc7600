use std::io::Write;
use std::ops::Range;

use disk::{FrontToBack, PlannedFile, PlannedStream, WriteAt};

use crate::layout::MIB;
use crate::plan::{Plan, TABLE_OFFSET};
use crate::{Error, Options, Result};

/// Length in bytes of the file that [`positioned`] and [`ordered`] make from the same arguments.
///
/// # Errors
/// As for these, without their I/O.
pub fn file_size(options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    Ok(Plan::new(options, allocated)?.file_len())
}

/// A VHDX in a file, which is written in any order.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint, such as
/// [`ExtentMap::allocated`](disk::ExtentMap::allocated) of the block size gives them; every block that they touch is
/// stored. A fixed disk stores all blocks, and ignores them. Until [`finish`](disk::PositionedSink::finish) the file lacks
/// what makes it a VHDX. Memory: 24 bytes per run of blocks that are stored.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other, [`Error::Io`] when the tables cannot be
/// written.
pub fn positioned<F: WriteAt>(
    file: F,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedFile<F>> {
    let plan = Plan::new(options, allocated)?;
    file.set_len(plan.file_len()).map_err(Error::writing("VHDX", 0))?;
    for (offset, bytes) in plan.structures() {
        file.write_all_at(&bytes, offset).map_err(Error::writing("VHDX metadata", offset))?;
    }
    for piece in 0..plan.table_pieces() {
        let Some(bytes) = plan.table_piece(piece) else { continue };
        let offset = TABLE_OFFSET + piece * MIB;
        file.write_all_at(&bytes, offset).map_err(Error::writing("VHDX block allocation table", offset))?;
    }
    let mut last = plan.headers().to_vec();
    last.push((0, Plan::identifier()));
    Ok(PlannedFile::new(file, plan.into_blocks(), last))
}

/// A VHDX that is written front to back to something that need not seek: the blocks lie in the order of the disk.
/// Arguments are those of [`positioned`]; parts of stored blocks that are never handed over become zeros.
///
/// # Errors
/// As for [`positioned`].
pub fn ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedStream<W>> {
    let plan = Plan::new(options, allocated)?;
    let mut out = FrontToBack::new(writer);
    let mut put =
        |bytes: &[u8], offset| out.write_at(bytes, offset).map_err(Error::writing("VHDX structures", offset));
    put(&Plan::identifier(), 0)?;
    for (offset, bytes) in plan.headers().into_iter().chain(plan.structures()) {
        put(&bytes, offset)?;
    }
    for piece in 0..plan.table_pieces() {
        let Some(bytes) = plan.table_piece(piece) else { continue };
        put(&bytes, TABLE_OFFSET + piece * MIB)?;
    }
    Ok(PlannedStream::new(out, plan.into_blocks()))
}
