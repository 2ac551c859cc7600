//! The command line, as close to what is typed as possible. Nothing here looks at files.

pub(crate) mod bcd;
mod build;
mod compact;
mod disk;
pub(crate) mod driver;
mod explain;
mod packaging;
mod reg;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use image::{ImageChoice, WimChoice};

pub(crate) use self::build::Build;
pub(crate) use self::compact::Compact;
pub(crate) use self::disk::{Compare, ContainerOptions, Convert, Map};
pub(crate) use self::explain::Explain;
pub(crate) use self::packaging::{Completions, Man};
pub(crate) use self::reg::{
    Reg, RegCheck, RegCommand, RegDelete, RegExport, RegGet, RegImport, RegPlace, RegSet, RegSource,
};
use crate::size::parse_size;

/// Windows images to bootable disks, offline: no Windows, no root, no mounting.
#[derive(Debug, Parser)]
#[command(name = "wimforge", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  wimforge info server.iso                     what is in it
  wimforge build server.iso -i 2 -o core.vhdx  a disk that starts
  wimforge check core.vhdx                     does it?
  wimforge help build                          every option of a command, with examples

Exit codes:
  0    done; also when whoever read the output went away
  1    failed: a file that is not there, a disk that is full, a name that is not in the image
  2    wrong usage, or a recipe that contradicts itself
  3    damaged content or a difference was found; the report says where
  4    an input of a kind that is not supported
  130  interrupted; nothing is left behind

Results go to standard output, everything else to standard error. With --json a result is one JSON
document, and errors stay text. NO_COLOR takes the colours out of help and errors.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options of every command.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Print results as JSON
    #[arg(long, global = true, display_order = 100)]
    pub(crate) json: bool,
    /// No progress and no notes, only results and errors
    #[arg(short, long, global = true, display_order = 101)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build a disk image from a WIM, or from the WIM inside an ISO
    Build(Box<Build>),
    /// Say what a file is: a WIM, an ISO, a disk image (raw, VHD, VHDX, VMDK, VDI, qcow2), a driver package
    Info(Info),
    /// List files inside a WIM image, an ISO or a disk
    Ls(Ls),
    /// Write one file or stream of a WIM image, an ISO or a disk to standard output
    Cat(Cat),
    /// Extract files of a WIM image, an ISO or a disk to a directory
    Extract(Extract),
    /// Check every hash of a WIM, or a disk against the WIM that it was built from
    Verify(Verify),
    /// Check a disk: its container, its NTFS and FAT volumes, and whether it starts
    Check(Check),
    /// Write a disk into another container
    Convert(Convert),
    /// Make what of a disk is unused zero: in a copy, or in place
    Compact(Compact),
    /// Say whether two disks are equal, and where they differ first
    Compare(Compare),
    /// List what of a disk is stored
    Map(Map),
    /// Show what lies where on a disk, how large and why, and how it starts: of a disk, or of the plan of one
    Explain(Box<Explain>),
    /// Read, change, import, export and check registry hives
    Reg(Reg),
    /// Show, change, create and check boot configuration data (BCD)
    Bcd(bcd::Bcd),
    /// Show the presets of `build`, which are recipes
    Preset(Preset),
    /// Say what is in driver packages, and which an image would take
    Driver(driver::Driver),
    /// Print what makes a shell complete the commands, options and values
    Completions(Completions),
    /// Print or write the manual pages
    Man(Man),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge preset                        their names, and what each does
  wimforge preset vagrant > mine.toml    a copy to change, for `build --preset ./mine.toml`")]
pub(crate) struct Preset {
    /// The preset to print
    #[arg(value_name = "NAME", value_parser = words::presets(), hide_possible_values = true)]
    pub(crate) name: Option<String>,
}

/// Which WIM inside an ISO.
#[derive(Debug, ClapArgs)]
pub(crate) struct InIso {
    /// Inside an ISO: the WIM at this path, with / or \ [default: sources/install.wim, .esd or .swm]
    #[arg(long, value_name = "PATH")]
    pub(crate) wim: Option<String>,
    /// Inside an ISO: NanoServer/NanoServer.wim
    #[arg(long, conflicts_with = "wim")]
    pub(crate) nano: bool,
}

impl InIso {
    pub(crate) fn choice(&self) -> Option<WimChoice> {
        if self.nano { Some(WimChoice::Nano) } else { self.wim.clone().map(WimChoice::Path) }
    }
}

/// Where the parents of a differencing disk are.
#[derive(Debug, ClapArgs)]
pub(crate) struct Chain {
    /// Of a differencing disk (VHD, VHDX, VMDK, qcow2): its parent, or a folder that it may be in; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    parent: Vec<PathBuf>,
}

impl Chain {
    pub(crate) fn parents(&self) -> image::Parents {
        image::Parents::in_places(self.parent.iter().cloned())
    }
}

