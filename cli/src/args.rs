//! The command line, as close to what is typed as possible. Nothing here looks at files.

pub(crate) mod bcd;
mod reg;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use image::registry::HiveChoice;
use image::{
    Algorithm, BcdDevice, BootCode, BootMenu, Debug, Format, ImageChoice, Layout, Level, Serial, WimChoice,
};

pub(crate) use self::reg::{
    Reg, RegCheck, RegCommand, RegDelete, RegExport, RegGet, RegImport, RegPlace, RegSet, RegSource,
};
use crate::size::parse_size;

/// Windows images to bootable disks, offline: no Windows, no root, no mounting.
#[derive(Debug, Parser)]
#[command(name = "wimforge", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 done · 1 failed · 2 wrong usage · 3 damaged content found · 4 unsupported input · 130 interrupted
Results go to standard output, everything else to standard error.")]
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
    Build(Build),
    /// Say what a file is: a WIM, an ISO, or a disk image (raw, VHD, VMDK)
    Info(Info),
    /// List files inside a WIM image, an ISO or a disk
    Ls(Ls),
    /// Write one file or stream of a WIM image, an ISO or a disk to standard output
    Cat(Cat),
    /// Extract files of a WIM image, an ISO or a disk to a directory
    Extract(Extract),
    /// Check every hash of a WIM, or a disk against the WIM that it was built from
    Verify(Verify),
    /// Check the NTFS volumes of a disk, and whether it starts
    Check(Check),
    /// Read, change, import, export and check registry hives
    Reg(Reg),
    /// Show, change, create and check boot configuration data (BCD)
    Bcd(bcd::Bcd),
}

/// Which WIM inside an ISO.
#[derive(Debug, ClapArgs)]
pub(crate) struct InIso {
    /// Inside an ISO: the WIM at this path, with / or \ [default: sources/install.wim, .esd or .swm]
    #[arg(long, value_name = "PATH")]
    wim: Option<String>,
    /// Inside an ISO: NanoServer/NanoServer.wim
    #[arg(long, conflicts_with = "wim")]
    nano: bool,
}

