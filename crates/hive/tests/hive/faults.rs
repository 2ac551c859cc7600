//! The checker finds each of many single faults, by its name.

use wimforge_hive::check::{Code, Severity};
use wimforge_hive::{FileTime, Hive, Kind, check};

use crate::fixture::{self, DESCRIPTOR};
use crate::raw::Raw;

const NIL: u32 = u32::MAX;

struct Fault {
    name: &'static str,
    code: Code,
    severity: Severity,
    /// The minor version of the hive.
    minor: u32,
    make: fn(&mut Raw),
}

const fn error(name: &'static str, code: Code, make: fn(&mut Raw)) -> Fault {
    Fault { name, code, severity: Severity::Error, minor: 5, make }
}

const fn warning(name: &'static str, code: Code, make: fn(&mut Raw)) -> Fault {
    Fault { name, code, severity: Severity::Warning, minor: 5, make }
}

const fn note(name: &'static str, code: Code, make: fn(&mut Raw)) -> Fault {
    Fault { name, code, severity: Severity::Note, minor: 5, make }
}

const fn old(fault: Fault) -> Fault {
    Fault { minor: 3, ..fault }
}

/// The values of `alpha`, in their order.
const NUMBER: usize = 1;
const TEXT: usize = 2;
const EMPTY: usize = 5;
const BIG: usize = 6;

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    error("signature of the base block", Code::BaseBlock, |r| r.0[0] = b'R'),
    error("checksum", Code::Checksum, |r| r.0[0x1FC] ^= 1),
    error("type of a log", Code::BaseBlock, |r| { r.put(0x1C, 1); r.sum() }),
    error("format", Code::BaseBlock, |r| { r.put(0x20, 2); r.sum() }),
    error("minor version", Code::BaseBlock, |r| { r.put(0x18, 9); r.sum() }),
    error("major version", Code::BaseBlock, |r| { r.put(0x14, 2); r.sum() }),
    warning("clustering factor", Code::BaseBlock, |r| { r.put(0x2C, 8); r.sum() }),
    warning("sequence numbers", Code::Dirty, |r| { r.put(4, 9); r.sum() }),
    error("size of the bins is odd", Code::BinsSize, |r| { r.add(0x28, 8); r.sum() }),
    error("size of the bins is zero", Code::BinsSize, |r| { r.put(0x28, 0); r.sum() }),
    error("end of the file missing", Code::BinsSize, |r| { let len = r.0.len(); r.0.truncate(len - 4096) }),
    note("bytes behind the hive", Code::Trailing, |r| r.0.extend([0; 100])),
    error("signature of a bin", Code::Bin, |r| r.0[0x2000] = 0),
    error("offset of a bin", Code::Bin, |r| r.put(0x2004, 0x2000)),
    error("size of a bin", Code::Bin, |r| r.put(0x1008, 0x1008)),
    error("bin beyond the end", Code::Bin, |r| r.put(0x1008, 0x1000_0000)),
    error("cell of no size", Code::Cell, |r| { let at = r.key("Beta") - 4; r.put(at, 0) }),
    error("cell of odd size", Code::Cell, |r| { let at = r.key("Beta") - 4; r.add(at, 1) }),
    error("cell across bins", Code::Cell, |r| { let at = r.key("Beta") - 4; r.put(at, 0xFFFF_0000) }),
    error("used cell marked free", Code::Reference, |r| {
        let at = r.key("Beta") - 4; let size = r.u32(at); r.put(at, size.wrapping_neg())
    }),
    error("root cell", Code::Reference, |r| { r.put(0x24, 0x28); r.sum() }),
    error("signature of a key", Code::Key, |r| { let at = r.key("Beta"); r.0[at] = b'x' }),
    error("signature of the root", Code::Key, |r| { let at = r.root(); r.0[at] = b'x' }),
    warning("flags of the root", Code::RootFlags, |r| { let at = r.root(); r.put16(at + 2, 0x20) }),
    warning("flags of a root elsewhere", Code::KeyFlags, |r| { let at = r.key("Beta"); r.put16(at + 2, 0x24) }),
    error("flags of a volatile key", Code::KeyFlags, |r| { let at = r.key("Beta"); r.put16(at + 2, 0x21) }),
    error("name longer than its cell", Code::KeyName, |r| { let at = r.key("Beta"); r.put16(at + 0x48, 200) }),
    error("no name", Code::KeyName, |r| { let at = r.key("Beta"); r.put16(at + 0x48, 0) }),
    error("odd length of a UTF-16 name", Code::KeyName, |r| {
        let at = r.key("#4"); let len = r.u16(at + 0x48); assert_eq!(len, 10); r.put16(at + 0x48, 9)
    }),
    warning("backslash in a name", Code::KeyName, |r| {
        let at = r.key("Beta"); r.0[at + 79] = b'\\'; let list = r.follow(r.root() + 0x1C); r.put(list + 16, 0x0034_8077)
    }),
    error("parent", Code::Parent, |r| { let at = r.key("Beta"); let other = Raw::cell(r.key("alpha")); r.put(at + 0x10, other) }),
    error("class name not there", Code::Reference, |r| { let at = r.key("alpha"); r.put(at + 0x30, NIL) }),
    error("class name too long", Code::Class, |r| { let at = r.key("alpha"); r.put16(at + 0x4A, 500) }),
    note("volatile subkeys", Code::Volatile, |r| { let at = r.key("alpha"); r.put(at + 0x18, 1) }),
    error("one subkey too many", Code::SubkeyCount, |r| { let at = r.root(); r.add(at + 0x14, 1) }),
    error("one subkey too few", Code::SubkeyCount, |r| { let at = r.root(); r.add(at + 0x14, -1) }),
    error("no subkeys, but a list", Code::SubkeyCount, |r| { let at = r.key("alpha"); r.put(at + 0x14, 0) }),
    error("no list of subkeys", Code::Reference, |r| { let at = r.key("alpha"); r.put(at + 0x1C, NIL) }),
    error("signature of a list", Code::SubkeyList, |r| { let at = r.root(); let list = r.follow(at + 0x1C); r.0[list] = b'x' }),
    error("list longer than its cell", Code::SubkeyList, |r| { let at = r.root(); let list = r.follow(at + 0x1C); r.put16(list + 2, 900) }),
    error("empty list", Code::SubkeyList, |r| { let at = r.root(); let list = r.follow(at + 0x1C); r.put16(list + 2, 0) }),
    error("list of lists in one", Code::SubkeyList, |r| {
        let at = r.key("many"); let list = r.follow(at + 0x1C); let leaf = r.follow(list + 4); r.0[leaf + 1] = b'i'; r.0[leaf] = b'r'
    }),
    old(warning("list of a later version", Code::SubkeyListKind, |r| {
        let at = r.key("alpha"); let list = r.follow(at + 0x1C); r.0[list + 1] = b'h';
        let hash = b"BELOW".iter().fold(0u32, |hash, &byte| hash.wrapping_mul(37).wrapping_add(byte.into())); r.put(list + 8, hash)
    })),
    error("subkeys not in order", Code::SubkeyOrder, |r| {
        let at = r.root(); let list = r.follow(at + 0x1C);
        let (head, tail) = r.0[list + 4..list + 20].split_at_mut(8); head.swap_with_slice(tail)
    }),
    error("two subkeys of a name", Code::SubkeyDuplicate, |r| { let at = r.key("many\\key 1001"); r.0[at + 76 + 7] = b'0' }),
    error("hash", Code::SubkeyHash, |r| { let at = r.root(); let list = r.follow(at + 0x1C); r.0[list + 8] ^= 1 }),
    old(error("hint", Code::SubkeyHash, |r| { let at = r.root(); let list = r.follow(at + 0x1C); r.0[list + 9] ^= 1 })),
    error("key listed twice", Code::CellShared, |r| {
        let at = r.root(); let list = r.follow(at + 0x1C); let first = r.u32(list + 4); r.put(list + 12, first)
    }),
    error("loop of keys", Code::CellShared, |r| {
        let at = r.key("alpha\\below"); let list = r.follow(at + 0x1C); let root = Raw::cell(r.root()); r.put(list + 4, root)
    }),
    error("subkey is no key", Code::Key, |r| {
        let at = r.root(); let list = r.follow(at + 0x1C); let class = r.u32(r.key("alpha") + 0x30); r.put(list + 4, class)
    }),
    error("key taken out of its list", Code::LostKey, |r| {
        let at = r.root(); let list = r.follow(at + 0x1C); r.add(at + 0x14, -1); let count = r.u16(list + 2); r.put16(list + 2, count - 1)
    }),
    error("path of 599 keys", Code::Depth, |r| {
        let mut deep = Hive::new(5, "root", DESCRIPTOR, FileTime(0)).unwrap();
        for top in ["a", "b"] { deep.root_mut().create(&vec![top; 300].join("\\")).unwrap(); }
        *r = Raw(deep.to_bytes().unwrap());
        let (end, other) = (r.key(&vec!["a"; 300].join("\\")), r.key("b"));
        let list = r.u32(other + 0x1C);
        r.put(end + 0x14, 1); r.put(end + 0x1C, list);
        r.put(other + 0x14, 0); r.put(other + 0x1C, NIL);
    }),
    warning("longest name of a subkey", Code::Maxima, |r| { let at = r.root(); r.put16(at + 0x34, 4) }),
    warning("longest class name of a subkey", Code::Maxima, |r| { let at = r.root(); r.put(at + 0x38, 4) }),
    warning("longest name of a value", Code::Maxima, |r| { let at = r.key("alpha"); r.put(at + 0x3C, 4) }),
    warning("largest value", Code::Maxima, |r| { let at = r.key("alpha"); r.put(at + 0x40, 4) }),
    error("more values than listed", Code::ValueList, |r| { let at = r.key("alpha"); r.put(at + 0x24, 1000) }),
    error("no values, but a list", Code::ValueList, |r| { let at = r.key("alpha"); r.put(at + 0x24, 0) }),
    error("no list of values", Code::Reference, |r| { let at = r.key("alpha"); r.put(at + 0x28, NIL) }),
    error("value leads nowhere", Code::Reference, |r| { let at = r.key("alpha"); let list = r.follow(at + 0x28); r.add(list, 8) }),
    error("value listed twice", Code::CellShared, |r| {
        let at = r.key("alpha"); let list = r.follow(at + 0x28); let first = r.u32(list); r.put(list + 4, first)
    }),
    error("signature of a value", Code::Value, |r| { let at = r.value(r.key("alpha"), TEXT); r.0[at] = b'x' }),
    error("name of a value longer than its cell", Code::ValueName, |r| { let at = r.value(r.key("alpha"), TEXT); r.put16(at + 2, 999) }),
    error("two values of a name", Code::ValueDuplicate, |r| {
        let at = r.value(r.key("alpha"), TEXT); r.0[at + 20..at + 24].copy_from_slice(b"EMPT");
        let at = r.value(r.key("alpha"), EMPTY); r.put16(at + 2, 4)
    }),
    error("no data", Code::Reference, |r| { let at = r.value(r.key("alpha"), TEXT); r.put(at + 8, NIL) }),
    error("data longer than their cell", Code::ValueData, |r| { let at = r.value(r.key("alpha"), TEXT); r.put(at + 4, 5000) }),
    error("five bytes in the record", Code::ValueData, |r| { let at = r.value(r.key("alpha"), NUMBER); r.put(at + 4, 0x8000_0005) }),
    error("cell for no data", Code::ValueData, |r| { let at = r.value(r.key("alpha"), TEXT); r.put(at + 4, 0) }),
    warning("data that nothing leads to", Code::Unreferenced, |r| {
        let at = r.value(r.key("alpha"), TEXT); r.put(at + 4, 0x8000_0000)
    }),
    error("signature of a big value", Code::BigData, |r| { let at = r.follow(r.value(r.key("alpha"), BIG) + 8); r.0[at] = b'x' }),
    error("number of segments", Code::BigData, |r| { let at = r.follow(r.value(r.key("alpha"), BIG) + 8); r.put16(at + 2, 2) }),
    error("list of segments", Code::Reference, |r| { let at = r.follow(r.value(r.key("alpha"), BIG) + 8); r.put(at + 4, NIL) }),
    error("segment too short", Code::BigData, |r| {
        let list = r.follow(r.follow(r.value(r.key("alpha"), BIG) + 8) + 4); let class = r.u32(r.key("alpha") + 0x30);
        r.put(list, class); let at = r.key("alpha"); r.put16(at + 0x4A, 0)
    }),
    old(error("big value in one cell", Code::BigData, |r| { r.put(0x18, 5); r.sum() })),
    error("signature of a descriptor", Code::Security, |r| { let at = r.follow(r.root() + 0x2C); r.0[at] = b'x' }),
    error("descriptor longer than its cell", Code::Security, |r| { let at = r.follow(r.root() + 0x2C); r.put(at + 0x10, 5000) }),
    error("revision of a descriptor", Code::SecurityDescriptor, |r| { let at = r.follow(r.root() + 0x2C); r.0[at + 20] = 2 }),
    error("owner outside the descriptor", Code::SecurityDescriptor, |r| { let at = r.follow(r.root() + 0x2C); r.put(at + 24, 200) }),
    error("entry longer than its list of rights", Code::SecurityDescriptor, |r| { let at = r.follow(r.root() + 0x2C); r.put16(at + 20 + 46, 200) }),
    error("count of a descriptor", Code::SecurityCount, |r| { let at = r.follow(r.root() + 0x2C); r.add(at + 0xC, 1) }),
    error("no descriptor", Code::Reference, |r| { let at = r.key("Beta"); r.put(at + 0x2C, NIL) }),
    error("another's descriptor", Code::SecurityCount, |r| { let other = r.u32(r.root() + 0x2C); let at = r.key("Beta"); r.put(at + 0x2C, other) }),
    error("next descriptor", Code::SecurityRing, |r| { let at = r.follow(r.root() + 0x2C); r.put(at + 4, NIL) }),
    error("previous descriptor", Code::SecurityRing, |r| { let at = r.follow(r.root() + 0x2C); r.put(at + 8, NIL) }),
    error("descriptor outside the ring", Code::SecurityRing, |r| {
        let (root, beta) = (r.follow(r.root() + 0x2C), r.follow(r.key("Beta") + 0x2C));
        let third = r.follow(beta + 4); r.put(root + 4, Raw::cell(third)); r.put(third + 8, Raw::cell(root))
    }),
    warning("link without a target", Code::Symlink, |r| { let at = r.key("Beta"); r.put16(at + 2, 0x30) }),
];

