//! `wimforge reg` on hives of our own, in files, in a WIM and on a disk; hivex looks at what became of them.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use hive::{FileTime, Hive, Kind, data};
use serde_json::Value;
use testkit::wimfile::{Entry, WimFile};
use testkit::{args, tool};

use crate::support::{Ended, build, names, scratch, wimforge};

/// A security descriptor: owner and group are the administrators, no list.
fn descriptor() -> Vec<u8> {
    let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
    let header = [1, 0, 0, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &administrators, &administrators].concat()
}

/// A SYSTEM hive with two control sets, of which the second is the one that starts.
fn system() -> Hive {
    let mut hive =
        Hive::new(5, "CsiTool-CreateHive-{0}", &descriptor(), FileTime(131_277_024_000_000_000)).unwrap();
    let root = hive.root_mut();
    for (name, number) in [("Current", 1), ("Default", 2), ("Failed", 0)] {
        root.create("Select").unwrap().set(name, Kind::DWORD, data::dword(number)).unwrap();
    }
    for set in ["ControlSet001", "ControlSet002"] {
        let atapi = root.create(&format!("{set}\\Services\\atapi")).unwrap();
        atapi.set("Start", Kind::DWORD, data::dword(u32::from(set.ends_with('2')))).unwrap();
        atapi.set("ImagePath", Kind::EXPAND_SZ, data::sz("system32\\drivers\\atapi.sys")).unwrap();
        atapi.set("Groups", Kind::MULTI_SZ, data::multi_sz(["Boot", "SCSI miniport"])).unwrap();
        atapi.set("", Kind::SZ, data::sz("IDE \u{1b}[2J channel")).unwrap();
        atapi.set("Blob", Kind::BINARY, vec![0xAB; 40]).unwrap();
        root.create(&format!("{set}\\Services\\disk")).unwrap();
    }
    hive
}

fn save(hive: &Hive, path: &Path) -> PathBuf {
    fs::write(path, hive.to_bytes().unwrap()).unwrap();
    path.to_owned()
}

fn out(ended: Ended) -> String {
    String::from_utf8(ended.well().stdout).unwrap()
}

fn json(ended: Ended) -> Value {
    serde_json::from_str(&out(ended)).unwrap()
}

const ATAPI: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi";

#[test]
fn get_prints_what_scripts_and_people_need() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    let get = |rest: &[&str]| {
        wimforge(args!["reg", "get", &hive].into_iter().chain(rest.iter().map(AsRef::as_ref)))
    };
    assert_eq!(out(get(&[ATAPI, "start"])), "1\n");
    assert_eq!(out(get(&["ControlSet001\\Services\\atapi", "Start"])), "0\n");
    assert_eq!(out(get(&[ATAPI, "ImagePath"])), "system32\\drivers\\atapi.sys\n");
    assert_eq!(out(get(&[ATAPI, "Groups"])), "Boot\nSCSI miniport\n");
    assert_eq!(out(get(&[ATAPI, "Blob"])), "ab".repeat(40) + "\n");
    assert_eq!(get(&[ATAPI, "Blob", "--raw"]).well().stdout, [0xAB; 40]);
    // What could move a cursor is shown as text.
    assert_eq!(out(get(&[ATAPI, ""])), "IDE \\u{1b}[2J channel\n");
    let list = out(get(&[ATAPI]));
    assert!(list.starts_with("HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet002\\Services\\atapi\n"), "{list}");
    assert!(
        list.contains("REG_DWORD       0x1 (1)") && list.contains("REG_MULTI_SZ    Boot\\0SCSI miniport"),
        "{list}"
    );
    assert!(
        list.contains("abab... (40 bytes)") && list.contains("(default)") && !list.contains('\u{1b}'),
        "{list}"
    );
    assert!(out(get(&["ControlSet001\\Services"])).ends_with("\n  atapi\\\n  disk\\\n"));
    assert!(out(get(&[])).contains("  Select\\\n"));

    let value = json(get(&[ATAPI, "Groups", "--json"]));
    assert_eq!(value["schema"], "wimforge.reg.get/1");
    assert_eq!(value["value"]["value"], serde_json::json!(["Boot", "SCSI miniport"]));
    assert_eq!(
        (&value["value"]["type"], &value["value"]["type_number"]),
        (&"REG_MULTI_SZ".into(), &7.into())
    );
    let key = json(get(&["Select", "--json"]));
    assert_eq!(key["key"], "HKEY_LOCAL_MACHINE\\SYSTEM\\Select");
    assert_eq!(key["written"], "2017-01-01T00:00:00.0000000Z");
    assert_eq!(key["values"].as_array().unwrap().len(), 3);
}

