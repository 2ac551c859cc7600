//! Free clusters: those that `$Bitmap` says are free, held against the runs of all records.

use std::ops::Range;

use super::{Error, Result};
use crate::read::{self, Volume};

/// Calls `found` with the clusters of each free range, ascending. `claims` are the clusters of all runs, sorted.
///
/// # Errors
/// When a run has a cluster that is free, or the bitmap ends early.
pub(super) fn free(
    volume: &Volume,
    claims: &[Range<u64>],
    mut found: impl FnMut(Range<u64>) -> Result<()>,
) -> Result<()> {
    let mut claims = claims.iter();
    let mut claim = claims.next();
    let walked = volume.free_clusters(|free| {
        while claim.is_some_and(|claim| claim.end <= free.start) {
            claim = claims.next();
        }
        if let Some(claim) = claim.filter(|claim| claim.start < free.end) {
            let at = claim.start.max(free.start);
            return Err(Error::unsound(format!("cluster {at:#x} is free by $Bitmap, and in use")));
        }
        found(free)
    });
    walked.map_err(|error| match error {
        Error::Read(error @ read::Error::Malformed { .. }) => Error::unsound(error.to_string()),
        other => other,
    })
}
