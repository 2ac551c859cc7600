//! Our stores through other people's readers: hivexml for the hive, regipy's list of boot entries for the meaning.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::process::Command;

use disk::{FileTime, Seed};
use wimforge_bcd::{
    DeviceKind, Element, ElementType, Firmware, ObjectType, Partition, Recovery, Setup, Store, create,
    create_recovery_store, names,
};

fn setup(firmware: Firmware) -> Setup {
    let seed = Seed::new(b"oracles");
    let gpt = |name: &str| DeviceKind::PartitionGpt { disk: seed.guid("disk"), partition: seed.guid(name) };
    let mbr = |offset: u64| DeviceKind::PartitionMbr { signature: 0x5749_4D46, offset };
    let (system, os, recovery) = match firmware {
        Firmware::Bios => (mbr(1 << 20), mbr(351 << 20), mbr(40 << 30)),
        Firmware::Uefi => (gpt("system"), gpt("windows"), gpt("recovery")),
    };
    let mut setup = Setup::new(firmware, system, os, seed, FileTime::from_unix_seconds(1_700_000_000));
    setup.recovery = Some(Recovery::on(recovery));
    setup.name = "Windows Größe 日本".to_owned();
    setup
}

fn stores() -> Vec<(&'static str, Store)> {
    vec![
        ("bios", create(&setup(Firmware::Bios)).unwrap()),
        ("uefi", create(&setup(Firmware::Uefi)).unwrap()),
        ("recovery", create_recovery_store(&setup(Firmware::Uefi)).unwrap()),
    ]
}

/// hivexml finds every object, its type, and every element with its value.
#[test]
fn hivex_finds_every_object_and_element() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores() {
        let path = folder.path().join(name);
        std::fs::write(&path, store.to_bytes().unwrap()).unwrap();
        let Some(tool) = testkit::tool("hivexml") else { return };
        let xml = tool.text([&path]);
        let count = |what: &str| xml.matches(what).count();
        let elements: usize = store.objects().iter().map(|object| object.elements.len()).sum();
        assert_eq!(count("<node name=\"{"), store.objects().len(), "{name}");
        assert_eq!(count("key=\"Type\""), store.objects().len(), "{name}");
        assert_eq!(count("key=\"Element\""), elements, "{name}");
        for object in store.objects() {
            let start = xml.find(&format!("<node name=\"{{{}}}\"", object.id)).unwrap();
            let mut rest = &xml[start..];
            assert!(rest.contains(&format!("value=\"{}\"", object.kind.0)), "{name}: {}", object.kind);
            for (kind, element) in &object.elements {
                rest = &rest[rest.find(&format!("<node name=\"{kind}\"")).unwrap()..];
                // Text is printed as text; the end of a value is the end of its key.
                let key = &rest[..rest.find("</node>").unwrap()];
                match element {
                    Element::String(text) => assert!(key.contains(&format!("value=\"{text}\"")), "{key}"),
                    Element::Object(id) => assert!(key.contains(&format!("value=\"{{{id}}}\"")), "{key}"),
                    Element::ObjectList(ids) => {
                        assert!(ids.iter().all(|id| key.contains(&format!("{{{id}}}"))), "{key}");
                    }
                    _ => assert!(key.contains("type=\"binary\""), "{key}"),
                }
            }
        }
    }
}

/// regipy's plugin for BCD stores: entries with name, path, and the partition's and disk's GUIDs.
#[test]
fn regipy_lists_the_boot_entries() {
    const SCRIPT: &str = "\
import sys
from regipy.registry import RegistryHive
from regipy.plugins.bcd.boot_entry_list import BootEntryListPlugin
plugin = BootEntryListPlugin(RegistryHive(sys.argv[1]), as_json=True)
plugin.run()
for entry in plugin.entries:
    print('\\t'.join(str(entry[key]) for key in ('guid', 'type', 'name', 'image_path', 'gpt_disk', 'gpt_partition')))
";
    let Some(python) = testkit::registry::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("BCD");
    let store = create(&setup(Firmware::Uefi)).unwrap();
    std::fs::write(&path, store.to_bytes().unwrap()).unwrap();
    let output =
        Command::new(python).args(["-c", SCRIPT]).arg(&path).env("PYTHONIOENCODING", "utf-8").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: BTreeMap<String, String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_once('\t').map(|(id, rest)| (id.to_owned(), rest.to_owned())).unwrap())
        .collect();
    let mut expected = BTreeMap::new();
    for object in store.objects().iter().filter(|object| object.kind.0 >> 28 == 1) {
        let device = &object.device(ElementType::DEVICE).unwrap().device;
        let Some(Partition::Gpt { disk, partition }) = device.partition() else { panic!("{device}") };
        // It takes every device for a partition; of the RAM disk it shows other bytes.
        let (disk, partition) = match device {
            wimforge_bcd::Device::Ramdisk(_) => continue,
            _ => (disk, partition),
        };
        let text = |element| object.string(element).unwrap();
        let (name, path) = (text(ElementType::DESCRIPTION), text(ElementType::PATH));
        let line = format!("0x{:08X}\t{name}\t{path}\t{disk}\t{partition}", object.kind.0);
        expected.insert(format!("{{{}}}", object.id), line);
    }
    assert_eq!(expected.len(), 4);
    let kinds: Vec<_> = store.objects().iter().map(|object| object.kind).collect();
    assert!(
        kinds.contains(&ObjectType::BOOT_MANAGER)
            && expected.contains_key(&format!("{{{}}}", names::BOOTMGR))
    );
    for (id, line) in &expected {
        assert_eq!(found.get(id), Some(line));
    }
    assert_eq!(found.len(), 5, "with the recovery system's");
}
