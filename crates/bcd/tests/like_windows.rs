//! Stores of ours against stores that Windows made for the same machine: every object and every element, field by field.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeMap;

use disk::{FileTime, Guid, Seed};
use hive::{Hive, Kind};
use support::samples;
use wimforge_bcd::{
    DeviceKind, Element, ElementType, Firmware, Generation, Partition, Recovery, Setup, Store, create, names,
};

fn sample(name: &str) -> Option<Store> {
    let (_, bytes) = samples().into_iter().find(|(found, _)| found == name)?;
    Some(Store::parse(&bytes).unwrap())
}

fn kind(partition: Option<Partition>) -> DeviceKind {
    match partition {
        Some(Partition::Mbr { signature, offset }) => DeviceKind::PartitionMbr { signature, offset },
        Some(Partition::Gpt { disk, partition }) => DeviceKind::PartitionGpt { disk, partition },
        None => DeviceKind::Boot,
    }
}

/// The setup that a store was made by, as far as it can be told from the store itself.
fn setup_of(store: &Store, loader: Guid, firmware: Firmware, generation: Generation) -> Setup {
    let device =
        |id: Guid, element| kind(store.object(id).unwrap().device(element).unwrap().device.partition());
    let system = device(names::BOOTMGR, ElementType::DEVICE);
    let os = device(loader, ElementType::OS_DEVICE);
    let mut setup = Setup::new(firmware, system, os, Seed::new(b"like Windows"), FileTime(0));
    setup.generation = generation;
    let loader = store.object(loader).unwrap();
    setup.name = loader.string(ElementType::DESCRIPTION).unwrap().to_owned();
    setup.locale = loader.string(ElementType::LOCALE).unwrap().to_owned();
    setup.timeout = store.object(names::BOOTMGR).unwrap().integer(ElementType::TIMEOUT).unwrap() as u32;
    let recovery = loader.references(ElementType::RECOVERY_SEQUENCE).first().and_then(|id| store.object(*id));
    setup.recovery = recovery.map(|recovery| {
        let ramdisk = recovery.device(ElementType::DEVICE).unwrap();
        let options = store.object(ramdisk.options.unwrap()).unwrap();
        Recovery {
            device: kind(ramdisk.device.partition()),
            wim: ramdisk.device.files()[0].path.clone(),
            sdi: options.string(ElementType::SDI_PATH).unwrap().to_owned(),
        }
    });
    setup
}

/// What differs between our store for `setup` and theirs, in words: the objects of theirs that we do not make are not
/// looked at.
fn differences(setup: &Setup, theirs: &Store, loader: Guid) -> Vec<String> {
    let ours = Store::parse(&create(setup).unwrap().to_bytes().unwrap()).unwrap();
    let their_loader = theirs.object(loader).unwrap();
    let mut same = BTreeMap::from([(setup.loader_id(), loader)]);
    let pairs = [
        (ElementType::RESUME_OBJECT, setup.resume_id()),
        (ElementType::RECOVERY_SEQUENCE, setup.recovery_id()),
    ];
    for (element, id) in pairs {
        if let Some(theirs) = their_loader.references(element).first() {
            same.insert(id, *theirs);
        }
    }
    if let Some(recovery) = their_loader.references(ElementType::RECOVERY_SEQUENCE).first() {
        let recovery = theirs.object(*recovery).unwrap();
        same.insert(
            setup.recovery_options_id(),
            recovery.device(ElementType::DEVICE).unwrap().options.unwrap(),
        );
    }
    let same = |id: &Guid| *same.get(id).unwrap_or(id);

    let mut differences = Vec::new();
    for object in ours.objects() {
        let id = same(&object.id);
        let Some(their) = theirs.object(id) else {
            differences.push(format!("{}: not in theirs", names::object_name(id)));
            continue;
        };
        if object.kind != their.kind {
            differences.push(format!("{}: type {} {}", names::object_name(id), object.kind, their.kind));
        }
        let name = |element: &ElementType| names::element_name(object.kind, *element);
        let title = match their.kind.title() {
            "Windows Boot Loader" | "Resume from Hibernate" | "Device Options" => {
                let description = their.string(ElementType::DESCRIPTION).unwrap_or_default();
                description.to_owned()
            }
            _ => names::object_name(id),
        };
        for (element, value) in &object.elements {
            let mut value = value.clone();
            match &mut value {
                Element::Object(id) => *id = same(id),
                Element::ObjectList(ids) => ids.iter_mut().for_each(|id| *id = same(id)),
                Element::Device(device) => device.options = device.options.as_ref().map(same),
                _ => {}
            }
            match their.get(*element) {
                None => differences.push(format!("{title}: {} only in ours", name(element))),
                Some(their) if *their != value => differences.push(format!("{title}: {}", name(element))),
                Some(_) => {}
            }
        }
        for element in their.elements.keys().filter(|element| object.get(**element).is_none()) {
            differences.push(format!("{title}: {} only in theirs", name(element)));
        }
    }
    differences.sort();
    differences
}

#[test]
fn windows_10_uefi() {
    let Some(theirs) = sample("BCD-windows10") else { return };
    let loader = theirs.default_entry().unwrap();
    let setup = setup_of(&theirs, loader, Firmware::Uefi, Generation::Windows10);
    // ReAgent writes the locale of its entry in lower case.
    assert_eq!(differences(&setup, &theirs, loader), ["Windows Recovery Environment: locale"]);
}

