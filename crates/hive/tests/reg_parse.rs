//! What `.reg` files say, in every spelling that regedit, Wine and hivexregedit have for it, and what is refused.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use wimforge_hive::reg::{Change, Encoding, Error, RegFile, Version};
use wimforge_hive::{Kind, data};

const V5: &str = "Windows Registry Editor Version 5.00\r\n\r\n";

/// The operations of a file, as text: `[key]`, `[-key]`, `name type hex` and `-name`.
#[track_caller]
fn read(bytes: &[u8]) -> Vec<String> {
    let file = RegFile::parse(bytes).unwrap_or_else(|error| panic!("{error}"));
    let show = |operation: &wimforge_hive::reg::Operation| match &operation.change {
        Change::CreateKey => format!("[{}]", operation.key),
        Change::DeleteKey => format!("[-{}]", operation.key),
        Change::SetValue { name, kind, data } => {
            let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name} {:x} {hex}", kind.0)
        }
        Change::DeleteValue { name } => format!("-{name}"),
    };
    file.operations.iter().map(show).collect()
}

/// Type and data of the only value of a file.
#[track_caller]
fn value(version: &str, text: &str) -> (Kind, Vec<u8>) {
    let file = RegFile::parse(format!("{version}[K]\r\n\"n\"={text}\r\n").as_bytes());
    let file = file.unwrap_or_else(|error| panic!("{text}: {error}"));
    match &file.operations[1].change {
        Change::SetValue { kind, data, .. } => (*kind, data.clone()),
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn fails(text: &str) -> String {
    RegFile::parse(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn every_form_of_data() {
    let is = |text: &str, kind: u32, data: &[u8]| {
        assert_eq!(value(V5, text), (Kind(kind), data.to_vec()), "{text}")
    };
    is("\"\"", 1, &data::sz(""));
    is("\"C:\\\\a \\\"b\\\"\"", 1, &data::sz("C:\\a \"b\""));
    is("\"two\r\nlines\n\"", 1, &data::sz("two\r\nlines\n"));
    is("dword:1", 4, &[1, 0, 0, 0]);
    is("dword:DEADbeef", 4, &[0xEF, 0xBE, 0xAD, 0xDE]);
    is("DWORD: 00000010", 4, &[16, 0, 0, 0]);
    is("hex:", 3, &[]);
    is("hex:0,a,FF", 3, &[0, 10, 255]);
    is("hex:01,02,", 3, &[1, 2]);
    is("hex(3):9e,aa", 3, &[0x9E, 0xAA]);
    is("hex(2):41,00,00,00", 2, &data::sz("A"));
    is("hex(0):", 0, &[]);
    is("hex(b):01,00,00,00,00,00,00,80", 11, &0x8000_0000_0000_0001_u64.to_le_bytes());
    is("hex(ffff0012):01", 0xFFFF_0012, &[1]);
    is("hex(100000):", 0x10_0000, &[]);
    is("str:\"abc\"", 1, &data::sz("abc"));
    is("str(2):\"%x%\"", 2, &data::sz("%x%"));
    is("str(7):\"a\\0b\\0\"", 7, &data::multi_sz(["a", "b"]));
    is("str(1):\"a\\r\\nb\"", 1, &data::sz("a\r\nb"));
    // Blanks and comments.
    is("\t\"a;b\" ; comment \"x\"", 1, &data::sz("a;b"));
    is(" dword:2;comment", 4, &[2, 0, 0, 0]);
    is("hex:01, 02 ,03 ; comment", 3, &[1, 2, 3]);
}

#[test]
fn bytes_go_on_over_lines() {
    let is = |text: &str, data: &[u8]| assert_eq!(value(V5, text), (Kind::BINARY, data.to_vec()), "{text:?}");
    is("hex:01,\\\r\n  02,\\\r\n  03", &[1, 2, 3]);
    is("hex:01,\\   \n02", &[1, 2]);
    is("hex:\\\n  01,02", &[1, 2]);
    is("hex:01,\\ ; why\n  02,\\\n  ; because\n\n  03 ; done", &[1, 2, 3]);
    is("hex:01,\\\r02", &[1, 2]);
}

#[test]
fn a_file_with_everything() {
    let text = "\
Windows Registry Editor Version 5.00

; comment
[HKEY_LOCAL_MACHINE\\SOFTWARE\\a]
@=\"default\"
\"name\"=dword:5
  \"in\\\\dented\" = dword:6
\"gone\"=-
@=-
[-HKEY_LOCAL_MACHINE\\SOFTWARE\\b] ; without an empty line before
[HKLM\\SYSTEM\\x [1];]\\-y]
[\\]
[\\relative\\]
\"\\\"\"=hex(7):";
    let expected = [
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\a]",
        " 1 640065006600610075006c0074000000",
        "name 4 05000000",
        "in\\dented 4 06000000",
        "-gone",
        "-",
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\b]",
        "[HKLM\\SYSTEM\\x [1];]\\-y]",
        "[\\]",
        "[\\relative]",
        "\" 7 ",
    ];
    assert_eq!(read(text.as_bytes()), expected);
    // However lines end.
    assert_eq!(read(text.replace('\n', "\r\n").as_bytes()), expected);
    assert_eq!(read(text.replace('\n', "\r").as_bytes()), expected);
    // However it is encoded.
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&[&[0xFF, 0xFE], &wide[..]].concat()), expected);
    assert_eq!(read(&wide), expected);
    assert_eq!(read(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()), expected);
    // Without a header, as other tools write it.
    let (_, body) = text.split_once('\n').unwrap();
    assert_eq!(read(body.as_bytes()), expected);
    assert_eq!(RegFile::parse(body.as_bytes()).unwrap().version, None);
    // With operations' lines.
    let lines: Vec<u32> =
        RegFile::parse(text.as_bytes()).unwrap().operations.iter().map(|o| o.line).collect();
    assert_eq!(lines, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
}

