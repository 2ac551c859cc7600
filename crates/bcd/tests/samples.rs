//! Stores that Windows and its tools wrote, from `$WIMFORGE_SAMPLES`: read, written again, and compared.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;

use hive::Hive;
use support::samples;
use wimforge_bcd::{Device, DeviceElement, Element, ElementType, LocateBy, Partition, Store, names};

#[test]
fn what_is_not_edited_is_written_as_it_was() {
    for (name, bytes) in samples() {
        let before = Hive::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let store = Store::from_hive(before.clone()).unwrap();
        assert!(!store.objects().is_empty(), "{name}");
        assert!(store.to_hive().unwrap() == before, "{name}: the hive changed");
        let again = Hive::parse(&store.to_bytes().unwrap()).unwrap();
        assert!(again.root() == before.root(), "{name}: the tree changed on its way through a file");
    }
}

/// The model alone, without the hive it was read from, says the same: every object and every element of the new store
/// equals the old one's.
#[test]
fn the_model_holds_all_that_a_store_says() {
    for (name, bytes) in samples() {
        let old = Store::parse(&bytes).unwrap();
        let mut new = Store::new(wimforge_bcd::StoreRole::System, hive::FileTime(0)).unwrap();
        for object in old.objects() {
            assert!(new.insert(object.clone()).is_none());
        }
        let new = Store::parse(&new.to_bytes().unwrap()).unwrap();
        assert_eq!(new.objects(), old.objects(), "{name}");
    }
}

/// Every value that Windows wrote, made again from its meaning: the same registry type and the same bytes, but for the
/// few that are listed.
#[test]
fn values_are_written_as_windows_writes_them() {
    let mut exceptions: BTreeMap<String, usize> = BTreeMap::new();
    let mut values = 0;
    for (name, bytes) in samples() {
        let hive = Hive::parse(&bytes).unwrap();
        for object in hive.root().subkey("Objects").unwrap().subkeys() {
            for key in object.subkey("Elements").unwrap().subkeys() {
                let element = ElementType(u32::from_str_radix(&key.name().to_string(), 16).unwrap());
                let value = key.value("Element").unwrap();
                let parsed = Element::strict(element, value.kind(), value.data())
                    .unwrap_or_else(|error| panic!("{name}: {}: {element}: {error}", object.name()));
                values += 1;
                let (kind, data) = parsed.to_registry().unwrap();
                assert_eq!(kind, value.kind(), "{name}: {element}");
                if data == value.data() {
                    continue;
                }
                let why = match &parsed {
                    // Numbers of the installation medium are as short as they can be.
                    Element::Integer(_) if name == "BCD-media" && value.data().len() < 8 => "short number",
                    // bcdboot and ReAgent write a second NUL, or what the buffer held, after some text.
                    Element::String(_)
                        if value.data().len() == data.len() + 2 && value.data().starts_with(&data) =>
                    {
                        "behind the NUL"
                    }
                    _ => panic!("{name}: {}: {element}: {parsed:?}", object.name()),
                };
                *exceptions.entry(format!("{name}: {why}")).or_default() += 1;
            }
        }
    }
    assert!(values == 0 || values > 350, "{values}");
    for (what, count) in &exceptions {
        println!("{what}: {count}");
    }
}

#[test]
fn devices_of_the_samples_are_understood() {
    let (mut kinds, mut devices) = (BTreeMap::<&str, usize>::new(), 0);
    for (name, bytes) in samples() {
        let store = Store::parse(&bytes).unwrap();
        for object in store.objects() {
            for (element, value) in &object.elements {
                let Element::Device(device) = value else { continue };
                let kind = match &device.device {
                    Device::Boot => "boot",
                    Device::Partition(Partition::Mbr { .. }) => "partition MBR",
                    Device::Partition(Partition::Gpt { .. }) => "partition GPT",
                    Device::Locate { parent: None, .. } => "locate",
                    Device::Locate { parent: Some(_), .. } => "vhd",
                    Device::File(_) => "file",
                    Device::Ramdisk(_) => "ramdisk",
                    other => panic!("{name}: {} {element}: {other}", object.id),
                };
                devices += 1;
                *kinds.entry(kind).or_default() += 1;
                // What is printed can be typed.
                let words = device.to_string();
                assert_eq!(words.parse::<DeviceElement>().unwrap(), *device, "{name}: {words}");
            }
        }
    }
    if devices > 0 {
        let found: Vec<&str> = kinds.keys().copied().collect();
        assert_eq!(found, ["boot", "file", "partition GPT", "partition MBR", "ramdisk", "vhd"]);
    }
}

#[test]
fn the_nested_devices_of_a_test_store() {
    let Some((_, bytes)) = samples().into_iter().find(|(name, _)| name == "BCDTest") else { return };
    let store = Store::parse(&bytes).unwrap();
    let device = |id: &str, element: ElementType| {
        let object = store.object(id.parse().unwrap()).unwrap();
        object.device(element).unwrap().to_string()
    };
    let partition = "partition=mbr:36234DA4@0x100000";
    assert_eq!(device("150e57bb-8333-11e3-a0d2-000c2994873a", ElementType::OS_DEVICE), partition);
    assert_eq!(
        device("d99dfa6e-8442-22f3-b2d5-323c2953813d", ElementType::OS_DEVICE),
        format!("file=[{partition}]\\Workspace\\metadeploy\\boot.wim.aoeu")
    );
    assert_eq!(
        device("effdfa6e-8442-22f3-b2d5-323c2953814e", ElementType::DEVICE),
        "ramdisk=[boot]\\boot\\boot.wim,{ramdiskoptions}"
    );
    assert_eq!(
        device("fffdfa6e-8442-22f3-b2d5-323c2953814f", ElementType::DEVICE),
        "vhd=[locate=\\test.vhd]\\test.vhd,locate=custom:12000002"
    );
    let vhd = store.object("fffdfa6e-8442-22f3-b2d5-323c2953814f".parse().unwrap()).unwrap();
    let vhd = &vhd.device(ElementType::OS_DEVICE).unwrap().device;
    assert_eq!(vhd.partition(), Some(Partition::Mbr { signature: 0x3623_4DA4, offset: 0x10_0000 }));
    assert_eq!(vhd.files()[0].path, "\\test.vhd");
    let Device::Locate { by, .. } = vhd else { panic!("{vhd}") };
    assert_eq!(*by, LocateBy::Element(ElementType(0x1234_5678)));
}

#[test]
fn an_edit_keeps_all_that_it_is_not_about() {
    for (name, bytes) in samples() {
        let mut store = Store::parse(&bytes).unwrap();
        let before = store.to_hive().unwrap();
        let Some(manager) = store.object_mut(names::BOOTMGR) else { continue };
        manager.set(ElementType::TIMEOUT, Element::Integer(7));
        let mut after = store.to_hive().unwrap();
        assert!(after != before, "{name}");
        let path = format!("Objects\\{{{}}}\\Elements\\25000004", names::BOOTMGR);
        let element = after.root_mut().open_mut(&path).unwrap();
        assert_eq!(element.value("Element").unwrap().data(), [7, 0, 0, 0, 0, 0, 0, 0], "{name}");
        // With that value put back, nothing differs.
        let old = before.root().open(&path).and_then(|key| key.value("Element")).unwrap().clone();
        element.set_value(old);
        assert!(after == before, "{name}");
    }
}