#[test]
fn each_is_found() {
    for fault in FAULTS {
        let mut raw = Raw(fixture::bytes(fault.minor, true));
        (fault.make)(&mut raw);
        let report = check(&raw.0);
        assert!(report.has(fault.code, fault.severity), "{}: {:?}\n{report}", fault.name, fault.code);
        match fault.severity {
            Severity::Error => assert!(!report.is_clean()),
            _ => assert!(report.is_clean(), "{}: {report}", fault.name),
        }
        // Reading it does not panic, and what was read can be written.
        if let Ok(hive) = Hive::parse_without_logs(&raw.0) {
            hive.to_bytes().unwrap();
        }
    }
    assert!(FAULTS.len() >= 60);
}

#[test]
fn every_code_has_a_fault() {
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|&&code| code != Code::ValueSize && !FAULTS.iter().any(|fault| fault.code == code))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn findings_say_where() {
    let mut raw = Raw(fixture::bytes(5, true));
    let at = raw.key("alpha\\below");
    raw.put(at + 0x10, 8);
    let report = check(&raw.0);
    let [found] = &report.findings[..] else { panic!("{report}") };
    assert_eq!(
        (found.code, found.offset, found.path.as_deref()),
        (Code::Parent, at as u64 - 4, Some("alpha\\below"))
    );
    let expected = Raw::cell(raw.key("alpha"));
    let text =
        format!("error: parent: alpha\\below: parent at 0x8, expected {expected:#x} (offset {:#x})", at - 4);
    assert_eq!(found.to_string(), text);
}