#[test]
fn errors_say_what_to_do() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    let get = |rest: &[&str]| {
        wimforge(args!["reg", "get", &hive].into_iter().chain(rest.iter().map(AsRef::as_ref)))
    };
    get(&["ControlSet001\\Services\\atapx"])
        .badly(&[1])
        .says(&["ControlSet001\\Services has the subkeys atapi, disk"]);
    get(&[ATAPI, "Stat"]).badly(&[1]).says(&["no value Stat", "Start, ImagePath"]);
    get(&["HKLM\\SOFTWARE\\x"]).badly(&[2]).says(&["lies in SOFTWARE, and this is SYSTEM", "--as"]);
    get(&["HKLM\\HARDWARE"]).badly(&[2]).says(&["exists only while Windows runs", "HKLM\\SOFTWARE", "HKCR"]);
    get(&["HKLM\\SOFTWARE\\x", "--as", "HKLM\\SOFTWARE"])
        .badly(&[1])
        .says(&["no key HKEY_LOCAL_MACHINE\\SOFTWARE\\x"]);
    get(&["Select", "--image", "1"]).badly(&[2]).says(&["--image"]);
    let text = scratch.path().join("text");
    fs::write(&text, "hello").unwrap();
    wimforge(args!["reg", "get", &text, "x"]).badly(&[2, 4]);
    wimforge(args!["reg", "set", &text, "x", "y", "z"]).badly(&[3, 4]);
    wimforge(args!["reg", "get", &scratch.path().join("none"), "x"]).badly(&[1]).says(&["none"]);
    wimforge(args!["reg", "get", scratch.path(), "x"]).badly(&[4]).says(&["is a directory"]);
}

#[test]
fn set_and_delete_change_the_file_in_place() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    let reg = |verb: &str, rest: &[&str]| {
        wimforge(args!["reg", verb, &hive].into_iter().chain(rest.iter().map(AsRef::as_ref)))
    };
    let set = |name: &str, kind: &str, data: &[&str]| {
        reg(
            "set",
            &[&["HKLM\\SYSTEM\\CurrentControlSet\\Services\\new", name, "--type", kind][..], data].concat(),
        )
    };
    assert_eq!(
        out(set("Start", "dword", &["0x10"])).rsplit_once(": keys").unwrap().1,
        " created: 1, values set: 1\n"
    );
    set("Big", "qword", &["18446744073709551615"]).well();
    set("Text", "REG_SZ", &["two words"]).well();
    set("List", "multi_sz", &["a", "b c", "--", "-d"]).well();
    set("Path", "expand_sz", &["%SystemRoot%"]).well();
    set("Bytes", "binary", &["01 02", "fF"]).well();
    set("Odd", "0xffff0012", &["00"]).well();
    set("Empty", "none", &[]).well();
    set("", "sz", &["default"]).well();
    assert_eq!(names(scratch.path()), ["SYSTEM"], "nothing is left behind");
    let read = Hive::parse(&fs::read(&hive).unwrap()).unwrap();
    let new = read.root().open("ControlSet002\\Services\\new").unwrap();
    let value = |name: &str| new.value(name).map(|value| (value.kind().0, value.data().to_vec()));
    assert_eq!(value("Start"), Some((4, vec![16, 0, 0, 0])));
    assert_eq!(value("Big"), Some((11, vec![0xFF; 8])));
    assert_eq!(value("Text"), Some((1, data::sz("two words"))));
    assert_eq!(value("List"), Some((7, data::multi_sz(["a", "b c", "-d"]))));
    assert_eq!(value("Path"), Some((2, data::sz("%SystemRoot%"))));
    assert_eq!(value("Bytes"), Some((3, vec![1, 2, 255])));
    assert_eq!(value("Odd"), Some((0xFFFF_0012, vec![0])));
    assert_eq!(value("Empty"), Some((0, vec![])));
    assert_eq!(value(""), Some((1, data::sz("default"))));
    // Both have the parent's time: there is no clock.
    assert_eq!(new.written(), FileTime(131_277_024_000_000_000));

    for (kind, data, says) in [
        ("dword", &["5000000000"][..], "4294967295"),
        ("dword", &["x"], "\"x\" is no number"),
        ("dword", &[], "takes one DATA"),
        ("qword", &["1", "2"], "takes one DATA"),
        ("multi_sz", &["a", ""], "would end the list"),
        ("binary", &["0g"], "two hexadecimal digits"),
        ("binary", &["+1"], "two hexadecimal digits"),
        ("binary", &["123"], "two hexadecimal digits"),
    ] {
        set("Start", kind, data).badly(&[2]).says(&[says]);
    }
    assert_eq!(set("Start", "dwrd", &["1"]).code, Some(2));

    let before = fs::read(&hive).unwrap();
    reg("delete", &["ControlSet002\\Services"]).badly(&[2]).says(&["has subkeys (3)", "--recursive"]);
    reg("delete", &["ControlSet002\\none"]).badly(&[1]);
    reg("delete", &[ATAPI, "none"]).badly(&[1]).says(&["has no value none"]);
    reg("delete", &["\\", "--recursive"]).badly(&[1]).says(&["the root of a hive cannot be deleted"]);
    assert_eq!(fs::read(&hive).unwrap(), before, "what fails changes nothing");
    reg("delete", &[ATAPI, "START"]).well();
    reg("delete", &["ControlSet002\\Services\\new"]).well();
    let deleted = json(reg("delete", &["ControlSet001", "--recursive", "--json"]));
    assert_eq!((&deleted["schema"], &deleted["keys_deleted"]), (&"wimforge.reg.delete/1".into(), &1.into()));
    let read = Hive::parse(&fs::read(&hive).unwrap()).unwrap();
    assert!(read.root().open("ControlSet002\\Services\\atapi").unwrap().value("Start").is_none());
    assert!(read.root().subkey("ControlSet001").is_none());
    out(wimforge(args!["reg", "check", &hive]));
    if let Some(hivexsh) = tool("hivexregedit") {
        let text = hivexsh.text(args!["--export", &hive, "\\"]);
        assert!(
            text.contains("[\\ControlSet002\\Services\\atapi]") && !text.contains("ControlSet001"),
            "{text}"
        );
    }
}

