//! Class 5: the tree in an image's metadata.

use super::Answer::{Damaged, NoImage, Recovered};
use super::Family::Malformed;
use super::{
    Answer, Fixture, cyclic, duplicate_names, false_links, honest, long_name, missing_blob, names, one,
};
use crate::patch::*;
use crate::wimfile::{Content, DIRECTORY, Entry, Image, REPARSE_POINT, Reparse, TAG_SYMLINK, WimFile};

/// `FILE_ATTRIBUTE_ENCRYPTED`
const ENCRYPTED: u32 = 0x4000;

// Offsets in a dentry.
const LENGTH: usize = 0;
const ATTRIBUTES: usize = 8;
const SECURITY: usize = 0xC;
const SUBDIR: usize = 0x10;
const STREAMS: usize = 0x60;
const SHORT_NAME_LEN: usize = 0x62;
const NAME_LEN: usize = 0x64;

/// An image with one honest file and what `add` adds.
fn image(add: impl FnOnce(&mut Image)) -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("hostile");
    let root = image.root();
    image.add(root, Entry::file("honest.txt", "honest"));
    add(image);
    wim
}

/// The same, with the entry `odd` in the root.
fn entry_of(odd: Entry) -> Vec<u8> {
    image(|image| {
        let root = image.root();
        image.add(root, odd);
    })
    .to_bytes()
}

/// A directory `odd` with a file in it; then the metadata is edited, given where the dentry of `odd` begins.
fn edited(edit: impl FnOnce(&mut Vec<u8>, usize)) -> Vec<u8> {
    let wim = image(|image| {
        let root = image.root();
        let odd = image.add(root, Entry::directory("odd"));
        image.add(odd, Entry::file("inside.txt", "inside"));
    });
    let mut bytes = wim.to_bytes();
    edit_metadata(&mut bytes, |metadata| {
        let at = dentry(metadata, "odd");
        edit(metadata, at);
    });
    bytes
}

pub(super) fn fixtures() -> Vec<Fixture> {
    [records(), lists(), names_of_files(), streams()].concat()
}

fn change(
    name: &'static str,
    field: usize,
    value: &[u8],
    wrong: &'static str,
    naive: &'static str,
    answer: Answer,
) -> Fixture {
    one(5, name, edited(|metadata, at| put(metadata, at + field, value)), wrong, naive, answer)
}

