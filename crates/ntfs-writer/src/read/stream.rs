//! The value of an attribute: its runs, and plain reading of them.

use std::ops::Range;

use super::volume::Volume;
use super::{Error, Place, Result};
use crate::parse::{self, Attribute, Body, Run, flags};

/// Runs of one value. Each takes at least 2 bytes of a record, so a value with more of them has a thousand extension records or more.
const MAX_RUNS: usize = 1 << 20;
/// Bytes in a compression unit: Windows has 64 KiB (16 clusters of at most 4 KiB).
const MAX_UNIT: u64 = 1 << 20;
/// Longer values are not expressible in the bytes that a signed count has.
const MAX_SIZE: u64 = i64::MAX as u64;

/// The value of an attribute: a stream of a file, or metadata of its own kind.
#[derive(Clone, Debug)]
pub struct Stream {
    record: u64,
    kind: u32,
    name: Box<[u16]>,
    flags: u16,
    size: u64,
    initialized: u64,
    pub(super) form: Form,
}

#[derive(Clone, Debug)]
pub(super) enum Form {
    /// In the file record.
    Resident(Box<[u8]>),
    /// In clusters.
    Clusters {
        /// Ascending and without gaps from cluster 0.
        runs: Box<[Run]>,
        /// Clusters in a compression unit, for compressed values.
        unit: Option<u64>,
    },
}

impl Stream {
    /// Joins the attributes that hold one value: one, or several when its runs do not fit a record.
    pub(super) fn new(volume: &Volume, record: u64, mut pieces: Vec<Attribute<'_>>) -> Result<Self> {
        pieces.sort_by_key(|piece| piece.non_resident().map_or(0, |body| body.lowest_vcn));
        let first = pieces.first().expect("at least one piece");
        let name = first.name.to_units().into_boxed_slice();
        let place = || Place::attribute(record, first.kind, &name);
        let base = |size, initialized, form| Self {
            record,
            kind: first.kind,
            name: name.clone(),
            flags: first.flags,
            size,
            initialized,
            form,
        };
        let body = match &first.body {
            Body::Resident { .. } if pieces.len() > 1 => {
                return Err(Error::malformed(place(), format!("{} attributes of one name", pieces.len())));
            }
            Body::Resident { value, .. } => {
                let len = value.len() as u64;
                return Ok(base(len, len, Form::Resident((*value).into())));
            }
            Body::NonResident(body) => body,
        };
        if body.size > MAX_SIZE || body.initialized > body.size {
            let reason = format!(
                "size {:#x} and initialized size {:#x}, expected at most 2^63 - 1 and the latter no larger",
                body.size, body.initialized
            );
            return Err(Error::malformed(place(), reason));
        }
        let unit = match first.flags & flags::COMPRESSION {
            _ if body.compression_unit == 0 => None,
            0 => None,
            1 => Some(unit_of(body.compression_unit, volume, &place)?),
            method => {
                return Err(Error::unsupported(place(), format!("compression method {method} is not known")));
            }
        };
        let mut runs: Vec<Run> = Vec::new();
        let mut next = 0;
        for piece in &pieces {
            let Some(body) = piece.non_resident() else {
                return Err(Error::malformed(place(), "one part of it is resident, another is not"));
            };
            if body.lowest_vcn != next {
                let reason = format!("a part maps clusters from {:#x}, expected {next:#x}", body.lowest_vcn);
                return Err(Error::malformed(place(), reason));
            }
            let mut decoded = parse::runs(body.pairs, next, volume.boot.clusters);
            for run in &mut decoded {
                let run = run.map_err(Error::fault(place()))?;
                if runs.len() == MAX_RUNS {
                    return Err(Error::limit(place(), "runs", MAX_RUNS as u64 + 1, MAX_RUNS as u64));
                }
                runs.push(run);
            }
            next = decoded.next_vcn();
        }
        Ok(base(body.size, body.initialized, Form::Clusters { runs: runs.into(), unit }))
    }

    /// A value of nothing.
    pub(super) fn empty() -> Self {
        Self {
            record: 0,
            kind: parse::kind::DATA,
            name: Box::default(),
            flags: 0,
            size: 0,
            initialized: 0,
            form: Form::Resident(Box::default()),
        }
    }

    /// Its name in UTF-16; empty for the unnamed stream.
    pub fn name(&self) -> &[u16] {
        &self.name
    }

    /// The length of the value in bytes, decompressed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes from the beginning that were written; what follows reads as zero.
    pub(crate) fn initialized(&self) -> u64 {
        self.initialized
    }

    /// Clusters in a compression unit of an LZNT1 stream.
    pub(crate) fn unit(&self) -> Option<u64> {
        match self.form {
            Form::Clusters { unit, .. } => unit,
            Form::Resident(_) => None,
        }
    }

    /// Whether it is encrypted by EFS.
    pub fn is_encrypted(&self) -> bool {
        self.flags & flags::ENCRYPTED != 0
    }

    /// Whether it lies in the file record.
    pub fn is_resident(&self) -> bool {
        matches!(self.form, Form::Resident(_))
    }

    /// Whether it is compressed with LZNT1. (It may hold units that are not.)
    pub fn is_compressed(&self) -> bool {
        matches!(self.form, Form::Clusters { unit: Some(_), .. })
    }