#[test]
fn import_takes_all_files_or_none() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    let file = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let good = file(
        "good.reg",
        "REGEDIT4\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\a]\n\"x\"=dword:1\n[-HKLM\\SYSTEM\\Select\\none]\n",
    );
    let bad = file("bad.reg", "REGEDIT4\n[HKLM\\SYSTEM\\b]\n\"x\"=dwrd:1\n");
    let other = file("other.reg", "REGEDIT4\n[HKLM\\SYSTEM\\b]\n\n[HKCR\\.txt]\n");
    let offline = file("offline.reg", "REGEDIT4\n[HKLM\\OFFLINE\\CurrentControlSet\\c]\n");
    let before = fs::read(&hive).unwrap();
    let import = |files: &[&Path], rest: &[&str]| {
        let files = files.iter().map(|file| file.as_os_str());
        wimforge(args!["reg", "import", &hive].into_iter().chain(files).chain(rest.iter().map(AsRef::as_ref)))
    };
    import(&[&good, &bad], &[])
        .badly(&[1])
        .says(&["bad.reg: line 3, column 5: found \"dwrd:1\", expected a string"]);
    import(&[&good, &other], &[])
        .badly(&[1])
        .says(&["other.reg: line 4: HKCR\\.txt lies in SOFTWARE, and this is SYSTEM"]);
    import(&[&offline], &[]).badly(&[1]).says(&["offline.reg: line 2: HKLM\\OFFLINE\\CurrentControlSet\\c"]);
    assert_eq!(fs::read(&hive).unwrap(), before);
    let done = json(import(&[&good, &offline], &["--as", "HKLM\\OFFLINE", "--json"]));
    assert_eq!((&done["keys_created"], &done["values_set"]), (&2.into(), &1.into()));
    let read = Hive::parse(&fs::read(&hive).unwrap()).unwrap();
    assert!(
        read.root().open("ControlSet002\\Services\\a").is_some()
            && read.root().open("ControlSet002\\c").is_some()
    );

    // What changes nothing writes nothing.
    let nothing = file("nothing.reg", "REGEDIT4\n[-HKLM\\SYSTEM\\nothing]\n");
    let before = fs::metadata(&hive).unwrap().modified().unwrap();
    assert!(out(import(&[&nothing], &[])).ends_with("nothing to change\n"));
    assert_eq!(fs::metadata(&hive).unwrap().modified().unwrap(), before);

    // A hive into a key.
    let mut small = Hive::new(3, "ROOT", &descriptor(), FileTime(5)).unwrap();
    small.root_mut().create("k\\l").unwrap().set("v", Kind::SZ, data::sz("w")).unwrap();
    let small = save(&small, &scratch.path().join("small"));
    import(&[&small], &[]).badly(&[2]).says(&["is a hive; --at KEY"]);
    import(&[&good], &["--at", "x"]).badly(&[2]).says(&["is no hive"]);
    import(&[&small], &["--at", "\\"]).badly(&[2]).says(&["is the root"]);
    import(&[&small], &["--at", "x", "--from", "none"]).badly(&[1]).says(&["no key"]);
    import(&[&small], &["--at", "CurrentControlSet\\Vendor"]).well();
    import(&[&small], &["--at", "HKLM\\SYSTEM\\L", "--from", "k\\L"]).well();
    let read = Hive::parse(&fs::read(&hive).unwrap()).unwrap();
    let value = |path: &str| read.root().open(path).and_then(|key| key.value("v")?.as_str());
    assert_eq!(value("ControlSet002\\Vendor\\k\\l").as_deref(), Some("w"));
    assert_eq!(value("L").as_deref(), Some("w"));
    assert_eq!(read.root().subkey("L").unwrap().name().to_string(), "L");
    out(wimforge(args!["reg", "check", &hive]));
}

