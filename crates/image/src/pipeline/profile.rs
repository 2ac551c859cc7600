//! Where the time goes, by thread and stage.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::lock;

/// What a thread can be busy with, or wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Opens the source and reads its metadata.
    Metadata,
    /// Lays out the disk.
    Plan,
    /// Opens the output.
    Open,
    /// Waits for a unit: others are ahead by as much as memory allows, or there are none left.
    WaitForUnit,
    /// Reads blobs and decodes them.
    Decode,
    /// Makes what file systems consist of besides file data.
    Render,
    /// Hashes blobs.
    Hash,
    /// Waits for the part of a blob before this one to be hashed.
    WaitToHash,
    /// Encodes units for the container.
    Encode,
    /// Writes to the output.
    Write,
    /// Waits for the next unit in order.
    WaitToWrite,
    /// Flushes the output to the disk and gives it its name.
    Sync,
}

impl Stage {
    const COUNT: usize = Self::Sync as usize + 1;
    const ALL: [Self; Self::COUNT] = [
        Self::Metadata,
        Self::Plan,
        Self::Open,
        Self::WaitForUnit,
        Self::Decode,
        Self::Render,
        Self::Hash,
        Self::WaitToHash,
        Self::Encode,
        Self::Write,
        Self::WaitToWrite,
        Self::Sync,
    ];

    /// Its name, as a table shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "read metadata",
            Self::Plan => "plan",
            Self::Open => "open output",
            Self::WaitForUnit => "wait for a unit",
            Self::Decode => "read, decode",
            Self::Render => "render",
            Self::Hash => "hash",
            Self::WaitToHash => "wait to hash",
            Self::Encode => "encode",
            Self::Write => "write",
            Self::WaitToWrite => "wait to write",
            Self::Sync => "sync",
        }
    }
}

/// What one thread did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ThreadProfile {
    /// `main`, or `worker`.
    pub thread: &'static str,
    /// Seconds by stage, in the order of [`Stage`]; stages that took no time are left out.
    pub seconds: Vec<(Stage, f64)>,
}

/// Collects where the time of a build goes. It costs two readings of the clock for each piece of the disk.
#[derive(Debug, Default)]
pub struct Profile {
    threads: Mutex<Vec<ThreadProfile>>,
}

impl Profile {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What all threads did, the main thread first.
    pub fn threads(&self) -> Vec<ThreadProfile> {
        let mut threads = lock(&self.threads).clone();
        threads.sort_by_key(|thread| thread.thread != "main");
        threads
    }
}

/// Measures one thread; adds to its profile when dropped.
pub(crate) struct Stopwatch<'p> {
    profile: Option<(&'p Profile, Instant)>,
    thread: &'static str,
    spent: [Duration; Stage::COUNT],
}

impl<'p> Stopwatch<'p> {
    pub(crate) fn start(profile: Option<&'p Profile>, thread: &'static str) -> Self {
        let profile = profile.map(|profile| (profile, Instant::now()));
        Self { profile, thread, spent: [Duration::ZERO; Stage::COUNT] }
    }

    /// The time since the last call went into this.
    pub(crate) fn lap(&mut self, stage: Stage) {
        if let Some((_, last)) = &mut self.profile {
            let now = Instant::now();
            self.spent[stage as usize] += now - std::mem::replace(last, now);
        }
    }
}

impl Drop for Stopwatch<'_> {
    fn drop(&mut self) {
        let Some((profile, _)) = self.profile else { return };
        let mut threads = lock(&profile.threads);
        // The main thread has several stopwatches, one after the other.
        let index = threads.iter().position(|thread| self.thread == "main" && thread.thread == "main");
        let index = index.unwrap_or_else(|| {
            threads.push(ThreadProfile { thread: self.thread, seconds: Vec::new() });
            threads.len() - 1
        });
        let seconds = &mut threads[index].seconds;
        for (stage, spent) in Stage::ALL.into_iter().zip(self.spent).filter(|(_, spent)| !spent.is_zero()) {
            match seconds.iter_mut().find(|(there, _)| *there == stage) {
                Some((_, sum)) => *sum += spent.as_secs_f64(),
                None => seconds.push((stage, spent.as_secs_f64())),
            }
        }
        seconds.sort_by_key(|(stage, _)| *stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_has_its_line_and_the_main_thread_one() {
        let profile = Profile::new();
        for (thread, stage) in
            [("worker", Stage::Decode), ("main", Stage::Sync), ("worker", Stage::Hash), ("main", Stage::Plan)]
        {
            let mut stopwatch = Stopwatch::start(Some(&profile), thread);
            std::thread::sleep(Duration::from_millis(1));
            stopwatch.lap(stage);
        }
        Stopwatch::start(None, "worker").lap(Stage::Encode);
        let threads = profile.threads();
        assert_eq!(
            threads.iter().map(|thread| thread.thread).collect::<Vec<_>>(),
            ["main", "worker", "worker"]
        );
        let stages: Vec<Stage> = threads[0].seconds.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(stages, [Stage::Plan, Stage::Sync]);
        assert!(threads[1].seconds[0].1 > 0.0);
    }

    #[test]
    fn stages_are_complete() {
        for (index, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
        }
    }
}
