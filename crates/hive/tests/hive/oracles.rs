//! What others read from the hives that this crate writes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use sha1::{Digest as _, Sha1};
use testkit::registry;
use wimforge_hive::{Hive, Key, check};

use crate::{fixture, samples};

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn utf16(units: &[u16]) -> String {
    hex(units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>())
}

/// The lines of `testkit::registry::dump` from our own tree; `security` says whether the reader shows descriptors.
fn ours(key: &Key, depth: usize, security: bool, out: &mut String) {
    let descriptor = if security { hex(Sha1::digest(key.security())) } else { "-".into() };
    let (name, class) = (utf16(key.name().units()), utf16(key.class().unwrap_or_default()));
    writeln!(out, "K {depth} {name} {} {class} {descriptor}", key.written().0).unwrap();
    for value in key.values() {
        let (kind, data) = (value.kind().0, value.data());
        writeln!(out, "V {} {kind} {} {}", utf16(value.name().units()), data.len(), hex(Sha1::digest(data)))
            .unwrap();
    }
    for child in key.subkeys() {
        ours(child, depth + 1, security, out);
    }
}

#[track_caller]
fn same(what: &str, left: &str, right: &str) {
    if left != right {
        let line = left.lines().zip(right.lines()).find(|(left, right)| left != right);
        panic!("{what}: {} and {} bytes; {line:?}", left.len(), right.len());
    }
}

/// The large hives of which Python readers see one: they need 10 s for each.
const SLOW: [&str; 3] = ["SYSTEM_2", "SYSTEM_B", "SYSTEM_WIN_10_1709"];

#[test]
fn others_read_the_same_from_rewritten_hives() {
    let Some(hives) = samples::hives() else { return };
    let all = std::env::var_os("WIMFORGE_ALL_HIVES").is_some();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, hive) in hives {
        let (before, after) = (folder.path().join("before"), folder.path().join("after"));
        std::fs::write(&before, bytes).unwrap();
        std::fs::write(&after, hive.to_bytes().unwrap()).unwrap();
        if let (Some(before), Some(after)) = (registry::xml(&before), registry::xml(&after)) {
            same(&format!("hivex of {name}"), &before, &after);
        }
        if SLOW.contains(&name.as_str()) && !all {
            continue;
        }
        // A reader needs 10 s for a large hive, on one core.
        let dumps: Vec<(&str, Option<String>, Option<String>)> = std::thread::scope(|scope| {
            let (before, after) = (&before, &after);
            let running = registry::READERS.map(|reader| {
                let dump = move |path| scope.spawn(move || registry::dump(reader, path));
                (reader, dump(before.as_path()), dump(after.as_path()))
            });
            let done = running.map(|(reader, before, after)| {
                (reader, before.join().expect("no panic"), after.join().expect("no panic"))
            });
            done.into()
        });
        for (reader, before, after) in dumps {
            let (Some(before), Some(after)) = (before, after) else { return };
            same(&format!("{reader} of {name}"), &before, &after);
            // What it reads from Windows' file is what we read. (python-registry reads some short values too long.)
            let mut expected = String::new();
            ours(hive.root(), 0, reader == "python-registry", &mut expected);
            if reader == "python-registry" {
                let keys = |text: &str| {
                    text.lines().filter(|line| line.starts_with('K')).collect::<Vec<_>>().join("\n")
                };
                same(&format!("keys of {reader} and of us, {name}"), &keys(&after), &keys(&expected));
            } else {
                same(&format!("{reader} and us, {name}"), &after, &expected);
            }
        }
    }
}

#[test]
fn others_read_what_we_make() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    for minor in 3..=6 {
        let hive = fixture::hive(minor, true);
        std::fs::write(&path, hive.to_bytes().unwrap()).unwrap();
        for reader in registry::READERS {
            let Some(found) = registry::dump(reader, &path) else { return };
            let mut expected = String::new();
            ours(hive.root(), 0, reader == "python-registry", &mut expected);
            let (found, expected): (BTreeSet<&str>, BTreeSet<&str>) =
                (found.lines().collect(), expected.lines().collect());
            let different: Vec<_> = found.symmetric_difference(&expected).collect();
            // python-registry gives all four bytes of the field where fewer are data.
            let tolerated = reader == "python-registry" && different.iter().all(|line| line.starts_with('V'));
            assert!(different.is_empty() || tolerated, "{reader} of 1.{minor}: {different:?}");
        }
        let Some(xml) = registry::xml(&path) else { return };
        assert_eq!(xml.matches("<node ").count(), 1108, "hivex of 1.{minor}");
    }
}

/// Applies the logs one after the other, in the order of their sequence numbers: given both, regipy 6.5 applies the
/// second one first, whatever it holds.
fn recovered_by_regipy(folder: &Path, name: &str, logs: &[usize]) -> Option<()> {
    let (bytes, both) = samples::dirty(&testkit::samples()?, name)?;
    let (hive, _) = Hive::recover(&bytes, &[&both[0], &both[1]]).unwrap();
    let at = |name: &str| folder.join(name);
    std::fs::write(at("recovered"), bytes).unwrap();
    for &log in logs {
        std::fs::rename(at("recovered"), at("hive")).unwrap();
        std::fs::write(at("log"), &both[log]).unwrap();
        if !registry::recover(&at("hive"), &at("log"), &at("recovered")) {
            return None;
        }
    }
    let found = registry::dump("regipy", &at("recovered"))?;
    let mut expected = String::new();
    ours(hive.root(), 0, false, &mut expected);
    same(&format!("regipy and us, {name} with its logs"), &found, &expected);
    Some(())
}

#[test]
fn regipy_recovers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // The second log of the first hive is older than the hive.
    for (name, logs) in [("transactions_NTUSER.DAT", &[0][..]), ("SYSTEM_B", &[0, 1])] {
        if recovered_by_regipy(folder.path(), name, logs).is_none() {
            return;
        }
    }
}

#[test]
fn hivex_edits_what_we_make() {
    let Some(hivexsh) = testkit::tool("hivexsh") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (path, script) = (folder.path().join("hive"), folder.path().join("script"));
    let commands =
        "cd \\alpha\nadd new\ncd new\nsetval 2\n@\nstring:text\nnumber\ndword:7\ncd \\link\ndel\ncommit\n";
    std::fs::write(&script, commands).unwrap();
    for minor in 3..=6 {
        let before = fixture::hive(minor, true);
        std::fs::write(&path, before.to_bytes().unwrap()).unwrap();
        hivexsh.run(["-w".as_ref(), "-f".as_ref(), script.as_os_str(), path.as_os_str()]);
        let bytes = std::fs::read(&path).unwrap();
        let hive = Hive::parse(&bytes).unwrap();
        let new = hive.root().open(r"alpha\new").unwrap();
        assert_eq!(new.value("").unwrap().as_str().as_deref(), Some("text"));
        assert_eq!(new.value("number").unwrap().as_u32(), Some(7));
        assert!(hive.root().subkey("link").is_none());
        // Our counts were right, so its are.
        let report = check(&bytes);
        assert!(report.is_clean(), "1.{minor}: {report}");
        // Undone, it is what it was before: hivex kept all else.
        let mut undone = hive;
        undone.root_mut().open_mut("alpha").unwrap().remove("new").unwrap();
        undone.root_mut().insert(before.root().subkey("link").unwrap().clone()).unwrap();
        undone.set_sequence(before.sequence());
        assert!(undone == before, "1.{minor}");
    }
}