#[test]
fn lines_count_through_strings_and_continuations() {
    let text = "REGEDIT4\r\n[K]\r\n\"a\"=\"x\r\ny\r\nz\"\r\n\"b\"=hex:1,\\\r\n 2\r\n\"c\"=-\r\n";
    let lines: Vec<u32> =
        RegFile::parse(text.as_bytes()).unwrap().operations.iter().map(|o| o.line).collect();
    assert_eq!(lines, [2, 3, 6, 8]);
}

#[test]
fn regedit4_is_ansi() {
    let ansi = b"REGEDIT4\r\n\r\n[K\xF6ln]\r\n\"\x80\"=\"\xFC\"\r\n\"e\"=hex(2):25,80,00\r\n\"m\"=hex(7):61,00,fc,00,00\r\n\"b\"=hex(1):61,00\r\n";
    let file = RegFile::parse(ansi).unwrap();
    assert_eq!((file.version, file.encoding), (Some(Version::Regedit4), Encoding::Ansi));
    let euro = data::sz("%€");
    let multi = data::multi_sz(["a", "ü"]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected = [
        "[Köln]".to_owned(),
        "€ 1 fc000000".to_owned(),
        format!("e 2 {}", hex(&euro)),
        format!("m 7 {}", hex(&multi)),
        "b 1 6100".to_owned(),
    ];
    assert_eq!(read(ansi), expected);
    // The same types in version 5.00 are UTF-16 whatever the file is encoded in.
    assert_eq!(value(V5, "hex(2):25,00,80,00,00,00").1, [0x25, 0, 0x80, 0, 0, 0]);
}

#[test]
fn names_may_be_any_units() {
    let units: Vec<u16> = "Windows Registry Editor Version 5.00\r\n[K\\"
        .encode_utf16()
        .chain([0xD800])
        .chain("]\r\n\"".encode_utf16())
        .chain([0xDC00, 0, 0x0A])
        .chain("\"=\"".encode_utf16())
        .chain([0xDFFF])
        .chain("\"\r\n".encode_utf16())
        .collect();
    let bytes: Vec<u8> = [0xFEFF].into_iter().chain(units).flat_map(u16::to_le_bytes).collect();
    let file = RegFile::parse(&bytes).unwrap();
    assert_eq!(file.operations[0].key.names()[1].units(), [0xD800]);
    let Change::SetValue { name, data, .. } = &file.operations[1].change else { panic!() };
    assert_eq!(name.units(), [0xDC00, 0, 0x0A]);
    assert_eq!(data, &[0xFF, 0xDF, 0, 0]);
}

#[test]
fn errors_say_where_and_what() {
    let head = "Windows Registry Editor Version 5.00\n";
    let is = |body: &str, expected: &str| {
        let found = fails(&format!("{head}{body}"));
        assert!(found.starts_with(expected), "{body:?}: {found}");
    };
    is("[K", "line 2, column 3: found the end of the file, expected `]`");
    is("[K\n", "line 2, column 3: found the end of the line, expected `]`");
    is("[]", "line 2, column 2: found \"]\", expected the name of a key");
    is("[-]", "line 2, column 3: found \"]\", expected the name of a key");
    is("[a\\\\b]", "line 2, column 4: found \"\\\\b]\", expected the name of a key between");
    is("[K] x", "line 2, column 5: found \"x\"");
    is("[K]x", "line 2, column 4: found \"x\"");
    is(
        "\"a\"=\"b\"",
        "line 2, column 1: found \"\\\"a\\\"=\\\"b\\\"\", expected a key in brackets before any value",
    );
    is(
        "[-K]\n\"a\"=-",
        "line 3, column 1: found \"\\\"a\\\"=-\", expected a key in brackets, since the one before is deleted",
    );
    is("[K]\nname=dword:1", "line 3, column 1: found \"name=dword:1\", expected a key in brackets, a value");
    is("[K]\n\"a\"", "line 3, column 4: found the end of the file, expected `=`");
    is("[K]\n\"a\"=", "line 3, column 5: found the end of the file, expected a string in quotes, `dword:`");
    is("[K]\n\"a\"=b", "line 3, column 5: found \"b\", expected a string in quotes");
    is("[K]\n\"a\"=qword:1", "line 3, column 5: found \"qword:1\", expected a string in quotes");
    is("[K]\n\"a\"=dword(1):1", "line 3, column 5: found");
    is("[K]\n\"a\"=\"open\n[L]\n", "line 3, column 5: found \"\\\"open\", expected a string that ends");
    is(
        "[K]\n\"ä\u{1d11e}\"=\"C:\\Windows\"",
        "line 3, column 9: found \"\\\\Windows\\\"\", expected `\\\\` for a backslash",
    );
    is("[K]\n\"a\"=\"b\" c", "line 3, column 9: found \"c\", expected the end of the line");
    is("[K]\n\"a\"=dword:", "line 3, column 11: found the end of the file, expected 1 to 8");
    is("[K]\n\"a\"=dword:123456789", "line 3, column 11: found \"123456789\", expected 1 to 8");
    is("[K]\n\"a\"=dword:12g", "line 3, column 13: found \"g\", expected the end of the line");
    is("[K]\n\"a\"=dword:-1", "line 3, column 11: found \"-1\", expected 1 to 8");
    is("[K]\n\"a\"=hex():1", "line 3, column 9: found \"):1\", expected the number of a type");
    is("[K]\n\"a\"=hex(2:1", "line 3, column 10: found \":1\", expected `)`");
    is("[K]\n\"a\"=hex(100000000):1", "line 3, column 9: found");
    is("[K]\n\"a\"=hex(2)1", "line 3, column 11: found \"1\", expected `:`");
    is("[K]\n\"a\"=hex:123", "line 3, column 9: found \"123\", expected a byte");
    is("[K]\n\"a\"=hex:1 2", "line 3, column 11: found \"2\", expected `,`");
    is("[K]\n\"a\"=hex:1,,2", "line 3, column 11: found \",2\", expected a byte");
    is("[K]\n\"a\"=hex:01,\n  02", "line 4, column 3: found \"02\"");
    is("[K]\n\"a\"=hex:01,\\", "line 3, column 13: found the end of the file, expected more bytes");
    is("[K]\n\"a\"=hex:01,\\\n", "line 4, column 1: found the end of the file, expected more bytes");
    is("[K]\n\"a\"=hex:01,\\\n[L]", "line 4, column 1: found \"[L]\", expected more bytes");
    is("[K]\n\"a\"=hex:01,\\x\n02", "line 3, column 13: found \"x\", expected the end of the line after");
    is("[K]\n\"a\"=hex:01\\\n,02", "line 3, column 11: found \"\\\\\", expected `,`");
    is("[K]\n\"a\"=str:1", "line 3, column 9: found \"1\", expected a string");
}

#[test]
fn other_files_are_refused() {
    assert!(
        fails("hello").starts_with("line 1, column 1: found \"hello\", expected \"Windows Registry Editor")
    );
    assert!(fails("\n\nMZ\u{90}").starts_with("line 3, column 1"));
    for version in ["REGEDIT", "REGEDIT5", "Windows Registry Editor Version 6.00"] {
        let error = RegFile::parse(format!("{version}\n[K]\n").as_bytes()).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(what) if what.contains(version)), "{error}");
    }
    assert_eq!(read(b""), [""; 0]);
    assert_eq!(read(V5.as_bytes()), [""; 0]);
}

