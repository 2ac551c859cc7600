//! How far the work is: a bar on a terminal, a line now and then elsewhere. The work only counts; this looks.

use std::io::IsTerminal;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::say;

/// Where the work is: done and total, in bytes.
pub(crate) type Poll<'a> = &'a (dyn Fn() -> (u64, u64) + Sync);

/// Runs `work` while showing what `poll` says.
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

struct Stop<'a>(&'a (Mutex<bool>, Condvar));

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }
}

fn show(what: &str, poll: Poll<'_>, finished: &(Mutex<bool>, Condvar)) {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(
        Some(0),
        if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    let started = Instant::now();
    let mut next_line = Duration::from_secs(5);
    let mut done = finished.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    while !*done {
        let step = Duration::from_millis(100);
        done = finished.1.wait_timeout(done, step).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        let (now, total) = poll();
        bar.set_length(total);
        bar.set_position(now);
        if !terminal && total > 0 && started.elapsed() >= next_line {
            let percent = now as f64 / total as f64 * 100.0;
            say(&format!("{what}: {percent:.0}% after {} s", started.elapsed().as_secs()));
            next_line += Duration::from_secs(10);
        }
    }
    bar.finish_and_clear();
}
