//! What a Windows would take of a driver source, and what it would refuse. Nothing is changed.

use driver::catalog::Verdict;
use driver::catalog::trust::Trusted;
use driver::find::{Fit, find};
use driver::{Inbox, Package, Target};

use super::DriverSource;
use crate::{Error, Result};

/// An INF file of a source.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examined {
    /// Its path in the source.
    pub inf: String,
    /// The package, when it is for this Windows and can be read; or why not.
    pub package: Result<Package, String>,
    /// Whether it would be taken, were it good: it is for this Windows, and no other of the source is better.
    pub is_wanted: bool,
}

impl Examined {
    /// Why it is refused although it is wanted; none for a package that is passed over. Without a good signature it is
    /// accepted when `allow_unsigned` says so.
    pub fn obstacles(&self, allow_unsigned: bool) -> Vec<String> {
        match &self.package {
            _ if !self.is_wanted => Vec::new(),
            Err(reason) => vec![reason.clone()],
            Ok(package) => {
                let mut obstacles = package.problems.clone();
                if !allow_unsigned {
                    obstacles.extend(package.catalog_problems.clone());
                    if !matches!(package.verdict, Verdict::Signed(_)) && package.catalog_problems.is_empty() {
                        obstacles.push(package.verdict.to_string());
                    }
                }
                obstacles
            }
        }
    }
}

/// What is in a source, for a Windows.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination<'s> {
    /// The source.
    pub source: &'s DriverSource,
    /// Its INF files that are about drivers, by path.
    pub infs: Vec<Examined>,
}

/// Looks at all INF files of a source.
///
/// # Errors
/// [`Error::Driver`] when the source cannot be read. A package that is damaged is one that is refused.
pub fn examine<'s>(
    source: &'s DriverSource,
    target: &Target,
    inbox: &dyn Inbox,
    trusted: &Trusted,
) -> Result<Examination<'s>> {
    let failed = |error| Error::Driver { path: source.path().to_owned(), source: Box::new(error) };
    let mut infs = Vec::new();
    for found in find(&source.searched(), target).map_err(failed)? {
        let (package, is_wanted) = match found.fit {
            Fit::Taken => {
                let catalogs = source.catalogs(&found.path);
                let loaded = Package::load_with(source.tree(), &found.path, target, inbox, trusted, catalogs);
                (loaded.map_err(|error| error.to_string()), true)
            }
            Fit::NotForTarget(reason) => (Err(reason), false),
            Fit::Instead(path) => (Err(format!("{path} is taken instead")), false),
            Fit::Unreadable(reason) => (Err(reason), true),
        };
        infs.push(Examined { inf: found.path, package, is_wanted });
    }
    Ok(Examination { source, infs })
}
