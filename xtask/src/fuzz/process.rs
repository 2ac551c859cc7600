//! Children whose processor time is measured: on a machine that does other things, too, the time on the wall says little
//! about how much was tried.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    #[cfg(not(target_os = "linux"))]
    started: std::time::Instant,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| command.get_program().display().to_string())?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            child,
            pid,
            #[cfg(not(target_os = "linux"))]
            started: std::time::Instant::now(),
        })
    }

    /// Whether it has ended. Its processor time can be asked for until it is waited for.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(rustix::process::waitid(WaitId::Pid(self.pid), options)?.is_some())
    }

    /// The processor time it has taken, in the kernel and outside of it.
    #[cfg(target_os = "linux")]
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero()))?;
        let ticks = ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1)))
    }

    /// Other systems have no such file; there it is the time on the wall.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        Ok(self.started.elapsed())
    }

    /// Asks it to end, as Ctrl-C does; libFuzzer then says how far it came.
    pub(crate) fn interrupt(&self) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process(self.pid, Signal::INT);
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub(crate) fn wait(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

/// User and system time of a line of `/proc/PID/stat`, whose second field is a name that may hold anything.
#[cfg(any(target_os = "linux", test))]
fn ticks(stat: &str) -> Option<u64> {
    let behind = &stat[stat.rfind(')')? + 1..];
    let mut fields = behind.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_no_field() {
        let stat = "7 (a) b) R 1 7 7 0 -1 4194304 100 0 0 0 250 31 9 9 20 0 1 0 12345 1 1";
        assert_eq!(ticks(stat), Some(281));
        assert_eq!(ticks("7 (a) R 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn work_is_measured_and_sleep_is_not() {
        let measure = |script: &str| {
            let process = Process::start(Command::new("sh").args(["-c", script])).expect("a shell");
            while !process.has_ended().expect("a child") {
                std::thread::sleep(Duration::from_millis(5));
            }
            let time = process.processor_time().expect("not waited for");
            assert!(process.wait().expect("a child").success());
            time
        };
        let idle = measure("sleep 0.3");
        let busy = measure("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done");
        assert!(busy > idle, "{busy:?} {idle:?}");
    }
}