#[test]
fn windows_11_uefi() {
    let Some(theirs) = sample("BCD-windows11") else { return };
    let loader = theirs.default_entry().unwrap();
    let setup = setup_of(&theirs, loader, Firmware::Uefi, Generation::Windows10);
    assert_eq!(
        differences(&setup, &theirs, loader),
        [
            "Windows Recovery Environment: locale",
            // The OS device once more; nobody says what for, and Windows 10 starts and resumes without.
            "Windows Resume Application: custom:21000026 only in theirs",
        ]
    );
}

#[test]
fn windows_8_1_uefi() {
    let Some(theirs) = sample("BCDrecovery") else { return };
    let loader = theirs.default_entry().unwrap();
    let setup = setup_of(&theirs, loader, Firmware::Uefi, Generation::Windows8);
    assert_eq!(differences(&setup, &theirs, loader), [""; 0]);
}

#[test]
fn windows_7_bios() {
    let Some(theirs) = sample("BCDvm") else { return };
    // Its default is another system, Windows PE from a WIM.
    let loader = "efd09c92-55fb-11e2-aa98-9d073f340da7".parse().unwrap();
    let setup = setup_of(&theirs, loader, Firmware::Bios, Generation::Windows7);
    assert_eq!(
        differences(&setup, &theirs, loader),
        [
            // Windows 7's entry of the recovery system has no locale, and its options another name.
            "Ramdisk Options: description",
            "Windows Recovery Environment: locale only in ours",
            "{bootmgr}: default",
            "{bootmgr}: displayorder",
            // Its boot manager was set to `boot` by hand.
            "{memdiag}: device",
        ]
    );
}

/// The hive around the objects: version, names, flags, value types and security descriptors.
#[test]
fn the_hive_is_like_those_of_windows() {
    let Some((_, bytes)) = samples().into_iter().find(|(name, _)| name == "BCD-windows10") else { return };
    let theirs = Hive::parse(&bytes).unwrap();
    let store = Store::parse(&bytes).unwrap();
    let setup = setup_of(&store, store.default_entry().unwrap(), Firmware::Uefi, Generation::Windows10);
    let ours = Hive::parse(&create(&setup).unwrap().to_bytes().unwrap()).unwrap();

    assert_eq!(ours.minor(), theirs.minor());
    assert_eq!(ours.root().name(), theirs.root().name());
    assert_eq!(ours.root().flags(), theirs.root().flags());
    let keys = |hive: &Hive| hive.root().subkeys().map(|key| key.name().to_string()).collect::<Vec<_>>();
    assert_eq!(keys(&ours), keys(&theirs));
    for path in
        ["", "Description", "Objects", "Objects\\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\\Elements\\25000004"]
    {
        let (our, their) = (ours.root().open(path).unwrap(), theirs.root().open(path).unwrap());
        assert_eq!(our.security(), their.security(), "{path}");
        assert_eq!(our.flags(), their.flags(), "{path}");
        assert_eq!(our.class(), their.class(), "{path}");
    }
    let (our, their) =
        (ours.root().subkey("Description").unwrap(), theirs.root().subkey("Description").unwrap());
    for value in our.values() {
        assert_eq!(Some(value), their.value(&value.name().to_string()));
    }
    // What the running system adds for itself.
    let more: Vec<_> =
        their.values().filter(|value| our.value(&value.name().to_string()).is_none()).collect();
    assert_eq!(more.len(), 1);
    assert_eq!((more[0].name().to_string().as_str(), more[0].kind()), ("GuidCache", Kind::BINARY));
}

/// Each element as bytes: our value, made for the ids of theirs, is theirs, but for the second NUL that some of their
/// texts have.
#[test]
fn every_value_has_the_bytes_that_windows_writes() {
    let Some((_, bytes)) = samples().into_iter().find(|(name, _)| name == "BCD-windows10") else { return };
    let theirs = Store::parse(&bytes).unwrap();
    let loader = theirs.default_entry().unwrap();
    let setup = setup_of(&theirs, loader, Firmware::Uefi, Generation::Windows10);
    let ours = create(&setup).unwrap().to_hive().unwrap();
    let hive = Hive::parse(&bytes).unwrap();
    let path = |id: Guid| format!("Objects\\{{{id}}}\\Elements");
    let (mut same, mut other) = (0, Vec::new());
    for (our_id, their_id) in [
        (setup.loader_id(), loader),
        (names::BOOTMGR, names::BOOTMGR),
        (names::MEMDIAG, names::MEMDIAG),
        (names::GLOBAL_SETTINGS, names::GLOBAL_SETTINGS),
        (names::BOOTLOADER_SETTINGS, names::BOOTLOADER_SETTINGS),
        (names::HYPERVISOR_SETTINGS, names::HYPERVISOR_SETTINGS),
    ] {
        let (our, their) =
            (ours.root().open(&path(our_id)).unwrap(), hive.root().open(&path(their_id)).unwrap());
        assert_eq!(our.subkeys().len(), their.subkeys().len());
        for (our, their) in our.subkeys().zip(their.subkeys()) {
            assert_eq!(our.name(), their.name());
            let (our, their) = (our.value("Element").unwrap(), their.value("Element").unwrap());
            assert_eq!(our.kind(), their.kind());
            // GUIDs of entries differ by nature; their length does not.
            let references = our.data().len() == their.data().len() && our.data().starts_with(b"{\0");
            if our.data() == their.data() || references {
                same += 1;
            } else {
                assert_eq!(&their.data()[..our.data().len()], our.data());
                other.push(their.data().len() - our.data().len());
            }
        }
    }
    assert_eq!((same, other), (35, vec![2]));
}
