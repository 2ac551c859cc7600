//! What compression makes of a disk, from a few of its pieces.
//!
//! Pieces are those of compressed VMDK files: 64 KiB each, compressed alone, left out when they are zero. They are taken at
//! even distances over what is stored, so the same disk gives the same numbers.

use codec::{Deflater, Effort};
use picture::Sample;

use super::stored::Stored;
use crate::{DiskFile, Error, Result};

/// Bytes in a piece.
const GRAIN: u64 = 64 << 10;
/// Pieces that are compressed.
const PIECES: u64 = 512;

/// `None` when nothing is stored.
pub(super) fn of(disk: &DiskFile, disk_size: u64, stored: &Stored) -> Result<Option<Sample>> {
    let grains = stored.total().div_ceil(GRAIN);
    let pieces = grains.min(PIECES);
    if pieces == 0 {
        return Ok(None);
    }
    let mut deflater = Deflater::new(Effort::Default);
    let (mut plain, mut packed) = (0u64, 0u64);
    let mut bytes = vec![0; GRAIN as usize];
    let mut out = Vec::new();
    for piece in 0..pieces {
        // The middle of each of so many equal shares.
        let index =
            (u128::from(stored.total()) * (2 * u128::from(piece) + 1) / (2 * u128::from(pieces))) as u64;
        let Some(at) = stored.nth(index) else { continue };
        let start = at / GRAIN * GRAIN;
        let len = GRAIN.min(disk_size.saturating_sub(start)) as usize;
        let bytes = &mut bytes[..len];
        disk.disk()
            .read_exact_at(bytes, start)
            .map_err(|source| Error::Read { path: disk.path().to_owned(), source })?;
        plain += len as u64;
        if bytes.iter().any(|&byte| byte != 0) {
            out.clear();
            deflater.raw(bytes, &mut out);
            packed += out.len() as u64;
        }
    }
    let estimate = (u128::from(stored.total()) * u128::from(packed) / u128::from(plain.max(1))) as u64;
    let method = format!(
        "{pieces} of {grains} pieces of 64 KiB, evenly spread over what is stored, compressed with DEFLATE as in a compressed VMDK"
    );
    Ok(Some(Sample { method, plain, packed, estimate }))
}
