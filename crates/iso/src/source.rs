//! Reading the image itself.

use std::io::Cursor;
use std::sync::Arc;

use binrw::BinRead;
use disk::{At, ReadAt};

use crate::{Error, Result};

/// The image, and how long it is.
#[derive(Clone)]
pub(crate) struct Source {
    disk: Arc<dyn ReadAt>,
    pub(crate) size: u64,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Source {
    pub(crate) fn new(disk: Arc<dyn ReadAt>) -> Result<Self> {
        let size = disk.size().map_err(|source| Error::Io { at: At::new("image", 0), source })?;
        Ok(Self { disk, size })
    }

    pub(crate) fn disk(&self) -> &Arc<dyn ReadAt> {
        &self.disk
    }

    /// Whether so many bytes from `offset` are there.
    pub(crate) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.size)
    }

    /// Refuses what ends past the end of the image.
    pub(crate) fn check(&self, what: &'static str, offset: u64, len: u64) -> Result<()> {
        if self.holds(offset, len) {
            return Ok(());
        }
        let reason =
            format!("its {len:#x} bytes end past the end of the image at {:#x}; is it all there?", self.size);
        Err(Error::malformed(what, offset, reason))
    }

    /// Fills `buf` from `offset`.
    pub(crate) fn read(&self, what: &'static str, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.check(what, offset, buf.len() as u64)?;
        self.disk.read_exact_at(buf, offset).map_err(|source| Error::Io { at: At::new(what, offset), source })
    }
}

/// A structure of fixed shape from the start of `bytes`, which are at least as long as it.
pub(crate) fn parse<T>(what: &'static str, offset: u64, bytes: &[u8]) -> Result<T>
where
    T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
{
    T::read(&mut Cursor::new(bytes)).map_err(|error| Error::malformed(what, offset, error.to_string()))
}
