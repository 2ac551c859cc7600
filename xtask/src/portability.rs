//! Whether the code holds on machines other than the one it is written on. Three kinds of proof, each where it can be had:
//!
//! * `check`: the compiler accepts libraries and program for a target. Needs `rustup target add` and nothing else, as there is
//!   no C in what ships.
//! * `run`: the program is built for another processor or C library and run, natively or by qemu-user; whatever it writes has
//!   the digest that is committed for this machine. Then the unit tests of the format crates, in the same way.
//! * `miri`: unit tests interpreted for a big-endian and for a 32-bit machine, where there is neither linker nor emulator.
//!   Needs a nightly compiler with `miri` and `rust-src`.
//!
//! docs/portability.md says what came of it, and what none of the three can see.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::workspace;

/// What is checked, and whether that is the program.
const CHECKED: [(&str, bool); 6] = [
    ("aarch64-apple-darwin", true),
    ("x86_64-apple-darwin", true),
    ("x86_64-pc-windows-msvc", true),
    ("x86_64-pc-windows-gnu", true),
    ("aarch64-unknown-linux-gnu", true),
    // No threads, and no files without a cursor: the format crates, without `image` and what draws from a system.
    ("wasm32-wasip1", false),
];

/// The format crates: what does not need threads, a system's randomness or temporary files.
const FORMATS: [&str; 18] = [
    "appliance",
    "bcd",
    "bootsector",
    "codec",
    "disk",
    "driver",
    "fat",
    "firstboot",
    "hive",
    "iso",
    "ntfs-writer",
    "qcow2",
    "security",
    "servicing",
    "vdi",
    "vhd",
    "vhdx",
    "vmdk",
];

/// A machine that is built for and run.
struct Machine {
    target: &'static str,
    /// The linker, and Debian's package that has it with a C library.
    linker: Option<(&'static str, &'static str)>,
    /// What comes before its programs, and Debian's package that has it.
    runner: Option<(&'static str, &'static str)>,
    /// Whether a program is to be one file that needs no other.
    is_static: bool,
}

const MACHINES: [Machine; 4] = [
    Machine {
        target: "aarch64-unknown-linux-gnu",
        linker: Some(("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")),
        runner: Some(("qemu-aarch64 -L /usr/aarch64-linux-gnu", "qemu-user")),
        is_static: false,
    },
    // 64 bits, big-endian.
    Machine {
        target: "s390x-unknown-linux-gnu",
        linker: Some(("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu libc6-dev-s390x-cross")),
        runner: Some(("qemu-s390x -L /usr/s390x-linux-gnu", "qemu-user")),
        is_static: false,
    },
    // 32 bits, which the processor at hand understands: only its C library is to be found.
    Machine {
        target: "i686-unknown-linux-gnu",
        linker: Some(("i686-linux-gnu-gcc", "gcc-i686-linux-gnu libc6-dev-i386-cross")),
        runner: Some((
            "/usr/i686-linux-gnu/lib/ld-linux.so.2 --library-path /usr/i686-linux-gnu/lib",
            "libc6-i386-cross",
        )),
        is_static: false,
    },
    Machine { target: "x86_64-unknown-linux-musl", linker: None, runner: None, is_static: true },
];

/// Crates whose unit tests are run on those machines.
const RUN: [&str; 4] = ["codec", "disk", "hive", "ntfs-writer"];

/// What is interpreted: a target, a crate, and what is left out of its unit tests.
const MIRI: [(&str, &str, &[&str]); 2] = [
    ("s390x-unknown-linux-gnu", "disk", &SLOW_OR_OUTSIDE),
    ("i686-unknown-linux-gnu", "disk", &SLOW_OR_OUTSIDE),
];

/// A property that takes Miri an hour, a table of 65,536 characters, and holes of files, which fail
/// there for a reason that was not looked for.
const SLOW_OR_OUTSIDE: [&str; 3] = ["splitting_and_appending", "upcase::", "holes_are_seen"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proof {
    /// The compiler accepts the code for each target
    Check,
    /// Other machines' programs write the same bytes, and their tests pass
    Run,
    /// Tests are interpreted by Miri
    Miri,
}

/// Check the code for other systems and processors
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which proof, instead of all
    proof: Option<Proof>,
    /// Only these targets
    #[arg(long)]
    target: Vec<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let wants = |proof, target: &str| {
        arguments.proof.is_none_or(|wanted| wanted == proof)
            && (arguments.target.is_empty() || arguments.target.iter().any(|wanted| wanted == target))
    };
    let mut outcomes = Vec::new();
    for (target, program) in CHECKED.into_iter().filter(|(target, _)| wants(Proof::Check, target)) {
        note(&mut outcomes, format!("check {target}"), check(target, program));
    }
    for machine in MACHINES.iter().filter(|machine| wants(Proof::Run, machine.target)) {
        let target = machine.target;
        note(&mut outcomes, format!("run {target}: the program"), machine.run_program());
        note(&mut outcomes, format!("run {target}: unit tests"), machine.run_tests());
    }
    for (target, name, skipped) in MIRI.into_iter().filter(|(target, ..)| wants(Proof::Miri, target)) {
        note(&mut outcomes, format!("miri {target} {name}"), miri(target, name, skipped));
    }
    ensure!(!outcomes.is_empty(), "nothing is known to be done for {}", arguments.target.join(", "));
    let failed: Vec<&str> =
        outcomes.iter().filter(|(_, well)| !well).map(|(what, _)| what.as_str()).collect();
    println!("{} of {} proofs hold", outcomes.len() - failed.len(), outcomes.len());
    failed.iter().for_each(|what| println!("failed: {what}"));
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn note(outcomes: &mut Vec<(String, bool)>, what: String, result: Result<()>) {
    match &result {
        Ok(()) => println!("{what}: ok"),
        Err(error) => println!("{what}: {error:#}"),
    }
    outcomes.push((what, result.is_ok()));
}

/// What is built for other targets has folders of its own in there.
fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.current_dir(workspace()).status().with_context(|| shown.clone())?;
    ensure!(status.success(), "{shown} failed");
    Ok(())
}

