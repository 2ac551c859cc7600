//! Numbers of the records that every volume has: the file system's own files.

use std::ops::RangeInclusive;

pub(crate) const MFT: u64 = 0;
pub(crate) const MIRROR: u64 = 1;
pub(crate) const LOG: u64 = 2;
pub(crate) const VOLUME: u64 = 3;
pub(crate) const ATTR_DEF: u64 = 4;
pub(crate) const ROOT: u64 = 5;
pub(crate) const BITMAP: u64 = 6;
pub(crate) const BOOT: u64 = 7;
pub(crate) const BAD_CLUSTERS: u64 = 8;
pub(crate) const SECURE: u64 = 9;
pub(crate) const UPCASE: u64 = 10;
pub(crate) const EXTEND: u64 = 11;
/// In use, and without a name.
pub(crate) const NAMELESS: RangeInclusive<u64> = 12..=15;
/// Records from here on are anybody's.
pub(crate) const FIRST_USER: u64 = 16;
