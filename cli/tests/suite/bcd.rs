//! `bcd`: stores made, shown, changed and checked; in files, on disks, in WIMs.

use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{args, samples, testdata, tool};

use crate::support::{Ended, scratch, wimforge};

/// A store of a BIOS disk with three partitions.
fn bios(folder: &Path) -> PathBuf {
    let store = folder.join("BCD");
    create(
        &store,
        &[
            "bios",
            "--device",
            "partition=mbr:12345678@0x100000",
            "--osdevice",
            "partition=mbr:12345678@0x15f00000",
        ],
    )
    .well();
    store
}

fn create(store: &Path, firmware_and_more: &[&str]) -> Ended {
    let mut arguments = args!["bcd", "create", store, "--firmware"].to_vec();
    arguments.extend(firmware_and_more.iter().map(std::convert::AsRef::<std::ffi::OsStr>::as_ref));
    wimforge(arguments)
}

fn set(store: &Path, rest: &[&str]) -> Ended {
    let mut arguments = args!["bcd", "set", store].to_vec();
    arguments.extend(rest.iter().map(std::convert::AsRef::<std::ffi::OsStr>::as_ref));
    wimforge(arguments)
}

#[track_caller]
fn json(arguments: &[&std::ffi::OsStr]) -> Value {
    let ended = wimforge(arguments).well();
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

#[track_caller]
fn show(store: &Path, objects: &[&str]) -> String {
    let mut arguments = args!["bcd", "show", store].to_vec();
    arguments.extend(objects.iter().map(std::convert::AsRef::<std::ffi::OsStr>::as_ref));
    String::from_utf8(wimforge(arguments).well().stdout).expect("UTF-8")
}

/// The value of a line of `show`.
#[track_caller]
fn shown(store: &Path, object: &str, element: &str) -> String {
    let text = show(store, &[object]);
    let line = text.lines().find_map(|line| line.strip_prefix(element)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {element} in {text}")).trim().to_owned()
}

#[test]
fn a_store_is_made_and_shown() {
    let folder = scratch();
    let store = bios(folder.path());
    let text = show(&store, &["{bootmgr}", "{default}"]);
    let text = text.as_str();
    for line in [
        "Windows Boot Manager\n--------------------\nidentifier              {bootmgr}\n",
        "device                  partition=mbr:12345678@0x100000\n",
        "osdevice                partition=mbr:12345678@0x15f00000\n",
        "path                    \\Windows\\system32\\winload.exe\n",
        "toolsdisplayorder       {memdiag}\n",
        "nx                      OptIn\n",
        "allowedinmemorysettings 0x15000075\n",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let all = json(&args!["bcd", "show", &store, "--json"]);
    assert_eq!(all["schema"], "wimforge.bcd/1");
    let objects = all["stores"][0]["objects"].as_array().expect("objects");
    assert_eq!(objects[0]["name"], "bootmgr");
    let timeout =
        objects[0]["elements"].as_array().expect("elements").iter().find(|e| e["name"] == "timeout");
    assert_eq!(timeout.expect("a timeout")["value"], 30);
    let default = all["stores"][0]["default"].as_str().expect("a default");
    assert!(objects.iter().any(|object| object["id"] == default && object["type"] == "10200003"));
    // Numbers and GUIDs for scripts.
    let ids = wimforge(args!["bcd", "show", &store, "--ids", "{memdiag}"]).well();
    let ids = String::from_utf8(ids.stdout).expect("UTF-8");
    assert!(ids.contains("{b2721d73-1db4-4c62-bf78-c548a880142d}") && ids.contains("\n12000002 "), "{ids}");

    // The same options make the same bytes; another seed other GUIDs.
    let again = folder.path().join("again");
    create(
        &again,
        &[
            "bios",
            "--device",
            "partition=mbr:12345678@0x100000",
            "--osdevice",
            "partition=mbr:12345678@0x15f00000",
        ],
    )
    .well();
    let read = |path: &Path| std::fs::read(path).expect("a store");
    assert_eq!(read(&store), read(&again));
    create(&again, &["bios"]).badly(&[2]).says(&["--force"]);
    create(&again, &["bios", "--force", "--seed", "x"]).well();
    assert_ne!(read(&store), read(&again));
    create(&folder.path().join("x"), &["coreboot"]).badly(&[2]).says(&["bios, uefi"]);
    create(&folder.path().join("x"), &["bios", "--device", "C:"])
        .badly(&[2])
        .says(&["partition=mbr:SIGNATURE@OFFSET"]);
    create(&folder.path().join("x"), &["bios", "--systemroot", "Windows"]).badly(&[2]).says(&["\\Windows"]);
    assert!(!folder.path().join("x").exists());
}

#[test]
fn elements_are_set_and_deleted() {
    let folder = scratch();
    let store = bios(folder.path());
    for (arguments, element, value) in [
        (&["{default}", "testsigning", "on"][..], "testsigning", "Yes"),
        (&["{default}", "testsigning", "No"], "testsigning", "No"),
        (&["{default}", "NX", "alwayson"], "nx", "AlwaysOn"),
        (&["{default}", "nx", "1"], "nx", "OptOut"),
        (&["default", "description", "Windows", "Server"], "description", "Windows Server"),
        (&["{default}", "device", "boot"], "device", "boot"),
        (&["{default}", "osdevice", "locate"], "osdevice", "locate=custom:22000002"),
        (&["{default}", "osdevice", "locate=\\Windows"], "osdevice", "locate=\\Windows"),
        (
            &["{default}", "device", "vhd=[locate=\\w.vhd]\\w.vhd"],
            "device",
            "vhd=[locate=\\w.vhd]\\w.vhd,locate=custom:12000002",
        ),
        (
            &[
                "{default}",
                "device",
                "partition=gpt:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-554433221100",
            ],
            "device",
            "partition=gpt:00112233-4455-6677-8899-aabbccddeeff:ffeeddcc-bbaa-9988-7766-554433221100",
        ),
        (&["{default}", "custom:26000022", "yes"], "winpe", "Yes"),
        (&["{default}", "truncatememory", "0x40000000"], "truncatememory", "0x40000000"),
        (&["{default}", "allowedinmemorysettings", "1", "2"], "allowedinmemorysettings", "0x1"),
        (&["{bootmgr}", "timeout", "5"], "timeout", "5"),
        (&["{bootmgr}", "toolsdisplayorder", "{memdiag}", "{ntldr}"], "toolsdisplayorder", "{memdiag}"),
        (&["{emssettings}", "emsport", "2"], "emsport", "2"),
        (&["{dbgsettings}", "hostip", "10.1.2.3"], "hostip", "10.1.2.3"),
        // Objects with a name are made when they are missing.
        (&["{kerneldbgsettings}", "kerneldebugtype", "Serial"], "kerneldebugtype", "Serial"),
        (
            &["{12345678-1234-1234-1234-123456789abc}", "path", "\\x.efi", "--create", "osloader"],
            "path",
            "\\x.efi",
        ),
    ] {
        set(&store, arguments).well();
        let object = arguments[0];
        assert_eq!(shown(&store, object, element), value, "{arguments:?}");
    }
    wimforge(args!["bcd", "delete", &store, "{default}", "testsigning"]).well();
    assert!(!show(&store, &["{default}"]).contains("testsigning"));
    wimforge(args!["bcd", "delete", &store, "{memdiag}"]).well().says(&["1 references"]);
    assert!(!show(&store, &[]).contains("memdiag"));
    // The hive is still one for others.
    if let Some(hivexml) = tool("hivexml") {
        let xml = hivexml.text([&store]);
        assert!(xml.contains("{12345678-1234-1234-1234-123456789abc}"), "{xml}");
    }
}

/// What cannot be done changes nothing, and says why.
#[test]
fn what_cannot_be_set_leaves_the_store_alone() {
    let folder = scratch();
    let store = bios(folder.path());
    let before = std::fs::read(&store).expect("a store");
    for (arguments, says) in [
        (&["{default}", "nx", "maybe"][..], "OptIn, OptOut, AlwaysOff, AlwaysOn"),
        (&["{default}", "testsigning", "perhaps"], "on or off"),
        (&["{default}", "device", "C:"], "partition=gpt:DISK:PARTITION"),
        (&["{default}", "filedevice", "boot"], "no element \"filedevice\""),
        (&["{current}", "nx", "0"], "{current}"),
        (&["{nobody}", "nx", "0"], "neither a GUID"),
        (&["{12345678-1234-1234-1234-123456789abc}", "nx", "0"], "--create"),
        (&["{bootmgr}", "default", "{memdiag}", "{ntldr}"], "one value"),
        (&["{bootmgr}", "default", "windows"], "a GUID or a name"),
        (&["{default}", "custom:2f000001", "0"], "format 0xf"),
        (&["{default}", "allowedinmemorysettings", "x"], "a number"),
    ] {
        set(&store, arguments).badly(&[1, 2]).says(&[says]);
    }
    wimforge(args!["bcd", "delete", &store, "{default}", "testsigning"])
        .badly(&[1])
        .says(&["it has device, path"]);
    wimforge(args!["bcd", "delete", &store, "{ntldr}"]).badly(&[1]).says(&["it has"]);
    assert_eq!(std::fs::read(&store).expect("a store"), before);
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");

    let text = folder.path().join("text");
    std::fs::write(&text, "no store").expect("a file");
    wimforge(args!["bcd", "show", &text]).badly(&[4]).says(&["neither a BCD store"]);
    wimforge(args!["bcd", "show", &folder.path().join("nothing")]).badly(&[1]).says(&["nothing"]);
    // A hive, but not a store.
    if let (Some(samples), Some(xz)) = (samples(), tool("xz")) {
        let hive = folder.path().join("NTUSER.DAT");
        std::fs::write(&hive, xz.run(args!["-dc", &samples.join("hives/NTUSER.DAT.xz")]).stdout)
            .expect("a file");
        wimforge(args!["bcd", "show", &hive]).badly(&[4]).says(&["not a BCD store"]);
        set(&hive, &["{bootmgr}", "timeout", "1"]).badly(&[4]);
    }
}

#[test]
fn real_stores_are_shown_and_changed() {
    let Some(samples) = samples() else { return };
    let folder = scratch();
    for name in ["BCDvm", "BCDrecovery", "BCDlaptop", "BCD-media"] {
        let store = folder.path().join(name);
        std::fs::write(&store, std::fs::read(samples.join("bcd").join(name)).expect("a sample"))
            .expect("a copy");
        let before = show(&store, &[]);
        set(&store, &["{bootmgr}", "timeout", "77"]).well();
        assert_eq!(shown(&store, "{bootmgr}", "timeout"), "77");
        let after = show(&store, &[]);
        let differ = before.lines().zip(after.lines()).filter(|(old, new)| old != new);
        assert_eq!(
            differ.map(|(_, new)| new.split_whitespace().collect()).collect::<Vec<String>>(),
            ["timeout77"]
        );
        assert_eq!(before.lines().count(), after.lines().count());
        let report = json(&args!["bcd", "check", &store, "--json"]);
        assert_eq!(
            (&report["clean"], &report["stores"][0]["errors"]),
            (&Value::Bool(true), &Value::from(0)),
            "{name}"
        );
    }
    let devices = show(&samples.join("bcd/BCDTest"), &["{fffdfa6e-8442-22f3-b2d5-323c2953814f}"]);
    assert!(devices.contains("vhd=[locate=\\test.vhd]\\test.vhd,locate=custom:12000002"), "{devices}");
}

#[test]
fn faults_are_found() {
    let folder = scratch();
    let store = bios(folder.path());
    wimforge(args!["bcd", "check", &store]).well();
    wimforge(args!["bcd", "delete", &store, "{default}", "osdevice"]).well();
    let ended = wimforge(args!["bcd", "check", &store]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let text = String::from_utf8(ended.stdout).expect("UTF-8");
    assert!(text.contains("error: entry: ") && text.contains("no osdevice"), "{text}");
    // A hive that was not written to its end, without the logs that have the rest: the first sequence number differs.
    let mut bytes = std::fs::read(&store).expect("a store");
    bytes[4] ^= 0x80;
    bytes[0x1FC] ^= 0x80;
    let dirty = folder.path().join("dirty");
    std::fs::write(&dirty, bytes).expect("a file");
    for command in ["show", "check"] {
        wimforge(args!["bcd", command, &dirty]).badly(&[3]).says(&["dirty"]);
    }
    set(&dirty, &["{bootmgr}", "timeout", "1"]).badly(&[3]).says(&["dirty"]);
    // One bit of the hive.
    let mut bytes = std::fs::read(&store).expect("a store");
    bytes[0x1000] ^= 1;
    std::fs::write(&store, bytes).expect("a file");
    assert_eq!(wimforge(args!["bcd", "check", &store]).code, Some(3));
    set(&store, &["{bootmgr}", "timeout", "1"]).badly(&[3]);
}

/// The stores that `build` writes are found where boot managers look, on NTFS and on FAT.
#[test]
fn stores_on_disks_and_in_wims() {
    let folder = scratch();
    for (layout, place) in [("mbr3", ":1/Boot/BCD"), ("gpt", ":1/EFI/Microsoft/Boot/BCD")] {
        let disk = folder.path().join(format!("{layout}.vhd"));
        wimforge(args!["build", &testdata("nano-small.wim"), "-o", &disk, "--layout", layout]).well();
        let named = |suffix: &str| PathBuf::from(format!("{}{suffix}", disk.display()));
        let whole = show(&disk, &[]);
        assert!(whole.contains("Windows Boot Manager"), "{whole}");
        assert_eq!(show(&named(":1"), &[]), whole);
        assert_eq!(show(&named(place), &[]), whole);
        let value = json(&args!["bcd", "show", &disk, "--json"]);
        assert_eq!(value["stores"][0]["store"], named(place).to_string_lossy().as_ref());
        let report = json(&args!["bcd", "check", &disk, "--json"]);
        assert_eq!(report["clean"], true, "{report:#}");
        assert_eq!(report["stores"][0]["warnings"], 0, "{report:#}");
        wimforge(args!["bcd", "show", &named(":2")]).badly(&[1, 4]);
        wimforge(args!["bcd", "show", &named(":1/nothing")]).badly(&[1]).says(&["nothing"]);
        // A store on a disk is not changed in place.
        set(&disk, &["{bootmgr}", "timeout", "1"]).badly(&[4]).says(&["can be shown and checked"]);
        set(&named(place), &["{bootmgr}", "timeout", "1"]).badly(&[4]).says(&["can be shown and checked"]);
    }
    let wim = PathBuf::from(format!("{}:Windows/win.ini", testdata("nano-small.wim").display()));
    wimforge(args!["bcd", "show", &wim]).badly(&[1, 3, 4]);
}
