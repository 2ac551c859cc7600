//! Class 4: files that are small and hold, or claim to hold, very much.

use super::Answer::{Damaged, NoImage, Recovered, Refused};
use super::Family::{Limit, Malformed};
use super::chunks::chunked;
use super::encoders::lzms::{Encoder, Item, Source};
use super::{Fixture, NOBODY, exploding, honest, one};
use crate::patch::*;
use crate::wimfile::{Content, Entry, WimFile};
use std::sync::LazyLock;

use sha1::{Digest, Sha1};

const LZMS_64M: [u32; 2] = [0x8_0002, 64 << 20];

/// As many as a chunk of a real ESD file has, and their SHA-1: made once, as it takes a while.
static ZEROS_64M: LazyLock<(Vec<u8>, [u8; 20])> =
    LazyLock::new(|| (zeros(64 << 20), sha1_of_zeros(64 << 20)));

/// `len` zeros in one LZMS chunk: a byte, and a match for all others.
fn zeros(len: u32) -> Vec<u8> {
    let mut encoder = Encoder::new(len as usize);
    encoder.item(Item::Literal(0));
    encoder.item(Item::Lz { source: Source::Explicit(1), length: len - 1 });
    encoder.finish()
}

fn sha1_of_zeros(len: usize) -> [u8; 20] {
    Sha1::digest(vec![0; len]).into()
}

/// The image's metadata is this resource.
fn metadata(stored: &[u8], size: u64, codec: [u32; 2]) -> Vec<u8> {
    let mut bytes = honest().to_bytes();
    put(&mut bytes, 0x10, &words(&codec));
    let at = metadata_entry(&bytes);
    let end = bytes.len() as u64;
    put(&mut bytes, at, &entry(resource(end, stored.len() as u64, size, 6), 1, 1, NOBODY));
    bytes.extend(stored);
    bytes
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let mut list = vec![
        one(
            4,
            "metadata-512-times",
            metadata(&[0; 100], 16 << 20, [0x4_0002, 0x20_0000]),
            "metadata of 16 MiB in 100 bytes of a file of one KiB",
            "allocate it; 512 times the file is what the best codec makes of zeros, and no metadata is zeros",
            NoImage(Malformed, "0x1000000 bytes cannot come out of a file of 0x"),
        ),
        one(
            4,
            "metadata-2-gib",
            metadata(&[0; 100], 1 << 31, [0x4_0002, 0x20_0000]),
            "metadata of 2 GiB",
            "allocate it, and five times as much for the tree",
            NoImage(Limit, "size 2147483648 exceeds the limit of 268435456"),
        ),
        one(
            4,
            "lzms-64-mib-of-zeros",
            chunked(LZMS_64M, ZEROS_64M.1, &ZEROS_64M.0, 64 << 20),
            "nothing: a chunk of 64 MiB that is stored in a few bytes, as large as chunks of real ESD files are",
            "allocate one for each thread, and its budget is gone",
            Recovered(""),
        ),
    ];
    // Solid: what real files of this kind look like.
    let mut bytes = honest().to_bytes();
    let (chunk, sha1) = &*ZEROS_64M;
    put(&mut bytes, 0x0C, &words(&[0xE00]));
    let mut stored = (64_u64 << 20).to_le_bytes().to_vec();
    stored.extend(words(&[64 << 20, 3, u32::try_from(chunk.len()).expect("a few bytes")]));
    stored.extend(chunk);
    let at = bytes.len();
    bytes.extend(&stored);
    let blob = entry(resource(0, 64 << 20, 0, SOLID), 1, 1, *sha1);
    add_entries(&mut bytes, &[solid_entry(at, stored.len()), blob]);
    list.push(one(
        4,
        "solid-64-mib-of-zeros",
        bytes,
        "nothing: a solid chunk of 64 MiB that is stored in a few bytes; no file uses it",
        "allocate one for each thread, and its budget is gone",
        Recovered("1 blob has a wrong reference count"),
    ));
    // One blob, many files.
    let mut wim = WimFile::new();
    let image = wim.image("hostile");
    let root = image.root();
    image.add(root, Entry::file("honest.txt", "honest"));
    let sha1 = sha1_of_zeros(1 << 20);
    for n in 0..32 {
        image.add(root, Entry { data: Content::Absent(sha1), ..Entry::file(&format!("{n}"), "") });
    }
    let mut bytes = wim.to_bytes();
    put(&mut bytes, 0x0C, &words(&[0xE00, LZMS_64M[0], LZMS_64M[1]]));
    let chunk = zeros(1 << 20);
    let fields = resource(bytes.len() as u64, chunk.len() as u64, 1 << 20, 4);
    bytes.extend(&chunk);
    add_entries(&mut bytes, &[entry(fields, 1, 32, sha1)]);
    list.push(one(
        4,
        "shared-blob",
        bytes,
        "nothing: 32 files, no links, with the same MiB of zeros, which is stored once in a few bytes",
        "decode and hash it once for each file",
        Recovered(""),
    ));
    list.push(one(
        4,
        "exploding",
        exploding().to_bytes(),
        "60 levels, in each two directories with one list: 2^60 paths in a few KiB",
        "count to 2^60; a limit on depth does not help",
        NoImage(Malformed, "the entries of \"b\" are also those of \"a\""),
    ));
    // A GiB in one chunk that is no valid chunk: memory is asked for, and never used.
    list.push(one(
        4,
        "lzms-1-gib",
        chunked([0x8_0002, 1 << 30], NOBODY, &[0x55; 64], 1 << 30),
        "one LZMS chunk of a GiB, the largest of the format, of which 64 bytes of nonsense are stored",
        "zero a GiB for each thread, then look at the first bit",
        Damaged("LZMS"),
    ));
    let mut bytes = honest().to_bytes();
    put(&mut bytes, 0x10, &words(&[0x2_0002, 0x8000]));
    let table: Vec<u8> = (1..1024_u32).flat_map(|n| n.to_le_bytes()).collect();
    put(&mut bytes, XML, &resource(208, table.len() as u64 + 1024, 1 << 25, 4));
    bytes.extend(table);
    bytes.extend([7; 1024]);
    list.push(one(
        4,
        "xml-32-mib",
        bytes,
        "XML data of 32 MiB, compressed to a few KiB",
        "allocate it, and as much again for the text",
        Refused(Limit, "size 33554432 exceeds the limit of 16777216"),
    ));
    list
}