fn records() -> Vec<Fixture> {
    let length = |value: u64| value.to_le_bytes();
    vec![
        change(
            "length-9",
            LENGTH,
            &length(9),
            "a record of 9 bytes: no end mark, and no room for its fields",
            "read the fields of the next record",
            NoImage(Malformed, "length is 9, expected 0 or at least 102"),
        ),
        change(
            "length-101",
            LENGTH,
            &length(101),
            "a record that is one byte too short for its fields",
            "read the length of the name from the next record",
            NoImage(Malformed, "length is 101, expected 0 or at least 102"),
        ),
        change(
            "length-2-to-63",
            LENGTH,
            &length(1 << 63),
            "a record of 2^63 bytes",
            "get a negative number, and go backwards for ever",
            NoImage(Malformed, "length is 0x8000000000000000, but"),
        ),
        change(
            "length-unaligned",
            LENGTH,
            &length(111),
            "a record of 111 bytes, where all are multiples of 8",
            "begin the next record one byte too early; wimlib rounds up, 7-Zip refuses",
            Recovered("length 0x6f is not a multiple of 8, rounded up"),
        ),
        change(
            "name-odd",
            NAME_LEN,
            &[5, 0],
            "a name of five bytes, in units of two",
            "read half a unit, or lose one",
            NoImage(Malformed, "names have 5 and 0 bytes, expected even numbers"),
        ),
        change(
            "name-overruns",
            NAME_LEN,
            &[0xFE, 0xFF],
            "a name of 65,534 bytes in a record of 112",
            "copy 64 KiB into a buffer for 255 units",
            NoImage(Malformed, "but the names end at"),
        ),
        change(
            "short-name-overruns",
            SHORT_NAME_LEN,
            &[0xFE, 0xFF],
            "a short name of 65,534 bytes in a record of 112",
            "copy 64 KiB into a buffer for 12 units",
            NoImage(Malformed, "but the names end at"),
        ),
        change(
            "name-not-terminated",
            0x66 + 6,
            &[0xEE, 0xEE],
            "no zero unit after a name",
            "look for one in all that follows",
            Recovered(""),
        ),
        change(
            "security-99",
            SECURITY,
            &words(&[99]),
            "security descriptor 99, of none",
            "read behind the list",
            Recovered("has security descriptor 99 of 0, taken for none"),
        ),
        change(
            "streams-65535",
            STREAMS,
            &[0xFF, 0xFF],
            "65,535 stream entries after the record, of which none is there",
            "allocate for them, and read on in other records",
            NoImage(Malformed, "stream entry in image metadata"),
        ),
        one(
            5,
            "descriptor-size",
            {
                let wim = image(|image| {
                    image.security(&[1; 24]);
                });
                let mut bytes = wim.to_bytes();
                edit_metadata(&mut bytes, |metadata| put(metadata, 8, &(1_u64 << 33).to_le_bytes()));
                bytes
            },
            "a security descriptor of 2^33 bytes",
            "keep the lower half of the size: 0",
            NoImage(Malformed, "descriptor 0 has 0x200000000 bytes"),
        ),
        one(
            5,
            "descriptor-count",
            edited(|metadata, _| put(metadata, 0, &words(&[8, 0x2000_0001]))),
            "2^29 + 1 security descriptors in 8 bytes",
            "multiply by 8 in 32 bits, and allocate 8 bytes for them",
            NoImage(Malformed, "536870913 descriptors do not fit its length 0x8"),
        ),
        one(
            5,
            "descriptor-nonsense",
            {
                let wim = image(|image| {
                    let id = image.security(&[0xFF; 20]);
                    let root = image.root();
                    image.add(root, Entry::file("odd", "odd").secured(id));
                });
                wim.to_bytes()
            },
            "a security descriptor of 20 bytes of 0xff: offsets of owner, group and lists at 4 GiB",
            "follow them",
            Recovered(""),
        )
        .build(1),
        one(
            5,
            "tagged-item",
            {
                let mut bytes = entry_of(Entry::file("odd", "odd").tagged(7, *b"tagged"));
                edit_metadata(&mut bytes, |metadata| {
                    let at = dentry(metadata, "odd");
                    put(metadata, at + 112 + 4, &words(&[0xFFFF_FFF8]));
                });
                bytes
            },
            "a tagged item of 0xfffffff8 bytes",
            "add 8 in 32 bits, get 0, and read the same item for ever, as wimlib did before 1.8.2",
            Recovered("tagged item 0x7 has 0xfffffff8 bytes"),
        ),
    ]
}

