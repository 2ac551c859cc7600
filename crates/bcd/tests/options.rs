//! Wishes, templates, references: what is set where, and what stays.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::Ipv4Addr;

use disk::{FileTime, Guid, Seed};
use wimforge_bcd::{
    BootMenuPolicy, Debug, DeviceKind, Edition, Element, ElementType as E, Ems, Error, Firmware, Generation,
    Object, ObjectType, Options, Setup, Store, StoreRole, create, create_from, edit_template, merge_template,
    names,
};

fn setup() -> Setup {
    Setup::new(Firmware::Bios, DeviceKind::Boot, DeviceKind::Locate, Seed::new(b"options"), FileTime(0))
}

fn with(options: Options) -> Store {
    let mut setup = setup();
    setup.options = options;
    create(&setup).unwrap()
}

fn get(store: &Store, id: Guid, element: u32) -> Option<Element> {
    store.object(id)?.get(E(element)).cloned()
}

/// The elements that differ between two stores: object, element, new value.
fn changes(old: &Store, new: &Store) -> Vec<(Guid, E, Option<Element>)> {
    let mut changes = Vec::new();
    for object in new.objects() {
        let before = old.object(object.id).unwrap();
        let all = object.elements.keys().chain(before.elements.keys());
        let mut all: Vec<E> = all.copied().collect();
        all.sort();
        all.dedup();
        for element in all.into_iter().filter(|element| object.get(*element) != before.get(*element)) {
            changes.push((object.id, element, object.get(element).cloned()));
        }
    }
    changes.sort_by_key(|(id, element, _)| (id.to_string(), *element));
    changes
}

#[test]
fn ems_sets_what_bcdedit_sets() {
    let store = with(Options { ems: Some(Ems { port: 2, baud: 57_600 }), ..Options::default() });
    let loader = setup().loader_id();
    let on = Some(Element::Boolean(true));
    let mut expected = vec![
        (names::EMS_SETTINGS, E::EMS_PORT, Some(Element::Integer(2))),
        (names::EMS_SETTINGS, E::EMS_BAUD_RATE, Some(Element::Integer(57_600))),
        (names::BOOTMGR, E::BOOT_EMS, on.clone()),
        (loader, E::BOOT_EMS, on.clone()),
        (loader, E::EMS, on),
    ];
    expected.sort_by_key(|(id, element, _)| (id.to_string(), *element));
    assert_eq!(changes(&create(&setup()).unwrap(), &store), expected);
}

#[test]
fn each_way_to_debug() {
    let settings = |debug: Debug| {
        let store = with(Options { debug: Some(debug), ..Options::default() });
        let loader = store.object(names::DEFAULT).unwrap();
        assert_eq!(loader.boolean(E::DEBUG), Some(true));
        assert_eq!(loader.boolean(E::BOOT_DEBUG), Some(true));
        assert_eq!(store.object(names::BOOTMGR).unwrap().boolean(E::BOOT_DEBUG), Some(true));
        store.object(names::DBG_SETTINGS).unwrap().elements.clone()
    };
    let integers = |pairs: &[(u32, u64)]| {
        pairs.iter().map(|(element, number)| (E(*element), Element::Integer(*number))).collect::<Vec<_>>()
    };
    let found = |debug| settings(debug).into_iter().collect::<Vec<_>>();
    assert_eq!(
        found(Debug::Serial { port: 1, baud: 115_200 }),
        integers(&[(0x1500_0011, 0), (0x1500_0013, 1), (0x1500_0014, 115_200)])
    );
    assert_eq!(found(Debug::Ieee1394 { channel: 10 }), integers(&[(0x1500_0011, 1), (0x1500_0015, 10)]));
    assert_eq!(found(Debug::Local), integers(&[(0x1500_0011, 4)]));
    let usb = found(Debug::Usb { target: "box".to_owned() });
    assert_eq!(
        usb,
        [(E(0x1200_0016), Element::String("box".to_owned())), (E(0x1500_0011), Element::Integer(2))]
    );
    let net = settings(Debug::Net {
        host: Ipv4Addr::new(192, 168, 1, 2),
        port: 50_000,
        key: "1.2.3.4".to_owned(),
        dhcp: true,
        bus_parameters: Some("0.25.0".to_owned()),
    });
    assert_eq!(net[&E::DEBUG_TYPE], Element::Integer(3));
    assert_eq!(net[&E::HOST_IP], Element::Integer(0xC0A8_0102));
    assert_eq!(net[&E::HOST_PORT], Element::Integer(50_000));
    assert_eq!(net[&E::KEY], Element::String("1.2.3.4".to_owned()));
    assert_eq!(net[&E::DHCP], Element::Boolean(true));
    assert_eq!(net[&E::BUS_PARAMETERS], Element::String("0.25.0".to_owned()));
    assert_eq!(net.len(), 6);
}

