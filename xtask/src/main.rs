//! Chores that take longer, or need more than a stable compiler, than a test may: `cargo xtask --help`.
//!
//! One module a chore, each with its own `Arguments` and a `run` that says whether it went well. What a user of
//! wimforge needs is a command of `wimforge`, not one of these.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to the developer who runs them")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod api;
mod faults;
mod flips;
#[cfg(unix)]
mod fuzz;
mod portability;

/// Chores of wimforge's developers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    Api(api::Arguments),
    #[cfg(unix)]
    Fuzz(fuzz::Arguments),
    /// Let every operation on files fail, in every way: an hour of a machine with two processors
    Faults(faults::Arguments),
    /// Change every byte of a file of every format, in nine ways: half an hour of a machine with two processors
    Flips(flips::Arguments),
    Portability(portability::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Api(arguments) => api::run(arguments),
        #[cfg(unix)]
        Chore::Fuzz(arguments) => fuzz::run(arguments),
        Chore::Faults(arguments) => faults::run(&arguments),
        Chore::Flips(arguments) => flips::run(&arguments),
        Chore::Portability(arguments) => portability::run(arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The folder of the workspace, wherever the chore was started.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_owned()
}
