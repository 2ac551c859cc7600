//! Where what we ship asks for something that is not an input: the time, randomness, the environment, the machine.
//!
//! Each such place is listed here with its reason, so that a new one is a decision.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What asks.
const QUESTIONS: [&str; 14] = [
    "SystemTime::now",
    "Instant::now",
    "getrandom",
    "RandomState",
    "DefaultHasher",
    "rand::",
    "Uuid::new_v4",
    "env::var",
    "env::args",
    "tempfile::",
    "process::id",
    "available_parallelism",
    "gethostname",
    "current_dir",
];

/// File, question, and why that is no harm.
const ALLOWED: [(&str, &str, &str); 14] = [
    ("cli/src/progress.rs", "Instant::now", "a rate on a terminal"),
    ("cli/src/progress.rs", "env::var", "what the terminal can do"),
    ("cli/src/commands/explain.rs", "env::var", "what the terminal can do"),
    ("cli/src/commands/verify.rs", "Instant::now", "a report says how long it took"),
    ("cli/src/commands/against.rs", "Instant::now", "a report says how long it took"),
    ("cli/src/commands/convert.rs", "Instant::now", "a report says how long it took"),
    ("cli/src/commands/build/mod.rs", "Instant::now", "a report says how long it took"),
    ("cli/src/commands/build/oci.rs", "Instant::now", "a report says how long it took"),
    ("cli/src/source_date.rs", "env::var", "SOURCE_DATE_EPOCH"),
    ("crates/certificate/src/rsa.rs", "getrandom", "a key that has no file yet"),
    ("crates/image/src/pipeline/profile.rs", "Instant::now", "--profile"),
    (
        "crates/wim/src/cache.rs",
        "Instant::now",
        "which decoded chunk is dropped first; none is decoded otherwise",
    ),
    ("crates/image/src/spool.rs", "tempfile::", "files without names, which are gone with the process"),
    ("cli/src/commands/mod.rs", "available_parallelism", "the number of threads, which does not show"),
];

/// The sources of what is shipped: without tests, examples and what only tests use.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let crates =
        fs::read_dir(root.join("crates")).expect("the crates").map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = crates
        .filter(|path| {
            !["testkit", "fuzz-replay"]
                .contains(&path.file_name().and_then(|name| name.to_str()).unwrap_or(""))
        })
        .map(|path| path.join("src"))
        .chain([root.join("cli/src")])
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("");
            if path.is_dir() {
                folders.extend(Some(path).filter(|path| !path.ends_with("tests")));
            } else if path.extension().is_some_and(|extension| extension == "rs") && !name.contains("test") {
                files.push(path);
            }
        }
    }
    files.iter().map(|path| path.strip_prefix(&root).expect("inside").to_owned()).collect()
}

/// The code of a file up to its tests, without comments.
fn code(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let text = fs::read_to_string(root.join(path)).expect("a source");
    let code = text.split("\n#[cfg(test)]\nmod ").next().expect("there is always a first");
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_asked_for_but_what_is_listed() {
    let mut found = BTreeSet::new();
    for path in sources() {
        let code = code(&path);
        for question in QUESTIONS.iter().filter(|question| code.contains(**question)) {
            found.insert((path.to_str().expect("names of ours").to_owned(), *question));
        }
    }
    let allowed: BTreeSet<(String, &str)> =
        ALLOWED.iter().map(|(path, question, _)| ((*path).to_owned(), *question)).collect();
    let new: Vec<_> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "asks for what is no input; may it? {new:#?}");
    let gone: Vec<_> = allowed.difference(&found).collect();
    assert!(gone.is_empty(), "does not ask any more: {gone:#?}");
}