#[test]
fn wishes_as_text() {
    assert_eq!("1".parse::<Ems>().unwrap(), Ems { port: 1, baud: 115_200 });
    assert_eq!("COM1".parse::<Ems>().unwrap(), Ems { port: 1, baud: 115_200 });
    assert_eq!("2,57600".parse::<Ems>().unwrap(), Ems { port: 2, baud: 57_600 });
    assert_eq!("serial".parse::<Debug>().unwrap(), Debug::Serial { port: 1, baud: 115_200 });
    assert_eq!("serial:2,9600".parse::<Debug>().unwrap(), Debug::Serial { port: 2, baud: 9600 });
    assert_eq!("1394:7".parse::<Debug>().unwrap(), Debug::Ieee1394 { channel: 7 });
    assert_eq!("usb:box".parse::<Debug>().unwrap(), Debug::Usb { target: "box".to_owned() });
    assert_eq!("local".parse::<Debug>().unwrap(), Debug::Local);
    let net = "net:10.0.0.1:50000:a.b.c.d".parse::<Debug>().unwrap();
    assert!(matches!(net, Debug::Net { port: 50_000, .. }));
    for wrong in ["", "0", "1,0", "1,x", "COM", "LPT1", "256"] {
        assert!(wrong.parse::<Ems>().is_err(), "{wrong}");
    }
    for wrong in [
        "",
        "serial:0",
        "local:1",
        "usb",
        "usb:",
        "1394:63",
        "net:host:50000:a.b.c.d",
        "net:10.0.0.1:80:a.b.c.d",
    ] {
        assert!(wrong.parse::<Debug>().is_err(), "{wrong}");
    }
}

#[test]
fn wishes_that_windows_would_not_take() {
    let net = |port: u16, key: &str| Debug::Net {
        host: Ipv4Addr::LOCALHOST,
        port,
        key: key.to_owned(),
        dhcp: false,
        bus_parameters: None,
    };
    let debug = |debug| Options { debug: Some(debug), ..Options::default() };
    for options in [
        Options { ems: Some(Ems { port: 0, baud: 9600 }), ..Options::default() },
        Options { ems: Some(Ems { port: 1, baud: 0 }), ..Options::default() },
        debug(Debug::Serial { port: 0, baud: 1 }),
        debug(Debug::Ieee1394 { channel: 0 }),
        debug(Debug::Ieee1394 { channel: 63 }),
        debug(Debug::Usb { target: String::new() }),
        debug(net(1024, "1.2.3.4")),
        debug(net(50_000, "1.2.3")),
        debug(net(50_000, "1.2.3.ä")),
    ] {
        let mut wrong = setup();
        wrong.options = options;
        assert!(matches!(create(&wrong), Err(Error::Impossible(_))), "{:?}", wrong.options);
    }
    for change in [
        |setup: &mut Setup| setup.system_root = "Windows".to_owned(),
        |setup: &mut Setup| setup.system_root = "\\Windows\\".to_owned(),
        |setup: &mut Setup| setup.name = String::new(),
        |setup: &mut Setup| setup.locale = "en\0US".to_owned(),
    ] {
        let mut wrong = setup();
        change(&mut wrong);
        assert!(matches!(create(&wrong), Err(Error::Impossible(_))), "{wrong:?}");
    }
}

#[test]
fn editions_and_generations() {
    let store = |edition, generation, firmware| {
        let mut setup = setup();
        (setup.edition, setup.generation, setup.firmware) = (edition, generation, firmware);
        create(&setup).unwrap()
    };
    let numbers = |store: &Store| {
        let loader = store.object(names::DEFAULT).unwrap();
        (loader.integer(E::NX), loader.integer(E::BOOT_MENU_POLICY))
    };
    use {Edition::*, Firmware::*, Generation::*};
    assert_eq!(numbers(&store(Client, Windows10, Bios)), (Some(0), Some(1)));
    assert_eq!(numbers(&store(Server, Windows10, Bios)), (Some(1), None));
    assert_eq!(numbers(&store(Nano, Windows10, Bios)), (Some(1), Some(0)));
    assert_eq!(numbers(&store(Client, Windows7, Bios)), (Some(0), None));
    // Windows 7 does not start from UEFI with it, later ones not without.
    let isolated = |store: &Store| store.object(names::DEFAULT).unwrap().boolean(E::ISOLATED_CONTEXT);
    assert_eq!(isolated(&store(Client, Windows7, Uefi)), None);
    assert_eq!(isolated(&store(Client, Windows8, Uefi)), Some(true));
    assert_eq!(isolated(&store(Client, Windows10, Uefi)), Some(true));
    assert_eq!(isolated(&store(Client, Windows10, Bios)), None);
}

