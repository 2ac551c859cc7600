//! What was run, slice by slice: lines of a file that is only ever appended to, so that an interruption loses no more than
//! what was running.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

/// A run of the campaign, of which there can be several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) number: u32,
    /// The processor time that it is to spend.
    pub(crate) budget: Duration,
}

/// One target, run for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) run: u32,
    pub(crate) target: String,
    pub(crate) sanitizer: String,
    /// What was fuzzed; with a `+` if files were changed.
    pub(crate) commit: String,
    pub(crate) time: Duration,
    pub(crate) executions: u64,
    /// Edges of the program that its corpus reaches.
    pub(crate) edges: u64,
    /// Features (edges, how often each, comparisons) that the slice found beyond the corpus it began with.
    pub(crate) found: u64,
    pub(crate) corpus_files: u64,
    pub(crate) corpus_bytes: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Clean,
    Crash,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    path: PathBuf,
    /// Where a line begins that an interruption cut off; it is removed before something else is written.
    cut: Option<u64>,
    pub(crate) runs: Vec<Run>,
    pub(crate) slices: Vec<Slice>,
}

impl Ledger {
    pub(crate) fn read(path: PathBuf) -> Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| path.display().to_string())?,
        };
        let mut ledger = Self { path, ..Self::default() };
        for (number, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| line.ends_with('\n'))
        {
            let place = || format!("{}:{}", ledger.path.display(), number + 1);
            let fields: Vec<_> = line.trim_end_matches('\n').split('\t').collect();
            match fields[..] {
                ["run", ..] => {
                    let run = parse_run(&fields).with_context(place)?;
                    ledger.runs.push(run);
                }
                ["slice", ..] => {
                    let slice = parse_slice(&fields).with_context(place)?;
                    ledger.slices.push(slice);
                }
                _ => {}
            }
        }
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        ledger.cut = (whole < text.len()).then_some(whole as u64);
        Ok(ledger)
    }

    /// Begins a run.
    pub(crate) fn begin(&mut self, budget: Duration) -> Result<Run> {
        let run = Run { number: self.runs.last().map_or(1, |run| run.number + 1), budget };
        self.append(&format!("run\t{}\t{}", run.number, budget.as_secs()))?;
        self.runs.push(run.clone());
        Ok(run)
    }

    pub(crate) fn add(&mut self, slice: Slice) -> Result<()> {
        let Slice {
            run,
            target,
            sanitizer,
            commit,
            executions,
            edges,
            found,
            corpus_files,
            corpus_bytes,
            ..
        } = &slice;
        let time = slice.time.as_millis();
        let outcome = match slice.outcome {
            Outcome::Clean => "clean",
            Outcome::Crash => "crash",
        };
        self.append(&format!(
            "slice\t{run}\t{target}\t{sanitizer}\t{commit}\t{time}\t{executions}\t{edges}\t{found}\t{corpus_files}\t\
             {corpus_bytes}\t{outcome}"
        ))?;
        self.slices.push(slice);
        Ok(())
    }

    fn append(&mut self, line: &str) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .with_context(|| self.path.display().to_string())?;
        if let Some(end) = self.cut.take() {
            file.set_len(end).with_context(|| self.path.display().to_string())?;
        }
        file.write_all(format!("{line}\n").as_bytes()).with_context(|| self.path.display().to_string())
    }

    /// The processor time that a run has spent.
    pub(crate) fn spent(&self, run: u32) -> Duration {
        self.slices.iter().filter(|slice| slice.run == run).map(|slice| slice.time).sum()
    }

    /// All runs together, a row a target; `waiting` says how many crashes of a target are not mended.
    pub(crate) fn table(&self, waiting: &dyn Fn(&str) -> usize) -> String {
        let mut totals: BTreeMap<&str, Total> = BTreeMap::new();
        for slice in &self.slices {
            totals.entry(&slice.target).or_default().add(slice);
        }
        let mut all = Total::default();
        let mut table = String::from(
            "target               build    cpu s   executions   edges  corpus      KiB  crashes  not mended\n",
        );
        let mut row = |name: &str, total: &Total, waiting: usize| {
            let _ = writeln!(
                table,
                "{name:<20} {:<7} {:>6} {:>12} {:>7} {:>7} {:>8} {:>8} {:>11}",
                total.sanitizer,
                total.time.as_secs(),
                total.executions,
                total.edges,
                total.corpus_files,
                total.corpus_bytes.div_ceil(1024),
                total.crashes,
                waiting
            );
        };
        let mut left = 0;
        for (name, total) in &totals {
            row(name, total, waiting(name));
            left += waiting(name);
            all.time += total.time;
            all.executions += total.executions;
            all.edges += total.edges;
            all.corpus_files += total.corpus_files;
            all.corpus_bytes += total.corpus_bytes;
            all.crashes += total.crashes;
        }
        row("all", &all, left);
        table
    }
}

