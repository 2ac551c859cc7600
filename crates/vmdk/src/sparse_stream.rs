//! monolithicSparse written front to back, for archives: the tables come first and grains lie in disk order, so nothing
//! has to be written twice.

use std::io::Write;
use std::ops::Range;

use disk::{FrontToBack, PlannedStream};

use crate::layout::SECTOR;
use crate::options::{DESCRIPTOR_OFFSET, Options};
use crate::{Error, Kind, Result, descriptor, sparse};

/// A monolithicSparse VMDK that is written front to back to something that need not seek. The file is the same as that of
/// [`monolithic_sparse`](crate::monolithic_sparse); header, descriptor and tables are written at once, and parts of stored
/// grains that are never handed over become zeros. Memory: as there, and while this runs the tables (8 bytes for 64 KiB of
/// disk).
///
/// # Errors
/// As for [`monolithic_sparse`](crate::monolithic_sparse).
pub fn monolithic_sparse_ordered<W: Write + Send>(
    writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<PlannedStream<W>> {
    let plan = sparse::plan(options, allocated)?;
    let mut head = vec![0; (plan.header.overhead * SECTOR) as usize];
    let mut put = |bytes: &[u8], sector: u64| {
        head[(sector * SECTOR) as usize..][..bytes.len()].copy_from_slice(bytes);
    };
    put(&plan.header.to_sector(), 0);
    put(&descriptor::embedded(options, Kind::MonolithicSparse), DESCRIPTOR_OFFSET);
    plan.each_table(|_, bytes, sector| {
        put(bytes, sector);
        Ok(())
    })?;
    let mut out = FrontToBack::new(writer);
    out.append(&head).map_err(Error::writing("VMDK header", 0))?;
    Ok(PlannedStream::new(out, plan.grains))
}