/// A template as images have them: entries for both firmwares, what is inherited, directives.
fn template() -> Store {
    let mut store = Store::new(StoreRole::Plain, FileTime(0)).unwrap();
    for (id, menu) in [(names::TEMPLATE_OS_PCAT, 0), (names::TEMPLATE_OS_EFI, 1)] {
        let mut object = Object::new(id, ObjectType::LOADER);
        object.set(E::DESCRIPTION, Element::String("Windows".to_owned()));
        object.set(E::INHERIT, Element::ObjectList(vec![names::BOOTLOADER_SETTINGS]));
        object.set(E::NX, Element::Integer(3));
        object.set(E::BOOT_MENU_POLICY, Element::Integer(menu));
        object.set(E(0x2600_0010), Element::Boolean(true));
        // The path of the program below the Windows directory: for the maker of entries.
        object.set(E(0x4200_0002), Element::String("\\system32\\winload.exe".to_owned()));
        object.set(E(0x4500_0001), Element::Integer(2));
        store.insert(object);
    }
    let mut ems = Object::new(names::EMS_SETTINGS, ObjectType::INHERIT_LIBRARY);
    ems.set(E::BOOT_EMS, Element::Boolean(true));
    ems.set(E::EMS_PORT, Element::Integer(2));
    store.insert(ems);
    store
}

#[test]
fn a_template_s_settings_come_between_defaults_and_wishes() {
    let mut wishes = setup();
    wishes.options.boot_menu = Some(BootMenuPolicy::Standard);
    let store = create_from(&wishes, Some(&template())).unwrap();
    let loader = wishes.loader_id();
    assert_eq!(get(&store, loader, 0x2500_0020), Some(Element::Integer(3)), "the template's over ours");
    assert_eq!(get(&store, loader, 0x2500_00C2), Some(Element::Integer(1)), "the wish over the template's");
    assert_eq!(get(&store, loader, 0x2600_0010), Some(Element::Boolean(true)));
    assert_eq!(get(&store, names::EMS_SETTINGS, 0x1500_0022), Some(Element::Integer(2)));
    // Directives, names and paths are not copied, nor are the template's entries.
    assert!(store.objects().iter().all(|object| object.elements.keys().all(|element| element.0 >> 28 != 4)));
    assert_eq!(store.object(loader).unwrap().string(E::PATH), Some("\\Windows\\system32\\winload.exe"));
    assert!(store.object(names::TEMPLATE_OS_PCAT).is_none());
    assert!(wimforge_bcd::check(&store).unwrap().findings.is_empty());

    // Once merged, there is nothing to merge.
    let mut again = create(&setup()).unwrap();
    assert!(merge_template(&mut again, &template()) > 0);
    assert_eq!(merge_template(&mut again, &template()), 0);
}

#[test]
fn a_template_is_edited_where_entries_come_from() {
    let mut store = template();
    let options =
        Options { test_signing: true, ems: Some(Ems { port: 1, baud: 9600 }), ..Options::default() };
    edit_template(&mut store, &options).unwrap();
    for id in [names::TEMPLATE_OS_PCAT, names::TEMPLATE_OS_EFI] {
        assert_eq!(get(&store, id, 0x1600_0049), Some(Element::Boolean(true)));
        assert_eq!(get(&store, id, 0x2600_00B0), Some(Element::Boolean(true)));
        assert_eq!(get(&store, id, 0x4500_0001), Some(Element::Integer(2)), "directives stay");
    }
    assert_eq!(get(&store, names::EMS_SETTINGS, 0x1500_0022), Some(Element::Integer(1)));
    assert!(store.object(names::BOOTMGR).is_none());
    // And from there into stores.
    let made = create_from(&setup(), Some(&store)).unwrap();
    assert_eq!(get(&made, setup().loader_id(), 0x1600_0049), Some(Element::Boolean(true)));
}

