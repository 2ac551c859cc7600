//! LZNT1, the compression of NTFS files ([MS-XCA] 2.5).
//!
//! A unit is a list of chunks, each with a header of two bytes: the chunk's stored length less one in the low 12 bits,
//! 3 in the next three, and in the top bit whether it is compressed. A chunk stands for 4096 bytes. In a compressed one
//! a flag byte says of the next eight items which are literals and which are matches; a match is 16 bits, and the more
//! of the chunk is decoded, the more of these bits belong to the offset.
//!
//! A header of zero, or the end of the data, ends the list; what is then missing of the unit is zero, and so is the rest
//! of a chunk that ends early. Compressed files are rare in images and their units small, so this decoder is plain:
//! nothing here is `unsafe`, and its speed is that of a byte loop.

use crate::Error;

/// Bytes that a chunk stands for.
const CHUNK: usize = 4096;
/// The shortest match; lengths are stored less this.
const MIN_MATCH: usize = 3;

/// Fills `output` with what `input` stands for, and with zeros from where it ends.
///
/// # Errors
/// [`Error::Truncated`] for a chunk that ends past `input` or in the middle of a match, [`Error::BlockType`] for a chunk header with another
/// signature than 3, [`Error::MatchOffset`] and [`Error::MatchLength`] for a match that leaves its chunk. Offsets of matches count from the start of
/// `output`.
pub fn lznt1(input: &[u8], output: &mut [u8]) -> Result<(), Error> {
    let mut at = 0;
    let mut produced = 0;
    while produced < output.len() {
        let Some(header) = input.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]])) else {
            break;
        };
        if header == 0 {
            break;
        }
        let signature = (header >> 12 & 7) as u8;
        if signature != 3 {
            return Err(Error::BlockType { at, found: signature });
        }
        let stored = usize::from(header & 0xFFF) + 1;
        at += 2;
        let data = input.get(at..at + stored).ok_or(Error::Truncated { produced })?;
        let end = output.len().min(produced + CHUNK);
        let chunk = &mut output[produced..end];
        if header & 0x8000 == 0 {
            let len = data.len().min(chunk.len());
            chunk[..len].copy_from_slice(&data[..len]);
            chunk[len..].fill(0);
        } else {
            let len = compressed_chunk(data, chunk, produced)?;
            chunk[len..].fill(0);
        }
        at += stored;
        produced = end;
    }
    output[produced..].fill(0);
    Ok(())
}