/// Cargo, and Rust's standard library for the target.
fn cargo(action: &str, target: &str) -> Result<Command> {
    succeed(Command::new("rustup").args(["--quiet", "target", "add", target]))?;
    let mut command = Command::new("cargo");
    command.args([action, "--quiet", "--locked", "--target", target]);
    Ok(command)
}

fn packages(command: &mut Command, names: &[&str]) {
    for name in names {
        command.args(["--package", &format!("wimforge-{name}")]);
    }
}

fn check(target: &str, program: bool) -> Result<()> {
    let mut command = cargo("check", target)?;
    if program {
        command.args(["--package", "wimforge"]);
    } else {
        command.arg("--lib");
        packages(&mut command, &FORMATS);
    }
    succeed(&mut command)
}

impl Machine {
    /// Cargo, with linker and runner.
    fn cargo(&self, action: &str) -> Result<Command> {
        let mut command = cargo(action, self.target)?;
        let variable =
            |name: &str| format!("CARGO_TARGET_{}_{name}", self.target.to_uppercase().replace('-', "_"));
        if let Some((linker, packages)) = self.linker {
            command.env(variable("LINKER"), found(linker, packages)?);
        }
        let runner = self.runner()?;
        if !runner.is_empty() {
            command.env(variable("RUNNER"), runner);
        }
        Ok(command)
    }

    /// What comes before a program; nothing when it runs as it is.
    fn runner(&self) -> Result<String> {
        let Some((words, packages)) = self.runner else { return Ok(String::new()) };
        let (program, more) = words.split_once(' ').expect("each has arguments");
        Ok(format!("{} {more}", found(program, packages)?.display()))
    }

    /// Builds the program and runs all of the script of digests with it.
    fn run_program(&self) -> Result<()> {
        succeed(self.cargo("build")?.args(["--package", "wimforge"]))?;
        let program = target_dir().join(self.target).join("debug/wimforge");
        if self.is_static {
            ensure!(!has_interpreter(&program)?, "{} is not static", program.display());
        }
        succeed(
            Command::new("cargo")
                .args(["test", "--quiet", "--locked", "--package", "wimforge", "--test", "suite", "--"])
                .arg("every_output_has_the_committed_digest")
                .env("WIMFORGE_PROGRAM", format!("{} {}", self.runner()?, program.display()))
                .env_remove("WIMFORGE_DIGESTS"),
        )
    }

    fn run_tests(&self) -> Result<()> {
        let mut command = self.cargo("test")?;
        command.arg("--lib");
        packages(&mut command, &RUN);
        succeed(&mut command)
    }
}

/// Where a program lies.
fn found(program: &str, packages: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|folder| folder.join(program));
    let found = places.find(|program| program.is_file());
    found.with_context(|| format!("needs {program} (apt install {packages})"))
}

/// Whether an ELF program of 64 bits, little-endian, names one that loads it with its libraries.
fn has_interpreter(program: &Path) -> Result<bool> {
    const PT_INTERP: u32 = 3;
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let word = |at: usize, len: usize| -> Option<u64> {
        let mut word = [0; 8];
        word[..len].copy_from_slice(bytes.get(at..at.checked_add(len)?)?);
        Some(u64::from_le_bytes(word))
    };
    let heads = || {
        let (start, size, count) = (word(0x20, 8)?, word(0x36, 2)?, word(0x38, 2)?);
        (0..count)
            .map(|number| word(usize::try_from(start + number * size).ok()?, 4))
            .collect::<Option<Vec<u64>>>()
    };
    match heads() {
        Some(kinds) if bytes.starts_with(b"\x7FELF\x02\x01") => Ok(kinds.contains(&PT_INTERP.into())),
        _ => bail!("{} is no ELF program of 64 bits", program.display()),
    }
}

fn miri(target: &str, name: &str, skipped: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "miri", "test", "--quiet", "--lib", "--locked", "--target", target]);
    command.arg("--target-dir").arg(target_dir().join("miri"));
    packages(&mut command, &[name]);
    command.arg("--");
    for name in skipped {
        command.args(["--skip", name]);
    }
    // Files of the test's own, and proptest's, are outside of Miri's machine.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    succeed(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_by_an_interpreter_is_not_static() {
        // This test is itself a program, linked as everything here is by default.
        let own = env::current_exe().expect("a path");
        assert!(has_interpreter(&own).expect("an ELF program"));
        let text = has_interpreter(&workspace().join("Cargo.toml"));
        assert!(text.is_err_and(|error| error.to_string().contains("is no ELF program")));
    }
}
