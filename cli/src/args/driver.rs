//! The arguments of `wimforge driver`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use image::ImageChoice;
use image::drivers::Architecture;

use super::InIso;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge driver info virtio-win.iso
  wimforge driver check virtio-win.iso --for nano.wim

`wimforge build --driver` puts drivers into an image.")]
pub(crate) struct Driver {
    #[command(subcommand)]
    pub(crate) command: DriverCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DriverCommand {
    /// Say what driver packages there are: class, version, devices, signature
    Info(DriverInfo),
    /// Say which of them a build would put into an image, which it would refuse, and why
    Check(DriverCheck),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge driver info netkvm.inf
  wimforge driver info virtio-win.iso --json
  wimforge driver info drivers.zip drivers.cab C_drivers/

A signature is good when the catalog is signed, unchanged, and has the hashes of all files. Only
Microsoft's authority for drivers of others is known by its key; of other signers it is said
that whether they are real was not checked.")]
pub(crate) struct DriverInfo {
    /// Folders, INF files, cabinets, ZIP archives, ISO images
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge driver check virtio-win.iso --for nano.wim     for an image: its Windows decides
  wimforge driver check virtio-win.iso --for server.iso -i 2
  wimforge driver check drivers/ --arch amd64 --build 14393 --server

`wimforge build --driver` takes and refuses the same. Exit code 3 means that something would be
refused.")]
pub(crate) struct DriverCheck {
    /// Folders, INF files, cabinets, ZIP archives, ISO images
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,
    /// The WIM, or an ISO with one, that the drivers are for
    #[arg(long = "for", value_name = "FILE", conflicts_with_all = ["arch", "build", "server"])]
    pub(crate) image_file: Option<PathBuf>,
    /// Which image of the WIM, by number or name [needed when there are several]
    #[arg(short, long, value_name = "INDEX|NAME", requires = "image_file")]
    pub(crate) image: Option<ImageChoice>,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    /// Instead of an image: the architecture of the Windows
    #[arg(long, value_name = "ARCH", value_enum, default_value = "amd64")]
    pub(crate) arch: Arch,
    /// Instead of an image: the build number of the Windows, such as 14393
    #[arg(long, value_name = "BUILD", value_parser = clap::value_parser!(u32).range(2600..=99_999), required_unless_present = "image_file")]
    pub(crate) build: Option<u32>,
    /// It is a server
    #[arg(long)]
    pub(crate) server: bool,
    /// Take drivers without a signature that holds
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
}

/// An architecture of Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    X86,
    #[value(alias = "x64")]
    Amd64,
    Arm,
    Arm64,
}

impl From<Arch> for Architecture {
    fn from(arch: Arch) -> Self {
        match arch {
            Arch::X86 => Self::X86,
            Arch::Amd64 => Self::Amd64,
            Arch::Arm => Self::Arm,
            Arch::Arm64 => Self::Arm64,
        }
    }
}