#[derive(Debug, Default)]
struct Total {
    sanitizer: String,
    time: Duration,
    executions: u64,
    edges: u64,
    corpus_files: u64,
    corpus_bytes: u64,
    crashes: u64,
}

impl Total {
    fn add(&mut self, slice: &Slice) {
        self.time += slice.time;
        self.executions += slice.executions;
        self.crashes += u64::from(slice.outcome == Outcome::Crash);
        // The latest counts: the program and the corpus are other ones after a change.
        self.sanitizer.clone_from(&slice.sanitizer);
        self.edges = slice.edges;
        self.corpus_files = slice.corpus_files;
        self.corpus_bytes = slice.corpus_bytes;
    }
}

fn parse_run(fields: &[&str]) -> Result<Run> {
    let field = |at: usize| fields.get(at).copied().context("a field is missing");
    Ok(Run { number: field(1)?.parse()?, budget: Duration::from_secs(field(2)?.parse()?) })
}

fn parse_slice(fields: &[&str]) -> Result<Slice> {
    let field = |at: usize| fields.get(at).copied().context("a field is missing");
    Ok(Slice {
        run: field(1)?.parse()?,
        target: field(2)?.to_owned(),
        sanitizer: field(3)?.to_owned(),
        commit: field(4)?.to_owned(),
        time: Duration::from_millis(field(5)?.parse()?),
        executions: field(6)?.parse()?,
        edges: field(7)?.parse()?,
        found: field(8)?.parse()?,
        corpus_files: field(9)?.parse()?,
        corpus_bytes: field(10)?.parse()?,
        outcome: if field(11)? == "clean" { Outcome::Clean } else { Outcome::Crash },
    })
}

/// The commit of a working tree, with a `+` if files are changed.
pub(crate) fn commit(workspace: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output =
            std::process::Command::new("git").args(arguments).current_dir(workspace).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    format!("{commit}{}", if changed { "+" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(run: u32, target: &str, outcome: Outcome) -> Slice {
        Slice {
            run,
            target: target.to_owned(),
            sanitizer: "none".to_owned(),
            commit: "abc+".to_owned(),
            time: Duration::from_millis(1500),
            executions: 1000,
            edges: 77,
            found: 5,
            corpus_files: 3,
            corpus_bytes: 3000,
            outcome,
        }
    }

    #[test]
    fn what_was_written_is_read_also_after_an_interruption() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.tsv");
        let mut ledger = Ledger::read(path.clone()).expect("none yet");
        assert_eq!(ledger.begin(Duration::from_secs(60)).expect("a file").number, 1);
        ledger.add(slice(1, "a", Outcome::Clean)).expect("a file");
        ledger.add(slice(1, "b", Outcome::Crash)).expect("a file");
        let whole = fs::read_to_string(&path).expect("a file");
        fs::write(&path, format!("{whole}slice\t1\ta\tno")).expect("a file");
        let mut again = Ledger::read(path.clone()).expect("a ledger");
        assert_eq!((&again.runs, &again.slices), (&ledger.runs, &ledger.slices));
        assert_eq!(again.begin(Duration::from_secs(1)).expect("a file").number, 2);
        again.add(slice(2, "a", Outcome::Clean)).expect("a file");
        let last = Ledger::read(path).expect("a ledger");
        assert_eq!((&last.runs, &last.slices), (&again.runs, &again.slices));
        assert_eq!(last.spent(1), Duration::from_secs(3));
        let table = last.table(&|name| usize::from(name == "b"));
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[1], ["a", "none", "3", "2000", "77", "3", "3", "0", "0"]);
        assert_eq!(rows[2], ["b", "none", "1", "1000", "77", "3", "3", "1", "1"]);
        assert_eq!(rows[3], ["all", "4", "3000", "154", "6", "6", "1", "1"]);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.tsv");
        fs::write(&path, "run\t1\t60\nslice\t1\ta\n").expect("a file");
        let error = format!("{:#}", Ledger::read(path).expect_err("a field is missing"));
        assert!(error.contains("ledger.tsv:2"), "{error}");
    }
}
