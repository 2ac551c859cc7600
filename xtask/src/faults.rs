//! A test that tries a sample on every run, tried whole: `cargo xtask faults`.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// What the test is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only what has this in its name
    filter: Option<String>,
    /// About how many faults of each scene, the first and last of each kind and an even sample between; otherwise all
    #[arg(long)]
    faults: Option<u64>,
}

/// Every operation of every scene fails in every way: `cli/tests/faults`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "-p", "wimforge", "--test", "faults", "--"]);
    command.args(arguments.filter.as_deref()).arg("--nocapture");
    let faults = arguments.faults.map_or_else(|| "all".to_owned(), |faults| faults.to_string());
    let status = command.env("WIMFORGE_FAULTS", faults).current_dir(crate::workspace()).status();
    let status = status.context("cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
