//! Class 2: the blob table, and solid resources.

use super::Answer::{Damaged, NoImage, Recovered, Refused};
use super::Family::{Limit, Malformed, Unsupported};
use super::{Answer, Fixture, NOBODY, honest, one, with_odd};
use crate::patch::*;
use sha1::{Digest, Sha1};

const CONTENT: &[u8] = b"what a solid resource holds, sixteen bytes in each of its chunks";

/// A file of version 0xE00 whose blob table has more entries, given where what is put at the end begins.
fn solid(sha1: [u8; 20], stored: &[u8], more: impl Fn(usize) -> Vec<[u8; ENTRY_LEN]>) -> Vec<u8> {
    let mut bytes = with_odd(sha1);
    put(&mut bytes, 0x0C, &words(&[0xE00]));
    let more = more(bytes.len());
    bytes.extend(stored);
    add_entries(&mut bytes, &more);
    bytes
}

/// The solid resource with one field of its header changed, and its one blob.
fn solid_header(
    name: &'static str,
    at: usize,
    value: &[u8],
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let mut stored = solid_resource(CONTENT, 16);
    put(&mut stored, at, value);
    let bytes = solid(Sha1::digest(CONTENT).into(), &stored, |at| {
        vec![solid_entry(at, stored.len()), solid_blob(0, CONTENT)]
    });
    one(2, name, bytes, wrong, naive, answer)
}

/// The content in a solid resource as it should be, with these entries of blobs.
fn solid_blobs(
    name: &'static str,
    blobs: &[[u8; ENTRY_LEN]],
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let stored = solid_resource(CONTENT, 16);
    let bytes =
        solid(Sha1::digest(CONTENT).into(), &stored, |at| [&[solid_entry(at, stored.len())], blobs].concat());
    one(2, name, bytes, wrong, naive, answer)
}

