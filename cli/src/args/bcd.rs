//! The arguments of `wimforge bcd`.

use std::path::PathBuf;

use bcd::{BootMenuPolicy, DeviceKind, Edition, Ems, Firmware, Generation, ObjectType};
use clap::{Args as ClapArgs, Subcommand};

use super::words;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd show disk.vhd
  wimforge bcd set BCD '{default}' testsigning on
  wimforge bcd create BCD --firmware uefi

Objects are named as bcdedit names them ({bootmgr}, {default}, {emssettings}, …) or by their
GUID; elements by bcdedit's names (device, osdevice, path, timeout, nx, testsigning, …) or their
number (custom:26000022). Quote braces and backslashes: the shell takes them for itself.")]
pub(crate) struct Bcd {
    #[command(subcommand)]
    pub(crate) command: BcdCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BcdCommand {
    /// Print the objects of a store
    Show(BcdShow),
    /// Set an element of an object
    Set(BcdSet),
    /// Delete an object with all references to it, or an element
    Delete(BcdDelete),
    /// Make a store from nothing
    Create(Box<BcdCreate>),
    /// Check a store by the rules of boot managers
    Check(BcdCheck),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd show BCD                      all objects
  wimforge bcd show BCD '{default}'          one
  wimforge bcd show disk.vhd                 that of a disk, \\Boot\\BCD or on the ESP
  wimforge bcd show disk.vhd:1/Boot/BCD --json
  wimforge bcd show install.wim:Windows/System32/config/BCD-Template")]
pub(crate) struct BcdShow {
    /// A store, or a disk or WIM with one: `disk.vhd`, `disk.vhd:1`, `disk.vhd:1/path`
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
    /// Only these
    #[arg(value_name = "OBJECT")]
    pub(crate) objects: Vec<String>,
    /// GUIDs instead of names, numbers instead of names of elements
    #[arg(long)]
    pub(crate) ids: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd set BCD '{default}' testsigning on
  wimforge bcd set BCD '{default}' nx OptOut
  wimforge bcd set BCD '{bootmgr}' timeout 5
  wimforge bcd set BCD '{default}' device partition=mbr:12345678@0x100000
  wimforge bcd set BCD '{default}' osdevice partition=gpt:DISK-GUID:PARTITION-GUID
  wimforge bcd set BCD '{default}' osdevice locate
  wimforge bcd set BCD '{default}' device 'vhd=[locate=\\w.vhd]\\w.vhd'
  wimforge bcd set BCD '{emssettings}' emsport 1        made if it is not there
  wimforge bcd set BCD '{bootmgr}' displayorder '{a…}' '{b…}'

The file is replaced at once, or not at all. What this program does not understand of a store
stays as it is.")]
pub(crate) struct BcdSet {
    /// The store
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
    /// The object
    #[arg(value_name = "OBJECT")]
    pub(crate) object: String,
    /// The element
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: String,
    /// Its value; several words for lists
    #[arg(value_name = "VALUE", required = true)]
    pub(crate) value: Vec<String>,
    /// Make the object if it is not there: osloader, resume, memdiag, device, inherit, … or a type of eight digits
    #[arg(long, value_name = "TYPE")]
    pub(crate) create: Option<ObjectType>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd delete BCD '{default}' testsigning     an element
  wimforge bcd delete BCD '{memdiag}'                 an object, also from menus")]
pub(crate) struct BcdDelete {
    /// The store
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
    /// The object
    #[arg(value_name = "OBJECT")]
    pub(crate) object: String,
    /// The element [default: the object itself]
    #[arg(value_name = "ELEMENT")]
    pub(crate) element: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd create BCD --firmware bios --device partition=mbr:12345678@0x100000 \\
      --osdevice partition=mbr:12345678@0x15f00000 --name 'Windows Server 2016' --edition server
  wimforge bcd create BCD --firmware uefi --device boot --osdevice locate --ems=1,115200
  wimforge bcd create BCD --firmware bios --device boot --osdevice boot --edition nano --no-resume

`wimforge build` does all this by itself. DEVICE is boot, locate, partition=mbr:SIGNATURE@OFFSET or
partition=gpt:DISK:PARTITION.")]
pub(crate) struct BcdCreate {
    /// The store to write
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// What starts the disk: bios or uefi
    #[arg(long, value_name = "FIRMWARE", value_parser = words::of::<Firmware>(&["bios", "uefi"]), hide_possible_values = true)]
    pub(crate) firmware: Firmware,
    /// The partition with the boot manager
    #[arg(long, value_name = "DEVICE", default_value = "boot")]
    pub(crate) device: DeviceKind,
    /// The partition with Windows
    #[arg(long, value_name = "DEVICE", default_value = "locate")]
    pub(crate) osdevice: DeviceKind,
    /// The partition with the recovery environment (\Recovery\WindowsRE) [default: there is none]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) recovery: Option<DeviceKind>,
    /// The entry's name in the menu
    #[arg(long, value_name = "TEXT", default_value = "Windows")]
    pub(crate) name: String,
    /// Language of the menu
    #[arg(long, value_name = "LOCALE", default_value = "en-US")]
    pub(crate) locale: String,
    /// Edition of Windows (client, server or nano): defaults of nx and of the menu
    #[arg(long, value_name = "KIND", default_value = "client", value_parser = words::of::<Edition>(&["client", "server", "nano"]), hide_possible_values = true)]
    pub(crate) edition: Edition,
    /// Windows 7, 8 or 10 and later
    #[arg(long, value_name = "VERSION", default_value = "10")]
    pub(crate) generation: Generation,
    /// The Windows directory
    #[arg(long, value_name = "PATH", default_value = "\\Windows")]
    pub(crate) systemroot: String,
    /// Seconds that the menu waits
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u32,
    /// No entry that resumes from hibernation
    #[arg(long)]
    pub(crate) no_resume: bool,
    /// No entry of the memory test
    #[arg(long)]
    pub(crate) no_memtest: bool,
    /// A BCD-Template of the image: its settings win over the defaults here
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Emergency management services on a serial port [default with --ems: 1,115200]
    #[arg(long, value_name = "PORT[,BAUD]", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub(crate) ems: Option<Ems>,
    /// Kernel debugging: serial[:PORT[,BAUD]], net:IPV4:PORT:KEY, usb:TARGET, 1394:CHANNEL or local
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "serial")]
    pub(crate) debug: Option<bcd::Debug>,
    /// Load drivers that are signed with a test certificate
    #[arg(long)]
    pub(crate) test_signing: bool,
    /// Load unsigned drivers
    #[arg(long)]
    pub(crate) no_integrity_checks: bool,
    /// Boot menu: legacy (text) or standard [default: what suits the edition]
    #[arg(long, value_name = "KIND", value_parser = words::of::<BootMenuPolicy>(&["legacy", "standard"]), hide_possible_values = true)]
    pub(crate) boot_menu: Option<BootMenuPolicy>,
    /// The store of \EFI\Microsoft\Recovery instead, which has no entries
    #[arg(long, conflicts_with_all = ["template", "ems", "debug", "test_signing", "no_integrity_checks", "boot_menu"])]
    pub(crate) recovery_store: bool,
    /// Text from which the GUIDs of entries derive [default: the other options]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// Replace OUT if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge bcd check BCD
  wimforge bcd check disk.vhd --notes     the store on a disk, with what is unusual but not wrong

Whether devices and files exist is checked by `wimforge check DISK`. Exit code 3 means that
there are errors.")]
pub(crate) struct BcdCheck {
    /// A store, or a disk or WIM with one: `disk.vhd`, `disk.vhd:1`, `disk.vhd:1/path`
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
    /// Show notes, too
    #[arg(long)]
    pub(crate) notes: bool,
}
