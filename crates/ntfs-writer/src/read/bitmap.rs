//! `$Bitmap`: which clusters are in use.

use std::ops::Range;

use super::stream::Stream;
use super::volume::Volume;
use super::{Error, Place, Result};
use crate::layout::number::BITMAP;
use crate::parse::kind;

/// Bytes of it that are read at once.
const WINDOW: u64 = 64 << 10;

/// How much of a volume is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Clusters that `$Bitmap` marks.
    pub used: u64,
    /// All clusters.
    pub clusters: u64,
}

impl Volume {
    /// Counts the clusters in use.
    ///
    /// # Errors
    /// [`Error::Malformed`] also for a volume of which not all is there.
    pub fn usage(&self) -> Result<Usage> {
        let boot = self.boot();
        if boot.len() > self.available() {
            let reason =
                format!("the volume has {:#x} bytes, of which {:#x} are there", boot.len(), self.available());
            return Err(Error::malformed(Place::offset(0x28), reason));
        }
        let mut used = boot.clusters;
        self.free_clusters(|free| {
            used -= free.end - free.start;
            Ok::<_, Error>(())
        })?;
        Ok(Usage { used, clusters: boot.clusters })
    }

    /// Calls `found` with each range of clusters that `$Bitmap` says are free, ascending. What it returns as an error ends
    /// the walk.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a bitmap that is missing, or shorter than the volume.
    pub fn free_clusters<E: From<Error>>(
        &self,
        mut found: impl FnMut(Range<u64>) -> Result<(), E>,
    ) -> Result<(), E> {
        let clusters = self.boot().clusters;
        let bitmap = self.bitmap(clusters)?;
        let mut open: Option<u64> = None;
        let mut bits = vec![0; WINDOW as usize];
        let mut at = 0;
        while at < clusters {
            let count = (clusters - at).min(8 * WINDOW);
            let bytes = &mut bits[..count.div_ceil(8) as usize];
            bitmap.read(self, at / 8, bytes)?;
            for (index, &byte) in (0..).zip(bytes.iter()) {
                let first = at + 8 * index;
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
                            found(start..cluster)?;
                            open = None;
                        }
                        _ => {}
                    }
                }
            }
            at += count;
        }
        open.map_or(Ok(()), |start| found(start..clusters))
    }

    fn bitmap(&self, clusters: u64) -> Result<Stream> {
        let place = || Place::attribute(BITMAP, kind::DATA, &[]);
        let bitmap = self.file(BITMAP)?.raw_stream(self, &[])?;
        let bitmap = bitmap.ok_or_else(|| Error::malformed(place(), "missing"))?;
        if bitmap.size() < clusters.div_ceil(8) {
            let reason = format!("{} bytes for {clusters} clusters", bitmap.size());
            return Err(Error::malformed(place(), reason));
        }
        Ok(bitmap)
    }
}
