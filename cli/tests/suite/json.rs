//! What `--json` prints is what `docs/schema` says: a schema for each document, every field in it described, and no field
//! that is not. Two judges: a walk over document and schema that also wants descriptions, and Python's `jsonschema`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::{args, testdata, tool};

use crate::support::{PROGRAM, scratch};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema")
}

/// The schemas, by the name that documents give.
fn schemas() -> BTreeMap<String, Value> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let schema: Value = serde_json::from_slice(&fs::read(&path).expect("a schema")).expect("JSON");
        let name = schema["title"].as_str().expect("a title").to_owned();
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        assert_eq!(name, format!("wimforge.{stem}/1"), "{}", path.display());
        assert_eq!(schema["properties"]["schema"]["const"], *name, "{}", path.display());
        (name, schema)
    };
    fs::read_dir(folder()).expect("docs/schema").map(read).collect()
}

/// What a schema refers to: a definition of its own, for what contains its like.
fn resolved<'s>(schema: &'s Value, whole: &'s Value) -> &'s Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            whole.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("no {reference}"))
        }
        None => schema,
    }
}

/// What differs between a document and its schema, which is a part of `whole`.
fn differences(value: &Value, schema: &Value, whole: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(schema, whole);
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: {other:?} is no type"),
    };
    match &schema["type"] {
        Value::String(kind) if !is(kind) => found.push(format!("{at}: {value} is no {kind}")),
        Value::Array(kinds) if !kinds.iter().filter_map(Value::as_str).any(is) => {
            found.push(format!("{at}: {value} is none of {kinds:?}"));
        }
        _ => {}
    }
    match value {
        Value::Array(items) => {
            let of_items = &schema["items"];
            items.iter().for_each(|item| differences(item, of_items, whole, &format!("{at}[]"), found));
        }
        Value::Object(members) => {
            for (name, member) in members {
                match &schema["properties"][name] {
                    Value::Null if schema["properties"].is_null() => {}
                    Value::Null => found.push(format!("{at}.{name}: is not in the schema")),
                    inner => differences(member, inner, whole, &format!("{at}.{name}"), found),
                }
            }
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    found.push(format!("{at}.{name}: is missing"));
                }
            }
        }
        _ => {}
    }
}

/// Every property has a description and a type.
fn described(schema: &Value, at: &str) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 2), "{at}: no description");
        assert!(!property["type"].is_null() || !property["const"].is_null(), "{at}: no type");
        // Sizes and offsets are whole numbers.
        let exact = ["size", "bytes", "stored", "offset", "start", "length", "unused"];
        assert!(!exact.contains(&name.as_str()) || property["type"] != "number", "{at}: a float");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{at}");
        described(property, &at);
        described(&property["items"], &at);
    }
}

#[test]
fn every_field_is_described() {
    let schemas = schemas();
    assert!(schemas.len() >= 25, "{}", schemas.len());
    for (name, schema) in &schemas {
        assert!(schema["description"].is_string(), "{name}");
        described(schema, name);
        for (definition, schema) in schema["$defs"].as_object().into_iter().flatten() {
            described(schema, &format!("{name} {definition}"));
        }
    }
    // The page lists them all.
    let page = fs::read_to_string(folder().join("../cli.md")).expect("docs/cli.md");
    for name in schemas.keys() {
        let file = name.trim_start_matches("wimforge.").trim_end_matches("/1");
        assert!(page.contains(&format!("schema/{file}.json")), "docs/cli.md does not name {file}");
    }
}

/// A folder in which commands run, and the documents that they printed.
struct Documents {
    folder: PathBuf,
    all: Vec<(String, Value)>,
}

impl Documents {
    fn run(&mut self, codes: &[i32], line: &str) {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("\"$0\" {line} --json"), PROGRAM]).current_dir(&self.folder);
        let output = command.stdin(std::process::Stdio::null()).output().expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| codes.contains(&code)), "{line}: {stderr}");
        let document = serde_json::from_slice(&output.stdout);
        self.all.push((line.to_owned(), document.unwrap_or_else(|error| panic!("{line}: {error}"))));
    }

    fn file(&mut self, name: &str) {
        let bytes = fs::read(self.folder.join(name)).expect(name);
        self.all.push((name.to_owned(), serde_json::from_slice(&bytes).expect(name)));
    }
}

