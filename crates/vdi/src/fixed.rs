//! Fixed VDIs: every block is stored, in disk order. To VirtualBox a fixed disk is a dynamic one that is full, and here,
//! too.

use std::io::Write;

use disk::{PlannedFile, PlannedStream, WriteAt};

use crate::dynamic::Plan;
use crate::{Options, Result};

fn plan(options: &Options) -> Result<Plan> {
    Plan::new(options, true, std::iter::once(0..options.size))
}

/// Length in bytes of the file.
///
/// # Errors
/// [`Error::Impossible`](crate::Error::Impossible).
pub fn file_size(options: &Options) -> Result<u64> {
    Ok(plan(options)?.file_len())
}

/// A fixed VDI in a file, which stays sparse where nothing is written.
///
/// # Errors
/// [`Error::Impossible`](crate::Error::Impossible), [`Error::Io`](crate::Error::Io).
pub fn positioned<F: WriteAt>(file: F, options: &Options) -> Result<PlannedFile<F>> {
    plan(options)?.positioned(file)
}

/// A fixed VDI that is written front to back, zeros included, to something that need not seek.
///
/// # Errors
/// [`Error::Impossible`](crate::Error::Impossible), [`Error::Io`](crate::Error::Io).
pub fn ordered<W: Write + Send>(writer: W, options: &Options) -> Result<PlannedStream<W>> {
    plan(options)?.ordered(writer)
}
