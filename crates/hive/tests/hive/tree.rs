//! The tree, and how it is written.

use std::sync::Arc;

use wimforge_hive::check::{Code, Severity};
use wimforge_hive::{Error, FileTime, Hive, Key, Kind, MAX_DEPTH, Name, Value, check, data, flags};

use crate::fixture::{self, DESCRIPTOR};
use crate::raw::Raw;

fn empty(minor: u32) -> Hive {
    Hive::new(minor, "root", DESCRIPTOR, FileTime(9)).unwrap()
}

#[test]
fn a_new_hive_is_two_pages() {
    for minor in 3..=6 {
        let hive = empty(minor);
        let bytes = hive.to_bytes().unwrap();
        assert_eq!(bytes.len(), 8192);
        assert!(check(&bytes).findings.is_empty());
        let again = Hive::parse(&bytes).unwrap();
        assert_eq!((again.minor(), again.sequence(), again.written()), (minor, 1, FileTime(9)));
        assert_eq!(again.root().flags(), flags::ROOT);
        assert!(again == hive);
    }
    for minor in [0, 2, 7] {
        assert!(matches!(Hive::new(minor, "root", DESCRIPTOR, FileTime(9)), Err(Error::Unsupported { .. })));
    }
}

#[test]
fn the_same_bytes_every_time() {
    assert_eq!(fixture::bytes(5, true), fixture::bytes(5, true));
    // Another history, the same tree.
    let mut hive = fixture::hive(5, false);
    hive.root_mut().create("later\\gone").unwrap();
    hive.root_mut().remove("LATER").unwrap();
    assert_eq!(hive.to_bytes().unwrap(), fixture::bytes(5, false));
}

#[test]
fn lists_are_those_of_the_version() {
    for minor in 3..=6 {
        for count in [1, 506, 507, 508, 1014, 1015, 3000] {
            let mut hive = empty(minor);
            for i in 0..count {
                hive.root_mut().create(&format!("{i}")).unwrap();
            }
            let raw = Raw(hive.to_bytes().unwrap());
            let list = raw.follow(raw.root() + 0x1C);
            let leaf: &[u8] = if minor < 5 { b"lf" } else { b"lh" };
            let leaves = usize::from(raw.u16(list + 2));
            if count <= 507 {
                assert_eq!((&raw.0[list..list + 2], leaves), (leaf, count));
            } else {
                assert_eq!((&raw.0[list..list + 2], leaves), (&b"ri"[..], count.div_ceil(507)));
                for i in 0..leaves {
                    let at = raw.follow(list + 4 + 4 * i);
                    assert!(&raw.0[at..at + 2] == leaf && raw.u16(at + 2) <= 507);
                }
            }
            assert!(check(&raw.0).findings.is_empty());
            assert!(Hive::parse(&raw.0).unwrap() == hive);
        }
    }
}

#[test]
fn large_values_are_cut_from_version_4_on() {
    for minor in 3..=6 {
        for size in [0, 1, 4, 5, 16_343, 16_344, 16_345, 32_688, 32_689, 1_000_000] {
            let mut hive = empty(minor);
            hive.root_mut().set("v", Kind::BINARY, vec![7; size]).unwrap();
            let raw = Raw(hive.to_bytes().unwrap());
            let value = raw.value(raw.root(), 0);
            let stored = raw.u32(value + 4);
            if size <= 4 {
                assert_eq!(stored, size as u32 | 1 << 31);
            } else {
                assert_eq!(stored, size as u32);
                let data = raw.follow(value + 8);
                let cut = minor >= 4 && size > 16_344;
                assert_eq!(&raw.0[data..data + 2], if cut { b"db" } else { &[7, 7] }, "1.{minor}, {size}");
                if cut {
                    assert_eq!(usize::from(raw.u16(data + 2)), size.div_ceil(16_344));
                }
            }
            assert!(check(&raw.0).findings.is_empty());
            assert!(Hive::parse(&raw.0).unwrap() == hive);
        }
    }
}

