//! Chores that take longer, or need more than a stable compiler, than a test may: `cargo xtask --help`.
//!
//! One module a chore. What a user of wimforge needs is a command of `wimforge`, not one of these.

use clap::Parser;

/// Chores of wimforge's developers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", subcommand_required = true)]
struct Arguments {}

fn main() {
    Arguments::parse();
}
