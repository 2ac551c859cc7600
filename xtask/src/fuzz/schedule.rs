//! Who is next: every target gets a first slice of the same length; after that, whoever found most in the time of its last
//! slice. First slices begin with those that had the least time in runs before, so that short runs leave nobody out.
//!
//! A target that finds nothing any more has been seen to find nothing for a slice, so time is better spent on the others.
//! When none finds anything, they take turns.

use std::time::Duration;

/// The part of a run's time that first slices take.
const FIRST_PART: u32 = 2;
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
struct Candidate {
    /// Of all runs.
    time: Duration,
    /// Features a second of the last slice.
    rate: f64,
    slices: u32,
    busy: bool,
    excluded: bool,
}

#[derive(Debug)]
pub(crate) struct Schedule {
    candidates: Vec<Candidate>,
    slice: Duration,
    /// What is neither spent nor given to a slice that is running.
    left: Duration,
}

/// A slice to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) target: usize,
    pub(crate) time: Duration,
}

impl Schedule {
    /// For `targets` targets, with `budget` for the whole run.
    pub(crate) fn new(targets: usize, budget: Duration) -> Self {
        let count = u32::try_from(targets.max(1)).unwrap_or(u32::MAX);
        let slice = (budget / FIRST_PART / count).clamp(SHORTEST, LONGEST);
        let candidates = (0..targets).map(|_| Candidate::default()).collect();
        Self { candidates, slice, left: budget }
    }

    /// A slice that was run before an interruption.
    pub(crate) fn remember(&mut self, target: usize, time: Duration, found: u64) {
        self.left = self.left.saturating_sub(time);
        self.account(target, time, found);
    }

    /// A slice of another run.
    pub(crate) fn recall(&mut self, target: usize, time: Duration) {
        self.candidates[target].time += time;
    }

    /// No more slices for a target: it fails, and would only fail again.
    pub(crate) fn exclude(&mut self, target: usize) {
        self.candidates[target].excluded = true;
    }

    /// The next slice, if there is time left and a target that is not running.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        if self.left < Duration::from_secs(1) {
            return None;
        }
        let free = self
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| !candidate.busy && !candidate.excluded);
        let (target, _) = free.min_by(|(_, a), (_, b)| {
            let first = (a.slices > 0).cmp(&(b.slices > 0));
            first.then(b.rate.total_cmp(&a.rate)).then(a.time.cmp(&b.time))
        })?;
        let time = self.slice.min(self.left);
        self.left -= time;
        self.candidates[target].busy = true;
        Some(Turn { target, time })
    }

    /// Whether nothing is to be done, and nothing is being done.
    pub(crate) fn is_over(&self) -> bool {
        !self.candidates.iter().any(|candidate| candidate.busy)
            && (self.left < Duration::from_secs(1)
                || self.candidates.iter().all(|candidate| candidate.excluded))
    }

    /// A slice has ended.
    pub(crate) fn done(&mut self, turn: Turn, time: Duration, found: u64) {
        self.candidates[turn.target].busy = false;
        self.left = (self.left + turn.time).saturating_sub(time);
        self.account(turn.target, time, found);
    }

    fn account(&mut self, target: usize, time: Duration, found: u64) {
        let candidate = &mut self.candidates[target];
        candidate.slices += 1;
        candidate.time += time;
        candidate.rate = found as f64 / time.as_secs_f64().max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn all_come_first_and_then_those_that_find() {
        let mut schedule = Schedule::new(3, 120 * S);
        let mut order = Vec::new();
        while let Some(turn) = schedule.next() {
            order.push(turn.target);
            let found = if turn.target == 1 { 100 } else { 0 };
            schedule.done(turn, turn.time, found);
        }
        assert_eq!(order, [0, 1, 2, 1, 1, 1]);
        assert!(schedule.is_over());
    }

    #[test]
    fn they_take_turns_when_none_finds_anything() {
        let mut schedule = Schedule::new(3, 120 * S);
        let mut order = Vec::new();
        while let Some(turn) = schedule.next() {
            order.push(turn.target);
            schedule.done(turn, turn.time, 0);
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn who_had_little_in_runs_before_comes_first() {
        let mut schedule = Schedule::new(3, 60 * S);
        schedule.recall(0, 20 * S);
        schedule.recall(1, 10 * S);
        let mut order = Vec::new();
        while let Some(turn) = schedule.next() {
            order.push(turn.target);
            schedule.done(turn, turn.time, 0);
        }
        assert_eq!(order, [2, 1, 0, 2, 1, 2]);
    }

    #[test]
    fn time_is_spent_once_and_what_was_spent_before_counts() {
        let mut schedule = Schedule::new(2, 40 * S);
        schedule.remember(0, 10 * S, 0);
        let first = schedule.next().expect("the one without a slice");
        assert_eq!(first, Turn { target: 1, time: 10 * S });
        let second = schedule.next().expect("the other, meanwhile");
        assert_eq!(second, Turn { target: 0, time: 10 * S });
        assert_eq!(schedule.next(), None);
        assert!(!schedule.is_over());
        // It took less than it was given.
        schedule.done(second, 4 * S, 0);
        schedule.done(first, 10 * S, 0);
        assert_eq!(schedule.next(), Some(Turn { target: 1, time: 10 * S }));
        schedule.exclude(0);
        schedule.done(Turn { target: 1, time: 10 * S }, 10 * S, 0);
        let last = schedule.next().expect("what is left");
        assert_eq!(last, Turn { target: 1, time: 6 * S });
        schedule.done(last, 7 * S, 0);
        assert!(schedule.is_over() && schedule.next().is_none());
    }
}
