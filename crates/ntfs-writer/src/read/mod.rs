//! Reading existing NTFS 3.x volumes, whoever wrote them.
//!
//! A [`Volume`] is opened over anything that can be read at an offset, by any number of threads. It holds `$MFT`'s runs,
//! the upper-case table and a small cache of file records; everything else is read when it is asked for:
//! [`File`]s by number or by name, their attributes wherever attribute lists put them, directories by walking their
//! B-trees, security descriptors through `$Secure`. A [`Stream`] is read at any position through a
//! [`StreamReader`], which undoes LZNT1 by the unit and WOF by the chunk and remembers the last one.
//!
//! What lies on the disk is not trusted. Lengths and clusters are checked where they are used ([`parse`](crate::parse) does most
//! of it), indexes are walked with a limit of depth and without visiting a block twice, records are taken only with the
//! sequence number that the reference gives, and whoever walks much hands out a [`Budget`], so that clusters that many
//! files share cannot make the work larger than the volume. Nothing panics.
//!
//! It is a reader, not a checker: what is not needed to reach the bytes is not looked at.

mod bitmap;
mod error;
mod file;
mod index;
mod record;
mod security;
mod stream;
#[cfg(test)]
mod tests;
mod unit;
mod volume;
mod wof;

pub use bitmap::Usage;
pub use error::{Error, Place, Result};
pub use file::{File, FileName, NamedEa, Reparse};
pub use index::DirEntry;
pub use stream::Stream;
pub use unit::StreamReader;
pub use volume::{Options, Volume};

/// Bytes of metadata outside file records (index blocks, attribute lists, extended attributes, ...) that may still be read.
///
/// On a sound volume each cluster belongs to one file, so whoever walks all of it never reads more metadata than the volume
/// has bytes. A volume in which a thousand directories share one large index would make the walk a thousand times
/// longer than the volume; the budget ends it.
#[derive(Clone, Debug)]
pub struct Budget {
    left: u64,
    limit: u64,
}

impl Budget {
    /// Room for `bytes`.
    pub const fn new(bytes: u64) -> Self {
        Self { left: bytes, limit: bytes }
    }

    /// Takes `bytes` out of it.
    ///
    /// # Errors
    /// [`Error::Limit`] when there are not as many.
    pub fn take(&mut self, bytes: u64, place: impl FnOnce() -> Place) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Error::limit(
                place(),
                "bytes of metadata read so far",
                self.limit - self.left + bytes,
                self.limit,
            )),
        }
    }
}