impl InIso {
    pub(crate) fn choice(&self) -> Option<WimChoice> {
        if self.nano { Some(WimChoice::Nano) } else { self.wim.clone().map(WimChoice::Path) }
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
  wimforge build nano.wim -o nano.vmdk                  a compressed VMDK for import into any hypervisor
  wimforge build server.iso -i 2 -o core.vhd            from the install.wim of an ISO, in its place
  wimforge build server.iso --nano -i 1 -o nano.vmdk    from its NanoServer/NanoServer.wim
  wimforge build install.wim -i 2 -o core.vhd --size 40GiB
  wimforge build install.wim -i \"Windows Server 2019 SERVERSTANDARD\" -o core.raw --layout mbr1
  wimforge build nano.wim -o - --format raw | ssh host 'cat > /dev/vg0/nano'
  wimforge build install.wim -o small.vhd --compact-os  files stay compressed on the disk
  wimforge build nano.wim -o nano.vhd --dry-run         what would be built, and how large it would be
  wimforge build nano.wim -o nano.vhd --ems=1,115200 --test-signing --boot-menu legacy

The boot files are the image's own (\\Windows\\Boot); the boot code is ours. `wimforge check` follows the boot chain of a disk.")]
pub(crate) struct Build {
    /// The WIM file, or an ISO with one
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    /// The disk image to write; `-` is standard output, a block device is overwritten in place
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Which image of the WIM, by number or name [needed when there are several]
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub(crate) image: Option<ImageChoice>,
    /// Container: raw, vhd (dynamic), vhd-fixed, vmdk (streamOptimized) or vmdk-sparse [default: by OUT's extension]
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Partitions: mbr3 (System, Windows, Recovery), mbr1 (one), or for UEFI gpt (EFI system, Microsoft reserved,
    /// Windows, Recovery)
    #[arg(short, long, value_name = "LAYOUT", default_value = "mbr3")]
    pub(crate) layout: Layout,
    /// Size of the disk, whole MiB [default: what content and growth need, at least 4GiB]
    #[arg(short, long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) size: Option<u64>,
    /// Size of the System partition [default: 350MiB; with gpt 260MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) system_size: Option<u64>,
    /// Size of the Recovery partition [default: 500MiB, or what the image's recovery environment needs]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) recovery_size: Option<u64>,
    /// Cluster size of the Windows volume: 512 to 2MiB (above 64KiB: Windows 10 1709 or later)
    #[arg(long, value_name = "SIZE", default_value = "4KiB", value_parser = parse_size)]
    pub(crate) cluster_size: u64,
    /// Make 8.3 names for files that have none in the image [default: only those of the image]
    #[arg(long)]
    pub(crate) short_names: bool,
    /// Keep files compressed on the disk, as `compact /CompactOS` does: lzx (copied from a source in LZX), xpress4k,
    /// xpress8k or xpress16k [default: what the source has, else xpress8k]
    #[arg(long, value_name = "ALGORITHM", num_args = 0..=1, require_equals = true)]
    pub(crate) compact_os: Option<Option<Algorithm>>,
    /// With --compact-os: do not decode what is copied compressed, to check its SHA-1
    #[arg(long, requires = "compact_os")]
    pub(crate) no_verify_source: bool,
    /// With --compact-os: go on though the image has no wof.sys
    #[arg(long, requires = "compact_os")]
    pub(crate) assume_wof: bool,
    /// Import a .reg file into the image's registry; may be repeated
    #[arg(long = "reg", value_name = "FILE")]
    pub(crate) registry: Vec<PathBuf>,
    /// Put a hive into the image's registry: a whole one (SOFTWARE=file), or in the place of a key
    /// (HKLM\\SYSTEM\\Vendor=file); before --reg; may be repeated
    #[arg(long = "hive", value_name = "KEY=FILE")]
    pub(crate) hives: Vec<HiveChoice>,
    /// Copy no boot files, write no BCD, leave the recovery environment where it is
    #[arg(long)]
    pub(crate) no_boot_files: bool,
    /// Code that a BIOS runs: own, from-image (Microsoft's, where a file of the image carries it) or none
    #[arg(long, value_name = "WHOSE", default_value = "own")]
    pub(crate) boot_code: BootCode,
    /// How the BCD names partitions: partition (exactly), or locate (the first that has the file: for clones and
    /// differencing disks)
    #[arg(long, value_name = "HOW", default_value = "partition")]
    pub(crate) bcd_device: BcdDevice,
    /// Take boot files signed by "Windows UEFI CA 2023", where the image has them (bcdboot /bootex)
    #[arg(long)]
    pub(crate) bootex: bool,
    /// Seconds that the boot menu waits when there is a choice [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) boot_timeout: Option<u32>,
    /// Boot menu: legacy (text, works on a serial console) or standard [default: what suits the edition]
    #[arg(long, value_name = "KIND")]
    pub(crate) boot_menu: Option<BootMenu>,
    /// Emergency management services: Windows talks on a serial port [default with --ems: 1,115200]
    #[arg(long, value_name = "PORT[,BAUD]", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) ems: Option<Serial>,
    /// Kernel debugging: serial[:PORT[,BAUD]], net:IPV4:PORT:KEY, usb:TARGET, 1394:CHANNEL or local
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "serial")]
    pub(crate) debug: Option<Debug>,
    /// Load drivers that are signed with a test certificate
    #[arg(long)]
    pub(crate) test_signing: bool,
    /// Write what the disk has otherwise than the image, on purpose, for `verify --against --record`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Compression of a VMDK: fast, default or best
    #[arg(long, value_name = "LEVEL", default_value = "default")]
    pub(crate) level: Level,
    /// Say where the time went, by stage and thread (on standard error; with --json in the result)
    #[arg(long)]
    pub(crate) profile: bool,
    /// Text from which disk signature, serial numbers and ids derive [default: the WIM's own hashes]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// Replace OUT if it exists, or overwrite a block device
    #[arg(long)]
    pub(crate) force: bool,
    /// Plan and report, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) resources: Resources,
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
  wimforge ls nano.vhd                          the partitions of a disk, or the files of its only volume
  wimforge ls nano.vhd:2/Windows -l             a directory of partition 2; or: ls nano.vhd 2/Windows
  wimforge ls server.iso sources -l             a directory of an ISO
  wimforge ls server.iso -i 2 Windows           a directory of image 2 of its install.wim; --wim takes another WIM")]
pub(crate) struct Ls {
    /// A WIM, an ISO, or a disk (raw, VHD, VMDK), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
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
    /// A WIM, an ISO, or a disk (raw, VHD, VMDK), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
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

Files are only ever written inside DIR. What the host cannot hold (named streams, short names, security
descriptors, attributes, reparse points other than symbolic links) is counted and said.")]
pub(crate) struct Extract {
    /// A WIM, an ISO, or a disk (raw, VHD, VMDK), where `FILE:2/path` is a path in partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
    /// Files and directories inside, `*`, `?` and `[a-z]` allowed [default: everything]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Directory to extract to; made if missing
    #[arg(short = 'C', long, value_name = "DIR")]
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
  wimforge verify nano.vhd --against nano.wim   every path, stream, hash, time, descriptor and link of the disk
  wimforge verify server.iso --nano   a WIM inside an ISO, as with --against

Exit code 3 means that damage or a difference was found; the paths are listed.")]
pub(crate) struct Verify {
    /// The WIM (or an ISO with one), or with --against the disk: `disk.vhd`, or `disk.vhd:2` for its partition 2
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) in_iso: InIso,
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
  wimforge check disk.vhd             every NTFS volume, and whether the disk starts
  wimforge check disk.vhd --boot      only that: from the partition table to the drivers of the disk, link by link
  wimforge check disk.vhd:2 --notes   only the volume in partition 2, with what is unusual but not wrong
  wimforge check disk.vmdk --json

Exit code 3 means that there are errors, or that a link of the boot chain is broken. A disk that was never meant to
start has no chain; that is no error, unless --boot asks for it.")]
pub(crate) struct Check {
    /// The disk image (raw, VHD, VMDK) or a volume, or with `:N` its partition N
    #[arg(value_name = "DISK")]
    pub(crate) file: PathBuf,
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
