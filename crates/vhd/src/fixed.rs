//! Fixed VHDs: the disk as it is, and a footer. What Azure takes.

use std::io::Write;

use disk::{FrontToBack, PlannedFile, PlannedStream, Runs, WriteAt};

use crate::layout::FOOTER_LEN;
use crate::{Error, Options, Result};

/// Length in bytes of the file.
pub fn file_size(options: &Options) -> u64 {
    options.size.saturating_add(FOOTER_LEN as u64)
}

/// A fixed VHD that is written front to back, zeros included, to something that need not seek.
///
/// # Errors
/// [`Error::Impossible`].
pub fn ordered<W: Write + Send>(writer: W, options: &Options) -> Result<PlannedStream<W>> {
    options.check()?;
    let stream = PlannedStream::new(FrontToBack::new(writer), Runs::whole(options.size));
    Ok(stream.with_tail(options.fixed_footer().to_bytes()))
}

/// A fixed VHD in a file, which stays sparse where nothing is written.
///
/// # Errors
/// [`Error::Impossible`]; [`Error::Io`] when the file cannot be made that long.
pub fn positioned<F: WriteAt>(file: F, options: &Options) -> Result<PlannedFile<F>> {
    options.check()?;
    file.set_len(file_size(options)).map_err(Error::writing("VHD", 0))?;
    let footer = (options.size, options.fixed_footer().to_bytes().to_vec());
    Ok(PlannedFile::new(file, Runs::whole(options.size), vec![footer]))
}