    pub(super) fn place(&self) -> Place {
        Place::attribute(self.record, self.kind, &self.name)
    }

    /// The flags of its attribute ([`parse::flags`](crate::parse::flags)).
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// The clusters that it lies in, in the order of its bytes; none for a resident stream.
    pub fn runs(&self) -> &[Run] {
        match &self.form {
            Form::Resident(_) => &[],
            Form::Clusters { runs, .. } => runs,
        }
    }

    /// Where the first byte lies on the volume that lies in a cluster of its own; `None` for a resident stream, and one that
    /// has no clusters.
    pub fn first_byte(&self, volume: &Volume) -> Option<u64> {
        let Form::Clusters { runs, .. } = &self.form else { return None };
        runs.iter().find_map(|run| run.lcn).map(|lcn| lcn * u64::from(volume.boot().cluster_size))
    }

    /// Where byte `at` lies on the volume.
    pub(crate) fn place_on_volume(&self, volume: &Volume, at: u64) -> Option<u64> {
        let cluster = u64::from(volume.boot.cluster_size);
        let run = self.run(at / cluster)?;
        Some((run.lcn? + at / cluster - run.vcn) * cluster + at % cluster)
    }

    /// The run that maps a cluster of the value.
    pub(crate) fn run(&self, vcn: u64) -> Option<Run> {
        let Form::Clusters { runs, .. } = &self.form else { return None };
        let after = runs.partition_point(|run| run.vcn <= vcn);
        let run = runs[..after].last()?;
        (vcn - run.vcn < run.clusters).then_some(*run)
    }

    pub(super) fn check_range(&self, offset: u64, len: usize, size: u64) -> Result<Range<u64>> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= size => Ok(offset..end),
            end => Err(Error::OutOfRange {
                place: Box::new(self.place()),
                start: offset,
                end: end.unwrap_or(u64::MAX),
                size,
            }),
        }
    }

    /// Fills `buf` from byte `offset`, for values that are not compressed.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] behind the end; [`Error::Unsupported`] for values that are compressed or encrypted.
    pub fn read(&self, volume: &Volume, offset: u64, buf: &mut [u8]) -> Result<()> {
        let range = self.check_range(offset, buf.len(), self.size)?;
        if self.is_encrypted() {
            let feature = "encrypted by EFS; only its owner's keys, which are not on the volume, can read it";
            return Err(Error::unsupported(self.place(), feature));
        }
        match &self.form {
            Form::Resident(value) => {
                // The range was checked against the length of the value.
                buf.copy_from_slice(&value[range.start as usize..range.end as usize]);
                return Ok(());
            }
            Form::Clusters { unit: Some(_), .. } => {
                return Err(Error::unsupported(self.place(), "this attribute must not be compressed"));
            }
            Form::Clusters { .. } => {}
        }
        // Beyond what was written there may be anything on the disk.
        let written = self.initialized.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (written, rest) = buf.split_at_mut(written);
        rest.fill(0);
        self.read_clusters(volume, offset, written)
    }

    /// Fills `buf` with what the clusters hold from byte `offset`; holes are zero.
    pub(crate) fn read_clusters(&self, volume: &Volume, mut offset: u64, mut buf: &mut [u8]) -> Result<()> {
        let cluster = u64::from(volume.boot.cluster_size);
        while !buf.is_empty() {
            let Some(run) = self.run(offset / cluster) else {
                let reason = format!(
                    "byte {offset:#x} of {:#x} lies in no run: the mapping pairs end before",
                    self.size
                );
                return Err(Error::malformed(self.place(), reason));
            };
            // Runs end within 2^54 clusters and sizes below 2^63, so no product here overflows where it matters.
            let within = offset - run.vcn * cluster;
            let left = run.clusters.saturating_mul(cluster) - within;
            let len = left.min(buf.len() as u64) as usize;
            let (part, rest) = buf.split_at_mut(len);
            match run.lcn {
                None => part.fill(0),
                Some(lcn) => {
                    let at = lcn * cluster + within;
                    volume
                        .read_at(part, at)
                        .map_err(|source| Error::Io { place: Box::new(self.place().at(at)), source })?;
                }
            }
            buf = rest;
            offset += len as u64;
        }
        Ok(())
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Error::Limit`] when it is longer than `limit`.
    pub(crate) fn read_all(&self, volume: &Volume, limit: u64) -> Result<Vec<u8>> {
        if self.size > limit {
            return Err(Error::limit(self.place(), "length", self.size, limit));
        }
        let mut bytes = vec![0; self.size as usize];
        self.read(volume, 0, &mut bytes)?;
        Ok(bytes)
    }
}

/// Clusters in a compression unit.
fn unit_of(log: u8, volume: &Volume, place: &dyn Fn() -> Place) -> Result<u64> {
    let clusters = 1u64.checked_shl(log.into());
    let bytes = clusters.and_then(|n| n.checked_mul(u64::from(volume.boot.cluster_size)));
    match (clusters, bytes) {
        (Some(clusters), Some(bytes)) if bytes <= MAX_UNIT => Ok(clusters),
        _ => {
            let reason =
                format!("compression unit of 2^{log} clusters, expected at most {MAX_UNIT:#x} bytes");
            Err(Error::malformed(place(), reason))
        }
    }
}
