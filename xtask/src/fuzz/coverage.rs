//! How much of each crate the corpora reach.
//!
//! `cargo fuzz coverage` builds every target once more and makes a report of each. `fuzz-replay` has all targets in one program, on the stable
//! compiler: that one is built with `-Cinstrument-coverage` and run on the committed inputs and on the corpora that campaigns
//! have grown, and llvm-cov, of the same compiler, says what was reached.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::build::triple;
use super::state::{State, files};

/// What of a crate was reached.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Reached {
    lines: u64,
    lines_reached: u64,
    regions: u64,
    regions_reached: u64,
}

/// Prints the table, as it stands in `docs/fuzzing.md`.
pub(crate) fn report(workspace: &Path, state: &State) -> Result<()> {
    let tools = tools()?;
    let program = build(workspace, state)?;
    let profiles = state.root().join("profiles");
    let _ = fs::remove_dir_all(&profiles);
    fs::create_dir_all(&profiles)?;
    let status = Command::new(&program)
        .arg("--quiet")
        .current_dir(workspace.join("crates/fuzz-replay"))
        .env("WIMFORGE_FUZZ_CORPUS", state.root().join("corpus"))
        .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| program.display().to_string())?;
    if !status.success() {
        eprintln!("a target failed on its inputs ({status}); what it reached until then counts");
    }
    let profile = state.root().join("coverage.profdata");
    let mut merge = Command::new(tools.join("llvm-profdata"));
    merge.args(["merge", "-sparse", "-o"]).arg(&profile).args(files(&profiles));
    run(&mut merge)?;
    let mut export = Command::new(tools.join("llvm-cov"));
    export.args(["export", "-summary-only", "-instr-profile"]).arg(&profile).arg(&program);
    let json: Value = serde_json::from_slice(&run(&mut export)?).context("what llvm-cov says")?;
    print!("{}", table(&by_crate(&json)?));
    Ok(())
}

fn build(workspace: &Path, state: &State) -> Result<PathBuf> {
    let triple = triple()?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        // With a triple, cargo gives the flags to what runs, and not to what helps it build.
        .args(["test", "-p", "wimforge-fuzz-replay", "--test", "replay", "--no-run", "--message-format=json"])
        .args(["--target", &triple, "--target-dir"])
        .arg(state.root().join("coverage"))
        .current_dir(workspace)
        .env("RUSTFLAGS", "-Cinstrument-coverage")
        .stderr(Stdio::inherit())
        .output()
        .context("cargo test")?;
    ensure!(output.status.success(), "cargo test: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let programs = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs =
        programs.filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)));
    programs.next().context("cargo names no program")
}

fn tools() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "target-libdir"]).output().context("rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).with_file_name("bin");
    if !folder.join("llvm-cov").exists() {
        bail!("{}: no llvm-cov; `rustup component add llvm-tools`", folder.display());
    }
    Ok(folder)
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name}: {}", output.status);
    Ok(output.stdout)
}

/// Sums what llvm-cov says of files by the crate whose sources they are.
fn by_crate(json: &Value) -> Result<BTreeMap<String, Reached>> {
    let files = json.pointer("/data/0/files").and_then(Value::as_array).context("llvm-cov names no files")?;
    let mut crates: BTreeMap<String, Reached> = BTreeMap::new();
    for file in files {
        let name = file.get("filename").and_then(Value::as_str).unwrap_or_default();
        let Some((_, path)) = name.rsplit_once("/crates/") else { continue };
        let Some((name, path)) = path.split_once('/') else { continue };
        // Registries of packages have folders of that name, too; ours are read from the working tree.
        if !path.starts_with("src/") || ["fuzz-replay", "testkit"].contains(&name) {
            continue;
        }
        let number =
            |field: &str| file.pointer(&format!("/summary/{field}")).and_then(Value::as_u64).unwrap_or(0);
        let reached = crates.entry(name.to_owned()).or_default();
        reached.lines += number("lines/count");
        reached.lines_reached += number("lines/covered");
        reached.regions += number("regions/count");
        reached.regions_reached += number("regions/covered");
    }
    Ok(crates)
}

fn table(crates: &BTreeMap<String, Reached>) -> String {
    let mut text =
        String::from("| crate | lines | reached | regions | reached |\n|---|---:|---:|---:|---:|\n");
    let mut all = Reached::default();
    let percent = |part: u64, whole: u64| format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64);
    let mut row = |name: &str, reached: Reached| {
        text += &format!(
            "| {name} | {} | {} | {} | {} |\n",
            reached.lines,
            percent(reached.lines_reached, reached.lines),
            reached.regions,
            percent(reached.regions_reached, reached.regions),
        );
    };
    for (name, reached) in crates {
        row(&format!("`{name}`"), *reached);
        all.lines += reached.lines;
        all.lines_reached += reached.lines_reached;
        all.regions += reached.regions;
        all.regions_reached += reached.regions_reached;
    }
    row("all", all);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_summed_by_crate() {
        let file = |name: &str, lines: u64, reached: u64| {
            json!({ "filename": name, "summary": {
                "lines": { "count": lines, "covered": reached },
                "regions": { "count": 2 * lines, "covered": reached },
            } })
        };
        let json = json!({ "data": [{ "files": [
            file("/w/crates/disk/src/at.rs", 10, 5),
            file("/w/crates/disk/src/io.rs", 30, 5),
            file("/w/crates/wim/src/wim.rs", 8, 8),
            file("/w/crates/wim/tests/it/main.rs", 100, 0),
            file("/registry/src/x-1.0/src/lib.rs", 100, 0),
        ] }] });
        let table = table(&by_crate(&json).expect("files"));
        let rows: Vec<&str> = table.lines().skip(2).collect();
        let expected = [
            "| `disk` | 40 | 25.0 % | 80 | 12.5 % |",
            "| `wim` | 8 | 100.0 % | 16 | 50.0 % |",
            "| all | 48 | 37.5 % | 96 | 18.8 % |",
        ];
        assert_eq!(rows, expected);
    }
}
