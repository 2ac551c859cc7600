//! Registry paths, in every spelling, and the key of a hive that each means.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use wimforge_hive::paths::{Error, KnownHive, Mount, control_set, has_root, locate};
use wimforge_hive::reg::KeyPath;
use wimforge_hive::{FileTime, Hive, Kind, data};

fn hive(keys: &[&str]) -> Hive {
    let mut hive = Hive::new(5, "ROOT", &[1, 0, 0, 0x80], FileTime(1)).unwrap();
    for key in keys {
        hive.root_mut().create(key).unwrap();
    }
    hive
}

fn system(default: u32, current: u32) -> Hive {
    let mut hive = hive(&["Select", "ControlSet001", "ControlSet003"]);
    let select = hive.root_mut().open_mut("Select").unwrap();
    select.set("Current", Kind::DWORD, data::dword(current)).unwrap();
    select.set("Default", Kind::DWORD, data::dword(default)).unwrap();
    hive
}

#[test]
fn every_spelling() {
    let is = |path: &str, hive: KnownHive, key: &str| {
        let location = locate(&KeyPath::parse(path)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((location.hive, location.key), (hive, KeyPath::parse(key)), "{path}");
        assert!(has_root(&KeyPath::parse(path)), "{path}");
    };
    is("HKLM\\SYSTEM\\Select", KnownHive::System, "Select");
    is("hkey_local_machine\\system", KnownHive::System, "");
    is("Computer\\HKEY_LOCAL_MACHINE\\Software\\a\\b", KnownHive::Software, "a\\b");
    is("\\Registry\\Machine\\System\\CurrentControlSet", KnownHive::System, "CurrentControlSet");
    is("\\REGISTRY\\USER\\.DEFAULT\\x", KnownHive::Default, "x");
    is("HKLM\\SAM\\SAM", KnownHive::Sam, "SAM");
    is("HKLM\\SECURITY", KnownHive::Security, "");
    is("HKLM\\COMPONENTS", KnownHive::Components, "");
    is("HKLM\\DRIVERS", KnownHive::Drivers, "");
    is("HKLM\\BCD00000000\\Objects", KnownHive::Bcd, "Objects");
    is("HKU\\.Default\\Software", KnownHive::Default, "Software");
    is("HKEY_USERS\\S-1-5-18\\Software", KnownHive::Default, "Software");
    is("HKU\\S-1-5-19", KnownHive::LocalService, "");
    is("HKU\\S-1-5-20", KnownHive::NetworkService, "");
    is("HKCU\\Software", KnownHive::DefaultUser, "Software");
    is("HKEY_CURRENT_USER", KnownHive::DefaultUser, "");
    is("HKCR\\.txt", KnownHive::Software, "Classes\\.txt");
    is("HKEY_CLASSES_ROOT", KnownHive::Software, "Classes");
    is("HKCC\\Software", KnownHive::System, "CurrentControlSet\\Hardware Profiles\\Current\\Software");
}

#[test]
fn other_roots_are_named_with_those_that_are_known() {
    for path in [
        "",
        "HKLM",
        "HKU",
        "HKXX\\a",
        "HKLM\\HARDWARE\\x",
        "HKLM\\WIM",
        "HKU\\S-1-5-21-1",
        "REGISTRY",
        "REGISTRY\\A",
        "Computer",
        "HKEY_PERFORMANCE_DATA",
    ] {
        let error = locate(&KeyPath::parse(path)).expect_err(path).to_string();
        assert!(
            error.contains(path) && error.contains("HKLM\\SOFTWARE") && error.contains("HKU\\.DEFAULT"),
            "{error}"
        );
    }
    for path in ["", "Select", "ControlSet001", "Software\\HKLM", "\\HKLM\\SYSTEM", "REGISTRY"] {
        assert!(!has_root(&KeyPath::parse(path)), "{path}");
    }
}

#[test]
fn files_and_names() {
    assert_eq!(KnownHive::System.files(), ["Windows/System32/config/SYSTEM"]);
    assert_eq!(KnownHive::DefaultUser.files(), ["Users/Default/NTUSER.DAT"]);
    assert_eq!(KnownHive::System.to_string(), "SYSTEM (HKEY_LOCAL_MACHINE\\SYSTEM)");
    for (name, hive) in [
        ("system", KnownHive::System),
        ("HKLM\\SOFTWARE", KnownHive::Software),
        ("DEFAULT", KnownHive::Default),
        ("ntuser.dat", KnownHive::DefaultUser),
        ("hkcu", KnownHive::DefaultUser),
        ("BCD", KnownHive::Bcd),
    ] {
        assert_eq!(KnownHive::named(name), Some(hive), "{name}");
    }
    assert_eq!(KnownHive::named("HKLM\\SOFTWARE\\x"), None);
    assert_eq!(KnownHive::named("HKCR"), None);
    for hive in KnownHive::all() {
        let location = locate(&KeyPath::parse(hive.mount())).unwrap();
        assert_eq!((location.hive, location.key.names().len()), (hive, 0));
    }
}

#[test]
fn hives_are_recognised_by_what_they_hold() {
    let is = |keys: &[&str], known| assert_eq!(KnownHive::recognise(hive(keys).root()), known, "{keys:?}");
    is(&["Select", "ControlSet001"], Some(KnownHive::System));
    is(&["Classes", "Microsoft"], Some(KnownHive::Software));
    is(&["Control Panel", "Software", "Environment"], Some(KnownHive::DefaultUser));
    is(&["Description", "Objects"], Some(KnownHive::Bcd));
    is(&["x"], None);
    is(&[], None);
}

#[test]
fn the_control_set_is_the_one_that_starts() {
    assert_eq!(control_set(system(3, 1).root()).as_deref(), Some("ControlSet003"));
    assert_eq!(control_set(system(2, 1).root()).as_deref(), Some("ControlSet001"));
    assert_eq!(control_set(system(2, 4).root()), None);
    assert_eq!(control_set(hive(&["ControlSet001"]).root()), None);
}

#[test]
fn a_mount_takes_both_kinds_of_path() {
    let hive = system(3, 1);
    let mount = Mount::of(hive.root());
    let key = |path: &str| mount.key(&KeyPath::parse(path)).map(|key| key.to_string());
    assert_eq!(key("HKLM\\SYSTEM\\Select").as_deref(), Ok("Select"));
    assert_eq!(key("Select").as_deref(), Ok("Select"));
    assert_eq!(key("\\").as_deref(), Ok("\\"));
    assert_eq!(key("\\HKLM\\x").as_deref(), Ok("\\HKLM\\x"));
    assert_eq!(key("HKLM\\SYSTEM\\CurrentControlSet\\Services").as_deref(), Ok("ControlSet003\\Services"));
    assert_eq!(key("currentcontrolset").as_deref(), Ok("ControlSet003"));
    assert_eq!(key("HKLM\\SYSTEM\\a\\CurrentControlSet").as_deref(), Ok("a\\CurrentControlSet"));
    let error = key("HKLM\\SOFTWARE\\a").unwrap_err();
    assert_eq!(error.to_string(), "HKLM\\SOFTWARE\\a lies in SOFTWARE, and this is SYSTEM");
    assert!(matches!(key("HKLM\\x").unwrap_err(), Error::Unknown { .. }));
}

#[test]
fn a_mount_may_be_told_where_it_is() {
    // As `reg load HKLM\OFFLINE` has it.
    let with_select = system(1, 1);
    let mount = Mount::at(with_select.root(), &KeyPath::parse("HKLM\\OFFLINE"));
    assert_eq!(
        mount.key(&KeyPath::parse("hklm\\offline\\CurrentControlSet\\x")).unwrap().to_string(),
        "ControlSet001\\x"
    );
    // As regedit spells it when it exports that.
    assert_eq!(mount.key(&KeyPath::parse("HKEY_LOCAL_MACHINE\\OFFLINE\\x")).unwrap().to_string(), "x");
    assert!(mount.key(&KeyPath::parse("HKEY_USERS\\OFFLINE\\x")).is_err());
    assert_eq!(mount.key(&KeyPath::parse("HKLM\\SYSTEM\\x")).unwrap().to_string(), "x");
    // A hive that nothing is known of takes what it is given.
    let empty = hive(&[]);
    let mount = Mount::of(empty.root());
    assert_eq!(mount.hive(), None);
    assert_eq!(mount.key(&KeyPath::parse("HKCR\\x")).unwrap().to_string(), "Classes\\x");
    assert_eq!(mount.key(&KeyPath::parse("CurrentControlSet")).unwrap().to_string(), "CurrentControlSet");
    // Unless it is said what it is.
    let mount = Mount::at(empty.root(), &KeyPath::parse("HKLM\\SYSTEM"));
    assert_eq!(mount.hive(), Some(KnownHive::System));
    assert!(matches!(mount.key(&KeyPath::parse("HKCR\\x")), Err(Error::OtherHive { .. })));
    assert!(matches!(
        mount.key(&KeyPath::parse("HKLM\\SYSTEM\\CurrentControlSet")),
        Err(Error::NoControlSet { .. })
    ));
    // A user's hive is any user's.
    let user = hive(&["Control Panel", "Software"]);
    let mount = Mount::of(user.root());
    assert_eq!(mount.key(&KeyPath::parse("HKU\\.DEFAULT\\x")).unwrap().to_string(), "x");
    assert_eq!(mount.key(&KeyPath::parse("HKCU\\x")).unwrap().to_string(), "x");
}
