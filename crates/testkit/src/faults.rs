//! Failures from outside: the n-th operation of a program on the files of a folder fails, comes short, or is the last one
//! that it does. What stands between the program and the files is `faults/shim.c`, compiled by the test and loaded with
//! `LD_PRELOAD`; the program has no part in it, so what is tried is what ships.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tool;

/// Kinds of operations, in the order of the shim's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// `read`, `pread`, `readv`, the reading side of `copy_file_range` and `sendfile`.
    Read,
    /// `write`, `pwrite`, `writev`, the other side.
    Write,
    /// `open`, `openat`.
    Open,
    /// `fsync`, `fdatasync`.
    Sync,
    /// `rename` and its kin.
    Rename,
    /// `ftruncate`, `fallocate`.
    Truncate,
    /// `stat` and its kin, `realpath`, `readlink`.
    Stat,
    /// `unlink`, `rmdir`.
    Unlink,
    /// `mkdir`, `link`, `symlink`.
    Make,
    /// `fcntl` that makes another descriptor.
    Dup,
    /// `chmod`, `fchown`, `utimensat` and their kin.
    Attributes,
    /// `opendir`, `readdir`.
    List,
    /// `lseek`.
    Seek,
}

impl Class {
    /// All, in the shim's order.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::Write,
        Self::Open,
        Self::Sync,
        Self::Rename,
        Self::Truncate,
        Self::Stat,
        Self::Unlink,
        Self::Make,
        Self::Dup,
        Self::Attributes,
        Self::List,
        Self::Seek,
    ];

    /// What the shim calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Open => "open",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Truncate => "truncate",
            Self::Stat => "stat",
            Self::Unlink => "unlink",
            Self::Make => "make",
            Self::Dup => "dup",
            Self::Attributes => "attributes",
            Self::List => "list",
            Self::Seek => "seek",
        }
    }
}

/// `EINTR`
pub const EINTR: i32 = 4;
/// `EIO`
pub const EIO: i32 = 5;
/// `EACCES`
pub const EACCES: i32 = 13;
/// `EMFILE`
pub const EMFILE: i32 = 24;
/// `ENOSPC`
pub const ENOSPC: i32 = 28;
/// `SIGINT`
pub const SIGINT: i32 = 2;
/// `SIGKILL`
pub const SIGKILL: i32 = 9;
/// `SIGTERM`
pub const SIGTERM: i32 = 15;

/// What becomes of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It fails with this number, once.
    Error(i32),
    /// It and all later ones of its class fail.
    ErrorFrom(i32),
    /// It and all later ones that need room fail with `ENOSPC`.
    Full,
    /// Half of what was asked for is done.
    Half,
    /// The process gets this signal before it.
    Signal(i32),
    /// The victim loses its second half before it.
    Shrink,
    /// The victim grows before it.
    Grow,
    /// The victim's bytes are written over before it.
    Scribble,
    /// The victim is replaced by another file before it.
    Swap,
}

impl Action {
    fn text(self) -> String {
        match self {
            Self::Error(number) => number.to_string(),
            Self::ErrorFrom(number) => format!("from{number}"),
            Self::Full => "full".to_owned(),
            Self::Half => "half".to_owned(),
            Self::Signal(number) => format!("signal{number}"),
            Self::Shrink => "shrink".to_owned(),
            Self::Grow => "grow".to_owned(),
            Self::Scribble => "scribble".to_owned(),
            Self::Swap => "swap".to_owned(),
        }
    }
}

/// What is to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which operations are counted, all of them if none.
    pub class: Option<Class>,
    /// At which of them, from 1.
    pub n: u64,
    /// What.
    pub action: Action,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.class.map_or("any", Class::name), self.n, self.action.text())
    }
}

/// What the shim saw of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    counts: [u64; 13],
    /// All operations.
    pub any: u64,
    /// How many got the fault.
    pub hits: u64,
    /// The first of those.
    pub hit: Option<(Class, PathBuf)>,
}

