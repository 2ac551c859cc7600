//! Whatever a hive or a device says: reading and checking a store never panics, and what is read is written to the same.
//!
//! An input is a list of elements: type (four bytes), registry type, length, data. They become an object of a store, so
//! that fuzzing is spent on elements and not on hives, which have targets of their own.
#![no_main]

use bcd::{
    DeviceElement, Element, ElementType, Object, ObjectType, Store, StoreRole, names, parse_value,
    value_lines,
};
use hive::{FileTime, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if data.starts_with(b"regf") {
        let _ = bcd::check_bytes(data);
        if let Ok(store) = Store::parse(data) {
            let again = store.to_hive().expect("what was read can be written");
            assert!(Store::from_hive(again).expect("and read").objects() == store.objects());
        }
        return;
    }
    let mut store = Store::new(StoreRole::System, FileTime(0)).expect("an empty store");
    for (id, kind) in [(names::BOOTMGR, ObjectType::BOOT_MANAGER), (names::NTLDR, ObjectType::LOADER)] {
        store.insert(Object::new(id, kind));
    }
    let mut hive = store.to_hive().expect("a hive");
    let mut rest = data;
    while let Some((head, tail)) = rest.split_first_chunk::<6>() {
        let [a, b, c, d, kind, len] = *head;
        let (value, tail) = tail.split_at(tail.len().min(len.into()));
        rest = tail;
        let element = ElementType(u32::from_be_bytes([a, b, c, d]));
        let kind = Kind((kind & 15).into());
        let parsed = Element::parse(element, kind, value);
        if let Element::Device(device) = &parsed {
            assert_eq!(device.to_bytes().expect("what was read can be written"), value);
            assert_eq!(device.to_string().parse::<DeviceElement>().ok().as_ref(), Some(device));
        }
        let object = if c & 1 == 0 { names::BOOTMGR } else { names::NTLDR };
        let lines = value_lines(ObjectType::LOADER, element, &parsed);
        let _ = parse_value(ObjectType::LOADER, element, &lines);
        let path = format!("Objects\\{{{object}}}\\Elements\\{element}");
        let Ok(key) = hive.root_mut().create(&path) else { continue };
        let _ = key.set("Element", kind, value);
    }
    let report = bcd::check_hive(&hive);
    assert_eq!(report.errors == 0, report.is_clean());
    let store = Store::from_hive(hive.clone()).expect("a store");
    assert!(store.to_hive().expect("what was read can be written") == hive, "the hive changed");
    let again = Store::parse(&store.to_bytes().expect("bytes")).expect("what was written can be read");
    assert!(again.objects() == store.objects());
});
