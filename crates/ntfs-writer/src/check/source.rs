//! Where the bytes come from: values in clusters, and the records of `$MFT`.

use std::io;

use disk::ReadAt;

use crate::parse::Run;

/// A value in clusters: runs that follow each other from cluster 0 on.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    pub(super) runs: Vec<Run>,
    pub(super) size: u64,
    pub(super) initialized: u64,
    pub(super) cluster: u64,
}

impl Stream {
    /// The run that holds byte `offset` of the value.
    fn run_at(&self, offset: u64) -> Option<&Run> {
        let vcn = offset / self.cluster.max(1);
        let next = self.runs.partition_point(|run| run.vcn <= vcn);
        let run = self.runs.get(next.checked_sub(1)?)?;
        (vcn - run.vcn < run.clusters).then_some(run)
    }

    /// Where byte `offset` of the value lies on the volume.
    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        let run = self.run_at(offset)?;
        Some(run.lcn? * self.cluster + (offset - run.vcn * self.cluster))
    }

    /// Fills `buf` with what lies in the clusters from byte `offset` of the value on, whatever the sizes say; holes
    /// and what is not mapped read as zero.
    pub(super) fn read_raw(
        &self,
        volume: &dyn ReadAt,
        mut offset: u64,
        mut buf: &mut [u8],
    ) -> io::Result<()> {
        while !buf.is_empty() {
            let run = self.run_at(offset);
            let left = match run {
                Some(run) => (run.vcn + run.clusters) * self.cluster - offset,
                None => buf.len() as u64,
            };
            let len = left.min(buf.len() as u64) as usize;
            let (now, rest) = buf.split_at_mut(len);
            match run.and_then(|run| Some(run.lcn? * self.cluster + (offset - run.vcn * self.cluster))) {
                Some(at) => volume.read_exact_at(now, at)?,
                None => now.fill(0),
            }
            offset += len as u64;
            buf = rest;
        }
        Ok(())
    }

    /// Fills `buf` with the value from byte `offset` on; zero past what was initialized.
    pub(super) fn read(&self, volume: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let written = self.initialized.min(self.size).saturating_sub(offset).min(buf.len() as u64) as usize;
        let (front, back) = buf.split_at_mut(written);
        back.fill(0);
        self.read_raw(volume, offset, front)
    }

    /// The whole value, or `None` when it is longer than `limit` bytes.
    pub(super) fn read_all(&self, volume: &dyn ReadAt, limit: u64) -> io::Result<Option<Vec<u8>>> {
        if self.size > limit {
            return Ok(None);
        }
        let mut bytes = vec![0; self.size as usize];
        self.read(volume, 0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Clusters in runs that are not holes.
    pub(super) fn mapped_clusters(&self) -> u64 {
        self.runs.iter().filter(|run| run.lcn.is_some()).map(|run| run.clusters).sum()
    }

    /// Clusters in all runs.
    pub(super) fn clusters(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.vcn + run.clusters)
    }
}

/// The value of an attribute, wherever it is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// In a record, and where on the volume.
    Resident(Vec<u8>, Option<u64>),
    Clusters(Stream),
}

impl Value {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Resident(bytes, _) => bytes.len() as u64,
            Self::Clusters(stream) => stream.size,
        }
    }

    pub(super) fn place(&self, offset: u64) -> Option<u64> {
        match self {
            Self::Resident(_, place) => place.map(|place| place.saturating_add(offset)),
            Self::Clusters(stream) => stream.place(offset),
        }
    }

    /// The whole value, or `None` when it is longer than `limit` bytes.
    pub(super) fn read_all(&self, volume: &dyn ReadAt, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Resident(bytes, _) => Ok(Some(bytes.clone())),
            Self::Clusters(stream) => stream.read_all(volume, limit),
        }
    }

    /// Fills `buf` from byte `offset` on; zero past the end.
    pub(super) fn read(&self, volume: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Resident(bytes, _) => {
                let from = bytes.get(offset.min(bytes.len() as u64) as usize..).unwrap_or_default();
                let len = from.len().min(buf.len());
                buf[..len].copy_from_slice(&from[..len]);
                buf[len..].fill(0);
                Ok(())
            }
            Self::Clusters(stream) => stream.read(volume, offset, buf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_go_through_runs_holes_and_ends() {
        let volume: Vec<u8> = (0..64).collect();
        let run = |vcn, lcn, clusters| Run { vcn, lcn, clusters };
        let stream = Stream {
            runs: vec![run(0, Some(3), 2), run(2, None, 1), run(3, Some(0), 1)],
            size: 14,
            initialized: 13,
            cluster: 4,
        };
        let mut buf = [0xEE; 8];
        stream.read(&volume, 6, &mut buf).unwrap();
        assert_eq!(buf, [18, 19, 0, 0, 0, 0, 0, 0]);
        stream.read_raw(&volume, 10, &mut buf).unwrap();
        assert_eq!(buf, [0, 0, 0, 1, 2, 3, 0, 0]);
        assert_eq!((stream.place(5), stream.place(9), stream.place(16)), (Some(17), None, None));
        assert_eq!((stream.clusters(), stream.mapped_clusters()), (4, 3));
        assert_eq!(stream.read_all(&volume, 13).unwrap(), None);
        assert_eq!(stream.read_all(&volume, 14).unwrap().unwrap()[11..], [0, 0, 0]);
    }
}
