//! Building the targets: `cargo fuzz build`, once a sanitizer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::ledger;
use super::state::State;
use super::targets::{Build, Target};

/// Builds targets and puts copies of the programs where the campaign takes them from.
pub(crate) fn build(workspace: &Path, state: &State, targets: &[Target]) -> Result<()> {
    let commit = ledger::commit(workspace);
    let mut by_build: BTreeMap<Build, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        by_build.entry(target.build).or_default().push(target);
    }
    for (build, targets) in by_build {
        // All at once are one call of cargo; a few are built one by one, as the rest would be linked for nothing.
        let names: Vec<Option<&str>> = match build {
            Build::Plain if targets.len() > 3 => vec![None],
            _ => targets.iter().map(|target| Some(target.name.as_str())).collect(),
        };
        let folder = state.build(build);
        for name in names {
            cargo_fuzz(workspace, build, &folder, name)?;
        }
        let programs = folder.join(triple()?).join("release");
        for target in targets {
            let to = state.program(target);
            fs::create_dir_all(state.root().join("bin"))?;
            // Into its place by renaming: the old one may be running.
            let fresh = to.with_extension("new");
            fs::copy(programs.join(&target.name), &fresh)
                .with_context(|| programs.join(&target.name).display().to_string())?;
            fs::rename(&fresh, &to).with_context(|| to.display().to_string())?;
            fs::write(to.with_extension("commit"), &commit)?;
        }
    }
    Ok(())
}

fn cargo_fuzz(workspace: &Path, build: Build, folder: &Path, target: Option<&str>) -> Result<()> {
    let mut command = Command::new("cargo");
    // The folder of the targets names the nightly compiler's: this program runs under a stable one.
    command
        .args(["+nightly", "fuzz", "build", "--sanitizer", &build.to_string(), "--target-dir"])
        .arg(folder);
    command.args(target).current_dir(workspace.join("fuzz")).env_remove("CARGO_TARGET_DIR");
    for variable in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC"] {
        command.env_remove(variable);
    }
    let status = command.status().context("cargo fuzz build")?;
    if !status.success() {
        bail!(
            "cargo fuzz build: {status}; it needs a nightly compiler (rustup toolchain install nightly) and cargo-fuzz"
        );
    }
    Ok(())
}

/// The triple of this machine, of which cargo makes a folder.
pub(crate) fn triple() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}