#[test]
fn findings_are_bounded() {
    let mut raw = Raw(fixture::bytes(5, true));
    for key in raw.subkeys(raw.key("many")) {
        raw.put(key + 0x10, 8);
    }
    let report = check(&raw.0);
    assert_eq!((report.errors, report.findings.len(), report.more[0].count), (1100, 20, 1080));
    assert!(report.to_string().contains("parent: and 1080 more\n"));
}

#[test]
fn a_value_too_large_for_windows_is_a_warning() {
    let mut hive = fixture::hive(5, false);
    hive.root_mut().set("huge", Kind::BINARY, vec![1; (1 << 20) + 100]).unwrap();
    let raw = Raw(hive.to_bytes().unwrap());
    assert!(check(&raw.0).findings.is_empty());
    // The same in one cell is what hivex would write in version 1.3; this crate refuses to.
    let mut bytes = hive.to_bytes().unwrap();
    let size = (1usize << 20) + 0x2000;
    let bin = (bytes.len() - 4096) as u32;
    bytes.extend(b"hbin");
    bytes.extend(bin.to_le_bytes());
    bytes.extend((size as u32).to_le_bytes());
    bytes.resize(bytes.len() + 20, 0);
    bytes.extend((-(size as i32 - 32)).to_le_bytes());
    bytes.resize(bytes.len() + size - 36, 0);
    let mut raw = Raw(bytes);
    raw.put(0x18, 3);
    raw.put(0x28, bin + size as u32);
    raw.sum();
    let value = raw.value(raw.root(), 0);
    raw.put(value + 8, bin + 32);
    let report = check(&raw.0);
    assert!(report.has(wimforge_hive::check::Code::ValueSize, Severity::Warning), "{report}");
}