/// How much of the machine to use. None of it changes a byte of the output.
#[derive(Debug, ClapArgs)]
pub(crate) struct Resources {
    /// Worker threads [default: one per processor]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Memory for buffers
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub(crate) memory: u64,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge info install.wim           images, sizes, codec
  wimforge info install.wim --xml     the WIM's own description of itself, as it is
  wimforge info server.iso            what is in an ISO, and the images of its WIMs
  wimforge info server.iso --wim sources/boot.wim
  wimforge info disk.vhd --json       container, partitions, volumes")]
pub(crate) struct Info {
    /// A WIM, an ISO or a disk image
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// Print the XML data of a WIM as it is stored, in UTF-8
    #[arg(long)]
    pub(crate) xml: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge ls nano.wim                          the root directory
  wimforge ls nano.wim Windows/System32 -l      with attributes, sizes and times
  wimforge ls install.wim -i 2 -R               everything, one path a line
  wimforge ls nano.wim 'Windows/*.exe' --detailed
  wimforge ls nano.vhd                          the partitions of a disk, or its only volume
  wimforge ls nano.vhd:2/Windows -l             a directory of partition 2
  wimforge ls server.iso sources -l             a directory of an ISO
  wimforge ls server.iso -i 2 Windows           of image 2 of its install.wim")]
pub(crate) struct Ls {
    /// A WIM, an ISO, or a disk (raw, VHD, VHDX, VMDK, VDI, qcow2), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// A file or directory inside, with / or \; `*`, `?` and `[a-z]` allowed
    #[arg(value_name = "PATH", default_value = "/")]
    pub(crate) path: String,
    /// Which image, by number or name (of an ISO: of the WIM in it); of a disk: which partition, by number or label
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub(crate) image: Option<ImageChoice>,
    /// Attributes, size and time of last write
    #[arg(short, long)]
    pub(crate) long: bool,
    /// Directories and all they hold
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// All that is known of each: times, security descriptor, every stream with its hash, links, reparse target
    #[arg(long, conflicts_with = "long")]
    pub(crate) detailed: bool,
    /// On a disk: files that Windows compressed (Compact OS) as they lie there, with their reparse points
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge cat nano.wim Windows/System32/drivers/etc/hosts
  wimforge cat nano.wim Users/setup.exe:Zone.Identifier      a named stream
  wimforge cat nano.vhd:2/Windows/win.ini                    a file of partition 2 of a disk
  wimforge cat server.iso sources/idwbinfo.txt               a file of an ISO
  wimforge cat server.iso -i 2 Windows/win.ini               a file of image 2 of its install.wim")]
pub(crate) struct Cat {
    /// A WIM, an ISO, or a disk (raw, VHD, VHDX, VMDK, VDI, qcow2), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// The file inside; `path:stream` names a stream
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Which image, by number or name (of an ISO: of the WIM in it); of a disk: which partition, by number or label
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub(crate) image: Option<ImageChoice>,
    /// On a disk: files that Windows compressed (Compact OS) as they lie there, with their reparse points
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge extract nano.wim -C out                        everything
  wimforge extract nano.wim Windows/INF Windows/Boot -C out
  wimforge extract nano.wim 'Windows/System32/*.dll' -C out
  wimforge extract nano.vhd:2/Windows/Logs -C out         of partition 2 of a disk
  wimforge extract server.iso support -C out              of an ISO
  wimforge extract server.iso --nano -i 1 -C out          of its NanoServer/NanoServer.wim

Files are only ever written inside DIR. What the host cannot hold (named streams, short names,
security descriptors, attributes, reparse points other than symbolic links) is counted and said.")]
pub(crate) struct Extract {
    /// A WIM, an ISO, or a disk (raw, VHD, VHDX, VMDK, VDI, qcow2), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// Files and directories inside, `*`, `?` and `[a-z]` allowed [default: everything]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directory to extract to; made if missing
    #[arg(short = 'C', long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
    /// Which image, by number or name (of an ISO: of the WIM in it); of a disk: which partition, by number or label
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub(crate) image: Option<ImageChoice>,
    /// Replace files that exist
    #[arg(long)]
    pub(crate) force: bool,
    /// On a disk: files that Windows compressed (Compact OS) as they lie there, with their reparse points
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge verify nano.wim            every file's content, the metadata, the integrity table
  wimforge verify nano.wim --json
  wimforge verify nano.vhd --against nano.wim   every file of a disk, in every respect
  wimforge verify server.iso --nano   a WIM inside an ISO, as with --against

Exit code 3 means that damage or a difference was found; the paths are listed.")]
pub(crate) struct Verify {
    /// The WIM (or an ISO with one), or with --against the disk: `disk.vhd`, or `disk.vhd:2` for its partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// The WIM, or the ISO, that the disk was built from [the disk's largest NTFS volume is compared]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) against: Option<PathBuf>,
    /// Which image of SOURCE, by number or name
    #[arg(short, long, value_name = "INDEX|NAME", requires = "against")]
    pub(crate) image: Option<ImageChoice>,
    /// With --against: what the build changed on purpose, as `build --record` wrote it
    #[arg(long, value_name = "FILE", requires = "against")]
    pub(crate) record: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) resources: Resources,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge check disk.vhd             container, volumes, and whether it starts
  wimforge check disk.vhd --boot      only whether it starts, link by link
  wimforge check disk.vhd:2 --notes   partition 2, and what is unusual but not wrong
  wimforge check disk.vmdk --json

Exit code 3 means that there are errors, or that a link of the boot chain is broken. A disk that
was never meant to start has no chain; that is no error, unless --boot asks for it.")]
pub(crate) struct Check {
    /// The disk image (raw, VHD, VHDX, VMDK, VDI, qcow2) or a volume, or with `:N` its partition N
    #[arg(value_name = "DISK")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) chain: Chain,
    /// Show notes, too: what Windows leaves behind and puts up with
    #[arg(long)]
    pub(crate) notes: bool,
    /// For a disk that was just built: nothing unused may hold data, nothing may be out of date
    #[arg(long)]
    pub(crate) strict: bool,
    /// Only check whether the disk starts, by BIOS and by UEFI
    #[arg(long, conflicts_with_all = ["no_boot", "notes", "strict"])]
    pub(crate) boot: bool,
    /// Only check the volumes
    #[arg(long)]
    pub(crate) no_boot: bool,
}
