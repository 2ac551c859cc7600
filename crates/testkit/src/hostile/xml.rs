//! Class 9: the XML data.

use super::Answer::{Recovered, Refused};
use super::Family::Unsupported;
use super::{Answer, Fixture, honest, one};
use crate::patch::{XML, replace, replace_xml};

pub(super) fn fixtures() -> Vec<Fixture> {
    let text = |name, text: &str, wrong, naive, answer: Answer| {
        let mut bytes = honest().to_bytes();
        replace_xml(&mut bytes, text);
        one(9, name, bytes, wrong, naive, answer)
    };
    let raw = |name, raw: &[u8], wrong, naive, answer: Answer| {
        let mut bytes = honest().to_bytes();
        replace(&mut bytes, XML, raw);
        one(9, name, bytes, wrong, naive, answer)
    };
    let plain = "<WIM><IMAGE INDEX=\"1\"><NAME>hostile</NAME></IMAGE></WIM>";
    let units: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deep = format!("<WIM>{}{}</WIM>", "<a>".repeat(500), "</a>".repeat(500));
    vec![
        raw(
            "no-mark",
            &units,
            "no byte order mark",
            "take it for UTF-8, and stop at the first zero",
            Recovered("UTF-16 without a byte order mark"),
        ),
        raw(
            "utf-8",
            plain.as_bytes(),
            "UTF-8",
            "find half as many units that make no text",
            Recovered("not UTF-16, read as UTF-8"),
        ),
        raw(
            "empty",
            &[],
            "no XML at all",
            "take the first two bytes from the buffer before",
            Recovered("describes 0 of 1 images"),
        ),
        raw(
            "odd-length",
            &[&[0xFF, 0xFE][..], &units, b"x"].concat(),
            "an odd number of bytes",
            "read half a unit from behind the buffer",
            Recovered(""),
        ),
        text(
            "cut",
            &plain[..plain.len() - 9],
            "the text ends inside an element",
            "wait for its end",
            Recovered("not well-formed, ignored the rest"),
        ),
        text(
            "entity-bomb",
            "<!DOCTYPE WIM [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \
             \"&b;&b;&b;&b;&b;&b;&b;&b;\"><!ENTITY d \"&c;&c;&c;&c;&c;&c;&c;&c;\">]><WIM><IMAGE INDEX=\"1\">\
             <NAME>&d;&d;&d;&d;&d;&d;&d;&d;x</NAME></IMAGE></WIM>",
            "entities that are made of others, eight times each: the name of the image has three bytes eight to the \
             fourth times, and one level more would be eight times that",
            "expand them",
            Recovered(""),
        ),
        text(
            "deep",
            &deep,
            "500 elements, one inside the other",
            "recurse",
            Recovered("more than 64 nested elements"),
        ),
        text(
            "index-twice",
            "<WIM><IMAGE INDEX=\"1\"><NAME>first</NAME></IMAGE><IMAGE INDEX=\"1\"><NAME>second</NAME></IMAGE></WIM>",
            "two descriptions of image 1",
            "build the one when the other is asked for",
            Recovered("several images have the same index, kept the first"),
        ),
        text(
            "index-gap",
            "<WIM><IMAGE INDEX=\"3\"><NAME>third</NAME></IMAGE></WIM>",
            "a description of image 3, and none of image 1",
            "count descriptions instead of images",
            Recovered("ignored an image whose index is not from 1 to 1"),
        ),
        text(
            "index-2-to-64",
            "<WIM><IMAGE INDEX=\"18446744073709551617\"><NAME>x</NAME></IMAGE></WIM>",
            "a description of image 2^64 + 1",
            "wrap around to image 1",
            Recovered("ignored an image whose index is not from 1 to 1"),
        ),
        text(
            "numbers",
            "<WIM><TOTALBYTES>-1</TOTALBYTES><IMAGE INDEX=\"1\"><DIRCOUNT>99999999999999999999</DIRCOUNT><TOTALBYTES>0x</TOTALBYTES><CREATIONTIME><HIGHPART>0xFFFFFFFF</HIGHPART><LOWPART>0xFFFFFFFF</LOWPART></CREATIONTIME><NAME>hostile</NAME></IMAGE></WIM>",
            "numbers that are none, that are too large, and a date in the year 60056",
            "show what the parser left over, or fail to convert the date",
            Recovered(""),
        ),
        text(
            "escapes",
            "<WIM><IMAGE INDEX=\"1\"><NAME>\u{1b}[2Jclear&#27;[31m</NAME><DESCRIPTION>two\nlines</DESCRIPTION></IMAGE></WIM>",
            "a name that clears a terminal's screen, plain and as a character reference",
            "print it",
            Recovered(""),
        ),
        text(
            "encrypted",
            "<WIM><ESD><ENCRYPTED/></ESD><IMAGE INDEX=\"1\"><NAME>hostile</NAME></IMAGE></WIM>",
            "the mark of an encrypted ESD file",
            "read on, and call every file damaged",
            Refused(Unsupported, "encrypted file (ESD)"),
        ),
    ]
}
