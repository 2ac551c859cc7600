//! Class 1: the 208 bytes at the start.

use super::Answer::{Recovered, Refused};
use super::Family::{Malformed, Unsupported};
use super::{Answer, Fixture, honest, one};
use crate::patch::*;

const LZX: u32 = 0x4_0002;
const XPRESS: u32 = 0x2_0002;

pub(super) fn fixtures() -> Vec<Fixture> {
    let good = honest().to_bytes();
    let size = good.len() as u64;
    let change = |name, at: usize, value: &[u8], wrong, naive, answer: Answer| {
        let mut bytes = good.clone();
        put(&mut bytes, at, value);
        one(1, name, bytes, wrong, naive, answer)
    };
    let edited = |name, edit: &dyn Fn(&mut Vec<u8>), wrong, naive, answer: Answer| {
        let mut bytes = good.clone();
        edit(&mut bytes);
        one(1, name, bytes, wrong, naive, answer)
    };
    // The table as one chunk that is stored as it is: compressed by its flag only.
    let one_raw_chunk = |bytes: &mut Vec<u8>, field: usize| {
        put(bytes, 0x10, &words(&[XPRESS, 0x8000]));
        bytes[field + 7] |= 4;
    };
    vec![
        change(
            "magic",
            0,
            b"MSWIN",
            "the signature at 0x0 is MSWIN",
            "go on, and report whatever goes wrong first",
            Refused(Malformed, "signature is 4d5357494e000000, expected 4d5357494d000000"),
        ),
        one(
            1,
            "signature-only",
            b"MSWIM\0\0\0".to_vec(),
            "the file ends after the signature",
            "parse what was in the buffer before",
            Refused(Malformed, "file ends after 8 bytes, the header has 208"),
        ),
        change(
            "size-212",
            0x08,
            &words(&[212]),
            "the header's size at 0x8 is 212, as of a struct with padding after the boot index",
            "read the integrity table's place 4 bytes off",
            Refused(Malformed, "header size is 212, expected 208"),
        ),
        change(
            "version-future",
            0x0C,
            &words(&[0x10E00]),
            "the version at 0xc is 0x10e00",
            "take every field for what it was in 1.13",
            Refused(Malformed, "version is 0x10e00, expected 0x10d00 or 0xe00"),
        ),
        change(
            "version-longhorn",
            0x0C,
            &words(&[0x10A00]),
            "the version at 0xc is 1.10, whose header and entries have another layout",
            "read offsets out of the middle of other fields",
            Refused(Unsupported, "version 0x10a00, from before the release of Windows Vista"),
        ),
        change(
            "codec-unknown",
            0x10,
            &words(&[0x10_0002]),
            "the flags at 0x10 say compressed, with a codec bit that nobody has defined",
            "fall back to a codec that happens to be first",
            Refused(Unsupported, "unknown codec in flags 0x100002"),
        ),
        change(
            "part-0",
            0x28,
            &[0, 0],
            "the part number at 0x28 is 0",
            "index the list of parts with 0 - 1",
            Refused(Malformed, "part number is 0 of 1"),
        ),
        change(
            "part-2-of-1",
            0x28,
            &[2, 0],
            "the part number at 0x28 is 2, of 1 in all",
            "write behind the list of parts",
            Refused(Malformed, "part number is 2 of 1"),
        ),
        change(
            "chunk-size-0",
            0x10,
            &words(&[LZX, 0]),
            "compressed, and the chunk size at 0x14 is 0",
            "divide by it; the tools that wrote such files meant 32 KiB",
            Recovered(""),
        ),
        change(
            "chunk-size-32769",
            0x10,
            &words(&[LZX, 0x8001]),
            "the chunk size at 0x14 is no power of two",
            "shift by its logarithm and lose a byte of each chunk",
            Refused(
                Malformed,
                "chunk size is 0x8001, expected a power of two from 0x8000 to 0x200000 for LZX",
            ),
        ),
        change(
            "chunk-size-2-gib",
            0x10,
            &words(&[XPRESS, 0x8000_0000]),
            "the chunk size at 0x14 is 2^31",
            "allocate 2 GiB for each thread, or get 0 from 2 x 2^31",
            Refused(Malformed, "chunk size is 0x80000000"),
        ),
        change(
            "image-count-4g",
            0x2C,
            &words(&[u32::MAX]),
            "the image count at 0x2c is 2^32 - 1",
            "allocate that many image structures",
            Refused(Malformed, "image count is 4294967295, expected at most"),
        ),
        change(
            "image-count-3",
            0x2C,
            &words(&[3]),
            "the image count at 0x2c is 3, the blob table has the metadata of one",
            "use two pointers that were never set",
            Recovered("image count is 3, the blob table has the metadata of 1"),
        ),
        change(
            "boot-index-2",
            0x78,
            &words(&[2]),
            "the bootable image at 0x78 is number 2, of one",
            "look up image 2",
            Recovered("bootable image 2 of 1, taken for none"),
        ),
        edited(
            "boot-metadata",
            &|bytes| {
                put(bytes, 0x78, &words(&[1]));
                put(bytes, BOOT, &resource(208, 100, 100, 2));
            },
            "image 1 is bootable, and the copy of its metadata's place at 0x60 is another place",
            "a boot loader that uses the copy starts from something else than what everybody else sees",
            Recovered(
                "the bootable image's metadata is at 0xd0, 0x64 bytes for 0x64, by its entry in the blob table at 0x",
            ),
        ),
        change(
            "write-in-progress",
            0x10,
            &words(&[0x40]),
            "the flag at 0x10 says that a change of the file was not finished",
            "trust it nevertheless, without a word",
            Recovered("a change of the file began and was not finished"),
        ),
        change(
            "table-past-end",
            TABLE,
            &resource(size - 10, 20, 20, 0),
            "the blob table ends 10 bytes past the end of the file",
            "parse what was in the buffer before",
            Refused(Malformed, "blob table at 0x30: resource"),
        ),
        change(
            "table-overflow",
            TABLE,
            &resource(u64::MAX - 10, 20, 20, 0),
            "offset and length of the blob table add up to more than 2^64",
            "compare the wrapped sum, 9, with the size of the file and go on",
            Refused(
                Malformed,
                "resource 0xfffffffffffffff5..0x10000000000000009 ends past the end of the file",
            ),
        ),
        edited(
            "table-ragged",
            &|bytes| {
                let table = [&bytes[range(bytes, TABLE)], &[0xEE; 49]].concat();
                replace(bytes, TABLE, &table);
            },
            "the blob table has 49 bytes after its last entry",
            "read the fiftieth from behind the buffer",
            Recovered("is not a multiple of 50, ignored the rest"),
        ),
        edited(
            "table-compressed",
            &|bytes| one_raw_chunk(bytes, TABLE),
            "the blob table is flagged as compressed, which Microsoft's tools cannot read",
            "read the chunks for entries",
            Recovered(""),
        ),
        edited(
            "xml-compressed",
            &|bytes| one_raw_chunk(bytes, XML),
            "the XML data is flagged as compressed",
            "read the chunks for text",
            Recovered(""),
        ),
        edited(
            "xml-compressed-empty",
            &|bytes| {
                put(bytes, 0x10, &words(&[XPRESS, 0x8000]));
                put(bytes, XML, &resource(208, 4, 0, 4));
            },
            "the XML data is compressed, and has no content: not one chunk, so not -1 entries in the chunk table either",
            "subtract 1 from the number of chunks; ours did until a fuzzer said so",
            Recovered("describes 0 of 1 images"),
        ),
        change(
            "table-compressed-without-codec",
            TABLE + 7,
            &[4],
            "the blob table is flagged as compressed, and the header names no codec",
            "divide by the chunk size, 0",
            Refused(Malformed, "resource is compressed, but the header names no codec"),
        ),
        change(
            "xml-larger-than-file",
            XML,
            &resource(208, 1 << 40, 1 << 40, 0),
            "the XML data has 2^40 bytes, says the header at 0x48",
            "allocate a TiB, then see",
            Refused(
                Malformed,
                "XML data at 0x48: resource 0xd0..0x100000000d0 ends past the end of the file",
            ),
        ),
        edited(
            "table-and-xml-overlap",
            &|bytes| {
                let table: [u8; 24] = bytes[TABLE..TABLE + 24].try_into().expect("24 bytes");
                put(bytes, XML, &table);
            },
            "the place of the XML data at 0x48 is that of the blob table",
            "take its complaints about the XML for damage of the images",
            Recovered("XML data"),
        ),
        edited(
            "integrity-past-end",
            &|bytes| put(bytes, INTEGRITY, &resource(size - 4, 32, 32, 0)),
            "the integrity table ends past the end of the file",
            "hash what was in the buffer before",
            Refused(Malformed, "integrity table at 0x7c: resource"),
        ),
        change(
            "pipable-signature",
            0,
            b"WLPWM",
            "the signature says that this is a pipable file, and there is no second header at the end",
            "read the XML's last bytes for a header",
            Refused(Malformed, "signature is"),
        ),
        one(
            1,
            "pipable-and-short",
            {
                let mut bytes = good[..208].to_vec();
                put(&mut bytes, 0, b"WLPWM");
                bytes
            },
            "a pipable file that is its header: the header at the end is the same 208 bytes, and speaks of more",
            "seek to before the start for the second header",
            Refused(Malformed, "ends past the end of the file 0xd0"),
        ),
    ]
}
