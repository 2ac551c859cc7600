//! Fuzzing of every reader, codec and writer: `cargo xtask fuzz --hours 3`.
//!
//! cargo-fuzz runs one target until somebody stops it. A project with dozens of targets has other questions: were all of them
//! run since the change, for how long, and did they still find something? So this spends a given amount of
//! *processor* time over all targets, more of it on those that still find new coverage, and keeps a ledger of it. Corpora grow in
//! a folder that is not committed; what is committed (`fuzz/corpus`, `fuzz/artifacts`) stays small, and `fuzz-replay` runs it
//! on a stable compiler.

mod build;
mod campaign;
mod coverage;
mod crash;
mod ledger;
mod process;
mod schedule;
mod slice;
mod state;
mod targets;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use self::campaign::Campaign;
use self::ledger::Ledger;
use self::slice::Limits;
use self::state::{State, files};
use self::targets::Target;

/// Run the fuzz targets for some hours of processor time, or ask what came of it.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say how much of each crate the committed and the grown corpora reach.
    Coverage(StateArguments),
    /// Print the ledger: processor time, executions and crashes of all runs so far.
    Status(StateArguments),
    /// Ask the campaign that is running to end; `--resume` spends the rest of its time later.
    Stop(StateArguments),
}

#[derive(Debug, clap::Args)]
struct StateArguments {
    /// Where programs, corpora, crashes and the ledger are [default: fuzz/target]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Hours of processor time to spend, over all targets.
    #[arg(long, value_name = "N", required_unless_present_any = ["list", "resume", "build_only"])]
    hours: Option<f64>,
    /// Spend what is left of the last run that was interrupted.
    #[arg(long, conflicts_with = "hours")]
    resume: bool,
    /// How many targets run at once.
    #[arg(long, short, default_value_t = 1)]
    jobs: usize,
    /// Only this target; can be given several times.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Name the targets, and the sanitizer that each is built with, and do nothing else.
    #[arg(long)]
    list: bool,
    /// Take the programs as they were built before.
    #[arg(long)]
    no_build: bool,
    /// Build the programs and run none. A campaign that is running takes the new ones from the next slice on.
    #[arg(long, conflicts_with = "no_build")]
    build_only: bool,
    /// Stop after so many minutes on the wall, whatever is left; `--resume` spends the rest later.
    #[arg(long, value_name = "M")]
    wall_minutes: Option<u64>,
    /// Seconds of processor time that one input may take.
    #[arg(long, value_name = "S", default_value_t = 10)]
    timeout: u64,
    /// Megabytes of memory that a target may take.
    #[arg(long, value_name = "MB", default_value_t = 2048)]
    rss_limit: u64,
    #[command(flatten)]
    state: StateArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let open = |state: StateArguments| State::new(state.state, &crate::workspace());
    match arguments.what {
        None => fuzz(arguments.run),
        Some(What::Coverage(state)) => {
            coverage::report(&crate::workspace(), &open(state)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(What::Status(state)) => report(&open(state)?),
        Some(What::Stop(state)) => {
            let path = open(state)?.stop();
            fs::write(&path, "").with_context(|| path.display().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn chosen(names: &[String]) -> Result<Vec<Target>> {
    let mut targets = targets::read(&crate::workspace())?;
    for name in names {
        ensure!(
            targets.iter().any(|target| target.name == *name),
            "{name} is not a target; --list names them"
        );
    }
    targets.retain(|target| names.is_empty() || names.contains(&target.name));
    Ok(targets)
}

fn fuzz(arguments: RunArguments) -> Result<ExitCode> {
    let workspace = crate::workspace();
    let targets = chosen(&arguments.target)?;
    if arguments.list {
        for target in &targets {
            println!("{:<20} {}", target.name, target.build);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let state = State::new(arguments.state.state, &workspace)?;
    if !arguments.no_build {
        build::build(&workspace, &state, &targets)?;
    }
    if arguments.build_only {
        return Ok(ExitCode::SUCCESS);
    }
    let _claim = state.claim()?;
    let mut ledger = Ledger::read(state.ledger())?;
    let run = match arguments.hours {
        Some(hours) => {
            ensure!(hours > 0.0 && hours < 1e5, "--hours: found {hours}, expected more than 0");
            ledger.begin(Duration::from_secs_f64(hours * 3600.0))?
        }
        None => ledger.runs.last().cloned().context("there is no run to resume")?,
    };
    let campaign = Campaign {
        workspace: &workspace,
        state: &state,
        targets: &targets,
        limits: Limits { seconds: arguments.timeout, megabytes: arguments.rss_limit },
        jobs: arguments.jobs,
        until: arguments.wall_minutes.map(|minutes| started + Duration::from_secs(minutes * 60)),
    };
    if campaign.run(ledger, &run)? {
        campaign.thin_out()?;
    }
    report(&state)
}

/// Prints the ledger; it is a failure if a crash is not mended.
fn report(state: &State) -> Result<ExitCode> {
    let ledger = Ledger::read(state.ledger())?;
    let waiting = |name: &str| files(&state.root().join("crashes").join(name)).len();
    print!("{}", ledger.table(&waiting));
    if let Some(run) = ledger.runs.last() {
        let (spent, budget) = (ledger.spent(run.number).as_secs(), run.budget.as_secs());
        println!("run {}: {spent} of {budget} seconds spent", run.number);
    }
    let all: usize = targets::read(&crate::workspace())?.iter().map(|target| waiting(&target.name)).sum();
    Ok(if all == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
