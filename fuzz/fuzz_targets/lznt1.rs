//! LZNT1 as NTFS compresses with it: any bytes decode or are refused, and what tokens stand for is what is decoded.
//!
//! With every other first byte the rest of the input makes chunks, stored and compressed, by a writer of this file's own.
#![no_main]

use libfuzzer_sys::fuzz_target;

const CHUNK: usize = 4096;

/// Bits of a token's length where so many bytes of the chunk came before it: the offset takes what is needed to reach back
/// to the start, and at least four.
fn length_bits(before: usize) -> u32 {
    let mut offset_bits = 4;
    while 1 << offset_bits < before {
        offset_bits += 1;
    }
    16 - offset_bits
}

/// Compressed chunks, and what they stand for.
fn written(mut data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut coded, mut plain) = (Vec::new(), Vec::new());
    while let Some((&how, rest)) = data.split_first() {
        data = rest;
        if plain.len() >= 16 * CHUNK {
            break;
        }
        let start = plain.len();
        if how & 7 == 0 {
            // Stored, and whole.
            let (own, rest) = data.split_at(data.len().min(CHUNK));
            data = rest;
            plain.extend_from_slice(own);
            plain.resize(start + CHUNK, how);
            coded.extend((0x3000 | (CHUNK as u16 - 1)).to_le_bytes());
            coded.extend_from_slice(&plain[start..]);
            continue;
        }
        let mut chunk: Vec<u8> = Vec::new();
        let mut group = None;
        let mut in_group = 8;
        while plain.len() - start < CHUNK {
            let Some((&[what, low, high], rest)) = data.split_first_chunk() else { break };
            if what == 0xFF && plain.len() > start {
                data = &data[1..];
                break;
            }
            data = rest;
            if in_group == 8 {
                group = Some(chunk.len());
                chunk.push(0);
                in_group = 0;
            }
            let before = plain.len() - start;
            let bits = if before == 0 { 0 } else { length_bits(before) };
            let offset = 1 + usize::from(u16::from_le_bytes([low, high])) % before.max(1);
            let length = 3 + (usize::from(what >> 1) * 37) % (1usize << bits).max(1);
            if what & 1 == 1 && before > 0 && length <= CHUNK - before {
                let token = ((offset - 1) as u16) << bits | (length - 3) as u16;
                chunk.extend(token.to_le_bytes());
                (0..length).for_each(|_| plain.push(plain[plain.len() - offset]));
                chunk[group.expect("it has begun")] |= 1 << in_group;
            } else {
                chunk.push(low);
                plain.push(low);
            }
            in_group += 1;
        }
        if chunk.is_empty() {
            break;
        }
        if chunk.len() > CHUNK {
            plain.truncate(start);
            break;
        }
        coded.extend((0xB000 | (chunk.len() as u16 - 1)).to_le_bytes());
        coded.extend_from_slice(&chunk);
        if plain.len() - start < CHUNK {
            // Only the last one is short.
            break;
        }
    }
    (coded, plain)
}

fuzz_target!(|data: &[u8]| {
    let Some((&[mode, low, high], rest)) = data.split_first_chunk::<3>() else { return };
    let size = usize::from(u16::from_le_bytes([low, high]));
    let decode = |coded: &[u8], size: usize| {
        let coded = Box::<[u8]>::from(coded);
        let mut out = vec![0xA5; size].into_boxed_slice();
        codec::lznt1(&coded, &mut out).map(|()| out)
    };
    if mode & 1 == 0 {
        let _ = decode(rest, size);
        return;
    }
    let (mut coded, plain) = written(rest);
    let found = decode(&coded, plain.len()).expect("what was written can be read");
    assert!(*found == *plain, "other bytes");
    // Behind the end, all is zero.
    let longer = decode(&coded, plain.len() + usize::from(mode >> 1)).expect("what was written can be read");
    assert!(longer.starts_with(&plain) && longer[plain.len()..].iter().all(|byte| *byte == 0));
    if let Some(at) = size.checked_rem(coded.len()) {
        coded[at] ^= mode | 1;
        let _ = decode(&coded, plain.len());
        let _ = decode(&coded[..at], plain.len());
    }
});
