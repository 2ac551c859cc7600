//! A test that changes one bit of a byte on every run, with all bits: `cargo xtask flips`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// What the test is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only formats that have this in their name
    filter: Option<String>,
}

/// Every byte of every fixture becomes nine others: `crates/flips`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "-p", "wimforge-flips", "--test", "flips", "--"]);
    // One after the other, so that their tables do not mix.
    command.args(arguments.filter.as_deref()).args(["--nocapture", "--test-threads", "1"]);
    let status = command.env("WIMFORGE_FLIPS", "all").current_dir(crate::workspace()).status();
    let status = status.context("cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
