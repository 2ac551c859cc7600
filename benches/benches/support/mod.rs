//! What the micro benches measure with: chunks of the generated corpora.

use std::path::PathBuf;

use codec::Lzx;

#[allow(dead_code, reason = "what the codec of the chunks is, everybody here knows")]
#[path = "../../../crates/codec/tests/support/wim_chunks.rs"]
mod wim_chunks;
pub(crate) use wim_chunks::Chunks;

/// Some `bytes` of what the chunks of a corpus decode to, as pairs of neighbours that lie evenly all over it.
pub(crate) fn chunks(name: &str, bytes: usize) -> Chunks {
    let path: PathBuf = testkit::cache().join(name);
    let wim = std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}\nfirst: cargo run --release -p wimforge-benches -- corpus", path.display())
    });
    let mut chunks = wim_chunks::read(&wim);
    let all: usize = chunks.chunks.iter().map(|(_, size)| size).sum();
    let (step, mut index) = ((all / bytes).max(1), 0);
    chunks.chunks.retain(|_| {
        index += 1;
        (index - 1) / 2 % step == 0
    });
    chunks
}

/// Chunks of the corpus in LZX, decoded, one after another: what a disk is full of.
#[allow(dead_code, reason = "not every bench wants it")]
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    let chunks = chunks("corpus-lzx.wim", bytes);
    let mut lzx = Lzx::new(chunks.chunk_size).expect("a chunk size of LZX");
    let mut all = Vec::new();
    for (chunk, size) in &chunks.chunks {
        let start = all.len();
        all.resize(start + size, 0);
        lzx.decode(chunk, &mut all[start..]).expect("wimlib made it");
    }
    all
}
