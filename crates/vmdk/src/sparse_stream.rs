//! monolithicSparse written front to back, for archives: the tables come first and grains lie in disk order, so nothing
//! has to be written twice.

use std::fmt;
use std::io::{self, Read as _, Write};
use std::ops::Range;

use codec::Tokens;
use disk::{OrderedSink, UnitEncoder};

use crate::layout::SECTOR;
use crate::options::{DESCRIPTOR_OFFSET, Options};
use crate::sparse::{self, Plan};
use crate::{Error, Kind, Result, descriptor};

/// A monolithicSparse VMDK that is written front to back to something that need not seek. The file is the same as that of
/// [`monolithic_sparse`](crate::monolithic_sparse); header, descriptor and tables are written at once, and parts of stored
/// grains that are never handed over become zeros. Memory: as there, and while this runs the tables (8 bytes for 64 KiB of
/// disk).
///
/// # Errors
/// As for [`monolithic_sparse`](crate::monolithic_sparse).
pub fn monolithic_sparse_ordered<W: Write + Send>(
    mut writer: W,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<MonolithicSparseStream<W>> {
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
    writer.write_all(&head).map_err(Error::writing("VMDK header", 0))?;
    let position = head.len() as u64;
    Ok(MonolithicSparseStream { writer, plan, position })
}

/// A monolithicSparse VMDK that is being written front to back; see [`monolithic_sparse_ordered`].
pub struct MonolithicSparseStream<W> {
    writer: W,
    plan: Plan,
    /// Bytes of the file so far.
    position: u64,
}

impl<W> fmt::Debug for MonolithicSparseStream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, position, .. } = self;
        f.debug_struct("MonolithicSparseStream")
            .field("plan", plan)
            .field("position", position)
            .finish_non_exhaustive()
    }
}

impl<W: Write> MonolithicSparseStream<W> {
    /// Zeros up to byte `to` of the file.
    fn fill(&mut self, to: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(0).take(to - self.position), &mut self.writer)?;
        self.position = to;
        Ok(())
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl<W: Write + Send> OrderedSink for MonolithicSparseStream<W> {
    fn granularity(&self) -> u64 {
        SECTOR
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(AsItIs)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.plan.len);
        if end.is_none() || len != encoded.len() as u64 {
            return Err(refused("unit that does not lie on the disk"));
        }
        if len == 0 {
            return Ok(());
        }
        // What lies together on the disk lies together in the file.
        let Some((place, _)) = self.plan.place(offset).filter(|(_, left)| len <= *left) else {
            return Err(refused("write to a range that was not announced as allocated"));
        };
        if place < self.position {
            return Err(refused("unit out of order"));
        }
        self.fill(place)?;
        self.writer.write_all(encoded)?;
        self.position += len;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let end = self.plan.end;
        self.fill(end)?;
        self.writer.flush()
    }
}

/// Grains are stored as they are.
struct AsItIs;

impl UnitEncoder for AsItIs {
    fn encode(&mut self, _: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(data);
        Ok(())
    }
}
