//! Whatever the encoder writes, both decoders read as the same; it is shorter than the chunk, and depends on nothing else.
//!
//! Chunks are the input as it is, or what its bytes make as literals and copies.
#![no_main]

use codec::{Level, Xpress, XpressEncoder, reference};
use libfuzzer_sys::fuzz_target;

/// Three bytes are a literal or a copy.
fn woven(data: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0];
    for token in data.chunks_exact(3) {
        let (length, offset) =
            (3 + usize::from(token[0] >> 1) * 5, 1 + usize::from(u16::from_le_bytes([token[1], token[2]])));
        if token[0] & 1 == 0 || offset > chunk.len() {
            chunk.push(token[1]);
        } else {
            (0..length).for_each(|_| chunk.push(chunk[chunk.len() - offset]));
        }
    }
    chunk.truncate(64 << 10);
    chunk
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, data)) = data.split_first() else { return };
    let chunk = if mode & 1 == 0 { data[..data.len().min(64 << 10)].to_vec() } else { woven(data) };
    let level = if mode & 2 == 0 { Level::Fast } else { Level::Best };
    let room = if mode & 4 == 0 { chunk.len() } else { chunk.len() / 2 };
    let mut encoder = XpressEncoder::new(level);
    let mut out = vec![0xA5; room];
    let Some(len) = encoder.encode(&chunk, &mut out) else {
        assert!(out.iter().all(|byte| *byte == 0xA5), "it left something");
        return;
    };
    assert!(len < chunk.len() && len <= room);
    // A buffer of its own, so that reading past its end is noticed.
    let coded = Box::<[u8]>::from(&out[..len]);
    let mut back = vec![0; chunk.len()].into_boxed_slice();
    Xpress::new().decode(&coded, &mut back).expect("what was written can be read");
    assert!(*back == *chunk, "another chunk");
    back.fill(0);
    reference::Xpress::new().decode(&coded, &mut back).expect("what was written can be read");
    assert!(*back == *chunk, "another chunk, by the reference");
    let mut again = vec![0; room];
    assert_eq!(encoder.encode(&chunk, &mut again), Some(len), "it depends on what was before");
    assert!(again[..len] == *coded);
});
