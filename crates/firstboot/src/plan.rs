//! From wishes to changes.

use hive::Key;
use hive::reg::Operation;

use crate::{About, Result, Wishes};

/// What is to be changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files to write, in place of those that are there. Their folders are made.
    pub files: Vec<File>,
    /// Changes to SYSTEM and SOFTWARE, with paths as [`hive::paths`] reads them.
    pub registry: Vec<Operation>,
    /// The files of the image that hold secrets, and how long.
    pub secrets: Vec<SecretFile>,
    /// What will not work, or needs to be known. No secrets.
    pub notes: Vec<String>,
    /// What was done, a line each. No secrets.
    pub report: Vec<String>,
}

/// A file of the image.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its path from the root of the Windows volume, with backslashes.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
    /// Who may read it.
    pub protection: Protection,
    /// Whether its content must not be shown.
    pub holds_secret: bool,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Whoever may read other files of its folder.
    Inherit,
    /// SYSTEM and the administrators, nobody else; nothing is inherited.
    SystemAndAdministrators,
}

/// A file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Its path.
    pub path: String,
    /// What of it is secret.
    pub what: String,
    /// Until when it is there.
    pub until: String,
}

/// What `wishes` mean for the image `about`, whose SYSTEM and, where it is at hand, SOFTWARE hives are given by their
/// roots.
///
/// # Errors
/// Any [`Error`](crate::Error); none of them shows a secret.
pub fn plan(wishes: &Wishes, about: &About, system: &Key, software: Option<&Key>) -> Result<Plan> {
    let _ = (wishes, about, system, software);
    Ok(Plan::default())
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("files", &self.files)
            .field("registry", &self.registry.len())
            .field("secrets", &self.secrets)
            .field("notes", &self.notes)
            .field("report", &self.report)
            .finish()
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .field("protection", &self.protection)
            .field("holds_secret", &self.holds_secret)
            .finish()
    }
}
