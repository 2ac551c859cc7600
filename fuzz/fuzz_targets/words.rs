//! What is typed: sizes, names, addresses, ports, ids, and values of boot entries. Any text is one or is refused; what is read and has a
//! form is printed in it, and read again as the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use bcd::{ObjectType, names, parse_value, value_lines};
use disk::Guid;
use firstboot::{IpPrefix, Ports};
use hive::reg::KeyPath;
use image::registry::HiveChoice;
use image::{CopyChoice, DiskPlace, Format, ImageChoice, Layout, Level, Platform, Size};
use libfuzzer_sys::fuzz_target;

fn same<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    assert_eq!(value.to_string().parse::<T>().expect("what was printed can be read"), value);
}

fn boot_values(text: &str) {
    let mut words = text.split_ascii_whitespace();
    let (Some(object), Some(element)) = (words.next(), words.next()) else { return };
    let kinds = [ObjectType::LOADER, ObjectType::BOOT_MANAGER];
    let kind = object.parse::<ObjectType>().unwrap_or(kinds[object.len() % 2]);
    let Some(element) = names::element_named(kind, element) else { return };
    let words: Vec<&str> = words.collect();
    let Ok(value) = parse_value(kind, element, &words) else { return };
    let lines = value_lines(kind, element, &value);
    let again = parse_value(kind, element, &lines).expect("what was printed can be read");
    assert_eq!(again, value, "{lines:?}");
    let (registry, data) = value.to_registry().expect("what was read can be written");
    assert_eq!(bcd::Element::parse(element, registry, &data), value);
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(50) {
        same::<Format>(line);
        same::<Layout>(line);
        same::<Level>(line);
        same::<Platform>(line);
        same::<Guid>(line);
        same::<IpPrefix>(line);
        same::<Ports>(line);
        same::<ObjectType>(line);
        let _ = (
            line.parse::<Size>(),
            line.parse::<bcd::Ems>(),
            line.parse::<bcd::Debug>(),
            line.parse::<CopyChoice>(),
        );
        let _ = (line.parse::<ImageChoice>(), line.parse::<HiveChoice>());
        let _ = line.parse::<bcd::DeviceElement>().map(|device| {
            let again = device.to_string().parse().expect("what was printed can be read");
            assert_eq!(device, again);
        });
        if let Some(id) = names::parse_object_name(line) {
            assert_eq!(names::parse_object_name(&names::object_name(id)), Some(id));
        }
        let place = DiskPlace::parse(Path::new(line));
        assert!(place.partition.is_some() || place.path.is_empty());
        let key = KeyPath::parse(line);
        let _ = hive::paths::locate(&key);
        // The root prints as a backslash, however it was written.
        assert!(key.names().is_empty() || KeyPath::parse(&key.to_string()) == key);
        boot_values(line);
    }
});
