//! The documents that describe the workspace say what its manifests say.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Per crate folder: our crates and other people's packages that its manifest names.
struct Manifests {
    ours: BTreeMap<String, BTreeSet<String>>,
    theirs: BTreeSet<String>,
}

fn manifests() -> Manifests {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let folder = |manifest: &str| {
        Path::new(manifest).parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
    };
    let folders: BTreeMap<&str, String> = packages
        .iter()
        .map(|package| {
            (package["name"].as_str().unwrap(), folder(package["manifest_path"].as_str().unwrap()))
        })
        .collect();
    let mut found = Manifests { ours: BTreeMap::new(), theirs: BTreeSet::new() };
    for package in packages {
        let ours = found.ours.entry(folders[package["name"].as_str().unwrap()].clone()).or_default();
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            match folders.get(name) {
                Some(folder) if dependency["kind"].is_null() => {
                    ours.insert(folder.clone());
                }
                Some(_) => {}
                None => {
                    found.theirs.insert(name.to_owned());
                }
            }
        }
    }
    found
}

/// The rows of the first table below `heading`: the cells, without white space around them.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("docs").join(document)).unwrap();
    let start = text.find(heading).unwrap_or_else(|| panic!("{document} has no {heading:?}"));
    let rows = text[start..].lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn code_words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_dependency_table_is_that_of_the_manifests() {
    let documented: BTreeMap<String, BTreeSet<String>> = table("ARCHITECTURE.md", "## Crates")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), code_words(&row[1])))
        .collect();
    assert_eq!(documented, manifests().ours);
}

/// Words with a slash are paths from the root; others are files and functions in these.
#[test]
fn where_to_change_things_exists_and_is_said_once() {
    let rows = table("ARCHITECTURE.md", "## Where do I change");
    let mut said = BTreeSet::new();
    for row in &rows {
        assert!(said.insert(row[0].clone()), "{:?} stands there twice", row[0]);
        let paths: Vec<String> = code_words(&row[1])
            .into_iter()
            .filter(|word| word.contains('/') && !word.contains([' ', '*', '{', '<']))
            .collect();
        for path in &paths {
            assert!(root().join(path).exists(), "{:?} is said to be in {path}, which does not exist", row[0]);
        }
        assert!(!paths.is_empty(), "{:?} is nowhere", row[0]);
    }
    assert!(rows.len() > 30, "the table has more rows: {}", rows.len());
}

#[test]
fn our_crates_depend_on_each_other_without_a_cycle() {
    let ours = manifests().ours;
    let mut done: BTreeSet<&String> = BTreeSet::new();
    while done.len() < ours.len() {
        let ready: Vec<_> = ours
            .iter()
            .filter(|(name, on)| !done.contains(name) && on.iter().all(|on| done.contains(on)))
            .collect();
        assert!(
            !ready.is_empty(),
            "a cycle among {:?}",
            ours.keys().filter(|n| !done.contains(n)).collect::<Vec<_>>()
        );
        done.extend(ready.into_iter().map(|(name, _)| name));
    }
}

#[test]
fn every_package_has_a_stated_job() {
    let documented: BTreeSet<String> = table("DEPENDENCIES.md", "# Dependencies")
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(documented, manifests().theirs);
}

#[test]
fn every_package_that_the_user_named_is_used_or_excused() {
    let used = manifests().theirs;
    let excused: BTreeSet<String> = table("DEPENDENCIES.md", "## Named by the user")
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    for named in
        ["binrw", "lzxd", "ntfs", "gpt", "mbrman", "crc32fast", "rayon", "memmap2", "clap", "thiserror"]
    {
        assert!(used.contains(named) || excused.contains(named), "{named} is neither used nor excused");
    }
}

/// What a reader of any crate's first page finds there: what it does (as a program that is run), what it supports, what
/// it promises, and where a whole program is.
#[test]
fn every_crate_says_what_it_promises() {
    let for_tests = ["flips", "fuzz-replay", "testkit"];
    for folder in manifests().ours.keys().filter(|folder| !for_tests.contains(&folder.as_str())) {
        let folder = root().join("crates").join(folder);
        if !folder.exists() {
            continue;
        }
        let name = folder.display();
        let lib = std::fs::read_to_string(folder.join("src/lib.rs")).unwrap();
        assert!(
            lib.starts_with("#![doc = include_str!(\"../README.md\")]\n"),
            "{name} does not show its README"
        );
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(readme.starts_with("# wimforge-"), "{name} has no title");
        let runs = |fence: &str| fence.is_empty() || fence == "no_run";
        assert!(
            readme.lines().any(|line| line.strip_prefix("```").is_some_and(runs)),
            "{name} shows no program"
        );
        assert!(readme.contains("`examples/"), "{name} names no whole program");
        assert!(readme.contains("\n## Support"), "{name} does not say what it supports");
        let (_, promises) =
            readme.split_once("\n## Guarantees\n").unwrap_or_else(|| panic!("{name} promises nothing"));
        let bold: String = promises.split("**").skip(1).step_by(2).collect::<String>().to_lowercase();
        for about in ["panics", "memory", "untrusted input", "determinism", "threads"] {
            assert!(bold.contains(about), "{name} promises nothing about {about}");
        }
    }
}

#[test]
fn only_the_codec_may_contain_unsafe() {
    let manifest = |folder: &str| std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    assert!(manifest(".").contains("unsafe_code = \"forbid\""));
    for folder in manifests().ours.keys().filter(|folder| *folder != "codec") {
        let path = ["crates", "examples", ""].map(|parent| PathBuf::from(parent).join(folder));
        let path = path.iter().find(|path| root().join(path).join("Cargo.toml").exists()).unwrap();
        let inherits = manifest(path.to_str().unwrap()).replace(' ', "").contains("[lints]\nworkspace=true");
        assert!(inherits, "{folder} does not inherit the workspace's lints");
    }
}
