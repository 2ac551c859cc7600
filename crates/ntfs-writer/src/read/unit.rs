//! Reading streams at any position, decompressing what is compressed.

use super::stream::{Form, Stream};
use super::volume::Volume;
use super::wof::Wof;
use super::{Error, Result};

/// Reads one stream. Of a compressed one it remembers the unit or chunk that it decoded last, so reading forward decodes
/// nothing twice.
#[derive(Debug)]
pub struct StreamReader<'v> {
    volume: &'v Volume,
    stream: Stream,
    wof: Option<Wof>,
    /// Which unit `plain` is.
    unit: Option<u64>,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl<'v> StreamReader<'v> {
    pub(super) fn new(volume: &'v Volume, stream: Stream, wof: Option<Wof>) -> Self {
        Self { volume, stream, wof, unit: None, plain: Vec::new(), packed: Vec::new() }
    }

    /// The length in bytes.
    pub fn size(&self) -> u64 {
        self.wof.as_ref().map_or(self.stream.size(), Wof::size)
    }

    /// The stream that is read; for a file that Windows compressed, the one with the compressed form.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Bytes that are decoded at once: reading from a multiple of it decodes nothing twice. `None` when nothing is
    /// decoded.
    pub fn chunk_size(&self) -> Option<u64> {
        match (&self.wof, &self.stream.form) {
            (Some(wof), _) => Some(wof.chunk_size()),
            (None, Form::Clusters { unit: Some(unit), .. }) => {
                Some(unit * u64::from(self.volume.boot().cluster_size))
            }
            _ => None,
        }
    }

    /// Fills `buf` from byte `offset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] past the end, [`Error::Unsupported`] for what is encrypted, [`Error::Malformed`] for what
    /// does not decode, [`Error::Io`].
    pub fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let Some(chunk) = self.chunk_size() else { return self.stream.read(self.volume, offset, buf) };
        self.stream.check_range(offset, buf.len(), self.size())?;
        let (mut offset, mut buf) = (offset, buf);
        while !buf.is_empty() {
            let (unit, within) = (offset / chunk, (offset % chunk) as usize);
            if self.unit != Some(unit) {
                self.unit = None;
                match &mut self.wof {
                    Some(wof) => {
                        wof.decode(self.volume, &self.stream, unit, &mut self.packed, &mut self.plain)?;
                    }
                    None => self.decompress(unit, chunk)?,
                }
                self.unit = Some(unit);
            }
            let len = (self.plain.len() - within).min(buf.len());
            let (part, rest) = buf.split_at_mut(len);
            part.copy_from_slice(&self.plain[within..within + len]);
            buf = rest;
            offset += len as u64;
        }
        Ok(())
    }

    /// Decodes one unit of LZNT1: one whose clusters are all there is stored as it is, one with none is zero, and one
    /// with some, at its beginning, is compressed.
    fn decompress(&mut self, unit: u64, len: u64) -> Result<()> {
        let cluster = u64::from(self.volume.boot().cluster_size);
        let clusters = len / cluster;
        let first = unit * clusters;
        let mut stored = 0;
        while stored < clusters {
            match self.stream.run(first + stored) {
                Some(run) if run.lcn.is_some() => {
                    stored = (run.vcn + run.clusters - first).min(clusters);
                }
                None if (first + stored) * cluster < self.stream.size() => {
                    let reason = format!("cluster {:#x} of it lies in no run", first + stored);
                    return Err(Error::malformed(self.stream.place(), reason));
                }
                _ => break,
            }
        }
        let stream = &self.stream;
        // A unit is at most 1 MiB.
        self.plain.resize(len as usize, 0);
        let start = unit * len;
        if stored == clusters {
            stream.read_clusters(self.volume, start, &mut self.plain)?;
        } else {
            self.packed.resize((stored * cluster) as usize, 0);
            stream.read_clusters(self.volume, start, &mut self.packed)?;
            codec::lznt1(&self.packed, &mut self.plain).map_err(|error| {
                let place = stream.place().at(stream.place_on_volume(self.volume, start).unwrap_or_default());
                Error::malformed(place, format!("compression unit at {start:#x}: {error}"))
            })?;
        }
        let written = stream.initialized().saturating_sub(start).min(len) as usize;
        self.plain[written..].fill(0);
        Ok(())
    }
}
