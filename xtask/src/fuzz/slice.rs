//! One target, run for a while: libFuzzer's arguments, and what its log says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::process::Process;
use super::state::State;
use super::targets::Target;

/// How often the processor time of a child is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// A machine that does other things gives a child a part of its time; but not less than this part of it.
const LEAST_SHARE: u32 = 16;

/// What an input may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Processor time of one input.
    pub(crate) seconds: u64,
    /// Memory of the whole program.
    pub(crate) megabytes: u64,
}

/// How a slice went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) executions: u64,
    pub(crate) edges: u64,
    /// Features at the end and after the corpus was read.
    pub(crate) features: u64,
    pub(crate) features_at_first: u64,
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) time: Duration,
    pub(crate) numbers: Numbers,
    pub(crate) success: bool,
}

/// The inputs of a target that are committed.
pub(crate) fn committed(workspace: &Path, target: &Target) -> Vec<PathBuf> {
    let folders = ["corpus", "artifacts"].map(|kind| workspace.join("fuzz").join(kind).join(&target.name));
    folders.into_iter().filter(|path| path.is_dir()).collect()
}

/// Runs a target until it has taken `time`, found a crash, or `stop` says so.
pub(crate) fn run(
    workspace: &Path,
    state: &State,
    target: &Target,
    limits: Limits,
    time: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Ran> {
    let log = state.log(target);
    fs::create_dir_all(state.root().join("logs"))?;
    let mut command = Command::new(state.program(target));
    command.arg(state.folder("corpus", target)?).args(committed(workspace, target));
    let prefix = format!("-artifact_prefix={}/", state.folder("crashes", target)?.display());
    let wall = time * LEAST_SHARE;
    command.args([
        "-print_final_stats=1".to_owned(),
        prefix,
        format!("-max_total_time={}", wall.as_secs().max(1)),
        // libFuzzer looks at the clock on the wall. What it finds too slow is tried again alone, by processor time.
        format!("-timeout={}", limits.seconds * 4),
        format!("-report_slow_units={}", limits.seconds),
        format!("-rss_limit_mb={}", limits.megabytes),
    ]);
    let ran = watch(&mut command, &log, time, stop)?;
    let text = fs::read(&log).with_context(|| log.display().to_string())?;
    Ok(Ran { numbers: numbers(&String::from_utf8_lossy(&text)), ..ran })
}

/// Runs a program into a log; asks it to end when it has taken `time` or `stop` says so.
pub(crate) fn watch(
    command: &mut Command,
    log: &Path,
    time: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<Ran> {
    let file = File::create(log).with_context(|| log.display().to_string())?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).env("RUST_BACKTRACE", "0");
    let mut process = Process::start(command)?;
    let mut asked: Option<Instant> = None;
    while !process.has_ended()? {
        thread::sleep(LOOK);
        match asked {
            None if stop() || process.processor_time()? >= time => {
                process.interrupt();
                asked = Some(Instant::now());
            }
            // An input that never ends does not see the interruption either.
            Some(at) if at.elapsed() > Duration::from_secs(20) => process.kill(),
            _ => {}
        }
    }
    let time = process.processor_time()?;
    let status = process.wait()?;
    Ok(Ran { time, numbers: Numbers::default(), success: status.success() || asked.is_some() })
}

fn numbers(log: &str) -> Numbers {
    let mut numbers = Numbers::default();
    for line in log.lines() {
        if let Some(executions) = line.strip_prefix("stat::number_of_executed_units:") {
            numbers.executions = executions.trim().parse().unwrap_or(numbers.executions);
            continue;
        }
        let Some(line) = line.strip_prefix('#') else { continue };
        let mut words = line.split_ascii_whitespace();
        let (Some(Ok(at)), Some(event)) = (words.next().map(str::parse::<u64>), words.next()) else {
            continue;
        };
        numbers.executions = numbers.executions.max(at);
        let words: Vec<_> = words.collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[1].parse() else { continue };
            match pair[0] {
                "cov:" => numbers.edges = number,
                "ft:" => numbers.features = number,
                _ => {}
            }
        }
        if event == "INITED" {
            numbers.features_at_first = numbers.features;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_how_far_it_came() {
        let log = "INFO: Seed: 1\n#41\tINITED cov: 500 ft: 900 corp: 40/2Kb exec/s: 0 rss: 40Mb\n\
            #57\tNEW    cov: 501 ft: 905 corp: 41/2Kb lim: 9 exec/s: 0 rss: 40Mb L: 9/9 MS: 1 CopyPart-\n\
            panicked at x.rs:1:1\n#900\tpulse  cov: 502 ft: 910 corp: 42/2Kb lim: 9 exec/s: 450 rss: 41Mb\n";
        let found = numbers(log);
        let expected = Numbers { executions: 900, edges: 502, features: 910, features_at_first: 900 };
        assert_eq!(found, expected);
        let ended = numbers(&format!("{log}stat::number_of_executed_units: 1234\n"));
        assert_eq!(ended.executions, 1234);
    }

    #[test]
    fn a_program_is_asked_to_end_when_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut endless = Command::new("sh");
        endless.args(["-c", "trap 'echo asked; exit 3' INT; while :; do :; done"]);
        let time = Duration::from_millis(300);
        let ran = watch(&mut endless, &log, time, &|| false).expect("a shell");
        assert!(ran.time >= time && ran.success);
        assert_eq!(fs::read_to_string(log).expect("a log"), "asked\n");
    }
}