impl Seen {
    /// Operations of a class.
    pub fn count(&self, class: Class) -> u64 {
        self.counts[class as usize]
    }
}

/// The compiled shim.
#[derive(Debug)]
pub struct Shim {
    folder: TempDir,
}

/// Bytes of `struct state`: counts, all, hits, class, path.
const STATE: usize = 16 * 8 + 8 + 8 + 4 + 4096 + 4;

impl Shim {
    /// Compiles it. `None`, visibly, without a C compiler, and where there is no `LD_PRELOAD`.
    ///
    /// # Panics
    /// When it does not compile.
    pub fn new() -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            crate::skip_here("injects faults with LD_PRELOAD, which is for Linux with glibc");
            return None;
        }
        let cc = tool("cc")?;
        let folder = tempfile::tempdir().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/shim.c");
        let library = folder.path().join("shim.so");
        cc.run(crate::args![
            "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", &library, &source
        ]);
        Some(Self { folder })
    }

    /// The environment in which a program meets `fault` on files below `folder`, which has no symbolic links in its
    /// path. What is seen comes to the file `name`, which has to be another one for each run that goes on meanwhile.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn environment(
        &self,
        name: &str,
        folder: &Path,
        fault: Option<Fault>,
        victim: Option<(&Path, &Path)>,
    ) -> Vec<(&'static str, OsString)> {
        let state = self.state(name);
        std::fs::write(&state, [0; STATE]).expect("a temporary file");
        let mut environment = vec![
            ("LD_PRELOAD", self.folder.path().join("shim.so").into_os_string()),
            ("FAULTS_FOLDER", folder.into()),
            ("FAULTS_STATE", state.into_os_string()),
            ("FAULTS_PLAN", fault.map_or_else(String::new, |fault| fault.to_string()).into()),
        ];
        if let Some((victim, other)) = victim {
            environment.push(("FAULTS_VICTIM", victim.into()));
            environment.push(("FAULTS_ARGUMENT", other.into()));
        }
        environment
    }

    /// What was seen by the run of this name.
    ///
    /// # Panics
    /// Without such a run.
    pub fn seen(&self, name: &str) -> Seen {
        let bytes = std::fs::read(self.state(name)).expect("a run");
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let mut seen = Seen { any: word(128), hits: word(136), ..Seen::default() };
        for class in Class::ALL {
            seen.counts[class as usize] = word(8 * class as usize);
        }
        if seen.hits > 0 {
            let path = &bytes[148..148 + 4096];
            let path = &path[..path.iter().position(|&b| b == 0).unwrap_or(0)];
            let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
            seen.hit = Some((Class::ALL[bytes[144] as usize], path));
        }
        seen
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.state"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shim itself, on a program of another kind.
    #[test]
    fn operations_are_counted_and_fail() {
        let Some(shim) = Shim::new() else { return };
        let Some(cat) = tool("cat") else { return };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "content").unwrap();
        let run = |fault| {
            let environment = shim.environment("cat", folder.path(), fault, None);
            let output = cat.command().arg(&file).envs(environment).output().unwrap();
            (output, shim.seen("cat"))
        };
        let (output, seen) = run(None);
        assert_eq!(output.stdout, b"content");
        assert_eq!((seen.count(Class::Open), seen.count(Class::Write), seen.hits), (1, 0, 0));
        assert!(seen.count(Class::Read) >= 2 && seen.any > 2, "{seen:?}");

        let (output, seen) = run(Some(Fault { class: Some(Class::Read), n: 1, action: Action::Error(EIO) }));
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("Input/output error"));
        assert_eq!(seen.hit, Some((Class::Read, file.clone())));

        let (output, seen) =
            run(Some(Fault { class: Some(Class::Read), n: 1, action: Action::Signal(SIGKILL) }));
        assert!(output.status.code().is_none() && seen.hits == 1);

        let (output, seen) = run(Some(Fault { class: Some(Class::Read), n: 99, action: Action::Half }));
        assert!(output.status.success() && seen.hits == 0);
    }
}