/// Returns how many bytes of `chunk` were decoded. `base` is where the chunk lies in the unit.
fn compressed_chunk(data: &[u8], chunk: &mut [u8], base: usize) -> Result<usize, Error> {
    let mut at = 0;
    let mut done = 0;
    while let Some(&flags) = data.get(at) {
        at += 1;
        for bit in 0..8 {
            if at == data.len() || done == chunk.len() {
                return Ok(done);
            }
            if flags >> bit & 1 == 0 {
                chunk[done] = data[at];
                at += 1;
                done += 1;
                continue;
            }
            let item = data.get(at..at + 2).ok_or(Error::Truncated { produced: base + done })?;
            let item = u16::from_le_bytes([item[0], item[1]]);
            at += 2;
            if done == 0 {
                return Err(Error::MatchOffset { at: base, offset: usize::from(item >> 12) + 1 });
            }
            // Bits that an offset up to `done` needs, at least 4; the others are the length's.
            let offset_bits = (usize::BITS - (done - 1).leading_zeros()).max(4);
            let length_bits = 16 - offset_bits;
            let offset = usize::from(item >> length_bits) + 1;
            let length = usize::from(item & ((1 << length_bits) - 1)) + MIN_MATCH;
            if offset > done {
                return Err(Error::MatchOffset { at: base + done, offset });
            }
            // The buffer ends before the chunk does when the caller wants less than a whole unit.
            if done + length > CHUNK {
                return Err(Error::MatchLength { at: base + done, length });
            }
            let end = chunk.len().min(done + length);
            for to in done..end {
                chunk[to] = chunk[to - offset];
            }
            done = end;
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of [MS-XCA] 3.3.
    #[test]
    fn the_example_of_the_specification() {
        let input = [
            0x38, 0xB0, 0x88, 0x46, 0x23, 0x20, 0x00, 0x20, 0x47, 0x20, 0x41, 0x00, 0x10, 0xA2, 0x47, 0x01,
            0xA0, 0x45, 0x20, 0x44, 0x00, 0x08, 0x45, 0x01, 0x50, 0x79, 0x00, 0xC0, 0x45, 0x20, 0x05, 0x24,
            0x13, 0x88, 0x05, 0xB4, 0x02, 0x4A, 0x44, 0xEF, 0x03, 0x58, 0x02, 0x8C, 0x09, 0x16, 0x01, 0x48,
            0x45, 0x00, 0xBE, 0x00, 0x9E, 0x00, 0x04, 0x01, 0x18, 0x90, 0x00,
        ];
        let expected =
            b"F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E \
            F# G F# E D E A F# F# G A A G F# E D D E F# E D D\0";
        let mut output = vec![0xAA; expected.len() + 1000];
        lznt1(&input, &mut output).unwrap();
        assert_eq!(&output[..expected.len()], expected);
        assert!(output[expected.len()..].iter().all(|&byte| byte == 0));
    }

    /// A plain compressor, so that there is something to decode: the longest match by brute force.
    fn compress(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in data.chunks(CHUNK) {
            let mut body = Vec::new();
            let mut at = 0;
            while at < chunk.len() {
                let flags_at = body.len();
                body.push(0);
                for bit in 0..8 {
                    if at == chunk.len() {
                        break;
                    }
                    let offset_bits =
                        if at == 0 { 4 } else { (usize::BITS - (at - 1).leading_zeros()).max(4) };
                    let longest = (1usize << (16 - offset_bits)) - 1 + MIN_MATCH;
                    let limit = longest.min(chunk.len() - at);
                    let length =
                        |from: usize| (0..limit).take_while(|&i| chunk[from + i] == chunk[at + i]).count();
                    let best = (at.saturating_sub(64)..at).map(|from| (length(from), from)).max();
                    match best {
                        Some((length, from)) if length >= MIN_MATCH => {
                            let item = (at - from - 1) << (16 - offset_bits) | (length - MIN_MATCH);
                            body.extend((item as u16).to_le_bytes());
                            body[flags_at] |= 1 << bit;
                            at += length;
                        }
                        _ => {
                            body.push(chunk[at]);
                            at += 1;
                        }
                    }
                }
            }
            let compressed = body.len() < chunk.len();
            let body = if compressed { &body[..] } else { chunk };
            out.extend((0x3000 | u16::from(compressed) << 15 | (body.len() - 1) as u16).to_le_bytes());
            out.extend(body);
        }
        out
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            data in prop::collection::vec(prop_oneof![4 => Just(7u8), 2 => 0u8..4, 1 => any::<u8>()], 0..20_000),
            more in 0usize..5000,
        ) {
            let packed = compress(&data);
            let mut output = vec![0xAA; data.len() + more];
            lznt1(&packed, &mut output).unwrap();
            prop_assert_eq!(&output[..data.len()], &data[..]);
            prop_assert!(output[data.len()..].iter().all(|&byte| byte == 0));
            // Less than all is the beginning of all.
            let mut part = vec![0xAA; data.len() / 2];
            lznt1(&packed, &mut part).unwrap();
            prop_assert_eq!(&part[..], &data[..data.len() / 2]);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            data in prop::collection::vec(any::<u8>(), 0..3000),
            len in 0usize..70_000,
        ) {
            let _ = lznt1(&data, &mut vec![0; len]);
            // With a good header more of it is looked at.
            let mut data = data;
            if data.len() > 2 {
                let header = 0xB000 | (data.len() - 3) as u16;
                data[..2].copy_from_slice(&header.to_le_bytes());
                let _ = lznt1(&data, &mut vec![0; len]);
            }
        }
    }

    #[test]
    fn faults_are_named() {
        let mut output = [0; 8192];
        assert_eq!(lznt1(&[0x05, 0x50, 0], &mut output), Err(Error::BlockType { at: 0, found: 5 }));
        assert_eq!(lznt1(&[0x05, 0x30, 0], &mut output), Err(Error::Truncated { produced: 0 }));
        assert_eq!(lznt1(&[0x02, 0xB0, 1, 0, 0], &mut output), Err(Error::MatchOffset { at: 0, offset: 1 }));
        assert_eq!(
            lznt1(&[0x03, 0xB0, 2, 65, 0, 0x10], &mut output),
            Err(Error::MatchOffset { at: 1, offset: 2 })
        );
        let long = [0x03, 0xB0, 2, 65, 0xFF, 0x0F];
        assert_eq!(lznt1(&long, &mut output), Err(Error::MatchLength { at: 1, length: 4098 }));
    }
}
