//! A run: slices of targets until the processor time is spent.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::crash;
use super::ledger::{Ledger, Outcome, Run, Slice};
use super::schedule::{Schedule, Turn};
use super::slice::{self, Limits};
use super::state::{State, extent, files};
use super::targets::Target;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What all workers share.
struct Shared {
    schedule: Schedule,
    ledger: Ledger,
    /// Crashes that have been shown.
    shown: HashSet<PathBuf>,
}

pub(crate) struct Campaign<'a> {
    pub(crate) workspace: &'a Path,
    pub(crate) state: &'a State,
    pub(crate) targets: &'a [Target],
    pub(crate) limits: Limits,
    pub(crate) jobs: usize,
    /// When to stop, whatever is left.
    pub(crate) until: Option<Instant>,
}

impl Campaign<'_> {
    /// Spends what is left of a run's time. Says whether it was spent, or something asked it to stop before.
    pub(crate) fn run(&self, ledger: Ledger, run: &Run) -> Result<bool> {
        ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).context("Ctrl-C")?;
        let _ = std::fs::remove_file(self.state.stop());
        let mut schedule = Schedule::new(self.targets.len(), run.budget);
        for (index, target) in self.targets.iter().enumerate() {
            for slice in ledger.slices.iter().filter(|slice| slice.target == target.name) {
                if slice.run == run.number {
                    schedule.remember(index, slice.time, slice.found);
                } else {
                    schedule.recall(index, slice.time);
                }
            }
        }
        let shared = Mutex::new(Shared { schedule, ledger, shown: HashSet::new() });
        for (index, target) in self.targets.iter().enumerate() {
            self.judge(&shared, index, target)?;
        }
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.jobs.max(1)).map(|_| scope.spawn(|| self.work(&shared, run))).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
        });
        results.into_iter().collect::<Result<()>>()?;
        let spent = lock(&shared).schedule.is_over();
        Ok(spent && !self.is_asked_to_stop())
    }

    fn is_asked_to_stop(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
            || self.until.is_some_and(|until| Instant::now() >= until)
            || self.state.stop().exists()
    }

    fn work(&self, shared: &Mutex<Shared>, run: &Run) -> Result<()> {
        while !self.is_asked_to_stop() {
            let turn = {
                let mut shared = lock(shared);
                if shared.schedule.is_over() {
                    break;
                }
                shared.schedule.next()
            };
            match turn {
                Some(turn) => self.turn(shared, run, turn)?,
                // The other workers may yet give time back.
                None => thread::sleep(Duration::from_millis(200)),
            }
        }
        Ok(())
    }

    fn turn(&self, shared: &Mutex<Shared>, run: &Run, turn: Turn) -> Result<()> {
        let target = &self.targets[turn.target];
        let stop = || self.is_asked_to_stop();
        let ran = slice::run(self.workspace, self.state, target, self.limits, turn.time, &stop);
        let Ok(ran) = ran else {
            lock(shared).schedule.exclude(turn.target);
            return ran.map(drop);
        };
        let failing = self.judge(shared, turn.target, target)?;
        let (corpus_files, corpus_bytes) = extent(&self.state.folder("corpus", target)?);
        let numbers = &ran.numbers;
        let found = numbers.features.saturating_sub(numbers.features_at_first);
        let slice = Slice {
            run: run.number,
            target: target.name.clone(),
            sanitizer: target.build.to_string(),
            commit: std::fs::read_to_string(self.state.program(target).with_extension("commit"))
                .unwrap_or_default(),
            time: ran.time,
            executions: numbers.executions,
            edges: numbers.edges,
            found,
            corpus_files,
            corpus_bytes,
            outcome: if failing { Outcome::Crash } else { Outcome::Clean },
        };
        println!(
            "{:<20} {:>5.0} s {:>10} executions {:>6} edges {:>+6} features",
            target.name,
            ran.time.as_secs_f64(),
            numbers.executions,
            numbers.edges,
            found
        );
        let mut shared = lock(shared);
        shared.schedule.done(turn, ran.time, found);
        shared.ledger.add(slice)
    }

    /// Looks at the crashes of a target; with one that is real, it gets no more slices.
    fn judge(&self, shared: &Mutex<Shared>, index: usize, target: &Target) -> Result<bool> {
        let failing = crash::sort_out(self.state, target, self.limits)?;
        for input in &failing {
            if input.extension().is_some_and(|extension| extension == "min")
                || !lock(shared).shown.insert(input.clone())
            {
                continue;
            }
            let reason = crash::reason(self.state, target, self.limits, input)?.unwrap_or_default();
            println!("{}: {reason}\n    {}", target.name, input.display());
            if let Some(small) = crash::minimise(self.state, target, self.limits, input)? {
                println!("    {}", small.display());
            }
        }
        if !failing.is_empty() {
            lock(shared).schedule.exclude(index);
        }
        Ok(!failing.is_empty())
    }

    /// Thins out what the run has grown.
    pub(crate) fn thin_out(&self) -> Result<()> {
        for target in self.targets {
            let corpus = self.state.folder("corpus", target)?;
            if !files(&corpus).is_empty() && !self.is_asked_to_stop() {
                crash::thin_out(self.workspace, self.state, target)?;
            }
        }
        Ok(())
    }
}

fn lock<'a>(shared: &'a Mutex<Shared>) -> MutexGuard<'a, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