#[test]
fn documents_are_as_their_schemas_say() {
    let scratch = scratch();
    let Some(genisoimage) = tool("genisoimage") else { return };
    let mut documents = Documents { folder: scratch.path().to_owned(), all: Vec::new() };
    let here = |name: &str| scratch.path().join(name);
    let copy = |from: PathBuf, to: &str| fs::copy(&from, here(to)).map(drop).expect("copied");
    copy(testdata("nano-small.wim"), "nano.wim");
    copy(testdata("nano-small-two.wim"), "two.wim");
    copy(testdata("hives/SYSTEM"), "SYSTEM");
    copy(testdata("hives/SOFTWARE"), "SOFTWARE");
    fs::create_dir_all(here("iso/sources")).expect("a folder");
    copy(testdata("nano-small-two.wim"), "iso/sources/install.wim");
    genisoimage.run(args!["-quiet", "-udf", "-J", "-r", "-o", &here("server.iso"), &here("iso")]);
    fs::write(here("v.reg"), "REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor]\r\n\"a\"=dword:1\r\n")
        .expect("written");
    fs::write(here("pw"), "A-long-Passw0rd\n").expect("written");
    fs::create_dir(here("driver")).expect("a folder");
    fs::write(here("driver/x.inf"), INF).expect("written");
    let mut bad = fs::read(here("nano.wim")).expect("the WIM");
    bad[60_000..60_008].fill(b'x');
    fs::write(here("bad.wim"), bad).expect("written");

    let ok = &[0][..];
    documents.run(ok, "build nano.wim -o d.vhd --record record.json");
    documents.run(ok, "build nano.wim -o dry.vmdk --dry-run");
    documents.run(ok, "build two.wim -i 2 -o g.vhdx --layout gpt --profile");
    documents.run(
        ok,
        "build nano.wim -o c.vhd --computer-name n1 --admin-password-file pw --first-boot 'echo x' --reg v.reg \
         --copy pw=/pw --preset winrm-https --manifest",
    );
    documents.run(ok, "build nano.wim -o o.vhd --compact-os --assume-wof");
    documents.run(ok, "build nano.wim -o x.tar --format oci");
    documents.run(ok, "build nano.wim -o small.raw --layout mbr1 --size 48MiB");
    documents.file("record.json");
    documents.file("c.vhd.json");
    for file in ["nano.wim", "two.wim", "server.iso", "d.vhd", "g.vhdx", "small.raw", "driver/x.inf"] {
        documents.run(ok, &format!("info {file}"));
    }
    for line in ["nano.wim -R", "d.vhd", "d.vhd:2 -R", "server.iso -R", "g.vhdx", "g.vhdx:1 -R"] {
        documents.run(ok, &format!("ls {line}"));
    }
    documents.run(ok, "extract nano.wim -C out");
    documents.run(ok, "verify nano.wim");
    documents.run(&[3], "verify bad.wim");
    documents.run(ok, "verify d.vhd --against nano.wim --record record.json");
    documents.run(&[3], "verify c.vhd --against nano.wim");
    for line in ["d.vhd", "d.vhd --boot", "g.vhdx --no-boot", "small.raw", "d.vhd:2 --notes"] {
        documents.run(ok, &format!("check {line}"));
    }
    // A file's record that is gone is found by every part of a check.
    let mut broken = fs::read(here("small.raw")).expect("the disk");
    let volume = 1 << 20;
    let clusters =
        u64::from_le_bytes(broken[volume + 0x30..][..8].try_into().expect("the place of the $MFT"));
    broken[volume + clusters as usize * 4096 + 100 * 1024..][..512].fill(0x11);
    fs::write(here("broken.raw"), broken).expect("written");
    documents.run(&[3], "check broken.raw");
    documents.run(ok, "convert d.vhd d.qcow2");
    documents.run(ok, "convert d.vhd d.vdi");
    documents.run(ok, "info d.qcow2");
    documents.run(ok, "check d.vdi");
    documents.run(ok, "compact d.vhd small.vmdk");
    documents.run(ok, "compact small.raw --dry-run");
    documents.run(ok, "compact small.raw --in-place");
    documents.run(ok, "compare d.vhd d.qcow2");
    documents.run(&[3], "compare d.vhd c.vhd");
    documents.run(ok, "map d.vhd");
    documents.run(ok, "explain d.vhd");
    documents.run(ok, "explain broken.raw --sample");
    documents.run(
        ok,
        "explain nano.wim --layout gpt --sample --computer-name n1 --admin-password-file pw --reg v.reg --copy pw=/pw",
    );
    for line in
        ["get SYSTEM", "get SYSTEM Select", "get SYSTEM Select Current", r"get d.vhd:2 'HKLM\SYSTEM\Select'"]
    {
        documents.run(ok, &format!("reg {line}"));
    }
    documents.run(ok, "reg set SYSTEM Select List --type multi_sz a b");
    documents.run(ok, "reg get SYSTEM Select List");
    documents.run(ok, "reg delete SYSTEM Select List");
    documents.run(ok, "reg import SOFTWARE v.reg");
    documents.run(ok, "reg export SOFTWARE Vendor -o o.reg");
    documents.run(ok, "reg check SYSTEM --notes");
    documents.run(ok, "reg check d.vhd");
    documents.run(ok, "bcd show d.vhd");
    documents.run(ok, "bcd show d.vhd '{default}'");
    documents.run(ok, "bcd check d.vhd --notes");
    documents.run(ok, "preset");
    documents.run(ok, "preset vagrant");
    documents.run(ok, "driver info driver");
    documents.run(&[3], "driver check driver --build 14393");

    let schemas = schemas();
    let mut seen = BTreeSet::new();
    for (line, document) in &documents.all {
        let name = document["schema"].as_str().unwrap_or_else(|| panic!("{line}: names no schema"));
        let schema = schemas.get(name).unwrap_or_else(|| panic!("{line}: no schema {name}"));
        let mut found = Vec::new();
        differences(document, schema, schema, name, &mut found);
        found.sort();
        found.dedup();
        assert!(found.is_empty(), "{line}\n{}", found.join("\n"));
        seen.insert(name.to_owned());
    }
    assert_eq!(seen, schemas.keys().cloned().collect(), "a schema of which there is no document");

    // The same by another judge, who also knows whether the schemas are schemas.
    let Some(python) = judge() else { return };
    for (number, (_, document)) in documents.all.iter().enumerate() {
        fs::write(here(&format!("{number}.document")), document.to_string()).expect("written");
    }
    let output = std::process::Command::new(python)
        .args(["-c", JUDGE])
        .args([folder(), scratch.path().to_owned()])
        .output()
        .expect("Python");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.trim().ends_with(&format!("{} documents", documents.all.len())), "{said}");
}