/// One more entry of a blob with content that is there.
fn plain(
    name: &'static str,
    entry: [u8; ENTRY_LEN],
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let mut bytes = with_odd(NOBODY);
    add_entries(&mut bytes, &[entry]);
    one(2, name, bytes, wrong, naive, answer)
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let sha1 = Sha1::digest(CONTENT).into();
    let blob = |start, len, size, flags, part| entry(resource(start, len, size, flags), part, 1, sha1);
    let whole = CONTENT.len() as u64;
    let mut list = vec![
        one(
            2,
            "solid-nothing",
            solid(sha1, &[], |at| vec![solid_entry(at, 0), solid_blob(0, CONTENT)]),
            "a solid resource of 0 bytes at the end of the data",
            "read its header from what follows",
            Refused(Malformed, "solid resource has 0x0 bytes, its header alone 0x10"),
        ),
        one(
            2,
            "solid-past-end",
            solid(sha1, &[], |_| vec![solid_entry(1 << 40, 100), solid_blob(0, CONTENT)]),
            "a solid resource at 2^40",
            "map the file that far",
            Refused(Malformed, "solid resource 0x10000000000..0x10000000064 ends past the end of the file"),
        ),
        one(
            2,
            "solid-blob-alone",
            solid(sha1, &[], |_| vec![solid_blob(0, CONTENT)]),
            "a solid blob in a run without any resource",
            "look for it in a list that is empty",
            Refused(Malformed, "ends past the end of its solid resources 0x0"),
        ),
        solid_blobs(
            "solid-blob-past-run",
            &[blob(0, whole + 1, 0, SOLID, 1)],
            "a blob ends one byte past the end of its solid resource",
            "copy a byte from behind the chunk",
            Refused(Malformed, "blob 0x0..0x41 ends past the end of its solid resources 0x40"),
        ),
        solid_blobs(
            "solid-blob-overflow",
            &[blob(u64::MAX, 2, 0, SOLID, 1)],
            "offset and length of a solid blob add up to 2^64 + 1",
            "compare the wrapped sum with the length of the resource",
            Refused(Malformed, "blob 0xffffffffffffffff..0x10000000000000001 ends past the end of its solid"),
        ),
        solid_blobs(
            "solid-overlap",
            &[blob(0, 50, 0, SOLID, 1), blob(49, 2, 0, SOLID, 1)],
            "two solid blobs share a byte",
            "nothing, for two; with many that share everything a small file is decoded and hashed for ever",
            Refused(Malformed, "blob begins at 0x31 of its solid resources, inside the one at 0x0..0x32"),
        ),
        solid_blobs(
            "solid-and-compressed",
            &[blob(0, whole, 0, SOLID | 4, 1)],
            "a solid blob that is also flagged as compressed",
            "decode the decoded chunk once more",
            Recovered(""),
        ),
        solid_blobs(
            "solid-size-field",
            &[blob(0, whole, 7, SOLID, 1)],
            "the entry of a solid blob has a second size, 7",
            "allocate the one and copy the other",
            Recovered("ignored size 0x7 of a solid blob"),
        ),
        solid_blobs(
            "solid-metadata",
            &[blob(0, whole, 0, SOLID | 2, 1)],
            "an image's metadata inside a solid resource",
            "decode 64 MiB to list a directory; nobody writes such files",
            Refused(Unsupported, "metadata in a solid resource"),
        ),
        solid_blobs(
            "solid-other-part",
            &[blob(0, whole, 0, SOLID, 2)],
            "a solid blob in part 2 of a file that is not split",
            "pass over it and shift all blobs behind it",
            Refused(Malformed, "solid resource in part 2, this is part 1"),
        ),
        solid_header(
            "solid-empty",
            0,
            &0_u64.to_le_bytes(),
            "a solid resource whose header says that it has no content",
            "divide its length into chunks: none, and read the first",
            Refused(Malformed, "it has no content"),
        ),
        solid_header(
            "solid-2-to-64",
            0,
            &u64::MAX.to_le_bytes(),
            "a solid resource of 2^64 - 1 bytes in chunks of 16",
            "round up to 0 chunks, or allocate a table of 2^62 bytes",
            Refused(Malformed, "cannot hold 0xffffffffffffffff bytes in chunks of 0x10"),
        ),
        solid_header(
            "solid-tiny-chunks",
            0,
            &[&(1_u64 << 40).to_le_bytes()[..], &words(&[1 << 8])].concat(),
            "a solid resource of 2^40 bytes in chunks of 2^8, in a file of a kilobyte",
            "allocate 16 GiB for the chunk table",
            Refused(Malformed, "cannot hold 0x10000000000 bytes in chunks of 0x100"),
        ),
        solid_header(
            "solid-chunk-size-0",
            8,
            &words(&[0]),
            "chunks of 0 bytes in a solid resource",
            "divide by it",
            Refused(Malformed, "chunk size is 0x0, expected a power of two"),
        ),
        solid_header(
            "solid-codec-4",
            12,
            &words(&[4]),
            "a solid resource of codec 4",
            "call the fourth of three functions",
            Refused(Unsupported, "unknown codec 0x4"),
        ),
        solid_header(
            "solid-lzms-chunk-256",
            8,
            &words(&[256, 3]),
            "LZMS chunks of 256 bytes, of which the format has none",
            "set up a decoder for a window smaller than its tables",
            Refused(
                Malformed,
                "chunk size is 0x100, expected a power of two from 0x8000 to 0x40000000 for LZMS",
            ),
        ),
        solid_header(
            "solid-chunk-table",
            16,
            &words(&[17]),
            "the first chunk of a solid resource is stored in 17 bytes, and has 16",
            "read behind it, or write behind the buffer",
            Damaged("chunk 0 is stored in 0x11 bytes, expected 1 to 0x10"),
        ),
    ];
    let fine = resource(208, 4, 4, 0);
    list.extend([
        plain(
            "no-hash",
            entry(fine, 1, 1, [0; 20]),
            "an entry with a hash of zeros; real files have them",
            "take it for the content of every empty file",
            Damaged("content with SHA-1 c6c6c6c6"),
        )
        .build(3),
        plain(
            "no-content",
            entry(resource(u64::MAX, 0, 0, 4), 1, 1, NOBODY),
            "a hash, and a content of 0 bytes at 2^64 - 1",
            "subtract 1 from the number of its chunks",
            Damaged("content with SHA-1 c6c6c6c6"),
        )
        .build(3),
        plain(
            "other-part",
            entry(fine, 2, 1, NOBODY),
            "a blob in part 2 of a file that is not split",
            "read it from part 1",
            Damaged("content with SHA-1 c6c6c6c6"),
        )
        .build(3),
        plain(
            "past-end",
            entry(resource(1 << 30, 1000, 1000, 0), 1, 1, NOBODY),
            "a blob a GiB past the end of the file",
            "find out when somebody wants it",
            Refused(Malformed, "resource 0x40000000..0x400003e8 ends past the end of the file"),
        ),
        plain(
            "two-sizes",
            entry(resource(208, 4, 5, 0), 1, 1, NOBODY),
            "a blob that is not compressed and is stored in fewer bytes than it has",
            "copy 5 bytes out of a buffer of 4",
            Refused(Malformed, "is stored in 0x4 bytes, expected its size 0x5"),
        ),
        plain(
            "compressed-without-codec",
            entry(resource(208, 4, 5, 4), 1, 1, NOBODY),
            "a compressed blob in a file whose header names no codec",
            "divide by the chunk size, 0",
            Refused(Malformed, "resource is compressed, but the header names no codec"),
        ),
        {
            let mut bytes = honest().to_bytes();
            let first = entries(&bytes)[0];
            let sha1 = bytes[first + 0x1E..first + ENTRY_LEN].try_into().expect("20 bytes");
            add_entries(&mut bytes, &[entry(resource(208, 4, 4, 0), 1, 1, sha1)]);
            one(
                2,
                "hash-twice",
                bytes,
                "two entries with one hash and different sizes",
                "use the size of the one and the place of the other",
                Recovered("ignored 1 entries whose hash occurs before"),
            )
        },
        {
            let mut bytes = honest().to_bytes();
            let at = metadata_entry(&bytes);
            put(&mut bytes, at + 0x1A, &words(&[0]));
            one(
                2,
                "metadata-refcount-0",
                bytes,
                "the image's metadata is used 0 times; WinPE files have such leftovers",
                "list an image that was deleted",
                Recovered("ignored: metadata that no image uses"),
            )
            .build(1)
        },
        {
            let mut bytes = honest().to_bytes();
            let at = metadata_entry(&bytes);
            put(&mut bytes, at + 0x1A, &words(&[2]));
            one(
                2,
                "metadata-refcount-2",
                bytes,
                "the image's metadata is used twice",
                "free it twice",
                Refused(Malformed, "metadata is used 2 times, expected 1"),
            )
        },
        {
            let mut bytes = honest().to_bytes();
            let at = metadata_entry(&bytes);
            put(&mut bytes, at + 0x1E, &NOBODY);
            one(
                2,
                "metadata-hash",
                bytes,
                "the SHA-1 of the image's metadata is another",
                "show the tree that somebody made of it",
                NoImage(super::Family::Hash, "damaged image metadata at 0x"),
            )
        },
        {
            let mut bytes = honest().to_bytes();
            let first = entries(&bytes)[0];
            put(&mut bytes, first + 0x1A, &words(&[77]));
            one(
                2,
                "refcount-77",
                bytes,
                "a blob that is used once has the reference count 77; real files have any",
                "keep it for ever, or refuse files of Microsoft's own tools",
                Recovered("1 blob has a wrong reference count"),
            )
        },
        {
            // 64 times the smallest chunk: within what the file could hold, above the limit on all tables.
            let mut stored = solid_resource(CONTENT, 16);
            put(&mut stored, 0, &(1_u64 << 31).to_le_bytes());
            put(&mut stored, 8, &words(&[1 << 31]));
            let bytes =
                solid(sha1, &stored, |at| vec![solid_entry(at, stored.len()), solid_blob(0, CONTENT)]);
            one(
                2,
                "solid-chunk-2-gib",
                bytes,
                "a chunk of 2 GiB, not compressed",
                "allocate it",
                Refused(Limit, "chunk size 2147483648 exceeds the limit of 1073741824"),
            )
        },
    ]);
    list
}
