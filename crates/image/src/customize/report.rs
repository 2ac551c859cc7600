//! What was done to an image, for people and for `--json`. Nothing in it is secret.

use hive::reg::Applied;
use serde::Serialize;

use crate::drivers::DriverReport;
use crate::registry::HiveChange;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Packages, in the order in which they were taken.
    pub packages: Vec<PackageReport>,
    /// Driver packages that were put into the image.
    pub drivers: Vec<DriverReport>,
    /// Files and folders that were copied from the host.
    pub copies: Vec<CopyReport>,
    /// What the first boot was told, a line each.
    pub first_boot: Vec<String>,
    /// Changes to the registry, by hive.
    pub registry: Vec<HiveReport>,
    /// Files of the image that hold secrets.
    pub secrets: Vec<SecretReport>,
    /// The certificate for WinRM over HTTPS.
    pub certificate: Option<CertificateReport>,
}

impl Report {
    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackageReport {
    /// Its file.
    pub path: String,
    /// `name~token~architecture~language~version`, if it says.
    pub identity: Option<String>,
    /// How it was installed: `drivers`, `applied`, `installed at the first boot`, `installed already`.
    pub way: &'static str,
    /// Why not another way.
    pub why: Vec<String>,
    /// Its drivers.
    pub details: Vec<String>,
    /// Files that were written.
    pub files: u64,
}

/// One `--copy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CopyReport {
    /// Where from.
    pub from: String,
    /// Where to, in the image.
    pub to: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A hive that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HiveReport {
    /// `SYSTEM`.
    pub hive: &'static str,
    /// Keys that were made.
    pub keys_created: u64,
    /// Keys that were deleted.
    pub keys_deleted: u64,
    /// Values that were set.
    pub values_set: u64,
    /// Values that were deleted.
    pub values_deleted: u64,
    /// Who wanted it.
    pub by: Vec<String>,
    /// Keys with another content than the image's, for a start; `explain` shows them.
    #[serde(skip)]
    pub keys: Vec<picture::ChangedKey>,
    /// How many there are besides.
    #[serde(skip)]
    pub more_keys: u64,
}

impl HiveReport {
    pub(crate) fn of(change: &HiveChange) -> Self {
        let Applied { keys_created, keys_deleted, values_set, values_deleted, .. } = change.applied;
        Self {
            hive: change.hive.name(),
            keys_created,
            keys_deleted,
            values_set,
            values_deleted,
            by: change.by.clone(),
            keys: change.keys.clone(),
            more_keys: change.more_keys,
        }
    }
}

/// A file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SecretReport {
    /// Its path.
    pub path: String,
    /// What of it is secret.
    pub what: String,
    /// Until when it is there.
    pub until: String,
}

/// A certificate that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CertificateReport {
    /// The name it is for.
    pub subject: String,
    /// Its SHA-1, in hexadecimal.
    pub thumbprint: String,
    /// Where it was written, as PEM.
    pub certificate: String,
    /// Where its key is.
    pub key: String,
    /// Whether the key was made by this build.
    pub new_key: bool,
}
