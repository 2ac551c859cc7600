//! Running the program, and what the tests share.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;
use testkit::wimfile::WimFile;
use testkit::{args, tool};

/// No command of these tests takes a tenth of it; what takes all of it hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Address space that is enough for every input here: 3 GiB, of which threads' stacks are much.
const ADDRESS_SPACE_KIB: u64 = 3 << 20;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wimforge");

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// The run succeeded.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// The run failed with one of `codes`, in words: one line that begins with `error: `, and no panic.
    #[track_caller]
    pub(crate) fn badly(self, codes: &[i32]) -> Self {
        assert!(self.code.is_some_and(|code| codes.contains(&code)), "{:?}: {}", self.code, self.stderr);
        assert!(self.stderr.lines().any(|line| line.starts_with("error: ")), "{}", self.stderr);
        assert!(
            !self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"),
            "{}",
            self.stderr
        );
        self
    }

    /// The run went well, and what it looked at is not as it should be: code 3, and no error.
    #[track_caller]
    pub(crate) fn differ(self) -> Self {
        assert_eq!(self.code, Some(3), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Standard error has all of these.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
        self
    }
}

/// Runs the program; it is stopped when it hangs.
#[track_caller]
pub(crate) fn wimforge<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    let output = Command::new(PROGRAM).args(args).timeout(PATIENCE).output().expect("the program runs");
    output.into()
}

/// Runs the program with little address space, and stops it when it hangs.
#[track_caller]
pub(crate) fn confined<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    shell(&format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$@\""), args)
}

/// Runs the program through a line of shell, in which it is `"$@"`.
#[track_caller]
pub(crate) fn shell<S: AsRef<OsStr>>(line: &str, args: impl IntoIterator<Item = S>) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh", PROGRAM]).args(args).timeout(PATIENCE);
    command.output().expect("a shell").into()
}

/// Builds `out` from `wim` with `options`.
#[track_caller]
pub(crate) fn build(wim: &Path, out: &Path, options: &[&str]) -> Ended {
    wimforge(args!["build", wim, "-o", out].into_iter().chain(options.iter().map(OsStr::new)))
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A directory for one test. Large, sparse files come here.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// `wim` as wimlib writes it with `codec`. `None`, visibly, without wimlib.
pub(crate) fn compressed(wim: &WimFile, codec: &str, scratch: &Path) -> Option<PathBuf> {
    let wimlib = tool("wimlib-imagex")?;
    let (plain, out) = (scratch.join("plain.wim"), scratch.join(format!("{codec}.wim")));
    wim.save(&plain);
    wimlib.run(args!["export", "--quiet", &plain, "all", &out, &format!("--compress={codec}")]);
    std::fs::remove_file(&plain).expect("was just made");
    Some(out)
}
