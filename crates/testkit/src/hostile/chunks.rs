//! Class 3: where the chunks of a resource lie.

use super::Answer::{Damaged, Recovered};
use super::{Answer, Fixture, NOBODY, one, with_odd};
use crate::patch::*;
use sha1::{Digest, Sha1};

const XPRESS_4K: [u32; 2] = [0x2_0002, 0x1000];
const LZMS_1G: [u32; 2] = [0x8_0002, 0x4000_0000];

/// A file whose blob `odd.bin` is `stored`, of which `size` bytes should come.
pub(super) fn chunked(codec: [u32; 2], sha1: [u8; 20], stored: &[u8], size: u64) -> Vec<u8> {
    let mut bytes = with_odd(sha1);
    put(&mut bytes, 0x10, &words(&codec));
    if codec[0] & 0x8_0000 != 0 {
        put(&mut bytes, 0x0C, &words(&[0xE00]));
    }
    let at = bytes.len() as u64;
    bytes.extend(stored);
    add_entries(&mut bytes, &[entry(resource(at, stored.len() as u64, size, 4), 1, 1, sha1)]);
    bytes
}

/// Three chunks of 0x1000, 0x1000 and 1 bytes, stored as they are, with these entries for the second and third.
fn three(
    name: &'static str,
    table: [u32; 2],
    wrong: &'static str,
    naive: &'static str,
    words_of: &'static str,
) -> Fixture {
    let stored = [&words(&table)[..], &[7; 0x2001]].concat();
    one(3, name, chunked(XPRESS_4K, NOBODY, &stored, 0x2001), wrong, naive, Damaged(words_of))
}

fn sized(
    name: &'static str,
    stored: &[u8],
    size: u64,
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let content = vec![7; usize::try_from(size.min(0x2000)).expect("small")];
    let sha1 = if let Recovered(_) = answer { Sha1::digest(&content).into() } else { NOBODY };
    one(3, name, chunked(XPRESS_4K, sha1, stored, size), wrong, naive, answer)
}

fn large(
    name: &'static str,
    table: &[u8],
    size: u64,
    wrong: &'static str,
    naive: &'static str,
    words_of: &'static str,
) -> Fixture {
    let stored = [table, &[7; 24]].concat();
    one(3, name, chunked(LZMS_1G, NOBODY, &stored, size), wrong, naive, Damaged(words_of))
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let wide =
        |entries: &[u64]| -> Vec<u8> { entries.iter().flat_map(|entry| entry.to_le_bytes()).collect() };
    vec![
        three(
            "backwards",
            [0x1000, 0xFFF],
            "the third chunk begins before the second",
            "subtract, and read 2^64 - 1 bytes",
            "chunk 1 is stored in 0x1000..0xfff of 0x2001, expected 1 to 0x1000 bytes",
        ),
        three(
            "past-resource",
            [0x1000, 0xFFFF_FFFF],
            "the third chunk begins 4 GiB behind the resource",
            "read the second from whatever lies there",
            "chunk 1 is stored in 0x1000..0xffffffff of 0x2001",
        ),
        three(
            "empty-chunk",
            [0, 0x1000],
            "the first chunk is stored in 0 bytes",
            "decode nothing, and hand out what was in the buffer",
            "chunk 0 is stored in 0x0..0x0 of 0x2001",
        ),
        three(
            "fat-chunk",
            [0x1001, 0x2000],
            "the first chunk is stored in one byte more than it has",
            "copy it as one that is not compressed, into a buffer that is too short",
            "chunk 0 is stored in 0x0..0x1001 of 0x2001, expected 1 to 0x1000 bytes",
        ),
        three(
            "last-negative",
            [0x1000, 0x2002],
            "the last chunk begins a byte behind the end of the resource, so its length is -1",
            "read 2^32 - 1 bytes",
            "of 0x2001, expected 1 to",
        ),
        sized(
            "table-missing",
            &[7; 8],
            0x2001,
            "three chunks, and room for the chunk table only",
            "read the chunks from what follows the resource",
            Damaged("0x8 stored bytes cannot hold the chunk table of 0x8 bytes"),
        ),
        sized(
            "one-byte",
            &[7],
            1,
            "nothing: a byte in one chunk, flagged as compressed, with a chunk table of 0 entries",
            "read one entry of the table",
            Recovered(""),
        ),
        sized(
            "whole-chunks",
            &[&words(&[0x1000])[..], &[7; 0x2000]].concat(),
            0x2000,
            "nothing: exactly two chunks, so the table has one entry and the last chunk is a full one",
            "expect a third chunk of 0 bytes",
            Recovered(""),
        ),
        sized(
            "2-to-40",
            &[7; 64],
            1 << 40,
            "2^40 bytes in 64",
            "allocate a TiB, or a chunk table of a GiB",
            Damaged("0x40 stored bytes cannot hold the chunk table of"),
        ),
        sized(
            "2-to-64",
            &[7; 64],
            u64::MAX,
            "2^64 - 1 bytes in 64: the number of chunks rounds up past 2^64",
            "find that it has 0 chunks",
            Damaged("0x40 stored bytes cannot hold the chunk table of"),
        )
        .build(1),
        large(
            "narrow-entries",
            &words(&[8, 16, 20]),
            u64::from(u32::MAX),
            "2^32 - 1 bytes in four LZMS chunks, of which each is a few bytes of nonsense: the last size with narrow \
             entries in the chunk table",
            "allocate 4 GiB before the first chunk is looked at",
            "LZMS",
        ),
        large(
            "wide-entries",
            &words(&[8, 16, 20]),
            1 << 32,
            "2^32 bytes in four chunks, with the chunk table of a smaller resource: entries have 8 bytes from here on",
            "read entries of 4 bytes",
            "chunk 0 is stored in",
        ),
        large(
            "wide-entries-cut",
            &wide(&[8 | 1 << 32, 16 | 1 << 32, 20 | 1 << 32]),
            1 << 32,
            "entries of 8 bytes whose upper halves are 1",
            "keep the lower halves, and decode",
            "chunk 0 is stored in 0x0..0x100000008 of 0x18",
        ),
    ]
}
