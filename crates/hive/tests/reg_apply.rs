//! Operations against a shadow model, export and import there and back, and hivexregedit's opinion.

#![allow(clippy::unwrap_used, reason = "how a test fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use testkit::{args, samples, tool};
use wimforge_hive::paths::Mount;
use wimforge_hive::reg::{self, Applied, Change, Form, KeyPath, Operation, RegFile};
use wimforge_hive::{FileTime, Hive, Key, Kind, Name, Value, data};

/// A security descriptor: owner and group are the administrators, no list.
fn descriptor() -> Vec<u8> {
    let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
    let header = [1, 0, 0, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    [&header[..], &administrators, &administrators].concat()
}

fn empty() -> Hive {
    Hive::new(5, "ROOT", &descriptor(), FileTime(7)).unwrap()
}

/// Applies a file as if the hive were mounted.
#[track_caller]
fn import(hive: &mut Hive, bytes: &[u8]) -> Applied {
    let file = RegFile::parse(bytes).unwrap_or_else(|error| panic!("{error}"));
    let mount = Mount::of(hive.root());
    let mut locate = |operation: &Operation| Ok(Some(mount.key(&operation.key).unwrap()));
    reg::apply(hive.root_mut(), &file.operations, None, &mut locate).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn exported(key: &Key, path: &str, form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    reg::export(key, &KeyPath::parse(path), form, &mut out)
        .unwrap()
        .unwrap_or_else(|error| panic!("{error}"));
    out
}

/// Names and values of all keys.
fn same(a: &Key, b: &Key) -> bool {
    a.name() == b.name() && same_inside(a, b)
}

fn same_inside(a: &Key, b: &Key) -> bool {
    a.values().eq(b.values())
        && a.subkeys().len() == b.subkeys().len()
        && a.subkeys().zip(b.subkeys()).all(|(a, b)| same(a, b))
}

fn sample(name: &str) -> Option<Vec<u8>> {
    let path = samples()?.join("hives").join(name);
    let xz = tool("xz")?;
    let mut bytes = xz.run(args!["-dc", &path]).stdout;
    // Some were not written to their end, and their logs are not there; that is not the point here.
    let primary = bytes[4..8].to_vec();
    bytes[8..12].copy_from_slice(&primary);
    let sum = bytes[..508].as_chunks().0.iter().fold(0, |sum, &word| sum ^ u32::from_le_bytes(word));
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    Some(bytes)
}

#[test]
fn operations_do_what_they_say() {
    let mut hive = empty();
    let applied = import(
        &mut hive,
        b"REGEDIT4\n[a\\b\\c]\n@=\"x\"\n\"n\"=dword:1\n\"N\"=dword:2\n\"m\"=-\n[a\\d]\n[-A\\B]\n[-nothing]\n[a\\e]\n\"v\"=hex:1\n\"V\"=-\n\"w\"=hex:\n",
    );
    let expected = Applied { keys_created: 5, keys_deleted: 1, values_set: 5, values_deleted: 1 };
    assert_eq!(applied, expected);
    let a = hive.root().subkey("a").unwrap();
    assert_eq!(a.subkeys().map(|key| key.name().to_string()).collect::<Vec<_>>(), ["d", "e"]);
    let names = |key: &Key| key.values().map(|value| value.name().to_string()).collect::<Vec<_>>();
    assert_eq!(names(a.subkey("e").unwrap()), ["w"]);
    // What exists keeps its spelling, what is deleted from a key that is not there makes none.
    import(&mut hive, b"[A\\E]\n\"W\"=dword:5\n[A\\none]\n\"x\"=-\n");
    let e = hive.root().open("a\\e").unwrap();
    assert_eq!((names(e), e.value("w").unwrap().as_u32()), (vec!["w".to_owned()], Some(5)));
}

#[test]
fn what_cannot_be_done_is_refused_by_line() {
    let refused = |text: &str| {
        let file = RegFile::parse(text.as_bytes()).unwrap();
        let mut locate = |operation: &Operation| Ok(Some(operation.key.clone()));
        reg::apply(empty().root_mut(), &file.operations, None, &mut locate).unwrap_err().to_string()
    };
    assert_eq!(refused("\n[a]\n[-\\]\n"), "line 3: [\\]: the root of a hive cannot be deleted");
    let deep = vec!["k"; 512].join("\\");
    assert!(refused(&format!("[{deep}]")).ends_with("lies 513 levels deep, the most are 512"));
}

#[test]
fn times_and_security_come_from_the_parent_or_the_caller() {
    let mut hive = empty();
    let parent = hive.root_mut().create("a").unwrap();
    parent.set_written(FileTime(99));
    parent.set_security(vec![1, 0, 0, 0x80]);
    import(&mut hive, b"[a\\b]\n\"x\"=dword:1\n");
    let b = hive.root().open("a\\b").unwrap();
    assert_eq!((b.written(), &**b.security()), (FileTime(99), &[1, 0, 0, 0x80][..]));

    let key = KeyPath::parse("a\\b");
    let mut locate = |operation: &Operation| Ok(Some(operation.key.clone()));
    let time = Some(FileTime(1234));
    let operations = [Operation::unset(&key, "none")];
    reg::apply(hive.root_mut(), &operations, time, &mut locate).unwrap();
    assert_eq!(hive.root().open("a\\b").unwrap().written(), FileTime(99), "nothing was changed");
    let operations =
        [Operation::set(&key, "x", Kind::SZ, data::sz("y")), Operation::create(&KeyPath::parse("a\\c"))];
    reg::apply(hive.root_mut(), &operations, time, &mut locate).unwrap();
    let written = |path: &str| hive.root().open(path).unwrap().written().0;
    assert_eq!([written("a"), written("a\\b"), written("a\\c"), written("")], [1234, 1234, 1234, 7]);
}

/// Many operations on one key take another way; both must agree, with a model in between.
#[test]
fn many_values_of_a_key() {
    let key = KeyPath::parse("k");
    let mut random = testkit::content::Random::new(5);
    for round in 0..200 {
        let mut operations = vec![Operation::create(&key)];
        let mut model: BTreeMap<String, (String, u32)> = BTreeMap::new();
        let mut order: Vec<String> = Vec::new();
        for number in 0..round {
            let name = format!("{}{}", ["v", "V", "\u{e4}", "\u{c4}"][random.below(4)], random.below(20));
            let folded = name.to_uppercase();
            if random.below(4) == 0 {
                operations.push(Operation::unset(&key, &name));
                model.remove(&folded);
                order.retain(|known| *known != folded);
            } else {
                operations.push(Operation::set(&key, &name, Kind::DWORD, data::dword(number)));
                if !model.contains_key(&folded) {
                    order.push(folded.clone());
                }
                model.entry(folded).or_insert((name, 0)).1 = number;
            }
        }
        let mut locate = |operation: &Operation| Ok(Some(operation.key.clone()));
        let mut at_once = empty();
        let all = reg::apply(at_once.root_mut(), &operations, None, &mut locate).unwrap();
        let mut one_by_one = empty();
        let mut sum = Applied::default();
        for operation in &operations {
            sum += reg::apply(one_by_one.root_mut(), std::slice::from_ref(operation), None, &mut locate)
                .unwrap();
        }
        assert_eq!(all, sum);
        assert_eq!(at_once.root(), one_by_one.root());
        let found = at_once.root().subkey("k").unwrap().values();
        let found: Vec<(String, Option<u32>)> =
            found.map(|value| (value.name().to_string(), value.as_u32())).collect();
        let expected = order.iter().map(|name| (model[name].0.clone(), Some(model[name].1)));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

/// A key with everything that is hard to write down.
fn odd() -> Key {
    let mut key = Key::new("odd", descriptor().into(), FileTime(0)).unwrap();
    let mut set = |name: &[u16], kind: u32, data: &[u8]| {
        key.set_value(Value::new(Name::from_units(name), Kind(kind), data).unwrap());
    };
    let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
    set(&units("\"quo\\ted\"=-"), 1, &data::sz("C:\\\"x\" ; [y]"));
    set(&[], 1, &data::sz(""));
    set(&units("two\r\nlines"), 1, &data::sz("a\rb\nc\r\n"));
    set(&units("no end"), 1, b"a\0b\0");
    set(&units("two ends"), 1, b"a\0\0\0\0\0");
    set(&units("odd"), 1, b"a\0b");
    set(&units("empty"), 1, b"");
    set(&units("odd expand"), 2, b"abc");
    set(&units("short dword"), 4, &[1, 2]);
    set(&units("dword"), 4, &[1, 2, 3, 4]);
    set(&units("big endian"), 5, &[1, 2, 3, 4]);
    set(&units("qword"), 11, &[8; 8]);
    set(&units("device"), 0xFFFF_0012, &[]);
    set(&units("Köln €"), 7, &data::multi_sz(["Köln", "€"]));
    set(&[0xD800, 0, 0x41], 1, &[0, 0xD8, 0, 0]);
    set(&units("\u{1d11e}\u{202e}"), 3, &[0; 200]);
    for name in ["-dash", "a]b", "[x]", "@", ";", "a ; [b]", "ü", "ſ", "HKLM", " blank "] {
        key.create(name).unwrap().set("x", Kind::NONE, [1]).unwrap();
    }
    key.insert(Key::new(Name::from_units(vec![0xDC00, 1]), descriptor().into(), FileTime(0)).unwrap())
        .unwrap();
    key
}

#[test]
fn there_and_back() {
    let odd = odd();
    for path in ["HKEY_LOCAL_MACHINE\\SOFTWARE\\odd", "odd", "\\odd\\", "-odd", ""] {
        let mut hive = empty();
        import(&mut hive, &exported(&odd, path, Form::V5));
        let back = match path {
            "" => hive.root(),
            "-odd" => hive.root().subkey("-odd").unwrap(),
            _ => hive.root().subkey("odd").unwrap(),
        };
        assert!(same_inside(back, &odd), "{path}");
    }
}

#[test]
fn what_a_form_cannot_express_is_an_error_not_a_loss() {
    let refused = |key: &Key, form| {
        reg::export(key, &KeyPath::parse("k"), form, &mut Vec::new()).unwrap().unwrap_err().to_string()
    };
    assert!(refused(&odd(), Form::Text).contains("UTF-8 cannot express"));
    assert!(refused(&odd(), Form::Regedit4).contains("Windows-1252"));
    let mut key = Key::new("k", descriptor().into(), FileTime(0)).unwrap();
    key.set("m", Kind::MULTI_SZ, data::multi_sz(["\u{416}"])).unwrap();
    assert!(
        refused(&key, Form::Regedit4).contains("[k]: the text of the value \"m\" is not in Windows-1252")
    );
    key.set("m", Kind::MULTI_SZ, b"odd".to_vec()).unwrap();
    assert!(refused(&key, Form::Regedit4).contains("Windows-1252"));
    let mut key = Key::new("k", descriptor().into(), FileTime(0)).unwrap();
    key.create("a\nb").unwrap();
    assert!(refused(&key, Form::V5).contains("line end"));
    // Strings can always be written as bytes.
    let mut key = Key::new("k", descriptor().into(), FileTime(0)).unwrap();
    key.set("s", Kind::SZ, data::sz("\u{416}")).unwrap();
    key.set("e", Kind::EXPAND_SZ, data::sz("%K\u{f6}ln%\u{20ac}")).unwrap();
    let text = exported(&key, "k", Form::Regedit4);
    assert_eq!(
        text,
        b"REGEDIT4\r\n\r\n[k]\r\n\"s\"=hex(1):16,04,00,00\r\n\"e\"=hex(2):25,4b,f6,6c,6e,25,80,00\r\n\r\n"
    );
    let mut hive = empty();
    import(&mut hive, &text);
    assert!(same_inside(hive.root().subkey("k").unwrap(), &key));
}

/// The layout that regedit gives a file: taken from files that it wrote.
#[test]
fn lines_break_where_regedit_breaks_them() {
    let mut key = Key::new("k", descriptor().into(), FileTime(0)).unwrap();
    key.set("ResourceFileName", Kind::EXPAND_SZ, data::sz("%SystemRoot%\\system32\\win32calc.exe")).unwrap();
    key.set("MessageFileName", Kind::EXPAND_SZ, data::sz("%SystemRoot%\\system32\\wi")).unwrap();
    key.set("", Kind::EXPAND_SZ, data::sz("%SystemRoot%\\Explorer.exe")).unwrap();
    key.set("TypesSupported", Kind::DWORD, data::dword(7)).unwrap();
    let expected = "\
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\\WIM]
\"ResourceFileName\"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,\\
  00,6f,00,74,00,25,00,5c,00,73,00,79,00,73,00,74,00,65,00,6d,00,33,00,32,00,\\
  5c,00,77,00,69,00,6e,00,33,00,32,00,63,00,61,00,6c,00,63,00,2e,00,65,00,78,\\
  00,65,00,00,00
\"MessageFileName\"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,00,\\
  6f,00,74,00,25,00,5c,00,73,00,79,00,73,00,74,00,65,00,6d,00,33,00,32,00,5c,\\
  00,77,00,69,00,00,00
@=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,6f,00,6f,00,74,00,25,\\
  00,5c,00,45,00,78,00,70,00,6c,00,6f,00,72,00,65,00,72,00,2e,00,65,00,78,00,\\
  65,00,00,00
\"TypesSupported\"=dword:00000007

";
    assert_eq!(String::from_utf8(exported(&key, "HKEY_LOCAL_MACHINE\\WIM", Form::Text)).unwrap(), expected);
    let wide: Vec<u8> = format!("\u{feff}{}", expected.replace('\n', "\r\n"))
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(exported(&key, "HKEY_LOCAL_MACHINE\\WIM", Form::V5), wide);
}

#[test]
fn every_sample_hive_there_and_back() {
    for name in ["SYSTEM.xz", "SYSTEM_2.xz", "SYSTEM_WIN_10_1709.xz", "NTUSER.DAT.xz", "BCD.xz"] {
        let Some(bytes) = sample(name) else { return };
        let hive = Hive::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for form in [Form::V5, Form::Text] {
            let mut back = empty();
            import(&mut back, &exported(hive.root(), "", form));
            assert!(same_inside(back.root(), hive.root()), "{name} {form:?}");
        }
        // What is in the code page, which is nearly all.
        let mut subtrees = 0;
        for key in hive.root().subkeys() {
            let path = key.name().to_string();
            let mut text = Vec::new();
            if reg::export(key, &KeyPath::parse(&path), Form::Regedit4, &mut text).unwrap().is_ok() {
                let mut back = empty();
                import(&mut back, &text);
                assert!(same(back.root().subkey(&path).unwrap(), key), "{name} {path}");
                subtrees += 1;
            }
        }
        assert!(subtrees > 0, "{name}");
    }
}

fn hivexregedit() -> Option<testkit::Tool> {
    tool("hivexregedit")
}

/// The hive as hivex sees it: our own file of all it holds.
fn as_hivex_exports(hive: &Path) -> Option<String> {
    Some(hivexregedit()?.text(args!["--export", hive, "\\"]))
}

#[test]
fn hivexregedit_imports_the_same() {
    let (Some(samples), Some(hivexregedit)) = (samples(), hivexregedit()) else { return };
    let scratch = tempfile::tempdir().unwrap();
    let files = [
        ("windows-bcd.reg", ""),
        ("windows-system.reg", "HKEY_LOCAL_MACHINE\\SYSTEM"),
        ("windows-software-all.reg", "HKEY_LOCAL_MACHINE\\SOFTWARE"),
        ("win10-software.reg", "HKEY_LOCAL_MACHINE\\SOFTWARE"),
    ];
    for (name, prefix) in files {
        // One of them has a path with single backslashes, which hivexregedit loses and we refuse.
        let text = std::fs::read_to_string(samples.join("regfiles").join(name)).unwrap();
        let bytes = text.replace("C:\\Windows\"", "C:\\\\Windows\"").into_bytes();
        let file = scratch.path().join(name);
        std::fs::write(&file, &bytes).unwrap();
        // It makes no parents, so both begin with those.
        let parsed = RegFile::parse(&bytes).unwrap();
        let mut hive = empty();
        let mount = Mount::at(hive.root(), &KeyPath::parse(prefix));
        for operation in &parsed.operations {
            let key = mount.key(&operation.key).unwrap();
            let (_, parents) = key.names().split_last().unwrap_or((&Name::new(""), &[]));
            hive.root_mut().create(&KeyPath::new(parents).to_string()).unwrap();
        }
        let start = scratch.path().join("start");
        std::fs::write(&start, hive.to_bytes().unwrap()).unwrap();
        let theirs = scratch.path().join("theirs");
        std::fs::copy(&start, &theirs).unwrap();
        let mut command = Command::new(hivexregedit.path());
        command.args(["--merge", "--encoding", "UTF-16LE"]);
        if !prefix.is_empty() {
            command.args(["--prefix", prefix]);
        }
        let output = command.arg(&theirs).arg(&file).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));

        let mut ours = Hive::parse(&std::fs::read(&start).unwrap()).unwrap();
        let mut locate = |operation: &Operation| Ok(Some(mount.key(&operation.key).unwrap()));
        reg::apply(ours.root_mut(), &parsed.operations, None, &mut locate).unwrap();
        let our_file = scratch.path().join("ours");
        std::fs::write(&our_file, ours.to_bytes().unwrap()).unwrap();

        // By our reader, and by theirs.
        let theirs_read = Hive::parse(&std::fs::read(&theirs).unwrap()).unwrap();
        assert!(same(ours.root(), theirs_read.root()), "{name}");
        let (a, b) = (as_hivex_exports(&our_file).unwrap(), as_hivex_exports(&theirs).unwrap());
        assert_eq!(a, b, "{name}");
        assert!(a.lines().count() > 5, "{name}: {a}");
        // What hivexregedit exports, with values in the order of their names, is a file that is read here, too.
        let mut again = empty();
        import(&mut again, a.as_bytes());
        let again_file = scratch.path().join("again");
        std::fs::write(&again_file, again.to_bytes().unwrap()).unwrap();
        assert_eq!(as_hivex_exports(&again_file).unwrap(), a, "{name}");
    }
}

/// Our files in hivexregedit, as far as it goes: it takes no line ends in strings.
#[test]
fn hivexregedit_reads_our_export() {
    let Some(hivexregedit) = hivexregedit() else { return };
    let Some(bytes) = sample("BCD.xz") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let hive = Hive::parse(&bytes).unwrap();
    let text = scratch.path().join("bcd.reg");
    std::fs::write(&text, exported(hive.root(), "", Form::Text)).unwrap();
    let made = scratch.path().join("made");
    std::fs::write(&made, empty().to_bytes().unwrap()).unwrap();
    hivexregedit.run(args!["--merge", &made, &text]);
    let read = Hive::parse(&std::fs::read(&made).unwrap()).unwrap();
    assert!(same_inside(read.root(), hive.root()));
}

/// Whether the export of a file's operations says what they say.
#[test]
fn operations_survive_an_export() {
    let mut hive = empty();
    let text = exported(&odd(), "odd", Form::V5);
    import(&mut hive, &text);
    let again = exported(hive.root().subkey("odd").unwrap(), "odd", Form::V5);
    assert!(again == text);
    let file = RegFile::parse(&text).unwrap();
    assert!(file.operations.iter().all(|operation| operation.change != Change::DeleteKey));
}
