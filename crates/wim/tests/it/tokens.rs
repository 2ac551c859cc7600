//! What a reader notes of the source's compression: the same whatever was read before, since the bytes of a compressed
//! output come from it, and which worker reads what depends on the threads.

use std::sync::Arc;

use codec::{Note, Tokens};
use testkit::testdata;
use wimforge_wim::{BlobId, Wim};

#[test]
fn what_was_read_before_does_not_show() {
    let wim = Wim::open(Arc::new(std::fs::read(testdata("nano-small.wim")).unwrap())).unwrap();
    let blobs = wim.blobs();
    let largest = (0..blobs.len()).max_by_key(|&at| blobs[at].size).unwrap();
    let (blob, size) = (BlobId(largest as u32), blobs[largest].size as usize);
    assert!(size > 40_000, "more than a chunk");
    // From the middle of a chunk on, after something else was read with or without interest in tokens.
    let tokens = |before: &[(usize, bool)]| {
        let mut reader = wim.reader();
        for &(offset, noting) in before {
            let (mut buf, mut ignored) = ([0; 77], Tokens::new());
            match noting {
                true => {
                    reader.read_noting(blob, offset as u64, &mut buf, Note::new(&mut ignored, 0)).unwrap()
                }
                false => reader.read_at(blob, offset as u64, &mut buf).unwrap(),
            }
        }
        let (mut buf, mut tokens) = (vec![0; size - 100], Tokens::new());
        reader.read_noting(blob, 100, &mut buf, Note::new(&mut tokens, 0)).unwrap();
        format!("{tokens:?}")
    };
    let fresh = tokens(&[]);
    assert!(fresh.len() > 1000, "{fresh}");
    for before in [&[(0, false)][..], &[(0, true)], &[(0, true), (50, false)], &[(0, false), (33_000, true)]]
    {
        assert!(tokens(before) == fresh, "after {before:?}");
    }
}
