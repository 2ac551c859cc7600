//! A volume made larger or smaller, without being rewritten.
//!
//! A volume says its size in few places: the boot sector and its copy in the last sector, `$Bitmap`, which has a bit for
//! each cluster, and the stream `$Bad` of `$BadClus`, a hole as long as the volume. A larger one is so the same bytes with
//! some records changed. For a smaller one, what lies behind the new end moves to free clusters in front of it, and the
//! mapping pairs that lead there are written anew.
//!
//! The alternative is to read the tree and plan the volume again. It is not taken, because it is another volume: file
//! numbers, sequence numbers, the change journal, object ids, the state of `$LogFile` and every byte that nobody
//! understands would be as the planner makes them, and all data would move. What is done here touches a dozen records of a
//! volume that grows; everything else is what it was, and is where it was, so references by number (journals, backup
//! programs, shortcuts) stay right.
//!
//! Nothing is written: the result is a list of what lies where ([`Resized::segments`]), bytes of the old volume for the
//! most part, so that it can be read as a volume while it is packed into another container.
//!
//! The volume is held to the same as by [`unused`]: it has to pass [`check`](crate::check), be closed, have
//! no open log and no session that sleeps.

mod edit;
mod plan;
mod segments;
mod space;

use std::sync::Arc;

use disk::ReadAt;

pub use segments::{Content, Segment, over};

use crate::read;
use crate::unused::{self, Reason};

/// A volume of another size.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resized {
    /// Its length in bytes: that of the partition, with the copy of the boot sector at its end.
    pub len: u64,
    /// What lies where: ascending, without gaps, all of it.
    pub segments: Vec<Segment>,
    /// Bytes of files that lie elsewhere than before.
    pub moved: u64,
    /// File records that were changed.
    pub records: u64,
}

/// Why a volume cannot have the size.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not to be touched as it is.
    #[error("{text}")]
    Refused {
        /// In one word.
        reason: Reason,
        /// In full.
        text: String,
    },
    /// What it holds does not fit.
    #[error("the volume needs at least {needed} bytes, {found} are too few")]
    TooSmall {
        /// Bytes that are needed at least. (Where free space is in small pieces it can be more.)
        needed: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// It cannot have this size for another reason.
    #[error("{0}")]
    Impossible(String),
    /// The volume cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
}

impl From<unused::Error> for Error {
    fn from(error: unused::Error) -> Self {
        match error {
            unused::Error::Refused { reason, text } => Self::Refused { reason, text },
            unused::Error::Read(error) => Self::Read(error),
        }
    }
}

impl From<crate::parse::Fault> for Error {
    fn from(fault: crate::parse::Fault) -> Self {
        // The checker passed over it before.
        Self::Refused { reason: Reason::Unsound, text: fault.to_string() }
    }
}

/// What this module's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The volume that `volume` holds from its first byte on, in `len` bytes.
///
/// Takes as long as a check of the volume. Memory: `$Bitmap`, 24 bytes for each range of free clusters when it becomes
/// smaller, and the records that change.
///
/// # Errors
/// [`Error::Refused`] for a volume that is not sound or not at rest; [`Error::TooSmall`]; [`Error::Impossible`] when `len` is
/// no number of sectors or makes more than 2^32 - 1 clusters, and when a file is in so many pieces that the way to one more
/// does not fit its record; [`Error::Read`].
pub fn resize(volume: &Arc<dyn ReadAt>, len: u64) -> Result<Resized> {
    let opened = unused::sound::open(volume)?;
    unused::sound::check_awake(&opened, &unused::Options::default())?;
    plan::Plan::new(volume.as_ref(), &opened, len)?.run()
}

/// The bytes that what the volume holds takes at least. (Where free space is in small pieces it can be more.)
///
/// # Errors
/// [`Error::Read`] when it is no NTFS volume, or cannot be read.
pub fn least(volume: &Arc<dyn ReadAt>) -> Result<u64> {
    let opened = read::Volume::open(Arc::clone(volume), read::Options { raw: true })?;
    let boot = opened.boot();
    Ok(opened.usage()?.used * u64::from(boot.cluster_size) + u64::from(boot.sector_size))
}
