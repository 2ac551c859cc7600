//! Where a campaign keeps what outlives a run: a folder that is not committed.
//!
//! `none/` and `address/` are cargo's own folders of the two builds. `bin/` holds copies of the programs, so that building
//! again does not disturb a run. `corpus/` grows; `crashes/` holds what has to be mended, `mended/` what was;
//! `logs/` what each target said last; `ledger.tsv` every slice ever run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::targets::{Build, Target};

#[derive(Debug, Clone)]
pub(crate) struct State {
    root: PathBuf,
}

/// Kept while a campaign runs: two of them would write each other's ledger.
#[derive(Debug)]
pub(crate) struct Claim {
    _file: File,
}

impl State {
    pub(crate) fn new(root: Option<PathBuf>, workspace: &Path) -> Result<Self> {
        let root = root.unwrap_or_else(|| workspace.join("fuzz/target"));
        fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        Ok(Self { root: fs::canonicalize(&root).with_context(|| root.display().to_string())? })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What cargo builds into.
    pub(crate) fn build(&self, build: Build) -> PathBuf {
        self.root.join(build.to_string())
    }

    pub(crate) fn program(&self, target: &Target) -> PathBuf {
        self.root.join("bin").join(&target.name)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger.tsv")
    }

    pub(crate) fn log(&self, target: &Target) -> PathBuf {
        self.root.join("logs").join(format!("{}.log", target.name))
    }

    /// A file that asks a running campaign to end.
    pub(crate) fn stop(&self) -> PathBuf {
        self.root.join("stop")
    }

    /// The folder `kind` of a target, which is made if need be.
    pub(crate) fn folder(&self, kind: &str, target: &Target) -> Result<PathBuf> {
        let path = self.root.join(kind).join(&target.name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    pub(crate) fn claim(&self) -> Result<Claim> {
        let path = self.root.join("running");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        if rustix::fs::flock(&file, lock).is_err() {
            bail!("{}: a campaign runs here already; `cargo xtask fuzz stop` ends it", self.root.display());
        }
        Ok(Claim { _file: file })
    }
}

/// The files of a folder, by name; none if there is no folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// How many files a folder holds, and how many bytes.
pub(crate) fn extent(folder: &Path) -> (u64, u64) {
    let sizes = files(folder).into_iter().map(|path| path.metadata().map_or(0, |metadata| metadata.len()));
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}