#[test]
fn references_go_with_their_object() {
    let mut store = create(&setup()).unwrap();
    assert!(store.remove(names::MEMDIAG).is_some());
    assert_eq!(store.remove_references(names::MEMDIAG), 1);
    assert_eq!(store.object(names::BOOTMGR).unwrap().get(E::TOOLS_DISPLAY_ORDER), None);
    let loader = store.default_entry().unwrap();
    assert!(store.remove(names::DEFAULT).is_some());
    assert_eq!(store.remove_references(loader), 2);
    assert_eq!(store.default_entry(), None);
    assert!(store.object(names::DEFAULT).is_none() && store.object(names::CURRENT).is_none());
    let again = Store::parse(&store.to_bytes().unwrap()).unwrap();
    assert_eq!(again.objects().len(), store.objects().len());
}

#[test]
fn what_is_inherited_counts() {
    let store = with(Options { ems: Some(Ems { port: 3, baud: 9600 }), ..Options::default() });
    assert_eq!(store.effective(names::DEFAULT, E::EMS_PORT), Some(&Element::Integer(3)));
    // The loader's own `bootems` hides the one of {emssettings}.
    assert_eq!(store.effective(names::DEFAULT, E::BOOT_EMS), Some(&Element::Boolean(true)));
    assert_eq!(store.effective(names::DEFAULT, E::HOST_IP), None);
    let lineage: Vec<Guid> = store.lineage(names::DEFAULT).iter().map(|object| object.id).collect();
    assert_eq!(
        lineage[1..],
        [
            names::BOOTLOADER_SETTINGS,
            names::GLOBAL_SETTINGS,
            names::DBG_SETTINGS,
            names::EMS_SETTINGS,
            names::BAD_MEMORY,
            names::HYPERVISOR_SETTINGS,
        ]
    );
    assert_eq!(store.object(names::EMS_SETTINGS).unwrap().boolean(E::BOOT_EMS), Some(false));
}

#[test]
fn values_that_do_not_fit_are_refused_when_written() {
    let mut store = create(&setup()).unwrap();
    store.object_mut(names::BOOTMGR).unwrap().set(E::TIMEOUT, Element::Boolean(true));
    assert!(matches!(store.to_bytes(), Err(Error::Impossible(_))));
    store.object_mut(names::BOOTMGR).unwrap().set(E::TIMEOUT, Element::Integer(1));
    store.object_mut(names::BOOTMGR).unwrap().set(E::DESCRIPTION, Element::String(String::new()));
    assert!(matches!(store.to_bytes(), Err(Error::Impossible(_))));
}

#[test]
fn the_same_setup_makes_the_same_bytes() {
    let bytes = |setup: &Setup| create(setup).unwrap().to_bytes().unwrap();
    assert_eq!(bytes(&setup()), bytes(&setup()));
    let mut other = setup();
    other.seed = Seed::new(b"another");
    assert_ne!(bytes(&setup()), bytes(&other));
    // As large as what bcdboot leaves behind, or smaller.
    assert!(bytes(&setup()).len() <= 32_768);
}

/// Everybody inherits from everybody, and lists everybody: reading and checking stay linear.
#[test]
fn a_hostile_store_is_read_and_checked_in_time() {
    let mut store = Store::new(StoreRole::Plain, FileTime(0)).unwrap();
    let id = |number: usize| Seed::new(&number.to_le_bytes()).guid("object");
    let all: Vec<Guid> = (0..600).map(id).collect();
    for (at, id) in all.iter().enumerate() {
        let mut object = Object::new(*id, ObjectType::INHERIT_LOADER);
        let few: Vec<Guid> = all.iter().cycle().skip(at).take(100).copied().collect();
        object.set(E::INHERIT, Element::ObjectList(if at < 3 { all.clone() } else { few }));
        store.insert(object);
    }
    let store = Store::parse(&store.to_bytes().unwrap()).unwrap();
    assert_eq!(store.lineage(all[7]).len(), 64);
    let report = wimforge_bcd::check(&store).unwrap();
    assert_eq!((report.objects, report.errors), (600, 0));
    assert!(report.warnings >= 600 && report.findings.len() <= 1000);
}

/// A key `{{…}}` is no second object.
#[test]
fn names_of_objects_are_exact() {
    let store = Store::parse(&create(&setup()).unwrap().to_bytes().unwrap()).unwrap();
    let mut hive = store.to_hive().unwrap();
    let key = hive.root().open(&format!("Objects\\{{{}}}", names::BOOTMGR)).unwrap().clone();
    let key = key.renamed(format!("{{{{{}}}}}", names::BOOTMGR).as_str()).unwrap();
    hive.root_mut().subkey_mut("Objects").unwrap().insert(key).unwrap();
    let again = Store::from_hive(hive.clone()).unwrap();
    assert_eq!(again.objects(), store.objects());
    assert!(again.to_hive().unwrap() == hive);
}
