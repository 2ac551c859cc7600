//! The commands that take one disk and know nothing of Windows.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use image::resize::Which;
use image::{About, DiskFile, Format, Level, MachineWish, Platform, Size};

use super::{Chain, Resources, words};
use crate::size::parse_size;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge convert disk.vhd disk.vmdk                  compressed, for import anywhere
  wimforge convert disk.raw disk.vhd --format vhd-fixed
  wimforge convert disk.vhdx upload.vhd --for azure    what Azure takes: a fixed VHD
  wimforge convert disk.vhd big.vhdx --size 100GiB     partition and NTFS volume grow with it
  wimforge convert disk.vhd nano.box --for hyperv --machine-memory 4GiB
  wimforge convert disk.vmdk /dev/sdx --force          onto a device, which is overwritten
  wimforge convert disk.vhd - --format vmdk | ssh host 'cat > disk.vmdk'

The bytes of the disk stay as they are. What is zero is not stored, where the format can leave it
out. Free space that was never zeroed is not zero: `wimforge compact` knows what is free. Formats
that are written front to back can go to standard output.")]
pub(crate) struct Convert {
    /// The disk image to read
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// The disk image to write; `-` is standard output, a block device is overwritten in place
    #[arg(value_name = "OUT", required_unless_present = "out")]
    output: Option<PathBuf>,
    /// The same, as `build` takes it
    #[arg(short = 'o', long = "output", value_name = "OUT", conflicts_with = "output", hide = true)]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) container: ContainerOptions,
    /// Size of the new disk. What is more goes to the last NTFS volume that is no recovery partition, what is less comes
    /// from it; partitions behind it move
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) size: Option<u64>,
    /// With --size: the partition that changes, or none
    #[arg(long, value_name = "N|none", requires = "size", value_parser = which)]
    pub(crate) resize_partition: Option<Which>,
    /// Bytes in a sector, 512 or 4096, where the source does not say: a raw disk [default: 512]
    #[arg(long, value_name = "BYTES", value_parser = ["512", "4096"])]
    pub(crate) sector_size: Option<String>,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

impl Convert {
    /// The disk image to write: the parser wants it in one place or the other.
    pub(crate) fn output(&self) -> &Path {
        self.output.as_deref().or(self.out.as_deref()).unwrap_or(Path::new("-"))
    }
}

/// A partition that changes its size.
fn which(text: &str) -> Result<Which, String> {
    match text {
        "none" => Ok(Which::Nothing),
        _ => text.parse().map(Which::Number).map_err(|_| "a number, or none".to_owned()),
    }
}

const PACKAGE: &str = "Boxes and OVA";

impl ContainerOptions {
    /// The machine that a package describes. What Windows it runs is looked up only for a package.
    pub(crate) fn machine(&self, disk: &DiskFile, output: &Path) -> MachineWish {
        let format = self.format.or_else(|| Format::of_path(output));
        let about = format.filter(|format| format.is_package()).and_then(|_| About::of_disk(disk));
        MachineWish {
            guest: about.map(|about| about.guest()),
            name: self.machine_name.clone(),
            memory: self.machine_memory.map(|size| size.0),
            cpus: self.machine_cpus,
            catalog: self.catalog.clone(),
            version: self.box_version.clone(),
            ..MachineWish::default()
        }
    }
}

/// How a disk that exists is packed anew.
#[derive(Debug, ClapArgs)]
pub(crate) struct ContainerOptions {
    /// Container: raw, vhd, vhd-fixed, vhdx, vhdx-fixed, vmdk (compressed, for import), vmdk-sparse, vmdk-flat, vmdk-split,
    /// vdi, vdi-fixed, qcow2 or qcow2-compressed; a Vagrant box: box-virtualbox, box-hyperv, box-libvirt or box-vmware; or
    /// ova [default: by OUT's extension; .box is for VirtualBox]
    #[arg(short, long, value_name = "FORMAT", value_parser = words::word(Format::ALL, Format::name), hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// Where the disk is to start: azure, hyperv, hyperv-gen1, virtualbox, vmware, esxi or kvm. Chooses the container that is
    /// taken there, and refuses what is not
    #[arg(long = "for", value_name = "PLATFORM", value_parser = words::word(Platform::ALL, Platform::name), hide_possible_values = true)]
    pub(crate) platform: Option<Platform>,
    /// Compression, where the container compresses: fast, default or best [default: default]
    #[arg(long, value_name = "LEVEL", value_parser = words::word(Level::ALL, Level::name), hide_possible_values = true)]
    pub(crate) level: Option<Level>,
    /// Text from which the container's ids derive [default: the beginning of the disk]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// Name of the machine in a box or an OVA [default: OUT's name]
    #[arg(long, value_name = "NAME", help_heading = PACKAGE)]
    pub(crate) machine_name: Option<String>,
    /// Its memory, a multiple of 4MiB [default: 2GiB]
    #[arg(long, value_name = "SIZE", help_heading = PACKAGE)]
    pub(crate) machine_memory: Option<Size>,
    /// Its processors [default: 2]
    #[arg(long, value_name = "NUMBER", help_heading = PACKAGE)]
    pub(crate) machine_cpus: Option<u32>,
    /// Where the box is going to be found: writes a catalog beside it (OUT with .catalog.json) that `vagrant box add` takes
    #[arg(long, value_name = "URL", help_heading = PACKAGE)]
    pub(crate) catalog: Option<String>,
    /// The box's version in that catalog [default: 1.0.0]
    #[arg(long, value_name = "VERSION", help_heading = PACKAGE)]
    pub(crate) box_version: Option<String>,
    /// Replace OUT if it exists; overwrite a block device
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge map disk.vhd               what of the disk is stored, and what is known to be zero
  wimforge map disk.vmdk --json

What is stored may still hold zeros. Neighbours of one kind are one line.")]
pub(crate) struct Map {
    /// The disk image
    #[arg(value_name = "DISK")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) chain: Chain,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge compare disk.vhd disk.vmdk             the same disk in two containers?
  wimforge compare before.vhd after.vhd --json    where they differ first: partition, file, bytes

What neither of them stores is not read. Sizes may differ if the rest is zero, unless --strict.
Exit code 3 means that the disks differ.")]
pub(crate) struct Compare {
    /// A disk image
    #[arg(value_name = "DISK")]
    pub(crate) first: PathBuf,
    /// Another
    #[arg(value_name = "OTHER")]
    pub(crate) second: PathBuf,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// Disks of different sizes differ
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) resources: Resources,
}