fn lists() -> Vec<Fixture> {
    let list = |name, at: fn(&[u8]) -> u64, wrong, naive, says| {
        let bytes = edited(|metadata, odd| {
            let value = at(metadata);
            put(metadata, odd + SUBDIR, &value.to_le_bytes());
        });
        one(5, name, bytes, wrong, naive, NoImage(Malformed, says))
    };
    let root_list = |metadata: &[u8]| u64_at(metadata, 8 + SUBDIR);
    vec![
        list(
            "list-of-root",
            root_list,
            "a directory whose list is that of the root, so that it contains itself",
            "walk down for ever; WIMGAPI did",
            "\"odd\" contains itself: its entries are those of the root, which it is in",
        ),
        one(
            5,
            "list-missing",
            edited(|metadata, odd| put(metadata, odd + SUBDIR, &[0; 8])),
            "a directory without a list: the offset is 0, and its files are nobody's",
            "read the security data for entries",
            Recovered(""),
        ),
        list(
            "list-at-8",
            |_| 8,
            "a directory whose list begins at the root's own record",
            "show the root as a nameless child of its child",
            "entries of \"odd\" begin where none can",
        ),
        list(
            "list-at-odd",
            |metadata| u64_at(metadata, 8 + SUBDIR) + 4,
            "a directory whose list begins at an offset that is no multiple of 8",
            "read a length from the middle of two fields",
            "entries of \"odd\" begin where none can",
        ),
        list(
            "list-inside-record",
            |metadata| dentry(metadata, "inside.txt") as u64 + 8,
            "a directory whose list begins inside a record",
            "take attributes and hashes for lengths and offsets",
            "dentry in image metadata",
        ),
        list(
            "list-past-end",
            |metadata| metadata.len() as u64,
            "a directory whose list begins at the end of the metadata",
            "read the length of its first entry from behind the buffer",
            "begin past the end",
        ),
        list(
            "list-2-to-64",
            |_| u64::MAX - 7,
            "a directory whose list begins at 2^64 - 8",
            "add the length of an entry, and wrap around to the start",
            "begin past the end",
        ),
        one(
            5,
            "cyclic",
            cyclic().to_bytes(),
            "a directory whose list is that of the directory it is in",
            "walk down for ever",
            NoImage(
                Malformed,
                "\"inner\" contains itself: its entries are those of \"outer\", which it is in",
            ),
        ),
        one(
            5,
            "list-without-end",
            {
                let mut bytes = honest().to_bytes();
                edit_metadata(&mut bytes, |metadata| metadata.truncate(metadata.len() - 8));
                bytes
            },
            "the metadata ends where the end mark of the last list should be",
            "read on until some eight bytes are zero",
            NoImage(Malformed, "metadata ends at"),
        ),
        one(
            5,
            "root-is-a-file",
            edited(|metadata, _| put(metadata, 8 + ATTRIBUTES, &words(&[0x20]))),
            "the root is a file",
            "open its content, of which there is none",
            NoImage(Malformed, "root has attributes 0x20, expected a directory"),
        ),
        one(
            5,
            "root-missing",
            edited(|metadata, _| put(metadata, 8, &[0; 8])),
            "there is no root: the end mark comes first",
            "follow a pointer that was never set",
            Recovered("there is no root, so the image is empty"),
        ),
        one(
            5,
            "root-with-name",
            {
                let mut only = WimFile::new();
                let image = only.image("hostile");
                let root = image.root();
                image.entry(root).name = "..".encode_utf16().collect();
                image.add(root, Entry::file("honest.txt", "honest"));
                only.to_bytes()
            },
            "the root has a name, and it is `..`",
            "extract everything one directory higher",
            Recovered("the root has a name, ignored it"),
        ),
        one(
            5,
            "reparse-with-children",
            edited(|metadata, at| put(metadata, at + ATTRIBUTES, &words(&[DIRECTORY | REPARSE_POINT]))),
            "a directory that is a reparse point, and has a list",
            "write its children through the link, wherever that leads",
            Recovered(""),
        )
        .build(1),
    ]
}

fn names_of_files() -> Vec<Fixture> {
    let named = |name, entries: &[&str], wrong, naive, answer| {
        let bytes = image(|image| {
            let root = image.root();
            for &entry in entries {
                image.add(root, Entry::file(entry, "odd"));
            }
        })
        .to_bytes();
        one(5, name, bytes, wrong, naive, answer)
    };
    vec![
        one(5, "names", names().to_bytes(), "names that lead elsewhere: `.`, `..`, `../escape.txt`, `..\\escape.txt`, `a/b`, none, a zero unit; and two with a colon", "write outside of the directory that is extracted to, as WIMGAPI does, with the rights of an administrator", Recovered("left out \"..\" in the root: name of a directory above")).build(1),
        one(5, "name-of-256", long_name().to_bytes(), "a name of 256 units; NTFS has room for 255", "write the length into a byte: 0", Recovered("")).build(1),
        named("names-of-devices", &["CON", "nul.txt", "COM1", "aux "], "names of DOS devices", "open the device, on Windows", Recovered("")),
        named("names-with-trailing-dots", &["dot.", "space ", "both. ."], "names that end in dots and spaces, which Windows takes away when it opens them", "write `dot` over another file", Recovered("")),
        named("names-with-escapes", &["\u{1b}[2J\u{1b}[31mred", "bell\u{7}", "line\nerror not real", "\u{9b}2J", "\u{202e}txt.exe"], "names with line feeds and with what clears a terminal's screen and changes its colours", "print them", Recovered("")),
        one(
            5,
            "names-with-surrogates",
            image(|image| {
                let root = image.root();
                for unit in [0xD800, 0xDC00] {
                    image.add(root, Entry { name: vec![unit], ..Entry::file("", "odd") });
                }
            })
            .to_bytes(),
            "names of one unpaired surrogate each; as UTF-8 both are the same replacement character",
            "refuse to convert them, or write the second over the first",
            Recovered(""),
        ),
        one(5, "names-twice", duplicate_names().to_bytes(), "two entries of the same name in one directory, and two that differ only in case", "write the second over the first", Recovered("second entry of that name")),
        one(
            5,
            "short-names-twice",
            image(|image| {
                let root = image.root();
                image.add(root, Entry::file("first long name.txt", "1").short("LONGNA~1.TXT"));
                image.add(root, Entry::file("second long name.txt", "2").short("LONGNA~1.TXT"));
            })
            .to_bytes(),
            "two files with one short name in one directory",
            "make an index in which the second can never be found, or is the first",
            Recovered(""),
        ),
        one(5, "links-that-are-none", false_links().to_bytes(), "two files with the same hard-link group and different content; Windows 7's own install.wim has such groups", "give one file's content to both", Recovered("")),
        one(
            5,
            "directories-linked",
            image(|image| {
                let root = image.root();
                for name in ["a", "b"] {
                    let directory = image.add(root, Entry { link_group: 0x77, ..Entry::directory(name) });
                    image.add(directory, Entry::file("inside.txt", name));
                }
            })
            .to_bytes(),
            "two directories with the same hard-link group",
            "make a directory with two parents",
            Recovered(""),
        ),
    ]
}

