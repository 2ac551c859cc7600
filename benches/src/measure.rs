//! Running a command and knowing what it cost.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// What one run cost, all its processes together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Seconds by the clock.
    pub wall: f64,
    /// Seconds of processors, user and system.
    pub cpu: f64,
    /// The largest resident size of any of its processes, in KiB.
    pub memory: f64,
}

/// Runs a line of shell under GNU time, which waits for it and reads its resource usage: nothing of ours is between
/// the two contestants and the clock.
pub(crate) fn shell(line: &str, scratch: &Path) -> Result<Cost, Box<dyn Error>> {
    let report = scratch.join("time.txt");
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%e %U %S %M", "-o"])
        .args([report.as_os_str(), OsStr::new("sh"), OsStr::new("-ec"), OsStr::new(line)])
        .env("LC_ALL", "C.UTF-8")
        .output()
        .map_err(|error| format!("/usr/bin/time: {error} (apt install time)"))?;
    if !output.status.success() {
        return Err(format!("{line}\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = std::fs::read_to_string(&report)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [wall, user, system, memory] = numbers[..] else {
        return Err(format!("time printed {text:?}").into());
    };
    Ok(Cost { wall, cpu: user + system, memory })
}

/// The median of each number.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    let of = |number: fn(&Cost) -> f64| {
        let mut numbers: Vec<f64> = costs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Cost { wall: of(|cost| cost.wall), cpu: of(|cost| cost.cpu), memory: of(|cost| cost.memory) }
}

/// First line of what a command prints, for the record of versions.
pub(crate) fn version(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else {
        return format!("{program}: not found");
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("?")
        .trim()
        .to_owned()
}

/// The processor and memory of this machine.
pub(crate) fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} threads, {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal")
    )
}
