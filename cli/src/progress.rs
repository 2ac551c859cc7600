//! How far the work is: a bar on a terminal, a line now and then elsewhere. The work only counts; this looks.

use std::io::IsTerminal;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use picture::human;

use crate::report::say;

/// Where the work is: done and total, in bytes.
pub(crate) type Poll<'a> = &'a (dyn Fn() -> (u64, u64) + Sync);

/// Runs `work` while showing what `poll` says. A total of 0 is one that is not known (yet).
pub(crate) fn during<T>(what: &str, quiet: bool, poll: Poll<'_>, work: impl FnOnce() -> T) -> T {
    if quiet {
        return work();
    }
    let finished = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        let shown = scope.spawn(|| show(what, poll, &finished));
        // Dropped also when `work` panics: the scope would wait for the display forever.
        let stop = Stop(&finished);
        let result = work();
        drop(stop);
        let _ = shown.join();
        result
    })
}

/// Runs `work`, which cannot say how far it is, and shows that it goes on.
pub(crate) fn unmeasured<T>(what: &str, quiet: bool, work: impl FnOnce() -> T) -> T {
    during(what, quiet, &|| (0, 0), work)
}

struct Stop<'a>(&'a (Mutex<bool>, Condvar));

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}

fn show(what: &str, poll: Poll<'_>, finished: &(Mutex<bool>, Condvar)) {
    let terminal = draws();
    let bar = ProgressBar::with_draw_target(
        Some(0),
        if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    bar.set_style(style(UNKNOWN));
    bar.set_message(what.to_owned());
    let started = Instant::now();
    let mut next_line = FIRST_LINE;
    let mut known = false;
    let mut done = finished.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    while !*done {
        let step = Duration::from_millis(100);
        done = finished.1.wait_timeout(done, step).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        let (now, total) = poll();
        if total > 0 && !known {
            known = true;
            bar.set_style(style(KNOWN));
        }
        bar.set_length(total);
        bar.set_position(now);
        bar.tick();
        let elapsed = started.elapsed();
        if !terminal && elapsed >= next_line {
            say(&line(what, now, total, elapsed));
            next_line += BETWEEN_LINES;
        }
    }
    bar.finish_and_clear();
}

/// What is shown of work whose size is known. In 40 columns there is still room for a bar.
const KNOWN: &str = "{msg} {wide_bar} {percent:>3}% {binary_bytes_per_sec} {eta}";
/// Of work whose size is not known, or not yet.
const UNKNOWN: &str = "{msg} {spinner} {elapsed}";

/// Where no bar can be drawn: when the first line comes, and how far apart the others are.
const FIRST_LINE: Duration = Duration::from_secs(5);
const BETWEEN_LINES: Duration = Duration::from_secs(10);

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Whether standard error is a terminal that can go back to the beginning of a line.
fn draws() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A line of progress: `building: 42%, 120.0 MiB/s, about 12 s left`.
fn line(what: &str, now: u64, total: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let rate = now as f64 / elapsed.as_secs_f64().max(1e-9);
    if total == 0 {
        return match now {
            0 => format!("{what}: {seconds} s"),
            _ => format!("{what}: {} in {seconds} s, {}/s", human(now), human(rate as u64)),
        };
    }
    let percent = now as f64 / total as f64 * 100.0;
    let left = match rate {
        0.0 => String::new(),
        rate => format!(", about {:.0} s left", total.saturating_sub(now) as f64 / rate),
    };
    format!("{what}: {percent:.0}% after {seconds} s, {}/s{left}", human(rate as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_long_it_will_take() {
        let after = |seconds| Duration::from_secs(seconds);
        assert_eq!(
            line("building", 50 << 20, 200 << 20, after(5)),
            "building: 25% after 5 s, 10.0 MiB/s, about 15 s left"
        );
        assert_eq!(line("building", 0, 200, after(5)), "building: 0% after 5 s, 0 bytes/s");
        assert_eq!(line("extracting", 50 << 20, 0, after(5)), "extracting: 50.0 MiB in 5 s, 10.0 MiB/s");
        assert_eq!(line("checking", 0, 0, after(15)), "checking: 15 s");
    }
}
