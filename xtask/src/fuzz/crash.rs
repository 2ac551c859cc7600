//! Inputs that a target failed on: is the failure real, and what is the smallest input that shows it?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::slice::{Limits, watch};
use super::state::{State, files};
use super::targets::Target;

/// What minimising one input may take.
const MINIMISE: Duration = Duration::from_secs(60);

/// Tries everything in the folder of a target's crashes again, alone. What does not fail is put aside: mended, or slow only
/// because the machine was busy. Gives what still fails.
pub(crate) fn sort_out(state: &State, target: &Target, limits: Limits) -> Result<Vec<PathBuf>> {
    let mut failing = Vec::new();
    for input in files(&state.folder("crashes", target)?) {
        match reason(state, target, limits, &input)? {
            Some(_) => failing.push(input),
            None => {
                let name = input.file_name().expect("it was listed by name");
                fs::rename(&input, state.folder("mended", target)?.join(name))?;
            }
        }
    }
    Ok(failing)
}

/// Why an input fails when it is run alone, in a line; none if it does not.
pub(crate) fn reason(state: &State, target: &Target, limits: Limits, input: &Path) -> Result<Option<String>> {
    let log = state.log(target).with_extension("again.log");
    let mut command = Command::new(state.program(target));
    command.args([format!("-rss_limit_mb={}", limits.megabytes), "-timeout=0".to_owned()]).arg(input);
    // The program starts, too.
    let allowed = Duration::from_secs(limits.seconds + 2);
    let ran = watch(&mut command, &log, allowed, &|| false)?;
    if ran.time >= allowed {
        return Ok(Some(format!("takes more than {} seconds", limits.seconds)));
    }
    if ran.success {
        return Ok(None);
    }
    let text = fs::read(&log).unwrap_or_default();
    Ok(Some(said(&String::from_utf8_lossy(&text))))
}

/// The line of a log that says what went wrong: the place and words of a panic, or a sanitizer's summary.
fn said(log: &str) -> String {
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if line.contains("panicked at") {
            let place = line.split("panicked at ").nth(1).unwrap_or(line);
            return format!("{place} {}", lines.next().unwrap_or_default());
        }
    }
    let told = |line: &&str| line.contains("ERROR:") || line.starts_with("SUMMARY:");
    log.lines().rfind(told).unwrap_or("ended without a word").to_owned()
}

/// Writes the smallest input found that fails, too, beside an input, as `NAME.min`.
pub(crate) fn minimise(
    state: &State,
    target: &Target,
    limits: Limits,
    input: &Path,
) -> Result<Option<PathBuf>> {
    if input.extension().is_some_and(|extension| extension == "min") {
        return Ok(None);
    }
    let small = input.with_extension("min");
    if small.exists() {
        return Ok(Some(small));
    }
    let mut command = Command::new(state.program(target));
    command.args([
        "-minimize_crash=1".to_owned(),
        format!("-max_total_time={}", MINIMISE.as_secs()),
        format!("-rss_limit_mb={}", limits.megabytes),
        format!("-exact_artifact_path={}", small.display()),
    ]);
    watch(command.arg(input), &state.log(target).with_extension("min.log"), MINIMISE, &|| false)?;
    if small.exists() && reason(state, target, limits, &small)?.is_none() {
        fs::remove_file(&small)?;
    }
    Ok(small.exists().then_some(small))
}

/// Keeps of a corpus what is needed to reach what all of it reaches.
pub(crate) fn thin_out(workspace: &Path, state: &State, target: &Target) -> Result<()> {
    let corpus = state.folder("corpus", target)?;
    let thin = state.folder("thin", target)?;
    let mut command = Command::new(state.program(target));
    command.args(["-merge=1", "-timeout=120"]).arg(&thin).arg(&corpus);
    command.args(super::slice::committed(workspace, target));
    let ran = watch(
        &mut command,
        &state.log(target).with_extension("merge.log"),
        Duration::from_secs(600),
        &|| false,
    )?;
    if ran.success && ran.time < Duration::from_secs(600) && !files(&thin).is_empty() {
        fs::remove_dir_all(&corpus)?;
        fs::rename(&thin, &corpus)?;
    } else {
        fs::remove_dir_all(&thin)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Stdio;

    use super::*;
    use crate::fuzz::targets::Build;

    /// Fails on inputs with an `x`, and finds that to be the smallest.
    const TARGET: &str = "#!/bin/sh
for argument; do
  case $argument in
    -minimize_crash=1) smallest=1 ;;
    -exact_artifact_path=*) out=${argument#*=} ;;
  esac
done
if [ -n \"$smallest\" ]; then printf x > \"$out\"; exit 1; fi
if grep -q x \"$argument\"; then
  echo \"thread 'main' panicked at a.rs:1:1:\"
  echo 'an x'
  exit 77
fi
";

    #[test]
    fn what_fails_again_is_kept_and_made_small() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = State::new(Some(folder.path().to_owned()), folder.path()).expect("a folder");
        let target = Target { name: "fake".to_owned(), build: Build::Plain };
        let program = state.program(&target);
        fs::create_dir_all(program.parent().expect("bin")).expect("a folder");
        fs::create_dir_all(folder.path().join("logs")).expect("a folder");
        // Written by another process: one that this one has open for writing could not be run.
        let script = "cat > \"$0\" && chmod +x \"$0\"";
        let mut shell = Command::new("sh");
        let mut shell =
            shell.args(["-c", script]).arg(&program).stdin(Stdio::piped()).spawn().expect("a shell");
        shell.stdin.take().expect("piped").write_all(TARGET.as_bytes()).expect("a pipe");
        assert!(shell.wait().expect("a shell").success());

        let crashes = state.folder("crashes", &target).expect("a folder");
        let (crash, stall) = (crashes.join("crash-1"), crashes.join("timeout-2"));
        fs::write(&crash, "abcx").expect("a file");
        fs::write(&stall, "abc").expect("a file");
        let limits = Limits { seconds: 10, megabytes: 2048 };
        assert!(sort_out(&state, &target, limits).expect("a program").iter().eq([&crash]));
        assert!(!stall.exists() && folder.path().join("mended/fake/timeout-2").exists());
        let why = reason(&state, &target, limits, &crash).expect("a program");
        assert_eq!(why.as_deref(), Some("a.rs:1:1: an x"));
        let small = minimise(&state, &target, limits, &crash).expect("a program").expect("it fails, too");
        assert_eq!(fs::read(small).expect("a file"), b"x");
    }

    #[test]
    fn what_went_wrong_is_a_line() {
        let panic = "Running: x\n\nthread '<unnamed>' (7) panicked at src/a.rs:1:2:\nindex out of bounds\nnote: run\n\
            ==7== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(said(panic), "src/a.rs:1:2: index out of bounds");
        let memory = "==7== ERROR: libFuzzer: out-of-memory (used: 2050Mb; limit: 2048Mb)\n";
        assert_eq!(said(memory), memory.trim_end());
        assert_eq!(said(""), "ended without a word");
    }
}
