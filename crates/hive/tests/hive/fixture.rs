//! Hives that tests are made with.

use std::sync::Arc;

use wimforge_hive::{FileTime, Hive, Kind, check, data};

/// Self-relative, owned by the administrators, with a list of one entry: everything for the system.
pub(crate) const DESCRIPTOR: &[u8] = &[
    1, 0, 4, 0x80, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0, 0, 0, // head
    1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0, // S-1-5-32-544
    2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0x3F, 0, 0xF, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0,
];

/// The same for somebody else.
pub(crate) fn descriptor(user: u8) -> Arc<[u8]> {
    let mut bytes = DESCRIPTOR.to_vec();
    let last = bytes.len() - 4;
    bytes[last] = user;
    bytes.into()
}

/// With one of everything: in 8 KiB or, with long lists and a large value, in more.
pub(crate) fn hive(minor: u32, large: bool) -> Hive {
    let mut hive =
        Hive::new(minor, "CsiTool-CreateHive", DESCRIPTOR, FileTime(0x1D7_8A15_358A_127A)).unwrap();
    hive.set_file_name(r"\SystemRoot\System32\Config\SYSTEM");
    let root = hive.root_mut();
    let alpha = root.create("alpha").unwrap();
    alpha.set_class(Some(&[u16::from(b'c'); 9])).unwrap();
    alpha.set("", Kind::SZ, data::sz("default")).unwrap();
    alpha.set("number", Kind::DWORD, data::dword(7)).unwrap();
    alpha.set("text", Kind::EXPAND_SZ, data::sz(r"%SystemRoot%\text")).unwrap();
    alpha.set("größer", Kind::MULTI_SZ, data::multi_sz(["one", "two"])).unwrap();
    alpha.set("☃", Kind(0xFFFF_0012), data::qword(9)).unwrap();
    alpha.set("empty", Kind::BINARY, []).unwrap();
    alpha.create("below").unwrap().create("far below").unwrap();
    let beta = root.create("Beta").unwrap();
    beta.set_security(descriptor(19));
    let gamma = root.create("Γamma").unwrap();
    gamma.set_security(descriptor(20));
    gamma.set_written(FileTime(5));
    let link = root.create("link").unwrap();
    link.set_symlink(true);
    link.set("SymbolicLinkValue", Kind::LINK, data::link(r"\Registry\Machine\X")).unwrap();
    if large {
        for i in 0..1100 {
            root.create(&format!(r"many\key {i}")).unwrap();
        }
        root.open_mut("alpha").unwrap().set("big", Kind::BINARY, vec![7; 40_000]).unwrap();
    }
    hive
}

/// The same in bytes, which no checker objects to.
pub(crate) fn bytes(minor: u32, large: bool) -> Vec<u8> {
    let bytes = hive(minor, large).to_bytes().unwrap();
    let report = check(&bytes);
    assert!(report.findings.is_empty(), "{report}");
    bytes
}