#[test]
fn beyond_the_limits() {
    let limit = |hive: &Hive| match hive.to_bytes().unwrap_err() {
        Error::Limit { what, .. } => what,
        other => panic!("{other}"),
    };
    // A megabyte in one cell is too much for Windows.
    let mut hive = empty(3);
    hive.root_mut().set("v", Kind::BINARY, vec![7; 1 << 20]).unwrap();
    assert_eq!(limit(&hive), "size of a cell");
    // 512 levels, the root among them.
    let mut hive = empty(5);
    let path = vec!["k"; MAX_DEPTH - 1].join("\\");
    let key = hive.root_mut().create(&path).unwrap();
    key.set("v", Kind::DWORD, data::dword(1)).unwrap();
    let bytes = hive.to_bytes().unwrap();
    assert!(check(&bytes).findings.is_empty());
    assert_eq!(Hive::parse(&bytes).unwrap().root().open(&path).unwrap().values().len(), 1);
    hive.root_mut().open_mut(&path).unwrap().create("k").unwrap();
    assert_eq!(limit(&hive), "depth of a key");
    assert!(matches!(empty(5).root_mut().create(&vec!["k"; MAX_DEPTH].join("\\")), Err(Error::Limit { .. })));
    // Names.
    let mut hive = empty(5);
    let root = hive.root_mut();
    root.create(&"n".repeat(255)).unwrap();
    root.create(&"☃".repeat(255)).unwrap();
    assert!(matches!(root.create(&"n".repeat(256)), Err(Error::Name { .. })));
    root.set(&"v".repeat(16_383), Kind::NONE, []).unwrap();
    root.set(&"☃".repeat(16_383), Kind::NONE, []).unwrap();
    assert!(matches!(root.set(&"v".repeat(16_384), Kind::NONE, []), Err(Error::Name { .. })));
    root.set_class(Some(&[65; 0x7FFF])).unwrap();
    assert!(matches!(root.set_class(Some(&[65; 0x8000])), Err(Error::Limit { .. })));
    assert!(Key::new("", Arc::from(DESCRIPTOR), FileTime(0)).is_err());
    assert!(Key::new("a\\b", Arc::from(DESCRIPTOR), FileTime(0)).is_err());
    let bytes = hive.to_bytes().unwrap();
    assert!(check(&bytes).findings.is_empty());
    assert!(Hive::parse(&bytes).unwrap() == hive);
}

#[test]
fn names_are_compared_as_windows_does() {
    let mut hive = empty(5);
    let root = hive.root_mut();
    // Surrogates come before U+E000, `_` after the letters, and case does not count.
    let names = ["Z", "a", "_", "\u{E000}", "\u{1D11E}", "ß", "ä", "B"];
    for name in names {
        root.create(name).unwrap();
    }
    root.create("Ä\\x").unwrap();
    let order: Vec<String> = root.subkeys().map(|key| key.name().to_string()).collect();
    assert_eq!(order, ["a", "B", "Z", "_", "ä", "ß", "\u{1D11E}", "\u{E000}"]);
    // No Unicode at all.
    let odd = Name::from_units(vec![0xD800, 0x41]);
    assert_eq!((odd.to_text(), odd.to_string().as_str()), (None, "\u{FFFD}A"));
    root.insert(Key::new(odd.clone(), Arc::from(DESCRIPTOR), FileTime(0)).unwrap()).unwrap();
    assert!(root.subkey_named(&odd).is_some());
    root.set_value(Value::new(odd.clone(), Kind::NONE, []).unwrap());
    let again = Hive::parse(&hive.to_bytes().unwrap()).unwrap();
    assert!(again.root().subkey_named(&odd).is_some() && again.root().value_named(&odd).is_some());
    assert!(again == hive);
}

#[test]
fn an_order_that_was_broken_is_refused() {
    let mut hive = fixture::hive(5, false);
    let other = Key::new("zzz", Arc::from(DESCRIPTOR), FileTime(0)).unwrap();
    *hive.root_mut().subkey_mut("alpha").unwrap() = other;
    let error = hive.to_bytes().unwrap_err();
    assert!(error.to_string().starts_with("name \"Beta\" is out of order"), "{error}");
}

