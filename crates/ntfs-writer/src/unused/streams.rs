//! Values in clusters: what lies behind their ends.

use super::Result;
use super::scan::Scan;
use crate::layout::number::{BAD_CLUSTERS, FIRST_USER};
use crate::parse::{flags, kind, u16_at};
use crate::read::Stream;

/// Bytes of plain text in a chunk of LZNT1.
const CHUNK: u64 = 4096;

impl Scan<'_> {
    /// What is unused of a value of the file `number`.
    pub(super) fn value(&mut self, number: u64, kind: u32, stream: &Stream) -> Result<()> {
        // The clusters of `$BadClus` are bad, and its sizes are the volume's.
        if stream.is_resident() || number == BAD_CLUSTERS {
            return Ok(());
        }
        if stream.is_encrypted() {
            self.kept.encrypted += 1;
            return Ok(());
        }
        match (stream.flags() & flags::COMPRESSION, stream.unit()) {
            (0, _) => {}
            (_, Some(unit)) => return self.compressed(stream, unit),
            (_, None) => {
                self.kept.compressed += 1;
                return Ok(());
            }
        }
        // Readers of the file system's own values may not care for what was initialized.
        let from = match kind {
            kind::DATA if number >= FIRST_USER => stream.initialized().min(stream.size()),
            _ => stream.size(),
        };
        self.tail(stream, from, u64::MAX)
    }

    /// The clusters of a value from byte `from` to byte `to` of it.
    pub(super) fn tail(&mut self, stream: &Stream, from: u64, to: u64) -> Result<()> {
        let cluster = self.cluster();
        let runs = stream.runs();
        let first = runs.partition_point(|run| (run.vcn + run.clusters).saturating_mul(cluster) <= from);
        for run in &runs[first..] {
            // Runs end within 2^42 clusters of at most 2 MiB.
            let (start, end) = (run.vcn * cluster, (run.vcn + run.clusters) * cluster);
            if start.max(from) >= to {
                break;
            }
            let Some(lcn) = run.lcn else { continue };
            let (from, to) = (from.max(start), to.min(end));
            let at = lcn * cluster + (from - start);
            self.push(at..at + (to - from))?;
            self.totals.tails += to - from;
        }
        Ok(())
    }

    /// Units of LZNT1: one with all its clusters is stored as it is, one with some is compressed, and followed by what
    /// was left over in the last of them.
    fn compressed(&mut self, stream: &Stream, unit: u64) -> Result<()> {
        let cluster = self.cluster();
        let len = unit * cluster;
        let mut next = 0;
        let mut packed = Vec::new();
        for run in stream.runs().iter().filter(|run| run.lcn.is_some()) {
            let last = (run.vcn + run.clusters - 1) / unit;
            for number in (run.vcn / unit).max(next)..=last {
                next = number + 1;
                let (start, end) = (number * len, (number + 1) * len);
                if start >= stream.size() {
                    self.tail(stream, start, end)?;
                    continue;
                }
                match stored(stream, number * unit, unit) {
                    Some(clusters) if clusters == unit => self.tail(stream, stream.size().max(start), end)?,
                    Some(clusters) => {
                        // A unit is at most 1 MiB.
                        packed.resize((clusters * cluster) as usize, 0);
                        stream.read_clusters(self.volume, start, &mut packed)?;
                        match packed_len(&packed, len) {
                            Some(used) => self.tail(stream, start + used as u64, end)?,
                            None => self.kept.compressed += 1,
                        }
                    }
                    None => self.kept.compressed += 1,
                }
            }
        }
        Ok(())
    }
}

/// How many clusters a unit has that begins at cluster `first`; `None` when they do not lie at its beginning.
fn stored(stream: &Stream, first: u64, unit: u64) -> Option<u64> {
    let mut count = 0;
    let mut hole = false;
    let mut at = 0;
    while at < unit {
        let run = stream.run(first + at);
        let len = run.map_or(unit - at, |run| (run.vcn + run.clusters - (first + at)).min(unit - at));
        match run.is_some_and(|run| run.lcn.is_some()) {
            true if hole => return None,
            true => count += len,
            false => hole = true,
        }
        at += len;
    }
    Some(count)
}

/// How many of `bytes` the chunks of a unit of `plain` bytes take, the mark at their end included; `None` when a chunk
/// does not lie in them.
fn packed_len(bytes: &[u8], plain: u64) -> Option<usize> {
    let mut at = 0;
    for _ in 0..plain / CHUNK {
        match u16_at(bytes, at) {
            // The unit is full, without room for a mark.
            None => return Some(bytes.len()),
            Some(0) => return Some(at + 2),
            Some(head) => at += usize::from(head & 0xFFF) + 3,
        }
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_at_their_mark_or_with_the_unit() {
        // A chunk of 1 + 4 bytes, another of 2 + 3, the mark, and remains.
        let bytes = [2, 0xB0, 1, 2, 3, 2, 0x30, 4, 5, 6, 0, 0, 9, 9, 9];
        assert_eq!(packed_len(&bytes, 65_536), Some(12));
        assert_eq!(packed_len(&bytes, 2 * 4096), Some(10), "the unit has no third chunk");
        assert_eq!(packed_len(&bytes[..10], 65_536), Some(10), "no room for a mark");
        assert_eq!(packed_len(&bytes[..11], 65_536), Some(11));
        assert_eq!(packed_len(&bytes[..9], 65_536), None, "cut off");
        assert_eq!(packed_len(&[0, 0, 7], 65_536), Some(2));
    }
}