#[test]
fn names_are_as_long_as_windows_allows() {
    let key = |len: usize, depth: usize| format!("{V5}[{}]", vec!["k".repeat(len); depth].join("\\"));
    assert_eq!(read(key(255, 3).as_bytes()).len(), 1);
    assert!(fails(&key(256, 1)).contains("line 3, column 2: length of a key's name 256 exceeds 255"));
    assert_eq!(read(key(1, 512).as_bytes()).len(), 1);
    assert!(fails(&key(1, 513)).contains("depth of a key 513 exceeds 512"));
    let value = |len: usize| format!("{V5}[K]\n\"{}\"=-", "v".repeat(len));
    assert_eq!(read(value(16_383).as_bytes()).len(), 2);
    assert!(fails(&value(16_384)).contains("line 4, column 1: length of a value's name 16384 exceeds 16383"));
}

#[test]
fn the_samples_are_read() {
    let Some(samples) = testkit::samples() else { return };
    let read = |name: &str| RegFile::parse(&std::fs::read(samples.join("regfiles").join(name)).unwrap());
    for (name, count) in
        [("windows-bcd.reg", 232), ("windows-software-all.reg", 29), ("windows-system.reg", 12)]
    {
        let file = read(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file.operations.len(), count, "{name}");
    }
    // It says `"PathName"=str(1):"C:\Windows"`, of which other readers make `C:Windows`.
    let error = read("win10-software.reg").unwrap_err().to_string();
    assert_eq!(
        error,
        "line 26, column 22: found \"\\\\Windows\\\"\", expected `\\\\` for a backslash or `\\\"` for a quote"
    );
}