fn streams() -> Vec<Fixture> {
    let encrypted = Entry::file("odd", "raw encrypted data").stream("stream", "more").attributes(ENCRYPTED);
    let reparse = |data: Vec<u8>| entry_of(Entry::reparse_point("odd", TAG_SYMLINK, data));
    vec![
        one(
            5,
            "missing-blob",
            missing_blob().to_bytes(),
            "a file whose hash is not in the blob table, as after a failed edit",
            "refuse the whole image, or write an empty file",
            Damaged("content with SHA-1 abababab"),
        )
        .build(3),
        one(
            5,
            "encrypted-with-streams",
            entry_of(encrypted),
            "an encrypted file with a named stream, where the raw form holds all streams in one",
            "extract the raw form as the file's data",
            Recovered("has 1 streams without a meaning, ignored them"),
        )
        .build(4),
        reparse_17_kib(),
        one(
            5,
            "reparse-cut",
            reparse(vec![0xFF; 11]),
            "a symbolic link whose names lie 64 KiB behind its eleven bytes",
            "read a target from behind the buffer",
            Recovered(""),
        ),
        one(
            5,
            "reparse-leads-out",
            reparse(crate::wimfile::symlink_data("..\\..\\..\\etc\\passwd")),
            "a symbolic link to `..\\..\\..\\etc\\passwd`",
            "make it, and write through it what comes next",
            Recovered(""),
        ),
        one(
            5,
            "streams-twice",
            entry_of(Entry::file("odd", "data").stream("same", "1").stream("same", "2")),
            "two named streams of one name",
            "write the second over the first, or after it",
            Recovered("has 1 streams without a meaning, ignored them"),
        ),
    ]
}

/// Zeros, in one XPRESS chunk that is right: a reparse buffer can have 16 KiB.
fn reparse_17_kib() -> Fixture {
    use super::encoders::xpress::{Op, PLAIN, encode};
    use sha1::{Digest, Sha1};
    let (chunk, content) = encode(&[Op::Literal(0), Op::Match { length: 17 << 10, offset: 1 }], PLAIN, 1);
    let sha1 = Sha1::digest(&content).into();
    let mut bytes = entry_of(Entry {
        reparse: Some(Reparse { tag: TAG_SYMLINK, data: Content::Absent(sha1) }),
        ..Entry::reparse_point("odd", TAG_SYMLINK, "")
    });
    put(&mut bytes, 0x10, &words(&[0x2_0002, 0x8000]));
    let fields = resource(bytes.len() as u64, chunk.len() as u64, content.len() as u64, 4);
    bytes.extend(chunk);
    add_entries(&mut bytes, &[entry(fields, 1, 1, sha1)]);
    one(
        5,
        "reparse-17-kib",
        bytes,
        "a symbolic link with reparse data of 17 KiB; Windows' limit is 16",
        "copy it to a buffer of 16 KiB",
        Recovered(""),
    )
    .build(1)
}
