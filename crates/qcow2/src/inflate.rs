//! What compressed clusters hold.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress};
use ruzstd::decoding::StreamingDecoder;

/// The largest window that a Zstandard frame may ask for: what every decoder has to grant. Clusters have 2 MiB at most.
const MAX_WINDOW: u64 = 8 << 20;
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// Inflates raw DEFLATE until `out` is full. What follows the stream in `data` are other clusters.
///
/// Returns how many bytes there were, or why it does not inflate.
pub(crate) fn deflate(inflater: &mut Decompress, data: &[u8], out: &mut [u8]) -> Result<usize, String> {
    inflater.reset(false);
    match inflater.decompress(data, out, FlushDecompress::Finish) {
        Ok(_) => Ok(inflater.total_out() as usize),
        Err(error) => Err(error.to_string()),
    }
}

/// The same for Zstandard. There may be several frames.
pub(crate) fn zstd(data: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let (mut rest, mut done) = (data, 0);
    while done < out.len() && rest.starts_with(&ZSTD_MAGIC) {
        let window = window(rest).ok_or("frame header is cut off")?;
        if window > MAX_WINDOW {
            return Err(format!("window of {window} bytes exceeds {MAX_WINDOW}"));
        }
        let mut decoder = StreamingDecoder::new(&mut rest).map_err(|error| error.to_string())?;
        loop {
            match decoder.read(&mut out[done..]) {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
    Ok(done)
}

/// The window that the frame at the start of `frame` asks for (RFC 8878, 3.1.1.1).
fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1u64 << (10 + u32::from(window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // A single segment: the window is the content, whose length follows the dictionary's number.
    let skip = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
    let len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(frame.get(skip..skip + len)?);
    let content = u64::from_le_bytes(bytes);
    Some(if len == 2 { content + 256 } else { content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let frame = |bytes: &[u8]| [&ZSTD_MAGIC[..], bytes].concat();
        assert_eq!(window(&frame(&[0x00, 0x00])), Some(1 << 10));
        assert_eq!(window(&frame(&[0x04, 0x58])), Some(2 << 20));
        assert_eq!(window(&frame(&[0x00, 0xFF])), Some((1 << 41) + 7 * (1 << 38)));
        assert_eq!(window(&frame(&[0x20, 0x07])), Some(7));
        assert_eq!(window(&frame(&[0x61, 0x99, 0x00, 0x01])), Some(512));
        assert_eq!(window(&frame(&[0xE0, 0, 0, 0, 0, 0, 0, 0])), None);
        assert_eq!(window(&frame(&[])), None);
    }

    #[test]
    fn what_is_no_frame_ends_it() {
        assert_eq!(zstd(b"nothing", &mut [0; 4]), Ok(0));
        let error = zstd(&[&ZSTD_MAGIC[..], &[0x00, 0xF8]].concat(), &mut [0; 4]).unwrap_err();
        assert!(error.contains("exceeds 8388608"), "{error}");
    }
}
