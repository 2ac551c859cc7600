//! What each library shows to its users, as text in `docs/api`: one line an item, so that a change of what others rely on
//! is a change in a file that somebody reviews.
//!
//! The list comes from rustdoc's JSON, which a stable compiler writes when it is told to (`RUSTC_BOOTSTRAP`). Build scripts
//! of some dependencies look at that variable, too, and are run again when it changes: so this has a target folder of
//! its own, inside the usual one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Crates for our own tests.
const NOT_FOR_USERS: [&str; 3] = ["flips", "fuzz-replay", "testkit"];

/// Write what the libraries show to their users to docs/api, or compare
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; say what differs from docs/api, and fail if anything does
    #[arg(long)]
    check: bool,
    /// These folders of crates/, instead of all
    crates: Vec<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let crates = if arguments.crates.is_empty() { libraries()? } else { arguments.crates };
    let docs = document(&crates)?;
    let kept = workspace().join("docs/api");
    let mut differs = false;
    for name in &crates {
        let path = kept.join(name).with_extension("txt");
        let new = listing(&docs, name)?;
        if !arguments.check {
            fs::write(&path, new).with_context(|| path.display().to_string())?;
            continue;
        }
        let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let changes = difference(&old, &new);
        differs |= !changes.is_empty();
        for change in changes {
            println!("{name}: {change}");
        }
    }
    if differs {
        println!(
            "- breaks who uses it, + does not: see docs/api/README.md; `cargo xtask api` writes the new state"
        );
    }
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The folders of `crates/` that are for users, sorted.
fn libraries() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join("crates"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !NOT_FOR_USERS.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Has rustdoc write its JSON, and returns the folder that it is in.
fn document(crates: &[String]) -> Result<PathBuf> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from).join("api");
    let mut command = Command::new(env!("CARGO"));
    command.args(["doc", "--quiet", "--lib", "--no-deps", "--locked", "--target-dir"]).arg(&target);
    for name in crates {
        command.arg("--package").arg(format!("wimforge-{name}"));
    }
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTDOCFLAGS", "-Zunstable-options --output-format json");
    let status = command.current_dir(workspace()).status().context("cargo doc")?;
    ensure!(status.success(), "cargo doc failed");
    Ok(target.join("doc"))
}

fn listing(docs: &Path, name: &str) -> Result<String> {
    let path = docs.join(format!("wimforge_{}.json", name.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(&path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()
        .with_context(|| {
            format!("{}: is this compiler of another age than the `public-api` crate?", path.display())
        })?;
    let mut text = String::new();
    for item in api.items().map(ToString::to_string).filter(|item| !is_implied(item)) {
        text += &item;
        text.push('\n');
    }
    Ok(text)
}

/// What an `impl` of a trait says already, a line before.
fn is_implied(item: &str) -> bool {
    const METHODS: [&str; 12] = [
        "::clone(&self) -> ",
        "::clone_into(&self",
        "::fmt(&self, f: &mut core::fmt::Formatter",
        "::fmt(&self, &mut core::fmt::Formatter",
        "::eq(&self, ",
        "::cmp(&self, ",
        "::partial_cmp(&self, ",
        "::hash<",
        "::default() -> ",
        "::source(&self) -> core::option::Option<&(dyn core::error::Error",
        "::serialize<",
        "::deserialize<",
    ];
    item.starts_with("pub fn ") && METHODS.iter().any(|method| item.contains(method))
        || item.contains("impl core::marker::StructuralPartialEq")
}

/// Lines that are only in one of both, `-` and `+`, sorted as the items are.
fn difference(old: &str, new: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    for line in old.lines() {
        *counts.entry(line).or_default() -= 1;
    }
    for line in new.lines() {
        *counts.entry(line).or_default() += 1;
    }
    let changed = counts.into_iter().filter(|&(_, count)| count != 0);
    changed.map(|(line, count)| format!("{} {line}", if count < 0 { '-' } else { '+' })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_direction() {
        assert_eq!(difference("a\nb\nb\n", "b\nb\na\n"), [""; 0]);
        assert_eq!(
            difference("pub fn x::a()\npub fn x::b()\n", "pub fn x::b(u8)\npub fn x::a()\n"),
            ["- pub fn x::b()", "+ pub fn x::b(u8)"]
        );
        assert_eq!(difference("a\na\n", "a\n"), ["- a"]);
    }

    #[test]
    fn every_library_has_a_list() {
        let kept = workspace().join("docs/api");
        for name in libraries().expect("the folder is there") {
            assert!(kept.join(&name).with_extension("txt").exists(), "{name}: run `cargo xtask api {name}`");
        }
    }
}
