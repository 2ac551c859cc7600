//! What of a volume is unused, so that it can be zero.
//!
//! A volume that was worked with is full of remains: clusters of deleted files, what lay behind the end of a file in its
//! last cluster, records and index blocks that were given back, room behind the last entry of those in use. Nobody ever
//! reads any of it, and it compresses badly. [`unused`] finds all of it; whoever asked makes it zero.
//!
//! **Nothing that is used may be in the answer**, so it is held against three things. First [`check`](crate::check) passes
//! over the volume: whoever has a fault that could move a cluster, is dirty, has an open log, or belongs to a session
//! that Windows put to sleep is refused, with the reason. Then the answer is drawn from what says that it is free
//! (`$Bitmap`, `$MFT`'s bitmap, an index's bitmap, the end of a value) *and* from what would say that it is not: the
//! runs of all records, the flag of the record itself, the blocks that the index reaches. Where the two disagree the volume
//! is refused, as it is when two ranges of the answer overlap. Last, the answer says nothing of what is not understood:
//! it is [kept](Kept).
//!
//! # What is unused
//!
//! | | |
//! |---|---|
//! | clusters that `$Bitmap` says are free, and what is left behind the last whole cluster | yes |
//! | clusters of a value behind its end, room reserved for more of it included | yes |
//! | bytes of a file between its initialized and its data size | yes: they read as zero whatever lies there |
//! | LZNT1: what follows the last chunk of a compression unit | yes |
//! | EFS: anything behind the end of an encrypted stream | kept: ciphers work on blocks, and the end is that of the plain text |
//! | file records in use: behind what the header says is used | yes |
//! | file records given back | yes, as records that were never used: header and sequence number stay |
//! | index blocks in use: behind the entries | yes |
//! | index blocks given back | yes, when the blocks that the index reaches are just those its bitmap marks |
//! | the records that `$MFTMirr` repeats (four, or a cluster's worth) | kept: readers compare the two, which cannot be written at once |
//! | `$LogFile`, `$UsnJrnl`, `$SDS`, padding inside attributes | kept: below the end of a value, a value is its owner's |
//! | clusters marked as bad | kept, and never read |
//! | pagefile.sys, swapfile.sys, hiberfil.sys | on [request](Options) |
//! | sectors of the partition behind the volume's own | kept: they are not the file system's |
//!
//! # Why it can be done in place, and be interrupted
//!
//! [`Unused::ranges`] are bytes that nothing leads to: any part of them may be zero at any time. A [`Patch`] changes a
//! structure that is in use, and does so without a new update sequence number: all bytes that count are the same before
//! and after, so a structure of which only some sectors were written is as sound as either version. (With a new number it
//! would be torn.) A record that was given back shrinks to its header in one sector. So there is no moment at which the volume
//! is not sound, and doing all of it again ends where the first attempt would have.

mod clusters;
mod index;
mod patch;
mod scan;
pub(crate) mod sound;
mod streams;

use std::ops::Range;
use std::sync::Arc;

use disk::ReadAt;

pub use patch::Patch;

use crate::read;

/// Whose content counts as unused although it is a file's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `\pagefile.sys`: Windows makes nothing of what an earlier session left there.
    pub pagefile: bool,
    /// `\swapfile.sys`: as above.
    pub swapfile: bool,
    /// `\hiberfil.sys`. A session that sleeps in it is lost, as if the power had failed.
    pub hiberfil: bool,
}

/// What of a volume is unused. Offsets are bytes from the volume's first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Unused {
    /// Bytes in a cluster.
    pub cluster_size: u32,
    /// Bytes that no reader ever looks at: sorted, disjoint, none empty, no two of them adjacent.
    pub ranges: Vec<Range<u64>>,
    /// Structures in use with remains in them: sorted, disjoint, and disjoint from the ranges.
    pub patches: Vec<Patch>,
    /// What the ranges and patches are.
    pub totals: Totals,
    /// What is not understood well enough, or not to be touched.
    pub kept: Vec<Kept>,
}

/// What is unused, by kind, in bytes. Most of it may be zero already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Free clusters, and what is left behind the last whole one.
    pub free: u64,
    /// Clusters of values behind what they hold.
    pub tails: u64,
    /// Index blocks that were given back.
    pub blocks: u64,
    /// Content of files that [`Options`] give up.
    pub dropped: u64,
    /// Structures in use with remains in them, counted.
    pub patches: u64,
}

/// Unused bytes that stay as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// What they are.
    pub what: &'static str,
    /// How many there are of them.
    pub count: u64,
    /// Why they stay.
    pub why: &'static str,
}

/// Why a volume is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is encrypted as a whole: what is free cannot be seen.
    BitLocker,
    /// It was not closed, or awaits `chkdsk`.
    Dirty,
    /// Its log has changes that have not been made yet.
    Log,
    /// A session of Windows sleeps, and remembers what is on the volume.
    Hibernated,
    /// A structure is damaged, or two contradict each other.
    Unsound,
    /// More of something than is held in memory.
    Limit,
}

impl Reason {
    /// One word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BitLocker => "bitlocker",
            Self::Dirty => "dirty",
            Self::Log => "log",
            Self::Hibernated => "hibernated",
            Self::Unsound => "unsound",
            Self::Limit => "limit",
        }
    }
}

/// Why nothing is said of a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is unused cannot be told without doubt.
    #[error("{text}")]
    Refused {
        /// In one word.
        reason: Reason,
        /// In full.
        text: String,
    },
    /// The volume cannot be read.
    #[error(transparent)]
    Read(#[from] read::Error),
}

impl Error {
    fn unsound(text: impl Into<String>) -> Self {
        Self::Refused { reason: Reason::Unsound, text: text.into() }
    }
}

/// What this module's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Finds what is unused on the volume that `volume` holds from its first byte to its last.
///
/// Takes as long as two checks of the volume, and reads what is compressed by LZNT1. In memory are some 24 bytes for each
/// run of clusters and each range of the answer.
///
/// # Errors
/// [`Error::Refused`] for a volume of which it cannot be told without doubt, [`Error::Read`] for one that is not NTFS, or
/// cannot be read.
pub fn unused(volume: &Arc<dyn ReadAt>, options: &Options) -> Result<Unused> {
    let opened = sound::open(volume)?;
    sound::check_awake(&opened, options)?;
    let mut scan = scan::Scan::new(volume.as_ref(), &opened);
    scan.records()?;
    scan.dropped(options)?;
    scan.finish()
}

/// Whether a session of Windows sleeps on the volume, with this volume and all others of its disk open. Nothing else is looked
/// at: a volume that is damaged in some other way is not asleep.
///
/// # Errors
/// Those of reading `hiberfil.sys`, and of a volume that cannot be opened.
pub fn sleeps(volume: &Arc<dyn ReadAt>) -> read::Result<bool> {
    let opened = read::Volume::open(volume.clone(), read::Options { raw: true })?;
    match sound::check_awake(&opened, &Options::default()) {
        Ok(()) => Ok(false),
        Err(Error::Refused { .. }) => Ok(true),
        Err(Error::Read(error)) => Err(error),
    }
}
