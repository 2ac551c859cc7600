//! Disks in several files: the raw disk, or sparse extents, described by a text in a file of its own.
//!
//! monolithicFlat is what a datastore of ESXi keeps too, under another name (`vmfs`): the flat file is the raw disk, byte
//! for byte. twoGbMaxExtentSparse is what Workstation and Fusion make by default: each file is a sparse extent of its
//! own, which can be read, written and copied to file systems of small files. The sparse extents are laid out as a
//! monolithicSparse file is, without the descriptor. The descriptor is written last, so that a disk that is not complete
//! has none.
//!
//! Nothing here opens a file: the caller makes each under the name that it is told.

use std::fmt;
use std::io;
use std::ops::Range;

use disk::{PositionedSink, WriteAt};

use crate::files::{ExtentFile, extent_files};
use crate::layout::SECTOR;
use crate::options::Options;
use crate::sparse::{Plan, touched_grains};
use crate::{Error, Kind, Result, descriptor, impossible};

/// A part of the disk, and the file that it goes to.
struct Extent<F> {
    start: u64,
    len: u64,
    file: F,
    /// None for the raw disk.
    plan: Option<Plan>,
}

/// A VMDK in several files that is being written; see [`split`].
pub struct Split<F> {
    descriptor: F,
    text: String,
    extents: Vec<Extent<F>>,
}

impl<F> fmt::Debug for Split<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").field("extents", &self.extents.len()).finish_non_exhaustive()
    }
}

/// The plans of sparse extents; none for kinds that are flat.
fn plans(
    kind: Kind,
    options: &Options,
    files: &[ExtentFile],
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Vec<Option<Plan>>> {
    if kind.is_monolithic_file() {
        return Err(impossible(format!("{kind} is one file")));
    }
    if kind != Kind::TwoGbMaxExtentSparse {
        return Ok(files.iter().map(|_| None).collect());
    }
    let grains = touched_grains(options.size, allocated)?;
    let of_file = |file: &ExtentFile| {
        // Files meet between grains.
        let inside = grains
            .within(file.start..file.start + file.len)
            .map(|run| run.start - file.start..run.end() - file.start);
        Plan::new(false, touched_grains(file.len, inside)?).map(Some)
    };
    files.iter().map(of_file).collect()
}

/// Length in bytes of all files but the descriptor that [`split`] makes from the same arguments.
///
/// # Errors
/// As for [`split`], without its I/O.
pub fn split_size(kind: Kind, options: &Options, allocated: impl Iterator<Item = Range<u64>>) -> Result<u64> {
    let files = extent_files(kind, options)?;
    let plans = plans(kind, options, &files, allocated)?;
    Ok(files.iter().zip(plans).map(|(file, plan)| plan.map_or(file.len, |plan| plan.file_len())).sum())
}

/// A VMDK in several files: [`Kind::MonolithicFlat`], [`Kind::TwoGbMaxExtentSparse`], [`Kind::TwoGbMaxExtentFlat`] or
/// [`Kind::Vmfs`].
///
/// `make` is called once for each of [`extent_files`], in order, and returns a new, empty file of that name beside the
/// descriptor. All stay open until the end, 1025 of them for a disk of 2 TiB in files of 2 GiB: a caller whose system
/// allows fewer hands in files that open themselves when they are written to.
///
/// `allocated` are the byte ranges of the disk that will be written, ascending and disjoint; flat kinds have room for
/// all of the disk, and do not look at them. Memory: 48 bytes per range.
///
/// # Errors
/// [`Error::Impossible`] for options or ranges that contradict each other; [`Error::Io`], inside [`Error::Extent`] where it
/// is about one.
pub fn split<F: WriteAt>(
    kind: Kind,
    descriptor: F,
    mut make: impl FnMut(&ExtentFile) -> io::Result<F>,
    options: &Options,
    allocated: impl Iterator<Item = Range<u64>>,
) -> Result<Split<F>> {
    let files = extent_files(kind, options)?;
    let plans = plans(kind, options, &files, allocated)?;
    let text = descriptor::text(options, kind, &files);
    let mut extents = Vec::with_capacity(files.len());
    for (described, plan) in files.into_iter().zip(plans) {
        let ExtentFile { ref name, start, len } = described;
        let mut open = || {
            let file = make(&described).map_err(Error::writing("VMDK extent", 0))?;
            match &plan {
                Some(plan) => plan.write_tables(&file)?,
                None => file.set_len(len).map_err(Error::writing("VMDK extent", 0))?,
            }
            Ok(file)
        };
        let file = open().map_err(Error::in_extent(name))?;
        extents.push(Extent { start, len, file, plan });
    }
    Ok(Split { descriptor, text, extents })
}

impl<F: WriteAt> PositionedSink for Split<F> {
    fn granularity(&self) -> u64 {
        SECTOR
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut offset, mut data) = (offset, data);
        while !data.is_empty() {
            let past = self.extents.partition_point(|extent| extent.start <= offset);
            let inside = past.checked_sub(1).map(|index| &self.extents[index]);
            let Some(extent) = inside.filter(|extent| offset - extent.start < extent.len) else {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "write past the disk's end"));
            };
            let here = offset - extent.start;
            let (part, rest) = data.split_at((extent.len - here).min(data.len() as u64) as usize);
            match &extent.plan {
                Some(plan) => plan.grains.write_at(&extent.file, here, part)?,
                None => extent.file.write_all_at(part, here)?,
            }
            offset += part.len() as u64;
            data = rest;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        for extent in &self.extents {
            if let Some(plan) = &extent.plan {
                extent.file.write_all_at(&plan.header.to_sector(), 0)?;
            }
        }
        self.descriptor.set_len(self.text.len() as u64)?;
        self.descriptor.write_all_at(self.text.as_bytes(), 0)
    }
}
