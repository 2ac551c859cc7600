//! What an image is, as far as packages ask.

use std::ops::RangeInclusive;

use hive::Key;

use crate::identity::{Identity, Version, WINDOWS_TOKEN};
use crate::package::Package;

/// The key of the SOFTWARE hive that has a subkey for every package.
const PACKAGES_KEY: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";

/// Values of `CurrentState` of packages that are there, or will be at the next start: install pending, partially installed,
/// installed, permanent. Source: Microsoft's "CBS Servicing States Chart".
const INSTALLED: [u32; 4] = [0x60, 0x65, 0x70, 0x80];

/// Builds that are others with a few things enabled, and so made of packages of these.
const ENABLED: &[(RangeInclusive<u16>, u16)] =
    &[(18363..=18363, 18362), (19042..=19045, 19041), (22631..=22631, 22621), (26200..=26200, 26100)];

/// An image, as far as packages ask what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `amd64`, `x86`, `arm64`, `arm`, as in INF files; empty if that is not known.
    pub architecture: String,
    /// The version of Windows: `10.0.14393.0`; 0.0.0.0 if that is not known.
    pub version: Version,
    /// `EditionID`: `ServerDatacenterNano`. The package of an edition is called after it.
    pub edition: String,
    /// The packages that are installed; empty if that is not known, and then no package is said to miss one.
    pub packages: Vec<Identity>,
}

impl About {
    /// Adds the packages that a SOFTWARE hive says are installed. `false` when it has no list of packages.
    pub fn add_installed(&mut self, software: &Key) -> bool {
        let Some(packages) = software.open(PACKAGES_KEY) else { return false };
        for package in packages.subkeys() {
            let state = package.value("CurrentState").and_then(|value| value.as_u32());
            if let Some(state) = state
                && INSTALLED.contains(&state)
                && let Some(identity) =
                    package.name().to_text().and_then(|name| Identity::from_package_id(&name))
            {
                self.packages.push(identity);
            }
        }
        true
    }

    /// Adds packages by the names of the files in `Windows\servicing\Packages`, for images whose registry has no list: what has
    /// a `.mum` there is installed or at least staged.
    pub fn add_files<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        let ids = names.into_iter().filter_map(|name| {
            let (id, ending) = name.rsplit_once('.')?;
            ending.eq_ignore_ascii_case("mum").then_some(id)
        });
        self.packages.extend(ids.filter_map(Identity::from_package_id));
    }

    /// Adds what a package will bring, for those that need it.
    pub fn add_package(&mut self, package: &Package) {
        self.packages.extend(package.identities().cloned());
    }

    /// Whether parts of Windows of this version belong into the image: it has that build, is made of parts of it, or is not
    /// known.
    pub(crate) fn has_parts_of(&self, version: Version) -> bool {
        let same_build = |other: Version| other.0[..3] == version.0[..3];
        let [.., build, _] = self.version.0;
        let base = ENABLED.iter().find(|(builds, _)| builds.contains(&build)).map(|(_, base)| *base);
        let mut parts = self.packages.iter().filter(|package| package.token == WINDOWS_TOKEN);
        self.version == Version::default()
            || same_build(self.version)
            || base == Some(version.0[2])
            || parts.any(|package| package.version_numbers().is_some_and(same_build))
    }

    /// The installed packages that are this one, in any version.
    pub fn versions_of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a Identity> {
        self.packages.iter().filter(|other| other.is_same_package(identity))
    }
}
