//! A file's content, along the chain of its clusters.

use disk::At;

use super::{FileStart, Table, Volume, malformed};
use crate::{Error, Result};

/// A file that is being read. Reading on is fast, going back begins anew.
#[derive(Debug)]
pub struct File<'v> {
    volume: &'v Volume,
    table: Table<'v>,
    start: FileStart,
    /// The number of `cluster` in the file.
    at: u64,
    cluster: u32,
}

impl<'v> File<'v> {
    pub(super) fn new(volume: &'v Volume, start: FileStart) -> Self {
        Self { volume, table: Table::new(volume), start, at: 0, cluster: start.cluster }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        u64::from(self.start.size)
    }

    /// Fills `buf` from byte `offset`.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the table ends before the file does, [`Error::Io`] also past the file's end.
    pub fn read_at(&mut self, mut offset: u64, mut buf: &mut [u8]) -> Result<()> {
        let what = At::new("directory entry", self.start.entry);
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(Error::Io { at: what, source: std::io::ErrorKind::UnexpectedEof.into() });
        }
        let cluster_size = u64::from(self.volume.cluster_size);
        while !buf.is_empty() {
            self.seek(offset / cluster_size)?;
            let inside = offset % cluster_size;
            let start = self.volume.region(self.cluster).start + inside;
            let mut len = cluster_size - inside;
            // Clusters that follow each other on the volume are read together.
            while len < buf.len() as u64 {
                let before = self.cluster;
                self.seek(self.at + 1)?;
                if self.cluster != before + 1 {
                    break;
                }
                len += cluster_size;
            }
            let (now, rest) = buf.split_at_mut(len.min(buf.len() as u64) as usize);
            self.volume.read(now, start, "file")?;
            offset += now.len() as u64;
            buf = rest;
        }
        Ok(())
    }

    /// Goes to a cluster of the file.
    fn seek(&mut self, number: u64) -> Result<()> {
        if number < self.at {
            (self.at, self.cluster) = (0, self.start.cluster);
        }
        while self.at < number {
            let Some(next) = self.table.next(self.cluster)? else {
                let (clusters, size) = (self.at + 1, self.start.size);
                let reason = format!("{clusters} clusters, expected more for {size} bytes");
                return malformed("directory entry", self.start.entry, reason);
            };
            self.at += 1;
            self.cluster = next;
        }
        Ok(())
    }
}
