//! Which targets there are, and how each is built: what `fuzz/Cargo.toml` says.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What a target is compiled with, besides the instrumentation for coverage, debug assertions and overflow checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// Nothing: what a target of safe code can do wrong is to panic, to hang or to take too much memory, and all of these
    /// are seen without a sanitizer. It runs about twice as many inputs in the same time.
    Plain,
    /// AddressSanitizer: the target is about `unsafe` code, all of which is in `crates/codec`.
    Address,
}

/// What `cargo fuzz -s` calls it.
impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "none",
            Self::Address => "address",
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) build: Build,
}

/// The targets of the workspace, by name.
pub(crate) fn read(workspace: &Path) -> Result<Vec<Target>> {
    let path = workspace.join("fuzz/Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Target>> {
    let manifest: toml::Table = text.parse()?;
    let names = |value: Option<&toml::Value>, what: &str| -> Result<BTreeSet<String>> {
        let list = value.and_then(toml::Value::as_array).with_context(|| format!("no {what}"))?;
        let name = |entry: &toml::Value| {
            let name = entry.get("name").unwrap_or(entry).as_str();
            name.map(str::to_owned).with_context(|| format!("{what}: found {entry}, expected a name"))
        };
        list.iter().map(name).collect()
    };
    let metadata = manifest.get("package").and_then(|package| package.get("metadata"));
    let address =
        names(metadata.and_then(|metadata| metadata.get("address-sanitizer")), "address-sanitizer")?;
    let all = names(manifest.get("bin"), "[[bin]]")?;
    if let Some(name) = address.iter().find(|name| !all.contains(*name)) {
        ensure!(false, "address-sanitizer: {name} is not a target");
    }
    let build = |name: &String| if address.contains(name) { Build::Address } else { Build::Plain };
    Ok(all.into_iter().map(|name| Target { build: build(&name), name }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_built_as_the_manifest_says() {
        let bins = "[[bin]]\nname = \"b\"\n[[bin]]\nname = \"a\"\n";
        let text = format!("[package.metadata]\naddress-sanitizer = [\"b\"]\n{bins}");
        let found = parse(&text).expect("a manifest");
        let found: Vec<_> = found.iter().map(|target| (target.name.as_str(), target.build)).collect();
        assert_eq!(found, [("a", Build::Plain), ("b", Build::Address)]);
        let error = parse(&text.replace("[\"b\"]", "[\"c\"]")).expect_err("no such target");
        assert_eq!(error.to_string(), "address-sanitizer: c is not a target");
    }

    #[test]
    fn every_target_of_ours_is_listed() {
        let found = read(&crate::workspace()).expect("our manifest");
        let sources =
            fs::read_dir(crate::workspace().join("fuzz/fuzz_targets")).expect("the targets").count();
        assert_eq!(found.len(), sources);
    }
}