#[test]
fn export_is_what_import_takes() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    let empty = Hive::new(5, "ROOT", &descriptor(), FileTime(5)).unwrap();
    for (position, options) in [&[][..], &["--regedit4"], &["--utf8"]].into_iter().enumerate() {
        let file = scratch.path().join(format!("{position}.reg"));
        let export = args!["reg", "export", &hive, ATAPI, "-o", &file].into_iter();
        wimforge(export.clone().chain(options.iter().map(AsRef::as_ref))).well();
        wimforge(export).badly(&[2]).says(&["exists; --force"]);
        let new = save(&empty, &scratch.path().join(format!("new{position}")));
        wimforge(args!["reg", "import", &new, &file]).well();
        let read = Hive::parse(&fs::read(&new).unwrap()).unwrap();
        let (read, original) = (read.root().open("ControlSet002\\Services\\atapi"), system());
        assert!(
            read.unwrap().values().eq(original
                .root()
                .open("ControlSet002\\Services\\atapi")
                .unwrap()
                .values())
        );
    }
    let start = |name: &str| fs::read(scratch.path().join(name)).unwrap()[..10].to_vec();
    assert_eq!(start("0.reg"), b"\xFF\xFEW\0i\0n\0d\0");
    assert_eq!(start("1.reg"), b"REGEDIT4\r\n");
    assert_eq!(start("2.reg"), b"Windows Re");
    let text = out(wimforge(args!["reg", "export", &hive, "Select"]));
    let expected = "Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\n\
                    \"Current\"=dword:00000001\n\"Default\"=dword:00000002\n\"Failed\"=dword:00000000\n\n";
    assert_eq!(text, expected);
    let text = out(wimforge(args!["reg", "export", &hive, "Select", "--as", "HKLM\\OFFLINE"]));
    assert!(text.contains("[HKLM\\OFFLINE\\Select]"), "{text}");
}

#[test]
fn check_finds_a_fault() {
    let scratch = scratch();
    let hive = save(&system(), &scratch.path().join("SYSTEM"));
    assert!(out(wimforge(args!["reg", "check", &hive])).contains("clean: 10 keys, 13 values"));
    let mut bytes = fs::read(&hive).unwrap();
    // The name of a subkey, so that its hash is wrong.
    let at = bytes.windows(5).position(|window| window == b"atapi").unwrap();
    bytes[at] = b'b';
    fs::write(&hive, &bytes).unwrap();
    let found = wimforge(args!["reg", "check", &hive]);
    assert_eq!(found.code, Some(3));
    let text = String::from_utf8(found.stdout).unwrap();
    assert!(text.contains("subkey-hash") && text.contains("DAMAGED"), "{text}");
    let found = wimforge(args!["reg", "check", &hive, "--json"]);
    let value: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (found.code, &value["clean"], &value["schema"]),
        (Some(3), &false.into(), &"wimforge.reg.check/1".into())
    );
    bytes.truncate(1000);
    fs::write(&hive, &bytes).unwrap();
    assert_eq!(wimforge(args!["reg", "check", &hive]).code, Some(3));
    wimforge(args!["reg", "get", &hive]).badly(&[3]).says(&["SYSTEM"]);
}

/// A WIM with a Windows that has two hives, one of them with a log beside it.
fn windows() -> WimFile {
    let mut wim = WimFile::new();
    let image = wim.image("Windows");
    let root = image.root();
    let windows = image.add(root, Entry::directory("Windows"));
    let system32 = image.add(windows, Entry::directory("System32"));
    let config = image.add(system32, Entry::directory("config"));
    image.add(config, Entry::file("SYSTEM", system().to_bytes().unwrap()));
    image.add(config, Entry::file("SYSTEM.LOG1", "a clean hive's log is not looked at"));
    let users = image.add(root, Entry::directory("Users"));
    let default = image.add(users, Entry::directory("Default"));
    let mut user = Hive::new(3, "ROOT", &descriptor(), FileTime(5)).unwrap();
    user.root_mut().create("Control Panel").unwrap();
    user.root_mut().create("Software\\x").unwrap().set("y", Kind::SZ, data::sz("z")).unwrap();
    image.add(default, Entry::file("NTUSER.DAT", user.to_bytes().unwrap()));
    wim
}