/// Debian's Python, with its package of `jsonschema`.
fn judge() -> Option<&'static str> {
    const PYTHON: &str = "/usr/bin/python3";
    let has = std::process::Command::new(PYTHON).args(["-c", "import jsonschema"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(PYTHON);
    }
    testkit::skip("needs Python's jsonschema (apt install python3-jsonschema)");
    None
}

const JUDGE: &str = "
import glob, json, sys
from jsonschema import Draft202012Validator as Judge
schemas = {}
for path in glob.glob(sys.argv[1] + '/*.json'):
    schema = json.load(open(path))
    Judge.check_schema(schema)
    schemas[schema['title']] = Judge(schema)
count = 0
for path in glob.glob(sys.argv[2] + '/*.document'):
    document = json.load(open(path))
    for error in schemas[document['schema']].iter_errors(document):
        sys.exit(f'{document[\"schema\"]}: {error.json_path}: {error.message}')
    count += 1
print(count, 'documents')
";

/// A package without a catalog: nobody takes it, and that has reasons.
const INF: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\nClass=System\r\n\
ClassGuid={4D36E97D-E325-11CE-BFC1-08002BE10318}\r\nProvider=%P%\r\nDriverVer=01/02/2020,1.0.0.0\r\n\
[Manufacturer]\r\n%P%=M,NTamd64\r\n[M.NTamd64]\r\n%D%=I,ROOT\\WIMFORGE\r\n[I]\r\n\
[Strings]\r\nP=\"wimforge\"\r\nD=\"Test device\"\r\n";

/// On failure standard output is empty, whatever was asked for: a document is whole, or not there.
#[test]
fn errors_are_text() {
    let scratch = scratch();
    for line in [
        "info nosuch.wim",
        "info .",
        "ls nosuch.wim",
        "check nosuch.vhd",
        "preset nosuch",
        "build",
        "reg get nosuch",
    ] {
        let words = line.split(' ').chain(["--json"]);
        let output = std::process::Command::new(PROGRAM)
            .args(words)
            .current_dir(scratch.path())
            .output()
            .expect("runs");
        assert!(matches!(output.status.code(), Some(1 | 2 | 4)), "{line}: {:?}", output.status);
        assert!(output.stdout.is_empty(), "{line}");
        assert!(output.stderr.starts_with(b"error: "), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A name that is no UTF-8 is no reason to panic.
#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scratch = scratch();
    let wim = scratch.path().join(OsStr::from_bytes(b"n\xFFno.wim"));
    fs::copy(testdata("nano-small.wim"), &wim).expect("copied");
    let inf = scratch.path().join(OsStr::from_bytes(b"x\xFF.inf"));
    fs::write(&inf, INF).expect("written");
    let disk = scratch.path().join(OsStr::from_bytes(b"d\xFF.vhd"));
    for words in [
        args!["info", &wim, "--json"].to_vec(),
        args!["verify", &wim, "--json"].to_vec(),
        args!["ls", &wim, "--json"].to_vec(),
        args!["driver", "info", &inf, "--json"].to_vec(),
        args!["info", &inf, "--json"].to_vec(),
        args!["build", &wim, "-o", &disk, "--json"].to_vec(),
        args!["check", &disk, "--json"].to_vec(),
        args!["map", &disk, "--json"].to_vec(),
        args!["build", &wim, "-o", &disk, "--json", "--force", "--dry-run"].to_vec(),
        args!["build", &wim, "-o", &disk, "--json", "--force", "--manifest"].to_vec(),
    ] {
        let ended = crate::support::wimforge(&words);
        assert!(!ended.stderr.contains("panicked"), "{words:?}: {}", ended.stderr);
        assert!(ended.code.is_some_and(|code| code <= 4), "{words:?}: {:?}", ended.code);
        if ended.code == Some(0) {
            let document: Result<Value, _> = serde_json::from_slice(&ended.stdout);
            assert!(document.is_ok(), "{words:?}");
        }
    }
}
