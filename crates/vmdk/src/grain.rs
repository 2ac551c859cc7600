//! Compressed grains.
//!
//! A grain of a streamOptimized file is a zlib stream of its own behind a 12-byte head (LBA and length), padded to whole
//! sectors. Grains know nothing of each other, so they are made in parallel; a unit's encoded form is the records of
//! its grains, one after another, which the committer copies to the file as they are.

use std::io;

use codec::{Deflater, Tokens};
use disk::{UnitEncoder, is_zero};

use crate::Level;
use crate::layout::SECTOR;
use crate::options::GRAIN_SIZE;

/// Length of the head of a record.
pub(crate) const HEAD_LEN: usize = 12;

/// The length in bytes of a record with `size` bytes of compressed data.
pub(crate) fn record_len(size: u32) -> u64 {
    (HEAD_LEN as u64 + u64::from(size)).next_multiple_of(SECTOR)
}

/// Makes records. One per worker, as it has scratch memory of some hundred KiB.
pub(crate) struct GrainEncoder {
    deflater: Deflater,
    /// Size of the disk in bytes.
    size: u64,
}

impl GrainEncoder {
    pub(crate) fn new(level: Level, size: u64) -> Self {
        Self { deflater: Deflater::new(level), size }
    }

    /// Appends the record of the grain that is at `base` in its unit.
    fn append(&mut self, lba: u64, grain: &[u8], tokens: &Tokens, base: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&lba.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let data = out.len();
        self.deflater.zlib(grain, tokens, base, out);
        let size = (out.len() - data) as u32;
        out[data - 4..data].copy_from_slice(&size.to_le_bytes());
        out.resize(start + record_len(size) as usize, 0);
    }
}

impl UnitEncoder for GrainEncoder {
    fn encode(&mut self, offset: u64, data: &[u8], tokens: &Tokens, out: &mut Vec<u8>) -> io::Result<()> {
        let whole = (data.len() as u64).is_multiple_of(GRAIN_SIZE);
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= self.size);
        if !offset.is_multiple_of(GRAIN_SIZE) || !(whole || end == Some(self.size)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "unit is not made of whole grains"));
        }
        for (index, grain) in data.chunks(GRAIN_SIZE as usize).enumerate() {
            if is_zero(grain) {
                continue;
            }
            let base = index * GRAIN_SIZE as usize;
            let lba = (offset + base as u64) / SECTOR;
            if grain.len() as u64 == GRAIN_SIZE {
                self.append(lba, grain, tokens, base, out);
            } else {
                // The last grain of a disk that ends inside one is stored whole all the same: VirtualBox wants it so.
                let mut whole = grain.to_vec();
                whole.resize(GRAIN_SIZE as usize, 0);
                self.append(lba, &whole, &Tokens::new(), 0, out);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x1234_5678_9ABC_DEFFu64;
        let step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    fn inflate(record: &[u8]) -> Vec<u8> {
        let size = u32::from_le_bytes(record[8..12].try_into().unwrap()) as usize;
        let mut out = Vec::with_capacity(GRAIN_SIZE as usize + 1);
        let mut inflate = flate2::Decompress::new(true);
        let status = inflate
            .decompress_vec(&record[12..12 + size], &mut out, flate2::FlushDecompress::Finish)
            .unwrap();
        assert_eq!((status, inflate.total_in()), (flate2::Status::StreamEnd, size as u64));
        assert!(record[12 + size..].iter().all(|byte| *byte == 0));
        out
    }

    #[test]
    fn every_level_comes_back_and_state_does_not_leak() {
        let text: Vec<u8> = b"grain and chaff ".iter().copied().cycle().take(GRAIN_SIZE as usize).collect();
        let grains = [text.clone(), noise(GRAIN_SIZE as usize), vec![0; GRAIN_SIZE as usize], text];
        let unit = grains.concat();
        for level in [Level::Fast, Level::Default, Level::Best] {
            let mut encoder = GrainEncoder::new(level, 1 << 30);
            let mut out = Vec::new();
            encoder.encode(4 * GRAIN_SIZE, &unit, &Tokens::new(), &mut out).unwrap();
            let mut rest = out.as_slice();
            let mut records = Vec::new();
            while !rest.is_empty() {
                let size = u32::from_le_bytes(rest[8..12].try_into().unwrap());
                let (record, after) = rest.split_at(record_len(size) as usize);
                records.push(record);
                rest = after;
            }
            assert_eq!(records.len(), 3, "a grain of zeros is left out");
            for (record, index) in records.iter().zip([0, 1, 3]) {
                assert_eq!(u64::from_le_bytes(record[..8].try_into().unwrap()), (4 + index as u64) * 128);
                assert_eq!(inflate(record), grains[index]);
                assert!(record.len() <= 66_048);
            }
            assert_eq!(records[0][8..], records[2][8..], "same grain, same bytes");
            let stored = u32::from_le_bytes(records[1][8..12].try_into().unwrap()) as usize;
            // zlib's head and checksum, and two stored blocks.
            assert_eq!(stored, 2 + 2 * 5 + GRAIN_SIZE as usize + 4);
        }
    }

    #[test]
    fn refuses_broken_units() {
        let mut encoder = GrainEncoder::new(Level::Fast, 1 << 30);
        assert!(encoder.encode(512, &[0; GRAIN_SIZE as usize], &Tokens::new(), &mut Vec::new()).is_err());
        assert!(encoder.encode(0, &[0; 512], &Tokens::new(), &mut Vec::new()).is_err());
    }
}