#[test]
fn hives_inside_images_and_disks() {
    let scratch = scratch();
    let (wim, disk) = (scratch.path().join("w.wim"), scratch.path().join("d.vhd"));
    windows().save(&wim);
    build(&wim, &disk, &[]).well();
    let partition = PathBuf::from(format!("{}:2", disk.display()));
    let whole = PathBuf::from(format!("{}:2/Users/default/ntuser.dat", disk.display()));
    for source in [&wim, &disk, &partition] {
        let get = |key: &str, value: &str| wimforge(args!["reg", "get", source, key, value]);
        assert_eq!(out(get(ATAPI, "Start")), "1\n");
        assert_eq!(out(get("HKCU\\Software\\x", "y")), "z\n");
        get("HKLM\\SOFTWARE\\x", "y").badly(&[1, 2]);
        get("Select", "Current")
            .badly(&[2])
            .says(&["the key has to say in which hive it lies", "HKLM\\SYSTEM"]);
        let text = out(wimforge(args!["reg", "export", source, "HKLM\\SYSTEM\\Select"]));
        assert!(text.contains("[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]"), "{text}");
        let checked = json(wimforge(args!["reg", "check", source, "--json"]));
        assert_eq!((checked["hives"].as_array().unwrap().len(), &checked["clean"]), (2, &true.into()));
        let text = out(wimforge(args!["reg", "check", source, "HKCU"]));
        assert!(text.starts_with("Users/Default/NTUSER.DAT\n"), "{text}");
        let value = json(wimforge(args!["reg", "get", source, "HKLM\\SYSTEM\\Select", "--json"]));
        assert_eq!(value["hive"], "Windows/System32/config/SYSTEM");
        wimforge(args!["reg", "set", source, "HKLM\\SYSTEM\\Select", "x", "y"]).badly(&[1, 4]);
    }
    assert_eq!(out(wimforge(args!["reg", "get", &whole, "Software\\x", "y"])), "z\n");
    wimforge(args!["reg", "get", &disk, "HKLM\\SOFTWARE"]).badly(&[1, 2]).says(&["d.vhd"]);
}

#[test]
fn a_build_edits_the_registry() {
    let scratch = scratch();
    let place = |name: &str| scratch.path().join(name);
    let (wim, file) = (place("w.wim"), place("x.reg"));
    windows().save(&wim);
    let text = "REGEDIT4\n[HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi]\n\"Start\"=dword:0\n[HKCU\\Software\\x]\n\"y\"=-\n";
    fs::write(&file, text).unwrap();
    let software = save(&system(), &place("software"));
    let option = format!("SOFTWARE={}", software.display());
    let options = ["--reg", file.to_str().unwrap(), "--hive", &option];
    build(&wim, &place("a.vhd"), &options).well();
    build(&wim, &place("b.vhd"), &options).well();
    assert!(
        fs::read(place("a.vhd")).unwrap() == fs::read(place("b.vhd")).unwrap(),
        "the same options, the same disk"
    );
    let disk = place("a.vhd");
    assert_eq!(out(wimforge(args!["reg", "get", &disk, ATAPI, "Start"])), "0\n");
    wimforge(args!["reg", "get", &disk, "HKCU\\Software\\x", "y"]).badly(&[1]).says(&["it has no values"]);
    assert_eq!(
        out(wimforge(args!["reg", "get", &disk, "HKLM\\SOFTWARE\\ControlSet002\\Services\\atapi", "Start"])),
        "1\n"
    );
    let checked = json(wimforge(args!["reg", "check", &disk, "--json"]));
    assert_eq!((checked["hives"].as_array().unwrap().len(), &checked["clean"]), (3, &true.into()));
    // A log that does not belong to the new hive is gone.
    let log = format!("{}:2/Windows/System32/config/SYSTEM.LOG1", disk.display());
    assert_eq!(out(wimforge(["cat", &log])), "");
    fs::write(&file, "REGEDIT4\n[HKLM\\SAM\\x]\n").unwrap();
    build(&wim, &place("c.vhd"), &["--reg", file.to_str().unwrap()])
        .badly(&[1])
        .says(&["config/SAM, which holds"]);
    assert!(!place("c.vhd").exists());
}
