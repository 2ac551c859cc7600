//! The arguments of `wimforge reg`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use image::ImageChoice;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg get disk.vhd:2 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi' Start
  wimforge reg set SYSTEM 'ControlSet001\\Services\\atapi' Start --type dword 0
  wimforge reg export SOFTWARE 'HKLM\\SOFTWARE\\Vendor' -o vendor.reg

Keys may be written from the root of the hive (ControlSet001\\Services\\atapi) or as Windows does
(HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi): a root in front is taken off, and CurrentControlSet
is the set that Select names. Quote them: the shell takes backslashes for itself.")]
pub(crate) struct Reg {
    #[command(subcommand)]
    pub(crate) command: RegCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegCommand {
    /// Print a value, or the values and subkeys of a key
    Get(RegGet),
    /// Set a value, making its key if it is not there
    Set(RegSet),
    /// Delete a value or a key
    Delete(RegDelete),
    /// Import .reg files, or another hive into a key
    Import(RegImport),
    /// Write a key and all below it as a .reg file
    Export(RegExport),
    /// Check a hive by all rules that Windows and other readers are known to have
    Check(RegCheck),
}

/// A hive to look at, wherever it is.
#[derive(Debug, ClapArgs)]
pub(crate) struct RegSource {
    /// A hive file, or a WIM or disk that holds Windows (`disk.vhd:2` for its partition 2), or the path of a hive in
    /// one (`disk.vhd:2/Users/x/NTUSER.DAT`)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Which image, by number or name; of a disk: which partition, by number or label
    #[arg(short, long, value_name = "INDEX|NAME")]
    pub(crate) image: Option<ImageChoice>,
    #[command(flatten)]
    pub(crate) place: RegPlace,
}

/// Where Windows would mount a hive.
#[derive(Debug, ClapArgs)]
pub(crate) struct RegPlace {
    /// The key that the root of the hive stands for, such as HKLM\SYSTEM [default: by what the hive holds]
    #[arg(long = "as", value_name = "KEY", visible_alias = "prefix")]
    pub(crate) mount: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg get SYSTEM Select                                 values and subkeys
  wimforge reg get SYSTEM 'HKLM\\SYSTEM\\Select' Current           one value, as text
  wimforge reg get disk.vhd:2 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi' Start
  wimforge reg get install.wim -i 1 'HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion' --json
  wimforge reg get SYSTEM Setup OOBEInProgressDriverUpdatesPostponed --raw | xxd")]
pub(crate) struct RegGet {
    #[command(flatten)]
    pub(crate) source: RegSource,
    /// The key [default: the root]
    #[arg(value_name = "KEY", default_value = "", hide_default_value = true)]
    pub(crate) key: String,
    /// The value; an empty name is the default value
    #[arg(value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// Print the bytes of the value as they are
    #[arg(long, requires = "value", conflicts_with = "json")]
    pub(crate) raw: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg set SYSTEM 'ControlSet001\\Services\\atapi' Start --type dword 0
  wimforge reg set SOFTWARE 'HKLM\\SOFTWARE\\Vendor' Path --type expand_sz '%ProgramFiles%\\Vendor'
  wimforge reg set SOFTWARE Vendor List --type multi_sz one two three
  wimforge reg set SOFTWARE Vendor Blob --type binary '01 02 ff'
  wimforge reg set SOFTWARE Vendor '' 'text of the default value'")]
pub(crate) struct RegSet {
    /// The hive file; it is replaced at once, or not at all
    #[arg(value_name = "HIVE")]
    pub(crate) hive: PathBuf,
    /// The key, made with its parents if it is not there
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// The value; an empty name is the default value
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Type: sz, expand_sz, multi_sz, dword, qword, binary, none, link, dword_big_endian, or any number such as 0xffff0012
    #[arg(short, long = "type", value_name = "TYPE", default_value = "sz", value_parser = parse_kind)]
    pub(crate) kind: hive::Kind,
    /// Text; several for multi_sz; a number (7, 0x7) for dword and qword; hexadecimal bytes for all others. What begins
    /// with a dash comes after `--`
    #[arg(value_name = "DATA")]
    pub(crate) data: Vec<String>,
    #[command(flatten)]
    pub(crate) place: RegPlace,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg delete SOFTWARE 'Vendor\\Product' Path      a value
  wimforge reg delete SOFTWARE Vendor --recursive         a key with all below it")]
pub(crate) struct RegDelete {
    /// The hive file; it is replaced at once, or not at all
    #[arg(value_name = "HIVE")]
    pub(crate) hive: PathBuf,
    /// The key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// The value; an empty name is the default value [default: the key itself]
    #[arg(value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// Delete a key that has subkeys, with all of them
    #[arg(short, long, conflicts_with = "value")]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) place: RegPlace,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg import SYSTEM drivers.reg more.reg
  wimforge reg import loaded.hiv tweak.reg --as 'HKLM\\OFFLINE'    where its keys begin
  wimforge reg import SOFTWARE vendor.hiv --at 'HKLM\\SOFTWARE\\Vendor'
  wimforge reg import NEW SYSTEM --at 'Saved' --from 'ControlSet001\\Services'

All files are applied in order, or none. A hive that takes the place of a key replaces what was
there.")]
pub(crate) struct RegImport {
    /// The hive file; it is replaced at once, or not at all
    #[arg(value_name = "HIVE")]
    pub(crate) hive: PathBuf,
    /// Files of regedit (.reg: version 5.00 or REGEDIT4, in UTF-16, UTF-8 or Windows-1252); with --at one hive
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The key whose place the hive FILE takes
    #[arg(long, value_name = "KEY")]
    pub(crate) at: Option<String>,
    /// The key of the hive FILE to import [default: its root]
    #[arg(long, value_name = "KEY", requires = "at")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) place: RegPlace,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg export SYSTEM 'HKLM\\SYSTEM\\CurrentControlSet\\Services\\atapi'    UTF-8, to read
  wimforge reg export SOFTWARE Vendor -o vendor.reg                            UTF-16, as regedit's
  wimforge reg export disk.vhd:2 'HKLM\\SOFTWARE\\Vendor' -o vendor.reg

What is exported can be imported again, by regedit too. Names that a form cannot express are an
error.")]
pub(crate) struct RegExport {
    #[command(flatten)]
    pub(crate) source: RegSource,
    /// The key [default: the root]
    #[arg(value_name = "KEY", default_value = "", hide_default_value = true)]
    pub(crate) key: String,
    /// The .reg file to write [default: standard output, in UTF-8]
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,
    /// Write REGEDIT4, in Windows-1252, for old systems
    #[arg(long)]
    pub(crate) regedit4: bool,
    /// Write UTF-8 with line feeds to OUT, too
    #[arg(long, conflicts_with = "regedit4")]
    pub(crate) utf8: bool,
    /// Replace OUT if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  wimforge reg check SYSTEM
  wimforge reg check disk.vhd                     every hive of the Windows on it
  wimforge reg check install.wim -i 1 'HKLM\\SYSTEM'

Exit code 3 means that there are errors. A hive with logs beside it is checked as it is after
their recovery.")]
pub(crate) struct RegCheck {
    #[command(flatten)]
    pub(crate) source: RegSource,
    /// Of a WIM or disk: a key of the hive to check [default: every hive that is known and there]
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Show notes, too: what Windows leaves behind and puts up with
    #[arg(long)]
    pub(crate) notes: bool,
}

/// `sz`, `REG_DWORD`, `0xffff0012`, `11`.
fn parse_kind(text: &str) -> Result<hive::Kind, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("REG_").unwrap_or(&name);
    let named = (0..=11).map(hive::Kind).find(|kind| kind.name().is_some_and(|known| &known[4..] == name));
    let number = match name.strip_prefix("0X") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => name.parse().ok(),
    };
    named.or(number.map(hive::Kind)).ok_or_else(|| {
        let meant = image::did_you_mean(text, KINDS.split(", "));
        format!("expected {KINDS}, or a number such as 0xffff0012{meant}")
    })
}

const KINDS: &str = "sz, expand_sz, multi_sz, dword, qword, binary, none, link, dword_big_endian";
