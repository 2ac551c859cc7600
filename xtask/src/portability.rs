//! Whether the code holds on machines other than the one it is written on. Three kinds of proof, each where it can be had:
//!
//! * `check`: the compiler accepts libraries and program for a target. Needs `rustup target add` and nothing else, as there is
//!   no C in what ships.
//! * `run`: tests of another architecture, linked by Debian's cross compiler and run by qemu-user.
//! * `miri`: tests interpreted for a big-endian and for a 32-bit machine, without a linker; and the codec's `unsafe`, with
//!   every access checked. Needs a nightly compiler with `miri` and `rust-src`.
//!
//! docs/portability.md says what came of it, and what none of the three can see.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::workspace;

/// What is checked for each target, and whether the program is.
const TARGETS: [(&str, bool); 9] = [
    ("aarch64-apple-darwin", true),
    ("x86_64-apple-darwin", true),
    ("x86_64-pc-windows-msvc", true),
    ("x86_64-pc-windows-gnu", true),
    ("aarch64-unknown-linux-gnu", true),
    ("x86_64-unknown-linux-musl", true),
    ("i686-unknown-linux-gnu", true),
    ("s390x-unknown-linux-gnu", true),
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

/// Crates whose own tests a big-endian or 32-bit machine runs in reasonable time under qemu-user.
const RUN: [&str; 4] = ["codec", "disk", "hive", "ntfs-writer"];

/// Tests that Miri interprets in minutes: a crate, and a filter of its unit tests.
const MIRI: [(&str, &str); 7] = [
    ("disk", ""),
    ("bootsector", "chs"),
    ("security", ""),
    ("vhd", ""),
    ("vhdx", ""),
    ("vdi", ""),
    ("qcow2", ""),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proof {
    /// The compiler accepts the code for each target
    Check,
    /// Tests run on aarch64 under qemu-user
    Run,
    /// Tests are interpreted by Miri, big-endian and 32-bit
    Miri,
}

/// Check the code for other systems and processors
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which proof, instead of all
    proof: Option<Proof>,
    /// Only these targets of `check` and `miri`
    #[arg(long)]
    target: Vec<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let wants = |proof| arguments.proof.is_none_or(|wanted| wanted == proof);
    let chosen =
        |target: &str| arguments.target.is_empty() || arguments.target.iter().any(|wanted| wanted == target);
    let mut failed = Vec::new();
    if wants(Proof::Check) {
        for (target, program) in TARGETS.into_iter().filter(|(target, _)| chosen(target)) {
            note(&mut failed, &format!("check {target}"), check(target, program));
        }
    }
    if wants(Proof::Run) {
        note(&mut failed, "run aarch64-unknown-linux-gnu", run_aarch64());
    }
    if wants(Proof::Miri) {
        for target in
            ["s390x-unknown-linux-gnu", "i686-unknown-linux-gnu"].into_iter().filter(|target| chosen(target))
        {
            for (name, filter) in MIRI {
                note(&mut failed, &format!("miri {target} {name}"), miri(target, name, filter));
            }
        }
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn note(failed: &mut Vec<String>, what: &str, result: Result<()>) {
    match result {
        Ok(()) => println!("{what}: ok"),
        Err(error) => {
            println!("{what}: {error:#}");
            failed.push(what.to_owned());
        }
    }
}

/// A target folder of its own: flags and compilers differ from those of everyday builds.
fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), PathBuf::from)
        .join("portability")
}

fn succeed(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.current_dir(workspace()).status().with_context(|| shown.clone())?;
    ensure!(status.success(), "{shown} failed");
    Ok(())
}

fn check(target: &str, program: bool) -> Result<()> {
    succeed(Command::new("rustup").args(["--quiet", "target", "add", target]))?;
    let mut command = Command::new("cargo");
    command.args(["check", "--quiet", "--locked", "--target", target, "--target-dir"]).arg(target_dir());
    if program {
        command.args(["--package", "wimforge"]);
    } else {
        command.arg("--lib");
        for name in FORMATS {
            command.args(["--package", &format!("wimforge-{name}")]);
        }
    }
    succeed(&mut command)
}

fn run_aarch64() -> Result<()> {
    for (tool, package) in [("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"), ("qemu-aarch64", "qemu-user")]
    {
        if Command::new(tool).arg("--version").output().is_err() {
            bail!("needs {tool} (apt install {package} libc6-dev-arm64-cross)");
        }
    }
    let target = "aarch64-unknown-linux-gnu";
    succeed(Command::new("rustup").args(["--quiet", "target", "add", target]))?;
    let mut command = Command::new("cargo");
    command.args(["test", "--lib", "--locked", "--target", target, "--target-dir"]).arg(target_dir());
    for name in RUN {
        command.args(["--package", &format!("wimforge-{name}")]);
    }
    command
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", "qemu-aarch64 -L /usr/aarch64-linux-gnu");
    succeed(&mut command)
}

fn miri(target: &str, name: &str, filter: &str) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args([
        "+nightly",
        "miri",
        "test",
        "--quiet",
        "--lib",
        "--locked",
        "--target",
        target,
        "--target-dir",
    ]);
    command.arg(target_dir()).args(["--package", &format!("wimforge-{name}"), "--", filter]);
    // Files of the test's own, and proptest's, are outside of Miri's machine.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    succeed(&mut command)
}