#[test]
fn values_of_all_types() {
    let mut hive = empty(5);
    let root = hive.root_mut();
    root.set("sz", Kind::SZ, data::sz("text")).unwrap();
    root.set("open", Kind::SZ, data::link("no end")).unwrap();
    root.set("odd", Kind::SZ, [65, 0, 0, 0, 7]).unwrap();
    root.set("half", Kind::SZ, [65, 0, 7]).unwrap();
    root.set("multi", Kind::MULTI_SZ, data::multi_sz(["a", "b"])).unwrap();
    root.set("big", Kind::DWORD_BE, 0x0102_0304u32.to_be_bytes()).unwrap();
    root.set("long", Kind::DWORD, data::qword(1)).unwrap();
    root.set("q", Kind::QWORD, data::qword(u64::MAX)).unwrap();
    let value = |name| root.value(name).unwrap();
    assert_eq!(value("SZ").as_str().as_deref(), Some("text"));
    assert_eq!(value("open").as_str().as_deref(), Some("no end"));
    assert_eq!(value("odd").as_str().as_deref(), Some("A"));
    assert_eq!(value("half").as_str(), None);
    assert_eq!(value("multi").as_multi().unwrap(), ["a", "b"]);
    assert_eq!((value("big").as_u32(), value("long").as_u32()), (Some(0x0102_0304), None));
    assert_eq!((value("q").as_u64(), value("big").as_u64()), (Some(u64::MAX), Some(0x0102_0304)));
    assert_eq!((value("multi").as_str(), value("sz").as_multi(), value("sz").as_u64()), (None, None, None));
    assert_eq!((Kind::SZ.to_string(), Kind(0xFFFF_0012).to_string()), ("REG_SZ".into(), "0xffff0012".into()));
    // A value that is set again keeps its place and its name.
    root.set("SZ", Kind::NONE, []).unwrap();
    assert_eq!((root.values().next().unwrap().name().to_string(), root.values().len()), ("sz".into(), 8));
}

#[test]
fn a_root_becomes_a_key() {
    let other = fixture::hive(3, false);
    let mut hive = empty(5);
    hive.root_mut().insert(other.root().clone().renamed("mounted").unwrap()).unwrap();
    let bytes = hive.to_bytes().unwrap();
    assert!(check(&bytes).findings.is_empty());
    let again = Hive::parse(&bytes).unwrap();
    assert_eq!(again.root().open(r"mounted\alpha").unwrap().values().len(), 6);
    assert_eq!(again.root().subkey("mounted").unwrap().flags(), 0);
}

#[test]
fn what_the_header_says_is_kept() {
    let mut raw = Raw(fixture::bytes(6, false));
    for at in (0x70..0x1FC).step_by(4) {
        raw.put(at, at as u32);
    }
    raw.put(0x2C, 1);
    raw.sum();
    let hive = Hive::parse(&raw.0).unwrap();
    assert_eq!(hive.file_name(), r"ystemRoot\System32\Config\SYSTEM"[1..].to_owned());
    let written = hive.to_bytes().unwrap();
    assert_eq!(written, raw.0);
    let mut hive = hive;
    hive.set_file_name("short");
    hive.set_written(FileTime(77));
    hive.set_sequence(1000);
    let again = Hive::parse(&hive.to_bytes().unwrap()).unwrap();
    assert_eq!(
        (again.file_name().as_str(), again.written(), again.sequence()),
        ("short", FileTime(77), 1000)
    );
}

#[test]
fn a_predefined_handle_is_kept() {
    let mut raw = Raw(fixture::bytes(5, false));
    let beta = raw.key("Beta");
    raw.put16(beta + 2, 0x60);
    raw.put(beta + 0x24, 0x8000_0060);
    let mut hive = Hive::parse(&raw.0).unwrap();
    assert!(check(&raw.0).findings.is_empty());
    assert_eq!(hive.to_bytes().unwrap(), raw.0);
    hive.root_mut().open_mut("Beta").unwrap().set("v", Kind::NONE, []).unwrap();
    assert!(matches!(hive.to_bytes(), Err(Error::Unsupported { .. })));
}

#[test]
fn other_lists_are_read() {
    // An `li` list has no hints; hivex puts more than 507 entries into a list and `lh` into every version.
    let mut raw = Raw(fixture::bytes(3, false));
    let alpha = raw.key("alpha");
    let list = raw.follow(alpha + 0x1C);
    raw.0[list + 1] = b'i';
    let hive = Hive::parse(&raw.0).unwrap();
    assert!(hive == fixture::hive(3, false));
    assert!(check(&raw.0).findings.is_empty());
    // Lists that are not sorted: an error for Windows, but nothing is lost.
    let mut raw = Raw(fixture::bytes(3, false));
    let list = raw.follow(raw.root() + 0x1C);
    let (head, tail) = raw.0[list + 4..list + 20].split_at_mut(8);
    head.swap_with_slice(tail);
    assert!(Hive::parse(&raw.0).unwrap() == fixture::hive(3, false));
    assert!(check(&raw.0).has(Code::SubkeyOrder, Severity::Error));
}
