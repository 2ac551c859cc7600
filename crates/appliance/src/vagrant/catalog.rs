//! The catalog of a box: what a server gives to `vagrant box add <url>` so that machines can ask for newer versions.

use serde_json::json;

use super::{Provider, text};
use crate::machine::Machine;
use crate::{Error, Result};

/// A box at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted<'a> {
    /// The box's name, `owner/box`.
    pub name: &'a str,
    /// Its version: numbers with dots.
    pub version: &'a str,
    /// Where the box file is.
    pub url: &'a str,
    /// The box file's SHA-256.
    pub sha256: [u8; 32],
}

/// The catalog of one version with one provider.
///
/// # Errors
/// [`Error::Impossible`]: Vagrant would not take the version or the name.
pub fn catalog(machine: &Machine, provider: Provider, hosted: &Hosted<'_>) -> Result<String> {
    // What Gem::Version takes and cannot be misread.
    let number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    if !hosted.version.split('.').all(number) {
        let problem = format!("{:?} is no version of a box (expected numbers with dots)", hosted.version);
        return Err(Error::impossible(problem));
    }
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
    };
    if !(1..=2).contains(&hosted.name.split('/').count()) || !hosted.name.split('/').all(part) {
        let problem = format!("{:?} is no name of a box (expected name or owner/name)", hosted.name);
        return Err(Error::impossible(problem));
    }
    let checksum = disk::hex(&hosted.sha256);
    Ok(text(&json!({
        "name": hosted.name,
        "description": machine.guest.describe(),
        "versions": [{
            "version": hosted.version,
            "providers": [{
                "name": provider.name(),
                "url": hosted.url,
                "checksum_type": "sha256",
                "checksum": checksum,
                "architecture": machine.guest.architecture.go_name(),
                "default_architecture": true,
            }],
        }],
    })))
}
