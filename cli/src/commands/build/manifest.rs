//! `--manifest`: what a disk was made of, beside the disk. With the inputs and this, anybody can make it again and see
//! that it is the same.
//!
//! What holds secrets is named and not hashed: a password can be guessed from a hash.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use image::{PartialFile, RecipeFile, Summary};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::args::Build;

/// Something that went into a disk.
#[derive(Debug, Serialize)]
pub(super) struct Input {
    /// The option that named it.
    option: &'static str,
    path: String,
    /// Bytes, of a folder of all files in it.
    size: Option<u64>,
    /// Of a folder, over the paths and hashes of its files.
    sha256: Option<String>,
}

/// The inputs, read before the build: what changes meanwhile shows in the output's hash.
pub(super) fn inputs(args: &Build, file: &RecipeFile) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut add = |option, path: &Path| -> anyhow::Result<()> {
        let mut tree = Tree::default();
        tree.add(path, Path::new(""))?;
        let path = path.display().to_string();
        inputs.push(Input { option, path, size: Some(tree.size), sha256: Some(tree.finish()) });
        Ok(())
    };
    for (option, path) in
        [("recipe", &args.recipe), ("source", &file.source), ("setup-complete", &file.setup_complete)]
    {
        if let Some(path) = path {
            add(option, path)?;
        }
    }
    for (option, paths) in
        [("driver", &file.driver), ("package", &file.package), ("reg", &file.reg), ("ssh-key", &file.ssh_key)]
    {
        paths.iter().try_for_each(|path| add(option, path))?;
    }
    for hive in &file.hive {
        add("hive", &hive.value.file)?;
    }
    for copy in &file.copy {
        add("copy", &copy.value.from)?;
    }
    let accounts = file.account.iter().filter_map(|account| account.password_file.as_ref());
    let secrets = [
        ("admin-password-file", &file.admin_password_file),
        ("domain-blob", &file.domain_blob),
        ("unattend", &file.unattend),
        ("winrm-key", &file.winrm_key),
    ];
    let named = secrets.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?)));
    for (option, path) in named.chain(accounts.map(|path| ("password-file", path))) {
        inputs.push(Input { option, path: path.display().to_string(), size: None, sha256: None });
    }
    Ok(inputs)
}

/// Where the manifest is written: beside the output.
pub(super) fn path(file: &RecipeFile) -> PathBuf {
    let mut name = file.output.clone().unwrap_or_default().into_os_string();
    name.push(".json");
    name.into()
}

/// Writes the manifest.
pub(super) fn write(
    file: &RecipeFile,
    inputs: Vec<Input>,
    summary: &Summary,
    force: bool,
) -> anyhow::Result<()> {
    let output = file.output.clone().unwrap_or_default();
    let mut tree = Tree::default();
    tree.add(&output, Path::new(""))?;
    let value = serde_json::json!({
        "schema": "wimforge.manifest/1",
        "wimforge": env!("CARGO_PKG_VERSION"),
        "recipe": super::as_json(file)?,
        "inputs": inputs,
        "output": {
            "path": output.to_string_lossy(),
            "size": tree.size,
            "sha256": tree.finish(),
        },
        "build": summary,
    });
    let text = serde_json::to_string_pretty(&value)? + "\n";
    let path = path(file);
    let partial = PartialFile::create(&path, force)?;
    partial.file()?.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    Ok(partial.commit()?)
}

/// The hash of a file, or of all files of a folder.
#[derive(Default)]
struct Tree {
    size: u64,
    /// Of the only file.
    single: Option<String>,
    files: Sha256,
}

impl Tree {
    fn add(&mut self, path: &Path, inside: &Path) -> anyhow::Result<()> {
        let reading = || format!("reading {}", path.display());
        let metadata = fs::metadata(path).with_context(reading)?;
        if metadata.is_dir() {
            let entries = fs::read_dir(path).with_context(reading)?;
            let mut names =
                entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
            names.sort();
            return names.iter().try_for_each(|name| self.add(&path.join(name), &inside.join(name)));
        }
        let mut file = File::open(path).with_context(reading)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            let len = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).with_context(reading),
            };
            hash.update(&piece[..len]);
            self.size += len as u64;
        }
        let digest = disk::hex(&hash.finalize());
        self.files.update(format!("{digest}  {}\n", inside.display()));
        self.single = inside.as_os_str().is_empty().then_some(digest);
        Ok(())
    }

    fn finish(self) -> String {
        let Self { single, files, .. } = self;
        single.unwrap_or_else(|| disk::hex(&files.finalize()))
    }
}
