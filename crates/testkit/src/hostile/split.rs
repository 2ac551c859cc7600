//! Class 10: parts of split sets.

use super::Answer::{Damaged, Recovered, Refused};
use super::Family::{Malformed, MissingPart};
use super::{Answer, Fixture, honest, with_odd};
use crate::patch::*;
use sha1::{Digest, Sha1};

/// Part 1 of a set of `parts`, with the image, and with a file whose content is `CONTENT`.
fn first(parts: u16) -> Vec<u8> {
    let mut bytes = with_odd(Sha1::digest(CONTENT).into());
    number(&mut bytes, 1, parts);
    bytes
}

const CONTENT: &[u8] = b"in the second part";

/// Part 2 of the same set: a blob table with one blob, and no image.
fn second(parts: u16) -> Vec<u8> {
    let mut bytes = first(parts)[..208].to_vec();
    number(&mut bytes, 2, parts);
    let at = bytes.len() as u64;
    bytes.extend(CONTENT);
    let len = CONTENT.len() as u64;
    replace(&mut bytes, TABLE, &entry(resource(at, len, len, 0), 2, 1, Sha1::digest(CONTENT).into()));
    replace_xml(&mut bytes, "<WIM/>");
    bytes
}

/// Sets the numbers in the header and in all entries.
fn number(bytes: &mut [u8], part: u16, parts: u16) {
    put(bytes, 0x28, &part.to_le_bytes());
    put(bytes, 0x2A, &parts.to_le_bytes());
    put(bytes, 0x18, b"one set of parts");
    if range(bytes, TABLE).end <= bytes.len() {
        for at in entries(bytes) {
            put(bytes, at + 0x18, &part.to_le_bytes());
        }
    }
}

fn set(
    name: &'static str,
    files: &[(&str, Vec<u8>)],
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    let files = files.iter().map(|(file, bytes)| ((*file).to_owned(), bytes.clone())).collect();
    Fixture { class: 10, name, files, wrong, naive, answer, build: None }
}

pub(super) fn fixtures() -> Vec<Fixture> {
    let foreign = {
        let mut bytes = second(2);
        put(&mut bytes, 0x18, b"of another set..");
        bytes
    };
    let with_metadata = {
        let mut bytes = honest().to_bytes();
        number(&mut bytes, 2, 2);
        let at = bytes.len() as u64;
        let len = CONTENT.len() as u64;
        bytes.extend(CONTENT);
        add_entries(&mut bytes, &[entry(resource(at, len, len, 0), 2, 1, Sha1::digest(CONTENT).into())]);
        bytes
    };
    let no_blob = {
        let mut bytes = second(2);
        replace(&mut bytes, TABLE, &[]);
        bytes
    };
    vec![
        set(
            "missing-part",
            &[("a.swm", first(2))],
            "part 2 is not there",
            "find out at the first file that is in it",
            Refused(MissingPart, "part 2"),
        ),
        set(
            "missing-first",
            &[("a2.swm", second(2))],
            "part 1, which has the images, is not there",
            "say that the file holds no images",
            Refused(MissingPart, "part 1"),
        ),
        set(
            "part-twice",
            &[("a.swm", first(2)), ("b.swm", first(2))],
            "part 1 is there twice, and part 2 is not",
            "take the second file for the second part",
            Refused(MissingPart, "part 2"),
        ),
        set(
            "other-set",
            &[("a.swm", first(2)), ("a2.swm", foreign)],
            "the file that should be part 2 has another GUID",
            "read other files' contents out of it",
            Refused(MissingPart, "part 2"),
        ),
        set(
            "names-swapped",
            &[("b.swm", first(2)), ("a.swm", second(2))],
            "nothing but names: part 2 comes first in the alphabet",
            "go by the names",
            Recovered(""),
        ),
        set(
            "metadata-in-part-2",
            &[("a.swm", first(2)), ("a2.swm", with_metadata)],
            "part 2 has an image of its own",
            "list an image that part 1 does not count",
            Recovered("metadata in part 2, only part 1 can have any"),
        ),
        set(
            "part-without-blob",
            &[("a.swm", first(2)), ("a2.swm", no_blob)],
            "the set is complete, and part 2 does not hold what the image needs",
            "refuse the whole image",
            Damaged("content with SHA-1"),
        )
        .build(3),
        set(
            "part-cut",
            &[("a.swm", first(2)), ("a2.swm", second(2)[..100].to_vec())],
            "part 2 is 100 bytes long",
            "read the rest of its header from the buffer before",
            Refused(MissingPart, "part 2"),
        ),
        set(
            "65535-parts",
            &[("a.swm", first(0xFFFF))],
            "part 1 of 65,535",
            "allocate and look for all of them, by name",
            Refused(MissingPart, "part 2"),
        ),
        set(
            "part-2-malformed",
            &[
                ("a.swm", first(2)),
                ("a2.swm", {
                    let mut bytes = second(2);
                    put(&mut bytes, TABLE, &resource(u64::MAX - 10, 20, 20, 0));
                    bytes
                }),
            ],
            "the blob table of part 2 lies at 2^64 - 11",
            "blame part 1, which was opened",
            Refused(Malformed, "ends past the end of the file"),
        ),
    ]
}
