//! What to build: the resolved form of a command line or a [recipe file](mod@file), and what an embedding program fills in
//! directly.

mod boot;
mod compact;
pub mod file;
mod format;
mod keys;
mod machine;
mod named;
mod platform;
pub mod presets;
mod resolve;
mod spelled;
mod wishes;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use disk::FileTime;

pub use firstboot::{Account, FirewallRule, Interface, Secret};

pub use self::boot::{BcdDevice, Boot, BootCode, BootMenu, Layout};
pub use self::compact::{Algorithm, Compact};
pub use self::file::{CompactOs, RecipeFile};
pub use self::format::{Format, Level};
pub use self::machine::MachineWish;
pub use self::named::{did_you_mean, nearest};
pub use self::platform::Platform;
pub use self::spelled::{Size, Spelled};
pub use self::wishes::{CopyChoice, Customize, Data, HttpsChoice, RegistryValue, ValueType};
use crate::Result;
use crate::iso_source::WimChoice;
use crate::registry::HiveChoice;

/// Everything that describes a build. Together with its inputs it determines every byte of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    /// The WIM, or the ISO that it is in.
    pub source: PathBuf,
    /// Which WIM of an ISO; `None` for the usual one, and for what is no ISO.
    pub wim: Option<WimChoice>,
    /// Which image of the source; `None` when it holds just one.
    pub image: Option<ImageChoice>,
    /// Where the disk goes.
    pub output: Output,
    /// The container; `None` chooses by the output's extension.
    pub format: Option<Format>,
    /// The partitions.
    pub layout: Layout,
    /// Size of the disk in bytes, a whole number of MiB; `None` lets content and growth decide.
    pub size: Option<u64>,
    /// Size of the System partition in bytes, a whole number of MiB; `None` for what is usual for the layout.
    pub system_size: Option<u64>,
    /// Size of the Recovery partition in bytes, a whole number of MiB; `None` for 500 MiB, or more when the image has a
    /// recovery environment that needs it.
    pub recovery_size: Option<u64>,
    /// Cluster size of the Windows volume in bytes.
    pub cluster_size: u32,
    /// Make 8.3 names for files that have none in the image.
    pub short_names: bool,
    /// Keep files compressed on the Windows volume; `None` stores them as they are.
    pub compact: Option<Compact>,
    /// `.reg` files that are imported into the image's hives, in this order.
    pub registry: Vec<PathBuf>,
    /// Hives that take a place in the image's registry, before any `.reg` file is imported.
    pub hives: Vec<HiveChoice>,
    /// How the disk starts.
    pub boot: Boot,
    /// What is changed in the image.
    pub customize: Customize,
    /// Text from which all identities derive; `None` takes the source's own hashes.
    pub seed: Option<String>,
    /// The time of everything that has none of its own; `None` takes the image's.
    pub time: Option<FileTime>,
    /// Compression of containers that compress.
    pub level: Level,
    /// The machine that a package describes.
    pub machine: MachineWish,
    /// Replace an existing output, or overwrite a block device.
    pub force: bool,
}

impl Recipe {
    /// A recipe with the defaults for everything but the source and the output.
    pub fn new(source: impl Into<PathBuf>, output: Output) -> Self {
        Self {
            source: source.into(),
            wim: None,
            image: None,
            output,
            format: None,
            layout: Layout::default(),
            size: None,
            system_size: None,
            recovery_size: None,
            cluster_size: 4096,
            short_names: false,
            compact: None,
            registry: Vec::new(),
            hives: Vec::new(),
            boot: Boot::default(),
            customize: Customize::default(),
            seed: None,
            time: None,
            level: Level::default(),
            machine: MachineWish::default(),
            force: false,
        }
    }

    /// The container, as asked for or by the output's extension.
    pub fn format(&self) -> Result<Format> {
        self.format.map_or_else(|| Format::of_output(&self.output), Ok)
    }
}

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// Which image of a WIM.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ImageChoice {
    /// By number, from 1.
    Index(u32),
    /// By name, as the XML gives it; must be unique.
    Name(String),
}

impl FromStr for ImageChoice {
    type Err = std::convert::Infallible;

    /// A number is an index, all else a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Index))
    }
}

/// Where a disk goes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Output {
    /// A file, or a block device.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

#[cfg(unix)]
pub(crate) fn is_block_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

#[cfg(not(unix))]
pub(crate) fn is_block_device(_: &Path) -> bool {
    false
}
