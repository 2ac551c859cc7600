//! Free clusters: those that `$Bitmap` says are free, held against the runs of all records.

use std::ops::Range;

use super::{Error, Result};
use crate::layout::number::BITMAP;
use crate::read::Volume;

/// Bytes of `$Bitmap` that are read at once.
const CHUNK: u64 = 64 << 10;

/// Calls `found` with the clusters of each free range, ascending. `claims` are the clusters of all runs, sorted.
///
/// # Errors
/// When a run has a cluster that is free, or the bitmap ends early.
pub(super) fn free(
    volume: &Volume,
    claims: &[Range<u64>],
    mut found: impl FnMut(Range<u64>) -> Result<()>,
) -> Result<()> {
    let clusters = volume.boot().clusters;
    let mut reader = volume.file(BITMAP)?.open(volume, &[])?;
    if reader.size() < clusters.div_ceil(8) {
        let text = format!("$Bitmap has {} bytes for {clusters} clusters", reader.size());
        return Err(Error::unsound(text));
    }
    let mut claims = claims.iter();
    let mut claim = claims.next();
    let mut emit = |free: Range<u64>| {
        while claim.is_some_and(|claim| claim.end <= free.start) {
            claim = claims.next();
        }
        if let Some(claim) = claim.filter(|claim| claim.start < free.end) {
            let at = claim.start.max(free.start);
            return Err(Error::unsound(format!("cluster {at:#x} is free by $Bitmap, and in use")));
        }
        found(free)
    };
    let mut open = None;
    let mut bits = vec![0; CHUNK as usize];
    let mut at = 0;
    while at < clusters {
        let count = (clusters - at).min(8 * CHUNK);
        let bytes = &mut bits[..count.div_ceil(8) as usize];
        reader.read_at(at / 8, bytes)?;
        for (i, &byte) in bytes.iter().enumerate() {
            let first = at + 8 * i as u64;
            match (byte, open) {
                (0xFF, None) => continue,
                (0, Some(_)) if first + 8 <= clusters => continue,
                _ => {}
            }
            for bit in 0..8 {
                let cluster = first + bit;
                let is_free = cluster < clusters && byte >> bit & 1 == 0;
                match open {
                    None if is_free => open = Some(cluster),
                    Some(start) if !is_free => {
                        emit(start..cluster)?;
                        open = None;
                    }
                    _ => {}
                }
            }
        }
        at += count;
    }
    match open {
        Some(start) => emit(start..clusters),
        None => Ok(()),
    }
}
