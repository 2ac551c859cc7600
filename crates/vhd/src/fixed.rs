//! Fixed VHDs: the disk as it is, and a footer. What Azure takes.

use std::fmt;
use std::io::{self, Write};

use codec::Tokens;
use disk::{OrderedSink, PositionedSink, UnitEncoder, WriteAt};

use crate::layout::{FOOTER_LEN, Footer};
use crate::{Error, Options, Result};

/// Length in bytes of the file.
pub fn file_size(options: &Options) -> u64 {
    options.size.saturating_add(FOOTER_LEN as u64)
}

/// A fixed VHD that is written front to back, zeros included, to something that need not seek.
///
/// # Errors
/// [`Error::Impossible`].
pub fn ordered<W: Write + Send>(writer: W, options: &Options) -> Result<Stream<W>> {
    options.check()?;
    Ok(Stream { writer, position: 0, footer: options.fixed_footer() })
}

/// A fixed VHD in a file, which stays sparse where nothing is written.
///
/// # Errors
/// [`Error::Impossible`]; [`Error::Io`] when the file cannot be made that long.
pub fn positioned<F: WriteAt>(file: F, options: &Options) -> Result<InFile<F>> {
    options.check()?;
    file.set_len(file_size(options)).map_err(Error::writing("VHD", 0))?;
    Ok(InFile { file, footer: options.fixed_footer() })
}

/// A fixed VHD that is being written front to back; see [`ordered`].
pub struct Stream<W> {
    writer: W,
    position: u64,
    footer: Footer,
}

impl<W> fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("position", &self.position).finish_non_exhaustive()
    }
}

impl<W: Write> Stream<W> {
    fn zeros_up_to(&mut self, offset: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.position < offset {
            let len = (offset - self.position).min(ZEROS.len() as u64);
            self.writer.write_all(&ZEROS[..len as usize])?;
            self.position += len;
        }
        Ok(())
    }
}

impl<W: Write + Send> OrderedSink for Stream<W> {
    fn granularity(&self) -> u64 {
        512
    }

    fn encoder(&self) -> Box<dyn UnitEncoder> {
        Box::new(Verbatim)
    }

    fn commit(&mut self, offset: u64, len: u64, encoded: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(len);
        if offset < self.position || end.is_none_or(|end| end > self.footer.current_size) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "unit out of order or past the disk's end",
            ));
        }
        if encoded.len() as u64 != len {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "unit is not as long as its range"));
        }
        self.zeros_up_to(offset)?;
        self.writer.write_all(encoded)?;
        self.position = offset + len;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.zeros_up_to(self.footer.current_size)?;
        self.writer.write_all(&self.footer.to_bytes())?;
        self.writer.flush()
    }
}

/// The disk's bytes are the file's.
pub(crate) struct Verbatim;

impl UnitEncoder for Verbatim {
    fn encode(&mut self, _: u64, data: &[u8], _: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        out.extend_from_slice(data);
        Ok(())
    }
}

/// A fixed VHD that is being written to a file; see [`positioned`].
pub struct InFile<F> {
    file: F,
    footer: Footer,
}

impl<F> fmt::Debug for InFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFile").field("footer", &self.footer).finish_non_exhaustive()
    }
}

impl<F: WriteAt> PositionedSink for InFile<F> {
    fn granularity(&self) -> u64 {
        512
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64);
        if end.is_none_or(|end| end > self.footer.current_size) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write past the disk's end"));
        }
        self.file.write_all_at(data, offset)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.write_all_at(&self.footer.to_bytes(), self.footer.current_size)
    }
}
