//! Running commands and knowing what they cost.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

/// What one run cost, all its processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Seconds by the clock.
    pub wall: f64,
    /// Seconds of processors, user and system.
    pub cpu: f64,
    /// The largest resident size of any of its processes, in KiB.
    pub memory: f64,
}

/// A run of several steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// From the start of the first step to the end of the last.
    pub whole: Cost,
    /// Each step alone.
    pub steps: Vec<Cost>,
    /// Seconds of processors that others used meanwhile: other programs, the kernel's own threads (which write pages back
    /// to the disk), and the hypervisor (stolen time).
    pub others: f64,
}

const FORMAT: &str = "%e %U %S %M";
const TIME: &str = "/usr/bin/time";

/// Runs a line of shell under GNU time, which waits for it and reads its resource usage. Its clock has only hundredths of
/// a second, so the seconds are ours, from before it starts to after it ended.
pub(crate) fn shell(line: &str, scratch: &Path) -> Result<Cost, Box<dyn Error>> {
    let report = scratch.join("time.txt");
    let mut command = Command::new(TIME);
    command
        .args(["-f", FORMAT, "-o"])
        .args([report.as_os_str(), OsStr::new("sh"), OsStr::new("-ec"), OsStr::new(line)])
        .env("LC_ALL", "C.UTF-8");
    let start = Instant::now();
    let output = command.output().map_err(|error| format!("{TIME}: {error} (apt install time)"))?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{line}\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Cost { wall, ..parse(&std::fs::read_to_string(&report)?)? })
}

fn parse(text: &str) -> Result<Cost, Box<dyn Error>> {
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [wall, user, system, memory] = numbers[..] else {
        return Err(format!("time printed {text:?}").into());
    };
    Ok(Cost { wall, cpu: user + system, memory })
}

/// Runs `lines` one after another as one shell program, each step and the whole under GNU time. What was written before
/// is on the disk when it starts: nobody pays for the writing of the one before.
pub(crate) fn steps(lines: &[String], scratch: &Path) -> Result<Run, Box<dyn Error>> {
    settle()?;
    let reports: Vec<_> = (0..lines.len()).map(|step| scratch.join(format!("time-{step}.txt"))).collect();
    let program: Vec<String> = lines
        .iter()
        .zip(&reports)
        .map(|(line, report)| {
            format!("{TIME} -f '{FORMAT}' -o {} sh -ec {}", quote(report), quote_text(line))
        })
        .collect();
    let before = processors()?;
    let whole = match &program[..] {
        // Without a second clock around the only step.
        [_] => shell(&lines[0], scratch)?,
        _ => shell(&program.join("; "), scratch)?,
    };
    let others = (processors()? - before - whole.cpu).max(0.0);
    let steps = match &program[..] {
        [_] => vec![whole],
        _ => reports
            .iter()
            .map(|report| parse(&std::fs::read_to_string(report)?))
            .collect::<Result<_, Box<dyn Error>>>()?,
    };
    Ok(Run { whole, steps, others })
}

/// Everything that was written is on the disk.
pub(crate) fn settle() -> Result<(), Box<dyn Error>> {
    if Command::new("sync").status()?.success() { Ok(()) } else { Err("sync failed".into()) }
}

/// Seconds that all processors together were busy since the start of the machine, including what the hypervisor took.
fn processors() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    // user nice system idle iowait irq softirq steal
    let ticks: Vec<f64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let busy: f64 = ticks.iter().take(8).sum::<f64>() - ticks.iter().skip(3).take(2).sum::<f64>();
    // USER_HZ, which is 100 on every Linux that this runs on.
    Ok(busy / 100.0)
}

/// The middle of some numbers; the mean of the two in the middle when they are even in number.
pub(crate) fn middle(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        count => f64::midpoint(numbers[(count - 1) / 2], numbers[count / 2]),
    }
}

/// The median of each number.
pub(crate) fn median(costs: &[Cost]) -> Cost {
    let of = |number: fn(&Cost) -> f64| middle(costs.iter().map(number));
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

fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or_else(|| "?".to_owned(), |(_, value)| value.trim().to_owned())
}

/// How many processors there are.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor and memory of this machine.
pub(crate) fn machine() -> String {
    format!(
        "{}, {} threads, {}",
        field("/proc/cpuinfo", "model name"),
        threads(),
        field("/proc/meminfo", "MemTotal")
    )
}

/// The file system of `place`, as `df` names it, and the kernel.
pub(crate) fn file_system(place: &Path) -> String {
    let output = Command::new("df").arg("--output=fstype").arg(place).output();
    let kind = output.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().nth(1).map(|line| line.trim().to_owned())
    });
    format!("{}, Linux {}", kind.unwrap_or_else(|| "?".to_owned()), version("uname", &["-r"]))
}

/// The commit that is measured, with a `+` when something of it was changed since.
pub(crate) fn commit() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&root).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "?".to_owned() };
    let changed =
        ["status", "--porcelain", "--untracked-files=no", "--", "crates", "cli", "Cargo.lock", "Cargo.toml"];
    let clean = git(&changed).is_some_and(|text| text.is_empty());
    if clean { commit } else { commit + "+" }
}

/// All that a reader of a result has to know about where it comes from.
pub(crate) fn circumstances(wimforge: &Path, place: &Path) -> Value {
    json!({
        "date": version("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
        "machine": machine(),
        "file_system": file_system(place),
        "load": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "commit": commit(),
        "wimforge": version(&wimforge.display().to_string(), &["--version"]),
        // The commit is that of the tree, and a program may be given that was built of another.
        "wimforge_sha256": digest(wimforge).unwrap_or_else(|error| error.to_string()),
        "wimlib": version("wimlib-imagex", &["--version"]),
        "ntfs-3g": version("mkntfs", &["--version"]),
        "qemu": version("qemu-img", &["--version"]),
    })
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn digest(file: &Path) -> Result<String, Box<dyn Error>> {
    let output = Command::new("sha256sum").arg("--").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.split_whitespace().next() {
        Some(digest) if output.status.success() => Ok(digest.trim_start_matches('\\').to_owned()),
        _ => Err(format!("sha256sum {}: {}", file.display(), String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// A path for a shell.
pub(crate) fn quote(path: &Path) -> String {
    quote_text(&path.display().to_string())
}

fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_even_and_odd() {
        assert_eq!(middle([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(middle([7.0]), 7.0);
        assert!(middle([]).is_nan());
    }

    #[test]
    fn steps_add_up_and_quotes_survive() {
        if !Path::new(TIME).exists() {
            testkit::skip("needs GNU time (apt install time)");
            return;
        }
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let file = scratch.path().join("it's here");
        let lines = [format!("echo \"it's\" > {}; sleep 0.2", quote(&file)), "sleep 0.1".to_owned()];
        let run = steps(&lines, scratch.path()).expect("runs");
        assert_eq!(std::fs::read_to_string(&file).expect("was written"), "it's\n");
        assert_eq!(run.steps.len(), 2);
        let sum: f64 = run.steps.iter().map(|step| step.wall).sum();
        assert!(sum >= 0.3 && run.whole.wall >= sum - 0.02, "{run:?}");
        assert!(steps(&["exit 3".to_owned()], scratch.path()).is_err());
        assert!(steps(&["exit 3".to_owned(), "true".to_owned()], scratch.path()).is_err());
    }
}
